//! Proof Key for Code Exchange (RFC 7636). `S256` alone: `plain` protects nothing (RFC 9700 section 2.1.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::error::OAuthError;
use super::params::Params;

/// An `S256` challenge: 43 characters of base64url (RFC 7636 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeChallenge(String);

impl CodeChallenge {
    /// Reads `code_challenge` and `code_challenge_method` of an authorization request.
    pub fn from_params(params: &Params) -> Result<Option<Self>, OAuthError> {
        let method = params.get("code_challenge_method")?;
        let Some(challenge) = params.get("code_challenge")? else {
            return match method {
                None => Ok(None),
                Some(_) => Err(OAuthError::invalid_request(
                    "code_challenge_method was sent without code_challenge",
                )),
            };
        };
        // RFC 7636 section 4.3: a missing method means `plain`, which is refused like a named one.
        if method != Some("S256") {
            return Err(OAuthError::invalid_request(
                "code_challenge_method must be S256",
            ));
        }
        match URL_SAFE_NO_PAD.decode(challenge) {
            Ok(digest) if digest.len() == 32 => Ok(Some(Self(challenge.to_owned()))),
            _ => Err(OAuthError::invalid_request(
                "code_challenge must be a SHA-256 digest in base64url, 43 characters",
            )),
        }
    }

    /// Whether `verifier` is the text this challenge was made from.
    fn accepts(&self, verifier: &str) -> bool {
        let made = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        made.as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}

/// Holds a token request's `code_verifier` against the authorization request's challenge.
///
/// A verifier without a challenge is refused too: it would hide that an attacker stripped the challenge
/// from the authorization request (RFC 9700 section 4.8.2; T13).
pub fn check(challenge: Option<&CodeChallenge>, verifier: Option<&str>) -> Result<(), OAuthError> {
    match (challenge, verifier) {
        (None, None) => Ok(()),
        (Some(_), None) => Err(OAuthError::invalid_grant("code_verifier is missing")),
        (None, Some(_)) => Err(OAuthError::invalid_grant(
            "code_verifier was sent, but the authorization request had no code_challenge",
        )),
        (Some(_), Some(verifier)) if !well_formed(verifier) => Err(OAuthError::invalid_grant(
            "code_verifier must have 43 to 128 unreserved characters",
        )),
        (Some(challenge), Some(verifier)) if challenge.accepts(verifier) => Ok(()),
        (Some(_), Some(_)) => Err(OAuthError::invalid_grant(
            "code_verifier does not fit the code_challenge",
        )),
    }
}

/// `code-verifier = 43*128unreserved` (RFC 7636 section 4.1).
fn well_formed(verifier: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn challenge() -> CodeChallenge {
        let params = [
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        CodeChallenge::from_params(&params.into_iter().collect())
            .unwrap()
            .unwrap()
    }

    #[test]
    fn the_example_of_the_rfc_fits() {
        assert!(check(Some(&challenge()), Some(VERIFIER)).is_ok());
    }

    /// T13.
    #[test]
    fn every_other_combination_is_refused() {
        let other = VERIFIER.replace('d', "e");
        let long = "a".repeat(129);
        for verifier in [
            None,
            Some(other.as_str()),
            Some("short"),
            Some(&long),
            Some(""),
        ] {
            assert!(check(Some(&challenge()), verifier).is_err(), "{verifier:?}");
        }
        assert!(check(None, Some(VERIFIER)).is_err());
        assert!(check(None, None).is_ok());
    }

    /// T13: neither named nor by default.
    #[test]
    fn plain_is_refused() {
        for pairs in [
            vec![
                ("code_challenge", VERIFIER),
                ("code_challenge_method", "plain"),
            ],
            vec![("code_challenge", VERIFIER)],
            vec![("code_challenge_method", "S256")],
            vec![
                ("code_challenge", "short"),
                ("code_challenge_method", "S256"),
            ],
        ] {
            assert!(CodeChallenge::from_params(&pairs.into_iter().collect()).is_err());
        }
    }

    proptest! {
        /// Section 4.6: the verifier that was hashed and no other, whatever its form.
        #[test]
        fn no_other_verifier_fits(verifier in "[A-Za-z0-9._~-]{43,128}", other in "[ -~]{0,130}") {
            let made = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
            let params = [("code_challenge", made.as_str()), ("code_challenge_method", "S256")];
            let challenge = CodeChallenge::from_params(&params.into_iter().collect()).unwrap();
            prop_assert!(check(challenge.as_ref(), Some(&verifier)).is_ok());
            prop_assert_eq!(check(challenge.as_ref(), Some(&other)).is_ok(), other == verifier);
            prop_assert!(check(None, Some(&verifier)).is_err());
        }

        #[test]
        fn only_a_digest_is_a_challenge(text in "[A-Za-z0-9_=+/-]{40,46}") {
            let params = [("code_challenge", text.as_str()), ("code_challenge_method", "S256")];
            if let Ok(Some(challenge)) = CodeChallenge::from_params(&params.into_iter().collect()) {
                prop_assert_eq!(URL_SAFE_NO_PAD.encode(URL_SAFE_NO_PAD.decode(&text).unwrap()), text.clone());
                prop_assert_eq!(challenge.0, text);
            }
        }
    }
}
