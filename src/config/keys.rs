//! `[keys]`: the master key that seals, and the algorithms that sign.

use std::path::PathBuf;

use serde::Deserialize;

use super::database::Database;
use super::duration::{Span, show_seconds};
use super::place::{Place, Report};
use super::reference::warn_of_readers;
use crate::protocol::discovery::JWKS_MAX_AGE;
use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::key_bytes::key_bytes;
use crate::protocol::secret::Secret;

/// What signs and seals.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The master key as written, known to be 32 bytes; absent only with SQLite.
    pub master_key: Option<Secret>,
    /// Where the master key is kept, and made at the first start, when [`Keys::master_key`] is absent.
    pub master_key_file: Option<PathBuf>,
    /// The algorithms to have keys for; the first is the default. Never empty.
    pub algorithms: Vec<SigningAlgorithm>,
    /// Seconds that a new key is published before it signs (T47).
    pub announce: i64,
    /// Seconds that a key signs before its successor does; `None`: until somebody says so.
    pub rotate_every: Option<i64>,
}

/// What the master key's file is called when only the database is known: its name with this at the end.
const MASTER_KEY_EXTENSION: &str = "master-key";

const DAY: i64 = 24 * 60 * 60;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    master_key: Option<Secret>,
    master_key_file: Option<PathBuf>,
    algorithms: Option<Vec<SigningAlgorithm>>,
    announce: Option<Span>,
    rotate_every: Option<String>,
}

impl Keys {
    pub(super) fn check(raw: Raw, database: &Database, at: &Place, report: &mut Report) -> Self {
        let in_config = at.key("master_key");
        if let Some(key) = &raw.master_key
            && key_bytes(key.expose()).is_none()
        {
            report.problem(
                &in_config,
                "must be 32 random bytes as base64 or hexadecimal; make one with: openssl rand -base64 32",
            );
        }
        if raw.master_key.is_some() && raw.master_key_file.is_some() {
            report.problem(
                &at.key("master_key_file"),
                "stands beside master_key; keep one of them",
            );
        } else if database.is_postgres() && raw.master_key.is_none() {
            report.problem(
                &in_config,
                "is missing; with PostgreSQL every node needs the same one: make it with openssl rand -base64 32, and write { env = \"NAME\" } or { file = \"path\" }",
            );
        }
        let master_key_file = raw.master_key.is_none().then(|| match raw.master_key_file {
            Some(path) => at.beside(path),
            None => match database.sqlite_file() {
                Some(file) => file.with_added_extension(MASTER_KEY_EXTENSION),
                None => at.beside(format!("portico.{MASTER_KEY_EXTENSION}")),
            },
        });
        if let Some(file) = &master_key_file {
            warn_of_readers(file, &at.key("master_key_file"), report);
        }
        let mut algorithms = raw
            .algorithms
            .unwrap_or_else(|| vec![SigningAlgorithm::default()]);
        if algorithms.is_empty() {
            report.problem(
                &at.key("algorithms"),
                "is empty; write [\"RS256\"], or leave it out",
            );
        } else if !algorithms.contains(&SigningAlgorithm::RS256) {
            // OpenID Connect Discovery section 3, RFC 9068 section 2.1.
            report.warn(
                &at.key("algorithms"),
                "has no RS256, which every OpenID Provider must support: apps that know no other cannot be served; add it at the end",
            );
        }
        let mut seen = Vec::new();
        algorithms.retain(|algorithm| {
            let new = !seen.contains(algorithm);
            seen.push(*algorithm);
            new
        });
        let announce = raw.announce.map_or(60 * 60, |span| {
            span.seconds(
                (JWKS_MAX_AGE + 60, 30 * DAY),
                60 * 60,
                &at.key("announce"),
                report,
            )
        });
        let rotate_every = check_rotation(raw.rotate_every.as_deref(), announce, at, report);
        Self {
            master_key: raw.master_key,
            master_key_file,
            algorithms,
            announce,
            rotate_every,
        }
    }
}

fn check_rotation(
    written: Option<&str>,
    announce: i64,
    at: &Place,
    report: &mut Report,
) -> Option<i64> {
    let at = at.key("rotate_every");
    let default = 90 * DAY;
    let every = match written {
        None => default,
        Some("off") => return None,
        Some(text) => {
            if let Some(span) = Span::parse(text) {
                span.seconds((DAY, 3650 * DAY), default, &at, report)
            } else {
                report.problem(&at, "must be a duration such as \"90d\", or \"off\"");
                default
            }
        }
    };
    // A successor is announced while the key signs, and only one at a time.
    if every < 2 * announce {
        let least = show_seconds(2 * announce);
        report.problem(
            &at,
            format!("must be twice keys.announce at the least, {least}"),
        );
    }
    Some(every)
}
