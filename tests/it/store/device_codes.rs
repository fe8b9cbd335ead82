//! Device codes: one answer, one redemption, and no race that lets a device ask too often (T10, T11, T12, T21).

use portico::clock::SKEW;
use portico::model::device_code::{Approval, DeviceCode};
use portico::model::family::TokenFamily;
use portico::protocol::device::INTERVAL;
use portico::protocol::ids::FamilyId;
use portico::store::Redemption;

use super::{CAP, NOW, World, count, family, race};

const LIFE: i64 = 600;

impl World {
    fn device_code(&self) -> DeviceCode {
        DeviceCode {
            family_id: FamilyId::new(portico::clock::random_id()),
            client_id: self.client.client_id.clone(),
            scope: "openid profile".to_owned().try_into().unwrap(),
            resources: vec!["https://api.example.org".to_owned()],
            created_at: NOW,
            expires_at: NOW + LIFE,
            approval: None,
            denied_at: None,
            redeemed_at: None,
        }
    }

    fn approval(&self) -> Approval {
        let grant = self.code().grant;
        Approval {
            account_id: grant.account_id,
            authentication: grant.authentication,
            scope: "openid".to_owned().try_into().unwrap(),
            resources: Vec::new(),
        }
    }

    /// A code that was said yes to, and the family that it begins.
    async fn approved(&self, name: &str) -> TokenFamily {
        let code = self.device_code();
        let user = format!("user-{name}");
        assert!(
            self.store
                .insert_device_code(name, &user, &code)
                .await
                .unwrap()
        );
        let approval = self.approval();
        let answered = self
            .store
            .answer_device_code(&user, Some(&approval), NOW)
            .await;
        assert!(answered.unwrap());
        TokenFamily {
            id: code.family_id,
            ..family(&self.code())
        }
    }
}

#[tokio::test]
async fn a_device_code_comes_back_as_it_was_under_either_hash() {
    let world = World::new().await;
    let code = world.device_code();
    let store = &world.store;
    assert!(
        store
            .insert_device_code("device", "user", &code)
            .await
            .unwrap()
    );
    assert_eq!(
        store.find_device_code("device").await.unwrap(),
        Some(code.clone())
    );
    assert_eq!(
        store.find_device_code_by_user_code("user").await.unwrap(),
        Some(code)
    );
    assert_eq!(store.find_device_code("user").await.unwrap(), None);
    assert_eq!(
        store.find_device_code_by_user_code("device").await.unwrap(),
        None
    );
    // Somebody has that user code.
    let other = world.device_code();
    assert!(
        !store
            .insert_device_code("other", "user", &other)
            .await
            .unwrap()
    );
    assert_eq!(store.find_device_code("other").await.unwrap(), None);
}

/// T17: a yes is to what was shown, and a no changes nothing of what was asked for.
#[tokio::test]
async fn a_yes_leaves_what_was_shown() {
    let world = World::new().await;
    let store = &world.store;
    let resources = vec!["https://api.example.org".to_owned()];
    for (name, kept) in [("none", Vec::new()), ("one", resources)] {
        let asked = DeviceCode {
            resources: vec![
                "https://api.example.org".to_owned(),
                "https://more.example.org".to_owned(),
            ],
            ..world.device_code()
        };
        store.insert_device_code(name, name, &asked).await.unwrap();
        let approval = Approval {
            resources: kept.clone(),
            ..world.approval()
        };
        let answered = store.answer_device_code(name, Some(&approval), NOW).await;
        assert!(answered.unwrap());
        let found = store.find_device_code(name).await.unwrap().unwrap();
        assert_eq!((&found.scope, &found.resources), (&approval.scope, &kept));
        assert_eq!(found.approval, Some(approval));
    }
    let asked = world.device_code();
    store.insert_device_code("no", "no", &asked).await.unwrap();
    assert!(store.answer_device_code("no", None, NOW).await.unwrap());
    let denied = DeviceCode {
        denied_at: Some(NOW),
        ..asked
    };
    assert_eq!(store.find_device_code("no").await.unwrap(), Some(denied));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_answers_one_counts() {
    let world = World::new().await;
    let code = world.device_code();
    world
        .store
        .insert_device_code("device", "user", &code)
        .await
        .unwrap();
    let nodes = [world.store.clone(), world.other_node().await];
    let racers = (0..20).map(|racer| {
        let store = nodes[racer % 2].clone();
        let approval = (racer % 3 == 0).then(|| world.approval());
        async move {
            store
                .answer_device_code("user", approval.as_ref(), NOW)
                .await
                .unwrap()
        }
    });
    assert_eq!(count(&race(racers).await, &true), 1);
    let found = world
        .store
        .find_device_code("device")
        .await
        .unwrap()
        .unwrap();
    assert_ne!(found.approval.is_some(), found.denied_at.is_some());
}

/// T21: neither after its life nor before it.
#[tokio::test]
async fn a_device_code_is_answered_and_redeemed_within_its_life_alone() {
    let world = World::new().await;
    let store = &world.store;
    let code = world.device_code();
    store
        .insert_device_code("late", "user", &code)
        .await
        .unwrap();
    for at in [NOW + LIFE, NOW - SKEW - 1] {
        let answered = store
            .answer_device_code("user", Some(&world.approval()), at)
            .await;
        assert!(!answered.unwrap(), "{at}");
    }
    let family = world.approved("device").await;
    for (at, expected) in [
        (NOW + LIFE, Redemption::Gone),
        (NOW - SKEW - 1, Redemption::Gone),
        (NOW + LIFE - 1, Redemption::Redeemed(Vec::new())),
    ] {
        let outcome = store.redeem_device_code("device", &family, CAP, at).await;
        assert_eq!(outcome.unwrap(), expected, "{at}");
    }
}

/// T11, on two nodes; RFC 6749 section 4.1.2 in spirit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_devices_one_redeems_and_nothing_survives() {
    let world = World::new().await;
    let family = world.approved("device").await;
    let nodes = [world.store.clone(), world.other_node().await];
    let racers = (0..100).map(|racer| {
        let (store, family) = (nodes[racer % 2].clone(), family.clone());
        async move {
            store
                .redeem_device_code("device", &family, CAP, NOW)
                .await
                .unwrap()
        }
    });
    let outcomes = race(racers).await;
    assert_eq!(count(&outcomes, &Redemption::Redeemed(Vec::new())), 1);
    assert_eq!(count(&outcomes, &Redemption::Replayed), 99);
    let found = world.store.find_family(&family.id).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(NOW));
}

/// T10, T12: nobody's but its own, none that nobody said yes to, and no code of another kind.
#[tokio::test]
async fn a_device_code_begins_no_family_but_its_own() {
    let world = World::new().await;
    let store = &world.store;
    let right = world.approved("device").await;
    let waiting = world.device_code();
    store
        .insert_device_code("waiting", "waiting-user", &waiting)
        .await
        .unwrap();
    let of_waiting = TokenFamily {
        id: waiting.family_id,
        ..right.clone()
    };
    let other_client = TokenFamily {
        client_id: portico::protocol::ids::ClientId::new("another"),
        ..right.clone()
    };
    let other_family = TokenFamily {
        id: FamilyId::new("another"),
        ..right.clone()
    };
    for (hash, wrong) in [
        ("waiting", &of_waiting),
        ("device", &other_client),
        ("device", &other_family),
        ("user-device", &right),
    ] {
        let outcome = store.redeem_device_code(hash, wrong, CAP, NOW).await;
        assert_eq!(outcome.unwrap(), Redemption::Gone, "{hash}");
    }
    let as_code = store.redeem_code("device", &right, CAP, NOW).await;
    assert_eq!(as_code.unwrap(), Redemption::Gone);
    store.end_session(&world.session.id, NOW).await.unwrap();
    let ended = store.redeem_device_code("device", &right, CAP, NOW).await;
    assert_eq!(ended.unwrap(), Redemption::Gone);
}

/// RFC 8628 section 3.5: of many questions at once, one is in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_questions_at_once_one_is_in_time() {
    let world = World::new().await;
    let code = world.device_code();
    world
        .store
        .insert_device_code("device", "user", &code)
        .await
        .unwrap();
    let nodes = [world.store.clone(), world.other_node().await];
    let racers = (0..20).map(|racer| {
        let store = nodes[racer % 2].clone();
        async move { store.poll_device_code("device", NOW).await.unwrap() }
    });
    assert_eq!(count(&race(racers).await, &true), 1);
    let later = NOW + 60;
    assert!(world.store.poll_device_code("device", later).await.unwrap());
    assert!(
        !world
            .store
            .poll_device_code("device", later + INTERVAL)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn device_codes_go_a_day_after_they_ended_and_hold_their_session_till_then() {
    let world = World::new().await;
    let store = &world.store;
    world.approved("device").await;
    store.end_session(&world.session.id, NOW).await.unwrap();
    let day = 24 * 3600;
    let swept = store.sweep(NOW + LIFE + day - 1, 10).await.unwrap();
    assert_eq!((swept.device_codes, swept.sessions), (0, 0));
    let swept = store.sweep(NOW + LIFE + day, 10).await.unwrap();
    assert_eq!(
        (swept.device_codes, swept.sessions, swept.total()),
        (1, 1, 2)
    );
}
