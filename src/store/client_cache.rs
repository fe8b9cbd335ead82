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

/// How the cache stood when a client began to be read, and when that was.
#[derive(Clone, Copy)]
pub(super) struct Before {
    changes: u64,
    since: Instant,
}

/// Forgets all when it is dropped.
pub(super) struct Forgets<'a>(&'a ClientCache);

impl Drop for Forgets<'_> {
    fn drop(&mut self) {
        let mut kept = self.0.kept();
        kept.changes += 1;
        kept.clients.clear();
    }
}

impl ClientCache {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, id: &ClientId) -> Result<StoredClient, Before> {
        let kept = self.kept();
        match kept.clients.get(id) {
            Some((read, client)) if read.elapsed() < FRESH => Ok(client.clone()),
            _ => Err(Before {
                changes: kept.changes,
                since: Instant::now(),
            }),
        }
    }

    pub(super) fn keep(&self, before: Before, client: StoredClient) {
        let mut kept = self.kept();
        if kept.changes != before.changes {
            return;
        }
        if kept.clients.len() >= MOST {
            kept.clients.clear();
        }
        let id = client.client.client_id.clone();
        kept.clients.insert(id, (before.since, client));
    }

    /// For a commit that changes clients: what was read before is forgotten after it, or when whoever waited for it has gone away.
    pub(super) fn forgets(&self) -> Forgets<'_> {
        Forgets(self)
    }
}
