//! What happens by itself: expired rows go in small batches; signing keys are rotated, and taken over from other nodes.

use std::time::Duration;

use crate::clock::{Clock, ClockWatch};
use crate::keys::{KeyRing, Secrets};
use crate::protocol::error::chain;
use crate::store::{Store, StoreError};
use crate::telemetry::Audit;

use super::keys::{self, KeyPolicy};

/// Far shorter than a key is announced before it signs, so that every node knows it in time (T47).
const KEYS_EVERY: Duration = Duration::from_secs(30);
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// Rows of a table in one statement: few enough that nobody waits for it (docs/performance.md).
const SWEEP_BATCH: i64 = 100;

/// What the background work needs.
pub(super) struct Housekeeping {
    pub(super) store: Store,
    pub(super) secrets: Secrets,
    pub(super) ring: KeyRing,
    pub(super) clock: Clock,
    pub(super) watch: ClockWatch,
    pub(super) key_policy: KeyPolicy,
    pub(super) audit: Audit,
    /// Seconds that what happened is kept.
    pub(super) audit_kept: i64,
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
            self.tend_keys().await;
        }
    }

    /// Brings the keys in the database to where they have to be, then takes over what all nodes have made of them.
    pub(super) async fn tend_keys(&self) {
        let now = self.clock.now();
        let (secrets, policy) = (&self.secrets, &self.key_policy);
        if let Err(error) = keys::keep(&self.store, secrets, policy, &self.audit, now).await {
            let error = chain(&error);
            tracing::error!(error, "the signing keys could not be kept in order");
        }
        self.reload_keys().await;
    }

    async fn reload_keys(&self) {
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

    async fn keep_swept(&self) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            ticks.tick().await;
            // What has expired by a clock that has just been set may not have.
            if !self.watch.is_steady() {
                continue;
            }
            if let Err(error) = self.sweep().await {
                tracing::error!(error = %error, "expired rows could not be deleted");
            }
        }
    }
}

impl Housekeeping {
    async fn sweep(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let swept = self.store.sweep(now, SWEEP_BATCH).await?;
        let before = now.saturating_sub(self.audit_kept);
        let audit = self.store.sweep_audit(before, SWEEP_BATCH).await?;
        tracing::debug!(?swept, audit, "swept");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::keys::open_ring;
    use crate::keys::MasterKey;
    use crate::keys::ring::new_key;
    use crate::protocol::jws::SigningAlgorithm;
    use crate::protocol::secret::Secret;

    /// T47: a key that another node announced is in this node's JWKS before it signs anywhere; and one that this node
    /// cannot open takes nothing away.
    #[tokio::test]
    async fn a_node_takes_over_what_another_has_rotated() {
        let algorithm = SigningAlgorithm::ES256;
        let store = Store::open(&Secret::new("sqlite::memory:")).await.unwrap();
        store.migrate().await.unwrap();
        let secrets = Secrets::derive(&MasterKey::new([1; 32])).unwrap();
        let key_policy = KeyPolicy::every(None, &[algorithm]);
        let clock = Clock::manual(100);
        let audit = Audit::log_alone(clock.clone());
        let ring = open_ring(&store, &secrets, &key_policy, &audit, 0)
            .await
            .unwrap();
        let node = Housekeeping {
            store: store.clone(),
            secrets: secrets.clone(),
            ring: ring.clone(),
            watch: ClockWatch::new(clock.clone()),
            clock,
            key_policy,
            audit,
            audit_kept: 1,
        };
        let successor = new_key(algorithm, &secrets, 100, 4000).unwrap();
        let kid = successor.kid.clone();
        assert!(store.rotate_signing_key(&successor, 9000).await.unwrap());
        assert!(!ring.jwks(100).contains(kid.as_str()));
        node.reload_keys().await;
        let taken_over = ring.jwks(100);
        assert!(taken_over.contains(kid.as_str()));

        let foreign = Secrets::derive(&MasterKey::new([2; 32])).unwrap();
        let unreadable = new_key(algorithm, &foreign, 5000, 9000).unwrap();
        assert!(store.rotate_signing_key(&unreadable, 19000).await.unwrap());
        node.reload_keys().await;
        assert_eq!(ring.jwks(100), taken_over);
    }
}
