//! A pushed authorization request (RFC 9126): what the client sent ahead, and which flow used it.

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::protocol::ids::ClientId;

/// A pushed request as the store keeps it, under the hash of its `request_uri`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedRequest {
    /// The client that pushed it, and alone may use it (RFC 9126 section 2.2).
    pub client_id: ClientId,
    /// Its parameters, sealed: they may name a person.
    pub sealed: String,
    /// The end of the time in which a flow may begin with it.
    pub expires_at: UnixTime,
    /// The name under which it counts until it is answered.
    pub bucket: Option<String>,
}

/// What a flow that began with a pushed request remembers of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenUp {
    /// The hash of its `request_uri`.
    pub uri_hash: String,
    /// This flow, among those that began with the same request.
    pub flow: String,
}

/// What came of spending a pushed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// This flow is the one that is answered.
    Now,
    /// It was already: its answer was lost, or the person clicked twice.
    Before,
    /// Another flow was answered, or the row is gone.
    Elsewhere,
}
