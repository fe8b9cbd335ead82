//! Exchange of our access tokens for others of ours (RFC 8693): who may, for what, for how long, and what ends it (T10, T15,
//! T17, T18, T40, T41).

use std::collections::BTreeMap;

use portico::simulator::people::{ANN_LEE, JO_SMITH};
use serde_json::{Value, json};

use crate::harness::browser::Browser;
use crate::harness::relying_party::{Answer, claims};
use crate::harness::server::{START, Setup, TestServer};
use crate::token_exchange::GRANT;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const STOCK: &str = "https://stock.example.org";
const MAIL: &str = "https://mail.example.org/v1";
const SCOPE: &str = "openid profile offline_access orders:read orders:write";

/// An app; the API that it calls, which calls the next one, which calls the last one without saying so; and one that may
/// not.
pub(crate) fn chain(setup: &mut Setup) {
    setup.clients = format!(
        r#"
[[clients]]
client_id = "front-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://front.example.org/callback"]
grant_types = ["authorization_code", "refresh_token"]
scope = "{SCOPE}"
audience = ["https://orders.example.org"]

[[clients]]
client_id = "both"
client_secret = {{ env = "SERVICE_SECRET" }}
grant_types = ["client_credentials", "{GRANT}"]
scope = "openid orders:read stock:read"
upstreams = ["members"]
subject_type = "pairwise"
sector_identifier = "orders.example.org"
exchange = {{ audiences = ["{STOCK}"], own_audiences = ["https://orders.example.org"], from_clients = ["front-app"] }}

[[clients]]
client_id = "plain"
client_secret = {{ env = "SERVICE_SECRET" }}
grant_types = ["client_credentials", "{GRANT}"]
scope = "orders:read"
exchange = {{ audiences = ["{MAIL}"], own_audiences = ["{STOCK}", "https://orders.example.org"], from_clients = ["both", "front-app"], impersonation = true }}
"#
    );
}

async fn exchange(
    server: &TestServer,
    client: &str,
    subject: &str,
    changes: &[(&str, &str)],
) -> Answer {
    let audience = if client == "both" { STOCK } else { MAIL };
    let mut parameters = BTreeMap::from([
        ("grant_type", GRANT),
        ("subject_token", subject),
        ("subject_token_type", ACCESS_TOKEN),
        ("audience", audience),
    ]);
    parameters.extend(changes.iter().copied());
    parameters.retain(|_, value| !value.is_empty());
    server
        .token(client, &parameters.into_iter().collect::<Vec<_>>())
        .await
}

/// The API's token of its own.
async fn own(server: &TestServer, client: &str) -> String {
    let tokens = server
        .token(client, &[("grant_type", "client_credentials")])
        .await;
    tokens.text("access_token").to_owned()
}

/// Exchanges openly, as an actor.
pub(crate) async fn delegate(
    server: &TestServer,
    client: &str,
    subject: &str,
    more: &[(&str, &str)],
) -> Answer {
    let actor = own(server, client).await;
    let mut changes = vec![
        ("actor_token", actor.as_str()),
        ("actor_token_type", ACCESS_TOKEN),
    ];
    changes.extend(more);
    exchange(server, client, subject, &changes).await
}

pub(crate) async fn front(server: &TestServer) -> (Browser, Answer) {
    front_with(server, "openid orders:read orders:write").await
}

async fn front_with(server: &TestServer, scope: &str) -> (Browser, Answer) {
    let mut browser = Browser::new();
    let url = server.authorize_url("front-app", &[("scope", scope)]);
    let page = browser.log_in_as(url, JO_SMITH).await;
    let tokens = server
        .redeem("front-app", &page.answer()["code"], &[])
        .await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    (browser, tokens)
}

/// RFC 8693 sections 2.2.1 and 4.1, RFC 9068.
#[tokio::test]
async fn an_api_acts_for_the_person_at_the_next_one() {
    let server = TestServer::start_with(chain).await;
    let (_, tokens) = front(&server).await;
    server.clock.advance(100);
    let subject = tokens.text("access_token");
    let answer = delegate(&server, "both", subject, &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let token = answer.text("access_token");
    let expected = json!({
        "access_token": token, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer",
        // No longer than the subject token, whose first 100 seconds have passed.
        "expires_in": 500, "scope": "orders:read",
    });
    assert_eq!(answer.body, expected);
    let (old, mut new) = (claims(subject), claims(token));
    let jti = new.as_object_mut().unwrap().remove("jti").unwrap();
    assert_ne!(jti, old["jti"]);
    let sub = new.as_object_mut().unwrap().remove("sub").unwrap();
    assert_ne!(sub, old["sub"], "pairwise: as this client knows the person");
    let expected = json!({
        "iss": server.issuer, "aud": STOCK, "client_id": "both", "scope": "orders:read",
        "iat": START + 100, "exp": START + 600, "auth_time": START, "sid": old["sid"],
        "family": old["family"], "family_client": "front-app", "act": { "sub": "both" },
    });
    assert_eq!(new, expected);
    // By `resource` too, and narrower, and not at our own endpoints.
    let narrower = [
        ("audience", ""),
        ("resource", STOCK),
        ("scope", "orders:read"),
    ];
    assert_eq!(
        delegate(&server, "both", subject, &narrower).await.status,
        200
    );
    assert_eq!(server.userinfo(token).await.status, 401);
}

/// RFC 8693 section 4.1: who acted stays on record, also where an API may act unseen.
#[tokio::test]
async fn a_chain_of_apis_is_told_in_the_last_token() {
    let server = TestServer::start_with(chain).await;
    let (_, tokens) = front(&server).await;
    let first = delegate(&server, "both", tokens.text("access_token"), &[]).await;
    let first = first.text("access_token");
    let seen = delegate(&server, "plain", first, &[]).await;
    let seen = claims(seen.text("access_token"));
    assert_eq!(
        seen["act"],
        json!({ "sub": "plain", "act": { "sub": "both" } })
    );
    assert_eq!(seen["family_client"], "front-app");
    assert_eq!(seen["aud"], MAIL);
    let unseen = exchange(&server, "plain", first, &[]).await;
    assert_eq!(
        claims(unseen.text("access_token"))["act"],
        json!({ "sub": "both" })
    );
    let unseen = exchange(&server, "plain", tokens.text("access_token"), &[]).await;
    assert_eq!(claims(unseen.text("access_token")).get("act"), None);
    // And only where the policy says so.
    let refused = exchange(&server, "both", tokens.text("access_token"), &[]).await;
    refused.assert_error(400, "invalid_request");
}

/// T15, T18: nothing is allowed that no policy names; T10: nobody's token but those of the clients named.
#[tokio::test]
async fn only_what_the_policy_names() {
    let server = TestServer::start_with(chain).await;
    let (_, tokens) = front(&server).await;
    let subject = tokens.text("access_token");
    let other = server.tokens("spa", "openid").await;
    let refused = |changes: Vec<(&'static str, &'static str)>| {
        let server = &server;
        async move { delegate(server, "both", subject, &changes).await }
    };
    for target in [
        MAIL,
        "https://stock.example.org/",
        "https://other.example.org",
        "HTTPS://stock.example.org",
    ] {
        refused(vec![("audience", target)])
            .await
            .assert_error(400, "invalid_target");
        refused(vec![("audience", ""), ("resource", target)])
            .await
            .assert_error(400, "invalid_target");
    }
    // Whoever calls the API with a token of another app, or with one that a server has for itself.
    delegate(&server, "both", other.text("access_token"), &[])
        .await
        .assert_error(400, "invalid_request");
    let servers = own(&server, "both").await;
    delegate(&server, "plain", &servers, &[])
        .await
        .assert_error(400, "invalid_request");
    // An app without the grant; one with the grant and without a policy would not start (config tests).
    exchange(&server, "front-app", subject, &[])
        .await
        .assert_error(400, "unauthorized_client");
    for scope in [
        "orders:write",
        "stock:read",
        "openid",
        "offline_access",
        "orders:read orders:write",
    ] {
        let changes = [("scope", scope)];
        delegate(&server, "both", subject, &changes)
            .await
            .assert_error(400, "invalid_scope");
    }
}

/// T40, T41: what is no access token of ours, or not the actor's own.
#[tokio::test]
async fn other_tokens_are_none() {
    let server = TestServer::start_with(chain).await;
    let (_, tokens) = front(&server).await;
    let subject = tokens.text("access_token");
    let truncated = &subject[..subject.len() - 1];
    for wrong in [
        tokens.text("id_token"),
        tokens.text("refresh_token"),
        truncated,
        "x",
    ] {
        delegate(&server, "both", wrong, &[])
            .await
            .assert_error(400, "invalid_request");
    }
    let as_id_token = [("subject_token_type", ID_TOKEN)];
    delegate(&server, "both", tokens.text("id_token"), &as_id_token)
        .await
        .assert_error(400, "invalid_request");
    let foreign = own(&server, "plain").await;
    for actor in [
        subject,
        foreign.as_str(),
        tokens.text("id_token"),
        truncated,
    ] {
        let changes = [("actor_token", actor), ("actor_token_type", ACCESS_TOKEN)];
        exchange(&server, "both", subject, &changes)
            .await
            .assert_error(400, "invalid_request");
    }
    // RFC 8693 section 2.1: a type alone, a token alone, another type.
    let actor = own(&server, "both").await;
    for changes in [
        vec![("actor_token_type", ACCESS_TOKEN)],
        vec![("actor_token", actor.as_str())],
        vec![
            ("actor_token", actor.as_str()),
            ("actor_token_type", ID_TOKEN),
        ],
    ] {
        exchange(&server, "both", subject, &changes)
            .await
            .assert_error(400, "invalid_request");
    }
    server.clock.advance(600);
    delegate(&server, "both", subject, &[])
        .await
        .assert_error(400, "invalid_request");
}

/// What ends the app's tokens ends what was exchanged for them.
#[tokio::test]
async fn a_logout_of_the_app_ends_the_chain() {
    let server = TestServer::start_with(chain).await;
    let (mut browser, tokens) = front(&server).await;
    let first = delegate(&server, "both", tokens.text("access_token"), &[]).await;
    let first = first.text("access_token").to_owned();
    assert_eq!(exchange(&server, "plain", &first, &[]).await.status, 200);
    let page = browser.open(server.url("/end_session")).await;
    browser.submit(&page, "form", &[]).await;
    exchange(&server, "plain", &first, &[])
        .await
        .assert_error(400, "invalid_request");
    delegate(&server, "both", tokens.text("access_token"), &[])
        .await
        .assert_error(400, "invalid_request");
}

/// T15: the person has to be one that the exchanging client serves.
#[tokio::test]
async fn people_whom_the_client_does_not_serve_are_not_acted_for() {
    let server = TestServer::start_with(chain).await;
    let mut browser = Browser::new();
    let url = server.authorize_url("front-app", &[("scope", "openid orders:read")]);
    let page = browser.log_in_at_aim18(url, ANN_LEE).await;
    let tokens = server
        .redeem("front-app", &page.answer()["code"], &[])
        .await;
    delegate(&server, "both", tokens.text("access_token"), &[])
        .await
        .assert_error(400, "invalid_grant");
}

/// T62: a token that was exchanged gets no upstream's token, whatever the client may have for its own.
#[tokio::test]
async fn an_exchanged_token_opens_no_upstream() {
    let server = TestServer::start_with(|setup| {
        chain(setup);
        setup.clients = setup.clients.replace(
            "scope = \"openid orders:read stock:read\"",
            "scope = \"openid upstream:members\"\nupstream_tokens = [\"members\"]\n\
             redirect_uris = [\"https://both.example.org/callback\"]",
        );
        setup.clients = setup.clients.replace(
            "grant_types = [\"client_credentials\", \"urn:ietf:params:oauth:grant-type:token-exchange\"]\nscope = \"openid upstream",
            "grant_types = [\"authorization_code\", \"client_credentials\", \"urn:ietf:params:oauth:grant-type:token-exchange\"]\nscope = \"openid upstream",
        );
        setup.clients = setup.clients.replace(SCOPE, "openid upstream:members");
    })
    .await;
    let mut browser = Browser::new();
    let url = server.authorize_url("front-app", &[("scope", "openid upstream:members")]);
    let page = browser.log_in_as(url, JO_SMITH).await;
    let tokens = server
        .redeem("front-app", &page.answer()["code"], &[])
        .await;
    let first = delegate(&server, "both", tokens.text("access_token"), &[]).await;
    assert_eq!(first.text("scope"), "upstream:members");
    let release = [("audience", "members")];
    let refused = exchange(&server, "both", first.text("access_token"), &release).await;
    refused.assert_error(400, "invalid_request");
    let own = server.tokens("both", "openid upstream:members").await;
    let released = exchange(&server, "both", own.text("access_token"), &release).await;
    assert_eq!(released.status, 200, "its own does: {released:?}");
    assert_ne!(released.body["access_token"], Value::Null);
}

/// RFC 8693 section 5, RFC 8707: a token that was for another API, or for this server alone, gives nothing to whoever found it, be it
/// bound to a key (T43) or not; and what was taken from the app is not given by way of it (T17).
#[tokio::test]
async fn only_a_token_that_was_for_the_api_itself_is_exchanged() {
    let mut server = TestServer::start_with(chain).await;
    let (_, tokens) = front(&server).await;
    let subject = tokens.text("access_token").to_owned();
    let good = delegate(&server, "both", &subject, &[]).await;
    assert_eq!(good.status, 200, "{good:?}");
    let refused = delegate(&server, "both", &subject, &[("scope", "orders:write")]).await;
    refused.assert_error(400, "invalid_scope");
    // The app loses a scope: its old token is worth no more than it is now.
    server.edit_config(
        "scope = \"openid profile offline_access orders:read orders:write\"",
        "scope = \"openid profile offline_access orders:write\"",
    );
    server.restart().await;
    let refused = delegate(&server, "both", &subject, &[("scope", "orders:read")]).await;
    refused.assert_error(400, "invalid_scope");
    // It is for another API from now on.
    server.edit_config(
        "audience = [\"https://orders.example.org\"]",
        "audience = [\"https://archive.example.org\"]",
    );
    server.restart().await;
    let (_, tokens) = front_with(&server, "openid orders:write").await;
    let refused = delegate(&server, "both", tokens.text("access_token"), &[]).await;
    refused.assert_error(400, "invalid_request");
}

/// T15, T17: what is taken from the app is taken from every API that acts for its people, however far from it, in a further exchange and
/// at introspection.
#[tokio::test]
async fn what_is_taken_from_the_app_is_taken_from_the_whole_chain() {
    let mut server = TestServer::start_with(chain).await;
    let (_, tokens) = front(&server).await;
    let first = delegate(&server, "both", tokens.text("access_token"), &[]).await;
    let first = first.text("access_token").to_owned();
    let second = exchange(&server, "plain", &first, &[]).await;
    assert_eq!(second.text("scope"), "orders:read");
    let second = second.text("access_token").to_owned();
    let active = async |server: &TestServer, client, token| {
        server.introspect(client, token).await.body["active"] == true
    };
    let urls = "redirect_uris = [\"https://front.example.org/callback\"]\n";
    for limit in [
        "upstreams = [\"staff\"]\n",
        "require_groups = [\"Nobody\"]\n",
    ] {
        assert!(active(&server, "both", &first).await);
        assert!(active(&server, "plain", &second).await);
        let limited = format!("{urls}{limit}");
        server.edit_config(urls, &limited);
        server.restart().await;
        exchange(&server, "plain", &first, &[])
            .await
            .assert_error(400, "invalid_request");
        server.assert_inactive("both", &first).await;
        server.assert_inactive("plain", &second).await;
        server.edit_config(&limited, urls);
        server.restart().await;
    }
    // The app loses the scope, and both APIs may have it still.
    let scope = format!("scope = \"{SCOPE}\"");
    server.edit_config(&scope, &scope.replace(" orders:read", ""));
    server.restart().await;
    exchange(&server, "plain", &first, &[("scope", "orders:read")])
        .await
        .assert_error(400, "invalid_scope");
    let again = exchange(&server, "plain", &first, &[]).await;
    assert_eq!(claims(again.text("access_token")).get("scope"), None);
    for (client, token) in [("both", &first), ("plain", &second)] {
        let seen = server.introspect(client, token).await.body;
        assert_eq!((&seen["active"], seen.get("scope")), (&json!(true), None));
    }
}
