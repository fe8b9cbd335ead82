//! Access tokens that have to be looked up: opaque ones under the keyed hash of their text, and the ids of JWTs that were
//! revoked before their end.

use super::families::{Behind, behind};
use super::record::{Record, to_json};
use super::statement::query;
use super::{Store, StoreError};
use crate::clock::UnixTime;
use crate::protocol::claims::AccessTokenClaims;
use crate::protocol::ids::FamilyId;

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
                    "INSERT INTO access_token (token_hash, claims, expires_at, family_id) VALUES ($1, $2, $3, $4)",
                )
                .at_once()
                .bind(token_hash)
                .bind(to_json(claims)?)
                .bind(claims.exp)
                .bind(claims.family.as_ref().map(FamilyId::as_str)),
            )
            .await?;
        Ok(())
    }

    /// What the opaque token of that hash stands for, and what stands behind it, as [`Store::find_behind`] says; ended ones too. `None`
    /// in its place where that has to be asked for, as of a row that an older node has written.
    pub async fn find_access_token(
        &self,
        token_hash: &str,
    ) -> Result<Option<(AccessTokenClaims, Option<Behind>)>, StoreError> {
        let row = self
            .look_up(
                "SELECT token.claims AS token_claims, family.id AS family_id,
                    family.client_id AS client_id, family.session_id AS session_id, family.account_id AS account_id,
                    family.upstream AS upstream, family.auth_time AS auth_time, family.amr AS amr, family.acr AS acr,
                    family.scope AS scope, family.claims AS claims, family.offline AS offline,
                    family.generation AS generation, family.rotated_at AS rotated_at,
                    family.expires_at AS expires_at, family.revoked_at AS revoked_at,
                    session.last_seen_at AS s_last_seen_at, session.expires_at AS s_expires_at,
                    session.ended_at AS s_ended_at, session.persistent_since AS s_persistent_since,
                    account.id AS a_id, account.subject AS a_subject, account.created_at AS a_created_at,
                    account.disabled_at AS a_disabled_at, account.merged_into AS a_merged_into,
                    COALESCE((SELECT login.profile FROM upstream_login AS login
                              WHERE login.account_id = account.id AND login.upstream = session.upstream
                                AND (session.upstream_subject IS NULL OR login.subject = session.upstream_subject)
                              ORDER BY login.subject LIMIT 1), account.profile) AS a_profile,
                    0 AS revocations
             FROM access_token AS token
             LEFT JOIN token_family AS family ON family.id = token.family_id
             LEFT JOIN session ON session.id = family.session_id
             LEFT JOIN account ON account.id = session.account_id
             WHERE token.token_hash = $1",
                &[token_hash.into()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let record = Record::keyed("access_token", token_hash, "", &row);
        let family = record.optional_text("family_id")?.map(FamilyId::new);
        // Of an opaque token nobody asks whether it was revoked: then its row is gone. What of this is damaged does not keep a token
        // from being given back; whoever needs it asks again, and is told.
        let behind = family.and_then(|id| behind(&id, &row).ok());
        Ok(Some((record.json("token_claims")?, behind)))
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
