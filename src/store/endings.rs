//! Ending many sessions at once: those of an upstream, of a client, or all. Batch by batch, each in a transaction of its own,
//! so that nobody else waits long; what begins meanwhile may end, too.

use super::logout_notices::ToldBySid;
use super::record::Record;
use super::sessions::end;
use super::statement::{Columns, query, query_as, query_scalar};
use super::{Store, StoreError, logout_notices, retrying};
use crate::clock::UnixTime;
use crate::protocol::ids::{AccountId, ClientId, SessionId, UpstreamId};

/// Rows of one transaction: as a statement wants it, and as a length.
pub(super) const BATCH: i64 = 200;
pub(super) const FEW: usize = 200;
/// Families of one client that are looked for at a time: each look has to put all that there are in order.
const PAGE: i64 = 10_000;

/// Whose sessions and families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    /// Of people who logged in there.
    Upstream(&'a UpstreamId),
    /// Everybody's.
    All,
}

/// Whose families: those of people, or everybody's at one client.
#[derive(Clone, Copy)]
enum Families<'a> {
    Of(Whose<'a>),
    OfClient(ToldBySid<'a>),
}

/// A family that ends.
struct Ending {
    id: String,
    client_id: ClientId,
    account_id: AccountId,
    session_id: SessionId,
}

/// How much was ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endings {
    /// Sessions.
    pub sessions: u64,
    /// Token families.
    pub families: u64,
}

impl Store {
    /// Ends every session and every family of theirs, those with `offline_access` too, and has their clients told.
    pub async fn end_everything_of(
        &self,
        whose: Whose<'_>,
        now: UnixTime,
    ) -> Result<Endings, StoreError> {
        let mut endings = Endings::default();
        let mut after = String::new();
        loop {
            let ids = self.session_ids_after(whose, &after).await?;
            let Some(last) = ids.last() else { break };
            after.clone_from(last);
            endings.sessions += retrying(|| self.end_sessions(&ids, now)).await?;
        }
        endings.families = self.end_all_families(Families::Of(whose), now).await?;
        Ok(endings)
    }

    /// Ends every family of a client, for everybody, takes back the codes that it has not redeemed, and has it told of everybody
    /// who has one, or is logged in there by a session that lives: an app may have nothing but ID tokens. The sessions of
    /// browsers go on, and so do consents.
    pub async fn end_everything_of_client(
        &self,
        client: &ClientId,
        now: UnixTime,
    ) -> Result<Endings, StoreError> {
        for statement in [
            "DELETE FROM authorization_code WHERE client_id = $1 AND redeemed_at IS NULL",
            "DELETE FROM device_code WHERE client_id = $1 AND redeemed_at IS NULL",
        ] {
            self.writes
                .execute(query(statement).bind(client.as_str()))
                .await?;
        }
        let told = self.told_by_sid(client).await?;
        let families = self.end_all_families(Families::OfClient(told), now).await?;
        let mut after = String::new();
        loop {
            let logins = self.logins_after(client, &after).await?;
            let Some((last, _)) = logins.last() else {
                break;
            };
            after.clone_from(last);
            for some in logins.chunks(FEW) {
                retrying(|| self.tell_of(some, told, now)).await?;
            }
        }
        Ok(Endings {
            sessions: 0,
            families,
        })
    }

    /// Who is logged in at a client that wants to hear of logouts, and by which session.
    async fn logins_after(
        &self,
        client: &ClientId,
        after: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let logins = query_as(
            "SELECT session_client.session_id, session.account_id FROM session_client
             JOIN session ON session.id = session_client.session_id
             WHERE session_client.client_id = $1 AND session.ended_at IS NULL AND session_client.session_id > $2
             ORDER BY session_client.session_id LIMIT $3",
        )
        .bind(client.as_str())
        .bind(after)
        .bind(PAGE);
        Ok(logins.fetch_all(&self.reads).await?)
    }

    async fn tell_of(
        &self,
        logins: &[(String, String)],
        told: ToldBySid<'_>,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let mut transaction = self.writes.begin().await?;
        for (session, account) in logins {
            let (session, account) = (SessionId::new(session), AccountId::new(account));
            logout_notices::of_client(&mut transaction, told, &account, &session, now).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn end_all_families(
        &self,
        whose: Families<'_>,
        now: UnixTime,
    ) -> Result<u64, StoreError> {
        let mut ended = 0;
        let mut after = String::new();
        loop {
            let families = self.families_after(whose, &after).await?;
            let Some(last) = families.last() else {
                return Ok(ended);
            };
            after.clone_from(&last.id);
            for some in families.chunks(FEW) {
                ended += retrying(|| self.end_families(whose, some, now)).await?;
            }
        }
    }

    async fn session_ids_after(
        &self,
        whose: Whose<'_>,
        after: &str,
    ) -> Result<Vec<String>, StoreError> {
        let query = match whose {
            Whose::All => query_scalar(
                "SELECT id FROM session WHERE id > $1 AND ended_at IS NULL ORDER BY id LIMIT $2",
            )
            .bind(after)
            .bind(BATCH),
            Whose::Upstream(upstream) => query_scalar(
                "SELECT id FROM session WHERE id > $1 AND ended_at IS NULL AND upstream = $3 ORDER BY id LIMIT $2",
            )
            .bind(after)
            .bind(BATCH)
            .bind(upstream.as_str()),
        };
        Ok(query.fetch_all(&self.reads).await?)
    }

    async fn families_after(
        &self,
        whose: Families<'_>,
        after: &str,
    ) -> Result<Vec<Ending>, StoreError> {
        let query = match whose {
            Families::Of(Whose::All) => query(
                "SELECT id, client_id, account_id, session_id FROM token_family
                 WHERE id > $1 AND revoked_at IS NULL ORDER BY id LIMIT $2",
            )
            .bind(after)
            .bind(BATCH),
            Families::Of(Whose::Upstream(upstream)) => query(
                "SELECT id, client_id, account_id, session_id FROM token_family
                 WHERE id > $1 AND revoked_at IS NULL AND upstream = $3 ORDER BY id LIMIT $2",
            )
            .bind(after)
            .bind(BATCH)
            .bind(upstream.as_str()),
            Families::OfClient(told) => query(
                "SELECT id, client_id, account_id, session_id FROM token_family
                 WHERE id > $1 AND revoked_at IS NULL AND client_id = $3 ORDER BY id LIMIT $2",
            )
            .bind(after)
            .bind(PAGE)
            .bind(told.client.as_str()),
        };
        let rows = query.fetch_all(&self.reads).await?;
        rows.iter().map(ending).collect()
    }

    async fn end_sessions(&self, ids: &[String], now: UnixTime) -> Result<u64, StoreError> {
        let mut transaction = self.writes.begin().await?;
        let mut ended = 0;
        for id in ids {
            let was_live = end(&mut transaction, &SessionId::new(id), now).await?;
            ended += u64::from(was_live);
        }
        transaction.commit().await?;
        Ok(ended)
    }

    async fn end_families(
        &self,
        whose: Families<'_>,
        families: &[Ending],
        now: UnixTime,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.writes.begin().await?;
        let mut ended = 0;
        for family in families {
            let revoked = query(
                "UPDATE token_family SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
            )
            .bind(&family.id)
            .bind(now)
            .execute(&mut transaction)
            .await?;
            if revoked.rows_affected() == 0 {
                continue;
            }
            ended += 1;
            let (account, session) = (&family.account_id, &family.session_id);
            match whose {
                // Nothing that the person has there goes on.
                Families::OfClient(told) => {
                    logout_notices::of_client(&mut transaction, told, account, session, now)
                        .await?;
                }
                Families::Of(_) => {
                    // By this command, if it is over only now.
                    let (client, ended_at) = (&family.client_id, Some(now));
                    logout_notices::of_family(
                        &mut transaction,
                        (client, account, session),
                        ended_at,
                        now,
                    )
                    .await?;
                }
            }
        }
        transaction.commit().await?;
        Ok(ended)
    }
}

fn ending(row: &impl Columns) -> Result<Ending, StoreError> {
    let record = Record::new("token_family", "id", row);
    Ok(Ending {
        id: record.text("id")?,
        client_id: ClientId::new(record.text("client_id")?),
        account_id: AccountId::new(record.text("account_id")?),
        session_id: SessionId::new(record.text("session_id")?),
    })
}
