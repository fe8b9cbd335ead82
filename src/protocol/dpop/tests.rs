use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_700_000_000;
const URL: &str = "https://login.example.org/token";
const WINDOW: i64 = 60;

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap()
}

fn header() -> Value {
    let x = URL_SAFE_NO_PAD.encode(pair().public_key().as_ref());
    json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": { "kty": "OKP", "crv": "Ed25519", "x": x } })
}

fn claims() -> Value {
    json!({ "jti": "one", "htm": "POST", "htu": URL, "iat": NOW })
}

fn sign(header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(pair().sign(input.as_bytes()));
    format!("{input}.{signature}")
}

fn about(access_token: Option<&str>) -> About<'_> {
    About {
        method: "POST",
        url: URL,
        access_token,
        now: NOW,
        window: WINDOW,
    }
}

fn read(proof: &str) -> Result<Proof, OAuthError> {
    Proof::read(proof, about(None))
}

fn with(name: &str, value: Value) -> Result<Proof, OAuthError> {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    read(&sign(&header(), &claims))
}

#[test]
fn a_good_proof_tells_its_key() {
    let proof = read(&sign(&header(), &claims())).unwrap();
    assert_eq!(proof.jti, "one");
    assert_eq!(proof.expires_at, NOW + MAX_WINDOW + 1);
    assert_eq!(Thumbprint::parse(proof.key.as_str()), Some(proof.key));
    assert_eq!(proof.nonce, None);
    let nonce = with("nonce", "n".into()).unwrap().nonce;
    assert_eq!(nonce.as_deref(), Some("n"));
}

/// T43, line by line; T40.
#[test]
fn every_claim_is_what_it_has_to_be() {
    let long = "x".repeat(300);
    for (name, value) in [
        ("htm", "GET".into()),
        ("htm", "post".into()),
        ("htm", "POST ".into()),
        ("htm", json!(["POST"])),
        ("htm", json!(1)),
        ("htm", Value::Null),
        ("htu", "https://login.example.org/userinfo".into()),
        ("htu", "https://login.example.org/token/".into()),
        ("htu", "https://login.example.org/Token".into()),
        ("htu", "https://login.example.org.evil.example/token".into()),
        ("htu", "https://login.example.org:8443/token".into()),
        ("htu", "http://login.example.org/token".into()),
        ("htu", "https://evil.example/token".into()),
        ("htu", "https://a@login.example.org/token".into()),
        ("htu", "https:\\\\login.example.org/token".into()),
        ("htu", " https://login.example.org/token".into()),
        ("htu", "/token".into()),
        ("htu", "".into()),
        ("htu", json!([URL])),
        ("htu", Value::Null),
        ("iat", json!(NOW + 60)),
        ("iat", json!(NOW - WINDOW - 1)),
        ("iat", json!(NOW.to_string())),
        ("iat", json!(-1)),
        ("iat", json!(1e300)),
        ("iat", Value::Null),
        ("jti", "".into()),
        ("jti", json!(1)),
        ("jti", Value::Null),
        ("jti", long.clone().into()),
        ("nonce", json!(1)),
        ("nonce", long.into()),
    ] {
        let error = with(name, value.clone()).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidDpopProof, "{name} {value}");
    }
    for (name, value) in [
        ("iat", json!(NOW + 10)),
        ("iat", json!(NOW - WINDOW)),
        ("iat", json!(1_700_000_000.5)),
        ("htu", "https://login.example.org/token?a=b#c".into()),
        ("htu", "HTTPS://LOGIN.example.org:443/token".into()),
        ("htu", "https://login.example.org/%74oken".into()),
        ("htu", "https://login.example.org/a/../token".into()),
    ] {
        assert!(with(name, value.clone()).is_ok(), "{name} {value}");
    }
}

/// RFC 9449 section 4.3, T39, T41.
#[test]
fn the_header_says_that_it_is_a_proof_and_brings_a_public_key() {
    let changed = |name: &str, value: Value| {
        let mut header = header();
        header[name] = value;
        read(&sign(&header, &claims()))
    };
    for (name, value) in [
        ("typ", "JWT".into()),
        ("typ", "at+jwt".into()),
        ("typ", "".into()),
        ("alg", "none".into()),
        ("alg", "HS256".into()),
        ("alg", "ES256".into()),
        ("alg", "RS512".into()),
        ("jwk", json!("x")),
        ("jwk", json!({})),
        ("crit", json!(["exp"])),
        ("b64", false.into()),
        ("jku", "https://evil.example/jwks".into()),
        ("x5u", "https://evil.example/cert".into()),
        ("x5c", json!(["AAAA"])),
    ] {
        assert!(changed(name, value.clone()).is_err(), "{name} {value}");
    }
    for private in ["d", "k", "p"] {
        let mut header = header();
        header["jwk"][private] = "AQAB".into();
        assert!(read(&sign(&header, &claims())).is_err(), "{private}");
    }
    let mut other = header();
    other["jwk"]["x"] = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into();
    assert!(read(&sign(&other, &claims())).is_err());
}

/// RFC 9449 section 4.3, check 12.
#[test]
fn a_proof_beside_a_token_is_of_that_token() {
    let with_ath = |value: Value| {
        let mut claims = claims();
        claims["ath"] = value;
        Proof::read(&sign(&header(), &claims), about(Some("token")))
    };
    assert!(with_ath(ath("token").into()).is_ok());
    for wrong in [json!(ath("another")), json!(""), json!(1), Value::Null] {
        assert!(with_ath(wrong.clone()).is_err(), "{wrong}");
    }
    let without = sign(&header(), &claims());
    assert!(Proof::read(&without, about(Some("token"))).is_err());
}

#[test]
fn an_escaped_slash_is_no_slash() {
    let same = |htu: &str, url: &str| same_address(htu, url);
    assert!(same("https://a.example/b%7Ec", "https://a.example/b~c"));
    assert!(same("https://a.example/b%2fc", "https://a.example/b%2Fc"));
    assert!(!same("https://a.example/b%2Fc", "https://a.example/b/c"));
    assert!(!same("https://a.example/b%", "https://a.example/b"));
}

/// RFC 7638: and nothing else passes for one.
#[test]
fn a_thumbprint_has_one_spelling() {
    let good = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    assert!(Thumbprint::parse(good).is_some());
    for bad in [
        "",
        "0ZcOCORZ",
        &format!("{good}="),
        &format!("{good}A"),
        &good.replace('-', "+"),
    ] {
        assert!(Thumbprint::parse(bad).is_none(), "{bad}");
    }
    let key: Thumbprint = Thumbprint::parse(good).unwrap();
    assert!(require_key(None, None).is_ok() && require_key(None, Some(&key)).is_ok());
    assert!(require_key(Some(&key), Some(&key)).is_ok());
    assert!(require_key(Some(&key), None).is_err());
    let other = Thumbprint::parse(&ath("x")).unwrap();
    assert!(require_key(Some(&key), Some(&other)).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "[A-Za-z0-9_.=-]{0,300}", any in any::<String>()) {
        prop_assert!(read(&text).is_err());
        prop_assert!(read(&any).is_err());
    }

    /// T23: no other text than the one that was signed is a proof.
    #[test]
    fn a_changed_proof_is_none(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.=-]") {
        let proof = sign(&header(), &claims());
        let at = at.index(proof.len());
        let changed = format!("{}{to}{}", &proof[..at], &proof[at + 1..]);
        prop_assert_eq!(read(&changed).is_ok(), changed == proof);
    }

    /// Whatever a proof claims, it is read or refused, and read only for this very request.
    #[test]
    fn claims_of_any_kind_are_read_or_refused(
        name in "(jti|htm|htu|iat|nonce)",
        value in prop_oneof![
            any::<String>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(json!([])), Just(json!({})),
        ],
    ) {
        let outcome = with(&name, value.clone());
        if let Ok(proof) = outcome {
            let in_time = (NOW - WINDOW..=NOW + AHEAD).contains(&(proof.expires_at - MAX_WINDOW - 1));
            prop_assert!(in_time);
            prop_assert!(!proof.jti.is_empty() && proof.jti.len() <= MAX_JTI_BYTES);
        }
    }
}
