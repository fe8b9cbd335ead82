//! Client authentication (RFC 6749 section 2.3): which client sent a request, proven.

use subtle::ConstantTimeEq as _;

use crate::keys::Purpose;
use crate::model::client::{Client, ClientSecretHash, is_made_secret};
use crate::passwords::{Busy, PasswordHash};
use crate::protocol::client_auth::{ClientAuthMethod, ClientCredentials, invalid_client};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::secret::Secret;

use super::Grants;

impl Grants {
    /// The client that `credentials` prove. Unknown clients, wrong secrets and wrong methods get one answer; the
    /// reason is in the log.
    pub async fn authenticate_client(
        &self,
        credentials: &ClientCredentials,
    ) -> Result<Client, OAuthError> {
        let stored = self.store.find_client(&credentials.client_id).await?;
        let known = stored.as_ref().map_or(&[][..], |stored| &stored.secrets);
        let fits = match &credentials.secret {
            Some(secret) => self.any_secret_fits(known, secret).await?,
            None => false,
        };
        let Some(stored) = stored else {
            return Err(refused("no such client"));
        };
        let registered = stored.client.token_endpoint_auth_method;
        match (registered, &credentials.secret) {
            (ClientAuthMethod::None, None) => Ok(stored.client),
            (_, Some(_)) if registered == credentials.method && fits => Ok(stored.client),
            (_, Some(_)) if registered == credentials.method => Err(refused("wrong secret")),
            _ => Err(refused("the client is registered for another method")),
        }
    }

    /// Tries every live secret. What that costs depends on the form of `secret` alone, which its sender knows, and not
    /// on whether the client exists or what it has (T58).
    async fn any_secret_fits(
        &self,
        hashes: &[ClientSecretHash],
        secret: &Secret,
    ) -> Result<bool, OAuthError> {
        let keyed = self.secrets.hash(Purpose::ClientSecret, secret.expose())?;
        if is_made_secret(secret.expose()) {
            // No human chose it, so it is behind no Argon2id hash.
            return Ok(hashes.iter().fold(false, |fits, hash| match hash {
                ClientSecretHash::Keyed { hash } => {
                    fits | bool::from(hash.as_bytes().ct_eq(keyed.as_bytes()))
                }
                ClientSecretHash::Argon2id { .. } => fits,
            }));
        }
        let mut fits = false;
        let mut worked = false;
        for hash in hashes {
            if let ClientSecretHash::Argon2id { phc } = hash {
                let hash = PasswordHash::parse(phc).map_err(OAuthError::server_error)?;
                fits |= self.passwords.verify(secret, &hash).await.map_err(busy)?;
                worked = true;
            }
        }
        if !worked {
            self.passwords
                .spend(secret, &self.stand_in)
                .await
                .map_err(busy)?;
        }
        Ok(fits)
    }
}

fn busy(error: Busy) -> OAuthError {
    OAuthError::new(
        ErrorCode::TemporarilyUnavailable,
        "too many requests at once; try again in a moment",
    )
    .because(error)
}

fn refused(reason: &'static str) -> OAuthError {
    invalid_client("client authentication failed: check client_id, client_secret and the method")
        .because(reason)
}
