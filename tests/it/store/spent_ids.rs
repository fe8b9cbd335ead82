//! What may be used once until it ends: T12, T42, T43.

use portico::clock::SKEW;
use portico::model::spent_id::{SpentId, SpentKind};

use super::{NOW, count, race};
use crate::harness::database::TestDatabase;

const SPENT: SpentId<'static> = SpentId {
    kind: SpentKind::ClientAssertion,
    owner: "app",
    id: "jti-1",
    expires_at: NOW + 300,
};

#[tokio::test]
async fn an_id_is_spent_once_until_it_ends() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let end = SPENT.expires_at + SKEW;
    assert!(store.spend_id(SPENT, NOW).await.unwrap());
    assert!(!store.spend_id(SPENT, NOW).await.unwrap());
    assert!(!store.spend_id(SPENT, end - 1).await.unwrap());
    let again = SpentId {
        expires_at: end + 300,
        ..SPENT
    };
    assert!(store.spend_id(again, end).await.unwrap());
    assert!(!store.spend_id(again, end).await.unwrap());
}

/// T12: nor do the parts run into each other.
#[tokio::test]
async fn an_id_of_another_kind_or_owner_is_another() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    assert!(store.spend_id(SPENT, NOW).await.unwrap());
    for other in [
        SpentId {
            kind: SpentKind::DpopProof,
            ..SPENT
        },
        SpentId {
            owner: "ap",
            id: "pjti-1",
            ..SPENT
        },
        SpentId {
            owner: "app2",
            ..SPENT
        },
    ] {
        assert!(store.spend_id(other, NOW).await.unwrap(), "{other:?}");
    }
    assert!(!store.spend_id(SPENT, NOW).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_uses_at_once_one_counts() {
    let database = TestDatabase::migrated().await;
    let nodes = [database.store().await, database.store().await];
    let uses = |now| {
        let racers = (0..100).map(|racer| {
            let store = nodes[racer % nodes.len()].clone();
            let spent = SpentId {
                expires_at: now + 300,
                ..SPENT
            };
            async move { store.spend_id(spent, now).await.unwrap() }
        });
        racers.collect::<Vec<_>>()
    };
    assert_eq!(count(&race(uses(NOW)).await, &true), 1);
    // And again over a row that has ended.
    assert_eq!(count(&race(uses(NOW + 1000)).await, &true), 1);
}

#[tokio::test]
async fn ended_ids_are_swept_and_no_id_is_stored() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    store.spend_id(SPENT, NOW).await.unwrap();
    let stored: String = sqlx::query_scalar("SELECT id_hash FROM spent_id")
        .fetch_one(&database.pool().await)
        .await
        .unwrap();
    assert!(!stored.contains("jti-1"));
    let end = SPENT.expires_at + SKEW;
    let swept = store.sweep(end + SKEW - 1, 10).await.unwrap();
    assert_eq!(swept.spent_ids, 0);
    let swept = store.sweep(end + SKEW, 10).await.unwrap();
    assert_eq!((swept.spent_ids, swept.total()), (1, 1));
}
