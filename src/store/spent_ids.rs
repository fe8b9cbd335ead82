//! Ids that may be used once (T12, T42, T43). Kept as hashes: of one size, and telling nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::statement::{query, query_scalar};
use super::{Store, StoreError};
use crate::clock::{SKEW, UnixTime};
use crate::model::spent_id::SpentId;

impl Store {
    /// Whether an id was spent, for those who must not write yet. To spend it is still for [`Store::spend_id`] to decide.
    pub async fn is_spent(&self, spent: SpentId<'_>, now: UnixTime) -> Result<bool, StoreError> {
        let found: i64 =
            query_scalar("SELECT COUNT(*) FROM spent_id WHERE id_hash = $1 AND expires_at > $2")
                .at_once()
                .bind(hash(spent))
                .bind(now)
                .fetch_one(&self.reads)
                .await?;
        Ok(found > 0)
    }

    /// Spends an id; `false` when it was spent before. One statement, so that of any number that race one wins.
    pub async fn spend_id(&self, spent: SpentId<'_>, now: UnixTime) -> Result<bool, StoreError> {
        // A row that has ended and was not swept yet is as good as none.
        let inserted = self
            .writes
            .execute(
                query(
                    "INSERT INTO spent_id (id_hash, kind, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (id_hash) DO UPDATE SET expires_at = $3 WHERE spent_id.expires_at <= $4",
                )
                .at_once()
                .bind(hash(spent))
                .bind(spent.kind.as_str())
                // A node whose clock is ahead must not forget what another still takes.
                .bind(spent.expires_at.saturating_add(SKEW))
                .bind(now),
            )
            .await?;
        Ok(inserted.rows_affected() == 1)
    }
}

/// Each part is preceded by its length, so that they cannot run into each other.
fn hash(spent: SpentId<'_>) -> String {
    let mut digest = Sha256::new();
    for part in [spent.kind.as_str(), spent.owner, spent.id] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(digest.finalize())
}
