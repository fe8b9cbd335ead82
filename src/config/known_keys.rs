//! Every key that the config knows, asked of the serde types themselves, so that the list cannot fall behind them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{clients, load, resources, upstreams};
use crate::upstream::{aim18, imis, oidc, users};

/// Every key, with the tables it stands in: `clients.redirect_uris`. The keys of one kind of upstream have the kind
/// before them: `upstreams.imis.base_url`. A key of the administrator's own choosing is `*`: `clients.claims.*.group`.
pub fn known_keys() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    keys.extend(keys_of::<load::Raw>(""));
    keys.extend(keys_of::<resources::Raw>("resources"));
    keys.extend(keys_of::<clients::Raw>("clients"));
    keys.extend(keys_of::<upstreams::Raw>("upstreams"));
    keys.extend(keys_of::<imis::Settings>("upstreams.imis"));
    keys.extend(keys_of::<aim18::Settings>("upstreams.aim18"));
    keys.extend(keys_of::<oidc::Settings>("upstreams.oidc"));
    keys.extend(keys_of::<users::Settings>("upstreams.users"));
    keys
}

/// Stands for the keys that whoever writes the file chooses.
const ANY_NAME: &str = "*";

fn keys_of<T: DeserializeOwned>(prefix: &str) -> BTreeSet<String> {
    let trace = Trace::default();
    loop {
        let refused = trace.refused.borrow().len();
        let tracer = Tracer {
            path: prefix.to_owned(),
            trace: &trace,
        };
        // Until the type is content, or lacks only what it has refused.
        if T::deserialize(tracer).is_ok() || trace.refused.borrow().len() == refused {
            return trace.found.into_inner();
        }
    }
}

/// What has been seen of a type.
#[derive(Default)]
struct Trace {
    found: RefCell<BTreeSet<String>>,
    /// Keys whose values do not take our text; they have no keys below them, and are not offered again.
    refused: RefCell<BTreeSet<String>>,
}

/// Offers every struct each of its fields, every list one element, every map one entry, and everything else some text.
struct Tracer<'a> {
    path: String,
    trace: &'a Trace,
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str("text")
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(OneElement(Some(self)))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Fields {
            remaining: fields,
            path: String::new(),
            parent: self,
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Fields {
            remaining: &[ANY_NAME],
            path: String::new(),
            parent: self,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct enum identifier ignored_any
    }
}

struct OneElement<'a>(Option<Tracer<'a>>);

impl<'de> SeqAccess<'de> for OneElement<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.0
            .take()
            .map(|tracer| seed.deserialize(tracer))
            .transpose()
    }
}

struct Fields<'a> {
    remaining: &'static [&'static str],
    /// Of the field offered last.
    path: String,
    parent: Tracer<'a>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        while let Some((field, remaining)) = self.remaining.split_first() {
            self.remaining = remaining;
            let parent = &self.parent.path;
            let gap = if parent.is_empty() { "" } else { "." };
            self.path = format!("{parent}{gap}{field}");
            let trace = self.parent.trace;
            trace.found.borrow_mut().insert(self.path.clone());
            if !trace.refused.borrow().contains(&self.path) {
                return seed.deserialize(StrDeserializer::new(field)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let trace = self.parent.trace;
        let refused = trace.refused.borrow().len();
        let value = seed.deserialize(Tracer {
            path: self.path.clone(),
            trace,
        });
        // The innermost key is the one refused; those around it only pass the error on.
        if value.is_err() && trace.refused.borrow().len() == refused {
            trace.refused.borrow_mut().insert(self.path.clone());
        }
        value
    }
}
