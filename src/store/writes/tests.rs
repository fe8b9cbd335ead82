use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool};
use tokio::time::sleep;

use super::*;
use crate::store::statement::{query, query_scalar};

struct Database {
    writes: Writes,
    reads: AnyPool,
    _folder: tempfile::TempDir,
}

impl Database {
    async fn new() -> Self {
        sqlx::any::install_default_drivers();
        let folder = tempfile::tempdir().unwrap();
        let url = format!(
            "sqlite:{}?mode=rwc",
            folder.path().join("test.db").display()
        );
        let pool = AnyPool::connect(&url).await.unwrap();
        let tables = "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON;
                      CREATE TABLE owner (id TEXT PRIMARY KEY);
                      CREATE TABLE thing (id TEXT PRIMARY KEY, owner TEXT REFERENCES owner (id));
                      CREATE TABLE late (owner TEXT REFERENCES owner (id) DEFERRABLE INITIALLY DEFERRED)";
        sqlx::raw_sql(tables).execute(&pool).await.unwrap();
        Self {
            writes: Writes::gathered(&folder.path().join("test.db"), Pace::default()),
            reads: pool,
            _folder: folder,
        }
    }

    async fn things(&self) -> Vec<String> {
        let all = sqlx::query_scalar("SELECT id FROM thing ORDER BY id");
        all.fetch_all(&self.reads).await.unwrap()
    }

    /// Has a task of its own write, which stands in the queue when this returns.
    async fn queue<T: Send + 'static, F>(&self, write: impl FnOnce(Writes) -> F) -> Task<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let Writes::Gathered(queue) = &self.writes else {
            unreachable!()
        };
        let before = queue.waiting.load(Ordering::Relaxed);
        let task = tokio::spawn(write(self.writes.clone()));
        while queue.waiting.load(Ordering::Relaxed) == before {
            sleep(Duration::from_millis(1)).await;
        }
        task
    }
}

type Task<T> = tokio::task::JoinHandle<T>;

fn put(id: &'static str, owner: Option<&'static str>) -> Statement<'static> {
    let statement = query("INSERT INTO thing (id, owner) VALUES ($1, $2)").at_once();
    statement.bind(id).bind(owner)
}

async fn committed(writes: Writes, id: &'static str) -> Result<(), StoreError> {
    let mut transaction = writes.begin().await?;
    put(id, None).execute(&mut transaction).await?;
    transaction.commit().await
}

/// A row that a rule refuses in the middle ends those behind it, and nothing of anybody else's.
#[tokio::test]
async fn of_several_statements_a_refused_one_hurts_nobody_else() {
    let database = Database::new().await;
    let mut first = database.writes.begin().await.unwrap();
    put("a", None).execute(&mut first).await.unwrap();
    let each = database.queue(|writes| async move {
        let refused = put("c", Some("nobody"));
        writes
            .execute_each(vec![put("b", None), refused, put("d", None)])
            .await
    });
    let each = each.await;
    let last = database.queue(|writes| committed(writes, "e")).await;
    first.commit().await.unwrap();
    assert!(each.await.unwrap().is_err());
    last.await.unwrap().unwrap();
    assert_eq!(database.things().await, ["a", "b", "e"]);
    // Alone, nothing of it stays, and the next one is none the worse for it.
    let refused = put("g", Some("nobody"));
    let alone = database.writes.execute_each(vec![put("f", None), refused]);
    assert!(alone.await.is_err());
    let whole = database
        .writes
        .execute_each(vec![put("h", None), put("i", None)]);
    assert_eq!(whole.await.unwrap(), 2);
    assert_eq!(database.things().await, ["a", "b", "e", "h", "i"]);
}

/// Whoever has much to write lets those go first who came meanwhile.
#[tokio::test]
async fn of_many_statements_nobody_waits_for_all() {
    const MANY: usize = 100;
    let database = Database::new().await;
    // Each some milliseconds.
    let slow = "INSERT INTO thing (id) WITH RECURSIVE counted (number) AS
                    (SELECT 1 UNION ALL SELECT number + 1 FROM counted WHERE number < 50000)
                SELECT $1 FROM counted WHERE number = 50000";
    let first = database.writes.begin().await.unwrap();
    let many = (0..MANY).map(|number| query(slow).bind(format!("many-{number:03}")));
    let many: Vec<_> = many.collect();
    let each = database
        .queue(|writes| async move { writes.execute_each(many).await })
        .await;
    let brief = database.queue(|writes| committed(writes, "brief")).await;
    first.commit().await.unwrap();
    brief.await.unwrap().unwrap();
    let before = database.things().await.len() - 1;
    assert!(before < MANY, "{before} of {MANY} went first");
    assert_eq!(each.await.unwrap().unwrap(), MANY as u64);
    assert_eq!(database.things().await.len(), MANY + 1);
}

/// However many more keep coming.
#[tokio::test]
async fn a_commit_is_put_off_for_a_moment_at_the_most() {
    let database = Database::new().await;
    let Writes::Gathered(queue) = &database.writes else {
        unreachable!()
    };
    let joined = Arc::clone(&queue.joined);
    let more = tokio::spawn(async move {
        loop {
            joined.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        }
    });
    let gathered = timeout(Duration::from_secs(10), queue.gather()).await;
    gathered.expect("nobody stops coming");
    more.abort();
}

#[tokio::test]
async fn those_who_write_at_once_share_a_commit_and_nothing_else() {
    let database = Database::new().await;
    let mut first = database.writes.begin().await.unwrap();
    put("a", None).execute(&mut first).await.unwrap();
    let second = database.queue(|writes| committed(writes, "b")).await;
    let dropped = database
        .queue(|writes| async move {
            let mut transaction = writes.begin().await.unwrap();
            put("c", None).execute(&mut transaction).await.unwrap();
        })
        .await;
    let statement = database
        .queue(|writes| async move { writes.execute(put("d", None)).await })
        .await;
    let refused = database
        .queue(|writes| async move { writes.execute(put("a", None)).await })
        .await;
    let rolled_back = database
        .queue(|writes| async move {
            let mut transaction = writes.begin().await.unwrap();
            put("e", None).execute(&mut transaction).await.unwrap();
            transaction.rollback().await
        })
        .await;
    let last = database.queue(|writes| committed(writes, "f")).await;
    assert_eq!(
        database.things().await,
        [""; 0],
        "nobody sees what is not committed"
    );
    first.commit().await.unwrap();
    second.await.unwrap().unwrap();
    dropped.await.unwrap();
    statement.await.unwrap().unwrap();
    refused.await.unwrap().map(drop).unwrap_err();
    rolled_back.await.unwrap().unwrap();
    last.await.unwrap().unwrap();
    assert_eq!(database.things().await, ["a", "b", "d", "f"]);
    committed(database.writes.clone(), "g").await.unwrap();
    assert_eq!(database.things().await, ["a", "b", "d", "f", "g"]);
}

/// Whoever goes away in the middle of a `BEGIN`, which waits for the lock of another process, leaves no transaction behind.
#[tokio::test]
async fn whoever_goes_away_while_beginning_leaves_nothing_open() {
    let database = Database::new().await;
    let mut other = database.reads.acquire().await.unwrap();
    let elsewhere = async |other: &mut PoolConnection<Any>, statement| {
        let ran = sqlx::raw_sql(statement).execute(&mut **other).await;
        ran.unwrap();
    };
    for alone in [true, false] {
        elsewhere(&mut other, "BEGIN IMMEDIATE").await;
        let writes = database.writes.clone();
        let gone = tokio::spawn(async move {
            if alone {
                committed(writes, "gone").await
            } else {
                writes.execute(put("gone", None)).await.map(drop)
            }
        });
        // It stands before the lock by now, or a little later: nothing depends on it.
        sleep(Duration::from_millis(50)).await;
        gone.abort();
        let _ = gone.await;
        elsewhere(&mut other, "ROLLBACK").await;
        // Nor does its commit stand behind somebody who waits for the lock that it has itself.
        let id = if alone { "a" } else { "b" };
        let commits = committed(database.writes.clone(), id);
        timeout(Duration::from_secs(5), commits)
            .await
            .unwrap()
            .unwrap();
        // Nothing is held: another process can write.
        elsewhere(&mut other, "BEGIN IMMEDIATE; ROLLBACK").await;
    }
    let things = database.things().await;
    assert!(things.contains(&"a".to_owned()) && things.contains(&"b".to_owned()));
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_all_who_share_it() {
    let database = Database::new().await;
    let mut first = database.writes.begin().await.unwrap();
    put("a", None).execute(&mut first).await.unwrap();
    let broken = database
        .queue(|writes| async move {
            let mut transaction = writes.begin().await.unwrap();
            // Refused no sooner than by the commit.
            let late = query("PRAGMA defer_foreign_keys = ON");
            late.execute(&mut transaction).await.unwrap();
            put("b", Some("nobody"))
                .execute(&mut transaction)
                .await
                .unwrap();
            transaction.commit().await
        })
        .await;
    let statement = database
        .queue(|writes| async move { writes.execute(put("c", None)).await })
        .await;
    let outcomes = [
        first.commit().await.is_err(),
        broken.await.unwrap().is_err(),
        statement.await.unwrap().is_err(),
    ];
    assert_eq!(outcomes, [true; 3]);
    assert_eq!(database.things().await, [""; 0]);
    committed(database.writes.clone(), "d").await.unwrap();
    assert_eq!(database.things().await, ["d"]);
}

#[tokio::test]
async fn whoever_goes_away_takes_nobody_along() {
    let database = Database::new().await;
    let mut first = database.writes.begin().await.unwrap();
    put("a", None).execute(&mut first).await.unwrap();
    let gone = database.queue(|writes| committed(writes, "b")).await;
    let stays = database.queue(|writes| committed(writes, "c")).await;
    gone.abort();
    first.commit().await.unwrap();
    stays.await.unwrap().unwrap();
    assert_eq!(database.things().await, ["a", "c"]);
    // Alone, too.
    let mut alone = database.writes.begin().await.unwrap();
    put("d", None).execute(&mut alone).await.unwrap();
    drop(alone);
    committed(database.writes.clone(), "e").await.unwrap();
    assert_eq!(database.things().await, ["a", "c", "e"]);
}

/// A statement that answers with a row has not succeeded before its commit has.
#[tokio::test]
async fn a_value_of_a_statement_that_could_not_be_committed_is_an_error() {
    let database = Database::new().await;
    let put = || query_scalar("INSERT INTO late (owner) VALUES ('nobody') RETURNING owner");
    let refused = database.writes.fetch_scalar::<String>(put()).await;
    refused.unwrap_err();
    // Shared with another, too.
    let mut first = database.writes.begin().await.unwrap();
    self::put("a", None).execute(&mut first).await.unwrap();
    let shared = database
        .queue(|writes| async move { writes.fetch_scalar::<String>(put()).await })
        .await;
    first.commit().await.unwrap_err();
    shared.await.unwrap().unwrap_err();
    assert_eq!(database.things().await, [""; 0]);
}

/// What a page held before a savepoint: in a file of its own it would cost each login a third of its writes.
#[tokio::test]
async fn the_one_that_writes_keeps_in_memory_what_it_keeps_aside() {
    const IN_MEMORY: i64 = 2;
    let database = Database::new().await;
    let mut writing = database.writes.begin().await.unwrap();
    let told = query_scalar("PRAGMA temp_store").fetch_optional(&mut writing);
    assert_eq!(told.await.unwrap(), Some(IN_MEMORY));
}

/// More than SQLite has room for.
#[tokio::test]
async fn a_large_change_behind_others_is_taken_back() {
    let database = Database::new().await;
    let many = "INSERT INTO thing (id) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
                SELECT i || hex(zeroblob(200)) FROM n";
    database.writes.execute(query(many)).await.unwrap();
    let before = database.things().await;
    let mut first = database.writes.begin().await.unwrap();
    put("a", None).execute(&mut first).await.unwrap();
    let large = database
        .queue(|writes| async move {
            let mut transaction = writes.begin().await.unwrap();
            let small = query("PRAGMA cache_size = 10");
            small.execute(&mut transaction).await.unwrap();
            let all = query("UPDATE thing SET id = 'new' || id WHERE id <> 'a'");
            let changed = all.execute(&mut transaction).await.unwrap();
            assert_eq!(changed.rows_affected(), 5000);
            transaction.rollback().await
        })
        .await;
    let last = database.queue(|writes| committed(writes, "z")).await;
    first.commit().await.unwrap();
    large.await.unwrap().unwrap();
    last.await.unwrap().unwrap();
    let check = sqlx::query_scalar::<_, String>("PRAGMA integrity_check");
    assert_eq!(check.fetch_one(&database.reads).await.unwrap(), "ok");
    let after = database.things().await;
    assert_eq!(after.len(), before.len() + 2);
    let new = ["a", "z"].map(ToOwned::to_owned);
    assert!(
        after
            .iter()
            .all(|id| before.binary_search(id).is_ok() || new.contains(id))
    );
}

/// From now on the disk is nearly full, and what is written goes there at once.
async fn leave_no_room(transaction: &mut Writing) {
    for limit in [
        "PRAGMA cache_size = 2",
        "PRAGMA cache_spill = 1",
        "PRAGMA max_page_count = 60",
    ] {
        query(limit).execute(&mut *transaction).await.unwrap();
    }
}

/// A full disk, at which SQLite may take back all that others have written: nobody hears that something is kept which is not.
#[tokio::test]
async fn what_is_said_to_be_kept_is_kept_where_there_is_no_room() {
    let database = Database::new().await;
    let mut first = database.writes.begin().await.unwrap();
    leave_no_room(&mut first).await;
    put("a", None).execute(&mut first).await.unwrap();
    let big = database
        .queue(|writes| async move {
            let big = "INSERT INTO thing (id) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
                       SELECT 'big-' || i || hex(zeroblob(500)) FROM n";
            writes.execute(query(big)).await
        })
        .await;
    let last = database.queue(|writes| committed(writes, "z")).await;
    let first = first.commit().await;
    big.await.unwrap().map(drop).unwrap_err();
    let last = last.await.unwrap();
    let things = database.things().await;
    let is_kept = |id: &str| things.contains(&id.to_owned());
    assert_eq!((first.is_ok(), last.is_ok()), (is_kept("a"), is_kept("z")));
    assert!(things.iter().all(|id| !id.starts_with("big")));
}

/// Whoever goes away in the middle of what runs on a thread of its own leaves it to the next one to wait for that.
#[tokio::test]
async fn whoever_goes_away_while_something_long_runs_takes_nobody_along() {
    let database = Database::new().await;
    let mut first = database.writes.begin().await.unwrap();
    put("a", None).execute(&mut first).await.unwrap();
    let gone = database
        .queue(|writes| async move {
            let long = "INSERT INTO thing (id) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
                        SELECT 'long-' || i FROM n";
            let mut transaction = writes.begin().await.unwrap();
            query(long).execute(&mut transaction).await.unwrap();
            transaction.commit().await
        })
        .await;
    let stays = database.queue(|writes| committed(writes, "b")).await;
    let first = tokio::spawn(first.commit());
    // It runs by now, or a little later: nothing depends on it.
    sleep(Duration::from_millis(50)).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    first.await.unwrap().unwrap();
    stays.await.unwrap().unwrap();
    assert_eq!(database.things().await, ["a", "b"]);
    // Alone, too: nothing stays open.
    let mut alone = database.writes.begin().await.unwrap();
    let occupied = Occupied::new(database.pens());
    assert!(is_pending(
        query("UPDATE thing SET id = id || '-changed'").execute(&mut alone)
    ));
    drop((alone, occupied));
    committed(database.writes.clone(), "c").await.unwrap();
    assert_eq!(database.things().await, ["a", "b", "c"]);
}

/// The thread beside has something else to do, until this is dropped.
struct Occupied {
    _until_dropped: std::sync::mpsc::Sender<()>,
}

impl Occupied {
    fn new(pens: &Inkwell) -> Self {
        let (until_dropped, end) = std::sync::mpsc::channel::<()>();
        let occupy = move || {
            let _ = end.recv();
        };
        pens.beside().run(occupy).unwrap();
        Self {
            _until_dropped: until_dropped,
        }
    }
}

impl Database {
    fn pens(&self) -> &Inkwell {
        let Writes::Gathered(queue) = &self.writes else {
            unreachable!()
        };
        &queue.pens
    }
}

/// Whether something is not done by whoever asks for it.
fn is_pending<T>(running: impl Future<Output = T>) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::pin!(running).poll(&mut context).is_pending()
}

/// Where a brief statement has taken long, those of the next moment hold nobody up.
#[tokio::test]
async fn a_slow_disk_has_statements_run_elsewhere() {
    let database = Database::new().await;
    let is_elsewhere = async || {
        let mut transaction = database.writes.begin().await.unwrap();
        let _occupied = Occupied::new(database.pens());
        let statement = query("UPDATE thing SET owner = NULL").at_once();
        is_pending(statement.execute(&mut transaction))
    };
    assert!(!is_elsewhere().await);
    let slow = || std::thread::sleep(Duration::from_millis(20));
    database.pens().pace().of(slow);
    assert!(is_elsewhere().await);
    sleep(Duration::from_millis(1100)).await;
    assert!(!is_elsewhere().await);
    // The next time soon after that it lasts longer.
    database.pens().pace().of(slow);
    sleep(Duration::from_millis(1100)).await;
    assert!(is_elsewhere().await);
}

/// A full disk has SQLite take everything back by itself. Where whoever would have heard of that has gone away, nobody writes on as if
/// the transaction stood.
#[tokio::test]
async fn nobody_goes_on_in_a_transaction_that_is_gone() {
    let database = Database::new().await;
    let mut first = database.writes.begin().await.unwrap();
    leave_no_room(&mut first).await;
    put("a", None).execute(&mut first).await.unwrap();
    let gone = database
        .queue(|writes| async move {
            // Of one row, for which SQLite keeps no way back but that of all.
            let big = "INSERT INTO thing (id) VALUES (hex(zeroblob(200000)))";
            writes.execute(query(big)).await.map(drop)
        })
        .await;
    let next = database.queue(|writes| committed(writes, "b")).await;
    let occupied = Occupied::new(database.pens());
    let first = tokio::spawn(first.commit());
    // The big one stands before the thread that is occupied.
    sleep(Duration::from_millis(50)).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    drop(occupied);
    let outcomes = [first.await.unwrap().is_ok(), next.await.unwrap().is_ok()];
    let things = database.things().await;
    let is_kept = |id: &str| things.contains(&id.to_owned());
    assert_eq!(outcomes, [is_kept("a"), is_kept("b")]);
    assert!(!outcomes[0], "the disk was full: {things:?}");
    committed(database.writes.clone(), "c").await.unwrap();
}

/// Those who share a commit hear of it, also where the store is closed meanwhile.
#[tokio::test]
async fn the_end_waits_for_those_who_share_a_commit() {
    let database = Database::new().await;
    let mut first = database.writes.begin().await.unwrap();
    put("a", None).execute(&mut first).await.unwrap();
    let second = database.queue(|writes| committed(writes, "b")).await;
    let writes = database.writes.clone();
    let closing = tokio::spawn(async move { writes.close().await });
    // It stands behind the second by now, and before whoever commits.
    sleep(Duration::from_millis(50)).await;
    let first = tokio::spawn(first.commit());
    closing.await.unwrap();
    assert_eq!(database.things().await, ["a", "b"]);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    committed(database.writes.clone(), "c").await.unwrap_err();
}

/// A store that is closed writes no more.
#[tokio::test]
async fn nobody_writes_after_the_end() {
    let database = Database::new().await;
    committed(database.writes.clone(), "a").await.unwrap();
    database.writes.close().await;
    committed(database.writes.clone(), "b").await.unwrap_err();
    let refused = database.writes.execute(put("c", None)).await;
    assert!(refused.is_err());
    assert_eq!(database.things().await, ["a"]);
}

/// In memory the one connection is the database: nothing that happens to a transaction closes it.
#[tokio::test]
async fn a_database_in_memory_outlives_a_transaction_that_ended_badly() {
    sqlx::any::install_default_drivers();
    let one = AnyPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None);
    let pool = one.connect("sqlite::memory:").await.unwrap();
    let writes = Writes::InMemory(Lane::new(pool, 1, false));
    let statement = query("CREATE TABLE thing (id TEXT PRIMARY KEY)");
    writes.execute(statement).await.unwrap();
    // Whoever waited for the commit went away when it was made already.
    let mut transaction = writes.begin().await.unwrap();
    query("COMMIT").execute(&mut transaction).await.unwrap();
    drop(transaction);
    // A commit that is refused.
    let mut transaction = writes.begin().await.unwrap();
    query("COMMIT").execute(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap_err();
    let count = query_scalar("SELECT COUNT(*) FROM thing");
    assert_eq!(writes.fetch_scalar::<i64>(count).await.unwrap(), Some(0));
}
