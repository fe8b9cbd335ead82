//! `[[clients]]`, in `portico.toml` and in `clients.d/*.toml`. The keys carry the names of OpenID Connect Dynamic
//! Registration section 2; a few are ours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::client_claims;
use super::client_keys;
use super::client_people;
use super::client_secret::{self, RawSecrets};
use super::client_uris;
use super::client_words;
use super::exchange;
use super::place::{Place, Report};
use super::text::Translations;
use super::upstream_apis;
use super::upstream_tokens::{self, Wanted};
use super::upstreams::UpstreamConfig;
use super::wording::nearest;
use crate::model::client::{Client, ConsentPolicy, SubjectType};
use crate::model::client_about::ClientAbout;
use crate::model::client_logout::ClientLogout;
use crate::protocol::client_assertion::AssertionAlgorithm;
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::client_metadata::rules::{self, ApplicationType, Fault, Grants, Rule};
use crate::protocol::ids::{ClientId, UpstreamId};
use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::redirect_uri::RedirectUri;
use crate::protocol::request_object::RequestObjectAlgorithm;
use crate::protocol::response::ResponseType;
use crate::protocol::scope::{self, Scope};
use crate::protocol::secret::Secret;
use crate::protocol::token::{AccessTokenFormat, GrantType};

/// A client that the files own.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Its registration.
    pub client: Client,
    /// Its live secrets: none for a public client, else one or two.
    pub secrets: Vec<Secret>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the keys of the file"
)]
pub(super) struct Raw {
    client_id: Option<String>,
    client_name: Option<Translations>,
    client_uri: Option<String>,
    logo_uri: Option<String>,
    policy_uri: Option<String>,
    tos_uri: Option<String>,
    contacts: Vec<String>,
    application_type: Option<ApplicationType>,
    initiate_login_uri: Option<String>,
    token_endpoint_auth_method: ClientAuthMethod,
    token_endpoint_auth_signing_alg: Option<AssertionAlgorithm>,
    allow_token_endpoint_audience: bool,
    jwks: Option<Value>,
    jwks_file: Option<PathBuf>,
    jwks_uri: Option<String>,
    request_object_signing_alg: Option<RequestObjectAlgorithm>,
    require_signed_request_object: bool,
    request_uris: Vec<String>,
    client_secret: Option<RawSecrets>,
    redirect_uris: Vec<String>,
    post_logout_redirect_uris: Vec<String>,
    backchannel_logout_uri: Option<String>,
    backchannel_logout_session_required: bool,
    frontchannel_logout_uri: Option<String>,
    frontchannel_logout_session_required: bool,
    grant_types: Option<BTreeSet<GrantType>>,
    response_types: Option<Vec<ResponseType>>,
    scope: Option<String>,
    default_max_age: Option<i64>,
    id_token_signed_response_alg: Option<SigningAlgorithm>,
    userinfo_signed_response_alg: Option<SigningAlgorithm>,
    introspection_signed_response_alg: Option<SigningAlgorithm>,
    access_token_format: AccessTokenFormat,
    access_token_signed_response_alg: Option<SigningAlgorithm>,
    audience: Vec<String>,
    resources: Vec<String>,
    upstreams: Option<Vec<String>>,
    upstream_apis: Vec<String>,
    consent: ConsentPolicy,
    require_pkce: Option<bool>,
    dpop_bound_access_tokens: bool,
    require_pushed_authorization_requests: bool,
    claims: BTreeMap<String, client_claims::Raw>,
    subject_type: RawSubjectType,
    sector_identifier: Option<String>,
    upstream_tokens: Vec<String>,
    service_tokens: Vec<String>,
    exchange: Option<exchange::Raw>,
    require_groups: Vec<String>,
    require_claims: BTreeMap<String, Value>,
    upstream_outage: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawSubjectType {
    #[default]
    Public,
    Pairwise,
}

/// What the rest of the config lets a client refer to.
pub(super) struct Known<'a> {
    /// The ids of all upstreams, those with a mistake too.
    pub(super) upstreams: &'a [UpstreamId],
    /// Those without a mistake.
    pub(super) configured: &'a [UpstreamConfig],
    pub(super) algorithms: &'a [SigningAlgorithm],
    /// The identifiers of all resources, those with a mistake too.
    pub(super) resources: &'a [String],
    pub(super) issuer: Option<&'a str>,
}

impl ClientConfig {
    /// `None` when the client has no usable `client_id`.
    #[expect(
        clippy::too_many_lines,
        reason = "a client has that many keys; each is a line or two"
    )]
    pub(super) fn check(
        mut raw: Raw,
        known: &Known<'_>,
        at: &Place,
        report: &mut Report,
    ) -> Option<Self> {
        client_secret::check(
            raw.client_secret.as_ref(),
            raw.token_endpoint_auth_method,
            &at.key("client_secret"),
            report,
        );
        let jwks = client_keys::check(
            &client_keys::Wanted {
                method: raw.token_endpoint_auth_method,
                algorithm: raw.token_endpoint_auth_signing_alg,
                allow_token_endpoint_audience: raw.allow_token_endpoint_audience,
                jwks: raw.jwks.as_ref(),
                jwks_file: raw.jwks_file.as_deref(),
                jwks_uri: raw.jwks_uri.as_deref(),
                object_algorithm: raw.request_object_signing_alg,
                require_object: raw.require_signed_request_object,
                request_uris: &raw.request_uris,
            },
            at,
            report,
        );
        check_grants(&raw, at, report);
        check_password(&raw, at, report);
        check_texts(&raw, at, report);
        let grant_types = raw.grants();
        let response_types = raw.rules(&grant_types).answers();
        let is_public = raw.token_endpoint_auth_method == ClientAuthMethod::None;
        if is_public && raw.require_pkce == Some(false) {
            report.problem(
                &at.key("require_pkce"),
                "a public client must use PKCE (RFC 9700 section 2.1.1); remove this key",
            );
        }
        let redirect_uris = check_redirect_uris(&raw, &response_types, at, report);
        let mut faults = Vec::new();
        let post_logout_redirect_uris = rules::uris(
            "post_logout_redirect_uris",
            &raw.post_logout_redirect_uris,
            &mut faults,
        );
        let logout = ClientLogout {
            backchannel_logout_uri: raw.backchannel_logout_uri.take(),
            backchannel_logout_session_required: raw.backchannel_logout_session_required,
            frontchannel_logout_uri: raw.frontchannel_logout_uri.take(),
            frontchannel_logout_session_required: raw.frontchannel_logout_session_required,
        };
        rules::logout(
            logout.backchannel_logout_uri.as_deref(),
            logout.frontchannel_logout_uri.as_deref(),
            &redirect_uris,
            &mut faults,
        );
        client_words::tell(faults, at, report);
        let scope = check_scope(
            raw.scope.as_deref(),
            &grant_types,
            &response_types,
            at,
            report,
        );
        check_upstream_rights(&raw, &grant_types, &scope, known, at, report);
        let exchange = exchange::check(
            raw.exchange.take(),
            raw.client_id.as_deref(),
            &grant_types,
            is_public,
            known,
            &at.key("exchange"),
            report,
        );
        let (client_name, localized) =
            check_client_name(raw.client_name.take(), &at.key("client_name"), report);
        let client = Client {
            exchange,
            subject_type: check_subject_type(&raw, &redirect_uris, at, report),
            client_id: check_client_id(raw.client_id, &at.key("client_id"), report)?,
            client_name,
            client_uri: raw.client_uri,
            initiate_login_uri: raw.initiate_login_uri,
            token_endpoint_auth_method: raw.token_endpoint_auth_method,
            token_endpoint_auth_signing_alg: raw.token_endpoint_auth_signing_alg,
            allow_token_endpoint_audience: raw.allow_token_endpoint_audience,
            jwks,
            jwks_uri: raw.jwks_uri,
            request_object_signing_alg: raw.request_object_signing_alg,
            require_signed_request_object: raw.require_signed_request_object,
            request_uris: raw.request_uris,
            redirect_uris,
            post_logout_redirect_uris,
            scope,
            grant_types,
            response_types,
            default_max_age: raw.default_max_age,
            id_token_signed_response_alg: check_algorithm(
                raw.id_token_signed_response_alg,
                known,
                &at.key("id_token_signed_response_alg"),
                report,
            ),
            userinfo_signed_response_alg: check_named_algorithm(
                raw.userinfo_signed_response_alg,
                known,
                &at.key("userinfo_signed_response_alg"),
                report,
            ),
            introspection_signed_response_alg: check_named_algorithm(
                raw.introspection_signed_response_alg,
                known,
                &at.key("introspection_signed_response_alg"),
                report,
            ),
            access_token_format: raw.access_token_format,
            access_token_signed_response_alg: check_named_algorithm(
                raw.access_token_signed_response_alg,
                known,
                &at.key("access_token_signed_response_alg"),
                report,
            ),
            audience: raw.audience,
            resources: check_resources(raw.resources, known, &at.key("resources"), report),
            upstreams: raw
                .upstreams
                .map(|names| check_upstreams(&names, known, &at.key("upstreams"), report)),
            upstream_apis: raw.upstream_apis.iter().map(UpstreamId::new).collect(),
            consent: raw.consent,
            require_pkce: raw.require_pkce.unwrap_or(is_public),
            dpop_bound_access_tokens: raw.dpop_bound_access_tokens,
            require_pushed_authorization_requests: raw.require_pushed_authorization_requests,
            claims: client_claims::check(raw.claims, known, &at.key("claims"), report),
            upstream_tokens: raw.upstream_tokens.iter().map(UpstreamId::new).collect(),
            service_tokens: raw.service_tokens.iter().map(UpstreamId::new).collect(),
            require_groups: client_people::check_groups(
                raw.require_groups,
                &at.key("require_groups"),
                report,
            ),
            require_claims: client_people::check_claims(
                raw.require_claims,
                &at.key("require_claims"),
                report,
            ),
            upstream_outage: client_people::check_outage(
                raw.upstream_outage.as_deref(),
                &at.key("upstream_outage"),
                report,
            ),
            registered: false,
            withheld: None,
            logout,
            about: ClientAbout {
                application_type: raw.application_type,
                contacts: raw.contacts,
                logo_uri: raw.logo_uri,
                policy_uri: raw.policy_uri,
                tos_uri: raw.tos_uri,
                localized,
                ..ClientAbout::default()
            },
        };
        let secrets = raw.client_secret.map_or_else(Vec::new, |secrets| secrets.0);
        Some(Self { client, secrets })
    }
}

impl Raw {
    fn grants(&self) -> BTreeSet<GrantType> {
        self.grant_types
            .clone()
            .unwrap_or_else(|| BTreeSet::from([GrantType::AuthorizationCode]))
    }

    fn rules<'a>(&'a self, grant_types: &'a BTreeSet<GrantType>) -> Grants<'a> {
        Grants {
            method: self.token_endpoint_auth_method,
            grant_types,
            response_types: self.response_types.as_deref(),
            has_redirect_uris: !self.redirect_uris.is_empty(),
            dpop_bound: self.dpop_bound_access_tokens,
        }
    }
}

/// What the client may have of upstreams: their tokens, their APIs.
fn check_upstream_rights(
    raw: &Raw,
    grants: &BTreeSet<GrantType>,
    scope: &Scope,
    known: &Known<'_>,
    at: &Place,
    report: &mut Report,
) {
    let wanted = Wanted {
        grants,
        is_public: raw.token_endpoint_auth_method == ClientAuthMethod::None,
        scope,
        upstreams: raw.upstreams.as_deref(),
        of_people: &raw.upstream_tokens,
        of_service_accounts: &raw.service_tokens,
        of_ours: raw.exchange.is_some(),
    };
    upstream_tokens::check(&wanted, known, at, report);
    let wanted = upstream_apis::Wanted {
        grants,
        scope,
        upstreams: raw.upstreams.as_deref(),
        apis: &raw.upstream_apis,
    };
    upstream_apis::check(&wanted, known, at, report);
}

fn check_client_id(id: Option<String>, at: &Place, report: &mut Report) -> Option<ClientId> {
    let Some(id) = id else {
        report.problem(
            at,
            "is missing; write a name for the client, such as \"members-app\"",
        );
        return None;
    };
    let visible = id.bytes().all(|byte| byte.is_ascii_graphic());
    if id.is_empty() || id.len() > 128 || !visible {
        report.problem(
            at,
            "must be 1 to 128 visible ASCII characters without spaces",
        );
        return None;
    }
    Some(ClientId::new(id))
}

/// What the rules of every registration find (`protocol::client_metadata`).
fn check_grants(raw: &Raw, at: &Place, report: &mut Report) {
    let grant_types = raw.grants();
    let faults = raw.rules(&grant_types).faults();
    client_words::tell(faults, at, report);
    if raw.default_max_age.is_some_and(|age| age < 0) {
        let fault = Fault::new("default_max_age", Rule::Negative);
        client_words::tell([fault], at, report);
    }
}

/// Nobody can be asked where there is no browser, and people should know what it means.
fn check_password(raw: &Raw, at: &Place, report: &mut Report) {
    if !raw.grants().contains(&GrantType::Password) {
        return;
    }
    report.warn(
        &at.key("grant_types"),
        "with password the app sees people's passwords, and no second factor of the upstream's works (RFC 9700 section 2.4)",
    );
    if raw.consent != ConsentPolicy::None {
        report.problem(
            &at.key("consent"),
            "nobody can be asked with the grant password; write \"none\", or use authorization_code",
        );
    }
}

fn check_texts(raw: &Raw, at: &Place, report: &mut Report) {
    let mut faults = Vec::new();
    for (field, uri) in [
        ("client_uri", &raw.client_uri),
        ("policy_uri", &raw.policy_uri),
        ("tos_uri", &raw.tos_uri),
        ("initiate_login_uri", &raw.initiate_login_uri),
    ] {
        if let Some(uri) = uri {
            rules::page(field, uri, &mut faults);
        }
    }
    let logo = raw.logo_uri.as_deref();
    if logo.is_some_and(|uri| !rules::is_fetched(uri)) {
        faults.push(Fault::new("logo_uri", Rule::NotFetched));
    }
    for (index, contact) in raw.contacts.iter().enumerate() {
        faults.extend(rules::label(contact).map(|rule| Fault::at("contacts", index, rule)));
    }
    client_words::tell(faults, at, report);
    client_uris::check_audience(&raw.audience, &at.key("audience"), report);
}

/// The name, and those of other languages as a registration writes them: `client_name#fr` (RFC 7591 section 2.2).
fn check_client_name(
    written: Option<Translations>,
    at: &Place,
    report: &mut Report,
) -> (Option<String>, BTreeMap<String, String>) {
    let Some(label) = written.and_then(|written| written.check_name(at, report)) else {
        return (None, BTreeMap::new());
    };
    let others = label.others().iter();
    let others = others.map(|(tag, name)| (format!("client_name#{tag}"), name.clone()));
    (Some(label.english().to_owned()), others.collect())
}

fn check_redirect_uris(
    raw: &Raw,
    answers: &BTreeSet<ResponseType>,
    at: &Place,
    report: &mut Report,
) -> Vec<RedirectUri> {
    let mut faults = Vec::new();
    let uris = rules::uris("redirect_uris", &raw.redirect_uris, &mut faults);
    // One that does not say has whatever addresses the administrator gives it.
    if let Some(kind) = raw.application_type {
        let by_browser = answers
            .iter()
            .any(|each| rules::comes_by_the_browser(*each));
        rules::application_type(kind, by_browser, &raw.redirect_uris, &mut faults);
    }
    client_words::tell(faults, at, report);
    uris
}

fn check_scope(
    written: Option<&str>,
    grants: &BTreeSet<GrantType>,
    answers: &BTreeSet<ResponseType>,
    at: &Place,
    report: &mut Report,
) -> Scope {
    let has_people = grants.iter().any(|grant| grant.begins_with_a_login());
    let text = written.unwrap_or(if has_people { scope::OPENID } else { "" });
    let mut faults = Vec::new();
    let scope = rules::scope(text, grants, answers, &mut faults);
    client_words::tell(faults, at, report);
    scope
}

fn check_algorithm(
    written: Option<SigningAlgorithm>,
    known: &Known<'_>,
    at: &Place,
    report: &mut Report,
) -> SigningAlgorithm {
    let default = known.algorithms.first().copied().unwrap_or_default();
    check_named_algorithm(written, known, at, report).unwrap_or(default)
}

/// An algorithm that somebody names has to have a key.
pub(super) fn check_named_algorithm(
    written: Option<SigningAlgorithm>,
    known: &Known<'_>,
    at: &Place,
    report: &mut Report,
) -> Option<SigningAlgorithm> {
    let algorithm = written?;
    if !known.algorithms.contains(&algorithm) {
        let name = algorithm.as_str();
        let default = known.algorithms.first().copied().unwrap_or_default();
        report.problem(
            at,
            format!(
                "there is no key for {name}; add it to keys.algorithms, or write \"{}\"",
                default.as_str()
            ),
        );
    }
    Some(algorithm)
}

/// OpenID Connect Core section 8.1. The files are the administrator's, so a sector that they name is believed.
fn check_subject_type(
    raw: &Raw,
    redirect_uris: &[RedirectUri],
    at: &Place,
    report: &mut Report,
) -> SubjectType {
    let at_sector = at.key("sector_identifier");
    match (raw.subject_type, &raw.sector_identifier) {
        (RawSubjectType::Public, None) => SubjectType::Public,
        (RawSubjectType::Public, Some(_)) => {
            report.problem(&at_sector, client_words::words(&Rule::SectorOfPublic));
            SubjectType::Public
        }
        (RawSubjectType::Pairwise, Some(sector)) => {
            if !client_uris::is_host(sector) {
                report.problem(
                    &at_sector,
                    "must be a host in lower case, without scheme and path, such as \"app.example.org\"",
                );
            }
            SubjectType::Pairwise {
                sector: sector.clone(),
            }
        }
        (RawSubjectType::Pairwise, None) => {
            let sector = rules::sector(redirect_uris, &raw.grants()).unwrap_or_else(|rule| {
                report.problem(&at_sector, client_words::words(&rule));
                None
            });
            // Without any address there is a problem already, or nobody to have a subject.
            let sector = sector.unwrap_or_default();
            SubjectType::Pairwise { sector }
        }
    }
}

/// Those that the client may ask for have to be described; those of `audience` need not be.
fn check_resources(
    named: Vec<String>,
    known: &Known<'_>,
    at: &Place,
    report: &mut Report,
) -> Vec<String> {
    let identifiers: Vec<&str> = known.resources.iter().map(String::as_str).collect();
    for (index, name) in named.iter().enumerate() {
        if !identifiers.contains(&name.as_str()) {
            let hint = nearest(name, &identifiers).map_or_else(
                || "describe it with [[resources]]".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            let text = format!("is not the identifier of a resource; {hint}");
            report.problem(&at.index(index), text);
        }
    }
    named
}

fn check_upstreams(
    names: &[String],
    known: &Known<'_>,
    at: &Place,
    report: &mut Report,
) -> BTreeSet<UpstreamId> {
    if names.is_empty() {
        report.problem(
            at,
            "is empty, so nobody could log in; leave it out to allow all upstreams",
        );
    }
    check_known(names, known, at, report);
    names.iter().map(UpstreamId::new).collect()
}

/// Tells each name that is not the id of an upstream.
pub(super) fn check_known(names: &[String], known: &Known<'_>, at: &Place, report: &mut Report) {
    for (index, name) in names.iter().enumerate() {
        check_upstream(name, known, &at.index(index), report);
    }
}

/// Refuses a name that no upstream has.
pub(super) fn check_upstream(name: &str, known: &Known<'_>, at: &Place, report: &mut Report) {
    let ids: Vec<&str> = known.upstreams.iter().map(UpstreamId::as_str).collect();
    if ids.contains(&name) {
        return;
    }
    let hint = nearest(name, &ids).map_or_else(
        || format!("write one of: {}", ids.join(", ")),
        |near| format!("did you mean {near}?"),
    );
    report.problem(at, format!("is not the id of an upstream; {hint}"));
}
