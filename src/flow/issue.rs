//! The end of a flow: what the client asked the authorization endpoint for.

use crate::clock::{ordered_id, random_token};
use crate::keys::Purpose;
use crate::model::audit::Event;
use crate::model::authorization::{Authorization, PendingAuthorization, Person};
use crate::model::client::Client;
use crate::model::code::{AuthorizationCode, CodeGrant, LIFETIME};
use crate::model::disclosure::{self, Disclosure};
use crate::model::family::TokenFamily;
use crate::model::resource::Aim;
use crate::model::session::Authentication;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::FamilyId;

use crate::telemetry::{self, Entry};
use crate::tokens::subject;

use super::{Flow, LoggedIn};

impl Flow {
    /// Makes the parameters of a successful authorization response: what the response type names. Of a code the browser
    /// gets the value and the store its hash; all of one answer belongs to one family, so that a replay of the code ends
    /// the access token beside it, too (T11).
    pub async fn issue(
        &self,
        client: &Client,
        pending: &PendingAuthorization,
        who: &LoggedIn,
    ) -> Result<Vec<(&'static str, String)>, OAuthError> {
        if client.registered {
            let now = self.clock.now();
            let unused = self.registered_unused;
            self.store
                .note_client_used(&client.client_id, unused, now)
                .await?;
        }
        if client.logout.is_told() {
            self.note_client(client, who).await?;
        }
        let response_type = pending.request.response_type;
        let person = self.person(client, pending, who)?;
        let scope = &pending.request.scope;
        let aim = Aim::named(&pending.request.resources);
        if response_type.returns_access_token() {
            self.mint.target(client, scope, &aim)?;
            self.begin_family(client, pending, &person).await?;
        }
        let code = response_type.returns_code().then(random_token);
        if let Some(value) = &code {
            self.keep_code(value, client, pending, &person).await?;
        }
        let family = response_type
            .returns_access_token()
            .then(|| person.family_id.clone());
        let authorization = Authorization {
            // A code beside it may make the family one with `offline_access`; that is for the app's tokens, and no reason
            // for what the browser holds to outlive a logout there.
            within_session: true,
            exchanged: None,
            client_id: client.client_id.clone(),
            scope: scope.clone(),
            aim,
            person: Some(person),
        };
        let answer = self
            .mint
            .mint_response(client, response_type, &authorization, code)
            .await?;
        if response_type.returns_access_token() || response_type.returns_id_token() {
            let entry = Entry::new(Event::TokensIssued)
                .client(&client.client_id)
                .account(&who.account.id)
                .upstream(&who.session.upstream)
                .session(&who.session.id)
                .family(family.as_ref())
                .with("scope", scope.to_string())
                .with("response_type", response_type.as_str());
            self.audit.record(entry);
        }
        Ok(answer)
    }

    /// The end of the session is told to this client.
    async fn note_client(&self, client: &Client, who: &LoggedIn) -> Result<(), OAuthError> {
        let (session, client_id) = (&who.session.id, &client.client_id);
        if self.store.note_session_client(session, client_id).await? {
            return Ok(());
        }
        Err(session_ended())
    }

    fn person(
        &self,
        client: &Client,
        pending: &PendingAuthorization,
        who: &LoggedIn,
    ) -> Result<Person, OAuthError> {
        let request = &pending.request;
        let authentication = Authentication::from(&who.session);
        let subject = subject::for_client(&self.secrets, client, &who.account)?;
        let disclosure = Disclosure {
            client,
            scopes: &self.scopes,
            subject: &subject,
            account: &who.account,
            authentication: &authentication,
            asked: &request.claims,
        };
        let claims = if request.response_type.tells_all_in_the_id_token() {
            disclosure.in_lone_id_token(&request.scope)
        } else {
            disclosure.in_id_token()
        };
        Ok(Person {
            account_id: who.account.id.clone(),
            subject,
            authentication,
            nonce: request.nonce.clone(),
            claims,
            family_id: FamilyId::new(ordered_id()),
            refresh_generation: None,
        })
    }

    /// What userinfo asks about an access token that comes from here; as long as it lives, unless a code beside it is
    /// redeemed.
    async fn begin_family(
        &self,
        client: &Client,
        pending: &PendingAuthorization,
        person: &Person,
    ) -> Result<(), OAuthError> {
        let now = self.clock.now();
        let family = TokenFamily {
            id: person.family_id.clone(),
            client_id: pending.client_id.clone(),
            account_id: person.account_id.clone(),
            authentication: person.authentication.clone(),
            scope: pending.request.scope.clone(),
            resources: pending.request.resources.clone(),
            claims: disclosure::admitted(client, &self.scopes, pending.request.claims.clone()),
            offline: false,
            generation: None,
            created_at: now,
            rotated_at: now,
            expires_at: self.mint.sole_token_end(now),
            revoked_at: None,
            // A proof of a key comes with the code beside it.
            jkt: None,
            bound_generation: None,
            bound_at: None,
            recipient: telemetry::recipient(),
        };
        if self.store.begin_family(&family).await? {
            return Ok(());
        }
        Err(session_ended())
    }

    async fn keep_code(
        &self,
        value: &str,
        client: &Client,
        pending: &PendingAuthorization,
        person: &Person,
    ) -> Result<(), OAuthError> {
        let code = AuthorizationCode {
            family_id: person.family_id.clone(),
            grant: CodeGrant {
                client_id: pending.client_id.clone(),
                redirect_uri: pending.return_to.redirect_uri().to_owned(),
                redirect_uri_was_sent: pending.redirect_uri_was_sent,
                code_challenge: pending.request.code_challenge.clone(),
                dpop_jkt: pending.request.dpop_jkt.clone(),
                account_id: person.account_id.clone(),
                authentication: person.authentication.clone(),
                scope: pending.request.scope.clone(),
                claims: disclosure::admitted(client, &self.scopes, pending.request.claims.clone()),
                nonce: person.nonce.clone(),
                resources: pending.request.resources.clone(),
            },
            expires_at: self.clock.now() + LIFETIME,
            redeemed_at: None,
        };
        let hash = self.secrets.hash(Purpose::AuthorizationCode, value)?;
        self.store.insert_code(&hash, &code).await?;
        Ok(())
    }
}

fn session_ended() -> OAuthError {
    OAuthError::new(
        ErrorCode::LoginRequired,
        "the session has ended while this was answered, or the app is known no more",
    )
}
