//! What a person agreed to, for one client.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::UnixTime;
use crate::protocol::ids::{AccountId, ClientId};
use crate::protocol::scope::Scope;

/// A remembered consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The person.
    pub account_id: AccountId,
    /// The client.
    pub client_id: ClientId,
    /// Everything agreed to so far where the client named no resource.
    pub scope: Scope,
    /// Everything agreed to so far for each resource that it named.
    pub resources: BTreeMap<String, Scope>,
    /// The single claims agreed to besides, by name.
    pub claims: BTreeSet<String>,
    /// When it was last widened.
    pub granted_at: UnixTime,
}

impl Consent {
    /// The consent to `scope` at each of `resources`, or at none in particular.
    pub fn to(
        account_id: AccountId,
        client_id: ClientId,
        scope: Scope,
        resources: &[String],
        granted_at: UnixTime,
    ) -> Self {
        let named = resources.iter();
        Self {
            account_id,
            client_id,
            claims: BTreeSet::new(),
            resources: named.map(|each| (each.clone(), scope.clone())).collect(),
            scope: if resources.is_empty() {
                scope
            } else {
                Scope::default()
            },
            granted_at,
        }
    }

    /// Whether `scope` was agreed to at each of `resources`: what may be read at one API may not be read at another.
    pub fn covers(&self, scope: &Scope, resources: &[String]) -> bool {
        if resources.is_empty() {
            return scope.is_within(&self.scope);
        }
        let agreed = |resource: &String| self.resources.get(resource);
        resources
            .iter()
            .all(|resource| agreed(resource).is_some_and(|agreed| scope.is_within(agreed)))
    }

    /// The scopes agreed to anywhere.
    pub fn everything(&self) -> Scope {
        let at_resources = self.resources.values();
        at_resources.fold(self.scope.clone(), |all, scope| all.joined_with(scope))
    }

    /// Adds what `later` agrees to. Whether that is more than before.
    pub fn widen(&mut self, later: &Self) -> bool {
        let before = self.clone();
        self.scope = self.scope.joined_with(&later.scope);
        for (resource, scope) in &later.resources {
            let known = self.resources.entry(resource.clone()).or_default();
            *known = known.joined_with(scope);
        }
        self.claims.extend(later.claims.iter().cloned());
        before != *self
    }
}
