//! Behind a proxy (T56): nothing in a request says who we are, and only named proxies say where it comes from.

use std::collections::BTreeSet;

use portico::simulator::people::JO_SMITH;

use crate::harness::browser::Browser;
use crate::harness::server::TestServer;
use crate::harness::steps::TO_AIM18;

const LIMITS: &str =
    "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 1\nmax_attempts_per_address = 2\n";

/// A browser whose requests carry every header that could claim to be our address.
fn misled() -> Browser {
    let mut browser = Browser::new();
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "444"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "for=192.0.2.1;host=evil.example;proto=https"),
        ("x-original-url", "/evil"),
        ("x-rewrite-url", "/evil"),
        ("x-http-method-override", "DELETE"),
    ] {
        browser.headers.push((name.to_owned(), value.to_owned()));
    }
    browser
}

#[tokio::test]
async fn no_header_alters_the_issuer_or_a_link() {
    for trusted in ["", "trusted_proxies = [\"127.0.0.0/8\"]"] {
        let server = TestServer::start_with(|setup| setup.server = trusted.to_owned()).await;
        let honest = Browser::new()
            .get(server.url("/.well-known/openid-configuration"))
            .await;
        let mut browser = misled();
        let discovery = browser
            .get(server.url("/.well-known/openid-configuration"))
            .await;
        assert_eq!(discovery.body, honest.body);
        assert_eq!(discovery.json()["issuer"], server.issuer);
        let redirect = browser.get(server.authorize_url("spa", &[])).await;
        assert!(redirect.header("location").starts_with("/login?flow="));
        assert!(!redirect.header("set-cookie").contains("Secure"));
        let page = browser.open(server.authorize_url("spa", &[])).await;
        assert!(!page.body.contains("evil"), "{}", page.body);
        let leaving = browser.submit_only(&page, TO_AIM18, &[]).await;
        let callback = leaving.location().unwrap();
        let callback = callback
            .query_pairs()
            .find(|(name, _)| name == "redirect_uri");
        assert_eq!(callback.unwrap().1, server.url("/upstream/staff/callback"));
        let done = browser.sign_in_as(&page, JO_SMITH).await;
        assert_eq!(done.answer()["iss"], server.issuer);
        let tokens = server.redeem("spa", &done.answer()["code"], &[]).await;
        let claims = crate::harness::relying_party::claims(tokens.text("id_token"));
        assert_eq!(claims["iss"], server.issuer.as_str());
        let logout = browser.get(server.url("/end_session")).await;
        assert!(!logout.body.contains("evil"), "{}", logout.body);
    }
}

/// The names that reach iMIS, of three tries from the addresses that `forwarded` claims, and of as many names.
async fn names_that_got_through(server: &TestServer, forwarded: [&str; 3]) -> BTreeSet<String> {
    server.imis.clear_log();
    for (number, forwarded) in forwarded.into_iter().enumerate() {
        let mut browser = Browser::new();
        let page = browser.open(server.authorize_url("spa", &[])).await;
        let header = ("x-forwarded-for".to_owned(), forwarded.to_owned());
        browser.headers.push(header);
        let other = ("forwarded".to_owned(), format!("for=192.0.2.{number}"));
        browser.headers.push(other);
        let name = format!("name{number}");
        let page = browser.sign_in(&page, "members", (&name, "wrong")).await;
        assert_eq!(page.status, 422);
    }
    let log = server.imis.log();
    log.iter()
        .filter_map(|request| request.parameter("username"))
        .collect()
}

/// Whoever sends the header is not believed: a guesser does not get a new address for each try.
#[tokio::test]
async fn a_strangers_forwarded_address_is_not_believed() {
    let server = TestServer::start_with(|setup| setup.sections = LIMITS.to_owned()).await;
    let claimed = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    assert_eq!(names_that_got_through(&server, claimed).await.len(), 2);
}

/// A named proxy is: people behind it do not share one limit.
#[tokio::test]
async fn a_named_proxys_forwarded_address_is_believed() {
    let trusting = || {
        TestServer::start_with(|setup| {
            setup.sections = LIMITS.to_owned();
            setup.server = "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]".to_owned();
        })
    };
    let server = trusting().await;
    let people = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    assert_eq!(names_that_got_through(&server, people).await.len(), 3);
    // What the guesser wrote stands to the left of what the proxy saw.
    let server = trusting().await;
    let guesser = [
        "203.0.113.1, 192.0.2.9",
        "203.0.113.2, 192.0.2.9",
        "203.0.113.3, 192.0.2.9, 10.1.2.3",
    ];
    assert_eq!(names_that_got_through(&server, guesser).await.len(), 2);
}

/// A guesser has a whole IPv6 network to choose addresses from, and one limit for all of them (T33).
#[tokio::test]
async fn an_ipv6_network_has_one_limit() {
    let same = ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:3::3"];
    let different = ["2001:db8:1:3::1", "2001:db8:1:4::1", "2001:db8:1:5::1"];
    for (addresses, through) in [(same, 2), (different, 3)] {
        let server = TestServer::start_with(|setup| {
            setup.sections = LIMITS.to_owned();
            setup.server = "trusted_proxies = [\"127.0.0.1\"]".to_owned();
        })
        .await;
        let asked = names_that_got_through(&server, addresses).await;
        assert_eq!(asked.len(), through);
    }
}
