//! Writing. SQLite has one writer, and each commit waits for the disk: transactions that come at the same time share one
//! commit there, so that many cost little more than one. On PostgreSQL each has a connection of its own.
//!
//! Whoever writes waits in a fair queue. The first whose transaction has to share sends a committer to the end of the
//! queue: all who stand before it write into the same transaction of the database, behind a savepoint each, and hear
//! what became of it when the committer's turn has come.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow};
use sqlx::query::{Query, QueryScalar};
use sqlx::{Any, AnyConnection, AssertSqlSafe, FromRow};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tokio::time::timeout;

use super::StoreError;
use super::connect::ACQUIRE_TIMEOUT;
use super::lane::{Lane, Lease};

/// SQLite takes its write lock now: a transaction that reads first and wants to write later would be refused when another
/// wrote in between.
const BEGIN_SQLITE: &str = "BEGIN IMMEDIATE";

/// The way to write.
#[derive(Clone)]
pub(super) struct Writes {
    lane: Lane,
    way: Way,
}

#[derive(Clone)]
enum Way {
    /// A transaction a connection.
    Apart,
    /// The pool has one connection, and those who wait for it share what they write.
    Gathered(Queue),
    /// The pool has one connection, which reads as well: nobody may hold it for others.
    InMemory,
}

/// The queue of those who write, and what the first of them has begun.
#[derive(Clone, Default)]
struct Queue {
    lease: Arc<Mutex<Option<Group>>>,
    /// Who waits for the lease. Only a hint: nothing is wrong where it is late.
    waiting: Arc<AtomicUsize>,
}

type Outcome = Result<(), &'static str>;

/// A transaction of the database that several share.
struct Group {
    connection: Lease,
    /// Those who have written and wait for the commit. A committer is on its way where there are any.
    members: Vec<oneshot::Sender<Outcome>>,
    /// The number of the newest savepoint. Each has a name of its own: none is ever rolled back to that somebody before it
    /// has written behind.
    savepoint: Option<usize>,
    /// How many savepoints there were.
    savepoints: usize,
    /// Whether what was written behind the newest savepoint is not to stay.
    abandoned: bool,
}

impl Writes {
    pub(super) const fn apart(lane: Lane) -> Self {
        Self {
            lane,
            way: Way::Apart,
        }
    }

    pub(super) const fn in_memory(lane: Lane) -> Self {
        Self {
            lane,
            way: Way::InMemory,
        }
    }

    pub(super) fn gathered(lane: Lane) -> Self {
        Self {
            lane,
            way: Way::Gathered(Queue::default()),
        }
    }

    /// What is underneath, for what is no business of requests: migrations, and the end.
    pub(super) const fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Begins a transaction. Dropped, it leaves nothing.
    pub(super) async fn begin(&self) -> Result<Writing, StoreError> {
        Ok(Writing(match &self.way {
            Way::Apart => Kind::Alone(begin_alone(&self.lane, "BEGIN").await?),
            Way::InMemory => Kind::Alone(begin_alone(&self.lane, BEGIN_SQLITE).await?),
            Way::Gathered(queue) => {
                let mut lease = queue.wait().await?;
                match lease.as_mut() {
                    None => *lease = Some(Group::begin(&self.lane).await?),
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
    pub(super) async fn execute(
        &self,
        statement: Query<'_, Any, AnyArguments>,
    ) -> Result<AnyQueryResult, StoreError> {
        self.run(async |connection| statement.execute(connection).await)
            .await
    }

    /// Runs one statement that answers with rows.
    pub(super) async fn fetch_all(
        &self,
        statement: Query<'_, Any, AnyArguments>,
    ) -> Result<Vec<AnyRow>, StoreError> {
        self.run(async |connection| statement.fetch_all(connection).await)
            .await
    }

    /// Runs one statement that answers with one value at the most.
    pub(super) async fn fetch_scalar<T>(
        &self,
        statement: QueryScalar<'_, Any, T, AnyArguments>,
    ) -> Result<Option<T>, StoreError>
    where
        T: Send + Unpin,
        (T,): Send + Unpin + for<'r> FromRow<'r, AnyRow>,
    {
        // To the end: `fetch_optional` leaves after the first row, and never hears that the commit failed.
        let all = self.run(async |connection| statement.fetch_all(connection).await);
        Ok(all.await?.into_iter().next())
    }

    /// Runs what is a transaction by itself; on SQLite others may share it.
    pub(super) async fn run<T>(
        &self,
        run: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let Way::Gathered(queue) = &self.way else {
            return Ok(self.lane.lease().await?.run(run).await?);
        };
        let mut turn = Turn::wait(queue, &self.lane).await?;
        let outcome = match turn.connection() {
            Some(connection) => run(connection).await,
            None => self.lane.lease().await?.run(run).await,
        };
        turn.end(outcome).await
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
        let Some(group) = lease.as_mut() else {
            return Ok(());
        };
        if group.members.is_empty() && !self.is_anybody_waiting() {
            if let Some(mut group) = lease.take() {
                group.connection.end("COMMIT").await?;
            }
            return Ok(());
        }
        let (told, hears) = oneshot::channel();
        group.members.push(told);
        if group.members.len() == 1 {
            let queue = self.clone();
            tokio::spawn(async move { queue.commit_group().await });
        }
        drop(lease);
        heard(hears).await
    }

    async fn roll_back(mut lease: OwnedMutexGuard<Option<Group>>) -> Result<(), StoreError> {
        if let Some(mut group) = lease.take_if(|group| group.members.is_empty()) {
            return Ok(group.connection.end("ROLLBACK").await?);
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
            Ok(()) => group
                .connection
                .end("COMMIT")
                .await
                .map_err(StoreError::from),
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
    async fn begin(lane: &Lane) -> Result<Self, StoreError> {
        Ok(Self {
            connection: begin_alone(lane, BEGIN_SQLITE).await?,
            members: Vec::new(),
            savepoint: None,
            savepoints: 0,
            abandoned: false,
        })
    }

    /// Takes back what nobody wants any more.
    async fn clear(&mut self) -> Result<(), StoreError> {
        if let (true, Some(last)) = (self.abandoned, self.savepoint) {
            self.run(format!("ROLLBACK TO member_{last}")).await?;
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
        let release = last.map_or_else(String::new, |last| format!("RELEASE member_{last}; "));
        self.run(format!("{release}SAVEPOINT member_{next}"))
            .await?;
        self.savepoint = Some(next);
        Ok(())
    }

    async fn run(&mut self, statements: String) -> Result<(), StoreError> {
        let statements = sqlx::raw_sql(AssertSqlSafe(statements));
        statements.execute(&mut *self.connection).await?;
        Ok(())
    }

    fn tell(self, outcome: Outcome) {
        for member in self.members {
            let _ = member.send(outcome);
        }
    }
}

/// The turn of one statement. It needs no savepoint: a statement that fails has done nothing.
struct Turn {
    queue: Queue,
    /// `None` once it has ended.
    lease: Option<OwnedMutexGuard<Option<Group>>>,
}

impl Turn {
    async fn wait(queue: &Queue, lane: &Lane) -> Result<Self, StoreError> {
        let mut lease = queue.wait().await?;
        match lease.as_mut() {
            None if queue.is_anybody_waiting() => *lease = Some(Group::begin(lane).await?),
            None => {}
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

    /// `None`: nobody shares anything, and the statement is a transaction by itself.
    fn connection(&mut self) -> Option<&mut AnyConnection> {
        let group = self.lease.as_mut()?.as_mut()?;
        Some(&mut group.connection)
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
    Alone(Lease),
    Shared(Share),
}

/// The turn of one who writes into a transaction that others may share.
struct Share {
    queue: Queue,
    /// `None` once it has ended.
    lease: Option<OwnedMutexGuard<Option<Group>>>,
}

impl Writing {
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self.0 {
            Kind::Alone(mut lease) => Ok(lease.end("COMMIT").await?),
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
            Kind::Shared(mut share) => match share.lease.take() {
                Some(lease) => Queue::roll_back(lease).await,
                None => Ok(()),
            },
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

impl Share {
    fn group(&self) -> Option<&Group> {
        self.lease.as_ref()?.as_ref()
    }

    fn group_mut(&mut self) -> Option<&mut Group> {
        self.lease.as_mut()?.as_mut()
    }
}

const HELD: &str = "a share holds its group until it is committed or dropped";

impl Deref for Writing {
    type Target = AnyConnection;

    #[expect(clippy::expect_used, reason = "see HELD; `Deref` cannot fail")]
    fn deref(&self) -> &AnyConnection {
        match &self.0 {
            Kind::Alone(lease) => lease,
            Kind::Shared(share) => &share.group().expect(HELD).connection,
        }
    }
}

impl DerefMut for Writing {
    #[expect(clippy::expect_used, reason = "see HELD; `DerefMut` cannot fail")]
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match &mut self.0 {
            Kind::Alone(lease) => lease,
            Kind::Shared(share) => &mut share.group_mut().expect(HELD).connection,
        }
    }
}

#[cfg(test)]
mod tests;
