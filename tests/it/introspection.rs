//! What a token is worth, and who is told (RFC 7662, RFC 9701; T41, T53).

use portico::simulator::people;
use serde_json::{Value, json};

use crate::harness::browser::{Browser, http_client};
use crate::harness::dpop::ProofKey;
use crate::harness::relying_party::{Answer, VERIFIER, answer, claims, header, redirect_uri};
use crate::harness::server::{
    POST_SECRET, SERVICE_SECRET, SHARED_SECRET, START, TestServer, WEB_SECRET,
};
use crate::harness::signing::{ASSERTION_TYPE, ClientKey, assertion_claims, jwks_line};
use crate::revocation::opaque_clients;
use crate::tokens::verified;

impl TestServer {
    pub(crate) async fn introspect(&self, client_id: &str, token: &str) -> Answer {
        let seen = self
            .show("/introspect", client_id, &[("token", token)])
            .await;
        assert_eq!(seen.status, 200, "{seen:?}");
        assert_eq!(seen.headers["cache-control"], "no-store");
        assert_eq!(seen.headers["content-type"], "application/json");
        seen
    }

    /// Asserts that nothing is told of a token but that it is not active.
    pub(crate) async fn assert_inactive(&self, client_id: &str, token: &str) {
        let seen = self.introspect(client_id, token).await;
        assert_eq!(seen.body, json!({"active": false}), "{client_id} {token}");
    }
}

/// Section 2.2: every claim, and no other.
#[tokio::test]
async fn a_client_is_told_all_about_its_access_token() {
    let server = TestServer::start_with(opaque_clients).await;
    let tokens = server.tokens("web", "openid profile").await;
    let token = tokens.text("access_token");
    let jwt = claims(token);
    let seen = server.introspect("web", token).await.body;
    let expected = json!({
        "active": true,
        "token_type": "Bearer",
        "iss": server.issuer,
        "sub": jwt["sub"],
        "aud": server.issuer,
        "exp": START + 600,
        "iat": START,
        "jti": jwt["jti"],
        "client_id": "web",
        "scope": "openid profile",
        "auth_time": START,
        "sid": jwt["sid"],
        "username": people::JO_SMITH.username,
    });
    assert_eq!(seen, expected);
    // Who did not ask for the profile is not told the name by this way.
    let tokens = server.tokens("web", "openid").await;
    let seen = server.introspect("web", tokens.text("access_token")).await;
    assert!(seen.body.get("username").is_none(), "{seen:?}");

    let tokens = server
        .token("plain", &[("grant_type", "client_credentials")])
        .await;
    let token = tokens.text("access_token");
    let seen = server.introspect("plain", token).await.body;
    let expected = json!({
        "active": true,
        "token_type": "Bearer",
        "iss": server.issuer,
        "sub": "plain",
        "aud": server.issuer,
        "exp": START + 600,
        "iat": START,
        "jti": seen["jti"],
        "client_id": "plain",
        "scope": "reports:read",
    });
    assert_eq!(seen, expected);
}

/// An opaque token opens what a JWT opens, and no other spelling of it does (T23).
#[tokio::test]
async fn an_opaque_token_is_as_good_as_a_jwt() {
    let server = TestServer::start_with(opaque_clients).await;
    let tokens = server.tokens("opaque-app", "openid profile").await;
    let token = tokens.text("access_token");
    let random = token.strip_prefix("portico_at_").unwrap();
    assert_eq!(random.len(), 43);
    assert!(!token.contains('.'));
    let userinfo = server.userinfo(token).await;
    assert_eq!(userinfo.status, 200, "{userinfo:?}");
    let id_token = claims(tokens.text("id_token"));
    assert_eq!(userinfo.body["sub"], id_token["sub"]);
    let other = if random.ends_with('A') { "B" } else { "A" };
    for spelling in [
        random.to_owned(),
        token[..token.len() - 1].to_owned(),
        format!("{}{other}", &token[..token.len() - 1]),
        format!("{token}A"),
        format!("{token}="),
        token.to_ascii_uppercase(),
        token.replace("portico_at_", "portico_at__"),
    ] {
        let refused = server.userinfo(&spelling).await;
        assert_eq!(refused.status, 401, "{spelling}");
    }
    server.clock.advance(599);
    assert_eq!(server.userinfo(token).await.status, 200);
    server.clock.advance(1);
    assert_eq!(server.userinfo(token).await.status, 401);
    let swept = server.store.sweep(server.clock.now(), 10).await.unwrap();
    assert_eq!(swept.access_tokens, 1);
}

/// What stands behind an opaque token is read together with it, and apart from it where an older node has kept the token: what has ended
/// closes both in the same way.
#[tokio::test]
async fn what_stands_behind_an_opaque_token_ends_it_whoever_has_kept_it() {
    let server = TestServer::start_with(opaque_clients).await;
    let pool = server.database.pool().await;
    let ends = [
        "UPDATE session SET ended_at = 1",
        "UPDATE token_family SET revoked_at = 1",
        "UPDATE account SET disabled_at = 1",
        "UPDATE token_family SET client_id = 'web'",
    ];
    for end in ends {
        for older_node in [false, true] {
            let tokens = server.tokens("opaque-app", "openid profile").await;
            let token = tokens.text("access_token");
            if older_node {
                let kept = "UPDATE access_token SET family_id = NULL WHERE family_id IS NOT NULL";
                let kept = sqlx::query(kept).execute(&pool).await.unwrap();
                assert_eq!(kept.rows_affected(), 1, "{end}");
            }
            let told = server.userinfo(token).await;
            assert_eq!(told.status, 200, "{end} {told:?}");
            assert_eq!(told.body["name"], "Jo Smith", "{told:?}");
            let seen = server.introspect("service", token).await;
            assert_eq!(seen.body["active"], false, "none of its business: {seen:?}");
            let ended = sqlx::query(end).execute(&pool).await.unwrap();
            assert_eq!(ended.rows_affected(), 1, "{end}");
            let refused = server.userinfo(token).await;
            assert_eq!(refused.status, 401, "{end}, {older_node}: {refused:?}");
            for table in [
                "access_token",
                "authorization_code",
                "token_family",
                "session",
                "upstream_login",
                "account",
            ] {
                let gone = sqlx::AssertSqlSafe(format!("DELETE FROM {table}"));
                sqlx::query(gone).execute(&pool).await.unwrap();
            }
        }
    }
}

/// What is kept beside an opaque token is no more than a way to look at it: another family than that of its claims keeps it no longer than
/// its own, and what is damaged keeps nobody from giving it back.
#[tokio::test]
async fn what_is_kept_beside_an_opaque_token_makes_it_no_better() {
    let server = TestServer::start_with(opaque_clients).await;
    let pool = server.database.pool().await;
    let run = async |statement: &'static str| {
        let ran = sqlx::query(statement).execute(&pool).await.unwrap();
        assert_eq!(ran.rows_affected(), 1, "{statement}");
    };
    let tokens = server.tokens("opaque-app", "openid profile").await;
    let token = tokens.text("access_token");
    run("UPDATE token_family SET revoked_at = 1").await;
    assert_eq!(server.userinfo(token).await.status, 401);
    // Of the same person and client, and good.
    let other = server.tokens("opaque-app", "openid profile").await;
    run(
        "UPDATE access_token SET family_id = (SELECT id FROM token_family WHERE revoked_at IS NULL)
         WHERE family_id = (SELECT id FROM token_family WHERE revoked_at IS NOT NULL)",
    )
    .await;
    assert_eq!(server.userinfo(token).await.status, 401);
    let other = other.text("access_token");
    assert_eq!(server.userinfo(other).await.status, 200);
    run("UPDATE token_family SET amr = 'damaged' WHERE revoked_at IS NULL").await;
    assert_eq!(server.userinfo(other).await.status, 500);
    let given_back = server
        .show("/revoke", "opaque-app", &[("token", other)])
        .await;
    assert_eq!(given_back.status, 200, "{given_back:?}");
    assert_eq!(server.userinfo(other).await.status, 401);
}

/// A client's own opaque token has nothing behind it, and opens what it opened before.
#[tokio::test]
async fn nothing_stands_behind_a_clients_own_opaque_token() {
    let server = TestServer::start_with(opaque_clients).await;
    let tokens = server
        .token("plain", &[("grant_type", "client_credentials")])
        .await;
    let token = tokens.text("access_token");
    assert_eq!(server.introspect("plain", token).await.body["active"], true);
    assert_eq!(server.userinfo(token).await.status, 403);
    let dropped = server.show("/revoke", "plain", &[("token", token)]).await;
    assert_eq!(dropped.status, 200);
    server.assert_inactive("plain", token).await;
}

/// The database holds nothing that could be used as a token.
#[tokio::test]
async fn an_opaque_token_is_kept_as_a_keyed_hash() {
    let server = TestServer::start_with(opaque_clients).await;
    let tokens = server
        .token("plain", &[("grant_type", "client_credentials")])
        .await;
    let token = tokens.text("access_token");
    let kept: Vec<(String, String)> = sqlx::query_as("SELECT token_hash, claims FROM access_token")
        .fetch_all(&server.database.pool().await)
        .await
        .unwrap();
    let [(hash, claims)] = kept.as_slice() else {
        panic!("{kept:?}");
    };
    for kept in [hash, claims] {
        assert!(!kept.contains(token) && !token.contains(kept));
    }
    let random = token.strip_prefix("portico_at_").unwrap();
    assert!(!claims.contains(random));
    assert_eq!(server.introspect("plain", hash).await.body["active"], false);
}

/// A refresh token is its client's alone, as long as it can be spent.
#[tokio::test]
async fn a_client_is_told_about_its_refresh_token() {
    let server = TestServer::start().await;
    let tokens = server.tokens("web", "openid profile offline_access").await;
    let first = tokens.text("refresh_token");
    let id_token = claims(tokens.text("id_token"));
    let seen = server.introspect("web", first).await.body;
    let expected = json!({
        "active": true,
        "iss": server.issuer,
        "sub": id_token["sub"],
        "client_id": "web",
        "scope": "offline_access openid profile",
        "iat": START,
        "exp": START + 30 * 24 * 60 * 60,
        "auth_time": START,
        "sid": id_token["sid"],
        "username": people::JO_SMITH.username,
    });
    assert_eq!(seen, expected);
    let next = server.refresh("web", first).await;
    let second = next.text("refresh_token");
    // A lost answer may still be asked for again; then it is spent. Looking at it is no replay.
    assert_eq!(server.introspect("web", first).await.body["active"], true);
    server.clock.advance(31);
    server.assert_inactive("web", first).await;
    assert_eq!(server.introspect("web", second).await.body["active"], true);
    assert_eq!(server.refresh("web", second).await.status, 200);
}

/// Section 4: to whom a token is nothing, it is not active.
#[tokio::test]
async fn nobody_is_told_about_a_token_of_somebody_elses() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid profile offline_access").await;
    for token in ["access_token", "refresh_token"] {
        for client in ["web", "service"] {
            server.assert_inactive(client, tokens.text(token)).await;
        }
    }
}

/// Section 2.1: an app without a secret is nobody in particular, and asks nothing.
#[tokio::test]
async fn only_a_client_that_proves_itself_may_ask() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid").await;
    let token = [("token", tokens.text("access_token"))];
    let refused = server.show("/introspect", "spa", &token).await;
    refused.assert_error(401, "invalid_client");
    let url = server.url("/introspect");
    let bearer = http_client()
        .post(&url)
        .bearer_auth(token[0].1)
        .form(&token);
    answer(bearer).await.assert_error(401, "invalid_client");
    let wrong = http_client()
        .post(&url)
        .basic_auth("web", Some("wrong"))
        .form(&token);
    answer(wrong).await.assert_error(401, "invalid_client");
    let missing = server.show("/introspect", "web", &[]).await;
    missing.assert_error(400, "invalid_request");
    let twice = [token[0], token[0]];
    let twice = server.show("/introspect", "web", &twice).await;
    twice.assert_error(400, "invalid_request");
    let long = "a".repeat(9000);
    let long = server.show("/introspect", "web", &[("token", &long)]).await;
    long.assert_error(400, "invalid_request");
}

/// Whatever ends what a token stands on ends the token.
#[tokio::test]
async fn a_token_whose_login_has_ended_is_not_active() {
    let server = TestServer::start().await;
    let family = server.tokens("web", "openid offline_access").await;
    let access = family.text("access_token");
    assert_eq!(server.introspect("web", access).await.body["active"], true);
    server
        .show("/revoke", "web", &[("token", family.text("refresh_token"))])
        .await;
    server.assert_inactive("web", access).await;
    server
        .assert_inactive("web", family.text("refresh_token"))
        .await;

    // A session that ends takes what is not offline, and leaves the rest.
    let mut browser = Browser::new();
    let mut given = Vec::new();
    for scope in ["openid", "openid offline_access"] {
        let url = server.authorize_url("web", &[("scope", scope)]);
        let page = if given.is_empty() {
            browser.log_in_as(&url, people::JO_SMITH).await
        } else {
            browser.get(&url).await
        };
        let code = page.answer()["code"].clone();
        given.push(server.redeem("web", &code, &[]).await);
    }
    let sid = claims(given[0].text("id_token"))["sid"].clone();
    let sid = portico::protocol::ids::SessionId::new(sid.as_str().unwrap());
    let now = server.clock.now();
    server.store.end_session(&sid, now).await.unwrap();
    for token in ["access_token", "refresh_token"] {
        server.assert_inactive("web", given[0].text(token)).await;
        let offline = server.introspect("web", given[1].text(token)).await;
        assert_eq!(offline.body["active"], true, "{token}");
    }
    // A closed account takes everything.
    let session = server.store.find_session(&sid).await.unwrap().unwrap();
    server
        .store
        .disable_account(&session.account_id, now)
        .await
        .unwrap();
    for token in ["access_token", "refresh_token"] {
        server.assert_inactive("web", given[1].text(token)).await;
    }
    // And time takes the rest.
    let service = server
        .token("service", &[("grant_type", "client_credentials")])
        .await;
    let service = service.text("access_token");
    assert_eq!(
        server.introspect("service", service).await.body["active"],
        true
    );
    server.clock.advance(600);
    server.assert_inactive("service", service).await;
}

/// T17: what an administrator has taken from the client since is not told as if it still had it.
#[tokio::test]
async fn a_scope_that_was_withdrawn_does_not_count() {
    let mut server = TestServer::start().await;
    let tokens = server
        .token("service", &[("grant_type", "client_credentials")])
        .await;
    let token = tokens.text("access_token").to_owned();
    let scope = |seen: Answer| seen.body["scope"].clone();
    assert_eq!(
        scope(server.introspect("service", &token).await),
        "reports:read reports:write"
    );
    server.edit_config(
        "scope = \"reports:read reports:write\"",
        "scope = \"reports:read\"",
    );
    server.restart().await;
    assert_eq!(
        scope(server.introspect("service", &token).await),
        "reports:read"
    );
}

/// T15, T17: what the token endpoint would refuse is not active, and the person behind it nobody's business any more. It is a
/// look alone: where the limit is lifted, the token is as good as before.
#[tokio::test]
async fn a_refresh_token_that_would_be_refused_is_not_active() {
    let mut server = TestServer::start().await;
    let tokens = server.tokens("web", "openid offline_access").await;
    let token = tokens.text("refresh_token");
    let name = "client_name = \"Web app\"\n";
    let grants = "bye?from=portico\"]\ngrant_types = [\"authorization_code\", \"refresh_token\"]\nscope = \"openid profile email offline_access\"";
    for (from, to, refused) in [
        (
            name,
            "client_name = \"Web app\"\nupstreams = [\"staff\"]\n",
            "invalid_grant",
        ),
        (
            name,
            "client_name = \"Web app\"\nrequire_groups = [\"Nobody\"]\n",
            "invalid_grant",
        ),
        (
            grants,
            "bye?from=portico\"]\ngrant_types = [\"authorization_code\", \"refresh_token\"]\nscope = \"openid profile\"",
            "invalid_grant",
        ),
        (
            grants,
            "bye?from=portico\"]\ngrant_types = [\"authorization_code\"]\nscope = \"openid profile\"",
            "unauthorized_client",
        ),
    ] {
        assert_eq!(server.introspect("web", token).await.body["active"], true);
        server.edit_config(from, to);
        server.restart().await;
        server.assert_inactive("web", token).await;
        let answer = server.refresh("web", token).await;
        assert_eq!(answer.body["error"], refused, "{to}: {answer:?}");
        server.edit_config(to, from);
        server.restart().await;
    }
    assert_eq!(server.introspect("web", token).await.body["active"], true);
    assert_eq!(server.refresh("web", token).await.status, 200);
}

/// Section 4, T15: a refresh token is its client's alone: not even an API that its access tokens are for may look at it, and a
/// client that cannot prove who it is asks about none, its own included.
#[tokio::test]
async fn a_refresh_token_is_looked_at_by_its_own_client_alone() {
    let server = TestServer::start_with(opaque_clients).await;
    let mine = server.tokens("web", "openid profile offline_access").await;
    let mine = mine.text("refresh_token");
    for client in ["service", "plain"] {
        server.assert_inactive(client, mine).await;
        let hinted = [("token", mine), ("token_type_hint", "refresh_token")];
        let seen = server.show("/introspect", client, &hinted).await;
        assert_eq!(seen.body, json!({"active": false}), "{client}");
    }
    let theirs = server.tokens("spa", "openid offline_access").await;
    let theirs = theirs.text("refresh_token");
    let refused = server
        .show("/introspect", "spa", &[("token", theirs)])
        .await;
    refused.assert_error(401, "invalid_client");
    assert_eq!(server.introspect("web", mine).await.body["active"], true);
}

/// T41: no other kind of token is an access or refresh token, however well it is signed.
#[tokio::test]
async fn only_access_and_refresh_tokens_are_looked_at() {
    let server = TestServer::start().await;
    let tokens = server.tokens("web", "openid").await;
    let id_token = tokens.text("id_token");
    server.assert_inactive("web", id_token).await;
    let access = tokens.text("access_token");
    for token in [
        &access[..access.len() - 1],
        &format!("{access}A"),
        "a.b.c",
        "unknown",
    ] {
        server.assert_inactive("web", token).await;
    }
    let answer = as_jwt(
        &server,
        "web",
        access,
        "application/token-introspection+jwt",
    )
    .await;
    let signed = answer.1;
    server.assert_inactive("web", &signed).await;
    assert_eq!(server.userinfo(&signed).await.status, 401);
    let refused = server.show("/revoke", "web", &[("token", &signed)]).await;
    refused.assert_error(400, "unsupported_token_type");
    let hint = [("id_token_hint", signed.as_str()), ("prompt", "none")];
    let page = Browser::new().get(server.authorize_url("web", &hint)).await;
    assert_eq!(page.answer()["error"], "invalid_request");
}

/// The content type and the body of an answer to `accept`.
async fn as_jwt(server: &TestServer, client: &str, token: &str, accept: &str) -> (String, String) {
    let secret = if client == "web" {
        WEB_SECRET
    } else {
        SERVICE_SECRET
    };
    let response = http_client()
        .post(server.url("/introspect"))
        .basic_auth(client, Some(secret))
        .header("accept", accept)
        .form(&[("token", token)])
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "no-store");
    let content_type = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (content_type, response.text().await.unwrap())
}

/// RFC 9701 sections 4 and 5.
#[tokio::test]
async fn the_answer_may_be_a_jwt_for_whoever_asked() {
    let server = TestServer::start_with(|setup| {
        opaque_clients(setup);
        setup.clients = setup.clients.replace(
            "client_id = \"plain\"",
            "client_id = \"plain\"\nintrospection_signed_response_alg = \"ES256\"",
        );
    })
    .await;
    let jwt = "application/token-introspection+jwt";
    let tokens = server.tokens("web", "openid").await;
    let service = server
        .token("plain", &[("grant_type", "client_credentials")])
        .await;
    for (client, token, algorithm) in [
        (
            "web",
            tokens.text("access_token"),
            jsonwebtoken::Algorithm::RS256,
        ),
        ("web", "unknown", jsonwebtoken::Algorithm::RS256),
        (
            "plain",
            service.text("access_token"),
            jsonwebtoken::Algorithm::ES256,
        ),
    ] {
        let (content_type, signed) = as_jwt(&server, client, token, jwt).await;
        assert_eq!(content_type, jwt);
        assert_eq!(header(&signed)["typ"], "token-introspection+jwt");
        let claims = verified(&server, &signed, algorithm).await;
        let plain = server.introspect(client, token).await.body;
        let expected = json!({
            "iss": server.issuer, "aud": client, "iat": START, "token_introspection": plain,
        });
        assert_eq!(claims, expected);
    }
    for accept in ["application/json", "*/*"] {
        let (content_type, text) =
            as_jwt(&server, "web", tokens.text("access_token"), accept).await;
        assert_eq!(content_type, "application/json");
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap()["active"],
            true
        );
    }
}

/// RFC 8414 section 2: the methods and algorithms of `*_endpoint_auth_*_supported`, at both endpoints.
#[tokio::test]
async fn every_method_that_discovery_names_proves_a_client() {
    let keys =
        ["RS256", "PS256", "ES256", "EdDSA"].map(|algorithm| ClientKey::new(algorithm, algorithm));
    let all: Vec<&ClientKey> = keys.iter().collect();
    let server = TestServer::start_with(|setup| {
        setup.clients = format!(
            "[[clients]]\nclient_id = \"many\"\ntoken_endpoint_auth_method = \"private_key_jwt\"\n\
             grant_types = [\"client_credentials\"]\n{}\n",
            jwks_line(&all)
        );
    })
    .await;
    let token = ("token", "unknown");
    for path in ["/introspect", "/revoke"] {
        let url = server.url(path);
        let http = http_client();
        let basic = http
            .post(&url)
            .basic_auth("service", Some(SERVICE_SECRET))
            .form(&[token]);
        let by_post = [token, ("client_id", "post"), ("client_secret", POST_SECRET)];
        for request in [basic, http.post(&url).form(&by_post)] {
            assert_eq!(answer(request).await.status, 200, "{path}");
        }
        let mut assertions: Vec<String> = all
            .iter()
            .map(|key| key.assertion(&server, "many"))
            .collect();
        let mut header = keys[3].header();
        header["alg"] = "Ed25519".into();
        assertions.push(keys[3].sign(&header, &assertion_claims(&server, "many")));
        assertions.push(ClientKey::shared(SHARED_SECRET).assertion(&server, "shared"));
        for assertion in assertions {
            let form = [
                token,
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &assertion),
            ];
            let proven = answer(http.post(&url).form(&form)).await;
            assert_eq!(
                proven.status,
                200,
                "{path} {:?} {proven:?}",
                crate::harness::relying_party::header(&assertion)
            );
        }
    }
}

/// RFC 9449 section 6.2: the key that a token is bound to is told, and both forms of token are bound alike.
#[tokio::test]
async fn what_a_token_is_bound_to_is_told() {
    let server = TestServer::start_with(opaque_clients).await;
    for client in ["spa", "opaque-app"] {
        let key = ProofKey::new();
        let code = server.code(client, &[]).await;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &redirect_uri(client)),
            ("code_verifier", VERIFIER),
        ];
        let request = http_client().post(server.url("/token"));
        let request = request.header("DPoP", key.for_token(&server));
        let tokens = server.send_as(request, client, &form).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        let access = tokens.text("access_token");
        // Whichever form it has, it is worth nothing without its key.
        assert_eq!(server.userinfo(access).await.status, 401);
        let request = http_client().get(server.url("/userinfo"));
        let proof = key.with_token(&server, ("GET", "/userinfo"), access);
        let request = request
            .header("authorization", format!("DPoP {access}"))
            .header("DPoP", proof);
        assert_eq!(answer(request).await.status, 200, "{client}");
    }
    let key = ProofKey::new();
    let request = http_client().post(server.url("/token"));
    let request = request.header("DPoP", key.for_token(&server));
    let tokens = server
        .send_as(request, "plain", &[("grant_type", "client_credentials")])
        .await;
    let seen = server
        .introspect("plain", tokens.text("access_token"))
        .await;
    assert_eq!(seen.body["token_type"], "DPoP");
    assert_eq!(seen.body["cnf"], json!({ "jkt": key.jkt() }));
}
