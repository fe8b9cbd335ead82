//! Text that must not be seen: passwords, client secrets, tokens on their way through.

use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The one key of the map that a secret is read from. The config puts it where `{ env = ".." }` or `{ file = ".." }`
/// stood; nobody can type it by accident.
pub const RESOLVED: &str = "\u{0}secret";

/// A secret. Its `Debug` prints nothing, it is serialized by [`sealed`] alone, and it is wiped when dropped.
#[derive(Clone)]
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

/// Reads a resolved reference and nothing else, so that no secret can stand in a config as text. The message never
/// repeats what was found: it may be the secret.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ResolvedReference)
    }
}

/// Reads a secret that another server answered with: there it is text, or not there at all. Never for the config.
pub fn from_answer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(Secret::new))
}

/// Writes and reads a secret inside a record that is sealed as a whole: `#[serde(with = "secret::sealed")]`. For
/// nothing that leaves the process in another way.
pub mod sealed {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Secret;

    /// Writes the text itself.
    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    /// Reads what [`serialize`] wrote.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }

    /// The same for a secret that may be missing.
    pub mod option {
        use serde::{Deserialize as _, Deserializer, Serializer};

        use crate::protocol::secret::Secret;

        /// Writes the text itself, or nothing.
        pub fn serialize<S: Serializer>(
            secret: &Option<Secret>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match secret {
                Some(secret) => serializer.serialize_some(secret.expose()),
                None => serializer.serialize_none(),
            }
        }

        /// Reads what [`serialize`] wrote.
        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Secret>, D::Error> {
            let text = Option::<String>::deserialize(deserializer)?;
            Ok(text.map(Secret::new))
        }
    }
}

struct ResolvedReference;

fn written_out<E: Error>() -> E {
    E::custom(
        "a secret is not written into the config: use { env = \"NAME\" } or { file = \"path\" }",
    )
}

impl<'de> Visitor<'de> for ResolvedReference {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ env = \"NAME\" } or { file = \"path\" }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        match map.next_key::<String>()? {
            Some(key) if key == RESOLVED => map.next_value().map(|text: String| Secret::new(text)),
            _ => Err(written_out()),
        }
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Secret, E> {
        Err(written_out())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Err(written_out())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Err(written_out())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Err(written_out())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Err(written_out())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Secret, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Err(written_out())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("x")), "[secret]");
    }

    #[test]
    fn only_a_resolved_reference_is_read() {
        let resolved = serde_json::json!({ RESOLVED: "x" });
        assert!(
            serde_json::from_value::<Secret>(resolved)
                .unwrap()
                .equals("x")
        );
        for written in [
            "\"hunter2\"",
            "1234",
            "-1",
            "1.5",
            "true",
            "[\"hunter2\"]",
            "{\"a\":\"hunter2\"}",
            "{}",
        ] {
            let error = serde_json::from_str::<Secret>(written)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("a secret is not written into the config"),
                "{error}"
            );
        }
    }
}
