//! The audit: one place that writes what happened to the log, at once, and hands it over for the database, where it is
//! kept a moment later (`app::audit`). A handle for each server: nothing is global.

mod entry;
mod limit;
mod line;
mod queue;
mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, ORDERED_ID_TIME, ordered_id};
use crate::model::audit::AuditRecord;

pub use entry::Entry;
pub use queue::AuditQueue;
pub use request::{
    AuditedRequest, UNKNOWN_ADDRESS, device, in_this_request, note_client, note_flow, note_session,
    note_tokens, note_upstream, recipient,
};

use limit::Limit;
use queue::Queue;

/// The longest that a request waits for room: an upstream was waited for already, perhaps.
const LONGEST: Duration = Duration::from_secs(5);

/// Records what happens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    inner: Arc<Inner>,
    /// Who runs the command that this is the audit of.
    operator: Option<Arc<str>>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    ids: Ids,
    limit: Limit,
    /// `None`: the log alone.
    queue: Option<Arc<Queue>>,
}

/// The ids of a process's records: when it began, the record's number, and what makes two processes of one millisecond differ. Each is greater
/// than all before it, and short, for every index of the audit holds it.
#[derive(Debug)]
struct Ids {
    began: String,
    process: String,
    made: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        let mut began = ordered_id();
        let mut process = began.split_off(ORDERED_ID_TIME);
        process.truncate(8);
        Self {
            began,
            process,
            made: AtomicU64::new(0),
        }
    }

    fn next(&self) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        format!("{}{number:010x}{}", self.began, self.process)
    }
}

impl Audit {
    /// An audit in the log and, through the queue that comes with it, in the database.
    pub fn new(clock: Clock) -> (Self, AuditQueue) {
        let queue = Arc::new(Queue::default());
        let audit = Self::with(clock, Some(queue.clone()));
        (audit, AuditQueue::new(queue))
    }

    /// An audit in the log alone.
    pub fn log_alone(clock: Clock) -> Self {
        Self::with(clock, None)
    }

    /// The same audit, of a command that `operator` runs.
    #[must_use]
    pub fn of_operator(self, operator: Option<String>) -> Self {
        Self {
            operator: operator.map(Into::into),
            ..self
        }
    }

    fn with(clock: Clock, queue: Option<Arc<Queue>>) -> Self {
        let inner = Inner {
            clock,
            ids: Ids::new(),
            limit: Limit::default(),
            queue,
        };
        Self {
            inner: Arc::new(inner),
            operator: None,
        }
    }

    /// Records what happened. Waits for nothing: `settle` does, at a request's end.
    pub fn record(&self, mut entry: Entry) {
        let request = request::current();
        if let Some(request) = &request {
            entry.complete(&request.about());
        } else if let Some(operator) = &self.operator {
            entry = entry.with("operator", &**operator);
        }
        line::write(&entry, request.as_deref());
        let Some(queue) = &self.inner.queue else {
            return;
        };
        let now = self.inner.clock.now();
        let address = request.as_deref().map(AuditedRequest::address);
        if !self.inner.limit.admits(&entry, address, now) {
            return;
        }
        if let Some(request) = &request {
            request.note_record();
        }
        queue.put(AuditRecord {
            id: self.inner.ids.next(),
            at: now,
            ..entry.into_record(request.as_deref())
        });
    }

    /// Waits, for a moment at the most, until there is room for more: whoever asks faster than the database writes gets
    /// answers no faster than it does.
    async fn settle(&self) {
        if let Some(queue) = &self.inner.queue {
            queue.settle(LONGEST).await;
        }
    }
}
