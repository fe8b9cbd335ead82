//! What introspection answers (RFC 7662 section 2.2), and its form as a JWT (RFC 9701).

use serde::Serialize;
use serde_json::{Map, Value};

use super::claims::AccessTokenClaims;
use super::ids::ClientId;
use super::issuer::Issuer;
use super::scope::Scope;

/// The media type of the answer as a JWT (RFC 9701 section 4).
pub const JWT_MEDIA_TYPE: &str = "application/token-introspection+jwt";

/// The answer about one token.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Introspection(Map<String, Value>);

impl Introspection {
    /// A token that is no good, or nothing to whoever asks: not even why (RFC 7662 section 2.2).
    pub fn inactive() -> Self {
        Self(Map::from_iter([("active".to_owned(), false.into())]))
    }

    /// A token that is good, with what is told of it.
    pub fn active(claims: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let claims = claims.into_iter();
        let claims = claims.map(|(name, value)| (name.to_owned(), value));
        let active = ("active".to_owned(), true.into());
        Self([active].into_iter().chain(claims).collect())
    }

    /// A good access token: every claim that a JWT shows, our private ones excepted, its scope as far as it still counts.
    pub fn of_access_token(claims: &AccessTokenClaims, scope: &Scope) -> Self {
        let mut all = Self::active([]);
        if let Ok(Value::Object(claims)) = serde_json::to_value(claims) {
            all.0.extend(claims);
        }
        for name in ["family", "family_client", "within_session", "scope"] {
            all.0.remove(name);
        }
        if !scope.is_empty() {
            all.0.insert("scope".to_owned(), scope.to_string().into());
        }
        // RFC 9449 section 6.2: what is bound to a key is no bearer token.
        let bound = all.0.get("cnf").is_some_and(|cnf| cnf.get("jkt").is_some());
        let token_type = if bound { "DPoP" } else { "Bearer" };
        all.0.insert("token_type".to_owned(), token_type.into());
        all
    }

    /// Adds what the person is called.
    #[must_use]
    pub fn with_username(mut self, username: Option<String>) -> Self {
        if let Some(username) = username {
            self.0.insert("username".to_owned(), username.into());
        }
        self
    }

    /// Whether the token is good.
    pub fn is_active(&self) -> bool {
        self.0.get("active") == Some(&Value::Bool(true))
    }
}

/// The claims of the answer as a JWT (RFC 9701 section 5).
#[derive(Debug, Serialize)]
pub struct IntrospectionClaims<'a> {
    /// The issuer.
    pub iss: &'a Issuer,
    /// Whoever asked.
    pub aud: &'a ClientId,
    /// When it was asked, Unix seconds.
    pub iat: i64,
    /// The answer.
    pub token_introspection: &'a Introspection,
}

/// Whether an `Accept` header prefers the JWT: it is named, and plain JSON is not wanted more.
pub fn prefers_jwt(accept: &str) -> bool {
    let quality = |wanted: &str| {
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next()?.eq_ignore_ascii_case(wanted);
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            // A weight that is none counts as the highest.
            let weight = weight.and_then(|text| text.parse::<f32>().ok());
            named.then(|| weight.unwrap_or(1.0))
        });
        ranges.fold(0.0, f32::max)
    };
    let jwt = quality(JWT_MEDIA_TYPE);
    jwt > 0.0 && jwt >= quality("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 9110 section 12.5.1.
    #[test]
    fn the_jwt_is_for_those_who_ask_for_it() {
        for (accept, jwt) in [
            ("application/token-introspection+jwt", true),
            ("Application/Token-Introspection+JWT", true),
            (
                "application/json, application/token-introspection+jwt",
                true,
            ),
            (
                "application/token-introspection+jwt;q=0.5, application/json",
                false,
            ),
            (
                "application/json;q=0.5, application/token-introspection+jwt ; q=0.6",
                true,
            ),
            ("application/token-introspection+jwt;q=0", false),
            ("application/json", false),
            ("*/*", false),
            ("application/*", false),
            ("application/token-introspection+jwt+x", false),
            ("", false),
        ] {
            assert_eq!(prefers_jwt(accept), jwt, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn the_jwt_is_never_for_those_who_do_not_name_it(accept in "[a-z/*;=.,q01 -]{0,60}", any in any::<String>()) {
            let _ = prefers_jwt(&any);
            prop_assert!(!prefers_jwt(&accept) || accept.contains("jwt"));
            let after = format!("{accept},{JWT_MEDIA_TYPE};q=0");
            prop_assert!(!prefers_jwt(&after), "{}", after);
        }
    }
}
