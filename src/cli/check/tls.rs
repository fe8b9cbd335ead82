//! `[server.tls]`: whether a server can serve with the files, how long they are good for, and whether browsers will find
//! the issuer's name in them.

use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use url::Url;
use x509_parser::parse_x509_certificate;

use crate::app;
use crate::clock::UnixTime;
use crate::config::Tls;
use crate::protocol::error::chain;
use crate::protocol::issuer::Issuer;

use super::super::output;
use super::Report;

/// Seconds before its end at which a certificate should long have been renewed.
const SOON: i64 = 14 * 24 * 60 * 60;

pub(super) async fn check(files: &Tls, issuer: &Issuer, now: UnixTime, report: &mut Report) {
    if let Err(error) = app::check_certificate(files).await {
        return report.wrong("tls", chain(&error));
    }
    let shown = files.certificate.display();
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .collect();
    let mut good = true;
    for (index, certificate) in chain.iter().enumerate() {
        let Ok((_, parsed)) = parse_x509_certificate(certificate) else {
            report.wrong("tls", format!("{shown}: certificate {index} is damaged"));
            return;
        };
        let (begins, ends) = (
            parsed.validity().not_before.timestamp(),
            parsed.validity().not_after.timestamp(),
        );
        let of = if index == 0 {
            String::new()
        } else {
            format!(", certificate {} of the chain", index + 1)
        };
        let date = output::date(ends);
        if ends <= now {
            report.wrong("tls", format!("{shown}{of} ended on {date}; renew it"));
        } else if begins > now {
            let date = output::date(begins);
            report.wrong(
                "tls",
                format!("{shown}{of} begins on {date} only; is this machine's clock right?"),
            );
        } else if ends - now < SOON {
            report.warn(
                "tls",
                format!("{shown}{of} ends on {date}; renew it, and look why that did not happen by itself"),
            );
        } else {
            continue;
        }
        good = false;
    }
    if let (Some(leaf), Some(host)) = (chain.first(), host(issuer)) {
        let named =
            ParsedCertificate::try_from(leaf).and_then(|parsed| verify_server_name(&parsed, &host));
        if named.is_err() {
            good = false;
            report.warn(
                "tls",
                format!(
                    "{shown} is not for {}, the issuer's host; right only if a proxy in front has one that is",
                    host.to_str()
                ),
            );
        }
    }
    if good {
        report.ok("tls", format!("{shown} fits its key"));
    }
}

fn host(issuer: &Issuer) -> Option<ServerName<'static>> {
    let url = Url::parse(issuer.as_str()).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    ServerName::try_from(host.to_owned()).ok()
}
