//! Whom a client is for, and what becomes of them while their upstream is away.

use std::collections::BTreeMap;

use serde_json::Value;

use super::duration::{Span, show_seconds};
use super::place::{Place, Report};
use crate::model::client::OutagePolicy;
use crate::protocol::claims::RESERVED;

/// The longest that something old may be good enough: a month.
const LONGEST: i64 = 30 * 24 * 60 * 60;

/// `require_groups`.
pub(super) fn check_groups(groups: Vec<String>, at: &Place, report: &mut Report) -> Vec<String> {
    for (index, group) in groups.iter().enumerate() {
        if group.trim().is_empty() || group.trim() != group {
            report.problem(
                &at.index(index),
                "must be a group as the upstream names it, without space around it",
            );
        }
    }
    groups
}

/// `require_claims`.
pub(super) fn check_claims(
    claims: BTreeMap<String, Value>,
    at: &Place,
    report: &mut Report,
) -> BTreeMap<String, Value> {
    for (name, value) in &claims {
        let at = at.key(name);
        if name == "groups" {
            report.problem(&at, "write require_groups instead");
        } else if RESERVED.contains(&name.as_str()) {
            report.problem(&at, "is not a claim that an upstream tells about a person");
        } else if !(value.is_string() || value.is_boolean() || value.is_i64()) {
            report.problem(
                &at,
                "must be text, a whole number, true or false: the claim has to equal it",
            );
        }
    }
    claims
}

/// `upstream_outage`.
pub(super) fn check_outage(written: Option<&str>, at: &Place, report: &mut Report) -> OutagePolicy {
    match written {
        None => OutagePolicy::default(),
        Some("refuse") => OutagePolicy::Refuse,
        Some(text) => {
            if let Some(span) = Span::parse(text) {
                return OutagePolicy::Stale(span.seconds((1, LONGEST), 1, at, report));
            }
            report.problem(
                at,
                "must be \"refuse\", or for how long people may go on, such as \"30m\"",
            );
            OutagePolicy::Refuse
        }
    }
}

/// `upstream_outage` as an administrator would write it.
pub(super) fn show_outage(policy: OutagePolicy) -> String {
    match policy {
        OutagePolicy::Refuse => "refuse".to_owned(),
        OutagePolicy::Stale(seconds) => show_seconds(seconds),
    }
}
