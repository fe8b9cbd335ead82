//! The issuer identifier (OpenID Connect Discovery section 3, RFC 8414 section 2): immutable, from the config alone.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::ids::UpstreamId;

/// Why a text cannot be an issuer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// No URL at all.
    #[error("is not a URL; write something like https://login.example.org")]
    NotAUrl,
    /// The scheme is neither https nor loopback http.
    #[error("must begin with https:// (http:// is allowed on localhost only)")]
    Scheme,
    /// A query, fragment or user information.
    #[error("must have no query, fragment or user name")]
    Parts,
    /// A path, which our well-known documents are not served under.
    #[error("must have no path and no slash at the end; write {0}")]
    Path(String),
    /// The text differs from what a URL parser makes of it.
    #[error("must be written as {0}")]
    NotCanonical(String),
}

/// The issuer, kept as the exact text that clients compare with (Core section 3.1.3.7).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Issuer(String);

impl Issuer {
    /// Checks and keeps `text`.
    pub fn parse(text: &str) -> Result<Self, IssuerError> {
        let url = Url::parse(text).map_err(|_| IssuerError::NotAUrl)?;
        let allowed = match url.scheme() {
            "https" => url.host().is_some(),
            "http" => url.host().is_some_and(|host| is_loopback(&host)),
            _ => false,
        };
        if !allowed {
            return Err(IssuerError::Scheme);
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        if url.query().is_some() || url.fragment().is_some() || has_user {
            return Err(IssuerError::Parts);
        }
        let origin = url.origin().ascii_serialization();
        if url.path() != "/" || text.ends_with('/') {
            return Err(IssuerError::Path(origin));
        }
        if origin != text {
            return Err(IssuerError::NotCanonical(origin));
        }
        Ok(Self(origin))
    }

    /// The issuer as clients compare it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether browsers reach us by https, so that cookies can be `Secure`.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// The URL of one of our paths; `path` begins with a slash.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The one address that an upstream may send people back to. It has no query, so that whatever an upstream joins to
    /// it can be read.
    pub fn callback(&self, upstream: &UpstreamId) -> String {
        self.at(&format!("/upstream/{upstream}/callback"))
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a host never leaves this machine.
pub fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => IpAddr::V4(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(*address).is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_exact_form_is_an_issuer() {
        for good in [
            "https://login.example.org",
            "http://localhost:8080",
            "http://127.0.0.1:9",
            "https://[::1]:8443",
        ] {
            assert_eq!(Issuer::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "https://login.example.org/",
            "https://login.example.org/a",
            "http://login.example.org",
            "https://login.example.org?x",
            "https://login.example.org#x",
            "https://u@login.example.org",
            "https://Login.example.org",
            "https://login.example.org:443",
            "login.example.org",
            "ftp://login.example.org",
        ] {
            assert!(Issuer::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Clients put paths behind it, and compare it as text.
        #[test]
        fn an_issuer_is_an_origin_as_browsers_write_it(text in "(https?|ftp|HTTPS)://[ -~é]{0,30}") {
            if let Ok(issuer) = Issuer::parse(&text) {
                prop_assert_eq!(issuer.as_str(), &text);
                let url = Url::parse(&issuer.at("/token")).unwrap();
                prop_assert_eq!(url.origin().ascii_serialization(), text);
                prop_assert_eq!(url.path(), "/token");
                prop_assert!(issuer.is_https() || is_loopback(&url.host().unwrap()));
            }
        }
    }
}
