//! Which scripts may read what (T55).

use reqwest::Method;
use reqwest::header::{HeaderMap, ORIGIN};

use crate::harness::browser::http_client;
use crate::harness::server::TestServer;

/// The headers that a script's request of `origin` gets; OPTIONS: its preflight.
async fn with_origin(
    http: &reqwest::Client,
    (method, url): (&Method, &str),
    origin: &str,
) -> HeaderMap {
    let mut request = http.request(method.clone(), url).header(ORIGIN, origin);
    if method == Method::OPTIONS {
        request = request
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type",
            );
    }
    request.send().await.unwrap().headers().clone()
}

/// T55: scripts of registered origins, without credentials, and nobody else's.
#[tokio::test]
async fn scripts_of_registered_origins_may_read_the_endpoints_for_scripts() {
    let server = TestServer::start().await;
    let http = http_client();
    for (path, method) in [
        ("/par", Method::POST),
        ("/token", Method::POST),
        ("/revoke", Method::POST),
        ("/userinfo", Method::GET),
        ("/userinfo", Method::POST),
        ("/jwks", Method::GET),
        ("/.well-known/openid-configuration", Method::GET),
        ("/.well-known/oauth-authorization-server", Method::GET),
    ] {
        let url = server.url(path);
        for method in [Method::OPTIONS, method] {
            let request = (&method, url.as_str());
            for origin in [
                "https://spa.example.org",
                "https://web.example.org",
                "http://127.0.0.1",
            ] {
                let headers = with_origin(&http, request, origin).await;
                let allowed = headers.get("access-control-allow-origin");
                assert!(
                    allowed.is_some_and(|allowed| allowed == origin),
                    "{request:?} {origin}"
                );
                assert!(!headers.contains_key("access-control-allow-credentials"));
                let lower = |name: &str| headers[name].to_str().unwrap().to_ascii_lowercase();
                assert!(lower("vary").contains("origin"));
                if method == Method::OPTIONS {
                    assert!(lower("access-control-allow-methods").contains("post"));
                    let names = lower("access-control-allow-headers");
                    assert!(names.contains("authorization") && names.contains("content-type"));
                    assert!(names.contains("dpop"), "RFC 9449");
                } else {
                    // So that a script reads why it was refused.
                    let exposed = lower("access-control-expose-headers");
                    assert_eq!(exposed, "www-authenticate,dpop-nonce");
                }
            }
            for origin in [
                "null",
                "https://evil.example",
                "http://spa.example.org",
                "https://spa.example.org:8443",
                "https://spa.example.org.evil.example",
                "https://evil.example/https://spa.example.org",
                "https://SPA.example.org",
                "https://spa.example.org/",
                "http://127.0.0.1:8080",
                "*",
                "",
            ] {
                let headers = with_origin(&http, request, origin).await;
                let allowed = headers.get("access-control-allow-origin");
                assert!(allowed.is_none(), "{request:?} {origin}");
            }
        }
    }
}

/// A request that no script makes takes a shorter way, and is told the same: a cache that keeps its answer must not give it to a script.
#[tokio::test]
async fn whoever_is_no_script_is_told_what_a_script_of_nobodys_is_told() {
    let server = TestServer::start().await;
    let http = http_client();
    let told = async |request: reqwest::RequestBuilder| {
        let answer = request.send().await.unwrap();
        let mut headers = answer.headers().clone();
        assert!(headers.remove("date").is_some());
        let number = headers.remove("x-request-id").unwrap();
        let mut headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        headers.sort();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        (status, headers, body.replace(number.to_str().unwrap(), ""))
    };
    for path in ["/par", "/token", "/revoke", "/userinfo", "/jwks"] {
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::HEAD,
            Method::OPTIONS,
        ] {
            for body in ["", "grant_type=client_credentials"] {
                let request = || {
                    let request = http.request(method.clone(), server.url(path));
                    request
                        .header("content-type", "application/x-www-form-urlencoded")
                        .body(body)
                };
                let plain = told(request()).await;
                let script = told(request().header(ORIGIN, "https://evil.example")).await;
                assert_eq!(plain, script, "{method} {path} {body}");
                let varies = plain.1.iter().find(|(name, _)| name == "vary");
                let varies = varies.unwrap_or_else(|| panic!("{method} {path} {body}"));
                assert!(varies.1.contains("origin"), "{varies:?}");
            }
        }
    }
}

/// T55: where a person is sent, no script has anything to read.
#[tokio::test]
async fn no_script_may_read_a_page() {
    let server = TestServer::start().await;
    let http = http_client();
    for path in [
        "/authorize",
        "/authorize/resume",
        "/login",
        "/consent",
        "/introspect",
        "/end_session",
        "/upstream/staff/start",
        "/upstream/staff/callback",
        "/nowhere",
    ] {
        let url = server.url(path);
        for method in [Method::OPTIONS, Method::GET, Method::POST] {
            let request = (&method, url.as_str());
            let headers = with_origin(&http, request, "https://spa.example.org").await;
            assert!(
                !headers.contains_key("access-control-allow-origin"),
                "{request:?}"
            );
        }
    }
}

/// T55, T18: a script of nobody's registers a client in a visitor's browser, or reads what a registration or a device was given.
#[tokio::test]
async fn no_script_registers_clients_or_asks_for_device_codes() {
    let server = TestServer::start_with(|setup| {
        setup.sections += "[registration]\nmode = \"open\"\n";
    })
    .await;
    let http = http_client();
    let sent = serde_json::json!({ "redirect_uris": ["https://spa.example.org/callback"] });
    let client = http
        .post(server.url("/register"))
        .json(&sent)
        .send()
        .await
        .unwrap();
    assert_eq!(client.status(), 201);
    let client: serde_json::Value = client.json().await.unwrap();
    let own = client["registration_client_uri"]
        .as_str()
        .unwrap()
        .to_owned();
    for url in [
        server.url("/register"),
        own,
        server.url("/device_authorization"),
    ] {
        for method in [
            Method::OPTIONS,
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
        ] {
            for origin in ["https://spa.example.org", "null"] {
                let headers = with_origin(&http, (&method, &url), origin).await;
                let named = headers.keys().map(reqwest::header::HeaderName::as_str);
                let opened: Vec<&str> = named
                    .filter(|name| name.starts_with("access-control-"))
                    .collect();
                assert!(opened.is_empty(), "{method} {url}: {opened:?}");
            }
        }
    }
}
