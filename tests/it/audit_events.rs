//! What is recorded of what people, clients and upstreams do, end to end: the same in the database and as a line of JSON, with
//! who, what, when, from where, and never with a secret.

use std::fs;
use std::path::Path;

use portico::model::audit::Event;
use portico::passwords::hash_password;
use portico::protocol::secret::Secret;
use portico::simulator::Fault;
use portico::simulator::people::{JO_SMITH, ZOE};
use portico::upstream::breaker::{FAILURES, REST};
use reqwest::Method;
use serde_json::{Value, json};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::backchannel_logout::{attempted, log_out, settled, sign_in, told_at};
use crate::command_line::audit::{audit, sources};
use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, answer};
use crate::harness::server::{START, Setup, TestServer};
use crate::harness::site::{self, Site};
use crate::log_scrubbing::Log;
use crate::{accounts, delegation, device};

/// A server whose log is read.
struct Recorded {
    server: TestServer,
    log: Log,
    secrets: Vec<String>,
    _guard: tracing::subscriber::DefaultGuard,
    _second: tracing::Dispatch,
}

impl Recorded {
    async fn start(change: impl FnOnce(&mut Setup)) -> Self {
        let log = Log::default();
        let json = fmt::layer().json().with_writer(log.clone());
        let subscriber = tracing_subscriber::registry()
            .with(tracing_subscriber::filter::LevelFilter::INFO)
            .with(json);
        Self {
            _guard: subscriber.set_default(),
            // While there is one subscriber alone, another test's thread may say that nobody wants an event.
            _second: tracing::Dispatch::new(tracing_subscriber::registry()),
            server: TestServer::start_with(change).await,
            log,
            secrets: Vec::new(),
        }
    }

    fn keep(&mut self, answer: &Answer, names: &[&str]) {
        let texts = names.iter().map(|name| answer.text(name).to_owned());
        self.secrets.extend(texts);
    }

    /// What is recorded of `events`, in their order, once the server has stopped; each stands in the log, too.
    async fn records(mut self, events: &[Event]) -> Vec<Value> {
        self.server.stop().await;
        let all = audit(&self.server, &["--limit", "1000"]).await;
        let text = self.log.text();
        for secret in &self.secrets {
            assert!(!text.contains(secret), "{secret} is in the log");
            let stored = serde_json::to_string(&all).unwrap();
            assert!(!stored.contains(secret), "{secret} is in the database");
        }
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["target"] == "portico::audit")
            .collect();
        let found: Vec<Value> = all
            .into_iter()
            .filter(|record| {
                let event = record["event"].as_str().unwrap();
                events.iter().any(|wanted| wanted.as_str() == event)
            })
            .collect();
        for record in &found {
            let details = record["details"].as_object();
            let is_it = |line: &&Value| {
                let names = ["event", "client_id", "account", "upstream", "session"];
                let of_request = |name: &str| line["span"][name].as_str().unwrap_or_default();
                let endpoint = format!("{} {}", of_request("method"), of_request("path"));
                let has = |(name, value): (&String, &Value)| match name.as_str() {
                    "endpoint" => *value == endpoint,
                    name => line["fields"].get(name) == Some(value),
                };
                names
                    .iter()
                    .all(|name| line["fields"].get(*name) == record.get(*name))
                    && details.into_iter().flatten().all(has)
            };
            let line = lines.iter().find(is_it);
            assert!(line.is_some(), "no line says {record} in {text}");
        }
        let names: Vec<&str> = found
            .iter()
            .map(|record| record["event"].as_str().unwrap())
            .collect();
        let wanted: Vec<&str> = events.iter().map(|event| event.as_str()).collect();
        assert_eq!(names, wanted, "{found:#?}");
        found
    }
}

/// Asserts who, where and when.
#[track_caller]
fn says(record: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        let said = record.pointer(name);
        assert_eq!(said, Some(value), "{name} in {record:#}");
    }
}

#[tokio::test]
async fn what_a_device_asks_and_what_people_answer() {
    let mut recorded = Recorded::start(device::devices).await;
    for decision in ["allow", "deny"] {
        let codes = device::begin(&recorded.server, "tv", "openid offline_access").await;
        recorded.keep(&codes, &["device_code", "user_code"]);
        let mut browser = Browser::new();
        let user_code = codes.text("user_code");
        let page = device::at_question(&recorded.server, &mut browser, user_code).await;
        device::decide(&mut browser, &page, decision).await;
        let tokens = device::ask(&recorded.server, "tv", codes.text("device_code")).await;
        if decision == "allow" {
            assert_eq!(tokens.status, 200, "{tokens:?}");
            recorded.keep(&tokens, &["access_token", "refresh_token", "id_token"]);
            let again = device::ask(&recorded.server, "tv", codes.text("device_code")).await;
            again.assert_error(400, "invalid_grant");
        } else {
            tokens.assert_error(400, "access_denied");
        }
    }
    let found = recorded
        .records(&[
            Event::DeviceCodeIssued,
            Event::DeviceApproved,
            Event::DeviceCodeReplayed,
            Event::DeviceCodeIssued,
            Event::DeviceDenied,
        ])
        .await;
    for record in &found {
        says(
            record,
            &json!({"/client_id": "tv", "/address": "127.0.0.1", "/at": START}),
        );
    }
    for record in [&found[1], &found[4]] {
        says(
            record,
            &json!({"/upstream": "members", "/details/in_time": true}),
        );
        assert!(record["account"].is_string() && record["session"].is_string());
    }
    assert_eq!(found[2]["account"], found[1]["account"]);
}

#[tokio::test]
async fn what_a_person_links_and_unlinks() {
    let recorded = Recorded::start(|_| {}).await;
    let mut browser = Browser::new();
    let page = accounts::linked(&recorded.server, &mut browser).await;
    assert_eq!(page.url.path(), "/account", "{}", page.body);
    let form = "form:has(button[value=unlink])";
    let (_, fields) = page.form(form);
    let mut fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    fields.extend([
        ("action", "unlink"),
        ("upstream", "staff"),
        ("subject", accounts::ANN_ID),
    ]);
    let page = browser.submit(&page, form, &fields).await;
    let done = browser.submit(&page, accounts::CONFIRM, &[]).await;
    assert_eq!(done.url.path(), "/account", "{}", done.body);
    let found = recorded
        .records(&[Event::AccountLinked, Event::AccountUnlinked])
        .await;
    for record in &found {
        says(
            record,
            &json!({
                "/upstream": "staff", "/address": "127.0.0.1", "/details/by": "person", "/at": START,
            }),
        );
        assert_eq!(record["account"], found[0]["account"]);
    }
    assert!(found[1]["details"]["new_account"].is_string());
}

#[tokio::test]
async fn what_a_client_registers_changes_and_removes() {
    let mut recorded = Recorded::start(|setup| {
        setup.sections += "[registration]\nmode = \"open\"\n";
    })
    .await;
    let metadata = json!({"redirect_uris": ["https://new.example.org/callback"]});
    let request = http_client().post(recorded.server.url("/register"));
    let client = answer(request.json(&metadata)).await;
    assert_eq!(client.status, 201, "{client:?}");
    recorded.keep(&client, &["client_secret", "registration_access_token"]);
    let manage = |method| {
        let uri = client.text("registration_client_uri");
        let request = http_client().request(method, uri);
        request.bearer_auth(client.text("registration_access_token"))
    };
    let mut changed = metadata.clone();
    changed["client_id"] = json!(client.text("client_id"));
    changed["client_name"] = json!("Another name");
    let put = answer(manage(Method::PUT).json(&changed)).await;
    assert_eq!(put.status, 200, "{put:?}");
    let gone = manage(Method::DELETE).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let found = recorded
        .records(&[
            Event::ClientRegistered,
            Event::ClientRegistrationChanged,
            Event::ClientDeregistered,
        ])
        .await;
    for record in &found {
        says(
            record,
            &json!({
                "/client_id": client.text("client_id"), "/address": "127.0.0.1", "/at": START,
            }),
        );
    }
    says(&found[1], &json!({"/details/by": "client"}));
    says(&found[2], &json!({"/details/by": "client"}));
}

#[tokio::test]
async fn the_outage_of_an_upstream_and_its_return() {
    let recorded = Recorded::start(|_| {}).await;
    let server = &recorded.server;
    let attempt = async |name: &str, password: &str| {
        let mut browser = Browser::new();
        let page = browser.open(server.authorize_url("spa", &[])).await;
        browser.sign_in(&page, "members", (name, password)).await
    };
    server.imis.fail("", Fault::Status(503));
    for number in 0..FAILURES {
        let page = attempt(&format!("visitor-{number}"), "word").await;
        assert_eq!(page.status, 503);
    }
    server.imis.mend();
    server.clock.advance(REST);
    let page = attempt(JO_SMITH.username, JO_SMITH.password).await;
    assert!(page.answer().contains_key("code"));
    let found = recorded
        .records(&[Event::UpstreamDown, Event::UpstreamUp])
        .await;
    says(&found[0], &json!({"/upstream": "members", "/at": START}));
    assert!(found[0]["details"]["reason"].is_string());
    says(
        &found[1],
        &json!({"/upstream": "members", "/at": START + REST}),
    );
}

/// The cap of one client for one person, and of all of them together (T22).
#[tokio::test]
async fn what_ends_because_a_person_has_too_many_logins_of_apps() {
    let mut recorded = Recorded::start(|setup| {
        setup.sections += "[lifetimes]\nfamilies_per_client = 2\nfamilies_per_person = 3\n";
    })
    .await;
    let scope = "openid offline_access";
    let mut ended = Vec::new();
    for client in ["spa", "spa", "spa", "web", "web"] {
        let tokens = recorded.server.tokens(client, scope).await;
        recorded.keep(&tokens, &["access_token", "refresh_token"]);
        ended.push((client, tokens.text("refresh_token").to_owned()));
        recorded.server.clock.advance(1);
    }
    for (number, (client, token)) in ended.iter().enumerate().take(2) {
        let refused = recorded.server.refresh(client, token).await;
        refused.assert_error(400, "invalid_grant");
        assert_eq!(*client, "spa", "{number}");
    }
    let found = recorded
        .records(&[Event::FamilyCapped, Event::FamilyCapped])
        .await;
    for (record, at) in found.iter().zip([START + 2, START + 4]) {
        says(record, &json!({"/client_id": "spa", "/at": at}));
        assert!(record["family"].is_string() && record["account"].is_string());
    }
    assert_ne!(found[0]["family"], found[1]["family"]);
}

const OFFLINE: &str = "openid offline_access";

/// An app with one more key.
fn app(id: &str, key: &str) -> String {
    format!(
        "[[clients]]\nclient_id = \"{id}\"\ntoken_endpoint_auth_method = \"none\"\n\
         redirect_uris = [\"https://{id}.example.org/callback\"]\n\
         grant_types = [\"authorization_code\", \"refresh_token\"]\n\
         scope = \"openid profile email offline_access\"\n{key}\n"
    )
}

/// Nobody is who they were, or is not, while their upstream is away: an app hears so, and so does a person.
#[tokio::test]
async fn what_an_upstream_that_is_away_cannot_say() {
    let mut recorded =
        Recorded::start(|setup| setup.clients = app("strict", "upstream_outage = \"refuse\""))
            .await;
    let mut browser = Browser::new();
    let url = recorded
        .server
        .authorize_url("strict", &[("scope", OFFLINE)]);
    let page = browser.log_in_as(&url, JO_SMITH).await;
    let code = &page.answer()["code"];
    let tokens = recorded.server.redeem("strict", code, &[]).await;
    recorded.keep(&tokens, &["access_token", "refresh_token", "id_token"]);
    recorded.secrets.push(JO_SMITH.password.to_owned());
    let server = &recorded.server;
    server.imis.fail("", Fault::Status(503));
    server.clock.advance(5 * 60);
    let refused = server.refresh("strict", tokens.text("refresh_token")).await;
    refused.assert_error(503, "temporarily_unavailable");
    let page = browser.open(&url).await;
    assert_eq!(page.status, 503);
    let page = browser.sign_in_as(&page, JO_SMITH).await;
    assert_eq!(page.status, 503);
    let found = recorded
        .records(&[
            Event::RequestFailed,
            // The page, and the page again with the form of this upstream.
            Event::LoginUnconfirmed,
            Event::LoginUnconfirmed,
            Event::LoginFailed,
        ])
        .await;
    for record in &found {
        says(
            record,
            &json!({"/client_id": "strict", "/address": "127.0.0.1", "/at": START + 5 * 60}),
        );
    }
    says(
        &found[0],
        &json!({
            "/details/seen": "json", "/details/code": "temporarily_unavailable",
            "/details/endpoint": "POST /token",
        }),
    );
    for record in &found[1..] {
        says(record, &json!({"/upstream": "members"}));
    }
    assert!(found[1]["account"].is_string() && found[1]["session"].is_string());
    says(&found[3], &json!({"/details/method": "password"}));
    assert!(
        found[3]["details"]["reason"]
            .as_str()
            .unwrap()
            .contains("503")
    );
}

/// Somebody whom an app is not for, and what they lack.
#[tokio::test]
async fn whom_an_app_is_not_for() {
    let recorded = Recorded::start(|setup| {
        setup.clients = app("current", "require_claims = { is_member = true }");
    })
    .await;
    recorded
        .server
        .imis
        .change(ZOE.username, |zoe| zoe.is_member = false);
    let url = recorded.server.authorize_url("current", &[]);
    let page = Browser::new().log_in_as(url, ZOE).await;
    assert_eq!(page.status, 403, "{}", page.body);
    let found = recorded
        .records(&[Event::LoggedIn, Event::NotAdmitted])
        .await;
    says(
        &found[1],
        &json!({
            "/client_id": "current", "/address": "127.0.0.1", "/at": START,
            "/account": found[0]["account"], "/session": found[0]["session"],
        }),
    );
    let lacking = found[1]["details"]["lacking"].as_str().unwrap();
    assert!(lacking.contains("is_member"), "{lacking}");
}

/// Whom the upstream does not let in any more: their sessions, and why.
#[tokio::test]
async fn what_an_upstream_takes_back() {
    let hash = hash_password(&Secret::new("kims-password")).unwrap();
    let mut recorded = Recorded::start(|setup| {
        setup.upstreams = format!(
            "[[upstreams]]\nid = \"local\"\nkind = \"users\"\n[[upstreams.people]]\nid = \"1\"\n\
             username = \"kim\"\npassword_hash = \"{hash}\"\n"
        );
    })
    .await;
    let url = recorded.server.authorize_url("spa", &[("scope", OFFLINE)]);
    let mut browser = Browser::new();
    let page = browser.open(url).await;
    let page = browser
        .sign_in(&page, "local", ("kim", "kims-password"))
        .await;
    let code = &page.answer()["code"];
    let tokens = recorded.server.redeem("spa", code, &[]).await;
    recorded.keep(&tokens, &["access_token", "refresh_token"]);
    recorded.server.edit_config("id = \"1\"", "id = \"3\"");
    recorded.server.restart().await;
    let server = &recorded.server;
    server.clock.advance(5 * 60);
    let refused = server.refresh("spa", tokens.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
    let found = recorded
        .records(&[Event::LoggedIn, Event::LoggedOut, Event::AccessWithdrawn])
        .await;
    let account = &found[0]["account"];
    for record in &found[1..] {
        says(
            record,
            &json!({
                "/upstream": "local", "/account": account, "/client_id": "spa", "/address": "127.0.0.1",
                "/at": START + 5 * 60,
            }),
        );
        assert!(record["details"]["reason"].is_string(), "{record}");
    }
    says(&found[1], &json!({"/session": found[0]["session"]}));
    says(&found[2], &json!({"/details/sessions_ended": 1}));
}

/// A logout, the app that hears of it, and the one that never does.
#[tokio::test]
async fn what_apps_hear_of_a_logout() {
    let site = Site::start().await;
    site.set("/first", site::Page::Body("text/plain", String::new()));
    let mut recorded = Recorded::start(|setup| {
        let uri = |name: &str| format!("backchannel_logout_uri = \"{}/{name}\"", site.url);
        setup.clients = told_at("first", &uri("first")) + &told_at("second", &uri("second"));
        setup.sections += "[outbound]\nallow_hosts = [\"127.0.0.1\"]\n";
        setup.sections += "[lifetimes]\nlogout_notice = \"1m\"\n";
    })
    .await;
    // Until its clock is believed.
    recorded.server.clock.pass(15 * 60);
    let mut browser = Browser::new();
    let tokens = sign_in(&recorded.server, &mut browser, "first", "openid").await;
    recorded.keep(&tokens, &["access_token"]);
    sign_in(&recorded.server, &mut browser, "second", "openid").await;
    log_out(&recorded.server, &mut browser, &tokens).await;
    let server = &recorded.server;
    settled(server, "first").await;
    for (attempts, wait) in [(1, 10), (2, 30), (3, 0)] {
        attempted(server, "second", attempts).await;
        server.clock.pass(wait);
    }
    settled(server, "second").await;
    let told = site.requests("/first", 1).await.remove(0);
    recorded.secrets.push(told.replace("logout_token=", ""));
    let found = recorded
        .records(&[
            Event::LoggedOut,
            Event::ClientToldOfLogout,
            Event::ClientNotToldOfLogout,
        ])
        .await;
    for (record, client, attempts) in [(&found[1], "first", 1), (&found[2], "second", 3)] {
        says(
            record,
            &json!({
                "/client_id": client, "/details/attempts": attempts,
                "/account": found[0]["account"], "/session": found[0]["session"],
            }),
        );
    }
    let reason = found[2]["details"]["reason"].as_str().unwrap();
    assert!(reason.contains("404"), "{reason}");
}

/// An API that gets a token for the next one, and tokens that are given back.
#[tokio::test]
async fn what_becomes_of_tokens() {
    let mut recorded = Recorded::start(delegation::chain).await;
    let (_, tokens) = delegation::front(&recorded.server).await;
    recorded.keep(&tokens, &["access_token", "refresh_token"]);
    let subject = tokens.text("access_token");
    let next = delegation::delegate(&recorded.server, "both", subject, &[]).await;
    assert_eq!(next.status, 200, "{next:?}");
    recorded.keep(&next, &["access_token"]);
    for kind in ["access_token", "refresh_token"] {
        let request = http_client().post(recorded.server.url("/revoke"));
        let fields = [("token", tokens.text(kind))];
        let server = &recorded.server;
        let answer = server.send_as(request, "front-app", &fields).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let found = recorded
        .records(&[
            Event::TokensIssued,
            Event::TokensIssued,
            Event::TokenExchanged,
            Event::TokensIssued,
            Event::TokenRevoked,
            Event::TokenRevoked,
        ])
        .await;
    let family = &found[0]["family"];
    assert!(family.is_string(), "{found:#?}");
    for (record, client, grant) in [
        (&found[0], "front-app", "authorization_code"),
        (&found[1], "both", "client_credentials"),
    ] {
        says(
            record,
            &json!({"/client_id": client, "/details/grant": grant}),
        );
    }
    says(
        &found[2],
        &json!({
            "/client_id": "both", "/details/from": "front-app", "/details/delegated": true, "/family": family,
            "/details/audience": "https://stock.example.org", "/account": found[0]["account"],
        }),
    );
    for (record, kind) in found[4..].iter().zip(["access_token", "refresh_token"]) {
        says(
            record,
            &json!({"/client_id": "front-app", "/details/kind": kind, "/family": family}),
        );
    }
    for record in &found {
        says(record, &json!({"/address": "127.0.0.1", "/at": START}));
    }
}

/// Codes that are typed until nothing is looked up any more.
#[tokio::test]
async fn what_is_typed_too_often() {
    let recorded = Recorded::start(|setup| {
        device::devices(setup);
        setup.sections += "max_attempts_per_address = 12\n";
    })
    .await;
    let mut browser = Browser::new();
    for number in 0..=12 {
        let page = device::enter(&recorded.server, &mut browser, "BBBB-BBBB").await;
        let said = page.text("[role=alert]").unwrap();
        assert_eq!(said.contains("Too many"), number == 12, "{number}: {said}");
    }
    let found = recorded.records(&[Event::UserCodeThrottled]).await;
    says(&found[0], &json!({"/address": "127.0.0.1", "/at": START}));
}

/// Two tabs that ask for the same: the second one changes nothing, and says so.
#[tokio::test]
async fn what_is_linked_already() {
    let recorded = Recorded::start(|_| {}).await;
    let (mut one, mut other) = (Browser::new(), Browser::new());
    let late = accounts::to_confirm(&recorded.server, &mut one).await;
    let page = accounts::to_confirm(&recorded.server, &mut other).await;
    other.submit(&page, accounts::CONFIRM, &[]).await;
    one.submit(&late, accounts::CONFIRM, &[]).await;
    let found = recorded
        .records(&[Event::AccountLinked, Event::AccountLinkRefused])
        .await;
    says(
        &found[1],
        &json!({
            "/upstream": "staff", "/account": found[0]["account"], "/details/by": "person",
            "/details/reason": "Already", "/address": "127.0.0.1", "/at": START,
        }),
    );
}

/// A key for an algorithm that is wanted, until it is not.
#[tokio::test]
async fn what_becomes_of_signing_keys() {
    let mut recorded = Recorded::start(|setup| setup.own_key = true).await;
    let (usual, more) = ("\"RS256\", \"ES256\"]", "\"RS256\", \"ES256\", \"PS256\"]");
    for (from, to) in [(usual, more), (more, usual)] {
        recorded.server.edit_config(from, to);
        recorded.server.clock.advance(1);
        recorded.server.restart().await;
    }
    let found = recorded
        .records(&[
            Event::SigningKeyMade,
            Event::SigningKeyMade,
            Event::SigningKeyMade,
            Event::SigningKeyRetired,
        ])
        .await;
    for record in &found[2..] {
        says(record, &json!({"/details/algorithm": "PS256"}));
        assert_eq!(record["details"]["kid"], found[2]["details"]["kid"]);
    }
    assert!(found[3]["details"]["retired_at"].as_i64() > Some(START));
}

/// What a person reads on a page, an app in the browser's redirect, and an app directly.
#[tokio::test]
async fn what_people_and_apps_are_told_of_errors() {
    let recorded = Recorded::start(|_| {}).await;
    let server = &recorded.server;
    let wrong = [("redirect_uri", "https://evil.example/")];
    let page = Browser::new()
        .open(server.authorize_url("spa", &wrong))
        .await;
    let silent = server.authorize_url("spa", &[("prompt", "none")]);
    let returned = Browser::new().get(silent).await;
    assert_eq!(returned.answer()["error"], "login_required");
    let request = http_client().post(server.url("/token"));
    let request = request.basic_auth("web", Some("not-the-secret"));
    let form = [("grant_type", "authorization_code"), ("code", "x")];
    let told = answer(request.form(&form)).await;
    told.assert_error(401, "invalid_client");
    let ids = [
        page.header("x-request-id").to_owned(),
        returned.header("x-request-id").to_owned(),
        told.headers["x-request-id"].to_str().unwrap().to_owned(),
    ];
    let found = recorded
        .records(&[
            Event::ErrorPageShown,
            Event::RequestRefused,
            Event::RequestRefused,
        ])
        .await;
    for ((record, id), (client, seen, code, endpoint)) in found.iter().zip(ids).zip([
        ("spa", "page", "invalid_request", "GET /authorize"),
        ("spa", "redirect", "login_required", "GET /authorize"),
        ("web", "json", "invalid_client", "POST /token"),
    ]) {
        says(
            record,
            &json!({
                "/client_id": client, "/details/seen": seen, "/details/code": code, "/details/endpoint": endpoint,
                "/request": id, "/address": "127.0.0.1", "/at": START,
            }),
        );
        assert!(record["details"]["description"].is_string(), "{record}");
    }
    assert!(found[0]["details"]["trouble"].is_string());
}

/// The test that brings each event about, from outside, and looks at what is recorded. Whoever adds an event adds one.
const fn scenario(event: Event) -> &'static str {
    const LOGIN: &str = "command_line::audit::a_login_from_its_beginning_to_the_logout_is_found_by_all_that_belongs_to_it";
    const DECIDED: &str = "command_line::audit::what_people_decide_is_recorded";
    const TWICE: &str = "command_line::audit::assertions_and_proofs_that_come_twice_are_recorded";
    const REPLAY: &str =
        "command_line::audit::a_replay_names_who_had_the_tokens_and_who_came_with_the_old_one";
    const UPSTREAM: &str = "command_line::audit::what_apps_get_of_upstreams_is_recorded";
    const ADMINISTRATOR: &str = "command_line::audit::what_administrators_do_is_recorded";
    const CONFIGURATION: &str =
        "command_line::audit::what_the_configuration_changes_is_recorded_once";
    const REGISTERED: &str = "audit_events::what_a_client_registers_changes_and_removes";
    const DEVICE: &str = "audit_events::what_a_device_asks_and_what_people_answer";
    const AWAY: &str = "audit_events::what_an_upstream_that_is_away_cannot_say";
    const ERRORS: &str = "audit_events::what_people_and_apps_are_told_of_errors";
    const HEARD: &str = "audit_events::what_apps_hear_of_a_logout";
    const TOKENS: &str = "audit_events::what_becomes_of_tokens";
    match event {
        Event::LoggedIn | Event::LoginRefused | Event::LoggedOut => LOGIN,
        Event::LoginFailed | Event::LoginUnconfirmed | Event::RequestFailed => AWAY,
        Event::LoginThrottled | Event::Consented | Event::AppEnded | Event::LoggedOutEverywhere => {
            DECIDED
        }
        Event::ConsentDenied => {
            "consent::what_a_person_answers_is_recorded_with_all_that_was_asked"
        }
        Event::NotAdmitted => "audit_events::whom_an_app_is_not_for",
        Event::AllLoggedOut
        | Event::ClientLoggedOut
        | Event::AccountDisabled
        | Event::AccountEnabled
        | Event::InitialAccessTokenCreated
        | Event::InitialAccessTokenRevoked
        | Event::SigningKeyAnnounced => ADMINISTRATOR,
        Event::ClientToldOfLogout | Event::ClientNotToldOfLogout => HEARD,
        Event::AccessWithdrawn => "audit_events::what_an_upstream_takes_back",
        Event::UpstreamDown | Event::UpstreamUp => {
            "audit_events::the_outage_of_an_upstream_and_its_return"
        }
        Event::FamilyCapped => {
            "audit_events::what_ends_because_a_person_has_too_many_logins_of_apps"
        }
        Event::TokensIssued | Event::TokenRevoked | Event::TokenExchanged => TOKENS,
        Event::UpstreamTokenReleased | Event::UpstreamApiCalled | Event::UpstreamApiRefused => {
            UPSTREAM
        }
        Event::ClientAssertionReplayed | Event::DpopProofReplayed => TWICE,
        Event::CodeReplayed | Event::RefreshTokenReplayed => REPLAY,
        Event::DeviceCodeReplayed
        | Event::DeviceCodeIssued
        | Event::DeviceApproved
        | Event::DeviceDenied => DEVICE,
        Event::UserCodeThrottled => "audit_events::what_is_typed_too_often",
        Event::AccountLinked | Event::AccountUnlinked => {
            "audit_events::what_a_person_links_and_unlinks"
        }
        Event::AccountLinkRefused => "audit_events::what_is_linked_already",
        Event::ClientRegistered | Event::ClientRegistrationChanged | Event::ClientDeregistered => {
            REGISTERED
        }
        Event::ClientAdded
        | Event::ClientChanged
        | Event::ClientRemoved
        | Event::ConfigurationChanged
        | Event::ServerStarted => CONFIGURATION,
        Event::DatabaseMoved => {
            "command_line::moving::an_embedded_database_is_moved_and_everybody_stays_signed_in"
        }
        Event::SigningKeyMade | Event::SigningKeyRetired => {
            "audit_events::what_becomes_of_signing_keys"
        }
        Event::ErrorPageShown | Event::RequestRefused => ERRORS,
    }
}

/// What stands in a test, from its name to its end; `None` if there is no such test.
fn body(test: &str) -> Option<String> {
    let (module, name) = test.rsplit_once("::")?;
    let file = format!("tests/it/{}.rs", module.replace("::", "/"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let source = fs::read_to_string(path).ok()?;
    let (before, rest) = source.split_once(&format!("fn {name}("))?;
    let marked = before.trim_end().trim_end_matches("async").trim_end();
    let is_test = ["#[test]", "#[tokio::test]"];
    let is_test = is_test.iter().any(|mark| marked.ends_with(mark));
    is_test.then(|| rest.split("\n}\n").next().unwrap_or_default().to_owned())
}

/// What of `test` shows that it does not look at what is recorded of `event`.
fn fault(event: Event, test: &str) -> Option<String> {
    let Some(body) = body(test) else {
        return Some(format!("{event:?}: there is no test {test}"));
    };
    let named = format!("Event::{event:?}");
    let is_whole = |(at, _)| {
        let next: Option<char> = body[at + named.len()..].chars().next();
        next.is_none_or(|next| !next.is_alphanumeric())
    };
    let looks = ["records(&[", "all_of(", "audit("];
    if !looks.iter().any(|look| body.contains(look)) {
        return Some(format!("{test} reads no records"));
    }
    let looks_for_it = body.match_indices(&named).any(is_whole);
    (!looks_for_it).then(|| format!("{test} does not look for {event:?}"))
}

/// Every event that the code can write is brought about by a test, by HTTP or by a command, that looks at the record.
#[test]
fn every_event_has_its_scenario() {
    let faults = Event::ALL
        .iter()
        .filter_map(|event| fault(*event, scenario(*event)));
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // And it is told from one that is missing, or looks for something else.
    for (event, test) in [
        (Event::LoggedIn, "audit_events::there_is_no_such_test"),
        (Event::LoggedIn, "audit_events::scenario"),
        (Event::LoggedIn, "audit_events::what_is_linked_already"),
        (
            Event::AccountLinkRefused,
            "audit_events::what_a_person_links_and_unlinks",
        ),
        (
            Event::LoggedOut,
            "command_line::audit::what_people_decide_is_recorded",
        ),
    ] {
        assert!(fault(event, test).is_some(), "{event:?} {test}");
    }
}

/// An event that nothing writes would be told of in vain.
#[test]
fn every_event_is_written_somewhere() {
    let mut written = String::new();
    for (file, text) in sources() {
        if file != "model/audit.rs"
            && !file.starts_with("cli/explain")
            && !file.starts_with("telemetry")
        {
            written += &text;
        }
    }
    let unwritten = Event::ALL.iter().filter(|event| {
        let named = format!("Event::{event:?}");
        !written.contains(&named)
    });
    let unwritten: Vec<&Event> = unwritten.collect();
    assert!(unwritten.is_empty(), "{unwritten:?}");
}
