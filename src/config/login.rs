//! `[login]`: what stands between a guesser and the upstream (T32 to T34).

use std::time::Duration;

use crate::model::throttle::ThrottlePolicy;

/// What stands between a guesser and the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginPolicy {
    /// Failures for one user name.
    pub throttle: ThrottlePolicy,
    /// Failures from one client address within the same window.
    pub address_attempts: i64,
    /// How long a refused login takes at least, so that its time tells nothing (T32).
    pub refusal_floor: Duration,
}

impl Default for LoginPolicy {
    fn default() -> Self {
        Self {
            throttle: ThrottlePolicy {
                attempts: 5,
                window: 15 * 60,
            },
            address_attempts: 100,
            refusal_floor: Duration::from_millis(500),
        }
    }
}
