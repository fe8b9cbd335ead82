//! Client authentication (RFC 6749 section 2.3): which client sent a request, proven.

use subtle::ConstantTimeEq as _;

use crate::keys::Purpose;
use crate::model::client::{Client, ClientSecretHash};
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
                self.any_secret_fits(&stored.secrets, secret).await?
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

    /// Tries every live secret, so that the time tells nothing of which one fitted.
    async fn any_secret_fits(
        &self,
        hashes: &[ClientSecretHash],
        secret: &Secret,
    ) -> Result<bool, OAuthError> {
        let keyed = self.secrets.hash(Purpose::ClientSecret, secret.expose())?;
        let mut fits = false;
        for hash in hashes {
            fits |= match hash {
                ClientSecretHash::Keyed { hash } => hash.as_bytes().ct_eq(keyed.as_bytes()).into(),
                ClientSecretHash::Argon2id { phc } => {
                    let hash = PasswordHash::parse(phc).map_err(OAuthError::server_error)?;
                    self.passwords.verify(secret, &hash).await.map_err(busy)?
                }
            };
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
