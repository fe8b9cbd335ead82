//! What each node adds, and what PostgreSQL does for it.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use portico::clock::Clock;
use portico::simulator::imis::Imis;
use serde_json::json;
use sqlx::{AnyConnection, Connection as _, Row as _};

use super::crowd::Crowd;
use super::figures::{self, Actor, Figure};
use super::report::{Row, Sample};
use super::support::Database;
use super::wire::Connection;
use super::{Options, Server, Setup, core, measure, welcome};

/// How often each figure is done while transactions and statements are counted.
const COUNTED: u32 = 100;

/// One figure at one node, and at all.
struct Line {
    alone: Row,
    together: Row,
    /// Milliseconds of PostgreSQL's processor time for one, likewise.
    database: [Vec<f64>; 2],
    counts: Counts,
}

/// For one.
#[derive(Default)]
struct Counts {
    transactions: f64,
    statements: f64,
    /// Bytes of the write-ahead log.
    log: f64,
}

pub(crate) async fn run(
    options: &Options,
    count: usize,
    length: Duration,
    folder: &Path,
    database: &Database,
) -> anyhow::Result<()> {
    let Database::Postgres { admin, name, .. } = database else {
        bail!("nodes share PostgreSQL: name an administrator's connection in TEST_DATABASE_URL");
    };
    let imis = Imis::new(Clock::system());
    let crowd = Arc::new(Crowd::new());
    figures::enroll(&imis, &crowd.people());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let imis_running = imis.serve(listener).await?;
    let mut setup = Setup::new(folder, database, imis_running.url())?;
    let mut servers = Vec::new();
    for _ in 0..count.max(1) {
        servers.push(Server::start(&setup).await?);
    }
    let all: Vec<_> = servers.iter().map(Server::node).collect();
    let (first, _) = *all.first().context("no node")?;
    welcome(first, &crowd).await?;
    let postmaster = postmaster(admin.as_str()).await?;
    let wanted = |figure: &Figure| {
        matches!(
            figure,
            Figure::ClientCredentials(_) | Figure::Login(_) | Figure::Refresh(_)
        )
    };
    let mut lines: Vec<Line> = options
        .figures()
        .into_iter()
        .filter(wanted)
        .map(|figure| Line {
            alone: Row::new(figure),
            together: Row::new(figure),
            database: [Vec::new(), Vec::new()],
            counts: Counts::default(),
        })
        .collect();
    for _ in 0..options.rounds {
        for line in &mut lines {
            let figure = line.alone.figure;
            let [of_one, of_all] = &mut line.database;
            for (nodes, row, spent) in [
                (all.get(..1).unwrap_or_default(), &mut line.alone, of_one),
                (all.as_slice(), &mut line.together, of_all),
            ] {
                let before = core::family_time(postmaster)?;
                let sample = measure(nodes, figure, options, &crowd, length).await?;
                let used = core::family_time(postmaster)?.saturating_sub(before);
                let times = u32::try_from(sample.times.len().max(1))?;
                spent.push(used.as_secs_f64() * 1000.0 / f64::from(times));
                row.samples.push(sample);
            }
        }
    }
    drop(servers);
    setup.log = Some(("warn,sqlx::query=debug", folder.join("statements.log")));
    let server = Server::start(&setup).await?;
    for line in &mut lines {
        line.counts = counts(
            &server,
            &setup,
            line.alone.figure,
            admin.as_str(),
            name,
            &crowd,
        )
        .await?;
    }
    print(&lines, count)?;
    if let Some(file) = &options.json {
        std::fs::write(file, as_json(&lines, count).to_string())?;
    }
    Ok(())
}

/// The process that PostgreSQL's others are children of.
async fn postmaster(admin: &str) -> anyhow::Result<u32> {
    let mut connection = AnyConnection::connect(admin).await?;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut connection)
        .await?;
    let parent = core::parent(u32::try_from(pid)?)?;
    connection.close().await?;
    Ok(parent)
}

/// What PostgreSQL counts for one, and the statements that the server's log tells of.
async fn counts(
    server: &Server,
    setup: &Setup,
    figure: Figure,
    admin: &str,
    name: &str,
    crowd: &Arc<Crowd>,
) -> anyhow::Result<Counts> {
    let (_, log) = setup.log.as_ref().context("nothing is logged")?;
    let count = async || -> anyhow::Result<[i64; 3]> {
        // A process that rests tells what it has counted ten seconds late (PGSTAT_IDLE_INTERVAL in PostgreSQL's pgstat.c).
        tokio::time::sleep(Duration::from_secs(12)).await;
        let mut connection = AnyConnection::connect(admin).await?;
        let row = sqlx::query(
            "SELECT xact_commit, CAST(pg_current_wal_insert_lsn() - '0/0' AS BIGINT) AS written
             FROM pg_stat_database WHERE datname = $1",
        )
        .bind(name)
        .fetch_one(&mut connection)
        .await?;
        let (transactions, written) = (row.try_get(0)?, row.try_get(1)?);
        connection.close().await?;
        let statements = std::fs::read_to_string(log)?.matches("sqlx::query").count();
        Ok([transactions, i64::try_from(statements)?, written])
    };
    let mut actor = Actor::new(Connection::open(server.address).await?, figure, crowd).await?;
    actor.act().await?;
    let before = count().await?;
    for _ in 0..COUNTED {
        actor.act().await?;
    }
    let after = count().await?;
    let each = |of: fn([i64; 3]) -> i64| -> anyhow::Result<f64> {
        Ok(f64::from(u32::try_from(of(after) - of(before))?) / f64::from(COUNTED))
    };
    Ok(Counts {
        transactions: each(|[transactions, _, _]| transactions)?,
        statements: each(|[_, statements, _]| statements)?,
        log: each(|[_, _, written]| written)?,
    })
}

fn median(values: &[f64]) -> f64 {
    super::report::median(values.iter().copied())
}

fn print(lines: &[Line], count: usize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\nPer second of a node's processor time, with one node and with {count}; PostgreSQL's milliseconds of processor time,\n\
         transactions, statements and bytes of its log for one"
    )?;
    writeln!(
        out,
        "{:<28}{:>9}{:>9}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "", "one", "all", "", "ms", "ms", "trans.", "statem.", "bytes"
    )?;
    for line in lines {
        let [one, all] = [&line.alone, &line.together].map(|row| row.of(Sample::per_core));
        let [of_one, of_all] = &line.database;
        writeln!(
            out,
            "{:<28}{one:>9.0}{all:>9.0}{:>7.2}{:>9.2}{:>9.2}{:>9.1}{:>9.1}{:>9.0}",
            line.alone.figure.name(),
            all / one,
            median(of_one),
            median(of_all),
            line.counts.transactions,
            line.counts.statements,
            line.counts.log,
        )?;
    }
    Ok(())
}

fn as_json(lines: &[Line], count: usize) -> serde_json::Value {
    let lines = lines.iter().map(|line| {
        let [one, all] = &line.database;
        json!({
            "name": line.alone.figure.name(),
            "per_core_second": line.alone.of(Sample::per_core),
            "per_core_second_of_all": line.together.of(Sample::per_core),
            "database_ms": median(one),
            "database_ms_of_all": median(all),
            "transactions": line.counts.transactions,
            "statements": line.counts.statements,
            "log_bytes": line.counts.log,
        })
    });
    json!({ "nodes": count, "figures": lines.collect::<Vec<_>>() })
}
