//! An authorization code (RFC 6749 section 4.1.2): once, within 60 seconds, for the client it was given to.

use serde::{Deserialize, Serialize};

use crate::clock::{SKEW, UnixTime};
use crate::protocol::claims_request::ClaimsRequest;
use crate::protocol::dpop::Thumbprint;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::{AccountId, ClientId, FamilyId};
use crate::protocol::pkce::{self, CodeChallenge};
use crate::protocol::scope::Scope;

use super::session::Authentication;

/// Seconds that a code lives.
pub const LIFETIME: i64 = 60;

/// What the store keeps of a code, under the hash of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationCode {
    /// The family that its redemption begins; fixed now, so that a replay knows what to revoke.
    pub family_id: FamilyId,
    /// Everything it is bound to (T10).
    pub grant: CodeGrant,
    /// When it ends.
    pub expires_at: UnixTime,
    /// When it was redeemed, if it was.
    pub redeemed_at: Option<UnixTime>,
}

/// What a code is bound to, and what it gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeGrant {
    /// The client it was given to.
    pub client_id: ClientId,
    /// Where it was sent.
    pub redirect_uri: String,
    /// Whether the token request must name that address.
    pub redirect_uri_was_sent: bool,
    /// What the token request must prove.
    pub code_challenge: Option<CodeChallenge>,
    /// The key that it must prove (RFC 9449 section 10). Rows of older nodes have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_jkt: Option<Thumbprint>,
    /// The person.
    pub account_id: AccountId,
    /// Their login.
    pub authentication: Authentication,
    /// What was granted.
    pub scope: Scope,
    /// The resources that the request named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// What was asked for beside it, by the parameter `claims`.
    #[serde(default, skip_serializing_if = "ClaimsRequest::is_empty")]
    pub claims: ClaimsRequest,
    /// For the ID token.
    pub nonce: Option<String>,
}

impl AuthorizationCode {
    /// Holds a token request against the code, before anything is spent: a wrong client or verifier must not be
    /// able to burn another's code. Whether it was redeemed is for the store's guarded statement to say.
    pub fn check(
        &self,
        client_id: &ClientId,
        redirect_uri: Option<&str>,
        verifier: Option<&str>,
        now: UnixTime,
    ) -> Result<(), OAuthError> {
        // One text for unknown, expired and somebody else's: the difference is nobody's business.
        if self.grant.client_id != *client_id {
            return Err(unknown());
        }
        // A spent code goes on to the store, which revokes what it gave, however late the replay.
        if self.redeemed_at.is_none() && !self.is_current(now) {
            return Err(unknown());
        }
        match redirect_uri {
            Some(uri) if uri == self.grant.redirect_uri => {}
            None if !self.grant.redirect_uri_was_sent => {}
            _ => {
                return Err(OAuthError::invalid_grant(
                    "redirect_uri differs from the one of the authorization request",
                ));
            }
        }
        pkce::check(self.grant.code_challenge.as_ref(), verifier)
    }

    fn is_current(&self, now: UnixTime) -> bool {
        // Both ends: a clock that stepped back must not lengthen a code's life (T21).
        now < self.expires_at && now >= self.expires_at - LIFETIME - SKEW
    }
}

/// The answer to every code that cannot be redeemed.
pub fn unknown() -> OAuthError {
    OAuthError::invalid_grant("the code is unknown, expired or was used already")
}
