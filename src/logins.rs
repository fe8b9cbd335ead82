//! From what a person typed, or came back with, to a session: with a browser's flow behind it, or a token request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Clock, ordered_id, random_id, random_token};
use crate::keys::{Purpose, Secrets};
use crate::model::account::{Account, LoginCheck, UpstreamSubject};
use crate::model::acr::AcrPolicies;
use crate::model::audit::Event;
use crate::model::session::{Session, SessionLifetimes};
use crate::model::throttle::{self, ThrottlePolicy};
use crate::model::vault_entry::NewVaultEntry;
use crate::protocol::error::{OAuthError, chain};
use crate::protocol::ids::{AccountId, AccountSubject, ClientId, SessionId, UpstreamId};
use crate::protocol::params::Params;
use crate::protocol::secret::Secret;
use crate::store::{NewAccount, Store, StoreError};
use crate::telemetry::{self, Audit, Entry, Metrics};
use crate::upstream::{
    CallbackLogin, Credentials, Identity, Landing, LoginError, PasswordLogin, Return,
    UpstreamTokens,
};
use crate::vault::{Vault, place_of};

/// Makes every refusal take the same time, whether the upstream was asked or the throttle answered (T32): the
/// configured least, or what the upstream's own refusals take of late, whichever is longer.
#[derive(Clone, Debug)]
pub struct RefusalFloor {
    least: Duration,
    /// A moving average of the upstream's refusals, in milliseconds.
    usual_millis: Arc<AtomicU64>,
}

impl RefusalFloor {
    /// A floor of `least`.
    pub fn new(least: Duration) -> Self {
        Self {
            least,
            usual_millis: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Learns from what the upstream itself refused. An outage may take as long as a timeout, and nobody else should
    /// have to wait that long.
    fn learn(&self, error: &LoginError, took: Duration) {
        if !matches!(
            error,
            LoginError::BadCredentials(_) | LoginError::NotAllowed(_) | LoginError::NoPerson(_)
        ) {
            return;
        }
        self.learn_time(took);
    }

    /// Learns how long a refusal took that looks like the upstream's own.
    fn learn_time(&self, took: Duration) {
        let took = u64::try_from(took.as_millis())
            .unwrap_or(u64::MAX)
            .min(30_000);
        let usual = self.usual_millis.load(Ordering::Relaxed);
        let next = if usual == 0 {
            took
        } else {
            (usual * 7 + took) / 8
        };
        self.usual_millis.store(next, Ordering::Relaxed);
    }

    async fn wait_since(&self, start: Instant) {
        let usual = Duration::from_millis(self.usual_millis.load(Ordering::Relaxed));
        tokio::time::sleep_until(start + self.least.max(usual)).await;
    }
}

/// How many accounts a browser may be signed in with at the same time.
pub const MAX_ACCOUNTS: usize = 5;

/// What a browser has before a login.
#[derive(Debug, Default)]
pub struct Before<'a> {
    /// The session that it uses.
    pub current: Option<&'a Session>,
    /// Those that it has beside it.
    pub others: Vec<&'a Session>,
    /// Those that are over by the clock alone.
    pub lapsed: Vec<&'a Session>,
    /// The one of them whose place any login takes.
    pub lapsed_alone: Option<&'a Session>,
    /// Whether the login adds an account to those that are there, and does not take the place of the current one.
    pub adds: bool,
}

impl<'a> Before<'a> {
    /// The session whose place a login to `account` takes: the account's own; where none is added, the one that is there; where
    /// there are too many, the one that was used the longest ago.
    fn replaced_by(&self, account: &AccountId) -> Option<&'a Session> {
        let mut all = self.current.into_iter().chain(self.others.iter().copied());
        if let Some(own) = all.find(|session| session.account_id == *account) {
            return Some(own);
        }
        if !self.adds {
            return self.current;
        }
        let full = self.others.len() + usize::from(self.current.is_some()) >= MAX_ACCOUNTS;
        let others = self.others.iter().copied();
        full.then(|| others.min_by_key(|session| session.last_seen_at))
            .flatten()
    }
}

/// A session that was just made. The secret goes into the cookie and nowhere else.
pub struct NewSession {
    /// Who is logged in.
    pub logged_in: LoggedIn,
    /// The cookie's value.
    pub secret: Secret,
    /// The session that ended with it.
    pub replaced: Option<SessionId>,
}

/// Who is logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// The session.
    pub session: Session,
    /// Its person.
    pub account: Account,
    /// What is known of the login that it began with, where that was read with it.
    pub known: Option<LoginCheck>,
}

/// Where a password comes from, which has a count over all names.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// The address of the browser that sent our form.
    Address(&'a str),
    /// A client that took it itself.
    Client(&'a ClientId),
}

impl Origin<'_> {
    /// The bucket of its failures at a name that somebody has logged in by, or at another.
    fn bucket(self, is_known: bool) -> String {
        match self {
            Self::Address(address) => throttle::place(address),
            Self::Client(client) => throttle::client(client, is_known),
        }
    }
}

/// A password that the upstream took. Whether the person comes in is still to be seen.
pub struct Accepted {
    /// Who the upstream says it is.
    pub identity: Identity,
    /// The attempt, to [`Logins::admit`] or [`Logins::turn_away`].
    pub attempt: Attempt,
}

/// An attempt that is counted as a wrong guess would be.
#[must_use = "the person is to be admitted, or turned away"]
pub struct Attempt {
    start: Instant,
    upstream: UpstreamId,
    /// The buckets of the name and of the person that it is known to lead to.
    counted: Vec<String>,
    /// The bucket of where it came from.
    place: String,
    /// Whether the name shares its bucket with no other's.
    is_plain: bool,
    names: Names,
}

impl Attempt {
    /// The buckets that it is counted in, that of its place first.
    fn buckets(&self) -> Vec<&str> {
        let names = self.counted.iter().map(String::as_str);
        std::iter::once(self.place.as_str()).chain(names).collect()
    }
}

/// The buckets of the names by which a person is known.
struct Names {
    typed: String,
    person: String,
    /// Those that the upstream tells.
    told: Vec<String>,
}

impl Names {
    fn of(upstream: &UpstreamId, typed: String, identity: &Identity) -> Self {
        let told = [
            &identity.profile.preferred_username,
            &identity.profile.email,
        ];
        let told = told.into_iter().flatten();
        Self {
            typed,
            person: throttle::person(upstream, &identity.subject),
            told: told.map(|name| throttle::bucket(upstream, name)).collect(),
        }
    }
}

/// Logs people in. Cheap to clone.
#[derive(Clone)]
pub struct Logins {
    /// The database.
    pub store: Store,
    /// For the hashes of session secrets.
    pub secrets: Secrets,
    /// The present.
    pub clock: Clock,
    /// How long sessions last.
    pub session_lifetimes: SessionLifetimes,
    /// How many of them a person may have.
    pub sessions_per_person: i64,
    /// How many wrong passwords a user name may have.
    pub throttle: ThrottlePolicy,
    /// How many an address may have, over all user names.
    pub address_throttle: ThrottlePolicy,
    /// How many a client may bring that takes passwords itself, over all user names.
    pub client_throttle: ThrottlePolicy,
    /// How long a refused login takes at the least (T32).
    pub refusal_floor: RefusalFloor,
    /// Where what a login gave to act for the person is kept.
    pub vault: Vault,
    /// What logins prove.
    pub acr: AcrPolicies,
    /// What is counted.
    pub metrics: Metrics,
    /// What is recorded.
    pub audit: Audit,
}

/// The names of an account that is about to be made.
pub fn new_account() -> NewAccount {
    NewAccount {
        id: AccountId::new(random_id()),
        subject: AccountSubject::new(random_id()),
    }
}

impl Logins {
    /// Asks `login` about `credentials`, unless too many attempts were made with this user name or from this origin.
    /// The attempt is counted before it is forwarded, so that no race lets more through than the policy says: an
    /// attacker cannot lock members out upstream through us (T34). One that the upstream took is counted, too, until it
    /// is admitted.
    pub async fn try_password(
        &self,
        upstream: &UpstreamId,
        login: &dyn PasswordLogin,
        credentials: &Credentials,
        origin: Origin<'_>,
    ) -> Result<Accepted, LoginError> {
        let start = Instant::now();
        let name = throttle::bucket(upstream, &credentials.username);
        let mut counted = throttle::buckets(upstream, &credentials.username);
        let names: Vec<&str> = counted.iter().map(String::as_str).collect();
        let people = self.store.find_throttle_aliases(&names).await;
        let mut people = people.map_err(store_failed)?;
        let place = origin.bucket(!people.is_empty());
        // Whoever is known by this name has one count over all names: otherwise a guesser at the user name would have as many
        // attempts again at the email address. It comes on top, for names may be told of somebody else.
        counted.append(&mut people);
        if let Some(limit) = self.find_limit(origin, &place, &counted).await? {
            self.metrics.throttled("password");
            self.metrics.login(upstream, "password", "throttled");
            self.refusal_floor.wait_since(start).await;
            return Err(self.too_many(upstream, "password", limit, Some(&name)));
        }
        // An empty password is refused without asking: some directories take it for an anonymous login.
        let outcome = if credentials.password.expose().is_empty() {
            Err(LoginError::BadCredentials(None))
        } else {
            let outcome = login.log_in(credentials).await;
            if let Err(error) = &outcome {
                self.refusal_floor.learn(error, start.elapsed());
            }
            outcome
        };
        let error = match outcome {
            Ok(identity) => {
                let attempt = Attempt {
                    start,
                    upstream: upstream.clone(),
                    counted,
                    place,
                    is_plain: throttle::is_plain(&credentials.username),
                    names: Names::of(upstream, name, &identity),
                };
                return Ok(Accepted { identity, attempt });
            }
            Err(error) => error,
        };
        self.metrics.login(upstream, "password", outcome_of(&error));
        self.audit
            .record(refused(upstream, "password", &error).name_hash(self.hash_of(&name)));
        if !may_be_a_guess(&error) {
            let returned = self.store.return_attempt(&place).await;
            returned.map_err(store_failed)?;
        }
        // The name keeps the attempt in an outage, for the upstream may have counted it before it failed; unless nothing
        // was sent. Whoever tries while nobody can get in must not be kept waiting when the upstream is back.
        if error.is_unsent() {
            for bucket in &counted {
                let returned = self.store.return_attempt(bucket).await;
                returned.map_err(store_failed)?;
            }
        }
        self.refusal_floor.wait_since(start).await;
        Err(error)
    }

    /// Counts an attempt, or names the limit that forbids it.
    async fn find_limit(
        &self,
        origin: Origin<'_>,
        place: &str,
        names: &[String],
    ) -> Result<Option<&'static str>, LoginError> {
        let (limit, policy) = match origin {
            Origin::Address(_) => ("address", self.address_throttle),
            Origin::Client(_) => ("client", self.client_throttle),
        };
        let of_names = names.iter().map(|name| (name.as_str(), self.throttle));
        let buckets: Vec<_> = std::iter::once((place, policy)).chain(of_names).collect();
        let reserved = self.store.reserve_attempts(&buckets, self.clock.now());
        match reserved.await.map_err(store_failed)? {
            None => Ok(None),
            Some(0) => Ok(Some(limit)),
            Some(_) => {
                // Who goes on at a name that is closed learns nothing, and must not close the client to the others.
                if matches!(origin, Origin::Client(_)) {
                    let returned = self.store.return_attempt(place).await;
                    returned.map_err(store_failed)?;
                }
                Ok(Some("name"))
            }
        }
    }

    /// The person came in: what was tried at their names before is forgotten. That must not fail a login.
    pub async fn admit(&self, attempt: Attempt) {
        self.metrics
            .login(&attempt.upstream, "password", "accepted");
        // Whose name only folds to another's has proven nothing about that one.
        let buckets = attempt.buckets();
        let settled = self.store.settle_attempts(&buckets, attempt.is_plain);
        let settled = settled.await;
        let Names {
            typed,
            person,
            told,
        } = &attempt.names;
        let (proven, typed) = if attempt.is_plain {
            (Some(typed.as_str()), None)
        } else {
            (None, Some(typed.as_str()))
        };
        let told: Vec<&str> = typed
            .into_iter()
            .chain(told.iter().map(String::as_str))
            .collect();
        let now = self.clock.now();
        let noted = self.store.note_throttle_aliases(person, proven, &told, now);
        let noted = settled.and(noted.await);
        if let Err(error) = noted {
            tracing::warn!(
                error = chain(&error),
                "what a login changes of the counts of attempts could not be noted"
            );
        }
    }

    /// We turn away whom the upstream took, and who must not learn that it did: this takes as long, and leaves as much
    /// behind, as a wrong password (T32).
    pub async fn turn_away(&self, attempt: Attempt) {
        self.metrics
            .login(&attempt.upstream, "password", "not_allowed");
        self.refusal_floor.learn_time(attempt.start.elapsed());
        self.refusal_floor.wait_since(attempt.start).await;
    }

    /// Nobody could say whether the person may come in, whom the upstream took. That was no guess.
    pub async fn leave_undecided(&self, attempt: Attempt) {
        self.metrics
            .login(&attempt.upstream, "password", "unavailable");
        let buckets = attempt.buckets();
        if let Err(error) = self.store.settle_attempts(&buckets, false).await {
            tracing::warn!(error = chain(&error), "an attempt could not be given back");
        }
        self.refusal_floor.wait_since(attempt.start).await;
    }

    /// How the name that was typed is recorded of an attempt that led nobody in.
    pub fn name_hash(&self, attempt: &Attempt) -> Option<String> {
        self.hash_of(&attempt.names.typed)
    }

    /// Redeems what somebody brought to a landing, unless too much was brought there in vain from this address: it is
    /// tried at the upstream without a login having begun, so that only as many may fail as passwords may (T34).
    pub async fn redeem_arrival(
        &self,
        upstream: &UpstreamId,
        landing: &dyn Landing,
        application: &str,
        arrival: &Params,
        address: &str,
    ) -> Result<Identity, LoginError> {
        let place = throttle::place(address);
        if !self.reserve(&place, self.address_throttle).await? {
            self.metrics.throttled("landing");
            self.metrics.login(upstream, "landing", "throttled");
            return Err(self.too_many(upstream, "landing", "address", None));
        }
        let outcome = landing.redeem(application, arrival).await;
        self.metrics.login(upstream, "landing", word_for(&outcome));
        // Most members come as a Guest before they sign in there: that refuses nobody yet.
        if let Err(error) = &outcome
            && !matches!(error, LoginError::Anonymous)
        {
            self.note_refused(upstream, "landing", error);
        }
        // Most members come as a Guest before they sign in there; but anybody can have a Guest's credential, and each is a
        // request with our secret. So as many as may fail are free, and what is more counts as failed.
        let guests = throttle::guests(address);
        if !matches!(
            outcome,
            Err(LoginError::Anonymous | LoginError::NoPerson(_))
        ) || self.reserve(&guests, self.address_throttle).await?
        {
            self.give_back_unless_guessed(&place, &outcome).await?;
        }
        outcome
    }

    /// Redeems what a browser brought back from the upstream's own page, unless too much was brought in vain from this
    /// address: whoever sends a browser away can come back with made-up codes, each of them a request with our secret
    /// (T34).
    pub async fn finish_return(
        &self,
        upstream: &UpstreamId,
        login: &dyn CallbackLogin,
        back: &Return<'_>,
        address: &str,
    ) -> Result<Identity, LoginError> {
        let place = throttle::place(address);
        if !self.reserve(&place, self.address_throttle).await? {
            self.metrics.throttled("callback");
            self.metrics.login(upstream, "redirect", "throttled");
            return Err(self.too_many(upstream, "redirect", "address", None));
        }
        let outcome = login.finish(back).await;
        self.metrics.login(upstream, "redirect", word_for(&outcome));
        if let Err(error) = &outcome {
            self.note_refused(upstream, "redirect", error);
        }
        self.give_back_unless_guessed(&place, &outcome).await?;
        outcome
    }

    /// Records that a login led nobody in.
    pub fn note_refused(&self, upstream: &UpstreamId, method: &'static str, error: &LoginError) {
        self.audit.record(refused(upstream, method, error));
    }

    /// How a bucket of a user name is recorded: `portico audit --user` makes the same of a name.
    fn hash_of(&self, name: &str) -> Option<String> {
        self.secrets.hash(Purpose::TypedName, name).ok()
    }

    /// The answer to an attempt too many: that of a wrong password (T32).
    fn too_many(
        &self,
        upstream: &UpstreamId,
        method: &'static str,
        limit: &'static str,
        name: Option<&str>,
    ) -> LoginError {
        let entry = Entry::new(Event::LoginThrottled)
            .upstream(upstream)
            .name_hash(name.and_then(|name| self.hash_of(name)))
            .with("method", method)
            .with("limit", limit);
        self.audit.record(entry);
        LoginError::BadCredentials(None)
    }

    async fn reserve(&self, bucket: &str, policy: ThrottlePolicy) -> Result<bool, LoginError> {
        let reserved = self.store.reserve_attempt(bucket, policy, self.clock.now());
        reserved.await.map_err(store_failed)
    }

    /// Gives an address its attempt back, unless it may have been a guess. A whole office behind one address may log in;
    /// and nobody learned anything from an outage, which must not lock out the office that waits for its end. The address
    /// keeps its failures, or one good account would open the door to guess at others.
    async fn give_back_unless_guessed(
        &self,
        place: &str,
        outcome: &Result<Identity, LoginError>,
    ) -> Result<(), LoginError> {
        if outcome.as_ref().err().is_some_and(may_be_a_guess) {
            return Ok(());
        }
        self.store.return_attempt(place).await.map_err(store_failed)
    }

    /// Makes a session for `identity`, and the account if it is the person's first login. `before` is what the
    /// browser had. The same person's session goes on under a new secret: whoever logs in again for one app must not
    /// be signed out of the others. Anybody else's ends, unless the login adds an account. Either way the old cookie is dead (T24). `None` when the account
    /// is closed. `persistent`: the person asks to be kept signed in, which counts where it is offered.
    pub async fn log_in(
        &self,
        upstream: &UpstreamId,
        identity: Identity,
        before: Before<'_>,
        persistent: bool,
    ) -> Result<Option<NewSession>, OAuthError> {
        const ATTEMPTS: u32 = 5;
        let login = UpstreamSubject {
            upstream: upstream.clone(),
            subject: identity.subject.clone(),
        };
        for _ in 0..ATTEMPTS {
            let now = self.clock.now();
            let account = self
                .store
                .find_or_insert_account(&login, &identity.profile, new_account(), now)
                .await?;
            if !account.is_open() {
                let entry = Entry::new(Event::LoginRefused)
                    .upstream(upstream)
                    .account(&account.id)
                    .with("reason", "the account is closed");
                self.audit.record(entry);
                return Ok(None);
            }
            let previous = before.replaced_by(&account.id);
            let began = self.begin_session(&login, &identity, account, previous, persistent);
            if let Some(new) = began.await? {
                self.end_lapsed(&new.logged_in.account.id, &before).await;
                return Ok(Some(new));
            }
            // The login was linked or unlinked in between, or the account closed.
        }
        Err(OAuthError::server_error(
            "a login moved from account to account",
        ))
    }

    /// `None` when the login does not lead to that account any more.
    async fn begin_session(
        &self,
        login: &UpstreamSubject,
        identity: &Identity,
        account: Account,
        previous: Option<&Session>,
        persistent: bool,
    ) -> Result<Option<NewSession>, OAuthError> {
        let now = self.clock.now();
        let persistent = persistent && self.session_lifetimes.persistent.is_some();
        let upstream = &login.upstream;
        // By another login of theirs the claims may be others: that is another session.
        let same = previous.filter(|session| {
            session.account_id == account.id
                && session.upstream == *upstream
                && session
                    .upstream_subject
                    .as_ref()
                    .is_none_or(|subject| *subject == login.subject)
        });
        let mut session = Session {
            id: same.map_or_else(
                || SessionId::new(ordered_id()),
                |session| session.id.clone(),
            ),
            account_id: account.id.clone(),
            upstream: upstream.clone(),
            upstream_subject: Some(login.subject.clone()),
            auth_time: now,
            began_at: same.map_or(now, |session| session.began_at),
            amr: identity.amr.clone(),
            acr: self.acr.proven(upstream, identity.acr.as_deref()),
            last_seen_at: now,
            expires_at: now + self.session_lifetimes.of(persistent).absolute,
            ended_at: None,
            persistent,
            device: telemetry::device(),
        };
        let secret = Secret::new(random_token());
        let hash = self.secrets.hash(Purpose::SessionSecret, secret.expose())?;
        let given = identity.tokens.as_ref();
        let kept = self.keep(&session, upstream, given)?;
        let renewed = same.is_some()
            && self
                .store
                .renew_session(&hash, &session, kept.as_ref())
                .await?;
        if !renewed {
            session.id = SessionId::new(ordered_id());
            session.began_at = now;
            let kept = self.keep(&session, upstream, given)?;
            let moved = match previous {
                Some(previous) => self.vault.moved(previous, &session).await?,
                None => Vec::new(),
            };
            let replaced = previous.map(|session| &session.id);
            let began =
                self.store
                    .replace_session(&hash, &session, replaced, &moved, kept.as_ref());
            if !began.await? {
                return Ok(None);
            }
            if let Some(previous) = previous {
                self.record_replaced(previous);
            }
            self.hold_to_cap(&session).await?;
        }
        let entry = Entry::new(Event::LoggedIn)
            .upstream(upstream)
            .session(&session.id)
            .account(&account.id);
        self.audit.record(entry);
        let replaced = previous.map(|previous| previous.id.clone());
        Ok(Some(NewSession {
            replaced: replaced.filter(|id| *id != session.id),
            logged_in: LoggedIn {
                session,
                account,
                known: None,
            },
            secret,
        }))
    }

    /// One account has one session in a browser, also where a clock put right would bring back the one before (T35): it is not
    /// renewed, for what belongs to it was over (T21). Nor does one stand that has lost its cookie to the new one. Apps are told of
    /// neither: one that goes by the person, and not by the session, would end the new login. That has begun, and does not fail for it.
    async fn end_lapsed(&self, account: &AccountId, before: &Before<'_>) {
        let alone = before.lapsed_alone.map(|session| &session.id);
        let gives_way =
            |session: &Session| session.account_id == *account || alone == Some(&session.id);
        for session in before.lapsed.iter().filter(|session| gives_way(session)) {
            let now = self.clock.now();
            match self.store.end_lapsed_session(&session.id, now).await {
                Ok(true) => self.record_replaced(session),
                Ok(false) => {}
                Err(error) => tracing::error!(
                    error = chain(&error),
                    "the session before a login, which had lapsed, could not be ended"
                ),
            }
        }
    }

    fn record_replaced(&self, session: &Session) {
        let entry = Entry::new(Event::LoggedOut)
            .session(&session.id)
            .account(&session.account_id)
            .upstream(&session.upstream)
            .with("by", "person")
            .with("reason", "replaced by another login");
        self.audit.record(entry);
    }

    /// Ends what a person has too many of, now that `newest` has begun.
    async fn hold_to_cap(&self, newest: &Session) -> Result<(), OAuthError> {
        let (cap, now) = (self.sessions_per_person, self.clock.now());
        let ended = self.store.end_sessions_beyond(newest, cap, now).await?;
        for (id, upstream) in ended {
            let entry = Entry::new(Event::LoggedOut)
                .session(&id)
                .account(&newest.account_id)
                .upstream(&upstream)
                .with("by", "configuration")
                .with("reason", "the person has too many sessions");
            self.audit.record(entry);
        }
        Ok(())
    }

    /// What a login at `upstream` gave within a session, for the vault.
    pub fn keep(
        &self,
        session: &Session,
        upstream: &UpstreamId,
        given: Option<&UpstreamTokens>,
    ) -> Result<Option<NewVaultEntry>, OAuthError> {
        let place = || place_of(session, upstream);
        let sealed = given.map(|tokens| self.vault.seal(place(), tokens));
        Ok(sealed.transpose()?)
    }
}

/// What the metrics call the outcome of a login.
fn word_for(outcome: &Result<Identity, LoginError>) -> &'static str {
    outcome.as_ref().err().map_or("accepted", outcome_of)
}

const fn outcome_of(error: &LoginError) -> &'static str {
    match error {
        LoginError::BadCredentials(_) => "refused",
        LoginError::NotAllowed(_) | LoginError::NoPerson(_) => "not_allowed",
        LoginError::Anonymous => "anonymous",
        LoginError::Cancelled => "cancelled",
        LoginError::Unavailable(_) => "unavailable",
        LoginError::Protocol(_) => "invalid",
    }
}

/// Whether an address keeps the attempt that ended so.
const fn may_be_a_guess(error: &LoginError) -> bool {
    !matches!(
        error,
        LoginError::Anonymous
            | LoginError::NoPerson(_)
            | LoginError::Cancelled
            | LoginError::Unavailable(_)
    )
}

/// What is recorded of a login that led nobody in.
fn refused(upstream: &UpstreamId, method: &'static str, error: &LoginError) -> Entry {
    let event = match error {
        LoginError::Unavailable(_) | LoginError::Protocol(_) => Event::LoginFailed,
        _ => Event::LoginRefused,
    };
    Entry::new(event)
        .upstream(upstream)
        .with("method", method)
        .with("reason", chain(error))
}

fn store_failed(error: StoreError) -> LoginError {
    LoginError::Unavailable(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T32.
    #[test]
    fn the_floor_rises_to_what_refusals_take_and_not_to_what_outages_take() {
        let floor = RefusalFloor::new(Duration::ZERO);
        let usual = || floor.usual_millis.load(Ordering::Relaxed);
        let outage = LoginError::Unavailable("no answer within 10s".into());
        floor.learn(&outage, Duration::from_secs(10));
        assert_eq!(usual(), 0);
        let refusal = LoginError::BadCredentials(None);
        floor.learn(&refusal, Duration::from_millis(200));
        assert_eq!(usual(), 200);
        floor.learn(&refusal, Duration::from_secs(1));
        assert_eq!(usual(), 300);
    }
}
