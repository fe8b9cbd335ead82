//! `jwks`, `jwks_file` and `jwks_uri` of a client, and what it signs with its keys.

use std::path::Path;

use serde_json::Value;

use super::client_words;
use super::place::{Place, Report};
use crate::protocol::client_assertion::AssertionAlgorithm;
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::client_metadata::rules::{Keys, Rule, is_fetched};
use crate::protocol::jwk::JwkSet;
use crate::protocol::request_object::RequestObjectAlgorithm;

/// What a client says about it.
pub(super) struct Wanted<'a> {
    pub(super) method: ClientAuthMethod,
    pub(super) algorithm: Option<AssertionAlgorithm>,
    pub(super) allow_token_endpoint_audience: bool,
    pub(super) jwks: Option<&'a Value>,
    pub(super) jwks_file: Option<&'a Path>,
    pub(super) jwks_uri: Option<&'a str>,
    pub(super) object_algorithm: Option<RequestObjectAlgorithm>,
    pub(super) require_object: bool,
    pub(super) request_uris: &'a [String],
}

/// The keys that were written, and everything that is wrong about them and about how the client signs.
pub(super) fn check(wanted: Wanted<'_>, at: &Place, report: &mut Report) -> Option<JwkSet> {
    let at_jwks = at.key("jwks");
    let places = [
        wanted.jwks.is_some(),
        wanted.jwks_file.is_some(),
        wanted.jwks_uri.is_some(),
    ];
    let set = match (wanted.jwks, wanted.jwks_file) {
        (Some(value), _) => register(value, &at_jwks, report),
        (None, Some(file)) => {
            let place = at.key("jwks_file");
            read(&at.beside(file), &place, report)
                .and_then(|value| register(&value, &place, report))
        }
        (None, None) => None,
    };
    check_objects(&wanted, set.as_ref(), places.contains(&true), at, report);
    let keys = Keys {
        method: wanted.method,
        algorithm: wanted.algorithm,
        places: places.into_iter().filter(|written| *written).count(),
        jwks: set.as_ref(),
        jwks_uri: wanted.jwks_uri,
    };
    client_words::tell(keys.faults(), at, report);
    check_audience(&wanted, at, report);
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

fn check_audience(wanted: &Wanted<'_>, at: &Place, report: &mut Report) {
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

/// RFC 9101, OpenID Connect Core section 6.
fn check_objects(
    wanted: &Wanted<'_>,
    set: Option<&JwkSet>,
    has_keys: bool,
    at: &Place,
    report: &mut Report,
) {
    let at_algorithm = at.key("request_object_signing_alg");
    let unsigned = wanted.object_algorithm == Some(RequestObjectAlgorithm::Unsigned);
    let by_key = wanted
        .object_algorithm
        .and_then(RequestObjectAlgorithm::of_key);
    if let Some(algorithm) = by_key {
        if !has_keys {
            report.problem(
                &at_algorithm,
                "needs the app's public keys; write jwks, jwks_file or jwks_uri",
            );
        } else if set.is_some_and(|set| !set.fits(algorithm)) {
            report.problem(
                &at_algorithm,
                "is an algorithm that none of the app's keys is for; leave it out for all that they are for",
            );
        }
    }
    if wanted.require_object && (unsigned || !has_keys) {
        report.problem(
            &at.key("require_signed_request_object"),
            "needs keys to sign with; write jwks, jwks_file or jwks_uri, and no request_object_signing_alg = \"none\"",
        );
    }
    let at_uris = at.key("request_uris");
    if !wanted.request_uris.is_empty() && !unsigned && !has_keys {
        report.problem(
            &at_uris,
            "leads to request objects, which are signed; write jwks, jwks_file or jwks_uri",
        );
    }
    for (index, uri) in wanted.request_uris.iter().enumerate() {
        let place = uri.split('#').next().unwrap_or_default();
        // Core section 6.2.
        if uri.len() > 512 {
            report.problem(
                &at_uris.index(index),
                "must have 512 characters at the most",
            );
        } else if !is_fetched(place) {
            let words = client_words::words(&Rule::NotFetched);
            report.problem(&at_uris.index(index), words);
        }
    }
}
