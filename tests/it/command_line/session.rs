//! `portico session`.

use portico::clock::{Clock, random_id};
use portico::model::account::Account;
use portico::model::family::{Recipient, TokenFamily};
use portico::model::session::{Authentication, Session};
use portico::protocol::ids::{ClientId, FamilyId, SessionId, UpstreamId};
use portico::protocol::scope::Scope;
use portico::simulator::people::{JO_SMITH, ZOE};
use portico::store::{NoticeFilter, Store};
use serde_json::Value;

use super::account::{login, person};
use super::{Said, Site, portico_of, run};
use crate::backchannel_logout::{sign_in, told_at};
use crate::harness::browser::Browser;
use crate::harness::relying_party::{Answer, claims};
use crate::harness::server::{Setup, TestServer};
use crate::harness::site as told;

async fn is_live(store: &Store, session: &Session) -> bool {
    let found = store.find_session(&session.id).await.unwrap().unwrap();
    found.ended_at.is_none()
}

/// Something that outlives the session.
async fn offline(store: &Store, (account, session): &(Account, Session)) -> FamilyId {
    let now = Clock::system().now();
    let family = TokenFamily {
        id: FamilyId::new(random_id()),
        client_id: ClientId::new("reports"),
        account_id: account.id.clone(),
        authentication: Authentication::from(session),
        scope: Scope::parse("openid offline_access").unwrap(),
        resources: Vec::new(),
        claims: portico::protocol::claims_request::ClaimsRequest::default(),
        offline: true,
        generation: Some(0),
        created_at: now,
        rotated_at: now,
        expires_at: now + 3600,
        revoked_at: None,
        jkt: None,
        bound_generation: None,
        bound_at: None,
        recipient: Recipient::default(),
    };
    assert!(store.begin_family(&family).await.unwrap());
    family.id
}

async fn stands(store: &Store, id: &FamilyId) -> bool {
    let family = store.find_family(id).await.unwrap().unwrap();
    family.revoked_at.is_none()
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_session_person_upstream_and_all() {
    let site = Site::started().await;
    site.run(&["migrate"]).await.assert(0, &[]);
    let store = site.database.store().await;
    let jo = person(&store, &login("members", "4711"), "JSMITH").await;
    let zoe = person(&store, &login("members", "4712"), "ZOE").await;
    let ann = person(&store, &login("staff", "uid:7"), "ann.lee").await;
    let kim = person(&store, &login("staff", "uid:8"), "kim").await;
    let said = site.run(&["session", "list"]).await;
    said.assert(0, &["SESSION", jo.1.id.as_str(), "Name of JSMITH", "staff"]);
    assert_eq!(said.out.lines().count(), 5, "{}", said.out);
    said.assert(0, &["DEVICE", "Firefox on Linux", "192.0.2.7"]);
    let lines = site.run(&["session", "list", "--json"]).await.objects();
    assert_eq!(lines.len(), 4);
    let of_jo = lines.iter().find(|line| line["name"] == "Name of JSMITH");
    let of_jo = of_jo.unwrap();
    assert_eq!(of_jo["session"], jo.1.id.as_str());
    assert_eq!(of_jo["subject"], jo.0.subject.as_str());
    assert_eq!(of_jo["browser"], "Firefox");
    assert_eq!(of_jo["system"], "Linux");
    assert_eq!(of_jo["address"], "192.0.2.7");
    assert_eq!(of_jo["last_seen_at"], jo.1.last_seen_at);
    let said = site.run(&["session", "list", "--limit", "2"]).await;
    assert_eq!(said.out.lines().count(), 3, "{}", said.out);
    let said = site.run(&["session", "list", "--upstream", "staff"]).await;
    said.assert(0, &[ann.1.id.as_str(), kim.1.id.as_str()]);
    assert_eq!(said.out.lines().count(), 3, "{}", said.out);
    for who in ["jsmith", jo.0.subject.as_str()] {
        let said = site.run(&["session", "list", "--user", who]).await;
        said.assert(0, &[jo.1.id.as_str()]);
        assert_eq!(said.out.lines().count(), 2, "{}", said.out);
    }

    // One session: what has offline_access goes on.
    let kept = offline(&store, &zoe).await;
    let end = ["session", "end", "--session", zoe.1.id.as_str()];
    let said = site.run(&end).await;
    said.assert(0, &["has ended", "portico::audit", "administrator"]);
    assert!(!is_live(&store, &zoe.1).await && stands(&store, &kept).await);
    site.run(&end).await.assert(1, &["has ended already"]);

    // One person, everywhere.
    let gone = offline(&store, &jo).await;
    let said = site.run(&["session", "end", "--user", "JSmith"]).await;
    said.assert(0, &["is signed out everywhere", "1 sessions"]);
    assert!(!is_live(&store, &jo.1).await && !stands(&store, &gone).await);
    assert!(is_live(&store, &ann.1).await && stands(&store, &kept).await);

    // An upstream's people, those with offline_access too.
    let hers = offline(&store, &ann).await;
    let said = site.run(&["session", "end", "--upstream", "members"]).await;
    said.assert(0, &["members: 0 sessions and 1 other logins have ended"]);
    assert!(!stands(&store, &kept).await);
    assert!(is_live(&store, &ann.1).await && stands(&store, &hers).await);

    let said = site.run(&["session", "end", "--all"]).await;
    said.assert(0, &["2 sessions and 1 other logins have ended"]);
    assert!(!is_live(&store, &ann.1).await && !is_live(&store, &kim.1).await);
    assert!(!stands(&store, &hers).await);
    let said = site.run(&["session", "list"]).await;
    assert_eq!(said.out.lines().count(), 1, "{}", said.out);

    for (arguments, text) in [
        (["--session", "none"].as_slice(), "there is no session none"),
        (
            &["--user", "nobody"],
            "there is no account with the subject or the user name nobody",
        ),
        (&["--upstream", "membres"], "the config has members, staff"),
        (&["--client", "nobody"], "there is no client nobody"),
    ] {
        let command = [&["session", "end"], arguments].concat();
        site.run(&command).await.assert(1, &[text]);
    }
    for arguments in [[].as_slice(), &["--all", "--user", "jsmith"]] {
        let command = [&["session", "end"], arguments].concat();
        assert_eq!(site.run(&command).await.code, Some(2), "{arguments:?}");
    }
}

/// One more session of somebody, made as `change` says.
async fn another(
    store: &Store,
    (account, session): &(Account, Session),
    change: impl FnOnce(&mut Session),
) -> SessionId {
    let mut more = Session {
        id: SessionId::new(random_id()),
        ..session.clone()
    };
    change(&mut more);
    let secret = random_id();
    let begun = store.replace_session(&secret, &more, None, &[], None);
    assert!(begun.await.unwrap(), "{account:?}");
    more.id
}

/// The sessions, or what else stands in the first column.
fn first_column(said: &Said) -> Vec<&str> {
    let rows = said.out.lines().skip(1);
    rows.map(|row| row.split_whitespace().next().unwrap())
        .collect()
}

/// Those that it wants to hear of, and those that tokens are left of. What goes on without a session has a list of its own.
#[tokio::test]
async fn sessions_are_listed_by_the_app_that_was_used_in_them() {
    let site = Site::started().await;
    let store = site.database.store().await;
    let jo = person(&store, &login("members", "4711"), "JSMITH").await;
    let zoe = person(&store, &login("members", "4712"), "ZOE").await;
    let ann = person(&store, &login("staff", "uid:7"), "ann.lee").await;
    let app = ClientId::new("members-app");
    for (_, session) in [&jo, &zoe] {
        assert!(store.note_session_client(&session.id, &app).await.unwrap());
    }
    offline(&store, &zoe).await;
    let of_ann = offline(&store, &ann).await;
    let list = async |arguments: &[&str]| {
        let said = site.run(&[&["session", "list"], arguments].concat()).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        said
    };
    let mut of_app = first_column(&list(&["--client", "members-app"]).await).join(" ");
    if of_app.starts_with(zoe.1.id.as_str()) {
        of_app = of_app.split(' ').rev().collect::<Vec<_>>().join(" ");
    }
    assert_eq!(of_app, format!("{} {}", jo.1.id, zoe.1.id));
    let said = list(&["--client", "reports"]).await;
    let found = first_column(&said);
    assert_eq!(found.len(), 2, "{}", said.out);
    for (_, session) in [&zoe, &ann] {
        assert!(found.contains(&session.id.as_str()), "{}", said.out);
    }
    said.assert(0, &["--offline lists them"]);
    assert!(
        !list(&["--client", "members-app"])
            .await
            .err
            .contains("--offline")
    );

    let end = ["session", "end", "--session", zoe.1.id.as_str()];
    site.run(&end).await.assert(0, &["has ended"]);
    let said = list(&["--client", "reports"]).await;
    assert_eq!(first_column(&said), [ann.1.id.as_str()]);
    let said = list(&["--client", "reports", "--offline"]).await;
    assert_eq!(first_column(&said), ["reports", "reports"]);
    said.assert(
        0,
        &[
            &format!("reports {} Name of ZOE members has ended", zoe.0.subject),
            &format!(
                "reports {} Name of ann.lee staff {}",
                ann.0.subject, ann.1.id
            ),
        ],
    );
    assert_eq!(
        first_column(&list(&["--client", "members-app", "--offline"]).await),
        [""; 0]
    );
    for which in [["--user", "ann.lee"], ["--upstream", "staff"]] {
        let said = list(&[&which[..], &["--offline", "--json"]].concat()).await;
        let [line] = said.objects().try_into().unwrap();
        assert_eq!(line["family"], of_ann.as_str(), "{which:?}");
        assert_eq!(line["session"], ann.1.id.as_str());
        assert_eq!(line["subject"], ann.0.subject.as_str());
        assert_eq!(line["scope"], "offline_access openid");
    }
    let said = list(&["--offline", "--limit", "1"]).await;
    assert_eq!(first_column(&said), ["reports"]);
    let said = site.run(&["session", "list", "--client", "nobody"]).await;
    said.assert(1, &["there is no client nobody"]);
    let two = ["session", "list", "--client", "reports", "--user", "zoe"];
    assert_eq!(site.run(&two).await.code, Some(2));
}

/// The limit counts what is shown: of one person, too, and never a session that nobody can use any more.
#[tokio::test]
async fn the_limit_counts_live_sessions_alone() {
    let site = Site::started().await;
    let store = site.database.store().await;
    let jo = person(&store, &login("members", "4711"), "JSMITH").await;
    let (now, hour) = (jo.1.auth_time, 60 * 60);
    let kept = another(&store, &jo, |session| {
        session.last_seen_at = now - 20 * hour;
        session.persistent = true;
    });
    let kept = kept.await;
    // Used later than the other, and dead all the same: twelve hours without use.
    let idle = another(&store, &jo, |session| {
        session.last_seen_at = now - 13 * hour;
    });
    let idle = idle.await;
    for which in [
        [].as_slice(),
        &["--user", "jsmith"],
        &["--upstream", "members"],
    ] {
        let list = async |limit: &str| {
            let arguments = [&["session", "list", "--limit", limit], which].concat();
            site.run(&arguments).await
        };
        let said = list("2").await;
        assert_eq!(
            first_column(&said),
            [jo.1.id.as_str(), kept.as_str()],
            "{which:?}"
        );
        assert_eq!(
            first_column(&list("1").await),
            [jo.1.id.as_str()],
            "{which:?}"
        );
        assert!(!list("9").await.out.contains(idle.as_str()), "{which:?}");
    }
}

/// An upstream that is gone from the configuration is the one whose people an administrator wants out.
#[tokio::test]
async fn the_people_of_an_upstream_that_is_gone_are_listed_and_ended() {
    let site = Site::started().await;
    let store = site.database.store().await;
    let old = person(&store, &login("old", "1"), "OLD").await;
    let gone = offline(&store, &old).await;
    let jo = person(&store, &login("members", "4711"), "JSMITH").await;
    // Its login leads elsewhere, and its session is still there.
    let older = another(&store, &jo, |session| {
        session.upstream = UpstreamId::new("older");
        session.upstream_subject = None;
    });
    let older = older.await;
    for (upstream, session) in [("old", &old.1.id), ("older", &older)] {
        let said = site.run(&["session", "list", "--upstream", upstream]).await;
        assert_eq!(first_column(&said), [session.as_str()], "{}", said.err);
    }
    for command in ["list", "end"] {
        let said = site.run(&["session", command, "--upstream", "odl"]).await;
        said.assert(
            1,
            &["there is no upstream odl; the config has members, staff, and people have logged in at old, older"],
        );
    }
    let said = site.run(&["session", "end", "--upstream", "old"]).await;
    said.assert(0, &["old: 1 sessions and 1 other logins have ended"]);
    assert!(!is_live(&store, &old.1).await && !stands(&store, &gone).await);
    assert!(is_live(&store, &jo.1).await);
}

/// Each state by its name, of whom and to whom, for people and for machines.
#[tokio::test]
async fn notices_are_listed_by_state_client_and_person() {
    let (mut server, _site) = told(|_, _| ()).await;
    let mut browser = Browser::new();
    sign_in(&server, &mut browser, "first", "openid").await;
    sign_in(&server, &mut browser, "second", "openid").await;
    let mut hers = Browser::new();
    let url = server.authorize_url("first", &[("scope", "openid"), ("prompt", "")]);
    assert!(hers.log_in_as(url, ZOE).await.answer().contains_key("code"));
    // Nobody sends anything: what becomes of each notice is for the test to say.
    server.stop().await;
    for who in [JO_SMITH.username, ZOE.username] {
        let end = portico_of(&server, &["session", "end", "--user", who]);
        run(end, "").await.assert(0, &["signed out everywhere"]);
    }
    let now = Clock::system().now();
    let all = NoticeFilter::default();
    let found = server.store.search_logout_notices(all, 10).await.unwrap();
    let jo = server
        .store
        .find_accounts_by_username(JO_SMITH.username, 100);
    let jo = jo.await.unwrap().remove(0);
    for notice in &found {
        let of_jo = notice.account_id == jo.id;
        match notice.client_id.as_str() {
            "first" if of_jo => server.store.finish_logout_notice(notice, now).await,
            "second" => {
                let trouble = "it answered 404";
                server
                    .store
                    .give_up_logout_notice(&notice.id, trouble)
                    .await
            }
            _ => Ok(()),
        }
        .unwrap();
    }
    let list = async |arguments: &[&str]| {
        let command = [&["session", "notices"], arguments].concat();
        run(portico_of(&server, &command), "").await
    };
    let told = ["first", "told"];
    let given_up = ["second", "given up"];
    let waiting = ["first", "waiting"];
    let (jo, zoe) = (JO_SMITH.username, ZOE.username);
    for (arguments, expected) in [
        (&[][..], &[told, given_up, waiting][..]),
        (&["--state", "told"], &[told]),
        (&["--state", "given-up"], &[given_up]),
        (&["--state", "waiting"], &[waiting]),
        (&["--user", jo], &[told, given_up]),
        (&["--user", zoe], &[waiting]),
        (&["--user", jo, "--client", "first"], &[told]),
        (&["--client", "first"], &[told, waiting]),
        (&["--client", "first", "--state", "waiting"], &[waiting]),
        (&["--user", zoe, "--state", "told"], &[]),
    ] {
        let said = list(arguments).await;
        let rows: Vec<&str> = said.out.lines().skip(1).collect();
        assert_eq!(rows.len(), expected.len(), "{arguments:?}: {}", said.out);
        for [client, state] in expected {
            let fits = |row: &&str| row.starts_with(client) && row.contains(state);
            assert!(rows.iter().any(fits), "{arguments:?}: {}", said.out);
        }
    }
    list(&["--state", "given-up"])
        .await
        .assert(0, &["it answered 404"]);
    assert_eq!(list(&["--state", "lost"]).await.code, Some(2));
    assert_eq!(list(&["--limit", "1"]).await.out.lines().count(), 2);
    let lines = list(&["--json"]).await.objects();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in &lines {
        assert!(
            line["session"].is_string() && line["subject"].is_string(),
            "{line}"
        );
        let (times, trouble) = match line["state"].as_str().unwrap() {
            "told" => ([true, false], false),
            "given-up" => ([false, false], true),
            "waiting" => ([false, true], false),
            other => panic!("{other}"),
        };
        let is_time = |name: &str| line[name].is_i64();
        assert_eq!([is_time("told_at"), is_time("next_at")], times, "{line}");
        assert_eq!(line["trouble"].is_string(), trouble, "{line}");
    }
}

/// A server of the harness whose clock shows what the commands' does, with two apps that are told of logouts at a site.
pub(crate) async fn told(change: impl FnOnce(&mut Setup, &str)) -> (TestServer, told::Site) {
    let site = told::Site::start().await;
    let server = TestServer::start_with(|setup| {
        change(setup, &site.url);
        setup.sections += "[outbound]\nallow_hosts = [\"127.0.0.1\"]\n";
        for name in ["first", "second"] {
            site.set(
                &format!("/{name}"),
                told::Page::Body("text/plain", String::new()),
            );
            let uri = format!("backchannel_logout_uri = \"{}/{name}\"", site.url);
            setup.clients += &told_at(name, &uri);
        }
    })
    .await;
    catch_up(&server);
    (server, site)
}

/// Sets the server's clock to that of the commands.
pub(crate) fn catch_up(server: &TestServer) {
    let behind = Clock::system().now() - server.clock.now();
    server.clock.advance(behind);
}

/// What the app is told: `sub`, and `sid` if it is one login.
pub(crate) async fn heard(
    site: &told::Site,
    path: &str,
    count: usize,
) -> Vec<(String, Option<String>)> {
    let requests = site.requests(path, count).await;
    let text = |claims: &Value, name: &str| claims[name].as_str().map(str::to_owned);
    requests
        .iter()
        .map(|request| {
            let mut fields = url::form_urlencoded::parse(request.as_bytes());
            let claims = claims(&fields.next().unwrap().1);
            (text(&claims, "sub").unwrap(), text(&claims, "sid"))
        })
        .collect()
}

pub(crate) async fn are_dead(server: &TestServer, client: &str, tokens: &Answer) {
    let refused = server.refresh(client, tokens.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.status, 401);
}

#[tokio::test]
async fn a_person_is_ended_everywhere_and_every_app_hears_it() {
    let (server, site) = told(|_, _| ()).await;
    let mut browser = Browser::new();
    let first = sign_in(&server, &mut browser, "first", "openid offline_access").await;
    let second = sign_in(&server, &mut browser, "second", "openid").await;
    let command = portico_of(&server, &["session", "end", "--user", JO_SMITH.username]);
    let said = run(command, "").await;
    catch_up(&server);
    said.assert(0, &["is signed out everywhere: 1 sessions, and all tokens"]);
    for (name, tokens) in [("first", &first), ("second", &second)] {
        let told = heard(&site, &format!("/{name}"), 1).await;
        let own = claims(tokens.text("id_token"));
        let text = |name: &str| own[name].as_str().unwrap().to_owned();
        assert_eq!(told, [(text("sub"), Some(text("sid")))]);
        are_dead(&server, name, tokens).await;
    }
    let page = browser
        .open(server.authorize_url("first", &[("prompt", "")]))
        .await;
    assert!(page.is_login(), "{}", page.body);
}

/// Also of those who have nothing but an ID token; the browsers' sessions go on, and so does every other app.
#[tokio::test]
async fn a_client_is_ended_for_everybody_and_hears_it() {
    let (server, site) = told(|_, _| ()).await;
    let mut browser = Browser::new();
    let first = sign_in(&server, &mut browser, "first", "openid offline_access").await;
    let second = sign_in(&server, &mut browser, "second", "openid").await;
    // Zoe has got as far as a code: the app has nothing of hers that could be revoked.
    let mut hers = Browser::new();
    let url = server.authorize_url("first", &[("scope", "openid"), ("prompt", "")]);
    let code = hers.log_in_as(url, ZOE).await.answer()["code"].clone();
    let command = portico_of(&server, &["session", "end", "--client", "first"]);
    let said = run(command, "").await;
    catch_up(&server);
    said.assert(0, &["first has lost the tokens of 1 logins"]);
    // Of each by the session, and by the person.
    let told = heard(&site, "/first", 4).await;
    let his = claims(first.text("id_token"));
    let is_of_him = |(sub, _): &(String, Option<String>)| his["sub"] == *sub;
    let (of_him, of_her): (Vec<_>, Vec<_>) = told.into_iter().partition(is_of_him);
    for of_one in [&of_him, &of_her] {
        let without = of_one.iter().filter(|(_, sid)| sid.is_none()).count();
        assert_eq!((of_one.len(), without), (2, 1), "{of_one:?}");
    }
    assert!(
        of_him
            .iter()
            .flat_map(|(_, sid)| sid)
            .all(|sid| his["sid"] == *sid)
    );
    are_dead(&server, "first", &first).await;
    let refused = server.redeem("first", &code, &[]).await;
    refused.assert_error(400, "invalid_grant");
    let answer = server.refresh("second", second.text("refresh_token")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(site.hits("/second"), 0);
    for browser in [&mut browser, &mut hers] {
        let url = server.authorize_url("second", &[("prompt", "none")]);
        assert!(browser.get(url).await.answer().contains_key("code"));
    }
}
