//! `jwks`, `jwks_file` and `jwks_uri` of a client, and what it signs with its keys.

use std::path::Path;

use serde_json::Value;

use super::client_words;
use super::place::{Place, Report};
use crate::protocol::client_assertion::AssertionAlgorithm;
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::client_metadata::rules::{Keys, Objects};
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
pub(super) fn check(wanted: &Wanted<'_>, at: &Place, report: &mut Report) -> Option<JwkSet> {
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
    let objects = Objects {
        algorithm: wanted.object_algorithm,
        required: wanted.require_object,
        request_uris: wanted.request_uris,
        has_keys: places.contains(&true),
        jwks: set.as_ref(),
    };
    client_words::tell(objects.faults(), at, report);
    let keys = Keys {
        method: wanted.method,
        algorithm: wanted.algorithm,
        places: places.into_iter().filter(|written| *written).count(),
        jwks: set.as_ref(),
        jwks_uri: wanted.jwks_uri,
    };
    client_words::tell(keys.faults(), at, report);
    check_audience(wanted, at, report);
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
