//! The request in which something happens: whatever is recorded while it is answered bears its number and its address,
//! without every function on the way being told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Audit;
use crate::model::device::Device;
use crate::model::family::Recipient;
use crate::model::session::Authentication;
use crate::protocol::ids::{AccountId, ClientId, FamilyId, SessionId, UpstreamId};
use crate::protocol::printable::Printable;

/// The most characters that are kept of what a browser says it is.
const MAX_USER_AGENT_CHARS: usize = 256;

/// What stands for an address where there is none.
pub const UNKNOWN_ADDRESS: &str = "unknown";

/// A request under way.
#[derive(Debug)]
pub struct AuditedRequest {
    id: String,
    endpoint: String,
    address: String,
    user_agent: Option<String>,
    about: Mutex<About>,
    recorded: AtomicBool,
}

/// Whom a request is about, as far as that is known by now.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    pub(super) flow: Option<String>,
    pub(super) client_id: Option<ClientId>,
    pub(super) account: Option<AccountId>,
    pub(super) session: Option<SessionId>,
    pub(super) upstream: Option<UpstreamId>,
    pub(super) family: Option<FamilyId>,
}

tokio::task_local! {
    static REQUEST: Arc<AuditedRequest>;
}

impl AuditedRequest {
    /// The request of that number to `endpoint`, a method and a path, from `address`, with a program that calls itself
    /// `user_agent`.
    pub fn new(id: String, endpoint: String, address: String, user_agent: Option<&str>) -> Self {
        let printable = |text: &str| -> String {
            let shown = Printable(text).to_string();
            shown.chars().take(MAX_USER_AGENT_CHARS).collect()
        };
        Self {
            id,
            endpoint,
            address,
            user_agent: user_agent.map(printable),
            about: Mutex::default(),
            recorded: AtomicBool::new(false),
        }
    }

    /// Answers it: what `answering` records is recorded as of this request. If it has recorded anything it ends when `audit` has
    /// room for more, whoever may have gone away meanwhile: to hang up spares nobody the wait.
    pub async fn answer<T>(self, audit: &Audit, answering: impl Future<Output = T>) -> T {
        let request = Arc::new(self);
        let answer = REQUEST.scope(request.clone(), answering).await;
        if request.recorded.load(Ordering::Relaxed) {
            audit.settle().await;
        }
        answer
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

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn about(&self) -> MutexGuard<'_, About> {
        self.about.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note_record(&self) {
        self.recorded.store(true, Ordering::Relaxed);
    }
}

/// The request under way, if this runs for one.
pub(super) fn current() -> Option<Arc<AuditedRequest>> {
    REQUEST.try_with(Arc::clone).ok()
}

fn note(change: impl FnOnce(&mut About)) {
    if let Some(request) = current() {
        change(&mut request.about());
    }
}

/// Whom the request under way is answered: what tokens go to.
pub fn recipient() -> Recipient {
    current().map_or_else(Recipient::default, |request| Recipient {
        address: Some(request.address.clone()),
        user_agent: request.user_agent.clone(),
    })
}

/// Notes which flow the request under way belongs to.
pub fn note_flow(handle: &str) {
    note(|about| about.flow = Some(handle.to_owned()));
}

/// Notes which client it is about: one that is registered, proven or not.
pub fn note_client(id: &ClientId) {
    note(|about| about.client_id = Some(id.clone()));
}

/// Notes whose session it came with.
pub fn note_session(account: &AccountId, session: &SessionId) {
    note(|about| {
        about.account = Some(account.clone());
        about.session = Some(session.clone());
    });
}

/// Notes whose tokens it is about: what a client shows that was given to it for a login.
pub fn note_tokens(account: &AccountId, login: &Authentication, family: &FamilyId) {
    note(|about| {
        about.account = Some(account.clone());
        about.session = Some(login.session_id.clone());
        about.upstream = Some(login.upstream.clone());
        about.family = Some(family.clone());
    });
}

/// Notes which upstream it is about.
pub fn note_upstream(id: &UpstreamId) {
    note(|about| about.upstream = Some(id.clone()));
}

/// Where the request under way comes from, as a person's session remembers it.
pub fn device() -> Device {
    current().map_or_else(Device::default, |request| {
        let address = request.address();
        let address = (address != UNKNOWN_ADDRESS).then_some(address);
        Device::of(request.user_agent(), address)
    })
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
