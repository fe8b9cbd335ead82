//! `[[upstreams.api]]`: what clients may do at an upstream's API through `/api/{upstream}/`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::place::{Place, Report};
use crate::model::api_rule::{ActsAs, ApiRule, METHODS, PathPattern};
use crate::protocol::scope::{self, Scope};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    scope: Option<String>,
    methods: Option<Vec<String>>,
    paths: Vec<String>,
    query: BTreeMap<String, Vec<String>>,
    acts_as: ActsAs,
}

/// Every rule; those with a mistake are left out.
pub(super) fn check(rules: Vec<Raw>, at: &Place, report: &mut Report) -> Vec<ApiRule> {
    let rules = rules.into_iter().enumerate();
    rules
        .filter_map(|(index, raw)| rule(raw, &at.index(index), report))
        .collect()
}

fn rule(raw: Raw, at: &Place, report: &mut Report) -> Option<ApiRule> {
    let scope = check_scope(raw.scope, &at.key("scope"), report);
    let methods = raw.methods.unwrap_or_else(|| vec!["GET".to_owned()]);
    if methods.is_empty() {
        report.problem(&at.key("methods"), "is empty; leave it out for [\"GET\"]");
    }
    for (index, method) in methods.iter().enumerate() {
        if !METHODS.contains(&method.as_str()) {
            report.problem(
                &at.key("methods").index(index),
                format!("must be one of: {}", METHODS.join(", ")),
            );
        }
    }
    if raw.paths.is_empty() {
        report.problem(
            &at.key("paths"),
            "is missing; write the paths that this scope opens, such as [\"Party/*\"]",
        );
    }
    let mut paths = Vec::new();
    for (index, path) in raw.paths.iter().enumerate() {
        match PathPattern::parse(path) {
            Ok(path) => paths.push(path),
            Err(text) => report.problem(&at.key("paths").index(index), text),
        }
    }
    for (name, values) in &raw.query {
        if values.is_empty() {
            report.problem(
                &at.key("query").key(name),
                "names no value, so that nothing would fit; write those that are allowed",
            );
        }
    }
    Some(ApiRule {
        scope: scope?,
        methods: methods.into_iter().collect(),
        paths,
        query: raw.query,
        acts_as: raw.acts_as,
    })
}

fn check_scope(written: Option<String>, at: &Place, report: &mut Report) -> Option<String> {
    let Some(scope) = written else {
        report.problem(
            at,
            "is missing; write the scope that an app needs for this, such as \"members:read\"",
        );
        return None;
    };
    let one = Scope::parse(&scope).is_ok_and(|parsed| parsed.contains(&scope));
    if !one {
        report.problem(at, "must be one scope: no spaces, quotes or backslashes");
    } else if scope::has_a_meaning(&scope) {
        report.problem(
            at,
            "has a meaning of its own in OpenID Connect, or here; choose another name",
        );
    }
    Some(scope)
}
