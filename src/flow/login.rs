//! Whose browser this is.

use crate::keys::Purpose;
use crate::model::account::UpstreamSubject;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::UpstreamId;
use crate::protocol::secret::Secret;
use crate::upstream::Identity;

use super::{Flow, LoggedIn};

impl Flow {
    /// Whether `who` is the very person that an upstream has just named.
    pub async fn is_same_person(
        &self,
        who: &LoggedIn,
        upstream: &UpstreamId,
        identity: &Identity,
    ) -> Result<bool, OAuthError> {
        let login = UpstreamSubject {
            upstream: upstream.clone(),
            subject: identity.subject.clone(),
        };
        let account_id = self.store.find_login(&login).await?;
        Ok(account_id.is_some_and(|id| id == who.account.id))
    }

    /// Who the session cookie belongs to, if it still stands.
    pub async fn find_logged_in(&self, secret: &Secret) -> Result<Option<LoggedIn>, OAuthError> {
        let found = self.find_signed_in(secret).await?;
        if let Some(who) = &found {
            self.note_use(who).await?;
        }
        Ok(found)
    }

    /// The same for an account that waits beside the one in use: it does not last longer for that.
    pub async fn find_signed_in(&self, secret: &Secret) -> Result<Option<LoggedIn>, OAuthError> {
        let now = self.clock.now();
        let hash = self.secrets.hash(Purpose::SessionSecret, secret.expose())?;
        let found = self.store.find_signed_in(&hash).await?;
        let live = found.filter(|(session, _)| session.is_live(now, self.session_lifetimes));
        Ok(live.map(|(session, (account, known))| LoggedIn {
            session,
            account,
            known,
        }))
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
