//! The work that client authentication costs (T58): counted, not timed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use portico::clock::Clock;
use portico::fetch::{ClientKeys, Fetcher, Settings};
use portico::grants::{Grants, GrantsParts};
use portico::keys::{KeyRing, MasterKey, Purpose, Secrets};
use portico::logins::{Logins, RefusalFloor};
use portico::model::acr::AcrPolicies;
use portico::model::client::{Client, ClientSecretHash};
use portico::model::family::{FamilyCaps, FamilyLifetime};
use portico::model::resource::Resources;
use portico::model::session::{SessionLifetime, SessionLifetimes};
use portico::model::throttle::{ThrottlePolicy, WindowStart};
use portico::passwords::{PasswordHash, Passwords, hash_password};
use portico::protocol::client_auth::{ClientAuthMethod, ClientCredentials, Proof};
use portico::protocol::ids::ClientId;
use portico::protocol::issuer::Issuer;
use portico::protocol::jws::SigningAlgorithm;
use portico::protocol::secret::Secret;
use portico::protocol::token::GrantType;
use portico::recheck::{RecheckParts, Rechecks};
use portico::store::StoredClient;
use portico::telemetry::{Audit, Metrics};
use portico::tokens::standing::AccessTokens;
use portico::tokens::{Mint, MintParts, TokenLifetimes};
use portico::upstream::Upstreams;
use portico::vault::Vault;

use crate::harness::database::TestDatabase;
use crate::harness::server::{POST_SECRET, SERVICE_SECRET};

fn client(client_id: &str, secret: Option<ClientSecretHash>) -> StoredClient {
    let method = match secret {
        Some(_) => ClientAuthMethod::ClientSecretBasic,
        None => ClientAuthMethod::None,
    };
    StoredClient {
        client: Arc::new(Client {
            token_endpoint_auth_method: method,
            grant_types: BTreeSet::from([GrantType::ClientCredentials]),
            ..Client::new(ClientId::new(client_id))
        }),
        secrets: secret.into_iter().collect(),
    }
}

fn hashed(secret: &str) -> String {
    hash_password(&Secret::new(secret)).unwrap()
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "what a grant works with is made by hand"
)]
async fn the_work_depends_on_the_form_of_the_secret_alone() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let secrets = Secrets::derive(&MasterKey::new([1; 32])).unwrap();
    let keyed = secrets.hash(Purpose::ClientSecret, SERVICE_SECRET).unwrap();
    let chosen = "a-secret-that-somebody-chose";
    let clients = [
        client("keyed", Some(ClientSecretHash::Keyed { hash: keyed })),
        client(
            "chosen",
            Some(ClientSecretHash::Argon2id {
                phc: hashed(chosen),
            }),
        ),
        client("public", None),
    ];
    store.reconcile_clients(&clients, 0).await.unwrap();
    let (clock, metrics) = (Clock::manual(0), Metrics::new());
    let audit = Audit::log_alone(clock.clone());
    let upstreams = Upstreams::new(vec![]);
    let vault = Vault::new(
        store.clone(),
        clock.clone(),
        secrets.clone(),
        upstreams.clone(),
        metrics.clone(),
    );
    let throttle = ThrottlePolicy {
        attempts: 100,
        window: 60,
        starts_at: WindowStart::FirstAttempt,
    };
    let session_lifetimes = SessionLifetimes {
        usual: SessionLifetime {
            idle: 1,
            absolute: 1,
        },
        persistent: None,
    };
    let grants = Grants::new(GrantsParts {
        logins: Logins {
            store: store.clone(),
            secrets: secrets.clone(),
            clock: clock.clone(),
            session_lifetimes,
            sessions_per_person: 1,
            throttle,
            address_throttle: throttle,
            client_throttle: throttle,
            refusal_floor: RefusalFloor::new(Duration::ZERO),
            vault: vault.clone(),
            acr: AcrPolicies::default(),
            metrics: metrics.clone(),
            audit: audit.clone(),
        },
        rechecks: Rechecks::new(RecheckParts {
            store: store.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            audit: audit.clone(),
            vault: vault.clone(),
            upstreams: upstreams.clone(),
            policies: HashMap::new(),
        }),
        client_keys: ClientKeys::new(
            Fetcher::new(&Settings::default(), clock.clone()).unwrap(),
            clock.clone(),
        ),
        scopes: portico::model::scopes::Scopes::default(),
        registered_unused: None,
        metrics,
        audit,
        mint: Mint::new(MintParts {
            store: store.clone(),
            issuer: Issuer::parse("https://login.example.org").unwrap(),
            ring: KeyRing::load(vec![], &secrets).unwrap(),
            secrets: secrets.clone(),
            clock: clock.clone(),
            lifetimes: TokenLifetimes {
                access_token: 1,
                id_token: 1,
            },
            default_algorithm: SigningAlgorithm::RS256,
            resources: Resources::new(Issuer::parse("https://login.example.org").unwrap(), vec![]),
        }),
        access_tokens: AccessTokens {
            store: store.clone(),
            secrets: secrets.clone(),
            clock: clock.clone(),
            session_lifetimes,
        },
        vault,
        upstreams,
        store,
        secrets,
        clock,
        passwords: Passwords::default(),
        stand_in: PasswordHash::parse(&hashed("nobody knows")).unwrap(),
        address_throttle: ThrottlePolicy {
            attempts: 100,
            window: 900,
            starts_at: WindowStart::FirstAttempt,
        },
        device_code_lifetime: 1,
        family_lifetime: FamilyLifetime {
            idle: 1,
            absolute: 1,
        },
        session_lifetimes,
        family_caps: FamilyCaps {
            per_client: 1,
            per_person: 1,
        },
    });
    for (secret, hashes) in [
        ("wrong", 1),
        (chosen, 1),
        (SERVICE_SECRET, 0),
        (POST_SECRET, 0),
    ] {
        for client_id in ["keyed", "chosen", "public", "unknown"] {
            let before = grants.passwords.runs();
            let credentials = ClientCredentials {
                client_id: ClientId::new(client_id),
                proof: Proof::Basic(Secret::new(secret)),
            };
            let proven = grants
                .authenticate_client(&credentials, "192.0.2.1")
                .await
                .is_ok();
            let right = matches!((client_id, secret), ("keyed", SERVICE_SECRET))
                || (client_id == "chosen" && secret == chosen);
            assert_eq!(proven, right, "{client_id}");
            let spent = grants.passwords.runs() - before;
            assert_eq!(spent, hashes, "{client_id} with a secret like {secret}");
        }
    }
}
