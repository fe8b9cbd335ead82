//! `[server]`: where Portico listens, and whom it believes about the network.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

/// Where Portico listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// What browsers and clients reach, directly or through a proxy.
    pub listen: SocketAddr,
    /// Health and metrics; not for the public.
    pub internal_listen: SocketAddr,
    /// The certificate, where Portico itself ends TLS.
    pub tls: Option<Tls>,
    /// The networks whose `X-Forwarded-For` is believed (T56).
    pub trusted_proxies: Vec<IpNet>,
}

/// A certificate and its key, in files that are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The chain, leaf first; PEM.
    pub certificate: PathBuf,
    /// The private key; PEM.
    pub private_key: PathBuf,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            internal_listen: (Ipv4Addr::LOCALHOST, 9464).into(),
            tls: None,
            trusted_proxies: Vec::new(),
        }
    }
}
