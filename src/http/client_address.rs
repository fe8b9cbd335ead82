//! Where a request comes from. Only proxies that the administrator names are believed (T56).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

use crate::telemetry::UNKNOWN_ADDRESS;

use super::state::{HttpState, Settings};

/// The address of the person's device, as text.
pub struct ClientAddress(pub(super) String);

impl<S> FromRequestParts<S> for ClientAddress
where
    S: Send + Sync,
    HttpState: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let state = HttpState::from_ref(state);
        let settings = <Arc<Settings>>::from_ref(&state);
        Ok(Self::of(&parts.extensions, &parts.headers, &settings))
    }
}

impl ClientAddress {
    /// That of a request with these extensions and headers.
    pub(super) fn of(extensions: &Extensions, headers: &HeaderMap, settings: &Settings) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let address = peer
            .map(|ConnectInfo(peer)| client_address(peer.ip(), headers, &settings.trusted_proxies));
        Self(address.map_or_else(|| UNKNOWN_ADDRESS.to_owned(), |address| address.to_string()))
    }
}

/// Walks `X-Forwarded-For` from the right: each trusted proxy vouches for the entry to its left and no further.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| {
        trusted
            .iter()
            .any(|net| net.contains(&address.to_canonical()))
    };
    let mut address = peer.to_canonical();
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    for entry in forwarded.into_iter().rev() {
        if !is_trusted(address) {
            break;
        }
        // Some proxies write the port, too.
        let parsed = entry
            .parse::<IpAddr>()
            .or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip()));
        match parsed {
            Ok(next) => address = next.to_canonical(),
            Err(_) => break,
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    fn from(peer: &str, forwarded: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_str(forwarded).unwrap());
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    /// T56.
    #[test]
    fn only_named_proxies_are_believed() {
        assert_eq!(from("192.0.2.1", "203.0.113.9"), "192.0.2.1");
        assert_eq!(from("10.0.0.1", "203.0.113.9"), "203.0.113.9");
        assert_eq!(from("::ffff:10.0.0.1", "203.0.113.9"), "203.0.113.9");
        // What the person's own request claimed is to the left of what our proxy saw.
        assert_eq!(from("10.0.0.1", "198.51.100.7, 203.0.113.9"), "203.0.113.9");
        assert_eq!(from("10.0.0.1", "203.0.113.9, 10.0.0.2"), "203.0.113.9");
        assert_eq!(from("10.0.0.1", "nonsense"), "10.0.0.1");
        assert_eq!(from("10.0.0.1", "[2001:db8::1]:4711"), "2001:db8::1");
    }

    proptest! {
        /// T56: who is no trusted proxy vouches for nobody, and what is read was written by one that is.
        #[test]
        fn an_address_is_the_peers_or_one_that_a_trusted_proxy_wrote(
            trusted in any::<bool>(), entries in prop::collection::vec("(10\\.0\\.0\\.[1-9]|[1-9]\\.1\\.1\\.1(:80)?|\\[::1\\]:9|::ffff:2\\.2\\.2\\.2|[!-~]{0,8})", 0..5),
        ) {
            let forwarded = entries.join(",");
            let peer = if trusted { "10.0.0.9" } else { "9.9.9.9" };
            let found = from(peer, &forwarded);
            prop_assert!(trusted || found == peer);
            let known = found == peer || found == "::1" || forwarded.contains(&found) || forwarded.parse::<IpAddr>().is_ok();
            prop_assert!(known, "{} of {}", found, forwarded);
            // Another entry to the left of somebody who is not trusted changes nothing.
            if !found.starts_with("10.") {
                prop_assert_eq!(from(peer, &format!("6.6.6.6,{forwarded}")), found);
            }
        }
    }
}
