//! Errors of ours, and whatever else a browser may be made to send: a page with a number, never a panic.

use portico::simulator::people::JO_SMITH;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::browser::Browser;
use crate::harness::server::TestServer;

/// The database fails in the middle: a calm page with a number, the spec's error for clients, and all is well again
/// once it is mended.
#[tokio::test]
async fn a_failing_database_is_a_server_error_at_each_endpoint_and_passes() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let form = browser.choose(&page, "members").await;
    let tokens = server.tokens("spa", "openid offline_access").await;
    let pool = server.database.pool().await;
    let tables = ["client", "session", "token_family"];
    for table in tables {
        let away = format!("ALTER TABLE {table} RENAME TO {table}_away");
        sqlx::query(sqlx::AssertSqlSafe(away))
            .execute(&pool)
            .await
            .unwrap();
    }
    // Clients are kept for a second: one that was asked for already would be found.
    let authorize = browser.get(server.authorize_url("web", &[])).await;
    let failed = browser.sign_in_as(&form, JO_SMITH).await;
    let logout = {
        let mut browser = Browser::new();
        browser.set_cookie("127.0.0.1", crate::harness::steps::SESSION, "x");
        browser.get(server.url("/end_session")).await
    };
    for page in [authorize, failed, logout] {
        assert_eq!(page.status, 500, "{}", page.url);
        assert_eq!(page.location(), None);
        assert!(page.body.contains("Something went wrong on our side"));
        let id = page.header("x-request-id");
        assert!(page.text(".id").unwrap().contains(id), "{}", page.body);
        for inside in ["token_family", "client_away", "sqlx", "table"] {
            assert!(!page.body.contains(inside), "{}", page.body);
        }
    }
    let refused = server.refresh("spa", tokens.text("refresh_token")).await;
    refused.assert_error(500, "server_error");
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.status, 500);
    assert_eq!(userinfo.body["error"], "server_error");
    for table in tables {
        let back = format!("ALTER TABLE {table}_away RENAME TO {table}");
        sqlx::query(sqlx::AssertSqlSafe(back))
            .execute(&pool)
            .await
            .unwrap();
    }
    let done = browser.sign_in_as(&form, JO_SMITH).await;
    assert_eq!(done.answer()["state"], "the-state", "the flow was kept");
    let refreshed = server.refresh("spa", tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200);
}

/// The number on the page is the one in the header and in the log, and each request has its own.
#[tokio::test]
async fn an_error_page_carries_the_number_of_its_request() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    browser.headers.push((
        "x-request-id".to_owned(),
        "chosen-by-the-browser".to_owned(),
    ));
    let mut numbers = std::collections::BTreeSet::new();
    for path in [
        "/authorize",
        "/authorize?client_id=nobody",
        "/login",
        "/nothing",
        "/end_session?id_token_hint=x",
        "/upstream/staff/callback",
    ] {
        let page = browser.get(server.url(path)).await;
        let id = page.header("x-request-id").to_owned();
        assert_ne!(id, "chosen-by-the-browser");
        assert!(
            page.text(".id").unwrap().ends_with(&id),
            "{path}: {}",
            page.body
        );
        assert!(numbers.insert(id), "{path}");
    }
}

/// T48: too large is refused before it is read.
#[tokio::test]
async fn what_is_too_large_is_refused() {
    let server = TestServer::start().await;
    let large = "x".repeat(17 * 1024);
    let mut browser = Browser::new();
    let page = browser
        .get(server.url(&format!("/authorize?client_id={large}")))
        .await;
    assert_eq!(page.status, 400);
    for path in [
        "/login",
        "/consent",
        "/end_session",
        "/authorize",
        "/token",
        "/userinfo",
    ] {
        let page = browser
            .post(server.url(path), &[("client_id", &large)])
            .await;
        assert!(page.status.is_client_error(), "{path}: {}", page.status);
    }
}

/// A generator that gives the same garbage on every run, so that a failure can be seen again.
struct Garbage(u64);

impl Garbage {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// Percent-encoded bytes of every kind, and now and then a broken encoding.
    fn value(&mut self) -> String {
        match self.below(8) {
            0 => self.one_of(VALUES).to_owned(),
            1 => "%".repeat(self.below(4)),
            2 => "A".repeat(self.below(3000)),
            3 => "%F0%9F%98%80%E2%80%AE%00".to_owned(),
            _ => {
                let bytes: Vec<u8> = (0..self.below(40))
                    .map(|_| u8::try_from(self.below(256)).unwrap())
                    .collect();
                percent_encoding::percent_encode(&bytes, percent_encoding::NON_ALPHANUMERIC)
                    .to_string()
            }
        }
    }

    fn parameters(&mut self, known: &[(&str, &str)]) -> String {
        let mut pairs: Vec<String> = Vec::new();
        for (name, value) in known {
            if self.below(4) > 0 {
                pairs.push(format!("{name}={value}"));
            }
        }
        for _ in 0..self.below(6) {
            let name = if self.below(5) == 0 {
                self.value()
            } else {
                self.one_of(NAMES).to_owned()
            };
            pairs.push(format!("{name}={}", self.value()));
        }
        pairs.join(self.one_of(&["&", "&", "&", "&&", ";", "&="]))
    }

    /// A header's value: any byte that a header can carry.
    fn header(&mut self) -> Vec<u8> {
        (0..self.below(60))
            .map(|_| match self.below(256) {
                0..=31 | 127 => b' ',
                byte => u8::try_from(byte).unwrap(),
            })
            .collect()
    }
}

const NAMES: &[&str] = &[
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "prompt",
    "max_age",
    "ui_locales",
    "login_hint",
    "id_token_hint",
    "code_challenge",
    "code_challenge_method",
    "flow",
    "form_token",
    "shown",
    "upstream",
    "username",
    "password",
    "action",
    "decision",
    "code",
    "grant_type",
    "refresh_token",
    "code_verifier",
    "client_secret",
    "access_token",
    "logout",
    "post_logout_redirect_uri",
    "error",
    "request",
    "claims",
];
const VALUES: &[&str] = &[
    "",
    "spa",
    "web",
    "code",
    "openid",
    "none",
    "0",
    "-1",
    "99999999999999999999",
    "true",
    "null",
    "https%3A%2F%2Fspa.example.org%2Fcallback",
    "members",
    "staff",
    "allow",
    "continue",
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "S256",
    "form_post",
    "query",
    "AAAAAAAAAAAAAAAAAAAAAA.0.AAAA",
    "eyJhbGciOiJub25lIn0.e30.",
    "..",
    "a.b.c",
    "1.row.x",
];
const PATHS: &[&str] = &[
    "/authorize",
    "/authorize/resume",
    "/login",
    "/consent",
    "/token",
    "/userinfo",
    "/end_session",
    "/end_session/returned",
    "/upstream/members/signed_out",
    "/upstream/members/landing/Portico",
    "/upstream/staff/start",
    "/upstream/staff/callback",
    "/upstream/members/callback",
    "/jwks",
    "/.well-known/openid-configuration",
    "/assets/portico.css",
    "/",
    "/%ff",
    "/upstream/%ff/start",
];

/// What arrives is answered, whatever it is; a panic would be a 500, too.
#[tokio::test]
async fn garbage_never_gives_a_server_error() {
    let server = TestServer::start().await;
    // A browser that is in the middle of everything, so that garbage gets far.
    let mut browser = Browser::new();
    let consent = browser
        .log_in_as(server.authorize_url("asking", &[]), JO_SMITH)
        .await;
    let login = browser
        .open(server.authorize_url("spa", &[("prompt", "login")]))
        .await;
    let token = |page: &crate::harness::browser::Page| {
        page.attribute("input[name=form_token]", "value").unwrap()
    };
    let pages = [
        (consent.flow(), token(&consent)),
        (login.flow(), token(&login)),
    ];
    let cookies: Vec<String> = browser
        .cookie_names()
        .into_iter()
        .map(|name| {
            let cookie = browser.cookie(&server, name).unwrap();
            format!("{name}={}", cookie.value)
        })
        .collect();
    let mut garbage = Garbage(0x005E_ED0F_6A4B_A6E5);
    for round in 0..1500 {
        let (flow, form_token) = &pages[garbage.below(2)];
        let known = [
            ("flow", flow.as_str()),
            ("form_token", form_token.as_str()),
            ("upstream", "members"),
            ("client_id", "spa"),
        ];
        let path = garbage.one_of(PATHS);
        let method = garbage.one_of(&[
            "GET", "GET", "POST", "POST", "POST", "PUT", "HEAD", "OPTIONS",
        ]);
        let query = garbage.parameters(&known);
        let body = garbage.parameters(&known);
        let mut cookie = match garbage.below(3) {
            0 => garbage.header(),
            1 => cookies.join("; ").into_bytes(),
            _ => format!(
                "portico-session={}; portico-away={}; portico-flow-{flow}={}; =; ;a",
                garbage.value(),
                garbage.value(),
                garbage.one_of(VALUES)
            )
            .into_bytes(),
        };
        let kind = garbage.one_of(&[
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=utf-8",
            "application/json",
            "multipart/form-data; boundary=x",
            "",
        ]);
        let scheme = garbage.one_of(&["Basic ", "Bearer ", "bearer ", "", "Basic"]);
        let mut authorization = scheme.as_bytes().to_vec();
        authorization.extend(garbage.header());
        let mut request = format!(
            "{method} {path}?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\nCookie: ",
            body.len()
        )
        .into_bytes();
        request.append(&mut cookie);
        for header in [
            "Authorization",
            "Accept-Language",
            "X-Forwarded-For",
            "Origin",
        ] {
            if garbage.below(3) == 0 {
                request.extend(format!("\r\n{header}: ").into_bytes());
                let value = if header == "Authorization" {
                    authorization.clone()
                } else {
                    garbage.header()
                };
                request.extend(value);
            }
        }
        request.extend(b"\r\n\r\n");
        request.extend(body.as_bytes());
        let status = status_of(&server, &request).await;
        assert!(
            (200..500).contains(&status),
            "{status} in round {round}: {}",
            String::from_utf8_lossy(&request)
        );
    }
    let page = Browser::new()
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    assert!(page.answer().contains_key("code"), "and all is well");
}

/// The status that a request is answered with, byte by byte as it stands.
async fn status_of(server: &TestServer, request: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let line = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
    line.strip_prefix("HTTP/1.1 ")
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no answer to {}", String::from_utf8_lossy(request)))
}

/// Header limits: what no browser sends is refused, and the next one is served.
#[tokio::test]
async fn endless_headers_are_refused() {
    let server = TestServer::start().await;
    let many = "X-Many: x\r\n".repeat(500);
    let long = format!("X-Long: {}\r\n", "x".repeat(600 * 1024));
    for headers in [many, long] {
        let request = format!("GET /login HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // The server may hang up before it has read everything.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer}"
        );
    }
    let page = Browser::new().get(server.url("/jwks")).await;
    assert_eq!(page.status, 200);
}
