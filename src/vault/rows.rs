//! The rows of the vault: sealing and opening, and waiting for whoever holds a row's lease.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::beside::UnderWay;
use crate::clock::{Clock, SKEW, random_id};
use crate::keys::{Purpose, Secrets};
use crate::model::vault_entry::{Lease, VaultPlace};
use crate::protocol::error::{BoxError, chain};
use crate::store::{Store, StoreError};

/// The longest that an upstream is asked for new tokens.
pub(super) const ASKED_AT_MOST: Duration = Duration::from_mins(1);
/// Seconds after which a lease ends by itself: longer than its holder can be at work, by any node's clock.
const LEASE: i64 = 60 + SKEW;
/// Time between two tries to write, at first and at most.
const FIRST_TRY: Duration = Duration::from_millis(100);
const LAST_TRY: Duration = Duration::from_secs(2);
/// How long a request waits for the answer that another got.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time between two looks at the row, at first and at most.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LAST_LOOK: Duration = Duration::from_millis(500);

/// What reads and writes the rows. Cheap to clone.
#[derive(Clone)]
pub(super) struct Rows {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) secrets: Secrets,
    /// Those who ask an upstream, each with a lease in hand: they outlive whoever wanted to know.
    pub(super) asking: UnderWay,
}

/// A sealed text that does not open, or holds what it must not: the master key is another one, or the row was tampered
/// with (T63).
#[derive(Debug, thiserror::Error)]
#[error(
    "the row {row} of vault_entry cannot be opened: the master key is not the one it was sealed with, or the row was moved or changed"
)]
pub(super) struct Unreadable {
    row: String,
}

impl Rows {
    /// Waits until nobody asks any more, at the end of a server: what an upstream gives once only would be lost, and a lease would
    /// stand in everybody's way.
    pub(super) async fn settle(&self) {
        self.asking.end().await;
    }

    pub(super) fn seal(
        &self,
        place: &VaultPlace,
        plain: &impl Serialize,
    ) -> Result<String, BoxError> {
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(plain)?);
        Ok(self
            .secrets
            .seal(Purpose::VaultEntry, &place.context(), &plain)?)
    }

    pub(super) fn open<T: DeserializeOwned>(
        &self,
        place: &VaultPlace,
        sealed: &str,
    ) -> Result<T, Unreadable> {
        let opened = self
            .secrets
            .open(Purpose::VaultEntry, &place.context(), sealed)
            .map(zeroize::Zeroizing::new);
        let parsed = opened.and_then(|plain| serde_json::from_slice(&plain).ok());
        parsed.ok_or_else(|| Unreadable { row: place.id() })
    }

    /// A lease for somebody who begins now.
    pub(super) fn new_lease(&self) -> Lease {
        Lease {
            holder: random_id(),
            until: self.clock.now() + LEASE,
        }
    }
}

/// When a lease that was taken just now ends.
pub(super) fn lease_ends() -> Instant {
    Instant::now() + Duration::from_secs(LEASE.unsigned_abs())
}

/// Writes what the holder of a lease alone has, again and again until the lease `ends`: the database is away for a moment
/// while another takes over, and what an upstream gives once only must outlast that. Whoever holds no lease any more
/// changes nothing, so that a second time does no harm.
pub(super) async fn insist<T, F>(ends: Instant, write: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pause = FIRST_TRY;
    loop {
        match write().await {
            Err(error) if Instant::now() + pause < ends => {
                tracing::warn!(
                    error = chain(&error),
                    "what came of a lease could not be written; it is tried again"
                );
                sleep(pause).await;
                pause = (pause * 2).min(LAST_TRY);
            }
            outcome => return outcome,
        }
    }
}

/// Waits, for a bounded time, for what somebody else is doing.
pub(super) struct Patience {
    ends: Instant,
    look: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self {
            ends: Instant::now() + PATIENCE,
            look: FIRST_LOOK,
        }
    }

    /// When it ends.
    pub(super) const fn ends(&self) -> Instant {
        self.ends
    }

    /// Waits a little; `false` when it has ended.
    pub(super) async fn wait(&mut self) -> bool {
        let next = Instant::now() + self.look;
        if next > self.ends {
            return false;
        }
        tokio::time::sleep_until(next).await;
        self.look = (self.look * 2).min(LAST_LOOK);
        true
    }
}
