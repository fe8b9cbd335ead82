//! Statements: a text that both databases understand, and what its `$1`, `$2` … stand for.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use serde::Serialize;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Column as _, Row as _};

use super::embedded::OwnRow;
use super::lane::Lane;

/// What a `$1` of a statement stands for.
#[derive(Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Argument<'q> {
    Text(Option<Cow<'q, str>>),
    Int(Option<i64>),
}

impl Argument<'_> {
    pub(super) fn into_owned(self) -> Argument<'static> {
        match self {
            Self::Text(text) => Argument::Text(text.map(|text| Cow::Owned(text.into_owned()))),
            Self::Int(int) => Argument::Int(int),
        }
    }
}

/// Declares what an argument can be made of.
macro_rules! arguments {
    ($($from:ty: $value:ident => $argument:expr;)*) => {
        $(impl<'q> From<$from> for Argument<'q> {
            fn from($value: $from) -> Self {
                $argument
            }
        })*
    };
}

arguments! {
    &'q str: text => Self::Text(Some(Cow::Borrowed(text)));
    &'q String: text => Self::Text(Some(Cow::Borrowed(text)));
    String: text => Self::Text(Some(Cow::Owned(text)));
    Option<&'q str>: text => Self::Text(text.map(Cow::Borrowed));
    Option<String>: text => Self::Text(text.map(Cow::Owned));
    &'q Option<String>: text => Self::Text(text.as_deref().map(Cow::Borrowed));
    i64: int => Self::Int(Some(int));
    Option<i64>: int => Self::Int(int);
}

impl ToSql for Argument<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Int(Some(int)) => ValueRef::Integer(*int),
            Self::Text(None) | Self::Int(None) => ValueRef::Null,
        }))
    }
}

/// A statement on its way to the database.
pub(super) struct Statement<'q> {
    text: &'static str,
    arguments: Vec<Argument<'q>>,
    /// See [`Statement::at_once`].
    is_brief: bool,
}

/// The statement of this text.
pub(super) const fn query<'q>(text: &'static str) -> Statement<'q> {
    Statement {
        text,
        arguments: Vec::new(),
        is_brief: false,
    }
}

impl<'q> Statement<'q> {
    /// What the next of `$1`, `$2` … stands for.
    pub(super) fn bind(mut self, argument: impl Into<Argument<'q>>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// It is about a few rows, found by their keys: on a file of SQLite whoever asks for it runs it by themselves, for a change to
    /// another thread and back takes longer. A statement about any number of rows must not be one of these: nobody else would be served
    /// by this thread meanwhile.
    pub(super) const fn at_once(mut self) -> Self {
        self.is_brief = true;
        self
    }

    pub(super) const fn is_brief(&self) -> bool {
        self.is_brief
    }

    pub(super) const fn text(&self) -> &'static str {
        self.text
    }

    pub(super) fn arguments(&self) -> &[Argument<'q>] {
        &self.arguments
    }

    pub(super) fn into_arguments(self) -> Vec<Argument<'q>> {
        self.arguments
    }

    /// The same, for another thread.
    pub(super) fn into_owned(self) -> Statement<'static> {
        let arguments = self.arguments.into_iter().map(Argument::into_owned);
        Statement {
            text: self.text,
            arguments: arguments.collect(),
            is_brief: self.is_brief,
        }
    }

    pub(super) async fn execute(self, on: impl Runs) -> Result<Ran, sqlx::Error> {
        on.run(self, Wanted::Count).await
    }

    pub(super) async fn fetch_all(self, on: impl Runs) -> Result<Vec<Found>, sqlx::Error> {
        Ok(on.run(self, Wanted::Rows).await?.rows)
    }

    /// The first row. The statement runs to its end all the same: one that writes has not succeeded before.
    pub(super) async fn fetch_optional(self, on: impl Runs) -> Result<Option<Found>, sqlx::Error> {
        Ok(self.fetch_all(on).await?.into_iter().next())
    }

    pub(super) async fn fetch_one(self, on: impl Runs) -> Result<Found, sqlx::Error> {
        let found = self.fetch_optional(on).await?;
        found.ok_or(sqlx::Error::RowNotFound)
    }

    fn for_sqlx(self) -> Query<'q, Any, AnyArguments> {
        let mut query = sqlx::query(self.text);
        for argument in self.arguments {
            query = match argument {
                Argument::Text(text) => query.bind(text.map(Cow::into_owned)),
                Argument::Int(int) => query.bind(int),
            };
        }
        query
    }
}

/// A statement whose rows are values, by their places.
pub(super) struct Values<'q>(Statement<'q>);

/// The statement of this text, which answers with one column.
pub(super) const fn query_scalar<'q>(text: &'static str) -> Values<'q> {
    Values(query(text))
}

/// The statement of this text, which answers with as many columns as what is made of them has parts.
pub(super) const fn query_as<'q>(text: &'static str) -> Values<'q> {
    Values(query(text))
}

impl<'q> Values<'q> {
    /// As [`Statement::bind`].
    pub(super) fn bind(self, argument: impl Into<Argument<'q>>) -> Self {
        Self(self.0.bind(argument))
    }

    /// As [`Statement::at_once`].
    pub(super) const fn at_once(mut self) -> Self {
        self.0.is_brief = true;
        self
    }

    pub(super) async fn fetch_all<T: Answer>(self, on: impl Runs) -> Result<Vec<T>, sqlx::Error> {
        let rows = self.0.fetch_all(on).await?;
        rows.iter().map(T::of).collect()
    }

    pub(super) async fn fetch_optional<T: Answer>(
        self,
        on: impl Runs,
    ) -> Result<Option<T>, sqlx::Error> {
        let row = self.0.fetch_optional(on).await?;
        row.as_ref().map(T::of).transpose()
    }

    pub(super) async fn fetch_one<T: Answer>(self, on: impl Runs) -> Result<T, sqlx::Error> {
        T::of(&self.0.fetch_one(on).await?)
    }
}

/// What whoever runs a statement wants to know of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Count,
    Rows,
}

/// What came of a statement.
pub(super) struct Ran {
    pub(super) rows: Vec<Found>,
    pub(super) affected: u64,
}

impl Ran {
    pub(super) const fn rows_affected(&self) -> u64 {
        self.affected
    }
}

/// What statements run on.
pub(super) trait Runs: Send {
    fn run(
        self,
        statement: Statement<'_>,
        wanted: Wanted,
    ) -> impl Future<Output = Result<Ran, sqlx::Error>> + Send;
}

/// Any connection that is free.
impl Runs for &Lane {
    async fn run(self, statement: Statement<'_>, wanted: Wanted) -> Result<Ran, sqlx::Error> {
        let mut lease = self.lease().await?;
        lease
            .run(async |connection| connection.run(statement, wanted).await)
            .await
    }
}

impl Runs for &mut AnyConnection {
    async fn run(self, statement: Statement<'_>, wanted: Wanted) -> Result<Ran, sqlx::Error> {
        let query = statement.for_sqlx();
        Ok(match wanted {
            Wanted::Count => Ran {
                rows: Vec::new(),
                affected: query.execute(self).await?.rows_affected(),
            },
            Wanted::Rows => {
                let rows = query.fetch_all(self).await?;
                Ran {
                    rows: rows
                        .into_iter()
                        .map(|row| Found::Any(row, Next::default()))
                        .collect(),
                    affected: 0,
                }
            }
        })
    }
}

/// A row that was found.
pub(super) enum Found {
    Any(AnyRow, Next),
    Own(OwnRow),
}

/// The column after the one that was read last: they are read in nearly the order in which they are asked for.
#[derive(Default)]
pub(super) struct Next(AtomicUsize);

impl Next {
    /// The place of the column of that name, among `columns`.
    pub(super) fn find<C>(
        &self,
        name: Name,
        columns: &[C],
        name_of: impl Fn(&C) -> &str,
    ) -> Result<usize, NoSuchColumn> {
        let next = self.0.load(Ordering::Relaxed);
        let (before, after) = columns.split_at_checked(next).unwrap_or((columns, &[]));
        let mut places = after.iter().zip(next..).chain(before.iter().zip(0..));
        let place = places.find(|(column, _)| name.is(name_of(column)));
        let (_, place) = place.ok_or(NoSuchColumn)?;
        self.0.store(place + 1, Ordering::Relaxed);
        Ok(place)
    }
}

/// The columns of a row, by their names.
pub(super) trait Columns: Sync {
    /// A text, or `None` where the column is empty.
    fn text(&self, name: Name) -> Result<Option<&str>, NoSuchColumn>;
    fn int(&self, name: Name) -> Result<Option<i64>, NoSuchColumn>;
}

/// The name of a column, which begins with that of its table where a row has columns of several.
#[derive(Clone, Copy)]
pub(super) struct Name {
    pub(super) prefix: &'static str,
    pub(super) column: &'static str,
}

impl Name {
    /// Byte by byte: what the C library makes of a few bytes (a masked load, with AVX-512) takes hundreds of cycles where they end just
    /// before a page of memory that nobody has touched, each time.
    pub(super) fn is(self, name: &str) -> bool {
        let ours = self.prefix.bytes().chain(self.column.bytes());
        name.len() == self.prefix.len() + self.column.len()
            && ours.zip(name.bytes()).all(|(our, theirs)| our == theirs)
    }
}

/// There is none of that name, or it holds something else.
pub(super) struct NoSuchColumn;

impl Columns for Found {
    fn text(&self, name: Name) -> Result<Option<&str>, NoSuchColumn> {
        match self {
            Self::Any(row, next) => {
                let place = next.find(name, row.columns(), |column| column.name())?;
                row.try_get(place).map_err(|_| NoSuchColumn)
            }
            Self::Own(row) => row.text(name),
        }
    }

    fn int(&self, name: Name) -> Result<Option<i64>, NoSuchColumn> {
        match self {
            Self::Any(row, next) => {
                let place = next.find(name, row.columns(), |column| column.name())?;
                row.try_get(place).map_err(|_| NoSuchColumn)
            }
            Self::Own(row) => row.int(name),
        }
    }
}

/// What a row is made into.
pub(super) trait Answer: Sized {
    fn of(row: &Found) -> Result<Self, sqlx::Error>;
}

/// What a column is made into.
pub(super) trait Cell: Sized {
    fn at(row: &Found, place: usize) -> Result<Self, sqlx::Error>;
}

fn other_kind() -> sqlx::Error {
    sqlx::Error::Decode("a column holds another kind of value".into())
}

/// Declares what a column's value can become.
macro_rules! cells {
    ($($kind:ty: $pattern:pat => $value:expr;)*) => {
        $(impl Cell for Option<$kind> {
            fn at(row: &Found, place: usize) -> Result<Self, sqlx::Error> {
                match row {
                    Found::Any(row, _) => row.try_get(place),
                    Found::Own(row) => match row.at(place) {
                        Some(Value::Null) => Ok(None),
                        Some($pattern) => Ok(Some($value)),
                        _ => Err(other_kind()),
                    },
                }
            }
        }

        impl Cell for $kind {
            fn at(row: &Found, place: usize) -> Result<Self, sqlx::Error> {
                let value = Option::<$kind>::at(row, place)?;
                value.ok_or_else(other_kind)
            }
        }

        impl Answer for Option<$kind> {
            fn of(row: &Found) -> Result<Self, sqlx::Error> {
                Self::at(row, 0)
            }
        }

        impl Answer for $kind {
            fn of(row: &Found) -> Result<Self, sqlx::Error> {
                Self::at(row, 0)
            }
        })*
    };
}

cells! {
    i64: Value::Integer(int) => *int;
    String: Value::Text(text) => text.clone();
}

impl<A: Cell, B: Cell> Answer for (A, B) {
    fn of(row: &Found) -> Result<Self, sqlx::Error> {
        Ok((A::at(row, 0)?, B::at(row, 1)?))
    }
}
