//! Clients: owned by the configuration files, or registered by themselves (`registrations`); kept here so that every node
//! and every request sees the same set.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::leftovers::Because;
use super::record::{Record, to_json};
use super::statement::{Columns, Runs, query, query_scalar};
use super::writes::Writing;
use super::{Store, StoreError, registrations, retrying};
use crate::clock::UnixTime;
use crate::model::client::{Client, ClientSecretHash};
use crate::protocol::ids::ClientId;

/// A client with the hashes of its live secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredClient {
    /// The registration. Shared, for each request names a client.
    pub client: Arc<Client>,
    /// Two at the most, so that they can be changed without downtime; none for a public client.
    pub secrets: Vec<ClientSecretHash>,
}

impl fmt::Debug for StoredClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredClient")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// What a reconciliation changed, each sorted by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// New ones.
    pub added: Vec<ClientId>,
    /// Known ones with another registration or other secrets.
    pub changed: Vec<ClientId>,
    /// Those that are wanted no more.
    pub removed: Vec<ClientId>,
}

impl Store {
    /// The client of that id, as it was within the last second.
    pub async fn find_client(&self, id: &ClientId) -> Result<Option<StoredClient>, StoreError> {
        let before = match self.clients.find(id) {
            Ok(client) => return Ok(Some(client)),
            Err(before) => before,
        };
        let client = self.read_client(id).await?;
        if let Some(client) = &client {
            self.clients.keep(before, client.clone());
        }
        Ok(client)
    }

    /// The client of that id, as it is now: for those who change it.
    pub async fn read_client(&self, id: &ClientId) -> Result<Option<StoredClient>, StoreError> {
        read(&self.reads, id.as_str()).await
    }

    /// Every client, ordered by id.
    pub async fn list_clients(&self) -> Result<Vec<StoredClient>, StoreError> {
        let rows = query("SELECT id, registration, secrets FROM client ORDER BY id")
            .fetch_all(&self.reads)
            .await?;
        let mut clients = rows
            .iter()
            .map(stored_client)
            .collect::<Result<Vec<_>, _>>()?;
        // PostgreSQL sorts text by the database's locale; the answer must not depend on it.
        clients.sort_by(|a, b| a.client.client_id.cmp(&b.client.client_id));
        Ok(clients)
    }

    /// Whether any client is owned by the files.
    pub async fn has_file_clients(&self) -> Result<bool, StoreError> {
        let count: i64 = query_scalar(
            "SELECT COUNT(*) FROM client
             WHERE NOT EXISTS (SELECT 1 FROM client_registration WHERE client_id = client.id)",
        )
        .fetch_one(&self.reads)
        .await?;
        Ok(count > 0)
    }

    /// Makes the clients of the files the `wanted` ones, all or nothing, save that of what very many people have left at one that goes
    /// most goes before. A removed client loses its codes, its consents and every family. One that registered itself is removed by no file;
    /// a file that names it makes it its own.
    pub async fn reconcile_clients(
        &self,
        wanted: &[StoredClient],
        now: UnixTime,
    ) -> Result<Reconciled, StoreError> {
        for each in wanted {
            let id = each.client.client_id.as_str();
            let there: Option<String> =
                query_scalar("SELECT registration FROM client WHERE id = $1")
                    .bind(id)
                    .fetch_optional(&self.reads)
                    .await?;
            if there.is_some_and(|registration| has_other_subjects(&registration, each)) {
                self.revoke_most_families(id, Because::OfFiles, now).await?;
            }
        }
        let mut thin = BTreeSet::new();
        loop {
            let outcome = retrying(|| self.try_reconcile_clients(wanted, &thin, now)).await?;
            let going = match outcome {
                Ok(reconciled) => return Ok(reconciled),
                Err(going) => going,
            };
            for id in going {
                self.thin_out_client(&id, Because::OfFiles, now).await?;
                thin.insert(id);
            }
        }
    }

    /// Or, with nothing changed, the clients that go and are not among the `thin` ones: of these very many people may have left something.
    async fn try_reconcile_clients(
        &self,
        wanted: &[StoredClient],
        thin: &BTreeSet<String>,
        now: UnixTime,
    ) -> Result<Result<Reconciled, Vec<String>>, StoreError> {
        let mut outcome = Reconciled::default();
        // One order for all, so that nodes that start together do not lock each other out.
        let mut wanted: Vec<&StoredClient> = wanted.iter().collect();
        wanted.sort_by(|a, b| a.client.client_id.cmp(&b.client.client_id));
        let kept: BTreeSet<&str> = wanted
            .iter()
            .map(|each| each.client.client_id.as_str())
            .collect();

        let mut transaction = self.writes.begin().await?;
        for each in &wanted {
            registrations::hand_over(&mut transaction, each.client.client_id.as_str()).await?;
            match write_client(&mut transaction, each, now).await? {
                Written::Added => outcome.added.push(each.client.client_id.clone()),
                Written::Changed => outcome.changed.push(each.client.client_id.clone()),
                Written::Same => {}
            }
        }
        let mut going: Vec<String> = query_scalar(
            "SELECT id FROM client
             WHERE NOT EXISTS (SELECT 1 FROM client_registration WHERE client_id = client.id)
             ORDER BY id",
        )
        .fetch_all(&mut transaction)
        .await?;
        going.retain(|id| !kept.contains(id.as_str()));
        if !going.iter().all(|id| thin.contains(id)) {
            transaction.rollback().await?;
            going.retain(|id| !thin.contains(id));
            return Ok(Err(going));
        }
        for id in going {
            if remove_client(&mut transaction, &id, now).await? {
                outcome.removed.push(ClientId::new(id));
            }
        }
        self.commit_clients(transaction).await?;
        outcome.removed.sort();
        Ok(Ok(outcome))
    }

    /// Commits what changes clients.
    pub(super) async fn commit_clients(&self, transaction: Writing) -> Result<(), StoreError> {
        let _forgets = self.clients.forgets();
        transaction.commit().await
    }

    /// Whether a script of `origin` may read our answers: some client has a redirect URI there (T55).
    pub async fn is_registered_origin(&self, origin: &str) -> Result<bool, StoreError> {
        // One is enough: very many may be made on their developers' own machines.
        let found: Option<i64> =
            query_scalar("SELECT 1 FROM client_origin WHERE origin = $1 LIMIT 1")
                .bind(origin)
                .fetch_optional(&self.reads)
                .await?;
        Ok(found.is_some())
    }
}

/// What writing a client changed.
pub(super) enum Written {
    /// It was not there.
    Added,
    /// It was another.
    Changed,
    /// It is as it was.
    Same,
}

pub(super) async fn write_client(
    transaction: &mut Writing,
    wanted: &StoredClient,
    now: UnixTime,
) -> Result<Written, StoreError> {
    let id = wanted.client.client_id.as_str();
    let registration = to_json(&*wanted.client)?;
    let secrets = to_json(&wanted.secrets)?;
    let inserted = query(
        "INSERT INTO client (id, registration, secrets, created_at, changed_at)
         VALUES ($1, $2, $3, $4, $4)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(id)
    .bind(&registration)
    .bind(&secrets)
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    let written = if inserted.rows_affected() == 1 {
        Written::Added
    } else {
        let before: String = query_scalar("SELECT registration FROM client WHERE id = $1")
            .bind(id)
            .fetch_one(&mut *transaction)
            .await?;
        // Text against text: a row that can no longer be read is put right by the file that owns it.
        let updated = query(
            "UPDATE client SET registration = $2, secrets = $3, changed_at = $4
             WHERE id = $1 AND (registration <> $2 OR secrets <> $3)",
        )
        .bind(id)
        .bind(&registration)
        .bind(&secrets)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        if updated.rows_affected() == 0 {
            return Ok(Written::Same);
        }
        if has_other_subjects(&before, wanted) {
            // A refresh must never change the subject (OpenID Connect Core section 12.2): everybody logs in anew.
            revoke_families(transaction, id, now).await?;
        }
        Written::Changed
    };
    query("DELETE FROM client_origin WHERE client_id = $1")
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    for origin in wanted.client.web_origins() {
        query("INSERT INTO client_origin (origin, client_id) VALUES ($1, $2)")
            .bind(origin)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
    }
    Ok(written)
}

/// Whether people are to have other subjects at a client than by the `registration` that it had, as far as that can be read.
fn has_other_subjects(registration: &str, wanted: &StoredClient) -> bool {
    let before: Option<Client> = serde_json::from_str(registration).ok();
    before.is_none_or(|before| before.subject_type != wanted.client.subject_type)
}

/// The client of that id, as it is on that connection.
pub(super) async fn read(on: impl Runs, id: &str) -> Result<Option<StoredClient>, StoreError> {
    let statement = query("SELECT id, registration, secrets FROM client WHERE id = $1");
    let row = statement.at_once().bind(id).fetch_optional(on).await?;
    row.as_ref().map(stored_client).transpose()
}

/// Removes a client, of which [`Store::thin_out_client`] has left little; `false` when another node was faster.
pub(super) async fn remove_client(
    transaction: &mut Writing,
    id: &str,
    now: UnixTime,
) -> Result<bool, StoreError> {
    // The client goes first, and its codes with it: a redemption in flight holds its code's row, so it has either
    // made its family by now, or finds no code. The other order could leave a family alive.
    let deleted = query("DELETE FROM client WHERE id = $1")
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    revoke_families(transaction, id, now).await?;
    Ok(deleted.rows_affected() == 1)
}

async fn revoke_families(
    transaction: &mut Writing,
    id: &str,
    now: UnixTime,
) -> Result<(), StoreError> {
    query("UPDATE token_family SET revoked_at = $2 WHERE client_id = $1 AND revoked_at IS NULL")
        .bind(id)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    Ok(())
}

pub(super) fn stored_client(row: &impl Columns) -> Result<StoredClient, StoreError> {
    let record = Record::new("client", "id", row);
    let client: Client = record.json("registration")?;
    if client.client_id.as_str() != record.key() {
        return Err(record.inconsistent("registration"));
    }
    Ok(StoredClient {
        client: Arc::new(client),
        secrets: record.json("secrets")?,
    })
}
