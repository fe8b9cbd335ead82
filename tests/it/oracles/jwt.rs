//! A JWT that somebody else made (RFC 7515, RFC 7519, RFC 8725): the bytes are a compact JWT, or a header, a line feed and claims,
//! which are signed here.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portico::protocol::client_assertion::{AHEAD, Assertion, MAX_LIFETIME};
use portico::protocol::foreign_jwt::{Claims, ForeignJwt, ForeignKind};
use portico::protocol::ids::ClientId;
use portico::protocol::issuer::Issuer;
use portico::protocol::jwk::JwkSet;
use portico::protocol::jws::{SigningAlgorithm, is_strict_compact};
use portico::protocol::params::Params;
use portico::protocol::request_object::{self, Around};
use portico::protocol::secret::Secret;
use serde_json::{Value, json};

const KINDS: [ForeignKind; 4] = [
    ForeignKind::IdToken,
    ForeignKind::ClientAssertion,
    ForeignKind::RequestObject,
    ForeignKind::DpopProof,
];
const SECRET: &str = "a-secret-that-two-know-and-no-fuzzer";
const NOW: i64 = 1_700_000_000;

/// Holds `bytes` against every kind of foreign JWT.
pub(crate) fn holds(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match text.split_once('\n') {
        None => what_is_taken_is_proven(text),
        Some((header, claims)) => what_is_signed_is_taken_as_it_says(header, claims),
    }
}

/// The key pair whose JWTs are good.
pub(crate) fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed")
}

/// Its public half.
pub(crate) fn jwk() -> Value {
    let x = URL_SAFE_NO_PAD.encode(pair().public_key().as_ref());
    json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
}

/// Header and claims, encoded: what is signed.
pub(crate) fn input(header: &str, claims: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}", encode(header), encode(claims))
}

/// A compact JWT, signed with [`pair`].
pub(crate) fn signed(input: &str) -> String {
    let signature = pair().sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn keys() -> JwkSet {
    let mut key = jwk();
    key["kid"] = "one".into();
    JwkSet::register(&json!({ "keys": [key] })).expect("a key")
}

fn what_is_taken_is_proven(token: &str) {
    for kind in KINDS {
        let Ok(jwt) = ForeignJwt::read(token, kind) else {
            continue;
        };
        a_jwt_has_one_spelling(token, &jwt);
        if jwt.verified_by(&keys(), &[SigningAlgorithm::EdDSA]).is_ok() {
            let (input, signature) = token.rsplit_once('.').expect("a signature");
            let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
            let pair = pair();
            let key = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref());
            assert!(key.verify(input.as_bytes(), &signature).is_ok(), "{token}");
        }
    }
}

/// T23, T49.
fn a_jwt_has_one_spelling(token: &str, jwt: &ForeignJwt) {
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    for part in &parts {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        assert_eq!(URL_SAFE_NO_PAD.encode(bytes), *part);
    }
    let unsigned = jwt.algorithm() == "none";
    assert_eq!(unsigned, parts[2].is_empty());
    assert_eq!(unsigned, jwt.unsigned().is_ok());
    let usual = |part: &str| -> Value {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice(&bytes).expect("JSON to everybody")
    };
    let header = usual(parts[0]);
    assert_eq!(header["alg"], jwt.algorithm());
    assert_eq!(header.get("kid").and_then(Value::as_str), jwt.kid());
    for name in ["crit", "b64", "jku", "x5u", "x5c"] {
        assert!(header.get(name).is_none(), "{name} was taken for nothing");
    }
    let claims = Value::Object(jwt.unverified().clone().into_map());
    assert_eq!(claims, usual(parts[1]));
}

fn what_is_signed_is_taken_as_it_says(header: &str, claims: &str) {
    let input = input(header, claims);
    let token = signed(&input);
    let shared = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&shared, input.as_bytes());
    let by_secret = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
    let mut kinds = Vec::new();
    for kind in KINDS {
        what_is_taken_is_proven(&token);
        let Ok(jwt) = ForeignJwt::read(&token, kind) else {
            continue;
        };
        kinds.push(kind);
        assert!(kind == ForeignKind::RequestObject || is_strict_compact(&token));
        by_its_key_and_algorithm_alone(&jwt);
        a_changed_one_is_not_taken(&token, kind);
        let jwt = ForeignJwt::read(&by_secret, kind).expect("it differs by its signature alone");
        by_its_secret_and_algorithm_alone(&jwt);
        what_its_claims_say(jwt.unverified(), kind);
    }
    // T41.
    let proof = kinds.contains(&ForeignKind::DpopProof);
    assert!(!proof || kinds.len() == 1, "{kinds:?}");
}

/// T39.
fn by_its_key_and_algorithm_alone(jwt: &ForeignJwt) {
    let named = jwt.kid().is_none_or(|kid| kid == "one");
    let good = named && ["EdDSA", "Ed25519"].contains(&jwt.algorithm());
    let verified = jwt.verified_by(&keys(), &SigningAlgorithm::ALL);
    assert_eq!(verified.is_ok(), good);
    assert!(verified.is_err() || verified.as_ref() == Ok(jwt.unverified()));
    let others = [
        SigningAlgorithm::RS256,
        SigningAlgorithm::PS256,
        SigningAlgorithm::ES256,
    ];
    assert!(jwt.verified_by(&keys(), &others).is_err());
    assert!(
        jwt.verified_by(&JwkSet::default(), &SigningAlgorithm::ALL)
            .is_err()
    );
    let x = jwk()["x"].as_str().map(Secret::new);
    let secrets: Vec<Secret> = x.into_iter().chain([Secret::new(SECRET)]).collect();
    assert!(jwt.verified_by_secret(&secrets).is_err());
}

fn by_its_secret_and_algorithm_alone(jwt: &ForeignJwt) {
    let secrets = [Secret::new("another"), Secret::new(SECRET)];
    let good = jwt.algorithm() == "HS256";
    assert_eq!(jwt.verified_by_secret(&secrets).is_ok(), good);
    assert!(jwt.verified_by_secret(&secrets[..1]).is_err());
    assert!(jwt.verified_by(&keys(), &SigningAlgorithm::ALL).is_err());
}

fn a_changed_one_is_not_taken(token: &str, kind: ForeignKind) {
    let (head, rest) = token.split_once('.').expect("a header");
    let (claims, signature) = rest.split_once('.').expect("claims");
    let mut more = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    // The same claims to every reader, and not what was signed.
    more.push(b' ');
    let more = URL_SAFE_NO_PAD.encode(more);
    for changed in [
        format!("{head}.{more}.{signature}"),
        format!("{token}="),
        format!("{token}A"),
        format!("{token}\n"),
        format!("{head}.{claims}."),
        format!(" {token}"),
    ] {
        let verified = ForeignJwt::read(&changed, kind)
            .and_then(|jwt| jwt.verified_by(&keys(), &SigningAlgorithm::ALL));
        assert!(verified.is_err(), "{changed}");
    }
}

/// T40, T42.
fn what_its_claims_say(claims: &Claims, kind: ForeignKind) {
    let client_id = ClientId::new("app");
    let issuer = Issuer::parse("https://login.example.org").expect("an issuer");
    let text = |name| claims.get(name).and_then(Value::as_str);
    if kind == ForeignKind::ClientAssertion
        && let Ok(assertion) = Assertion::check(claims, &client_id, &[issuer.as_str()], NOW)
    {
        assert_eq!(
            (text("iss"), text("sub"), text("aud")),
            (Some("app"), Some("app"), Some(issuer.as_str()))
        );
        assert!(assertion.exp > NOW && assertion.exp <= NOW + MAX_LIFETIME + AHEAD);
        assert!(!assertion.jti.is_empty() && text("jti") == Some(&assertion.jti));
    }
    if kind == ForeignKind::RequestObject {
        for signed in [true, false] {
            let around = Around {
                client_id: &client_id,
                outside: &Params::default(),
                signed,
                issuer: &issuer,
                now: NOW,
            };
            if let Ok(params) = request_object::parameters(claims, around) {
                assert_eq!(params.get("client_id").ok(), Some(Some("app")));
                assert!(!signed || text("iss") == Some("app"));
                nothing_is_left_out(claims, &params);
                assert!(claims.get("request").is_none() && claims.get("request_uri").is_none());
                let has_ended = claims.get("exp").and_then(Value::as_i64);
                assert!(has_ended.is_none_or(|exp| exp > NOW));
            }
        }
    }
}

fn nothing_is_left_out(claims: &Claims, params: &Params) {
    let about_itself = ["iss", "aud", "sub", "exp", "nbf", "iat", "jti"];
    for (name, value) in claims.iter() {
        let text = value.as_str().filter(|text| !text.is_empty());
        if let (Some(text), false) = (text, about_itself.contains(&name)) {
            assert_eq!(params.get(name).ok(), Some(Some(text)), "{name}");
        }
    }
}
