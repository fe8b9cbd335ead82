//! The error codes that go over the wire, and the one value that carries them.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// The closed set of error codes that Portico emits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// A parameter is missing, malformed, or sent twice (RFC 6749 sections 4.1.2.1 and 5.2).
    InvalidRequest,
    /// Client authentication failed (RFC 6749 section 5.2).
    InvalidClient,
    /// The code or refresh token is unknown, spent, expired or another client's (RFC 6749 section 5.2).
    InvalidGrant,
    /// The client is not registered for this grant or response type (RFC 6749 section 5.2).
    UnauthorizedClient,
    /// The token endpoint does not know the grant type (RFC 6749 section 5.2).
    UnsupportedGrantType,
    /// The authorization endpoint does not know the response type (RFC 6749 section 4.1.2.1).
    UnsupportedResponseType,
    /// Tokens of this kind cannot be revoked (RFC 7009 section 2.2.1).
    UnsupportedTokenType,
    /// The scope is unknown, malformed, or more than was granted (RFC 6749 section 5.2).
    InvalidScope,
    /// There is no such target service, or no tokens for it are given here (RFC 8693 section 2.2.2).
    InvalidTarget,
    /// The person or the server refused (RFC 6749 section 4.1.2.1).
    AccessDenied,
    /// `prompt=none`, and the person would have to log in (OpenID Connect Core section 3.1.2.6).
    LoginRequired,
    /// `prompt=none`, and the person would have to consent (OpenID Connect Core section 3.1.2.6).
    ConsentRequired,
    /// `prompt=none`, and the person would have to choose an account (OpenID Connect Core section 3.1.2.6).
    AccountSelectionRequired,
    /// The login does not meet what the request calls essential (OpenID Connect Core Unmet Authentication Requirements
    /// section 2).
    UnmetAuthenticationRequirements,
    /// The `request` parameter is not supported (OpenID Connect Core section 6.1).
    RequestNotSupported,
    /// The `request_uri` leads to no request (RFC 9101 section 7).
    InvalidRequestUri,
    /// The request object is none, or not proven to be the client's (RFC 9101 section 7).
    InvalidRequestObject,
    /// The `request_uri` parameter is not supported (OpenID Connect Core section 6.2).
    RequestUriNotSupported,
    /// The `registration` parameter is not supported (OpenID Connect Core section 7.2.1).
    RegistrationNotSupported,
    /// The access token is expired, revoked or malformed (RFC 6750 section 3.1).
    InvalidToken,
    /// The proof of possession is missing or does not hold (RFC 9449 sections 5 and 7.1).
    InvalidDpopProof,
    /// The proof of possession has to answer a nonce of ours (RFC 9449 section 8).
    UseDpopNonce,
    /// The access token lacks a scope (RFC 6750 section 3.1).
    InsufficientScope,
    /// The token is good, and the login behind it is not good enough (RFC 9470 section 3).
    InsufficientUserAuthentication,
    /// An address for answers cannot be registered (RFC 7591 section 3.2.2).
    InvalidRedirectUri,
    /// Something else of a registration cannot (RFC 7591 section 3.2.2).
    InvalidClientMetadata,
    /// The person has not answered yet (RFC 8628 section 3.5).
    AuthorizationPending,
    /// The same, and the device asks too often (RFC 8628 section 3.5).
    SlowDown,
    /// The device code has ended without an answer (RFC 8628 section 3.5).
    ExpiredToken,
    /// Something of ours failed (RFC 6749 section 4.1.2.1).
    ServerError,
    /// We are overloaded, or what we depend on is away (RFC 6749 section 4.1.2.1).
    TemporarilyUnavailable,
}

impl ErrorCode {
    /// The code as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::AccessDenied => "access_denied",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::AccountSelectionRequired => "account_selection_required",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::RequestNotSupported => "request_not_supported",
            Self::InvalidRequestUri => "invalid_request_uri",
            Self::InvalidRequestObject => "invalid_request_object",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::RegistrationNotSupported => "registration_not_supported",
            Self::InvalidToken => "invalid_token",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::InsufficientScope => "insufficient_scope",
            Self::InsufficientUserAuthentication => "insufficient_user_authentication",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    /// Whether it says that something does not work, and nothing about who asked for what.
    pub const fn is_outage(self) -> bool {
        matches!(self, Self::ServerError | Self::TemporarilyUnavailable)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands behind an error, for our log alone.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An error in the words of OAuth. `description` is for the client's developer; `source` is for our log
/// and never leaves the process. Which of the three forms it takes on the wire (a page, a redirect, JSON)
/// is decided by the type that wraps it in `http`.
#[derive(Debug)]
pub struct OAuthError {
    /// The code on the wire.
    pub code: ErrorCode,
    /// What went wrong and what to do, in the character set of RFC 6749 appendix A.8.
    pub description: Cow<'static, str>,
    /// Why, for the operator.
    pub source: Option<BoxError>,
}

impl OAuthError {
    /// An error with its explanation. Characters that RFC 6749 (appendix A.8) forbids in
    /// `error_description` are replaced, so that input echoed in it can do no harm.
    pub fn new(code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        let description = description.into();
        let description = if description.chars().all(allowed_in_description) {
            description
        } else {
            let clean = |c| if allowed_in_description(c) { c } else { '\'' };
            description.chars().map(clean).collect::<String>().into()
        };
        Self {
            code,
            description,
            source: None,
        }
    }

    /// Adds what only the log may see.
    #[must_use]
    pub fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// `invalid_request` with its explanation.
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidRequest, description)
    }

    /// `invalid_grant` with its explanation.
    pub fn invalid_grant(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidGrant, description)
    }

    /// `server_error`; the cause goes to the log.
    pub fn server_error(source: impl Into<BoxError>) -> Self {
        Self::new(
            ErrorCode::ServerError,
            "something went wrong at the identity server; try again",
        )
        .because(source)
    }
}

fn allowed_in_description(c: char) -> bool {
    matches!(c, '\x20'..='\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e')
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.description)
    }
}

impl std::error::Error for OAuthError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// An error with everything behind it, in one line: for a log, or for an administrator.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Many errors repeat their cause.
        if !told.ends_with(&next) {
            told.push_str(": ");
            told.push_str(&next);
        }
        cause = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6749 appendix A.8: no quote, backslash, control or non-ASCII character.
    #[test]
    fn a_description_holds_only_what_the_grammar_allows() {
        let error = OAuthError::invalid_request("scope \"x\\y\"\r\n\u{202e}".to_owned());
        assert_eq!(error.description, "scope 'x'y''''");
    }
}
