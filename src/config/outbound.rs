//! `[outbound]`: what Portico may fetch (T36).

use std::path::PathBuf;

/// What Portico may fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbound {
    /// Hosts that may be fetched though their addresses are private or loopback; lower case.
    pub allow_hosts: Vec<String>,
    /// Certificates (PEM) to trust besides the system's.
    pub extra_ca: Vec<PathBuf>,
}
