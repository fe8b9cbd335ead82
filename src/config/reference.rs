//! Secrets by reference: `{ env = "NAME" }` and `{ file = "path" }`, fetched before serde sees the tree.

use std::path::Path;

use toml::{Table, Value};

use super::document::Environment;
use super::place::{Place, Report};
use super::show::MASK;
use crate::protocol::secret::RESOLVED;

/// Replaces every reference in `table` by what it leads to.
pub(super) fn resolve(table: &mut Table, place: &Place, env: Environment<'_>, report: &mut Report) {
    for (key, value) in table.iter_mut() {
        resolve_value(value, &place.key(key), env, report);
    }
}

fn resolve_value(value: &mut Value, place: &Place, env: Environment<'_>, report: &mut Report) {
    match value {
        Value::Table(table) if is_reference(table) => {
            // An unreadable one is replaced too: it has had its problem, and is not a wrong type besides.
            let text = fetch(table, place, env, report).unwrap_or_default();
            *table = Table::from_iter([(RESOLVED.to_owned(), Value::String(text))]);
        }
        Value::Table(table) => resolve(table, place, env, report),
        Value::Array(array) => {
            for (index, element) in array.iter_mut().enumerate() {
                resolve_value(element, &place.index(index), env, report);
            }
        }
        _ => {}
    }
}

/// Covers every fetched secret in `table`.
pub(super) fn mask(table: &mut Table) {
    for (_, value) in table.iter_mut() {
        mask_value(value);
    }
}

fn mask_value(value: &mut Value) {
    match value {
        Value::Table(table) if table.contains_key(RESOLVED) => {
            *value = Value::String(MASK.to_owned());
        }
        Value::Table(table) => mask(table),
        Value::Array(array) => array.iter_mut().for_each(mask_value),
        _ => {}
    }
}

fn is_reference(table: &Table) -> bool {
    !table.is_empty() && table.keys().all(|key| key == "env" || key == "file")
}

fn fetch(
    table: &Table,
    place: &Place,
    env: Environment<'_>,
    report: &mut Report,
) -> Option<String> {
    let outcome = match (table.get("env"), table.get("file")) {
        (Some(Value::String(name)), None) => match env(name) {
            Some(text) if !text.is_empty() => Ok(text),
            Some(_) => Err(format!("the environment variable {name} is empty")),
            None => Err(format!("the environment variable {name} is not set")),
        },
        (None, Some(Value::String(path))) => read_file(&place.beside(path), place, report),
        (Some(_), Some(_)) => Err("has both env and file; keep one of them".to_owned()),
        (Some(_), None) => Err("env must be the name of an environment variable".to_owned()),
        (None, _) => Err("file must be the path of a file".to_owned()),
    };
    outcome.map_err(|text| report.mistake(place, text)).ok()
}

fn read_file(path: &Path, place: &Place, report: &mut Report) -> Result<String, String> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            return Err(format!("the file {shown} is not text (UTF-8)"));
        }
        Err(error) => return Err(format!("the file {shown} cannot be read: {error}")),
    };
    warn_of_readers(path, place, report);
    // Editors end a file with a line break that is no part of the secret, and some begin it with a byte order mark, which nobody sees.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(format!("the file {shown} is empty"));
    }
    Ok(text.to_owned())
}

/// Warns of a file with a secret, if it is there, that not its owner alone may read.
#[cfg(unix)]
pub(super) fn warn_of_readers(path: &Path, place: &Place, report: &mut Report) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        let shown = path.display();
        report.warn(
            place,
            &format!("others than its owner may read the secret in {shown}; chmod 600 it"),
        );
    }
}

#[cfg(not(unix))]
pub(super) fn warn_of_readers(_: &Path, _: &Place, _: &mut Report) {}
