//! The ring of signing keys: who signs now, who verifies, and the JWKS (T39, T41, T47).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::yield_now;

use crate::clock::{SKEW, UnixTime, random_id};
use crate::model::signing_key::{KeyState, SigningKeyRecord};
use crate::protocol::ids::KeyId;
use crate::protocol::jws::{SigningAlgorithm, TokenKind, is_strict_within};

use super::signer::{self, Signer};
use super::{KeyError, Purpose, Secrets};

mod verified;

use verified::Verified;

/// A signature that has waited so long for others since its turn came does not look once more whether there are any.
const GIVES_WAY: Duration = Duration::from_micros(200);

/// The keys as they were last read from the store. Clones share them; a reload is seen by all at once.
#[derive(Clone)]
pub struct KeyRing {
    keys: Arc<RwLock<Arc<Snapshot>>>,
    /// Whose turn it is to sign with RSA.
    turns: Arc<Semaphore>,
}

struct Snapshot {
    keys: Vec<RingKey>,
    /// The JWKS as it was last asked for, and which of the keys it shows.
    jwks: Mutex<(Vec<bool>, Arc<str>)>,
    verified: Verified,
}

struct RingKey {
    record: SigningKeyRecord,
    signer: Signer,
    /// In the order of [`TokenKind::ALL`].
    headers: Vec<String>,
}

/// A token that is not ours, or not of the kind asked for. One error for every reason: it goes to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is not one of ours, or not of this kind")]
pub struct TokenRefused;

impl RingKey {
    fn open(record: SigningKeyRecord, secrets: &Secrets) -> Result<Self, KeyError> {
        let sealed = || KeyError::Sealed {
            kid: record.kid.to_string(),
        };
        let pkcs8 = secrets
            .open(Purpose::SigningKey, record.kid.as_str(), &record.sealed)
            .map(zeroize::Zeroizing::new)
            .ok_or_else(sealed)?;
        let signer = Signer::parse(record.kid.clone(), record.algorithm, &pkcs8)?;
        Ok(Self {
            headers: TokenKind::ALL
                .into_iter()
                .map(|kind| signer.encoded_header(kind))
                .collect::<Result<_, _>>()?,
            signer,
            record,
        })
    }

    /// `None`, which is no token's header, cannot happen: there is one for each kind.
    fn header(&self, kind: TokenKind) -> Option<&str> {
        self.headers.get(kind as usize).map(String::as_str)
    }
}

/// A new key, sealed, announced at `announced_at` and signing from `active_at` on.
pub fn new_key(
    algorithm: SigningAlgorithm,
    secrets: &Secrets,
    announced_at: UnixTime,
    active_at: UnixTime,
) -> Result<SigningKeyRecord, KeyError> {
    let kid = KeyId::new(random_id());
    let pkcs8 = signer::generate(algorithm)?;
    Ok(SigningKeyRecord {
        sealed: secrets.seal(Purpose::SigningKey, kid.as_str(), &pkcs8)?,
        kid,
        algorithm,
        announced_at,
        active_at,
        retired_at: None,
        expires_at: None,
    })
}

impl KeyRing {
    /// Opens every key.
    pub fn load(records: Vec<SigningKeyRecord>, secrets: &Secrets) -> Result<Self, KeyError> {
        let turns = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
        Ok(Self {
            keys: Arc::new(RwLock::new(Arc::new(Snapshot::open(records, secrets)?))),
            turns: Arc::new(Semaphore::new(turns)),
        })
    }

    /// Takes over what the store holds now. On an error the old keys stay.
    pub fn reload(
        &self,
        records: Vec<SigningKeyRecord>,
        secrets: &Secrets,
    ) -> Result<(), KeyError> {
        let fresh = Arc::new(Snapshot::open(records, secrets)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The algorithm that signs at `now` where `wanted` is wished for: that one, or, as long as its first key is only
    /// announced, one that everybody's caches know a key of (T47).
    pub fn algorithm_in_force(&self, wanted: SigningAlgorithm, now: UnixTime) -> SigningAlgorithm {
        let snapshot = self.snapshot();
        let keys = snapshot.keys.iter();
        let active = keys.filter(|key| key.record.state(now) == KeyState::Active);
        let signing: BTreeSet<_> = active.map(|key| key.record.algorithm).collect();
        if signing.contains(&wanted) {
            return wanted;
        }
        signing.first().copied().unwrap_or(wanted)
    }

    /// Signs `claims` as a token of `kind` with the key of `algorithm` that is active at `now`.
    pub fn sign(
        &self,
        kind: TokenKind,
        algorithm: SigningAlgorithm,
        claims: &impl Serialize,
        now: UnixTime,
    ) -> Result<String, KeyError> {
        self.unsigned(kind, algorithm, claims, now)?.sign()
    }

    /// The same where others wait: an RSA signature takes as long as fifty cheap requests. Each gives way to what is ready and has come
    /// in, and no more are made at a time than the runtime has threads: who comes meanwhile waits for these, and not for
    /// those that wait before them.
    pub async fn sign_in_turn(
        &self,
        kind: TokenKind,
        algorithm: SigningAlgorithm,
        claims: &(impl Serialize + Sync),
        now: UnixTime,
    ) -> Result<String, KeyError> {
        let unsigned = self.unsigned(kind, algorithm, claims, now)?;
        if !algorithm.is_rsa() {
            return unsigned.sign();
        }
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|_| KeyError::Crypto("sign"))?;
        let since = Instant::now();
        // The runtime goes on after all that is ready and a look at what has come in. What it finds there goes first only if this is not
        // gone on with at once, as what is woken last is. Where there is no end of what is ready, signatures have their turn, too.
        yield_now().await;
        if since.elapsed() < GIVES_WAY {
            yield_now().await;
        }
        unsigned.sign()
    }

    fn unsigned(
        &self,
        kind: TokenKind,
        algorithm: SigningAlgorithm,
        claims: &impl Serialize,
        now: UnixTime,
    ) -> Result<Unsigned, KeyError> {
        let snapshot = self.snapshot();
        let active = |(_, key): &(usize, &RingKey)| {
            key.record.algorithm == algorithm && key.record.state(now) == KeyState::Active
        };
        // Should two be active (two nodes at their first start), all nodes choose the same.
        let (place, key) = snapshot
            .keys
            .iter()
            .enumerate()
            .filter(active)
            .max_by_key(|(_, key)| (key.record.active_at, key.record.kid.clone()))
            .ok_or(KeyError::NoActiveKey(algorithm.as_str()))?;
        let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?);
        let header = key.header(kind).ok_or(KeyError::Crypto("find a header"))?;
        let text = format!("{header}.{claims}");
        Ok(Unsigned {
            snapshot: Arc::clone(&snapshot),
            place,
            kind,
            text,
        })
    }

    /// Verifies that `token` is one of ours and of `kind`, and gives its claims; whether they are current and meant
    /// for this place is the caller's to check, on the types that it reads them into (T40).
    ///
    /// The header must be, letter by letter, one that we write. So there is no other algorithm, no `none`, no key in
    /// the header, no `crit` and no other kind of token to consider (T39, T41), and an unknown `kid` costs nothing (T47).
    pub fn verify<C: DeserializeOwned>(
        &self,
        kind: TokenKind,
        token: &str,
        now: UnixTime,
    ) -> Result<C, TokenRefused> {
        if !is_strict_within(kind.max_bytes(), token) {
            return Err(TokenRefused);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenRefused)?;
        let (header, claims) = message.split_once('.').ok_or(TokenRefused)?;
        let snapshot = self.snapshot();
        let key = snapshot
            .keys
            .iter()
            .find(|key| key.header(kind) == Some(header))
            .ok_or(TokenRefused)?;
        match key.record.state(now) {
            KeyState::Active | KeyState::Retired => {}
            // An announced key has signed nothing yet, but at a node whose clock is a little ahead.
            KeyState::Announced if key.record.active_at <= now + SKEW => {}
            KeyState::Announced | KeyState::Expired => return Err(TokenRefused),
        }
        let hash = verified::hash_of(token).ok_or(TokenRefused)?;
        if !snapshot.verified.has(&hash) {
            if !key.signer.verifies(signature, message.as_bytes()) {
                return Err(TokenRefused);
            }
            snapshot.verified.remember(hash);
        }
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| TokenRefused)?;
        serde_json::from_slice(&claims).map_err(|_| TokenRefused)
    }

    /// Whether a key of that name still verifies.
    pub fn has(&self, kid: &str, now: UnixTime) -> bool {
        let snapshot = self.snapshot();
        let mut keys = snapshot.keys.iter();
        keys.any(|key| key.record.kid.as_str() == kid && key.record.state(now) != KeyState::Expired)
    }

    /// The JWKS (RFC 7517 section 5): every key that signs, will sign, or has signed what may still be valid.
    pub fn jwks(&self, now: UnixTime) -> Arc<str> {
        let snapshot = self.snapshot();
        let is_shown = |key: &RingKey| key.record.state(now) != KeyState::Expired;
        let shown: Vec<bool> = snapshot.keys.iter().map(is_shown).collect();
        let mut kept = snapshot.jwks.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != shown || kept.1.is_empty() {
            let keys = snapshot.keys.iter().filter(|key| is_shown(key));
            let keys: Vec<_> = keys.map(|key| key.signer.public_jwk()).collect();
            *kept = (shown, json!({ "keys": keys }).to_string().into());
        }
        Arc::clone(&kept.1)
    }
}

/// A token that lacks its signature.
struct Unsigned {
    snapshot: Arc<Snapshot>,
    /// Of the key among the snapshot's.
    place: usize,
    kind: TokenKind,
    text: String,
}

impl Unsigned {
    fn sign(mut self) -> Result<String, KeyError> {
        let key = self.snapshot.keys.get(self.place);
        let key = key.ok_or(KeyError::Crypto("find the key"))?;
        let signature = key.signer.sign(self.text.as_bytes())?;
        self.text.push('.');
        self.text.push_str(&URL_SAFE_NO_PAD.encode(signature));
        // Most come back in the next moment, to the userinfo endpoint or with a resource server's question.
        if self.kind == TokenKind::AccessToken
            && let Some(hash) = verified::hash_of(&self.text)
        {
            self.snapshot.verified.remember(hash);
        }
        Ok(self.text)
    }
}

impl Snapshot {
    fn open(records: Vec<SigningKeyRecord>, secrets: &Secrets) -> Result<Self, KeyError> {
        let keys = records
            .into_iter()
            .map(|record| RingKey::open(record, secrets))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            keys,
            jwks: Mutex::new((Vec::new(), Arc::from(""))),
            verified: Verified::default(),
        })
    }
}

#[cfg(test)]
mod tests;
