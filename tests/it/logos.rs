//! The logos of apps on our pages: from our own origin, and only what is a picture (T36, T38, T52).

use std::fmt::Write as _;
use std::time::Duration;

use portico::simulator::people::JO_SMITH;
use serde_json::json;

use crate::harness::browser::{Browser, Page, http_client};
use crate::harness::relying_party::answer;
use crate::harness::server::TestServer;
use crate::harness::site::{Page as Answer, Site};
use crate::harness::steps::at_node;

const LOGO: &str = "img.app-logo";

fn png() -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 5000]].concat()
}

/// A picture that is called something else.
fn picture() -> Answer {
    Answer::Bytes("text/html", png())
}

/// A server with an app for each of `paths`, whose logo is at that path of the site: `app0`, `app1` and so on.
async fn server(site: &Site, paths: &[&str], registration: &str) -> TestServer {
    TestServer::start_with(|setup| {
        setup.sections.push_str("[outbound]\nallow_hosts = [\"127.0.0.1\"]\n");
        setup.sections.push_str(registration);
        for (index, path) in paths.iter().enumerate() {
            write!(setup.clients, "[[clients]]\nclient_id = \"app{index}\"\nclient_name = \"App {index}\"\n\
                 token_endpoint_auth_method = \"none\"\nconsent = \"once\"\nlogo_uri = \"{}{path}\"\n\
                 redirect_uris = [\"https://app{index}.example.org/callback\"]\n",
                site.url).unwrap();
        }
    })
    .await
}

/// The page, once it has a logo: where that is.
async fn shown(url: &str) -> String {
    for _ in 0..200 {
        let page = Browser::new().open(url).await;
        if let Some(src) = page.attribute(LOGO, "src") {
            return src;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no logo at {url}");
}

fn logo(page: &Page) -> Option<String> {
    page.attribute(LOGO, "src")
}

/// No page waits; then each that names the app has it, as a picture of ours that runs nothing.
#[tokio::test]
async fn an_apps_logo_stands_on_the_pages_that_name_it() {
    let site = Site::start().await;
    site.set("/logo", picture());
    let mut server = server(&site, &["/logo"], "").await;
    let url = server.authorize_url("app0", &[]);
    let login = Browser::new().open(&url).await;
    assert!(login.is_login());
    assert_eq!(logo(&login), None);
    let src = shown(&url).await;
    assert!(
        src.starts_with("/assets/app-logo?client_id=app0&logo="),
        "{src}"
    );

    let mut browser = Browser::new();
    let consent = browser.log_in_as(&url, JO_SMITH).await;
    assert_eq!(consent.url.path(), "/consent");
    assert_eq!(logo(&consent), Some(src.clone()));
    assert_eq!(consent.attribute(LOGO, "alt").unwrap(), "The logo of App 0");
    let policy = consent.header("content-security-policy");
    assert!(policy.contains("img-src 'self';"), "{policy}");
    browser
        .submit(&consent, "form", &[("decision", "allow")])
        .await;
    let account = browser.open(server.url("/account")).await;
    assert_eq!(logo(&account), Some(src.clone()));
    let out = browser
        .open(server.url("/end_session?client_id=app0"))
        .await;
    assert_eq!(logo(&out), Some(src.clone()));
    assert_eq!(out.text(".app-name").unwrap().trim(), "App 0");

    let picture = http_client().get(server.url(&src)).send().await.unwrap();
    assert_eq!(picture.status(), 200);
    for (name, value) in [
        ("content-type", "image/png"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cache-control", "public, max-age=3600"),
    ] {
        assert_eq!(picture.headers()[name], value, "{name}");
    }
    assert_eq!(picture.bytes().await.unwrap(), png());
    assert_eq!(site.hits("/logo"), 1, "all of that was one fetch");

    // Another node, which has shown no page with it.
    let node = server.add_node().await;
    let there = http_client().get(at_node(node, &server.url(&src)));
    assert_eq!(there.send().await.unwrap().status(), 200);
    assert_eq!(site.hits("/logo"), 2);

    // A day later it is fetched anew, and shown meanwhile.
    server.clock.advance(24 * 60 * 60);
    let page = Browser::new().open(&url).await;
    assert_eq!(logo(&page), Some(src));
    site.requests("/logo", 3).await;
}

/// What is no picture is not shown, whatever it is called, nor what is elsewhere; and it is left alone for a while.
#[tokio::test]
async fn what_is_no_picture_is_not_shown() {
    let site = Site::start().await;
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    let html = "<!doctype html><script>alert(1)</script>";
    let oversize = [png(), vec![0; 256 * 1024]].concat();
    site.set("/secret.png", picture());
    let wrong = [
        ("/logo.svg", Answer::Body("image/svg+xml", svg.to_owned())),
        ("/html.png", Answer::Body("image/png", html.to_owned())),
        ("/large.png", Answer::Bytes("image/png", oversize)),
        (
            "/moved.png",
            Answer::Redirect(format!("{}/secret.png", site.url)),
        ),
    ];
    for (path, page) in &wrong {
        site.set(path, page.clone());
    }
    let paths = wrong.each_ref().map(|(path, _)| *path);
    let server = server(&site, &paths, "").await;
    for (index, path) in paths.iter().enumerate() {
        let url = server.authorize_url(&format!("app{index}"), &[]);
        Browser::new().open(&url).await;
        site.requests(path, 1).await;
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let page = Browser::new().open(&url).await;
            assert!(page.is_login() && logo(&page).is_none(), "{path}");
        }
        assert_eq!(site.hits(path), 1, "{path}");
    }
    assert_eq!(site.hits("/secret.png"), 0);
    server.clock.advance(10 * 60);
    site.set("/logo.svg", picture());
    shown(&server.authorize_url("app0", &[])).await;
}

/// Only a page that is really shown has a logo fetched, and many pages at once one.
#[tokio::test]
async fn nobody_has_a_logo_fetched_by_naming_an_app() {
    let site = Site::start().await;
    site.set("/logo", picture());
    let server = server(&site, &["/logo", "/other"], "").await;
    for query in [
        "",
        "?client_id=app0",
        "?client_id=app0&logo=x",
        "?client_id=app0&client_id=app1&logo=x",
        "?client_id=nobody&logo=x",
    ] {
        let url = server.url(&format!("/assets/app-logo{query}"));
        assert_eq!(http_client().get(url).send().await.unwrap().status(), 404);
    }
    let evil = [("redirect_uri", "https://evil.example/")];
    let page = Browser::new()
        .open(server.authorize_url("app0", &evil))
        .await;
    assert_eq!(page.status, 400);
    let mut stranger = Browser::new();
    let out = stranger
        .open(server.url("/end_session?client_id=app0"))
        .await;
    assert!(logo(&out).is_none());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(site.hits("/logo"), 0);

    let url = server.authorize_url("app0", &[]);
    let (mut one, mut two, mut three) = (Browser::new(), Browser::new(), Browser::new());
    tokio::join!(one.open(&url), two.open(&url), three.open(&url));
    let src = shown(&url).await;
    assert_eq!(site.hits("/logo"), 1);
    // The name of one is no other's.
    let other = src.replace("app0", "app1");
    assert_eq!(
        http_client()
            .get(server.url(&other))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
}

/// A stranger's picture on the login page would help whoever imitates another app.
#[tokio::test]
async fn the_logo_of_an_app_that_registered_itself_is_shown_where_the_administrator_says_so() {
    for (keys, expected) in [
        ("fetch_allowed_hosts = true\n", false),
        ("show_logos = true\n", false),
        ("show_logos = true\nfetch_allowed_hosts = true\n", true),
    ] {
        let site = Site::start().await;
        site.set("/logo", picture());
        let registration = format!("[registration]\nmode = \"open\"\n{keys}");
        let server = server(&site, &[], &registration).await;
        let callback = "https://new.example.org/callback";
        let sent = json!({"redirect_uris": [callback], "logo_uri": format!("{}/logo", site.url)});
        let registered = answer(http_client().post(server.url("/register")).json(&sent)).await;
        assert_eq!(registered.status, 201, "{registered:?}");
        let id = registered.text("client_id");
        let url = server.authorize_url(id, &[("redirect_uri", callback)]);
        if expected {
            shown(&url).await;
            continue;
        }
        for _ in 0..5 {
            let page = Browser::new().open(&url).await;
            assert!(page.is_login() && logo(&page).is_none());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(site.hits("/logo"), 0, "{keys}");
    }
}
