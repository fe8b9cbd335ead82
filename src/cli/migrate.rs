//! `portico migrate`.

use crate::config::Config;
use crate::store::Store;

use super::output;

pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    let store = Store::open(&config.database.url).await?;
    store.migrate().await?;
    output::line(format!(
        "{}: the schema is up to date",
        store.backend().as_str()
    ));
    store.close().await;
    Ok(())
}
