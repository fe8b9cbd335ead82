//! `prompt`, `max_age` and `id_token_hint` (OpenID Connect Core section 3.1.2.1; T28, T29).

use portico::clock::SKEW;
use portico::simulator::people::{ANN_LEE, JO_SMITH, ZOE};

use crate::harness::browser::{Browser, Page};
use crate::harness::relying_party::claims;
use crate::harness::server::{START, TestServer};

/// A browser in which Jo Smith has logged in for the client `spa`.
async fn logged_in(server: &TestServer) -> Browser {
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    let page = browser.log_in_as(url, JO_SMITH).await;
    assert!(page.answer().contains_key("code"));
    browser
}

async fn auth_time(server: &TestServer, client_id: &str, page: &Page) -> i64 {
    let tokens = server.redeem(client_id, &page.answer()["code"], &[]).await;
    claims(tokens.text("id_token"))["auth_time"]
        .as_i64()
        .unwrap()
}

fn assert_sent_back(page: &Page, error: &str) {
    let location = page.location().expect("a redirect to the client");
    assert!(
        location.host_str().unwrap().ends_with(".example.org"),
        "{location}"
    );
    let answer = page.answer();
    assert_eq!(answer["error"], error, "{answer:?}");
    assert_eq!(answer["state"], "the-state");
    assert!(answer.contains_key("iss") && !answer.contains_key("code"));
}

/// T28: nothing is shown, and nothing is left behind in the browser.
#[tokio::test]
async fn prompt_none_never_shows_a_page() {
    let server = TestServer::start().await;
    let silent = |client_id: &str, more: &[(&str, &str)]| {
        let mut changes = vec![("prompt", "none")];
        changes.extend(more);
        server.authorize_url(client_id, &changes)
    };
    let mut browser = Browser::new();
    let page = browser.get(silent("spa", &[])).await;
    assert_sent_back(&page, "login_required");
    assert!(browser.cookie_names().is_empty());
    let mut browser = logged_in(&server).await;
    let page = browser.get(silent("spa", &[])).await;
    assert!(page.answer().contains_key("code"));
    let page = browser.get(silent("asking", &[])).await;
    assert_sent_back(&page, "consent_required");
    let page = browser.get(silent("staff-app", &[])).await;
    assert_sent_back(&page, "login_required");
    server.clock.advance(61);
    let page = browser.get(silent("spa", &[("max_age", "60")])).await;
    assert_sent_back(&page, "login_required");
    let page = browser.get(silent("spa", &[("max_age", "61")])).await;
    assert!(page.answer().contains_key("code"));
    let combined = server.authorize_url("spa", &[("prompt", "none login")]);
    assert_sent_back(&browser.get(combined).await, "invalid_request");
}

/// A POST comes across sites and so without cookies; the answer still has to be silent.
#[tokio::test]
async fn prompt_none_by_post_finds_the_session_and_shows_nothing() {
    let server = TestServer::start().await;
    let mut browser = logged_in(&server).await;
    let url = url::Url::parse(&server.authorize_url("spa", &[("prompt", "none")])).unwrap();
    let fields: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let page = browser
        .post_cross_site(server.url("/authorize"), &fields)
        .await;
    assert!(browser.follow(page).await.answer().contains_key("code"));
    let mut stranger = Browser::new();
    let page = stranger
        .post_cross_site(server.url("/authorize"), &fields)
        .await;
    assert_sent_back(&stranger.follow(page).await, "login_required");
}

/// T28: the session is not reused, by no way through our pages.
#[tokio::test]
async fn prompt_login_asks_again_whatever_session_there_is() {
    let server = TestServer::start().await;
    let mut browser = logged_in(&server).await;
    server.clock.advance(100);
    let page = browser
        .open(server.authorize_url("spa", &[("prompt", "login")]))
        .await;
    assert!(page.is_login(), "{}", page.body);
    let resume = format!("/authorize/resume?flow={}", page.flow());
    let again = browser.open(server.url(&resume)).await;
    assert!(again.is_login(), "the resume URL gives nothing for nothing");
    let (token, flow) = (
        again.attribute("input[name=form_token]", "value").unwrap(),
        again.flow(),
    );
    let kept = [
        ("flow", flow.as_str()),
        ("form_token", token.as_str()),
        ("action", "continue"),
    ];
    let page = browser.post(server.url("/login"), &kept).await;
    let page = browser.follow(page).await;
    assert!(page.is_login(), "keeping the account is no login");
    let page = browser.sign_in_as(&page, JO_SMITH).await;
    assert_eq!(auth_time(&server, "spa", &page).await, START + 100);
}

/// T28; section 3.1.2.1: `auth_time` tells when.
#[tokio::test]
async fn max_age_zero_always_asks_and_moves_auth_time() {
    let server = TestServer::start().await;
    let mut browser = logged_in(&server).await;
    for step in 1..3 {
        server.clock.advance(10);
        let page = browser
            .open(server.authorize_url("spa", &[("max_age", "0")]))
            .await;
        assert!(page.is_login());
        let page = browser.sign_in_as(&page, JO_SMITH).await;
        assert_eq!(auth_time(&server, "spa", &page).await, START + 10 * step);
    }
    // In the very second of the login, too.
    let page = browser
        .open(server.authorize_url("spa", &[("max_age", "0")]))
        .await;
    assert!(page.is_login());
}

/// T28.
#[tokio::test]
async fn max_age_counts_from_the_login_and_not_from_the_last_use() {
    let server = TestServer::start().await;
    let mut browser = logged_in(&server).await;
    let url = server.authorize_url("spa", &[("max_age", "1")]);
    server.clock.advance(1);
    let page = browser.open(&url).await;
    assert_eq!(auth_time(&server, "spa", &page).await, START);
    server.clock.advance(1);
    let page = browser.open(&url).await;
    assert!(page.is_login());
    let page = browser.sign_in_as(&page, JO_SMITH).await;
    assert_eq!(auth_time(&server, "spa", &page).await, START + 2);
    // A login that lies in the future, after the clock stepped back, is no recent one (T21).
    server.clock.advance(-SKEW - 1);
    assert!(browser.open(&url).await.is_login());
}

#[tokio::test]
async fn select_account_offers_the_account_and_another() {
    let server = TestServer::start().await;
    let url = server.authorize_url("spa", &[("prompt", "select_account")]);
    let mut browser = logged_in(&server).await;
    server.clock.advance(100);
    let page = browser.open(&url).await;
    assert!(page.body.contains("Continue as Jo Smith"), "{}", page.body);
    let resume = server.url(&format!("/authorize/resume?flow={}", page.flow()));
    let unanswered = browser.open(resume).await;
    assert!(unanswered.is_login(), "nothing was chosen yet");
    let kept = browser
        .submit(&page, "form:has(input[name=action])", &[])
        .await;
    assert_eq!(auth_time(&server, "spa", &kept).await, START);
    let page = browser.open(&url).await;
    let changed = browser.sign_in_as(&page, ZOE).await;
    let tokens = server.redeem("spa", &changed.answer()["code"], &[]).await;
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.status, 200);
    assert_eq!(claims(tokens.text("id_token"))["auth_time"], START + 100);
    // Without a session there is nothing to select.
    let page = Browser::new().open(&url).await;
    assert!(page.is_login() && !page.body.contains("Continue as"));
}

/// Core section 3.1.2.1.
#[tokio::test]
async fn login_hint_stands_in_the_form() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let hint = "\"><b>jo</b>";
    let page = browser
        .open(server.authorize_url("spa", &[("login_hint", hint)]))
        .await;
    let form = browser.choose(&page, "members").await;
    let typed = form.attribute("input[name=username]", "value").unwrap();
    assert_eq!(typed, hint);
    assert!(!form.body.contains("<b>jo"));
}

/// T29: the person whom the hint names, and nobody else.
#[tokio::test]
async fn a_hint_of_another_person_is_login_required() {
    let server = TestServer::start().await;
    let zoe = {
        let mut browser = Browser::new();
        let url = server.authorize_url("spa", &[]);
        let page = browser.log_in_as(url, ZOE).await;
        let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
        tokens.text("id_token").to_owned()
    };
    let mut browser = logged_in(&server).await;
    let silent = [("prompt", "none"), ("id_token_hint", zoe.as_str())];
    let page = browser.get(server.authorize_url("spa", &silent)).await;
    assert_sent_back(&page, "login_required");
    let hinted = server.authorize_url("spa", &[("id_token_hint", zoe.as_str())]);
    let page = browser.open(&hinted).await;
    assert!(page.is_login(), "somebody else is to log in");
    let wrong = browser.sign_in_as(&page, JO_SMITH).await;
    assert_sent_back(&wrong, "login_required");
    let page = browser.open(&hinted).await;
    let right = browser.sign_in_as(&page, ZOE).await;
    let tokens = server.redeem("spa", &right.answer()["code"], &[]).await;
    assert_eq!(claims(tokens.text("id_token"))["sub"], claims(&zoe)["sub"]);
}

/// T29: the signature and the issuer count; the expiry does not (Core section 3.1.2.1).
#[tokio::test]
async fn an_expired_hint_is_good_and_a_forged_one_is_not() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    let good = tokens.text("id_token").to_owned();
    server.clock.advance(3600);
    let ask = |hint: &str| {
        let changes = [("prompt", "none"), ("id_token_hint", hint)];
        server.authorize_url("spa", &changes)
    };
    let page = browser.get(ask(&good)).await;
    assert!(page.answer().contains_key("code"), "{:?}", page.answer());
    let mut parts = good.split('.');
    let (header, payload, signature) = (
        parts.next().unwrap(),
        parts.next().unwrap(),
        parts.next().unwrap(),
    );
    let elsewhere = TestServer::start_with(|setup| setup.own_key = true).await;
    let foreign = elsewhere.tokens("spa", "openid").await;
    let none = "eyJhbGciOiJub25lIn0";
    for forged in [
        format!("{header}.{payload}.{}", signature.replace('A', "B") + "A"),
        format!("{header}.{payload}."),
        format!("{none}.{payload}."),
        foreign.text("id_token").to_owned(),
        tokens.text("access_token").to_owned(),
        "nonsense".to_owned(),
    ] {
        let page = browser.get(ask(&forged)).await;
        assert_sent_back(&page, "invalid_request");
    }
}

/// T29: a token for one client says nothing at another.
#[tokio::test]
async fn another_clients_hint_is_refused() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser
        .log_in_as(server.authorize_url("web", &[]), JO_SMITH)
        .await;
    let tokens = server.redeem("web", &page.answer()["code"], &[]).await;
    let hint = [("id_token_hint", tokens.text("id_token"))];
    let page = browser.get(server.authorize_url("spa", &hint)).await;
    assert_sent_back(&page, "invalid_request");
}

/// T15: a session of one upstream is none at a client of another.
#[tokio::test]
async fn a_client_of_one_upstream_asks_for_a_login_there() {
    let server = TestServer::start().await;
    let mut browser = logged_in(&server).await;
    let page = browser.open(server.authorize_url("staff-app", &[])).await;
    assert!(page.is_login());
    assert!(!page.body.contains("upstream=members"), "{}", page.body);
    assert!(!page.body.contains("/upstream/members"), "{}", page.body);
    let page = browser
        .submit(&page, crate::harness::steps::TO_AIM18, &[])
        .await;
    let back = browser.at_aim18(&page, ANN_LEE).await;
    let page = browser.follow(back).await;
    assert!(page.answer().contains_key("code"));
}
