//! The parameter `claims` (OpenID Connect Core section 5.5): single claims, for the ID token and for userinfo. T48, T49.

use portico::simulator::people::{JO_SMITH, ZOE};
use serde_json::{Value, json};

use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{answer, claims};
use crate::harness::server::TestServer;

const CLIENTS: &str = r#"
[[clients]]
client_id = "every"
token_endpoint_auth_method = "none"
redirect_uris = ["https://every.example.org/callback"]
grant_types = ["authorization_code", "implicit", "refresh_token"]
response_types = ["code", "code id_token", "code token", "code id_token token", "id_token", "id_token token"]
scope = "openid profile email membership"

[[clients]]
client_id = "narrow"
token_endpoint_auth_method = "none"
redirect_uris = ["https://narrow.example.org/callback"]
scope = "openid email"
"#;

async fn started() -> (TestServer, Browser) {
    let server = TestServer::start_with(|setup| CLIENTS.clone_into(&mut setup.clients)).await;
    let mut browser = Browser::new();
    browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    (server, browser)
}

fn ask(server: &TestServer, client: &str, claims: &Value, more: &[(&str, &str)]) -> String {
    let claims = claims.to_string();
    let changes = [&[("claims", claims.as_str())], more].concat();
    server.authorize_url(client, &changes)
}

fn has(told: &Value, names: &[&str]) -> Vec<bool> {
    names.iter().map(|name| told.get(name).is_some()).collect()
}

/// Core sections 5.4 and 5.5: each member names the place, for every response type that has the place.
#[tokio::test]
async fn a_claim_is_told_where_it_was_asked_for() {
    let (server, mut browser) = started().await;
    let asked = json!({
        "userinfo": { "given_name": { "essential": true }, "unheard_of": null },
        "id_token": { "email": null, "member_id": null, "auth_time": { "essential": true } },
    });
    let in_token = ["email", "member_id", "auth_time"];
    for response_type in [
        "code",
        "code id_token",
        "code token",
        "code id_token token",
        "id_token",
        "id_token token",
    ] {
        let url = ask(
            &server,
            "every",
            &asked,
            &[("response_type", response_type)],
        );
        let front = browser.get(url).await.answer();
        let mut id_tokens = Vec::new();
        let mut access_tokens = Vec::new();
        id_tokens.extend(front.get("id_token").cloned());
        access_tokens.extend(front.get("access_token").cloned());
        if let Some(code) = front.get("code") {
            let tokens = server.redeem("every", code, &[]).await;
            let refreshed = server.refresh("every", tokens.text("refresh_token")).await;
            for tokens in [tokens, refreshed] {
                id_tokens.push(tokens.text("id_token").to_owned());
                access_tokens.push(tokens.text("access_token").to_owned());
            }
        }
        assert!(!id_tokens.is_empty());
        for token in id_tokens {
            let told = claims(&token);
            assert_eq!(has(&told, &in_token), [true; 3], "{response_type}: {told}");
            assert_eq!(told["email"], JO_SMITH.email);
            assert!(told.get("given_name").is_none(), "{response_type}: {told}");
        }
        for token in access_tokens {
            let told = server.userinfo(&token).await.body;
            assert_eq!(told["given_name"], JO_SMITH.given_name, "{response_type}");
            assert_eq!(has(&told, &["email", "member_id", "name"]), [false; 3]);
        }
    }
}

/// Core section 5.2: what upstreams tell has no language, so that a claim with a tag is one that we do not know: ignored, never told
/// under another name, and no error; the same claim without a tag is told.
#[tokio::test]
async fn a_claim_with_a_language_is_one_that_is_not_known() {
    let (server, mut browser) = started().await;
    let asked = json!({
        "id_token": { "name#zh-Hant": { "essential": true }, "given_name#fr": null, "given_name": null },
        "userinfo": { "name#zh-Hant": null, "family_name#ja-Kana-JP": null, "family_name": null },
    });
    let more = [("claims_locales", "zh-Hant fr-CA")];
    let page = browser.get(ask(&server, "every", &asked, &more)).await;
    let tokens = server.redeem("every", &page.answer()["code"], &[]).await;
    let token = claims(tokens.text("id_token"));
    let userinfo = server.userinfo(tokens.text("access_token")).await.body;
    assert_eq!(token["given_name"], JO_SMITH.given_name);
    assert_eq!(userinfo["family_name"], JO_SMITH.family_name);
    for told in [&token, &userinfo] {
        assert!(told.get("name").is_none(), "{told}");
        let names = told.as_object().unwrap().keys();
        assert!(names.into_iter().all(|name| !name.contains('#')), "{told}");
    }
}

/// A registration is the most that a client can be told (T17), whichever way it asks; what it may not have is left out and no error
/// (Core section 5.5.1).
#[tokio::test]
async fn no_claim_is_told_that_the_registration_does_not_open() {
    let (mut server, mut browser) = started().await;
    let everything =
        json!({ "email": null, "name": null, "member_id": null, "groups": { "essential": true } });
    let asked = json!({ "userinfo": everything, "id_token": everything });
    let names = ["email", "name", "member_id", "groups"];
    let page = browser.get(ask(&server, "narrow", &asked, &[])).await;
    let tokens = server.redeem("narrow", &page.answer()["code"], &[]).await;
    let only_email = [true, false, false, false];
    assert_eq!(has(&claims(tokens.text("id_token")), &names), only_email);
    let token = tokens.text("access_token").to_owned();
    assert_eq!(has(&server.userinfo(&token).await.body, &names), only_email);

    let page = browser.get(ask(&server, "every", &asked, &[])).await;
    let tokens = server.redeem("every", &page.answer()["code"], &[]).await;
    server.edit_config(
        "scope = \"openid profile email membership\"",
        "scope = \"openid email\"",
    );
    server.restart().await;
    let userinfo = server.userinfo(tokens.text("access_token")).await.body;
    assert_eq!(has(&userinfo, &names), only_email, "withdrawn since");
    let refreshed = server.refresh("every", tokens.text("refresh_token")).await;
    assert_eq!(has(&claims(refreshed.text("id_token")), &names), only_email);

    // Not OpenID Connect: there is neither place.
    let url = ask(&server, "narrow", &asked, &[("scope", "email")]);
    let page = browser.get(url).await;
    let tokens = server.redeem("narrow", &page.answer()["code"], &[]).await;
    assert!(tokens.body.get("id_token").is_none());
}

/// Core section 5.5.1: a claim that was asked for with a value is told if it has that value.
#[tokio::test]
async fn a_value_is_told_if_it_is_one_that_was_asked_for() {
    let (server, mut browser) = started().await;
    for (wanted, told) in [
        (json!({ "value": JO_SMITH.email }), true),
        (json!({ "values": ["a@example.org", JO_SMITH.email] }), true),
        (
            json!({ "value": "a@example.org", "essential": true }),
            false,
        ),
        (json!({ "values": [1, null] }), false),
    ] {
        let asked = json!({ "id_token": { "email": wanted } });
        let page = browser.get(ask(&server, "every", &asked, &[])).await;
        let tokens = server.redeem("every", &page.answer()["code"], &[]).await;
        let token = claims(tokens.text("id_token"));
        assert_eq!(token.get("email").is_some(), told, "{wanted}");
    }
}

/// T48, T49: anything but an object of objects is refused, and so is what is too large or too deep; before any login.
#[tokio::test]
async fn a_malformed_request_is_refused() {
    let server = TestServer::start().await;
    let deep = format!("{{\"id_token\":{}{}}}", "{\"a\":".repeat(8), "}".repeat(8));
    let large = json!({ "userinfo": { "x": { "value": "y".repeat(4096) } } }).to_string();
    for text in [
        "email",
        "[]",
        "null",
        "{\"userinfo\":true}",
        "{\"userinfo\":{\"email\":true}}",
        "{\"id_token\":{\"acr\":{\"values\":[]}}}",
        &deep,
        &large,
    ] {
        let url = server.authorize_url("spa", &[("claims", text)]);
        let page = Browser::new().get(url).await;
        let answer = page.answer();
        assert_eq!(answer["error"], "invalid_request", "{text}");
        assert_eq!(answer["state"], "the-state");
    }
}

/// Core sections 3.1.2.2 and 5.5.1: with a `sub`, a positive answer is about that person or there is none.
#[tokio::test]
async fn a_subject_asked_for_by_value_is_the_only_one_answered() {
    let (server, mut browser) = started().await;
    let page = browser.get(server.authorize_url("every", &[])).await;
    let tokens = server.redeem("every", &page.answer()["code"], &[]).await;
    let jo = claims(tokens.text("id_token"))["sub"].clone();
    let asked = json!({ "id_token": { "sub": { "value": jo } } });
    let page = browser.get(ask(&server, "every", &asked, &[])).await;
    assert!(page.answer().contains_key("code"));

    let mut hers = Browser::new();
    hers.log_in_as(server.authorize_url("spa", &[]), ZOE).await;
    let silent = ask(&server, "every", &asked, &[("prompt", "none")]);
    assert_eq!(hers.get(silent).await.answer()["error"], "login_required");
    let url = ask(&server, "every", &asked, &[]);
    let page = hers.open(&url).await;
    assert!(page.is_login(), "somebody else can log in");
    let page = hers.sign_in_as(&page, ZOE).await;
    assert_eq!(page.answer()["error"], "login_required");
    let page = hers.open(&url).await;
    let page = hers.sign_in_as(&page, JO_SMITH).await;
    assert!(page.answer().contains_key("code"));
}

/// Core section 3.1.2.4: what is asked for by name is named to the person, agreed to, and remembered.
#[tokio::test]
async fn a_person_is_asked_about_each_claim() {
    let (server, mut browser) = started().await;
    let asked = json!({ "userinfo": { "email": null, "nickname": null }, "id_token": { "member_id": null } });
    let allow = [("decision", "allow")];
    let page = browser.open(ask(&server, "asking", &json!({}), &[])).await;
    let page = browser.submit(&page, "form", &allow).await;
    assert!(page.answer().contains_key("code"));
    let page = browser.open(ask(&server, "asking", &asked, &[])).await;
    assert_eq!(page.url.path(), "/consent", "more than was agreed to");
    let text = page.text("main").unwrap();
    assert!(text.contains("see your email address"), "{text}");
    assert!(text.contains("see your “nickname”"), "{text}");
    assert!(
        !text.contains("member_id"),
        "it is not registered for that: {text}"
    );
    let page = browser.submit(&page, "form", &allow).await;
    assert!(page.answer().contains_key("code"));
    let page = browser.open(ask(&server, "asking", &asked, &[])).await;
    assert!(page.answer().contains_key("code"), "remembered");
    let page = browser.open(server.url("/account")).await;
    let text = page.text("main").unwrap();
    assert!(text.contains("see your “nickname”"), "{text}");
}

/// Discovery section 3; and the parameters that change nothing here are no errors (Core section 3.1.2.1).
#[tokio::test]
async fn discovery_says_that_claims_can_be_asked_for() {
    let (server, mut browser) = started().await;
    let url = server.url("/.well-known/openid-configuration");
    let document = answer(http_client().get(url)).await.body;
    assert_eq!(document["claims_parameter_supported"], true);
    for display in document["display_values_supported"].as_array().unwrap() {
        let changes = [("display", display.as_str().unwrap())];
        let page = Browser::new()
            .open(server.authorize_url("spa", &changes))
            .await;
        assert!(page.is_login(), "{display}");
    }
    for (name, value) in [
        ("display", "wap"),
        ("claims_locales", "fr de-x-und"),
        ("unheard_of", "1"),
    ] {
        let page = browser
            .get(server.authorize_url("spa", &[(name, value)]))
            .await;
        assert!(page.answer().contains_key("code"), "{name}");
    }
}
