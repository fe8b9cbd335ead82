//! `[database]`: where the records are.

use crate::protocol::secret::Secret;

/// Where the records are.
#[derive(Clone, Debug)]
pub struct Database {
    /// `sqlite:…` or `postgres://…`; secret, for it may hold a password.
    pub url: Secret,
}
