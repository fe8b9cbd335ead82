//! A clock that is wrong for a while, ahead by hours, a day or a year, or behind: once it is right again everybody is signed in as
//! they were, whatever they have asked for meanwhile (T21).

use portico::simulator::people::{ANN_LEE, CHAIR, ImisPerson, JO_SMITH, ZOE};

use crate::command_line::audit::audit;
use crate::harness::browser::{Browser, PASSWORD_FORM, Page};
use crate::harness::relying_party::{Answer, claims};
use crate::harness::server::TestServer;
use crate::harness::steps::SESSION;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// A session of a browser's run is idle for too long after twelve hours, every other after thirty days.
const STEPS: [i64; 6] = [3 * HOUR, DAY, 40 * DAY, 400 * DAY, -3 * HOUR, -DAY];
const OFFLINE: &str = "openid offline_access";
const SELECT: (&str, &str) = ("prompt", "select_account");
/// The forms of the accounts on a page that names them.
const CHOICES: &str = "input[name=session]";

/// A server at which one person may have as many logins as are made here.
async fn server() -> TestServer {
    TestServer::start_with(|setup| {
        setup.sections +=
            "[lifetimes]\nsessions_per_person = 100\nfamilies_per_client = 100\nfamilies_per_person = 200\n";
    })
    .await
}

/// A browser, and the newest tokens of the apps that it is signed in to.
struct Person {
    browser: Browser,
    /// Which app, whether with `offline_access`, and its tokens.
    apps: Vec<(&'static str, &'static str, Answer)>,
}

impl Person {
    async fn log_in(server: &TestServer, kept: bool) -> Self {
        let mut browser = Browser::new();
        let page = browser.open(server.authorize_url("spa", &[])).await;
        let page = browser.choose(&page, "members").await;
        let mut fields = vec![
            ("username", JO_SMITH.username),
            ("password", JO_SMITH.password),
        ];
        if kept {
            fields.push(("keep_signed_in", "yes"));
        }
        let page = browser.submit(&page, PASSWORD_FORM, &fields).await;
        assert!(page.answer().contains_key("code"), "{}", page.body);
        let mut apps = Vec::new();
        for (client, scope) in [("spa", "openid"), ("web", OFFLINE)] {
            let url = server.authorize_url(client, &[("scope", scope)]);
            let page = browser.get(url).await;
            let tokens = server.redeem(client, &page.answer()["code"], &[]).await;
            assert_eq!(tokens.status, 200, "{tokens:?}");
            apps.push((client, scope, tokens));
        }
        Self { browser, apps }
    }

    async fn is_signed_in(&mut self, server: &TestServer) -> bool {
        let silent = server.authorize_url("web", &[("prompt", "none")]);
        let page = self.browser.get(silent).await;
        page.answer().contains_key("code")
    }

    /// Everything that they and their apps do by themselves; whether nothing was refused.
    async fn use_everything(&mut self, server: &TestServer) -> bool {
        let mut well = self.is_signed_in(server).await;
        let browser = &mut self.browser;
        browser.open(server.authorize_url("spa", &[])).await;
        browser.open(server.authorize_url("spa", &[SELECT])).await;
        browser.open(server.url("/account")).await;
        for (client, _, tokens) in &mut self.apps {
            server.userinfo(tokens.text("access_token")).await;
            let answer = server.refresh(client, tokens.text("refresh_token")).await;
            if answer.status == 200 {
                *tokens = answer;
            } else {
                answer.assert_error(400, "invalid_grant");
                well = false;
            }
        }
        well
    }

    /// That nobody has signed them out, of the browser or of an app.
    async fn is_as_before(&mut self, server: &TestServer, what: &str) {
        assert!(self.is_signed_in(server).await, "{what}");
        for (client, scope, tokens) in &mut self.apps {
            // Then a lost answer.
            for again in ["", " again"] {
                let spent = tokens.text("refresh_token");
                let answer = server.refresh(client, spent).await;
                assert_eq!(answer.status, 200, "{what}, {scope}{again}: {answer:?}");
                let said = server.userinfo(answer.text("access_token")).await;
                assert_eq!(said.status, 200, "{what}, {scope}{again}: {said:?}");
            }
            *tokens = server.refresh(client, tokens.text("refresh_token")).await;
        }
        assert!(self.use_everything(server).await, "{what}");
    }
}

#[tokio::test]
async fn a_clock_that_is_put_right_finds_everybody_signed_in() {
    let mut server = server().await;
    for step in STEPS {
        let mut people = Vec::new();
        for kept in [false, true] {
            for comes in [false, true] {
                let person = Person::log_in(&server, kept).await;
                people.push((kept, comes, person));
            }
        }
        server.clock.advance(step);
        // As a machine that comes up with a wrong clock.
        server.restart().await;
        for (kept, comes, person) in &mut people {
            if *comes {
                let lasts = if *kept { 30 * DAY } else { 12 * HOUR };
                let well = person.use_everything(&server).await;
                assert_eq!(well, step < lasts, "{step}, kept: {kept}");
            }
        }
        server.clock.advance(-step);
        for (kept, comes, person) in &mut people {
            let what = format!("{step}, kept: {kept}, came meanwhile: {comes}");
            person.is_as_before(&server, &what).await;
        }
        server.restart().await;
        for (kept, comes, person) in &mut people {
            let what = format!("{step}, kept: {kept}, came meanwhile: {comes}, later");
            person.is_as_before(&server, &what).await;
        }
    }
}

/// Who logs in while the clock is wrong stays signed in when it is right; but the time by which it was behind counts as one without
/// use.
#[tokio::test]
async fn who_logs_in_meanwhile_stays_signed_in() {
    let server = server().await;
    for step in STEPS {
        for kept in [false, true] {
            server.clock.advance(step);
            let mut person = Person::log_in(&server, kept).await;
            server.clock.advance(-step);
            if kept || step > -12 * HOUR {
                let what = format!("{step}, kept: {kept}");
                person.is_as_before(&server, &what).await;
            } else {
                assert!(!person.is_signed_in(&server).await, "{step}");
            }
        }
    }
}

/// An account that waits beside the current one, too.
#[tokio::test]
async fn no_account_of_several_is_lost() {
    let server = server().await;
    for step in STEPS {
        let mut person = Person::log_in(&server, false).await;
        let select = server.authorize_url("spa", &[SELECT]);
        let page = person.browser.open(&select).await;
        let page = person.browser.sign_in_as(&page, CHAIR).await;
        assert!(page.answer().contains_key("code"), "{}", page.body);
        server.clock.advance(step);
        person.use_everything(&server).await;
        server.clock.advance(-step);
        let page = person.browser.open(&select).await;
        let choices = page.values("input[name=session]");
        assert_eq!(choices.len(), 2, "{step}: {}", page.body);
    }
}

/// T35: whoever has signed out is not offered by a cookie that a clock put right brings back.
#[tokio::test]
async fn who_signs_out_while_the_clock_is_ahead_is_out_when_it_is_right() {
    let server = server().await;
    let select = server.authorize_url("spa", &[SELECT]);
    let mut browser = Browser::new();
    browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    let page = browser.open(&select).await;
    browser.sign_in_as(&page, CHAIR).await;
    server.clock.advance(DAY);
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let page = browser.sign_in_as(&page, JO_SMITH).await;
    assert!(page.answer().contains_key("code"), "{}", page.body);
    let page = browser.open(server.url("/end_session")).await;
    let page = browser.submit(&page, "main form", &[]).await;
    assert!(page.body.contains("You are signed out"), "{}", page.body);
    server.clock.advance(-DAY);
    // Who did not sign out is there, and nobody takes them unasked (T21).
    let page = browser.open(&select).await;
    assert_eq!(page.values(CHOICES).len(), 1, "{}", page.body);
    assert!(page.body.contains("Cam Chair"), "{}", page.body);
    assert!(!page.body.contains("Jo Smith"), "{}", page.body);
    assert_eq!(
        silently(&server, &mut browser).await,
        "account_selection_required"
    );
}

/// What `spa` gets of whoever has logged in on the way to this page.
async fn redeem(server: &TestServer, page: &Page) -> Answer {
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    tokens
}

pub(crate) async fn log_in(
    server: &TestServer,
    browser: &mut Browser,
    person: ImisPerson,
) -> Answer {
    let url = server.authorize_url("spa", &[("prompt", "login")]);
    let page = browser.open(url).await;
    let page = browser.sign_in_as(&page, person).await;
    redeem(server, &page).await
}

/// Logs somebody in beside whoever is there.
pub(crate) async fn add(server: &TestServer, browser: &mut Browser, person: ImisPerson) -> Answer {
    let page = browser.open(server.authorize_url("spa", &[SELECT])).await;
    let page = browser.sign_in_as(&page, person).await;
    redeem(server, &page).await
}

pub(crate) fn sid(tokens: &Answer) -> String {
    let told: serde_json::Value = claims(tokens.text("id_token"));
    told["sid"].as_str().unwrap().to_owned()
}

/// What an app that asks without a page gets: the session, or the error.
pub(crate) async fn silently(server: &TestServer, browser: &mut Browser) -> String {
    let url = server.authorize_url("spa", &[("prompt", "none")]);
    let page = browser.get(url).await;
    match page.answer().remove("error") {
        Some(error) => error,
        None => sid(&redeem(server, &page).await),
    }
}

/// The accounts that the login page offers.
async fn offered(server: &TestServer, browser: &mut Browser) -> Vec<String> {
    let page = browser.open(server.authorize_url("spa", &[SELECT])).await;
    let mut offered = page.values(CHOICES);
    offered.sort();
    offered
}

fn sorted<const N: usize>(mut ids: [String; N]) -> [String; N] {
    ids.sort();
    ids
}

/// Whether the app that has these tokens goes on.
pub(crate) async fn goes_on(server: &TestServer, tokens: &Answer) -> bool {
    let answer = server.refresh("spa", tokens.text("refresh_token")).await;
    if answer.status != 200 {
        answer.assert_error(400, "invalid_grant");
    }
    answer.status == 200
}

/// A session alone was used so much later, or earlier, than it says: the clock stepped for it, and for nobody else.
pub(crate) async fn was_used(server: &TestServer, tokens: &Answer, seconds: i64) {
    let pool = server.database.pool().await;
    sqlx::query("UPDATE session SET last_seen_at = last_seen_at + $2 WHERE id = $1")
        .bind(sid(tokens))
        .bind(seconds)
        .execute(&pool)
        .await
        .unwrap();
}

/// T35: the question was open when the session lapsed by the clock; the answer ends it all the same, and nobody else's.
#[tokio::test]
async fn a_sign_out_ends_what_the_clock_says_is_over() {
    let server = server().await;
    for all in [false, true] {
        let mut browser = Browser::new();
        let cam = log_in(&server, &mut browser, CHAIR).await;
        let zoe = add(&server, &mut browser, ZOE).await;
        let jo = add(&server, &mut browser, JO_SMITH).await;
        let asked = browser.open(server.url("/end_session")).await;
        assert_eq!(asked.values(CHOICES), [sid(&jo)]);
        for lapsed in [&jo, &zoe] {
            was_used(&server, lapsed, -DAY).await;
        }
        let action = [("action", "all")];
        let action = if all { &action[..] } else { &[] };
        // As anywhere, only a page of ours may.
        let mut forged = vec![("form_token", "forged")];
        forged.extend(action);
        let refused = browser.submit(&asked, "main form", &forged).await;
        assert_eq!(refused.status, 400);
        let out = browser.submit(&asked, "main form", action).await;
        assert!(out.body.contains("You are signed out"), "{}", out.body);
        for lapsed in [&jo, &zoe] {
            was_used(&server, lapsed, DAY).await;
        }
        assert!(!goes_on(&server, &jo).await);
        let left = silently(&server, &mut browser).await;
        if all {
            assert_eq!(left, "login_required");
        } else {
            assert_eq!(left, "account_selection_required");
            let stay = sorted([sid(&cam), sid(&zoe)]);
            assert_eq!(offered(&server, &mut browser).await, stay);
        }
        for stays in [&cam, &zoe] {
            assert_eq!(goes_on(&server, stays).await, !all);
        }
    }
}

/// T35: the same by the session's own ID token, of the current account or of one beside it, and not by what is fetched ahead.
#[tokio::test]
async fn an_apps_logout_ends_what_the_clock_says_is_over() {
    let server = server().await;
    for is_current in [false, true] {
        let mut browser = Browser::new();
        let cam = log_in(&server, &mut browser, CHAIR).await;
        let jo = add(&server, &mut browser, JO_SMITH).await;
        let (ends, stays) = if is_current { (&jo, &cam) } else { (&cam, &jo) };
        was_used(&server, ends, -DAY).await;
        let url = format!(
            "{}?id_token_hint={}",
            server.url("/end_session"),
            ends.text("id_token")
        );
        browser.headers = vec![("sec-purpose".to_owned(), "prefetch".to_owned())];
        assert_eq!(browser.get(&url).await.status, 503);
        browser.headers.clear();
        let out = browser.get(&url).await;
        assert!(out.body.contains("You are signed out"), "{}", out.body);
        was_used(&server, ends, DAY).await;
        assert!(!goes_on(&server, ends).await, "{is_current}");
        // Whoever was current beside it has nothing to do with it.
        let left = silently(&server, &mut browser).await;
        if is_current {
            assert_eq!(left, "account_selection_required");
        } else {
            assert_eq!(left, sid(stays));
            assert!(!out.header("set-cookie").starts_with(&format!("{SESSION}=")));
        }
        assert_eq!(offered(&server, &mut browser).await, [sid(stays)]);
        assert!(goes_on(&server, stays).await, "{is_current}");
    }
}

/// T35: and by the upstream's own sign-out.
#[tokio::test]
async fn a_sign_out_at_the_upstream_ends_what_the_clock_says_is_over() {
    let server = server().await;
    let mut browser = Browser::new();
    let cam = log_in(&server, &mut browser, CHAIR).await;
    let jo = add(&server, &mut browser, JO_SMITH).await;
    was_used(&server, &cam, -DAY).await;
    browser.headers = [("sec-fetch-dest", "empty"), ("sec-fetch-site", "same-site")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    browser.is_lured_to(server.imis_url());
    let told = server.url("/upstream/members/signed_out");
    assert_eq!(browser.click(told).await.status, 204);
    browser.headers.clear();
    was_used(&server, &cam, DAY).await;
    for ended in [&cam, &jo] {
        assert!(!goes_on(&server, ended).await);
    }
    assert_eq!(silently(&server, &mut browser).await, "login_required");
}

/// T35: whoever logs in anew has one session, and what they sign out of is all that they had here; what was over is not revived (T21).
#[tokio::test]
async fn a_login_ends_the_session_that_the_clock_says_is_over() {
    let server = server().await;
    for beside in [false, true] {
        let mut browser = Browser::new();
        let first = log_in(&server, &mut browser, JO_SMITH).await;
        if beside {
            add(&server, &mut browser, CHAIR).await;
        }
        let url = server.authorize_url("web", &[("scope", OFFLINE), SELECT]);
        let page = browser.open(url).await;
        let form = format!("form:has(input[value='{}'])", sid(&first));
        let page = browser.submit(&page, &form, &[]).await;
        let offline = server.redeem("web", &page.answer()["code"], &[]).await;
        assert_eq!(offline.status, 200, "{offline:?}");
        if beside {
            // Whom the person chose is current; another again.
            add(&server, &mut browser, CHAIR).await;
        }
        server.clock.advance(DAY);
        let second = log_in(&server, &mut browser, JO_SMITH).await;
        server.clock.advance(-DAY);
        assert_ne!(sid(&first), sid(&second));
        assert!(!goes_on(&server, &first).await);
        assert!(goes_on(&server, &second).await);
        let offline = server.refresh("web", offline.text("refresh_token")).await;
        assert_eq!(offline.status, 200, "{offline:?}");
    }
}

/// T35: a node of an older version may have left two of one account in a browser: both end, and nobody else's.
#[tokio::test]
async fn a_sign_out_ends_all_that_its_account_has_here() {
    let server = server().await;
    let mut browser = Browser::new();
    let cam = log_in(&server, &mut browser, CHAIR).await;
    let jo = add(&server, &mut browser, JO_SMITH).await;
    let mut elsewhere = Browser::new();
    let older = log_in(&server, &mut elsewhere, JO_SMITH).await;
    let name = format!("{SESSION}-{}", sid(&older));
    let secret = elsewhere.session(&server).unwrap();
    browser.set_cookie("127.0.0.1", &name, &secret);
    for lapsed in [&cam, &older] {
        was_used(&server, lapsed, -DAY).await;
    }
    let hint = jo.text("id_token");
    let url = format!("{}?id_token_hint={hint}", server.url("/end_session"));
    browser.get(url).await;
    for lapsed in [&cam, &older] {
        was_used(&server, lapsed, DAY).await;
    }
    assert!(!goes_on(&server, &jo).await);
    assert!(!goes_on(&server, &older).await);
    assert!(goes_on(&server, &cam).await);
    assert!(browser.cookie(&server, &name).is_none());
    assert_eq!(offered(&server, &mut browser).await, [sid(&cam)]);
}

/// T21: whoever did not sign out is there when the clock is right, whatever was asked meanwhile, by whomever.
#[tokio::test]
async fn who_did_not_sign_out_is_there_when_the_clock_is_right() {
    let server = server().await;
    // A site's link, or an app that tidies up, and nobody has clicked.
    let mut browser = Browser::new();
    let cam = log_in(&server, &mut browser, CHAIR).await;
    let jo = add(&server, &mut browser, JO_SMITH).await;
    server.clock.advance(DAY);
    let page = browser.open(server.url("/end_session")).await;
    assert!(page.body.contains("You are signed out"), "{}", page.body);
    assert_eq!(page.header("set-cookie"), "");
    server.clock.advance(-DAY);
    assert_eq!(silently(&server, &mut browser).await, sid(&jo));
    let both = sorted([sid(&cam), sid(&jo)]);
    assert_eq!(offered(&server, &mut browser).await, both);
    // Another account signs out, be it the current one or not: it is offered, and not taken.
    for is_current in [false, true] {
        let mut browser = Browser::new();
        let cam = log_in(&server, &mut browser, CHAIR).await;
        let jo = add(&server, &mut browser, JO_SMITH).await;
        let (out, lapsed) = if is_current { (&jo, &cam) } else { (&cam, &jo) };
        was_used(&server, lapsed, -DAY).await;
        let asked = browser.open(server.url("/end_session")).await;
        assert_eq!(asked.values(CHOICES), [sid(out)]);
        browser.submit(&asked, "main form", &[]).await;
        was_used(&server, lapsed, DAY).await;
        assert_eq!(
            silently(&server, &mut browser).await,
            "account_selection_required"
        );
        assert_eq!(offered(&server, &mut browser).await, [sid(lapsed)]);
        assert!(goes_on(&server, lapsed).await);
        assert!(!goes_on(&server, out).await);
    }
    // A choice of another, too.
    let mut browser = Browser::new();
    let cam = log_in(&server, &mut browser, CHAIR).await;
    let jo = add(&server, &mut browser, JO_SMITH).await;
    was_used(&server, &jo, -DAY).await;
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let form = format!("form:has(input[value='{}'])", sid(&cam));
    browser.submit(&page, &form, &[]).await;
    was_used(&server, &jo, DAY).await;
    assert_eq!(silently(&server, &mut browser).await, sid(&cam));
    let both = sorted([sid(&cam), sid(&jo)]);
    assert_eq!(offered(&server, &mut browser).await, both);
}

/// T21: of several accounts, all lapsed, one logs in anew: the one that was current is there beside it, also where its last moment has
/// passed by that clock. Of one account alone the login takes the place, as ever.
#[tokio::test]
async fn a_login_leaves_the_others_whose_sessions_the_clock_says_are_over() {
    let server = server().await;
    for (step, kept) in [(DAY, false), (400 * DAY, true)] {
        let mut browser = Browser::new();
        let jo = log_in(&server, &mut browser, JO_SMITH).await;
        let page = browser.open(server.authorize_url("spa", &[SELECT])).await;
        let page = browser.choose(&page, "members").await;
        let mut fields = vec![("username", CHAIR.username), ("password", CHAIR.password)];
        if kept {
            fields.push(("keep_signed_in", "yes"));
        }
        let page = browser.submit(&page, PASSWORD_FORM, &fields).await;
        let cam = redeem(&server, &page).await;
        server.clock.advance(step);
        let again = log_in(&server, &mut browser, JO_SMITH).await;
        server.clock.advance(-step);
        let both = sorted([sid(&cam), sid(&again)]);
        assert_eq!(offered(&server, &mut browser).await, both, "{step}");
        assert!(goes_on(&server, &cam).await);
        assert!(!goes_on(&server, &jo).await);
        assert_eq!(silently(&server, &mut browser).await, sid(&again));
    }
    let mut browser = Browser::new();
    log_in(&server, &mut browser, CHAIR).await;
    server.clock.advance(DAY);
    let jo = log_in(&server, &mut browser, JO_SMITH).await;
    server.clock.advance(-DAY);
    assert_eq!(offered(&server, &mut browser).await, [sid(&jo)]);
}

/// What ends is dead by the clock already: whoever is signed in beside it, and has nothing to do with it, is so without a click.
#[tokio::test]
async fn the_end_of_a_lapsed_session_leaves_who_is_current() {
    let server = server().await;
    for navigates in [false, true] {
        let mut browser = Browser::new();
        let jo = log_in(&server, &mut browser, JO_SMITH).await;
        let page = browser.open(server.authorize_url("spa", &[SELECT])).await;
        let ann = (ANN_LEE.code, ANN_LEE.password);
        let page = browser.sign_in(&page, "staff", ann).await;
        let ann = redeem(&server, &page).await;
        was_used(&server, &jo, -DAY).await;
        let destination = if navigates { "document" } else { "image" };
        browser.headers = [
            ("sec-fetch-dest", destination),
            ("sec-fetch-site", "same-site"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        browser.is_lured_to(server.imis_url());
        let told = server.url("/upstream/members/signed_out");
        browser.click(told).await;
        browser.headers.clear();
        assert_eq!(silently(&server, &mut browser).await, sid(&ann));
        was_used(&server, &jo, DAY).await;
        assert!(!goes_on(&server, &jo).await);
        assert_eq!(offered(&server, &mut browser).await, [sid(&ann)]);
    }
}

/// T35: of one account alone the cookie goes with the login of somebody else, and so does the session.
#[tokio::test]
async fn a_login_ends_the_lapsed_session_whose_cookie_it_takes() {
    let server = server().await;
    let mut browser = Browser::new();
    let cam = log_in(&server, &mut browser, CHAIR).await;
    server.clock.advance(DAY);
    let jo = log_in(&server, &mut browser, JO_SMITH).await;
    server.clock.advance(-DAY);
    assert!(!goes_on(&server, &cam).await);
    assert!(goes_on(&server, &jo).await);
    // Beside others it keeps its cookie, and stands.
    let cam = add(&server, &mut browser, CHAIR).await;
    server.clock.advance(DAY);
    let zoe = log_in(&server, &mut browser, ZOE).await;
    server.clock.advance(-DAY);
    let all = sorted([sid(&jo), sid(&cam), sid(&zoe)]);
    assert_eq!(offered(&server, &mut browser).await, all);
    for stands in [&jo, &cam, &zoe] {
        assert!(goes_on(&server, stands).await);
    }
}

/// A login that has begun does not fail for what could not be ended beside it: nobody would have the cookie of its session.
#[tokio::test]
async fn a_login_stands_where_the_lapsed_one_cannot_be_ended() {
    let server = server().await;
    let mut elsewhere = Browser::new();
    let ended = log_in(&server, &mut elsewhere, JO_SMITH).await;
    let url = format!(
        "{}?id_token_hint={}",
        server.url("/end_session"),
        ended.text("id_token")
    );
    elsewhere.get(url).await;
    let mut browser = Browser::new();
    let lapsed = log_in(&server, &mut browser, JO_SMITH).await;
    was_used(&server, &lapsed, -DAY).await;
    // There is one already.
    let pool = server.database.pool().await;
    sqlx::query("CREATE UNIQUE INDEX one_ended ON session (upstream) WHERE ended_at IS NOT NULL")
        .execute(&pool)
        .await
        .unwrap();
    let again = log_in(&server, &mut browser, JO_SMITH).await;
    assert_ne!(sid(&lapsed), sid(&again));
    assert_eq!(silently(&server, &mut browser).await, sid(&again));
}

/// Logins that come at the same time end it once.
#[tokio::test]
async fn the_end_of_a_lapsed_session_is_recorded_once() {
    let mut server = server().await;
    let mut browser = Browser::new();
    let lapsed = log_in(&server, &mut browser, JO_SMITH).await;
    server.clock.advance(DAY);
    let mut tabs = Vec::new();
    for _ in 0..4 {
        let page = browser.open(server.authorize_url("spa", &[])).await;
        tabs.push((browser.choose(&page, "members").await, browser.clone()));
    }
    let fields = [
        ("username", JO_SMITH.username),
        ("password", JO_SMITH.password),
    ];
    let mut logins = tabs.iter_mut().map(|(page, browser)| {
        let fields = &fields;
        async move {
            let page = browser.submit(page, PASSWORD_FORM, fields).await;
            assert!(page.answer().contains_key("code"), "{}", page.body);
        }
    });
    let mut next = || logins.next().unwrap();
    tokio::join!(next(), next(), next(), next());
    server.stop().await;
    let found = audit(&server, &["--session", &sid(&lapsed)]).await;
    let ended = found
        .iter()
        .filter(|record| record["event"] == "logged_out");
    let reasons: Vec<_> = ended.map(|record| &record["details"]["reason"]).collect();
    assert_eq!(reasons, ["replaced by another login"]);
}

/// Whether somebody has come since the page was shown, no clock says: that of another node may have shown it.
#[tokio::test]
async fn who_has_come_since_the_question_is_asked_about_whatever_the_clock_said() {
    let server = server().await;
    let mut browser = Browser::new();
    let jo = log_in(&server, &mut browser, JO_SMITH).await;
    let asked = browser.open(server.url("/end_session")).await;
    let end = server.url("/end_session");
    let url = format!("{end}?id_token_hint={}", jo.text("id_token"));
    browser.get(url).await;
    let again = log_in(&server, &mut browser, JO_SMITH).await;
    let pool = server.database.pool().await;
    let earlier =
        "UPDATE session SET auth_time = auth_time - 600, began_at = began_at - 600 WHERE id = $1";
    let earlier = sqlx::query(earlier).bind(sid(&again)).execute(&pool);
    earlier.await.unwrap();
    let page = browser.submit(&asked, "main form", &[]).await;
    assert_eq!(page.values(CHOICES), [sid(&again)], "{}", page.body);
}

/// T35: the account that the page asked about has left in another tab, and the others' sessions have lapsed: all are out.
#[tokio::test]
async fn all_are_signed_out_where_only_lapsed_ones_are_left() {
    let server = server().await;
    for all in [false, true] {
        let mut browser = Browser::new();
        let zoe = log_in(&server, &mut browser, ZOE).await;
        let jo = add(&server, &mut browser, JO_SMITH).await;
        let cam = add(&server, &mut browser, CHAIR).await;
        was_used(&server, &zoe, -DAY).await;
        let asked = browser.open(server.url("/end_session")).await;
        assert_eq!(asked.values(CHOICES), [sid(&cam)]);
        let end = server.url("/end_session");
        let url = format!("{end}?id_token_hint={}", cam.text("id_token"));
        browser.get(url).await;
        was_used(&server, &jo, -DAY).await;
        let action = [("action", "all")];
        let action = if all { &action[..] } else { &[] };
        if all {
            let forged = [("form_token", "forged"), action[0]];
            let refused = browser.submit(&asked, "main form", &forged).await;
            assert_eq!(refused.status, 400);
        }
        let out = browser.submit(&asked, "main form", action).await;
        assert!(out.body.contains("You are signed out"), "{}", out.body);
        for lapsed in [&jo, &zoe] {
            was_used(&server, lapsed, DAY).await;
            assert_eq!(goes_on(&server, lapsed).await, !all);
        }
        let left = silently(&server, &mut browser).await;
        let stays = ["account_selection_required", "login_required"];
        assert_eq!(left, stays[usize::from(all)]);
    }
}

/// T35: an app's ID token of an earlier login ends the session of its person that has lapsed, unless somebody is named who is here.
#[tokio::test]
async fn an_older_id_token_ends_the_lapsed_session_of_its_person() {
    let server = server().await;
    for beside in [false, true] {
        let mut browser = Browser::new();
        let before = log_in(&server, &mut browser, JO_SMITH).await;
        let url = format!(
            "{}?id_token_hint={}",
            server.url("/end_session"),
            before.text("id_token")
        );
        browser.get(&url).await;
        let jo = log_in(&server, &mut browser, JO_SMITH).await;
        assert_ne!(sid(&before), sid(&jo));
        let mut left = "login_required".to_owned();
        if beside {
            left = sid(&add(&server, &mut browser, CHAIR).await);
        }
        // One that stands is asked about.
        let asked = browser.get(&url).await;
        assert_eq!(asked.values(CHOICES), [sid(&jo)], "{}", asked.body);
        was_used(&server, &jo, -DAY).await;
        if beside {
            let named = format!("{url}&logout_hint={}", CHAIR.username);
            let asked = browser.get(named).await;
            assert_eq!(asked.values(CHOICES), [left.as_str()], "{}", asked.body);
        }
        browser.headers = vec![("sec-purpose".to_owned(), "prefetch".to_owned())];
        assert_eq!(browser.get(&url).await.status, 503);
        browser.headers.clear();
        let out = browser.get(&url).await;
        assert!(out.body.contains("You are signed out"), "{}", out.body);
        was_used(&server, &jo, DAY).await;
        assert!(!goes_on(&server, &jo).await);
        assert_eq!(silently(&server, &mut browser).await, left);
    }
}

/// Names that were closed by wrong passwords while the clock stood ahead are open when it is right, known or not; and may have no
/// more of them than ever.
#[tokio::test]
async fn a_name_that_was_closed_meanwhile_is_open_when_the_clock_is_right() {
    let server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 2\n".to_owned();
    })
    .await;
    for is_known in [false, true] {
        server.clock.advance(2 * DAY);
        for password in ["wrong", "wrong", ZOE.password] {
            assert!(!comes_in(&server, password).await, "{is_known}");
        }
        server.clock.advance(-2 * DAY);
        assert!(comes_in(&server, ZOE.password).await, "{is_known}");
        for password in ["wrong", "wrong", ZOE.password] {
            assert!(!comes_in(&server, password).await, "{is_known}");
        }
        // A quiet time opens it, as ever.
        server.clock.advance(HOUR);
        assert!(comes_in(&server, ZOE.password).await, "{is_known}");
    }
}

async fn comes_in(server: &TestServer, password: &str) -> bool {
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let credentials = (ZOE.username, password);
    let page = browser.sign_in(&page, "members", credentials).await;
    !page.is_login() && page.answer().contains_key("code")
}
