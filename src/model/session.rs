//! A browser's login (OpenID Connect Session): one serves every client of that browser.

use serde::{Deserialize, Serialize};

use super::device::Device;
use crate::clock::{SKEW, UnixTime};
use crate::protocol::ids::{AccountId, SessionId, UpstreamId};

/// How long sessions last, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLifetime {
    /// Without use.
    pub idle: i64,
    /// In all.
    pub absolute: i64,
}

/// A session as the store keeps it. The cookie holds a secret whose hash finds the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The `sid` claim.
    pub id: SessionId,
    /// The person.
    pub account_id: AccountId,
    /// Where they logged in.
    pub upstream: UpstreamId,
    /// What the upstream calls them; `None` when an older version began the session.
    pub upstream_subject: Option<String>,
    /// When they logged in.
    pub auth_time: UnixTime,
    /// When it began: a later login of theirs within it moves `auth_time`.
    pub began_at: UnixTime,
    /// How (RFC 8176).
    pub amr: Vec<String>,
    /// What that proves, as the configuration says.
    pub acr: Option<String>,
    /// When it was last used.
    pub last_seen_at: UnixTime,
    /// When it ends whatever happens.
    pub expires_at: UnixTime,
    /// When it was ended, if it was.
    pub ended_at: Option<UnixTime>,
    /// Whether they asked to be kept signed in: then the cookie outlives the browser's run.
    pub persistent: bool,
    /// Where they logged in from; forgotten when it ends.
    pub device: Device,
}

/// What says whether a session stands: whoever looks at a token needs no more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSpan {
    /// When it was last used.
    pub last_seen_at: UnixTime,
    /// When it ends whatever happens.
    pub expires_at: UnixTime,
    /// When it was ended, if it was.
    pub ended_at: Option<UnixTime>,
    /// Whether its person asked to be kept signed in.
    pub persistent: bool,
}

impl SessionSpan {
    /// Whether the session still stands at `now`. A clock that stepped back does not lengthen it (T21): the end
    /// is fixed at the start.
    pub fn is_live(self, now: UnixTime, lifetimes: SessionLifetimes) -> bool {
        let lifetime = lifetimes.of(self.persistent);
        self.ended_at.is_none() && now < self.expires_at && now - self.last_seen_at < lifetime.idle
    }
}

/// How long sessions last, by what their people asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLifetimes {
    /// Those of a browser's run.
    pub usual: SessionLifetime,
    /// Those of people who asked to be kept signed in; `None`: nobody is asked.
    pub persistent: Option<SessionLifetime>,
}

impl SessionLifetimes {
    /// How long a session lasts. Where nobody is asked any more, those who were have no more than the others.
    pub fn of(&self, persistent: bool) -> SessionLifetime {
        self.persistent.filter(|_| persistent).unwrap_or(self.usual)
    }
}

impl Session {
    /// How long it lasts.
    pub const fn span(&self) -> SessionSpan {
        SessionSpan {
            last_seen_at: self.last_seen_at,
            expires_at: self.expires_at,
            ended_at: self.ended_at,
            persistent: self.persistent,
        }
    }

    /// Whether it still stands at `now`.
    pub fn is_live(&self, now: UnixTime, lifetimes: SessionLifetimes) -> bool {
        self.span().is_live(now, lifetimes)
    }

    /// Whether the login is recent enough for `max_age` seconds. One that lies in the future (a clock stepped
    /// back) is not.
    pub fn is_within_max_age(&self, now: UnixTime, max_age: Option<i64>) -> bool {
        max_age.is_none_or(|max_age| {
            let age = now - self.auth_time;
            (-SKEW..=max_age).contains(&age) && max_age > 0
        })
    }
}

/// What a token remembers of the login it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// The session.
    pub session_id: SessionId,
    /// The upstream.
    pub upstream: UpstreamId,
    /// When.
    pub auth_time: UnixTime,
    /// How (RFC 8176).
    pub amr: Vec<String>,
    /// What that proves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
}

impl From<&Session> for Authentication {
    fn from(session: &Session) -> Self {
        Self {
            session_id: session.id.clone(),
            upstream: session.upstream.clone(),
            auth_time: session.auth_time,
            amr: session.amr.clone(),
            acr: session.acr.clone(),
        }
    }
}
