//! The store's conformance suite: every promise, and every race, on both databases.

mod accounts;
mod checks;
mod clients;
mod codes;
mod consents;
mod device_codes;
mod families;
mod leftovers;
mod line;
mod linking;
mod logout_notices;
mod logout_queue;
mod look_ups;
mod pending_requests;
pub(crate) mod plans;
mod pushed_requests;
mod registrations;
mod schema;
mod sessions;
mod signing_keys;
mod spent_ids;
mod sweep;
mod throttles;
mod together;
mod vault_entries;

use std::future::Future;
use std::sync::Arc;

use portico::clock::random_id;
use portico::model::account::{Account, UpstreamSubject};
use portico::model::client::{Client, ClientSecretHash};
use portico::model::code::{AuthorizationCode, CodeGrant, LIFETIME};
use portico::model::device::Device;
use portico::model::family::{FamilyCaps, Recipient, TokenFamily};
use portico::model::session::{Authentication, Session};
use portico::protocol::claims::Profile;
use portico::protocol::claims_request::ClaimsRequest;
use portico::protocol::ids::{
    AccountId, AccountSubject, ClientId, FamilyId, SessionId, UpstreamId,
};
use portico::protocol::redirect_uri::RedirectUri;
use portico::protocol::scope::Scope;
use portico::protocol::token::GrantType;
use portico::store::{NewAccount, Store, StoredClient};

use crate::harness::database::TestDatabase;

/// The moment at which these tests begin.
const NOW: i64 = 1_750_000_000;
/// More than any test needs.
const CAP: FamilyCaps = FamilyCaps {
    per_client: 100,
    per_person: 100,
};

/// A database in which one person is logged in at one client.
struct World {
    database: TestDatabase,
    store: Store,
    account: Account,
    session: Session,
    client: Client,
}

impl World {
    async fn new() -> Self {
        let database = TestDatabase::migrated().await;
        let store = database.store().await;
        let client = client("app");
        store
            .reconcile_clients(&[stored(&client)], NOW)
            .await
            .unwrap();
        let account = log_in(&store, "4711").await;
        let session = session(&account);
        store
            .replace_session("session-hash", &session, None, &[], None)
            .await
            .unwrap();
        Self {
            database,
            store,
            account,
            session,
            client,
        }
    }

    /// A second node on the same database.
    async fn other_node(&self) -> Store {
        self.database.store().await
    }

    fn code(&self) -> AuthorizationCode {
        code(&self.client.client_id, &self.session)
    }

    /// Redeems a new code, so that `family` stands.
    async fn begin(&self, family: TokenFamily) -> TokenFamily {
        let code = AuthorizationCode {
            family_id: family.id.clone(),
            expires_at: family.created_at + LIFETIME,
            ..code_in(
                &family.client_id,
                &family.account_id,
                &family.authentication,
            )
        };
        let hash = random_id();
        self.store.insert_code(&hash, &code).await.unwrap();
        let redemption = self
            .store
            .redeem_code(&hash, &family, CAP, family.created_at)
            .await
            .unwrap();
        assert_eq!(redemption, portico::store::Redemption::Redeemed(Vec::new()));
        family
    }
}

fn client(id: &str) -> Client {
    Client {
        client_name: Some("An app".to_owned()),
        redirect_uris: vec![
            RedirectUri::register(&format!("https://{}.example.org/cb", id.to_lowercase()))
                .unwrap(),
        ],
        grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
        scope: Scope::parse("openid profile offline_access").unwrap(),
        require_pkce: true,
        ..Client::new(ClientId::new(id))
    }
}

fn stored(client: &Client) -> StoredClient {
    StoredClient {
        client: Arc::new(client.clone()),
        secrets: vec![ClientSecretHash::Keyed {
            hash: "a-keyed-hash".to_owned(),
        }],
    }
}

fn member(subject: &str) -> UpstreamSubject {
    UpstreamSubject {
        upstream: UpstreamId::new("members"),
        subject: subject.to_owned(),
    }
}

fn new_account() -> NewAccount {
    NewAccount {
        id: AccountId::new(random_id()),
        subject: AccountSubject::new(random_id()),
    }
}

async fn log_in(store: &Store, subject: &str) -> Account {
    store
        .find_or_insert_account(&member(subject), &Profile::default(), new_account(), NOW)
        .await
        .unwrap()
}

fn session(account: &Account) -> Session {
    Session {
        id: SessionId::new(random_id()),
        account_id: account.id.clone(),
        upstream: UpstreamId::new("members"),
        upstream_subject: None,
        auth_time: NOW,
        began_at: NOW,
        amr: vec!["pwd".to_owned()],
        acr: Some("urn:example:one".to_owned()),
        last_seen_at: NOW,
        expires_at: NOW + 12 * 3600,
        ended_at: None,
        persistent: false,
        device: Device {
            browser: Some("Firefox".to_owned()),
            system: Some("Linux".to_owned()),
            address: Some("192.0.2.7".to_owned()),
        },
    }
}

fn code(client: &ClientId, session: &Session) -> AuthorizationCode {
    code_in(client, &session.account_id, &Authentication::from(session))
}

fn code_in(
    client: &ClientId,
    account: &AccountId,
    authentication: &Authentication,
) -> AuthorizationCode {
    AuthorizationCode {
        family_id: FamilyId::new(random_id()),
        grant: CodeGrant {
            client_id: client.clone(),
            redirect_uri: "https://app.example.org/cb".to_owned(),
            redirect_uri_was_sent: true,
            code_challenge: None,
            dpop_jkt: None,
            account_id: account.clone(),
            authentication: authentication.clone(),
            scope: Scope::parse("openid").unwrap(),
            resources: vec!["https://api.example.org".to_owned()],
            claims: ClaimsRequest::parse("{\"userinfo\":{\"email\":{\"essential\":true}}}")
                .unwrap(),
            nonce: Some("ünïcode \"nonce\"".to_owned()),
        },
        expires_at: NOW + LIFETIME,
        redeemed_at: None,
    }
}

/// The family that `code` begins.
fn family(code: &AuthorizationCode) -> TokenFamily {
    TokenFamily {
        id: code.family_id.clone(),
        client_id: code.grant.client_id.clone(),
        account_id: code.grant.account_id.clone(),
        authentication: code.grant.authentication.clone(),
        scope: code.grant.scope.clone(),
        resources: code.grant.resources.clone(),
        claims: code.grant.claims.clone(),
        offline: false,
        generation: Some(1),
        created_at: NOW,
        rotated_at: NOW,
        expires_at: NOW + 30 * 24 * 3600,
        revoked_at: None,
        jkt: None,
        bound_generation: None,
        bound_at: None,
        recipient: Recipient::default(),
    }
}

/// Runs `racers` at once and gives what came of each.
async fn race<T, Racer>(racers: impl IntoIterator<Item = Racer>) -> Vec<T>
where
    T: Send + 'static,
    Racer: Future<Output = T> + Send + 'static,
{
    let running: Vec<_> = racers.into_iter().map(tokio::spawn).collect();
    let mut outcomes = Vec::new();
    for racer in running {
        outcomes.push(racer.await.unwrap());
    }
    outcomes
}

fn count<T: PartialEq>(outcomes: &[T], wanted: &T) -> usize {
    outcomes.iter().filter(|outcome| *outcome == wanted).count()
}
