//! Tokens that somebody else made up, some of them with our own key: which token is one of ours, and for what
//! (RFC 8725, RFC 9068 section 4; T39 to T41).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portico::app;
use portico::keys::signer::{Signer, generate};
use portico::keys::{KeyRing, Purpose};
use portico::model::signing_key::SigningKeyRecord;
use portico::protocol::ids::KeyId;
use portico::protocol::jws::{SigningAlgorithm, TokenKind};
use portico::simulator::people::JO_SMITH;
use serde_json::{Value, json};

use crate::harness::browser::Browser;
use crate::harness::relying_party::{claims, header};
use crate::harness::server::{START, TestServer};
use crate::keys::jwks;

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
    let kid = header(id_token)["kid"].clone();
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

/// T29, T39, T41: a hint is an ID token of ours letter by letter: what brings a key along, names one elsewhere, wants an extension, is
/// of another kind or signed with what everybody can read names nobody, at the login and at the logout.
#[tokio::test]
async fn a_hint_with_another_header_names_nobody() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    let page = browser.log_in_as(url, JO_SMITH).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    let id_token = tokens.text("id_token");
    let (own_header, rest) = id_token.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    let (_, signer) = stolen(&server, SigningAlgorithm::RS256).await;
    let header_of = header;
    let kid = header(id_token)["kid"].clone();
    let evil = generate(SigningAlgorithm::RS256).unwrap();
    let evil_kid = KeyId::new(kid.as_str().unwrap());
    let evil = Signer::parse(evil_kid, SigningAlgorithm::RS256, &evil).unwrap();
    let good = json!({"typ": "JWT", "alg": "RS256", "kid": kid});
    let mut hints = vec![signed(&evil, &format!("{own_header}.{payload}"))];
    for (name, value) in [
        ("jwk", evil.public_jwk().clone()),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MAA="])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("client-authentication+jwt")),
        ("typ", json!("token-introspection+jwt")),
        ("typ", json!("anything")),
        ("typ", json!(null)),
        ("alg", json!("none")),
        ("alg", json!("PS256")),
        ("alg", json!("ES256")),
        ("kid", json!("unknown")),
    ] {
        let mut header = good.clone();
        header[name] = value;
        let message = format!("{}.{payload}", encode(&header));
        hints.extend([signed(&signer, &message), signed(&evil, &message)]);
    }
    let jwk = jwks(&server.issuer).await;
    let jwk = jwk.into_iter().find(|key| key["kid"] == kid).unwrap();
    let mut header = good.clone();
    header["alg"] = "HS256".into();
    let message = format!("{}.{payload}", encode(&header));
    for secret in [
        jwk["n"].to_string(),
        jwk["n"].as_str().unwrap().to_owned(),
        jwk.to_string(),
    ] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, message.as_bytes());
        hints.push(format!(
            "{message}.{}",
            URL_SAFE_NO_PAD.encode(tag.as_ref())
        ));
    }
    for hint in &hints {
        let changes = [("id_token_hint", hint.as_str()), ("prompt", "none")];
        let page = browser.get(server.authorize_url("spa", &changes)).await;
        assert_eq!(page.answer()["error"], "invalid_request", "{hint}");
        let logout = server.url(&format!("/end_session?id_token_hint={hint}"));
        let page = browser.open(logout).await;
        // One whose key is gone is no hint at all: the person is asked.
        let lost = header_of(hint)["kid"] == "unknown";
        assert_eq!(
            page.status.as_u16(),
            if lost { 200 } else { 400 },
            "{hint}: {}",
            page.body
        );
    }
    // The session is as it was, and the true one still ends it unasked.
    assert_eq!(
        server.userinfo(tokens.text("access_token")).await.status,
        200
    );
    let logout = server.url(&format!("/end_session?id_token_hint={id_token}"));
    browser.open(logout).await;
    assert_eq!(
        server.userinfo(tokens.text("access_token")).await.status,
        401
    );
}
