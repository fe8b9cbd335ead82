//! The addresses of a client.

use url::Url;

use super::place::{Place, Report};
use crate::protocol::resource::is_identifier;

/// Whether a text is a host, written as URLs write it.
pub(super) fn is_host(text: &str) -> bool {
    let url = format!("https://{text}/");
    Url::parse(&url).is_ok_and(|parsed| parsed.as_str() == url && parsed.host_str() == Some(text))
}

/// `audience`: names of APIs (RFC 8707 section 2).
pub(super) fn check_audience(audience: &[String], at: &Place, report: &mut Report) {
    for (index, audience) in audience.iter().enumerate() {
        if !is_identifier(audience) {
            report.problem(
                &at.index(index),
                "must be an absolute URI without fragment (RFC 8707 section 2), such as \"https://api.example.org\"",
            );
        }
    }
}
