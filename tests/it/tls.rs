//! `[server.tls]`: Portico ends TLS itself. (That a new certificate is taken over is proven beside the code, in
//! `app/certificate.rs`.)

use portico::simulator::people::JO_SMITH;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::Certificate;

use crate::harness::browser::{Browser, http_client};
use crate::harness::server::TestServer;

/// A server with a certificate for 127.0.0.1, and a browser that trusts it.
async fn over_tls() -> (TestServer, Browser, tempfile::TempDir) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.pem"), folder.path().join("tls.key"));
    std::fs::write(&certificate, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    let server = TestServer::start_with(|setup| {
        setup.issuer = "https://127.0.0.1:{port}".to_owned();
        setup.server = format!(
            "[server.tls]\ncertificate = \"{}\"\nprivate_key = \"{}\"\n",
            certificate.display(),
            key.display()
        );
    })
    .await;
    let trusted = Certificate::from_pem(cert.pem().as_bytes()).unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "the test browser is no client of the server's"
    )]
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([trusted])
        .build()
        .unwrap();
    (server, Browser::with_client(http), folder)
}

#[tokio::test]
async fn a_login_over_our_own_tls_has_cookies_bound_to_the_host() {
    let (server, mut browser, _folder) = over_tls().await;
    let page = browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    assert!(page.answer().contains_key("code"), "{page:?}");
    assert_eq!(page.answer()["iss"], server.issuer);
    assert!(server.issuer.starts_with("https://127.0.0.1:"));
    assert_eq!(page.header("strict-transport-security"), "max-age=31536000");
    for name in browser.cookie_names() {
        assert!(name.starts_with("__Host-portico-"), "{name}");
        let cookie = browser.cookie(&server, name).unwrap();
        assert!(cookie.attributes.contains("Secure"), "{name}");
    }
}

/// Nothing is served in the clear on that port, and nobody is fooled who does not know the certificate.
#[tokio::test]
async fn the_port_speaks_nothing_but_tls() {
    let (server, _, _folder) = over_tls().await;
    let plain = server.url("/jwks").replace("https://", "http://");
    assert!(http_client().get(plain).send().await.is_err());
    assert!(http_client().get(server.url("/jwks")).send().await.is_err());
    let health = format!("http://{}/health/ready", server.internal);
    let health = http_client().get(health).send().await.unwrap();
    assert_eq!(health.status(), 200, "health has its own listener");
}

/// Somebody who opens a connection and says nothing holds nobody up.
#[tokio::test]
async fn a_handshake_that_never_comes_blocks_nobody() {
    let (server, mut browser, _folder) = over_tls().await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(
            tokio::net::TcpStream::connect(server.address)
                .await
                .unwrap(),
        );
    }
    assert_eq!(browser.get(server.url("/jwks")).await.status, 200);
}

/// Telling HTTP/1.1 from HTTP/2 would wait without end for a connection's first bytes.
#[tokio::test]
async fn only_http_1_1_is_spoken() {
    let server = TestServer::start().await;
    #[expect(
        clippy::disallowed_methods,
        reason = "the test browser is no client of the server's"
    )]
    let second = reqwest::Client::builder()
        .http2_prior_knowledge()
        .tls_certs_only([])
        .build()
        .unwrap();
    second.get(server.url("/jwks")).send().await.unwrap_err();
    let first = http_client().get(server.url("/jwks")).send().await.unwrap();
    assert_eq!(first.version(), reqwest::Version::HTTP_11);
}
