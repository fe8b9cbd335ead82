//! An authorization request (RFC 6749 section 4.1.1, OpenID Connect Core section 3.1.2.1): the bytes are a query.

use std::collections::BTreeSet;

use portico::model::client::Client;
use portico::protocol::authorize::{AuthorizationRequest, ReturnRequest};
use portico::protocol::dpop::Thumbprint;
use portico::protocol::ids::ClientId;
use portico::protocol::issuer::Issuer;
use portico::protocol::params::Params;
use portico::protocol::pushed::{PushedReference, URI_PREFIX, pushed_params};
use portico::protocol::redirect_uri::RedirectUri;
use portico::protocol::response::ResponseMode;
use url::{Host, Url};

use super::parameters::Sent;

/// What the client is registered with; the port of the second is free (RFC 8252 section 7.3).
const REGISTERED: [&str; 3] = [
    "https://app.example.org/cb?a=b",
    "http://127.0.0.1/cb",
    "com.example.app:/cb",
];

/// Holds `query` against every reader of the authorization endpoint.
pub(crate) fn holds(query: &[u8]) {
    let Some((sent, params)) = Sent::read(query) else {
        return;
    };
    the_answer_goes_where_it_is_registered(&sent, &params);
    what_is_read_was_sent(&sent, &params);
    what_is_registered_is_unambiguous(&sent);
    a_push_holds_no_credentials(&sent, &params);
}

/// T1 to T5.
fn the_answer_goes_where_it_is_registered(sent: &Sent, params: &Params) {
    let Ok(request) = ReturnRequest::read(params) else {
        return;
    };
    assert_eq!(
        sent.once("client_id"),
        Some(request.client_id.as_str()),
        "a client that nobody named"
    );
    if let Some(types) = sent.once("response_type")
        && types.split(' ').any(|word| word.ends_with("token"))
    {
        let by_query = request.response_mode == ResponseMode::Query;
        assert!(
            !by_query
                || !types
                    .split(' ')
                    .any(|word| ["token", "id_token"].contains(&word))
        );
    }
    let issuer = Issuer::parse("https://login.example.org").expect("an issuer");
    let client = Client {
        redirect_uris: REGISTERED
            .map(|uri| RedirectUri::register(uri).expect("a redirect URI"))
            .to_vec(),
        ..Client::new(ClientId::new("app"))
    };
    let Ok(to) = client.return_to(&request, &issuer) else {
        return;
    };
    let uri = to.redirect_uri();
    assert_eq!(sent.once("redirect_uri"), Some(uri));
    assert!(!uri.contains('#'), "{uri} has a fragment");
    let asked = Url::parse(uri).expect("an address");
    let is_registered = REGISTERED.iter().any(|known| {
        let mut known = Url::parse(known).expect("an address");
        if known.host() == Some(Host::Ipv4(std::net::Ipv4Addr::LOCALHOST)) {
            let _ = known.set_port(asked.port());
        }
        known == asked
    });
    assert!(is_registered, "{uri} is registered nowhere");
    let state = to.parameters(Vec::new()).into_iter();
    let state = state.into_iter().find(|(name, _)| *name == "state");
    let state = state.map(|(_, state)| state);
    assert!(state.is_none() || state.as_deref() == sent.once("state"));
}

fn what_is_read_was_sent(sent: &Sent, params: &Params) {
    let Ok(request) = AuthorizationRequest::read(params) else {
        return;
    };
    sent.nothing_came_twice();
    for name in ["request", "request_uri", "registration"] {
        assert_eq!(sent.once(name), None, "{name} was taken for nothing");
    }
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(' ').filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let once = |name| sent.once(name).unwrap_or_default();
    assert_eq!(
        words(request.response_type.as_str()),
        words(once("response_type"))
    );
    assert_eq!(words(&request.scope.to_string()), words(once("scope")));
    assert_eq!(request.nonce.as_deref(), sent.once("nonce"));
    assert!(request.nonce.is_some() || !request.response_type.returns_id_token());
    assert_eq!(request.login_hint.as_deref(), sent.once("login_hint"));
    assert_eq!(request.id_token_hint.as_deref(), sent.once("id_token_hint"));
    assert_eq!(
        request.code_challenge.is_some(),
        sent.once("code_challenge").is_some()
    );
    if request.code_challenge.is_some() {
        assert_eq!(once("code_challenge_method"), "S256");
        assert_eq!(once("code_challenge").len(), 43);
    }
    assert_eq!(
        request.dpop_jkt.as_ref().map(Thumbprint::as_str),
        sent.once("dpop_jkt")
    );
    assert!(request.max_age.is_none_or(|age| age >= 0));
    let prompt = request.prompt;
    assert!(!prompt.none || !(prompt.login || prompt.consent || prompt.select_account));
    let named: BTreeSet<&str> = sent.all("resource").into_iter().collect();
    let named = named.into_iter().filter(|each| !each.is_empty());
    let mut kept = request.resources.clone();
    kept.sort();
    assert_eq!(kept, named.collect::<Vec<_>>());
    for resource in &request.resources {
        assert!(Url::parse(resource).expect("a URI").fragment().is_none());
    }
    // As the cookie of the flow keeps it, which has no place for the hint.
    let kept = serde_json::to_string(&request).expect("a record");
    let again: AuthorizationRequest = serde_json::from_str(&kept).expect("what we write we read");
    let id_token_hint = None;
    assert_eq!(
        again,
        AuthorizationRequest {
            id_token_hint,
            ..request
        }
    );
}

/// T2 to T4.
fn what_is_registered_is_unambiguous(sent: &Sent) {
    let Some(text) = sent.once("redirect_uri") else {
        return;
    };
    let Ok(uri) = RedirectUri::register(text) else {
        return;
    };
    assert_eq!(uri.as_str(), text);
    assert!(uri.matches(text) && !uri.matches(&format!("{text}#")));
    assert!(!uri.matches(&format!("{text}x")) && !uri.matches(&format!("{text}@evil.example")));
    let url = Url::parse(text).expect("an address");
    assert!(url.fragment().is_none() && url.username().is_empty() && url.password().is_none());
    assert!(text.is_ascii() && !text.contains(['\\', '#', '*', ' ', '\n', '\r', '\t']));
    match url.scheme() {
        "https" => assert!(url.host().is_some()),
        "http" => {
            let loopback = match url.host() {
                Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
                Some(Host::Ipv4(address)) => address.is_loopback(),
                Some(Host::Ipv6(address)) => address.is_loopback(),
                None => false,
            };
            assert!(loopback, "{text} leaves this machine in clear");
        }
        scheme => assert!(scheme.contains('.'), "{scheme} is nobody's own"),
    }
}

/// RFC 9126 section 2.1.
fn a_push_holds_no_credentials(sent: &Sent, params: &Params) {
    let client_id = ClientId::new("app");
    if let Ok(request) = pushed_params(params, &client_id) {
        sent.nothing_came_twice();
        assert_eq!(request.get("client_id").ok(), Some(Some("app")));
        for name in ["client_secret", "client_assertion", "request_uri"] {
            assert_eq!(request.get_all(name).count(), 0, "{name} was kept");
        }
        // As it is kept until the browser comes.
        let kept = request.encode();
        assert_eq!(Params::parse(kept.as_bytes()).ok(), Some(request));
    }
    if let Ok(Some(reference)) = PushedReference::read(params) {
        sent.nothing_came_twice();
        let uri = format!("{URI_PREFIX}{}", reference.random);
        assert_eq!(sent.once("request_uri"), Some(uri.as_str()));
        assert_eq!(sent.once("client_id"), Some(reference.client_id.as_str()));
    }
}
