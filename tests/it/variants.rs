//! Every switch of both simulators, in every value, against logins, refreshes, exchanges and logouts through a whole server.
//! What the wires leave open must lead to the same person or to a calm refusal: never to somebody else, a 500, a foreign text
//! or a secret on a page. The tables of the simulators say which variants there are; [`IMIS`] and [`AIM18`] what becomes of each,
//! here and in the second pass (`variants_later.rs`); [`TOLERATED`] why nothing does of some.

use std::collections::BTreeMap;

use portico::simulator::people::{ANN_LEE, Aim18Person, ImisPerson, JO_SMITH, SERVICE};
use portico::simulator::{Recorded, Switch, aim18, imis};
use serde_json::Value;
use sha1::{Digest as _, Sha1};

use crate::harness::browser::{Browser, PASSWORD_FORM, Page};
use crate::harness::relying_party::{Answer, claims};
use crate::harness::server::TestServer;
use crate::harness::steps::{CONTINUE, TO_AIM18};
use crate::token_exchange::exchange_with;
use crate::variants_expected::{AIM18, IMIS, TOLERATED};
use crate::variants_later;

pub(crate) const APP: &str = "variants-app";
const SCOPE: &str = "openid profile email offline_access upstream:members upstream:staff";
const TO_IMIS: &str = "form[action='/upstream/members/start']";
const WRONG: &str = "not-the-password-of-anybody";
/// What stands on pages of the upstreams, and never on ours.
const FOREIGN: [&str; 6] = [
    "Exception",
    "simulated",
    "access_token",
    "refresh_token\"",
    "$type",
    "   at ",
];

/// What becomes of the values of a switch: where each way ends, or nothing if as by default; then the same of the second pass.
pub(crate) type Expected = &'static [(&'static str, &'static str, &'static str, &'static str)];

/// What has become of each variant, by name and value.
pub(crate) type Found = BTreeMap<(String, String), String>;

/// One of the two passes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    First,
    Second,
}

async fn server() -> TestServer {
    TestServer::start_with(|setup| {
        setup.members = "logout_url = \"{imis}/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx?returnurl={return_url}\"\n"
            .to_owned();
        setup.clients = format!(
            r#"
[[clients]]
client_id = "{APP}"
token_endpoint_auth_method = "none"
redirect_uris = ["https://variants.example.org/callback"]
post_logout_redirect_uris = ["https://variants.example.org/bye"]
grant_types = ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:token-exchange"]
scope = "{SCOPE}"
upstream_tokens = ["members", "staff"]
"#
        );
    })
    .await
}

/// The values of a switch that are tried: each word, and the samples of what else may be written.
fn values<S: Default>(switch: &Switch<S>) -> Vec<String> {
    let accepts = switch.describe(&S::default()).accepts;
    let words = accepts.words.iter().map(|(word, _)| *word);
    let all = words.chain(accepts.examples.iter().copied());
    all.map(ToOwned::to_owned).collect()
}

/// Where what was found is not what the table says.
pub(crate) fn differences(pass: Pass, found: &Found, expected: Expected) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((name, value), came) in found {
        let row = expected
            .iter()
            .find(|(switch, of, ..)| switch == name && of == value);
        let expected = row.map(|(_, _, first, second)| match pass {
            Pass::First => first,
            Pass::Second => second,
        });
        if expected.is_none_or(|expected| expected != came) {
            wrong.push(format!("    ({name:?}, {value:?}, {came:?}),"));
        }
    }
    for (name, value, ..) in expected {
        let key = ((*name).to_owned(), (*value).to_owned());
        if !found.contains_key(&key) {
            wrong.push(format!("    no such variant any more: {name} {value}"));
        }
    }
    wrong
}

fn assert_as_expected(pass: Pass, found: &Found, expected: Expected) {
    let wrong = differences(pass, found, expected);
    assert!(
        wrong.is_empty(),
        "{} variants did what their rows do not say; look at each, and write:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// A person of an upstream, as tokens and userinfo must show them, and all that must not be shown.
pub(crate) struct Subject<'a> {
    pub(crate) server: &'a TestServer,
    pub(crate) upstream: &'static str,
    /// What the app asks for.
    pub(crate) scope: &'static str,
    pub(crate) username: &'static str,
    pub(crate) password: &'static str,
    pub(crate) names: [&'static str; 2],
    /// The subject by default; empty before it is known.
    pub(crate) sub: String,
    pub(crate) secrets: Vec<String>,
}

impl Subject<'_> {
    pub(crate) fn authorize_url(&self, changes: &[(&str, &str)]) -> String {
        let mut all = vec![("scope", self.scope)];
        all.extend(changes);
        self.server.authorize_url(APP, &all)
    }

    /// Where a page is and what it says, without what differs from run to run.
    pub(crate) fn told(&self, page: &Page) -> String {
        if let Some(location) = page.location() {
            let answer = page.answer();
            let error = answer.get("error").map_or("no error", String::as_str);
            return format!("{}: {error}", location.host_str().unwrap_or_default());
        }
        let text = page.text("[role=alert]").or_else(|| page.text("h1"));
        let text = text.unwrap_or_default();
        let sentence = text.split_inclusive(['.', '?']).next().unwrap_or_default();
        let place = if page.url.as_str().starts_with(&self.server.issuer) {
            page.url.path().to_owned()
        } else {
            "upstream".to_owned()
        };
        format!("{place} {}: {sentence}", page.status.as_u16())
    }

    fn code(&self, page: &Page) -> Result<String, String> {
        page.location()
            .and_then(|_| page.answer().remove("code"))
            .ok_or_else(|| self.told(page))
    }

    /// Goes on wherever our question or an upstream's form stands in the way.
    async fn onward(&self, browser: &mut Browser, mut page: Page) -> Page {
        for _ in 0..4 {
            if page.location().is_some() {
                return page;
            }
            if page.attribute(CONTINUE, "method").is_some() {
                page = browser.submit(&page, CONTINUE, &[]).await;
            } else if page.url.fragment().is_some()
                && page.attribute("form[hidden]", "method").is_some()
            {
                page = browser.read_fragment(&page).await;
            } else if page.attribute("form#sso, form#back", "action").is_some() {
                let (action, fields) = page.form("form#sso, form#back");
                let fields: Vec<(&str, &str)> = fields
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                let method = page.attribute("form#sso, form#back", "method");
                let next = if method.as_deref() == Some("get") {
                    let url = url::Url::parse_with_params(action.as_str(), &fields).unwrap();
                    browser.click(url).await
                } else {
                    browser.post_cross_site(action.as_str(), &fields).await
                };
                page = browser.follow(next).await;
            } else if page.body.contains("location.replace(") {
                let link = page.attribute("a", "href").unwrap();
                let next = browser.click(link).await;
                page = browser.follow(next).await;
            } else if page.attribute("button[value=allow]", "name").is_some() {
                let fields = [("action", "allow")];
                let next = browser.submit_only(&page, "form", &fields).await;
                page = browser.follow(next).await;
            } else {
                return page;
            }
        }
        page
    }

    /// The person of these tokens is who they should be: what userinfo tells of them, or else what differs.
    pub(crate) async fn holds(&mut self, step: &str, tokens: &Answer) -> Result<Value, String> {
        let id_token = claims(tokens.text("id_token"));
        let userinfo = self.server.userinfo(tokens.text("access_token")).await;
        if userinfo.status != 200 {
            return Err(format!("{step}: userinfo {}", userinfo.status.as_u16()));
        }
        assert_eq!(userinfo.body["sub"], id_token["sub"], "{step}");
        for claim in ["name", "preferred_username"] {
            if let Some(name) = userinfo.body[claim].as_str() {
                let name = name.to_lowercase();
                assert!(
                    self.names.contains(&name.as_str()),
                    "{step}: somebody else: {userinfo:?}"
                );
            }
        }
        let sub = id_token["sub"].as_str().unwrap().to_owned();
        if self.sub.is_empty() {
            self.sub = sub;
        } else if self.sub != sub {
            return Err(format!("{step}: another subject"));
        }
        Ok(userinfo.body)
    }

    /// All that an app does after a login.
    async fn rest(
        &mut self,
        browser: &mut Browser,
        login: Result<String, String>,
    ) -> Result<(), String> {
        let server = self.server;
        let code = login?;
        let tokens = server.redeem(APP, &code, &[]).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        self.holds("login", &tokens).await?;
        let mut told = Vec::new();
        let mut refused = |step: &str, answer: &Answer| {
            assert_ne!(answer.status, 500, "{step}: {answer:?}");
            let text = answer.body.to_string();
            for foreign in ["Exception", "simulated", "$type"] {
                assert!(!text.contains(foreign), "{step}: {answer:?}");
            }
            let error = answer.body["error"].as_str().unwrap_or("no error");
            told.push(format!("{step}: {} {error}", answer.status.as_u16()));
        };
        server.clock.advance(301);
        let next = server.refresh(APP, tokens.text("refresh_token")).await;
        let mut last = tokens;
        if next.status == 200 {
            self.holds("refresh", &next).await?;
            last = next;
        } else {
            refused("refresh", &next);
        }
        let audience = [("audience", self.upstream)];
        let given = exchange_with(server, APP, last.text("access_token"), &audience).await;
        if given.status == 200 {
            self.secrets.push(given.text("access_token").to_owned());
        } else {
            refused("exchange", &given);
        }
        let mut logout = url::Url::parse(&server.url("/end_session")).unwrap();
        logout.query_pairs_mut().extend_pairs([
            ("id_token_hint", last.text("id_token")),
            (
                "post_logout_redirect_uri",
                "https://variants.example.org/bye",
            ),
        ]);
        let page = browser.open(logout).await;
        let bye = page.location().map(|url| url.to_string());
        if bye.as_deref() != Some("https://variants.example.org/bye") {
            told.push(format!("logout: {}", self.told(&page)));
        }
        let silent = browser.get(self.authorize_url(&[("prompt", "none")])).await;
        assert_eq!(silent.answer()["error"], "login_required");
        if told.is_empty() {
            Ok(())
        } else {
            Err(told.join(", "))
        }
    }

    /// What the browser saw of us: no 500, no foreign text, no secret.
    pub(crate) fn look_through(&self, variant: &str, browser: &Browser, requests: &[Recorded]) {
        let mut secrets = self.secrets.clone();
        for request in requests {
            secrets.extend(request.bearer().map(ToOwned::to_owned));
            for name in ["refresh_token", "client_secret", "password"] {
                secrets.extend(request.parameter(name));
            }
        }
        secrets.retain(|secret| secret.len() >= 8);
        for seen in &browser.trail {
            if !seen.url.starts_with(&self.server.issuer) {
                continue;
            }
            assert_ne!(seen.status, 500, "{variant}: {seen:?}");
            for foreign in FOREIGN {
                assert!(!seen.body.contains(foreign), "{variant}: {seen:?}");
            }
            for secret in &secrets {
                assert!(
                    !seen.body.contains(secret) && !seen.location.contains(secret),
                    "{variant}: a secret in {seen:?}"
                );
            }
        }
    }
}

/// What came of each way, by name; nothing where all went well.
fn summary(ways: &[(&str, Result<(), String>)]) -> String {
    let told = ways.iter().filter_map(|(way, came)| {
        let came = came.as_ref().err()?;
        Some(format!("{way}: {came}"))
    });
    told.collect::<Vec<_>>().join("; ")
}

pub(crate) fn sha1_hex(text: &str) -> String {
    let digest = Sha1::digest(text.as_bytes());
    digest
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

impl Subject<'_> {
    /// Signs in at iMIS's web site; whether it has a form to do so.
    async fn at_imis(&self, browser: &mut Browser) -> bool {
        let url = format!("{}/Sign-in.aspx", self.server.imis_url());
        let page = browser.open(url).await;
        self.sign_in(browser, &page).await.is_some()
    }

    async fn sign_in(&self, browser: &mut Browser, page: &Page) -> Option<Page> {
        page.attribute(PASSWORD_FORM, "action")?;
        let fields = [("username", self.username), ("password", self.password)];
        Some(browser.submit(page, PASSWORD_FORM, &fields).await)
    }

    async fn by_imis(&self, browser: &mut Browser, way: &str) -> Result<String, String> {
        let server = self.server;
        let page = match way {
            "wrong password" => {
                let page = browser.open(self.authorize_url(&[])).await;
                let credentials = (self.username, WRONG);
                return Err(self.told(&browser.sign_in(&page, "members", credentials).await));
            }
            "form" => {
                let page = browser.open(self.authorize_url(&[])).await;
                let credentials = (self.username, self.password);
                browser.sign_in(&page, "members", credentials).await
            }
            "page" | "guest" => {
                if way == "page" && !self.at_imis(browser).await {
                    return Err("no sign-in page there".to_owned());
                }
                let page = browser.open(self.authorize_url(&[])).await;
                let page = browser.submit(&page, TO_IMIS, &[]).await;
                let page = self.onward(browser, page).await;
                match (way, self.sign_in(browser, &page).await) {
                    ("guest", Some(page)) if page.url.path() != "/login" => {
                        self.onward(browser, page).await
                    }
                    _ => page,
                }
            }
            _ => {
                if !self.at_imis(browser).await {
                    return Err("no sign-in page there".to_owned());
                }
                let page = format!("{}/SSO/Events.aspx", server.imis_url());
                let page = browser.open(page).await;
                let page = self.onward(browser, page).await;
                if page.location().is_none() {
                    return Err(self.told(&page));
                }
                let silent = self.authorize_url(&[("prompt", "none")]);
                browser.open(silent).await
            }
        };
        self.code(&page)
    }

    async fn by_aim18(&self, browser: &mut Browser, way: &str) -> Result<String, String> {
        let page = browser.open(self.authorize_url(&[])).await;
        let password = if way == "wrong password" {
            WRONG
        } else {
            self.password
        };
        if way != "page" {
            let page = browser
                .sign_in(&page, "staff", (self.username, password))
                .await;
            return self.code(&page);
        }
        let page = browser.submit(&page, TO_AIM18, &[]).await;
        if page.attribute(PASSWORD_FORM, "action").is_none() {
            return Err(self.told(&page));
        }
        let person = Aim18Person {
            code: self.username,
            password: self.password,
            ..ANN_LEE
        };
        let mut back = browser.at_aim18(&page, person).await;
        if back.status == 307 {
            let callback = back.location().unwrap();
            back = browser.post_cross_site(callback, &[]).await;
        }
        let page = browser.follow(back).await;
        let page = self.onward(browser, page).await;
        self.code(&page)
    }
}

/// Turns a switch, by its name.
type Turn<'a> = Box<dyn Fn(&str, &str) + Sync + 'a>;

/// A simulator, as far as trying its variants is concerned.
pub(crate) struct System<'a> {
    /// The ways in that are tried.
    pub(crate) ways: &'static [&'static str],
    /// Every switch, in every value.
    pub(crate) variants: Vec<(&'static str, String)>,
    /// Turns every switch back and forgets the tokens.
    pub(crate) reset: Box<dyn Fn() + Sync + 'a>,
    pub(crate) set: Turn<'a>,
    /// Makes the person what they were, and forgets the requests.
    pub(crate) restore: Box<dyn Fn() + Sync + 'a>,
    /// The requests since.
    pub(crate) log: Box<dyn Fn() -> Vec<Recorded> + Sync + 'a>,
}

impl<'a> System<'a> {
    pub(crate) fn imis(
        server: &'a TestServer,
        person: ImisPerson,
        ways: &'static [&'static str],
    ) -> Self {
        Self {
            ways,
            variants: variants(imis::Switches::ALL),
            reset: Box::new(|| {
                server.imis.switch(|switches| {
                    *switches = imis::Switches {
                        client_applications: std::mem::take(&mut switches.client_applications),
                        ..imis::Switches::default()
                    };
                });
                server.imis.purge_system_cache();
            }),
            set: Box::new(|name, value| server.imis.set(name, value).unwrap()),
            restore: Box::new(move || {
                let back = |known: &mut _| *known = person;
                server.imis.change(person.username, back);
                server.imis.clear_log();
            }),
            log: Box::new(|| server.imis.log()),
        }
    }

    pub(crate) fn aim18(
        server: &'a TestServer,
        person: Aim18Person,
        ways: &'static [&'static str],
    ) -> Self {
        Self {
            ways,
            variants: variants(aim18::Switches::ALL),
            reset: Box::new(|| {
                server.aim18.switch(|switches| {
                    *switches = aim18::Switches {
                        applications: std::mem::take(&mut switches.applications),
                        ..aim18::Switches::default()
                    };
                });
                server.aim18.forget_tokens();
            }),
            set: Box::new(|name, value| server.aim18.set(name, value).unwrap()),
            restore: Box::new(move || {
                let back = |known: &mut _| *known = person;
                server.aim18.change(person.code, back);
                server.aim18.clear_log();
            }),
            log: Box::new(|| server.aim18.log()),
        }
    }
}

fn variants<S: Default>(switches: &[Switch<S>]) -> Vec<(&'static str, String)> {
    let all = switches.iter();
    let all = all.flat_map(|switch| values(switch).into_iter().map(|value| (switch.name, value)));
    all.collect()
}

impl Subject<'_> {
    pub(crate) async fn by(&self, browser: &mut Browser, way: &str) -> Result<String, String> {
        match self.upstream {
            "members" => self.by_imis(browser, way).await,
            _ => self.by_aim18(browser, way).await,
        }
    }

    /// What becomes of every variant, by name and value.
    async fn try_all(&mut self, system: &System<'_>) -> Found {
        let mut found = BTreeMap::new();
        let mut refusal = Ok(());
        let default = ("", String::new());
        for (name, value) in std::iter::once(&default).chain(&system.variants) {
            (system.reset)();
            if !name.is_empty() {
                (system.set)(name, value);
            }
            let mut came = Vec::new();
            for way in system.ways {
                (system.restore)();
                self.server.clock.advance(1800);
                let mut browser = Browser::new();
                let login = self.by(&mut browser, way).await;
                let done = self.rest(&mut browser, login).await;
                let variant = format!("{name} = {value}: {way}");
                self.look_through(&variant, &browser, &(system.log)());
                came.push((*way, done));
            }
            // The refusal of a wrong password is told where it differs from the default one.
            if name.is_empty() {
                refusal.clone_from(&came[0].1);
                assert!(summary(&came[..1]).contains("/login 4"), "{came:?}");
            }
            came.retain(|(way, done)| *way != "wrong password" || *done != refusal);
            found.insert(((*name).to_owned(), value.clone()), summary(&came));
        }
        found
    }
}

impl<'a> Subject<'a> {
    pub(crate) fn member(server: &'a TestServer, person: ImisPerson) -> Self {
        Self {
            server,
            upstream: "members",
            scope: SCOPE,
            username: person.username,
            password: person.password,
            names: ["jo smith", "jsmith"],
            sub: String::new(),
            secrets: [person.password, SERVICE.password, WRONG, "sso-demo-secret"]
                .map(ToOwned::to_owned)
                .to_vec(),
        }
    }

    pub(crate) fn employee(server: &'a TestServer, person: Aim18Person) -> Self {
        Self {
            server,
            upstream: "staff",
            scope: SCOPE,
            username: person.code,
            password: person.password,
            names: ["ann lee", "ann.lee"],
            sub: String::new(),
            secrets: vec![
                person.password.to_owned(),
                sha1_hex(person.password),
                WRONG.to_owned(),
                sha1_hex(WRONG),
                aim18::CLIENT_SECRET.to_owned(),
            ],
        }
    }
}

/// Section 7 of the research on iMIS.
#[tokio::test]
async fn every_variant_of_imis_leads_to_the_same_member_or_to_a_calm_refusal() {
    let server = server().await;
    let mut jo = Subject::member(&server, JO_SMITH);
    let ways = &["wrong password", "form", "page", "guest", "landing"];
    let system = System::imis(&server, JO_SMITH, ways);
    assert_as_expected(Pass::First, &jo.try_all(&system).await, IMIS);
}

/// Section 6 of the research on aiM18.
#[tokio::test]
async fn every_variant_of_aim18_leads_to_the_same_employee_or_to_a_calm_refusal() {
    let server = server().await;
    let mut ann = Subject::employee(&server, ANN_LEE);
    let system = System::aim18(&server, ANN_LEE, &["wrong password", "form", "page"]);
    assert_as_expected(Pass::First, &ann.try_all(&system).await, AIM18);
}

/// A row that says nothing must say why: a switch that nothing here can notice would be held by nothing.
#[test]
fn every_variant_makes_a_difference_or_is_told_why_it_makes_none() {
    let quiet = |system: &str, rows: Expected, defaults: BTreeMap<&str, String>| {
        let base = variants_later::always(system);
        let is_base = |name: &str, value: &str| {
            name.is_empty()
                || defaults.get(name).is_some_and(|default| default == value)
                || base.contains(&(name, value))
        };
        let quiet = rows
            .iter()
            .filter(|(name, value, first, second)| {
                first.is_empty() && second.is_empty() && !is_base(name, value)
            })
            .map(|(name, value, ..)| format!("{system} {name} = {value}"));
        quiet.collect::<Vec<_>>()
    };
    let mut quiet = [
        quiet("iMIS", IMIS, defaults(imis::Switches::ALL)),
        quiet("aiM18", AIM18, defaults(aim18::Switches::ALL)),
    ]
    .concat();
    let mut told = Vec::new();
    for (system, switches, why) in TOLERATED {
        assert!(!why.is_empty());
        for (name, values) in *switches {
            let variants = values
                .iter()
                .map(|value| format!("{system} {name} = {value}"));
            told.extend(variants);
        }
    }
    quiet.sort();
    told.sort();
    assert_eq!(quiet, told);
}

fn defaults<S: Default>(switches: &[Switch<S>]) -> BTreeMap<&'static str, String> {
    let all = switches.iter();
    all.map(|switch| (switch.name, switch.describe(&S::default()).value))
        .collect()
}
