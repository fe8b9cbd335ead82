//! What one core can do at the most: signatures with a key that is parsed once, answers of an empty handler, transactions of one
//! row. Each runs in a process of its own on the server's core, so that it meets the machine as the server does.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use axum::Router;
use axum::routing::get;
use sqlx::{AnyConnection, Connection as _, Executor as _};

use super::bare;
use super::core::{SERVER_CORE, pinned, processor_time};

/// What a bound is of.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Bound {
    /// Serves an empty handler until its input ends.
    Handler,
    /// Serves the work alone that no server can leave out, as `BENCH_PLAN` and `BENCH_DATABASE` say, until its input ends.
    Bare,
    Rs256,
    Es256,
    EdDsa,
    /// Transactions of one row in the database that `BENCH_DATABASE` names.
    Rows,
}

/// In the process of its own: measures, and prints the operations per second of processor time and per second.
pub(crate) async fn measure(bound: Bound, length: Duration) -> anyhow::Result<()> {
    let random = SystemRandom::new();
    // As long as the signing input of an ID token.
    let input = [7_u8; 887];
    match bound {
        Bound::Handler => serve_nothing().await,
        Bound::Bare => bare::serve().await,
        Bound::Rs256 => {
            let pair = RsaKeyPair::generate(rsa::KeySize::Rsa2048)?;
            let mut signature = vec![0; pair.public_modulus_len()];
            repeat(length, || {
                Ok(pair.sign(&RSA_PKCS1_SHA256, &random, &input, &mut signature)?)
            })
        }
        Bound::Es256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
            repeat(length, || Ok(pair.sign(&random, &input).map(drop)?))
        }
        Bound::EdDsa => {
            let pair = Ed25519KeyPair::generate()?;
            repeat(length, || {
                std::hint::black_box(pair.sign(&input));
                Ok(())
            })
        }
        Bound::Rows => rows(length).await,
    }
}

fn repeat(
    length: Duration,
    mut operation: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (since, before) = (Instant::now(), processor_time(std::process::id())?);
    let mut count = 0_u32;
    while since.elapsed() < length {
        for _ in 0..20 {
            operation()?;
        }
        count += 20;
    }
    tell(count, since, before)
}

fn tell(count: u32, since: Instant, before: Duration) -> anyhow::Result<()> {
    let processor = processor_time(std::process::id())?.saturating_sub(before);
    let per_core = f64::from(count) / processor.as_secs_f64().max(0.01);
    let per_second = f64::from(count) / since.elapsed().as_secs_f64();
    writeln!(std::io::stdout(), "{per_core} {per_second}")?;
    Ok(())
}

async fn rows(length: Duration) -> anyhow::Result<()> {
    let url = std::env::var("BENCH_DATABASE").context("BENCH_DATABASE")?;
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&url).await?;
    if url.starts_with("sqlite:") {
        // As Portico's writer has it.
        connection.execute("PRAGMA synchronous = FULL").await?;
    }
    connection
        .execute(
            "CREATE TABLE IF NOT EXISTS bench_rows (id BIGINT PRIMARY KEY, value TEXT NOT NULL)",
        )
        .await?;
    connection.execute("DELETE FROM bench_rows").await?;
    let (since, before) = (Instant::now(), processor_time(std::process::id())?);
    let mut count = 0_u32;
    while since.elapsed() < length {
        sqlx::query("INSERT INTO bench_rows (id, value) VALUES ($1, $2)")
            .bind(i64::from(count))
            .bind("a row of about as many bytes as that of an authorization code has, which is some three hundred")
            .execute(&mut connection)
            .await?;
        count += 1;
    }
    tell(count, since, before)?;
    connection.execute("DROP TABLE bench_rows").await?;
    Ok(connection.close().await?)
}

async fn serve_nothing() -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let empty = Router::new().route("/", get(|| async { "ok" }));
    let until = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    tokio::select! {
        served = axum::serve(listener, empty) => Ok(served?),
        _ = until => Ok(()),
    }
}

fn command(
    bound: Bound,
    length: Duration,
    database: &str,
) -> anyhow::Result<std::process::Command> {
    let program = std::env::current_exe()?;
    let name = clap::ValueEnum::to_possible_value(&bound).context("a bound without a name")?;
    let mut command = pinned(SERVER_CORE, program.to_str().context("an odd path")?);
    command
        .args(["--bound", name.get_name()])
        .args(["--seconds", &length.as_secs_f64().to_string()])
        .env("BENCH_DATABASE", database);
    Ok(command)
}

/// Operations per second of processor time, and per second.
pub(crate) fn rate(bound: Bound, length: Duration, database: &str) -> anyhow::Result<(f64, f64)> {
    let output = command(bound, length, database)?.output()?;
    let text = String::from_utf8(output.stdout)?;
    let Some((per_core, per_second)) = text.trim().split_once(' ') else {
        bail!(
            "a bound printed {text:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    Ok((per_core.parse()?, per_second.parse()?))
}

/// A bound that serves, in its process.
pub(crate) struct Handler {
    child: Child,
    address: SocketAddr,
}

impl Handler {
    /// The empty one.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::serve(&mut command(Bound::Handler, Duration::from_secs(1), "")?)
    }

    /// The bare server, with a database of its own.
    pub(crate) fn bare(database: &str, plan: &std::path::Path) -> anyhow::Result<Self> {
        let mut command = command(Bound::Bare, Duration::from_secs(1), database)?;
        Self::serve(command.env("BENCH_PLAN", plan))
    }

    fn serve(command: &mut std::process::Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("no output")?;
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)?;
        Ok(Self {
            child,
            address: line.trim().parse()?,
        })
    }

    pub(crate) fn node(&self) -> (SocketAddr, u32) {
        (self.address, self.child.id())
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
