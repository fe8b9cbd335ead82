//! Client authentication (RFC 6749 section 2.3): which client sent a request, proven.

use subtle::ConstantTimeEq as _;

use crate::keys::Purpose;
use crate::model::client::{Client, ClientSecretHash};
use crate::model::throttle;
use crate::passwords::{Busy, PasswordHash};
use crate::protocol::client_auth::{ClientAuthMethod, ClientCredentials, invalid_client};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::secret::Secret;
use crate::store::StoredClient;

use super::Grants;

impl Grants {
    /// The client that `credentials` prove. Unknown clients, wrong secrets and wrong methods get one answer; the
    /// reason is in the log.
    pub async fn authenticate_client(
        &self,
        credentials: &ClientCredentials,
        address: &str,
    ) -> Result<Client, OAuthError> {
        let stored = self.store.find_client(&credentials.client_id).await?;
        let Some(stored) = stored else {
            // The same work as for a known client (T58).
            self.secrets
                .hash(Purpose::ClientSecret, exposed(credentials.secret.as_ref()))?;
            return Err(refused("no such client"));
        };
        let registered = stored.client.token_endpoint_auth_method;
        let proven = match (registered, &credentials.secret) {
            (ClientAuthMethod::None, None) => true,
            (_, Some(secret)) if registered == credentials.method => {
                self.any_secret_fits(&stored, secret, address).await?
            }
            _ => {
                return Err(refused("the client is registered for another method"));
            }
        };
        if proven {
            Ok(stored.client)
        } else {
            Err(refused("wrong secret"))
        }
    }

    /// Tries every live secret, so that the time tells nothing of which one fitted. A secret that a human chose can be
    /// guessed, and trying it is work: only so many may fail from one address (RFC 6749 section 2.3.1). The count is the
    /// client's at that address, so that a guesser elsewhere does not lock the client out.
    async fn any_secret_fits(
        &self,
        stored: &StoredClient,
        secret: &Secret,
        address: &str,
    ) -> Result<bool, OAuthError> {
        let keyed = self.secrets.hash(Purpose::ClientSecret, secret.expose())?;
        let mut fits = false;
        let mut chosen = Vec::new();
        for hash in &stored.secrets {
            match hash {
                ClientSecretHash::Keyed { hash } => {
                    fits |= bool::from(hash.as_bytes().ct_eq(keyed.as_bytes()));
                }
                ClientSecretHash::Argon2id { phc } => chosen.push(phc),
            }
        }
        if chosen.is_empty() {
            return Ok(fits);
        }
        let client_id = &stored.client.client_id;
        let bucket = format!("client\n{client_id}\n{}", throttle::place(address));
        let now = self.clock.now();
        let free = self
            .store
            .reserve_attempt(&bucket, self.address_throttle, now);
        if !free.await? {
            return Err(OAuthError::new(
                ErrorCode::TemporarilyUnavailable,
                "too many wrong secrets from this address; try again later",
            ));
        }
        for phc in chosen {
            let hash = PasswordHash::parse(phc).map_err(OAuthError::server_error)?;
            fits |= self.passwords.verify(secret, &hash).await.map_err(busy)?;
        }
        if fits {
            self.store.return_attempt(&bucket).await?;
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

fn exposed(secret: Option<&Secret>) -> &str {
    secret.map(Secret::expose).unwrap_or_default()
}

fn refused(reason: &'static str) -> OAuthError {
    invalid_client("client authentication failed: check client_id, client_secret and the method")
        .because(reason)
}
