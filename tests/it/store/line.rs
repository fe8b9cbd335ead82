//! A database that is lost without a word: PostgreSQL behind a network that forgets its connections (a fail-over, a firewall). An
//! embedded one cannot be lost, and has to answer just the same.

use std::time::Duration;

use futures_util::future::{FutureExt as _, join_all, maybe_done};
use portico::model::audit::AuditFilter;
use portico::protocol::error::chain;
use portico::protocol::ids::{ClientId, SessionId};
use portico::store::Store;
use sqlx::AssertSqlSafe;
use tokio::time::{sleep, timeout};

use crate::command_line::audit::record;
use crate::harness::database::{Line, TestDatabase};

use super::NOW;

/// Longer than a connection may rest before it is asked whether it is well.
const REST: Duration = Duration::from_millis(2_200);
/// Far longer than to find out, and far shorter than what the network takes to give up.
const FOUND_AGAIN: Duration = Duration::from_secs(20);

/// A store that has used as many connections as there are.
async fn busy(database: &TestDatabase) -> (Line, Store) {
    let line = database.line().await;
    let store = Store::open(&line.url).await.unwrap();
    store.migrate().await.unwrap();
    join_all((0..20).map(|each| look(&store, each))).await;
    (line, store)
}

/// A read that no memory answers.
async fn look(store: &Store, each: u32) {
    let client = ClientId::new(format!("client-{each}"));
    assert_eq!(store.find_client(&client).await.unwrap(), None);
}

#[tokio::test]
async fn connections_that_died_at_rest_are_replaced_all_at_once() {
    let database = TestDatabase::migrated().await;
    let (line, store) = busy(&database).await;
    line.cut();
    sleep(REST).await;
    // One after the other, as requests come: the first that finds out finds out for all.
    for each in 20..30 {
        timeout(FOUND_AGAIN / 2, look(&store, each)).await.unwrap();
        sleep(REST / 4).await;
    }
    store.close().await;
}

#[tokio::test]
async fn connections_that_died_in_use_are_replaced_once_nobody_waits() {
    let database = TestDatabase::migrated().await;
    let (line, store) = busy(&database).await;
    line.cut();
    // Each waits for a connection that was used a moment ago, and goes away.
    let waiting = (20..30).map(|each| timeout(Duration::from_millis(300), look(&store, each)));
    join_all(waiting).await;
    timeout(FOUND_AGAIN, look(&store, 30)).await.unwrap();
    timeout(FOUND_AGAIN, store.close()).await.unwrap();
}

/// Nobody goes away here, as the loops of a server do not.
#[tokio::test]
async fn a_server_does_not_wait_for_what_never_answers() {
    let database = TestDatabase::migrated().await;
    let (line, store) = busy(&database).await;
    store.wait_at_most(Duration::from_secs(1));
    line.cut();
    // A statement, and a transaction: each finds out by itself, and has another connection when it tries again.
    let session = SessionId::new("unknown".to_owned());
    for attempt in 0..2 {
        let records = [record("only", NOW)];
        let inserted = timeout(FOUND_AGAIN, store.insert_audit(&records)).await;
        let ended = timeout(FOUND_AGAIN, store.end_session(&session, NOW)).await;
        let told = [
            inserted.unwrap().map_err(|error| chain(&error)).err(),
            ended.unwrap().map_err(|error| chain(&error)).err(),
        ];
        let is_embedded = database.folder().is_some();
        for told in told {
            match told {
                Some(told) if !is_embedded && attempt == 0 => {
                    let expected = "PostgreSQL has not answered for 1 seconds";
                    assert!(told.contains(expected), "{told}");
                }
                told => assert_eq!(told, None, "{attempt}"),
            }
        }
        // The others that were in use are found out by who has them next; those at rest by being asked.
        sleep(REST).await;
    }
    let kept = store.search_audit(&AuditFilter::default(), 10).await;
    assert_eq!(kept.unwrap().len(), 1);
    timeout(FOUND_AGAIN, store.close()).await.unwrap();
}

/// Looks of the same moment are asked together: those that are never answered are no reason for others to wait.
#[tokio::test]
async fn a_look_does_not_wait_for_those_that_are_never_answered() {
    let database = TestDatabase::migrated().await;
    let (line, store) = busy(&database).await;
    let session = SessionId::new("unknown".to_owned());
    let find = || store.find_session(&session);
    join_all((0..20).map(|_| find())).await;
    line.cut();
    let mut unanswered: Vec<_> = (0..6).map(|_| Box::pin(maybe_done(find()))).collect();
    for find in &mut unanswered {
        let _ = find.as_mut().now_or_never();
    }
    sleep(REST).await;
    for _ in 0..3 {
        let found = timeout(FOUND_AGAIN / 2, find()).await.unwrap();
        assert_eq!(found.unwrap(), None);
    }
    // Nor do those who wait already.
    let waiting = unanswered.last_mut().unwrap();
    timeout(FOUND_AGAIN, waiting.as_mut()).await.unwrap();
    let found = waiting.as_mut().take_output().unwrap();
    assert_eq!(found.unwrap(), None);
    drop(unanswered);
    timeout(FOUND_AGAIN, store.close()).await.unwrap();
}

/// PostgreSQL: After a fail-over a connection may lead to the server that only reads now. A transaction that finds out gives it up, though it is
/// rolled back there without a complaint: whoever writes next may have a connection to the one that writes.
#[tokio::test]
async fn a_connection_that_only_reads_now_is_not_used_again() {
    let database = TestDatabase::migrated().await;
    if database.folder().is_some() {
        return;
    }
    let pool = database.pool().await;
    let name: String = sqlx::query_scalar("SELECT CAST(current_database() AS TEXT)")
        .fetch_one(&pool)
        .await
        .unwrap();
    // Of the connections that are made from now on.
    let set = async |what: &str| {
        let text = format!("ALTER DATABASE {name} {what}");
        let altered = sqlx::query(AssertSqlSafe(text)).execute(&pool);
        altered.await.unwrap();
    };
    set("SET default_transaction_read_only = on").await;
    let store = Store::open(database.url()).await.unwrap();
    let records = ["first", "second"].map(|id| record(id, NOW));
    let refused = store.insert_audit(&records).await.unwrap_err();
    let refused = chain(&refused);
    assert!(refused.contains("read-only transaction"), "{refused}");
    set("RESET default_transaction_read_only").await;
    store.insert_audit(&records).await.unwrap();
    let kept = store.search_audit(&AuditFilter::default(), 10).await;
    assert_eq!(kept.unwrap().len(), 2);
    store.close().await;
}
