//! Logouts that clients are to be told of. A notice is written in the transaction that ends a session, so that none is
//! lost, and taken by a guarded statement, so that of many nodes one sends it. Each client with notices has a place in a
//! queue (`logout_turn`), so that a look costs the same however many of both there are.
//!
//! Rows are locked in this order: `logout_outage`, `logout_notice`, `logout_turn`.

use std::collections::{BTreeMap, BTreeSet};

use super::record::Record;
use super::statement::{Columns, query, query_as, query_scalar};
use super::writes::Writing;
use super::{Store, StoreError, retrying};
use crate::clock::{SKEW, UnixTime};
use crate::model::account::UpstreamSubject;
use crate::model::logout_notice::{LogoutNotice, LogoutOutage, latest};
use crate::protocol::ids::{AccountId, ClientId, SessionId};

/// A client that is to be told something now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientToTell {
    /// Who.
    pub client_id: ClientId,
    /// Whether it registered itself.
    pub registered: bool,
    /// One that does not answer is told one thing, to see whether it does.
    pub outage: Option<LogoutOutage>,
    /// Where it stands in the queue: whoever has waited the longest, and in the same second was told the least.
    pub place: (UnixTime, i64),
}

impl Store {
    /// Gives the clients of new notices their turn, so many of them at a time, and marks so many notices as queued. Whether there
    /// may be more to mark.
    pub async fn queue_logout_notices(
        &self,
        now: UnixTime,
        limit: i64,
    ) -> Result<bool, StoreError> {
        // Most looks find nothing, and need no transaction for that.
        let new: Option<String> = query_scalar(
            "SELECT id FROM logout_notice WHERE queued_at IS NULL AND next_at IS NOT NULL
             ORDER BY created_at, id LIMIT 1",
        )
        .fetch_optional(&self.reads)
        .await?;
        if new.is_none() {
            return Ok(false);
        }
        // Whoever has nothing but new notices gets a turn by them all, and not when the batch has come to its own: a million of
        // another one's may be older. From client to client by the index. Of one that does not answer the end of the pause is turn enough.
        let waiting: Vec<String> = query_scalar(
            "WITH RECURSIVE waiting (client_id) AS (
                 SELECT MIN(client_id) FROM logout_notice WHERE queued_at IS NULL AND next_at IS NOT NULL
                 UNION ALL
                 SELECT (SELECT MIN(client_id) FROM logout_notice
                         WHERE queued_at IS NULL AND next_at IS NOT NULL AND client_id > waiting.client_id)
                 FROM waiting WHERE client_id IS NOT NULL)
             SELECT client_id FROM waiting WHERE client_id IS NOT NULL AND NOT EXISTS
                 (SELECT 1 FROM logout_turn WHERE logout_turn.client_id = waiting.client_id AND
                      (due_at <= $1 OR due_at <= (SELECT next_at FROM logout_outage
                                                  WHERE logout_outage.client_id = logout_turn.client_id)))
             LIMIT $2",
        )
        .bind(now)
        .bind(limit)
        .fetch_all(&self.reads)
        .await?;
        let queued = retrying(|| self.try_queue_logout_notices(&waiting, now, limit)).await?;
        Ok(i64::try_from(queued).is_ok_and(|queued| queued == limit))
    }

    async fn try_queue_logout_notices(
        &self,
        waiting: &[String],
        now: UnixTime,
        limit: i64,
    ) -> Result<usize, StoreError> {
        let mut transaction = self.writes.begin().await?;
        let of_marked: Vec<String> = query_scalar(
            "UPDATE logout_notice SET queued_at = $1
             WHERE queued_at IS NULL AND id IN
                 (SELECT id FROM logout_notice WHERE queued_at IS NULL AND next_at IS NOT NULL
                  ORDER BY created_at, id LIMIT $2)
             RETURNING client_id",
        )
        .bind(now)
        .bind(limit)
        .fetch_all(&mut transaction)
        .await?;
        let queued = of_marked.len();
        let mut clients: BTreeSet<&String> = of_marked.iter().collect();
        clients.extend(waiting);
        for client in clients {
            come_forward(&mut transaction, &ClientId::new(client), now).await?;
        }
        transaction.commit().await?;
        Ok(queued)
    }

    /// The first in the queue of those whose turn it is, of the ones that registered themselves or of all others. There may
    /// be nothing to tell them after all, or one of them may be in an outage that is not to be tried yet: see
    /// [`Store::put_back_client_to_tell`].
    pub async fn list_clients_to_tell(
        &self,
        now: UnixTime,
        registered: bool,
        limit: i64,
    ) -> Result<Vec<ClientToTell>, StoreError> {
        let due = query(
            "SELECT client_id, origin, due_at, turn,
                    (SELECT since FROM logout_outage WHERE logout_outage.client_id = logout_turn.client_id) AS since,
                    (SELECT failures FROM logout_outage WHERE logout_outage.client_id = logout_turn.client_id) AS failures,
                    (SELECT next_at FROM logout_outage WHERE logout_outage.client_id = logout_turn.client_id) AS next_at
             FROM logout_turn WHERE origin = $1 AND due_at <= $2 ORDER BY due_at, turn, client_id LIMIT $3",
        )
        .bind(origin(registered))
        .bind(now);
        let far = query(
            "SELECT client_id, origin, due_at, turn,
                    (SELECT since FROM logout_outage WHERE logout_outage.client_id = logout_turn.client_id) AS since,
                    (SELECT failures FROM logout_outage WHERE logout_outage.client_id = logout_turn.client_id) AS failures,
                    (SELECT next_at FROM logout_outage WHERE logout_outage.client_id = logout_turn.client_id) AS next_at
             FROM logout_turn WHERE origin = $1 AND due_at > $2 ORDER BY due_at, turn, client_id LIMIT $3",
        )
        .bind(origin(registered))
        .bind(latest(now));
        let mut clients = Vec::new();
        for query in [due, far] {
            let left = limit - i64::try_from(clients.len()).unwrap_or(limit);
            if left == 0 {
                break;
            }
            let rows = query.bind(left).fetch_all(&self.reads).await?;
            for row in &rows {
                clients.push(client_to_tell(row)?);
            }
        }
        Ok(clients)
    }

    /// There was nothing to tell a client whose turn it was: it gets its next turn when there is, or none.
    pub async fn put_back_client_to_tell(
        &self,
        client: &ClientId,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        retrying(|| self.try_put_back(client, now)).await
    }

    async fn try_put_back(&self, client: &ClientId, now: UnixTime) -> Result<(), StoreError> {
        let mut transaction = self.writes.begin().await?;
        put_back(&mut transaction, client, now).await?;
        transaction.commit().await
    }

    /// Notices to a client that are due, first those that were not tried yet, then the longest waiting: of one that does not
    /// answer each gets its turn, and one that always fails holds up none.
    pub async fn list_due_logout_notices(
        &self,
        client: &ClientId,
        now: UnixTime,
        limit: i64,
    ) -> Result<Vec<LogoutNotice>, StoreError> {
        let untried = query(
            "SELECT id, client_id, account_id, session_id, created_at, attempts, next_at, told_at, trouble
             FROM logout_notice
             WHERE client_id = $1 AND next_at IS NOT NULL AND attempts = 0 AND next_at <= $2
             ORDER BY next_at, id LIMIT $3",
        );
        let tried = query(
            "SELECT id, client_id, account_id, session_id, created_at, attempts, next_at, told_at, trouble
             FROM logout_notice
             WHERE client_id = $1 AND next_at IS NOT NULL AND attempts > 0 AND next_at <= $2
             ORDER BY next_at, id LIMIT $3",
        );
        let far = query(
            "SELECT id, client_id, account_id, session_id, created_at, attempts, next_at, told_at, trouble
             FROM logout_notice
             WHERE client_id = $1 AND next_at IS NOT NULL AND next_at > $2 ORDER BY next_at, id LIMIT $3",
        );
        let mut due = Vec::new();
        for (query, time) in [(untried, now), (tried, now), (far, latest(now))] {
            let left = limit - i64::try_from(due.len()).unwrap_or(limit);
            if left == 0 {
                break;
            }
            let query = query.bind(client.as_str()).bind(time).bind(left);
            for row in &query.fetch_all(&self.reads).await? {
                due.push(notice(row)?);
            }
        }
        Ok(due)
    }

    /// Takes a notice to send it; whoever else has read it too gets `false`, and so does everybody once the client is found
    /// not to answer. It is due again at `next_at`, should nothing more be heard of this attempt. What a clock wrote that was ahead is
    /// as old as this from then on: it would be tried, and kept, for as long as that clock was ahead.
    pub async fn take_logout_notice(
        &self,
        notice: &LogoutNotice,
        now: UnixTime,
        next_at: UnixTime,
    ) -> Result<bool, StoreError> {
        retrying(|| self.try_take_logout_notice(notice, now, next_at)).await
    }

    async fn try_take_logout_notice(
        &self,
        notice: &LogoutNotice,
        now: UnixTime,
        next_at: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.writes.begin().await?;
        let taken = query(
            "UPDATE logout_notice SET attempts = attempts + 1, next_at = $3,
                 created_at = CASE WHEN created_at > $4 THEN $5 ELSE created_at END
             WHERE id = $1 AND attempts = $2 AND next_at IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM logout_outage WHERE client_id = logout_notice.client_id)",
        )
        .bind(&notice.id)
        .bind(notice.attempts)
        .bind(next_at)
        .bind(now + SKEW)
        .bind(now)
        .execute(&mut transaction)
        .await?;
        if taken.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        put_back(&mut transaction, &notice.client_id, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes a notice to a client that does not answer, to see whether it does; nobody tries another one before `until`.
    pub async fn take_logout_probe(
        &self,
        notice: &LogoutNotice,
        now: UnixTime,
        next_at: UnixTime,
        (outage, until): (&LogoutOutage, UnixTime),
    ) -> Result<bool, StoreError> {
        retrying(|| self.try_take_logout_probe(notice, now, next_at, (outage, until))).await
    }

    async fn try_take_logout_probe(
        &self,
        notice: &LogoutNotice,
        now: UnixTime,
        next_at: UnixTime,
        (outage, until): (&LogoutOutage, UnixTime),
    ) -> Result<bool, StoreError> {
        let mut transaction = self.writes.begin().await?;
        // The outage before its notices, as everywhere.
        let turn = query(
            "UPDATE logout_outage SET next_at = $4 WHERE client_id = $1 AND since = $2 AND next_at = $3",
        )
        .bind(notice.client_id.as_str())
        .bind(outage.since)
        .bind(outage.next_at)
        .bind(until)
        .execute(&mut transaction)
        .await?;
        let taken = query(
            "UPDATE logout_notice SET attempts = attempts + 1, next_at = $3,
                 created_at = CASE WHEN created_at > $4 THEN $5 ELSE created_at END
             WHERE id = $1 AND attempts = $2 AND next_at IS NOT NULL",
        )
        .bind(&notice.id)
        .bind(notice.attempts)
        .bind(next_at)
        .bind(now + SKEW)
        .bind(now)
        .execute(&mut transaction)
        .await?;
        if turn.rows_affected() == 1 && taken.rows_affected() == 1 {
            put_back(&mut transaction, &notice.client_id, now).await?;
            transaction.commit().await?;
            return Ok(true);
        }
        transaction.rollback().await?;
        Ok(false)
    }

    /// The client has heard it, and so it answers.
    pub async fn finish_logout_notice(
        &self,
        notice: &LogoutNotice,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        retrying(|| self.try_settle(notice, None, now)).await
    }

    /// The client answers, and refuses this one: it is tried again, as it was taken for.
    pub async fn note_logout_refusal(
        &self,
        notice: &LogoutNotice,
        trouble: &str,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        retrying(|| self.try_settle(notice, Some(trouble), now)).await
    }

    /// Whatever failed while the client did not answer is due at once, and nothing is held up any more.
    async fn try_settle(
        &self,
        notice: &LogoutNotice,
        refused: Option<&str>,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let mut transaction = self.writes.begin().await?;
        let over: Option<i64> =
            query_scalar("DELETE FROM logout_outage WHERE client_id = $1 RETURNING since")
                .bind(notice.client_id.as_str())
                .fetch_optional(&mut transaction)
                .await?;
        if let Some(since) = over {
            query(
                "UPDATE logout_notice SET next_at = $2
                 WHERE client_id = $1 AND next_at > $2 AND failed_at >= $3 AND id <> $4",
            )
            .bind(notice.client_id.as_str())
            .bind(now)
            .bind(since)
            .bind(&notice.id)
            .execute(&mut transaction)
            .await?;
        }
        let settled = match refused {
            None => query(
                "UPDATE logout_notice SET next_at = NULL, told_at = $2, trouble = NULL WHERE id = $1",
            )
            .bind(&notice.id)
            .bind(now),
            Some(trouble) => {
                query("UPDATE logout_notice SET trouble = $2 WHERE id = $1 AND told_at IS NULL")
                    .bind(&notice.id)
                    .bind(trouble)
            }
        };
        settled.execute(&mut transaction).await?;
        if over.is_some() {
            come_forward(&mut transaction, &notice.client_id, now).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// An attempt failed, and no other follows.
    pub async fn give_up_logout_notice(&self, id: &str, trouble: &str) -> Result<(), StoreError> {
        self.writes.execute(query(
            "UPDATE logout_notice SET next_at = NULL, trouble = $2 WHERE id = $1 AND told_at IS NULL",
        )
        .bind(id)
        .bind(trouble)
        )
        .await?;
        Ok(())
    }

    /// Gives up what a client that does not answer was to be told before `created_before`: it may never get its turn.
    pub async fn give_up_old_logout_notices(
        &self,
        client: &ClientId,
        created_before: UnixTime,
        trouble: &str,
        limit: i64,
    ) -> Result<Vec<LogoutNotice>, StoreError> {
        let rows = self.writes.fetch_all(query(
            "UPDATE logout_notice SET next_at = NULL, trouble = $3
             WHERE next_at IS NOT NULL AND id IN
                 (SELECT id FROM logout_notice WHERE client_id = $1 AND next_at IS NOT NULL AND created_at < $2
                  ORDER BY created_at, id LIMIT $4)
             RETURNING id, client_id, account_id, session_id, created_at, attempts, next_at, told_at, trouble",
        )
        .bind(client.as_str())
        .bind(created_before)
        .bind(trouble)
        .bind(limit)
        )
        .await?;
        rows.iter().map(notice).collect()
    }

    /// An attempt failed for a reason of its own; another follows, as it was taken for.
    pub async fn note_logout_trouble(
        &self,
        notice: &LogoutNotice,
        trouble: &str,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.writes.execute(query(
            "UPDATE logout_notice SET trouble = $2, failed_at = $3 WHERE id = $1 AND told_at IS NULL",
        )
        .bind(&notice.id)
        .bind(trouble)
        .bind(now)
        )
        .await?;
        Ok(())
    }

    /// The client does not answer: whatever else it is to be told waits until `outage` has the next one tried. One that
    /// knows of an outage already stays as it is.
    pub async fn begin_logout_outage(
        &self,
        client: &ClientId,
        outage: &LogoutOutage,
    ) -> Result<(), StoreError> {
        retrying(|| self.try_begin_logout_outage(client, outage)).await
    }

    async fn try_begin_logout_outage(
        &self,
        client: &ClientId,
        outage: &LogoutOutage,
    ) -> Result<(), StoreError> {
        let mut transaction = self.writes.begin().await?;
        query(
            "INSERT INTO logout_outage (client_id, since, failures, next_at)
             SELECT client.id, $2, $3, $4 FROM client WHERE client.id = $1
             ON CONFLICT (client_id) DO NOTHING",
        )
        .bind(client.as_str())
        .bind(outage.since)
        .bind(outage.failures)
        .bind(outage.next_at)
        .execute(&mut transaction)
        .await?;
        put_back(&mut transaction, client, outage.since).await?;
        transaction.commit().await
    }

    /// It still does not answer.
    pub async fn prolong_logout_outage(
        &self,
        client: &ClientId,
        outage: &LogoutOutage,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        retrying(|| self.try_prolong_logout_outage(client, outage, now)).await
    }

    async fn try_prolong_logout_outage(
        &self,
        client: &ClientId,
        outage: &LogoutOutage,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let mut transaction = self.writes.begin().await?;
        query(
            "UPDATE logout_outage SET failures = $3, next_at = $4 WHERE client_id = $1 AND since = $2",
        )
        .bind(client.as_str())
        .bind(outage.since)
        .bind(outage.failures)
        .bind(outage.next_at)
        .execute(&mut transaction)
        .await?;
        put_back(&mut transaction, client, now).await?;
        transaction.commit().await
    }

    /// The clients that do not answer.
    pub async fn list_logout_outages(
        &self,
    ) -> Result<BTreeMap<ClientId, LogoutOutage>, StoreError> {
        let rows = query("SELECT client_id, since, failures, next_at FROM logout_outage")
            .fetch_all(&self.reads)
            .await?;
        rows.iter()
            .map(|row| {
                let record = Record::new("logout_outage", "client_id", row);
                let outage = LogoutOutage {
                    since: record.int("since")?,
                    failures: record.int("failures")?,
                    next_at: record.int("next_at")?,
                };
                Ok((ClientId::new(record.text("client_id")?), outage))
            })
            .collect()
    }

    /// Removes a notice that nobody wants to have any more.
    pub async fn drop_logout_notice(&self, id: &str) -> Result<(), StoreError> {
        self.writes
            .execute(query("DELETE FROM logout_notice WHERE id = $1").bind(id))
            .await?;
        Ok(())
    }
}

/// It is the client's turn at `now`, unless it is so already. One that does not answer is put back by whoever looks.
async fn come_forward(
    transaction: &mut Writing,
    client: &ClientId,
    now: UnixTime,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO logout_turn (client_id, origin, due_at, turn)
         SELECT client.id, CASE WHEN client_registration.client_id IS NULL THEN $2 ELSE $3 END, $4, 0
         FROM client LEFT JOIN client_registration ON client_registration.client_id = client.id
         WHERE client.id = $1
         ON CONFLICT (client_id) DO UPDATE SET due_at = excluded.due_at, turn = excluded.turn
         WHERE logout_turn.due_at > excluded.due_at",
    )
    .bind(client.as_str())
    .bind(origin(false))
    .bind(origin(true))
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    Ok(())
}

/// The client gets its next turn when there is something to tell it, behind all whose turn it is.
async fn put_back(
    transaction: &mut Writing,
    client: &ClientId,
    now: UnixTime,
) -> Result<(), StoreError> {
    // Held first: what is read afterwards is all that had a turn given to it by others.
    let held: Option<(i64, i64)> = query_as(
        "UPDATE logout_turn SET turn = turn + 1 WHERE client_id = $1 RETURNING due_at, turn",
    )
    .bind(client.as_str())
    .fetch_optional(&mut *transaction)
    .await?;
    let Some((due_at, turn)) = held else {
        return Ok(());
    };
    let row = query(
        "SELECT (SELECT MIN(next_at) FROM logout_notice WHERE client_id = $1 AND next_at IS NOT NULL) AS first_at,
                (SELECT MAX(next_at) FROM logout_notice WHERE client_id = $1 AND next_at IS NOT NULL) AS last_at,
                (SELECT next_at FROM logout_outage WHERE client_id = $1) AS outage_at",
    )
    .bind(client.as_str())
    .fetch_one(&mut *transaction)
    .await?;
    let waiting = Record::new("logout_notice", "first_at", &row);
    let times = ["first_at", "last_at", "outage_at"].map(|column| waiting.optional_int(column));
    let [first_at, last_at, outage_at] = times;
    let (Some(first_at), Some(last_at)) = (first_at?, last_at?) else {
        query("DELETE FROM logout_turn WHERE client_id = $1")
            .bind(client.as_str())
            .execute(&mut *transaction)
            .await?;
        return Ok(());
    };
    let first_at = if last_at > latest(now) { now } else { first_at };
    let outage_at = outage_at?.filter(|next_at| *next_at <= latest(now));
    let next_at = first_at.max(outage_at.unwrap_or(now)).max(now);
    let turn = match next_at {
        same if same == due_at => turn,
        next_at => i64::from(next_at == now),
    };
    query("UPDATE logout_turn SET due_at = $2, turn = $3 WHERE client_id = $1")
        .bind(client.as_str())
        .bind(next_at)
        .bind(turn)
        .execute(&mut *transaction)
        .await?;
    Ok(())
}

const fn origin(registered: bool) -> &'static str {
    if registered { "registered" } else { "file" }
}

/// The clients of a session that ends are to be told.
pub(super) async fn of_session(
    transaction: &mut Writing,
    session: &SessionId,
    now: UnixTime,
) -> Result<(), StoreError> {
    let told: Vec<(String, String)> = query_as(
        "SELECT session_client.client_id, session.account_id FROM session_client
         JOIN session ON session.id = session_client.session_id
         WHERE session_client.session_id = $1 ORDER BY session_client.client_id",
    )
    .bind(session.as_str())
    .fetch_all(&mut *transaction)
    .await?;
    for (client, account) in told {
        let (client, account) = (ClientId::new(client), AccountId::new(account));
        insert(transaction, &client, &account, Some(session), now).await?;
    }
    Ok(())
}

/// A client that is taken away from a person, or from everybody, and how it is told of that.
#[derive(Clone, Copy)]
pub(super) struct ToldBySid<'a> {
    pub(super) client: &'a ClientId,
    /// `backchannel_logout_session_required`: it refuses what comes without `sid` (section 2.2).
    alone: bool,
}

impl Store {
    /// How a client is told that all of a person there is over.
    pub(super) async fn told_by_sid<'a>(
        &self,
        client: &'a ClientId,
    ) -> Result<ToldBySid<'a>, StoreError> {
        let stored = self.find_client(client).await?;
        let alone =
            stored.is_some_and(|stored| stored.client.logout.backchannel_logout_session_required);
        Ok(ToldBySid { client, alone })
    }
}

/// A client is to be told that all is over that a person had there, in a session of which it is known that they used it there: by
/// that session, for an app may find nobody by `sub`; and of all others, which Portico has forgotten, by a token without `sid`
/// (section 2.4), if it takes one.
pub(super) async fn of_client(
    transaction: &mut Writing,
    ToldBySid { client, alone }: ToldBySid<'_>,
    account: &AccountId,
    session: &SessionId,
    now: UnixTime,
) -> Result<(), StoreError> {
    of_family(transaction, (client, account, session), None, now).await?;
    if alone {
        return Ok(());
    }
    insert(transaction, client, account, None, now).await
}

/// A client is to be told that a session has ended, or that none of a person's logins there stands any more.
async fn insert(
    transaction: &mut Writing,
    client: &ClientId,
    account: &AccountId,
    session: Option<&SessionId>,
    now: UnixTime,
) -> Result<(), StoreError> {
    // A session ends once; a person may be signed out everywhere as often as they come back.
    let id = match session {
        Some(session) => of_session_id(session, client),
        None => format!("{account} {client} {now}"),
    };
    query(
        "INSERT INTO logout_notice (id, client_id, account_id, session_id, created_at, attempts, next_at)
         SELECT $1, client.id, $3, $4, $5, 0, $5 FROM client WHERE client.id = $2
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(id)
    .bind(client.as_str())
    .bind(account.as_str())
    .bind(session.map(SessionId::as_str))
    .bind(now)
    .execute(&mut *transaction)
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
    let acting: Vec<(String, String)> = query_as(
        "SELECT DISTINCT client_id, session_id FROM token_family
         WHERE account_id = $1 AND revoked_at IS NULL AND expires_at > $2
           AND session_id IN (SELECT id FROM session WHERE account_id = $1 AND ended_at IS NOT NULL)
         ORDER BY client_id, session_id",
    )
    .bind(account.as_str())
    .bind(now)
    .fetch_all(&mut *transaction)
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
    let acting: Vec<(String, String)> = query_as(
        "SELECT DISTINCT client_id, session_id FROM token_family
         WHERE account_id = $1 AND revoked_at IS NULL AND expires_at > $2
           AND session_id IN (SELECT id FROM session WHERE account_id = $1 AND ended_at IS NOT NULL
                                 AND upstream = $3 AND (upstream_subject IS NULL OR upstream_subject = $4))
         ORDER BY client_id, session_id",
    )
    .bind(account.as_str())
    .bind(now)
    .bind(login.upstream.as_str())
    .bind(&login.subject)
    .fetch_all(&mut *transaction)
    .await?;
    of_acting(transaction, acting, account, now).await
}

async fn of_acting(
    transaction: &mut Writing,
    acting: Vec<(String, String)>,
    account: &AccountId,
    now: UnixTime,
) -> Result<(), StoreError> {
    for (client, session) in acting {
        let (client, session) = (ClientId::new(client), SessionId::new(session));
        // Their sessions had ended before, be it in this second.
        of_family(transaction, (&client, account, &session), None, now).await?;
    }
    Ok(())
}

/// What a client had by a session has ended: it may have outlived that, or the session goes on. The client is told of that session, a
/// second time if need be: the person may have another login there, by another one. Who has ended the sessions just before says when
/// that was (`ended_at`).
pub(super) async fn of_family(
    transaction: &mut Writing,
    (client, account, session): (&ClientId, &AccountId, &SessionId),
    ended_at: Option<UnixTime>,
    now: UnixTime,
) -> Result<(), StoreError> {
    // Where this session is one of those, or the client has not heard of its end yet, it is told once. By another node's clock it may have
    // ended later than now.
    query(
        "INSERT INTO logout_notice (id, client_id, account_id, session_id, created_at, attempts, next_at)
         SELECT $1, client.id, $3, $4, $5, 0, $5 FROM client
         WHERE client.id = $2 AND NOT EXISTS
             (SELECT 1 FROM logout_notice WHERE id = $6 AND (created_at = $7 OR next_at IS NOT NULL))
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(format!("{session} {client} {now}"))
    .bind(client.as_str())
    .bind(account.as_str())
    .bind(session.as_str())
    .bind(now)
    .bind(of_session_id(session, client))
    .bind(ended_at)
    .execute(&mut *transaction)
    .await?;
    Ok(())
}

fn of_session_id(session: &SessionId, client: &ClientId) -> String {
    format!("{session} {client}")
}

fn client_to_tell(row: &impl Columns) -> Result<ClientToTell, StoreError> {
    let record = Record::new("logout_turn", "client_id", row);
    let outage = match record.optional_int("next_at")? {
        None => None,
        Some(next_at) => Some(LogoutOutage {
            since: record.int("since")?,
            failures: record.int("failures")?,
            next_at,
        }),
    };
    Ok(ClientToTell {
        client_id: ClientId::new(record.text("client_id")?),
        registered: record.text("origin")? == origin(true),
        outage,
        place: (record.int("due_at")?, record.int("turn")?),
    })
}

pub(super) fn notice(row: &impl Columns) -> Result<LogoutNotice, StoreError> {
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
