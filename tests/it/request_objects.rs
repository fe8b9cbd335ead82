//! Request objects by value and by reference (RFC 9101, OpenID Connect Core section 6): T5, T36, T39, T41.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portico::simulator::people::JO_SMITH;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::harness::browser::{Browser, Page, http_client};
use crate::harness::relying_party::{CHALLENGE, answer};
use crate::harness::server::TestServer;
use crate::harness::signing::{ASSERTION_TYPE, ClientKey, assertion_claims, jwks, jwks_line};
use crate::harness::site::{self, Site};

/// Clients of each kind: `signed` of the harness, and those below.
async fn server_with(site: &Site) -> TestServer {
    let more = |client_id: &str, lines: &str| {
        format!(
            "[[clients]]\nclient_id = \"{client_id}\"\ntoken_endpoint_auth_method = \"none\"\n\
             redirect_uris = [\"https://{client_id}.example.org/callback\"]\nscope = \"openid email\"\n{lines}\n"
        )
    };
    let keys = jwks_line(&[&ClientKey::of_signed()]);
    let both = jwks_line(&[&ClientKey::of_signed(), &ClientKey::new("ES256", "other")]);
    let uris = format!(
        "request_uris = [\"{0}/object\", \"{0}/kept#one\"]\n",
        site.url
    );
    let by_keys = format!(
        "[[clients]]\nclient_id = \"fetched\"\ntoken_endpoint_auth_method = \"private_key_jwt\"\n\
         redirect_uris = [\"https://fetched.example.org/callback\"]\n\
         grant_types = [\"authorization_code\", \"client_credentials\"]\nscope = \"openid reports:read\"\n\
         jwks_uri = \"{0}/jwks\"\n{uris}",
        site.url
    );
    TestServer::start_with(|setup| {
        setup.server = "trusted_proxies = [\"127.0.0.0/8\"]\n".to_owned();
        setup.sections += "[outbound]\nallow_hosts = [\"127.0.0.1\"]\n";
        setup.clients = more(
            "strict",
            &format!("{keys}require_signed_request_object = true"),
        ) + &more("unsigned", "request_object_signing_alg = \"none\"")
            + &more(
                "pinned",
                &format!("{both}request_object_signing_alg = \"ES256\""),
            )
            + &more(
                "hybrid",
                &format!("{keys}response_types = [\"code id_token\"]"),
            )
            + &more("byref", &format!("{keys}{uris}"))
            + &more("published", &format!("jwks_uri = \"{}/jwks\"", site.url))
            + &by_keys;
    })
    .await
}

/// What a good object of `client_id` says.
fn object_claims(server: &TestServer, client_id: &str) -> Value {
    json!({
        "iss": client_id, "aud": server.issuer, "exp": server.clock.now() + 300,
        "client_id": client_id, "response_type": "code", "scope": "openid",
        "redirect_uri": format!("https://{client_id}.example.org/callback"),
        "state": "inside", "nonce": "the-nonce",
        "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    })
}

fn url(server: &TestServer, parameters: &[(&str, &str)]) -> String {
    let mut url = Url::parse(&server.url("/authorize")).unwrap();
    url.query_pairs_mut().extend_pairs(parameters);
    url.into()
}

async fn open(server: &TestServer, parameters: &[(&str, &str)]) -> Page {
    Browser::new().open(url(server, parameters)).await
}

/// The answer that went to the client's page: where, and with what.
fn sent(page: &Page, client_id: &str) -> std::collections::BTreeMap<String, String> {
    let place = format!("https://{client_id}.example.org/callback");
    assert!(page.header("location").starts_with(&place), "{page:?}");
    page.answer()
}

/// RFC 9101 section 5: from the object alone, to the end.
#[tokio::test]
async fn a_signed_object_is_the_request() {
    let site = Site::start().await;
    let server = server_with(&site).await;
    let key = ClientKey::of_signed();
    for typ in [
        "JWT",
        "oauth-authz-req+jwt",
        "application/oauth-authz-req+jwt",
    ] {
        let mut header = key.header();
        header["typ"] = typ.into();
        let object = key.sign(&header, &object_claims(&server, "strict"));
        let parameters = [
            ("client_id", "strict"),
            ("response_type", "code"),
            ("scope", "openid email"),
            ("state", "outside"),
            ("redirect_uri", "https://attacker.example.org/callback"),
            ("request", &object),
        ];
        let mut browser = Browser::new();
        let page = browser.log_in_as(url(&server, &parameters), JO_SMITH).await;
        let answered = sent(&page, "strict");
        assert_eq!(answered["state"], "inside", "{typ}");
        let code = answered["code"].clone();
        let tokens = server.redeem("strict", &code, &[]).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        assert_eq!(
            tokens.text("scope"),
            "openid",
            "what stands outside does not count"
        );
    }
}

/// Core section 3.1.2.1: by POST as by GET; a reload meets no closed door.
#[tokio::test]
async fn an_object_is_taken_by_post_and_again_on_a_reload() {
    let site = Site::start().await;
    let server = server_with(&site).await;
    let mut claims = object_claims(&server, "strict");
    claims["jti"] = "once".into();
    let object = ClientKey::of_signed().jwt(&claims);
    let parameters = [("client_id", "strict"), ("request", object.as_str())];
    for _ in 0..2 {
        let page = open(&server, &parameters).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.url.path(), "/login");
    }
    let posted = http_client()
        .post(server.url("/authorize"))
        .form(&parameters);
    let posted = posted.send().await.unwrap();
    assert_eq!(posted.status(), 303);
    let location = posted.headers()["location"].to_str().unwrap();
    assert!(location.starts_with("/authorize/resume"), "{location}");
}

/// A clock that is 10 s ahead is taken; the next test has one that is a minute ahead.
#[tokio::test]
async fn an_object_of_a_clock_that_is_a_little_ahead_is_taken() {
    let site = Site::start().await;
    let server = server_with(&site).await;
    for name in ["iat", "nbf"] {
        let mut claims = object_claims(&server, "strict");
        claims[name] = json!(server.clock.now() + 10);
        let object = ClientKey::of_signed().jwt(&claims);
        let parameters = [("client_id", "strict"), ("request", object.as_str())];
        let page = open(&server, &parameters).await;
        assert_eq!(
            (page.status.as_u16(), page.url.path()),
            (200, "/login"),
            "{name}"
        );
    }
}

/// Core section 6.1, Multiple Response Types section 3: the words of `response_type` are the same in any order, and others are
/// others.
#[tokio::test]
async fn the_order_of_response_types_is_no_difference() {
    let site = Site::start().await;
    let server = server_with(&site).await;
    let mut claims = object_claims(&server, "hybrid");
    for (inside, outside, is_same) in [
        ("code id_token", "id_token code", true),
        ("id_token code", "code id_token", true),
        ("code id_token", "code", false),
        ("code id_token", "code id_token id_token", false),
    ] {
        claims["response_type"] = inside.into();
        let object = ClientKey::of_signed().jwt(&claims);
        let parameters = [
            ("client_id", "hybrid"),
            ("response_type", outside),
            ("scope", "openid"),
            ("response_mode", "form_post"),
            ("request", &object),
        ];
        let page = open(&server, &parameters).await;
        assert_eq!(page.is_login(), is_same, "{inside}, {outside}: {page:?}");
        if !is_same {
            assert!(page.body.contains("invalid_request_object"), "{page:?}");
        }
    }
}

/// T39, T41, and Core section 6.1: an error, never ignored.
#[tokio::test]
async fn a_wrong_object_is_an_error_at_the_client() {
    let site = Site::start().await;
    let server = server_with(&site).await;
    let key = ClientKey::of_signed();
    let good = object_claims(&server, "strict");
    let now = server.clock.now();
    let mut objects = Vec::new();
    for (name, wrong) in [
        ("iss", json!("web")),
        ("aud", json!("https://other.example.org")),
        ("sub", json!("strict")),
        ("exp", json!(now)),
        ("exp", json!((now + 60).to_string())),
        ("iat", json!(now + 60)),
        ("nbf", json!(now + 60)),
        ("client_id", json!("web")),
        ("response_type", json!("none")),
        ("request", json!("e30.e30.AA")),
        ("request_uri", json!("https://strict.example.org/r")),
        ("scope", json!(["openid"])),
        ("a\0b", json!("1")),
    ] {
        let mut claims = good.clone();
        claims[name] = wrong;
        objects.push((name, key.jwt(&claims)));
    }
    for name in ["iss", "aud"] {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        objects.push((name, key.jwt(&claims)));
    }
    let attacker = ClientKey::new("EdDSA", "signed-1");
    for (name, value) in [
        ("typ", json!("at+jwt")),
        ("typ", json!("client-authentication+jwt")),
        ("crit", json!(["exp"])),
        ("jwk", attacker.jwk()),
        ("b64", json!(false)),
        ("jku", json!("https://attacker.example.org/keys")),
        ("x5u", json!("https://attacker.example.org/cert")),
        ("x5c", json!(["AAAA"])),
        ("kid", json!("other")),
        ("alg", json!("HS256")),
        ("alg", json!("ES256")),
    ] {
        let mut header = key.header();
        header[name] = value;
        objects.push((name, key.sign(&header, &good)));
        if name == "jwk" {
            objects.push((name, attacker.sign(&header, &good)));
        }
    }
    let whole = key.jwt(&good);
    let (input, _) = whole.rsplit_once('.').unwrap();
    let unsigned = key.sign(&json!({ "alg": "none" }), &good);
    let (without, _) = unsigned.rsplit_once('.').unwrap();
    objects.extend([
        ("forged", attacker.jwt(&good)),
        ("stripped", format!("{input}.")),
        ("none", format!("{without}.")),
        ("none, signed", unsigned.clone()),
        ("five parts", format!("{whole}.AA.AA")),
        ("nothing", "x".to_owned()),
        // T41: what proves the client elsewhere is no request.
        ("assertion", key.jwt(&assertion_claims(&server, "strict"))),
        (
            "shared",
            ClientKey::shared(key.jwk()["x"].as_str().unwrap()).jwt(&good),
        ),
    ]);
    for (what, object) in &objects {
        let page = open(
            &server,
            &[
                ("client_id", "strict"),
                ("redirect_uri", "https://strict.example.org/callback"),
                ("response_type", "code"),
                ("state", "outside"),
                ("request", object),
            ],
        )
        .await;
        let answered = sent(&page, "strict");
        assert_eq!(
            answered["error"], "invalid_request_object",
            "{what}: {answered:?}"
        );
        assert_eq!(answered["state"], "outside", "{what}");
    }
}

/// T5: neither side's word makes an address of the client's.
#[tokio::test]
async fn an_address_that_is_not_registered_gets_nothing() {
    let site = Site::start().await;
    let server = server_with(&site).await;
    let key = ClientKey::of_signed();
    let mut claims = object_claims(&server, "strict");
    claims["redirect_uri"] = "https://attacker.example.org/callback".into();
    let object = key.jwt(&claims);
    let page = open(&server, &[("client_id", "strict"), ("request", &object)]).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (400, "/authorize"));
    let forged = ClientKey::new("EdDSA", "signed-1").jwt(&object_claims(&server, "strict"));
    let page = open(
        &server,
        &[
            ("client_id", "strict"),
            ("redirect_uri", "https://attacker.example.org/callback"),
            ("request", &forged),
        ],
    )
    .await;
    assert_eq!((page.status.as_u16(), page.url.path()), (400, "/authorize"));
    // Whose object it is, the request says.
    let page = open(&server, &[("request", &object)]).await;
    assert_eq!(page.status, 400);
}

/// RFC 9101 section 10.5, and Core section 6.1 for those who registered nothing.
#[tokio::test]
async fn each_client_sends_what_it_registered_and_nothing_else() {
    let site = Site::start().await;
    let server = server_with(&site).await;
    let key = ClientKey::of_signed();
    let none = |client: &str| {
        let object = key.sign(&json!({ "alg": "none" }), &object_claims(&server, client));
        format!("{}.", object.rsplit_once('.').unwrap().0)
    };
    let signed = |client: &str| key.jwt(&object_claims(&server, client));
    let uri = format!("{}/object", site.url);
    for (client, more, error) in [
        (
            "strict",
            vec![
                ("scope", "openid".to_owned()),
                // Good but for being plain.
                ("code_challenge", CHALLENGE.to_owned()),
                ("code_challenge_method", "S256".to_owned()),
            ],
            Some("invalid_request"),
        ),
        (
            "strict",
            vec![("request", none("strict"))],
            Some("invalid_request_object"),
        ),
        ("unsigned", vec![("request", none("unsigned"))], None),
        (
            "unsigned",
            vec![("request", signed("unsigned"))],
            Some("invalid_request_object"),
        ),
        (
            "pinned",
            vec![("request", signed("pinned"))],
            Some("invalid_request_object"),
        ),
        (
            "pinned",
            vec![("request", none("pinned"))],
            Some("invalid_request_object"),
        ),
        // Who said nothing may do either, as a plain request may.
        ("byref", vec![("request", none("byref"))], None),
        ("byref", vec![("request", signed("byref"))], None),
        (
            "spa",
            vec![("request", signed("spa"))],
            Some("request_not_supported"),
        ),
        // Without keys, too; what nobody could verify is told aloud.
        ("spa", vec![("request", none("spa"))], None),
        (
            "spa",
            vec![("request", signed("spa"))],
            Some("request_not_supported"),
        ),
        (
            "spa",
            vec![("request_uri", uri.clone())],
            Some("request_uri_not_supported"),
        ),
        (
            "byref",
            vec![("request", signed("byref")), ("request_uri", uri.clone())],
            Some("invalid_request"),
        ),
    ] {
        let redirect_uri = format!("https://{client}.example.org/callback");
        let mut parameters = vec![
            ("client_id", client),
            ("response_type", "code"),
            ("redirect_uri", &redirect_uri),
        ];
        parameters.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
        let page = open(&server, &parameters).await;
        match error {
            Some(error) => assert_eq!(sent(&page, client)["error"], error, "{client} {more:?}"),
            None => assert_eq!(page.url.path(), "/login", "{client}: {page:?}"),
        }
    }
    // Core section 6.1: what stands in the object counts, and not a foreign address beside it.
    let object = none("spa");
    let page = open(
        &server,
        &[
            ("client_id", "spa"),
            ("response_type", "code"),
            ("redirect_uri", "https://elsewhere.example.org/callback"),
            ("request", &object),
        ],
    )
    .await;
    assert_eq!(page.url.path(), "/login", "{page:?}");
    // Twice is never once (T8).
    let object = signed("strict");
    let page = open(
        &server,
        &[
            ("client_id", "strict"),
            ("request", &object),
            ("request", &object),
        ],
    )
    .await;
    assert_eq!(sent(&page, "strict")["error"], "invalid_request");
}

/// Core section 6.2, T36.
#[tokio::test]
async fn an_object_by_reference_is_fetched_from_where_the_client_registered() {
    let site = Site::start().await;
    let server = server_with(&site).await;
    let set = |path: &str, kind: &'static str| {
        let object = ClientKey::of_signed().jwt(&object_claims(&server, "byref"));
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(object.as_bytes()));
        site.set(path, site::Page::Body(kind, object));
        hash
    };
    let ask = |uri: String| {
        let server = &server;
        async move {
            open(
                server,
                &[
                    ("client_id", "byref"),
                    ("redirect_uri", "https://byref.example.org/callback"),
                    ("request_uri", &uri),
                ],
            )
            .await
        }
    };
    let error = |page: &Page| sent(page, "byref")["error"].clone();
    set("/object", "application/oauth-authz-req+jwt");
    for times in 1..=2 {
        let page = ask(format!("{}/object", site.url)).await;
        assert_eq!(page.url.path(), "/login", "{page:?}");
        assert_eq!(
            site.hits("/object"),
            times,
            "nobody knows that it is the same"
        );
    }
    // What the fragment promises is kept; what it does not is whatever somebody made up.
    let one = set("/kept", "application/jwt");
    let made_up = "A".repeat(43);
    for (fragment, hits) in [
        (&one, 1),
        (&one, 1),
        (&made_up, 2),
        (&made_up, 3),
        (&one, 3),
    ] {
        let page = ask(format!("{}/kept#{fragment}", site.url)).await;
        assert_eq!(page.url.path(), "/login", "{page:?}");
        assert_eq!(site.hits("/kept"), hits, "{fragment}");
    }
    server.clock.advance(1);
    let two = set("/kept", "application/jwt");
    assert_ne!(one, two);
    for (fragment, hits) in [(&two, 4), (&two, 4), (&one, 4)] {
        let page = ask(format!("{}/kept#{fragment}", site.url)).await;
        assert_eq!(page.url.path(), "/login", "{page:?}");
        assert_eq!(site.hits("/kept"), hits, "{fragment}");
    }
    for unregistered in [
        format!("{}/other", site.url),
        format!("{}/object?a=b", site.url),
        format!("{}/object/", site.url),
        "https://attacker.example.org/object".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        assert_eq!(error(&ask(unregistered).await), "invalid_request_uri");
    }
    assert_eq!(site.hits("/other"), 0);
    set("/object", "text/html");
    assert_eq!(
        error(&ask(format!("{}/object", site.url)).await),
        "invalid_request_uri"
    );
    server.clock.advance(30);
    site.set(
        "/object",
        site::Page::Body("application/jwt", "nonsense".to_owned()),
    );
    let page = ask(format!("{}/object", site.url)).await;
    assert_eq!(error(&page), "invalid_request_object");
}

/// The keys of a public client too may be where it says, and are fetched again when they change.
#[tokio::test]
async fn an_object_is_verified_with_the_keys_that_the_client_has_now() {
    let site = Site::start().await;
    let server = server_with(&site).await;
    for kid in ["first", "second"] {
        let key = ClientKey::new("ES256", kid);
        site.set_json("/jwks", &jwks(&[&key]));
        server.clock.advance(5);
        let object = key.jwt(&object_claims(&server, "published"));
        let page = open(&server, &[("client_id", "published"), ("request", &object)]).await;
        assert_eq!(page.url.path(), "/login", "{kid}: {page:?}");
    }
}

/// RFC 9126 section 3: what is pushed may be an object, and is held to the same.
#[tokio::test]
async fn an_object_can_be_pushed() {
    let site = Site::start().await;
    let server = server_with(&site).await;
    let key = ClientKey::of_signed();
    let push = |object: String| {
        let assertion = key.assertion(&server, "signed");
        let form = [
            (
                "client_assertion_type".to_owned(),
                ASSERTION_TYPE.to_owned(),
            ),
            ("client_assertion".to_owned(), assertion),
            ("request".to_owned(), object),
        ];
        answer(http_client().post(server.url("/par")).form(&form))
    };
    let pushed = push(key.jwt(&object_claims(&server, "signed"))).await;
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let uri = pushed.text("request_uri");
    let parameters = [("client_id", "signed"), ("request_uri", uri)];
    let page = Browser::new()
        .log_in_as(url(&server, &parameters), JO_SMITH)
        .await;
    assert_eq!(sent(&page, "signed")["state"], "inside");
    let forged = ClientKey::new("EdDSA", "signed-1").jwt(&object_claims(&server, "signed"));
    push(forged)
        .await
        .assert_error(400, "invalid_request_object");
    let another = key.jwt(&object_claims(&server, "strict"));
    push(another)
        .await
        .assert_error(400, "invalid_request_object");
    // RFC 9126 section 2.3: it would be longer as it is kept than any browser could bring it.
    let mut long = object_claims(&server, "signed");
    long["x"] = "\u{e9}".repeat(3000).into();
    push(key.jwt(&long))
        .await
        .assert_error(400, "invalid_request");
    // T49: here as at the authorization endpoint.
    let mut nul = object_claims(&server, "signed");
    nul["x\0"] = "1".into();
    push(key.jwt(&nul))
        .await
        .assert_error(400, "invalid_request_object");
    let by_id = [
        ("client_id", "strict"),
        ("response_type", "code"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let plain = answer(http_client().post(server.url("/par")).form(&by_id)).await;
    plain.assert_error(400, "invalid_request");
}

/// RFC 7518 section 3.1, RFC 8037, RFC 9864 section 2.2: each algorithm that discovery names.
#[tokio::test]
async fn every_algorithm_signs_an_object() {
    let site = Site::start().await;
    let server = server_with(&site).await;
    let keys = [
        ClientKey::new("RS256", "rsa"),
        ClientKey::new("PS256", "pss"),
        ClientKey::new("ES256", "ec"),
        ClientKey::new("EdDSA", "ed"),
    ];
    site.set_json("/jwks", &jwks(&keys.each_ref()));
    for (index, alg) in [
        (0, "RS256"),
        (1, "PS256"),
        (2, "ES256"),
        (3, "EdDSA"),
        (3, "Ed25519"),
    ] {
        let mut header = keys[index].header();
        header["alg"] = alg.into();
        let object = keys[index].sign(&header, &object_claims(&server, "published"));
        let page = open(&server, &[("client_id", "published"), ("request", &object)]).await;
        assert_eq!(page.url.path(), "/login", "{alg}: {page:?}");
    }
}

/// T38: the address of an app's request object is in every browser that logs in. Whoever opens it again and again uses up
/// what their own address may ask for: neither other people's logins nor the keys of the app.
#[tokio::test]
async fn strangers_do_not_use_up_what_an_app_has_fetched() {
    let site = Site::start().await;
    let server = server_with(&site).await;
    site.set_json("/jwks", &jwks(&[&ClientKey::of_signed()]));
    let set = |object: String| site.set("/object", site::Page::Body("application/jwt", object));
    let uri = format!("{}/object", site.url);
    let parameters = [
        ("client_id", "fetched"),
        ("redirect_uri", "https://fetched.example.org/callback"),
        ("request_uri", uri.as_str()),
    ];
    let url = url(&server, &parameters);
    let from = |address: &'static str| {
        let request = http_client().get(&url).header("x-forwarded-for", address);
        async move {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 303);
            response.headers()["location"].to_str().unwrap().to_owned()
        }
    };
    set("nonsense".to_owned());
    for _ in 0..33 {
        let location = from("192.0.2.1").await;
        assert!(location.contains("error=invalid_"), "{location}");
    }
    assert_eq!(site.hits("/object"), 30);
    let assertion = ClientKey::of_signed().assertion(&server, "fetched");
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion.as_str()),
    ];
    let tokens = answer(http_client().post(server.url("/token")).form(&form)).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(site.hits("/jwks"), 1);
    set(ClientKey::of_signed().jwt(&object_claims(&server, "fetched")));
    let location = from("192.0.2.2").await;
    assert!(location.starts_with("/login?"), "{location}");
    let location = from("192.0.2.1").await;
    assert!(location.contains("error=invalid_request_uri"), "{location}");
}
