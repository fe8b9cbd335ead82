//! Upstreams: the credential systems whose people log in here. One file an adapter; an adapter sees neither store
//! nor cookies nor axum, and declares what it can do by the fields of [`Upstream`] it fills.

pub mod aim18;
pub mod imis;
pub mod look;
pub mod outbound;
pub mod settings;
pub mod users;

use std::fmt;

use async_trait::async_trait;
use url::Url;

use crate::protocol::claims::Profile;
use crate::protocol::error::{BoxError, chain};
use crate::protocol::ids::{ClientId, UpstreamId};
use crate::protocol::params::Params;
use crate::protocol::secret::Secret;

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
    pub label: String,
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
    /// Try the configuration for real, for `portico check`.
    pub probe: Box<dyn Probe>,
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
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// The upstream's stable id for the person; never an email address or a login name (T31).
    pub subject: String,
    /// What it tells about them.
    pub profile: Profile,
    /// How they logged in (RFC 8176); empty when it does not tell.
    pub amr: Vec<String>,
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

/// Logs a person in with what they typed into our form.
#[async_trait]
pub trait PasswordLogin: Send + Sync {
    /// Asks the upstream. Called only after the throttle agreed.
    async fn log_in(&self, credentials: &Credentials) -> Result<Identity, LoginError>;
}

/// Sends a person to the upstream's own page.
pub trait RedirectLogin: Send + Sync {
    /// Where to send the browser. `callback` is our one fixed address for this upstream; `state` is random, and
    /// useful only where the upstream sends it back.
    fn start(&self, callback: &Url, state: &str) -> Url;
}

/// Takes a person back at our callback.
#[async_trait]
pub trait CallbackLogin: Send + Sync {
    /// Whether the upstream always sends `state` back, so that an answer without it must be refused.
    fn always_returns_state(&self) -> bool;

    /// Turns what came back into a person. The caller has checked that this browser was sent away by us, and that
    /// `state`, if it came, is the one it was sent with.
    async fn finish(&self, callback: &Url, answer: &Params) -> Result<Identity, LoginError>;
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
    /// A failed try, told with its causes and what to look at first.
    fn failure(error: &LoginError) -> String {
        let told = chain(error);
        match error {
            LoginError::Unavailable(_) => {
                format!("{told}; look at base_url, and whether this machine may connect there")
            }
            _ => told,
        }
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
