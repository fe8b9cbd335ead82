//! Request objects (RFC 9101, OpenID Connect Core section 6): from the claims of a JWT to the parameters that count.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client_assertion::AHEAD;
use super::error::{ErrorCode, OAuthError};
use super::foreign_jwt::{Claims, JwtProblem};
use super::ids::ClientId;
use super::issuer::Issuer;
use super::jws::SigningAlgorithm;
use super::params::Params;
use super::resource::RESOURCE;
use super::response::ResponseType;

/// What a client signs its request objects with (`request_object_signing_alg`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestObjectAlgorithm {
    /// Nothing: they say no more than a plain request, and are taken only of those who are registered so.
    #[serde(rename = "none")]
    Unsigned,
    /// With an RSA key.
    RS256,
    /// With an RSA key.
    PS256,
    /// With an EC key on P-256.
    ES256,
    /// With an Ed25519 key.
    #[serde(alias = "Ed25519")]
    EdDSA,
}

impl RequestObjectAlgorithm {
    /// The names by which the algorithms may stand in a header, for discovery; one has two (RFC 9864 section 2.2).
    pub const NAMES: [&str; 6] = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519", "none"];

    /// Every algorithm.
    pub const ALL: [Self; 5] = [
        Self::RS256,
        Self::PS256,
        Self::ES256,
        Self::EdDSA,
        Self::Unsigned,
    ];

    /// The name by which it is registered.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsigned => "none",
            Self::RS256 => "RS256",
            Self::PS256 => "PS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm of a key pair, if it is one.
    pub const fn of_key(self) -> Option<SigningAlgorithm> {
        match self {
            Self::Unsigned => None,
            Self::RS256 => Some(SigningAlgorithm::RS256),
            Self::PS256 => Some(SigningAlgorithm::PS256),
            Self::ES256 => Some(SigningAlgorithm::ES256),
            Self::EdDSA => Some(SigningAlgorithm::EdDSA),
        }
    }
}

/// Claims about the JWT itself, which are no parameters.
const ABOUT_ITSELF: [&str; 7] = ["iss", "aud", "sub", "exp", "nbf", "iat", "jti"];

/// Who sent what beside the object, and who we are.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The client that the request named.
    pub client_id: &'a ClientId,
    /// The request that the object came in.
    pub outside: &'a Params,
    /// Whether the object was signed, and so says by whom and for whom it is.
    pub signed: bool,
    /// Us.
    pub issuer: &'a Issuer,
    /// The present.
    pub now: i64,
}

/// The parameters that a proven object holds. Those beside it do not count (RFC 9101 section 5): anybody can write them.
pub fn parameters(claims: &Claims, around: Around<'_>) -> Result<Params, OAuthError> {
    check(claims, around).map_err(|problem| invalid(format!("the request object {problem}")))?;
    let mut params = Vec::new();
    for (name, value) in claims.iter() {
        match name {
            // RFC 9101 section 4: an object within an object is none.
            "request" | "request_uri" => {
                return Err(invalid(format!(
                    "the request object holds {name}, which it must not"
                )));
            }
            name if ABOUT_ITSELF.contains(&name) => {}
            // The one parameter that may come more than once (RFC 8707 section 2).
            RESOURCE if value.is_array() => {
                for each in value.as_array().into_iter().flatten() {
                    params.push((name.to_owned(), parameter(name, each)?));
                }
            }
            name => params.push((name.to_owned(), parameter(name, value)?)),
        }
    }
    // All of them or none: who signed a request meant the whole of it.
    let mut params = Params::of(params)?;
    match params.get("client_id")? {
        None => params.set("client_id", around.client_id.as_str())?,
        Some(inside) if inside == around.client_id.as_str() => {}
        Some(_) => {
            return Err(invalid(
                "client_id differs from the one in the request object",
            ));
        }
    }
    // Core section 6.1: what has to stand outside too must be the same.
    if let Some(outside) = around.outside.get("response_type")?
        && params
            .get("response_type")?
            .is_some_and(|inside| !same_response_type(inside, outside))
    {
        return Err(invalid(
            "response_type differs from the one in the request object",
        ));
    }
    Ok(params)
}

/// The order of the words has no meaning (Multiple Response Types section 3). Of what we do not know nothing but the text can
/// be compared.
fn same_response_type(one: &str, other: &str) -> bool {
    match (ResponseType::parse(one), ResponseType::parse(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// `invalid_request_object` with its explanation (RFC 9101 section 7).
pub fn invalid(description: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequestObject, description)
}

fn check(claims: &Claims, around: Around<'_>) -> Result<(), JwtProblem> {
    let client_id = around.client_id.as_str();
    let named = |name| claims.get(name).is_some();
    if around.signed || named("iss") {
        claims.require_text("iss", client_id)?;
    }
    if around.signed || named("aud") {
        let ours = around.issuer.as_str();
        let is_ours = match claims.get("aud") {
            Some(Value::String(one)) => one == ours,
            Some(Value::Array(all)) => {
                all.iter().all(Value::is_string) && all.iter().any(|each| each == ours)
            }
            _ => false,
        };
        if !is_ours {
            return Err(JwtProblem::Claim("aud"));
        }
    }
    // RFC 9101 section 10.8: or an assertion of the client could be sent as a request.
    if claims.text("sub")? == Some(client_id) {
        return Err(JwtProblem::Claim("sub"));
    }
    if claims.time("exp")?.is_some_and(|exp| exp <= around.now) {
        return Err(JwtProblem::Claim("exp"));
    }
    claims.require_begun(around.now, AHEAD)
}

/// A parameter as it would stand in a query (RFC 9101 section 4): text as it is, numbers as text, what is JSON as JSON.
fn parameter(name: &str, value: &Value) -> Result<String, OAuthError> {
    match value {
        Value::String(text) if !text.contains('\0') => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Object(_) => Ok(value.to_string()),
        _ => Err(invalid(format!(
            "the request object holds {name} as something that no parameter is"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn read(claims: &Value, outside: &[(&str, &str)], signed: bool) -> Result<Params, OAuthError> {
        let around = Around {
            client_id: &ClientId::new("app"),
            outside: &outside.iter().copied().collect(),
            signed,
            issuer: &Issuer::parse("https://login.example.org").unwrap(),
            now: NOW,
        };
        parameters(&Claims::new(claims.as_object().unwrap().clone()), around)
    }

    fn good() -> Value {
        json!({
            "iss": "app", "aud": "https://login.example.org", "exp": NOW + 60, "jti": "1",
            "client_id": "app", "response_type": "code", "scope": "openid", "max_age": 10,
            "claims": { "id_token": { "acr": null } },
        })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        claims[name] = value;
        claims
    }

    /// RFC 9101 sections 4 and 5.
    #[test]
    fn what_stands_inside_counts_and_nothing_else() {
        let outside = [
            ("client_id", "app"),
            ("response_type", "code"),
            ("state", "s"),
            ("scope", "x"),
        ];
        let params = read(&good(), &outside, true).unwrap();
        assert_eq!(params.get("scope").unwrap(), Some("openid"));
        assert_eq!(params.get("max_age").unwrap(), Some("10"));
        assert_eq!(
            params.get("claims").unwrap(),
            Some(r#"{"id_token":{"acr":null}}"#)
        );
        for name in ["state", "iss", "aud", "exp", "jti"] {
            assert_eq!(params.get(name).unwrap(), None, "{name}");
        }
        let mut without = good();
        without.as_object_mut().unwrap().remove("client_id");
        let params = read(&without, &outside, true).unwrap();
        assert_eq!(params.get("client_id").unwrap(), Some("app"));
    }

    #[test]
    fn what_is_wrong_inside_is_an_invalid_object() {
        for wrong in [
            with("iss", json!("other")),
            with("iss", json!(null)),
            with("aud", json!("https://other.example.org")),
            with("aud", json!(["https://login.example.org", 1])),
            with("aud", json!([])),
            with("sub", json!("app")),
            with("exp", json!(NOW)),
            with("exp", json!("soon")),
            with("nbf", json!(NOW + 60)),
            with("iat", json!(NOW + 60)),
            with("client_id", json!("other")),
            with("response_type", json!("code id_token")),
            with("request", json!("e30.e30.")),
            with("request_uri", json!("https://app.example.org/r")),
            with("scope", json!(null)),
            with("scope", json!(true)),
            with("scope", json!(["openid"])),
            with("state", json!("a\u{0}b")),
        ] {
            let error = read(&wrong, &[("response_type", "code")], true).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidRequestObject, "{wrong}");
        }
        for name in ["iss", "aud"] {
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(name);
            assert!(read(&claims, &[], true).is_err(), "signed without {name}");
            assert!(read(&claims, &[], false).is_ok(), "unsigned without {name}");
        }
        assert!(read(&with("iss", json!("other")), &[], false).is_err());
        let several = json!(["https://other.example.org", "https://login.example.org"]);
        assert!(read(&with("aud", several), &[], true).is_ok());
    }

    /// Core section 6.1, Multiple Response Types section 3; what is not known is compared as it stands.
    #[test]
    fn response_types_are_the_same_in_any_order() {
        for (inside, outside, is_same) in [
            ("code id_token", "id_token code", true),
            ("token id_token code", "code id_token token", true),
            ("code", "code id_token", false),
            ("code x", "code x", true),
            ("code x", "x code", false),
            ("code", "code code", false),
        ] {
            let object = with("response_type", inside.into());
            let outside = [("response_type", outside)];
            assert_eq!(
                read(&object, &outside, true).is_ok(),
                is_same,
                "{inside}, {outside:?}"
            );
        }
    }

    /// A request that is cut short would be another one than was signed.
    #[test]
    fn an_object_with_too_many_parameters_is_refused() {
        let mut claims = good();
        for n in 0..60 {
            claims[format!("p{n}")] = json!("1");
        }
        let error = read(&claims, &[], true).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidRequest);
    }

    proptest! {
        /// Whatever is inside, who asks is who the request named, and no object is within.
        #[test]
        fn the_client_is_always_the_one_outside(
            name in "[a-z_]{1,12}|client_id|request|request_uri|iss",
            value in prop_oneof![
                "[a-z]{0,8}".prop_map(Value::from),
                any::<i64>().prop_map(Value::from),
                any::<f64>().prop_map(Value::from),
                Just(Value::Null),
                Just(json!({ "a": [1] })),
            ],
            signed in any::<bool>(),
        ) {
            if let Ok(params) = read(&with(&name, value), &[("client_id", "app")], signed) {
                prop_assert_eq!(params.get("client_id").unwrap(), Some("app"));
                prop_assert_eq!(params.get("request").unwrap(), None);
                prop_assert_eq!(params.get("request_uri").unwrap(), None);
            }
        }
    }
}
