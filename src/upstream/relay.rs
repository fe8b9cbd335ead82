//! What calls of every upstream's API have in common: which headers pass in either direction, and how much is read.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::outbound::{Answer, Http, Limits, Outgoing};
use super::{ApiAnswer, ApiCall, LoginError};

/// The most bytes of an answer that are passed on.
pub(super) const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// Headers about one connection (RFC 9110 section 7.6.1), those that the client library writes, and those that name somebody:
/// nothing of them passes, in either direction (T62).
const NEVER: [&str; 19] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "expect",
    "authorization",
    "cookie",
    "cookie2",
    "set-cookie",
    "set-cookie2",
    "forwarded",
    "via",
];

/// Whether a header of a caller or of an upstream stays behind. What browsers are told about our origin is ours to say.
fn stays_behind(name: &str) -> bool {
    NEVER.contains(&name)
        || ["x-forwarded-", "x-real-", "access-control-", "sec-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// A call of the API at `url`, with `ours` before whatever the caller sent.
pub(super) async fn call(
    http: &Http,
    url: Url,
    call: &ApiCall,
    body: Vec<u8>,
    ours: HeaderMap,
    timeout: Duration,
) -> Result<Answer, LoginError> {
    let senseless = |what: &str| LoginError::Protocol(what.into());
    let method = Method::from_bytes(call.method.as_bytes())
        .map_err(|_| senseless("the method is no HTTP method"))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &call.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| senseless("a header's name is none"))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| senseless("a header holds what none can carry"))?;
        if !stays_behind(name.as_str()) && !ours.contains_key(&name) {
            headers.append(name, value);
        }
    }
    headers.extend(ours);
    let outgoing = Outgoing {
        method,
        url,
        headers,
        body,
    };
    let limits = Limits {
        timeout,
        bytes: MAX_ANSWER_BYTES,
    };
    Ok(http.send(outgoing, limits).await?)
}

/// An answer in the form in which it may be passed on.
pub(super) fn pass_on(answer: &Answer, token_refused: bool) -> ApiAnswer {
    // Some headers are named as being about the connection (RFC 9110 section 7.6.1).
    let named: Vec<String> = answer
        .headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let headers = answer
        .headers
        .iter()
        .filter(|(name, _)| !stays_behind(name.as_str()))
        .filter(|(name, _)| !named.iter().any(|named| named == name.as_str()))
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    ApiAnswer {
        status: answer.status.as_u16(),
        headers,
        body: answer.body.to_vec(),
        token_refused,
    }
}

/// An answer of our own, where nothing was sent.
pub(super) fn own_answer(status: u16) -> ApiAnswer {
    ApiAnswer {
        status,
        headers: Vec::new(),
        body: Vec::new(),
        token_refused: false,
    }
}
