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
use super::exchange;
use super::place::{Place, Report};
use super::text;
use super::upstream_apis;
use super::upstream_tokens::{self, Wanted};
use super::upstreams::UpstreamConfig;
use super::wording::nearest;
use crate::model::client::{Client, ConsentPolicy, SubjectType};
use crate::protocol::client_assertion::AssertionAlgorithm;
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::ids::{ClientId, UpstreamId};
use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::redirect_uri::RedirectUri;
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
pub(super) struct Raw {
    client_id: Option<String>,
    client_name: Option<String>,
    client_uri: Option<String>,
    initiate_login_uri: Option<String>,
    token_endpoint_auth_method: ClientAuthMethod,
    token_endpoint_auth_signing_alg: Option<AssertionAlgorithm>,
    allow_token_endpoint_audience: bool,
    jwks: Option<Value>,
    jwks_file: Option<PathBuf>,
    jwks_uri: Option<String>,
    client_secret: Option<RawSecrets>,
    redirect_uris: Vec<String>,
    post_logout_redirect_uris: Vec<String>,
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
            client_keys::Wanted {
                method: raw.token_endpoint_auth_method,
                algorithm: raw.token_endpoint_auth_signing_alg,
                allow_token_endpoint_audience: raw.allow_token_endpoint_audience,
                jwks: raw.jwks.as_ref(),
                jwks_file: raw.jwks_file.as_deref(),
                jwks_uri: raw.jwks_uri.as_deref(),
            },
            at,
            report,
        );
        check_grants(&raw, at, report);
        check_texts(&raw, at, report);
        let grant_types = raw.grants();
        let response_types = raw.answers();
        let is_public = raw.token_endpoint_auth_method == ClientAuthMethod::None;
        if is_public && raw.require_pkce == Some(false) {
            report.problem(
                &at.key("require_pkce"),
                "a public client must use PKCE (RFC 9700 section 2.1.1); remove this key",
            );
        }
        let redirect_uris =
            client_uris::register(&raw.redirect_uris, &at.key("redirect_uris"), report);
        let scope = check_scope(
            raw.scope.as_deref(),
            &grant_types,
            &response_types,
            &at.key("scope"),
            report,
        );
        let wanted = Wanted {
            grants: &grant_types,
            is_public,
            scope: &scope,
            upstreams: raw.upstreams.as_deref(),
            of_people: &raw.upstream_tokens,
            of_service_accounts: &raw.service_tokens,
            of_ours: raw.exchange.is_some(),
        };
        upstream_tokens::check(&wanted, known, at, report);
        let wanted = upstream_apis::Wanted {
            grants: &grant_types,
            scope: &scope,
            upstreams: raw.upstreams.as_deref(),
            apis: &raw.upstream_apis,
        };
        upstream_apis::check(&wanted, known, at, report);
        let exchange = exchange::check(
            raw.exchange.take(),
            &grant_types,
            is_public,
            known,
            &at.key("exchange"),
            report,
        );
        let client = Client {
            exchange,
            subject_type: check_subject_type(&raw, &redirect_uris, at, report),
            client_id: check_client_id(raw.client_id, &at.key("client_id"), report)?,
            client_name: raw.client_name,
            client_uri: raw.client_uri,
            initiate_login_uri: raw.initiate_login_uri,
            token_endpoint_auth_method: raw.token_endpoint_auth_method,
            token_endpoint_auth_signing_alg: raw.token_endpoint_auth_signing_alg,
            allow_token_endpoint_audience: raw.allow_token_endpoint_audience,
            jwks,
            jwks_uri: raw.jwks_uri,
            redirect_uris,
            post_logout_redirect_uris: client_uris::register(
                &raw.post_logout_redirect_uris,
                &at.key("post_logout_redirect_uris"),
                report,
            ),
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

    /// Nothing for a client that no person logs in to.
    fn answers(&self) -> BTreeSet<ResponseType> {
        let grants = self.grants();
        match &self.response_types {
            _ if !is_redirected(&grants) => BTreeSet::new(),
            Some(types) => types.iter().copied().collect(),
            None => {
                let has_code = grants.contains(&GrantType::AuthorizationCode);
                has_code.then_some(ResponseType::Code).into_iter().collect()
            }
        }
    }
}

/// Whether people log in for it at the authorization endpoint.
fn is_redirected(grants: &BTreeSet<GrantType>) -> bool {
    grants.contains(&GrantType::AuthorizationCode) || grants.contains(&GrantType::Implicit)
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

fn check_grants(raw: &Raw, at: &Place, report: &mut Report) {
    let grants = raw.grants();
    let at_grants = at.key("grant_types");
    if grants.is_empty() {
        report.problem(
            &at_grants,
            "is empty; write [\"authorization_code\"], or leave it out",
        );
    }
    if is_redirected(&grants) && raw.redirect_uris.is_empty() {
        report.problem(
            &at.key("redirect_uris"),
            "is missing; logging people in needs the addresses that answers may go to, such as [\"https://app.example.org/callback\"]",
        );
    }
    let begins = |grant: &GrantType| grant.begins_with_a_login() && *grant != GrantType::Implicit;
    if grants.contains(&GrantType::RefreshToken) && !grants.iter().any(begins) {
        report.problem(
            &at_grants,
            "refresh_token alone leads nowhere: refresh tokens come from authorization_code, or another grant that begins with a login; add it",
        );
    }
    let is_public = raw.token_endpoint_auth_method == ClientAuthMethod::None;
    if grants.contains(&GrantType::ClientCredentials) && is_public {
        report.problem(
            &at_grants,
            "client_credentials needs a client that can keep a secret (RFC 6749 section 4.4); write token_endpoint_auth_method = \"client_secret_basic\"",
        );
    }
    check_answers(raw, &grants, at, report);
    if raw.default_max_age.is_some_and(|age| age < 0) {
        report.problem(&at.key("default_max_age"), "must be seconds, 0 or more");
    }
}

/// Each type with the grants that it takes (OpenID Connect Dynamic Registration section 2), and `implicit` with a type.
fn check_answers(raw: &Raw, grants: &BTreeSet<GrantType>, at: &Place, report: &mut Report) {
    let at_types = at.key("response_types");
    let types = raw.response_types.as_deref();
    match types {
        Some([]) if is_redirected(grants) => {
            report.problem(&at_types, "is empty; write [\"code\"], or leave it out");
        }
        Some([_, ..]) if !is_redirected(grants) => {
            report.problem(
                &at_types,
                "is for clients that people log in to; add \"authorization_code\" to grant_types, or remove this key",
            );
            return;
        }
        _ => {}
    }
    for each in types.unwrap_or_default() {
        let lacking = each.grants().iter().find(|grant| !grants.contains(grant));
        if let Some(grant) = lacking {
            let (answer, grant) = (each.as_str(), grant.as_str());
            report.problem(
                &at_types,
                format!(
                    "\"{answer}\" needs \"{grant}\" in grant_types; add it, or remove the type"
                ),
            );
        }
    }
    let token = |each: &ResponseType| each.returns_access_token();
    if raw.dpop_bound_access_tokens && raw.answers().iter().any(token) {
        report.problem(
            &at.key("dpop_bound_access_tokens"),
            "no access token through the browser can be bound to a key; remove the types with \"token\" from response_types, or this key",
        );
    }
    // What Dynamic Registration pairs with `implicit`, the type that does not need it here included.
    let in_the_browser =
        |each: &ResponseType| each.returns_id_token() || each.returns_access_token();
    if grants.contains(&GrantType::Implicit) && !raw.answers().iter().any(in_the_browser) {
        report.problem(
            &at.key("grant_types"),
            "implicit has no use: no type in response_types returns a token through the browser; add one, such as \"id_token\", or remove it",
        );
    }
}

fn check_texts(raw: &Raw, at: &Place, report: &mut Report) {
    if let Some(name) = &raw.client_name {
        text::check_label(name, &at.key("client_name"), report);
    }
    if let Some(uri) = &raw.client_uri {
        client_uris::check_home(uri, &at.key("client_uri"), report);
    }
    if let Some(uri) = &raw.initiate_login_uri {
        client_uris::check_home(uri, &at.key("initiate_login_uri"), report);
    }
    client_uris::check_audience(&raw.audience, &at.key("audience"), report);
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
    let scope = Scope::parse(text).unwrap_or_else(|error| {
        report.problem(at, error.to_string());
        Scope::default()
    });
    if scope.contains(scope::OFFLINE_ACCESS) && !grants.contains(&GrantType::RefreshToken) {
        report.problem(
            at,
            "offline_access asks for refresh tokens; add \"refresh_token\" to grant_types, or remove it",
        );
    }
    let id_token = |answer: &ResponseType| answer.returns_id_token();
    if answers.iter().any(id_token) && !scope.contains(scope::OPENID) {
        report.problem(
            at,
            "has no openid, which an ID token needs; add it, or write response_types = [\"code\"]",
        );
    }
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
            report.problem(
                &at_sector,
                "is for pairwise subjects alone; write subject_type = \"pairwise\", or remove it",
            );
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
            let hosts: BTreeSet<Option<String>> = redirect_uris
                .iter()
                .map(|uri| client_uris::web_host(uri.as_str()))
                .collect();
            let mut hosts = hosts.into_iter();
            // Without any address there is a problem already, or nobody to have a subject.
            let grants = raw.grants();
            let mut logins = grants.iter().filter(|grant| grant.begins_with_a_login());
            let nobody = is_redirected(&grants) || logins.next().is_none();
            let sector = match (hosts.next(), hosts.next()) {
                (Some(Some(host)), None) => host,
                (None, _) if nobody => String::new(),
                _ => {
                    report.problem(
                        &at_sector,
                        "is missing: pairwise subjects are made for one host, and redirect_uris have several, or one on this \
                         machine or in an app; write the host that they belong to, such as \"app.example.org\"",
                    );
                    String::new()
                }
            };
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
