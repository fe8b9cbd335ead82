//! `portico migrate`.

use crate::app;
use crate::config::Config;

use super::{output, serve};

pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    // Who is in the way is told there, while it can still be ended.
    serve::start_log(config);
    let store = app::open_database(config).await?;
    output::line(format!(
        "{}: the schema is up to date",
        store.backend().as_str()
    ));
    store.close().await;
    Ok(())
}
