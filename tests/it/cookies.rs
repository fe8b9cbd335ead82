//! Our cookies (T54): names, attributes, and who never sets any.

use portico::simulator::people::{ANN_LEE, JO_SMITH};
use reqwest::header::ORIGIN;

use crate::harness::browser::{Browser, http_client};
use crate::harness::server::TestServer;
use crate::harness::steps::{AWAY, SESSION, TO_AIM18};

/// The attributes, in lower case and in order.
fn attributes(text: &str) -> Vec<String> {
    let mut attributes: Vec<String> = text
        .split(';')
        .map(|attribute| attribute.trim().to_ascii_lowercase())
        .collect();
    attributes.sort();
    attributes
}

#[tokio::test]
async fn on_a_loopback_issuer_cookies_are_lax_and_out_of_reach_of_scripts() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let entry = browser.submit(&page, TO_AIM18, &[]).await;
    let away = browser.cookie(&server, AWAY).unwrap();
    assert_eq!(
        attributes(&away.attributes),
        ["httponly", "max-age=900", "path=/", "samesite=lax"]
    );
    let back = browser.at_aim18(&entry, ANN_LEE).await;
    browser.follow(back).await;
    let session = browser.cookie(&server, SESSION).unwrap();
    // Without a lifetime: it ends with the browser, and at the server before.
    assert_eq!(
        attributes(&session.attributes),
        ["httponly", "path=/", "samesite=lax"]
    );
    let flow = browser.flows().pop().unwrap();
    assert_eq!(
        attributes(&browser.cookie(&server, &flow).unwrap().attributes),
        ["httponly", "max-age=86400", "path=/", "samesite=lax"]
    );
    for name in browser.cookie_names() {
        assert!(
            name.starts_with("portico-") || name == "JSESSIONID",
            "{name}"
        );
    }
}

/// Behind a proxy that ends TLS, the issuer alone says that browsers come by https.
#[tokio::test]
async fn on_an_https_issuer_cookies_are_bound_to_the_host() {
    let server = TestServer::start_with(|setup| {
        setup.issuer = "https://login.example.org".to_owned();
    })
    .await;
    let mut browser = Browser::new();
    let here = format!("http://{}", server.address);
    let url = server
        .authorize_url("spa", &[])
        .replace(&server.issuer, &here);
    let page = browser.open(&url).await;
    browser.submit_only(&page, TO_AIM18, &[]).await;
    let page = browser.sign_in_as(&page, JO_SMITH).await;
    assert!(page.answer().contains_key("code"));
    let names: Vec<String> = browser.cookie_names().into_iter().map(Into::into).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for name in &names {
        assert!(name.starts_with("__Host-portico-"), "{name}");
        let cookie = browser.cookie_at("127.0.0.1", name).unwrap();
        let attributes = attributes(&cookie.attributes);
        for wanted in ["secure", "httponly", "path=/", "samesite=lax"] {
            assert!(
                attributes.iter().any(|a| a == wanted),
                "{name}: {attributes:?}"
            );
        }
        assert!(!attributes.iter().any(|a| a.starts_with("domain")));
    }
    assert_eq!(page.header("strict-transport-security"), "max-age=31536000");
    // The name without the prefix, which another host of the domain could set, is not looked at.
    let secret = browser
        .cookie_at("127.0.0.1", "__Host-portico-session")
        .unwrap();
    let mut planted = Browser::new();
    planted.set_cookie("127.0.0.1", SESSION, &secret.value);
    let silent = format!("{url}&prompt=none");
    let page = planted.get(&silent).await;
    assert_eq!(page.answer()["error"], "login_required");
    assert!(browser.get(&silent).await.answer().contains_key("code"));
}

/// T54, T55: what scripts of other sites may read never touches the browser's cookies.
#[tokio::test]
async fn endpoints_for_scripts_neither_set_nor_read_cookies() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    assert!(page.answer().contains_key("code"));
    let cookie = format!("{SESSION}={}", browser.session(&server).unwrap());
    for (method, path) in [
        ("GET", "/.well-known/openid-configuration"),
        ("GET", "/.well-known/oauth-authorization-server"),
        ("GET", "/jwks"),
        ("GET", "/userinfo"),
        ("POST", "/userinfo"),
        ("POST", "/token"),
        ("OPTIONS", "/token"),
        ("OPTIONS", "/userinfo"),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = http_client().request(method, server.url(path));
        let request = request
            .header(ORIGIN, "https://spa.example.org")
            .header("access-control-request-method", "POST")
            .header("cookie", &cookie);
        let response = request.send().await.unwrap();
        let headers = response.headers();
        assert!(!headers.contains_key("set-cookie"), "{path}");
        assert!(
            !headers.contains_key("access-control-allow-credentials"),
            "{path}"
        );
        if path == "/userinfo" {
            assert_ne!(response.status(), 405);
            assert!(!response.text().await.unwrap().contains("\"sub\""));
        }
    }
    for path in [
        "/login",
        "/authorize",
        "/consent",
        "/end_session",
        "/end_session/returned",
        "/upstream/members/signed_out",
        "/authorize/resume",
    ] {
        let request = http_client()
            .get(server.url(path))
            .header(ORIGIN, "https://spa.example.org");
        let headers = request.send().await.unwrap().headers().clone();
        assert!(
            !headers.contains_key("access-control-allow-origin"),
            "{path}"
        );
    }
}

/// Design, section 4: who reads the database can use nothing in it.
#[tokio::test]
async fn the_database_does_not_hold_what_the_cookies_hold() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    let secret = browser.session(&server).unwrap();
    assert_eq!(secret.len(), 43, "256 bits");
    let pool = server.database.pool().await;
    let (id, hash): (String, String) = sqlx::query_as("SELECT id, secret_hash FROM session")
        .fetch_one(&pool)
        .await
        .unwrap();
    let silent = server.authorize_url("spa", &[("prompt", "none")]);
    for stored in [id, hash] {
        assert_ne!(stored, secret);
        let mut thief = Browser::new();
        thief.set_cookie("127.0.0.1", SESSION, &stored);
        let page = thief.get(&silent).await;
        assert_eq!(page.answer()["error"], "login_required");
    }
}

/// T48: a header full of cookies is no reason to fail, and ours are found among a few others.
#[tokio::test]
async fn other_cookies_do_no_harm() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    for number in 0..20 {
        browser.set_cookie("127.0.0.1", &format!("a{number}"), "x=y=\"z\"");
    }
    let page = browser.get(server.authorize_url("spa", &[])).await;
    assert!(page.answer().contains_key("code"));
    for number in 0..300 {
        browser.set_cookie("127.0.0.1", &format!("portico-flow-{number}"), "1.x");
    }
    let page = browser.get(server.authorize_url("spa", &[])).await;
    assert!(page.status.is_redirection(), "{}", page.status);
}

/// Somebody else's page can post requests to `/authorize`, and our cookies stay at home then: still no more flows pile up
/// in the browser than four (T48), for too many would have every later request refused.
#[tokio::test]
async fn requests_posted_by_other_sites_do_not_fill_the_cookie_jar() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    for number in 0..10 {
        server.clock.advance(1);
        let url = server.authorize_url("spa", &[("state", &number.to_string())]);
        let url = url::Url::parse(&url).unwrap();
        let fields: Vec<_> = url.query_pairs().collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
        let answer = browser
            .post_cross_site(server.url("/authorize"), &fields)
            .await;
        let page = browser.follow(answer).await;
        assert!(page.is_login());
        assert!(browser.flows().len() <= 4, "{:?}", browser.flows());
    }
}

/// nginx, for one, takes 8 kB for a header line.
#[tokio::test]
async fn four_long_requests_fit_into_a_proxys_header_line() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    for length in [300, 1000, 1000, 1800] {
        let state = "s".repeat(length);
        let url = server.authorize_url("spa", &[("state", &state)]);
        assert!(browser.open(url).await.is_login());
    }
    let flows = browser.flows();
    assert_eq!(flows.len(), 4);
    let value = |name| browser.cookie(&server, name).unwrap().value.len();
    let bytes: usize = flows.iter().map(|name| name.len() + value(name) + 3).sum();
    assert!(bytes < 7000, "{bytes}");
}
