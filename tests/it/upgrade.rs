//! An upgrade: a database of an older version, with all that people had there, is brought up to date by this one, and they
//! go on as if nothing had been.
//!
//! What a version has written is made from what this one writes: of each table that there was, the columns that there were.
//! Every column that was added since is as that version leaves it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use portico::model::audit::AuditFilter;
use portico::model::logout_notice::NoticeState;
use portico::simulator::people::JO_SMITH;
use reqwest::StatusCode;
use serde_json::{Map, Value};
use sqlx::migrate::{Migration, Migrator};
use sqlx::{AnyPool, AssertSqlSafe, Row as _};

use crate::backchannel_logout::{failed, log_out, notices, sign_in, told_at};
use crate::device;
use crate::harness::browser::Browser;
use crate::harness::database::TestDatabase;
use crate::harness::server::TestServer;
use crate::harness::site::{Page, Site};
use crate::token_exchange::{self, exchange};

/// Where an older version may have stopped: the newest migration that it knew.
const STOPS: [i64; 10] = [1, 2, 4, 9, 13, 20, 24, 29, 32, 42];
/// The first versions that kept these.
const VAULT: i64 = 2;
const DEVICES: i64 = 9;
const AUDIT: i64 = 20;
const NOTICES: i64 = 21;
/// The first version whose people may have more than a name and an address.
const MORE_CLAIMS: i64 = 5;

/// The files of the schema, the oldest first.
async fn migrator() -> Migrator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    Migrator::new(folder).await.unwrap()
}

/// An empty database as the version leaves it that knew the migrations up to `newest`; these, and those since then.
async fn empty_of_version(newest: i64) -> (TestDatabase, AnyPool, [Vec<Migration>; 2]) {
    let database = TestDatabase::fresh().await;
    // As an administrator has it: the file is there before a pool asks for it.
    drop(portico::store::Store::open(database.url()).await.unwrap());
    let pool = database.pool().await;
    let mut older = migrator().await;
    let all = older.migrations.into_owned();
    let (known, since): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|migration| migration.version <= newest);
    older.migrations = known.clone().into();
    older.run(&pool).await.unwrap();
    (database, pool, [known, since])
}

/// A database as the version leaves it that knew the migrations up to `newest`, with the rows of `today`.
async fn of_version(newest: i64, today: &TestDatabase) -> TestDatabase {
    let (database, old, [known, _]) = empty_of_version(newest).await;
    let new = today.pool().await;
    let tables: Vec<String> = known
        .iter()
        .flat_map(|migration| migration.sql.as_str().split("CREATE TABLE ").skip(1))
        .map(|rest| rest.split_whitespace().next().unwrap().to_owned())
        .collect();
    let mut copied = BTreeMap::new();
    for table in &tables {
        let count = copy(&old, &new, table, newest).await;
        copied.insert(table.as_str(), count);
    }
    for table in [
        "client",
        "account",
        "session",
        "token_family",
        "consent",
        "authorization_code",
    ] {
        assert!(copied[table] > 0, "{table} is empty: {copied:?}");
    }
    for (table, since) in [
        ("vault_entry", VAULT),
        ("device_code", DEVICES),
        ("audit", AUDIT),
        ("logout_notice", NOTICES),
    ] {
        let count = copied.get(table).copied().unwrap_or_default();
        assert_eq!(count > 0, newest >= since, "{table}: {copied:?}");
    }
    old.close().await;
    new.close().await;
    database
}

/// Names and types of a table's columns.
async fn columns(pool: &AnyPool, table: &str) -> Vec<(String, bool)> {
    let is_postgres = pool.acquire().await.unwrap().backend_name() == "PostgreSQL";
    let query = if is_postgres {
        format!(
            "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) FROM information_schema.columns
             WHERE table_name = '{table}' AND table_schema = current_schema() ORDER BY ordinal_position"
        )
    } else {
        format!("SELECT name, type FROM pragma_table_info('{table}')")
    };
    let rows: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(query))
        .fetch_all(pool)
        .await
        .unwrap();
    let is_text = |kind: &str| kind.eq_ignore_ascii_case("text");
    rows.into_iter()
        .map(|(name, kind)| (name, is_text(&kind)))
        .collect()
}

/// Copies what a version knew of the rows of a table; how many there are.
async fn copy(old: &AnyPool, new: &AnyPool, table: &str, version: i64) -> usize {
    let columns = columns(old, table).await;
    assert!(!columns.is_empty(), "{table} has no columns");
    let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(", ");
    let select = format!("SELECT {names} FROM {table}");
    let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(new).await;
    let rows = rows.unwrap();
    let places: Vec<String> = (1..=columns.len()).map(|at| format!("${at}")).collect();
    let places = places.join(", ");
    // What a migration has put there itself stays.
    let insert = format!("INSERT INTO {table} ({names}) VALUES ({places}) ON CONFLICT DO NOTHING");
    for row in &rows {
        let mut query = sqlx::query(AssertSqlSafe(insert.clone()));
        for (name, is_text) in &columns {
            query = if *is_text {
                let text: Option<String> = row.get(name.as_str());
                query.bind(text.map(|text| as_written(&text, name, version)))
            } else {
                query.bind(row.get::<Option<i64>, _>(name.as_str()))
            };
        }
        query.execute(old).await.unwrap();
    }
    rows.len()
}

/// A value as that version wrote it: the first ones knew fewer members of what is kept as JSON.
fn as_written(text: &str, column: &str, version: i64) -> String {
    let known: &[&str] = match column {
        "profile" if version < MORE_CLAIMS => &[
            "name",
            "given_name",
            "family_name",
            "preferred_username",
            "email",
            "email_verified",
        ],
        "code_grant" if version < MORE_CLAIMS => &[
            "client_id",
            "redirect_uri",
            "redirect_uri_was_sent",
            "code_challenge",
            "account_id",
            "authentication",
            "scope",
            "nonce",
        ],
        _ => return text.to_owned(),
    };
    let mut members: Map<String, Value> = serde_json::from_str(text).unwrap();
    members.retain(|name, _| known.contains(&name.as_str()));
    Value::Object(members).to_string()
}

/// What was begun before the upgrade goes on behind it: the browser's session, tokens with and without `offline_access`, an
/// upstream's tokens, a code under way, what was agreed to, what was recorded, what apps were still to be told. And what
/// must not go on does not: a spent refresh token ends its family.
#[tokio::test]
async fn whoever_was_signed_in_before_an_upgrade_goes_on() {
    for stop in STOPS {
        upgrade_from(stop).await;
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "what people had, one after the other, and what becomes of each"
)]
async fn upgrade_from(stop: i64) {
    let site = Site::start().await;
    site.set("/told", Page::Status(StatusCode::SERVICE_UNAVAILABLE));
    let mut server = TestServer::start_with(|setup| {
        device::devices(setup);
        let devices = setup.clients.clone();
        token_exchange::callers(setup);
        let uri = format!("backchannel_logout_uri = \"{}/told\"", site.url);
        setup.clients += &devices;
        setup.clients += &told_at("told", &uri);
        setup.sections += "[outbound]\nallow_hosts = [\"127.0.0.1\"]\n";
    })
    .await;
    let mut browser = Browser::new();
    let online = sign_in(&server, &mut browser, "web", "openid profile").await;
    let offline = sign_in(&server, &mut browser, "spa", "openid offline_access").await;
    let stolen = sign_in(&server, &mut browser, "spa", "openid offline_access").await;
    let mut token = stolen.text("refresh_token").to_owned();
    for _ in 0..2 {
        let next = server.refresh("spa", &token).await;
        next.text("refresh_token").clone_into(&mut token);
    }
    let page = browser.open(server.authorize_url("asking", &[])).await;
    let agreed = browser
        .submit(&page, "form", &[("decision", "allow")])
        .await;
    assert!(agreed.answer().contains_key("code"), "{agreed:?}");
    let member = token_exchange::by_page(&server, &mut Browser::new(), token_exchange::SCOPE).await;
    let codes = device::begin(&server, "tv", "openid").await;
    let mut left = Browser::new();
    let tokens = sign_in(&server, &mut left, "told", "openid").await;
    log_out(&server, &mut left, &tokens).await;
    failed(&server, "told").await;
    let page = browser.open(server.authorize_url("web", &[])).await;
    let under_way = page.answer()["code"].clone();

    server.stop().await;
    let old = of_version(stop, &server.database).await;
    server.move_to(old).await;
    server.clock.advance(31);
    let at = format!("after {stop:04}");

    let page = browser
        .get(server.authorize_url("web", &[("prompt", "none")]))
        .await;
    assert!(page.answer().contains_key("code"), "{at}: {page:?}");
    let page = browser.open(server.authorize_url("asking", &[])).await;
    assert!(page.answer().contains_key("code"), "{at}: asked again");
    let redeemed = server.redeem("web", &under_way, &[]).await;
    assert_eq!(redeemed.status, 200, "{at}: {redeemed:?}");
    for (client, tokens) in [("web", &online), ("spa", &offline)] {
        let next = server.refresh(client, tokens.text("refresh_token")).await;
        assert_eq!(next.status, 200, "{at}: {client}: {next:?}");
        let userinfo = server.userinfo(next.text("access_token")).await;
        assert_eq!(userinfo.status, 200, "{at}: {userinfo:?}");
        let again = server.refresh(client, next.text("refresh_token")).await;
        assert_eq!(again.status, 200, "{at}: {client}: {again:?}");
    }
    let thief = server.refresh("spa", stolen.text("refresh_token")).await;
    thief.assert_error(400, "invalid_grant");
    let victim = server.refresh("spa", &token).await;
    victim.assert_error(400, "invalid_grant");

    // What that version did not keep yet ends as it does where nothing was given: by a login.
    let given = exchange(&server, &member, "members").await;
    if stop >= VAULT {
        assert_eq!(given.status, 200, "{at}: {given:?}");
    } else {
        given.assert_error(400, "invalid_grant");
        let member =
            token_exchange::by_page(&server, &mut Browser::new(), token_exchange::SCOPE).await;
        let given = exchange(&server, &member, "members").await;
        assert_eq!(given.status, 200, "{at}: {given:?}");
    }
    if stop >= DEVICES {
        let mut at_device = Browser::new();
        let page = device::at_question(&server, &mut at_device, codes.text("user_code")).await;
        device::decide(&mut at_device, &page, "allow").await;
        let tokens = device::ask(&server, "tv", codes.text("device_code")).await;
        assert_eq!(tokens.status, 200, "{at}: {tokens:?}");
    } else {
        let refused = device::ask(&server, "tv", codes.text("device_code")).await;
        refused.assert_error(400, "invalid_grant");
    }
    // The session ends everywhere, and what stands without it goes on, whatever wrote its rows.
    site.set("/told", Page::Body("text/plain", String::new()));
    sign_in(&server, &mut browser, "told", "openid").await;
    log_out(&server, &mut browser, &online).await;
    let refused = server.refresh("web", redeemed.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
    let told = 1 + usize::from(stop >= NOTICES);
    server.clock.advance(60);
    for _ in 0..200 {
        let found = notices(&server, "told").await;
        if found
            .iter()
            .all(|notice| notice.state() == NoticeState::Told)
        {
            assert_eq!(found.len(), told, "{at}: {found:?}");
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let account = server.store.list_accounts(10).await.unwrap().remove(0);
    assert_eq!(account.profile.name.as_deref(), Some("Jo Smith"), "{at}");
    let url = server.authorize_url("spa", &[]);
    let page = Browser::new().log_in_as(url, JO_SMITH).await;
    assert!(page.answer().contains_key("code"), "{at}: {page:?}");
    let accounts = server.store.list_accounts(10).await.unwrap();
    assert_eq!(accounts.len(), 1, "{at}: the same person");

    server.stop().await;
    let filter = AuditFilter {
        account: Some(account.id),
        ..AuditFilter::default()
    };
    let found = server.store.search_audit(&filter, 1000).await.unwrap();
    let times: Vec<i64> = found
        .iter()
        .filter(|record| record.event == "logged_in")
        .map(|record| record.at)
        .collect();
    let before = server.clock.now() - 31 - 60;
    assert_eq!(times.contains(&before), stop >= AUDIT, "{at}: {times:?}");
    assert!(times.iter().any(|at| *at > before), "{at}: {times:?}");
}

/// The migrations of a version that has been shipped are what it wrote: each of the stops is one.
#[tokio::test]
async fn the_stops_are_migrations() {
    let known: Vec<i64> = migrator()
        .await
        .iter()
        .map(|migration| migration.version)
        .collect();
    assert!(STOPS.iter().all(|stop| known.contains(stop)), "{known:?}");
    assert!(STOPS.iter().all(|stop| *stop < known[known.len() - 1]));
}

/// Names of the indexes of the audit.
async fn indexes_of_the_audit(pool: &AnyPool, is_postgres: bool) -> BTreeSet<String> {
    let query = if is_postgres {
        "SELECT CAST(indexname AS TEXT) FROM pg_indexes WHERE tablename = 'audit'"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'audit'"
    };
    let names: Vec<String> = sqlx::query_scalar(query).fetch_all(pool).await.unwrap();
    names.into_iter().collect()
}

/// What takes long where there are very many records can be done while the version before still runs (docs/operating.md): the upgrade takes
/// the indexes that it finds.
#[tokio::test]
async fn an_upgrade_takes_indexes_that_were_made_before() {
    let (database, pool, [_, since]) = empty_of_version(42).await;
    let is_postgres = database.folder().is_none();
    let old = indexes_of_the_audit(&pool, is_postgres).await;
    let text = since[0].sql.as_str();
    let new: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("CREATE INDEX"))
        .collect();
    assert_eq!((old.len(), new.len()), (13, 12), "{old:?} {new:?}");
    for line in &new {
        let text = if is_postgres {
            line.replace("CREATE INDEX", "CREATE INDEX CONCURRENTLY")
        } else {
            (*line).to_owned()
        };
        sqlx::query(AssertSqlSafe(text))
            .execute(&pool)
            .await
            .unwrap();
    }
    pool.close().await;
    database.store().await.migrate().await.unwrap();
    let pool = database.pool().await;
    let mut left = indexes_of_the_audit(&pool, is_postgres).await;
    // The key's own stays.
    left.retain(|name| !old.contains(name));
    let named = |line: &&str| line.split_whitespace().nth(5).unwrap().to_owned();
    assert_eq!(left, new.iter().map(named).collect());
    let old = old.len();
    let all = indexes_of_the_audit(&pool, is_postgres).await.len();
    assert_eq!((old, all), (13, 13));
}
