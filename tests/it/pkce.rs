//! Proof Key for Code Exchange, end to end (RFC 7636, RFC 9700 section 2.1.1; T13).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::harness::browser::Browser;
use crate::harness::relying_party::{CHALLENGE, VERIFIER};
use crate::harness::server::TestServer;

/// RFC 7636 section 4.6, T13.
#[tokio::test]
async fn only_the_verifier_of_the_challenge_opens_a_code() {
    let server = TestServer::start().await;
    let code = server.code("spa", &[]).await;
    let (other, short, long) = (
        VERIFIER.replace('d', "e"),
        &VERIFIER[..42],
        format!("{VERIFIER}{}", "a".repeat(86)),
    );
    for verifier in ["", &other, short, &long, CHALLENGE] {
        let changes = [("code_verifier", verifier)];
        let refused = server.redeem("spa", &code, &changes).await;
        refused.assert_error(400, "invalid_grant");
    }
    assert_eq!(server.redeem("spa", &code, &[]).await.status, 200);
}

/// RFC 7636 section 4.1: 43 to 128 unreserved characters, no more and no fewer.
#[tokio::test]
async fn a_verifier_has_43_to_128_unreserved_characters() {
    let server = TestServer::start().await;
    for (verifier, good) in [
        ("a".repeat(42), false),
        ("a".repeat(43), true),
        ("-._~".repeat(32), true),
        ("a".repeat(129), false),
        (format!("{}+", "a".repeat(43)), false),
    ] {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let code = server.code("spa", &[("code_challenge", &challenge)]).await;
        let answer = server
            .redeem("spa", &code, &[("code_verifier", &verifier)])
            .await;
        if good {
            assert_eq!(answer.status, 200, "{verifier}");
        } else {
            answer.assert_error(400, "invalid_grant");
        }
    }
}

/// RFC 9700 section 4.8.2, T13: a verifier without a challenge means that somebody took the challenge away.
#[tokio::test]
async fn a_verifier_without_a_challenge_is_refused() {
    let server = TestServer::start().await;
    let without = [("code_challenge", ""), ("code_challenge_method", "")];
    let code = server.code("web", &without).await;
    let refused = server.redeem("web", &code, &[]).await;
    refused.assert_error(400, "invalid_grant");
    let redeemed = server.redeem("web", &code, &[("code_verifier", "")]).await;
    assert_eq!(
        redeemed.status, 200,
        "a client with a secret may do without"
    );
}

/// T13: a public client must use PKCE, and nobody may use `plain`.
#[tokio::test]
async fn plain_or_no_challenge_is_refused_before_anybody_logs_in() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let faults: [(&str, &[(&str, &str)]); 6] = [
        (
            "spa",
            &[("code_challenge", ""), ("code_challenge_method", "")],
        ),
        (
            "spa",
            &[
                ("code_challenge_method", "plain"),
                ("code_challenge", VERIFIER),
            ],
        ),
        (
            "web",
            &[
                ("code_challenge_method", "plain"),
                ("code_challenge", VERIFIER),
            ],
        ),
        ("web", &[("code_challenge_method", "")]),
        ("web", &[("code_challenge", "")]),
        ("web", &[("code_challenge", "c2hvcnQ")]),
    ];
    for (client, changes) in faults {
        let page = browser.get(server.authorize_url(client, changes)).await;
        assert_eq!(
            page.answer()["error"],
            "invalid_request",
            "{client} {changes:?}"
        );
    }
}
