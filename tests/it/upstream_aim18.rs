//! The aiM18 adapter against the simulated aiM18, through every switch and fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portico::clock::Clock;
use portico::protocol::ids::UpstreamId;
use portico::protocol::locale::Label;
use portico::protocol::params::Params;
use portico::protocol::secret::RESOLVED;
use portico::simulator::aim18::{
    Aim18, ApiErrors, CLIENT_ID, CLIENT_SECRET, StateParameter, Switches, TokenErrors,
    TokenMethods, UidShape, UserRights,
};
use portico::simulator::people::{self, Aim18Person};
use portico::simulator::{Fault, Recorded, Running};
use portico::upstream::aim18::{Settings, open};
use portico::upstream::{Identity, LoginError, LoginMethod, Upstream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

use crate::harness::browser::http_client;
use crate::upstream::{come_back, departure, kind, log_in, surroundings, told};

/// 3 February 2026, 10:00 UTC.
pub(crate) const NOW: i64 = 1_770_112_800;
pub(crate) const CALLBACK: &str = "https://login.example.org/upstream/staff/callback";

pub(crate) fn settings(base_url: &str, more: &Value) -> Settings {
    let mut settings = json!({
        "base_url": base_url,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "timeout": "5s",
    });
    let object = settings.as_object_mut().unwrap();
    object.extend(more.as_object().unwrap().clone());
    // As the config room hands over what { env = ".." } or { file = ".." } gave.
    let secret = object["client_secret"].take();
    object["client_secret"] = json!({ RESOLVED: secret });
    if let Some(account) = object.get_mut("service_account") {
        let password = account["password"].take();
        account["password"] = json!({ RESOLVED: password });
    }
    serde_json::from_value(settings).unwrap()
}

pub(crate) fn opened(base_url: &str, more: &Value) -> Upstream {
    open(
        UpstreamId::new("staff"),
        Label::plain("Staff login".to_owned()),
        vec![LoginMethod::Redirect, LoginMethod::Password],
        settings(base_url, more),
        &surroundings(Clock::manual(NOW)),
    )
    .unwrap()
}

pub(crate) struct Site {
    pub(crate) aim18: Aim18,
    pub(crate) running: Running,
    pub(crate) upstream: Upstream,
}

impl Site {
    pub(crate) async fn start(turn: impl FnOnce(&mut Switches)) -> Self {
        Self::start_with(turn, &json!({})).await
    }

    pub(crate) async fn start_with(turn: impl FnOnce(&mut Switches), more: &Value) -> Self {
        let aim18 = Aim18::new(Clock::manual(NOW));
        aim18.set_callback(CALLBACK);
        aim18.switch(turn);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let running = aim18.serve(listener).await.unwrap();
        let upstream = opened(running.url(), more);
        Self {
            aim18,
            running,
            upstream,
        }
    }

    pub(crate) async fn by_password(
        &self,
        username: &str,
        password: &str,
    ) -> Result<Identity, LoginError> {
        log_in(&self.upstream, username, password).await
    }

    pub(crate) async fn ann_by_password(&self) -> Result<Identity, LoginError> {
        let person = people::ANN_LEE;
        self.by_password(person.code, person.password).await
    }

    /// What a browser brings back to the callback after the person logged in at aiM18's page.
    async fn visit(&self, person: &Aim18Person) -> Params {
        let entry = departure(&self.upstream, &callback(), "the-state").await;
        let form = [("username", person.code), ("password", person.password)];
        let answer = http_client().post(entry).form(&form).send().await.unwrap();
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        let back = Url::parse(&location).unwrap();
        assert!(location.starts_with(CALLBACK));
        Params::parse(back.query().unwrap().as_bytes()).unwrap()
    }

    async fn finish(&self, answer: &Params) -> Result<Identity, LoginError> {
        come_back(&self.upstream, &callback(), answer).await
    }

    pub(crate) async fn by_redirect(&self, person: &Aim18Person) -> Result<Identity, LoginError> {
        let answer = self.visit(person).await;
        self.finish(&answer).await
    }

    pub(crate) fn token_requests(&self) -> Vec<Recorded> {
        let mut log = self.aim18.log();
        log.retain(|request| request.path.ends_with("/oauth/token"));
        log
    }
}

pub(crate) fn callback() -> Url {
    Url::parse(CALLBACK).unwrap()
}

fn with_code(code: &str) -> Params {
    [("code", code)].into_iter().collect()
}

#[tokio::test]
async fn an_employee_logs_in_with_a_password() {
    let site = Site::start(|_| {}).await;
    let identity = site.ann_by_password().await.unwrap();
    assert_eq!(identity.subject, "uid:1042");
    assert_eq!(identity.amr, ["pwd"]);
    let name = identity.profile.preferred_username;
    assert_eq!(name.as_deref(), Some("ann.lee"));
    assert_eq!(identity.profile.name, None);

    // The password never went out, only its hash; and by GET, which is what the vendor documents.
    let request = &site.token_requests()[0];
    assert_eq!(request.method, "GET");
    assert!(!format!("{request:?}").contains(people::ANN_LEE.password));
    let hash = request.parameter("password").unwrap();
    assert_eq!(hash.len(), 40);
    assert!(
        hash.bytes()
            .all(|c| c.is_ascii_digit() || c.is_ascii_lowercase())
    );
}

#[tokio::test]
async fn names_passwords_and_numbers_of_every_kind_survive() {
    let site = Site::start(|_| {}).await;
    for (person, subject) in [
        (people::CHAN_TAI_MAN, "uid:1043"),
        (people::BIG, "uid:9007199254740993"),
    ] {
        let answer = site.by_password(person.code, person.password).await;
        assert_eq!(answer.unwrap().subject, subject);
        let answer = site.by_redirect(&person).await;
        assert_eq!(answer.unwrap().subject, subject);
    }
}

/// Research, section 6: the hash is as good as the password, unless whoever sends it gets it hashed again.
#[tokio::test]
async fn a_stolen_hash_does_not_log_in() {
    let site = Site::start(|_| {}).await;
    site.ann_by_password().await.unwrap();
    let hash = site.token_requests()[0].parameter("password").unwrap();
    let answer = site.by_password(people::ANN_LEE.code, &hash).await;
    assert_eq!(kind(&answer), "bad credentials");
}

#[tokio::test]
async fn an_employee_logs_in_at_their_page() {
    for awkward in [false, true] {
        for state in [StateParameter::Dropped, StateParameter::Echoed] {
            let site = Site::start(|switches| {
                switches.awkward_tokens = awkward;
                switches.state = state;
            })
            .await;
            let answer = site.visit(&people::ANN_LEE).await;
            let echoed = (state == StateParameter::Echoed).then_some("the-state");
            assert_eq!(answer.get("state").unwrap(), echoed);
            let identity = site.finish(&answer).await.unwrap();
            assert_eq!(identity.subject, "uid:1042");
            assert_eq!(identity.amr, Vec::<String>::new());
            assert_eq!(identity.profile.preferred_username, None);
            // A code is good once.
            assert_eq!(kind(&site.finish(&answer).await), "bad credentials");
        }
    }
}

#[tokio::test]
async fn the_way_out_carries_what_is_documented_and_a_state() {
    let site = Site::start(|_| {}).await;
    let url = departure(&site.upstream, &callback(), "s t+a/te").await;
    let expected = format!("{}/jsf/rfws/oauth/entry", site.running.url());
    assert_eq!(url.as_str().split('?').next(), Some(expected.as_str()));
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let expected = [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("state", "s t+a/te"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs, expected);
    let login = site.upstream.callback.as_ref().unwrap();
    assert!(!login.always_returns_state());

    let site = Site::start_with(|_| {}, &json!({ "requires_state": true })).await;
    assert!(site.upstream.callback.unwrap().always_returns_state());

    // A server that refuses what it does not know.
    let without = json!({ "send_state": false });
    let site = Site::start_with(|s| s.state = StateParameter::Rejected, &without).await;
    assert_eq!(kind(&site.by_redirect(&people::ANN_LEE).await), "in");
}

#[tokio::test]
async fn what_comes_back_without_a_usable_code_is_told_apart() {
    let site = Site::start(|_| {}).await;
    for (query, expected) in [
        ("error=access_denied", "cancelled"),
        ("error=access_denied&state=x", "cancelled"),
        ("error=server_error", "protocol"),
        ("error=access_denied&error=access_denied", "protocol"),
        ("", "protocol"),
        ("code=", "protocol"),
        ("code=a&code=b", "protocol"),
        // The implicit grant is not for us: whose token that is nobody knows.
        ("access_token=abc&uid=1042", "protocol"),
        ("code=made-up", "bad credentials"),
    ] {
        let answer = site.finish(&Params::parse(query.as_bytes()).unwrap()).await;
        assert_eq!(kind(&answer), expected, "{query}");
    }
    let answer = site.finish(&with_code(&"x".repeat(4000))).await;
    assert_eq!(kind(&answer), "protocol");
}

#[tokio::test]
async fn each_method_is_used_as_configured_and_auto_never_spends_a_code_twice() {
    let cases = [
        ("get", TokenMethods::Both, &["GET"][..], "in"),
        ("get", TokenMethods::GetOnly, &["GET"], "in"),
        ("get", TokenMethods::PostOnly, &["GET"], "protocol"),
        ("post", TokenMethods::Both, &["POST"], "in"),
        ("post", TokenMethods::GetOnly, &["POST"], "protocol"),
        ("post", TokenMethods::PostOnly, &["POST"], "in"),
        ("auto", TokenMethods::Both, &["POST"], "in"),
        ("auto", TokenMethods::GetOnly, &["POST", "GET"], "in"),
        ("auto", TokenMethods::PostOnly, &["POST"], "in"),
    ];
    for (method, offered, expected, outcome) in cases {
        let turn = |switches: &mut Switches| switches.token_methods = offered;
        let site = Site::start_with(turn, &json!({ "token_method": method })).await;
        let answer = site.by_redirect(&people::ANN_LEE).await;
        assert_eq!(kind(&answer), outcome, "{method} {offered:?}");
        let methods = |site: &Site| -> Vec<String> {
            let requests = site.token_requests();
            requests.iter().map(|each| each.method.clone()).collect()
        };
        assert_eq!(methods(&site), expected, "{method} {offered:?}");
        for request in site.token_requests() {
            assert_eq!(request.method == "POST", request.query.is_empty());
        }
        // What was learned is kept: the second login asks once.
        site.aim18.clear_log();
        let _ = site.ann_by_password().await;
        assert_eq!(methods(&site), expected[expected.len() - 1..]);
    }
    // A refusal, or an outage, is no reason to try again.
    for fault in [Fault::Status(500), Fault::Status(400), Fault::CloseAfter(0)] {
        let site = Site::start_with(|_| {}, &json!({ "token_method": "auto" })).await;
        let answer = site.visit(&people::ANN_LEE).await;
        site.aim18.fail("/oauth/token", fault);
        assert!(site.finish(&answer).await.is_err());
        assert_eq!(site.token_requests().len(), 1);
    }
    // Where no method is taken, nothing is learned of POST.
    let site = Site::start_with(|_| {}, &json!({ "token_method": "auto" })).await;
    site.aim18.fail("/oauth/token", Fault::Status(404));
    assert!(site.ann_by_password().await.is_err());
    site.aim18.mend();
    site.aim18.clear_log();
    assert!(site.ann_by_password().await.is_ok());
    let methods: Vec<_> = site.token_requests();
    let methods: Vec<_> = methods.iter().map(|each| each.method.as_str()).collect();
    assert_eq!(methods, ["POST"]);
}

#[tokio::test]
async fn a_token_of_nobody_is_refused() {
    for (shape, every, by_password, by_redirect) in [
        (UidShape::Number, true, "in", "in"),
        (UidShape::Text, true, "in", "in"),
        (UidShape::Absent, true, "protocol", "protocol"),
        (UidShape::Number, false, "in", "protocol"),
    ] {
        let site = Site::start(|switches| {
            switches.uid = shape;
            switches.uid_for_every_grant = every;
        })
        .await;
        assert_eq!(kind(&site.ann_by_password().await), by_password);
        let answer = site.by_redirect(&people::ANN_LEE).await;
        assert_eq!(kind(&answer), by_redirect, "{shape:?} {every}");
        if let Err(error) = answer {
            assert!(told(&error).contains("uid"));
        }
    }
    let site = Site::start(|switches| {
        switches.token_type = "bearer".to_owned();
        switches.tells_expires_in = true;
        switches.rotates_refresh_tokens = false;
    })
    .await;
    assert_eq!(kind(&site.by_redirect(&people::ANN_LEE).await), "in");
    // Zero is how aiM18 writes "no record".
    site.aim18
        .change(people::ANN_LEE.code, |person| person.uid = 0);
    assert_eq!(kind(&site.ann_by_password().await), "protocol");
}

/// Every secret that a request carried, plain and as it stood in an address.
fn assert_no_secret(site: &Site, error: &LoginError, what: &str) {
    let told = told(error);
    let mut secrets = vec![
        CLIENT_SECRET.to_owned(),
        people::ANN_LEE.password.to_owned(),
    ];
    for request in site.token_requests() {
        for name in ["password", "code", "client_secret"] {
            secrets.extend(request.parameter(name));
        }
        let raw = format!("{}&{}", request.query, request.body);
        let raw = raw.split('&').filter_map(|pair| pair.split_once('='));
        let secret = |(name, value): (&str, &str)| {
            ["password", "code", "client_secret"]
                .contains(&name)
                .then(|| value.to_owned())
        };
        secrets.extend(raw.filter_map(secret));
    }
    for secret in secrets.iter().filter(|secret| secret.len() > 3) {
        assert!(
            !told.contains(secret.as_str()),
            "{what}: {secret} in {told}"
        );
    }
    assert!(!told.contains("grant_type="), "{what}: {told}");
}

/// T32, T60.
#[tokio::test]
async fn every_style_of_refusal_is_understood_and_shows_no_secret() {
    let styles = [
        (TokenErrors::Json, "bad credentials"),
        (TokenErrors::Status(401), "bad credentials"),
        (TokenErrors::Status(403), "bad credentials"),
        (TokenErrors::OkWithoutToken, "bad credentials"),
        (TokenErrors::OkEmpty, "bad credentials"),
        (TokenErrors::CheckMessage, "bad credentials"),
        (TokenErrors::Header, "bad credentials"),
        // Nothing tells it from an aiM18 that is broken.
        (TokenErrors::ErrorPage, "unavailable"),
    ];
    for method in ["get", "post", "auto"] {
        for (style, expected) in styles {
            let more = json!({ "token_method": method });
            let site = Site::start_with(|s| s.token_errors = style, &more).await;
            let what = format!("{method} {style:?}");
            for (username, password) in [
                (people::ANN_LEE.code, "wrong-password"),
                (people::LEFT.code, people::LEFT.password),
                ("nobody", "wrong-password"),
            ] {
                let answer = site.by_password(username, password).await;
                assert_eq!(kind(&answer), expected, "{what}");
                let error = answer.unwrap_err();
                assert_no_secret(&site, &error, &what);
                assert!(!told(&error).contains("wrong-password"));
            }
            let answer = site.finish(&with_code("made-up+code/==")).await;
            assert_eq!(kind(&answer), expected, "{what}");
            assert_no_secret(&site, &answer.unwrap_err(), &what);
        }
    }
}

/// T60: a server may repeat in its answer what it was asked, plain or as it stood in the address.
#[tokio::test]
async fn what_a_server_repeats_of_a_request_is_cut_out() {
    let repeat = |uri: axum::http::Uri| async move {
        let query = uri.query().unwrap_or_default().to_owned();
        let plain: Vec<String> = url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| format!("{name} is {value}"))
            .collect();
        let info = format!("{query} {}", plain.join(", "));
        let header = json!([{ "key": "k", "info": info }]).to_string();
        let body = json!({ "error": "invalid_grant", "error_description": info });
        let headers = [("error_info", header)];
        (
            axum::http::StatusCode::BAD_REQUEST,
            headers,
            body.to_string(),
        )
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(repeat);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let secret = "s+e/c=r e%t";
    let more = json!({ "client_secret": secret });
    let upstream = opened(&url, &more);
    let answer = log_in(&upstream, "ann.lee", "Example-Pass-1").await;
    let by_password = told(&answer.unwrap_err());
    let code = "c+o/d=e";
    let answer = come_back(&upstream, &callback(), &with_code(code)).await;
    let by_code = told(&answer.unwrap_err());
    server.abort();
    for told in [&by_password, &by_code] {
        assert!(told.contains("client_secret=[secret]"), "{told}");
        for secret in [
            secret,
            "s%2Be%2Fc%3Dr%20e%25t",
            code,
            "c%2Bo%2Fd%3De",
            "1811970ab1e01910bf4899731cdc2ba60d6ad213",
        ] {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
    }
}

#[tokio::test]
async fn the_operator_reads_what_aim18_says() {
    for style in [TokenErrors::CheckMessage, TokenErrors::Header] {
        let site = Site::start(|switches| switches.token_errors = style).await;
        let error = site.by_password("ann.lee", "wrong").await.unwrap_err();
        let told = told(&error);
        assert!(
            told.contains("core_oauth_401: The user or the password"),
            "{told}"
        );
        assert!(!told.contains("com.example"), "no trace: {told}");
    }
}

#[tokio::test]
async fn a_wrong_application_is_the_operators_problem() {
    let more = json!({ "client_secret": "another-secret-of-ours" });
    let site = Site::start_with(|_| {}, &more).await;
    let answer = site.ann_by_password().await;
    assert_eq!(kind(&answer), "protocol");
    let told = told(&answer.unwrap_err());
    assert!(told.contains("OAuth Applications"), "{told}");
    assert!(!told.contains("another-secret-of-ours"), "{told}");
}

#[tokio::test]
async fn every_fault_is_told_as_what_it_is_and_without_secrets() {
    let faults = [
        (Fault::Status(500), "unavailable"),
        (Fault::Status(503), "unavailable"),
        (Fault::Throttled(None), "unavailable"),
        (Fault::ErrorPage, "unavailable"),
        (Fault::CloseAfter(0), "unavailable"),
        (Fault::CloseAfter(40), "unavailable"),
        (Fault::Page, "protocol"),
        (Fault::Nonsense, "protocol"),
        (Fault::Oversized, "protocol"),
        (
            Fault::Redirect("https://elsewhere.example/".to_owned()),
            "protocol",
        ),
        (Fault::Status(404), "protocol"),
    ];
    for method in ["get", "post", "auto"] {
        let site = Site::start_with(|_| {}, &json!({ "token_method": method })).await;
        for (fault, expected) in &faults {
            site.aim18.mend();
            let code = site.visit(&people::ANN_LEE).await;
            site.aim18.fail("/oauth/token", fault.clone());
            for answer in [site.ann_by_password().await, site.finish(&code).await] {
                assert_eq!(kind(&answer), *expected, "{method} {fault:?}");
                assert_no_secret(&site, &answer.unwrap_err(), &format!("{fault:?}"));
            }
        }
    }
}

#[tokio::test]
async fn an_aim18_that_is_silent_or_gone_is_unavailable() {
    for method in ["get", "post"] {
        let more = json!({ "token_method": method, "timeout": "800ms" });
        let site = Site::start_with(|_| {}, &more).await;
        site.aim18.fail("/oauth/token", Fault::Hang);
        let answer = site.ann_by_password().await;
        assert_eq!(kind(&answer), "unavailable");
        let error = answer.unwrap_err();
        assert!(told(&error).contains("within"));
        assert_no_secret(&site, &error, "hang");
    }
    let site = Site::start(|_| {}).await;
    let Site {
        running, upstream, ..
    } = site;
    running.stop().await;
    let answer = log_in(&upstream, "ann.lee", "some-password").await;
    let error = answer.unwrap_err();
    let told = told(&error);
    assert!(matches!(error, LoginError::Unavailable(_)), "{told}");
    assert!(
        !told.contains("/jsf/") && !told.contains(CLIENT_SECRET),
        "{told}"
    );
}

fn lookup(by: &str) -> Value {
    let fields = match by {
        "search" => json!({ "name": "desc__lang", "email": "email", "preferred_username": "code" }),
        _ => json!({ "name": "desc", "email": "email", "preferred_username": "code" }),
    };
    json!({ "profile": { "module": "user", "by": by, "fields": fields }, "email_verified": true })
}

#[tokio::test]
async fn a_profile_is_read_from_the_persons_own_record() {
    for by in ["read", "root_read", "search"] {
        for rights in [UserRights::Everybody, UserRights::Own] {
            let turn = |switches: &mut Switches| switches.user_rights = rights;
            let site = Site::start_with(turn, &lookup(by)).await;
            for identity in [
                site.ann_by_password().await.unwrap(),
                site.by_redirect(&people::ANN_LEE).await.unwrap(),
            ] {
                let profile = identity.profile;
                assert_eq!(profile.name.as_deref(), Some("Ann Lee"), "{by} {rights:?}");
                assert_eq!(profile.email.as_deref(), Some("ann.lee@example.com"));
                assert_eq!(profile.email_verified, Some(true));
                assert_eq!(profile.preferred_username.as_deref(), Some("ann.lee"));
            }
            let big = site.by_redirect(&people::BIG).await.unwrap().profile;
            assert_eq!(big.name.as_deref(), Some("Bo Long"));
            assert_eq!((big.email, big.email_verified), (None, None));
            let calls = site.aim18.log();
            let calls = calls.iter().filter(|call| !call.path.contains("/oauth/"));
            for call in calls {
                assert_eq!(call.header("client_id"), Some(CLIENT_ID));
                assert!(call.bearer().is_some());
            }
        }
    }
}

#[tokio::test]
async fn a_search_may_need_its_business_entity() {
    let needs = |switches: &mut Switches| switches.search_needs_be_id = true;
    let mut more = lookup("search");
    for (entity, name) in [(None, None), (Some(12), Some("Ann Lee"))] {
        more["profile"]["business_entity"] = json!(entity);
        let site = Site::start_with(needs, &more).await;
        let profile = site.by_redirect(&people::ANN_LEE).await.unwrap().profile;
        assert_eq!(profile.name.as_deref(), name);
    }
}

/// How long a page of a search is, nobody knows.
#[tokio::test]
async fn a_search_is_read_on_to_its_end_and_no_further() {
    let more = lookup("search");
    for rows in [1, 2, 3] {
        let site = Site::start_with(|switches| switches.search_page = Some(rows), &more).await;
        for (person, name) in [(people::ANN_LEE, "Ann Lee"), (people::BIG, "Bo Long")] {
            let profile = site.by_redirect(&person).await.unwrap().profile;
            assert_eq!(profile.name.as_deref(), Some(name), "{rows}");
        }
    }

    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    let answer = move |uri: axum::http::Uri| {
        let counter = Arc::clone(&counter);
        async move {
            if uri.path().ends_with("/token") {
                return json!({ "access_token": "t", "uid": 7 }).to_string();
            }
            let number = counter.fetch_add(1, Ordering::Relaxed);
            json!({ "size": 1_000_000, "values": [{ "id": 1000 + number }] }).to_string()
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(answer);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let upstream = opened(&url, &more);
    let identity = log_in(&upstream, "ann", "x").await.unwrap();
    assert_eq!(identity.profile.name, None);
    // By the login name, and everybody.
    assert_eq!(asked.load(Ordering::Relaxed), 2 * 20);
    server.abort();
}

#[tokio::test]
async fn a_profile_that_cannot_be_read_costs_the_claims_and_not_the_login() {
    let errors = [
        ApiErrors::Body,
        ApiErrors::Header,
        ApiErrors::OkFalse,
        ApiErrors::OkFalseText,
    ];
    for by in ["read", "root_read", "search"] {
        for style in errors {
            let turn = |switches: &mut Switches| {
                switches.user_rights = UserRights::Nobody;
                switches.api_errors = style;
            };
            let site = Site::start_with(turn, &lookup(by)).await;
            let profile = site.ann_by_password().await.unwrap().profile;
            assert_eq!(profile.name, None, "{by} {style:?}");
            assert_eq!(profile.preferred_username.as_deref(), Some("ann.lee"));
        }
        for fault in [
            Fault::Status(401),
            Fault::Status(403),
            Fault::Page,
            Fault::Nonsense,
            Fault::EmptyBody,
            Fault::Oversized,
        ] {
            let site = Site::start_with(|_| {}, &lookup(by)).await;
            site.aim18.fail("/read/", fault.clone());
            site.aim18.fail("/search/", fault);
            let identity = site.ann_by_password().await.unwrap();
            assert_eq!(identity.profile.name, None);
        }
        for fault in [Fault::Status(503), Fault::CloseAfter(0)] {
            let site = Site::start_with(|_| {}, &lookup(by)).await;
            site.aim18.fail("/read/", fault.clone());
            site.aim18.fail("/search/", fault);
            assert_eq!(kind(&site.ann_by_password().await), "unavailable");
        }
    }
}

/// T48, and no empty password ever reaches a directory.
#[tokio::test]
async fn what_cannot_be_right_is_not_sent() {
    let site = Site::start(|_| {}).await;
    let long = "x".repeat(1025);
    for (username, password) in [("ann.lee", ""), ("ann.lee", &long), ("", "x"), (&long, "x")] {
        let answer = site.by_password(username, password).await;
        assert_eq!(kind(&answer), "bad credentials");
    }
    assert!(site.aim18.log().is_empty());
}

#[test]
fn every_problem_is_told_with_its_key() {
    let broken = settings(
        "http://erp.example.org/jsf/rfws",
        &json!({
            "client_id": "",
            "client_secret": "",
            "send_state": false,
            "requires_state": true,
            "token_lifetime": "1s",
            "timeout": "1ms",
            "profile": { "module": "..", "business_entity": 3, "fields": {} },
        }),
    );
    let problems = broken.problems();
    let keys: Vec<&str> = problems.iter().map(|each| each.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "base_url",
            "base_url",
            "client_id",
            "client_secret",
            "requires_state",
            "token_lifetime",
            "profile.module",
            "profile.fields",
            "profile.business_entity",
            "timeout",
        ]
    );
    let allowed = json!({ "allow_insecure_upstream": true });
    assert_eq!(settings("http://erp.example.org", &allowed).problems(), []);
    assert_eq!(
        settings("https://erp.example.org", &json!({})).problems(),
        []
    );
}
