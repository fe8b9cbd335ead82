//! Looks at one row, found by a key: what requests do most. On a file of SQLite the thread that asks looks by itself, for a statement of
//! sqlx's changes to the connection's thread and back, which takes longer than the look. What may take long (lists, searches,
//! everything that writes) goes by a [`Lane`](super::lane::Lane), which holds up nobody.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OpenFlags};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, StoreError};

/// Prepared statements that a connection keeps: more than there are look-ups.
const KEPT_STATEMENTS: usize = 64;

/// What a `$1` of a statement stands for.
#[derive(Clone, Copy)]
pub(super) enum Argument<'a> {
    Text(Option<&'a str>),
    Int(i64),
}

impl<'a> From<&'a str> for Argument<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(text))
    }
}

impl<'a> From<Option<&'a str>> for Argument<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Argument<'_> {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl ToSql for Argument<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Text(None) => ValueRef::Null,
            Self::Int(int) => ValueRef::Integer(*int),
        }))
    }
}

/// The columns of a row, by their names.
pub(super) trait Columns: Sync {
    /// A text, or `None` where the column is empty.
    fn text(&self, name: &str) -> Result<Option<&str>, NoSuchColumn>;
    fn int(&self, name: &str) -> Result<Option<i64>, NoSuchColumn>;
}

/// There is none of that name, or it holds something else.
pub(super) struct NoSuchColumn;

impl Columns for AnyRow {
    fn text(&self, name: &str) -> Result<Option<&str>, NoSuchColumn> {
        self.try_get(name).map_err(|_| NoSuchColumn)
    }

    fn int(&self, name: &str) -> Result<Option<i64>, NoSuchColumn> {
        self.try_get(name).map_err(|_| NoSuchColumn)
    }
}

/// A row that was found.
pub(super) enum Found {
    Any(AnyRow),
    Own(OwnRow),
}

impl Columns for Found {
    fn text(&self, name: &str) -> Result<Option<&str>, NoSuchColumn> {
        match self {
            Self::Any(row) => row.text(name),
            Self::Own(row) => row.text(name),
        }
    }

    fn int(&self, name: &str) -> Result<Option<i64>, NoSuchColumn> {
        match self {
            Self::Any(row) => row.int(name),
            Self::Own(row) => row.int(name),
        }
    }
}

/// Where the columns of a statement's rows are.
type Names = HashMap<String, usize>;

/// A row that was found without sqlx.
pub(super) struct OwnRow {
    names: Arc<Names>,
    values: Vec<Value>,
}

impl OwnRow {
    fn get(&self, name: &str) -> Result<&Value, NoSuchColumn> {
        let place = self.names.get(name).ok_or(NoSuchColumn)?;
        self.values.get(*place).ok_or(NoSuchColumn)
    }
}

impl Columns for OwnRow {
    fn text(&self, name: &str) -> Result<Option<&str>, NoSuchColumn> {
        match self.get(name)? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            _ => Err(NoSuchColumn),
        }
    }

    fn int(&self, name: &str) -> Result<Option<i64>, NoSuchColumn> {
        match self.get(name)? {
            Value::Null => Ok(None),
            Value::Integer(int) => Ok(Some(*int)),
            _ => Err(NoSuchColumn),
        }
    }
}

impl Store {
    /// The row that `statement` finds, which asks for one at the most, by keys that have an index.
    pub(super) async fn look_up(
        &self,
        statement: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<Option<Found>, StoreError> {
        if let Some(glances) = &self.glances
            && let Ok(found) = glances.look_up(statement, arguments)
        {
            return Ok(found.map(Found::Own));
        }
        let mut query = sqlx::query(statement);
        for argument in arguments {
            query = match argument {
                Argument::Text(text) => query.bind(*text),
                Argument::Int(int) => query.bind(*int),
            };
        }
        Ok(query.fetch_optional(&self.reads).await?.map(Found::Any))
    }
}

/// Connections to a file of SQLite, each for the thread that looks at the moment.
#[derive(Clone)]
pub(super) struct Glances(Arc<Inside>);

struct Inside {
    path: PathBuf,
    /// As many as there were threads that looked at the same time; `None` once the store is closed.
    idle: Mutex<Option<Vec<Glance>>>,
}

/// It cannot be told at once: the long way says what is the matter.
struct NotAtOnce;

impl From<rusqlite::Error> for NotAtOnce {
    fn from(_: rusqlite::Error) -> Self {
        Self
    }
}

struct Glance {
    connection: Connection,
    /// By where a statement's text is, which is part of the program, and how long.
    names: HashMap<(usize, usize), Arc<Names>>,
}

impl Glances {
    pub(super) fn at(path: PathBuf) -> Self {
        Self(Arc::new(Inside {
            path,
            idle: Mutex::new(Some(Vec::new())),
        }))
    }

    /// The row, if there is one.
    fn look_up(
        &self,
        statement: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<Option<OwnRow>, NotAtOnce> {
        let idle = self.idle().as_mut().ok_or(NotAtOnce)?.pop();
        let mut glance = match idle {
            Some(glance) => glance,
            None => Glance::open(&self.0.path)?,
        };
        // One that is in trouble is not used again.
        let found = glance.look_up(statement, arguments)?;
        if let Some(idle) = self.idle().as_mut() {
            idle.push(glance);
        }
        Ok(found)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Option<Vec<Glance>>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every connection. The last one of a file's writes what its log holds into it, which is not for one that only reads.
    pub(super) fn close(&self) {
        self.idle().take();
    }
}

impl Glance {
    fn open(path: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        // Nobody's lock is waited for: readers need none but while a crash is put right.
        connection.busy_timeout(Duration::ZERO)?;
        connection.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
        Ok(Self {
            connection,
            names: HashMap::new(),
        })
    }

    fn look_up(
        &mut self,
        text: &'static str,
        arguments: &[Argument<'_>],
    ) -> rusqlite::Result<Option<OwnRow>> {
        // As sqlx tells its statements in the log.
        tracing::debug!(target: "sqlx::query", { db.statement = text }, "looked up");
        let mut statement = self.connection.prepare_cached(text)?;
        let names = self
            .names
            .entry((text.as_ptr().addr(), text.len()))
            .or_insert_with(|| {
                let names = statement.column_names().into_iter().map(ToOwned::to_owned);
                Arc::new(names.zip(0..).collect())
            });
        for place in 1..=statement.parameter_count() {
            // SQLite numbers them as they come, and takes `$1` for a name.
            let number = statement.parameter_name(place);
            let number = number.and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
            let argument = number.and_then(|number| arguments.get(number.checked_sub(1)?));
            let argument = argument.ok_or(rusqlite::Error::InvalidParameterCount(
                arguments.len(),
                place,
            ))?;
            statement.raw_bind_parameter(place, argument)?;
        }
        let columns = names.len();
        let mut rows = statement.raw_query();
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let values = (0..columns)
            .map(|place| row.get(place))
            .collect::<rusqlite::Result<_>>()?;
        Ok(Some(OwnRow {
            names: Arc::clone(names),
            values,
        }))
    }
}
