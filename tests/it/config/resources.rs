//! `[[resources]]`, and the clients that ask for them.

use portico::protocol::jws::SigningAlgorithm;
use portico::protocol::locale::Label;
use portico::protocol::token::AccessTokenFormat;

use super::{MINIMAL, load, problems};

const API: &str = r#"
[[clients]]
client_id = "api"
client_secret = { env = "SECRET" }
grant_types = ["client_credentials"]
resources = ["https://a.example.org"]
"#;

#[test]
fn a_resource_is_what_was_written() {
    let config = load(&format!(
        r#"{MINIMAL}
[[resources]]
identifier = "https://a.example.org"
name = "The archive"
scope = "a:read a:write"
access_token_format = "opaque"
access_token_signed_response_alg = "RS256"
introspection_clients = ["api"]

[[resources]]
identifier = "urn:example:b"
{API}"#
    ));
    let config = config.unwrap();
    let [a, b] = config.resources.as_slice() else {
        panic!("{:?}", config.resources);
    };
    assert_eq!(a.name.as_ref().map(Label::english), Some("The archive"));
    assert_eq!(a.scope.as_ref().unwrap().to_string(), "a:read a:write");
    assert_eq!(a.access_token_format, Some(AccessTokenFormat::Opaque));
    let algorithm = a.access_token_signed_response_alg;
    assert_eq!(algorithm, Some(SigningAlgorithm::RS256));
    assert_eq!(a.introspection_clients.len(), 1);
    assert!(b.scope.is_none() && b.access_token_format.is_none());
    let shown = config.effective();
    assert!(shown.contains("identifier = \"urn:example:b\""), "{shown}");
    assert!(
        shown.contains("access_token_format = \"opaque\""),
        "{shown}"
    );
}

#[test]
fn every_mistake_is_told() {
    let found = problems(&format!(
        r#"{MINIMAL}
[[resources]]
identifier = "api"

[[resources]]
name = "no identifier"

[[resources]]
identifier = "https://login.example.org"

[[resources]]
identifier = "https://a.example.org"
access_token_format = "opaque"

[[resources]]
identifier = "https://a.example.org"
access_token_signed_response_alg = "EdDSA"

[[resources]]
identifier = "https://b.example.org"
introspection_clients = ["nobody", "public", "api"]
{API}
[[clients]]
client_id = "public"
token_endpoint_auth_method = "none"
redirect_uris = ["https://app.example.org/cb"]
resources = ["https://b.example.orgg", "urn:somewhere:else"]
access_token_signed_response_alg = "ES256"
"#
    ));
    let told = [
        "resources[0].identifier: must be an absolute URI",
        "resources[1].identifier: is missing",
        "resources[2].identifier: is the issuer",
        "resources[3].introspection_clients: is missing",
        "resources[4].identifier: is the identifier of another resource",
        "resources[4].access_token_signed_response_alg: there is no key for EdDSA",
        "resources[5].introspection_clients: nobody is not the client_id",
        "resources[5].introspection_clients: public has no secret",
        "clients[1].resources[0]: is not the identifier of a resource; did you mean https://b.example.org?",
        "clients[1].resources[1]: is not the identifier of a resource; describe it",
        "clients[1].access_token_signed_response_alg: there is no key for ES256",
    ];
    for told in told {
        assert!(
            found.iter().any(|line| line.starts_with(told)),
            "{told}\n{found:#?}"
        );
    }
    assert_eq!(found.len(), told.len(), "{found:#?}");
}
