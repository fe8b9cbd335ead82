//! How fast the server is, beside what the machine can do at the most: one run measures both, in turns, so that a neighbour of this
//! machine slows both down.
//!
//! `make bench`, or `cargo bench --bench speed`; on PostgreSQL where `TEST_DATABASE_URL` names an administrator's connection. The release
//! binary has one core to itself, this program with the simulated iMIS another, and there PostgreSQL has to be kept, too (`taskset`). What is compared is work per second
//! of processor time: it says the same on a busy machine. `docs/performance.md` explains the table and has the results.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use portico::clock::Clock;
use portico::simulator::Fault;
use portico::simulator::imis::Imis;
use sqlx::Connection as _;
use tokio::task::{JoinHandle, LocalSet};

mod bare;
mod bounds;
mod core;
mod count;
mod crowd;
mod figures;
mod fill;
mod growth;
mod nodes;
mod report;
#[path = "../support/mod.rs"]
mod support;
mod wire;

use bounds::{Bound, Handler};
use crowd::Crowd;
use figures::{Actor, CALLBACK, Figure, Form, SECRET};
use fill::Sizes;
use report::{Bounds, Report, Row, Sample};
use support::{Database, beginning, free_port, members, portico, serve};
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
    /// Measures a large database beside a small one, instead.
    #[arg(long)]
    filled: bool,
    /// Measures while so many rows that have ended are removed from the large one, and after that, too.
    #[arg(long, default_value_t = 0)]
    expired: u64,
    /// What the large one holds.
    #[arg(long, default_value_t = 10_000_000)]
    families: u64,
    #[arg(long, default_value_t = 1_000_000)]
    accounts: u64,
    #[arg(long, default_value_t = 100_000)]
    clients: u64,
    /// Measures one node and so many on one PostgreSQL, instead, and what that does for them.
    #[arg(long)]
    nodes: Option<usize>,
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
/// When nobody has asked for so long, a server is idle: the threads of its start have ended, and what they had is given back.
const REST: Duration = Duration::from_secs(12);
/// How long a server may take to end.
const END: Duration = Duration::from_secs(20);
/// How long the slower of the two simulated upstreams takes for each answer.
const SLOW: Duration = Duration::from_millis(50);
const TOKEN: Figure = Figure::ClientCredentials(Form::Rs256);
/// Who waits for whom: what is cheap for signatures, and a signature for what is cheap.
const BESIDE: [(Figure, (usize, Figure)); 5] = [
    (Figure::Discovery, (2, TOKEN)),
    (Figure::Discovery, (8, TOKEN)),
    (Figure::Discovery, (32, TOKEN)),
    (TOKEN, (32, Figure::Discovery)),
    (TOKEN, (256, Figure::Discovery)),
];

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
        if options.filled {
            return growth::run(&options, length, folder.path()).await;
        }
        let database = Database::fresh(folder.path()).await?;
        let outcome = match options.nodes {
            Some(count) => nodes::run(&options, count, length, folder.path(), &database).await,
            None => run(&options, length, folder.path(), &database).await,
        };
        database.remove().await?;
        outcome
    })
}

impl Options {
    const fn sizes(&self) -> Sizes {
        Sizes {
            families: self.families,
            accounts: self.accounts,
            clients: self.clients,
        }
    }

    /// The figures that are asked for.
    fn figures(&self) -> Vec<Figure> {
        let wanted = |figure: &Figure| {
            let name = figure.name();
            self.only.as_ref().is_none_or(|only| name.contains(only))
        };
        all_figures().into_iter().filter(wanted).collect()
    }

    /// How many connections do a figure at the same time.
    fn connections(&self, figure: Figure) -> usize {
        match figure {
            Figure::Login(_) => LOGINS,
            _ => self.connections,
        }
    }
}

async fn run(
    options: &Options,
    length: Duration,
    folder: &Path,
    database: &Database,
) -> anyhow::Result<()> {
    let imis = Imis::new(Clock::system());
    let crowd = Arc::new(Crowd::new());
    figures::enroll(&imis, &crowd.people());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let imis_running = imis.serve(listener).await?;
    let mut setup = Setup::new(folder, database, imis_running.url())?;
    // The first start makes the schema and the keys; how long a start takes is told by another.
    drop(Server::start(&setup).await?);
    let figures = options.figures();
    if options.statements {
        let log = folder.join("log");
        setup.log = Some(("sqlx::query=debug", log.clone()));
        let server = Server::start(&setup).await?;
        return count::statements(&server, &figures, &log).await;
    }
    if let Some(times) = options.instructions {
        setup.counts = Some(folder.join("callgrind"));
        let server = Server::start(&setup).await?;
        return count::instructions(&server, &figures, times, options.profiles.as_deref()).await;
    }
    let server = Server::start(&setup).await?;
    let ready = server.ready;
    let handler = Handler::start()?;
    tokio::time::sleep(REST).await;
    let idle = core::memory(server.child.id(), "VmRSS")?;
    let plan = bare::Plan::record(server.address, &imis, imis_running.url(), &crowd).await?;
    let plan_file = folder.join("plan.json");
    std::fs::write(&plan_file, serde_json::to_vec(&plan)?)?;
    let bare = Handler::bare(&scratch_of(database, folder, "bare.db"), &plan_file)?;
    welcome(server.address, &crowd).await?;

    let mut rows: Vec<Row> = figures.into_iter().map(Row::new).collect();
    let mut all_bounds = Bounds::default();
    for _ in 0..options.rounds {
        let nodes = [handler.node()];
        let empty = measure(&nodes, Figure::Empty, options, &crowd, length).await?;
        all_bounds.handler.push(empty.per_core());
        for (bound, rates) in [
            (Bound::Rs256, &mut all_bounds.rs256),
            (Bound::Es256, &mut all_bounds.es256),
            (Bound::EdDsa, &mut all_bounds.ed_dsa),
        ] {
            rates.push(bounds::rate(bound, length / 2, "")?.0);
        }
        let scratch = scratch_of(database, folder, "rows.db");
        let (per_core, per_second) = bounds::rate(Bound::Rows, length / 2, &scratch)?;
        all_bounds.rows.push(per_core);
        all_bounds.rows_wall.push(per_second);
        for row in &mut rows {
            let sample = measure(&[server.node()], row.figure, options, &crowd, length).await?;
            row.samples.push(sample);
            let sample = measure(&[bare.node()], row.figure, options, &crowd, length).await?;
            row.bare.push(sample);
        }
    }
    let transactions = match database {
        Database::Postgres { admin, name, .. } => {
            Some(transactions(&server, admin.as_str(), name, &crowd).await?)
        }
        Database::Sqlite(_) => None,
    };
    imis.fail("/", Fault::Slow(SLOW));
    let figure = Figure::Login(Form::Rs256);
    let slow = measure(&[server.node()], figure, options, &crowd, length).await?;
    let mut besides = Vec::new();
    for (figure, others) in BESIDE {
        let [ours, bare] = [server.node(), bare.node()]
            .map(|(address, _)| beside(address, figure, others, &crowd, length));
        let name = format!(
            "{} beside {} x {}",
            figure.name(),
            others.0,
            others.1.name()
        );
        besides.push((name, ours.await?, bare.await?));
    }
    let report = Report {
        database: match database {
            Database::Sqlite(_) => "SQLite",
            Database::Postgres { .. } => "PostgreSQL",
        },
        rows,
        bounds: all_bounds,
        slow,
        besides,
        transactions,
        ready,
        idle,
        loaded: core::memory(server.child.id(), "VmHWM")?,
        binary: std::fs::metadata(portico())?.len(),
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

/// Everybody logs in once: a first login makes an account, and asks the upstream for more.
async fn welcome(server: SocketAddr, crowd: &Arc<Crowd>) -> anyhow::Result<()> {
    let mut tasks = Vec::new();
    for _ in 0..LOGINS {
        let figure = Figure::Login(Form::Es256);
        let mut actor = Actor::new(Connection::open(server).await?, figure, crowd).await?;
        let each = crowd.size().div_ceil(u64::try_from(LOGINS)?);
        tasks.push(tokio::task::spawn_local(async move {
            for _ in 0..each {
                actor.act().await?;
            }
            anyhow::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// The database that a bound is measured in: PostgreSQL's own, or a file beside Portico's.
fn scratch_of(database: &Database, folder: &Path, name: &str) -> String {
    match database {
        Database::Sqlite(_) => format!("sqlite:{}?mode=rwc", folder.join(name).display()),
        Database::Postgres { url, .. } => url.to_string(),
    }
}

/// One figure, for a while, at nodes in turns.
async fn measure(
    nodes: &[(SocketAddr, u32)],
    figure: Figure,
    options: &Options,
    crowd: &Arc<Crowd>,
    length: Duration,
) -> anyhow::Result<Sample> {
    let mut actors = Vec::new();
    for (address, _) in nodes.iter().cycle().take(options.connections(figure)) {
        let connection = Connection::open(*address).await?;
        let mut actor = Actor::new(connection, figure, crowd).await?;
        // Once before it counts: what is read for the first time is in memory then.
        actor.act().await?;
        actor.connection.requests = 0;
        actor.signatures = 0;
        actors.push(actor);
    }
    let processor_time = || {
        let all = nodes.iter().map(|(_, pid)| core::processor_time(*pid));
        all.sum::<anyhow::Result<Duration>>()
    };
    let awake = stay_awake();
    let before = processor_time()?;
    let since = Instant::now();
    let until = since + length;
    let mut tasks = Vec::new();
    for mut actor in actors {
        tasks.push(tokio::task::spawn_local(async move {
            let times = act_until(&mut actor, until).await?;
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
    sample.processor = processor_time()?.saturating_sub(before);
    awake.abort();
    sample.times.sort_unstable();
    Ok(sample)
}

/// This core does not go to sleep while it waits for answers: else a server pays for waking it, by an interrupt that a virtual machine's
/// host has to deliver, for each answer that it gives later than the load expects, and a faster one for none.
fn stay_awake() -> JoinHandle<()> {
    tokio::task::spawn_local(async {
        loop {
            // PostgreSQL runs here as well.
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
    })
}

/// Over and over until then. How long each took.
async fn act_until(actor: &mut Actor, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        actor.act().await?;
        times.push(began.elapsed());
    }
    Ok(times)
}

/// How long somebody waits for one thing while so many others do another all the time.
async fn beside(
    node: SocketAddr,
    figure: Figure,
    (others, what): (usize, Figure),
    crowd: &Arc<Crowd>,
    length: Duration,
) -> anyhow::Result<Sample> {
    let mut actors = Vec::new();
    for _ in 0..others {
        actors.push(Actor::new(Connection::open(node).await?, what, crowd).await?);
    }
    let mut actor = Actor::new(Connection::open(node).await?, figure, crowd).await?;
    let awake = stay_awake();
    let until = Instant::now() + length;
    let tasks: Vec<_> = actors
        .into_iter()
        .map(|mut actor| {
            tokio::task::spawn_local(async move { act_until(&mut actor, until).await })
        })
        .collect();
    let mut sample = Sample {
        times: act_until(&mut actor, until).await?,
        ..Sample::default()
    };
    for task in tasks {
        task.await??;
    }
    awake.abort();
    sample.times.sort_unstable();
    Ok(sample)
}

/// How many transactions PostgreSQL counted for one login of each form.
async fn transactions(
    server: &Server,
    admin: &str,
    name: &str,
    crowd: &Arc<Crowd>,
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
        let connection = Connection::open(server.address).await?;
        let mut actor = Actor::new(connection, Figure::Login(form), crowd).await?;
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

/// What servers are started with.
struct Setup {
    folder: PathBuf,
    database: String,
    imis: String,
    port: u16,
    /// Another filter of the log than that for warnings, and the file that the log goes to.
    log: Option<(&'static str, PathBuf)>,
    /// Where its instructions are counted, by callgrind: the beginning of the names of files.
    counts: Option<PathBuf>,
    /// More keys of the upstream, and whole sections.
    more: (&'static str, &'static str),
}

impl Setup {
    fn new(folder: &Path, database: &Database, imis: &str) -> anyhow::Result<Self> {
        Ok(Self {
            folder: folder.to_owned(),
            database: database.url().to_owned(),
            imis: imis.to_owned(),
            port: free_port()?,
            log: None,
            counts: None,
            more: ("", ""),
        })
    }
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
    async fn start(setup: &Setup) -> anyhow::Result<Self> {
        let port = free_port()?;
        let internal = free_port()?;
        let config = setup.folder.join(format!("portico-{port}.toml"));
        std::fs::write(&config, configuration(setup, port, internal))?;
        let log = match &setup.log {
            Some((_, file)) => std::fs::File::create(file)?.into(),
            // What is wrong with a configuration is told there; the log says nothing below warnings.
            None => Stdio::inherit(),
        };
        let since = Instant::now();
        let mut command = match &setup.counts {
            Some(files) => {
                let mut command = core::pinned(core::SERVER_CORE, "valgrind");
                command
                    .args(["--tool=callgrind", "--quiet"])
                    .arg(format!("--callgrind-out-file={}", files.display()))
                    .arg(portico());
                command
            }
            None => core::pinned(core::SERVER_CORE, &portico()),
        };
        let child = serve(&mut command, &config, &setup.database)
            .env("BENCH_CLIENT", SECRET)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            ready: Duration::ZERO,
            counts: setup.counts.clone(),
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

    fn node(&self) -> (SocketAddr, u32) {
        (self.address, self.child.id())
    }
}

impl Drop for Server {
    /// As a supervisor does it: a program that counts what it does (`make profiled`) writes that down when it ends by itself.
    fn drop(&mut self) {
        let _ = std::process::Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let since = Instant::now();
        while since.elapsed() < END && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(setup: &Setup, port: u16, internal: u16) -> String {
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
    let issuer = format!("http://127.0.0.1:{}", setup.port);
    let beginning = beginning(&issuer, port, internal);
    let members = members(&setup.imis);
    let filter = setup.log.as_ref().map_or("warn", |(filter, _)| filter);
    let (upstream, sections) = setup.more;
    format!(
        "{beginning}algorithms = [\"RS256\", \"ES256\", \"EdDSA\"]\n\n[log]\nfilter = \"{filter},portico::audit=off\"\n\n\
         # Everybody logs in from one address here, which is a guesser's way.\n\
         [login]\nmax_attempts = 100\nmax_attempts_per_address = 10000\n{sections}{members}{upstream}{clients}"
    )
}
