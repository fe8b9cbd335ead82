//! Every switch of both simulators once more, where much is asked of the upstreams and for longer than a login: roles, committees, a
//! saved query, a record that decides who may come in; tokens that have ended and are renewed, calls of the API, a password that
//! changes, a name in other letters, an account that is switched off. What is told is what differs from the base.

use std::fmt::Write as _;

use portico::simulator::aim18::{CLIENT_ID, check_right};
use portico::simulator::imis::PROFILE_QUERY;
use portico::simulator::people::{AccountState, Aim18Person, BIG, CHAIR, ImisPerson};
use reqwest::Method;
use serde_json::Value;

use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, redirect_uri};
use crate::harness::server::TestServer;
use crate::token_exchange::exchange_with;
use crate::variants::{APP, Expected, Found, Pass, Subject, System, differences, sha1_hex};
use crate::variants_expected::{AIM18, AIM18_BASE, IMIS, IMIS_BASE};

const SCOPE: &str =
    "openid profile email groups membership offline_access upstream:members upstream:staff records";
const NEW_PASSWORD: &str = "another-password-of-theirs";

/// What happens at each step by default: by the form, and by the upstream's page.
pub(crate) type Base = &'static [(&'static str, &'static str, &'static str)];

/// The switches that are turned throughout the second pass. Refusals of aiM18 stand in a header, or its encoding could not matter.
pub(crate) fn always(system: &str) -> &'static [(&'static str, &'static str)] {
    match system {
        "aiM18" => &[("api_errors", "header"), ("token_errors", "header")],
        _ => &[],
    }
}

/// The member: a chair with roles and groups, of whom one column is empty.
const CAM: ImisPerson = ImisPerson {
    join_date: "",
    ..CHAIR
};

/// The employee: not the first whom a search finds, and without rights on one module.
const BO: Aim18Person = Aim18Person {
    email: "bo.long@example.com",
    modules: &["cus"],
    ..BIG
};

async fn server() -> TestServer {
    TestServer::start_with(|setup| {
        setup.members = format!(
            r#"
roles = true
committees = true
renew_with = "Portico"
attributes = {{ paid_through = "PaidThroughDate", renews_early = "AllowAdvanceRenewal" }}

[upstreams.profile_query]
path = "{PROFILE_QUERY}"
subject_column = "id"
columns = {{ membership_type = "member_type", member_since = "join_date", nickname = "given_name" }}

[[upstreams.api]]
scope = "records"
methods = ["GET", "PUT"]
paths = ["Party/*"]
"#
        );
        setup.profile = r#"
module = "user"
by = "search"
fields = { preferred_username = "code", email = "email" }
claims = { nickname = "desc__lang" }
active = { field = "locked", values = ["false"] }
"#
        .to_owned();
        setup.upstreams = r#"
[[upstreams.api]]
scope = "records"
paths = ["root/api/read/cus", "root/api/read/staff"]
query = { menuCode = ["cus", "staff"] }
"#
        .to_owned();
        setup.clients = format!(
            r#"
[[clients]]
client_id = "{APP}"
token_endpoint_auth_method = "none"
redirect_uris = ["{}"]
grant_types = ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:token-exchange"]
scope = "{SCOPE}"
upstream_tokens = ["members", "staff"]
upstream_apis = ["members", "staff"]
"#,
            redirect_uri(APP)
        );
    })
    .await
}

/// A call of the upstream's API through the gateway: what it is, the method, the address, the body.
type Call = (&'static str, Method, &'static str, &'static str);

/// What happens to the person at the upstream.
#[derive(Clone, Copy)]
enum Event {
    PasswordChanged,
    SwitchedOff,
    /// The OAuth application is known under another client id, and then again under its own.
    Unregistered,
    Registered,
}

/// What the second pass does at one upstream.
struct Later<'a> {
    system: System<'a>,
    name: &'static str,
    /// Seconds after which an access token of the upstream has ended.
    life: i64,
    /// The claims that are looked at.
    claims: &'static [&'static str],
    calls: [Call; 3],
    /// The user name in other letters.
    other_letters: &'static str,
    /// Whether it happens at this upstream.
    happens: Box<dyn Fn(Event) -> bool + Sync + 'a>,
}

/// The steps of a way, and what came of each.
#[derive(Default)]
struct Told(Vec<(String, String)>);

impl Told {
    fn add(&mut self, step: &str, what: impl Into<String>) {
        self.0.push((step.to_owned(), what.into()));
    }

    fn of(&self, step: &str) -> Option<&str> {
        let mut steps = self.0.iter();
        let found = steps.find(|(known, _)| known == step);
        found.map(|(_, what)| what.as_str())
    }
}

/// What happens by default, as it was found.
#[derive(Default)]
struct FoundBase(Vec<(String, String, String)>);

impl FoundBase {
    fn of(came: &[(&str, Told)]) -> Self {
        let mut rows = Self::default();
        for (step, _) in came.iter().flat_map(|(_, told)| &told.0) {
            let of = |way: usize| came[way].1.of(step).unwrap_or_default().to_owned();
            if rows.row(step).is_none() {
                rows.0.push((step.clone(), of(0), of(1)));
            }
        }
        rows
    }

    fn row(&self, step: &str) -> Option<[&str; 2]> {
        let row = self.0.iter().find(|(known, ..)| known == step);
        row.map(|(_, form, page)| [form.as_str(), page])
    }

    /// What differs from it, by way; the same of both ways is told once.
    fn difference(&self, came: &[(&str, Told)]) -> String {
        let of = |way: usize| {
            let steps = came[way].1.0.iter();
            let different =
                steps.filter(|(step, what)| self.row(step).is_none_or(|base| base[way] != what));
            let different = different.map(|(step, what)| format!("{step}: {what}"));
            different.collect::<Vec<_>>().join(", ")
        };
        let (form, page) = (of(0), of(1));
        match (form.as_str(), page.as_str()) {
            ("", "") => String::new(),
            (form, "") => format!("form: {form}"),
            ("", page) => format!("page: {page}"),
            (form, page) if form == page => format!("both: {form}"),
            (form, page) => format!("form: {form}; page: {page}"),
        }
    }

    fn is(&self, base: Base) -> bool {
        let same = |((step, form, page), row): (&(String, String, String), &(&str, &str, &str))| {
            (step.as_str(), form.as_str(), page.as_str()) == *row
        };
        self.0.len() == base.len() && self.0.iter().zip(base).all(same)
    }

    fn assert_as_expected(&self, base: Base, found: &Found, expected: Expected) {
        let mut wrong = differences(Pass::Second, found, expected);
        if !self.is(base) {
            let rows = self.0.iter().map(|row| format!("    {row:?},"));
            let rows = rows.collect::<Vec<_>>().join("\n");
            wrong.insert(0, format!("the base is another:\n{rows}\n"));
        }
        assert!(
            wrong.is_empty(),
            "{} variants did what their rows do not say; look at each, and write:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }
}

impl Subject<'_> {
    /// What becomes of a call.
    async fn call(&self, tokens: &Answer, (_, method, path, body): &Call) -> String {
        let url = self.server.url(&format!("/api/{}/{path}", self.upstream));
        let mut request = http_client()
            .request(method.clone(), url)
            .bearer_auth(tokens.text("access_token"));
        if !body.is_empty() {
            let json = ("content-type", "application/json");
            request = request.header(json.0, json.1).body(*body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let in_header = response.headers().contains_key("error_info");
        let body = response.text().await.unwrap();
        assert_ne!(status, 500, "{path}: {body}");
        for secret in &self.secrets {
            assert!(!body.contains(secret), "{path}: {body}");
        }
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        let reason = match answer["error"].as_str() {
            Some(error) => error,
            None if in_header => "by error_info",
            None if body.contains("core_") => "by a CheckMsg",
            None if answer["status"] == Value::Bool(false) => "by status",
            None => "",
        };
        format!("{status} {reason}").trim_end().to_owned()
    }

    /// Refreshes; what is told of the person may have changed.
    async fn refreshed(&mut self, last: &mut Answer, later: &Later<'_>, known: &Told) -> String {
        let next = self.server.refresh(APP, last.text("refresh_token")).await;
        if next.status != 200 {
            return refusal(&next);
        }
        let claims = match self.holds("refresh", &next).await {
            Ok(claims) => claims,
            Err(told) => return told,
        };
        *last = next;
        let mut told = "200".to_owned();
        for claim in later.claims {
            let claim_now = tell(&claims[*claim]);
            if known.of(claim) != Some(claim_now.as_str()) {
                write!(told, " with {claim} {claim_now}").unwrap();
            }
        }
        told
    }

    /// Exchanges for the upstream's token.
    async fn exchanged(&mut self, tokens: &Answer) -> String {
        let audience = [("audience", self.upstream)];
        let given = exchange_with(self.server, APP, tokens.text("access_token"), &audience).await;
        if given.status != 200 {
            return refusal(&given);
        }
        self.secrets.push(given.text("access_token").to_owned());
        format!("for {} s", given.body["expires_in"])
    }

    /// One way in, and all that follows.
    async fn lives_on(&mut self, later: &Later<'_>, way: &str) -> (Told, Vec<Browser>) {
        let mut told = Told::default();
        let mut browsers = vec![Browser::new(), Browser::new(), Browser::new()];
        if way == "form" {
            let wrong = self.by(&mut browsers[0], "wrong password").await;
            told.add("wrong password", wrong.unwrap_err());
        }
        match self.by(&mut browsers[1], way).await {
            Err(refused) => told.add("login", refused),
            Ok(code) => {
                let mut tokens = self.server.redeem(APP, &code, &[]).await;
                assert_eq!(tokens.status, 200, "{tokens:?}");
                match self.holds("login", &tokens).await {
                    Err(refused) => told.add("login", refused),
                    Ok(claims) => {
                        for claim in later.claims {
                            told.add(claim, tell(&claims[*claim]));
                        }
                        self.renews(later, &mut told, &mut tokens).await;
                        self.is_changed(later, &mut told, &mut tokens, way, &mut browsers[2])
                            .await;
                    }
                }
            }
        }
        (told, browsers)
    }

    /// The upstream's access token ends.
    async fn renews(&mut self, later: &Later<'_>, told: &mut Told, tokens: &mut Answer) {
        self.server.clock.advance(later.life);
        let refreshed = self.refreshed(tokens, later, told).await;
        told.add("refresh", refreshed);
        told.add("exchange", self.exchanged(tokens).await);
        for call in &later.calls {
            told.add(call.0, self.call(tokens, call).await);
        }
    }

    /// The password changes, somebody logs in with it under a name in other letters, and the account is switched off.
    async fn is_changed(
        &mut self,
        later: &Later<'_>,
        told: &mut Told,
        tokens: &mut Answer,
        way: &str,
        browser: &mut Browser,
    ) {
        let [call, ..] = &later.calls;
        (later.happens)(Event::PasswordChanged);
        self.server.clock.advance(301);
        let refreshed = self.refreshed(tokens, later, told).await;
        told.add("new password: refresh", refreshed);
        told.add("new password: exchange", self.exchanged(tokens).await);
        told.add("new password: call", self.call(tokens, call).await);

        let (username, password) = (self.username, self.password);
        (self.username, self.password) = (later.other_letters, NEW_PASSWORD);
        let other = match self.by(browser, way).await {
            Err(refused) => refused,
            Ok(code) => {
                let tokens = self.server.redeem(APP, &code, &[]).await;
                let held = self.holds("other letters", &tokens).await;
                held.map_or_else(|told| told, |_| "in".to_owned())
            }
        };
        (self.username, self.password) = (username, password);
        told.add("other letters", other);
        told.add("other letters: call", self.call(tokens, call).await);

        (later.happens)(Event::SwitchedOff);
        told.add("off: call", self.call(tokens, call).await);
        self.server.clock.advance(later.life);
        let refreshed = self.refreshed(tokens, later, told).await;
        told.add("off: refresh", refreshed);
        told.add("off: exchange", self.exchanged(tokens).await);

        if way == "page" && (later.happens)(Event::Unregistered) {
            let refused = self.by(&mut Browser::new(), way).await;
            told.add("unregistered", refused.unwrap_err());
            (later.happens)(Event::Registered);
        }
    }

    /// What becomes of every variant.
    async fn try_all_later(&mut self, later: &Later<'_>) -> (FoundBase, Found) {
        let system = &later.system;
        self.secrets
            .extend([NEW_PASSWORD.to_owned(), sha1_hex(NEW_PASSWORD)]);
        let (mut base, mut found) = (FoundBase::default(), Found::new());
        let default = ("", String::new());
        for (name, value) in std::iter::once(&default).chain(&system.variants) {
            (system.reset)();
            for (name, value) in always(later.name) {
                (system.set)(name, value);
            }
            if !name.is_empty() {
                (system.set)(name, value);
            }
            let mut came = Vec::new();
            for way in system.ways {
                (system.restore)();
                self.server.clock.advance(7200);
                let (told, browsers) = self.lives_on(later, way).await;
                for browser in &browsers {
                    let variant = format!("{name} = {value}: {way}");
                    self.look_through(&variant, browser, &(system.log)());
                }
                came.push((*way, told));
            }
            if name.is_empty() {
                base = FoundBase::of(&came);
            }
            let key = ((*name).to_owned(), value.clone());
            found.insert(key, base.difference(&came));
        }
        (base, found)
    }
}

fn tell(claim: &Value) -> String {
    match claim {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// How one of our endpoints refused: with words of ours.
fn refusal(answer: &Answer) -> String {
    assert_ne!(answer.status, 500, "{answer:?}");
    let text = answer.body.to_string();
    for foreign in ["Exception", "simulated", "$type"] {
        assert!(!text.contains(foreign), "{answer:?}");
    }
    let error = answer.body["error"].as_str().unwrap_or("no error");
    format!("{} {error}", answer.status.as_u16())
}

#[tokio::test]
async fn every_variant_of_imis_lets_a_member_stay_or_ends_calmly() {
    let server = server().await;
    let mut cam = Subject {
        scope: SCOPE,
        names: ["cam chair", "cchair"],
        ..Subject::member(&server, CAM)
    };
    let change = |change: fn(&mut ImisPerson)| {
        server.imis.change(CAM.username, change);
        true
    };
    let later = Later {
        system: System::imis(&server, CAM, &["form", "page"]),
        name: "iMIS",
        life: 1_260,
        claims: &[
            "name",
            "preferred_username",
            "nickname",
            "email",
            "groups",
            "is_member",
            "member_id",
            "member_since",
            "membership_status",
            "membership_type",
            "paid_through",
            "renews_early",
        ],
        calls: [
            ("own record", Method::GET, "Party/20466", ""),
            (
                "write another's",
                Method::PUT,
                "Party/20457",
                r#"{"$type":"Asi.Soa.Membership.DataContracts.PersonData, Asi.Contracts","PartyId":"20457"}"#,
            ),
            (
                "write without $type",
                Method::PUT,
                "Party/20466",
                r#"{"PartyId":"20466"}"#,
            ),
        ],
        other_letters: "cChair",
        happens: Box::new(|event| match event {
            Event::PasswordChanged => change(|cam| cam.password = NEW_PASSWORD),
            Event::SwitchedOff => change(|cam| cam.state = AccountState::Disabled),
            Event::Unregistered | Event::Registered => false,
        }),
    };
    let (base, found) = cam.try_all_later(&later).await;
    base.assert_as_expected(IMIS_BASE, &found, IMIS);
}

#[tokio::test]
async fn every_variant_of_aim18_lets_an_employee_stay_or_ends_calmly() {
    let server = server().await;
    let mut bo = Subject {
        scope: SCOPE,
        names: ["bo long", "bo.long"],
        ..Subject::employee(&server, BO)
    };
    let change = |change: fn(&mut Aim18Person)| {
        server.aim18.change(BO.code, change);
        true
    };
    let register = |client_id: &str| {
        server.aim18.switch(|switches| {
            for application in &mut switches.applications {
                client_id.clone_into(&mut application.client_id);
            }
        });
        true
    };
    let later = Later {
        system: System::aim18(&server, BO, &["form", "page"]),
        name: "aiM18",
        life: 3_700,
        claims: &["preferred_username", "nickname", "email"],
        calls: [
            (
                "call",
                Method::GET,
                "root/api/read/cus?menuCode=cus&id=501",
                "",
            ),
            (
                "call without right",
                Method::GET,
                "root/api/read/staff?menuCode=staff&id=12",
                "",
            ),
            (
                "call that asks for no check",
                Method::GET,
                "root/api/read/staff?menuCode=staff&id=12&check_right=",
                "",
            ),
        ],
        other_letters: "Bo.Long",
        happens: Box::new(|event| match event {
            Event::PasswordChanged => change(|bo| bo.password = NEW_PASSWORD),
            Event::SwitchedOff => change(|bo| bo.enabled = false),
            Event::Unregistered => register("C-another="),
            Event::Registered => register(CLIENT_ID),
        }),
    };
    let (base, found) = bo.try_all_later(&later).await;
    base.assert_as_expected(AIM18_BASE, &found, AIM18);
    let calls = server.aim18.log();
    let gone = calls.iter().filter(|call| call.path.contains("/root/api/"));
    assert!(
        gone.into_iter()
            .all(|call| check_right(call).as_deref() == Some("true"))
    );
}
