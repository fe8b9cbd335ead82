//! How signing keys follow one another, and what everybody may know of them (RFC 7517; T47).

use portico::app;
use portico::clock::SKEW;
use portico::keys::KeyRing;
use portico::protocol::jws::{SigningAlgorithm, TokenKind};
use serde_json::Value;

use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{answer, claims, header};
use crate::harness::server::{START, TestServer};

/// The JWKS of a node.
pub(crate) async fn jwks(issuer: &str) -> Vec<Value> {
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
    server.clock.advance(3600 - SKEW - 1);
    let before = server.tokens("spa", "openid").await;
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

    server.clock.advance(SKEW);
    let before = server.tokens("spa", "openid").await;
    for token in ["id_token", "access_token"] {
        assert_eq!(kid(before.text(token)), first, "announced keys do not sign");
    }
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
    // An ID token may come back as a hint as long as the longest session lasts: that of who asked to be kept signed in.
    let longest = 90 * 24 * 60 * 60;
    server.clock.advance(longest - 1);
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
