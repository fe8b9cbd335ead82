//! The end of a flow: a code for the client.

use crate::clock::{random_id, random_token};
use crate::keys::Purpose;
use crate::model::authorization::PendingAuthorization;
use crate::model::code::{AuthorizationCode, CodeGrant, LIFETIME};
use crate::model::session::Authentication;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::FamilyId;

use super::{Flow, LoggedIn};

impl Flow {
    /// Makes a code: the browser gets the value, the store its hash.
    pub async fn issue_code(
        &self,
        pending: &PendingAuthorization,
        who: &LoggedIn,
    ) -> Result<String, OAuthError> {
        let value = random_token();
        let code = AuthorizationCode {
            family_id: FamilyId::new(random_id()),
            grant: CodeGrant {
                client_id: pending.client_id.clone(),
                redirect_uri: pending.return_to.redirect_uri().to_owned(),
                redirect_uri_was_sent: pending.redirect_uri_was_sent,
                code_challenge: pending.request.code_challenge.clone(),
                account_id: who.account.id.clone(),
                authentication: Authentication::from(&who.session),
                scope: pending.request.scope.clone(),
                nonce: pending.request.nonce.clone(),
            },
            expires_at: self.clock.now() + LIFETIME,
            redeemed_at: None,
        };
        let hash = self.secrets.hash(Purpose::AuthorizationCode, &value)?;
        self.store.insert_code(&hash, &code).await?;
        Ok(value)
    }
}
