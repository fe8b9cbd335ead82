//! What waits to be written to the database. Its writer takes many at a time; where it falls behind, those who record wait
//! for it at their requests' ends, and nothing is thrown away unless the database has been out of reach for long.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::model::audit::AuditRecord;

/// From here on requests wait before they are answered.
pub(super) const ROOM: usize = 4096;
/// More are not kept in memory; they stand in the log. Requests that were waited for in vain are answered, and what comes
/// from outside must not fill the memory.
pub(super) const MOST: usize = 4 * ROOM;

#[derive(Debug, Default)]
pub(super) struct Queue {
    records: Mutex<VecDeque<AuditRecord>>,
    /// How many were thrown away since the writer last asked.
    lost: AtomicU64,
    arrived: Notify,
    room: Notify,
}

impl Queue {
    pub(super) fn put(&self, record: AuditRecord) {
        let mut records = self.records();
        if records.len() < MOST {
            records.push_back(record);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        drop(records);
        self.arrived.notify_one();
    }

    pub(super) async fn settle(&self, longest: Duration) {
        let settled = async {
            loop {
                let mut room = pin!(self.room.notified());
                // Before the look: room that is made in between is not missed.
                room.as_mut().enable();
                if self.records().len() < ROOM {
                    return;
                }
                room.await;
            }
        };
        // In vain: the record is kept all the same.
        let _ = timeout(longest, settled).await;
    }

    fn records(&self) -> MutexGuard<'_, VecDeque<AuditRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the queue where records come out, for its one writer.
#[derive(Debug)]
pub struct AuditQueue(Arc<Queue>);

impl AuditQueue {
    pub(super) const fn new(queue: Arc<Queue>) -> Self {
        Self(queue)
    }

    /// Waits until there is something to take.
    pub async fn arrived(&self) {
        while self.0.records().is_empty() {
            self.0.arrived.notified().await;
        }
    }

    /// Takes the oldest records, `most` at the most.
    pub fn take(&mut self, most: usize) -> Vec<AuditRecord> {
        let mut records = self.0.records();
        let end = most.min(records.len());
        let taken = records.drain(..end).collect();
        drop(records);
        self.0.room.notify_waiters();
        taken
    }

    /// How many records there was no room for since this was asked last.
    pub fn take_lost(&mut self) -> u64 {
        self.0.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Audit, AuditedRequest, Entry, UNKNOWN_ADDRESS};
    use super::*;
    use crate::clock::Clock;
    use crate::model::audit::Event;

    /// Nobody waits while there is room; then everybody does, until the writer has taken some or it has taken too long. What
    /// they recorded is kept all the same.
    #[tokio::test]
    async fn whoever_records_faster_than_is_written_waits() {
        let (audit, mut queue) = Audit::new(Clock::manual(0));
        for _ in 0..ROOM {
            let waited = timeout(Duration::ZERO, audit.settle()).await;
            assert!(waited.is_ok());
            audit.record(Entry::new(Event::UpstreamUp));
        }
        let waiting = queue.0.clone();
        let mut waits = pin!(waiting.settle(Duration::MAX));
        let waited = timeout(Duration::ZERO, waits.as_mut()).await;
        assert!(waited.is_err());
        waiting.settle(Duration::ZERO).await;
        assert_eq!(queue.take(1).len(), 1);
        waits.await;
        audit.record(Entry::new(Event::UpstreamUp));
        audit.record(Entry::new(Event::UpstreamUp));
        assert_eq!(queue.take(usize::MAX).len(), ROOM + 1);
    }

    /// A request that records is not over before there is room, and one that records nothing waits for none.
    #[tokio::test]
    async fn a_request_that_records_ends_when_there_is_room() {
        let (audit, mut queue) = Audit::new(Clock::manual(0));
        for _ in 0..ROOM {
            audit.record(Entry::new(Event::UpstreamUp));
        }
        let request = || {
            let (id, endpoint) = ("id".to_owned(), "POST /token".to_owned());
            AuditedRequest::new(id, endpoint, UNKNOWN_ADDRESS.to_owned(), None)
        };
        let silent = request().answer(&audit, async {});
        timeout(Duration::ZERO, silent).await.unwrap();
        let recording = async { audit.record(Entry::new(Event::UpstreamUp)) };
        let mut waits = pin!(request().answer(&audit, recording));
        timeout(Duration::ZERO, waits.as_mut()).await.unwrap_err();
        assert_eq!(queue.take(2).len(), 2);
        waits.await;
    }

    #[test]
    fn what_the_memory_has_no_room_for_is_counted_and_what_is_kept_is_in_order() {
        let (audit, mut queue) = Audit::new(Clock::manual(0));
        for _ in 0..MOST + 3 {
            audit.record(Entry::new(Event::UpstreamUp));
        }
        assert_eq!((queue.take_lost(), queue.take_lost()), (3, 0));
        let taken = queue.take(usize::MAX);
        assert_eq!(taken.len(), MOST);
        assert!(taken.is_sorted_by(|one, next| one.id < next.id));
    }
}
