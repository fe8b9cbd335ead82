//! `portico migrate --from`: when one machine is not enough any more. The tests that run on PostgreSQL move into it, those on SQLite see
//! that nothing else is moved into.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use portico::model::audit::Event;
use portico::simulator::people::JO_SMITH;
use portico::store::MOVED_TABLES;
use serde_json::Value;
use sqlx::{AnyPool, AssertSqlSafe, Row as _};

use super::audit::{audit, one, says};
use super::{Said, portico_of, run};
use crate::harness::browser::{Browser, PASSWORD_FORM};
use crate::harness::database::TestDatabase;
use crate::harness::relying_party::{Answer, claims, header};
use crate::harness::server::TestServer;

/// What a text may hold that a format of lines and columns could stumble over.
const ODD: &str = "\\N\t\\.\n\r\\x41 \"',é\u{1f600}";

/// Runs the command with `file`, as an administrator who has written `into` in the configuration of `server`.
async fn moved(server: &TestServer, file: &Path, into: &TestDatabase) -> Said {
    run(command(server, file, into), "").await
}

fn command(server: &TestServer, file: &Path, into: &TestDatabase) -> Command {
    let file = file.display().to_string();
    let mut command = portico_of(server, &["migrate", "--from", &file]);
    command.env("DATABASE_URL", into.url().expose());
    command
}

/// The names and types of a table's columns, and whether each must have a value.
async fn columns(sqlite: &AnyPool, table: &str) -> Vec<(String, String, bool)> {
    let all = AssertSqlSafe(format!(
        "SELECT name, type, \"notnull\" FROM pragma_table_info('{table}') ORDER BY cid"
    ));
    let rows = sqlx::query(all).fetch_all(sqlite).await.unwrap();
    let column = |row: &sqlx::any::AnyRow| (row.get(0), row.get(1), row.get::<i64, _>(2) == 1);
    rows.iter().map(column).collect()
}

/// Every row of every table, each value as text.
async fn rows(
    sqlite: &AnyPool,
    pool: &AnyPool,
) -> BTreeMap<&'static str, Vec<Vec<Option<String>>>> {
    let mut all = BTreeMap::new();
    for table in MOVED_TABLES {
        let columns = columns(sqlite, table).await;
        let texts = columns
            .iter()
            .map(|(name, ..)| format!("CAST({name} AS TEXT)"));
        let texts = texts.collect::<Vec<_>>().join(", ");
        let select = AssertSqlSafe(format!("SELECT {texts} FROM {table}"));
        let found = sqlx::query(select).fetch_all(pool).await.unwrap();
        let values =
            |row: &sqlx::any::AnyRow| (0..columns.len()).map(|place| row.get(place)).collect();
        let mut found: Vec<Vec<Option<String>>> = found.iter().map(values).collect();
        found.sort();
        all.insert(table, found);
    }
    all
}

/// Puts a row into each table that has none.
async fn fill(sqlite: &AnyPool) {
    let one = async |text: &'static str| -> String {
        sqlx::query_scalar(text).fetch_one(sqlite).await.unwrap()
    };
    let account = one("SELECT id FROM account").await;
    let session = one("SELECT id FROM session").await;
    for table in MOVED_TABLES {
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(count).fetch_one(sqlite).await.unwrap();
        if count > 0 {
            continue;
        }
        let needed: Vec<_> = columns(sqlite, table).await;
        let needed: Vec<_> = needed
            .into_iter()
            .filter(|(_, _, needed)| *needed)
            .collect();
        let names = needed.iter().map(|(name, ..)| name.as_str());
        let values = needed
            .iter()
            .map(|(name, kind, _)| match (name.as_str(), kind.as_str()) {
                ("client_id", _) => "'spa'".to_owned(),
                ("account_id", _) => format!("'{account}'"),
                ("session_id", _) => format!("'{session}'"),
                (_, "BIGINT") => "9007199254740993".to_owned(),
                (_, "TEXT") => format!("'{}'", ODD.replace('\'', "''")),
                (_, kind) => panic!("{table}.{name} is of type {kind}"),
            });
        let insert = format!(
            "INSERT INTO {table} ({}) VALUES ({})",
            names.collect::<Vec<_>>().join(", "),
            values.collect::<Vec<_>>().join(", ")
        );
        sqlx::query(AssertSqlSafe(insert))
            .execute(sqlite)
            .await
            .unwrap();
    }
}

/// What is no database of this version is not moved.
async fn refused(server: &TestServer, file: &Path, target: &TestDatabase) {
    let folder = server.database.folder().unwrap();
    let said = moved(server, &folder.join("none.db"), target).await;
    said.assert(
        1,
        &[
            "nothing was moved",
            "none.db cannot be read as an SQLite database",
        ],
    );
    assert!(!folder.join("none.db").exists());
    let other = folder.join("other.db");
    std::fs::write(
        &other,
        "This is a letter and no database, though it is long enough. ".repeat(99),
    )
    .unwrap();
    let said = moved(server, &other, target).await;
    said.assert(
        1,
        &["nothing was moved", "cannot be read as an SQLite database"],
    );
    for (change, told) in [
        (
            "DELETE FROM _sqlx_migrations WHERE version = 43",
            "was made by an older version",
        ),
        (
            "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1",
            "was used by a newer version",
        ),
        ("DROP TABLE _sqlx_migrations", "is no database of Portico"),
    ] {
        std::fs::copy(file, &other).unwrap();
        let pool = AnyPool::connect(&format!("sqlite:{}", other.display()))
            .await
            .unwrap();
        sqlx::query(change).execute(&pool).await.unwrap();
        pool.close().await;
        let said = moved(server, &other, target).await;
        said.assert(1, &["nothing was moved", told]);
    }
}

#[tokio::test]
async fn an_embedded_database_is_moved_and_everybody_stays_signed_in() {
    let mut server = TestServer::start_with(|setup| setup.on_sqlite = true).await;
    let mut browser = Browser::new();
    let scope = ("scope", "openid offline_access");
    let page = browser.open(server.authorize_url("spa", &[scope])).await;
    let page = browser.choose(&page, "members").await;
    let fields = [
        ("username", JO_SMITH.username),
        ("password", JO_SMITH.password),
    ];
    let page = browser.submit(&page, PASSWORD_FORM, &fields).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    let subject = claims(tokens.text("id_token"))["sub"].clone();
    let kid = |tokens: &Answer| header(tokens.text("id_token"))["kid"].clone();
    let signed_with = kid(&tokens);

    let file = server.database.file().unwrap();
    let target = TestDatabase::fresh().await;
    if target.folder().is_some() {
        let said = moved(&server, &file, &target).await;
        said.assert(1, &["moved into PostgreSQL, and database.url names none"]);
        return;
    }
    // A server that goes on would write what nobody has moved.
    let said = moved(&server, &file, &target).await;
    said.assert(1, &["nothing was moved", "is in use; stop the server"]);
    server.stop().await;
    server.store.close().await;

    let sqlite = server.database.pool().await;
    fill(&sqlite).await;
    let before = rows(&sqlite, &sqlite).await;
    assert!(before.values().all(|rows| !rows.is_empty()), "{before:?}");
    sqlite.close().await;

    refused(&server, &file, &target).await;
    let mut other_key = command(&server, &file, &target);
    other_key.env("MASTER_KEY", "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=");
    let said = run(other_key, "").await;
    said.assert(
        1,
        &["nothing was moved: keys.master_key is not the one that"],
    );

    let said = moved(&server, &file, &target).await;
    said.assert(
        0,
        &["TABLE ROWS", "account 1", "everything is in postgres://"],
    );
    let (sqlite, postgres) = (server.database.pool().await, target.pool().await);
    let mut after = rows(&sqlite, &postgres).await;
    assert_eq!(
        rows(&sqlite, &sqlite).await,
        before,
        "the file is as it was"
    );
    // What was done is recorded where it goes on.
    let audited = after["audit"].len();
    assert_eq!(audited, before["audit"].len() + 1);
    after
        .get_mut("audit")
        .unwrap()
        .retain(|row| before["audit"].contains(row));
    for (table, rows) in &before {
        assert_eq!(&after[table], rows, "{table}");
    }
    sqlite.close().await;
    postgres.close().await;

    // Nothing is added to what is there.
    let said = moved(&server, &file, &target).await;
    said.assert(
        1,
        &[
            "nothing was moved",
            "the table client of that database has rows already",
        ],
    );

    server.move_to(target).await;
    let again = server.refresh("spa", tokens.text("refresh_token")).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(claims(again.text("id_token"))["sub"], subject);
    assert_eq!(kid(&again), signed_with);
    let silent = [("prompt", "none"), ("scope", "openid")];
    let page = browser.get(server.authorize_url("spa", &silent)).await;
    assert!(page.answer().contains_key("code"), "{}", page.body);
    let told = audit(&server, &[]).await;
    let told = one(&told, Event::DatabaseMoved);
    says(told, &[("/details/by", "administrator")]);
    let rows: usize = before.values().map(Vec::len).sum();
    assert_eq!(told["details"]["rows"], Value::from(rows));
}
