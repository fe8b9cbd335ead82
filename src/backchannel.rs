//! Tells clients that somebody has logged out (OpenID Connect Back-Channel Logout 1.0). What is to be told stands in the
//! database since the moment of the logout (`store::logout_notices`); this sends it, by one node, again and again while the
//! client does not answer, with a logout token that is made for each attempt: one of an hour ago would be refused.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::fetch::{FetchError, Fetcher};
use crate::keys::{KeyError, Secrets};
use crate::model::audit::Event;
use crate::model::client::Client;
use crate::model::logout_notice::{LogoutNotice, wait_after};
use crate::protocol::error::chain;
use crate::store::{Store, StoreError};
use crate::telemetry::{Audit, Entry, Metrics};
use crate::tokens::{Mint, subject};

/// How often a node looks for what is due: one question to an index.
const EVERY: Duration = Duration::from_secs(1);
/// The most notices that a node sends at the same time.
const AT_ONCE: i64 = 16;

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
        loop {
            ticks.tick().await;
            // A whole batch may mean that there is more.
            while self.send_due().await == AT_ONCE {}
        }
    }

    /// Sends what is due, as much as is sent at once; how much that was.
    async fn send_due(&self) -> i64 {
        let due = self
            .0
            .store
            .list_due_logout_notices(self.0.clock.now(), AT_ONCE);
        let due = match due.await {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(error = %error, "the logouts that clients are to be told of could not be read");
                return 0;
            }
        };
        let mut sending = JoinSet::new();
        for notice in due {
            let this = self.clone();
            sending.spawn(async move { this.take_and_send(notice).await });
        }
        let mut sent = 0;
        while let Some(outcome) = sending.join_next().await {
            sent += i64::from(matches!(outcome, Ok(true)));
        }
        sent
    }

    /// Whether this node has sent it.
    async fn take_and_send(&self, notice: LogoutNotice) -> bool {
        let now = self.0.clock.now();
        let next_at = now + wait_after(notice.attempts + 1);
        match self.0.store.take_logout_notice(&notice, next_at).await {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                tracing::error!(error = %error, "a client could not be told of a logout");
                return false;
            }
        }
        let settled = match self.send(&notice).await {
            Ok(told) => self.heard(&notice, told).await,
            Err(trouble) => self.failed(&notice, &trouble, next_at).await,
        };
        if let Err(error) = settled {
            // It is sent again when it is due; a client that heard it twice has nothing to do.
            tracing::error!(error = %error, "what came of telling a client of a logout could not be written down");
        }
        true
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
        let client: Option<Client> = store
            .find_client(&notice.client_id)
            .await?
            .map(|stored| stored.client);
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
            return self.0.store.drop_logout_notice(&notice.id).await;
        }
        self.0.metrics.logout_notice("told");
        self.0
            .audit
            .record(entry(Event::ClientToldOfLogout, notice));
        self.0
            .store
            .finish_logout_notice(&notice.id, self.0.clock.now())
            .await
    }

    async fn failed(
        &self,
        notice: &LogoutNotice,
        trouble: &Trouble,
        next_at: i64,
    ) -> Result<(), StoreError> {
        // One that refuses this one may take the next: it is not down.
        let refused = matches!(trouble, Trouble::Fetch(error) if error.is_refusal());
        let trouble = chain(trouble);
        let attempts = notice.attempts + 1;
        if next_at - notice.created_at > self.0.lifetime {
            self.0.metrics.logout_notice("given_up");
            let entry = entry(Event::ClientNotToldOfLogout, notice);
            self.0.audit.record(entry.with("reason", trouble.as_str()));
            return self
                .0
                .store
                .give_up_logout_notice(&notice.id, &trouble)
                .await;
        }
        self.0.metrics.logout_notice("failed");
        tracing::warn!(
            client_id = %notice.client_id, attempts, trouble,
            "a client could not be told of a logout; it is tried again"
        );
        let store = &self.0.store;
        store.note_logout_trouble(notice, &trouble).await?;
        if refused {
            return Ok(());
        }
        store.postpone_logout_notices(notice, next_at).await
    }
}

fn entry(event: Event, notice: &LogoutNotice) -> Entry {
    Entry::new(event)
        .client(&notice.client_id)
        .account(&notice.account_id)
        .session(notice.session_id.as_ref())
        .with("attempts", notice.attempts + 1)
}
