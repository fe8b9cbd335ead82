//! `portico serve`: what it refuses to start with, and what it does until it is told to end.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sqlx::migrate::Migrate as _;
use sqlx::{AnyConnection, Connection as _, Executor as _};
use tokio::time::sleep;

use super::{Process, Site, Stream};
use crate::harness::browser::http_client;
use crate::harness::relying_party::{Answer, answer};

async fn get(server: &Process, path: &str) -> Answer {
    answer(http_client().get(server.url(path))).await
}

async fn kids(server: &Process) -> BTreeSet<String> {
    let jwks = get(server, "/jwks").await;
    let keys = jwks.body["keys"].as_array().unwrap().clone();
    let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    keys.iter().map(kid).collect()
}

/// The `kid` of a fresh token.
async fn signs_with(server: &Process) -> String {
    let request = http_client()
        .post(server.url("/token"))
        .basic_auth("reports", Some(super::SECRETS[3].1))
        .form(&[("grant_type", "client_credentials")]);
    let tokens = answer(request).await;
    let header = tokens.text("access_token").split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_server_starts_answers_and_ends_in_good_order() {
    let site = Site::new().await;
    let server = site.serve().await;
    let discovery = get(&server, "/.well-known/openid-configuration").await;
    assert_eq!(discovery.status, 200);
    assert_eq!(kids(&server).await.len(), 1);
    assert_eq!(
        server.terminate(),
        Some(0),
        "SIGTERM is how supervisors end a server"
    );
}

/// The disk of the log is full, or whoever read it has gone: that is no reason to refuse people.
#[tokio::test]
async fn a_log_that_cannot_be_written_stops_nobody() {
    let site = Site::new().await;
    let mut server = site.serve().await;
    let token = server.url("/token");
    let wrong = async || {
        let request = http_client().post(&token).basic_auth("reports", Some("x"));
        let form = [("grant_type", "client_credentials")];
        answer(request.form(&form)).await.status
    };
    server.hang_up(wrong()).await;
    for _ in 0..3 {
        assert_eq!(wrong().await, 401, "which is logged");
    }
    assert_eq!(kids(&server).await.len(), 1);
    assert_eq!(signs_with(&server).await.len(), 22);
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test]
async fn a_broken_configuration_is_not_served() {
    let site = Site::new().await;
    site.edit("kind = \"imis\"", "kind = \"imsi\"");
    site.edit("[log]\n", "[log]\nlevel = \"info\"\n");
    let said = site.run(&["serve"]).await;
    said.assert(1, &["did you mean imis?", "log.level", "2 problems"]);
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let mut site = Site::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    site.set("PORTICO_LISTEN", &address);
    let said = site.run(&["serve"]).await;
    said.assert(1, &[&format!("cannot listen on {address}"), "in use"]);
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_named_without_its_password() {
    let mut site = Site::new().await;
    let file = site.path("no/portico.db").display().to_string();
    site.set("DATABASE", &format!("sqlite:{file}"));
    let said = site.run(&["serve"]).await;
    said.assert(1, &[&file, "its folder must be there"]);
    let at = super::NOWHERE;
    site.set(
        "DATABASE",
        &format!("postgres://portico:db-password@{at}/portico"),
    );
    let said = site.run(&["serve"]).await;
    said.assert(1, &[&format!("the database postgres://{at}/portico: ")]);
    assert!(!said.err.contains("db-password"), "{}", said.err);
}

#[tokio::test]
async fn a_wrong_master_key_is_refused() {
    let mut site = Site::started().await;
    site.set("MASTER_KEY", "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=");
    let said = site.run(&["serve"]).await;
    said.assert(1, &["cannot be opened with this master key"]);
}

/// What stands in the database of one client's secrets.
async fn secrets_of(site: &Site, client: &'static str) -> String {
    sqlx::query_scalar("SELECT secrets FROM client WHERE id = $1")
        .bind(client)
        .fetch_one(&site.database.pool().await)
        .await
        .unwrap()
}

/// Secrets hashed or sealed under another master key would be good at none of the nodes that go on serving.
#[tokio::test]
async fn a_start_with_another_master_key_changes_no_client() {
    let mut site = Site::new().await;
    let signing = r#"[[clients]]
client_id = "signs"
client_secret = { env = "REPORTS_SECRET" }
token_endpoint_auth_method = "client_secret_jwt"
grant_types = ["client_credentials"]
scope = "reports:read"

"#;
    let first = "[[clients]]\nclient_id = \"members-app\"";
    site.edit(first, &[signing, first].concat());
    assert_eq!(site.serve().await.terminate(), Some(0));
    let before = [
        secrets_of(&site, "reports").await,
        secrets_of(&site, "signs").await,
    ];
    assert!(
        before.iter().all(|secrets| secrets.len() > 20),
        "{before:?}"
    );
    site.set("MASTER_KEY", "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=");
    site.run(&["serve"]).await.assert(1, &[]);
    let after = [
        secrets_of(&site, "reports").await,
        secrets_of(&site, "signs").await,
    ];
    assert_eq!(after, before);
}

/// The next start finds it done, and would record nothing.
#[tokio::test]
async fn what_a_start_has_done_before_it_failed_is_recorded() {
    let mut site = Site::started().await;
    site.edit(
        "https://app.example.org/callback",
        "https://app.example.org/other",
    );
    let nowhere = site.path("nowhere.pem").display().to_string();
    site.set("SSL_CERT_FILE", &nowhere);
    let said = site.run(&["serve"]).await;
    said.assert(1, &["no certificate authority is trusted"]);
    for (event, text) in [
        ("client_changed", "client=members-app"),
        (
            "configuration_changed",
            "clients[members-app].redirect_uris",
        ),
    ] {
        let said = site.run(&["audit", "--event", event]).await;
        said.assert(0, &[text]);
    }
}

/// Whoever waits (for a backup, for another node that migrates) and is told to end need not be killed.
#[tokio::test]
async fn a_server_that_waits_while_it_starts_ends_when_it_is_told_to() {
    let mut site = Site::started().await;
    let mut holder = AnyConnection::connect(site.database.url().expose())
        .await
        .unwrap();
    if site.database.folder().is_some() {
        holder.execute("BEGIN IMMEDIATE").await.unwrap();
    } else {
        holder.lock().await.unwrap();
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    site.set("PORTICO_LISTEN", &address.to_string());
    let waiting = Process::start(site.command(&["serve"]), Stream::Errors);
    let mut looks = 0;
    while std::net::TcpStream::connect(address).is_err() {
        looks += 1;
        assert!(looks < 3000, "it does not listen");
        sleep(Duration::from_millis(10)).await;
    }
    // What it does next is to open the database, where it waits: of PostgreSQL that can be seen.
    if site.database.folder().is_some() {
        sleep(Duration::from_millis(300)).await;
    } else {
        let waits = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let pool = site.database.pool().await;
        while sqlx::query_scalar::<_, i64>(waits)
            .fetch_one(&pool)
            .await
            .unwrap()
            == 0
        {
            looks += 1;
            assert!(looks < 3000, "it does not wait");
            sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(waiting.terminate(), Some(0));
    holder.close().await.unwrap();
}

/// PostgreSQL: while it can still be ended.
#[tokio::test]
async fn a_migration_says_what_it_waits_for() {
    let site = Site::started().await;
    if site.database.folder().is_some() {
        return;
    }
    let mut backup = AnyConnection::connect(site.database.url().expose())
        .await
        .unwrap();
    let before =
        "ALTER TABLE session DROP COLUMN began_at; DELETE FROM _sqlx_migrations WHERE version = 38";
    backup.execute(before).await.unwrap();
    backup
        .execute("SET application_name = 'the backup'; BEGIN; SELECT id FROM session")
        .await
        .unwrap();
    let mut waiting = Process::start(site.command(&["migrate"]), Stream::Errors);
    let line = waiting.line_with("cannot be brought up to date").await;
    assert!(line.contains("the backup, pid "), "{line}");
    drop(waiting);
    backup.execute("COMMIT").await.unwrap();
    site.run(&["migrate"]).await.assert(0, &["up to date"]);
}

/// A key that has leaked is ended though its algorithm has been taken from the config, and verifies for months yet.
#[tokio::test]
async fn a_leaked_key_of_an_algorithm_that_is_no_longer_named_is_ended() {
    let site = Site::new().await;
    site.edit(
        "[keys]\n",
        "[keys]\nalgorithms = [\"RS256\", \"ES256\", \"EdDSA\"]\n",
    );
    assert_eq!(site.serve().await.terminate(), Some(0));
    let states = async || {
        let keys = site.run(&["key", "list", "--json"]).await.objects();
        let state =
            |key: &Value| ["alg", "state"].map(|name| key[name].as_str().unwrap().to_owned());
        let mut states: Vec<_> = keys.iter().map(state).collect();
        states.sort();
        states
    };
    let named = |pairs: &[(&str, &str)]| {
        let own = |pair: &(&str, &str)| [pair.0.to_owned(), pair.1.to_owned()];
        pairs.iter().map(own).collect::<Vec<_>>()
    };
    // While nothing else signs, they stay.
    site.edit("[\"RS256\", \"ES256\", \"EdDSA\"]", "[\"PS256\"]");
    let leaked = ["key", "rotate", "--now", "--algorithm", "ES256"];
    site.run(&leaked).await.assert(
        1,
        &["nothing is ended, for no key of keys.algorithms signs yet"],
    );
    let all = [
        ("ES256", "active"),
        ("EdDSA", "active"),
        ("RS256", "active"),
    ];
    assert_eq!(states().await, named(&all));

    site.edit("[\"PS256\"]", "[\"RS256\"]");
    let server = site.serve().await;
    assert_eq!(kids(&server).await.len(), 3);
    site.run(&["key", "rotate", "--algorithm", "ES256"])
        .await
        .assert(1, &["ES256 is not among keys.algorithms", "--now ends"]);
    site.run(&leaked)
        .await
        .assert(0, &["ES256: ", "is trusted no more"]);
    let one = [
        ("ES256", "expired"),
        ("EdDSA", "active"),
        ("RS256", "active"),
    ];
    assert_eq!(states().await, named(&one));
    site.run(&leaked).await.assert(
        1,
        &["ES256 is not among keys.algorithms, and none of its keys is left"],
    );

    let said = site.run(&["key", "rotate", "--now"]).await;
    said.assert(
        0,
        &["RS256: ", "is active", "EdDSA: ", "is trusted no more"],
    );
    let rest = [
        ("ES256", "expired"),
        ("EdDSA", "expired"),
        ("RS256", "active"),
        ("RS256", "expired"),
    ];
    assert_eq!(states().await, named(&rest));
    assert_eq!(server.terminate(), Some(0));
    let server = site.serve().await;
    assert_eq!(kids(&server).await.len(), 1);
    assert_eq!(server.terminate(), Some(0));

    let audit = ["audit", "--json", "--event", "signing_key_retired"];
    let told = site.run(&audit).await.objects();
    let by_us = told
        .iter()
        .filter(|record| record["details"]["by"] == "administrator");
    let algorithms = by_us.map(|record| record["details"]["algorithm"].as_str().unwrap());
    assert_eq!(algorithms.collect::<Vec<_>>(), ["ES256", "EdDSA"]);
}

/// An ID token may come back as the hint of a logout at the end of the longest session: that of somebody who asked to be kept signed
/// in, where that is offered.
#[tokio::test]
async fn a_retired_key_verifies_as_long_as_the_longest_session() {
    const DAY: i64 = 24 * 60 * 60;
    for (more, days) in [
        ("", 90),
        ("[login]\nkeep_signed_in = false\n\n", 7),
        ("[lifetimes]\nsession_absolute = \"100d\"\n\n", 100),
    ] {
        let site = Site::new().await;
        site.edit("[log]\n", &format!("{more}[log]\n"));
        assert_eq!(site.serve().await.terminate(), Some(0));
        site.run(&["key", "rotate"]).await.assert(0, &[]);
        let kept: i64 = sqlx::query_scalar(
            "SELECT expires_at - retired_at FROM signing_key WHERE retired_at IS NOT NULL",
        )
        .fetch_one(&site.database.pool().await)
        .await
        .unwrap();
        assert_eq!(kept, days * DAY, "{more}");
    }
}

/// T47: the announced key is published and signs nothing; one rotated for a leak signs at once.
#[tokio::test]
async fn a_server_takes_rotated_keys_over() {
    let site = Site::new().await;
    let server = site.serve().await;
    let first = signs_with(&server).await;
    assert_eq!(server.terminate(), Some(0));

    site.run(&["key", "rotate"])
        .await
        .assert(0, &["is announced"]);
    let server = site.serve().await;
    let published = kids(&server).await;
    assert_eq!(published.len(), 2);
    assert_eq!(signs_with(&server).await, first);
    assert_eq!(server.terminate(), Some(0));

    site.run(&["key", "rotate", "--now"])
        .await
        .assert(0, &["is active"]);
    let server = site.serve().await;
    let emergency = signs_with(&server).await;
    assert!(!published.contains(&emergency));
    assert_eq!(
        kids(&server).await,
        BTreeSet::from([emergency]),
        "the leaked one is gone"
    );
}
