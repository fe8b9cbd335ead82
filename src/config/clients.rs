//! `[[clients]]`, in `portico.toml` and in `clients.d/*.toml`.

use crate::model::client::Client;
use crate::protocol::secret::Secret;

/// A client that the files own.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Its registration.
    pub client: Client,
    /// Its live secrets: none for a public client, else one or two.
    pub secrets: Vec<Secret>,
}
