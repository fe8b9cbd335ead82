//! A token request (RFC 6749 sections 2.3 and 4): the bytes are the `Authorization` header, a line feed, and the form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portico::grants::TokenRequest;
use portico::model::client::Client;
use portico::protocol::client_assertion;
use portico::protocol::client_auth::{ClientCredentials, MAX_HEADER_BYTES, Proof};
use portico::protocol::ids::ClientId;
use portico::protocol::params::Params;
use portico::protocol::token::GrantType;

use super::parameters::Sent;

/// Holds header and form against client authentication and the grants.
pub(crate) fn holds(bytes: &[u8]) {
    let mut halves = bytes.splitn(2, |byte| *byte == b'\n');
    let header = halves.next().filter(|header| !header.is_empty());
    let Some((sent, params)) = Sent::read(halves.next().unwrap_or_default()) else {
        return;
    };
    if let Ok(credentials) = ClientCredentials::read(header, &params) {
        a_client_proves_itself_in_one_way(&credentials, header, &sent);
    }
    a_grant_is_the_one_named(&sent, &params);
}

/// RFC 6749 section 2.3.
fn a_client_proves_itself_in_one_way(
    credentials: &ClientCredentials,
    header: Option<&[u8]>,
    sent: &Sent,
) {
    for name in ["client_id", "client_secret", "client_assertion"] {
        assert!(sent.all(name).len() <= 1, "{name} came twice");
    }
    let client_id = credentials.client_id.as_str();
    let posted = sent.once("client_id");
    assert!(posted.is_none_or(|posted| posted == client_id));
    let secret = sent.once("client_secret");
    let assertion = sent.once("client_assertion");
    match &credentials.proof {
        Proof::Nothing => assert!(header.is_none() && secret.is_none() && assertion.is_none()),
        Proof::Post(proof) => {
            assert!(header.is_none() && assertion.is_none());
            assert_eq!(secret, Some(proof.expose()));
        }
        Proof::Basic(proof) => {
            assert!(secret.is_none() && assertion.is_none());
            // What it says, written as RFC 6749 section 2.3.1 has it, is the same again.
            let half = |text: &str| {
                let pairs = url::form_urlencoded::byte_serialize(text.as_bytes());
                pairs.collect::<String>()
            };
            let pair = format!("{}:{}", half(client_id), half(proof.expose()));
            let written = format!("Basic {}", STANDARD.encode(pair));
            if written.len() <= MAX_HEADER_BYTES {
                let again = ClientCredentials::read(Some(written.as_bytes()), &Params::default());
                let again = again.expect("what we write we read");
                assert_eq!(again.client_id, credentials.client_id);
                assert!(matches!(again.proof, Proof::Basic(again) if again.equals(proof.expose())));
            }
        }
        Proof::Assertion(jwt) => {
            assert!(header.is_none() && secret.is_none());
            assert_eq!(
                sent.once("client_assertion_type"),
                Some(client_assertion::TYPE)
            );
            let subject = jwt.unverified().get("sub").and_then(|sub| sub.as_str());
            assert_eq!(subject, Some(client_id));
        }
    }
}

/// T15.
fn a_grant_is_the_one_named(sent: &Sent, params: &Params) {
    let anything = Client {
        grant_types: GrantType::ALL.into(),
        ..Client::new(ClientId::new("app"))
    };
    let Ok(request) = TokenRequest::parse(params, &anything) else {
        return;
    };
    sent.nothing_came_twice();
    let (grant, needed) = match request {
        TokenRequest::AuthorizationCode(_) => (GrantType::AuthorizationCode, Some("code")),
        TokenRequest::RefreshToken(_) => (GrantType::RefreshToken, Some("refresh_token")),
        TokenRequest::ClientCredentials(_) => (GrantType::ClientCredentials, None),
        TokenRequest::TokenExchange(_) => (GrantType::TokenExchange, Some("subject_token")),
        TokenRequest::DeviceCode(_) => (GrantType::DeviceCode, Some("device_code")),
    };
    assert_eq!(sent.once("grant_type"), Some(grant.as_str()));
    assert!(needed.is_none_or(|name| sent.once(name).is_some()));
    let mut others = anything;
    others.grant_types.remove(&grant);
    assert!(TokenRequest::parse(params, &others).is_err());
}
