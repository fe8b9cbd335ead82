//! Signing keys, sealed. Nodes that start or rotate at once agree on one key by a unique generation.

use super::record::Record;
use super::statement::{Columns, query};
use super::{Store, StoreError, retrying};
use crate::clock::UnixTime;
use crate::model::signing_key::SigningKeyRecord;
use crate::protocol::ids::KeyId;
use crate::protocol::jws::SigningAlgorithm;

impl Store {
    /// Every key, ordered by when it was announced, then by `kid`.
    pub async fn list_signing_keys(&self) -> Result<Vec<SigningKeyRecord>, StoreError> {
        let rows = query(
            "SELECT kid, algorithm, sealed, announced_at, active_at, retired_at, expires_at
             FROM signing_key ORDER BY announced_at, kid",
        )
        .fetch_all(&self.reads)
        .await?;
        let mut keys = rows
            .iter()
            .map(signing_key)
            .collect::<Result<Vec<_>, _>>()?;
        // PostgreSQL sorts text by the database's locale; the answer must not depend on it.
        keys.sort_by(|a, b| (a.announced_at, &a.kid).cmp(&(b.announced_at, &b.kid)));
        Ok(keys)
    }

    /// Keeps the first key of its algorithm; `false` when there is one already.
    pub async fn insert_first_signing_key(
        &self,
        key: &SigningKeyRecord,
    ) -> Result<bool, StoreError> {
        let inserted = self.writes.execute(query(
            "INSERT INTO signing_key (kid, algorithm, generation, sealed, announced_at, active_at, retired_at,
                                      expires_at)
             SELECT $1, $2, 1, $3, $4, $5, $6, $7
             WHERE NOT EXISTS (SELECT 1 FROM signing_key WHERE algorithm = $2)
             ON CONFLICT (algorithm, generation) DO NOTHING",
        )
        .bind(key.kid.as_str())
        .bind(key.algorithm.as_str())
        .bind(&key.sealed)
        .bind(key.announced_at)
        .bind(key.active_at)
        .bind(key.retired_at)
        .bind(key.expires_at)
        )
        .await?;
        Ok(inserted.rows_affected() == 1)
    }

    /// Announces `successor`, and retires every other key of its algorithm when it becomes active; they leave the
    /// JWKS at `predecessor_expires_at`. `false` when a successor is announced already: rotating twice at once
    /// would retire a key before it signed anything.
    ///
    /// A successor that is active at once replaces an announced one, too: it is there because a key has leaked, and
    /// that must not wait. Every other key then leaves at `predecessor_expires_at`, those that were retired included.
    pub async fn rotate_signing_key(
        &self,
        successor: &SigningKeyRecord,
        predecessor_expires_at: UnixTime,
    ) -> Result<bool, StoreError> {
        retrying(|| self.try_rotate_signing_key(successor, predecessor_expires_at)).await
    }

    /// Retires a key that has no successor; `false` when it was retired already.
    pub async fn retire_signing_key(
        &self,
        kid: &KeyId,
        retired_at: UnixTime,
        expires_at: UnixTime,
    ) -> Result<bool, StoreError> {
        let retired = self.writes.execute(query(
            "UPDATE signing_key SET retired_at = $2, expires_at = $3 WHERE kid = $1 AND retired_at IS NULL",
        )
        .bind(kid.as_str())
        .bind(retired_at)
        .bind(expires_at)
        )
        .await?;
        Ok(retired.rows_affected() == 1)
    }

    /// Takes back that a key will retire, as long as it has not; whether it was so.
    pub async fn keep_signing_key(&self, kid: &KeyId, now: UnixTime) -> Result<bool, StoreError> {
        let kept = self.writes.execute(query(
            "UPDATE signing_key SET retired_at = NULL, expires_at = NULL WHERE kid = $1 AND retired_at > $2",
        )
        .bind(kid.as_str())
        .bind(now)
        )
        .await?;
        Ok(kept.rows_affected() == 1)
    }

    /// Ends a key, wherever it stands in its life: it signs nothing and verifies nothing from `now` on. `false` when it was at its
    /// end already.
    pub async fn end_signing_key(&self, kid: &KeyId, now: UnixTime) -> Result<bool, StoreError> {
        let ended = self
            .writes
            .execute(
                query(
                    "UPDATE signing_key SET
                         retired_at = CASE WHEN retired_at < $2 THEN retired_at ELSE $2 END,
                         expires_at = $2
                     WHERE kid = $1 AND (expires_at IS NULL OR expires_at > $2)",
                )
                .bind(kid.as_str())
                .bind(now),
            )
            .await?;
        Ok(ended.rows_affected() == 1)
    }

    async fn try_rotate_signing_key(
        &self,
        successor: &SigningKeyRecord,
        predecessor_expires_at: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.writes.begin().await?;
        let inserted = query(
            "INSERT INTO signing_key (kid, algorithm, generation, sealed, announced_at, active_at, retired_at,
                                      expires_at)
             SELECT $1, $2, COALESCE((SELECT MAX(generation) FROM signing_key WHERE algorithm = $2), 0) + 1,
                    $3, $4, $5, $6, $7
             WHERE $5 <= $4 OR NOT EXISTS (SELECT 1 FROM signing_key WHERE algorithm = $2 AND active_at > $4)
             ON CONFLICT (algorithm, generation) DO NOTHING",
        )
        .bind(successor.kid.as_str())
        .bind(successor.algorithm.as_str())
        .bind(&successor.sealed)
        .bind(successor.announced_at)
        .bind(successor.active_at)
        .bind(successor.retired_at)
        .bind(successor.expires_at)
        .execute(&mut transaction)
        .await?;
        if inserted.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        query(
            "UPDATE signing_key SET
                 retired_at = CASE WHEN retired_at < $3 THEN retired_at ELSE $3 END,
                 expires_at = $4
             WHERE algorithm = $1 AND kid <> $2 AND (retired_at IS NULL OR expires_at > $4)",
        )
        .bind(successor.algorithm.as_str())
        .bind(successor.kid.as_str())
        .bind(successor.active_at)
        .bind(predecessor_expires_at)
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }
}

fn signing_key(row: &impl Columns) -> Result<SigningKeyRecord, StoreError> {
    let record = Record::new("signing_key", "kid", row);
    Ok(SigningKeyRecord {
        kid: KeyId::new(record.text("kid")?),
        algorithm: SigningAlgorithm::parse(&record.text("algorithm")?)
            .ok_or_else(|| record.inconsistent("algorithm"))?,
        sealed: record.text("sealed")?,
        announced_at: record.int("announced_at")?,
        active_at: record.int("active_at")?,
        retired_at: record.optional_int("retired_at")?,
        expires_at: record.optional_int("expires_at")?,
    })
}
