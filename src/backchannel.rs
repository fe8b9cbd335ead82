//! Tells clients that somebody has logged out (OpenID Connect Back-Channel Logout 1.0). What is to be told stands in the
//! database since the moment of the logout (`store::logout_notices`); this sends it, by one node, again and again while the
//! client does not answer, with a logout token that is made for each attempt: one of an hour ago would be refused.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::clock::{Clock, ClockWatch, UnixTime};
use crate::fetch::{FetchError, Fetcher};
use crate::keys::{KeyError, Secrets};
use crate::model::audit::Event;
use crate::model::logout_notice::{LogoutNotice, LogoutOutage, wait_after};
use crate::protocol::error::chain;
use crate::protocol::ids::ClientId;
use crate::store::{ClientToTell, Store, StoreError};
use crate::telemetry::{Audit, Entry, Metrics};
use crate::tokens::{Mint, subject};

/// How often a node looks for what is due: one question to an index.
const EVERY: Duration = Duration::from_secs(1);
/// The most notices that a node sends at the same time.
const AT_ONCE: usize = 32;
/// The most of them to clients that registered themselves: nobody has chosen them.
const TO_REGISTERED: usize = AT_ONCE / 2;
/// The most of them to one client, which may be slow.
const PER_CLIENT: usize = 4;
/// How often a look at the queue goes round: more often than there are places for one client.
const ROUNDS: usize = 2 * PER_CLIENT;
/// How many clients take part in a round: twice as many as there are places. Those that are in the way, for they have all
/// the places or posts that one client may have, are fewer.
const IN_A_ROUND: i64 = 64;
/// The most new notices that get into the queue at a time.
const QUEUED_AT_ONCE: i64 = 500;
/// The most notices that are given up at a time, beside the one that was tried.
const GIVEN_UP_AT_ONCE: i64 = 500;

/// What sends notices. Cheap to clone.
#[derive(Clone)]
pub struct Backchannel(Arc<BackchannelParts>);

/// What a [`Backchannel`] is made of.
pub struct BackchannelParts {
    /// The database.
    pub store: Store,
    /// For pairwise subjects.
    pub secrets: Secrets,
    /// The present.
    pub clock: Clock,
    /// Whether that can be believed: what is given up is not told when the clock is put right.
    pub watch: ClockWatch,
    /// Makes logout tokens.
    pub mint: Mint,
    /// Posts them.
    pub fetcher: Fetcher,
    /// Counts what came of it.
    pub metrics: Metrics,
    /// Records it.
    pub audit: Audit,
    /// After so many seconds a client that cannot be told is left alone.
    pub lifetime: i64,
}

/// Why a notice did not arrive.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Backchannel {
    /// Opens it.
    pub fn new(parts: BackchannelParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Works until it is dropped.
    pub async fn run(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut places = Places::new();
        let mut sending = JoinSet::new();
        let mut is_more_due = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // Whoever is slow holds its own places alone: one that becomes free is the next one's.
                Some(_) = sending.join_next() => if !is_more_due {
                    continue;
                }
            }
            while sending.try_join_next().is_some() {}
            is_more_due = match self.send_due(&mut places, &mut sending).await {
                Ok(is_more_due) => is_more_due,
                Err(error) => {
                    tracing::error!(error = %error, "the logouts that clients are to be told of could not be read");
                    false
                }
            };
        }
    }

    /// Begins to send what is due, as far as there are places. Whether something is left for want of one.
    async fn send_due(
        &self,
        places: &mut Places,
        sending: &mut JoinSet<()>,
    ) -> Result<bool, StoreError> {
        let BackchannelParts { store, clock, .. } = &*self.0;
        let mut is_more_due = store
            .queue_logout_notices(clock.now(), QUEUED_AT_ONCE)
            .await?;
        places.forget_the_idle();
        // One notice of each, then another one of each: however much one is to be told, the others do not wait for that.
        for _ in 0..ROUNDS {
            let mut has_moved = false;
            for client in self.clients_to_tell(places).await? {
                if places.are_full() {
                    return Ok(true);
                }
                match self.tell(&client, places, sending).await? {
                    Told::Moved => has_moved = true,
                    Told::NoPlace => is_more_due = true,
                    Told::NoBudget => {}
                }
            }
            if !has_moved {
                return Ok(is_more_due);
            }
        }
        Ok(true)
    }

    /// Whose turn it is, the longest waiting first.
    async fn clients_to_tell(&self, places: &Places) -> Result<Vec<ClientToTell>, StoreError> {
        let BackchannelParts {
            store,
            clock,
            fetcher,
            ..
        } = &*self.0;
        let now = clock.now();
        let mut clients = store.list_clients_to_tell(now, false, IN_A_ROUND).await?;
        if places.has_room_for_registered() && fetcher.may_post_registered_logouts() {
            clients.extend(store.list_clients_to_tell(now, true, IN_A_ROUND).await?);
            clients.sort_by_key(|client| client.place);
        }
        Ok(clients)
    }

    /// Begins to tell a client one thing.
    async fn tell(
        &self,
        client: &ClientToTell,
        places: &mut Places,
        sending: &mut JoinSet<()>,
    ) -> Result<Told, StoreError> {
        let BackchannelParts {
            store,
            clock,
            fetcher,
            ..
        } = &*self.0;
        let (id, now) = (&client.client_id, clock.now());
        if client.outage.is_some_and(|outage| outage.is_paused(now)) {
            store.put_back_client_to_tell(id, now).await?;
            return Ok(Told::Moved);
        }
        let Some(place) = places.take(client) else {
            return Ok(Told::NoPlace);
        };
        if client.registered && !fetcher.may_post_logout(id) {
            return Ok(Told::NoBudget);
        }
        let Some(notice) = store.list_due_logout_notices(id, now, 1).await?.pop() else {
            store.put_back_client_to_tell(id, now).await?;
            return Ok(Told::Moved);
        };
        if let Some(taken) = self.take(notice, client.outage).await? {
            if client.registered {
                fetcher.count_logout_post(id);
            }
            let this = self.clone();
            sending.spawn(async move {
                this.send_and_settle(taken).await;
                drop(place);
            });
        }
        Ok(Told::Moved)
    }

    /// `None` when another node has it, or when the client was found not to answer meanwhile.
    async fn take(
        &self,
        notice: LogoutNotice,
        outage: Option<LogoutOutage>,
    ) -> Result<Option<Taken>, StoreError> {
        let now = self.0.clock.now();
        let next_at = now + wait_after(notice.attempts + 1);
        let store = &self.0.store;
        let is_taken = match &outage {
            None => store.take_logout_notice(&notice, now, next_at).await?,
            Some(outage) => {
                // Should this node end in the middle, another one tries.
                let until = now + wait_after(1);
                store
                    .take_logout_probe(&notice, now, next_at, (outage, until))
                    .await?
            }
        };
        Ok(is_taken.then_some(Taken {
            notice,
            next_at,
            outage,
        }))
    }

    async fn send_and_settle(&self, taken: Taken) {
        let settled = match self.send(&taken.notice).await {
            Ok(told) => self.heard(&taken.notice, told).await,
            Err(trouble) => self.failed(&taken, &trouble).await,
        };
        if let Err(error) = settled {
            // It is sent again when it is due; a client that heard it twice has nothing to do.
            tracing::error!(error = %error, "what came of telling a client of a logout could not be written down");
        }
    }

    /// `false` when the client does not want to hear of it any more.
    async fn send(&self, notice: &LogoutNotice) -> Result<bool, Trouble> {
        let BackchannelParts {
            store,
            secrets,
            mint,
            fetcher,
            ..
        } = &*self.0;
        let stored = store.find_client(&notice.client_id).await?;
        let client = stored.map(|stored| stored.client);
        let account = store.find_account(&notice.account_id).await?;
        let (Some(client), Some(account)) = (client, account) else {
            return Ok(false);
        };
        let Some(uri) = &client.logout.backchannel_logout_uri else {
            return Ok(false);
        };
        let sub = subject::for_client(secrets, &client, &account)?;
        let token = mint
            .logout_token(&client, &sub, notice.session_id.as_ref())
            .await?;
        fetcher.post_logout_token(&client, uri, &token).await?;
        Ok(true)
    }

    async fn heard(&self, notice: &LogoutNotice, told: bool) -> Result<(), StoreError> {
        if !told {
            // Nor of the others, which do not wait for it to answer.
            let (store, now) = (&self.0.store, self.0.clock.now());
            store.finish_logout_notice(notice, now).await?;
            return store.drop_logout_notice(&notice.id).await;
        }
        self.0.metrics.logout_notice("told");
        let entry = entry(Event::ClientToldOfLogout, notice, notice.attempts + 1);
        self.0.audit.record(entry);
        self.0
            .store
            .finish_logout_notice(notice, self.0.clock.now())
            .await
    }

    async fn failed(&self, taken: &Taken, trouble: &Trouble) -> Result<(), StoreError> {
        let BackchannelParts {
            store,
            clock,
            watch,
            lifetime,
            ..
        } = &*self.0;
        let (notice, now) = (&taken.notice, clock.now());
        let attempts = notice.attempts + 1;
        let reason = chain(trouble);
        let is_last = taken.next_at - notice.created_at > *lifetime && watch.is_steady();
        if is_last {
            self.given_up(notice, attempts, &reason);
            store.give_up_logout_notice(&notice.id, &reason).await?;
        } else {
            self.0.metrics.logout_notice("failed");
            tracing::warn!(
                client_id = %notice.client_id, attempts, trouble = reason,
                "a client could not be told of a logout; it is tried again"
            );
        }
        match trouble {
            // One that refuses this one may take the next: it is there.
            Trouble::Fetch(error) if error.is_refusal() => {
                store.note_logout_refusal(notice, &reason, now).await
            }
            Trouble::Fetch(_) => {
                self.does_not_answer(taken, &reason, now).await?;
                store.note_logout_trouble(notice, &reason, now).await
            }
            // It was not asked.
            Trouble::Store(_) | Trouble::Key(_) => {
                store.note_logout_trouble(notice, &reason, now).await
            }
        }
    }

    /// Its other notices wait, and one of them at a time is tried.
    async fn does_not_answer(
        &self,
        taken: &Taken,
        reason: &str,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let store = &self.0.store;
        let client = &taken.notice.client_id;
        let Some(outage) = taken.outage else {
            return match LogoutOutage::beginning(&taken.notice, now) {
                Some(outage) => store.begin_logout_outage(client, &outage).await,
                None => Ok(()),
            };
        };
        let outage = outage.after(&taken.notice, now);
        store.prolong_logout_outage(client, &outage, now).await?;
        if !self.0.watch.is_steady() {
            return Ok(());
        }
        let too_old = now - self.0.lifetime;
        let given_up = store
            .give_up_old_logout_notices(client, too_old, reason, GIVEN_UP_AT_ONCE)
            .await?;
        for notice in &given_up {
            self.given_up(notice, notice.attempts, reason);
        }
        Ok(())
    }

    fn given_up(&self, notice: &LogoutNotice, attempts: i64, reason: &str) {
        self.0.metrics.logout_notice("given_up");
        let entry = entry(Event::ClientNotToldOfLogout, notice, attempts);
        self.0.audit.record(entry.with("reason", reason));
    }
}

/// What came of a client's turn.
enum Told {
    /// It was told something, by whatever node, or there was nothing to tell: somebody else is the first now.
    Moved,
    /// There is no place for it.
    NoPlace,
    /// T38: it has been told enough for now.
    NoBudget,
}

/// A notice that this node sends.
struct Taken {
    notice: LogoutNotice,
    /// When it is due again, if it is not heard.
    next_at: UnixTime,
    /// What this attempt is to end, or to prolong.
    outage: Option<LogoutOutage>,
}

/// Where notices are sent from, so many at a time.
struct Places {
    all: Arc<Semaphore>,
    registered: Arc<Semaphore>,
    of_client: HashMap<ClientId, Arc<Semaphore>>,
}

/// Free again when it is dropped.
type Place = [Option<OwnedSemaphorePermit>; 3];

impl Places {
    fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(AT_ONCE)),
            registered: Arc::new(Semaphore::new(TO_REGISTERED)),
            of_client: HashMap::new(),
        }
    }

    fn are_full(&self) -> bool {
        self.all.available_permits() == 0
    }

    fn has_room_for_registered(&self) -> bool {
        self.registered.available_permits() > 0
    }

    fn take(&mut self, client: &ClientToTell) -> Option<Place> {
        let own = self.of_client.entry(client.client_id.clone());
        let own = own.or_insert_with(|| Arc::new(Semaphore::new(PER_CLIENT)));
        let permit = |of: &Arc<Semaphore>| Arc::clone(of).try_acquire_owned().ok();
        let registered = if client.registered {
            Some(permit(&self.registered)?)
        } else {
            None
        };
        Some([Some(permit(own)?), registered, Some(permit(&self.all)?)])
    }

    fn forget_the_idle(&mut self) {
        self.of_client
            .retain(|_, own| own.available_permits() < PER_CLIENT);
    }
}

fn entry(event: Event, notice: &LogoutNotice, attempts: i64) -> Entry {
    Entry::new(event)
        .client(&notice.client_id)
        .account(&notice.account_id)
        .session(notice.session_id.as_ref())
        .with("attempts", attempts)
}
