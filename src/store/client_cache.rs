//! Clients that were read a moment ago: each request names one, and they hardly ever change. What this process writes is seen
//! at once, what another node or a command writes within a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::StoredClient;
use crate::protocol::ids::ClientId;

/// For how long what was read counts.
const FRESH: Duration = Duration::from_secs(1);
/// More than are asked for within that time; each is a few kilobytes.
const MOST: usize = 4096;

#[derive(Clone, Default)]
pub(super) struct ClientCache(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    clients: HashMap<ClientId, (Instant, StoredClient)>,
    /// How often something was changed: what was read before a change is not kept after it.
    changes: u64,
}

/// How the cache stood when a client began to be read.
#[derive(Clone, Copy)]
pub(super) struct Before(u64);

impl ClientCache {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, id: &ClientId) -> Result<StoredClient, Before> {
        let kept = self.kept();
        match kept.clients.get(id) {
            Some((read, client)) if read.elapsed() < FRESH => Ok(client.clone()),
            _ => Err(Before(kept.changes)),
        }
    }

    pub(super) fn keep(&self, before: Before, client: StoredClient) {
        let mut kept = self.kept();
        if kept.changes != before.0 {
            return;
        }
        if kept.clients.len() >= MOST {
            kept.clients.clear();
        }
        let id = client.client.client_id.clone();
        kept.clients.insert(id, (Instant::now(), client));
    }

    /// After a commit that changed clients.
    pub(super) fn forget(&self) {
        let mut kept = self.kept();
        kept.changes += 1;
        kept.clients.clear();
    }
}
