//! Proofs of possession (DPoP, RFC 9449): that whoever sends a request has the private key that a token is bound to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::error::{ErrorCode, OAuthError};
use super::foreign_jwt::{ForeignJwt, ForeignKind, JwtProblem};
use super::jws::SigningAlgorithm;
use super::params::Params;

/// The header that carries a proof (RFC 9449 section 4.1).
pub const HEADER: &str = "dpop";
/// The header that gives a nonce (RFC 9449 section 8).
pub const NONCE_HEADER: &str = "dpop-nonce";
/// The `token_type`, and the scheme in `Authorization` (RFC 9449 sections 5 and 7.1).
pub const SCHEME: &str = "DPoP";
/// What proofs may be signed with, all asymmetric (RFC 9449 section 4.2). Not RS256, which the FAPI 2.0 Security Profile
/// (section 5.4.1) forbids, and no registration could pin: whoever makes proofs knows a better one.
pub const ALGORITHMS: [SigningAlgorithm; 3] = [
    SigningAlgorithm::ES256,
    SigningAlgorithm::EdDSA,
    SigningAlgorithm::PS256,
];

/// The names by which they may stand in a header; one has two (RFC 9864 section 2.2).
pub const ALGORITHM_NAMES: [&str; 4] = ["ES256", "EdDSA", "Ed25519", "PS256"];

/// The most bytes of a proof; one with an RSA key of 4096 bits has some 1,600 (T48).
const MAX_PROOF_BYTES: usize = 4096;
/// The most bytes of a proof's `jti` (RFC 9449 section 11.1).
const MAX_JTI_BYTES: usize = 256;
/// The most bytes of a proof's `htu` and `nonce`.
const MAX_HTU_BYTES: usize = 4096;
const MAX_NONCE_BYTES: usize = 256;
/// Seconds by which the clock of a client may be ahead: 10 are taken, 60 are not.
const AHEAD: i64 = 30;
/// The most seconds that any configuration lets a proof be old.
pub const MAX_WINDOW: i64 = 300;
/// How long SHA-256 is in base64url.
const THUMBPRINT_CHARACTERS: usize = 43;

/// The SHA-256 thumbprint of a public key (RFC 7638), as `jkt` and `dpop_jkt` carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Thumbprint(String);

impl Thumbprint {
    /// Reads the text that a thumbprint is; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = text.len() == THUMBPRINT_CHARACTERS && URL_SAFE_NO_PAD.decode(text).is_ok();
        canonical.then(|| Self(text.to_owned()))
    }

    /// The parameter `dpop_jkt` of an authorization request (RFC 9449 section 10).
    pub fn from_params(params: &Params) -> Result<Option<Self>, OAuthError> {
        let Some(text) = params.get("dpop_jkt")? else {
            return Ok(None);
        };
        Self::parse(text).map(Some).ok_or_else(|| {
            OAuthError::invalid_request("dpop_jkt must be the SHA-256 thumbprint of a key")
        })
    }

    /// The thumbprint as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a token is bound to (RFC 7800 section 3.1, RFC 9449 section 6.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The key.
    pub jkt: Thumbprint,
}

/// What a proof has to be about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// Its address as clients know it: made from the issuer, never from what the request says of its host (T56).
    pub url: &'a str,
    /// The access token that came with it.
    pub access_token: Option<&'a str>,
    /// The present.
    pub now: i64,
    /// Seconds that a proof may be old, [`MAX_WINDOW`] at the most.
    pub window: i64,
}

/// A proof that holds, but for what only a store knows: whether it was seen before, and whether its nonce is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The key that was proven.
    pub key: Thumbprint,
    /// Its one name.
    pub jti: String,
    /// The nonce that it answers.
    pub nonce: Option<String>,
    /// From then on nobody takes it any more, whatever the window becomes: one that grew at a restart would let it count
    /// again.
    pub expires_at: i64,
}

impl Proof {
    /// Reads a proof and holds it against the request that it came with (RFC 9449 section 4.3).
    pub fn read(text: &str, about: About<'_>) -> Result<Self, OAuthError> {
        if text.len() > MAX_PROOF_BYTES {
            return Err(invalid("the DPoP proof is too long"));
        }
        let jwt = ForeignJwt::read(text, ForeignKind::DpopProof).map_err(not_read)?;
        let (key, claims) = jwt.verified_by_own_key(&ALGORITHMS).map_err(not_read)?;
        let required = |name: &'static str, most: usize| {
            let text = claims.text(name).map_err(not_read)?;
            text.filter(|text| !text.is_empty() && text.len() <= most)
                .ok_or_else(|| invalid(format!("the DPoP proof has no {name}, or too long a one")))
        };
        // Letter by letter: methods have an upper case of their own (RFC 9110 section 9.1).
        if required("htm", 16)? != about.method {
            return Err(invalid(
                "htm of the DPoP proof is not this request's method",
            ));
        }
        if !same_address(required("htu", MAX_HTU_BYTES)?, about.url) {
            return Err(invalid(
                "htu of the DPoP proof is not this request's address, without query and fragment",
            ));
        }
        let jti = required("jti", MAX_JTI_BYTES)?.to_owned();
        let iat = claims
            .time("iat")
            .map_err(not_read)?
            .ok_or_else(|| invalid("the DPoP proof has no iat"))?;
        let too_old = |window: i64| iat.saturating_add(window).saturating_add(1);
        if iat > about.now.saturating_add(AHEAD) || about.now >= too_old(about.window) {
            return Err(invalid(
                "iat of the DPoP proof is too old or in the future; check the clock",
            ));
        }
        if let Some(token) = about.access_token
            && required("ath", THUMBPRINT_CHARACTERS)? != ath(token)
        {
            return Err(invalid("ath of the DPoP proof is not of this access token"));
        }
        let nonce = claims.text("nonce").map_err(not_read)?;
        if nonce.is_some_and(|nonce| nonce.len() > MAX_NONCE_BYTES) {
            return Err(invalid("nonce of the DPoP proof is too long"));
        }
        Ok(Self {
            key: Thumbprint(key.thumbprint()),
            nonce: nonce.map(ToOwned::to_owned),
            jti,
            expires_at: too_old(MAX_WINDOW),
        })
    }
}

/// Refuses a request that does not prove possession of `bound`, if there is such a key.
pub fn require_key(
    bound: Option<&Thumbprint>,
    proven: Option<&Thumbprint>,
) -> Result<(), OAuthError> {
    match bound {
        Some(bound) if proven != Some(bound) => Err(OAuthError::invalid_grant(
            "this belongs to a key, and the request has no DPoP proof by it",
        )),
        _ => Ok(()),
    }
}

/// The hash of an access token in a proof (RFC 9449 section 4.2).
pub fn ath(access_token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(access_token.as_bytes()))
}

/// `invalid_dpop_proof` with its explanation.
pub fn invalid(description: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidDpopProof, description)
}

fn not_read(problem: JwtProblem) -> OAuthError {
    invalid(format!("the DPoP proof {problem}")).because(problem)
}

/// Section 4.3: without query and fragment, after the normalization of RFC 3986 sections 6.2.2 and 6.2.3.
fn same_address(htu: &str, url: &str) -> bool {
    let normal = |text: &str| {
        let mut url = Url::parse(text).ok()?;
        // Nothing of ours is reached so, and what a parser mends is not what was signed.
        if !url.username().is_empty()
            || url.password().is_some()
            || text.contains(['\\', '\t', '\n', '\r', ' '])
        {
            return None;
        }
        url.set_query(None);
        url.set_fragment(None);
        Some((url.origin().ascii_serialization(), unescape(url.path())))
    };
    normal(htu).is_some_and(|htu| normal(url) == Some(htu))
}

/// RFC 3986 section 6.2.2: `%7e` is `~`, `%2F` and `%2f` are the same and no slash.
fn unescape(path: &str) -> String {
    let mut pieces = path.split('%');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (hex, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        match u8::from_str_radix(hex, 16) {
            Ok(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte));
            }
            _ => {
                out.push('%');
                out.push_str(&hex.to_ascii_uppercase());
            }
        }
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests;
