//! Counts that repeat, where a busy machine's times do not: the instructions of a figure, as callgrind counts them, and its statements, as
//! the server's log tells them.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::Server;
use super::crowd::Crowd;
use super::figures::{Actor, Figure, Form};
use super::wire::Connection;

/// How often a figure is done before it counts: everybody has been here then, and what is made once is made.
const WARM: u32 = 20;
/// After this the audit's records are written, which gather for a moment.
const SETTLED: Duration = Duration::from_secs(1);
/// For so long the server is left alone, to count what it does by itself: mostly once a second.
const ALONE: Duration = Duration::from_secs(10);

/// How many times as often a figure is done as is asked for: a look more or less of the server's own, and one more gathering of
/// the audit's records, which is a matter of time, are nothing beside that.
const fn weight(figure: Figure) -> u32 {
    match figure {
        Figure::Empty | Figure::Discovery | Figure::Jwks => 100,
        Figure::Login(Form::Rs256 | Form::Opaque) => 1,
        Figure::Login(_) => 3,
        // RSA signatures are most of what these take.
        Figure::ClientCredentials(Form::Rs256) | Figure::Refresh(Form::Rs256 | Form::Opaque) => 4,
        _ => 20,
    }
}

/// Prints how many instructions each figure takes, done `times` times one after the other, the cheap ones more often; without what
/// the server does by itself in as much time.
pub(crate) async fn instructions(
    server: &Server,
    figures: &[Figure],
    times: u32,
    profiles: Option<&Path>,
) -> anyhow::Result<()> {
    ensure!(times > 0, "to be done once at the least");
    let crowd = Arc::new(Crowd::few());
    let files = server.counts.as_deref().context("nothing is counted")?;
    let mut dumps = 0;
    let mut since = Instant::now();
    // What was counted since the one before, and in which time.
    let mut dump = async |rest: Duration| -> anyhow::Result<_> {
        tokio::time::sleep(rest).await;
        let pid = server.child.id().to_string();
        let told = Command::new("callgrind_control")
            .args(["--dump", &pid])
            .output()
            .context("callgrind_control (valgrind) could not be started")?;
        ensure!(told.status.success(), "callgrind wrote nothing");
        dumps += 1;
        let took = std::mem::replace(&mut since, Instant::now()).elapsed();
        Ok((files.with_extension(dumps.to_string()), took))
    };
    dump(SETTLED).await?;
    let (written, took) = dump(ALONE).await?;
    let alone = total(&written)? / took.as_secs_f64();
    writeln!(
        std::io::stdout(),
        "{:<34}{alone:>12.0} instructions a second, left out",
        "what the server does by itself"
    )?;
    for figure in figures {
        let mut actor =
            Actor::new(Connection::open(server.address).await?, *figure, &crowd).await?;
        for _ in 0..WARM {
            actor.act().await?;
        }
        dump(SETTLED).await?;
        let times = times * weight(*figure);
        for _ in 0..times {
            actor.act().await?;
        }
        let (written, took) = dump(SETTLED).await?;
        let own = total(&written)? - alone * took.as_secs_f64();
        let name = figure.name();
        let each = own / f64::from(times);
        writeln!(std::io::stdout(), "{name:<34}{each:>12.0} instructions")?;
        if let Some(folder) = profiles {
            std::fs::create_dir_all(folder)?;
            let name = name.replace([',', ' '], "-");
            std::fs::copy(written, folder.join(format!("callgrind.{name}")))?;
        }
    }
    Ok(())
}

/// The sum in a file of callgrind.
fn total(file: &Path) -> anyhow::Result<f64> {
    let file = std::fs::read_to_string(file)?;
    let line = file.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(line.context("no totals")?.trim().parse()?)
}

/// Prints the statements of each figure, done once, in their order.
pub(crate) async fn statements(
    server: &Server,
    figures: &[Figure],
    log: &Path,
) -> anyhow::Result<()> {
    let crowd = Arc::new(Crowd::few());
    for figure in figures {
        let mut actor =
            Actor::new(Connection::open(server.address).await?, *figure, &crowd).await?;
        for _ in 0..WARM {
            actor.act().await?;
        }
        tokio::time::sleep(SETTLED).await;
        let before = std::fs::read_to_string(log)?.len();
        actor.act().await?;
        tokio::time::sleep(SETTLED).await;
        let after = std::fs::read_to_string(log)?;
        writeln!(std::io::stdout(), "{}", figure.name())?;
        writeln!(
            std::io::stdout(),
            "{}",
            after.get(before..).unwrap_or_default()
        )?;
    }
    Ok(())
}
