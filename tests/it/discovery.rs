//! Discovery says exactly what is on (OpenID Connect Discovery section 3, RFC 8414, RFC 9207): each value that it
//! advertises is tried, and what stands beside it is refused.

use std::collections::BTreeSet;

use portico::simulator::people;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::device;
use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{VERIFIER, answer, claims, header, redirect_uri};
use crate::harness::server::TestServer;
use crate::password_grant;
use crate::token_exchange;

async fn document(server: &TestServer) -> Value {
    let url = server.url("/.well-known/openid-configuration");
    answer(http_client().get(url)).await.body
}

fn values(document: &Value, name: &str) -> Vec<String> {
    let values = document[name]
        .as_array()
        .unwrap_or_else(|| panic!("no {name}"));
    values
        .iter()
        .map(|value| value.as_str().unwrap().to_owned())
        .collect()
}

/// What lies ready.
const DOCUMENTS: [&str; 3] = [
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/jwks",
];

/// The first answer comes through every layer, those after it are ready-made: nobody can tell which is which, and scripts, other
/// methods and proofs of a key are answered as ever.
#[tokio::test]
async fn a_document_is_answered_alike_however_often_and_by_whomever() {
    let server = TestServer::start().await;
    let http = http_client();
    for path in DOCUMENTS {
        let url = server.url(path);
        let (mut answers, mut numbers) = (Vec::new(), BTreeSet::new());
        for _ in 0..3 {
            let response = http.get(&url).send().await.unwrap();
            let mut headers = response.headers().clone();
            numbers.insert(
                headers
                    .remove("x-request-id")
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
            );
            headers.remove("date").unwrap();
            for name in ["content-type", "cache-control", "content-length", "vary"] {
                assert!(headers.contains_key(name), "{path} {name}");
            }
            assert_eq!(headers["x-content-type-options"], "nosniff");
            answers.push((response.status(), headers, response.text().await.unwrap()));
        }
        assert_eq!(numbers.len(), 3, "each has a number of its own");
        assert_eq!(answers[0], answers[1], "{path}");
        assert_eq!(answers[1], answers[2], "{path}");
        let origin = "https://spa.example.org";
        let script = http
            .get(&url)
            .header("origin", origin)
            .send()
            .await
            .unwrap();
        assert_eq!(script.headers()["access-control-allow-origin"], origin);
        let stranger = http.get(&url).header("origin", "https://evil.example");
        let stranger = stranger.send().await.unwrap();
        assert!(
            !stranger
                .headers()
                .contains_key("access-control-allow-origin")
        );
        let head = http.head(&url).send().await.unwrap();
        assert_eq!(
            head.headers()["content-length"],
            answers[0].1["content-length"]
        );
        assert_eq!(http.post(&url).send().await.unwrap().status(), 405);
        // What a script was told is told to nobody else.
        let again = http.get(&url).send().await.unwrap();
        assert!(!again.headers().contains_key("access-control-allow-origin"));
    }
}

/// What is said beside a plain question is heard, though the answer lies ready: a proof of a key gets its nonce, and more than a
/// request may hold is refused.
#[tokio::test]
async fn a_document_that_lies_ready_is_not_given_past_the_layers() {
    let server = TestServer::start_with(|setup| {
        setup.sections += "\n[dpop]\nrequire_nonce = true\n";
    })
    .await;
    let http = http_client();
    for path in DOCUMENTS {
        let url = server.url(path);
        let plain = async || {
            let answer = http.get(&url).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            assert!(!answer.headers().contains_key("dpop-nonce"), "{path}");
        };
        plain().await;
        let proven = http.get(&url).header("dpop", "a-proof").send().await;
        assert!(
            proven.unwrap().headers().contains_key("dpop-nonce"),
            "{path}"
        );
        plain().await;
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 100000000\r\n\r\n",
            server.address
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 413", "{path}");
    }
}

/// The whole document: whoever adds a value here adds the test that it works.
#[tokio::test]
async fn both_documents_say_this_and_no_more() {
    let server = TestServer::start().await;
    let issuer = &server.issuer;
    let mut expected = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "pushed_authorization_request_endpoint": format!("{issuer}/par"),
        "require_pushed_authorization_requests": false,
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "jwks_uri": format!("{issuer}/jwks"),
        "end_session_endpoint": format!("{issuer}/end_session"),
        "scopes_supported": ["openid", "profile", "email", "offline_access", "reports:read", "reports:write"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "grant_types_supported": [
            "authorization_code",
            "refresh_token",
            "client_credentials"
        ],
        "subject_types_supported": ["public", "pairwise"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "token_endpoint_auth_methods_supported": [
            "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none",
        ],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"],
        "revocation_endpoint_auth_methods_supported": [
            "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none",
        ],
        "revocation_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"],
        "introspection_endpoint_auth_methods_supported": [
            "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt",
        ],
        "introspection_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"],
        "userinfo_signing_alg_values_supported": ["RS256", "ES256"],
        "introspection_signing_alg_values_supported": ["RS256", "ES256"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519", "PS256"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claim_types_supported": ["normal"],
        "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "amr", "sid",
            "name", "given_name", "family_name", "preferred_username", "email", "email_verified",
        ],
        "ui_locales_supported": ["en", "fr", "zh-Hant", "zh-Hans"],
        "authorization_response_iss_parameter_supported": true,
        "display_values_supported": ["page", "popup", "touch"],
        "claims_parameter_supported": true,
        "request_parameter_supported": true,
        "request_uri_parameter_supported": true,
        "require_request_uri_registration": true,
        "request_object_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA", "Ed25519", "none"],
    });
    for channel in ["backchannel", "frontchannel"] {
        expected[format!("{channel}_logout_supported")] = true.into();
        expected[format!("{channel}_logout_session_supported")] = true.into();
    }
    for path in [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ] {
        let answer = answer(http_client().get(server.url(path))).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["cache-control"], "public, max-age=300");
        assert_eq!(answer.body, expected, "{path}");
    }
}

/// Each endpoint is there, and speaks for itself.
#[tokio::test]
async fn every_endpoint_is_where_it_says() {
    let server = TestServer::start_with(device::devices).await;
    let document = document(&server).await;
    let endpoints: Vec<(&String, &Value)> = document
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.ends_with("_endpoint") || *name == "jwks_uri")
        .collect();
    assert_eq!(endpoints.len(), 9);
    for (name, url) in endpoints {
        let response = http_client()
            .get(url.as_str().unwrap())
            .send()
            .await
            .unwrap();
        let status = match name.as_str() {
            "authorization_endpoint" => 400,
            "token_endpoint"
            | "revocation_endpoint"
            | "introspection_endpoint"
            | "device_authorization_endpoint"
            | "pushed_authorization_request_endpoint" => 405,
            "userinfo_endpoint" => 401,
            _ => 200,
        };
        assert_eq!(response.status(), status, "{name}");
    }
}

/// Response modes, prompts and challenge methods, at the authorization endpoint.
#[tokio::test]
async fn what_an_authorization_request_may_say_works() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let mut browser = Browser::new();
    browser
        .log_in_as(server.authorize_url("spa", &[]), people::JO_SMITH)
        .await;
    for (name, parameter) in [
        ("response_types_supported", "response_type"),
        ("response_modes_supported", "response_mode"),
        ("code_challenge_methods_supported", "code_challenge_method"),
    ] {
        for value in values(&document, name) {
            let page = browser
                .get(server.authorize_url("spa", &[(parameter, &value)]))
                .await;
            let location = page.location();
            match value.as_str() {
                "form_post" => assert!(page.form("form").1.contains_key("code")),
                "fragment" => assert!(location.unwrap().fragment().unwrap().contains("code=")),
                _ => assert!(
                    location.unwrap().query().unwrap().contains("code="),
                    "{value}"
                ),
            }
        }
    }
    for prompt in values(&document, "prompt_values_supported") {
        let page = browser
            .get(server.authorize_url("spa", &[("prompt", &prompt)]))
            .await;
        let path = match prompt.as_str() {
            "none" => "/callback",
            "consent" => "/consent",
            _ => "/login",
        };
        assert_eq!(page.location().unwrap().path(), path, "{prompt}");
    }
}

/// Every scope can be had by some client, and every claim is given by some scope.
#[tokio::test]
async fn every_scope_and_every_claim_can_be_had() {
    let server = TestServer::start().await;
    let document = document(&server).await;
    let mut granted = BTreeSet::new();
    let mut claims_seen = BTreeSet::new();
    let tokens = server
        .tokens("spa", "openid profile email offline_access")
        .await;
    let service = server
        .token("service", &[("grant_type", "client_credentials")])
        .await;
    for scope in [&tokens, &service].map(|answer| answer.text("scope").to_owned()) {
        granted.extend(scope.split(' ').map(ToOwned::to_owned));
    }
    assert_eq!(
        granted,
        values(&document, "scopes_supported").into_iter().collect()
    );
    let mut look = |claims: &Value| {
        claims_seen.extend(claims.as_object().unwrap().keys().cloned());
    };
    look(&claims(tokens.text("id_token")));
    look(&server.userinfo(tokens.text("access_token")).await.body);
    let supported: BTreeSet<String> = values(&document, "claims_supported").into_iter().collect();
    assert!(claims_seen.is_subset(&supported), "{claims_seen:?}");
    // Only where the administrator vouches for the upstream's addresses (config, email_verified).
    claims_seen.insert("email_verified".to_owned());
    assert_eq!(claims_seen, supported);
}

/// Grants, methods and algorithms, at the token endpoint.
#[tokio::test]
async fn what_a_token_request_may_say_works() {
    let server = TestServer::start_with(|setup| {
        device::devices(setup);
        let devices = std::mem::take(&mut setup.clients);
        token_exchange::callers(setup);
        setup.clients += &devices;
        // `both` is a client of those already.
        setup.clients = setup.clients.replace(
            "\"client_credentials\", \"urn:",
            "\"client_credentials\", \"password\", \"urn:",
        );
    })
    .await;
    let document = document(&server).await;
    for grant in values(&document, "grant_types_supported") {
        let answer = match grant.as_str() {
            "authorization_code" => server.tokens("web", "openid").await,
            "refresh_token" => {
                let tokens = server.tokens("spa", "openid").await;
                server.refresh("spa", tokens.text("refresh_token")).await
            }
            "client_credentials" => server.token("service", &[("grant_type", &grant)]).await,
            token_exchange::GRANT => {
                let tokens = token_exchange::of_service(&server).await;
                let token = tokens.text("access_token");
                token_exchange::exchange_with(&server, "both", token, &[]).await
            }
            "password" => password_grant::ask(&server, "both", &[("upstream", "members")]).await,
            device::GRANT => device::approved(&server, "tv", "openid").await,
            other => panic!("{other} is advertised and not tested"),
        };
        assert_eq!(answer.status, 200, "{grant}");
    }
    for method in values(&document, "token_endpoint_auth_methods_supported") {
        let client = match method.as_str() {
            "client_secret_basic" => "web",
            "client_secret_post" => "post",
            "client_secret_jwt" => "shared",
            "private_key_jwt" => "signed",
            "none" => "spa",
            other => panic!("{other} is advertised and not tested"),
        };
        assert_eq!(server.tokens(client, "openid").await.status, 200);
    }
    let keys = answer(http_client().get(server.url("/jwks"))).await.body;
    let signers: BTreeSet<&str> = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["alg"].as_str().unwrap())
        .collect();
    let algorithms = values(&document, "id_token_signing_alg_values_supported");
    assert_eq!(signers, algorithms.iter().map(String::as_str).collect());
    for (client, algorithm) in [("spa", &algorithms[0]), ("post", &algorithms[1])] {
        let tokens = server.tokens(client, "openid").await;
        assert_eq!(header(tokens.text("id_token"))["alg"], algorithm.as_str());
    }
}

/// Every language has pages.
#[tokio::test]
async fn every_language_is_spoken() {
    let server = TestServer::start().await;
    let mut titles = BTreeSet::new();
    for locale in values(&document(&server).await, "ui_locales_supported") {
        let mut browser = Browser::new();
        let page = browser
            .open(server.authorize_url("spa", &[("ui_locales", &locale)]))
            .await;
        assert_eq!(page.attribute("html", "lang").unwrap(), locale);
        titles.insert(page.text("h1").unwrap());
    }
    assert_eq!(titles.len(), 4, "{titles:?}");
}

/// The scopes and algorithms are the configuration's, not a list of ours.
#[tokio::test]
async fn the_document_follows_the_configuration() {
    let mut server = TestServer::start().await;
    server.edit_config(
        "algorithms = [\"RS256\", \"ES256\"]",
        "algorithms = [\"ES256\", \"PS256\", \"EdDSA\", \"RS256\"]",
    );
    server.edit_config(
        "scope = \"reports:read reports:write\"",
        "scope = \"reports:audit\"",
    );
    server.restart().await;
    let document = document(&server).await;
    let algorithms = values(&document, "id_token_signing_alg_values_supported");
    assert_eq!(algorithms, ["ES256", "PS256", "EdDSA", "RS256"]);
    let scopes = values(&document, "scopes_supported");
    assert!(scopes.contains(&"reports:audit".to_owned()), "{scopes:?}");
    assert!(!scopes.contains(&"reports:write".to_owned()), "{scopes:?}");
    // The first algorithm is that of clients that choose none, and of access tokens.
    let code = server.code("spa", &[]).await;
    let redirect_uri = redirect_uri("spa");
    let changes = [
        ("redirect_uri", redirect_uri.as_str()),
        ("code_verifier", VERIFIER),
    ];
    let tokens = server.redeem("spa", &code, &changes).await;
    for token in ["id_token", "access_token"] {
        assert_eq!(header(tokens.text(token))["alg"], "ES256");
    }
    assert_eq!(
        server.userinfo(tokens.text("access_token")).await.status,
        200
    );
}
