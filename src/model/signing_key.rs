//! A signing key's life: announced, then active, then retired, each long enough for every cache (T47).

use crate::clock::UnixTime;
use crate::protocol::ids::KeyId;
use crate::protocol::jws::SigningAlgorithm;

/// A key as the store keeps it; the private part is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKeyRecord {
    /// The `kid`.
    pub kid: KeyId,
    /// The one algorithm it is used with (RFC 8725 section 3.1).
    pub algorithm: SigningAlgorithm,
    /// The private key (PKCS #8), sealed with the master key.
    pub sealed: String,
    /// When it was made, and entered the JWKS.
    pub announced_at: UnixTime,
    /// From when on it signs.
    pub active_at: UnixTime,
    /// From when on it signs no more; `None` while no successor is known.
    pub retired_at: Option<UnixTime>,
    /// When it leaves the JWKS: after the last token it signed has ended.
    pub expires_at: Option<UnixTime>,
}

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// In the JWKS, so that caches learn it; never signs.
    Announced,
    /// Signs.
    Active,
    /// Verifies what it signed.
    Retired,
    /// Neither signs nor verifies.
    Expired,
}

impl KeyState {
    /// The word for a table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Expired => "expired",
        }
    }
}

impl SigningKeyRecord {
    /// The state at `now`.
    pub fn state(&self, now: UnixTime) -> KeyState {
        if self.expires_at.is_some_and(|at| now >= at) {
            KeyState::Expired
        } else if self.retired_at.is_some_and(|at| now >= at) {
            KeyState::Retired
        } else if now >= self.active_at {
            KeyState::Active
        } else {
            KeyState::Announced
        }
    }
}
