//! A device code (RFC 8628): asked for by an app without a browser, said yes or no to by a person in theirs, redeemed once.

use crate::clock::{SKEW, UnixTime};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{AccountId, ClientId, FamilyId};
use crate::protocol::scope::Scope;

use super::session::Authentication;

/// What the store keeps of a device code, under the hash of its value and that of its user code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCode {
    /// The family that its redemption begins; fixed now, so that a replay knows what to revoke.
    pub family_id: FamilyId,
    /// The client it was given to.
    pub client_id: ClientId,
    /// What is asked for; once somebody has said yes, what they said it to.
    pub scope: Scope,
    /// The resources that it named.
    pub resources: Vec<String>,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it ends.
    pub expires_at: UnixTime,
    /// Who said yes.
    pub approval: Option<Approval>,
    /// When somebody said no.
    pub denied_at: Option<UnixTime>,
    /// When it was redeemed, if it was.
    pub redeemed_at: Option<UnixTime>,
}

/// A person's yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The person.
    pub account_id: AccountId,
    /// Their login.
    pub authentication: Authentication,
    /// What they were shown, which may be less than was asked for: the client may have had less then than before and after.
    pub scope: Scope,
    /// The resources that they were shown.
    pub resources: Vec<String>,
}

impl DeviceCode {
    /// Whether it lives at `now`. Both ends: a clock that stepped back must not lengthen its life (T21).
    pub const fn is_current(&self, now: UnixTime) -> bool {
        now < self.expires_at && now >= self.created_at - SKEW
    }

    /// The yes to redeem; `None` while nobody has answered; an error when there will be none. Who may redeem, and whether
    /// it was done, is for the store's guarded statement to say.
    pub fn answer(&self, now: UnixTime) -> Result<Option<&Approval>, OAuthError> {
        match &self.approval {
            // A spent code goes on to the store, which revokes what it gave, however late the replay.
            Some(approval) if self.redeemed_at.is_some() => Ok(Some(approval)),
            _ if self.denied_at.is_some() => Err(OAuthError::new(
                ErrorCode::AccessDenied,
                "the person did not agree",
            )),
            _ if !self.is_current(now) => Err(OAuthError::new(
                ErrorCode::ExpiredToken,
                "the device code has expired; ask for another, and show its user code",
            )),
            approval => Ok(approval.as_ref()),
        }
    }
}

/// The answer to every device code that cannot be redeemed, and will never be.
pub fn unknown() -> OAuthError {
    OAuthError::invalid_grant("the device code is unknown or was used already")
}
