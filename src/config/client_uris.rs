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

/// An address that is fetched for the client (T36); which of them may be, `outbound` says when it is fetched.
pub(super) fn check_fetched(uri: &str, at: &Place, report: &mut Report) {
    let good = Url::parse(uri).is_ok_and(|url| {
        let has_user = !url.username().is_empty() || url.password().is_some();
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        (url.scheme() == "https" || url.scheme() == "http" && local)
            && url.host().is_some()
            && !has_user
            && url.fragment().is_none()
    });
    if !good || uri.len() > 2048 {
        report.problem(
            at,
            "must be an https:// address without user name and fragment (http:// for localhost alone, if outbound.allow_hosts names it)",
        );
    }
}
