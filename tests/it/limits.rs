//! What a stranger can make the server do: how much it reads, which paths lead where, what others may keep (T48, T50,
//! T53).

use std::net::SocketAddr;

use portico::simulator::people;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::browser::{Browser, PASSWORD_FORM, http_client};
use crate::harness::relying_party::CHALLENGE;
use crate::harness::server::TestServer;
use crate::harness::steps::{FLOW, SESSION};

/// T48: each at its cap, and one byte more.
#[tokio::test]
async fn parameters_have_caps() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    for (name, cap, error) in [
        ("state", 2048, "invalid_request"),
        ("nonce", 512, "invalid_request"),
        ("login_hint", 256, "invalid_request"),
        ("ui_locales", 256, "invalid_request"),
        ("id_token_hint", 8192, "invalid_request"),
        ("code_challenge", 43, "invalid_request"),
        ("scope", 2048, "invalid_scope"),
    ] {
        let mut text = match name {
            "scope" => "openid ".repeat(cap / 7) + &" ".repeat(cap % 7),
            "code_challenge" => CHALLENGE.to_owned(),
            _ => "x".repeat(cap),
        };
        let page = browser
            .get(server.authorize_url("spa", &[(name, &text)]))
            .await;
        if name == "id_token_hint" {
            assert!(page.answer()["error_description"].contains("not an ID token"));
        } else {
            assert_eq!(page.location().unwrap().path(), "/login", "{name}");
        }
        text.push('x');
        let answer = browser
            .get(server.authorize_url("spa", &[(name, &text)]))
            .await
            .answer();
        assert_eq!(answer["error"], error, "{name}");
        assert_eq!(answer.contains_key("state"), name != "state", "{name}");
    }
    for (name, cap) in [("client_id", 256), ("redirect_uri", 2048)] {
        let text = format!("https://spa.example.org/{}", "x".repeat(cap));
        let page = browser
            .get(server.authorize_url("spa", &[(name, &text)]))
            .await;
        assert_eq!(page.status, 400, "{name}");
        assert!(page.location().is_none());
    }
}

/// T48: the whole of a request, and the number of its parts.
#[tokio::test]
async fn requests_have_caps() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    let parameters = |count: usize| {
        let more: Vec<String> = (0..count).map(|index| format!("p{index}=x")).collect();
        format!("{url}&{}", more.join("&"))
    };
    let page = browser.get(parameters(64 - 8)).await;
    assert_eq!(page.location().unwrap().path(), "/login");
    assert_eq!(browser.get(parameters(65 - 8)).await.status, 400);

    let padded = |length: usize| {
        let query = url.split_once('?').unwrap().1.len() + "&p=".len();
        format!("{url}&p={}", "x".repeat(length - query))
    };
    let page = browser.get(padded(16 * 1024)).await;
    assert_eq!(page.location().unwrap().path(), "/login");
    let page = browser.get(padded(16 * 1024 + 1)).await;
    assert_eq!((page.status.as_u16(), page.location()), (400, None));

    for path in [
        "/authorize",
        "/token",
        "/userinfo",
        "/login",
        "/consent",
        "/end_session",
    ] {
        let form = "application/x-www-form-urlencoded";
        let request = http_client()
            .post(server.url(path))
            .header("content-type", form);
        let announced = request.body("x".repeat(16 * 1024 + 1));
        let response = announced.send().await.unwrap();
        assert_eq!(response.status(), 413, "{path}");
        let kind = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let expected = match path {
            "/token" | "/userinfo" => "application/json",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(kind, expected, "{path}");
        let chunk = "x".repeat(4096);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {form}\r\nTransfer-Encoding: chunked\r\n"
        );
        let body = format!("1000\r\n{chunk}\r\n").repeat(5) + "0\r\n\r\n";
        let answer = raw(
            server.address,
            &format!("{head}Connection: close\r\n\r\n{body}"),
        )
        .await;
        let status: u16 = answer.split(' ').nth(1).unwrap().parse().unwrap();
        assert!((400..500).contains(&status), "{path}: {answer}");
    }
    // What is not there, or is switched off, is not there for large requests, either.
    for path in ["/nowhere", "/register", "/api", "/token/"] {
        for length in [1, 16 * 1024 + 1] {
            let request = http_client().post(server.url(path));
            let answer = request.body("x".repeat(length)).send().await.unwrap();
            assert_eq!(answer.status(), 404, "{path} {length}");
        }
    }
}

/// T48: of the cookies of a whole site, the first sixty-four are looked at.
#[tokio::test]
async fn cookies_beyond_the_sixty_fourth_are_not_read() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    browser.log_in_as(&url, people::JO_SMITH).await;
    browser.forget(FLOW);
    for (others, path) in [(63, "/callback"), (64, "/login")] {
        for index in 0..others {
            browser.set_cookie("127.0.0.1", &format!("a{index}"), "x");
        }
        assert!(browser.cookie(&server, SESSION).is_some());
        let page = browser.get(&url).await;
        assert_eq!(page.location().unwrap().path(), path, "{others}");
        browser.forget(FLOW);
    }
}

/// Sends exactly these bytes: clients tidy paths up before they send them.
async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn raw_get(address: SocketAddr, path: &str) -> String {
    raw(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    )
    .await
}

/// T50: a path is what it says, letter by letter, and an operator's paths are on their own listener.
#[tokio::test]
async fn no_spelling_of_a_path_leads_elsewhere() {
    let server = TestServer::start().await;
    for path in [
        "/health/live",
        "/health/ready",
        "/metrics",
        "//health/live",
        "/assets/../health/live",
        "/assets/..;/health/live",
        "/assets/%2e%2e/health/live",
        "/health%2flive",
        "/;/health/live",
        "/jwks/",
        "/jwks;x",
        "//jwks",
        "/./jwks",
        "/x/../jwks",
        "/%6awks",
        "/JWKS",
        "/jwks%00",
        "/.well-known/../jwks",
        "/",
    ] {
        let answer = raw_get(server.address, path).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    assert!(
        raw_get(server.address, "/jwks?x")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        raw_get(server.internal, "/health/ready")
            .await
            .starts_with("HTTP/1.1 200")
    );
    for path in ["/authorize", "/token", "/userinfo", "/jwks", "/login"] {
        let answer = raw_get(server.internal, path).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
}

/// T53: what is about somebody is kept by nobody; what is about the server may be.
#[tokio::test]
async fn only_what_is_public_may_be_cached() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("asking", &[]);
    let begun = browser.get(&url).await;
    let choice = browser.get(begun.location().unwrap()).await;
    let form = browser.choose(&choice, "members").await;
    let away = browser
        .submit_only(&choice, "form[action='/upstream/staff/start']", &[])
        .await;
    let back = browser
        .get(server.url("/upstream/staff/callback?code=x"))
        .await;
    let wrong = [("username", "JSMITH"), ("password", "wrong")];
    let refused = browser.submit_only(&form, PASSWORD_FORM, &wrong).await;
    let jo = people::JO_SMITH;
    let credentials = [("username", jo.username), ("password", jo.password)];
    let logged_in = browser
        .submit_only(&form, PASSWORD_FORM, &credentials)
        .await;
    let resumed = browser.get(logged_in.location().unwrap()).await;
    let consent = browser.get(resumed.location().unwrap()).await;
    let agreed = browser
        .submit_only(&consent, "form", &[("decision", "allow")])
        .await;
    let answered = browser.get(agreed.location().unwrap()).await;
    assert!(answered.answer().contains_key("code"));
    let logout = browser.get(server.url("/end_session")).await;
    let lost = browser.get(server.url("/nowhere")).await;
    let method = browser.get(server.url("/token")).await;
    let query = browser.get(server.url("/userinfo")).await;
    for page in [
        begun, choice, form, away, back, refused, logged_in, resumed, consent, agreed, answered,
        logout, lost, method, query,
    ] {
        assert_eq!(page.header("cache-control"), "no-store", "{}", page.url);
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
    }
    for path in [
        "/jwks",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/assets/portico.css",
    ] {
        let page = browser.get(server.url(path)).await;
        let caching = page.header("cache-control");
        assert!(caching.starts_with("public, max-age="), "{path}: {caching}");
    }
}
