//! What commands print: answers on standard output, errors on standard error. Nothing here ends a command that has begun to
//! act: what cannot be written is told when it is over.

use std::io::{self, Write as _};
use std::sync::OnceLock;

use anyhow::anyhow;
use serde_json::Value;

use crate::protocol::error::chain;
use crate::protocol::printable::Printable;

/// Why the rest of the answer could not be written.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// A line of the answer.
pub(super) fn line(text: impl AsRef<str>) {
    if LOST.get().is_none()
        && let Err(error) = writeln!(io::stdout().lock(), "{}", text.as_ref())
    {
        let _ = LOST.set(error);
    }
}

/// Whether the answer was written, as far as somebody read it: who has read enough (`| head`) closes the pipe.
pub(super) fn written() -> anyhow::Result<()> {
    match LOST.get() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow!("the answer could not be written: {error}"))
        }
        _ => Ok(()),
    }
}

/// An error with everything behind it.
pub(super) fn error(error: &anyhow::Error) {
    note(&chain(error.as_ref()));
}

/// A word beside the answer, which whoever pipes the answer on does not get.
pub(super) fn note(text: &str) {
    // There is no other place to say that this one cannot be written.
    let _ = writeln!(io::stderr().lock(), "portico: {text}");
}

/// Rows in columns as wide as their widest cell. What people and upstreams wrote is in them.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) {
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| printable(cell)))
        .collect();
    let mut widths = heads.map(|head| head.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let write = |cells: [&str; N]| {
        let padded = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        line(padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    write(heads);
    for row in &rows {
        write(row.each_ref().map(String::as_str));
    }
}

/// What is listed: a table for people, or an object a line for machines.
pub(super) struct List<const N: usize> {
    heads: [&'static str; N],
    rows: Vec<[String; N]>,
    json: bool,
}

impl<const N: usize> List<N> {
    pub(super) const fn new(heads: [&'static str; N], json: bool) -> Self {
        Self {
            heads,
            rows: Vec::new(),
            json,
        }
    }

    /// One more: what machines are told of it, and its row. Machines are told at once.
    pub(super) fn add(&mut self, told: impl FnOnce() -> Value, row: impl FnOnce() -> [String; N]) {
        if self.json {
            line(told().to_string());
        } else {
            self.rows.push(row());
        }
    }

    /// The end of it, where the table is printed.
    pub(super) fn end(self) {
        if !self.json {
            table(self.heads, &self.rows);
        }
    }
}

/// What a stranger wrote, as a terminal shows it and does not obey it.
pub(super) fn printable(text: &str) -> String {
    Printable(text).to_string()
}

/// Unix seconds as a date, in UTC.
pub(super) fn date(seconds: i64) -> String {
    let since_epoch = std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let time = std::time::UNIX_EPOCH + since_epoch;
    humantime::format_rfc3339_seconds(time).to_string()
}
