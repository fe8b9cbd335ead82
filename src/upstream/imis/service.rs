//! The service account: few calls at a time (the vendor asks for that), none while iMIS wants to be left alone, with the
//! token that all nodes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::StatusCode;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time;

use super::Imis;
use super::api::ApiError;
use super::settings::{ServiceAccount, Settings};
use super::token::TokenEndpoint;
use crate::clock::{Clock, UnixTime, is_ahead};
use crate::protocol::error::chain;
use crate::protocol::ids::UpstreamId;
use crate::protocol::secret::Secret;
use crate::upstream::outbound::Answer;
use crate::upstream::shelf::whose;
use crate::upstream::{
    AskForToken, LoginError, MissingRight, ServiceLogin, Shelf, Surroundings, UpstreamTokens,
};

/// Where the role is given.
pub(super) const ROLE: &str = "give the account the role RemoteService (iMIS: Community > Security > Users > the account > Add role; \
                    EMS Professional: tick Remote Service Access)";
/// Seconds in which an account that lacks its role is not tried again.
const AFTER_LACKING: i64 = 60;
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
        let (until, now) = (self.rests_until.load(Ordering::SeqCst), self.clock.now());
        if is_ahead(until, LONGEST_REST, now) {
            let left = until - now;
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
        // One that a clock noted which was ahead is no longer one.
        let longer = |kept| (!is_ahead(kept, LONGEST_REST, now) || kept < until).then_some(until);
        let rests = &self.rests_until;
        let _ = rests.fetch_update(Ordering::SeqCst, Ordering::SeqCst, longer);
    }

    /// A token that lives and is not `stale`, which the API has just refused.
    pub(super) async fn token(
        self: &Arc<Self>,
        stale: Option<&Secret>,
    ) -> Result<UpstreamTokens, LoginError> {
        let ask = Arc::clone(self) as Arc<dyn AskForToken>;
        self.shelf.token(&self.upstream, stale, ask).await
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

    fn whose(&self) -> String {
        whose(&self.account.username, &self.account.password)
    }
}

/// Gives the service account's token to clients, once it was seen to open more than the account's own record: some
/// versions give a token without the role, too.
pub(super) struct ServiceTokens {
    imis: Arc<Imis>,
    service: Arc<Service>,
    /// Held while the API is asked, so that the others wait for this answer.
    seen: Mutex<Option<Seen>>,
}

/// What is known of a token.
struct Seen {
    access: Secret,
    /// Until when the role is known to lack; `None`: it is there.
    lacks_until: Option<UnixTime>,
}

impl ServiceTokens {
    pub(super) fn new(imis: Arc<Imis>, service: Arc<Service>) -> Self {
        Self {
            imis,
            service,
            seen: Mutex::new(None),
        }
    }

    /// Whether the kept token opens anything; `None` where the API does not tell.
    async fn opens(&self) -> Option<bool> {
        match self.imis.api.visible_users(&self.service).await {
            // Everybody may read their own record.
            Ok(Some(0 | 1)) | Err(ApiError::Unauthorized | ApiError::Forbidden) => Some(false),
            Ok(Some(_)) => Some(true),
            Ok(None) | Err(ApiError::NotImplemented | ApiError::Login(_)) => None,
        }
    }
}

#[async_trait]
impl ServiceLogin for ServiceTokens {
    async fn token(&self, stale: Option<&Secret>) -> Result<UpstreamTokens, LoginError> {
        let mut seen = self.seen.lock().await;
        let mut tokens = self.service.token(stale).await?;
        let lacking = || MissingRight {
            right: "the role RemoteService",
            advice: ROLE,
        };
        let now = self.imis.clock.now();
        let of_this = |seen: &&Seen| seen.access.equals(tokens.access.expose());
        match seen.as_ref().filter(of_this).map(|seen| seen.lacks_until) {
            Some(None) => return Ok(tokens),
            Some(Some(until)) if now < until => return Err(lacking().into()),
            // The role may be there now, and older tokens may not know of it.
            Some(Some(_)) => tokens = self.service.token(Some(&tokens.access)).await?,
            None => {}
        }
        let opens = self.opens().await;
        // The API may have refused the one that was kept.
        tokens = self.service.token(None).await.unwrap_or(tokens);
        *seen = opens.map(|opens| Seen {
            access: tokens.access.clone(),
            lacks_until: (!opens).then_some(now + AFTER_LACKING),
        });
        if opens == Some(false) {
            let error = LoginError::from(lacking());
            tracing::warn!(upstream = %self.service.upstream, reason = chain(&error), "no client gets its token");
            return Err(error);
        }
        Ok(tokens)
    }
}
