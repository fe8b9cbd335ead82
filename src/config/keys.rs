//! `[keys]`: the master key that seals, and the algorithms that sign.

use std::path::PathBuf;

use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::secret::Secret;

/// What signs and seals.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The master key as written, known to be 32 bytes; absent only with SQLite.
    pub master_key: Option<Secret>,
    /// Where the master key is kept, and made at the first start, when [`Keys::master_key`] is absent.
    pub master_key_file: Option<PathBuf>,
    /// The algorithms to have keys for; the first is the default. Never empty.
    pub algorithms: Vec<SigningAlgorithm>,
    /// Seconds that a new key is published before it signs (T47).
    pub announce: i64,
}
