//! `[registration]`: whether clients may register themselves (RFC 7591), and what they may be.

use std::collections::BTreeSet;

use serde::Deserialize;
use url::Host;

use super::clients::{self, Known};
use super::duration::Span;
use super::place::{Place, Report};
use crate::model::client::ConsentPolicy;
use crate::model::registration::{RegistrationMode, RegistrationPolicy};
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::ids::UpstreamId;
use crate::protocol::scope::{self, Scope};
use crate::protocol::token::GrantType;

const DAY: i64 = 24 * 60 * 60;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    mode: Option<Mode>,
    redirect_hosts: Vec<String>,
    scope: Option<String>,
    grant_types: Option<Vec<GrantType>>,
    token_endpoint_auth_methods: Option<Vec<ClientAuthMethod>>,
    allow_token_endpoint_audience: bool,
    upstreams: Option<Vec<String>>,
    consent: Option<ConsentPolicy>,
    max_clients: Option<i64>,
    max_per_address: Option<i64>,
    unused: Option<String>,
    fetch_allowed_hosts: bool,
    show_logos: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Off,
    Open,
    InitialAccessToken,
}

/// What no client that registers itself may have, whatever the policy says: tokens of upstreams are for clients that an
/// administrator has chosen by name (T18, T62).
const NEVER: [GrantType; 2] = [GrantType::TokenExchange, GrantType::Password];

pub(super) fn check(
    raw: Raw,
    known: &Known<'_>,
    at: &Place,
    report: &mut Report,
) -> RegistrationPolicy {
    let mode = match raw.mode {
        None | Some(Mode::Off) => RegistrationMode::Off,
        Some(Mode::Open) => RegistrationMode::Open,
        Some(Mode::InitialAccessToken) => RegistrationMode::InitialAccessToken,
    };
    let redirect_hosts = check_hosts(&raw.redirect_hosts, &at.key("redirect_hosts"), report);
    if mode == RegistrationMode::Open && redirect_hosts.is_empty() {
        report.warn(
            &at.key("mode"),
            "anybody may register an app at any address, and send people there by a link to this server; name redirect_hosts, or \
             write \"initial_access_token\"",
        );
    }
    let at_grants = at.key("grant_types");
    let grants = raw
        .grant_types
        .unwrap_or_else(|| vec![GrantType::AuthorizationCode, GrantType::RefreshToken]);
    for (index, grant) in grants.iter().enumerate() {
        if NEVER.contains(grant) {
            report.problem(
                &at_grants.index(index),
                "is never for clients that register themselves: it gives tokens of upstreams, or takes people's passwords; write such a client in a file",
            );
        }
    }
    let at_methods = at.key("token_endpoint_auth_methods");
    let methods = raw.token_endpoint_auth_methods;
    let methods = methods.unwrap_or_else(|| ClientAuthMethod::ALL.to_vec());
    if methods.is_empty() {
        report.problem(&at_methods, "is empty; leave it out to allow all");
    }
    let at_upstreams = at.key("upstreams");
    let upstreams = match &raw.upstreams {
        None => known.upstreams.iter().cloned().collect(),
        Some(names) => {
            if names.is_empty() {
                report.problem(
                    &at_upstreams,
                    "is empty, so nobody could log in; leave it out to allow all upstreams",
                );
            }
            clients::check_known(names, known, &at_upstreams, report);
            names.iter().map(UpstreamId::new).collect()
        }
    };
    let consent = raw.consent.unwrap_or(ConsentPolicy::Once);
    if mode != RegistrationMode::Off && consent == ConsentPolicy::None {
        report.warn(
            &at.key("consent"),
            "people are not asked before an app that registered itself is told who they are",
        );
    }
    if mode != RegistrationMode::Off && raw.fetch_allowed_hosts {
        report.warn(
            &at.key("fetch_allowed_hosts"),
            "apps that registered themselves can have the hosts of outbound.allow_hosts fetched; write false unless you know every one of them",
        );
    }
    if mode == RegistrationMode::Open && raw.show_logos {
        report.warn(
            &at.key("show_logos"),
            "anybody may register an app whose picture stands on the login page, another organization's logo say; write false, or mode = \"initial_access_token\"",
        );
    }
    if mode != RegistrationMode::Off && raw.allow_token_endpoint_audience {
        report.warn(
            &at.key("allow_token_endpoint_audience"),
            "assertions that clients made for an address are taken too; a server that an app confuses with this one could use them here \
             (RFC 7523bis)",
        );
    }
    RegistrationPolicy {
        mode,
        allow_token_endpoint_audience: raw.allow_token_endpoint_audience,
        redirect_hosts,
        scope: check_scope(raw.scope.as_deref(), &at.key("scope"), report),
        grant_types: grants.into_iter().collect::<BTreeSet<_>>(),
        token_endpoint_auth_methods: methods,
        upstreams,
        consent,
        max_clients: check_number(raw.max_clients, 1000, &at.key("max_clients"), report),
        max_per_address: check_number(raw.max_per_address, 20, &at.key("max_per_address"), report),
        unused: check_unused(raw.unused.as_deref(), &at.key("unused"), report),
        fetch_allowed_hosts: raw.fetch_allowed_hosts,
        show_logos: raw.show_logos,
        algorithms: known.algorithms.to_vec(),
    }
}

/// Hosts as URLs write them, each with what is below it.
fn check_hosts(hosts: &[String], at: &Place, report: &mut Report) -> Vec<String> {
    let mut good = Vec::new();
    for (index, text) in hosts.iter().enumerate() {
        match Host::parse(text) {
            Ok(host) if host.to_string() == *text && !text.ends_with('.') && !text.contains('*') => good.push(text.clone()),
            _ => report.problem(
                &at.index(index),
                "must be a host in lower case, such as \"example.org\", which stands for those below it too: no scheme, port or wildcard",
            ),
        }
    }
    good
}

fn check_scope(written: Option<&str>, at: &Place, report: &mut Report) -> Scope {
    let harmless = [
        scope::OPENID,
        scope::PROFILE,
        scope::EMAIL,
        scope::ADDRESS,
        scope::PHONE,
        scope::OFFLINE_ACCESS,
    ]
    .join(" ");
    let scope = Scope::parse(written.unwrap_or(&harmless)).unwrap_or_else(|error| {
        report.problem(at, error.to_string());
        Scope::default()
    });
    if scope.is_empty() {
        report.problem(at, "is empty; write \"openid\", or leave it out");
    }
    if let Some(upstream) = scope
        .iter()
        .find(|token| token.starts_with(scope::UPSTREAM_PREFIX))
    {
        let text = format!(
            "{upstream} lets a client act at an upstream, which is never for clients that register themselves; write such a client in a file"
        );
        report.problem(at, text);
    }
    scope
}

fn check_number(written: Option<i64>, default: i64, at: &Place, report: &mut Report) -> i64 {
    let number = written.unwrap_or(default);
    if !(1..=1_000_000).contains(&number) {
        report.problem(at, "must be between 1 and 1000000");
    }
    number
}

fn check_unused(written: Option<&str>, at: &Place, report: &mut Report) -> Option<i64> {
    const DEFAULT: i64 = 30 * DAY;
    match written {
        None => Some(DEFAULT),
        Some("never") => None,
        Some(text) => {
            let span = Span::parse(text);
            if span.is_none() {
                let text = "must be a duration with its unit, such as \"30d\", or \"never\"";
                report.problem(at, text);
            }
            span.map(|span| span.seconds((60 * 60, 3650 * DAY), DEFAULT, at, report))
        }
    }
}
