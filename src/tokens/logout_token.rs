//! Logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.4).

use crate::clock::random_id;
use crate::keys::KeyError;
use crate::model::client::Client;
use crate::protocol::claims::{LogoutEvents, LogoutTokenClaims};
use crate::protocol::ids::{SessionId, Subject};
use crate::protocol::jws::TokenKind;

use super::Mint;

/// A logout token is of no use for longer, in seconds (section 2.4: at most two minutes are recommended).
const LIFETIME: i64 = 120;

impl Mint {
    /// Tells `client` that `session` of the person it knows as `sub` has ended, or every session of theirs. Signed as its
    /// ID tokens are (section 2.4).
    pub async fn logout_token(
        &self,
        client: &Client,
        sub: &Subject,
        session: Option<&SessionId>,
    ) -> Result<String, KeyError> {
        let now = self.clock.now();
        let claims = LogoutTokenClaims {
            iss: &self.issuer,
            sub: sub.as_str(),
            aud: &client.client_id,
            iat: now,
            exp: now + LIFETIME,
            jti: random_id(),
            sid: session,
            events: LogoutEvents::default(),
        };
        let algorithm = client.id_token_signed_response_alg;
        self.sign(TokenKind::LogoutToken, algorithm, &claims, now)
            .await
    }
}
