//! The live control of the simulators: every switch, people, faults, the log; and who may not use it.

use std::collections::BTreeSet;

use portico::simulator::imis::{Edition, Switches};
use portico::simulator::people::{ANN_LEE, CHAIR, JO_SMITH, LOCKED, SERVICE, ZOE};
use portico::simulator::{Fault, aim18, imis};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use url::Url;

use super::{Aim18Site, ImisSite};
use crate::harness::browser::Browser;

/// The control of a running simulator, through a bare client.
struct Control {
    client: Client,
    url: Url,
}

impl Control {
    fn of(running: &portico::simulator::Running, client: &Client) -> Self {
        Self {
            client: client.clone(),
            url: Url::parse(running.url())
                .unwrap()
                .join("/_simulator/")
                .unwrap(),
        }
    }

    async fn get(&self, part: &str) -> Value {
        let response = self.client.get(self.url.join(part).unwrap()).send();
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200, "{part}");
        response.json().await.unwrap()
    }

    async fn post(&self, part: &str, body: Value) -> (u16, Value) {
        let request = self.client.post(self.url.join(part).unwrap()).json(&body);
        super::answer(request).await
    }

    /// Changes something, which must be right.
    async fn change(&self, part: &str, body: Value) -> Value {
        let (status, answer) = self.post(part, body.clone()).await;
        assert_eq!(status, 200, "{part} {body}: {answer}");
        answer
    }

    async fn value(&self, switch: &str) -> String {
        let switches = self.get("switches").await;
        let switches = switches.as_array().unwrap();
        let found = switches.iter().find(|one| one["name"] == switch);
        found.unwrap()["value"].as_str().unwrap().to_owned()
    }
}

impl ImisSite {
    fn control(&self) -> Control {
        Control::of(&self.running, &self.client)
    }
}

impl Aim18Site {
    fn control(&self) -> Control {
        Control::of(&self.running, &self.client)
    }
}

/// Turns every switch to everything that it takes, and back.
async fn turn_all(control: &Control) {
    let at_start = control.get("switches").await;
    for switch in at_start.as_array().unwrap() {
        let name = switch["name"].as_str().unwrap();
        assert!(switch["meaning"].as_str().unwrap().len() > 10, "{name}");
        let words = switch["values"].as_array().unwrap();
        let words = words.iter().map(|word| &word["value"]);
        let examples = switch["examples"].as_array().unwrap();
        let values: Vec<&str> = words
            .chain(examples)
            .map(|value| value.as_str().unwrap())
            .collect();
        assert!(values.len() > 1, "{name}: {values:?}");
        for value in values {
            control.change("switches", json!({ name: value })).await;
            assert_eq!(control.value(name).await, value, "{name}");
        }
        if switch["or"].is_null() {
            let (status, told) = control.post("switches", json!({ name: "nonsense" })).await;
            assert_eq!(status, 400, "{name}");
            let told = told["error"].as_str().unwrap();
            assert!(told.starts_with(&format!("{name}: write ")), "{told}");
        }
    }
    control.change("reset", json!({})).await;
    assert_eq!(control.get("switches").await, at_start);
}

#[tokio::test]
async fn every_switch_of_both_simulators_turns_to_every_value_over_http() {
    turn_all(&ImisSite::start().await.control()).await;
    turn_all(&Aim18Site::start().await.control()).await;
}

/// The names of a struct's fields, as its own `Debug` tells them.
fn fields(of: &impl std::fmt::Debug) -> BTreeSet<String> {
    format!("{of:#?}")
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.split_once(": "))
        .filter(|(name, _)| !name.starts_with(' '))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn every_field_is_a_switch_save_applications_and_faults() {
    let named = |names: Vec<&str>| -> BTreeSet<String> {
        names.into_iter().map(ToOwned::to_owned).collect()
    };
    let mut known = named(Switches::ALL.iter().map(|switch| switch.name).collect());
    known.extend(named(vec!["client_applications", "faults"]));
    assert_eq!(fields(&Switches::default()), known);
    let mut known = named(aim18::Switches::ALL.iter().map(|one| one.name).collect());
    known.extend(named(vec!["applications", "faults"]));
    assert_eq!(fields(&aim18::Switches::default()), known);
}

#[tokio::test]
async fn several_switches_turn_together_or_not_at_all() {
    let site = ImisSite::start().await;
    let control = site.control();
    let wrong = json!({ "edition": "imis2017", "lock_after": "many" });
    let (status, told) = control.post("switches", wrong).await;
    assert_eq!(status, 400);
    assert!(told["error"].as_str().unwrap().starts_with("lock_after: "));
    assert_eq!(site.imis.switches().edition, Edition::Ems);
    for body in [
        json!({ "nothing": "1" }),
        json!({ "edition": ["ems"] }),
        json!([]),
        json!({ "web_path": "a\nb" }),
    ] {
        assert_eq!(control.post("switches", body).await.0, 400);
    }
    let right = json!({ "edition": "imis2017", "lock_after": null, "bare_items": true, "access_token_seconds": 60 });
    control.change("switches", right).await;
    let switches = site.imis.switches();
    assert_eq!(switches.edition, Edition::Imis2017);
    assert_eq!((switches.lock_after, switches.bare_items), (None, true));
    let (_, body) = site.password("JSMITH", JO_SMITH.password).await;
    assert_eq!(body["expires_in"], 60);
}

#[tokio::test]
async fn people_are_locked_lapsed_renamed_and_restored() {
    let site = ImisSite::start().await;
    let control = site.control();
    let state = async || site.password("JSMITH", JO_SMITH.password).await.0;
    for action in ["lock", "disable", "expire", "expire-password"] {
        control
            .change("people", json!({ "person": "jsmith", "do": action }))
            .await;
        assert_eq!(state().await, 400, "{action}");
        control
            .change("people", json!({ "person": "20457", "do": "activate" }))
            .await;
        assert_eq!(state().await, 200, "{action}");
    }
    control
        .change("people", json!({ "person": "JSMITH", "do": "lapse" }))
        .await;
    let lapsed = site.imis.person("JSMITH").unwrap();
    assert_eq!((lapsed.is_member, lapsed.status), (false, "I"));
    assert_eq!(state().await, 200);

    let change = json!({
        "person": "JSMITH", "username": "jo@example.org", "password": "new demo & word", "email": "jo@example.org",
        "roles": "Everyone, BoardMember", "marked_for_delete": true, "state": "active",
        "groups": "A1|Art & Design|Chair;B2|Books", "customer_type": "NM=Non-member",
    });
    control.change("people", change).await;
    let changed = site.imis.person("jo@example.org").unwrap();
    assert_eq!(changed.roles, ["Everyone", "BoardMember"]);
    assert_eq!((changed.groups.len(), changed.groups[0].role), (2, "Chair"));
    assert!(changed.marked_for_delete);
    assert_eq!(changed.customer_type, ("NM", "Non-member"));
    assert_eq!(
        site.password("JO@example.org", "new demo & word").await.0,
        200
    );
    assert_eq!(state().await, 400);
    let told = control.get("people/20457").await;
    assert_eq!(
        told["properties"]["groups"],
        "A1|Art & Design|Chair;B2|Books"
    );

    for wrong in [
        json!({ "person": "nobody", "do": "lock" }),
        json!({ "do": "lock" }),
        json!({ "person": "20457", "do": "nothing" }),
        json!({ "person": "20457", "state": "asleep" }),
        json!({ "person": "20457", "uniform_id": "x" }),
        json!({ "person": "20457", "username": "" }),
        json!({ "person": "20457", "email": "x".repeat(600) }),
    ] {
        assert_eq!(
            control.post("people", wrong.clone()).await.0,
            400,
            "{wrong}"
        );
    }
    control
        .change("people", json!({ "person": "20457", "do": "restore" }))
        .await;
    assert_eq!(site.imis.person("JSMITH"), Some(JO_SMITH));
}

#[tokio::test]
async fn users_of_aim18_are_changed_and_their_tokens_ended() {
    let site = Aim18Site::start().await;
    let control = site.control();
    let token = site.access_token(&ANN_LEE).await;
    let alive = async || site.api(&token, "/bpm/wfs/tracking").await.0;
    assert_eq!(alive().await, 200);
    control
        .change("people", json!({ "person": "ann.lee", "do": "lock" }))
        .await;
    assert_eq!(site.password(&ANN_LEE).await.0, 400);
    control
        .change(
            "people",
            json!({ "person": "1042", "do": "unlock", "be_ids": "7, 8" }),
        )
        .await;
    assert_eq!(site.password(&ANN_LEE).await.0, 200);
    let person = control.get("people/1042").await;
    assert_eq!(person["properties"]["be_ids"], "7,8");
    control.change("purge", json!({})).await;
    assert_eq!(alive().await, 401);
    control
        .change("people", json!({ "person": "1042", "do": "restore" }))
        .await;
    assert_eq!(
        control.get("people/1042").await["properties"]["be_ids"],
        "12,15"
    );
    let applications = control
        .change(
            "applications",
            json!({ "client_id": "C-x=", "client_secret": "s", "url": "https://a.example/cb" }),
        )
        .await;
    assert_eq!(
        applications[1],
        json!({ "client_id": "C-x=", "url": "https://a.example/cb" })
    );
    let wrong = json!({ "client_id": "C-x=", "client_secret": "s", "url": "javascript:alert(1)" });
    assert_eq!(control.post("applications", wrong).await.0, 400);
}

#[tokio::test]
async fn faults_are_planned_met_and_mended_and_never_meet_the_control() {
    let site = ImisSite::start().await;
    let control = site.control();
    let status = async || site.password("JSMITH", JO_SMITH.password).await.0;
    let plan = json!({ "place": "/token", "fault": "status-503", "every": 2, "times": 2 });
    let planned = control.change("faults", plan).await;
    assert_eq!(planned, json!(["/token=status-503,every=2,times=2"]));
    let met = [
        status().await,
        status().await,
        status().await,
        status().await,
        status().await,
        status().await,
    ];
    assert_eq!(met, [200, 503, 200, 503, 200, 200]);
    control
        .change("faults", json!({ "place": "", "fault": "throttled-30" }))
        .await;
    let request = site
        .client
        .get(site.url("/api/Party"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (request.status().as_u16(), &request.headers()["retry-after"]),
        (429, &"30".parse().unwrap())
    );
    assert_eq!(control.get("faults").await, json!(["=throttled-30"]));
    control.change("mend", json!({})).await;
    assert_eq!(status().await, 200);
    for wrong in [
        json!({ "fault": "explode" }),
        json!({ "place": "/token" }),
        json!({ "place": "a=b", "fault": "hang" }),
        json!({ "fault": "status-99" }),
        json!({ "fault": "hang", "every": 0 }),
        json!({ "fault": "redirect-javascript:alert(1)" }),
    ] {
        assert_eq!(
            control.post("faults", wrong.clone()).await.0,
            400,
            "{wrong}"
        );
    }
}

#[test]
fn faults_are_written_as_they_are_read() {
    for text in [
        "/token=status-503",
        "=hang",
        "/api=throttled",
        "/api=throttled-30,every=3",
        "x=slow-200,times=1",
        "x=close-after-10",
        "x=redirect-https://a.example/?a=1,b=2,times=2",
        "x=page",
        "x=nonsense",
        "x=empty-body",
        "x=oversized",
        "x=error-page",
        "x=echo",
    ] {
        let planned = portico::simulator::Planned::read(text).unwrap();
        assert_eq!(planned.to_string(), text);
    }
    assert_eq!(Fault::read("status-401"), Ok(Fault::Status(401)));
}

#[tokio::test]
async fn every_so_many_calls_a_valid_token_is_denied() {
    let site = ImisSite::start().await;
    site.control()
        .change("switches", json!({ "denies_valid_token_every": 3 }))
        .await;
    let token = site.token(&JO_SMITH).await;
    let mut met = Vec::new();
    for _ in 0..6 {
        met.push(site.get(&token, "/api/Party/20457").await.0);
    }
    assert_eq!(met, [200, 200, 401, 200, 200, 401]);
}

/// Sends a change of `lock_after` with these headers.
async fn attempt(control: &Control, kind: &str, headers: &[(&str, &str)]) -> Response {
    let body = match kind {
        "application/x-www-form-urlencoded" => "lock_after=1",
        _ => r#"{"lock_after":"1"}"#,
    };
    let mut request = control.client.post(control.url.join("switches").unwrap());
    request = request.header("content-type", kind).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

/// A page of another origin beside the simulator cannot turn its switches.
#[tokio::test]
async fn changes_from_other_sites_are_refused() {
    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json";
    let site = ImisSite::start().await;
    let control = site.control();
    let own = control.url.origin().ascii_serialization();
    let port = control.url.port().unwrap();
    let rebound = format!("evil.example:{port}");
    let rebound_origin = format!("http://{rebound}");
    let other_port = "http://127.0.0.1:1".to_owned();
    for (kind, headers, status) in [
        (FORM, vec![], 403),
        (FORM, vec![("origin", "https://evil.example")], 403),
        (FORM, vec![("origin", "null")], 403),
        (FORM, vec![("origin", other_port.as_str())], 403),
        (
            FORM,
            vec![("origin", own.as_str()), ("sec-fetch-site", "cross-site")],
            403,
        ),
        (
            FORM,
            vec![("origin", own.as_str()), ("sec-fetch-site", "same-site")],
            403,
        ),
        (JSON, vec![("origin", "https://evil.example")], 403),
        (JSON, vec![("origin", "null")], 403),
        (JSON, vec![("sec-fetch-site", "cross-site")], 403),
        ("text/plain", vec![], 415),
        (
            "text/plain;application/json",
            vec![("origin", own.as_str())],
            415,
        ),
        // DNS rebinding: the browser takes both for one origin.
        (
            JSON,
            vec![
                ("host", rebound.as_str()),
                ("origin", rebound_origin.as_str()),
                ("sec-fetch-site", "same-origin"),
            ],
            403,
        ),
    ] {
        let response = attempt(&control, kind, &headers).await;
        assert_eq!(response.status(), status, "{kind} {headers:?}");
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-origin")
        );
        assert_eq!(
            site.imis.switches().lock_after,
            Some(5),
            "{kind} {headers:?}"
        );
    }
    let read = control.client.get(control.url.join("people").unwrap());
    let read = read.header("host", &rebound).send().await.unwrap();
    assert_eq!(read.status(), 403);
    let preflight = control
        .client
        .request(reqwest::Method::OPTIONS, control.url.clone());
    let preflight = preflight
        .header("origin", "https://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 405);
    assert!(
        !preflight
            .headers()
            .contains_key("access-control-allow-origin")
    );

    let localhost = format!("localhost:{port}");
    for (kind, headers, status) in [
        (
            FORM,
            vec![("origin", own.as_str()), ("sec-fetch-site", "same-origin")],
            303,
        ),
        (JSON, vec![("origin", own.as_str())], 200),
        (JSON, vec![("host", localhost.as_str())], 200),
        ("application/json; charset=utf-8", vec![], 200),
    ] {
        site.imis.switch(|s| s.lock_after = Some(5));
        let response = attempt(&control, kind, &headers).await;
        assert_eq!(response.status(), status, "{kind} {headers:?}");
        assert_eq!(
            site.imis.switches().lock_after,
            Some(1),
            "{kind} {headers:?}"
        );
    }
    // The operator may give it another name.
    site.imis.allow_control_from("evil.example");
    let response = attempt(&control, JSON, &[("host", &rebound)]).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn reading_changes_nothing_and_no_page_may_be_framed() {
    let site = ImisSite::start().await;
    let control = site.control();
    for part in [
        "reset",
        "purge",
        "mend",
        "forget",
        "nothing",
        "people/nobody",
    ] {
        let response = control.client.get(control.url.join(part).unwrap()).send();
        assert_eq!(response.await.unwrap().status(), 404, "{part}");
    }
    let page = control
        .client
        .get(control.url.clone())
        .header("accept", "text/html");
    let page = page.send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"));
    assert_eq!(
        page.headers()["cross-origin-resource-policy"],
        "same-origin"
    );
    assert_eq!(page.headers()["cache-control"], "no-store");
    assert_eq!(page.headers()["referrer-policy"], "same-origin");
    // No simulated system has such a path, and its own pages do not link there.
    let home = site.client.get(site.url("/")).send().await.unwrap();
    assert!(!home.text().await.unwrap().contains("_simulator"));
}

#[tokio::test]
async fn the_pages_turn_switches_without_script() {
    let site = ImisSite::start().await;
    let control = site.control();
    let mut browser = Browser::new();
    browser.headers = vec![
        ("accept".to_owned(), "text/html".to_owned()),
        (
            "origin".to_owned(),
            control.url.origin().ascii_serialization(),
        ),
    ];
    let page = browser.get(&control.url).await;
    assert_eq!(page.text("h1").unwrap(), "Control of iMIS (simulated)");
    for switch in Switches::ALL {
        let css = format!("form[action$=switches] [name={}]", switch.name);
        assert!(
            page.attribute(&css, "aria-label").is_some(),
            "{}",
            switch.name
        );
    }
    let css = "form[action$=switches]:has([name=edition])";
    assert_eq!(
        page.attribute("[name=edition] option[selected]", "value")
            .unwrap(),
        "ems"
    );
    let answer = browser
        .submit_only(&page, css, &[("edition", "imis2017")])
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, "/_simulator/")
    );
    let page = browser.open(&control.url).await;
    assert_eq!(
        page.attribute("[name=edition] option[selected]", "value")
            .unwrap(),
        "imis2017"
    );

    let css = "form[action$=people]:has(input[value='20458'])";
    browser.submit(&page, css, &[("do", "lock")]).await;
    assert_eq!(site.password(ZOE.username, ZOE.password).await.0, 400);
    let page = browser.get(control.url.join("people/20458").unwrap()).await;
    assert!(page.body.contains("Zoë O&#39;Brien+Søn &amp; Co"));
    let answer = browser
        .submit(
            &page,
            "form",
            &[
                ("state", "active"),
                ("email", "<z>@example.org"),
                ("is_member", "yes"),
                ("marked_for_delete", "no"),
            ],
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        site.imis.person(ZOE.username).unwrap().email,
        "<z>@example.org"
    );
    assert_eq!(
        site.imis.person(ZOE.username).unwrap().password,
        ZOE.password
    );

    let page = browser.get(&control.url).await;
    let wrong = browser
        .submit(&page, "form[action$=faults]", &[("fault", "<b>")])
        .await;
    assert_eq!(wrong.status, 400);
    assert!(
        wrong
            .text("[role=alert]")
            .unwrap()
            .starts_with("write a fault")
    );
    assert!(!browser.get(&control.url).await.body.contains("<script"));
}

/// T60: what a client sends in earnest is not shown.
#[tokio::test]
async fn the_log_shows_requests_without_their_secrets() {
    let site = ImisSite::start().await;
    let control = site.control();
    let token = site.token(&SERVICE).await;
    site.grant(&[
        ("grant_type", "refresh_token"),
        ("client_id", "Portico"),
        ("client_secret", "seeded-secret-1"),
        ("refresh_token", "seeded-secret-2"),
    ])
    .await;
    for (operation, parameters) in [
        (
            "ValidateUser",
            json!([JO_SMITH.username, "seeded-secret-3"]),
        ),
        (
            "UpdatePassword",
            json!({ "$values": [{ "$value": LOCKED.username }, { "$value": "seeded-secret-4" }] }),
        ),
        ("GetUserRoles", json!([CHAIR.username])),
    ] {
        let body = json!({ "OperationName": operation, "Parameters": parameters });
        let request = site.client.post(site.url("/api/UserSecurity/_execute"));
        super::answer(request.bearer_auth(&token).json(&body)).await;
    }
    let landing = "/token?code=seeded-secret-5&REFRESH_TOKEN=seeded-secret-6&x=https://a.example/?c=seeded-secret-7";
    let request = site
        .client
        .get(site.url(landing))
        .header("cookie", "Login=seeded-secret-8");
    let request = request.header("referer", "https://a.example/?code=seeded-secret-9");
    request.body("seeded-secret-10").send().await.unwrap();
    let json =
        json!({ "user": { "Password": "seeded-secret-11" }, "new_token": "seeded-secret-12" });
    site.client
        .put(site.url("/api/Nothing"))
        .json(&json)
        .send()
        .await
        .unwrap();

    let told = control.get("log").await;
    let page = site.client.get(control.url.join("log").unwrap());
    let page = page.header("accept", "text/html").send().await.unwrap();
    let page = page.text().await.unwrap();
    for told in [&told.to_string(), &page] {
        for secret in ["seeded-secret", SERVICE.password, token.as_str()] {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
        assert!(told.contains(CHAIR.username) && told.contains("grant_type=refresh_token"));
    }
    let last = &told.as_array().unwrap()[0];
    assert_eq!(
        (&last["method"], &last["status"]),
        (&json!("PUT"), &json!(401))
    );
    let first = told.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&first["path"], &first["status"]),
        (&json!("/token"), &json!(200))
    );
    // What the control itself is asked is no request of a client.
    assert!(!told.to_string().contains("_simulator"));
    control.change("forget", json!({})).await;
    assert_eq!(control.get("log").await, json!([]));

    let site = Aim18Site::start().await;
    let control = site.control();
    site.aim18.switch(|s| s.code_name = "auth".to_owned());
    let url = "/oauth/token?client_id=c&client_secret=seeded-secret&auth=seeded-secret&username=u&password=seeded-secret";
    site.client.get(site.url(url)).send().await.unwrap();
    let told = control.get("log").await.to_string();
    assert!(
        !told.contains("seeded-secret") && told.contains("username=u"),
        "{told}"
    );
}

#[tokio::test]
async fn browsers_of_other_origins_may_call_only_where_that_is_switched_on() {
    let site = ImisSite::start().await;
    let preflight = async |path: &str| {
        let request = site
            .client
            .request(reqwest::Method::OPTIONS, site.url(path));
        let request = request.header("origin", "https://app.example");
        request.send().await.unwrap()
    };
    for path in ["/token", "/api/Party"] {
        assert_eq!(preflight(path).await.status(), 405);
    }
    site.imis.set("allows_cors", "yes").unwrap();
    for path in ["/token", "/api/Party"] {
        let answer = preflight(path).await;
        assert_eq!(answer.status(), 204);
        assert_eq!(
            answer.headers()["access-control-allow-origin"],
            "https://app.example"
        );
    }
    assert!(site.imis.set("allows_cors", "perhaps").is_err());
    assert_eq!(imis::seeded().len(), 17);
}
