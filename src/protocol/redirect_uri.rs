//! Redirect URIs: what may be registered, and what matches (RFC 9700 section 4.1, RFC 8252 sections 7 and 8.4).

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// The most bytes a redirect URI may have (T48).
pub const MAX_BYTES: usize = 2048;

/// Why a URI cannot be registered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectUriError {
    /// No absolute URI.
    #[error("is not an absolute URI")]
    NotAUri,
    /// Longer than [`MAX_BYTES`].
    #[error("is longer than {MAX_BYTES} bytes")]
    Length,
    /// A fragment (RFC 6749 section 3.1.2).
    #[error("must not have a fragment (#…)")]
    Fragment,
    /// User name or password in the authority (T2).
    #[error("must not have a user name or password")]
    UserInfo,
    /// A character or escape that parsers disagree about (T2).
    #[error("holds {0}, about which URL parsers disagree")]
    Ambiguous(&'static str),
    /// A scheme that runs code or opens files (T4).
    #[error("has the scheme {0}, which is not allowed")]
    Scheme(String),
    /// Plain http to another machine.
    #[error("must be https:// (http:// is allowed on loopback only)")]
    PlainHttp,
    /// A private-use scheme without a dot (RFC 8252 section 7.1).
    #[error(
        "has a private scheme without a dot; use your reversed domain, such as com.example.app:/callback"
    )]
    PrivateScheme,
    /// A wildcard (T3).
    #[error("must not hold a wildcard; register each URI")]
    Wildcard,
    /// A host that ends with a dot (T2).
    #[error("has a host that ends with a dot")]
    TrailingDot,
    /// The parser would write it differently.
    #[error("must be written as {0}")]
    NotCanonical(String),
}

/// A URI that passed [`RedirectUri::register`]. Also used for `post_logout_redirect_uris`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RedirectUri(String);

impl RedirectUri {
    /// Checks a URI that a client registers.
    pub fn register(text: &str) -> Result<Self, RedirectUriError> {
        if text.len() > MAX_BYTES {
            return Err(RedirectUriError::Length);
        }
        if let Some(what) = ambiguous(text) {
            return Err(RedirectUriError::Ambiguous(what));
        }
        if text.contains('#') {
            return Err(RedirectUriError::Fragment);
        }
        if text.contains('*') {
            return Err(RedirectUriError::Wildcard);
        }
        let url = Url::parse(text).map_err(|_| RedirectUriError::NotAUri)?;
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return Err(RedirectUriError::UserInfo);
        }
        match url.scheme() {
            "https" => {}
            "http"
                if url
                    .host()
                    .is_some_and(|host| super::issuer::is_loopback(&host)) => {}
            "http" => return Err(RedirectUriError::PlainHttp),
            scheme if FORBIDDEN_SCHEMES.contains(&scheme) => {
                return Err(RedirectUriError::Scheme(scheme.to_owned()));
            }
            scheme if !scheme.contains('.') => return Err(RedirectUriError::PrivateScheme),
            _ => {}
        }
        if matches!(url.scheme(), "https" | "http") {
            match url.host() {
                None => return Err(RedirectUriError::NotAUri),
                Some(Host::Domain(name)) if name.ends_with('.') => {
                    return Err(RedirectUriError::TrailingDot);
                }
                Some(_) => {}
            }
            // `https://app.example.org` and `https://app.example.org/` are the same URL but not the same string;
            // both may be registered, and each matches itself alone.
            let canonical = url.as_str();
            if canonical != text && canonical.strip_suffix('/') != Some(text) {
                return Err(RedirectUriError::NotCanonical(canonical.to_owned()));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether a request's `redirect_uri` is this one: the same string, save that the port of a loopback
    /// IP literal is the native app's to choose (RFC 8252 section 7.3). `localhost` gets no such freedom (T1).
    pub fn matches(&self, requested: &str) -> bool {
        if self.0 == requested {
            return true;
        }
        if requested.len() > MAX_BYTES || ambiguous(requested).is_some() {
            return false;
        }
        match (loopback_halves(&self.0), loopback_halves(requested)) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => false,
        }
    }

    /// The URI as registered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The web origin, for CORS (T55); `None` for a private scheme.
    pub fn web_origin(&self) -> Option<String> {
        let url = Url::parse(&self.0).ok()?;
        matches!(url.scheme(), "https" | "http").then(|| url.origin().ascii_serialization())
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Schemes that run code, read files or nest another URL (T4). `Url` has lower-cased what it parsed.
const FORBIDDEN_SCHEMES: [&str; 12] = [
    "about",
    "blob",
    "chrome",
    "data",
    "file",
    "filesystem",
    "ftp",
    "javascript",
    "mailto",
    "vbscript",
    "view-source",
    "ws",
];

/// Text in which two parsers may see two different hosts or paths (T2).
fn ambiguous(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    if text.bytes().any(|byte| byte <= 0x20 || byte == 0x7f) {
        Some("a space or control character")
    } else if !text.is_ascii() {
        Some("a character outside ASCII")
    } else if text.contains('\\') {
        Some("a backslash")
    } else if ["%2e", "%2f", "%5c", "%00", "%0a", "%0d", "%09", "%25"]
        .iter()
        .any(|escape| lower.contains(escape))
    {
        Some("an escaped dot, slash, percent or control character")
    } else if path_of(text).split('/').any(is_dot_segment) {
        Some("a dot segment")
    } else {
        None
    }
}

/// `..` and `.`, alone or before a path parameter (`..;x`).
fn is_dot_segment(segment: &str) -> bool {
    matches!(segment.split(';').next(), Some("." | ".."))
}

fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn path_of(text: &str) -> &str {
    let rest = text.split_once(':').map_or(text, |(_, rest)| rest);
    rest.split(['?', '#']).next().unwrap_or_default()
}

/// `http://127.0.0.1[:port]/rest` or `http://[::1][:port]/rest` without its port.
fn loopback_halves(uri: &str) -> Option<(&str, &str)> {
    ["http://127.0.0.1", "http://[::1]"]
        .into_iter()
        .find_map(|prefix| {
            let rest = uri.strip_prefix(prefix)?;
            let after_port = match rest.strip_prefix(':') {
                Some(port_and_path) => {
                    let digits = port_and_path.bytes().take_while(u8::is_ascii_digit).count();
                    let (port, path) = port_and_path.split_at(digits);
                    port.parse::<u16>().ok()?;
                    path
                }
                None => rest,
            };
            // Whatever follows must begin a path or a query, or `127.0.0.1.evil.example` would pass.
            matches!(after_port.bytes().next(), None | Some(b'/' | b'?'))
                .then_some((prefix, after_port))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_uris_can_be_registered() {
        for good in [
            "https://app.example.org/callback",
            "https://app.example.org",
            "https://app.example.org/cb?tenant=1",
            "http://localhost:3000/cb",
            "http://127.0.0.1/cb",
            "http://[::1]/cb",
            "com.example.app:/callback",
        ] {
            assert!(RedirectUri::register(good).is_ok(), "{good}");
        }
    }

    /// T2, T3, T4.
    #[test]
    fn dangerous_uris_cannot_be_registered() {
        for bad in [
            "https://good@evil.example/cb",
            "https://good:x@evil.example/cb",
            "https://a@b@evil.example/cb",
            "https://@evil.example/cb",
            "https://good\\@evil.example/cb",
            "https://app.example.org/a/../cb",
            "https://app.example.org/a/..;/cb",
            "https://app.example.org/%2e%2e/cb",
            "https://app.example.org/%252e%252e/cb",
            "https://app.example.org/cb\r\nX: y",
            "https://app.example.org/c\tb",
            " https://app.example.org/cb",
            "https://app.example.org。evil.example/cb",
            "https://app.example.org./cb",
            "https://app.example.org/cb#x",
            "https://app.example.com*",
            "https://*.example.com/cb",
            "http://app.example.org/cb",
            "http://127.0.0.1.evil.example/cb",
            "JavaScript:alert(1)",
            "javascript://x.y/%0aalert(1)",
            "data:text/html,x",
            "vbscript:x",
            "blob:https://app.example.org/x",
            "file:///etc/passwd",
            "myapp:/cb",
            "/cb",
            "",
            "https:app.example.org",
            "HTTPS://app.example.org/cb",
            "https://app.example.org:443/cb",
        ] {
            assert!(RedirectUri::register(bad).is_err(), "{bad}");
        }
    }

    /// T1.
    #[test]
    fn only_the_same_string_matches() {
        let uri = RedirectUri::register("https://app.example.org/cb?x=1").unwrap();
        assert!(uri.matches("https://app.example.org/cb?x=1"));
        for other in [
            "https://app.example.org/cb",
            "https://app.example.org/cb?x=1&y=2",
            "https://app.example.org/cb?x=1#",
            "https://app.example.org/cb?x=2",
            "https://APP.example.org/cb?x=1",
            "https://app.example.org:443/cb?x=1",
            "https://app.example.org/cb/../cb?x=1",
        ] {
            assert!(!uri.matches(other), "{other}");
        }
    }

    /// RFC 8252 section 7.3, and T1: never for `localhost`.
    #[test]
    fn a_loopback_literal_may_choose_its_port() {
        let uri = RedirectUri::register("http://127.0.0.1/cb").unwrap();
        assert!(uri.matches("http://127.0.0.1:51234/cb"));
        for other in [
            "http://127.0.0.1:51234/other",
            "http://127.0.0.1:99999/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:80@evil.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://[::1]:51234/cb",
            "https://127.0.0.1:51234/cb",
        ] {
            assert!(!uri.matches(other), "{other}");
        }
        let named = RedirectUri::register("http://localhost/cb").unwrap();
        assert!(!named.matches("http://localhost:51234/cb"));
        let tls = RedirectUri::register("https://127.0.0.1/cb").unwrap();
        assert!(!tls.matches("https://127.0.0.1:51234/cb"));
    }

    proptest! {
        #[test]
        fn what_matches_has_the_same_host(requested in "http://[ -~]{0,40}") {
            let uri = RedirectUri::register("http://127.0.0.1/cb").unwrap();
            if uri.matches(&requested) {
                let url = Url::parse(&requested).unwrap();
                prop_assert_eq!(url.host_str(), Some("127.0.0.1"));
                prop_assert_eq!(url.path(), "/cb");
            }
        }
    }
}
