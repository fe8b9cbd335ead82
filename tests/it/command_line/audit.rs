//! `portico audit`: what is recorded of what happened, after it did.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use portico::model::audit::{AuditFilter, AuditRecord, Event};
use portico::simulator::people::JO_SMITH;
use serde_json::Value;

use super::{Site, portico_of, run};
use crate::harness::browser::Browser;
use crate::harness::relying_party::Answer;
use crate::harness::server::{START, TestServer};

/// What `portico audit --json` finds.
pub(super) async fn audit(server: &TestServer, arguments: &[&str]) -> Vec<Value> {
    let command = [&["audit", "--json"], arguments].concat();
    let said = run(portico_of(server, &command), "").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let lines = said.out.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The one record of that event.
#[track_caller]
pub(super) fn one(found: &[Value], event: Event) -> &Value {
    let mut fitting = found
        .iter()
        .filter(|record| record["event"] == event.as_str());
    let first = fitting.next();
    let first = first.unwrap_or_else(|| panic!("no {} in {found:#?}", event.as_str()));
    assert_eq!(fitting.next(), None, "{} twice", event.as_str());
    first
}

/// Asserts what a record says, by JSON pointer.
#[track_caller]
pub(super) fn says(record: &Value, expected: &[(&str, &str)]) {
    for (pointer, text) in expected {
        let said = record.pointer(pointer).and_then(Value::as_str);
        assert_eq!(said, Some(*text), "{pointer} in {record:#}");
    }
}

/// A member logs in for a client, refreshes and leaves; a stranger tries a password.
async fn member(server: &TestServer) -> Answer {
    let mut browser = Browser::new();
    let url = server.authorize_url("web", &[("scope", "openid profile offline_access")]);
    let page = browser.open(&url).await;
    let wrong = (JO_SMITH.username, "not-the-password");
    let page = browser.sign_in(&page, "members", wrong).await;
    let done = browser.sign_in_as(&page, JO_SMITH).await;
    let code = done.answer().remove("code").unwrap();
    let tokens = server.redeem("web", &code, &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let next = server.refresh("web", tokens.text("refresh_token")).await;
    assert_eq!(next.status, 200, "{next:?}");
    let hint = tokens.text("id_token");
    let leave = server.url(&format!("/end_session?id_token_hint={hint}"));
    assert_eq!(browser.get(leave).await.status, 200);
    tokens
}

#[tokio::test]
async fn a_login_from_its_beginning_to_the_logout_is_found_by_all_that_belongs_to_it() {
    let mut server = TestServer::start().await;
    let tokens = member(&server).await;
    server.stop().await;
    let found = audit(&server, &[]).await;
    let login = one(&found, Event::LoggedIn);
    says(
        login,
        &[
            ("/upstream", "members"),
            ("/address", "127.0.0.1"),
            ("/time", "2023-11-14T22:13:20Z"),
        ],
    );
    assert_eq!(login["at"], START);
    let (account, session) = (
        login["account"].as_str().unwrap(),
        login["session"].as_str().unwrap(),
    );
    let of_them = [("/account", account), ("/session", session)];
    let refused = one(&found, Event::LoginRefused);
    says(
        refused,
        &[("/upstream", "members"), ("/details/method", "password")],
    );
    assert_eq!(refused["flow"], login["flow"], "one tab");
    assert_ne!(refused["request"], login["request"]);
    let given: Vec<&Value> = found
        .iter()
        .filter(|record| record["event"] == "tokens_issued")
        .collect();
    for (record, grant) in given.iter().zip(["authorization_code", "refresh_token"]) {
        says(record, &of_them);
        says(
            record,
            &[
                ("/client_id", "web"),
                ("/upstream", "members"),
                ("/details/grant", grant),
            ],
        );
        assert_eq!(record["details"]["with_refresh_token"], true);
    }
    assert_eq!(given.len(), 2);
    let family = given[0]["family"].as_str().unwrap();
    says(one(&found, Event::LoggedOut), &of_them);

    // Every filter finds what fits it, and nothing else.
    let of_session = audit(&server, &["--session", session]).await;
    assert_eq!(
        names(&of_session),
        ["logged_in", "tokens_issued", "tokens_issued", "logged_out"]
    );
    let subject = crate::harness::relying_party::claims(tokens.text("id_token"))["sub"].clone();
    let request = refused["request"].as_str().unwrap();
    for (filter, events) in [
        (
            ["--account", subject.as_str().unwrap()].as_slice(),
            names(&of_session),
        ),
        (&["--account", account], names(&of_session)),
        // The attempt in vain, too.
        (
            &["--user", "JSmith"],
            [vec!["login_refused"], names(&of_session)].concat(),
        ),
        (&["--user", "nobody"], vec![]),
        (
            &["--client", "web", "--event", "tokens_issued"],
            vec!["tokens_issued"; 2],
        ),
        (&["--family", family], vec!["tokens_issued"; 2]),
        (&["--request", request], vec!["login_refused"]),
        (
            &["--upstream", "members", "--event", "login_refused"],
            vec!["login_refused"],
        ),
        (&["--upstream", "staff"], vec![]),
        (&["--session", session, "--limit", "1"], vec!["logged_out"]),
        (&["--session", session, "--since", "2023-11-15"], vec![]),
        (
            &["--session", session, "--until", "2023-11-14T22:13:20Z"],
            vec![],
        ),
        (
            &[
                "--session",
                session,
                "--since",
                "2023-11-14",
                "--until",
                "2023-11-15",
            ],
            names(&of_session),
        ),
    ] {
        assert_eq!(names(&audit(&server, filter).await), events, "{filter:?}");
    }
    let said = run(portico_of(&server, &["audit", "--event", "logged_in"]), "").await;
    let line = format!("2023-11-14T22:13:20Z logged_in account={account} upstream=members");
    said.assert(0, &[&line]);
}

fn names(records: &[Value]) -> Vec<&str> {
    let names = records
        .iter()
        .map(|record| record["event"].as_str().unwrap());
    names.collect()
}

#[tokio::test]
async fn what_cannot_be_searched_for_is_said() {
    let site = Site::started().await;
    for (arguments, code, text) in [
        (["--event", "nothing"], 2, "the events are logged_in"),
        (["--since", "yesterday"], 1, "is no time; write"),
        (["--account", "nobody"], 1, "there is no such account"),
    ] {
        let said = site.run(&[&["audit"], &arguments[..]].concat()).await;
        said.assert(code, &[text]);
    }
}

/// With `database = false` the log alone is kept.
#[tokio::test]
async fn who_wants_no_records_in_the_database_has_none() {
    let mut server = TestServer::start_with(|setup| {
        setup.sections.push_str("\n[audit]\ndatabase = false\n");
    })
    .await;
    member(&server).await;
    server.stop().await;
    assert_eq!(audit(&server, &[]).await, Vec::<Value>::new());
    let said = run(portico_of(&server, &["audit"]), "").await;
    said.assert(0, &["audit.database is false"]);
}

/// A record goes when it is older than `audit.keep`, and not before.
#[tokio::test]
async fn records_are_kept_as_long_as_they_are_wanted() {
    let server = TestServer::start().await;
    let record = |id: &str, at| AuditRecord {
        id: id.to_owned(),
        at,
        event: "logged_in".to_owned(),
        account: None,
        client_id: None,
        upstream: None,
        session: None,
        family: None,
        request: None,
        flow: None,
        address: None,
        user_agent: None,
        name_hash: None,
        details: serde_json::Map::new(),
    };
    let records = [record("a", 99), record("b", 100), record("c", 101)];
    // A batch whose outcome was not heard is written again, and kept once.
    for _ in 0..2 {
        server.store.insert_audit(&records).await.unwrap();
    }
    assert_eq!(server.store.sweep_audit(100, 1).await.unwrap(), 1);
    let left = server
        .store
        .search_audit(&AuditFilter::default(), 10)
        .await
        .unwrap();
    let left: Vec<&str> = left.iter().map(|record| record.id.as_str()).collect();
    assert!(left.ends_with(&["c", "b"]), "{left:?}");
}

/// What is recorded never changes: the source has three statements about the table, and none of them changes a row.
#[test]
fn records_are_added_and_swept_and_never_changed() {
    let mut statements = Vec::new();
    for (file, text) in sources() {
        let words: Vec<&str> = text.split_whitespace().collect();
        for pair in words.windows(2) {
            if let ["FROM" | "INTO" | "UPDATE" | "\"UPDATE", "audit"] = pair {
                statements.push((file.clone(), pair[0].to_owned()));
            }
        }
        let own = file == "store/audit.rs";
        assert!(!own || !(text.contains("UPDATE") || text.contains("DELETE")));
    }
    statements.sort();
    let expected = [
        ("store/audit.rs", "FROM"),
        ("store/audit.rs", "INTO"),
        // The sweep's DELETE, and the SELECT within it.
        ("store/sweep.rs", "FROM"),
        ("store/sweep.rs", "FROM"),
    ];
    let expected = expected.map(|(file, word)| (file.to_owned(), word.to_owned()));
    assert_eq!(statements, expected);
}

/// A detail that the log does not know would be in the database alone.
#[test]
fn each_detail_is_a_field_of_the_log() {
    let line = include_str!("../../../src/telemetry/audit/line.rs");
    let fields: BTreeSet<&str> = line
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let mut unknown = Vec::new();
    let files = sources().into_iter();
    for (file, text) in files.filter(|(file, _)| !file.starts_with("simulator")) {
        for (_, rest) in text
            .match_indices(".with(\"")
            .map(|(start, found)| text[start..].split_at(found.len()))
        {
            let name = rest.split('"').next().unwrap();
            if !fields.contains(name) {
                unknown.push(format!("{file}: {name}"));
            }
        }
    }
    assert_eq!(unknown, Vec::<String>::new());
}

/// The events that operating.md tells of are those that there are.
#[test]
fn each_event_is_documented() {
    let doc = include_str!("../../../docs/operating.md");
    let missing: Vec<&str> = Event::ALL
        .iter()
        .map(|event| event.as_str())
        .filter(|name| !doc.contains(&format!("`{name}`")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// The files of `src`, by their paths from there.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                found.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}
