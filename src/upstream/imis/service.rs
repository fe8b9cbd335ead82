//! The service account: few calls at a time (the vendor asks for that), with the token that all share.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::time;

use super::api::{Api, ApiError};
use super::settings::{ServiceAccount, Settings};
use super::token::TokenEndpoint;
use crate::clock::Clock;
use crate::protocol::ids::UpstreamId;
use crate::protocol::secret::Secret;
use crate::upstream::{AskForToken, Identity, LoginError, Shelf, Surroundings, UpstreamTokens};

/// Seconds a token is taken for good when iMIS does not say how long it lives.
const UNTOLD_LIFE: i64 = 300;

/// The account that acts for Portico itself.
pub(super) struct Service {
    upstream: UpstreamId,
    account: ServiceAccount,
    clock: Clock,
    timeout: Duration,
    calls: Semaphore,
    shelf: Arc<dyn Shelf>,
}

impl Service {
    pub(super) fn new(
        upstream: UpstreamId,
        account: ServiceAccount,
        settings: &Settings,
        surroundings: &Surroundings,
    ) -> Self {
        Self {
            upstream,
            account,
            clock: surroundings.clock.clone(),
            timeout: settings.timeout,
            calls: Semaphore::new(settings.max_concurrent),
            shelf: Arc::clone(&surroundings.shelf),
        }
    }

    /// The service account's user name.
    pub(super) fn username(&self) -> &str {
        &self.account.username
    }

    /// The person of a user name whose password iMIS has just accepted.
    pub(super) async fn identify(
        &self,
        tokens: &TokenEndpoint,
        api: &Api,
        name: &str,
    ) -> Result<Identity, LoginError> {
        let busy = || LoginError::Unavailable("too many wait for the service account".into());
        let _call = time::timeout(self.timeout, self.calls.acquire())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        let token = self.token(tokens, None).await?;
        let refused = match api.identify(name, &token).await {
            Err(ApiError::Unauthorized) => {
                let token = self.token(tokens, Some(&token)).await?;
                api.identify(name, &token).await
            }
            other => other,
        };
        refused.map_err(|error| match error {
            ApiError::Login(error) => error,
            refused => LoginError::Protocol(
                format!(
                    "{refused} with the service account's token; \
                     give the account the role RemoteService and the right to read User and Party"
                )
                .into(),
            ),
        })
    }

    /// A token that lives and is not `stale`, which the API has just refused.
    pub(super) async fn token(
        &self,
        tokens: &TokenEndpoint,
        stale: Option<&Secret>,
    ) -> Result<Secret, LoginError> {
        let ask = Ask {
            tokens,
            account: &self.account,
            clock: &self.clock,
        };
        let kept = self.shelf.token(&self.upstream, stale, &ask).await?;
        Ok(kept.access)
    }
}

/// One request for a token.
struct Ask<'a> {
    tokens: &'a TokenEndpoint,
    account: &'a ServiceAccount,
    clock: &'a Clock,
}

#[async_trait]
impl AskForToken for Ask<'_> {
    async fn ask(&self) -> Result<UpstreamTokens, LoginError> {
        let ServiceAccount { username, password } = self.account;
        let now = self.clock.now();
        let token = self.tokens.password(username, password).await?;
        Ok(UpstreamTokens {
            access: token.access,
            refresh: None,
            expires_at: now + token.expires_in.unwrap_or(UNTOLD_LIFE).max(0),
            application: None,
            sign_off_hint: None,
        })
    }
}
