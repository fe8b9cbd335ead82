//! The schema, what survives a restart, and what the store says when something is wrong.

use portico::protocol::ids::{ClientId, KeyId};
use portico::protocol::jws::SigningAlgorithm;
use portico::protocol::secret::Secret;
use portico::store::{MigrationPatience, Store, StoreError};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, Connection as _, Executor as _};
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;

use super::{NOW, World, code, family, race};
use crate::harness::database::TestDatabase;

#[tokio::test]
async fn ping_wants_the_schema() {
    let database = TestDatabase::fresh().await;
    let store = Store::open(database.url()).await.unwrap();
    let error = store.ping().await.unwrap_err();
    assert!(matches!(error, StoreError::SchemaOutdated), "{error:?}");
    store.migrate().await.unwrap();
    store.ping().await.unwrap();
    store.migrate().await.unwrap();
    store.close().await;
    store.ping().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_open_and_migrate_at_once() {
    let database = TestDatabase::fresh().await;
    let racers = (0..4).map(|_| {
        let url = database.url().clone();
        async move {
            let store = Store::open(&url).await.unwrap();
            store.migrate().await.unwrap();
            store.ping().await.unwrap();
        }
    });
    race(racers).await;
}

/// Expand, then contract: this version runs on the schema of the next.
#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let world = World::new().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         SELECT 9999, 'later', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
    )
    .execute(&world.database.pool().await)
    .await
    .unwrap();
    world.store.migrate().await.unwrap();
    world.store.ping().await.unwrap();
}

/// A failed migration must not keep the lock that other nodes wait for.
#[tokio::test]
async fn a_failed_migration_blocks_nobody() {
    let world = World::new().await;
    let pool = world.database.pool().await;
    sqlx::query("UPDATE _sqlx_migrations SET version = 0 WHERE version = 1")
        .execute(&pool)
        .await
        .unwrap();
    let error = world.store.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::Migration(_)), "{error:?}");
    let other = Store::open(world.database.url()).await.unwrap();
    let error = other.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::Migration(_)), "{error:?}");
    sqlx::query("UPDATE _sqlx_migrations SET version = 1 WHERE version = 0")
        .execute(&pool)
        .await
        .unwrap();
    other.migrate().await.unwrap();
}

/// A database that lacks the newest change of the table `session`, and somebody who reads that table and does not end.
async fn held() -> Option<(World, AnyConnection)> {
    let world = World::new().await;
    let url = world.database.url().expose();
    if !url.starts_with("postgres") {
        return None;
    }
    let mut reader = AnyConnection::connect(url).await.unwrap();
    let before =
        "ALTER TABLE session DROP COLUMN began_at; DELETE FROM _sqlx_migrations WHERE version = 38";
    reader.execute(before).await.unwrap();
    reader
        .execute("SET application_name = 'the backup'; BEGIN; SELECT id FROM session")
        .await
        .unwrap();
    Some((world, reader))
}

/// How many changes wait for a lock.
async fn waiting_changes(world: &World) -> i64 {
    sqlx::query_scalar(
        "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .fetch_one(&world.database.pool().await)
    .await
    .unwrap()
}

/// PostgreSQL: a table that a backup reads cannot be changed, and nobody else could use it while the change waits. It gives up, says
/// who is in the way, and leaves nothing behind.
#[tokio::test]
async fn a_migration_that_a_backup_is_in_the_way_of_gives_up() {
    let Some((world, mut backup)) = held().await else {
        return;
    };
    let impatient = MigrationPatience {
        wait: Duration::from_millis(300),
        pause: Duration::from_millis(50),
        longest: Duration::from_secs(1),
    };
    let newer = Store::open(world.database.url()).await.unwrap();
    let error = newer.migrate_with(impatient).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(matches!(error, StoreError::InUse { .. }), "{text}");
    assert!(text.contains("the backup, pid "), "{text}");
    assert_eq!(waiting_changes(&world).await, 0);
    // Nor does it keep the other nodes from trying.
    backup.execute("COMMIT").await.unwrap();
    world.store.migrate().await.unwrap();
    newer.migrate().await.unwrap();
    newer.ping().await.unwrap();
}

/// PostgreSQL: between its attempts everybody else goes on, and when the backup has ended it succeeds.
#[tokio::test]
async fn a_migration_waits_for_a_backup_and_lets_others_pass() {
    let Some((world, mut backup)) = held().await else {
        return;
    };
    let patience = MigrationPatience {
        wait: Duration::from_millis(300),
        pause: Duration::from_millis(50),
        longest: Duration::from_mins(5),
    };
    let newer = Store::open(world.database.url()).await.unwrap();
    let ending = async {
        for _ in 0..2 {
            let mut looks = 0;
            while waiting_changes(&world).await == 0 {
                looks += 1;
                assert!(looks < 1000, "it does not try again");
                sleep(Duration::from_millis(10)).await;
            }
            // As an older node does: it stands behind the change, and is let through before the backup ends.
            sqlx::query("SELECT auth_time FROM session")
                .fetch_all(&world.database.pool().await)
                .await
                .unwrap();
        }
        backup.execute("COMMIT").await.unwrap();
    };
    let (migrated, ()) = tokio::join!(newer.migrate_with(patience), ending);
    migrated.unwrap();
    let found = world.store.find_signed_in("session-hash").await.unwrap();
    assert!(found.is_some(), "the column is there");
}

/// Each file is run, and remembered as sqlx itself reads it from the folder: databases of versions that read it so go on.
#[tokio::test]
async fn every_migration_is_built_in() {
    type Remembered = (i64, String, Vec<u8>);
    let world = World::new().await;
    let applied: Vec<Remembered> = sqlx::query_as(
        "SELECT version, description, checksum FROM _sqlx_migrations ORDER BY version",
    )
    .fetch_all(&world.database.pool().await)
    .await
    .unwrap();
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"));
    let in_folder = Migrator::new(folder).await.unwrap();
    let files: Vec<Remembered> = in_folder
        .iter()
        .map(|file| {
            assert!(!file.no_tx, "each is a transaction");
            let checksum = file.checksum.to_vec();
            (file.version, file.description.to_string(), checksum)
        })
        .collect();
    assert_eq!(applied, files);
    // The SHA-384 of the first file. An update of sqlx that counted otherwise would refuse every database that is there.
    assert_eq!(files[0].2[..4], [0xd4, 0x52, 0x4d, 0x9e]);
    assert_eq!(files.len(), std::fs::read_dir(folder).unwrap().count());
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let world = World::new().await;
    let family = world.begin(family(&world.code())).await;
    let code = world.code();
    world.store.insert_code("hash", &code).await.unwrap();
    let key = portico::model::signing_key::SigningKeyRecord {
        kid: KeyId::new("kid"),
        algorithm: SigningAlgorithm::PS256,
        sealed: "sealed".to_owned(),
        announced_at: NOW,
        active_at: NOW,
        retired_at: None,
        expires_at: None,
    };
    world.store.insert_first_signing_key(&key).await.unwrap();
    let clients = world.store.list_clients().await.unwrap();
    world.store.close().await;

    let store = world.other_node().await;
    assert_eq!(store.list_clients().await.unwrap(), clients);
    assert_eq!(store.list_signing_keys().await.unwrap(), [key]);
    let account = store.find_account(&world.account.id).await.unwrap();
    assert_eq!(account, Some(world.account.clone()));
    let found = store.find_signed_in("session-hash").await.unwrap();
    let found = found.map(|(session, (account, _))| (session, account));
    assert_eq!(found, Some((world.session, world.account)));
    assert_eq!(store.find_family(&family.id).await.unwrap(), Some(family));
    assert_eq!(store.find_code("hash").await.unwrap().unwrap().code, code);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_not_shown() {
    let world = World::new().await;
    let family = world.begin(family(&world.code())).await;
    let pool = world.database.pool().await;
    for statement in [
        "UPDATE client SET registration = '{\"wrong\": \"value\"}'",
        "UPDATE session SET amr = 'value'",
        "UPDATE token_family SET scope = 'wrong \"value\"'",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let app = ClientId::new("app");
    let errors = [
        (
            world.store.find_client(&app).await.unwrap_err(),
            ("client", "registration", "app"),
        ),
        (
            world.store.list_clients().await.unwrap_err(),
            ("client", "registration", "app"),
        ),
        (
            world
                .store
                .find_signed_in("session-hash")
                .await
                .unwrap_err(),
            ("session", "amr", world.session.id.as_str()),
        ),
        (
            world.store.find_family(&family.id).await.unwrap_err(),
            ("token_family", "scope", family.id.as_str()),
        ),
    ];
    for (error, (table, column, row)) in errors {
        let text = format!("{error:?}");
        for part in [table, column, row] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("value"), "{text}");
    }
    // The files own the clients, and put a broken one right.
    let wanted = [super::stored(&world.client)];
    world.store.reconcile_clients(&wanted, NOW).await.unwrap();
    assert!(world.store.find_client(&app).await.unwrap().is_some());
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_referred_to() {
    let world = World::new().await;
    let nobodys = ClientId::new("nobody-at-all");
    let orphan = code(&nobodys, &world.session);
    let error = world.store.insert_code("hash", &orphan).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("does not exist"), "{text}");
    assert!(!text.contains("nobody-at-all"), "{text}");
}

#[tokio::test]
async fn a_wrong_url_is_told_without_its_password() {
    for (url, told) in [
        ("postgres://jo:hunter2@127.0.0.1:99999/db", "not a URL"),
        (
            "postgres://jo:hunter2@127.0.0.1/db?sslmode=hunter2x",
            "not understood",
        ),
        ("mysql://jo:hunter2@127.0.0.1/db", "must begin with"),
        ("portico.db", "must begin with"),
        ("sqlite:", "names no file"),
        ("sqlite:portico.db?mode=rwc&cache=shared", "`mode` alone"),
        ("sqlite:portico.db?vfs=unix-none", "`mode` alone"),
        ("sqlite:portico.db?mode=ro", "`mode` alone"),
        (
            "sqlite:/no/such/folder/at-all/portico.db",
            "cannot be created",
        ),
    ] {
        let error = Store::open(&Secret::new(url)).await.unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains(told), "{url}: {text}");
        assert!(!text.contains("hunter2@"), "{url}: {text}");
    }
}

/// One connection, which lives as long as the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_in_memory_holds_what_it_is_given() {
    let url = Secret::new("sqlite::memory:");
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let racers = (0..20).map(|_| {
        let store = store.clone();
        async move { super::log_in(&store, "1").await.id }
    });
    let ids = race(racers).await;
    assert!(ids.iter().all(|id| *id == ids[0]));
    let other = Store::open(&url).await.unwrap();
    other.ping().await.unwrap_err();
}

#[cfg(unix)]
#[tokio::test]
async fn the_database_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let database = TestDatabase::fresh().await;
    let _store = database.store().await;
    let Some(folder) = database.folder() else {
        return;
    };
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        files += 1;
    }
    assert!(files > 1, "write-ahead logging keeps files of its own");
}
