//! `[login]`: what stands between a guesser and the upstream (T32 to T34).

use std::time::Duration;

use serde::Deserialize;

use super::duration::Span;
use super::place::{Place, Report};
use crate::model::throttle::{MAX_WINDOW, ThrottlePolicy, WindowStart};

/// What stands between a guesser and the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginPolicy {
    /// Failures for one user name.
    pub throttle: ThrottlePolicy,
    /// Failures from one client address within the same window.
    pub address_attempts: i64,
    /// Failures that one client brings within the same window by the password grant, at names that somebody has logged in
    /// by, and as many at others.
    pub client_attempts: i64,
    /// How long a refused login takes at least, so that its time tells nothing (T32).
    pub refusal_floor: Duration,
    /// Whether the login page asks people whether they want to be kept signed in.
    pub keep_signed_in: bool,
}

impl Default for LoginPolicy {
    fn default() -> Self {
        Self {
            throttle: ThrottlePolicy {
                // iMIS, as other systems on the ASP.NET membership provider, locks at the fifth.
                attempts: 4,
                window: 15 * 60,
                starts_at: WindowStart::LastAttempt,
            },
            address_attempts: 100,
            client_attempts: 300,
            refusal_floor: Duration::from_millis(500),
            keep_signed_in: true,
        }
    }
}

/// A floor above this keeps people waiting, and holds their connections.
const MAX_FLOOR: Duration = Duration::from_secs(5);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    max_attempts: Option<i64>,
    window: Option<Span>,
    max_attempts_per_address: Option<i64>,
    max_attempts_per_client: Option<i64>,
    refusal_floor: Option<Span>,
    keep_signed_in: Option<bool>,
}

impl LoginPolicy {
    pub(super) fn check(raw: &Raw, at: &Place, report: &mut Report) -> Self {
        let default = Self::default();
        let attempts = raw.max_attempts.unwrap_or(default.throttle.attempts);
        if !(1..=100).contains(&attempts) {
            report.problem(
                &at.key("max_attempts"),
                "must be between 1 and 100, and below the number at which the upstream locks an account",
            );
        }
        let window = raw.window.map_or(default.throttle.window, |span| {
            span.seconds(
                (60, MAX_WINDOW),
                default.throttle.window,
                &at.key("window"),
                report,
            )
        });
        let address_attempts = raw
            .max_attempts_per_address
            .unwrap_or(default.address_attempts);
        if !(attempts..=1_000_000).contains(&address_attempts) {
            report.problem(
                &at.key("max_attempts_per_address"),
                "must be between max_attempts and 1000000: many people share one address",
            );
        }
        let client_attempts = raw
            .max_attempts_per_client
            .unwrap_or(default.client_attempts);
        if !(attempts..=1_000_000).contains(&client_attempts) {
            report.problem(
                &at.key("max_attempts_per_client"),
                "must be between max_attempts and 1000000: many people type their passwords into one app",
            );
        }
        let refusal_floor = raw
            .refusal_floor
            .map_or(default.refusal_floor, Span::duration);
        if refusal_floor > MAX_FLOOR {
            report.problem(&at.key("refusal_floor"), "must be 5s at the most");
        }
        Self {
            throttle: ThrottlePolicy {
                attempts,
                window,
                ..default.throttle
            },
            address_attempts,
            client_attempts,
            refusal_floor,
            keep_signed_in: raw.keep_signed_in.unwrap_or(default.keep_signed_in),
        }
    }
}
