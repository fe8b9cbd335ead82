//! Tokens that let whoever has one register clients, under the keyed hash of each.

use super::record::Record;
use super::statement::{Columns, query};
use super::writes::Writing;
use super::{Store, StoreError};
use crate::clock::UnixTime;
use crate::model::registration::InitialAccessToken;

impl Store {
    /// Keeps a new token.
    pub async fn insert_initial_access_token(
        &self,
        token: &InitialAccessToken,
        hash: &str,
    ) -> Result<(), StoreError> {
        self.writes.execute(query(
            "INSERT INTO initial_access_token (id, token_hash, label, created_at, expires_at, uses_left, revoked_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&token.id)
        .bind(hash)
        .bind(&token.label)
        .bind(token.created_at)
        .bind(token.expires_at)
        .bind(token.uses_left)
        .bind(token.revoked_at)
        )
        .await?;
        Ok(())
    }

    /// The token of that hash, good or not.
    pub async fn find_initial_access_token(
        &self,
        hash: &str,
    ) -> Result<Option<InitialAccessToken>, StoreError> {
        let row = query(
            "SELECT id, label, created_at, expires_at, uses_left, revoked_at
             FROM initial_access_token WHERE token_hash = $1",
        )
        .bind(hash)
        .fetch_optional(&self.reads)
        .await?;
        row.as_ref().map(token).transpose()
    }

    /// All tokens, the oldest first.
    pub async fn list_initial_access_tokens(&self) -> Result<Vec<InitialAccessToken>, StoreError> {
        let rows = query(
            "SELECT id, label, created_at, expires_at, uses_left, revoked_at
             FROM initial_access_token ORDER BY created_at, id",
        )
        .fetch_all(&self.reads)
        .await?;
        rows.iter().map(token).collect()
    }

    /// Revokes a token; `false` if there is none that is not revoked.
    pub async fn revoke_initial_access_token(
        &self,
        id: &str,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let revoked = self.writes.execute(query(
            "UPDATE initial_access_token SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
        )
        .bind(id)
        .bind(now)
        )
        .await?;
        Ok(revoked.rows_affected() == 1)
    }
}

/// Takes one use of a token; `false` if it has none left, or has ended.
pub(super) async fn spend(
    transaction: &mut Writing,
    id: &str,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let spent = query(
        "UPDATE initial_access_token SET uses_left = uses_left - 1
         WHERE id = $1 AND uses_left > 0 AND revoked_at IS NULL AND expires_at > $2",
    )
    .bind(id)
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    Ok(spent.rows_affected() == 1)
}

fn token(row: &impl Columns) -> Result<InitialAccessToken, StoreError> {
    let record = Record::new("initial_access_token", "id", row);
    Ok(InitialAccessToken {
        id: record.key().to_owned(),
        label: record.text("label")?,
        created_at: record.int("created_at")?,
        expires_at: record.int("expires_at")?,
        uses_left: record.int("uses_left")?,
        revoked_at: record.optional_int("revoked_at")?,
    })
}
