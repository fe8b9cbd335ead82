//! The schema: forward only, expand then contract, so that an older node keeps running beside a newer one.

mod holders;
mod migrations;
mod moving;

use std::borrow::Cow;
use std::time::Duration;

use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};
use tokio::time::{Instant, sleep};

use super::statement::query_scalar;
use super::{Backend, Store, StoreError};
use migrations::MIGRATIONS;
pub use moving::{MOVED_TABLES, MoveError};

/// How a migration waits for a table that somebody else uses. On PostgreSQL every statement about that table stands behind a change
/// that waits, those of all older nodes too: so it waits for a moment, lets them pass, and tries again.
#[derive(Clone, Copy, Debug)]
pub struct MigrationPatience {
    /// How long it waits each time.
    pub wait: Duration,
    /// How long it lets the others pass.
    pub pause: Duration,
    /// How long it tries in all.
    pub longest: Duration,
}

impl Default for MigrationPatience {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(3),
            pause: Duration::from_secs(12),
            longest: Duration::from_mins(5),
        }
    }
}

impl Store {
    /// Brings the schema up to date. Nodes that start at once wait for one another. A schema that is newer than
    /// this version is left alone: it still serves us.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.migrate_with(MigrationPatience::default()).await
    }

    /// The same with another patience.
    pub async fn migrate_with(&self, patience: MigrationPatience) -> Result<(), StoreError> {
        match self.backend {
            Backend::Sqlite => {
                // The driver's migration lock does nothing on SQLite. Ours is the database's write lock.
                let mut lease = self.reads.lane().lease().await?;
                let mut transaction = lease.begin_with("BEGIN IMMEDIATE").await?;
                run(&mut transaction).await.map_err(StoreError::Migration)?;
                transaction.commit().await?;
            }
            Backend::Postgres => {
                // The advisory lock belongs to the connection: after an error close it, or it would keep every
                // other node waiting from inside the pool.
                let mut connection = self.reads.lane().lease().await?.detach()?;
                let outcome = run_patiently(&mut connection, patience).await;
                connection.close().await?;
                outcome?;
            }
        }
        Ok(())
    }

    /// Whether the database answers and its schema is ours or newer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let newest = MIGRATIONS.last().map(|migration| migration.version);
        let found: Result<i64, sqlx::Error> =
            query_scalar("SELECT COUNT(*) FROM _sqlx_migrations WHERE version = $1")
                .bind(newest)
                .fetch_one(&self.reads)
                .await;
        match found {
            Ok(1..) => Ok(()),
            Ok(_) => Err(StoreError::SchemaOutdated),
            Err(sqlx::Error::Database(error)) if is_missing_table(&*error) => {
                Err(StoreError::SchemaOutdated)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// On PostgreSQL: the nodes one after the other, and none longer in the way of the others than it has to be.
async fn run_patiently(
    connection: &mut AnyConnection,
    patience: MigrationPatience,
) -> Result<(), StoreError> {
    // Nodes wait for one another as long as it takes: who migrates holds up nobody else by that.
    connection.lock().await.map_err(StoreError::Migration)?;
    let limit = format!("SET lock_timeout = {}", patience.wait.as_millis());
    sqlx::raw_sql(AssertSqlSafe(limit))
        .execute(&mut *connection)
        .await?;
    let until = Instant::now() + patience.longest;
    loop {
        match run(connection).await {
            Err(error) if is_locked(&error) => {}
            outcome => {
                outcome.map_err(StoreError::Migration)?;
                return connection.unlock().await.map_err(StoreError::Migration);
            }
        }
        let waited = patience.wait.as_secs_f64();
        let holders = holders::told(connection, waited).await?;
        if Instant::now() + patience.pause >= until {
            return Err(StoreError::InUse { holders });
        }
        tracing::warn!(
            holders,
            "the database schema cannot be brought up to date while somebody else holds its tables; it is tried again"
        );
        sleep(patience.pause).await;
    }
}

/// The migrations that are missing. Each is a transaction by itself.
async fn run(connection: &mut AnyConnection) -> Result<(), MigrateError> {
    let mut migrator = Migrator {
        migrations: Cow::Borrowed(&**MIGRATIONS),
        ..Migrator::DEFAULT
    };
    // Whoever calls this has locked the others out.
    migrator.set_ignore_missing(true).set_locking(false);
    // Not `run`: through its `Acquire` the compiler cannot see that this future may move between threads.
    migrator.run_direct(None, connection, false).await
}

/// SQLSTATE 55P03: a lock was waited for as long as `lock_timeout` says.
fn is_locked(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().as_deref() == Some("55P03"))
}

/// SQLSTATE 42P01; SQLite has no code of its own for it.
fn is_missing_table(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().as_deref() == Some("42P01") || error.message().starts_with("no such table")
}
