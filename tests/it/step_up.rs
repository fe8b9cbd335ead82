//! What a login proves, and asking for more (`acr`; OpenID Connect Core sections 2, 3.1.2.1 and 5.5.1.1; RFC 9470; OpenID Connect Core Unmet
//! Authentication Requirements 1.0).

use portico::model::account::UpstreamSubject;
use portico::passwords::hash_password;
use portico::protocol::ids::UpstreamId;
use portico::protocol::secret::Secret;
use portico::simulator::people::JO_SMITH;
use portico::store::{LeadsTo, NewLink};
use serde_json::{Value, json};
use url::Url;

use crate::harness::browser::{Browser, Page, http_client};
use crate::harness::relying_party::{answer, claims};
use crate::harness::server::{START, Setup, TestServer};
use crate::harness::steps::SESSION;

pub(crate) const ONE: &str = "urn:example:one-factor";
pub(crate) const TWO: &str = "urn:example:two-factors";
const PASSWORD: &str = "admin-demo-1";

/// Members prove one thing, a second way in two; staff says nothing.
pub(crate) fn levels(setup: &mut Setup) {
    let hash = hash_password(&Secret::new(PASSWORD)).unwrap();
    setup.members = format!("{}\nacr = \"{ONE}\"", setup.members);
    setup.upstreams = format!(
        r#"
[[upstreams]]
id = "safe"
kind = "users"
label = "Safe login"
acr = "{TWO}"

[[upstreams.people]]
id = "1"
username = "admin"
password_hash = "{hash}"
"#
    );
}

async fn started() -> TestServer {
    TestServer::start_with(levels).await
}

pub(crate) async fn log_in_safely(browser: &mut Browser, page: &Page) -> Page {
    browser.sign_in(page, "safe", ("admin", PASSWORD)).await
}

fn essential(value: &Value) -> String {
    json!({ "id_token": { "acr": { "essential": true, "values": [value] } } }).to_string()
}

/// Core section 2, RFC 9068 section 2.2.1: in both tokens, of a refresh too; absent where nobody says what a login proves.
#[tokio::test]
async fn tokens_say_what_the_login_proves() {
    let server = started().await;
    let tokens = server.tokens("spa", "openid").await;
    let refreshed = server.refresh("spa", tokens.text("refresh_token")).await;
    for tokens in [tokens, refreshed] {
        for token in ["id_token", "access_token"] {
            assert_eq!(claims(tokens.text(token))["acr"], ONE, "{token}");
        }
    }
    let mut browser = Browser::new();
    let url = server.authorize_url("staff-app", &[]);
    let page = browser
        .log_in_at_aim18(url, portico::simulator::people::ANN_LEE)
        .await;
    let tokens = server
        .redeem("staff-app", &page.answer()["code"], &[])
        .await;
    for token in ["id_token", "access_token"] {
        assert!(claims(tokens.text(token)).get("acr").is_none(), "{token}");
    }
    let url = server.url("/.well-known/openid-configuration");
    let document = answer(http_client().get(url)).await.body;
    assert_eq!(document["acr_values_supported"], json!([ONE, TWO]));
    let supported = document["claims_supported"].as_array().unwrap();
    assert!(supported.contains(&json!("acr")));
}

/// RFC 9470 sections 4 and 5: a session that is good enough goes on; one that is not leads to a login, and the tokens tell what came of
/// it. What is only wished for never keeps anybody out.
#[tokio::test]
async fn a_request_for_more_leads_to_another_login() {
    let server = started().await;
    let mut browser = Browser::new();
    browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    let ask = |acr: &str| server.authorize_url("spa", &[("acr_values", acr)]);
    for enough in [ONE, &format!("{TWO} {ONE}"), "urn:example:nobody"] {
        let page = browser.get(ask(enough)).await;
        assert!(page.answer().contains_key("code"), "{enough}");
    }
    let silent = server.authorize_url("spa", &[("acr_values", TWO), ("prompt", "none")]);
    assert!(browser.get(silent).await.answer().contains_key("code"));

    let page = browser.open(ask(TWO)).await;
    assert!(page.is_login());
    let page = log_in_safely(&mut browser, &page).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    assert_eq!(claims(tokens.text("access_token"))["acr"], TWO);
    let page = browser.get(ask(TWO)).await;
    assert!(
        page.answer().contains_key("code"),
        "the session is the better one now"
    );

    // Whoever has no better way in is let in with what there is, and the tokens say so.
    let mut other = Browser::new();
    let page = other.open(ask(TWO)).await;
    let page = other.sign_in_as(&page, JO_SMITH).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    assert_eq!(claims(tokens.text("id_token"))["acr"], ONE);
}

/// Follows redirects between the two hosts, to the answer that leads elsewhere.
async fn follow(browser: &mut Browser, mut page: Page) -> Page {
    for _ in 0..20 {
        let next = page.location();
        let ours = |next: &Url| matches!(next.host_str(), Some("127.0.0.1" | "localhost"));
        let Some(next) = next.filter(ours) else {
            return page;
        };
        page = browser.click(next.as_str()).await;
    }
    panic!("no end of redirects, at {}", page.url);
}

/// T24: whoever proves more, as the same person at the same upstream, goes on in the session that they have, under a new secret: the
/// cookie before it is dead, the app's `sid` and its tokens are not. The upstream is a Portico that has two logins of that person.
#[tokio::test]
async fn a_step_up_gives_the_session_a_new_secret_and_the_app_the_same_sid() {
    let inner = TestServer::start_with(|setup| {
        levels(setup);
        // Another host, for cookies know no ports.
        setup.issuer = "http://localhost:{port}".to_owned();
        setup.clients = "[[clients]]\nclient_id = \"outer\"\nclient_secret = { env = \"WEB_SECRET\" }\n\
             redirect_uris = [\"http://127.0.0.1/upstream/partner/callback\"]\nscope = \"openid profile email\"\n"
            .to_owned();
    })
    .await;
    let issuer = inner.issuer.clone();
    let outer = TestServer::start_with(|setup| {
        setup.upstreams = format!(
            "[[upstreams]]\nid = \"partner\"\nkind = \"oidc\"\nissuer = \"{issuer}\"\nclient_id = \"outer\"\n\
             client_secret = {{ env = \"WEB_SECRET\" }}\nacr_values = [\"{ONE}\", \"{TWO}\"]\n"
        );
    })
    .await;
    let mut browser = Browser::new();
    let page = browser.open(outer.authorize_url("spa", &[])).await;
    let page = browser.choose(&page, "partner").await;
    let page = follow(&mut browser, page).await;
    let page = browser.sign_in_as(&page, JO_SMITH).await;
    let page = follow(&mut browser, page).await;
    let first = outer.redeem("spa", &page.answer()["code"], &[]).await;
    let before = claims(first.text("id_token"));
    assert_eq!(before["acr"], ONE);
    let old = browser.session(&outer).unwrap();

    let account = inner.store.list_accounts(10).await.unwrap().remove(0);
    let link = NewLink {
        tokens: None,
        into: &account.id,
        login: &UpstreamSubject {
            upstream: UpstreamId::new("safe"),
            subject: "1".to_owned(),
        },
        leads_to: LeadsTo::Any,
        profile: None,
        same_upstream: false,
    };
    inner.store.link_login(&link, START).await.unwrap();
    let more = [("acr_values", TWO)];
    let page = browser.open(outer.authorize_url("spa", &more)).await;
    assert!(page.is_login(), "{}", page.body);
    let page = browser.choose(&page, "partner").await;
    let page = follow(&mut browser, page).await;
    let page = log_in_safely(&mut browser, &page).await;
    let page = follow(&mut browser, page).await;
    let second = outer.redeem("spa", &page.answer()["code"], &[]).await;
    let after = claims(second.text("id_token"));
    assert_eq!(
        (&after["acr"], &after["sub"]),
        (&json!(TWO), &before["sub"])
    );
    assert_eq!(after["sid"], before["sid"]);
    assert_ne!(browser.session(&outer).unwrap(), old);
    let refreshed = outer.refresh("spa", first.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");

    let silent = outer.authorize_url("spa", &[("prompt", "none")]);
    assert!(browser.get(&silent).await.answer().contains_key("code"));
    let mut thief = Browser::new();
    thief.set_cookie("127.0.0.1", SESSION, &old);
    assert_eq!(thief.get(&silent).await.answer()["error"], "login_required");
}

/// Core section 5.5.1.1: essential is met or refused; the person is offered the ways alone that can meet it.
#[tokio::test]
async fn what_is_essential_is_met_or_refused() {
    let server = started().await;
    let mut browser = Browser::new();
    browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    let ask = |value: &str, more: &[(&str, &str)]| {
        let claims = essential(&json!(value));
        server.authorize_url("spa", &[&[("claims", claims.as_str())], more].concat())
    };
    let page = browser.get(ask(ONE, &[("prompt", "none")])).await;
    assert!(page.answer().contains_key("code"));
    let page = browser.get(ask(TWO, &[("prompt", "none")])).await;
    assert_eq!(page.answer()["error"], "login_required");
    let page = browser.open(ask(TWO, &[])).await;
    assert!(page.is_login());
    let text = page.text("main").unwrap();
    assert!(
        !text.contains("Member login") && !text.contains("Staff login"),
        "{text}"
    );
    let page = log_in_safely(&mut browser, &page).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    assert_eq!(claims(tokens.text("id_token"))["acr"], TWO);

    for nobody in [&mut Browser::new(), &mut browser] {
        for more in [
            &[][..],
            &[("prompt", "none")],
            &[("response_mode", "fragment")],
        ] {
            let page = nobody.get(ask("urn:example:three", more)).await;
            let answer = page.answer();
            assert_eq!(answer["error"], "unmet_authentication_requirements");
            assert_eq!(answer["state"], "the-state");
        }
    }
}

/// Core section 3.1.2.1, RFC 9470 section 4: a login that is too old is made again even when it proves enough, and `auth_time` moves.
#[tokio::test]
async fn max_age_and_prompt_login_ask_again_and_move_auth_time() {
    let server = started().await;
    let mut browser = Browser::new();
    let page = browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    let before = claims(tokens.text("id_token"))["auth_time"]
        .as_i64()
        .unwrap();
    for (seconds, changes) in [
        (2, [("max_age", "1"), ("acr_values", ONE)]),
        (3, [("prompt", "login"), ("acr_values", ONE)]),
    ] {
        server.clock.advance(seconds);
        let page = browser.open(server.authorize_url("spa", &changes)).await;
        assert!(page.is_login(), "{changes:?}");
        let page = browser.sign_in_as(&page, JO_SMITH).await;
        let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
        let token = claims(tokens.text("id_token"));
        assert_eq!(token["auth_time"], server.clock.now(), "{changes:?}");
        assert!(token["auth_time"].as_i64().unwrap() > before);
    }
}

/// T48: the list is capped, and what is no claim is not made one.
#[tokio::test]
async fn a_list_without_end_is_refused() {
    let server = started().await;
    let long = "x".repeat(1025);
    let url = server.authorize_url("spa", &[("acr_values", &long)]);
    let page = Browser::new().get(url).await;
    assert_eq!(page.answer()["error"], "invalid_request");
}
