//! A clock that is wrong for a while, ahead by hours, a day or a year, or behind: once it is right again everybody is signed in as
//! they were, whatever they have asked for meanwhile (T21).

use portico::simulator::people::{CHAIR, JO_SMITH};

use crate::harness::browser::{Browser, PASSWORD_FORM};
use crate::harness::relying_party::Answer;
use crate::harness::server::TestServer;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// A session of a browser's run is idle for too long after twelve hours, every other after thirty days.
const STEPS: [i64; 6] = [3 * HOUR, DAY, 40 * DAY, 400 * DAY, -3 * HOUR, -DAY];
const OFFLINE: &str = "openid offline_access";
const SELECT: (&str, &str) = ("prompt", "select_account");

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
    let page = browser.open(&select).await;
    assert!(page.is_login());
    assert!(page.values("input[name=session]").is_empty());
    assert!(!page.body.contains("Jo Smith"), "{}", page.body);
}
