//! `portico migrate`.

use crate::app;
use crate::config::Config;

use super::output;

pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    let store = app::open_database(config).await?;
    output::line(format!(
        "{}: the schema is up to date",
        store.backend().as_str()
    ));
    store.close().await;
    Ok(())
}
