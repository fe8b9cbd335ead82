//! Response types and modes (OAuth 2.0 Multiple Response Types; Form Post Response Mode).

use serde::{Deserialize, Serialize};

use super::error::{ErrorCode, OAuthError};

/// What the authorization endpoint returns. Implicit and hybrid types join here when a client may have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResponseType {
    /// An authorization code (RFC 6749 section 4.1.1).
    #[serde(rename = "code")]
    Code,
}

impl ResponseType {
    /// Every type that is on.
    pub const ALL: [Self; 1] = [Self::Code];

    /// Reads the parameter; the order of its words has no meaning (Multiple Response Types section 3).
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        match text {
            "code" => Ok(Self::Code),
            _ => Err(OAuthError::new(
                ErrorCode::UnsupportedResponseType,
                "the only response_type is code",
            )),
        }
    }

    /// The type as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
        }
    }

    /// Where the answer goes when the client does not say (Multiple Response Types section 2.1).
    pub const fn default_mode(self) -> ResponseMode {
        match self {
            Self::Code => ResponseMode::Query,
        }
    }
}

/// How the answer travels back to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    /// In the query of the redirect.
    Query,
    /// In the fragment of the redirect.
    Fragment,
    /// In the body of a form that the browser posts (Form Post Response Mode section 2).
    FormPost,
}

impl ResponseMode {
    /// Every mode that is on.
    pub const ALL: [Self; 3] = [Self::Query, Self::Fragment, Self::FormPost];

    /// Reads the parameter.
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| {
                OAuthError::invalid_request("response_mode must be query, fragment or form_post")
            })
    }

    /// The mode as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Fragment => "fragment",
            Self::FormPost => "form_post",
        }
    }
}
