//! `portico account`.

use portico::clock::{Clock, random_id};
use portico::model::account::{Account, UpstreamSubject};
use portico::model::consent::Consent;
use portico::model::device::Device;
use portico::model::session::Session;
use portico::protocol::claims::Profile;
use portico::protocol::ids::{AccountId, AccountSubject, ClientId, SessionId, UpstreamId};
use portico::protocol::scope::Scope;
use portico::store::{NewAccount, Store};
use serde_json::json;

use super::Site;

pub(super) fn login(upstream: &str, subject: &str) -> UpstreamSubject {
    UpstreamSubject {
        upstream: UpstreamId::new(upstream),
        subject: subject.to_owned(),
    }
}

/// Somebody who has logged in, and still is.
pub(super) async fn person(
    store: &Store,
    login: &UpstreamSubject,
    username: &str,
) -> (Account, Session) {
    let now = Clock::system().now();
    let profile = Profile {
        name: Some(format!("Name of {username}")),
        preferred_username: Some(username.to_owned()),
        ..Profile::default()
    };
    let new = NewAccount {
        id: AccountId::new(random_id()),
        subject: AccountSubject::new(random_id()),
    };
    let account = store
        .find_or_insert_account(login, &profile, new, now)
        .await
        .unwrap();
    let session = Session {
        id: SessionId::new(random_id()),
        account_id: account.id.clone(),
        upstream: login.upstream.clone(),
        upstream_subject: Some(login.subject.clone()),
        auth_time: now,
        began_at: now,
        amr: vec![],
        acr: None,
        last_seen_at: now,
        expires_at: now + 3600,
        ended_at: None,
        persistent: false,
        device: Device {
            browser: Some("Firefox".to_owned()),
            system: Some("Linux".to_owned()),
            address: Some("192.0.2.7".to_owned()),
        },
    };
    store
        .replace_session(&random_id(), &session, None, &[], None)
        .await
        .unwrap();
    (account, session)
}

#[tokio::test]
async fn accounts_are_listed_found_and_shown() {
    let site = Site::new().await;
    let store = site.database.store().await;
    let (jo, session) = person(&store, &login("members", "4711"), "JSMITH").await;
    let (ann, _) = person(&store, &login("staff", "uid:7"), "ann.lee").await;
    let created_at = jo.created_at;
    let (jo, ann) = (jo.subject.as_str(), ann.subject.as_str());
    let said = site.run(&["account", "list"]).await;
    said.assert(0, &["SUBJECT", "members:4711", "staff:uid:7", "open"]);
    assert_eq!(said.out.lines().count(), 3, "{}", said.out);
    let said = site.run(&["account", "list", "--name", "jsmith"]).await;
    said.assert(0, &[jo, "Name of JSMITH"]);
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);
    let said = site.run(&["account", "list", "--limit", "1", "--json"]);
    assert_eq!(said.await.objects().len(), 1);
    let said = site.run(&["account", "list", "--name", "jsmith", "--json"]);
    let [told] = said.await.objects().try_into().unwrap();
    assert_eq!(told["subject"], jo);
    assert_eq!(told["state"], "open");
    assert_eq!(told["name"], "Name of JSMITH");
    assert_eq!(told["created_at"], created_at);
    let known_as = &told["logins"][0];
    assert_eq!(known_as["upstream"], "members");
    assert_eq!(known_as["id"], "4711");
    assert_eq!(known_as["preferred_username"], "JSMITH");
    let command = ["account", "show", "--subject", jo, "--json"];
    let [shown] = site.run(&command).await.objects().try_into().unwrap();
    assert_eq!(shown["logins"], told["logins"]);
    let sessions = shown["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0]["session"], session.id.as_str());
    assert_eq!(sessions[0]["upstream"], "members");
    assert_eq!(sessions[0]["expires_at"], session.expires_at);
    let said = site.run(&["account", "list", "--limit", "1"]).await;
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);
    for which in [
        ["--subject", jo].as_slice(),
        &["--upstream", "members", "--id", "4711"],
        &["--name", "JSmith"],
    ] {
        let command = [&["account", "show"], which].concat();
        let said = site.run(&command).await;
        let shown = [
            jo,
            "members  4711  JSMITH  Name of JSMITH",
            session.id.as_str(),
        ];
        said.assert(0, &shown);
        assert!(!said.out.contains(ann), "{}", said.out);
    }
    for (which, text) in [
        (
            ["--subject", "nobody"].as_slice(),
            "there is no such account",
        ),
        (
            ["--subject", "-nobody"].as_slice(),
            "there is no such account",
        ),
        (
            &["--upstream", "staff", "--id", "4711"],
            "there is no such account",
        ),
        (&["--name", "J"], "there is no such account"),
    ] {
        let command = [&["account", "show"], which].concat();
        site.run(&command).await.assert(1, &[text]);
    }
    // Half of a name is none.
    for which in [[].as_slice(), &["--upstream", "staff"], &["--id", "4711"]] {
        let command = [&["account", "show"], which].concat();
        assert_eq!(site.run(&command).await.code, Some(2), "{which:?}");
    }
    person(&store, &login("staff", "uid:8"), "jsmith").await;
    for (limit, lines) in [("1", 2), ("2", 3)] {
        let command = ["account", "list", "--name", "jsmith", "--limit", limit];
        let said = site.run(&command).await;
        assert_eq!(said.out.lines().count(), lines, "{}", said.out);
    }
}

/// What an app may do, at the APIs that it named too, and see, by single claims.
#[tokio::test]
async fn a_consent_is_shown_with_all_that_was_agreed_to() {
    let site = Site::started().await;
    let store = site.database.store().await;
    let (jo, _) = person(&store, &login("members", "4711"), "JSMITH").await;
    let scope = |text: &str| Scope::parse(text).unwrap();
    let at = ["https://api.example.org".to_owned()];
    let client = ClientId::new("members-app");
    let now = Clock::system().now();
    let consent = Consent {
        claims: ["email", "nickname"].map(str::to_owned).into(),
        ..Consent::to(
            jo.id.clone(),
            client.clone(),
            scope("openid reports:read"),
            &at,
            now,
        )
    };
    store.widen_consent(&consent).await.unwrap();
    let row = async || {
        let said = site.run(&["account", "show", "--name", "JSMITH"]).await;
        said.assert(0, &["CLAIMS"]);
        let row = said.out.lines().find(|line| line.contains("consent"));
        row.unwrap_or_else(|| panic!("{}", said.out)).to_owned()
    };
    let told = row().await;
    assert!(
        told.ends_with("  openid reports:read  email nickname"),
        "{told}"
    );
    let later = Consent::to(jo.id.clone(), client, scope("profile"), &[], now);
    store.widen_consent(&later).await.unwrap();
    let told = row().await;
    assert!(
        told.ends_with("  openid profile reports:read  email nickname"),
        "{told}"
    );
    let told = site.run(&["account", "show", "--name", "JSMITH", "--json"]);
    let [told] = told.await.objects().try_into().unwrap();
    let expected = json!({
        "client": "members-app",
        "granted_at": now,
        "scope": "openid profile reports:read",
        "claims": ["email", "nickname"],
    });
    assert_eq!(told["consents"], json!([expected]));
    assert_eq!(told["apps"], json!([]));
}

/// Each change is a line of the audit log, and each refusal says what to do.
#[tokio::test]
async fn logins_are_linked_and_unlinked() {
    let site = Site::new().await;
    let store = site.database.store().await;
    let (jo, _) = person(&store, &login("members", "4711"), "JSMITH").await;
    let (ann, hers) = person(&store, &login("staff", "uid:7"), "ann.lee").await;
    let (twin, _) = person(&store, &login("members", "4712"), "JSMITH").await;
    let (into, closed) = (jo.subject.as_str(), ann.subject.as_str());
    let said = site.run(&["account", "show", "--name", "JSMITH"]).await;
    said.assert(
        1,
        &["several accounts have the user name JSMITH", "--subject"],
    );

    let link = ["account", "link", "--into", into, "--upstream"];
    let linked = [&link[..], &["staff", "--id", "uid:7"]].concat();
    let said = site.run(&linked).await;
    said.assert(0, &["leads to", closed, "is closed for good"]);
    said.assert(0, &["portico::audit", "account_linked", "administrator"]);
    assert!(!said.out.contains("audit"), "the log is not the answer");
    assert!(
        store
            .find_session(&hers.id)
            .await
            .unwrap()
            .unwrap()
            .ended_at
            .is_some()
    );
    site.run(&linked).await.assert(0, &["already"]);
    let said = site.run(&["account", "enable", "--subject", closed]).await;
    said.assert(1, &["was linked into", into, "never opens again"]);
    let command = ["account", "show", "--subject", closed, "--json"];
    let [told] = site.run(&command).await.objects().try_into().unwrap();
    assert_eq!(told["state"], "linked");
    assert_eq!(told["linked_into"], into);
    assert_eq!(told["sessions"], json!([]), "hers have ended");

    let same = [&link[..], &["members", "--id", "4712"]].concat();
    let said = site.run(&same).await;
    said.assert(
        1,
        &["has a login of that upstream already", "--same-upstream"],
    );
    let unchanged = store.find_login(&login("members", "4712")).await.unwrap();
    assert_eq!(unchanged, Some(twin.id));
    let same = [&same[..], &["--same-upstream"]].concat();
    site.run(&same).await.assert(0, &["leads to"]);
    let said = site
        .run(&[&link[..], &["nowhere", "--id", "1"]].concat())
        .await;
    said.assert(1, &["there is no upstream nowhere", "members, staff"]);

    let unlink = |id: &'static str| ["account", "unlink", "--upstream", "members", "--id", id];
    let said = site.run(&unlink("4712")).await;
    said.assert(0, &["leads to the new account", "account_unlinked"]);
    let said = site.run(&unlink("4712")).await;
    said.assert(1, &["the only login of its account"]);
    site.run(&unlink("nobody"))
        .await
        .assert(1, &["nobody has logged in as"]);
}

#[tokio::test]
async fn an_account_is_closed_and_opened() {
    let site = Site::new().await;
    let store = site.database.store().await;
    let (jo, session) = person(&store, &login("members", "4711"), "JSMITH").await;
    let subject = jo.subject.as_str();
    let said = site.run(&["account", "disable", "--name", "JSMITH"]).await;
    said.assert(0, &[subject, "is closed", "account_disabled"]);
    let ended = store.find_session(&session.id).await.unwrap().unwrap();
    assert!(ended.ended_at.is_some());
    let said = site
        .run(&["account", "disable", "--subject", subject])
        .await;
    said.assert(1, &["is closed already"]);
    site.run(&["account", "list"]).await.assert(0, &["closed"]);
    let link = [
        "account",
        "link",
        "--into",
        subject,
        "--upstream",
        "staff",
        "--id",
        "1",
    ];
    let said = site.run(&link).await;
    said.assert(1, &["is closed", "portico account enable"]);
    let said = site.run(&["account", "enable", "--subject", subject]).await;
    said.assert(0, &["is open again", "account_enabled"]);
    let said = site.run(&["account", "enable", "--subject", subject]).await;
    said.assert(1, &["is open"]);
}
