//! `exchange` of a client: for which APIs, and whose tokens (RFC 8693).

use std::collections::BTreeSet;

use serde::Deserialize;

use super::client_uris;
use super::clients::{ClientConfig, Known};
use super::place::{Place, Report};
use crate::model::exchange::ExchangePolicy;
use crate::protocol::ids::ClientId;
use crate::protocol::token::GrantType;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    audiences: Vec<String>,
    own_audiences: Vec<String>,
    from_clients: Vec<String>,
    impersonation: bool,
}

/// The policy, with everything told that it lacks.
pub(super) fn check(
    raw: Option<Raw>,
    client_id: Option<&str>,
    grants: &BTreeSet<GrantType>,
    is_public: bool,
    known: &Known<'_>,
    at: &Place,
    report: &mut Report,
) -> ExchangePolicy {
    let Some(raw) = raw else {
        return ExchangePolicy::default();
    };
    if !grants.contains(&GrantType::TokenExchange) {
        let grant = GrantType::TokenExchange.as_str();
        let text = format!("needs the grant that it is for; add \"{grant}\" to grant_types");
        report.problem(at, text);
    }
    if is_public {
        report.problem(
            at,
            "needs a client that can keep a secret, or whoever finds a token could exchange it in its name; remove this key",
        );
    }
    let (at_audiences, at_clients) = (at.key("audiences"), at.key("from_clients"));
    if raw.audiences.is_empty() {
        report.problem(
            &at_audiences,
            "is missing; write the APIs that the client may have tokens for, such as [\"https://orders.example.org\"]",
        );
    }
    if raw.from_clients.is_empty() {
        report.problem(
            &at_clients,
            "is missing; write the client_id of each client whose tokens may be exchanged, such as [\"members-app\"]",
        );
    }
    client_uris::check_audience(&raw.audiences, &at_audiences, report);
    let at_own = at.key("own_audiences");
    client_uris::check_audience(&raw.own_audiences, &at_own, report);
    let of_others = raw
        .from_clients
        .iter()
        .any(|id| Some(id.as_str()) != client_id);
    if raw.own_audiences.is_empty() && of_others {
        report.problem(
            &at_own,
            "is missing; write what stands for this client's own API in the audience of the tokens that it is called with, such as \
             [\"https://orders.example.org\"]: a token that was for another API is not exchanged",
        );
    }
    for (index, audience) in raw.audiences.iter().enumerate() {
        let at = at_audiences.index(index);
        let plain = audience.trim_end_matches('/');
        if known.issuer.is_some_and(|issuer| issuer == plain) {
            report.problem(
                &at,
                "is this server itself, whose endpoints take no exchanged tokens; remove it",
            );
        }
        let mut upstreams = known.configured.iter();
        let is_upstream = upstreams.any(|upstream| {
            let base = upstream.settings.base_url();
            base.is_some_and(|base| base.as_str().trim_end_matches('/') == plain)
        });
        if is_upstream {
            report.problem(
                &at,
                "is an upstream, whose own tokens are given; see upstream_tokens",
            );
        }
    }
    ExchangePolicy {
        audiences: raw.audiences.into_iter().collect(),
        own_audiences: raw.own_audiences.into_iter().collect(),
        from_clients: raw.from_clients.into_iter().map(ClientId::new).collect(),
        impersonation: raw.impersonation,
    }
}

/// Warns of clients that no file has.
pub(super) fn warn_of_strangers(clients: &[ClientConfig], at: &Place, report: &mut Report) {
    let known: BTreeSet<&ClientId> = clients
        .iter()
        .map(|written| &written.client.client_id)
        .collect();
    for ClientConfig { client, .. } in clients {
        for stranger in client
            .exchange
            .from_clients
            .iter()
            .filter(|id| !known.contains(id))
        {
            let text = format!(
                "exchange.from_clients of {} names {stranger}, which is the client_id of no client",
                client.client_id
            );
            report.warn(at, &text);
        }
    }
}
