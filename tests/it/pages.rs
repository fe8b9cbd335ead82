//! Our pages: the headers that keep them ours, and everything foreign escaped (T52, T53); languages; pages that are not there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portico::simulator::people::JO_SMITH;
use sha2::{Digest as _, Sha256};

use crate::device;
use crate::harness::browser::{Browser, PASSWORD_FORM, Page, http_client};
use crate::harness::server::TestServer;
use crate::harness::steps::TO_AIM18;

const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}";

/// Every page that there is, with a word for what it is.
pub(crate) async fn every_page(server: &TestServer) -> Vec<(&'static str, Page)> {
    let mut browser = Browser::new();
    let mut pages = Vec::new();
    let login = browser.open(server.authorize_url("asking", &[])).await;
    let form = browser.choose(&login, "members").await;
    let wrong = browser.sign_in(&form, "members", (HOSTILE, "wrong")).await;
    let back = server.url("/upstream/staff/callback?code=x");
    pages.push(("not away", browser.get(back).await));
    let refused = browser
        .submit(&login, TO_AIM18, &[("form_token", "x")])
        .await;
    let consent = browser.sign_in_as(&form, JO_SMITH).await;
    let choice = [("prompt", "select_account")];
    let choice = browser.open(server.authorize_url("spa", &choice)).await;
    let confirm = browser.get(server.url("/end_session")).await;
    browser
        .submit(&consent, "form", &[("decision", "deny")])
        .await;
    pages.push(("done", browser.open(consent.url.as_str()).await));
    let posted = [("response_mode", "form_post"), ("state", HOSTILE)];
    let posted = browser.get(server.authorize_url("spa", &posted)).await;
    pages.push(("signed out", browser.submit(&confirm, "form", &[]).await));
    pages.extend([
        ("login", login),
        ("form", form),
        ("wrong password", wrong),
        ("bad form", refused),
        ("consent", consent),
        ("select account", choice),
        ("confirm logout", confirm),
        ("form post", posted),
    ]);
    for (what, path) in [
        ("bad client", "/authorize?client_id=%22%3E%3Cscript%3E"),
        ("expired", "/login?flow=%22%3E%3Cscript%3E"),
        ("not found", "/%22%3E%3Cscript%3Ealert(1)%3C/script%3E"),
        ("no method", "/login/"),
        (
            "bad logout",
            "/end_session?client_id=%3Cscript%3E&post_logout_redirect_uri=%3Cscript%3E",
        ),
        ("bad hint", "/end_session?id_token_hint=%3Cscript%3E"),
    ] {
        pages.push((what, Browser::new().get(server.url(path)).await));
    }
    let unsupported = http_client()
        .delete(server.url("/login"))
        .send()
        .await
        .unwrap();
    assert_eq!(unsupported.status(), 405);
    pages
}

/// Every page of a device's authorization, with the client `tv`.
async fn device_pages(server: &TestServer) -> Vec<(&'static str, Page)> {
    let codes = device::begin(server, "tv", "openid").await;
    let mut browser = Browser::new();
    let enter = browser.open(codes.text("verification_uri_complete")).await;
    let wrong = [("user_code", HOSTILE)];
    let wrong = browser
        .submit(&enter, "form[action='/device']", &wrong)
        .await;
    let question = device::at_question(server, &mut browser, codes.text("user_code")).await;
    assert_eq!(question.url.path(), "/device/confirm");
    let done = device::decide(&mut browser, &question, "allow").await;
    let late = browser.open(question.url.as_str()).await;
    let denied = browser.open(server.url("/device/denied")).await;
    let linked = server.url("/device?user_code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E");
    let linked = browser.open(linked).await;
    vec![
        ("device", enter),
        ("device, wrong code", wrong),
        ("device, question", question),
        ("device, done", done),
        ("device, answered before", late),
        ("device, denied", denied),
        ("device, hostile link", linked),
    ]
}

/// T52, T53.
#[tokio::test]
async fn every_page_has_the_headers_that_keep_it_ours() {
    let server = TestServer::start_with(device::devices).await;
    let mut pages = every_page(&server).await;
    pages.extend(device_pages(&server).await);
    for (what, page) in pages {
        assert_eq!(
            page.header("content-type"),
            "text/html; charset=utf-8",
            "{what}"
        );
        assert_eq!(page.header("referrer-policy"), "no-referrer", "{what}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(page.header("x-frame-options"), "DENY", "{what}");
        assert_eq!(page.header("cache-control"), "no-store", "{what}");
        assert!(!page.header("x-request-id").is_empty(), "{what}");
        assert_eq!(page.header("strict-transport-security"), "", "plain http");
        assert_eq!(page.header("access-control-allow-origin"), "", "{what}");
        let policy = page.header("content-security-policy");
        for directive in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "style-src 'self'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(directive), "{what}: {policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{what}: {policy}"
        );
        let scripts = page.body.matches("<script").count();
        if what == "form post" {
            assert_eq!(scripts, 1);
        } else {
            assert!(policy.contains("script-src 'none'"), "{what}: {policy}");
            assert_eq!(scripts, 0, "{what}: {}", page.body);
        }
        for (css, attribute) in [("[src]", "src"), ("link", "href")] {
            if let Some(address) = page.attribute(css, attribute) {
                assert!(address.starts_with("/assets/"), "{what}: {address}");
            }
        }
        for inline in ["style=", "onload=", "onclick=", "javascript:"] {
            assert!(!page.body.contains(inline), "{what}: {inline}");
        }
    }
}

/// T52: nothing that anybody wrote becomes markup.
#[tokio::test]
async fn foreign_text_never_becomes_markup() {
    let server = TestServer::start_with(|setup| {
        setup.sections += "[brand]\nname = '''";
        setup.sections += HOSTILE;
        setup.sections += "'''\n";
        setup.clients = format!(
            "[[clients]]\nclient_id = \"hostile\"\nclient_name = '''{HOSTILE}'''\n\
             token_endpoint_auth_method = \"none\"\nscope = \"openid\"\nconsent = \"always\"\n\
             redirect_uris = [\"https://hostile.example.org/callback\"]\n\
             [[clients]]\nclient_id = \"tv\"\nclient_name = '''{HOSTILE}'''\n\
             token_endpoint_auth_method = \"none\"\nscope = \"openid\"\n\
             grant_types = [\"urn:ietf:params:oauth:grant-type:device_code\"]\n"
        );
    })
    .await;
    server.imis.change(JO_SMITH.username, |person| {
        person.given_name = HOSTILE;
        person.family_name = HOSTILE;
    });
    let mut pages = every_page(&server).await;
    let device = device_pages(&server).await;
    assert!(
        device[2].1.text("main").unwrap().contains(HOSTILE),
        "as text"
    );
    pages.extend(device);
    let mut browser = Browser::new();
    let login = browser.open(server.authorize_url("hostile", &[])).await;
    let consent = browser.sign_in_as(&login, JO_SMITH).await;
    assert_eq!(consent.url.path(), "/consent");
    assert!(consent.text("main").unwrap().contains(HOSTILE), "as text");
    pages.extend([("hostile login", login), ("hostile consent", consent)]);
    for (what, page) in pages {
        assert!(!page.body.contains("<img"), "{what}: {}", page.body);
        assert!(
            !page.body.contains("<script>alert"),
            "{what}: {}",
            page.body
        );
        assert!(!page.body.contains("49</"), "{what}: a template in a value");
        assert_eq!(page.text(".brand").as_deref(), Some(HOSTILE), "{what}");
    }
}

/// T52; Form Post Response Mode section 2: the only script, allowed by its hash, and the client as the form's address.
#[tokio::test]
async fn the_page_that_submits_itself_posts_to_the_client_and_nowhere_else() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let changes = [("response_mode", "form_post"), ("state", HOSTILE)];
    let page = browser
        .log_in_as(server.authorize_url("spa", &changes), JO_SMITH)
        .await;
    assert_eq!(page.status, 200);
    let (action, fields) = page.form("form");
    assert_eq!(action.as_str(), "https://spa.example.org/callback");
    assert_eq!(fields["state"], HOSTILE);
    assert_eq!(fields["iss"], server.issuer);
    let policy = page.header("content-security-policy");
    assert!(policy.ends_with("form-action 'self' https:"), "{policy}");
    let (_, rest) = page.body.split_once("<script>").unwrap();
    let (script, _) = rest.split_once("</script>").unwrap();
    let hash = STANDARD.encode(Sha256::digest(script));
    assert!(
        policy.contains(&format!("script-src 'sha256-{hash}'")),
        "{policy}"
    );
    assert!(
        page.body.contains("<button type=\"submit\">"),
        "works without scripts"
    );
    let tokens = server.redeem("spa", &fields["code"], &[]).await;
    assert_eq!(tokens.status, 200);
}

/// A page's form leads to us, and the redirects after it to the client, the upstream, and wherever those lead on to: a browser
/// holds them all against the policy (tests/web, "an app that goes on to another site").
#[tokio::test]
async fn the_login_page_may_end_wherever_its_client_and_its_upstreams_lead() {
    let server = TestServer::start().await;
    let page = Browser::new()
        .open(server.authorize_url("staff-app", &[]))
        .await;
    let policy = page.header("content-security-policy");
    let (_, targets) = policy.split_once("form-action ").unwrap();
    let targets: Vec<&str> = targets.split(' ').collect();
    let aim18 = page.form(TO_AIM18);
    assert_eq!(aim18.0.path(), "/upstream/staff/start");
    assert_eq!(targets, ["'self'", "http:", "https:"]);
}

/// T53: what is about somebody is kept by nobody; what is about nobody may be.
#[tokio::test]
async fn only_what_is_about_nobody_may_be_cached() {
    let server = TestServer::start().await;
    for (path, cacheable) in [
        ("/.well-known/openid-configuration", true),
        ("/.well-known/oauth-authorization-server", true),
        ("/jwks", true),
        ("/assets/portico.css", true),
        ("/assets/portico.svg", true),
        ("/token", false),
        ("/userinfo", false),
        ("/authorize", false),
        ("/authorize/resume", false),
        ("/login", false),
        ("/consent", false),
        ("/end_session", false),
        ("/upstream/staff/callback", false),
        ("/nothing", false),
    ] {
        let page = Browser::new().get(server.url(path)).await;
        let control = page.header("cache-control");
        if cacheable {
            assert!(control.starts_with("public, max-age="), "{path}: {control}");
        } else {
            assert_eq!(control, "no-store", "{path}");
        }
    }
    let mut browser = Browser::new();
    let redirect = browser.get(server.authorize_url("spa", &[])).await;
    assert_eq!(redirect.status, 303);
    assert_eq!(redirect.header("cache-control"), "no-store");
    let done = browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    assert_eq!(done.header("cache-control"), "no-store");
    assert_eq!(done.header("referrer-policy"), "no-referrer");
}

#[tokio::test]
async fn pages_speak_the_browsers_language_unless_the_client_asks_for_another() {
    let server = TestServer::start().await;
    for (accepted, asked, lang, word) in [
        (None, "", "en", "Password"),
        (Some("fr-CA, en;q=0.5"), "", "fr", "Mot de passe"),
        (Some("zh-TW"), "", "zh-Hant", "密碼"),
        (Some("zh-CN"), "", "zh-Hans", "密码"),
        (Some("tlh, *"), "", "en", "Password"),
        (Some("en"), "fr", "fr", "Mot de passe"),
        (Some("fr"), "tlh zh-HK en", "zh-Hant", "密碼"),
    ] {
        let mut browser = Browser::new();
        browser.language = accepted.map(ToOwned::to_owned);
        let url = server.authorize_url("spa", &[("ui_locales", asked)]);
        let page = browser.open(url).await;
        let form = browser.choose(&page, "members").await;
        assert_eq!(form.attribute("html", "lang").as_deref(), Some(lang));
        assert!(form.body.contains(word), "{lang}: {}", form.body);
        // The language goes along with the flow, to its last page and to its errors.
        let wrong = [("username", "nobody"), ("password", "wrong")];
        let wrong = browser.submit(&form, PASSWORD_FORM, &wrong).await;
        assert_eq!(wrong.attribute("html", "lang").as_deref(), Some(lang));
    }
    let mut browser = Browser::new();
    browser.language = Some("fr".to_owned());
    let page = browser.get(server.url("/nothing")).await;
    assert_eq!(page.attribute("html", "lang").as_deref(), Some("fr"));
}

/// T50: other spellings of a path are other paths, and what is internal is not here.
#[tokio::test]
async fn what_is_not_there_is_a_page_that_says_so() {
    let server = TestServer::start().await;
    for path in [
        "/",
        "/nothing",
        "/login/",
        "//login",
        "/login;x=1",
        "/%2flogin",
        "/LOGIN",
        "/login%00",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/assets/",
        "/assets/../login.html",
        "/upstream/nowhere/callback",
        "/upstream/nowhere/signed_out",
        "/upstream/%ff/callback",
        "/upstream//callback",
        "/.well-known/",
        "/authorize/other",
    ] {
        let page = raw_get(&server, path).await;
        assert!(page.starts_with("HTTP/1.1 404"), "{path}: {page}");
        assert!(page.contains("There is no such page"), "{path}: {page}");
    }
    for (method, path, allow) in [
        ("DELETE", "/login", "GET,HEAD,POST"),
        ("PUT", "/authorize", "GET,HEAD,POST"),
        ("GET", "/token", "POST"),
        ("GET", "/upstream/staff/start", "POST"),
        ("PUT", "/upstream/staff/callback", "GET,HEAD,POST"),
        ("POST", "/end_session/returned", "GET,HEAD"),
        ("DELETE", "/upstream/staff/signed_out", "GET,HEAD,POST"),
        ("PATCH", "/jwks", "GET,HEAD"),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = http_client().request(method, server.url(path));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 405, "{path}");
        assert_eq!(response.headers()["allow"], allow, "{path}");
        assert!(response.headers().contains_key("x-request-id"));
        let body = response.text().await.unwrap();
        assert!(body.contains("<html"), "{path}: {body}");
    }
}

/// A GET whose path no client library would send as it is.
async fn raw_get(server: &TestServer, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
