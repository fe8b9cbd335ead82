//! The addresses of a client.

use url::Url;

use super::place::{Place, Report};
use crate::protocol::redirect_uri::RedirectUri;
use crate::protocol::resource::is_identifier;

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

/// The host of a web address, unless it is this machine: what a sector can be named by (OpenID Connect Core section 8.1).
pub(super) fn web_host(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    (url.scheme() == "https")
        .then(|| url.host_str().map(ToOwned::to_owned))
        .flatten()
}

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
