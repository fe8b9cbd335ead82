//! A token that a client shows to have it looked at or ended.

use crate::protocol::error::OAuthError;
use crate::protocol::jws;
use crate::protocol::params::Params;
use crate::protocol::secret::Secret;

/// What a revocation and an introspection request have in common (RFC 7009 section 2.1, RFC 7662 section 2.1).
#[derive(Debug)]
pub struct PresentedToken(Secret);

impl PresentedToken {
    /// Reads the request. `token_type_hint` is not looked at: our tokens tell their kind themselves, and a wrong or unknown
    /// hint must not hide one.
    pub fn parse(params: &Params) -> Result<Self, OAuthError> {
        params.refuse_repeated()?;
        let token = params
            .get_capped("token", jws::MAX_BYTES)?
            .ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
        Ok(Self(Secret::new(token)))
    }

    pub(super) fn expose(&self) -> &str {
        self.0.expose()
    }
}
