//! Flows in one browser: several tabs, pages left open, the back button, and a registration that changes meanwhile
//! (design, section 4; T7).

use portico::simulator::people::JO_SMITH;

use crate::harness::browser::{Browser, Page};
use crate::harness::server::TestServer;

const THIRTY_MINUTES: i64 = 30 * 60;

async fn tab(server: &TestServer, browser: &mut Browser, state: &str) -> Page {
    let changes = [("state", state), ("prompt", "login")];
    let page = browser.open(server.authorize_url("spa", &changes)).await;
    assert!(page.is_login());
    browser.choose(&page, "members").await
}

fn is_expired(page: &Page) -> bool {
    page.status == 400 && page.body.contains("no longer open in this browser")
}

#[tokio::test]
async fn four_tabs_log_in_side_by_side_and_a_fifth_drops_the_oldest() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let states = ["one", "two", "three", "four", "five"];
    let mut tabs = Vec::new();
    for state in states {
        tabs.push(tab(&server, &mut browser, state).await);
        server.clock.advance(1);
        assert!(browser.flows().len() <= 4);
    }
    let oldest = browser.get(tabs[0].url.as_str()).await;
    assert!(is_expired(&oldest), "{}", oldest.body);
    for (page, state) in tabs.iter().zip(states).skip(1) {
        let page = browser.sign_in_as(page, JO_SMITH).await;
        assert_eq!(page.answer()["state"], state);
        assert!(page.answer().contains_key("code"));
    }
}

/// A second tab was quicker: the first has nothing to ask any more.
#[tokio::test]
async fn a_login_in_one_tab_serves_the_others() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let one = browser
        .open(server.authorize_url("spa", &[("state", "one")]))
        .await;
    let two = tab(&server, &mut browser, "two").await;
    browser.sign_in_as(&two, JO_SMITH).await;
    let page = browser.open(one.url.as_str()).await;
    assert_eq!(page.answer()["state"], "one");
    assert!(page.answer().contains_key("code"));
}

/// A login page left open over lunch starts itself again; what was done in it does not count any more.
#[tokio::test]
async fn an_expired_flow_starts_itself_again_and_finishes() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = tab(&server, &mut browser, "one").await;
    server.clock.advance(THIRTY_MINUTES);
    let again = browser.open(page.url.as_str()).await;
    assert!(again.is_login());
    assert!(
        again.body.contains("open for a long time"),
        "{}",
        again.body
    );
    server.clock.advance(THIRTY_MINUTES - 1);
    let fresh = browser.open(page.url.as_str()).await;
    assert!(!fresh.body.contains("open for a long time"));
    server.clock.advance(THIRTY_MINUTES);
    let page = browser.sign_in_as(&page, JO_SMITH).await;
    assert_eq!(page.answer()["state"], "one", "the old form still works");
    assert!(page.answer().contains_key("code"));
}

/// T28: a login that an expired flow remembers does not answer its `prompt=login`.
#[tokio::test]
async fn what_was_done_in_an_expired_flow_does_not_count() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let changes = [("prompt", "login consent")];
    let page = browser.open(server.authorize_url("asking", &changes)).await;
    let consent = browser.sign_in_as(&page, JO_SMITH).await;
    assert_eq!(consent.url.path(), "/consent");
    server.clock.advance(THIRTY_MINUTES);
    let page = browser
        .submit(&consent, "form", &[("decision", "allow")])
        .await;
    assert!(page.is_login(), "{}", page.body);
}

/// After a day the cookie is gone, and the page says what to do.
#[tokio::test]
async fn a_flow_without_its_cookie_is_told_calmly() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = tab(&server, &mut browser, "one").await;
    let flow = browser.flows().pop().unwrap();
    let attributes = &browser.cookie(&server, &flow).unwrap().attributes;
    assert!(attributes.contains("Max-Age=86400"), "{attributes}");
    browser.forget("portico-flow-");
    for path in ["/login", "/consent", "/authorize/resume"] {
        let url = server.url(&format!("{path}?flow={}", page.flow()));
        assert!(is_expired(&browser.get(url).await), "{path}");
        assert!(is_expired(&browser.get(server.url(path)).await), "{path}");
    }
}

/// T7: the way on leads to the registered address of the client, and to nothing that a request names.
#[tokio::test]
async fn the_back_button_after_a_login_leads_back_to_the_app() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = tab(&server, &mut browser, "one").await;
    browser.sign_in_as(&page, JO_SMITH).await;
    let evil = "&return_to=https%3A%2F%2Fevil.example&client_uri=https%3A%2F%2Fevil.example";
    for path in ["/login", "/consent", "/authorize/resume"] {
        let url = server.url(&format!("{path}?flow={}{evil}", page.flow()));
        let back = browser.open(url).await;
        assert_eq!(back.status, 200);
        assert!(back.body.contains("finished already"), "{}", back.body);
        let href = back.attribute("main a", "href");
        assert_eq!(href.as_deref(), Some("https://spa.example.org/"));
        assert!(!back.body.contains("evil"));
    }
    let again = browser.sign_in_as(&page, JO_SMITH).await;
    assert!(again.body.contains("finished already"), "a second click");
    // Signed out meanwhile, the page does not claim the contrary.
    browser.forget(crate::harness::steps::SESSION);
    let back = browser.open(page.url.as_str()).await;
    assert!(is_expired(&back), "{}", back.body);
}

/// A flow that ended with an error has ended.
#[tokio::test]
async fn a_refused_flow_cannot_be_taken_up_again() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("asking", &[])).await;
    let consent = browser.sign_in_as(&page, JO_SMITH).await;
    browser
        .submit(&consent, "form", &[("decision", "deny")])
        .await;
    let again = browser
        .submit(&consent, "form", &[("decision", "allow")])
        .await;
    assert!(again.body.contains("finished already"), "{}", again.body);
}

/// The registration changed while a page was open: nothing is sent to an address that is no longer registered.
#[tokio::test]
async fn a_flow_of_a_removed_client_or_redirect_uri_ends_on_a_page() {
    for (from, to) in [
        ("client_id = \"spa\"", "client_id = \"renamed\""),
        (
            "\"https://spa.example.org/callback\"",
            "\"https://spa.example.org/other\"",
        ),
    ] {
        let mut server = TestServer::start().await;
        let mut browser = Browser::new();
        let page = tab(&server, &mut browser, "one").await;
        server.edit_config(from, to);
        server.restart().await;
        let answer = browser.sign_in_as(&page, JO_SMITH).await;
        assert_eq!(answer.status, 400, "{from}");
        assert_eq!(answer.location(), None);
        assert!(answer.body.contains("no longer registered"));
        assert_eq!(browser.session(&server), None, "{from}");
        let page = browser.open(page.url.as_str()).await;
        assert_eq!(page.status, 400);
    }
}

/// T17: what the client may no longer ask for is not given by a flow that began before.
#[tokio::test]
async fn a_scope_withdrawn_in_the_middle_of_a_flow_is_not_granted() {
    let mut server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("asking", &[("scope", "openid reports:read")]);
    let page = browser.open(url).await;
    server.edit_config("openid profile email reports:read", "openid profile email");
    server.restart().await;
    let consent = browser.sign_in_as(&page, JO_SMITH).await;
    assert!(!consent.body.contains("reports:read"));
    let page = browser
        .submit(&consent, "form", &[("decision", "allow")])
        .await;
    let tokens = server.redeem("asking", &page.answer()["code"], &[]).await;
    assert_eq!(tokens.body["scope"], "openid");
}
