//! Time and randomness. Nothing else in the crate reads either, so that a test can move the clock
//! and a reader knows where entropy comes from (`clippy.toml` bans the other ways).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Seconds since the Unix epoch: the only form in which the crate keeps an instant.
pub type UnixTime = i64;

/// Seconds by which the clocks of two nodes may differ. What one node has just made must be good at the next, whose second
/// may not have begun; where a bound guards against a clock that stepped back, this much is no step.
pub const SKEW: i64 = 5;

/// The clock that everything asks. Cheap to clone; clones of a manual clock move together.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self { manual: None }
    }

    /// A clock that stands at `now` until [`Clock::advance`] moves it.
    pub fn manual(now: UnixTime) -> Self {
        Self {
            manual: Some(Arc::new(AtomicI64::new(now))),
        }
    }

    /// The present, in whole seconds.
    pub fn now(&self) -> UnixTime {
        match &self.manual {
            Some(manual) => manual.load(Ordering::SeqCst),
            None => system_seconds(),
        }
    }

    /// Moves a manual clock by `seconds`, which may be negative. The system clock does not move.
    pub fn advance(&self, seconds: i64) {
        if let Some(manual) = &self.manual {
            manual.fetch_add(seconds, Ordering::SeqCst);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one reader of the machine's clock"
)]
fn system_seconds() -> UnixTime {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_secs()).ok())
        .unwrap_or_default()
}

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// When the operating system has no randomness to give: no secret may be made then.
#[expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "the one source of randomness; without it nothing may go on"
)]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// 256 random bits as base64url (43 characters): codes, session cookies, secrets.
pub fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// 128 random bits as base64url (22 characters): ids that need only be unique and unguessable enough.
pub fn random_id() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<16>())
}
