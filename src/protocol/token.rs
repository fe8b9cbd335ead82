//! The token endpoint's answers (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3).

use serde::{Deserialize, Serialize};

use super::scope::Scope;

/// The grants that a client can be registered for (RFC 7591 section 2). The token endpoint knows all but `implicit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// RFC 6749 section 4.1.3.
    AuthorizationCode,
    /// RFC 6749 section 4.2: tokens from the authorization endpoint.
    Implicit,
    /// RFC 6749 section 6.
    RefreshToken,
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// RFC 6749 section 4.3.
    Password,
    /// RFC 8693: a token of ours for one of an upstream's, or for another of ours.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
    /// RFC 8628 section 3.4.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
}

/// The one token type that is exchanged, and given for it (RFC 8693 section 3).
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

impl GrantType {
    /// Every grant of the token endpoint.
    pub const ALL: [Self; 6] = [
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::ClientCredentials,
        Self::Password,
        Self::TokenExchange,
        Self::DeviceCode,
    ];

    /// The grant as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::Implicit => "implicit",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
        }
    }

    /// Whether a person logs in for it.
    pub const fn begins_with_a_login(self) -> bool {
        matches!(
            self,
            Self::AuthorizationCode | Self::DeviceCode | Self::Implicit | Self::Password
        )
    }

    /// The grant of the token endpoint that `text` names.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == text)
    }
}

/// What access tokens look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessTokenFormat {
    /// A JWT, which an API can verify by itself (RFC 9068).
    #[default]
    Jwt,
    /// Random text that says nothing by itself, and ends when it is revoked wherever it is asked about.
    Opaque,
}

impl AccessTokenFormat {
    /// The word in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Opaque => "opaque",
        }
    }
}

/// What an opaque access token begins with, so that one that was lost is found by those who look for such.
pub const OPAQUE_PREFIX: &str = "portico_at_";

/// A successful answer of the token endpoint. No `Debug`: every field of worth is a secret.
#[derive(Serialize)]
pub struct TokenSet {
    /// The access token.
    pub access_token: String,
    /// [`ACCESS_TOKEN_TYPE`], where one was exchanged for it (RFC 8693 section 2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
    /// `Bearer` (RFC 6750), or `DPoP` (RFC 9449 section 5).
    pub token_type: &'static str,
    /// Seconds until the access token ends.
    pub expires_in: i64,
    /// The refresh token, when the client gets one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// The ID token, when `openid` was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// What was granted; always said, so that nobody has to guess (RFC 6749 section 5.1).
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
}

/// The answer to a token exchange (RFC 8693 section 2.2.1): a token of an upstream's, and never what renews it. No `Debug`,
/// as above.
#[derive(Serialize)]
pub struct ExchangedToken {
    /// The upstream's access token.
    pub access_token: String,
    /// Always [`ACCESS_TOKEN_TYPE`].
    pub issued_token_type: &'static str,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds that are left until it ends.
    pub expires_in: i64,
    /// The upstream's client application that it belongs to, where calls of the upstream's API have to name it (aiM18's
    /// header `client_id`). Ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_client_id: Option<String>,
}
