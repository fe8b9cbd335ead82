//! Accounts: T31.

use portico::model::account::UpstreamSubject;
use portico::protocol::claims::Profile;
use portico::protocol::ids::{AccountId, UpstreamId};

use super::{NOW, World, member, new_account, race};
use crate::harness::database::TestDatabase;

fn profile(name: &str) -> Profile {
    Profile {
        name: Some(name.to_owned()),
        email: Some("jo@example.org".to_owned()),
        email_verified: Some(true),
        ..Profile::default()
    }
}

#[tokio::test]
async fn the_second_login_finds_the_account_and_updates_the_profile() {
    let world = World::new().await;
    let store = &world.store;
    let login = member("1");
    let first = store
        .find_or_insert_account(&login, &profile("Jo"), new_account(), NOW)
        .await
        .unwrap();
    assert_eq!(first.profile, profile("Jo"));
    assert_eq!((first.created_at, first.disabled_at), (NOW, None));
    let second = store
        .find_or_insert_account(&login, &profile("Jo Smith"), new_account(), NOW + 9)
        .await
        .unwrap();
    assert_eq!((&second.id, &second.subject), (&first.id, &first.subject));
    assert_eq!(second.created_at, NOW);
    assert_eq!(second.profile, profile("Jo Smith"));
    assert_eq!(store.find_account(&first.id).await.unwrap(), Some(second));
    let unknown = AccountId::new("unknown");
    assert_eq!(store.find_account(&unknown).await.unwrap(), None);
}

/// T31: the same address, or the same id at another upstream, is another person.
#[tokio::test]
async fn only_upstream_and_subject_lead_to_an_account() {
    let world = World::new().await;
    let elsewhere = UpstreamSubject {
        upstream: UpstreamId::new("staff"),
        subject: "1".to_owned(),
    };
    let mut ids = Vec::new();
    for login in [member("1"), member("2"), elsewhere, member(" 1")] {
        let account = world
            .store
            .find_or_insert_account(&login, &profile("Jo"), new_account(), NOW)
            .await
            .unwrap();
        assert!(!ids.contains(&account.id), "{login:?}");
        ids.push(account.id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_first_logins_make_one_account() {
    let database = TestDatabase::migrated().await;
    let nodes = [database.store().await, database.store().await];
    let racers = (0..40).map(|racer| {
        let store = nodes[racer % nodes.len()].clone();
        async move {
            store
                .find_or_insert_account(&member("1"), &profile("Jo"), new_account(), NOW)
                .await
                .unwrap()
        }
    });
    let accounts = race(racers).await;
    assert!(accounts.iter().all(|account| *account == accounts[0]));
    let stored: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM account")
        .fetch_one(&database.pool().await)
        .await
        .unwrap();
    assert_eq!(stored, 1);
}
