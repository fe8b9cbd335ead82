//! Response types and modes (OAuth 2.0 Multiple Response Types; Form Post Response Mode).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::error::{ErrorCode, OAuthError};
use super::token::GrantType;

/// What the authorization endpoint returns. Each is off for a client until its registration names it. A `token` alone is
/// no answer of OpenID Connect (Core section 3.2.2.1) and never on (RFC 9700 section 2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResponseType {
    /// An authorization code (RFC 6749 section 4.1.1).
    Code,
    /// A code, and an ID token that vouches for it (OpenID Connect Core section 3.3).
    CodeIdToken,
    /// A code, and an access token (Core section 3.3).
    CodeToken,
    /// All three (Core section 3.3).
    CodeIdTokenToken,
    /// An ID token (Core section 3.2).
    IdToken,
    /// An ID token and an access token (Core section 3.2).
    IdTokenToken,
    /// Nothing but that it would have succeeded (Multiple Response Types section 4).
    None,
}

impl ResponseType {
    /// Every type that a client can be registered for.
    pub const ALL: [Self; 7] = [
        Self::Code,
        Self::CodeIdToken,
        Self::CodeToken,
        Self::CodeIdTokenToken,
        Self::IdToken,
        Self::IdTokenToken,
        Self::None,
    ];

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
            Self::CodeToken => "code token",
            Self::CodeIdTokenToken => "code id_token token",
            Self::IdToken => "id_token",
            Self::IdTokenToken => "id_token token",
            Self::None => "none",
        }
    }

    /// Whether there is a code to redeem at the token endpoint.
    pub const fn returns_code(self) -> bool {
        match self {
            Self::Code | Self::CodeIdToken | Self::CodeToken | Self::CodeIdTokenToken => true,
            Self::IdToken | Self::IdTokenToken | Self::None => false,
        }
    }

    /// Whether the browser carries an ID token to the client, besides any of the token endpoint.
    pub const fn returns_id_token(self) -> bool {
        match self {
            Self::CodeIdToken | Self::CodeIdTokenToken | Self::IdToken | Self::IdTokenToken => true,
            Self::Code | Self::CodeToken | Self::None => false,
        }
    }

    /// Whether the browser carries an access token to the client.
    pub const fn returns_access_token(self) -> bool {
        match self {
            Self::CodeToken | Self::CodeIdTokenToken | Self::IdTokenToken => true,
            Self::Code | Self::CodeIdToken | Self::IdToken | Self::None => false,
        }
    }

    /// Whether what is opened stands in the ID token, since no access token leads to userinfo (Core section 5.4).
    pub const fn tells_all_in_the_id_token(self) -> bool {
        matches!(self, Self::IdToken)
    }

    /// The grants that a client has to be registered for, after Dynamic Registration section 2. One departure: an ID token
    /// beside a code opens nothing and needs no `implicit`.
    pub const fn grants(self) -> &'static [GrantType] {
        use GrantType::{AuthorizationCode, Implicit};
        match self {
            Self::Code | Self::CodeIdToken => &[AuthorizationCode],
            Self::CodeToken | Self::CodeIdTokenToken => &[AuthorizationCode, Implicit],
            Self::IdToken | Self::IdTokenToken => &[Implicit],
            // It grants nothing.
            Self::None => &[],
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
        let text = String::deserialize(deserializer)?;
        Self::find(&text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join("`, `");
            de::Error::custom(format_args!(
                "unknown variant `{text}`, expected one of `{names}`"
            ))
        })
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
    use proptest::prelude::*;

    /// Multiple Response Types section 3: a set of words, not a text.
    #[test]
    fn the_order_of_the_words_has_no_meaning() {
        for (text, each) in [
            ("code id_token", ResponseType::CodeIdToken),
            ("id_token code", ResponseType::CodeIdToken),
            ("token code id_token", ResponseType::CodeIdTokenToken),
            ("token id_token", ResponseType::IdTokenToken),
            ("none", ResponseType::None),
        ] {
            assert_eq!(ResponseType::parse(text).unwrap(), each);
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
            "token",
            "none code",
            "none id_token",
            "id_token token none",
        ] {
            let error = ResponseType::parse(text).unwrap_err();
            assert_eq!(error.code, ErrorCode::UnsupportedResponseType, "{text}");
        }
    }

    /// The words say what comes back, and each is on the wire as it is asked.
    #[test]
    fn a_type_returns_what_its_words_say() {
        for each in ResponseType::ALL {
            let has = |word| each.as_str().split(' ').any(|own| own == word);
            assert_eq!(each.returns_code(), has("code"), "{each:?}");
            assert_eq!(each.returns_id_token(), has("id_token"), "{each:?}");
            assert_eq!(each.returns_access_token(), has("token"), "{each:?}");
            let by_code = each.grants().contains(&GrantType::AuthorizationCode);
            assert_eq!(by_code, has("code"), "{each:?}");
            let implicit = each.grants().contains(&GrantType::Implicit);
            let alone = has("id_token") && !has("code");
            assert_eq!(implicit, has("token") || alone, "{each:?}");
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
            ("id_token", Some(Query), Fragment),
            ("token id_token", None, Fragment),
            ("token id_token", Some(FormPost), FormPost),
            ("code token", Some(Query), Fragment),
            ("none", None, Query),
            ("none", Some(Fragment), Fragment),
            // Not supported; its error goes where an answer of its kind would.
            ("token", None, Fragment),
            ("none token", Some(Query), Fragment),
            ("code tokens", None, Query),
        ] {
            let mode = ResponseMode::settle(asked, response_type);
            assert_eq!(mode, settled, "{response_type} {asked:?}");
        }
    }

    proptest! {
        /// Whatever is asked for, a token never goes into a query.
        #[test]
        fn a_type_is_its_words_and_its_tokens_stay_out_of_queries(
            words in prop::collection::vec("(code|id_token|token|none|Code|)", 0..4),
            mode in "(query|fragment|form_post|web_message)",
        ) {
            let text = words.join(" ");
            let settled = ResponseMode::settle(ResponseMode::parse(&mode).ok(), &text);
            let carries = words.iter().any(|word| word == "token" || word == "id_token");
            prop_assert!(!carries || settled != ResponseMode::Query);
            if let Ok(read) = ResponseType::parse(&text) {
                let mut sorted = words;
                sorted.sort();
                prop_assert_eq!(sorted.join(" "), read.as_str());
                prop_assert_eq!(carries, read.returns_id_token() || read.returns_access_token());
            }
        }
    }
}
