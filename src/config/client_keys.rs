//! `jwks`, `jwks_file` and `jwks_uri` of a client, and what it signs with its keys.

use std::path::Path;

use serde_json::Value;

use super::client_uris;
use super::place::{Place, Report};
use crate::protocol::client_assertion::AssertionAlgorithm;
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::jwk::JwkSet;

/// What a client says about it.
pub(super) struct Wanted<'a> {
    pub(super) method: ClientAuthMethod,
    pub(super) algorithm: Option<AssertionAlgorithm>,
    pub(super) allow_token_endpoint_audience: bool,
    pub(super) jwks: Option<&'a Value>,
    pub(super) jwks_file: Option<&'a Path>,
    pub(super) jwks_uri: Option<&'a str>,
}

/// The keys that were written, and everything that is wrong about them and about how the client signs.
pub(super) fn check(wanted: Wanted<'_>, at: &Place, report: &mut Report) -> Option<JwkSet> {
    let at_jwks = at.key("jwks");
    let places = [
        wanted.jwks.is_some(),
        wanted.jwks_file.is_some(),
        wanted.jwks_uri.is_some(),
    ];
    match places.into_iter().filter(|written| *written).count() {
        0 if wanted.method == ClientAuthMethod::PrivateKeyJwt => report.problem(
            &at_jwks,
            "is missing: private_key_jwt needs the app's public keys; write jwks = { keys = [..] }, jwks_file = \"path\" or jwks_uri = \"https://..\"",
        ),
        0 | 1 => {}
        _ => report.problem(
            &at_jwks,
            "stands beside other keys; keep one of jwks, jwks_file and jwks_uri",
        ),
    }
    if let Some(uri) = wanted.jwks_uri {
        client_uris::check_fetched(uri, &at.key("jwks_uri"), report);
    }
    let set = match (wanted.jwks, wanted.jwks_file) {
        (Some(value), _) => register(value, &at_jwks, report),
        (None, Some(file)) => {
            let place = at.key("jwks_file");
            read(&at.beside(file), &place, report)
                .and_then(|value| register(&value, &place, report))
        }
        (None, None) => None,
    };
    check_signing(&wanted, set.as_ref(), at, report);
    set
}

fn register(value: &Value, at: &Place, report: &mut Report) -> Option<JwkSet> {
    JwkSet::register(value)
        .map_err(|problem| report.problem(at, problem.to_string()))
        .ok()
}

fn read(file: &Path, at: &Place, report: &mut Report) -> Option<Value> {
    let shown = file.display();
    let text = std::fs::read(file)
        .map_err(|error| report.problem(at, format!("the file {shown} cannot be read: {error}")))
        .ok()?;
    serde_json::from_slice(&text)
        .map_err(|error| report.problem(at, format!("the file {shown} holds no JSON: {error}")))
        .ok()
}

fn check_signing(wanted: &Wanted<'_>, set: Option<&JwkSet>, at: &Place, report: &mut Report) {
    let at_algorithm = at.key("token_endpoint_auth_signing_alg");
    let by_key = wanted.algorithm.map(AssertionAlgorithm::of_key);
    match (wanted.method, by_key) {
        (_, None) | (ClientAuthMethod::ClientSecretJwt, Some(None)) => {}
        (ClientAuthMethod::PrivateKeyJwt, Some(Some(algorithm))) => {
            if set.is_some_and(|set| !set.fits(algorithm)) {
                report.problem(
                    &at_algorithm,
                    "is an algorithm that none of the app's keys is for; leave it out for all that they are for",
                );
            }
        }
        (ClientAuthMethod::PrivateKeyJwt, Some(None)) => report.problem(
            &at_algorithm,
            "HS256 needs a secret; write RS256, PS256, ES256 or EdDSA, or token_endpoint_auth_method = \"client_secret_jwt\"",
        ),
        (ClientAuthMethod::ClientSecretJwt, Some(Some(_))) => report.problem(
            &at_algorithm,
            "must be HS256, or left out: client_secret_jwt signs with the secret",
        ),
        _ => report.problem(
            &at_algorithm,
            "is for apps that sign: remove it, or write token_endpoint_auth_method = \"private_key_jwt\"",
        ),
    }
    if wanted.allow_token_endpoint_audience {
        let place = at.key("allow_token_endpoint_audience");
        if matches!(
            wanted.method,
            ClientAuthMethod::PrivateKeyJwt | ClientAuthMethod::ClientSecretJwt
        ) {
            report.warn(
                &place,
                "assertions meant for the token endpoint's address are taken too; a server that the app also trusts could have it make one",
            );
        } else {
            report.problem(
                &place,
                "is for apps that sign: remove it, or write token_endpoint_auth_method = \"private_key_jwt\"",
            );
        }
    }
}
