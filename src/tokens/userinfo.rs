//! What userinfo says, signed for the client (OpenID Connect Core section 5.3.2).

use serde::Serialize;

use crate::keys::KeyError;
use crate::model::client::Client;
use crate::protocol::ids::ClientId;
use crate::protocol::issuer::Issuer;
use crate::protocol::jws::{SigningAlgorithm, TokenKind};

use super::Mint;

#[derive(Serialize)]
struct UserinfoClaims<'a, T> {
    iss: &'a Issuer,
    aud: &'a ClientId,
    #[serde(flatten)]
    told: &'a T,
}

impl Mint {
    /// What `client` is told, as a JWT.
    pub async fn userinfo(
        &self,
        client: &Client,
        algorithm: SigningAlgorithm,
        told: &(impl Serialize + Sync),
    ) -> Result<String, KeyError> {
        let claims = UserinfoClaims {
            iss: &self.issuer,
            aud: &client.client_id,
            told,
        };
        let now = self.clock.now();
        self.sign(TokenKind::Userinfo, algorithm, &claims, now)
            .await
    }
}
