//! Where tokens of upstreams are kept: a row for each session and upstream, and one for the service account of each
//! upstream.

use crate::clock::{CLOCKS_APART, UnixTime};
use crate::protocol::ids::{AccountId, SessionId, UpstreamId};

/// Whose tokens of which upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VaultPlace {
    /// Those that a person's login gave.
    Person {
        /// The person.
        account_id: AccountId,
        /// The login.
        session_id: SessionId,
        /// Where they are good.
        upstream: UpstreamId,
    },
    /// That of the service account.
    Service {
        /// Where it is good.
        upstream: UpstreamId,
    },
}

impl VaultPlace {
    /// The word in the column `kind`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Person { .. } => "person",
            Self::Service { .. } => "service",
        }
    }

    /// The upstream.
    pub const fn upstream(&self) -> &UpstreamId {
        match self {
            Self::Person { upstream, .. } | Self::Service { upstream } => upstream,
        }
    }

    /// The account and the session, of a person's.
    pub const fn person(&self) -> Option<(&AccountId, &SessionId)> {
        match self {
            Self::Person {
                account_id,
                session_id,
                ..
            } => Some((account_id, session_id)),
            Self::Service { .. } => None,
        }
    }

    /// The row's primary key. No id holds a colon.
    pub fn id(&self) -> String {
        match self {
            Self::Person {
                session_id,
                upstream,
                ..
            } => format!("person:{session_id}:{upstream}"),
            Self::Service { upstream } => format!("service:{upstream}"),
        }
    }

    /// What a sealed text is bound to: moved to another person, session or upstream, it does not open (T63).
    pub fn context(&self) -> String {
        match self {
            Self::Person { account_id, .. } => format!("{}:{account_id}", self.id()),
            Self::Service { .. } => self.id(),
        }
    }
}

/// A row of the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultEntry {
    /// What is kept, sealed; `None` while nothing is.
    pub sealed: Option<String>,
    /// Counts what was written.
    pub version: i64,
    /// Who asks the upstream for new tokens, and until when that counts.
    pub lease: Option<Lease>,
    /// Since when nothing but a new login helps.
    pub needs_login: Option<UnixTime>,
}

/// The right to ask the upstream: one at a time, of all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Random, another each time.
    pub holder: String,
    /// Whoever holds it longer has died.
    pub until: UnixTime,
}

impl Lease {
    /// Whether its holder may still be at work at `now`.
    pub const fn is_live(&self, now: UnixTime) -> bool {
        now < self.until && self.until <= now.saturating_add(CLOCKS_APART)
    }
}

/// Tokens of a new login, sealed for their row.
#[derive(Clone, Debug)]
pub struct NewVaultEntry {
    /// The row.
    pub place: VaultPlace,
    /// The tokens.
    pub sealed: String,
}

/// Tokens on their way from a session into the one that takes its place.
#[derive(Clone, Debug)]
pub struct MovedVaultEntry {
    /// The row that they leave.
    pub from: VaultPlace,
    /// The version in which that was read.
    pub version: i64,
    /// The tokens, sealed for their new row.
    pub to: NewVaultEntry,
}
