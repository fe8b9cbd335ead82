//! What is asked of PostgreSQL at the same moment is asked in one message: while a statement is under way, those who want the same of
//! other rows wait, and are one statement then. A message and its answer cost more than what is in them, here and at PostgreSQL. Whoever
//! is alone asks at once.

use std::collections::HashMap;
use std::iter::once;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::lane::Lane;
use super::many_rows::{as_json, source};
use super::statement::{Argument, Columns as _, Found, Name, Statement, query};

/// So many are one statement, at the most.
const MOST: usize = 64;
/// Behind one that is not answered for so long nobody waits: they go on their own.
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
    waiting: Vec<Waiting>,
    /// How many have ever waited.
    count: u64,
}

struct Waiting {
    number: u64,
    arguments: Vec<Argument<'static>>,
    /// Dropped, it sends whoever waits on their own way.
    tell: Tell,
}

type Tell = oneshot::Sender<Option<Found>>;

enum Turn {
    Now(UnderWay),
    Later(Place),
    /// The one that is under way is in trouble.
    Apart,
}

/// A place in the line.
struct Place {
    key: Key,
    number: u64,
    told: oneshot::Receiver<Option<Found>>,
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
            Turn::Later(place) => match self.wait(place).await {
                Some(found) => return Ok(found),
                None => None,
            },
        };
        let found = statement.fetch_optional(&self.0.lane).await;
        drop(under_way);
        found
    }

    fn turn(&self, statement: &Statement<'_>) -> Turn {
        let (text, arguments) = (statement.text(), statement.arguments());
        let key = (text.as_ptr().addr(), text.len());
        let mut lines = self.lines();
        let line = lines.entry(key).or_insert_with(|| Line {
            of_many: String::leak(of_many(text, arguments)),
            since: None,
            waiting: Vec::new(),
            count: 0,
        });
        match line.since {
            None => {
                line.since = Some(Instant::now());
                let all = self.clone();
                return Turn::Now(UnderWay { all, key });
            }
            Some(since) if since.elapsed() > PATIENCE => return Turn::Apart,
            Some(_) => {}
        }
        let (tell, told) = oneshot::channel();
        let arguments = arguments.iter().cloned().map(Argument::into_owned);
        let number = line.count;
        line.count += 1;
        line.waiting.push(Waiting {
            number,
            arguments: arguments.collect(),
            tell,
        });
        Turn::Later(Place { key, number, told })
    }

    /// What was found for one who waits; `None` where they have to go on their own.
    async fn wait(&self, mut place: Place) -> Option<Option<Found>> {
        if let Ok(told) = timeout(PATIENCE, &mut place.told).await {
            return told.ok();
        }
        if let Some(line) = self.lines().get_mut(&place.key) {
            let before = line.waiting.len();
            line.waiting
                .retain(|waiting| waiting.number != place.number);
            if line.waiting.len() < before {
                return None;
            }
        }
        // It is under way, and must not be so twice.
        place.told.await.ok()
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
        // Else it has failed for one of them, and each is told why of their own.
        if let Ok(found) = found {
            tell(tells, found);
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
        line.waiting.retain(|waiting| !waiting.tell.is_closed());
        if line.waiting.is_empty() {
            line.since = None;
            return;
        }
        line.since = Some(Instant::now());
        let rest = line.waiting.split_off(line.waiting.len().min(MOST));
        let waiting = std::mem::replace(&mut line.waiting, rest);
        let of_many = line.of_many;
        drop(lines);
        let next = Self {
            all: self.all.clone(),
            key: self.key,
        };
        tokio::spawn(async move {
            next.all.run_for(waiting, of_many).await;
            drop(next);
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
        if let Some(tell) = place.and_then(|place| tells.get_mut(place)?.take()) {
            // Whoever has gone away hears nothing.
            let _ = tell.send(Some(row));
        }
    }
    for tell in tells.into_iter().flatten() {
        let _ = tell.send(None);
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
