//! The clients of the config files, taken over into the store at start: all or nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

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
use crate::store::{Store, StoredClient};
use crate::telemetry::{Audit, Entry};

use super::{AppError, AuditWriter};

/// Clients that registered themselves and are held in one transaction: few enough that nobody waits for it.
const HELD_AT_ONCE: i64 = 100;

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
            client: Arc::new(serving(&written.client, upstreams)),
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

/// Holds the policy of now against every client that registered itself and was last held against another, or against none. So a start
/// under the policy of before reads no client, however many there are (`Store::hold_clients` says why none is missed). What is recorded
/// is written meanwhile: there may be more of it than waits in memory.
pub(super) async fn hold_registered(
    store: &Store,
    policy: &RegistrationPolicy,
    (audit, writer): (&Audit, &mut AuditWriter),
    now: UnixTime,
) -> Result<(), AppError> {
    while store.forget_overtaken_holds(HELD_AT_ONCE).await? > 0 {}
    let present = policy.fingerprint();
    // Against none, and then one policy of before after the other.
    let mut held = Some(String::new());
    while let Some(before) = held {
        if before != present {
            hold_those_of(store, policy, &before, (audit, &mut *writer), now).await?;
        }
        held = store.next_held_policy(&before).await?;
    }
    store.hold_unused_clients(policy.unused, now).await?;
    Ok(())
}

/// Each client once, so that this ends though a node of another policy starts at the same time.
async fn hold_those_of(
    store: &Store,
    policy: &RegistrationPolicy,
    before: &str,
    (audit, writer): (&Audit, &mut AuditWriter),
    now: UnixTime,
) -> Result<(), AppError> {
    let mut after = ClientId::new("");
    loop {
        let page = store.list_held_clients(before, &after, HELD_AT_ONCE);
        let page = page.await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.clone();
        for id in store.hold_clients(policy, &page, now).await? {
            let entry = Entry::new(Event::ClientRegistrationChanged).client(&id);
            let reason = "it was held against the policy of [registration]";
            audit.record(entry.with("by", "configuration").with("reason", reason));
        }
        writer.finish().await?;
    }
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
    use crate::app::open_audit;
    use crate::clock::Clock;
    use crate::model::audit::AuditFilter;
    use crate::model::client::ConsentPolicy;
    use crate::model::registration::{Registration, RegistrationMode};
    use crate::protocol::scope::Scope;

    fn policy(consent: ConsentPolicy) -> RegistrationPolicy {
        RegistrationPolicy {
            mode: RegistrationMode::Open,
            redirect_hosts: Vec::new(),
            scope: Scope::default(),
            grant_types: BTreeSet::new(),
            token_endpoint_auth_methods: Vec::new(),
            allow_token_endpoint_audience: false,
            upstreams: BTreeSet::new(),
            consent,
            max_clients: 10,
            max_per_address: 10,
            unused: None,
            fetch_allowed_hosts: false,
            show_logos: false,
            algorithms: Vec::new(),
        }
    }

    /// There may be more of it than waits in memory, and nobody else writes it while a server starts.
    #[tokio::test]
    async fn what_is_held_is_recorded_before_the_start_ends() {
        let store = Store::open(&Secret::new("sqlite::memory:")).await.unwrap();
        store.migrate().await.unwrap();
        let clock = Clock::manual(1_700_000_000);
        let before = policy(ConsentPolicy::Once);
        let client = Client {
            registered: true,
            ..Client::new(ClientId::new("registered"))
        };
        let registration = Registration {
            client_id: client.client_id.clone(),
            access_token_hash: "hash".to_owned(),
            initial_access_token: None,
            issued_at: clock.now(),
            used_at: None,
            expires_at: None,
            version: 0,
        };
        let stored = StoredClient {
            client: Arc::new(before.hold(&client)),
            secrets: Vec::new(),
        };
        store
            .register_client(&stored, &registration, &before.fingerprint(), 10)
            .await
            .unwrap();
        let (audit, mut writer) = open_audit(true, &store, &clock);
        let now = policy(ConsentPolicy::Always);
        hold_registered(&store, &now, (&audit, &mut writer), clock.now())
            .await
            .unwrap();
        let all = AuditFilter::default();
        let found = store.search_audit(&all, 10).await.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].event, "client_registration_changed");
    }

    #[test]
    fn what_we_make_is_told_from_what_only_looks_so() {
        assert!(is_made_secret(made_secret().expose()));
        for other in ["", "portico_secret_", "portico_secret_1234567890", "secret"] {
            assert!(!is_made_secret(other), "{other}");
        }
    }
}
