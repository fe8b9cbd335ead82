//! Flat as it grows: the same figures of a small and of a large database, in turns, so that the ratio is one of the same minutes; and
//! while many rows that have ended are swept away.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use portico::clock::Clock;
use portico::simulator::imis::Imis;
use serde_json::json;
use sqlx::{AnyConnection, Connection as _};

use super::crowd::Crowd;
use super::figures::{self, CALLBACK, Figure, Form, TEMPLATE, log_in};
use super::fill::{self, Size, Sizes};
use super::report::{Row, Sample};
use super::support::Database;
use super::wire::Connection;
use super::{Options, Server, Setup, core, measure};

/// Nobody asks iMIS about people whom it does not know: those who log in are some of those whose tokens are refreshed.
const NOT_ASKED_ANEW: &str = "recheck = \"never\"\n";
const OPEN: &str = "\n[registration]\nmode = \"open\"\n";

/// A database, and what runs on it.
struct Place {
    setup: Setup,
    database: Database,
    sizes: Sizes,
    crowd: Arc<Crowd>,
    server: Option<Server>,
    took: Duration,
}

impl Place {
    /// A database that a server has written one registration and one login to, then filled.
    async fn filled(folder: &Path, imis: &str, sizes: Sizes, people: u64) -> anyhow::Result<Self> {
        std::fs::create_dir(folder)?;
        let database = Database::fresh(folder).await?;
        let mut setup = Setup::new(folder, &database, imis)?;
        setup.more = (NOT_ASKED_ANEW, OPEN);
        let server = Server::start(&setup).await?;
        let mut connection = Connection::open(server.address).await?;
        let registration =
            json!({ "redirect_uris": [CALLBACK], "client_name": "One of very many apps" });
        let answer = connection.post_json("/register", &registration).await?;
        ensure!(answer.status == 201, "{} {}", answer.status, answer.body);
        let scope = "openid profile offline_access";
        log_in(&mut connection, Form::Opaque, scope, TEMPLATE).await?;
        // The audit is written a moment later.
        tokio::time::sleep(Duration::from_secs(3)).await;
        drop(server);
        let generation = generation(database.url()).await?;
        let took = fill::fill(database.url(), sizes).await?;
        let crowd = Arc::new(Crowd::of(sizes, people, generation)?);
        Ok(Self {
            setup,
            database,
            sizes,
            crowd,
            server: None,
            took,
        })
    }

    async fn start(&mut self) -> anyhow::Result<Duration> {
        let server = Server::start(&self.setup).await?;
        let ready = server.ready;
        self.server = Some(server);
        Ok(ready)
    }

    async fn measure(
        &self,
        figure: Figure,
        options: &Options,
        length: Duration,
    ) -> anyhow::Result<Sample> {
        let server = self.server.as_ref().context("no server runs")?;
        measure(&[server.node()], figure, options, &self.crowd, length).await
    }
}

async fn generation(url: &str) -> anyhow::Result<i64> {
    let mut connection = AnyConnection::connect(url).await?;
    let found = sqlx::query_scalar("SELECT generation FROM token_family WHERE offline = 1")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(found)
}

/// A figure of both.
struct Pair {
    small: Row,
    large: Row,
}

pub(crate) async fn run(options: &Options, length: Duration, folder: &Path) -> anyhow::Result<()> {
    let sizes = options.sizes();
    let imis = Imis::new(Clock::system());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let imis_running = imis.serve(listener).await?;
    figures::enroll(&imis, &BTreeSet::from([TEMPLATE]));
    // As many log in at both: whoever does so often has more that a login looks at.
    let people = sizes.small().accounts;
    let (small, large) = (folder.join("small"), folder.join("large"));
    let mut small = Place::filled(&small, imis_running.url(), sizes.small(), people).await?;
    let mut large = Place::filled(&large, imis_running.url(), sizes, people).await?;
    let people = &small.crowd.people() | &large.crowd.people();
    figures::enroll(&imis, &people);
    let (tables, whole) = fill::sizes(large.database.url()).await?;
    print_sizes(&large, &tables, whole)?;

    let ready = [small.start().await?, large.start().await?];
    let mut pairs: Vec<Pair> = options
        .figures()
        .into_iter()
        .map(|figure| Pair {
            small: Row::new(figure),
            large: Row::new(figure),
        })
        .collect();
    // Before it counts: what a system has in memory after it has run for a while.
    for round in 0..=options.rounds {
        for pair in &mut pairs {
            let figure = pair.small.figure;
            for turn in 0..2 {
                let (place, row) = match (round + turn) % 2 {
                    0 => (&small, &mut pair.small),
                    _ => (&large, &mut pair.large),
                };
                let sample = place.measure(figure, options, length).await?;
                if round > 0 {
                    row.samples.push(sample);
                }
            }
        }
    }
    print_growth(&pairs, ready, [&small, &large])?;
    small.server = None;
    small.database.remove().await?;
    let swept = match options.expired {
        0 => None,
        rows => Some(sweep(options, length, &mut large, rows).await?),
    };
    if let Some(file) = &options.json {
        std::fs::write(
            file,
            as_json(&pairs, ready, &tables, whole, swept.as_ref()).to_string(),
        )?;
    }
    large.server = None;
    large.database.remove().await
}

/// Rounds when all is over, at the most: a long sweep has hundreds.
const AFTERWARDS: usize = 30;

/// The figures while rows are swept away, and the same ones when that is over.
struct Swept {
    figures: Vec<(Row, Row)>,
    took: Duration,
    rows: u64,
    /// What the server used of its core meanwhile, beside what it does when nobody asks anything.
    processor: Duration,
}

async fn sweep(
    options: &Options,
    length: Duration,
    place: &mut Place,
    rows: u64,
) -> anyhow::Result<Swept> {
    place.server = None;
    fill::fill_expired(place.database.url(), place.sizes, rows).await?;
    place.start().await?;
    // Nothing is deleted before the clock has gone steadily for a quarter of an hour.
    while u64::try_from(fill::count_expired(place.database.url()).await?)? >= rows {
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let since = Instant::now();
    let figures = [
        Figure::ClientCredentials(Form::Es256),
        Figure::ClientCredentials(Form::Opaque),
        Figure::Login(Form::Rs256),
        Figure::Refresh(Form::Es256),
        Figure::Introspection(Form::Opaque),
    ];
    let mut figures = figures.map(|figure| (Row::new(figure), Row::new(figure)));
    let mut rounds = 0;
    while fill::count_expired(place.database.url()).await? > 0 {
        for (during, _) in &mut figures {
            let sample = place.measure(during.figure, options, length).await?;
            during.samples.push(sample);
            // The last ones would be half of this and half of that.
            if fill::count_expired(place.database.url()).await? == 0 {
                during.samples.pop();
                break;
            }
        }
        rounds += 1;
    }
    let took = since.elapsed();
    let server = place.server.as_ref().context("no server runs")?;
    let processor = core::processor_time(server.child.id())?;
    for _ in 0..rounds.min(AFTERWARDS).max(options.rounds) {
        for (_, after) in &mut figures {
            let sample = place.measure(after.figure, options, length).await?;
            after.samples.push(sample);
        }
    }
    let swept = Swept {
        figures: figures.into(),
        took,
        rows,
        processor,
    };
    print_swept(&swept)?;
    Ok(swept)
}

fn print_sizes(place: &Place, tables: &[Size], whole: i64) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\nFilled in {:.0} s: {} MB in all",
        place.took.as_secs_f64(),
        whole / 1_000_000
    )?;
    writeln!(
        out,
        "{:<24}{:>12}{:>12}{:>12}{:>12}",
        "", "rows", "bytes", "in indexes", "each"
    )?;
    for Size {
        table,
        rows,
        row,
        indexes,
    } in tables
    {
        writeln!(
            out,
            "{table:<24}{rows:>12}{row:>12}{indexes:>12}{:>12}",
            row + indexes
        )?;
    }
    Ok(())
}

fn print_growth(pairs: &[Pair], ready: [Duration; 2], places: [&Place; 2]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let [small, large] = places.map(|place| place.sizes);
    writeln!(
        out,
        "\nPer second of processor time, and milliseconds: {} families, {} accounts, {} clients beside {}, {}, {}",
        small.families,
        small.accounts,
        small.clients,
        large.families,
        large.accounts,
        large.clients
    )?;
    writeln!(
        out,
        "{:<28}{:>10}{:>10}{:>7}{:>9}{:>9}{:>9}{:>9}",
        "", "small", "large", "", "p50", "p50", "p99", "p99"
    )?;
    for Pair { small, large } in pairs {
        let rates = [small, large].map(|row| row.of(Sample::per_core));
        writeln!(
            out,
            "{:<28}{:>10.0}{:>10.0}{:>7.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
            small.figure.name(),
            rates[0],
            rates[1],
            rates[0] / rates[1],
            small.quantile(500),
            large.quantile(500),
            small.quantile(990),
            large.quantile(990),
        )?;
    }
    let [small, large] = ready.map(|ready| ready.as_millis());
    writeln!(out, "{:<28}{small:>10}{large:>10}", "ms until ready")?;
    Ok(())
}

fn print_swept(swept: &Swept) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\n{} rows that had ended were removed in {:.0} s, beside this load; the server used {:.0} s of its core.",
        swept.rows,
        swept.took.as_secs_f64(),
        swept.processor.as_secs_f64()
    )?;
    writeln!(
        out,
        "{:<28}{:>10}{:>10}{:>9}{:>9}{:>9}{:>9}{:>7}",
        "", "after", "meanwhile", "p50", "p50", "p99", "p99", ""
    )?;
    for (during, after) in &swept.figures {
        let tails = [after, during].map(|row| row.quantile(990));
        writeln!(
            out,
            "{:<28}{:>10.0}{:>10.0}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>7.2}",
            during.figure.name(),
            after.of(Sample::per_core),
            during.of(Sample::per_core),
            after.quantile(500),
            during.quantile(500),
            tails[0],
            tails[1],
            tails[1] / tails[0],
        )?;
    }
    Ok(())
}

fn as_json(
    pairs: &[Pair],
    ready: [Duration; 2],
    tables: &[Size],
    whole: i64,
    swept: Option<&Swept>,
) -> serde_json::Value {
    let figure = |row: &Row| {
        json!({
            "name": row.figure.name(),
            "per_core_second": row.of(Sample::per_core),
            "p50_ms": row.quantile(500),
            "p99_ms": row.quantile(990),
        })
    };
    let tables = tables.iter().map(|size| {
        json!({ "table": size.table, "rows": size.rows, "row_bytes": size.row, "index_bytes": size.indexes })
    });
    let swept = swept.map(|swept| {
        let figures = swept.figures.iter();
        let figures = figures
            .map(|(during, after)| json!({ "during": figure(during), "after": figure(after) }));
        json!({
            "rows": swept.rows,
            "seconds": swept.took.as_secs_f64(),
            "figures": figures.collect::<Vec<_>>(),
        })
    });
    json!({
        "bytes": whole,
        "tables": tables.collect::<Vec<_>>(),
        "ready_ms": ready.map(|ready| ready.as_millis()),
        "figures": pairs.iter()
            .map(|pair| json!({ "small": figure(&pair.small), "large": figure(&pair.large) }))
            .collect::<Vec<_>>(),
        "swept": swept,
    })
}
