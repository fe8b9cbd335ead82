//! What is to be recorded.

use serde_json::{Map, Value};

use super::request::{About, AuditedRequest};
use crate::model::audit::{AuditRecord, Event};
use crate::protocol::ids::{AccountId, ClientId, FamilyId, SessionId, UpstreamId};

/// The most characters of one detail: some of them come from outside.
const MAX_DETAIL_CHARS: usize = 1000;

/// One thing that happened. From where, with what and in which request it came is known already.
#[derive(Clone, Debug)]
#[must_use = "an entry is nothing until it is recorded"]
pub struct Entry {
    pub(super) event: Event,
    pub(super) account: Option<AccountId>,
    pub(super) client_id: Option<ClientId>,
    pub(super) upstream: Option<UpstreamId>,
    pub(super) session: Option<SessionId>,
    pub(super) family: Option<FamilyId>,
    pub(super) name_hash: Option<String>,
    pub(super) details: Map<String, Value>,
}

impl Entry {
    /// That it happened.
    pub fn new(event: Event) -> Self {
        Self {
            event,
            account: None,
            client_id: None,
            upstream: None,
            session: None,
            family: None,
            name_hash: None,
            details: Map::new(),
        }
    }

    /// Whose account it is about.
    pub fn account<'a>(mut self, id: impl Into<Option<&'a AccountId>>) -> Self {
        self.account = id.into().cloned();
        self
    }

    /// With which client. Never one that has only been named: its name may be anything.
    pub fn client<'a>(mut self, id: impl Into<Option<&'a ClientId>>) -> Self {
        self.client_id = id.into().cloned();
        self
    }

    /// At which upstream.
    pub fn upstream<'a>(mut self, id: impl Into<Option<&'a UpstreamId>>) -> Self {
        self.upstream = id.into().cloned();
        self
    }

    /// In which session.
    pub fn session<'a>(mut self, id: impl Into<Option<&'a SessionId>>) -> Self {
        self.session = id.into().cloned();
        self
    }

    /// Of which token family.
    pub fn family<'a>(mut self, id: impl Into<Option<&'a FamilyId>>) -> Self {
        self.family = id.into().cloned();
        self
    }

    /// After which user name was typed: its hash, for it may be a password in the wrong field.
    pub fn name_hash(mut self, hash: Option<String>) -> Self {
        self.name_hash = hash;
        self
    }

    /// One thing more about it, unless there is nothing to say. Its name is one of those that `line` writes. Never a secret,
    /// and nothing that a person typed (T60).
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::Null => return self,
            Value::String(text) => Value::String(text.chars().take(MAX_DETAIL_CHARS).collect()),
            other => other,
        };
        self.details.insert(name.to_owned(), value);
        self
    }

    /// What was used again, in an event that is about that.
    pub(super) fn thing(&self) -> Option<String> {
        let family = self.family.as_ref().map(|id| format!("family {id}"));
        let client = || self.client_id.as_ref().map(|id| format!("client {id}"));
        family.or_else(client)
    }

    /// Adds what is known of the request: the client; of an error everything. Who tries to log in is not who is logged in.
    pub(super) fn complete(&mut self, about: &About) {
        let fill = |own: &mut Option<_>, known: &Option<_>| {
            if own.is_none() {
                own.clone_from(known);
            }
        };
        fill(&mut self.client_id, &about.client_id);
        if self.event.is_error() {
            self.account.clone_from(&about.account);
            self.session.clone_from(&about.session);
            self.upstream.clone_from(&about.upstream);
            self.family.clone_from(&about.family);
        }
    }

    /// What is kept, but for its id and its time.
    pub(super) fn into_record(self, request: Option<&AuditedRequest>) -> AuditRecord {
        let mut details = self.details;
        if let Some(request) = request {
            details.insert("endpoint".to_owned(), request.endpoint().into());
        }
        AuditRecord {
            id: String::new(),
            at: 0,
            event: self.event.as_str().to_owned(),
            account: self.account,
            client_id: self.client_id,
            upstream: self.upstream,
            session: self.session,
            family: self.family,
            request: request.map(|request| request.id().to_owned()),
            flow: request.and_then(|request| request.about().flow.clone()),
            address: request.map(|request| request.address().to_owned()),
            user_agent: request.and_then(|request| request.user_agent().map(ToOwned::to_owned)),
            name_hash: self.name_hash,
            details,
        }
    }
}
