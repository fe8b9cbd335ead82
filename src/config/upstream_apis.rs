//! `upstream_apis` of a client: what else it needs so that it can call an upstream's API (T62); and rules that open nothing.

use std::collections::BTreeSet;

use super::clients::{ClientConfig, Known, check_known};
use super::place::{Place, Report};
use super::upstreams::UpstreamConfig;
use crate::model::api_rule::{ActsAs, ApiRule};
use crate::protocol::scope::Scope;
use crate::protocol::token::GrantType;

/// What a client says about it.
pub(super) struct Wanted<'a> {
    pub(super) grants: &'a BTreeSet<GrantType>,
    pub(super) scope: &'a Scope,
    pub(super) upstreams: Option<&'a [String]>,
    pub(super) apis: &'a [String],
}

/// Tells everything that is missing.
pub(super) fn check(wanted: &Wanted<'_>, known: &Known<'_>, at: &Place, report: &mut Report) {
    let at_apis = at.key("upstream_apis");
    check_known(wanted.apis, known, &at_apis, report);
    for (index, name) in wanted.apis.iter().enumerate() {
        let at_api = at_apis.index(index);
        if wanted
            .upstreams
            .is_some_and(|served| !served.contains(name))
        {
            report.problem(
                &at_api,
                "is not among the upstreams that this client serves; add it to upstreams, or remove it here",
            );
        }
        let mut configured = known.configured.iter();
        let Some(upstream) = configured.find(|upstream| upstream.id.as_str() == name) else {
            continue;
        };
        if upstream.api.is_empty() {
            report.problem(
                &at_api,
                "has no [[upstreams.api]], so that nothing of its API is open; write there what clients may do, or remove it here",
            );
            continue;
        }
        let within_reach: BTreeSet<&str> = upstream
            .api
            .iter()
            .filter(|rule| is_for(rule, wanted.grants))
            .map(|rule| rule.scope.as_str())
            .collect();
        if within_reach.is_empty() {
            report.problem(
                &at_api,
                "opens nothing to this client: rules with acts_as = \"service\" are for client_credentials, the others for authorization_code; see its grant_types",
            );
        } else if !within_reach
            .iter()
            .any(|scope| wanted.scope.contains(scope))
        {
            let scopes: Vec<&str> = within_reach.into_iter().collect();
            report.problem(
                &at.key("scope"),
                format!(
                    "opens nothing of the API of {name}; add what the app is to do there ({}), or remove {name} from upstream_apis",
                    scopes.join(", ")
                ),
            );
        }
    }
}

/// Whether a client with these grants gets tokens that the rule is for.
fn is_for(rule: &ApiRule, grants: &BTreeSet<GrantType>) -> bool {
    match rule.acts_as {
        ActsAs::Person => grants.iter().any(|grant| grant.begins_with_a_login()),
        ActsAs::Service => grants.contains(&GrantType::ClientCredentials),
    }
}

/// Warns of rules that open their paths to no client.
pub(super) fn warn_of_unused_rules(
    upstreams: &[UpstreamConfig],
    clients: &[ClientConfig],
    at: &Place,
    report: &mut Report,
) {
    for upstream in upstreams {
        let uses = |rule: &ApiRule| {
            let mut clients = clients.iter().map(|written| &written.client);
            clients.any(|client| {
                client.upstream_apis.contains(&upstream.id)
                    && client.scope.contains(&rule.scope)
                    && is_for(rule, &client.grant_types)
            })
        };
        let unused = upstream.api.iter().filter(|rule| !uses(rule));
        let scopes: BTreeSet<&str> = unused.map(|rule| rule.scope.as_str()).collect();
        for scope in scopes {
            let text = format!(
                "a rule of {} needs the scope {scope}, which no client has that may call it; write it into scope, and {} into upstream_apis, of one",
                upstream.id, upstream.id
            );
            report.warn(at, &text);
        }
    }
}
