//! What a person agreed to, for one client.

use std::collections::BTreeSet;

use crate::clock::UnixTime;
use crate::protocol::ids::{AccountId, ClientId};
use crate::protocol::scope::Scope;

/// A remembered consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The person.
    pub account_id: AccountId,
    /// The client.
    pub client_id: ClientId,
    /// Everything agreed to so far.
    pub scope: Scope,
    /// The single claims agreed to besides, by name.
    pub claims: BTreeSet<String>,
    /// When it was last widened.
    pub granted_at: UnixTime,
}
