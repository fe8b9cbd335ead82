//! Which clients a session has logged somebody in to, of those that want to hear of its end.

use super::record::Record;
use super::session_lists::standing_since;
use super::statement::{Found, query, query_scalar};
use super::{Store, StoreError, retrying};
use crate::clock::UnixTime;
use crate::model::session::SessionLifetimes;
use crate::protocol::ids::{ClientId, SessionId};

impl Store {
    /// Notes that `session` is about to log somebody in to `client`. `false` when it has ended: whoever ends it holds its
    /// row, and either finds this note or is seen here.
    pub async fn note_session_client(
        &self,
        session: &SessionId,
        client: &ClientId,
    ) -> Result<bool, StoreError> {
        // After the first login there is nothing to write.
        let noted: i64 = query_scalar(
            "SELECT COUNT(*) FROM session_client JOIN session ON session.id = session_client.session_id
             WHERE session_client.session_id = $1 AND session_client.client_id = $2 AND session.ended_at IS NULL",
        ).at_once()
        .bind(session.as_str())
        .bind(client.as_str())
        .fetch_one(&self.reads)
        .await?;
        if noted > 0 {
            return Ok(true);
        }
        retrying(|| self.try_note_session_client(session, client)).await
    }

    async fn try_note_session_client(
        &self,
        session: &SessionId,
        client: &ClientId,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.writes.begin().await?;
        let held =
            query("UPDATE session SET ended_at = ended_at WHERE id = $1 AND ended_at IS NULL")
                .at_once()
                .bind(session.as_str())
                .execute(&mut transaction)
                .await?;
        if held.rows_affected() == 1 {
            query(
                "INSERT INTO session_client (session_id, client_id) VALUES ($1, $2)
                 ON CONFLICT (session_id, client_id) DO NOTHING",
            )
            .at_once()
            .bind(session.as_str())
            .bind(client.as_str())
            .execute(&mut transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(held.rows_affected() == 1)
    }

    /// Some of the sessions, in the order of their ids from `after` on, that have logged somebody in to clients that want to hear of their
    /// end; and which of them stand.
    pub async fn list_told_sessions(
        &self,
        after: &SessionId,
        lifetimes: SessionLifetimes,
        now: UnixTime,
        limit: i64,
    ) -> Result<Vec<(SessionId, bool)>, StoreError> {
        // So many are looked at, and not looked for: those that are over are often nearly all.
        let query = query(
            "SELECT session_id, CASE WHEN EXISTS
                 (SELECT 1 FROM session WHERE session.id = session_client.session_id
                      AND ended_at IS NULL AND expires_at > $2
                      AND last_seen_at > CASE WHEN persistent_since IS NULL THEN CAST($3 AS BIGINT) ELSE CAST($4 AS BIGINT) END)
                 THEN 1 ELSE 0 END AS stands
             FROM session_client WHERE session_id > $1 GROUP BY session_id ORDER BY session_id LIMIT $5",
        );
        let rows = standing_since(query.bind(after.as_str()), lifetimes, now)
            .bind(limit)
            .fetch_all(&self.reads)
            .await?;
        let told = |row: &Found| {
            let record = Record::new("session_client", "session_id", row);
            let id = SessionId::new(record.text("session_id")?);
            Ok((id, record.int("stands")? == 1))
        };
        rows.iter().map(told).collect()
    }

    /// The clients that `session` has logged somebody in to, and that want to hear of its end.
    pub async fn list_session_clients(
        &self,
        session: &SessionId,
    ) -> Result<Vec<ClientId>, StoreError> {
        let ids: Vec<String> = query_scalar(
            "SELECT client_id FROM session_client WHERE session_id = $1 ORDER BY client_id",
        )
        .bind(session.as_str())
        .fetch_all(&self.reads)
        .await?;
        Ok(ids.into_iter().map(ClientId::new).collect())
    }
}
