//! Families: T19, T21.

use std::pin::Pin;
use std::time::Duration;

use portico::model::code::AuthorizationCode;
use portico::model::family::{FamilyCaps, Recipient, TokenFamily};
use portico::protocol::dpop::{Thumbprint, ath};
use portico::protocol::ids::FamilyId;
use portico::protocol::scope::Scope;
use portico::store::Redemption;
use tokio::time::timeout;

use super::{CAP, NOW, World, code, count, family, race, session, stored};

#[tokio::test]
async fn a_family_advances_from_its_generation_alone() {
    let world = World::new().await;
    let family = world.begin(family(&world.code())).await;
    let narrowed = Scope::parse("openid").unwrap();
    let elsewhere = Recipient {
        address: Some("192.0.2.7".to_owned()),
        user_agent: Some("app/2".to_owned()),
    };
    let narrow = TokenFamily {
        scope: narrowed.clone(),
        ..family.clone()
    };
    let advance = |from, to, now| {
        world
            .store
            .advance_family(&narrow, from, to, &elsewhere, move || now)
    };
    assert!(!advance(2, 3, NOW + 5).await.unwrap());
    assert!(advance(1, 2, NOW + 5).await.unwrap());
    assert!(!advance(1, 2, NOW + 5).await.unwrap());
    let expected = TokenFamily {
        generation: Some(2),
        scope: narrowed.clone(),
        rotated_at: NOW + 5,
        recipient: elsewhere.clone(),
        ..family.clone()
    };
    let found = world.store.find_family(&family.id).await.unwrap();
    assert_eq!(found, Some(expected));
}

#[tokio::test]
async fn an_ended_family_does_not_advance() {
    let world = World::new().await;
    let expired = world.begin(family(&world.code())).await;
    let advanced = world
        .store
        .advance_family(&expired, 1, 2, &Recipient::default(), || expired.expires_at)
        .await;
    assert!(!advanced.unwrap());

    let revoked = world.begin(family(&world.code())).await;
    assert!(world.store.revoke_family(&revoked.id, NOW).await.unwrap());
    let advanced = world
        .store
        .advance_family(&revoked, 1, 2, &Recipient::default(), || NOW)
        .await;
    assert!(!advanced.unwrap());

    let without = TokenFamily {
        generation: None,
        ..family(&world.code())
    };
    let without = world.begin(without).await;
    let advanced = world
        .store
        .advance_family(&without, 1, 2, &Recipient::default(), || NOW)
        .await;
    assert!(!advanced.unwrap());
}

#[tokio::test]
async fn revoking_tells_whether_the_family_was_live() {
    let world = World::new().await;
    let live = world.begin(family(&world.code())).await;
    let lapsed = world.begin(family(&world.code())).await;
    let store = &world.store;
    assert!(store.revoke_family(&live.id, NOW + 1).await.unwrap());
    assert!(!store.revoke_family(&live.id, NOW + 2).await.unwrap());
    let found = store.find_family(&live.id).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(NOW + 1));
    let end = lapsed.expires_at;
    assert!(!store.revoke_family(&lapsed.id, end).await.unwrap());
    let unknown = FamilyId::new("unknown");
    assert!(!store.revoke_family(&unknown, NOW).await.unwrap());
}

/// T19.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_parallel_refreshes_one_advances() {
    let world = World::new().await;
    let family = world.begin(family(&world.code())).await;
    let nodes = [world.store.clone(), world.other_node().await];
    let racers = (0..50).map(|racer| {
        let store = nodes[racer % nodes.len()].clone();
        let family = family.clone();
        async move {
            store
                .advance_family(&family, 1, 2, &Recipient::default(), || NOW)
                .await
                .unwrap()
        }
    });
    assert_eq!(count(&race(racers).await, &true), 1);
    let found = world.store.find_family(&family.id).await.unwrap().unwrap();
    assert_eq!(found.generation, Some(2));
}

/// Logouts, redemptions at the cap and a client's removal revoke overlapping sets of families. PostgreSQL may find
/// them deadlocked; nobody may notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn those_who_revoke_the_same_families_all_succeed() {
    let world = World::new().await;
    let app = [super::stored(&world.client)];
    for round in 0..10 {
        let mut racers: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        for device in 0..4 {
            let session = session(&world.account);
            let secret = format!("secret-{round}-{device}");
            let begun = world
                .store
                .replace_session(&secret, &session, None, &[], None);
            begun.await.unwrap();
            for _ in 0..5 {
                let code = code(&world.client.client_id, &session);
                world.begin(family(&code)).await;
            }
            let code = code(&world.client.client_id, &session);
            let hash = format!("code-{round}-{device}");
            world.store.insert_code(&hash, &code).await.unwrap();
            let family = family(&code);
            let store = world.store.clone();
            let one = FamilyCaps {
                per_client: 1,
                ..CAP
            };
            racers.push(Box::pin(async move {
                store.redeem_code(&hash, &family, one, NOW).await.unwrap();
            }));
            let store = world.store.clone();
            racers.push(Box::pin(async move {
                store.end_session(&session.id, NOW).await.unwrap();
            }));
        }
        let store = world.store.clone();
        racers.push(Box::pin(async move {
            store.reconcile_clients(&[], NOW).await.unwrap();
        }));
        race(racers).await;
        let back = world.store.reconcile_clients(&app, NOW).await;
        back.unwrap();
    }
}

/// RFC 9449 section 5: a family takes one key, and the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_family_is_bound_to_one_key() {
    let world = World::new().await;
    let nodes = [world.store.clone(), world.other_node().await];
    let family = world.begin(family(&world.code())).await;
    let key = |number: usize| Thumbprint::parse(&ath(&number.to_string())).unwrap();
    let racers = (0..10).map(|number: usize| {
        let (store, id) = (nodes[number % 2].clone(), family.id.clone());
        let key = key(number);
        async move {
            let bound = store.bind_family(&id, &key, 1, || NOW + 9);
            bound.await.unwrap()
        }
    });
    let outcomes = race(racers).await;
    assert_eq!(outcomes.iter().filter(|won| **won).count(), 1);
    let winner = outcomes.iter().position(|won| *won).unwrap();
    let found = world.store.find_family(&family.id).await.unwrap().unwrap();
    let bound = TokenFamily {
        jkt: Some(key(winner)),
        bound_generation: Some(1),
        bound_at: Some(NOW + 9),
        ..family.clone()
    };
    // Whoever has read it before does not move it on: what they were given would be bound to a key that they did not show.
    let nobody = Recipient::default();
    let unbound = world.store.advance_family(&family, 1, 2, &nobody, || NOW);
    assert!(!unbound.await.unwrap());
    assert_eq!(found, bound);
    // One that is begun with a key keeps it, and one that has ended takes none.
    let other = TokenFamily {
        jkt: Some(key(7)),
        ..self::family(&world.code())
    };
    let other = world.begin(other).await;
    assert!(
        !world
            .store
            .bind_family(&other.id, &key(8), 1, || NOW)
            .await
            .unwrap()
    );
    let found = world.store.find_family(&other.id).await.unwrap();
    assert_eq!(found, Some(other));
    let ended = world.begin(self::family(&world.code())).await;
    world.store.revoke_family(&ended.id, NOW).await.unwrap();
    assert!(
        !world
            .store
            .bind_family(&ended.id, &key(9), 1, || NOW)
            .await
            .unwrap()
    );
}

/// The family of an access token that the browser carries.
fn in_the_browser(code: &AuthorizationCode) -> TokenFamily {
    TokenFamily {
        generation: None,
        expires_at: NOW + 600,
        ..family(code)
    }
}

/// A code of the same answer takes the family over, so that a replay ends both tokens (T11).
#[tokio::test]
async fn a_code_takes_over_the_family_of_the_token_beside_it() {
    let world = World::new().await;
    let code = world.code();
    let front = in_the_browser(&code);
    assert!(world.store.begin_family(&front).await.unwrap());
    let found = world.store.find_family(&front.id).await.unwrap();
    assert_eq!(found, Some(front.clone()));
    world.store.insert_code("hash", &code).await.unwrap();
    let whole = TokenFamily {
        offline: true,
        scope: Scope::parse("openid profile").unwrap(),
        rotated_at: NOW + 7,
        ..family(&code)
    };
    let redeem = || world.store.redeem_code("hash", &whole, CAP, NOW + 7);
    assert_eq!(redeem().await.unwrap(), Redemption::Redeemed(Vec::new()));
    let found = world.store.find_family(&front.id).await.unwrap();
    assert_eq!(found, Some(whole.clone()));
    assert_eq!(redeem().await.unwrap(), Redemption::Replayed);
    let found = world.store.find_family(&front.id).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(NOW + 7));
}

/// What was revoked is not brought back by the code beside it, nor is a family ever begun twice.
#[tokio::test]
async fn a_revoked_or_a_whole_family_is_not_taken_over() {
    let world = World::new().await;
    let code = world.code();
    let front = in_the_browser(&code);
    assert!(world.store.begin_family(&front).await.unwrap());
    assert!(world.store.revoke_family(&front.id, NOW).await.unwrap());
    world.store.insert_code("hash", &code).await.unwrap();
    let whole = family(&code);
    let redemption = world.store.redeem_code("hash", &whole, CAP, NOW);
    assert_eq!(redemption.await.unwrap(), Redemption::Gone);
    let found = world.store.find_family(&front.id).await.unwrap().unwrap();
    assert_eq!((found.revoked_at, found.generation), (Some(NOW), None));

    let whole = family(&world.code());
    let whole = world.begin(whole).await;
    let again = TokenFamily {
        generation: None,
        ..whole.clone()
    };
    assert!(!world.store.begin_family(&again).await.unwrap());
    let found = world.store.find_family(&whole.id).await.unwrap();
    assert_eq!(found, Some(whole));
}

/// T35: a logout that races the answer leaves nothing behind, whichever comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_family_of_the_browser_outlives_a_logout_that_races_it() {
    let world = World::new().await;
    for round in 0..30 {
        let session = session(&world.account);
        let secret = format!("secret-{round}");
        let replaced = world
            .store
            .replace_session(&secret, &session, None, &[], None);
        replaced.await.unwrap();
        let family = in_the_browser(&code(&world.client.client_id, &session));
        let (beginning, ending) = (world.store.clone(), world.store.clone());
        let copy = family.clone();
        let begin = tokio::spawn(async move { beginning.begin_family(&copy).await });
        let logout = tokio::spawn(async move { ending.end_session(&session.id, NOW).await });
        let stands = begin.await.unwrap().unwrap();
        assert!(logout.await.unwrap().unwrap());
        let found = world.store.find_family(&family.id).await.unwrap();
        let revoked = found.map(|found| found.revoked_at);
        assert_eq!(revoked, stands.then_some(Some(NOW)));
    }
}

/// Nor a client that is taken out of the configuration: whoever comes while it goes waits, and finds none.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_family_of_the_browser_outlives_a_removed_client() {
    let world = World::new().await;
    let before = in_the_browser(&world.code());
    assert!(world.store.begin_family(&before).await.unwrap());
    world.store.reconcile_clients(&[], NOW).await.unwrap();
    let found = world.store.find_family(&before.id).await.unwrap();
    assert_eq!(found.unwrap().revoked_at, Some(NOW));

    let app = [stored(&world.client)];
    world.store.reconcile_clients(&app, NOW).await.unwrap();
    let pool = world.database.pool().await;
    let family = in_the_browser(&world.code());
    let removal = "DELETE FROM client WHERE id = $1";
    let mut removing = pool.begin_with("BEGIN").await.unwrap();
    let removed = sqlx::query(removal).bind(family.client_id.as_str());
    removed.execute(&mut *removing).await.unwrap();
    let (beginning, copy) = (world.store.clone(), family.clone());
    let mut begin = tokio::spawn(async move { beginning.begin_family(&copy).await });
    let early = timeout(Duration::from_millis(200), &mut begin).await;
    assert!(early.is_err(), "it began while the client was going");
    removing.commit().await.unwrap();
    assert!(!begin.await.unwrap().unwrap());
    // Nor is it there when somebody registers that id again.
    world.store.reconcile_clients(&app, NOW).await.unwrap();
    assert_eq!(world.store.find_family(&family.id).await.unwrap(), None);
}
