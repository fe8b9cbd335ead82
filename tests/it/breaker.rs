//! What stands before an upstream that is away: nobody waits, nothing is hammered, and no stranger can shut the door (T34).

use portico::simulator::Fault;
use portico::simulator::people::{JO_SMITH, ZOE};
use portico::upstream::breaker::{FAILURES, REST};

use crate::harness::browser::{Browser, Page, http_client};
use crate::harness::server::TestServer;

async fn try_in(server: &TestServer, name: &str, password: &str) -> Page {
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    browser.sign_in(&page, "members", (name, password)).await
}

/// People whose names nobody else uses try until the upstream counts as away.
async fn open_breaker(server: &TestServer) {
    server.imis.fail("", Fault::Status(503));
    for number in 0..FAILURES {
        let page = try_in(server, &format!("visitor-{number}"), "word").await;
        assert_eq!(page.status, 503);
    }
}

async fn internal(server: &TestServer, path: &str) -> (u16, String) {
    let url = format!("http://{}{path}", server.internal);
    let response = http_client().get(url).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn is_open(server: &TestServer) -> bool {
    let (_, text) = internal(server, "/metrics").await;
    text.contains("portico_upstream_breaker_open{upstream=\"members\"} 1\n")
}

#[tokio::test]
async fn an_upstream_that_is_away_is_left_alone_and_then_tried_by_one() {
    let server = TestServer::start().await;
    let mut inside = Browser::new();
    let url = server.authorize_url("spa", &[("scope", "openid offline_access")]);
    let page = inside.log_in_as(url, JO_SMITH).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    open_breaker(&server).await;
    assert!(is_open(&server).await);

    let sent = server.imis.log().len();
    let page = try_in(&server, JO_SMITH.username, JO_SMITH.password).await;
    assert_eq!(page.status, 503);
    let alert = page.text("[role=alert]").unwrap();
    assert!(alert.contains("Member login does not answer"), "{alert}");
    assert_eq!(server.imis.log().len(), sent, "nothing was sent");

    // What needs no upstream goes on, and the node takes part.
    assert_eq!(internal(&server, "/health/ready").await.0, 200);
    let refreshed = server.refresh("spa", tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200);
    let page = inside.get(server.authorize_url("web", &[])).await;
    assert!(page.answer().contains_key("code"));

    // The page tells beforehand, and lets people try.
    let page = Browser::new().open(server.authorize_url("spa", &[])).await;
    assert!(
        page.text(".hint")
            .unwrap()
            .contains("You can try it all the same"),
        "{}",
        page.body
    );

    server.clock.advance(REST);
    try_in(&server, "visitor-a", "word").await;
    assert_eq!(server.imis.log().len(), sent + 1, "one tries");
    try_in(&server, "visitor-b", "word").await;
    assert_eq!(server.imis.log().len(), sent + 1, "the others wait");

    server.imis.mend();
    server.clock.advance(REST);
    let page = try_in(&server, ZOE.username, ZOE.password).await;
    assert!(page.answer().contains_key("code"), "{page:?}");
    assert!(!is_open(&server).await);
    let page = Browser::new().open(server.authorize_url("spa", &[])).await;
    assert_eq!(page.text(".hint"), None);
}

/// T34: refusals never open it, however many and from whom; nor does an error that odd input can provoke.
#[tokio::test]
async fn a_stranger_cannot_shut_the_door() {
    let server = TestServer::start().await;
    for number in 0..3 * FAILURES {
        let page = try_in(&server, &format!("visitor-{number}"), "wrong").await;
        assert_eq!(page.status, 422);
    }
    server.imis.fail("/token", Fault::ErrorPage);
    for number in 0..3 * FAILURES {
        let page = try_in(&server, &format!("odd-{number}"), "word").await;
        assert_eq!(page.status, 503);
    }
    server.imis.mend();
    assert!(!is_open(&server).await);
    let page = try_in(&server, JO_SMITH.username, JO_SMITH.password).await;
    assert!(page.answer().contains_key("code"), "{page:?}");
}

/// T33, T34: an attempt that the upstream may have counted is counted here; one that never left is not.
#[tokio::test]
async fn an_attempt_that_was_never_sent_is_given_back() {
    let server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 1\n".to_owned();
    })
    .await;
    server.imis.fail("", Fault::Status(503));
    let sent = try_in(&server, ZOE.username, ZOE.password).await;
    assert_eq!(sent.status, 503);
    open_breaker(&server).await;
    for _ in 0..3 {
        let held = try_in(&server, JO_SMITH.username, JO_SMITH.password).await;
        assert_eq!(held.status, 503, "not throttled");
    }
    server.imis.mend();
    server.clock.advance(REST);
    let page = try_in(&server, JO_SMITH.username, JO_SMITH.password).await;
    assert!(page.answer().contains_key("code"), "{page:?}");
    let page = try_in(&server, ZOE.username, ZOE.password).await;
    assert_eq!(page.status, 422, "the one that was sent still counts");
}

/// What may be sent twice is; a password is not.
#[tokio::test]
async fn only_a_reading_request_is_sent_again_after_a_broken_connection() {
    let server = TestServer::start().await;
    server.imis.fail_once("/api/user", Fault::CloseAfter(0));
    let page = try_in(&server, JO_SMITH.username, JO_SMITH.password).await;
    assert!(page.answer().contains_key("code"), "{page:?}");

    server.imis.clear_log();
    server.imis.fail_once("/token", Fault::CloseAfter(0));
    let page = try_in(&server, JO_SMITH.username, JO_SMITH.password).await;
    assert_eq!(page.status, 503);
    assert_eq!(server.imis.log().len(), 1, "the password was sent once");

    server.imis.fail("/api/user", Fault::CloseAfter(0));
    server.imis.clear_log();
    let page = try_in(&server, JO_SMITH.username, JO_SMITH.password).await;
    assert_eq!(page.status, 503);
    assert_eq!(server.imis.log().len(), 3, "token, and twice the user");
}
