//! Request parameters: one type for query and form, strict where leniency has hurt others.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode;

use super::error::OAuthError;
use super::jws::MAX_ID_TOKEN_BYTES;
use super::resource::RESOURCE;

/// The most bytes a query or a form body may have (T48). Larger requests are refused before parsing.
pub const MAX_ENCODED_BYTES: usize = 16 * 1024;

/// The most of a request that an ID token of ours may come along in. What else is in it is no longer than elsewhere (T48).
pub const MAX_HINTED_BYTES: usize = MAX_ENCODED_BYTES + MAX_ID_TOKEN_BYTES;

/// The parameter that it comes along in (OpenID Connect Core section 3.1.2.1, RP-Initiated Logout 1.0 section 2).
const HINT: &[u8] = b"id_token_hint=";

/// The most parameters one request may carry.
const MAX_PARAMETERS: usize = 64;

/// Decoded parameters. An empty value counts as absent (RFC 6749 section 3.1); a parameter sent twice is
/// remembered as such, so that whoever reads it gets `invalid_request` (same section), and one that
/// nobody reads does no harm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    values: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Once(String),
    Repeated(Vec<String>),
}

impl Value {
    fn all(&self) -> &[String] {
        match self {
            Self::Once(value) => std::slice::from_ref(value),
            Self::Repeated(all) => all,
        }
    }
}

fn too_large() -> OAuthError {
    OAuthError::invalid_request("the request is too large")
}

/// Whether a request is too large, though an `id_token_hint` may stand in it: one that does not is no larger than any other.
pub fn is_too_large_beside_hint(encoded: &[u8]) -> bool {
    let mut pairs = encoded.split(|byte| *byte == b'&');
    let hint = pairs.find(|pair| pair.starts_with(HINT));
    let others = encoded.len() - hint.map_or(0, <[u8]>::len);
    encoded.len() > MAX_HINTED_BYTES || others > MAX_ENCODED_BYTES
}

impl Params {
    /// Decodes `application/x-www-form-urlencoded` text.
    pub fn parse(encoded: &[u8]) -> Result<Self, OAuthError> {
        if encoded.len() > MAX_ENCODED_BYTES {
            return Err(too_large());
        }
        Self::decoded(encoded)
    }

    /// The same where `id_token_hint` may be among them.
    pub fn parse_hinted(encoded: &[u8]) -> Result<Self, OAuthError> {
        if is_too_large_beside_hint(encoded) {
            return Err(too_large());
        }
        Self::decoded(encoded)
    }

    fn decoded(encoded: &[u8]) -> Result<Self, OAuthError> {
        let mut params = Self::default();
        for pair in encoded.split(|byte| *byte == b'&') {
            if pair.is_empty() {
                continue;
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            params.add(name, value)?;
        }
        Ok(params)
    }

    fn add(&mut self, name: String, value: String) -> Result<(), OAuthError> {
        self.refuse_one_more()?;
        // An empty parameter is as if omitted, but `a=&a=1` is still a parameter sent twice.
        self.values
            .entry(name)
            .and_modify(|seen| match seen {
                Value::Once(first) => {
                    *seen = Value::Repeated(vec![std::mem::take(first), value.clone()]);
                }
                Value::Repeated(all) => all.push(value.clone()),
            })
            .or_insert_with(|| Value::Once(value));
        Ok(())
    }

    /// However often a name is repeated, so that what was read once can be written and read again.
    fn refuse_one_more(&self) -> Result<(), OAuthError> {
        let count: usize = self.values.values().map(|value| value.all().len()).sum();
        if count >= MAX_PARAMETERS {
            return Err(OAuthError::invalid_request("too many parameters"));
        }
        Ok(())
    }

    /// The parameters in `pairs`, as they would stand in a query.
    pub fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, OAuthError> {
        let mut params = Self::default();
        for (name, value) in pairs {
            params.add(name, value)?;
        }
        Ok(params)
    }

    /// Puts `value` in the place of whatever `name` was.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), OAuthError> {
        self.values.remove(name);
        self.add(name.to_owned(), value.to_owned())
    }

    /// The same parameters, but those in `names`.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let mut rest = self.clone();
        rest.values
            .retain(|name, _| !names.contains(&name.as_str()));
        rest
    }

    /// The parameters as [`Params::parse`] reads them, those that came more than once too.
    pub fn encode(&self) -> String {
        let pairs = self
            .values
            .iter()
            .flat_map(|(name, value)| value.all().iter().map(move |value| (name, value)));
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
    }

    /// The value of `name`, `None` when absent or empty, an error when it was sent more than once.
    pub fn get(&self, name: &str) -> Result<Option<&str>, OAuthError> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Value::Once(value)) if value.is_empty() => Ok(None),
            Some(Value::Once(value)) => Ok(Some(value)),
            Some(Value::Repeated(_)) => Err(OAuthError::invalid_request(format!(
                "{name} was sent more than once"
            ))),
        }
    }

    /// Every value of `name` that is not empty, for the one parameter that may come more than once.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values
            .get(name)
            .map_or(&[][..], Value::all)
            .iter()
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The value of `name`, which has to be there.
    pub fn require(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name)?
            .ok_or_else(|| OAuthError::invalid_request(format!("{name} is missing")))
    }

    /// The value of `name`, refused when longer than `max` bytes (T48).
    pub fn get_capped(&self, name: &str, max: usize) -> Result<Option<&str>, OAuthError> {
        match self.get(name)? {
            Some(value) if value.len() > max => Err(OAuthError::invalid_request(format!(
                "{name} is longer than {max} bytes"
            ))),
            other => Ok(other),
        }
    }

    /// Refuses the request if any parameter was sent twice that may come only once, whoever would have read it.
    pub fn refuse_repeated(&self) -> Result<(), OAuthError> {
        self.values
            .keys()
            .filter(|name| *name != RESOURCE)
            .try_for_each(|name| self.get(name).map(drop))
    }
}

/// For tests and for requests that come from us.
impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Params {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(pairs: T) -> Self {
        let mut params = Self::default();
        for (name, value) in pairs {
            let _ = params.add(name.into(), value.into());
        }
        params
    }
}

/// Undoes `+` and `%XX`. Text that is not UTF-8 or holds a NUL is refused rather than repaired: what we check
/// must be what the next reader sees.
pub(super) fn decode(encoded: &[u8]) -> Result<String, OAuthError> {
    let spaced: Cow<'_, [u8]> = if encoded.contains(&b'+') {
        let space = |byte: &u8| if *byte == b'+' { b' ' } else { *byte };
        encoded.iter().map(space).collect::<Vec<_>>().into()
    } else {
        encoded.into()
    };
    let decoded = percent_decode(&spaced)
        .decode_utf8()
        .map_err(|_| OAuthError::invalid_request("a parameter is not UTF-8"))?;
    if decoded.contains('\0') {
        return Err(OAuthError::invalid_request(
            "a parameter holds a NUL character",
        ));
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 6749 section 3.1 (T8).
    #[test]
    fn a_parameter_sent_twice_is_an_error_for_its_reader_only() {
        let params = Params::parse(b"scope=openid&x=1&x=2").unwrap();
        assert_eq!(params.get("scope").unwrap(), Some("openid"));
        assert!(params.get("x").is_err());
        assert!(params.refuse_repeated().is_err());
        assert!(Params::parse(b"a=&a=1").unwrap().get("a").is_err());
    }

    #[test]
    fn an_empty_parameter_is_absent() {
        let params = Params::parse(b"state=&nonce").unwrap();
        assert_eq!(params.get("state").unwrap(), None);
        assert_eq!(params.get("nonce").unwrap(), None);
    }

    #[test]
    fn what_is_not_utf8_is_refused() {
        assert!(Params::parse(b"state=%ff").is_err());
        assert!(Params::parse(b"state=%00").is_err());
        assert!(Params::parse(&vec![b'a'; MAX_ENCODED_BYTES + 1]).is_err());
    }

    /// T48: a hint takes no room from the rest of a request, and gives it none.
    #[test]
    fn a_request_may_be_larger_by_its_hint_alone() {
        let request = |hint: usize, rest: usize| {
            let (hint, rest) = ("a".repeat(hint), "a".repeat(rest - "p=&".len()));
            format!("p={rest}&id_token_hint={hint}")
        };
        let full = request(MAX_ID_TOKEN_BYTES - HINT.len(), MAX_ENCODED_BYTES);
        assert_eq!(full.len(), MAX_HINTED_BYTES);
        assert!(Params::parse_hinted(full.as_bytes()).is_ok());
        for (hint, rest) in [
            (MAX_ID_TOKEN_BYTES, MAX_ENCODED_BYTES),
            (1, MAX_ENCODED_BYTES + 1),
            (MAX_HINTED_BYTES, 3),
        ] {
            let request = request(hint, rest);
            assert!(Params::parse_hinted(request.as_bytes()).is_err());
        }
        let twice = format!(
            "{}&id_token_hint={}",
            request(1, 3),
            "a".repeat(MAX_ENCODED_BYTES)
        );
        assert!(Params::parse_hinted(twice.as_bytes()).is_err());
        assert!(Params::parse(full.as_bytes()).is_err());
    }

    /// The limit counts what is repeated, whatever its place; found by fuzzing: what was read could not be read again.
    #[test]
    fn repeated_parameters_count() {
        let many = |count: usize| {
            let names: Vec<String> = (0..count).map(|n| format!("p{n}=1&")).collect();
            names.concat()
        };
        let at_most = Params::parse(format!("{}z=1&z=2", many(62)).as_bytes()).unwrap();
        assert_eq!(Params::parse(at_most.encode().as_bytes()).unwrap(), at_most);
        for one_too_many in [
            format!("{}z=1&z=2", many(63)),
            format!("z=1&z=2&{}", many(63)),
            "z=1&".repeat(65),
        ] {
            assert!(
                Params::parse(one_too_many.as_bytes()).is_err(),
                "{one_too_many}"
            );
        }
        let mut full = Params::parse(many(64).as_bytes()).unwrap();
        assert!(full.set("p1", "2").is_ok());
        assert!(full.set("one_more", "1").is_err());
    }

    proptest! {
        #[test]
        fn every_value_survives_encoding(value in "[^\0]{1,64}") {
            let encoded: String = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("k", &value).finish();
            let params = Params::parse(encoded.as_bytes()).unwrap();
            prop_assert_eq!(params.get("k").unwrap(), Some(value.as_str()));
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Params::parse(&bytes);
        }
    }
}
