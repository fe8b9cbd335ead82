//! `portico serve`.

use tokio::task::spawn_blocking;

use crate::app::{App, Listeners};
use crate::clock::Clock;
use crate::config::{Config, LogFormat};
use crate::telemetry::{self, Format};

use super::shutdown;

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    let mut shutdown = Box::pin(shutdown::signal());
    start_log(&config);
    // Taken first: an address that is taken should be told before a database is touched.
    let listeners = Listeners::bind(&config)?;
    let issuer = config.issuer.clone();
    // The addresses as they are: with port 0 the system chose.
    let listen = listeners.public.local_addr()?;
    let internal_listen = listeners.internal.local_addr()?;
    let Some(app) = App::open_unless(config, Clock::system(), &mut shutdown).await? else {
        tracing::info!("told to end before it served");
        return Ok(());
    };
    tracing::info!(%issuer, %listen, %internal_listen, "portico serves");
    // The allocator gives back to the system what the start has used (half of an idle server's memory) when a thread ends. One of the
    // runtime's own does, ten seconds after it has done nothing.
    drop(spawn_blocking(|| ()));
    Ok(Box::pin(app.serve(listeners, shutdown)).await?)
}

/// Starts the log as the config says.
pub(super) fn start_log(config: &Config) {
    let format = match config.log.format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    telemetry::start(format, &config.log.filter);
}
