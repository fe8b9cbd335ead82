//! `portico session`.

use portico::clock::{Clock, random_id};
use portico::model::account::Account;
use portico::model::family::{Recipient, TokenFamily};
use portico::model::session::{Authentication, Session};
use portico::protocol::ids::{ClientId, FamilyId};
use portico::protocol::scope::Scope;
use portico::simulator::people::{JO_SMITH, ZOE};
use portico::store::Store;
use serde_json::Value;

use super::account::{login, person};
use super::{Site, portico_of, run};
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
    let site = Site::new().await;
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
    let said = site.run(&["session", "list", "--json"]).await;
    let lines: Vec<Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
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
    let told = heard(&site, "/first", 2).await;
    assert!(told.iter().all(|(_, sid)| sid.is_none()), "{told:?}");
    let his = claims(first.text("id_token"))["sub"].clone();
    let of_him = told.iter().filter(|(sub, _)| his == *sub).count();
    assert_eq!((told.len(), of_him), (2, 1));
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
