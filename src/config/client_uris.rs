//! The addresses of a client.

use url::Url;

use super::place::{Place, Report};
use crate::protocol::redirect_uri::RedirectUri;

/// `redirect_uris` and `post_logout_redirect_uris`: those that may be registered.
pub(super) fn register(uris: &[String], at: &Place, report: &mut Report) -> Vec<RedirectUri> {
    let mut good: Vec<RedirectUri> = Vec::new();
    for (index, uri) in uris.iter().enumerate() {
        match RedirectUri::register(uri) {
            Ok(uri) if good.contains(&uri) => report.problem(&at.index(index), "stands here twice"),
            Ok(uri) => good.push(uri),
            Err(error) => report.problem(&at.index(index), error.to_string()),
        }
    }
    good
}

/// `client_uri`: a page that people may be sent to (T4).
pub(super) fn check_home(uri: &str, at: &Place, report: &mut Report) {
    match RedirectUri::register(uri) {
        Ok(uri) if uri.web_origin().is_some() => {}
        Ok(_) => report.problem(at, "must begin with https://"),
        Err(error) => report.problem(at, error.to_string()),
    }
}

/// `audience`: names of APIs (RFC 8707 section 2).
pub(super) fn check_audience(audience: &[String], at: &Place, report: &mut Report) {
    for (index, audience) in audience.iter().enumerate() {
        if Url::parse(audience).is_err() || audience.contains(['#', ' ']) {
            report.problem(
                &at.index(index),
                "must be an absolute URI without fragment (RFC 8707 section 2), such as \"https://api.example.org\"",
            );
        }
    }
}
