//! Clients that register themselves (RFC 7591, OpenID Connect Dynamic Registration 1.0) over HTTP, from the request to a
//! login of theirs (T18).

mod keys;
mod limits;
mod management;
mod policy;
mod tokens;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use portico::simulator::people::JO_SMITH;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::browser::{Browser, Page, http_client};
use crate::harness::relying_party::{Answer, VERIFIER, answer, claims};
use crate::harness::server::{START, TestServer};
use crate::step_up::{ONE, TWO, levels, log_in_safely};

/// Where the answers of the clients of these tests go.
const CALLBACK: &str = "https://new.example.org/callback";

/// A server at which anybody may register, with more keys of `[registration]`.
async fn open(more: &str) -> TestServer {
    server("open", more).await
}

async fn server(mode: &str, keys: &str) -> TestServer {
    TestServer::start_with(|setup| {
        let sections = &mut setup.sections;
        write!(sections, "[registration]\nmode = \"{mode}\"\n{keys}\n").unwrap();
    })
    .await
}

fn post(server: &TestServer, body: &Value) -> RequestBuilder {
    http_client().post(server.url("/register")).json(body)
}

/// Registers what has to be good.
async fn register(server: &TestServer, body: Value) -> Answer {
    let answer = answer(post(server, &body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["pragma"], "no-cache");
    answer
}

fn minimal() -> Value {
    json!({"redirect_uris": [CALLBACK]})
}

/// Begins a login at a registered client.
fn authorize_url(server: &TestServer, client: &Answer, changes: &[(&str, &str)]) -> String {
    let mut all = vec![("redirect_uri", CALLBACK)];
    all.extend(changes);
    server.authorize_url(client.text("client_id"), &all)
}

/// Logs Jo Smith in, who agrees to everything.
async fn log_in(browser: &mut Browser, url: String) -> Page {
    let page = browser.log_in_as(url, JO_SMITH).await;
    assert_eq!(page.url.path(), "/consent", "{}", page.body);
    browser
        .submit(&page, "form", &[("decision", "allow")])
        .await
}

async fn redeem(server: &TestServer, client: &Answer, page: &Page) -> Answer {
    let code = page.answer()["code"].clone();
    let parameters = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let request = http_client().post(server.url("/token")).form(&parameters);
    let secret = client.text("client_secret");
    answer(request.basic_auth(client.text("client_id"), Some(secret))).await
}

/// RFC 7591 section 3.2.1, and then a login.
#[tokio::test]
async fn a_client_registers_and_logs_somebody_in() {
    let server = open("").await;
    let client = register(&server, minimal()).await;
    let id = client.text("client_id");
    assert!(id.starts_with("registered-"), "{id}");
    assert!(client.text("client_secret").starts_with("portico_secret_"));
    assert_eq!(client.body["client_secret_expires_at"], 0);
    let issued_at = client.body["client_id_issued_at"].as_i64().unwrap();
    assert_eq!(issued_at, server.clock.now());
    let address = format!("{}/register/{id}", server.issuer);
    assert_eq!(client.text("registration_client_uri"), address);
    let token = client.text("registration_access_token");
    assert!(token.starts_with("portico_registration_"), "{token}");
    let registered = [
        ("redirect_uris", json!([CALLBACK])),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("grant_types", json!(["authorization_code"])),
        ("response_types", json!(["code"])),
        ("application_type", json!("web")),
        ("subject_type", json!("public")),
        ("id_token_signed_response_alg", json!("RS256")),
        ("scope", json!("address email openid phone profile")),
    ];
    for (name, value) in registered {
        assert_eq!(client.body[name], value, "{name}");
    }

    let mut browser = Browser::new();
    let page = log_in(&mut browser, authorize_url(&server, &client, &[])).await;
    let tokens = redeem(&server, &client, &page).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let claims = claims(tokens.text("id_token"));
    assert_eq!(claims["aud"], id);
    assert_eq!(
        server.userinfo(tokens.text("access_token")).await.status,
        200
    );

    // Once agreed to, and asked no more.
    let page = browser.get(authorize_url(&server, &client, &[])).await;
    assert!(page.location().unwrap().as_str().starts_with(CALLBACK));
}

/// What is off is neither there nor in discovery; its clients work on.
#[tokio::test]
async fn registration_is_off_unless_it_is_turned_on() {
    let mut server = TestServer::start().await;
    let metadata = "/.well-known/openid-configuration";
    let document = answer(http_client().get(server.url(metadata))).await;
    assert!(document.body.get("registration_endpoint").is_none());
    let response = post(&server, &minimal()).send().await.unwrap();
    assert_eq!(response.status(), 404);

    server.edit_config("[login]", "[registration]\nmode = \"open\"\n[login]");
    server.restart().await;
    let document = answer(http_client().get(server.url(metadata))).await;
    let endpoint = document.text("registration_endpoint");
    assert_eq!(endpoint, server.url("/register"));
    let client = register(&server, minimal()).await;

    server.edit_config("mode = \"open\"", "mode = \"off\"");
    server.restart().await;
    let request = http_client()
        .get(client.text("registration_client_uri"))
        .bearer_auth(client.text("registration_access_token"));
    assert_eq!(request.send().await.unwrap().status(), 404);
    let mut browser = Browser::new();
    let page = log_in(&mut browser, authorize_url(&server, &client, &[])).await;
    assert_eq!(redeem(&server, &client, &page).await.status, 200);
}

/// T18: neither the registration nor the answer has anything of it, and the people are asked.
#[tokio::test]
async fn privileged_keys_are_neither_taken_nor_told() {
    let server = open("").await;
    let mut sent = minimal();
    let privileged = json!({
        "client_id": "spa", "consent": "none", "upstreams": ["staff"], "upstream_apis": ["members"],
        "upstream_tokens": ["members"], "service_tokens": ["members"], "audience": ["https://api.example.org"],
        "claims": {"admin": {"claim": "sub"}}, "registered": false, "require_groups": [], "upstream_outage": "30d",
    });
    let privileged = privileged.as_object().unwrap().clone();
    sent.as_object_mut().unwrap().extend(privileged.clone());
    sent["scope"] = json!("openid upstream:members reports:read");
    let client = register(&server, sent).await;
    assert_ne!(client.text("client_id"), "spa");
    assert_eq!(client.text("scope"), "openid");
    for name in privileged.keys().filter(|name| *name != "client_id") {
        assert!(client.body.get(name).is_none(), "{name}");
    }
    let id = portico::protocol::ids::ClientId::new(client.text("client_id"));
    let kept = server.store.find_client(&id).await.unwrap().unwrap().client;
    assert!(kept.upstream_apis.is_empty() && kept.upstream_tokens.is_empty());
    assert!(kept.service_tokens.is_empty() && kept.audience.is_empty());
    assert_eq!(kept.consent, portico::model::client::ConsentPolicy::Once);

    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let mut sent = minimal();
    sent["grant_types"] = json!(["authorization_code", exchange]);
    let refused = answer(post(&server, &sent)).await;
    refused.assert_error(400, "invalid_client_metadata");
    // Though it were in the row, the grant wants more than the row.
    let mut browser = Browser::new();
    let page = log_in(&mut browser, authorize_url(&server, &client, &[])).await;
    let tokens = redeem(&server, &client, &page).await;
    let parameters = [
        ("grant_type", exchange),
        ("subject_token", tokens.text("access_token")),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("audience", "members"),
    ];
    let request = http_client().post(server.url("/token")).form(&parameters);
    let secret = client.text("client_secret");
    let refused = answer(request.basic_auth(id.as_str(), Some(secret))).await;
    refused.assert_error(400, "unauthorized_client");
}

/// OpenID Connect Back-Channel Logout 1.0 section 2.2, Front-Channel Logout 1.0 section 2; within the hosts that are allowed.
#[tokio::test]
async fn logout_addresses_are_registered_and_told() {
    let server = open("redirect_hosts = [\"example.org\"]").await;
    let sent = json!({
        "redirect_uris": [CALLBACK],
        "backchannel_logout_uri": "https://back.example.org/out",
        "backchannel_logout_session_required": true,
        "frontchannel_logout_uri": "https://new.example.org/out",
        "frontchannel_logout_session_required": true,
    });
    let registered = register(&server, sent.clone()).await;
    for (name, value) in sent.as_object().unwrap() {
        assert_eq!(&registered.body[name], value);
    }
    let plain = register(&server, minimal()).await;
    assert!(
        !plain
            .body
            .as_object()
            .unwrap()
            .keys()
            .any(|name| name.contains("channel"))
    );
    for (name, wrong) in [
        (
            "backchannel_logout_uri",
            "https://elsewhere.example.com/out",
        ),
        ("backchannel_logout_uri", "http://back.example.org/out"),
        ("frontchannel_logout_uri", "https://back.example.org/out"),
    ] {
        let mut sent = sent.clone();
        sent[name] = wrong.into();
        let refused = answer(post(&server, &sent)).await;
        refused.assert_error(400, "invalid_client_metadata");
        assert!(
            refused.text("error_description").contains(name),
            "{refused:?}"
        );
    }
}

/// RFC 7591 section 3.2.2: one code, that of the first fault, and every fault in the words beside it.
#[tokio::test]
async fn every_fault_is_told_and_the_first_names_the_error() {
    let server = open("").await;
    let sent = json!({
        "redirect_uris": ["https://new.example.org/cb#x", "javascript:alert(1)"],
        "token_endpoint_auth_method": "magic", "tos_uri": "javascript:alert(2)", "default_max_age": -1,
    });
    let refused = answer(post(&server, &sent)).await;
    refused.assert_error(400, "invalid_client_metadata");
    let told = refused.text("error_description");
    for place in [
        "redirect_uris[0] must not have a fragment",
        "redirect_uris[1] ",
        "token_endpoint_auth_method is not one of",
        "tos_uri ",
        "default_max_age ",
    ] {
        assert!(told.contains(place), "{told}");
    }
    let sent = json!({"redirect_uris": ["https://new.example.org/cb#x"], "tos_uri": "x"});
    let refused = answer(post(&server, &sent)).await;
    refused.assert_error(400, "invalid_redirect_uri");
    let refused = answer(post(&server, &json!({}))).await;
    refused.assert_error(400, "invalid_redirect_uri");
    assert!(server.store.list_registrations().await.unwrap().is_empty());
}

/// T48, T49: one JSON object and nothing else.
#[tokio::test]
async fn what_is_not_one_json_object_is_refused() {
    let server = open("max_per_address = 1000").await;
    let send = |kind: Option<&'static str>, body: String| {
        let request = http_client().post(server.url("/register")).body(body);
        answer(match kind {
            Some(kind) => request.header("content-type", kind),
            None => request,
        })
    };
    let good = minimal().to_string();
    let json = Some("application/json");
    for (kind, body) in [
        (json, "[]".to_owned()),
        (json, String::new()),
        (json, "null".to_owned()),
        (json, format!("{good}{good}")),
        (
            json,
            good.replacen('{', "{\"redirect_uris\": [\"https://evil.example/\"], ", 1),
        ),
        (
            json,
            good.replacen(
                '{',
                &format!("{{\"x\": {}{}, ", "[".repeat(2000), "]".repeat(2000)),
                1,
            ),
        ),
        (json, good.replace(CALLBACK, "\\u0000")),
        (None, good.clone()),
        (Some("text/plain"), good.clone()),
        (Some("application/x-www-form-urlencoded"), good.clone()),
        (Some("application/jsonp"), good.clone()),
    ] {
        let refused = send(kind, body.clone()).await;
        refused.assert_error(400, "invalid_client_metadata");
    }
    let large = good.replacen('{', &format!("{{\"x\": \"{}\", ", "x".repeat(17_000)), 1);
    let refused = send(json, large).await;
    refused.assert_error(413, "invalid_request");
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(send(Some(kind), good.clone()).await.status, 201);
    }
    assert_eq!(server.store.list_registrations().await.unwrap().len(), 2);
    for method in [
        reqwest::Method::GET,
        reqwest::Method::PUT,
        reqwest::Method::DELETE,
    ] {
        let request = http_client().request(method, server.url("/register"));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST");
    }
}

/// T55: another site's script can neither read the answer nor have its visitors register clients.
#[tokio::test]
async fn scripts_of_other_sites_cannot_register() {
    let server = open("").await;
    for origin in ["https://spa.example.org", "https://evil.example"] {
        let preflight = http_client()
            .request(reqwest::Method::OPTIONS, server.url("/register"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        let response = preflight.send().await.unwrap();
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-origin")
        );
        let response = post(&server, &minimal()).header("origin", origin);
        let response = response.send().await.unwrap();
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-origin")
        );
    }
}

/// The quota of an address, in a window of an hour; whatever came of each.
#[tokio::test]
async fn an_address_may_register_so_many_an_hour() {
    let server = open("max_per_address = 3").await;
    let client = register(&server, minimal()).await;
    answer(post(&server, &json!({})))
        .await
        .assert_error(400, "invalid_redirect_uri");
    register(&server, minimal()).await;
    let refused = answer(post(&server, &minimal())).await;
    refused.assert_error(429, "temporarily_unavailable");
    assert_eq!(refused.headers["retry-after"], "3600");
    // Looking costs nothing, changing does.
    let address = client.text("registration_client_uri");
    let token = client.text("registration_access_token");
    let looked = answer(http_client().get(address).bearer_auth(token)).await;
    assert_eq!(looked.status, 200);
    let mut sent = minimal();
    sent["client_id"] = json!(client.text("client_id"));
    let refused = answer(http_client().put(address).bearer_auth(token).json(&sent)).await;
    refused.assert_error(429, "temporarily_unavailable");
    server.clock.advance(3600);
    register(&server, minimal()).await;
}

/// The quota of all.
#[tokio::test]
async fn there_are_no_more_registered_clients_than_allowed() {
    let server = open("max_clients = 2").await;
    let client = register(&server, minimal()).await;
    register(&server, minimal()).await;
    let refused = answer(post(&server, &minimal())).await;
    refused.assert_error(503, "temporarily_unavailable");
    let gone = http_client()
        .delete(client.text("registration_client_uri"))
        .bearer_auth(client.text("registration_access_token"));
    assert_eq!(gone.send().await.unwrap().status(), 204);
    register(&server, minimal()).await;
}

/// A client that logs nobody in for so long is gone; one login, and it stays.
#[tokio::test]
async fn unused_clients_go_and_used_ones_stay() {
    let server = open("unused = \"2h\"").await;
    let used = register(&server, minimal()).await;
    let unused = register(&server, minimal()).await;
    let mut browser = Browser::new();
    let page = log_in(&mut browser, authorize_url(&server, &used, &[])).await;
    assert!(page.answer().contains_key("code"));
    server.clock.advance(2 * 3600);
    let now = server.clock.now();
    let swept = server.store.sweep(now, 10).await.unwrap();
    assert_eq!(swept.unused_clients, 1);
    let left = server.store.list_registrations().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].client_id.as_str(), used.text("client_id"));
    let page = browser.get(authorize_url(&server, &unused, &[])).await;
    assert_eq!(page.status, 400);
}

/// A client that nobody uses any more goes, too; each use is good for as long again, and an hour.
#[tokio::test]
async fn a_client_that_is_used_no_more_goes() {
    let server = open("unused = \"2h\"").await;
    let client = register(&server, minimal()).await;
    let mut browser = Browser::new();
    let url = authorize_url(&server, &client, &[]);
    let mut page = log_in(&mut browser, url.clone()).await;
    for _ in 0..3 {
        assert!(page.answer().contains_key("code"), "{page:?}");
        server.clock.advance(2 * 3600);
        let swept = server.store.sweep(server.clock.now(), 10).await.unwrap();
        assert_eq!(swept.unused_clients, 0);
        page = browser.get(url.clone()).await;
    }
    server.clock.advance(3 * 3600);
    let swept = server.store.sweep(server.clock.now(), 10).await.unwrap();
    assert_eq!(swept.unused_clients, 1);
    // Swept by another process: a client that was in use a moment ago is known for another second.
    let gone = async || browser.get(url.clone()).await.status == 400;
    until(gone).await;
}

/// Waits until `holds`.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain");
        sleep(Duration::from_millis(50)).await;
    }
}

/// What a client gets for itself alone has logged nobody in.
#[tokio::test]
async fn a_client_that_acts_for_itself_alone_is_unused() {
    let server = open("unused = \"2h\"\ngrant_types = [\"client_credentials\"]").await;
    let sent = json!({"grant_types": ["client_credentials"], "scope": "profile"});
    let client = register(&server, sent).await;
    let request = http_client().post(server.url("/token"));
    let request = request.form(&[("grant_type", "client_credentials")]);
    let secret = client.text("client_secret");
    let tokens = answer(request.basic_auth(client.text("client_id"), Some(secret))).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    server.clock.advance(2 * 3600);
    let swept = server.store.sweep(server.clock.now(), 10).await.unwrap();
    assert_eq!(swept.unused_clients, 1);
}

/// What the app says of itself, in the reader's language, each link with its host; that nobody has checked it; no picture.
#[tokio::test]
async fn pages_say_who_the_app_says_it_is() {
    let server = open("").await;
    let client = register(
        &server,
        json!({
            "redirect_uris": [CALLBACK], "client_name": "New <b>app</b>", "client_name#fr": "Nouvelle appli",
            "logo_uri": "https://pictures.example/logo.png",
            "policy_uri": "https://new.example.org/policy", "tos_uri": "https://terms.example/?a=1&b=2",
            "tos_uri#zh-TW": "https://terms.example/zh",
        }),
    )
    .await;
    let mut browser = Browser::new();
    let page = browser.open(authorize_url(&server, &client, &[])).await;
    assert_eq!(page.text("h1").unwrap(), "Sign in to New <b>app</b>");
    let check = |page: &Page| {
        assert!(
            page.body.contains("registered itself")
                && page.body.contains("goes to new.example.org")
        );
        let links = page.attribute("ul.app-pages li:first-child a", "href");
        assert_eq!(links.unwrap(), "https://new.example.org/policy");
        let terms = page.text("ul.app-pages li:last-child a").unwrap();
        assert!(terms.contains("terms.example"), "{terms}");
        let href = page.attribute("ul.app-pages li:last-child a", "href");
        assert_eq!(href.unwrap(), "https://terms.example/?a=1&b=2");
        assert!(!page.body.contains("pictures.example") && !page.body.contains("<img"));
        assert!(
            page.header("content-security-policy")
                .contains("img-src 'self';")
        );
    };
    check(&page);
    let page = browser
        .log_in_as(authorize_url(&server, &client, &[]), JO_SMITH)
        .await;
    assert_eq!(page.url.path(), "/consent");
    check(&page);
    for (locale, name, terms) in [
        ("fr", "Nouvelle appli", "https://terms.example/?a=1&b=2"),
        ("zh-Hant", "New <b>app</b>", "https://terms.example/zh"),
        (
            "zh-Hans",
            "New <b>app</b>",
            "https://terms.example/?a=1&b=2",
        ),
    ] {
        let mut browser = Browser::new();
        let page = browser
            .open(authorize_url(&server, &client, &[("ui_locales", locale)]))
            .await;
        let title = page.text("h1").unwrap();
        assert!(title.contains(name), "{locale}: {title}");
        let href = page.attribute("ul.app-pages li:last-child a", "href");
        assert_eq!(href.unwrap(), terms, "{locale}");
    }
    // An app of the administrator's own is vouched for.
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    assert!(!page.body.contains("registered itself"));
}

/// OpenID Connect Core section 4: somebody who comes from the iMIS web site is sent on to where the app begins a login.
#[tokio::test]
async fn a_registered_client_begins_logins_that_it_did_not_ask_for() {
    let mut server = open("").await;
    let mut sent = minimal();
    sent["initiate_login_uri"] = json!("https://new.example.org/login?from=here");
    let client = register(&server, sent).await;
    let id = client.text("client_id").to_owned();
    server.edit_config("client = \"spa\"", &format!("client = \"{id}\""));
    server.restart().await;
    let mut browser = Browser::new();
    crate::landing::at_imis(&server, &mut browser, JO_SMITH).await;
    let page = crate::landing::from_imis(&server, &mut browser, "Events").await;
    let page = if page.location().is_some() {
        page
    } else {
        browser
            .submit(&page, crate::harness::steps::CONTINUE, &[])
            .await
    };
    let location = page.location().unwrap();
    let iss: String = url::form_urlencoded::byte_serialize(server.issuer.as_bytes()).collect();
    let expected = format!("https://new.example.org/login?from=here&iss={iss}");
    assert_eq!(location.as_str(), expected);
    // And the login that it then begins is answered.
    let page = browser.open(authorize_url(&server, &client, &[])).await;
    assert_eq!(page.url.path(), "/consent", "{}", page.body);
}

/// The policy of now holds for those of before.
#[tokio::test]
async fn another_policy_holds_at_the_next_start() {
    let mut server = open("scope = \"openid email\"").await;
    let client = register(&server, minimal()).await;
    assert_eq!(client.text("scope"), "email openid");
    server.edit_config(
        "scope = \"openid email\"",
        "scope = \"openid\"\nupstreams = [\"staff\"]\nconsent = \"always\"",
    );
    server.restart().await;
    let looked = http_client()
        .get(client.text("registration_client_uri"))
        .bearer_auth(client.text("registration_access_token"));
    assert_eq!(answer(looked).await.text("scope"), "openid");
    let id = portico::protocol::ids::ClientId::new(client.text("client_id"));
    let kept = server.store.find_client(&id).await.unwrap().unwrap().client;
    assert!(!kept.allows_upstream(&portico::protocol::ids::UpstreamId::new("members")));
    let mut browser = Browser::new();
    let refused = browser
        .get(authorize_url(
            &server,
            &client,
            &[("scope", "openid email")],
        ))
        .await;
    assert_eq!(refused.answer()["error"], "invalid_scope");
}

/// A public client, with PKCE alone.
#[tokio::test]
async fn a_public_client_gets_no_secret() {
    let server = open("").await;
    let mut sent = minimal();
    sent["token_endpoint_auth_method"] = json!("none");
    let client = register(&server, sent).await;
    for name in ["client_secret", "client_secret_expires_at"] {
        assert!(client.body.get(name).is_none(), "{name}");
    }
    let mut browser = Browser::new();
    let without = authorize_url(
        &server,
        &client,
        &[("code_challenge", ""), ("code_challenge_method", "")],
    );
    let refused = browser.get(without).await;
    assert_eq!(refused.answer()["error"], "invalid_request");
}

/// The page that phishers use: whose device it is nobody knows, and the answer goes to no page of ours (T16).
#[tokio::test]
async fn a_registered_clients_device_is_said_to_be_nobodys() {
    let device = portico::protocol::token::GrantType::DeviceCode.as_str();
    let server = open(&format!("grant_types = [\"{device}\"]")).await;
    let sent = json!({"grant_types": [device], "token_endpoint_auth_method": "none", "client_name": "Members App", "scope": "openid"});
    let client = register(&server, sent).await;
    let id = client.text("client_id");
    let form = [("client_id", id), ("scope", "openid")];
    let codes = answer(
        http_client()
            .post(server.url("/device_authorization"))
            .form(&form),
    )
    .await;
    assert_eq!(codes.status, 200, "{codes:?}");
    let mut browser = Browser::new();
    let page = browser.open(server.url("/device")).await;
    let fields = [("user_code", codes.text("user_code"))];
    let page = browser
        .submit(&page, "form:has(input[name=user_code])", &fields)
        .await;
    assert!(page.is_login(), "{page:?}");
    let caution =
        "nobody has checked who is behind it. What it asks for goes to whoever runs the device";
    assert!(page.body.contains(caution), "{}", page.body);
    assert!(
        !page.text("main").unwrap().contains("127.0.0.1"),
        "{}",
        page.body
    );
    let page = browser.sign_in_as(&page, JO_SMITH).await;
    assert_eq!(page.url.path(), "/device/confirm");
    assert!(page.body.contains(caution), "{}", page.body);
}

/// Agrees to everything, if there is a question.
async fn agreed(browser: &mut Browser, page: Page) -> Page {
    if page.url.path() != "/consent" {
        return page;
    }
    let allow = [("decision", "allow")];
    browser.submit(&page, "form", &allow).await
}

/// Dynamic Registration section 2: `default_acr_values` and `default_max_age` do to a login of the client what `acr_values` and `max_age`
/// would, and give way to them; `auth_time` is there, required or not.
#[tokio::test]
async fn the_defaults_of_a_registration_hold_at_a_login() {
    let server = TestServer::start_with(|setup| {
        levels(setup);
        setup.sections += "[registration]\nmode = \"open\"\n";
    })
    .await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    browser.log_in_as(url, JO_SMITH).await;

    let mut body = minimal();
    body["default_acr_values"] = json!([TWO]);
    body["require_auth_time"] = json!(true);
    let careful = register(&server, body).await;
    // What the request says itself counts in its place.
    let less = authorize_url(&server, &careful, &[("acr_values", ONE)]);
    let page = browser.open(less).await;
    let page = agreed(&mut browser, page).await;
    let tokens = redeem(&server, &careful, &page).await;
    let token = claims(tokens.text("id_token"));
    assert_eq!(
        (&token["acr"], &token["auth_time"]),
        (&json!(ONE), &json!(START))
    );
    // The session is not good enough for what the registration asks for.
    server.clock.advance(30);
    let page = browser.open(authorize_url(&server, &careful, &[])).await;
    assert!(page.is_login(), "{}", page.body);
    let page = log_in_safely(&mut browser, &page).await;
    let page = agreed(&mut browser, page).await;
    let tokens = redeem(&server, &careful, &page).await;
    let token = claims(tokens.text("id_token"));
    assert_eq!(
        (&token["acr"], &token["auth_time"]),
        (&json!(TWO), &json!(START + 30))
    );
    // Now it is.
    let page = browser.open(authorize_url(&server, &careful, &[])).await;
    assert!(page.answer().contains_key("code"), "{}", page.body);

    let mut body = minimal();
    body["default_max_age"] = json!(60);
    let hasty = register(&server, body).await;
    let page = browser.open(authorize_url(&server, &hasty, &[])).await;
    let page = agreed(&mut browser, page).await;
    assert!(page.answer().contains_key("code"), "{}", page.body);
    server.clock.advance(61);
    for max_age in ["", "3600"] {
        let url = authorize_url(&server, &hasty, &[("max_age", max_age)]);
        let page = browser.open(url).await;
        assert!(page.is_login(), "the longer one does not count: {max_age}");
    }
    let silent = authorize_url(&server, &hasty, &[("prompt", "none")]);
    assert_eq!(
        browser.get(silent).await.answer()["error"],
        "login_required"
    );
    let page = browser.open(authorize_url(&server, &hasty, &[])).await;
    let page = log_in_safely(&mut browser, &page).await;
    let tokens = redeem(&server, &hasty, &page).await;
    assert_eq!(claims(tokens.text("id_token"))["auth_time"], START + 91);
}

/// Dynamic Registration section 2.1, Core section 5.2: the pages of a device, too, call the app what it is called in the language that
/// they speak.
#[tokio::test]
async fn a_registered_clients_device_is_called_as_the_page_speaks() {
    let device = portico::protocol::token::GrantType::DeviceCode.as_str();
    let server = open(&format!("grant_types = [\"{device}\"]")).await;
    let sent = json!({
        "grant_types": [device], "token_endpoint_auth_method": "none", "scope": "openid",
        "client_name": "Members App", "client_name#fr": "Appli des membres",
    });
    let client = register(&server, sent).await;
    for (language, name) in [("fr", "Appli des membres"), ("en", "Members App")] {
        let id = client.text("client_id");
        let codes = crate::device::begin(&server, id, "openid").await;
        let mut browser = Browser::new();
        browser.language = Some(language.to_owned());
        let user_code = codes.text("user_code");
        let page = crate::device::at_question(&server, &mut browser, user_code).await;
        assert!(page.text("h1").unwrap().contains(name), "{}", page.body);
        let other = if language == "fr" {
            "Members App"
        } else {
            "Appli"
        };
        assert!(!page.text("main").unwrap().contains(other), "{}", page.body);
    }
}
