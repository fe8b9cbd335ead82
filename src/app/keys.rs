//! The master key and the signing keys: made at first start, rotated by themselves and by command.

use std::io;
use std::path::Path;

use crate::clock::UnixTime;
use crate::config::Config;
use crate::keys::ring::new_key;
use crate::keys::{KeyError, KeyRing, MasterKey, Secrets};
use crate::model::audit::Event;
use crate::model::signing_key::{KeyState, SigningKeyRecord};
use crate::protocol::ids::KeyId;
use crate::protocol::jws::SigningAlgorithm;
use crate::store::Store;
use crate::telemetry::{Audit, Entry};

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

/// What the config wants of the signing keys.
#[derive(Clone, Debug)]
pub(super) struct KeyPolicy {
    algorithms: Vec<SigningAlgorithm>,
    announce: i64,
    rotate_every: Option<i64>,
    /// Seconds that a retired key still verifies.
    kept: i64,
}

/// Keys that are younger are those of the first start, which another node is still making.
const FIRST_START: i64 = 60;

impl KeyPolicy {
    /// That of `config`. A retired key verifies as long as something it signed may come back: an access token, or an ID
    /// token as the hint of a logout at the end of the longest session.
    pub(super) fn of(config: &Config) -> Self {
        let lifetimes = &config.lifetimes;
        let sessions = config.session_lifetimes();
        let longest_session = [false, true].map(|persistent| sessions.of(persistent).absolute);
        let kept = [lifetimes.access_token, lifetimes.id_token]
            .into_iter()
            .chain(longest_session)
            .max();
        Self {
            algorithms: config.keys.algorithms.clone(),
            announce: config.keys.announce,
            rotate_every: config.keys.rotate_every,
            kept: kept.unwrap_or_default(),
        }
    }

    /// Whether the successor of a key is to be announced now, so that it signs when the key has signed long enough.
    fn is_due(&self, key: &SigningKeyRecord, now: UnixTime) -> bool {
        // The keys of the first start are active at any time.
        let since = key.active_at.max(key.announced_at);
        self.rotate_every
            .is_some_and(|every| now >= since + every - self.announce)
    }
}

/// Opens the ring of signing keys, brought to where they have to be at `now`.
pub(super) async fn open_ring(
    store: &Store,
    secrets: &Secrets,
    policy: &KeyPolicy,
    audit: &Audit,
    now: UnixTime,
) -> Result<KeyRing, AppError> {
    keep(store, secrets, policy, audit, now).await?;
    Ok(KeyRing::load(store.list_signing_keys().await?, secrets)?)
}

/// Brings the signing keys to where they have to be at `now`: a key for every algorithm of the config, a successor where one
/// is due, an end for those of algorithms that the config no longer names. Every node does this over and over; each step is
/// one statement that lets one of them win.
pub(super) async fn keep(
    store: &Store,
    secrets: &Secrets,
    policy: &KeyPolicy,
    audit: &Audit,
    now: UnixTime,
) -> Result<(), AppError> {
    let known = store.list_signing_keys().await?;
    // A ring that cannot be opened with this master key must not get a key that can.
    KeyRing::load(known.clone(), secrets)?;
    let first_start = known
        .iter()
        .all(|key| key.active_at == 0 && (now - key.announced_at).abs() < FIRST_START);
    for algorithm in &policy.algorithms {
        let own = known.iter().filter(|key| key.algorithm == *algorithm);
        let lasting = own.clone().filter(|key| key.retired_at.is_none());
        if let Some(newest) = lasting.max_by_key(|key| key.active_at) {
            if newest.state(now) == KeyState::Active && policy.is_due(newest, now) {
                announce(store, secrets, policy, audit, *algorithm, now).await?;
            }
            continue;
        }
        // Also one that is only announced: a node that is not restarted yet may have ended it.
        let ending = own
            .clone()
            .filter(|key| key.retired_at.is_some_and(|at| at > now));
        if let Some(key) = ending.max_by_key(|key| key.active_at) {
            // Its algorithm was no longer named, and now is again.
            store.keep_signing_key(&key.kid, now).await?;
        } else if own.count() == 0 {
            begin(
                store,
                secrets,
                policy,
                audit,
                (*algorithm, first_start),
                now,
            )
            .await?;
        } else {
            announce(store, secrets, policy, audit, *algorithm, now).await?;
        }
    }
    end_unnamed(store, policy, audit, &known, now).await
}

/// Makes the first key of an algorithm. At the first start of all it is active at once, for nobody can have cached a JWKS
/// without it; and active at any time, for a clock that is set back after the first start must not leave the server
/// without a key. Later it is announced first, like every other (T47).
async fn begin(
    store: &Store,
    secrets: &Secrets,
    policy: &KeyPolicy,
    audit: &Audit,
    (algorithm, first_start): (SigningAlgorithm, bool),
    now: UnixTime,
) -> Result<(), AppError> {
    let active_at = if first_start {
        0
    } else {
        now + policy.announce
    };
    let key = new_key(algorithm, secrets, now, active_at)?;
    if store.insert_first_signing_key(&key).await? {
        audit.record(entry(Event::SigningKeyMade, &key).with("active_at", active_at));
    }
    Ok(())
}

/// Announces a successor, unless another node was faster.
async fn announce(
    store: &Store,
    secrets: &Secrets,
    policy: &KeyPolicy,
    audit: &Audit,
    algorithm: SigningAlgorithm,
    now: UnixTime,
) -> Result<(), AppError> {
    let active_at = now + policy.announce;
    let successor = new_key(algorithm, secrets, now, active_at)?;
    if store
        .rotate_signing_key(&successor, active_at + policy.kept)
        .await?
    {
        let entry = entry(Event::SigningKeyAnnounced, &successor);
        audit.record(entry.with("active_at", active_at));
    }
    Ok(())
}

/// Retires the keys of algorithms that the config no longer names, once another algorithm signs. They sign for `announce`
/// more, so that nodes which still have the older config are not left without a key while they are restarted.
async fn end_unnamed(
    store: &Store,
    policy: &KeyPolicy,
    audit: &Audit,
    known: &[SigningKeyRecord],
    now: UnixTime,
) -> Result<(), AppError> {
    let named = |key: &&SigningKeyRecord| policy.algorithms.contains(&key.algorithm);
    let signing = |key: &SigningKeyRecord| key.state(now) == KeyState::Active;
    if !known.iter().filter(named).any(signing) {
        return Ok(());
    }
    for key in known
        .iter()
        .filter(|key| !named(key) && key.retired_at.is_none())
    {
        let retired_at = now + policy.announce;
        let expires_at = retired_at + policy.kept;
        if store
            .retire_signing_key(&key.kid, retired_at, expires_at)
            .await?
        {
            let entry = entry(Event::SigningKeyRetired, key);
            audit.record(entry.with("retired_at", retired_at));
        }
    }
    Ok(())
}

/// What is recorded of a key.
fn entry(event: Event, key: &SigningKeyRecord) -> Entry {
    Entry::new(event)
        .with("kid", key.kid.as_str())
        .with("algorithm", key.algorithm.as_str())
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
    let kept = KeyPolicy::of(config).kept;
    let predecessor_expires_at = if at_once { now } else { active_at + kept };
    let rotated = store
        .rotate_signing_key(&successor, predecessor_expires_at)
        .await?;
    Ok(rotated.then_some((successor.kid, active_at)))
}

/// Ends every key whose algorithm the config does not name, and that still signs or verifies, because one has leaked; those of
/// `algorithm` alone, if it is given. Their records, as they were; `None`, and none is ended, while no key of the config's
/// algorithms signs.
pub async fn end_unnamed_at_once(
    config: &Config,
    store: &Store,
    algorithm: Option<SigningAlgorithm>,
    now: UnixTime,
) -> Result<Option<Vec<SigningKeyRecord>>, AppError> {
    let known = store.list_signing_keys().await?;
    let named = |key: &SigningKeyRecord| config.keys.algorithms.contains(&key.algorithm);
    let signs = |key: &SigningKeyRecord| named(key) && key.state(now) == KeyState::Active;
    if !known.iter().any(signs) {
        return Ok(None);
    }
    let mut ended = Vec::new();
    for key in known {
        let meant = algorithm.is_none_or(|algorithm| key.algorithm == algorithm);
        if meant && !named(&key) && store.end_signing_key(&key.kid, now).await? {
            ended.push(key);
        }
    }
    Ok(Some(ended))
}

#[cfg(test)]
mod tests;
