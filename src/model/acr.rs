//! What a login proves (`acr`, OpenID Connect Core section 2), and what a request wants it to prove (Core sections 3.1.2.1 and
//! 5.5.1.1, RFC 9470 section 4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::protocol::authorize::AuthorizationRequest;
use crate::protocol::ids::UpstreamId;

use super::client::Client;

/// What logins at one upstream prove, in the administrator's words: nothing unless they say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcrPolicy {
    /// Every login there, unless the upstream says more.
    pub every: Option<String>,
    /// What the upstream is believed when it says so itself.
    pub believed: Vec<String>,
}

impl AcrPolicy {
    /// What a login proves of which the upstream has said `told`.
    pub fn proven(&self, told: Option<&str>) -> Option<String> {
        let told = told.filter(|told| self.believed.iter().any(|each| each == told));
        told.map(ToOwned::to_owned).or_else(|| self.every.clone())
    }

    /// What a login may prove.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.every.iter().chain(&self.believed).map(String::as_str)
    }
}

/// What logins prove, by the upstream. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AcrPolicies(Arc<BTreeMap<UpstreamId, AcrPolicy>>);

impl AcrPolicies {
    /// Takes the policies.
    pub fn new(policies: BTreeMap<UpstreamId, AcrPolicy>) -> Self {
        Self(Arc::new(policies))
    }

    /// What a login at `upstream` proves.
    pub fn proven(&self, upstream: &UpstreamId, told: Option<&str>) -> Option<String> {
        self.0.get(upstream)?.proven(told)
    }

    /// Whether a login at `upstream` may prove what is wanted.
    pub fn may_satisfy(&self, upstream: &UpstreamId, wanted: &WantedAcr) -> bool {
        let policy = self.0.get(upstream);
        policy.is_some_and(|policy| policy.values().any(|value| wanted.is_met_by(Some(value))))
    }

    /// Whether some login that counts at `client` may prove what is wanted.
    pub fn are_within_reach(&self, client: &Client, wanted: &WantedAcr) -> bool {
        let mut upstreams = self.0.keys();
        upstreams.any(|id| client.allows_upstream(id) && self.may_satisfy(id, wanted))
    }

    /// Everything that some login may prove, for discovery.
    pub fn all(&self) -> BTreeSet<String> {
        let values = self.0.values().flat_map(AcrPolicy::values);
        values.map(ToOwned::to_owned).collect()
    }
}

/// What a request wants the login to prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedAcr {
    /// One of these; anything when empty.
    values: Vec<String>,
    /// Whether nothing less will do.
    pub essential: bool,
}

impl WantedAcr {
    /// What `request` wants, if it does: the claim `acr` of the ID token before `acr_values`, since it can be essential.
    pub fn of(request: &AuthorizationRequest) -> Option<Self> {
        let claim = request.claims.id_token.get("acr");
        let named = claim.map(|claim| {
            // One that is no text is met by nothing, and is not to be taken for none.
            let text = |value: &Value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            };
            Self {
                values: claim.values.iter().map(text).collect(),
                essential: claim.essential,
            }
        });
        let named = named.filter(|wanted| wanted.essential || !wanted.values.is_empty());
        named.or_else(|| {
            (!request.acr_values.is_empty()).then(|| Self {
                values: request.acr_values.clone(),
                essential: false,
            })
        })
    }

    /// Whether a login that proves `acr` will do.
    pub fn is_met_by(&self, acr: Option<&str>) -> bool {
        acr.is_some_and(|acr| self.values.is_empty() || self.values.iter().any(|each| each == acr))
    }

    /// The values that will do, the best first.
    pub fn values(&self) -> &[String] {
        &self.values
    }
}
