//! `[[clients]]`, in `portico.toml` and in `clients.d/*.toml`. The keys carry the names of OpenID Connect Dynamic
//! Registration section 2; a few are ours.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::client_secret::{self, RawSecrets};
use super::client_uris;
use super::place::{Place, Report};
use super::text;
use super::upstream_tokens::{self, Wanted};
use super::upstreams::UpstreamConfig;
use super::wording::nearest;
use crate::model::client::{Client, ConsentPolicy};
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::ids::{ClientId, UpstreamId};
use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::response::ResponseType;
use crate::protocol::scope::{self, Scope};
use crate::protocol::secret::Secret;
use crate::protocol::token::GrantType;

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
    client_secret: Option<RawSecrets>,
    redirect_uris: Vec<String>,
    post_logout_redirect_uris: Vec<String>,
    grant_types: Option<BTreeSet<GrantType>>,
    response_types: Option<Vec<ResponseType>>,
    scope: Option<String>,
    default_max_age: Option<i64>,
    id_token_signed_response_alg: Option<SigningAlgorithm>,
    audience: Vec<String>,
    upstreams: Option<Vec<String>>,
    upstream_apis: Vec<String>,
    consent: ConsentPolicy,
    require_pkce: Option<bool>,
    upstream_tokens: Vec<String>,
    service_tokens: Vec<String>,
}

/// What the rest of the config lets a client refer to.
pub(super) struct Known<'a> {
    /// The ids of all upstreams, those with a mistake too.
    pub(super) upstreams: &'a [UpstreamId],
    /// Those without a mistake.
    pub(super) configured: &'a [UpstreamConfig],
    pub(super) algorithms: &'a [SigningAlgorithm],
}

impl ClientConfig {
    /// `None` when the client has no usable `client_id`.
    pub(super) fn check(
        raw: Raw,
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
        check_grants(&raw, at, report);
        check_texts(&raw, at, report);
        check_known(&raw.upstream_apis, known, &at.key("upstream_apis"), report);
        let grant_types = raw.grants();
        let is_public = raw.token_endpoint_auth_method == ClientAuthMethod::None;
        if is_public && raw.require_pkce == Some(false) {
            report.problem(
                &at.key("require_pkce"),
                "a public client must use PKCE (RFC 9700 section 2.1.1); remove this key",
            );
        }
        let scope = check_scope(raw.scope.as_deref(), &grant_types, &at.key("scope"), report);
        let wanted = Wanted {
            grants: &grant_types,
            is_public,
            scope: &scope,
            upstreams: raw.upstreams.as_deref(),
            of_people: &raw.upstream_tokens,
            of_service_accounts: &raw.service_tokens,
        };
        upstream_tokens::check(&wanted, known, at, report);
        let client = Client {
            client_id: check_client_id(raw.client_id, &at.key("client_id"), report)?,
            client_name: raw.client_name,
            client_uri: raw.client_uri,
            initiate_login_uri: raw.initiate_login_uri,
            token_endpoint_auth_method: raw.token_endpoint_auth_method,
            redirect_uris: client_uris::register(
                &raw.redirect_uris,
                &at.key("redirect_uris"),
                report,
            ),
            post_logout_redirect_uris: client_uris::register(
                &raw.post_logout_redirect_uris,
                &at.key("post_logout_redirect_uris"),
                report,
            ),
            scope,
            grant_types,
            default_max_age: raw.default_max_age,
            id_token_signed_response_alg: check_algorithm(
                raw.id_token_signed_response_alg,
                known,
                &at.key("id_token_signed_response_alg"),
                report,
            ),
            audience: raw.audience,
            upstreams: raw
                .upstreams
                .map(|names| check_upstreams(&names, known, &at.key("upstreams"), report)),
            upstream_apis: raw.upstream_apis.iter().map(UpstreamId::new).collect(),
            consent: raw.consent,
            require_pkce: raw.require_pkce.unwrap_or(is_public),
            upstream_tokens: raw.upstream_tokens.iter().map(UpstreamId::new).collect(),
            service_tokens: raw.service_tokens.iter().map(UpstreamId::new).collect(),
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
    let has_code = grants.contains(&GrantType::AuthorizationCode);
    if grants.is_empty() {
        report.problem(
            &at_grants,
            "is empty; write [\"authorization_code\"], or leave it out",
        );
    }
    if has_code && raw.redirect_uris.is_empty() {
        report.problem(
            &at.key("redirect_uris"),
            "is missing; the authorization_code grant needs the addresses that answers may go to, such as [\"https://app.example.org/callback\"]",
        );
    }
    if grants.contains(&GrantType::RefreshToken) && !has_code {
        report.problem(
            &at_grants,
            "refresh_token alone leads nowhere: refresh tokens come from authorization_code; add it",
        );
    }
    let is_public = raw.token_endpoint_auth_method == ClientAuthMethod::None;
    if grants.contains(&GrantType::ClientCredentials) && is_public {
        report.problem(
            &at_grants,
            "client_credentials needs a client that can keep a secret (RFC 6749 section 4.4); write token_endpoint_auth_method = \"client_secret_basic\"",
        );
    }
    if raw.response_types.as_ref().is_some_and(Vec::is_empty) && has_code {
        report.problem(
            &at.key("response_types"),
            "is empty; write [\"code\"], or leave it out",
        );
    }
    if raw.default_max_age.is_some_and(|age| age < 0) {
        report.problem(&at.key("default_max_age"), "must be seconds, 0 or more");
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
    at: &Place,
    report: &mut Report,
) -> Scope {
    let has_people = grants.contains(&GrantType::AuthorizationCode);
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
    scope
}

fn check_algorithm(
    written: Option<SigningAlgorithm>,
    known: &Known<'_>,
    at: &Place,
    report: &mut Report,
) -> SigningAlgorithm {
    let default = known.algorithms.first().copied().unwrap_or_default();
    let algorithm = written.unwrap_or(default);
    if written.is_some() && !known.algorithms.contains(&algorithm) {
        let name = algorithm.as_str();
        report.problem(
            at,
            format!(
                "there is no key for {name}; add it to keys.algorithms, or write \"{}\"",
                default.as_str()
            ),
        );
    }
    algorithm
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
    let ids: Vec<&str> = known.upstreams.iter().map(UpstreamId::as_str).collect();
    for (index, name) in names.iter().enumerate() {
        if ids.contains(&name.as_str()) {
            continue;
        }
        let hint = nearest(name, &ids).map_or_else(
            || format!("write one of: {}", ids.join(", ")),
            |near| format!("did you mean {near}?"),
        );
        report.problem(
            &at.index(index),
            format!("is not the id of an upstream; {hint}"),
        );
    }
}
