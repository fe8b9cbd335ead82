//! The device authorization grant (RFC 8628): the device's side, the person's, and what stands between a guesser or a
//! phisher and somebody's account (T10, T11, T12, T14, T15, T16, T17).

use portico::protocol::token::GrantType;
use portico::simulator::people::{ANN_LEE, JO_SMITH, ZOE};
use serde_json::{Value, json};
use url::Url;

use crate::harness::browser::{Browser, Page, http_client};
use crate::harness::relying_party::{Answer, answer, claims};
use crate::harness::server::{POST_SECRET, SERVICE_SECRET, START, Setup, TestServer};
use crate::harness::steps::{SESSION, at_node};
use crate::refresh::join_all;

pub(crate) const GRANT: &str = GrantType::DeviceCode.as_str();
const CONFIRM: &str = "form[action='/device/confirm']";
const ENTER: &str = "form[action='/device']";

/// A television, one that asks its people, one for employees, and a server with a secret.
pub(crate) fn devices(setup: &mut Setup) {
    setup.clients = format!(
        r#"
[[clients]]
client_id = "tv"
client_name = "Television"
token_endpoint_auth_method = "none"
grant_types = ["{GRANT}", "refresh_token"]
scope = "openid profile email offline_access"

[[clients]]
client_id = "asking-tv"
client_name = "Asking television"
token_endpoint_auth_method = "none"
grant_types = ["{GRANT}"]
scope = "openid profile"
consent = "once"

[[clients]]
client_id = "staff-tv"
client_name = "Staff television"
token_endpoint_auth_method = "none"
grant_types = ["{GRANT}"]
upstreams = ["staff"]
default_max_age = 0

[[clients]]
client_id = "box"
token_endpoint_auth_method = "client_secret_post"
client_secret = {{ env = "POST_SECRET" }}
grant_types = ["{GRANT}"]
"#
    );
}

/// What a device keeps and what it shows.
pub(crate) async fn begin(server: &TestServer, client: &str, scope: &str) -> Answer {
    let mut form = vec![("client_id", client), ("scope", scope)];
    if client == "box" {
        form.push(("client_secret", POST_SECRET));
    }
    form.retain(|(_, value)| !value.is_empty());
    answer(
        http_client()
            .post(server.url("/device_authorization"))
            .form(&form),
    )
    .await
}

pub(crate) async fn ask(server: &TestServer, client: &str, device_code: &str) -> Answer {
    let mut form = vec![("grant_type", GRANT), ("device_code", device_code)];
    if client == "box" {
        form.push(("client_secret", POST_SECRET));
    }
    server.token(client, &form).await
}

/// Types a code into the form.
pub(crate) async fn enter(server: &TestServer, browser: &mut Browser, user_code: &str) -> Page {
    let page = browser.open(server.url("/device")).await;
    browser
        .submit(&page, ENTER, &[("user_code", user_code)])
        .await
}

/// The question, with Jo Smith logged in.
pub(crate) async fn at_question(
    server: &TestServer,
    browser: &mut Browser,
    user_code: &str,
) -> Page {
    let page = enter(server, browser, user_code).await;
    let page = browser.sign_in_as(&page, JO_SMITH).await;
    assert_eq!(page.url.path(), "/device/confirm", "{}", page.body);
    page
}

pub(crate) async fn decide(browser: &mut Browser, page: &Page, decision: &str) -> Page {
    browser
        .submit(page, CONFIRM, &[("decision", decision)])
        .await
}

/// From the device's first request to its tokens.
pub(crate) async fn approved(server: &TestServer, client: &str, scope: &str) -> Answer {
    let codes = begin(server, client, scope).await;
    let mut browser = Browser::new();
    let page = at_question(server, &mut browser, codes.text("user_code")).await;
    decide(&mut browser, &page, "allow").await;
    ask(server, client, codes.text("device_code")).await
}

/// RFC 8628 section 3.2.
#[tokio::test]
async fn a_device_gets_its_codes() {
    let server = TestServer::start_with(devices).await;
    let codes = begin(&server, "tv", "openid").await;
    assert_eq!(codes.status, 200, "{codes:?}");
    assert_eq!(codes.headers["cache-control"], "no-store");
    assert_eq!(codes.headers["content-type"], "application/json");
    let (device_code, user_code) = (codes.text("device_code"), codes.text("user_code"));
    assert_eq!(device_code.len(), 43, "256 bits");
    let letters = user_code.replacen('-', "", 1);
    assert_eq!(letters.len(), 8);
    assert!(
        letters
            .bytes()
            .all(|letter| b"BCDFGHJKLMNPQRSTVWXZ".contains(&letter)),
        "{user_code}"
    );
    let uri = server.url("/device");
    let expected = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": uri,
        "verification_uri_complete": format!("{uri}?user_code={user_code}"),
        "expires_in": 600,
        "interval": 5,
    });
    assert_eq!(codes.body, expected);
    let others = begin(&server, "tv", "openid").await;
    assert_ne!(others.text("device_code"), device_code);
    assert_ne!(others.text("user_code"), user_code);
}

/// RFC 8628 section 3.1: as at the token endpoint, and nobody for whom it was not written (T15, T18).
#[tokio::test]
async fn only_registered_clients_that_prove_themselves_get_codes() {
    let server = TestServer::start_with(devices).await;
    begin(&server, "spa", "openid")
        .await
        .assert_error(400, "unauthorized_client");
    begin(&server, "nobody", "openid")
        .await
        .assert_error(401, "invalid_client");
    begin(&server, "tv", "openid reports:read")
        .await
        .assert_error(400, "invalid_scope");
    let url = server.url("/device_authorization");
    let post = |form: &[(&str, &str)]| answer(http_client().post(&url).form(form));
    post(&[("client_id", "box")])
        .await
        .assert_error(401, "invalid_client");
    let wrong = [("client_id", "box"), ("client_secret", SERVICE_SECRET)];
    post(&wrong).await.assert_error(401, "invalid_client");
    let twice = [("client_id", "tv"), ("scope", "openid"), ("scope", "email")];
    post(&twice).await.assert_error(400, "invalid_request");
    assert_eq!(begin(&server, "box", "").await.status, 200);
    // No secret and no code in a URL: there is nothing to GET.
    let got = http_client()
        .get(format!("{url}?client_id=tv"))
        .send()
        .await;
    assert_eq!(got.unwrap().status(), 405);
}

/// The whole way, by the link of a QR code, typed in another way, and what comes of it.
#[tokio::test]
async fn a_person_lets_a_device_in() {
    let server = TestServer::start_with(devices).await;
    let scope = "openid email offline_access";
    let codes = begin(&server, "tv", scope).await;
    let (device_code, user_code) = (codes.text("device_code"), codes.text("user_code"));
    ask(&server, "tv", device_code)
        .await
        .assert_error(400, "authorization_pending");

    let mut browser = Browser::new();
    let page = browser.open(codes.text("verification_uri_complete")).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.form(ENTER).1["user_code"], user_code);
    let typed = format!(" {}", user_code.replace('-', " ").to_lowercase());
    let page = browser.submit(&page, ENTER, &[("user_code", &typed)]).await;
    assert!(page.is_login(), "{}", page.body);
    assert_eq!(page.text("h1").unwrap(), "Sign in to Television");
    let page = browser.sign_in_as(&page, JO_SMITH).await;
    // RFC 8628 section 5.4: what they are asked, and about what.
    let text = page.text("main").unwrap();
    for told in [
        "Television",
        "signed in as Jo Smith",
        user_code,
        "see your email address",
        "keep this access",
        "you started this yourself, on a device that you have before you",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    ask(&server, "tv", device_code).await;
    server.clock.advance(20);
    ask(&server, "tv", device_code)
        .await
        .assert_error(400, "authorization_pending");
    let done = decide(&mut browser, &page, "allow").await;
    assert_eq!(
        (done.status.as_u16(), done.url.path()),
        (200, "/device/done")
    );
    assert!(
        done.text("main")
            .unwrap()
            .contains("Go back to your device")
    );

    // At once: what is there to have has no interval.
    let tokens = ask(&server, "tv", device_code).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.text("scope"), "email offline_access openid");
    let id_token = claims(tokens.text("id_token"));
    assert_eq!(id_token["aud"], "tv");
    assert_eq!(id_token["auth_time"], START);
    assert_eq!(id_token["amr"], json!(["pwd"]));
    assert!(id_token["sid"].is_string() && id_token["at_hash"].is_string());
    assert_eq!(id_token.get("nonce"), None);
    let person = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(person.body["email"], JO_SMITH.email);
    let refreshed = server.refresh("tv", tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    // `offline_access`: it outlives the browser's session, until the person ends it.
    let page = browser.open(server.url("/end_session")).await;
    browser.submit(&page, "form", &[]).await;
    let refreshed = server.refresh("tv", refreshed.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
}

/// A device without `offline_access` is signed out with the session, as any app is.
#[tokio::test]
async fn a_device_is_signed_out_with_the_session() {
    let server = TestServer::start_with(devices).await;
    let codes = begin(&server, "tv", "openid").await;
    let mut browser = Browser::new();
    let page = at_question(&server, &mut browser, codes.text("user_code")).await;
    decide(&mut browser, &page, "allow").await;
    let tokens = ask(&server, "tv", codes.text("device_code")).await;
    let page = browser.open(server.url("/end_session")).await;
    browser.submit(&page, "form", &[]).await;
    assert_eq!(
        server.userinfo(tokens.text("access_token")).await.status,
        401
    );
    server
        .refresh("tv", tokens.text("refresh_token"))
        .await
        .assert_error(400, "invalid_grant");
}

/// RFC 8628 section 3.5.
#[tokio::test]
async fn a_no_is_told_to_the_device() {
    let server = TestServer::start_with(devices).await;
    let codes = begin(&server, "tv", "openid").await;
    let mut browser = Browser::new();
    let page = at_question(&server, &mut browser, codes.text("user_code")).await;
    let denied = decide(&mut browser, &page, "deny").await;
    assert_eq!(denied.url.path(), "/device/denied");
    assert!(denied.text("main").unwrap().contains("not let in"));
    let device_code = codes.text("device_code");
    ask(&server, "tv", device_code)
        .await
        .assert_error(400, "access_denied");
    // And it stays so: the same code asks nobody again.
    let page = enter(&server, &mut Browser::new(), codes.text("user_code")).await;
    assert_eq!(page.status, 422);
    ask(&server, "tv", device_code)
        .await
        .assert_error(400, "access_denied");
}

/// RFC 8628 section 3.5: each question too early makes the interval 5 seconds longer; what is decided is not held back.
#[tokio::test]
async fn a_device_that_asks_too_often_is_slowed_down() {
    let server = TestServer::start_with(devices).await;
    let codes = begin(&server, "tv", "openid").await;
    let code = codes.text("device_code");
    for (after, expected) in [
        (0, "authorization_pending"),
        (5, "authorization_pending"),
        // A second of grace, for clocks count whole ones.
        (4, "authorization_pending"),
        (3, "slow_down"),
        (9, "authorization_pending"),
        (8, "slow_down"),
        (10, "slow_down"),
        (20, "authorization_pending"),
    ] {
        server.clock.advance(after);
        ask(&server, "tv", code).await.assert_error(400, expected);
    }
    // However many it was: a device that has lost count catches up.
    for _ in 0..30 {
        ask(&server, "tv", code)
            .await
            .assert_error(400, "slow_down");
    }
    server.clock.advance(60);
    ask(&server, "tv", code)
        .await
        .assert_error(400, "authorization_pending");
}

/// RFC 8628 section 3.5.
#[tokio::test]
async fn codes_end() {
    let server = TestServer::start_with(|setup| {
        devices(setup);
        setup.sections += "\n[lifetimes]\ndevice_code = \"2m\"\n";
    })
    .await;
    let codes = begin(&server, "tv", "openid").await;
    assert_eq!(codes.body["expires_in"], 120);
    let mut browser = Browser::new();
    let page = at_question(&server, &mut browser, codes.text("user_code")).await;
    server.clock.advance(120);
    let late = decide(&mut browser, &page, "allow").await;
    assert_eq!(late.status, 409, "{}", late.body);
    assert_eq!(late.attribute("main a", "href").unwrap(), "/device");
    let unknown = enter(&server, &mut Browser::new(), codes.text("user_code")).await;
    assert_eq!(unknown.status, 422);
    ask(&server, "tv", codes.text("device_code"))
        .await
        .assert_error(400, "expired_token");
    // A yes that the device did not fetch in time is worth nothing either.
    let codes = begin(&server, "tv", "openid").await;
    let page = enter(&server, &mut browser, codes.text("user_code")).await;
    decide(&mut browser, &page, "allow").await;
    server.clock.advance(120);
    ask(&server, "tv", codes.text("device_code"))
        .await
        .assert_error(400, "expired_token");
}

/// T10, T12: another client's, and what is a code of another kind, is unknown; and neither spends anything.
#[tokio::test]
async fn a_device_code_is_its_clients_and_of_its_kind() {
    let server = TestServer::start_with(devices).await;
    let codes = begin(&server, "tv", "openid").await;
    // Nor does anybody else learn how it stands with one that waits.
    for client in ["asking-tv", "box"] {
        ask(&server, client, codes.text("device_code"))
            .await
            .assert_error(400, "invalid_grant");
    }
    let mut browser = Browser::new();
    let page = at_question(&server, &mut browser, codes.text("user_code")).await;
    decide(&mut browser, &page, "allow").await;
    let code = codes.text("device_code");
    for client in ["asking-tv", "box"] {
        ask(&server, client, code)
            .await
            .assert_error(400, "invalid_grant");
    }
    ask(&server, "spa", code)
        .await
        .assert_error(400, "unauthorized_client");
    server
        .redeem("spa", code, &[])
        .await
        .assert_error(400, "invalid_grant");
    let other_kind = server.code("spa", &[]).await;
    for wrong in [
        other_kind.as_str(),
        codes.text("user_code"),
        "x",
        &format!("{code}A"),
    ] {
        ask(&server, "tv", wrong)
            .await
            .assert_error(400, "invalid_grant");
    }
    let nothing = server.token("tv", &[("grant_type", GRANT)]).await;
    nothing.assert_error(400, "invalid_request");
    assert_eq!(ask(&server, "tv", code).await.status, 200);
}

/// T11: once, on two nodes; a replay ends what the first gave, also much later.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_device_code_is_redeemed_once() {
    let mut server = TestServer::start_with(devices).await;
    let other = server.add_node().await;
    let codes = begin(&server, "tv", "openid offline_access").await;
    let mut browser = Browser::new();
    let page = at_question(&server, &mut browser, codes.text("user_code")).await;
    decide(&mut browser, &page, "allow").await;
    let form = [
        ("grant_type", GRANT),
        ("client_id", "tv"),
        ("device_code", codes.text("device_code")),
    ];
    let nodes = [server.url("/token"), format!("http://{other}/token")];
    let racers = (0..40).map(|racer| answer(http_client().post(&nodes[racer % 2]).form(&form)));
    let outcomes = join_all(racers).await;
    let winners: Vec<&Answer> = outcomes.iter().filter(|one| one.status == 200).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert_eq!(
        server
            .userinfo(winners[0].text("access_token"))
            .await
            .status,
        401
    );

    let tokens = approved(&server, "tv", "openid offline_access").await;
    assert_eq!(
        server.userinfo(tokens.text("access_token")).await.status,
        200
    );
    server
        .refresh("tv", winners[0].text("refresh_token"))
        .await
        .assert_error(400, "invalid_grant");
}

/// The codes, the pages and the questions may each meet another node; a restart loses nothing.
#[tokio::test]
async fn a_device_is_let_in_at_whichever_node_it_meets() {
    let mut server = TestServer::start_with(devices).await;
    let codes = begin(&server, "tv", "openid").await;
    let other = server.add_node().await;
    let mut browser = Browser::new();
    let page = browser.open(at_node(other, &server.url("/device"))).await;
    let fields = [("user_code", codes.text("user_code"))];
    let page = browser.submit(&page, ENTER, &fields).await;
    let page = browser.sign_in_as(&page, JO_SMITH).await;
    let question = at_node(server.address, page.url.as_str());
    let page = browser.open(question).await;
    server.restart().await;
    let done = decide(&mut browser, &page, "allow").await;
    assert_eq!(done.url.path(), "/device/done");
    let tokens = ask(&server, "tv", codes.text("device_code")).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
}

/// T14, T16: the answer comes from our page, in the session that it was made for, about the code that it showed, once.
#[tokio::test]
async fn nobody_answers_in_anothers_name() {
    let server = TestServer::start_with(devices).await;
    let codes = begin(&server, "tv", "openid").await;
    let mut browser = Browser::new();
    let page = at_question(&server, &mut browser, codes.text("user_code")).await;
    for fields in [
        &[("decision", "allow"), ("form_token", "x")][..],
        &[("decision", "allow"), ("form_token", "")],
        &[("decision", "perhaps")],
    ] {
        let refused = browser.submit_only(&page, CONFIRM, fields).await;
        assert_eq!(refused.status, 400, "{fields:?}");
    }
    // Another browser has not the flow, however it came by the page.
    let mut stranger = Browser::new();
    let refused = stranger
        .submit_only(&page, CONFIRM, &[("decision", "allow")])
        .await;
    assert_eq!(refused.status, 400);
    // Another person has logged in meanwhile in this browser: the page was not for them.
    let mut other = Browser::new();
    other.log_in_as(server.authorize_url("spa", &[]), ZOE).await;
    let theirs = other.session(&server).unwrap();
    let own = browser.session(&server).unwrap();
    browser.set_cookie("127.0.0.1", SESSION, &theirs);
    let asked = browser
        .submit_only(&page, CONFIRM, &[("decision", "allow")])
        .await;
    assert_eq!(asked.status, 303);
    let again = asked.location().unwrap();
    assert_eq!(again.path(), "/authorize/resume");
    // A flow about another code takes no answer about this one.
    browser.set_cookie("127.0.0.1", SESSION, &own);
    let second = begin(&server, "tv", "openid").await;
    let elsewhere = enter(&server, &mut browser, second.text("user_code")).await;
    let foreign = elsewhere.form(CONFIRM).1["form_token"].clone();
    let fields = [("decision", "allow"), ("form_token", foreign.as_str())];
    assert_eq!(
        browser.submit_only(&page, CONFIRM, &fields).await.status,
        400
    );
    for answered in [&codes, &second] {
        let code = answered.text("device_code");
        ask(&server, "tv", code)
            .await
            .assert_error(400, "authorization_pending");
    }
    // The same form sent twice says nothing twice.
    assert_eq!(
        decide(&mut browser, &page, "allow").await.url.path(),
        "/device/done"
    );
    let again = browser
        .submit_only(&page, CONFIRM, &[("decision", "deny")])
        .await;
    assert_ne!(
        again.location().map(|url| url.path().to_owned()).as_deref(),
        Some("/device/denied")
    );
    assert_eq!(
        ask(&server, "tv", codes.text("device_code")).await.status,
        200
    );
}

/// T25: a code that another site sends in is not even looked up.
#[tokio::test]
async fn another_site_cannot_enter_a_code() {
    let server = TestServer::start_with(devices).await;
    let codes = begin(&server, "tv", "openid").await;
    let mut browser = Browser::new();
    let page = browser.open(server.url("/device")).await;
    let fields = [("user_code", codes.text("user_code")), ("form_token", "x")];
    assert_eq!(browser.submit_only(&page, ENTER, &fields).await.status, 400);
    let (_, fields) = page.form(ENTER);
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let refused = Browser::new().post(server.url("/device"), &fields).await;
    assert_eq!(refused.status, 400, "without the cookie of the flow");
}

/// T16: wrong codes are counted by address, by account and in all, wherever they are tried; right ones cost nothing.
#[tokio::test]
async fn codes_cannot_be_guessed() {
    let mut server = TestServer::start_with(|setup| {
        devices(setup);
        setup.sections += "max_attempts_per_address = 12\n";
        setup.server = "trusted_proxies = [\"127.0.0.1/32\"]".to_owned();
    })
    .await;
    let other = server.add_node().await;
    let from = |address: &str| {
        let mut browser = Browser::new();
        browser.headers = vec![("x-forwarded-for".to_owned(), address.to_owned())];
        browser
    };
    let guess = async |browser: &mut Browser, url: &str| {
        let page = browser.open(url).await;
        let page = browser
            .submit(&page, ENTER, &[("user_code", "BBBB-BBBB")])
            .await;
        assert_eq!(page.status, 422);
        page.text("[role=alert]").unwrap()
    };
    let (here, there) = (server.url("/device"), format!("http://{other}/device"));
    let codes = begin(&server, "tv", "openid").await;
    let mut guesser = from("203.0.113.1");
    for number in 0..12 {
        let url = if number % 2 == 0 { &here } else { &there };
        let said = guess(&mut guesser, url).await;
        assert!(said.contains("No device waits"), "{said}");
    }
    let said = guess(&mut guesser, &here).await;
    assert!(said.contains("Too many"), "{said}");
    // Not even the right one is looked up from there; and everybody else goes on.
    let page = guesser.open(&here).await;
    let right = [("user_code", codes.text("user_code"))];
    let refused = guesser.submit(&page, ENTER, &right).await;
    assert_eq!(refused.status, 422);
    let mut honest = from("203.0.113.2");
    for _ in 0..20 {
        let page = honest.open(&here).await;
        assert!(honest.submit(&page, ENTER, &right).await.is_login());
    }
    // What is no code at all is no guess.
    for _ in 0..20 {
        let page = honest.open(&here).await;
        let page = honest.submit(&page, ENTER, &[("user_code", "AEIOU")]).await;
        assert_eq!(page.status, 422);
    }
    let page = honest.open(&here).await;
    let page = honest.submit(&page, ENTER, &right).await;
    assert!(page.is_login());
    // One account, however many addresses it comes from.
    honest.sign_in_as(&page, JO_SMITH).await;
    for number in 0..10 {
        honest.headers[0].1 = format!("198.51.100.{number}");
        let said = guess(&mut honest, &here).await;
        assert!(said.contains("No device waits"), "{number}: {said}");
    }
    let said = guess(&mut honest, &here).await;
    assert!(said.contains("Too many"), "{said}");
    // Nor has it more in another browser; another account has its own.
    for (number, who, expected) in [(20, JO_SMITH, "Too many"), (21, ZOE, "No device waits")] {
        let mut other = from(&format!("198.51.100.{number}"));
        other.log_in_as(server.authorize_url("spa", &[]), who).await;
        let said = guess(&mut other, &here).await;
        assert!(said.contains(expected), "{number}: {said}");
    }
    server.clock.advance(15 * 60);
    let said = guess(&mut honest, &here).await;
    assert!(said.contains("No device waits"), "{said}");
}

/// T16: in all, for guesses from many places.
#[tokio::test]
async fn codes_cannot_be_guessed_from_many_places_either() {
    let server = TestServer::start_with(|setup| {
        devices(setup);
        setup.server = "trusted_proxies = [\"127.0.0.1/32\"]".to_owned();
    })
    .await;
    let codes = begin(&server, "tv", "openid").await;
    // As if 2,000 addresses had tried, one code each.
    let policy = portico::model::throttle::ThrottlePolicy {
        attempts: 2_000,
        window: 900,
        starts_at: portico::model::throttle::WindowStart::FirstAttempt,
    };
    for _ in 0..2_000 {
        assert!(
            server
                .store
                .reserve_attempt("user code", policy, START)
                .await
                .unwrap()
        );
    }
    let refused = enter(&server, &mut Browser::new(), codes.text("user_code")).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("Too many codes"));
    // Whoever is signed in has a count of their own, which strangers cannot fill.
    let mut browser = Browser::new();
    browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    let asked = enter(&server, &mut browser, codes.text("user_code")).await;
    assert_eq!(asked.url.path(), "/device/confirm");
}

/// Anybody may ask in the name of a public client, and only so often.
#[tokio::test]
async fn an_address_makes_only_so_many_codes() {
    let server = TestServer::start_with(|setup| {
        devices(setup);
        setup.sections += "max_attempts_per_address = 5\n";
    })
    .await;
    for _ in 0..5 {
        assert_eq!(begin(&server, "tv", "openid").await.status, 200);
    }
    begin(&server, "tv", "openid")
        .await
        .assert_error(503, "temporarily_unavailable");
    assert_eq!(
        begin(&server, "box", "").await.status,
        200,
        "it has proven itself"
    );
}

/// T15, T17: upstreams, groups, consent, withdrawn scopes and closed accounts count here as everywhere.
#[tokio::test]
async fn the_clients_limits_hold() {
    let server = TestServer::start_with(devices).await;
    let codes = begin(&server, "staff-tv", "").await;
    let mut browser = Browser::new();
    // A member's session is none for it, and its own way in is the only one.
    browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    let page = enter(&server, &mut browser, codes.text("user_code")).await;
    assert!(page.is_login(), "{}", page.body);
    assert!(!page.body.contains("upstream=members"), "{}", page.body);
    assert!(!page.body.contains("/upstream/members"), "{}", page.body);
    let page = browser
        .sign_in(&page, "staff", (ANN_LEE.code, ANN_LEE.password))
        .await;
    // `default_max_age = 0` is met by this login, however long the question is read.
    server.clock.advance(30);
    let done = decide(&mut browser, &page, "allow").await;
    assert_eq!(done.url.path(), "/device/done", "{}", done.body);
    let tokens = ask(&server, "staff-tv", codes.text("device_code")).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert!(tokens.body.get("refresh_token").is_none());
}

/// T17.
#[tokio::test]
async fn what_was_withdrawn_since_is_not_given() {
    let mut server = TestServer::start_with(devices).await;
    let codes = begin(&server, "tv", "openid email").await;
    let mut browser = Browser::new();
    let page = at_question(&server, &mut browser, codes.text("user_code")).await;
    decide(&mut browser, &page, "allow").await;
    let next = begin(&server, "asking-tv", "openid").await;
    server.edit_config(
        "scope = \"openid profile email offline_access\"\n\n[[clients]]\nclient_id = \"asking-tv\"",
        "scope = \"openid\"\n\n[[clients]]\nclient_id = \"asking-tv\"\nrequire_groups = [\"Nobody\"]",
    );
    server.restart().await;
    let tokens = ask(&server, "tv", codes.text("device_code")).await;
    assert_eq!(tokens.text("scope"), "openid");
    let page = enter(&server, &mut browser, next.text("user_code")).await;
    assert_eq!(page.status, 403, "{}", page.body);
}

/// An account that was closed between the yes and the device's question.
#[tokio::test]
async fn a_closed_account_gives_a_device_nothing() {
    let server = TestServer::start_with(devices).await;
    let codes = begin(&server, "tv", "openid").await;
    let mut browser = Browser::new();
    let page = at_question(&server, &mut browser, codes.text("user_code")).await;
    decide(&mut browser, &page, "allow").await;
    let pool = server.database.pool().await;
    sqlx::query("UPDATE account SET disabled_at = 1")
        .execute(&pool)
        .await
        .unwrap();
    ask(&server, "tv", codes.text("device_code"))
        .await
        .assert_error(400, "invalid_grant");
}

/// The person has signed out between the yes and the device's question.
#[tokio::test]
async fn an_ended_session_gives_a_device_nothing() {
    let server = TestServer::start_with(devices).await;
    let codes = begin(&server, "tv", "openid offline_access").await;
    let mut browser = Browser::new();
    let page = at_question(&server, &mut browser, codes.text("user_code")).await;
    decide(&mut browser, &page, "allow").await;
    let page = browser.open(server.url("/end_session")).await;
    browser.submit(&page, "form", &[]).await;
    ask(&server, "tv", codes.text("device_code"))
        .await
        .assert_error(400, "invalid_grant");
}

/// The question stands for the consent of apps that ask for it; and is asked though everything was agreed to before.
#[tokio::test]
async fn the_question_is_the_consent_and_is_always_asked() {
    let server = TestServer::start_with(devices).await;
    let mut browser = Browser::new();
    for round in 0..2 {
        let codes = begin(&server, "asking-tv", "openid profile").await;
        let mut page = enter(&server, &mut browser, codes.text("user_code")).await;
        if round == 0 {
            page = browser.sign_in_as(&page, JO_SMITH).await;
        }
        assert_eq!(page.url.path(), "/device/confirm", "{}", page.body);
        decide(&mut browser, &page, "allow").await;
        assert_eq!(
            ask(&server, "asking-tv", codes.text("device_code"))
                .await
                .status,
            200
        );
    }
    let page = browser.open(server.url("/account")).await;
    assert!(
        page.text("main").unwrap().contains("Asking television"),
        "{}",
        page.body
    );
}

/// Taking an app away takes the yes along that its device has not fetched yet.
#[tokio::test]
async fn an_app_that_is_ended_cannot_fetch_what_was_agreed_to() {
    let server = TestServer::start_with(devices).await;
    let mut browser = Browser::new();
    let codes = begin(&server, "asking-tv", "openid").await;
    let page = at_question(&server, &mut browser, codes.text("user_code")).await;
    decide(&mut browser, &page, "allow").await;
    let page = browser.open(server.url("/account")).await;
    let end = "form:has(input[value=end_app]), form:has(button[value=end_app])";
    browser.submit(&page, end, &[("action", "end_app")]).await;
    ask(&server, "asking-tv", codes.text("device_code"))
        .await
        .assert_error(400, "invalid_grant");
}

/// T52, and four languages: what a link brings is a code or nothing.
#[tokio::test]
async fn the_pages_speak_every_language_and_take_nothing_from_a_link_but_a_code() {
    let server = TestServer::start_with(devices).await;
    let mut titles = std::collections::BTreeSet::new();
    for language in ["en", "fr", "zh-Hant", "zh-Hans"] {
        let mut browser = Browser::new();
        browser.language = Some(language.to_owned());
        let codes = begin(&server, "tv", "openid").await;
        let page = browser.open(server.url("/device")).await;
        assert_eq!(page.attribute("html", "lang").as_deref(), Some(language));
        titles.insert(page.text("h1").unwrap());
        let wrong = browser
            .submit(&page, ENTER, &[("user_code", "BBBB-BBBB")])
            .await;
        titles.insert(wrong.text("[role=alert]").unwrap());
        let page = at_question(&server, &mut browser, codes.text("user_code")).await;
        titles.insert(page.text(".alert").unwrap());
        let page = decide(&mut browser, &page, "allow").await;
        titles.insert(page.text("h1").unwrap());
        let page = browser.open(server.url("/device/denied")).await;
        titles.insert(page.text("h1").unwrap());
    }
    assert_eq!(titles.len(), 20, "{titles:?}");
    let mut url = Url::parse(&server.url("/device")).unwrap();
    url.query_pairs_mut()
        .append_pair("user_code", "\"><script>alert(1)</script>");
    let page = Browser::new().open(url).await;
    assert_eq!(page.form(ENTER).1["user_code"], "");
    assert!(!page.body.contains("<script"), "{}", page.body);
    let typed = "\"><img src=x>";
    let page = enter(&server, &mut Browser::new(), typed).await;
    assert!(!page.body.contains("<img"), "{}", page.body);
    assert_eq!(page.form(ENTER).1["user_code"], typed);
}

/// Nothing that opens anything stands in the database as it is.
#[tokio::test]
async fn the_database_keeps_neither_code() {
    let server = TestServer::start_with(devices).await;
    let codes = begin(&server, "tv", "openid").await;
    let pool = server.database.pool().await;
    let row: (String, String) =
        sqlx::query_as("SELECT device_code_hash, user_code_hash FROM device_code")
            .fetch_one(&pool)
            .await
            .unwrap();
    let letters = codes.text("user_code").replace('-', "");
    for kept in [row.0, row.1] {
        assert!(!kept.contains(codes.text("device_code")) && !kept.contains(&letters));
    }
    assert_ne!(codes.body["device_code"], Value::Null);
}
