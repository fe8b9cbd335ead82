//! Access tokens that come back to us, whichever form they have: at userinfo, the gateway, a token exchange, introspection.
//! What was revoked is refused here, however long an API that checks it by itself would still take it.

use crate::clock::SKEW;
use crate::keys::{KeyError, Purpose};
use crate::protocol::claims::AccessTokenClaims;
use crate::protocol::error::OAuthError;
use crate::protocol::jws::TokenKind;
use crate::protocol::token::OPAQUE_PREFIX;
use crate::store::BehindFamily;

use super::Mint;

/// How long 256 bits are in base64url.
const RANDOM_CHARACTERS: usize = 43;

/// An access token of ours that was read and found current.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// What it says.
    pub claims: AccessTokenClaims,
    /// What stood behind it then, where reading it was a look at the database anyway: for whoever asks next, and not to be kept.
    pub seen: Option<BehindFamily>,
}

impl Mint {
    /// Reads an access token that was sent to an endpoint of ours: signature, kind, issuer, audience, times. `None`: it is none of
    /// ours, or no more. Whether its login still stands, and whether a token of a person was revoked, [`AccessTokens::behind`](super::standing::AccessTokens::behind)
    /// says: one look at the database for both.
    pub async fn read_access_token(&self, token: &str) -> Result<Option<IssuedToken>, OAuthError> {
        let issued = self.read_issued_token(token).await?;
        Ok(issued.filter(|issued| issued.claims.aud.contains(self.issuer.as_str())))
    }

    /// The same for one that is not used here but shown to its issuer, for whatever API it is (RFC 8693 section 2.1).
    pub async fn read_issued_token(&self, token: &str) -> Result<Option<IssuedToken>, OAuthError> {
        let now = self.clock.now();
        let hash = self.opaque_hash(token)?;
        let found: Option<(AccessTokenClaims, _)> = if let Some(hash) = &hash {
            self.store.find_access_token(hash).await?
        } else {
            let claims = self.ring.verify(TokenKind::AccessToken, token, now);
            claims.ok().map(|claims| (claims, None))
        };
        let Some((claims, seen)) = found else {
            return Ok(None);
        };
        let current = claims.iat <= now + SKEW && now < claims.exp && claims.iss == self.issuer;
        if !current {
            return Ok(None);
        }
        // Nothing stands behind a client's own token that would have to be looked at, and an opaque one that was revoked is gone.
        let is_alone = claims.family.is_none() && hash.is_none();
        if is_alone && self.store.is_token_revoked(&claims.jti).await? {
            return Ok(None);
        }
        Ok(Some(IssuedToken { claims, seen }))
    }

    /// Ends the access token that `claims` were read from, and nothing else of its family: whoever drops a token that they
    /// need no more must not be signed out by it (RFC 7009 section 2.1 leaves that open).
    pub async fn revoke_access_token(
        &self,
        token: &str,
        claims: &AccessTokenClaims,
    ) -> Result<(), OAuthError> {
        if let Some(hash) = self.opaque_hash(token)? {
            self.store.delete_access_token(&hash).await?;
            return Ok(());
        }
        let now = self.clock.now();
        self.store
            .revoke_token(&claims.jti, claims.exp, now)
            .await?;
        Ok(())
    }

    /// The hash under which a text of this form would be stored. The whole text is hashed, so no other spelling of a token is
    /// it (T23).
    fn opaque_hash(&self, token: &str) -> Result<Option<String>, KeyError> {
        let random = token.strip_prefix(OPAQUE_PREFIX);
        if random.is_none_or(|random| random.len() != RANDOM_CHARACTERS) {
            return Ok(None);
        }
        self.secrets.hash(Purpose::AccessToken, token).map(Some)
    }

    /// Whether `token` is one that we signed and that is no access token.
    pub fn is_other_token(&self, token: &str) -> bool {
        let now = self.clock.now();
        let others = TokenKind::ALL.into_iter();
        let mut others = others.filter(|kind| *kind != TokenKind::AccessToken);
        others.any(|kind| {
            let verified = self.ring.verify::<serde_json::Value>(kind, token, now);
            verified.is_ok()
        })
    }
}
