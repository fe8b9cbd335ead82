//! The clients of the config files, taken over into the store at start: all or nothing.

use std::collections::BTreeSet;

use crate::clock::UnixTime;
use crate::config::Config;
use crate::keys::{Purpose, Secrets};
use crate::model::audit::Event;
use crate::model::client::{Client, ClientSecretHash, is_made_secret, made_secret};
use crate::model::registration::RegistrationPolicy;
use crate::passwords::{PasswordHash, Passwords, hash_password};
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::ids::{ClientId, UpstreamId};
use crate::protocol::secret::Secret;
use crate::store::{Replaced, Store, StoredClient};
use crate::telemetry::{Audit, Entry};

use super::AppError;

/// Clients that registered themselves and are read in one statement.
const HELD_AT_ONCE: i64 = 500;

/// A hash of a secret that nobody knows.
pub(super) fn stand_in() -> Result<PasswordHash, AppError> {
    let phc = hash_password(&made_secret());
    let phc = phc.map_err(|error| AppError::Hash(error.to_string().into()))?;
    PasswordHash::parse(&phc).map_err(|error| AppError::Hash(Box::new(error)))
}

/// Makes the store hold exactly the clients of the files.
pub(super) async fn reconcile(
    store: &Store,
    secrets: &Secrets,
    passwords: &Passwords,
    config: &Config,
    audit: &Audit,
    now: UnixTime,
) -> Result<(), AppError> {
    let clients = &config.clients;
    let upstreams = config.upstreams.iter();
    let upstreams = &upstreams.map(|upstream| upstream.id.clone()).collect();
    // A folder that was not mounted looks like one without files, and removing a client ends every token of it.
    if clients.is_empty() && store.has_file_clients().await? {
        return Err(AppError::NoClients);
    }
    let mut wanted = Vec::with_capacity(clients.len());
    for written in clients {
        let known = store.read_client(&written.client.client_id).await?;
        let known = known.map(|stored| stored.secrets).unwrap_or_default();
        let mut hashes = Vec::new();
        for secret in &written.secrets {
            hashes.push(
                if written.client.token_endpoint_auth_method == ClientAuthMethod::ClientSecretJwt {
                    seal(secrets, &written.client.client_id, secret, &known)?
                } else {
                    hash(secrets, passwords, secret, &known).await?
                },
            );
        }
        wanted.push(StoredClient {
            client: serving(&written.client, upstreams),
            secrets: hashes,
        });
    }
    let reconciled = store.reconcile_clients(&wanted, now).await?;
    let changes = [
        (Event::ClientAdded, &reconciled.added),
        (Event::ClientChanged, &reconciled.changed),
        (Event::ClientRemoved, &reconciled.removed),
    ];
    for (event, ids) in changes {
        for id in ids {
            audit.record(Entry::new(event).client(id).with("by", "configuration"));
        }
    }
    let names = |ids: &[ClientId]| {
        ids.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    tracing::info!(
        added = names(&reconciled.added),
        changed = names(&reconciled.changed),
        removed = names(&reconciled.removed),
        total = wanted.len(),
        "clients reconciled"
    );
    Ok(())
}

/// Holds the policy of now against every client that registered itself under one of before. What a client registers while
/// this runs stands: it is read and held again.
pub(super) async fn hold_registered(
    store: &Store,
    policy: &RegistrationPolicy,
    audit: &Audit,
    now: UnixTime,
) -> Result<(), AppError> {
    let mut after = ClientId::new("");
    loop {
        let clients = store.list_registered_clients(&after, HELD_AT_ONCE).await?;
        let Some((last, _)) = clients.last() else {
            break;
        };
        after = last.client.client_id.clone();
        for (stored, version) in &clients {
            // Hardly ever is there one that is not as it has to be, and each start looks at all of them.
            if policy.hold(&stored.client) == stored.client {
                continue;
            }
            let id = &stored.client.client_id;
            let mut version = Some(*version);
            while let Some(read) = version {
                let held = hold_one(store, policy, audit, (id, read), now);
                if held.await? != Replaced::Changed {
                    break;
                }
                let again = store.find_registration(id).await?;
                version = again.map(|registration| registration.version);
            }
        }
    }
    store.hold_unused_clients(policy.unused, now).await?;
    Ok(())
}

async fn hold_one(
    store: &Store,
    policy: &RegistrationPolicy,
    audit: &Audit,
    (id, version): (&ClientId, i64),
    now: UnixTime,
) -> Result<Replaced, AppError> {
    let Some(stored) = store.read_client(id).await? else {
        return Ok(Replaced::Gone);
    };
    let client = policy.hold(&stored.client);
    if client == stored.client {
        return Ok(Replaced::Done);
    }
    let held = StoredClient { client, ..stored };
    let replaced = store.replace_registered_client(&held, version, now).await?;
    if replaced == Replaced::Done {
        let entry = Entry::new(Event::ClientRegistrationChanged).client(id);
        let reason = "it was held against the policy of [registration]";
        audit.record(entry.with("by", "configuration").with("reason", reason));
    }
    Ok(replaced)
}

/// The client, serving the people of the upstreams that there are. "All" is written out: people of an upstream that is
/// gone from the config come in nowhere, whatever sessions and refresh tokens they still have (T15).
fn serving(written: &Client, upstreams: &BTreeSet<UpstreamId>) -> Client {
    let mut client = written.clone();
    client.upstreams.get_or_insert_with(|| upstreams.clone());
    client
}

/// The secret, sealed, of a client that signs with it. What opens to the same is kept as it is, so that a start changes
/// nothing.
fn seal(
    secrets: &Secrets,
    client_id: &ClientId,
    secret: &Secret,
    known: &[ClientSecretHash],
) -> Result<ClientSecretHash, AppError> {
    let (purpose, context) = (Purpose::ClientSecretKey, client_id.as_str());
    for hash in known {
        if let ClientSecretHash::Sealed { sealed } = hash
            && let Some(opened) = secrets.open(purpose, context, sealed)
            && opened == secret.expose().as_bytes()
        {
            return Ok(hash.clone());
        }
    }
    let sealed = secrets.seal(purpose, context, secret.expose().as_bytes())?;
    Ok(ClientSecretHash::Sealed { sealed })
}

/// The hash to keep. A salted hash that already fits is kept as it is, so that a start changes nothing.
async fn hash(
    secrets: &Secrets,
    passwords: &Passwords,
    secret: &Secret,
    known: &[ClientSecretHash],
) -> Result<ClientSecretHash, AppError> {
    if is_made_secret(secret.expose()) {
        let hash = secrets.hash(Purpose::ClientSecret, secret.expose())?;
        return Ok(ClientSecretHash::Keyed { hash });
    }
    for hash in known {
        if let ClientSecretHash::Argon2id { phc } = hash {
            let parsed =
                PasswordHash::parse(phc).map_err(|error| AppError::Hash(Box::new(error)))?;
            let fits = passwords.verify(secret, &parsed).await;
            if fits.map_err(|error| AppError::Hash(Box::new(error)))? {
                return Ok(hash.clone());
            }
        }
    }
    let phc = hash_password(secret).map_err(|error| AppError::Hash(error.to_string().into()))?;
    Ok(ClientSecretHash::Argon2id { phc })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_make_is_told_from_what_only_looks_so() {
        assert!(is_made_secret(made_secret().expose()));
        for other in ["", "portico_secret_", "portico_secret_1234567890", "secret"] {
            assert!(!is_made_secret(other), "{other}");
        }
    }
}
