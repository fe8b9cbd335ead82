//! What a stranger can make the server do: how much it reads, what it keeps, which paths and which scripts reach it
//! (T48, T50, T53, T55).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use portico::simulator::people;
use reqwest::Method;
use reqwest::header::{HeaderMap, ORIGIN};
use sqlx::AssertSqlSafe;
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

/// How many rows each table of the schema has.
async fn rows(server: &TestServer) -> BTreeMap<String, i64> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let pool = server.database.pool().await;
    let mut rows = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for table in text.split("CREATE TABLE ").skip(1) {
            let table = table.split(' ').next().unwrap().to_owned();
            let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            let count: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.unwrap();
            rows.insert(table, count);
        }
    }
    pool.close().await;
    assert!(rows.contains_key("pending_request"), "{rows:?}");
    rows
}

/// Design, section 4: before a login nothing is stored, so that strangers cannot fill the database.
#[tokio::test]
async fn nothing_is_stored_before_somebody_has_logged_in() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let before = rows(&server).await;
    assert_eq!(before["client"], 6);
    for changes in [
        [("state", "x")],
        [("prompt", "none")],
        [("prompt", "nonsense")],
        [("client_id", "nobody")],
        [("state", &"x".repeat(1000))],
    ] {
        browser.open(server.authorize_url("spa", &changes)).await;
    }
    let fields = [
        ("client_id", "spa"),
        ("redirect_uri", "https://spa.example.org/callback"),
        ("response_type", "code"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let page = browser
        .post_cross_site(server.url("/authorize"), &fields)
        .await;
    let page = browser.follow(page).await;
    let form = browser.choose(&page, "members").await;
    browser
        .submit(
            &form,
            PASSWORD_FORM,
            &[("username", "JSMITH"), ("password", "")],
        )
        .await;
    browser
        .submit_only(&page, "form[action='/upstream/staff/start']", &[])
        .await;
    browser
        .get(server.url("/upstream/staff/callback?code=x"))
        .await;
    browser.get(server.url("/end_session")).await;
    server.redeem("spa", "x", &[]).await;
    server.refresh("spa", "x.0.x").await;
    server.userinfo("x").await;
    let mut after = rows(&server).await;
    // Attempts are counted, or passwords could be guessed without end: two hashes, and no name.
    assert_eq!(after.insert("throttle".to_owned(), 0), Some(2));
    assert_eq!(after, before);

    browser
        .submit(
            &form,
            PASSWORD_FORM,
            &[
                ("username", "JSMITH"),
                ("password", people::JO_SMITH.password),
            ],
        )
        .await;
    let after = rows(&server).await;
    for table in ["account", "session", "authorization_code"] {
        assert_eq!(after[table], 1, "{table}");
    }
    assert_eq!(after["pending_request"], 0);
}

/// Design, section 4: what no cookie can hold gets a row, one for each flow, until it is answered.
#[tokio::test]
async fn a_request_too_large_for_a_cookie_is_kept_in_a_row() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let state = "\u{1f980}".repeat(512);
    let nonce = "n".repeat(512);
    let hint = "h".repeat(256);
    let changes = [
        ("state", state.as_str()),
        ("nonce", &nonce),
        ("login_hint", &hint),
    ];
    let url = server.authorize_url("asking", &changes);
    let page = browser.open(&url).await;
    assert_eq!(rows(&server).await["pending_request"], 1);
    let flow = browser.flows().pop().unwrap();
    let value = &browser.cookie(&server, &flow).unwrap().value;
    assert!(value.len() < 100 && value.contains(".row."), "{value}");

    // The handle and the row are worth nothing without the cookie of this browser.
    let mut stranger = Browser::new();
    assert_eq!(stranger.get(&page.url).await.status, 400);
    let forged = value.replace(".row.", ".row.A");
    stranger.set_cookie("127.0.0.1", &flow, &forged);
    assert_eq!(stranger.get(&page.url).await.status, 400);

    let form = browser.choose(&page, "members").await;
    let jo = people::JO_SMITH;
    let credentials = [("username", jo.username), ("password", jo.password)];
    let consent = browser.submit(&form, PASSWORD_FORM, &credentials).await;
    assert_eq!(consent.url.path(), "/consent");
    assert_eq!(rows(&server).await["pending_request"], 1, "one row a flow");
    let page = browser
        .submit(&consent, "form", &[("decision", "allow")])
        .await;
    assert_eq!(page.answer()["state"], state);
    assert_eq!(rows(&server).await["pending_request"], 0, "answered");
    // The back button explains.
    assert_eq!(browser.get(&consent.url).await.status, 200);
    let tokens = server.redeem("asking", &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200);
}

/// Strangers make such rows without a login; of one address there are only so many, and whoever finishes gives theirs back.
#[tokio::test]
async fn large_requests_of_one_address_do_not_fill_the_database() {
    let server = TestServer::start_with(|setup| {
        setup.sections =
            "[login]\nrefusal_floor = \"0s\"\nmax_attempts_per_address = 5\n".to_owned();
    })
    .await;
    let state = "s".repeat(2000);
    let nonce = "n".repeat(500);
    let changes = [("state", state.as_str()), ("nonce", &nonce)];
    let url = server.authorize_url("spa", &changes);
    for _ in 0..4 {
        assert_eq!(Browser::new().open(&url).await.status, 200);
    }
    for _ in 0..3 {
        let page = Browser::new().log_in_as(&url, people::JO_SMITH).await;
        assert_eq!(page.answer()["state"], state);
    }
    assert_eq!(Browser::new().open(&url).await.status, 200);
    for _ in 0..5 {
        let refused = Browser::new().open(&url).await;
        assert_eq!(refused.status, 400);
        assert!(refused.body.contains("shorter state"), "{}", refused.body);
    }
    assert_eq!(rows(&server).await["pending_request"], 5);
    let short = server.authorize_url("spa", &[]);
    assert_eq!(Browser::new().open(short).await.status, 200);
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

/// The headers that a script's request of `origin` gets; OPTIONS: its preflight.
async fn with_origin(
    http: &reqwest::Client,
    (method, url): (&Method, &str),
    origin: &str,
) -> HeaderMap {
    let mut request = http.request(method.clone(), url).header(ORIGIN, origin);
    if method == Method::OPTIONS {
        request = request
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type",
            );
    }
    request.send().await.unwrap().headers().clone()
}

/// T55: scripts of registered origins, without credentials, and nobody else's.
#[tokio::test]
async fn scripts_of_registered_origins_may_read_the_endpoints_for_scripts() {
    let server = TestServer::start().await;
    let http = http_client();
    for (path, method) in [
        ("/token", Method::POST),
        ("/userinfo", Method::GET),
        ("/userinfo", Method::POST),
        ("/jwks", Method::GET),
        ("/.well-known/openid-configuration", Method::GET),
        ("/.well-known/oauth-authorization-server", Method::GET),
    ] {
        let url = server.url(path);
        for method in [Method::OPTIONS, method] {
            let request = (&method, url.as_str());
            for origin in [
                "https://spa.example.org",
                "https://web.example.org",
                "http://127.0.0.1",
            ] {
                let headers = with_origin(&http, request, origin).await;
                let allowed = headers.get("access-control-allow-origin");
                assert!(
                    allowed.is_some_and(|allowed| allowed == origin),
                    "{request:?} {origin}"
                );
                assert!(!headers.contains_key("access-control-allow-credentials"));
                let lower = |name: &str| headers[name].to_str().unwrap().to_ascii_lowercase();
                assert!(lower("vary").contains("origin"));
                if method == Method::OPTIONS {
                    assert!(lower("access-control-allow-methods").contains("post"));
                    let names = lower("access-control-allow-headers");
                    assert!(names.contains("authorization") && names.contains("content-type"));
                } else {
                    // So that a script reads why it was refused.
                    assert_eq!(lower("access-control-expose-headers"), "www-authenticate");
                }
            }
            for origin in [
                "null",
                "https://evil.example",
                "http://spa.example.org",
                "https://spa.example.org:8443",
                "https://spa.example.org.evil.example",
                "https://evil.example/https://spa.example.org",
                "https://SPA.example.org",
                "https://spa.example.org/",
                "http://127.0.0.1:8080",
                "*",
                "",
            ] {
                let headers = with_origin(&http, request, origin).await;
                let allowed = headers.get("access-control-allow-origin");
                assert!(allowed.is_none(), "{request:?} {origin}");
            }
        }
    }
}

/// T55: where a person is sent, no script has anything to read.
#[tokio::test]
async fn no_script_may_read_a_page() {
    let server = TestServer::start().await;
    let http = http_client();
    for path in [
        "/authorize",
        "/authorize/resume",
        "/login",
        "/consent",
        "/end_session",
        "/upstream/staff/start",
        "/upstream/staff/callback",
        "/nowhere",
    ] {
        let url = server.url(path);
        for method in [Method::OPTIONS, Method::GET, Method::POST] {
            let request = (&method, url.as_str());
            let headers = with_origin(&http, request, "https://spa.example.org").await;
            assert!(
                !headers.contains_key("access-control-allow-origin"),
                "{request:?}"
            );
        }
    }
}
