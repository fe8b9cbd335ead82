//! Consent (OpenID Connect Core section 3.1.2.4): asked for, remembered by scope, refused, and given by nobody else (T14).

use portico::model::audit::Event;
use portico::simulator::people::{ImisPerson, JO_SMITH, ZOE};
use serde_json::Value;

use crate::harness::browser::{Browser, Page};
use crate::harness::server::TestServer;
use crate::harness::steps::SESSION;

const ALLOW: [(&str, &str); 1] = [("decision", "allow")];
const DENY: [(&str, &str); 1] = [("decision", "deny")];

const ALWAYS: &str = r#"
[[clients]]
client_id = "always"
client_name = "Careful app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://always.example.org/callback"]
scope = "openid profile"
consent = "always"
"#;

fn is_consent(page: &Page) -> bool {
    page.status == 200 && page.url.path() == "/consent"
}

/// A browser with Jo Smith logged in, at the consent page of the client `asking`.
async fn at_consent(server: &TestServer, scope: &str) -> (Browser, Page) {
    at_consent_of(server, JO_SMITH, scope).await
}

async fn at_consent_of(server: &TestServer, person: ImisPerson, scope: &str) -> (Browser, Page) {
    let mut browser = Browser::new();
    let url = server.authorize_url("asking", &[("scope", scope)]);
    let page = browser.log_in_as(url, person).await;
    assert!(is_consent(&page), "{page:?}");
    (browser, page)
}

async fn assert_refused(browser: &mut Browser, page: &Page, fields: &[(&str, &str)]) {
    let refused = browser.submit_only(page, "form", fields).await;
    assert_eq!(refused.status, 400, "{fields:?}: {}", refused.body);
    assert_eq!(refused.location(), None);
}

#[tokio::test]
async fn a_yes_is_remembered_for_its_scope_and_no_more() {
    let mut server = TestServer::start().await;
    let (mut browser, page) = at_consent(&server, "openid profile").await;
    let text = page.text("main").unwrap();
    assert!(text.contains("Asking app"), "{text}");
    assert!(text.contains("signed in as Jo Smith"), "{text}");
    assert!(text.contains("see your name and user name"), "{text}");
    assert!(!text.contains("email"), "{text}");
    let page = browser.submit(&page, "form", &ALLOW).await;
    assert!(page.answer().contains_key("code"));
    server.restart().await;
    let ask = |scope: &str| server.authorize_url("asking", &[("scope", scope)]);
    for remembered in ["openid profile", "openid"] {
        let page = browser.open(ask(remembered)).await;
        assert!(page.answer().contains_key("code"), "{remembered}");
    }
    let page = browser.open(ask("openid reports:read")).await;
    assert!(is_consent(&page), "more was never agreed to");
    assert!(page.text("main").unwrap().contains("reports:read"));
    browser.submit(&page, "form", &ALLOW).await;
    let page = browser.open(ask("openid profile reports:read")).await;
    assert!(page.answer().contains_key("code"), "both were agreed to");
    // What one person agreed to says nothing of another.
    let page = Browser::new().log_in_as(ask("openid"), ZOE).await;
    assert!(is_consent(&page));
}

/// Whoever lets an app act elsewhere in their name is told where, in the words that they know.
#[tokio::test]
async fn the_right_to_act_at_an_upstream_is_told_by_its_label() {
    let server = TestServer::start_with(|setup| {
        setup.clients = ALWAYS.replace("openid profile", "openid upstream:members");
    })
    .await;
    let mut browser = Browser::new();
    let url = server.authorize_url("always", &[("scope", "openid upstream:members")]);
    let page = browser.log_in_as(url, JO_SMITH).await;
    let text = page.text("main").unwrap();
    assert!(text.contains("act for you at “Member login”"), "{text}");
}

/// RFC 6749 section 4.1.2.1.
#[tokio::test]
async fn a_no_is_told_to_the_client_and_not_remembered() {
    let server = TestServer::start().await;
    let (mut browser, page) = at_consent(&server, "openid").await;
    let page = browser.submit(&page, "form", &DENY).await;
    let answer = page.answer();
    assert_eq!(answer["error"], "access_denied");
    assert_eq!(answer["state"], "the-state");
    assert_eq!(answer["iss"], server.issuer);
    let page = browser.open(server.authorize_url("asking", &[])).await;
    assert!(is_consent(&page), "and the person may think again");
}

/// What was said to what is recorded, the single claims too; a no as an event of its own, which no flood of errors hides.
#[tokio::test]
async fn what_a_person_answers_is_recorded_with_all_that_was_asked() {
    let mut server = TestServer::start().await;
    let mut browser = Browser::new();
    let asked =
        r#"{ "userinfo": { "email": null }, "id_token": { "nickname": null, "email": null } }"#;
    let url = server.authorize_url("asking", &[("scope", "openid"), ("claims", asked)]);
    let page = browser.log_in_as(&url, JO_SMITH).await;
    assert!(is_consent(&page), "{page:?}");
    for _ in 0..70 {
        let junk = server.token("spa", &[("grant_type", "junk")]).await;
        junk.assert_error(400, "unsupported_grant_type");
    }
    let denied = browser.submit(&page, "form", &DENY).await;
    assert_eq!(denied.answer()["error"], "access_denied");
    let page = browser.open(&url).await;
    browser.submit(&page, "form", &ALLOW).await;
    server.stop().await;
    let found = crate::command_line::audit::audit(&server, &[]).await;
    let of = |event: &str| -> Vec<&Value> {
        let fitting = found.iter().filter(|record| record["event"] == event);
        fitting.collect()
    };
    for event in [Event::ConsentDenied, Event::Consented].map(Event::as_str) {
        let [record] = of(event)[..] else {
            panic!("{event} in {found:#?}");
        };
        assert_eq!(record["client_id"], "asking");
        assert!(record["account"].is_string() && record["session"].is_string());
        assert_eq!(record["details"]["scope"], "openid", "{event}");
        assert_eq!(record["details"]["claims"], "email nickname", "{event}");
    }
    assert_eq!(of("consented")[0]["details"]["remembered"], true);
    let told = |record: &&Value| record["details"]["code"] == "access_denied";
    assert_eq!(found.iter().filter(told).count(), 0, "one error too many");
}

#[tokio::test]
async fn a_client_that_always_asks_is_always_answered() {
    let server = TestServer::start_with(|setup| setup.clients = ALWAYS.to_owned()).await;
    let mut browser = Browser::new();
    let url = server.authorize_url("always", &[]);
    let mut page = browser.log_in_as(&url, JO_SMITH).await;
    for _ in 0..2 {
        assert!(is_consent(&page));
        let done = browser.submit(&page, "form", &ALLOW).await;
        assert!(done.answer().contains_key("code"));
        page = browser.open(&url).await;
    }
}

/// Core section 3.1.2.1: also where the client is trusted, and where a yes is remembered.
#[tokio::test]
async fn prompt_consent_asks_again() {
    let server = TestServer::start().await;
    let (mut browser, page) = at_consent(&server, "openid").await;
    browser.submit(&page, "form", &ALLOW).await;
    for client_id in ["asking", "spa"] {
        let url = server.authorize_url(client_id, &[("prompt", "consent")]);
        let page = browser.open(url).await;
        assert!(is_consent(&page), "{client_id}");
        let page = browser.submit(&page, "form", &ALLOW).await;
        assert!(page.answer().contains_key("code"), "{client_id}");
    }
}

/// T14: the form belongs to its flow.
#[tokio::test]
async fn a_token_of_another_flow_agrees_to_nothing() {
    let server = TestServer::start().await;
    let (mut browser, page) = at_consent(&server, "openid").await;
    let other = browser.open(server.authorize_url("asking", &[])).await;
    let foreign = other.attribute("input[name=form_token]", "value").unwrap();
    let login = {
        let url = server.authorize_url("spa", &[("prompt", "login")]);
        let page = browser.open(url).await;
        page.attribute("input[name=form_token]", "value").unwrap()
    };
    for token in [foreign.as_str(), login.as_str(), "", "nonsense"] {
        let fields = [("form_token", token), ("decision", "allow")];
        assert_refused(&mut browser, &page, &fields).await;
        let fields = [("form_token", token), ("decision", "deny")];
        assert_refused(&mut browser, &page, &fields).await;
    }
    assert_refused(&mut browser, &page, &[("decision", "perhaps")]).await;
    assert_refused(&mut browser, &page, &[("decision", "")]).await;
    let page = browser.submit(&page, "form", &ALLOW).await;
    assert!(
        page.answer().contains_key("code"),
        "the right one still does"
    );
}

/// T14: the form belongs to its session. Nobody agrees in the name of whoever logged in meanwhile.
#[tokio::test]
async fn a_token_of_another_session_agrees_to_nothing() {
    let server = TestServer::start().await;
    let (mut browser, page) = at_consent(&server, "openid").await;
    let zoe = {
        let mut elsewhere = Browser::new();
        elsewhere
            .log_in_as(server.authorize_url("spa", &[]), ZOE)
            .await;
        elsewhere.session(&server).unwrap()
    };
    browser.set_cookie("127.0.0.1", SESSION, &zoe);
    // Whose flow it is is not here any more: it asks who is, and a yes given before is nobody's.
    let asked = browser.submit(&page, "form", &ALLOW).await;
    assert_eq!((asked.status.as_u16(), asked.url.path()), (200, "/login"));
    let hers = browser.sign_in_as(&asked, ZOE).await;
    assert!(is_consent(&hers), "{hers:?}");
    assert!(hers.body.contains("signed in as Zo"), "{}", hers.body);
}

/// T14, T25: the handle alone opens nothing in another browser.
#[tokio::test]
async fn the_page_and_its_form_are_worthless_in_another_browser() {
    let server = TestServer::start().await;
    let (_, page) = at_consent(&server, "openid").await;
    let mut thief = Browser::new();
    let url = server.url(&format!("/consent?flow={}", page.flow()));
    assert_eq!(thief.get(url).await.status, 400);
    assert_refused(&mut thief, &page, &ALLOW).await;
}

/// A yes in one flow is none in another that runs beside it.
#[tokio::test]
async fn a_yes_counts_in_its_own_flow() {
    let server = TestServer::start_with(|setup| setup.clients = ALWAYS.to_owned()).await;
    let mut browser = Browser::new();
    let url = server.authorize_url("always", &[]);
    let one = browser.log_in_as(&url, JO_SMITH).await;
    let two = browser.open(&url).await;
    browser.submit(&one, "form", &ALLOW).await;
    let resume = server.url(&format!("/authorize/resume?flow={}", two.flow()));
    assert!(is_consent(&browser.open(resume).await));
}

/// Nothing to ask: neither the address nor an old form leads anywhere else.
#[tokio::test]
async fn the_consent_page_of_a_flow_that_is_elsewhere_leads_there() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let login = browser.open(server.authorize_url("asking", &[])).await;
    let url = server.url(&format!("/consent?flow={}", login.flow()));
    assert!(browser.open(url).await.is_login());
    let (mut browser, page) = at_consent(&server, "openid").await;
    browser.submit(&page, "form", &ALLOW).await;
    let again = browser.submit(&page, "form", &ALLOW).await;
    assert!(again.body.contains("finished already"), "{}", again.body);
}

/// T14: the page shows whose consent it is. What another tab has changed meanwhile makes it nobody else's: neither a yes nor a no is
/// an answer for another account.
#[tokio::test]
async fn an_answer_is_for_the_account_that_the_page_showed() {
    for (decision, she_agreed) in [("allow", true), ("allow", false), ("deny", true)] {
        let server = TestServer::start().await;
        let (mut browser, page) = {
            let mut browser = Browser::new();
            let url = server.authorize_url("asking", &[("scope", "openid")]);
            let page = browser.log_in_as(url, ZOE).await;
            assert!(is_consent(&page));
            if she_agreed {
                let page = browser.submit(&page, "form", &ALLOW).await;
                assert!(page.answer().contains_key("code"));
            }
            // Jo Smith beside her, who has logged in for another app.
            let select = ("prompt", "select_account");
            let page = browser.open(server.authorize_url("spa", &[select])).await;
            let page = browser.sign_in_as(&page, JO_SMITH).await;
            assert!(page.answer().contains_key("code"), "{}", page.body);
            let url = server.authorize_url("asking", &[("scope", "openid")]);
            let page = browser.open(url).await;
            assert!(is_consent(&page), "{}", page.body);
            (browser, page)
        };
        // In another tab, back to Zoe.
        let account = browser.open(server.url("/account")).await;
        let switch = [("action", "switch")];
        let account = browser
            .submit(&account, "form:has(button[value=switch])", &switch)
            .await;
        assert!(account.body.contains("signed in as Zo"), "{account:?}");
        let answer = browser
            .submit(&page, "form", &[("decision", decision)])
            .await;
        if decision == "deny" {
            assert_eq!(answer.answer()["error"], "access_denied");
            continue;
        }
        // Her yes before was none of his, nor is his yes hers: he is asked again, as himself.
        assert!(is_consent(&answer), "{}", answer.body);
        assert!(
            answer
                .text("main")
                .unwrap()
                .contains("signed in as Jo Smith")
        );
        let answer = browser.submit(&answer, "form", &ALLOW).await;
        let tokens = server.redeem("asking", &answer.answer()["code"], &[]).await;
        let zoe = server.store.list_accounts(10).await.unwrap();
        let jo = zoe.iter().find(|account| {
            account.profile.preferred_username.as_deref() == Some(JO_SMITH.username)
        });
        let sub = crate::harness::relying_party::claims(tokens.text("id_token"))["sub"].clone();
        assert_eq!(sub, jo.unwrap().subject.as_str());
        let account = browser.open(server.url("/account")).await;
        assert!(account.body.contains("signed in as Zo"), "{account:?}");
        let apps = account.values("input[name=client_id]");
        assert_eq!(apps.contains(&"asking".to_owned()), she_agreed, "{apps:?}");
    }
}

/// Agreed in another tab, refused here: no is no.
#[tokio::test]
async fn a_no_is_a_no_though_another_tab_said_yes() {
    let server = TestServer::start().await;
    let (mut browser, page) = at_consent(&server, "openid").await;
    let other = browser
        .open(server.authorize_url("asking", &[("scope", "openid")]))
        .await;
    let agreed = browser.submit(&other, "form", &ALLOW).await;
    assert!(agreed.answer().contains_key("code"));
    let refused = browser.submit(&page, "form", &DENY).await;
    assert_eq!(refused.answer()["error"], "access_denied");
    // And a yes to what is agreed to already goes on.
    let (mut browser, page) = at_consent_of(&server, ZOE, "openid").await;
    let other = browser
        .open(server.authorize_url("asking", &[("scope", "openid")]))
        .await;
    browser.submit(&other, "form", &ALLOW).await;
    let agreed = browser.submit(&page, "form", &ALLOW).await;
    assert!(agreed.answer().contains_key("code"), "{}", agreed.body);
}
