//! Which scope opens which claims: those of OpenID Connect Core section 5.4, ours, and those of the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::protocol::claims::{Profile, standard_scope_of};
use crate::protocol::locale::Locale;
use crate::protocol::scope::{self, Scope};

/// A scope that the configuration makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnScope {
    /// What apps ask for.
    pub name: String,
    /// What the consent page says that the app would like to do, by the tag of the language.
    pub description: BTreeMap<&'static str, String>,
    /// The claims that it opens.
    pub claims: BTreeSet<String>,
}

/// The scopes that open claims. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Scopes(Arc<Vec<OwnScope>>);

impl Scopes {
    /// Takes those of the configuration.
    pub fn new(own: Vec<OwnScope>) -> Self {
        Self(Arc::new(own))
    }

    /// Whether `granted` opens `claim`. A claim that no specification puts into a scope is opened by the configuration's; one that
    /// nobody puts anywhere is part of the profile.
    pub fn open(&self, granted: &Scope, claim: &str) -> bool {
        let own = || self.0.iter().filter(|each| each.claims.contains(claim));
        if own().any(|each| granted.contains(&each.name)) {
            return true;
        }
        match standard_scope_of(claim) {
            Some(standard) => granted.contains(standard),
            None => granted.contains(scope::PROFILE) && own().next().is_none(),
        }
    }

    /// The claims of `profile` that `granted` opens.
    pub fn within(&self, profile: &Profile, granted: &Scope) -> BTreeMap<String, Value> {
        let opened = profile.said().filter(|(name, _)| self.open(granted, name));
        let opened = opened.map(|(name, said)| (name.to_owned(), said.into()));
        let mut claims: BTreeMap<String, Value> = opened.collect();
        if !claims.contains_key("email") {
            // A verdict without its address says nothing.
            claims.remove("email_verified");
        }
        claims
    }

    /// The description of a scope, in the language or else in English.
    pub fn describe(&self, name: &str, locale: Locale) -> Option<&str> {
        let own = self.0.iter().find(|each| each.name == name)?;
        locale.choose(&own.description)
    }

    /// The names of the configuration's, in its order.
    pub fn own(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|each| each.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn profile() -> Profile {
        serde_json::from_value(json!({
            "name": "Jo", "nickname": "J", "email": "jo@example.org", "email_verified": true,
            "groups": ["Board"], "member_id": "7", "phone_number": "+1 555 0100",
            "address": { "country": "CA" }, "office": 3, "points": 12,
        }))
        .unwrap()
    }

    /// Core section 5.4, a row a scope.
    #[test]
    fn each_scope_opens_its_claims_and_no_others() {
        let scopes = Scopes::new(vec![
            OwnScope {
                name: "training".to_owned(),
                claims: ["points", "phone_number"].map(str::to_owned).into(),
                ..OwnScope::default()
            },
            OwnScope::default(),
        ]);
        for (granted, opened) in [
            ("", vec![]),
            ("openid offline_access", vec![]),
            ("profile", vec!["name", "nickname", "office"]),
            ("email", vec!["email", "email_verified"]),
            ("address", vec!["address"]),
            ("phone", vec!["phone_number"]),
            ("groups", vec!["groups"]),
            ("membership", vec!["member_id"]),
            ("training", vec!["phone_number", "points"]),
            (
                "email phone",
                vec!["email", "email_verified", "phone_number"],
            ),
        ] {
            let granted = Scope::parse(granted).unwrap();
            let claims = scopes.within(&profile(), &granted);
            let names: Vec<&str> = claims.keys().map(String::as_str).collect();
            assert_eq!(names, opened, "{granted}");
        }
        let without = Profile {
            email: None,
            ..profile()
        };
        let granted = Scope::parse("email").unwrap();
        assert!(scopes.within(&without, &granted).is_empty());
    }
}
