//! Revocation (RFC 7009): a client gives back what it was given.

use crate::model::audit::Event;
use crate::model::client::Client;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::ClientId;
use crate::telemetry::Entry;
use crate::tokens::refresh_token;

use super::family::family_entry;
use super::{Grants, PresentedToken};

impl Grants {
    /// Ends a token of `client`. A refresh token takes its family with it, and so every access token of that at our own
    /// endpoints (section 2.1); an access token goes alone. What is no token of ours, or no more, is ended as asked
    /// (section 2.2); then it is `false`, which is for our counters alone.
    pub async fn revoke(
        &self,
        client: &Client,
        token: &PresentedToken,
    ) -> Result<bool, OAuthError> {
        if let Some((id, _)) = refresh_token::read(&self.secrets, token.expose())? {
            // A generation that is spent ends the family too: who asks has proven to be the client, and wants it to end.
            let Some(family) = self.store.find_family(&id).await? else {
                return Ok(false);
            };
            require_own(client, &family.client_id)?;
            let now = self.clock.now();
            let revoked = self.store.revoke_family(&id, now).await?;
            if revoked {
                let entry = family_entry(Event::TokenRevoked, &family);
                self.audit.record(entry.with("kind", "refresh_token"));
            }
            return Ok(revoked);
        }
        let Some(issued) = self.mint.read_issued_token(token.expose()).await? else {
            return self.refuse_other_kinds(token).map(|()| false);
        };
        let claims = issued.claims;
        if self.store.is_token_revoked(&claims.jti).await? {
            return Ok(false);
        }
        require_own(client, &claims.client_id)?;
        self.mint
            .revoke_access_token(token.expose(), &claims)
            .await?;
        let entry = Entry::new(Event::TokenRevoked)
            .client(&client.client_id)
            .family(claims.family.as_ref())
            .with("kind", "access_token")
            .with("jti", claims.jti.as_str());
        self.audit.record(entry);
        Ok(true)
    }

    /// Section 2.2.1: who believes to have ended an ID token must be told that this is impossible.
    fn refuse_other_kinds(&self, token: &PresentedToken) -> Result<(), OAuthError> {
        if self.mint.is_other_token(token.expose()) {
            return Err(OAuthError::new(
                ErrorCode::UnsupportedTokenType,
                "only access tokens and refresh tokens can be revoked",
            ));
        }
        Ok(())
    }
}

/// Section 2.1: a token of somebody else's is refused, and stays good.
fn require_own(client: &Client, owner: &ClientId) -> Result<(), OAuthError> {
    if client.client_id == *owner {
        return Ok(());
    }
    Err(OAuthError::invalid_grant(
        "the token was issued to another client",
    ))
}
