//! Public keys of others (RFC 7517, RFC 7518 section 6, RFC 8037 section 2), read strictly. One reader for clients,
//! upstreams and proofs of possession.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::jws::SigningAlgorithm;

/// The most keys that are looked at in one set (T48).
pub const MAX_KEYS: usize = 64;
/// The most bytes of a key's name.
pub const MAX_KID_BYTES: usize = 256;
/// RFC 7518 section 3.3: 2048 bits or more. No more than a verification may cost (T48).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The members that only a private or a shared key has (RFC 7518 sections 6.2.2, 6.3.2 and 6.4).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkProblem {
    /// Anybody who can read the set could sign.
    #[error("holds a private key; only public keys belong here, and this one is spent")]
    Private,
    /// A kind of key, a curve or an algorithm that is not known here, or a key for something else than signatures.
    #[error(
        "is for nothing that is verified here; use an RSA key, an EC key on P-256 or an Ed25519 key, for signatures"
    )]
    OfAnotherKind,
    /// RFC 7518 section 3.3.
    #[error("is an RSA key of fewer than 2048 bits, or of more than 8192")]
    RsaSize,
    /// Not what the specifications want.
    #[error("is no well-formed JSON Web Key: {0}")]
    Malformed(&'static str),
}

/// Why a set of keys cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkSetProblem {
    /// RFC 7517 section 5.
    #[error("must be a JSON Web Key Set: an object with an array \"keys\"")]
    NotASet,
    /// T48.
    #[error("has more than {MAX_KEYS} keys")]
    TooMany,
    /// T39: which of them is meant, nobody could tell.
    #[error("has two keys of one kid, or several and one without")]
    AmbiguousKid,
    /// Nothing that could verify anything.
    #[error("has no key that could verify a signature")]
    Empty,
    /// One key.
    #[error("keys[{0}] {1}")]
    Key(usize, JwkProblem),
}

/// A public key that verifies signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kid: Option<String>,
    /// The one algorithm that it is for, if it says so.
    algorithm: Option<SigningAlgorithm>,
    material: Material,
}

/// Base64url, in its canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa { n: String, e: String },
    P256 { x: String, y: String },
    Ed25519 { x: String },
}

impl PublicKey {
    /// Reads one key.
    pub fn parse(value: &Value) -> Result<Self, JwkProblem> {
        let key = value
            .as_object()
            .ok_or(JwkProblem::Malformed("not an object"))?;
        let kty = text(key, "kty")?.ok_or(JwkProblem::Malformed("kty is missing"))?;
        if kty == "oct" || PRIVATE.iter().any(|member| key.contains_key(*member)) {
            return Err(JwkProblem::Private);
        }
        if text(key, "use")?.is_some_and(|used| used != "sig") || !may_verify(key)? {
            return Err(JwkProblem::OfAnotherKind);
        }
        let algorithm = match text(key, "alg")? {
            None => None,
            Some(alg) => {
                Some(SigningAlgorithm::parse_foreign(alg).ok_or(JwkProblem::OfAnotherKind)?)
            }
        };
        let kid = text(key, "kid")?;
        if kid.is_some_and(|kid| kid.is_empty() || kid.len() > MAX_KID_BYTES) {
            return Err(JwkProblem::Malformed("kid is empty or too long"));
        }
        let parsed = Self {
            kid: kid.map(ToOwned::to_owned),
            algorithm,
            material: Material::parse(kty, key)?,
        };
        match algorithm {
            Some(algorithm) if !parsed.material.fits(algorithm) => {
                Err(JwkProblem::Malformed("alg does not fit kty"))
            }
            _ => Ok(parsed),
        }
    }

    /// The name of the key.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether the key may verify signatures of `algorithm`.
    pub fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        self.material.fits(algorithm) && self.algorithm.is_none_or(|only| only == algorithm)
    }

    /// Whether `signature` (base64url) over `message` is by this key, with `algorithm` and no other (T39).
    pub fn verifies(&self, algorithm: SigningAlgorithm, signature: &str, message: &[u8]) -> bool {
        let wire = match algorithm {
            SigningAlgorithm::RS256 => Algorithm::RS256,
            SigningAlgorithm::PS256 => Algorithm::PS256,
            SigningAlgorithm::ES256 => Algorithm::ES256,
            SigningAlgorithm::EdDSA => Algorithm::EdDSA,
        };
        let key = match &self.material {
            Material::Rsa { n, e } => DecodingKey::from_rsa_components(n, e),
            Material::P256 { x, y } => DecodingKey::from_ec_components(x, y),
            Material::Ed25519 { x } => DecodingKey::from_ed_components(x),
        };
        self.fits(algorithm)
            && key.is_ok_and(|key| {
                jsonwebtoken::crypto::verify(signature, message, &key, wire).unwrap_or(false)
            })
    }

    /// The SHA-256 thumbprint (RFC 7638): the same for every spelling of one key.
    pub fn thumbprint(&self) -> String {
        // Section 3.2: the required members alone, in lexicographic order, without white space.
        let canonical = match &self.material {
            Material::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
            Material::P256 { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Material::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
        };
        URL_SAFE_NO_PAD.encode(Sha256::digest(canonical.as_bytes()))
    }

    /// The key as a JSON Web Key, with nothing that is not looked at here.
    pub fn to_jwk(&self) -> Value {
        let mut jwk = match &self.material {
            Material::Rsa { n, e } => json!({ "kty": "RSA", "n": n, "e": e }),
            Material::P256 { x, y } => json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }),
            Material::Ed25519 { x } => json!({ "kty": "OKP", "crv": "Ed25519", "x": x }),
        };
        if let Some(members) = jwk.as_object_mut() {
            let kid = self.kid.as_ref().map(|kid| ("kid", kid.as_str()));
            let alg = self.algorithm.map(|alg| ("alg", alg.as_str()));
            for (name, value) in [Some(("use", "sig")), kid, alg].into_iter().flatten() {
                members.insert(name.to_owned(), value.into());
            }
        }
        jwk
    }
}

impl Material {
    fn parse(kty: &str, key: &Map<String, Value>) -> Result<Self, JwkProblem> {
        match (kty, text(key, "crv")?) {
            ("RSA", _) => {
                let (n, modulus) = bytes(key, "n")?;
                let (e, exponent) = bytes(key, "e")?;
                let leading = modulus.first().copied().unwrap_or_default();
                // Section 6.3.1.1: no octet that is not needed.
                if leading == 0 || exponent.first() == Some(&0) {
                    return Err(JwkProblem::Malformed("n or e begins with a zero octet"));
                }
                let bits = modulus.len() * 8 - leading.leading_zeros() as usize;
                if !RSA_BITS.contains(&bits) {
                    return Err(JwkProblem::RsaSize);
                }
                let odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last % 2 == 1);
                if !odd(&modulus) || !odd(&exponent) || exponent.len() > 4 || exponent == [1] {
                    return Err(JwkProblem::Malformed("n and e are no RSA key"));
                }
                Ok(Self::Rsa { n, e })
            }
            ("EC", Some("P-256")) => {
                let ((x, x_bytes), (y, y_bytes)) = (bytes(key, "x")?, bytes(key, "y")?);
                // Section 6.2.1.2: the full size of a coordinate.
                if x_bytes.len() != 32 || y_bytes.len() != 32 {
                    return Err(JwkProblem::Malformed("x and y must be 32 bytes each"));
                }
                Ok(Self::P256 { x, y })
            }
            ("OKP", Some("Ed25519")) => {
                let (x, x_bytes) = bytes(key, "x")?;
                if x_bytes.len() != 32 {
                    return Err(JwkProblem::Malformed("x must be 32 bytes"));
                }
                Ok(Self::Ed25519 { x })
            }
            _ => Err(JwkProblem::OfAnotherKind),
        }
    }

    const fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        matches!(
            (self, algorithm),
            (
                Self::Rsa { .. },
                SigningAlgorithm::RS256 | SigningAlgorithm::PS256
            ) | (Self::P256 { .. }, SigningAlgorithm::ES256)
                | (Self::Ed25519 { .. }, SigningAlgorithm::EdDSA)
        )
    }
}

/// A member that has to be text if it is there.
fn text<'a>(
    key: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, JwkProblem> {
    match key.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwkProblem::Malformed("a member that must be text is none")),
    }
}

/// A member that has to be base64url, as it stands and decoded.
fn bytes(key: &Map<String, Value>, name: &'static str) -> Result<(String, Vec<u8>), JwkProblem> {
    let text = text(key, name)?.ok_or(JwkProblem::Malformed("a member of the key is missing"))?;
    // The engine refuses padding and stray trailing bits, so that one key has one spelling.
    match URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => Ok((text.to_owned(), bytes)),
        _ => Err(JwkProblem::Malformed("a member of the key is no base64url")),
    }
}

/// RFC 7517 section 4.3.
fn may_verify(key: &Map<String, Value>) -> Result<bool, JwkProblem> {
    match key.get("key_ops") {
        None => Ok(true),
        Some(Value::Array(operations)) => Ok(operations.iter().any(|each| each == "verify")),
        Some(_) => Err(JwkProblem::Malformed("key_ops is no array")),
    }
}

/// The keys of somebody else that verify signatures. As a record it is a JSON Web Key Set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct JwkSet {
    keys: Vec<PublicKey>,
}

impl JwkSet {
    /// Reads a set that somebody registers: a mistake is told, so that it is found before it is needed. Keys of other
    /// kinds, or for other ends, are left out (RFC 7517 section 5).
    pub fn register(value: &Value) -> Result<Self, JwkSetProblem> {
        let mut keys = Vec::new();
        for (index, key) in all(value)?.iter().enumerate() {
            match PublicKey::parse(key) {
                Ok(key) => keys.push(key),
                Err(JwkProblem::OfAnotherKind) => {}
                Err(problem) => return Err(JwkSetProblem::Key(index, problem)),
            }
        }
        let names: BTreeSet<_> = keys.iter().map(PublicKey::kid).collect();
        if names.len() < keys.len() || keys.len() > 1 && names.contains(&None) {
            return Err(JwkSetProblem::AmbiguousKid);
        }
        if keys.is_empty() {
            return Err(JwkSetProblem::Empty);
        }
        Ok(Self { keys })
    }

    /// Reads a set that was fetched: what cannot be used must not hide the others (RFC 7517 section 5).
    pub fn fetched(value: &Value) -> Result<Self, JwkSetProblem> {
        let keys = all(value)?.iter();
        let keys: Vec<_> = keys.filter_map(|key| PublicKey::parse(key).ok()).collect();
        if keys.is_empty() {
            return Err(JwkSetProblem::Empty);
        }
        Ok(Self { keys })
    }

    /// Whether some key has this name.
    pub fn names(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid() == Some(kid))
    }

    /// Whether some key is for `algorithm`.
    pub fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        self.keys.iter().any(|key| key.fits(algorithm))
    }

    /// How many keys there are.
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The one key that can have made a signature of `algorithm` under the name `kid`; without a name, the one that fits
    /// at all (OpenID Connect Core section 10.1). `None` when there is none, or more than one.
    pub fn pick(&self, kid: Option<&str>, algorithm: SigningAlgorithm) -> Option<&PublicKey> {
        let named = |key: &&PublicKey| kid.is_none() || key.kid() == kid;
        let mut fitting = self.keys.iter().filter(named);
        let mut fitting = fitting.by_ref().filter(|key| key.fits(algorithm));
        fitting.next().filter(|_| fitting.next().is_none())
    }
}

fn all(value: &Value) -> Result<&Vec<Value>, JwkSetProblem> {
    let keys = value.get("keys").and_then(Value::as_array);
    let keys = keys.ok_or(JwkSetProblem::NotASet)?;
    if keys.len() > MAX_KEYS {
        return Err(JwkSetProblem::TooMany);
    }
    Ok(keys)
}

impl TryFrom<Value> for JwkSet {
    type Error = JwkSetProblem;

    fn try_from(value: Value) -> Result<Self, JwkSetProblem> {
        Self::register(&value)
    }
}

impl From<JwkSet> for Value {
    fn from(set: JwkSet) -> Self {
        let keys: Vec<Self> = set.keys.iter().map(PublicKey::to_jwk).collect();
        json!({ "keys": keys })
    }
}

#[cfg(test)]
mod tests;
