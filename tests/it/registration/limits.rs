//! What a client that registered itself may use up: anybody can have one, with a secret or without (T38, T48).

use std::fmt::Write as _;

use portico::simulator::people::JO_SMITH;
use reqwest::RequestBuilder;
use serde_json::json;
use url::Url;

use super::{authorize_url, log_in, minimal, register};
use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, answer};
use crate::harness::server::TestServer;

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A server at which an address has four tries, and whoever is named in `x-forwarded-for` is believed.
async fn server() -> TestServer {
    TestServer::start_with(|setup| {
        setup.server = "trusted_proxies = [\"127.0.0.0/8\"]\n".to_owned();
        let sections = &mut setup.sections;
        write!(
            sections,
            "max_attempts_per_address = 4\n[registration]\nmode = \"open\"\n\
             grant_types = [\"authorization_code\", \"{DEVICE}\"]\n"
        )
        .unwrap();
    })
    .await
}

/// A request that the client authenticates.
fn by(client: &Answer, request: RequestBuilder) -> RequestBuilder {
    request.basic_auth(client.text("client_id"), Some(client.text("client_secret")))
}

async fn push(server: &TestServer, client: &Answer, address: &str) -> Answer {
    let form = Url::parse(&authorize_url(server, client, &[])).unwrap();
    let form: Vec<(String, String)> = form.query_pairs().into_owned().collect();
    let request = http_client().post(server.url("/par")).form(&form);
    answer(by(client, request).header("x-forwarded-for", address)).await
}

/// T48: by the client, from wherever it pushes; whoever else pushes from there has theirs.
#[tokio::test]
async fn a_client_with_a_secret_pushes_only_so_many_requests_that_led_to_no_login() {
    let server = server().await;
    let client = register(&server, minimal()).await;
    let other = register(&server, minimal()).await;
    let mut browser = Browser::new();
    for number in 0..6 {
        let pushed = push(&server, &client, "192.0.2.7").await;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        let mut url = Url::parse(&server.url("/authorize")).unwrap();
        url.query_pairs_mut()
            .append_pair("client_id", client.text("client_id"))
            .append_pair("request_uri", pushed.text("request_uri"));
        let page = if number == 0 {
            log_in(&mut browser, url.into()).await
        } else {
            browser.get(url).await
        };
        assert!(page.answer().contains_key("code"), "{page:?}");
    }
    for number in 0..4 {
        let pushed = push(&server, &client, &format!("192.0.2.{number}")).await;
        assert_eq!(pushed.status, 201, "{pushed:?}");
    }
    for address in ["192.0.2.7", "192.0.2.8"] {
        let refused = push(&server, &client, address).await;
        refused.assert_error(429, "temporarily_unavailable");
    }
    assert_eq!(push(&server, &other, "192.0.2.7").await.status, 201);
    // A client without a secret is whoever says so, and only the address tells them apart.
    let mut public = minimal();
    public["token_endpoint_auth_method"] = json!("none");
    let public = register(&server, public).await;
    let form = Url::parse(&authorize_url(&server, &public, &[])).unwrap();
    let form: Vec<(String, String)> = form.query_pairs().into_owned().collect();
    for (address, status) in [("192.0.2.7", 201), ("192.0.2.8", 201)] {
        for _ in 0..4 {
            let request = http_client().post(server.url("/par")).form(&form);
            let pushed = answer(request.header("x-forwarded-for", address)).await;
            assert_eq!(pushed.status, status, "{pushed:?}");
        }
        let request = http_client().post(server.url("/par")).form(&form);
        let refused = answer(request.header("x-forwarded-for", address)).await;
        refused.assert_error(429, "temporarily_unavailable");
    }
}

/// T48: each code is a row for its life and a day.
#[tokio::test]
async fn a_client_with_a_secret_asks_for_only_so_many_device_codes() {
    let server = server().await;
    let sent = json!({"grant_types": [DEVICE], "scope": "openid"});
    let client = register(&server, sent).await;
    let begin = || {
        let request = http_client().post(server.url("/device_authorization"));
        answer(by(&client, request.form(&[("scope", "openid")])))
    };
    for _ in 0..4 {
        let codes = begin().await;
        assert_eq!(codes.status, 200, "{codes:?}");
    }
    begin().await.assert_error(503, "temporarily_unavailable");
}

/// T48: what no cookie can hold is a row of the browser's address, whoever the client is.
#[tokio::test]
async fn large_requests_of_a_client_with_a_secret_are_counted() {
    let server = server().await;
    let client = register(&server, minimal()).await;
    let state = "s".repeat(2000);
    let nonce = "n".repeat(500);
    let changes = [("state", state.as_str()), ("nonce", nonce.as_str())];
    let large = authorize_url(&server, &client, &changes);
    for _ in 0..4 {
        assert_eq!(Browser::new().open(&large).await.status, 200);
    }
    assert_eq!(Browser::new().open(&large).await.status, 400);
    // So is one that was pushed, and is too large for the cookie.
    let form: Vec<(String, String)> = Url::parse(&large)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect();
    let request = http_client().post(server.url("/par")).form(&form);
    let pushed = answer(by(&client, request)).await;
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let mut url = Url::parse(&server.url("/authorize")).unwrap();
    url.query_pairs_mut()
        .append_pair("client_id", client.text("client_id"))
        .append_pair("request_uri", pushed.text("request_uri"));
    assert_eq!(Browser::new().open(url).await.status, 400);
    let short = authorize_url(&server, &client, &[]);
    let page = Browser::new().log_in_as(short, JO_SMITH).await;
    assert_eq!(page.url.path(), "/consent", "{page:?}");
}
