//! A client that signs: its keys, and what it says with them.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portico::clock::random_id;
use serde_json::{Value, json};

use super::server::{START, TestServer};

/// The type of every assertion (RFC 7523 section 2.2).
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A key of a client, by the algorithm that it signs with.
pub(crate) struct ClientKey {
    alg: &'static str,
    kid: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Shared(Vec<u8>),
}

impl ClientKey {
    /// A new key.
    pub(crate) fn new(alg: &'static str, kid: &'static str) -> Self {
        let random = SystemRandom::new();
        let pair = match alg {
            "RS256" | "PS256" => {
                let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048);
                Pair::Rsa(Box::new(pair.unwrap()))
            }
            "ES256" => {
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
                Pair::Ec(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap())
            }
            _ => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                Pair::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
            }
        };
        Self { alg, kid, pair }
    }

    /// The key of the harness's client `signed`: always the same.
    pub(crate) fn of_signed() -> Self {
        Self {
            alg: "EdDSA",
            kid: "signed-1",
            pair: Pair::Ed(Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap()),
        }
    }

    /// A secret that both sides know.
    pub(crate) fn shared(secret: impl AsRef<[u8]>) -> Self {
        Self {
            alg: "HS256",
            kid: "",
            pair: Pair::Shared(secret.as_ref().to_vec()),
        }
    }

    /// The public key.
    pub(crate) fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.pair {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                let n = public.modulus().big_endian_without_leading_zero();
                let e = public.exponent().big_endian_without_leading_zero();
                json!({ "kty": "RSA", "n": encode(n), "e": encode(e), "kid": self.kid })
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.kid })
            }
            Pair::Ed(pair) => {
                let x = encode(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.kid })
            }
            Pair::Shared(_) => panic!("a secret has no public key"),
        }
    }

    /// The header that the key's owner writes.
    pub(crate) fn header(&self) -> Value {
        match &self.pair {
            Pair::Shared(_) => json!({ "alg": self.alg, "typ": "JWT" }),
            _ => json!({ "alg": self.alg, "typ": "JWT", "kid": self.kid }),
        }
    }

    /// Signs as `header` says nothing about: with this key, whatever stands there.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encode(header), encode(claims));
        let random = SystemRandom::new();
        let message = input.as_bytes();
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut made = vec![0; pair.public_modulus_len()];
                let encoding: &dyn aws_lc_rs::signature::RsaEncoding = match self.alg {
                    "PS256" => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                pair.sign(encoding, &random, message, &mut made).unwrap();
                made
            }
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Shared(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
        };
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A JWT with this key's own header.
    pub(crate) fn jwt(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }

    /// A good assertion of `client_id`, used nowhere yet.
    pub(crate) fn assertion(&self, server: &TestServer, client_id: &str) -> String {
        self.jwt(&assertion_claims(server, client_id))
    }
}

/// What a good assertion says.
pub(crate) fn assertion_claims(server: &TestServer, client_id: &str) -> Value {
    let now = server.clock.now();
    assert!(now >= START);
    json!({
        "iss": client_id, "sub": client_id, "aud": server.issuer,
        "iat": now, "exp": now + 60, "jti": random_id(),
    })
}

/// A set of public keys, as a client publishes it.
pub(crate) fn jwks(keys: &[&ClientKey]) -> Value {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys })
}

/// The same as `jwks = ..` in a config.
pub(crate) fn jwks_line(keys: &[&ClientKey]) -> String {
    let jwks = toml::Value::try_from(jwks(keys)).unwrap();
    format!("jwks = {jwks}\n")
}
