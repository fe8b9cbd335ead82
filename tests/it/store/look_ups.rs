//! What goes another way on a file of SQLite than by sqlx: looks at a few rows, and everything that is written.

use portico::clock::random_id;
use portico::protocol::secret::Secret;
use portico::store::Store;

use super::{NOW, World, family, log_in, race, session};

/// Whoever looks sees what was committed before, and nothing of what has ended, however many look and write meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_look_sees_what_was_written_before_it() {
    let world = World::new().await;
    let nodes = [world.store.clone(), world.other_node().await];
    let one = |number: usize| {
        let nodes = nodes.clone();
        async move {
            let [here, there] = &nodes;
            let account = log_in(here, &format!("person-{number}")).await;
            for _ in 0..10 {
                let hash = random_id();
                let session = session(&account);
                here.replace_session(&hash, &session, None, &[], None)
                    .await
                    .unwrap();
                for node in &nodes {
                    let (found, _) = node.find_signed_in(&hash).await.unwrap().unwrap();
                    assert_eq!(found, session);
                }
                assert!(here.end_session(&session.id, NOW + 1).await.unwrap());
                for node in &nodes {
                    let found = node.find_session(&session.id).await.unwrap().unwrap();
                    assert_eq!(found.ended_at, Some(NOW + 1));
                }
                let jti = random_id();
                assert!(!there.is_token_revoked(&jti).await.unwrap());
                assert!(here.revoke_token(&jti, NOW + 60, NOW).await.unwrap());
                assert!(there.is_token_revoked(&jti).await.unwrap());
            }
        }
    };
    assert_eq!(race((0..8).map(one)).await.len(), 8);
}

/// The numbers of a statement's arguments are those that stand in it, whichever comes first.
#[tokio::test]
async fn arguments_have_the_numbers_that_stand_in_the_statement() {
    let world = World::new().await;
    let family = world.begin(family(&world.code())).await;
    let jti = random_id();
    // `$2` comes before `$1` there.
    let behind = async |jti: Option<&str>| world.store.find_behind(&family.id, jti).await.unwrap();
    assert!(!behind(Some(&jti)).await.unwrap().is_revoked);
    assert!(world.store.revoke_token(&jti, NOW + 60, NOW).await.unwrap());
    assert!(behind(Some(&jti)).await.unwrap().is_revoked);
    assert!(!behind(None).await.unwrap().is_revoked);
}

/// A file that has been copied when the server has stopped is the whole database: the log beside it is written into it.
#[tokio::test]
async fn a_store_that_is_closed_leaves_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = Secret::new(format!(
        "sqlite:{}",
        folder.path().join("portico.db").display()
    ));
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let account = log_in(&store, "4711").await;
    assert!(store.find_account(&account.id).await.unwrap().is_some());
    store.close().await;
    let files: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files, ["portico.db"]);
    // Nobody looks behind its back any more.
    store.find_account(&account.id).await.unwrap_err();
    let again = Store::open(&url).await.unwrap();
    let found = again.find_account(&account.id).await.unwrap().unwrap();
    assert_eq!(found, account);
    again.close().await;
}

/// However the URL is written, there is one file: what sqlx makes of `..` behind a link is not what the operating system does.
#[tokio::test]
async fn the_file_that_is_read_is_the_one_that_is_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("deep/deeper")).unwrap();
    std::os::unix::fs::symlink("deep/deeper", folder.path().join("link")).unwrap();
    let url = format!(
        "sqlite:{}/link/../portico.db?mode=rwc",
        folder.path().display()
    );
    let store = Store::open(&Secret::new(url)).await.unwrap();
    store.migrate().await.unwrap();
    let account = log_in(&store, "4711").await;
    // A list goes by sqlx, and a look does not.
    assert!(store.find_account(&account.id).await.unwrap().is_some());
    assert_eq!(store.list_logins(&account.id).await.unwrap().len(), 1);
    assert!(folder.path().join("portico.db").exists());
    assert!(!folder.path().join("deep/portico.db").exists());
    store.close().await;
}
