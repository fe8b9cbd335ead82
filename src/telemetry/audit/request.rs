//! The request in which something happens: whatever is recorded while it is answered bears its number and its address,
//! without every function on the way being told.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The most characters that are kept of what a browser says it is.
const MAX_USER_AGENT_CHARS: usize = 256;

/// A request under way.
#[derive(Debug)]
pub struct AuditedRequest {
    id: String,
    address: String,
    user_agent: Option<String>,
    flow: OnceLock<String>,
    recorded: AtomicBool,
}

tokio::task_local! {
    static REQUEST: Arc<AuditedRequest>;
}

impl AuditedRequest {
    /// The request of that number, from `address`, with a program that calls itself `user_agent`.
    pub fn new(id: String, address: String, user_agent: Option<&str>) -> Self {
        let printable = |text: &str| -> String {
            let shown = text.chars().filter(|c| !c.is_control());
            shown.take(MAX_USER_AGENT_CHARS).collect()
        };
        Self {
            id,
            address,
            user_agent: user_agent.map(printable),
            flow: OnceLock::new(),
            recorded: AtomicBool::new(false),
        }
    }

    /// Answers it: what `answering` records is recorded as of this request. Also whether it did.
    pub async fn answer<T>(self, answering: impl Future<Output = T>) -> (T, bool) {
        let request = Arc::new(self);
        let answer = REQUEST.scope(request.clone(), answering).await;
        (answer, request.recorded.load(Ordering::Relaxed))
    }

    /// Its number.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it comes from.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    pub(super) fn flow(&self) -> Option<String> {
        self.flow.get().cloned()
    }

    pub(super) fn note_record(&self) {
        self.recorded.store(true, Ordering::Relaxed);
    }
}

/// The request under way, if this runs for one.
pub(super) fn current() -> Option<Arc<AuditedRequest>> {
    REQUEST.try_with(Arc::clone).ok()
}

/// Notes which flow the request belongs to, once that is known.
pub fn note_flow(handle: &str) {
    if let Some(request) = current() {
        // One request is about one flow.
        let _ = request.flow.set(handle.to_owned());
    }
}

/// For work that goes on in a task of its own: it belongs to the request that begins it.
pub fn in_this_request<T>(work: impl Future<Output = T> + Send) -> impl Future<Output = T> + Send {
    let request = current();
    async move {
        match request {
            Some(request) => REQUEST.scope(request, work).await,
            None => work.await,
        }
    }
}
