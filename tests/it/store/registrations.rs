//! Clients that registered themselves, beside those of the files; and the tokens that let them.

use std::sync::Arc;

use portico::model::client::{Client, ConsentPolicy, SubjectType};
use portico::model::registration::{
    InitialAccessToken, Registration, RegistrationMode, RegistrationPolicy, USED_EVERY,
};
use portico::protocol::client_auth::ClientAuthMethod;
use portico::protocol::ids::{ClientId, UpstreamId};
use portico::store::{HeldPage, Reconciled, Registered, Replaced, Store, StoredClient};

use super::{CAP, NOW, World, client, count, family, race, stored};
use crate::harness::database::TestDatabase;

/// More than any test needs.
const MANY: i64 = 1000;
/// What stands for the hash of the policy that clients are registered under.
pub(super) const HELD: &str = "held";

fn registered(id: &str) -> StoredClient {
    stored(&Client {
        registered: true,
        ..client(id)
    })
}

pub(super) fn registration(id: &str) -> Registration {
    Registration {
        client_id: ClientId::new(id),
        access_token_hash: format!("hash-of-{id}"),
        initial_access_token: None,
        issued_at: NOW,
        used_at: None,
        expires_at: Some(NOW + 1000),
        version: 0,
    }
}

fn named(id: &str, name: &str) -> StoredClient {
    stored(&Client {
        registered: true,
        client_name: Some(name.to_owned()),
        ..client(id)
    })
}

async fn register(store: &Store, id: &str) {
    let outcome = store
        .register_client(&registered(id), &registration(id), HELD, MANY)
        .await;
    assert_eq!(outcome.unwrap(), Registered::Done);
}

fn token(id: &str, uses_left: i64) -> InitialAccessToken {
    InitialAccessToken {
        id: id.to_owned(),
        label: "for tests".to_owned(),
        created_at: NOW,
        expires_at: NOW + 100,
        uses_left,
        revoked_at: None,
    }
}

async fn names(store: &Store) -> Vec<String> {
    let clients = store.list_clients().await.unwrap();
    let names = clients.iter().map(|each| each.client.client_id.to_string());
    names.collect()
}

/// There may be very many: a start reads a few at a time of those that were held against another policy, and misses none.
#[tokio::test]
async fn registered_clients_are_read_page_by_page() {
    let world = World::new().await;
    let store = &world.store;
    for id in ["c", "a", "e", "b", "d"] {
        register(store, id).await;
    }
    let other = store
        .register_client(&registered("bb"), &registration("bb"), "other", MANY)
        .await;
    assert_eq!(other.unwrap(), Registered::Done);
    let renamed = named("d", "Another name");
    let replaced = store.replace_registered_client(&renamed, 0, HELD, NOW + 1);
    assert_eq!(replaced.await.unwrap(), Replaced::Done);
    let mut after = ClientId::new("");
    let mut read = Vec::new();
    for expected in [2, 2, 1, 0] {
        let page = store.list_held_clients(HELD, &after, 2).await.unwrap();
        assert_eq!(page.clients().len(), expected);
        if let Some(last) = page.last() {
            after = last.clone();
        }
        read.extend(page.clients().to_vec());
    }
    // The client of the files is none of them.
    let expected = [("a", 0), ("b", 0), ("c", 0), ("d", 1), ("e", 0)];
    let found: Vec<_> = read
        .iter()
        .map(|(stored, version)| (stored.client.client_id.as_str(), *version))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(read[3].0, renamed);
    let mut policies = Vec::new();
    let mut held = String::new();
    while let Some(next) = store.next_held_policy(&held).await.unwrap() {
        policies.push(next.clone());
        held = next;
    }
    assert_eq!(policies, [HELD, "other"]);
}

/// A policy that has people asked, which those that are registered here are not.
fn asking() -> RegistrationPolicy {
    RegistrationPolicy {
        mode: RegistrationMode::Open,
        redirect_hosts: Vec::new(),
        scope: registered("x").client.scope.clone(),
        grant_types: registered("x").client.grant_types.clone(),
        token_endpoint_auth_methods: ClientAuthMethod::ALL.to_vec(),
        allow_token_endpoint_audience: false,
        upstreams: [UpstreamId::new("members")].into(),
        consent: ConsentPolicy::Once,
        max_clients: MANY,
        max_per_address: MANY,
        unused: None,
        fetch_allowed_hosts: false,
        show_logos: false,
        algorithms: Vec::new(),
    }
}

async fn first_page(store: &Store, policy: &str, limit: i64) -> HeldPage {
    let first = ClientId::new("");
    let page = store.list_held_clients(policy, &first, limit).await;
    page.unwrap()
}

/// Those that were held against a policy last.
async fn held_against(store: &Store, policy: &str) -> Vec<String> {
    let page = first_page(store, policy, MANY).await;
    let clients = page.clients().iter();
    clients
        .map(|(stored, _)| stored.client.client_id.to_string())
        .collect()
}

async fn read(store: &Store, id: &str) -> Client {
    let stored = store.read_client(&ClientId::new(id)).await.unwrap();
    Client::clone(&stored.unwrap().client)
}

/// A page is held as it stands when it is held, whatever has come in since it was read; and what another policy has taken up is left to it.
#[tokio::test]
async fn what_changes_while_clients_are_held_is_held_too() {
    let world = World::new().await;
    let store = &world.store;
    for id in ["a", "b", "c", "d", "e"] {
        register(store, id).await;
    }
    let (policy, present) = (asking(), asking().fingerprint());
    let page = first_page(store, HELD, 4).await;
    let renamed = named("b", "Put meanwhile");
    let replaced = store.replace_registered_client(&renamed, 0, HELD, NOW + 1);
    assert_eq!(replaced.await.unwrap(), Replaced::Done);
    let other = named("c", "Under another policy");
    let replaced = store.replace_registered_client(&other, 0, "other", NOW + 1);
    assert_eq!(replaced.await.unwrap(), Replaced::Done);
    register(store, "aa").await;
    let gone = ClientId::new("d");
    assert!(store.remove_registered_client(&gone, NOW).await.unwrap());

    let changed = store.hold_clients(&policy, &page, NOW + 2).await.unwrap();
    let mut changed: Vec<&str> = changed.iter().map(ClientId::as_str).collect();
    changed.sort_unstable();
    assert_eq!(changed, ["a", "aa", "b"]);
    assert_eq!(held_against(store, &present).await, ["a", "aa", "b"]);
    assert_eq!(held_against(store, HELD).await, ["e"]);
    assert_eq!(held_against(store, "other").await, ["c"]);
    assert_eq!(read(store, "c").await, *other.client);
    assert_eq!(read(store, "b").await, policy.hold(&renamed.client));
    for id in ["a", "aa"] {
        assert_eq!(read(store, id).await, policy.hold(&registered(id).client));
    }
    // Whoever has read one before it was held has not read what stands there.
    for (id, version, outcome) in [("a", 0, Replaced::Changed), ("b", 2, Replaced::Done)] {
        let new = registered(id);
        let replaced = store.replace_registered_client(&new, version, &present, NOW);
        assert_eq!(replaced.await.unwrap(), outcome, "{id}");
    }
    assert_eq!(store.forget_overtaken_holds(MANY).await.unwrap(), 0);
}

/// A crash in the middle of a page, which no client says to have been held after.
#[tokio::test]
async fn a_page_is_held_whole_or_not_at_all() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    for id in ["a", "b", "c"] {
        register(&store, id).await;
    }
    let page = first_page(&store, HELD, MANY).await;
    let pool = database.pool().await;
    // An older node has replaced one, and what it wrote cannot be read.
    for statement in [
        "UPDATE client SET registration = '?' || registration WHERE id = 'b'",
        "UPDATE client_registration SET version = version + 1 WHERE client_id = 'b'",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let failed = store.hold_clients(&asking(), &page, NOW + 2).await;
    failed.unwrap_err();
    let mended = "UPDATE client SET registration = SUBSTR(registration, 2) WHERE id = 'b'";
    sqlx::query(mended).execute(&pool).await.unwrap();
    assert_eq!(held_against(&store, HELD).await, ["a", "b", "c"]);
    for id in ["a", "b", "c"] {
        assert_eq!(read(&store, id).await, *registered(id).client);
    }
    let changed = store.hold_clients(&asking(), &page, NOW + 2).await;
    assert_eq!(changed.unwrap().len(), 3);
}

/// What is as the policy wants it is written down as such, and not replaced.
#[tokio::test]
async fn a_client_that_need_not_change_is_held_all_the_same() {
    let world = World::new().await;
    let store = &world.store;
    let policy = asking();
    let client = policy.hold(&registered("a").client);
    let registered = store
        .register_client(&stored(&client), &registration("a"), HELD, MANY)
        .await;
    assert_eq!(registered.unwrap(), Registered::Done);
    let page = first_page(store, HELD, MANY).await;
    let changed = store.hold_clients(&policy, &page, NOW + 2).await.unwrap();
    assert_eq!(changed, []);
    assert_eq!(held_against(store, &policy.fingerprint()).await, ["a"]);
    let kept = store.find_registration(&ClientId::new("a")).await.unwrap();
    assert_eq!(kept.unwrap().version, 0);
}

/// An older node says nothing of policies: what it has registered or replaced counts as held against none.
#[tokio::test]
async fn what_an_older_node_has_written_is_held_against_nothing() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    for id in ["a", "b", "c"] {
        register(&store, id).await;
        let new = named(id, "Held");
        let replaced = store.replace_registered_client(&new, 0, HELD, NOW);
        assert_eq!(replaced.await.unwrap(), Replaced::Done);
    }
    assert_eq!(store.forget_overtaken_holds(10).await.unwrap(), 0);
    let pool = database.pool().await;
    for statement in [
        "UPDATE client_registration SET version = version + 1 WHERE client_id <> 'b'",
        "INSERT INTO client (id, registration, secrets, created_at, changed_at)
             SELECT 'old', registration, secrets, created_at, changed_at FROM client WHERE id = 'b'",
        "UPDATE client SET registration = REPLACE(registration, '\"client_id\":\"b\"', '\"client_id\":\"old\"')
             WHERE id = 'old'",
        "INSERT INTO client_registration (client_id, access_token_hash, issued_at) VALUES ('old', 'hash', 1)",
    ] {
        let done = sqlx::query(statement).execute(&pool).await.unwrap();
        assert!(done.rows_affected() > 0, "{statement}");
    }
    assert_eq!(held_against(&store, "").await, ["old"]);
    for forgotten in [1, 1, 0] {
        assert_eq!(store.forget_overtaken_holds(1).await.unwrap(), forgotten);
    }
    assert_eq!(held_against(&store, "").await, ["a", "c", "old"]);
    assert_eq!(held_against(&store, HELD).await, ["b"]);
}

/// Two nodes that start at once with different policies, while somebody replaces: each row is as the policy that it names wants it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_policies_leave_each_client_as_the_one_that_it_names() {
    let database = TestDatabase::migrated().await;
    let nodes = [
        database.store().await,
        database.store().await,
        database.store().await,
    ];
    let strict = RegistrationPolicy {
        upstreams: [UpstreamId::new("staff")].into(),
        consent: ConsentPolicy::Always,
        ..asking()
    };
    let policies = [asking(), strict];
    let ids: Vec<String> = (0..12)
        .map(|number| format!("client-{number:02}"))
        .collect();
    for id in &ids {
        register(&nodes[0], id).await;
    }
    for round in 0..4 {
        let racers = (0..6).map(|number: usize| {
            let (store, policy) = (nodes[number % 3].clone(), policies[number % 2].clone());
            let (ids, present) = (ids.clone(), policies[number % 2].fingerprint());
            async move {
                if number >= 4 {
                    for id in &ids {
                        let id = ClientId::new(id.as_str());
                        let kept = store.find_registration(&id).await.unwrap().unwrap();
                        let new = named(id.as_str(), &format!("{number} in {round}"));
                        let client = Arc::new(policy.hold(&new.client));
                        let new = StoredClient { client, ..new };
                        let replaced =
                            store.replace_registered_client(&new, kept.version, &present, NOW);
                        replaced.await.unwrap();
                    }
                    return;
                }
                let mut held = Some(String::new());
                while let Some(of) = held {
                    let mut after = ClientId::new("");
                    if of != present {
                        loop {
                            let page = store.list_held_clients(&of, &after, 5).await.unwrap();
                            let Some(last) = page.last() else { break };
                            after = last.clone();
                            store.hold_clients(&policy, &page, NOW).await.unwrap();
                        }
                    }
                    held = store.next_held_policy(&of).await.unwrap();
                }
            }
        });
        race(racers).await;
        let mut seen = 0;
        for policy in &policies {
            for id in held_against(&nodes[0], &policy.fingerprint()).await {
                let client = read(&nodes[0], &id).await;
                assert_eq!(policy.hold(&client), client, "{id}");
                seen += 1;
            }
        }
        assert_eq!(seen, ids.len());
        assert_eq!(nodes[0].forget_overtaken_holds(MANY).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_registered_client_is_one_like_all_others() {
    let world = World::new().await;
    let store = &world.store;
    register(store, "new").await;
    let found = store.find_client(&ClientId::new("new")).await.unwrap();
    assert_eq!(found, Some(registered("new")));
    assert!(
        store
            .is_registered_origin("https://new.example.org")
            .await
            .unwrap()
    );
    let kept = store
        .find_registration(&ClientId::new("new"))
        .await
        .unwrap();
    assert!(kept == Some(registration("new")));
    assert!(
        store
            .find_registration(&ClientId::new("app"))
            .await
            .unwrap()
            .is_none()
    );
    assert!(store.list_registrations().await.unwrap() == [registration("new")]);

    let renamed = StoredClient {
        client: Arc::new(Client {
            client_name: Some("Another name".to_owned()),
            ..Client::clone(&registered("new").client)
        }),
        ..registered("new")
    };
    let replaced = store
        .replace_registered_client(&renamed, 0, HELD, NOW + 1)
        .await;
    assert_eq!(replaced.unwrap(), Replaced::Done);
    let found = store.find_client(&ClientId::new("new")).await.unwrap();
    assert_eq!(found, Some(renamed));
    // A client of the files is replaced and removed by the files alone.
    let of_files = stored(&client("app"));
    let replaced = store
        .replace_registered_client(&of_files, 0, HELD, NOW)
        .await;
    assert_eq!(replaced.unwrap(), Replaced::Gone);
    let app = ClientId::new("app");
    assert!(!store.remove_registered_client(&app, NOW).await.unwrap());
    assert!(store.find_client(&app).await.unwrap().is_some());

    let new = ClientId::new("new");
    assert!(store.remove_registered_client(&new, NOW).await.unwrap());
    assert!(!store.remove_registered_client(&new, NOW).await.unwrap());
    assert_eq!(names(store).await, ["app"]);
}

/// The files know nothing of those that registered themselves, and take none away.
#[tokio::test]
async fn a_reconciliation_removes_no_registered_client() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    assert!(!store.has_file_clients().await.unwrap());
    register(&store, "own").await;
    assert!(!store.has_file_clients().await.unwrap());
    store
        .reconcile_clients(&[stored(&client("file"))], NOW)
        .await
        .unwrap();
    assert!(store.has_file_clients().await.unwrap());
    let outcome = store.reconcile_clients(&[], NOW).await.unwrap();
    assert_eq!(outcome.removed, [ClientId::new("file")]);
    assert_eq!(names(&store).await, ["own"]);
}

/// Whoever writes the files may name any client there; it is then theirs, and its registration access token worth nothing.
#[tokio::test]
async fn a_file_that_names_a_registered_client_makes_it_its_own() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    register(&store, "clash").await;
    let of_file = stored(&client("clash"));
    let outcome = store
        .reconcile_clients(std::slice::from_ref(&of_file), NOW)
        .await
        .unwrap();
    assert_eq!(outcome.changed, [ClientId::new("clash")]);
    let id = ClientId::new("clash");
    assert!(store.find_registration(&id).await.unwrap().is_none());
    assert_eq!(store.find_client(&id).await.unwrap(), Some(of_file.clone()));
    let late = registered("clash");
    let replaced = store.replace_registered_client(&late, 0, HELD, NOW).await;
    assert_eq!(replaced.unwrap(), Replaced::Gone);
    let again = store.reconcile_clients(&[of_file], NOW).await.unwrap();
    assert_eq!(again, Reconciled::default());
    store.reconcile_clients(&[], NOW).await.unwrap();
    assert!(names(&store).await.is_empty());
}

/// A node of before these tables takes every client that is in no file for one to remove: it fails, and removes nothing.
#[tokio::test]
async fn an_older_node_cannot_remove_a_registered_client() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    register(&store, "own").await;
    let removed = sqlx::query("DELETE FROM client WHERE id = 'own'")
        .execute(&database.pool().await)
        .await;
    removed.unwrap_err();
    assert_eq!(names(&store).await, ["own"]);
}

/// OpenID Connect Core section 12.2, by whichever way a registration changes.
#[tokio::test]
async fn another_kind_of_subject_ends_the_families() {
    let world = World::new().await;
    let store = &world.store;
    register(store, "own").await;
    let code = super::code(&ClientId::new("own"), &world.session);
    let begun = world.begin(family(&code)).await;
    let mut changed = registered("own");
    Arc::make_mut(&mut changed.client).client_name = Some("Only the name".to_owned());
    let replaced = store.replace_registered_client(&changed, 0, HELD, NOW + 4);
    assert_eq!(replaced.await.unwrap(), Replaced::Done);
    let found = store.find_family(&begun.id).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, None);
    Arc::make_mut(&mut changed.client).subject_type = SubjectType::Pairwise {
        sector: "own.example.org".to_owned(),
    };
    let replaced = store.replace_registered_client(&changed, 1, HELD, NOW + 5);
    assert_eq!(replaced.await.unwrap(), Replaced::Done);
    let found = store.find_family(&begun.id).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(NOW + 5));
}

#[tokio::test]
async fn a_removed_registration_takes_codes_families_and_consents_along() {
    let world = World::new().await;
    let store = &world.store;
    register(store, "own").await;
    let own = ClientId::new("own");
    let begun = world
        .begin(family(&super::code(&own, &world.session)))
        .await;
    let unspent = super::code(&own, &world.session);
    store.insert_code("unspent", &unspent).await.unwrap();
    assert!(store.remove_registered_client(&own, NOW + 5).await.unwrap());
    let found = store.find_family(&begun.id).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(NOW + 5));
    let spent = store
        .redeem_code("unspent", &family(&unspent), CAP, NOW + 6)
        .await;
    assert_eq!(spent.unwrap(), portico::store::Redemption::Gone);
    assert!(
        !store
            .is_registered_origin("https://own.example.org")
            .await
            .unwrap()
    );
}

/// No more slip in at once than may.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_registrations_fill_the_quota_and_no_more() {
    let database = TestDatabase::migrated().await;
    let nodes = [database.store().await, database.store().await];
    // One more place in each round: the first rounds open the connections that the later ones race over.
    for round in 1..=7 {
        let racers = (0..16).map(|number| {
            let store = nodes[number % 2].clone();
            async move {
                let id = format!("client-{round}-{number}");
                store
                    .register_client(&registered(&id), &registration(&id), HELD, round)
                    .await
                    .unwrap()
            }
        });
        let outcomes = race(racers).await;
        assert_eq!(count(&outcomes, &Registered::Done), 1, "{round}");
        assert_eq!(count(&outcomes, &Registered::Full), 15, "{round}");
    }
    assert_eq!(nodes[0].list_registrations().await.unwrap().len(), 7);
    let first = nodes[0].list_registrations().await.unwrap()[0]
        .client_id
        .clone();
    assert!(
        nodes[1]
            .remove_registered_client(&first, NOW)
            .await
            .unwrap()
    );
    let outcome = nodes[0]
        .register_client(&registered("late"), &registration("late"), HELD, 7)
        .await;
    assert_eq!(outcome.unwrap(), Registered::Done);
}

/// A use is taken by one client alone, and by none that did not come in.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_registrations_use_a_token_as_often_as_it_may() {
    let database = TestDatabase::migrated().await;
    let nodes = [database.store().await, database.store().await];
    let store = &nodes[0];
    store
        .insert_initial_access_token(&token("t", 5), "hash")
        .await
        .unwrap();
    let with_token = |id: &str| Registration {
        initial_access_token: Some("t".to_owned()),
        ..registration(id)
    };
    let outcome = store
        .register_client(&registered("x"), &with_token("x"), HELD, 0)
        .await;
    assert_eq!(outcome.unwrap(), Registered::Full);
    let racers = (0..20).map(|number| {
        let store = nodes[number % 2].clone();
        let id = format!("client-{number}");
        let registration = with_token(&id);
        async move {
            store
                .register_client(&registered(&id), &registration, HELD, MANY)
                .await
                .unwrap()
        }
    });
    let outcomes = race(racers).await;
    assert_eq!(count(&outcomes, &Registered::Done), 5);
    assert_eq!(count(&outcomes, &Registered::TokenSpent), 15);
    let left = store
        .find_initial_access_token("hash")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(left.uses_left, 0);
    assert_eq!(store.list_registrations().await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_token_that_has_ended_or_was_revoked_lets_nobody_in() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    for id in ["expired", "revoked"] {
        store
            .insert_initial_access_token(&token(id, 5), id)
            .await
            .unwrap();
    }
    assert!(
        store
            .revoke_initial_access_token("revoked", NOW + 1)
            .await
            .unwrap()
    );
    assert!(
        !store
            .revoke_initial_access_token("revoked", NOW + 2)
            .await
            .unwrap()
    );
    assert!(
        !store
            .revoke_initial_access_token("unknown", NOW)
            .await
            .unwrap()
    );
    let listed = store.list_initial_access_tokens().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(
        listed
            .iter()
            .all(|each| each.is_good(NOW + 99) == (each.id == "expired"))
    );
    for (id, at) in [
        ("expired", NOW + 100),
        ("revoked", NOW + 1),
        ("unknown", NOW),
    ] {
        let late = Registration {
            initial_access_token: Some(id.to_owned()),
            issued_at: at,
            ..registration("x")
        };
        let outcome = store
            .register_client(&registered("x"), &late, HELD, MANY)
            .await;
        assert_eq!(outcome.unwrap(), Registered::TokenSpent, "{id}");
    }
    assert!(names(&store).await.is_empty());
}

/// What is not used goes; each use is good for as long again, and an hour, in which others are not written down.
#[tokio::test]
async fn unused_clients_are_swept() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    for id in ["used", "unused", "other"] {
        register(&store, id).await;
    }
    let for_ever = Registration {
        expires_at: None,
        ..registration("for-ever")
    };
    let outcome = store
        .register_client(&registered("for-ever"), &for_ever, HELD, MANY)
        .await;
    assert_eq!(outcome.unwrap(), Registered::Done);
    let used = ClientId::new("used");
    let note = |now| store.note_client_used(&used, Some(1000), now);
    note(NOW + 10).await.unwrap();
    note(NOW + 20).await.unwrap();
    let found = store.find_registration(&used).await.unwrap().unwrap();
    let end = NOW + 10 + 1000 + USED_EVERY;
    assert_eq!(
        (found.used_at, found.expires_at),
        (Some(NOW + 10), Some(end))
    );
    let next_hour = NOW + 10 + USED_EVERY;
    assert_eq!(store.sweep(NOW + 999, 10).await.unwrap().unused_clients, 0);
    assert_eq!(store.sweep(NOW + 1000, 10).await.unwrap().unused_clients, 2);
    assert_eq!(names(&store).await, ["for-ever", "used"]);
    note(next_hour).await.unwrap();
    let found = store.find_registration(&used).await.unwrap().unwrap();
    assert_eq!(found.used_at, Some(next_hour));
    let end = next_hour + 1000 + USED_EVERY;
    assert_eq!(store.sweep(end - 1, 10).await.unwrap().unused_clients, 0);
    assert_eq!(store.sweep(end, 10).await.unwrap().unused_clients, 1);
    assert_eq!(names(&store).await, ["for-ever"]);
    // The policy of another day.
    let for_ever = ClientId::new("for-ever");
    let end_of = || async {
        let found = store.find_registration(&for_ever).await.unwrap();
        found.unwrap().expires_at
    };
    store.hold_unused_clients(Some(50), NOW).await.unwrap();
    assert_eq!(end_of().await, Some(NOW + 50 + USED_EVERY));
    store.hold_unused_clients(Some(90), NOW).await.unwrap();
    assert_eq!(end_of().await, Some(NOW + 50 + USED_EVERY));
    store.hold_unused_clients(None, NOW).await.unwrap();
    assert_eq!(end_of().await, None);
    let never = store.note_client_used(&for_ever, None, NOW + 1);
    never.await.unwrap();
    assert_eq!(end_of().await, None);
}

/// What was registered between the reading and the writing stands.
#[tokio::test]
async fn nobody_replaces_what_they_have_not_read() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    register(&store, "new").await;
    let id = ClientId::new("new");
    let listed = store.list_registrations().await.unwrap();
    let version = listed[0].version;
    let named = |name: &str| {
        stored(&Client {
            registered: true,
            client_name: Some(name.to_owned()),
            ..client("new")
        })
    };
    let replace = |name: &'static str, version| {
        let (store, new) = (&store, named(name));
        async move {
            store
                .replace_registered_client(&new, version, HELD, NOW)
                .await
                .unwrap()
        }
    };
    assert_eq!(replace("put", version).await, Replaced::Done);
    assert_eq!(replace("held", version).await, Replaced::Changed);
    let found = store.find_client(&id).await.unwrap();
    assert_eq!(found, Some(named("put")));
    let found = store.find_registration(&id).await.unwrap().unwrap();
    assert_eq!(replace("held", found.version).await, Replaced::Done);
    assert!(store.remove_registered_client(&id, NOW).await.unwrap());
    assert_eq!(replace("late", version).await, Replaced::Gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_replace_the_same_one_does() {
    let database = TestDatabase::migrated().await;
    let nodes = [database.store().await, database.store().await];
    register(&nodes[0], "new").await;
    let racers = (0..20).map(|number: usize| {
        let store = nodes[number % 2].clone();
        async move {
            let new = registered("new");
            store
                .replace_registered_client(&new, 0, HELD, NOW)
                .await
                .unwrap()
        }
    });
    let outcomes = race(racers).await;
    assert_eq!(count(&outcomes, &Replaced::Done), 1);
    assert_eq!(count(&outcomes, &Replaced::Changed), 19);
}

/// A token that ended stays for a while, for an administrator to see.
#[tokio::test]
async fn ended_tokens_are_swept_later() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    store
        .insert_initial_access_token(&token("t", 5), "hash")
        .await
        .unwrap();
    let months = 90 * 24 * 60 * 60;
    let swept = store.sweep(NOW + 99 + months, 10).await.unwrap();
    assert_eq!(swept.initial_access_tokens, 0);
    let swept = store.sweep(NOW + 100 + months, 10).await.unwrap();
    assert_eq!(swept.initial_access_tokens, 1);
}
