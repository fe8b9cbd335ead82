//! What every adapter owes the house, whatever is behind it: one list of requirements, asked through the traits alone. An adapter
//! joins with a [`Stand`]: how to start its system, who is in it, how to break it.

use std::time::Duration;

use async_trait::async_trait;
use portico::clock::Clock;
use portico::passwords::{Passwords, hash_password};
use portico::protocol::ids::UpstreamId;
use portico::protocol::locale::Label;
use portico::protocol::params::Params;
use portico::protocol::secret::{RESOLVED, Secret};
use portico::simulator::aim18::{self, Aim18};
use portico::simulator::imis::Imis;
use portico::simulator::people;
use portico::simulator::{Fault, Recorded, Running};
use portico::upstream::{
    ApiCall, Identity, Known, LoginError, LoginMethod, Return, Trip, Upstream, UpstreamTokens,
    users,
};
use serde_json::json;
use tokio::net::TcpListener;
use url::Url;

use crate::harness::browser::http_client;
use crate::upstream::{log_in, told};
use crate::upstream_aim18;
use crate::upstream_imis;
use crate::upstream_oidc;

const NOW: i64 = upstream_aim18::NOW;

/// What a person brings when they come back from, or are sent by, the upstream's own page.
pub(crate) enum Arrival {
    /// To the callback, after a trip that kept this.
    Back(Params, Option<String>),
    /// To the landing of this application.
    Landed(&'static str, Params),
}

/// An upstream with somebody in it.
#[async_trait]
pub(crate) trait Stand: Send + Sync {
    fn name(&self) -> &'static str;
    fn upstream(&self) -> &Upstream;
    /// User name and password of somebody who may come in.
    fn good(&self) -> (&'static str, &'static str);
    /// The same of somebody who may not.
    fn disabled(&self) -> (&'static str, &'static str);
    /// One arrival by each way other than our form, of the good person.
    async fn arrivals(&self) -> Vec<Arrival>;
    /// Breaks whatever Portico asks; `false` where it asks nobody.
    fn fail(&self, fault: Fault) -> bool;
    fn mend(&self);
    /// What Portico asked.
    fn log(&self) -> Vec<Recorded>;
    /// Switches the good person off.
    fn disable(&self);
    /// What must never be told, besides what the log shows.
    fn secrets(&self) -> Vec<String>;
    /// A call of the API that the good person may make.
    fn api_call(&self) -> Option<ApiCall>;
}

fn call(path: &[&str], query: &[(&str, &str)]) -> ApiCall {
    ApiCall {
        method: "GET".to_owned(),
        path: path.iter().map(|part| (*part).to_owned()).collect(),
        query: query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        headers: vec![("accept".to_owned(), "application/json".to_owned())],
        body: Vec::new(),
    }
}

struct Users(Upstream);

impl Users {
    fn start() -> Self {
        let person = json!({
            "id": "1",
            "username": "kim",
            "name": "Kim Roe",
            "password_hash": hash_password(&Secret::new("kims-password")).unwrap(),
        });
        let settings = serde_json::from_value(json!({ "people": [person] })).unwrap();
        let upstream = users::open(
            UpstreamId::new("local"),
            Label::plain("Local".to_owned()),
            vec![LoginMethod::Password],
            settings,
            Passwords::default(),
        );
        Self(upstream.unwrap())
    }
}

#[async_trait]
impl Stand for Users {
    fn name(&self) -> &'static str {
        "users"
    }
    fn upstream(&self) -> &Upstream {
        &self.0
    }
    fn good(&self) -> (&'static str, &'static str) {
        ("kim", "kims-password")
    }
    // Nobody is disabled in a file: they are gone from it.
    fn disabled(&self) -> (&'static str, &'static str) {
        ("somebody-who-left", "their-password")
    }
    async fn arrivals(&self) -> Vec<Arrival> {
        Vec::new()
    }
    fn fail(&self, _: Fault) -> bool {
        false
    }
    fn mend(&self) {}
    fn log(&self) -> Vec<Recorded> {
        Vec::new()
    }
    fn disable(&self) {}
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
    fn api_call(&self) -> Option<ApiCall> {
        None
    }
}

struct Members {
    imis: Imis,
    upstream: Upstream,
    _running: Running,
}

impl Members {
    async fn start(timeout: Duration) -> Self {
        let clock = Clock::manual(NOW);
        let imis = Imis::new(clock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let running = imis.serve(listener).await.unwrap();
        let page =
            json!({ "client_id": "Portico", "client_secret": { RESOLVED: "sso-demo-secret" } });
        let mut settings = upstream_imis::settings(running.url(), &json!({ "sso_pages": [page] }));
        settings.service_account = Some(upstream_imis::service_account());
        settings.timeout = timeout;
        let upstream = upstream_imis::opened(settings, clock);
        Self {
            imis,
            upstream,
            _running: running,
        }
    }
}

#[async_trait]
impl Stand for Members {
    fn name(&self) -> &'static str {
        "imis"
    }
    fn upstream(&self) -> &Upstream {
        &self.upstream
    }
    fn good(&self) -> (&'static str, &'static str) {
        (people::JO_SMITH.username, people::JO_SMITH.password)
    }
    fn disabled(&self) -> (&'static str, &'static str) {
        (people::DISABLED.username, people::DISABLED.password)
    }
    async fn arrivals(&self) -> Vec<Arrival> {
        let jo = Some(people::JO_SMITH.username);
        let token = self.imis.hand_out_refresh_token("Portico", jo).unwrap();
        let form = [("refresh_token", token)].into_iter().collect();
        vec![Arrival::Landed("Portico", form)]
    }
    fn fail(&self, fault: Fault) -> bool {
        self.imis.fail("", fault);
        true
    }
    fn mend(&self) {
        self.imis.mend();
    }
    fn log(&self) -> Vec<Recorded> {
        self.imis.log()
    }
    fn disable(&self) {
        self.imis
            .change(people::JO_SMITH.username, |person| person.status = "I");
    }
    fn secrets(&self) -> Vec<String> {
        vec![
            "sso-demo-secret".to_owned(),
            people::SERVICE.password.to_owned(),
        ]
    }
    fn api_call(&self) -> Option<ApiCall> {
        Some(call(&["User"], &[]))
    }
}

struct Staff {
    aim18: Aim18,
    upstream: Upstream,
    _running: Running,
}

impl Staff {
    async fn start(timeout: Duration) -> Self {
        let aim18 = Aim18::new(Clock::manual(NOW));
        aim18.set_callback(upstream_aim18::CALLBACK);
        aim18.switch(|switches| switches.disable_ends_access = true);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let running = aim18.serve(listener).await.unwrap();
        let more = json!({
            "timeout": format!("{}ms", timeout.as_millis()),
            "service_account": crate::upstream_aim18_later::service_account(),
            "profile": { "module": "user", "fields": { "name": "desc" } },
        });
        let upstream = upstream_aim18::opened(running.url(), &more);
        Self {
            aim18,
            upstream,
            _running: running,
        }
    }
}

#[async_trait]
impl Stand for Staff {
    fn name(&self) -> &'static str {
        "aim18"
    }
    fn upstream(&self) -> &Upstream {
        &self.upstream
    }
    fn good(&self) -> (&'static str, &'static str) {
        (people::ANN_LEE.code, people::ANN_LEE.password)
    }
    fn disabled(&self) -> (&'static str, &'static str) {
        (people::LEFT.code, people::LEFT.password)
    }
    async fn arrivals(&self) -> Vec<Arrival> {
        let callback = Url::parse(upstream_aim18::CALLBACK).unwrap();
        let trip = Trip {
            callback: &callback,
            state: "the-state",
            reauthenticate: false,
            acr_values: &[],
        };
        let redirect = self.upstream.redirect.as_ref().unwrap();
        let departure = redirect.start(&trip).await.unwrap();
        let form = [
            ("username", people::ANN_LEE.code),
            ("password", people::ANN_LEE.password),
        ];
        let answer = http_client().post(departure.url).form(&form).send();
        let answer = answer.await.unwrap();
        let back = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
        let params = Params::parse(back.query().unwrap().as_bytes()).unwrap();
        vec![Arrival::Back(params, departure.kept)]
    }
    fn fail(&self, fault: Fault) -> bool {
        self.aim18.fail("", fault);
        true
    }
    fn mend(&self) {
        self.aim18.mend();
    }
    fn log(&self) -> Vec<Recorded> {
        self.aim18.log()
    }
    fn disable(&self) {
        self.aim18
            .change(people::ANN_LEE.code, |person| person.enabled = false);
    }
    fn secrets(&self) -> Vec<String> {
        vec![
            aim18::CLIENT_SECRET.to_owned(),
            people::AIM18_SERVICE.password.to_owned(),
        ]
    }
    fn api_call(&self) -> Option<ApiCall> {
        let query = [("menuCode", "staff"), ("id", "12")];
        Some(call(&["root", "api", "read", "staff"], &query))
    }
}

/// A stand of each adapter.
async fn everyone() -> Vec<Box<dyn Stand>> {
    within(Duration::from_secs(10)).await
}

async fn within(timeout: Duration) -> Vec<Box<dyn Stand>> {
    let millis = format!("{}ms", timeout.as_millis());
    vec![
        Box::new(Users::start()),
        Box::new(Members::start(timeout).await),
        Box::new(Staff::start(timeout).await),
        Box::new(upstream_oidc::Provider::start(json!({ "timeout": millis })).await),
    ]
}

async fn arrive(stand: &dyn Stand, arrival: &Arrival) -> Result<Identity, LoginError> {
    let upstream = stand.upstream();
    match arrival {
        Arrival::Landed(application, params) => {
            let landing = upstream.landing.as_ref().unwrap();
            landing.redeem(application, params).await
        }
        Arrival::Back(params, kept) => {
            let callback = Url::parse(upstream_aim18::CALLBACK).unwrap();
            let back = Return {
                callback: &callback,
                answer: params,
                kept: kept.as_deref(),
            };
            upstream.callback.as_ref().unwrap().finish(&back).await
        }
    }
}

/// The good person by every way, our form first.
async fn by_every_way(stand: &dyn Stand) -> Vec<Result<Identity, LoginError>> {
    let mut answers = Vec::new();
    if stand.upstream().password.is_some() {
        let (username, password) = stand.good();
        answers.push(log_in(stand.upstream(), username, password).await);
    }
    for arrival in stand.arrivals().await {
        answers.push(arrive(stand, &arrival).await);
    }
    assert!(!answers.is_empty(), "{}", stand.name());
    answers
}

async fn good_identity(stand: &dyn Stand) -> Identity {
    by_every_way(stand).await.remove(0).unwrap()
}

const fn is_refusal(error: &LoginError) -> bool {
    matches!(
        error,
        LoginError::BadCredentials(_) | LoginError::NotAllowed(_) | LoginError::NoPerson(_)
    )
}

const fn is_fault(error: &LoginError) -> bool {
    matches!(error, LoginError::Unavailable(_) | LoginError::Protocol(_))
}

/// T60: whatever was sent, and whatever is configured, in any part of an error.
fn assert_tells_no_secret(stand: &dyn Stand, error: &LoginError, tokens: &[&UpstreamTokens]) {
    let told = told(error);
    let mut secrets = stand.secrets();
    secrets.push(stand.good().1.to_owned());
    for request in stand.log() {
        secrets.extend(request.bearer().map(ToOwned::to_owned));
        for name in ["password", "refresh_token", "code", "client_secret"] {
            secrets.extend(request.parameter(name));
        }
    }
    for tokens in tokens {
        secrets.push(tokens.access.expose().to_owned());
        secrets.extend(tokens.refresh.iter().map(|token| token.expose().to_owned()));
    }
    for secret in secrets.iter().filter(|secret| secret.len() > 3) {
        assert!(!told.contains(secret.as_str()), "{}: {told}", stand.name());
    }
}

/// What is no answer of a healthy upstream.
fn faults() -> Vec<Fault> {
    vec![
        Fault::Status(500),
        Fault::Status(503),
        Fault::Status(404),
        Fault::ErrorPage,
        Fault::Page,
        Fault::Nonsense,
        Fault::Oversized,
        Fault::CloseAfter(0),
        Fault::CloseAfter(40),
        Fault::Redirect("https://elsewhere.example/".to_owned()),
    ]
}

/// T31.
#[tokio::test]
async fn a_person_has_one_subject_whichever_way_they_come() {
    for stand in everyone().await {
        let mut subjects = Vec::new();
        for _ in 0..2 {
            for answer in by_every_way(&*stand).await {
                subjects.push(answer.unwrap().subject);
            }
        }
        assert!(!subjects[0].trim().is_empty());
        assert!(!subjects[0].contains('@'));
        assert_ne!(subjects[0], stand.good().0);
        let first = subjects[0].clone();
        assert!(subjects.iter().all(|each| *each == first), "{subjects:?}");
    }
}

/// T32.
#[tokio::test]
async fn whoever_may_not_come_in_is_refused_alike() {
    for stand in everyone().await {
        if stand.upstream().password.is_none() {
            continue;
        }
        let (username, _) = stand.good();
        let (disabled, right) = stand.disabled();
        let mut seen = Vec::new();
        for (username, password) in [
            (username, "a-wrong-password"),
            ("nobody-of-this-name", "a-wrong-password"),
            (disabled, right),
        ] {
            let error = log_in(stand.upstream(), username, password)
                .await
                .unwrap_err();
            assert!(is_refusal(&error), "{} {username}: {error:?}", stand.name());
            assert!(!told(&error).contains("a-wrong-password"));
            assert!(!told(&error).contains(right));
            assert_tells_no_secret(&*stand, &error, &[]);
            seen.push(error.to_string());
        }
        seen.dedup();
        assert_eq!(seen.len(), 1, "{}: {seen:?}", stand.name());
    }
}

/// T48; and some directories take an empty password for an anonymous visitor's.
#[tokio::test]
async fn what_cannot_be_right_is_not_asked() {
    for stand in everyone().await {
        if stand.upstream().password.is_none() {
            continue;
        }
        let before = stand.log().len();
        let long = "x".repeat(2000);
        let (username, password) = stand.good();
        for (username, password) in [
            (username, ""),
            ("", password),
            (username, &long),
            (&long, password),
            ("a\u{0}b", password),
        ] {
            let error = log_in(stand.upstream(), username, password)
                .await
                .unwrap_err();
            assert!(matches!(error, LoginError::BadCredentials(_)));
        }
        assert_eq!(stand.log().len(), before, "{}", stand.name());
    }
}

#[tokio::test]
async fn whatever_is_broken_lets_nobody_in_and_tells_no_secret() {
    for stand in everyone().await {
        for fault in faults() {
            let arrivals = stand.arrivals().await;
            let (username, password) = stand.good();
            if !stand.fail(fault.clone()) {
                continue;
            }
            let mut answers = Vec::new();
            if stand.upstream().password.is_some() {
                answers.push(log_in(stand.upstream(), username, password).await);
            }
            for arrival in &arrivals {
                answers.push(arrive(&*stand, arrival).await);
            }
            for answer in answers {
                let error = answer.unwrap_err();
                assert!(is_fault(&error), "{} {fault:?}: {error:?}", stand.name());
                assert_tells_no_secret(&*stand, &error, &[]);
            }
            stand.mend();
        }
        good_identity(&*stand).await;
    }
}

#[tokio::test]
async fn an_upstream_that_hangs_is_unavailable() {
    for stand in within(Duration::from_secs(2)).await {
        let arrivals = stand.arrivals().await;
        if !stand.fail(Fault::Hang) {
            continue;
        }
        for arrival in &arrivals {
            let error = arrive(&*stand, arrival).await.unwrap_err();
            assert!(matches!(error, LoginError::Unavailable(_)), "{error:?}");
            assert_tells_no_secret(&*stand, &error, &[]);
        }
    }
}

#[tokio::test]
async fn a_login_gives_tokens_where_they_can_be_renewed() {
    for stand in everyone().await {
        if stand.upstream().renewal.is_none() {
            assert!(good_identity(&*stand).await.tokens.is_none());
            continue;
        }
        for answer in by_every_way(&*stand).await {
            let tokens = answer.unwrap().tokens;
            let tokens = tokens.unwrap_or_else(|| panic!("{}: no tokens", stand.name()));
            assert!(!tokens.access.expose().is_empty());
            assert!(tokens.expires_at > NOW);
            let shown = format!("{tokens:?}");
            assert!(!shown.contains(tokens.access.expose()));
        }
    }
}

#[tokio::test]
async fn renewed_tokens_are_good_and_bad_ones_ask_for_a_new_login() {
    let mut renewed = 0;
    for stand in everyone().await {
        let Some(renewal) = &stand.upstream().renewal else {
            continue;
        };
        let tokens = by_every_way(&*stand).await.into_iter();
        let tokens = tokens.filter_map(|answer| answer.unwrap().tokens);
        for tokens in tokens.filter(|tokens| tokens.refresh.is_some()) {
            renewed += 1;
            for fault in [
                Fault::Status(503),
                Fault::Redirect("https://elsewhere.example/".to_owned()),
            ] {
                stand.fail(fault.clone());
                let error = renewal.renew(&tokens).await.unwrap_err();
                assert!(is_fault(&error), "{} {fault:?}: {error:?}", stand.name());
                assert_tells_no_secret(&*stand, &error, &[&tokens]);
                stand.mend();
            }
            let mut bad = tokens.clone();
            bad.refresh = Some(Secret::new("a-token-that-nobody-gave"));
            let error = renewal.renew(&bad).await.unwrap_err();
            assert!(matches!(error, LoginError::BadCredentials(_)), "{error:?}");
            assert_tells_no_secret(&*stand, &error, &[&bad]);
            bad.refresh = None;
            let error = renewal.renew(&bad).await.unwrap_err();
            assert!(matches!(error, LoginError::BadCredentials(_)), "{error:?}");
            let new = renewal.renew(&tokens).await.unwrap();
            assert!(new.expires_at > NOW);
            assert_eq!(new.application, tokens.application);
            if let (Some(api), Some(call)) = (&stand.upstream().api, stand.api_call()) {
                let answer = api.call(&call, &new).await.unwrap();
                assert!(!answer.token_refused, "{}", stand.name());
            }
        }
    }
    assert!(renewed > 0);
}

#[tokio::test]
async fn a_person_who_was_switched_off_is_refused_at_the_next_look() {
    for stand in everyone().await {
        let Some(recheck) = &stand.upstream().recheck else {
            continue;
        };
        let identity = good_identity(&*stand).await;
        let known = Known {
            subject: &identity.subject,
            profile: &identity.profile,
            tokens: identity.tokens.as_ref(),
        };
        let now = recheck.recheck(&known).await.unwrap();
        assert_eq!(now, identity.profile, "{}", stand.name());
        // Nobody is thrown out because something does not answer.
        for fault in faults() {
            if !stand.fail(fault.clone()) {
                continue;
            }
            let error = recheck.recheck(&known).await.unwrap_err();
            assert!(is_fault(&error), "{} {fault:?}: {error:?}", stand.name());
            let tokens: Vec<&UpstreamTokens> = identity.tokens.iter().collect();
            assert_tells_no_secret(&*stand, &error, &tokens);
            stand.mend();
        }
        stand.disable();
        // Nobody in a file is switched off: they are gone from it.
        let gone = Known {
            subject: "somebody-who-left",
            ..known
        };
        let known = if stand.name() == "users" { gone } else { known };
        let error = recheck.recheck(&known).await.unwrap_err();
        // Where only the token was refused, whoever asks finds out what a renewed one is worth.
        let refused = is_refusal(&error) || error.no_verdict().is_some();
        assert!(refused, "{}: {error:?}", stand.name());
    }
}

#[tokio::test]
async fn the_service_accounts_token_is_asked_for_once() {
    for stand in everyone().await {
        let Some(service) = &stand.upstream().service else {
            continue;
        };
        let first = service.token(None).await.unwrap();
        let asked = stand.log().len();
        let second = service.token(None).await.unwrap();
        assert!(first.access.equals(second.access.expose()));
        assert_eq!(stand.log().len(), asked, "{}", stand.name());
        let renewed = service.token(Some(&first.access)).await.unwrap();
        assert!(!renewed.access.equals(first.access.expose()));
        // Whose token was refused a while ago is not the news.
        let again = service.token(Some(&first.access)).await.unwrap();
        assert!(again.access.equals(renewed.access.expose()));
    }
}

/// T62.
#[tokio::test]
async fn the_api_gets_the_upstreams_token_and_no_credential_of_the_callers() {
    for stand in everyone().await {
        let (Some(api), Some(mut call)) = (&stand.upstream().api, stand.api_call()) else {
            continue;
        };
        let identity = good_identity(&*stand).await;
        let tokens = identity.tokens.unwrap();
        let answer = api.call(&call, &tokens).await.unwrap();
        assert_eq!((answer.status, answer.token_refused), (200, false));
        for (name, value) in [
            ("authorization", "Bearer ours-for-the-gateway"),
            ("cookie", "portico-session=ours"),
            ("proxy-authorization", "Basic ours"),
            ("host", "ours.example"),
        ] {
            call.headers.push((name.to_owned(), value.to_owned()));
        }
        // Whether it is refused or cleaned, it does not arrive.
        let _ = api.call(&call, &tokens).await;
        for request in stand.log() {
            let shown = format!("{request:?}");
            assert!(!shown.contains("ours-for-the-gateway"), "{shown}");
            assert!(!shown.contains("portico-session") && !shown.contains("Basic ours"));
            assert_eq!(request.header("cookie"), None);
        }
        let mut bad = tokens.clone();
        bad.access = Secret::new("a-token-that-nobody-gave");
        let call = stand.api_call().unwrap();
        let answer = api.call(&call, &bad).await.unwrap();
        assert!(answer.token_refused, "{}", stand.name());
        let mut names = answer.headers.iter().map(|(name, _)| name.as_str());
        assert!(!names.any(|name| name.starts_with("set-cookie")));
        for escape in [
            &[".."][..],
            &["api", "..", "token"],
            &["..;", "token"],
            &["a/b"],
        ] {
            let before = stand.log().len();
            let mut call = stand.api_call().unwrap();
            call.path = escape.iter().map(|part| (*part).to_owned()).collect();
            let answer = api.call(&call, &tokens).await;
            let refused = answer.map_or(true, |answer| answer.status >= 400);
            assert!(refused, "{} {escape:?}", stand.name());
            for request in &stand.log()[before..] {
                assert!(
                    !request.path.to_lowercase().ends_with("/token"),
                    "{request:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_check_finds_nothing_wrong_where_all_is_well_and_something_where_not() {
    for stand in everyone().await {
        let findings = stand.upstream().probe.probe().await;
        assert!(!findings.is_empty(), "{}", stand.name());
        for finding in findings {
            assert!(finding.outcome.is_ok(), "{}: {finding:?}", stand.name());
        }
        for fault in [
            Fault::Status(404),
            Fault::Status(503),
            Fault::Page,
            Fault::CloseAfter(0),
        ] {
            if !stand.fail(fault.clone()) {
                continue;
            }
            let findings = stand.upstream().probe.probe().await;
            assert!(
                findings.iter().any(|finding| finding.outcome.is_err()),
                "{} {fault:?}: {findings:?}",
                stand.name()
            );
            let shown = format!("{findings:?}");
            for secret in stand.secrets() {
                assert!(!shown.contains(&secret), "{}", stand.name());
            }
            stand.mend();
        }
    }
}

#[tokio::test]
async fn trips_lead_to_the_upstream_and_keep_little() {
    for stand in everyone().await {
        let upstream = stand.upstream();
        let back = Url::parse("https://login.example.org/back").unwrap();
        if let Some(redirect) = &upstream.redirect {
            let callback = Url::parse(upstream_aim18::CALLBACK).unwrap();
            for reauthenticate in [false, true] {
                let trip = Trip {
                    callback: &callback,
                    state: "the-state",
                    reauthenticate,
                    acr_values: &[],
                };
                let departure = redirect.start(&trip).await.unwrap();
                assert_eq!(departure.url.origin(), redirect.site().origin());
                for secret in stand.secrets() {
                    assert!(!departure.url.as_str().contains(&secret));
                }
                let kept = departure.kept.unwrap_or_default();
                assert!(kept.len() < 512, "{}: it has to fit a cookie", stand.name());
            }
        }
        if let Some(sign_off) = &upstream.sign_off {
            let identity = good_identity(&*stand).await;
            let trip = sign_off.start(&back, identity.tokens.as_ref()).await;
            let site = upstream
                .redirect
                .as_ref()
                .map(|each| each.site().host_str().map(ToOwned::to_owned));
            if let (Some(trip), Some(site)) = (trip, site) {
                assert_eq!(trip.url.host_str().map(ToOwned::to_owned), site);
            }
        }
    }
}
