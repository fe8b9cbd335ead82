//! Sweeping: what has ended goes, in batches; what lives, or is referred to, stays.

use portico::model::device::Device;
use portico::model::family::TokenFamily;
use portico::model::signing_key::SigningKeyRecord;
use portico::model::throttle::{ThrottlePolicy, WindowStart};
use portico::protocol::ids::KeyId;
use portico::protocol::jws::SigningAlgorithm;
use portico::store::Swept;

use super::{NOW, World, family, race, session};

const DAY: i64 = 24 * 3600;

#[tokio::test]
async fn a_sweep_leaves_live_rows() {
    let world = World::new().await;
    let live = world.begin(family(&world.code())).await;
    let store = &world.store;
    store.insert_code("hash", &world.code()).await.unwrap();
    store
        .keep_pending_request("handle", "sealed", NOW + 60)
        .await
        .unwrap();
    let policy = ThrottlePolicy {
        attempts: 1,
        window: 60,
        starts_at: WindowStart::FirstAttempt,
    };
    store.reserve_attempt("jo", policy, NOW).await.unwrap();
    assert_eq!(store.sweep(NOW, 10).await.unwrap(), Swept::default());
    assert_eq!(store.find_family(&live.id).await.unwrap(), Some(live));
    assert!(store.find_code("hash").await.unwrap().is_some());
    let found = store.find_session(&world.session.id).await.unwrap();
    assert_eq!(found, Some(world.session));
    let pending = store.find_pending_request("handle", NOW).await.unwrap();
    assert!(pending.is_some());
    assert!(!store.reserve_attempt("jo", policy, NOW).await.unwrap());
}

/// Replays are known for a day.
#[tokio::test]
async fn ended_rows_go_after_a_day_in_however_many_batches() {
    let world = World::new().await;
    let store = &world.store;
    for number in 0..7 {
        world.begin(family(&world.code())).await;
        store
            .keep_pending_request(&format!("handle-{number}"), "sealed", NOW + 60)
            .await
            .unwrap();
    }
    store.end_session(&world.session.id, NOW + 1).await.unwrap();
    let pending = Swept {
        pending_requests: 7,
        ..Swept::default()
    };
    assert_eq!(store.sweep(NOW + DAY, 2).await.unwrap(), pending);
    // Every family was revoked with the session; the codes expired a minute after.
    let swept = store.sweep(NOW + DAY + 100, 2).await.unwrap();
    let expected = Swept {
        codes: 7,
        families: 7,
        sessions: 1,
        ..Swept::default()
    };
    assert_eq!(swept, expected);
    assert_eq!(swept.total(), 15);
    let found = store.find_session(&world.session.id).await.unwrap();
    assert_eq!(found, None);
}

/// Where somebody logged in is forgotten with the session, however long its row has to stay.
#[tokio::test]
async fn a_session_that_has_passed_its_last_moment_forgets_its_device() {
    let world = World::new().await;
    let store = &world.store;
    let offline = TokenFamily {
        offline: true,
        expires_at: world.session.expires_at + 100 * DAY,
        ..family(&world.code())
    };
    world.begin(offline).await;
    let end = world.session.expires_at;
    store.sweep(end - 1, 10).await.unwrap();
    let found = store.find_session(&world.session.id).await.unwrap();
    assert_eq!(found, Some(world.session.clone()));
    store.sweep(end, 10).await.unwrap();
    let found = store.find_session(&world.session.id).await.unwrap();
    assert_eq!(found.unwrap().device, Device::default());
}

#[tokio::test]
async fn a_session_stays_while_an_offline_family_names_it() {
    let world = World::new().await;
    let store = &world.store;
    let offline = TokenFamily {
        offline: true,
        ..family(&world.code())
    };
    let offline = world.begin(offline).await;
    store.end_session(&world.session.id, NOW + 1).await.unwrap();
    let swept = store.sweep(offline.expires_at, 10).await.unwrap();
    assert_eq!((swept.families, swept.sessions), (0, 0));
    let swept = store.sweep(offline.expires_at + DAY, 10).await.unwrap();
    assert_eq!((swept.families, swept.sessions), (1, 1));
}

#[tokio::test]
async fn an_expired_session_goes_without_being_ended() {
    let world = World::new().await;
    let end = world.session.expires_at;
    let swept = world.store.sweep(end + DAY - 1, 10).await.unwrap();
    assert_eq!(swept.sessions, 0);
    let swept = world.store.sweep(end + DAY, 10).await.unwrap();
    assert_eq!(swept.sessions, 1);
}

#[tokio::test]
async fn keys_go_long_after_they_expired() {
    let world = World::new().await;
    let store = &world.store;
    let key = |kid: &str, at| SigningKeyRecord {
        kid: KeyId::new(kid),
        algorithm: SigningAlgorithm::RS256,
        sealed: "sealed".to_owned(),
        announced_at: at,
        active_at: at,
        retired_at: None,
        expires_at: None,
    };
    store
        .insert_first_signing_key(&key("1", NOW))
        .await
        .unwrap();
    store
        .rotate_signing_key(&key("2", NOW + 10), NOW + 20)
        .await
        .unwrap();
    assert_eq!(
        store.sweep(NOW + 30 * DAY, 10).await.unwrap().signing_keys,
        0
    );
    assert_eq!(
        store.sweep(NOW + 91 * DAY, 10).await.unwrap().signing_keys,
        1
    );
    let kept = store.list_signing_keys().await.unwrap();
    assert_eq!(kept, [key("2", NOW + 10)]);
    // The generation goes on counting from the key that is left.
    let next = key("3", NOW + 92 * DAY);
    assert!(
        store
            .rotate_signing_key(&next, NOW + 93 * DAY)
            .await
            .unwrap()
    );
    let first = store.insert_first_signing_key(&key("4", NOW)).await;
    assert!(!first.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_sweep_at_once() {
    let world = World::new().await;
    for number in 0..50 {
        let session = session(&world.account);
        let secret = format!("secret-{number}");
        world
            .store
            .replace_session(&secret, &session, None, &[], None)
            .await
            .unwrap();
    }
    let nodes = [world.store.clone(), world.other_node().await];
    let later = world.session.expires_at + DAY;
    let racers = nodes.map(|store| async move { store.sweep(later, 5).await.unwrap().sessions });
    race(racers).await;
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM session")
        .fetch_one(&world.database.pool().await)
        .await
        .unwrap();
    // Each stops at a batch that the other was faster with, so a few may wait for the next sweep.
    assert!(left < 51, "{left} sessions are left");
    world.store.sweep(later, 5).await.unwrap();
    let found = world.store.find_session(&world.session.id).await.unwrap();
    assert_eq!(found, None);
}
