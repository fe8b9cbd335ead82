//! Response types and modes (OAuth 2.0 Multiple Response Types; Form Post Response Mode).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::error::{ErrorCode, OAuthError};

/// What the authorization endpoint returns. The other types of Multiple Response Types join here, each off for a client
/// until its registration names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResponseType {
    /// An authorization code (RFC 6749 section 4.1.1).
    Code,
    /// A code, and an ID token that vouches for it (OpenID Connect Core section 3.3).
    CodeIdToken,
}

impl ResponseType {
    /// Every type that a client can be registered for.
    pub const ALL: [Self; 2] = [Self::Code, Self::CodeIdToken];

    /// Reads the parameter.
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        Self::find(text).ok_or_else(|| {
            OAuthError::new(
                ErrorCode::UnsupportedResponseType,
                "response_type must be one of those in response_types_supported",
            )
        })
    }

    /// The type with these words, whose order has no meaning (Multiple Response Types section 3).
    fn find(text: &str) -> Option<Self> {
        let mut words: Vec<&str> = text.split(' ').collect();
        words.sort_unstable();
        let sorted = words.join(" ");
        Self::ALL.into_iter().find(|each| each.as_str() == sorted)
    }

    /// The type as it stands on the wire, its words in alphabetical order.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::CodeIdToken => "code id_token",
        }
    }

    /// Whether the browser carries an ID token to the client, besides the one of the token endpoint.
    pub const fn returns_id_token(self) -> bool {
        match self {
            Self::Code => false,
            Self::CodeIdToken => true,
        }
    }
}

impl Serialize for ResponseType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ResponseType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const NAMES: &[&str] = &[
            ResponseType::Code.as_str(),
            ResponseType::CodeIdToken.as_str(),
        ];
        let text = String::deserialize(deserializer)?;
        Self::find(&text).ok_or_else(|| de::Error::unknown_variant(&text, NAMES))
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

    /// Where the answer to a `response_type` goes, one that we do not support included: its error goes where the client
    /// looks for it. A mode that may not carry the type gives way to the type's default (Multiple Response Types
    /// section 2.1).
    pub fn settle(asked: Option<Self>, response_type: &str) -> Self {
        let default = if carries_token(response_type) {
            Self::Fragment
        } else {
            Self::Query
        };
        asked
            .filter(|mode| mode.may_carry(response_type))
            .unwrap_or(default)
    }

    /// Whether an answer of this type may travel so: a token never in a query, which servers log and browsers tell
    /// to others (Multiple Response Types section 5).
    pub fn may_carry(self, response_type: &str) -> bool {
        self != Self::Query || !carries_token(response_type)
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

/// Whether a `response_type` asks for a token from the authorization endpoint.
fn carries_token(response_type: &str) -> bool {
    response_type
        .split(' ')
        .any(|word| matches!(word, "token" | "id_token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiple Response Types section 3: a set of words, not a text.
    #[test]
    fn the_order_of_the_words_has_no_meaning() {
        for text in ["code id_token", "id_token code"] {
            assert_eq!(
                ResponseType::parse(text).unwrap(),
                ResponseType::CodeIdToken
            );
        }
        for text in [
            "",
            "code code",
            "code  id_token",
            " code",
            "code id_token ",
            "code id_token id_token",
            "code,id_token",
            "Code",
        ] {
            let error = ResponseType::parse(text).unwrap_err();
            assert_eq!(error.code, ErrorCode::UnsupportedResponseType, "{text}");
        }
    }

    /// What a node keeps, every other node reads; and a registration may name the words in any order.
    #[test]
    fn it_is_kept_by_its_name() {
        for each in ResponseType::ALL {
            let kept = serde_json::to_string(&each).unwrap();
            assert_eq!(kept, format!("\"{}\"", each.as_str()));
            assert_eq!(serde_json::from_str::<ResponseType>(&kept).unwrap(), each);
        }
        let turned: ResponseType = serde_json::from_str("\"id_token code\"").unwrap();
        assert_eq!(turned, ResponseType::CodeIdToken);
        assert!(serde_json::from_str::<ResponseType>("\"token\"").is_err());
    }

    /// Multiple Response Types sections 2.1 and 5.
    #[test]
    fn no_token_travels_in_a_query() {
        use ResponseMode::{FormPost, Fragment, Query};
        for (response_type, asked, settled) in [
            ("code", None, Query),
            ("code", Some(Query), Query),
            ("code", Some(Fragment), Fragment),
            ("code", Some(FormPost), FormPost),
            ("", None, Query),
            ("code id_token", None, Fragment),
            ("id_token code", Some(Query), Fragment),
            ("code id_token", Some(Fragment), Fragment),
            ("code id_token", Some(FormPost), FormPost),
            // Not supported; its error goes where an answer of its kind would.
            ("token", None, Fragment),
            ("id_token", Some(Query), Fragment),
            ("code tokens", None, Query),
        ] {
            let mode = ResponseMode::settle(asked, response_type);
            assert_eq!(mode, settled, "{response_type} {asked:?}");
        }
    }
}
