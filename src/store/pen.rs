//! The one connection that writes to a file of SQLite. Whoever has it runs what is brief by themselves; what may take long, each
//! commit above all, which waits for the disk, runs on a thread of its own and holds up nobody.

use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::vec::IntoIter;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tracing::Span;

use crate::beside::Beside;

use super::checkpoints::Checkpoints;
use super::embedded::{Embedded, Pace, as_sqlx, is_busy};
use super::statement::{Ran, Statement, Wanted};

/// How long another process's lock is waited for, away from everybody else.
const LONGEST_LOCK: Duration = Duration::from_secs(10);
/// How long one who has much to write keeps the others waiting.
const WHILE: Duration = Duration::from_millis(5);

/// Where the pen rests.
#[derive(Clone)]
pub(super) struct Inkwell(Arc<Inside>);

struct Inside {
    path: PathBuf,
    pace: Pace,
    rest: Mutex<Rest>,
    /// For what may take long.
    beside: Beside,
    checkpoints: Checkpoints,
}

enum Rest {
    /// Not there: nobody has written yet, somebody writes, or it was lost.
    Empty,
    Idle(Box<Embedded>),
    /// Nobody writes any more.
    Closed,
}

/// The connection, in a transaction. Dropped, what was not committed is gone.
pub(super) struct Pen {
    hand: Hand,
    of: Inkwell,
}

/// Who has the connection.
enum Hand {
    Here(Box<Embedded>),
    /// Another thread runs something long; whoever asked for it may have gone away meanwhile.
    Away(oneshot::Receiver<Box<Embedded>>),
    Lost,
}

impl Inkwell {
    pub(super) fn of(path: &Path, pace: Pace) -> Self {
        Self(Arc::new(Inside {
            path: path.to_owned(),
            pace,
            rest: Mutex::new(Rest::Empty),
            beside: Beside::new("sqlite-writer"),
            checkpoints: Checkpoints::of(path),
        }))
    }

    /// Takes the connection and begins a transaction by `statement`. Only one at a time may be in use: SQLite would have a second one
    /// wait for the first.
    pub(super) async fn begin(
        &self,
        statement: &'static str,
        is_told: bool,
    ) -> Result<Pen, sqlx::Error> {
        let idle = {
            let mut rest = self.rest();
            match mem::replace(&mut *rest, Rest::Empty) {
                Rest::Closed => {
                    *rest = Rest::Closed;
                    return Err(sqlx::Error::PoolClosed);
                }
                Rest::Idle(connection) => Some(connection),
                Rest::Empty => None,
            }
        };
        let mut pen = Pen {
            hand: Hand::Lost,
            of: self.clone(),
        };
        let connection = if let Some(connection) = idle {
            connection
        } else {
            let path = self.0.path.clone();
            let opened = spawn_blocking(move || Embedded::writing(&path)).await;
            let opened = opened.map_err(|_| sqlx::Error::WorkerCrashed)?;
            Box::new(opened.map_err(|error| as_sqlx(&error))?)
        };
        let begun = at_once(&connection, statement, is_told);
        pen.hand = Hand::Here(connection);
        match begun {
            Ok(()) => return Ok(pen),
            Err(error) if is_busy(&error) => {}
            Err(error) => return Err(as_sqlx(&error)),
        }
        // Not by the thread beside: the lock may be that of a connection whose commit waits for that thread.
        let wait = |job| drop(spawn_blocking(job));
        pen.elsewhere(wait, move |connection| connection.control(statement, false))
            .await?;
        Ok(pen)
    }

    #[cfg(test)]
    pub(super) fn pace(&self) -> &Pace {
        &self.0.pace
    }

    #[cfg(test)]
    pub(super) fn beside(&self) -> &Beside {
        &self.0.beside
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.0.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection, which writes what SQLite's log holds into the file.
    pub(super) async fn close(&self) {
        let rest = mem::replace(&mut *self.rest(), Rest::Closed);
        let checkpoints = self.0.checkpoints.clone();
        let close = move || {
            // What the log holds is written into the file by the last one to be closed.
            checkpoints.close();
            drop(rest);
        };
        // Where the runtime ends, so does the process.
        let _ = spawn_blocking(close).await;
    }
}

/// Begins a transaction, unless somebody else's lock is in the way.
fn at_once(connection: &Embedded, statement: &str, is_told: bool) -> rusqlite::Result<()> {
    connection.wait_for_locks(Duration::ZERO)?;
    let begun = connection.control(statement, is_told);
    connection.wait_for_locks(LONGEST_LOCK)?;
    begun
}

impl Pen {
    pub(super) async fn run(
        &mut self,
        statement: Statement<'_>,
        wanted: Wanted,
    ) -> Result<Ran, sqlx::Error> {
        if statement.is_brief() && self.of.0.pace.is_quick() {
            let pace = self.of.0.pace.clone();
            let connection = self.within().await?;
            let ran = pace.of(|| connection.run(&statement, wanted));
            return ran.map_err(|error| as_sqlx(&error));
        }
        let statement = statement.into_owned();
        self.aside(move |connection| connection.run(&statement, wanted))
            .await
    }

    /// Runs one after the other, in one go, until a while has passed and others wait; how many rows they have changed, and what is left
    /// of them.
    pub(super) async fn run_some(
        &mut self,
        mut statements: IntoIter<Statement<'static>>,
        do_others_wait: impl Fn() -> bool + Send + 'static,
    ) -> Result<(u64, IntoIter<Statement<'static>>), sqlx::Error> {
        self.aside(move |connection| {
            let began = Instant::now();
            let mut changed = 0;
            for statement in statements.by_ref() {
                changed += connection.run(&statement, Wanted::Count)?.rows_affected();
                if began.elapsed() >= WHILE && do_others_wait() {
                    break;
                }
            }
            Ok((changed, statements))
        })
        .await
    }

    /// Runs a statement about a part of the transaction.
    pub(super) async fn control(
        &mut self,
        statement: &str,
        is_told: bool,
    ) -> Result<(), sqlx::Error> {
        let controlled = self.within().await?.control(statement, is_told);
        controlled.map_err(|error| as_sqlx(&error))
    }

    pub(super) async fn commit(&mut self, is_told: bool) -> Result<(), sqlx::Error> {
        let checkpoints = self.of.0.checkpoints.clone();
        self.aside(move |connection| {
            if let Some(pages) = connection.commit(is_told)? {
                checkpoints.after_commit(connection, pages);
            }
            Ok(())
        })
        .await
    }

    /// Takes everything back, and waits until that is so.
    pub(super) async fn take_back(mut self) {
        // Whatever runs has to end first; what cannot be taken back by a statement is when the connection ends.
        let _ = self.here().await;
    }

    /// Has the thread beside do it, in the transaction.
    async fn aside<T: Send + 'static>(
        &mut self,
        run: impl FnOnce(&mut Embedded) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, sqlx::Error> {
        self.within().await?;
        let of = self.of.clone();
        // Where the operating system gives no thread, the job is dropped, and the connection with it.
        let begin = move |job| drop(of.0.beside.run(job));
        self.elsewhere(begin, run).await
    }

    /// Has another thread do it, which is told by `begin`. Whoever goes away meanwhile leaves it to the next one to wait for that.
    async fn elsewhere<T: Send + 'static>(
        &mut self,
        begin: impl FnOnce(Box<dyn FnOnce() + Send>),
        run: impl FnOnce(&mut Embedded) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, sqlx::Error> {
        self.here().await?;
        let Hand::Here(mut connection) = mem::replace(&mut self.hand, Hand::Lost) else {
            return Err(sqlx::Error::WorkerCrashed);
        };
        let (tells, hears) = oneshot::channel();
        let (gives_back, comes_back) = oneshot::channel();
        let span = Span::current();
        self.hand = Hand::Away(comes_back);
        begin(Box::new(move || {
            let ran = span.in_scope(|| run(&mut connection));
            let _ = tells.send(ran);
            // Where nobody waits for it, it ends with its transaction.
            let _ = gives_back.send(connection);
        }));
        self.here().await?;
        let ran = hears.await.map_err(|_| sqlx::Error::WorkerCrashed)?;
        ran.map_err(|error| as_sqlx(&error))
    }

    /// The connection, in the transaction that was begun. SQLite takes one back by itself where the disk is full or fails, and whoever
    /// would have heard of that may have gone away: what is run then would be another transaction.
    async fn within(&mut self) -> Result<&mut Embedded, sqlx::Error> {
        let connection = self.here().await?;
        if connection.is_in_transaction() {
            Ok(connection)
        } else {
            Err(sqlx::Error::WorkerCrashed)
        }
    }

    /// The connection, when it has come back.
    async fn here(&mut self) -> Result<&mut Embedded, sqlx::Error> {
        if let Hand::Away(comes_back) = &mut self.hand {
            let back = comes_back.await;
            self.hand = back.map_or(Hand::Lost, Hand::Here);
        }
        match &mut self.hand {
            Hand::Here(connection) => Ok(connection),
            _ => Err(sqlx::Error::WorkerCrashed),
        }
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        // One that is away ends with its transaction, and another is opened.
        let Hand::Here(connection) = mem::replace(&mut self.hand, Hand::Lost) else {
            return;
        };
        if connection.is_in_transaction() {
            let _ = connection.control("ROLLBACK", true);
        }
        let mut rest = self.of.rest();
        if !connection.is_in_transaction() && !matches!(*rest, Rest::Closed) {
            *rest = Rest::Idle(connection);
        }
    }
}
