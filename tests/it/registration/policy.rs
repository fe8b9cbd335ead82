//! A policy that becomes stricter, held against the clients that are registered; and one that is looser again.

use reqwest::Method;
use serde_json::{Value, json};

use super::{CALLBACK, authorize_url, log_in, open, redeem, register};
use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, answer};
use crate::harness::server::TestServer;

/// A key of `[registration]` that changes nothing, in the place of one that does.
const LOOSE: &str = "max_clients = 1000";
/// A redirect URI that no host of `STRICT_HOSTS` is above.
const ELSEWHERE: &str = "https://app.elsewhere.example/callback";
const STRICT_HOSTS: &str = "redirect_hosts = [\"example.org\"]";

async fn become_policy(server: &mut TestServer, from: &str, to: &str) {
    server.edit_config(from, to);
    server.restart().await;
}

/// What RFC 7592 section 2.1 tells, without the token.
async fn read(client: &Answer) -> Value {
    let request = http_client()
        .get(client.text("registration_client_uri"))
        .bearer_auth(client.text("registration_access_token"));
    let read = answer(request).await;
    assert_eq!(read.status, 200, "{read:?}");
    read.body
}

async fn ask(server: &TestServer, client: &Answer, path: &str, form: &[(&str, &str)]) -> Answer {
    let request = http_client().post(server.url(path)).form(form);
    let secret = client.text("client_secret");
    answer(request.basic_auth(client.text("client_id"), Some(secret))).await
}

async fn refresh(server: &TestServer, client: &Answer, token: &str) -> Answer {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    ask(server, client, "/token", &form).await
}

/// A grant or a response type that is no longer allowed is not served.
#[tokio::test]
async fn what_a_stricter_policy_lacks_is_not_served() {
    let loose = "grant_types = [\"authorization_code\", \"refresh_token\", \"implicit\"]";
    let strict = "grant_types = [\"authorization_code\"]";
    let mut server = open(loose).await;
    let sent = json!({
        "redirect_uris": [CALLBACK], "scope": "openid offline_access",
        "grant_types": ["authorization_code", "refresh_token", "implicit"],
        "response_types": ["code", "id_token"],
    });
    let client = register(&server, sent).await;
    let before = read(&client).await;
    let mut browser = Browser::new();
    let scope = [("scope", "openid offline_access"), ("prompt", "consent")];
    let page = log_in(&mut browser, authorize_url(&server, &client, &scope)).await;
    let tokens = redeem(&server, &client, &page).await;
    let tokens = refresh(&server, &client, tokens.text("refresh_token")).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let lone = [("response_type", "id_token"), ("prompt", "none")];
    let lone = authorize_url(&server, &client, &lone);
    assert!(browser.get(&lone).await.answer().contains_key("id_token"));

    become_policy(&mut server, loose, strict).await;
    let told = read(&client).await;
    assert_eq!(told["grant_types"], json!(["authorization_code"]));
    assert_eq!(told["response_types"], json!(["code"]));
    let token = tokens.text("refresh_token");
    let refused = refresh(&server, &client, token).await;
    refused.assert_error(400, "unauthorized_client");
    let refused = browser.get(&lone).await;
    assert_eq!(refused.answer()["error"], "unauthorized_client");
    let code = browser.get(authorize_url(&server, &client, &[])).await;
    let tokens = redeem(&server, &client, &code).await;
    assert!(tokens.body.get("refresh_token").is_none(), "{tokens:?}");

    become_policy(&mut server, strict, loose).await;
    assert_eq!(read(&client).await, before);
    let answer = refresh(&server, &client, token).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(browser.get(&lone).await.answer().contains_key("id_token"));
}

/// T5, T6, T55: nothing goes to a host that is no longer allowed, neither an answer nor an error, and a page says so.
#[tokio::test]
async fn nobody_is_redirected_to_a_host_that_is_no_longer_allowed() {
    let mut server = open(LOOSE).await;
    let bye = "https://app.elsewhere.example/bye";
    let sent = json!({
        "redirect_uris": [CALLBACK, ELSEWHERE], "post_logout_redirect_uris": [bye],
    });
    let client = register(&server, sent).await;
    let before = read(&client).await;
    let elsewhere = [("redirect_uri", ELSEWHERE)];
    let url = authorize_url(&server, &client, &elsewhere);
    let mut browser = Browser::new();
    let page = log_in(&mut browser, url.clone()).await;
    assert_eq!(
        page.location().unwrap().domain(),
        Some("app.elsewhere.example")
    );
    // One is on the way while the policy changes.
    let mut late = Browser::new();
    let login = late.open(&url).await;
    assert!(login.is_login(), "{}", login.body);

    become_policy(&mut server, LOOSE, STRICT_HOSTS).await;
    assert_eq!(read(&client).await["redirect_uris"], json!([CALLBACK]));
    assert!(
        read(&client)
            .await
            .get("post_logout_redirect_uris")
            .is_none()
    );
    let late = late.get(login.url.as_str()).await;
    assert_eq!((late.status.as_u16(), late.location()), (400, None));
    for changes in [&[][..], &[("prompt", "none")], &[("scope", "nothing")]] {
        let changes: Vec<_> = elsewhere.iter().chain(changes).copied().collect();
        let page = browser.get(authorize_url(&server, &client, &changes)).await;
        assert_eq!((page.status.as_u16(), page.location()), (400, None));
        let text = "no longer allows for apps that register themselves";
        assert!(page.body.contains(text), "{}", page.body);
    }
    let id = client.text("client_id");
    let out = format!("/end_session?client_id={id}&post_logout_redirect_uri={bye}");
    let page = browser.get(server.url(&out)).await;
    assert_eq!(page.location(), None, "{page:?}");
    assert!(
        !page.body.contains("app.elsewhere.example"),
        "{}",
        page.body
    );
    assert!(!is_readable(&server).await);
    // Its other address is as it was.
    let page = browser.get(authorize_url(&server, &client, &[])).await;
    assert!(page.answer().contains_key("code"));

    become_policy(&mut server, STRICT_HOSTS, LOOSE).await;
    assert_eq!(read(&client).await, before);
    let page = browser.get(&url).await;
    assert!(page.answer().contains_key("code"), "{}", page.body);
    assert!(is_readable(&server).await);
}

/// Whether scripts of the host may read our answers.
async fn is_readable(server: &TestServer) -> bool {
    let request = http_client().get(server.url("/jwks"));
    let request = request.header("origin", "https://app.elsewhere.example");
    let headers = request.send().await.unwrap().headers().clone();
    headers.contains_key("access-control-allow-origin")
}

/// A way to prove who it is that is no longer allowed proves nothing, wherever it is shown.
#[tokio::test]
async fn a_method_that_is_no_longer_allowed_proves_nobody() {
    let strict = "token_endpoint_auth_methods = [\"client_secret_post\", \"private_key_jwt\"]";
    let mut server = open(LOOSE).await;
    let client = register(&server, json!({"redirect_uris": [CALLBACK]})).await;
    let before = read(&client).await;
    let mut browser = Browser::new();
    let page = log_in(&mut browser, authorize_url(&server, &client, &[])).await;

    become_policy(&mut server, LOOSE, strict).await;
    let refused = redeem(&server, &client, &page).await;
    refused.assert_error(401, "invalid_client");
    for path in ["/introspect", "/revoke", "/par"] {
        let refused = ask(&server, &client, path, &[("token", "x")]).await;
        refused.assert_error(401, "invalid_client");
    }
    // Nobody logs in for what could not be redeemed.
    let page = browser.get(authorize_url(&server, &client, &[])).await;
    assert_eq!(page.answer()["error"], "unauthorized_client");
    // It is told what it has registered, and may register another (RFC 7592 section 2.2).
    assert_eq!(read(&client).await, before);
    let put = async |method: &str| {
        let id = client.text("client_id");
        let body = json!({
            "client_id": id, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": method,
        });
        let request = http_client().request(Method::PUT, client.text("registration_client_uri"));
        let token = client.text("registration_access_token");
        answer(request.bearer_auth(token).json(&body)).await
    };
    let refused = put("client_secret_basic").await;
    refused.assert_error(400, "invalid_client_metadata");

    become_policy(&mut server, strict, LOOSE).await;
    let page = browser.get(authorize_url(&server, &client, &[])).await;
    assert_eq!(redeem(&server, &client, &page).await.status, 200);

    become_policy(&mut server, LOOSE, strict).await;
    assert_eq!(put("client_secret_post").await.status, 200);
    let page = browser.get(authorize_url(&server, &client, &[])).await;
    assert!(page.answer().contains_key("code"), "{}", page.body);
}
