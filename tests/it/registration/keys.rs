//! Registered clients with keys of their own, with secrets that they sign with, and with several hosts of one sector.

use portico::model::throttle::{self, REGISTERED_ASSERTIONS};
use portico::protocol::ids::ClientId;
use reqwest::Method;
use serde_json::{Value, json};

use super::{CALLBACK, minimal, post, register};
use crate::harness::browser::http_client;
use crate::harness::relying_party::{Answer, answer};
use crate::harness::server::TestServer;
use crate::harness::signing::{ASSERTION_TYPE, ClientKey, assertion_claims, jwks};
use crate::harness::site::{Page, Site};

/// A server at which servers may register, and which fetches from this machine.
async fn server() -> TestServer {
    TestServer::start_with(|setup| {
        setup.sections.push_str(
            "[registration]\nmode = \"open\"\ngrant_types = [\"authorization_code\", \"client_credentials\"]\n\
             fetch_allowed_hosts = true\n[outbound]\nallow_hosts = [\"127.0.0.1\"]\n",
        );
    })
    .await
}

fn service(more: &Value) -> Value {
    let mut sent = json!({"grant_types": ["client_credentials"], "scope": "profile"});
    sent.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    sent
}

async fn ask(server: &TestServer, client: &Answer, key: &ClientKey) -> Answer {
    let assertion = key.assertion(server, client.text("client_id"));
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion.as_str()),
    ];
    answer(http_client().post(server.url("/token")).form(&form)).await
}

/// T42: the issuer alone, unless the administrator takes what older software writes (OpenID Connect Core section 9).
#[tokio::test]
async fn an_assertion_for_the_token_endpoint_is_taken_where_the_policy_says_so() {
    for (policy, status) in [("", 401), ("allow_token_endpoint_audience = true\n", 200)] {
        let server = TestServer::start_with(|setup| {
            setup.sections.push_str("[registration]\nmode = \"open\"\n");
            setup
                .sections
                .push_str("grant_types = [\"client_credentials\"]\n");
            setup.sections.push_str(policy);
        })
        .await;
        let key = ClientKey::new("ES256", "mine");
        let sent = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(&[&key])});
        let client = register(&server, service(&sent)).await;
        let id = client.text("client_id");
        let ask = async |audience: Value| {
            let mut claims = assertion_claims(&server, id);
            claims["aud"] = audience;
            let assertion = key.jwt(&claims);
            let form = [
                ("grant_type", "client_credentials"),
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", assertion.as_str()),
            ];
            answer(http_client().post(server.url("/token")).form(&form))
                .await
                .status
        };
        let endpoint = server.url("/token");
        assert_eq!(ask(json!(endpoint)).await, status);
        // One text either way, and no other address.
        assert_eq!(ask(json!(server.issuer)).await, 200);
        assert_eq!(ask(json!([endpoint])).await, 401);
        assert_eq!(ask(json!(server.url("/par"))).await, 401);
    }
}

/// OpenID Connect Dynamic Registration section 2, `jwks` and `jwks_uri`.
#[tokio::test]
async fn a_registered_client_signs_with_its_keys() {
    let server = server().await;
    let site = Site::start().await;
    let key = ClientKey::new("ES256", "mine");
    site.set_json("/jwks", &jwks(&[&key]));
    let by_value = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(&[&key])});
    let by_reference = json!({
        "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": format!("{}/jwks", site.url),
        "token_endpoint_auth_signing_alg": "ES256",
    });
    for keys in [&by_value, &by_reference] {
        let client = register(&server, service(keys)).await;
        assert!(client.body.get("client_secret").is_none());
        for name in ["jwks_uri", "token_endpoint_auth_signing_alg"] {
            assert_eq!(client.body.get(name), keys.get(name), "{name}");
        }
        assert_eq!(ask(&server, &client, &key).await.status, 200);
        let other = ClientKey::new("ES256", "mine");
        let refused = ask(&server, &client, &other).await;
        refused.assert_error(401, "invalid_client");
    }
    // By either name that discovery has for it (RFC 9864 section 2.2).
    let key = ClientKey::new("EdDSA", "ed");
    let by_name = json!({
        "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(&[&key]),
        "token_endpoint_auth_signing_alg": "Ed25519", "request_object_signing_alg": "Ed25519",
    });
    let client = register(&server, service(&by_name)).await;
    assert_eq!(client.body["token_endpoint_auth_signing_alg"], "EdDSA");
    assert_eq!(client.body["request_object_signing_alg"], "EdDSA");
    assert_eq!(ask(&server, &client, &key).await.status, 200);
    let both = json!({
        "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(&[&key]), "jwks_uri": "https://new.example.org/jwks",
    });
    let private =
        json!({"keys": [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMw"}]});
    for (more, told) in [
        (both, "jwks stands beside other keys"),
        (
            json!({"token_endpoint_auth_method": "private_key_jwt"}),
            "jwks is missing",
        ),
        (
            json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": private}),
            "jwks ",
        ),
        (
            json!({"jwks_uri": "http://new.example.org/jwks"}),
            "jwks_uri must be an https",
        ),
        (
            json!({"token_endpoint_auth_signing_alg": "ES256"}),
            "token_endpoint_auth_signing_alg is for clients that sign",
        ),
    ] {
        let refused = answer(post(&server, &service(&more))).await;
        refused.assert_error(400, "invalid_client_metadata");
        assert!(
            refused.text("error_description").contains(told),
            "{refused:?}"
        );
    }
}

/// OpenID Connect Dynamic Registration section 2: what a client says of its request objects, and what goes with it.
#[tokio::test]
async fn a_registered_client_has_request_objects() {
    let server = server().await;
    let key = ClientKey::new("ES256", "mine");
    let good = json!({
        "jwks": jwks(&[&key]), "request_object_signing_alg": "ES256", "require_signed_request_object": true,
        "request_uris": ["https://new.example.org/objects#hash"],
    });
    let mut sent = minimal();
    sent.as_object_mut()
        .unwrap()
        .extend(good.as_object().unwrap().clone());
    let client = register(&server, sent).await;
    for name in [
        "request_object_signing_alg",
        "require_signed_request_object",
        "request_uris",
    ] {
        assert_eq!(client.body[name], good[name], "{name}");
    }
    let id = portico::protocol::ids::ClientId::new(client.text("client_id"));
    let kept = server.store.find_client(&id).await.unwrap().unwrap().client;
    assert!(kept.require_signed_request_object && kept.request_uris.len() == 1);
    let unsigned = json!({"request_object_signing_alg": "none", "request_uris": ["https://new.example.org/objects"]});
    let mut sent = minimal();
    sent.as_object_mut()
        .unwrap()
        .extend(unsigned.as_object().unwrap().clone());
    register(&server, sent).await;
    for (more, told) in [
        (
            json!({"request_object_signing_alg": "ES256"}),
            "request_object_signing_alg needs",
        ),
        (
            json!({"request_object_signing_alg": "RS256", "jwks": jwks(&[&key])}),
            "none of the client's keys",
        ),
        (
            json!({"require_signed_request_object": true}),
            "require_signed_request_object needs",
        ),
        (
            json!({"request_uris": ["https://new.example.org/objects"]}),
            "request_uris leads",
        ),
        (
            json!({"request_uris": ["http://new.example.org/o"], "jwks": jwks(&[&key])}),
            "request_uris[0] must be an https",
        ),
    ] {
        let mut sent = minimal();
        sent.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let refused = answer(post(&server, &sent)).await;
        refused.assert_error(400, "invalid_client_metadata");
        assert!(
            refused.text("error_description").contains(told),
            "{refused:?}"
        );
    }
}

/// A secret that signs is kept sealed, and told once like every other; another kind of method has another secret.
#[tokio::test]
async fn a_registered_client_signs_with_its_secret() {
    let server = server().await;
    let more = json!({"token_endpoint_auth_method": "client_secret_jwt"});
    let client = register(&server, service(&more)).await;
    let key = ClientKey::shared(client.text("client_secret"));
    assert_eq!(ask(&server, &client, &key).await.status, 200);
    let update = |method: &str, secret: Option<&str>| {
        let mut sent = service(&json!({"token_endpoint_auth_method": method}));
        sent["client_id"] = json!(client.text("client_id"));
        sent["client_secret"] = json!(secret);
        if secret.is_none() {
            sent.as_object_mut().unwrap().remove("client_secret");
        }
        let request = http_client()
            .request(Method::PUT, client.text("registration_client_uri"))
            .bearer_auth(client.text("registration_access_token"));
        answer(request.json(&sent))
    };
    let secret = client.text("client_secret").to_owned();
    let kept = update("client_secret_jwt", Some(&secret)).await;
    assert_eq!(kept.status, 200, "{kept:?}");
    assert!(kept.body.get("client_secret").is_none());
    assert_eq!(ask(&server, &client, &key).await.status, 200);
    let wrong = update(
        "client_secret_jwt",
        Some(&secret.replace("portico", "other")),
    )
    .await;
    wrong.assert_error(400, "invalid_request");
    let changed = update("client_secret_basic", None).await;
    assert_ne!(changed.text("client_secret"), secret);
    ask(&server, &client, &key)
        .await
        .assert_error(401, "invalid_client");
}

/// OpenID Connect Core section 8.1: all apps that run on somebody's own machine would know people by the same subjects.
#[tokio::test]
async fn one_machine_is_no_sector() {
    let server = server().await;
    for host in ["localhost", "app.localhost", "127.0.0.1:8443", "[::1]"] {
        let mut sent = minimal();
        sent["subject_type"] = json!("pairwise");
        sent["application_type"] = json!("web");
        sent["redirect_uris"] = json!([format!("https://{host}/callback")]);
        let refused = answer(post(&server, &sent)).await;
        refused.assert_error(400, "invalid_client_metadata");
        let told = refused.text("error_description");
        assert!(
            told.starts_with("sector_identifier_uri is missing"),
            "{host}: {told}"
        );
    }
}

/// OpenID Connect Dynamic Registration section 5, Core section 8.1; T36: why nothing could be fetched is for the log alone.
#[tokio::test]
async fn a_sector_vouches_for_every_address() {
    let server = server().await;
    let site = Site::start().await;
    let second = "https://second.example.net/callback";
    let sent = |path: &str| {
        let mut sent = minimal();
        sent["redirect_uris"] = json!([CALLBACK, second]);
        sent["subject_type"] = json!("pairwise");
        sent["sector_identifier_uri"] = json!(format!("{}{path}", site.url));
        sent
    };
    site.set_json(
        "/good",
        &json!([second, CALLBACK, "https://third.example.com/"]),
    );
    let client = register(&server, sent("/good")).await;
    assert_eq!(client.text("subject_type"), "pairwise");
    let id = portico::protocol::ids::ClientId::new(client.text("client_id"));
    let kept = server.store.find_client(&id).await.unwrap().unwrap().client;
    let sector = portico::model::client::SubjectType::Pairwise {
        sector: "127.0.0.1".to_owned(),
    };
    assert_eq!(kept.subject_type, sector);

    site.set_json("/without", &json!([CALLBACK]));
    site.set_json("/object", &json!({"redirect_uris": [CALLBACK, second]}));
    site.set_json("/numbers", &json!([CALLBACK, second, 1]));
    site.set(
        "/html",
        Page::Body("text/html", json!([CALLBACK, second]).to_string()),
    );
    site.set("/moved", Page::Redirect(format!("{}/good", site.url)));
    for path in [
        "/without", "/object", "/numbers", "/html", "/moved", "/nowhere",
    ] {
        let refused = answer(post(&server, &sent(path))).await;
        refused.assert_error(400, "invalid_client_metadata");
        assert_eq!(refused.text("error_description"), UNVOUCHED, "{path}");
    }
    // Nothing is fetched for what cannot be registered anyway, nor from anywhere that is not on the public internet.
    let hits = site.hits("/good");
    let mut bad = sent("/good");
    bad["tos_uri"] = json!("javascript:alert(1)");
    answer(post(&server, &bad))
        .await
        .assert_error(400, "invalid_client_metadata");
    assert_eq!(site.hits("/good"), hits);
    let mut inside = sent("/good");
    inside["sector_identifier_uri"] = json!("https://169.254.169.254/latest");
    let refused = answer(post(&server, &inside)).await;
    refused.assert_error(400, "invalid_client_metadata");
    assert_eq!(refused.text("error_description"), UNVOUCHED);
}

/// The one answer to every address that does not vouch for a client.
const UNVOUCHED: &str = "sector_identifier_uri does not lead to a JSON array that holds every one of redirect_uris; \
                         only what is on the public internet is fetched";

/// T36: what the administrator has opened is not for strangers, and nothing tells them what stands there.
#[tokio::test]
async fn nothing_of_an_opened_host_is_fetched_for_a_registered_client() {
    let server = TestServer::start_with(|setup| {
        setup.sections.push_str(
            "[registration]\nmode = \"open\"\ngrant_types = [\"authorization_code\", \"client_credentials\"]\n\
             [outbound]\nallow_hosts = [\"127.0.0.1\"]\n",
        );
    })
    .await;
    let site = Site::start().await;
    let key = ClientKey::new("ES256", "mine");
    site.set_json("/jwks", &jwks(&[&key]));
    site.set_json("/good", &json!([CALLBACK]));
    site.set_json("/other", &json!(["https://other.example.org/"]));
    site.set("/text", Page::Body("text/html", "text".to_owned()));
    for uri in [
        format!("{}/good", site.url),
        format!("{}/other", site.url),
        format!("{}/text", site.url),
        "http://127.0.0.1:1/closed".to_owned(),
    ] {
        let mut sent = minimal();
        sent["subject_type"] = json!("pairwise");
        sent["sector_identifier_uri"] = json!(uri);
        let refused = answer(post(&server, &sent)).await;
        refused.assert_error(400, "invalid_client_metadata");
        assert_eq!(refused.text("error_description"), UNVOUCHED, "{uri}");
    }
    let by_reference = json!({
        "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": format!("{}/jwks", site.url),
    });
    let client = register(&server, service(&by_reference)).await;
    let refused = ask(&server, &client, &key).await;
    refused.assert_error(401, "invalid_client");
    for path in ["/good", "/other", "/text", "/jwks"] {
        assert_eq!(site.hits(path), 0, "{path}");
    }
}

/// T48: each assertion is a row until it ends, and anybody may register a client that signs; what comes twice counts once.
#[tokio::test]
async fn a_registered_client_proves_itself_only_so_often() {
    let server = server().await;
    let key = ClientKey::new("ES256", "mine");
    let sent = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(&[&key])});
    let client = register(&server, service(&sent)).await;
    let other = register(&server, service(&sent)).await;
    let again = key.assertion(&server, client.text("client_id"));
    let prove = async |assertion: &str| {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion),
        ];
        answer(http_client().post(server.url("/token")).form(&form)).await
    };
    assert_eq!(prove(&again).await.status, 200);
    // The others of this window, all but one, as if they had come.
    let bucket = throttle::registered_assertions(&ClientId::new(client.text("client_id")));
    let policy = REGISTERED_ASSERTIONS;
    let now = server.clock.now();
    for _ in 2..policy.attempts {
        let free = server.store.reserve_attempt(&bucket, policy, now);
        assert!(free.await.unwrap());
    }
    for _ in 0..3 {
        prove(&again).await.assert_error(401, "invalid_client");
    }
    assert_eq!(ask(&server, &client, &key).await.status, 200);
    let refused = ask(&server, &client, &key).await;
    refused.assert_error(503, "temporarily_unavailable");
    assert_eq!(ask(&server, &other, &key).await.status, 200, "its own");
    server.clock.advance(policy.window);
    assert_eq!(ask(&server, &client, &key).await.status, 200);
}

/// What an administrator has written down is not counted.
#[tokio::test]
async fn a_client_of_the_configuration_proves_itself_as_often_as_it_likes() {
    let server = server().await;
    let bucket = throttle::registered_assertions(&ClientId::new("signed"));
    let policy = REGISTERED_ASSERTIONS;
    let now = server.clock.now();
    for _ in 0..policy.attempts {
        let free = server.store.reserve_attempt(&bucket, policy, now);
        assert!(free.await.unwrap());
    }
    let form = [("grant_type", "authorization_code"), ("code", "unknown")];
    let proven = server.token("signed", &form).await;
    proven.assert_error(400, "invalid_grant");
}
