//! Clients that register themselves (RFC 7591, OpenID Connect Dynamic Registration 1.0): what the administrator allows, what
//! becomes of a request, and what is kept of it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::clock::UnixTime;
use crate::protocol::client_assertion::AssertionAlgorithm;
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::client_metadata::ClientMetadata;
use crate::protocol::client_metadata::rules::{
    self, ApplicationType, Fault, Grants, Keys, Objects, Rule,
};
use crate::protocol::ids::{ClientId, UpstreamId};
use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::redirect_uri::RedirectUri;
use crate::protocol::request_object::RequestObjectAlgorithm;
use crate::protocol::response::ResponseType;
use crate::protocol::scope::{self, Scope};
use crate::protocol::token::GrantType;

use super::client::{Client, ConsentPolicy, SubjectType};
use super::client_about::ClientAbout;
use super::client_logout::ClientLogout;

/// Who may register a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistrationMode {
    /// Nobody: the endpoint is not there.
    #[default]
    Off,
    /// Anybody.
    Open,
    /// Who has a token that an administrator made.
    InitialAccessToken,
}

impl RegistrationMode {
    /// The mode as the config says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Open => "open",
            Self::InitialAccessToken => "initial_access_token",
        }
    }
}

/// What clients that register themselves may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationPolicy {
    /// Who may register one.
    pub mode: RegistrationMode,
    /// The hosts that their addresses must belong to, or be below; any when empty.
    pub redirect_hosts: Vec<String>,
    /// The most that one may ask for.
    pub scope: Scope,
    /// The grants that one may have.
    pub grant_types: BTreeSet<GrantType>,
    /// How one may prove who it is.
    pub token_endpoint_auth_methods: Vec<ClientAuthMethod>,
    /// Whether their assertions may be meant for the token endpoint's address instead of the issuer.
    pub allow_token_endpoint_audience: bool,
    /// The upstreams whose people may use one.
    pub upstreams: BTreeSet<UpstreamId>,
    /// When people are asked.
    pub consent: ConsentPolicy,
    /// How many there may be.
    pub max_clients: i64,
    /// How many registrations and changes may come from one address within an hour.
    pub max_per_address: i64,
    /// How long one that logs nobody in is kept, in seconds; for ever when `None`.
    pub unused: Option<i64>,
    /// Whether what one names may be fetched from the hosts that the administrator has opened.
    pub fetch_allowed_hosts: bool,
    /// Whether pages show the logos that they name.
    pub show_logos: bool,
    /// The algorithms that there are keys for, the default first.
    pub algorithms: Vec<SigningAlgorithm>,
}

impl RegistrationPolicy {
    /// Whether anybody may register a client.
    pub fn is_on(&self) -> bool {
        self.mode != RegistrationMode::Off
    }

    /// The answers that a client may be registered for.
    pub fn response_types(&self) -> BTreeSet<ResponseType> {
        let allowed = |each: &ResponseType| {
            each.grants()
                .iter()
                .all(|grant| self.grant_types.contains(grant))
        };
        ResponseType::ALL.into_iter().filter(allowed).collect()
    }

    /// The client that `metadata` asks to be, as far as this policy lets it. With any fault there is none. `sector` is the
    /// host that its `sector_identifier_uri` has proven, if it has one.
    ///
    /// What is not named here has its default, whatever was sent (T18).
    pub fn admit(
        &self,
        client_id: ClientId,
        metadata: ClientMetadata,
        faults: &mut Vec<Fault>,
    ) -> Client {
        let grant_types = grants(&metadata);
        let method = metadata.token_endpoint_auth_method.unwrap_or_default();
        let looked_at = Grants {
            method,
            grant_types: &grant_types,
            response_types: metadata.response_types.as_deref(),
            has_redirect_uris: !metadata.redirect_uris.is_empty(),
            dpop_bound: metadata.dpop_bound_access_tokens,
        };
        faults.extend(looked_at.faults());
        let keys = Keys {
            method,
            algorithm: metadata.token_endpoint_auth_signing_alg,
            places: usize::from(metadata.has_jwks) + usize::from(metadata.jwks_uri.is_some()),
            jwks: metadata.jwks.as_ref(),
            jwks_uri: metadata.jwks_uri.as_deref(),
        };
        faults.extend(keys.faults());
        let objects = Objects {
            algorithm: metadata.request_object_signing_alg,
            required: metadata.require_signed_request_object,
            request_uris: &metadata.request_uris,
            has_keys: keys.places > 0,
            jwks: keys.jwks,
        };
        faults.extend(objects.faults());
        let response_types = looked_at.answers();
        self.refuse_grants(&grant_types, method, faults);
        let redirect_uris = self.redirect_uris(&metadata, &response_types, faults);
        let post_logout_redirect_uris = self.post_logout_redirect_uris(&metadata, faults);
        self.check_logout(&metadata, &redirect_uris, faults);
        let scope = self.scope(
            metadata.scope.as_deref(),
            &grant_types,
            &response_types,
            faults,
        );
        check_texts(&metadata, faults);
        let initiated = metadata.initiate_login_uri.as_deref();
        self.refuse_hosts("initiate_login_uri", initiated, faults);
        self.refuse_algorithms(&metadata, faults);
        let algorithm = self.id_token_algorithm(&metadata);
        let subject_type = subject_type(&metadata, &redirect_uris, &grant_types, faults);
        let application_type = ApplicationType::settle(metadata.application_type, &redirect_uris);
        let mut localized = metadata.texts;
        Client {
            registered: true,
            client_name: localized.remove("client_name"),
            client_uri: localized.remove("client_uri"),
            initiate_login_uri: metadata.initiate_login_uri,
            token_endpoint_auth_method: method,
            redirect_uris,
            post_logout_redirect_uris,
            grant_types,
            response_types,
            scope,
            default_max_age: metadata.default_max_age,
            id_token_signed_response_alg: algorithm,
            userinfo_signed_response_alg: metadata.userinfo_signed_response_alg,
            introspection_signed_response_alg: metadata.introspection_signed_response_alg,
            upstreams: Some(self.upstreams.clone()),
            consent: self.consent,
            require_pkce: method == ClientAuthMethod::None,
            token_endpoint_auth_signing_alg: metadata.token_endpoint_auth_signing_alg,
            allow_token_endpoint_audience: self.allow_token_endpoint_audience,
            jwks: metadata.jwks,
            jwks_uri: metadata.jwks_uri,
            request_object_signing_alg: metadata.request_object_signing_alg,
            require_signed_request_object: metadata.require_signed_request_object,
            request_uris: metadata.request_uris,
            dpop_bound_access_tokens: metadata.dpop_bound_access_tokens,
            require_pushed_authorization_requests: metadata.require_pushed_authorization_requests,
            subject_type,
            logout: ClientLogout {
                backchannel_logout_uri: metadata.backchannel_logout_uri,
                backchannel_logout_session_required: metadata.backchannel_logout_session_required,
                frontchannel_logout_uri: metadata.frontchannel_logout_uri,
                frontchannel_logout_session_required: metadata.frontchannel_logout_session_required,
            },
            about: ClientAbout {
                application_type: Some(application_type),
                contacts: metadata.contacts,
                logo_uri: localized.remove("logo_uri"),
                policy_uri: localized.remove("policy_uri"),
                tos_uri: localized.remove("tos_uri"),
                localized,
                software_id: metadata.software_id,
                software_version: metadata.software_version,
                sector_identifier_uri: metadata.sector_identifier_uri,
                require_auth_time: metadata.require_auth_time,
                default_acr_values: metadata.default_acr_values,
            },
            ..Client::new(client_id)
        }
    }

    fn refuse_grants(
        &self,
        grants: &BTreeSet<GrantType>,
        method: ClientAuthMethod,
        faults: &mut Vec<Fault>,
    ) {
        for grant in grants.difference(&self.grant_types) {
            let rule = Rule::NotAllowed(grant.as_str().to_owned());
            faults.push(Fault::new("grant_types", rule));
        }
        if !self.token_endpoint_auth_methods.contains(&method) {
            let rule = Rule::NotAllowed(method.as_str().to_owned());
            faults.push(Fault::new("token_endpoint_auth_method", rule));
        }
    }

    fn redirect_uris(
        &self,
        metadata: &ClientMetadata,
        answers: &BTreeSet<ResponseType>,
        faults: &mut Vec<Fault>,
    ) -> Vec<RedirectUri> {
        let uris = rules::uris("redirect_uris", &metadata.redirect_uris, faults);
        let kind = ApplicationType::settle(metadata.application_type, &uris);
        let in_the_browser = answers
            .iter()
            .any(|each| rules::comes_by_the_browser(*each));
        rules::application_type(kind, in_the_browser, &metadata.redirect_uris, faults);
        self.refuse_hosts(
            "redirect_uris",
            uris.iter().map(RedirectUri::as_str),
            faults,
        );
        uris
    }

    fn post_logout_redirect_uris(
        &self,
        metadata: &ClientMetadata,
        faults: &mut Vec<Fault>,
    ) -> Vec<RedirectUri> {
        let (field, written) = (
            "post_logout_redirect_uris",
            &metadata.post_logout_redirect_uris,
        );
        let uris = rules::uris(field, written, faults);
        self.refuse_hosts(field, uris.iter().map(RedirectUri::as_str), faults);
        uris
    }

    fn check_logout(
        &self,
        metadata: &ClientMetadata,
        redirect_uris: &[RedirectUri],
        faults: &mut Vec<Fault>,
    ) {
        let backchannel = metadata.backchannel_logout_uri.as_deref();
        let frontchannel = metadata.frontchannel_logout_uri.as_deref();
        rules::logout(backchannel, frontchannel, redirect_uris, faults);
        // The browser's has the host of an address that was looked at already.
        self.refuse_hosts("backchannel_logout_uri", backchannel, faults);
    }

    fn refuse_hosts<'a>(
        &self,
        field: &str,
        uris: impl IntoIterator<Item = &'a str>,
        faults: &mut Vec<Fault>,
    ) {
        for uri in uris.into_iter().filter(|uri| !self.allows_host(uri)) {
            let owner = rules::owner(uri).unwrap_or_default();
            let rule = Rule::NotAllowed(format!("the host {owner}"));
            faults.push(Fault::new(field, rule));
        }
    }

    /// What it asked for, as far as it may have it: RFC 7591 section 2 lets the server choose, and the answer tells.
    fn scope(
        &self,
        written: Option<&str>,
        grants: &BTreeSet<GrantType>,
        answers: &BTreeSet<ResponseType>,
        faults: &mut Vec<Fault>,
    ) -> Scope {
        let Some(text) = written else {
            let scope = self.scope.clone();
            return if grants.contains(&GrantType::RefreshToken) {
                scope
            } else {
                scope.without(scope::OFFLINE_ACCESS)
            };
        };
        let before = faults.len();
        let asked = Scope::parse(text).unwrap_or_default();
        let allowed = asked.narrowed_to(&self.scope);
        if allowed.is_empty() && !asked.is_empty() {
            let rule = Rule::NotOneOf(self.scope.to_string());
            faults.push(Fault::new("scope", rule));
        }
        rules::scope(text, grants, answers, faults);
        if faults.len() > before {
            asked
        } else {
            allowed
        }
    }

    /// The algorithm of its ID tokens: the default of the specification, where there is a key for it.
    fn id_token_algorithm(&self, metadata: &ClientMetadata) -> SigningAlgorithm {
        let default = SigningAlgorithm::default();
        let first = self.algorithms.first().copied().unwrap_or_default();
        let has_default = self.algorithms.contains(&default);
        let written = metadata.id_token_signed_response_alg;
        written.unwrap_or(if has_default { default } else { first })
    }

    /// Nothing is signed with an algorithm that there is no key for.
    fn refuse_algorithms(&self, metadata: &ClientMetadata, faults: &mut Vec<Fault>) {
        for (field, written) in [
            (
                "id_token_signed_response_alg",
                metadata.id_token_signed_response_alg,
            ),
            (
                "userinfo_signed_response_alg",
                metadata.userinfo_signed_response_alg,
            ),
            (
                "introspection_signed_response_alg",
                metadata.introspection_signed_response_alg,
            ),
        ] {
            if written.is_some_and(|algorithm| !self.algorithms.contains(&algorithm)) {
                let names = self.algorithms.iter().map(|each| each.as_str());
                let rule = Rule::NotOneOf(names.collect::<Vec<_>>().join(", "));
                faults.push(Fault::new(field, rule));
            }
        }
    }
}

/// The grants that it asks for; those that its response types need, where it does not say.
fn grants(metadata: &ClientMetadata) -> BTreeSet<GrantType> {
    metadata.grant_types.clone().unwrap_or_else(|| {
        let types = metadata.response_types.iter().flatten();
        let needed: BTreeSet<GrantType> = types
            .flat_map(|each| each.grants().iter().copied())
            .collect();
        if needed.is_empty() {
            BTreeSet::from([GrantType::AuthorizationCode])
        } else {
            needed
        }
    })
}

fn check_texts(metadata: &ClientMetadata, faults: &mut Vec<Fault>) {
    for (field, text) in &metadata.texts {
        if field.split('#').next() == Some("client_name") {
            faults.extend(rules::label(text).map(|rule| Fault::new(field, rule)));
        } else {
            rules::page(field, text, faults);
        }
    }
    if let Some(uri) = &metadata.initiate_login_uri {
        rules::https_page("initiate_login_uri", uri, faults);
    }
    let sector = metadata.sector_identifier_uri.as_deref();
    if sector.is_some_and(|uri| !rules::is_fetched(uri)) {
        faults.push(Fault::new("sector_identifier_uri", Rule::NotFetched));
    }
    if metadata.default_max_age.is_some_and(|age| age < 0) {
        faults.push(Fault::new("default_max_age", Rule::Negative));
    }
}

fn subject_type(
    metadata: &ClientMetadata,
    redirect_uris: &[RedirectUri],
    grants: &BTreeSet<GrantType>,
    faults: &mut Vec<Fault>,
) -> SubjectType {
    if !metadata.pairwise {
        return SubjectType::Public;
    }
    // Tokens of that grant go to no address, so that nothing would prove that the client belongs to the sector.
    if grants.contains(&GrantType::DeviceCode) {
        let text = "cannot be pairwise with the device grant: no address proves the sector";
        faults.push(Fault::new("subject_type", Rule::Sector(text.to_owned())));
    }
    // OpenID Connect Core section 8.1: where there is a sector_identifier_uri, its host is the sector.
    let named = metadata.sector_identifier_uri.as_deref();
    let sector = match named.and_then(rules::host) {
        Some(host) => host,
        None => match rules::sector(redirect_uris, grants) {
            Ok(host) => host.unwrap_or_default(),
            Err(rule) => {
                faults.push(Fault::new("sector_identifier_uri", rule));
                String::new()
            }
        },
    };
    SubjectType::Pairwise { sector }
}

/// What is registered, as RFC 7591 section 3.2.1 has it told: all of it, what the server chose included. Of what a policy
/// withholds nothing: it is not so any more (RFC 7592 section 3).
pub fn metadata_of(client: &Client) -> Map<String, Value> {
    let about = &client.about;
    let uris = |uris: &[RedirectUri]| json!(uris);
    let mut told = Map::new();
    let mut tell = |name: &str, value: Value| {
        let is_nothing = match &value {
            Value::Null => true,
            // OpenID Connect Dynamic Registration section 4.3: what has no elements is left out.
            Value::Array(elements) => elements.is_empty(),
            _ => false,
        };
        if !is_nothing {
            told.insert(name.to_owned(), value);
        }
    };
    tell("client_name", json!(client.client_name));
    tell("client_uri", json!(client.client_uri));
    tell("logo_uri", json!(about.logo_uri));
    tell("policy_uri", json!(about.policy_uri));
    tell("tos_uri", json!(about.tos_uri));
    for (name, text) in &about.localized {
        tell(name, json!(text));
    }
    tell("contacts", json!(about.contacts));
    tell(
        "application_type",
        json!(about.application_type.map(ApplicationType::as_str)),
    );
    tell("redirect_uris", uris(&client.redirect_uris));
    tell(
        "post_logout_redirect_uris",
        uris(&client.post_logout_redirect_uris),
    );
    tell(
        "token_endpoint_auth_method",
        json!(client.token_endpoint_auth_method.as_str()),
    );
    let algorithm = client.token_endpoint_auth_signing_alg;
    let algorithm = algorithm.map(AssertionAlgorithm::as_str);
    tell("token_endpoint_auth_signing_alg", json!(algorithm));
    tell("jwks", json!(client.jwks));
    tell("jwks_uri", json!(client.jwks_uri));
    let algorithm = client.request_object_signing_alg;
    let algorithm = algorithm.map(RequestObjectAlgorithm::as_str);
    tell("request_object_signing_alg", json!(algorithm));
    tell("request_uris", json!(client.request_uris));
    for name in flags(client) {
        tell(name, json!(true));
    }
    for (name, value) in logout_metadata(&client.logout) {
        tell(name, value);
    }
    let grants = client.grant_types.iter().map(|grant| grant.as_str());
    let grants: Vec<&str> = grants.collect();
    let types = client.response_types.iter().map(|each| each.as_str());
    let types: Vec<&str> = types.collect();
    if !client.scope.is_empty() {
        tell("scope", json!(client.scope.to_string()));
    }
    tell("initiate_login_uri", json!(client.initiate_login_uri));
    tell("default_max_age", json!(client.default_max_age));
    if about.require_auth_time {
        tell("require_auth_time", json!(true));
    }
    tell("default_acr_values", json!(about.default_acr_values));
    tell(
        "id_token_signed_response_alg",
        json!(client.id_token_signed_response_alg.as_str()),
    );
    for (name, algorithm) in [
        (
            "userinfo_signed_response_alg",
            client.userinfo_signed_response_alg,
        ),
        (
            "introspection_signed_response_alg",
            client.introspection_signed_response_alg,
        ),
    ] {
        tell(name, json!(algorithm.map(SigningAlgorithm::as_str)));
    }
    let subject_type = match client.subject_type {
        SubjectType::Public => "public",
        SubjectType::Pairwise { .. } => "pairwise",
    };
    tell("subject_type", json!(subject_type));
    tell("sector_identifier_uri", json!(about.sector_identifier_uri));
    tell("software_id", json!(about.software_id));
    tell("software_version", json!(about.software_version));
    // Said though they be empty: what is left out means `authorization_code` and `code` (RFC 7591 section 2).
    told.insert("grant_types".to_owned(), json!(grants));
    told.insert("response_types".to_owned(), json!(types));
    told
}

/// The flags that are set.
fn flags(client: &Client) -> impl Iterator<Item = &'static str> {
    let all = [
        (
            "require_signed_request_object",
            client.require_signed_request_object,
        ),
        ("dpop_bound_access_tokens", client.dpop_bound_access_tokens),
        (
            "require_pushed_authorization_requests",
            client.require_pushed_authorization_requests,
        ),
    ];
    all.into_iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| name)
}

/// How the client hears of logouts; a flag that is not set is not told.
fn logout_metadata(logout: &ClientLogout) -> [(&'static str, Value); 4] {
    let flag = |required: bool| json!(required.then_some(true));
    [
        (
            "backchannel_logout_uri",
            json!(logout.backchannel_logout_uri),
        ),
        (
            "backchannel_logout_session_required",
            flag(logout.backchannel_logout_session_required),
        ),
        (
            "frontchannel_logout_uri",
            json!(logout.frontchannel_logout_uri),
        ),
        (
            "frontchannel_logout_session_required",
            flag(logout.frontchannel_logout_session_required),
        ),
    ]
}

/// What is kept of a registration besides the client.
#[derive(Clone, PartialEq, Eq)]
pub struct Registration {
    /// The client.
    pub client_id: ClientId,
    /// The keyed hash of the registration access token.
    pub access_token_hash: String,
    /// Who let it in: the initial access token's id.
    pub initial_access_token: Option<String>,
    /// When it was registered.
    pub issued_at: UnixTime,
    /// When it last did what a client is for, to the hour; `None`: never.
    pub used_at: Option<UnixTime>,
    /// When it goes unless it is used.
    pub expires_at: Option<UnixTime>,
    /// How often it was replaced.
    pub version: i64,
}

/// A token that lets whoever has it register clients (RFC 7591 section 1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialAccessToken {
    /// What administrators call it by; not the token.
    pub id: String,
    /// What it is for.
    pub label: String,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it ends.
    pub expires_at: UnixTime,
    /// How many clients it may still register.
    pub uses_left: i64,
    /// When an administrator revoked it.
    pub revoked_at: Option<UnixTime>,
}

impl InitialAccessToken {
    /// Whether it lets anybody in.
    pub const fn is_good(&self, now: UnixTime) -> bool {
        self.revoked_at.is_none() && self.uses_left > 0 && now < self.expires_at
    }
}

/// What begins a registration access token of ours.
pub const ACCESS_TOKEN_PREFIX: &str = "portico_registration_";
/// What begins an initial access token of ours.
pub const INITIAL_TOKEN_PREFIX: &str = "portico_initial_";

/// How often that a client was used is written down.
pub const USED_EVERY: i64 = 60 * 60;

mod held;

#[cfg(test)]
mod tests;
