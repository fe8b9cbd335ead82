//! What a client is to be told about a logout, and how often that is tried (OpenID Connect Back-Channel Logout 1.0).

use crate::clock::{SKEW, UnixTime};
use crate::protocol::ids::{AccountId, ClientId, SessionId};

/// Seconds until the second attempt; each further one waits three times as long.
const FIRST_WAIT: i64 = 10;
/// The longest wait: a client that comes back hears of it within this time.
const LONGEST_WAIT: i64 = 10 * 60;

/// The longest time after which a client that does not answer is tried again, while it is to be told anything.
const LONGEST_PAUSE: i64 = 60;

/// A logout that a client is to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutNotice {
    /// Its own name.
    pub id: String,
    /// Who is told.
    pub client_id: ClientId,
    /// About whom.
    pub account_id: AccountId,
    /// The session that ended; `None`: every login of that person at this client.
    pub session_id: Option<SessionId>,
    /// When it ended.
    pub created_at: UnixTime,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next; `None` when it is over.
    pub next_at: Option<UnixTime>,
    /// When the client has heard it.
    pub told_at: Option<UnixTime>,
    /// What came of the last attempt that failed.
    pub trouble: Option<String>,
}

/// Where a notice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeState {
    /// It is tried again.
    Waiting,
    /// The client has heard it.
    Told,
    /// It was given up.
    GivenUp,
}

impl NoticeState {
    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Told => "told",
            Self::GivenUp => "given up",
        }
    }
}

impl LogoutNotice {
    /// Where it stands.
    pub const fn state(&self) -> NoticeState {
        match (self.told_at, self.next_at) {
            (Some(_), _) => NoticeState::Told,
            (None, Some(_)) => NoticeState::Waiting,
            (None, None) => NoticeState::GivenUp,
        }
    }
}

/// A client does not answer. Until it does, one notice at a time is tried, each the one that was tried the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogoutOutage {
    /// When it began.
    pub since: UnixTime,
    /// How many notices have failed, each counted once.
    pub failures: i64,
    /// When the next one is tried.
    pub next_at: UnixTime,
}

impl LogoutOutage {
    /// It begins with a notice that failed at `now`, at its first attempt: one that failed before says nothing about the
    /// client, which may have heard all the others.
    pub fn beginning(notice: &LogoutNotice, now: UnixTime) -> Option<Self> {
        (notice.attempts == 0).then_some(Self {
            since: now,
            failures: 1,
            next_at: now + FIRST_WAIT,
        })
    }

    /// Whether nothing is to be tried at `now`. No pause is longer than the longest: what claims to be was written by a clock
    /// that has stepped back since.
    pub const fn is_paused(&self, now: UnixTime) -> bool {
        self.next_at > now && self.next_at <= latest(now)
    }

    /// It goes on: `notice` was tried and failed. One that failed before makes nobody wait longer.
    #[must_use]
    pub fn after(self, notice: &LogoutNotice, now: UnixTime) -> Self {
        let failures = self.failures + i64::from(notice.attempts == 0);
        Self {
            failures,
            next_at: now + wait_after(failures).min(LONGEST_PAUSE),
            ..self
        }
    }
}

/// Nothing waits for longer than this: what claims to was written by a clock that has stepped back since, and is due.
pub const fn latest(now: UnixTime) -> UnixTime {
    now + LONGEST_WAIT + SKEW
}

/// How long after the attempt of that number the next one comes. It is longer than any attempt takes, so that a node
/// that ends in the middle of one holds nothing up, and no other node sends the same twice.
pub fn wait_after(attempt: i64) -> i64 {
    let mut wait = FIRST_WAIT;
    for _ in 1..attempt {
        wait = (wait * 3).min(LONGEST_WAIT);
        if wait == LONGEST_WAIT {
            break;
        }
    }
    wait
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_grow_rarer_and_never_rarer_than_every_ten_minutes() {
        let waits: Vec<i64> = (1..=6).map(wait_after).collect();
        assert_eq!(waits, [10, 30, 90, 270, 600, 600]);
        assert_eq!(wait_after(i64::MAX), 600);
    }
}
