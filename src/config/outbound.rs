//! `[outbound]`: what Portico may fetch (T36).

use std::path::PathBuf;

use serde::Deserialize;
use url::Host;

use super::pem;
use super::place::{Place, Report};

/// What Portico may fetch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbound {
    /// Hosts that may be fetched though their addresses are private or loopback; lower case.
    pub allow_hosts: Vec<String>,
    /// Certificates (PEM) to trust besides the system's.
    pub extra_ca: Vec<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    allow_hosts: Vec<String>,
    extra_ca: Vec<PathBuf>,
}

impl Outbound {
    pub(super) fn check(raw: Raw, at: &Place, report: &mut Report) -> Self {
        let hosts = at.key("allow_hosts");
        let mut allow_hosts = Vec::new();
        for (index, text) in raw.allow_hosts.iter().enumerate() {
            match Host::parse(text) {
                // Compared whole: with either it would fit nothing.
                Ok(host) if !text.contains('*') && !text.ends_with('.') => {
                    allow_hosts.push(host.to_string());
                }
                _ => report.problem(
                    &hosts.index(index),
                    "must be a host name or an IP address, such as \"intranet.example.org\": no scheme, port, wildcard or dot at the end",
                ),
            }
        }
        let certificates = at.key("extra_ca");
        let mut extra_ca = Vec::new();
        for (index, path) in raw.extra_ca.into_iter().enumerate() {
            let path = at.beside(path);
            match pem::certificates(&path) {
                Ok(()) => extra_ca.push(path),
                Err(text) => report.problem(&certificates.index(index), text),
            }
        }
        Self {
            allow_hosts,
            extra_ca,
        }
    }
}
