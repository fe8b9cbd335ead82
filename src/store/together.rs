//! What is asked of PostgreSQL at the same moment is asked in one message: while a statement is under way, those who want the same of
//! other rows wait, and are one statement then. A message and its answer cost more than what is in them, here and at PostgreSQL. Whoever
//! is alone asks at once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use sqlx::error::DatabaseError;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::lane::Lane;
use super::statement::{Argument, Columns as _, Found, Name, Statement, query};

/// So many are one statement, at the most.
const MOST: usize = 64;
/// One that is under way for longer has much to read, or is far away: whoever comes does not wait for it. More than one at a time is
/// better then.
const BRIEF: Duration = Duration::from_millis(20);
/// Whoever has waited for so long, behind one that is not answered, goes on their own.
const PATIENCE: Duration = Duration::from_secs(1);
/// The column that says whose row it is: one of [`Asked`].
const PLACE: &str = "asked_place";

/// What one of many asks, as PostgreSQL reads it: their place among them, and what `$1`, `$2` … stand for.
#[derive(Serialize)]
struct Asked<'a> {
    #[serde(rename = "asked_place")]
    place: usize,
    a1: Option<&'a Argument<'static>>,
    a2: Option<&'a Argument<'static>>,
    a3: Option<&'a Argument<'static>>,
    a4: Option<&'a Argument<'static>>,
}

/// So many arguments it has room for.
const ARGUMENTS: usize = 4;

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
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    arguments: Vec<Argument<'static>>,
    /// Dropped, it sends whoever waits on their own way.
    tell: Tell,
}

type Tell = oneshot::Sender<Option<Found>>;

enum Turn {
    Now(UnderWay),
    Later(oneshot::Receiver<Option<Found>>),
    /// With nobody.
    Apart,
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

    /// Runs a statement that finds one row at the most, by its keys.
    pub(super) async fn run(&self, statement: Statement<'_>) -> Result<Option<Found>, sqlx::Error> {
        let under_way = match self.turn(&statement) {
            Turn::Now(under_way) => Some(under_way),
            Turn::Apart => None,
            // Whoever does not wait any more is left out by those who go on.
            Turn::Later(told) => match timeout(PATIENCE, told).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(_)) | Err(_) => None,
            },
        };
        let found = statement.fetch_optional(&self.0.lane).await;
        drop(under_way);
        found
    }

    fn turn(&self, statement: &Statement<'_>) -> Turn {
        let (text, arguments) = (statement.text(), statement.arguments());
        let key = (text.as_ptr().addr(), text.len());
        if arguments.len() > ARGUMENTS {
            return Turn::Apart;
        }
        let mut lines = self.lines();
        let line = lines.entry(key).or_insert_with(|| Line {
            of_many: String::leak(of_many(text, arguments)),
            since: None,
            waiting: VecDeque::new(),
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
        line.waiting.push_back(Waiting {
            arguments: arguments.collect(),
            tell,
        });
        Turn::Later(told)
    }

    /// Runs the statement for all of them, as long as one of them is there.
    async fn run_for(&self, waiting: Vec<Waiting>, of_many: &'static str) {
        let asked = waiting.iter().zip(0..).map(|(waiting, place)| {
            let argument = |number: usize| waiting.arguments.get(number);
            Asked {
                place,
                a1: argument(0),
                a2: argument(1),
                a3: argument(2),
                a4: argument(3),
            }
        });
        let Ok(asked) = serde_json::to_string(&asked.collect::<Vec<_>>()) else {
            return;
        };
        let mut tells: Vec<_> = waiting.into_iter().map(|waiting| waiting.tell).collect();
        let statement = query(of_many).bind(asked);
        let found = tokio::select! {
            biased;
            found = statement.fetch_all(&self.0.lane) => found,
            () = all_gone(&mut tells) => return,
        };
        match found {
            Ok(found) => tell(tells, found),
            // Because of one of them, or of the connection: each goes on their own, and is told what is theirs.
            Err(error) => {
                let code = error.as_database_error().and_then(DatabaseError::code);
                tracing::warn!(
                    code = code.as_deref(),
                    "what was asked of PostgreSQL together is asked one by one now"
                );
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
            let _ = tell.send(Some(row));
        }
    }
    for tell in tells.into_iter().flatten() {
        let _ = tell.send(None);
    }
}

/// The statement `text` for many.
fn of_many(text: &str, arguments: &[Argument<'_>]) -> String {
    let columns = arguments.iter().zip(1..);
    let columns = columns.map(|(argument, number)| match argument {
        Argument::Text(_) => format!(", a{number} TEXT"),
        Argument::Int(_) => format!(", a{number} BIGINT"),
    });
    let columns: String = columns.collect();
    // Nothing else in a statement has this sign.
    let text = text.replace('$', "asked.a");
    // Each is looked for as if it were alone. Without this PostgreSQL may read a whole table that it takes to be small.
    let apart = if text.contains(" OFFSET ") {
        ""
    } else {
        " OFFSET 0"
    };
    format!(
        "SELECT asked.{PLACE}, found.*
         FROM json_to_recordset(CAST($1 AS JSON)) AS asked ({PLACE} BIGINT{columns})
         CROSS JOIN LATERAL ({text}{apart}) AS found"
    )
}
