//! JSON that strangers send (RFC 8259): an object, of which no two readers can understand different things.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The deepest nesting that anything needs: a key set in a registration, with a chain of certificates in a key (T48).
const MAX_DEPTH: usize = 8;

/// Reads an object. Refused are other values (T49), what comes after it, a name that stands twice in one object (RFC 8259
/// section 4: which one counts, each reader decides for itself), NUL characters in names and values, and nesting beyond `MAX_DEPTH`.
pub fn object(text: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = Strict { depth: MAX_DEPTH }.deserialize(&mut reader)?;
    reader.end()?;
    match read {
        Value::Object(object) => Ok(object),
        _ => Err(serde_json::Error::custom("it is no object")),
    }
}

/// Reads a value with as many levels of nesting.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn below<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| E::custom("it is nested too deeply"))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        refuse_nul(value)?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(below)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            refuse_nul(&name)?;
            let value = map.next_value_seed(below)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice in one object"));
            }
        }
        Ok(Value::Object(object))
    }
}

/// A name is read on as a value is: a member of a request object becomes a parameter.
fn refuse_nul<E: Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') {
        return Err(E::custom("a text holds a NUL character"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// T48, T49.
    #[test]
    fn only_one_meaning_is_read() {
        let good = r#"{"a": [1, -1, 1.5, true, null, "x"], "b": {"a": {}}}"#;
        let read = object(good.as_bytes()).unwrap();
        assert_eq!(
            Value::Object(read),
            serde_json::from_str::<Value>(good).unwrap()
        );
        let deep =
            |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        object(deep(MAX_DEPTH - 1).as_bytes()).unwrap();
        for bad in [
            "",
            "[]",
            "null",
            "\"text\"",
            r#"{"a": 1} {}"#,
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": 1, "\u0061": 2}"#,
            r#"{"a": {"b": 1, "b": 2}}"#,
            r#"{"a": "\u0000"}"#,
            r#"{"a\u0000": 1}"#,
            r#"{"a": [{"\u0000": 1}]}"#,
            r#"{"a": 1,}"#,
            r"{'a': 1}",
            r#"{"a": NaN}"#,
            r#"{"a": "\ud800"}"#,
            &deep(MAX_DEPTH),
            &deep(100_000),
        ] {
            assert!(object(bad.as_bytes()).is_err(), "{bad:.40}");
        }
        assert!(object(b"{\"a\": \"\xff\"}").is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_serde_reads(text in r#"\{("[ab]":(1|"x"|\[2,null\]|\{"[ab]":3\}),?){0,3}\}"#) {
            if let Ok(read) = object(text.as_bytes()) {
                let usual: Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(Value::Object(read), usual);
            }
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = object(&bytes);
        }
    }
}
