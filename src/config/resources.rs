//! `[[resources]]`: the APIs that access tokens are for (RFC 8707).

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Value;

use super::clients::{Known, check_named_algorithm};
use super::place::{Place, Report};
use super::text::Translations;
use super::{ClientConfig, section};
use crate::model::resource::Resource;
use crate::protocol::ids::ClientId;
use crate::protocol::issuer::Issuer;
use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::resource::is_identifier;
use crate::protocol::scope::Scope;
use crate::protocol::token::AccessTokenFormat;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    identifier: Option<String>,
    name: Option<Translations>,
    scope: Option<String>,
    access_token_format: Option<AccessTokenFormat>,
    access_token_signed_response_alg: Option<SigningAlgorithm>,
    introspection_clients: Vec<String>,
}

/// The identifiers that are written, those of entries with a mistake too.
pub(super) fn identifiers(entries: &[Value]) -> Vec<String> {
    let written = entries
        .iter()
        .filter_map(|entry| entry.get("identifier")?.as_str());
    written.map(ToOwned::to_owned).collect()
}

/// Reads every entry, and where it stands.
pub(super) fn read_all(
    entries: Vec<Value>,
    issuer: Option<&Issuer>,
    known: &Known<'_>,
    at: &Place,
    report: &mut Report,
) -> Vec<(Place, Resource)> {
    let mut resources: Vec<(Place, Resource)> = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let at = at.index(index);
        let Some(raw) = section::read::<Raw>(entry, &at, report) else {
            continue;
        };
        let Some(resource) = check(raw, issuer, known, &at, report) else {
            continue;
        };
        if resources
            .iter()
            .any(|(_, other)| other.identifier == resource.identifier)
        {
            report.problem(
                &at.key("identifier"),
                "is the identifier of another resource, too",
            );
            continue;
        }
        resources.push((at, resource));
    }
    resources
}

fn check(
    raw: Raw,
    issuer: Option<&Issuer>,
    known: &Known<'_>,
    at: &Place,
    report: &mut Report,
) -> Option<Resource> {
    let at_identifier = at.key("identifier");
    let Some(identifier) = raw.identifier else {
        report.problem(
            &at_identifier,
            "is missing; write the address of the API, such as \"https://api.example.org\"",
        );
        return None;
    };
    if !is_identifier(&identifier) {
        report.problem(
            &at_identifier,
            "must be an absolute URI without fragment (RFC 8707 section 2), such as \"https://api.example.org\"",
        );
    }
    if issuer.is_some_and(|issuer| issuer.as_str() == identifier) {
        report.problem(
            &at_identifier,
            "is the issuer, which stands for /userinfo and the gateway by itself; write the address of an API of yours",
        );
    }
    let name = raw
        .name
        .and_then(|name| name.check_name(&at.key("name"), report));
    let scope = raw.scope.map(|written| {
        Scope::parse(&written).unwrap_or_else(|error| {
            report.problem(&at.key("scope"), error.to_string());
            Scope::default()
        })
    });
    if raw.access_token_format == Some(AccessTokenFormat::Opaque)
        && raw.introspection_clients.is_empty()
    {
        report.problem(
            &at.key("introspection_clients"),
            "is missing: the API cannot read opaque tokens, so it has to ask; write the client_id with which it does",
        );
    }
    let clients = raw.introspection_clients.iter().map(ClientId::new);
    Some(Resource {
        identifier,
        name,
        scope,
        access_token_format: raw.access_token_format,
        access_token_signed_response_alg: check_named_algorithm(
            raw.access_token_signed_response_alg,
            known,
            &at.key("access_token_signed_response_alg"),
            report,
        ),
        introspection_clients: clients.collect::<BTreeSet<_>>(),
    })
}

/// Tells each client that stands for a resource and cannot ask: one that no file has, or that has no secret.
pub(super) fn check_clients(
    resources: &[(Place, Resource)],
    clients: &[ClientConfig],
    report: &mut Report,
) {
    for (at, resource) in resources {
        let at = at.key("introspection_clients");
        for id in &resource.introspection_clients {
            match clients.iter().find(|client| client.client.client_id == *id) {
                None => report.problem(&at, format!("{id} is not the client_id of a client")),
                Some(client) if client.client.is_public() => report.problem(
                    &at,
                    format!("{id} has no secret, and /introspect is for clients that have one"),
                ),
                Some(_) => {}
            }
        }
    }
}
