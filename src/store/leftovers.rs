//! What very many people leave behind at one client: taken away a few rows at a time before the client itself goes, each few in a
//! transaction of their own, so that what is left for the last transaction is little: as many of a table as one of these takes.

use std::iter::repeat;

use super::endings::{BATCH, FEW};
use super::statement::{Statement, query, query_scalar};
use super::{Store, StoreError, retrying};
use crate::clock::UnixTime;

/// Families that are looked for at a time: each look passes over all of the client's that have ended.
const PAGE: i64 = 50_000;

/// What goes with a client (`ON DELETE CASCADE`) and may be very much: whether there is more of it than may be left, and some
/// of it taken away. What has a client told of logouts goes last: without the rest people are asked once more, should it stay after all.
const GOES_ALONG: [(&str, &str); 5] = [
    (
        "SELECT 1 FROM authorization_code WHERE client_id = $1 LIMIT 1 OFFSET $2",
        "DELETE FROM authorization_code WHERE code_hash IN
             (SELECT code_hash FROM authorization_code WHERE client_id = $1 LIMIT $2)",
    ),
    (
        "SELECT 1 FROM device_code WHERE client_id = $1 LIMIT 1 OFFSET $2",
        "DELETE FROM device_code WHERE device_code_hash IN
             (SELECT device_code_hash FROM device_code WHERE client_id = $1 LIMIT $2)",
    ),
    (
        "SELECT 1 FROM consent WHERE client_id = $1 LIMIT 1 OFFSET $2",
        "DELETE FROM consent WHERE client_id = $1 AND account_id IN
             (SELECT account_id FROM consent WHERE client_id = $1 LIMIT $2)",
    ),
    (
        "SELECT 1 FROM session_client WHERE client_id = $1 LIMIT 1 OFFSET $2",
        "DELETE FROM session_client WHERE client_id = $1 AND session_id IN
             (SELECT session_id FROM session_client WHERE client_id = $1 LIMIT $2)",
    ),
    (
        "SELECT 1 FROM logout_notice WHERE client_id = $1 LIMIT 1 OFFSET $2",
        "DELETE FROM logout_notice WHERE id IN
             (SELECT id FROM logout_notice WHERE client_id = $1 LIMIT $2)",
    ),
];

/// Why a client goes, or its families do, which may be over before they are through.
#[derive(Clone, Copy)]
pub(super) enum Because {
    /// The files say so.
    OfFiles,
    /// It is registered, and does not want to be any more.
    Registered,
    /// It was to be used by then.
    Unused(UnixTime),
    /// It has registered something else in the place of this version.
    Replaces(i64),
}

impl Store {
    /// Takes away what a client that is about to be removed would take along, but for a few rows. The client is still there, so
    /// whoever is cut off here finds the rest again.
    pub(super) async fn thin_out_client(
        &self,
        id: &str,
        because: Because,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.revoke_most_families(id, because, now).await?;
        for (is_much, take_some) in GOES_ALONG {
            loop {
                let much: Option<i64> = query_scalar(is_much)
                    .bind(id)
                    .bind(BATCH)
                    .fetch_optional(&self.reads)
                    .await?;
                if much.is_none() || !self.is_still_so(id, because).await? {
                    break;
                }
                retrying(|| async {
                    let some = query(take_some).bind(id).bind(BATCH);
                    self.writes.execute(some).await
                })
                .await?;
            }
        }
        Ok(())
    }

    /// Revokes the families of a client, but for the last few.
    pub(super) async fn revoke_most_families(
        &self,
        id: &str,
        because: Because,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        loop {
            let live: Vec<String> = query_scalar(
                "SELECT id FROM token_family WHERE client_id = $1 AND revoked_at IS NULL LIMIT $2",
            )
            .bind(id)
            .bind(PAGE)
            .fetch_all(&self.reads)
            .await?;
            if live.len() <= FEW {
                return Ok(());
            }
            for some in live.chunks(FEW) {
                if !self.is_still_so(id, because).await? {
                    return Ok(());
                }
                retrying(|| self.revoke_families(some, now)).await?;
            }
        }
    }

    async fn revoke_families(&self, ids: &[String], now: UnixTime) -> Result<(), StoreError> {
        let mut transaction = self.writes.begin().await?;
        for some in ids.chunks(20) {
            let statement = query(
                "UPDATE token_family SET revoked_at = $1 WHERE revoked_at IS NULL AND id IN
                     ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
            );
            // No family has an empty id.
            let twenty = some.iter().map(String::as_str).chain(repeat("")).take(20);
            let statement = twenty.fold(statement.bind(now), Statement::bind);
            statement.execute(&mut transaction).await?;
        }
        transaction.commit().await
    }

    /// Asked before each few rows: a client that is used, changed or handed over meanwhile loses no more than these.
    async fn is_still_so(&self, id: &str, because: Because) -> Result<bool, StoreError> {
        let (version, unused_at) = match because {
            Because::OfFiles => return Ok(true),
            Because::Registered => (None, None),
            Because::Unused(now) => (None, Some(now)),
            Because::Replaces(version) => (Some(version), None),
        };
        let registered: Option<i64> = query_scalar(
            "SELECT 1 FROM client_registration WHERE client_id = $1
               AND (CAST($2 AS BIGINT) IS NULL OR version = $2) AND (CAST($3 AS BIGINT) IS NULL OR expires_at <= $3)",
        )
        .bind(id)
        .bind(version)
        .bind(unused_at)
        .fetch_optional(&self.reads)
        .await?;
        Ok(registered.is_some())
    }
}
