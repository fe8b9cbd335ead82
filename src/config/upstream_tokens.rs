//! `upstream_tokens` and `service_tokens` of a client: what else it needs so that it can have an upstream's tokens (T62).

use std::collections::BTreeSet;

use super::clients::{Known, check_known};
use super::place::{Place, Report};
use super::upstreams::UpstreamConfig;
use crate::protocol::ids::UpstreamId;
use crate::protocol::scope::{self, Scope};
use crate::protocol::token::GrantType;

/// What a client says about it.
pub(super) struct Wanted<'a> {
    pub(super) grants: &'a BTreeSet<GrantType>,
    pub(super) is_public: bool,
    pub(super) scope: &'a Scope,
    pub(super) upstreams: Option<&'a [String]>,
    pub(super) of_people: &'a [String],
    pub(super) of_service_accounts: &'a [String],
    pub(super) of_ours: bool,
}

/// Tells everything that is missing.
pub(super) fn check(wanted: &Wanted<'_>, known: &Known<'_>, at: &Place, report: &mut Report) {
    let Wanted {
        grants,
        is_public,
        scope,
        upstreams,
        of_people,
        of_service_accounts,
        of_ours,
    } = wanted;
    let (at_people, at_service) = (at.key("upstream_tokens"), at.key("service_tokens"));
    let nobody = of_people.is_empty() && of_service_accounts.is_empty();
    let exchange = GrantType::TokenExchange;
    match (nobody, grants.contains(&exchange)) {
        (true, true) if !of_ours => report.problem(
            &at.key("grant_types"),
            "token exchange leads nowhere without upstreams; write their ids into upstream_tokens (tokens of the people) or service_tokens (of the service account), or APIs of your own into exchange",
        ),
        (false, false) => report.problem(
            &at.key("grant_types"),
            format!(
                "lacks the grant that upstream_tokens and service_tokens are for; add \"{}\"",
                exchange.as_str()
            ),
        ),
        _ => {}
    }
    let has_people = grants.iter().any(|grant| grant.begins_with_a_login());
    if !of_people.is_empty() && !has_people {
        report.problem(
            &at_people,
            "needs people who log in; add \"authorization_code\" to grant_types, or remove this key",
        );
    }
    if !of_service_accounts.is_empty() && *is_public {
        report.problem(
            &at_service,
            "needs a client that can keep a secret: the service account may do more than any person; remove this key",
        );
    } else if !of_service_accounts.is_empty() && !grants.contains(&GrantType::ClientCredentials) {
        report.problem(
            &at_service,
            "needs a client that acts for itself; add \"client_credentials\" to grant_types, or remove this key",
        );
    }
    for (names, at) in [(of_people, &at_people), (of_service_accounts, &at_service)] {
        check_known(names, known, at, report);
    }
    for (index, name) in of_people.iter().enumerate() {
        if upstreams.is_some_and(|served| !served.contains(name)) {
            report.problem(
                &at_people.index(index),
                "is not among the upstreams that this client serves; add it to upstreams, or remove it here",
            );
        }
        if find(known, name).is_some_and(|upstream| !upstream.settings.gives_tokens()) {
            report.problem(
                &at_people.index(index),
                "is of a kind that has no API and no tokens; remove it here",
            );
        }
    }
    for (index, name) in of_service_accounts.iter().enumerate() {
        if find(known, name).is_some_and(|upstream| upstream.settings.lacks_service_account()) {
            report.problem(
                &at_service.index(index),
                "has no service account; write service_account into that upstream, or remove it here",
            );
        }
    }
    let all: BTreeSet<&String> = of_people.iter().chain(*of_service_accounts).collect();
    for name in all {
        let needed = scope::upstream(&UpstreamId::new(name));
        if !scope.contains(&needed) {
            report.problem(
                &at.key("scope"),
                format!("lacks {needed}, without which no token of that upstream is given; add it"),
            );
        }
    }
}

fn find<'a>(known: &Known<'a>, name: &str) -> Option<&'a UpstreamConfig> {
    known
        .configured
        .iter()
        .find(|upstream| upstream.id.as_str() == name)
}
