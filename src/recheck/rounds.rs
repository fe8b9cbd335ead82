//! Rounds through the sessions of apps that are told of logouts. Such an app keeps a session of its own and may never come back, so
//! that nothing else would ask whether its person is still who they were.

use std::time::Duration;

use tokio::time::interval;

use super::{LEASE, Rechecks};
use crate::clock::UnixTime;
use crate::model::session::{Session, SessionLifetimes};
use crate::protocol::error::chain;
use crate::protocol::ids::{SessionId, UpstreamId};
use crate::store::StoreError;

/// How often a part of them is looked at.
const EVERY: Duration = Duration::from_secs(30);
/// How many are looked at then, one after the other: no upstream is asked about many people at once.
const PART: usize = 300;
/// How many are seen then at the most, with those that are over.
const SEEN: i64 = 3000;

/// Goes round. Of several nodes each does; who asks about a person is decided as at every other question.
pub struct Rounds {
    rechecks: Rechecks,
    lifetimes: SessionLifetimes,
}

impl Rounds {
    /// Through the sessions that last so long.
    pub fn new(rechecks: Rechecks, lifetimes: SessionLifetimes) -> Self {
        Self {
            rechecks,
            lifetimes,
        }
    }

    /// Works until it is dropped.
    pub async fn run(self) {
        let mut ticks = interval(EVERY);
        let mut after = SessionId::new("");
        loop {
            ticks.tick().await;
            match self.part(&after).await {
                Ok(Some(last)) => after = last,
                Ok(None) => after = SessionId::new(""),
                Err(error) => {
                    let error = chain(&error);
                    tracing::error!(error, "who is signed in could not be looked through");
                }
            }
        }
    }

    /// Looks at some sessions after that one: the last of them, or `None` at the end.
    async fn part(&self, after: &SessionId) -> Result<Option<SessionId>, StoreError> {
        if self
            .rechecks
            .policies
            .values()
            .all(|policy| policy.sessions.is_none())
        {
            return Ok(None);
        }
        let store = &self.rechecks.store;
        let now = self.rechecks.clock.now();
        let told = store.list_told_sessions(after, self.lifetimes, now, SEEN);
        let (mut asked, mut last) = (0, None);
        for (id, stands) in told.await? {
            asked += usize::from(stands);
            if asked > PART {
                break;
            }
            let id = last.insert(id);
            if !stands {
                continue;
            }
            // One that cannot be read does not stand in the way of those behind it.
            if let Err(error) = self.look_for(id).await {
                let error = chain(&error);
                tracing::error!(
                    error,
                    session = id.as_str(),
                    "whoever is signed in there could not be looked at"
                );
            }
        }
        Ok(last)
    }

    async fn look_for(&self, id: &SessionId) -> Result<(), StoreError> {
        let session = self.rechecks.store.find_session(id).await?;
        let now = self.rechecks.clock.now();
        match session.filter(|session| session.is_live(now, self.lifetimes)) {
            Some(session) => self.look_at(&session).await,
            None => Ok(()),
        }
    }

    async fn look_at(&self, session: &Session) -> Result<(), StoreError> {
        let rechecks = &self.rechecks;
        let Some(interval) = self.interval_of(&session.upstream) else {
            return Ok(());
        };
        let Some((account, Some(known))) = rechecks.store.find_standing(&session.id).await? else {
            return Ok(());
        };
        let now = rechecks.clock.now();
        let is_due = known.refused_at.is_none() && known.age(now) >= interval;
        if !is_due || known.is_taken(now, LEASE) || !account.is_open() {
            return Ok(());
        }
        let until: UnixTime = now + LEASE;
        let (login, store) = (known.login.clone(), &rechecks.store);
        if store.claim_check(&login, &known, now, until).await? {
            let asking = rechecks
                .clone()
                .ask(login, session.id.clone(), account, now);
            asking.await?;
        }
        Ok(())
    }

    fn interval_of(&self, upstream: &UpstreamId) -> Option<i64> {
        self.rechecks.asked_how_often(upstream)?.0.sessions
    }
}
