//! An account: one person, however many logins lead to it.

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
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
