//! A connection to a file of SQLite that the thread runs which has it: sqlx gives each a thread of its own, and every statement changes to that
//! and back.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_int;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use sqlx::error::{DatabaseError, ErrorKind};

use super::connect::{PRAGMAS, READERS_PRAGMAS, WRITERS_PRAGMAS};
use super::statement::{Found, Name, Next, NoSuchColumn, Ran, Statement, Wanted};
use super::writes::BEGIN_SQLITE;

/// Prepared statements that a connection keeps: more than there are.
const KEPT_STATEMENTS: usize = 320;
/// From when on a statement is told of in the log, as sqlx does it.
const SLOW: Duration = Duration::from_secs(1);

pub(super) struct Embedded {
    connection: Connection,
    /// By where a statement's text is, which is part of the program, and how long.
    known: HashMap<(usize, usize), Arc<Known>>,
}

/// What is known of a statement once it was prepared.
struct Known {
    /// The columns of its rows.
    columns: Vec<String>,
    /// Which argument stands at each of its parameters: SQLite numbers them as they come, and takes `$1` for a name.
    arguments: Vec<usize>,
}

/// A row that was found.
pub(super) struct OwnRow {
    of: Arc<Known>,
    values: Vec<Value>,
    next: Next,
}

impl OwnRow {
    fn get(&self, name: Name) -> Result<&Value, NoSuchColumn> {
        let place = self.next.find(name, &self.of.columns, String::as_str)?;
        self.values.get(place).ok_or(NoSuchColumn)
    }

    pub(super) fn text(&self, name: Name) -> Result<Option<&str>, NoSuchColumn> {
        match self.get(name)? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            _ => Err(NoSuchColumn),
        }
    }

    pub(super) fn int(&self, name: Name) -> Result<Option<i64>, NoSuchColumn> {
        match self.get(name)? {
            Value::Null => Ok(None),
            Value::Integer(int) => Ok(Some(*int)),
            _ => Err(NoSuchColumn),
        }
    }

    pub(super) fn at(&self, place: usize) -> Option<&Value> {
        self.values.get(place)
    }
}

impl Embedded {
    /// One that only looks. Nobody's lock is waited for: readers need none but while a crash is put right.
    pub(super) fn reading(path: &Path) -> rusqlite::Result<Self> {
        let connection = Self::open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.execute_batch(READERS_PRAGMAS)?;
        Ok(Self::of(connection))
    }

    /// The one that writes. It never copies its log into the file unless it is told to.
    pub(super) fn writing(path: &Path) -> rusqlite::Result<Self> {
        let connection = Self::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch(PRAGMAS)?;
        connection.execute_batch(WRITERS_PRAGMAS)?;
        // In place of SQLite's own hook, which would copy.
        connection.wal_hook(Some(note_pages));
        Ok(Self::of(connection))
    }

    /// One that copies the log into the file while others write.
    pub(super) fn copying(path: &Path) -> rusqlite::Result<Self> {
        let connection = Self::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch(PRAGMAS)?;
        Ok(Self::of(connection))
    }

    fn open(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
        let connection =
            Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
        // A plan is a plan for every argument: else SQLite makes it anew where an argument could choose a partial index.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(connection)
    }

    fn of(connection: Connection) -> Self {
        Self {
            connection,
            known: HashMap::new(),
        }
    }

    /// Runs a statement to its end.
    pub(super) fn run(
        &mut self,
        statement: &Statement<'_>,
        wanted: Wanted,
    ) -> rusqlite::Result<Ran> {
        let (text, arguments) = (statement.text(), statement.arguments());
        // As sqlx tells its statements in the log.
        tracing::debug!(target: "sqlx::query", { db.statement = text }, "ran");
        let began = Instant::now();
        let mut statement = self.connection.prepare_cached(text)?;
        let known = self.known.entry((text.as_ptr().addr(), text.len()));
        let known = known.or_insert_with(|| {
            let columns = statement.column_names().into_iter().map(ToOwned::to_owned);
            let arguments = (1..=statement.parameter_count()).map(|place| {
                let number = statement.parameter_name(place);
                let number = number.and_then(|name| name.strip_prefix('$')?.parse().ok());
                number.unwrap_or(place) - 1
            });
            Arc::new(Known {
                columns: columns.collect(),
                arguments: arguments.collect(),
            })
        });
        for (place, number) in (1..).zip(&known.arguments) {
            let argument = arguments.get(*number);
            let argument = argument.ok_or(rusqlite::Error::InvalidParameterCount(
                arguments.len(),
                place,
            ))?;
            statement.raw_bind_parameter(place, argument)?;
        }
        let count = statement.column_count();
        let mut found = Vec::new();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            if wanted == Wanted::Rows {
                let values = (0..count).map(|place| row.get(place));
                found.push(Found::Own(OwnRow {
                    of: Arc::clone(known),
                    values: values.collect::<rusqlite::Result<_>>()?,
                    next: Next::default(),
                }));
            }
        }
        drop(rows);
        let took = began.elapsed();
        if took > SLOW {
            tracing::warn!(target: "sqlx::query", { db.statement = text, ?took }, "slow statement");
        }
        Ok(Ran {
            rows: found,
            affected: self.connection.changes(),
        })
    }

    /// Runs a statement about the transaction itself. One that is not told of in the log is nobody's who asked for a statement alone.
    pub(super) fn control(&self, statement: &str, is_told: bool) -> rusqlite::Result<()> {
        if is_told {
            tracing::debug!(target: "sqlx::query", { db.statement = statement }, "ran");
        }
        // Prepared once, as others are. Each savepoint has a name of its own: those would push the others out.
        if matches!(statement, BEGIN_SQLITE | "COMMIT" | "ROLLBACK") {
            self.connection.prepare_cached(statement)?.raw_execute()?;
            return Ok(());
        }
        self.connection.execute_batch(statement)
    }

    /// Commits; how many pages the log has then, if anything has changed.
    pub(super) fn commit(&self, is_told: bool) -> rusqlite::Result<Option<u32>> {
        PAGES.set(None);
        self.control("COMMIT", is_told)?;
        Ok(PAGES.get())
    }

    /// Copies what is in the log into the file, as far as nobody reads what was there before; how many of the log's pages are in the file
    /// then, or `None` where another process copies. Nobody is waited for. SQLite waits for the disk where nothing of the log is left when
    /// it is done, and else leaves that to the next one who copies.
    pub(super) fn checkpoint(&self) -> rusqlite::Result<Option<u32>> {
        let text = "PRAGMA wal_checkpoint(PASSIVE)";
        let mut statement = self.connection.prepare_cached(text)?;
        let copied: i64 = statement.query_row([], |row| row.get("checkpointed"))?;
        // Else it is -1.
        Ok(u32::try_from(copied).ok())
    }

    /// How long others' locks are waited for.
    pub(super) fn wait_for_locks(&self, longest: Duration) -> rusqlite::Result<()> {
        self.connection.busy_timeout(longest)
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }
}

thread_local! {
    /// How many pages the log had after the last commit of this thread: SQLite tells a function that knows no more than that.
    static PAGES: Cell<Option<u32>> = const { Cell::new(None) };
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what SQLite is given looks like this"
)]
fn note_pages(_: &Wal, pages: c_int) -> rusqlite::Result<()> {
    PAGES.set(u32::try_from(pages).ok());
    Ok(())
}

/// Whether a brief statement is one: where it is not, the disk is slow, and those of the next moment go to threads of their own, so that
/// requests that want nothing of the database are not held up.
#[derive(Clone, Default)]
pub(super) struct Pace(Arc<Mutex<Option<Spell>>>);

/// A time in which nobody runs anything by themselves.
#[derive(Clone, Copy)]
struct Spell {
    ends: Instant,
    length: Duration,
}

/// What is brief does not take longer.
const BRIEF: Duration = Duration::from_millis(5);
/// The first one. What is tried soon after one, in vain, begins one of twice the length.
const FIRST_SPELL: Duration = Duration::from_secs(1);
/// At the most.
const LONGEST_SPELL: Duration = Duration::from_mins(1);

impl Pace {
    pub(super) fn is_quick(&self) -> bool {
        self.last().is_none_or(|last| Instant::now() >= last.ends)
    }

    /// Runs what should be brief.
    pub(super) fn of<T>(&self, run: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let ran = run();
        if began.elapsed() > BRIEF {
            self.slow_down();
        }
        ran
    }

    pub(super) fn slow_down(&self) {
        let mut last = self.last();
        let now = Instant::now();
        let length = match *last {
            // Of those who have run into it together, one is enough.
            Some(last) if now < last.ends => return,
            Some(last) if now < last.ends + last.length => LONGEST_SPELL.min(last.length * 2),
            _ => FIRST_SPELL,
        };
        *last = Some(Spell {
            ends: now + length,
            length,
        });
    }

    fn last(&self) -> MutexGuard<'_, Option<Spell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether another connection's lock was in the way.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// The error as sqlx would tell it. Nothing in it is of what was to be written.
pub(super) fn as_sqlx(error: &rusqlite::Error) -> sqlx::Error {
    match error.sqlite_error() {
        Some(error) => sqlx::Error::Database(Box::new(Refused(error.extended_code))),
        None => sqlx::Error::Protocol("a statement does not fit its arguments".to_owned()),
    }
}

/// SQLite has refused something, by this extended result code.
#[derive(Debug)]
struct Refused(i32);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", ffi::code_to_str(self.0), self.0)
    }
}

impl std::error::Error for Refused {}

impl DatabaseError for Refused {
    fn message(&self) -> &str {
        ffi::code_to_str(self.0)
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.0.to_string().into())
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        match self.0 {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                ErrorKind::UniqueViolation
            }
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => ErrorKind::ForeignKeyViolation,
            ffi::SQLITE_CONSTRAINT_NOTNULL => ErrorKind::NotNullViolation,
            ffi::SQLITE_CONSTRAINT_CHECK => ErrorKind::CheckViolation,
            _ => ErrorKind::Other,
        }
    }
}
