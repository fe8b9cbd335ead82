//! The `claims` parameter (OpenID Connect Core section 5.5): single claims, each for the ID token or for userinfo.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::OAuthError;

/// The most bytes of the parameter (T48).
pub const MAX_BYTES: usize = 4096;
/// The most claims of one member, and the most values of one claim (T48).
const MAX_MEMBERS: usize = 64;
/// How deep it nests at the most (T48): member, claim, `values`, and a value that is an object.
const MAX_DEPTH: usize = 6;

/// What is asked for, by the name of the claim. What is not understood was left out (Core section 5.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimsRequest {
    /// At userinfo.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub userinfo: BTreeMap<String, Wanted>,
    /// In ID tokens.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub id_token: BTreeMap<String, Wanted>,
}

/// How a claim is asked for (Core section 5.5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Whether the client says that it cannot do without. It changes something for `acr` alone.
    #[serde(skip_serializing_if = "is_false")]
    pub essential: bool,
    /// The values that will do, the best first; any when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde wants"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Wanted {
    /// Whether this value will do.
    pub fn admits(&self, value: &Value) -> bool {
        self.values.is_empty() || self.values.contains(value)
    }

    fn read(name: &str, written: &Value) -> Result<Self, OAuthError> {
        let wanted = match written {
            Value::Null => return Ok(Self::default()),
            Value::Object(wanted) => wanted,
            _ => return Err(shape(&format!("{name} must be null or an object"))),
        };
        let essential = match wanted.get("essential") {
            None => false,
            Some(Value::Bool(essential)) => *essential,
            Some(_) => return Err(shape(&format!("essential of {name} must be true or false"))),
        };
        let values = match (wanted.get("value"), wanted.get("values")) {
            (None, None) => Vec::new(),
            (Some(value), None) => vec![value.clone()],
            (None, Some(Value::Array(values))) if (1..=MAX_MEMBERS).contains(&values.len()) => {
                values.clone()
            }
            (None, Some(_)) => {
                return Err(shape(&format!(
                    "values of {name} must be a list of 1 to 64"
                )));
            }
            (Some(_), Some(_)) => {
                return Err(shape(&format!("{name} has both value and values")));
            }
        };
        Ok(Self { essential, values })
    }
}

impl ClaimsRequest {
    /// Reads the parameter (T49). Its errors are the client's to see.
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        if depth(text) > MAX_DEPTH {
            return Err(shape("it nests too deep"));
        }
        let written: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| shape("it is no JSON object"))?;
        Ok(Self {
            userinfo: read_member(&written, "userinfo")?,
            id_token: read_member(&written, "id_token")?,
        })
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.userinfo.is_empty() && self.id_token.is_empty()
    }

    /// The claims asked for in either place.
    pub fn names(&self) -> BTreeSet<&str> {
        let all = self.userinfo.keys().chain(self.id_token.keys());
        all.map(String::as_str).collect()
    }

    /// What of it `may` admits.
    #[must_use]
    pub fn narrowed_to(mut self, may: impl Fn(&str) -> bool) -> Self {
        self.userinfo.retain(|name, _| may(name));
        self.id_token.retain(|name, _| may(name));
        self
    }

    /// How the ID token's claim of this name is asked for, or userinfo's.
    pub fn wanted(&self, name: &str) -> Option<&Wanted> {
        self.id_token.get(name).or_else(|| self.userinfo.get(name))
    }
}

fn read_member(
    written: &Map<String, Value>,
    member: &str,
) -> Result<BTreeMap<String, Wanted>, OAuthError> {
    let claims = match written.get(member) {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(claims)) if claims.len() <= MAX_MEMBERS => claims,
        Some(Value::Object(_)) => return Err(shape(&format!("{member} has more than 64 claims"))),
        Some(_) => return Err(shape(&format!("{member} must be an object"))),
    };
    let each = claims.iter();
    each.map(|(name, wanted)| Ok((name.clone(), Wanted::read(name, wanted)?)))
        .collect()
}

/// How deep the text nests, before anything parses it.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut in_text, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn shape(what: &str) -> OAuthError {
    OAuthError::invalid_request(format!(
        "claims is not as OpenID Connect Core section 5.5 wants it: {what}"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Core section 5.5, its own example and more.
    #[test]
    fn each_way_to_ask_is_read() {
        let text = json!({
            "userinfo": {
                "given_name": { "essential": true },
                "nickname": null,
                "picture": {},
                "http://example.info/claims/groups": null,
            },
            "id_token": {
                "auth_time": { "essential": true },
                "acr": { "values": ["a", "b"], "unheard_of": [1, 2] },
                "sub": { "value": "248289761001" },
            },
            "unheard_of": { "x": 1 },
        });
        let request = ClaimsRequest::parse(&text.to_string()).unwrap();
        assert!(request.userinfo["given_name"].essential);
        assert!(!request.userinfo["nickname"].essential);
        assert_eq!(request.id_token["acr"].values, [json!("a"), json!("b")]);
        assert_eq!(request.id_token["sub"].values, [json!("248289761001")]);
        assert!(request.id_token["sub"].admits(&json!("248289761001")));
        assert!(!request.id_token["sub"].admits(&json!("248289761002")));
        assert!(request.userinfo["nickname"].admits(&json!("Jo")));
        assert_eq!(request.names().len(), 7);
        let kept = serde_json::to_string(&request).unwrap();
        assert_eq!(
            serde_json::from_str::<ClaimsRequest>(&kept).unwrap(),
            request
        );
        for nothing in ["{}", "{\"userinfo\":null}", "{\"id_token\":{}}"] {
            assert!(ClaimsRequest::parse(nothing).unwrap().is_empty());
        }
    }

    /// T48, T49.
    #[test]
    fn every_other_shape_is_refused() {
        let many: Map<String, Value> = (0..65)
            .map(|number| (format!("c{number}"), Value::Null))
            .collect();
        let deep = format!("{{\"x\":{}1{}}}", "[".repeat(6), "]".repeat(6));
        for text in [
            "",
            "null",
            "[]",
            "\"userinfo\"",
            "{",
            "{}{}",
            "{\"userinfo\":[]}",
            "{\"userinfo\":\"email\"}",
            "{\"id_token\":{\"email\":true}}",
            "{\"id_token\":{\"email\":[]}}",
            "{\"id_token\":{\"email\":{\"essential\":\"true\"}}}",
            "{\"id_token\":{\"email\":{\"essential\":null}}}",
            "{\"id_token\":{\"acr\":{\"values\":\"a\"}}}",
            "{\"id_token\":{\"acr\":{\"values\":[]}}}",
            "{\"id_token\":{\"acr\":{\"value\":\"a\",\"values\":[\"a\"]}}}",
            &json!({ "userinfo": many }).to_string(),
            &deep,
        ] {
            let error = ClaimsRequest::parse(text).unwrap_err();
            assert_eq!(error.code.as_str(), "invalid_request", "{text}");
        }
        assert_eq!(depth("{\"a[[[[\\\"[[[\":[{}]}"), 3);
    }

    proptest! {
        /// Whatever is sent, it is read or refused, and what is read stays what it is.
        #[test]
        fn no_text_breaks_it(text in "[\\[\\]{}:,\"a-z0-9\\\\]{0,80}") {
            if let Ok(request) = ClaimsRequest::parse(&text) {
                let kept = serde_json::to_string(&request).unwrap();
                prop_assert_eq!(serde_json::from_str::<ClaimsRequest>(&kept).unwrap(), request);
            }
        }
    }
}
