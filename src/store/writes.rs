//! Writing. SQLite has one writer, and each commit waits for the disk: transactions that come at the same time share one
//! commit there, so that many cost little more than one. On PostgreSQL each has a connection of its own.
//!
//! Whoever writes waits in a fair queue. The first whose transaction has to share sends a committer to the end of the
//! queue, which looks for a moment whether more come: all who stand before it write into the same transaction of the
//! database, behind a savepoint each, and hear what became of it when the committer's turn has come.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::StoreError;
use super::connect::ACQUIRE_TIMEOUT;
use super::embedded::Pace;
use super::lane::{Lane, Lease};
use super::pen::{Inkwell, Pen};
use super::statement::{Answer, Found, Ran, Runs, Statement, Values, Wanted};

/// SQLite takes its write lock now: a transaction that reads first and wants to write later would be refused when another
/// wrote in between.
pub(super) const BEGIN_SQLITE: &str = "BEGIN IMMEDIATE";

/// The way to write.
#[derive(Clone)]
pub(super) enum Writes {
    /// A transaction a connection.
    Apart(Lane),
    /// There is one connection that writes, and those who wait for it share what they write.
    Gathered(Queue),
    /// There is one connection, which reads as well: nobody may hold it for others.
    InMemory(Lane),
}

/// The queue of those who write, and what the first of them has begun.
#[derive(Clone)]
pub(super) struct Queue {
    lease: Arc<Mutex<Option<Group>>>,
    /// Who waits for the lease. Only a hint: nothing is wrong where it is late.
    waiting: Arc<AtomicUsize>,
    /// How many have written and let others commit it. A hint as well.
    joined: Arc<AtomicUsize>,
    pens: Inkwell,
}

/// When a committer has put its commit off for so long, it looks for more no longer.
const GATHERING: Duration = Duration::from_millis(3);
/// It does not, either, when so many looks in a row have found nobody more.
const LOOKS_IN_VAIN: u32 = 4;

type Outcome = Result<(), &'static str>;

/// A transaction of the database that several share.
struct Group {
    pen: Pen,
    /// Those who have written and wait for the commit. A committer is on its way where there are any.
    members: Vec<oneshot::Sender<Outcome>>,
    /// The number of the newest savepoint. Each has a name of its own: none is ever rolled back to that somebody before it
    /// has written behind.
    savepoint: Option<usize>,
    /// How many savepoints there were.
    savepoints: usize,
    /// Whether what was written behind the newest savepoint is not to stay.
    abandoned: bool,
    /// Whether the log tells of its begin: whoever asks for one statement hears of one.
    is_told: bool,
}

impl Writes {
    /// The one way to write to a file of SQLite.
    pub(super) fn gathered(path: &Path, pace: Pace) -> Self {
        Self::Gathered(Queue {
            lease: Arc::default(),
            waiting: Arc::default(),
            joined: Arc::default(),
            pens: Inkwell::of(path, pace),
        })
    }

    /// Begins a transaction. Dropped, it leaves nothing.
    pub(super) async fn begin(&self) -> Result<Writing, StoreError> {
        Ok(Writing(match self {
            Self::Apart(lane) => Kind::Alone(begin_alone(lane, "BEGIN").await?),
            Self::InMemory(lane) => Kind::Alone(begin_alone(lane, BEGIN_SQLITE).await?),
            Self::Gathered(queue) => {
                let mut lease = queue.wait().await?;
                match lease.as_mut() {
                    None => *lease = Some(Group::begin(&queue.pens, true).await?),
                    Some(group) => {
                        if let Err(error) = group.begin_member().await {
                            return Err(fail(&mut lease, error));
                        }
                    }
                }
                Kind::Shared(Share {
                    queue: queue.clone(),
                    lease: Some(lease),
                })
            }
        }))
    }

    /// Runs one statement.
    pub(super) async fn execute(&self, statement: Statement<'_>) -> Result<Ran, StoreError> {
        self.run(async |writing| statement.execute(writing).await)
            .await
    }

    /// Runs one statement after the other; how many rows they have changed. On PostgreSQL that is one transaction. On SQLite all who write
    /// would wait for the end of it: what takes long is several turns there while others wait, and where others share it, what was written
    /// before a statement that fails may stay.
    pub(super) async fn execute_each(
        &self,
        statements: Vec<Statement<'_>>,
    ) -> Result<u64, StoreError> {
        let mut changed = 0;
        if let Self::Gathered(queue) = self {
            let statements = statements.into_iter().map(Statement::into_owned);
            let mut rest = statements.collect::<Vec<_>>().into_iter();
            while !rest.as_slice().is_empty() {
                let some = async |writing: &mut Writing| {
                    // It is there until the turn has ended.
                    let group = writing.group().ok_or(sqlx::Error::WorkerCrashed)?;
                    let queue = queue.clone();
                    let do_others_wait = move || queue.is_anybody_waiting();
                    group.pen.run_some(rest, do_others_wait).await
                };
                let step;
                (step, rest) = self.run(some).await?;
                changed += step;
            }
            return Ok(changed);
        }
        let mut transaction = self.begin().await?;
        for statement in statements {
            changed += statement.execute(&mut transaction).await?.rows_affected();
        }
        transaction.commit().await?;
        Ok(changed)
    }

    /// Runs one statement that answers with rows.
    pub(super) async fn fetch_all(
        &self,
        statement: Statement<'_>,
    ) -> Result<Vec<Found>, StoreError> {
        self.run(async |writing| statement.fetch_all(writing).await)
            .await
    }

    /// Runs one statement that answers with one value at the most.
    pub(super) async fn fetch_scalar<T: Answer + Send>(
        &self,
        statement: Values<'_>,
    ) -> Result<Option<T>, StoreError> {
        self.run(async |writing| statement.fetch_optional(writing).await)
            .await
    }

    /// Runs what is a transaction by itself on SQLite, where others may share it; on PostgreSQL each statement is one.
    pub(super) async fn run<T>(
        &self,
        run: impl AsyncFnOnce(&mut Writing) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        match self {
            Self::Apart(lane) | Self::InMemory(lane) => {
                let lease = lane.lease().await?;
                Ok(run(&mut Writing(Kind::Plain(lease))).await?)
            }
            Self::Gathered(queue) => {
                let mut writing = Writing(Kind::Turn(Turn::wait(queue).await?));
                let outcome = run(&mut writing).await;
                match writing.0 {
                    Kind::Turn(turn) => turn.end(outcome).await,
                    _ => Ok(outcome?),
                }
            }
        }
    }

    /// Ends every connection, after what is running.
    pub(super) async fn close(&self) {
        match self {
            Self::Apart(lane) | Self::InMemory(lane) => lane.close().await,
            Self::Gathered(queue) => {
                loop {
                    let lease = queue.lease.lock().await;
                    // Whoever shares one is told what came of it before the end.
                    if lease.is_none() {
                        return queue.pens.close().await;
                    }
                    drop(lease);
                    yield_now().await;
                }
            }
        }
    }
}

async fn begin_alone(lane: &Lane, statement: &'static str) -> Result<Lease, StoreError> {
    let mut lease = lane.lease().await?;
    lease.begin(statement).await?;
    Ok(lease)
}

/// Tells all who share a transaction that it has failed.
fn fail(lease: &mut Option<Group>, error: StoreError) -> StoreError {
    if let Some(group) = lease.take() {
        group.tell(Err(error.cause()));
    }
    error
}

impl Queue {
    async fn wait(&self) -> Result<OwnedMutexGuard<Option<Group>>, StoreError> {
        /// Counts as waiting until it is dropped.
        struct Waits<'a>(&'a AtomicUsize);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        let lease = timeout(ACQUIRE_TIMEOUT, self.lease.clone().lock_owned()).await;
        lease.map_err(|_| sqlx::Error::PoolTimedOut.into())
    }

    fn is_anybody_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Commits what the holder of the lease has written: now, if nobody shares it, or with the others.
    async fn commit(&self, mut lease: OwnedMutexGuard<Option<Group>>) -> Result<(), StoreError> {
        if let Some(mut group) = lease.take_if(|group| group.members.is_empty()) {
            if !self.is_anybody_waiting() {
                // What came in the same moment is not queued yet. Whoever goes away here has written nothing.
                yield_now().await;
            }
            if !self.is_anybody_waiting() {
                return group.commit().await;
            }
            *lease = Some(group);
        }
        let Some(group) = lease.as_mut() else {
            return Ok(());
        };
        let (told, hears) = oneshot::channel();
        group.members.push(told);
        self.joined.fetch_add(1, Ordering::Relaxed);
        if group.members.len() == 1 {
            let queue = self.clone();
            tokio::spawn(async move {
                queue.gather().await;
                queue.commit_group().await;
            });
        }
        drop(lease);
        heard(hears).await
    }

    /// Lets those write first who are about to. A commit more is another wait for the disk, and writes once more the pages that all of them
    /// change. One look is a turn of everybody who is ready, so that the last may end a while after [`GATHERING`].
    async fn gather(&self) {
        let began = Instant::now();
        let mut seen = self.joined.load(Ordering::Relaxed);
        let mut in_vain = 0;
        while in_vain < LOOKS_IN_VAIN && began.elapsed() < GATHERING {
            yield_now().await;
            let joined = self.joined.load(Ordering::Relaxed);
            in_vain = if joined == seen { in_vain + 1 } else { 0 };
            seen = joined;
        }
    }

    async fn roll_back(mut lease: OwnedMutexGuard<Option<Group>>) -> Result<(), StoreError> {
        if let Some(group) = lease.take_if(|group| group.members.is_empty()) {
            group.pen.take_back().await;
            return Ok(());
        }
        let Some(group) = lease.as_mut() else {
            return Ok(());
        };
        group.abandoned = true;
        let (told, hears) = oneshot::channel();
        group.members.push(told);
        drop(lease);
        heard(hears).await
    }

    async fn commit_group(&self) {
        let mut lease = self.lease.lock().await;
        let Some(mut group) = lease.take() else {
            return;
        };
        let outcome = match group.clear().await {
            Ok(()) => group.commit().await,
            Err(error) => Err(error),
        };
        let outcome = outcome.map_err(|error| error.cause());
        for member in group.members {
            // Whoever has gone away hears nothing, and what was written stays.
            let _ = member.send(outcome);
        }
    }
}

async fn heard(hears: oneshot::Receiver<Outcome>) -> Result<(), StoreError> {
    let outcome = hears.await.unwrap_or(Err("the server is stopping"));
    outcome.map_err(StoreError::NotCommitted)
}

impl Group {
    /// Begins the transaction; of somebody who has asked for one, if `is_told`.
    async fn begin(pens: &Inkwell, is_told: bool) -> Result<Self, StoreError> {
        Ok(Self {
            pen: pens.begin(BEGIN_SQLITE, is_told).await?,
            is_told,
            members: Vec::new(),
            savepoint: None,
            savepoints: 0,
            abandoned: false,
        })
    }

    /// Takes back what nobody wants any more.
    async fn clear(&mut self) -> Result<(), StoreError> {
        if let (true, Some(last)) = (self.abandoned, self.savepoint) {
            let statement = format!("ROLLBACK TO member_{last}");
            self.pen.control(&statement, true).await?;
        }
        self.abandoned = false;
        Ok(())
    }

    /// Sets the savepoint of one more.
    async fn begin_member(&mut self) -> Result<(), StoreError> {
        self.clear().await?;
        // While it is set there is nothing to take back: whoever goes away meanwhile has written nothing behind it.
        let last = self.savepoint.take();
        let next = self.savepoints;
        self.savepoints += 1;
        if let Some(last) = last {
            let statement = format!("RELEASE member_{last}");
            self.pen.control(&statement, true).await?;
        }
        let statement = format!("SAVEPOINT member_{next}");
        self.pen.control(&statement, true).await?;
        self.savepoint = Some(next);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        let is_told = self.is_told || !self.members.is_empty();
        Ok(self.pen.commit(is_told).await?)
    }

    fn tell(self, outcome: Outcome) {
        for member in self.members {
            let _ = member.send(outcome);
        }
    }
}

/// The turn of one statement, or of some of which each may stay by itself. It needs no savepoint: a statement that fails has done nothing.
struct Turn {
    queue: Queue,
    /// `None` once it has ended.
    lease: Option<OwnedMutexGuard<Option<Group>>>,
}

impl Turn {
    async fn wait(queue: &Queue) -> Result<Self, StoreError> {
        let mut lease = queue.wait().await?;
        match lease.as_mut() {
            None => *lease = Some(Group::begin(&queue.pens, false).await?),
            Some(group) => {
                if let Err(error) = group.clear().await {
                    return Err(fail(&mut lease, error));
                }
            }
        }
        Ok(Self {
            queue: queue.clone(),
            lease: Some(lease),
        })
    }

    async fn end<T>(mut self, outcome: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        match outcome {
            Ok(value) => {
                if let Some(lease) = self.lease.take() {
                    self.queue.commit(lease).await?;
                }
                Ok(value)
            }
            // A full disk has SQLite take the whole transaction back by itself: those who share it must not hear of success.
            Err(error) if !is_violation(&error) => match &mut self.lease {
                Some(lease) => Err(fail(lease, error.into())),
                None => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a rule of the schema refused a row, which takes back that statement alone.
fn is_violation(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| !matches!(error.kind(), sqlx::error::ErrorKind::Other))
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(lease) = &mut self.lease {
            drop_if_alone(lease);
        }
    }
}

/// Nobody is going to commit a transaction that nobody has written into.
fn drop_if_alone(lease: &mut Option<Group>) {
    if lease.as_ref().is_some_and(|group| group.members.is_empty()) {
        *lease = None;
    }
}

/// A transaction that writes. Use no pool until it has ended: in memory there is only this one connection.
pub(super) struct Writing(Kind);

enum Kind {
    /// A transaction on a connection of its own.
    Alone(Lease),
    /// The same without one: each statement is one.
    Plain(Lease),
    Shared(Share),
    Turn(Turn),
}

/// The turn of one who writes into a transaction that others may share.
struct Share {
    queue: Queue,
    /// `None` once it has ended.
    lease: Option<OwnedMutexGuard<Option<Group>>>,
}

impl Writing {
    /// Whether others may write at the same time, so that rows need locks.
    pub(super) fn is_postgres(&self) -> bool {
        matches!(&self.0, Kind::Alone(lease) | Kind::Plain(lease) if lease.is_remote())
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self.0 {
            Kind::Alone(mut lease) => Ok(lease.end("COMMIT").await?),
            Kind::Plain(_) | Kind::Turn(_) => Ok(()),
            Kind::Shared(mut share) => match share.lease.take() {
                Some(lease) => share.queue.commit(lease).await,
                None => Ok(()),
            },
        }
    }

    /// Takes everything back, and waits for those who wrote before it: whoever looks for what was in its way finds that.
    pub(super) async fn rollback(self) -> Result<(), StoreError> {
        match self.0 {
            Kind::Alone(mut lease) => Ok(lease.end("ROLLBACK").await?),
            Kind::Plain(_) | Kind::Turn(_) => Ok(()),
            Kind::Shared(mut share) => match share.lease.take() {
                Some(lease) => Queue::roll_back(lease).await,
                None => Ok(()),
            },
        }
    }

    /// What is shared with others, until it has ended.
    fn group(&mut self) -> Option<&mut Group> {
        match &mut self.0 {
            Kind::Alone(_) | Kind::Plain(_) => None,
            Kind::Shared(Share { lease, .. }) | Kind::Turn(Turn { lease, .. }) => {
                lease.as_mut()?.as_mut()
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(lease) = &mut self.lease else {
            return;
        };
        drop_if_alone(lease);
        if let Some(group) = lease.as_mut() {
            group.abandoned = true;
        }
    }
}

impl Runs for &mut Writing {
    async fn run(self, statement: Statement<'_>, wanted: Wanted) -> Result<Ran, sqlx::Error> {
        match &mut self.0 {
            Kind::Alone(lease) => {
                return lease
                    .run_within(async |connection| connection.run(statement, wanted).await)
                    .await;
            }
            Kind::Plain(lease) => {
                return lease
                    .run(async |connection| connection.run(statement, wanted).await)
                    .await;
            }
            Kind::Shared(_) | Kind::Turn(_) => {}
        }
        // It is there until the transaction has ended, and nothing runs after that.
        let group = self.group().ok_or(sqlx::Error::WorkerCrashed)?;
        group.pen.run(statement, wanted).await
    }
}

#[cfg(test)]
mod tests;
