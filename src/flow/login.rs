//! Whose browser this is.

use crate::clock::SKEW;
use crate::keys::Purpose;
use crate::model::account::UpstreamSubject;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::{AccountId, UpstreamId};
use crate::protocol::secret::Secret;
use crate::upstream::Identity;

use super::{Flow, LoggedIn};

/// How long a second click may come after the first, in seconds.
const MOMENT: i64 = 60;

/// Whom the cookie of a session leads to.
#[derive(Debug)]
pub enum Behind {
    /// Somebody who is signed in.
    SignedIn(Box<LoggedIn>),
    /// Somebody whose session is over by the clock alone. Where that one is wrong, it stands again once it is put right.
    Lapsed(Box<LoggedIn>),
    /// Somebody whose session was ended a moment ago: whoever ended it may have clicked twice.
    JustEnded(Box<LoggedIn>),
    /// Nobody, for good.
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

    /// Whom the cookie of a session leads to: it does not last longer for that.
    pub async fn find_behind(&self, secret: &Secret) -> Result<Behind, OAuthError> {
        let Some(who) = self.find_session_of(secret).await? else {
            return Ok(Behind::Nobody);
        };
        let who = Box::new(who);
        let now = self.clock.now();
        Ok(match who.session.ended_at {
            None if self.is_live(&who) => Behind::SignedIn(who),
            None => Behind::Lapsed(who),
            Some(ended_at) if (-SKEW..MOMENT).contains(&(now - ended_at)) => Behind::JustEnded(who),
            Some(_) => Behind::Nobody,
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
