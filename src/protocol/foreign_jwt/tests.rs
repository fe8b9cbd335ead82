use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const ALL: [SigningAlgorithm; 4] = [
    SigningAlgorithm::RS256,
    SigningAlgorithm::PS256,
    SigningAlgorithm::ES256,
    SigningAlgorithm::EdDSA,
];

struct Party {
    pair: Ed25519KeyPair,
}

impl Party {
    fn new() -> Self {
        Self {
            pair: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap(),
        }
    }

    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "one" })
    }

    fn keys(&self) -> JwkSet {
        JwkSet::register(&json!({ "keys": [self.jwk()] })).unwrap()
    }

    fn sign_text(&self, header: &str, claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let input = format!("{}.{}", encode(header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }
}

fn read(token: &str) -> Result<ForeignJwt, JwtProblem> {
    ForeignJwt::read(token, ForeignKind::ClientAssertion)
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "kid": "one" })
}

#[test]
fn a_jwt_is_verified_by_the_key_that_it_names() {
    let party = Party::new();
    for alg in ["EdDSA", "Ed25519"] {
        let mut header = header();
        header["alg"] = alg.into();
        let token = party.sign(&header, &json!({ "sub": "app" }));
        let claims = read(&token).unwrap().verified_by(&party.keys(), &ALL);
        assert_eq!(claims.unwrap().text("sub"), Ok(Some("app")));
    }
    let token = party.sign(&header(), &json!({}));
    let other = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "one",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }] });
    let other = JwkSet::register(&other).unwrap();
    let outcome = read(&token).unwrap().verified_by(&other, &ALL);
    assert_eq!(outcome, Err(JwtProblem::Signature));
    // T39: the key's kind decides, and what its owner registered.
    let only = [SigningAlgorithm::ES256];
    let outcome = read(&token).unwrap().verified_by(&party.keys(), &only);
    assert_eq!(outcome, Err(JwtProblem::Algorithm));
    let mut misnamed = header();
    misnamed["alg"] = "ES256".into();
    let token = party.sign(&misnamed, &json!({}));
    let outcome = read(&token).unwrap().verified_by(&party.keys(), &ALL);
    assert_eq!(outcome, Err(JwtProblem::NoKey));
}

/// T39, T41, T48.
#[test]
fn a_header_that_leads_astray_is_refused() {
    let party = Party::new();
    let changed = |name: &str, value: Value| {
        let mut header = header();
        header[name] = value;
        read(&party.sign(&header, &json!({}))).map(|_| ())
    };
    for name in ["jku", "x5u", "x5c"] {
        assert_eq!(changed(name, "x".into()), Err(JwtProblem::OwnKey(name)));
    }
    assert_eq!(changed("jwk", party.jwk()), Err(JwtProblem::OwnKey("jwk")));
    assert_eq!(changed("crit", json!(["exp"])), Err(JwtProblem::Critical));
    assert_eq!(changed("b64", false.into()), Err(JwtProblem::Critical));
    for typ in [
        "at+jwt",
        "dpop+jwt",
        "logout+jwt",
        "oauth-authz-req+jwt",
        "",
    ] {
        assert_eq!(
            changed("typ", typ.into()),
            Err(JwtProblem::OtherKind),
            "{typ}"
        );
    }
    for typ in ["JWT", "jwt", "application/jwt", "Client-Authentication+JWT"] {
        assert_eq!(changed("typ", typ.into()), Ok(()), "{typ}");
    }
    for (name, value) in [
        ("alg", Value::Null),
        ("alg", 1.into()),
        ("kid", 1.into()),
        ("kid", "k".repeat(MAX_KID_BYTES + 1).into()),
        ("typ", json!(["JWT"])),
    ] {
        let problem = match name {
            "alg" => JwtProblem::Header("alg"),
            "kid" => JwtProblem::Header("kid"),
            _ => JwtProblem::Header("typ"),
        };
        assert_eq!(changed(name, value), Err(problem), "{name}");
    }
    // An algorithm that is none of ours is read, so that whoever asked can say what is wrong, and never verifies.
    for alg in ["HS256", "RS512", "eddsa", "NONE"] {
        let mut header = header();
        header["alg"] = alg.into();
        let token = party.sign(&header, &json!({}));
        let outcome = read(&token).unwrap().verified_by(&party.keys(), &ALL);
        assert_eq!(outcome, Err(JwtProblem::Algorithm), "{alg}");
    }
}

/// T39: `none` has no signature, and what has none is nothing else.
#[test]
fn what_nobody_signed_says_so() {
    let party = Party::new();
    let signed = party.sign(&header(), &json!({ "a": 1 }));
    let (input, _) = signed.rsplit_once('.').unwrap();
    assert!(matches!(
        read(&format!("{input}.")),
        Err(JwtProblem::NotCompact)
    ));
    let unsigned = party.sign(&json!({ "alg": "none" }), &json!({ "a": 1 }));
    assert!(matches!(read(&unsigned), Err(JwtProblem::NotCompact)));
    let (input, _) = unsigned.rsplit_once('.').unwrap();
    let unsigned = format!("{input}.");
    let outcome = read(&unsigned).unwrap().verified_by(&party.keys(), &ALL);
    assert_eq!(outcome, Err(JwtProblem::Algorithm));
    assert!(read(&unsigned).unwrap().unsigned().is_ok());
    assert_eq!(
        read(&signed).unwrap().unsigned(),
        Err(JwtProblem::Algorithm)
    );
}

/// RFC 9449 section 4.2.
#[test]
fn a_proof_of_possession_brings_its_key_along() {
    let party = Party::new();
    let mut header = json!({ "alg": "EdDSA", "typ": "dpop+jwt", "jwk": party.jwk() });
    let proof = |header: &Value| {
        ForeignJwt::read(
            &party.sign(header, &json!({ "jti": "1" })),
            ForeignKind::DpopProof,
        )
    };
    let (key, claims) = proof(&header).unwrap().verified_by_own_key(&ALL).unwrap();
    assert_eq!(key, PublicKey::parse(&party.jwk()).unwrap());
    assert_eq!(claims.text("jti"), Ok(Some("1")));
    header["jwk"]["d"] = "AQAB".into();
    assert!(matches!(proof(&header), Err(JwtProblem::Header("jwk"))));
    header.as_object_mut().unwrap().remove("jwk");
    assert!(matches!(proof(&header), Err(JwtProblem::Header("jwk"))));
    header["jwk"] = party.jwk();
    header.as_object_mut().unwrap().remove("typ");
    assert!(matches!(proof(&header), Err(JwtProblem::OtherKind)));
}

/// RFC 7515 section 4, RFC 7519 section 4.
#[test]
fn a_name_stands_in_an_object_once() {
    let party = Party::new();
    let good = r#"{"alg":"EdDSA","kid":"one"}"#;
    for (header, claims) in [
        (r#"{"alg":"EdDSA","alg":"none"}"#, "{}"),
        (good, r#"{"sub":"a","sub":"b"}"#),
        (good, "[]"),
        (good, "1"),
        (good, "{} {}"),
        (good, "\u{feff}{}"),
        ("null", "{}"),
    ] {
        let token = party.sign_text(header, claims);
        assert!(
            matches!(read(&token), Err(JwtProblem::NotAnObject)),
            "{claims}"
        );
    }
}

/// T40.
#[test]
fn claims_have_their_types() {
    let claims = |value: Value| Claims(value.as_object().unwrap().clone());
    let time = |value: Value| claims(json!({ "exp": value })).time("exp");
    assert_eq!(time(1_700_000_000.into()), Ok(Some(1_700_000_000)));
    assert_eq!(time(1_700_000_000.9.into()), Ok(Some(1_700_000_000)));
    for wrong in [
        json!("1700000000"),
        json!(null),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!([1]),
        json!(true),
    ] {
        assert_eq!(
            time(wrong.clone()),
            Err(JwtProblem::ClaimType("exp")),
            "{wrong}"
        );
    }
    assert_eq!(claims(json!({})).time("exp"), Ok(None));
    let aud = claims(json!({ "aud": ["us"] }));
    assert_eq!(
        aud.require_text("aud", "us"),
        Err(JwtProblem::ClaimType("aud"))
    );
    let aud = claims(json!({ "aud": "us" }));
    assert_eq!(aud.require_text("aud", "us"), Ok(()));
    assert_eq!(aud.require_text("aud", "US"), Err(JwtProblem::Claim("aud")));
    let begun = claims(json!({ "iat": 110, "nbf": 100 }));
    assert_eq!(begun.require_begun(100, 10), Ok(()));
    assert_eq!(begun.require_begun(99, 10), Err(JwtProblem::Claim("iat")));
    let later = claims(json!({ "nbf": 111 }));
    assert_eq!(later.require_begun(100, 10), Err(JwtProblem::Claim("nbf")));
}

/// T39: a signature of one algorithm is none of another, whatever the header says.
#[test]
fn an_ec_key_verifies_its_own_algorithm_alone() {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let point = pair.public_key().as_ref();
    let keys = json!({ "keys": [{ "kty": "EC", "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]) }] });
    let keys = JwkSet::register(&keys).unwrap();
    let input = format!("{}.e30", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#));
    let signature = pair.sign(&random, input.as_bytes()).unwrap();
    let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
    assert!(read(&token).unwrap().verified_by(&keys, &ALL).is_ok());
    let party = Party::new().keys();
    let outcome = read(&token).unwrap().verified_by(&party, &ALL);
    assert_eq!(outcome, Err(JwtProblem::NoKey));
}

proptest! {
    #[test]
    fn no_input_panics(text in "[A-Za-z0-9_.=-]{0,200}", any in any::<String>()) {
        for kind in [ForeignKind::IdToken, ForeignKind::RequestObject, ForeignKind::DpopProof] {
            let _ = ForeignJwt::read(&text, kind);
            let _ = ForeignJwt::read(&any, kind);
        }
    }

    /// T23: no other text than the one that was signed verifies.
    #[test]
    fn a_changed_jwt_never_verifies(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=-]") {
        let party = Party::new();
        let token = party.sign(&header(), &json!({ "sub": "app", "exp": 1 }));
        let at = at.index(token.len());
        let changed = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        let verified = read(&changed).is_ok_and(|jwt| jwt.verified_by(&party.keys(), &ALL).is_ok());
        prop_assert_eq!(verified, changed == token);
        let longer = format!("{}{to}{}", &token[..at], &token[at..]);
        prop_assert!(!read(&longer).is_ok_and(|jwt| jwt.verified_by(&party.keys(), &ALL).is_ok()));
    }
}
