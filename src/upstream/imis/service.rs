//! The service account: few calls at a time (the vendor asks for that), none while iMIS wants to be left alone, with the
//! token that all nodes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time;

use super::settings::{ServiceAccount, Settings};
use super::token::TokenEndpoint;
use crate::clock::Clock;
use crate::protocol::ids::UpstreamId;
use crate::protocol::secret::Secret;
use crate::upstream::outbound::Answer;
use crate::upstream::{AskForToken, LoginError, ServiceLogin, Shelf, Surroundings, UpstreamTokens};

/// Seconds to leave iMIS alone when it throttles without saying how long.
const UNTOLD_REST: i64 = 5;
/// The most seconds that are waited for it; a mistake there should not shut us up for a day.
const LONGEST_REST: i64 = 600;

/// The account that acts for Portico itself. Turns and rests are those of this node; others learn of theirs by themselves.
pub(super) struct Service {
    upstream: UpstreamId,
    account: ServiceAccount,
    tokens: TokenEndpoint,
    clock: Clock,
    timeout: Duration,
    calls: Semaphore,
    /// Until when iMIS wants no more calls.
    rests_until: AtomicI64,
    shelf: Arc<dyn Shelf>,
}

impl Service {
    pub(super) fn new(
        upstream: UpstreamId,
        account: ServiceAccount,
        tokens: TokenEndpoint,
        settings: &Settings,
        surroundings: &Surroundings,
    ) -> Self {
        Self {
            upstream,
            account,
            tokens,
            clock: surroundings.clock.clone(),
            timeout: settings.timeout,
            calls: Semaphore::new(settings.max_concurrent),
            rests_until: AtomicI64::new(0),
            shelf: Arc::clone(&surroundings.shelf),
        }
    }

    /// The service account's user name.
    pub(super) fn username(&self) -> &str {
        &self.account.username
    }

    /// Waits for a turn; it ends when what is returned is dropped.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, LoginError> {
        let busy = || LoginError::Unavailable("too many wait for the service account".into());
        let turn = time::timeout(self.timeout, self.calls.acquire())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        self.may_ask()?;
        Ok(turn)
    }

    /// Refuses while iMIS wants to be left alone.
    fn may_ask(&self) -> Result<(), LoginError> {
        let left = self
            .rests_until
            .load(Ordering::SeqCst)
            .saturating_sub(self.clock.now());
        if left > 0 {
            return Err(LoginError::Unavailable(
                format!("iMIS throttles the service account for {left} more seconds").into(),
            ));
        }
        Ok(())
    }

    /// Takes notice of a wish to be left alone; a shorter one does not end a longer one.
    pub(super) fn heed(&self, answer: &Answer) {
        let now = self.clock.now();
        let told = answer.retry_after(now);
        let rest = match answer.status {
            StatusCode::TOO_MANY_REQUESTS => Some(told.unwrap_or(UNTOLD_REST)),
            StatusCode::SERVICE_UNAVAILABLE => told,
            _ => None,
        };
        let Some(rest) = rest else {
            return;
        };
        let until = now + rest.clamp(0, LONGEST_REST);
        self.rests_until.fetch_max(until, Ordering::SeqCst);
    }

    /// A token that lives and is not `stale`, which the API has just refused.
    pub(super) async fn token(&self, stale: Option<&Secret>) -> Result<UpstreamTokens, LoginError> {
        self.shelf.token(&self.upstream, stale, self).await
    }
}

#[async_trait]
impl AskForToken for Service {
    async fn ask(&self) -> Result<UpstreamTokens, LoginError> {
        let ServiceAccount { username, password } = &self.account;
        self.may_ask()?;
        let now = self.clock.now();
        let token = self
            .tokens
            .password_heeding(username, password, |answer| self.heed(answer))
            .await?;
        // The account's password is at hand; a refresh token would be one more secret to keep.
        Ok(UpstreamTokens {
            refresh: None,
            ..token.into_tokens(now, None)
        })
    }
}

/// Gives the service account's token to whoever may have it.
pub(super) struct ServiceTokens(pub(super) Arc<Service>);

#[async_trait]
impl ServiceLogin for ServiceTokens {
    async fn token(&self, stale: Option<&Secret>) -> Result<UpstreamTokens, LoginError> {
        self.0.token(stale).await
    }
}
