//! One at a time within a process: the others wait here instead of looking at the database again and again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::model::vault_entry::VaultPlace;

/// Who is at which row.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<VaultPlace, Arc<AsyncMutex<()>>>>>);

impl Flights {
    /// Waits until nobody else of this process is at `place`, until `end` at most.
    pub(super) async fn enter(
        &self,
        place: &VaultPlace,
        end: Instant,
    ) -> Option<OwnedMutexGuard<()>> {
        let turn = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(all.entry(place.clone()).or_default())
        };
        timeout_at(end, turn.lock_owned()).await.ok()
    }
}
