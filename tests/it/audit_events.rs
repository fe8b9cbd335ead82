//! What is recorded of what people, clients and upstreams do, end to end: the same in the database and as a line of JSON, with
//! who, what, when, from where, and never with a secret.

use portico::model::audit::Event;
use portico::simulator::Fault;
use portico::simulator::people::JO_SMITH;
use portico::upstream::breaker::{FAILURES, REST};
use reqwest::Method;
use serde_json::{Value, json};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::command_line::audit::audit;
use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, answer};
use crate::harness::server::{START, Setup, TestServer};
use crate::log_scrubbing::Log;
use crate::{accounts, device};

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
            let is_it = |line: &&Value| {
                let names = ["event", "client_id", "account", "upstream", "session"];
                names
                    .iter()
                    .all(|name| line["fields"].get(*name) == record.get(*name))
            };
            let line = lines.iter().find(is_it);
            let line = line.unwrap_or_else(|| panic!("no line of {record} in {text}"));
            let details = record["details"].as_object();
            for (name, value) in details.into_iter().flatten() {
                if name == "endpoint" {
                    let text = |name: &str| line["span"][name].as_str().unwrap();
                    assert_eq!(*value, format!("{} {}", text("method"), text("path")));
                    continue;
                }
                assert_eq!(line["fields"].get(name), Some(value), "{name} in {line}");
            }
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
