//! What is asked of PostgreSQL at the same moment is asked in one message: while a statement is under way, those who want the same of
//! other rows wait, and are one statement then. A message and its answer cost more than what is in them, here and at PostgreSQL. Whoever
//! is alone asks at once.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::iter::once;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::error::DatabaseError;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::lane::{Lane, breaks};
use super::many_rows::{as_json, source};
use super::statement::{Argument, Columns as _, Found, Name, Statement, query};

/// So many are one statement, at the most.
const MOST: usize = 64;
/// One that is under way for longer has much to read, or is far away: whoever comes does not wait for it. More than one at a time is
/// better then.
const BRIEF: Duration = Duration::from_millis(20);
/// Whoever has waited for so long, behind one that is not answered, goes on their own.
const PATIENCE: Duration = Duration::from_secs(1);
/// The columns of what many ask: whose row it is, and what `$1`, `$2` … stand for.
const PLACE: &str = "asked_place";
const COLUMNS: [&str; 5] = [PLACE, "a1", "a2", "a3", "a4"];

/// Those who ask. Cheap to clone.
#[derive(Clone)]
pub(super) struct Together(Arc<Inside>);

struct Inside {
    lane: Lane,
    lines: Mutex<HashMap<Key, Line>>,
}

/// Where the text of a statement is, which is part of the program, and how long.
type Key = (usize, usize);

/// Those who ask one statement.
struct Line {
    /// The same for many.
    of_many: &'static str,
    /// Since when one is under way.
    since: Option<Instant>,
    /// In the order of their numbers.
    waiting: VecDeque<Waiting>,
    /// How many have ever waited.
    count: u64,
}

struct Waiting {
    number: u64,
    arguments: Vec<Argument<'static>>,
    /// Dropped, it sends whoever waits on their own way.
    tell: Tell,
}

type Told = Result<Option<Found>, sqlx::Error>;
type Tell = oneshot::Sender<Told>;

enum Turn {
    Now(UnderWay),
    Later(Place),
    /// With nobody.
    Apart,
}

/// A place in the line.
struct Place {
    key: Key,
    number: u64,
    told: oneshot::Receiver<Told>,
}

/// One that is under way. When it has ended, however it did, those who wait are the next.
struct UnderWay {
    all: Together,
    key: Key,
}

impl Together {
    pub(super) fn by(lane: Lane) -> Self {
        Self(Arc::new(Inside {
            lane,
            lines: Mutex::default(),
        }))
    }

    /// Runs a statement that finds one row at the most, by its keys, or inserts one (`VALUES` at its end): what it finds. It has four
    /// arguments at the most.
    pub(super) async fn run(&self, statement: Statement<'_>) -> Result<Option<Found>, sqlx::Error> {
        let under_way = match self.turn(&statement) {
            Turn::Now(under_way) => Some(under_way),
            Turn::Apart => None,
            Turn::Later(place) => {
                let may_ask_again = !statement.text().starts_with("INSERT ");
                match self.wait(place, may_ask_again).await {
                    Some(told) => return told,
                    None => None,
                }
            }
        };
        let found = statement.fetch_optional(&self.0.lane).await;
        drop(under_way);
        found
    }

    fn turn(&self, statement: &Statement<'_>) -> Turn {
        let (text, arguments) = (statement.text(), statement.arguments());
        let key = (text.as_ptr().addr(), text.len());
        if arguments.len() >= COLUMNS.len() {
            return Turn::Apart;
        }
        let mut lines = self.lines();
        let line = lines.entry(key).or_insert_with(|| Line {
            of_many: String::leak(of_many(text, arguments)),
            since: None,
            waiting: VecDeque::new(),
            count: 0,
        });
        match line.since {
            None => {
                line.since = Some(Instant::now());
                let all = self.clone();
                return Turn::Now(UnderWay { all, key });
            }
            Some(since) if since.elapsed() > BRIEF => return Turn::Apart,
            Some(_) => {}
        }
        let (tell, told) = oneshot::channel();
        let arguments = arguments.iter().cloned().map(Argument::into_owned);
        let number = line.count;
        line.count += 1;
        line.waiting.push_back(Waiting {
            number,
            arguments: arguments.collect(),
            tell,
        });
        Turn::Later(Place { key, number, told })
    }

    /// What one who waits is told; `None` where they have to go on their own.
    async fn wait(&self, mut place: Place, may_ask_again: bool) -> Option<Told> {
        if let Ok(told) = timeout(PATIENCE, &mut place.told).await {
            return told.ok();
        }
        if self.leave(&place) || may_ask_again {
            return None;
        }
        place.told.await.ok()
    }

    /// Leaves the line. `false` where it is under way already.
    fn leave(&self, place: &Place) -> bool {
        let mut lines = self.lines();
        let Some(line) = lines.get_mut(&place.key) else {
            return false;
        };
        let number = |waiting: &Waiting| waiting.number;
        let at = line.waiting.binary_search_by_key(&place.number, number);
        at.is_ok_and(|at| line.waiting.remove(at).is_some())
    }

    /// Runs the statement for all of them, as long as one of them is there.
    async fn run_for(&self, waiting: Vec<Waiting>, of_many: &'static str) {
        let rows = waiting.iter().zip(0..).map(|(waiting, place)| {
            let place = Argument::Int(Some(place));
            once(place).chain(waiting.arguments.iter().cloned())
        });
        let Ok(rows) = as_json(&COLUMNS, rows) else {
            return;
        };
        let mut tells: Vec<_> = waiting.into_iter().map(|waiting| waiting.tell).collect();
        let statement = query(of_many).bind(rows);
        let found = tokio::select! {
            biased;
            found = statement.fetch_all(&self.0.lane) => found,
            () = all_gone(&mut tells) => return,
        };
        match found {
            Ok(found) => tell(tells, found),
            // Because of one of them, and nothing is done: each asks on their own, and is told what is theirs.
            Err(error @ sqlx::Error::Database(_)) if !breaks(&error) => {
                let code = error.as_database_error().and_then(DatabaseError::code);
                tracing::warn!(
                    code = code.as_deref(),
                    "PostgreSQL refused what was asked together; each is asked alone now"
                );
            }
            Err(error) => {
                for tell in tells {
                    let _ = tell.send(Err(same(&error)));
                }
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Key, Line>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut lines = self.all.lines();
        let Some(line) = lines.get_mut(&self.key) else {
            return;
        };
        let mut next = Vec::new();
        while next.len() < MOST
            && let Some(waiting) = line.waiting.pop_front()
        {
            if !waiting.tell.is_closed() {
                next.push(waiting);
            }
        }
        if next.is_empty() {
            line.since = None;
            return;
        }
        line.since = Some(Instant::now());
        let of_many = line.of_many;
        drop(lines);
        let under_way = Self {
            all: self.all.clone(),
            key: self.key,
        };
        tokio::spawn(async move {
            under_way.all.run_for(next, of_many).await;
            drop(under_way);
        });
    }
}

async fn all_gone(tells: &mut [Tell]) {
    for tell in tells {
        tell.closed().await;
    }
}

/// Tells each what was found for them.
fn tell(tells: Vec<Tell>, found: Vec<Found>) {
    let mut tells: Vec<_> = tells.into_iter().map(Some).collect();
    let place = Name {
        prefix: "",
        column: PLACE,
    };
    for row in found {
        let place = row.int(place).ok().flatten();
        let place = place.and_then(|place| usize::try_from(place).ok());
        let Some(tell) = place.and_then(|place| tells.get_mut(place)) else {
            // Nobody's. All ask on their own: of none it is known that there is nothing.
            return;
        };
        if let Some(tell) = tell.take() {
            // Whoever has gone away hears nothing.
            let _ = tell.send(Ok(Some(row)));
        }
    }
    for tell in tells.into_iter().flatten() {
        let _ = tell.send(Ok(None));
    }
}

/// The error for one more. After these nobody knows what was done, or there is no connection to be had.
fn same(error: &sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::PoolTimedOut => sqlx::Error::PoolTimedOut,
        sqlx::Error::PoolClosed => sqlx::Error::PoolClosed,
        error => sqlx::Error::Io(io::Error::other(error.to_string())),
    }
}

/// The statement `text` for many, whose arguments are the rows of one.
fn of_many(text: &str, arguments: &[Argument<'_>]) -> String {
    let kinds = once(&Argument::Int(None)).chain(arguments);
    let asked = source(COLUMNS.into_iter().zip(kinds));
    // Nothing else in a statement has this sign.
    let text = text.replace('$', "asked.a");
    let insertion = text.strip_suffix(')');
    if let Some((insert, values)) = insertion.and_then(|text| text.split_once(" VALUES (")) {
        return format!("{insert} SELECT {values} FROM {asked} AS asked");
    }
    // Each is looked for as if it were alone. Without this PostgreSQL may read a whole table that it takes to be small.
    let apart = if text.contains(" OFFSET ") {
        ""
    } else {
        " OFFSET 0"
    };
    format!(
        "SELECT asked.{PLACE}, found.* FROM {asked} AS asked CROSS JOIN LATERAL ({text}{apart}) AS found"
    )
}
