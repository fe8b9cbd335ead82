//! Sealed authorization requests that are too large for a cookie (design, section 4), found by the hash of their handle.

use super::statement::{query, query_scalar};
use super::{Store, StoreError};
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

    /// Forgets a request that was answered.
    pub async fn delete_pending_request(&self, handle_hash: &str) -> Result<(), StoreError> {
        self.writes
            .execute(
                query("DELETE FROM pending_request WHERE handle_hash = $1")
                    .at_once()
                    .bind(handle_hash),
            )
            .await?;
        Ok(())
    }
}
