//! From SQLite to PostgreSQL, when one machine is not enough any more.

use std::path::Path;

use crate::config::{Config, Database};
use crate::keys::KeyRing;
use crate::store::Store;

use super::{AppError, open_database, open_secrets};

/// Moves all that the SQLite file at `source` holds into the database of the config, which is PostgreSQL and empty, and whose schema is
/// brought up to date first. How many rows each table has got.
///
/// Apps, people and what they are signed in to stay what they were only if the master key stays, too: it is tried before.
pub async fn move_database(
    config: &Config,
    source: &Path,
) -> Result<Vec<(&'static str, u64)>, AppError> {
    if !config.database.is_postgres() {
        return Err(AppError::MoveTarget);
    }
    Store::check_source(source).await?;
    let old = Store::open(&Database::of_file(source).url).await?;
    let keys = old.list_signing_keys().await;
    old.close().await;
    KeyRing::load(keys?, &open_secrets(config)?).map_err(|error| AppError::MoveMasterKey {
        path: source.to_owned(),
        source: error,
    })?;
    open_database(config).await?.close().await;
    Ok(Store::move_into(source, &config.database.url).await?)
}
