//! Pushed authorization requests (RFC 9126): what is taken, who may use it, and when it is spent (T5, T8, T48, T53).

use portico::simulator::people;
use reqwest::Method;
use url::Url;

use crate::harness::browser::{Browser, Page, http_client};
use crate::harness::dpop::ProofKey;
use crate::harness::relying_party::{Answer, answer, redirect_uri};
use crate::harness::server::{Setup, TestServer};

const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// An app that must push.
fn must_push(setup: &mut Setup) {
    setup.clients = r#"
[[clients]]
client_id = "pushing"
token_endpoint_auth_method = "none"
redirect_uris = ["https://pushing.example.org/callback"]
scope = "openid email"
require_pushed_authorization_requests = true
"#
    .to_owned();
}

/// What the browser opens.
pub(crate) fn by_reference(server: &TestServer, client_id: &str, request_uri: &str) -> String {
    let mut url = Url::parse(&server.url("/authorize")).unwrap();
    url.query_pairs_mut()
        .append_pair("client_id", client_id)
        .append_pair("request_uri", request_uri);
    url.into()
}

async fn pushed(server: &TestServer, client_id: &str, changes: &[(&str, &str)]) -> String {
    let answer = server.push(client_id, changes).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    by_reference(server, client_id, answer.text("request_uri"))
}

/// A page of ours that leads nowhere, and says why to a developer.
fn assert_dead_end(page: &Page, code: &str) {
    assert_eq!(page.status, 400, "{page:?}");
    assert!(page.header("location").is_empty(), "{page:?}");
    assert!(page.body.contains(code), "{}", page.body);
    assert_eq!(page.header("cache-control"), "no-store");
}

/// RFC 9126 sections 2.1, 2.2 and 4: for public clients and for those with a secret, by header or in the body.
#[tokio::test]
async fn a_pushed_request_leads_to_tokens() {
    let server = TestServer::start().await;
    for client_id in ["spa", "web", "post"] {
        let answer = server.push(client_id, &[("scope", "openid email")]).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.body["expires_in"], 90);
        let request_uri = answer.text("request_uri");
        assert!(request_uri.strip_prefix(PREFIX).unwrap().len() >= 43);
        let mut browser = Browser::new();
        let url = by_reference(&server, client_id, request_uri);
        let page = browser.log_in_as(url, people::JO_SMITH).await;
        let answer = page.answer();
        assert_eq!(answer["state"], "the-state");
        assert_eq!(answer["iss"], server.issuer);
        let tokens = server.redeem(client_id, &answer["code"], &[]).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        let userinfo = server.userinfo(tokens.text("access_token")).await;
        assert_eq!(userinfo.body["email"], people::JO_SMITH.email);
    }
}

/// RFC 9126 section 2.3: what is wrong is told at once, to the client, and nothing is kept. T5, T8, T48.
#[tokio::test]
async fn a_wrong_request_is_refused_when_it_is_pushed() {
    let server = TestServer::start().await;
    let long = "x".repeat(3000);
    for (changes, code) in [
        (
            vec![("redirect_uri", "https://evil.example/")],
            "invalid_request",
        ),
        (
            vec![("redirect_uri", "https://spa.example.org/callback?more=1")],
            "invalid_request",
        ),
        // Two are registered.
        (vec![("redirect_uri", "")], "invalid_request"),
        (
            vec![("response_type", "token")],
            "unsupported_response_type",
        ),
        (vec![("response_type", "")], "invalid_request"),
        (vec![("code_challenge", "")], "invalid_request"),
        (vec![("code_challenge_method", "plain")], "invalid_request"),
        (vec![("scope", "openid a\"b")], "invalid_scope"),
        (vec![("max_age", "-1")], "invalid_request"),
        (vec![("state", &long)], "invalid_request"),
        (vec![("id_token_hint", "e30.e30.AA")], "invalid_request"),
        (
            vec![("request_uri", "urn:ietf:params:oauth:request_uri:abc")],
            "invalid_request",
        ),
        (
            vec![("request_uri", "https://spa.example.org/request")],
            "invalid_request",
        ),
    ] {
        let refused = server.push("spa", &changes).await;
        refused.assert_error(400, code);
        assert!(refused.body.get("request_uri").is_none(), "{changes:?}");
    }
    let twice = format!(
        "{}&client_id=spa",
        Url::parse(&server.authorize_url("spa", &[]))
            .unwrap()
            .query()
            .unwrap()
    );
    for body in [
        twice.clone(),
        twice.replace("&client_id=spa", "&state=another"),
        twice.replace("&client_id=spa", "&unknown=1&unknown=2"),
    ] {
        let request = http_client()
            .post(server.url("/par"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        answer(request).await.assert_error(400, "invalid_request");
    }
    let json = http_client()
        .post(server.url("/par"))
        .header("content-type", "application/json")
        .body("{\"client_id\":\"spa\"}");
    answer(json).await.assert_error(400, "invalid_request");
    let large = [("client_id", "spa"), ("padding", &"x".repeat(20_000))];
    let large = answer(http_client().post(server.url("/par")).form(&large)).await;
    large.assert_error(413, "invalid_request");
    let by_get = http_client().get(server.url("/par")).send().await.unwrap();
    assert_eq!(by_get.status(), 405);
}

/// RFC 9126 section 2: the client authenticates as at the token endpoint.
#[tokio::test]
async fn nobody_pushes_in_the_name_of_a_client_with_a_secret() {
    let server = TestServer::start().await;
    let form = |client_id: &str| {
        let url = Url::parse(&server.authorize_url(client_id, &[])).unwrap();
        url.query_pairs().into_owned().collect::<Vec<_>>()
    };
    let post = |form: &[(String, String)]| http_client().post(server.url("/par")).form(form);
    for refused in [
        post(&form("web")),
        post(&form("web")).basic_auth("web", Some("wrong")),
        post(&form("nobody")),
        post(&form("spa")).basic_auth("spa", Some("secret")),
    ] {
        answer(refused).await.assert_error(401, "invalid_client");
    }
    // The request is the authenticated client's, and of no other.
    let other = post(&form("spa")).basic_auth("web", Some(crate::harness::server::WEB_SECRET));
    answer(other).await.assert_error(400, "invalid_request");
}

/// RFC 9126 section 2.2, RFC 9101 section 6.3: bound to its client, and nothing beside it counts.
#[tokio::test]
async fn a_request_uri_is_for_the_client_that_pushed_it_and_stands_alone() {
    // One that could have made the very same request.
    let server = TestServer::start_with(|setup| {
        setup.clients = r#"
[[clients]]
client_id = "twin"
token_endpoint_auth_method = "none"
redirect_uris = ["https://spa.example.org/callback"]
"#
        .to_owned();
    })
    .await;
    let url = pushed(&server, "spa", &[]).await;
    let request_uri = Url::parse(&url).unwrap();
    let request_uri = request_uri.query_pairs().nth(1).unwrap().1.into_owned();
    for wrong in [
        by_reference(&server, "twin", &request_uri),
        by_reference(&server, "web", &request_uri),
        by_reference(&server, "nobody", &request_uri),
        by_reference(&server, "", &request_uri),
        by_reference(&server, "spa", &format!("{request_uri}A")),
        by_reference(&server, "spa", &request_uri[..request_uri.len() - 1]),
        by_reference(&server, "spa", PREFIX),
        format!("{url}&client_id=spa"),
        format!("{url}&state=a&state=b"),
        format!("{url}&request=e30.e30.AA"),
    ] {
        let page = Browser::new().open(&wrong).await;
        assert_dead_end(&page, "invalid_request");
    }
    let beside = format!(
        "{url}&redirect_uri=https%3A%2F%2Fevil.example%2F&state=evil&scope=openid&response_mode=form_post&prompt=none"
    );
    let mut browser = Browser::new();
    let page = browser.log_in_as(beside, people::JO_SMITH).await;
    assert_eq!(page.status, 303);
    let location = page.header("location");
    assert!(location.starts_with(&redirect_uri("spa")), "{location}");
    assert_eq!(page.answer()["state"], "the-state");
}

/// The person may reload, go back, and take their time; the request begins other flows until one is answered, and then
/// none (RFC 9126 section 4; FAPI 2.0 Security Profile section 5.3.2.2).
#[tokio::test]
async fn a_request_uri_works_once_but_survives_a_reload_before_the_login_is_done() {
    let server = TestServer::start().await;
    let url = pushed(&server, "spa", &[]).await;
    // Somebody else's software looks first.
    assert!(Browser::new().open(&url).await.is_login());
    let mut browser = Browser::new();
    let first = browser.open(&url).await;
    assert!(first.is_login());
    let reloaded = browser.open(&url).await;
    assert_eq!(reloaded.flow(), first.flow(), "one flow, not a second");
    // Longer than the request itself lasts: the flow goes on, but none begins.
    server.clock.advance(95);
    assert_dead_end(&Browser::new().open(&url).await, "invalid_request_uri");
    let reloaded = browser.open(&url).await;
    assert_eq!(reloaded.flow(), first.flow());
    let done = browser.sign_in_as(&reloaded, people::JO_SMITH).await;
    assert!(done.answer().contains_key("code"));
    assert_dead_end(&browser.open(&url).await, "invalid_request_uri");
}

/// Of two browsers that began with one request, the first that is answered uses it up.
#[tokio::test]
async fn two_flows_of_one_request_get_one_code() {
    let server = TestServer::start().await;
    let url = pushed(&server, "spa", &[]).await;
    let (mut one, mut other) = (Browser::new(), Browser::new());
    let (page, elsewhere) = (one.open(&url).await, other.open(&url).await);
    let done = one.sign_in_as(&page, people::JO_SMITH).await;
    assert!(done.answer().contains_key("code"));
    let late = other.sign_in_as(&elsewhere, people::MONO).await;
    assert_dead_end(&late, "invalid_request_uri");
    assert_dead_end(&Browser::new().open(&url).await, "invalid_request_uri");
}

/// An answer that was lost, or a second click, gets another: that is the same flow of the same browser.
#[tokio::test]
async fn a_lost_answer_can_be_had_again_in_the_same_flow() {
    let server = TestServer::start().await;
    let url = pushed(&server, "spa", &[]).await;
    let mut browser = Browser::new();
    let page = browser.open(&url).await;
    let mut before = browser.clone();
    let done = browser.sign_in_as(&page, people::JO_SMITH).await;
    assert!(done.answer().contains_key("code"));
    let again = before.sign_in_as(&page, people::JO_SMITH).await;
    assert!(again.answer().contains_key("code"), "{again:?}");
}

/// An error is an answer, too.
#[tokio::test]
async fn a_refusal_spends_the_request() {
    let server = TestServer::start().await;
    let url = pushed(&server, "spa", &[("prompt", "none")]).await;
    let page = Browser::new().open(&url).await;
    assert_eq!(page.answer()["error"], "login_required");
    assert_dead_end(&Browser::new().open(&url).await, "invalid_request_uri");
}

/// RFC 9126 section 5 and 6: by client, or for all.
#[tokio::test]
async fn a_client_that_must_push_is_refused_without() {
    let server = TestServer::start_with(must_push).await;
    let plain = Browser::new()
        .open(server.authorize_url("pushing", &[]))
        .await;
    assert_eq!(plain.answer()["error"], "invalid_request");
    assert_eq!(plain.answer()["state"], "the-state");
    // T5: not to an address that is not registered.
    let evil = [("redirect_uri", "https://evil.example/")];
    let page = Browser::new()
        .open(server.authorize_url("pushing", &evil))
        .await;
    assert_dead_end(&page, "redirect_uri");
    let url = pushed(&server, "pushing", &[]).await;
    assert!(Browser::new().open(&url).await.is_login());
    assert!(
        Browser::new()
            .open(server.authorize_url("spa", &[]))
            .await
            .is_login()
    );

    let all = TestServer::start_with(|setup| {
        setup
            .sections
            .push_str("\n[par]\nrequired = true\nlifetime = \"10s\"\n");
    })
    .await;
    let plain = Browser::new().open(all.authorize_url("spa", &[])).await;
    assert_eq!(plain.answer()["error"], "invalid_request");
    let form = Url::parse(&all.authorize_url("spa", &[])).unwrap();
    let form: Vec<_> = form.query_pairs().into_owned().collect();
    let by_post = http_client()
        .post(all.url("/authorize"))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(by_post.status(), 303);
    assert!(
        by_post.headers()["location"]
            .to_str()
            .unwrap()
            .contains("error=invalid_request")
    );
    let answer = all.push("spa", &[]).await;
    assert_eq!(answer.body["expires_in"], 10);
    for (server, required) in [(&server, false), (&all, true)] {
        let metadata = discovery(server).await;
        assert_eq!(
            metadata.body["require_pushed_authorization_requests"],
            required
        );
        assert_eq!(
            metadata.text("pushed_authorization_request_endpoint"),
            server.url("/par")
        );
    }
}

async fn discovery(server: &TestServer) -> Answer {
    let url = server.url("/.well-known/openid-configuration");
    answer(http_client().get(url)).await
}

/// A push from an app's own page is a form from another site, and finds no cookies of ours (RFC 9126 section 4, by POST).
#[tokio::test]
async fn a_request_uri_may_be_posted_to_the_authorization_endpoint() {
    let server = TestServer::start().await;
    let answer = server.push("spa", &[]).await;
    let form = [
        ("client_id", "spa"),
        ("request_uri", answer.text("request_uri")),
    ];
    let posted = http_client()
        .post(server.url("/authorize"))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), 303);
    let location = posted.headers()["location"].to_str().unwrap();
    assert!(
        location.starts_with("/authorize/resume?flow="),
        "{location}"
    );
}

/// Strangers cannot fill the database in the name of a public client; those who log in take themselves off the count.
#[tokio::test]
async fn an_address_has_only_so_many_requests_that_led_to_no_login() {
    let server = TestServer::start_with(|setup| {
        setup.sections =
            "[login]\nrefusal_floor = \"0s\"\nmax_attempts_per_address = 4\n".to_owned();
    })
    .await;
    let mut browser = Browser::new();
    for _ in 0..6 {
        let url = pushed(&server, "spa", &[]).await;
        let mut page = browser.open(&url).await;
        if page.is_login() {
            page = browser.sign_in_as(&page, people::JO_SMITH).await;
        }
        assert!(page.answer().contains_key("code"));
    }
    for _ in 0..4 {
        pushed(&server, "spa", &[]).await;
    }
    let refused = server.push("spa", &[]).await;
    refused.assert_error(429, "temporarily_unavailable");
    // Who has authenticated is nobody's stranger.
    pushed(&server, "post", &[]).await;
}

/// What the database keeps of a push tells nothing to whoever steals it.
#[tokio::test]
async fn a_pushed_request_is_sealed_and_its_uri_hashed() {
    let server = TestServer::start().await;
    let answer = server
        .push("spa", &[("login_hint", "jo.smith@example.org")])
        .await;
    let random = answer
        .text("request_uri")
        .strip_prefix(PREFIX)
        .unwrap()
        .to_owned();
    let pool = server.database.pool().await;
    let row: (String, String) = sqlx::query_as("SELECT uri_hash, sealed FROM pushed_request")
        .fetch_one(&pool)
        .await
        .unwrap();
    let row = format!("{row:?}");
    assert!(!row.contains(&random) && !row.contains("jo.smith"), "{row}");
}

/// Every node takes up what another was sent.
#[tokio::test]
async fn a_request_pushed_to_one_node_is_used_at_another() {
    let mut server = TestServer::start().await;
    let node = server.add_node().await;
    let url = pushed(&server, "spa", &[]).await;
    let mut browser = Browser::new();
    let page = browser
        .open(crate::harness::steps::at_node(node, &url))
        .await;
    assert!(page.is_login(), "{page:?}");
    let methods = http_client()
        .request(Method::PUT, server.url("/par"))
        .send()
        .await
        .unwrap();
    assert_eq!(methods.status(), 405);
}

/// What is counted where the app pushes is given back there, wherever the person's browser is; and a browser's own count is
/// not lowered by it (T48).
#[tokio::test]
async fn a_push_is_given_back_where_it_was_counted() {
    let server = TestServer::start_with(|setup| {
        setup.server = "trusted_proxies = [\"127.0.0.0/8\"]\n".to_owned();
        setup.sections =
            "[login]\nrefusal_floor = \"0s\"\nmax_attempts_per_address = 4\n".to_owned();
    })
    .await;
    let form = Url::parse(&server.authorize_url("spa", &[])).unwrap();
    let form: Vec<(String, String)> = form.query_pairs().into_owned().collect();
    let push = || {
        let request = http_client().post(server.url("/par")).form(&form);
        answer(request.header("x-forwarded-for", "192.0.2.7"))
    };
    let state = "s".repeat(2000);
    let nonce = "n".repeat(500);
    let large = server.authorize_url("spa", &[("state", &state), ("nonce", &nonce)]);
    for _ in 0..4 {
        assert_eq!(Browser::new().open(&large).await.status, 200);
    }
    for _ in 0..6 {
        let pushed = push().await;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        let url = by_reference(&server, "spa", pushed.text("request_uri"));
        let page = Browser::new().log_in_as(url, people::JO_SMITH).await;
        assert!(page.answer().contains_key("code"), "{page:?}");
    }
    assert_eq!(Browser::new().open(&large).await.status, 400);
    for _ in 0..4 {
        assert_eq!(push().await.status, 201);
    }
    push().await.assert_error(429, "temporarily_unavailable");
}

/// RFC 9126 section 7.4, T17: what was good when it was pushed is looked at again when it is used, as the client is registered then.
#[tokio::test]
async fn a_pushed_request_is_held_to_the_registration_of_the_day() {
    let mut server = TestServer::start().await;
    let narrowed = pushed(&server, "post", &[("scope", "openid email")]).await;
    let moved = pushed(&server, "spa", &[]).await;
    let same = pushed(&server, "web", &[]).await;
    server.edit_config("scope = \"openid email\"", "scope = \"openid\"");
    server.edit_config(
        "\"https://spa.example.org/callback\"",
        "\"https://spa.example.org/moved\"",
    );
    server.restart().await;
    let page = Browser::new().get(narrowed).await;
    let answer = page.answer();
    assert_eq!(answer["error"], "invalid_scope", "{answer:?}");
    assert_eq!(answer["state"], "the-state");
    let page = Browser::new().get(moved).await;
    assert_dead_end(&page, "redirect_uri");
    let page = Browser::new().open(same).await;
    assert!(page.is_login(), "{}", page.body);
}

/// RFC 9126 section 2.3: what is kept may be more than was sent, and what no browser could use is refused while the app is
/// there to be told; it is neither counted nor kept.
#[tokio::test]
async fn what_is_taken_can_be_used_and_what_cannot_is_told_at_once() {
    const MOST: usize = 16 * 1024;
    let server = TestServer::start_with(|setup| {
        setup.sections =
            "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 2\nmax_attempts_per_address = 2\n"
                .to_owned();
    })
    .await;
    let query = |padding: &str| {
        let url = Url::parse(&server.authorize_url("spa", &[("padding", padding)])).unwrap();
        url.query().unwrap().to_owned()
    };
    let body = query(&"x".repeat(MOST + 1 - query("x").len()));
    assert_eq!(body.len(), MOST);
    let push = || {
        let request = http_client().post(server.url("/par"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(body.clone())
    };
    // The name of the key is what makes it too large.
    let key = ProofKey::new();
    for _ in 0..3 {
        let proof = key.proof(&server, ("POST", "/par"), &[]);
        let refused = answer(push().header("DPoP", proof)).await;
        refused.assert_error(400, "invalid_request");
    }
    let pool = server.database.pool().await;
    for table in ["pushed_request", "spent_id", "throttle"] {
        let count = format!("SELECT COUNT(*) FROM {table}");
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count))
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    let taken = answer(push()).await;
    assert_eq!(taken.status, 201, "{taken:?}");
    let url = by_reference(&server, "spa", taken.text("request_uri"));
    assert!(Browser::new().open(&url).await.is_login());
}
