//! An id that its sender made up, good for one use (`jti`, RFC 7519 section 4.1.7).

use crate::clock::UnixTime;

/// What carries the id. An id of one kind is none of another (T12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpentKind {
    /// The `jti` of a client's assertion (RFC 7523 section 3).
    ClientAssertion,
    /// The `jti` of a DPoP proof (RFC 9449 section 11.1).
    DpopProof,
    /// The `jti` of a request object (RFC 9101 section 10.2).
    RequestObject,
}

impl SpentKind {
    /// Part of the stored hash: a word that never changes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientAssertion => "client_assertion",
            Self::DpopProof => "dpop_proof",
            Self::RequestObject => "request_object",
        }
    }
}

/// An id that is being used.
#[derive(Clone, Copy, Debug)]
pub struct SpentId<'a> {
    /// What carries it.
    pub kind: SpentKind,
    /// Who made it up: the client's id, or the thumbprint of the proof's key. One's id is not another's.
    pub owner: &'a str,
    /// The id; the caller has capped its length.
    pub id: &'a str,
    /// From then on no node takes what carries it any more, whatever leeway it gives.
    pub expires_at: UnixTime,
}
