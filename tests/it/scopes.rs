//! What each scope opens, those of the configuration included (OpenID Connect Core sections 5.1, 5.1.1 and 5.4).

use std::collections::BTreeSet;

use portico::passwords::hash_password;
use portico::protocol::secret::Secret;
use serde_json::{Value, json};

use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{answer, claims};
use crate::harness::server::TestServer;

const PASSWORD: &str = "admin-demo-1";
const ALL: &str = "openid profile email address phone training";

/// One person with everything, and an app that may see it.
async fn started() -> TestServer {
    TestServer::start_with(|setup| {
        let hash = hash_password(&Secret::new(PASSWORD)).unwrap();
        setup.upstreams = format!(
            r#"
[[upstreams]]
id = "people"
kind = "users"
label = "People"

[[upstreams.people]]
id = "1"
username = "alex"
password_hash = "{hash}"
name = "Alex Admin"
email = "alex@example.org"
address = {{ street_address = "1 Main Street", country = "Canada" }}
claims = {{ phone_number = "+1 555 0100", nickname = "Al", points = 12, office = "east" }}

[[scopes]]
name = "training"
claims = ["points"]
description = {{ en = "see your training points", fr = "voir vos points", zh-Hant = "查看積分" }}
"#
        );
        setup.clients = format!(
            r#"
[[clients]]
client_id = "all"
token_endpoint_auth_method = "none"
redirect_uris = ["https://all.example.org/callback"]
grant_types = ["authorization_code", "implicit"]
response_types = ["code", "id_token"]
consent = "always"
scope = "{ALL}"
"#
        );
    })
    .await
}

/// What userinfo tells, and the ID token of `response_type=id_token`: the same, or Core section 5.4 is broken.
async fn told(server: &TestServer, scope: &str) -> Value {
    let mut both = Vec::new();
    for response_type in ["code", "id_token"] {
        let changes = [("scope", scope), ("response_type", response_type)];
        let mut browser = Browser::new();
        let page = browser.open(server.authorize_url("all", &changes)).await;
        let page = browser.sign_in(&page, "people", ("alex", PASSWORD)).await;
        let page = browser
            .submit(&page, "form", &[("decision", "allow")])
            .await;
        let answer = page.answer();
        both.push(match answer.get("code") {
            None => claims(&answer["id_token"]),
            Some(code) => {
                let tokens = server.redeem("all", code, &[]).await;
                server.userinfo(tokens.text("access_token")).await.body
            }
        });
    }
    let [userinfo, token] = <[Value; 2]>::try_from(both).unwrap();
    for (name, value) in userinfo.as_object().unwrap() {
        assert_eq!(token[name], *value, "{name}");
    }
    userinfo
}

#[tokio::test]
async fn each_scope_opens_its_claims_and_no_others() {
    let server = started().await;
    for (scope, opened) in [
        ("openid", vec!["sub"]),
        (
            "openid profile",
            vec!["name", "nickname", "office", "preferred_username", "sub"],
        ),
        ("openid email", vec!["email", "sub"]),
        ("openid address", vec!["address", "sub"]),
        ("openid phone", vec!["phone_number", "sub"]),
        ("openid training", vec!["points", "sub"]),
    ] {
        let userinfo = told(&server, scope).await;
        let names: Vec<&String> = userinfo.as_object().unwrap().keys().collect();
        let names: BTreeSet<&str> = names.into_iter().map(String::as_str).collect();
        assert_eq!(names, opened.into_iter().collect(), "{scope}");
    }
    let userinfo = told(&server, ALL).await;
    let address = json!({ "street_address": "1 Main Street", "country": "Canada" });
    assert_eq!(
        userinfo["address"], address,
        "an object, Core section 5.1.1"
    );
    assert_eq!(userinfo["points"], 12);
}

/// Core section 3.1.2.4: in the administrator's words, in the language of the page, or else in English.
#[tokio::test]
async fn the_consent_page_says_what_a_scope_of_ones_own_means() {
    let server = started().await;
    for (language, text) in [
        ("en", "see your training points"),
        ("fr", "voir vos points"),
        ("zh-Hant", "查看積分"),
        ("zh-Hans", "see your training points"),
    ] {
        let changes = [
            ("scope", "openid training address phone"),
            ("ui_locales", language),
        ];
        let mut browser = Browser::new();
        let page = browser.open(server.authorize_url("all", &changes)).await;
        let page = browser.sign_in(&page, "people", ("alex", PASSWORD)).await;
        assert_eq!(page.url.path(), "/consent");
        let items = page.text("main").unwrap();
        assert!(items.contains(text), "{language}: {items}");
        assert!(
            !items.contains("“address”") && !items.contains("phone”"),
            "{items}"
        );
    }
}

/// Discovery section 3: what some app may ask for, and what it may be told.
#[tokio::test]
async fn discovery_follows_the_scopes() {
    let server = started().await;
    let url = server.url("/.well-known/openid-configuration");
    let document = answer(http_client().get(url)).await.body;
    let has = |list: &str, name: &str| document[list].as_array().unwrap().contains(&json!(name));
    for scope in ALL.split(' ') {
        assert!(has("scopes_supported", scope), "{scope}");
    }
    for claim in ["address", "phone_number", "nickname", "points", "office"] {
        assert!(has("claims_supported", claim), "{claim}");
    }
    assert!(!has("scopes_supported", "groups"));
    assert!(
        !has("claims_supported", "member_id"),
        "no app may ask for it"
    );
}
