//! The tokens themselves: what an ID token says, what a refresh gives, and which text is a token (OpenID Connect Core
//! sections 2, 3.1.3 and 12, RFC 6749 section 6; T15, T17, T23).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use portico::simulator::people;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, answer, claims, header};
use crate::harness::server::{START, TestServer};

const OFFLINE: &str = "openid profile email offline_access";

/// Verifies against `/jwks` with another implementation than the server signs with.
pub(crate) async fn verified(server: &TestServer, token: &str, algorithm: Algorithm) -> Value {
    let jwks = answer(http_client().get(server.url("/jwks"))).await.body;
    let jwks: JwkSet = serde_json::from_value(jwks).unwrap();
    let kid = header(token)["kid"].as_str().unwrap().to_owned();
    let key = jwks.find(&kid).unwrap();
    let mut validation = Validation::new(algorithm);
    // The test's clock stands in the past; times are compared below.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_jwk(key).unwrap();
    jsonwebtoken::decode(token, &key, &validation)
        .unwrap()
        .claims
}

/// Core sections 2 and 3.1.3.6: every claim, no other, for both algorithms.
#[tokio::test]
async fn an_id_token_says_who_logged_in_when_and_how() {
    let server = TestServer::start().await;
    for (client, algorithm) in [("spa", Algorithm::RS256), ("post", Algorithm::ES256)] {
        let code = server
            .code(client, &[("nonce", "n\"ö+ 1"), ("scope", "openid email")])
            .await;
        server.clock.advance(30);
        let tokens = server.redeem(client, &code, &[]).await;
        let token = tokens.text("id_token");
        let header = header(token);
        assert_eq!(header["alg"], json!(algorithm));
        assert_eq!(header["typ"], "JWT");
        let claims = verified(&server, token, algorithm).await;
        let names: BTreeSet<&str> = claims
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let expected = [
            "amr",
            "at_hash",
            "aud",
            "auth_time",
            "exp",
            "iat",
            "iss",
            "nonce",
            "sid",
            "sub",
        ];
        assert_eq!(names, BTreeSet::from(expected));
        assert_eq!(claims["iss"], server.issuer);
        assert_eq!(claims["aud"], client);
        assert_eq!(claims["nonce"], "n\"ö+ 1", "unchanged");
        let now = server.clock.now();
        assert_eq!(claims["auth_time"], now - 30);
        assert_eq!(
            (&claims["iat"], &claims["exp"]),
            (&json!(now), &json!(now + 600))
        );
        let digest = Sha256::digest(tokens.text("access_token"));
        assert_eq!(claims["at_hash"], URL_SAFE_NO_PAD.encode(&digest[..16]));
        let sub = claims["sub"].as_str().unwrap();
        assert!(!sub.is_empty() && sub.len() <= 255 && sub.is_ascii());
        let access_token = verified(&server, tokens.text("access_token"), Algorithm::RS256).await;
        assert_eq!(access_token["sub"], sub);
        assert_eq!(access_token["aud"], server.issuer);
        assert_eq!(access_token["client_id"], client);
    }
}

/// Core section 2: no nonce was sent, none comes back; section 8: one person is one subject.
#[tokio::test]
async fn the_subject_is_the_person_whoever_asks() {
    let server = TestServer::start().await;
    let mut subjects = BTreeSet::new();
    for client in ["spa", "web", "post"] {
        let code = server.code(client, &[("nonce", "")]).await;
        let tokens = server.redeem(client, &code, &[]).await;
        let claims = claims(tokens.text("id_token"));
        assert!(claims.get("nonce").is_none());
        subjects.insert(claims["sub"].as_str().unwrap().to_owned());
    }
    assert_eq!(subjects.len(), 1);
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    let page = browser.log_in_as(url, people::ZOE).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    let zoe = claims(tokens.text("id_token"));
    assert!(!subjects.contains(zoe["sub"].as_str().unwrap()));
}

/// Core section 12.2: of a refreshed ID token, what must be the same is.
#[tokio::test]
async fn a_refreshed_id_token_tells_of_the_same_login() {
    let server = TestServer::start().await;
    let first = server.tokens("spa", OFFLINE).await;
    server.clock.advance(500);
    let second = server.refresh("spa", first.text("refresh_token")).await;
    assert_eq!(second.status, 200);
    assert_eq!(second.headers["cache-control"], "no-store");
    let (before, after) = (
        claims(first.text("id_token")),
        claims(second.text("id_token")),
    );
    for same in ["iss", "sub", "aud", "auth_time", "sid", "amr"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!(after["iat"], START + 500);
    assert!(after.get("nonce").is_none());
    let digest = Sha256::digest(second.text("access_token"));
    assert_eq!(after["at_hash"], URL_SAFE_NO_PAD.encode(&digest[..16]));
}

async fn refresh_for(server: &TestServer, tokens: &Answer, scope: &str) -> Answer {
    let parameters = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens.text("refresh_token")),
        ("scope", scope),
    ];
    server.token("spa", &parameters).await
}

/// RFC 6749 section 6: less for this access token, and all of it again for the next.
#[tokio::test]
async fn what_a_narrowed_refresh_gives_opens_less() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid email offline_access").await;
    let less = refresh_for(&server, &tokens, "openid").await;
    assert_eq!(claims(less.text("access_token"))["scope"], "openid");
    let userinfo = server.userinfo(less.text("access_token")).await;
    assert!(userinfo.body.get("email").is_none());
    let without = refresh_for(&server, &less, "email").await;
    assert_eq!(without.text("scope"), "email");
    assert!(without.body.get("id_token").is_none());
    let refused = server.userinfo(without.text("access_token")).await;
    assert_eq!(refused.status, 403);
    let all = refresh_for(&server, &without, "").await;
    assert_eq!(all.text("scope"), "email offline_access openid");
}

/// The end of the registration of `spa`.
const SCOPE: &str =
    "scope = \"openid profile email offline_access\"\n\n[[clients]]\nclient_id = \"web\"";

/// T17.
#[tokio::test]
async fn a_scope_taken_from_the_client_is_gone_at_the_next_refresh() {
    let mut server = TestServer::start().await;
    let tokens = server.tokens("spa", OFFLINE).await;
    server.edit_config(SCOPE, &SCOPE.replace(" email", ""));
    server.restart().await;
    let refreshed = server.refresh("spa", tokens.text("refresh_token")).await;
    assert_eq!(refreshed.text("scope"), "offline_access openid profile");
    let userinfo = server.userinfo(refreshed.text("access_token")).await;
    assert_eq!(userinfo.body["name"], "Jo Smith");
    assert!(userinfo.body.get("email").is_none());
    // What was granted once and is withdrawn now is not more than was granted, but nothing is left to give.
    let refused = refresh_for(&server, &refreshed, "email").await;
    refused.assert_error(400, "invalid_scope");
}

/// T15: the limits hold at every refresh, not only at the login.
#[tokio::test]
async fn the_limits_of_a_client_hold_when_it_refreshes() {
    let mut server = TestServer::start().await;
    let tokens = server.tokens("spa", OFFLINE).await;
    for thief in ["staff-app", "web"] {
        let refused = server.refresh(thief, tokens.text("refresh_token")).await;
        refused.assert_error(400, "invalid_grant");
    }
    let client = "client_id = \"spa\"";
    server.edit_config(client, &format!("{client}\nupstreams = [\"staff\"]"));
    server.restart().await;
    let refused = server.refresh("spa", tokens.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
    server.edit_config("upstreams = [\"staff\"]\nclient_name", "client_name");
    server.restart().await;
    let tokens = server.refresh("spa", tokens.text("refresh_token")).await;
    assert_eq!(tokens.status, 200, "a refusal spends nothing");

    let grants = "grant_types = [\"authorization_code\", \"refresh_token\"]\n";
    server.edit_config(
        &format!("{grants}{SCOPE}"),
        &SCOPE.replace(" offline_access", ""),
    );
    server.restart().await;
    let refused = server.refresh("spa", tokens.text("refresh_token")).await;
    refused.assert_error(400, "unauthorized_client");
    let tokens = server.tokens("spa", "openid").await;
    assert!(tokens.body.get("refresh_token").is_none());
}

/// T23: neither shortened, nor lengthened, nor written otherwise.
#[tokio::test]
async fn only_the_exact_text_of_a_token_is_the_token() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid").await;
    let token = tokens.text("access_token");
    let (start, last) = token.split_at(token.len() - 1);
    let sibling = char::from(last.as_bytes()[0] ^ 1);
    let middle = token.len() / 2;
    let swapped = if token.as_bytes()[middle] == b'A' {
        "B"
    } else {
        "A"
    };
    let (message, signature) = token.rsplit_once('.').unwrap();
    for other in [
        start.to_owned(),
        format!("{start}{sibling}"),
        format!("{token}="),
        format!("{token}A"),
        format!("{token}."),
        format!("{token}.{token}"),
        format!("A{token}"),
        format!("{}{swapped}{}", &token[..middle], &token[middle + 1..]),
        token.replacen('.', "", 1),
        token.replacen('.', "..", 1),
        message.to_owned(),
        format!("{message}."),
        format!("{message}.{}", signature.replace(['-', '_'], "+")),
        token.to_lowercase(),
    ] {
        let refused = server.userinfo(&other).await;
        assert_eq!(refused.status, 401, "{other}");
    }
    assert_eq!(server.userinfo(token).await.status, 200);
}
