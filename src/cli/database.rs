//! The database, for commands that look at what a server has made: they make neither a file nor a schema.

use anyhow::{Context as _, ensure};

use crate::app::{AuditWriter, open_audit};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::Store;
use crate::telemetry::Audit;

use super::serve;

/// Opens a database that is there and has our schema.
pub(super) async fn open(config: &Config) -> anyhow::Result<Store> {
    if let Some(file) = config.database.sqlite_file() {
        ensure!(
            file.exists(),
            "there is no database {} yet; start the server, or run `portico migrate`",
            file.display()
        );
    }
    let shown = || format!("the database {}", config.database.shown());
    let store = Store::open(&config.database.url)
        .await
        .with_context(shown)?;
    store.ping().await.with_context(shown)?;
    Ok(store)
}

/// Runs what changes something in a database that is there: with an audit, whose records are written before it is closed.
pub(super) async fn recorded<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Store, &Audit) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let store = open(config).await?;
    let recorder = Recorder::open(config, &store);
    let outcome = work(&store, &recorder.audit).await;
    let outcome = recorder.finish(outcome).await;
    store.close().await;
    outcome
}

/// Who runs this command, and where, as the environment has it: a name for whoever reads the audit, and no proof, which whoever may
/// write to the database could forge in any case.
fn operator() -> Option<String> {
    let names = ["SUDO_USER", "LOGNAME", "USER"].into_iter();
    let mut names = names.filter_map(|name| std::env::var(name).ok());
    let name = names.find(|name| !name.is_empty());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let host = host.ok().map(|host| host.trim().to_owned());
    match (name, host) {
        (Some(name), Some(host)) => Some(format!("{name}@{host}")),
        (name, host) => name.or(host),
    }
}

/// Records what a command does.
struct Recorder {
    audit: Audit,
    writer: AuditWriter,
}

impl Recorder {
    /// One that writes to the database, as the config says.
    fn open(config: &Config, store: &Store) -> Self {
        // For the line that goes with each record.
        serve::start_log(config);
        let (audit, writer) = open_audit(config.audit.database, store, &Clock::system());
        Self {
            audit: audit.of_operator(operator()),
            writer,
        }
    }

    /// The outcome of the command, once what it did is written. Something was done without a record of it, if that fails.
    async fn finish<T>(mut self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        let written = self.writer.finish().await;
        // Of several things that were to be done, some may have been.
        let outcome = outcome?;
        written.context("it is done, but could not be recorded in the database; the log has it")?;
        Ok(outcome)
    }
}
