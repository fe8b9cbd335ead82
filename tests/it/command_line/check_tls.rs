//! `portico check` and `[server.tls]`: how long the certificate is good for, and for whom.

use std::fs;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::{Said, Site};

/// Checks a certificate for `host` that lasts from and to these years; with the key of another one, if `foreign`.
async fn check(host: &str, years: (i32, i32), foreign: bool) -> Said {
    let site = Site::new().await;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    let key = if foreign {
        KeyPair::generate().unwrap()
    } else {
        key
    };
    fs::write(site.path("tls.pem"), certificate.pem()).unwrap();
    fs::write(site.path("tls.key"), key.serialize_pem()).unwrap();
    site.edit(
        "[database]",
        "[server.tls]\ncertificate = \"tls.pem\"\nprivate_key = \"tls.key\"\n\n[database]",
    );
    let text = fs::read_to_string(site.path("portico.toml")).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    site.write(&format!("issuer = \"https://login.example.org\"\n{rest}"));
    site.run(&["check", "--offline"]).await
}

#[tokio::test]
async fn a_good_certificate_is_good() {
    for host in ["login.example.org", "*.example.org"] {
        let said = check(host, (2024, 4000), false).await;
        said.assert(0, &["ok       tls", "fits its key", "warnings: 0"]);
    }
}

#[tokio::test]
async fn an_ended_certificate_is_wrong() {
    let said = check("login.example.org", (2020, 2021), false).await;
    said.assert(1, &["WRONG    tls", "ended on 2021-01-01", "renew it"]);
}

#[tokio::test]
async fn a_certificate_of_the_future_is_wrong() {
    let said = check("login.example.org", (3000, 4000), false).await;
    said.assert(1, &["WRONG  tls", "begins on 3000-01-01"]);
}

#[tokio::test]
async fn a_certificate_for_another_host_is_a_warning() {
    let said = check("www.example.org", (2024, 4000), false).await;
    said.assert(0, &["warning  tls", "is not for login.example.org"]);
}

#[tokio::test]
async fn a_key_of_another_certificate_is_wrong() {
    let said = check("login.example.org", (2024, 4000), true).await;
    said.assert(1, &["tls", "tls.pem", "tls.key"]);
    assert_eq!(said.rows("WRONG").len(), 1, "{}", said.out);
}
