//! What the server counts, for Prometheus (the `OpenMetrics` text format). A registry for each server: nothing is global.
//!
//! Labels hold names from the configuration and words of closed sets, never what a stranger sent or whom it concerns
//! (T60), so that the number of series is known beforehand.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::clock::UnixTime;
use crate::protocol::ids::UpstreamId;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From a fast answer on the same machine to the longest that an upstream is waited for, in seconds.
const BUCKETS: [f64; 10] = [0.01, 0.03, 0.1, 0.3, 0.6, 1.0, 2.0, 4.0, 10.0, 30.0];

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge>;

/// The counters of one server. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    upstream_requests: Counters,
    upstream_seconds: Family<Labels, Histogram, Latency>,
    breaker_open: Gauges,
    rechecks: Counters,
    logins: Counters,
    throttled: Counters,
    token_requests: Counters,
    replays: Counters,
    gateway_calls: Counters,
    vault_renewals: Counters,
    logout_notices: Counters,
    clients: Gauge,
    config_loaded: Gauge,
    database_up: Gauge,
}

#[derive(Clone)]
struct Latency;

impl MetricConstructor<Histogram> for Latency {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS)
    }
}

impl Metrics {
    /// All at nought.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("portico");
        let mut counters = |name: &str, help: &str| {
            let family = Counters::default();
            registry.register(name, help, family.clone());
            family
        };
        let upstream_requests = counters(
            "upstream_requests",
            "Requests to an upstream, by what came of them",
        );
        let rechecks = counters(
            "rechecks",
            "People asked about anew at their upstream, by what it said",
        );
        let logins = counters(
            "logins",
            "Logins tried, by upstream, way and what came of them",
        );
        let throttled = counters(
            "throttled",
            "Attempts that were one too many and went nowhere",
        );
        let token_requests = counters(
            "token_requests",
            "Answers of the token endpoint, by grant and outcome",
        );
        let replays = counters(
            "replays",
            "Codes and refresh tokens used again, which revoked their family",
        );
        let gateway_calls = counters(
            "gateway_calls",
            "Calls of an upstream's API for clients, by what came of them",
        );
        let vault_renewals = counters(
            "vault_renewals",
            "Upstream tokens of people renewed, by what came of it",
        );
        let logout_notices = counters(
            "logout_notices",
            "Attempts to tell a client of a logout, by what came of them",
        );
        let upstream_seconds = Family::new_with_constructor(Latency);
        registry.register(
            "upstream_request_seconds",
            "How long an upstream took to answer or not to answer",
            upstream_seconds.clone(),
        );
        let breaker_open = Gauges::default();
        registry.register(
            "upstream_breaker_open",
            "1 from the moment that an upstream counts as away until a request to it has succeeded",
            breaker_open.clone(),
        );
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let clients = gauge("clients", "Clients in force");
        let config_loaded = gauge(
            "config_loaded_timestamp_seconds",
            "When the configuration in force was loaded, Unix time",
        );
        let database_up = gauge("database_up", "1 when the database answers");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION").to_owned())]);
        registry.register("build", "Which Portico this is", build);
        Self(Arc::new(Inner {
            registry,
            upstream_requests,
            upstream_seconds,
            breaker_open,
            rechecks,
            logins,
            throttled,
            token_requests,
            replays,
            gateway_calls,
            vault_renewals,
            logout_notices,
            clients,
            config_loaded,
            database_up,
        }))
    }

    /// An attempt to tell a client of a logout came to `outcome`: `told`, `failed`, `given_up`.
    pub fn logout_notice(&self, outcome: &'static str) {
        let labels = vec![("outcome", outcome.to_owned())];
        self.0.logout_notices.get_or_create(&labels).inc();
    }

    /// A request to `upstream` came to `outcome`; `took` is how long it was under way, unless it was never sent.
    pub fn upstream_asked(
        &self,
        upstream: &UpstreamId,
        outcome: &'static str,
        took: Option<Duration>,
    ) {
        count(
            &self.0.upstream_requests,
            &[("upstream", upstream.as_str()), ("outcome", outcome)],
        );
        if let Some(took) = took {
            let labels = labels(&[("upstream", upstream.as_str())]);
            let histogram = self.0.upstream_seconds.get_or_create(&labels);
            histogram.observe(took.as_secs_f64());
        }
    }

    /// Whether `upstream` counts as away. Asked once at the start for each, so that all have their line.
    pub fn breaker(&self, upstream: &UpstreamId, open: bool) {
        let labels = labels(&[("upstream", upstream.as_str())]);
        let gauge = self.0.breaker_open.get_or_create(&labels);
        gauge.set(i64::from(open));
    }

    /// Somebody was asked about anew.
    pub fn rechecked(&self, upstream: &UpstreamId, outcome: &'static str) {
        count(
            &self.0.rechecks,
            &[("upstream", upstream.as_str()), ("outcome", outcome)],
        );
    }

    /// Somebody tried to log in.
    pub fn login(&self, upstream: &UpstreamId, method: &'static str, outcome: &'static str) {
        count(
            &self.0.logins,
            &[
                ("upstream", upstream.as_str()),
                ("method", method),
                ("outcome", outcome),
            ],
        );
    }

    /// An attempt was one too many.
    pub fn throttled(&self, what: &'static str) {
        count(&self.0.throttled, &[("what", what)]);
    }

    /// The token endpoint answered.
    pub fn token_answered(&self, grant: &'static str, outcome: &'static str) {
        count(
            &self.0.token_requests,
            &[("grant", grant), ("outcome", outcome)],
        );
    }

    /// A code or a refresh token was used again.
    pub fn replayed(&self, what: &'static str) {
        count(&self.0.replays, &[("what", what)]);
    }

    /// A client called the API of `upstream`.
    pub fn gateway_called(&self, upstream: &UpstreamId, outcome: &'static str) {
        count(
            &self.0.gateway_calls,
            &[("upstream", upstream.as_str()), ("outcome", outcome)],
        );
    }

    /// An upstream was asked for new tokens of a person.
    pub fn renewed(&self, upstream: &UpstreamId, outcome: &'static str) {
        count(
            &self.0.vault_renewals,
            &[("upstream", upstream.as_str()), ("outcome", outcome)],
        );
    }

    /// The configuration was taken over, with so many clients.
    pub fn config_loaded(&self, clients: usize, now: UnixTime) {
        self.0
            .clients
            .set(i64::try_from(clients).unwrap_or(i64::MAX));
        self.0.config_loaded.set(now);
    }

    /// Whether the database answers.
    pub fn database(&self, up: bool) {
        self.0.database_up.set(i64::from(up));
    }

    /// Everything, as text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn labels(pairs: &[(&'static str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

fn count(family: &Counters, pairs: &[(&'static str, &str)]) {
    family.get_or_create(&labels(pairs)).inc();
}
