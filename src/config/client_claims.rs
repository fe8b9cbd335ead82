//! `[clients.claims]`: more claims for one client. Ours.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::clients::{Known, check_upstream};
use super::place::{Place, Report};
use crate::model::client_claims::{ClaimSource, ClaimValue, ClientClaims};
use crate::protocol::claims::{self, RESERVED, SUBJECT};
use crate::protocol::ids::UpstreamId;

/// The most bytes of a name, a group or a value.
const MAX_BYTES: usize = 256;

/// What a claim may look like, for those who wrote something else.
const FORMS: &str = "write { claim = \"sub\" }, or { group = \"Staff\", value = \"1\" }";

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    claim: Option<String>,
    group: Option<String>,
    upstream: Option<String>,
    value: Option<RawValue>,
}

#[derive(Debug)]
struct RawValue(ClaimValue);

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = RawValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a whole number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawValue, E> {
                Ok(RawValue(ClaimValue::Text(text.to_owned())))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<RawValue, E> {
                Ok(RawValue(ClaimValue::Number(number)))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

/// Checks every claim; those that cannot be taken are left out.
pub(super) fn check(
    raw: BTreeMap<String, Raw>,
    known: &Known<'_>,
    at: &Place,
    report: &mut Report,
) -> ClientClaims {
    let mut claims = BTreeMap::new();
    for (name, raw) in raw {
        let at = at.key(&name);
        check_name(&name, &at, report);
        if let Some(source) = check_source(&name, raw, known, &at, report) {
            claims.insert(name, source);
        }
    }
    ClientClaims(claims)
}

fn check_name(name: &str, at: &Place, report: &mut Report) {
    if !claims::is_name(name) {
        report.problem(
            at,
            "must be named with 1 to 256 visible ASCII characters without spaces",
        );
    } else if RESERVED.contains(&name) {
        report.problem(
            at,
            "is the name of a claim that says what a token is; choose another name",
        );
    }
}

fn check_source(
    name: &str,
    raw: Raw,
    known: &Known<'_>,
    at: &Place,
    report: &mut Report,
) -> Option<ClaimSource> {
    let Raw {
        claim,
        group,
        upstream,
        value,
    } = raw;
    let marks = group.is_some() || upstream.is_some();
    // An app believes whoever says that an address was verified.
    if name == "email_verified" && claim.as_deref() != Some(name) {
        report.problem(
            at,
            "is for the upstream to say; write { claim = \"email_verified\" }",
        );
        return None;
    }
    match (claim, value) {
        (Some(claim), None) if !marks => {
            check_copied(&claim, &at.key("claim"), report);
            Some(ClaimSource::Copy { claim })
        }
        (Some(_), _) => {
            report.problem(
                at,
                "copies a claim, and has no group, upstream or value of its own; remove them, or claim",
            );
            None
        }
        (None, Some(RawValue(value))) if marks => {
            if let Some(group) = &group {
                check_text(group, &at.key("group"), report);
            }
            if let Some(upstream) = &upstream {
                check_upstream(upstream, known, &at.key("upstream"), report);
            }
            if let ClaimValue::Text(text) = &value {
                check_text(text, &at.key("value"), report);
            }
            Some(ClaimSource::Mark {
                group,
                upstream: upstream.map(UpstreamId::new),
                value,
            })
        }
        (None, Some(_)) => {
            report.problem(
                at,
                "does not say for whom; add group = \"...\", or upstream = \"...\", or both",
            );
            None
        }
        (None, None) if marks => {
            report.problem(&at.key("value"), "is missing; write value = \"1\"");
            None
        }
        (None, None) => {
            report.problem(at, format!("does not say where it comes from; {FORMS}"));
            None
        }
    }
}

/// Any name that an upstream may use will do, which we cannot know; those that are never about a person will not.
fn check_copied(claim: &str, at: &Place, report: &mut Report) {
    if claim == "groups" {
        report.problem(
            at,
            "is a list, and this claim has one value; write { group = \"Staff\", value = \"1\" }",
        );
    } else if claim != SUBJECT && RESERVED.contains(&claim) {
        report.problem(
            at,
            "is no claim about a person; write one such as \"sub\", \"email\" or \"preferred_username\"",
        );
    } else {
        check_text(claim, at, report);
    }
}

fn check_text(text: &str, at: &Place, report: &mut Report) {
    if text.trim().is_empty() || text.len() > MAX_BYTES || text.chars().any(char::is_control) {
        report.problem(at, "must be 1 to 256 bytes without control characters");
    }
}
