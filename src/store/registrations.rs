//! Clients that registered themselves: in the table of all clients, with a row of their own beside it.

use std::collections::HashMap;
use std::sync::Arc;

use super::clients::{self, remove_client, stored_client, write_client};
use super::leftovers::Because;
use super::record::Record;
use super::statement::{Columns, Found, query, query_scalar};
use super::writes::Writing;
use super::{Store, StoreError, StoredClient, initial_access_tokens, retrying};
use crate::clock::UnixTime;
use crate::model::registration::{Registration, RegistrationPolicy, USED_EVERY};
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

/// Some clients that have registered themselves and were last held against the same policy.
pub struct HeldPage {
    /// The hash of the policy that they were last held against.
    held: String,
    /// The client that they stand behind, in the order of the database.
    after: ClientId,
    clients: Vec<(StoredClient, i64)>,
}

impl HeldPage {
    /// The clients, with the versions of their registrations.
    pub fn clients(&self) -> &[(StoredClient, i64)] {
        &self.clients
    }

    /// The last one; `None` when there is none.
    pub fn last(&self) -> Option<&ClientId> {
        let (last, _) = self.clients.last()?;
        Some(&last.client.client_id)
    }
}

impl Store {
    /// Registers a client, of which there may be `max_clients`, and takes one use of its initial access token: all or
    /// nothing. `policy` is the hash of the one that let it in.
    pub async fn register_client(
        &self,
        client: &StoredClient,
        registration: &Registration,
        policy: &str,
        max_clients: i64,
    ) -> Result<Registered, StoreError> {
        retrying(|| self.try_register_client(client, registration, policy, max_clients)).await
    }

    async fn try_register_client(
        &self,
        client: &StoredClient,
        registration: &Registration,
        policy: &str,
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
                 (client_id, access_token_hash, initial_access_token, issued_at, used_at, expires_at, held_policy)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(registration.client_id.as_str())
        .bind(&registration.access_token_hash)
        .bind(&registration.initial_access_token)
        .bind(registration.issued_at)
        .bind(registration.used_at)
        .bind(registration.expires_at)
        .bind(policy)
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

    /// The hash behind `held`, in the order of the database, of the policies that clients were last held against.
    pub async fn next_held_policy(&self, held: &str) -> Result<Option<String>, StoreError> {
        let next = query_scalar(
            "SELECT held_policy FROM client_registration WHERE held_policy > $1 ORDER BY held_policy LIMIT 1",
        )
        .bind(held)
        .fetch_optional(&self.reads)
        .await?;
        Ok(next)
    }

    /// At most `limit` clients that have registered themselves and were last held against the policy of this hash (against none where it is
    /// empty), in the order of the database from the one behind `after` on. Few at a time, for there may be very many.
    pub async fn list_held_clients(
        &self,
        held: &str,
        after: &ClientId,
        limit: i64,
    ) -> Result<HeldPage, StoreError> {
        let rows = query(
            "SELECT client.id AS id, client.registration AS registration, client.secrets AS secrets, own.version AS version
             FROM client_registration AS own JOIN client ON client.id = own.client_id
             WHERE own.held_policy = $1 AND own.client_id > $2 ORDER BY own.client_id LIMIT $3",
        )
        .bind(held)
        .bind(after.as_str())
        .bind(limit)
        .fetch_all(&self.reads)
        .await?;
        let client = |row: &Found| {
            let version = Record::new("client_registration", "id", row).int("version")?;
            Ok((stored_client(row)?, version))
        };
        Ok(HeldPage {
            held: held.to_owned(),
            after: after.clone(),
            clients: rows.iter().map(client).collect::<Result<_, StoreError>>()?,
        })
    }

    /// Has at most `limit` clients that an older node has replaced, which says not under which policy, be held against none; how many.
    pub async fn forget_overtaken_holds(&self, limit: i64) -> Result<u64, StoreError> {
        // By an order that only the index of these few has: whatever is known of the table, nothing else is as quick.
        let forgotten = self
            .writes
            .execute(
                query(
                    "UPDATE client_registration SET held_policy = ''
             WHERE client_id IN (SELECT client_id FROM client_registration WHERE held_version <> version AND held_policy <> ''
                                 ORDER BY version, client_id LIMIT $1)",
                )
                .bind(limit),
            )
            .await?;
        Ok(forgotten.rows_affected())
    }

    /// Holds a policy against the clients of a page, all or nothing; those that it changed.
    ///
    /// Who registers or replaces writes down the policy that it did so under, in the transaction that does, and so does this; an older
    /// node, which does not, leaves a version that was not held. So whatever nodes of other policies do meanwhile, and wherever
    /// a start ends: a row that says this policy's hash is as this policy wants it, and every other is looked at by the next start.
    pub async fn hold_clients(
        &self,
        policy: &RegistrationPolicy,
        page: &HeldPage,
        now: UnixTime,
    ) -> Result<Vec<ClientId>, StoreError> {
        retrying(|| self.try_hold_clients(policy, page, now)).await
    }

    async fn try_hold_clients(
        &self,
        policy: &RegistrationPolicy,
        page: &HeldPage,
        now: UnixTime,
    ) -> Result<Vec<ClientId>, StoreError> {
        let Some(last) = page.last() else {
            return Ok(Vec::new());
        };
        let mut changed = Vec::new();
        let mut transaction = self.writes.begin().await?;
        // Held from here on, as by whoever replaces one: what has the version that was read is what was read.
        let held = query(
            "UPDATE client_registration SET held_policy = $1, held_version = version
             WHERE held_policy = $2 AND client_id > $3 AND client_id <= $4
             RETURNING client_id, version",
        )
        .bind(policy.fingerprint())
        .bind(&page.held)
        .bind(page.after.as_str())
        .bind(last.as_str())
        .fetch_all(&mut transaction)
        .await?;
        let read = page.clients.iter();
        let read =
            read.map(|(stored, version)| (stored.client.client_id.as_str(), (stored, *version)));
        let read: HashMap<&str, (&StoredClient, i64)> = read.collect();
        for row in &held {
            let record = Record::new("client_registration", "client_id", row);
            let (id, version) = (record.key().to_owned(), record.int("version")?);
            let now_there;
            let stored = match read.get(id.as_str()) {
                Some((stored, of)) if *of == version => *stored,
                // Replaced or registered since the page was read.
                _ => {
                    // Nobody removes it: whoever does holds its registration's row first, which is ours.
                    let read = clients::read(&mut transaction, &id).await?;
                    now_there = read.ok_or(sqlx::Error::RowNotFound)?;
                    &now_there
                }
            };
            let client = policy.hold(&stored.client);
            if client == *stored.client {
                continue;
            }
            query(
                "UPDATE client_registration SET version = version + 1, held_version = version + 1 WHERE client_id = $1",
            )
            .bind(&id)
            .execute(&mut transaction)
            .await?;
            let secrets = stored.secrets.clone();
            let client = Arc::new(client);
            let wanted = StoredClient { client, secrets };
            write_client(&mut transaction, &wanted, now).await?;
            changed.push(wanted.client.client_id.clone());
        }
        self.commit_clients(transaction).await?;
        Ok(changed)
    }

    /// Replaces what a client has registered, if it is still of the `version` that was read before the client was. `policy` is the hash
    /// of the one that lets it.
    pub async fn replace_registered_client(
        &self,
        client: &StoredClient,
        version: i64,
        policy: &str,
        now: UnixTime,
    ) -> Result<Replaced, StoreError> {
        let before = self.read_client(&client.client.client_id).await?;
        if before.is_some_and(|before| before.client.subject_type != client.client.subject_type) {
            let id = client.client.client_id.as_str();
            self.revoke_most_families(id, Because::Replaces(version), now)
                .await?;
        }
        retrying(|| self.try_replace_registered_client(client, version, policy, now)).await
    }

    async fn try_replace_registered_client(
        &self,
        client: &StoredClient,
        version: i64,
        policy: &str,
        now: UnixTime,
    ) -> Result<Replaced, StoreError> {
        let mut transaction = self.writes.begin().await?;
        // Held from here on, so that it is neither removed nor taken over by a file meanwhile.
        let held = query(
            "UPDATE client_registration SET version = version + 1, held_policy = $3, held_version = version + 1
             WHERE client_id = $1 AND version = $2",
        )
        .bind(client.client.client_id.as_str())
        .bind(version)
        .bind(policy)
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
        self.thin_out_client(id.as_str(), Because::Registered, now)
            .await?;
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
        let end = now.saturating_add(unused).saturating_add(USED_EVERY);
        // Two, for each of which there is an index.
        for statement in [
            "UPDATE client_registration SET expires_at = $1 WHERE expires_at IS NULL",
            "UPDATE client_registration SET expires_at = $1 WHERE expires_at > $1",
        ] {
            self.writes.execute(query(statement).bind(end)).await?;
        }
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
            self.thin_out_client(id, Because::Unused(now), now).await?;
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
