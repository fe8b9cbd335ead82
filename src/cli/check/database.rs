//! The database and the keys in it.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use anyhow::Context as _;

use crate::app;
use crate::clock::UnixTime;
use crate::config::Config;
use crate::keys::KeyRing;
use crate::model::signing_key::{KeyState, SigningKeyRecord};
use crate::protocol::error::chain;
use crate::store::{Store, StoreError};

use super::super::database;
use super::Report;

pub(super) async fn check(config: &Config, now: UnixTime, report: &mut Report) {
    if let Some(file) = config.database.sqlite_file() {
        let outcome = writable(&file);
        if outcome.is_err() || !file.exists() {
            return report.outcome("database", outcome);
        }
    }
    match database::open(config).await {
        Ok(store) => {
            let kind = store.backend().as_str();
            report.ok("database", format!("{kind}: reachable, schema in place"));
            let outcome = keys(config, &store, now).await;
            report.outcome("keys", outcome.map_err(|error| chain(error.as_ref())));
            store.close().await;
        }
        Err(error) => {
            let told = chain(error.as_ref());
            match error.downcast_ref() {
                // Nobody's login fails by it: whoever starts next brings it up to date.
                Some(StoreError::SchemaOutdated) => {
                    report.warn(
                        "database",
                        format!("reachable; {told}, or start the server, which does the same"),
                    );
                }
                _ => report.wrong(
                    "database",
                    format!("{told}; look at database.url, and whether the database runs"),
                ),
            }
        }
    }
}

/// Whether a server can keep its database in this file: in its folder, too, for SQLite keeps its log beside it.
fn writable(file: &Path) -> Result<String, String> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(format!(
            "the folder of {} is not there; make it, writable by Portico's user",
            file.display()
        ));
    }
    let refused = |what: &Path, error: io::Error| {
        format!(
            "{} cannot be written to ({error}); make it writable by Portico's user, or let database.url name another place",
            what.display()
        )
    };
    // Tried, for what may be written is not only what modes say: the file has no name, and goes at once.
    tempfile::tempfile_in(folder).map_err(|error| refused(folder, error))?;
    if file.is_file() {
        let opened = OpenOptions::new().append(true).open(file);
        opened.map_err(|error| refused(file, error))?;
    }
    Ok(format!(
        "{} is not there; the first start makes it",
        file.display()
    ))
}

async fn keys(config: &Config, store: &Store, now: UnixTime) -> anyhow::Result<String> {
    let records = store.list_signing_keys().await?;
    if records.is_empty() {
        return Ok("none yet; the first start makes them".to_owned());
    }
    let secrets = app::open_secrets(config).context("keys.master_key")?;
    let active = |key: &SigningKeyRecord| key.state(now) == KeyState::Active;
    let missing: Vec<&str> = config
        .keys
        .algorithms
        .iter()
        .filter(|algorithm| {
            !records
                .iter()
                .any(|key| key.algorithm == **algorithm && active(key))
        })
        .map(|algorithm| algorithm.as_str())
        .collect();
    let count = records.len();
    KeyRing::load(records, &secrets)?;
    Ok(if missing.is_empty() {
        format!("signing keys: {count}, opened with the master key")
    } else {
        format!(
            "those for {} are made at the next start",
            missing.join(", ")
        )
    })
}
