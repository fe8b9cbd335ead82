//! Clients that registered themselves: in the table of all clients, with a row of their own beside it.

use super::clients::{remove_client, stored_client, write_client};
use super::record::Record;
use super::statement::{Columns, Found, query, query_scalar};
use super::writes::Writing;
use super::{Store, StoreError, StoredClient, initial_access_tokens, retrying};
use crate::clock::UnixTime;
use crate::model::registration::{Registration, USED_EVERY};
use crate::protocol::ids::ClientId;

/// What became of a registration that was to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It is replaced.
    Done,
    /// It is another than the one that was read.
    Changed,
    /// The client registers itself no more.
    Gone,
}

/// What became of a client that wants to register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It is registered.
    Done,
    /// There are as many as there may be.
    Full,
    /// Its initial access token has ended, is used up or was revoked.
    TokenSpent,
}

impl Store {
    /// Registers a client, of which there may be `max_clients`, and takes one use of its initial access token: all or
    /// nothing.
    pub async fn register_client(
        &self,
        client: &StoredClient,
        registration: &Registration,
        max_clients: i64,
    ) -> Result<Registered, StoreError> {
        retrying(|| self.try_register_client(client, registration, max_clients)).await
    }

    async fn try_register_client(
        &self,
        client: &StoredClient,
        registration: &Registration,
        max_clients: i64,
    ) -> Result<Registered, StoreError> {
        let now = registration.issued_at;
        let mut transaction = self.writes.begin().await?;
        if let Some(token) = &registration.initial_access_token
            && !initial_access_tokens::spend(&mut transaction, token, now).await?
        {
            transaction.rollback().await?;
            return Ok(Registered::TokenSpent);
        }
        // Whoever counts holds this row, and sees in the next statement what all before have written.
        query("UPDATE client_registration_lock SET taken_at = $1 WHERE id = 'all'")
            .bind(now)
            .execute(&mut transaction)
            .await?;
        let count: i64 = query_scalar("SELECT COUNT(*) FROM client_registration")
            .fetch_one(&mut transaction)
            .await?;
        if count >= max_clients {
            transaction.rollback().await?;
            return Ok(Registered::Full);
        }
        write_client(&mut transaction, client, now).await?;
        query(
            "INSERT INTO client_registration
                 (client_id, access_token_hash, initial_access_token, issued_at, used_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(registration.client_id.as_str())
        .bind(&registration.access_token_hash)
        .bind(&registration.initial_access_token)
        .bind(registration.issued_at)
        .bind(registration.used_at)
        .bind(registration.expires_at)
        .execute(&mut transaction)
        .await?;
        self.commit_clients(transaction).await?;
        Ok(Registered::Done)
    }

    /// What is kept of a client's registration; `None` for clients of the files.
    pub async fn find_registration(
        &self,
        id: &ClientId,
    ) -> Result<Option<Registration>, StoreError> {
        let row = query(
            "SELECT client_id, access_token_hash, initial_access_token, issued_at, used_at, expires_at, version
             FROM client_registration WHERE client_id = $1",
        )
        .bind(id.as_str())
        .fetch_optional(&self.reads)
        .await?;
        row.as_ref().map(registration).transpose()
    }

    /// The registrations of all clients that have one, ordered by id.
    pub async fn list_registrations(&self) -> Result<Vec<Registration>, StoreError> {
        let rows = query(
            "SELECT client_id, access_token_hash, initial_access_token, issued_at, used_at, expires_at, version
             FROM client_registration ORDER BY client_id",
        )
        .fetch_all(&self.reads)
        .await?;
        let mut all: Vec<Registration> = rows.iter().map(registration).collect::<Result<_, _>>()?;
        all.sort_by(|a, b| a.client_id.cmp(&b.client_id));
        Ok(all)
    }

    /// At most `limit` clients that have registered themselves, in the order of the database from the one behind `after` on, each
    /// with the version of its registration. Few at a time, for there may be very many.
    pub async fn list_registered_clients(
        &self,
        after: &ClientId,
        limit: i64,
    ) -> Result<Vec<(StoredClient, i64)>, StoreError> {
        let rows = query(
            "SELECT client.id AS id, client.registration AS registration, client.secrets AS secrets, own.version AS version
             FROM client_registration AS own JOIN client ON client.id = own.client_id
             WHERE own.client_id > $1 ORDER BY own.client_id LIMIT $2",
        )
        .bind(after.as_str())
        .bind(limit)
        .fetch_all(&self.reads)
        .await?;
        let client = |row: &Found| {
            let version = Record::new("client_registration", "id", row).int("version")?;
            Ok((stored_client(row)?, version))
        };
        rows.iter().map(client).collect()
    }

    /// Replaces what a client has registered, if it is still of the `version` that was read before the client was.
    pub async fn replace_registered_client(
        &self,
        client: &StoredClient,
        version: i64,
        now: UnixTime,
    ) -> Result<Replaced, StoreError> {
        retrying(|| self.try_replace_registered_client(client, version, now)).await
    }

    async fn try_replace_registered_client(
        &self,
        client: &StoredClient,
        version: i64,
        now: UnixTime,
    ) -> Result<Replaced, StoreError> {
        let mut transaction = self.writes.begin().await?;
        // Held from here on, so that it is neither removed nor taken over by a file meanwhile.
        let held = query(
            "UPDATE client_registration SET version = version + 1 WHERE client_id = $1 AND version = $2",
        )
        .bind(client.client.client_id.as_str())
        .bind(version)
        .execute(&mut transaction)
        .await?;
        if held.rows_affected() == 0 {
            let there: i64 =
                query_scalar("SELECT COUNT(*) FROM client_registration WHERE client_id = $1")
                    .bind(client.client.client_id.as_str())
                    .fetch_one(&mut transaction)
                    .await?;
            // Whoever is told `Changed` looks for the change, which has to be there then.
            transaction.rollback().await?;
            return Ok(if there == 0 {
                Replaced::Gone
            } else {
                Replaced::Changed
            });
        }
        write_client(&mut transaction, client, now).await?;
        self.commit_clients(transaction).await?;
        Ok(Replaced::Done)
    }

    /// Removes a client that registered itself, with its codes, consents and families; `false` if there is none.
    pub async fn remove_registered_client(
        &self,
        id: &ClientId,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        retrying(|| async {
            let mut transaction = self.writes.begin().await?;
            let removed = query("DELETE FROM client_registration WHERE client_id = $1")
                .bind(id.as_str())
                .execute(&mut transaction)
                .await?;
            if removed.rows_affected() == 0 {
                transaction.rollback().await?;
                return Ok(false);
            }
            remove_client(&mut transaction, id.as_str(), now).await?;
            self.commit_clients(transaction).await?;
            Ok(true)
        })
        .await
    }

    /// Writes down that a client that registered itself was used, once an hour, so that it stays for another `unused`
    /// seconds.
    pub async fn note_client_used(
        &self,
        id: &ClientId,
        unused: Option<i64>,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        // A use within the next hour is not written down.
        let expires_at = unused.map(|unused| now.saturating_add(unused).saturating_add(USED_EVERY));
        self.writes
            .execute(
                query(
                    "UPDATE client_registration SET used_at = $2, expires_at = $4
             WHERE client_id = $1 AND (used_at IS NULL OR used_at <= $3)",
                )
                .bind(id.as_str())
                .bind(now)
                .bind(now.saturating_sub(USED_EVERY))
                .bind(expires_at),
            )
            .await?;
        Ok(())
    }

    /// Has every registered client go when it is not used for `unused` seconds from now on, if it was to stay longer.
    pub async fn hold_unused_clients(
        &self,
        unused: Option<i64>,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let Some(unused) = unused else {
            self.writes
                .execute(
                    query("UPDATE client_registration SET expires_at = NULL WHERE expires_at > $1")
                        .bind(now),
                )
                .await?;
            return Ok(());
        };
        self.writes.execute(query(
            "UPDATE client_registration SET expires_at = $1 WHERE expires_at IS NULL OR expires_at > $1",
        )
        .bind(now.saturating_add(unused).saturating_add(USED_EVERY))
        )
        .await?;
        Ok(())
    }

    /// Removes the clients that were to be used by now and were not, one by one.
    pub(super) async fn sweep_unused_clients(
        &self,
        now: UnixTime,
        batch: i64,
    ) -> Result<u64, StoreError> {
        let unused: Vec<String> = query_scalar(
            "SELECT client_id FROM client_registration WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2",
        )
        .bind(now)
        .bind(batch.max(1))
        .fetch_all(&self.reads)
        .await?;
        let mut removed = 0;
        for id in &unused {
            removed += u64::from(retrying(|| self.remove_if_unused(id, now)).await?);
        }
        Ok(removed)
    }

    async fn remove_if_unused(&self, id: &str, now: UnixTime) -> Result<bool, StoreError> {
        let mut transaction = self.writes.begin().await?;
        let removed =
            query("DELETE FROM client_registration WHERE client_id = $1 AND expires_at <= $2")
                .bind(id)
                .bind(now)
                .execute(&mut transaction)
                .await?;
        if removed.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        remove_client(&mut transaction, id, now).await?;
        self.commit_clients(transaction).await?;
        Ok(true)
    }
}

/// Makes a client that registered itself one of the files', if it is one.
pub(super) async fn hand_over(transaction: &mut Writing, id: &str) -> Result<(), StoreError> {
    query("DELETE FROM client_registration WHERE client_id = $1")
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    Ok(())
}

fn registration(row: &impl Columns) -> Result<Registration, StoreError> {
    let record = Record::new("client_registration", "client_id", row);
    Ok(Registration {
        client_id: ClientId::new(record.key()),
        access_token_hash: record.text("access_token_hash")?,
        initial_access_token: record.optional_text("initial_access_token")?,
        issued_at: record.int("issued_at")?,
        used_at: record.optional_int("used_at")?,
        expires_at: record.optional_int("expires_at")?,
        version: record.int("version")?,
    })
}
