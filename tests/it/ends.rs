//! However a session ends: its tokens are dead, the app is told of that session once, and the audit says how it ended (T35).

use std::collections::BTreeSet;

use portico::protocol::ids::SessionId;
use portico::simulator::people::{JO_SMITH, ZOE};

use crate::backchannel_logout::{log_out, settled, sign_in};
use crate::command_line::audit::audit;
use crate::command_line::session::{are_dead, catch_up, heard, told};
use crate::command_line::{portico_of, run};
use crate::harness::browser::{Browser, Page};
use crate::harness::relying_party::{Answer, claims};
use crate::harness::server::{Setup, TestServer};
use crate::harness::site::{Page as Answers, Site};
use crate::recheck::{PASSWORD, people_of_the_config};

const ACCOUNT: &str = "/account";

/// Ends that were seen.
struct Ends {
    server: TestServer,
    site: Site,
    /// The session of each, and how the audit calls it.
    seen: Vec<(String, &'static str)>,
}

fn sid(tokens: &Answer) -> String {
    claims(tokens.text("id_token"))["sid"]
        .as_str()
        .unwrap()
        .to_owned()
}

impl Ends {
    async fn start(change: impl FnOnce(&mut Setup, &str)) -> Self {
        let (server, site) = told(change).await;
        Self {
            server,
            site,
            seen: Vec::new(),
        }
    }

    /// A browser that is logged in at the app `first`.
    async fn begin(&self) -> (Browser, Answer) {
        let mut browser = Browser::new();
        let tokens = sign_in(&self.server, &mut browser, "first", "openid").await;
        (browser, tokens)
    }

    async fn account_page(&self, browser: &mut Browser) -> Page {
        let page = browser.open(self.server.url(ACCOUNT)).await;
        assert_eq!(page.url.path(), ACCOUNT, "{}", page.body);
        page
    }

    async fn press(&self, browser: &mut Browser, page: &Page, action: &str, session: &str) {
        let form = format!("form:has(button[value={action}])");
        let fields = [("action", action), ("session", session)];
        browser.submit(page, &form, &fields).await;
    }

    async fn command(&mut self, arguments: &[&str]) {
        let said = run(portico_of(&self.server, arguments), "").await;
        catch_up(&self.server);
        said.assert(0, &[]);
    }

    /// That the session of these tokens is over, and was told.
    async fn over(&mut self, tokens: &Answer, reason: &'static str) {
        are_dead(&self.server, "first", tokens).await;
        self.seen.push((sid(tokens), reason));
        let told = heard(&self.site, "/first", self.seen.len()).await;
        assert_eq!(told.len(), self.seen.len(), "{reason}: {told:?}");
        let last = told.last().unwrap();
        assert_eq!(last.1.as_deref(), Some(&*sid(tokens)), "{reason}");
        let session = SessionId::new(sid(tokens));
        let session = self.server.store.find_session(&session).await.unwrap();
        assert!(session.unwrap().ended_at.is_some(), "{reason}");
    }

    /// What the audit says of each.
    async fn recorded(mut self) {
        self.server.stop().await;
        for (session, reason) in &self.seen {
            let found = audit(&self.server, &["--session", session]).await;
            let ends: Vec<_> = found
                .iter()
                .filter(|record| record["event"] == "logged_out")
                .map(|record| record["details"]["reason"].as_str().unwrap_or_default())
                .collect();
            assert_eq!(ends, [*reason], "{session}");
            let ended = |record: &&serde_json::Value| record["event"] == "logged_out";
            let ended = found.iter().find(ended).unwrap();
            assert!(ended["upstream"].is_string(), "{ended}");
            assert!(ended["account"].is_string(), "{ended}");
            assert!(ended["details"]["by"].is_string(), "{ended}");
        }
    }
}

#[tokio::test]
async fn every_way_for_a_person_to_sign_out() {
    let mut ends = Ends::start(|_, _| ()).await;
    // At the app.
    let (mut browser, tokens) = ends.begin().await;
    log_out(&ends.server, &mut browser, &tokens).await;
    ends.over(&tokens, "signed out at the app").await;
    // On our own page, without an app.
    let (mut browser, tokens) = ends.begin().await;
    let page = browser.open(ends.server.url("/end_session")).await;
    browser.submit(&page, "main form", &[]).await;
    ends.over(&tokens, "signed out").await;
    // On the account page: here, from elsewhere, everywhere.
    let (mut browser, tokens) = ends.begin().await;
    let page = ends.account_page(&mut browser).await;
    ends.press(&mut browser, &page, "end_session", &sid(&tokens))
        .await;
    ends.over(&tokens, "signed out").await;
    let (_, there) = ends.begin().await;
    let (mut here, tokens) = ends.begin().await;
    let page = ends.account_page(&mut here).await;
    ends.press(&mut here, &page, "end_session", &sid(&there))
        .await;
    ends.over(&there, "ended from elsewhere").await;
    let page = ends.account_page(&mut here).await;
    ends.press(&mut here, &page, "end_all", "").await;
    ends.over(&tokens, "signed out everywhere").await;
    // At the upstream, whose sign-out page says so here.
    let (mut browser, tokens) = ends.begin().await;
    browser.headers = vec![
        ("sec-fetch-dest".to_owned(), "empty".to_owned()),
        ("sec-fetch-site".to_owned(), "same-site".to_owned()),
    ];
    browser.is_lured_to(ends.server.imis_url());
    let url = ends.server.url("/upstream/members/signed_out");
    assert_eq!(browser.click(&url).await.status, 204);
    ends.over(&tokens, "signed out at the upstream").await;
    // By somebody else's login in the same browser.
    let (mut browser, tokens) = ends.begin().await;
    let url = ends
        .server
        .authorize_url("web", &[("prompt", "login"), ("scope", "openid")]);
    let page = browser.open(url).await;
    browser.sign_in_as(&page, ZOE).await;
    ends.over(&tokens, "replaced by another login").await;
    ends.recorded().await;
}

#[tokio::test]
async fn every_way_for_an_administrator_to_sign_people_out() {
    let mut ends = Ends::start(|_, _| ()).await;
    let (_, tokens) = ends.begin().await;
    let session = sid(&tokens);
    ends.command(&["session", "end", "--session", &session])
        .await;
    ends.over(&tokens, "ended from elsewhere").await;
    let (_, tokens) = ends.begin().await;
    ends.command(&["session", "end", "--user", JO_SMITH.username])
        .await;
    ends.over(&tokens, "signed out everywhere").await;
    let (_, tokens) = ends.begin().await;
    let name = ["--name", JO_SMITH.username];
    ends.command(&[&["account", "disable"], &name[..]].concat())
        .await;
    ends.over(&tokens, "the account was closed").await;
    ends.command(&[&["account", "enable"], &name[..]].concat())
        .await;
    ends.recorded().await;
}

/// Where those of an upstream, or all, end, each is told; the audit counts them.
#[tokio::test]
async fn everybody_of_an_upstream_and_everybody() {
    let mut ends = Ends::start(|_, _| ()).await;
    for arguments in [&["--upstream", "members"][..], &["--all"]] {
        let (_, tokens) = ends.begin().await;
        let command = [&["session", "end"], arguments].concat();
        ends.command(&command).await;
        ends.over(&tokens, "").await;
    }
}

#[tokio::test]
async fn a_person_whom_the_upstream_lets_in_no_more_and_one_with_too_many_sessions() {
    let mut ends = Ends::start(|setup, _| {
        setup.sections += "[lifetimes]\nsessions_per_person = 2\n";
        setup.upstreams = people_of_the_config("");
    })
    .await;
    let kim = async |server: &TestServer| {
        let mut browser = Browser::new();
        let page = browser
            .open(server.authorize_url("first", &[("scope", "openid")]))
            .await;
        let page = browser.sign_in(&page, "local", ("kim", PASSWORD)).await;
        server.redeem("first", &page.answer()["code"], &[]).await
    };
    let first = kim(&ends.server).await;
    ends.server.clock.advance(1);
    let second = kim(&ends.server).await;
    ends.server.clock.advance(1);
    let third = kim(&ends.server).await;
    ends.over(&first, "the person has too many sessions").await;
    // A server that ends before it has noted the answer says it again.
    settled(&ends.server, "first").await;
    ends.server.edit_config("id = \"1\"", "id = \"3\"");
    ends.server.restart().await;
    ends.server.clock.advance(300);
    let refused = ends
        .server
        .refresh("first", second.text("refresh_token"))
        .await;
    refused.assert_error(400, "invalid_grant");
    let told = heard(&ends.site, "/first", 3).await;
    let told: BTreeSet<_> = told.into_iter().filter_map(|(_, sid)| sid).collect();
    assert_eq!(told, BTreeSet::from([&first, &second, &third].map(sid)));
    for tokens in [&second, &third] {
        are_dead(&ends.server, "first", tokens).await;
        let reason = "access withdrawn by the upstream";
        ends.seen.push((sid(tokens), reason));
    }
    ends.recorded().await;
}

/// An app that keeps a session of its own and never comes back hears that its person was switched off.
#[tokio::test]
async fn an_app_that_never_comes_back_hears_that_its_person_is_gone() {
    let mut ends = Ends::start(|setup, _| setup.upstreams = people_of_the_config("")).await;
    let kim = async |ends: &Ends, client: &str| {
        let mut browser = Browser::new();
        let url = ends.server.authorize_url(client, &[("scope", "openid")]);
        let page = browser.open(url).await;
        let page = browser.sign_in(&page, "local", ("kim", PASSWORD)).await;
        let answer = ends
            .server
            .redeem(client, &page.answer()["code"], &[])
            .await;
        assert_eq!(answer.status, 200);
        answer
    };
    let told = kim(&ends, "first").await;
    kim(&ends, "spa").await;
    let (_, member) = ends.begin().await;
    ends.server.edit_config("id = \"1\"", "id = \"3\"");
    // Too early: what is known of them is an hour old at the most.
    ends.server.clock.advance(3599);
    ends.server.restart().await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(ends.site.hits("/first"), 0);
    ends.server.clock.advance(1);
    ends.server.restart().await;
    // Before anybody comes who would have them asked about.
    heard(&ends.site, "/first", 1).await;
    ends.over(&told, "access withdrawn by the upstream").await;
    let alive = ends.server.refresh("first", member.text("refresh_token"));
    assert_eq!(alive.await.status, 200, "others are not meant");
    ends.recorded().await;
}

/// A row that nobody can read (of a restored backup, or a newer node) keeps nobody behind it from being asked about.
#[tokio::test]
async fn a_damaged_session_stands_in_nobodys_way() {
    let mut ends = Ends::start(|setup, _| setup.upstreams = people_of_the_config("")).await;
    let mut people = Vec::new();
    for _ in 0..3 {
        let mut browser = Browser::new();
        let url = ends.server.authorize_url("first", &[("scope", "openid")]);
        let page = browser.open(url).await;
        let page = browser.sign_in(&page, "local", ("kim", PASSWORD)).await;
        let code = &page.answer()["code"];
        people.push(ends.server.redeem("first", code, &[]).await);
    }
    let damaged = people.iter().map(sid).min().unwrap();
    sqlx::query("UPDATE session SET amr = 'damaged' WHERE id = $1")
        .bind(&damaged)
        .execute(&ends.server.database.pool().await)
        .await
        .unwrap();
    ends.server.edit_config("id = \"1\"", "id = \"3\"");
    ends.server.clock.advance(3600);
    ends.server.restart().await;
    let told = heard(&ends.site, "/first", 3).await;
    let told: BTreeSet<_> = told.into_iter().filter_map(|(_, sid)| sid).collect();
    assert_eq!(told, people.iter().map(sid).collect());
}

/// An app that has nothing but ID tokens hears that it was taken away: of the session, and, once, of whatever it has in others.
#[tokio::test]
async fn an_app_without_refresh_tokens_hears_that_it_was_taken_away() {
    let ends = Ends::start(|setup, site| {
        let uri = format!("backchannel_logout_uri = \"{site}/plain\"\n");
        setup.clients += "[[clients]]\nclient_id = \"plain\"\ntoken_endpoint_auth_method = \"none\"\n\
             redirect_uris = [\"https://plain.example.org/callback\"]\nscope = \"openid\"\nconsent = \"once\"\n";
        setup.clients += &uri;
    })
    .await;
    ends.site
        .set("/plain", Answers::Body("text/plain", String::new()));
    let (mut browser, tokens) = ends.begin().await;
    let sign_in = async |browser: &mut Browser| {
        let url = ends.server.authorize_url("plain", &[("scope", "openid")]);
        let mut page = browser.open(url).await;
        if page.url.path() == "/consent" {
            let allow = [("decision", "allow")];
            page = browser
                .submit(&page, "form[action='/consent']", &allow)
                .await;
        }
        page.answer()["code"].clone()
    };
    // A code that is never redeemed: there is no family.
    sign_in(&mut browser).await;
    let page = ends.account_page(&mut browser).await;
    let form = "form:has(input[value=plain])";
    let end = [("action", "end_app")];
    let page = browser.submit(&page, form, &end).await;
    let told = heard(&ends.site, "/plain", 2).await;
    let told: BTreeSet<_> = told.into_iter().map(|(_, sid)| sid).collect();
    assert_eq!(told, [None, Some(sid(&tokens))].into());
    assert!(
        !page
            .values("input[name=client_id]")
            .contains(&"plain".to_owned())
    );
    // The session goes on, and the next login there is noted again.
    let again = ends.server.refresh("first", tokens.text("refresh_token"));
    assert_eq!(again.await.status, 200);
    ends.server.clock.advance(1);
    sign_in(&mut browser).await;
    log_out(&ends.server, &mut browser, &tokens).await;
    let told = heard(&ends.site, "/plain", 3).await;
    assert_eq!(told[2].1.as_deref(), Some(&*sid(&tokens)));
    assert_eq!(told.len(), 3);
}
