//! Text that must not be seen: passwords, client secrets, tokens on their way through.

use std::fmt;

use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// A secret. Its `Debug` prints nothing, it cannot be serialised, and it is wiped when dropped.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes `text` into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself. Each call is a place to look at when secrets leak.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in constant time (T58).
    pub fn equals(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("x")), "[secret]");
    }
}
