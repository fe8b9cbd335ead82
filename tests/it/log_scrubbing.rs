//! T60, T37: a whole run at the most talkative log level, through all that works and all that breaks. The log in both of its
//! formats, the metrics, every page, every address of ours and the database are searched for every secret in it.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use memchr::memmem;
use portico::simulator::aim18::{AnswerIn, ReturnBy};
use portico::simulator::imis::PROFILE_QUERY;
use portico::simulator::people::{AIM18_SERVICE, ANN_LEE, ImisPerson, JO_SMITH, SERVICE, ZOE};
use portico::simulator::{Fault, aim18};
use sha1::{Digest as _, Sha1};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::accounts;
use crate::device;
use crate::gateway;
use crate::harness::browser::{Browser, PASSWORD_FORM, Seen, http_client};
use crate::harness::relying_party::{Answer, VERIFIER, answer};
use crate::harness::server::{
    CHOSEN_SECRET, POST_SECRET, SERVICE_SECRET, Setup, TestServer, WEB_SECRET,
};
use crate::harness::steps::{CONTINUE, TO_AIM18};
use crate::landing::{at_imis, deliver, from_imis, leave_from};
use crate::token_exchange::{by_page, callers, employee, exchange, exchange_with, of_service};

const WRONG: &str = "not-the-password-of-anybody";

/// An id in the path of a call.
const CALLED_ID: &str = "id-of-somebody-4711";

/// A client whose answers hold an ID token.
const HYBRID: &str = r#"
[[clients]]
client_id = "hybrid"
client_secret = { env = "CHOSEN_SECRET" }
redirect_uris = ["https://hybrid.example.org/callback"]
response_types = ["code id_token"]
"#;

/// A device.
const TELEVISION: &str = r#"
[[clients]]
client_id = "tv"
token_endpoint_auth_method = "none"
grant_types = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]
scope = "openid offline_access"
"#;

/// What was logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
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

/// The run: what was secret in it, by what it is, every answer that a browser got, and every refusal that a client got.
struct Run {
    server: TestServer,
    /// The file that the configuration names, as long as there is a restart to come.
    _password: tempfile::NamedTempFile,
    secrets: BTreeMap<String, String>,
    seen: Vec<Seen>,
    refusals: Vec<String>,
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

    fn refusal(&mut self, answer: &Answer) {
        assert!(answer.status.as_u16() >= 400, "{answer:?}");
        let text = format!("{} {:?}", answer.body, answer.headers);
        self.refusals.push(text);
    }

    fn browser(&mut self, what: &str, browser: &Browser) {
        self.seen.extend(browser.trail.iter().cloned());
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
        browser
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
        let replays = [
            refused,
            server.refresh("web", tokens.text("refresh_token")).await,
            server.redeem("web", &code, &[]).await,
            server.userinfo(next.text("access_token")).await,
        ];
        let hint = next.text("id_token").to_owned();
        browser
            .get(server.url(&format!("/end_session?id_token_hint={hint}")))
            .await;
        self.tokens("a member", &tokens);
        self.tokens("a refresh", &next);
        for refusal in &replays {
            self.refusal(refusal);
        }
        self.browser("one who left", &browser);
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
            let found = match page.location() {
                Some(_) => page.answer(),
                None => page.form("form").1,
            };
            self.secret(format!("code by {mode}"), &found["code"]);
            let id_token = &found["id_token"];
            self.secret(format!("id_token by {mode}"), id_token);
            let signature = id_token.rsplit('.').next().unwrap();
            self.secret(format!("end of the id_token by {mode}"), signature);
            let form = [
                ("grant_type", "authorization_code"),
                ("code", &found["code"]),
                ("redirect_uri", "https://hybrid.example.org/callback"),
                ("code_verifier", VERIFIER),
            ];
            let request = http_client().post(self.server.url("/token")).form(&form);
            let redeemed = answer(request.basic_auth("hybrid", Some(CHOSEN_SECRET))).await;
            assert_eq!(redeemed.status, 200, "{redeemed:?}");
            self.tokens(&format!("hybrid by {mode}"), &redeemed);
        }
        // Somebody else logs in here next.
        let again = self.server.authorize_url("spa", &[("prompt", "login")]);
        let page = browser.open(again).await;
        browser.sign_in_as(&page, JO_SMITH).await;
        self.browser("a hybrid answer", &browser);
    }

    /// Logins at aiM18, by its page and by our form.
    async fn employee(&mut self) {
        for fault in std::iter::once(None).chain(faults().map(Some)) {
            let mut browser = Browser::new();
            let url = self.server.authorize_url("spa", &[]);
            let page = browser.open(&url).await;
            let entry = browser.submit(&page, TO_AIM18, &[]).await;
            self.browser("one who is away", &browser);
            if let Some(fault) = fault.clone() {
                self.server.aim18.fail("/oauth/token", fault);
            }
            let back = browser.at_aim18(&entry, ANN_LEE).await;
            browser.follow(back).await;
            let form = browser
                .open(self.server.authorize_url("spa", &[("prompt", "login")]))
                .await;
            for password in [WRONG, ANN_LEE.password] {
                browser
                    .sign_in(&form, "staff", (ANN_LEE.code, password))
                    .await;
            }
            self.browser("an employee", &browser);
            self.server.aim18.mend();
            self.server.clock.advance(15 * 60);
        }
    }

    /// Tokens of upstreams are handed out, renewed, and lost.
    async fn releases(&mut self) {
        let server = &self.server;
        let mut browser = Browser::new();
        let scope = "openid offline_access upstream:members upstream:staff";
        let member = by_page(server, &mut browser, scope).await;
        let given = exchange(server, &member, "members").await;
        let no_token_of_ours = exchange(server, &given, "members").await;
        assert_eq!(no_token_of_ours.status, 400);
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
        let missed = exchange(server, &last, "members").await;
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
        for refusal in [missed, no_token_of_ours, refused] {
            self.refusal(&refusal);
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

    /// iMIS's Single Sign On page: members, a Guest, a token that comes twice, and faults while it is redeemed.
    async fn landings(&mut self) {
        for fault in std::iter::once(None).chain(faults().map(Some)) {
            let server = &self.server;
            let mut browser = Browser::new();
            at_imis(server, &mut browser, JO_SMITH).await;
            let away = leave_from(&mut browser, &server.authorize_url("spa", &[])).await;
            let (_, fields) = away.form("form#sso");
            if let Some(fault) = fault.clone() {
                server.imis.fail("/token", fault);
            }
            deliver(&mut browser, &away).await;
            deliver(&mut browser, &away).await;
            server.imis.mend();
            let page = from_imis(server, &mut browser, "Events").await;
            if page.attribute(CONTINUE, "method").is_some() {
                browser.submit(&page, CONTINUE, &[]).await;
            }
            let mut guest = Browser::new();
            from_imis(server, &mut guest, "Portico").await;
            server.clock.advance(15 * 60);
            let what = format!("token at the landing, {fault:?}");
            self.secret(what, &fields["refresh_token"]);
            self.browser("one who landed", &browser);
            self.browser("a guest", &guest);
        }
    }

    /// Whether people are still who they were is asked while iMIS is broken, until it is left alone.
    async fn rechecks(&mut self) {
        // Whoever does not answer is waited for elsewhere in this run.
        for fault in faults().filter(|fault| *fault != Fault::Hang) {
            let server = &self.server;
            let mut browser = Browser::new();
            let tokens = by_page(server, &mut browser, "openid offline_access").await;
            server.imis.fail("", fault);
            server.clock.advance(1_200);
            let mut refresh = tokens.text("refresh_token").to_owned();
            let mut answers = vec![of_service(server).await];
            let service = answers[0].text("access_token").to_owned();
            for _ in 0..3 {
                let next = server.refresh("calling-app", &refresh).await;
                if next.status == 200 {
                    next.text("refresh_token").clone_into(&mut refresh);
                }
                answers.push(next);
                answers.push(exchange_with(server, "both", &service, &[]).await);
            }
            server.imis.mend();
            server.clock.advance(15 * 60);
            for answer in &answers {
                if answer.status == 200 {
                    self.tokens(&format!("a recheck {}", self.secrets.len()), answer);
                } else {
                    self.refusal(answer);
                }
            }
            self.browser("one who is asked about", &browser);
        }
        let server = &self.server;
        let mut browser = Browser::new();
        let gone = by_page(server, &mut browser, "openid offline_access").await;
        let mark = |marked| {
            server.imis.change(JO_SMITH.username, |person| {
                person.marked_for_delete = marked;
            });
        };
        mark(true);
        server.clock.advance(301);
        let refresh = gone.text("refresh_token");
        let refused = server.refresh("calling-app", refresh).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        mark(false);
        self.tokens("one who is gone", &gone);
        self.refusal(&refused);
        self.browser("one who is gone", &browser);
    }

    /// aiM18 sends people back by other ways than a redirect with a query.
    async fn returns(&mut self) {
        for (by, place) in [
            (ReturnBy::Redirect(302), AnswerIn::Fragment),
            (ReturnBy::PostForm, AnswerIn::Query),
        ] {
            let server = &self.server;
            server.aim18.switch(|switches| {
                switches.return_by = by;
                switches.code_in = place;
            });
            let mut browser = Browser::new();
            let page = browser.open(server.authorize_url("spa", &[])).await;
            let entry = browser.submit(&page, TO_AIM18, &[]).await;
            let back = browser.at_aim18(&entry, ANN_LEE).await;
            let mut page = if by == ReturnBy::PostForm {
                let (action, fields) = back.form("form#back");
                let fields: Vec<(&str, &str)> = fields
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                browser.post_cross_site(action.as_str(), &fields).await
            } else {
                let page = browser.follow(back).await;
                browser.read_fragment(&page).await
            };
            page = browser.follow(page).await;
            if page.attribute(CONTINUE, "method").is_some() {
                page = browser.submit(&page, CONTINUE, &[]).await;
            }
            let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
            assert_eq!(tokens.status, 200, "{tokens:?}");
            let what = format!("one who comes back by {by:?}");
            self.tokens(&what, &tokens);
            self.browser(&what, &browser);
        }
        self.server.aim18.switch(|switches| {
            switches.return_by = ReturnBy::Redirect(302);
            switches.code_in = AnswerIn::Query;
        });
    }

    /// A sign-off that goes by iMIS's logout page and back.
    async fn sign_off(&mut self) {
        let server = &self.server;
        let mut browser = Browser::new();
        let tokens = by_page(server, &mut browser, "openid offline_access").await;
        let hint = tokens.text("id_token");
        let leave = server.url(&format!("/end_session?id_token_hint={hint}"));
        browser.open(leave).await;
        let by_imis = |seen: &Seen| seen.url.to_lowercase().contains("/logout.aspx");
        assert!(browser.trail.iter().any(by_imis), "{:?}", browser.trail);
        self.tokens("one who signs off", &tokens);
        self.browser("one who signs off", &browser);
    }

    /// The member gets the employee's login, too.
    async fn linking(&mut self) {
        let mut browser = Browser::new();
        let page = accounts::linked(&self.server, &mut browser).await;
        assert_eq!(page.url.path(), "/account", "{}", page.body);
        self.browser("one who links", &browser);
    }

    /// iMIS breaks in every way, in front of somebody who types the right password.
    async fn breakdown(&mut self) {
        for place in ["/token", "/api/"] {
            for fault in faults() {
                let mut browser = Browser::new();
                let page = browser.open(self.server.authorize_url("spa", &[])).await;
                self.server.imis.fail(place, fault);
                let mut failed = page;
                // Until it is left alone (the breaker).
                for _ in 0..3 {
                    failed = browser.sign_in_as(&failed, JO_SMITH).await;
                    if !failed.is_login() {
                        break;
                    }
                }
                self.browser("one who fails", &browser);
                self.server.imis.mend();
                self.server.clock.advance(15 * 60);
            }
        }
    }

    /// A device is let in, one is not, and somebody types what is no code. What a device shows stands on the page that asks about it,
    /// and in the link to that page; what it keeps stands nowhere.
    async fn devices(&mut self) {
        for decision in ["allow", "deny"] {
            let codes = device::begin(&self.server, "tv", "openid offline_access").await;
            let (kept, shown) = (codes.text("device_code"), codes.text("user_code"));
            self.secret(format!("device code, {decision}"), kept);
            self.secret(format!("user code, {decision}"), shown);
            self.secret(
                format!("letters of the user code, {decision}"),
                shown.replace('-', ""),
            );
            let waiting = device::ask(&self.server, "tv", kept).await;
            let early = device::ask(&self.server, "tv", kept).await;
            let strangers = device::ask(&self.server, "spa", kept).await;
            let mut browser = Browser::new();
            let page = browser.open(codes.text("verification_uri_complete")).await;
            let wrong = [("user_code", "BBBB-BBBB")];
            browser
                .submit(&page, "form[action='/device']", &wrong)
                .await;
            let page = device::at_question(&self.server, &mut browser, shown).await;
            device::decide(&mut browser, &page, decision).await;
            let answer = device::ask(&self.server, "tv", kept).await;
            let again = device::ask(&self.server, "tv", kept).await;
            if decision == "allow" {
                assert_eq!(answer.status, 200, "{answer:?}");
                self.tokens("a device", &answer);
            } else {
                self.refusal(&answer);
            }
            for refusal in [waiting, early, strangers, again] {
                self.refusal(&refusal);
            }
            self.browser("one with a device", &browser);
            self.server.clock.advance(15 * 60);
        }
    }

    /// Requests that are wrong in themselves, with secrets in them.
    async fn mistakes(&mut self) {
        let url = self.server.url("/token");
        for (id, secret) in [
            ("web", WRONG),
            ("post", WEB_SECRET),
            ("post", CHOSEN_SECRET),
            ("hybrid", WRONG),
            ("hybrid", WEB_SECRET),
            ("nobody", POST_SECRET),
        ] {
            let form = [("grant_type", "client_credentials")];
            let request = http_client().post(&url).basic_auth(id, Some(secret));
            let refused = answer(request.form(&form)).await;
            assert_eq!(refused.status, 401);
            self.refusal(&refused);
            let form = [("client_id", id), ("client_secret", secret), form[0]];
            let refused = answer(http_client().post(&url).form(&form)).await;
            self.refusal(&refused);
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
        // The addresses were the browser's own.
        browser.trail.iter_mut().for_each(|seen| seen.url.clear());
        self.browser("one who errs", &browser);
    }

    /// A login by another OpenID Provider, a Portico of its own.
    async fn partner(&mut self, inner: &TestServer) {
        for fault in [None, Some(Fault::ErrorPage), Some(Fault::Hang)] {
            let mut browser = Browser::new();
            let page = browser.open(self.server.authorize_url("spa", &[])).await;
            let page = browser.choose(&page, "partner").await;
            let page = browser.choose(&page, "members").await;
            if let Some(fault) = fault.clone() {
                inner.imis.fail("", fault);
            }
            let done = browser.sign_in_as(&page, ZOE).await;
            inner.imis.mend();
            if fault.is_none() {
                let tokens = self.server.redeem("spa", &done.answer()["code"], &[]).await;
                assert_eq!(tokens.status, 200, "{tokens:?}");
                self.tokens("a partner", &tokens);
                let trail = browser.trail.iter();
                let codes: Vec<String> = trail
                    .filter_map(|seen| url::Url::parse(&seen.url).ok())
                    .filter(|url| url.path() == "/upstream/partner/callback")
                    .filter_map(|url| {
                        let mut pairs = url.query_pairs();
                        pairs
                            .find(|(name, _)| name == "code")
                            .map(|(_, code)| code.into_owned())
                    })
                    .collect();
                assert_eq!(codes.len(), 1);
                self.secret("code of up the partner", &codes[0]);
            }
            inner.clock.advance(15 * 60);
            self.server.clock.advance(15 * 60);
            self.browser("one with a partner", &browser);
        }
    }

    /// Everything that the database holds, as text.
    async fn stored(&self) -> String {
        if let Some(folder) = self.server.database.folder() {
            let mut all = String::new();
            for file in std::fs::read_dir(folder).unwrap() {
                let bytes = std::fs::read(file.unwrap().path()).unwrap();
                all.push_str(&String::from_utf8_lossy(&bytes));
            }
            return all;
        }
        let pool = self.server.database.pool().await;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        let mut all = String::new();
        for table in tables {
            let statement = format!("SELECT row_to_json(t)::text FROM \"{table}\" t");
            let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
                .fetch_all(&pool)
                .await
                .unwrap();
            all.push_str(&rows.join("\n"));
        }
        pool.close().await;
        all
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

/// What may become of a request to an upstream.
fn faults() -> impl Iterator<Item = Fault> {
    [
        Fault::ErrorPage,
        Fault::Echo,
        Fault::Nonsense,
        Fault::Page,
        Fault::EmptyBody,
        Fault::Status(401),
        Fault::Status(500),
        Fault::Redirect("https://elsewhere.example/".to_owned()),
        Fault::Hang,
        Fault::CloseAfter(9),
    ]
    .into_iter()
}

/// An address, without what the protocols have it carry: a client's hint of who is meant, and what an upstream sends
/// to a callback, by itself or by a form that we turn into a redirect. A fragment never reaches a server.
fn uncarried(address: &str) -> String {
    let Ok(mut url) = url::Url::parse(address) else {
        return address.to_owned();
    };
    let path = url.path();
    let callback = path.starts_with("/upstream/") && path.ends_with("/callback");
    let mut pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    pairs.retain(|(name, _)| {
        let brought = callback && ["code", "state"].contains(&name.as_str());
        !brought && name != "id_token_hint"
    });
    url.set_query(None);
    url.set_fragment(None);
    pairs
        .iter()
        .fold(url.into(), |address: String, (name, value)| {
            format!("{address} {name}={value}")
        })
}

/// The ways in which a secret may be written.
fn forms(secret: &str) -> Vec<String> {
    let encoded = encoded(secret);
    let json = serde_json::Value::from(secret).to_string();
    let mut forms = vec![
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        encoded.replace('+', "%20"),
        encoded.to_lowercase(),
        encoded,
    ];
    forms.sort();
    forms.dedup();
    forms
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

/// A server for all of it, and the secrets that are known before it begins.
async fn run() -> (Run, TestServer) {
    let inner = TestServer::start_with(|setup| {
        setup.clients = "[[clients]]\nclient_id = \"outer\"\nclient_secret = { env = \"POST_SECRET\" }\n\
             redirect_uris = [\"http://127.0.0.1/upstream/partner/callback\"]\n\
             grant_types = [\"authorization_code\", \"refresh_token\"]\nscope = \"openid profile email offline_access\"\n"
            .to_owned();
    })
    .await;
    let mut server = TestServer::start_with(|setup| {
        callers(setup);
        gateway::apis(setup);
        setup.clients.push_str(HYBRID);
        setup.clients.push_str(TELEVISION);
        let members = format!(
            "timeout = \"1s\"\nroles = true\ncommittees = true\n\
             logout_url = \"{{imis}}/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx?returnurl={{return_url}}\"\n\
             profile_query = {{ path = \"{PROFILE_QUERY}\", by = \"username\", subject_column = \"id\", columns = {{ email = \"email\" }} }}\n"
        );
        setup.members.insert_str(0, &members);
        let partner = format!(
            "[[upstreams]]\nid = \"partner\"\nkind = \"oidc\"\nlabel = \"Partner login\"\ntimeout = \"1s\"\n\
             issuer = \"{}\"\nclient_id = \"outer\"\nclient_secret = {{ env = \"POST_SECRET\" }}\n",
            inner.issuer
        );
        setup.upstreams.push_str(&partner);
    })
    .await;
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), AIM18_SERVICE.password).unwrap();
    server.edit_config(
        "label = \"Staff login\"\n",
        &format!(
            "label = \"Staff login\"\ntimeout = \"1s\"\n\
             service_account = {{ username = \"{}\", password = {{ file = \"{}\" }} }}\n",
            AIM18_SERVICE.code,
            password.path().display()
        ),
    );
    server.restart().await;
    let mut run = Run {
        server,
        _password: password,
        secrets: BTreeMap::new(),
        seen: Vec::new(),
        refusals: Vec::new(),
    };
    for (what, value) in [
        ("the wrong password", WRONG),
        ("the member's password", JO_SMITH.password),
        ("the other member's password", ZOE.password),
        ("the employee's password", ANN_LEE.password),
        ("the service account's password", SERVICE.password),
        (
            "the service account's password at aiM18",
            AIM18_SERVICE.password,
        ),
        ("the secret at aiM18", aim18::CLIENT_SECRET),
        ("the secret of the SSO page", "sso-demo-secret"),
        ("the secret of web", WEB_SECRET),
        ("the secret of hybrid", CHOSEN_SECRET),
        ("the secret of post and at the partner", POST_SECRET),
        ("the secret of both", SERVICE_SECRET),
        ("the code verifier", VERIFIER),
    ] {
        run.secret(what, value);
        run.secret(format!("SHA-1 of {what}"), sha1_hex(value));
    }
    for (id, secret) in [
        ("web", WEB_SECRET),
        ("hybrid", CHOSEN_SECRET),
        ("both", SERVICE_SECRET),
        ("outer", POST_SECRET),
    ] {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
        run.secret(format!("the Basic credentials of {id}"), basic);
    }
    run.secret("the master key", Setup::default().master_key);
    (run, inner)
}

#[tokio::test]
async fn no_secret_of_a_whole_run_is_in_the_log_the_metrics_the_database_or_on_a_page() {
    let log = Log::default();
    // The parser of the test's own browser tells every character.
    let filter = EnvFilter::new("trace,html5ever=off,selectors=off");
    let text = fmt::layer().with_writer(log.clone()).with_ansi(false);
    let json = fmt::layer().json().with_writer(log.clone());
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(text)
        .with(json);
    // Of this thread alone, on which the server and the simulators run, too; with what libraries say through `log`.
    let _guard = subscriber.set_default();
    // While there is one subscriber alone, `tracing` asks the thread that comes by an event first whether anybody wants it,
    // and that may be another test's.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let (mut run, mut inner) = run().await;
    // First: the clocks of the two still agree.
    run.partner(&inner).await;
    run.member(JO_SMITH).await;
    run.member(ZOE).await;
    run.hybrid(ZOE).await;
    run.employee().await;
    run.server.edit_config(
        "label = \"Staff login\"\n",
        "label = \"Staff login\"\ntoken_method = \"post\"\n",
    );
    run.server.restart().await;
    run.employee().await;
    run.releases().await;
    run.calls().await;
    run.landings().await;
    run.rechecks().await;
    run.returns().await;
    run.sign_off().await;
    run.breakdown().await;
    run.linking().await;
    run.devices().await;
    run.mistakes().await;
    run.upstream_secrets();
    let metrics = http_client().get(format!("http://{}/metrics", run.server.internal));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("portico_upstream_requests_total{"),
        "{metrics}"
    );
    run.server.stop().await;
    inner.stop().await;
    // Now: the audit is written to its end.
    let stored = run.stored().await;
    assert!(
        stored.contains("sealed") || stored.contains(SERVICE.username),
        "nothing was read"
    );
    for event in [
        "refresh_token_replayed",
        "request_failed",
        "error_page_shown",
    ] {
        assert!(stored.contains(event), "{event} is not in the database");
    }
    let text = log.text();
    for event in [
        "logged_in",
        "tokens_issued",
        "login_refused",
        "login_failed",
        "code_replayed",
        "refresh_token_replayed",
        "logged_out",
        "replaced by another login",
        "access withdrawn by the upstream",
        "upstream_token_released",
        "upstream_api_called",
        "the answer to a renewal was lost",
        "reqwest",
        "left alone for a while",
        "\"level\":\"TRACE\"",
    ] {
        assert!(text.contains(event), "the log was not captured: no {event}");
    }
    assert!(run.secrets.len() > 150, "{}", run.secrets.len());
    run.search(&text, &metrics, &stored);
}

impl Run {
    fn search(&self, log: &str, metrics: &str, stored: &str) {
        let refusals = self.refusals.join("\n");
        let ours = |seen: &&Seen| seen.url.is_empty() || seen.url.starts_with(&self.server.issuer);
        // A code and an ID token go by the browser, and so do handles and answers of upstreams; by those addresses and forms
        // alone that carry them to whom they are for.
        // A user code is shown to whoever is to compare it, and typed; the link of a QR code holds it.
        let shown = |what: &str| what.contains("user code");
        let carried = |what: &str| {
            ["code", "id_token by", "end of the id_token by", "state of"]
                .iter()
                .any(|kind| what.starts_with(kind))
        };
        let addresses: Vec<String> = self
            .seen
            .iter()
            .filter(ours)
            .map(|seen| uncarried(&seen.url))
            .collect();
        for (what, secret) in &self.secrets {
            for form in forms(secret) {
                for (place, text) in [
                    ("the log", log),
                    ("the metrics", metrics),
                    ("the database", stored),
                    ("a refusal", &refusals),
                ] {
                    if let Some(at) = memmem::find(text.as_bytes(), form.as_bytes()) {
                        let line = text[..at].lines().count();
                        panic!(
                            "{what} is in {place}: {:?}",
                            text.lines().nth(line.saturating_sub(1))
                        );
                    }
                }
                if shown(what) {
                    continue;
                }
                for (seen, address) in self.seen.iter().filter(ours).zip(&addresses) {
                    assert!(!address.contains(&form), "{what} in {address} of {seen:?}");
                    if carried(what) {
                        let for_the_client =
                            seen.body.contains("https://hybrid.example.org/callback");
                        let to_ourselves = seen.location.starts_with('/')
                            || seen.location.starts_with(&self.server.issuer);
                        assert!(
                            for_the_client || !seen.body.contains(&form),
                            "{what} in {seen:?}"
                        );
                        assert!(
                            !to_ourselves || !uncarried(&seen.location).contains(&form),
                            "{what} in {seen:?}"
                        );
                    } else {
                        assert!(!seen.body.contains(&form), "{what} in {seen:?}");
                        assert!(!seen.location.contains(&form), "{what} in {seen:?}");
                    }
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
