//! Consents: they only grow, also when two grow at once.

use portico::model::consent::Consent;
use portico::protocol::scope::Scope;

use super::{NOW, World, race};

fn consent(world: &World, scope: &str, granted_at: i64) -> Consent {
    consent_at(world, scope, &[], granted_at)
}

fn consent_at(world: &World, scope: &str, resources: &[&str], granted_at: i64) -> Consent {
    let (account, client) = (world.account.id.clone(), world.client.client_id.clone());
    let resources: Vec<String> = resources.iter().map(ToString::to_string).collect();
    Consent::to(
        account,
        client,
        Scope::parse(scope).unwrap(),
        &resources,
        granted_at,
    )
}

/// What was agreed to for one API is not agreed to for another, nor for none in particular.
#[tokio::test]
async fn a_consent_is_for_the_resources_that_were_named() {
    let world = World::new().await;
    let (a, b) = ("https://a.example", "https://b.example");
    let covers = async |scope: &str, resources: &[&str]| {
        let resources: Vec<String> = resources.iter().map(ToString::to_string).collect();
        let consent = found(&world).await.unwrap();
        consent.covers(&Scope::parse(scope).unwrap(), &resources)
    };
    let widen = async |scope: &str, resources: &[&str], at: i64| {
        let consent = consent_at(&world, scope, resources, at);
        world.store.widen_consent(&consent).await.unwrap();
    };
    widen("openid read", &[a], NOW).await;
    assert!(covers("read", &[a]).await);
    assert!(!covers("read", &[]).await);
    assert!(!covers("read", &[b]).await && !covers("read", &[a, b]).await);
    widen("openid", &[], NOW + 1).await;
    widen("write", &[a, b], NOW + 2).await;
    assert!(covers("write", &[a, b]).await && covers("read write", &[a]).await);
    assert!(!covers("read", &[b]).await && !covers("write", &[]).await);
    assert!(covers("openid", &[]).await);
    assert_eq!(found(&world).await.unwrap().granted_at, NOW + 2);
    let all = found(&world).await.unwrap().everything();
    assert_eq!(all.to_string(), "openid read write");
}

async fn found(world: &World) -> Option<Consent> {
    let (account, client) = (&world.account.id, &world.client.client_id);
    world.store.find_consent(account, client).await.unwrap()
}

#[tokio::test]
async fn a_consent_is_widened_and_never_narrowed() {
    let world = World::new().await;
    assert_eq!(found(&world).await, None);
    for (granted, at, expected, since) in [
        ("openid", NOW, "openid", NOW),
        ("profile email", NOW + 1, "email openid profile", NOW + 1),
        ("email", NOW + 2, "email openid profile", NOW + 1),
    ] {
        let consent_given = consent(&world, granted, at);
        world.store.widen_consent(&consent_given).await.unwrap();
        let expected = consent(&world, expected, since);
        assert_eq!(found(&world).await, Some(expected));
    }
}

/// Core section 5.5: single claims are agreed to beside the scope, and grow like it.
#[tokio::test]
async fn claims_agreed_to_by_name_are_remembered() {
    let world = World::new().await;
    for (claims, expected, since) in [
        (vec!["email"], vec!["email"], NOW),
        (vec![], vec!["email"], NOW),
        (vec!["email"], vec!["email"], NOW),
        (vec!["address"], vec!["address", "email"], NOW + 3),
    ] {
        let given = Consent {
            claims: claims.into_iter().map(str::to_owned).collect(),
            ..consent(&world, "openid", NOW + 3)
        };
        let given = Consent {
            granted_at: since,
            ..given
        };
        world.store.widen_consent(&given).await.unwrap();
        let found = found(&world).await.unwrap();
        let names: Vec<&str> = found.claims.iter().map(String::as_str).collect();
        assert_eq!((names, found.granted_at), (expected, since));
    }
}

/// OAuth without scopes can be agreed to as well.
#[tokio::test]
async fn a_consent_to_no_scope_is_remembered() {
    let world = World::new().await;
    let empty = consent(&world, "", NOW);
    world.store.widen_consent(&empty).await.unwrap();
    assert_eq!(found(&world).await, Some(empty));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn consents_given_at_once_all_count() {
    let world = World::new().await;
    let words: Vec<String> = (0..20).map(|word| format!("scope{word:02}")).collect();
    let racers: Vec<_> = words
        .iter()
        .map(|word| {
            let (store, consent) = (world.store.clone(), consent(&world, word, NOW));
            async move { store.widen_consent(&consent).await.unwrap() }
        })
        .collect();
    race(racers).await;
    let scope = found(&world).await.unwrap().scope;
    assert_eq!(scope.to_string(), words.join(" "));
}

/// The stored union stays readable whatever a client's scope became over the years.
#[tokio::test]
async fn a_consent_never_grows_beyond_what_can_be_read() {
    let world = World::new().await;
    let long = |letter: &str| format!("{}{}", letter, "x".repeat(1500));
    for scope in [long("a"), long("b")] {
        let given = consent(&world, &scope, NOW);
        world.store.widen_consent(&given).await.unwrap();
        assert_eq!(found(&world).await, Some(given));
    }
}
