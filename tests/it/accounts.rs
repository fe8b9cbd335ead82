//! Two logins, one person: linked and unlinked by the person themselves, who has just logged in to both (T31). What an
//! attacker would try is tried here.

use std::collections::BTreeMap;

use portico::flow::errand::FRESH_SECONDS;
use portico::model::account::UpstreamSubject;
use portico::protocol::ids::UpstreamId;
use portico::simulator::people;
use url::Url;

use crate::command_line::audit::audit;
use crate::gateway;
use crate::harness::browser::{Browser, PASSWORD_FORM, Page};
use crate::harness::relying_party::{Answer, claims};
use crate::harness::server::TestServer;
use crate::token_exchange::{self, callers, exchange};

const JO: (&str, &str) = (people::JO_SMITH.username, people::JO_SMITH.password);
const ZOE: (&str, &str) = (people::ZOE.username, people::ZOE.password);
const ANN: (&str, &str) = (people::ANN_LEE.code, people::ANN_LEE.password);
/// As the adapter names Ann Lee.
pub(crate) const ANN_ID: &str = "uid:1042";
pub(crate) const CONFIRM: &str = "form[action='/account/confirm']";

async fn account(server: &TestServer, browser: &mut Browser, who: (&str, &str)) -> Page {
    let page = browser.open(server.url("/account")).await;
    let upstream = if who == ANN { "staff" } else { "members" };
    let page = browser.sign_in(&page, upstream, who).await;
    assert_eq!(page.url.path(), "/account", "{}", page.body);
    page
}

/// Presses a button of the account page.
async fn press(browser: &mut Browser, page: &Page, action: &str) -> Page {
    let form = format!("form:has(button[value={action}])");
    browser.submit(page, &form, &[("action", action)]).await
}

/// To the page that asks whether Jo's account gets Ann's login.
pub(crate) async fn to_confirm(server: &TestServer, browser: &mut Browser) -> Page {
    let page = account(server, browser, JO).await;
    let page = press(browser, &page, "link").await;
    assert!(
        page.text("h1")
            .unwrap()
            .starts_with("Now sign in with the login")
    );
    let page = browser.sign_in(&page, "staff", ANN).await;
    assert_eq!(page.url.path(), "/account/confirm", "{}", page.body);
    page
}

/// A whole set of tokens, and who they are about.
async fn tokens(
    server: &TestServer,
    browser: &mut Browser,
    client: &str,
) -> (String, String, String) {
    let scope = ("scope", "openid profile offline_access");
    let page = browser.open(server.authorize_url(client, &[scope])).await;
    let answer = server.redeem(client, &page.answer()["code"], &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let sub = claims(answer.text("id_token"))["sub"]
        .as_str()
        .unwrap()
        .to_owned();
    let (access, refresh) = (answer.text("access_token"), answer.text("refresh_token"));
    (sub, access.to_owned(), refresh.to_owned())
}

async fn name(server: &TestServer, access_token: &str) -> String {
    let userinfo = server.userinfo(access_token).await;
    assert_eq!(userinfo.status, 200, "{userinfo:?}");
    userinfo.text("name").to_owned()
}

async fn logins(server: &TestServer) -> Vec<usize> {
    let mut counts = Vec::new();
    for account in server.store.list_accounts(100).await.unwrap() {
        counts.push(server.store.list_logins(&account.id).await.unwrap().len());
    }
    counts.sort_unstable();
    counts
}

fn values(page: &Page, css: &str) -> (Url, BTreeMap<String, String>) {
    page.form(css)
}

fn pairs(fields: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect()
}

/// The one subject afterwards is the one that was kept; the claims of each session are those of its own login; apps that
/// knew the other subject meet a refusal, and never another subject.
#[tokio::test]
async fn two_logins_become_one_subject() {
    let server = TestServer::start().await;
    let mut ann = Browser::new();
    account(&server, &mut ann, ANN).await;
    let (her_sub, her_access, her_refresh) = tokens(&server, &mut ann, "spa").await;
    assert_eq!(name(&server, &her_access).await, "Ann Lee");

    let mut browser = Browser::new();
    let page = to_confirm(&server, &mut browser).await;
    let text = page.text("main").unwrap();
    for text_of_both in [
        "You are signed in as Jo Smith.",
        "Staff login says that you are Ann Lee.",
        "is closed, and signed out everywhere",
    ] {
        assert!(text.contains(text_of_both), "{text_of_both}: {text}");
    }
    let (sub, access, refresh) = tokens(&server, &mut browser, "web").await;
    assert_ne!(sub, her_sub);
    assert_eq!(logins(&server).await, [1, 1], "nothing is linked yet");
    let page = browser.submit(&page, CONFIRM, &[]).await;
    assert_eq!(page.url.path(), "/account");
    assert!(page.body.contains("Ann Lee") && page.body.contains("Jo Smith"));
    assert_eq!(logins(&server).await, [0, 2]);

    let refused = server.refresh("spa", &her_refresh).await;
    refused.assert_error(400, "invalid_grant");
    assert_eq!(server.userinfo(&her_access).await.status, 401);
    assert!(ann.open(server.url("/account")).await.is_login());
    // The session and the tokens of the kept account go on.
    assert_eq!(name(&server, &access).await, "Jo Smith");
    let login = browser
        .open(server.authorize_url("spa", &[("prompt", "none")]))
        .await;
    assert!(login.answer().contains_key("code"));

    // By the other login: the same subject, the other claims; and neither changes the other's.
    let page = ann.open(server.url("/account")).await;
    ann.sign_in(&page, "staff", ANN).await;
    let (by_staff, staff_access, _) = tokens(&server, &mut ann, "spa").await;
    assert_eq!(by_staff, sub);
    assert_eq!(name(&server, &staff_access).await, "Ann Lee");
    assert_eq!(name(&server, &access).await, "Jo Smith");
    let refreshed = server.refresh("web", &refresh).await;
    assert_eq!(refreshed.status, 200);
    assert_eq!(
        name(&server, refreshed.text("access_token")).await,
        "Jo Smith"
    );
    assert_eq!(claims(refreshed.text("access_token"))["sub"], sub.as_str());
}

/// The same by aiM18's own page, and a login that was never used before.
#[tokio::test]
async fn a_login_by_redirect_is_linked() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = account(&server, &mut browser, JO).await;
    let session = browser.session(&server);
    let page = press(&mut browser, &page, "link").await;
    // The upstream that the account has a login of already is not offered.
    assert!(!page.body.contains("members"));
    let away = browser
        .submit(&page, "form[action='/upstream/staff/start']", &[])
        .await;
    let back = browser.at_aim18(&away, people::ANN_LEE).await;
    let page = browser.follow(back).await;
    assert_eq!(page.url.path(), "/account/confirm");
    assert!(!page.text("main").unwrap().contains("is closed, and"));
    assert_eq!(
        logins(&server).await,
        [1],
        "who is asked about is not stored"
    );
    browser.submit(&page, CONFIRM, &[]).await;
    assert_eq!(logins(&server).await, [2]);
    assert_eq!(browser.session(&server), session, "the session is the same");
    // The back button shows that it is done, and where to go.
    let page = browser.open(page.url.as_str()).await;
    assert_eq!(page.attribute("main a", "href").unwrap(), "/account");
}

/// Whoever finds a browser that somebody left open cannot add a login of their own.
#[tokio::test]
async fn linking_wants_a_fresh_login_of_the_account() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = account(&server, &mut browser, JO).await;
    server.clock.advance(FRESH_SECONDS + 1);
    let page = press(&mut browser, &page, "link").await;
    assert_eq!(page.text("h1").unwrap(), "Sign in again to go on");
    // The page says whose login it wants, and offers theirs alone.
    assert!(page.body.contains("Sign in again as Jo Smith."));
    assert!(!page.body.contains("staff"), "{}", page.body);
    let page = browser.choose(&page, "members").await;
    let session = browser.session(&server);
    let somebody_else = |wrong: &Page| {
        assert_eq!(wrong.status, 422);
        assert_eq!(wrong.url.path(), "/login");
        let alert = wrong.text("[role=alert]").unwrap();
        assert!(alert.contains("somebody else"), "{alert}");
        assert_eq!(wrong.text("h1").unwrap(), "Sign in again to go on");
    };
    // The very login that is to be linked, and another member's: neither takes anything from the account that is signed in.
    for (upstream, who) in [
        ("staff", ANN),
        ("members", (people::CHAIR.username, people::CHAIR.password)),
    ] {
        let fields = [
            ("upstream", upstream),
            ("username", who.0),
            ("password", who.1),
        ];
        let wrong = browser.submit(&page, PASSWORD_FORM, &fields).await;
        somebody_else(&wrong);
        assert_eq!(browser.session(&server), session, "{upstream}");
    }
    assert_eq!(logins(&server).await, [1], "and they make no account");
    let page = browser.sign_in(&page, "members", JO).await;
    assert!(
        page.text("h1")
            .unwrap()
            .starts_with("Now sign in with the login")
    );
    assert_eq!(logins(&server).await, [1]);
}

/// Somebody else has logged in in another tab: the page offers the ways of the one whom it is for, and not theirs alone.
#[tokio::test]
async fn a_page_for_somebody_who_was_replaced_offers_their_ways() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = account(&server, &mut browser, ANN).await;
    server.clock.advance(FRESH_SECONDS + 1);
    let asked = press(&mut browser, &page, "link").await;
    assert!(asked.body.contains("Sign in again as Ann Lee."));
    let url = server.authorize_url("spa", &[("prompt", "login")]);
    browser.log_in_as(url, people::JO_SMITH).await;
    let resume = format!("/authorize/resume?flow={}", asked.flow());
    let page = browser.open(server.url(&resume)).await;
    let alert = page.text("[role=alert]").unwrap();
    assert!(alert.contains("somebody else"), "{alert}");
    let page = browser.sign_in(&page, "staff", ANN).await;
    let title = page.text("h1").unwrap();
    assert!(title.starts_with("Now sign in with the login"), "{title}");
}

/// The sessions that end with a link were another account's, and its story has their end.
#[tokio::test]
async fn what_a_link_ends_is_recorded_with_the_account_whose_it_was() {
    let mut server = TestServer::start().await;
    let mut ann = Browser::new();
    account(&server, &mut ann, ANN).await;
    let (subject, ..) = tokens(&server, &mut ann, "spa").await;
    let mut jo = Browser::new();
    let page = to_confirm(&server, &mut jo).await;
    let page = jo.submit(&page, CONFIRM, &[]).await;
    assert_eq!(page.url.path(), "/account", "{}", page.body);
    server.stop().await;
    let found = audit(&server, &["--account", &subject]).await;
    let ends = found
        .iter()
        .filter(|record| record["event"] == "logged_out");
    let told: Vec<_> = ends
        .map(|end| {
            let details = &end["details"];
            [&end["upstream"], &details["reason"], &details["by"]].map(|text| text.as_str())
        })
        .collect();
    let reason = "the login was linked to another account";
    assert_eq!(told, [[Some("staff"), Some(reason), Some("person")]]);
}

/// Both logins have to be fresh still when the answer comes.
#[tokio::test]
async fn an_answer_that_comes_late_links_nothing() {
    for (before, after) in [(FRESH_SECONDS - 1, 2), (0, FRESH_SECONDS + 1)] {
        let server = TestServer::start().await;
        let mut browser = Browser::new();
        let page = account(&server, &mut browser, JO).await;
        let page = press(&mut browser, &page, "link").await;
        server.clock.advance(before);
        let page = browser.sign_in(&page, "staff", ANN).await;
        assert_eq!(page.url.path(), "/account/confirm");
        server.clock.advance(after);
        let page = browser.submit(&page, CONFIRM, &[]).await;
        assert_eq!(page.text("h1").unwrap(), "Sign in again to go on");
        assert_eq!(logins(&server).await, [1]);
        // The other one is asked again, too, if it is too old by then.
        let page = browser.sign_in(&page, "members", JO).await;
        let expected = if before > 0 {
            "/account/confirm"
        } else {
            "/login"
        };
        assert_eq!(page.url.path(), expected, "{}", page.body);
    }
}

/// Link CSRF, an attacker's login for the victim's account: a confirmation that was not asked for in this browser, by
/// this session, on this very page, does nothing (T14, T25).
#[tokio::test]
async fn an_answer_from_elsewhere_links_nothing() {
    let server = TestServer::start().await;
    let mut attacker = Browser::new();
    let page = to_confirm(&server, &mut attacker).await;
    let (action, mut fields) = values(&page, CONFIRM);
    // The victim has no such flow, whatever form they are made to send.
    let mut victim = Browser::new();
    account(&server, &mut victim, ZOE).await;
    let refused = victim.post(action.as_str(), &pairs(&fields)).await;
    assert_eq!(refused.status, 400);
    // Across sites not even the own browser brings the cookies along.
    let refused = attacker
        .post_cross_site(action.as_str(), &pairs(&fields))
        .await;
    assert_eq!(refused.status, 400);
    // Without the page's token, or with that of another page about the same flow.
    let flow = fields["flow"].clone();
    let refused = attacker
        .post(action.as_str(), &[("flow", flow.as_str())])
        .await;
    assert_eq!(refused.status, 400);
    fields.insert("form_token".to_owned(), "x".to_owned());
    let refused = attacker.post(action.as_str(), &pairs(&fields)).await;
    assert_eq!(refused.status, 400);
    assert_eq!(logins(&server).await, [1, 1]);
}

/// The attacker's flow, planted into the victim's browser: it is for the person who began it alone.
#[tokio::test]
async fn a_planted_flow_is_of_no_use_in_the_session_of_another() {
    let server = TestServer::start().await;
    let mut attacker = Browser::new();
    let page = to_confirm(&server, &mut attacker).await;
    let (action, fields) = values(&page, CONFIRM);
    let mut victim = Browser::new();
    account(&server, &mut victim, ZOE).await;
    for name in attacker.flows() {
        let value = attacker.cookie(&server, &name).unwrap().value.clone();
        victim.set_cookie("127.0.0.1", &name, &value);
    }
    let shown = victim.open(page.url.as_str()).await;
    assert_eq!(shown.url.path(), "/login");
    let answer = victim.post(action.as_str(), &pairs(&fields)).await;
    assert_eq!(answer.status, 303);
    assert!(
        answer
            .location()
            .unwrap()
            .path()
            .starts_with("/authorize/resume")
    );
    assert_eq!(logins(&server).await, [1, 1]);
}

/// Login CSRF in the middle: whoever is slipped in at the upstream's page is named before anything happens; and the
/// answer to one name is none to another.
#[tokio::test]
async fn the_page_names_who_was_slipped_in_and_its_answer_is_for_them_alone() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let first = to_confirm(&server, &mut browser).await;
    let (action, fields) = values(&first, CONFIRM);
    // The same flow, in another tab: somebody else logs in instead.
    let login = Url::parse(&server.url("/login")).unwrap();
    let login = format!("{login}?flow={}", first.flow());
    let page = browser.open(&login).await;
    assert_eq!(
        page.url.path(),
        "/account/confirm",
        "nothing is asked twice"
    );
    server.clock.advance(FRESH_SECONDS + 1);
    let again = browser.submit(&first, CONFIRM, &[]).await;
    let page = browser.sign_in(&again, "members", JO).await;
    let person = (people::CHAN_TAI_MAN.code, people::CHAN_TAI_MAN.password);
    let page = browser.sign_in(&page, "staff", person).await;
    assert!(
        page.text("main")
            .unwrap()
            .contains(people::CHAN_TAI_MAN.desc_zh_tw),
        "{}",
        page.body
    );
    let refused = browser.post(action.as_str(), &pairs(&fields)).await;
    assert_eq!(refused.status, 400, "the page named somebody else");
    assert_eq!(logins(&server).await, [1]);
}

/// The login led nowhere when the page was made: a yes to that closes no account that has come about since, and ends no session of it.
/// The question is asked again, with what it means now.
#[tokio::test]
async fn an_account_that_the_page_did_not_speak_of_is_not_closed() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let first = to_confirm(&server, &mut browser).await;
    let closes = |page: &Page| {
        assert_eq!(page.url.path(), "/account/confirm", "{}", page.body);
        let text = page.text("main").unwrap();
        text.contains("is closed, and signed out everywhere")
    };
    assert!(!closes(&first), "{}", first.body);
    let mut ann = Browser::new();
    account(&server, &mut ann, ANN).await;
    let (_, access_token, _) = tokens(&server, &mut ann, "spa").await;
    let again = browser.submit(&first, CONFIRM, &[]).await;
    assert_eq!(logins(&server).await, [1, 1]);
    assert_eq!(name(&server, &access_token).await, "Ann Lee");
    assert!(closes(&again), "{}", again.body);
    // Only the whole of one page is an answer.
    let shown = again.form(CONFIRM).1["shown"].clone();
    let mixed = [("shown", shown.as_str())];
    let refused = browser.submit_only(&first, CONFIRM, &mixed).await;
    assert_eq!(refused.status, 400);
    let page = browser.submit(&again, CONFIRM, &[]).await;
    assert_eq!(page.url.path(), "/account", "{}", page.body);
    assert_eq!(logins(&server).await, [0, 2]);
}

/// iMIS's page delivers by a POST across sites, which any site can send: while a link waits for somebody to come back from
/// there, an attacker's own credential can be slipped in. The page names them, and nothing happens without a yes (T25).
#[tokio::test]
async fn a_credential_posted_to_the_landing_by_another_site_links_nobody_unasked() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = account(&server, &mut browser, ANN).await;
    let before = browser.session(&server);
    let page = press(&mut browser, &page, "link").await;
    let start = "form[action='/upstream/members/start']";
    browser.submit(&page, start, &[]).await;
    // The attacker has a token of their own from iMIS, and a page that posts it.
    let mut attacker = Browser::new();
    let url = server.imis_url();
    let sign_in = attacker.open(format!("{url}/Sign-in.aspx")).await;
    let fields = [("username", ZOE.0), ("password", ZOE.1)];
    attacker.submit(&sign_in, PASSWORD_FORM, &fields).await;
    let delivery = attacker.open(format!("{url}/SSO/Portico.aspx")).await;
    let (action, fields) = delivery.form("form:has(input[name=refresh_token])");
    let answer = browser
        .post_cross_site(action.as_str(), &pairs(&fields))
        .await;
    let page = browser.follow(answer).await;
    assert_eq!(page.url.path(), "/account/confirm", "{}", page.body);
    let text = page.text("main").unwrap();
    assert!(text.contains("You are signed in as Ann Lee."), "{text}");
    assert!(text.contains("Member login says that you are Zo"), "{text}");
    assert!(text.contains("If one of the two is not you"), "{text}");
    assert_eq!(browser.session(&server), before);
    assert_eq!(logins(&server).await, [1]);
}

/// T27: what a login in a link flow proves does not sign anybody in, and leaves the session as it is.
#[tokio::test]
async fn the_login_to_be_linked_is_not_signed_in() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = account(&server, &mut browser, JO).await;
    let before = browser.session(&server);
    let page = press(&mut browser, &page, "link").await;
    browser.sign_in(&page, "staff", ANN).await;
    assert_eq!(browser.session(&server), before);
    let page = browser.open(server.url("/account")).await;
    assert!(page.body.contains("You are signed in as Jo Smith."));
    // Not even when the page was open so long that the first login does not do any more.
    let page = press(&mut browser, &page, "link").await;
    let page = browser.choose(&page, "staff").await;
    server.clock.advance(FRESH_SECONDS + 1);
    let page = browser.sign_in(&page, "staff", ANN).await;
    assert_eq!(page.text("h1").unwrap(), "Sign in again to go on");
    assert_eq!(browser.session(&server), before);
}

/// A flow that was open too long: nobody knows any more which of the two logins its page asked for.
#[tokio::test]
async fn a_link_that_was_left_open_leads_back_to_the_account() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = account(&server, &mut browser, JO).await;
    let page = press(&mut browser, &page, "link").await;
    let form = browser.choose(&page, "staff").await;
    let before = browser.session(&server);
    server.clock.advance(6 * 3600);
    let fields = [("username", ANN.0), ("password", ANN.1)];
    let page = browser.submit(&form, PASSWORD_FORM, &fields).await;
    assert_eq!(page.status, 400, "{}", page.body);
    assert_eq!(page.attribute("main a", "href").unwrap(), "/account");
    assert_eq!(browser.session(&server), before);
}

/// Two logins of one upstream are refused, and so is the own one.
#[tokio::test]
async fn what_cannot_be_linked_is_told_at_once() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = account(&server, &mut browser, JO).await;
    let page = press(&mut browser, &page, "link").await;
    // Not offered; sent by hand.
    for (who, text) in [
        (ZOE, "has a login of Member login already"),
        (JO, "belongs to your account already"),
    ] {
        let fields = [
            ("flow", page.flow()),
            (
                "form_token",
                page.attribute("input[name=form_token]", "value").unwrap(),
            ),
            ("upstream", "members".to_owned()),
            ("username", who.0.to_owned()),
            ("password", who.1.to_owned()),
        ];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let refused = browser.post(server.url("/login"), &fields).await;
        assert_eq!(refused.status, 422, "{}", refused.body);
        assert!(
            refused.text("[role=alert]").unwrap().contains(text),
            "{}",
            refused.body
        );
    }
    // A closed account is no back door.
    let mut ann = Browser::new();
    account(&server, &mut ann, ANN).await;
    let all = server.store.list_accounts(10).await.unwrap();
    let hers = all
        .iter()
        .find(|each| each.profile.name.as_deref() == Some("Ann Lee"));
    let now = server.clock.now();
    server
        .store
        .disable_account(&hers.unwrap().id, now)
        .await
        .unwrap();
    let refused = browser.sign_in(&page, "staff", ANN).await;
    assert_eq!(refused.status, 403);
    assert_eq!(logins(&server).await, [1, 1]);
}

/// Between the page and its answer an administrator may have done something.
#[tokio::test]
async fn what_has_changed_before_the_answer_is_told() {
    let server = TestServer::start().await;
    let mut ann = Browser::new();
    account(&server, &mut ann, ANN).await;
    let mut browser = Browser::new();
    let page = to_confirm(&server, &mut browser).await;
    let login = UpstreamSubject {
        upstream: UpstreamId::new("staff"),
        subject: ANN_ID.to_owned(),
    };
    let hers = server.store.find_login(&login).await.unwrap().unwrap();
    server
        .store
        .disable_account(&hers, server.clock.now())
        .await
        .unwrap();
    let page = browser.submit(&page, CONFIRM, &[]).await;
    assert_eq!(page.status, 409);
    assert_eq!(page.attribute("main a", "href").unwrap(), "/account");
    assert_eq!(logins(&server).await, [1, 1]);
}

pub(crate) async fn linked(server: &TestServer, browser: &mut Browser) -> Page {
    let page = to_confirm(server, browser).await;
    browser.submit(&page, CONFIRM, &[]).await
}

#[tokio::test]
async fn a_login_is_unlinked_again() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    linked(&server, &mut browser).await;
    let (sub, access, _) = tokens(&server, &mut browser, "web").await;
    let mut ann = Browser::new();
    account(&server, &mut ann, ANN).await;
    let (by_staff, _, refresh) = tokens(&server, &mut ann, "spa").await;
    assert_eq!(by_staff, sub);

    // A fresh login is wanted, for the attacker at an open browser could otherwise lock somebody out of their account.
    server.clock.advance(FRESH_SECONDS + 1);
    let page = browser.open(server.url("/account")).await;
    let fields = [
        ("action", "unlink"),
        ("upstream", "staff"),
        ("subject", ANN_ID),
    ];
    let form = "form:has(button[value=unlink])";
    let page = browser.submit(&page, form, &fields).await;
    assert_eq!(page.text("h1").unwrap(), "Sign in again to go on");
    let page = browser.sign_in(&page, "members", JO).await;
    assert_eq!(
        page.text("h1").unwrap(),
        "Remove Staff login from your account"
    );
    assert_eq!(logins(&server).await, [2]);
    let page = browser.submit(&page, CONFIRM, &[]).await;
    assert_eq!(page.url.path(), "/account");
    assert_eq!(logins(&server).await, [1, 1]);

    assert_eq!(name(&server, &access).await, "Jo Smith");
    assert!(ann.open(server.url("/account")).await.is_login());
    server
        .refresh("spa", &refresh)
        .await
        .assert_error(400, "invalid_grant");
    account(&server, &mut ann, ANN).await;
    let (own, ..) = tokens(&server, &mut ann, "spa").await;
    assert_ne!(own, sub);

    // The last one stays, whatever form is sent.
    let page = browser.open(server.url("/account")).await;
    assert!(page.attribute("button[value=unlink]", "name").is_none());
    let token = page.attribute("input[name=form_token]", "value").unwrap();
    let logins_of = server.store.list_accounts(10).await.unwrap();
    assert_eq!(logins_of.len(), 2);
    let fields = [
        ("action", "unlink"),
        ("form_token", token.as_str()),
        ("upstream", "members"),
        ("subject", people::JO_SMITH.uniform_id),
    ];
    let page = browser.post(server.url("/account"), &fields).await;
    let page = browser.follow(page).await;
    let page = browser.submit(&page, CONFIRM, &[]).await;
    assert_eq!(page.status, 409, "{}", page.body);
    assert_eq!(logins(&server).await, [1, 1]);
    // Nor can the login of somebody else be taken away.
    let fields = [
        ("action", "unlink"),
        ("form_token", token.as_str()),
        ("upstream", "staff"),
        ("subject", ANN_ID),
    ];
    let page = browser.post(server.url("/account"), &fields).await;
    let page = browser.follow(page).await;
    let page = browser.submit(&page, CONFIRM, &[]).await;
    assert_eq!(page.status, 409);
}

/// T31: the same email address, the same name: two persons.
#[tokio::test]
async fn nothing_but_a_proven_login_links() {
    let server = TestServer::start().await;
    let (mut jo, mut ann) = (Browser::new(), Browser::new());
    account(&server, &mut jo, JO).await;
    account(&server, &mut ann, ANN).await;
    let pool = server.database.pool().await;
    for statement in [
        "UPDATE upstream_login SET profile = '{\"name\":\"Jo\",\"preferred_username\":\"JO\",\"email\":\"jo@example.org\",\"email_verified\":true}'",
        "UPDATE account SET profile = '{\"name\":\"Jo\",\"preferred_username\":\"JO\",\"email\":\"jo@example.org\",\"email_verified\":true}'",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    account(&server, &mut Browser::new(), JO).await;
    account(&server, &mut Browser::new(), ANN).await;
    assert_eq!(logins(&server).await, [1, 1]);
}

/// What `calling-app` gets for the person who is signed in, or signs in again as asked.
async fn called_for(server: &TestServer, browser: &mut Browser) -> Answer {
    let scope = ("scope", token_exchange::SCOPE);
    let url = server.authorize_url("calling-app", &[scope]);
    let page = browser.open(url).await;
    let tokens = server
        .redeem("calling-app", &page.answer()["code"], &[])
        .await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    tokens
}

/// Rows of the vault that belong to people.
async fn kept(server: &TestServer) -> Vec<String> {
    sqlx::query_scalar("SELECT upstream FROM vault_entry WHERE kind = 'person' ORDER BY upstream")
        .fetch_all(&server.database.pool().await)
        .await
        .unwrap()
}

const CUSTOMER: &str = "/api/staff/root/api/read/cus?menuCode=cus&id=501";

/// T62, T63: the session has the tokens of both logins from the moment of the link, by exchange and by gateway, and no
/// longer than that.
#[tokio::test]
async fn a_linked_login_gives_its_tokens_to_the_session() {
    let server = TestServer::start_with(|setup| {
        callers(setup);
        gateway::apis(setup);
    })
    .await;
    let mut browser = Browser::new();
    let page = to_confirm(&server, &mut browser).await;
    let before = called_for(&server, &mut browser).await;
    let refused = exchange(&server, &before, "staff").await;
    refused.assert_error(400, "invalid_grant");
    assert_eq!(kept(&server).await, ["members"]);
    browser.submit(&page, CONFIRM, &[]).await;
    assert_eq!(kept(&server).await, ["members", "staff"]);
    // Even what was given before: it is the session that has them.
    for tokens in [before, called_for(&server, &mut browser).await] {
        for upstream in ["members", "staff"] {
            let answer = exchange(&server, &tokens, upstream).await;
            assert_eq!(answer.status, 200, "{upstream}: {answer:?}");
        }
        let answer = exchange(&server, &tokens, "staff").await;
        assert_eq!(
            answer.text("upstream_client_id"),
            portico::simulator::aim18::CLIENT_ID
        );
    }
    let scope = ("scope", "openid members:read customers:read");
    let url = server.authorize_url("gateway-app", &[scope]);
    let page = browser.open(url).await;
    let code = &page.answer()["code"];
    let tokens = server.redeem("gateway-app", code, &[]).await;
    let own = format!("/api/members/Party/{}", people::JO_SMITH.id);
    for path in [CUSTOMER, &own] {
        let called = gateway::get(&server, path, &tokens).await;
        assert_eq!(called.status, 200, "{path}");
    }
    // Another session of the same account has what its own login gave.
    let mut other = Browser::new();
    account(&server, &mut other, JO).await;
    let elsewhere = called_for(&server, &mut other).await;
    let refused = exchange(&server, &elsewhere, "staff").await;
    refused.assert_error(400, "invalid_grant");
    // T35: the logout takes both.
    let page = other.open(server.url("/account")).await;
    press(&mut other, &page, "end_all").await;
    assert_eq!(kept(&server).await, Vec::<String>::new());
}

/// T63: the login that is taken away takes its tokens along; those of the other stay.
#[tokio::test]
async fn an_unlinked_login_takes_its_tokens_along() {
    let server = TestServer::start_with(callers).await;
    let mut browser = Browser::new();
    let page = linked(&server, &mut browser).await;
    let tokens = called_for(&server, &mut browser).await;
    assert_eq!(exchange(&server, &tokens, "staff").await.status, 200);
    let fields = [
        ("action", "unlink"),
        ("upstream", "staff"),
        ("subject", ANN_ID),
    ];
    let form = "form:has(button[value=unlink])";
    let page = browser.submit(&page, form, &fields).await;
    browser.submit(&page, CONFIRM, &[]).await;
    assert_eq!(logins(&server).await, [1, 1]);
    assert_eq!(kept(&server).await, ["members"]);
    let refused = exchange(&server, &tokens, "staff").await;
    refused.assert_error(400, "invalid_grant");
    assert_eq!(exchange(&server, &tokens, "members").await.status, 200);
}

/// A later login by the other way is another session; what this browser has of the first comes along.
#[tokio::test]
async fn a_later_login_by_the_other_way_keeps_what_the_first_gave() {
    let server = TestServer::start_with(callers).await;
    let mut browser = Browser::new();
    linked(&server, &mut browser).await;
    let first = called_for(&server, &mut browser).await;
    let of_members = exchange(&server, &first, "members").await;
    let page = browser.open(url_of_login(&server)).await;
    let page = browser.sign_in(&page, "staff", ANN).await;
    let code = &page.answer()["code"];
    let second = server.redeem("calling-app", code, &[]).await;
    let again = exchange(&server, &second, "members").await;
    assert_eq!(again.text("access_token"), of_members.text("access_token"));
    assert_eq!(exchange(&server, &second, "staff").await.status, 200);
    // The first session has ended, with everything of it.
    let refused = exchange(&server, &first, "members").await;
    refused.assert_error(400, "invalid_request");
    assert_eq!(kept(&server).await, ["members", "staff"]);

    // Of somebody else nothing comes along.
    let page = browser.open(url_of_login(&server)).await;
    let page = browser.sign_in(&page, "members", ZOE).await;
    let code = &page.answer()["code"];
    let zoes = server.redeem("calling-app", code, &[]).await;
    exchange(&server, &zoes, "staff")
        .await
        .assert_error(400, "invalid_grant");
    assert_eq!(kept(&server).await, ["members"]);
}

fn url_of_login(server: &TestServer) -> String {
    let scope = ("scope", token_exchange::SCOPE);
    server.authorize_url("calling-app", &[scope, ("prompt", "login")])
}
