//! What stands behind an access token of ours, now: at our own endpoints a logout, a replay or a closed account ends it at
//! once, however long it would still live at an API that checks it by itself.

use std::sync::Arc;

use crate::clock::Clock;
use crate::keys::{KeyError, Secrets};
use crate::model::account::Account;
use crate::model::client::Client;
use crate::model::family::FamilyGrant;
use crate::model::session::{SessionLifetimes, SessionSpan};
use crate::protocol::claims::AccessTokenClaims;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::ClientId;
use crate::protocol::scope::Scope;
use crate::store::{BehindFamily, Store, StoreError};
use crate::telemetry::{note_client, note_session};

use super::subject;

/// Finds what stands behind access tokens that were read and found current. Cheap to clone.
#[derive(Clone)]
pub struct AccessTokens {
    /// The database.
    pub store: Store,
    /// For the subjects that clients know.
    pub secrets: Secrets,
    /// The present.
    pub clock: Clock,
    /// How long sessions live.
    pub session_lifetimes: SessionLifetimes,
}

/// What stands behind an access token.
#[derive(Clone, Debug)]
pub struct Behind {
    /// The client that it was given to, as registered now.
    pub client: Arc<Client>,
    /// The app that it comes from, where it was exchanged.
    pub app: Option<Arc<Client>>,
    /// The person it was given for; `None`: the client itself.
    pub person: Option<Person>,
}

/// The person behind an access token.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who it is, as the login tells about them that the session began with.
    pub account: Account,
    /// The family of the token.
    pub family: FamilyGrant,
    /// The session, while it lives: a family with `offline_access` may outlive it.
    pub session: Option<SessionSpan>,
}

impl Person {
    /// Whether `client` is for them, as they are known now; the upstream is not asked (T15).
    pub fn may_use(&self, client: &Client) -> bool {
        client.allows_upstream(&self.family.authentication.upstream)
            && client.lacking(&self.account.profile).is_none()
    }
}

impl Behind {
    /// Whether the person, if there is one, is still one of those whom the client is for, and the app that the token comes from (T15).
    pub fn is_allowed(&self) -> bool {
        let person = self.person.as_ref();
        person.is_none_or(|person| self.clients().all(|client| person.may_use(client)))
    }

    /// What the token still opens of `granted`: what neither the client nor that app has lost since (T17).
    pub fn scope_left(&self, granted: &Scope) -> Scope {
        let narrow = |scope: Scope, client: &Client| scope.narrowed_to(&client.scope);
        self.clients().fold(granted.clone(), narrow)
    }

    fn clients(&self) -> impl Iterator<Item = &Client> {
        let both = std::iter::once(&self.client).chain(&self.app);
        both.map(|client| &**client)
    }
}

/// What has ended behind a token that was good once.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The token itself.
    #[error("it was revoked")]
    Token,
    /// The registration of its client.
    #[error("its client is no longer registered")]
    Client,
    /// Its family, or it is another client's.
    #[error("its family has ended")]
    Family,
    /// The session of its family.
    #[error("its session has ended")]
    Session,
    /// The account, or the session leads to another one now.
    #[error("its account was closed, or the login was moved")]
    Account,
    /// What the client calls the person.
    #[error("its client knows the person by another subject now")]
    Subject,
    /// Nothing: it cannot be told.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing: it cannot be told.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Ended {
    /// What came of a look, for whom it is no error that something has ended.
    pub fn or_error<T>(outcome: Result<T, Self>) -> Result<Option<T>, OAuthError> {
        match outcome {
            Ok(found) => Ok(Some(found)),
            Err(Self::Store(error)) => Err(error.into()),
            Err(Self::Key(error)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }
}

impl AccessTokens {
    /// What stands behind the token of these claims; `seen` is what came with them when it was read.
    pub async fn behind(
        &self,
        claims: &AccessTokenClaims,
        seen: Option<BehindFamily>,
    ) -> Result<Behind, Ended> {
        let client = self.client(&claims.client_id).await?;
        note_client(&client.client_id);
        let person = self.person(&client, claims, seen).await?;
        let app = match &claims.family_client {
            Some(app) => Some(self.client(app).await?),
            None => None,
        };
        Ok(Behind {
            client,
            app,
            person,
        })
    }

    async fn client(&self, id: &ClientId) -> Result<Arc<Client>, Ended> {
        let stored = self.store.find_client(id).await?;
        Ok(stored.ok_or(Ended::Client)?.client)
    }

    /// The person behind the token of these claims, which has to be one of `client`'s, and which nobody has revoked.
    pub async fn person(
        &self,
        client: &Client,
        claims: &AccessTokenClaims,
        seen: Option<BehindFamily>,
    ) -> Result<Option<Person>, Ended> {
        let Some(family_id) = &claims.family else {
            return Ok(None);
        };
        let seen = seen.filter(|seen| seen.family.id == *family_id);
        let behind = if seen.is_some() {
            seen
        } else {
            let behind = self.store.find_behind(family_id, Some(&claims.jti));
            behind.await?
        };
        let ours = |behind: &BehindFamily| {
            behind.family.client_id == *claims.family_client()
                && claims.client_id == client.client_id
        };
        let behind = behind.filter(ours).ok_or(Ended::Family)?;
        if behind.is_revoked {
            return Err(Ended::Token);
        }
        let family = &behind.family;
        note_session(&family.account_id, &family.authentication.session_id);
        let person = self.standing(behind)?;
        if claims.within_session && person.session.is_none() {
            return Err(Ended::Session);
        }
        if subject::for_client(&self.secrets, client, &person.account)?.as_str() != claims.sub {
            return Err(Ended::Subject);
        }
        Ok(Some(person))
    }

    /// The person whom a family belongs to, while it, its session and the account stand.
    pub fn standing(&self, behind: BehindFamily) -> Result<Person, Ended> {
        let BehindFamily {
            family,
            session,
            account,
            is_revoked: _,
        } = behind;
        let now = self.clock.now();
        if !family.span.is_live(now) {
            return Err(Ended::Family);
        }
        let session = session.filter(|session| session.is_live(now, self.session_lifetimes));
        if session.is_none() && !family.offline {
            return Err(Ended::Session);
        }
        // The session's row stays as long as a family names it, ended or not.
        let account =
            account.filter(|account| account.id == family.account_id && account.is_open());
        let account = account.ok_or(Ended::Account)?;
        Ok(Person {
            account,
            family,
            session,
        })
    }
}
