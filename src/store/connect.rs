//! Opening the database: which one, with which promises about durability and access.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool};

use super::client_cache::ClientCache;
use super::embedded::Pace;
use super::lane::Lane;
use super::reads::Reads;
use super::writes::Writes;
use super::{Backend, Store, StoreError};
use crate::protocol::secret::Secret;

/// How long a request may wait for a connection before it is answered with an error.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections to PostgreSQL of one node.
const POSTGRES_CONNECTIONS: u32 = 10;
/// Connections that read from SQLite while one writes.
const SQLITE_READERS: u32 = 4;
/// What SQLite needs to be told on each connection.
///
/// `synchronous = FULL`: in WAL mode `NORMAL` may lose the last transactions when the power fails, and a
/// revocation, a spent code or a rotated refresh token that comes undone is a hole (T21), not only a lost login.
pub(super) const PRAGMAS: &str =
    "PRAGMA busy_timeout = 10000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";

/// What each connection that looks at a few rows is told: it has room (in KiB) for the inner pages of all trees of some ten million families,
/// which every look goes through; with SQLite's 2 MB it would read each of them anew. It takes as much as the file has, at the most.
pub(super) const READERS_PRAGMAS: &str = "PRAGMA cache_size = -65536";

/// What the one connection that writes is told beside them. Each row goes to a page of every index of its table: those that are written all
/// the time are to be at hand (in KiB). What a page held before a savepoint is kept in memory: beyond 64 KiB, fifteen pages, SQLite would
/// begin a file for it.
pub(super) const WRITERS_PRAGMAS: &str = "PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY";

/// Where an SQLite database lives.
enum Place {
    Memory,
    File(PathBuf),
}

impl Store {
    /// Connects to the database that `url` names: `sqlite:path`, `sqlite::memory:` or `postgres://…`. An SQLite file
    /// that does not exist is made, readable by its owner alone. The schema is left as it is; see [`Store::migrate`].
    pub async fn open(url: &Secret) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let scheme = url.expose().split(':').next().unwrap_or_default();
        match scheme {
            "sqlite" => open_sqlite(url).await,
            "postgres" | "postgresql" => open_postgres(url).await,
            _ => Err(StoreError::Url("it must begin with sqlite: or postgres://")),
        }
    }
}

async fn open_postgres(url: &Secret) -> Result<Store, StoreError> {
    let pool = AnyPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options(url)?)
        .await?;
    let lane = Lane::new(pool, POSTGRES_CONNECTIONS, true);
    Ok(Store {
        backend: Backend::Postgres,
        reads: Reads::with_looks_together(lane.clone()),
        writes: Writes::Apart(lane),
        clients: ClientCache::default(),
    })
}

async fn open_sqlite(url: &Secret) -> Result<Store, StoreError> {
    let options = options(url)?;
    let (reads, writes) = match place(options.database_url.as_str())? {
        Place::Memory => {
            // Each connection would be a database of its own, and closing the last one forgets everything.
            let only = Lane::new(sqlite_pool(1, options).await?, 1, false);
            (Reads::by(only.clone()), Writes::InMemory(only))
        }
        Place::File(path) => {
            make_file(&path).map_err(StoreError::File)?;
            let reads = sqlite_pool(SQLITE_READERS, options).await?;
            switch_to_wal(&reads).await?;
            let lane = Lane::new(reads, SQLITE_READERS, false);
            let pace = Pace::default();
            let writes = Writes::gathered(&path, pace.clone());
            (Reads::with_glances(lane, path, pace), writes)
        }
    };
    Ok(Store {
        backend: Backend::Sqlite,
        reads,
        writes,
        clients: ClientCache::default(),
    })
}

async fn sqlite_pool(connections: u32, options: AnyConnectOptions) -> Result<AnyPool, StoreError> {
    let pool = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(set_pragmas(connection)))
        .connect_with(options)
        .await?;
    Ok(pool)
}

async fn set_pragmas(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(PRAGMAS).execute(connection).await?;
    Ok(())
}

/// Write-ahead logging, so that readers and the writer do not wait for each other. It is a property of the file.
async fn switch_to_wal(pool: &AnyPool) -> Result<(), StoreError> {
    // The switch does not wait for a lock as statements do; another process may be making it right now.
    const ATTEMPTS: u32 = 100;
    const PAUSE: Duration = Duration::from_millis(50);
    for _ in 1..ATTEMPTS {
        match sqlx::raw_sql("PRAGMA journal_mode = WAL")
            .execute(pool)
            .await
        {
            Ok(_) => return Ok(()),
            Err(sqlx::Error::Database(error)) if is_busy(error.code().as_deref()) => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    sqlx::raw_sql("PRAGMA journal_mode = WAL")
        .execute(pool)
        .await?;
    Ok(())
}

/// `SQLITE_BUSY` in any of its extended forms: the low byte is 5.
fn is_busy(code: Option<&str>) -> bool {
    code.and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| code & 0xff == 5)
}

fn options(url: &Secret) -> Result<AnyConnectOptions, StoreError> {
    // The parser's own words say nothing about the text it refused; it may hold a password all the same.
    AnyConnectOptions::from_str(url.expose()).map_err(|_| StoreError::Url("it is not a URL"))
}

/// Reads the URL as sqlx does, which is of what the parser has made of it: `sqlite:` and `sqlite://` mean the same, and a path may be
/// relative.
fn place(url: &str) -> Result<Place, StoreError> {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    if path == ":memory:" || parameters.split('&').any(|pair| pair == "mode=memory") {
        return Ok(Place::Memory);
    }
    // Not all connections are sqlx's.
    let known = ["", "mode=rw", "mode=rwc"];
    if !parameters.split('&').all(|pair| known.contains(&pair)) {
        let text = "of parameters, it may have `mode` alone, which is `rw`, `rwc` or `memory`";
        return Err(StoreError::Url(text));
    }
    if path.is_empty() {
        return Err(StoreError::Url("it names no file, as in sqlite:portico.db"));
    }
    let path = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| StoreError::Url("its path is not UTF-8"))?;
    Ok(Place::File(PathBuf::from(path.as_ref())))
}

/// Makes the file before SQLite does, which would let the umask decide who may read it. The files beside it
/// (`-wal`, `-shm`) get the permissions of this one from SQLite.
fn make_file(path: &std::path::Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome.map(drop),
    }
}
