//! Sealed authorization requests that are too large for a cookie (design, section 4), found by the hash of their handle.

use super::statement::{query, query_scalar};
use super::{Store, StoreError, retrying, throttles};
use crate::clock::UnixTime;

impl Store {
    /// Keeps a sealed request until `expires_at`, in place of what its handle found before.
    pub async fn keep_pending_request(
        &self,
        handle_hash: &str,
        sealed: &str,
        expires_at: UnixTime,
    ) -> Result<(), StoreError> {
        self.writes.execute(query(
            "INSERT INTO pending_request (handle_hash, sealed, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (handle_hash) DO UPDATE SET sealed = $2, expires_at = $3",
        ).at_once()
        .bind(handle_hash)
        .bind(sealed)
        .bind(expires_at)
        )
        .await?;
        Ok(())
    }

    /// Keeps a sealed request in place of the one that is there; `false` when none is, for it was answered meanwhile.
    pub async fn update_pending_request(
        &self,
        handle_hash: &str,
        sealed: &str,
        expires_at: UnixTime,
    ) -> Result<bool, StoreError> {
        let updated = self.writes.execute(query(
            "UPDATE pending_request SET sealed = $2, expires_at = $3 WHERE handle_hash = $1",
        ).at_once()
        .bind(handle_hash)
        .bind(sealed)
        .bind(expires_at)
        )
        .await?;
        Ok(updated.rows_affected() == 1)
    }

    /// The sealed request, unless it has expired.
    pub async fn find_pending_request(
        &self,
        handle_hash: &str,
        now: UnixTime,
    ) -> Result<Option<String>, StoreError> {
        let sealed = query_scalar(
            "SELECT sealed FROM pending_request WHERE handle_hash = $1 AND expires_at > $2",
        )
        .at_once()
        .bind(handle_hash)
        .bind(now)
        .fetch_optional(&self.reads)
        .await?;
        Ok(sealed)
    }

    /// Forgets a request that was answered, and takes it off the count of `bucket`. Of several who do, one does both.
    pub async fn finish_pending_request(
        &self,
        handle_hash: &str,
        bucket: &str,
    ) -> Result<(), StoreError> {
        let bucket_hash = throttles::hash(bucket);
        retrying(|| self.try_finish_pending_request(handle_hash, &bucket_hash)).await
    }

    async fn try_finish_pending_request(
        &self,
        handle_hash: &str,
        bucket_hash: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.writes.begin().await?;
        let deleted = query("DELETE FROM pending_request WHERE handle_hash = $1")
            .at_once()
            .bind(handle_hash)
            .execute(&mut transaction)
            .await?;
        if deleted.rows_affected() == 1 {
            throttles::giving_back(bucket_hash)
                .execute(&mut transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
