//! Signing keys: one first key, one successor, however many nodes try.

use portico::model::signing_key::SigningKeyRecord;
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
    let database = TestDatabase::fresh().await;
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
    let database = TestDatabase::fresh().await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_start_at_once_agree_on_the_first_key() {
    let database = TestDatabase::fresh().await;
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
    let database = TestDatabase::fresh().await;
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
