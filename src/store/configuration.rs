//! The configuration that a server started with last, as it is shown to people: what the next start is held against.

use super::statement::{query, query_scalar};
use super::{Store, StoreError};
use crate::clock::UnixTime;

/// The one row.
const ID: i64 = 1;

impl Store {
    /// Keeps `effective` in the place of what was there, and tells what that was: `None` when it was the same, when there was
    /// nothing, or when another node has just done so.
    pub async fn replace_configuration(
        &self,
        effective: &str,
        now: UnixTime,
    ) -> Result<Option<String>, StoreError> {
        let first = self.writes.execute(query(
            "INSERT INTO configuration (id, effective, changed_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
        )
        .bind(ID)
        .bind(effective)
        .bind(now)
        )
        .await?;
        if first.rows_affected() == 1 {
            return Ok(None);
        }
        let before: String = query_scalar("SELECT effective FROM configuration WHERE id = $1")
            .bind(ID)
            .fetch_one(&self.reads)
            .await?;
        if before == effective {
            return Ok(None);
        }
        // Of nodes that start at once with the same change, one has made it.
        let replaced = self.writes.execute(query(
            "UPDATE configuration SET effective = $2, changed_at = $3 WHERE id = $1 AND effective = $4",
        )
        .bind(ID)
        .bind(effective)
        .bind(now)
        .bind(&before)
        )
        .await?;
        Ok((replaced.rows_affected() == 1).then_some(before))
    }
}
