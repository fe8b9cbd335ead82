use proptest::prelude::*;

use super::*;

/// RFC 7638 section 3.1.
const RSA_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
/// RFC 7515 appendix A.3.1.
const EC_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const EC_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
/// RFC 8037 appendix A.2.
const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn rsa() -> Value {
    json!({ "kty": "RSA", "n": RSA_N, "e": "AQAB", "kid": "2011-04-29" })
}

fn ec() -> Value {
    json!({ "kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y, "kid": "ec" })
}

fn ed() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X, "kid": "ed" })
}

fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
    key[name] = value.into();
    key
}

fn without(mut key: Value, name: &str) -> Value {
    key.as_object_mut().unwrap().remove(name);
    key
}

/// RFC 7638 section 3.1, RFC 8037 appendix A.3.
#[test]
fn thumbprints_are_those_of_the_specifications() {
    let thumbprint = |key: &Value| PublicKey::parse(key).unwrap().thumbprint();
    assert_eq!(
        thumbprint(&rsa()),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    assert_eq!(
        thumbprint(&ed()),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
    assert_eq!(
        thumbprint(&with(rsa(), "alg", "PS256")),
        thumbprint(&rsa()),
        "what the key is for is not part of it"
    );
}

/// RFC 8037 appendix A.4, RFC 7515 appendix A.3.
#[test]
fn signatures_of_the_specifications_verify() {
    let key = PublicKey::parse(&ed()).unwrap();
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert!(key.verifies(SigningAlgorithm::EdDSA, signature, message));
    assert!(!key.verifies(SigningAlgorithm::EdDSA, signature, b"other"));
    let key = PublicKey::parse(&ec()).unwrap();
    let message = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert!(key.verifies(SigningAlgorithm::ES256, signature, message));
    for other in [
        SigningAlgorithm::RS256,
        SigningAlgorithm::PS256,
        SigningAlgorithm::EdDSA,
    ] {
        assert!(!key.verifies(other, signature, message), "{other:?}");
    }
}

/// T39: a key is for what it says.
#[test]
fn a_key_fits_the_algorithms_of_its_kind_and_its_word() {
    use SigningAlgorithm::{ES256, EdDSA, PS256, RS256};
    for (key, fitting) in [
        (rsa(), vec![RS256, PS256]),
        (with(rsa(), "alg", "PS256"), vec![PS256]),
        (with(rsa(), "use", "sig"), vec![RS256, PS256]),
        (
            with(rsa(), "key_ops", json!(["verify"])),
            vec![RS256, PS256],
        ),
        (ec(), vec![ES256]),
        (ed(), vec![EdDSA]),
        (with(ed(), "alg", "Ed25519"), vec![EdDSA]),
    ] {
        let parsed = PublicKey::parse(&key).unwrap();
        let fits: Vec<_> = [RS256, PS256, ES256, EdDSA]
            .into_iter()
            .filter(|algorithm| parsed.fits(*algorithm))
            .collect();
        assert_eq!(fits, fitting, "{key}");
    }
}

#[test]
fn what_is_no_public_key_for_signatures_is_refused() {
    use JwkProblem::{OfAnotherKind, Private, RsaSize};
    let weak = URL_SAFE_NO_PAD.encode([0xff; 255]);
    let leading_zero = format!("AN{}", &RSA_N[2..]);
    let even = URL_SAFE_NO_PAD.encode([0xfe; 256]);
    for (key, problem) in [
        (with(rsa(), "d", "AQAB"), Private),
        (with(ec(), "d", 1), Private),
        (json!({ "kty": "oct", "k": "AQAB" }), Private),
        (with(rsa(), "n", weak), RsaSize),
        (
            with(rsa(), "n", URL_SAFE_NO_PAD.encode([0xff; 1025])),
            RsaSize,
        ),
        (with(rsa(), "use", "enc"), OfAnotherKind),
        (with(rsa(), "key_ops", json!(["wrapKey"])), OfAnotherKind),
        (with(rsa(), "alg", "RS512"), OfAnotherKind),
        (with(rsa(), "alg", "HS256"), OfAnotherKind),
        (with(rsa(), "alg", "none"), OfAnotherKind),
        (with(ec(), "crv", "P-384"), OfAnotherKind),
        (with(ed(), "crv", "X25519"), OfAnotherKind),
        (without(ec(), "crv"), OfAnotherKind),
        (with(rsa(), "kty", "rsa"), OfAnotherKind),
    ] {
        assert_eq!(PublicKey::parse(&key), Err(problem), "{key}");
    }
    for malformed in [
        json!("text"),
        json!({}),
        without(rsa(), "n"),
        without(rsa(), "e"),
        without(ec(), "y"),
        with(rsa(), "n", leading_zero),
        with(rsa(), "n", even),
        with(rsa(), "n", format!("{RSA_N}=")),
        with(rsa(), "n", 1),
        with(rsa(), "e", "AQ"),
        with(rsa(), "e", "AAEAAQ"),
        with(rsa(), "e", "AQAAAAAB"),
        with(rsa(), "kid", 1),
        with(rsa(), "kid", ""),
        with(rsa(), "kid", "k".repeat(MAX_KID_BYTES + 1)),
        with(rsa(), "alg", "ES256"),
        with(rsa(), "alg", 1),
        with(rsa(), "use", 1),
        with(rsa(), "key_ops", "verify"),
        with(ec(), "x", "AQAB"),
        with(ed(), "x", "AQAB"),
        with(ed(), "alg", "RS256"),
    ] {
        let outcome = PublicKey::parse(&malformed);
        assert!(
            matches!(outcome, Err(JwkProblem::Malformed(_))),
            "{malformed}: {outcome:?}"
        );
    }
}

/// T39, and RFC 7517 section 5.
#[test]
fn a_set_is_registered_whole_or_not_at_all() {
    let register = |keys: Value| JwkSet::register(&json!({ "keys": keys }));
    let encrypting = with(with(rsa(), "use", "enc"), "kid", "enc");
    let set = register(json!([rsa(), ec(), ed(), encrypting])).unwrap();
    assert_eq!(set.len(), 3);
    assert!(set.names("ec") && !set.names("enc"));
    let alone = register(json!([without(ec(), "kid")])).unwrap();
    assert!(alone.pick(None, SigningAlgorithm::ES256).is_some());
    for (keys, problem) in [
        (
            json!([rsa(), with(ec(), "kid", "2011-04-29")]),
            JwkSetProblem::AmbiguousKid,
        ),
        (
            json!([rsa(), without(ec(), "kid")]),
            JwkSetProblem::AmbiguousKid,
        ),
        (json!([]), JwkSetProblem::Empty),
        (json!([encrypting]), JwkSetProblem::Empty),
        (
            json!([ec(), with(rsa(), "p", "AQAB")]),
            JwkSetProblem::Key(1, JwkProblem::Private),
        ),
        (json!({}), JwkSetProblem::NotASet),
        (
            Value::Array(vec![ec(); MAX_KEYS + 1]),
            JwkSetProblem::TooMany,
        ),
    ] {
        assert_eq!(register(keys.clone()), Err(problem), "{keys}");
    }
    // What is kept reads itself again.
    let kept = serde_json::to_string(&set).unwrap();
    assert_eq!(serde_json::from_str::<JwkSet>(&kept).unwrap(), set);
}

#[test]
fn a_fetched_set_keeps_what_can_be_used() {
    let value = json!({ "keys": [with(rsa(), "d", "AQAB"), 1, ec(), { "kty": "new" }] });
    let set = JwkSet::fetched(&value).unwrap();
    assert_eq!(set.len(), 1);
    assert_eq!(
        JwkSet::fetched(&json!({ "keys": [1] })),
        Err(JwkSetProblem::Empty)
    );
    assert_eq!(JwkSet::fetched(&json!([])), Err(JwkSetProblem::NotASet));
    // Which of two is meant, nobody can tell.
    let twice = json!({ "keys": [ec(), with(ec(), "x", EC_Y)] });
    let twice = JwkSet::fetched(&twice).unwrap();
    assert_eq!(twice.pick(Some("ec"), SigningAlgorithm::ES256), None);
}

#[test]
fn a_key_is_picked_by_name_or_as_the_only_one_that_fits() {
    let set = JwkSet::register(&json!({ "keys": [rsa(), ec()] })).unwrap();
    let picked = |kid, algorithm| set.pick(kid, algorithm).and_then(PublicKey::kid);
    assert_eq!(picked(Some("ec"), SigningAlgorithm::ES256), Some("ec"));
    assert_eq!(picked(None, SigningAlgorithm::ES256), Some("ec"));
    assert_eq!(picked(Some("ec"), SigningAlgorithm::RS256), None);
    assert_eq!(picked(Some("other"), SigningAlgorithm::ES256), None);
    let two = json!({ "keys": [ec(), with(ec(), "kid", "ec2")] });
    let two = JwkSet::register(&two).unwrap();
    assert_eq!(two.pick(None, SigningAlgorithm::ES256), None);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[A-Za-z0-9_=-]{0,48}".prop_map(Value::from),
        Just(Value::from("P-256")),
        Just(Value::from("Ed25519")),
    ];
    leaf.prop_recursive(2, 16, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(Value::from)
    })
}

proptest! {
    /// Whatever a member is made to be, a key that parses says the same again, and holds nothing private.
    #[test]
    fn a_key_that_parses_is_whole_and_public(
        which in 0usize..3,
        changes in prop::collection::vec((prop::sample::select(vec![
            "kty", "n", "e", "crv", "x", "y", "d", "k", "kid", "alg", "use", "key_ops", "x5c",
        ]), any_json()), 0..4),
    ) {
        let mut key = [rsa(), ec(), ed()][which].clone();
        for (name, value) in changes {
            key[name] = value;
        }
        if let Ok(parsed) = PublicKey::parse(&key) {
            prop_assert!(!PRIVATE.iter().any(|member| key.get(member).is_some()));
            let again = parsed.to_jwk();
            prop_assert_eq!(PublicKey::parse(&again), Ok(parsed.clone()));
            prop_assert!(!parsed.verifies(SigningAlgorithm::RS256, "AAAA", b"x"));
        }
        let _ = JwkSet::register(&json!({ "keys": [key] }));
    }
}
