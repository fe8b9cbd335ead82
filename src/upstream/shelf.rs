//! Where the token of a service account is kept: one request for however many ask, renewal before it ends, and, when its
//! password is refused, no hammering that would lock the account.
//!
//! [`InProcess`] keeps it in this process alone, for commands; a server keeps it where all nodes see it.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::{AskForToken, LoginError, Shelf, UpstreamTokens};
use crate::clock::{CLOCKS_APART, Clock, UnixTime, is_ahead};
use crate::protocol::error::chain;
use crate::protocol::ids::UpstreamId;
use crate::protocol::secret::Secret;

/// Seconds before its end at which a token is renewed; short-lived ones at a tenth of their life.
const MARGIN: i64 = 60;
/// Seconds in which a refused password is not tried again: after the first refusal, the second, and every further one. Systems lock an
/// account by how many wrong passwords come within some minutes: these stay below what people may send, too
/// (`login.max_attempts_per_user`, in a quarter of an hour).
const AFTER_REFUSAL: [i64; 3] = [60, 2 * 60, 15 * 60];
/// Seconds in which an upstream that did not answer is not asked for a token again.
const AFTER_OUTAGE: i64 = 5;
/// Seconds for which a refusal is remembered when it may be tried again: a further one is counted with it.
const REFUSAL_COUNTS: i64 = 60 * 60;

/// Seconds until it is tried again, after so many refusals in a row of the same password.
fn pause(outage: bool, refusals: usize) -> i64 {
    let [first, .., longest] = AFTER_REFUSAL;
    match refusals {
        _ if outage => AFTER_OUTAGE,
        0 => first,
        _ => *AFTER_REFUSAL.get(refusals - 1).unwrap_or(&longest),
    }
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
        /// How often in a row the password was refused.
        #[serde(default)]
        refusals: usize,
        /// Of which account and password it is ([`AskForToken::whose`]).
        #[serde(default)]
        whose: String,
    },
}

impl Kept {
    /// What came of a request by `whose` account and password, which was `begun` then and has ended at `now`; `before` it there was this.
    pub fn from_answer(
        answer: Result<UpstreamTokens, LoginError>,
        before: Option<&Self>,
        whose: String,
        (begun, now): (UnixTime, UnixTime),
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
                let mut refusals = before.map_or(0, |before| before.refusals_of(&whose));
                if matches!(error, LoginError::BadCredentials(_)) {
                    told += "; look at service_account, and at the upstream whether the account is locked or its password expired";
                    refusals += 1;
                }
                Self::Failure {
                    outage,
                    told,
                    until: now + pause(outage, refusals),
                    refusals,
                    whose,
                }
            }
        }
    }

    /// When it is of no use any more.
    pub const fn ends_at(&self) -> UnixTime {
        match self {
            Self::Token { tokens, .. } => tokens.expires_at,
            Self::Failure { until, .. } => *until + REFUSAL_COUNTS,
        }
    }

    /// How often in a row this account's password was refused.
    fn refusals_of(&self, account: &str) -> usize {
        match self {
            Self::Failure {
                refusals, whose, ..
            } if whose == account => *refusals,
            _ => 0,
        }
    }

    /// What to answer at `now` to one who would ask by this `account`, without asking the upstream; `None` when it has to
    /// be asked.
    pub fn answer(
        &self,
        stale: Option<&Secret>,
        account: &str,
        now: UnixTime,
    ) -> Option<Result<UpstreamTokens, LoginError>> {
        let good = match self {
            Self::Token { tokens, renew_at } => {
                let refused = stale.is_some_and(|stale| tokens.access.equals(stale.expose()));
                now < *renew_at && !refused
            }
            Self::Failure {
                outage,
                until,
                refusals,
                whose,
                ..
            } => {
                let longest = pause(*outage, *refusals) + CLOCKS_APART;
                // Another password, as it is configured now, was not refused.
                whose == account && is_ahead(*until, longest, now)
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

/// Tells an account with its password from every other one. No secret to whoever does not guess passwords: it is kept sealed.
pub(super) fn whose(username: &str, password: &Secret) -> String {
    let mut hash = Sha256::new();
    hash.update(username.as_bytes());
    hash.update([0]);
    hash.update(password.expose().as_bytes());
    URL_SAFE_NO_PAD.encode(hash.finalize())
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
        let (now, whose) = (self.clock.now(), ask.whose());
        let good = kept
            .as_ref()
            .and_then(|kept| kept.answer(stale, &whose, now));
        if let Some(answer) = good {
            return answer;
        }
        let answer = ask.ask().await;
        let took = (now, self.clock.now());
        let fresh = Kept::from_answer(answer, kept.as_ref(), whose, took);
        kept.insert(fresh).outcome()
    }
}
