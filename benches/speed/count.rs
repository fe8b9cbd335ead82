//! Counts that repeat, where a busy machine's times do not: the instructions of a figure, as callgrind counts them, and its statements, as
//! the server's log tells them.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::Server;
use super::crowd::Crowd;
use super::figures::{Actor, Figure};
use super::wire::Connection;

/// How often a figure is done before it counts: everybody has been here then, and what is made once is made.
const WARM: u32 = 20;
/// After this the audit's records are written, which gather for a moment.
const SETTLED: Duration = Duration::from_secs(1);

/// Prints how many instructions each figure takes, done `times` times one after the other.
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
    let mut dump = async || -> anyhow::Result<_> {
        tokio::time::sleep(SETTLED).await;
        let pid = server.child.id().to_string();
        let told = Command::new("callgrind_control")
            .args(["--dump", &pid])
            .output()
            .context("callgrind_control (valgrind) could not be started")?;
        ensure!(told.status.success(), "callgrind wrote nothing");
        // Each has what was counted since the one before.
        dumps += 1;
        Ok(files.with_extension(dumps.to_string()))
    };
    for figure in figures {
        let mut actor =
            Actor::new(Connection::open(server.address).await?, *figure, &crowd).await?;
        for _ in 0..WARM {
            actor.act().await?;
        }
        dump().await?;
        for _ in 0..times {
            actor.act().await?;
        }
        let written = dump().await?;
        let all = total(&std::fs::read_to_string(&written)?)?;
        let name = figure.name();
        let each = all / u64::from(times);
        writeln!(std::io::stdout(), "{name:<34}{each:>12} instructions")?;
        if let Some(folder) = profiles {
            std::fs::create_dir_all(folder)?;
            let name = name.replace([',', ' '], "-");
            std::fs::copy(written, folder.join(format!("callgrind.{name}")))?;
        }
    }
    Ok(())
}

/// The sum in a file of callgrind.
fn total(file: &str) -> anyhow::Result<u64> {
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
