//! The configuration of `docs/conformance.md`, and what the plans of the OpenID Foundation's suite that it is for warn about: claims
//! that a scope opens and the answer lacks, `acr`, unsigned request objects, a client for each test.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portico::protocol::ids::ClientId;
use portico::simulator::people;
use serde_json::{Value, json};

use crate::harness::browser::{Browser, PASSWORD_FORM, http_client};
use crate::harness::relying_party::{Answer, answer, claims};
use crate::harness::server::{POST_SECRET, TestServer, WEB_SECRET};

const CALLBACK: &str = "https://www.certification.openid.net/test/a/portico/callback";

/// The types that the certification plans have.
const TYPES: [&str; 6] = [
    "code",
    "id_token",
    "id_token token",
    "code id_token",
    "code token",
    "code id_token token",
];

/// Core section 5.4: what each scope opens.
const SCOPES: [(&str, &[&str]); 4] = [
    (
        "profile",
        &[
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
            "preferred_username",
        ],
    ),
    ("email", &["email", "email_verified"]),
    ("address", &["address"]),
    ("phone", &["phone_number", "phone_number_verified"]),
];

/// The very text of the documentation, with the addresses of this run.
async fn started() -> TestServer {
    let document = include_str!("../../docs/conformance.md");
    let blocks: Vec<&str> = document.split("```toml\n").skip(1).collect();
    let [block] = blocks[..] else {
        panic!("not one block: {blocks:?}")
    };
    let (config, _) = block.split_once("```").unwrap();
    let config = config
        .replace("https://op.example.org", "{issuer}")
        .replace("http://127.0.0.1:8081", "{imis}")
        .replace("BACKCHANNEL_SECRET", "SERVICE_SECRET")
        .replace("FRONTCHANNEL_SECRET", "SHARED_SECRET");
    TestServer::start_with(|setup| setup.config = Some(config)).await
}

/// A test of the suite fails at a call that it does not wait for.
#[tokio::test]
async fn a_client_of_a_plan_is_told_of_logouts_as_its_plan_waits_for_it() {
    let server = started().await;
    for (client, backchannel, frontchannel) in [
        ("suite", false, false),
        ("suite-2", false, false),
        ("suite-backchannel", true, false),
        ("suite-frontchannel", false, true),
    ] {
        let id = ClientId::new(client);
        let found = server.store.find_client(&id).await.unwrap();
        let logout = &found.unwrap().client.logout;
        assert_eq!(logout.backchannel_logout_uri.is_some(), backchannel);
        assert_eq!(logout.frontchannel_logout_uri.is_some(), frontchannel);
    }
}

/// A request as the suite makes it: without PKCE, and with a nonce for every type.
fn request(
    server: &TestServer,
    client: &str,
    response_type: &str,
    more: &[(&str, &str)],
) -> String {
    let mut changes = vec![
        ("redirect_uri", CALLBACK),
        ("response_type", response_type),
        ("code_challenge", ""),
        ("code_challenge_method", ""),
    ];
    changes.extend(more);
    server.authorize_url(client, &changes)
}

/// The answer; the person logs in and agrees where they are asked to.
async fn reach(browser: &mut Browser, url: String) -> BTreeMap<String, String> {
    let mut page = browser.open(&url).await;
    if page.url.path() == "/login" {
        let person = people::JO_SMITH;
        let fields = [("username", person.username), ("password", person.password)];
        page = browser.submit(&page, PASSWORD_FORM, &fields).await;
    }
    if page.url.path() == "/consent" {
        let agrees = [("decision", "allow")];
        page = browser.submit(&page, "form", &agrees).await;
    }
    let location = page.location().unwrap_or_else(|| panic!("{page:?}"));
    assert!(location.as_str().starts_with(CALLBACK), "{location}");
    page.answer()
}

async fn redeem(server: &TestServer, code: &str) -> Answer {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
    ];
    let request = http_client().post(server.url("/token")).form(&form);
    let redeemed = answer(request.basic_auth("suite", Some(WEB_SECRET))).await;
    assert_eq!(redeemed.status, 200, "{redeemed:?}");
    redeemed
}

#[tokio::test]
async fn no_claim_of_a_scope_is_missing_for_any_type() {
    let server = started().await;
    let mut browser = Browser::new();
    for (scope, expected) in SCOPES {
        for response_type in TYPES {
            let scope = format!("openid {scope}");
            let url = request(&server, "suite", response_type, &[("scope", &scope)]);
            let told = reach(&mut browser, url).await;
            let told = match (told.get("access_token"), told.get("code")) {
                (Some(token), _) => server.userinfo(token).await.body,
                (None, Some(code)) => {
                    let tokens = redeem(&server, code).await;
                    server.userinfo(tokens.text("access_token")).await.body
                }
                (None, None) => claims(&told["id_token"]),
            };
            let missing: Vec<&&str> = expected
                .iter()
                .filter(|claim| told.get(**claim).is_none_or(Value::is_null))
                .collect();
            assert!(missing.is_empty(), "{response_type}: {missing:?}: {told}");
        }
    }
}

#[tokio::test]
async fn acr_values_are_answered_by_one_of_them() {
    let server = started().await;
    let mut browser = Browser::new();
    let url = request(&server, "suite", "code", &[("acr_values", "1 2")]);
    let told = reach(&mut browser, url).await;
    let tokens = redeem(&server, &told["code"]).await;
    assert_eq!(claims(tokens.text("id_token"))["acr"], "1");
}

#[tokio::test]
async fn an_unsigned_request_object_is_read() {
    let server = started().await;
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let object = format!(
        "{}.{}.",
        part(&json!({ "alg": "none" })),
        part(&json!({
            "client_id": "suite", "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid", "state": "of-the-object",
            "nonce": "of-the-object",
        }))
    );
    let mut browser = Browser::new();
    let told = reach(
        &mut browser,
        request(&server, "suite", "code", &[("request", &object)]),
    )
    .await;
    assert_eq!(told["state"], "of-the-object");
    let tokens = redeem(&server, &told["code"]).await;
    assert_eq!(claims(tokens.text("id_token"))["nonce"], "of-the-object");
}

#[tokio::test]
async fn the_second_client_sends_its_secret_in_the_form() {
    let server = started().await;
    let mut browser = Browser::new();
    let told = reach(&mut browser, request(&server, "suite-2", "code", &[])).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &told["code"]),
        ("redirect_uri", CALLBACK),
        ("client_id", "suite-2"),
        ("client_secret", POST_SECRET),
    ];
    let redeemed = answer(http_client().post(server.url("/token")).form(&form)).await;
    assert_eq!(redeemed.status, 200, "{redeemed:?}");
}

/// The plan has some thirty tests for each response type, each of which registers a client, all from one address.
#[tokio::test]
async fn there_is_a_client_for_each_test_of_the_dynamic_plans() {
    let server = started().await;
    let mut browser = Browser::new();
    let mut ids = BTreeSet::new();
    for response_type in TYPES.into_iter().cycle().take(30) {
        let mut grant_types = Vec::new();
        if response_type.contains("code") {
            grant_types.push("authorization_code");
        }
        if response_type != "code" {
            grant_types.push("implicit");
        }
        let body = json!({
            "client_name": "OIDF conformance suite",
            "redirect_uris": [CALLBACK],
            "grant_types": grant_types,
            "response_types": [response_type],
            "token_endpoint_auth_method": "client_secret_basic",
            "contacts": ["certification@oidf.org"],
        });
        let request = http_client().post(server.url("/register"));
        let registered = answer(request.json(&body)).await;
        assert_eq!(registered.status, 201, "{registered:?}");
        ids.insert((registered.text("client_id").to_owned(), response_type));
    }
    for (id, response_type) in ids.iter().take(TYPES.len()) {
        let told = reach(&mut browser, request(&server, id, response_type, &[])).await;
        for name in response_type.split(' ') {
            let name = if name == "token" {
                "access_token"
            } else {
                name
            };
            assert!(told.contains_key(name), "{response_type}: {told:?}");
        }
    }
}
