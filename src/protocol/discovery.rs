//! The provider's metadata (OpenID Connect Discovery section 3, RFC 8414 section 2), built from the closed sets
//! that the rest of the code works with, so that it says exactly what is on.

use std::collections::BTreeSet;

use serde::Serialize;

use super::claims::Profile;
use super::client_assertion::AssertionAlgorithm;
use super::client_auth::ClientAuthMethod;
use super::dpop;
use super::issuer::Issuer;
use super::jws::SigningAlgorithm;
use super::locale::Locale;
use super::request_object::RequestObjectAlgorithm;
use super::response::{ResponseMode, ResponseType};
use super::token::GrantType;

/// The paths of the endpoints, below the issuer.
pub mod path {
    /// OpenID Connect Discovery section 4.
    pub const OPENID_CONFIGURATION: &str = "/.well-known/openid-configuration";
    /// RFC 8414 section 3.
    pub const OAUTH_AUTHORIZATION_SERVER: &str = "/.well-known/oauth-authorization-server";
    /// The authorization endpoint.
    pub const AUTHORIZE: &str = "/authorize";
    /// Pushed authorization requests (RFC 9126).
    pub const PAR: &str = "/par";
    /// The token endpoint.
    pub const TOKEN: &str = "/token";
    /// The device authorization endpoint (RFC 8628 section 3.1).
    pub const DEVICE_AUTHORIZATION: &str = "/device_authorization";
    /// Where people go with a device's code (RFC 8628 section 3.2).
    pub const DEVICE: &str = "/device";
    /// The userinfo endpoint.
    pub const USERINFO: &str = "/userinfo";
    /// Where tokens are given back (RFC 7009).
    pub const REVOKE: &str = "/revoke";
    /// Where tokens are looked at (RFC 7662).
    pub const INTROSPECT: &str = "/introspect";
    /// The public keys.
    pub const JWKS: &str = "/jwks";
    /// The registration endpoint; below it each registered client has an address of its own.
    pub const REGISTER: &str = "/register";
    /// RP-initiated logout.
    pub const END_SESSION: &str = "/end_session";
    /// Where a browser comes back to from an upstream's sign-off; one fixed address, for an upstream may have it registered.
    pub const END_SESSION_RETURNED: &str = "/end_session/returned";
}

/// Seconds that anybody may cache the JWKS; a key is announced for longer before it signs (T47).
pub const JWKS_MAX_AGE: i64 = 15 * 60;

/// The document that both well-known paths serve.
#[derive(Debug, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the names and types are the specifications'"
)]
#[expect(
    missing_docs,
    reason = "the names are defined by the specifications cited above"
)]
pub struct Metadata {
    pub issuer: Issuer,
    pub authorization_endpoint: String,
    pub pushed_authorization_request_endpoint: String,
    /// Whether every client must push (RFC 9126 section 5).
    pub require_pushed_authorization_requests: bool,
    pub token_endpoint: String,
    /// Where some client has its grant (RFC 8628 section 4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_authorization_endpoint: Option<String>,
    pub userinfo_endpoint: String,
    pub revocation_endpoint: String,
    pub introspection_endpoint: String,
    pub jwks_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    pub end_session_endpoint: String,
    /// OpenID Connect Back-Channel Logout 1.0 section 2.1.
    pub backchannel_logout_supported: bool,
    pub backchannel_logout_session_supported: bool,
    /// OpenID Connect Front-Channel Logout 1.0 section 3.
    pub frontchannel_logout_supported: bool,
    pub frontchannel_logout_session_supported: bool,
    pub scopes_supported: Vec<String>,
    pub response_types_supported: Vec<&'static str>,
    pub response_modes_supported: Vec<&'static str>,
    pub grant_types_supported: Vec<&'static str>,
    pub subject_types_supported: [&'static str; 2],
    pub id_token_signing_alg_values_supported: Vec<&'static str>,
    pub token_endpoint_auth_methods_supported: Vec<&'static str>,
    pub revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    pub revocation_endpoint_auth_signing_alg_values_supported: [&'static str; 6],
    pub introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    pub introspection_endpoint_auth_signing_alg_values_supported: [&'static str; 6],
    pub userinfo_signing_alg_values_supported: Vec<&'static str>,
    pub introspection_signing_alg_values_supported: Vec<&'static str>,
    pub token_endpoint_auth_signing_alg_values_supported: [&'static str; 6],
    /// RFC 9449 section 5.1.
    pub dpop_signing_alg_values_supported: [&'static str; 4],
    pub code_challenge_methods_supported: [&'static str; 1],
    pub prompt_values_supported: [&'static str; 4],
    pub claim_types_supported: [&'static str; 1],
    pub claims_supported: Vec<String>,
    pub ui_locales_supported: Vec<&'static str>,
    /// Said aloud, for its default is false and clients should rely on `iss` (RFC 9207 section 3).
    pub authorization_response_iss_parameter_supported: bool,
    /// What a login may prove (RFC 9470 section 7 asks for it, too); absent where the configuration does not say.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub acr_values_supported: BTreeSet<String>,
    /// Our pages are one column of plain forms, which fits each of these.
    pub display_values_supported: [&'static str; 3],
    pub claims_parameter_supported: bool,
    pub request_parameter_supported: bool,
    pub request_uri_parameter_supported: bool,
    pub require_request_uri_registration: bool,
    pub request_object_signing_alg_values_supported: [&'static str; 6],
}

/// What the configuration turns on.
#[derive(Clone, Debug, Default)]
pub struct Supported {
    /// What ID tokens are signed with.
    pub algorithms: Vec<SigningAlgorithm>,
    /// What some client may ask for.
    pub scopes: Vec<String>,
    /// What some client may use.
    pub grants: BTreeSet<GrantType>,
    /// What some client may be answered with.
    pub response_types: BTreeSet<ResponseType>,
    /// What some login may prove.
    pub acr_values: BTreeSet<String>,
    /// The claims that somebody may be told besides those of the specifications.
    pub claims: BTreeSet<String>,
    /// Whether clients may register themselves.
    pub registration: bool,
    /// Whether requests that were not pushed are refused.
    pub require_pushed_authorization_requests: bool,
}

impl Metadata {
    /// The metadata of `issuer`.
    pub fn new(issuer: &Issuer, supported: Supported) -> Self {
        let Supported {
            algorithms,
            scopes,
            grants,
            response_types,
            acr_values,
            claims: more_claims,
            registration,
            require_pushed_authorization_requests,
        } = supported;
        let algorithms: Vec<&str> = algorithms
            .into_iter()
            .map(SigningAlgorithm::as_str)
            .collect();
        let auth_methods = ClientAuthMethod::ALL.map(ClientAuthMethod::as_str).to_vec();
        let claims_supported = claims(&response_types, &acr_values, more_claims);
        Self {
            issuer: issuer.clone(),
            authorization_endpoint: issuer.at(path::AUTHORIZE),
            pushed_authorization_request_endpoint: issuer.at(path::PAR),
            require_pushed_authorization_requests,
            token_endpoint: issuer.at(path::TOKEN),
            device_authorization_endpoint: grants
                .contains(&GrantType::DeviceCode)
                .then(|| issuer.at(path::DEVICE_AUTHORIZATION)),
            userinfo_endpoint: issuer.at(path::USERINFO),
            revocation_endpoint: issuer.at(path::REVOKE),
            introspection_endpoint: issuer.at(path::INTROSPECT),
            jwks_uri: issuer.at(path::JWKS),
            registration_endpoint: registration.then(|| issuer.at(path::REGISTER)),
            end_session_endpoint: issuer.at(path::END_SESSION),
            backchannel_logout_supported: true,
            backchannel_logout_session_supported: true,
            frontchannel_logout_supported: true,
            frontchannel_logout_session_supported: true,
            scopes_supported: scopes,
            response_types_supported: response_types
                .iter()
                .map(|response_type| response_type.as_str())
                .collect(),
            response_modes_supported: ResponseMode::ALL.map(ResponseMode::as_str).to_vec(),
            grant_types_supported: GrantType::ALL
                .into_iter()
                .chain([GrantType::Implicit])
                .filter(|grant| grants.contains(grant))
                .map(GrantType::as_str)
                .collect(),
            subject_types_supported: ["public", "pairwise"],
            id_token_signing_alg_values_supported: algorithms.clone(),
            userinfo_signing_alg_values_supported: algorithms.clone(),
            introspection_signing_alg_values_supported: algorithms,
            revocation_endpoint_auth_methods_supported: auth_methods.clone(),
            introspection_endpoint_auth_methods_supported: auth_methods
                .iter()
                .copied()
                .filter(|method| *method != ClientAuthMethod::None.as_str())
                .collect(),
            token_endpoint_auth_methods_supported: auth_methods,
            token_endpoint_auth_signing_alg_values_supported: AssertionAlgorithm::NAMES,
            revocation_endpoint_auth_signing_alg_values_supported: AssertionAlgorithm::NAMES,
            introspection_endpoint_auth_signing_alg_values_supported: AssertionAlgorithm::NAMES,
            dpop_signing_alg_values_supported: dpop::ALGORITHM_NAMES,
            code_challenge_methods_supported: ["S256"],
            prompt_values_supported: ["none", "login", "consent", "select_account"],
            claim_types_supported: ["normal"],
            claims_supported,
            ui_locales_supported: Locale::ALL.map(Locale::tag).to_vec(),
            authorization_response_iss_parameter_supported: true,
            acr_values_supported: acr_values,
            display_values_supported: ["page", "popup", "touch"],
            claims_parameter_supported: true,
            request_parameter_supported: true,
            request_uri_parameter_supported: true,
            require_request_uri_registration: true,
            request_object_signing_alg_values_supported: RequestObjectAlgorithm::NAMES,
        }
    }
}

/// What tokens and userinfo may hold.
fn claims(
    response_types: &BTreeSet<ResponseType>,
    acr_values: &BTreeSet<String>,
    more_claims: BTreeSet<String>,
) -> Vec<String> {
    let vouches_for_code = |each: &ResponseType| each.returns_id_token() && each.returns_code();
    let c_hash = response_types.iter().any(vouches_for_code);
    let protocol_claims = [
        "sub",
        "iss",
        "aud",
        "exp",
        "iat",
        "auth_time",
        "nonce",
        "at_hash",
        "amr",
        "sid",
    ];
    let claims = protocol_claims
        .into_iter()
        .chain(c_hash.then_some("c_hash"))
        .chain((!acr_values.is_empty()).then_some("acr"))
        .chain(Profile::NAMES)
        .map(ToOwned::to_owned);
    let mut claims_supported: Vec<String> = claims.collect();
    for claim in more_claims {
        if !claims_supported.contains(&claim) {
            claims_supported.push(claim);
        }
    }
    claims_supported
}
