//! The keys of clients: by value, or from where the client says they are (`jwks_uri`), fetched again when they change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::{Asker, FetchError, Fetcher, Wanted};
use crate::clock::{Clock, UnixTime, is_recent};
use crate::model::client::Client;
use crate::protocol::foreign_jwt::{Claims, ForeignJwt, JwtProblem};
use crate::protocol::ids::ClientId;
use crate::protocol::jwk::JwkSet;
use crate::protocol::jws::SigningAlgorithm;

/// Seconds for which keys are taken for current.
const FRESH: i64 = 60 * 60;
/// Seconds for which they are good while no others can be had: a client's outage must not become ours.
const STALE: i64 = 12 * 60 * 60;
/// Seconds that lie between two fetches, whatever signatures come in (T47).
const APART: i64 = 5;
/// The most sets that are kept.
const MAX_SETS: usize = 1000;

/// The keys of all clients. Cheap to clone; clones share what was fetched.
#[derive(Clone)]
pub struct ClientKeys {
    fetcher: Fetcher,
    clock: Clock,
    sets: Arc<Mutex<HashMap<Place, Shared>>>,
}

/// A client and its `jwks_uri`: what one may have fetched is not for another, who may reach less.
type Place = (ClientId, String);

/// Held while fetching, so that one fetch serves all who wait.
type Shared = Arc<tokio::sync::Mutex<Option<Fetched>>>;

#[derive(Clone)]
struct Fetched {
    keys: Arc<JwkSet>,
    at: UnixTime,
}

/// Why a client has no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// None are registered.
    #[error("the client has no keys registered (jwks or jwks_uri)")]
    None,
    /// They cannot be had.
    #[error("the client's jwks_uri cannot be fetched: {0}")]
    Fetch(#[from] FetchError),
    /// What it signed does not verify.
    #[error("what the client signed {0}")]
    Refused(JwtProblem),
    /// They are no keys.
    #[error("the client's jwks_uri {0}")]
    Unreadable(String),
}

impl ClientKeys {
    /// No keys yet.
    pub fn new(fetcher: Fetcher, clock: Clock) -> Self {
        Self {
            fetcher,
            clock,
            sets: Arc::default(),
        }
    }

    /// The client's keys, as current as they have to be.
    async fn of(&self, client: &Client) -> Result<Arc<JwkSet>, KeysError> {
        let uri = match (&client.jwks, &client.jwks_uri) {
            (Some(keys), _) => return Ok(Arc::new(keys.clone())),
            (None, Some(uri)) => uri,
            (None, None) => return Err(KeysError::None),
        };
        let shared = self.shared(client, uri);
        let cached = &mut *shared.lock().await;
        let now = self.clock.now();
        if let Some(known) = cached
            && is_recent(known.at, FRESH, now)
        {
            return Ok(Arc::clone(&known.keys));
        }
        match self.fetch(client, uri, now).await {
            Ok(fetched) => Ok(Arc::clone(&cached.insert(fetched).keys)),
            Err(error) => match cached {
                Some(known) if is_recent(known.at, STALE, now) => {
                    tracing::warn!(client_id = %client.client_id, %error, "the client's last keys are used");
                    Ok(Arc::clone(&known.keys))
                }
                _ => Err(error),
            },
        }
    }

    /// The client's keys, fetched anew because none of `known` has made a signature: the client may have others now.
    /// `None` when there are no others, or when it was asked a moment ago (T47).
    async fn after(&self, client: &Client, known: &Arc<JwkSet>) -> Option<Arc<JwkSet>> {
        let uri = client.jwks_uri.as_ref().filter(|_| client.jwks.is_none())?;
        let shared = self.shared(client, uri);
        let cached = &mut *shared.lock().await;
        let now = self.clock.now();
        if let Some(fetched) = cached {
            if fetched.keys != *known {
                // Somebody else was faster.
                return Some(Arc::clone(&fetched.keys));
            }
            if is_recent(fetched.at, APART, now) {
                return None;
            }
        }
        let fetched = self.fetch(client, uri, now).await.ok()?;
        let keys = Arc::clone(&cached.insert(fetched).keys);
        (keys != *known).then_some(keys)
    }

    /// The claims of what the client signed, with the keys that it has now.
    pub async fn verify(
        &self,
        client: &Client,
        jwt: &ForeignJwt,
        allowed: &[SigningAlgorithm],
    ) -> Result<Claims, KeysError> {
        let keys = self.of(client).await?;
        let problem = match jwt.verified_by(&keys, allowed) {
            Ok(claims) => return Ok(claims),
            Err(problem) => problem,
        };
        let rotated = matches!(problem, JwtProblem::NoKey | JwtProblem::Signature);
        let others = if rotated {
            self.after(client, &keys).await
        } else {
            None
        };
        let others = others.ok_or(KeysError::Refused(problem))?;
        jwt.verified_by(&others, allowed)
            .map_err(KeysError::Refused)
    }

    fn shared(&self, client: &Client, uri: &str) -> Shared {
        let place = (client.client_id.clone(), uri.to_owned());
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = sets.get(&place) {
            return Arc::clone(shared);
        }
        // It has moved.
        sets.retain(|(client_id, _), _| *client_id != client.client_id);
        if sets.len() >= MAX_SETS
            && let Some(victim) = sets.keys().next().cloned()
        {
            sets.remove(&victim);
        }
        Arc::clone(sets.entry(place).or_default())
    }

    async fn fetch(&self, client: &Client, uri: &str, now: UnixTime) -> Result<Fetched, KeysError> {
        let asker = Asker::Client(client);
        let body = self.fetcher.fetch(uri, Wanted::Json, asker);
        let body = body.await?;
        let document: Value = serde_json::from_slice(&body)
            .map_err(|_| KeysError::Unreadable("holds no JSON".to_owned()))?;
        let keys = JwkSet::fetched(&document)
            .map_err(|problem| KeysError::Unreadable(problem.to_string()))?;
        Ok(Fetched {
            keys: Arc::new(keys),
            at: now,
        })
    }
}
