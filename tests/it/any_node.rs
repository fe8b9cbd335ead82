//! A flow is nobody's: two nodes on one database, and each request of each flow may meet either of them, also one that has not
//! been there when the flow began, after the death of the one that had (design, section 5). The database and what travels with
//! the browser are all that nodes have in common.

use portico::protocol::dpop::ath;
use portico::simulator::people::{ANN_LEE, JO_SMITH};
use serde_json::Value;

use crate::device;
use crate::harness::balancer::Balancer;
use crate::harness::browser::{Browser, http_client};
use crate::harness::dpop::ProofKey;
use crate::harness::relying_party::{Answer, VERIFIER, answer, redirect_uri};
use crate::harness::server::TestServer;
use crate::harness::steps::TO_AIM18;
use crate::landing;
use crate::par::by_reference;

/// Code and PKCE, with the password form and a question; then all that an app does with its tokens, and the logout.
async fn password_login(server: &TestServer) {
    let mut browser = Browser::new();
    let changes = [("scope", "openid profile"), ("prompt", "consent")];
    let url = server.authorize_url("web", &changes);
    let page = browser.log_in_as(url, JO_SMITH).await;
    assert_eq!(page.url.path(), "/consent", "{}", page.body);
    let page = browser
        .submit(&page, "form", &[("decision", "allow")])
        .await;
    let code = &page.answer()["code"];
    let tokens = server.redeem("web", code, &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let told = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(told.body["name"], JO_SMITH.full_name(), "{told:?}");
    let refreshed = server.refresh("web", tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let refreshed = server.refresh("web", refreshed.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let access_token = refreshed.text("access_token");
    let seen = server.introspect("web", access_token).await;
    assert_eq!(seen.body["active"], true, "{seen:?}");

    // Whoever is logged in is not asked again.
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let other = server.redeem("spa", &page.answer()["code"], &[]).await;
    assert_eq!(other.status, 200, "{other:?}");

    let hint = refreshed.text("id_token");
    let page = browser
        .open(server.url(&format!("/end_session?id_token_hint={hint}")))
        .await;
    assert_eq!(page.status, 200, "{}", page.body);
    server.assert_inactive("web", access_token).await;
    let silent = server.authorize_url("web", &[("prompt", "none")]);
    let page = browser.get(silent).await;
    assert_eq!(page.answer()["error"], "login_required");
    let refused = server.refresh("web", refreshed.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
    let replayed = server.redeem("web", code, &[]).await;
    replayed.assert_error(400, "invalid_grant");
}

/// A request that was pushed, and a login at aiM18's own page; a form that asks before it logs out.
async fn pushed_request(server: &TestServer) {
    let pushed = server.push("staff-app", &[("state", "pushed")]).await;
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let url = by_reference(server, "staff-app", pushed.text("request_uri"));
    let mut browser = Browser::new();
    let page = browser.open(&url).await;
    let page = browser.submit(&page, TO_AIM18, &[]).await;
    let back = browser.at_aim18(&page, ANN_LEE).await;
    let page = browser.follow(back).await;
    let told = page.answer();
    assert_eq!(told["state"], "pushed");
    let tokens = server.redeem("staff-app", &told["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    // It was for one use, wherever that was.
    let page = Browser::new().open(&url).await;
    assert_eq!(page.status, 400, "{}", page.body);

    let page = browser.open(server.url("/end_session")).await;
    let page = browser.submit(&page, "main form", &[]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let refused = server
        .refresh("staff-app", tokens.text("refresh_token"))
        .await;
    refused.assert_error(400, "invalid_grant");
}

/// A login at iMIS's page, which delivers across sites; then tokens that are given back.
async fn landing(server: &TestServer) {
    let mut browser = Browser::new();
    landing::at_imis(server, &mut browser, JO_SMITH).await;
    let page = landing::leave_from(&mut browser, &server.authorize_url("spa", &[])).await;
    let page = landing::deliver(&mut browser, &page).await;
    let code = &page.answer()["code"];
    let tokens = server.redeem("spa", code, &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let access_token = tokens.text("access_token");
    let gone = server
        .show("/revoke", "spa", &[("token", tokens.text("refresh_token"))])
        .await;
    assert_eq!(gone.status, 200, "{gone:?}");
    assert_eq!(server.userinfo(access_token).await.status, 401);
}

/// A device that asks while a person at a browser answers.
async fn device_login(server: &TestServer) {
    let codes = device::begin(server, "tv", "openid offline_access").await;
    let device_code = codes.text("device_code");
    let waiting = device::ask(server, "tv", device_code).await;
    waiting.assert_error(400, "authorization_pending");
    let mut browser = Browser::new();
    let page = device::at_question(server, &mut browser, codes.text("user_code")).await;
    device::decide(&mut browser, &page, "allow").await;
    server.clock.advance(6);
    let tokens = device::ask(server, "tv", device_code).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let refreshed = server.refresh("tv", tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    let again = device::ask(server, "tv", device_code).await;
    again.assert_error(400, "invalid_grant");
}

/// Tokens that belong to a key, of servers that want their nonce in each proof.
async fn possession(server: &TestServer) {
    let key = ProofKey::new();
    let nonce_of = |asked: &Answer| asked.headers["dpop-nonce"].to_str().unwrap().to_owned();
    let post = async |form: &[(&str, &str)], proof: &str| {
        let request = http_client()
            .post(server.url("/token"))
            .header("DPoP", proof);
        server.send_as(request, "spa", form).await
    };
    let code = server.code("spa", &[("scope", "openid email")]).await;
    let redirect_uri = redirect_uri("spa");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", redirect_uri.as_str()),
        ("code_verifier", VERIFIER),
    ];
    let asked = post(&form, &key.for_token(server)).await;
    asked.assert_error(400, "use_dpop_nonce");
    let with_nonce = |nonce: &str, request: (&str, &str), token: Option<&str>| {
        let bound = token.map_or(Value::Null, |token| ath(token).into());
        let changes = [("nonce", nonce.into()), ("ath", bound)];
        key.proof(server, request, &changes)
    };
    let proof = with_nonce(&nonce_of(&asked), ("POST", "/token"), None);
    let tokens = post(&form, &proof).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let token = tokens.text("access_token");
    let show = async |proof: &str| {
        let request = http_client()
            .get(server.url("/userinfo"))
            .header("authorization", format!("DPoP {token}"))
            .header("DPoP", proof);
        answer(request).await
    };
    let proof = with_nonce(&nonce_of(&tokens), ("GET", "/userinfo"), Some(token));
    let told = show(&proof).await;
    assert_eq!(told.body["email"], JO_SMITH.email, "{told:?}");
    // A proof is good for one use, wherever that was.
    assert_eq!(show(&proof).await.status, 401);
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens.text("refresh_token")),
    ];
    let proof = with_nonce(&nonce_of(&told), ("POST", "/token"), None);
    let refreshed = post(&form, &proof).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
}

/// Two nodes behind one address.
async fn nodes() -> (Balancer, TestServer) {
    let balancer = Balancer::start().await;
    let server = TestServer::start_with(|setup| {
        device::devices(setup);
        setup.issuer.clone_from(&balancer.url);
        // One person logs in again and again.
        setup.sections =
            "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 100\n\n[dpop]\nrequire_nonce = true\n"
                .to_owned();
    })
    .await;
    (balancer, server)
}

/// Has `flow` meet both nodes in turns, beginning with each. Then, once for each of its requests, has one node begin it, kills
/// that before the request, and has the other one go on.
async fn serve_anywhere(flow: impl AsyncFn(&TestServer)) {
    let (balancer, mut server) = nodes().await;
    let nodes = [server.address, server.add_node().await];
    for first in [0, 1] {
        balancer.route(move |number| nodes[(first + number) % 2]);
        flow(&server).await;
    }
    let requests = balancer.requests();
    for last in 1..requests {
        let mut mortal = Some(server.add_mortal());
        let survivor = nodes[last % 2];
        balancer.route(move |number| {
            drop(mortal.take_if(|_| number == last));
            mortal.as_ref().map_or(survivor, |mortal| mortal.address)
        });
        flow(&server).await;
        assert_eq!(balancer.requests(), requests);
    }
}

#[tokio::test]
async fn a_login_with_a_password_goes_on_at_any_node() {
    serve_anywhere(password_login).await;
}

#[tokio::test]
async fn a_pushed_request_and_a_login_at_aim18_go_on_at_any_node() {
    serve_anywhere(pushed_request).await;
}

#[tokio::test]
async fn a_login_at_imis_goes_on_at_any_node() {
    serve_anywhere(landing).await;
}

#[tokio::test]
async fn a_device_is_logged_in_at_any_node() {
    serve_anywhere(device_login).await;
}

#[tokio::test]
async fn a_key_is_proven_at_any_node() {
    serve_anywhere(possession).await;
}
