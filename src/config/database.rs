//! `[database]`: where the records are.

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use url::Url;

use super::place::{Place, Report};
use crate::protocol::secret::Secret;

/// Where the records are.
#[derive(Clone, Debug)]
pub struct Database {
    /// `sqlite:…` or `postgres://…`; secret, for it may hold a password.
    pub url: Secret,
}

impl Database {
    /// The SQLite database in the file at `path`.
    pub fn of_file(path: &Path) -> Self {
        Self {
            url: Secret::new(sqlite_url(path, "")),
        }
    }

    /// Whether the records are in a file of ours, or in memory.
    pub fn is_sqlite(&self) -> bool {
        self.url.expose().starts_with("sqlite:")
    }

    /// Whether the records are in PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        let scheme = self.url.expose().split_once(':').map(|(scheme, _)| scheme);
        matches!(scheme, Some("postgres" | "postgresql"))
    }

    /// The file of an SQLite database; `None` for one in memory, and for PostgreSQL.
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        let path = self.url.expose().strip_prefix("sqlite:")?;
        sqlite_path(path).map(|(path, _)| path)
    }

    /// The URL as it may be shown: without what could be a password.
    pub fn shown(&self) -> String {
        if self.is_sqlite() {
            return self.url.expose().to_owned();
        }
        let Ok(url) = Url::parse(self.url.expose()) else {
            return "[secret]".to_owned();
        };
        let host = url.host_str().unwrap_or_default();
        let port = url
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        format!("{}://{host}{port}{}", url.scheme(), url.path())
    }
}

/// The database beside the config when nothing else is said.
const DEFAULT_URL: &str = "sqlite:portico.db";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    url: Option<RawUrl>,
}

#[derive(Debug)]
enum RawUrl {
    Plain(String),
    Secret(Secret),
}

impl Database {
    pub(super) fn check(raw: Raw, at: &Place, report: &mut Report) -> Self {
        let at = at.key("url");
        let (url, is_plain) = match raw.url {
            None => (Secret::new(DEFAULT_URL), true),
            Some(RawUrl::Plain(url)) => (Secret::new(url), true),
            Some(RawUrl::Secret(url)) => (url, false),
        };
        if let Some(rest) = url.expose().strip_prefix("sqlite:") {
            return Self {
                url: Secret::new(beside_config(rest, &at)),
            };
        }
        match Url::parse(url.expose()) {
            Ok(parsed) if matches!(parsed.scheme(), "postgres" | "postgresql") => {
                let in_query = parsed.query_pairs().any(|(key, _)| key == "password");
                if is_plain && (parsed.password().is_some() || in_query) {
                    report.problem(
                        &at,
                        "holds a password, which is not written into the config: put the whole URL where { env = \"NAME\" } or { file = \"path\" } finds it",
                    );
                }
            }
            _ => report.problem(
                &at,
                "must begin with sqlite: or postgres://, such as \"sqlite:portico.db\" or \"postgres://portico@db.example.org/portico\"",
            ),
        }
        Self { url }
    }
}

/// An `sqlite:` URL whose relative path counts from the folder of the config, wherever the server is started from.
fn beside_config(rest: &str, at: &Place) -> String {
    match sqlite_path(rest) {
        Some((path, options)) if path.is_relative() => sqlite_url(&at.beside(path), &options),
        _ => format!("sqlite:{rest}"),
    }
}

fn sqlite_url(path: &Path, options: &str) -> String {
    let path = path.to_string_lossy();
    let path = utf8_percent_encode(&path, PATH);
    format!("sqlite://{path}{options}")
}

/// What would end or change a path in an `sqlite:` URL.
const PATH: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ');

/// Path and options of what follows `sqlite:`; `None` for a database in memory.
fn sqlite_path(rest: &str) -> Option<(PathBuf, String)> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, options) = match rest.split_once('?') {
        Some((path, options)) => (path, format!("?{options}")),
        None => (rest, String::new()),
    };
    let in_memory = path.is_empty() || path == ":memory:" || options.contains("mode=memory");
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    (!in_memory).then(|| (Path::new(decoded.as_ref()).to_owned(), options))
}

impl<'de> Deserialize<'de> for RawUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UrlOrReference)
    }
}

struct UrlOrReference;

impl<'de> Visitor<'de> for UrlOrReference {
    type Value = RawUrl;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a database URL, { env = \"NAME\" } or { file = \"path\" }")
    }

    fn visit_str<E>(self, text: &str) -> Result<RawUrl, E> {
        Ok(RawUrl::Plain(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawUrl, A::Error> {
        Secret::deserialize(MapAccessDeserializer::new(map)).map(RawUrl::Secret)
    }
}
