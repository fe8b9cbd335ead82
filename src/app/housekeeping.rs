//! What happens by itself: expired rows go in small batches, and rotated keys are taken over.

use std::time::Duration;

use crate::clock::Clock;
use crate::keys::{KeyRing, Secrets};
use crate::store::Store;

/// Far shorter than a key is announced before it signs, so that every node knows it in time (T47).
const KEYS_EVERY: Duration = Duration::from_secs(30);
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// Rows of a table in one statement: few enough that nobody waits for it.
const SWEEP_BATCH: i64 = 500;

/// What the background work needs.
pub(super) struct Housekeeping {
    pub(super) store: Store,
    pub(super) secrets: Secrets,
    pub(super) ring: KeyRing,
    pub(super) clock: Clock,
}

impl Housekeeping {
    /// Works until it is dropped.
    pub(super) async fn run(self) {
        tokio::join!(self.keep_keys(), self.keep_swept());
    }

    async fn keep_keys(&self) {
        let mut ticks = tokio::time::interval(KEYS_EVERY);
        loop {
            ticks.tick().await;
            let reloaded = match self.store.list_signing_keys().await {
                Ok(records) => self
                    .ring
                    .reload(records, &self.secrets)
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = reloaded {
                tracing::error!(
                    error,
                    "the signing keys could not be read again; the old ones stay"
                );
            }
        }
    }

    async fn keep_swept(&self) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            ticks.tick().await;
            match self.store.sweep(self.clock.now(), SWEEP_BATCH).await {
                Ok(swept) => tracing::debug!(?swept, "swept"),
                Err(error) => tracing::error!(error = %error, "expired rows could not be deleted"),
            }
        }
    }
}
