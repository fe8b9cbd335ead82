use std::{fs, thread};

use super::*;
use crate::store::statement::{Statement, Wanted, query};

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
    log.is_copying_since = None;
    log.is_copied_to(Some(LONG + 50), now);
    let much = LONG + 50 + LITTLE + 1;
    assert_eq!(log.after_commit(much, now), Turn::Beside, "once more");
    log.is_copying_since = None;
    log.is_copied_to(Some(much), now);
    let little = much + LITTLE;
    assert_eq!(log.after_commit(little, now), Turn::Writer);
    log.is_copied_to(Some(little), now);
    // What is known of the old log says nothing of the new one.
    assert_eq!(log.after_commit(10, now), Turn::Nobody);
    assert_eq!(log.after_commit(LONG, now), Turn::Beside);
    let most = LONG + TOO_MUCH;
    assert_eq!(log.after_commit(most - 1, now), Turn::Nobody);
    assert_eq!(log.after_commit(most, now), Turn::Writer, "it is late");
    log.is_copying_since = None;
    // Where it does not become less than that.
    log.is_copied_to(Some(most), now);
    let left = most + LITTLE_WHEN_LONG;
    assert_eq!(log.after_commit(left, now), Turn::Writer);
    assert_eq!(log.after_commit(left + 1, now), Turn::Beside);
}

/// And what is in the file stays known.
#[test]
fn while_another_process_copies_it_is_not_tried() {
    let now = Instant::now();
    let mut log = Log::default();
    assert_eq!(log.after_commit(LONG, now), Turn::Beside);
    log.is_copying_since = None;
    log.is_copied_to(Some(LONG), now);
    log.is_copied_to(None, now);
    assert_eq!(log.after_commit(LONG + 1, now), Turn::Nobody);
    assert_eq!(log.after_commit(LONG + 2, now + PAUSE), Turn::Writer);
}

#[test]
fn it_is_not_tried_all_the_time_while_somebody_reads() {
    let now = Instant::now();
    let mut log = Log::default();
    assert_eq!(log.after_commit(LONG, now), Turn::Beside);
    log.is_copying_since = None;
    log.is_copied_to(Some(1000), now);
    assert_eq!(log.after_commit(LONG + LITTLE, now), Turn::Beside);
    log.is_copying_since = None;
    log.is_copied_to(Some(1000), now);
    assert_eq!(log.after_commit(LONG + LITTLE, now), Turn::Nobody);
    // However long it has become: nobody waits for all of it.
    assert_eq!(log.after_commit(20 * LONG, now), Turn::Nobody);
    assert_eq!(log.after_commit(20 * LONG, now + PAUSE), Turn::Beside);
    assert_eq!(log.after_commit(21 * LONG, now + PAUSE), Turn::Nobody);
}

#[test]
fn a_log_that_began_anew_meanwhile_has_nothing_copied() {
    let now = Instant::now();
    let mut log = Log::default();
    assert_eq!(log.after_commit(LONG, now), Turn::Beside);
    assert_eq!(log.after_commit(10, now), Turn::Nobody);
    log.is_copying_since = None;
    log.is_copied_to(Some(LONG), now);
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
        let pages = self.write_alone();
        self.checkpoints.after_commit(&self.writer, pages);
        pages
    }

    /// The same without what comes after it.
    fn write_alone(&mut self) -> u32 {
        let insert = "INSERT INTO note (text) VALUES ($1)";
        let pages = self.run(&query(insert).bind("x".repeat(200_000)));
        pages.unwrap()
    }

    fn run(&mut self, statement: &Statement<'_>) -> Option<u32> {
        self.writer.control("BEGIN IMMEDIATE", false).unwrap();
        self.writer.run(statement, Wanted::Count).unwrap();
        self.writer.commit(false).unwrap()
    }

    /// Writes without a hurry until the log has begun anew. How many times it has written.
    fn write_until_new(&mut self) -> i64 {
        let (until, mut last) = (Instant::now() + Duration::from_mins(1), 0);
        for written in 1.. {
            thread::sleep(Duration::from_millis(5));
            let pages = self.write();
            if pages < last {
                assert!(last >= LONG, "{last} pages");
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
    let size = fs::metadata(&place.path).unwrap().len();
    // All but the last one, which is in the new log.
    let copied = u64::try_from(written - 1).unwrap() * 200_000;
    assert!(size > copied, "{size} bytes of {copied}");
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
    place.checkpoints.close();
}

/// What the thread beside does, and that SQLite has waited for the disk then.
#[test]
fn all_that_is_written_is_copied() {
    let mut place = Place::new();
    let mut pages = 0;
    while pages < 1000 {
        pages = place.write_alone();
    }
    assert!(fs::metadata(&place.path).unwrap().len() < 100 * 4096);
    place.checkpoints.log().pages = pages;
    assert_eq!(place.checkpoints.copy().unwrap(), Some(pages));
    assert!(fs::metadata(&place.path).unwrap().len() > 900 * 4096);
    // The next one begins the log anew.
    assert!(place.write_alone() < 100);
}

#[test]
fn a_commit_of_nothing_says_nothing_of_the_log() {
    let mut place = Place::new();
    place.write();
    let nothing = query("UPDATE note SET text = '' WHERE text = 'y'");
    assert_eq!(place.run(&nothing), None);
}

/// Else nobody would copy any more.
#[test]
fn a_turn_ends_whatever_becomes_of_it() {
    let place = Place::new();
    let inside = &place.checkpoints.0;
    place.checkpoints.log().is_copying_since = Some(0);
    let turn = Copying(place.checkpoints.clone());
    let panics = move || {
        let _turn = turn;
        // Without a word on the terminal of whoever runs the tests.
        std::panic::resume_unwind(Box::new(()));
    };
    inside.beside.run(panics).unwrap();
    let until = Instant::now() + Duration::from_mins(1);
    while place.checkpoints.log().is_copying_since.is_some() {
        assert!(Instant::now() < until, "it has no end");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Before this version, what is written might be lost where one connection copies while another begins the log anew
/// (sqlite.org/wal.html, "The WAL-Reset Bug").
#[test]
fn this_sqlite_can_copy_beside_a_writer() {
    assert!(rusqlite::version_number() >= 3_051_003);
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
