//! Access tokens that have to be looked up: opaque ones under the keyed hash of their text, and the ids of JWTs that were
//! revoked before their end.

use super::record::{Record, to_json};
use super::statement::query;
use super::{Store, StoreError};
use crate::clock::UnixTime;
use crate::protocol::claims::AccessTokenClaims;

impl Store {
    /// Keeps a new opaque token under its hash.
    pub async fn insert_access_token(
        &self,
        token_hash: &str,
        claims: &AccessTokenClaims,
    ) -> Result<(), StoreError> {
        self.writes
            .execute(
                query(
                    "INSERT INTO access_token (token_hash, claims, expires_at) VALUES ($1, $2, $3)",
                )
                .at_once()
                .bind(token_hash)
                .bind(to_json(claims)?)
                .bind(claims.exp),
            )
            .await?;
        Ok(())
    }

    /// What the opaque token of that hash stands for, ended ones too.
    pub async fn find_access_token(
        &self,
        token_hash: &str,
    ) -> Result<Option<AccessTokenClaims>, StoreError> {
        let row = self
            .look_up(
                "SELECT token_hash, claims FROM access_token WHERE token_hash = $1",
                &[token_hash.into()],
            )
            .await?;
        row.map(|row| Record::new("access_token", "token_hash", &row).json("claims"))
            .transpose()
    }

    /// Ends an opaque token. Whether there was one.
    pub async fn delete_access_token(&self, token_hash: &str) -> Result<bool, StoreError> {
        let deleted = self
            .writes
            .execute(
                query("DELETE FROM access_token WHERE token_hash = $1")
                    .at_once()
                    .bind(token_hash),
            )
            .await?;
        Ok(deleted.rows_affected() == 1)
    }

    /// Ends a token that is known by its id, which would have ended by itself at `expires_at`. Whether this did it.
    pub async fn revoke_token(
        &self,
        jti: &str,
        expires_at: UnixTime,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let inserted = self
            .writes
            .execute(
                query(
                    "INSERT INTO revoked_token (jti, revoked_at, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (jti) DO NOTHING",
                )
                .at_once()
                .bind(jti)
                .bind(now)
                .bind(expires_at),
            )
            .await?;
        Ok(inserted.rows_affected() == 1)
    }

    /// Whether the token of that id was revoked.
    pub async fn is_token_revoked(&self, jti: &str) -> Result<bool, StoreError> {
        let found = self
            .look_up(
                "SELECT jti FROM revoked_token WHERE jti = $1",
                &[jti.into()],
            )
            .await?;
        Ok(found.is_some())
    }
}
