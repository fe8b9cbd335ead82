//! One login serves every client of the browser, for as long as a session lasts (OpenID Connect Core section 3.1.2.3).

use portico::simulator::people::{ANN_LEE, JO_SMITH};

use crate::harness::browser::Browser;
use crate::harness::relying_party::claims;
use crate::harness::server::{START, TestServer};
use crate::harness::steps::SESSION;

async fn logged_in(server: &TestServer) -> Browser {
    let mut browser = Browser::new();
    let page = browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    assert!(page.answer().contains_key("code"));
    browser
}

/// The claims of the ID token that `client_id` gets without anybody being asked.
async fn silently(
    server: &TestServer,
    browser: &mut Browser,
    client_id: &str,
) -> serde_json::Value {
    let page = browser.get(server.authorize_url(client_id, &[])).await;
    let tokens = server.redeem(client_id, &page.answer()["code"], &[]).await;
    claims(tokens.text("id_token"))
}

#[tokio::test]
async fn the_second_app_gets_the_same_person_and_session_without_a_page() {
    let server = TestServer::start().await;
    let mut browser = logged_in(&server).await;
    let asked = server.imis.log().len();
    let spa = silently(&server, &mut browser, "spa").await;
    server.clock.advance(100);
    for client_id in ["web", "post"] {
        let other = silently(&server, &mut browser, client_id).await;
        assert_eq!(other["aud"], client_id);
        for same in ["sub", "sid", "auth_time", "amr"] {
            assert_eq!(other[same], spa[same], "{same}");
        }
        assert_eq!(other["auth_time"], START);
    }
    assert_eq!(server.imis.log().len(), asked, "iMIS was not asked again");
    let elsewhere = Browser::new()
        .get(server.authorize_url("web", &[("prompt", "none")]))
        .await;
    assert_eq!(elsewhere.answer()["error"], "login_required");
}

/// Design, section 4: before a login nothing is stored.
#[tokio::test]
async fn nothing_is_stored_before_somebody_logs_in() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    for client_id in ["spa", "web", "asking"] {
        let page = browser.open(server.authorize_url(client_id, &[])).await;
        browser.choose(&page, "members").await;
    }
    let pool = server.database.pool().await;
    for (table, count) in [
        ("session", "SELECT COUNT(*) FROM session"),
        ("account", "SELECT COUNT(*) FROM account"),
        ("pending_request", "SELECT COUNT(*) FROM pending_request"),
        (
            "authorization_code",
            "SELECT COUNT(*) FROM authorization_code",
        ),
        ("token_family", "SELECT COUNT(*) FROM token_family"),
        ("throttle", "SELECT COUNT(*) FROM throttle"),
    ] {
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

/// A request that no cookie can hold waits in a row, and works all the same.
#[tokio::test]
async fn a_request_too_large_for_a_cookie_is_carried_too() {
    let server = TestServer::start().await;
    let state = "é".repeat(1000);
    let nonce = "n".repeat(512);
    let hint = "h".repeat(256);
    let changes = [
        ("state", state.as_str()),
        ("nonce", nonce.as_str()),
        ("login_hint", hint.as_str()),
    ];
    let url = server.authorize_url("spa", &changes);
    let mut browser = Browser::new();
    let page = browser.open(&url).await;
    assert!(page.is_login());
    let flow = browser.flows().pop().unwrap();
    let cookie = browser.cookie(&server, &flow).unwrap();
    let size = flow.len() + cookie.value.len() + cookie.attributes.len();
    assert!(size < 4096, "browsers drop larger ones: {size}");
    let page = browser.sign_in_as(&page, JO_SMITH).await;
    assert_eq!(page.answer()["state"], state);
}

/// T22, for sessions.
#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_at_its_absolute_end() {
    let server = TestServer::start_with(|setup| {
        setup.sections += "[lifetimes]\nsession_idle = \"1h\"\nsession_absolute = \"3h\"\n";
    })
    .await;
    let silent = server.authorize_url("web", &[("prompt", "none")]);
    let mut idle = logged_in(&server).await;
    server.clock.advance(3600);
    let page = idle.get(&silent).await;
    assert_eq!(page.answer()["error"], "login_required");
    let mut used = logged_in(&server).await;
    for _ in 0..3 {
        server.clock.advance(3500);
        assert!(used.get(&silent).await.answer().contains_key("code"));
    }
    server.clock.advance(300);
    let page = used.get(&silent).await;
    assert_eq!(page.answer()["error"], "login_required");
    let page = used.open(server.authorize_url("web", &[])).await;
    assert!(page.is_login());
}

/// The login that is one too many ends another, in the browser that was left alone for the longest.
#[tokio::test]
async fn a_person_is_signed_in_in_so_many_browsers() {
    let server = TestServer::start_with(|setup| {
        setup.sections += "[lifetimes]\nsessions_per_person = 2\n";
    })
    .await;
    let silent = server.authorize_url("web", &[("prompt", "none")]);
    let (mut first, mut second) = (logged_in(&server).await, logged_in(&server).await);
    server.clock.advance(100);
    assert!(first.get(&silent).await.answer().contains_key("code"));
    let mut third = logged_in(&server).await;
    let page = second.get(&silent).await;
    assert_eq!(page.answer()["error"], "login_required");
    for living in [&mut first, &mut third] {
        assert!(living.get(&silent).await.answer().contains_key("code"));
    }
}

/// A session that ended while the consent page was open gives nothing.
#[tokio::test]
async fn a_session_that_ends_in_the_middle_of_a_flow_is_asked_for_again() {
    let server = TestServer::start().await;
    let mut browser = logged_in(&server).await;
    let consent = browser.open(server.authorize_url("asking", &[])).await;
    assert_eq!(consent.url.path(), "/consent");
    browser.forget(SESSION);
    let page = browser
        .submit(&consent, "form", &[("decision", "allow")])
        .await;
    assert!(page.is_login(), "{}", page.body);
}

/// An account that was closed is out at once, wherever it is logged in.
#[tokio::test]
async fn a_closed_account_gets_nothing_more() {
    let server = TestServer::start().await;
    let mut browser = logged_in(&server).await;
    let page = browser.get(server.authorize_url("web", &[])).await;
    let code = page.answer().remove("code").unwrap();
    sqlx::query("UPDATE account SET disabled_at = 1")
        .execute(&server.database.pool().await)
        .await
        .unwrap();
    let refused = server.redeem("web", &code, &[]).await;
    refused.assert_error(400, "invalid_grant");
    let silent = server.authorize_url("web", &[("prompt", "none")]);
    let page = browser.get(silent).await;
    assert_eq!(page.answer()["error"], "login_required");
}

/// One browser, two upstreams: the later login is who is logged in, everywhere; who came by the other one is there beside them, and not
/// signed out.
#[tokio::test]
async fn a_login_at_another_upstream_is_the_current_one() {
    let server = TestServer::start().await;
    let mut browser = logged_in(&server).await;
    let old = browser.session(&server).unwrap();
    let member = silently(&server, &mut browser, "spa").await;
    let staff = server.authorize_url("staff-app", &[]);
    browser.log_in_at_aim18(staff, ANN_LEE).await;
    let employee = silently(&server, &mut browser, "spa").await;
    assert_ne!(employee["sub"], member["sub"]);
    assert_ne!(employee["sid"], member["sid"]);
    let beside = format!("{SESSION}-{}", member["sid"].as_str().unwrap());
    assert_eq!(browser.cookie(&server, &beside).unwrap().value, old);
    let page = browser.open(server.url("/account")).await;
    let switch = "form:has(button[value=switch])";
    browser.submit(&page, switch, &[("action", "switch")]).await;
    let again = silently(&server, &mut browser, "spa").await;
    assert_eq!(again["sub"], member["sub"]);
}
