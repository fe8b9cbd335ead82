//! The database, for commands that look at what a server has made: they make neither a file nor a schema.

use anyhow::{Context as _, ensure};

use crate::config::Config;
use crate::store::Store;

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
