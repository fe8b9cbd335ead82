//! `[server]`: where Portico listens, and whom it believes about the network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

use super::pem;
use super::place::{Place, Report};
use crate::protocol::issuer::Issuer;

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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    listen: Option<String>,
    internal_listen: Option<String>,
    tls: Option<RawTls>,
    trusted_proxies: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTls {
    certificate: Option<PathBuf>,
    private_key: Option<PathBuf>,
}

impl Server {
    pub(super) fn check(raw: Raw, at: &Place, report: &mut Report) -> Self {
        let default = Self::default();
        let mut address = |key: &str, text: Option<String>, default: SocketAddr| {
            let Some(text) = text else { return default };
            text.parse().unwrap_or_else(|_| {
                report.problem(
                    &at.key(key),
                    format!("must be an IP address and a port, such as \"{default}\""),
                );
                default
            })
        };
        let listen = address("listen", raw.listen, default.listen);
        let internal_listen = address(
            "internal_listen",
            raw.internal_listen,
            default.internal_listen,
        );
        if listen == internal_listen && listen.port() != 0 {
            report.problem(
                &at.key("internal_listen"),
                "is the address of server.listen; health and metrics need one of their own",
            );
        }
        let tls = raw
            .tls
            .and_then(|tls| Tls::check(tls, &at.key("tls"), report));
        let proxies = at.key("trusted_proxies");
        let trusted_proxies = raw
            .trusted_proxies
            .iter()
            .enumerate()
            .filter_map(|(index, text)| {
                let network = network(text);
                if network.is_none() {
                    report.problem(
                        &proxies.index(index),
                        "must be a network, such as \"10.0.0.0/8\", or an address",
                    );
                }
                network
            })
            .collect();
        Self {
            listen,
            internal_listen,
            tls,
            trusted_proxies,
        }
    }

    /// Warns of passwords that would cross a network unencrypted.
    pub(super) fn warn_of_plain_http(&self, issuer: &Issuer, at: &Place, report: &mut Report) {
        let exposed = self.tls.is_none() && !self.listen.ip().is_loopback();
        if issuer.is_https() && exposed && self.trusted_proxies.is_empty() {
            report.warn(
                &at.key("listen"),
                "plain HTTP on an address that others reach: set server.tls, or server.trusted_proxies if a proxy ends TLS",
            );
        }
        if let Some(index) = self
            .trusted_proxies
            .iter()
            .position(|net| net.prefix_len() == 0)
        {
            report.warn(
                &at.key("trusted_proxies").index(index),
                "the whole Internet is trusted to say which address a request comes from",
            );
        }
    }
}

impl Tls {
    fn check(raw: RawTls, at: &Place, report: &mut Report) -> Option<Self> {
        let mut file = |key: &str,
                        path: Option<PathBuf>,
                        check: fn(&std::path::Path) -> Result<(), String>| {
            let place = at.key(key);
            let Some(path) = path else {
                report.problem(
                    &place,
                    "is missing; server.tls needs certificate and private_key",
                );
                return None;
            };
            let path = place.beside(path);
            check(&path)
                .map_err(|text| report.problem(&place, text))
                .ok()?;
            Some(path)
        };
        let certificate = file("certificate", raw.certificate, pem::certificates);
        let private_key = file("private_key", raw.private_key, pem::private_key);
        Some(Self {
            certificate: certificate?,
            private_key: private_key?,
        })
    }
}

fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_| address()).ok()
}
