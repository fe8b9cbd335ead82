//! How fast the server is, beside what the machine can do at the most: one run measures both, in turns, so that a neighbour of this
//! machine slows both down.
//!
//! `make bench`, or `cargo bench --bench speed`; on PostgreSQL where `TEST_DATABASE_URL` names an administrator's connection. The release
//! binary has one core to itself, this program with the simulated iMIS another. What is compared is work per second
//! of processor time: it says the same on a busy machine. `docs/performance.md` explains the table and has the results.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use portico::clock::Clock;
use portico::simulator::Fault;
use portico::simulator::imis::Imis;
use sqlx::Connection as _;
use tokio::task::LocalSet;

mod bounds;
mod core;
mod count;
mod figures;
mod report;
#[path = "../support/mod.rs"]
mod support;
mod wire;

use bounds::{Bound, Handler};
use figures::{Actor, CALLBACK, Figure, Form, SECRET};
use report::{Bounds, Report, Row, Sample};
use support::{Database, PORTICO, beginning, free_port, members, serve};
use wire::Connection;

/// How long, and how often.
#[derive(Parser)]
struct Options {
    /// How long each figure is measured in each round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How many rounds; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many connections ask at the same time; logins come from eight.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Only the figures whose name holds this text.
    #[arg(long)]
    only: Option<String>,
    /// Counts in place of measuring: the instructions of each figure, so many times done, by callgrind (valgrind).
    #[arg(long, value_name = "TIMES")]
    instructions: Option<u32>,
    /// Keeps what callgrind wrote in this folder, a file a figure, for `callgrind_annotate`.
    #[arg(long, requires = "instructions")]
    profiles: Option<std::path::PathBuf>,
    /// Prints the statements of each figure, done once, in place of measuring.
    #[arg(long)]
    statements: bool,
    /// Where to write the figures as JSON.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
    /// Measures one bound: what this program calls itself with.
    #[arg(long, hide = true)]
    bound: Option<Bound>,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Logins at the same time: what the bound on memory is for.
const LOGINS: usize = 8;
/// How long the slower of the two simulated upstreams takes for each answer.
const SLOW: Duration = Duration::from_millis(50);

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let length = Duration::from_secs_f64(options.seconds);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Some(bound) = options.bound {
        return runtime.block_on(bounds::measure(bound, length));
    }
    if std::env::var_os("BENCH_PINNED").is_none() {
        let program = std::env::current_exe()?;
        let status = core::pinned(core::LOAD_CORE, program.to_str().context("an odd path")?)
            .args(std::env::args_os().skip(1))
            .env("BENCH_PINNED", "1")
            .status()
            .context("taskset (util-linux) could not be started")?;
        ensure!(status.success(), "the bench failed");
        return Ok(());
    }
    sqlx::any::install_default_drivers();
    let folder = tempfile::tempdir()?;
    LocalSet::new().block_on(&runtime, async {
        let database = Database::fresh(folder.path()).await?;
        let outcome = run(&options, length, folder.path(), &database).await;
        database.remove().await?;
        outcome
    })
}

async fn run(
    options: &Options,
    length: Duration,
    folder: &Path,
    database: &Database,
) -> anyhow::Result<()> {
    let imis = Imis::new(Clock::system());
    figures::enroll(&imis);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let imis_running = imis.serve(listener).await?;
    let start =
        async |under: &Under| Server::start(folder, database, imis_running.url(), under).await;
    // The first start makes the schema and the keys; how long a start takes is told by another.
    drop(start(&Under::Nothing).await?);
    let wanted = |figure: &Figure| {
        let name = figure.name();
        options.only.as_ref().is_none_or(|only| name.contains(only))
    };
    let figures: Vec<Figure> = all_figures().into_iter().filter(wanted).collect();
    if options.statements {
        let log = folder.join("log");
        let server = start(&Under::Log(log.clone())).await?;
        return count::statements(&server, &figures, &log).await;
    }
    if let Some(times) = options.instructions {
        let server = start(&Under::Callgrind(folder.join("callgrind"))).await?;
        return count::instructions(&server, &figures, times, options.profiles.as_deref()).await;
    }
    let server = start(&Under::Nothing).await?;
    let ready = server.ready;
    let handler = Handler::start()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = core::memory(server.child.id(), "VmRSS")?;

    let mut rows: Vec<Row> = figures.into_iter().map(Row::new).collect();
    let mut all_bounds = Bounds::default();
    for _ in 0..options.rounds {
        let empty = measure(
            handler.address,
            handler.pid(),
            Figure::Empty,
            options.connections,
            length,
        )
        .await?;
        all_bounds.handler.push(empty.per_core());
        for (bound, rates) in [
            (Bound::Rs256, &mut all_bounds.rs256),
            (Bound::Es256, &mut all_bounds.es256),
            (Bound::EdDsa, &mut all_bounds.ed_dsa),
        ] {
            rates.push(bounds::rate(bound, length / 2, "")?.0);
        }
        let scratch = scratch_of(database, folder);
        let (per_core, per_second) = bounds::rate(Bound::Rows, length / 2, &scratch)?;
        all_bounds.rows.push(per_core);
        all_bounds.rows_wall.push(per_second);
        for row in &mut rows {
            let connections = match row.figure {
                Figure::Login(_) => LOGINS,
                _ => options.connections,
            };
            let sample = measure(
                server.address,
                server.child.id(),
                row.figure,
                connections,
                length,
            )
            .await?;
            row.samples.push(sample);
        }
    }
    let transactions = match database {
        Database::Postgres { admin, name, .. } => {
            Some(transactions(&server, admin.as_str(), name).await?)
        }
        Database::Sqlite(_) => None,
    };
    imis.fail("/", Fault::Slow(SLOW));
    let slow = measure(
        server.address,
        server.child.id(),
        Figure::Login(Form::Rs256),
        LOGINS,
        length,
    )
    .await?;
    let report = Report {
        database: match database {
            Database::Sqlite(_) => "SQLite",
            Database::Postgres { .. } => "PostgreSQL",
        },
        rows,
        bounds: all_bounds,
        slow,
        transactions,
        ready,
        idle,
        loaded: core::memory(server.child.id(), "VmHWM")?,
        binary: std::fs::metadata(PORTICO)?.len(),
    };
    report.print(options.json.as_deref())
}

fn all_figures() -> Vec<Figure> {
    let mut figures = vec![Figure::Discovery, Figure::Jwks];
    figures.extend(Form::ALL.map(Figure::ClientCredentials));
    figures.extend(Form::ALL.map(Figure::Login));
    figures.extend(Form::ALL.map(Figure::Refresh));
    figures.extend([Form::Rs256, Form::Opaque].map(Figure::Introspection));
    figures.extend([Form::Rs256, Form::Opaque].map(Figure::Userinfo));
    figures
}

/// The database that the bound of rows is measured in: PostgreSQL's own, or a file beside Portico's.
fn scratch_of(database: &Database, folder: &Path) -> String {
    match database {
        Database::Sqlite(_) => format!("sqlite:{}?mode=rwc", folder.join("rows.db").display()),
        Database::Postgres { url, .. } => url.to_string(),
    }
}

/// One figure, for a while.
async fn measure(
    address: SocketAddr,
    pid: u32,
    figure: Figure,
    connections: usize,
    length: Duration,
) -> anyhow::Result<Sample> {
    let mut actors = Vec::new();
    for _ in 0..connections {
        let connection = Connection::open(address).await?;
        let mut actor = Actor::new(connection, figure).await?;
        // Once before it counts: what is read for the first time is in memory then.
        actor.act().await?;
        actor.connection.requests = 0;
        actor.signatures = 0;
        actors.push(actor);
    }
    let before = core::processor_time(pid)?;
    let since = Instant::now();
    let until = since + length;
    let mut tasks = Vec::new();
    for mut actor in actors {
        tasks.push(tokio::task::spawn_local(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let began = Instant::now();
                actor.act().await?;
                times.push(began.elapsed());
            }
            anyhow::Ok((times, actor.connection.requests, actor.signatures))
        }));
    }
    let mut sample = Sample::default();
    for task in tasks {
        let (times, requests, signatures) = task.await??;
        sample.times.extend(times);
        sample.requests += requests;
        sample.signatures += signatures;
    }
    sample.wall = since.elapsed();
    sample.processor = core::processor_time(pid)?.saturating_sub(before);
    sample.times.sort_unstable();
    Ok(sample)
}

/// How many transactions PostgreSQL counted for one login of each form.
async fn transactions(
    server: &Server,
    admin: &str,
    name: &str,
) -> anyhow::Result<Vec<(&'static str, f64)>> {
    const LOGINS: u32 = 100;
    let count = async || -> anyhow::Result<i64> {
        // A process that rests tells what it has counted ten seconds late (PGSTAT_IDLE_INTERVAL in PostgreSQL's pgstat.c).
        tokio::time::sleep(Duration::from_secs(12)).await;
        let mut connection = sqlx::AnyConnection::connect(admin).await?;
        let count =
            sqlx::query_scalar("SELECT xact_commit FROM pg_stat_database WHERE datname = $1")
                .bind(name)
                .fetch_one(&mut connection)
                .await?;
        connection.close().await?;
        Ok(count)
    };
    let mut counted = Vec::new();
    for form in [Form::Rs256, Form::Opaque] {
        let mut actor =
            Actor::new(Connection::open(server.address).await?, Figure::Login(form)).await?;
        actor.act().await?;
        let before = count().await?;
        for _ in 0..LOGINS {
            actor.act().await?;
        }
        let all = u32::try_from(count().await? - before)?;
        counted.push((form.name(), f64::from(all) / f64::from(LOGINS)));
    }
    Ok(counted)
}

/// What the server is started under.
enum Under {
    Nothing,
    /// Tells each statement in a file.
    Log(PathBuf),
    /// Counts its instructions; what is counted is written to files whose names begin so.
    Callgrind(PathBuf),
}

/// The server, on its core.
struct Server {
    child: Child,
    address: SocketAddr,
    /// From its start until it says that it is ready.
    ready: Duration,
    /// Where its instructions are counted.
    counts: Option<PathBuf>,
}

impl Server {
    async fn start(
        folder: &Path,
        database: &Database,
        imis: &str,
        under: &Under,
    ) -> anyhow::Result<Self> {
        let (port, internal) = (free_port()?, free_port()?);
        let config = folder.join("portico.toml");
        // What is wrong with a configuration is told there; the log says nothing below warnings.
        let (filter, stderr) = match under {
            Under::Log(file) => ("sqlx::query=debug", File::create(file)?.into()),
            _ => ("warn", Stdio::inherit()),
        };
        std::fs::write(&config, configuration(port, internal, imis, filter))?;
        let since = Instant::now();
        let mut command = match under {
            Under::Callgrind(file) => {
                let mut command = core::pinned(core::SERVER_CORE, "valgrind");
                command
                    .args(["--tool=callgrind", "--quiet"])
                    .arg(format!("--callgrind-out-file={}", file.display()))
                    .arg(PORTICO);
                command
            }
            _ => core::pinned(core::SERVER_CORE, PORTICO),
        };
        let child = serve(&mut command, &config, database.url())
            .env("BENCH_CLIENT", SECRET)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()?;
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            ready: Duration::ZERO,
            counts: match under {
                Under::Callgrind(files) => Some(files.clone()),
                _ => None,
            },
        };
        let health = SocketAddr::from(([127, 0, 0, 1], internal));
        loop {
            if let Ok(mut connection) = Connection::open(health).await
                && connection
                    .get("/health/ready", "")
                    .await
                    .is_ok_and(|answer| answer.status == 200)
            {
                server.ready = since.elapsed();
                return Ok(server);
            }
            ensure!(
                since.elapsed() < Duration::from_mins(2),
                "the server did not become ready"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(port: u16, internal: u16, imis: &str, filter: &str) -> String {
    let client = |form: Form| {
        let id = form.client();
        let format = match form {
            Form::Opaque => "access_token_format = \"opaque\"".to_owned(),
            _ => format!(
                "access_token_signed_response_alg = \"{0}\"\nid_token_signed_response_alg = \"{0}\"",
                form.name()
            ),
        };
        format!(
            r#"
[[clients]]
client_id = "{id}"
client_secret = {{ env = "BENCH_CLIENT" }}
redirect_uris = ["{CALLBACK}"]
grant_types = ["authorization_code", "refresh_token", "client_credentials"]
scope = "openid profile offline_access reports:read"
{format}
"#
        )
    };
    let clients = Form::ALL.map(client).concat();
    let beginning = beginning(&format!("http://127.0.0.1:{port}"), port, internal);
    let members = members(imis);
    format!(
        "{beginning}algorithms = [\"RS256\", \"ES256\", \"EdDSA\"]\n\n[log]\nfilter = \"{filter}\"\n\n\
         # Everybody logs in from one address here, which is a guesser's way.\n\
         [login]\nmax_attempts = 100\nmax_attempts_per_address = 10000\n{members}{clients}"
    )
}
