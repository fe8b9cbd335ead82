//! The token of a service account, on a shelf that all nodes share: one of them asks for it, the others wait for its
//! answer; and a refusal is kept as well, so that however many nodes there are, they do not lock the account.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::timeout;

use super::rows::{ASKED_AT_MOST, Patience, Rows, insist, lease_ends};
use crate::beside::UnderWay;
use crate::clock::Clock;
use crate::keys::Secrets;
use crate::model::vault_entry::{VaultEntry, VaultPlace};
use crate::protocol::ids::UpstreamId;
use crate::protocol::secret::Secret;
use crate::store::{Store, StoreError};
use crate::upstream::shelf::Kept;
use crate::upstream::{AskForToken, LoginError, Shelf, UpstreamTokens};

use super::flights::Flights;

/// The shelf of a server.
pub struct ServiceShelf {
    rows: Rows,
    flights: Flights,
}

impl ServiceShelf {
    /// The shelf in this database.
    pub fn new(store: Store, clock: Clock, secrets: Secrets) -> Self {
        let rows = Rows {
            store,
            clock,
            secrets,
            asking: UnderWay::default(),
        };
        Self {
            rows,
            flights: Flights::default(),
        }
    }

    /// Waits until nobody asks any more, at the end of a server.
    pub async fn settle(&self) {
        self.rows.settle().await;
    }

    /// What the row holds. One that cannot be opened is replaced by the next answer: nothing is lost with it.
    fn kept(&self, place: &VaultPlace, entry: Option<&VaultEntry>) -> Option<Kept> {
        let sealed = entry?.sealed.as_deref()?;
        match self.rows.open(place, sealed) {
            Ok(kept) => Some(kept),
            Err(error) => {
                tracing::error!(error = %error, "a kept token cannot be read; a new one is asked for");
                None
            }
        }
    }

    /// Asks, with the lease in hand, and keeps what came of it. In a task of its own: whoever wanted it may go away, and
    /// a password that is refused must not be sent again by the next (T34).
    async fn ask(
        &self,
        place: VaultPlace,
        holder: String,
        before: Option<Kept>,
        ask: Arc<dyn AskForToken>,
    ) -> Result<UpstreamTokens, LoginError> {
        let rows = self.rows.clone();
        let under_way = self.rows.asking.begin();
        let asking = async move {
            let _under_way = under_way;
            ask_holding(&rows, &place, &holder, before.as_ref(), &*ask).await
        };
        let span = tracing::Span::current();
        let task = tokio::spawn(tracing::Instrument::instrument(asking, span));
        task.await
            .unwrap_or_else(|error| Err(LoginError::Protocol(error.into())))
    }
}

async fn ask_holding(
    rows: &Rows,
    place: &VaultPlace,
    holder: &str,
    before: Option<&Kept>,
    ask: &dyn AskForToken,
) -> Result<UpstreamTokens, LoginError> {
    let ends = lease_ends();
    let begun = rows.clock.now();
    let answer = timeout(ASKED_AT_MOST, ask.ask()).await;
    let answer =
        answer.unwrap_or_else(|_| Err(LoginError::Unavailable("no answer within a minute".into())));
    let took = (begun, rows.clock.now());
    let kept = Kept::from_answer(answer, before, ask.whose(), took);
    let sealed = rows.seal(place, &kept).map_err(LoginError::Protocol)?;
    let ends_at = Some(kept.ends_at());
    let save = || rows.store.save_vault_entry(place, holder, &sealed, ends_at);
    insist(ends, save).await.map_err(store_failed)?;
    kept.outcome()
}

#[async_trait]
impl Shelf for ServiceShelf {
    async fn token(
        &self,
        upstream: &UpstreamId,
        stale: Option<&Secret>,
        ask: Arc<dyn AskForToken>,
    ) -> Result<UpstreamTokens, LoginError> {
        let place = VaultPlace::Service {
            upstream: upstream.clone(),
        };
        let mut patience = Patience::new();
        let mut flight = None;
        let whose = ask.whose();
        loop {
            let found = self.rows.store.find_vault_entry(&place).await;
            let found = found.map_err(store_failed)?;
            let now = self.rows.clock.now();
            let kept = self.kept(&place, found.as_ref());
            let good = kept
                .as_ref()
                .and_then(|kept| kept.answer(stale, &whose, now));
            if let Some(answer) = good {
                return answer;
            }
            if flight.is_none() {
                // Look again once those before us in this process have landed.
                let entered = self.flights.enter(&place, patience.ends()).await;
                flight = Some(entered.ok_or_else(busy)?);
                continue;
            }
            let lease = self.rows.new_lease();
            let version = found.as_ref().map_or(0, |entry| entry.version);
            let leased = self
                .rows
                .store
                .lease_service_entry(upstream, version, &lease, now)
                .await
                .map_err(store_failed)?;
            if leased {
                return self.ask(place, lease.holder, kept, ask).await;
            }
            if !patience.wait().await {
                return Err(busy());
            }
        }
    }
}

fn busy() -> LoginError {
    LoginError::Unavailable(
        "another node asks for the service account's token, and has not answered yet".into(),
    )
}

fn store_failed(error: StoreError) -> LoginError {
    LoginError::Unavailable(Box::new(error))
}
