//! Serving: two listeners, TLS where it is configured, an orderly end.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use tokio::time::timeout;

use super::certificate::Certificate;
use super::unread::EndsUnread;
use super::{App, AppError, Listeners};

/// A client that takes longer to send its headers is not a browser.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Whoever takes nothing of an answer for so long has gone, or holds the connection on purpose.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests under way get this long to end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

impl App {
    /// Serves until `shutdown` comes; then takes nothing new, lets what is under way end, and closes the database.
    pub async fn serve(
        mut self,
        listeners: Listeners,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), AppError> {
        let Listeners { public, internal } = listeners;
        let certificate = match self.tls {
            Some(files) => Some(Certificate::load(files).await?),
            None => None,
        };
        let tls = certificate.as_ref().map(Certificate::config);
        let handle = Handle::new();
        let serving = async {
            tokio::try_join!(
                listen(public, self.public, tls, handle.clone(), WRITE_TIMEOUT),
                listen(internal, self.internal, None, handle.clone(), WRITE_TIMEOUT),
            )
        };
        let background = async {
            tokio::join!(
                self.housekeeping.run(),
                self.backchannel.run(),
                self.rounds.run(),
                self.audit.run(),
                keep_certificate(certificate)
            );
        };
        let stopping = async {
            shutdown.await;
            tracing::info!("stopping");
            handle.graceful_shutdown(Some(SHUTDOWN_GRACE));
            // `serving` ends now; this must not end before it.
            std::future::pending::<()>().await;
        };
        let result = tokio::select! {
            result = serving => result,
            () = background => Ok(((), ())),
            () = stopping => Ok(((), ())),
        };
        // Also those whose connections have ended; and who asks an upstream for tokens, begun by one of them or by a round: what it gives
        // once only is kept.
        let all = async {
            self.under_way.end().await;
            tokio::join!(self.vault.settle(), self.shelf.settle());
        };
        if timeout(SHUTDOWN_GRACE, all).await.is_err() {
            tracing::warn!(
                "requests, or questions to an upstream, were still under way, and end with the server"
            );
        }
        // Nothing is recorded any more: what still waits is written before the database is closed.
        let written = timeout(SHUTDOWN_GRACE, self.audit.finish()).await;
        if !matches!(written, Ok(Ok(()))) {
            tracing::error!(
                "the end of the audit could not be written; it stands in the log alone"
            );
        }
        if timeout(SHUTDOWN_GRACE, self.store.close()).await.is_err() {
            tracing::warn!("the database did not let go of every connection");
        }
        result.map(drop).map_err(|source| AppError::Io {
            what: "serving".to_owned(),
            source,
        })
    }
}

async fn listen(
    listener: TcpListener,
    router: Router,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
    write_timeout: Duration,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    // HTTP/1.1 alone: telling the versions apart waits without end for a connection's first bytes, and strangers could
    // hold as many as they like. Nobody who logs in notices the difference, and proxies speak it.
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(EndsUnread::after(write_timeout))
        .handle(handle)
        .http1_only();
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    match tls {
        Some(config) => {
            let below = |unread| RustlsAcceptor::new(config).acceptor(unread);
            server.map(below).serve(service).await
        }
        None => server.serve(service).await,
    }
}

async fn keep_certificate(certificate: Option<Certificate>) {
    match certificate {
        Some(certificate) => certificate.keep().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
