//! Proofs of possession (RFC 9449) as a client makes them, by hand: for what a well-behaved library would never send. The
//! independent judges are `oauth4webapi` and `openid-client`, in `tests/web`.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portico::clock::random_id;
use portico::protocol::dpop::ath;
use portico::protocol::jwk::PublicKey;
use portico::protocol::jws::SigningAlgorithm;
use serde_json::{Value, json};

use super::server::TestServer;

/// A key pair of a client's.
pub(crate) struct ProofKey {
    algorithm: SigningAlgorithm,
    pair: Pair,
    jwk: Value,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

impl ProofKey {
    /// A new key for ES256.
    pub(crate) fn new() -> Self {
        Self::of(SigningAlgorithm::ES256)
    }

    /// A new key.
    pub(crate) fn of(algorithm: SigningAlgorithm) -> Self {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let random = SystemRandom::new();
        let (pair, jwk) = match algorithm {
            SigningAlgorithm::ES256 => {
                let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(scheme, &random).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(scheme, pkcs8.as_ref()).unwrap();
                let point = pair.public_key().as_ref();
                let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]) });
                (Pair::Ecdsa(pair), jwk)
            }
            SigningAlgorithm::EdDSA => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
                let x = encode(pair.public_key().as_ref());
                (
                    Pair::Ed25519(pair),
                    json!({ "kty": "OKP", "crv": "Ed25519", "x": x }),
                )
            }
            SigningAlgorithm::RS256 | SigningAlgorithm::PS256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                let pair = RsaKeyPair::from_pkcs8(pair.as_der().unwrap().as_ref()).unwrap();
                let public = pair.public_key();
                let jwk = json!({
                    "kty": "RSA",
                    "n": encode(public.modulus().big_endian_without_leading_zero()),
                    "e": encode(public.exponent().big_endian_without_leading_zero()),
                });
                let encoding: &'static dyn RsaEncoding = match algorithm {
                    SigningAlgorithm::PS256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                (Pair::Rsa(pair, encoding), jwk)
            }
        };
        Self {
            algorithm,
            pair,
            jwk,
        }
    }

    /// The public key.
    pub(crate) fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    /// Its thumbprint.
    pub(crate) fn jkt(&self) -> String {
        PublicKey::parse(&self.jwk).unwrap().thumbprint()
    }

    /// A good proof for a request to `path`; `changes` replace claims, `null` removes one.
    pub(crate) fn proof(
        &self,
        server: &TestServer,
        (method, path): (&str, &str),
        changes: &[(&str, Value)],
    ) -> String {
        let mut claims = json!({
            "jti": random_id(), "htm": method, "htu": server.url(path), "iat": server.clock.now(),
        });
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        claims
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        let header = json!({ "typ": "dpop+jwt", "alg": self.algorithm.as_str(), "jwk": self.jwk });
        self.sign(&header, &claims)
    }

    /// A good proof for the token endpoint.
    pub(crate) fn for_token(&self, server: &TestServer) -> String {
        self.proof(server, ("POST", "/token"), &[])
    }

    /// A good proof that goes with an access token.
    pub(crate) fn with_token(
        &self,
        server: &TestServer,
        request: (&str, &str),
        access_token: &str,
    ) -> String {
        self.proof(server, request, &[("ath", ath(access_token).into())])
    }

    /// Any JWT, signed.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encode(header), encode(claims));
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ecdsa(pair) => pair
                .sign(&random, input.as_bytes())
                .unwrap()
                .as_ref()
                .to_vec(),
            Pair::Ed25519(pair) => pair.sign(input.as_bytes()).as_ref().to_vec(),
            Pair::Rsa(pair, encoding) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, input.as_bytes(), &mut out)
                    .unwrap();
                out
            }
        };
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
