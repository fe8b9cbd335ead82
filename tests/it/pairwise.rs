//! Pairwise subjects (OpenID Connect Core section 8.1): one person, another `sub` for each sector, and the same one
//! everywhere that a client sees it.

use portico::simulator::people;

use crate::harness::browser::Browser;
use crate::harness::relying_party::claims;
use crate::harness::server::TestServer;

const CLIENTS: &str = r#"
[[clients]]
client_id = "pairwise-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://pairwise.example.org/callback"]
post_logout_redirect_uris = ["https://pairwise.example.org/"]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid profile offline_access"
subject_type = "pairwise"

[[clients]]
client_id = "sister-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://sister.example.org/callback", "https://other.example.net/callback"]
scope = "openid profile"
subject_type = "pairwise"
sector_identifier = "pairwise.example.org"

[[clients]]
client_id = "stranger-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://stranger.example.org/callback"]
scope = "openid profile"
subject_type = "pairwise"
"#;

async fn start() -> TestServer {
    TestServer::start_with(|setup| setup.clients = CLIENTS.to_owned()).await
}

/// The `sub` of a browser's person at a client, after a look at every place that has it.
async fn subject(server: &TestServer, browser: &mut Browser, client: &str) -> String {
    let page = browser.open(server.authorize_url(client, &[])).await;
    let page = if page.is_login() {
        browser.sign_in_as(&page, people::JO_SMITH).await
    } else {
        page
    };
    let tokens = server.redeem(client, &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let sub = claims(tokens.text("id_token"))["sub"]
        .as_str()
        .unwrap()
        .to_owned();
    let access_token = tokens.text("access_token");
    assert_eq!(claims(access_token)["sub"], sub.as_str());
    let userinfo = server.userinfo(access_token).await;
    assert_eq!(userinfo.status, 200, "{userinfo:?}");
    assert_eq!(userinfo.text("sub"), sub);
    if tokens.body.get("refresh_token").is_some() {
        let refreshed = server.refresh(client, tokens.text("refresh_token")).await;
        assert_eq!(claims(refreshed.text("id_token"))["sub"], sub.as_str());
        assert_eq!(claims(refreshed.text("access_token"))["sub"], sub.as_str());
    }
    sub
}

#[tokio::test]
async fn a_person_has_another_subject_in_each_sector() {
    let server = start().await;
    let mut browser = Browser::new();
    let public = subject(&server, &mut browser, "spa").await;
    let pairwise = subject(&server, &mut browser, "pairwise-app").await;
    let sister = subject(&server, &mut browser, "sister-app").await;
    let stranger = subject(&server, &mut browser, "stranger-app").await;
    assert_eq!(pairwise, sister, "one sector");
    let all = std::collections::BTreeSet::from([&public, &pairwise, &stranger]);
    assert_eq!(all.len(), 3);
    // Neither holds the other, and nobody can work one out without the key (section 8.1).
    assert_eq!(pairwise.len(), 43);
    assert!(!pairwise.contains(&public));
}

/// Nothing goes into it that a restart, another node or another browser changes.
#[tokio::test]
async fn a_pairwise_subject_stays_the_same() {
    let mut server = start().await;
    let before = subject(&server, &mut Browser::new(), "pairwise-app").await;
    server.restart().await;
    assert_eq!(
        subject(&server, &mut Browser::new(), "pairwise-app").await,
        before
    );
    let other = TestServer::start_with(|setup| {
        setup.clients = CLIENTS.to_owned();
        setup.master_key = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=".to_owned();
    })
    .await;
    assert_ne!(
        subject(&other, &mut Browser::new(), "pairwise-app").await,
        before
    );
}

/// T29: a hint is held against the subject that this client knows.
#[tokio::test]
async fn a_hint_with_a_pairwise_subject_names_its_person() {
    let server = start().await;
    let mut browser = Browser::new();
    let page = browser
        .open(server.authorize_url("pairwise-app", &[]))
        .await;
    let page = browser.sign_in_as(&page, people::JO_SMITH).await;
    let tokens = server
        .redeem("pairwise-app", &page.answer()["code"], &[])
        .await;
    let hint = tokens.text("id_token").to_owned();
    let silent = [("prompt", "none"), ("id_token_hint", hint.as_str())];
    let answer = browser
        .open(server.authorize_url("pairwise-app", &silent))
        .await;
    assert!(answer.answer().contains_key("code"), "{answer:?}");

    let mut zoe = Browser::new();
    let page = zoe.open(server.authorize_url("pairwise-app", &[])).await;
    zoe.sign_in_as(&page, people::ZOE).await;
    let answer = zoe
        .open(server.authorize_url("pairwise-app", &silent))
        .await;
    assert_eq!(answer.answer()["error"], "login_required");

    let logout = format!(
        "{}?id_token_hint={hint}&post_logout_redirect_uri=https://pairwise.example.org/",
        server.url("/end_session")
    );
    let left = browser.get(&logout).await;
    assert_eq!(left.header("location"), "https://pairwise.example.org/");
}

/// Core section 12.2: a refresh never changes the subject. A client that is registered anew as another kind has to
/// log its people in anew.
#[tokio::test]
async fn a_client_whose_subjects_change_loses_its_tokens() {
    let mut server = start().await;
    let code = server
        .code("pairwise-app", &[("scope", "openid offline_access")])
        .await;
    let tokens = server.redeem("pairwise-app", &code, &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let late = server.code("pairwise-app", &[]).await;
    let kept = server
        .code("spa", &[("scope", "openid offline_access")])
        .await;
    let kept = server.redeem("spa", &kept, &[]).await;
    let pairwise = "scope = \"openid profile offline_access\"\nsubject_type = \"pairwise\"";
    server.edit_config(pairwise, "scope = \"openid profile offline_access\"");
    server.restart().await;
    let refused = server
        .refresh("pairwise-app", tokens.text("refresh_token"))
        .await;
    refused.assert_error(400, "invalid_grant");
    assert_eq!(
        server.userinfo(tokens.text("access_token")).await.status,
        401
    );
    let refused = server.redeem("pairwise-app", &late, &[]).await;
    assert_eq!(
        refused.status, 200,
        "a code has no subject yet: {refused:?}"
    );
    assert_eq!(
        server
            .refresh("spa", kept.text("refresh_token"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn discovery_says_both_kinds() {
    let server = start().await;
    let page = Browser::new()
        .get(server.url("/.well-known/openid-configuration"))
        .await;
    let kinds = &page.json()["subject_types_supported"];
    assert_eq!(*kinds, serde_json::json!(["public", "pairwise"]));
}
