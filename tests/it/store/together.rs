//! Looks of the same moment, which PostgreSQL is asked for in one message. SQLite has to answer just the same.

use std::time::Duration;

use futures_util::future::{FutureExt as _, join_all, maybe_done};
use portico::protocol::claims::AccessTokenClaims;
use portico::store::Store;
use serde_json::json;
use sqlx::Row as _;
use tokio::time::timeout;

use super::{NOW, World, race};

/// Far longer than any of this takes.
const FAR_LONGER: Duration = Duration::from_secs(20);

/// Names with whatever means something to JSON, to SQL, or to the way in which many are asked for.
const NAMES: [&str; 8] = [
    "plain",
    "a \"quoted\" one",
    "it's",
    "back\\slash\\",
    "two\nlines\tand a tab",
    "{\"a1\":\"x\"},{",
    "$1 asked.a1 --",
    "Åsa 李 \u{1f512}",
];

fn claims(jti: &str) -> AccessTokenClaims {
    let claims = json!({
        "iss": "https://sso.example.org", "sub": "somebody", "aud": "reports", "exp": NOW + 60, "iat": NOW,
        "jti": jti, "client_id": "app",
    });
    serde_json::from_value(claims).unwrap()
}

/// With one opaque token, whose name is "one".
async fn world_with_one() -> World {
    let world = World::new().await;
    let claims = claims("one");
    world
        .store
        .insert_access_token("one", &claims)
        .await
        .unwrap();
    world
}

async fn look(store: &Store, hash: &str) -> Option<String> {
    let found = store.find_access_token(hash).await.unwrap();
    found.map(|(claims, _)| claims.jti)
}

/// The texts of the statements that each of PostgreSQL's connections has run last, which hold this.
async fn last_statements(world: &World, with: &str) -> usize {
    let pool = world.database.pool().await;
    let rows = sqlx::query(
        "SELECT query FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    let rows = rows.fetch_all(&pool).await.unwrap();
    let texts = rows.iter().map(|row| row.get::<String, _>(0));
    let found = texts.filter(|text| text.contains(with)).count();
    pool.close().await;
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_many_who_look_at_once_gets_their_own_row() {
    let world = World::new().await;
    let store = &world.store;
    for name in NAMES {
        let claims = claims(name);
        store.insert_access_token(name, &claims).await.unwrap();
    }
    let looks = (0..400).map(|number| {
        let store = store.clone();
        async move {
            let name = NAMES[number % NAMES.len()];
            if number % 3 == 0 {
                assert_eq!(look(&store, &format!("{name}{number}")).await, None);
            } else {
                assert_eq!(look(&store, name).await.as_deref(), Some(name));
            }
        }
    });
    assert_eq!(race(looks).await.len(), 400);
}

/// They are asked together: as many statements as one by one would hide that nothing of this is used.
#[tokio::test]
async fn those_who_wait_are_one_statement() {
    let world = world_with_one().await;
    // A machine that is busy elsewhere may keep the first of them for so long that nobody waits for it.
    for _ in 0..100 {
        let looks = join_all((0..40).map(|_| look(&world.store, "one")));
        assert_eq!(looks.await, vec![Some("one".to_owned()); 40]);
        if world.database.folder().is_some() || last_statements(&world, "asked_place").await > 0 {
            return;
        }
    }
    panic!("none of 4,000 looks was made with others");
}

/// Those who are asked first may go away, and so may some of those who wait for them.
#[tokio::test]
async fn whoever_goes_away_leaves_nobody_waiting() {
    let world = world_with_one().await;
    for gone in [1, 2, 3, 10, 39] {
        let mut looks: Vec<_> = (0..40)
            .map(|_| Box::pin(maybe_done(look(&world.store, "one"))))
            .collect();
        for look in &mut looks {
            let _ = look.as_mut().now_or_never();
        }
        let mut rest = looks.split_off(gone);
        drop(looks);
        let all = join_all(rest.iter_mut().map(|look| look.as_mut()));
        timeout(FAR_LONGER, all).await.unwrap();
        for look in &mut rest {
            assert_eq!(look.as_mut().take_output(), Some(Some("one".to_owned())));
        }
    }
}

/// What PostgreSQL refuses is the matter of the one who has asked for it.
#[tokio::test]
async fn an_error_is_told_to_the_one_whose_it_is() {
    let world = world_with_one().await;
    let postgres = world.database.folder().is_none();
    // So often, for a machine that is busy elsewhere may keep the first of them for so long that nobody waits for it.
    for _ in 0..10 {
        // PostgreSQL has no text with such a character; to SQLite it is one as others.
        let looks = (0..40).map(|number| {
            let store = &world.store;
            async move {
                let hash = if number == 20 { "\0" } else { "one" };
                store
                    .find_access_token(hash)
                    .await
                    .map(|found| found.is_some())
            }
        });
        let found = join_all(looks).await;
        for (number, found) in found.iter().enumerate() {
            match found {
                Err(_) => assert!(number == 20 && postgres, "{number}"),
                Ok(found) if number == 20 => assert!(!found && !postgres),
                Ok(found) => assert!(found, "{number}"),
            }
        }
    }
}
