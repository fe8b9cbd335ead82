//! What a client may exchange access tokens of ours for (RFC 8693). Nothing, unless the administrator has said so (T18).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::protocol::ids::ClientId;

/// The policy of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangePolicy {
    /// The APIs that it may have tokens for.
    pub audiences: BTreeSet<String>,
    /// The APIs that it is itself: what it is called with is for one of them.
    #[serde(default)]
    pub own_audiences: BTreeSet<String>,
    /// The clients whose people's tokens it may exchange.
    pub from_clients: BTreeSet<ClientId>,
    /// Whether it may have tokens that do not say who acts (RFC 8693 section 1.1).
    pub impersonation: bool,
}

impl ExchangePolicy {
    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.audiences.is_empty()
    }
}
