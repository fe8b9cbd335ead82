//! What a client's assertion has to say (RFC 7523 section 3, OpenID Connect Core section 9), once its signature is proven.

use serde::{Deserialize, Serialize};

use super::foreign_jwt::{Claims, JwtProblem};
use super::ids::ClientId;
use super::jws::SigningAlgorithm;

/// The one `client_assertion_type` (RFC 7523 section 2.2).
pub const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The most seconds that an assertion may be good for (T42).
pub const MAX_LIFETIME: i64 = 5 * 60;
/// Seconds by which a client's clock may be ahead of ours: ten have to be taken, sixty refused (FAPI 2.0 Security Profile
/// section 5.3.2.1).
pub const AHEAD: i64 = 15;
/// The most bytes of a `jti` (T48).
pub const MAX_JTI_BYTES: usize = 256;

/// An algorithm that a client may sign its assertions with (`token_endpoint_auth_signing_alg`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AssertionAlgorithm {
    /// With the client's secret (`client_secret_jwt`).
    HS256,
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

impl AssertionAlgorithm {
    /// The names by which the algorithms may stand in a header, for discovery; one has two (RFC 9864 section 2.2).
    pub const NAMES: [&str; 6] = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"];

    /// The algorithm of a key pair; `None` for the one of a secret.
    pub const fn of_key(self) -> Option<SigningAlgorithm> {
        match self {
            Self::HS256 => None,
            Self::RS256 => Some(SigningAlgorithm::RS256),
            Self::PS256 => Some(SigningAlgorithm::PS256),
            Self::ES256 => Some(SigningAlgorithm::ES256),
            Self::EdDSA => Some(SigningAlgorithm::EdDSA),
        }
    }
}

/// What is left to do with an assertion that says what it must: to spend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Its id, good for one use.
    pub jti: String,
    /// When it ends.
    pub exp: i64,
}

impl Assertion {
    /// Holds verified claims against the client and `audiences` (T40, T42). `aud` is one text: with several, another server
    /// that the client trusts could use the assertion here.
    pub fn check(
        claims: &Claims,
        client_id: &ClientId,
        audiences: &[&str],
        now: i64,
    ) -> Result<Self, JwtProblem> {
        claims.require_text("iss", client_id.as_str())?;
        claims.require_text("sub", client_id.as_str())?;
        match claims.text("aud")? {
            Some(aud) if audiences.contains(&aud) => {}
            _ => return Err(JwtProblem::Claim("aud")),
        }
        let latest = now.saturating_add(MAX_LIFETIME + AHEAD);
        let exp = claims.time("exp")?;
        let exp = exp
            .filter(|exp| *exp > now && *exp <= latest)
            .ok_or(JwtProblem::Claim("exp"))?;
        claims.require_begun(now, AHEAD)?;
        match claims.text("jti")? {
            Some(jti) if !jti.is_empty() && jti.len() <= MAX_JTI_BYTES => Ok(Self {
                jti: jti.to_owned(),
                exp,
            }),
            _ => Err(JwtProblem::Claim("jti")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_700_000_000;
    const US: &str = "https://login.example.org";

    fn good() -> Value {
        json!({ "iss": "app", "sub": "app", "aud": US, "exp": NOW + 60, "iat": NOW, "jti": "1" })
    }

    fn check(value: &Value) -> Result<Assertion, JwtProblem> {
        let claims = Claims::new(value.as_object().unwrap().clone());
        Assertion::check(&claims, &ClientId::new("app"), &[US], NOW)
    }

    /// T40, T42.
    #[test]
    fn every_claim_is_there_and_what_it_has_to_be() {
        assert!(check(&good()).is_ok());
        for (name, wrong) in [
            ("iss", json!("other")),
            ("iss", json!(["app"])),
            ("sub", json!("other")),
            ("aud", json!([US])),
            ("aud", json!("https://login.example.org/token")),
            ("aud", json!("https://login.example.org/")),
            ("exp", json!(NOW)),
            ("exp", json!(NOW + MAX_LIFETIME + AHEAD + 1)),
            ("exp", json!((NOW + 60).to_string())),
            ("iat", json!(NOW + 60)),
            ("iat", json!("now")),
            ("nbf", json!(NOW + 60)),
            ("nbf", json!(null)),
            ("jti", json!("")),
            ("jti", json!(1)),
            ("jti", json!("j".repeat(MAX_JTI_BYTES + 1))),
        ] {
            let mut claims = good();
            claims[name] = wrong.clone();
            let problem = check(&claims).unwrap_err();
            let told = [JwtProblem::Claim(name), JwtProblem::ClaimType(name)];
            assert!(told.contains(&problem), "{name} {wrong}: {problem}");
        }
        for name in ["iss", "sub", "aud", "exp", "jti"] {
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(name);
            assert_eq!(check(&claims), Err(JwtProblem::Claim(name)));
        }
    }

    /// FAPI 2.0 Security Profile section 5.3.2.1.
    #[test]
    fn a_clock_that_is_a_little_ahead_is_taken() {
        let mut claims = good();
        for name in ["iat", "nbf"] {
            claims[name] = json!(NOW + 10);
        }
        claims["exp"] = json!(NOW + 10 + MAX_LIFETIME);
        assert!(check(&claims).is_ok());
        claims.as_object_mut().unwrap().remove("iat");
        assert!(check(&claims).is_ok(), "iat is not required");
    }

    proptest! {
        /// Whatever the times are, what is taken has not ended and ends soon.
        #[test]
        fn what_is_taken_ends_soon(exp in any::<i64>(), iat in any::<i64>(), near in -400i64..400) {
            for exp in [exp, NOW + near] {
                let mut claims = good();
                claims["exp"] = json!(exp);
                claims["iat"] = json!(iat);
                if let Ok(assertion) = check(&claims) {
                    prop_assert!(assertion.exp > NOW && assertion.exp <= NOW + MAX_LIFETIME + AHEAD);
                    prop_assert!(iat <= NOW + AHEAD);
                }
            }
        }
    }
}
