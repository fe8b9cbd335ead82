//! The authorization code flow, end to end, and what a code is bound to (RFC 6749 section 4.1; T10, T12, T15, T23).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portico::simulator::people;

use crate::harness::browser::{Browser, PASSWORD_FORM};
use crate::harness::relying_party::{CHALLENGE, claims, redirect_uri};
use crate::harness::server::{START, TestServer};

const OFFLINE: &str = "openid profile email offline_access";

#[tokio::test]
async fn a_member_logs_in_and_the_app_gets_every_token() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[("scope", "openid profile email offline_access")]);
    let page = browser.log_in_as(url, people::JO_SMITH).await;
    assert_eq!(page.status, 303);
    let answer = page.answer();
    assert_eq!(answer["state"], "the-state");
    assert_eq!(answer["iss"], server.issuer, "RFC 9207");
    let tokens = server.redeem("spa", &answer["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.body["token_type"], "Bearer");
    assert_eq!(tokens.body["expires_in"], 600);
    assert_eq!(tokens.headers["cache-control"], "no-store");
    let id_token = claims(tokens.text("id_token"));
    assert_eq!(id_token["iss"], server.issuer.as_str());
    assert_eq!(id_token["aud"], "spa");
    assert_eq!(id_token["nonce"], "the-nonce");
    assert_eq!(id_token["auth_time"], START);
    assert_eq!(id_token["amr"], serde_json::json!(["pwd"]));
    assert!(id_token["sid"].is_string() && id_token["at_hash"].is_string());
    assert!(
        id_token.get("email").is_none(),
        "what a scope opens is at userinfo"
    );
    let access_token = claims(tokens.text("access_token"));
    let names: BTreeSet<&str> = access_token
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let required = [
        "iss",
        "exp",
        "aud",
        "sub",
        "client_id",
        "iat",
        "jti",
        "scope",
    ];
    assert!(
        required.iter().all(|name| names.contains(name)),
        "RFC 9068 section 2.2: {names:?}"
    );
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.status, 200);
    assert_eq!(userinfo.body["sub"], id_token["sub"]);
    assert_eq!(userinfo.body["name"], "Jo Smith");
    assert_eq!(userinfo.body["email"], people::JO_SMITH.email);
}

/// T10: and whoever fails does not spend it for the one whose it is.
#[tokio::test]
async fn a_code_is_for_the_client_it_was_given_to() {
    let server = TestServer::start().await;
    let code = server.code("spa", &[]).await;
    let spa = redirect_uri("spa");
    for thief in ["staff-app", "web", "post"] {
        let refused = server.redeem(thief, &code, &[("redirect_uri", &spa)]).await;
        refused.assert_error(400, "invalid_grant");
    }
    assert_eq!(server.redeem("spa", &code, &[]).await.status, 200);
}

/// RFC 6749 section 4.1.3, T10.
#[tokio::test]
async fn a_code_is_for_the_redirect_uri_it_was_sent_to() {
    let server = TestServer::start().await;
    let code = server.code("spa", &[]).await;
    for other in [
        "http://127.0.0.1/callback",
        "https://spa.example.org/callback/",
        "https://spa.example.org/callback?",
        "https://SPA.example.org/callback",
        // Left out, though the authorization request named it.
        "",
    ] {
        let refused = server
            .redeem("spa", &code, &[("redirect_uri", other)])
            .await;
        refused.assert_error(400, "invalid_grant");
    }
    assert_eq!(server.redeem("spa", &code, &[]).await.status, 200);

    // A loopback address is sent with the port that the app chose, and compared with it.
    let chosen = [("redirect_uri", "http://127.0.0.1:51234/callback")];
    let code = server.code("spa", &chosen).await;
    let refused = server
        .redeem(
            "spa",
            &code,
            &[("redirect_uri", "http://127.0.0.1:51235/callback")],
        )
        .await;
    refused.assert_error(400, "invalid_grant");
    assert_eq!(server.redeem("spa", &code, &chosen).await.status, 200);
}

/// RFC 6749 section 4.1.3: only a redirect URI that was named has to be named again.
#[tokio::test]
async fn a_redirect_uri_that_was_left_out_may_be_left_out_again() {
    let server = TestServer::start().await;
    let unnamed = [("redirect_uri", "")];
    let code = server.code("web", &unnamed).await;
    let other = [("redirect_uri", "https://web.example.org/other")];
    let refused = server.redeem("web", &code, &other).await;
    refused.assert_error(400, "invalid_grant");
    assert_eq!(server.redeem("web", &code, &unnamed).await.status, 200);
    let code = server.code("web", &unnamed).await;
    assert_eq!(server.redeem("web", &code, &[]).await.status, 200);
}

/// RFC 6749 section 4.1.2: a minute at the most.
#[tokio::test]
async fn a_code_lives_for_a_minute() {
    let server = TestServer::start().await;
    let code = server.code("spa", &[]).await;
    server.clock.advance(59);
    assert_eq!(server.redeem("spa", &code, &[]).await.status, 200);
    let code = server.code("spa", &[]).await;
    server.clock.advance(60);
    let late = server.redeem("spa", &code, &[]).await;
    late.assert_error(400, "invalid_grant");
}

/// T12: each secret that we give is good for its own purpose alone.
#[tokio::test]
async fn nothing_else_passes_for_a_code_and_a_code_for_nothing_else() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[("scope", OFFLINE)]);
    let login = browser.open(&url).await;
    let login = browser.choose(&login, "members").await;
    let (_, fields) = login.form(PASSWORD_FORM);
    let flow_cookie = format!("portico-flow-{}", fields["flow"]);
    let sealed = browser.cookie(&server, &flow_cookie).unwrap().value.clone();
    let answer = browser.log_in_as(&url, people::JO_SMITH).await.answer();
    let session = browser.cookie(&server, "portico-session").unwrap();
    let session = session.value.clone();
    let code = &answer["code"];

    let refused = server.refresh("spa", code).await;
    refused.assert_error(400, "invalid_grant");
    assert_eq!(server.userinfo(code).await.status, 401);
    browser.set_cookie("127.0.0.1", "portico-session", code);
    let page = browser.get(&url).await;
    assert_eq!(page.location().unwrap().path(), "/login");

    let tokens = server.redeem("spa", code, &[]).await;
    for other in [
        fields["flow"].as_str(),
        &fields["form_token"],
        &sealed,
        &session,
        "the-state",
        "the-nonce",
        CHALLENGE,
        tokens.text("refresh_token"),
        tokens.text("access_token"),
        tokens.text("id_token"),
    ] {
        let refused = server.redeem("spa", other, &[]).await;
        assert_eq!(refused.status, 400, "{other}");
    }
    assert_eq!(
        server.userinfo(tokens.text("access_token")).await.status,
        200
    );
}

/// T23.
#[tokio::test]
async fn only_the_exact_text_of_a_code_is_the_code() {
    let server = TestServer::start().await;
    let code = server.code("spa", &[]).await;
    assert_eq!(code.len(), 43, "256 bits");
    let last = code.chars().last().unwrap();
    let sibling = char::from(u8::try_from(last).unwrap() ^ 1);
    let shorter = &code[..42];
    for other in [
        shorter.to_owned(),
        format!("{shorter}{sibling}"),
        format!("{code}="),
        format!("{code}A"),
        format!(" {code}"),
        format!("{code} "),
        code.to_lowercase(),
        STANDARD.encode(&code),
    ] {
        let refused = server.redeem("spa", &other, &[]).await;
        refused.assert_error(400, "invalid_grant");
    }
    assert_eq!(server.redeem("spa", &code, &[]).await.status, 200);
}

/// T15: what is taken from a client while a code is on its way is not given any more.
#[tokio::test]
async fn the_limits_of_a_client_hold_when_its_code_is_redeemed() {
    let mut server = TestServer::start().await;
    let code = server.code("spa", &[]).await;
    let uris =
        "redirect_uris = [\"https://spa.example.org/callback\", \"http://127.0.0.1/callback\"]";
    let limited = format!("{uris}\nupstreams = [\"staff\"]");
    server.edit_config(uris, &limited);
    server.restart().await;
    let refused = server.redeem("spa", &code, &[]).await;
    refused.assert_error(400, "invalid_grant");

    server.edit_config(&limited, uris);
    server.restart().await;
    let tokens = server.redeem("spa", &code, &[]).await;
    assert_eq!(tokens.status, 200, "a refusal spends nothing");
}

/// T15: a session of one upstream is none at a client of another.
#[tokio::test]
async fn a_session_is_reused_only_where_its_upstream_is_allowed() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    browser
        .log_in_as(server.authorize_url("spa", &[]), people::JO_SMITH)
        .await;
    let page = browser.get(server.authorize_url("web", &[])).await;
    assert!(page.answer().contains_key("code"), "single sign-on");
    let page = browser.get(server.authorize_url("staff-app", &[])).await;
    assert_eq!(page.location().unwrap().path(), "/login");
    let silent = server.authorize_url("staff-app", &[("prompt", "none")]);
    let page = browser.get(silent).await;
    assert_eq!(page.answer()["error"], "login_required");
}

/// RFC 6749 section 5.1, for proxies of its time.
#[tokio::test]
async fn answers_of_the_token_endpoint_are_kept_by_no_cache() {
    let server = TestServer::start().await;
    let code = server.code("spa", &[]).await;
    for _ in 0..2 {
        let answer = server.redeem("spa", &code, &[]).await;
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["pragma"], "no-cache");
    }
}

/// T17: a scope that the client loses between a code and its redemption is in no token.
#[tokio::test]
async fn a_scope_withdrawn_since_the_code_was_given_is_not_in_its_tokens() {
    let mut server = TestServer::start().await;
    let code = server.code("spa", &[("scope", "openid email")]).await;
    let next = "\n\n[[clients]]\nclient_id = \"web\"";
    server.edit_config(
        &format!("scope = \"openid profile email offline_access\"{next}"),
        &format!("scope = \"openid profile offline_access\"{next}"),
    );
    server.restart().await;
    let tokens = server.redeem("spa", &code, &[]).await;
    assert_eq!(tokens.text("scope"), "openid", "{tokens:?}");
}
