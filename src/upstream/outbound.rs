//! The one place that makes HTTP clients, with the limits that every request out of Portico has (T36, T37):
//! rustls, no redirects (they would carry secrets away), a limit on time and on bytes, and no address in an error
//! (aiM18 wants secrets in the query). Addresses asked here come from the administrator.
//!
//! `HTTP_PROXY` and its like are not read: what carries passwords goes where the config says, and not through what
//! happens to stand in an environment.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, Method, StatusCode, redirect};
use rustls::RootCertStore;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::LoginError;
use super::breaker::{Breaker, Sign};
use super::settings::SettingProblem;
use crate::clock::UnixTime;
use crate::protocol::error::{BoxError, chain};

/// The most bytes of an upstream's answer that are read.
pub const MAX_UPSTREAM_BYTES: usize = 1024 * 1024;
/// All but the unreserved characters (RFC 3986 section 2.3): names, codes and ids hold `+`, `/`, `&` and `=`.
pub(super) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The longest that a connection is waited for.
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

/// What is trusted: the system's certificates and those of all `files`.
pub fn trusted(files: &[PathBuf]) -> Result<Vec<Certificate>, String> {
    let mut trusted = SYSTEM.certificates.clone();
    for file in files {
        trusted.extend(certificates(file)?);
    }
    if trusted.is_empty() {
        let reasons: Vec<_> = SYSTEM
            .problems
            .iter()
            .map(|problem| format!(" ({problem})"))
            .collect();
        return Err(format!(
            "no certificate authority is trusted: outbound.extra_ca names none, and the system has none{}; install Debian's package \
             ca-certificates, or name a file or folders of your own in the environment's SSL_CERT_FILE or SSL_CERT_DIR",
            reasons.concat()
        ));
    }
    Ok(trusted)
}

/// What of the system's certificates cannot be used, and why.
pub fn system_problems() -> &'static [String] {
    &SYSTEM.problems
}

struct System {
    certificates: Vec<Certificate>,
    problems: Vec<String>,
}

/// Read once in a process: each client would read them for itself, which on Debian are some 140 files.
static SYSTEM: LazyLock<System> = LazyLock::new(|| {
    let found = rustls_native_certs::load_native_certs();
    let mut problems: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
    // One that is none would cost us the whole client.
    let mut known = RootCertStore::empty();
    let (mut certificates, mut unusable) = (Vec::new(), 0);
    for der in found.certs {
        let certificate = Certificate::from_der(&der);
        match (known.add(der), certificate) {
            (Ok(()), Ok(certificate)) => certificates.push(certificate),
            _ => unusable += 1,
        }
    }
    if unusable > 0 {
        problems.push(format!(
            "{unusable} of the system's certificates are none that TLS can use"
        ));
    }
    for problem in &problems {
        tracing::warn!(
            problem,
            "not all of the system's certificate authorities are trusted"
        );
    }
    System {
        certificates,
        problems,
    }
});

/// The client for upstreams. Clones share one pool of connections, and the breaker.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    trusted: Arc<[Certificate]>,
    connect_timeout: Duration,
    breaker: Option<Breaker>,
}

impl Http {
    /// Makes the client.
    pub fn new(settings: &Settings) -> Result<Self, BoxError> {
        let trusted = trusted(&settings.extra_ca)?.into();
        Self::connecting_within(CONNECT_TIMEOUT, trusted)
    }

    /// This client, or its like for an upstream whose answers are waited for no longer than `timeout`: a host that takes no
    /// connection has to be told, well before, from one that was sent something and does not answer.
    pub fn for_timeout(&self, timeout: Duration) -> Result<Self, BoxError> {
        let within = self.connect_timeout.min(timeout / 2);
        if within == self.connect_timeout {
            return Ok(self.clone());
        }
        let like = Self::connecting_within(within, Arc::clone(&self.trusted))?;
        Ok(Self {
            breaker: self.breaker.clone(),
            ..like
        })
    }

    fn connecting_within(
        connect_timeout: Duration,
        trusted: Arc<[Certificate]>,
    ) -> Result<Self, BoxError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place that makes HTTP clients"
        )]
        let client = Client::builder()
            .user_agent(concat!("Portico/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(connect_timeout)
            .tls_certs_only(trusted.iter().cloned())
            .build()?;
        Ok(Self {
            client,
            trusted,
            connect_timeout,
            breaker: None,
        })
    }

    /// The same client, for the upstream that `breaker` belongs to.
    #[must_use]
    pub fn with_breaker(&self, breaker: Breaker) -> Self {
        Self {
            breaker: Some(breaker),
            ..self.clone()
        }
    }

    /// A GET, sent once, with a limit on the whole exchange.
    pub(super) async fn get(
        &self,
        url: Url,
        headers: HeaderMap,
        timeout: Duration,
    ) -> Result<Answer, Trouble> {
        let request = self.client.get(url).headers(headers).timeout(timeout);
        self.exchange(request, timeout, Whose::Ours).await
    }

    /// A POST of JSON, with a limit on the whole exchange.
    pub(super) async fn post_json(
        &self,
        url: Url,
        headers: HeaderMap,
        body: &serde_json::Value,
        timeout: Duration,
    ) -> Result<Answer, Trouble> {
        let request = self.client.post(url).headers(headers).json(body);
        self.exchange(request.timeout(timeout), timeout, Whose::Ours)
            .await
    }

    /// Any request, with limits on the whole exchange and on the answer.
    pub(super) async fn send(&self, call: Outgoing, limits: Limits) -> Result<Answer, Trouble> {
        let Limits { timeout, bytes } = limits;
        let request = self
            .client
            .request(call.method, call.url)
            .headers(call.headers)
            .timeout(timeout);
        // An empty body is none: some servers refuse a GET that has a length.
        let request = if call.body.is_empty() {
            request
        } else {
            request.body(call.body)
        };
        let whose = Whose::Theirs(bytes);
        self.exchange(request, timeout, whose).await
    }

    /// A GET that changes nothing there and carries nothing that is good for one use: sent once more when the connection
    /// failed before anything came back, such as one that was kept open and that the other side has closed meanwhile.
    pub(super) async fn get_again(
        &self,
        url: Url,
        headers: HeaderMap,
        timeout: Duration,
    ) -> Result<Answer, Trouble> {
        let start = Instant::now();
        match self.get(url.clone(), headers.clone(), timeout).await {
            Err(Trouble::Unreachable(_) | Trouble::Interrupted(_)) => {
                let left = timeout.saturating_sub(start.elapsed());
                self.get(url, headers, left).await
            }
            outcome => outcome,
        }
    }

    /// A POST of a form, with a limit on the whole exchange.
    pub(super) async fn post_form(
        &self,
        url: Url,
        form: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Answer, Trouble> {
        self.post_form_with(url, HeaderMap::new(), form, timeout)
            .await
    }

    /// The same with headers, such as those of client authentication.
    pub(super) async fn post_form_with(
        &self,
        url: Url,
        headers: HeaderMap,
        form: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Answer, Trouble> {
        let request = self
            .client
            .post(url)
            .header(reqwest::header::ACCEPT, "application/json")
            .headers(headers)
            .form(form)
            .timeout(timeout);
        self.exchange(request, timeout, Whose::Ours).await
    }

    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
        timeout: Duration,
        whose: Whose,
    ) -> Result<Answer, Trouble> {
        let most = match whose {
            Whose::Ours => MAX_UPSTREAM_BYTES,
            Whose::Theirs(most) => most,
        };
        let Some(breaker) = &self.breaker else {
            return read(request, timeout, most).await;
        };
        if !breaker.admits() {
            let upstream = breaker.upstream();
            breaker
                .metrics()
                .upstream_asked(upstream, "held_back", None);
            return Err(Trouble::HeldBack);
        }
        let watch = breaker.watch();
        let start = Instant::now();
        let outcome = read(request, timeout, most).await;
        let (sign, told) = sign(&outcome, whose);
        let took = Some(start.elapsed());
        breaker
            .metrics()
            .upstream_asked(breaker.upstream(), told, took);
        let why = match &outcome {
            _ if sign != Sign::Away => String::new(),
            Ok(answer) => answer.describe(),
            Err(trouble) => trouble.to_string(),
        };
        watch.learn(sign, &why);
        outcome
    }
}

/// Who composed a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// We did.
    Ours,
    /// Somebody for whom it is passed on, with so many bytes to read at the most.
    Theirs(usize),
}

/// What came of a request: whether the upstream is there, and a word for the metrics. How long somebody else's request
/// takes, and what a server in front makes of that, is up to them: it says nothing.
fn sign(outcome: &Result<Answer, Trouble>, whose: Whose) -> (Sign, &'static str) {
    let (sign, told) = our_sign(outcome);
    let unreachable = matches!(outcome, Err(Trouble::Unreachable(_)));
    if sign == Sign::Away && whose != Whose::Ours && !unreachable {
        return (Sign::Nothing, told);
    }
    (sign, told)
}

fn our_sign(outcome: &Result<Answer, Trouble>) -> (Sign, &'static str) {
    match outcome {
        Ok(answer) => match answer.status.as_u16() {
            429 => (Sign::Away, "throttled"),
            502..=504 => (Sign::Away, "failed"),
            500.. => (Sign::Nothing, "failed"),
            400.. => (Sign::There, "refused"),
            _ => (Sign::There, "answered"),
        },
        Err(Trouble::TooLarge(_)) => (Sign::There, "too_large"),
        Err(Trouble::TimedOut(_)) => (Sign::Away, "timed_out"),
        Err(Trouble::Unreachable(_)) => (Sign::Away, "unreachable"),
        Err(Trouble::Interrupted(_)) => (Sign::Away, "interrupted"),
        Err(Trouble::HeldBack) => (Sign::Nothing, "held_back"),
    }
}

/// A request of any kind.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// What an exchange may cost.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) timeout: Duration,
    pub(super) bytes: usize,
}

async fn read(
    request: reqwest::RequestBuilder,
    timeout: Duration,
    most: usize,
) -> Result<Answer, Trouble> {
    let trouble = |error: reqwest::Error| Trouble::from(error, timeout);
    let mut response = request.send().await.map_err(trouble)?;
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(trouble)? {
        if body.len() + chunk.len() > most {
            return Err(Trouble::TooLarge(most));
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
        serde_json::from_slice(self.unmarked()).ok()
    }

    /// The body, if it is JSON at all. Of a text `serde_json` does not ask again, string by string, whether it is UTF-8.
    pub(super) fn value(&self) -> Option<Value> {
        serde_json::from_str(str::from_utf8(self.unmarked()).ok()?).ok()
    }

    /// The body without a byte order mark, which some servers of .NET put before JSON and a parser may ignore (RFC 8259 section 8.1).
    fn unmarked(&self) -> &[u8] {
        self.body
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&self.body)
    }

    /// Whether the upstream (or what stands before it) says that it cannot answer now.
    pub(super) fn is_outage(&self) -> bool {
        self.status.is_server_error()
            || matches!(
                self.status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            )
    }

    /// Seconds after which the upstream wants to be asked again (RFC 9110 section 10.2.3), if it says so.
    pub(super) fn retry_after(&self, now: UnixTime) -> Option<i64> {
        let told = self.headers.get("retry-after")?.to_str().ok()?.trim();
        let date = || {
            let date = httpdate::parse_http_date(told).ok()?;
            let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
            Some(i64::try_from(since_epoch.as_secs()).ok()? - now)
        };
        told.parse().ok().or_else(date)
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
    #[error(
        "nothing was sent: the last requests failed, and the upstream is left alone for a while"
    )]
    HeldBack,
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

    /// Whether the upstream cannot have received anything.
    pub(super) const fn is_unsent(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::HeldBack)
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

/// An answer that came and cannot be used: what it was given for is spent all the same.
#[derive(Debug, thiserror::Error)]
#[error("the answer cannot be used, and what was sent for it is spent")]
struct Spent(#[source] BoxError);

/// `error`, if it is about the answer to a renewal and not about the request.
pub(super) fn spent(error: LoginError) -> LoginError {
    LoginError::Protocol(Box::new(Spent(Box::new(error))))
}

/// Whether somewhere behind `error` is a request that was, or may have been, sent and not answered in whole, or answered
/// with what is of no use.
pub(super) fn lost_the_answer(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<Spent>() {
            return true;
        }
        if let Some(trouble) = error.downcast_ref::<Trouble>() {
            return !trouble.is_unsent();
        }
        next = error.source();
    }
    false
}

/// Whether an address that somebody at `from` tells us may be asked (T36): whoever runs a public server must not have us
/// ask what stands in our own network. Names are taken by what they say, and not looked up.
pub(super) fn may_lead_to(from: &Url, to: &Url) -> bool {
    from.host() == to.host() || is_public(to) || !is_public(from)
}

/// Whether a host is one of the Internet, as far as its name or address tells.
fn is_public(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let last = name.rsplit('.').next().unwrap_or_default();
            // RFC 6761, RFC 6762 and RFC 8375, and what ICANN leaves to private networks.
            name.contains('.')
                && !["localhost", "local", "internal", "lan"].contains(&last)
                && !name.ends_with(".home.arpa")
        }
        Some(Host::Ipv4(address)) => is_public_ipv4(address),
        Some(Host::Ipv6(address)) => {
            // `::1` is one of these, too.
            if let Some(within) = address.to_ipv4() {
                return is_public_ipv4(within);
            }
            let first = address.segments()[0];
            let nat64 = address.segments()[..2] == [0x64, 0xff9b];
            !(first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80
                || first & 0xff00 == 0xff00
                || nat64)
        }
        None => false,
    }
}

fn is_public_ipv4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || first == 0
        // Shared address space (RFC 6598).
        || first == 100 && second & 0xc0 == 64)
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
    let pair = |(name, value): &(&str, &str)| format!("{}={}", encoded(name), encoded(value));
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

    /// T36.
    #[test]
    fn a_public_server_leads_to_no_private_one() {
        let url = |text: &str| Url::parse(text).unwrap();
        let public = url("https://id.example.org");
        for private in [
            "https://localhost/",
            "https://intranet/",
            "https://db.internal/",
            "https://printer.local./",
            "https://router.home.arpa/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://10.0.0.1/",
            "https://192.168.1.1/",
            "https://169.254.169.254/latest",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://[64:ff9b::a00:1]/",
        ] {
            assert!(!may_lead_to(&public, &url(private)), "{private}");
            // Who is there already, or is that very host, tells us nothing new.
            assert!(may_lead_to(&url("https://10.1.1.1/"), &url(private)));
            assert!(may_lead_to(&url(private), &url(private)));
        }
        for other in [
            "https://api.example.net/",
            "https://203.0.113.7/",
            "https://[2001:db8::1]/",
        ] {
            assert!(may_lead_to(&public, &url(other)), "{other}");
        }
        assert!(may_lead_to(
            &public,
            &url("https://id.example.org:8443/token")
        ));
    }

    #[test]
    fn a_byte_order_mark_before_json_is_ignored_and_no_other() {
        let answer = |body: &[u8]| Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: body.to_vec().into(),
        };
        let marked = answer(b"\xef\xbb\xbf{\"a\":1}");
        assert_eq!(marked.value(), Some(serde_json::json!({ "a": 1 })));
        assert_eq!(marked.json::<Value>(), marked.value());
        let twice = answer(b"\xef\xbb\xbf\xef\xbb\xbf{}");
        assert_eq!(twice.value(), None);
    }

    #[test]
    fn every_reserved_character_is_encoded() {
        assert_eq!(
            query(&[("a", "x+/= &%é"), ("b&c", "-._~")]),
            "a=x%2B%2F%3D%20%26%25%C3%A9&b%26c=-._~"
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
