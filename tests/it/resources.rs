//! Which APIs a token is for (RFC 8707), what it looks like for each, and who stands for them (T15, T17).

use portico::simulator::people;
use serde_json::{Value, json};

use crate::device::{at_question, decide};
use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{
    Answer, CHALLENGE, VERIFIER, answer, claims, header, redirect_uri,
};
use crate::harness::server::{Setup, TestServer};
use crate::harness::signing::{ClientKey, jwks_line};

const A: &str = "https://a.example.org";
const B: &str = "https://b.example.org";
const C: &str = "https://c.example.org";

fn apis(setup: &mut Setup) {
    r#"
[[resources]]
identifier = "https://a.example.org"
name = "The archive"
scope = "a:read a:write"
introspection_clients = ["api"]

[[resources]]
identifier = "https://b.example.org"
scope = "b:read"
access_token_format = "opaque"
introspection_clients = ["other-api"]

[[resources]]
identifier = "https://c.example.org"
access_token_signed_response_alg = "ES256"

[[clients]]
client_id = "many-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://many.example.org/callback"]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid profile offline_access a:read b:read"
resources = ["https://a.example.org", "https://b.example.org", "https://c.example.org"]

[[clients]]
client_id = "careful-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://careful.example.org/callback"]
scope = "openid a:read"
resources = ["https://a.example.org", "https://c.example.org"]
consent = "once"

[[clients]]
client_id = "tv"
token_endpoint_auth_method = "none"
grant_types = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]
scope = "openid offline_access a:read b:read"
resources = ["https://a.example.org", "https://b.example.org", "https://c.example.org"]
consent = "once"

[[clients]]
client_id = "both"
client_secret = { env = "SERVICE_SECRET" }
grant_types = ["client_credentials"]
scope = "a:read b:read"
audience = ["https://a.example.org"]
resources = ["https://b.example.org"]

[[clients]]
client_id = "api"
client_secret = { env = "SERVICE_SECRET" }
grant_types = ["client_credentials"]

[[clients]]
client_id = "other-api"
client_secret = { env = "SERVICE_SECRET" }
grant_types = ["client_credentials"]
"#
    .clone_into(&mut setup.clients);
}

impl TestServer {
    /// The answer to an authorization request of `client` that names `resources`.
    async fn ask_for(
        &self,
        client: &str,
        scope: &str,
        resources: &[&str],
    ) -> Vec<(String, String)> {
        let mut url: url::Url = self
            .authorize_url(client, &[("scope", scope)])
            .parse()
            .unwrap();
        for resource in resources {
            url.query_pairs_mut().append_pair("resource", resource);
        }
        let mut browser = Browser::new();
        let page = browser.log_in_as(&url, people::JO_SMITH).await;
        page.answer().into_iter().collect()
    }

    async fn code_for(&self, client: &str, scope: &str, resources: &[&str]) -> String {
        let answer = self.ask_for(client, scope, resources).await;
        let code = answer.iter().find(|(name, _)| name == "code");
        code.unwrap_or_else(|| panic!("{answer:?}")).1.clone()
    }

    async fn redeem_for(&self, client: &str, code: &str, resources: &[&str]) -> Answer {
        let redirect_uri = redirect_uri(client);
        let mut parameters = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri.as_str()),
            ("code_verifier", VERIFIER),
        ];
        parameters.extend(resources.iter().map(|resource| ("resource", *resource)));
        self.token(client, &parameters).await
    }

    async fn refresh_for(&self, client: &str, token: &str, resources: &[&str]) -> Answer {
        let mut parameters = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        parameters.extend(resources.iter().map(|resource| ("resource", *resource)));
        self.token(client, &parameters).await
    }
}

/// `aud`, always as a list.
fn audience(token: &str) -> Vec<String> {
    match claims(token)["aud"].clone() {
        Value::String(one) => vec![one],
        many => serde_json::from_value(many).unwrap(),
    }
}

/// Sections 2.1 and 2.2: several at once, then one at a time; each token says what it is for and opens no more.
#[tokio::test]
async fn a_token_is_for_the_resources_that_were_asked_for() {
    let server = TestServer::start_with(apis).await;
    let issuer = server.issuer.as_str();
    let scope = "openid profile offline_access a:read b:read";
    let code = server.code_for("many-app", scope, &[A, C]).await;
    let tokens = server.redeem_for("many-app", &code, &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let access = tokens.text("access_token");
    assert_eq!(audience(access), [A, C, issuer]);
    assert_eq!(header(access)["alg"], "ES256");
    assert_eq!(server.userinfo(access).await.status, 200);

    let narrowed = server
        .refresh_for("many-app", tokens.text("refresh_token"), &[A])
        .await;
    assert_eq!(narrowed.status, 200, "{narrowed:?}");
    let access = narrowed.text("access_token");
    assert_eq!(audience(access), [A]);
    assert_eq!(header(access)["alg"], "RS256");
    assert_eq!(claims(access)["scope"], "a:read");
    assert_eq!(narrowed.text("scope"), "a:read");
    assert!(
        narrowed.body["id_token"].is_string(),
        "the login is as it was"
    );
    // A token for A alone is nothing to us.
    assert_eq!(server.userinfo(access).await.status, 401);

    // Narrowed once is not narrowed for good.
    let again = server
        .refresh_for("many-app", narrowed.text("refresh_token"), &[issuer])
        .await;
    assert_eq!(audience(again.text("access_token")), [issuer]);
    assert_eq!(again.text("scope"), "offline_access openid profile");
    let all = server
        .refresh_for("many-app", again.text("refresh_token"), &[])
        .await;
    assert_eq!(audience(all.text("access_token")), [A, C, issuer]);
    // What was not granted is not given, and costs nothing.
    let token = all.text("refresh_token");
    for resource in [
        B,
        "https://d.example.org",
        "nonsense",
        "https://a.example.org/",
    ] {
        let refused = server.refresh_for("many-app", token, &[resource]).await;
        refused.assert_error(400, "invalid_target");
    }
    assert_eq!(
        server.refresh_for("many-app", token, &[C, A]).await.status,
        200
    );
}

/// Section 2: what the client may not ask for, or nobody could, goes back to it as an error.
#[tokio::test]
async fn a_resource_that_cannot_be_had_is_refused() {
    let server = TestServer::start_with(apis).await;
    let mut browser = Browser::new();
    for resource in [
        "https://d.example.org",
        "https://a.example.org/",
        "https://A.example.org",
        "https://a.example.org#fragment",
        "/relative",
        "https://api.example.org",
    ] {
        let changes = [("resource", resource)];
        let page = browser
            .get(server.authorize_url("many-app", &changes))
            .await;
        let answer = page.answer();
        assert_eq!(answer["error"], "invalid_target", "{resource}");
        assert_eq!(answer["state"], "the-state");
    }
    let page = browser
        .get(server.authorize_url("spa", &[("resource", A)]))
        .await;
    assert_eq!(
        page.answer()["error"],
        "invalid_target",
        "not this client's"
    );
    // A code may be narrowed, never widened, and a refusal does not spend it.
    let code = server.code_for("many-app", "openid a:read", &[A]).await;
    for resources in [&[B][..], &[A, B], &["https://d.example.org"]] {
        let refused = server.redeem_for("many-app", &code, resources).await;
        refused.assert_error(400, "invalid_target");
    }
    assert_eq!(server.redeem_for("many-app", &code, &[A]).await.status, 200);
    // B takes opaque tokens, and C has no other wish than an algorithm.
    let code = server
        .code_for("many-app", "openid a:read b:read", &[B, C])
        .await;
    let tokens = server.redeem_for("many-app", &code, &[]).await;
    assert_eq!(
        tokens.status, 200,
        "an opaque token has no algorithm: {tokens:?}"
    );
}

impl TestServer {
    /// A device authorization request that names `resources`.
    async fn begin_device_for(&self, resources: &[&str]) -> Answer {
        let mut form = vec![
            ("client_id", "tv"),
            ("scope", "openid offline_access a:read"),
        ];
        form.extend(resources.iter().map(|resource| ("resource", *resource)));
        let request = http_client().post(self.url("/device_authorization"));
        answer(request.form(&form)).await
    }

    async fn ask_device_for(&self, codes: &Answer, resources: &[&str]) -> Answer {
        let device_code = codes.text("device_code");
        let mut form = vec![
            ("grant_type", crate::device::GRANT),
            ("device_code", device_code),
        ];
        form.extend(resources.iter().map(|resource| ("resource", *resource)));
        self.token("tv", &form).await
    }
}

/// Somebody lets the device in; the page that asked them.
async fn let_in(server: &TestServer, browser: &mut Browser, codes: &Answer) -> String {
    let page = at_question(server, browser, codes.text("user_code")).await;
    let done = decide(browser, &page, "allow").await;
    assert_eq!(done.url.path(), "/device/done");
    page.text("main").unwrap()
}

/// Sections 2.1 and 2.2, RFC 8628 section 3.1: a device names its resources when it asks for its codes; the person is shown
/// them; the device may ask for fewer with its code, and for no other.
#[tokio::test]
async fn a_device_asks_for_resources_as_an_app_does() {
    let server = TestServer::start_with(apis).await;
    let issuer = server.issuer.as_str();
    for wrong in [
        "https://d.example.org",
        "https://a.example.org#fragment",
        "nonsense",
    ] {
        let refused = server.begin_device_for(&[A, wrong]).await;
        refused.assert_error(400, "invalid_target");
    }

    let codes = server.begin_device_for(&[A, C]).await;
    assert_eq!(codes.status, 200, "{codes:?}");
    let shown = let_in(&server, &mut Browser::new(), &codes).await;
    assert!(
        shown.contains("The archive") && shown.contains(C),
        "{shown}"
    );
    // Nothing is spent by a refusal.
    for stranger in [&[B][..], &[A, B], &["https://d.example.org"]] {
        let refused = server.ask_device_for(&codes, stranger).await;
        refused.assert_error(400, "invalid_target");
    }
    let tokens = server.ask_device_for(&codes, &[A]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(audience(tokens.text("access_token")), [A]);
    assert_eq!(tokens.text("scope"), "a:read");
    // Narrowed for this token alone, and never beyond what was asked for at first.
    let refresh_token = tokens.text("refresh_token");
    let refused = server.refresh_for("tv", refresh_token, &[B]).await;
    refused.assert_error(400, "invalid_target");
    let all = server.refresh_for("tv", refresh_token, &[]).await;
    assert_eq!(audience(all.text("access_token")), [A, C, issuer]);

    let codes = server.begin_device_for(&[A, C]).await;
    let_in(&server, &mut Browser::new(), &codes).await;
    let tokens = server.ask_device_for(&codes, &[]).await;
    assert_eq!(audience(tokens.text("access_token")), [A, C, issuer]);
    // Without any, as before: its own audience, which is none, and so we.
    let codes = server.begin_device_for(&[]).await;
    let shown = let_in(&server, &mut Browser::new(), &codes).await;
    assert!(!shown.contains("The archive"), "{shown}");
    let refused = server.ask_device_for(&codes, &[A]).await;
    refused.assert_error(400, "invalid_target");
    let tokens = server.ask_device_for(&codes, &[]).await;
    assert_eq!(audience(tokens.text("access_token")), [issuer]);
}

/// T17: as with an app.
#[tokio::test]
async fn a_resource_that_was_withdrawn_from_a_device_is_not_given() {
    let mut server = TestServer::start_with(apis).await;
    let some = server.begin_device_for(&[A, C]).await;
    let none = server.begin_device_for(&[A]).await;
    let_in(&server, &mut Browser::new(), &none).await;
    server.edit_config(
        "resources = [\"https://a.example.org\", \"https://b.example.org\", \"https://c.example.org\"]\nconsent",
        "resources = [\"https://c.example.org\"]\nconsent",
    );
    server.restart().await;
    let shown = let_in(&server, &mut Browser::new(), &some).await;
    assert!(
        !shown.contains("The archive") && shown.contains(C),
        "{shown}"
    );
    let tokens = server.ask_device_for(&some, &[]).await;
    assert_eq!(audience(tokens.text("access_token")), [C, &server.issuer]);
    let gone = server.ask_device_for(&none, &[]).await;
    gone.assert_error(400, "invalid_target");
}

/// A service names what it wants at the token endpoint.
#[tokio::test]
async fn a_service_asks_for_a_token_for_one_api() {
    let server = TestServer::start_with(apis).await;
    let ask = async |resources: &[&str]| {
        let mut parameters = vec![("grant_type", "client_credentials")];
        parameters.extend(resources.iter().map(|resource| ("resource", *resource)));
        server.token("both", &parameters).await
    };
    let default = ask(&[]).await;
    assert_eq!(audience(default.text("access_token")), [A], "as registered");
    assert_eq!(default.text("scope"), "a:read");
    let opaque = ask(&[B]).await;
    assert!(opaque.text("access_token").starts_with("portico_at_"));
    assert_eq!(opaque.text("scope"), "b:read");
    ask(&[C]).await.assert_error(400, "invalid_target");
    ask(&[A, C]).await.assert_error(400, "invalid_target");
}

/// RFC 7662 section 2.2: a client that stands for an API looks at tokens for that API, and sees what concerns it.
#[tokio::test]
async fn an_api_may_look_at_the_tokens_that_are_for_it() {
    let server = TestServer::start_with(apis).await;
    let code = server
        .code_for("many-app", "openid profile a:read b:read", &[A, B])
        .await;
    let tokens = server.redeem_for("many-app", &code, &[]).await;
    let both = tokens.text("access_token");
    assert!(both.starts_with("portico_at_"));
    let seen = server.introspect("api", both).await.body;
    assert_eq!(seen["active"], true, "{seen}");
    assert_eq!(
        seen["scope"], "a:read",
        "what it opens elsewhere is no business of A's"
    );
    assert_eq!(seen["client_id"], "many-app");
    assert_eq!(seen["sub"], claims(tokens.text("id_token"))["sub"]);
    assert!(seen.get("username").is_none(), "{seen}");
    let seen = server.introspect("other-api", both).await.body;
    assert_eq!(seen["scope"], "b:read");
    for client in ["web", "service", "both"] {
        server.assert_inactive(client, both).await;
    }
    // For A alone: B's client is told nothing.
    let refreshed = server
        .refresh_for("many-app", tokens.text("refresh_token"), &[A])
        .await;
    let only_a = refreshed.text("access_token");
    assert_eq!(server.introspect("api", only_a).await.body["active"], true);
    server.assert_inactive("other-api", only_a).await;
    // A refresh token is no token for an API, and to give back is its client's to do.
    server
        .assert_inactive("api", refreshed.text("refresh_token"))
        .await;
    let token = [("token", only_a)];
    let refused = server.show("/revoke", "api", &token).await;
    refused.assert_error(400, "invalid_grant");
    assert_eq!(server.show("/revoke", "many-app", &token).await.status, 200);
    server.assert_inactive("api", only_a).await;
}

/// T17: what an administrator has taken from the client since is not given, and the rest still is.
#[tokio::test]
async fn a_resource_that_was_withdrawn_is_not_given() {
    let mut server = TestServer::start_with(apis).await;
    let code = server.code_for("many-app", "openid a:read", &[A, C]).await;
    let both = server.redeem_for("many-app", &code, &[]).await;
    let code = server.code_for("many-app", "openid a:read", &[A]).await;
    let one = server.redeem_for("many-app", &code, &[]).await;
    server.edit_config(
        "resources = [\"https://a.example.org\", \"https://b.example.org\", \"https://c.example.org\"]",
        "resources = [\"https://c.example.org\"]",
    );
    server.restart().await;
    let left = server
        .refresh_for("many-app", both.text("refresh_token"), &[])
        .await;
    assert_eq!(audience(left.text("access_token")), [C, &server.issuer]);
    let gone = server
        .refresh_for("many-app", one.text("refresh_token"), &[])
        .await;
    gone.assert_error(400, "invalid_target");
}

/// A person is told for which APIs, agrees for these, and is asked again for others.
#[tokio::test]
async fn a_consent_is_for_the_resources_that_were_shown() {
    let server = TestServer::start_with(apis).await;
    let mut browser = Browser::new();
    let url = |resource: &str| {
        let changes = [("resource", resource), ("scope", "openid a:read")];
        server.authorize_url("careful-app", &changes)
    };
    let login = browser.open(url(A)).await;
    let page = browser.sign_in_as(&login, people::JO_SMITH).await;
    assert_eq!(page.url.path(), "/consent");
    assert!(page.body.contains("The archive"), "{}", page.body);
    let allow = [("decision", "allow")];
    let done = browser
        .submit(&page, "form[action='/consent']", &allow)
        .await;
    assert!(done.answer().contains_key("code"));
    let again = browser.get(url(A)).await;
    assert!(again.answer().contains_key("code"), "remembered");
    for resource in [C, ""] {
        let page = browser.open(url(resource)).await;
        assert_eq!(page.url.path(), "/consent", "{resource}");
        let name = if resource.is_empty() {
            "The archive"
        } else {
            C
        };
        assert_eq!(
            page.body.contains(name),
            !resource.is_empty(),
            "{}",
            page.body
        );
    }
}

/// RFC 9126 section 2, RFC 9101 section 4: a pushed request and a signed one name several as a plain one does.
#[tokio::test]
async fn pushed_and_signed_requests_name_resources_too() {
    let server = TestServer::start_with(|setup| {
        apis(setup);
        // The harness has a client that signs; here it may ask for APIs.
        let signing = format!(
            "[[clients]]\nclient_id = \"signing-app\"\ntoken_endpoint_auth_method = \"private_key_jwt\"\n\
             redirect_uris = [\"https://signing.example.org/callback\"]\nscope = \"openid a:read\"\n\
             resources = [\"{A}\", \"{C}\"]\n{}\n",
            jwks_line(&[&ClientKey::of_signed()])
        );
        setup.clients.push_str(&signing);
    })
    .await;
    let redirect_uri = redirect_uri("many-app");
    let pushed = [
        ("response_type", "code"),
        ("scope", "openid a:read"),
        ("redirect_uri", redirect_uri.as_str()),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("resource", A),
        ("resource", C),
    ];
    let par = http_client().post(server.url("/par"));
    let answered = server.send_as(par, "many-app", &pushed).await;
    assert_eq!(answered.status, 201, "{answered:?}");
    let mut url: url::Url = server.url("/authorize").parse().unwrap();
    url.query_pairs_mut()
        .append_pair("client_id", "many-app")
        .append_pair("request_uri", answered.text("request_uri"));
    let page = Browser::new().log_in_as(&url, people::JO_SMITH).await;
    let tokens = server.redeem("many-app", &page.answer()["code"], &[]).await;
    let named = [A, C, server.issuer.as_str()];
    assert_eq!(audience(tokens.text("access_token")), named);
    let par = http_client().post(server.url("/par"));
    let stranger = [&pushed[..], &[("resource", "https://d.example.org")]].concat();
    let refused = server.send_as(par, "many-app", &stranger).await;
    refused.assert_error(400, "invalid_target");

    let key = ClientKey::of_signed();
    let object = |resource: Value| {
        let claims = json!({
            "iss": "signing-app", "aud": server.issuer, "exp": server.clock.now() + 300,
            "client_id": "signing-app", "response_type": "code", "scope": "openid a:read",
            "redirect_uri": "https://signing.example.org/callback", "resource": resource,
            "code_challenge": CHALLENGE, "code_challenge_method": "S256",
        });
        key.sign(&key.header(), &claims)
    };
    for (resource, outcome) in [
        (json!([A, C]), "code"),
        (json!(A), "code"),
        (json!([A, B]), "error"),
        (json!([A, 1]), "error"),
    ] {
        let object = object(resource.clone());
        let changes = [("request", object.as_str())];
        let url = server.authorize_url("signing-app", &changes);
        let mut browser = Browser::new();
        let page = match outcome {
            "code" => browser.log_in_as(&url, people::JO_SMITH).await,
            _ => browser.get(&url).await,
        };
        assert!(page.answer().contains_key(outcome), "{resource} {page:?}");
    }
}
