//! Client metadata as a client sends it to register (RFC 7591 section 2): the bytes are the body.

use portico::model::client::{Client, ConsentPolicy};
use portico::model::client_claims::ClientClaims;
use portico::model::registration::{RegistrationMode, RegistrationPolicy, metadata_of};
use portico::protocol::client_auth::ClientAuthMethod;
use portico::protocol::client_metadata::rules::Fault;
use portico::protocol::client_metadata::{ClientMetadata, LOCALIZED};
use portico::protocol::ids::{ClientId, UpstreamId};
use portico::protocol::json;
use portico::protocol::jws::SigningAlgorithm;
use portico::protocol::redirect_uri::RedirectUri;
use portico::protocol::scope::Scope;
use portico::protocol::token::GrantType;
use serde_json::{Map, Value};

/// Holds `body` against the reader of JSON, and what it says against the policy.
pub(crate) fn holds(body: &[u8]) {
    let Ok(sent) = json::object(body) else {
        return;
    };
    an_object_means_one_thing(body, &sent);
    nothing_is_lost_silently(&sent);
    no_registration_gets_more_than_the_policy_allows(&sent);
}

/// RFC 8259 section 4.
fn an_object_means_one_thing(body: &[u8], sent: &Map<String, Value>) {
    let usual: Value = serde_json::from_slice(body).expect("JSON to everybody");
    assert_eq!(Value::Object(sent.clone()), usual);
    if let Some(name) = sent.keys().next() {
        let written = usual.to_string();
        let twice = format!("{{{}:0,{}", Value::from(name.as_str()), &written[1..]);
        assert!(
            json::object(twice.as_bytes()).is_err(),
            "{name} stood there twice"
        );
    }
}

/// What was sent is either taken as it is, or told.
fn nothing_is_lost_silently(sent: &Map<String, Value>) {
    let mut faults = Vec::new();
    let read = ClientMetadata::read(sent, &mut faults);
    let told = |name: &str| faults.iter().any(|fault: &Fault| fault.field == name);
    for (name, value) in sent.iter().filter(|(_, value)| !value.is_null()) {
        if LOCALIZED.contains(&name.as_str()) {
            let kept = read.texts.get(name).map(String::as_str);
            assert!(told(name) || kept == value.as_str(), "{name} was lost");
        }
    }
    for (name, kept) in [
        ("redirect_uris", &read.redirect_uris),
        ("post_logout_redirect_uris", &read.post_logout_redirect_uris),
        ("contacts", &read.contacts),
        ("request_uris", &read.request_uris),
        ("default_acr_values", &read.default_acr_values),
    ] {
        let value = sent.get(name).filter(|value| !value.is_null());
        let kept = || Value::from(kept.clone());
        assert!(
            value.is_none_or(|value| told(name) || kept() == *value),
            "{name} was lost"
        );
    }
}

/// T18: nothing of ours is the client's to choose, and what it gets the policy allows.
fn no_registration_gets_more_than_the_policy_allows(sent: &Map<String, Value>) {
    let policy = policy();
    let (client, faults) = admit(&policy, sent);
    assert!(client.registered);
    assert_eq!(client.client_id.as_str(), "id");
    assert_eq!(client.consent, ConsentPolicy::Once);
    assert_eq!(client.upstreams.as_ref(), Some(&policy.upstreams));
    assert!(client.upstream_apis.is_empty() && client.upstream_tokens.is_empty());
    assert!(client.service_tokens.is_empty() && client.audience.is_empty());
    assert_eq!(client.claims, ClientClaims::default());
    assert!(client.require_groups.is_empty() && client.require_claims.is_empty());
    if !faults.is_empty() {
        return;
    }
    assert!(client.scope.is_within(&policy.scope));
    assert!(client.grant_types.is_subset(&policy.grant_types));
    assert!(
        policy
            .token_endpoint_auth_methods
            .contains(&client.token_endpoint_auth_method)
    );
    assert!(!client.is_public() || !client.grant_types.contains(&GrantType::ClientCredentials));
    for uri in &client.redirect_uris {
        assert_eq!(RedirectUri::register(uri.as_str()).as_ref(), Ok(uri));
    }
    // A start does not look at it again under the same policy.
    assert_eq!(policy.hold(&client), client);
    // What it is told, it can send back (RFC 7592 section 2.2).
    let told = metadata_of(&client);
    let (again, faults) = admit(&policy, &told);
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(again, client);
}

fn admit(policy: &RegistrationPolicy, sent: &Map<String, Value>) -> (Client, Vec<Fault>) {
    let mut faults = Vec::new();
    let metadata = ClientMetadata::read(sent, &mut faults);
    let client = policy.admit(ClientId::new("id"), metadata, &mut faults);
    (client, faults)
}

fn policy() -> RegistrationPolicy {
    RegistrationPolicy {
        allow_token_endpoint_audience: false,
        mode: RegistrationMode::Open,
        redirect_hosts: Vec::new(),
        scope: Scope::parse("openid profile email offline_access").expect("a scope"),
        grant_types: [
            GrantType::AuthorizationCode,
            GrantType::RefreshToken,
            GrantType::ClientCredentials,
        ]
        .into(),
        token_endpoint_auth_methods: ClientAuthMethod::ALL.to_vec(),
        upstreams: [UpstreamId::new("members")].into(),
        consent: ConsentPolicy::Once,
        max_clients: 10,
        max_per_address: 10,
        unused: None,
        fetch_allowed_hosts: false,
        show_logos: false,
        algorithms: vec![SigningAlgorithm::ES256, SigningAlgorithm::RS256],
    }
}
