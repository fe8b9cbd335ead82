//! `[[scopes]]`: scopes of the organization's own, what they open, and what the consent page says of them.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::place::{Place, Report};
use super::text::Translations;
use crate::model::scopes::OwnScope;
use crate::protocol::claims::{RESERVED, standard_scope_of};
use crate::protocol::scope::{self, Scope};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    name: Option<String>,
    claims: Vec<String>,
    description: Translations,
}

/// Checks every entry; one without a usable name is left out.
pub(super) fn check(entries: Vec<Raw>, at: &Place, report: &mut Report) -> Vec<OwnScope> {
    let mut scopes: Vec<OwnScope> = Vec::new();
    for (index, raw) in entries.into_iter().enumerate() {
        let at = at.index(index);
        let Some(name) = check_name(raw.name, &at.key("name"), report) else {
            continue;
        };
        if scopes.iter().any(|other| other.name == name) {
            report.problem(
                &at.key("name"),
                "is the name of an earlier scope; put both into one",
            );
        }
        scopes.push(OwnScope {
            claims: check_claims(raw.claims, &at.key("claims"), report),
            description: raw.description.check(&at.key("description"), report),
            name,
        });
    }
    scopes
}

fn check_name(name: Option<String>, at: &Place, report: &mut Report) -> Option<String> {
    let Some(name) = name else {
        report.problem(
            at,
            "is missing; write what apps ask for, such as \"training\"",
        );
        return None;
    };
    let tokens = Scope::parse(&name).map_or(0, |scope| scope.iter().count());
    if tokens != 1 || name.contains(' ') {
        report.problem(
            at,
            "must be one word of visible ASCII characters without \" and \\ (RFC 6749 section 3.3)",
        );
        return None;
    }
    if scope::has_a_meaning(&name) {
        report.problem(at, "has a meaning already; choose another name");
        return None;
    }
    Some(name)
}

fn check_claims(claims: Vec<String>, at: &Place, report: &mut Report) -> BTreeSet<String> {
    for (index, claim) in claims.iter().enumerate() {
        let at = at.index(index);
        let visible = claim.bytes().all(|byte| byte.is_ascii_graphic());
        if claim.is_empty() || !visible {
            report.problem(&at, "must be the name of a claim");
        } else if RESERVED.contains(&claim.as_str()) {
            report.problem(&at, "is a name that tokens use themselves; remove it");
        } else if claim.starts_with("email") && standard_scope_of(claim) == Some(scope::EMAIL) {
            report.problem(
                &at,
                "is opened by the scope email, as apps expect; remove it",
            );
        }
    }
    claims.into_iter().collect()
}
