//! The one place that makes HTTP clients, with the limits that every request out of Portico has (T36, T37):
//! rustls, no redirects (they would carry secrets away), a limit on time and on bytes, and no address in an error
//! (aiM18 wants secrets in the query). Addresses asked here come from the administrator.
//!
//! `HTTP_PROXY` and its like are not read: what carries passwords goes where the config says, and not through what
//! happens to stand in an environment.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, StatusCode, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;
use zeroize::Zeroizing;

use super::LoginError;
use super::settings::SettingProblem;
use crate::protocol::error::{BoxError, chain};

/// The most bytes of an upstream's answer that are read.
pub const MAX_UPSTREAM_BYTES: usize = 1024 * 1024;
/// All but the unreserved characters (RFC 3986 section 2.3): names, codes and ids hold `+`, `/`, `&` and `=`.
pub(super) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The most characters of foreign text that go into our log.
const MAX_EXCERPT: usize = 300;

/// `[outbound]`, as far as upstreams are concerned.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// PEM files with certificates to trust besides the system's. Default: none.
    pub extra_ca: Vec<PathBuf>,
}

impl Settings {
    /// What an administrator has to change.
    pub fn problems(&self) -> Vec<SettingProblem> {
        let problem = |(index, file): (usize, &PathBuf)| {
            let problem = certificates(file).err()?;
            let key = format!("extra_ca[{index}]");
            Some(SettingProblem { key, problem })
        };
        self.extra_ca
            .iter()
            .enumerate()
            .filter_map(problem)
            .collect()
    }
}

fn certificates(file: &PathBuf) -> Result<Vec<Certificate>, String> {
    let name = file.display();
    let pem = fs::read(file).map_err(|error| format!("{name} cannot be read: {error}"))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(format!("{name} holds no certificate in PEM form")),
    }
}

/// The client for upstreams. Clones share one pool of connections.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
}

impl Http {
    /// Makes the client.
    pub fn new(settings: &Settings) -> Result<Self, BoxError> {
        let mut trusted = Vec::new();
        for file in &settings.extra_ca {
            trusted.extend(certificates(file)?);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place that makes HTTP clients"
        )]
        let client = Client::builder()
            .user_agent(concat!("Portico/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .tls_certs_merge(trusted)
            .build()?;
        Ok(Self { client })
    }

    /// A GET, with a limit on the whole exchange.
    pub(super) async fn get(
        &self,
        url: Url,
        headers: HeaderMap,
        timeout: Duration,
    ) -> Result<Answer, Trouble> {
        let request = self.client.get(url).headers(headers).timeout(timeout);
        read(request, timeout).await
    }

    /// A POST of a form, with a limit on the whole exchange.
    pub(super) async fn post_form(
        &self,
        url: Url,
        form: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Answer, Trouble> {
        let request = self
            .client
            .post(url)
            .header(reqwest::header::ACCEPT, "application/json")
            .form(form)
            .timeout(timeout);
        read(request, timeout).await
    }
}

async fn read(request: reqwest::RequestBuilder, timeout: Duration) -> Result<Answer, Trouble> {
    let trouble = |error: reqwest::Error| Trouble::from(error, timeout);
    let mut response = request.send().await.map_err(trouble)?;
    let too_large = || Trouble::TooLarge(MAX_UPSTREAM_BYTES);
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(trouble)? {
        if body.len() + chunk.len() > MAX_UPSTREAM_BYTES {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body,
    })
}

/// What came back, whatever its status.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// May hold a token.
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The body, if it is such JSON; the content type is not asked, since upstreams are careless with it.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether the upstream (or what stands before it) says that it cannot answer now.
    pub(super) fn is_outage(&self) -> bool {
        self.status.is_server_error()
            || matches!(
                self.status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            )
    }

    /// What kind of answer it was, for an operator; nothing of its content, which may repeat secrets.
    pub(super) fn describe(&self) -> String {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let kind = header("content-type").unwrap_or("no content type");
        let mut told = format!("HTTP {}, {kind}, {} bytes", self.status, self.body.len());
        let redirect = header("location").and_then(|location| Url::parse(location).ok());
        if let Some(host) = redirect.as_ref().and_then(Url::host_str) {
            told += ", a redirect (never followed) to ";
            told += host;
        }
        excerpt(&told, &[])
    }
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("no connection: {}", chain(.0))]
    Unreachable(reqwest::Error),
    #[error("the connection broke: {}", chain(.0))]
    Interrupted(reqwest::Error),
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
}

impl Trouble {
    fn from(error: reqwest::Error, timeout: Duration) -> Self {
        let error = error.without_url();
        if error.is_connect() {
            Self::Unreachable(error)
        } else if error.is_timeout() {
            Self::TimedOut(timeout)
        } else {
            Self::Interrupted(error)
        }
    }
}

impl From<Trouble> for LoginError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::TooLarge(_) => Self::Protocol(trouble.into()),
            _ => Self::Unavailable(trouble.into()),
        }
    }
}

/// Whether somewhere behind `error` is a request that was, or may have been, sent and not answered in whole.
pub(super) fn lost_the_answer(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(trouble) = error.downcast_ref::<Trouble>() {
            return !matches!(trouble, Trouble::Unreachable(_));
        }
        next = error.source();
    }
    false
}

/// Foreign text in a form fit for our log: without the secrets of the request that it may repeat (plain or
/// percent-encoded), one line, no control characters, not long.
pub(super) fn excerpt(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    // Before cutting: half a secret would no longer be found.
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "[secret]");
        let encoded = encoded(secret);
        text = text
            .replace(&encoded, "[secret]")
            .replace(&encoded.to_lowercase(), "[secret]");
    }
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.trim().chars().take(MAX_EXCERPT).map(clean).collect();
    text.trim().to_owned()
}

/// A value inside a query.
pub(super) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// Names and values as a query; a space is `%20`, which every server reads the same way.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{name}={}", encoded(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// The headers of an API call: the token, and JSON wanted.
pub(super) fn bearer(token: &str) -> Result<HeaderMap, BoxError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| "the access token holds characters that no header can carry")?;
    value.set_sensitive(true);
    let json = HeaderValue::from_static("application/json");
    Ok([
        (reqwest::header::AUTHORIZATION, value),
        (reqwest::header::ACCEPT, json),
    ]
    .into_iter()
    .collect::<HeaderMap<HeaderValue>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reserved_character_is_encoded() {
        assert_eq!(
            query(&[("a", "x+/= &%é"), ("b", "-._~")]),
            "a=x%2B%2F%3D%20%26%25%C3%A9&b=-._~"
        );
    }

    /// T60.
    #[test]
    fn an_excerpt_holds_no_secret_in_any_form() {
        let secrets = ["a+b/c=", "ünlikely"];
        let text = "x a+b/c= a%2Bb%2Fc%3D a%2bb%2fc%3d %C3%BCnlikely\r\n";
        assert_eq!(
            excerpt(text, &secrets),
            "x [secret] [secret] [secret] [secret]"
        );
        let cut = format!("{}ünlikely", "x".repeat(MAX_EXCERPT - 4));
        assert!(!excerpt(&cut, &secrets).contains('ü'));
    }
}
