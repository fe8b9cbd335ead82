//! What can go wrong in the store. No text here holds a value, a statement's parameter or the database's password.

use std::fmt;

use sqlx::migrate::MigrateError;

use crate::protocol::error::{OAuthError, chain};

/// Why the store could not do what was asked.
#[derive(thiserror::Error)]
pub enum StoreError {
    /// The URL in the configuration names no database that we know.
    #[error("the database URL is wrong: {0}")]
    Url(&'static str),
    /// The file of an SQLite database cannot be made or opened.
    #[error(
        "the database file cannot be created or opened for writing; its folder must be there, and Portico's user may write there"
    )]
    File(#[source] std::io::Error),
    /// The database is out of reach, or refused a statement.
    #[error("{}", describe(.0))]
    Database(#[source] sqlx::Error),
    /// Others wrote in the same transaction of the database, and it could not be committed.
    #[error("what was written could not be kept: {0}")]
    NotCommitted(&'static str),
    /// A row that our own code cannot have written.
    #[error("table {table}, row {row}: column {column} holds something that cannot be read")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The primary key of the row.
        row: String,
    },
    /// A migration failed; the schema is as it was before that one.
    #[error("the database schema could not be brought up to date")]
    Migration(#[source] MigrateError),
    /// Somebody else holds a table that a migration changes. Nothing has changed, and older nodes go on.
    #[error(
        "the database schema could not be brought up to date: its tables are held by {holders}; wait until that has ended (a backup), or end it (pg_terminate_backend), and start again; nodes of the version before go on meanwhile"
    )]
    InUse {
        /// Who, as PostgreSQL tells it.
        holders: String,
    },
    /// The database is there, but our tables are not, or not in our version.
    #[error("the database schema is missing or out of date; run `portico migrate`")]
    SchemaOutdated,
}

impl StoreError {
    /// Why, in words that tell nothing of what was to be written.
    pub(super) fn cause(&self) -> &'static str {
        match self {
            Self::Database(error) => describe(error),
            Self::NotCommitted(why) | Self::Url(why) => why,
            _ => "the database could not be used",
        }
    }

    /// Whether PostgreSQL rolled the transaction back to resolve a deadlock (SQLSTATE 40P01).
    pub(super) fn is_deadlock(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40P01"))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        Self::server_error(error)
    }
}

/// By hand, for the driver's own `Debug` prints the values that a constraint refused.
impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(self))
    }
}

fn describe(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Configuration(_) => "the database URL is not understood",
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => "the database cannot be reached",
        sqlx::Error::PoolTimedOut => "no connection to the database could be had in time",
        sqlx::Error::PoolClosed => "the store is closed",
        sqlx::Error::Database(error) if error.is_unique_violation() => {
            "the database refused a row: such a one exists already"
        }
        sqlx::Error::Database(error) if error.is_foreign_key_violation() => {
            "the database refused a row: what it refers to does not exist"
        }
        sqlx::Error::Database(_) => "the database refused a statement",
        _ => "the database could not be used",
    }
}
