//! Upstreams: the credential systems whose people log in here. One file an adapter; an adapter sees neither store
//! nor cookies nor axum, and declares what it can do by the fields of [`Upstream`] it fills.

pub mod aim18;
pub mod breaker;
pub mod imis;
mod lifetime;
pub mod look;
pub mod oidc;
pub mod outbound;
mod relay;
pub mod settings;
pub mod shelf;
pub mod site;
pub mod users;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use crate::clock::{Clock, UnixTime};
use crate::passwords::Busy;
use crate::protocol::claims::Profile;
use crate::protocol::error::{BoxError, chain};
use crate::protocol::ids::{ClientId, UpstreamId};
use crate::protocol::issuer::Issuer;
use crate::protocol::locale::Label;
use crate::protocol::params::Params;
use crate::protocol::secret::{self, Secret};

pub use self::site::Site;

/// The most bytes a password may have (T48).
pub const MAX_PASSWORD_BYTES: usize = 1024;
/// The most bytes a user name may have (T48).
pub const MAX_USERNAME_BYTES: usize = 256;

/// A credential system, with what its adapter can do. `None` means that it cannot, or that the administrator
/// does not offer it.
pub struct Upstream {
    /// Its name in the config.
    pub id: UpstreamId,
    /// What people see.
    pub label: Label,
    /// The ways to log in, in the order to offer them. Each has its field below filled.
    pub login: Vec<LoginMethod>,
    /// Log in with a form of ours.
    pub password: Option<Box<dyn PasswordLogin>>,
    /// Send people to a page of theirs to log in there.
    pub redirect: Option<Box<dyn RedirectLogin>>,
    /// Take back whom `redirect` sent away, at our one callback.
    pub callback: Option<Box<dyn CallbackLogin>>,
    /// Take whom they send, sent away by us or not, with a credential to redeem.
    pub landing: Option<Box<dyn Landing>>,
    /// Renew the tokens that a person's login gave.
    pub renewal: Option<Box<dyn Renewal>>,
    /// Ask anew who a person is, and whether they may still come in.
    pub recheck: Option<Box<dyn Recheck>>,
    /// Give a token of the service account, for clients that act for no person.
    pub service: Option<Box<dyn ServiceLogin>>,
    /// End the session that the person's browser has there.
    pub sign_off: Option<Box<dyn SignOff>>,
    /// Its web site: what comes from there is believed to come from the upstream.
    pub site: Option<Site>,
    /// Call its API.
    pub api: Option<Box<dyn Api>>,
    /// The claims that it may tell besides those of [`Profile::NAMES`].
    pub claims: Vec<String>,
    /// The address that its API and pages are below, as configured.
    pub base_url: Option<Url>,
    /// Try the configuration for real, for `portico check`.
    pub probe: Box<dyn Probe>,
    /// What holds requests back while it is away; `None` where nothing is fetched.
    pub breaker: Option<breaker::Breaker>,
}

impl Upstream {
    /// An upstream that can do nothing yet.
    pub fn new(
        id: UpstreamId,
        label: Label,
        login: Vec<LoginMethod>,
        probe: Box<dyn Probe>,
    ) -> Self {
        Self {
            id,
            label,
            login,
            password: None,
            redirect: None,
            callback: None,
            landing: None,
            renewal: None,
            recheck: None,
            service: None,
            sign_off: None,
            site: None,
            api: None,
            claims: Vec::new(),
            base_url: None,
            probe,
            breaker: None,
        }
    }

    /// Whether it has not answered of late. It may be tried all the same.
    pub fn is_away(&self) -> bool {
        self.breaker.as_ref().is_some_and(breaker::Breaker::is_open)
    }
}

/// The upstreams, in the order of the config. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Upstreams(Arc<Vec<Upstream>>);

impl Upstreams {
    /// Takes the upstreams.
    pub fn new(upstreams: Vec<Upstream>) -> Self {
        Self(Arc::new(upstreams))
    }

    /// The one with this name.
    pub fn find(&self, id: &str) -> Option<&Upstream> {
        self.0.iter().find(|upstream| upstream.id.as_str() == id)
    }

    /// The one whose base address this is (RFC 8707 section 2); a slash at the end makes no difference.
    pub fn find_by_base_url(&self, url: &Url) -> Option<&Upstream> {
        let plain = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        let named = plain(url);
        self.0
            .iter()
            .find(|upstream| upstream.base_url.as_ref().map(plain).as_ref() == Some(&named))
    }

    /// Those that `allowed` admits.
    pub fn allowed(
        &self,
        allowed: impl Fn(&UpstreamId) -> bool,
    ) -> impl Iterator<Item = &Upstream> {
        self.0.iter().filter(move |upstream| allowed(&upstream.id))
    }
}

/// What every adapter is given besides its settings. Cheap to clone.
#[derive(Clone)]
pub struct Surroundings {
    /// What to fetch with.
    pub http: outbound::Http,
    /// The present.
    pub clock: Clock,
    /// Where the service account's token is kept.
    pub shelf: Arc<dyn Shelf>,
    /// Who we are to the world.
    pub issuer: Issuer,
}

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginMethod {
    /// Our form.
    Password,
    /// Their page.
    Redirect,
}

/// What a person typed.
#[derive(Debug)]
pub struct Credentials {
    /// The user name, as typed, trimmed.
    pub username: String,
    /// The password, as typed.
    pub password: Secret,
}

impl Credentials {
    /// Whether they are worth asking an upstream about: neither empty, since some directories take an empty password
    /// for an anonymous visitor's, nor larger than T48 allows.
    fn are_sensible(&self) -> bool {
        let (username, password) = (&self.username, self.password.expose());
        !username.is_empty()
            && username.len() <= MAX_USERNAME_BYTES
            && !username.chars().any(char::is_control)
            && !password.is_empty()
            && password.len() <= MAX_PASSWORD_BYTES
    }
}

/// Who an upstream says has logged in.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// The upstream's stable id for the person; never an email address or a login name (T31).
    pub subject: String,
    /// What it tells about them.
    pub profile: Profile,
    /// How they logged in (RFC 8176); empty when it does not tell.
    pub amr: Vec<String>,
    /// What that proves, in the upstream's own words (`acr`), where it says so.
    #[serde(default)]
    pub acr: Option<String>,
    /// What it gave to act for them, if that is of use later.
    #[serde(default)]
    pub tokens: Option<UpstreamTokens>,
}

/// What an upstream gave to act for somebody. Serialized inside sealed records alone (T63).
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct UpstreamTokens {
    /// What its API takes.
    #[serde(with = "secret::sealed")]
    pub access: Secret,
    /// What a new access token is to be had for; `None`: nothing but a new login.
    #[serde(with = "secret::sealed::option", default)]
    pub refresh: Option<Secret>,
    /// When the access token ends, as the upstream says or the configuration guesses.
    pub expires_at: UnixTime,
    /// Which of the upstream's client applications they belong to, where its API or a renewal has to name it.
    #[serde(default)]
    pub application: Option<String>,
    /// Whose they are, in the words in which a renewal tells it again.
    #[serde(default)]
    pub subject: Option<String>,
    /// What a sign-off there shows of this login (an ID token).
    #[serde(with = "secret::sealed::option", default)]
    pub sign_off_hint: Option<Secret>,
}

/// Why a login did not succeed. The person sees one of a few calm texts; `source` goes to the log.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// User name and password do not fit, or the account may not log in: the upstream does not always tell the two
    /// apart, and the person is never told (T32).
    #[error("the upstream refused the credentials")]
    BadCredentials(#[source] Option<BoxError>),
    /// The upstream knows the person, but they may not come in here: a guest, a record without a person (T26).
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// The upstream knows the account and no person behind it: one for machines, or an anonymous visitor by a name of the site's own
    /// (T26). They may not come in; whoever the upstream sent may sign in there as somebody.
    #[error("not allowed: {0}")]
    NoPerson(&'static str),
    /// The upstream sent somebody who is not signed in there: a Guest (T26). They can sign in and come again.
    #[error("an anonymous visitor (Guest), not a person")]
    Anonymous,
    /// The person turned back at the upstream's page.
    #[error("the person cancelled")]
    Cancelled,
    /// No answer, a 5xx, a refused connection.
    #[error("the upstream is unavailable")]
    Unavailable(#[source] BoxError),
    /// An answer that makes no sense.
    #[error("the upstream's answer makes no sense")]
    Protocol(#[source] BoxError),
}

/// Why a look at a person says nothing about them: what lacks is a token to look with. The source of a
/// [`LoginError::Protocol`].
#[derive(Debug, thiserror::Error)]
pub enum NoVerdict {
    /// The person's token is not taken. It may have ended early, or with another login; a renewed one may be taken.
    #[error("the person's own token is refused: {0}")]
    TokenRefused(String),
    /// Only a token of the person's would do, and there is none; what an administrator can do about it.
    #[error("the person cannot be looked up without a token of their own; {0}")]
    NoToken(&'static str),
}

impl From<NoVerdict> for LoginError {
    fn from(why: NoVerdict) -> Self {
        Self::Protocol(Box::new(why))
    }
}

/// What a service account lacks, so that its token opens nothing; what an administrator can do about it. The source of a
/// [`LoginError::Protocol`].
#[derive(Debug, thiserror::Error)]
#[error("the service account lacks {right}; {advice}")]
pub struct MissingRight {
    /// As the upstream calls it.
    pub right: &'static str,
    /// Where it is given.
    pub advice: &'static str,
}

impl From<MissingRight> for LoginError {
    fn from(why: MissingRight) -> Self {
        Self::Protocol(Box::new(why))
    }
}

impl LoginError {
    /// What the service account lacks, if that is it.
    pub fn missing_right(&self) -> Option<&MissingRight> {
        match self {
            Self::Protocol(source) => source.downcast_ref(),
            _ => None,
        }
    }

    /// What lacks for a verdict about the person, if it is a token.
    pub fn no_verdict(&self) -> Option<&NoVerdict> {
        match self {
            Self::Protocol(source) => source.downcast_ref(),
            _ => None,
        }
    }

    /// Whether the request may have reached the upstream though no whole answer came back: what it was to be given once,
    /// it may have given (T64).
    pub fn lost_the_answer(&self) -> bool {
        match self {
            Self::Unavailable(source) | Self::Protocol(source) => {
                outbound::lost_the_answer(source.as_ref())
            }
            _ => false,
        }
    }

    /// Whether it is certain that the upstream has not refused, and so has not counted, what was to be sent to it: there
    /// was no connection, or, where it is we who judge, no room for one more. Something that was sent before, and accepted,
    /// is none of that.
    pub fn is_unsent(&self) -> bool {
        let Self::Unavailable(cause) = self else {
            return false;
        };
        let trouble = cause.downcast_ref::<outbound::Trouble>();
        cause.is::<Busy>() || trouble.is_some_and(outbound::Trouble::is_unsent)
    }
}

/// Logs a person in with what they typed into our form.
#[async_trait]
pub trait PasswordLogin: Send + Sync {
    /// Asks the upstream. Called only after the throttle agreed.
    async fn log_in(&self, credentials: &Credentials) -> Result<Identity, LoginError>;
}

/// A trip of a browser to the upstream's own page.
#[derive(Clone, Copy, Debug)]
pub struct Trip<'a> {
    /// Our one fixed address for this upstream.
    pub callback: &'a Url,
    /// Random; useful only where the upstream sends it back.
    pub state: &'a str,
    /// Whether the person has to prove anew who they are, whatever session the browser has there.
    pub reauthenticate: bool,
    /// What the login is to prove, the best first (`acr`); for an upstream that can be asked for it.
    pub acr_values: &'a [String],
}

/// Where a trip goes.
#[derive(Debug)]
pub struct Departure {
    /// Where to send the browser.
    pub url: Url,
    /// What [`CallbackLogin::finish`] needs again, small; it travels sealed in the browser's cookie.
    pub kept: Option<String>,
    /// Where the browser is to go on, if the trip goes by the upstream's sign-off first: what that tells us is our own doing.
    pub after_sign_off: Option<Url>,
}

impl Departure {
    /// A trip with nothing to remember.
    pub const fn to(url: Url) -> Self {
        Self {
            url,
            kept: None,
            after_sign_off: None,
        }
    }
}

/// Sends a person to the upstream's own page.
#[async_trait]
pub trait RedirectLogin: Send + Sync {
    /// An address of the site that trips go to: pages must allow their forms to end there.
    fn site(&self) -> &Url;

    /// Where to send the browser.
    async fn start(&self, trip: &Trip<'_>) -> Result<Departure, LoginError>;
}

/// What came back from a trip.
#[derive(Clone, Copy, Debug)]
pub struct Return<'a> {
    /// The address that it came back to.
    pub callback: &'a Url,
    /// What it brought.
    pub answer: &'a Params,
    /// What [`Departure`] kept.
    pub kept: Option<&'a str>,
}

/// Takes a person back at our callback.
#[async_trait]
pub trait CallbackLogin: Send + Sync {
    /// Whether the upstream always sends `state` back, so that an answer without it must be refused.
    fn always_returns_state(&self) -> bool;

    /// The parameter that the upstream hands its code over in.
    fn code_parameter(&self) -> &str;

    /// Whether the upstream may hand its answer over in the fragment of our address, where only a script can read it.
    fn may_answer_in_fragment(&self) -> bool {
        false
    }

    /// Turns what came back into a person. The caller has checked that this browser was sent away by us, and that
    /// `state`, if it came, is the one it was sent with.
    async fn finish(&self, back: &Return<'_>) -> Result<Identity, LoginError>;
}

/// Takes people whom the upstream's own pages send, each with a credential to redeem at once (iMIS's Single Sign On
/// content item). Nothing ties an arrival to a departure: the caller holds it against this browser's own cookies (T25).
#[async_trait]
pub trait Landing: Send + Sync {
    /// The application with this name, which is the last part of its landing's address.
    fn application(&self, name: &str) -> Option<LandingApplication>;

    /// Turns what the application's landing received into a person. Called once for an arrival: the credential may
    /// be good for one use only.
    async fn redeem(&self, application: &str, arrival: &Params) -> Result<Identity, LoginError>;
}

/// A page of the upstream's that sends people to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandingApplication {
    /// Our client to go on to when a person comes unasked; `None`: nowhere in particular.
    pub client: Option<ClientId>,
    /// Where somebody who is not signed in there can do so.
    pub sign_in: Option<Url>,
    /// Whether it is the one whose page `redirect` sends people to: who comes by another has started at the upstream.
    pub ends_trips: bool,
}

/// Renews what a login gave. Called by one node at a time for a person's tokens: an upstream may take a refresh token
/// once only (T64).
#[async_trait]
pub trait Renewal: Send + Sync {
    /// New tokens for the old ones. `BadCredentials`: they are good for nothing any more, and the person has to log in
    /// again.
    async fn renew(&self, tokens: &UpstreamTokens) -> Result<UpstreamTokens, LoginError>;
}

/// A person as they were known at their last login.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// [`Identity::subject`].
    pub subject: &'a str,
    /// What the upstream told about them.
    pub profile: &'a Profile,
    /// Tokens of theirs that are current, where there are any; an adapter that needs none looks elsewhere.
    pub tokens: Option<&'a UpstreamTokens>,
}

/// Asks anew who a person is.
#[async_trait]
pub trait Recheck: Send + Sync {
    /// What the upstream tells about them now. `NotAllowed`, `NoPerson` and `BadCredentials`: they may not come in any more
    /// (disabled, deleted); `Unavailable` and `Protocol`: nobody knows. A refused token of theirs is no refusal of the
    /// person: that, and a token that lacks, are told as [`NoVerdict`].
    async fn recheck(&self, person: &Known<'_>) -> Result<Profile, LoginError>;
}

/// Logs the service account in.
#[async_trait]
pub trait ServiceLogin: Send + Sync {
    /// The service account's token, for a client to use. `stale` is one that the upstream has just refused. A token that
    /// opens nothing is none: [`MissingRight`], where the adapter can tell.
    async fn token(&self, stale: Option<&Secret>) -> Result<UpstreamTokens, LoginError>;
}

/// Keeps the token of an upstream's service account for all nodes, so that one of them asks for it and the others wait
/// for its answer.
#[async_trait]
pub trait Shelf: Send + Sync {
    /// The token that is kept, unless it ends too soon or is `stale`; else what `ask` gives now. A refusal is kept for a
    /// while, too, lest the account be locked by asking again.
    async fn token(
        &self,
        upstream: &UpstreamId,
        stale: Option<&Secret>,
        ask: Arc<dyn AskForToken>,
    ) -> Result<UpstreamTokens, LoginError>;
}

/// Asks the upstream itself for a token of the service account.
#[async_trait]
pub trait AskForToken: Send + Sync {
    /// A new token, by one request.
    async fn ask(&self) -> Result<UpstreamTokens, LoginError>;

    /// By which account and password: another text for each, and one that is kept sealed.
    fn whose(&self) -> String;
}

/// Ends the browser's session at the upstream.
#[async_trait]
pub trait SignOff: Send + Sync {
    /// Where to send the browser, `back` being the address of ours that it should return to; `None` when there is
    /// nothing to do for this login.
    async fn start(&self, back: &Url, tokens: Option<&UpstreamTokens>) -> Option<SignOffTrip>;
}

/// A trip to the upstream's sign-off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignOffTrip {
    /// Where to send the browser.
    pub url: Url,
    /// Whether the upstream sends it back to us. If not, the trip is the last thing that happens, or happens beside our
    /// own page.
    pub comes_back: bool,
}

/// A call of the upstream's API for one of our clients, checked already against what the client may.
#[derive(Debug)]
pub struct ApiCall {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path below the upstream's base, decoded, a segment each; none is empty, `.` or `..`.
    pub path: Vec<String>,
    /// Names and values, decoded.
    pub query: Vec<(String, String)>,
    /// `content-type`, `accept`, `accept-language`, `if-match` and the like, lower case; never a credential.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What the upstream's API answered, fit to be passed on.
#[derive(Debug)]
pub struct ApiAnswer {
    /// Its status.
    pub status: u16,
    /// Its headers, lower case, without cookies and hop-by-hop ones; the bytes are as they came, in whatever encoding.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body.
    pub body: Vec<u8>,
    /// The upstream took the token for no good: whoever has a newer one tries again, once.
    pub token_refused: bool,
}

/// Calls the upstream's API. Whose tokens these are is the caller's decision, and the caller's duty: a call for a person is
/// made with that person's own, never with those of the service account, which may do more (T61).
#[async_trait]
pub trait Api: Send + Sync {
    /// Calls it with `tokens`, in the upstream's own manner.
    async fn call(&self, call: &ApiCall, tokens: &UpstreamTokens) -> Result<ApiAnswer, LoginError>;
}

/// Tries an upstream for real.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Each thing tried, and what came of it.
    async fn probe(&self) -> Vec<Finding>;
}

/// One line of `portico check` about an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub what: String,
    /// `Err` says what is wrong and what to do.
    pub outcome: Result<String, String>,
}

impl Finding {
    /// What came of trying something.
    fn new(what: impl Into<String>, outcome: Result<String, String>) -> Self {
        Self {
            what: what.into(),
            outcome,
        }
    }

    /// A failed try, told with its causes and what to look at first.
    fn failure(error: &LoginError) -> String {
        let told = chain(error);
        match error {
            LoginError::Unavailable(_) => format!("{told}; {}", Self::advice(&told)),
            _ => told,
        }
    }

    /// What to do about an upstream that gives no answer, by the reason that is told.
    fn advice(told: &str) -> &'static str {
        [
            (
                "certificate",
                "where it is an authority's of your own, name its PEM file in outbound.extra_ca; one that has expired, or that \
                 names another host, its owner must replace",
            ),
            (
                "HTTP 429",
                "it asks for fewer requests: wait, and see what else there asks as the same account or from the same address",
            ),
            (
                "HTTP 503",
                "it is reached, and out of service: wait for the end of its maintenance, or ask who runs it or the proxy before it",
            ),
        ]
        .into_iter()
        .find(|(sign, _)| told.contains(sign))
        .map_or("look at base_url, and whether this machine may connect there", |(_, advice)| advice)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("id", &self.id)
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}
