//! Reading. On a file of SQLite whoever asks for what is brief looks by themselves, for a statement of sqlx's changes to the
//! connection's thread and back, which takes longer than the look. What may take long (lists, searches) goes by a [`Lane`], which
//! holds up nobody.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::embedded::{Embedded, Pace, is_busy};
use super::lane::Lane;
use super::statement::{Argument, Found, Ran, Runs, Statement, Wanted, query};
use super::together::Together;
use super::{Store, StoreError};

/// The way to read.
#[derive(Clone)]
pub(super) struct Reads {
    lane: Lane,
    looks: Looks,
}

/// How one looks at a row.
#[derive(Clone)]
enum Looks {
    /// By a connection.
    Apart,
    /// On PostgreSQL.
    Together(Together),
    /// At a file of SQLite.
    Glances(Glances),
}

impl Reads {
    /// Every statement by one of these connections.
    pub(super) const fn by(lane: Lane) -> Self {
        Self {
            lane,
            looks: Looks::Apart,
        }
    }

    /// The same, and looks of the same moment together.
    pub(super) fn with_looks_together(lane: Lane) -> Self {
        Self {
            looks: Looks::Together(Together::by(lane.clone())),
            lane,
        }
    }

    /// What is brief by connections to the file at `path`.
    pub(super) fn with_glances(lane: Lane, path: PathBuf, pace: Pace) -> Self {
        let inside = Inside {
            path,
            pace,
            idle: Mutex::new(Some(Vec::new())),
        };
        Self {
            lane,
            looks: Looks::Glances(Glances(Arc::new(inside))),
        }
    }

    /// What is underneath, for what is no business of requests: migrations.
    pub(super) const fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Ends every connection, after what is running.
    pub(super) async fn close(&self) {
        if let Looks::Glances(glances) = &self.looks {
            glances.close();
        }
        self.lane.close().await;
    }
}

impl Runs for &Reads {
    async fn run(self, statement: Statement<'_>, wanted: Wanted) -> Result<Ran, sqlx::Error> {
        if statement.is_brief()
            && let Looks::Glances(glances) = &self.looks
            && let Some(ran) = glances.run(&statement, wanted)
        {
            return Ok(ran);
        }
        (&self.lane).run(statement, wanted).await
    }
}

impl Store {
    /// The row that `statement` finds, which asks for one at the most, by keys that have an index.
    pub(super) async fn look_up(
        &self,
        statement: &'static str,
        arguments: &[Argument<'_>],
    ) -> Result<Option<Found>, StoreError> {
        let all = arguments.iter().cloned();
        let statement = all.fold(query(statement).at_once(), Statement::bind);
        Ok(match &self.reads.looks {
            Looks::Together(together) => together.run(statement).await?,
            Looks::Apart | Looks::Glances(_) => statement.fetch_optional(&self.reads).await?,
        })
    }
}

/// Connections to a file of SQLite, each for the thread that looks at the moment.
#[derive(Clone)]
struct Glances(Arc<Inside>);

struct Inside {
    path: PathBuf,
    pace: Pace,
    /// As many as there were threads that looked at the same time; `None` once the store is closed.
    idle: Mutex<Option<Vec<Embedded>>>,
}

impl Glances {
    /// `None` where it cannot be told at once: the long way says what is the matter.
    fn run(&self, statement: &Statement<'_>, wanted: Wanted) -> Option<Ran> {
        if !self.0.pace.is_quick() {
            return None;
        }
        let idle = self.idle().as_mut()?.pop();
        let connection = match idle {
            Some(connection) => Ok(connection),
            None => Embedded::reading(&self.0.path),
        };
        let ran = connection.and_then(|mut connection| {
            let ran = self.0.pace.of(|| connection.run(statement, wanted))?;
            Ok((connection, ran))
        });
        match ran {
            Ok((connection, ran)) => {
                if let Some(idle) = self.idle().as_mut() {
                    idle.push(connection);
                }
                Some(ran)
            }
            // One that is in trouble is not used again.
            Err(error) => {
                self.0.pace.slow_down();
                if !is_busy(&error) {
                    let code = error.sqlite_error().map(|error| error.extended_code);
                    tracing::warn!(
                        code,
                        "SQLite refused a look at the database, which is made the long way now"
                    );
                }
                None
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Option<Vec<Embedded>>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every connection. The last one of a file's writes what its log holds into it, which is not for one that only reads.
    fn close(&self) {
        self.idle().take();
    }
}
