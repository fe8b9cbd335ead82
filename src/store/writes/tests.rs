use std::time::Duration;

use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;
use sqlx::pool::PoolConnection;
use tokio::time::sleep;

use super::*;

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
        let one = AnyPoolOptions::new().max_connections(1);
        let pool = one.connect(&url).await.unwrap();
        let tables = "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON;
                      CREATE TABLE owner (id TEXT PRIMARY KEY);
                      CREATE TABLE thing (id TEXT PRIMARY KEY, owner TEXT REFERENCES owner (id))";
        sqlx::raw_sql(tables).execute(&pool).await.unwrap();
        Self {
            writes: Writes::gathered(Lane::new(pool, 1, false)),
            reads: AnyPool::connect(&url).await.unwrap(),
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
        let Way::Gathered(queue) = &self.writes.way else {
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

fn put(id: &'static str, owner: Option<&'static str>) -> Query<'static, Any, AnyArguments> {
    let statement = sqlx::query("INSERT INTO thing (id, owner) VALUES ($1, $2)");
    statement.bind(id).bind(owner)
}

async fn committed(writes: Writes, id: &'static str) -> Result<(), StoreError> {
    let mut transaction = writes.begin().await?;
    put(id, None).execute(&mut *transaction).await?;
    transaction.commit().await
}

#[tokio::test]
async fn those_who_write_at_once_share_a_commit_and_nothing_else() {
    let database = Database::new().await;
    let mut first = database.writes.begin().await.unwrap();
    put("a", None).execute(&mut *first).await.unwrap();
    let second = database.queue(|writes| committed(writes, "b")).await;
    let dropped = database
        .queue(|writes| async move {
            let mut transaction = writes.begin().await.unwrap();
            put("c", None).execute(&mut *transaction).await.unwrap();
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
            put("e", None).execute(&mut *transaction).await.unwrap();
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
    refused.await.unwrap().unwrap_err();
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
        committed(database.writes.clone(), if alone { "a" } else { "b" })
            .await
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
    put("a", None).execute(&mut *first).await.unwrap();
    let broken = database
        .queue(|writes| async move {
            let mut transaction = writes.begin().await.unwrap();
            // Refused no sooner than by the commit.
            let late = sqlx::raw_sql("PRAGMA defer_foreign_keys = ON");
            late.execute(&mut *transaction).await.unwrap();
            put("b", Some("nobody"))
                .execute(&mut *transaction)
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
    put("a", None).execute(&mut *first).await.unwrap();
    let gone = database.queue(|writes| committed(writes, "b")).await;
    let stays = database.queue(|writes| committed(writes, "c")).await;
    gone.abort();
    first.commit().await.unwrap();
    stays.await.unwrap().unwrap();
    assert_eq!(database.things().await, ["a", "c"]);
    // Alone, too.
    let mut alone = database.writes.begin().await.unwrap();
    put("d", None).execute(&mut *alone).await.unwrap();
    drop(alone);
    committed(database.writes.clone(), "e").await.unwrap();
    assert_eq!(database.things().await, ["a", "c", "e"]);
}
