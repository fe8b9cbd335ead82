use serde_json::Value;

use super::*;
use crate::keys::MasterKey;

const ALL: [SigningAlgorithm; 4] = [
    SigningAlgorithm::RS256,
    SigningAlgorithm::PS256,
    SigningAlgorithm::ES256,
    SigningAlgorithm::EdDSA,
];

fn secrets() -> Secrets {
    Secrets::derive(&MasterKey::new([1; 32])).unwrap()
}

fn ring(records: Vec<SigningKeyRecord>) -> KeyRing {
    KeyRing::load(records, &secrets()).unwrap()
}

fn claims() -> Value {
    json!({ "sub": "somebody" })
}

fn key(algorithm: SigningAlgorithm) -> SigningKeyRecord {
    new_key(algorithm, &secrets(), 0, 10).unwrap()
}

fn swap_header(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    let header = URL_SAFE_NO_PAD.encode(serde_json::to_vec(header).unwrap());
    format!("{header}.{rest}")
}

#[test]
fn every_algorithm_signs_what_it_verifies() {
    let ring = ring(ALL.into_iter().map(key).collect());
    for algorithm in ALL {
        let token = ring
            .sign(TokenKind::AccessToken, algorithm, &claims(), 20)
            .unwrap();
        let read: Value = ring.verify(TokenKind::AccessToken, &token, 20).unwrap();
        assert_eq!(read, claims());
    }
}

/// T41.
#[test]
fn one_kind_of_token_is_not_another() {
    let ring = ring(vec![key(SigningAlgorithm::ES256)]);
    for kind in TokenKind::ALL {
        let token = ring.sign(kind, SigningAlgorithm::ES256, &claims(), 20);
        let token = token.unwrap();
        for other in TokenKind::ALL {
            let read = ring.verify::<Value>(other, &token, 20);
            assert_eq!(read.is_ok(), kind == other, "{kind:?} {other:?}");
        }
    }
}

/// T39.
#[test]
fn a_header_that_we_do_not_write_is_refused() {
    let record = key(SigningAlgorithm::ES256);
    let kid = record.kid.to_string();
    let ring = ring(vec![record]);
    let token = ring
        .sign(TokenKind::IdToken, SigningAlgorithm::ES256, &claims(), 20)
        .unwrap();
    for header in [
        json!({ "typ": "JWT", "alg": "none", "kid": kid }),
        json!({ "typ": "JWT", "alg": "HS256", "kid": kid }),
        json!({ "typ": "JWT", "alg": "ES256", "kid": "another" }),
        json!({ "typ": "JWT", "alg": "ES256" }),
        json!({ "typ": "JWT", "alg": "ES256", "kid": kid, "crit": ["x"] }),
        json!({ "typ": "JWT", "alg": "ES256", "kid": kid, "jku": "https://evil.example/jwks" }),
        json!({ "alg": "ES256", "typ": "JWT", "kid": kid, "jwk": {} }),
    ] {
        let forged = swap_header(&token, &header);
        assert!(
            ring.verify::<Value>(TokenKind::IdToken, &forged, 20)
                .is_err(),
            "{header}"
        );
    }
    let (unsigned, _) = token.rsplit_once('.').unwrap();
    assert!(
        ring.verify::<Value>(TokenKind::IdToken, &format!("{unsigned}."), 20)
            .is_err()
    );
}

/// T39: an HMAC made with the public key as its secret.
#[test]
fn hs256_with_the_public_key_is_refused() {
    let record = key(SigningAlgorithm::RS256);
    let kid = record.kid.to_string();
    let ring = ring(vec![record]);
    let public = ring.jwks(20);
    let header = json!({ "typ": "JWT", "alg": "HS256", "kid": kid });
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).unwrap()),
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims()).unwrap())
    );
    let mac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&mac, message.as_bytes());
    let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
    assert!(
        ring.verify::<Value>(TokenKind::IdToken, &forged, 20)
            .is_err()
    );
}

/// T23.
#[test]
fn truncated_extended_and_tampered_tokens_are_refused() {
    let ring = ring(vec![key(SigningAlgorithm::EdDSA)]);
    let token = ring
        .sign(TokenKind::IdToken, SigningAlgorithm::EdDSA, &claims(), 20)
        .unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let others = URL_SAFE_NO_PAD.encode(json!({ "sub": "somebody else" }).to_string());
    // That it has been seen makes no other text a token.
    ring.verify::<Value>(TokenKind::IdToken, &token, 20)
        .unwrap();
    for length in 0..token.len() {
        assert!(
            ring.verify::<Value>(TokenKind::IdToken, &token[..length], 20)
                .is_err()
        );
    }
    for extended in [
        format!("{token}A"),
        format!("{token}="),
        format!("{token}.A"),
        format!(" {token}"),
        format!("{header}.{others}.{signature}"),
        format!("{message}.{}", "A".repeat(signature.len())),
    ] {
        assert!(
            ring.verify::<Value>(TokenKind::IdToken, &extended, 20)
                .is_err()
        );
    }
}

/// T47: what was verified once is forgotten with its key, and asked about its key each time.
#[test]
fn a_token_that_was_seen_is_refused_when_its_key_is_over() {
    let own = SigningKeyRecord {
        retired_at: Some(100),
        expires_at: Some(200),
        ..key(SigningAlgorithm::ES256)
    };
    let ring = ring(vec![own]);
    let token = ring.sign(
        TokenKind::AccessToken,
        SigningAlgorithm::ES256,
        &claims(),
        20,
    );
    let token = token.unwrap();
    let verified = |now| ring.verify::<Value>(TokenKind::AccessToken, &token, now);
    assert!(verified(150).is_ok());
    assert!(verified(201).is_err());
    assert!(verified(150).is_ok());
    // Another key takes its name, as an import of somebody else's database would have it.
    let mut other = key(SigningAlgorithm::ES256);
    let kid = ring.snapshot().keys[0].record.kid.clone();
    let pkcs8 = signer::generate(SigningAlgorithm::ES256).unwrap();
    other.sealed = secrets()
        .seal(Purpose::SigningKey, kid.as_str(), &pkcs8)
        .unwrap();
    other.kid = kid;
    ring.reload(vec![other], &secrets()).unwrap();
    assert!(verified(20).is_err());
}

/// What we have just signed is not verified again, and nothing else than that very text is taken for it.
#[test]
fn an_access_token_is_known_where_it_was_made() {
    let ring = ring(ALL.into_iter().map(key).collect());
    for algorithm in ALL {
        let signed = |kind| ring.sign(kind, algorithm, &claims(), 20).unwrap();
        let is_known = |token: &str| {
            let hash = verified::hash_of(token).unwrap();
            ring.snapshot().verified.has(&hash)
        };
        let token = signed(TokenKind::AccessToken);
        assert!(is_known(&token));
        assert!(!is_known(&signed(TokenKind::IdToken)));
        // Another signature under the same claims, and other claims under the same signature.
        let (message, signature) = token.rsplit_once('.').unwrap();
        let other = signed(TokenKind::IdToken);
        let (_, of_other) = other.rsplit_once('.').unwrap();
        for forged in [
            format!("{message}.{of_other}"),
            format!("{message}A.{signature}"),
        ] {
            assert!(!is_known(&forged));
            let read = ring.verify::<Value>(TokenKind::AccessToken, &forged, 20);
            assert!(read.is_err());
        }
        assert!(
            ring.verify::<Value>(TokenKind::AccessToken, &token, 20)
                .is_ok()
        );
    }
}

/// T47: announced keys are published and silent; retired ones verify until they expire.
#[test]
fn a_key_signs_only_while_it_is_active() {
    let first = SigningKeyRecord {
        retired_at: Some(100),
        expires_at: Some(200),
        ..key(SigningAlgorithm::ES256)
    };
    let second = new_key(SigningAlgorithm::ES256, &secrets(), 50, 100).unwrap();
    let (first_kid, second_kid) = (first.kid.to_string(), second.kid.to_string());
    let ring = ring(vec![first, second]);
    let sign = |now| {
        let token = ring
            .sign(TokenKind::IdToken, SigningAlgorithm::ES256, &claims(), now)
            .unwrap();
        (
            jsonwebtoken::decode_header(&token).unwrap().kid.unwrap(),
            token,
        )
    };
    let (kid, early) = sign(99);
    assert_eq!(kid, first_kid);
    assert_eq!(sign(100).0, second_kid);
    assert!(
        ring.jwks(60).contains(&second_kid),
        "published while announced"
    );
    assert!(
        ring.verify::<Value>(TokenKind::IdToken, &early, 199)
            .is_ok()
    );
    assert!(
        ring.verify::<Value>(TokenKind::IdToken, &early, 200)
            .is_err()
    );
    assert!(!ring.jwks(200).contains(&first_kid));
    assert!(matches!(
        ring.sign(TokenKind::IdToken, SigningAlgorithm::RS256, &claims(), 99),
        Err(KeyError::NoActiveKey("RS256"))
    ));
}

/// The JWKS holds no private part.
#[test]
fn the_jwks_is_public() {
    let ring = ring(ALL.into_iter().map(key).collect());
    let jwks: Value = serde_json::from_str(&ring.jwks(20)).unwrap();
    for jwk in jwks["keys"].as_array().unwrap() {
        let allowed = ["kty", "n", "e", "crv", "x", "y", "kid", "use", "alg"];
        assert!(
            jwk.as_object()
                .unwrap()
                .keys()
                .all(|name| allowed.contains(&name.as_str()))
        );
    }
}

#[test]
fn another_master_key_opens_nothing_and_says_so() {
    let other = Secrets::derive(&MasterKey::new([2; 32])).unwrap();
    let result = KeyRing::load(vec![key(SigningAlgorithm::ES256)], &other);
    assert!(matches!(result, Err(KeyError::Sealed { .. })));
}

/// Whoever has something else to do waits for the signatures that are being made, and not for those that wait before them.
#[tokio::test]
async fn between_signatures_by_rsa_others_have_their_turn() {
    let ring = ring(vec![key(SigningAlgorithm::RS256)]);
    // The runtime has one thread.
    assert_eq!(ring.turns.available_permits(), 1);
    let waiting = 8;
    let made = Arc::new(Mutex::new(0));
    let signers: Vec<_> = (0..waiting)
        .map(|_| {
            let (ring, made) = (ring.clone(), Arc::clone(&made));
            tokio::spawn(async move {
                let (kind, algorithm) = (TokenKind::AccessToken, SigningAlgorithm::RS256);
                let token = ring.sign_in_turn(kind, algorithm, &claims(), 20).await;
                *made.lock().unwrap() += 1;
                ring.verify::<Value>(kind, &token.unwrap(), 20).unwrap()
            })
        })
        .collect();
    let mut seen = 0;
    while seen < waiting {
        yield_now().await;
        let now = *made.lock().unwrap();
        assert!(now - seen <= 1, "{now} after {seen} of {waiting}");
        seen = now;
    }
    for signer in signers {
        assert_eq!(signer.await.unwrap(), claims());
    }
}
