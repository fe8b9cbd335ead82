//! What is to be recorded.

use serde_json::{Map, Value};

use crate::model::audit::Event;
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
}
