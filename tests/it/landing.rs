//! iMIS's Single Sign On page: sent there by an app, and started at iMIS (T25, T26; the research on iMIS, section 2).

use portico::simulator::Fault;
use portico::simulator::imis::{AnonymousSso, Delivery, MemberRights, UserLookup};
use portico::simulator::people::{self, ImisPerson};

use crate::harness::browser::{Browser, Page};
use crate::harness::relying_party::claims;
use crate::harness::server::TestServer;
use crate::harness::steps::{AWAY, CONTINUE};

const START: &str = "form[action='/upstream/members/start']";
/// The form by which the page delivers its token.
const DELIVERY: &str = "form:has(input[name=refresh_token])";
const SIGN_IN: &str = "form:has(input[name=password])";

/// From the app's request to the iMIS page that a click on our page leads to.
async fn leave(server: &TestServer, browser: &mut Browser, client_id: &str) -> Page {
    leave_from(browser, &server.authorize_url(client_id, &[])).await
}

pub(crate) async fn leave_from(browser: &mut Browser, url: &str) -> Page {
    let page = browser.open(url).await;
    browser.submit(&page, START, &[]).await
}

/// Delivers as a browser with scripts does: across sites, so that our cookies stay at home.
pub(crate) async fn deliver(browser: &mut Browser, page: &Page) -> Page {
    let (action, fields) = page.form(DELIVERY);
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let answer = browser.post_cross_site(action.as_str(), &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    browser.follow(answer).await
}

/// Signs in on the page of the simulated iMIS.
async fn sign_in(browser: &mut Browser, page: &Page, person: ImisPerson) -> Page {
    let fields = [("username", person.username), ("password", person.password)];
    browser.submit(page, SIGN_IN, &fields).await
}

/// Signs in at iMIS first, as somebody who is on its web site.
pub(crate) async fn at_imis(server: &TestServer, browser: &mut Browser, person: ImisPerson) {
    let url = server.imis_url();
    let page = browser.open(format!("{url}/Sign-in.aspx")).await;
    sign_in(browser, &page, person).await;
}

pub(crate) async fn from_imis(
    server: &TestServer,
    browser: &mut Browser,
    application: &str,
) -> Page {
    let page = browser
        .open(format!("{}/SSO/{application}.aspx", server.imis_url()))
        .await;
    deliver(browser, &page).await
}

async fn subject(server: &TestServer, client_id: &str, page: &Page) -> String {
    let tokens = server.redeem(client_id, &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    claims(tokens.text("id_token"))["sub"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// An app sends the person, who is signed in at iMIS already: nothing but a click is asked. The subject is the same as
/// with the password form.
#[tokio::test]
async fn an_app_sends_a_member_to_imis_and_gets_them_back() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, people::JO_SMITH).await;
    let page = leave(&server, &mut browser, "spa").await;
    let page = deliver(&mut browser, &page).await;
    assert_eq!(page.status, 303, "{}", page.body);
    let by_page = subject(&server, "spa", &page).await;

    let mut other = Browser::new();
    let page = other
        .log_in_as(server.authorize_url("web", &[]), people::JO_SMITH)
        .await;
    assert_eq!(subject(&server, "web", &page).await, by_page);
    let names = browser.cookie_names();
    assert!(
        !names
            .iter()
            .any(|name| name.contains("arrival") || name.contains("away")),
        "{names:?}"
    );
}

/// The sign-in page may be where people are sent first; it sends them on to the page.
#[tokio::test]
async fn the_first_stop_may_be_the_sign_in_page() {
    let mut server = TestServer::start().await;
    let page = "page_url = \"{imis}/SSO/Portico.aspx\"".replace("{imis}", server.imis_url());
    let sign_in_page = page.replace("/SSO/", "/Sign-in.aspx?ReturnUrl=/SSO/");
    server.edit_config(&page, &sign_in_page);
    server.restart().await;
    let mut browser = Browser::new();
    let page = leave(&server, &mut browser, "spa").await;
    assert!(page.url.path().ends_with("/Sign-in.aspx"), "{}", page.url);
    let page = sign_in(&mut browser, &page, people::JO_SMITH).await;
    let page = deliver(&mut browser, &page).await;
    subject(&server, "spa", &page).await;
}

/// The API and the pages of a self-hosted iMIS live below paths of their own.
#[tokio::test]
async fn an_imis_below_paths_is_gone_through_from_login_to_sign_off() {
    let mut server = TestServer::start_with(|setup| {
        setup.members = "logout_url = \"{imis}/iMIS/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx?returnurl={return_url}\"\n"
            .to_owned();
    })
    .await;
    server.imis.switch(|switches| {
        switches.base_path = "/Asi.Scheduler_Demo".to_owned();
        switches.web_path = "/iMIS".to_owned();
    });
    let imis = server.imis_url().to_owned();
    for (key, below) in [
        ("\nbase_url = \"{imis}", "/Asi.Scheduler_Demo"),
        ("sign_in_url = \"{imis}", "/iMIS"),
        ("page_url = \"{imis}", "/iMIS"),
    ] {
        let key = key.replace("{imis}", &imis);
        server.edit_config(&key, &format!("{key}{below}"));
    }
    server.restart().await;
    let mut browser = Browser::new();
    let page = leave(&server, &mut browser, "spa").await;
    let page = deliver(&mut browser, &page).await;
    assert_eq!(page.url.path(), "/iMIS/Sign-in.aspx");
    let page = sign_in(&mut browser, &page, people::JO_SMITH).await;
    let page = deliver(&mut browser, &page).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let sub = claims(tokens.text("id_token"))["sub"].clone();

    let mut leaving = url::Url::parse(&server.url("/end_session")).unwrap();
    leaving.query_pairs_mut().extend_pairs([
        ("id_token_hint", tokens.text("id_token")),
        ("post_logout_redirect_uri", "https://spa.example.org/"),
    ]);
    let page = browser.open(leaving).await;
    let home = page.location().map(|url| url.to_string());
    assert_eq!(home.as_deref(), Some("https://spa.example.org/"));
    // iMIS's page knows nobody any more.
    let page = leave(&server, &mut browser, "spa").await;
    let page = deliver(&mut browser, &page).await;
    assert_eq!(page.url.path(), "/iMIS/Sign-in.aspx");

    let mut other = Browser::new();
    let page = other
        .log_in_as(server.authorize_url("web", &[]), people::JO_SMITH)
        .await;
    assert_eq!(subject(&server, "web", &page).await, sub);
    assert!(server.imis.log().iter().all(|call| {
        call.path.starts_with("/Asi.Scheduler_Demo/") || call.path.starts_with("/iMIS/")
    }));
}

/// Somebody who is not signed in at iMIS is sent there by way of a Guest's token (T26), and comes back as a member.
#[tokio::test]
async fn a_guest_is_sent_to_the_sign_in_page_and_comes_back() {
    let server = TestServer::start().await;
    for name in ["Guest", "web visitor"] {
        server
            .imis
            .switch(|s| s.guest_user_name = Some(name.to_owned()));
        let mut browser = Browser::new();
        let page = leave(&server, &mut browser, "spa").await;
        let page = deliver(&mut browser, &page).await;
        assert!(page.url.path().ends_with("/Sign-in.aspx"), "{}", page.url);
        let page = sign_in(&mut browser, &page, people::JO_SMITH).await;
        let page = deliver(&mut browser, &page).await;
        subject(&server, "spa", &page).await;
    }
}

/// T26: a Guest who comes back a Guest is told so, once, and not sent in circles.
#[tokio::test]
async fn a_guest_who_stays_one_is_told() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = leave(&server, &mut browser, "spa").await;
    deliver(&mut browser, &page).await;
    let again = browser
        .open(format!("{}/SSO/Portico.aspx", server.imis_url()))
        .await;
    let page = deliver(&mut browser, &again).await;
    assert_eq!(page.status, 403);
    assert!(
        page.text("[role=alert]")
            .unwrap()
            .contains("not signed in at Member login")
    );
    assert!(browser.cookie(&server, "portico-session").is_none());
}

/// T26, in each form that a Guest's answer may have.
#[tokio::test]
async fn guests_are_nobody_whatever_they_are_called() {
    let server = TestServer::start().await;
    for (name, rights) in [
        (Some(""), MemberRights::OwnRecord),
        (Some("Guest"), MemberRights::OwnRecord),
        (Some("anonymous"), MemberRights::OwnRecord),
        (None, MemberRights::OwnRecord),
        // What a site calls its own: it is told by what it lacks, a person.
        (Some("web visitor"), MemberRights::OwnRecord),
        (Some("web visitor"), MemberRights::Forbidden),
    ] {
        server.imis.switch(|s| {
            s.guest_user_name = name.map(ToOwned::to_owned);
            s.member_rights = rights;
        });
        let mut browser = Browser::new();
        let page = from_imis(&server, &mut browser, "Portico").await;
        assert_eq!(page.status, 403, "{name:?}: {}", page.body);
        let sign_in = page.attribute("main a.button", "href").unwrap();
        assert!(sign_in.contains("/Sign-in.aspx"), "{sign_in}");
        assert!(browser.cookie(&server, "portico-session").is_none());
    }
}

#[tokio::test]
async fn whoever_comes_unasked_is_asked_in_their_language() {
    let server = TestServer::start().await;
    for (language, question) in [
        // `text` has every kind of space as one.
        ("fr", "Continuer en tant que Jo Smith ?"),
        ("zh-TW", "要以 Jo Smith 的身分繼續嗎？"),
        ("zh-CN", "要以 Jo Smith 的身份继续吗？"),
    ] {
        let mut browser = Browser::new();
        browser.language = Some(language.to_owned());
        at_imis(&server, &mut browser, people::JO_SMITH).await;
        let page = from_imis(&server, &mut browser, "Events").await;
        assert_eq!(page.text("h1").unwrap(), question);
    }
}

/// T25: without a flow of this browser nobody is signed in silently; a yes signs in, and leads on to the app.
#[tokio::test]
async fn somebody_who_comes_unasked_is_asked() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, people::JO_SMITH).await;
    let page = from_imis(&server, &mut browser, "Events").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.text("h1").unwrap(), "Continue as Jo Smith?");
    assert!(browser.cookie(&server, "portico-session").is_none());
    let page = browser.submit(&page, CONTINUE, &[]).await;
    assert_eq!(page.status, 303);
    assert_eq!(
        page.location().unwrap().as_str(),
        "https://spa.example.org/"
    );
    let page = browser
        .open(server.authorize_url("spa", &[("prompt", "none")]))
        .await;
    subject(&server, "spa", &page).await;
}

/// Whoever is signed in here already, as the same person, is not asked again; another person is.
#[tokio::test]
async fn the_same_person_is_not_asked_twice() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, people::JO_SMITH).await;
    let page = from_imis(&server, &mut browser, "Portico").await;
    let page = browser.submit(&page, CONTINUE, &[]).await;
    assert_eq!(page.url.path(), "/account");
    assert_eq!(page.text("h1").unwrap(), "Your account");
    let page = from_imis(&server, &mut browser, "Events").await;
    assert_eq!(
        page.location().unwrap().as_str(),
        "https://spa.example.org/"
    );

    let mut other = Browser::new();
    at_imis(&server, &mut other, people::ZOE).await;
    let session = browser
        .cookie(&server, "portico-session")
        .unwrap()
        .value
        .clone();
    other.set_cookie("127.0.0.1", "portico-session", &session);
    let page = from_imis(&server, &mut other, "Events").await;
    assert!(
        page.text("h1").unwrap().starts_with("Continue as"),
        "{}",
        page.body
    );
}

/// An account that an administrator closed stays closed on this way in, too.
#[tokio::test]
async fn a_closed_account_does_not_come_in_by_the_landing() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, people::JO_SMITH).await;
    let page = from_imis(&server, &mut browser, "Portico").await;
    browser.submit(&page, CONTINUE, &[]).await;
    let account = server.store.list_accounts(1).await.unwrap().remove(0);
    let now = server.clock.now();
    let closed = server.store.disable_account(&account.id, now).await;
    assert!(closed.unwrap().is_some());
    let page = from_imis(&server, &mut browser, "Portico").await;
    let page = browser.submit(&page, CONTINUE, &[]).await;
    assert_eq!(page.status, 403);
    assert!(page.body.contains("You are known, but this account"));
}

/// T25: the yes needs this browser's cookie and this page's token.
#[tokio::test]
async fn an_answer_from_elsewhere_is_refused() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, people::JO_SMITH).await;
    let page = from_imis(&server, &mut browser, "Portico").await;
    let (action, fields) = page.form(CONTINUE);
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let mut victim = Browser::new();
    let refused = victim.post(action.as_str(), &fields).await;
    assert_eq!(refused.status, 400);
    let across = browser.post_cross_site(action.as_str(), &fields).await;
    assert_eq!(across.status, 400);
    let forged = browser
        .submit(&page, CONTINUE, &[("form_token", "x")])
        .await;
    assert_eq!(forged.status, 400);
    let elsewhere = action.as_str().replace("/Portico", "/Events");
    let elsewhere = browser.post(&elsewhere, &fields).await;
    assert_eq!(elsewhere.status, 400, "an arrival belongs to its landing");
    assert!(victim.cookie(&server, "portico-session").is_none());
    assert!(browser.cookie(&server, "portico-session").is_none());
    server.clock.advance(301);
    let late = browser.submit(&page, CONTINUE, &[]).await;
    assert_eq!(late.status, 400);
}

/// The token is redeemed once and is in no address of ours; a page that delivers by GET is served, too. Nothing tells
/// what brought such an address about, so the person is asked (T25).
#[tokio::test]
async fn the_token_is_redeemed_once_and_kept_out_of_addresses() {
    let server = TestServer::start().await;
    server.imis.switch(|s| s.sso_delivery = Delivery::Get);
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, people::JO_SMITH).await;
    server.imis.clear_log();
    let page = leave(&server, &mut browser, "spa").await;
    assert_eq!(page.text("h1").unwrap(), "Continue as Jo Smith?");
    assert!(browser.cookie(&server, "portico-session").is_none());
    let page = browser.submit(&page, CONTINUE, &[]).await;
    assert_eq!(page.status, 303, "{}", page.body);
    subject(&server, "spa", &page).await;
    let redemptions = server.imis.log();
    let redemptions = redemptions
        .iter()
        .filter(|request| request.path.eq_ignore_ascii_case("/token"));
    assert_eq!(redemptions.count(), 1);
}

#[tokio::test]
async fn a_page_that_sends_visitors_to_sign_in_first_is_followed() {
    let server = TestServer::start().await;
    server
        .imis
        .switch(|s| s.anonymous_sso = AnonymousSso::SignIn);
    let mut browser = Browser::new();
    let page = leave(&server, &mut browser, "spa").await;
    assert!(page.url.path().ends_with("/Sign-in.aspx"), "{}", page.url);
    let page = sign_in(&mut browser, &page, people::JO_SMITH).await;
    let page = deliver(&mut browser, &page).await;
    subject(&server, "spa", &page).await;
}

/// A token that is not honored, an outage, nonsense: the flow is kept, and can be finished when iMIS is well.
#[tokio::test]
async fn trouble_at_imis_loses_nothing() {
    let server = TestServer::start().await;
    for (fault, status) in [
        (Fault::Status(503), 503),
        (Fault::Page, 502),
        (Fault::Nonsense, 502),
    ] {
        let mut browser = Browser::new();
        at_imis(&server, &mut browser, people::JO_SMITH).await;
        let page = leave(&server, &mut browser, "spa").await;
        server.imis.fail("/token", fault.clone());
        let page = deliver(&mut browser, &page).await;
        assert_eq!(page.status, status, "{fault:?}");
        assert!(page.text("[role=alert]").is_some());
        server.imis.mend();
        let page = browser.submit(&page, START, &[]).await;
        let page = deliver(&mut browser, &page).await;
        subject(&server, "spa", &page).await;
    }
    let mut browser = Browser::new();
    let page = leave(&server, &mut browser, "spa").await;
    let (action, _) = page.form(DELIVERY);
    let answer = browser
        .post_cross_site(action.as_str(), &[("refresh_token", "forged")])
        .await;
    let page = browser.follow(answer).await;
    assert_eq!(page.status, 422);
    assert!(
        page.text("[role=alert]")
            .unwrap()
            .contains("did not accept")
    );
}

/// Where a delivery comes from, as another site would have it: `Origin` is another's, or is kept back.
const ELSEWHERE: [&str; 3] = ["https://evil.example", "null", "http://127.0.0.1:1"];

/// T25: while somebody is away by their own click, another site can deliver a token of its own. Then the person is asked;
/// whoever says no finds the login page of the flow, and whoever says yes goes on in it.
#[tokio::test]
async fn a_delivery_that_imis_did_not_send_is_asked_about() {
    let server = TestServer::start().await;
    let mut attacker = Browser::new();
    at_imis(&server, &mut attacker, people::ZOE).await;
    for origin in ELSEWHERE {
        let stolen = attacker
            .get(format!("{}/SSO/Portico.aspx", server.imis_url()))
            .await;
        let (action, fields) = stolen.form(DELIVERY);
        let token = [("refresh_token", fields["refresh_token"].as_str())];
        let mut victim = Browser::new();
        leave(&server, &mut victim, "spa").await;
        victim.is_lured_to(origin);
        let answer = victim.post_cross_site(action.as_str(), &token).await;
        let page = victim.follow(answer).await;
        assert_eq!(page.status, 200, "{origin}: {}", page.body);
        assert!(
            page.text("h1").unwrap().starts_with("Continue as Zoë"),
            "{}",
            page.body
        );
        assert!(victim.cookie(&server, "portico-session").is_none());
        let back = page.attribute("main a", "href").unwrap();
        let other = victim.open(page.url.join(&back).unwrap()).await;
        assert!(other.is_login(), "{}", other.body);
        // Asked about once: the flow waits for no more arrivals.
        let page = victim.submit(&page, CONTINUE, &[]).await;
        assert!(page.answer().contains_key("code"), "{}", page.body);
        assert!(
            !victim
                .cookie_names()
                .iter()
                .any(|name| name.contains("arrival") || name.contains("away"))
        );
    }
}

/// What the browser of a victim shows that was away for an app, by `url`, when another site had it deliver a token of Jo's.
async fn asked_about_jo(server: &TestServer, browser: &mut Browser, url: &str) -> Page {
    let mut jo = Browser::new();
    at_imis(server, &mut jo, people::JO_SMITH).await;
    let page = format!("{}/SSO/Portico.aspx", server.imis_url());
    let (_, fields) = jo.get(page).await.form(DELIVERY);
    leave_from(browser, url).await;
    browser.is_lured_to(ELSEWHERE[0]);
    let page = bring(server, browser, &fields["refresh_token"]).await;
    assert_eq!(page.text("h1").unwrap(), "Continue as Jo Smith?");
    page
}

/// A second click goes where the first one led, or says that it is done; it signs nobody in (T25).
#[tokio::test]
async fn a_second_yes_is_answered_as_the_flow_stands() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    let question = asked_about_jo(&server, &mut browser, &url).await;
    // The first one's answer was not waited for.
    let mut hasty = browser.clone();
    for clicked in [&mut hasty, &mut browser] {
        let page = clicked.submit(&question, CONTINUE, &[]).await;
        assert!(page.answer().contains_key("code"), "{}", page.body);
    }
    let again = browser.submit(&question, CONTINUE, &[]).await;
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!(
        again.text("h1").unwrap(),
        "This sign-in is finished already"
    );
    assert_eq!(
        again.attribute("main a", "href").as_deref(),
        Some("https://spa.example.org/")
    );

    // Between the two the flow is where the first click has brought it; the arrival alone is gone.
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[("prompt", "consent")]);
    let question = asked_about_jo(&server, &mut browser, &url).await;
    let mut gone = browser.clone();
    gone.forget("portico-arrival-");
    let page = gone.submit(&question, CONTINUE, &[]).await;
    assert!(page.is_login(), "{}", page.body);
    assert!(gone.cookie(&server, "portico-session").is_none());
    let page = browser.submit(&question, CONTINUE, &[]).await;
    assert_eq!(page.url.path(), "/consent", "{}", page.body);
    let again = browser.submit(&question, CONTINUE, &[]).await;
    assert_eq!(again.url, page.url);

    // The flow is the question's own, and this browser's.
    let other = server.authorize_url("web", &[]);
    let other = gone.open(other).await.flow();
    let forged = [("flow", other.as_str())];
    let forged = gone.submit(&question, CONTINUE, &forged).await;
    assert_eq!(forged.status, 400);
    let stranger = Browser::new().submit(&question, CONTINUE, &[]).await;
    assert_eq!(stranger.status, 400);
}

/// Without a flow, too: who was asked unasked for gets to the app, and nobody does who is signed in here by another upstream.
#[tokio::test]
async fn a_second_yes_to_who_came_unasked_leads_to_the_same_app() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, people::JO_SMITH).await;
    let question = from_imis(&server, &mut browser, "Events").await;
    for click in ["first", "second"] {
        let page = browser.submit(&question, CONTINUE, &[]).await;
        let location = page.location().map(|url| url.to_string());
        let app = Some("https://spa.example.org/");
        assert_eq!(location.as_deref(), app, "{click}: {}", page.body);
    }
    let mut employee = Browser::new();
    let page = employee
        .log_in_at_aim18(server.authorize_url("spa", &[]), people::ANN_LEE)
        .await;
    assert!(page.answer().contains_key("code"), "{}", page.body);
    let page = employee.submit(&question, CONTINUE, &[]).await;
    assert_eq!(page.status, 400, "{}", page.body);
}

/// The question that is looked at again, in another language, say, is about the flow that it was asked for: its button leads to that
/// app, and no flow that went away since is finished by it (T27).
#[tokio::test]
async fn a_question_that_is_reloaded_is_still_about_its_flow() {
    let server = TestServer::start_with(|setup| {
        setup.clients =
            "[[clients]]\nclient_id = \"native\"\ntoken_endpoint_auth_method = \"none\"\n\
             redirect_uris = [\"com.example.app:/callback\"]\nscope = \"openid\"\n"
                .to_owned();
    })
    .await;
    let mut browser = Browser::new();
    let to_native = [
        ("redirect_uri", "com.example.app:/callback"),
        ("scope", "openid"),
    ];
    let url = server.authorize_url("native", &to_native);
    let question = asked_about_jo(&server, &mut browser, &url).await;
    let targets = |page: &Page| {
        let policy = page.header("content-security-policy").to_owned();
        policy.split_once("form-action ").unwrap().1.to_owned()
    };
    let before = targets(&question);
    assert_eq!(before, "'self' com.example.app: https:");
    leave(&server, &mut browser, "web").await;
    let again = browser.get(&question.url).await;
    assert_eq!(again.text("h1").unwrap(), "Continue as Jo Smith?");
    assert_eq!(targets(&again), before);
    assert_eq!(again.form(CONTINUE), question.form(CONTINUE));
    assert!(browser.cookie(&server, AWAY).is_some(), "the other flow's");
    let page = browser.submit_only(&again, CONTINUE, &[]).await;
    let page = browser.get(page.location().unwrap()).await;
    let location = page.location().unwrap();
    assert_eq!(location.scheme(), "com.example.app");
    assert!(location.query().unwrap().contains("code="), "{location}");
}

/// Item 5 on the landing: an answer with no user, or with another one than the token's own, is nobody's (T26).
#[tokio::test]
async fn who_is_not_the_tokens_own_user_does_not_arrive() {
    let server = TestServer::start().await;
    for (lookup, status) in [(UserLookup::Empty, 403), (UserLookup::SomebodyElse, 502)] {
        server.imis.switch(|s| s.user_lookup = lookup);
        let mut browser = Browser::new();
        at_imis(&server, &mut browser, people::JO_SMITH).await;
        let page = from_imis(&server, &mut browser, "Portico").await;
        assert_eq!(page.status, status, "{lookup:?}: {}", page.body);
        let page = leave(&server, &mut browser, "spa").await;
        let mut page = deliver(&mut browser, &page).await;
        if lookup == UserLookup::Empty {
            // It may be a visitor of another name: the sign-in page, which knows the member, sends them back at once.
            page = deliver(&mut browser, &page).await;
        }
        assert!(page.text("[role=alert]").is_some(), "{}", page.body);
        assert_eq!(page.status, status, "{lookup:?}");
        assert!(browser.cookie(&server, "portico-session").is_none());
    }
}

/// Item 4: each iMIS client application has its landing and its app, and a person is the same one by form, by the page
/// that an app sent them to, and by each landing. An app that can begin a login by itself is asked to (OpenID Connect Core
/// section 4).
#[tokio::test]
async fn each_application_leads_to_its_app_and_the_subject_is_the_same_every_way() {
    let mut server = TestServer::start_with(|setup| {
        setup.clients =
            "[[clients]]\nclient_id = \"journal\"\ntoken_endpoint_auth_method = \"none\"\n\
             redirect_uris = [\"https://journal.example.org/callback\"]\n\
             initiate_login_uri = \"https://journal.example.org/start?x=1\"\nscope = \"openid\"\n"
                .to_owned();
    })
    .await;
    let first = format!("page_url = \"{}/SSO/Portico.aspx\"", server.imis_url());
    let with_client = format!("{first}\nclient = \"journal\"");
    server.edit_config(&first, &with_client);
    server.restart().await;
    let callback = ("redirect_uri", "https://journal.example.org/callback");

    let mut by_form = Browser::new();
    let page = by_form
        .log_in_as(server.authorize_url("spa", &[]), people::JO_SMITH)
        .await;
    let expected = subject(&server, "spa", &page).await;

    let mut by_page = Browser::new();
    at_imis(&server, &mut by_page, people::JO_SMITH).await;
    let page = leave(&server, &mut by_page, "spa").await;
    let page = deliver(&mut by_page, &page).await;
    assert_eq!(subject(&server, "spa", &page).await, expected);

    for (application, arrives) in [
        ("Events", "https://spa.example.org/"),
        ("Portico", "https://journal.example.org/start?x=1&iss="),
    ] {
        let mut browser = Browser::new();
        at_imis(&server, &mut browser, people::JO_SMITH).await;
        let page = from_imis(&server, &mut browser, application).await;
        let page = browser.submit(&page, CONTINUE, &[]).await;
        let location = page.location().unwrap();
        assert!(location.as_str().starts_with(arrives), "{location}");
        if application == "Portico" {
            let issuer = location.query_pairs().find(|(name, _)| name == "iss");
            assert_eq!(issuer.unwrap().1, server.issuer);
        }
        // The app asks, and nothing more is shown.
        let (client_id, parameters) = match application {
            "Portico" => ("journal", vec![callback, ("scope", "openid")]),
            _ => ("spa", vec![]),
        };
        let page = browser
            .get(server.authorize_url(client_id, &parameters))
            .await;
        let more: Vec<(&str, &str)> = parameters
            .iter()
            .copied()
            .filter(|(name, _)| *name == "redirect_uri")
            .collect();
        let code = &page.answer()["code"];
        let tokens = server.redeem(client_id, code, &more).await;
        let sub = claims(tokens.text("id_token"))["sub"].clone();
        assert_eq!(sub, expected, "by {application}");
    }
}

/// T48, T8: what is no delivery is not taken to iMIS.
#[tokio::test]
async fn what_is_no_delivery_is_refused_unasked() {
    let server = TestServer::start().await;
    let url = server.url("/upstream/members/landing/Portico");
    let long = "a".repeat(4097);
    let mut browser = Browser::new();
    for fields in [
        &[][..],
        &[("refresh_token", "")],
        &[("token", "x")],
        &[("refresh_token", "a"), ("refresh_token", "b")],
        &[("refresh_token", long.as_str())],
    ] {
        let answer = browser.post_cross_site(&url, fields).await;
        let page = browser.follow(answer).await;
        assert_eq!(page.status, 502, "{fields:?}");
    }
    let twice = [
        ("form_token", "a"),
        ("form_token", "b"),
        ("refresh_token", "x"),
    ];
    assert_eq!(browser.post_cross_site(&url, &twice).await.status, 400);
    let huge = "a".repeat(70 * 1024);
    let page = browser
        .post_cross_site(&url, &[("refresh_token", huge.as_str())])
        .await;
    assert_eq!(page.status, 413);
    let http = crate::harness::browser::http_client();
    for content_type in [
        Some("application/json"),
        Some("text/plain"),
        Some("multipart/form-data; boundary=x"),
        None,
    ] {
        let mut request = http.post(&url).body("refresh_token=x");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 400, "{content_type:?}");
    }
    for method in ["PUT", "DELETE", "PATCH"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = http.request(method, &url).send().await.unwrap();
        assert_eq!(answer.status(), 405);
    }
    let asked = server.imis.log();
    let tokens = asked
        .iter()
        .filter(|request| request.path.eq_ignore_ascii_case("/token"));
    assert_eq!(tokens.count(), 0, "iMIS was not asked");
    assert!(browser.cookie(&server, "portico-session").is_none());
}

/// T15, T27: an arrival finishes only flows of its own upstream; unknown landings are not there.
#[tokio::test]
async fn an_arrival_belongs_to_its_upstream() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, people::JO_SMITH).await;
    let page = browser.open(server.authorize_url("staff-app", &[])).await;
    browser
        .submit(&page, "form[action='/upstream/staff/start']", &[])
        .await;
    let page = from_imis(&server, &mut browser, "Portico").await;
    assert!(
        page.text("h1").unwrap().starts_with("Continue as"),
        "{}",
        page.body
    );
    for path in [
        "/upstream/members/landing/Other",
        "/upstream/staff/landing/Portico",
        "/upstream/none/landing/x",
    ] {
        let page = browser
            .post_cross_site(server.url(path), &[("refresh_token", "x")])
            .await;
        assert_eq!(page.status, 404, "{path}");
        let page = browser.get(server.url(path)).await;
        assert_eq!(page.status, 404, "{path}");
    }
}

async fn bring(server: &TestServer, browser: &mut Browser, token: &str) -> Page {
    let url = server.url("/upstream/members/landing/Portico");
    let answer = browser
        .post_cross_site(url, &[("refresh_token", token)])
        .await;
    browser.follow(answer).await
}

/// T34: nobody tries as many tokens at iMIS through us as they like; who brings a good one has used up nothing.
#[tokio::test]
async fn only_so_many_tokens_of_one_address_are_tried() {
    let server = TestServer::start_with(|setup| {
        setup.sections =
            "[login]\nrefusal_floor = \"0s\"\nmax_attempts_per_address = 4\n".to_owned();
    })
    .await;
    let mut member = Browser::new();
    at_imis(&server, &mut member, people::JO_SMITH).await;
    for _ in 0..6 {
        assert_eq!(from_imis(&server, &mut member, "Portico").await.status, 200);
    }
    server.imis.clear_log();
    for number in 0..10 {
        let page = bring(&server, &mut Browser::new(), &format!("guess{number}")).await;
        assert_eq!(page.status, 403);
    }
    let log = server.imis.log();
    let tried = log
        .iter()
        .filter(|request| request.path.eq_ignore_ascii_case("/token"));
    assert_eq!(tried.count(), 4);
}

/// Any site can post arrivals one after the other: they do not pile up in the browser (T48).
#[tokio::test]
async fn arrivals_do_not_fill_the_cookie_jar() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let arrivals = |browser: &Browser| {
        let names = browser.cookie_names().into_iter();
        names.filter(|name| name.contains("arrival")).count()
    };
    for number in 0..5 {
        bring(&server, &mut browser, &format!("guess{number}")).await;
        assert_eq!(arrivals(&browser), 0);
    }
    at_imis(&server, &mut browser, people::JO_SMITH).await;
    for _ in 0..5 {
        from_imis(&server, &mut browser, "Portico").await;
        assert_eq!(arrivals(&browser), 1);
    }
}

/// T34: a Guest's credential is to be had by anybody. So many are free, for most members come as a Guest before they sign in
/// there; what is more counts as what failed.
#[tokio::test]
async fn only_so_many_guests_of_one_address_are_tried() {
    let server = TestServer::start_with(|setup| {
        setup.sections =
            "[login]\nrefusal_floor = \"0s\"\nmax_attempts_per_address = 4\n".to_owned();
    })
    .await;
    let tried = || {
        let log = server.imis.log();
        log.iter()
            .filter(|request| request.path.eq_ignore_ascii_case("/token"))
            .count()
    };
    for _ in 0..4 {
        let page = from_imis(&server, &mut Browser::new(), "Portico").await;
        assert_eq!(page.status, 403);
    }
    // The office that has not signed in yet gets in.
    let mut member = Browser::new();
    at_imis(&server, &mut member, people::JO_SMITH).await;
    assert_eq!(from_imis(&server, &mut member, "Portico").await.status, 200);
    server.imis.clear_log();
    for _ in 0..8 {
        from_imis(&server, &mut Browser::new(), "Portico").await;
    }
    assert_eq!(tried(), 4);
}

/// A made-up handle names nobody's arrival, and does nothing to the one that waits for its answer.
#[tokio::test]
async fn a_made_up_arrival_leaves_the_one_that_waits_alone() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, people::JO_SMITH).await;
    let question = from_imis(&server, &mut browser, "Portico").await;
    let landing = server.url("/upstream/members/landing/Portico");
    for handle in ["made-up", "", "a&arrival=b"] {
        let page = browser.get(format!("{landing}?arrival={handle}")).await;
        assert!(
            page.status.is_client_error() || page.status == 303,
            "{handle}"
        );
    }
    let page = browser.submit(&question, CONTINUE, &[]).await;
    assert_eq!(page.url.path(), "/account", "{}", page.body);
}

/// Who has to prove anew who they are is not passed on by the page that remembers them: the web site's sign-out comes first,
/// where it leads back (OpenID Connect Core section 3.1.2.1).
#[tokio::test]
async fn prompt_login_goes_by_the_sign_out_page() {
    let server = signs_off("").await;
    let mut other = Browser::new();
    let page = other
        .log_in_as(server.authorize_url("web", &[]), people::JO_SMITH)
        .await;
    let jo = subject(&server, "web", &page).await;
    for asked in [("prompt", "login"), ("max_age", "100")] {
        let mut browser = Browser::new();
        at_imis(&server, &mut browser, people::ZOE).await;
        let page = leave_from(&mut browser, &server.authorize_url("spa", &[asked])).await;
        let page = deliver(&mut browser, &page).await;
        assert!(page.url.path().ends_with("/Sign-in.aspx"), "{}", page.url);
        let page = sign_in(&mut browser, &page, people::JO_SMITH).await;
        let page = deliver(&mut browser, &page).await;
        assert_eq!(subject(&server, "spa", &page).await, jo);
    }
    // Without it, whoever is signed in there comes straight back.
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, people::ZOE).await;
    let page = leave_from(&mut browser, &server.authorize_url("spa", &[])).await;
    let page = deliver(&mut browser, &page).await;
    assert!(page.answer().contains_key("code"), "{}", page.body);
}

/// Whether the browser fetches what the sign-out page tells us, or goes there.
async fn hears_the_sign_out_page(server: &TestServer, browser: &mut Browser, goes: bool) -> Page {
    let destination = if goes { "document" } else { "empty" };
    browser.headers = vec![("sec-fetch-dest".to_owned(), destination.to_owned())];
    browser.is_lured_to(server.imis_url());
    let page = browser
        .click(server.url("/upstream/members/signed_out"))
        .await;
    browser.headers.clear();
    page
}

/// A client that iMIS alone serves.
const MEMBERS_ONLY: &str = "[[clients]]\nclient_id = \"members-only\"\ntoken_endpoint_auth_method = \"none\"\n\
     redirect_uris = [\"https://members-only.example.org/callback\"]\nupstreams = [\"members\"]\n";

/// A server before an iMIS whose sign-out page sends people back, with more of its settings.
async fn signs_off(settings: &'static str) -> TestServer {
    let logout_url = "logout_url = \"{imis}/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx?returnurl={return_url}\"\n";
    TestServer::start_with(|setup| setup.members = [settings, logout_url].concat()).await
}

/// The sign-out page that a login goes by tells us of it: that signs nobody out of the other apps, and the login goes on. What it
/// tells after that is a sign-out.
#[tokio::test]
async fn a_login_that_goes_by_the_sign_out_page_signs_nobody_out() {
    let server = signs_off(
        "signed_out_url = \"{imis}/Bye.aspx\"
",
    )
    .await;
    for goes in [false, true] {
        for comes_back in [false, true] {
            let what = format!("goes: {goes}, comes back: {comes_back}");
            let mut browser = Browser::new();
            at_imis(&server, &mut browser, people::JO_SMITH).await;
            let page = leave(&server, &mut browser, "spa").await;
            let page = deliver(&mut browser, &page).await;
            let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
            let jo_is_in = async || {
                let answer = server.userinfo(tokens.text("access_token")).await;
                answer.status == 200
            };

            let again = server.authorize_url("web", &[("prompt", "login")]);
            let page = browser.open(again).await;
            let trip = browser.submit_only(&page, START, &[]).await;
            let sign_off = trip.location().unwrap();
            assert!(sign_off.path().ends_with("/logout.aspx"), "{sign_off}");
            let page = hears_the_sign_out_page(&server, &mut browser, goes).await;
            assert!(jo_is_in().await, "{what}");
            if goes {
                let onward = page.location().map(String::from);
                let page = format!("{}/SSO/Portico.aspx", server.imis_url());
                assert_eq!(onward.as_deref(), Some(page.as_str()), "{what}");
            } else {
                assert_eq!((page.status.as_u16(), &*page.body), (204, ""), "{what}");
            }
            if comes_back {
                let page = browser.follow(trip).await;
                let page = deliver(&mut browser, &page).await;
                assert!(page.url.path().ends_with("/Sign-in.aspx"), "{}", page.url);
                let page = sign_in(&mut browser, &page, people::JO_SMITH).await;
                let page = deliver(&mut browser, &page).await;
                assert!(page.answer().contains_key("code"), "{what}: {}", page.body);
                assert!(jo_is_in().await, "{what}");
            }
            let page = hears_the_sign_out_page(&server, &mut browser, true).await;
            assert!(!jo_is_in().await, "{what}");
            let onward = page.location().map(String::from);
            let bye = format!("{}/Bye.aspx", server.imis_url());
            assert_eq!(onward.as_deref(), Some(bye.as_str()), "{what}");
        }
    }
}

/// A sign-out page that tells us nothing: the trip is over when the person is back, and a sign-out after that is one, within the
/// same second, too.
#[tokio::test]
async fn a_sign_out_after_such_a_login_is_no_echo_of_it() {
    let server = signs_off(
        "signed_out_url = \"{imis}/Bye.aspx\"
",
    )
    .await;
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, people::ZOE).await;
    let again = server.authorize_url("spa", &[("prompt", "login")]);
    let page = leave_from(&mut browser, &again).await;
    let page = deliver(&mut browser, &page).await;
    let page = sign_in(&mut browser, &page, people::JO_SMITH).await;
    let page = deliver(&mut browser, &page).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200);
    let page = hears_the_sign_out_page(&server, &mut browser, true).await;
    let answer = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(answer.status, 401);
    let onward = page.location().unwrap();
    assert_eq!(onward.as_str(), format!("{}/Bye.aspx", server.imis_url()));
}

/// Who has given such a login up, and logged in by the form or stayed, is not sent to it when they sign out at the web site: at once,
/// or a while later.
#[tokio::test]
async fn whoever_signs_out_does_not_go_on_to_a_login_that_they_had_given_up() {
    let server = signs_off(
        "signed_out_url = \"{imis}/Bye.aspx\"
",
    )
    .await;
    let bye = format!("{}/Bye.aspx", server.imis_url());
    for (by_form, later) in [(true, 0), (true, 61), (false, 61)] {
        let mut browser = Browser::new();
        let page = browser
            .log_in_as(server.authorize_url("spa", &[]), people::JO_SMITH)
            .await;
        let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
        server.clock.advance(5);
        let again = server.authorize_url("spa", &[("prompt", "login")]);
        let page = browser.open(&again).await;
        let trip = browser.submit_only(&page, START, &[]).await;
        assert!(trip.location().unwrap().path().ends_with("/logout.aspx"));
        if by_form {
            server.clock.advance(5);
            let page = browser.open(&again).await;
            let jo = (people::JO_SMITH.username, people::JO_SMITH.password);
            let page = browser.sign_in(&page, "members", jo).await;
            assert!(page.answer().contains_key("code"), "{}", page.body);
        }
        server.clock.advance(later);
        let page = hears_the_sign_out_page(&server, &mut browser, true).await;
        let onward = page.location().map(String::from);
        assert_eq!(onward.as_deref(), Some(bye.as_str()), "{by_form} {later}");
        let answer = server.userinfo(tokens.text("access_token")).await;
        assert_eq!(answer.status, 401, "{by_form} {later}");
    }
}

/// Whoever wants another account, or has to be another, is not the one whom the web site remembers (OpenID Connect Core section
/// 3.1.2.1).
#[tokio::test]
async fn another_account_is_not_the_one_that_the_web_site_remembers() {
    let server = signs_off("").await;
    let page = Browser::new()
        .log_in_as(server.authorize_url("spa", &[]), people::ZOE)
        .await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    let zoe_token = tokens.text("id_token");
    let zoe = claims(zoe_token)["sub"].as_str().unwrap().to_owned();
    let named = format!("{{\"id_token\":{{\"sub\":{{\"value\":\"{zoe}\"}}}}}}");
    for asked in [
        Some(("prompt", "select_account")),
        Some(("id_token_hint", zoe_token)),
        Some(("claims", named.as_str())),
        // "Add another account" on the account page.
        None,
    ] {
        let mut browser = Browser::new();
        at_imis(&server, &mut browser, people::JO_SMITH).await;
        let page = leave(&server, &mut browser, "spa").await;
        let page = deliver(&mut browser, &page).await;
        assert_ne!(subject(&server, "spa", &page).await, zoe);
        let page = if let Some(asked) = asked {
            browser.open(server.authorize_url("spa", &[asked])).await
        } else {
            let page = browser.open(server.url("/account")).await;
            let add = "form:has(button[value=add])";
            browser.submit(&page, add, &[("action", "add")]).await
        };
        let page = browser.submit(&page, START, &[]).await;
        let page = deliver(&mut browser, &page).await;
        let at = page.url.path();
        assert!(at.ends_with("/Sign-in.aspx"), "{asked:?}: {}", page.body);
        let page = sign_in(&mut browser, &page, people::ZOE).await;
        let page = deliver(&mut browser, &page).await;
        if asked.is_some() {
            assert_eq!(subject(&server, "spa", &page).await, zoe, "{asked:?}");
        } else {
            let page = browser.open(server.url("/account")).await;
            let text = page.text("main").unwrap();
            assert!(text.contains("You are signed in as Zoë"), "{text}");
            assert!(text.contains("Switch to Jo Smith"), "{text}");
        }
    }
}

/// Who is here by an upstream that the app does not serve may well be the member whom the web site remembers.
#[tokio::test]
async fn an_app_that_another_upstream_serves_leaves_the_web_site_signed_in() {
    let server = TestServer::start_with(|setup| {
        setup.members = "logout_url = \"{imis}/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx?returnurl={return_url}\"\n"
            .to_owned();
        setup.clients = MEMBERS_ONLY.to_owned();
    })
    .await;
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, people::JO_SMITH).await;
    let url = server.authorize_url("spa", &[]);
    browser.log_in_at_aim18(url, people::ANN_LEE).await;
    let callback = ("redirect_uri", "https://members-only.example.org/callback");
    let url = server.authorize_url("members-only", &[callback]);
    let page = leave_from(&mut browser, &url).await;
    let page = deliver(&mut browser, &page).await;
    assert!(page.answer().contains_key("code"), "{}", page.body);
}

/// Whoever went back from iMIS, and logged in another way or gave up, has left nothing behind that waits: who comes from the web site
/// then comes unasked, and another app's login is the only one.
#[tokio::test]
async fn a_flow_that_is_over_waits_for_no_arrival() {
    let server = TestServer::start().await;
    for by_password in [false, true] {
        let mut browser = Browser::new();
        at_imis(&server, &mut browser, people::JO_SMITH).await;
        let page = browser.open(server.authorize_url("spa", &[])).await;
        browser.submit(&page, START, &[]).await;
        let page = if by_password {
            browser.sign_in_as(&page, people::ZOE).await
        } else {
            let cancel = "form:has(button[value=cancel])";
            let fields = [("action", "cancel")];
            browser.submit_only(&page, cancel, &fields).await
        };
        assert_eq!(page.answer().contains_key("code"), by_password);

        let again = server.authorize_url("web", &[("prompt", "login"), ("state", "two")]);
        let mut other = browser.clone();
        let page = leave_from(&mut other, &again).await;
        let page = deliver(&mut other, &page).await;
        assert_eq!(page.answer()["state"], "two", "{by_password}");
        assert!(page.answer().contains_key("code"), "{by_password}");

        let page = from_imis(&server, &mut browser, "Portico").await;
        let asked = page.text("h1").unwrap();
        assert_eq!(asked, "Continue as Jo Smith?", "{by_password}");
        assert!(browser.cookie(&server, AWAY).is_none());
        let page = browser.submit(&page, CONTINUE, &[]).await;
        assert_eq!(page.url.path(), "/account", "{}", page.body);
    }
}

/// An arrival that leads to an error is used up, and so is what waited for it: the next click is not refused, too.
#[tokio::test]
async fn a_flow_that_fails_waits_for_no_more_arrivals() {
    let mut server = TestServer::start_with(|setup| {
        setup.clients = MEMBERS_ONLY.to_owned();
    })
    .await;
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, people::JO_SMITH).await;
    let callback = ("redirect_uri", "https://members-only.example.org/callback");
    let url = server.authorize_url("members-only", &[callback]);
    let page = leave_from(&mut browser, &url).await;
    // It serves them no more.
    server.edit_config("upstreams = [\"members\"]", "upstreams = [\"staff\"]");
    server.restart().await;
    let refused = deliver(&mut browser, &page).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(browser.cookie(&server, AWAY).is_none());
    let page = from_imis(&server, &mut browser, "Portico").await;
    assert_eq!(page.text("h1").unwrap(), "Continue as Jo Smith?");
}

/// Whoever gave up an app's login at iMIS, and follows a link to another app there, gets to that one; the login waits for the page
/// that it went by.
#[tokio::test]
async fn a_link_to_another_app_does_not_finish_a_login_that_was_left() {
    let mut server = TestServer::start().await;
    for first_stop in ["/SSO/", "/Sign-in.aspx?ReturnUrl=/SSO/"] {
        let mut browser = Browser::new();
        if first_stop == "/SSO/" {
            at_imis(&server, &mut browser, people::JO_SMITH).await;
        } else {
            let page =
                "page_url = \"{imis}/SSO/Portico.aspx\"".replace("{imis}", server.imis_url());
            server.edit_config(&page, &page.replace("/SSO/", first_stop));
            server.restart().await;
        }
        let page = leave(&server, &mut browser, "web").await;
        if first_stop != "/SSO/" {
            let at = page.url.path();
            assert!(at.ends_with("/Sign-in.aspx"), "{at}");
            at_imis(&server, &mut browser, people::JO_SMITH).await;
        }
        let page = from_imis(&server, &mut browser, "Events").await;
        let asked = page.text("h1").unwrap_or_else(|| page.body.clone());
        assert_eq!(asked, "Continue as Jo Smith?", "{first_stop}");
        let page = browser.submit(&page, CONTINUE, &[]).await;
        let events = page.location().unwrap();
        assert_eq!(events.as_str(), "https://spa.example.org/", "{first_stop}");
        let page = from_imis(&server, &mut browser, "Portico").await;
        let host = page.location().unwrap();
        assert_eq!(host.host_str(), Some("web.example.org"), "{first_stop}");
        assert!(page.answer().contains_key("code"), "{first_stop}");
    }
}
