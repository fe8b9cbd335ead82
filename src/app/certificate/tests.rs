use std::fs;
use std::io::Cursor;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

use super::*;

fn pair() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["login.example.org".to_owned()]).unwrap()
}

/// Shakes hands in memory: whether a client that trusts `trusted` alone accepts what is served.
fn is_served(config: &RustlsConfig, trusted: &CertifiedKey<KeyPair>) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.cert.der().clone()).unwrap();
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("login.example.org").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(config.get_inner()).unwrap();
    while client.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut Cursor::new(wire)).unwrap();
        server.process_new_packets().unwrap();
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut Cursor::new(wire)).unwrap();
        if client.process_new_packets().is_err() {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn a_new_certificate_is_taken_over_once_its_key_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let files = Tls {
        certificate: folder.path().join("tls.pem"),
        private_key: folder.path().join("tls.key"),
    };
    let (old, new) = (pair(), pair());
    fs::write(&files.certificate, old.cert.pem()).unwrap();
    fs::write(&files.private_key, old.signing_key.serialize_pem()).unwrap();
    let mut certificate = Certificate::load(files.clone()).await.unwrap();
    let served = certificate.config();
    assert!(!certificate.reload_if_changed().await, "nothing changed");
    assert!(is_served(&served, &old) && !is_served(&served, &new));
    // The certificate first, the key a moment later: the old pair stays until both fit.
    fs::write(&files.certificate, new.cert.pem()).unwrap();
    assert!(!certificate.reload_if_changed().await);
    assert!(is_served(&served, &old));
    fs::remove_file(&files.private_key).unwrap();
    assert!(!certificate.reload_if_changed().await);
    assert!(is_served(&served, &old));
    fs::write(&files.private_key, new.signing_key.serialize_pem()).unwrap();
    assert!(certificate.reload_if_changed().await);
    assert!(is_served(&served, &new) && !is_served(&served, &old));
    fs::write(&files.certificate, "nonsense").unwrap();
    assert!(!certificate.reload_if_changed().await);
    assert!(is_served(&served, &new));
}
