//! Clients give back what they were given (RFC 7009).

use portico::simulator::people;

use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, answer};
use crate::harness::server::{SERVICE_SECRET, Setup, TestServer, WEB_SECRET};

/// A service whose tokens cannot be read by others, and a browser app of the kind.
pub(crate) fn opaque_clients(setup: &mut Setup) {
    setup.clients = r#"
[[clients]]
client_id = "plain"
client_secret = { env = "SERVICE_SECRET" }
grant_types = ["client_credentials"]
scope = "reports:read"
access_token_format = "opaque"

[[clients]]
client_id = "opaque-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://opaque.example.org/callback"]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid profile offline_access"
access_token_format = "opaque"
"#
    .to_owned();
}

impl TestServer {
    /// Sends a token to `path` as `client_id` would.
    pub(crate) async fn show(
        &self,
        path: &str,
        client_id: &str,
        parameters: &[(&str, &str)],
    ) -> Answer {
        let request = http_client().post(self.url(path));
        let mut parameters = parameters.to_vec();
        let request = match client_id {
            "web" => request.basic_auth("web", Some(WEB_SECRET)),
            "service" | "plain" | "both" | "api" | "other-api" => {
                request.basic_auth(client_id, Some(SERVICE_SECRET))
            }
            public => {
                parameters.push(("client_id", public));
                request
            }
        };
        answer(request.form(&parameters)).await
    }

    async fn revoke(&self, client_id: &str, token: &str) -> Answer {
        self.show("/revoke", client_id, &[("token", token)]).await
    }
}

/// Sections 2.1 and 2.2: the family ends, with its access tokens at our endpoints; twice is as good as once.
#[tokio::test]
async fn a_refresh_token_takes_its_family_with_it() {
    let server = TestServer::start_with(opaque_clients).await;
    for client in ["spa", "web", "opaque-app"] {
        let first = server.tokens(client, "openid offline_access").await;
        let second = server.refresh(client, first.text("refresh_token")).await;
        // A spent generation is of the family too.
        for token in [first.text("refresh_token"), second.text("refresh_token")] {
            let revoked = server.revoke(client, token).await;
            assert_eq!(revoked.status, 200, "{revoked:?}");
            assert_eq!(revoked.headers["cache-control"], "no-store");
            assert!(revoked.body.is_null(), "{revoked:?}");
        }
        let refreshed = server.refresh(client, second.text("refresh_token")).await;
        refreshed.assert_error(400, "invalid_grant");
        for tokens in [&first, &second] {
            let userinfo = server.userinfo(tokens.text("access_token")).await;
            assert_eq!(userinfo.status, 401);
        }
    }
}

/// Section 2.1: "MAY revoke the respective refresh token as well"; we do not, so that nobody is signed out by it.
#[tokio::test]
async fn an_access_token_goes_alone() {
    let server = TestServer::start_with(opaque_clients).await;
    for client in ["spa", "opaque-app"] {
        let first = server.tokens(client, "openid offline_access").await;
        let second = server.refresh(client, first.text("refresh_token")).await;
        assert_eq!(
            server
                .revoke(client, first.text("access_token"))
                .await
                .status,
            200
        );
        let of_first = server.userinfo(first.text("access_token")).await;
        assert_eq!(of_first.status, 401);
        assert_eq!(of_first.body["error"], "invalid_token");
        // From now on it is as unknown to others as to its client.
        for other in ["web", client] {
            let again = server.revoke(other, first.text("access_token")).await;
            assert_eq!(again.status, 200, "{again:?}");
        }
        let of_second = server.userinfo(second.text("access_token")).await;
        assert_eq!(of_second.status, 200);
        let third = server.refresh(client, second.text("refresh_token")).await;
        assert_eq!(third.status, 200);
    }
}

/// Every node knows it, and a clock that steps back brings nothing to life (T21).
#[tokio::test]
async fn what_is_revoked_stays_so_everywhere() {
    let mut server = TestServer::start().await;
    let other = format!("http://{}", server.add_node().await);
    let tokens = server.tokens("spa", "openid").await;
    let token = tokens.text("access_token");
    let ask = || {
        answer(
            http_client()
                .get(format!("{other}/userinfo"))
                .bearer_auth(token),
        )
    };
    assert_eq!(ask().await.status, 200);
    server.revoke("spa", token).await;
    assert_eq!(ask().await.status, 401);
    server.clock.advance(601);
    server.store.sweep(server.clock.now(), 10).await.unwrap();
    server.clock.advance(-600);
    assert_eq!(ask().await.status, 401);
}

/// Section 2.1: only what the client was given itself; nothing happens to the rest.
#[tokio::test]
async fn nobody_gives_back_what_is_somebody_elses() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid offline_access").await;
    for client in ["web", "asking"] {
        for token in ["access_token", "refresh_token"] {
            let refused = server.revoke(client, tokens.text(token)).await;
            refused.assert_error(400, "invalid_grant");
        }
    }
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.status, 200);
    let refreshed = server.refresh("spa", tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200);
}

/// Section 2.2: what is no good already has the effect that was wanted. A hint never hides a token (section 2.1).
#[tokio::test]
async fn an_unknown_token_is_as_good_as_revoked() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid offline_access").await;
    let access = tokens.text("access_token");
    for token in [
        "unknown",
        "a.b.c",
        &access[..access.len() - 1],
        "portico_at_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert_eq!(server.revoke("spa", token).await.status, 200, "{token}");
    }
    for (token, hint) in [
        (access, "refresh_token"),
        (tokens.text("refresh_token"), "no_such_type"),
    ] {
        let parameters = [("token", token), ("token_type_hint", hint)];
        let revoked = server.show("/revoke", "spa", &parameters).await;
        assert_eq!(revoked.status, 200);
    }
    assert_eq!(server.userinfo(access).await.status, 401);
    let refreshed = server.refresh("spa", tokens.text("refresh_token")).await;
    refreshed.assert_error(400, "invalid_grant");
}

/// Section 2.2.1: an ID token cannot be called back, and nobody shall believe that it was.
#[tokio::test]
async fn an_id_token_cannot_be_revoked() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid").await;
    let refused = server.revoke("spa", tokens.text("id_token")).await;
    refused.assert_error(400, "unsupported_token_type");
}

/// A JWT of a service has no family; its id is remembered until it would have ended. An opaque one is simply gone.
#[tokio::test]
async fn a_service_gives_its_token_back() {
    let server = TestServer::start_with(opaque_clients).await;
    for client in ["service", "plain"] {
        let tokens = server
            .token(client, &[("grant_type", "client_credentials")])
            .await;
        let token = [("token", tokens.text("access_token"))];
        let seen = server.show("/introspect", client, &token).await;
        assert_eq!(seen.body["active"], true, "{seen:?}");
        assert_eq!(server.revoke(client, token[0].1).await.status, 200);
        let seen = server.show("/introspect", client, &token).await;
        assert_eq!(seen.body, serde_json::json!({"active": false}));
    }
}

/// RFC 6749 section 2.3, section 2.1: whoever has a secret proves it here too.
#[tokio::test]
async fn a_client_authenticates_as_at_the_token_endpoint() {
    let server = TestServer::start().await;
    let tokens = server.tokens("web", "openid offline_access").await;
    let token = tokens.text("refresh_token");
    let post = |request: reqwest::RequestBuilder| answer(request);
    let http = http_client();
    let url = server.url("/revoke");
    let nobody = http.post(&url).form(&[("token", token)]);
    post(nobody).await.assert_error(401, "invalid_client");
    let by_name = http
        .post(&url)
        .form(&[("token", token), ("client_id", "web")]);
    post(by_name).await.assert_error(401, "invalid_client");
    let wrong = http
        .post(&url)
        .basic_auth("web", Some("wrong"))
        .form(&[("token", token)]);
    post(wrong).await.assert_error(401, "invalid_client");
    for (parameters, error) in [
        (vec![], "invalid_request"),
        (vec![("token", token), ("token", token)], "invalid_request"),
    ] {
        let refused = server.show("/revoke", "web", &parameters).await;
        refused.assert_error(400, error);
    }
    let json = http
        .post(&url)
        .basic_auth("web", Some(WEB_SECRET))
        .body("{}");
    post(json).await.assert_error(400, "invalid_request");
    let refreshed = server.refresh("web", token).await;
    assert_eq!(refreshed.status, 200, "nothing of this has revoked it");
}

/// The browser stays signed in: the next login needs no password.
#[tokio::test]
async fn a_session_survives_the_tokens() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    let page = browser.log_in_as(&url, people::JO_SMITH).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    server.revoke("spa", tokens.text("refresh_token")).await;
    let again = browser
        .get(server.authorize_url("spa", &[("prompt", "none")]))
        .await;
    assert!(again.answer().contains_key("code"));
}
