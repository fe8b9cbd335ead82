//! Tokens of upstreams, sealed. Who may ask the upstream for new ones is decided by guarded statements (T64).

use super::record::Record;
use super::statement::{Columns, Statement, query, query_scalar};
use super::writes::Writing;
use super::{Store, StoreError};
use crate::clock::{CLOCKS_APART, UnixTime};
use crate::model::session::Session;
use crate::model::vault_entry::{Lease, MovedVaultEntry, NewVaultEntry, VaultEntry, VaultPlace};
use crate::protocol::ids::{AccountId, SessionId, UpstreamId};

impl Store {
    /// What is kept at `place`.
    pub async fn find_vault_entry(
        &self,
        place: &VaultPlace,
    ) -> Result<Option<VaultEntry>, StoreError> {
        let row = self
            .look_up(
                "SELECT id, sealed, version, lease_holder, lease_until, needs_login FROM vault_entry WHERE id = $1",
                &[place.id().as_str().into()],
            )
            .await?;
        row.as_ref().map(entry).transpose()
    }

    /// The upstreams of which something is kept for a session.
    pub async fn list_vault_upstreams(
        &self,
        session: &SessionId,
    ) -> Result<Vec<UpstreamId>, StoreError> {
        let ids: Vec<String> = query_scalar(
            "SELECT upstream FROM vault_entry WHERE session_id = $1 ORDER BY upstream",
        )
        .bind(session.as_str())
        .fetch_all(&self.reads)
        .await?;
        Ok(ids.into_iter().map(UpstreamId::new).collect())
    }

    /// Takes the lease of a person's entry that was read in `version`; `false` when another was faster. A lease that
    /// nobody gave back is not to be had: what its holder spent, nobody knows.
    pub async fn lease_person_entry(
        &self,
        place: &VaultPlace,
        version: i64,
        lease: &Lease,
    ) -> Result<bool, StoreError> {
        let leased = self
            .writes
            .execute(
                query(
                    "UPDATE vault_entry SET lease_holder = $3, lease_until = $4
             WHERE id = $1 AND version = $2 AND lease_holder IS NULL AND needs_login IS NULL",
                )
                .at_once()
                .bind(place.id())
                .bind(version)
                .bind(&lease.holder)
                .bind(lease.until),
            )
            .await?;
        Ok(leased.rows_affected() == 1)
    }

    /// Takes the lease of the service account's entry that was read in `version` (0 when there was none), as soon as the
    /// one before has ended.
    pub async fn lease_service_entry(
        &self,
        upstream: &UpstreamId,
        version: i64,
        lease: &Lease,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let place = VaultPlace::Service {
            upstream: upstream.clone(),
        };
        let leased = self.writes.execute(query(
            "INSERT INTO vault_entry (id, kind, upstream, version, lease_holder, lease_until, created_at, expires_at)
             VALUES ($1, $2, $3, 0, $5, $6, $7, $6)
             ON CONFLICT (id) DO UPDATE SET lease_holder = $5, lease_until = $6,
                 expires_at = CASE WHEN vault_entry.expires_at < $6 THEN $6 ELSE vault_entry.expires_at END
             WHERE vault_entry.version = $4
               AND (vault_entry.lease_holder IS NULL OR vault_entry.lease_until <= $7 OR vault_entry.lease_until > $8)",
        ).at_once()
        .bind(place.id())
        .bind(place.kind())
        .bind(upstream.as_str())
        .bind(version)
        .bind(&lease.holder)
        .bind(lease.until)
        .bind(now)
        .bind(now.saturating_add(CLOCKS_APART))
        )
        .await?;
        Ok(leased.rows_affected() == 1)
    }

    /// Keeps what the lease's holder was given, and ends the lease. `false` when the lease is no longer theirs: the entry
    /// was replaced or removed meanwhile. A service account's entry ends at `expires_at`; a person's with the session.
    pub async fn save_vault_entry(
        &self,
        place: &VaultPlace,
        holder: &str,
        sealed: &str,
        expires_at: Option<UnixTime>,
    ) -> Result<bool, StoreError> {
        let saved = self.writes.execute(query(
            "UPDATE vault_entry SET sealed = $3, version = version + 1, lease_holder = NULL, lease_until = NULL,
                 expires_at = COALESCE($4, expires_at)
             WHERE id = $1 AND lease_holder = $2",
        ).at_once()
        .bind(place.id())
        .bind(holder)
        .bind(sealed)
        .bind(expires_at)
        )
        .await?;
        Ok(saved.rows_affected() == 1)
    }

    /// Ends a lease without news.
    pub async fn release_vault_lease(
        &self,
        place: &VaultPlace,
        holder: &str,
    ) -> Result<(), StoreError> {
        self.writes.execute(query(
            "UPDATE vault_entry SET lease_holder = NULL, lease_until = NULL WHERE id = $1 AND lease_holder = $2",
        ).at_once()
        .bind(place.id())
        .bind(holder)
        )
        .await?;
        Ok(())
    }

    /// Forgets the tokens of an entry whose lease `holder` has, and marks that only a new login helps. Whether it was so.
    pub async fn require_new_login(
        &self,
        place: &VaultPlace,
        holder: &str,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let marked = self.writes.execute(query(
            "UPDATE vault_entry SET sealed = NULL, version = version + 1, lease_holder = NULL, lease_until = NULL,
                 needs_login = $3
             WHERE id = $1 AND lease_holder = $2",
        ).at_once()
        .bind(place.id())
        .bind(holder)
        .bind(now)
        )
        .await?;
        Ok(marked.rows_affected() == 1)
    }
}

/// Makes `new` what is kept of the login at `upstream`; nothing, if it gave nothing.
pub(super) async fn put(
    transaction: &mut Writing,
    session: &Session,
    upstream: &UpstreamId,
    new: Option<&NewVaultEntry>,
    now: UnixTime,
) -> Result<(), StoreError> {
    if let Some(new) = new {
        kept(new, session.expires_at, now)
            .execute(&mut *transaction)
            .await?;
        return Ok(());
    }
    query("DELETE FROM vault_entry WHERE session_id = $1 AND upstream = $2")
        .at_once()
        .bind(session.id.as_str())
        .bind(upstream.as_str())
        .execute(&mut *transaction)
        .await?;
    Ok(())
}

/// What keeps `new`, of a session that ends at `expires_at`, in the place of whatever is there.
pub(super) fn kept(new: &NewVaultEntry, expires_at: UnixTime, now: UnixTime) -> Statement<'_> {
    let NewVaultEntry { place, sealed } = new;
    let person = place.person();
    // Whoever was renewing the old tokens loses the lease, and what comes of it.
    query(
        "INSERT INTO vault_entry (id, kind, upstream, account_id, session_id, sealed, version, created_at, expires_at)
         SELECT $1, $2, $3, $4, $5, $6, 0, CAST($7 AS BIGINT), CAST($8 AS BIGINT)
         WHERE TRUE
         ON CONFLICT (id) DO UPDATE SET account_id = excluded.account_id, sealed = excluded.sealed,
             version = vault_entry.version + 1, lease_holder = NULL, lease_until = NULL, needs_login = NULL,
             created_at = excluded.created_at, expires_at = excluded.expires_at",
    )
    .at_once()
    .bind(place.id())
    .bind(place.kind())
    .bind(place.upstream().as_str())
    .bind(person.map(|(account, _)| account.as_str()))
    .bind(person.map(|(_, session)| session.as_str()))
    .bind(sealed)
    .bind(now)
    .bind(expires_at)
}

/// Takes out what is to move, unless it has changed since it was read: a renewal under way spends what was read (T64).
pub(super) async fn take(
    transaction: &mut Writing,
    moved: &MovedVaultEntry,
) -> Result<bool, StoreError> {
    let taken = query(
        "DELETE FROM vault_entry
         WHERE id = $1 AND version = $2 AND lease_holder IS NULL AND needs_login IS NULL",
    )
    .at_once()
    .bind(moved.from.id())
    .bind(moved.version)
    .execute(&mut *transaction)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Removes what sessions that began with other logins of an account keep of that upstream.
pub(super) async fn delete_of_linked(
    transaction: &mut Writing,
    account: &AccountId,
    upstream: &UpstreamId,
) -> Result<(), StoreError> {
    query(
        "DELETE FROM vault_entry WHERE account_id = $1 AND upstream = $2 AND session_id NOT IN
             (SELECT id FROM session WHERE account_id = $1 AND upstream = $2)",
    )
    .bind(account.as_str())
    .bind(upstream.as_str())
    .execute(&mut *transaction)
    .await?;
    Ok(())
}

/// Lets what is kept of a session last as long as the session, which was renewed.
pub(super) async fn prolong(
    transaction: &mut Writing,
    session: &Session,
) -> Result<(), StoreError> {
    query("UPDATE vault_entry SET expires_at = $2 WHERE session_id = $1")
        .at_once()
        .bind(session.id.as_str())
        .bind(session.expires_at)
        .execute(&mut *transaction)
        .await?;
    Ok(())
}

/// Removes what is kept of a session that ends.
pub(super) async fn delete_of_session(
    transaction: &mut Writing,
    id: &SessionId,
) -> Result<(), StoreError> {
    query("DELETE FROM vault_entry WHERE session_id = $1")
        .at_once()
        .bind(id.as_str())
        .execute(&mut *transaction)
        .await?;
    Ok(())
}

fn entry(row: &impl Columns) -> Result<VaultEntry, StoreError> {
    let record = Record::new("vault_entry", "id", row);
    let holder = record.optional_text("lease_holder")?;
    let until = record.optional_int("lease_until")?;
    let lease = match (holder, until) {
        (Some(holder), Some(until)) => Some(Lease { holder, until }),
        (None, None) => None,
        _ => return Err(record.inconsistent("lease_holder")),
    };
    Ok(VaultEntry {
        sealed: record.optional_text("sealed")?,
        version: record.int("version")?,
        lease,
        needs_login: record.optional_int("needs_login")?,
    })
}
