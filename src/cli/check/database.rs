//! The database and the keys in it.

use anyhow::Context as _;

use crate::app;
use crate::clock::UnixTime;
use crate::config::Config;
use crate::keys::KeyRing;
use crate::model::signing_key::{KeyState, SigningKeyRecord};
use crate::protocol::error::chain;
use crate::store::Store;

use super::super::database;
use super::Report;

pub(super) async fn check(config: &Config, now: UnixTime, report: &mut Report) {
    if let Some(file) = config.database.sqlite_file()
        && !file.exists()
    {
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let outcome = if folder.is_none_or(std::path::Path::is_dir) {
            Ok(format!(
                "{} is not there; the first start makes it",
                file.display()
            ))
        } else {
            Err(format!(
                "the folder of {} is not there; make it, writable by Portico's user",
                file.display()
            ))
        };
        return report.outcome("database", outcome);
    }
    match database::open(config).await {
        Ok(store) => {
            let kind = store.backend().as_str();
            report.ok("database", format!("{kind}: reachable, schema in place"));
            let outcome = keys(config, &store, now).await;
            report.outcome("keys", outcome.map_err(|error| chain(error.as_ref())));
            store.close().await;
        }
        Err(error) => report.wrong(
            "database",
            format!(
                "{}; look at database.url, and whether the database runs",
                chain(error.as_ref())
            ),
        ),
    }
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
