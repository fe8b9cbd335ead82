//! Login attempts: T33, T34.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portico::clock::CLOCKS_APART;
use portico::model::throttle::{MAX_WINDOW, ThrottlePolicy, WindowStart};
use sha2::{Digest as _, Sha256};

use super::{NOW, count, race};
use crate::harness::database::TestDatabase;

const POLICY: ThrottlePolicy = ThrottlePolicy {
    attempts: 5,
    window: 900,
    starts_at: WindowStart::FirstAttempt,
};

#[tokio::test]
async fn a_window_gives_its_attempts_and_then_opens_again() {
    let database = TestDatabase::migrated().await;
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
    let database = TestDatabase::migrated().await;
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
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    for _ in 0..5 {
        store.reserve_attempt("jo", POLICY, NOW).await.unwrap();
    }
    store.forget_attempts("jo").await.unwrap();
    assert!(store.reserve_attempt("jo", POLICY, NOW).await.unwrap());
}

#[tokio::test]
async fn a_limit_of_none_forwards_none() {
    let database = TestDatabase::migrated().await;
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
    let database = TestDatabase::migrated().await;
    let nodes = [database.store().await, database.store().await];
    let racers = (0..100).map(|racer| {
        let store = nodes[racer % nodes.len()].clone();
        async move { store.reserve_attempt("jo", POLICY, NOW).await.unwrap() }
    });
    assert_eq!(count(&race(racers).await, &true), 5);
}

#[tokio::test]
async fn no_user_name_is_stored() {
    let database = TestDatabase::migrated().await;
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
    let database = TestDatabase::migrated().await;
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

/// An address, the user name, and the person that it leads to: each has its own limit.
const OF_ADDRESS: ThrottlePolicy = ThrottlePolicy {
    attempts: 8,
    ..POLICY
};
const OF_NAME: ThrottlePolicy = ThrottlePolicy {
    attempts: 3,
    window: 600,
    starts_at: WindowStart::LastAttempt,
};

/// The buckets of one login.
const fn login(names: [&str; 2]) -> [(&str, ThrottlePolicy); 3] {
    [
        ("address", OF_ADDRESS),
        (names[0], OF_NAME),
        (names[1], OF_NAME),
    ]
}

/// What is counted in each bucket, and until when.
async fn counted(database: &TestDatabase, bucket: &str) -> Option<(i64, i64)> {
    let rows: Vec<(String, i64, i64)> =
        sqlx::query_as("SELECT bucket_hash, attempts, window_ends_at FROM throttle")
            .fetch_all(&database.pool().await)
            .await
            .unwrap();
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(bucket));
    let row = rows.into_iter().find(|row| row.0 == hash);
    row.map(|(_, attempts, ends)| (attempts, ends))
}

/// T33, T34: one after the other, and what stands behind a bucket that is closed is not counted, nor does its window move.
#[tokio::test]
async fn of_several_buckets_the_first_that_is_closed_stops_the_count() {
    for names in [["jo", "person"], ["person", "jo"]] {
        let database = TestDatabase::migrated().await;
        let store = database.store().await;
        let [address, first, second] = login(names);
        for at in 1..=3 {
            let reserved = store.reserve_attempts(&login(names), NOW + at).await;
            assert_eq!(reserved.unwrap(), None);
        }
        for name in names {
            assert_eq!(counted(&database, name).await, Some((3, NOW + 603)));
        }
        // Both names are closed: the address counts on.
        let reserved = store.reserve_attempts(&login(names), NOW + 4).await;
        assert_eq!(reserved.unwrap(), Some(1));
        assert_eq!(counted(&database, "address").await, Some((4, NOW + 901)));
        // The second alone is: the first counts on.
        store.forget_attempts(first.0).await.unwrap();
        let reserved = store.reserve_attempts(&login(names), NOW + 5).await;
        assert_eq!(reserved.unwrap(), Some(2));
        assert_eq!(counted(&database, first.0).await, Some((1, NOW + 605)));
        assert_eq!(counted(&database, second.0).await, Some((3, NOW + 603)));
        // The address is: the names stay as they are, known or not.
        for _ in 0..3 {
            assert!(
                store
                    .reserve_attempt(address.0, address.1, NOW + 6)
                    .await
                    .unwrap()
            );
        }
        for names in [names, ["new", first.0]] {
            let reserved = store.reserve_attempts(&login(names), NOW + 7).await;
            assert_eq!(reserved.unwrap(), Some(0));
        }
        assert_eq!(counted(&database, first.0).await, Some((1, NOW + 605)));
        assert_eq!(counted(&database, "address").await, Some((8, NOW + 901)));
        // A window that has ended opens again, whichever it is.
        let reserved = store.reserve_attempts(&login(names), NOW + 901).await;
        assert_eq!(reserved.unwrap(), None);
        assert_eq!(counted(&database, second.0).await, Some((1, NOW + 1501)));
    }
}

/// T34: as many as the narrowest lets through, on however many nodes, and whatever order the names come in.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_logins_at_once_as_many_are_forwarded_as_each_bucket_has_room_for() {
    let database = TestDatabase::migrated().await;
    let nodes = [database.store().await, database.store().await];
    let racers = (0..100).map(|racer| {
        let store = nodes[racer % nodes.len()].clone();
        // Three people behind one address, who have three attempts each.
        let names = [["a", "A"], ["b", "B"], ["c", "C"]][racer % 3];
        async move {
            let reserved = store.reserve_attempts(&login(names), NOW).await;
            (names[0], reserved.unwrap().is_none())
        }
    });
    let outcomes = race(racers).await;
    let forwarded = outcomes.iter().filter(|(_, forwarded)| *forwarded);
    assert!(forwarded.clone().count() <= 8);
    for name in ["a", "b", "c"] {
        assert!(forwarded.clone().filter(|(of, _)| *of == name).count() <= 3);
    }
    assert_eq!(counted(&database, "address").await, Some((8, NOW + 900)));
}

#[tokio::test]
async fn success_takes_one_back_from_the_address_and_forgets_the_rest() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let buckets = ["address", "jo", "person"];
    let reserve = async || {
        store
            .reserve_attempts(&login(["jo", "person"]), NOW)
            .await
            .unwrap()
    };
    for _ in 0..3 {
        assert_eq!(reserve().await, None);
    }
    // Who may come in by another's name has proven nothing about that one.
    store.settle_attempts(&buckets, false).await.unwrap();
    for bucket in buckets {
        assert_eq!(counted(&database, bucket).await.unwrap().0, 2);
    }
    store.settle_attempts(&buckets, true).await.unwrap();
    assert_eq!(counted(&database, "address").await, Some((1, NOW + 900)));
    // Its end, which is in an index, is not written once more.
    assert_eq!(counted(&database, "jo").await, Some((0, NOW + 600)));
    for _ in 0..3 {
        assert_eq!(reserve().await, None);
    }
    assert_eq!(reserve().await, Some(1));
    // None owes any; and a window that was forgotten does not end before its time.
    for _ in 0..9 {
        store.settle_attempts(&buckets, true).await.unwrap();
    }
    assert_eq!(reserve().await, None);
    for (bucket, ends) in [
        ("address", NOW + 900),
        ("jo", NOW + 600),
        ("person", NOW + 600),
    ] {
        assert_eq!(counted(&database, bucket).await, Some((1, ends)));
    }
}

/// A name leads to the person who logged in with it last, is kept as a hash, and is forgotten when nobody uses it.
#[tokio::test]
async fn names_lead_to_one_person() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let find = async |name: &str| {
        let found = store.find_throttle_aliases(&[name]).await.unwrap();
        found.into_iter().next()
    };
    let note = async |person: &str, proven: Option<&str>, told: &[&str], at| {
        let noted = store.note_throttle_aliases(person, proven, told, at);
        noted.await.unwrap();
    };
    assert_eq!(find("members\njsmith").await, None);
    for (name, person, at) in [
        ("members\njsmith", "one", NOW),
        ("members\nj@example.org", "one", NOW),
        ("members\nzoe", "two", NOW),
    ] {
        note(person, Some(name), &[], at).await;
    }
    let jo = find("members\njsmith").await.unwrap();
    assert_eq!(find("members\nj@example.org").await, Some(jo.clone()));
    assert_ne!(find("members\nzoe").await, Some(jo.clone()));
    assert!(!jo.contains("one"));
    // T34: what somebody writes into their own profile leads nobody else's guesses away.
    note("two", None, &["members\nj@example.org"], NOW + 1).await;
    assert_eq!(find("members\nj@example.org").await, Some(jo.clone()));
    note("two", Some("members\nj@example.org"), &[], NOW + 1).await;
    assert_eq!(
        find("members\nj@example.org").await,
        find("members\nzoe").await
    );
    // Seen again a month later, which lengthens its time.
    let month = 30 * 24 * 60 * 60;
    note("two", Some("members\nzoe"), &[], NOW + month).await;
    let swept = store
        .sweep(NOW + 13 * month + 11 * 24 * 60 * 60, 1)
        .await
        .unwrap();
    assert_eq!(swept.throttle_aliases, 2);
    assert!(find("members\nzoe").await.is_some());
    assert_eq!(find("members\njsmith").await, None);
}

/// A window of a clock that was ahead is over once that is put right; what two nodes differ by is no step.
#[tokio::test]
async fn a_window_that_ends_too_late_is_over() {
    for starts_at in [WindowStart::FirstAttempt, WindowStart::LastAttempt] {
        let database = TestDatabase::migrated().await;
        let store = database.store().await;
        let policy = ThrottlePolicy {
            starts_at,
            ..POLICY
        };
        let reserve = |now| store.reserve_attempt("jo", policy, now);
        let latest = MAX_WINDOW + CLOCKS_APART - policy.window;
        for ahead in [10 * MAX_WINDOW, latest + 1] {
            for now in [NOW + ahead, NOW] {
                for _ in 0..5 {
                    assert!(reserve(now).await.unwrap());
                }
                assert!(!reserve(now).await.unwrap());
            }
            assert_eq!(counted(&database, "jo").await, Some((5, NOW + 900)));
            store.forget_attempts("jo").await.unwrap();
        }
        for _ in 0..5 {
            assert!(reserve(NOW + latest).await.unwrap());
        }
        assert!(!reserve(NOW).await.unwrap());
    }
}

/// The same where one statement counts in all of a login's buckets; each has its own length.
#[tokio::test]
async fn of_several_windows_each_that_ends_too_late_is_over() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let reserve = async |now| {
        let buckets = login(["jo", "person"]);
        store.reserve_attempts(&buckets, now).await.unwrap()
    };
    // What the longest of their windows may begin ahead, and more than what the shortest may.
    let latest = MAX_WINDOW + CLOCKS_APART - 900;
    let all = MAX_WINDOW + CLOCKS_APART - 600 + 1;
    for (ahead, attempts) in [
        (10 * MAX_WINDOW, 2),
        (10 * MAX_WINDOW, 4),
        (all, 2),
        (all, 4),
    ] {
        for at in 0..attempts {
            let closed = (at == 3).then_some(1);
            assert_eq!(reserve(NOW + ahead).await, closed);
        }
        for closed in [None, None, None, Some(1)] {
            assert_eq!(reserve(NOW).await, closed);
        }
        for (bucket, expected) in [
            ("address", (4, NOW + 900)),
            ("jo", (3, NOW + 600)),
            ("person", (3, NOW + 600)),
        ] {
            assert_eq!(counted(&database, bucket).await, Some(expected), "{bucket}");
            store.forget_attempts(bucket).await.unwrap();
        }
    }
    for _ in 0..3 {
        assert_eq!(reserve(NOW + latest).await, None);
    }
    assert_eq!(reserve(NOW).await, Some(1));
}
