//! Client authentication by a JWT that the client signed (RFC 7523 section 3, OpenID Connect Core section 9):
//! `private_key_jwt` and `client_secret_jwt`.

use std::sync::Arc;

use crate::keys::Purpose;
use crate::model::audit::Event;
use crate::model::client::{Client, ClientSecretHash};
use crate::model::spent_id::{SpentId, SpentKind};
use crate::model::throttle;
use crate::protocol::client_assertion::{AHEAD, Assertion, AssertionAlgorithm};
use crate::protocol::client_auth::{ClientAuthMethod, refused};
use crate::protocol::discovery::path;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::foreign_jwt::{Claims, ForeignJwt, JwtProblem};
use crate::protocol::ids::ClientId;
use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::secret::Secret;
use crate::store::StoredClient;
use crate::telemetry::Entry;

use super::Grants;

impl Grants {
    /// The client, if `assertion` is its, says what it must, and was never used before (T42).
    pub(super) async fn check_assertion(
        &self,
        stored: StoredClient,
        assertion: &ForeignJwt,
    ) -> Result<Arc<Client>, OAuthError> {
        let client = &stored.client;
        let claims = match client.token_endpoint_auth_method {
            ClientAuthMethod::PrivateKeyJwt => self.signed_by_key(client, assertion).await?,
            ClientAuthMethod::ClientSecretJwt => self.signed_by_secret(&stored, assertion)?,
            _ => return Err(refused("the client is registered for another method")),
        };
        let issuer = self.mint.issuer();
        let token_endpoint = issuer.at(path::TOKEN);
        let mut audiences = vec![issuer.as_str()];
        if client.allow_token_endpoint_audience {
            audiences.push(&token_endpoint);
        }
        let now = self.clock.now();
        let Assertion { jti, exp } =
            Assertion::check(&claims, &client.client_id, &audiences, now).map_err(unfit)?;
        let spent = SpentId {
            kind: SpentKind::ClientAssertion,
            owner: client.client_id.as_str(),
            id: &jti,
            expires_at: exp.saturating_add(AHEAD),
        };
        if client.registered {
            // Whoever has seen one must not use up the client's rows by sending it again.
            if self.store.is_spent(spent, now).await? {
                return Err(self.replayed_assertion(client));
            }
            self.reserve_id(&client.client_id).await?;
        }
        // The last step: what is refused for another reason is not spent, so that nobody can use up a stranger's ids.
        if !self.store.spend_id(spent, now).await? {
            return Err(self.replayed_assertion(client));
        }
        Ok(stored.client)
    }

    fn replayed_assertion(&self, client: &Client) -> OAuthError {
        self.metrics.replayed("client_assertion");
        let entry = Entry::new(Event::ClientAssertionReplayed).client(&client.client_id);
        self.audit.record(entry);
        refused("the client's assertion was used before (jti)")
    }

    /// Anybody can register a client, and must not fill the database with what it signs.
    async fn reserve_id(&self, client_id: &ClientId) -> Result<(), OAuthError> {
        let bucket = throttle::registered_assertions(client_id);
        let (policy, now) = (throttle::REGISTERED_ASSERTIONS, self.clock.now());
        if self.store.reserve_attempt(&bucket, policy, now).await? {
            return Ok(());
        }
        self.metrics.throttled("client_assertion");
        Err(OAuthError::new(
            ErrorCode::TemporarilyUnavailable,
            "too many assertions of this client; try again later, and keep an access token while it is good",
        ))
    }

    async fn signed_by_key(
        &self,
        client: &Client,
        assertion: &ForeignJwt,
    ) -> Result<Claims, OAuthError> {
        // T39: what its owner registered, and of that what fits the key.
        let allowed = match client.token_endpoint_auth_signing_alg {
            None => SigningAlgorithm::ALL.to_vec(),
            Some(only) => only.of_key().into_iter().collect(),
        };
        let verified = self.client_keys.verify(client, assertion, &allowed).await;
        verified.map_err(refused)
    }

    fn signed_by_secret(
        &self,
        stored: &StoredClient,
        assertion: &ForeignJwt,
    ) -> Result<Claims, OAuthError> {
        let registered = stored.client.token_endpoint_auth_signing_alg;
        if registered.is_some_and(|only| only != AssertionAlgorithm::HS256) {
            return Err(unfit(JwtProblem::Algorithm));
        }
        let context = stored.client.client_id.as_str();
        let mut secrets = Vec::new();
        for hash in &stored.secrets {
            let ClientSecretHash::Sealed { sealed } = hash else {
                continue;
            };
            let opened = self.secrets.open(Purpose::ClientSecretKey, context, sealed);
            let opened = opened.and_then(|bytes| String::from_utf8(bytes).ok());
            let opened = opened.ok_or_else(|| {
                OAuthError::server_error("a client secret cannot be opened with this master key")
            })?;
            secrets.push(Secret::new(opened));
        }
        assertion.verified_by_secret(&secrets).map_err(unfit)
    }
}

fn unfit(problem: JwtProblem) -> OAuthError {
    refused(format!("the client's assertion {problem}"))
}
