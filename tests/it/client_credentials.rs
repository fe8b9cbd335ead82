//! The client credentials grant: a server acts for itself (RFC 6749 section 4.4, RFC 9068).

use serde_json::json;

use crate::harness::relying_party::{Answer, claims, header};
use crate::harness::server::{START, Setup, TestServer};

fn more_clients(setup: &mut Setup) {
    setup.clients = r#"
[[clients]]
client_id = "plain"
client_secret = { env = "SERVICE_SECRET" }
grant_types = ["client_credentials"]

[[clients]]
client_id = "both"
client_secret = { env = "SERVICE_SECRET" }
grant_types = ["authorization_code", "refresh_token", "client_credentials"]
redirect_uris = ["https://both.example.org/callback"]
scope = "openid profile email offline_access reports:read"
audience = ["https://api.example.org", "https://other.example.org"]
"#
    .to_owned();
}

async fn ask(server: &TestServer, client: &str, scope: &str) -> Answer {
    let grant = ("grant_type", "client_credentials");
    server.token(client, &[grant, ("scope", scope)]).await
}

/// RFC 9068 section 2: kind, subject, audience and scope.
#[tokio::test]
async fn a_server_gets_a_token_for_its_api() {
    let server = TestServer::start().await;
    let tokens = ask(&server, "service", "").await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.headers["cache-control"], "no-store");
    assert_eq!(tokens.headers["content-type"], "application/json");
    assert_eq!(tokens.body["token_type"], "Bearer");
    assert_eq!(tokens.body["expires_in"], 600);
    assert_eq!(tokens.text("scope"), "reports:read reports:write");
    for never in ["refresh_token", "id_token"] {
        assert!(tokens.body.get(never).is_none(), "RFC 6749 section 4.4.3");
    }
    let token = tokens.text("access_token");
    let header = header(token);
    assert_eq!(header["typ"], "at+jwt", "RFC 9068 section 2.1");
    assert_eq!(header["alg"], "RS256");
    assert!(header["kid"].is_string());
    let mut claims = claims(token);
    let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
    let expected = json!({
        "iss": server.issuer, "sub": "service", "client_id": "service", "aud": "https://api.example.org",
        "iat": START, "exp": START + 600, "scope": "reports:read reports:write",
    });
    assert_eq!(claims, expected);
    let again = ask(&server, "service", "").await;
    assert_ne!(
        crate::harness::relying_party::claims(again.text("access_token"))["jti"],
        jti
    );
}

/// RFC 6749 section 3.3.
#[tokio::test]
async fn a_server_may_ask_for_less_and_not_for_more() {
    let server = TestServer::start_with(more_clients).await;
    let tokens = ask(&server, "service", "reports:write").await;
    assert_eq!(tokens.text("scope"), "reports:write");
    assert_eq!(
        claims(tokens.text("access_token"))["scope"],
        "reports:write"
    );
    for scope in [
        "reports:delete",
        "reports:read admin",
        "REPORTS:READ",
        "a\"b",
    ] {
        ask(&server, "service", scope)
            .await
            .assert_error(400, "invalid_scope");
    }
    let nothing = ask(&server, "plain", "").await;
    assert_eq!(nothing.status, 200);
    assert!(nothing.body.get("scope").is_none());
    let claims = claims(nothing.text("access_token"));
    assert!(claims.get("scope").is_none());
    assert_eq!(
        claims["aud"], server.issuer,
        "the default resource, RFC 9068 section 3"
    );
    ask(&server, "plain", "reports:read")
        .await
        .assert_error(400, "invalid_scope");
}

/// There is no person here, so that nothing about a person is given, though the client may have it elsewhere.
#[tokio::test]
async fn nothing_about_a_person_is_given_to_a_server() {
    let server = TestServer::start_with(more_clients).await;
    for scope in [
        "openid",
        "reports:read openid",
        "profile",
        "email",
        "offline_access",
    ] {
        ask(&server, "both", scope)
            .await
            .assert_error(400, "invalid_scope");
    }
    let tokens = ask(&server, "both", "").await;
    assert_eq!(tokens.text("scope"), "reports:read");
    let both = json!(["https://api.example.org", "https://other.example.org"]);
    assert_eq!(claims(tokens.text("access_token"))["aud"], both);
    for never in ["refresh_token", "id_token"] {
        assert!(tokens.body.get(never).is_none());
    }
}

/// T41: at userinfo there is nobody to tell about, whatever the audience.
#[tokio::test]
async fn userinfo_refuses_the_token_of_a_server() {
    let server = TestServer::start_with(more_clients).await;
    for (client, status, error) in [
        ("service", 401, "invalid_token"),
        ("plain", 403, "insufficient_scope"),
    ] {
        let tokens = ask(&server, client, "").await;
        let refused = server.userinfo(tokens.text("access_token")).await;
        assert_eq!(refused.status, status, "{client}");
        assert_eq!(refused.body["error"], error);
    }
}

/// RFC 6749 section 4.4: only clients that can keep a secret, and only those registered for it (T15).
#[tokio::test]
async fn only_those_who_may_act_for_themselves() {
    let server = TestServer::start().await;
    for client in ["spa", "web", "post"] {
        ask(&server, client, "")
            .await
            .assert_error(400, "unauthorized_client");
    }
}
