//! From SQLite to PostgreSQL: both have one schema of text and integers, so every row is taken as it is. Not beside the other
//! statements: these are about whole tables.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::sync::mpsc;

use super::super::{Store, StoreError};
use super::migrations::MIGRATIONS;
use crate::protocol::secret::Secret;

/// What is moved: each table behind those that its rows refer to.
pub const MOVED_TABLES: [&str; 27] = [
    "client",
    "client_origin",
    "client_registration",
    "initial_access_token",
    "signing_key",
    "configuration",
    "account",
    "upstream_login",
    "session",
    "session_client",
    "authorization_code",
    "token_family",
    "access_token",
    "revoked_token",
    "consent",
    "device_code",
    "pushed_request",
    "pending_request",
    "vault_entry",
    "throttle",
    "throttle_alias",
    "spent_id",
    "logout_notice",
    "logout_outage",
    "logout_turn",
    "audit",
    "client_registration_lock",
];

/// It has its one row as soon as it is made.
const MADE_WITH_A_ROW: &str = "client_registration_lock";

/// How much is handed over at once, in bytes.
const PIECE: usize = 256 * 1024;

/// How long another process' lock is waited for: a server that was stopped just now, or one that is just starting.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Why nothing was moved. No text here holds a value.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The file cannot be read.
    #[error("{} cannot be read as an SQLite database", .path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Another process has the file open.
    #[error("{} is in use; stop the server that runs on it, which is not started again", .0.display())]
    SourceInUse(PathBuf),
    /// The file is a database, but not one of ours, or of another version.
    #[error("{} {problem}", .path.display())]
    SourceSchema {
        /// The file.
        path: PathBuf,
        /// What is the matter, and what to do.
        problem: &'static str,
    },
    /// The database that would take everything has something already.
    #[error(
        "the table {0} of that database has rows already, and what is moved goes into an empty one only: drop the database and create it anew, or name another"
    )]
    NotEmpty(&'static str),
    /// That database cannot be reached, or has refused something.
    #[error("{what}")]
    Target {
        /// What was tried.
        what: String,
        /// Why not.
        source: StoreError,
    },
}

/// What one thread reads and the other end writes.
enum Piece {
    /// What follows is of this table, with these columns.
    Table(&'static str, String),
    /// Rows, as PostgreSQL's COPY takes them.
    Rows(Vec<u8>),
}

impl Store {
    /// Whether the SQLite file at `source` could be moved: it is there, is ours, is of this version, and nobody has it open.
    pub async fn check_source(source: &Path) -> Result<(), MoveError> {
        let path = source.to_owned();
        let checking = tokio::task::spawn_blocking(move || open(&path).map(drop));
        checking.await.unwrap_or_else(|_| Err(unread(source)))
    }

    /// Moves all that the SQLite file at `source` holds into the PostgreSQL database of `target`, which has our schema and no rows. All
    /// of it, or nothing; the file stays as it is, and nobody else may have it open. How many rows each table has got.
    pub async fn move_into(
        source: &Path,
        target: &Secret,
    ) -> Result<Vec<(&'static str, u64)>, MoveError> {
        let mut connection = connect(target).await.map_err(of_target("connect"))?;
        let (sender, mut pieces) = mpsc::channel(4);
        let path = source.to_owned();
        let reading = tokio::task::spawn_blocking(move || read(&path, &sender));
        let taken = take(&mut connection, &mut pieces).await;
        // Without this, one who reads on would wait for ever when nobody takes anything any more.
        drop(pieces);
        let read = reading.await;
        // Who cannot read ends what is taken, too: that is the cause, then.
        read.unwrap_or_else(|_| Err(unread(source)))?;
        let moved = taken?;
        // All was read and all was taken: only now it stands.
        let commit = sqlx::raw_sql("COMMIT").execute(&mut connection).await;
        commit.map_err(of_target("commit"))?;
        // Else the first hours would be planned for empty tables.
        let analyze = format!("ANALYZE {}", MOVED_TABLES.join(", "));
        let analyzed = sqlx::raw_sql(AssertSqlSafe(analyze))
            .execute(&mut connection)
            .await;
        analyzed.map_err(of_target("analyze what was moved, which is there"))?;
        connection
            .close()
            .await
            .map_err(of_target("end the connection"))?;
        Ok(moved)
    }
}

/// The thread that read it has ended before its time.
fn unread(path: &Path) -> MoveError {
    MoveError::SourceSchema {
        path: path.to_owned(),
        problem: "could not be read to its end",
    }
}

fn of_target(what: impl fmt::Display) -> impl FnOnce(sqlx::Error) -> MoveError {
    let what = format!("PostgreSQL: {what}");
    move |error| MoveError::Target {
        what,
        source: error.into(),
    }
}

async fn connect(url: &Secret) -> Result<PgConnection, sqlx::Error> {
    PgConnectOptions::from_str(url.expose())?.connect().await
}

/// Begins a transaction and takes every piece, until there are no more. It is not committed.
async fn take(
    connection: &mut PgConnection,
    pieces: &mut mpsc::Receiver<Piece>,
) -> Result<Vec<(&'static str, u64)>, MoveError> {
    // A server that starts meanwhile finds everything or nothing.
    let begin = format!(
        "BEGIN; SET LOCAL lock_timeout = {}; LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE",
        LOCK_TIMEOUT.as_millis(),
        MOVED_TABLES.join(", ")
    );
    let locked = sqlx::raw_sql(AssertSqlSafe(begin))
        .execute(&mut *connection)
        .await;
    locked.map_err(of_target("lock the tables, which nobody else may use"))?;
    for table in MOVED_TABLES
        .into_iter()
        .filter(|table| *table != MADE_WITH_A_ROW)
    {
        let any = format!("SELECT EXISTS (SELECT 1 FROM {table})");
        let any: Result<bool, _> = sqlx::query_scalar(AssertSqlSafe(any))
            .fetch_one(&mut *connection)
            .await;
        if any.map_err(of_target("look at its tables"))? {
            return Err(MoveError::NotEmpty(table));
        }
    }
    let mut moved = Vec::new();
    let mut next = pieces.recv().await;
    while let Some(Piece::Table(table, columns)) = next {
        let trouble = || of_target(format!("the rows of {table}"));
        let copy = format!("COPY {table} ({columns}) FROM STDIN");
        if table == MADE_WITH_A_ROW {
            sqlx::raw_sql("DELETE FROM client_registration_lock")
                .execute(&mut *connection)
                .await
                .map_err(trouble())?;
        }
        let mut copy = connection.copy_in_raw(&copy).await.map_err(trouble())?;
        next = pieces.recv().await;
        while let Some(Piece::Rows(rows)) = next {
            copy.send(rows).await.map_err(trouble())?;
            next = pieces.recv().await;
        }
        moved.push((table, copy.finish().await.map_err(trouble())?));
    }
    Ok(moved)
}

/// Reads every table, and hands over its rows.
fn read(path: &Path, sender: &mpsc::Sender<Piece>) -> Result<(), MoveError> {
    let connection = open(path)?;
    for table in MOVED_TABLES {
        if !read_table(&connection, table, sender).map_err(of_source(path))? {
            // Nobody takes them any more, and whoever did says why.
            return Ok(());
        }
    }
    Ok(())
}

fn of_source(path: &Path) -> impl Fn(rusqlite::Error) -> MoveError {
    let path = path.to_owned();
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            MoveError::SourceInUse(path.clone())
        }
        _ => MoveError::Source {
            path: path.clone(),
            source: error,
        },
    }
}

/// The only connection to a file of ours: a server that is running holds on to it even when it writes nothing.
fn open(path: &Path) -> Result<Connection, MoveError> {
    let access = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, access)?;
        connection.busy_timeout(LOCK_TIMEOUT)?;
        connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")?;
        Ok(connection)
    };
    let connection = opened().map_err(of_source(path))?;
    check_schema(&connection, path)?;
    Ok(connection)
}

/// A file of this version: an older one has other columns, and what a newer one has we do not know.
fn check_schema(connection: &Connection, path: &Path) -> Result<(), MoveError> {
    let wrong = |problem| MoveError::SourceSchema {
        path: path.to_owned(),
        problem,
    };
    let versions = || -> rusqlite::Result<BTreeSet<i64>> {
        let mut statement = connection.prepare("SELECT version FROM _sqlx_migrations")?;
        let versions = statement.query_map([], |row| row.get(0))?;
        versions.collect()
    };
    let found = versions().map_err(|_| wrong("is no database of Portico"))?;
    let known = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .collect();
    if found == known {
        Ok(())
    } else if found.is_subset(&known) {
        Err(wrong(
            "was made by an older version; bring it up to date first: `portico migrate` of this one, with the configuration that it had",
        ))
    } else {
        Err(wrong("was used by a newer version; move it with that one"))
    }
}

/// Hands over the rows of a table; whether somebody took them.
fn read_table(
    connection: &Connection,
    table: &'static str,
    sender: &mpsc::Sender<Piece>,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = statement.column_names().join(", ");
    let count = statement.column_count();
    if sender.blocking_send(Piece::Table(table, columns)).is_err() {
        return Ok(false);
    }
    let mut piece = Vec::with_capacity(PIECE);
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for place in 0..count {
            if place > 0 {
                piece.push(b'\t');
            }
            write_value(row.get_ref(place)?, &mut piece);
        }
        piece.push(b'\n');
        if piece.len() >= PIECE {
            let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE));
            if sender.blocking_send(Piece::Rows(full)).is_err() {
                return Ok(false);
            }
        }
    }
    Ok(piece.is_empty() || sender.blocking_send(Piece::Rows(piece)).is_ok())
}

/// A value in the text format of PostgreSQL's COPY, in which a backslash begins what is not itself.
fn write_value(value: ValueRef<'_>, into: &mut Vec<u8>) {
    let text = match value {
        ValueRef::Null => return into.extend_from_slice(b"\\N"),
        ValueRef::Integer(number) => return into.extend_from_slice(number.to_string().as_bytes()),
        ValueRef::Real(number) => return into.extend_from_slice(number.to_string().as_bytes()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes),
    };
    for character in text.chars() {
        match character {
            '\\' => into.extend_from_slice(b"\\\\"),
            '\t' => into.extend_from_slice(b"\\t"),
            '\n' => into.extend_from_slice(b"\\n"),
            '\r' => into.extend_from_slice(b"\\r"),
            // SQLite keeps it, and PostgreSQL has no text with it.
            '\0' => into.extend_from_slice("\u{fffd}".as_bytes()),
            _ => into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_postgresql_reads_them() {
        let written = |value: ValueRef<'_>| {
            let mut into = Vec::new();
            write_value(value, &mut into);
            String::from_utf8(into).unwrap()
        };
        assert_eq!(written(ValueRef::Null), "\\N");
        assert_eq!(written(ValueRef::Integer(i64::MIN)), "-9223372036854775808");
        let odd = "\\N \\. a\tb\nc\r\u{1f600}\0é";
        assert_eq!(
            written(ValueRef::Text(odd.as_bytes())),
            "\\\\N \\\\. a\\tb\\nc\\r\u{1f600}\u{fffd}é"
        );
        assert_eq!(written(ValueRef::Text(&[b'a', 0xff])), "a\u{fffd}");
    }
}
