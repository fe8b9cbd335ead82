//! An account: one person, however many logins lead to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{SKEW, UnixTime};
use crate::protocol::claims::Profile;
use crate::protocol::ids::{AccountId, AccountSubject, UpstreamId};

/// A person as the store keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Our key; never shown.
    pub id: AccountId,
    /// What the `sub` claims of this person are made of: random, stable, telling nothing (OpenID Connect Core section 8).
    pub subject: AccountSubject,
    /// What an upstream said: that of the login at hand, where there is one; otherwise that of the last login.
    pub profile: Profile,
    /// When the account was made.
    pub created_at: UnixTime,
    /// When it was closed, by an administrator or because it was linked into another.
    pub disabled_at: Option<UnixTime>,
    /// The account that it was linked into, if it was; it never opens again.
    pub merged_into: Option<AccountId>,
}

impl Account {
    /// Whether the person may log in.
    pub const fn is_open(&self) -> bool {
        self.disabled_at.is_none()
    }
}

/// The way an upstream names a person: the only thing that leads to an account (T31).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UpstreamSubject {
    /// The upstream.
    pub upstream: UpstreamId,
    /// Its stable id for the person; never an email address or a login name.
    pub subject: String,
}

/// One of the logins that lead to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// What the upstream calls the person.
    pub name: UpstreamSubject,
    /// What it said at the last login by this way.
    pub profile: Profile,
    /// When it was linked to the account, unless the account began with it.
    pub linked_at: Option<UnixTime>,
    /// When it was last used, as far as is known.
    pub last_login_at: Option<UnixTime>,
}

impl Login {
    /// What to call the person by this login.
    pub fn display_name(&self) -> &str {
        self.profile.display_name().unwrap_or(&self.name.subject)
    }
}

/// How often the people of an upstream are asked about anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecheckPolicy {
    /// Seconds after which what is known of a person is asked anew; `None`: never.
    pub interval: Option<i64>,
    /// The same for people who may never come back, for their app keeps a session of its own and is told of logouts.
    pub sessions: Option<i64>,
    /// How long a request waits for the answer.
    pub timeout: Duration,
}

/// What is known of a login since the person logged in by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginCheck {
    /// The login.
    pub login: UpstreamSubject,
    /// When it last said that they are who they are; `None`: longer ago than anybody remembers.
    pub checked_at: Option<UnixTime>,
    /// Since when somebody is asking it.
    pub checking_since: Option<UnixTime>,
    /// Nobody asks before then.
    pub check_after: Option<UnixTime>,
    /// When it said that they may not come in any more.
    pub refused_at: Option<UnixTime>,
}

impl LoginCheck {
    /// How old that knowledge is. What seems to be from the future is as old as can be, for a clock stepped back (T21).
    pub fn age(&self, now: UnixTime) -> i64 {
        let age = now - self.checked_at.unwrap_or_default();
        if age < -SKEW { i64::MAX } else { age.max(0) }
    }

    /// Whether somebody asks at the moment, or has just asked in vain. A claim from the future is none.
    pub fn is_taken(&self, now: UnixTime, longest: i64) -> bool {
        self.check_after
            .is_some_and(|after| now < after && after - now <= longest + SKEW)
    }
}
