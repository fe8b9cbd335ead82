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
/// From here on the writer copies itself, whatever it takes: the log would grow without end where more than a little comes all the time.
const TOO_LONG: u32 = 4 * LONG;
/// What the writer may copy in passing.
const LITTLE: u32 = 200;
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

/// What is known of the log.
#[derive(Default)]
struct Log {
    /// How many pages it had after the last commit.
    pages: u32,
    /// How many of them are in the file.
    copied: u32,
    /// Whether the thread beside is at it.
    is_copying: bool,
    /// When it is worth another try.
    tried_again: Option<Instant>,
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
        if pages < LONG || self.is_copying || self.tried_again.is_some_and(|then| now < then) {
            return Turn::Nobody;
        }
        self.tried_again = None;
        let is_little = self.copied > 0 && pages.saturating_sub(self.copied) <= LITTLE;
        if is_little || pages >= TOO_LONG {
            return Turn::Writer;
        }
        self.is_copying = true;
        Turn::Beside
    }

    /// So many pages are in the file now.
    fn is_copied_to(&mut self, copied: u32, now: Instant) {
        // Somebody reads what the file still holds, or another process copies.
        if copied <= self.copied && copied < self.pages {
            self.tried_again = Some(now + PAUSE);
        }
        // Else it has begun anew meanwhile.
        if copied <= self.pages {
            self.copied = copied;
        }
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
        let turn = self.log().after_commit(pages, Instant::now());
        match turn {
            Turn::Nobody => {}
            Turn::Writer => self.tell(writer.checkpoint()),
            Turn::Beside => {
                let own = self.clone();
                let job = move || {
                    let copied = own.copy();
                    own.log().is_copying = false;
                    own.tell(copied);
                };
                if self.0.beside.run(job).is_err() {
                    self.log().is_copying = false;
                    self.tell(writer.checkpoint());
                }
            }
        }
    }

    fn tell(&self, copied: rusqlite::Result<u32>) {
        let now = Instant::now();
        match copied {
            Ok(copied) => self.log().is_copied_to(copied, now),
            Err(error) => {
                self.log().tried_again = Some(now + PAUSE);
                let code = error.sqlite_error().map(|error| error.extended_code);
                tracing::warn!(
                    code,
                    "SQLite's log cannot be copied into the database file, and grows; is the disk full?"
                );
            }
        }
    }

    /// Copies until nearly nothing comes meanwhile; how many pages are in the file then.
    fn copy(&self) -> rusqlite::Result<u32> {
        let mut copier = self.copier();
        if copier.is_closed {
            return Ok(0);
        }
        let connection = match copier.connection.take() {
            Some(connection) => connection,
            None => Embedded::copying(&self.0.path)?,
        };
        let (mut done, mut was_little) = (0, false);
        for _ in 0..ROUNDS {
            let before = done;
            done = connection.checkpoint()?;
            // SQLite has waited for the disk only where nothing was left, and else the writer would have to: once more, then.
            let is_all = done >= self.log().pages;
            let is_little = done.saturating_sub(before) <= FEW;
            if is_little && (is_all || was_little) {
                break;
            }
            was_little = is_little;
        }
        copier.connection = Some(connection);
        Ok(done)
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
mod tests {
    use super::super::statement::{Wanted, query};
    use super::*;

    #[test]
    fn the_thread_beside_copies_and_the_writer_does_the_rest() {
        let now = Instant::now();
        let mut log = Log::default();
        assert_eq!(log.after_commit(LONG - 1, now), Turn::Nobody);
        assert_eq!(log.after_commit(LONG, now), Turn::Beside);
        assert_eq!(
            log.after_commit(LONG + 50, now),
            Turn::Nobody,
            "it is at it"
        );
        log.is_copying = false;
        log.is_copied_to(LONG + 50, now);
        let much = LONG + 50 + LITTLE + 1;
        assert_eq!(log.after_commit(much, now), Turn::Beside, "once more");
        log.is_copying = false;
        log.is_copied_to(much, now);
        let little = much + LITTLE;
        assert_eq!(log.after_commit(little, now), Turn::Writer);
        log.is_copied_to(little, now);
        // What is known of the old log says nothing of the new one.
        assert_eq!(log.after_commit(10, now), Turn::Nobody);
        assert_eq!(log.after_commit(LONG, now), Turn::Beside);
        log.is_copying = false;
        assert_eq!(log.after_commit(TOO_LONG, now), Turn::Writer);
    }

    #[test]
    fn it_is_not_tried_all_the_time_while_somebody_reads() {
        let now = Instant::now();
        let mut log = Log::default();
        assert_eq!(log.after_commit(LONG, now), Turn::Beside);
        log.is_copying = false;
        log.is_copied_to(1000, now);
        assert_eq!(log.after_commit(LONG + LITTLE, now), Turn::Beside);
        log.is_copying = false;
        log.is_copied_to(1000, now);
        assert_eq!(log.after_commit(LONG + LITTLE, now), Turn::Nobody);
        assert_eq!(log.after_commit(TOO_LONG, now), Turn::Nobody);
        assert_eq!(log.after_commit(TOO_LONG, now + PAUSE), Turn::Writer);
    }

    #[test]
    fn a_log_that_began_anew_meanwhile_has_nothing_copied() {
        let now = Instant::now();
        let mut log = Log::default();
        assert_eq!(log.after_commit(LONG, now), Turn::Beside);
        assert_eq!(log.after_commit(10, now), Turn::Nobody);
        log.is_copying = false;
        log.is_copied_to(LONG, now);
        assert_eq!(log.after_commit(LONG, now), Turn::Beside);
    }

    /// A database file with one table, and who writes to it.
    struct Place {
        path: PathBuf,
        writer: Embedded,
        checkpoints: Checkpoints,
        _folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("portico.db");
            let connection = rusqlite::Connection::open(&path).unwrap();
            let table = "PRAGMA journal_mode = WAL; CREATE TABLE note (text TEXT)";
            connection.execute_batch(table).unwrap();
            Self {
                writer: Embedded::writing(&path).unwrap(),
                checkpoints: Checkpoints::of(&path),
                path,
                _folder: folder,
            }
        }

        /// A transaction of some fifty pages; how many the log has then.
        fn write(&mut self) -> u32 {
            self.writer.control("BEGIN IMMEDIATE", false).unwrap();
            let note = query("INSERT INTO note (text) VALUES ($1)").bind("x".repeat(200_000));
            self.writer.run(&note, Wanted::Count).unwrap();
            let pages = self.writer.commit(false).unwrap();
            self.checkpoints.after_commit(&self.writer, pages);
            pages
        }

        /// Writes until the log has begun anew. How many times it has written.
        fn write_until_new(&mut self) -> i64 {
            let (until, mut last) = (Instant::now() + Duration::from_mins(1), 0);
            for written in 1.. {
                let pages = self.write();
                if pages < last {
                    return written;
                }
                last = pages;
                assert!(Instant::now() < until, "{pages} pages in the log");
            }
            unreachable!("it counts on")
        }
    }

    #[test]
    fn what_is_written_goes_into_the_file_and_the_log_begins_anew() {
        let mut place = Place::new();
        let mut written = place.write_until_new();
        written += place.write_until_new();
        let size = std::fs::metadata(&place.path).unwrap().len();
        assert!(size > u64::from(LONG) * 2 * 4096, "{size} bytes");
        place.checkpoints.close();
        drop(place.writer);
        let reader = rusqlite::Connection::open(&place.path).unwrap();
        let count = "SELECT COUNT(*) FROM note WHERE LENGTH(text) = 200000";
        let found: i64 = reader.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(found, written);
        let check = "PRAGMA integrity_check";
        let whole: String = reader.query_row(check, [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
    }

    /// Who reads goes on seeing what there was, and the log goes on once they are done.
    #[test]
    fn nobody_who_reads_is_disturbed() {
        let mut place = Place::new();
        place.write();
        let reader = rusqlite::Connection::open(&place.path).unwrap();
        reader.execute_batch("BEGIN").unwrap();
        let count = || -> i64 {
            let count = "SELECT COUNT(*) FROM note";
            reader.query_row(count, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count(), 1);
        let mut last = 0;
        while last < LONG + 500 {
            let pages = place.write();
            assert!(pages > last, "{pages} pages after {last}");
            last = pages;
        }
        assert_eq!(count(), 1);
        reader.execute_batch("COMMIT").unwrap();
        place.write_until_new();
    }

    #[test]
    fn after_its_end_nothing_is_opened() {
        let mut place = Place::new();
        place.checkpoints.close();
        while place.write() < LONG {}
        let (done, is_done) = std::sync::mpsc::channel();
        // After what it was told before.
        let beside = &place.checkpoints.0.beside;
        beside.run(move || done.send(()).unwrap()).unwrap();
        is_done.recv().unwrap();
        assert!(place.checkpoints.copier().connection.is_none());
    }
}
