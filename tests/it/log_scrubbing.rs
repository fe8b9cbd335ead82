//! T60, T37: a whole run at the most talkative log level, searched for every secret in it.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use portico::simulator::people::{ANN_LEE, ImisPerson, JO_SMITH, SERVICE, ZOE};
use portico::simulator::{Fault, aim18};
use sha1::{Digest as _, Sha1};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::gateway;
use crate::harness::browser::{Browser, PASSWORD_FORM, Page, http_client};
use crate::harness::relying_party::{Answer, VERIFIER, answer};
use crate::harness::server::{POST_SECRET, Setup, TestServer, WEB_SECRET};
use crate::harness::steps::TO_AIM18;
use crate::token_exchange::{by_page, callers, employee, exchange, exchange_with, of_service};

const WRONG: &str = "not-the-password-of-anybody";

/// An id in the path of a call.
const CALLED_ID: &str = "id-of-somebody-4711";

/// A client whose answers hold an ID token.
const HYBRID: &str = r#"
[[clients]]
client_id = "hybrid"
client_secret = { env = "WEB_SECRET" }
redirect_uris = ["https://hybrid.example.org/callback"]
response_types = ["code id_token"]
"#;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The run: what was secret in it, by what it is, and every page that was shown.
struct Run {
    server: TestServer,
    secrets: BTreeMap<String, String>,
    pages: Vec<Page>,
}

impl Run {
    fn secret(&mut self, what: impl Into<String>, value: impl Into<String>) {
        let value = value.into();
        if value.len() >= 8 {
            self.secrets.insert(what.into(), value);
        }
    }

    fn tokens(&mut self, what: &str, answer: &Answer) {
        for name in ["access_token", "refresh_token", "id_token"] {
            if let Some(token) = answer.body[name].as_str() {
                self.secret(format!("{name} of {what}"), token);
                let signature = token.rsplit('.').next().unwrap_or_default();
                self.secret(format!("end of the {name} of {what}"), signature);
            }
        }
    }

    fn browser(&mut self, what: &str, browser: &Browser) {
        for name in browser.cookie_names() {
            let value = &browser.cookie(&self.server, name).unwrap().value;
            // A flow's cookie begins with the time.
            let value = value
                .split_once('.')
                .map_or(value.as_str(), |(_, text)| text);
            self.secret(format!("cookie {name} of {what}"), value);
        }
    }

    /// A login at iMIS up to the client, and everything a client does then, mistakes included.
    async fn member(&mut self, person: ImisPerson) {
        let mut browser = Browser::new();
        let changes = [("scope", "openid profile email offline_access")];
        let url = self.server.authorize_url("web", &changes);
        let page = browser.open(&url).await;
        let wrong = browser
            .sign_in(&page, "members", (person.username, WRONG))
            .await;
        self.browser("a wrong login", &browser);
        let done = browser.sign_in_as(&page, person).await;
        self.browser("a member", &browser);
        let code = done.answer().remove("code").unwrap();
        self.secret("code", &code);
        let server = &self.server;
        let bad_verifier = [("code_verifier", "x".repeat(43))];
        let bad_verifier = bad_verifier
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let refused = server.redeem("web", &code, &bad_verifier).await;
        assert_eq!(refused.status, 400);
        let tokens = server.redeem("web", &code, &[]).await;
        assert_eq!(tokens.status, 200);
        let next = server.refresh("web", tokens.text("refresh_token")).await;
        let userinfo = server.userinfo(next.text("access_token")).await;
        assert_eq!(userinfo.status, 200);
        let hint = [
            ("prompt", "none"),
            ("id_token_hint", tokens.text("id_token")),
        ];
        browser.get(server.authorize_url("web", &hint)).await;
        let hint = tokens.text("access_token");
        browser
            .get(server.url(&format!("/end_session?id_token_hint={hint}")))
            .await;
        // Replays: of the refresh token, and of the code.
        server.clock.advance(31);
        server.refresh("web", tokens.text("refresh_token")).await;
        server.redeem("web", &code, &[]).await;
        server.userinfo(next.text("access_token")).await;
        let hint = next.text("id_token").to_owned();
        let logout = browser
            .get(server.url(&format!("/end_session?id_token_hint={hint}")))
            .await;
        self.tokens("a member", &tokens);
        self.tokens("a refresh", &next);
        self.pages.extend([page, wrong, logout]);
    }

    /// An ID token that the browser carries, by both ways.
    async fn hybrid(&mut self, person: ImisPerson) {
        let mut browser = Browser::new();
        for mode in ["form_post", "fragment"] {
            let changes = [("response_type", "code id_token"), ("response_mode", mode)];
            let url = self.server.authorize_url("hybrid", &changes);
            let mut page = browser.open(&url).await;
            if page.is_login() {
                page = browser.sign_in_as(&page, person).await;
            }
            let answer = match page.location() {
                Some(_) => page.answer(),
                None => page.form("form").1,
            };
            self.secret(format!("code by {mode}"), &answer["code"]);
            let id_token = &answer["id_token"];
            self.secret(format!("id_token by {mode}"), id_token);
            let signature = id_token.rsplit('.').next().unwrap();
            self.secret(format!("end of the id_token by {mode}"), signature);
        }
    }

    /// Logins at aiM18, by its page and by our form.
    async fn employee(&mut self) {
        for fault in [
            None,
            Some(Fault::ErrorPage),
            Some(Fault::Nonsense),
            Some(Fault::CloseAfter(9)),
        ] {
            let mut browser = Browser::new();
            let url = self.server.authorize_url("spa", &[]);
            let page = browser.open(&url).await;
            let entry = browser.submit(&page, TO_AIM18, &[]).await;
            self.browser("one who is away", &browser);
            if let Some(fault) = fault {
                self.server.aim18.fail("/oauth/token", fault);
            }
            let back = browser.at_aim18(&entry, ANN_LEE).await;
            let came_back = browser.follow(back).await;
            let form = browser
                .open(self.server.authorize_url("spa", &[("prompt", "login")]))
                .await;
            for password in [WRONG, ANN_LEE.password] {
                let page = browser
                    .sign_in(&form, "staff", (ANN_LEE.code, password))
                    .await;
                self.pages.push(page);
            }
            self.browser("an employee", &browser);
            self.server.aim18.mend();
            self.server.clock.advance(15 * 60);
            self.pages.extend([page, came_back, form]);
        }
    }

    /// Tokens of upstreams are handed out, renewed, and lost.
    async fn releases(&mut self) {
        let server = &self.server;
        let mut browser = Browser::new();
        let scope = "openid offline_access upstream:members upstream:staff";
        let member = by_page(server, &mut browser, scope).await;
        let given = exchange(server, &member, "members").await;
        let refused = exchange(server, &given, "members").await;
        assert_eq!(refused.status, 400);
        server.clock.advance(1198);
        let next = server
            .refresh("calling-app", member.text("refresh_token"))
            .await;
        let renewed = exchange(server, &next, "members").await;
        assert_eq!(renewed.status, 200, "{renewed:?}");
        server.clock.advance(1198);
        let last = server
            .refresh("calling-app", next.text("refresh_token"))
            .await;
        server.imis.fail_once("/token", Fault::CloseAfter(99));
        exchange(server, &last, "members").await;
        let employee = employee(server, &mut Browser::new(), ANN_LEE).await;
        let staff = exchange(server, &employee, "staff").await;
        let service = of_service(server).await;
        let token = service.text("access_token");
        let services = exchange_with(server, "both", token, &[]).await;
        server
            .imis
            .change(SERVICE.username, |person| person.password = "elsewhere");
        server.clock.advance(1200);
        let again = of_service(server).await;
        let refused = exchange_with(server, "both", again.text("access_token"), &[]).await;
        assert_eq!(refused.status, 500);
        server.imis.change(SERVICE.username, |person| {
            person.password = SERVICE.password;
        });
        server.clock.advance(15 * 60);
        for (what, answer) in [
            ("a caller", &member),
            ("the upstream's own", &given),
            ("the upstream's own, renewed", &renewed),
            ("the upstream's own, staff", &staff),
            ("the upstream's own, service", &services),
            ("a server", &service),
        ] {
            assert!(
                answer.body["access_token"].is_string(),
                "{what}: {answer:?}"
            );
            self.tokens(what, answer);
        }
        self.browser("a caller", &browser);
    }

    /// Calls of APIs that go well, are renewed, refused and lost, with an id of somebody in the path.
    async fn calls(&mut self) {
        let server = &self.server;
        let scope = "openid members:read customers:read";
        let member = gateway::member(server, &mut Browser::new(), scope).await;
        let employee = gateway::employee(server, ANN_LEE, scope).await;
        let machine = gateway::of_server(server).await;
        let path = format!("/api/members/Party/{CALLED_ID}");
        for fault in [
            Fault::Status(401),
            Fault::Nonsense,
            Fault::ErrorPage,
            Fault::CloseAfter(9),
        ] {
            server.imis.fail_once("/api/party", fault);
            for tokens in [&member, &employee, &machine] {
                gateway::get(server, &path, tokens).await;
            }
        }
        let ours = member.text("access_token");
        for path in [
            format!("/api/members/Party/{ours}"),
            format!("/api/members/Party/1?x={ours}"),
        ] {
            let refused = gateway::get(server, &path, &member).await;
            assert_eq!(refused.status, 400);
        }
        server.clock.advance(15 * 60);
        for (what, answer) in [
            ("a member who calls", &member),
            ("an employee who calls", &employee),
            ("a server that calls", &machine),
        ] {
            self.tokens(what, answer);
        }
        self.secret("the id that was asked for", CALLED_ID);
    }

    /// iMIS breaks in every way, in front of somebody who types the right password.
    async fn breakdown(&mut self) {
        for place in ["/token", "/api/"] {
            for fault in [
                Fault::ErrorPage,
                Fault::Nonsense,
                Fault::Page,
                Fault::Status(401),
                Fault::CloseAfter(0),
            ] {
                let mut browser = Browser::new();
                let page = browser.open(self.server.authorize_url("spa", &[])).await;
                self.server.imis.fail(place, fault);
                let failed = browser.sign_in_as(&page, JO_SMITH).await;
                self.pages.push(failed);
                self.server.imis.mend();
                self.server.clock.advance(15 * 60);
            }
        }
    }

    /// Requests that are wrong in themselves, with secrets in them.
    async fn mistakes(&mut self) {
        let url = self.server.url("/token");
        for (id, secret) in [
            ("web", WRONG),
            ("post", WEB_SECRET),
            ("nobody", POST_SECRET),
        ] {
            let form = [("grant_type", "client_credentials")];
            let request = http_client().post(&url).basic_auth(id, Some(secret));
            assert_eq!(answer(request.form(&form)).await.status, 401);
            let form = [("client_id", id), ("client_secret", secret), form[0]];
            answer(http_client().post(&url).form(&form)).await;
        }
        let mut browser = Browser::new();
        for path in [
            format!("/authorize?client_id=web&redirect_uri={WEB_SECRET}"),
            format!("/login?flow={WRONG}&password={WRONG}"),
            format!("/upstream/staff/callback?code={WRONG}&state={WRONG}"),
            format!("/nothing?password={WRONG}"),
        ] {
            browser.get(self.server.url(&path)).await;
        }
        browser
            .post(self.server.url("/login"), &[("password", WRONG)])
            .await;
    }

    /// What the upstreams received holds secrets as well: codes, hashed passwords, tokens.
    fn upstream_secrets(&mut self) {
        let mut log = self.server.imis.log();
        log.extend(self.server.aim18.log());
        for (number, request) in log.iter().enumerate() {
            for name in [
                "code",
                "password",
                "client_secret",
                "refresh_token",
                "state",
            ] {
                if let Some(value) = request.parameter(name) {
                    self.secret(format!("{name} of upstream request {number}"), value);
                }
            }
            if let Some(token) = request.bearer() {
                self.secret(format!("token of upstream request {number}"), token);
            }
        }
    }
}

fn sha1_hex(text: &str) -> String {
    let digest = Sha1::digest(text.as_bytes());
    digest
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn no_secret_of_a_whole_run_is_in_the_log_or_on_a_page() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        // The parser of the test's own browser tells every character.
        .with_env_filter("trace,html5ever=off,selectors=off")
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    // Of this thread alone, on which the server and the simulators run, too; with what libraries say through `log`.
    let _guard = subscriber.set_default();
    // While there is one subscriber alone, `tracing` asks the thread that comes by an event first whether anybody wants it,
    // and that may be another test's.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let server = TestServer::start_with(|setup| {
        callers(setup);
        gateway::apis(setup);
        setup.clients.push_str(HYBRID);
    })
    .await;
    let mut run = Run {
        server,
        secrets: BTreeMap::new(),
        pages: Vec::new(),
    };
    for (what, value) in [
        ("the wrong password", WRONG),
        ("the member's password", JO_SMITH.password),
        ("the other member's password", ZOE.password),
        ("the employee's password", ANN_LEE.password),
        ("the service account's password", SERVICE.password),
        ("the secret at aiM18", aim18::CLIENT_SECRET),
        ("the secret of web", WEB_SECRET),
        ("the secret of post", POST_SECRET),
        ("the code verifier", VERIFIER),
    ] {
        run.secret(what, value);
        run.secret(format!("SHA-1 of {what}"), sha1_hex(value));
    }
    run.secret("the master key", Setup::default().master_key);
    run.member(JO_SMITH).await;
    run.member(ZOE).await;
    run.hybrid(ZOE).await;
    run.employee().await;
    run.releases().await;
    run.calls().await;
    run.breakdown().await;
    run.mistakes().await;
    run.upstream_secrets();
    run.server.stop().await;
    let text = log.text();
    for event in [
        "logged_in",
        "tokens_issued",
        "login_refused",
        "login_failed",
        "code_replayed",
        "refresh_token_replayed",
        "logged_out",
        "upstream_token_released",
        "upstream_api_called",
        "the answer to a renewal was lost",
        "reqwest",
    ] {
        assert!(text.contains(event), "the log was not captured: no {event}");
    }
    assert!(run.secrets.len() > 60, "{}", run.secrets.len());
    let upstreams_own = |what: &str| {
        [
            "the ",
            "SHA-1",
            "code of up",
            "token of up",
            "password of up",
            "client_secret",
        ]
        .iter()
        .any(|kind| what.starts_with(kind))
    };
    for (what, secret) in &run.secrets {
        for form in [
            secret.clone(),
            encoded(secret),
            encoded(secret).to_lowercase(),
        ] {
            if let Some(at) = text.find(&form) {
                let line = text[..at].lines().count();
                panic!("{what} is in the log: {:?}", text.lines().nth(line - 1));
            }
            if upstreams_own(what) {
                for page in &run.pages {
                    assert!(!page.body.contains(&form), "{what} is on {}", page.url);
                }
            }
        }
    }
}

/// The form never shows a password again, whatever was wrong.
#[tokio::test]
async fn a_typed_password_is_never_sent_back() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let form = browser.choose(&page, "members").await;
    for (username, password) in [("", WRONG), ("jo", WRONG), (WRONG, WRONG)] {
        let fields = [("username", username), ("password", password)];
        let page = browser.submit(&form, PASSWORD_FORM, &fields).await;
        assert_eq!(page.attribute("input[name=password]", "value"), None);
        assert_eq!(page.body.contains(WRONG), username == WRONG);
    }
}
