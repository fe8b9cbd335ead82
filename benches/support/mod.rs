//! What both programs need: a database of their own, ports that nobody else is given, the real server.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use portico::clock::random_bytes;
use portico::simulator::people;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use url::Url;

/// A number below `limit`.
pub(crate) fn below(limit: u64) -> u64 {
    u64::from_ne_bytes(random_bytes()) % limit.max(1)
}

/// A database of its own: SQLite, or PostgreSQL where `TEST_DATABASE_URL` names an administrator's connection.
pub(crate) enum Database {
    Sqlite(String),
    Postgres { admin: Url, name: String, url: Url },
}

impl Database {
    pub(crate) async fn fresh(folder: &Path) -> anyhow::Result<Self> {
        let Ok(admin) = std::env::var("TEST_DATABASE_URL") else {
            return Ok(Self::Sqlite(format!(
                "sqlite:{}",
                folder.join("portico.db").display()
            )));
        };
        let admin = Url::parse(&admin)?;
        let name = format!("portico_bench_{:016x}", below(u64::MAX));
        administer(&admin, format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
        let mut url = admin.clone();
        url.set_path(&name);
        Ok(Self::Postgres { admin, name, url })
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Sqlite(url) => url,
            Self::Postgres { url, .. } => url.as_str(),
        }
    }

    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres { admin, name, .. } => {
                administer(admin, format!("DROP DATABASE {name} WITH (FORCE)")).await
            }
        }
    }
}

async fn administer(admin: &Url, statement: String) -> anyhow::Result<()> {
    let mut connection = sqlx::AnyConnection::connect(admin.as_str()).await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    Ok(connection.close().await?)
}

/// A port that stays free while a node is down: systems hand out none from below 32768 to connections or for `port 0`.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    for _ in 0..1000 {
        let port = 10_240 + u16::try_from(below(20_000))?;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port is free")
}

/// The program under test: the one that was built along, or another that `BENCH_PROGRAM` names.
pub(crate) fn portico() -> String {
    let other = std::env::var("BENCH_PROGRAM");
    other.unwrap_or_else(|_| env!("CARGO_BIN_EXE_portico").to_owned())
}

/// The master key of every server here.
pub(crate) const MASTER_KEY: &str = "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=";

/// Adds to a command what makes it the server: its configuration, and the environment that [`beginning`] names.
pub(crate) fn serve<'a>(
    command: &'a mut Command,
    config: &Path,
    database: &str,
) -> &'a mut Command {
    command
        .args(["serve", "--config"])
        .arg(config)
        .env("BENCH_DATABASE", database)
        .env("BENCH_MASTER_KEY", MASTER_KEY)
        .env("BENCH_SERVICE", people::SERVICE.password)
}

/// The first part of a configuration, up to `[keys]`, to which more keys may be added.
pub(crate) fn beginning(issuer: &str, port: u16, internal: u16) -> String {
    format!(
        r#"issuer = "{issuer}"

[server]
listen = "127.0.0.1:{port}"
internal_listen = "127.0.0.1:{internal}"

[database]
url = {{ env = "BENCH_DATABASE" }}

[keys]
master_key = {{ env = "BENCH_MASTER_KEY" }}
"#
    )
}

/// The simulated iMIS as an upstream.
pub(crate) fn members(imis: &str) -> String {
    let service = people::SERVICE.username;
    format!(
        r#"
[[upstreams]]
id = "members"
kind = "imis"
label = "Member login"
login = ["password"]
base_url = "{imis}"
service_account = {{ username = "{service}", password = {{ env = "BENCH_SERVICE" }} }}
"#
    )
}

/// The value of a hidden field.
pub(crate) fn field(page: &str, name: &str) -> anyhow::Result<String> {
    let (_, rest) = page
        .split_once(&format!("name=\"{name}\" value=\""))
        .with_context(|| format!("the page has no {name}"))?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}
