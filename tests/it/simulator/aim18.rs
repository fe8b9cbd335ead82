//! The simulated aiM18.

use portico::simulator::aim18::{
    ApiErrors, Application, CLIENT_ID, CLIENT_SECRET, Cancel, EntryErrors, OtherMethod, ReturnBy,
    StateParameter, TokenErrors, TokenMethods, UidShape, UserRights,
};
use portico::simulator::people::{AIM18_SERVICE, ANN_LEE, Aim18Person, BIG, CHAN_TAI_MAN, LEFT};
use reqwest::Response;
use scraper::{Html, Selector};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use url::Url;

use super::{Aim18Site, CALLBACK, answer};

pub(super) fn sha1_hex(text: &str) -> String {
    let hash = Sha1::digest(text.as_bytes());
    hash.iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

impl Aim18Site {
    pub(super) fn entry(&self, changes: &[(&str, &str)]) -> Url {
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", CALLBACK),
        ];
        query.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        query.extend(changes);
        Url::parse_with_params(&self.url("/oauth/entry"), query).unwrap()
    }

    /// Opens the login page and sends its form, hidden fields as they stand.
    pub(super) async fn log_in(&self, entry: Url, person: &Aim18Person, action: &str) -> Response {
        let page = self.client.get(entry.clone()).send().await.unwrap();
        let page = page.text().await.unwrap();
        let mut fields = hidden_fields(&page);
        for (name, value) in [
            ("username", person.code),
            ("password", person.password),
            ("action", action),
        ] {
            fields.push((name.to_owned(), value.to_owned()));
        }
        let form = self.client.post(entry.join("entry").unwrap()).form(&fields);
        form.send().await.unwrap()
    }

    pub(super) async fn code(&self) -> String {
        let response = self.log_in(self.entry(&[]), &ANN_LEE, "login").await;
        query_value(&location(&response), "code").unwrap()
    }

    pub(super) async fn token(&self, grant: &[(&str, &str)]) -> (u16, Value) {
        let client = [("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
        let form = [&client, grant].concat();
        answer(self.client.post(self.url("/oauth/token")).form(&form)).await
    }

    pub(super) async fn redeem(&self, code: &str) -> (u16, Value) {
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
        ];
        self.token(&grant).await
    }

    pub(super) async fn password(&self, person: &Aim18Person) -> (u16, Value) {
        let hash = sha1_hex(person.password);
        let grant = [
            ("grant_type", "password"),
            ("username", person.code),
            ("password", hash.as_str()),
        ];
        self.token(&grant).await
    }

    pub(super) async fn access_token(&self, person: &Aim18Person) -> String {
        let (status, body) = self.password(person).await;
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().unwrap().to_owned()
    }

    pub(super) async fn api(&self, token: &str, path: &str) -> (u16, Value) {
        let request = self.client.get(self.url(path)).bearer_auth(token);
        answer(request.header("client_id", CLIENT_ID)).await
    }
}

fn hidden_fields(page: &str) -> Vec<(String, String)> {
    let inputs = Selector::parse("form input[type=hidden]").unwrap();
    Html::parse_document(page)
        .select(&inputs)
        .map(|input| {
            let value = |name| input.value().attr(name).unwrap_or_default().to_owned();
            (value("name"), value("value"))
        })
        .collect()
}

pub(super) fn location(response: &Response) -> Url {
    let location = response.headers()["location"].to_str().unwrap();
    Url::parse(location).unwrap()
}

pub(super) fn query_value(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn a_login_at_the_page_returns_a_code_that_works_once() {
    let site = Aim18Site::start().await;
    let response = site
        .log_in(site.entry(&[("state", "x")]), &ANN_LEE, "login")
        .await;
    assert_eq!(response.status(), 302);
    let back = location(&response);
    assert!(back.as_str().starts_with(CALLBACK));
    assert_eq!(query_value(&back, "state"), None);
    let code = query_value(&back, "code").unwrap();

    let (status, body) = site.redeem(&code).await;
    assert_eq!((status, &body["uid"]), (200, &json!(1042)));
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["access_token"].as_str().unwrap().len(), 48);
    assert!(body["refresh_token"].is_string() && body.get("expires_in").is_none());
    assert_eq!(site.redeem(&code).await.0, 400);
}

#[tokio::test]
async fn a_code_is_bound_to_time_client_and_callback() {
    let site = Aim18Site::start().await;
    let late = site.code().await;
    site.clock.advance(60);
    assert_eq!(site.redeem(&late).await.0, 400);

    let code = site.code().await;
    let elsewhere = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://login.example.org/other"),
    ];
    assert_eq!(site.token(&elsewhere).await.0, 400);

    site.aim18.register(Application {
        client_id: "C-b3RoZXI=".to_owned(),
        client_secret: "other-secret".to_owned(),
        callback: CALLBACK.to_owned(),
    });
    let code = site.code().await;
    let url = Url::parse_with_params(
        &site.url("/oauth/token"),
        [
            ("grant_type", "authorization_code"),
            ("client_id", "C-b3RoZXI="),
            ("client_secret", "other-secret"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
        ],
    );
    assert_eq!(answer(site.client.get(url.unwrap())).await.0, 400);
}

#[tokio::test]
async fn a_bad_request_is_refused_where_it_is_unless_switched_otherwise() {
    let site = Aim18Site::start().await;
    for (style, status) in [
        (EntryErrors::Page, 400),
        (EntryErrors::Json, 400),
        (EntryErrors::ErrorPage, 500),
        (EntryErrors::Unauthorized, 401),
    ] {
        site.aim18.switch(|s| s.entry_errors = style);
        for change in [
            ("client_id", "unknown"),
            (
                "redirect_uri",
                "https://login.example.org/upstream/staff/callback",
            ),
            ("response_type", "id_token"),
        ] {
            let response = site.client.get(site.entry(&[change])).send().await.unwrap();
            assert_eq!(response.status(), status, "{change:?}");
            assert!(!response.headers().contains_key("location"));
        }
    }
    site.aim18
        .switch(|s| s.entry_errors = EntryErrors::Redirect);
    let elsewhere = ("redirect_uri", "https://evil.example/");
    let response = site.client.get(site.entry(&[elsewhere])).send();
    assert_eq!(response.await.unwrap().status(), 400);
    let change = ("response_type", "id_token");
    let response = site.client.get(site.entry(&[change])).send().await.unwrap();
    let back = location(&response);
    assert!(back.as_str().starts_with(CALLBACK));
    assert_eq!(query_value(&back, "error").unwrap(), "invalid_request");
}

#[tokio::test]
async fn a_wrong_password_or_a_disabled_user_sees_the_page_again() {
    let site = Aim18Site::start().await;
    let wrong = Aim18Person {
        password: "<wrong>",
        ..ANN_LEE
    };
    for person in [wrong, LEFT] {
        let response = site.log_in(site.entry(&[]), &person, "login").await;
        assert_eq!(response.status(), 200);
        let page = response.text().await.unwrap();
        assert!(page.contains("role=\"alert\"") && !page.contains("<wrong>"));
        assert!(page.contains("<title>aiM18 (simulated)</title>"));
    }
}

#[tokio::test]
async fn a_browser_that_has_logged_in_is_sent_back_at_once() {
    let site = Aim18Site::start().await;
    let response = site.log_in(site.entry(&[]), &ANN_LEE, "login").await;
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let again = || {
        let request = site.client.get(site.entry(&[]));
        request.header("cookie", &cookie).send()
    };
    assert_eq!(again().await.unwrap().status(), 302);
    site.aim18.switch(|s| s.consent_page = true);
    let page = again().await.unwrap().text().await.unwrap();
    assert!(page.contains("value=\"allow\""));
    site.aim18.switch(|s| s.remembers_login = false);
    let page = again().await.unwrap().text().await.unwrap();
    assert!(page.contains("type=\"password\""));
}

#[tokio::test]
async fn the_way_back_is_as_switched() {
    let site = Aim18Site::start().await;
    let back = async || {
        site.log_in(site.entry(&[("state", "a&b")]), &ANN_LEE, "login")
            .await
    };
    site.aim18.switch(|s| {
        s.state = StateParameter::Echoed;
        s.return_by = ReturnBy::Redirect(307);
        s.awkward_tokens = true;
    });
    let response = back().await;
    assert_eq!(response.status(), 307);
    let url = location(&response);
    assert_eq!(query_value(&url, "state").unwrap(), "a&b");
    assert_eq!(query_value(&url, "tenant").unwrap(), "1");
    let code = query_value(&url, "code").unwrap();
    assert!(code.contains('+') && code.ends_with('='));
    assert_eq!(site.redeem(&code).await.0, 200);

    site.aim18.switch(|s| s.return_by = ReturnBy::Form);
    let page = back().await.text().await.unwrap();
    let names: Vec<String> = hidden_fields(&page)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["tenant", "code", "state"]);
    site.aim18.switch(|s| s.return_by = ReturnBy::Script);
    let page = back().await.text().await.unwrap();
    assert!(page.contains("location.replace(\"https://login.example.org/"));

    site.aim18.switch(|s| s.state = StateParameter::Rejected);
    let refused = site.client.get(site.entry(&[("state", "x")])).send().await;
    assert_eq!(refused.unwrap().status(), 400);
}

#[tokio::test]
async fn cancel_returns_an_error_or_nothing() {
    let site = Aim18Site::start().await;
    let cancel = async || site.log_in(site.entry(&[]), &ANN_LEE, "cancel").await;
    let url = location(&cancel().await);
    assert_eq!(query_value(&url, "error").unwrap(), "access_denied");
    assert_eq!(query_value(&url, "code"), None);
    site.aim18.switch(|s| s.cancel = Cancel::Nothing);
    assert_eq!(cancel().await.status(), 200);
}

#[tokio::test]
async fn implicit_gives_an_access_token_in_the_fragment_and_no_refresh_token() {
    let site = Aim18Site::start().await;
    let entry = site.entry(&[("response_type", "token")]);
    let url = location(&site.log_in(entry, &ANN_LEE, "login").await);
    let fragment = url.fragment().unwrap();
    assert!(fragment.starts_with("access_token=") && fragment.contains("uid=1042"));
    assert!(!fragment.contains("refresh_token") && query_value(&url, "code").is_none());
}

#[tokio::test]
async fn the_password_grant_takes_lower_case_sha1_and_nothing_else() {
    let site = Aim18Site::start().await;
    for person in [ANN_LEE, CHAN_TAI_MAN, BIG] {
        let (status, body) = site.password(&person).await;
        assert_eq!((status, body["uid"].as_i64()), (200, Some(person.uid)));
    }
    assert_eq!(site.password(&LEFT).await.0, 400);
    let hash = sha1_hex(ANN_LEE.password);
    for password in [ANN_LEE.password, hash.to_uppercase().as_str(), ""] {
        let grant = [
            ("grant_type", "password"),
            ("username", ANN_LEE.code),
            ("password", password),
        ];
        let (status, body) = site.token(&grant).await;
        assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
    }
}

#[tokio::test]
async fn token_answers_and_methods_are_as_switched() {
    let site = Aim18Site::start().await;
    site.aim18.switch(|s| {
        s.uid = UidShape::Text;
        s.tells_expires_in = true;
        s.token_type = "bearer".to_owned();
        s.token_methods = TokenMethods::PostOnly;
    });
    let (_, body) = site.password(&BIG).await;
    assert_eq!(body["uid"], "9007199254740993");
    assert_eq!(
        (&body["expires_in"], &body["token_type"]),
        (&json!(3600), &json!("bearer"))
    );
    assert_eq!(
        answer(site.client.get(site.url("/oauth/token"))).await.0,
        405
    );
    site.aim18.switch(|s| s.uid_for_every_grant = false);
    let code = site.code().await;
    assert_eq!(site.redeem(&code).await.1.get("uid"), None);
    site.aim18
        .switch(|s| s.token_methods = TokenMethods::GetOnly);
    assert_eq!(site.password(&ANN_LEE).await.0, 405);
    for (answer, status) in [
        (OtherMethod::BadRequest, 400),
        (OtherMethod::Unauthorized, 401),
        (OtherMethod::OkEmpty, 200),
    ] {
        site.aim18.switch(|s| s.other_method = answer);
        assert_eq!(site.password(&ANN_LEE).await, (status, Value::Null));
    }
}

#[tokio::test]
async fn a_refresh_rotates_or_keeps_the_token() {
    let site = Aim18Site::start().await;
    let (_, body) = site.password(&ANN_LEE).await;
    let first = body["refresh_token"].as_str().unwrap().to_owned();
    let refresh = async |token: &str| {
        site.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("redirect_uri", CALLBACK),
        ])
        .await
    };
    let without = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.as_str()),
    ];
    assert_eq!(site.token(&without).await.0, 400);
    let (status, body) = refresh(&first).await;
    assert_eq!(status, 200);
    assert_eq!(refresh(&first).await.0, 400);
    let second = body["refresh_token"].as_str().unwrap().to_owned();
    site.aim18.switch(|s| s.rotates_refresh_tokens = false);
    assert_eq!(refresh(&second).await.1.get("refresh_token"), None);
    assert_eq!(refresh(&second).await.0, 200);
    site.aim18
        .change("ann.lee", |person| person.enabled = false);
    assert_eq!(refresh(&second).await.0, 400);
}

#[tokio::test]
async fn a_refused_token_looks_as_switched() {
    let site = Aim18Site::start().await;
    let refused = async |style| {
        site.aim18.switch(|s| s.token_errors = style);
        site.redeem("made-up").await
    };
    assert_eq!(refused(TokenErrors::Status(401)).await.0, 401);
    assert_eq!(refused(TokenErrors::ErrorPage).await, (500, Value::Null));
    assert_eq!(
        refused(TokenErrors::OkWithoutToken).await,
        (200, json!({ "status": false }))
    );
    assert_eq!(refused(TokenErrors::OkEmpty).await, (200, Value::Null));
    let (status, body) = refused(TokenErrors::CheckMessage).await;
    assert_eq!((status, &body["pass"]), (400, &json!(false)));
    site.aim18.switch(|s| s.token_errors = TokenErrors::Header);
    let response = site
        .client
        .get(site.url("/oauth/token"))
        .send()
        .await
        .unwrap();
    let header = response.headers()["error_info"].as_bytes();
    assert!(String::from_utf8_lossy(header).contains("操作未成功"));
}

#[tokio::test]
async fn a_user_is_read_in_both_forms_and_searched() {
    let site = Aim18Site::start().await;
    let token = site.access_token(&ANN_LEE).await;
    let (status, body) = site
        .api(&token, "/root/api/read/user?menuCode=user&id=1042")
        .await;
    assert_eq!((status, &body["status"]), (200, &json!(true)));
    let row = &body["data"]["user"][0];
    assert_eq!(
        (&row["code"], &row["desc_zh-TW"]),
        (&json!("ann.lee"), &json!("李安"))
    );

    let (_, body) = site
        .api(&token, "/entity/read/user?menuCode=user&id=1043")
        .await;
    assert_eq!(body["mainTableName"], "user");
    assert_eq!(body["user"]["values"][0]["desc"], "陳大文");
    let fields = body["user"]["fields"].as_array().unwrap();
    let id = fields.iter().find(|field| field["name"] == "id").unwrap();
    assert_eq!(id["classType"], 10);

    let (_, body) = site
        .api(
            &token,
            "/search/search?stSearch=user&beId=1&quickSearchStr=ANN",
        )
        .await;
    assert_eq!(
        (&body["size"], &body["values"][0]["st_id"]),
        (&json!(1), &json!(1042))
    );
    let (status, body) = site
        .api(&token, "/root/api/read/user?menuCode=user&id=7")
        .await;
    assert_eq!((status, &body["status"]), (200, &json!(false)));
}

#[tokio::test]
async fn the_api_needs_a_live_token_with_its_own_client_id() {
    let site = Aim18Site::start().await;
    let token = site.access_token(&ANN_LEE).await;
    let url = site.url("/root/api/read/user?menuCode=user&id=1042");
    let ask = |authorization: String, client_id: &'static str| {
        let request = site.client.get(&url).header("authorization", authorization);
        answer(request.header("client_id", client_id))
    };
    assert_eq!(ask(format!("Bearer {token}"), "other").await.0, 401);
    assert_eq!(ask(token.clone(), CLIENT_ID).await.0, 401);
    site.aim18.switch(|s| s.accepts_bare_token = true);
    assert_eq!(ask(token.clone(), CLIENT_ID).await.0, 200);
    site.clock.advance(3600);
    site.aim18.switch(|s| s.denied_status = 403);
    assert_eq!(ask(format!("Bearer {token}"), CLIENT_ID).await.0, 403);
}

#[tokio::test]
async fn rights_and_errors_of_the_api_are_as_switched() {
    let site = Aim18Site::start().await;
    let own = site.access_token(&ANN_LEE).await;
    let service = site.access_token(&AIM18_SERVICE).await;
    let path = "/root/api/read/user?menuCode=user&id=1042";
    for (rights, own_reads, service_reads) in [
        (UserRights::Own, 200, 200),
        (UserRights::ServiceAccount, 400, 200),
        (UserRights::Nobody, 400, 400),
    ] {
        site.aim18.switch(|s| s.user_rights = rights);
        assert_eq!(site.api(&own, path).await.0, own_reads, "{rights:?}");
        assert_eq!(
            site.api(&service, path).await.0,
            service_reads,
            "{rights:?}"
        );
    }
    site.aim18.switch(|s| s.api_errors = ApiErrors::OkFalse);
    let (status, body) = site.api(&own, path).await;
    assert_eq!((status, &body["status"]), (200, &json!(false)));
    site.aim18.switch(|s| s.api_errors = ApiErrors::OkFalseText);
    let (_, body) = site.api(&own, path).await;
    assert!(body["message"].as_str().unwrap().starts_with('{'));
}
