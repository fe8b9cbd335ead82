//! Requests too large for a cookie.

use portico::model::throttle::{ThrottlePolicy, WindowStart};

use super::{NOW, race};
use crate::harness::database::TestDatabase;

#[tokio::test]
async fn a_pending_request_is_found_until_it_expires_or_is_answered() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let sealed = "s".repeat(20_000);
    for handle in ["expires", "answered"] {
        store
            .keep_pending_request(handle, &sealed, NOW + 10)
            .await
            .unwrap();
    }
    let find = |handle, now| store.find_pending_request(handle, now);
    assert_eq!(find("expires", NOW + 9).await.unwrap(), Some(sealed));
    assert_eq!(find("expires", NOW + 10).await.unwrap(), None);
    assert_eq!(find("unknown", NOW).await.unwrap(), None);
    for _ in 0..2 {
        let finished = store.finish_pending_request("answered", "rows");
        finished.await.unwrap();
    }
    assert_eq!(find("answered", NOW).await.unwrap(), None);
}

/// What was answered is not kept again by a step that was under way, and of several ends one gives back what it counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pending_request_ends_once_and_stays_ended() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let policy = ThrottlePolicy {
        attempts: 3,
        window: 900,
        starts_at: WindowStart::FirstAttempt,
    };
    let reserve = || store.reserve_attempt("rows", policy, NOW);
    for handle in ["one", "two", "three"] {
        assert!(reserve().await.unwrap());
        let kept = store.keep_pending_request(handle, "sealed", NOW + 10);
        kept.await.unwrap();
    }
    assert!(!reserve().await.unwrap());
    let update = || store.update_pending_request("one", "sealed again", NOW + 20);
    assert!(update().await.unwrap());
    let found = store.find_pending_request("one", NOW + 19).await.unwrap();
    assert_eq!(found.as_deref(), Some("sealed again"));
    race((0..10).map(|_| {
        let store = store.clone();
        async move { store.finish_pending_request("one", "rows").await.unwrap() }
    }))
    .await;
    assert!(!update().await.unwrap());
    assert_eq!(store.find_pending_request("one", NOW).await.unwrap(), None);
    assert!(reserve().await.unwrap());
    assert!(!reserve().await.unwrap(), "two rows are left");
}
