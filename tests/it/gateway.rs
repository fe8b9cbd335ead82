//! The gateway: an upstream's API behind our tokens (docs/gateway.md; T15, T50, T61, T62).

use portico::simulator::aim18::{CLIENT_ID, check_right};
use portico::simulator::people::{ANN_LEE, Aim18Person, JO_SMITH, SERVICE};
use portico::simulator::{Fault, Recorded};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, claims};
use crate::harness::server::{Setup, TestServer};
use crate::landing::{at_imis, deliver, leave_from};

/// What the app of these tests asks for.
const SCOPE: &str = "openid members:read events:write customers:read";
const PARTY: &str = "/api/members/Party/20457";
const CUSTOMER: &str = "/api/staff/root/api/read/cus?menuCode=cus&id=501";

/// Rules at both upstreams; an app that may call both, one that may call one of them, and a server without a user.
pub(crate) fn apis(setup: &mut Setup) {
    setup.members += r#"
[[upstreams.api]]
scope = "members:read"
methods = ["GET", "HEAD"]
paths = ["Party/*", "Event", "Event/*"]

[[upstreams.api]]
scope = "events:write"
methods = ["POST", "PUT", "DELETE"]
paths = ["Event", "Event/*"]

[[upstreams.api]]
scope = "events:manage"
methods = ["GET", "POST", "DELETE"]
paths = ["Event", "Event/*", "Party/*"]
acts_as = "service"
"#;
    setup.upstreams += r#"
[[upstreams.api]]
scope = "customers:read"
paths = ["root/api/read/cus", "root/api/read/po"]
query = { menuCode = ["cus", "po"] }
"#;
    setup.clients += r#"
[[clients]]
client_id = "gateway-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://gateway.example.org/callback"]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid offline_access members:read events:write customers:read"
upstream_apis = ["members", "staff"]

[[clients]]
client_id = "gateway-staff-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://gateway-staff.example.org/callback"]
scope = "openid members:read customers:read"
upstream_apis = ["staff"]

[[clients]]
client_id = "plain"
client_secret = { env = "SERVICE_SECRET" }
redirect_uris = ["https://plain.example.org/callback"]
grant_types = ["authorization_code", "client_credentials"]
scope = "openid members:read events:manage"
audience = ["https://api.example.org"]
upstream_apis = ["members"]
"#;
}

async fn server() -> TestServer {
    TestServer::start_with(apis).await
}

/// Logs Jo Smith in by iMIS's own page, whose logins can be renewed.
pub(crate) async fn member(server: &TestServer, browser: &mut Browser, scope: &str) -> Answer {
    at_imis(server, browser, JO_SMITH).await;
    let url = server.authorize_url("gateway-app", &[("scope", scope)]);
    let page = leave_from(browser, &url).await;
    let page = deliver(browser, &page).await;
    redeem(server, &page.answer()["code"]).await
}

pub(crate) async fn employee(server: &TestServer, who: Aim18Person, scope: &str) -> Answer {
    let url = server.authorize_url("gateway-app", &[("scope", scope)]);
    let page = Browser::new().log_in_at_aim18(url, who).await;
    redeem(server, &page.answer()["code"]).await
}

async fn redeem(server: &TestServer, code: &str) -> Answer {
    let tokens = server.redeem("gateway-app", code, &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    tokens
}

pub(crate) async fn of_server(server: &TestServer) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "members:read events:manage"),
    ];
    let tokens = server.token("plain", &form).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    tokens
}

/// What the gateway answered.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Called {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    fn header(&self, name: &str) -> &str {
        let header = self.headers.get(name);
        header.map_or("", |value| value.to_str().unwrap())
    }

    /// An answer of ours: JSON, for nobody to keep, with a challenge where another token would help (RFC 6750 section 3).
    fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.json()["error"], code, "{self:?}");
        assert!(self.json()["error_description"].is_string());
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        let challenge = self.header("www-authenticate");
        let about_the_token = [
            "invalid_token",
            "insufficient_scope",
            "insufficient_user_authentication",
            "access_denied",
        ];
        if about_the_token.contains(&code) {
            let named = format!("Bearer error=\"{code}\"");
            assert!(challenge.starts_with(&named), "{challenge}");
        } else if status != 400 {
            assert_eq!(challenge, "");
        }
        assert_eq!(
            self.header("retry-after"),
            if status == 503 { "10" } else { "" }
        );
    }
}

async fn send(request: RequestBuilder) -> Called {
    let response = request.send().await.unwrap();
    Called {
        status: response.status(),
        headers: response.headers().clone(),
        body: response.text().await.unwrap(),
    }
}

fn request(server: &TestServer, method: &str, path: &str, tokens: &Answer) -> RequestBuilder {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    http_client()
        .request(method, server.url(path))
        .bearer_auth(tokens.text("access_token"))
}

pub(crate) async fn get(server: &TestServer, path: &str, tokens: &Answer) -> Called {
    send(request(server, "GET", path, tokens)).await
}

/// What reached the API of iMIS, as opposed to its token endpoint.
fn at_api(log: Vec<Recorded>) -> Vec<Recorded> {
    let api = |call: &Recorded| call.path.contains("/api/") && !call.path.contains("oauth");
    log.into_iter().filter(api).collect()
}

/// T62: what arrives is the member's own token and nothing of ours, and what comes back tells neither.
#[tokio::test]
async fn a_member_calls_the_api_with_a_token_of_ours() {
    let server = server().await;
    let tokens = member(&server, &mut Browser::new(), SCOPE).await;
    server.imis.clear_log();
    let ours = tokens.text("access_token");
    let called = send(
        request(&server, "GET", &format!("{PARTY}?a=b%26c"), &tokens)
            .header("cookie", "session=stray-cookie")
            .header("accept-language", "fr")
            .header("x-forwarded-for", "192.0.2.99")
            .header("x-http-method-override", "DELETE")
            .header("te", "trailers"),
    )
    .await;
    assert_eq!(called.status, 200, "{called:?}");
    assert_eq!(called.json()["PartyId"], JO_SMITH.id);
    assert!(
        called
            .header("content-type")
            .starts_with("application/json")
    );
    assert_eq!(called.header("cache-control"), "no-store");
    assert_eq!(called.header("x-content-type-options"), "nosniff");
    assert!(called.header("content-security-policy").contains("sandbox"));
    assert!(server.imis.switches().sets_cookies);
    assert_eq!(called.header("set-cookie"), "");
    let [arrived] = &at_api(server.imis.log())[..] else {
        panic!("{:?}", server.imis.log());
    };
    assert_eq!(arrived.path, "/api/Party/20457");
    assert_eq!(arrived.query_parameter("a").as_deref(), Some("b&c"));
    assert_eq!(arrived.header("accept-language"), Some("fr"));
    let theirs = arrived.bearer().unwrap();
    assert_ne!(theirs, ours);
    let all = format!("{arrived:?}");
    for foreign in [ours, "stray-cookie", "192.0.2.99", "override", "trailers"] {
        assert!(!all.contains(foreign), "{foreign} in {all}");
    }
    assert!(!format!("{called:?}").contains(theirs));
    // The upstream decides what a member may: the rule opens everybody's record, iMIS their own.
    let path = format!("/api/members/Party/{}", SERVICE.id);
    let others = get(&server, &path, &tokens).await;
    assert_eq!(others.status, 403);
    assert!(!others.body.contains("error_description"), "{others:?}");
}

/// T61: aiM18 wants its client id beside the token, and whether rights are checked is not the caller's to say.
#[tokio::test]
async fn an_employee_calls_the_api_of_aim18() {
    let server = server().await;
    let tokens = employee(&server, ANN_LEE, SCOPE).await;
    server.aim18.clear_log();
    let path = format!("{CUSTOMER}&check_right=&client_id=another");
    let called = send(request(&server, "GET", &path, &tokens).header("check_right", "")).await;
    assert_eq!(called.status, 200, "{called:?}");
    assert!(called.body.contains("Harbour Trading"), "{called:?}");
    let log = server.aim18.log();
    let [arrived] = &log[..] else {
        panic!("{log:?}");
    };
    assert_eq!(arrived.path, "/jsf/rfws/root/api/read/cus");
    assert_eq!(arrived.header("client_id"), Some(CLIENT_ID));
    assert_eq!(check_right(arrived).as_deref(), Some("true"));
    assert!(!format!("{arrived:?}").contains("another"));
    assert!(!format!("{arrived:?}").contains(tokens.text("access_token")));
    assert!(!called.body.contains(arrived.bearer().unwrap()));
    // A parameter that the rule names is there, once, with a value that it names.
    for query in [
        "id=501",
        "menuCode=user&id=501",
        "menuCode=cus&menucode=user&id=1",
    ] {
        let path = format!("/api/staff/root/api/read/cus?{query}");
        get(&server, &path, &tokens)
            .await
            .assert_error(403, "access_denied");
    }
}

/// Its encoding is between the app and aiM18: here the last byte of a character is that of a backslash.
#[tokio::test]
async fn what_aim18_says_is_wrong_comes_back_byte_for_byte() {
    let server = server().await;
    server.aim18.set("api_errors", "header").unwrap();
    server.aim18.set("error_info_in", "big5").unwrap();
    let tokens = employee(&server, ANN_LEE, SCOPE).await;
    let order = "/api/staff/root/api/read/po?menuCode=po&id=1";
    let called = get(&server, order, &tokens).await;
    assert_eq!(called.status, 400, "{called:?}");
    let told = called.headers["error_info"].as_bytes();
    let spelt = b" \xbe\xde\xa7@\xa5\xbc\xa6\xa8\xa5\\\"";
    assert!(told.windows(spelt.len()).any(|part| part == spelt));
}

/// T61: a server without a user acts as the service account; its own audience does not keep its token from the gateway.
#[tokio::test]
async fn a_server_calls_as_the_service_account() {
    let server = server().await;
    let tokens = of_server(&server).await;
    let audience = claims(tokens.text("access_token"))["aud"].clone();
    assert_eq!(audience, json!(["https://api.example.org", server.issuer]));
    assert_eq!(get(&server, PARTY, &tokens).await.status, 200);
    let event = json!({
        "$type": "Asi.Soa.Events.DataContracts.EventData, Asi.Contracts",
        "EventId": "PICNIC",
        "Name": "Picnic",
    });
    let post = request(&server, "POST", "/api/members/Event", &tokens).json(&event);
    let made = send(post).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json()["Name"], "Picnic");
    let delete = request(&server, "DELETE", "/api/members/Event/PICNIC", &tokens);
    let gone = send(delete).await;
    assert_eq!((gone.status.as_u16(), gone.body.as_str()), (204, ""));
    // More than any other endpoint takes; what iMIS thinks of it is iMIS's.
    let long = "x".repeat(200_000);
    let post = request(&server, "POST", "/api/members/Event", &tokens).body(long.clone());
    assert_eq!(send(post).await.status, 400);
    let used = at_api(server.imis.log());
    assert_eq!(used.last().unwrap().body, long);
    assert!(!format!("{used:?}").contains(tokens.text("access_token")));
}

/// T61: neither kind of token opens the other's rules, whatever scope it was given with.
#[tokio::test]
async fn the_service_accounts_token_serves_no_person_and_no_persons_serves_a_server() {
    let server = server().await;
    let scope = "openid members:read events:manage";
    let code = server.code("plain", &[("scope", scope)]).await;
    let person = server.redeem("plain", &code, &[]).await;
    server.imis.clear_log();
    let delete = request(&server, "DELETE", PARTY, &person);
    send(delete).await.assert_error(403, "access_denied");
    let machine = of_server(&server).await;
    let head = request(&server, "HEAD", PARTY, &machine);
    assert_eq!(send(head).await.status, 403);
    assert!(at_api(server.imis.log()).is_empty());
    // Each has what is its own.
    assert_eq!(get(&server, PARTY, &person).await.status, 200);
    let as_person = at_api(server.imis.log()).pop().unwrap();
    assert_eq!(get(&server, PARTY, &machine).await.status, 200);
    let as_service = at_api(server.imis.log()).pop().unwrap();
    assert_ne!(as_person.bearer(), as_service.bearer());
}

/// T62: each thing that is missing refuses by itself, before the upstream hears anything.
#[tokio::test]
async fn whatever_is_missing_is_told() {
    let server = server().await;
    let tokens = member(&server, &mut Browser::new(), SCOPE).await;
    let narrow = server.tokens("gateway-app", "openid events:write").await;
    let code = server
        .code("gateway-staff-app", &[("scope", "openid members:read")])
        .await;
    let unlisted = server.redeem("gateway-staff-app", &code, &[]).await;
    server.imis.clear_log();
    for (method, path) in [
        ("GET", "/api/members/User"),
        ("GET", "/api/members/Party"),
        ("GET", "/api/members/Party/20457/Name"),
        ("GET", "/api/members/party/20457"),
        ("DELETE", PARTY),
        ("PATCH", "/api/members/Event/GALA"),
    ] {
        let called = send(request(&server, method, path, &tokens)).await;
        called.assert_error(403, "access_denied");
    }
    let called = get(&server, PARTY, &narrow).await;
    called.assert_error(403, "insufficient_scope");
    let challenge = called.header("www-authenticate");
    assert!(
        challenge.ends_with(", scope=\"members:read\""),
        "{challenge}"
    );
    let called = get(&server, PARTY, &unlisted).await;
    called.assert_error(403, "access_denied");
    for path in [
        "/api/nowhere/Party/1",
        "/api/Members/Party/1",
        "/api/%6dembers/Party/1",
    ] {
        get(&server, path, &tokens)
            .await
            .assert_error(404, "invalid_request");
    }
    for method in ["PROPFIND", "TRACE", "get"] {
        let called = send(request(&server, method, PARTY, &tokens)).await;
        called.assert_error(405, "invalid_request");
        assert_eq!(
            called.header("allow"),
            "GET, HEAD, POST, PUT, PATCH, DELETE"
        );
    }
    let url = server.url(PARTY);
    let called = send(http_client().get(&url)).await;
    assert_eq!(called.status, 401);
    assert_eq!(
        called.header("www-authenticate"),
        "Bearer realm=\"portico\""
    );
    let query = format!("{url}?access_token={}", tokens.text("access_token"));
    assert_eq!(send(http_client().get(&query)).await.status, 401);
    for bad in [tokens.text("id_token"), "no.token.atall"] {
        let called = send(http_client().get(&url).bearer_auth(bad)).await;
        called.assert_error(401, "invalid_token");
    }
    assert!(server.imis.log().is_empty(), "{:?}", server.imis.log());
}

/// T62: our token goes nowhere, wherever a careless app has written it.
#[tokio::test]
async fn a_call_that_carries_our_token_elsewhere_is_not_made() {
    let server = server().await;
    let tokens = member(&server, &mut Browser::new(), SCOPE).await;
    let ours = tokens.text("access_token");
    server.imis.clear_log();
    let called = [
        request(&server, "GET", &format!("{PARTY}?access_token=x"), &tokens),
        request(&server, "GET", &format!("{PARTY}?x={ours}"), &tokens),
        request(
            &server,
            "GET",
            &format!("/api/members/Party/{ours}"),
            &tokens,
        ),
        request(&server, "GET", PARTY, &tokens).header("prefer", ours),
        request(&server, "POST", "/api/members/Event", &tokens).body(format!("<{ours}>")),
    ];
    for request in called {
        send(request).await.assert_error(400, "invalid_request");
    }
    assert!(server.imis.log().is_empty());
}

/// Sends exactly these bytes: clients tidy paths up before they send them.
async fn exchange(server: &TestServer, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn raw(server: &TestServer, path: &str, tokens: &Answer) -> String {
    let token = tokens.text("access_token");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    exchange(server, &request).await
}

/// T50: what two servers could read in two ways is read by none, even where a rule opens everything below.
#[tokio::test]
async fn no_spelling_of_a_path_leads_past_the_rules() {
    let server = TestServer::start_with(|setup| {
        apis(setup);
        setup.members = setup
            .members
            .replace("\"Party/*\", \"Event\"", "\"Party/**\", \"Event\"");
    })
    .await;
    let tokens = member(&server, &mut Browser::new(), SCOPE).await;
    server.imis.clear_log();
    for path in [
        "/api/members",
        "/api/members/",
        "/api/members/Party/",
        "/api/members/Party/../User",
        "/api/members/Party/%2e%2e/User",
        "/api/members/Party/.%2E/User",
        "/api/members/Party/..%2fUser",
        "/api/members/Party/..%5cUser",
        "/api/members/Party/..;/User",
        "/api/members/Party/%2e%2e%3bx/User",
        "/api/members/Party/x;y",
        "/api/members/Party/%252e%252e/User",
        "/api/members/Party//User",
        "/api/members//Party/20457",
        "/api/members/./Party/20457",
        "/api/members/Party/%00",
        "/api/members/Party/%ff",
        "/api/members/Party/%20",
    ] {
        let answer = raw(&server, path, &tokens).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
        assert!(answer.contains("\"error\":\"invalid_request\""), "{path}");
    }
    assert!(server.imis.log().is_empty());
    let answer = raw(&server, "/api/members/Party/%32%30457", &tokens).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(at_api(server.imis.log())[0].path, "/api/Party/20457");
}

/// A token that the upstream takes no more is renewed once, and the call made once more.
#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once() {
    let server = server().await;
    let tokens = member(&server, &mut Browser::new(), SCOPE).await;
    server.imis.clear_log();
    server.imis.fail_once("/api/party", Fault::Status(401));
    assert_eq!(get(&server, PARTY, &tokens).await.status, 200);
    let calls = at_api(server.imis.log());
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0].bearer(), calls[1].bearer());

    server.imis.clear_log();
    server.imis.fail("/api/party", Fault::Status(401));
    let called = get(&server, PARTY, &tokens).await;
    // Where a right lacks, no login helps.
    called.assert_error(403, "access_denied");
    let told = &called.json()["error_description"];
    assert!(told.as_str().unwrap().contains("rights there"), "{told}");
    let calls = at_api(server.imis.log());
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0].bearer(), calls[1].bearer());
    server.imis.mend();
    assert_eq!(get(&server, PARTY, &tokens).await.status, 200);

    // A login by password gives nothing that renews.
    let typed = server.tokens("gateway-app", SCOPE).await;
    server.imis.clear_log();
    server.imis.fail_once("/api/party", Fault::Status(401));
    let called = get(&server, PARTY, &typed).await;
    called.assert_error(401, "insufficient_user_authentication");
    assert_eq!(at_api(server.imis.log()).len(), 1);

    // Another login's fault, and not the app's: nobody is sent to log in for a server.
    let machine = of_server(&server).await;
    server.imis.fail("/api/party", Fault::Status(401));
    let called = get(&server, PARTY, &machine).await;
    called.assert_error(502, "temporarily_unavailable");
}

/// T35: with the session everything goes; a family that outlives it reaches no upstream.
#[tokio::test]
async fn a_logout_ends_it() {
    let server = server().await;
    for (scope, error) in [
        (SCOPE, "invalid_token"),
        (
            "openid offline_access members:read",
            "insufficient_user_authentication",
        ),
    ] {
        let mut browser = Browser::new();
        let tokens = member(&server, &mut browser, scope).await;
        assert_eq!(get(&server, PARTY, &tokens).await.status, 200);
        let hint = tokens.text("id_token");
        let bye = server.url(&format!("/end_session?id_token_hint={hint}"));
        assert_eq!(browser.get(bye).await.status, 200);
        server.imis.clear_log();
        get(&server, PARTY, &tokens).await.assert_error(401, error);
        assert!(server.imis.log().is_empty());
    }
}

/// An idle session has ended for the upstream's tokens, however well they could be renewed; and calls keep one in use.
#[tokio::test]
async fn a_session_lives_by_the_calls_and_ends_without_them() {
    let server = TestServer::start_with(|setup| {
        apis(setup);
        setup.sections += "[lifetimes]\naccess_token = \"1d\"\nsession_idle = \"30m\"\n";
    })
    .await;
    let tokens = employee(&server, ANN_LEE, SCOPE).await;
    for _ in 0..3 {
        server.clock.advance(25 * 60);
        assert_eq!(get(&server, CUSTOMER, &tokens).await.status, 200);
    }
    server.clock.advance(31 * 60);
    let called = get(&server, CUSTOMER, &tokens).await;
    called.assert_error(401, "invalid_token");

    let offline = employee(&server, ANN_LEE, "openid offline_access customers:read").await;
    assert_eq!(get(&server, CUSTOMER, &offline).await.status, 200);
    server.clock.advance(31 * 60);
    let called = get(&server, CUSTOMER, &offline).await;
    called.assert_error(401, "insufficient_user_authentication");
}

/// A person has tokens of the upstream that they logged in at.
#[tokio::test]
async fn another_upstream_needs_another_login() {
    let server = server().await;
    let tokens = member(&server, &mut Browser::new(), SCOPE).await;
    let called = get(&server, CUSTOMER, &tokens).await;
    called.assert_error(401, "insufficient_user_authentication");
    assert!(at_api(server.aim18.log()).is_empty());
}

/// T15: who is gone where they come from is out within the interval, though the access token would live longer.
#[tokio::test]
async fn a_lapsed_member_is_out_within_the_interval() {
    let server = server().await;
    let tokens = member(&server, &mut Browser::new(), SCOPE).await;
    server
        .imis
        .change(JO_SMITH.username, |person| person.status = "I");
    server.clock.advance(299);
    assert_eq!(get(&server, PARTY, &tokens).await.status, 200);
    server.clock.advance(1);
    let called = get(&server, PARTY, &tokens).await;
    called.assert_error(401, "invalid_token");
    let called = get(&server, PARTY, &tokens).await;
    called.assert_error(401, "invalid_token");
}

/// T15, T17: what is taken from a client is gone from the tokens that it has.
#[tokio::test]
async fn what_a_client_may_no_longer_do_ends_at_once() {
    for (from, to, status, error) in [
        (
            "scope = \"openid offline_access members:read events:write customers:read\"",
            "scope = \"openid offline_access events:write customers:read\"",
            403,
            "insufficient_scope",
        ),
        (
            "upstream_apis = [\"members\", \"staff\"]",
            "upstream_apis = [\"staff\"]",
            403,
            "access_denied",
        ),
        (
            "upstream_apis = [\"members\", \"staff\"]",
            "upstream_apis = [\"members\", \"staff\"]\nrequire_groups = [\"Nobodys\"]",
            401,
            "invalid_token",
        ),
        (
            "client_id = \"gateway-app\"",
            "client_id = \"gateway-renamed\"",
            401,
            "invalid_token",
        ),
    ] {
        let mut server = server().await;
        let tokens = member(&server, &mut Browser::new(), SCOPE).await;
        assert_eq!(get(&server, PARTY, &tokens).await.status, 200);
        server.edit_config(from, to);
        server.restart().await;
        server.imis.clear_log();
        let called = get(&server, PARTY, &tokens).await;
        called.assert_error(status, error);
        assert!(at_api(server.imis.log()).is_empty());
    }
    // The person came from an upstream that the client no longer serves, and the API is that of another.
    let mut server = server().await;
    let tokens = employee(&server, ANN_LEE, SCOPE).await;
    server.edit_config(
        "upstream_apis = [\"members\", \"staff\"]",
        "upstream_apis = [\"members\"]\nupstreams = [\"members\"]",
    );
    server.restart().await;
    let called = get(&server, PARTY, &tokens).await;
    called.assert_error(401, "invalid_token");
    // A server that may ask for no tokens of its own any more.
    let tokens = of_server(&server).await;
    server.edit_config(
        "grant_types = [\"authorization_code\", \"client_credentials\"]",
        "grant_types = [\"authorization_code\"]",
    );
    server.restart().await;
    let called = get(&server, PARTY, &tokens).await;
    called.assert_error(401, "invalid_token");
}

/// What is not an answer is our 503; what is one passes, and nothing in it can run under our origin.
#[tokio::test]
async fn the_upstreams_trouble_is_told_as_what_it_is() {
    let server = server().await;
    let tokens = member(&server, &mut Browser::new(), SCOPE).await;
    server.imis.fail("/api/event", Fault::ErrorPage);
    let called = get(&server, "/api/members/Event", &tokens).await;
    assert_eq!(called.status, 500);
    assert!(called.header("content-type").starts_with("text/html"));
    let policy = "default-src 'none'; frame-ancestors 'none'; sandbox";
    assert_eq!(called.header("content-security-policy"), policy);
    assert_eq!(called.header("x-content-type-options"), "nosniff");
    assert_eq!(called.header("cache-control"), "no-store");
    server.imis.mend();
    let elsewhere = server.url("/elsewhere");
    server.imis.fail("/api/event", Fault::Redirect(elsewhere));
    let called = get(&server, "/api/members/Event", &tokens).await;
    assert_eq!(
        (called.status.as_u16(), called.header("location")),
        (302, "")
    );
    server.imis.mend();
    server.imis.fail("/api/event", Fault::CloseAfter(0));
    let called = get(&server, "/api/members/Event", &tokens).await;
    called.assert_error(503, "temporarily_unavailable");
    server.imis.mend();
    // The member may not write, says iMIS, in its own words.
    let write = request(&server, "DELETE", "/api/members/Event/GALA", &tokens);
    let called = send(write).await;
    assert_eq!(called.status, 403);
    assert_eq!(called.header("www-authenticate"), "");
}

/// T48.
#[tokio::test]
async fn a_body_that_is_too_large_is_told_in_json() {
    let server = server().await;
    let tokens = of_server(&server).await;
    server.imis.clear_log();
    let body = "x".repeat(1024 * 1024 + 1);
    let post = request(&server, "POST", "/api/members/Event", &tokens).body(body.clone());
    send(post).await.assert_error(413, "invalid_request");
    // One that does not say how long it is.
    let head = format!(
        "POST /api/members/Event HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
        tokens.text("access_token")
    );
    let chunk = format!("{:x}\r\n{body}\r\n", body.len());
    let answer = exchange(&server, &format!("{head}{chunk}0\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\"error\":\"invalid_request\""));
    assert!(server.imis.log().is_empty());
}

/// T55: scripts of registered origins, without credentials, and nobody else's.
#[tokio::test]
async fn scripts_of_registered_origins_may_call() {
    let server = server().await;
    let origin = "https://gateway.example.org";
    for (from, allowed) in [(origin, origin), ("https://evil.example", ""), ("null", "")] {
        let preflight = http_client()
            .request(Method::OPTIONS, server.url(PARTY))
            .header("origin", from)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "authorization,if-match");
        let preflight = send(preflight).await;
        assert_eq!(preflight.status, 200);
        let called = send(http_client().get(server.url(PARTY)).header("origin", from)).await;
        assert_eq!(called.status, 401);
        for answer in [&preflight, &called] {
            assert_eq!(answer.header("access-control-allow-origin"), allowed);
            assert_eq!(answer.header("access-control-allow-credentials"), "");
        }
        let methods = preflight.header("access-control-allow-methods");
        assert_eq!(methods, "GET,HEAD,POST,PUT,PATCH,DELETE");
        let exposed = called.header("access-control-expose-headers");
        for name in ["www-authenticate", "retry-after", "etag", "error_info"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
}

/// An answer by HEAD has the upstream's status and no body.
#[tokio::test]
async fn head_is_asked_as_head() {
    let server = server().await;
    let tokens = member(&server, &mut Browser::new(), SCOPE).await;
    server.imis.clear_log();
    let called = send(request(&server, "HEAD", PARTY, &tokens)).await;
    let arrived = at_api(server.imis.log()).pop().unwrap();
    assert_eq!(arrived.method, "HEAD");
    assert!(called.status != 405 && called.body.is_empty(), "{called:?}");
}

/// T62: the upstream's token stays here, even where an upstream repeats it.
#[tokio::test]
async fn an_answer_that_tells_the_upstreams_token_is_not_passed_on() {
    let server = server().await;
    let tokens = of_server(&server).await;
    assert_eq!(get(&server, PARTY, &tokens).await.status, 200);
    let used = at_api(server.imis.log()).pop().unwrap();
    let theirs = used.bearer().unwrap();
    let event = json!({
        "$type": "Asi.Soa.Events.DataContracts.EventData, Asi.Contracts",
        "EventId": "ECHO",
        "Name": theirs,
    });
    let post = request(&server, "POST", "/api/members/Event", &tokens).json(&event);
    let in_body = send(post).await;
    let elsewhere = format!("https://elsewhere.example/?token={theirs}");
    server.imis.fail("/api/party", Fault::Redirect(elsewhere));
    let in_header = get(&server, PARTY, &tokens).await;
    for called in [in_body, in_header] {
        called.assert_error(502, "temporarily_unavailable");
        assert!(!format!("{called:?}").contains(theirs));
    }
}
