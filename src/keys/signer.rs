//! One signing key, parsed once.
//!
//! `jsonwebtoken` parses the private key anew for each token, which costs more than the signature; so we sign with
//! aws-lc-rs on a parsed key, and keep that library's header and verification.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use aws_lc_rs::{rsa, signature};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::protocol::ids::KeyId;
use crate::protocol::jws::{SigningAlgorithm, TokenKind};

use super::KeyError;

/// A key pair that signs with one algorithm.
pub struct Signer {
    kid: KeyId,
    algorithm: SigningAlgorithm,
    pair: Pair,
    verifier: DecodingKey,
    public_jwk: Value,
}

enum Pair {
    Rsa(Box<RsaKeyPair>, &'static dyn signature::RsaEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Makes a private key for `algorithm`, as PKCS #8.
pub fn generate(algorithm: SigningAlgorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |_| KeyError::Crypto("make a signing key");
    let der = match algorithm {
        SigningAlgorithm::RS256 | SigningAlgorithm::PS256 => {
            let pair = RsaKeyPair::generate(rsa::KeySize::Rsa2048).map_err(failed)?;
            pair.as_der().map_err(failed)?.as_ref().to_vec()
        }
        SigningAlgorithm::ES256 => {
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(failed)?
                .as_ref()
                .to_vec()
        }
        SigningAlgorithm::EdDSA => Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(failed)?
            .as_ref()
            .to_vec(),
    };
    Ok(Zeroizing::new(der))
}

impl Signer {
    /// Parses a private key (PKCS #8).
    pub fn parse(kid: KeyId, algorithm: SigningAlgorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let damaged = || KeyError::Damaged {
            kid: kid.to_string(),
        };
        let (pair, mut public_jwk) = match algorithm {
            SigningAlgorithm::RS256 | SigningAlgorithm::PS256 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| damaged())?;
                let public = pair.public_key();
                let jwk = json!({
                    "kty": "RSA",
                    "n": URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
                    "e": URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
                });
                let encoding: &'static dyn signature::RsaEncoding =
                    if algorithm == SigningAlgorithm::PS256 {
                        &RSA_PSS_SHA256
                    } else {
                        &RSA_PKCS1_SHA256
                    };
                (Pair::Rsa(Box::new(pair), encoding), jwk)
            }
            SigningAlgorithm::ES256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
                    .map_err(|_| damaged())?;
                // An uncompressed point: 0x04, then x, then y (SEC 1 section 2.3.3).
                let point = pair.public_key().as_ref();
                let (x, y) = point
                    .strip_prefix(&[4])
                    .and_then(|xy| xy.split_at_checked(32))
                    .ok_or_else(damaged)?;
                let jwk = json!({
                    "kty": "EC", "crv": "P-256",
                    "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
                });
                (Pair::Ecdsa(pair), jwk)
            }
            SigningAlgorithm::EdDSA => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| damaged())?;
                let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
                (
                    Pair::Ed25519(pair),
                    json!({ "kty": "OKP", "crv": "Ed25519", "x": x }),
                )
            }
        };
        let verifier = serde_json::from_value(public_jwk.clone())
            .ok()
            .and_then(|jwk| DecodingKey::from_jwk(&jwk).ok())
            .ok_or_else(damaged)?;
        if let Some(members) = public_jwk.as_object_mut() {
            members.insert("kid".to_owned(), kid.as_str().into());
            members.insert("use".to_owned(), "sig".into());
            members.insert("alg".to_owned(), algorithm.as_str().into());
        }
        Ok(Self {
            kid,
            algorithm,
            pair,
            verifier,
            public_jwk,
        })
    }

    /// The `kid`.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The one algorithm it signs with.
    pub const fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// The public key (RFC 7517 section 4).
    pub fn public_jwk(&self) -> &Value {
        &self.public_jwk
    }

    /// The encoded header of a token of `kind` signed with this key; always the same text.
    pub fn encoded_header(&self, kind: TokenKind) -> Result<String, KeyError> {
        let mut header = Header::new(self.wire_algorithm());
        header.typ = kind.typ().map(ToOwned::to_owned);
        header.kid = Some(self.kid.to_string());
        Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header)?))
    }

    const fn wire_algorithm(&self) -> Algorithm {
        match self.algorithm {
            SigningAlgorithm::RS256 => Algorithm::RS256,
            SigningAlgorithm::PS256 => Algorithm::PS256,
            SigningAlgorithm::ES256 => Algorithm::ES256,
            SigningAlgorithm::EdDSA => Algorithm::EdDSA,
        }
    }

    /// The signature over `message`.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Crypto("sign");
        match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut out)
                    .map_err(failed)?;
                Ok(out)
            }
            Pair::Ecdsa(pair) => {
                let made = pair.sign(&SystemRandom::new(), message).map_err(failed)?;
                Ok(made.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// Whether `signature` (base64url) over `message` is by this key, with this key's algorithm and no other (T39).
    pub fn verifies(&self, signature: &str, message: &[u8]) -> bool {
        jsonwebtoken::crypto::verify(signature, message, &self.verifier, self.wire_algorithm())
            .unwrap_or(false)
    }
}
