//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0; T6, T35).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portico::protocol::jws;
use portico::simulator::people::{JO_SMITH, ZOE};
use serde_json::json;
use url::form_urlencoded;

use crate::harness::browser::{Browser, Page};
use crate::harness::relying_party::Answer;
use crate::harness::server::TestServer;
use crate::harness::steps::SESSION;

/// May ask for the groups in the ID token.
const GROUPED: &str = r#"
[[clients]]
client_id = "grouped"
token_endpoint_auth_method = "none"
redirect_uris = ["https://grouped.example.org/callback"]
scope = "openid groups"
"#;
const HOME: &str = "https://spa.example.org/";
const BYE: &str = "https://web.example.org/bye";

/// A browser with Jo Smith logged in, and what the client `spa` got.
async fn logged_in(server: &TestServer, scope: &str) -> (Browser, Answer) {
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[("scope", scope)]);
    let page = browser.log_in_as(url, JO_SMITH).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200);
    (browser, tokens)
}

fn logout_url(server: &TestServer, parameters: &[(&str, &str)]) -> String {
    let mut url = url::Url::parse(&server.url("/end_session")).unwrap();
    url.query_pairs_mut().extend_pairs(parameters);
    url.into()
}

async fn is_logged_in(server: &TestServer, browser: &mut Browser) -> bool {
    let silent = server.authorize_url("web", &[("prompt", "none")]);
    browser.get(silent).await.answer().contains_key("code")
}

fn asks(page: &Page) -> bool {
    page.status == 200 && page.body.contains("Do you want to sign out here?")
}

/// Section 2: with the session's own ID token nobody needs to be asked. T35: the session ends, and what belongs to it.
#[tokio::test]
async fn a_logout_ends_the_session_and_its_families_and_leaves_the_offline_ones() {
    let server = TestServer::start().await;
    let (mut browser, tokens) = logged_in(&server, "openid").await;
    let url = server.authorize_url("web", &[("scope", "openid offline_access")]);
    let page = browser.get(url).await;
    let offline = server.redeem("web", &page.answer()["code"], &[]).await;
    let unused = browser.get(server.authorize_url("spa", &[])).await;
    let elsewhere = server.tokens("spa", "openid").await;
    let stale = browser.session(&server).unwrap();
    let parameters = [
        ("id_token_hint", tokens.text("id_token")),
        ("post_logout_redirect_uri", HOME),
        ("state", "a b&c"),
    ];
    let page = browser.get(logout_url(&server, &parameters)).await;
    assert_eq!(page.status, 303);
    let location = page.location().unwrap();
    assert_eq!(location.as_str(), "https://spa.example.org/?state=a+b%26c");
    assert_eq!(browser.session(&server), None);
    let page = browser.open(server.authorize_url("spa", &[])).await;
    assert!(page.is_login(), "the next click shows the login page");
    browser.set_cookie("127.0.0.1", SESSION, &stale);
    assert!(
        !is_logged_in(&server, &mut browser).await,
        "a stale cookie is inert"
    );
    let refused = server.refresh("spa", tokens.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.status, 401);
    let code = unused.answer().remove("code").unwrap();
    let refused = server.redeem("spa", &code, &[]).await;
    refused.assert_error(400, "invalid_grant");
    // Back-Channel Logout section 2.7: what has offline_access stays; so does the other browser's.
    let answer = server.refresh("web", offline.text("refresh_token")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        server.userinfo(answer.text("access_token")).await.status,
        200
    );
    let answer = server.refresh("spa", elsewhere.text("refresh_token")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Section 2: the hint may have expired, as it has in every session longer than ten minutes.
#[tokio::test]
async fn an_expired_id_token_still_logs_out() {
    let server = TestServer::start().await;
    let (mut browser, tokens) = logged_in(&server, "openid").await;
    server.clock.advance(6 * 3600);
    let hint = [("id_token_hint", tokens.text("id_token"))];
    let page = browser.get(logout_url(&server, &hint)).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("You are signed out"), "{}", page.body);
    assert!(!is_logged_in(&server, &mut browser).await);
}

/// Anybody can make a browser come here, so without proof the person is asked.
#[tokio::test]
async fn without_the_sessions_own_id_token_the_person_is_asked() {
    let server = TestServer::start().await;
    let (mut browser, _) = logged_in(&server, "openid").await;
    let zoe = {
        let url = server.authorize_url("spa", &[]);
        let page = Browser::new().log_in_as(url, ZOE).await;
        server.redeem("spa", &page.answer()["code"], &[]).await
    };
    for parameters in [
        vec![],
        vec![("client_id", "spa")],
        vec![("client_id", "spa"), ("post_logout_redirect_uri", HOME)],
        vec![("id_token_hint", zoe.text("id_token"))],
    ] {
        let page = browser.get(logout_url(&server, &parameters)).await;
        assert!(asks(&page), "{parameters:?}: {}", page.body);
        assert!(page.body.contains("signed in as Jo Smith"));
        assert!(is_logged_in(&server, &mut browser).await);
    }
    let page = browser
        .get(logout_url(
            &server,
            &[
                ("client_id", "spa"),
                ("post_logout_redirect_uri", HOME),
                ("state", "s"),
            ],
        ))
        .await;
    let done = browser.submit(&page, "form", &[]).await;
    assert_eq!(
        done.location().unwrap().as_str(),
        "https://spa.example.org/?state=s"
    );
    assert!(!is_logged_in(&server, &mut browser).await);
}

/// The question belongs to its session: no other page, and no other session's, answers it.
#[tokio::test]
async fn the_confirmation_takes_only_its_own_form() {
    let server = TestServer::start().await;
    let (mut browser, _) = logged_in(&server, "openid").await;
    let page = browser.get(logout_url(&server, &[])).await;
    let foreign = {
        let (mut other, _) = logged_in(&server, "openid").await;
        let page = other.get(logout_url(&server, &[])).await;
        page.attribute("input[name=form_token]", "value").unwrap()
    };
    for token in [foreign.as_str(), "nonsense"] {
        let refused = browser
            .submit(&page, "form", &[("form_token", token)])
            .await;
        assert_eq!(refused.status, 400);
    }
    let refused = browser
        .submit(&page, "form", &[("logout", "nonsense")])
        .await;
    assert_eq!(refused.status, 400);
    // Without a token it is a new request, and asks again.
    let again = browser.submit(&page, "form", &[("form_token", "")]).await;
    assert!(asks(&again), "{}", again.body);
    assert!(is_logged_in(&server, &mut browser).await);
    browser.submit(&page, "form", &[]).await;
    assert!(!is_logged_in(&server, &mut browser).await);
    let twice = browser.submit(&page, "form", &[]).await;
    assert!(twice.body.contains("You are signed out"), "a second click");
}

/// T6: letter by letter, of the client that the request names, and of no other.
#[tokio::test]
async fn only_a_registered_address_of_the_named_client_is_returned_to() {
    let server = TestServer::start().await;
    let (mut browser, tokens) = logged_in(&server, "openid").await;
    let hint = tokens.text("id_token");
    for parameters in [
        // Neither hint nor client: no address is believed.
        vec![("post_logout_redirect_uri", HOME)],
        vec![("post_logout_redirect_uri", BYE), ("id_token_hint", hint)],
        vec![("post_logout_redirect_uri", BYE), ("client_id", "spa")],
        vec![
            ("post_logout_redirect_uri", "https://spa.example.org"),
            ("client_id", "spa"),
        ],
        vec![
            ("post_logout_redirect_uri", "https://spa.example.org/?x=1"),
            ("client_id", "spa"),
        ],
        vec![
            ("post_logout_redirect_uri", "https://spa.example.org//"),
            ("client_id", "spa"),
        ],
        vec![
            ("post_logout_redirect_uri", "https://SPA.example.org/"),
            ("client_id", "spa"),
        ],
        vec![
            (
                "post_logout_redirect_uri",
                "https://spa.example.org.evil.example/",
            ),
            ("client_id", "spa"),
        ],
        vec![
            ("post_logout_redirect_uri", "javascript:alert(1)"),
            ("client_id", "spa"),
        ],
        vec![
            ("post_logout_redirect_uri", "//evil.example/"),
            ("client_id", "spa"),
        ],
        vec![("post_logout_redirect_uri", HOME), ("client_id", "nobody")],
        // The hint says who asks; a client_id that differs is a mistake or a trick.
        vec![
            ("post_logout_redirect_uri", BYE),
            ("client_id", "web"),
            ("id_token_hint", hint),
        ],
        vec![("id_token_hint", "nonsense")],
        vec![("id_token_hint", tokens.text("access_token"))],
        vec![("client_id", "spa"), ("client_id", "spa")],
    ] {
        let page = browser.get(logout_url(&server, &parameters)).await;
        assert_eq!(page.status, 400, "{parameters:?}");
        assert_eq!(page.location(), None, "{parameters:?}");
        assert!(is_logged_in(&server, &mut browser).await, "{parameters:?}");
    }
    // A registered query is part of the address, and kept.
    let with_query = "https://web.example.org/bye?from=portico";
    for (address, arrives) in [
        (BYE, "https://web.example.org/bye?state=s"),
        (
            with_query,
            "https://web.example.org/bye?from=portico&state=s",
        ),
    ] {
        let (mut browser, _) = logged_in(&server, "openid").await;
        let page = browser.get(server.authorize_url("web", &[])).await;
        let tokens = server.redeem("web", &page.answer()["code"], &[]).await;
        let parameters = [
            ("id_token_hint", tokens.text("id_token")),
            ("client_id", "web"),
            ("post_logout_redirect_uri", address),
            ("state", "s"),
        ];
        let page = browser.get(logout_url(&server, &parameters)).await;
        assert_eq!(page.location().unwrap().as_str(), arrives);
    }
}

/// A hint from another issuer proves nothing, however well it is signed.
#[tokio::test]
async fn a_hint_of_another_issuer_is_refused() {
    let server = TestServer::start().await;
    let elsewhere = TestServer::start_with(|setup| setup.own_key = true).await;
    let (mut browser, _) = logged_in(&server, "openid").await;
    let foreign = elsewhere.tokens("spa", "openid").await;
    let parameters = [
        ("id_token_hint", foreign.text("id_token")),
        ("post_logout_redirect_uri", HOME),
    ];
    let page = browser.get(logout_url(&server, &parameters)).await;
    assert_eq!(page.status, 400);
    assert_eq!(page.location(), None);
    assert!(is_logged_in(&server, &mut browser).await);
}

/// T48: an ID token that names two hundred groups of its person is a hint like any other, however it comes, and at both endpoints; and
/// nothing else has grown.
#[tokio::test]
async fn an_id_token_with_all_groups_of_a_person_is_a_hint() {
    let server = TestServer::start_with(|setup| {
        GROUPED.clone_into(&mut setup.clients);
    })
    .await;
    let pool = server.database.pool().await;
    let groups: Vec<String> = (0..200).map(|n| format!("{n:0>150}")).collect();
    let profile = json!({ "preferred_username": "jo", "groups": groups }).to_string();
    let asked = json!({ "id_token": { "groups": null } }).to_string();
    for way in [Way::Get, Way::Post, Way::PostAcrossSites] {
        let (mut browser, _) = logged_in(&server, "openid").await;
        sqlx::query("UPDATE upstream_login SET profile = $1")
            .bind(&profile)
            .execute(&pool)
            .await
            .unwrap();
        let url = server.authorize_url("grouped", &[("scope", "openid"), ("claims", &asked)]);
        let page = browser.get(url).await;
        let tokens = server.redeem("grouped", &page.answer()["code"], &[]).await;
        let hint = tokens.text("id_token");
        assert!(hint.len() > 40_000, "{}", hint.len());
        let silent = [("prompt", "none"), ("id_token_hint", hint)];
        let url = server.authorize_url("grouped", &silent);
        let page = match way {
            Way::Get => browser.get(url).await,
            Way::Post | Way::PostAcrossSites => {
                let (url, query) = url.split_once('?').unwrap();
                let fields: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
                    .into_owned()
                    .collect();
                let fields = fields
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()));
                let fields: Vec<_> = fields.collect();
                let page = browser.post_cross_site(url, &fields).await;
                browser.follow(page).await
            }
        };
        assert!(page.answer().contains_key("code"), "{way:?} {page:?}");
        let page = way
            .ask(&server, &mut browser, &[("id_token_hint", hint)])
            .await;
        assert!(page.body.contains("You are signed out"), "{way:?} {page:?}");
        assert!(!is_logged_in(&server, &mut browser).await);
    }
    // Neither a hint that is longer than any of ours, nor the rest of a request beside one.
    let longer = "a".repeat(jws::MAX_ID_TOKEN_BYTES + 1);
    let rest = "a".repeat(16 * 1024);
    for path in ["/authorize", "/end_session"] {
        for sent in [
            &[("client_id", "spa"), ("id_token_hint", &longer)][..],
            &[("x", &rest), ("id_token_hint", "a")],
        ] {
            let page = Browser::new().post(server.url(path), sent).await;
            assert!([400, 413].contains(&page.status.as_u16()), "{path}");
            assert_eq!(page.location(), None);
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(sent)
                .finish();
            let page = Browser::new()
                .get(server.url(&format!("{path}?{query}")))
                .await;
            assert_eq!(
                (page.status.as_u16(), page.location()),
                (400, None),
                "{path}"
            );
        }
    }
}

/// The request waits in an address across sites: of the ID token what is asked of it goes along, and no more.
#[tokio::test]
async fn a_sealed_request_has_no_more_of_the_hint_than_whose_session_it_is() {
    let server = TestServer::start().await;
    let mut lengths = Vec::new();
    for nonce in ["n".to_owned(), "n".repeat(256)] {
        let mut browser = Browser::new();
        let url = server.authorize_url("spa", &[("nonce", &nonce)]);
        let page = browser.log_in_as(url, JO_SMITH).await;
        let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
        let hint = [("id_token_hint", tokens.text("id_token"))];
        let page = browser
            .post_cross_site(server.url("/end_session"), &hint)
            .await;
        lengths.push(page.location().unwrap().as_str().len());
        let page = browser.follow(page).await;
        assert!(page.body.contains("You are signed out"), "{}", page.body);
    }
    assert_eq!(lengths[0], lengths[1]);
}

/// A key goes after a while, and at once after a leak: what it has signed proves nothing any more, but its holder can sign out, as
/// without a hint.
#[tokio::test]
async fn a_hint_whose_key_is_gone_asks_and_leads_nowhere() {
    let server = TestServer::start().await;
    let (mut browser, tokens) = logged_in(&server, "openid").await;
    let claims = tokens.text("id_token").split('.').nth(1).unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"gone"}"#);
    let outlived = format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode([7; 256]));
    let parameters = [
        ("id_token_hint", outlived.as_str()),
        ("post_logout_redirect_uri", HOME),
    ];
    let page = browser.get(logout_url(&server, &parameters)).await;
    assert!(asks(&page), "{}", page.body);
    assert!(is_logged_in(&server, &mut browser).await);
    let page = browser.submit(&page, "main form", &[]).await;
    assert!(page.body.contains("You are signed out"), "{}", page.body);
    assert!(!is_logged_in(&server, &mut browser).await);
    // One of ours with a signature that is not of its key is a forgery, as ever.
    let (message, _) = tokens.text("id_token").rsplit_once('.').unwrap();
    let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode([7; 256]));
    let page = browser
        .get(logout_url(&server, &[("id_token_hint", &forged)]))
        .await;
    assert_eq!(page.status, 400);
}

/// How a request for a logout comes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Get,
    /// From a page of ours: the browser sends the session's cookie along.
    Post,
    /// From the app's page: the cookie comes with the request that this is answered with, and not before.
    PostAcrossSites,
}

impl Way {
    async fn ask(self, server: &TestServer, browser: &mut Browser, sent: &[(&str, &str)]) -> Page {
        let url = server.url("/end_session");
        let said = match self {
            Self::Get => return browser.get(logout_url(server, sent)).await,
            Self::Post => browser.post(&url, sent).await,
            Self::PostAcrossSites => browser.post_cross_site(&url, sent).await,
        };
        let carried_on = said.location().filter(|next| next.path() == "/end_session");
        let Some(next) = carried_on else {
            return said;
        };
        for (name, value) in sent {
            assert!(
                !matches!(*name, "id_token_hint" | "logout_hint") || !next.as_str().contains(value),
                "{name} stays out of addresses: {next}"
            );
        }
        assert_eq!(said.header("set-cookie"), "", "nothing is ended yet");
        browser.click(&next).await
    }
}

/// Every combination of what a request may say, section 2: who is asked, and where it ends.
async fn every_combination_is_answered_by(way: Way) {
    let server = TestServer::start().await;
    for chosen in 0..32_u32 {
        let (mut browser, tokens) = logged_in(&server, "openid").await;
        let all = [
            ("id_token_hint", tokens.text("id_token")),
            ("client_id", "spa"),
            ("post_logout_redirect_uri", HOME),
            ("state", "s"),
            ("logout_hint", "jsmith"),
        ];
        let sent: Vec<(&str, &str)> = all
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| chosen & (1 << bit) != 0)
            .map(|(_, parameter)| parameter)
            .collect();
        let says = |name: &str| sent.iter().any(|(own, _)| *own == name);
        let mut page = way.ask(&server, &mut browser, &sent).await;
        let named = says("id_token_hint") || says("client_id");
        if says("post_logout_redirect_uri") && !named {
            assert_eq!(
                (page.status.as_u16(), page.location()),
                (400, None),
                "{sent:?}"
            );
            assert!(is_logged_in(&server, &mut browser).await, "{sent:?}");
            continue;
        }
        if !says("id_token_hint") {
            assert!(asks(&page), "{sent:?}: {}", page.body);
            assert!(is_logged_in(&server, &mut browser).await, "{sent:?}");
            page = browser.submit_only(&page, "main form", &[]).await;
        }
        if says("post_logout_redirect_uri") {
            let state = if says("state") { "?state=s" } else { "" };
            let location = page
                .location()
                .unwrap_or_else(|| panic!("{sent:?}: {page:?}"));
            assert_eq!(location.as_str(), format!("{HOME}{state}"), "{sent:?}");
        } else {
            page = browser.follow(page).await;
            assert!(
                page.body.contains("You are signed out"),
                "{sent:?}: {}",
                page.body
            );
        }
        assert!(!is_logged_in(&server, &mut browser).await, "{sent:?}");
    }
}

#[tokio::test]
async fn every_combination_of_parameters_is_answered() {
    every_combination_is_answered_by(Way::Get).await;
}

/// Section 2: POST as well, as a form.
#[tokio::test]
async fn every_combination_of_parameters_is_answered_the_same_by_a_post() {
    every_combination_is_answered_by(Way::Post).await;
}

/// Section 2: apps' pages are other sites, whose forms bring no cookies of ours.
#[tokio::test]
async fn every_combination_of_parameters_is_answered_the_same_by_a_post_across_sites() {
    every_combination_is_answered_by(Way::PostAcrossSites).await;
}

/// Section 2: POST as well. It comes across sites, so our cookies come with the GET after it.
#[tokio::test]
async fn a_post_across_sites_logs_out_too() {
    let server = TestServer::start().await;
    let (mut browser, tokens) = logged_in(&server, "openid").await;
    let url = server.url("/end_session");
    let parameters = [
        ("client_id", "spa"),
        ("post_logout_redirect_uri", HOME),
        ("state", "s"),
    ];
    let page = browser.post_cross_site(&url, &parameters).await;
    assert_eq!(page.status, 303);
    assert_eq!(page.header("set-cookie"), "", "nothing is ended yet");
    let page = browser.follow(page).await;
    assert!(asks(&page), "{}", page.body);
    let hint = [
        ("id_token_hint", tokens.text("id_token")),
        ("post_logout_redirect_uri", HOME),
        ("state", "s"),
    ];
    let page = browser.post_cross_site(&url, &hint).await;
    let next = page.location().unwrap();
    assert!(
        !next.as_str().contains(tokens.text("id_token")),
        "no token in an address"
    );
    let page = browser.follow(page).await;
    assert_eq!(
        page.location().unwrap().as_str(),
        "https://spa.example.org/?state=s"
    );
    assert!(!is_logged_in(&server, &mut browser).await);
    let wrong = [("post_logout_redirect_uri", HOME)];
    let page = browser.post_cross_site(&url, &wrong).await;
    assert_eq!(page.status, 400);
}

/// T14: what another site posts brings no cookies of ours, and its answer takes none away that it did not show: the session would live
/// on where nobody can end it.
#[tokio::test]
async fn a_post_across_sites_takes_no_cookie_away() {
    let server = TestServer::start().await;
    let (mut browser, _) = logged_in(&server, "openid").await;
    let url = server.url("/end_session");
    let sealed = Browser::new().post_cross_site(&url, &[("x", "1")]).await;
    let sealed = sealed.location().unwrap();
    let (_, sealed) = sealed.query_pairs().next().unwrap();
    let form = [("form_token", "x"), ("session", "x"), ("logout", &*sealed)];
    let told = server.url("/upstream/members/signed_out");
    for (url, form, status) in [(&url, &form[..], 303), (&told, &[], 200)] {
        let page = browser.post_cross_site(url, form).await;
        assert_eq!(page.status, status, "{}", page.body);
        assert_eq!(page.header("set-cookie"), "");
        // Nor is the person told that they are out: our own page asks them, which their cookies come to.
        if let Some(location) = page.location() {
            let asked = browser.get(location).await;
            assert!(asked.body.contains("Do you want to sign out"), "{asked:?}");
        }
        assert!(is_logged_in(&server, &mut browser).await);
    }
    for path in ["/end_session", "/end_session/returned"] {
        let page = Browser::new().get(server.url(path)).await;
        assert_eq!(page.header("set-cookie"), "", "{path}");
    }
}

/// Nobody is logged in: the browser goes where it was to go.
#[tokio::test]
async fn a_logout_without_a_session_goes_on() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid").await;
    let mut browser = Browser::new();
    let page = browser.get(logout_url(&server, &[])).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("You are signed out"));
    let parameters = [
        ("id_token_hint", tokens.text("id_token")),
        ("post_logout_redirect_uri", HOME),
    ];
    let page = browser.get(logout_url(&server, &parameters)).await;
    assert_eq!(page.location().unwrap().as_str(), HOME);
    let answer = server.refresh("spa", tokens.text("refresh_token")).await;
    assert_eq!(
        answer.status, 200,
        "a hint alone ends no session of another browser"
    );
}

/// The request that waits for a yes travels sealed: its destination cannot be changed on the way.
#[tokio::test]
async fn the_sealed_request_cannot_be_made_by_others() {
    let server = TestServer::start().await;
    let (mut browser, _) = logged_in(&server, "openid").await;
    let elsewhere = TestServer::start_with(|setup| {
        setup.master_key = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=".to_owned();
    })
    .await;
    let parameters = [("client_id", "spa"), ("post_logout_redirect_uri", HOME)];
    let page = Browser::new()
        .post_cross_site(elsewhere.url("/end_session"), &parameters)
        .await;
    let foreign = page.location().unwrap();
    let foreign = foreign.query().unwrap();
    for query in [
        foreign,
        "logout=nonsense",
        "logout=https%3A%2F%2Fevil.example",
    ] {
        let page = browser
            .get(server.url(&format!("/end_session?{query}")))
            .await;
        assert_eq!(page.status, 400, "{query}");
        assert_eq!(page.location(), None);
    }
}

/// A request that waits in an address, or on a page that was left open, ends nothing and leads nowhere an hour later; the
/// page says so, and how to sign out all the same.
#[tokio::test]
async fn a_sealed_request_ends_after_an_hour() {
    let server = TestServer::start().await;
    let (mut browser, _) = logged_in(&server, "openid").await;
    let parameters = [
        ("client_id", "spa"),
        ("post_logout_redirect_uri", HOME),
        ("ui_locales", "fr"),
    ];
    let sent_on = Browser::new()
        .post_cross_site(server.url("/end_session"), &parameters)
        .await;
    let address = server.url(&format!("/end_session?{}", {
        let location = sent_on.location().unwrap();
        location.query().unwrap().to_owned()
    }));
    server.clock.advance(60 * 60);
    let asked = browser.get(&address).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    server.clock.advance(6);
    // Nobody is logged in, somebody is; by the address, and by the page that asks.
    let out = Browser::new().get(&address).await;
    let mut pages = vec![out, browser.get(&address).await];
    server.clock.advance(60 * 60);
    pages.push(browser.submit_only(&asked, "main form", &[]).await);
    for page in &pages {
        assert_eq!((page.status.as_u16(), page.location()), (400, None));
        let text = "Cette demande de déconnexion est trop ancienne.";
        assert!(page.body.contains(text), "{}", page.body);
        let way_on = page.attribute("main a", "href");
        assert_eq!(way_on.as_deref(), Some("/end_session"));
    }
    assert!(is_logged_in(&server, &mut browser).await);
    // A clock that stepped back lengthens nothing.
    server.clock.advance(-3 * 60 * 60);
    assert_eq!(Browser::new().get(&address).await.status, 400);
}

/// `ui_locales` (section 2).
#[tokio::test]
async fn the_pages_speak_the_language_that_was_asked_for() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    browser.language = Some("en".to_owned());
    let page = browser
        .get(logout_url(&server, &[("ui_locales", "fr-CA")]))
        .await;
    assert_eq!(page.attribute("html", "lang").as_deref(), Some("fr"));
}

/// A late answer takes no newer login away: the cookie whose session has ended is inert, and its name is the newer one's by then.
#[tokio::test]
async fn a_late_answer_takes_no_newer_login_away() {
    let server = TestServer::start().await;
    for late in [1, 61] {
        let (mut browser, tokens) = logged_in(&server, "openid").await;
        let url = logout_url(&server, &[("id_token_hint", tokens.text("id_token"))]);
        let mut before = browser.clone();
        let out = browser.get(&url).await;
        let current = format!("{SESSION}=");
        assert!(out.header("set-cookie").starts_with(&current));
        server.clock.advance(late);
        let out = before.get(&url).await;
        assert!(out.body.contains("You are signed out"), "{}", out.body);
        assert_eq!(out.header("set-cookie"), "", "{late}");
        assert!(!is_logged_in(&server, &mut before).await);
    }
}
