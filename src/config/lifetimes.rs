//! `[lifetimes]`: how long things last.

use crate::model::family::FamilyLifetime;
use crate::model::session::SessionLifetime;

/// How long things last, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// An access token.
    pub access_token: i64,
    /// An ID token.
    pub id_token: i64,
    /// A session without use.
    pub session_idle: i64,
    /// A session in all.
    pub session_absolute: i64,
    /// A refresh token without use.
    pub refresh_idle: i64,
    /// A family of refresh tokens in all.
    pub refresh_absolute: i64,
    /// The time a person has to log in once an app has sent them.
    pub flow: i64,
    /// Not a time: the most families one person has with one client; the oldest ends.
    pub families_per_client: i64,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            access_token: 10 * MINUTE,
            id_token: 10 * MINUTE,
            session_idle: 12 * HOUR,
            session_absolute: 7 * DAY,
            refresh_idle: 30 * DAY,
            refresh_absolute: 365 * DAY,
            flow: 30 * MINUTE,
            families_per_client: 20,
        }
    }
}

impl Lifetimes {
    /// The part that sessions ask for.
    pub const fn session(&self) -> SessionLifetime {
        SessionLifetime {
            idle: self.session_idle,
            absolute: self.session_absolute,
        }
    }

    /// The part that refresh tokens ask for.
    pub const fn family(&self) -> FamilyLifetime {
        FamilyLifetime {
            idle: self.refresh_idle,
            absolute: self.refresh_absolute,
        }
    }
}
