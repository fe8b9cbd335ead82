//! Login attempts, counted where every node sees them (T33, T34). Buckets are kept as hashes, for they name people.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::record::Record;
use super::statement::{Found, Statement, query};
use super::{Store, StoreError, retrying};
use crate::clock::{CLOCKS_APART, UnixTime};
use crate::model::throttle::{MAX_WINDOW, ThrottlePolicy, WindowStart};

/// A window that ends later than that, however long the configuration of a node makes windows, is of a clock that was ahead and has been
/// put right, and is over.
const fn latest_end(now: UnixTime) -> UnixTime {
    now.saturating_add(MAX_WINDOW).saturating_add(CLOCKS_APART)
}

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
        let reserved = self.writes.execute(query(
            "INSERT INTO throttle (bucket_hash, attempts, window_ends_at) VALUES ($1, 1, $3)
             ON CONFLICT (bucket_hash) DO UPDATE SET
                 attempts = CASE WHEN throttle.window_ends_at <= $2 OR throttle.window_ends_at > $6
                                 THEN 1 ELSE throttle.attempts + 1 END,
                 window_ends_at = CASE WHEN throttle.window_ends_at <= $2 OR throttle.window_ends_at > $6 OR $5 = 1
                                       THEN $3 ELSE throttle.window_ends_at END
             WHERE throttle.window_ends_at <= $2 OR throttle.window_ends_at > $6 OR throttle.attempts < $4",
        ).at_once()
        .bind(hash(bucket))
        .bind(now)
        .bind(now.saturating_add(policy.window))
        .bind(policy.attempts)
        .bind(i64::from(policy.starts_at == WindowStart::LastAttempt))
        .bind(latest_end(now))
        )
        .await?;
        Ok(reserved.rows_affected() == 1)
    }

    /// Counts an attempt in each of `buckets`, in their order, up to the first that is closed: its place among them. What stands
    /// behind it is left as it is.
    pub async fn reserve_attempts(
        &self,
        buckets: &[(&str, ThrottlePolicy)],
        now: UnixTime,
    ) -> Result<Option<usize>, StoreError> {
        if let Ok(three) = <&[_; 3]>::try_from(buckets) {
            let counted = self.reserve_three(three, now).await?;
            if counted.len() == buckets.len() {
                return Ok(None);
            }
            // The long way says which is closed.
            for bucket_hash in &counted {
                self.writes.execute(giving_back(bucket_hash)).await?;
            }
        }
        for (place, (bucket, policy)) in buckets.iter().enumerate() {
            if !self.reserve_attempt(bucket, *policy, now).await? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// Counts an attempt in each of a login's buckets, as usual all of them open, in one statement: those in which it was
    /// counted. Each row's own limit decides; that nothing is counted where one is closed is a look beforehand, which a race
    /// may outrun.
    async fn reserve_three(
        &self,
        buckets: &[(&str, ThrottlePolicy); 3],
        now: UnixTime,
    ) -> Result<Vec<String>, StoreError> {
        if buckets.iter().any(|(_, policy)| policy.attempts < 1) {
            return Ok(Vec::new());
        }
        // Rows are locked in the order of the values, as in `settle_attempts`.
        let reserved = retrying(|| {
            let mut statement = query(
                "INSERT INTO throttle (bucket_hash, attempts, window_ends_at)
                 VALUES ($1, 1, $2), ($5, 1, $6), ($9, 1, $10)
                 ON CONFLICT (bucket_hash) DO UPDATE SET
                     attempts = CASE
                         WHEN throttle.window_ends_at <= $13 OR throttle.window_ends_at > $14
                         THEN 1 ELSE throttle.attempts + 1 END,
                     window_ends_at = CASE
                         WHEN throttle.window_ends_at <= $13 OR throttle.window_ends_at > $14
                             OR CASE throttle.bucket_hash WHEN $1 THEN $4 WHEN $5 THEN $8 ELSE CAST($12 AS BIGINT) END = 1
                         THEN excluded.window_ends_at ELSE throttle.window_ends_at END
                 WHERE (throttle.window_ends_at <= $13 OR throttle.window_ends_at > $14
                        OR throttle.attempts < CASE throttle.bucket_hash
                               WHEN $1 THEN $3 WHEN $5 THEN $7 ELSE CAST($11 AS BIGINT) END)
                   AND NOT EXISTS (
                       SELECT 1 FROM throttle AS other
                       WHERE other.bucket_hash IN ($1, $5, $9) AND other.window_ends_at > $13
                         AND other.window_ends_at <= $14
                         AND other.attempts >= CASE other.bucket_hash
                             WHEN $1 THEN $3 WHEN $5 THEN $7 ELSE CAST($11 AS BIGINT) END)
                 RETURNING bucket_hash",
            ).at_once();
            for (bucket, policy) in buckets {
                statement = statement
                    .bind(hash(bucket))
                    .bind(now.saturating_add(policy.window))
                    .bind(policy.attempts)
                    .bind(i64::from(policy.starts_at == WindowStart::LastAttempt));
            }
            self.writes
                .fetch_all(statement.bind(now).bind(latest_end(now)))
        });
        let reserved = reserved.await?;
        let of = |row: &Found| Record::new("throttle", "bucket_hash", row).text("bucket_hash");
        reserved.iter().map(of).collect()
    }

    /// Takes one attempt of the first bucket back, where others are counted, too. Of the rest it forgets all attempts, or, unless
    /// `forget`, takes one of each back.
    pub async fn settle_attempts(&self, buckets: &[&str], forget: bool) -> Result<(), StoreError> {
        let Ok([place, name, person]) = <&[_; 3]>::try_from(buckets) else {
            for (at, bucket) in buckets.iter().enumerate() {
                if forget && at > 0 {
                    self.forget_attempts(bucket).await?;
                } else {
                    self.return_attempt(bucket).await?;
                }
            }
            return Ok(());
        };
        // The rows are there; this is an insertion for its order. Where all is forgotten the window goes on with nothing in it, for its end is
        // in an index: the same as no row, since what is forgotten is counted from the last attempt (`WindowStart::LastAttempt`).
        retrying(|| {
            self.writes.execute(
                query(
                    "INSERT INTO throttle (bucket_hash, attempts, window_ends_at) VALUES ($1, 0, 0), ($2, 0, 0), ($3, 0, 0)
                     ON CONFLICT (bucket_hash) DO UPDATE SET
                         attempts = CASE WHEN $4 = 1 AND throttle.bucket_hash <> $1 THEN 0 ELSE throttle.attempts - 1 END
                     WHERE throttle.attempts > 0",
                ).at_once()
                .bind(hash(place))
                .bind(hash(name))
                .bind(hash(person))
                .bind(i64::from(forget)),
            )
        })
        .await?;
        Ok(())
    }

    /// Takes one attempt back: it succeeded, and says nothing about the others of its bucket.
    pub async fn return_attempt(&self, bucket: &str) -> Result<(), StoreError> {
        self.writes.execute(giving_back(&hash(bucket))).await?;
        Ok(())
    }

    /// Forgets the attempts of a bucket: the person has proven who they are.
    pub async fn forget_attempts(&self, bucket: &str) -> Result<(), StoreError> {
        self.writes
            .execute(
                query("DELETE FROM throttle WHERE bucket_hash = $1")
                    .at_once()
                    .bind(hash(bucket)),
            )
            .await?;
        Ok(())
    }
}

/// Takes one attempt of the bucket back.
pub(super) fn giving_back(bucket_hash: &str) -> Statement<'_> {
    query("UPDATE throttle SET attempts = attempts - 1 WHERE bucket_hash = $1 AND attempts > 0")
        .at_once()
        .bind(bucket_hash)
}

/// What is kept in the place of a bucket's name.
pub(super) fn hash(bucket: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(bucket.as_bytes()))
}
