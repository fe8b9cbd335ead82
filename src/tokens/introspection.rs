//! What introspection says, signed for whoever asked (RFC 9701).

use crate::keys::KeyError;
use crate::model::client::Client;
use crate::protocol::introspection::{Introspection, IntrospectionClaims};
use crate::protocol::jws::TokenKind;

use super::Mint;

impl Mint {
    /// The answer to `client` as a JWT, with the algorithm that the client is registered for (RFC 9701 section 6).
    pub async fn introspection(
        &self,
        client: &Client,
        answer: &Introspection,
    ) -> Result<String, KeyError> {
        let now = self.clock.now();
        let claims = IntrospectionClaims {
            iss: &self.issuer,
            aud: &client.client_id,
            iat: now,
            token_introspection: answer,
        };
        let registered = client.introspection_signed_response_alg;
        let algorithm = registered.unwrap_or(self.default_algorithm);
        self.sign(TokenKind::TokenIntrospection, algorithm, &claims, now)
            .await
    }
}
