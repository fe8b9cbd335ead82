//! Serving: two listeners, TLS whose certificate is taken over when its file changes, an orderly end.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use sha2::{Digest as _, Sha256};

use crate::config::Tls;

use super::{App, AppError, Listeners};

/// A client that takes longer to send its headers is not a browser.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Requests under way get this long to end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// How often the certificate's file is looked at.
const CERTIFICATE_EVERY: Duration = Duration::from_secs(5);

impl App {
    /// Serves until `shutdown` comes; then takes nothing new, lets what is under way end, and closes the database.
    pub async fn serve(
        self,
        listeners: Listeners,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), AppError> {
        let Listeners { public, internal } = listeners;
        let tls = match &self.tls {
            Some(files) => Some(load(files).await?),
            None => None,
        };
        let handle = Handle::new();
        let serving = async {
            tokio::try_join!(
                listen(public, self.public, tls.clone(), handle.clone()),
                listen(internal, self.internal, None, handle.clone()),
            )
        };
        let background = async {
            tokio::join!(
                self.housekeeping.run(),
                keep_certificate(self.tls.as_ref(), tls.as_ref())
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
        self.store.close().await;
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
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    server.http_builder().http2().timer(TokioTimer::new());
    match tls {
        Some(config) => {
            server
                .acceptor(RustlsAcceptor::new(config))
                .serve(service)
                .await
        }
        None => server.serve(service).await,
    }
}

/// Whether a server could serve with this certificate: both files can be read, and the key is the certificate's.
pub async fn check_certificate(files: &Tls) -> Result<(), AppError> {
    load(files).await.map(drop)
}

async fn load(files: &Tls) -> Result<RustlsConfig, AppError> {
    // reqwest may have installed the same provider already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    RustlsConfig::from_pem_file(&files.certificate, &files.private_key)
        .await
        .map_err(|source| AppError::Io {
            what: format!(
                "the certificate {} with the key {}",
                files.certificate.display(),
                files.private_key.display()
            ),
            source,
        })
}

/// Takes the certificate over when its file changes. Looking at the content works with every way of replacing a file:
/// renames, symbolic links, network mounts. Certificate and key change one after the other, so a pair that does not fit
/// is tried again at the next look, and the old one stays.
async fn keep_certificate(files: Option<&Tls>, tls: Option<&RustlsConfig>) {
    let (Some(files), Some(tls)) = (files, tls) else {
        return std::future::pending().await;
    };
    let mut loaded = fingerprint(files).await;
    let mut ticks = tokio::time::interval(CERTIFICATE_EVERY);
    loop {
        ticks.tick().await;
        let current = fingerprint(files).await;
        if current.is_none() || current == loaded {
            continue;
        }
        match tls
            .reload_from_pem_file(&files.certificate, &files.private_key)
            .await
        {
            Ok(()) => {
                loaded = current;
                tracing::info!("the TLS certificate was taken over");
            }
            Err(error) => {
                tracing::error!(error = %error, "the new TLS certificate cannot be used; the old one stays");
            }
        }
    }
}

async fn fingerprint(files: &Tls) -> Option<[u8; 32]> {
    let read = async |path: &Path| tokio::fs::read(path).await.ok();
    let mut digest = Sha256::new();
    digest.update(read(&files.certificate).await?);
    digest.update(read(&files.private_key).await?);
    Some(digest.finalize().into())
}
