//! Reading a row: a column that does not hold what it must is an error naming table, column and row.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::statement::{Columns, Name, NoSuchColumn};
use crate::protocol::scope::Scope;

/// A row on its way to becoming a record of the model.
pub(super) struct Record<'r> {
    table: &'static str,
    key: String,
    /// What the names of its columns begin with, where a row holds records of several tables.
    prefix: &'static str,
    row: &'r dyn Columns,
}

impl<'r> Record<'r> {
    /// Takes a row of `table`, whose primary key is in the column `key`.
    pub(super) fn new(table: &'static str, key: &'static str, row: &'r dyn Columns) -> Self {
        Self::of(table, key, "", row)
    }

    /// Takes the part of a row whose columns' names begin with `prefix`.
    pub(super) fn of(
        table: &'static str,
        key: &'static str,
        prefix: &'static str,
        row: &'r dyn Columns,
    ) -> Self {
        // Where even the key cannot be read, the error that follows says so by its empty name.
        let key = row
            .text(Name {
                prefix,
                column: key,
            })
            .ok()
            .flatten();
        Self {
            table,
            key: key.unwrap_or_default().to_owned(),
            prefix,
            row,
        }
    }

    /// Takes the part of a row whose columns' names begin with `prefix`, and whose key is known without one.
    pub(super) fn keyed(
        table: &'static str,
        key: &str,
        prefix: &'static str,
        row: &'r dyn Columns,
    ) -> Self {
        Self {
            table,
            key: key.to_owned(),
            prefix,
            row,
        }
    }

    /// Whether the row has none: the table was joined, and nothing was there.
    pub(super) fn is_absent(&self) -> bool {
        self.key.is_empty()
    }

    /// The primary key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.str(column).map(ToOwned::to_owned)
    }

    pub(super) fn optional_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        Ok(self.optional_str(column)?.map(ToOwned::to_owned))
    }

    pub(super) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        self.optional_int(column)?
            .ok_or_else(|| self.inconsistent(column))
    }

    pub(super) fn optional_int(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        let int = self.row.int(self.name(column));
        int.map_err(|NoSuchColumn| self.inconsistent(column))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        let text = self.str(column)?;
        serde_json::from_str(text).map_err(|_| self.inconsistent(column))
    }

    /// A column that may be empty.
    pub(super) fn optional_json<T: DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let text = self.optional_str(column)?;
        text.map(|text| serde_json::from_str(text).map_err(|_| self.inconsistent(column)))
            .transpose()
    }

    pub(super) fn scope(&self, column: &'static str) -> Result<Scope, StoreError> {
        let text = self.str(column)?;
        Scope::parse(text).map_err(|_| self.inconsistent(column))
    }

    fn str(&self, column: &'static str) -> Result<&'r str, StoreError> {
        self.optional_str(column)?
            .ok_or_else(|| self.inconsistent(column))
    }

    fn optional_str(&self, column: &'static str) -> Result<Option<&'r str>, StoreError> {
        let text = self.row.text(self.name(column));
        text.map_err(|NoSuchColumn| self.inconsistent(column))
    }

    const fn name(&self, column: &'static str) -> Name {
        Name {
            prefix: self.prefix,
            column,
        }
    }

    /// The error about `column` of this row. The reason stays out of it: it would quote the value.
    pub(super) fn inconsistent(&self, column: &'static str) -> StoreError {
        StoreError::Inconsistent {
            table: self.table,
            column,
            row: self.key.clone(),
        }
    }
}

/// JSON for a column.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()).into())
}

/// JSON for a column that is empty where there is nothing to say.
pub(super) fn to_json_unless(
    nothing: bool,
    value: &impl Serialize,
) -> Result<Option<String>, StoreError> {
    (!nothing).then(|| to_json(value)).transpose()
}
