//! The REST API for clients of ours: with the token that they may use, below `/api` and nowhere else, and without what is
//! between iMIS and its own web pages.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::Imis;
use super::api::nonsense;
use crate::upstream::outbound::{bearer, encoded};
use crate::upstream::settings::below;
use crate::upstream::{Api, ApiAnswer, ApiCall, LoginError, UpstreamTokens};

/// The most bytes of an answer that are passed on: a page of 500 records has some megabytes.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// What a caller may say about the request. Credentials and cookies are never among it.
const SENT: [&str; 6] = [
    "accept",
    "accept-language",
    "content-type",
    "if-match",
    "if-modified-since",
    "if-none-match",
];
/// What is between iMIS and us, or its own pages, alone (RFC 9110 section 7.6.1, T62).
const KEPT_BACK: [&str; 17] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-authentication-info",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    "authentication-info",
    "strict-transport-security",
    "alt-svc",
];

/// Calls the API for clients.
pub(super) struct Gateway(pub(super) Arc<Imis>);

#[async_trait]
impl Api for Gateway {
    async fn call(&self, call: &ApiCall, tokens: &UpstreamTokens) -> Result<ApiAnswer, LoginError> {
        let settings = self.0.settings();
        let method = Method::from_bytes(call.method.as_bytes())
            .map_err(|_| nonsense("the method is none"))?;
        let url = address(&settings.base_url, call)?;
        let mut headers = bearer(tokens.access.expose()).map_err(LoginError::Protocol)?;
        for (name, value) in &call.headers {
            if SENT.contains(&name.as_str()) {
                let unfit = |_| nonsense("a header holds characters that none can carry");
                let name = HeaderName::from_bytes(name.as_bytes());
                let name = name.map_err(|_| nonsense("a header's name is none"))?;
                headers.insert(name, HeaderValue::from_str(value).map_err(unfit)?);
            }
        }
        let (body, timeout) = (call.body.clone(), settings.timeout);
        let answer = self
            .0
            .http
            .send(method, url, headers, body, timeout, MAX_ANSWER_BYTES)
            .await?;
        Ok(ApiAnswer {
            status: answer.status.as_u16(),
            token_refused: answer.status == reqwest::StatusCode::UNAUTHORIZED,
            headers: passed_on(&answer.headers),
            body: answer.body.to_vec(),
        })
    }
}

/// The address of a call. Nothing but the API is reached by it, whatever the caller has checked: at the token endpoint,
/// which is beside it, our secrets would be at stake.
fn address(base: &Url, call: &ApiCall) -> Result<Url, LoginError> {
    let is_trick = |segment: &String| {
        segment.is_empty() || matches!(segment.as_str(), "." | "..") || segment.contains('\\')
    };
    match call.path.split_first() {
        Some((api, rest)) if api.eq_ignore_ascii_case("api") && !rest.is_empty() => {}
        _ => return Err(nonsense("a call must begin with /api/")),
    }
    if call.path.iter().any(is_trick) {
        return Err(nonsense(
            "a call's path holds a part that would lead elsewhere",
        ));
    }
    let mut url = below(base, call.path.iter().map(String::as_str));
    let pair = |(name, value): &(String, String)| format!("{}={}", encoded(name), encoded(value));
    let query: Vec<String> = call.query.iter().map(pair).collect();
    url.set_query(
        Some(query.join("&"))
            .as_deref()
            .filter(|query| !query.is_empty()),
    );
    Ok(url)
}

/// The headers that are passed on. Those that `Connection` names concern the connection, too; those of CORS are for us
/// to say.
fn passed_on(headers: &HeaderMap) -> Vec<(String, String)> {
    let named: Vec<String> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_lowercase())
        .collect();
    let goes_on = |name: &str| {
        !KEPT_BACK.contains(&name)
            && !name.starts_with("access-control-")
            && !named.iter().any(|other| other == name)
    };
    headers
        .iter()
        .filter(|(name, _)| goes_on(name.as_str()))
        .filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        })
        .collect()
}
