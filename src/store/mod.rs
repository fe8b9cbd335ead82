//! The only room that speaks SQL: one text of each statement for SQLite and PostgreSQL, a file a table.
//!
//! The dialect is TEXT and BIGINT; what may happen once is one guarded statement whose affected rows decide, and
//! statements that must agree share a transaction (`docs/architecture.md`, "The store"). Nothing here reads a clock.
//!
//! JSON columns: a field added later needs a serde default, for an older node may have written the row.

mod access_tokens;
mod accounts;
mod audit;
mod chain;
mod checkpoints;
mod checks;
mod client_cache;
mod clients;
mod codes;
mod configuration;
mod connect;
mod consents;
mod device_codes;
mod embedded;
mod endings;
mod error;
mod families;
mod initial_access_tokens;
mod lane;
mod leftovers;
mod linking;
mod logout_notices;
mod pen;
mod pending_requests;
mod pushed_requests;
mod reads;
mod record;
mod registrations;
mod schema;
mod session_clients;
mod session_lists;
mod sessions;
mod signing_keys;
mod spent_ids;
mod statement;
mod sweep;
mod throttle_aliases;
mod throttles;
mod together;
mod vault_entries;
mod writes;

use std::fmt;
use std::time::Duration;

pub use accounts::NewAccount;
pub use checks::Standing;
pub use clients::{Reconciled, StoredClient};
pub use codes::{Redeemable, Redemption};
pub use endings::{Endings, Whose};
pub use error::StoreError;
pub use families::{Behind as BehindFamily, Refreshable};
pub use linking::{LeadsTo, Linked, NewLink, Unlinked};
pub use logout_notices::ClientToTell;
pub use registrations::{HeldPage, Registered, Replaced};
pub use schema::{MOVED_TABLES, MigrationPatience, MoveError};
pub use session_lists::{ListOf, NoticeFilter};
pub use sweep::Swept;

use client_cache::ClientCache;
use reads::Reads;
use writes::Writes;

/// The databases that the store runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Embedded; one node.
    Sqlite,
    /// Any number of equal nodes.
    Postgres,
}

impl Backend {
    /// The name for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    /// For statements that only read.
    reads: Reads,
    /// For all others. On SQLite by one connection: writers then wait in a fair queue of ours instead of
    /// polling for the file's lock, which starves some of them under load. On PostgreSQL by the same connections as `reads`.
    writes: Writes,
    clients: ClientCache,
}

impl Store {
    /// The kind of database underneath.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// From now on PostgreSQL is waited for so long at each statement, and then its connection is given up: one that died without a word
    /// (a firewall that forgot it, a fail-over) never answers, and what waits for it would wait for ever. For servers, whose statements
    /// are brief; it has no effect on SQLite, and is set once.
    pub fn wait_at_most(&self, limit: Duration) {
        if let Writes::Apart(lane) = &self.writes {
            lane.limit(limit);
        }
    }

    /// Closes every connection, after the statements that are running.
    pub async fn close(&self) {
        self.reads.close().await;
        self.writes.close().await;
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

/// Runs a whole transaction again when PostgreSQL chose it as the victim of a deadlock: two that revoke
/// overlapping sets of families may lock them in different orders, and neither did anything wrong.
async fn retrying<T, F, Attempt>(attempt: F) -> Result<T, StoreError>
where
    F: Fn() -> Attempt + Send,
    Attempt: Future<Output = Result<T, StoreError>> + Send,
{
    const ATTEMPTS: u32 = 5;
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if error.is_deadlock() => {}
            outcome => return outcome,
        }
    }
    attempt().await
}
