//! Passwords and secrets that humans choose, kept as Argon2id (RFC 9106). One [`Passwords`] serves the whole process,
//! so that however many logins and clients arrive at once, only as many hashes run as there are cores, and only
//! so many wait: each takes tens of megabytes and of milliseconds.

use std::fmt;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, PasswordHasher as _, Version};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::clock::random_bytes;
use crate::protocol::secret::Secret;

/// How many may wait for each that runs; at some 30 ms a hash, the last of them waits a second.
const WAITING_PER_CORE: usize = 32;
/// Below this memory (KiB) no number of passes makes a hash hard enough for graphics cards.
const LEAST_MEMORY: u32 = 7 * 1024;
/// Above this memory (KiB) a few logins at once would exhaust a small machine.
const MOST_MEMORY: u32 = 256 * 1024;
const MOST_PASSES: u32 = 20;
const MOST_LANES: u32 = 16;
const LEAST_OUTPUT: usize = 16;

/// A hash that can be verified against: Argon2id, with parameters that neither endanger the password nor this machine.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    params: Params,
    salt: phc::Salt,
    output: phc::Output,
}

/// Why a text is not a usable [`PasswordHash`].
#[derive(Debug, thiserror::Error)]
#[error("{0}; make one with `portico user hash-password`")]
pub struct UnusableHash(&'static str);

impl PasswordHash {
    /// Reads a PHC string (`$argon2id$v=19$m=..,t=..,p=..$salt$hash`).
    pub fn parse(text: &str) -> Result<Self, UnusableHash> {
        let hash = phc::PasswordHash::new(text)
            .map_err(|_| UnusableHash("this is not a password hash in PHC form"))?;
        if hash.algorithm != Algorithm::Argon2id.ident() {
            return Err(UnusableHash("the algorithm is not argon2id"));
        }
        if hash.version != Some(Version::V0x13.into()) {
            return Err(UnusableHash("the version is not 19"));
        }
        let (Some(salt), Some(output)) = (hash.salt, hash.hash) else {
            return Err(UnusableHash("the salt or the hash is missing"));
        };
        let params = Params::try_from(&hash)
            .map_err(|_| UnusableHash("the parameters m, t and p make no sense"))?;
        if params.m_cost() < LEAST_MEMORY || output.len() < LEAST_OUTPUT {
            return Err(UnusableHash(
                "the hash is too weak (m below 7168, or fewer than 16 bytes)",
            ));
        }
        if params.m_cost() > MOST_MEMORY
            || params.t_cost() > MOST_PASSES
            || params.p_cost() > MOST_LANES
        {
            return Err(UnusableHash(
                "the hash costs too much (m above 262144, t above 20 or p above 16)",
            ));
        }
        Ok(Self {
            params,
            salt,
            output,
        })
    }
}

/// Not even the hash is shown: offline it is a target.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[password hash]")
    }
}

/// Hashes a password for keeping, as a PHC string; blocks for some 30 ms. For the command line.
pub fn hash_password(password: &Secret) -> Result<String, argon2::password_hash::Error> {
    Argon2::default()
        .hash_password_with_salt(password.expose().as_bytes(), &random_bytes::<16>())
        .map(|hash| hash.to_string())
}

/// Too many verifications wait already.
#[derive(Debug, thiserror::Error)]
#[error("too many passwords are being verified at once")]
pub struct Busy;

/// Verifies passwords, a bounded number at a time. Clones share the bounds.
#[derive(Clone, Debug)]
pub struct Passwords(Arc<Bounds>);

#[derive(Debug)]
struct Bounds {
    /// A permit for each that runs or waits.
    places: Arc<Semaphore>,
    /// A permit for each that runs.
    cores: Arc<Semaphore>,
    /// How many permits of `places` are for waiting.
    waiting: usize,
    /// Memory on its way from one run to the next.
    spare: Mutex<Vec<Vec<Block>>>,
    runs: AtomicU64,
}

impl Default for Passwords {
    /// One run for each core.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self::bounded(cores, cores * WAITING_PER_CORE)
    }
}

impl Passwords {
    /// At most `running` at a time, and `waiting` more.
    pub fn bounded(running: usize, waiting: usize) -> Self {
        Self(Arc::new(Bounds {
            places: Arc::new(Semaphore::new(running + waiting)),
            cores: Arc::new(Semaphore::new(running)),
            waiting,
            spare: Mutex::new(Vec::new()),
            runs: AtomicU64::new(0),
        }))
    }

    /// Whether `password` is the one behind `hash`.
    pub async fn verify(&self, password: &Secret, hash: &PasswordHash) -> Result<bool, Busy> {
        let place = Arc::clone(&self.0.places)
            .try_acquire_owned()
            .map_err(|_| Busy)?;
        let core = Arc::clone(&self.0.cores)
            .acquire_owned()
            .await
            .map_err(|_| Busy)?;
        let (bounds, password, hash) = (Arc::clone(&self.0), password.clone(), hash.clone());
        tokio::task::spawn_blocking(move || {
            let fits = bounds.run(&password, &hash);
            // The permits travel with the work: a caller who goes away does not end it.
            drop((core, place));
            fits
        })
        .await
        .map_err(|_| Busy)
    }

    /// Does the work of verifying against `like` where the answer is no already: so that a name that does not exist
    /// takes as long as a wrong password (T32).
    pub async fn spend(&self, password: &Secret, like: &PasswordHash) -> Result<(), Busy> {
        self.verify(password, like).await.map(drop)
    }

    /// How many hashes have been computed: for the metrics, and for the test that an unknown name costs one, too.
    pub fn runs(&self) -> u64 {
        self.0.runs.load(Ordering::Relaxed)
    }
}

impl Bounds {
    fn run(&self, password: &Secret, hash: &PasswordHash) -> bool {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let mut memory = self.spare().pop().unwrap_or_default();
        memory.resize(hash.params.block_count(), Block::new());
        let mut computed = Zeroizing::new(vec![0; hash.output.len()]);
        let result = Argon2::new(Algorithm::Argon2id, Version::V0x13, hash.params.clone())
            .hash_password_into_with_memory(
                password.expose().as_bytes(),
                &hash.salt,
                &mut computed,
                &mut memory,
            );
        // Kept only while somebody waits: an idle process holds none of it.
        if self.places.available_permits() < self.waiting {
            self.spare().push(memory);
        } else {
            self.spare().clear();
        }
        // `Output` compares in constant time.
        result.is_ok() && phc::Output::new(&computed).is_ok_and(|computed| computed == hash.output)
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test]
    async fn memory_is_kept_only_while_somebody_waits() {
        let password = Secret::new("word-1");
        let hash = PasswordHash::parse(&hash_password(&password).unwrap()).unwrap();
        let passwords = Passwords::bounded(1, 4);
        let (one, other) = tokio::join!(
            passwords.verify(&password, &hash),
            passwords.verify(&password, &hash)
        );
        assert!(one.unwrap() && other.unwrap());
        assert!(passwords.0.spare().is_empty());
    }

    proptest! {
        /// What is taken costs neither too little nor too much.
        #[test]
        fn a_hash_that_is_taken_is_within_its_bounds(
            algorithm in "(argon2id|argon2i|scrypt)", version in "(v=19|v=16|)", m in 0u32..600_000, t in 0u32..40, p in 0u32..40,
            salt in "[A-Za-z0-9+/]{0,30}", output in "[A-Za-z0-9+/]{0,60}", any in any::<String>(),
        ) {
            let _ = PasswordHash::parse(&any);
            if let Ok(hash) = PasswordHash::parse(&format!("${algorithm}${version}$m={m},t={t},p={p}${salt}${output}")) {
                prop_assert_eq!((algorithm.as_str(), version.as_str()), ("argon2id", "v=19"));
                prop_assert_eq!((hash.params.m_cost(), hash.params.t_cost(), hash.params.p_cost()), (m, t, p));
                prop_assert!((LEAST_MEMORY..=MOST_MEMORY).contains(&m) && t <= MOST_PASSES && p <= MOST_LANES);
                prop_assert!(hash.output.len() >= LEAST_OUTPUT);
            }
        }
    }
}
