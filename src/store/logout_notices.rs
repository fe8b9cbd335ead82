//! Logouts that clients are to be told of. A notice is written in the transaction that ends a session, so that none is
//! lost, and taken by a guarded statement, so that of many nodes one sends it.

use sqlx::any::AnyRow;

use super::record::Record;
use super::writes::Writing;
use super::{Store, StoreError};
use crate::clock::UnixTime;
use crate::model::account::UpstreamSubject;
use crate::model::logout_notice::LogoutNotice;
use crate::protocol::ids::{AccountId, ClientId, SessionId};

impl Store {
    /// Notices that are due, the longest waiting first.
    pub async fn list_due_logout_notices(
        &self,
        now: UnixTime,
        limit: i64,
    ) -> Result<Vec<LogoutNotice>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, client_id, account_id, session_id, created_at, attempts, next_at, told_at, trouble
             FROM logout_notice WHERE next_at <= $1 ORDER BY next_at, attempts, id LIMIT $2",
        )
        .bind(now)
        .bind(limit)
        .fetch_all(&self.reads)
        .await?;
        rows.iter().map(notice).collect()
    }

    /// Takes a notice to send it; whoever else has read it too gets `false`. It is due again at `next_at`, should
    /// nothing more be heard of this attempt.
    pub async fn take_logout_notice(
        &self,
        notice: &LogoutNotice,
        next_at: UnixTime,
    ) -> Result<bool, StoreError> {
        let taken = self
            .writes
            .execute(
                sqlx::query(
                    "UPDATE logout_notice SET attempts = attempts + 1, next_at = $3
             WHERE id = $1 AND attempts = $2 AND next_at IS NOT NULL",
                )
                .bind(&notice.id)
                .bind(notice.attempts)
                .bind(next_at),
            )
            .await?;
        Ok(taken.rows_affected() == 1)
    }

    /// The client has heard it.
    pub async fn finish_logout_notice(&self, id: &str, now: UnixTime) -> Result<(), StoreError> {
        self.writes.execute(sqlx::query(
            "UPDATE logout_notice SET next_at = NULL, told_at = $2, trouble = NULL WHERE id = $1",
        )
        .bind(id)
        .bind(now)
        )
        .await?;
        Ok(())
    }

    /// An attempt failed, and no other follows.
    pub async fn give_up_logout_notice(&self, id: &str, trouble: &str) -> Result<(), StoreError> {
        self.writes.execute(sqlx::query(
            "UPDATE logout_notice SET next_at = NULL, trouble = $2 WHERE id = $1 AND told_at IS NULL",
        )
        .bind(id)
        .bind(trouble)
        )
        .await?;
        Ok(())
    }

    /// An attempt failed; another follows, as it was taken for.
    pub async fn note_logout_trouble(
        &self,
        notice: &LogoutNotice,
        trouble: &str,
    ) -> Result<(), StoreError> {
        self.writes
            .execute(
                sqlx::query(
                    "UPDATE logout_notice SET trouble = $2 WHERE id = $1 AND told_at IS NULL",
                )
                .bind(&notice.id)
                .bind(trouble),
            )
            .await?;
        Ok(())
    }

    /// Whatever else the client is to be told waits as long: it is down, and holds up nobody else's.
    pub async fn postpone_logout_notices(
        &self,
        notice: &LogoutNotice,
        next_at: UnixTime,
    ) -> Result<(), StoreError> {
        self.writes
            .execute(
                sqlx::query(
                    "UPDATE logout_notice SET next_at = $2 WHERE client_id = $1 AND next_at < $2",
                )
                .bind(notice.client_id.as_str())
                .bind(next_at),
            )
            .await?;
        Ok(())
    }

    /// Removes a notice that nobody wants to have any more.
    pub async fn drop_logout_notice(&self, id: &str) -> Result<(), StoreError> {
        self.writes
            .execute(sqlx::query("DELETE FROM logout_notice WHERE id = $1").bind(id))
            .await?;
        Ok(())
    }

    /// What clients were told and are still to be told, the newest first; of one client, if it is named.
    pub async fn list_logout_notices(
        &self,
        client: Option<&ClientId>,
        limit: i64,
    ) -> Result<Vec<LogoutNotice>, StoreError> {
        let query = match client {
            Some(client) => sqlx::query(
                "SELECT id, client_id, account_id, session_id, created_at, attempts, next_at, told_at, trouble
                 FROM logout_notice WHERE client_id = $2 ORDER BY created_at DESC, id LIMIT $1",
            )
            .bind(limit)
            .bind(client.as_str()),
            None => sqlx::query(
                "SELECT id, client_id, account_id, session_id, created_at, attempts, next_at, told_at, trouble
                 FROM logout_notice ORDER BY created_at DESC, id LIMIT $1",
            )
            .bind(limit),
        };
        let rows = query.fetch_all(&self.reads).await?;
        rows.iter().map(notice).collect()
    }
}

/// The clients of a session that ends are to be told.
pub(super) async fn of_session(
    transaction: &mut Writing,
    session: &SessionId,
    now: UnixTime,
) -> Result<(), StoreError> {
    let told: Vec<(String, String)> = sqlx::query_as(
        "SELECT session_client.client_id, session.account_id FROM session_client
         JOIN session ON session.id = session_client.session_id
         WHERE session_client.session_id = $1 ORDER BY session_client.client_id",
    )
    .bind(session.as_str())
    .fetch_all(&mut **transaction)
    .await?;
    for (client, account) in told {
        let (client, account) = (ClientId::new(client), AccountId::new(account));
        insert(transaction, &client, &account, Some(session), now).await?;
    }
    Ok(())
}

/// A client is to be told that none of a person's logins there stands any more.
pub(super) async fn insert(
    transaction: &mut Writing,
    client: &ClientId,
    account: &AccountId,
    session: Option<&SessionId>,
    now: UnixTime,
) -> Result<(), StoreError> {
    // A session ends once; a person may be signed out everywhere as often as they come back.
    let id = match session {
        Some(session) => format!("{session} {client}"),
        None => format!("{account} {client} {now}"),
    };
    sqlx::query(
        "INSERT INTO logout_notice (id, client_id, account_id, session_id, created_at, attempts, next_at)
         SELECT $1, client.id, $3, $4, $5, 0, $5 FROM client WHERE client.id = $2
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(id)
    .bind(client.as_str())
    .bind(account.as_str())
    .bind(session.map(SessionId::as_str))
    .bind(now)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// The clients that act for a person though the session is long over (`offline_access`) are to be told that this is over,
/// too. Asked before anything ends: those that hear of a session that ends now hear it by that.
pub(super) async fn of_account(
    transaction: &mut Writing,
    account: &AccountId,
    now: UnixTime,
) -> Result<(), StoreError> {
    let acting: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT client_id FROM token_family
         WHERE account_id = $1 AND revoked_at IS NULL AND expires_at > $2
           AND session_id IN (SELECT id FROM session WHERE account_id = $1 AND ended_at IS NOT NULL)
         ORDER BY client_id",
    )
    .bind(account.as_str())
    .bind(now)
    .fetch_all(&mut **transaction)
    .await?;
    of_acting(transaction, acting, account, now).await
}

/// The same for those who came by one of the person's logins.
pub(super) async fn of_login(
    transaction: &mut Writing,
    account: &AccountId,
    login: &UpstreamSubject,
    now: UnixTime,
) -> Result<(), StoreError> {
    let acting: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT client_id FROM token_family
         WHERE account_id = $1 AND revoked_at IS NULL AND expires_at > $2
           AND session_id IN (SELECT id FROM session WHERE account_id = $1 AND ended_at IS NOT NULL
                                 AND upstream = $3 AND (upstream_subject IS NULL OR upstream_subject = $4))
         ORDER BY client_id",
    )
    .bind(account.as_str())
    .bind(now)
    .bind(login.upstream.as_str())
    .bind(&login.subject)
    .fetch_all(&mut **transaction)
    .await?;
    of_acting(transaction, acting, account, now).await
}

async fn of_acting(
    transaction: &mut Writing,
    acting: Vec<String>,
    account: &AccountId,
    now: UnixTime,
) -> Result<(), StoreError> {
    for client in acting {
        insert(transaction, &ClientId::new(client), account, None, now).await?;
    }
    Ok(())
}

fn notice(row: &AnyRow) -> Result<LogoutNotice, StoreError> {
    let record = Record::new("logout_notice", "id", row);
    Ok(LogoutNotice {
        id: record.text("id")?,
        client_id: ClientId::new(record.text("client_id")?),
        account_id: AccountId::new(record.text("account_id")?),
        session_id: record.optional_text("session_id")?.map(SessionId::new),
        created_at: record.int("created_at")?,
        attempts: record.int("attempts")?,
        next_at: record.optional_int("next_at")?,
        told_at: record.optional_int("told_at")?,
        trouble: record.optional_text("trouble")?,
    })
}
