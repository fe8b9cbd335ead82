//! Somebody whom an upstream's own page has sent, between the POST that brought them and the GET where the cookies are:
//! sealed into a cookie of its own, under a handle in the URL that is worth nothing without it. What is too large for a
//! cookie beside the others, as the upstream's tokens may be, is a row that expires; the cookie holds the secret that finds
//! it. A row is made for a credential that an upstream has honored and for nothing else.

use axum::extract::FromRef as _;
use axum::http::StatusCode;
use cookie::Cookie;
use serde::{Deserialize, Serialize};

use crate::clock::{SKEW, UnixTime, random_token};
use crate::keys::{Purpose, Secrets};
use crate::protocol::error::OAuthError;
use crate::protocol::ids::UpstreamId;
use crate::protocol::secret::Secret;
use crate::store::Store;
use crate::upstream::{Identity, LoginError};

use super::cookies::{CookieNames, RequestCookies};
use super::error::Trouble;
use super::state::HttpState;

/// How long a redeemed arrival waits for the GET that follows, in seconds.
pub(super) const ARRIVAL_SECONDS: i64 = 60;
/// How long it waits for the person's answer.
pub(super) const ANSWER_SECONDS: i64 = 5 * 60;
/// With the cookies of flows it must fit into the 8 kB that proxies take for a header line.
const MAX_SEALED_BYTES: usize = 1200;
/// What begins a cookie whose arrival is in a row; no sealed text has a dot.
const ROW: &str = "row.";

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

impl Who {
    /// Whether nobody may be signed in there: a visitor, by whatever name.
    pub(super) const fn may_be_nobody(&self) -> bool {
        matches!(self, Self::Anonymous | Self::Refused(Refusal::NoPerson))
    }
}

/// Why not, for the page; the reason is in the log already.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum Refusal {
    Credential,
    NotAllowed,
    NoPerson,
    Unavailable,
    Protocol,
}

impl From<&LoginError> for Refusal {
    fn from(error: &LoginError) -> Self {
        match error {
            LoginError::BadCredentials(_) | LoginError::Cancelled => Self::Credential,
            LoginError::NotAllowed(_) | LoginError::Anonymous => Self::NotAllowed,
            LoginError::NoPerson(_) => Self::NoPerson,
            LoginError::Unavailable(_) => Self::Unavailable,
            LoginError::Protocol(_) => Self::Protocol,
        }
    }
}

impl Refusal {
    /// The page that tells it where no flow waits.
    pub(super) const fn trouble(self) -> Trouble {
        match self {
            Self::NotAllowed | Self::NoPerson => Trouble::Closed,
            Self::Credential => Trouble::Arrival(StatusCode::FORBIDDEN),
            Self::Unavailable => Trouble::Arrival(StatusCode::SERVICE_UNAVAILABLE),
            Self::Protocol => Trouble::Arrival(StatusCode::BAD_GATEWAY),
        }
    }

    pub(super) fn into_error(self) -> LoginError {
        let told = "told when it was redeemed";
        match self {
            Self::Credential => LoginError::BadCredentials(None),
            Self::NotAllowed => LoginError::NotAllowed(told.to_owned()),
            Self::NoPerson => LoginError::NoPerson(told),
            Self::Unavailable => LoginError::Unavailable(told.into()),
            Self::Protocol => LoginError::Protocol(told.into()),
        }
    }
}

/// Reads and writes arrivals, for one request.
pub(super) struct Arrivals<'a> {
    names: CookieNames,
    secrets: Secrets,
    store: Store,
    cookies: &'a RequestCookies,
}

impl<'a> Arrivals<'a> {
    /// Those of the browser that sent these cookies.
    pub(super) fn of(state: &HttpState, cookies: &'a RequestCookies) -> Self {
        Self {
            names: CookieNames::from_ref(state),
            secrets: Secrets::from_ref(state),
            store: Store::from_ref(state),
            cookies,
        }
    }

    /// Keeps `arrival` under `handle`: the cookie that it waits in, or that finds its row.
    pub(super) async fn keep(
        &self,
        handle: &str,
        arrival: &Arrival,
        now: UnixTime,
    ) -> Result<Cookie<'static>, OAuthError> {
        let plain =
            zeroize::Zeroizing::new(serde_json::to_vec(arrival).map_err(OAuthError::server_error)?);
        let sealed = self.secrets.seal(Purpose::Arrival, handle, &plain)?;
        let value = if sealed.len() <= MAX_SEALED_BYTES {
            sealed
        } else {
            let secret = self
                .row_secret(handle)
                .map_or_else(random_token, ToOwned::to_owned);
            let hash = self.secrets.hash(Purpose::PendingRequest, &secret)?;
            let expires_at = arrival.until + SKEW;
            self.store
                .keep_pending_request(&hash, &sealed, expires_at)
                .await?;
            format!("{ROW}{secret}")
        };
        let name = self.names.arrival(handle);
        Ok(self.names.make(name, value, Some(arrival.until - now)))
    }

    /// The arrival that `handle` names in this browser, if it still waits.
    pub(super) async fn find(
        &self,
        handle: &str,
        now: UnixTime,
    ) -> Result<Option<Arrival>, OAuthError> {
        let sealed = match self.row_secret(handle) {
            Some(secret) => {
                let hash = self.secrets.hash(Purpose::PendingRequest, secret)?;
                self.store.find_pending_request(&hash, now).await?
            }
            None => self.cookie(handle).map(ToOwned::to_owned),
        };
        let opened = sealed.and_then(|sealed| self.secrets.open(Purpose::Arrival, handle, &sealed));
        let plain = opened.map(zeroize::Zeroizing::new);
        let arrival: Option<Arrival> = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
        let waits = 0..=ANSWER_SECONDS + SKEW;
        Ok(arrival.filter(|arrival| waits.contains(&(arrival.until - now))))
    }

    /// Forgets an arrival that was used: the cookie to set. A row expires by itself, for a second click may have left before
    /// the first one's answer was there: it says the same as a cookie would that was sent twice.
    pub(super) fn forget(&self, handle: &str) -> Cookie<'static> {
        self.names.remove(self.names.arrival(handle))
    }

    fn cookie(&self, handle: &str) -> Option<&str> {
        self.cookies
            .get(&self.names.arrival(handle))
            .map(Secret::expose)
    }

    fn row_secret(&self, handle: &str) -> Option<&str> {
        self.cookie(handle)?.strip_prefix(ROW)
    }
}
