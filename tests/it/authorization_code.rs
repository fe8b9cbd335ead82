//! The authorization code flow, end to end, and what a code is bound to (RFC 6749 section 4.1, RFC 7636; T10 to T13).

use std::collections::BTreeSet;

use portico::simulator::people;

use crate::harness::browser::Browser;
use crate::harness::relying_party::claims;
use crate::harness::server::{START, TestServer};

#[tokio::test]
async fn a_member_logs_in_and_the_app_gets_every_token() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[("scope", "openid profile email offline_access")]);
    let page = browser.log_in_as(url, people::JO_SMITH).await;
    assert_eq!(page.status, 303);
    let answer = page.answer();
    assert_eq!(answer["state"], "the-state");
    assert_eq!(answer["iss"], server.issuer, "RFC 9207");
    let tokens = server.redeem("spa", &answer["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.body["token_type"], "Bearer");
    assert_eq!(tokens.body["expires_in"], 600);
    assert_eq!(tokens.headers["cache-control"], "no-store");
    let id_token = claims(tokens.text("id_token"));
    assert_eq!(id_token["iss"], server.issuer.as_str());
    assert_eq!(id_token["aud"], "spa");
    assert_eq!(id_token["nonce"], "the-nonce");
    assert_eq!(id_token["auth_time"], START);
    assert_eq!(id_token["amr"], serde_json::json!(["pwd"]));
    assert!(id_token["sid"].is_string() && id_token["at_hash"].is_string());
    assert!(
        id_token.get("email").is_none(),
        "what a scope opens is at userinfo"
    );
    let access_token = claims(tokens.text("access_token"));
    let names: BTreeSet<&str> = access_token
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let required = [
        "iss",
        "exp",
        "aud",
        "sub",
        "client_id",
        "iat",
        "jti",
        "scope",
    ];
    assert!(
        required.iter().all(|name| names.contains(name)),
        "RFC 9068 section 2.2: {names:?}"
    );
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.status, 200);
    assert_eq!(userinfo.body["sub"], id_token["sub"]);
    assert_eq!(userinfo.body["name"], "Jo Smith");
    assert_eq!(userinfo.body["email"], people::JO_SMITH.email);
}
