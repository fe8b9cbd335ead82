//! What a look at the queue of logouts costs, counted: the same for ten thousand notices as for a few.

use portico::model::logout_notice::{LogoutNotice, LogoutOutage};
use portico::protocol::ids::ClientId;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _};
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::plans::statements;
use super::{NOW, World, client, stored};

/// What a node asks and writes while it goes round the queue: words of the statement, the values of its parameters, and how
/// many statements there are with those words.
const LOOK: [(&str, &[&str], usize); 12] = [
    ("ORDER BY created_at, id LIMIT 1", &[], 1),
    ("WITH RECURSIVE waiting", &["1750000000", "500"], 1),
    (
        "UPDATE logout_notice SET queued_at",
        &["1750000000", "500"],
        1,
    ),
    (
        "INSERT INTO logout_turn",
        &["'client-7'", "'file'", "'registered'", "1750000000"],
        1,
    ),
    (
        "FROM logout_turn WHERE origin = $1 AND due_at <= $2",
        &["'file'", "1750000000", "64"],
        1,
    ),
    (
        "FROM logout_turn WHERE origin = $1 AND due_at > $2",
        &["'file'", "1750001000", "64"],
        1,
    ),
    (
        "attempts = 0 AND next_at <= $2",
        &["'client-7'", "1750000000", "1"],
        1,
    ),
    (
        "attempts > 0 AND next_at <= $2",
        &["'client-7'", "1750000000", "1"],
        1,
    ),
    (
        "next_at IS NOT NULL AND next_at > $2",
        &["'client-7'", "1750001000", "1"],
        1,
    ),
    (
        "UPDATE logout_notice SET attempts = attempts + 1, next_at = $3",
        &["'notice-7'", "0", "1750000010", "1750000005", "1750000000"],
        2,
    ),
    ("UPDATE logout_turn SET turn", &["'client-7'"], 1),
    ("AS outage_at", &["'client-7'"], 1),
];

/// A world where each of `clients` clients waits for `each` notices, and one in ten of them does not answer.
async fn waiting(clients: usize, each: usize) -> World {
    let world = World::new().await;
    let all: Vec<_> = (0..clients)
        .map(|number| stored(&client(&format!("client-{number}"))))
        .collect();
    world.store.reconcile_clients(&all, NOW).await.unwrap();
    let pool = world.database.pool().await;
    let notices = format!(
        "INSERT INTO logout_notice (id, client_id, account_id, created_at, attempts, next_at)
         WITH RECURSIVE number(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM number WHERE i + 1 < {})
         SELECT 'notice-' || i, 'client-' || (i % {clients}), '{}', {NOW} - 5 + i % 5, 0, {NOW} - 5 + i % 5 FROM number",
        clients * each,
        world.account.id
    );
    sqlx::query(AssertSqlSafe(notices))
        .execute(&pool)
        .await
        .unwrap();
    // Half of them wait for their next attempt.
    sqlx::query(AssertSqlSafe(format!(
        "UPDATE logout_notice SET attempts = 1, next_at = {NOW} + 30 WHERE id LIKE '%1' OR id LIKE '%2' OR id LIKE '%3'"
    )))
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    while world.store.queue_logout_notices(NOW, 5000).await.unwrap() {}
    for number in (0..clients).step_by(10) {
        let outage = LogoutOutage {
            since: NOW,
            failures: 1,
            next_at: NOW + 10,
        };
        let client = &all[number].client.client_id;
        let begun = world.store.begin_logout_outage(client, &outage);
        begun.await.unwrap();
    }
    // And what one of them was left meanwhile is in no queue yet.
    leave(&world, "client-7", each * 100, NOW).await;
    world
}

/// The statements of a look, with the values in the places of their parameters.
fn look() -> Vec<String> {
    let all = statements();
    let mut found = Vec::new();
    for (words, values, count) in LOOK {
        let fitting: Vec<&String> = all
            .iter()
            .filter(|statement| statement.contains(words))
            .collect();
        assert_eq!(fitting.len(), count, "{words}");
        for statement in fitting {
            let mut text = statement.clone();
            for (number, value) in values.iter().enumerate().rev() {
                text = text.replace(&format!("${}", number + 1), value);
            }
            assert!(!text.contains('$'), "{text}");
            found.push(text);
        }
    }
    found
}

/// What each statement costs: the steps of SQLite's machine, the pages that PostgreSQL looks at. Nothing of it stays.
async fn costs(world: &World) -> Vec<u64> {
    let url = world.database.url().expose();
    let mut costs = Vec::new();
    if let Some(path) = url.strip_prefix("sqlite:") {
        let options = sqlx::sqlite::SqliteConnectOptions::from_str(path).unwrap();
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        for statement in look() {
            let steps = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&steps);
            let mut transaction = connection.begin().await.unwrap();
            transaction
                .lock_handle()
                .await
                .unwrap()
                .set_progress_handler(1, move || {
                    counted.fetch_add(1, Ordering::Relaxed);
                    true
                });
            let run = sqlx::query(AssertSqlSafe(statement));
            run.fetch_all(&mut *transaction).await.unwrap();
            let mut handle = transaction.lock_handle().await.unwrap();
            handle.remove_progress_handler();
            drop(handle);
            transaction.rollback().await.unwrap();
            costs.push(steps.load(Ordering::Relaxed));
        }
        return costs;
    }
    let mut connection = AnyConnection::connect(url).await.unwrap();
    connection
        .execute("VACUUM ANALYZE logout_notice")
        .await
        .unwrap();
    connection
        .execute("VACUUM ANALYZE logout_turn")
        .await
        .unwrap();
    connection.execute("ANALYZE").await.unwrap();
    for statement in look() {
        let mut transaction = connection.begin().await.unwrap();
        let explain = format!("EXPLAIN (ANALYZE, BUFFERS) {statement}");
        let rows = transaction.fetch_all(AssertSqlSafe(explain)).await;
        let rows = rows.unwrap_or_else(|error| panic!("{error}: {statement}"));
        transaction.rollback().await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        // The first is the whole plan's.
        let buffers = lines.iter().find(|line| line.contains("Buffers: shared"));
        let pages = buffers.map_or(0, |line| {
            let numbers = line
                .split(['=', ' '])
                .filter_map(|word| word.parse::<u64>().ok());
            numbers.sum()
        });
        costs.push(pages);
    }
    costs
}

/// New notices of `client`, so many, that were left at `at`.
async fn leave(world: &World, client: &str, count: usize, at: i64) {
    let notices = format!(
        "INSERT INTO logout_notice (id, client_id, account_id, created_at, attempts, next_at)
         WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < {count})
         SELECT '{client} ' || {at} || ' ' || i, '{client}', '{}', {at}, 0, {at} FROM number",
        world.account.id
    );
    let pool = world.database.pool().await;
    sqlx::query(AssertSqlSafe(notices))
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
}

/// However much one client that is down is to be told, another one gets its turn at the first look.
#[tokio::test]
async fn the_notices_of_one_client_keep_no_other_from_its_turn() {
    let world = World::new().await;
    let names: Vec<String> = (0..30).map(|number| format!("down-{number:02}")).collect();
    let mut all: Vec<_> = names.iter().map(|name| stored(&client(name))).collect();
    all.extend(["new", "waiting"].map(|name| stored(&client(name))));
    world.store.reconcile_clients(&all, NOW).await.unwrap();
    let turns = async |now| {
        let found = world.store.list_clients_to_tell(now, false, 100).await;
        let found = found.unwrap().into_iter();
        let found = found.map(|client| (client.client_id.to_string(), client.place.0));
        found.collect::<std::collections::BTreeMap<_, _>>()
    };
    // Those that are down are put back, until they are tried next.
    for name in &names {
        leave(&world, name, 1, NOW).await;
        world.store.queue_logout_notices(NOW, 500).await.unwrap();
        let id = ClientId::new(name);
        let outage = LogoutOutage {
            since: NOW,
            failures: 1,
            next_at: NOW + 300,
        };
        let begun = world.store.begin_logout_outage(&id, &outage);
        begun.await.unwrap();
        leave(&world, name, 100, NOW - 1).await;
    }
    // One that is well has refused a notice, and gets that again in ten minutes.
    leave(&world, "waiting", 1, NOW).await;
    while world.store.queue_logout_notices(NOW, 500).await.unwrap() {}
    let id = ClientId::new("waiting");
    let due = world.store.list_due_logout_notices(&id, NOW, 1).await;
    let refused = due.unwrap().remove(0);
    let taken = world
        .store
        .take_logout_notice(&refused, NOW, NOW + 600)
        .await;
    assert!(taken.unwrap());
    for name in &names {
        let id = ClientId::new(name);
        let put_back = world.store.put_back_client_to_tell(&id, NOW).await;
        put_back.unwrap();
    }
    assert_eq!(turns(NOW).await.len(), 0);
    for name in &names {
        leave(&world, name, 100, NOW + 1).await;
    }
    leave(&world, "new", 1, NOW + 2).await;
    leave(&world, "waiting", 1, NOW + 2).await;

    // A look at ten notices, which those of the ones that are down are before.
    assert!(world.store.queue_logout_notices(NOW + 2, 10).await.unwrap());
    let found = turns(NOW + 2).await;
    for name in ["new", "waiting"] {
        assert_eq!(found.get(name), Some(&(NOW + 2)), "{found:?}");
    }
    // Of those that are down come forward whose notices are marked, and no more.
    assert!(found.len() <= 2 + 10, "{found:?}");
}

/// However many notices wait, and for however many clients: what a node does at a look is a number of these statements that
/// its places bound, and each costs what it costs among a few.
#[tokio::test]
async fn a_look_costs_the_same_however_much_waits() {
    let few = costs(&waiting(100, 10).await).await;
    let many = costs(&waiting(1000, 100).await).await;
    for ((few, many), statement) in few.iter().zip(&many).zip(look()) {
        // The trees of the indexes are a level or two higher.
        assert!(*many <= few * 2 + 20, "{few}, then {many}: {statement}");
    }
}

/// The same for the rows that a look brings along: no more than it asks for.
#[tokio::test]
async fn a_look_brings_no_more_than_it_asks_for() {
    let world = waiting(200, 10).await;
    let clients = world.store.list_clients_to_tell(NOW, false, 64).await;
    let clients = clients.unwrap();
    assert_eq!(clients.len(), 64);
    assert!(clients.iter().all(|client| client.outage.is_none()));
    let mut due: Vec<LogoutNotice> = Vec::new();
    for client in &clients {
        let found = world
            .store
            .list_due_logout_notices(&client.client_id, NOW, 1);
        due.extend(found.await.unwrap());
    }
    assert!(due.len() <= 64 && due.iter().all(|notice| notice.attempts == 0));
}
