//! An account: one person, however many logins lead to it.

use crate::clock::UnixTime;
use crate::protocol::claims::Profile;
use crate::protocol::ids::{AccountId, UpstreamId};

/// A person as the store keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Our key; never shown.
    pub id: AccountId,
    /// The `sub` claim: random, stable, telling nothing (OpenID Connect Core section 8).
    pub subject: String,
    /// What the upstream said at the last login.
    pub profile: Profile,
    /// When the account was made.
    pub created_at: UnixTime,
    /// When it was closed by an administrator, if it was.
    pub disabled_at: Option<UnixTime>,
}

/// The way an upstream names a person: the only thing that leads to an account (T31).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamSubject {
    /// The upstream.
    pub upstream: UpstreamId,
    /// Its stable id for the person; never an email address or a login name.
    pub subject: String,
}
