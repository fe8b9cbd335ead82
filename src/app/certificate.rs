//! The certificate of `[server.tls]`, taken over when its file changes.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use sha2::{Digest as _, Sha256};

use crate::config::Tls;

use super::AppError;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A certificate in use, and the files that it came from.
pub(super) struct Certificate {
    files: Tls,
    config: RustlsConfig,
    /// What the files held when they were last taken over.
    loaded: Option<[u8; 32]>,
}

impl Certificate {
    /// Reads the files.
    pub(super) async fn load(files: Tls) -> Result<Self, AppError> {
        // reqwest may have installed the same provider already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // Before reading: what changes in between is then seen at the first look.
        let loaded = fingerprint(&files).await;
        let config = read(&files).await.map_err(|source| AppError::Io {
            what: format!(
                "the certificate {} with the key {}",
                files.certificate.display(),
                files.private_key.display()
            ),
            source,
        })?;
        let config = RustlsConfig::from_config(config);
        Ok(Self {
            files,
            config,
            loaded,
        })
    }

    /// What the listener serves with; it follows the changes.
    pub(super) fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Looks at the files until it is dropped.
    pub(super) async fn keep(mut self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            self.reload_if_changed().await;
        }
    }

    /// Takes the certificate over if its files changed; whether it did. Looking at the content works with every way of
    /// replacing a file: renames, symbolic links, network mounts. Certificate and key change one after the other, so a
    /// pair that does not fit is tried again at the next look, and the old one stays.
    async fn reload_if_changed(&mut self) -> bool {
        let current = fingerprint(&self.files).await;
        if current.is_none() || current == self.loaded {
            return false;
        }
        match read(&self.files).await {
            Ok(config) => {
                self.config.reload_from_config(config);
                self.loaded = current;
                tracing::info!("the TLS certificate was taken over");
                true
            }
            Err(error) => {
                tracing::error!(error = %error, "the new TLS certificate cannot be used; the old one stays");
                false
            }
        }
    }
}

/// Whether a server could serve with this certificate: both files can be read, and the key is the certificate's.
pub async fn check_certificate(files: &Tls) -> Result<(), AppError> {
    Certificate::load(files.clone()).await.map(drop)
}

/// The configuration of a certificate: what axum-server makes of it, without HTTP/2 (`serve::listen`).
async fn read(files: &Tls) -> io::Result<Arc<ServerConfig>> {
    let read = RustlsConfig::from_pem_file(&files.certificate, &files.private_key).await?;
    let mut config = ServerConfig::clone(&read.get_inner());
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

async fn fingerprint(files: &Tls) -> Option<[u8; 32]> {
    let read = async |path: &Path| tokio::fs::read(path).await.ok();
    let mut digest = Sha256::new();
    digest.update(read(&files.certificate).await?);
    digest.update(read(&files.private_key).await?);
    Some(digest.finalize().into())
}

#[cfg(test)]
mod tests;
