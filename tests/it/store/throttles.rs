//! Login attempts: T33, T34.

use portico::model::throttle::{ThrottlePolicy, WindowStart};

use super::{NOW, count, race};
use crate::harness::database::TestDatabase;

const POLICY: ThrottlePolicy = ThrottlePolicy {
    attempts: 5,
    window: 900,
    starts_at: WindowStart::FirstAttempt,
};

#[tokio::test]
async fn a_window_gives_its_attempts_and_then_opens_again() {
    let database = TestDatabase::fresh().await;
    let store = database.store().await;
    let reserve = |now| store.reserve_attempt("members\njsmith", POLICY, now);
    for _ in 0..5 {
        assert!(reserve(NOW + 10).await.unwrap());
    }
    assert!(!reserve(NOW + 11).await.unwrap());
    // Attempts that were refused do not lengthen the window.
    assert!(!reserve(NOW + 909).await.unwrap());
    for _ in 0..5 {
        assert!(reserve(NOW + 910).await.unwrap());
    }
    assert!(!reserve(NOW + 910).await.unwrap());
    let other = store.reserve_attempt("members\njsmyth", POLICY, NOW + 11);
    assert!(other.await.unwrap());
}

/// T34: bursts at the seam of two windows do not add up.
#[tokio::test]
async fn a_window_that_starts_at_the_last_attempt_opens_after_a_quiet_time() {
    let database = TestDatabase::fresh().await;
    let store = database.store().await;
    let policy = ThrottlePolicy {
        starts_at: WindowStart::LastAttempt,
        ..POLICY
    };
    let reserve = |now| store.reserve_attempt("members\njsmith", policy, now);
    assert!(reserve(NOW).await.unwrap());
    for _ in 0..4 {
        assert!(reserve(NOW + 899).await.unwrap());
    }
    for now in [NOW + 899, NOW + 900, NOW + 1798] {
        assert!(!reserve(now).await.unwrap());
    }
    assert!(reserve(NOW + 1799).await.unwrap());
}

#[tokio::test]
async fn success_forgets_the_attempts() {
    let database = TestDatabase::fresh().await;
    let store = database.store().await;
    for _ in 0..5 {
        store.reserve_attempt("jo", POLICY, NOW).await.unwrap();
    }
    store.forget_attempts("jo").await.unwrap();
    assert!(store.reserve_attempt("jo", POLICY, NOW).await.unwrap());
}

#[tokio::test]
async fn a_limit_of_none_forwards_none() {
    let database = TestDatabase::fresh().await;
    let store = database.store().await;
    let none = ThrottlePolicy {
        attempts: 0,
        ..POLICY
    };
    assert!(!store.reserve_attempt("jo", none, NOW).await.unwrap());
}

/// T34: at most K are forwarded, on however many nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_attempts_at_once_five_are_forwarded() {
    let database = TestDatabase::fresh().await;
    let nodes = [database.store().await, database.store().await];
    let racers = (0..100).map(|racer| {
        let store = nodes[racer % nodes.len()].clone();
        async move { store.reserve_attempt("jo", POLICY, NOW).await.unwrap() }
    });
    assert_eq!(count(&race(racers).await, &true), 5);
}

#[tokio::test]
async fn no_user_name_is_stored() {
    let database = TestDatabase::fresh().await;
    let store = database.store().await;
    let bucket = "members\njsmith";
    store.reserve_attempt(bucket, POLICY, NOW).await.unwrap();
    let stored: String = sqlx::query_scalar("SELECT bucket_hash FROM throttle")
        .fetch_one(&database.pool().await)
        .await
        .unwrap();
    assert!(!stored.contains("jsmith"));
}

#[tokio::test]
async fn an_attempt_taken_back_does_not_count_and_no_window_owes_any() {
    let database = TestDatabase::fresh().await;
    let store = database.store().await;
    store.return_attempt("office").await.unwrap();
    for _ in 0..20 {
        assert!(store.reserve_attempt("office", POLICY, NOW).await.unwrap());
        store.return_attempt("office").await.unwrap();
    }
    store.return_attempt("office").await.unwrap();
    for _ in 0..5 {
        assert!(store.reserve_attempt("office", POLICY, NOW).await.unwrap());
    }
    assert!(!store.reserve_attempt("office", POLICY, NOW).await.unwrap());
}

/// A name leads to the person who logged in with it last, is kept as a hash, and is forgotten when nobody uses it.
#[tokio::test]
async fn names_lead_to_one_person() {
    let database = TestDatabase::fresh().await;
    let store = database.store().await;
    let find = async |name: &str| store.find_throttle_alias(name).await.unwrap();
    assert_eq!(find("members\njsmith").await, None);
    for (name, person, at) in [
        ("members\njsmith", "one", NOW),
        ("members\nj@example.org", "one", NOW),
        ("members\nzoe", "two", NOW),
    ] {
        store.put_throttle_alias(name, person, at).await.unwrap();
    }
    let jo = find("members\njsmith").await.unwrap();
    assert_eq!(find("members\nj@example.org").await, Some(jo.clone()));
    assert_ne!(find("members\nzoe").await, Some(jo.clone()));
    assert!(!jo.contains("one"));
    // T34: what somebody writes into their own profile leads nobody else's guesses away.
    let told = store.add_throttle_alias("members\nj@example.org", "two", NOW + 1);
    told.await.unwrap();
    assert_eq!(find("members\nj@example.org").await, Some(jo.clone()));
    let moved = store.put_throttle_alias("members\nj@example.org", "two", NOW + 1);
    moved.await.unwrap();
    assert_eq!(
        find("members\nj@example.org").await,
        find("members\nzoe").await
    );
    // Seen again a month later, which lengthens its time.
    let month = 30 * 24 * 60 * 60;
    let seen = store.put_throttle_alias("members\nzoe", "two", NOW + month);
    seen.await.unwrap();
    let swept = store
        .sweep(NOW + 13 * month + 11 * 24 * 60 * 60, 1)
        .await
        .unwrap();
    assert_eq!(swept.throttle_aliases, 2);
    assert!(find("members\nzoe").await.is_some());
    assert_eq!(find("members\njsmith").await, None);
}
