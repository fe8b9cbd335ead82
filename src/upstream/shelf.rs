//! Where the token of a service account is kept: one request for however many ask, renewal before it ends, and, when its
//! password is refused, no hammering that would lock the account.
//!
//! [`InProcess`] keeps it in this process alone, for commands; a server keeps it where all nodes see it.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::{AskForToken, LoginError, Shelf, UpstreamTokens};
use crate::clock::{CLOCKS_APART, Clock, UnixTime, is_ahead};
use crate::protocol::error::chain;
use crate::protocol::ids::UpstreamId;
use crate::protocol::secret::Secret;

/// Seconds before its end at which a token is renewed; short-lived ones at a tenth of their life.
const MARGIN: i64 = 60;
/// Seconds in which a refused password is not tried again.
const AFTER_REFUSAL: i64 = 60;
/// Seconds in which an upstream that did not answer is not asked for a token again.
const AFTER_OUTAGE: i64 = 5;

const fn pause(outage: bool) -> i64 {
    if outage { AFTER_OUTAGE } else { AFTER_REFUSAL }
}

/// What the last request for a token came to. Serialized inside sealed records alone (T63).
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum Kept {
    /// A token.
    Token {
        /// The token.
        tokens: UpstreamTokens,
        /// When a new one is due.
        renew_at: UnixTime,
    },
    /// None.
    Failure {
        /// Whether the upstream did not answer, rather than refuse.
        outage: bool,
        /// Why, for operators.
        told: String,
        /// Until when it is not tried again.
        until: UnixTime,
    },
}

impl Kept {
    /// What came of a request that was `begun` then and has ended at `now`.
    pub fn from_answer(
        answer: Result<UpstreamTokens, LoginError>,
        begun: UnixTime,
        now: UnixTime,
    ) -> Self {
        match answer {
            Ok(tokens) => {
                let life = (tokens.expires_at - begun).max(0);
                let renew_at = begun + life - MARGIN.min(life / 10);
                Self::Token { tokens, renew_at }
            }
            Err(error) => {
                let outage = matches!(error, LoginError::Unavailable(_));
                let mut told = chain(&error);
                if matches!(error, LoginError::BadCredentials(_)) {
                    told += "; look at service_account, and at the upstream whether the account is locked or its password expired";
                }
                Self::Failure {
                    outage,
                    told,
                    until: now + pause(outage),
                }
            }
        }
    }

    /// When it is of no use any more.
    pub const fn ends_at(&self) -> UnixTime {
        match self {
            Self::Token { tokens, .. } => tokens.expires_at,
            Self::Failure { until, .. } => *until,
        }
    }

    /// What to answer at `now` without asking the upstream; `None` when it has to be asked.
    pub fn answer(
        &self,
        stale: Option<&Secret>,
        now: UnixTime,
    ) -> Option<Result<UpstreamTokens, LoginError>> {
        let good = match self {
            Self::Token { tokens, renew_at } => {
                let refused = stale.is_some_and(|stale| tokens.access.equals(stale.expose()));
                now < *renew_at && !refused
            }
            Self::Failure { outage, until, .. } => {
                is_ahead(*until, pause(*outage) + CLOCKS_APART, now)
            }
        };
        good.then(|| self.outcome())
    }

    /// The token, or the failure that it is. The person who waits did nothing wrong, whatever the upstream thinks of the
    /// service account.
    pub fn outcome(&self) -> Result<UpstreamTokens, LoginError> {
        match self {
            Self::Token { tokens, .. } => Ok(tokens.clone()),
            Self::Failure { outage, told, .. } => {
                let told = format!("no token for the service account: {told}").into();
                Err(if *outage {
                    LoginError::Unavailable(told)
                } else {
                    LoginError::Protocol(told)
                })
            }
        }
    }
}

/// Asks something with the service account's token; with a new one, if the one that was kept is refused.
pub(super) async fn ask_twice<T, E, A, N>(
    kept: UpstreamTokens,
    ask: impl Fn(Secret) -> A + Send,
    is_refused: impl Fn(&Result<T, E>) -> bool + Send,
    renew: impl FnOnce(Secret) -> N + Send,
) -> Result<T, E>
where
    T: Send,
    E: From<LoginError> + Send,
    A: Future<Output = Result<T, E>> + Send,
    N: Future<Output = Result<UpstreamTokens, LoginError>> + Send,
{
    let answer = ask(kept.access.clone()).await;
    if !is_refused(&answer) {
        return answer;
    }
    let fresh = renew(kept.access).await?;
    ask(fresh.access).await
}

/// Keeps tokens in this process.
#[derive(Debug)]
pub struct InProcess {
    clock: Clock,
    kept: Mutex<HashMap<UpstreamId, Arc<Mutex<Option<Kept>>>>>,
}

impl InProcess {
    /// An empty shelf.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            kept: Mutex::new(HashMap::new()),
        }
    }
}

#[async_trait]
impl Shelf for InProcess {
    async fn token(
        &self,
        upstream: &UpstreamId,
        stale: Option<&Secret>,
        ask: Arc<dyn AskForToken>,
    ) -> Result<UpstreamTokens, LoginError> {
        let place = {
            let mut kept = self.kept.lock().await;
            Arc::clone(kept.entry(upstream.clone()).or_default())
        };
        // Held while asking, so that the others wait for this answer instead of asking too.
        let mut kept = place.lock().await;
        let now = self.clock.now();
        if let Some(answer) = kept.as_ref().and_then(|kept| kept.answer(stale, now)) {
            return answer;
        }
        let answer = ask.ask().await;
        kept.insert(Kept::from_answer(answer, now, self.clock.now()))
            .outcome()
    }
}
