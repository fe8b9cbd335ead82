//! What is signed, and with which algorithm: chosen by client, for each kind of token (OpenID Connect Core sections 2 and
//! 5.3.2; T39, T41).

use jsonwebtoken::Algorithm;
use serde_json::json;
use std::fmt::Write as _;

use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{claims, header};
use crate::harness::server::TestServer;
use crate::tokens::verified;

/// The algorithms, by the client that has each for everything: `rs256-app`, and `rs256-jwt-app` with signed userinfo.
pub(crate) const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("rs256", Algorithm::RS256),
    ("ps256", Algorithm::PS256),
    ("es256", Algorithm::ES256),
    ("eddsa", Algorithm::EdDSA),
];

/// A server with a key for every algorithm, and two clients for each.
pub(crate) async fn with_every_algorithm() -> TestServer {
    let mut server = TestServer::start_with(|setup| setup.clients = "# more\n".to_owned()).await;
    let mut clients = String::new();
    for (name, algorithm) in ALGORITHMS {
        for kind in ["", "-jwt"] {
            let _ = write!(
                clients,
                r#"
[[clients]]
client_id = "{name}{kind}-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://{name}{kind}.example.org/callback"]
scope = "openid profile email"
id_token_signed_response_alg = "{algorithm:?}"
access_token_signed_response_alg = "{algorithm:?}"
"#
            );
            if kind == "-jwt" {
                let _ = writeln!(clients, "userinfo_signed_response_alg = \"{algorithm:?}\"");
            }
        }
    }
    server.edit_config("# more\n", &clients);
    server.edit_config(
        "algorithms = [\"RS256\", \"ES256\"]",
        "algorithms = [\"RS256\", \"PS256\", \"ES256\", \"EdDSA\"]",
    );
    server.restart().await;
    server
}

/// Each by another implementation, with the published key.
#[tokio::test]
async fn every_token_is_signed_as_its_client_is_registered() {
    let server = with_every_algorithm().await;
    for (name, algorithm) in ALGORITHMS {
        let client = format!("{name}-jwt-app");
        let tokens = server.tokens(&client, "openid profile").await;
        for token in ["id_token", "access_token"] {
            assert_eq!(header(tokens.text(token))["alg"], json!(algorithm));
            verified(&server, tokens.text(token), algorithm).await;
        }
        let response = http_client()
            .get(server.url("/userinfo"))
            .bearer_auth(tokens.text("access_token"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/jwt");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let signed = response.text().await.unwrap();
        let told = verified(&server, &signed, algorithm).await;
        let expected = json!({
            "iss": server.issuer,
            "aud": client,
            "sub": claims(tokens.text("id_token"))["sub"],
            "name": "Jo Smith",
            "given_name": "Jo",
            "family_name": "Smith",
            "preferred_username": told["preferred_username"],
        });
        assert_eq!(told, expected);
        // An answer to the client is no token (T41).
        assert_eq!(server.userinfo(&signed).await.status, 401);
        let hint = [("id_token_hint", signed.as_str()), ("prompt", "none")];
        let page = Browser::new()
            .get(server.authorize_url(&client, &hint))
            .await;
        assert_eq!(page.answer()["error"], "invalid_request");
        let token = [("token", signed.as_str())];
        let refused = server.show("/revoke", &client, &token).await;
        refused.assert_error(400, "unsupported_token_type");
    }
}

/// Whoever did not ask for it gets JSON, and an error is never a JWT.
#[tokio::test]
async fn a_client_that_is_not_registered_for_it_gets_json() {
    let server = with_every_algorithm().await;
    let tokens = server.tokens("es256-app", "openid profile").await;
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.headers["content-type"], "application/json");
    assert_eq!(userinfo.body["name"], "Jo Smith");
    let refused = server.userinfo("nonsense").await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.headers["content-type"], "application/json");
}
