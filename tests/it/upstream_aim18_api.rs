//! aiM18's API through the adapter: what reaches it, and what comes back (T61, T62).

use portico::simulator::Fault;
use portico::simulator::Recorded;
use portico::simulator::aim18::{ApiErrors, CLIENT_ID, Switches, check_right};
use portico::simulator::people::AIM18_SERVICE;
use portico::upstream::{ApiAnswer, ApiCall, LoginError, UpstreamTokens};
use serde_json::{Value, json};

use crate::upstream::told;
use crate::upstream_aim18::Site;

fn call(method: &str, path: &str, query: &[(&str, &str)], headers: &[(&str, &str)]) -> ApiCall {
    let owned = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    ApiCall {
        method: method.to_owned(),
        path: path.split('/').map(ToOwned::to_owned).collect(),
        query: owned(query),
        headers: owned(headers),
        body: Vec::new(),
    }
}

fn read(module: &str, id: &str) -> ApiCall {
    let query = [("menuCode", module), ("id", id)];
    call("GET", &format!("root/api/read/{module}"), &query, &[])
}

impl Site {
    async fn call(&self, call: &ApiCall, tokens: &UpstreamTokens) -> Result<ApiAnswer, LoginError> {
        self.upstream.api.as_ref().unwrap().call(call, tokens).await
    }

    async fn anns_tokens(&self) -> UpstreamTokens {
        self.ann_by_password().await.unwrap().tokens.unwrap()
    }

    /// What reached the API, as opposed to the token endpoint.
    fn api_requests(&self) -> Vec<Recorded> {
        let mut log = self.aim18.log();
        log.retain(|request| !request.path.contains("/oauth/"));
        log
    }
}

fn body(answer: &ApiAnswer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn a_call_carries_the_token_and_the_client_id_and_nothing_of_the_callers() {
    let site = Site::start(|_| {}).await;
    let tokens = site.anns_tokens().await;
    let headers = [
        ("accept", "application/json;q=0.5"),
        ("accept-language", "zh-TW"),
        ("authorization", "Bearer portico-access-token"),
        ("client_id", "another-application"),
        ("client-id", "another-application"),
        ("cookie", "portico-session=secret"),
        ("host", "elsewhere.example"),
        ("x-forwarded-for", "192.0.2.1"),
        ("connection", "close"),
        ("proxy-authorization", "Basic eDp5"),
    ];
    let query = [("menuCode", "staff"), ("id", "12"), ("quick", "a b&c=d/é")];
    let asked = call("GET", "root/api/read/staff", &query, &headers);
    let answer = site.call(&asked, &tokens).await.unwrap();
    assert_eq!((answer.status, answer.token_refused), (200, false));
    assert_eq!(body(&answer)["data"]["staff"][0]["code"], "E012");
    let request = &site.api_requests()[0];
    assert_eq!(request.path, "/jsf/rfws/root/api/read/staff");
    assert_eq!(request.bearer(), Some(tokens.access.expose()));
    assert_eq!(request.header("client_id"), Some(CLIENT_ID));
    assert_eq!(request.header("accept-language"), Some("zh-TW"));
    assert_eq!(request.header("accept"), Some("application/json;q=0.5"));
    assert_eq!(
        request.query_parameter("quick").as_deref(),
        Some("a b&c=d/é")
    );
    let all = format!("{request:?}");
    for foreign in [
        "portico-access-token",
        "another-application",
        "portico-session",
        "elsewhere.example",
        "192.0.2.1",
        "eDp5",
    ] {
        assert!(!all.contains(foreign), "{foreign} in {all}");
    }
    let count = |name: &str| {
        let headers = request.headers.iter();
        headers.filter(|(known, _)| known == name).count()
    };
    assert_eq!(
        (count("authorization"), count("client_id"), count("accept")),
        (1, 1, 1)
    );
}

/// T61: what decides whether rights are checked is never the caller's.
#[tokio::test]
async fn check_right_is_ours_wherever_a_caller_writes_it() {
    let site = Site::start(|_| {}).await;
    let tokens = site.anns_tokens().await;
    // Ann has no rights on this module; without the check she would see it.
    let id = ("id", "501");
    for (query, headers) in [
        (vec![], vec![]),
        (vec![("check_right", "")], vec![]),
        (vec![("CHECK_RIGHT", ""), ("check_right", "")], vec![]),
        (vec![("Check-Right", "")], vec![]),
        (vec![(" check_right", "")], vec![]),
        (vec![], vec![("check_right", "")]),
        (vec![], vec![("check-right", "")]),
    ] {
        site.aim18.clear_log();
        let mut all = vec![("menuCode", "po"), id];
        all.extend(query.clone());
        let asked = call("GET", "root/api/read/po", &all, &headers);
        let _ = site.call(&asked, &tokens).await.unwrap();
        let request = &site.api_requests()[0];
        assert_eq!(check_right(request).as_deref(), Some("true"));
        assert_eq!(request.header("check_right"), Some("true"));
        assert_eq!(request.header("check-right"), None);
        let named = request.query_pairs().into_iter();
        let named =
            named.filter(|(name, _)| name.trim().to_lowercase().replace('-', "_") == "check_right");
        assert_eq!(named.count(), 1, "{query:?}");
    }
    // A form's fields are parameters like those of a query.
    let form = [(
        "content-type",
        "application/x-www-form-urlencoded; charset=UTF-8",
    )];
    let mut asked = call("POST", "erp/bsFlow/save/po", &[], &form);
    asked.body = b"a=1&check_right=&Check_Right=&b=x%20y".to_vec();
    let _ = site.call(&asked, &tokens).await.unwrap();
    let request = site.api_requests().pop().unwrap();
    assert_eq!(request.body, "a=1&b=x+y");
    // What cannot be taken apart safely is not sent at all.
    let sent = site.api_requests().len();
    let parts = [("content-type", "multipart/form-data; boundary=x")];
    let mut asked = call("POST", "erp/upload", &[], &parts);
    asked.body =
        b"--x\r\ncontent-disposition: form-data; name=\"Check_Right\"\r\n\r\n\r\n--x--".to_vec();
    assert_eq!(site.call(&asked, &tokens).await.unwrap().status, 400);
    let twice = [
        ("content-type", "application/json"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let asked = call("POST", "erp/upload", &[], &twice);
    assert_eq!(site.call(&asked, &tokens).await.unwrap().status, 400);
    assert_eq!(site.api_requests().len(), sent);
    // JSON is nobody's parameter, and goes as it is.
    let json = [("content-type", "application/json")];
    let mut asked = call(
        "PUT",
        "root/api/save/staff",
        &[("menuCode", "staff")],
        &json,
    );
    asked.body = br#"{"staff":{"values":[{"code":"E1","check_right":""}]}}"#.to_vec();
    site.call(&asked, &tokens).await.unwrap();
    let request = site.api_requests().pop().unwrap();
    assert_eq!(request.body.as_bytes(), asked.body);
}

/// T61, end to end: the simulated server skips the check where the parameter is empty.
#[tokio::test]
async fn a_user_sees_no_module_that_aim18_gives_no_right_to() {
    let site = Site::start(|_| {}).await;
    let tokens = site.ann_by_password().await.unwrap().tokens.unwrap();
    let nobody = site
        .by_password("bo.long", "staff-demo-4")
        .await
        .unwrap()
        .tokens
        .unwrap();
    let staff = read("staff", "12");
    assert_eq!(site.call(&staff, &tokens).await.unwrap().status, 200);
    let mut sneaky = read("staff", "12");
    sneaky.query.push(("check_right".to_owned(), String::new()));
    let refused = site.call(&sneaky, &nobody).await.unwrap();
    assert_eq!((refused.status, refused.token_refused), (400, false));
    let policy = json!({ "check_right": "1" });
    let site = Site::start_with(|_| {}, &policy).await;
    let tokens = site.anns_tokens().await;
    site.call(&staff, &tokens).await.unwrap();
    let request = site.api_requests().pop().unwrap();
    assert_eq!(check_right(&request).as_deref(), Some("1"));
}

/// T50, T62: nothing leads out of the services, and the token endpoint is none.
#[tokio::test]
async fn paths_that_lead_elsewhere_are_not_sent() {
    let site = Site::start(|_| {}).await;
    let tokens = site.anns_tokens().await;
    site.aim18.clear_log();
    for path in [
        vec!["oauth", "token"],
        vec!["OAuth2", "token"],
        vec!["search", "..", "oauth", "token"],
        vec!["..;x=y", "oauth", "token"],
        vec!["search;check_right=", "search"],
        vec!["search", "."],
        vec!["search", ""],
        vec!["a/../../oauth/token"],
        vec!["a\\..\\b"],
        vec!["a%2f..%2fb"],
        vec!["a\u{0}b"],
        vec![],
    ] {
        let mut asked = call("GET", "search", &[], &[]);
        asked.path = path.iter().map(|part| (*part).to_owned()).collect();
        let answer = site.call(&asked, &tokens).await.unwrap();
        assert_eq!(answer.status, 404, "{path:?}");
        assert!(!answer.token_refused);
    }
    assert!(site.aim18.log().is_empty());
}

#[tokio::test]
async fn a_token_is_refused_only_where_the_answer_says_so() {
    for status in [400, 401, 403] {
        let site = Site::start(|switches| switches.denied_status = status).await;
        let tokens = site.anns_tokens().await;
        site.aim18.forget_tokens();
        let answer = site.call(&read("staff", "12"), &tokens).await.unwrap();
        assert_eq!((answer.status, answer.token_refused), (status, true));
    }
    // A right that is missing, or a record, is no matter of the token.
    for style in [
        ApiErrors::Body,
        ApiErrors::Header,
        ApiErrors::OkFalse,
        ApiErrors::OkFalseText,
    ] {
        let turn = |switches: &mut Switches| switches.api_errors = style;
        let site = Site::start_with(turn, &json!({})).await;
        let tokens = site.anns_tokens().await;
        for asked in [read("cus", "503"), read("po", "1"), read("staff", "99")] {
            let answer = site.call(&asked, &tokens).await.unwrap();
            assert!(!answer.token_refused, "{style:?} {asked:?}");
            assert!([200, 400].contains(&answer.status));
        }
    }
    for (fault, status, refused) in [
        (Fault::Status(401), 401, true),
        // Nothing says why, and a right that is missing looks the same.
        (Fault::Status(403), 403, false),
        (Fault::Status(400), 400, false),
        (Fault::Status(404), 404, false),
        (Fault::Status(503), 503, false),
        (Fault::ErrorPage, 500, false),
        (Fault::Page, 200, false),
        (Fault::EmptyBody, 200, false),
        (
            Fault::Redirect("https://elsewhere.example/".to_owned()),
            302,
            false,
        ),
    ] {
        let site = Site::start(|_| {}).await;
        let tokens = site.anns_tokens().await;
        site.aim18.fail("/read/", fault.clone());
        let answer = site.call(&read("staff", "12"), &tokens).await.unwrap();
        let told = (answer.status, answer.token_refused);
        assert_eq!(told, (status, refused), "{fault:?}");
    }
}

/// A `CheckMsg` about a token, in each of its places; and its text, in which no token counts.
#[tokio::test]
async fn a_check_message_about_the_token_is_understood_in_every_place() {
    use axum::http::{HeaderValue, StatusCode};
    use axum::response::IntoResponse as _;

    let answer = |uri: axum::http::Uri| async move {
        let message = json!({ "pass": false, "key": "core_oauth_token_expired", "info": "過期" });
        let about_right =
            json!({ "pass": false, "key": "core_right_403", "info": "no token for you" });
        let header = |message: &Value| {
            let list = json!([message]).to_string();
            let list = HeaderValue::from_bytes(list.as_bytes()).unwrap();
            (StatusCode::BAD_REQUEST, [("error_info", list)], "").into_response()
        };
        let json = |status: StatusCode, value: Value| (status, value.to_string()).into_response();
        match uri.path().rsplit('/').next().unwrap() {
            // In Big5.
            "big5" => {
                let text = b"[{\"key\":\"core_oauth_token_expired\",\"info\":\"\xb9L\xb4\xc1\"}]";
                let text = HeaderValue::from_bytes(text).unwrap();
                (StatusCode::BAD_REQUEST, [("error_info", text)], "").into_response()
            }
            "token" => json(
                StatusCode::OK,
                json!({ "access_token": "t", "uid": 7, "refresh_token": "r" }),
            ),
            "header" => header(&message),
            "body" => json(StatusCode::BAD_REQUEST, message),
            "messages" => json(
                StatusCode::OK,
                json!({ "status": false, "messages": [message] }),
            ),
            "text" => {
                let text = message.to_string();
                json(StatusCode::OK, json!({ "status": false, "message": text }))
            }
            "right" => header(&about_right),
            // A record may hold a field of that name.
            _ => json(StatusCode::OK, json!({ "status": true, "key": "token" })),
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(answer);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let upstream = crate::upstream_aim18::opened(&url, &json!({}));
    let identity = crate::upstream::log_in(&upstream, "ann", "x")
        .await
        .unwrap();
    let tokens = identity.tokens.unwrap();
    let api = upstream.api.as_ref().unwrap();
    for (place, refused) in [
        ("header", true),
        ("big5", true),
        ("body", true),
        ("messages", true),
        ("text", true),
        ("right", false),
        ("record", false),
    ] {
        let answer = api.call(&call("GET", place, &[], &[]), &tokens).await;
        let answer = answer.unwrap();
        assert_eq!(answer.token_refused, refused, "{place}");
        if place == "header" {
            let told = answer.headers.iter().find(|(name, _)| name == "error_info");
            let told = String::from_utf8(told.unwrap().1.clone()).unwrap();
            assert!(told.contains("過期"));
        }
    }
    server.abort();
}

/// T62.
#[tokio::test]
async fn an_answer_brings_no_cookie_and_nothing_about_the_connection() {
    use axum::http::HeaderMap;

    let answer = |uri: axum::http::Uri| async move {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "JSESSIONID=secret; Path=/"),
            ("access-control-allow-origin", "*"),
            ("x-custom", "stays"),
            ("x-hop", "goes"),
            ("connection", "X-Hop"),
            ("proxy-authenticate", "Basic"),
            ("etag", "\"1\""),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let body = if uri.path().ends_with("/token") {
            json!({ "access_token": "t", "uid": 7 }).to_string()
        } else {
            "{}".to_owned()
        };
        (headers, body)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(answer);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let upstream = crate::upstream_aim18::opened(&url, &json!({}));
    let identity = crate::upstream::log_in(&upstream, "ann", "x")
        .await
        .unwrap();
    let tokens = identity.tokens.unwrap();
    let api = upstream.api.as_ref().unwrap();
    let answer = api.call(&read("staff", "1"), &tokens).await.unwrap();
    server.abort();
    let names: Vec<&str> = answer
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(names.contains(&"x-custom") && names.contains(&"etag"));
    for gone in [
        "set-cookie",
        "access-control-allow-origin",
        "x-hop",
        "connection",
        "proxy-authenticate",
        "transfer-encoding",
        "content-length",
    ] {
        assert!(!names.contains(&gone), "{gone}");
    }
}

#[tokio::test]
async fn an_api_that_does_not_answer_is_told_as_that() {
    let site = Site::start_with(|_| {}, &json!({ "timeout": "800ms" })).await;
    let tokens = site.anns_tokens().await;
    for (fault, expected) in [
        (Fault::Hang, "unavailable"),
        (Fault::CloseAfter(0), "unavailable"),
        // Eight megabytes and an answer: more than is passed on.
        (Fault::Oversized, "protocol"),
    ] {
        site.aim18.mend();
        site.aim18.fail("/read/", fault.clone());
        let error = site.call(&read("staff", "12"), &tokens).await.unwrap_err();
        let kind = match error {
            LoginError::Unavailable(_) => "unavailable",
            LoginError::Protocol(_) => "protocol",
            _ => "another",
        };
        assert_eq!(kind, expected, "{fault:?}");
        assert!(!told(&error).contains(tokens.access.expose()));
    }
}

/// The token of each is used, and no other (T61).
#[tokio::test]
async fn a_call_is_made_with_the_tokens_that_it_is_given() {
    let more = json!({ "service_account": crate::upstream_aim18_later::service_account() });
    let site = Site::start_with(|_| {}, &more).await;
    let anns = site.anns_tokens().await;
    let service = site.upstream.service.as_ref().unwrap();
    let services = service.token(None).await.unwrap();
    assert_eq!(services.subject, Some(format!("uid:{}", AIM18_SERVICE.uid)));
    for tokens in [&anns, &services] {
        site.call(&read("staff", "12"), tokens).await.unwrap();
        let request = site.api_requests().pop().unwrap();
        assert_eq!(request.bearer(), Some(tokens.access.expose()));
    }
}
