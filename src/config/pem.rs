//! Whether a file holds the PEM it should. The same files are read again when they are used.

use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// At least one certificate, and nothing broken.
pub(super) fn certificates(path: &Path) -> Result<(), String> {
    let bytes = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        _ => Err(format!(
            "the file {} holds no PEM certificate (-----BEGIN CERTIFICATE-----)",
            path.display()
        )),
    }
}

/// One private key.
pub(super) fn private_key(path: &Path) -> Result<(), String> {
    let bytes = zeroize::Zeroizing::new(read(path)?);
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "the file {} holds no PEM private key (-----BEGIN PRIVATE KEY-----)",
            path.display()
        )),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path)
        .map_err(|error| format!("the file {} cannot be read: {error}", path.display()))
}
