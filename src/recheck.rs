//! Whether a person is still who they were when they logged in: asked anew at their upstream, once an interval for all
//! clients and nodes. Every grant that has a person asks here, and so does the use of a session for one more client.
//!
//! The request that asks waits for a bounded time only. The question itself goes on by itself, so that neither a browser
//! that hangs up nor a slow upstream loses its answer.

mod rounds;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::Instrument as _;

use crate::clock::{Clock, UnixTime};
use crate::model::account::{Account, LoginCheck, RecheckPolicy, UpstreamSubject};
use crate::model::audit::Event;
use crate::model::client::{Client, OutagePolicy};
use crate::model::vault_entry::VaultPlace;
use crate::protocol::claims::Profile;
use crate::protocol::error::{BoxError, ErrorCode, OAuthError, chain};
use crate::protocol::ids::{SessionId, UpstreamId};
use crate::store::{Store, StoreError};
use crate::telemetry::{Audit, Entry, Metrics, in_this_request};
use crate::upstream::{Known, LoginError, NoVerdict, Recheck, UpstreamTokens, Upstreams};
use crate::vault::{Vault, VaultError};

pub use rounds::Rounds;

/// The longest that a question may take by itself.
const LONGEST: Duration = Duration::from_secs(30);
/// Seconds in which nobody else asks: longer than [`LONGEST`], and bounded, for a node may end while it asks.
const LEASE: i64 = 35;
/// Seconds in which an upstream that has not answered is not asked about the same person again.
const RETRY: i64 = 10;
/// How often those who wait for another's answer look.
const LOOK: Duration = Duration::from_millis(50);

/// Asks anew who people are. Cheap to clone.
#[derive(Clone)]
pub struct Rechecks {
    store: Store,
    clock: Clock,
    metrics: Metrics,
    audit: Audit,
    vault: Vault,
    upstreams: Upstreams,
    policies: Arc<HashMap<UpstreamId, RecheckPolicy>>,
    /// The upstreams about which the log says already that they cannot be asked about everybody.
    told: Arc<Mutex<BTreeSet<UpstreamId>>>,
}

/// What [`Rechecks`] are made of.
pub struct RecheckParts {
    /// Where it is kept what is known of a login.
    pub store: Store,
    /// The present.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// What is recorded.
    pub audit: Audit,
    /// Where people's own tokens are, for upstreams that answer nobody else.
    pub vault: Vault,
    /// Whom to ask.
    pub upstreams: Upstreams,
    /// How often.
    pub policies: HashMap<UpstreamId, RecheckPolicy>,
}

/// Why a person's login does not count.
#[derive(Debug, thiserror::Error)]
pub enum NotStanding {
    /// The upstream does not let them in any more.
    #[error("the upstream does not let the person in any more")]
    Refused,
    /// The upstream takes none of the tokens that this login gave, old or renewed, and answers nobody else. Other logins of
    /// the person are not touched.
    #[error("the upstream takes the tokens of this login no more")]
    LogInAgain,
    /// The upstream does not answer, and what is known of them is too old for the client.
    #[error(
        "the upstream does not answer, and what is known of the person is too old for this client"
    )]
    Unknown,
    /// Something of ours failed.
    #[error(transparent)]
    Failed(BoxError),
}

impl From<StoreError> for NotStanding {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// As the token endpoint tells it. Never `invalid_grant` for an outage: a client throws its refresh token away then.
impl From<NotStanding> for OAuthError {
    fn from(why: NotStanding) -> Self {
        match why {
            NotStanding::Refused => {
                Self::invalid_grant("the person may not sign in any more; have them log in again")
            }
            NotStanding::LogInAgain => Self::invalid_grant(
                "the upstream takes the tokens of this login no more; have the person log in again",
            ),
            NotStanding::Unknown => Self::new(
                ErrorCode::TemporarilyUnavailable,
                "the system that knows this person does not answer; keep the token and try again",
            ),
            NotStanding::Failed(source) => Self::server_error(source),
        }
    }
}

/// What came of a question.
enum Answer {
    Confirmed,
    Refused,
    LogInAgain,
    NotAskable,
    None,
}

/// Why there is no token to ask with.
#[derive(Clone, Copy)]
enum Lacking {
    /// The login gave none, or none that can be renewed: its end says nothing about the person.
    NeverRenewed,
    /// The upstream refuses to renew it, or refuses the renewed one.
    Refused,
}

impl Rechecks {
    /// Asks each of the upstreams that can be asked.
    pub fn new(parts: RecheckParts) -> Self {
        Self {
            store: parts.store,
            clock: parts.clock,
            metrics: parts.metrics,
            audit: parts.audit,
            vault: parts.vault,
            upstreams: parts.upstreams,
            policies: Arc::new(parts.policies),
            told: Arc::default(),
        }
    }

    /// The person of `account`, as the login that `session` began with knows them now, for `client`.
    pub async fn standing(
        &self,
        client: &Client,
        session: &SessionId,
        account: Account,
    ) -> Result<Account, NotStanding> {
        let known = self.store.find_check(session).await?;
        self.standing_as(client, session, account, known).await
    }

    /// The same where it was read a moment ago what is `known` of the login.
    pub async fn standing_as(
        &self,
        client: &Client,
        session: &SessionId,
        account: Account,
        known: Option<LoginCheck>,
    ) -> Result<Account, NotStanding> {
        let mut known = known.ok_or(NotStanding::Refused)?;
        let Some((policy, interval)) = self.asked_how_often(&known.login.upstream) else {
            return Ok(account);
        };
        let (began, deadline) = (self.clock.now(), Instant::now() + policy.timeout);
        let mut waited = false;
        loop {
            let now = self.clock.now();
            if waited {
                let current = self.store.find_check(session).await?;
                known = current.ok_or(NotStanding::Refused)?;
            }
            if known.refused_at.is_some() {
                return Err(NotStanding::Refused);
            }
            let asked_since = waited && known.checked_at.is_some_and(|at| at >= began);
            if known.age(now) < interval || asked_since {
                return self.as_known(session, account, waited).await;
            }
            if known.is_taken(now, LEASE) {
                let under_way = known.checking_since.is_some();
                if !under_way || Instant::now() + LOOK >= deadline {
                    return without_answer(client, &known, now, account);
                }
                sleep(LOOK).await;
                waited = true;
                continue;
            }
            let login = known.login.clone();
            let until = now + LEASE;
            if !self.store.claim_check(&login, &known, now, until).await? {
                waited = true;
                continue;
            }
            let question = self
                .clone()
                .ask(login, session.clone(), account.clone(), now);
            let question = tokio::spawn(in_this_request(question).in_current_span());
            let answer = match timeout_at(deadline, question).await {
                Ok(Ok(answer)) => answer?,
                Ok(Err(ended)) => return Err(NotStanding::Failed(ended.into())),
                Err(_) => Answer::None,
            };
            return match answer {
                Answer::Confirmed => self.as_known(session, account, true).await,
                Answer::Refused => Err(NotStanding::Refused),
                Answer::LogInAgain => Err(NotStanding::LogInAgain),
                Answer::NotAskable => Ok(account),
                Answer::None => without_answer(client, &known, now, account),
            };
        }
    }

    /// How the people of an upstream are asked about; `None` where they are not.
    fn asked_how_often(&self, upstream: &UpstreamId) -> Option<(RecheckPolicy, i64)> {
        self.upstreams.find(upstream.as_str())?.recheck.as_ref()?;
        let policy = *self.policies.get(upstream)?;
        Some((policy, policy.interval?))
    }

    /// The account, read again if it may have changed.
    async fn as_known(
        &self,
        session: &SessionId,
        account: Account,
        changed: bool,
    ) -> Result<Account, NotStanding> {
        if !changed {
            return Ok(account);
        }
        let current = self.store.find_account_of_session(session).await?;
        Ok(current.unwrap_or(account))
    }

    /// Asks, and writes down what comes of it.
    async fn ask(
        self,
        login: UpstreamSubject,
        session: SessionId,
        account: Account,
        asked_at: UnixTime,
    ) -> Result<Answer, StoreError> {
        let adapter = self
            .upstreams
            .find(login.upstream.as_str())
            .and_then(|upstream| upstream.recheck.as_deref());
        let Some(adapter) = adapter else {
            return Ok(Answer::None);
        };
        // An upstream may answer nobody but the person. Where nothing is kept of them, the adapter looks elsewhere.
        let place = VaultPlace::Person {
            account_id: account.id.clone(),
            session_id: session,
            upstream: login.upstream.clone(),
        };
        let asked = self.put(adapter, &login, &account, &place);
        let (outcome, lacking) = timeout(LONGEST, asked).await.unwrap_or_else(|_| {
            (
                Err(LoginError::Unavailable("no answer in time".into())),
                None,
            )
        });
        let count = |outcome| self.metrics.rechecked(&login.upstream, outcome);
        match (outcome, lacking) {
            (Ok(profile), _) => {
                count("confirmed");
                self.store
                    .confirm_check(&login, &account.id, &profile, asked_at)
                    .await?;
                Ok(Answer::Confirmed)
            }
            (
                Err(
                    error @ (LoginError::NotAllowed(_)
                    | LoginError::NoPerson(_)
                    | LoginError::BadCredentials(_)),
                ),
                _,
            ) => {
                count("refused");
                self.withdraw(&login, &account, asked_at, &error).await?;
                Ok(Answer::Refused)
            }
            (Err(error), Some(lacking)) => {
                count("no_token");
                // Another session of this login may have what this one lacks: it asks at once.
                self.store
                    .postpone_check(&login, asked_at, asked_at)
                    .await?;
                let (upstream, reason) = (&login.upstream, chain(&error));
                Ok(match lacking {
                    Lacking::Refused => {
                        tracing::info!(%upstream, account = %account.id, reason, "the person has to log in again");
                        Answer::LogInAgain
                    }
                    Lacking::NeverRenewed => {
                        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                        if told.insert(upstream.clone()) {
                            tracing::warn!(%upstream, reason, "there are logins that the upstream cannot be asked about; they count until they end");
                        }
                        Answer::NotAskable
                    }
                })
            }
            (Err(error), None) => {
                count(match error {
                    LoginError::Unavailable(_) => "unavailable",
                    _ => "invalid",
                });
                let (upstream, reason) = (&login.upstream, chain(&error));
                tracing::warn!(upstream = %upstream, reason, "a person could not be asked about");
                let until = self.clock.now() + RETRY;
                self.store.postpone_check(&login, asked_at, until).await?;
                Ok(Answer::None)
            }
        }
    }

    /// Puts the question, with the person's tokens where there are any. Where one is refused it is renewed, once: it may
    /// have ended early, or with another login. And what became of the tokens, where the answer lacks one.
    async fn put(
        &self,
        adapter: &dyn Recheck,
        login: &UpstreamSubject,
        account: &Account,
        place: &VaultPlace,
    ) -> (Result<Profile, LoginError>, Option<Lacking>) {
        let look = async |tokens: Option<&UpstreamTokens>| {
            let person = Known {
                subject: &login.subject,
                profile: &account.profile,
                tokens,
            };
            adapter.recheck(&person).await
        };
        let tokens = self.vault.person_tokens(place, 0, None).await;
        let outcome = look(tokens.as_ref().ok()).await;
        match (
            outcome.as_ref().err().and_then(LoginError::no_verdict),
            tokens,
        ) {
            (Some(NoVerdict::NoToken(_)), Err(failed)) => {
                let lacking = self.lacking(place, &failed).await;
                (outcome, lacking)
            }
            (Some(NoVerdict::TokenRefused(_)), Ok(old)) => {
                match self.vault.person_tokens(place, 0, Some(&old.access)).await {
                    Ok(renewed) => {
                        let outcome = look(Some(&renewed)).await;
                        let verdict = outcome.as_ref().err().and_then(LoginError::no_verdict);
                        let refused = matches!(verdict, Some(NoVerdict::TokenRefused(_)));
                        (outcome, refused.then_some(Lacking::Refused))
                    }
                    Err(failed) => {
                        let lacking = self.lacking(place, &failed).await;
                        (outcome, lacking)
                    }
                }
            }
            _ => (outcome, None),
        }
    }

    /// Why the vault has no token; `None` when it may have one later.
    async fn lacking(&self, place: &VaultPlace, failed: &VaultError) -> Option<Lacking> {
        match failed {
            VaultError::Nothing => Some(Lacking::NeverRenewed),
            // The vault drops tokens whose renewal was refused, and keeps those that cannot be renewed.
            VaultError::NeedsLogin if self.vault.kept(place).await.is_some() => {
                Some(Lacking::NeverRenewed)
            }
            VaultError::NeedsLogin => Some(Lacking::Refused),
            VaultError::Unavailable(_) | VaultError::Failed(_) => None,
        }
    }

    /// The upstream does not let the person in any more: all that this login gave ends. The account stays, and opens
    /// again by a login that the upstream accepts.
    async fn withdraw(
        &self,
        login: &UpstreamSubject,
        account: &Account,
        asked_at: UnixTime,
        why: &LoginError,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let ended = self
            .store
            .refuse_login(login, &account.id, asked_at, now)
            .await?;
        for session in ended.iter().flatten() {
            let entry = Entry::new(Event::LoggedOut)
                .session(session)
                .account(&account.id)
                .upstream(&login.upstream)
                .with("by", "upstream")
                .with("reason", "access withdrawn by the upstream");
            self.audit.record(entry);
        }
        if let Some(sessions) = ended {
            let entry = Entry::new(Event::AccessWithdrawn)
                .upstream(&login.upstream)
                .account(&account.id)
                .with("sessions_ended", sessions.len())
                .with("reason", chain(why));
            self.audit.record(entry);
        }
        Ok(())
    }
}

/// What `client` makes of a person who cannot be asked about.
fn without_answer(
    client: &Client,
    known: &LoginCheck,
    now: UnixTime,
    account: Account,
) -> Result<Account, NotStanding> {
    match client.upstream_outage {
        OutagePolicy::Stale(seconds) if known.age(now) <= seconds => Ok(account),
        _ => Err(NotStanding::Unknown),
    }
}
