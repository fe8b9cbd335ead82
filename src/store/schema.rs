//! The schema: forward only, expand then contract, so that an older node keeps running beside a newer one.

use sqlx::Connection as _;
use sqlx::migrate::Migrator;

use super::{Backend, Store, StoreError};

/// The migrations, built in.
static MIGRATOR: Migrator = sqlx::migrate!();

impl Store {
    /// Brings the schema up to date. Nodes that start at once wait for one another. A schema that is newer than
    /// this version is left alone: it still serves us.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match self.backend {
            Backend::Sqlite => {
                // The driver's migration lock does nothing on SQLite. Ours is the database's write lock.
                let mut lease = self.writes.lane().lease().await?;
                let mut transaction = lease.begin_with("BEGIN IMMEDIATE").await?;
                run(&mut transaction).await?;
                transaction.commit().await?;
            }
            Backend::Postgres => {
                // The advisory lock belongs to the connection: after an error close it, or it would keep every
                // other node waiting from inside the pool.
                let mut connection = self.writes.lane().lease().await?.detach()?;
                let outcome = run(&mut connection).await;
                connection.close().await?;
                outcome?;
            }
        }
        Ok(())
    }

    /// Whether the database answers and its schema is ours or newer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let newest = MIGRATOR.iter().map(|migration| migration.version).max();
        let found: Result<i64, sqlx::Error> =
            sqlx::query_scalar("SELECT COUNT(*) FROM _sqlx_migrations WHERE version = $1")
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

async fn run(connection: &mut sqlx::AnyConnection) -> Result<(), StoreError> {
    let mut migrator = Migrator {
        migrations: MIGRATOR.migrations.clone(),
        ..Migrator::DEFAULT
    };
    migrator.set_ignore_missing(true);
    // Not `run`: through its `Acquire` the compiler cannot see that this future may move between threads.
    migrator
        .run_direct(None, connection, false)
        .await
        .map_err(StoreError::Migration)
}

/// SQLSTATE 42P01; SQLite has no code of its own for it.
fn is_missing_table(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().as_deref() == Some("42P01") || error.message().starts_with("no such table")
}
