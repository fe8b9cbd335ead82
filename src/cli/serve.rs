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
    let Some(app) = open(config, &mut shutdown).await? else {
        return Ok(());
    };
    tracing::info!(%issuer, %listen, %internal_listen, "portico serves");
    // The allocator gives back to the system what the start has used (half of an idle server's memory) when a thread ends. One of the
    // runtime's own does, ten seconds after it has done nothing.
    drop(spawn_blocking(|| ()));
    Ok(Box::pin(app.serve(listeners, shutdown)).await?)
}

/// Opens a server, unless it is told to end first: it may wait for a backup, or for another node that migrates. Nothing that was under
/// way stays.
pub(super) async fn open(
    config: Config,
    shutdown: &mut (impl Future<Output = ()> + Unpin),
) -> anyhow::Result<Option<App>> {
    tokio::select! {
        biased;
        () = shutdown => {
            tracing::info!("told to end before it served");
            Ok(None)
        }
        app = App::open(config, Clock::system()) => Ok(Some(app?)),
    }
}

/// Starts the log as the config says.
pub(super) fn start_log(config: &Config) {
    let format = match config.log.format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    telemetry::start(format, &config.log.filter);
}
