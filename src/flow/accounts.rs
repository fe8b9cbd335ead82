//! What happens to accounts: each step of it is one step of the store, and a line of the audit log.

use crate::clock::{Clock, random_id};
use crate::model::account::UpstreamSubject;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::{AccountId, AccountSubject, ClientId, SessionId};
use crate::store::{Endings, Linked, NewAccount, NewLink, Store, StoreError, Unlinked, Whose};

use super::Flow;

/// Who changes an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Its person, on the account page.
    Person,
    /// An administrator, by a command.
    Administrator,
}

impl By {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Administrator => "administrator",
        }
    }
}

/// Changes accounts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// The database.
    pub store: Store,
    /// The present.
    pub clock: Clock,
    /// Who changes them.
    pub by: By,
}

/// The names of an account that is about to be made.
pub(super) fn new_account() -> NewAccount {
    NewAccount {
        id: AccountId::new(random_id()),
        subject: AccountSubject::new(random_id()),
    }
}

impl Accounts {
    /// Links a login to an account.
    pub async fn link(&self, link: &NewLink<'_>) -> Result<Linked, StoreError> {
        let outcome = self.store.link_login(link, self.clock.now()).await?;
        let (account, upstream) = (link.into, &link.login.upstream);
        let by = self.by.as_str();
        match &outcome {
            Linked::Done { closed, ended } => tracing::info!(
                target: "portico::audit", event = "account_linked", by, account = %account, upstream = %upstream,
                closed = closed.as_ref().map(AccountId::as_str), sessions_ended = ended.len(),
                with_tokens = link.tokens.is_some(), "a login was linked"
            ),
            refused => tracing::info!(
                target: "portico::audit", event = "account_link_refused", by, account = %account,
                upstream = %upstream, reason = ?refused, "a login was not linked"
            ),
        }
        Ok(outcome)
    }

    /// Takes a login out of an account.
    pub async fn unlink(
        &self,
        account: &AccountId,
        login: &UpstreamSubject,
    ) -> Result<Unlinked, StoreError> {
        let new = new_account();
        let now = self.clock.now();
        let outcome = self.store.unlink_login(account, login, &new, now).await?;
        if let Unlinked::Done { ended } = &outcome {
            tracing::info!(
                target: "portico::audit", event = "account_unlinked", by = self.by.as_str(), account = %account,
                upstream = %login.upstream, new_account = %new.id, sessions_ended = ended.len(), "a login was unlinked"
            );
        }
        Ok(outcome)
    }

    /// Closes an account for every login and every grant, at once. Whether it was open.
    pub async fn disable(&self, account: &AccountId) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let ended = self.store.disable_account(account, now).await?;
        if let Some(ended) = &ended {
            tracing::info!(
                target: "portico::audit", event = "account_disabled", by = self.by.as_str(), account = %account,
                sessions_ended = ended.len(), "an account was closed"
            );
        }
        Ok(ended.is_some())
    }

    /// Opens an account again. Whether it was closed, and may open.
    pub async fn enable(&self, account: &AccountId) -> Result<bool, StoreError> {
        let opened = self.store.enable_account(account).await?;
        if opened {
            tracing::info!(
                target: "portico::audit", event = "account_enabled", by = self.by.as_str(), account = %account,
                "an account was opened again"
            );
        }
        Ok(opened)
    }

    /// Ends one session of an account, and the families that do not outlive it.
    pub async fn end_session(
        &self,
        account: &AccountId,
        session: &SessionId,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let ended = self.store.end_session_of(account, session, now).await?;
        if ended {
            tracing::info!(
                target: "portico::audit", event = "logged_out", by = self.by.as_str(), session = %session,
                account = %account, "logged out"
            );
        }
        Ok(ended)
    }

    /// Ends every session and every family of an account.
    pub async fn end_all(&self, account: &AccountId) -> Result<Vec<SessionId>, StoreError> {
        let ended = self.store.end_all_of(account, self.clock.now()).await?;
        tracing::info!(
            target: "portico::audit", event = "logged_out_everywhere", by = self.by.as_str(), account = %account,
            sessions_ended = ended.len(), "logged out everywhere"
        );
        Ok(ended)
    }

    /// Ends every session and every family of the people of an upstream, or of everybody.
    pub async fn end_everything_of(&self, whose: Whose<'_>) -> Result<Endings, StoreError> {
        let ended = self
            .store
            .end_everything_of(whose, self.clock.now())
            .await?;
        let upstream = match whose {
            Whose::Upstream(upstream) => Some(upstream.as_str()),
            Whose::All => None,
        };
        tracing::info!(
            target: "portico::audit", event = "all_logged_out", by = self.by.as_str(), upstream,
            sessions_ended = ended.sessions, families = ended.families, "everybody was logged out"
        );
        Ok(ended)
    }

    /// Ends every family of a client, for everybody.
    pub async fn end_everything_of_client(&self, client: &ClientId) -> Result<Endings, StoreError> {
        let now = self.clock.now();
        let ended = self.store.end_everything_of_client(client, now).await?;
        tracing::info!(
            target: "portico::audit", event = "client_logged_out", by = self.by.as_str(), client_id = %client,
            families = ended.families, "an app lost everything that it had of people"
        );
        Ok(ended)
    }

    /// Takes an app away from a person.
    pub async fn end_client(
        &self,
        account: &AccountId,
        client: &ClientId,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let families = self.store.end_client_of(account, client, now).await?;
        tracing::info!(
            target: "portico::audit", event = "app_ended", by = self.by.as_str(), account = %account,
            client_id = %client, families, "an app may not act for its person any more"
        );
        Ok(())
    }
}

impl Flow {
    /// What the person themselves may do to their account.
    pub fn accounts(&self) -> Accounts {
        Accounts {
            store: self.store.clone(),
            clock: self.clock.clone(),
            by: By::Person,
        }
    }

    /// Whether somebody who has just logged in elsewhere may be asked about as a login for `account`: what stands in the
    /// way, if anything does. The store decides again when it links.
    pub async fn may_link(
        &self,
        account: &AccountId,
        login: &UpstreamSubject,
    ) -> Result<Option<Linked>, OAuthError> {
        let leads_to = self.store.find_login(login).await?;
        if leads_to.as_ref() == Some(account) {
            return Ok(Some(Linked::Already));
        }
        let mut coming = vec![login.upstream.clone()];
        if let Some(other) = &leads_to {
            let open = self.store.find_account(other).await?;
            if !open.is_some_and(|account| account.is_open()) {
                return Ok(Some(Linked::Closed));
            }
            let logins = self.store.list_logins(other).await?;
            coming.extend(logins.into_iter().map(|login| login.name.upstream));
        }
        let own = self.store.list_logins(account).await?;
        let twice = own
            .iter()
            .any(|login| coming.contains(&login.name.upstream));
        Ok(twice.then_some(Linked::SameUpstream))
    }
}
