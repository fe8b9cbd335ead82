//! Pushed authorization requests (RFC 9126), found by the hash of their `request_uri`: taken up by any number of flows
//! until they end, and answered in one.

use super::statement::{query, query_scalar};
use super::{Store, StoreError, retrying, throttles};
use crate::clock::UnixTime;
use crate::model::pushed_request::{PushedRequest, Spent, TakenUp};
use crate::protocol::ids::ClientId;

impl Store {
    /// Keeps a request under the hash of its `request_uri`.
    pub async fn insert_pushed_request(
        &self,
        uri_hash: &str,
        request: &PushedRequest,
    ) -> Result<(), StoreError> {
        self.writes.execute(query(
            "INSERT INTO pushed_request (uri_hash, client_id, sealed, expires_at, kept_until, bucket_hash)
             VALUES ($1, $2, $3, $4, $4, $5)",
        ).at_once()
        .bind(uri_hash)
        .bind(request.client_id.as_str())
        .bind(&request.sealed)
        .bind(request.expires_at)
        .bind(request.bucket.as_deref().map(throttles::hash))
        )
        .await?;
        Ok(())
    }

    /// The sealed request, for a flow that begins now and may take until `kept_until`; `None` when it is another client's,
    /// has ended, or was answered.
    pub async fn take_up_pushed_request(
        &self,
        uri_hash: &str,
        client_id: &ClientId,
        now: UnixTime,
        kept_until: UnixTime,
    ) -> Result<Option<String>, StoreError> {
        let sealed = self.writes.fetch_scalar(query_scalar(
            "UPDATE pushed_request SET kept_until = CASE WHEN kept_until < $4 THEN $4 ELSE kept_until END
             WHERE uri_hash = $1 AND client_id = $2 AND expires_at > $3 AND flow IS NULL
             RETURNING sealed",
        ).at_once()
        .bind(uri_hash)
        .bind(client_id.as_str())
        .bind(now)
        .bind(kept_until)
        )
        .await?;
        Ok(sealed)
    }

    /// Spends the request for the flow that is about to be answered, and takes it off the count that it was in. Of several
    /// flows one wins; that one may be answered again, for its answer may have been lost.
    pub async fn spend_pushed_request(&self, taken_up: &TakenUp) -> Result<Spent, StoreError> {
        if retrying(|| self.try_spend_pushed_request(taken_up)).await? {
            return Ok(Spent::Now);
        }
        let ours: i64 =
            query_scalar("SELECT COUNT(*) FROM pushed_request WHERE uri_hash = $1 AND flow = $2")
                .at_once()
                .bind(&taken_up.uri_hash)
                .bind(&taken_up.flow)
                .fetch_one(&self.reads)
                .await?;
        Ok(if ours == 1 {
            Spent::Before
        } else {
            Spent::Elsewhere
        })
    }

    async fn try_spend_pushed_request(&self, taken_up: &TakenUp) -> Result<bool, StoreError> {
        let mut transaction = self.writes.begin().await?;
        let spent: Option<Option<String>> = query_scalar(
            "UPDATE pushed_request SET flow = $2 WHERE uri_hash = $1 AND flow IS NULL RETURNING bucket_hash",
        ).at_once()
        .bind(&taken_up.uri_hash)
        .bind(&taken_up.flow)
        .fetch_optional(&mut transaction)
        .await?;
        let Some(bucket_hash) = spent else {
            // Waits for whoever answered it in the same moment.
            transaction.rollback().await?;
            return Ok(false);
        };
        if let Some(bucket_hash) = bucket_hash {
            throttles::giving_back(&bucket_hash)
                .execute(&mut transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}
