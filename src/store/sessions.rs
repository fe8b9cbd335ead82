//! Sessions of browsers. The cookie's secret is stored as its hash alone.

use super::chain::Chain;
use super::checks::{Standing, read_standing};
use super::families::open_account;
use super::record::{Record, to_json};
use super::statement::{Columns, query, query_scalar};
use super::writes::Writing;
use super::{Store, StoreError, logout_notices, retrying, vault_entries};
use crate::clock::UnixTime;
use crate::model::device::Device;
use crate::model::session::Session;
use crate::model::vault_entry::{MovedVaultEntry, NewVaultEntry};
use crate::protocol::ids::{AccountId, SessionId, UpstreamId};

/// A session is written as used at most once in so many seconds.
const TOUCH_INTERVAL: i64 = 60;

impl Store {
    /// Begins `session` under the hash of its cookie's secret, and ends the one that the browser had before, so
    /// that no id lives through a login (T24). `false` when the account is closed or the login does not lead to it any more:
    /// nothing begins or ends, though that the login was used may be noted all the same. `tokens` are what the login gave,
    /// `moved` what comes along from the session that ends, as far as that has not changed.
    pub async fn replace_session(
        &self,
        secret_hash: &str,
        session: &Session,
        replaced: Option<&SessionId>,
        moved: &[MovedVaultEntry],
        tokens: Option<&NewVaultEntry>,
    ) -> Result<bool, StoreError> {
        retrying(|| self.try_replace_session(secret_hash, session, replaced, moved, tokens)).await
    }

    async fn try_replace_session(
        &self,
        secret_hash: &str,
        session: &Session,
        replaced: Option<&SessionId>,
        moved: &[MovedVaultEntry],
        tokens: Option<&NewVaultEntry>,
    ) -> Result<bool, StoreError> {
        let begin = |chain, tokens| begin_within(chain, secret_hash, session, tokens);
        let Some(replaced) = replaced else {
            let chain = begin(hold_login(session), tokens.as_slice())?;
            return Ok(self.writes.run_chain(chain).await?.to_the_end());
        };
        let mut transaction = self.writes.begin().await?;
        let held = transaction.run_chain(hold_login(session)).await?;
        if !held.to_the_end() {
            transaction.rollback().await?;
            return Ok(false);
        }
        if !moved.is_empty() {
            // The session before its entries, as where it ends.
            query("UPDATE session SET ended_at = ended_at WHERE id = $1")
                .at_once()
                .bind(replaced.as_str())
                .execute(&mut transaction)
                .await?;
        }
        let mut coming = Vec::new();
        for entry in moved {
            if vault_entries::take(&mut transaction, entry).await? {
                coming.push(&entry.to);
            }
        }
        // The new session was last seen when it began, which is now.
        end(&mut transaction, replaced, session.last_seen_at).await?;
        coming.extend(tokens);
        let chain = begin(Chain::new(), &coming)?;
        if !transaction.run_chain(chain).await?.to_the_end() {
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Gives a live session a new secret and the time and way of a new login of the same person: the old cookie is dead
    /// (T24), while everything that belongs to the session goes on. `tokens`, or none, take the place of what the login
    /// before gave. `false` when it has ended meanwhile, when it began with another login, or when the login leads
    /// elsewhere now.
    pub async fn renew_session(
        &self,
        secret_hash: &str,
        session: &Session,
        tokens: Option<&NewVaultEntry>,
    ) -> Result<bool, StoreError> {
        retrying(|| self.try_renew_session(secret_hash, session, tokens)).await
    }

    async fn try_renew_session(
        &self,
        secret_hash: &str,
        session: &Session,
        tokens: Option<&NewVaultEntry>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.writes.begin().await?;
        let held = transaction.run_chain(hold_login(session)).await?;
        if !held.to_the_end() {
            transaction.rollback().await?;
            return Ok(false);
        }
        // One that an older node began names no login, and gets the one that it is renewed with.
        let renewed = query(
            "UPDATE session SET secret_hash = $2, began_at = COALESCE(began_at, auth_time), auth_time = $3, amr = $4, last_seen_at = $5, expires_at = $6,
                 kept_until = CASE WHEN kept_until < $6 THEN $6 ELSE kept_until END, upstream_subject = $9, acr = $10,
                 browser = $11, system = $12, address = $13,
                 persistent_since = $14
             WHERE id = $1 AND account_id = $7 AND upstream = $8 AND ended_at IS NULL
               AND (upstream_subject IS NULL OR upstream_subject = $9)
               AND EXISTS (SELECT 1 FROM account WHERE account.id = $7 AND account.disabled_at IS NULL)",
        ).at_once()
        .bind(session.id.as_str())
        .bind(secret_hash)
        .bind(session.auth_time)
        .bind(to_json(&session.amr)?)
        .bind(session.last_seen_at)
        .bind(session.expires_at)
        .bind(session.account_id.as_str())
        .bind(session.upstream.as_str())
        .bind(session.upstream_subject.as_deref())
        .bind(session.acr.as_deref())
        .bind(session.device.browser.as_deref())
        .bind(session.device.system.as_deref())
        .bind(session.device.address.as_deref())
        .bind(session.persistent.then_some(session.auth_time))
        .execute(&mut transaction)
        .await?
        .rows_affected()
            == 1;
        if !renewed {
            transaction.rollback().await?;
            return Ok(false);
        }
        let (upstream, now) = (&session.upstream, session.last_seen_at);
        vault_entries::put(&mut transaction, session, upstream, tokens, now).await?;
        vault_entries::prolong(&mut transaction, session).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The session of that secret, ended or not, and what stands behind it, as [`Store::find_standing`] says.
    pub async fn find_signed_in(
        &self,
        secret_hash: &str,
    ) -> Result<Option<(Session, Standing)>, StoreError> {
        let row = self
            .look_up(
                "SELECT session.id AS id, session.account_id AS account_id, session.upstream AS upstream,
                    session.upstream_subject AS upstream_subject, session.auth_time AS auth_time,
                    session.amr AS amr, session.acr AS acr, session.last_seen_at AS last_seen_at,
                    session.expires_at AS expires_at, session.ended_at AS ended_at, session.browser AS browser,
                    session.system AS system, session.address AS address,
                    session.persistent_since AS persistent_since, session.began_at AS began_at,
                    account.id AS a_id, account.subject AS a_subject, account.created_at AS a_created_at,
                    account.disabled_at AS a_disabled_at, account.merged_into AS a_merged_into,
                    COALESCE(login.profile, account.profile) AS a_profile,
                    login.upstream AS l_upstream, login.subject AS l_subject, login.checked_at AS l_checked_at,
                    login.checking_since AS l_checking_since, login.check_after AS l_check_after,
                    login.refused_at AS l_refused_at
             FROM session JOIN account ON account.id = session.account_id
             LEFT JOIN upstream_login AS login
                 ON login.account_id = session.account_id AND login.upstream = session.upstream
                AND (session.upstream_subject IS NULL OR session.upstream_subject = login.subject)
             WHERE session.secret_hash = $1 ORDER BY login.subject LIMIT 1",
                &[secret_hash.into()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let standing = read_standing(&row)?;
        let session = session(&row)?;
        Ok(standing.map(|standing| (session, standing)))
    }

    /// The session of that id, ended or not.
    pub async fn find_session(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        let row = self
            .look_up(
                "SELECT id, account_id, upstream, upstream_subject, auth_time, amr, acr, last_seen_at, expires_at, ended_at,
                    browser, system, address, persistent_since, began_at
             FROM session WHERE id = $1",
                &[id.as_str().into()],
            )
            .await?;
        row.as_ref().map(session).transpose()
    }

    /// The sessions of an account that have not been ended and not passed their last moment, the last used first.
    pub async fn list_sessions(
        &self,
        account: &AccountId,
        now: UnixTime,
    ) -> Result<Vec<Session>, StoreError> {
        let rows = query(
            "SELECT id, account_id, upstream, upstream_subject, auth_time, amr, acr, last_seen_at, expires_at, ended_at,
                    browser, system, address, persistent_since, began_at
             FROM session WHERE account_id = $1 AND ended_at IS NULL AND expires_at > $2
             ORDER BY last_seen_at DESC, id",
        )
        .bind(account.as_str())
        .bind(now)
        .fetch_all(&self.reads)
        .await?;
        rows.iter().map(session).collect()
    }

    /// Notes that a session is in use, which was `last_seen_at` when it was read a moment ago, in steps of a minute. An ended one
    /// stays as it is, and time never goes back.
    pub async fn touch_session(
        &self,
        id: &SessionId,
        last_seen_at: UnixTime,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let before = now.saturating_sub(TOUCH_INTERVAL);
        // Even an update that changes nothing would stand in the queue of the one writer.
        if last_seen_at <= before {
            self.writes
                .execute(
                    query(
                        "UPDATE session SET last_seen_at = $3
                 WHERE id = $1 AND ended_at IS NULL AND last_seen_at <= $2",
                    )
                    .at_once()
                    .bind(id.as_str())
                    .bind(before)
                    .bind(now),
                )
                .await?;
        }
        Ok(())
    }

    /// Leaves at most `cap` live sessions to a person: of the others than `newest`, those end that nobody used since they
    /// began, as a password grant leaves them behind, then those that were used the longest ago.
    pub async fn end_sessions_beyond(
        &self,
        newest: &Session,
        cap: i64,
        now: UnixTime,
    ) -> Result<Vec<(SessionId, UpstreamId)>, StoreError> {
        // Whoever has no more than that of any kind, as nearly everybody, is spared the search for the live ones.
        let row_beyond = self
            .look_up(
                "SELECT id FROM session WHERE account_id = $1 LIMIT 1 OFFSET $2",
                &[newest.account_id.as_str().into(), cap.max(0).into()],
            )
            .await?;
        if row_beyond.is_none() {
            return Ok(Vec::new());
        }
        let beyond = query(
            "SELECT id, upstream FROM session
             WHERE account_id = $1 AND id <> $2 AND ended_at IS NULL AND expires_at > $3
             ORDER BY CASE WHEN last_seen_at > COALESCE(began_at, auth_time) THEN 0 ELSE 1 END, last_seen_at DESC, id DESC
             LIMIT $4 OFFSET $5",
        )
        .bind(newest.account_id.as_str())
        .bind(newest.id.as_str())
        .bind(now)
        .bind(i64::MAX)
        .bind(cap.saturating_sub(1).max(0))
        .fetch_all(&self.reads)
        .await?;
        let mut ended = Vec::new();
        for row in beyond {
            let record = Record::new("session", "id", &row);
            let id = SessionId::new(record.text("id")?);
            if self.end_session(&id, now).await? {
                ended.push((id, UpstreamId::new(record.text("upstream")?)));
            }
        }
        Ok(ended)
    }

    /// Ends a session, the families that do not outlive it (OpenID Connect Back-Channel Logout section 2.7), and what is
    /// kept of its upstreams' tokens. Whether it was live.
    pub async fn end_session(&self, id: &SessionId, now: UnixTime) -> Result<bool, StoreError> {
        retrying(|| self.try_end_session(id, now)).await
    }

    async fn try_end_session(&self, id: &SessionId, now: UnixTime) -> Result<bool, StoreError> {
        let mut transaction = self.writes.begin().await?;
        let was_live = end(&mut transaction, id, now).await?;
        transaction.commit().await?;
        Ok(was_live)
    }

    /// Ends a session that is over by the clock alone, and has no client told, as if it had been swept. Whether it was there to
    /// be ended.
    pub async fn end_lapsed_session(
        &self,
        id: &SessionId,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        retrying(|| self.try_end_lapsed_session(id, now)).await
    }

    async fn try_end_lapsed_session(
        &self,
        id: &SessionId,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.writes.begin().await?;
        let ended = end_untold(&mut transaction, id, now).await?;
        transaction.commit().await?;
        Ok(ended.is_some())
    }
}

/// Locks the login that a session begins with, and notes its use, which answers whatever is asked about the person: the chain goes on
/// where it still leads to the session's account. Whoever moves a login or closes an account holds the same rows, so that no session
/// slips in behind them.
fn hold_login(session: &Session) -> Chain<'_> {
    let Some(subject) = &session.upstream_subject else {
        return Chain::new();
    };
    let held = query(
        "UPDATE upstream_login SET last_login_at = $4, checked_at = $4, checking_since = NULL, check_after = NULL,
             refused_at = NULL
         WHERE upstream = $1 AND subject = $2 AND account_id = $3",
    )
    .at_once()
    .bind(session.upstream.as_str())
    .bind(subject)
    .bind(session.account_id.as_str())
    .bind(session.auth_time);
    Chain::new().then(held)
}

/// Begins a session of an account that is open, and keeps `tokens` of upstreams.
fn begin_within<'q>(
    chain: Chain<'q>,
    secret_hash: &'q str,
    session: &'q Session,
    tokens: &[&'q NewVaultEntry],
) -> Result<Chain<'q>, StoreError> {
    let began = query(
        "INSERT INTO session (id, secret_hash, account_id, upstream, auth_time, amr, last_seen_at, expires_at,
                              ended_at, kept_until, upstream_subject, acr, browser, system, address,
                              persistent_since, began_at)
         SELECT $1, $2, $3, $4, CAST($5 AS BIGINT), $6, CAST($7 AS BIGINT), CAST($8 AS BIGINT),
                CAST($9 AS BIGINT), CAST($8 AS BIGINT), $10, $11, $12, $13, $14, CAST($15 AS BIGINT), CAST($16 AS BIGINT)
         WHERE TRUE",
    )
    .at_once()
    .bind(session.id.as_str())
    .bind(secret_hash)
    .bind(session.account_id.as_str())
    .bind(session.upstream.as_str())
    .bind(session.auth_time)
    .bind(to_json(&session.amr)?)
    .bind(session.last_seen_at)
    .bind(session.expires_at)
    .bind(session.ended_at)
    .bind(session.upstream_subject.as_deref())
    .bind(session.acr.as_deref())
    .bind(session.device.browser.as_deref())
    .bind(session.device.system.as_deref())
    .bind(session.device.address.as_deref())
    .bind(session.persistent.then_some(session.auth_time))
    .bind(session.began_at);
    let chain = chain
        .then_hold(open_account(&session.account_id))
        .then(began);
    let (ends, now) = (session.expires_at, session.last_seen_at);
    Ok(tokens.iter().fold(chain, |chain, entry| {
        chain.then(vault_entries::kept(entry, ends, now))
    }))
}

/// Ends a session, and has its clients told. Whether it was live.
pub(super) async fn end(
    transaction: &mut Writing,
    id: &SessionId,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let Some(expires_at) = end_untold(transaction, id, now).await? else {
        return Ok(false);
    };
    logout_notices::of_session(transaction, id, now).await?;
    Ok(now < expires_at)
}

/// Ends a session and the families that do not outlive it. The one place where a session ends: what else hangs on it
/// goes here, save that clients are told. When it would have passed its last moment, if it had not been ended before.
async fn end_untold(
    transaction: &mut Writing,
    id: &SessionId,
    now: UnixTime,
) -> Result<Option<UnixTime>, StoreError> {
    // The session first: a redemption in flight holds this row, so its family is there to be revoked below; one that
    // comes later finds the session ended.
    let expires_at: Option<i64> = query_scalar(
        "UPDATE session SET ended_at = $2, browser = NULL, system = NULL, address = NULL
         WHERE id = $1 AND ended_at IS NULL RETURNING expires_at",
    )
    .bind(id.as_str())
    .bind(now)
    .fetch_optional(&mut *transaction)
    .await?;
    if expires_at.is_none() {
        return Ok(None);
    }
    query(
        "UPDATE token_family SET revoked_at = $2
         WHERE session_id = $1 AND offline = 0 AND revoked_at IS NULL",
    )
    .bind(id.as_str())
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    vault_entries::delete_of_session(transaction, id).await?;
    // Keep the row as long as an offline family names it, and no longer.
    query(
        "UPDATE session SET kept_until =
             (SELECT COALESCE(MAX(expires_at), $2) FROM token_family WHERE session_id = $1 AND revoked_at IS NULL)
         WHERE id = $1",
    )
    .bind(id.as_str())
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    Ok(expires_at)
}

pub(super) fn session(row: &impl Columns) -> Result<Session, StoreError> {
    read_session(&Record::new("session", "id", row))
}

pub(super) fn read_session(record: &Record<'_>) -> Result<Session, StoreError> {
    let auth_time = record.int("auth_time")?;
    Ok(Session {
        id: SessionId::new(record.text("id")?),
        account_id: AccountId::new(record.text("account_id")?),
        upstream: UpstreamId::new(record.text("upstream")?),
        upstream_subject: record.optional_text("upstream_subject")?,
        auth_time,
        began_at: record.optional_int("began_at")?.unwrap_or(auth_time),
        amr: record.json("amr")?,
        acr: record.optional_text("acr")?,
        last_seen_at: record.int("last_seen_at")?,
        expires_at: record.int("expires_at")?,
        ended_at: record.optional_int("ended_at")?,
        persistent: record.optional_int("persistent_since")?.is_some(),
        device: Device {
            browser: record.optional_text("browser")?,
            system: record.optional_text("system")?,
            address: record.optional_text("address")?,
        },
    })
}
