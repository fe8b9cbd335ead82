//! JWTs that somebody else signed (RFC 7515, RFC 7519), read strictly as RFC 8725 has it: ID tokens of upstreams, clients'
//! assertions and request objects, proofs of possession. Ours are verified by `keys`, by their exact header.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::jwk::{JwkSet, MAX_KID_BYTES, PublicKey};
use super::jws::{MAX_BYTES, SigningAlgorithm, is_canonical_base64url};
use super::params::MAX_ENCODED_BYTES;
use super::secret::Secret;

/// What a JWT is to be. None passes for another (T41).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignKind {
    /// An ID token of an upstream (OpenID Connect Core section 2).
    IdToken,
    /// What a client proves itself by (RFC 7523 section 3).
    ClientAssertion,
    /// An authorization request (RFC 9101 section 4).
    RequestObject,
    /// A proof of possession (RFC 9449 section 4.2). It alone brings its key along.
    DpopProof,
}

impl ForeignKind {
    /// The types that it may name, without `application/`; where `JWT` is one, it may name none.
    const fn types(self) -> &'static [&'static str] {
        match self {
            Self::IdToken => &["JWT"],
            Self::ClientAssertion => &["JWT", "client-authentication+jwt"],
            Self::RequestObject => &["JWT", "oauth-authz-req+jwt"],
            Self::DpopProof => &["dpop+jwt"],
        }
    }

    fn may_be(self, typ: Option<&str>) -> bool {
        let Some(typ) = typ else {
            return self.types().contains(&"JWT");
        };
        // RFC 7515 section 4.1.9: a media type, in any letter case.
        let short = match typ.split_at_checked("application/".len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
            _ => typ,
        };
        self.types()
            .iter()
            .any(|known| known.eq_ignore_ascii_case(short))
    }

    /// T48. A request object is as long as the request that it stands for may be.
    const fn max_bytes(self) -> usize {
        match self {
            Self::RequestObject => MAX_ENCODED_BYTES,
            _ => MAX_BYTES,
        }
    }
}

/// Why a JWT is not taken. For a log: what its sender is told is up to whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtProblem {
    /// Not one canonical spelling of three parts (T23, T49).
    #[error("is no compact JWT, or too long")]
    NotCompact,
    /// Header or claims are no JSON object, or one with a name that stands there twice.
    #[error("has a header, or claims, that are no JSON object with each name once")]
    NotAnObject,
    /// A parameter of the header has the wrong type, or one is missing.
    #[error("has a header whose {0} is missing or malformed")]
    Header(&'static str),
    /// T39: a key that comes along, or must be fetched from where the JWT says, proves nothing.
    #[error("names its own key in the header ({0})")]
    OwnKey(&'static str),
    /// RFC 7515 section 4.1.11: no extension is known here.
    #[error("wants an extension that is not known here (crit)")]
    Critical,
    /// T41.
    #[error("is a JWT of another kind (typ)")]
    OtherKind,
    /// T39.
    #[error("is signed with an algorithm that is not allowed here")]
    Algorithm,
    /// No key, or more than one.
    #[error("names no key, or not one alone, that fits it (kid)")]
    NoKey,
    /// Forged, or changed on the way.
    #[error("has a signature that does not verify")]
    Signature,
    /// T40: there, and not what it has to be.
    #[error("has a claim {0} of the wrong type")]
    ClaimType(&'static str),
    /// T40: not there, or not the value that it has to be.
    #[error("has a claim {0} that is missing or not what it has to be")]
    Claim(&'static str),
}

/// A JWT as it came. Its claims are nobody's word before it is verified.
pub struct ForeignJwt {
    algorithm: String,
    kid: Option<String>,
    own_key: Option<PublicKey>,
    claims: Claims,
    /// Header and claims as they were signed.
    input: String,
    signature: String,
}

impl fmt::Debug for ForeignJwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignJwt")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl ForeignJwt {
    /// Takes `token` apart.
    pub fn read(token: &str, kind: ForeignKind) -> Result<Self, JwtProblem> {
        if token.len() > kind.max_bytes() {
            return Err(JwtProblem::NotCompact);
        }
        let (input, signature) = token.rsplit_once('.').ok_or(JwtProblem::NotCompact)?;
        let (header, claims) = input.split_once('.').ok_or(JwtProblem::NotCompact)?;
        let header = object(header)?;
        let text = |name: &'static str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(JwtProblem::Header(name)),
        };
        let algorithm = text("alg")?.ok_or(JwtProblem::Header("alg"))?;
        // RFC 7515 appendix A.5, and RFC 7519 section 6.1: nothing after the last dot, and only then.
        if (algorithm == "none") != signature.is_empty()
            || !signature.is_empty() && !is_canonical_base64url(signature)
        {
            return Err(JwtProblem::NotCompact);
        }
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(JwtProblem::Critical);
        }
        for name in ["jku", "x5u", "x5c"] {
            if header.contains_key(name) {
                return Err(JwtProblem::OwnKey(name));
            }
        }
        let own_key = match (header.get("jwk"), kind) {
            (Some(key), ForeignKind::DpopProof) => {
                Some(PublicKey::parse(key).map_err(|_| JwtProblem::Header("jwk"))?)
            }
            (None, ForeignKind::DpopProof) => return Err(JwtProblem::Header("jwk")),
            (Some(_), _) => return Err(JwtProblem::OwnKey("jwk")),
            (None, _) => None,
        };
        if !kind.may_be(text("typ")?) {
            return Err(JwtProblem::OtherKind);
        }
        let kid = text("kid")?;
        if kid.is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return Err(JwtProblem::Header("kid"));
        }
        Ok(Self {
            algorithm: algorithm.to_owned(),
            kid: kid.map(ToOwned::to_owned),
            own_key,
            claims: Claims(object(claims)?),
            input: input.to_owned(),
            signature: signature.to_owned(),
        })
    }

    /// The `alg` of the header, as it stands there.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The name of the key that is said to have signed.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The claims before anything is proven: to find out whose they would be.
    pub const fn unverified(&self) -> &Claims {
        &self.claims
    }

    /// The claims, if a key of `keys` signed them with one of the `allowed` algorithms.
    pub fn verified_by(
        &self,
        keys: &JwkSet,
        allowed: &[SigningAlgorithm],
    ) -> Result<Claims, JwtProblem> {
        let algorithm = self.one_of(allowed)?;
        let key = keys.pick(self.kid(), algorithm).ok_or(JwtProblem::NoKey)?;
        if !key.verifies(algorithm, &self.signature, self.input.as_bytes()) {
            return Err(JwtProblem::Signature);
        }
        Ok(self.claims.clone())
    }

    /// The claims and the key that the JWT brought along, if that key signed them. It proves that the sender has the key,
    /// and nothing about whose it is.
    pub fn verified_by_own_key(
        &self,
        allowed: &[SigningAlgorithm],
    ) -> Result<(PublicKey, Claims), JwtProblem> {
        let algorithm = self.one_of(allowed)?;
        let key = self.own_key.clone().ok_or(JwtProblem::NoKey)?;
        if !key.verifies(algorithm, &self.signature, self.input.as_bytes()) {
            return Err(JwtProblem::Signature);
        }
        Ok((key, self.claims.clone()))
    }

    /// The claims, if one of `secrets` signed them (HS256): what only two know.
    pub fn verified_by_secret(&self, secrets: &[Secret]) -> Result<Claims, JwtProblem> {
        if self.algorithm != "HS256" {
            return Err(JwtProblem::Algorithm);
        }
        let verifies = |secret: &Secret| {
            let key = DecodingKey::from_secret(secret.expose().as_bytes());
            let message = self.input.as_bytes();
            jsonwebtoken::crypto::verify(&self.signature, message, &key, Algorithm::HS256)
                .unwrap_or(false)
        };
        if !secrets.iter().any(verifies) {
            return Err(JwtProblem::Signature);
        }
        Ok(self.claims.clone())
    }

    /// The claims of a JWT that nobody signed and that says so (`none`).
    pub fn unsigned(&self) -> Result<Claims, JwtProblem> {
        if self.algorithm != "none" {
            return Err(JwtProblem::Algorithm);
        }
        Ok(self.claims.clone())
    }

    fn one_of(&self, allowed: &[SigningAlgorithm]) -> Result<SigningAlgorithm, JwtProblem> {
        SigningAlgorithm::parse_foreign(&self.algorithm)
            .filter(|algorithm| allowed.contains(algorithm))
            .ok_or(JwtProblem::Algorithm)
    }
}

/// Claims, each asked for with its type (T40).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Claims that somebody vouches for, or that are nobody's word yet.
    pub const fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// The claim as it stands.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Every claim.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// A claim that has to be text if it is there.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, JwtProblem> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(JwtProblem::ClaimType(name)),
        }
    }

    /// A claim that has to be a `NumericDate` if it is there (RFC 7519 section 2): a number, which may have a fraction.
    pub fn time(&self, name: &'static str) -> Result<Option<i64>, JwtProblem> {
        const MAX: i64 = 1 << 40;
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let whole = value.as_i64().or_else(|| value.as_f64().map(whole_seconds));
        match whole {
            Some(seconds) if (0..=MAX).contains(&seconds) => Ok(Some(seconds)),
            _ => Err(JwtProblem::ClaimType(name)),
        }
    }

    /// Refuses claims of which `name` is not exactly this text.
    pub fn require_text(&self, name: &'static str, wanted: &str) -> Result<(), JwtProblem> {
        match self.text(name)? {
            Some(text) if text == wanted => Ok(()),
            _ => Err(JwtProblem::Claim(name)),
        }
    }

    /// Refuses claims that begin to be good (`iat`, `nbf`) later than `ahead` seconds from `now`.
    pub fn require_begun(&self, now: i64, ahead: i64) -> Result<(), JwtProblem> {
        for name in ["iat", "nbf"] {
            if self
                .time(name)?
                .is_some_and(|time| time > now.saturating_add(ahead))
            {
                return Err(JwtProblem::Claim(name));
            }
        }
        Ok(())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and its caller refuses what is out of range"
)]
const fn whole_seconds(seconds: f64) -> i64 {
    seconds as i64
}

/// The JSON object that a part of a JWT spells. A name that stands there twice would mean one thing to us and another to
/// somebody else (RFC 7515 section 4, RFC 7519 section 4).
fn object(part: &str) -> Result<Map<String, Value>, JwtProblem> {
    let bytes = URL_SAFE_NO_PAD.decode(part);
    let bytes = bytes.map_err(|_| JwtProblem::NotCompact)?;
    serde_json::from_slice::<EachOnce>(&bytes)
        .map(|EachOnce(map)| map)
        .map_err(|_| JwtProblem::NotAnObject)
}

struct EachOnce(Map<String, Value>);

impl<'de> Deserialize<'de> for EachOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Names)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = EachOnce;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<EachOnce, A::Error> {
        let mut map = Map::new();
        while let Some((name, value)) = entries.next_entry::<String, Value>()? {
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands there twice"));
            }
        }
        Ok(EachOnce(map))
    }
}

#[cfg(test)]
mod tests;
