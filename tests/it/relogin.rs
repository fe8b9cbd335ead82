//! Logging in again in a browser that has a session: by the same person, and by another.

use portico::simulator::people;
use serde_json::Value;

use crate::harness::browser::Browser;
use crate::harness::relying_party::claims;
use crate::harness::server::TestServer;

const SESSION: &str = "portico-session";

/// The tokens of `client_id` in this browser, after whatever login `changes` ask for.
async fn tokens(
    server: &TestServer,
    browser: &mut Browser,
    client_id: &str,
    changes: &[(&str, &str)],
    person: people::ImisPerson,
) -> Value {
    let url = server.authorize_url(client_id, changes);
    let mut page = browser.open(&url).await;
    if page.status == 200 {
        page = browser.choose(&page, "members").await;
        let fields = [("username", person.username), ("password", person.password)];
        page = browser
            .submit(&page, crate::harness::browser::PASSWORD_FORM, &fields)
            .await;
    }
    let answer = server.redeem(client_id, &page.answer()["code"], &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// One app that asks for a fresh login must not sign its person out of the others; and the old cookie is dead (T24).
#[tokio::test]
async fn the_same_person_keeps_the_session_under_a_new_secret() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let first = tokens(&server, &mut browser, "spa", &[], people::JO_SMITH).await;
    let old = browser.cookie(&server, SESSION).unwrap().value.clone();
    server.clock.advance(100);
    let again = [("prompt", "login")];
    let second = tokens(&server, &mut browser, "web", &again, people::JO_SMITH).await;
    let (first_id, second_id) = (
        claims(first["id_token"].as_str().unwrap()),
        claims(second["id_token"].as_str().unwrap()),
    );
    assert_eq!(first_id["sid"], second_id["sid"]);
    assert_eq!(
        second_id["auth_time"].as_i64().unwrap() - first_id["auth_time"].as_i64().unwrap(),
        100
    );
    let refreshed = server
        .refresh("spa", first["refresh_token"].as_str().unwrap())
        .await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    assert_ne!(browser.cookie(&server, SESSION).unwrap().value, old);
    let mut thief = Browser::new();
    thief.set_cookie("127.0.0.1", SESSION, &old);
    let page = thief
        .open(server.authorize_url("spa", &[("prompt", "none")]))
        .await;
    assert_eq!(page.answer()["error"], "login_required");
}

/// Another person's login ends the session and what belongs to it.
#[tokio::test]
async fn another_person_gets_another_session() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let first = tokens(&server, &mut browser, "spa", &[], people::JO_SMITH).await;
    let again = [("prompt", "login")];
    let second = tokens(&server, &mut browser, "web", &again, people::ZOE).await;
    let (first_id, second_id) = (
        claims(first["id_token"].as_str().unwrap()),
        claims(second["id_token"].as_str().unwrap()),
    );
    assert_ne!(first_id["sid"], second_id["sid"]);
    assert_ne!(first_id["sub"], second_id["sub"]);
    let refreshed = server
        .refresh("spa", first["refresh_token"].as_str().unwrap())
        .await;
    refreshed.assert_error(400, "invalid_grant");
    let userinfo = server
        .userinfo(first["access_token"].as_str().unwrap())
        .await;
    assert_eq!(userinfo.status, 401);
}
