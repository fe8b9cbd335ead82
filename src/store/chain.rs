//! Statements of which each runs only where the one before it has found or changed a row. PostgreSQL is told all of them by one
//! message, as one statement: a message there and its answer cost more than most of what is in them, and locked rows stay so for
//! no longer than that. On SQLite they run one after the other, in one transaction.
//!
//! As one statement they see the database as it was when the first of them began, but for the rows that they lock: what an `UPDATE`, a
//! conflict of an `INSERT` and the looks have waited for is asked once more whether it still meets the conditions. So no link
//! may go on because of another row that somebody has changed meanwhile. (One that meets them only since then stops the chain.)

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::StoreError;
use super::statement::{Statement, Values, query_scalar};
use super::writes::{Writes, Writing};

/// Links, each about one row.
pub(super) struct Chain<'q>(Vec<Link<'q>>);

/// How far one went.
#[derive(Clone, Copy)]
pub(super) struct Went {
    links: usize,
    done: usize,
}

impl Went {
    /// Each link has found or changed its row.
    pub(super) const fn to_the_end(self) -> bool {
        self.done == self.links
    }

    /// The last link alone has not.
    pub(super) const fn to_the_last(self) -> bool {
        self.done + 1 == self.links
    }
}

struct Link<'q> {
    statement: Statement<'q>,
    does: Does,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Does {
    Writes,
    /// It is a look at a row that nobody else changes until the transaction ends.
    Holds,
    /// It is a look at a row that stays there until then, and may be changed.
    Keeps,
}

impl Does {
    /// What ends its text on PostgreSQL, so that it answers with a row for each that it is about.
    const fn ends(self) -> &'static str {
        match self {
            Self::Writes => "RETURNING 1",
            Self::Holds => "FOR NO KEY UPDATE",
            Self::Keeps => "FOR KEY SHARE",
        }
    }
}

impl<'q> Chain<'q> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// A statement that writes. Its conditions begin with its first `WHERE`, with no `OR` among them, and it has as many arguments as the
    /// highest of its numbers says.
    pub(super) fn then(self, statement: Statement<'q>) -> Self {
        self.with(statement, Does::Writes)
    }

    /// A look at a row, which nobody changes before the transaction ends. A file of SQLite has one writer, and needs no lock.
    pub(super) fn then_hold(self, look: Statement<'q>) -> Self {
        self.with(look, Does::Holds)
    }

    /// A look at a row, which nobody deletes before the transaction ends. Any number may keep the same one, also while somebody changes it.
    pub(super) fn then_keep(self, look: Statement<'q>) -> Self {
        self.with(look, Does::Keeps)
    }

    fn with(mut self, statement: Statement<'q>, does: Does) -> Self {
        self.0.push(Link { statement, does });
        self
    }

    /// The one statement that they are for PostgreSQL. It answers how many of them have found or changed their row.
    fn into_one(self) -> Values<'q> {
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
    /// Of each link where its text is, how long, and what it does.
    type Key = Vec<(usize, usize, Does)>;
    static COMPOSED: LazyLock<Mutex<HashMap<Key, &'static str>>> = LazyLock::new(Mutex::default);
    let key = links.iter().map(|link| {
        let text = link.statement.text();
        (text.as_ptr().addr(), text.len(), link.does)
    });
    let key = key.collect();
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
            let guard = format!("WHERE EXISTS (SELECT 1 FROM link_{before})");
            text = match text.split_once("WHERE ") {
                Some((what, conditions)) => format!("{what}{guard} AND {conditions}"),
                None => format!("{text} {guard}"),
            };
        }
        let ends = link.does.ends();
        parts.push(format!("link_{place} AS MATERIALIZED ({text} {ends})"));
        counts.push(format!("(SELECT LEAST(COUNT(*), 1) FROM link_{place})"));
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
        // A text takes whatever is written to it.
        let _ = match number.parse::<usize>() {
            Ok(number) => write!(whole, "${}{rest}", number + others),
            Err(_) => write!(whole, "${part}"),
        };
    }
    whole
}

impl Writes {
    /// Runs `chain` as a transaction of its own. However far it goes, what it has done stays. Dropped, it leaves nothing on SQLite;
    /// PostgreSQL ends what it was told.
    pub(super) async fn run_chain(&self, chain: Chain<'_>) -> Result<Went, StoreError> {
        if let Self::Apart(_) = self {
            return self
                .run(async |writing| writing.run_chain(chain).await)
                .await;
        }
        let mut transaction = self.begin().await?;
        let went = transaction.run_chain(chain).await?;
        transaction.commit().await?;
        Ok(went)
    }
}

impl Writing {
    /// The same as a part of this transaction.
    pub(super) async fn run_chain(&mut self, chain: Chain<'_>) -> Result<Went, sqlx::Error> {
        let (links, mut done) = (chain.0.len(), 0);
        if links > 0 && self.is_postgres() {
            let ran: i64 = chain.into_one().fetch_one(self).await?;
            done = usize::try_from(ran).unwrap_or_default();
            return Ok(Went { links, done });
        }
        for Link { statement, does } in chain.0 {
            let is_done = match does {
                Does::Writes => statement.execute(&mut *self).await?.rows_affected() > 0,
                Does::Holds | Does::Keeps => statement.fetch_optional(&mut *self).await?.is_some(),
            };
            if !is_done {
                break;
            }
            done += 1;
        }
        Ok(Went { links, done })
    }
}

#[cfg(test)]
mod tests;
