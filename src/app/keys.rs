//! The master key and the signing keys: made at first start, rotated by command.

use std::io;
use std::path::Path;

use crate::clock::UnixTime;
use crate::config::Config;
use crate::keys::ring::new_key;
use crate::keys::{KeyError, KeyRing, MasterKey, Secrets};
use crate::protocol::ids::KeyId;
use crate::protocol::jws::SigningAlgorithm;
use crate::store::Store;

use super::AppError;

/// Every key that is derived from the master key, which must be there already.
pub fn open_secrets(config: &Config) -> Result<Secrets, AppError> {
    Ok(Secrets::derive(&master_key(config, MasterKey::read)?)?)
}

/// The same at a server's start. Only while nothing is sealed yet, a master key may be made: made beside sealed keys, a
/// new one would open none of them, and stand where the right one has to be put back.
pub(super) async fn open_or_make_secrets(
    config: &Config,
    store: &Store,
) -> Result<Secrets, AppError> {
    if store.list_signing_keys().await?.is_empty() {
        Ok(Secrets::derive(&master_key(
            config,
            MasterKey::read_or_create,
        )?)?)
    } else {
        open_secrets(config)
    }
}

/// The master key of the config, or of the file that the config names, got with `from_file`.
fn master_key(
    config: &Config,
    from_file: fn(&Path) -> io::Result<MasterKey>,
) -> Result<MasterKey, AppError> {
    if let Some(text) = &config.keys.master_key {
        // The config was checked: this cannot fail.
        return MasterKey::parse(text.expose())
            .map_err(|_| KeyError::Crypto("read the master key").into());
    }
    let path = config.keys.master_key_file.clone().unwrap_or_default();
    from_file(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => AppError::NoMasterKey { path },
        _ => AppError::MasterKey { path, source },
    })
}

/// The ring of signing keys. At the first start there are none: then one is made for each algorithm, active at once,
/// for nobody can have cached a JWKS without it; and active at any time, for a clock that is set back after the first
/// start must not leave the server without a key.
pub(super) async fn open_ring(
    store: &Store,
    secrets: &Secrets,
    algorithms: &[SigningAlgorithm],
    now: UnixTime,
) -> Result<KeyRing, AppError> {
    let known = store.list_signing_keys().await?;
    for algorithm in algorithms {
        if !known.iter().any(|key| key.algorithm == *algorithm) {
            let key = new_key(*algorithm, secrets, now, 0)?;
            if store.insert_first_signing_key(&key).await? {
                tracing::info!(kid = %key.kid, algorithm = algorithm.as_str(), "made a signing key");
            }
        }
    }
    Ok(KeyRing::load(store.list_signing_keys().await?, secrets)?)
}

/// Announces a successor to the key of `algorithm`; it signs after `keys.announce`. With `at_once`, for a key that has
/// leaked, it signs now, and the old keys verify nothing any more: whoever has them could sign tokens of their own.
/// Its `kid`, and when it begins to sign; `None` when a successor is announced already.
pub async fn rotate(
    config: &Config,
    store: &Store,
    algorithm: SigningAlgorithm,
    at_once: bool,
    now: UnixTime,
) -> Result<Option<(KeyId, UnixTime)>, AppError> {
    let secrets = open_secrets(config)?;
    // A ring that cannot be opened with this master key must not get a key that can.
    KeyRing::load(store.list_signing_keys().await?, &secrets)?;
    let active_at = if at_once {
        now
    } else {
        now + config.keys.announce
    };
    let successor = new_key(algorithm, &secrets, now, active_at)?;
    // The predecessor verifies as long as something it signed may come back: an access token, or an ID token as the
    // hint of a logout at the end of the longest session.
    let lifetimes = &config.lifetimes;
    let longest = lifetimes
        .access_token
        .max(lifetimes.id_token)
        .max(lifetimes.session_absolute);
    let predecessor_expires_at = if at_once { now } else { active_at + longest };
    let rotated = store
        .rotate_signing_key(&successor, predecessor_expires_at)
        .await?;
    Ok(rotated.then_some((successor.kid, active_at)))
}
