//! Clients: reconciled all or nothing; T55.

use std::collections::BTreeSet;
use std::sync::Arc;

use portico::model::client::{Client, ClientSecretHash};
use portico::protocol::ids::ClientId;
use portico::protocol::redirect_uri::RedirectUri;
use portico::store::{Reconciled, StoredClient};

use super::{CAP, NOW, World, client, family, race, stored};
use crate::harness::database::TestDatabase;

fn ids(names: &[&str]) -> Vec<ClientId> {
    names.iter().copied().map(ClientId::new).collect()
}

#[tokio::test]
async fn clients_become_the_wanted_ones() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let first = [
        stored(&client("b")),
        stored(&client("a")),
        stored(&client("B")),
    ];
    let outcome = store.reconcile_clients(&first, NOW).await.unwrap();
    let added = Reconciled {
        added: ids(&["B", "a", "b"]),
        ..Reconciled::default()
    };
    assert_eq!(outcome, added);
    let listed = store.list_clients().await.unwrap();
    assert_eq!(
        listed,
        [first[2].clone(), first[1].clone(), first[0].clone()]
    );

    let again = store.reconcile_clients(&first, NOW).await.unwrap();
    assert_eq!(again, Reconciled::default());

    let renamed = Client {
        client_name: Some("Renamed".to_owned()),
        ..client("a")
    };
    let resecreted = StoredClient {
        client: Arc::new(client("b")),
        secrets: vec![ClientSecretHash::Argon2id {
            phc: "phc".to_owned(),
        }],
    };
    let second = [stored(&renamed), resecreted, stored(&client("c"))];
    let outcome = store.reconcile_clients(&second, NOW).await.unwrap();
    let expected = Reconciled {
        added: ids(&["c"]),
        changed: ids(&["a", "b"]),
        removed: ids(&["B"]),
    };
    assert_eq!(outcome, expected);
    assert_eq!(store.list_clients().await.unwrap(), second);
    let found = store.find_client(&ClientId::new("a")).await.unwrap();
    assert_eq!(found.as_ref(), Some(&second[0]));
    let found = store.find_client(&ClientId::new("B")).await.unwrap();
    assert_eq!(found, None);
}

#[tokio::test]
async fn a_set_that_cannot_be_stored_changes_nothing() {
    let world = World::new().await;
    // PostgreSQL's text holds no NUL; for SQLite a trigger plays the spoiler.
    let pool = world.database.pool().await;
    let spoiled = match world.store.backend() {
        portico::store::Backend::Postgres => "spoi\0led",
        portico::store::Backend::Sqlite => {
            sqlx::query(
                "CREATE TRIGGER spoiler BEFORE INSERT ON client WHEN NEW.id = 'spoiled'
                 BEGIN SELECT RAISE(ABORT, 'spoiled'); END",
            )
            .execute(&pool)
            .await
            .unwrap();
            "spoiled"
        }
    };
    let spoiled = Client {
        client_id: ClientId::new(spoiled),
        ..client("x")
    };
    let before = world.store.list_clients().await.unwrap();
    let wanted = [stored(&client("new")), stored(&spoiled)];
    world
        .store
        .reconcile_clients(&wanted, NOW)
        .await
        .unwrap_err();
    assert_eq!(world.store.list_clients().await.unwrap(), before);
}

#[tokio::test]
async fn a_removed_client_takes_codes_families_and_consents_along() {
    let world = World::new().await;
    let begun = world.begin(family(&world.code())).await;
    let code = world.code();
    world.store.insert_code("unspent", &code).await.unwrap();
    let app = &world.client.client_id;
    let consent = portico::model::consent::Consent {
        account_id: world.account.id.clone(),
        client_id: app.clone(),
        scope: world.client.scope.clone(),
        resources: std::collections::BTreeMap::new(),
        granted_at: NOW,
        claims: BTreeSet::new(),
    };
    world.store.widen_consent(&consent).await.unwrap();

    let outcome = world.store.reconcile_clients(&[], NOW + 5).await.unwrap();
    assert_eq!(outcome.removed, ids(&["app"]));
    let found = world.store.find_family(&begun.id).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(NOW + 5));

    // Nothing of it serves a later client of the same name.
    let again = [stored(&world.client)];
    world
        .store
        .reconcile_clients(&again, NOW + 6)
        .await
        .unwrap();
    let store = &world.store;
    let unborn = family(&code);
    let spent = store.redeem_code("unspent", &unborn, CAP, NOW + 7).await;
    assert_eq!(spent.unwrap(), portico::store::Redemption::Gone);
    let found = store.find_consent(&world.account.id, app).await.unwrap();
    assert_eq!(found, None);
    let found = store.find_family(&begun.id).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(NOW + 5));
}

/// T55.
#[tokio::test]
async fn the_origins_follow_the_redirect_uris() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let (one, two) = (client("one"), client("two"));
    store
        .reconcile_clients(&[stored(&one), stored(&two)], NOW)
        .await
        .unwrap();
    let moved = Client {
        redirect_uris: vec![
            RedirectUri::register("https://two.example.org:8443/cb").unwrap(),
            RedirectUri::register("https://two.example.org:8443/other").unwrap(),
            RedirectUri::register("com.example.app:/cb").unwrap(),
        ],
        ..two
    };
    for (origin, registered) in [
        ("https://one.example.org", true),
        ("https://two.example.org", true),
        ("https://two.example.org:8443", false),
        ("null", false),
        ("", false),
    ] {
        let found = store.is_registered_origin(origin).await.unwrap();
        assert_eq!(found, registered, "{origin}");
    }
    store
        .reconcile_clients(&[stored(&moved)], NOW)
        .await
        .unwrap();
    for (origin, registered) in [
        ("https://one.example.org", false),
        ("https://two.example.org", false),
        ("https://two.example.org:8443", true),
    ] {
        let found = store.is_registered_origin(origin).await.unwrap();
        assert_eq!(found, registered, "{origin}");
    }
}

/// Nodes that start together with the same files.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_reconcile_at_once() {
    let database = TestDatabase::migrated().await;
    let nodes = [database.store().await, database.store().await];
    let wanted: Vec<_> = (0..10)
        .map(|number| stored(&client(&format!("client-{number}"))))
        .collect();
    let racers = nodes.iter().map(|store| {
        let (store, wanted) = (store.clone(), wanted.clone());
        async move { store.reconcile_clients(&wanted, NOW).await.unwrap() }
    });
    let added: usize = race(racers).await.iter().map(|one| one.added.len()).sum();
    assert_eq!(added, 10);
    assert_eq!(nodes[0].list_clients().await.unwrap(), wanted);
}

#[test]
fn debug_shows_no_hash() {
    assert!(!format!("{:?}", stored(&client("app"))).contains("a-keyed-hash"));
}

/// Two versions run side by side: what an older node wrote of a client says nothing of what came later.
#[tokio::test]
async fn a_registration_of_an_older_node_reads_as_it_was_meant() {
    let world = World::new().await;
    let mut registration = serde_json::to_value(&world.client).unwrap();
    let fields = registration.as_object_mut().unwrap();
    for later in ["response_types", "claims"] {
        assert!(fields.remove(later).is_some(), "{later}");
    }
    sqlx::query("UPDATE client SET registration = $1")
        .bind(registration.to_string())
        .execute(&world.database.pool().await)
        .await
        .unwrap();
    let found = world
        .store
        .find_client(&world.client.client_id)
        .await
        .unwrap();
    assert_eq!(*found.unwrap().client, world.client);
}
