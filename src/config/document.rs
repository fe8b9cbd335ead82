//! One TOML file: read, parsed, its secrets fetched, and the line of every key known.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::place::{Place, Report, Source, push_index, push_key};
use super::reference;
use crate::protocol::secret::RESOLVED;

/// Looks up an environment variable; a parameter, so that tests need not change their own process.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Every environment variable that stands above the file.
pub const OVERRIDES: [(&str, [&str; 2]); 3] = [
    ("PORTICO_LISTEN", ["server", "listen"]),
    ("PORTICO_DATABASE_URL", ["database", "url"]),
    ("PORTICO_LOG", ["log", "filter"]),
];

/// The most bytes a config file may have: far above any real one, far below what would hurt.
const MAX_BYTES: usize = 8 << 20;

/// A parsed file.
pub(super) struct Document {
    /// What it says.
    pub(super) table: Table,
    /// Where it says it.
    pub(super) place: Place,
}

impl Document {
    /// Reads `file`; `None` when it is no TOML, with the reasons in `report`.
    pub(super) fn read(
        file: &Path,
        env: Environment<'_>,
        overrides: &[(&'static str, [&str; 2])],
        report: &mut Report,
    ) -> Option<Self> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) if text.len() > MAX_BYTES => {
                report.file_problem(file, None, "is too large to be a configuration");
                return None;
            }
            Ok(text) => text,
            Err(error) => {
                report.file_problem(file, None, format!("cannot be read: {error}"));
                return None;
            }
        };
        let (spanned, errors) = DeTable::parse_recoverable(&text);
        for error in &errors {
            let start = error.span().map(|span| span.start);
            report.file_problem(
                file,
                start.map(|start| line_of(&text, start)),
                syntax_error(&text, start, error.message()),
            );
        }
        if !errors.is_empty() {
            return None;
        }
        let mut table: Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                // What the tree cannot hold, such as an integer beyond 64 bits.
                let start = error.span().map(|span| span.start);
                let line = start.map(|start| line_of(&text, start));
                report.file_problem(file, line, syntax_error(&text, start, error.message()));
                return None;
            }
        };
        let mut lines = BTreeMap::new();
        let starts = line_starts(&text);
        record_lines(spanned.get_ref(), &starts, "", &mut lines);
        let overridden = overrides
            .iter()
            .filter_map(|(variable, key)| override_with(&mut table, variable, key, env))
            .collect();
        let place = Place::root(&Arc::new(Source {
            file: file.to_owned(),
            lines,
            overridden,
        }));
        reference::resolve(&mut table, &place, env, report);
        Some(Self { table, place })
    }
}

/// Puts a variable's value where the file's stood; returns the key path, so that problems name the variable.
fn override_with(
    table: &mut Table,
    variable: &'static str,
    [section, key]: &[&str; 2],
    env: Environment<'_>,
) -> Option<(String, &'static str)> {
    let text = env(variable)?;
    let section_value = table
        .entry(*section)
        .or_insert_with(|| Value::Table(Table::new()));
    let value = if *section == "database" {
        // It may hold a password.
        Value::Table(Table::from_iter([(
            RESOLVED.to_owned(),
            Value::String(text),
        )]))
    } else {
        Value::String(text)
    };
    section_value
        .as_table_mut()?
        .insert((*key).to_owned(), value);
    let mut path = String::new();
    push_key(&mut path, section);
    push_key(&mut path, key);
    Some((path, variable))
}

/// The parser's message with the column; without the line's text, which may hold what should have been a secret.
fn syntax_error(text: &str, start: Option<usize>, message: &str) -> String {
    let message = message.replace('\n', "; ");
    match start.and_then(|start| text.get(..start)) {
        Some(before) => {
            let line = before.rsplit('\n').next().unwrap_or_default();
            let column = line.chars().count() + 1;
            format!("is not valid TOML at column {column}: {message}")
        }
        None => format!("is not valid TOML: {message}"),
    }
}

fn line_of(text: &str, start: usize) -> usize {
    line_starts(text).partition_point(|at| *at <= start)
}

/// The byte at which each line begins.
fn line_starts(text: &str) -> Vec<usize> {
    let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    std::iter::once(0)
        .chain(breaks.map(|(at, _)| at + 1))
        .collect()
}

fn record_lines(
    table: &DeTable<'_>,
    starts: &[usize],
    path: &str,
    lines: &mut BTreeMap<String, usize>,
) {
    for (key, value) in table {
        let mut path = path.to_owned();
        push_key(&mut path, key.get_ref());
        let line = starts.partition_point(|start| *start <= key.span().start);
        record_value(value.get_ref(), line, starts, path, lines);
    }
}

fn record_value(
    value: &DeValue<'_>,
    line: usize,
    starts: &[usize],
    path: String,
    lines: &mut BTreeMap<String, usize>,
) {
    match value {
        DeValue::Table(table) => record_lines(table, starts, &path, lines),
        DeValue::Array(array) => {
            for (index, element) in array.iter().enumerate() {
                let mut path = path.clone();
                push_index(&mut path, index);
                let line = starts.partition_point(|start| *start <= element.span().start);
                record_value(element.get_ref(), line, starts, path, lines);
            }
        }
        _ => {}
    }
    lines.insert(path, line);
}
