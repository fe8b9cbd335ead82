//! Several accounts in one browser: kept beside one another, chosen among, and ended one by one (OpenID Connect Core sections
//! 3.1.2.1 and 3.1.2.6, RP-Initiated Logout section 2; T14, T24, T29, T48).

use portico::simulator::people::{self, ANN_LEE, CHAIR, ImisPerson, JO_SMITH, LAPSED, MONO, ZOE};
use serde_json::Value;

use crate::harness::browser::{Browser, PASSWORD_FORM, Page};
use crate::harness::relying_party::{Answer, claims};
use crate::harness::server::TestServer;
use crate::harness::steps::{CONTINUE, SESSION};
use crate::landing::{at_imis, from_imis};

const HOST: &str = "127.0.0.1";
const SELECT: (&str, &str) = ("prompt", "select_account");
const SILENT: (&str, &str) = ("prompt", "none");
/// The forms of the accounts on the chooser.
const CHOICES: &str = "input[name=session]";

/// A browser with Jo Smith logged in, and what `spa` got of it.
async fn jo_alone(server: &TestServer) -> (Browser, Answer) {
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    let page = browser.log_in_as(url, JO_SMITH).await;
    let tokens = tokens(server, "spa", &page).await;
    (browser, tokens)
}

/// Logs somebody in beside whoever is there; what `spa` got of it.
async fn add(server: &TestServer, browser: &mut Browser, person: ImisPerson) -> Answer {
    let page = browser.open(server.authorize_url("spa", &[SELECT])).await;
    let page = browser.sign_in_as(&page, person).await;
    tokens(server, "spa", &page).await
}

async fn tokens(server: &TestServer, client: &str, page: &Page) -> Answer {
    let tokens = server.redeem(client, &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    tokens
}

fn claim(tokens: &Answer, name: &str) -> String {
    let told: Value = claims(tokens.text("id_token"));
    told[name].as_str().unwrap().to_owned()
}

fn beside(id: &str) -> String {
    format!("{SESSION}-{id}")
}

/// The sessions that have a cookie beside the current one's.
fn kept(browser: &Browser) -> Vec<String> {
    let names = browser.cookie_names().into_iter();
    names
        .filter_map(|name| Some(name.strip_prefix(&beside(""))?.to_owned()))
        .collect()
}

/// The `sub` that an app gets without a page, or the error.
async fn silently(
    server: &TestServer,
    browser: &mut Browser,
    client: &str,
    more: &[(&str, &str)],
) -> String {
    let mut changes = vec![SILENT];
    changes.extend(more);
    let page = browser.get(server.authorize_url(client, &changes)).await;
    let mut answer = page.answer();
    match answer.remove("error") {
        Some(error) => error,
        None => claim(&tokens(server, client, &page).await, "sub"),
    }
}

/// Presses "Continue as …" of this session.
async fn choose(browser: &mut Browser, page: &Page, id: &str) -> Page {
    let form = format!("form:has(input[value='{id}'])");
    browser.submit(page, &form, &[]).await
}

/// Jo Smith, and beside and after her Cam Chair, who is the current one.
struct Two {
    server: TestServer,
    browser: Browser,
    jo: Answer,
    cam: Answer,
}

impl Two {
    async fn start() -> Self {
        Self::at(TestServer::start().await).await
    }

    async fn at(server: TestServer) -> Self {
        let (mut browser, jo) = jo_alone(&server).await;
        let cam = add(&server, &mut browser, CHAIR).await;
        assert_ne!(claim(&jo, "sub"), claim(&cam, "sub"));
        Self {
            server,
            browser,
            jo,
            cam,
        }
    }

    async fn silently(&mut self, client: &str, more: &[(&str, &str)]) -> String {
        silently(&self.server, &mut self.browser, client, more).await
    }

    async fn log_out(&mut self, parameters: &[(&str, &str)]) -> Page {
        let mut url = url::Url::parse(&self.server.url("/end_session")).unwrap();
        url.query_pairs_mut().extend_pairs(parameters);
        self.browser.get(url).await
    }

    fn ids(&self) -> (String, String) {
        (claim(&self.jo, "sid"), claim(&self.cam, "sid"))
    }

    fn subjects(&self) -> (String, String) {
        (claim(&self.jo, "sub"), claim(&self.cam, "sub"))
    }
}

/// T24, T54: a session each, a cookie each, with the attributes of every cookie; the new one's secret is new.
#[tokio::test]
async fn use_another_account_keeps_the_one_that_is_there() {
    let server = TestServer::start().await;
    let (mut browser, jo) = jo_alone(&server).await;
    let before = browser.session(&server).unwrap();
    let cam = add(&server, &mut browser, CHAIR).await;
    let (jo_sid, cam_sid) = (claim(&jo, "sid"), claim(&cam, "sid"));
    assert_ne!(jo_sid, cam_sid);
    assert_ne!(browser.session(&server).unwrap(), before);
    assert_eq!(kept(&browser), [jo_sid.as_str()]);
    let cookie = browser.cookie(&server, &beside(&jo_sid)).unwrap();
    assert_eq!(cookie.value, before);
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.attributes.contains(attribute), "{attribute}");
    }
    assert!(!cookie.attributes.contains("Max-Age"));
    for tokens in [&jo, &cam] {
        let answer = server.refresh("spa", tokens.text("refresh_token")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let current = silently(&server, &mut browser, "web", &[]).await;
    assert_eq!(current, claim(&cam, "sub"));
}

/// A login that no choice led to takes the place of the one before, as ever.
#[tokio::test]
async fn a_plain_login_of_somebody_else_ends_the_session_before() {
    let server = TestServer::start().await;
    let (mut browser, jo) = jo_alone(&server).await;
    let url = server.authorize_url("spa", &[("prompt", "login")]);
    browser.log_in_as(url, CHAIR).await;
    assert!(kept(&browser).is_empty());
    let refused = server.refresh("spa", jo.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
}

/// Core section 3.1.2.1: the person chooses, and whom they chose is the current one from now on.
#[tokio::test]
async fn who_is_chosen_is_the_answer_and_the_current_one() {
    let mut two = Two::start().await;
    let ((jo_sid, cam_sid), (jo, _)) = (two.ids(), two.subjects());
    let url = two.server.authorize_url("web", &[SELECT]);
    let page = two.browser.open(&url).await;
    assert!(page.is_login());
    assert_eq!(page.values(CHOICES), [cam_sid.as_str(), jo_sid.as_str()]);
    for text in [
        "Choose an account",
        "Continue as Cam Chair",
        "Cam Chair · CCHAIR · ",
        "Continue as Jo Smith",
        "Use another account",
    ] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    let page = choose(&mut two.browser, &page, &jo_sid).await;
    let answer = tokens(&two.server, "web", &page).await;
    assert_eq!(claim(&answer, "sub"), jo);
    assert_eq!(claim(&answer, "sid"), jo_sid);
    assert_eq!(kept(&two.browser), [cam_sid.as_str()]);
    assert_eq!(two.silently("post", &[]).await, jo);
    // One who is not there, or has gone meanwhile, is nobody's choice.
    let page = two.browser.open(&url).await;
    let form = format!("form:has(input[value='{cam_sid}'])");
    let again = two
        .browser
        .submit(&page, &form, &[("session", "somebody")])
        .await;
    assert_eq!(again.values(CHOICES).len(), 2, "{}", again.body);
    // T14.
    let forged = two
        .browser
        .submit(&page, &form, &[("form_token", "forged")])
        .await;
    assert_eq!(forged.status, 400);
    assert_eq!(two.silently("post", &[]).await, jo);
}

/// Two tabs at the login page at once: what comes of the first is never a code for whom the second signed in.
#[tokio::test]
async fn of_two_logins_at_once_neither_answers_for_the_other() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    let first = browser.open(&url).await;
    let first = browser.choose(&first, "members").await;
    let second = browser.open(&url).await;
    let second = browser.choose(&second, "members").await;
    let mut other_tab = browser.clone();
    let typed = |person: ImisPerson| [("username", person.username), ("password", person.password)];
    let first = browser
        .submit_only(&first, PASSWORD_FORM, &typed(JO_SMITH))
        .await;
    let second = other_tab
        .submit_only(&second, PASSWORD_FORM, &typed(CHAIR))
        .await;
    // Both answers have come, that of the second tab last.
    let current = other_tab.session(&server).unwrap();
    browser.set_cookie(HOST, SESSION, &current);
    let page = browser.open(first.location().unwrap()).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(
        page.url.path(),
        "/login",
        "nobody else is taken: {}",
        page.body
    );
    let page = other_tab.open(second.location().unwrap()).await;
    let cam = tokens(&server, "spa", &page).await;
    let now = silently(&server, &mut browser, "spa", &[]).await;
    assert_eq!(claim(&cam, "sub"), now);
}

/// After a logout nobody is current. Whoever logs in then, on a page that offers nobody, is told who is there, and ends nobody's
/// session.
#[tokio::test]
async fn a_login_after_a_logout_is_added_to_those_whom_the_page_shows() {
    let mut two = Two::start().await;
    let hint = two.cam.text("id_token").to_owned();
    two.log_out(&[("id_token_hint", hint.as_str())]).await;
    let (jo, _) = two.ids();
    assert_eq!(kept(&two.browser), [jo.as_str()]);
    let url = two.server.authorize_url("staff-app", &[]);
    let page = two.browser.open(&url).await;
    assert!(page.values(CHOICES).is_empty(), "not for Jo Smith");
    let shown = page.text("ul[aria-labelledby=left]").unwrap();
    assert!(shown.contains("Jo Smith"), "{shown}");
    assert!(page.attribute("a[href='/end_session']", "href").is_some());
    let page = two.browser.log_in_at_aim18(url, ANN_LEE).await;
    let ann = tokens(&two.server, "staff-app", &page).await;
    assert_eq!(kept(&two.browser), [jo.as_str()]);
    let of_jo = two.server.userinfo(two.jo.text("access_token")).await;
    assert_eq!(of_jo.status, 200);
    let now = silently(&two.server, &mut two.browser, "staff-app", &[]).await;
    assert_eq!(now, claim(&ann, "sub"));
    // With somebody current there is nobody whom a page would not show.
    let page = two
        .browser
        .open(two.server.authorize_url("spa", &[SELECT]))
        .await;
    assert_eq!(page.text("ul[aria-labelledby=left]"), None);
}

/// What a page asked of one account is not done for another, whatever other tabs do meanwhile.
#[tokio::test]
async fn a_sign_out_page_that_stood_open_says_nothing_that_is_not_so() {
    let server = TestServer::start().await;
    let (mut browser, jo) = jo_alone(&server).await;
    let page = browser.open(server.url("/end_session")).await;
    // In another tab: out, and in again.
    let hint = format!(
        "{}?id_token_hint={}",
        server.url("/end_session"),
        jo.text("id_token")
    );
    browser.get(hint).await;
    let again = browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    let again = tokens(&server, "spa", &again).await;
    let asked = browser.submit(&page, "main form", &[]).await;
    assert!(!asked.body.contains("You are signed out"), "{}", asked.body);
    assert_eq!(asked.values(CHOICES), [claim(&again, "sid")]);
    browser.submit(&asked, "main form", &[]).await;
    let over = server.userinfo(again.text("access_token")).await;
    assert_eq!(over.status, 401);
    // A second click: they have left.
    let done = browser.submit(&asked, "main form", &[]).await;
    assert!(done.body.contains("You are signed out"), "{}", done.body);
}

/// What a browser fetches ahead of a click has been asked for by nobody.
#[tokio::test]
async fn a_link_that_is_fetched_ahead_signs_nobody_out() {
    let server = TestServer::start().await;
    let (mut browser, jo) = jo_alone(&server).await;
    let hint = format!("?id_token_hint={}", jo.text("id_token"));
    let address = server.url("/end_session") + &hint;
    browser.headers = vec![("sec-purpose".to_owned(), "prefetch".to_owned())];
    let ahead = browser.get(&address).await;
    assert_eq!(ahead.status, 503);
    assert_eq!(ahead.header("cache-control"), "no-store");
    assert_eq!(ahead.header("set-cookie"), "");
    browser.headers.clear();
    let of_jo = server.userinfo(jo.text("access_token")).await;
    assert_eq!(of_jo.status, 200);
    let out = browser.get(&address).await;
    assert!(out.body.contains("You are signed out"), "{}", out.body);
    let of_jo = server.userinfo(jo.text("access_token")).await;
    assert_eq!(of_jo.status, 401);
}

/// A hint of an earlier login of somebody who is here: they are asked about, and not whoever is current.
#[tokio::test]
async fn an_old_hint_asks_about_the_person_that_it_names() {
    let mut two = Two::start().await;
    let elsewhere = two.server.tokens("spa", "openid").await;
    let page = two
        .log_out(&[("id_token_hint", elsewhere.text("id_token"))])
        .await;
    assert_eq!(page.status, 200);
    let (jo, _) = two.ids();
    let asked = page.values("input[name=session]");
    assert_eq!(asked.first(), Some(&jo), "{}", page.body);
}

/// RP-Initiated Logout section 2: `logout_hint` says who is asked about, and ends nobody unasked.
#[tokio::test]
async fn a_logout_hint_asks_about_the_account_that_it_means() {
    let mut two = Two::start().await;
    let (jo, cam) = two.ids();
    let cases = [
        (jo.as_str(), &jo),
        ("jsmith", &jo),
        (JO_SMITH.email, &jo),
        (CHAIR.username, &cam),
        ("nobody", &cam),
        ("", &cam),
    ];
    for (hint, meant) in cases {
        let hint = [("client_id", "spa"), ("logout_hint", hint)];
        let page = two.log_out(&hint).await;
        assert_eq!(page.values(CHOICES), [meant.as_str()], "{hint:?}");
        // A form of another site, whose request goes on as one of ours.
        let url = two.server.url("/end_session");
        let page = two.browser.post_cross_site(url, &hint).await;
        let page = two.browser.follow(page).await;
        assert_eq!(page.values(CHOICES), [meant.as_str()], "{hint:?}");
    }
    // Whom the ID token is about is said better.
    let elsewhere = two.server.tokens("spa", "openid").await;
    let hint_of_jo = [
        ("id_token_hint", elsewhere.text("id_token")),
        ("logout_hint", CHAIR.username),
    ];
    let page = two.log_out(&hint_of_jo).await;
    assert_eq!(page.values(CHOICES), [jo.as_str()]);
    let long = "x".repeat(257);
    let page = two.log_out(&[("logout_hint", &long)]).await;
    assert_eq!(page.status, 400);
    // Nobody has been signed out by any of it.
    for tokens in [&two.jo, &two.cam] {
        let alive = two.server.userinfo(tokens.text("access_token")).await;
        assert_eq!(alive.status, 200);
    }
    let page = two.log_out(&[("client_id", "spa"), ("logout_hint", "jsmith")]);
    let page = page.await;
    two.browser.submit(&page, "form", &[]).await;
    assert_eq!(
        two.server
            .userinfo(two.jo.text("access_token"))
            .await
            .status,
        401
    );
    assert_eq!(
        two.server
            .userinfo(two.cam.text("access_token"))
            .await
            .status,
        200
    );
}

/// Sections 3.1.2.1 and 5.5.1; T29. Nothing of it changes who the current one is.
#[tokio::test]
async fn a_request_that_names_a_person_gets_that_one_or_nobody() {
    let mut two = Two::start().await;
    let (jo, cam) = two.subjects();
    let hint = two.jo.text("id_token").to_owned();
    let hinted = ("id_token_hint", hint.as_str());
    assert_eq!(two.silently("spa", &[hinted]).await, jo);
    let wanted = |values: &str| format!("{{\"id_token\":{{\"sub\":{{{values}}}}}}}");
    let one = wanted(&format!("\"value\":\"{jo}\""));
    assert_eq!(two.silently("web", &[("claims", one.as_str())]).await, jo);
    let both = wanted(&format!("\"values\":[\"{jo}\",\"{cam}\"]"));
    assert_eq!(two.silently("web", &[("claims", both.as_str())]).await, cam);
    let nobody = wanted("\"value\":\"nobody\"");
    let refused = two.silently("web", &[("claims", nobody.as_str())]).await;
    assert_eq!(refused, "login_required");
    for name in [JO_SMITH.username, "jsmith", JO_SMITH.email] {
        let url = two.server.authorize_url("web", &[("login_hint", name)]);
        let page = two.browser.open(url).await;
        assert_eq!(claim(&tokens(&two.server, "web", &page).await, "sub"), jo);
    }
    // After a logout the person chooses, and no app does for them.
    let mut left = Two::start().await;
    let hint_of_cam = left.cam.text("id_token").to_owned();
    left.log_out(&[("id_token_hint", hint_of_cam.as_str())])
        .await;
    let url = left
        .server
        .authorize_url("web", &[("login_hint", JO_SMITH.username)]);
    let page = left.browser.open(url).await;
    assert_eq!(page.values(CHOICES), [left.ids().0]);
    // Where nothing is shown, no app learns by a name who else is signed in here.
    for name in [JO_SMITH.username, "who"] {
        assert_eq!(two.silently("web", &[("login_hint", name)]).await, cam);
    }
    let two_hints = [hinted, ("login_hint", CHAIR.username)];
    assert_eq!(two.silently("spa", &two_hints).await, jo);
    let somebody = two.server.tokens("spa", "openid").await;
    let elsewhere = {
        let url = two.server.authorize_url("spa", &[]);
        let page = Browser::new().log_in_as(url, ZOE).await;
        tokens(&two.server, "spa", &page).await
    };
    // The same person in another browser is the same person; somebody else is nobody here.
    let same = [("id_token_hint", somebody.text("id_token"))];
    assert_eq!(two.silently("spa", &same).await, jo);
    let other = [("id_token_hint", elsewhere.text("id_token"))];
    assert_eq!(two.silently("spa", &other).await, "login_required");
    let page = two
        .browser
        .open(two.server.authorize_url("spa", &other))
        .await;
    assert!(page.is_login() && page.values(CHOICES).is_empty());
    assert_eq!(two.silently("web", &[]).await, cam);
}

/// T24, T28: a new login of one account gives that session a new secret, and leaves the other where it is.
#[tokio::test]
async fn a_new_login_is_the_named_accounts_own() {
    let mut two = Two::start().await;
    let ((jo_sid, cam_sid), (jo, _)) = (two.ids(), two.subjects());
    let old = two.browser.cookie(&two.server, &beside(&jo_sid)).unwrap();
    let old = old.value.clone();
    let hint = two.jo.text("id_token").to_owned();
    let changes = [("id_token_hint", hint.as_str()), ("prompt", "login")];
    let url = two.server.authorize_url("spa", &changes);
    let page = two.browser.open(&url).await;
    assert!(page.body.contains("Sign in again as Jo Smith."));
    // Choosing is no login.
    let flow = page.flow();
    let token = page.attribute("input[name=form_token]", "value").unwrap();
    let fields = [
        ("flow", flow.as_str()),
        ("form_token", token.as_str()),
        ("action", "continue"),
        ("session", jo_sid.as_str()),
    ];
    let again = two.browser.post(two.server.url("/login"), &fields).await;
    assert!(two.browser.follow(again).await.is_login());
    let page = two.browser.open(&url).await;
    let wrong = two.browser.sign_in_as(&page, CHAIR).await;
    assert_eq!(wrong.answer()["error"], "login_required");
    let page = two.browser.open(&url).await;
    let page = two.browser.sign_in_as(&page, JO_SMITH).await;
    let answer = tokens(&two.server, "spa", &page).await;
    assert_eq!(claim(&answer, "sid"), jo_sid);
    assert_eq!(kept(&two.browser), [cam_sid.as_str()]);
    assert_ne!(two.browser.session(&two.server).unwrap(), old);
    let mut thief = Browser::new();
    thief.set_cookie(HOST, SESSION, &old);
    let stale = silently(&two.server, &mut thief, "web", &[]).await;
    assert_eq!(stale, "login_required");
    assert_eq!(two.silently("web", &[]).await, jo);
}

/// RP-Initiated Logout section 2: by its own ID token, wherever it is among the browser's. Whoever is left has to be chosen.
#[tokio::test]
async fn a_logout_ends_the_session_of_its_hint_and_nobody_takes_its_place() {
    for ends_the_current_one in [true, false] {
        let mut two = Two::start().await;
        let (ends, stays) = if ends_the_current_one {
            (two.cam.clone(), two.jo.clone())
        } else {
            (two.jo.clone(), two.cam.clone())
        };
        let hint = [("id_token_hint", ends.text("id_token"))];
        let page = two.log_out(&hint).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("You are signed out"), "{}", page.body);
        assert_eq!(two.browser.session(&two.server), None);
        assert_eq!(kept(&two.browser), [claim(&stays, "sid")]);
        let gone = two.server.refresh("spa", ends.text("refresh_token")).await;
        gone.assert_error(400, "invalid_grant");
        let lives = two.server.refresh("spa", stays.text("refresh_token"));
        assert_eq!(lives.await.status, 200);
        let silent = two.silently("spa", &[]).await;
        assert_eq!(silent, "account_selection_required");
        let page = two.browser.open(two.server.authorize_url("spa", &[])).await;
        assert!(page.is_login(), "nobody comes in by themselves");
        assert_eq!(page.values(CHOICES), [claim(&stays, "sid")]);
        // An app that names who is left still has them.
        let hint = [("id_token_hint", stays.text("id_token"))];
        assert_eq!(two.silently("spa", &hint).await, claim(&stays, "sub"));
        let chosen = choose(&mut two.browser, &page, &claim(&stays, "sid")).await;
        assert!(chosen.answer().contains_key("code"));
        assert_eq!(two.silently("web", &[]).await, claim(&stays, "sub"));
        assert!(kept(&two.browser).is_empty());
    }
}

/// The person is asked about the current one, and is offered all.
#[tokio::test]
async fn without_a_hint_the_current_one_is_asked_about_or_all() {
    for all in [false, true] {
        let mut two = Two::start().await;
        let page = two.log_out(&[]).await;
        for text in ["You are signed in as Cam Chair.", "Jo Smith · JSMITH · "] {
            assert!(page.body.contains(text), "{text}: {}", page.body);
        }
        let action: &[(&str, &str)] = if all { &[("action", "all")] } else { &[] };
        let forged = [action, &[("form_token", "forged")]].concat();
        let refused = two.browser.submit(&page, "form", &forged).await;
        assert_eq!(refused.status, 400);
        let elsewhere = [action, &[("session", "another")]].concat();
        two.browser.submit(&page, "form", &elsewhere).await;
        assert_eq!(two.silently("web", &[]).await, two.subjects().1);
        let done = two.browser.submit(&page, "form", action).await;
        assert!(done.body.contains("You are signed out"), "{}", done.body);
        assert_eq!(two.browser.session(&two.server), None);
        let jo = two.server.refresh("spa", two.jo.text("refresh_token"));
        assert_eq!(jo.await.status, if all { 400 } else { 200 });
        let cam = two.server.refresh("spa", two.cam.text("refresh_token"));
        cam.await.assert_error(400, "invalid_grant");
        assert_eq!(kept(&two.browser).len(), usize::from(!all));
        let silent = two.silently("web", &[]).await;
        let left = if all {
            "login_required"
        } else {
            "account_selection_required"
        };
        assert_eq!(silent, left);
        // Who is left beside nobody can sign out, too.
        if !all {
            let page = two.log_out(&[]).await;
            assert!(page.body.contains("You are signed in as Jo Smith."));
            two.browser.submit(&page, "form", &[]).await;
            assert!(kept(&two.browser).is_empty());
            assert_eq!(two.silently("web", &[]).await, "login_required");
        }
    }
}

/// Front-Channel Logout section 2: the apps of every session that ended, and of no other.
#[tokio::test]
async fn the_apps_of_every_ended_session_are_loaded() {
    const FRAMED: &str = r#"
[[clients]]
client_id = "framed"
token_endpoint_auth_method = "none"
redirect_uris = ["https://framed.example.org/callback"]
scope = "openid"
frontchannel_logout_uri = "https://framed.example.org/out"
"#;
    let server = TestServer::start_with(|setup| setup.clients += FRAMED).await;
    let mut two = Two::at(server).await;
    let (jo_sid, cam_sid) = two.ids();
    let url = two.server.authorize_url("framed", &[SELECT]);
    for id in [&jo_sid, &cam_sid] {
        let page = two.browser.open(&url).await;
        let page = choose(&mut two.browser, &page, id).await;
        assert!(page.answer().contains_key("code"));
    }
    let page = two.log_out(&[]).await;
    let done = two
        .browser
        .submit(&page, "form", &[("action", "all")])
        .await;
    for id in [&jo_sid, &cam_sid] {
        assert!(done.body.contains(&format!("sid={id}")), "{}", done.body);
    }
}

/// T48: no more than five; the one that was used the longest ago makes room.
#[tokio::test]
async fn a_sixth_account_takes_the_place_of_the_one_used_longest_ago() {
    let mut two = Two::start().await;
    for person in [LAPSED, MONO, ZOE] {
        two.server.clock.advance(120);
        add(&two.server, &mut two.browser, person).await;
    }
    assert_eq!(kept(&two.browser).len(), 4);
    // Jo is the oldest, and was used just now.
    let hint = two.jo.text("id_token").to_owned();
    let hinted = [("id_token_hint", hint.as_str())];
    assert_eq!(two.silently("spa", &hinted).await, two.subjects().0);
    two.server.clock.advance(120);
    let page = two
        .browser
        .open(two.server.authorize_url("spa", &[SELECT]))
        .await;
    assert_eq!(page.values(CHOICES).len(), 5);
    let ann = (people::ANN_LEE.code, people::ANN_LEE.password);
    let page = two.browser.sign_in(&page, "staff", ann).await;
    assert!(page.answer().contains_key("code"), "{}", page.body);
    let (jo_sid, cam_sid) = two.ids();
    let kept = kept(&two.browser);
    assert_eq!(kept.len(), 4);
    assert!(kept.contains(&jo_sid) && !kept.contains(&cam_sid));
    let gone = two.server.refresh("spa", two.cam.text("refresh_token"));
    gone.await.assert_error(400, "invalid_grant");
}

/// T48: what is no session is dropped without a word, some at a time; a name says nothing about whose session it is.
#[tokio::test]
async fn cookies_that_lead_nowhere_are_few_and_go() {
    let mut two = Two::start().await;
    let (jo_sid, cam_sid) = two.ids();
    let secret = two.browser.cookie(&two.server, &beside(&jo_sid)).unwrap();
    let secret = secret.value.clone();
    // The secret of one under the name of another.
    two.browser.forget(&beside(&jo_sid));
    two.browser.set_cookie(HOST, &beside("another"), &secret);
    let url = two.server.authorize_url("spa", &[SELECT]);
    let page = two.browser.open(&url).await;
    assert_eq!(page.values(CHOICES), [cam_sid.as_str()]);
    assert!(kept(&two.browser).is_empty());
    // That of the current one again.
    let current = two.browser.session(&two.server).unwrap();
    two.browser.set_cookie(HOST, &beside(&cam_sid), &current);
    let page = two.browser.open(&url).await;
    assert_eq!(page.values(CHOICES), [cam_sid.as_str()]);
    // After junk it takes its turn.
    for number in 0..30 {
        // First in the browser's order.
        let name = beside(&format!("{}{number:02}", "-".repeat(20)));
        two.browser.set_cookie(HOST, &name, "made-up");
    }
    two.browser.set_cookie(HOST, &beside(&jo_sid), &secret);
    for left in [21, 11, 1] {
        two.browser.get(two.server.url("/account")).await;
        assert_eq!(kept(&two.browser).len(), left);
    }
    let page = two.browser.open(&url).await;
    assert_eq!(page.values(CHOICES).len(), 2);
    // One that has ended meanwhile, and one that nobody used for too long.
    let hint = two.jo.text("id_token").to_owned();
    let mut elsewhere = Browser::new();
    elsewhere.set_cookie(HOST, SESSION, &secret);
    let mut ended = url::Url::parse(&two.server.url("/end_session")).unwrap();
    ended.query_pairs_mut().append_pair("id_token_hint", &hint);
    elsewhere.get(ended).await;
    let page = two.browser.open(&url).await;
    assert_eq!(page.values(CHOICES), [cam_sid.as_str()]);
    assert!(kept(&two.browser).is_empty());
}

/// T22: an account that waits does not last longer because another is in use.
#[tokio::test]
async fn each_session_has_its_own_idle_time() {
    let server = TestServer::start_with(|setup| {
        setup.sections += "[lifetimes]\nsession_idle = \"1h\"\n";
    })
    .await;
    let mut two = Two::at(server).await;
    let (_, cam) = two.subjects();
    for _ in 0..3 {
        two.server.clock.advance(1500);
        assert_eq!(two.silently("web", &[]).await, cam);
    }
    let url = two.server.authorize_url("spa", &[SELECT]);
    let page = two.browser.open(&url).await;
    assert_eq!(page.values(CHOICES), [two.ids().1]);
    // By the clock alone, which may be wrong: a cookie that is taken away does not come back.
    assert_eq!(kept(&two.browser), [two.ids().0]);
    two.server.clock.advance(-3600);
    let page = two.browser.open(&url).await;
    assert_eq!(page.values(CHOICES).len(), 2);
}

/// T48: what was not used for too long is no junk to be dropped at once, and does not hide those who are signed in either.
#[tokio::test]
async fn cookies_of_sessions_that_were_not_used_for_too_long_are_few() {
    let server = TestServer::start_with(|setup| {
        setup.sections += "[lifetimes]\nsession_idle = \"1h\"\n";
    })
    .await;
    let mut lapsed = Vec::new();
    let mut browser = Browser::new();
    for _ in 0..7 {
        let (other, tokens) = jo_alone(&server).await;
        let id = claim(&tokens, "sid");
        browser.set_cookie(HOST, &beside(&id), &other.session(&server).unwrap());
        lapsed.push(id);
        server.clock.advance(1);
    }
    server.clock.advance(3600);
    let page = browser
        .log_in_as(server.authorize_url("spa", &[]), CHAIR)
        .await;
    let cam = tokens(&server, "spa", &page).await;
    add(&server, &mut browser, ZOE).await;
    // Of the lapsed ones the five that were used last; and whoever is signed in.
    let mut expected = lapsed.split_off(2);
    expected.push(claim(&cam, "sid"));
    expected.sort();
    let mut left = kept(&browser);
    left.sort();
    assert_eq!(left, expected);
    let url = server.authorize_url("spa", &[SELECT]);
    let page = browser.open(&url).await;
    assert_eq!(page.values(CHOICES).len(), 2);
}

/// T54: each cookie lasts as its own person asked.
#[tokio::test]
async fn who_is_kept_signed_in_is_so_beside_others() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let page = browser.choose(&page, "members").await;
    let fields = [
        ("username", JO_SMITH.username),
        ("password", JO_SMITH.password),
        ("keep_signed_in", "yes"),
    ];
    let page = browser.submit(&page, PASSWORD_FORM, &fields).await;
    let jo = tokens(&server, "spa", &page).await;
    server.clock.advance(1000);
    let page = browser.open(server.authorize_url("spa", &[SELECT])).await;
    let page = browser.choose(&page, "members").await;
    let fields = [("username", CHAIR.username), ("password", CHAIR.password)];
    let (_, form) = page.form(PASSWORD_FORM);
    let mut fields: Vec<(&str, &str)> = fields.to_vec();
    // The box is as Jo left it; Cam takes the tick away.
    for (name, value) in &form {
        if ["flow", "form_token", "upstream"].contains(&name.as_str()) {
            fields.push((name, value));
        }
    }
    let answer = browser.post(server.url("/login"), &fields).await;
    browser.follow(answer).await;
    let attributes = |name: &str| browser.cookie(&server, name).unwrap().attributes.clone();
    assert!(!attributes(SESSION).contains("Max-Age"));
    let left = format!("Max-Age={}", 90 * 24 * 3600 - 1000);
    let kept = attributes(&beside(&claim(&jo, "sid")));
    assert!(kept.contains(&left), "{kept}");
}

/// The account page shows the current one, switches, adds, and ends what is its own.
#[tokio::test]
async fn the_account_page_switches_between_accounts_and_adds_one() {
    let mut two = Two::start().await;
    let (jo_sid, cam_sid) = two.ids();
    let account = two.server.url("/account");
    let page = two.browser.open(&account).await;
    assert!(page.body.contains("You are signed in as Cam Chair."));
    assert!(page.body.contains("Switch to Jo Smith"), "{}", page.body);
    let switch = "form:has(button[value=switch])";
    let fields = [("action", "switch"), ("form_token", "forged")];
    let forged = two.browser.submit(&page, switch, &fields).await;
    assert_eq!(forged.status, 400);
    let stale = page;
    let fields = [("action", "switch")];
    let page = two.browser.submit(&stale, switch, &fields).await;
    assert!(page.body.contains("You are signed in as Jo Smith."));
    assert!(page.body.contains("Switch to Cam Chair"), "{}", page.body);
    assert_eq!(kept(&two.browser), [cam_sid.as_str()]);
    // A page that is still about the other one changes nothing of this one's (T14).
    let all = "form:has(button[value=end_all])";
    let late = two
        .browser
        .submit(&stale, all, &[("action", "end_all")])
        .await;
    assert_eq!(late.status, 400);
    let add = "form:has(button[value=add])";
    let choice = two.browser.submit(&page, add, &[("action", "add")]).await;
    assert_eq!(choice.values(CHOICES), [jo_sid.as_str(), cam_sid.as_str()]);
    let added = two.browser.sign_in_as(&choice, LAPSED).await;
    assert_eq!(added.url.path(), "/account");
    assert!(added.body.contains("You are signed in as Lara Lapse."));
    assert_eq!(kept(&two.browser).len(), 2);
    let end = "form:has(button[value=end_session])";
    let done = two
        .browser
        .submit(&added, end, &[("action", "end_session")])
        .await;
    assert!(done.body.contains("You are signed out"), "{}", done.body);
    let mut left = kept(&two.browser);
    left.sort();
    let mut expected = vec![jo_sid.clone(), cam_sid];
    expected.sort();
    assert_eq!(left, expected);
    let choice = two.browser.open(&account).await;
    assert!(choice.is_login());
    let page = choose(&mut two.browser, &choice, &jo_sid).await;
    assert_eq!(page.url.path(), "/account");
    assert!(page.body.contains("You are signed in as Jo Smith."));
}

/// An app whose people log in elsewhere: who could use it is offered and not taken; another login adds one.
#[tokio::test]
async fn an_app_that_the_current_account_cannot_use_offers_those_that_can() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("staff-app", &[]);
    let page = browser.open(&url).await;
    let ann = (people::ANN_LEE.code, people::ANN_LEE.password);
    let page = browser.sign_in(&page, "staff", ann).await;
    let staff = tokens(&server, "staff-app", &page).await;
    add(&server, &mut browser, JO_SMITH).await;
    let silent = silently(&server, &mut browser, "staff-app", &[]).await;
    assert_eq!(silent, "account_selection_required");
    let page = browser.open(&url).await;
    assert_eq!(page.values(CHOICES), [claim(&staff, "sid")]);
    let page = choose(&mut browser, &page, &claim(&staff, "sid")).await;
    assert!(page.answer().contains_key("code"));
}

/// RFC 8628 section 3.3: after a logout a device's code is for whom the person chooses.
#[tokio::test]
async fn a_device_gets_the_account_that_is_chosen() {
    let server = TestServer::start_with(crate::device::devices).await;
    let mut two = Two::at(server).await;
    let (jo_sid, _) = two.ids();
    let hint = two.cam.text("id_token").to_owned();
    two.log_out(&[("id_token_hint", hint.as_str())]).await;
    let begun = crate::device::begin(&two.server, "tv", "openid").await;
    let page = two.browser.open(two.server.url("/device")).await;
    let code = [("user_code", begun.text("user_code"))];
    let page = two
        .browser
        .submit(&page, "form[action='/device']", &code)
        .await;
    assert_eq!(page.values(CHOICES), [jo_sid.as_str()]);
    let page = choose(&mut two.browser, &page, &jo_sid).await;
    assert_eq!(page.url.path(), "/device/confirm", "{}", page.body);
    assert!(page.body.contains("You are signed in as Jo Smith."));
}

/// The upstream says that somebody has signed out there, and not who: every session of this browser that began there ends.
#[tokio::test]
async fn a_sign_out_at_the_upstream_ends_what_began_there() {
    let mut two = Two::start().await;
    let page = two
        .browser
        .open(two.server.authorize_url("spa", &[SELECT]))
        .await;
    let ann = (people::ANN_LEE.code, people::ANN_LEE.password);
    let page = two.browser.sign_in(&page, "staff", ann).await;
    let ann = tokens(&two.server, "spa", &page).await;
    let fetched = two.server.url("/upstream/members/signed_out");
    let headers = [("sec-fetch-dest", "image"), ("sec-fetch-site", "same-site")];
    two.browser.headers = headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    two.browser.is_lured_to(two.server.imis_url());
    assert_eq!(two.browser.click(&fetched).await.status, 204);
    two.browser.headers.clear();
    assert_eq!(kept(&two.browser), [claim(&ann, "sid")]);
    for (tokens, status) in [(&two.jo, 400), (&two.cam, 400), (&ann, 200)] {
        let answer = two
            .server
            .refresh("spa", tokens.text("refresh_token"))
            .await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

/// T27: what the account page began for one account stays for that one, whatever another tab makes of it meanwhile.
#[tokio::test]
async fn a_login_is_linked_to_the_account_that_it_was_begun_for() {
    let mut two = Two::start().await;
    let account = two.server.url("/account");
    two.server.clock.advance(600);
    let page = two.browser.open(&account).await;
    let link = "form:has(button[value=link])";
    let asked = two.browser.submit(&page, link, &[("action", "link")]).await;
    assert!(asked.body.contains("Sign in again as Cam Chair."));
    let switch = "form:has(button[value=switch])";
    let page = two
        .browser
        .submit(&page, switch, &[("action", "switch")])
        .await;
    assert!(page.body.contains("You are signed in as Jo Smith."));
    let resume = format!("/authorize/resume?flow={}", asked.flow());
    let asked = two.browser.open(two.server.url(&resume)).await;
    assert!(asked.body.contains("Sign in again as Cam Chair."));
    let other = two.browser.sign_in_as(&asked, CHAIR).await;
    let title = other.text("h1").unwrap();
    assert!(title.starts_with("Now sign in with the login"), "{title}");
    let ann = (people::ANN_LEE.code, people::ANN_LEE.password);
    let confirm = two.browser.sign_in(&other, "staff", ann).await;
    assert!(confirm.body.contains("You are signed in as Cam Chair."));
    assert_eq!(kept(&two.browser), [two.ids().0]);
}

/// T25: who comes from the upstream's site as an account that waits here is asked, as anybody else; a yes makes it the current one,
/// by a new secret, and takes nothing from the other.
#[tokio::test]
async fn who_arrives_from_the_upstreams_site_takes_up_their_own_session() {
    let mut two = Two::start().await;
    let (jo_sid, cam_sid) = two.ids();
    at_imis(&two.server, &mut two.browser, JO_SMITH).await;
    let page = from_imis(&two.server, &mut two.browser, "Events").await;
    assert!(page.body.contains("Continue as Jo Smith"), "{}", page.body);
    assert_eq!(two.silently("web", &[]).await, two.subjects().1);
    two.browser.submit(&page, CONTINUE, &[]).await;
    assert_eq!(two.silently("web", &[]).await, two.subjects().0);
    assert_eq!(kept(&two.browser), [cam_sid]);
    let page = two.browser.get(two.server.authorize_url("web", &[])).await;
    let answer = tokens(&two.server, "web", &page).await;
    assert_eq!(claim(&answer, "sid"), jo_sid);
}

/// An app whose people log in elsewhere shows its login page: who is signed in here is named, and loses nothing by a login that could
/// not have been theirs. The same where a request names somebody who is not here.
#[tokio::test]
async fn a_login_that_could_not_be_the_current_accounts_is_added() {
    for named in [false, true] {
        let server = TestServer::start().await;
        let (mut browser, jo) = jo_alone(&server).await;
        let page = if named {
            let url = server.authorize_url("spa", &[]);
            let elsewhere = Browser::new().log_in_as(url, CHAIR).await;
            let cam = tokens(&server, "spa", &elsewhere).await;
            let hint = [("id_token_hint", cam.text("id_token"))];
            browser.open(server.authorize_url("spa", &hint)).await
        } else {
            browser.open(server.authorize_url("staff-app", &[])).await
        };
        let shown = page.text("ul[aria-labelledby=left]").unwrap();
        assert!(shown.contains("Jo Smith"), "{shown}");
        assert!(page.attribute("a[href='/end_session']", "href").is_some());
        let page = if named {
            browser.sign_in_as(&page, CHAIR).await
        } else {
            let ann = (ANN_LEE.code, ANN_LEE.password);
            browser.sign_in(&page, "staff", ann).await
        };
        assert!(page.answer().contains_key("code"));
        assert_eq!(kept(&browser), [claim(&jo, "sid")], "{named}");
        let answer = server.refresh("spa", jo.text("refresh_token")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// Whoever is told that they are signed out is told who is not.
#[tokio::test]
async fn a_page_that_says_signed_out_names_who_is_signed_in_still() {
    let mut two = Two::start().await;
    let hint = two.cam.text("id_token").to_owned();
    let out = two.log_out(&[("id_token_hint", hint.as_str())]).await;
    let names_jo = |out: &Page| {
        assert!(out.body.contains("You are signed out"), "{}", out.body);
        let still = out.text("ul[aria-labelledby=still]").unwrap();
        assert!(still.contains("Jo Smith"), "{still}");
        assert!(
            out.attribute("main a[href='/end_session']", "href")
                .is_some()
        );
        assert!(!out.body.contains("You can close this page"));
    };
    names_jo(&out);
    // Back from somewhere: the same.
    let out = two
        .browser
        .open(two.server.url("/end_session/returned"))
        .await;
    names_jo(&out);
    // On the account page, of the one account everywhere.
    let mut two = Two::start().await;
    let page = two.browser.open(two.server.url("/account")).await;
    let form = "form:has(button[value=end_all])";
    let fields = [("action", "end_all")];
    let out = two.browser.submit(&page, form, &fields).await;
    names_jo(&out);
    // And nobody, where nobody is left.
    let asked = two.browser.open(two.server.url("/end_session")).await;
    let out = two.browser.submit(&asked, "main form", &[]).await;
    assert!(out.body.contains("You can close this page"));
    assert_eq!(out.text("ul[aria-labelledby=still]"), None);
}

/// The account that the question was about has left in another tab: whoever is left is asked about, and not told that they are out.
#[tokio::test]
async fn all_of_them_are_asked_about_anew_where_one_has_left_meanwhile() {
    let mut two = Two::start().await;
    let asked = two.log_out(&[]).await;
    let hint = two.cam.text("id_token").to_owned();
    two.log_out(&[("id_token_hint", hint.as_str())]).await;
    let all = [("action", "all")];
    let again = two.browser.submit(&asked, "main form", &all).await;
    assert!(!again.body.contains("You are signed out"), "{}", again.body);
    assert_eq!(again.values(CHOICES), [two.ids().0]);
    let refreshed = two.server.refresh("spa", two.jo.text("refresh_token"));
    assert_eq!(refreshed.await.status, 200);
    let out = two.browser.submit(&again, "main form", &all).await;
    assert!(out.body.contains("You are signed out"), "{}", out.body);
    let refused = two.server.refresh("spa", two.jo.text("refresh_token"));
    refused.await.assert_error(400, "invalid_grant");
}

/// A second click on the same button asks about nobody else, and the app that waits has the browser.
#[tokio::test]
async fn a_double_click_signs_out_one_and_goes_on_to_the_app() {
    let mut two = Two::start().await;
    let back = [
        ("client_id", "spa"),
        ("post_logout_redirect_uri", "https://spa.example.org/"),
    ];
    let asked = two.log_out(&back).await;
    let first = two.browser.submit_only(&asked, "main form", &[]).await;
    let second = two.browser.submit_only(&asked, "main form", &[]).await;
    for answer in [&first, &second] {
        assert_eq!(answer.status, 303, "{}", answer.body);
        assert_eq!(answer.header("location"), back[1].1);
    }
    let jo = two.server.refresh("spa", two.jo.text("refresh_token"));
    assert_eq!(jo.await.status, 200);
}

/// The same where the second click left before the first was answered: whoever was current all along has not come since.
#[tokio::test]
async fn a_second_click_asks_nothing_of_who_was_there_all_along() {
    let mut two = Two::start().await;
    two.server.clock.advance(2);
    let app = [
        ("client_id", "spa"),
        ("post_logout_redirect_uri", "https://spa.example.org/"),
        ("logout_hint", JO_SMITH.username),
    ];
    let asked = two.log_out(&app).await;
    assert_eq!(asked.values(CHOICES), [two.ids().0]);
    let mut again = two.browser.clone();
    for browser in [&mut two.browser, &mut again] {
        let answer = browser.submit_only(&asked, "main form", &[]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        assert_eq!(answer.header("location"), app[1].1);
    }
    let cam = two.server.refresh("spa", two.cam.text("refresh_token"));
    assert_eq!(cam.await.status, 200);
    let refused = two.server.refresh("spa", two.jo.text("refresh_token"));
    refused.await.assert_error(400, "invalid_grant");
}

/// An app's link that was followed twice: its person has left, and nobody else was meant. Whom the request names is asked about.
#[tokio::test]
async fn an_apps_link_followed_twice_asks_about_nobody_else() {
    let mut two = Two::start().await;
    let hint = two.cam.text("id_token").to_owned();
    let hint = ("id_token_hint", hint.as_str());
    let back = ("post_logout_redirect_uri", "https://spa.example.org/");
    for _ in 0..2 {
        let answer = two.log_out(&[hint, back]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        assert_eq!(answer.header("location"), back.1);
    }
    let out = two.log_out(&[hint]).await;
    let still = out.text("ul[aria-labelledby=still]").unwrap();
    assert!(still.contains("Jo Smith"), "{still}");
    let jo = two.server.refresh("spa", two.jo.text("refresh_token"));
    assert_eq!(jo.await.status, 200);
    let asks_jo = async |two: &mut Two, parameters: &[(&str, &str)]| {
        let asked = two.log_out(parameters).await;
        assert_eq!(asked.values(CHOICES), [two.ids().0], "{}", asked.body);
    };
    asks_jo(&mut two, &[hint, ("logout_hint", JO_SMITH.username)]).await;
    asks_jo(&mut two, &[]).await;
    // One that goes on in another browser.
    let zoe = Browser::new()
        .log_in_as(two.server.authorize_url("spa", &[]), ZOE)
        .await;
    let zoe = tokens(&two.server, "spa", &zoe).await;
    asks_jo(&mut two, &[("id_token_hint", zoe.text("id_token"))]).await;
    // Its person is here again, and nobody is the current one.
    let cam = add(&two.server, &mut two.browser, CHAIR).await;
    let jo = two.jo.text("id_token").to_owned();
    two.log_out(&[("id_token_hint", jo.as_str())]).await;
    let asked = two.log_out(&[hint, back]).await;
    assert_eq!(asked.values(CHOICES), [claim(&cam, "sid")]);
    // And where somebody is current, they are asked about, as ever.
    two.browser
        .open(two.server.authorize_url("spa", &[SELECT]))
        .await;
    let zoe = add(&two.server, &mut two.browser, ZOE).await;
    let asked = two.log_out(&[("id_token_hint", jo.as_str())]).await;
    let first = asked.values(CHOICES);
    assert_eq!(first, [claim(&zoe, "sid")], "{}", asked.body);
}

/// What did not come is not taken away: another tab may have got it meanwhile.
#[tokio::test]
async fn a_logout_takes_away_no_cookie_that_did_not_come() {
    let mut two = Two::start().await;
    for (tokens, came) in [(two.cam.clone(), true), (two.jo.clone(), false)] {
        let out = two
            .log_out(&[("id_token_hint", tokens.text("id_token"))])
            .await;
        assert!(out.body.contains("You are signed out"), "{}", out.body);
        let set = out.headers.get_all("set-cookie").iter();
        let current = format!("{SESSION}=");
        let mut set = set.filter_map(|header| header.to_str().ok());
        assert_eq!(set.any(|header| header.starts_with(&current)), came);
    }
}
