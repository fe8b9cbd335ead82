//! Somebody whom an upstream's own page has sent, between the POST that brought them and the GET where the cookies are:
//! sealed into a cookie of its own, under a handle in the URL that is worth nothing without it.

use cookie::Cookie;
use serde::{Deserialize, Serialize};

use crate::clock::{SKEW, UnixTime};
use crate::keys::{Purpose, Secrets};
use crate::protocol::error::OAuthError;
use crate::protocol::ids::UpstreamId;
use crate::upstream::{Identity, LoginError};

use super::cookies::{CookieNames, RequestCookies};

/// How long a redeemed arrival waits for the GET that follows, in seconds.
pub(super) const ARRIVAL_SECONDS: i64 = 60;
/// How long it waits for the person's answer.
pub(super) const ANSWER_SECONDS: i64 = 5 * 60;

/// Somebody who has come, and whom their credential turned out to be.
#[derive(Serialize, Deserialize)]
pub(super) struct Arrival {
    pub(super) upstream: UpstreamId,
    /// The landing's application; empty at the callback.
    pub(super) application: String,
    pub(super) until: UnixTime,
    pub(super) who: Who,
    /// Whether a page of the upstream's site sent them, as the browser says.
    pub(super) from_site: bool,
    /// The flow of this browser that goes on when the person says yes.
    pub(super) flow: Option<String>,
}

/// Whom a credential turned out to be.
#[derive(Serialize, Deserialize)]
pub(super) enum Who {
    Person(Box<Identity>),
    Anonymous,
    Refused(Refusal),
}

/// Why not, for the page; the reason is in the log already.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum Refusal {
    Credential,
    NotAllowed,
    Unavailable,
    Protocol,
}

impl From<&LoginError> for Refusal {
    fn from(error: &LoginError) -> Self {
        match error {
            LoginError::BadCredentials(_) | LoginError::Cancelled => Self::Credential,
            LoginError::NotAllowed(_) | LoginError::Anonymous => Self::NotAllowed,
            LoginError::Unavailable(_) => Self::Unavailable,
            LoginError::Protocol(_) => Self::Protocol,
        }
    }
}

impl Refusal {
    pub(super) fn into_error(self) -> LoginError {
        let told = "told when it was redeemed";
        match self {
            Self::Credential => LoginError::BadCredentials(None),
            Self::NotAllowed => LoginError::NotAllowed(told.to_owned()),
            Self::Unavailable => LoginError::Unavailable(told.into()),
            Self::Protocol => LoginError::Protocol(told.into()),
        }
    }
}

impl Arrival {
    /// The cookie that it waits in.
    pub(super) fn seal(
        &self,
        names: CookieNames,
        secrets: &Secrets,
        handle: &str,
        now: UnixTime,
    ) -> Result<Cookie<'static>, OAuthError> {
        let plain = serde_json::to_vec(self).map_err(OAuthError::server_error)?;
        let sealed = secrets.seal(Purpose::Arrival, handle, &plain)?;
        Ok(names.make(names.arrival(handle), sealed, Some(self.until - now)))
    }

    /// The arrival that `handle` names in this browser, if it still waits.
    pub(super) fn open(
        names: CookieNames,
        secrets: &Secrets,
        cookies: &RequestCookies,
        handle: &str,
        now: UnixTime,
    ) -> Option<Self> {
        let sealed = cookies.get(&names.arrival(handle))?;
        let plain = secrets.open(Purpose::Arrival, handle, sealed.expose())?;
        let arrival: Self = serde_json::from_slice(&plain).ok()?;
        let waits = 0..=ANSWER_SECONDS + SKEW;
        waits.contains(&(arrival.until - now)).then_some(arrival)
    }
}
