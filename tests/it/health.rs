//! Health, on a listener of its own (T50), and an orderly end.

use std::net::SocketAddr;

use portico::simulator::Fault;
use portico::simulator::people::JO_SMITH;

use crate::harness::browser::{Browser, PASSWORD_FORM, http_client};
use crate::harness::server::TestServer;

async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    let url = format!("http://{address}{path}");
    let response = http_client().get(url).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Live is the process, ready is that a login could succeed.
#[tokio::test]
async fn a_server_whose_database_is_gone_is_live_and_not_ready() {
    let server = TestServer::start().await;
    let ready = (200, "ready\n".to_owned());
    assert_eq!(ask(server.internal, "/health/ready").await, ready);
    let pool = server.database.pool().await;
    sqlx::query("ALTER TABLE _sqlx_migrations RENAME TO away")
        .execute(&pool)
        .await
        .unwrap();
    let (status, text) = ask(server.internal, "/health/ready").await;
    assert_eq!(status, 503);
    assert!(
        !text.contains("sqlx") && !text.contains("postgres"),
        "{text}"
    );
    assert_eq!(ask(server.internal, "/health/live").await.0, 200);
    sqlx::query("ALTER TABLE away RENAME TO _sqlx_migrations")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(ask(server.internal, "/health/ready").await, ready);
}

/// T50.
#[tokio::test]
async fn health_and_logins_do_not_share_a_listener() {
    let server = TestServer::start().await;
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(ask(server.address, path).await.0, 404);
    }
    for path in ["/login", "/jwks", "/.well-known/openid-configuration"] {
        assert_eq!(ask(server.internal, path).await.0, 404);
    }
}

/// A restart in the middle of somebody's login costs nobody anything.
#[tokio::test]
async fn a_request_under_way_is_answered_before_the_server_stops() {
    let mut server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let form = browser.choose(&page, "members").await;
    let slow = Fault::Slow(std::time::Duration::from_millis(200));
    server.imis.fail("/token", slow);
    let login = tokio::spawn(async move {
        let fields = [
            ("username", JO_SMITH.username),
            ("password", JO_SMITH.password),
        ];
        let page = browser.submit_only(&form, PASSWORD_FORM, &fields).await;
        (browser, page)
    });
    let asked = |server: &TestServer| {
        let log = server.imis.log();
        log.iter().any(|request| request.path == "/token")
    };
    while !asked(&server) {
        assert!(!login.is_finished(), "the login was answered without iMIS");
        tokio::task::yield_now().await;
    }
    server.stop().await;
    let (mut browser, page) = login.await.unwrap();
    assert_eq!(page.status, 303, "{page:?}");
    let closed = http_client().get(server.url("/jwks")).send().await;
    assert!(closed.unwrap_err().is_connect(), "nobody listens any more");
    server.restart().await;
    let done = browser.follow(page).await;
    assert!(done.answer().contains_key("code"));
}
