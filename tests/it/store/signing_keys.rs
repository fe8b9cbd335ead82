//! Signing keys: one first key, one successor, however many nodes try.

use portico::model::signing_key::{KeyState, SigningKeyRecord};
use portico::protocol::ids::KeyId;
use portico::protocol::jws::SigningAlgorithm;

use super::{NOW, count, race};
use crate::harness::database::TestDatabase;

fn key(kid: &str, announced_at: i64, active_at: i64) -> SigningKeyRecord {
    SigningKeyRecord {
        kid: KeyId::new(kid),
        algorithm: SigningAlgorithm::RS256,
        sealed: format!("sealed {kid}"),
        announced_at,
        active_at,
        retired_at: None,
        expires_at: None,
    }
}

#[tokio::test]
async fn only_the_first_key_of_an_algorithm_is_a_first_key() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let first = key("b", NOW, NOW);
    assert!(store.insert_first_signing_key(&first).await.unwrap());
    let second = key("c", NOW, NOW);
    assert!(!store.insert_first_signing_key(&second).await.unwrap());
    let other = SigningKeyRecord {
        algorithm: SigningAlgorithm::EdDSA,
        ..key("B", NOW, NOW)
    };
    assert!(store.insert_first_signing_key(&other).await.unwrap());
    assert_eq!(store.list_signing_keys().await.unwrap(), [other, first]);
}

/// T47: announced, active, retired.
#[tokio::test]
async fn rotation_retires_the_predecessor_when_the_successor_becomes_active() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let first = key("1", NOW, NOW);
    store.insert_first_signing_key(&first).await.unwrap();
    let other = SigningKeyRecord {
        algorithm: SigningAlgorithm::ES256,
        ..key("0", NOW, NOW)
    };
    store.insert_first_signing_key(&other).await.unwrap();

    let second = key("2", NOW + 10, NOW + 100);
    assert!(store.rotate_signing_key(&second, NOW + 500).await.unwrap());
    let retired = SigningKeyRecord {
        retired_at: Some(NOW + 100),
        expires_at: Some(NOW + 500),
        ..first
    };
    let expected = [other.clone(), retired.clone(), second.clone()];
    assert_eq!(store.list_signing_keys().await.unwrap(), expected);

    // While the successor is only announced there is nothing to rotate.
    let hasty = key("3", NOW + 20, NOW + 110);
    assert!(!store.rotate_signing_key(&hasty, NOW + 510).await.unwrap());
    assert_eq!(store.list_signing_keys().await.unwrap(), expected);

    let third = key("3", NOW + 100, NOW + 200);
    assert!(store.rotate_signing_key(&third, NOW + 600).await.unwrap());
    let second = SigningKeyRecord {
        retired_at: Some(NOW + 200),
        expires_at: Some(NOW + 600),
        ..second
    };
    let listed = store.list_signing_keys().await.unwrap();
    assert_eq!(listed, [other, retired, second, third]);
}

/// A leaked key must not wait, neither for an announced successor nor in the JWKS (T47).
#[tokio::test]
async fn an_emergency_ends_every_older_key_at_once() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    store
        .insert_first_signing_key(&key("1", NOW, NOW))
        .await
        .unwrap();
    store
        .rotate_signing_key(&key("2", NOW, NOW + 10), NOW + 500)
        .await
        .unwrap();
    store
        .rotate_signing_key(&key("3", NOW + 20, NOW + 100), NOW + 600)
        .await
        .unwrap();
    let now = NOW + 30;
    assert!(
        store
            .rotate_signing_key(&key("4", now, now), now)
            .await
            .unwrap()
    );
    let keys = store.list_signing_keys().await.unwrap();
    let states = keys.iter().map(|key| (key.kid.as_str(), key.state(now)));
    let expected = [
        ("1", KeyState::Expired),
        ("2", KeyState::Expired),
        ("3", KeyState::Expired),
        ("4", KeyState::Active),
    ];
    assert_eq!(states.collect::<Vec<_>>(), expected);
    assert_eq!(
        keys[0].retired_at,
        Some(NOW + 10),
        "a key that was retired stays so"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_at_once_agree_on_the_first_key() {
    let database = TestDatabase::migrated().await;
    let nodes = [database.store().await, database.store().await];
    let racers = (0..20).map(|racer| {
        let store = nodes[racer % nodes.len()].clone();
        let key = key(&format!("key-{racer}"), NOW, NOW);
        async move { store.insert_first_signing_key(&key).await.unwrap() }
    });
    assert_eq!(count(&race(racers).await, &true), 1);
    assert_eq!(nodes[0].list_signing_keys().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_rotations_at_once_one_wins() {
    let database = TestDatabase::migrated().await;
    let nodes = [database.store().await, database.store().await];
    let first = key("first", NOW, NOW);
    nodes[0].insert_first_signing_key(&first).await.unwrap();
    let racers = (0..20).map(|racer| {
        let store = nodes[racer % nodes.len()].clone();
        let key = key(&format!("key-{racer}"), NOW + 10, NOW + 100);
        async move { store.rotate_signing_key(&key, NOW + 500).await.unwrap() }
    });
    assert_eq!(count(&race(racers).await, &true), 1);
    let keys = nodes[0].list_signing_keys().await.unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0].retired_at, Some(NOW + 100));
    assert_eq!(keys[1].retired_at, None);
}
