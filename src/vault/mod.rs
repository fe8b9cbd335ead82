//! The vault: what upstreams gave to act for people, and for their service accounts. Sealed at rest, each text for its row
//! alone (T63); renewed by one node at a time, because an upstream may take a refresh token once only (T64).

mod flights;
mod rows;
mod service;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use self::flights::Flights;
use self::rows::{ASKED_AT_MOST, Patience, Rows, insist, lease_ends};
pub use self::service::ServiceShelf;
use crate::beside::UnderWay;
use crate::clock::{Clock, UnixTime};
use crate::keys::Secrets;
use crate::model::session::Session;
use crate::model::vault_entry::{MovedVaultEntry, NewVaultEntry, VaultPlace};
use crate::protocol::error::{BoxError, ErrorCode, OAuthError, chain};
use crate::protocol::ids::UpstreamId;
use crate::protocol::secret::Secret;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;
use crate::upstream::{LoginError, UpstreamTokens, Upstreams};

/// Keeps and renews the tokens of people. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    rows: Rows,
    upstreams: Upstreams,
    flights: Flights,
    metrics: Metrics,
}

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Nothing is kept: the way to log in gives no tokens, or the session has ended.
    #[error("no token of the upstream is kept for this login")]
    Nothing,
    /// What was kept is good for nothing any more.
    #[error("the upstream's tokens have ended; only a new login gives others")]
    NeedsLogin,
    /// The upstream does not answer, or whoever asks it.
    #[error("the upstream gives no new token now")]
    Unavailable(#[source] BoxError),
    /// Something of ours failed.
    #[error("the vault failed")]
    Failed(#[source] BoxError),
}

/// What a row holds, sealed.
#[derive(Serialize, Deserialize)]
struct Kept {
    tokens: UpstreamTokens,
    since: UnixTime,
}

impl Kept {
    /// Whether the access token is worth handing out at `now`: it has `min_life` seconds left, or, where the upstream's
    /// tokens live no longer than that, half of its life.
    fn is_fresh(&self, now: UnixTime, min_life: i64, stale: Option<&Secret>) -> bool {
        let half = (self.tokens.expires_at - self.since) / 2;
        self.lives(now, stale) && self.tokens.expires_at - now >= min_life.min(half)
    }

    /// Whether it is good for anything.
    fn lives(&self, now: UnixTime, stale: Option<&Secret>) -> bool {
        let refused = stale.is_some_and(|stale| self.tokens.access.equals(stale.expose()));
        now < self.tokens.expires_at && !refused
    }
}

impl Vault {
    /// The vault in this database.
    pub fn new(
        store: Store,
        clock: Clock,
        secrets: Secrets,
        upstreams: Upstreams,
        metrics: Metrics,
    ) -> Self {
        Self {
            rows: Rows {
                store,
                clock,
                secrets,
                asking: UnderWay::default(),
            },
            upstreams,
            flights: Flights::default(),
            metrics,
        }
    }

    /// What a login gave, sealed for its row; to be stored with the session in one transaction.
    pub fn seal(
        &self,
        place: VaultPlace,
        tokens: &UpstreamTokens,
    ) -> Result<NewVaultEntry, VaultError> {
        let kept = Kept {
            tokens: tokens.clone(),
            since: self.rows.clock.now(),
        };
        let sealed = self.rows.seal(&place, &kept).map_err(VaultError::Failed)?;
        Ok(NewVaultEntry { place, sealed })
    }

    /// What `old` keeps of other upstreams than that of `new`, sealed for `new`: another session of the same person, in the
    /// same browser, which takes its place. What is being renewed stays behind.
    pub async fn moved(
        &self,
        old: &Session,
        new: &Session,
    ) -> Result<Vec<MovedVaultEntry>, VaultError> {
        let mut moved = Vec::new();
        if old.account_id != new.account_id {
            return Ok(moved);
        }
        for upstream in self.rows.store.list_vault_upstreams(&old.id).await? {
            let (from, to) = (place_of(old, &upstream), place_of(new, &upstream));
            let entry = self.rows.store.find_vault_entry(&from).await?;
            let Some(entry) = entry.filter(|entry| entry.lease.is_none()) else {
                continue;
            };
            let Some(sealed) = entry.sealed.filter(|_| upstream != new.upstream) else {
                continue;
            };
            match self.rows.open::<Kept>(&from, &sealed) {
                Ok(kept) => moved.push(MovedVaultEntry {
                    from,
                    version: entry.version,
                    to: NewVaultEntry {
                        sealed: self.rows.seal(&to, &kept).map_err(VaultError::Failed)?,
                        place: to,
                    },
                }),
                Err(error) => {
                    tracing::error!(error = %error, "what is kept of a login is left behind");
                }
            }
        }
        Ok(moved)
    }

    /// The tokens at `place`, with `min_life` seconds left to the access token where the upstream gives such, renewed if
    /// need be. `stale` is an access token that the upstream has just refused. The caller has checked that session and
    /// account stand.
    pub async fn person_tokens(
        &self,
        place: &VaultPlace,
        min_life: i64,
        stale: Option<&Secret>,
    ) -> Result<UpstreamTokens, VaultError> {
        let wanted = |kept: &Kept, now| kept.is_fresh(now, min_life, stale);
        let mut patience = Patience::new();
        let mut flight = None;
        loop {
            let entry = self.rows.store.find_vault_entry(place).await?;
            let entry = entry.ok_or(VaultError::Nothing)?;
            let Some(sealed) = entry
                .sealed
                .as_deref()
                .filter(|_| entry.needs_login.is_none())
            else {
                return Err(VaultError::NeedsLogin);
            };
            let kept: Kept = self
                .rows
                .open(place, sealed)
                .map_err(|error| VaultError::Failed(error.into()))?;
            let now = self.rows.clock.now();
            if wanted(&kept, now) {
                return Ok(kept.tokens);
            }
            // What is left of the life of an old token is better than nothing.
            let or_old = |error| {
                if kept.lives(now, stale) {
                    Ok(kept.tokens.clone())
                } else {
                    Err(error)
                }
            };
            if !self.can_renew(place, &kept.tokens) {
                return or_old(VaultError::NeedsLogin);
            }
            if flight.is_none() {
                // Look again once those before us in this process have landed.
                flight = self.flights.enter(place, patience.ends()).await;
                if flight.is_none() {
                    return or_old(busy());
                }
                continue;
            }
            match entry.lease {
                // Its holder died, and may have spent the refresh token: to try it again could pass for theft.
                Some(lease) if !lease.is_live(now) => {
                    self.rows
                        .store
                        .require_new_login(place, &lease.holder, now)
                        .await?;
                    log_lost(place, "whoever asked for new tokens did not come back");
                    continue;
                }
                Some(_) => {}
                None => {
                    let lease = self.rows.new_lease();
                    let store = &self.rows.store;
                    if store
                        .lease_person_entry(place, entry.version, &lease)
                        .await?
                    {
                        match self.renew(place, kept.tokens.clone(), lease.holder).await {
                            Ok(Some(tokens)) => return Ok(tokens),
                            // The row says what became of it.
                            Ok(None) => continue,
                            Err(error @ VaultError::Unavailable(_)) => return or_old(error),
                            Err(error) => return Err(error),
                        }
                    }
                }
            }
            if !patience.wait().await {
                return or_old(busy());
            }
        }
    }

    /// Waits until nobody asks any more, at the end of a server.
    pub async fn settle(&self) {
        self.rows.settle().await;
    }

    /// What is kept at `place`, current or not.
    pub async fn kept(&self, place: &VaultPlace) -> Option<UpstreamTokens> {
        let entry = self.rows.store.find_vault_entry(place).await.ok()??;
        let kept: Kept = self.rows.open(place, entry.sealed.as_deref()?).ok()?;
        Some(kept.tokens)
    }

    fn can_renew(&self, place: &VaultPlace, tokens: &UpstreamTokens) -> bool {
        let upstream = self.upstreams.find(place.upstream().as_str());
        tokens.refresh.is_some() && upstream.is_some_and(|upstream| upstream.renewal.is_some())
    }

    /// Renews in a task of its own: whoever asked for it may go away, and the answer must not be lost with them. `None`
    /// when the row was replaced or removed meanwhile.
    async fn renew(
        &self,
        place: &VaultPlace,
        old: UpstreamTokens,
        holder: String,
    ) -> Result<Option<UpstreamTokens>, VaultError> {
        let (vault, place) = (self.clone(), place.clone());
        let span = tracing::Span::current();
        let under_way = self.rows.asking.begin();
        let renewing = async move {
            let _under_way = under_way;
            vault.renew_holding(&place, &old, &holder).await
        };
        let task = tokio::spawn(tracing::Instrument::instrument(renewing, span));
        task.await
            .unwrap_or_else(|error| Err(VaultError::Failed(error.into())))
    }

    async fn renew_holding(
        &self,
        place: &VaultPlace,
        old: &UpstreamTokens,
        holder: &str,
    ) -> Result<Option<UpstreamTokens>, VaultError> {
        let store = &self.rows.store;
        let ends = lease_ends();
        let release = || insist(ends, || store.release_vault_lease(place, holder));
        let begun = self.rows.clock.now();
        let end = || insist(ends, || store.require_new_login(place, holder, begun));
        let upstream = self.upstreams.find(place.upstream().as_str());
        let renewal = upstream.and_then(|upstream| upstream.renewal.as_deref());
        let Some(renewal) = renewal else {
            release().await?;
            return Ok(None);
        };
        let count = |outcome| self.metrics.renewed(place.upstream(), outcome);
        match timeout(ASKED_AT_MOST, renewal.renew(old)).await {
            Ok(Ok(tokens)) => {
                count("renewed");
                let kept = Kept {
                    tokens,
                    since: begun,
                };
                let sealed = self.rows.seal(place, &kept).map_err(VaultError::Failed)?;
                let save = || store.save_vault_entry(place, holder, &sealed, None);
                let saved = insist(ends, save).await?;
                tracing::debug!(upstream = %place.upstream(), saved, "upstream tokens renewed");
                Ok(saved.then_some(kept.tokens))
            }
            Ok(Err(
                error @ (LoginError::BadCredentials(_)
                | LoginError::NotAllowed(_)
                | LoginError::NoPerson(_)),
            )) => {
                count("refused");
                end().await?;
                tracing::info!(
                    row = place.id(),
                    reason = chain(&error),
                    "the upstream takes the refresh token no more; the person has to log in again"
                );
                Ok(None)
            }
            Ok(Err(error)) if !error.lost_the_answer() => {
                count("unavailable");
                release().await?;
                Err(VaultError::Unavailable(Box::new(error)))
            }
            outcome => {
                count("lost");
                end().await?;
                let reason = match outcome {
                    Ok(Err(error)) => chain(&error),
                    _ => "no answer within a minute".to_owned(),
                };
                log_lost(place, &reason);
                Ok(None)
            }
        }
    }
}

/// The row of what a login at `upstream` gave within `session`.
pub fn place_of(session: &Session, upstream: &UpstreamId) -> VaultPlace {
    VaultPlace::Person {
        account_id: session.account_id.clone(),
        session_id: session.id.clone(),
        upstream: upstream.clone(),
    }
}

fn busy() -> VaultError {
    VaultError::Unavailable(
        "another request or node is renewing the tokens, and has not ended".into(),
    )
}

fn log_lost(place: &VaultPlace, reason: &str) {
    tracing::warn!(
        row = place.id(),
        reason,
        "the answer to a renewal was lost, and with it what the upstream gives once only; the person has to log in again"
    );
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl From<VaultError> for OAuthError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Nothing => Self::invalid_grant(
                "no token of this upstream is kept for this login; log in again, at this upstream",
            ),
            VaultError::NeedsLogin => Self::invalid_grant(
                "the upstream's token has ended and cannot be renewed; log in again",
            ),
            VaultError::Unavailable(_) => Self::new(
                ErrorCode::TemporarilyUnavailable,
                "the upstream does not answer; try again later",
            )
            .because(error),
            VaultError::Failed(_) => Self::server_error(error),
        }
    }
}
