//! More claims for one client, by its configuration: for relying parties that look for a person's number or for a mark
//! under a name of their own, in the ID token, and as one value. They are no part of any scope.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol::claims::{Profile, SUBJECT};
use crate::protocol::ids::{Subject, UpstreamId};

/// The claims that a client is told besides those of its scopes, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientClaims(pub BTreeMap<String, ClaimSource>);

/// Where such a claim comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClaimSource {
    /// Another claim of the person, under one more name.
    Copy {
        /// The claim: `sub`, or whatever the upstream tells.
        claim: String,
    },
    /// A value for some people; the others do not have the claim.
    Mark {
        /// They are of this group, as the upstream calls it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// They have logged in at this upstream.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upstream: Option<UpstreamId>,
        /// The value.
        value: ClaimValue,
    },
}

/// A value that stands in the configuration. Never a list: who asks for such claims cannot read one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClaimValue {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
}

/// Whom the claims are about, as far as this client may know them.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The `sub` claim for this client.
    pub subject: &'a Subject,
    /// What the upstream told.
    pub profile: &'a Profile,
    /// Where they have logged in.
    pub upstream: &'a UpstreamId,
}

impl ClientClaims {
    /// The names of the claims.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// The claims about somebody. One whose source says nothing is absent, and never empty.
    pub fn about(&self, person: About<'_>) -> BTreeMap<String, Value> {
        if self.0.is_empty() {
            return BTreeMap::new();
        }
        let mut known = person.profile.claims();
        known.insert(SUBJECT.to_owned(), person.subject.as_str().into());
        let told = self.0.iter().filter_map(|(name, source)| {
            let value = source.value(&known, person)?;
            Some((name.clone(), value))
        });
        let mut told: BTreeMap<String, Value> = told.collect();
        for verdict in verdicts_of_others(&told, &known) {
            told.remove(verdict);
        }
        told
    }
}

impl ClaimSource {
    fn value(&self, known: &BTreeMap<String, Value>, person: About<'_>) -> Option<Value> {
        match self {
            Self::Copy { claim } => known.get(claim).filter(|value| is_scalar(value)).cloned(),
            Self::Mark {
                group,
                upstream,
                value,
            } => {
                let in_group = |name: &String| person.profile.groups.contains(name);
                let fits = group.as_ref().is_none_or(in_group)
                    && upstream.as_ref().is_none_or(|id| id == person.upstream)
                    // The configuration refuses one that says nothing of for whom; a row that says so marks nobody.
                    && (group.is_some() || upstream.is_some());
                fits.then(|| match value {
                    ClaimValue::Text(text) => text.as_str().into(),
                    ClaimValue::Number(number) => (*number).into(),
                })
            }
        }
    }
}

/// Whether who cannot read a list can read this.
const fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}

/// What an upstream has verified, and its verdict, which is about the value that it gave and stands beside no other.
const VERDICTS: [(&str, &str); 2] = [
    ("email", "email_verified"),
    ("phone_number", "phone_number_verified"),
];

/// The verdicts that are not about a client's own values, but about `theirs`.
fn verdicts_of_others(
    own: &BTreeMap<String, Value>,
    theirs: &BTreeMap<String, Value>,
) -> Vec<&'static str> {
    let another = |value: &str| {
        own.get(value)
            .is_some_and(|own| theirs.get(value) != Some(own))
    };
    let others = VERDICTS.iter().filter(|(value, _)| another(value));
    others.map(|(_, verdict)| *verdict).collect()
}

/// The claims that scopes opened, with a client's own in their place.
pub fn lay_over(
    mut opened: BTreeMap<String, Value>,
    own: BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    for verdict in verdicts_of_others(&own, &opened) {
        opened.remove(verdict);
    }
    opened.extend(own);
    opened
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What this one claim says about somebody with `profile` who has logged in at `upstream`.
    fn told(source: Value, profile: Value, upstream: &str) -> Option<Value> {
        let claims = ClientClaims(BTreeMap::from([(
            "x".to_owned(),
            serde_json::from_value(source).unwrap(),
        )]));
        let profile: Profile = serde_json::from_value(profile).unwrap();
        let upstream = UpstreamId::new(upstream);
        let person = About {
            subject: &Subject::new("the-subject"),
            profile: &profile,
            upstream: &upstream,
        };
        claims.about(person).remove("x")
    }

    #[test]
    fn a_copy_is_one_value_or_nothing() {
        let profile = json!({
            "email": "jo@example.org", "email_verified": true, "groups": ["Staff"],
            "member_id": "20457", "office": 7, "list": ["1"], "table": {}, "nothing": null, "sub": "somebody else",
        });
        for (claim, value) in [
            ("sub", Some(json!("the-subject"))),
            ("email", Some(json!("jo@example.org"))),
            ("email_verified", Some(json!(true))),
            ("member_id", Some(json!("20457"))),
            ("office", Some(json!(7))),
            ("name", None),
            ("groups", None),
            ("list", None),
            ("table", None),
            ("nothing", None),
            ("unheard_of", None),
        ] {
            let source = json!({ "claim": claim });
            assert_eq!(told(source, profile.clone(), "a"), value, "{claim}");
        }
    }

    #[test]
    fn a_mark_is_for_those_whom_all_of_it_names() {
        for (source, groups, upstream, marked) in [
            (
                json!({ "group": "Staff" }),
                json!(["All", "Staff"]),
                "a",
                true,
            ),
            (
                json!({ "group": "Staff" }),
                json!(["staff", "Staff2"]),
                "a",
                false,
            ),
            (json!({ "group": "Staff" }), json!([]), "a", false),
            (json!({ "upstream": "a" }), json!([]), "a", true),
            (json!({ "upstream": "a" }), json!([]), "b", false),
            // A group of the same name elsewhere is another group.
            (
                json!({ "group": "Staff", "upstream": "a" }),
                json!(["Staff"]),
                "a",
                true,
            ),
            (
                json!({ "group": "Staff", "upstream": "a" }),
                json!(["Staff"]),
                "b",
                false,
            ),
            (
                json!({ "group": "Staff", "upstream": "a" }),
                json!([]),
                "a",
                false,
            ),
            // A row that says nothing of for whom.
            (json!({}), json!(["Staff"]), "a", false),
        ] {
            for value in [json!("1"), json!(1)] {
                let mut source = source.clone();
                source["value"] = value.clone();
                let profile = json!({ "groups": groups });
                let expected = marked.then_some(value);
                assert_eq!(
                    told(source.clone(), profile, upstream),
                    expected,
                    "{source}"
                );
            }
        }
    }

    /// A verdict on one address must not stand beside another.
    #[test]
    fn a_client_claim_stands_in_the_place_of_the_scopes() {
        let claims =
            |value: Value| serde_json::from_value::<BTreeMap<String, Value>>(value).unwrap();
        let opened =
            claims(json!({ "name": "Jo", "email": "a@example.org", "email_verified": true }));
        for (own, expected) in [
            (
                json!({}),
                json!({ "name": "Jo", "email": "a@example.org", "email_verified": true }),
            ),
            (
                json!({ "email": "a@example.org", "staff": "1" }),
                json!({ "name": "Jo", "email": "a@example.org", "email_verified": true, "staff": "1" }),
            ),
            (
                json!({ "email": "b@example.org", "name": "JSMITH" }),
                json!({ "name": "JSMITH", "email": "b@example.org" }),
            ),
        ] {
            assert_eq!(lay_over(opened.clone(), claims(own)), claims(expected));
        }
    }

    /// Apps find accounts by what was verified.
    #[test]
    fn a_verdict_stands_beside_no_other_value() {
        let profile = json!({
            "email": "jo@example.org", "email_verified": true,
            "phone_number": "+1 555 0100", "phone_number_verified": true,
            "alternative": "ceo@bank.example", "mobile": "+1 555 0199",
        });
        let profile: Profile = serde_json::from_value(profile).unwrap();
        let (upstream, subject) = (UpstreamId::new("members"), Subject::new("s".to_owned()));
        let about = |claims: Value| {
            let claims: ClientClaims = serde_json::from_value(claims).unwrap();
            claims.about(About {
                subject: &subject,
                profile: &profile,
                upstream: &upstream,
            })
        };
        for (value, verdict, other) in [
            ("email", "email_verified", "alternative"),
            ("phone_number", "phone_number_verified", "mobile"),
        ] {
            let of =
                |source: &str| json!({ value: { "claim": source }, verdict: { "claim": verdict } });
            let told = about(of(other));
            assert!(told.contains_key(value), "{told:?}");
            assert!(!told.contains_key(verdict), "{told:?}");
            assert_eq!(about(of(value))[verdict], true);
            let opened = profile.claims();
            let told = lay_over(opened, about(json!({ value: { "claim": other } })));
            assert!(!told.contains_key(verdict), "{told:?}");
        }
    }
}
