//! Every response type in every mode: what comes back, where, and what it is bound to (OAuth 2.0 Multiple Response Types;
//! OpenID Connect Core sections 3.1, 3.2 and 3.3; Form Post Response Mode).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portico::simulator::people;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::browser::{Browser, Page, http_client};
use crate::harness::relying_party::{Answer, answer, claims, header};
use crate::harness::server::{Setup, TestServer};

const CLIENTS: &str = r#"
[[clients]]
client_id = "implicit"
token_endpoint_auth_method = "none"
redirect_uris = ["https://implicit.example.org/callback"]
grant_types = ["implicit"]
response_types = ["id_token", "token id_token", "none"]
scope = "openid profile email"

[[clients]]
client_id = "hybrid"
token_endpoint_auth_method = "none"
redirect_uris = ["https://hybrid.example.org/callback"]
grant_types = ["authorization_code", "implicit", "refresh_token"]
response_types = ["code", "code id_token", "code token", "code id_token token"]
scope = "openid profile email offline_access"
"#;

/// Every type, with a client that is registered for it.
const TYPES: [(&str, &str); 7] = [
    ("code", "hybrid"),
    ("code id_token", "hybrid"),
    ("code token", "hybrid"),
    ("code id_token token", "hybrid"),
    ("id_token", "implicit"),
    ("id_token token", "implicit"),
    ("none", "implicit"),
];

fn with_clients(setup: &mut Setup) {
    setup.clients = CLIENTS.to_owned();
}

fn has(response_type: &str, word: &str) -> bool {
    response_type.split(' ').any(|own| own == word)
}

/// Whether a token travels through the browser.
fn carries_token(response_type: &str) -> bool {
    has(response_type, "token") || has(response_type, "id_token")
}

async fn started() -> (TestServer, Browser) {
    let server = TestServer::start_with(with_clients).await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    browser.log_in_as(url, people::JO_SMITH).await;
    (server, browser)
}

/// A request for a type, of a client that is registered for it.
fn url_for(server: &TestServer, response_type: &str, changes: &[(&str, &str)]) -> String {
    let (_, client) = TYPES
        .iter()
        .find(|(each, _)| *each == response_type)
        .unwrap();
    let changes = [&[("response_type", response_type)], changes].concat();
    server.authorize_url(client, &changes)
}

/// The answer, asserting that it came where it should: in the query, the fragment or a form, and nowhere else.
fn received(page: &Page, mode: &str) -> BTreeMap<String, String> {
    if mode == "form_post" {
        assert_eq!(page.status, 200, "{page:?}");
        assert_eq!(page.header("cache-control"), "no-store");
        assert!(page.location().is_none());
        let (action, form) = page.form("form");
        assert_eq!((action.query(), action.fragment()), (None, None));
        return form;
    }
    assert_eq!(page.status, 303, "{page:?}");
    let location = page.location().unwrap();
    assert_eq!(location.query().is_some(), mode == "query", "{location}");
    assert_eq!(location.fragment().is_some(), mode == "fragment");
    page.answer()
}

fn hash_of(value: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(value.as_bytes())[..16])
}

/// Multiple Response Types sections 2.1, 3, 4 and 5, Core sections 3.1.2.5, 3.2.2.5 and 3.3.2.5, RFC 9207.
#[tokio::test]
async fn each_type_returns_what_it_names_in_each_mode_and_nothing_else() {
    let (server, mut browser) = started().await;
    for (response_type, _) in TYPES {
        let by_default = if carries_token(response_type) {
            "fragment"
        } else {
            "query"
        };
        for asked in ["", "query", "fragment", "form_post"] {
            let url = url_for(&server, response_type, &[("response_mode", asked)]);
            let page = browser.get(&url).await;
            if asked == "query" && carries_token(response_type) {
                let refused = received(&page, "fragment");
                assert_eq!(refused["error"], "invalid_request", "{response_type}");
                continue;
            }
            let mode = if asked.is_empty() { by_default } else { asked };
            let answer = received(&page, mode);
            let mut expected = BTreeSet::from(["state", "iss"]);
            if has(response_type, "code") {
                expected.insert("code");
            }
            if has(response_type, "id_token") {
                expected.insert("id_token");
            }
            if has(response_type, "token") {
                expected.extend(["access_token", "token_type", "expires_in", "scope"]);
                assert_eq!(answer["token_type"], "Bearer");
                assert_eq!(answer["expires_in"], "600");
                assert_eq!(answer["scope"], "openid");
            }
            let names: BTreeSet<&str> = answer.keys().map(String::as_str).collect();
            assert_eq!(names, expected, "{response_type} by {mode}");
            assert_eq!(answer["state"], "the-state");
            assert_eq!(answer["iss"], server.issuer);
        }
    }
    // The words are a set.
    let turned = [("response_type", "token id_token code")];
    let page = browser.get(server.authorize_url("hybrid", &turned)).await;
    assert!(received(&page, "fragment").contains_key("id_token"));
}

/// Core sections 3.1.3.6, 3.2.2.10, 3.2.2.11 and 3.3.2.11: what an ID token is bound to.
#[tokio::test]
async fn an_id_token_vouches_for_what_comes_with_it() {
    let (server, mut browser) = started().await;
    for (response_type, client) in TYPES {
        let page = browser.get(url_for(&server, response_type, &[])).await;
        let answer = page.answer();
        if let Some(front) = answer.get("id_token").map(|token| claims(token)) {
            let told = |name: &str| answer.get(name).map(|value| json!(hash_of(value)));
            assert_eq!(front.get("at_hash"), told("access_token").as_ref());
            assert_eq!(
                front.get("c_hash"),
                told("code").as_ref(),
                "{response_type}"
            );
            assert_eq!(front["nonce"], "the-nonce");
            assert_eq!(front["aud"], client);
            assert_eq!(front["iss"], server.issuer);
        }
        let Some(code) = answer.get("code") else {
            continue;
        };
        let back = server.redeem(client, code, &[]).await;
        assert_eq!(back.status, 200, "{back:?}");
        let token = claims(back.text("id_token"));
        assert_eq!(token["at_hash"], hash_of(back.text("access_token")));
        assert!(token.get("c_hash").is_none());
        // Core section 3.3.3.6: the same person, the same login, the same request.
        if let Some(front) = answer.get("id_token").map(|token| claims(token)) {
            for name in ["iss", "sub", "aud", "nonce", "auth_time", "sid", "amr"] {
                assert_eq!(front[name], token[name], "{name}");
            }
        }
        // Core section 3.3.3.8: the two access tokens differ.
        if let Some(front) = answer.get("access_token") {
            assert_ne!(front, back.text("access_token"));
            assert_eq!(header(front)["typ"], "at+jwt");
        }
    }
}

/// Core sections 3.2.2.1 and 3.3.2.11: what ties the ID token to this browser's request, since anybody can send one there.
#[tokio::test]
async fn a_nonce_is_needed_for_every_id_token_of_the_browser() {
    let (server, mut browser) = started().await;
    for (response_type, _) in TYPES {
        for mode in ["", "form_post"] {
            let changes = [("nonce", ""), ("response_mode", mode)];
            let page = browser.get(url_for(&server, response_type, &changes)).await;
            let mode = match mode {
                "" if carries_token(response_type) => "fragment",
                "" => "query",
                mode => mode,
            };
            let answer = received(&page, mode);
            let error = answer.get("error").map(String::as_str);
            let needed = has(response_type, "id_token").then_some("invalid_request");
            assert_eq!(error, needed, "{response_type}");
            assert_eq!(answer["state"], "the-state");
        }
    }
}

/// Multiple Response Types section 5, Core sections 3.2.2.6 and 3.3.2.6: an error goes where the client looks for an answer of that
/// type, of one that we do not know, too.
#[tokio::test]
async fn an_error_goes_where_the_answer_would() {
    let server = TestServer::start_with(with_clients).await;
    let mut nobody = Browser::new();
    for (response_type, _) in TYPES {
        for asked in ["", "form_post"] {
            let changes = [("prompt", "none"), ("response_mode", asked)];
            let page = nobody.get(url_for(&server, response_type, &changes)).await;
            let mode = match asked {
                "" if carries_token(response_type) => "fragment",
                "" => "query",
                asked => asked,
            };
            let answer = received(&page, mode);
            assert_eq!(answer["error"], "login_required", "{response_type}");
            let names: BTreeSet<&str> = answer.keys().map(String::as_str).collect();
            let expected = BTreeSet::from(["error", "error_description", "state", "iss"]);
            assert_eq!(names, expected);
        }
    }
    for (response_type, client, mode, error) in [
        // Not registered for it; not even by its grants.
        ("id_token", "spa", "fragment", "unauthorized_client"),
        ("id_token token", "spa", "fragment", "unauthorized_client"),
        ("code token", "implicit", "fragment", "unauthorized_client"),
        ("none", "hybrid", "query", "unauthorized_client"),
        ("code", "implicit", "query", "unauthorized_client"),
        // RFC 9700 section 2.1.2.
        ("token", "implicit", "fragment", "unsupported_response_type"),
        (
            "token x",
            "implicit",
            "fragment",
            "unsupported_response_type",
        ),
        ("code x", "hybrid", "query", "unsupported_response_type"),
        (
            "none token",
            "implicit",
            "fragment",
            "unsupported_response_type",
        ),
    ] {
        let changes = [("response_type", response_type)];
        let page = nobody.get(server.authorize_url(client, &changes)).await;
        assert_eq!(received(&page, mode)["error"], error, "{response_type}");
    }
    // RFC 6749 section 4.1.2.1: PKCE where there is a code to redeem, and only there.
    for (response_type, _) in TYPES {
        let changes = [
            ("code_challenge", ""),
            ("code_challenge_method", ""),
            ("prompt", "none"),
        ];
        let page = nobody.get(url_for(&server, response_type, &changes)).await;
        let error = if has(response_type, "code") {
            "invalid_request"
        } else {
            "login_required"
        };
        assert_eq!(page.answer()["error"], error, "{response_type}");
    }
    // An ID token is OpenID Connect's.
    for response_type in ["id_token", "code id_token token"] {
        let changes = [("scope", "profile"), ("prompt", "none")];
        let page = nobody.get(url_for(&server, response_type, &changes)).await;
        assert_eq!(received(&page, "fragment")["error"], "invalid_scope");
    }
}

/// Multiple Response Types section 4: it is as if there were an answer, for who is logged in and agrees.
#[tokio::test]
async fn none_asks_for_a_login_and_gives_nothing() {
    let server = TestServer::start_with(with_clients).await;
    let mut browser = Browser::new();
    let url = url_for(&server, "none", &[]);
    let page = browser.log_in_as(&url, people::JO_SMITH).await;
    let answer = received(&page, "query");
    assert_eq!(answer.len(), 2, "{answer:?}");
    let silent = url_for(&server, "none", &[("prompt", "none")]);
    let answer = browser.get(silent).await.answer();
    assert!(!answer.contains_key("error"), "{answer:?}");
}

/// Core sections 3.2.2.5 and 5.3: an access token of the browser is one like any other: userinfo, logout, a closed account and
/// its end. T15, T35.
#[tokio::test]
async fn an_access_token_of_the_browser_opens_userinfo_until_its_login_ends() {
    let (server, mut browser) = started().await;
    let mut tokens = Vec::new();
    for response_type in ["code token", "code id_token token", "id_token token"] {
        let changes = [("scope", "openid email")];
        let page = browser.get(url_for(&server, response_type, &changes)).await;
        let token = page.answer()["access_token"].clone();
        let userinfo = server.userinfo(&token).await;
        assert_eq!(userinfo.status, 200, "{response_type}");
        assert_eq!(userinfo.body["email"], people::JO_SMITH.email);
        tokens.push(token);
    }
    let url = url_for(&server, "id_token token", &[]);
    let hers = Browser::new().log_in_as(&url, people::ZOE).await.answer();
    let hint = claims(&tokens[2]);
    assert!(hint["sid"].is_string() && hint["auth_time"].is_i64());

    server.clock.advance(599);
    assert_eq!(server.userinfo(&tokens[0]).await.status, 200);
    let sub = claims(&hers["access_token"])["sub"].clone();
    let account: String = sqlx::query_scalar("SELECT id FROM account WHERE subject = $1")
        .bind(sub.as_str().unwrap())
        .fetch_one(&server.database.pool().await)
        .await
        .unwrap();
    let account = portico::protocol::ids::AccountId::new(account);
    let now = server.clock.now();
    server.store.disable_account(&account, now).await.unwrap();
    assert_eq!(server.userinfo(&hers["access_token"]).await.status, 401);

    let page = browser.get(server.url("/end_session")).await;
    browser.submit(&page, "form", &[]).await;
    for token in &tokens {
        assert_eq!(server.userinfo(token).await.status, 401, "after the logout");
    }

    let url = url_for(&server, "id_token token", &[]);
    let late = Browser::new().log_in_as(&url, people::JO_SMITH).await;
    server.clock.advance(600);
    let late = &late.answer()["access_token"];
    assert_eq!(server.userinfo(late).await.status, 401, "after its end");
}

/// RFC 6749 section 4.2.2, Core section 11: nothing that comes by the browser alone can be refreshed, or outlives the session.
#[tokio::test]
async fn offline_access_comes_with_a_code_alone() {
    let server = TestServer::start_with(|setup| {
        setup.clients = CLIENTS.replace(
            "response_types = [\"code\", ",
            "response_types = [\"id_token token\", \"code\", ",
        );
    })
    .await;
    let mut browser = Browser::new();
    let scope = "openid offline_access";
    let ask = |response_type| {
        let changes = [("response_type", response_type), ("scope", scope)];
        server.authorize_url("hybrid", &changes)
    };
    let page = browser
        .log_in_as(ask("id_token token"), people::JO_SMITH)
        .await;
    let answer = page.answer();
    assert_eq!(answer["scope"], "openid");
    assert!(!answer.contains_key("refresh_token"));
    let answer = browser.get(ask("code token")).await.answer();
    assert!(!answer.contains_key("refresh_token"));
    let tokens = server.redeem("hybrid", &answer["code"], &[]).await;
    assert_eq!(tokens.text("scope"), "offline_access openid");
    let refreshed = server.refresh("hybrid", tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200);
}

/// T11, RFC 6749 section 4.1.2: the second use of a code ends everything of its answer, what the browser brought included.
#[tokio::test]
async fn a_replayed_code_ends_the_access_token_beside_it() {
    let (server, mut browser) = started().await;
    for response_type in ["code token", "code id_token token"] {
        let front = browser
            .get(url_for(&server, response_type, &[]))
            .await
            .answer();
        let other = browser
            .get(url_for(&server, response_type, &[]))
            .await
            .answer();
        let first = server.redeem("hybrid", &front["code"], &[]).await;
        assert_eq!(first.status, 200);
        assert_eq!(server.userinfo(&front["access_token"]).await.status, 200);
        server.clock.advance(30);
        let second = server.redeem("hybrid", &front["code"], &[]).await;
        second.assert_error(400, "invalid_grant");
        for dead in [&front["access_token"], first.text("access_token")] {
            assert_eq!(server.userinfo(dead).await.status, 401, "{response_type}");
        }
        let refused = server.refresh("hybrid", first.text("refresh_token")).await;
        refused.assert_error(400, "invalid_grant");
        assert_eq!(server.userinfo(&other["access_token"]).await.status, 200);
    }
}

/// Core section 11, T35: `offline_access` is for the app's own tokens. What came through the browser ends with the session
/// there, and so does what was exchanged for it, at every endpoint of ours; what the code gave goes on.
#[tokio::test]
async fn an_access_token_of_the_browser_ends_with_the_session_though_its_code_outlives_it() {
    let server = TestServer::start_with(|setup| {
        crate::gateway::apis(setup);
        setup.clients = ["both", "plain"].map(offline_hybrid).concat();
    })
    .await;
    for client in ["both", "plain"] {
        for response_type in ["code token", "code id_token token"] {
            let scope = ("scope", "openid offline_access members:read");
            let url = server.authorize_url(client, &[("response_type", response_type), scope]);
            let mut browser = Browser::new();
            let front = browser.log_in_as(url, people::JO_SMITH).await.answer();
            let tokens = server.redeem(client, &front["code"], &[]).await;
            assert_eq!(tokens.status, 200, "{tokens:?}");
            let front = front["access_token"].as_str();
            assert_eq!(front.contains('.'), client == "both", "JWT or opaque");
            let exchanged = exchanged(&server, client, front).await;
            assert_eq!(exchanged.status, 200, "{exchanged:?}");
            let exchanged = exchanged.text("access_token");
            let seen = server.introspect(client, front).await.body;
            assert_eq!(seen["active"], true);
            assert!(seen.get("within_session").is_none(), "{seen}");
            assert_eq!(server.userinfo(front).await.status, 200);
            assert_eq!(at_gateway(&server, front).await, 200);
            assert_eq!(
                server.introspect(client, exchanged).await.body["active"],
                true
            );

            let page = browser.get(server.url("/end_session")).await;
            browser.submit(&page, "form", &[]).await;
            assert_eq!(server.userinfo(front).await.status, 401, "{client}");
            assert_eq!(at_gateway(&server, front).await, 401);
            server.assert_inactive(client, front).await;
            server.assert_inactive(client, exchanged).await;
            let refused = self::exchanged(&server, client, front).await;
            refused.assert_error(400, "invalid_grant");

            let back = tokens.text("access_token");
            assert_eq!(server.userinfo(back).await.status, 200, "offline");
            assert_eq!(server.introspect(client, back).await.body["active"], true);
            let refreshed = server.refresh(client, tokens.text("refresh_token")).await;
            assert_eq!(refreshed.status, 200, "{refreshed:?}");
        }
    }
}

/// A client of the hybrid flow with `offline_access`, that may call iMIS and exchange its tokens; `plain` has opaque ones.
fn offline_hybrid(client_id: &str) -> String {
    let format = if client_id == "plain" {
        "opaque"
    } else {
        "jwt"
    };
    let grant = crate::token_exchange::GRANT;
    format!(
        r#"
[[clients]]
client_id = "{client_id}"
client_secret = {{ env = "SERVICE_SECRET" }}
redirect_uris = ["https://{client_id}.example.org/callback"]
grant_types = ["authorization_code", "implicit", "refresh_token", "{grant}"]
response_types = ["code token", "code id_token token"]
scope = "openid offline_access members:read"
access_token_format = "{format}"
upstream_apis = ["members"]
exchange = {{ audiences = ["https://stock.example.org"], from_clients = ["{client_id}"], impersonation = true }}
"#
    )
}

async fn exchanged(server: &TestServer, client: &str, token: &str) -> Answer {
    let form = [
        ("grant_type", crate::token_exchange::GRANT),
        ("subject_token", token),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("audience", "https://stock.example.org"),
    ];
    server.token(client, &form).await
}

async fn at_gateway(server: &TestServer, token: &str) -> u16 {
    let url = server.url("/api/members/Party/20457");
    let request = http_client().get(url).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

/// Core section 5.4: what scopes open is told at userinfo; in the ID token only where nothing leads to userinfo.
#[tokio::test]
async fn scopes_open_claims_in_the_id_token_where_there_is_no_access_token() {
    let (server, mut browser) = started().await;
    let jo = people::JO_SMITH;
    for (response_type, client) in TYPES {
        let changes = [("scope", "openid profile email")];
        let answer = browser
            .get(url_for(&server, response_type, &changes))
            .await
            .answer();
        let tells = |token: &Value| token.get("email").is_some() || token.get("name").is_some();
        if let Some(token) = answer.get("id_token").map(|token| claims(token)) {
            assert_eq!(
                tells(&token),
                response_type == "id_token",
                "{response_type}"
            );
        }
        if let Some(code) = answer.get("code") {
            let tokens = server.redeem(client, code, &[]).await;
            assert!(!tells(&claims(tokens.text("id_token"))), "{response_type}");
        }
    }
    let narrow = [("scope", "openid email")];
    let answer = browser
        .get(url_for(&server, "id_token", &narrow))
        .await
        .answer();
    let token = claims(&answer["id_token"]);
    assert_eq!(token["email"], jo.email);
    assert!(token.get("name").is_none(), "not asked for");
}

/// `[clients.claims]`: what the configuration gives a client besides its scopes is in every ID token and at userinfo, of every type that
/// has them, whatever was asked for; in access tokens, which APIs read, and beside the tokens it is never.
#[tokio::test]
async fn the_clients_own_claims_are_in_every_id_token_and_at_userinfo() {
    let server = TestServer::start_with(|setup| {
        let own = "claims = { member_number = { claim = \"member_id\" }, external = { claim = \"sub\" }, \
                   at = { upstream = \"members\", value = 7 }, staff = { upstream = \"staff\", value = \"1\" } }\nscope";
        setup.clients = CLIENTS.replace("scope", own);
    })
    .await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    browser.log_in_as(url, people::JO_SMITH).await;
    let told = |claims: &Value, place: &str| {
        assert_eq!(claims["member_number"], people::JO_SMITH.id, "{place}");
        assert_eq!(claims["external"], claims["sub"], "{place}");
        assert_eq!(claims["at"], 7, "{place}");
        assert!(claims.get("staff").is_none(), "not this person: {place}");
    };
    let silent = |token: &str, place: &str| {
        let claims = claims(token);
        for name in ["member_number", "external", "at", "staff"] {
            assert!(claims.get(name).is_none(), "{name} in {place}");
        }
    };
    for (response_type, client) in TYPES {
        let page = browser.get(url_for(&server, response_type, &[])).await;
        let answer = page.answer();
        assert!(!answer.contains_key("member_number"), "{answer:?}");
        let mut access_tokens: Vec<String> =
            answer.get("access_token").cloned().into_iter().collect();
        if let Some(token) = answer.get("id_token") {
            told(&claims(token), response_type);
        }
        if let Some(code) = answer.get("code") {
            let mut tokens = server.redeem(client, code, &[]).await;
            for place in ["the code", "the refresh"] {
                told(
                    &claims(tokens.text("id_token")),
                    &format!("{place} of {response_type}"),
                );
                access_tokens.push(tokens.text("access_token").to_owned());
                tokens = server.refresh(client, tokens.text("refresh_token")).await;
            }
        }
        for token in &access_tokens {
            silent(token, response_type);
            let userinfo = server.userinfo(token).await;
            assert_eq!(userinfo.status, 200, "{userinfo:?}");
            told(&userinfo.body, response_type);
        }
        let expected = match response_type {
            "code" | "code id_token" | "id_token token" => 1 + usize::from(client == "hybrid"),
            "code token" | "code id_token token" => 3,
            _ => 0,
        };
        assert_eq!(access_tokens.len(), expected, "{response_type}");
    }
}

/// RFC 6749 section 4.2: there is nothing to redeem, so the token endpoint does not know the grant.
#[tokio::test]
async fn the_token_endpoint_does_not_know_implicit() {
    let server = TestServer::start_with(with_clients).await;
    let refused = server.token("hybrid", &[("grant_type", "implicit")]).await;
    refused.assert_error(400, "unsupported_grant_type");
}

/// Discovery section 3: what is on for some client, and each of it is asked for above.
#[tokio::test]
async fn discovery_names_the_types_that_some_client_may_have() {
    let server = TestServer::start_with(with_clients).await;
    let url = server.url("/.well-known/openid-configuration");
    let document = answer(http_client().get(url)).await.body;
    let types: Vec<&str> = TYPES.iter().map(|(each, _)| *each).collect();
    assert_eq!(document["response_types_supported"], json!(types));
    let grants = document["grant_types_supported"].as_array().unwrap();
    assert!(grants.contains(&json!("implicit")), "{grants:?}");
    let claims = document["claims_supported"].as_array().unwrap();
    assert!(claims.contains(&json!("c_hash")));
}

/// The registration may have changed while a page was open (T17).
#[tokio::test]
async fn a_type_that_was_withdrawn_is_not_given_any_more() {
    let mut server = TestServer::start_with(with_clients).await;
    let mut browser = Browser::new();
    let page = browser.open(url_for(&server, "id_token token", &[])).await;
    server.edit_config(
        "response_types = [\"id_token\", \"token id_token\", \"none\"]",
        "response_types = [\"id_token\", \"none\"]",
    );
    server.restart().await;
    let page = browser.open(page.url.as_str()).await;
    let answer = received(&page, "fragment");
    assert_eq!(answer["error"], "unauthorized_client", "{answer:?}");
}
