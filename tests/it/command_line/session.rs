//! `portico session`.

use portico::clock::{Clock, random_id};
use portico::model::account::Account;
use portico::model::family::{Recipient, TokenFamily};
use portico::model::session::{Authentication, Session};
use portico::protocol::ids::{ClientId, FamilyId};
use portico::protocol::scope::Scope;
use portico::store::Store;
use serde_json::Value;

use super::Site;
use super::account::{login, person};

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
