//! Statements of which each runs only where the one before it has found or changed a row. PostgreSQL is told all of them by one
//! message, as one statement: a message there and its answer cost more than most of what is in them, and locked rows stay so for
//! no longer than that. On SQLite they run one after the other, in one transaction.
//!
//! As one statement they see the database as it was when the first of them began, but for the rows that they lock: whatever an
//! `UPDATE`, a conflict of an `INSERT` and [`Chain::then_hold`] wait for is asked anew when they have it. So a link must not depend on
//! any other row that somebody may have changed meanwhile.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::StoreError;
use super::statement::{Statement, Values, query_scalar};
use super::writes::{Writes, Writing};

/// Links, each about one row at the most.
pub(super) struct Chain<'q>(Vec<Link<'q>>);

struct Link<'q> {
    statement: Statement<'q>,
    /// Whether it is a look at a row that is to stay as it is until the transaction ends.
    holds: bool,
}

impl<'q> Chain<'q> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// A statement that writes. Its conditions begin with its first `WHERE`, and no `OR` is among them.
    pub(super) fn then(mut self, statement: Statement<'q>) -> Self {
        self.0.push(Link {
            statement,
            holds: false,
        });
        self
    }

    /// A look at a row, which nobody changes before the transaction ends. A file of SQLite has one writer, and needs no lock.
    pub(super) fn then_hold(mut self, look: Statement<'q>) -> Self {
        self.0.push(Link {
            statement: look,
            holds: true,
        });
        self
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The one statement that they are for PostgreSQL. It answers how many of them have found or changed their row.
    fn as_one(self) -> Values<'q> {
        let text = one_text(&self.0);
        let arguments = self
            .0
            .into_iter()
            .flat_map(|link| link.statement.into_arguments());
        arguments.fold(query_scalar(text), Values::bind)
    }
}

/// Composed once for each row of statements, which are part of the program.
fn one_text(links: &[Link<'_>]) -> &'static str {
    type Texts = Mutex<HashMap<Vec<(usize, usize)>, &'static str>>;
    static COMPOSED: LazyLock<Texts> = LazyLock::new(Texts::default);
    let texts = links.iter().map(|link| link.statement.text());
    let key = texts
        .map(|text| (text.as_ptr().addr(), text.len()))
        .collect();
    let mut composed = COMPOSED.lock().unwrap_or_else(PoisonError::into_inner);
    composed
        .entry(key)
        .or_insert_with(|| String::leak(compose(links)))
}

fn compose(links: &[Link<'_>]) -> String {
    let (mut parts, mut counts, mut arguments) = (Vec::new(), Vec::new(), 0);
    for (place, link) in links.iter().enumerate() {
        let mut text = with_numbers_from(arguments, link.statement.text());
        if let Some(before) = place.checked_sub(1) {
            let guard = format!("WHERE EXISTS (SELECT 1 FROM link_{before}) AND ");
            text = text.replacen("WHERE ", &guard, 1);
        }
        let ends = if link.holds {
            "FOR NO KEY UPDATE"
        } else {
            "RETURNING 1"
        };
        parts.push(format!("link_{place} AS MATERIALIZED ({text} {ends})"));
        counts.push(format!("(SELECT COUNT(*) FROM link_{place})"));
        arguments += link.statement.arguments().len();
    }
    ["WITH ", &parts.join(", "), " SELECT ", &counts.join(" + ")].concat()
}

/// The text with `$1` as the one after so many others. Nothing else in a statement has this sign.
fn with_numbers_from(others: usize, text: &str) -> String {
    let mut parts = text.split('$');
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|char: char| !char.is_ascii_digit());
        let (number, rest) = part.split_at(end.unwrap_or(part.len()));
        let number = number.parse().unwrap_or(0_usize) + others;
        // A text takes whatever is written to it.
        let _ = write!(whole, "${number}{rest}");
    }
    whole
}

impl Writes {
    /// Runs `chain` as a transaction of its own. From how many links on the rest has not run; what the others have done stays.
    pub(super) async fn run_chain(&self, chain: Chain<'_>) -> Result<usize, StoreError> {
        if let Self::Apart(_) = self {
            return self
                .run(async |writing| writing.run_chain(chain).await)
                .await;
        }
        let mut transaction = self.begin().await?;
        let done = transaction.run_chain(chain).await?;
        transaction.commit().await?;
        Ok(done)
    }
}

impl Writing {
    /// The same as a part of this transaction.
    pub(super) async fn run_chain(&mut self, chain: Chain<'_>) -> Result<usize, sqlx::Error> {
        if chain.len() > 0 && self.is_postgres() {
            let done: i64 = chain.as_one().fetch_one(self).await?;
            return Ok(usize::try_from(done).unwrap_or_default());
        }
        let mut done = 0;
        for Link { statement, holds } in chain.0 {
            let is_done = if holds {
                statement.fetch_optional(&mut *self).await?.is_some()
            } else {
                statement.execute(&mut *self).await?.rows_affected() > 0
            };
            if !is_done {
                break;
            }
            done += 1;
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests;
