//! Signing keys: which token is one of ours, and how keys follow one another (RFC 8725, RFC 9068; T39 to T41, T47).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portico::app;
use portico::keys::signer::{Signer, generate};
use portico::keys::{KeyRing, Purpose};
use portico::model::signing_key::SigningKeyRecord;
use portico::protocol::ids::KeyId;
use portico::protocol::jws::{SigningAlgorithm, TokenKind};
use serde_json::{Value, json};

use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{answer, claims, header};
use crate::harness::server::{START, TestServer};

/// The JWKS of a node.
async fn jwks(issuer: &str) -> Vec<Value> {
    let jwks = answer(http_client().get(format!("{issuer}/jwks"))).await;
    assert_eq!(jwks.status, 200);
    jwks.body["keys"].as_array().unwrap().clone()
}

async fn kids(issuer: &str) -> Vec<String> {
    let keys = jwks(issuer).await;
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

fn kid(token: &str) -> String {
    header(token)["kid"].as_str().unwrap().to_owned()
}

/// The key that signs with `algorithm`, as whoever stole database and master key would have it.
async fn stolen(server: &TestServer, algorithm: SigningAlgorithm) -> (SigningKeyRecord, Signer) {
    let secrets = app::open_secrets(&server.load_config()).unwrap();
    let keys = server.store.list_signing_keys().await.unwrap();
    let record = keys
        .into_iter()
        .find(|key| key.algorithm == algorithm)
        .unwrap();
    let pkcs8 = secrets
        .open(Purpose::SigningKey, record.kid.as_str(), &record.sealed)
        .unwrap();
    let signer = Signer::parse(record.kid.clone(), algorithm, &pkcs8).unwrap();
    (record, signer)
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn signed(signer: &Signer, message: &str) -> String {
    let signature = URL_SAFE_NO_PAD.encode(signer.sign(message.as_bytes()).unwrap());
    format!("{message}.{signature}")
}

/// T39, T41: with a signature of our own key, and still refused for its header; or with a key of somebody else's.
#[tokio::test]
async fn a_token_with_another_header_or_key_is_refused() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid").await;
    let token = tokens.text("access_token");
    let (own_header, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let (record, signer) = stolen(&server, SigningAlgorithm::RS256).await;
    let control = signed(&signer, &format!("{own_header}.{payload}"));
    assert_eq!(
        server.userinfo(&control).await.status,
        200,
        "the forger's tools work"
    );

    let kid = record.kid.as_str();
    let evil_kid = KeyId::new(kid);
    let evil = Signer::parse(
        evil_kid,
        SigningAlgorithm::RS256,
        &generate(SigningAlgorithm::RS256).unwrap(),
    )
    .unwrap();
    let good = json!({"typ": "at+jwt", "alg": "RS256", "kid": kid});
    let with = |name: &str, value: Value| {
        let mut header = good.clone();
        header[name] = value;
        header
    };
    let headers = vec![
        with("typ", json!("JWT")),
        with("typ", json!("jwt")),
        with("typ", json!("application/at+jwt")),
        with("typ", json!("logout+jwt")),
        with("typ", json!("dpop+jwt")),
        with("typ", json!("token-introspection+jwt")),
        with("alg", json!("PS256")),
        with("alg", json!("RS512")),
        with("alg", json!("ES256")),
        with("kid", json!("unknown")),
        with("kid", json!("")),
        with("kid", json!(null)),
        with("kid", json!(["a"])),
        with("jwk", evil.public_jwk().clone()),
        with("jku", json!("https://evil.example/jwks")),
        with("x5u", json!("https://evil.example/cert")),
        with("x5c", json!(["MAA="])),
        with("crit", json!(["exp"])),
        with("crit", json!(["b64"])),
        json!({"typ": "at+jwt", "alg": "RS256", "kid": kid, "crit": ["b64"], "b64": false}),
        with("zip", json!("DEF")),
        with("cty", json!("JWT")),
        json!([good]),
        json!({"alg": "RS256"}),
    ];
    for header in &headers {
        let forged = signed(&signer, &format!("{}.{payload}", encode(header)));
        let refused = server.userinfo(&forged).await;
        assert_eq!(refused.status, 401, "{header}");
        assert_eq!(refused.body["error"], "invalid_token");
        // The attacker's own key, named in the header or under our kid.
        let forged = signed(&evil, &format!("{}.{payload}", encode(header)));
        assert_eq!(server.userinfo(&forged).await.status, 401, "{header}");
    }
    let forged = signed(&evil, &format!("{own_header}.{payload}"));
    assert_eq!(server.userinfo(&forged).await.status, 401);

    for alg in ["none", "None", "NONE", "HS256", ""] {
        let header = encode(&with("alg", json!(alg)));
        for signature in ["", "AA", signature] {
            let forged = format!("{header}.{payload}.{signature}");
            assert_eq!(server.userinfo(&forged).await.status, 401, "{alg}");
        }
    }
    // HS256 with what everybody can read as its secret: the modulus, the JWK, the PEM's inside.
    let jwk = jwks(&server.issuer)
        .await
        .into_iter()
        .find(|key| key["kid"] == kid)
        .unwrap();
    let modulus = jwk["n"].as_str().unwrap();
    let message = format!("{}.{payload}", encode(&with("alg", json!("HS256"))));
    for secret in [
        modulus.as_bytes().to_vec(),
        URL_SAFE_NO_PAD.decode(modulus).unwrap(),
        jwk.to_string().into_bytes(),
        STANDARD.encode(modulus).into_bytes(),
        Vec::new(),
    ] {
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &secret),
            message.as_bytes(),
        );
        let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
        assert_eq!(server.userinfo(&forged).await.status, 401);
    }
    // An ES256 key signs ID tokens here, and its signature is no RS256 one.
    let (_, es256) = stolen(&server, SigningAlgorithm::ES256).await;
    let forged = signed(&es256, &format!("{own_header}.{payload}"));
    assert_eq!(server.userinfo(&forged).await.status, 401);
}

/// T40: every claim there, of the right type and value, though the signature is ours.
#[tokio::test]
async fn a_token_whose_claims_are_not_what_they_must_be_is_refused() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid").await;
    let token = tokens.text("access_token");
    let good = claims(token);
    let secrets = app::open_secrets(&server.load_config()).unwrap();
    let keys = server.store.list_signing_keys().await.unwrap();
    let ring = KeyRing::load(keys, &secrets).unwrap();
    let sign = |claims: &Value| {
        let kind = TokenKind::AccessToken;
        ring.sign(kind, SigningAlgorithm::RS256, claims, START)
            .unwrap()
    };
    assert_eq!(
        server.userinfo(&sign(&good)).await.status,
        200,
        "the forger's tools work"
    );
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let mut forged = vec![
        with("exp", json!(START)),
        with("exp", json!((START + 600).to_string())),
        with("exp", json!(1_700_000_600.5)),
        with("exp", json!(null)),
        with("exp", json!([START + 600])),
        with("exp", json!(-1)),
        with("iat", json!(START + 60)),
        with("iat", json!(START.to_string())),
        with("iss", json!("https://evil.example")),
        with("iss", json!(format!("{}/", server.issuer))),
        with("iss", json!([server.issuer])),
        with("iss", json!(null)),
        with("aud", json!("https://api.example.org")),
        with("aud", json!([])),
        with("aud", json!([["x"]])),
        with("aud", json!(1)),
        with("sub", json!("somebody else")),
        with("sub", json!(1)),
        with("sub", json!(null)),
        with("client_id", json!("web")),
        with("client_id", json!(null)),
        with("family", json!("unknown")),
        with("scope", json!(["openid"])),
        json!([good]),
        json!("openid"),
    ];
    for required in [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "jti",
        "client_id",
        "family",
    ] {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(required);
        forged.push(without);
    }
    for claims in &forged {
        let refused = server.userinfo(&sign(claims)).await;
        assert_eq!(refused.status, 401, "{claims}");
    }
    let both = with("aud", json!(["https://api.example.org", server.issuer]));
    assert_eq!(server.userinfo(&sign(&both)).await.status, 200);
}

/// T41: an ID token names a person; an access token does not, nor does a forged one.
#[tokio::test]
async fn only_an_id_token_is_a_hint() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid").await;
    let (_, signer) = stolen(&server, SigningAlgorithm::RS256).await;
    let id_token = tokens.text("id_token");
    let (_, rest) = id_token.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    let kid = kid(id_token);
    let of_kind = |typ: &str| {
        let header = json!({"typ": typ, "alg": "RS256", "kid": kid});
        signed(&signer, &format!("{}.{payload}", encode(&header)))
    };
    let elsewhere = server.tokens("post", "openid").await;
    let mut browser = Browser::new();
    for (hint, error) in [
        (id_token, "login_required"),
        (tokens.text("access_token"), "invalid_request"),
        (&of_kind("at+jwt"), "invalid_request"),
        (&of_kind("logout+jwt"), "invalid_request"),
        (
            &format!("{}.{payload}.", encode(&json!({"alg": "none"}))),
            "invalid_request",
        ),
        (&id_token[..id_token.len() - 1], "invalid_request"),
        // Issued to another client.
        (elsewhere.text("id_token"), "invalid_request"),
    ] {
        let changes = [("id_token_hint", hint), ("prompt", "none")];
        let page = browser.get(server.authorize_url("spa", &changes)).await;
        assert_eq!(page.answer()["error"], error, "{hint}");
    }
    // A hint may be old, not from the future of its key.
    server.clock.advance(3 * 24 * 60 * 60);
    let changes = [("id_token_hint", id_token), ("prompt", "none")];
    let page = browser.get(server.authorize_url("spa", &changes)).await;
    assert_eq!(page.answer()["error"], "login_required");
}

/// RFC 7517 section 4: what everybody may know of a key, and nothing else.
#[tokio::test]
async fn the_jwks_holds_public_keys_only() {
    let server = TestServer::start().await;
    let keys = jwks(&server.issuer).await;
    let mut algorithms: Vec<&str> = keys
        .iter()
        .map(|key| key["alg"].as_str().unwrap())
        .collect();
    algorithms.sort_unstable();
    assert_eq!(algorithms, ["ES256", "RS256"]);
    for key in &keys {
        assert_eq!(key["use"], "sig");
        let mut names: Vec<&str> = key
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        match key["kty"].as_str().unwrap() {
            "RSA" => assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]),
            "EC" => assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]),
            other => panic!("{other}"),
        }
    }
}

/// Has every node read the keys again, which housekeeping does by itself: the one that runs by a restart, and another
/// that joins. Gives the addresses of both.
async fn all_nodes_know(server: &mut TestServer) -> [String; 2] {
    server.restart().await;
    let other = server.add_node().await;
    [server.issuer.clone(), format!("http://{other}")]
}

async fn rotate(server: &TestServer, at_once: bool) -> (String, i64) {
    let now = server.clock.now();
    let rs256 = SigningAlgorithm::RS256;
    let rotated = app::rotate(&server.load_config(), &server.store, rs256, at_once, now).await;
    let (kid, active_at) = rotated.unwrap().unwrap();
    (kid.to_string(), active_at)
}

/// T47: announced to all nodes, signing later, and what was signed before stays good as long as it lasts.
#[tokio::test]
async fn a_key_is_announced_then_signs_then_verifies_and_then_goes() {
    let mut server = TestServer::start().await;
    let first = kid(server.tokens("spa", "openid").await.text("id_token"));

    let (second, active_at) = rotate(&server, false).await;
    assert_eq!(active_at, START + 3600);
    let nodes = all_nodes_know(&mut server).await;
    for node in &nodes {
        let published = kids(node).await;
        assert!(
            published.contains(&first) && published.contains(&second),
            "{node}"
        );
    }
    server.clock.advance(3599);
    let before = server.tokens("spa", "openid").await;
    for token in ["id_token", "access_token"] {
        assert_eq!(kid(before.text(token)), first, "announced keys do not sign");
    }
    // Nor do they verify: they have signed nothing yet.
    let secrets = app::open_secrets(&server.load_config()).unwrap();
    let records = server.store.list_signing_keys().await.unwrap();
    let ring = KeyRing::load(records, &secrets).unwrap();
    let early = ring.sign(
        TokenKind::AccessToken,
        SigningAlgorithm::RS256,
        &claims(before.text("access_token")),
        active_at,
    );
    let early = early.unwrap();
    assert_eq!(kid(&early), second);
    assert_eq!(server.userinfo(&early).await.status, 401);

    server.clock.advance(1);
    let after = server.tokens("spa", "openid").await;
    for token in ["id_token", "access_token"] {
        assert_eq!(kid(after.text(token)), second);
    }
    for node in &nodes {
        for token in [before.text("access_token"), after.text("access_token")] {
            let request = http_client()
                .get(format!("{node}/userinfo"))
                .bearer_auth(token);
            assert_eq!(answer(request).await.status, 200, "{node}");
        }
    }
    // An ID token may come back as a hint as long as the longest session lasts.
    let week = 7 * 24 * 60 * 60;
    server.clock.advance(week - 1);
    assert!(kids(&server.issuer).await.contains(&first));
    let mut browser = Browser::new();
    let hint = [
        ("id_token_hint", before.text("id_token")),
        ("prompt", "none"),
    ];
    let url = server.authorize_url("spa", &hint);
    assert_eq!(browser.get(&url).await.answer()["error"], "login_required");
    server.clock.advance(1);
    assert!(!kids(&server.issuer).await.contains(&first));
    assert_eq!(browser.get(&url).await.answer()["error"], "invalid_request");
}

/// For a key that has leaked: the successor signs at once, on every node, and the old key is worth nothing.
#[tokio::test]
async fn a_leaked_key_is_replaced_at_once() {
    let mut server = TestServer::start().await;
    let before = server.tokens("spa", "openid").await;
    let leaked = kid(before.text("id_token"));
    let (second, _) = rotate(&server, true).await;
    let nodes = all_nodes_know(&mut server).await;
    let tokens = server.tokens("spa", "openid").await;
    assert_eq!(kid(tokens.text("id_token")), second);
    assert_eq!(kid(tokens.text("access_token")), second);
    // What the thief could have signed opens nothing, and whoever had it in good faith logs in again.
    for node in &nodes {
        assert!(!kids(node).await.contains(&leaked));
        let token = before.text("access_token");
        let request = http_client()
            .get(format!("{node}/userinfo"))
            .bearer_auth(token);
        assert_eq!(answer(request).await.status, 401, "{node}");
    }
    // The other algorithm keeps its key.
    let es256 = server.tokens("post", "openid").await;
    assert_ne!(kid(es256.text("id_token")), second);
}

/// A restart reads the keys from the database; nothing is signed by a key that a relying party cannot know.
#[tokio::test]
async fn a_restart_keeps_the_keys() {
    let mut server = TestServer::start().await;
    let before = server.tokens("spa", "openid").await;
    let published = kids(&server.issuer).await;
    server.restart().await;
    assert_eq!(kids(&server.issuer).await, published);
    let userinfo = server.userinfo(before.text("access_token")).await;
    assert_eq!(userinfo.status, 200);
}
