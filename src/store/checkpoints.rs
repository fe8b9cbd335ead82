//! Copying SQLite's log into the file. SQLite has that done by whoever commits when the log is long, and everybody who writes waits for
//! them, for tens of milliseconds. Here a thread of its own copies while others write on. The log begins anew only where all of it
//! was copied and nobody has written since, so the little that came meanwhile is the writer's.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::embedded::Embedded;
use crate::beside::Beside;

/// Pages of the log from which on it is copied. Those that are written all the time have been written some twenty times by then, and are
/// copied once.
const LONG: u32 = 4000;
/// So many pages may come while it is copied. Then the writer waits for the thread beside and copies what is left, whatever it takes: else
/// the log would grow without end where more comes than is copied.
const TOO_MUCH: u32 = 3 * LONG;
/// What the writer may copy in passing.
const LITTLE: u32 = 200;
/// The same of a log that does not become shorter.
const LITTLE_WHEN_LONG: u32 = 1000;
/// So few pages come by themselves while a few are copied.
const FEW: u32 = 40;
/// How often what came meanwhile is copied, at the most, before the writer is asked.
const ROUNDS: usize = 20;
/// Before it is tried again where it is of no use.
const PAUSE: Duration = Duration::from_secs(1);

/// What copies. Cheap to clone.
#[derive(Clone)]
pub(super) struct Checkpoints(Arc<Inside>);

struct Inside {
    path: PathBuf,
    beside: Beside,
    log: Mutex<Log>,
    copier: Mutex<Copier>,
}

/// What is known of the log. Another process may have begun it anew and made it longer than it was, which is not noticed: then the writer
/// copies more than a little, once.
#[derive(Default)]
struct Log {
    /// How many pages it had after the last commit.
    pages: u32,
    /// How many of them are in the file.
    copied: u32,
    /// How many it had when the thread beside began, which is at it.
    is_copying_since: Option<u32>,
    /// From when on it is worth another try.
    next_try: Option<Instant>,
}

#[derive(Default)]
struct Copier {
    /// `None` where nothing was to be copied yet, or it was in trouble.
    connection: Option<Embedded>,
    is_closed: bool,
}

/// Who copies.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Nobody,
    Writer,
    Beside,
}

impl Log {
    /// Whose turn it is after a commit that left so many pages.
    fn after_commit(&mut self, pages: u32, now: Instant) -> Turn {
        if pages < self.pages {
            // It has begun anew.
            self.copied = 0;
        }
        self.pages = pages;
        if pages < LONG || self.next_try.is_some_and(|then| now < then) {
            return Turn::Nobody;
        }
        if self.is_copying_since.is_some() {
            return if self.is_too_much() {
                Turn::Writer
            } else {
                Turn::Nobody
            };
        }
        let little = if pages >= LONG + TOO_MUCH {
            LITTLE_WHEN_LONG
        } else {
            LITTLE
        };
        if self.copied > 0 && pages.saturating_sub(self.copied) <= little {
            return Turn::Writer;
        }
        self.is_copying_since = Some(pages);
        Turn::Beside
    }

    /// Whether too much has come since the thread beside began.
    fn is_too_much(&self) -> bool {
        self.is_copying_since
            .is_some_and(|began| self.pages.saturating_sub(began) >= TOO_MUCH)
    }

    /// So many pages are in the file now; `None` where another process copies.
    fn is_copied_to(&mut self, copied: Option<u32>, now: Instant) {
        self.next_try = None;
        // Else it has begun anew meanwhile.
        let known = copied.filter(|copied| *copied <= self.pages);
        // Nothing more, for somebody reads what the file still holds.
        let is_in_vain = copied.is_none_or(|copied| copied <= self.copied && copied < self.pages);
        if is_in_vain {
            self.next_try = Some(now + PAUSE);
        }
        self.copied = known.unwrap_or(self.copied);
    }
}

/// The turn of the thread beside, until it is dropped.
struct Copying(Checkpoints);

impl Drop for Copying {
    fn drop(&mut self) {
        self.0.log().is_copying_since = None;
    }
}

impl Checkpoints {
    pub(super) fn of(path: &Path) -> Self {
        Self(Arc::new(Inside {
            path: path.to_owned(),
            beside: Beside::giving_way("sqlite-log"),
            log: Mutex::default(),
            copier: Mutex::default(),
        }))
    }

    /// What is to be done after a commit of `writer` that left so many pages in the log. What cannot be copied stays there, where
    /// everybody finds it.
    pub(super) fn after_commit(&self, writer: &Embedded, pages: u32) {
        let whose = self.log().after_commit(pages, Instant::now());
        match whose {
            Turn::Nobody => {}
            Turn::Writer => self.copy_as(writer),
            Turn::Beside => {
                let turn = Copying(self.clone());
                let job = move || {
                    let copied = turn.0.copy();
                    turn.0.tell(copied);
                };
                if self.0.beside.run(job).is_err() {
                    self.copy_as(writer);
                }
            }
        }
    }

    fn copy_as(&self, writer: &Embedded) {
        // Of two who copy, SQLite would refuse one.
        let waited = self.copier();
        let copied = writer.checkpoint();
        drop(waited);
        self.tell(copied);
    }

    fn tell(&self, copied: rusqlite::Result<Option<u32>>) {
        let now = Instant::now();
        match copied {
            Ok(copied) => self.log().is_copied_to(copied, now),
            Err(error) => {
                self.log().next_try = Some(now + PAUSE);
                let code = error.sqlite_error().map(|error| error.extended_code);
                tracing::warn!(
                    code,
                    "SQLite's log (-wal) cannot be copied into the database file, and grows until it can"
                );
            }
        }
    }

    /// Copies until nearly nothing comes meanwhile; how many pages are in the file then.
    fn copy(&self) -> rusqlite::Result<Option<u32>> {
        let mut copier = self.copier();
        if copier.is_closed {
            return Ok(None);
        }
        let connection = match copier.connection.take() {
            Some(connection) => connection,
            None => Embedded::copying(&self.0.path)?,
        };
        let (mut done, mut was_little) = (self.log().copied, false);
        for _ in 0..ROUNDS {
            let before = done;
            let Some(reached) = connection.checkpoint()? else {
                copier.connection = Some(connection);
                return Ok(None);
            };
            done = reached;
            let (pages, is_too_much) = {
                let log = self.log();
                (log.pages, log.is_too_much())
            };
            let is_little = done.saturating_sub(before) <= FEW;
            // SQLite has waited for the disk only where nothing was left, and else the writer would have to: once more, then.
            if is_too_much || (is_little && (done >= pages || was_little)) {
                break;
            }
            was_little = is_little;
        }
        copier.connection = Some(connection);
        Ok(Some(done))
    }

    /// Ends the connection, after what it copies.
    pub(super) fn close(&self) {
        *self.copier() = Copier {
            connection: None,
            is_closed: true,
        };
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn copier(&self) -> MutexGuard<'_, Copier> {
        self.0.copier.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
