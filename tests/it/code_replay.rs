//! A code is good once: whoever comes second ends what it gave (RFC 6749 section 4.1.2; T11).

use crate::harness::browser::http_client;
use crate::harness::relying_party::{Answer, VERIFIER, answer, redirect_uri};
use crate::harness::server::TestServer;

const OFFLINE: &str = "openid profile email offline_access";

/// T11, RFC 6749 section 4.1.2.
#[tokio::test]
async fn of_a_hundred_redemptions_at_once_one_wins_and_its_tokens_are_revoked() {
    let server = TestServer::start().await;
    race(&server, std::slice::from_ref(&server.issuer)).await;
}

/// T11, on two nodes of one database.
#[tokio::test]
async fn two_nodes_agree_on_who_redeemed_a_code() {
    let mut server = TestServer::start().await;
    let other = server.add_node().await;
    race(&server, &[server.issuer.clone(), format!("http://{other}")]).await;
}

async fn race(server: &TestServer, nodes: &[String]) {
    let code = server.code("spa", &[("scope", OFFLINE)]).await;
    let redirect_uri = redirect_uri("spa");
    let http = http_client();
    let redemptions: Vec<_> = (0..100)
        .map(|racer| {
            let request = http
                .post(format!("{}/token", nodes[racer % nodes.len()]))
                .form(&[
                    ("grant_type", "authorization_code"),
                    ("client_id", "spa"),
                    ("code", &code),
                    ("redirect_uri", &redirect_uri),
                    ("code_verifier", VERIFIER),
                ]);
            tokio::spawn(answer(request))
        })
        .collect();
    let mut winners = Vec::new();
    for redemption in redemptions {
        let answer = redemption.await.unwrap();
        if answer.status == 200 {
            winners.push(answer);
        } else {
            answer.assert_error(400, "invalid_grant");
        }
    }
    assert_eq!(winners.len(), 1);
    assert_dead(server, &winners[0]).await;
}

/// The tokens of a code that was used twice open nothing any more.
async fn assert_dead(server: &TestServer, tokens: &Answer) {
    let refused = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.body["error"], "invalid_token");
    let refused = server.refresh("spa", tokens.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
}

/// T11: while the code is good, after it has expired, and after its refresh token was used. Whatever else the person
/// has lives on.
#[tokio::test]
async fn a_replay_however_late_revokes_what_the_code_gave_and_nothing_else() {
    let server = TestServer::start().await;
    let elsewhere = server.tokens("spa", OFFLINE).await;
    for seconds in [0, 31, 120, 3600] {
        let code = server.code("spa", &[("scope", OFFLINE)]).await;
        let tokens = server.redeem("spa", &code, &[]).await;
        let refreshed = server.refresh("spa", tokens.text("refresh_token")).await;
        assert_eq!(refreshed.status, 200);
        server.clock.advance(seconds);
        let replayed = server.redeem("spa", &code, &[]).await;
        replayed.assert_error(400, "invalid_grant");
        assert_dead(&server, &refreshed).await;
        assert_dead(&server, &tokens).await;
    }
    let alive = server.refresh("spa", elsewhere.text("refresh_token")).await;
    assert_eq!(alive.status, 200);
}

/// Who cannot prove to be the client's own app must not be able to revoke its tokens with a code from a log.
#[tokio::test]
async fn a_replay_without_the_verifier_revokes_nothing() {
    let server = TestServer::start().await;
    let code = server.code("spa", &[]).await;
    let tokens = server.redeem("spa", &code, &[]).await;
    let other = VERIFIER.replace('d', "e");
    let changes = [("code_verifier", other.as_str())];
    let refused = server.redeem("spa", &code, &changes).await;
    refused.assert_error(400, "invalid_grant");
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.status, 200);
}
