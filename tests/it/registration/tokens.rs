//! Registration with an initial access token (RFC 7591 sections 1.2 and 3).

use portico::keys::Purpose;
use portico::model::registration::InitialAccessToken;
use reqwest::RequestBuilder;

use super::{minimal, post, server};
use crate::harness::relying_party::answer;
use crate::harness::server::TestServer;

const TOKEN: &str = "portico_initial_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// As `portico client token create` makes it.
async fn allow(server: &TestServer, value: &str, uses_left: i64) {
    let secrets = portico::app::open_secrets(&server.load_config()).unwrap();
    let hash = secrets.hash(Purpose::InitialAccessToken, value).unwrap();
    let now = server.clock.now();
    let token = InitialAccessToken {
        id: format!("id-of-{value}"),
        label: String::new(),
        created_at: now,
        expires_at: now + 1000,
        uses_left,
        revoked_at: None,
    };
    server
        .store
        .insert_initial_access_token(&token, &hash)
        .await
        .unwrap();
}

fn with_token(server: &TestServer, token: &str) -> RequestBuilder {
    post(server, &minimal()).bearer_auth(token)
}

async fn assert_refused(request: RequestBuilder) {
    let refused = answer(request).await;
    refused.assert_error(401, "invalid_token");
    let challenge = refused.headers["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.starts_with("Bearer error=\"invalid_token\""),
        "{challenge}"
    );
}

#[tokio::test]
async fn a_token_registers_as_many_clients_as_it_says() {
    let server = server("initial_access_token", "").await;
    allow(&server, TOKEN, 2).await;
    let without = post(&server, &minimal()).send().await.unwrap();
    assert_eq!(without.status(), 401);
    assert_eq!(without.headers()["www-authenticate"], "Bearer");
    for wrong in [
        "",
        "x",
        &TOKEN[..TOKEN.len() - 1],
        &format!("{TOKEN}A"),
        &TOKEN.to_lowercase(),
    ] {
        assert_refused(with_token(&server, wrong)).await;
    }
    // A registration that is refused takes no use.
    let bad = post(&server, &serde_json::json!({})).bearer_auth(TOKEN);
    answer(bad).await.assert_error(400, "invalid_redirect_uri");
    for _ in 0..2 {
        let registered = answer(with_token(&server, TOKEN)).await;
        assert_eq!(registered.status, 201, "{registered:?}");
    }
    assert_refused(with_token(&server, TOKEN)).await;
    let registrations = server.store.list_registrations().await.unwrap();
    assert_eq!(registrations.len(), 2);
    let id = format!("id-of-{TOKEN}");
    let by_token = |each: &portico::model::registration::Registration| {
        each.initial_access_token.as_deref() == Some(id.as_str())
    };
    assert!(registrations.iter().all(by_token));
}

#[tokio::test]
async fn an_ended_or_revoked_token_registers_nothing() {
    let server = server("initial_access_token", "").await;
    allow(&server, TOKEN, 9).await;
    let other = TOKEN.replace('A', "B");
    allow(&server, &other, 9).await;
    let id = format!("id-of-{other}");
    let now = server.clock.now();
    assert!(
        server
            .store
            .revoke_initial_access_token(&id, now)
            .await
            .unwrap()
    );
    assert_refused(with_token(&server, &other)).await;
    assert_eq!(answer(with_token(&server, TOKEN)).await.status, 201);
    server.clock.advance(1000);
    assert_refused(with_token(&server, TOKEN)).await;
}

/// T12: the tokens of one kind are nothing in the place of the other.
#[tokio::test]
async fn an_initial_access_token_looks_after_no_client() {
    let server = server("initial_access_token", "").await;
    allow(&server, TOKEN, 9).await;
    let registered = answer(with_token(&server, TOKEN)).await;
    let own = registered.text("registration_access_token");
    assert_refused(with_token(&server, own)).await;
    let address = registered.text("registration_client_uri");
    let client = crate::harness::browser::http_client();
    assert_refused(client.get(address).bearer_auth(TOKEN)).await;
}
