//! The client for upstreams: whom it trusts, and where it does not go.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use axum::Router;
use axum_server::tls_rustls::RustlsConfig;
use portico::clock::Clock;
use portico::protocol::ids::UpstreamId;
use portico::protocol::locale::Label;
use portico::simulator::imis::Imis;
use portico::simulator::{Fault, people};
use portico::upstream::imis::{Settings, open};
use portico::upstream::outbound::{self, Http};
use portico::upstream::{LoginMethod, Upstream};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use crate::upstream::{http, kind, log_in, surroundings_with, told};

fn imis(base_url: &str, http: Http) -> Upstream {
    let settings: Settings = serde_json::from_value(json!({ "base_url": base_url })).unwrap();
    open(
        UpstreamId::new("members"),
        Label::plain("Member login".to_owned()),
        vec![LoginMethod::Password],
        settings,
        &surroundings_with(http, Clock::manual(0)),
    )
    .unwrap()
}

/// T36: whoever follows a redirect takes the password along.
#[tokio::test]
async fn a_redirect_is_never_followed() {
    let port = || tokio::net::TcpListener::bind("127.0.0.1:0");
    let (here, there) = (Imis::new(Clock::default()), Imis::new(Clock::default()));
    let site = here.serve(port().await.unwrap()).await.unwrap();
    let elsewhere = there.serve(port().await.unwrap()).await.unwrap();
    let upstream = imis(site.url(), http());
    for place in ["/token", "/api/user", "/api/party"] {
        here.mend();
        let location = format!("{}{place}", elsewhere.url());
        here.fail(place, Fault::Redirect(location));
        let person = people::JO_SMITH;
        let answer = log_in(&upstream, person.username, person.password).await;
        assert_eq!(kind(&answer), "protocol");
        assert!(told(&answer.unwrap_err()).contains("redirect"));
    }
    assert!(there.log().is_empty());
}

/// Something that refuses whatever it is asked, over TLS: its certificate, and where it is.
pub(crate) async fn over_tls() -> (String, String) {
    over_tls_by(CertificateParams::new(["localhost".to_owned()]).unwrap()).await
}

async fn over_tls_by(certificate: CertificateParams) -> (String, String) {
    // Another part of the tests may have installed it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let key = KeyPair::generate().unwrap();
    let (pem, key) = (
        certificate.self_signed(&key).unwrap().pem(),
        key.serialize_pem(),
    );
    let tls = RustlsConfig::from_pem(pem.clone().into_bytes(), key.into_bytes());
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = axum_server::from_tcp_rustls(listener, tls.await.unwrap()).unwrap();
    let refusal = || async { (axum::http::StatusCode::BAD_REQUEST, "") };
    let app = Router::new().fallback(refusal).into_make_service();
    tokio::spawn(server.serve(app));
    (pem, format!("https://localhost:{port}"))
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_only_where_configured() {
    let (pem, url) = over_tls().await;
    let answer = log_in(&imis(&url, http()), "jsmith", "x").await;
    assert_eq!(kind(&answer), "unavailable");
    let told = told(&answer.unwrap_err());
    assert!(told.contains("certificate"), "{told}");

    let found = imis(&url, http()).probe.probe().await;
    let told = found[0].outcome.clone().unwrap_err();
    assert!(
        told.contains("name its PEM file in outbound.extra_ca"),
        "{told}"
    );

    let folder = tempfile::tempdir().unwrap();
    let extra_ca = vec![folder.path().join("ca.pem")];
    std::fs::write(&extra_ca[0], pem).unwrap();
    let settings = outbound::Settings { extra_ca };
    assert_eq!(settings.problems(), []);
    let trusting = Http::new(&settings).unwrap();
    let answer = log_in(&imis(&url, trusting), "jsmith", "x").await;
    assert_eq!(kind(&answer), "bad credentials");
}

/// Whoever runs `portico check` is told what to look at, whatever is wrong with a certificate that is trusted.
#[tokio::test]
async fn a_certificate_that_is_trusted_has_to_be_good_all_the_same() {
    let named = |host: &str| CertificateParams::new([host.to_owned()]).unwrap();
    let mut expired = named("localhost");
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let mut of_apps = named("localhost");
    of_apps.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    for certificate in [named("other.example.org"), expired, of_apps] {
        let (pem, url) = over_tls_by(certificate).await;
        let folder = tempfile::tempdir().unwrap();
        let extra_ca = vec![folder.path().join("ca.pem")];
        std::fs::write(&extra_ca[0], pem).unwrap();
        let trusting = Http::new(&outbound::Settings { extra_ca }).unwrap();
        let found = imis(&url, trusting).probe.probe().await;
        let told = found[0].outcome.clone().unwrap_err();
        assert!(told.contains("its owner must replace"), "{told}");
    }
}

#[test]
fn a_file_without_certificates_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let extra_ca = vec![PathBuf::from("missing.pem"), empty];
    let settings = outbound::Settings { extra_ca };
    let problems = settings.problems();
    assert_eq!(problems.len(), 2);
    assert!(problems[0].problem.contains("missing.pem cannot be read"));
    assert_eq!(problems[1].key, "extra_ca[1]");
    assert!(Http::new(&settings).is_err());
}
