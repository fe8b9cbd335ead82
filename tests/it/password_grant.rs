//! The resource owner password credentials grant (RFC 6749 section 4.3; T15, T17, T22, T32 to T34): for confidential clients of
//! the files alone, and with everything that the login page's form is held to.

use std::time::{Duration, Instant};

use portico::passwords::hash_password;
use portico::protocol::secret::Secret;
use portico::simulator::Fault;
use portico::simulator::people::{
    ANN_LEE, CHAIR, DISABLED, JO_SMITH, LAPSED, LOCKED, PASSWORD_EXPIRED, ZOE,
};

use serde_json::Value;

use crate::command_line::audit::audit;
use crate::harness::browser::{Browser, PASSWORD_FORM};
use crate::harness::relying_party::{Answer, claims};
use crate::harness::server::{Setup, TestServer};

const CLIENTS: &str = r#"
[[clients]]
client_id = "both"
client_secret = { env = "SERVICE_SECRET" }
grant_types = ["password", "refresh_token", "urn:ietf:params:oauth:grant-type:token-exchange"]
scope = "openid profile offline_access upstream:members"
upstreams = ["members"]
upstream_tokens = ["members"]

[[clients]]
client_id = "plain"
client_secret = { env = "SERVICE_SECRET" }
grant_types = ["password"]
scope = "openid"
require_groups = ["Board"]
"#;

/// With the clients `both`, of iMIS alone, and `plain`, of all upstreams and for the board alone.
pub(crate) fn legacy(setup: &mut Setup) {
    setup.clients.push_str(CLIENTS);
}

async fn start() -> TestServer {
    TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 3\n".to_owned();
        legacy(setup);
    })
    .await
}

/// Asks with the password of Jo Smith; `changes` replace parameters, an empty value removes one.
pub(crate) async fn ask(server: &TestServer, client: &str, changes: &[(&str, &str)]) -> Answer {
    let mut parameters = std::collections::BTreeMap::from([
        ("grant_type", "password"),
        ("username", JO_SMITH.username),
        ("password", JO_SMITH.password),
        ("scope", "openid"),
    ]);
    parameters.extend(changes.iter().copied());
    parameters.retain(|_, value| !value.is_empty());
    server
        .token(client, &parameters.into_iter().collect::<Vec<_>>())
        .await
}

/// How many passwords iMIS was asked about.
fn forwarded(server: &TestServer) -> usize {
    let log = server.imis.log();
    log.iter()
        .filter(|request| request.path == "/token")
        .count()
}

/// Sections 4.3.2 and 4.3.3: the same person, the same subject as by the browser; tokens that act, refresh, reach the upstream, and
/// end.
#[tokio::test]
async fn a_trusted_client_gets_the_tokens_of_the_person_whose_password_it_has() {
    let server = start().await;
    let by_browser = server.tokens("spa", "openid").await;
    let tokens = ask(
        &server,
        "both",
        &[("scope", "openid profile upstream:members")],
    )
    .await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.headers["cache-control"], "no-store");
    assert_eq!(tokens.body["token_type"], "Bearer");
    let id_token = claims(tokens.text("id_token"));
    assert_eq!(id_token["sub"], claims(by_browser.text("id_token"))["sub"]);
    assert_eq!(id_token["aud"], "both");
    assert_eq!(id_token["amr"], serde_json::json!(["pwd"]));
    assert_eq!(id_token["auth_time"], server.clock.now());
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.body["name"], "Jo Smith");
    let form = [
        ("grant_type", crate::token_exchange::GRANT),
        ("subject_token", tokens.text("access_token")),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("audience", "members"),
    ];
    let released = server.token("both", &form).await;
    assert_eq!(released.status, 200, "{released:?}");
    let refreshed = server.refresh("both", tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    // The session is the person's, and ends as every other does.
    let sid = id_token["sid"].as_str().unwrap();
    let session = portico::protocol::ids::SessionId::new(sid);
    let now = server.clock.now();
    assert!(server.store.end_session(&session, now).await.unwrap());
    let refused = server
        .refresh("both", refreshed.text("refresh_token"))
        .await;
    refused.assert_error(400, "invalid_grant");
    assert_eq!(
        server.userinfo(tokens.text("access_token")).await.status,
        401
    );
}

/// RFC 9700 section 2.4: nobody else may, whatever they send.
#[tokio::test]
async fn only_clients_that_were_written_for_it_may_use_a_password() {
    let server = start().await;
    let before = forwarded(&server);
    for client in ["web", "spa", "service"] {
        ask(&server, client, &[])
            .await
            .assert_error(400, "unauthorized_client");
    }
    for missing in ["username", "password"] {
        ask(&server, "both", &[(missing, "")])
            .await
            .assert_error(400, "invalid_request");
    }
    ask(&server, "both", &[("scope", "openid reports:read")])
        .await
        .assert_error(400, "invalid_scope");
    let long = "x".repeat(1025);
    ask(&server, "both", &[("password", &long)])
        .await
        .assert_error(400, "invalid_request");
    assert_eq!(forwarded(&server), before, "nobody was asked about anybody");
}

/// The client says whose person it is, where there are several.
#[tokio::test]
async fn the_upstream_is_named_where_there_are_several() {
    let hash = hash_password(&Secret::new("word")).unwrap();
    let server = TestServer::start_with(|setup| {
        legacy(setup);
        setup.clients = setup.clients.replace("require_groups = [\"Board\"]", "");
        setup.upstreams = format!(
            "[[upstreams]]\nid = \"local\"\nkind = \"users\"\n[[upstreams.people]]\nid = \"1\"\nusername = \"kim\"\npassword_hash = \"{hash}\"\n"
        );
    })
    .await;
    let refused = ask(&server, "plain", &[]).await;
    refused.assert_error(400, "invalid_request");
    let told = refused.text("error_description");
    assert!(told.contains("members, staff, local"), "{told}");
    for (upstream, username, password) in [
        ("members", JO_SMITH.username, JO_SMITH.password),
        ("staff", ANN_LEE.code, ANN_LEE.password),
        ("local", "kim", "word"),
    ] {
        let named = [
            ("upstream", upstream),
            ("username", username),
            ("password", password),
        ];
        let tokens = ask(&server, "plain", &named).await;
        assert_eq!(tokens.status, 200, "{upstream}: {tokens:?}");
        assert!(tokens.body.get("refresh_token").is_none());
    }
    // Not one that the client does not serve (T15).
    let elsewhere = [
        ("upstream", "local"),
        ("username", "kim"),
        ("password", "word"),
    ];
    let refused = ask(&server, "both", &elsewhere).await;
    refused.assert_error(400, "invalid_request");
    assert!(!refused.text("error_description").contains("local"));
}

/// T32, T15: one answer to every guess, and to the right password of whom we turn away; nothing is left of it.
#[tokio::test]
async fn a_refusal_tells_nothing_and_leaves_nothing() {
    let mut server = start().await;
    let unknown = ask(&server, "both", &[("username", "nobody")]).await;
    unknown.assert_error(400, "invalid_grant");
    let wrong = ask(&server, "both", &[("password", "wrong")]).await;
    assert_eq!(wrong.body, unknown.body);
    for person in [LOCKED, DISABLED, PASSWORD_EXPIRED] {
        let known = [("username", person.username), ("password", person.password)];
        assert_eq!(
            ask(&server, "both", &known).await.body,
            unknown.body,
            "{}",
            person.username
        );
    }
    let not_on_the_board = ask(&server, "plain", &[("upstream", "members")]).await;
    not_on_the_board.assert_error(400, "invalid_grant");
    assert_eq!(not_on_the_board.body, unknown.body);
    close_account(&server).await;
    let closed = ask(&server, "both", &[]).await;
    closed.assert_error(400, "invalid_grant");
    assert_eq!(closed.body, unknown.body);
    let now = server.clock.now();
    let lifetimes = server.load_config().session_lifetimes();
    let all = server
        .store
        .list_live_sessions(portico::store::ListOf::All, lifetimes, now, 100)
        .await
        .unwrap();
    assert!(all.is_empty(), "{all:?}");

    // The audit has the reasons, and the end of the session that there was for a moment.
    server.stop().await;
    let found = audit(&server, &[]).await;
    let reasons: Vec<&str> = found
        .iter()
        .filter(|record| record["event"] == "login_refused" && record["client_id"].is_string())
        .filter_map(|record| record["details"]["reason"].as_str())
        .collect();
    for real in ["none of require_groups", "the account was closed"] {
        assert!(reasons.iter().any(|told| told.contains(real)), "{found:?}");
    }
    let sessions = |event: &str| -> Vec<&Value> {
        let of_event = found.iter().filter(|record| record["event"] == event);
        of_event.map(|record| &record["session"]).collect()
    };
    assert_eq!(sessions("logged_in"), sessions("logged_out"));
    assert!(!sessions("logged_in").is_empty());
}

/// T32: the right password of whom we turn away takes as long as a wrong one, and counts as one.
#[tokio::test]
async fn whom_we_turn_away_is_a_wrong_guess_by_time_and_count() {
    let floor = Duration::from_millis(700);
    let server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"700ms\"\nmax_attempts = 3\n".to_owned();
        legacy(setup);
    })
    .await;
    assert_eq!(ask(&server, "both", &[]).await.status, 200);
    let start = Instant::now();
    ask(&server, "plain", &[("upstream", "members")])
        .await
        .assert_error(400, "invalid_grant");
    assert!(start.elapsed() >= floor, "{:?}", start.elapsed());
    close_account(&server).await;
    for _ in 0..2 {
        let start = Instant::now();
        ask(&server, "both", &[])
            .await
            .assert_error(400, "invalid_grant");
        assert!(start.elapsed() >= floor, "{:?}", start.elapsed());
    }
    let asked = forwarded(&server);
    ask(&server, "both", &[])
        .await
        .assert_error(400, "invalid_grant");
    assert_eq!(forwarded(&server), asked, "three were all");
}

/// Closes the account of Jo Smith.
async fn close_account(server: &TestServer) {
    let known = server
        .store
        .find_accounts_by_username(JO_SMITH.username, 100)
        .await
        .unwrap();
    let now = server.clock.now();
    server
        .store
        .disable_account(&known[0].id, now)
        .await
        .unwrap();
}

/// T33, T34: the same count of attempts as the form's, over both.
#[tokio::test]
async fn attempts_are_counted_together_with_those_of_the_form() {
    let server = start().await;
    for _ in 0..2 {
        ask(&server, "both", &[("password", "wrong")])
            .await
            .assert_error(400, "invalid_grant");
    }
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let page = browser
        .sign_in(&page, "members", (JO_SMITH.username, "wrong"))
        .await;
    assert_eq!(page.status, 422);
    let asked = forwarded(&server);
    // The right one, in another spelling of the name.
    let spelling = JO_SMITH.username.to_lowercase();
    let throttled = ask(&server, "both", &[("username", &spelling)]).await;
    throttled.assert_error(400, "invalid_grant");
    let page = browser
        .submit(
            &page,
            PASSWORD_FORM,
            &[
                ("username", JO_SMITH.username),
                ("password", JO_SMITH.password),
            ],
        )
        .await;
    assert_eq!(page.status, 422);
    assert_eq!(forwarded(&server), asked, "nothing was forwarded");
}

/// T33, T34: whoever makes names up at one app closes neither its address nor the app to those who were there before, and
/// who tries many real names is stopped all the same.
#[tokio::test]
async fn a_guesser_at_an_app_closes_neither_the_app_nor_its_address() {
    let mut server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 1\n\
                          max_attempts_per_address = 2\nmax_attempts_per_client = 3\n"
            .to_owned();
        legacy(setup);
    })
    .await;
    let members = [JO_SMITH, ZOE, LAPSED, CHAIR];
    for person in members {
        let right = [("username", person.username), ("password", person.password)];
        assert_eq!(ask(&server, "both", &right).await.status, 200);
    }
    let before = forwarded(&server);
    // Who goes on at one name that is closed takes nothing from the others.
    for _ in 0..5 {
        ask(&server, "both", &[("username", "nobody")])
            .await
            .assert_error(400, "invalid_grant");
    }
    for number in 0..5 {
        let name = format!("made-up-{number}");
        ask(&server, "both", &[("username", &name)])
            .await
            .assert_error(400, "invalid_grant");
    }
    assert_eq!(forwarded(&server), before + 3, "three were all");
    // Whoever was here before comes in, by the app and by our page from the same address.
    assert_eq!(ask(&server, "both", &[]).await.status, 200);
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let page = browser
        .sign_in(&page, "members", (JO_SMITH.username, JO_SMITH.password))
        .await;
    assert!(page.answer().contains_key("code"));
    // Another app has its own count.
    let at_another = [("upstream", "members"), ("username", "somebody")];
    let asked = forwarded(&server);
    ask(&server, "plain", &at_another)
        .await
        .assert_error(400, "invalid_grant");
    assert_eq!(forwarded(&server), asked + 1);
    // Wrong passwords at names that are known have a limit, too.
    let asked = forwarded(&server);
    for person in members {
        let wrong = [("username", person.username), ("password", "wrong")];
        ask(&server, "both", &wrong)
            .await
            .assert_error(400, "invalid_grant");
    }
    assert_eq!(forwarded(&server), asked + 3, "three were all");
    server.stop().await;
    let found = audit(&server, &["--event", "login_throttled"]).await;
    for limit in ["client", "name"] {
        let by = |record: &&Value| record["details"]["limit"] == limit;
        assert!(found.iter().any(|record| by(&record)), "{limit}: {found:?}");
    }
}

/// An outage is no wrong password.
#[tokio::test]
async fn an_outage_is_told_as_one() {
    let server = start().await;
    server.imis.fail_once("/token", Fault::Status(503));
    let away = ask(&server, "both", &[]).await;
    away.assert_error(503, "temporarily_unavailable");
    assert_eq!(ask(&server, "both", &[]).await.status, 200);
}

/// T22: whoever asks again and again leaves no more families than anybody.
#[tokio::test]
async fn the_oldest_logins_end_beyond_the_cap() {
    let server = TestServer::start_with(|setup| {
        setup
            .sections
            .push_str("[lifetimes]\nfamilies_per_client = 2\n");
        legacy(setup);
    })
    .await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(ask(&server, "both", &[]).await);
        server.clock.advance(1);
    }
    let oldest = server.refresh("both", all[0].text("refresh_token")).await;
    oldest.assert_error(400, "invalid_grant");
    for later in &all[1..] {
        assert_eq!(
            server
                .refresh("both", later.text("refresh_token"))
                .await
                .status,
            200
        );
    }
}
