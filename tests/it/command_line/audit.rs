//! `portico audit`: what is recorded of what happened, after it did.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use portico::model::audit::{AuditFilter, AuditRecord, Event};
use portico::protocol::ids::{AccountId, ClientId, FamilyId, SessionId, UpstreamId};
use portico::simulator::Fault;
use portico::simulator::people::JO_SMITH;
use portico::upstream::breaker::FAILURES;
use serde_json::Value;

use super::{Site, portico_of, run};
use crate::harness::browser::{Browser, http_client};
use crate::harness::database::TestDatabase;
use crate::harness::dpop::ProofKey;
use crate::harness::relying_party::{Answer, VERIFIER, answer, redirect_uri};
use crate::harness::server::{START, TestServer};
use crate::harness::signing::{ASSERTION_TYPE, ClientKey};
use crate::{gateway, token_exchange};

/// What `portico audit --json` finds.
pub(crate) async fn audit(server: &TestServer, arguments: &[&str]) -> Vec<Value> {
    let command = [&["audit", "--json"], arguments].concat();
    run(portico_of(server, &command), "").await.objects()
}

/// The one record of that event.
#[track_caller]
pub(super) fn one(found: &[Value], event: Event) -> &Value {
    let mut fitting = found
        .iter()
        .filter(|record| record["event"] == event.as_str());
    let first = fitting.next();
    let first = first.unwrap_or_else(|| panic!("no {} in {found:#?}", event.as_str()));
    assert_eq!(fitting.next(), None, "{} twice", event.as_str());
    first
}

/// Asserts what a record says, by JSON pointer.
#[track_caller]
pub(super) fn says(record: &Value, expected: &[(&str, &str)]) {
    for (pointer, text) in expected {
        let said = record.pointer(pointer).and_then(Value::as_str);
        assert_eq!(said, Some(*text), "{pointer} in {record:#}");
    }
}

/// A member logs in for a client, refreshes and leaves; a stranger tries a password.
async fn member(server: &TestServer) -> Answer {
    let mut browser = Browser::new();
    let url = server.authorize_url("web", &[("scope", "openid profile offline_access")]);
    let page = browser.open(&url).await;
    let wrong = (JO_SMITH.username, "not-the-password");
    let page = browser.sign_in(&page, "members", wrong).await;
    let done = browser.sign_in_as(&page, JO_SMITH).await;
    let code = done.answer().remove("code").unwrap();
    let tokens = server.redeem("web", &code, &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let next = server.refresh("web", tokens.text("refresh_token")).await;
    assert_eq!(next.status, 200, "{next:?}");
    let hint = tokens.text("id_token");
    let leave = server.url(&format!("/end_session?id_token_hint={hint}"));
    assert_eq!(browser.get(leave).await.status, 200);
    tokens
}

#[tokio::test]
async fn a_login_from_its_beginning_to_the_logout_is_found_by_all_that_belongs_to_it() {
    let mut server = TestServer::start().await;
    let tokens = member(&server).await;
    server.stop().await;
    let found = audit(&server, &[]).await;
    let login = one(&found, Event::LoggedIn);
    says(
        login,
        &[
            ("/upstream", "members"),
            ("/address", "127.0.0.1"),
            ("/time", "2023-11-14T22:13:20Z"),
        ],
    );
    assert_eq!(login["at"], START);
    let (account, session) = (
        login["account"].as_str().unwrap(),
        login["session"].as_str().unwrap(),
    );
    let of_them = [("/account", account), ("/session", session)];
    let refused = one(&found, Event::LoginRefused);
    says(
        refused,
        &[("/upstream", "members"), ("/details/method", "password")],
    );
    assert_eq!(refused["flow"], login["flow"], "one tab");
    assert_ne!(refused["request"], login["request"]);
    let given: Vec<&Value> = found
        .iter()
        .filter(|record| record["event"] == "tokens_issued")
        .collect();
    for (record, grant) in given.iter().zip(["authorization_code", "refresh_token"]) {
        says(record, &of_them);
        says(
            record,
            &[
                ("/client_id", "web"),
                ("/upstream", "members"),
                ("/details/grant", grant),
            ],
        );
        assert_eq!(record["details"]["with_refresh_token"], true);
    }
    assert_eq!(given.len(), 2);
    let family = given[0]["family"].as_str().unwrap();
    says(one(&found, Event::LoggedOut), &of_them);

    // Every filter finds what fits it, and nothing else.
    let of_session = audit(&server, &["--session", session]).await;
    assert_eq!(
        names(&of_session),
        ["logged_in", "tokens_issued", "tokens_issued", "logged_out"]
    );
    let subject = crate::harness::relying_party::claims(tokens.text("id_token"))["sub"].clone();
    let request = refused["request"].as_str().unwrap();
    for (filter, events) in [
        (
            ["--account", subject.as_str().unwrap()].as_slice(),
            names(&of_session),
        ),
        (&["--account", account], names(&of_session)),
        // The attempt in vain, too.
        (
            &["--user", "JSmith"],
            [vec!["login_refused"], names(&of_session)].concat(),
        ),
        (&["--user", "nobody"], vec![]),
        (
            &["--client", "web", "--event", "tokens_issued"],
            vec!["tokens_issued"; 2],
        ),
        (&["--family", family], vec!["tokens_issued"; 2]),
        (&["--request", request], vec!["login_refused"]),
        (
            &["--upstream", "members", "--event", "login_refused"],
            vec!["login_refused"],
        ),
        (&["--upstream", "staff"], vec![]),
        (&["--session", session, "--limit", "1"], vec!["logged_out"]),
        (&["--session", session, "--since", "2023-11-15"], vec![]),
        (
            &["--session", session, "--until", "2023-11-14T22:13:20Z"],
            vec![],
        ),
        (
            &[
                "--session",
                session,
                "--since",
                "2023-11-14",
                "--until",
                "2023-11-15",
            ],
            names(&of_session),
        ),
    ] {
        assert_eq!(names(&audit(&server, filter).await), events, "{filter:?}");
    }
    let said = run(portico_of(&server, &["audit", "--event", "logged_in"]), "").await;
    let line =
        format!("2023-11-14T22:13:20Z logged_in account={account} client=web upstream=members");
    said.assert(0, &[&line]);
}

fn names(records: &[Value]) -> Vec<&str> {
    let names = records
        .iter()
        .map(|record| record["event"].as_str().unwrap());
    names.collect()
}

/// All records of a server, once it has stopped.
async fn all_of(server: &mut TestServer) -> Vec<Value> {
    server.stop().await;
    audit(server, &["--limit", "1000"]).await
}

/// Redeems or refreshes for `spa` as from `address`.
async fn token_from(server: &TestServer, address: &str, form: &[(&str, &str)]) -> Answer {
    let request = http_client().post(server.url("/token"));
    let request = request.header("x-forwarded-for", address);
    server.send_as(request, "spa", form).await
}

/// Who is the thief is for people to tell: both are named.
#[tokio::test]
async fn a_replay_names_who_had_the_tokens_and_who_came_with_the_old_one() {
    let mut server = TestServer::start_with(|setup| {
        setup.server = "trusted_proxies = [\"127.0.0.1\"]".to_owned();
    })
    .await;
    let scope = "openid offline_access";
    let code = server.code("spa", &[("scope", scope)]).await;
    let redirect_uri = redirect_uri("spa");
    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    let first = token_from(&server, "192.0.2.1", &redeem).await;
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.text("refresh_token")),
    ];
    assert_eq!(token_from(&server, "192.0.2.2", &refresh).await.status, 200);
    server.clock.advance(31);
    // What the thief sends besides hides nothing, nor do others behind the same address.
    for _ in 0..70 {
        let junk = token_from(&server, "203.0.113.9", &[("grant_type", "junk")]).await;
        junk.assert_error(400, "unsupported_grant_type");
    }
    let thief = token_from(&server, "203.0.113.9", &refresh).await;
    thief.assert_error(400, "invalid_grant");
    let again = token_from(&server, "203.0.113.8", &redeem).await;
    again.assert_error(400, "invalid_grant");
    let found = all_of(&mut server).await;
    let replayed = one(&found, Event::RefreshTokenReplayed);
    says(
        replayed,
        &[
            ("/client_id", "spa"),
            ("/address", "203.0.113.9"),
            ("/details/last_address", "192.0.2.2"),
        ],
    );
    assert!(replayed["account"].is_string() && replayed["session"].is_string());
    let replayed = one(&found, Event::CodeReplayed);
    says(
        replayed,
        &[
            ("/address", "203.0.113.8"),
            ("/details/last_address", "192.0.2.2"),
        ],
    );
    // What else came from there: of those who had the tokens, and of those who came with the old ones.
    let by = async |address: &str, more: &[&str]| {
        let found = audit(&server, &[&["--address", address], more].concat()).await;
        let events = found.iter().map(|record| record["event"].as_str().unwrap());
        events.map(str::to_owned).collect::<Vec<_>>()
    };
    let had = ["tokens_issued", "refresh_token_replayed", "code_replayed"];
    assert_eq!(by("192.0.2.2", &[]).await, had);
    assert_eq!(by("192.0.2.2", &["--limit", "1"]).await, had[2..]);
    let one_event = ["--event", "refresh_token_replayed"];
    assert_eq!(by("192.0.2.2", &one_event).await, had[1..2]);
    assert_eq!(by("203.0.113.9", &one_event).await, had[1..2]);
    let of_family = ["--family", replayed["family"].as_str().unwrap()];
    assert_eq!(by("192.0.2.1", &of_family).await, ["tokens_issued"]);
    // As it is recorded, however it is written.
    let came = by("::ffff:203.0.113.8", &[]).await;
    assert_eq!(came, ["code_replayed", "request_refused"]);
    assert_eq!(by("2001:DB8::7", &[]).await, Vec::<String>::new());
    let said = run(portico_of(&server, &["audit", "--address", "x"]), "").await;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("write one address"), "{said:?}");

    let id = thief.headers["x-request-id"].to_str().unwrap();
    let said = run(portico_of(&server, &["explain", id]), "").await;
    said.assert(
        0,
        &[
            "Beware",
            "were given to 192.0.2.2 before; now it came from 203.0.113.9",
        ],
    );
    let id = again.headers["x-request-id"].to_str().unwrap();
    let said = run(portico_of(&server, &["explain", id]), "").await;
    said.assert(0, &["Beware", "told the error invalid_grant"]);
}

/// An app that goes on with its dead token buries the theft under its own refusals; the story of the last of them still has it.
#[tokio::test]
async fn a_theft_is_part_of_every_later_refusal() {
    let mut server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid offline_access").await;
    let first = tokens.text("refresh_token");
    let second = server.refresh("spa", first).await;
    server.refresh("spa", second.text("refresh_token")).await;
    server.clock.advance(60);
    server
        .refresh("spa", first)
        .await
        .assert_error(400, "invalid_grant");
    // As many as are recorded in a minute, for four minutes.
    for _ in 0..4 {
        for _ in 0..60 {
            server.refresh("spa", second.text("refresh_token")).await;
        }
        server.clock.advance(60);
    }
    let last = server.refresh("spa", second.text("refresh_token")).await;
    server.stop().await;
    let id = last.headers["x-request-id"].to_str().unwrap();
    let said = run(portico_of(&server, &["explain", id]), "").await;
    said.assert(
        0,
        &[
            "Beware",
            "Something that is good once was used again",
            "refresh_token_replayed",
            "There may be more",
        ],
    );
}

/// What an app signs anew each time.
#[tokio::test]
async fn assertions_and_proofs_that_come_twice_are_recorded() {
    let mut server = TestServer::start().await;
    let assertion = ClientKey::of_signed().assertion(&server, "signed");
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &assertion),
    ];
    for status in [200, 401] {
        let request = http_client().post(server.url("/token")).form(&form);
        assert_eq!(answer(request).await.status, status);
    }
    let proof = ProofKey::new().for_token(&server);
    for status in [200, 400] {
        let request = http_client()
            .post(server.url("/token"))
            .header("DPoP", &proof);
        let grant = [("grant_type", "client_credentials")];
        let answer = server.send_as(request, "service", &grant).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let found = all_of(&mut server).await;
    says(
        one(&found, Event::ClientAssertionReplayed),
        &[("/client_id", "signed")],
    );
    says(
        one(&found, Event::DpopProofReplayed),
        &[("/client_id", "service")],
    );
    let given = found
        .iter()
        .find(|record| record["event"] == "tokens_issued");
    says(
        given.unwrap(),
        &[
            ("/details/grant", "client_credentials"),
            ("/client_id", "signed"),
        ],
    );
}

/// Upstream tokens that are given, and calls of an upstream's API that are made and refused.
#[tokio::test]
async fn what_apps_get_of_upstreams_is_recorded() {
    let mut server = TestServer::start_with(|setup| {
        token_exchange::callers(setup);
        gateway::apis(setup);
    })
    .await;
    let tokens = gateway::member(&server, &mut Browser::new(), "openid members:read").await;
    for (path, status) in [
        ("/api/members/Party/20457", 200),
        ("/api/members/Nothing", 403),
    ] {
        assert_eq!(gateway::get(&server, path, &tokens).await.status, status);
    }
    let member = token_exchange::by_page(&server, &mut Browser::new(), token_exchange::SCOPE).await;
    let given = token_exchange::exchange(&server, &member, "members").await;
    assert_eq!(given.status, 200, "{given:?}");
    let found = all_of(&mut server).await;
    let of_app = [
        ("/client_id", "gateway-app"),
        ("/upstream", "members"),
        ("/details/method", "GET"),
    ];
    says(one(&found, Event::UpstreamApiCalled), &of_app);
    let refused = one(&found, Event::UpstreamApiRefused);
    says(refused, &of_app);
    assert!(
        refused["details"]["reason"]
            .as_str()
            .unwrap()
            .contains("no rule of this server")
    );
    assert!(refused["account"].is_string());
    let released = one(&found, Event::UpstreamTokenReleased);
    says(
        released,
        &[("/upstream", "members"), ("/details/kind", "person")],
    );
    let all = format!("{found:?}");
    assert!(!all.contains(given.text("access_token")));
}

/// Consent, and how it is taken back; what is too much; what a device asks for.
#[tokio::test]
async fn what_people_decide_is_recorded() {
    let mut server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser
        .log_in_as(server.authorize_url("asking", &[]), JO_SMITH)
        .await;
    let agreed = browser
        .submit(&page, "form", &[("decision", "allow")])
        .await;
    assert!(agreed.answer().contains_key("code"), "{agreed:?}");
    let page = browser.open(server.url("/account")).await;
    let fields = [("action", "end_app"), ("client_id", "asking")];
    let form = "form:has(button[value=end_app])";
    let account = browser.submit(&page, form, &fields).await;
    browser.submit(&page, form, &fields).await;
    let forged = [("action", "end_app"), ("client_id", "x\nlogged in")];
    browser.submit(&page, form, &forged).await;
    let page = account;
    let form = "form:has(button[value=end_all])";
    browser.submit(&page, form, &[("action", "end_all")]).await;
    // A password in the wrong field.
    let page = browser.open(server.authorize_url("spa", &[])).await;
    for _ in 0..5 {
        browser
            .sign_in(&page, "members", (JO_SMITH.password, "x"))
            .await;
    }
    let found = all_of(&mut server).await;
    let asking = [("/client_id", "asking")];
    says(one(&found, Event::Consented), &asking);
    // Once, though the form came twice, and once for an app that there is not.
    let ended = found.iter().filter(|record| record["event"] == "app_ended");
    assert_eq!(ended.count(), 1);
    says(one(&found, Event::AppEnded), &asking);
    says(one(&found, Event::AppEnded), &[("/details/by", "person")]);
    says(
        one(&found, Event::LoggedOutEverywhere),
        &[("/details/by", "person")],
    );
    let refused = found
        .iter()
        .filter(|record| record["event"] == "login_refused");
    assert_eq!(refused.count(), 4);
    let throttled = one(&found, Event::LoginThrottled);
    says(
        throttled,
        &[
            ("/upstream", "members"),
            ("/client_id", "spa"),
            ("/details/method", "password"),
        ],
    );
    assert!(!format!("{found:?}").contains(JO_SMITH.password));
    // Those who typed it find it.
    let tried = audit(&server, &["--user", JO_SMITH.password]).await;
    assert_eq!(tried.len(), 5, "{tried:#?}");
}

/// Of two nodes, the one that changed something tells it.
#[tokio::test]
async fn what_the_configuration_changes_is_recorded_once() {
    let mut server = TestServer::start_with(|setup| {
        setup.server = "trusted_proxies = [\"192.0.2.1\"]\nlisten = \"127.0.0.1:1\"".to_owned();
        setup.own_key = true;
    })
    .await;
    server.add_node().await;
    // Where a node listens is its own; whom it believes about addresses, and what its log is silent about, is not.
    server.edit_config("listen = \"127.0.0.1:1\"", "listen = \"127.0.0.1:2\"");
    server.edit_config("[\"192.0.2.1\"]", "[\"192.0.2.1\", \"0.0.0.0/0\"]");
    server.edit_config("[keys]", "[log]\nfilter = \"off\"\n[keys]");
    server.edit_config("client_id = \"asking\"", "client_id = \"curious\"");
    server.edit_config("client_name = \"Web app\"", "client_name = \"Web\"");
    server.restart().await;
    let found = all_of(&mut server).await;
    let of = |event: Event| -> Vec<&str> {
        let fitting = found
            .iter()
            .filter(|record| record["event"] == event.as_str());
        fitting
            .map(|record| record["client_id"].as_str().unwrap_or_default())
            .collect()
    };
    let added = of(Event::ClientAdded);
    for id in ["spa", "web", "asking", "curious"] {
        assert_eq!(
            added.iter().filter(|added| **added == id).count(),
            1,
            "{id}"
        );
    }
    assert_eq!(of(Event::ClientChanged), ["web"]);
    assert_eq!(of(Event::ClientRemoved), ["asking"]);
    says(
        one(&found, Event::ConfigurationChanged),
        &[(
            "/details/keys",
            // Both nodes start with it, and one tells it.
            "clients[asking] clients[curious] clients[web].client_name log.filter server.trusted_proxies",
        )],
    );
    assert_eq!(of(Event::ServerStarted).len(), 3);
    assert_eq!(of(Event::SigningKeyMade).len(), 2, "one an algorithm");
}

#[tokio::test]
async fn what_administrators_do_is_recorded() {
    let mut server = TestServer::start().await;
    member(&server).await;
    server.stop().await;
    for command in [
        ["account", "disable", "--name", "jsmith"].as_slice(),
        &["account", "enable", "--name", "jsmith"],
        &["key", "rotate", "--algorithm", "ES256"],
        &["client", "token", "create", "--label", "for the web team"],
        &["session", "end", "--client", "web"],
        &["session", "end", "--upstream", "members"],
    ] {
        let mut program = portico_of(&server, command);
        program.env("SUDO_USER", "ada");
        let said = run(program, "").await;
        assert_eq!(said.code, Some(0), "{said:?}");
        if command[1] == "token" {
            assert!(!format!("{:?}", audit(&server, &[]).await).contains(said.out.trim()));
        }
    }
    let found = audit(&server, &["--limit", "1000"]).await;
    for (event, pointer, text) in [
        (Event::AccountDisabled, "/event", "account_disabled"),
        (Event::AccountEnabled, "/event", "account_enabled"),
        (Event::SigningKeyAnnounced, "/details/algorithm", "ES256"),
        (Event::ClientLoggedOut, "/client_id", "web"),
        (Event::AllLoggedOut, "/upstream", "members"),
        (
            Event::InitialAccessTokenCreated,
            "/details/label",
            "for the web team",
        ),
    ] {
        let record = one(&found, event);
        says(record, &[(pointer, text), ("/details/by", "administrator")]);
        let operator = record["details"]["operator"].as_str().unwrap();
        assert!(operator.starts_with("ada@"), "{operator}");
    }
    let token = one(&found, Event::InitialAccessTokenCreated);
    let id = token["details"]["initial_access_token"].as_str().unwrap();
    let said = run(portico_of(&server, &["client", "token", "revoke", id]), "").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let found = audit(&server, &["--event", "initial_access_token_revoked"]).await;
    says(
        one(&found, Event::InitialAccessTokenRevoked),
        &[
            ("/details/by", "administrator"),
            ("/details/initial_access_token", id),
        ],
    );
}

/// The number of an error page, of an error for an app, of a refused login; and one that is nobody's.
#[tokio::test]
async fn the_story_behind_an_error_is_told() {
    let mut server = TestServer::start().await;
    let mut browser = Browser::new();
    let wrong = server.authorize_url("spa", &[("redirect_uri", "https://evil.example/")]);
    let page = browser.open(wrong).await;
    assert_eq!(page.status, 400);
    let of_page = page.header("x-request-id").to_owned();
    assert!(page.text(".id").unwrap().contains(&of_page));
    let login = browser.open(server.authorize_url("web", &[])).await;
    let refused = browser
        .sign_in(&login, "members", ("JSMITH", "wrong"))
        .await;
    let of_login = refused.header("x-request-id").to_owned();
    browser.sign_in_as(&refused, JO_SMITH).await;
    let lost = browser
        .get(server.url("/login?flow=AAAAAAAAAAAAAAAAAAAAAA"))
        .await;
    let of_lost = lost.header("x-request-id").to_owned();
    let request = http_client().post(server.url("/token"));
    let request = request.basic_auth("web", Some("not-the-secret"));
    let form = [("grant_type", "authorization_code"), ("code", "x")];
    let told = answer(request.form(&form)).await;
    told.assert_error(401, "invalid_client");
    let of_app = told.headers["x-request-id"].to_str().unwrap().to_owned();
    server.stop().await;
    for (id, texts) in [
        (
            &of_page,
            [
                "an error page was shown (2023-11-14T22:13:20Z), by GET /authorize",
                "It concerns the client spa. The request came from 127.0.0.1",
                "The person read:",
                "redirect_uri",
                "its developer has to change it",
            ],
        ),
        (
            &of_login,
            [
                "a login was refused",
                "the client web, the upstream members",
                "portico audit --user",
                "Before and after, in the same browser or session",
                "logged_in",
            ],
        ),
        (
            &of_lost,
            [
                "by GET /login",
                "the account",
                "(Jo Smith)",
                "The person read:",
                "begins again at the app",
            ],
        ),
        (
            &of_app,
            [
                "a request was refused",
                "by POST /token",
                "It concerns the client web.",
                "was told the error invalid_client",
                "wrong secret",
            ],
        ),
    ] {
        let said = run(portico_of(&server, &["explain", id]), "").await;
        said.assert(0, &texts);
    }
    let said = run(
        portico_of(&server, &["explain", "AAAAAAAAAAAAAAAAAAAAAA"]),
        "",
    )
    .await;
    said.assert(
        1,
        &["nothing is recorded of AAAAAAAAAAAAAAAAAAAAAA", "search it"],
    );
}

/// Whose token was refused, and what had become of it: the logout before it, in a session of long ago.
#[tokio::test]
async fn the_story_behind_a_refused_token_begins_at_its_login() {
    let mut server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("web", &[("scope", "openid")]);
    let page = browser.log_in_as(url, JO_SMITH).await;
    let code = &page.answer()["code"];
    let tokens = server.redeem("web", code, &[]).await;
    let token = tokens.text("refresh_token");
    server.clock.advance(2 * 60 * 60);
    assert_eq!(server.refresh("web", token).await.status, 200);
    let hint = tokens.text("id_token");
    let leave = server.url(&format!("/end_session?id_token_hint={hint}"));
    assert_eq!(browser.get(leave).await.status, 200);
    let refused = server.refresh("web", token).await;
    refused.assert_error(400, "invalid_grant");
    let of_refresh = id_of(&refused);
    let again = server.redeem("web", code, &[]).await;
    again.assert_error(400, "invalid_grant");
    let of_code = id_of(&again);
    server.stop().await;
    for (id, others) in [
        (&of_refresh, ["grant=\"refresh_token\"", "logged_out"]),
        (&of_code, ["code_replayed", "logged_out"]),
    ] {
        let said = run(portico_of(&server, &["explain", id]), "").await;
        said.assert(
            0,
            &[
                "a request was refused",
                "by POST /token",
                "It concerns the client web, the upstream members, the account",
                "(Jo Smith)",
                "the session",
                "the tokens",
                "told the error invalid_grant",
                "send the person to log in again",
                // However long before.
                "grant=\"authorization_code\"",
            ],
        );
        said.assert(0, &others);
        assert!(!said.out.contains(token) && !said.out.contains(code.as_str()));
    }
}

fn id_of(answer: &Answer) -> String {
    answer.headers["x-request-id"].to_str().unwrap().to_owned()
}

/// An upstream that is away, for a person at the login and for an app at a refresh: since when, and what can be done.
#[tokio::test]
async fn the_story_behind_an_outage_names_the_upstream_and_since_when_it_is_away() {
    let mut server = TestServer::start_with(|setup| {
        setup.clients =
            "[[clients]]\nclient_id = \"strict\"\ntoken_endpoint_auth_method = \"none\"\n\
             redirect_uris = [\"https://strict.example.org/callback\"]\n\
             grant_types = [\"authorization_code\", \"refresh_token\"]\n\
             scope = \"openid offline_access\"\nupstream_outage = \"refuse\"\n"
                .to_owned();
    })
    .await;
    let tokens = server.tokens("strict", "openid offline_access").await;
    server.imis.fail("", Fault::Status(503));
    server.clock.advance(5 * 60);
    let mut last = String::new();
    for number in 0..FAILURES {
        let mut browser = Browser::new();
        let page = browser.open(server.authorize_url("spa", &[])).await;
        let name = format!("visitor-{number}");
        let page = browser.sign_in(&page, "members", (&name, "word")).await;
        assert_eq!(page.status, 503);
        page.header("x-request-id").clone_into(&mut last);
    }
    let refused = server.refresh("strict", tokens.text("refresh_token")).await;
    refused.assert_error(503, "temporarily_unavailable");
    let of_refresh = id_of(&refused);
    server.stop().await;
    for (id, texts) in [
        (
            &last,
            [
                "a login failed, for the upstream could not be asked",
                "the client spa, the upstream members",
                "503 Service Unavailable",
            ],
        ),
        (
            &of_refresh,
            [
                "a request failed",
                "the client strict, the upstream members, the account",
                "told the error temporarily_unavailable",
            ],
        ),
    ] {
        let said = run(portico_of(&server, &["explain", id]), "").await;
        said.assert(0, &texts);
        said.assert(0, &["`portico check` asks it now", "upstream_down"]);
    }
}

/// A logout that led to an error page: by whose app, and whether it ended anything.
#[tokio::test]
async fn the_story_behind_a_logout_that_went_wrong_names_app_and_session() {
    let mut server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("web", &[("scope", "openid")]);
    let page = browser.log_in_as(url, JO_SMITH).await;
    let tokens = server.redeem("web", &page.answer()["code"], &[]).await;
    let hint = tokens.text("id_token");
    let wrong = "post_logout_redirect_uri=https://evil.example/";
    let wrong = server.url(&format!("/end_session?id_token_hint={hint}&{wrong}"));
    let page = browser.get(wrong).await;
    assert_eq!(page.status, 400, "{}", page.body);
    let id = page.header("x-request-id").to_owned();
    let leave = server.url(&format!("/end_session?id_token_hint={hint}"));
    assert_eq!(browser.get(leave).await.status, 200);
    server.stop().await;
    let said = run(portico_of(&server, &["explain", &id]), "").await;
    said.assert(
        0,
        &[
            "an error page was shown",
            "by GET /end_session",
            "the client web",
            "(Jo Smith)",
            "the session",
            "The person read:",
            "post_logout_redirect_uri",
            "its developer has to change it",
            "logged_in",
            "logged_out",
        ],
    );
    assert!(!said.out.contains(hint));
}

#[tokio::test]
async fn what_cannot_be_searched_for_is_said() {
    let site = Site::started().await;
    for (arguments, code, text) in [
        (["--event", "nothing"], 2, "the events are logged_in"),
        (["--since", "yesterday"], 1, "is no time; write"),
        (["--account", "nobody"], 1, "there is no such account"),
    ] {
        let said = site.run(&[&["audit"], &arguments[..]].concat()).await;
        said.assert(code, &[text]);
    }
}

/// Whatever level the log has, it tells what happened to whom, unless it is told not to.
#[tokio::test]
async fn a_quiet_log_tells_what_happened_all_the_same() {
    let site = Site::started().await;
    let end = ["session", "end", "--all"];
    for (filter, is_told) in [
        ("error", true),
        ("off", true),
        ("warn,portico::http=info", true),
        ("info,portico::audit=off", false),
    ] {
        let log = format!("[log]\nfilter = \"{filter}\"\n");
        site.edit("[log]\n", &log);
        let said = site.run(&end).await;
        said.assert(0, &[]);
        let told = said.err.contains("all_logged_out");
        assert_eq!(told, is_told, "{filter}: {}", said.err);
        assert!(filter != "error" || !said.err.contains("INFO portico::app"));
        site.edit(&log, "[log]\n");
    }
}

/// With `database = false` the log alone is kept.
#[tokio::test]
async fn who_wants_no_records_in_the_database_has_none() {
    let mut server = TestServer::start_with(|setup| {
        setup.sections.push_str("\n[audit]\ndatabase = false\n");
    })
    .await;
    member(&server).await;
    server.stop().await;
    assert_eq!(audit(&server, &[]).await, Vec::<Value>::new());
    let said = run(portico_of(&server, &["audit"]), "").await;
    said.assert(0, &["audit.database is false"]);
}

pub(crate) fn record(id: &str, at: i64) -> AuditRecord {
    AuditRecord {
        id: id.to_owned(),
        at,
        event: "logged_in".to_owned(),
        account: None,
        client_id: None,
        upstream: None,
        session: None,
        family: None,
        request: None,
        flow: None,
        address: None,
        user_agent: None,
        name_hash: None,
        details: serde_json::Map::new(),
    }
}

/// Records go to the database many at a time. One that is there stays as it is, and all others of its batch are added: also where
/// a whole batch comes again.
#[tokio::test]
async fn of_a_batch_that_is_there_in_part_the_rest_is_added() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let known = record("id-012", 1);
    store
        .insert_audit(std::slice::from_ref(&known))
        .await
        .unwrap();
    for size in [52, 53] {
        let batch: Vec<_> = (0..size)
            .map(|number| record(&format!("id-{number:03}"), 100))
            .collect();
        store.insert_audit(&batch).await.unwrap();
        let kept = store
            .search_audit(&AuditFilter::default(), 100)
            .await
            .unwrap();
        assert_eq!(kept.len(), size);
        assert_eq!(kept.last(), Some(&known), "the oldest");
    }
}

/// In a second there may be thousands of records. The newest are those that are told, by whatever they are searched for.
#[tokio::test]
async fn of_one_second_the_newest_records_are_told_first() {
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    // Of every other one the address is that of who had the tokens before.
    let one_of = |number: u32, at| {
        let mut record = record(&format!("id-{number:03}"), at);
        let of_all = Some("of-all".to_owned());
        if number.is_multiple_of(2) {
            record.address.clone_from(&of_all);
        } else {
            record
                .details
                .insert("last_address".to_owned(), "of-all".into());
        }
        AuditRecord {
            account: Some(AccountId::new("of-all")),
            client_id: Some(ClientId::new("of-all")),
            upstream: Some(UpstreamId::new("of-all")),
            session: Some(SessionId::new("of-all")),
            family: Some(FamilyId::new("of-all")),
            request: of_all.clone(),
            flow: of_all.clone(),
            name_hash: of_all,
            ..record
        }
    };
    // Written in another order, as nodes and batches come; and the ids of the second before are greater, as another node's may be.
    let second = (0..60).map(|number| one_of(number * 7 % 60, 100));
    let before = (0..60).map(|number| one_of(900 + number, 99));
    let records: Vec<_> = before.chain(second).collect();
    store.insert_audit(&records).await.unwrap();
    let of_all = || Some("of-all".to_owned());
    let searches: [&dyn Fn(&mut AuditFilter); 11] = [
        &|_| {},
        &|filter| filter.event = Some("logged_in".to_owned()),
        &|filter| filter.account = of_all().map(AccountId::new),
        &|filter| filter.client_id = of_all().map(ClientId::new),
        &|filter| filter.upstream = of_all().map(UpstreamId::new),
        &|filter| filter.session = of_all().map(SessionId::new),
        &|filter| filter.family = of_all().map(FamilyId::new),
        &|filter| filter.request = of_all(),
        &|filter| filter.flow = of_all(),
        &|filter| filter.address = of_all(),
        &|filter| filter.name_hash = of_all(),
    ];
    for search in searches {
        let mut filter = AuditFilter::default();
        search(&mut filter);
        let found = store.search_audit(&filter, 62).await.unwrap();
        let found: Vec<&str> = found.iter().map(|record| record.id.as_str()).collect();
        let newest = (0..60).rev().map(|number| format!("id-{number:03}"));
        let expected: Vec<_> = newest
            .chain(["id-959".to_owned(), "id-958".to_owned()])
            .collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

/// A record goes when it is older than `audit.keep`, and not before.
#[tokio::test]
async fn records_are_kept_as_long_as_they_are_wanted() {
    // No server, which sweeps by itself.
    let database = TestDatabase::migrated().await;
    let store = database.store().await;
    let records = [record("a", 99), record("b", 100), record("c", 101)];
    // A batch whose outcome was not heard is written again, and kept once.
    for _ in 0..2 {
        store.insert_audit(&records).await.unwrap();
    }
    assert_eq!(store.sweep_audit(100, 1).await.unwrap(), 1);
    let left = store
        .search_audit(&AuditFilter::default(), 10)
        .await
        .unwrap();
    let left: Vec<&str> = left.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(left, ["c", "b"]);
}

/// What is recorded never changes: the source has three statements about the table, and none of them changes a row.
#[test]
fn records_are_added_and_swept_and_never_changed() {
    let mut statements = Vec::new();
    for (file, text) in sources() {
        let words: Vec<&str> = text.split_whitespace().collect();
        for pair in words.windows(2) {
            if let ["FROM" | "INTO" | "UPDATE" | "\"UPDATE", "audit"] = pair {
                statements.push((file.clone(), pair[0].to_owned()));
            }
        }
        let own = file == "store/audit.rs";
        assert!(!own || !(text.contains("UPDATE") || text.contains("DELETE")));
    }
    statements.sort();
    let expected = [
        ("store/audit.rs", "FROM"),
        ("store/audit.rs", "INTO"),
        // The sweep's DELETE, and the SELECT within it.
        ("store/sweep.rs", "FROM"),
        ("store/sweep.rs", "FROM"),
    ];
    let expected = expected.map(|(file, word)| (file.to_owned(), word.to_owned()));
    assert_eq!(statements, expected);
}

/// A detail that the log does not know would be in the database alone.
#[test]
fn each_detail_is_a_field_of_the_log() {
    let line = include_str!("../../../src/telemetry/audit/line.rs");
    let fields: BTreeSet<&str> = line
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let mut unknown = Vec::new();
    let files = sources().into_iter();
    for (file, text) in files.filter(|(file, _)| !file.starts_with("simulator")) {
        for (_, rest) in text
            .match_indices(".with(\"")
            .map(|(start, found)| text[start..].split_at(found.len()))
        {
            let name = rest.split('"').next().unwrap();
            if !fields.contains(name) {
                unknown.push(format!("{file}: {name}"));
            }
        }
    }
    assert_eq!(unknown, Vec::<String>::new());
}

/// The events that operating.md tells of are those that there are.
#[test]
fn each_event_is_documented() {
    let doc = include_str!("../../../docs/operating.md");
    let missing: Vec<&str> = Event::ALL
        .iter()
        .map(|event| event.as_str())
        .filter(|name| !doc.contains(&format!("`{name}`")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// The files of `src`, by their paths from there.
pub(crate) fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                found.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}
