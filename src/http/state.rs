//! What handlers can ask for. Each takes the handles it uses, not the whole.

use std::sync::Arc;

use axum::extract::FromRef;
use ipnet::IpNet;

use crate::beside::UnderWay;
use crate::fetch::Logos;
use crate::flow::Flow;
use crate::gateway::Gateway;
use crate::grants::Grants;
use crate::keys::Secrets;
use crate::protocol::ids::ClientId;
use crate::protocol::issuer::Issuer;
use crate::registrar::Registrar;
use crate::store::Store;
use crate::telemetry::{Audit, Metrics};
use crate::tokens::Mint;
use crate::tokens::possession::Possession;
use crate::tokens::standing::AccessTokens;

pub use crate::upstream::Upstreams;

use super::brand::BrandPages;
use super::cookies::CookieNames;
use super::discovery::Discovery;

/// The handles. Cheap to clone: every layer and every extractor takes a copy of its own with every request.
#[derive(Clone)]
pub struct HttpState(Arc<Handles>);

/// The handles, and for each the way to have only that one.
macro_rules! handles {
    ($($name:ident: $handle:ty,)*) => {
        struct Handles {
            $($name: $handle,)*
        }

        $(impl FromRef<HttpState> for $handle {
            fn from_ref(state: &HttpState) -> Self {
                state.0.$name.clone()
            }
        })*
    };
}

handles! {
    flow: Flow,
    grants: Grants,
    mint: Mint,
    access_tokens: AccessTokens,
    store: Store,
    secrets: Secrets,
    issuer: Issuer,
    upstreams: Upstreams,
    cookie_names: CookieNames,
    discovery: Discovery,
    gateway: Gateway,
    registrar: Registrar,
    possession: Possession,
    metrics: Metrics,
    brand: Arc<BrandPages>,
    logos: Logos,
    audit: Audit,
    settings: Arc<Settings>,
    under_way: UnderWay,
}

/// What the web room needs to be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the organization looks like on pages.
    pub brand: Arc<BrandPages>,
    /// How long a login page stays good, in seconds.
    pub flow_lifetime: i64,
    /// How pushed authorization requests are taken.
    pub par: ParPolicy,
    /// Whose `X-Forwarded-For` is believed (T56).
    pub trusted_proxies: Vec<IpNet>,
    /// The clients of the files that begin logins themselves.
    pub initiating: Vec<ClientId>,
}

/// How pushed authorization requests are taken (RFC 9126).
#[derive(Clone, Copy, Debug)]
pub struct ParPolicy {
    /// Whether every client must push.
    pub required: bool,
    /// Seconds that a pushed request waits for a browser.
    pub lifetime: i64,
}

/// What [`HttpState::new`] is made of.
pub struct HttpParts {
    /// The steps of a login.
    pub flow: Flow,
    /// The token endpoint's grants.
    pub grants: Grants,
    /// The tokens.
    pub mint: Mint,
    /// What stands behind access tokens.
    pub access_tokens: AccessTokens,
    /// The discovery document.
    pub discovery: Discovery,
    /// The issuer.
    pub issuer: Issuer,
    /// Where people log in.
    pub upstreams: Upstreams,
    /// The upstreams' APIs.
    pub gateway: Gateway,
    /// Clients that register themselves.
    pub registrar: Registrar,
    /// Proofs of possession.
    pub possession: Possession,
    /// The logos of apps.
    pub logos: Logos,
    /// The rest.
    pub settings: Settings,
}

impl HttpState {
    /// Puts the handles together.
    pub fn new(parts: HttpParts) -> Self {
        Self(Arc::new(Handles {
            store: parts.flow.store.clone(),
            secrets: parts.flow.secrets.clone(),
            metrics: parts.flow.metrics.clone(),
            audit: parts.flow.audit.clone(),
            cookie_names: CookieNames::new(parts.issuer.is_https()),
            flow: parts.flow,
            grants: parts.grants,
            mint: parts.mint,
            access_tokens: parts.access_tokens,
            discovery: parts.discovery,
            issuer: parts.issuer,
            upstreams: parts.upstreams,
            gateway: parts.gateway,
            registrar: parts.registrar,
            possession: parts.possession,
            logos: parts.logos,
            brand: Arc::clone(&parts.settings.brand),
            settings: Arc::new(parts.settings),
            under_way: UnderWay::default(),
        }))
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn audit(&self) -> &Audit {
        &self.0.audit
    }

    pub(super) fn under_way(&self) -> &UnderWay {
        &self.0.under_way
    }

    pub(super) fn registration_is_on(&self) -> bool {
        self.0.registrar.is_on()
    }

    pub(super) fn brand(&self) -> Arc<BrandPages> {
        Arc::clone(&self.0.brand)
    }

    pub(super) fn cookie_names(&self) -> CookieNames {
        self.0.cookie_names
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.cookie_names.are_secure()
    }
}
