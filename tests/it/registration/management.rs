//! A client looks after its registration (RFC 7592).

use std::sync::Arc;

use portico::simulator::people::JO_SMITH;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{CALLBACK, authorize_url, log_in, minimal, open, redeem, register};
use crate::device;
use crate::harness::browser::{Browser, Page as BrowserPage, http_client};
use crate::harness::relying_party::{Answer, VERIFIER, answer};
use crate::harness::server::TestServer;
use crate::harness::site::{Page, Site};

/// A request at the client's address with its token.
fn request(client: &Answer, method: Method) -> RequestBuilder {
    http_client()
        .request(method, client.text("registration_client_uri"))
        .bearer_auth(client.text("registration_access_token"))
}

async fn put(client: &Answer, body: &Value) -> Answer {
    answer(request(client, Method::PUT).json(body)).await
}

fn update(client: &Answer) -> Value {
    let mut sent = minimal();
    sent["client_id"] = json!(client.text("client_id"));
    sent
}

/// Asserts that the client may not be looked after so, and that nobody may keep the answer.
async fn assert_invalid_token(request: RequestBuilder) {
    let answer = answer(request).await;
    answer.assert_error(401, "invalid_token");
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.starts_with("Bearer error=\"invalid_token\""),
        "{challenge}"
    );
}

/// RFC 7592 sections 2.1 and 3.
#[tokio::test]
async fn a_client_reads_what_it_has_registered() {
    let server = open("").await;
    let client = register(&server, minimal()).await;
    let read = answer(request(&client, Method::GET)).await;
    assert_eq!(read.status, 200);
    assert_eq!(read.headers["cache-control"], "no-store");
    assert_eq!(read.headers["content-type"], "application/json");
    // All of it but the secret, of which only a hash is kept.
    let mut expected = client.body.clone();
    for name in ["client_secret", "client_secret_expires_at"] {
        expected.as_object_mut().unwrap().remove(name).unwrap();
    }
    assert_eq!(read.body, expected);
}

/// RFC 7592 section 2.2: the whole is replaced, and what is left out is as if it had never been.
#[tokio::test]
async fn a_client_replaces_what_it_has_registered() {
    let server = open("").await;
    let mut sent = minimal();
    sent["client_name"] = json!("Old name");
    sent["contacts"] = json!(["old@example.org"]);
    let client = register(&server, sent).await;
    let mut sent = update(&client);
    sent["client_name"] = json!("New name");
    sent["redirect_uris"] = json!([CALLBACK, "https://new.example.org/other"]);
    sent["client_secret"] = json!(client.text("client_secret"));
    sent["tos_uri"] = Value::Null;
    let changed = put(&client, &sent).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.text("client_name"), "New name");
    assert_eq!(changed.body["redirect_uris"], sent["redirect_uris"]);
    for name in ["contacts", "tos_uri", "client_secret"] {
        assert!(changed.body.get(name).is_none(), "{name}");
    }
    for name in [
        "client_id",
        "client_id_issued_at",
        "registration_client_uri",
        "registration_access_token",
    ] {
        assert_eq!(changed.body[name], client.body[name], "{name}");
    }
    let read = answer(request(&client, Method::GET)).await;
    assert_eq!(read.body, changed.body);
    // The secret is what it was.
    let mut browser = Browser::new();
    let page = log_in(&mut browser, authorize_url(&server, &client, &[])).await;
    assert_eq!(redeem(&server, &client, &page).await.status, 200);
}

/// RFC 7592 section 2.2, and the rules of the first registration.
#[tokio::test]
async fn a_bad_replacement_changes_nothing() {
    let server = open("").await;
    let client = register(&server, minimal()).await;
    let before = answer(request(&client, Method::GET)).await.body;
    let changes = [
        ("client_id", Value::Null, "invalid_request"),
        ("client_id", json!("spa"), "invalid_request"),
        (
            "client_secret",
            json!("portico_secret_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            "invalid_request",
        ),
        ("client_secret", json!(1), "invalid_request"),
        ("registration_access_token", json!("x"), "invalid_request"),
        (
            "registration_client_uri",
            json!("https://new.example.org/"),
            "invalid_request",
        ),
        ("client_secret_expires_at", json!(0), "invalid_request"),
        ("client_id_issued_at", json!(0), "invalid_request"),
        (
            "redirect_uris",
            json!(["https://new.example.org/#x"]),
            "invalid_redirect_uri",
        ),
        (
            "grant_types",
            json!(["client_credentials"]),
            "invalid_client_metadata",
        ),
        (
            "policy_uri",
            json!("javascript:alert(1)"),
            "invalid_client_metadata",
        ),
    ];
    for (name, value, error) in changes {
        let mut sent = update(&client);
        sent[name] = value;
        put(&client, &sent).await.assert_error(400, error);
    }
    assert_eq!(answer(request(&client, Method::GET)).await.body, before);
}

/// A secret comes when it is needed, and goes when it is not.
#[tokio::test]
async fn the_secret_follows_the_method() {
    let server = open("").await;
    let client = register(&server, minimal()).await;
    let mut public = update(&client);
    public["token_endpoint_auth_method"] = json!("none");
    let changed = put(&client, &public).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert!(changed.body.get("client_secret").is_none());
    let id = portico::protocol::ids::ClientId::new(client.text("client_id"));
    let kept = server.store.find_client(&id).await.unwrap().unwrap();
    assert!(kept.secrets.is_empty() && kept.client.require_pkce);
    let changed = put(&client, &update(&client)).await;
    assert_ne!(changed.text("client_secret"), client.text("client_secret"));
    assert_eq!(changed.body["client_secret_expires_at"], 0);
}

/// RFC 7592 section 2.3: the client, its codes and its tokens.
#[tokio::test]
async fn a_client_ends_its_registration() {
    let server = open("").await;
    let client = register(&server, minimal()).await;
    let mut browser = Browser::new();
    let page = log_in(&mut browser, authorize_url(&server, &client, &[])).await;
    let tokens = redeem(&server, &client, &page).await;
    let access_token = tokens.text("access_token");
    assert_eq!(server.userinfo(access_token).await.status, 200);
    let unspent = browser.get(authorize_url(&server, &client, &[])).await;
    let gone = request(&client, Method::DELETE).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    assert_eq!(gone.headers()["cache-control"], "no-store");
    assert!(gone.bytes().await.unwrap().is_empty());
    assert_eq!(server.userinfo(access_token).await.status, 401);
    assert_eq!(
        redeem(&server, &client, &unspent).await.body["error"],
        "invalid_client"
    );
    let page = browser.get(authorize_url(&server, &client, &[])).await;
    assert_eq!(page.status, 400);
    // RFC 7592 section 2.1: 401, though there is no such client any more.
    for method in [Method::GET, Method::DELETE] {
        assert_invalid_token(request(&client, method)).await;
    }
    assert_invalid_token(request(&client, Method::PUT).json(&update(&client))).await;
}

/// T58: no token, another's, a changed one, and any for a client that is not there or is the files': one answer.
#[tokio::test]
async fn nobody_else_looks_after_a_client() {
    let server = open("").await;
    let client = register(&server, minimal()).await;
    let other = register(&server, minimal()).await;
    let url = client.text("registration_client_uri").to_owned();
    let token = client.text("registration_access_token").to_owned();
    let files = server.url("/register/spa");
    let nobody = server.url("/register/registered-AAAAAAAAAAAAAAAAAAAAAA");
    // No database has the one, and the other is no text.
    let nul = server.url("/register/%00");
    let no_text = server.url("/register/%ff");
    let others = other.text("registration_access_token").to_owned();
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let send = |url: &str| {
            let request = http_client().request(method.clone(), url);
            request.json(&update(&client))
        };
        for (url, token) in [
            (&url, others.as_str()),
            (&url, &token[..token.len() - 1]),
            (&url, client.text("client_secret")),
            (&files, token.as_str()),
            (&nobody, token.as_str()),
            (&nul, token.as_str()),
            (&no_text, token.as_str()),
        ] {
            let request = send(url).header("authorization", format!("Bearer {token}"));
            assert_invalid_token(request).await;
        }
        let without = send(&url).send().await.unwrap();
        assert_eq!(without.status(), 401);
        assert_eq!(
            without.headers()["www-authenticate"],
            "Bearer realm=\"portico\""
        );
        assert_eq!(without.headers()["cache-control"], "no-store");
        assert_eq!(send(&no_text).send().await.unwrap().status(), 401);
        let basic = send(&url)
            .basic_auth("x", Some(&token))
            .send()
            .await
            .unwrap();
        assert_eq!(basic.status(), 401);
        let twice = send(&url)
            .bearer_auth(&token)
            .header("authorization", "Bearer x");
        answer(twice).await.assert_error(400, "invalid_request");
        // Nor from anywhere but the header.
        let in_query = send(&format!("{url}?access_token={token}"))
            .send()
            .await
            .unwrap();
        assert_eq!(in_query.status(), 401);
    }
    let scheme = http_client()
        .get(&url)
        .header("authorization", format!("bearer {token}"));
    assert_eq!(answer(scheme).await.status, 200);
}

/// A node that joins sees what another has registered, and its token is good there.
#[tokio::test]
async fn any_node_looks_after_any_client() {
    let mut server: TestServer = open("").await;
    let client = register(&server, minimal()).await;
    let address = server.add_node().await;
    let path = format!("/register/{}", client.text("client_id"));
    let request = http_client()
        .get(format!("http://{address}{path}"))
        .bearer_auth(client.text("registration_access_token"));
    let read = answer(request).await;
    assert_eq!(read.status, 200);
    assert_eq!(read.body["redirect_uris"], json!([CALLBACK]));
}

/// A public client that may have `scope` and no more, as it is sent.
fn public(more: &Value, scope: &str) -> Value {
    let mut sent = more.clone();
    sent["token_endpoint_auth_method"] = json!("none");
    sent["scope"] = json!(scope);
    sent
}

/// Gives the client another scope.
async fn rescope(client: &Answer, more: &Value, scope: &str) {
    let mut sent = public(more, scope);
    sent["client_id"] = json!(client.text("client_id"));
    let changed = put(client, &sent).await;
    assert_eq!(changed.status, 200, "{changed:?}");
}

/// T17: a device has what its person was shown, whatever its client could ask for before, and can have again.
#[tokio::test]
async fn a_device_has_no_more_than_the_page_showed() {
    const WIDE: &str = "openid email profile";
    let server = open(&format!("grant_types = [\"{}\"]", device::GRANT)).await;
    let more = json!({"grant_types": [device::GRANT]});
    let client = register(&server, public(&more, WIDE)).await;
    let id = client.text("client_id");
    let codes = device::begin(&server, id, WIDE).await;
    let mut browser = Browser::new();
    let page = device::at_question(&server, &mut browser, codes.text("user_code")).await;
    let asked = |page: &BrowserPage| page.text("main").unwrap().contains("email address");
    assert!(asked(&page), "{}", page.body);
    rescope(&client, &more, "openid").await;
    let page = browser.open(page.url.as_str()).await;
    assert!(!asked(&page), "{}", page.body);
    // While the person reads: what was not on the page is asked first.
    rescope(&client, &more, WIDE).await;
    let page = device::decide(&mut browser, &page, "allow").await;
    assert_eq!(page.url.path(), "/device/confirm", "{}", page.body);
    assert!(asked(&page), "{}", page.body);
    let waits = device::ask(&server, id, codes.text("device_code")).await;
    waits.assert_error(400, "authorization_pending");
    rescope(&client, &more, "openid").await;
    let page = device::decide(&mut browser, &page, "allow").await;
    assert!(!asked(&page), "{}", page.body);
    let page = device::decide(&mut browser, &page, "allow").await;
    assert_eq!(page.url.path(), "/device/done", "{}", page.body);
    // And when they have said yes.
    rescope(&client, &more, WIDE).await;
    let tokens = device::ask(&server, id, codes.text("device_code")).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.text("scope"), "openid");
    let told = server.userinfo(tokens.text("access_token")).await.body;
    assert!(
        told.get("email").is_none() && told.get("name").is_none(),
        "{told}"
    );
    // A no is a no, whatever the page showed.
    let codes = device::begin(&server, id, WIDE).await;
    let page = device::enter(&server, &mut browser, codes.text("user_code")).await;
    rescope(&client, &more, "openid").await;
    let page = device::decide(&mut browser, &page, "deny").await;
    assert_eq!(page.url.path(), "/device/denied", "{}", page.body);
}

/// T17: what a client may have beyond what the page showed is neither given nor remembered: widened before the answer, it is asked
/// again; widened after that, it is not in the request any more. What the request says of the person and the login stays.
#[tokio::test]
async fn a_yes_is_to_what_the_page_showed() {
    const WIDE: &str = "openid email profile";
    let server = open("").await;
    let client = register(&server, public(&minimal(), "openid")).await;
    let asked = json!({
        "userinfo": { "email": null, "name": null },
        "id_token": { "email": null, "auth_time": { "essential": true } },
    });
    let claims = ("claims", asked.to_string());
    let changes = [("scope", "openid"), (claims.0, claims.1.as_str())];
    let url = authorize_url(&server, &client, &changes);
    let mut browser = Browser::new();
    let page = browser.log_in_as(url.as_str(), JO_SMITH).await;
    let asked = |page: &BrowserPage| {
        assert_eq!(page.url.path(), "/consent", "{}", page.body);
        page.text("main").unwrap().contains("email address")
    };
    assert!(!asked(&page), "{}", page.body);
    rescope(&client, &minimal(), WIDE).await;
    let allow = [("decision", "allow")];
    let wide = browser.submit(&page, "form", &allow).await;
    assert!(asked(&wide), "{}", wide.body);
    // What another page showed is not what this one does.
    let shown = wide.form("form").1["shown"].clone();
    let mixed = [allow[0], ("shown", shown.as_str())];
    assert_eq!(browser.submit_only(&page, "form", &mixed).await.status, 400);
    rescope(&client, &minimal(), "openid").await;
    let page = browser.submit(&wide, "form", &allow).await;
    assert!(!asked(&page), "{}", page.body);
    let agreed = browser.submit_only(&page, "form", &allow).await;
    rescope(&client, &minimal(), WIDE).await;
    let page = browser.follow(agreed).await;
    let code = page.answer()["code"].clone();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let tokens = server.token(client.text("client_id"), &form).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let userinfo = server.userinfo(tokens.text("access_token")).await.body;
    let id_token = crate::harness::relying_party::claims(tokens.text("id_token"));
    for told in [&userinfo, &id_token] {
        assert!(
            told.get("email").is_none() && told.get("name").is_none(),
            "{told}"
        );
    }
    // Nor is it remembered.
    assert!(asked(&browser.open(url.as_str()).await));
    let id = portico::protocol::ids::ClientId::new(client.text("client_id"));
    let accounts = server.store.list_accounts(10).await.unwrap();
    let kept = server
        .store
        .find_consent(&accounts[0].id, &id)
        .await
        .unwrap();
    let kept = kept.unwrap();
    assert!(kept.claims.is_empty(), "{kept:?}");
    assert_eq!(kept.scope.to_string(), "openid");
}

/// A change that is overtaken by another replaces what that one left, and not what it had read: every secret that was told
/// is good.
#[tokio::test]
async fn two_changes_at_once_lose_nothing() {
    let server = TestServer::start_with(|setup| {
        setup.sections.push_str(
            "[registration]\nmode = \"open\"\nfetch_allowed_hosts = true\n\
             [outbound]\nallow_hosts = [\"127.0.0.1\"]\n",
        );
    })
    .await;
    let site = Site::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let listed = json!([CALLBACK]).to_string();
    site.set("/sector", Page::Held(Arc::clone(&gate), listed));
    let mut public = minimal();
    public["token_endpoint_auth_method"] = json!("none");
    let client = register(&server, public).await;
    // Both need a secret; the slow one has been read before the quick one was written.
    let mut slow = update(&client);
    slow["subject_type"] = json!("pairwise");
    slow["sector_identifier_uri"] = json!(format!("{}/sector", site.url));
    let slow = request(&client, Method::PUT).json(&slow);
    let slow = tokio::spawn(answer(slow));
    while site.hits("/sector") == 0 {
        tokio::task::yield_now().await;
    }
    let quick = put(&client, &update(&client)).await;
    assert_eq!(quick.status, 200, "{quick:?}");
    gate.add_permits(1);
    let slow = slow.await.unwrap();
    assert_eq!(slow.status, 200, "{slow:?}");
    assert_eq!(slow.text("subject_type"), "pairwise");
    assert!(
        slow.body.get("client_secret").is_none(),
        "it has one already"
    );
    let form = [("grant_type", "authorization_code"), ("code", "made-up")];
    let by = |secret: &str| {
        let request = http_client().post(server.url("/token")).form(&form);
        answer(request.basic_auth(client.text("client_id"), Some(secret)))
    };
    let known = by(quick.text("client_secret")).await;
    known.assert_error(400, "invalid_grant");
}
