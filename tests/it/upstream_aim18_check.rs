//! `portico check` of an aiM18: each line says what was found, and each failure what to change, and where.

use portico::simulator::aim18::{
    EntryErrors, OtherMethod, StateParameter, Switches, TokenErrors, TokenMethods, UserRights,
};
use portico::simulator::people;
use portico::upstream::Upstream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::upstream_aim18::{CALLBACK, Site, opened};
use crate::upstream_aim18_later::service_account;

async fn findings(upstream: &Upstream) -> Vec<String> {
    let findings = upstream.probe.probe().await;
    let told = findings.into_iter().map(|finding| match finding.outcome {
        Ok(text) => format!("{}: {text}", finding.what),
        Err(text) => format!("WRONG {}: {text}", finding.what),
    });
    told.collect()
}

/// The one finding about `what`.
fn about<'a>(findings: &'a [String], what: &str) -> &'a str {
    let mut found = findings.iter().filter(|line| {
        line.trim_start_matches("WRONG ")
            .starts_with(&format!("{what}: "))
    });
    let line = found
        .next()
        .unwrap_or_else(|| panic!("{what}: {findings:?}"));
    assert!(found.next().is_none(), "{findings:?}");
    line
}

fn profile(module: &str, fields: &Value) -> Value {
    json!({
        "service_account": service_account(),
        "profile": { "module": module, "with": "service_account", "fields": fields },
    })
}

#[tokio::test]
async fn a_healthy_aim18_has_nothing_wrong() {
    let more = profile("user", &json!({ "name": "desc", "locale": "lang" }));
    let site = Site::start_with(|_| {}, &more).await;
    let told = findings(&site.upstream).await;
    assert!(
        !told.iter().any(|line| line.starts_with("WRONG")),
        "{told:?}"
    );
    let whats: Vec<&str> = told
        .iter()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(
        whats,
        [
            "login page",
            "token endpoint by GET",
            "token endpoint by POST",
            "service account",
            "API",
            "profile"
        ]
    );
    assert!(about(&told, "token endpoint by POST").contains("token_method = \"post\""));
    // Nobody's record was read but the account's own.
    let log = site.aim18.log();
    let reads: Vec<_> = log
        .iter()
        .filter(|each| each.path.contains("/read/"))
        .collect();
    assert_eq!(reads.len(), 1);
    assert_eq!(reads[0].query_parameter("id").as_deref(), Some("9001"));
}

#[tokio::test]
async fn a_login_page_that_refuses_says_which_callback_to_register() {
    for style in [EntryErrors::Page, EntryErrors::Json, EntryErrors::ErrorPage] {
        let site = Site::start(|switches| switches.entry_errors = style).await;
        site.aim18
            .set_callback("https://login.example.org/old/callback");
        let told = findings(&site.upstream).await;
        let line = about(&told, "login page");
        assert!(line.starts_with("WRONG"), "{line}");
        assert!(line.contains("OAuth Applications"), "{line}");
        assert!(line.contains(CALLBACK), "{line}");
    }
}

#[tokio::test]
async fn a_state_that_is_not_taken_is_told() {
    let turn = |switches: &mut Switches| switches.state = StateParameter::Rejected;
    let site = Site::start_with(turn, &json!({})).await;
    let told = findings(&site.upstream).await;
    let line = about(&told, "login page");
    assert!(
        line.starts_with("WRONG") && line.contains("send_state = false"),
        "{line}"
    );
    let site = Site::start_with(turn, &json!({ "send_state": false })).await;
    let told = findings(&site.upstream).await;
    assert!(!about(&told, "login page").starts_with("WRONG"));
}

#[tokio::test]
async fn the_method_that_works_is_named() {
    for (method, offered, what, says) in [
        (
            "get",
            TokenMethods::PostOnly,
            "token endpoint by GET",
            "set token_method = \"post\"",
        ),
        (
            "post",
            TokenMethods::GetOnly,
            "token endpoint by POST",
            "set token_method = \"get\"",
        ),
        (
            "auto",
            TokenMethods::PostOnly,
            "token endpoint by POST",
            "answers",
        ),
        (
            "auto",
            TokenMethods::GetOnly,
            "token endpoint by GET",
            "answers",
        ),
        (
            "auto",
            TokenMethods::Both,
            "token endpoint by POST",
            "answers",
        ),
    ] {
        let turn = |switches: &mut Switches| switches.token_methods = offered;
        let site = Site::start_with(turn, &json!({ "token_method": method })).await;
        let told = findings(&site.upstream).await;
        let line = about(&told, what);
        assert!(line.contains(says), "{method} {offered:?}: {line}");
        assert_eq!(line.starts_with("WRONG"), method != "auto", "{line}");
    }
}

const OTHER_METHODS: [OtherMethod; 4] = [
    OtherMethod::NotAllowed,
    OtherMethod::BadRequest,
    OtherMethod::Unauthorized,
    OtherMethod::OkEmpty,
];

/// A server that does not read what is posted refuses everybody, and looks as if it refused nobody in particular.
#[tokio::test]
async fn post_is_advised_only_where_it_was_proven() {
    for account in [false, true] {
        let mut more = json!({});
        if account {
            more["service_account"] = service_account();
        }
        for other_method in OTHER_METHODS {
            let turn = |switches: &mut Switches| {
                switches.token_methods = TokenMethods::GetOnly;
                switches.other_method = other_method;
            };
            let context = format!("{account} {other_method:?}");
            let site = Site::start_with(turn, &more).await;
            let told = findings(&site.upstream).await;
            assert!(
                !told.iter().any(|line| line.contains("\"post\"")),
                "{context}: {told:?}"
            );
            let line = about(&told, "token endpoint by GET");
            assert!(!line.starts_with("WRONG"), "{context}: {line}");
            // Who has configured it nevertheless is told that it does not work.
            for method in ["post", "auto"] {
                if method == "auto" && other_method == OtherMethod::NotAllowed {
                    continue;
                }
                more["token_method"] = json!(method);
                let told = findings(&opened(site.running.url(), &more)).await;
                more.as_object_mut().unwrap().remove("token_method");
                let line = about(&told, "token endpoint by POST");
                assert!(
                    line.starts_with("WRONG") && line.contains("set token_method = \"get\""),
                    "{context} {method}: {line}"
                );
            }
        }
        // The other way round: only what is posted is read.
        let turn = |switches: &mut Switches| {
            switches.token_methods = TokenMethods::PostOnly;
            switches.other_method = OtherMethod::Unauthorized;
        };
        let site = Site::start_with(turn, &more).await;
        let told = findings(&site.upstream).await;
        let line = about(&told, "token endpoint by GET");
        assert!(
            line.starts_with("WRONG") && line.contains("set token_method = \"post\""),
            "{line}"
        );
    }
}

#[tokio::test]
async fn without_a_real_login_the_secret_is_not_called_right() {
    for style in [TokenErrors::Json, TokenErrors::CheckMessage] {
        let more = json!({ "client_secret": "another-secret-of-ours" });
        let turn = |switches: &mut Switches| switches.token_errors = style;
        // Where a wrong client is refused in words of its own, it is told; or else that it cannot be told.
        let told = findings(&Site::start_with(turn, &more).await.upstream).await;
        let line = about(&told, "token endpoint by GET");
        assert!(
            line.starts_with("WRONG") || line.contains("that does not tell"),
            "{style:?}: {line}"
        );
        let told = findings(&Site::start_with(turn, &json!({})).await.upstream).await;
        let line = about(&told, "token endpoint by GET");
        assert!(line.contains("that does not tell"), "{style:?}: {line}");
    }
    // A real login tells.
    let turn = |switches: &mut Switches| switches.token_errors = TokenErrors::CheckMessage;
    let more = json!({ "service_account": service_account() });
    let site = Site::start_with(turn, &more).await;
    let line = about(&findings(&site.upstream).await, "token endpoint by GET").to_owned();
    assert!(line.contains("logs the service account in"), "{line}");
    let mut more = more;
    more["client_secret"] = json!("another-secret-of-ours");
    let told = findings(&Site::start_with(turn, &more).await.upstream).await;
    let line = about(&told, "service account");
    assert!(
        line.starts_with("WRONG") && line.contains("client_secret"),
        "{line}"
    );
}

/// aiM18 may lock the account.
#[tokio::test]
async fn a_wrong_password_that_was_read_is_sent_once() {
    let mut more = json!({ "service_account": service_account() });
    more["service_account"]["password"] = json!("wrong-password");
    let site = Site::start_with(|_| {}, &more).await;
    findings(&site.upstream).await;
    let log = site.aim18.log();
    let tries = log
        .iter()
        .filter(|each| each.parameter("username").is_some());
    assert_eq!(tries.count(), 1);
}

#[tokio::test]
async fn an_account_without_rights_on_the_users_is_told() {
    let mut more = profile("user", &json!({ "name": "desc" }));
    more["service_account"] = json!({
        "username": people::AIM18_NO_RIGHTS.code,
        "password": people::AIM18_NO_RIGHTS.password,
    });
    let site = Site::start_with(|_| {}, &more).await;
    let told = findings(&site.upstream).await;
    let line = about(&told, "profile");
    assert!(
        line.starts_with("WRONG") && line.contains("rights on the module"),
        "{line}"
    );
}

#[tokio::test]
async fn a_service_account_that_cannot_log_in_is_told_with_where_to_look() {
    let mut more = profile("user", &json!({ "name": "desc" }));
    more["service_account"]["password"] = json!("wrong-password");
    let site = Site::start_with(|_| {}, &more).await;
    let told = findings(&site.upstream).await;
    let line = about(&told, "service account");
    assert!(
        line.starts_with("WRONG") && line.contains("disabled or locked"),
        "{line}"
    );
    assert!(!line.contains("wrong-password"));
    assert!(!told.iter().any(|line| line.contains("profile:")));
    // Without one there is a line that says what could be tried with one.
    let told = findings(&Site::start(|_| {}).await.upstream).await;
    assert!(about(&told, "API").contains("service_account"));
}

#[tokio::test]
async fn a_module_without_the_record_or_the_fields_is_told() {
    let more = profile("users", &json!({ "name": "desc" }));
    let site = Site::start_with(|_| {}, &more).await;
    let told = findings(&site.upstream).await;
    let line = about(&told, "profile");
    assert!(
        line.starts_with("WRONG") && line.contains("profile.module"),
        "{line}"
    );

    let more = profile("user", &json!({ "name": "desc" }));
    let turn = |switches: &mut Switches| switches.user_rights = UserRights::Nobody;
    let site = Site::start_with(turn, &more).await;
    let told = findings(&site.upstream).await;
    let line = about(&told, "profile");
    assert!(
        line.starts_with("WRONG") && line.contains("rights on the module"),
        "{line}"
    );

    let mut more = profile("user", &json!({ "name": "description", "email": "email" }));
    more["profile"]["claims"] = json!({ "department": "deptCode", "erp_code": "code" });
    more["profile"]["groups"] = json!({ "table": "userrole", "field": "code" });
    let site = Site::start_with(|_| {}, &more).await;
    let told = findings(&site.upstream).await;
    let line = about(&told, "profile");
    assert!(line.starts_with("WRONG"), "{line}");
    for named in [
        "profile.fields.name = \"description\"",
        "profile.claims.department = \"deptCode\"",
        "profile.groups.table = \"userrole\"",
        "desc_zh-TW",
    ] {
        assert!(line.contains(named), "{named} in {line}");
    }
    for present in ["profile.fields.email", "erp_code"] {
        assert!(!line.contains(present), "{line}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_told_with_where_to_look_and_not_shown() {
    let more = json!({ "client_secret": "another-secret-of-ours", "token_method": "post" });
    let site = Site::start_with(|_| {}, &more).await;
    let told = findings(&site.upstream).await;
    let line = about(&told, "token endpoint by POST");
    assert!(
        line.starts_with("WRONG") && line.contains("OAuth Applications"),
        "{line}"
    );
    assert!(!line.contains("another-secret-of-ours"), "{line}");
}

/// Research, section 2: the header's name has an underscore, and some proxies drop such headers.
#[tokio::test]
async fn a_proxy_that_drops_the_client_id_header_is_told() {
    let answer = |uri: axum::http::Uri, headers: axum::http::HeaderMap, body: String| async move {
        let asks = format!("{}&{body}", uri.query().unwrap_or_default());
        // The proxy in front has eaten the header; what is behind does not know the token without it.
        let _dropped = headers.get("client_id");
        if asks.contains("username=portico.svc") {
            let token = json!({ "access_token": "fresh", "uid": 9001 });
            (axum::http::StatusCode::OK, token.to_string())
        } else {
            let error = json!({ "error": "invalid_grant" });
            (axum::http::StatusCode::UNAUTHORIZED, error.to_string())
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(answer);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let told = findings(&opened(&url, &profile("user", &json!({ "name": "desc" })))).await;
    server.abort();
    let line = about(&told, "API");
    assert!(
        line.starts_with("WRONG") && line.contains("underscores_in_headers"),
        "{line}"
    );
}
