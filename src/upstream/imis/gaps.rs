//! What cannot be learned of people because a right or a service is missing: it costs the claim, not the login, and is told
//! in the log once, not at every login. Whoever is looked at again keeps what they had: there, what was told before and
//! cannot be learned now is no answer at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::api::{ApiError, nonsense};
use crate::protocol::claims::Profile;
use crate::protocol::error::chain;
use crate::upstream::LoginError;

/// Why a part of a profile is not there.
pub(super) enum Miss {
    /// Something is set up wrongly; what it is.
    Gap(String),
    /// The person's own token is not taken: it has ended, or it opens nothing here.
    Token(String),
    /// iMIS is away, or what it says must not be passed over.
    Failure(LoginError),
}

impl Miss {
    /// Of a failed call. When iMIS is away the login fails: claims that come and go are worse for the apps than a second
    /// try.
    pub(super) fn of(error: ApiError, advice: &str) -> Self {
        match error {
            ApiError::Login(error @ LoginError::Unavailable(_)) => Self::Failure(error),
            ApiError::Login(error) => Self::Gap(format!("{}; {advice}", chain(&error))),
            refused => Self::Gap(format!("{refused}; {advice}")),
        }
    }
}

/// A part that was told before cannot be learned now: nobody knows what is left of it.
pub(super) fn unknown(part: &str) -> LoginError {
    nonsense(&format!(
        "{part}: what was told of the person before cannot be learned now"
    ))
}

/// Whether a profile tells any of the claims that `columns` map.
pub(super) fn told_any(profile: &Profile, columns: &BTreeMap<String, String>) -> bool {
    let told = serde_json::to_value(profile).unwrap_or_default();
    columns.keys().any(|claim| told.get(claim).is_some())
}

/// The parts that are missing now.
#[derive(Default)]
pub(super) struct Gaps(Mutex<BTreeSet<&'static str>>);

impl Gaps {
    /// Takes the gap out of an answer: what was learned, or nothing.
    pub(super) fn bridge<T>(
        &self,
        part: &'static str,
        answer: Result<T, Miss>,
    ) -> Result<Option<T>, LoginError> {
        match answer {
            Ok(learned) => {
                self.open_ones().remove(part);
                Ok(Some(learned))
            }
            Err(Miss::Failure(error)) => Err(error),
            Err(Miss::Gap(reason) | Miss::Token(reason)) => {
                if self.open_ones().insert(part) {
                    tracing::warn!(part, reason, "iMIS does not tell this part of profiles");
                }
                Ok(None)
            }
        }
    }

    /// Whether this part was missing the last time. A refusal of it then is no reason for a new token.
    pub(super) fn is_open(&self, part: &'static str) -> bool {
        self.open_ones().contains(part)
    }

    fn open_ones(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
