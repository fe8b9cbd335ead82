//! The end of a flow: what the client asked the authorization endpoint for.

use crate::clock::{random_id, random_token};
use crate::keys::Purpose;
use crate::model::authorization::{PendingAuthorization, Person};
use crate::model::client::Client;
use crate::model::code::{AuthorizationCode, CodeGrant, LIFETIME};
use crate::model::session::Authentication;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::FamilyId;

use crate::tokens::subject;

use super::{Flow, LoggedIn};

impl Flow {
    /// Makes the parameters of a successful authorization response: a code, of which the browser gets the value and the
    /// store its hash, and what the response type asks for besides.
    pub async fn issue(
        &self,
        client: &Client,
        pending: &PendingAuthorization,
        who: &LoggedIn,
    ) -> Result<Vec<(&'static str, String)>, OAuthError> {
        let value = random_token();
        let request = &pending.request;
        let code = AuthorizationCode {
            family_id: FamilyId::new(random_id()),
            grant: CodeGrant {
                client_id: pending.client_id.clone(),
                redirect_uri: pending.return_to.redirect_uri().to_owned(),
                redirect_uri_was_sent: pending.redirect_uri_was_sent,
                code_challenge: request.code_challenge.clone(),
                account_id: who.account.id.clone(),
                authentication: Authentication::from(&who.session),
                scope: request.scope.clone(),
                nonce: request.nonce.clone(),
                resources: request.resources.clone(),
            },
            expires_at: self.clock.now() + LIFETIME,
            redeemed_at: None,
        };
        let id_token = if request.response_type.returns_id_token() {
            Some(self.id_token(client, &code, who, &value)?)
        } else {
            None
        };
        let hash = self.secrets.hash(Purpose::AuthorizationCode, &value)?;
        self.store.insert_code(&hash, &code).await?;
        let id_token = id_token.map(|token| ("id_token", token));
        Ok([("code", value)].into_iter().chain(id_token).collect())
    }

    /// The ID token that vouches for the code beside it (OpenID Connect Core section 3.3.2.11).
    fn id_token(
        &self,
        client: &Client,
        code: &AuthorizationCode,
        who: &LoggedIn,
        value: &str,
    ) -> Result<String, OAuthError> {
        let authentication = code.grant.authentication.clone();
        let subject = subject::for_client(&self.secrets, client, &who.account)?;
        let person = Person {
            account_id: who.account.id.clone(),
            claims: client.claims_about(&subject, &who.account, &authentication),
            subject,
            authentication,
            nonce: code.grant.nonce.clone(),
            family_id: code.family_id.clone(),
            refresh_generation: None,
        };
        Ok(self.mint.id_token_for_code(client, &person, value)?)
    }
}
