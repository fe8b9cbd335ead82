//! A proof of possession (RFC 9449 section 4): the bytes are a compact JWT, or a header, a line feed and claims, which are signed
//! here.

use portico::protocol::dpop::{About, Proof, ath};
use serde_json::Value;
use url::Url;

use super::jwt;

const TOKEN_ENDPOINT: &str = "https://login.example.org/token";
const ACCESS_TOKEN: &str = "an-access-token";
const NOW: i64 = 1_700_000_000;
const WINDOW: i64 = 60;
/// Seconds by which a clock may be ahead.
const AHEAD: i64 = 30;

/// Holds `bytes` against a request to the token endpoint, and one with an access token.
pub(crate) fn holds(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let token = match text.split_once('\n') {
        None => text.to_owned(),
        Some((header, claims)) => jwt::signed(&jwt::input(header, claims)),
    };
    for access_token in [None, Some(ACCESS_TOKEN)] {
        let about = About {
            method: "POST",
            url: TOKEN_ENDPOINT,
            access_token,
            now: NOW,
            window: WINDOW,
        };
        if let Ok(proof) = Proof::read(&token, about) {
            a_proof_is_about_this_request(&token, &proof, access_token);
            it_is_about_no_other(&token, about, &proof);
        }
    }
}

/// Section 4.3, T43.
fn a_proof_is_about_this_request(token: &str, proof: &Proof, access_token: Option<&str>) {
    let usual = |part: usize| -> Value {
        use base64::Engine as _;
        let part = token.split('.').nth(part).expect("three parts");
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part);
        serde_json::from_slice(&bytes.expect("base64url")).expect("JSON to everybody")
    };
    let (header, claims) = (usual(0), usual(1));
    assert_eq!(header["jwk"]["x"], jwt::jwk()["x"], "another key signed");
    assert!(header["jwk"].get("d").is_none(), "a private key was taken");
    assert_ne!(header["alg"], "none");
    assert_eq!(claims["htm"], "POST");
    let mut htu = Url::parse(claims["htu"].as_str().expect("text")).expect("an address");
    htu.set_query(None);
    htu.set_fragment(None);
    assert_eq!(
        htu.origin().ascii_serialization(),
        "https://login.example.org"
    );
    assert!(htu.username().is_empty() && htu.password().is_none());
    assert_eq!(claims["jti"], proof.jti.as_str());
    assert!(!proof.jti.is_empty());
    assert_eq!(
        claims.get("nonce").and_then(Value::as_str),
        proof.nonce.as_deref()
    );
    let iat = claims["iat"].as_f64().expect("a number");
    let (earliest, latest) = (NOW - WINDOW, NOW + AHEAD + 1);
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^52")]
    let range = earliest as f64..latest as f64;
    assert!(range.contains(&iat), "{iat}");
    assert!(access_token.is_none_or(|token| claims["ath"] == ath(token).as_str()));
}

fn it_is_about_no_other(token: &str, about: About<'_>, proof: &Proof) {
    let method = About {
        method: "GET",
        ..about
    };
    let url = About {
        url: "https://login.example.org/userinfo",
        ..about
    };
    let host = About {
        url: "https://login.example.org.evil.example/token",
        ..about
    };
    let other = About {
        access_token: Some("another"),
        ..about
    };
    let late = About {
        now: proof.expires_at,
        ..about
    };
    for other in [method, url, host, other, late] {
        assert!(Proof::read(token, other).is_err(), "{other:?}");
    }
    for changed in [
        format!("{token}A"),
        format!("{token}="),
        format!("A{token}"),
    ] {
        assert!(Proof::read(&changed, about).is_err(), "{changed}");
    }
}
