//! Sessions: T24, and what ends with one.

use portico::model::device::Device;
use portico::model::family::TokenFamily;
use portico::model::session::Session;
use portico::protocol::ids::{SessionId, UpstreamId};
use portico::store::StoreError;

use super::{NOW, World, count, family, race, session};

#[tokio::test]
async fn a_session_comes_back_as_it_was() {
    let world = World::new().await;
    let found = world.store.find_signed_in("session-hash").await;
    let (session, (account, known)) = found.unwrap().unwrap();
    assert_eq!((session, account), (world.session.clone(), world.account));
    // A refresh or a session for another app asks by this, and by nothing else.
    let check = world.store.find_check(&world.session.id).await.unwrap();
    assert!(check.is_some());
    assert_eq!(known, check);
    let found = world.store.find_session(&world.session.id).await;
    assert_eq!(found.unwrap(), Some(world.session));
}

/// T24: the session that the browser had is dead, and its families with it.
#[tokio::test]
async fn a_login_ends_the_session_it_replaces() {
    let world = World::new().await;
    let bound = world.begin(family(&world.code())).await;
    let next = Session {
        last_seen_at: NOW + 100,
        ..session(&world.account)
    };
    world
        .store
        .replace_session("next-hash", &next, Some(&world.session.id), &[], None)
        .await
        .unwrap();
    let old = world.store.find_session(&world.session.id).await.unwrap();
    assert_eq!(old.unwrap().ended_at, Some(NOW + 100));
    let family = world.store.find_family(&bound.id).await.unwrap();
    assert_eq!(family.unwrap().revoked_at, Some(NOW + 100));
    let found = world.store.find_signed_in("next-hash").await;
    let found = found
        .unwrap()
        .map(|(session, (account, _))| (session, account));
    assert_eq!(found, Some((next, world.account)));
}

/// Those that nobody used since they began go first, then those that were used the longest ago; never the newest.
#[tokio::test]
async fn a_person_has_so_many_sessions() {
    let world = World::new().await;
    let store = &world.store;
    let begin = async |secret: &str, at: i64, used: i64| {
        let begun = Session {
            auth_time: NOW + at,
            began_at: NOW + at,
            last_seen_at: NOW + used,
            ..session(&world.account)
        };
        let kept = store.replace_session(secret, &begun, None, &[], None).await;
        assert!(kept.unwrap());
        begun
    };
    let ids = |ended: Result<Vec<(SessionId, UpstreamId)>, StoreError>| {
        let ended = ended.unwrap().into_iter();
        ended.map(|(id, _)| id).collect::<Vec<_>>()
    };
    let mut used = begin("a", 1, 500).await;
    // Its person logs in again within it, which is a use of it.
    used.auth_time = NOW + 500;
    assert!(store.renew_session("e", &used, None).await.unwrap());
    let long_ago = begin("b", 2, 300).await;
    let never = begin("c", 400, 400).await;
    let newest = begin("d", 600, 600).await;
    let none = store.end_sessions_beyond(&newest, 5, NOW + 600).await;
    assert_eq!(none.unwrap(), []);
    // One more than a person may have.
    let ended = store.end_sessions_beyond(&newest, 4, NOW + 600).await;
    assert_eq!(ids(ended), [world.session.id]);
    // One that is over by itself stands in nobody's way.
    let over = Session {
        last_seen_at: NOW + 450,
        expires_at: NOW + 599,
        ..session(&world.account)
    };
    let kept = store.replace_session("over", &over, None, &[], None).await;
    assert!(kept.unwrap());
    let none = store.end_sessions_beyond(&newest, 4, NOW + 600).await;
    assert_eq!(none.unwrap(), []);
    let ended = store.end_sessions_beyond(&newest, 3, NOW + 600).await;
    assert_eq!(ids(ended), [never.id]);
    let ended = store.end_sessions_beyond(&newest, 2, NOW + 600).await;
    assert_eq!(ids(ended), [long_ago.id]);
    let ended = store.end_sessions_beyond(&newest, 1, NOW + 600).await;
    assert_eq!(ids(ended), [used.id]);
    let ended = store.end_sessions_beyond(&newest, 1, NOW + 600).await;
    assert_eq!(ended.unwrap(), []);
}

/// T24: the old cookie is dead, and what belongs to the session goes on.
#[tokio::test]
async fn a_renewed_session_has_another_secret_and_the_same_families() {
    let world = World::new().await;
    let bound = world.begin(family(&world.code())).await;
    let renewed = Session {
        auth_time: NOW + 100,
        last_seen_at: NOW + 100,
        amr: vec!["otp".to_owned()],
        acr: Some("urn:example:two".to_owned()),
        expires_at: world.session.expires_at + 100,
        persistent: true,
        device: Device::default(),
        ..world.session.clone()
    };
    let store = &world.store;
    assert!(
        store
            .renew_session("next-hash", &renewed, None)
            .await
            .unwrap()
    );
    let old = store.find_signed_in("session-hash").await.unwrap();
    assert_eq!(old, None);
    let found = store.find_signed_in("next-hash").await.unwrap();
    let found = found.map(|(session, (account, _))| (session, account));
    assert_eq!(found, Some((renewed.clone(), world.account.clone())));
    let family = store.find_family(&bound.id).await.unwrap();
    assert_eq!(family.unwrap().revoked_at, None);

    let another = Session {
        upstream: UpstreamId::new("another"),
        ..renewed.clone()
    };
    assert!(
        !store.renew_session("x", &another, None).await.unwrap(),
        "only at the same upstream"
    );
    store.end_session(&renewed.id, NOW + 101).await.unwrap();
    assert!(
        !store.renew_session("x", &renewed, None).await.unwrap(),
        "an ended one stays ended"
    );
}

/// A login that was on its way when its account was closed, whether the session names it or not.
#[tokio::test]
async fn no_session_begins_or_is_renewed_in_a_closed_account() {
    for subject in [None, Some("4711".to_owned())] {
        let world = World::new().await;
        let store = &world.store;
        let closed = store.disable_account(&world.account.id, NOW).await;
        assert_eq!(closed.unwrap(), Some(vec![world.session.id.clone()]));
        let late = Session {
            upstream_subject: subject,
            ..session(&world.account)
        };
        let begun = store.replace_session("late", &late, None, &[], None).await;
        assert!(!begun.unwrap(), "{late:?}");
        assert_eq!(store.find_session(&late.id).await.unwrap(), None);
        assert!(store.enable_account(&world.account.id).await.unwrap());
        let begun = store.replace_session("late", &late, None, &[], None).await;
        assert!(begun.unwrap(), "{late:?}");
        // However it came to be closed.
        sqlx::query("UPDATE account SET disabled_at = 1")
            .execute(&world.database.pool().await)
            .await
            .unwrap();
        let renewed = store.renew_session("renewed", &late, None).await;
        assert!(!renewed.unwrap(), "{late:?}");
        assert_eq!(store.find_signed_in("renewed").await.unwrap(), None);
    }
}

/// A session that cannot begin ends nothing.
#[tokio::test]
async fn a_login_that_fails_leaves_the_session_alone() {
    let world = World::new().await;
    let clash = session(&world.account);
    world
        .store
        .replace_session("session-hash", &clash, Some(&world.session.id), &[], None)
        .await
        .unwrap_err();
    let found = world.store.find_session(&world.session.id).await;
    assert_eq!(found.unwrap(), Some(world.session));
}

/// OpenID Connect Back-Channel Logout section 2.7.
#[tokio::test]
async fn ending_a_session_spares_offline_families() {
    let world = World::new().await;
    let bound = world.begin(family(&world.code())).await;
    let offline = TokenFamily {
        offline: true,
        ..family(&world.code())
    };
    let offline = world.begin(offline).await;
    let id = &world.session.id;
    assert!(world.store.end_session(id, NOW + 1).await.unwrap());
    assert!(!world.store.end_session(id, NOW + 2).await.unwrap());
    let found = world.store.find_session(id).await.unwrap().unwrap();
    assert_eq!(found.ended_at, Some(NOW + 1));
    let bound = world.store.find_family(&bound.id).await.unwrap().unwrap();
    assert_eq!(bound.revoked_at, Some(NOW + 1));
    let found = world.store.find_family(&offline.id).await.unwrap();
    assert_eq!(found, Some(offline));
}

#[tokio::test]
async fn only_a_live_session_is_reported_as_ended() {
    let world = World::new().await;
    let end = world.session.expires_at;
    let ended = world.store.end_session(&world.session.id, end).await;
    assert!(!ended.unwrap());
    let unknown = SessionId::new("unknown");
    assert!(!world.store.end_session(&unknown, NOW).await.unwrap());
}

#[tokio::test]
async fn a_session_moves_in_steps_of_a_minute_and_never_back() {
    let world = World::new().await;
    let id = &world.session.id;
    for (now, expected) in [
        (NOW + 59, NOW),
        (NOW + 60, NOW + 60),
        (NOW - 500, NOW + 60),
        (NOW + 119, NOW + 60),
        (NOW + 500, NOW + 500),
    ] {
        let found = world.store.find_session(id).await.unwrap().unwrap();
        // By whoever has just read it, and by another who did before anybody touched it.
        for read in [&world.session, &found] {
            let touched = world.store.touch_session(&read.id, read.last_seen_at, now);
            touched.await.unwrap();
        }
        let found = world.store.find_session(id).await.unwrap().unwrap();
        assert_eq!(found.last_seen_at, expected, "touched at {now}");
    }
}

#[tokio::test]
async fn an_ended_session_is_not_touched() {
    let world = World::new().await;
    let id = &world.session.id;
    world.store.end_session(id, NOW).await.unwrap();
    let before = &world.session;
    let touched = world
        .store
        .touch_session(id, before.last_seen_at, NOW + 500);
    touched.await.unwrap();
    let found = world.store.find_session(id).await.unwrap().unwrap();
    assert_eq!(found.last_seen_at, NOW);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_logouts_at_once_one_ends_the_session() {
    let world = World::new().await;
    let racers = (0..20).map(|_| {
        let (store, id) = (world.store.clone(), world.session.id.clone());
        async move { store.end_session(&id, NOW).await.unwrap() }
    });
    assert_eq!(count(&race(racers).await, &true), 1);
}
