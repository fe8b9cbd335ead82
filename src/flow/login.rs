//! Whose browser this is.

use crate::clock::UnixTime;
use crate::keys::Purpose;
use crate::model::account::UpstreamSubject;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::{AccountId, SessionId, UpstreamId};
use crate::protocol::secret::Secret;
use crate::upstream::Identity;

use super::{Flow, LoggedIn};

/// What the cookie of an account leads to that waits beside the one in use.
#[derive(Debug)]
pub enum Waiting {
    /// To somebody who is signed in.
    SignedIn(Box<LoggedIn>),
    /// To a session that is over by the clock alone. Where that one is wrong, it stands again once it is put right.
    Lapsed {
        /// Which.
        session: SessionId,
        /// Whose.
        account: AccountId,
        /// When it was last used.
        last_seen_at: UnixTime,
    },
    /// Nowhere, for good.
    Nobody,
}

impl Flow {
    /// Whether `who` is the very person that an upstream has just named.
    pub async fn is_same_person(
        &self,
        who: &LoggedIn,
        upstream: &UpstreamId,
        identity: &Identity,
    ) -> Result<bool, OAuthError> {
        let account_id = self.account_behind(upstream, identity).await?;
        Ok(account_id.is_some_and(|id| id == who.account.id))
    }

    /// The account that the login of whom an upstream has just named leads to, if they have been here before.
    pub async fn account_behind(
        &self,
        upstream: &UpstreamId,
        identity: &Identity,
    ) -> Result<Option<AccountId>, OAuthError> {
        let login = UpstreamSubject {
            upstream: upstream.clone(),
            subject: identity.subject.clone(),
        };
        Ok(self.store.find_login(&login).await?)
    }

    /// Who the session cookie belongs to, if it still stands.
    pub async fn find_logged_in(&self, secret: &Secret) -> Result<Option<LoggedIn>, OAuthError> {
        let found = self.find_session_of(secret).await?;
        let found = found.filter(|who| self.is_live(who));
        if let Some(who) = &found {
            self.note_use(who).await?;
        }
        Ok(found)
    }

    /// Who the cookie of an account belongs to that waits beside the one in use: it does not last longer for that.
    pub async fn find_waiting(&self, secret: &Secret) -> Result<Waiting, OAuthError> {
        Ok(match self.find_session_of(secret).await? {
            Some(who) if self.is_live(&who) => Waiting::SignedIn(Box::new(who)),
            Some(who) if who.session.ended_at.is_none() => Waiting::Lapsed {
                session: who.session.id,
                account: who.account.id,
                last_seen_at: who.session.last_seen_at,
            },
            _ => Waiting::Nobody,
        })
    }

    /// Whether the session stands or not.
    async fn find_session_of(&self, secret: &Secret) -> Result<Option<LoggedIn>, OAuthError> {
        let hash = self.secrets.hash(Purpose::SessionSecret, secret.expose())?;
        let found = self.store.find_signed_in(&hash).await?;
        Ok(found.map(|(session, (account, known))| LoggedIn {
            session,
            account,
            known,
        }))
    }

    fn is_live(&self, who: &LoggedIn) -> bool {
        who.session
            .is_live(self.clock.now(), self.session_lifetimes)
    }

    /// Notes that a session is in use.
    pub async fn note_use(&self, who: &LoggedIn) -> Result<(), OAuthError> {
        let now = self.clock.now();
        let session = &who.session;
        let touched = self
            .store
            .touch_session(&session.id, session.last_seen_at, now);
        Ok(touched.await?)
    }
}
