//! Login attempts, counted where every node sees them (T33, T34). Buckets are kept as hashes, for they name people.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use super::{Store, StoreError};
use crate::clock::UnixTime;
use crate::model::throttle::{ThrottlePolicy, WindowStart};

impl Store {
    /// Counts an attempt before it is forwarded; `false` when the window's attempts are used up and it must not be.
    /// One statement, so that no more than `policy.attempts` pass however many race.
    pub async fn reserve_attempt(
        &self,
        bucket: &str,
        policy: ThrottlePolicy,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        if policy.attempts < 1 {
            // The first attempt of a window would be inserted without asking for the limit.
            return Ok(false);
        }
        let reserved = self.writes.execute(sqlx::query(
            "INSERT INTO throttle (bucket_hash, attempts, window_ends_at) VALUES ($1, 1, $3)
             ON CONFLICT (bucket_hash) DO UPDATE SET
                 attempts = CASE WHEN throttle.window_ends_at <= $2 THEN 1 ELSE throttle.attempts + 1 END,
                 window_ends_at = CASE WHEN throttle.window_ends_at <= $2 OR $5 = 1 THEN $3
                                       ELSE throttle.window_ends_at END
             WHERE throttle.window_ends_at <= $2 OR throttle.attempts < $4",
        )
        .bind(hash(bucket))
        .bind(now)
        .bind(now.saturating_add(policy.window))
        .bind(policy.attempts)
        .bind(i64::from(policy.starts_at == WindowStart::LastAttempt))
        )
        .await?;
        Ok(reserved.rows_affected() == 1)
    }

    /// Takes one attempt back: it succeeded, and says nothing about the others of its bucket.
    pub async fn return_attempt(&self, bucket: &str) -> Result<(), StoreError> {
        self.writes.execute(giving_back(&hash(bucket))).await?;
        Ok(())
    }

    /// Forgets the attempts of a bucket: the person has proven who they are.
    pub async fn forget_attempts(&self, bucket: &str) -> Result<(), StoreError> {
        self.writes
            .execute(sqlx::query("DELETE FROM throttle WHERE bucket_hash = $1").bind(hash(bucket)))
            .await?;
        Ok(())
    }
}

/// Takes one attempt of the bucket back.
pub(super) fn giving_back(bucket_hash: &str) -> Query<'_, Any, AnyArguments> {
    sqlx::query(
        "UPDATE throttle SET attempts = attempts - 1 WHERE bucket_hash = $1 AND attempts > 0",
    )
    .bind(bucket_hash)
}

/// What is kept in the place of a bucket's name.
pub(super) fn hash(bucket: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(bucket.as_bytes()))
}
