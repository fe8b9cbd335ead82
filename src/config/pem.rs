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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----\n";
    const END: &str = "\n-----END PRIVATE KEY-----\n";

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the files hold, they are answered, and a problem names the file and nothing that is in it.
        #[test]
        fn a_problem_tells_nothing_of_the_key(
            inside in "[A-Za-z0-9+/=\n -]{16,80}",
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("key.pem");
            for text in [format!("{BEGIN}{inside}{END}").into_bytes(), format!("{BEGIN}{inside}").into_bytes(), bytes] {
                std::fs::write(&path, text).unwrap();
                for outcome in [certificates(&path), private_key(&path)] {
                    if let Err(problem) = outcome {
                        prop_assert!(problem.contains("key.pem") && !problem.contains(&inside));
                    }
                }
            }
        }
    }
}
