//! What happens to accounts: each step of it is one step of the store, and a line of the audit log.

use crate::clock::Clock;
use crate::logins::new_account;
use crate::model::account::UpstreamSubject;
use crate::model::audit::Event;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::{AccountId, ClientId, SessionId};
use crate::store::{Endings, Linked, NewLink, Store, StoreError, Unlinked, Whose};
use crate::telemetry::{Audit, Entry};

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
    pub(super) const fn as_str(self) -> &'static str {
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
    /// What is recorded.
    pub audit: Audit,
}

impl Accounts {
    /// Links a login to an account.
    pub async fn link(&self, link: &NewLink<'_>) -> Result<Linked, StoreError> {
        let outcome = self.store.link_login(link, self.clock.now()).await?;
        let (account, upstream) = (link.into, &link.login.upstream);
        let entry = |event| self.entry(event, account).upstream(upstream);
        if let Linked::Done { closed, ended } = &outcome {
            // They were those of the account that the login led to before.
            let whose = closed.as_ref().unwrap_or(account);
            let reason = "the login was linked to another account";
            self.record_ends(ended, whose, reason).await;
        }
        self.audit.record(match &outcome {
            Linked::Done { closed, ended } => entry(Event::AccountLinked)
                .with("closed", closed.as_ref().map(AccountId::as_str))
                .with("sessions_ended", ended.len())
                .with("with_tokens", link.tokens.is_some()),
            refused => entry(Event::AccountLinkRefused).with("reason", format!("{refused:?}")),
        });
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
            let reason = "the login was taken out of the account";
            self.record_ends(ended, account, reason).await;
            let entry = self
                .entry(Event::AccountUnlinked, account)
                .upstream(&login.upstream)
                .with("new_account", new.id.as_str())
                .with("sessions_ended", ended.len());
            self.audit.record(entry);
        }
        Ok(outcome)
    }

    /// Closes an account for every login and every grant, at once. Whether it was open.
    pub async fn disable(&self, account: &AccountId) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let ended = self.store.disable_account(account, now).await?;
        if let Some(ended) = &ended {
            self.record_ends(ended, account, "the account was closed")
                .await;
            let entry = self.entry(Event::AccountDisabled, account);
            self.audit.record(entry.with("sessions_ended", ended.len()));
        }
        Ok(ended.is_some())
    }

    /// Opens an account again. Whether it was closed, and may open.
    pub async fn enable(&self, account: &AccountId) -> Result<bool, StoreError> {
        let opened = self.store.enable_account(account).await?;
        if opened {
            self.audit
                .record(self.entry(Event::AccountEnabled, account));
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
            self.record_ends(
                std::slice::from_ref(session),
                account,
                "ended from elsewhere",
            )
            .await;
        }
        Ok(ended)
    }

    /// Ends every session and every family of an account.
    pub async fn end_all(&self, account: &AccountId) -> Result<Vec<SessionId>, StoreError> {
        let ended = self.store.end_all_of(account, self.clock.now()).await?;
        self.record_ends(&ended, account, "signed out everywhere")
            .await;
        let entry = self.entry(Event::LoggedOutEverywhere, account);
        self.audit.record(entry.with("sessions_ended", ended.len()));
        Ok(ended)
    }

    /// Ends every session and every family of the people of an upstream, or of everybody.
    pub async fn end_everything_of(&self, whose: Whose<'_>) -> Result<Endings, StoreError> {
        let ended = self
            .store
            .end_everything_of(whose, self.clock.now())
            .await?;
        let entry = Entry::new(Event::AllLoggedOut).upstream(match whose {
            Whose::Upstream(upstream) => Some(upstream),
            Whose::All => None,
        });
        self.audit.record(self.ended(entry, ended));
        Ok(ended)
    }

    /// Ends every family of a client, for everybody.
    pub async fn end_everything_of_client(&self, client: &ClientId) -> Result<Endings, StoreError> {
        let now = self.clock.now();
        let ended = self.store.end_everything_of_client(client, now).await?;
        let entry = Entry::new(Event::ClientLoggedOut).client(client);
        self.audit.record(self.ended(entry, ended));
        Ok(ended)
    }

    fn ended(&self, entry: Entry, ended: Endings) -> Entry {
        entry
            .with("by", self.by.as_str())
            .with("sessions_ended", ended.sessions)
            .with("families", ended.families)
    }

    /// Takes an app away from a person.
    pub async fn end_client(
        &self,
        account: &AccountId,
        client: &ClientId,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        // A form that was sent twice, or made up, ends nothing, and nothing is recorded: it may name anything.
        let ended = self.store.end_client_of(account, client, now).await?;
        let Some(families) = ended else {
            return Ok(());
        };
        let entry = self.entry(Event::AppEnded, account).client(client);
        self.audit.record(entry.with("families", families));
        Ok(())
    }

    /// What is looked for by its session says how that ended.
    async fn record_ends(&self, ended: &[SessionId], account: &AccountId, reason: &'static str) {
        for id in ended {
            // It has ended whether or not its row can be read again.
            let session = self.store.find_session(id).await.ok().flatten();
            let entry = self
                .entry(Event::LoggedOut, account)
                .session(id)
                .upstream(session.as_ref().map(|session| &session.upstream));
            self.audit.record(entry.with("reason", reason));
        }
    }

    fn entry(&self, event: Event, account: &AccountId) -> Entry {
        Entry::new(event)
            .account(account)
            .with("by", self.by.as_str())
    }
}

impl Flow {
    /// What the person themselves may do to their account.
    pub fn accounts(&self) -> Accounts {
        Accounts {
            store: self.store.clone(),
            clock: self.clock.clone(),
            by: By::Person,
            audit: self.audit.clone(),
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
