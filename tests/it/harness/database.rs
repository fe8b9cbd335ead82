//! A database of its own for each test, on the kind that `PORTICO_TEST_DATABASE` names: `sqlite` (the default) or
//! `postgres`, then on the cluster of `TEST_DATABASE_URL`. Whoever asks for a kind that is not there fails.

use portico::clock::random_bytes;
use portico::protocol::secret::Secret;
use portico::store::Store;
use sqlx::{AnyPool, AssertSqlSafe, Connection as _, Executor as _};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OnceCell, watch};
use url::Url;

/// The file of an SQLite database.
const FILE: &str = "portico.db";

/// What databases with our tables are copies of.
enum Model {
    File(Vec<u8>),
    /// The one of that name, which is left behind: the cluster of the tests is thrown away as a whole.
    Database(String),
}

/// A database, gone when dropped.
pub(crate) struct TestDatabase {
    url: Secret,
    place: Place,
}

enum Place {
    Sqlite(TempDir),
    Postgres { admin: Url, name: String },
}

impl TestDatabase {
    /// Makes a database with our tables: a copy of one, for the migrations take longer than many a test. (A file is readable as the
    /// umask says, and not as the store makes one.)
    pub(crate) async fn migrated() -> Self {
        static MODEL: OnceCell<Model> = OnceCell::const_new();
        let model = MODEL.get_or_init(async || {
            let database = Self::fresh().await;
            database.store().await.close().await;
            let model = match &database.place {
                Place::Sqlite(folder) => {
                    let log = folder.path().join(format!("{FILE}-wal"));
                    assert!(!log.exists(), "the file is not the whole database");
                    return Model::File(std::fs::read(folder.path().join(FILE)).unwrap());
                }
                Place::Postgres { name, .. } => Model::Database(name.clone()),
            };
            std::mem::forget(database);
            model
        });
        match model.await {
            Model::File(bytes) => {
                let copy = Self::sqlite();
                std::fs::write(copy.folder().unwrap().join(FILE), bytes).unwrap();
                copy
            }
            Model::Database(name) => Self::postgres(name).await,
        }
    }

    /// Makes a database without tables.
    pub(crate) async fn fresh() -> Self {
        sqlx::any::install_default_drivers();
        match std::env::var("PORTICO_TEST_DATABASE").as_deref() {
            Err(_) | Ok("sqlite") => Self::sqlite(),
            Ok("postgres") => Self::postgres("template0").await,
            Ok(other) => panic!("PORTICO_TEST_DATABASE must be sqlite or postgres, not {other}"),
        }
    }

    /// One of SQLite, without tables, whatever the tests run on.
    pub(crate) fn embedded() -> Self {
        sqlx::any::install_default_drivers();
        Self::sqlite()
    }

    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        Self {
            url: Secret::new(format!("sqlite:{}", path.display())),
            place: Place::Sqlite(folder),
        }
    }

    async fn postgres(template: &str) -> Self {
        let admin = std::env::var("TEST_DATABASE_URL").expect(
            "PORTICO_TEST_DATABASE=postgres needs TEST_DATABASE_URL, the URL of an administrator",
        );
        let admin = Url::parse(&admin).unwrap();
        let suffix = u64::from_ne_bytes(random_bytes());
        let name = format!("portico_test_{suffix:016x}");
        administer(
            &admin,
            format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await;
        let mut url = admin.clone();
        url.set_path(&name);
        Self {
            url: Secret::new(url),
            place: Place::Postgres { admin, name },
        }
    }

    /// A way to it that can be cut.
    pub(crate) async fn line(&self) -> Line {
        let mut url = self.url.clone();
        let (cut, _) = watch::channel(());
        if let Place::Postgres { admin, .. } = &self.place {
            let host = admin.host_str().unwrap();
            let there = format!("{host}:{}", admin.port().unwrap_or(5432));
            let here = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut changed = Url::parse(url.expose()).unwrap();
            changed.set_host(Some("127.0.0.1")).unwrap();
            let port = here.local_addr().unwrap().port();
            changed.set_port(Some(port)).unwrap();
            url = Secret::new(changed);
            tokio::spawn(carry(here, there, cut.clone()));
        }
        Line { url, cut }
    }

    /// Where it is, for a configuration.
    pub(crate) fn url(&self) -> &Secret {
        &self.url
    }

    /// The folder of an SQLite database.
    pub(crate) fn folder(&self) -> Option<&std::path::Path> {
        match &self.place {
            Place::Sqlite(folder) => Some(folder.path()),
            Place::Postgres { .. } => None,
        }
    }

    /// The file of an SQLite database.
    pub(crate) fn file(&self) -> Option<std::path::PathBuf> {
        self.folder().map(|folder| folder.join(FILE))
    }

    /// A store on it, migrated. Each call is a node of its own.
    pub(crate) async fn store(&self) -> Store {
        let store = Store::open(&self.url).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    /// Runs SQL behind the store's back: to break rows, or to look at what is really stored.
    pub(crate) async fn pool(&self) -> AnyPool {
        sqlx::any::AnyPoolOptions::new()
            .max_connections(1)
            .connect(self.url.expose())
            .await
            .unwrap()
    }
}

/// A way to a database. An embedded one needs none, and nothing is between.
pub(crate) struct Line {
    /// Where it begins.
    pub(crate) url: Secret,
    cut: watch::Sender<()>,
}

impl Line {
    /// Swallows from now on whatever is said on the connections that there are: no end of theirs is told. New ones are carried.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(());
    }
}

async fn carry(here: TcpListener, there: String, cut: watch::Sender<()>) {
    loop {
        let (mut near, _) = here.accept().await.unwrap();
        let mut far = TcpStream::connect(&there).await.unwrap();
        let mut cut = cut.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                Ok(()) = cut.changed() => {
                    drop(far);
                    tokio::io::copy(&mut near, &mut tokio::io::sink()).await.ok();
                }
            }
        });
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Place::Postgres { admin, name } = &self.place else {
            return;
        };
        let (admin, statement) = (
            admin.clone(),
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        );
        // A thread of its own, that nobody waits for: this may run inside a runtime that is being stopped. A connection
        // of it that has not logged in yet keeps its socket as long as we wait, and PostgreSQL drops no database before
        // such a connection has gone: a minute (authentication_timeout).
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(administer(&admin, statement));
        });
        // Best effort: the cluster of the tests is thrown away as a whole.
    }
}

/// Names of databases cannot be parameters; ours are letters and digits.
async fn administer(admin: &Url, statement: String) {
    let mut connection = sqlx::AnyConnection::connect(admin.as_str()).await.unwrap();
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
    connection.close().await.unwrap();
}
