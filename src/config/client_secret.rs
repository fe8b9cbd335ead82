//! `client_secret` of a client: one, or two while one replaces the other.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::place::{Place, Report};
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::secret::Secret;

/// The fewest characters of a client secret: below this it can be guessed at the token endpoint.
const MIN_SECRET: usize = 16;
/// The fewest bytes of one that the client signs with.
const MIN_KEY: usize = 32;
/// The most: it must fit into a Basic header, form-encoded (T48).
const MAX_SECRET: usize = 512;

/// Refuses a secret that the method has no use for, a missing one, and one that can be guessed.
pub(super) fn check(
    written: Option<&RawSecrets>,
    method: ClientAuthMethod,
    at: &Place,
    report: &mut Report,
) {
    let secrets = match (written, !method.has_secret()) {
        (None, true) => return,
        (None, false) => {
            return report.problem(
                at,
                "is missing; write { env = \"NAME\" } or { file = \"path\" }, or token_endpoint_auth_method = \"none\" for an app that cannot keep a secret",
            );
        }
        (Some(_), true) => {
            return report.problem(
                at,
                format!("a client with token_endpoint_auth_method = \"{}\" has no secret; remove it, or write token_endpoint_auth_method = \"client_secret_basic\"", method.as_str()),
            );
        }
        (Some(secrets), false) => secrets,
    };
    if !(1..=2).contains(&secrets.0.len()) {
        report.problem(
            at,
            "must be one secret, or an array of two while one replaces the other",
        );
    }
    for (index, secret) in secrets.0.iter().enumerate() {
        let place = if secrets.0.len() == 1 {
            at.clone()
        } else {
            at.index(index)
        };
        let secret = secret.expose();
        if method == ClientAuthMethod::ClientSecretJwt && secret.len() < MIN_KEY {
            report.problem(
                &place,
                format!("must have {MIN_KEY} bytes or more, since the client signs with it (RFC 7518 section 3.2); make one with: openssl rand -base64 32"),
            );
        } else if secret.chars().count() < MIN_SECRET {
            report.problem(
                &place,
                format!("must have {MIN_SECRET} characters or more; make one with: openssl rand -base64 32"),
            );
        } else if secret.len() > MAX_SECRET {
            report.problem(&place, format!("must have {MAX_SECRET} bytes at the most"));
        } else if secret.chars().any(char::is_control) {
            report.problem(&place, "must be one line without control characters");
        }
    }
}

/// `client_secret`: one secret, or an array of two.
#[derive(Debug)]
pub(super) struct RawSecrets(pub(super) Vec<Secret>);

impl<'de> Deserialize<'de> for RawSecrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrTwo)
    }
}

struct OneOrTwo;

impl<'de> Visitor<'de> for OneOrTwo {
    type Value = RawSecrets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ env = \"NAME\" }, { file = \"path\" }, or an array of two such")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RawSecrets, E> {
        // For its refusal.
        Secret::deserialize(StrDeserializer::new(text)).map(|secret| RawSecrets(vec![secret]))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawSecrets, A::Error> {
        Secret::deserialize(MapAccessDeserializer::new(map)).map(|secret| RawSecrets(vec![secret]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawSecrets, A::Error> {
        let mut secrets = Vec::new();
        while let Some(secret) = seq.next_element()? {
            secrets.push(secret);
        }
        Ok(RawSecrets(secrets))
    }
}
