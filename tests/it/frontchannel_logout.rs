//! Front-channel logout (OpenID Connect Front-Channel Logout 1.0; T52): what the page loads, and where it goes on.

use crate::backchannel_logout::sign_in;
use crate::harness::browser::{Browser, Page};
use crate::harness::relying_party::claims;
use crate::harness::server::TestServer;

const CLIENTS: &str = r#"
[[clients]]
client_id = "framed"
token_endpoint_auth_method = "none"
redirect_uris = ["https://framed.example.org/callback"]
post_logout_redirect_uris = ["https://framed.example.org/bye"]
scope = "openid"
frontchannel_logout_uri = "https://framed.example.org/out?way=front"
frontchannel_logout_session_required = true

[[clients]]
client_id = "other"
token_endpoint_auth_method = "none"
redirect_uris = ["https://other.example.org/callback"]
scope = "openid"
frontchannel_logout_uri = "https://other.example.org/out"
"#;

async fn start() -> TestServer {
    TestServer::start_with(|setup| setup.clients = CLIENTS.to_owned()).await
}

async fn log_out(server: &TestServer, browser: &mut Browser, parameters: &[(&str, &str)]) -> Page {
    let mut url = url::Url::parse(&server.url("/end_session")).unwrap();
    url.query_pairs_mut().extend_pairs(parameters);
    browser.get(url).await
}

fn frame_policy(page: &Page) -> String {
    let policy = page.header("content-security-policy");
    let part = policy
        .split("; ")
        .find(|part| part.starts_with("frame-src"));
    part.unwrap().to_owned()
}

/// Section 2: `iss` and `sid` beside what the address had. The session has ended before; the page goes on by itself.
#[tokio::test]
async fn the_apps_of_the_session_are_loaded_and_then_the_browser_goes_on() {
    let server = start().await;
    let mut browser = Browser::new();
    let tokens = sign_in(&server, &mut browser, "framed", "openid").await;
    sign_in(&server, &mut browser, "other", "openid").await;
    sign_in(&server, &mut browser, "spa", "openid").await;
    let parameters = [
        ("id_token_hint", tokens.text("id_token")),
        ("post_logout_redirect_uri", "https://framed.example.org/bye"),
        ("state", "s1"),
    ];
    let page = log_out(&server, &mut browser, &parameters).await;
    assert_eq!(page.status, 200);
    assert_eq!(browser.session(&server), None);
    let sid = claims(tokens.text("id_token"))["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut iss_and_sid = url::form_urlencoded::Serializer::new(String::new());
    iss_and_sid
        .append_pair("iss", &server.issuer)
        .append_pair("sid", &sid);
    let tail = iss_and_sid.finish();
    assert_eq!(
        page.attributes("iframe", "src"),
        [
            format!("https://framed.example.org/out?way=front&{tail}"),
            format!("https://other.example.org/out?{tail}"),
        ]
    );
    assert_eq!(
        frame_policy(&page),
        "frame-src https://framed.example.org https://other.example.org"
    );
    let onward = page.attribute("a[data-goes-on]", "href").unwrap();
    assert_eq!(onward, "https://framed.example.org/bye?state=s1");
    let without_script =
        format!("<noscript><meta http-equiv=\"refresh\" content=\"5; url={onward}\"></noscript>");
    assert!(page.body.contains(&without_script), "{}", page.body);
}

/// Without an address to go to the page stays; without such apps nothing is loaded, and the redirect is one as before.
#[tokio::test]
async fn without_such_apps_nothing_is_loaded() {
    let server = start().await;
    let mut browser = Browser::new();
    let tokens = sign_in(&server, &mut browser, "other", "openid").await;
    let hint = ("id_token_hint", tokens.text("id_token"));
    let page = log_out(&server, &mut browser, &[hint]).await;
    assert!(page.body.contains("You are signed out"));
    assert_eq!(page.attributes("iframe", "src").len(), 1);
    assert_eq!(page.attribute("a[data-goes-on]", "href"), None);
    assert!(!page.body.contains("http-equiv"));

    let mut browser = Browser::new();
    let tokens = sign_in(&server, &mut browser, "spa", "openid").await;
    let hint = ("id_token_hint", tokens.text("id_token"));
    let page = log_out(&server, &mut browser, &[hint]).await;
    assert!(page.attributes("iframe", "src").is_empty());
    assert_eq!(frame_policy(&page), "frame-src 'none'");
    // Nobody is signed in any more: nothing is told twice.
    let page = log_out(&server, &mut browser, &[hint]).await;
    assert!(page.attributes("iframe", "src").is_empty());
}
