//! Where an answer goes, and where it never goes (RFC 6749 section 3.1.2, RFC 9700 section 4.1; T1 to T5, T9).

use portico::simulator::people;

use crate::harness::browser::{Browser, PASSWORD_FORM, Page};
use crate::harness::relying_party::{CHALLENGE, redirect_uri};
use crate::harness::server::{Setup, TestServer};

/// More clients: one registered with a query, ones with the two other kinds of loopback address, one that never sends
/// anybody anywhere.
fn more_clients(setup: &mut Setup) {
    setup.clients = r#"
[[clients]]
client_id = "query"
token_endpoint_auth_method = "none"
redirect_uris = ["https://query.example.org/callback?tenant=1"]

[[clients]]
client_id = "native"
token_endpoint_auth_method = "none"
redirect_uris = ["http://localhost/callback", "http://[::1]/callback", "com.example.app:/callback"]

[[clients]]
client_id = "machine"
client_secret = { env = "SERVICE_SECRET" }
grant_types = ["client_credentials"]
redirect_uris = ["https://machine.example.org/callback"]
scope = "reports:read"
"#
    .to_owned();
}

const MODES: [&str; 7] = [
    "",
    "query",
    "fragment",
    "form_post",
    "jwt",
    "form_post.jwt",
    "\"><script>",
];

/// An error page of ours: nothing redirects, nothing can be submitted, nothing runs.
fn assert_stays_here(page: &Page, what: &str) {
    assert_eq!(page.status, 400, "{what}");
    assert!(page.location().is_none(), "{what}");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(page.text("h1").is_some(), "a page for people: {what}");
    assert!(page.text("details code").is_some(), "{what}");
    for never in ["form", "script", "meta[http-equiv]", "a[href*='evil']"] {
        assert!(page.attribute(never, "href").is_none() && page.text(never).is_none());
    }
    assert!(!page.header("content-security-policy").contains("sha256"));
}

/// T1, T2, T4, T5: by GET and by POST, in every response mode.
#[tokio::test]
async fn an_address_that_is_not_registered_gets_nothing() {
    let server = TestServer::start_with(more_clients).await;
    let mut browser = Browser::new();
    for (client, uri) in [
        ("spa", "https://evil.example/callback"),
        ("spa", "https://spa.example.org/callback/"),
        ("spa", "https://spa.example.org/callback?x=1"),
        ("spa", "https://spa.example.org/callback#x"),
        ("spa", "https://spa.example.org"),
        ("spa", "https://SPA.example.org/callback"),
        ("spa", "HTTPS://spa.example.org/callback"),
        ("spa", "http://spa.example.org/callback"),
        ("spa", "https://spa.example.org:443/callback"),
        ("spa", "https://spa.example.org./callback"),
        ("spa", "https://spa.example.org.evil.example/callback"),
        ("spa", "https://spa.example.org。evil.example/callback"),
        ("spa", "https://spa.example.org@evil.example/callback"),
        ("spa", "https://evil.example@spa.example.org/callback"),
        ("spa", "https://a@b@spa.example.org/callback"),
        ("spa", "https://evil.example\\@spa.example.org/callback"),
        ("spa", "https://spa.example.org/x/../callback"),
        ("spa", "https://spa.example.org/x/..;/callback"),
        ("spa", "https://spa.example.org/%2e%2e/callback"),
        ("spa", "https://spa.example.org/%252e%252e/callback"),
        (
            "spa",
            "https://spa.example.org/callback\r\nLocation: https://evil.example",
        ),
        ("spa", "https://spa.example.org/call\tback"),
        ("spa", " https://spa.example.org/callback"),
        ("spa", "//spa.example.org/callback"),
        ("spa", "/callback"),
        ("spa", "JavaScript:alert(1)"),
        ("spa", "data:text/html,<script>alert(1)</script>"),
        ("spa", "vbscript:x"),
        ("spa", "blob:https://spa.example.org/x"),
        ("spa", "http://127.0.0.1:80@evil.example/callback"),
        ("spa", "http://127.0.0.1.evil.example/callback"),
        ("spa", "http://127.0.0.1:99999/callback"),
        ("spa", "http://127.0.0.1:8080/other"),
        ("spa", "http://localhost:8080/callback"),
        ("spa", "http://[::1]:8080/callback"),
        ("spa", "https://127.0.0.1:8080/callback"),
        ("native", "http://localhost:8080/callback"),
        ("native", "com.example.app:/callback/other"),
        ("native", "COM.example.app:/callback"),
        ("query", "https://query.example.org/callback"),
        ("query", "https://query.example.org/callback?tenant=2"),
        ("query", "https://query.example.org/callback?tenant=1&x=1"),
    ] {
        for mode in MODES {
            let changes = [("redirect_uri", uri), ("response_mode", mode)];
            let page = browser.get(server.authorize_url(client, &changes)).await;
            assert_stays_here(&page, uri);
        }
        let fields = [
            ("client_id", client),
            ("redirect_uri", uri),
            ("response_type", "code"),
        ];
        let page = browser.post(server.url("/authorize"), &fields).await;
        assert_stays_here(&page, uri);
    }
    assert!(browser.cookie_names().is_empty(), "and no flow begins");
}

/// T5, T8: without one client that is known there is nobody to answer to.
#[tokio::test]
async fn a_client_that_is_not_known_gets_nothing() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let good = server.authorize_url("spa", &[]);
    let good = good.replace("client_id=spa&", "");
    let long = "x".repeat(300);
    for client in [
        "",
        "client_id=",
        "client_id=nobody",
        "client_id=SPA",
        "client_id=spa%20",
        "client_id=spa&client_id=spa",
        "client_id=spa&client_id=web",
        "client_id=spa&redirect_uri=https://evil.example/",
        "client_id=spa%00",
        "client_id=%ff",
        "client_id=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        &format!("client_id={long}"),
    ] {
        for mode in MODES {
            let mode: String = url::form_urlencoded::byte_serialize(mode.as_bytes()).collect();
            let page = browser
                .get(format!("{good}&response_mode={mode}&{client}"))
                .await;
            assert_stays_here(&page, client);
        }
    }
}

/// RFC 8252 section 7.3: a loopback literal with whatever port the app was given.
#[tokio::test]
async fn a_native_app_chooses_its_port() {
    let server = TestServer::start_with(more_clients).await;
    for (client, uri) in [
        ("spa", "http://127.0.0.1:51234/callback"),
        ("native", "http://[::1]:51234/callback"),
        ("native", "com.example.app:/callback"),
    ] {
        let mut browser = Browser::new();
        let url = server.authorize_url(client, &[("redirect_uri", uri)]);
        let page = browser.log_in_as(url, people::JO_SMITH).await;
        assert_eq!(page.status, 303);
        let location = page.header("location");
        let rest = location
            .strip_prefix(uri)
            .unwrap_or_else(|| panic!("{location}"));
        assert!(rest.starts_with("?code="), "{location}");
    }
}

/// RFC 6749 section 3.1.2.3.
#[tokio::test]
async fn a_redirect_uri_may_be_left_out_where_there_is_only_one() {
    let server = TestServer::start_with(more_clients).await;
    let mut browser = Browser::new();
    let url = server.authorize_url("web", &[("redirect_uri", "")]);
    let page = browser.log_in_as(url, people::JO_SMITH).await;
    assert!(page.header("location").starts_with(&redirect_uri("web")));
    assert!(page.answer().contains_key("code"));
    // Two, three, none.
    for client in ["spa", "native", "service"] {
        let url = server.authorize_url(client, &[("redirect_uri", "")]);
        assert_stays_here(&browser.get(url).await, client);
    }
}

/// RFC 6749 section 3.1.2: the registered query is kept.
#[tokio::test]
async fn what_is_registered_stays_in_the_address() {
    let server = TestServer::start_with(more_clients).await;
    let registered = "https://query.example.org/callback?tenant=1";
    let mut browser = Browser::new();
    for (mode, joint) in [("query", "&"), ("fragment", "#")] {
        let changes = [("redirect_uri", registered), ("response_mode", mode)];
        let url = server.authorize_url("query", &changes);
        let page = match browser.get(&url).await {
            page if page.header("location").starts_with("https:") => page,
            _ => browser.log_in_as(&url, people::JO_SMITH).await,
        };
        let location = page.header("location");
        assert!(
            location.starts_with(&format!("{registered}{joint}code=")),
            "{location}"
        );
        assert_eq!(page.answer()["state"], "the-state");
        let refused = browser.get(format!("{url}&prompt=nonsense")).await;
        let location = refused.header("location");
        assert!(
            location.starts_with(&format!("{registered}{joint}error=")),
            "{location}"
        );
    }
}

/// Characters that end an attribute, a header, a query or a fragment.
const HOSTILE: &str = "\"><script>alert(1)</script>&code=forged#x%0d%0a'`\r\nX: y é";

/// Multiple Response Types section 2.1, RFC 9207 section 2.
#[tokio::test]
async fn a_redirect_carries_the_answer_whole() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    browser
        .log_in_as(server.authorize_url("spa", &[]), people::JO_SMITH)
        .await;
    for (mode, joint) in [("", '?'), ("query", '?'), ("fragment", '#')] {
        let changes = [("response_mode", mode), ("state", HOSTILE)];
        let url = server.authorize_url("spa", &changes);
        for (url, outcome) in [
            (url.clone(), "code"),
            (format!("{url}&prompt=nonsense"), "error"),
        ] {
            let page = browser.get(&url).await;
            assert_eq!(page.status, 303);
            assert_eq!(page.header("cache-control"), "no-store");
            assert!(page.headers.get("x").is_none());
            let expected = format!("{}{joint}{outcome}=", redirect_uri("spa"));
            assert!(page.header("location").starts_with(&expected), "{mode}");
            let answer = page.answer();
            assert_eq!(answer["state"], HOSTILE, "{mode}");
            assert_eq!(answer["iss"], server.issuer, "{mode}");
            assert_eq!(answer.contains_key("code"), outcome == "code");
            assert_ne!(answer.get("code").map(String::as_str), Some("forged"));
        }
    }
    let url = server.authorize_url("spa", &[("state", "")]);
    let answer = browser.get(url).await.answer();
    assert!(
        !answer.contains_key("state"),
        "none was sent, none comes back"
    );
}

/// Form Post Response Mode section 2; T52: every value escaped, and only our script runs.
#[tokio::test]
async fn a_form_carries_the_answer_whole() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    browser
        .log_in_as(server.authorize_url("spa", &[]), people::JO_SMITH)
        .await;
    let changes = [("response_mode", "form_post"), ("state", HOSTILE)];
    let url = server.authorize_url("spa", &changes);
    for (url, outcome) in [
        (url.clone(), "code"),
        (format!("{url}&prompt=nonsense"), "error"),
    ] {
        let page = browser.get(&url).await;
        assert_eq!(page.status, 200);
        assert!(page.location().is_none());
        assert_eq!(page.header("cache-control"), "no-store");
        let (action, values) = page.form("form");
        assert_eq!(action.as_str(), redirect_uri("spa"));
        assert_eq!(page.attribute("form", "method").unwrap(), "post");
        // The parser turns CRLF into LF, as browsers do; on submission they write CRLF again.
        assert_eq!(values["state"].replace('\r', ""), HOSTILE.replace('\r', ""));
        assert_eq!(values["iss"], server.issuer);
        assert!(values.contains_key(outcome));
        assert!(!page.body.contains("<script>alert"));
        assert_eq!(page.body.matches("<script").count(), 1);
        let policy = page.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'sha256-",
            "frame-ancestors 'none'",
            "form-action 'self' https:",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe-inline"));
    }
}

/// RFC 6749 section 4.1.2.1: an error of a proven client goes to the client, in the mode it asked for.
#[tokio::test]
async fn an_unknown_mode_is_told_in_the_default_one() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    for mode in [
        "query.jwt",
        "form_post.jwt",
        "web_message",
        "Query",
        "\"><script>",
    ] {
        let page = browser
            .get(server.authorize_url("spa", &[("response_mode", mode)]))
            .await;
        let expected = format!("{}?error=invalid_request", redirect_uri("spa"));
        assert!(page.header("location").starts_with(&expected), "{mode}");
    }
}

/// A client that may not use the grant is told so, at its own address (RFC 6749 section 4.1.2.1).
#[tokio::test]
async fn a_client_without_the_code_grant_is_told_so() {
    let server = TestServer::start_with(more_clients).await;
    let mut browser = Browser::new();
    let url = server.authorize_url("machine", &[("scope", "reports:read")]);
    let answer = browser.get(url).await.answer();
    assert_eq!(answer["error"], "unauthorized_client");
    assert_eq!(answer["iss"], server.issuer);
}

/// T9: a browser that repeats the POST at the next address would repeat the password, too.
#[tokio::test]
async fn after_a_post_every_redirect_is_303() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let fields = [
        ("client_id", "asking"),
        ("response_type", "code"),
        ("scope", "openid email"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let authorize = server.url("/authorize");
    let refused = browser
        .post(
            &authorize,
            &[fields.as_slice(), &[("prompt", "x")]].concat(),
        )
        .await;
    assert_eq!(
        (refused.status.as_u16(), refused.answer()["error"].as_str()),
        (303, "invalid_request")
    );

    let begun = browser.post(&authorize, &fields).await;
    assert_eq!(begun.status, 303);
    let choice = browser.follow(begun).await;
    let away = browser
        .submit_only(&choice, "form[action='/upstream/staff/start']", &[])
        .await;
    assert_eq!(away.status, 303);
    let login = browser.choose(&choice, "members").await;
    let jo = people::JO_SMITH;
    let credentials = [("username", jo.username), ("password", jo.password)];
    let logged_in = browser
        .submit_only(&login, PASSWORD_FORM, &credentials)
        .await;
    assert_eq!(logged_in.status, 303);
    let consent = browser.follow(logged_in).await;
    let agreed = browser
        .submit_only(&consent, "form", &[("decision", "allow")])
        .await;
    assert_eq!(agreed.status, 303);
    let back = browser.follow(agreed).await;
    assert_eq!(back.status, 303);
    assert!(back.answer().contains_key("code"));
}
