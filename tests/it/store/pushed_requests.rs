//! Pushed requests (RFC 9126): found by their own client until they end, spent by one flow.

use portico::model::pushed_request::{PushedRequest, Spent, TakenUp};
use portico::protocol::ids::ClientId;

use super::{NOW, World, race};

const KEPT: i64 = 1000;

fn request(world: &World) -> PushedRequest {
    PushedRequest {
        client_id: world.client.client_id.clone(),
        sealed: "sealed".to_owned(),
        expires_at: NOW + 90,
        bucket: None,
    }
}

fn taken_up(flow: &str) -> TakenUp {
    TakenUp {
        uri_hash: "hash".to_owned(),
        flow: flow.to_owned(),
    }
}

#[tokio::test]
async fn a_pushed_request_is_found_by_its_client_until_it_ends_or_is_spent() {
    let world = World::new().await;
    let store = &world.store;
    let request = request(&world);
    store.insert_pushed_request("hash", &request).await.unwrap();
    let id = &request.client_id;
    let other = ClientId::new("other");
    let take_up = |hash: &'static str, client, now| {
        store.take_up_pushed_request(hash, client, now, now + KEPT)
    };
    let sealed = Some("sealed".to_owned());
    assert_eq!(take_up("hash", id, NOW).await.unwrap(), sealed);
    assert_eq!(take_up("hash", id, NOW + 89).await.unwrap(), sealed);
    assert_eq!(take_up("hash", id, NOW + 90).await.unwrap(), None);
    assert_eq!(take_up("hash", &other, NOW).await.unwrap(), None);
    assert_eq!(take_up("other", id, NOW).await.unwrap(), None);
    let spend = |flow: &'static str| async move {
        store.spend_pushed_request(&taken_up(flow)).await.unwrap()
    };
    assert_eq!(spend("one").await, Spent::Now);
    assert_eq!(spend("one").await, Spent::Before);
    assert_eq!(spend("two").await, Spent::Elsewhere);
    assert_eq!(take_up("hash", id, NOW).await.unwrap(), None);
}

/// One that nobody took up goes when it ends, and one with flows after these; one that is gone is spent.
#[tokio::test]
async fn a_pushed_request_is_swept_after_its_flows() {
    let world = World::new().await;
    let store = &world.store;
    let request = request(&world);
    for hash in ["hash", "unused"] {
        store.insert_pushed_request(hash, &request).await.unwrap();
    }
    let taken = store
        .take_up_pushed_request("hash", &request.client_id, NOW + 10, NOW + KEPT)
        .await;
    assert!(taken.unwrap().is_some());
    for (now, swept) in [(NOW + 89, 0), (NOW + 90, 1), (NOW + KEPT - 1, 0)] {
        let found = store.sweep(now, 10).await.unwrap();
        assert_eq!(found.pushed_requests, swept, "{now}");
        assert_eq!(found.total(), swept);
    }
    let swept = store.sweep(NOW + KEPT, 10).await.unwrap();
    assert_eq!(swept.pushed_requests, 1);
    let spent = store.spend_pushed_request(&taken_up("one")).await.unwrap();
    assert_eq!(spent, Spent::Elsewhere);
}

#[tokio::test]
async fn it_goes_with_its_client() {
    let world = World::new().await;
    let store = &world.store;
    let request = request(&world);
    store.insert_pushed_request("hash", &request).await.unwrap();
    store.reconcile_clients(&[], NOW).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM pushed_request")
        .fetch_one(&world.database.pool().await)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_flows_one_spends_it() {
    let world = World::new().await;
    let nodes = [world.store.clone(), world.other_node().await];
    let request = request(&world);
    nodes[0]
        .insert_pushed_request("hash", &request)
        .await
        .unwrap();
    let racers = (0..20).map(|number: usize| {
        let store = nodes[number % 2].clone();
        async move {
            let flow = taken_up(&number.to_string());
            store.spend_pushed_request(&flow).await.unwrap()
        }
    });
    let outcomes = race(racers).await;
    let won = outcomes.iter().filter(|spent| **spent == Spent::Now);
    assert_eq!(won.count(), 1, "{outcomes:?}");
    assert!(!outcomes.contains(&Spent::Before));
}
