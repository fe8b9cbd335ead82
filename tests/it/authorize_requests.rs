//! What an authorization request may say, and what it gets for it (RFC 6749 section 4.1.1, OpenID Connect Core section
//! 3.1.2; T8).

use portico::simulator::people;
use reqwest::header::CONTENT_TYPE;

use crate::harness::browser::{Browser, PASSWORD_FORM, Page, http_client};
use crate::harness::relying_party::{CHALLENGE, claims, redirect_uri};
use crate::harness::server::{START, TestServer};

/// The path that a request leads to first: the login page, or `/callback` with the answer.
fn path(page: &Page) -> String {
    page.location().unwrap().path().to_owned()
}

async fn logged_in(server: &TestServer) -> Browser {
    let mut browser = Browser::new();
    let page = browser
        .log_in_as(server.authorize_url("spa", &[]), people::JO_SMITH)
        .await;
    assert!(page.answer().contains_key("code"));
    browser
}

/// Each refusal names its reason and goes back to the client, with `state` and `iss`.
#[tokio::test]
async fn each_fault_of_a_request_has_its_error() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    for (name, value, error) in [
        ("response_type", "", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "code code", "unsupported_response_type"),
        ("response_type", "code none", "unsupported_response_type"),
        // On for whom the registration says so.
        ("response_type", "id_token", "unauthorized_client"),
        ("response_type", "id_token token", "unauthorized_client"),
        ("response_type", "code id_token", "unauthorized_client"),
        ("response_type", "code token", "unauthorized_client"),
        (
            "response_type",
            "code id_token token",
            "unauthorized_client",
        ),
        ("response_type", "none", "unauthorized_client"),
        ("scope", "openid admin", "invalid_scope"),
        ("scope", "openid \"", "invalid_scope"),
        ("scope", "openid\tprofile", "invalid_scope"),
        ("prompt", "none login", "invalid_request"),
        ("prompt", "create", "invalid_request"),
        ("max_age", "-1", "invalid_request"),
        ("max_age", "1.5", "invalid_request"),
        ("max_age", " 1", "invalid_request"),
        ("max_age", "99999999999999999999", "invalid_request"),
        ("id_token_hint", "e30.e30.AA", "invalid_request"),
        // Core sections 6.1, 6.2 and 7.2.1.
        ("request", "e30.e30.", "invalid_request_object"),
        (
            "request_uri",
            "https://spa.example.org/request",
            "request_uri_not_supported",
        ),
        ("registration", "{}", "registration_not_supported"),
    ] {
        let page = browser
            .get(server.authorize_url("spa", &[(name, value)]))
            .await;
        assert_eq!(page.status, 303, "{name}={value}");
        let answer = page.answer();
        assert_eq!(answer["error"], error, "{name}={value}");
        assert_eq!(answer["state"], "the-state");
        assert_eq!(answer["iss"], server.issuer, "RFC 9207");
        assert!(!answer.contains_key("code"));
        // RFC 6749 appendix A.8.
        let text = &answer["error_description"];
        let allowed = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
        assert!(!text.is_empty() && text.chars().all(allowed), "{text}");
    }
    assert!(browser.cookie_names().is_empty(), "and no flow begins");
}

/// RFC 6749 section 3.1, T8.
#[tokio::test]
async fn a_parameter_sent_twice_is_refused() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    for twice in [
        "scope=openid",
        "scope=",
        "nonce=other",
        "response_type=code",
        "code_challenge=x",
        "code_challenge_method=S256",
        "response_mode=fragment&response_mode=form_post",
        "prompt=login&prompt=none",
        "login_hint=a&login_hint=b",
        "unknown=1&unknown=2",
    ] {
        let answer = browser.get(format!("{url}&{twice}")).await.answer();
        assert_eq!(answer["error"], "invalid_request", "{twice}");
        assert_eq!(answer["state"], "the-state");
    }
    // Which of two states is the client's cannot be told, so that neither is sent back.
    let answer = browser.get(format!("{url}&state=other")).await.answer();
    assert_eq!(answer["error"], "invalid_request");
    assert!(!answer.contains_key("state"));
}

/// RFC 6749 section 3.1, Core section 3.1.2.1: what is not understood is ignored.
#[tokio::test]
async fn unknown_parameters_do_no_harm() {
    let server = TestServer::start().await;
    let mut browser = logged_in(&server).await;
    let url = server.authorize_url("spa", &[]);
    for unknown in [
        "foo=bar",
        "display=popup",
        "acr_values=x",
        "claims=%7B%7D",
        "claims_locales=fr",
        "request=",
        "redirect_uri%5B%5D=https://evil.example/",
        "scope%5B0%5D=admin",
        "&&&",
    ] {
        let page = browser.get(format!("{url}&{unknown}")).await;
        assert!(page.answer().contains_key("code"), "{unknown}");
        assert!(page.header("location").starts_with(&redirect_uri("spa")));
    }
}

/// RFC 6749 section 3.3: what is granted is what was asked for; nothing asked for means what is registered, without a
/// login for ever that nobody asked for.
#[tokio::test]
async fn a_scope_is_what_was_asked_for_and_no_more() {
    let server = TestServer::start().await;
    for (asked, granted) in [
        ("openid", "openid"),
        ("email  openid email", "email openid"),
        ("openid email offline_access", "email offline_access openid"),
        ("profile", "profile"),
        ("", "email openid profile"),
    ] {
        let code = server.code("spa", &[("scope", asked)]).await;
        let tokens = server.redeem("spa", &code, &[]).await;
        assert_eq!(tokens.text("scope"), granted, "{asked}");
        assert_eq!(claims(tokens.text("access_token"))["scope"], granted);
        let is_openid = granted.contains("openid");
        assert_eq!(tokens.body.get("id_token").is_some(), is_openid, "{asked}");
    }
}

/// Core section 3.1.2.1: both methods are the same request.
#[tokio::test]
async fn a_request_may_come_by_post() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let redirect_uri = redirect_uri("spa");
    let fields = [
        ("client_id", "spa"),
        ("redirect_uri", redirect_uri.as_str()),
        ("response_type", "code"),
        ("scope", "openid"),
        ("state", "posted"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let authorize = server.url("/authorize");
    let page = browser.post_cross_site(&authorize, &fields).await;
    let page = browser.follow(page).await;
    let page = browser.choose(&page, "members").await;
    let jo = people::JO_SMITH;
    let credentials = [("username", jo.username), ("password", jo.password)];
    let page = browser.submit(&page, PASSWORD_FORM, &credentials).await;
    let answer = page.answer();
    assert_eq!(answer["state"], "posted");
    let redeemed = server.redeem("spa", &answer["code"], &[]).await;
    assert_eq!(redeemed.status, 200);

    // SameSite=Lax cookies do not come along with a form of another site; the GET after it has them.
    let page = browser.post_cross_site(&authorize, &fields).await;
    assert_eq!(
        (page.status.as_u16(), path(&page).as_str()),
        (303, "/authorize/resume")
    );
    let page = browser.follow(page).await;
    assert!(
        page.answer().contains_key("code"),
        "single sign-on holds for a POST, too"
    );

    let silent = [fields.as_slice(), &[("prompt", "none")]].concat();
    let page = browser.post_cross_site(&authorize, &silent).await;
    let page = browser.follow(page).await;
    assert!(page.answer().contains_key("code"));
    let mut nobody = Browser::new();
    let page = nobody.post_cross_site(&authorize, &silent).await;
    let page = nobody.follow(page).await;
    assert_eq!(page.answer()["error"], "login_required");
}

/// A body that is no form, and parameters that stand in the query of a POST, are not the request.
#[tokio::test]
async fn a_post_is_a_form() {
    let server = TestServer::start().await;
    let url = server.authorize_url("spa", &[]);
    let good = url.split_once('?').unwrap().1;
    for (content_type, body, status) in [
        ("application/x-www-form-urlencoded", good, 303),
        ("application/x-www-form-urlencoded", "", 400),
        ("text/plain", good, 400),
        ("application/json", r#"{"client_id":"spa"}"#, 400),
    ] {
        let request = http_client().post(&url).header(CONTENT_TYPE, content_type);
        let response = request.body(body.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), status, "{content_type} {body}");
        assert_eq!(response.headers().contains_key("location"), status == 303);
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}

/// Core section 3.1.2.1: a login older than `max_age` is made again, and `auth_time` says so.
#[tokio::test]
async fn max_age_asks_for_a_fresh_login() {
    let server = TestServer::start().await;
    let mut browser = logged_in(&server).await;
    server.clock.advance(100);
    for (max_age, expected) in [("100", "/callback"), ("99", "/login"), ("0", "/login")] {
        let url = server.authorize_url("spa", &[("max_age", max_age)]);
        let page = browser.get(&url).await;
        assert_eq!(path(&page), expected, "{max_age}");
        let silent = browser.get(format!("{url}&prompt=none")).await.answer();
        let refused = silent.get("error").map(String::as_str);
        let login_required = (expected == "/login").then_some("login_required");
        assert_eq!(refused, login_required, "{max_age}");
    }
    for (changes, auth_time) in [
        ([("max_age", "100")], START),
        // The page of this login is answered at once, by a second one.
        ([("max_age", "0")], START + 100),
    ] {
        let url = server.authorize_url("spa", &changes);
        let page = match browser.get(&url).await {
            page if path(&page) == "/login" => browser.log_in_as(&url, people::JO_SMITH).await,
            page => page,
        };
        let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
        assert_eq!(claims(tokens.text("id_token"))["auth_time"], auth_time);
    }
}

/// Dynamic Registration section 2: the client's own limit holds where the request names none, or a longer one.
#[tokio::test]
async fn a_client_may_have_a_max_age_of_its_own() {
    let server = TestServer::start_with(|setup| {
        setup.clients = r#"
[[clients]]
client_id = "careful"
token_endpoint_auth_method = "none"
redirect_uris = ["https://careful.example.org/callback"]
default_max_age = 60
"#
        .to_owned();
    })
    .await;
    let mut browser = logged_in(&server).await;
    server.clock.advance(61);
    for max_age in ["", "3600"] {
        let url = server.authorize_url("careful", &[("max_age", max_age)]);
        assert_eq!(path(&browser.get(url).await), "/login", "{max_age}");
    }
}

/// Core section 3.1.2.1: what the person may want to type stands there already, as text (T52).
#[tokio::test]
async fn a_login_hint_fills_the_field_and_nothing_else() {
    let server = TestServer::start().await;
    for hint in [
        "JSMITH",
        "jo@example.org",
        "\"><script>alert(1)</script>",
        "' autofocus onfocus='alert(1)",
        "李安 & {{ 7 * 7 }}",
    ] {
        let mut browser = Browser::new();
        let page = browser
            .open(server.authorize_url("spa", &[("login_hint", hint)]))
            .await;
        let page = browser.choose(&page, "members").await;
        let value = page.attribute("input[name=username]", "value");
        assert_eq!(value.as_deref(), Some(hint));
        assert!(page.attribute("input[name=username]", "onfocus").is_none());
        assert!(!page.body.contains("<script"));
    }
}

/// Core section 3.1.2.1: the client's `ui_locales` before the browser's `Accept-Language`, on every page of the flow.
#[tokio::test]
async fn ui_locales_choose_the_language() {
    let server = TestServer::start().await;
    for (ui_locales, lang) in [
        ("en", "en"),
        ("fr-CA", "fr"),
        ("tlh zh-HK en", "zh-Hant"),
        ("zh-Hans", "zh-Hans"),
        // None that we speak: the browser's.
        ("tlh", "fr"),
        ("", "fr"),
    ] {
        let mut browser = Browser::new();
        browser.language = Some("de, fr;q=0.8, en;q=0.5".to_owned());
        let url = server.authorize_url("spa", &[("ui_locales", ui_locales)]);
        let page = browser.open(&url).await;
        assert_eq!(
            page.attribute("html", "lang").unwrap(),
            lang,
            "{ui_locales}"
        );
        let page = browser.choose(&page, "members").await;
        assert_eq!(
            page.attribute("html", "lang").unwrap(),
            lang,
            "{ui_locales}"
        );
        let wrong = [("username", "JSMITH"), ("password", "wrong")];
        let page = browser.submit(&page, PASSWORD_FORM, &wrong).await;
        assert_eq!(
            page.attribute("html", "lang").unwrap(),
            lang,
            "{ui_locales}"
        );
        let lost = server.authorize_url("nobody", &[("ui_locales", ui_locales)]);
        let page = browser.get(lost).await;
        assert_eq!(
            (
                page.status.as_u16(),
                page.attribute("html", "lang").unwrap().as_str()
            ),
            (400, lang)
        );
    }
}
