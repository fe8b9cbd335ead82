//! Codes: T10, T11, T12, T21, T22.

use portico::clock::SKEW;
use portico::model::code::{AuthorizationCode, LIFETIME};
use portico::model::family::{FamilyCaps, TokenFamily};
use portico::model::session::Session;
use portico::protocol::ids::{ClientId, SessionId};
use portico::store::{Redeemable, Redemption};

use super::leftovers::{refuse, refuse_no_more};
use super::{CAP, NOW, World, client, code, count, family, race, session, stored};

#[tokio::test]
async fn a_code_comes_back_as_it_was() {
    let world = World::new().await;
    let code = world.code();
    world.store.insert_code("hash", &code).await.unwrap();
    let found = world.store.find_code("hash").await.unwrap();
    let Redeemable {
        code: found,
        standing,
        noted,
    } = found.unwrap();
    assert_eq!(found, code);
    assert!(!noted);
    // What stands behind its session is what a look at that finds.
    let looked_at = world.store.find_standing(&world.session.id).await;
    assert_eq!(standing, looked_at.unwrap());
    assert_eq!(standing.unwrap().0, world.account);
    assert_eq!(world.store.find_code("other").await.unwrap(), None);
    let noted = world
        .store
        .note_session_client(&world.session.id, &world.client.client_id);
    assert!(noted.await.unwrap());
    let found = world.store.find_code("hash").await.unwrap();
    assert!(found.unwrap().noted);
}

#[tokio::test]
async fn a_redeemed_code_gives_its_family_and_is_remembered() {
    let world = World::new().await;
    let code = world.code();
    let family = family(&code);
    world.store.insert_code("hash", &code).await.unwrap();
    let redemption = world.store.redeem_code("hash", &family, CAP, NOW + 1).await;
    assert_eq!(redemption.unwrap(), Redemption::Redeemed(Vec::new()));
    let found = world.store.find_family(&family.id).await.unwrap();
    assert_eq!(found, Some(family));
    let spent = AuthorizationCode {
        redeemed_at: Some(NOW + 1),
        ..code
    };
    let found = world.store.find_code("hash").await.unwrap();
    assert_eq!(found.unwrap().code, spent);
}

/// RFC 6749 section 4.1.2, however late the replay.
#[tokio::test]
async fn a_replay_revokes_what_the_code_gave() {
    let world = World::new().await;
    let code = world.code();
    let family = TokenFamily {
        offline: true,
        ..family(&code)
    };
    world.store.insert_code("hash", &code).await.unwrap();
    world
        .store
        .redeem_code("hash", &family, CAP, NOW)
        .await
        .unwrap();
    // The session's end leaves an offline family alone, and must not hide the replay.
    world
        .store
        .end_session(&world.session.id, NOW + 10)
        .await
        .unwrap();
    let late = NOW + 10 * LIFETIME;
    let replay = world.store.redeem_code("hash", &family, CAP, late).await;
    assert_eq!(replay.unwrap(), Redemption::Replayed);
    let found = world.store.find_family(&family.id).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(late));
}

/// T11, on one node and on three.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_racers_one_redeems_and_nothing_survives() {
    let world = World::new().await;
    let nodes = [
        world.store.clone(),
        world.other_node().await,
        world.other_node().await,
    ];
    for (hash, nodes) in [("one-node", &nodes[..1]), ("three-nodes", &nodes[..])] {
        let code = world.code();
        let family = family(&code);
        world.store.insert_code(hash, &code).await.unwrap();
        let racers = (0..100).map(|racer| {
            let store = nodes[racer % nodes.len()].clone();
            let family = family.clone();
            async move { store.redeem_code(hash, &family, CAP, NOW).await.unwrap() }
        });
        let outcomes = race(racers).await;
        assert_eq!(
            count(&outcomes, &Redemption::Redeemed(Vec::new())),
            1,
            "{hash}"
        );
        assert_eq!(count(&outcomes, &Redemption::Replayed), 99, "{hash}");
        let found = world.store.find_family(&family.id).await.unwrap().unwrap();
        assert_eq!(found.revoked_at, Some(NOW), "{hash}");
    }
}

/// T21: nor before its life began, which is where a clock that stepped back stands. (By less, another node's may differ.)
#[tokio::test]
async fn a_code_is_redeemed_within_its_life_alone() {
    let world = World::new().await;
    let code = world.code();
    let family = family(&code);
    world.store.insert_code("hash", &code).await.unwrap();
    for (at, expected) in [
        (NOW + LIFETIME, Redemption::Gone),
        (NOW - SKEW - 1, Redemption::Gone),
        (NOW + LIFETIME - 1, Redemption::Redeemed(Vec::new())),
    ] {
        let outcome = world.store.redeem_code("hash", &family, CAP, at).await;
        assert_eq!(outcome.unwrap(), expected, "at {at}");
    }
}

#[tokio::test]
async fn a_code_of_an_ended_session_is_gone() {
    let world = World::new().await;
    let code = world.code();
    let family = family(&code);
    world.store.insert_code("hash", &code).await.unwrap();
    world
        .store
        .end_session(&world.session.id, NOW)
        .await
        .unwrap();
    let outcome = world.store.redeem_code("hash", &family, CAP, NOW).await;
    assert_eq!(outcome.unwrap(), Redemption::Gone);
    assert_eq!(world.store.find_family(&family.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_code_of_a_disabled_account_is_gone() {
    let world = World::new().await;
    let code = world.code();
    world.store.insert_code("hash", &code).await.unwrap();
    let pool = world.database.pool().await;
    sqlx::query("UPDATE account SET disabled_at = 1")
        .execute(&pool)
        .await
        .unwrap();
    let outcome = world
        .store
        .redeem_code("hash", &family(&code), CAP, NOW)
        .await;
    assert_eq!(outcome.unwrap(), Redemption::Gone);
}

/// T10: the statement itself ties the family to the code.
#[tokio::test]
async fn a_code_begins_no_other_family_than_its_own() {
    let world = World::new().await;
    let code = world.code();
    let right = family(&code);
    world.store.insert_code("hash", &code).await.unwrap();
    let other_client = TokenFamily {
        client_id: ClientId::new("another"),
        ..right.clone()
    };
    let other_family = family(&world.code());
    // A session that is really there: a made-up one would be refused for that alone.
    let second = Session {
        id: SessionId::new("second"),
        ..world.session.clone()
    };
    let store = &world.store;
    store
        .replace_session("another-hash", &second, None, &[], None)
        .await
        .unwrap();
    let mut other_session = right.clone();
    other_session.authentication.session_id = second.id;
    for wrong in [other_client, other_family, other_session] {
        let outcome = world.store.redeem_code("hash", &wrong, CAP, NOW).await;
        assert_eq!(outcome.unwrap(), Redemption::Gone);
    }
    let outcome = world.store.redeem_code("hash", &right, CAP, NOW).await;
    assert_eq!(outcome.unwrap(), Redemption::Redeemed(Vec::new()));
}

/// T12.
#[tokio::test]
async fn what_finds_one_kind_of_row_finds_no_other() {
    let world = World::new().await;
    let code = world.code();
    let family = family(&code);
    world.store.insert_code("a-code", &code).await.unwrap();
    world
        .store
        .keep_pending_request("a-request", "sealed", NOW + 60)
        .await
        .unwrap();
    for hash in ["session-hash", "a-request", family.id.as_str()] {
        assert_eq!(world.store.find_code(hash).await.unwrap(), None, "{hash}");
        let outcome = world.store.redeem_code(hash, &family, CAP, NOW).await;
        assert_eq!(outcome.unwrap(), Redemption::Gone, "{hash}");
    }
    for hash in ["a-code", "a-request", world.session.id.as_str()] {
        let found = world.store.find_signed_in(hash).await.unwrap();
        assert_eq!(found, None, "{hash}");
    }
    for hash in ["a-code", "session-hash"] {
        let found = world.store.find_pending_request(hash, NOW).await.unwrap();
        assert_eq!(found, None, "{hash}");
    }
    let by_secret = SessionId::new("session-hash");
    assert_eq!(world.store.find_session(&by_secret).await.unwrap(), None);
}

/// T22: the oldest end first; families without refresh tokens, ended ones and those of others do not count.
#[tokio::test]
async fn the_oldest_families_beyond_the_cap_end() {
    let world = World::new().await;
    let mut begun = Vec::new();
    for age in [50, 40, 30, 20] {
        let family = TokenFamily {
            created_at: NOW - age,
            ..family(&world.code())
        };
        begun.push(world.begin(family).await);
    }
    let without = TokenFamily {
        generation: None,
        created_at: NOW - 60,
        ..family(&world.code())
    };
    begun.push(world.begin(without).await);
    let code = world.code();
    // A clock that stepped back makes the newest look like the oldest.
    let newest = TokenFamily {
        created_at: NOW - 1000,
        ..family(&code)
    };
    world.store.insert_code("hash", &code).await.unwrap();
    let three = FamilyCaps {
        per_client: 3,
        ..CAP
    };
    let redeemed = world.store.redeem_code("hash", &newest, three, NOW).await;
    let Redemption::Redeemed(mut ended) = redeemed.unwrap() else {
        panic!("the code is good");
    };
    begun.push(newest);
    let mut live = Vec::new();
    for family in &begun {
        let found = world.store.find_family(&family.id).await.unwrap().unwrap();
        live.push(found.revoked_at.is_none());
    }
    assert_eq!(live, [false, false, true, true, true, true]);
    let mut gone = [begun[0].id.clone(), begun[1].id.clone()];
    gone.sort_by_key(ToString::to_string);
    ended.sort_by_key(|(family, _)| family.to_string());
    let ended: Vec<_> = ended.into_iter().map(|(family, _)| family).collect();
    assert_eq!(ended, gone);
}

/// T22: over all clients those end that were used the longest ago.
#[tokio::test]
async fn the_families_of_a_person_beyond_the_cap_end() {
    let world = World::new().await;
    let other = ClientId::new("other");
    let clients = [stored(&world.client), stored(&client("other"))];
    world.store.reconcile_clients(&clients, NOW).await.unwrap();
    let mut begun = Vec::new();
    for (client_id, rotated_at) in [
        (&world.client.client_id, NOW - 5),
        (&other, NOW - 9),
        (&world.client.client_id, NOW - 1),
    ] {
        let code = code(client_id, &world.session);
        let family = TokenFamily {
            created_at: NOW - 10,
            rotated_at,
            ..family(&code)
        };
        begun.push(world.begin(family).await);
    }
    let code = world.code();
    world.store.insert_code("hash", &code).await.unwrap();
    let two = FamilyCaps {
        per_person: 2,
        ..CAP
    };
    let newest = family(&code);
    let redeemed = world.store.redeem_code("hash", &newest, two, NOW).await;
    let Redemption::Redeemed(mut ended) = redeemed.unwrap() else {
        panic!("the code is good");
    };
    ended.sort_by_key(|(_, client)| client.to_string());
    let mut expected = [
        (begun[0].id.clone(), world.client.client_id.clone()),
        (begun[1].id.clone(), other),
    ];
    expected.sort_by_key(|(_, client)| client.to_string());
    assert_eq!(ended, expected);
    for (family, revoked) in begun.iter().zip([true, true, false]) {
        let found = world.store.find_family(&family.id).await.unwrap().unwrap();
        assert_eq!(found.revoked_at.is_some(), revoked);
    }
}

/// T22, with logins on many devices at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_cap_holds_when_redemptions_race() {
    let of_client = FamilyCaps {
        per_client: 3,
        ..CAP
    };
    let of_person = FamilyCaps {
        per_person: 3,
        ..CAP
    };
    for caps in [of_client, of_person] {
        race_to_the_cap(caps, 3).await;
    }
    // Whoever has been ended by another meanwhile ends nobody.
    let one = FamilyCaps {
        per_client: 1,
        ..CAP
    };
    for _ in 0..5 {
        race_to_the_cap(one, 1).await;
    }
}

/// A code that is spent has given its family: whoever was told of an error, and came again with it, would be taken for a thief.
#[tokio::test]
async fn a_cap_that_cannot_be_enforced_fails_no_redemption() {
    let world = World::new().await;
    let pool = world.database.pool().await;
    let backend = world.store.backend();
    let one = FamilyCaps {
        per_client: 1,
        ..CAP
    };
    let first = world.begin(family(&world.code())).await;
    let mut begun = Vec::new();
    for round in 0..2 {
        let code = world.code();
        let hash = format!("code-{round}");
        world.store.insert_code(&hash, &code).await.unwrap();
        begun.push(family(&code));
        if round == 0 {
            // Whatever it is that the database does not take.
            refuse(
                &pool,
                backend,
                "UPDATE OF revoked_at ON token_family",
                "client",
                100,
            )
            .await;
        }
        let redeemed = world
            .store
            .redeem_code(&hash, &begun[round], one, NOW)
            .await;
        let Redemption::Redeemed(ended) = redeemed.unwrap() else {
            panic!("the code is good");
        };
        let found = world.store.find_family(&first.id).await.unwrap().unwrap();
        if round == 0 {
            assert_eq!((ended.len(), found.revoked_at), (0, None));
            refuse_no_more(&pool, backend, "token_family").await;
        } else {
            assert_eq!((ended.len(), found.revoked_at), (2, Some(NOW)));
        }
    }
    for (family, revoked) in begun.iter().zip([true, false]) {
        let found = world.store.find_family(&family.id).await.unwrap().unwrap();
        assert_eq!(found.revoked_at.is_some(), revoked);
    }
}

async fn race_to_the_cap(caps: FamilyCaps, cap: usize) {
    let world = World::new().await;
    let mut racers = Vec::new();
    let mut families = Vec::new();
    for racer in 0..20 {
        let session = session(&world.account);
        let secret = format!("secret-{racer}");
        world
            .store
            .replace_session(&secret, &session, None, &[], None)
            .await
            .unwrap();
        let code = code(&world.client.client_id, &session);
        let hash = format!("code-{racer}");
        world.store.insert_code(&hash, &code).await.unwrap();
        let family = family(&code);
        families.push(family.id.clone());
        let store = world.store.clone();
        racers.push(async move { store.redeem_code(&hash, &family, caps, NOW).await.unwrap() });
    }
    let outcomes = race(racers).await;
    let mut ended = Vec::new();
    for outcome in outcomes {
        let Redemption::Redeemed(made_too_many) = outcome else {
            panic!("each code is good once: {outcome:?}");
        };
        ended.extend(made_too_many.into_iter().map(|(family, _)| family));
    }
    // Whoever ended it says so, and nobody else.
    let mut gone = Vec::new();
    for id in families {
        let found = world.store.find_family(&id).await.unwrap().unwrap();
        if found.revoked_at.is_some() {
            gone.push(id);
        }
    }
    assert_eq!(gone.len(), 20 - cap);
    ended.sort_by_key(ToString::to_string);
    gone.sort_by_key(ToString::to_string);
    assert_eq!(ended, gone);
}

/// A logout that races a redemption leaves nothing behind, whichever comes first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_family_outlives_a_logout_that_races_its_code() {
    let world = World::new().await;
    for round in 0..30 {
        let session = session(&world.account);
        let secret = format!("secret-{round}");
        world
            .store
            .replace_session(&secret, &session, None, &[], None)
            .await
            .unwrap();
        let code = code(&world.client.client_id, &session);
        let hash = format!("code-{round}");
        world.store.insert_code(&hash, &code).await.unwrap();
        let family = family(&code);
        let (redeeming, ending) = (world.store.clone(), world.store.clone());
        let begun = family.clone();
        let redemption =
            tokio::spawn(async move { redeeming.redeem_code(&hash, &begun, CAP, NOW).await });
        let logout = tokio::spawn(async move { ending.end_session(&session.id, NOW).await });
        let redemption = redemption.await.unwrap().unwrap();
        assert!(logout.await.unwrap().unwrap());
        let found = world.store.find_family(&family.id).await.unwrap();
        match redemption {
            Redemption::Redeemed(_) => assert_eq!(found.unwrap().revoked_at, Some(NOW)),
            Redemption::Gone => assert_eq!(found, None),
            Redemption::Replayed => panic!("nobody redeemed twice"),
        }
    }
}

/// The same for a client that is taken out of the configuration.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_family_outlives_a_removed_client() {
    let world = World::new().await;
    let app = stored(&world.client);
    for round in 0..10 {
        let both = [app.clone(), stored(&client("leaving"))];
        world.store.reconcile_clients(&both, NOW).await.unwrap();
        let code = code(&ClientId::new("leaving"), &world.session);
        let hash = format!("code-{round}");
        world.store.insert_code(&hash, &code).await.unwrap();
        let family = family(&code);
        let (redeeming, removing) = (world.store.clone(), world.store.clone());
        let (begun, kept) = (family.clone(), [app.clone()]);
        let redemption =
            tokio::spawn(async move { redeeming.redeem_code(&hash, &begun, CAP, NOW).await });
        let removal = tokio::spawn(async move { removing.reconcile_clients(&kept, NOW).await });
        let redemption = redemption.await.unwrap().unwrap();
        removal.await.unwrap().unwrap();
        let found = world.store.find_family(&family.id).await.unwrap();
        match redemption {
            Redemption::Redeemed(_) => assert_eq!(found.unwrap().revoked_at, Some(NOW)),
            Redemption::Gone => assert_eq!(found, None),
            Redemption::Replayed => panic!("nobody redeemed twice"),
        }
    }
}
