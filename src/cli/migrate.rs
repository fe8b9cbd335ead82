//! `portico migrate`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::app;
use crate::config::Config;
use crate::model::audit::Event;
use crate::telemetry::Entry;

use super::{ConfigFile, database, output, serve};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// Move everything from this SQLite file, of a server that has ended, into the PostgreSQL database of the configuration, which
    /// must be empty: all of it, or nothing. The file is left as it is. `keys.master_key` must be the one that the file was used with.
    #[arg(long, value_name = "SQLITE FILE")]
    from: Option<PathBuf>,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let config = options.file.load()?;
    // Who is in the way is told there, while it can still be ended.
    serve::start_log(&config);
    if let Some(source) = &options.from {
        return take_over(&config, source).await;
    }
    let store = app::open_database(&config).await?;
    output::line(format!(
        "{}: the schema is up to date",
        store.backend().as_str()
    ));
    store.close().await;
    Ok(())
}

async fn take_over(config: &Config, source: &Path) -> anyhow::Result<()> {
    let moved = app::move_database(config, source).await?;
    let rows: u64 = moved.iter().map(|(_, rows)| rows).sum();
    database::recorded(config, async |_, audit| {
        let entry = Entry::new(Event::DatabaseMoved)
            .with("by", "administrator")
            .with("rows", rows);
        audit.record(entry);
        Ok(())
    })
    .await
    .context("everything was moved")?;
    let row = |(table, rows): (&str, u64)| [table.to_owned(), rows.to_string()];
    let rows: Vec<_> = moved.into_iter().map(row).collect();
    output::table(["TABLE", "ROWS"], &rows);
    output::note(&format!(
        "everything is in {} now; start the server on it, and keep {} where no server finds it: what changed in one would be unknown to the other",
        config.database.shown(),
        source.display()
    ));
    Ok(())
}
