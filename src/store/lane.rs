//! Connections at hand. sqlx's pool asks a connection whether it is well each time that it comes back, which costs as much as
//! a statement; here one is asked that has rested, and one that was in trouble is not used again.

use std::ops::{Deref, DerefMut};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::connect::ACQUIRE_TIMEOUT;

/// A connection that rested longer is asked before it is used: PostgreSQL may have been restarted meanwhile.
const TRUSTED_REST: Duration = Duration::from_secs(2);
/// How long a connection that is asked, or that somebody has left in the middle of something, is waited for: one whose other end is
/// gone without a word never answers.
const PATIENCE: Duration = Duration::from_secs(2);
/// One that is older is replaced, so that a database that has moved is found again.
const LIFETIME: Duration = Duration::from_mins(30);

/// So many connections, the one that was used last first. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lane(Arc<Inside>);

struct Inside {
    /// Makes them.
    pool: AnyPool,
    idle: Mutex<Vec<Idle>>,
    permits: Arc<Semaphore>,
    /// Whether they are to be asked and replaced: an embedded database is always there.
    is_remote: bool,
    /// How long one statement is waited for; not set: as long as it takes.
    limit: OnceLock<Duration>,
}

struct Idle {
    connection: PoolConnection<Any>,
    since: Instant,
    until: Instant,
}

/// A connection for a while.
pub(super) struct Lease {
    /// `None` when it has been given back.
    connection: Option<PoolConnection<Any>>,
    until: Instant,
    state: State,
    lane: Lane,
    permit: Option<OwnedSemaphorePermit>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fine,
    /// A statement was begun and not ended: whoever waited for it went away.
    Busy,
    InTransaction,
    Broken,
}

impl Lane {
    pub(super) fn new(pool: AnyPool, size: u32, is_remote: bool) -> Self {
        Self(Arc::new(Inside {
            pool,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(1))),
            is_remote,
            limit: OnceLock::new(),
        }))
    }

    /// From now on nobody waits longer than that for a statement on PostgreSQL.
    pub(super) fn limit(&self, limit: Duration) {
        if self.0.is_remote {
            self.0.limit.get_or_init(|| limit);
        }
    }

    /// Waits for what one statement is, for a bounded time where there is a limit.
    async fn wait<T>(
        &self,
        statement: Pin<&mut impl Future<Output = Result<T, sqlx::Error>>>,
    ) -> Result<T, sqlx::Error> {
        let Some(limit) = self.0.limit.get() else {
            return statement.await;
        };
        let answered = timeout(*limit, statement).await;
        answered.unwrap_or_else(|_| {
            let told = format!(
                "PostgreSQL has not answered for {} seconds; the connection is given up",
                limit.as_secs()
            );
            Err(sqlx::Error::Io(io::Error::new(
                io::ErrorKind::TimedOut,
                told,
            )))
        })
    }

    /// A connection, as soon as one is free.
    pub(super) async fn lease(&self) -> Result<Lease, sqlx::Error> {
        loop {
            let lease = self.next_lease().await?;
            if lease.state == State::Fine {
                return Ok(lease);
            }
        }
    }

    /// The one that is next, which may turn out to be good for nothing.
    async fn next_lease(&self) -> Result<Lease, sqlx::Error> {
        let permit = self.0.permits.clone().acquire_owned();
        let permit = match timeout(ACQUIRE_TIMEOUT, permit).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(sqlx::Error::PoolClosed),
            Err(_) => return Err(sqlx::Error::PoolTimedOut),
        };
        let now = Instant::now();
        let lease = |connection, until| Lease {
            connection: Some(connection),
            until,
            state: State::Fine,
            lane: self.clone(),
            permit: Some(permit),
        };
        let Some(idle) = self.idle().pop() else {
            return Ok(lease(self.0.pool.acquire().await?, now + LIFETIME));
        };
        // From here on it is the lease's, also if whoever waits goes away.
        let mut lease = lease(idle.connection, idle.until);
        if self.0.is_remote {
            if now > idle.until {
                lease.state = State::Broken;
            } else if now.duration_since(idle.since) > TRUSTED_REST {
                let ping = lease.run(async |connection| connection.ping().await);
                if !matches!(timeout(PATIENCE, ping).await, Ok(Ok(()))) {
                    lease.state = State::Broken;
                    self.give_up_rested();
                }
            }
        }
        Ok(lease)
    }

    /// Lets all go that are at rest, each for longer than one that did not answer: they would be waited for one after the other.
    fn give_up_rested(&self) {
        let rested = std::mem::take(&mut *self.idle());
        for mut idle in rested {
            idle.connection.close_on_drop();
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, connection: PoolConnection<Any>, until: Instant) {
        let mut idle = self.idle();
        // Asked under the lock: what is put there after `close` has emptied it would stay.
        if self.0.permits.is_closed() {
            return;
        }
        idle.push(Idle {
            connection,
            since: Instant::now(),
            until,
        });
    }

    /// Whether a connection that somebody has left in the middle of something can be used again.
    async fn puts_right(&self, connection: &mut AnyConnection, rolls_back: bool) -> bool {
        let putting_right = async {
            if rolls_back {
                let rollback = sqlx::raw_sql("ROLLBACK").execute(connection);
                rollback.await.map(drop)
            } else {
                connection.ping().await
            }
        };
        if !self.0.is_remote {
            // It is always there. SQLite refuses to roll back what it has ended already.
            return matches!(putting_right.await, Ok(()) | Err(sqlx::Error::Database(_)));
        }
        matches!(timeout(PATIENCE, putting_right).await, Ok(Ok(())))
    }

    /// Ends every connection, after what is running.
    pub(super) async fn close(&self) {
        self.0.permits.close();
        self.idle().clear();
        self.0.pool.close().await;
    }
}

impl Lease {
    /// Runs what one statement is, and remembers how the connection came out of it.
    pub(super) async fn run<T>(
        &mut self,
        run: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let Self {
            connection,
            state,
            lane,
            ..
        } = self;
        let Some(connection) = connection else {
            return Err(sqlx::Error::PoolClosed);
        };
        *state = State::Busy;
        let outcome = lane.wait(pin!(run(connection))).await;
        *state = match &outcome {
            Err(error) if breaks(error) => State::Broken,
            _ => State::Fine,
        };
        outcome
    }

    /// Takes the connection away from the others, who may have another.
    pub(super) fn detach(mut self) -> Result<AnyConnection, sqlx::Error> {
        let connection = self.connection.take().ok_or(sqlx::Error::PoolClosed)?;
        Ok(connection.detach())
    }

    /// Whether the database is another process: PostgreSQL.
    pub(super) fn is_remote(&self) -> bool {
        self.lane.0.is_remote
    }

    /// Begins a transaction; dropped before [`Lease::end`], it leaves nothing.
    pub(super) async fn begin(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        // From now on: whoever goes away meanwhile may have begun it.
        self.state = State::InTransaction;
        let begin = async |connection: &mut AnyConnection| {
            let begun = sqlx::raw_sql(statement).execute(connection);
            begun.await.map(drop)
        };
        self.run_within(begin).await
    }

    /// Runs what one statement of the transaction is. What breaks the connection is remembered: to roll back may well succeed then.
    pub(super) async fn run_within<T>(
        &mut self,
        run: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let lane = self.lane.clone();
        let outcome = lane.wait(pin!(run(self))).await;
        if outcome.as_ref().is_err_and(breaks) {
            self.state = State::Broken;
        }
        outcome
    }

    /// Ends the transaction by `COMMIT` or `ROLLBACK`.
    pub(super) async fn end(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        let lane = self.lane.clone();
        let ended = {
            let ending = pin!(sqlx::raw_sql(statement).execute(&mut **self));
            lane.wait(ending).await
        };
        match &ended {
            Ok(_) if self.state == State::Broken => {}
            Ok(_) => self.state = State::Fine,
            // Whatever stands in there, it must not be the next one's.
            Err(_) if self.lane.0.is_remote => self.state = State::Broken,
            // It is rolled back. In memory there is no other connection, and no database without this one.
            Err(_) => {}
        }
        ended.map(drop)
    }
}

/// Whether the connection is good for nothing after this: the network (class 08), PostgreSQL is stopping (57P) or has ended it
/// (25P03), or it leads to a server that only reads now (25006).
fn breaks(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("57P")
                || code.starts_with("08")
                || ["25006", "25P03"].contains(&&*code)
        }),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let (lane, until, permit) = (self.lane.clone(), self.until, self.permit.take());
        let rolls_back = match self.state {
            State::Fine => return lane.give_back(connection, until),
            State::Broken => return connection.close_on_drop(),
            State::Busy => false,
            State::InTransaction => true,
        };
        tokio::spawn(async move {
            if lane.puts_right(&mut connection, rolls_back).await {
                lane.give_back(connection, until);
            } else {
                connection.close_on_drop();
            }
            drop(permit);
        });
    }
}

const HELD: &str = "a lease has its connection until it is dropped";

impl Deref for Lease {
    type Target = AnyConnection;

    #[expect(clippy::expect_used, reason = "see HELD; `Deref` cannot fail")]
    fn deref(&self) -> &AnyConnection {
        self.connection.as_ref().expect(HELD)
    }
}

impl DerefMut for Lease {
    #[expect(clippy::expect_used, reason = "see HELD; `DerefMut` cannot fail")]
    fn deref_mut(&mut self) -> &mut AnyConnection {
        self.connection.as_mut().expect(HELD)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}
