//! Client authentication (RFC 6749 section 2.3): which client sent a request, proven.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use crate::keys::Purpose;
use crate::model::client::{Client, ClientSecretHash, is_made_secret};
use crate::model::throttle;
use crate::passwords::{Busy, PasswordHash};
use crate::protocol::client_auth::{ClientAuthMethod, ClientCredentials, Proof, refused};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::secret::Secret;
use crate::store::StoredClient;
use crate::telemetry::note_client;

use super::Grants;

impl Grants {
    /// The client that `credentials` prove. Unknown clients, wrong secrets and wrong methods get one answer; the
    /// reason is in the log.
    pub async fn authenticate_client(
        &self,
        credentials: &ClientCredentials,
        address: &str,
    ) -> Result<Arc<Client>, OAuthError> {
        let stored = self.store.find_client(&credentials.client_id).await?;
        if let Some(stored) = &stored {
            note_client(&stored.client.client_id);
        }
        let (method, fits) = match &credentials.proof {
            Proof::Assertion(assertion) => {
                let stored = stored.ok_or_else(|| refused("no such client"))?;
                require_allowed_method(&stored.client)?;
                return self.check_assertion(stored, assertion).await;
            }
            Proof::Nothing => (ClientAuthMethod::None, true),
            Proof::Basic(secret) => (
                ClientAuthMethod::ClientSecretBasic,
                self.any_secret_fits(stored.as_ref(), secret, address)
                    .await?,
            ),
            Proof::Post(secret) => (
                ClientAuthMethod::ClientSecretPost,
                self.any_secret_fits(stored.as_ref(), secret, address)
                    .await?,
            ),
        };
        let Some(stored) = stored else {
            return Err(refused("no such client"));
        };
        if stored.client.token_endpoint_auth_method != method {
            return Err(refused("the client is registered for another method"));
        }
        require_allowed_method(&stored.client)?;
        if !fits {
            return Err(refused("wrong secret"));
        }
        Ok(stored.client)
    }

    /// Tries every live secret. What that costs depends on the form of `secret` alone, which its sender knows, and not
    /// on whether the client exists or what it has (T58).
    async fn any_secret_fits(
        &self,
        stored: Option<&StoredClient>,
        secret: &Secret,
        address: &str,
    ) -> Result<bool, OAuthError> {
        let keyed = self.secrets.hash(Purpose::ClientSecret, secret.expose())?;
        let mut fits = false;
        let mut chosen = Vec::new();
        for hash in stored.map_or(&[][..], |stored| &stored.secrets) {
            match hash {
                ClientSecretHash::Keyed { hash } => {
                    fits |= bool::from(hash.as_bytes().ct_eq(keyed.as_bytes()));
                }
                ClientSecretHash::Argon2id { phc } => chosen.push(phc),
                // It is never sent, so nothing that is sent can be it.
                ClientSecretHash::Sealed { .. } => {}
            }
        }
        if is_made_secret(secret.expose()) {
            // No human chose it, so it is behind no Argon2id hash.
            return Ok(fits);
        }
        let bucket = chosen_secret_bucket(stored, address);
        self.reserve_try(&bucket).await?;
        let judged = self.any_chosen_fits(secret, &chosen).await;
        let judged = judged.map(|chosen_fits| fits || chosen_fits);
        // Nothing is used up where nothing was judged: an app that comes again as it is told knows its secret.
        if !matches!(judged, Ok(false)) {
            self.store.return_attempt(&bucket).await?;
        }
        judged
    }

    /// Tries `secret` on hashes of secrets that a human chose; where there are none, with as much work (T58).
    async fn any_chosen_fits(
        &self,
        secret: &Secret,
        chosen: &[&String],
    ) -> Result<bool, OAuthError> {
        let mut fits = false;
        for phc in chosen {
            let hash = PasswordHash::parse(phc).map_err(OAuthError::server_error)?;
            fits |= self.passwords.verify(secret, &hash).await.map_err(busy)?;
        }
        if chosen.is_empty() {
            let spent = self.passwords.spend(secret, &self.stand_in).await;
            spent.map_err(busy)?;
        }
        Ok(fits)
    }

    /// A secret that a human chose can be guessed, and trying it is work: only so many may fail from one address
    /// (RFC 6749 section 2.3.1).
    async fn reserve_try(&self, bucket: &str) -> Result<(), OAuthError> {
        let now = self.clock.now();
        let policy = self.address_throttle;
        if self.store.reserve_attempt(bucket, policy, now).await? {
            return Ok(());
        }
        self.metrics.throttled("client_secret");
        Err(OAuthError::new(
            ErrorCode::TemporarilyUnavailable,
            "too many wrong secrets from this address; try again later",
        ))
    }
}

/// Of a client that registered itself under a policy that allowed more.
fn require_allowed_method(client: &Client) -> Result<(), OAuthError> {
    if client.lacks_auth_method() {
        return Err(refused(
            "the client's method is no longer one of registration.token_endpoint_auth_methods",
        ));
    }
    Ok(())
}

/// The count is the client's at that address, so that a guesser elsewhere, or another client behind the same proxy, does
/// not lock it out; clients that do not exist share one, or each made-up name would be a row.
fn chosen_secret_bucket(stored: Option<&StoredClient>, address: &str) -> String {
    let client_id = stored.map_or("", |stored| stored.client.client_id.as_str());
    format!("client\n{client_id}\n{}", throttle::place(address))
}

fn busy(error: Busy) -> OAuthError {
    OAuthError::new(
        ErrorCode::TemporarilyUnavailable,
        "too many requests at once; try again in a moment",
    )
    .because(error)
}
