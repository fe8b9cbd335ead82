//! Writes what was recorded to the database: many records at a time, beside the requests and not in their way.

use std::time::Duration;

use tokio::time::sleep;

use crate::clock::Clock;
use crate::model::audit::AuditRecord;
use crate::protocol::error::chain;
use crate::store::{Store, StoreError};
use crate::telemetry::{Audit, AuditQueue};

/// How long records gather: SQLite has one writer, which is not to be kept from the requests' own rows.
const GATHER: Duration = Duration::from_millis(200);
/// Records that the database is given at a time.
const BATCH: usize = 500;
/// How long the database is left alone when it has refused a batch.
const REST: Duration = Duration::from_secs(1);

/// The one writer of an audit's records.
pub struct AuditWriter {
    store: Store,
    /// `None`: the log alone is kept.
    queue: Option<AuditQueue>,
    /// What is being written. It stays until it is, whatever becomes of the task.
    batch: Vec<AuditRecord>,
}

/// An audit, and what writes it to `store`, if `in_database`.
pub fn open_audit(in_database: bool, store: &Store, clock: &Clock) -> (Audit, AuditWriter) {
    let (audit, queue) = if in_database {
        let (audit, queue) = Audit::new(clock.clone());
        (audit, Some(queue))
    } else {
        (Audit::log_alone(clock.clone()), None)
    };
    let writer = AuditWriter {
        store: store.clone(),
        queue,
        batch: Vec::new(),
    };
    (audit, writer)
}

impl AuditWriter {
    /// Writes until it is dropped. What it has taken and not written yet, [`AuditWriter::finish`] writes.
    pub(super) async fn run(&mut self) {
        loop {
            match &self.queue {
                Some(queue) if self.batch.is_empty() => queue.arrived().await,
                Some(_) => {}
                None => std::future::pending().await,
            }
            sleep(GATHER).await;
            if let Err(error) = self.finish().await {
                let error = chain(&error);
                tracing::error!(error, "the audit could not be written; it is tried again");
                sleep(REST).await;
            }
        }
    }

    /// Writes everything that waits.
    pub async fn finish(&mut self) -> Result<(), StoreError> {
        let Some(queue) = &mut self.queue else {
            return Ok(());
        };
        loop {
            if self.batch.is_empty() {
                self.batch = queue.take(BATCH);
            }
            if self.batch.is_empty() {
                break;
            }
            self.store.insert_audit(&self.batch).await?;
            self.batch.clear();
        }
        let lost = queue.take_lost();
        if lost > 0 {
            tracing::error!(
                lost,
                "there was no room for what happened while the database did not answer; it stands in the log alone"
            );
        }
        Ok(())
    }
}
