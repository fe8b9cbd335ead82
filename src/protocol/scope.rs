//! Scopes (RFC 6749 section 3.3).

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::UpstreamId;

/// Asks for OpenID Connect (Core section 3.1.2.1).
pub const OPENID: &str = "openid";
/// Asks for the profile claims (Core section 5.4).
pub const PROFILE: &str = "profile";
/// Asks for the email claims (Core section 5.4).
pub const EMAIL: &str = "email";
/// Asks for the postal address (Core section 5.4).
pub const ADDRESS: &str = "address";
/// Asks for the phone claims (Core section 5.4).
pub const PHONE: &str = "phone";
/// Asks for a refresh token that outlives the session (Core section 11).
pub const OFFLINE_ACCESS: &str = "offline_access";
/// Ours: asks for the claim `groups`.
pub const GROUPS: &str = "groups";
/// Ours: asks for the claims about a membership ([`super::claims::MEMBERSHIP`]).
pub const MEMBERSHIP: &str = "membership";

/// Ours: `upstream:` and the id of an upstream asks for the right to act there for the person, or, for a server, as the
/// service account.
pub fn upstream(id: &UpstreamId) -> String {
    format!("{UPSTREAM_PREFIX}{id}")
}

/// What begins such a scope.
pub const UPSTREAM_PREFIX: &str = "upstream:";

/// The scopes whose meaning a specification or Portico has given.
const GIVEN: [&str; 8] = [
    OPENID,
    PROFILE,
    EMAIL,
    ADDRESS,
    PHONE,
    OFFLINE_ACCESS,
    GROUPS,
    MEMBERSHIP,
];

/// Whether a specification or Portico has given a scope its meaning, so that no configuration may give it another.
pub fn has_a_meaning(scope: &str) -> bool {
    GIVEN.contains(&scope) || scope.starts_with(UPSTREAM_PREFIX)
}

/// The most bytes a scope parameter may have (T48).
pub const MAX_BYTES: usize = 2048;

/// A set of scope tokens; the order on the wire has no meaning (RFC 6749 section 3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(BTreeSet<String>);

/// A scope that does not fit the grammar of RFC 6749 section 3.3.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A character that a scope token must not have.
    #[error("holds a character that RFC 6749 section 3.3 does not allow in a scope")]
    Character,
    /// More than [`MAX_BYTES`].
    #[error("is longer than {MAX_BYTES} bytes")]
    Length,
}

impl Scope {
    /// Reads a space-separated list.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        if text.len() > MAX_BYTES {
            return Err(ScopeError::Length);
        }
        let tokens = text.split(' ').filter(|token| !token.is_empty());
        tokens
            .map(|token| {
                if token.bytes().all(allowed) {
                    Ok(token.to_owned())
                } else {
                    Err(ScopeError::Character)
                }
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether `token` is in the set.
    pub fn contains(&self, token: &str) -> bool {
        self.0.contains(token)
    }

    /// Whether every token of this set is in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// The tokens that both sets have.
    #[must_use]
    pub fn narrowed_to(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// The tokens that `keep` says yes to.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(
            self.iter()
                .filter(|token| keep(token))
                .map(ToOwned::to_owned)
                .collect(),
        )
    }

    /// The tokens of both sets.
    #[must_use]
    pub fn joined_with(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// The set without `token`.
    #[must_use]
    pub fn without(mut self, token: &str) -> Self {
        self.0.remove(token);
        self
    }

    /// The tokens, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`
fn allowed(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, token) in self.iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            write!(f, "{gap}{token}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_and_repetition_have_no_meaning() {
        let scope = Scope::parse("profile  openid profile").unwrap();
        assert_eq!(scope.to_string(), "openid profile");
        assert!(Scope::parse("openid").unwrap().is_within(&scope));
    }

    #[test]
    fn the_grammar_is_kept() {
        assert_eq!(Scope::parse("open\"id"), Err(ScopeError::Character));
        assert_eq!(Scope::parse("öpenid"), Err(ScopeError::Character));
        assert_eq!(Scope::parse("a\tb"), Err(ScopeError::Character));
        assert_eq!(
            Scope::parse(&"a".repeat(MAX_BYTES + 1)),
            Err(ScopeError::Length)
        );
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_and_read_again(text in "[ -~é]{0,60}") {
            let read = Scope::parse(&text);
            let fits = text.bytes().all(|byte| byte == b' ' || allowed(byte));
            prop_assert_eq!(read.is_ok(), fits);
            if let Ok(scope) = read {
                prop_assert!(scope.iter().all(|token| text.split(' ').any(|word| word == token)));
                prop_assert_eq!(Scope::parse(&scope.to_string()), Ok(scope));
            }
        }
    }
}
