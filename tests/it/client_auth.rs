//! How clients prove who they are, and the token endpoint's refusals before any grant is looked at (RFC 6749 sections
//! 2.3, 3.2 and 5.2; T8, T48, T49, T58).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder};

use crate::harness::browser::http_client;
use crate::harness::relying_party::{Answer, VERIFIER, answer, redirect_uri};
use crate::harness::server::{
    CHOSEN_CLIENT, CHOSEN_SECRET, POST_SECRET, SERVICE_SECRET, TestServer, WEB_SECRET,
};
use crate::refresh::join_all;

const CREDENTIALS: (&str, &str) = ("grant_type", "client_credentials");

fn basic(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

impl TestServer {
    fn token_request(&self) -> RequestBuilder {
        http_client().post(self.url("/token"))
    }

    async fn service_by(&self, authorization: &str) -> Answer {
        let request = self.token_request().header(AUTHORIZATION, authorization);
        answer(request.form(&[CREDENTIALS])).await
    }
}

fn assert_unauthorized(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 401, "{what} {answer:?}");
    answer.assert_error(401, "invalid_client");
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.starts_with("Basic realm="),
        "RFC 9110 section 15.5.2"
    );
    assert_eq!(answer.headers["content-type"], "application/json");
}

async fn with_chosen() -> TestServer {
    TestServer::start_with(|setup| setup.clients = CHOSEN_CLIENT.to_owned()).await
}

/// OpenID Connect Core section 9: each client by the method it is registered for, and by no other.
#[tokio::test]
async fn a_client_authenticates_as_it_is_registered() {
    let server = with_chosen().await;
    for client in ["web", "chosen", "post", "spa"] {
        let code = server.code(client, &[]).await;
        let redirect_uri = redirect_uri(client);
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", VERIFIER),
        ];
        let by_header = |secret: &str| {
            let request = server.token_request();
            request.basic_auth(client, Some(secret)).form(&grant)
        };
        let by_body = |secret: Option<&str>| {
            let id = [("client_id", client)];
            let secret = secret.map(|secret| ("client_secret", secret));
            let form: Vec<_> = grant.iter().copied().chain(id).chain(secret).collect();
            server.token_request().form(&form)
        };
        let (own, attempts) = match client {
            "web" => (
                by_header(WEB_SECRET),
                [by_body(Some(WEB_SECRET)), by_body(None)],
            ),
            "chosen" => (
                by_header(CHOSEN_SECRET),
                [by_body(Some(CHOSEN_SECRET)), by_body(None)],
            ),
            "post" => (
                by_body(Some(POST_SECRET)),
                [by_header(POST_SECRET), by_body(None)],
            ),
            _ => (
                by_body(None),
                [by_header("anything"), by_body(Some("anything"))],
            ),
        };
        for attempt in attempts {
            assert_unauthorized(&answer(attempt).await, client);
        }
        let redeemed = answer(own).await;
        assert_eq!(redeemed.status, 200, "{client}: {redeemed:?}");
    }
}

/// A secret that a human chose is looked at where the others are.
#[tokio::test]
async fn a_chosen_secret_opens_every_endpoint() {
    let server = with_chosen().await;
    for path in [
        "/token",
        "/introspect",
        "/revoke",
        "/par",
        "/device_authorization",
    ] {
        let ask = |secret: &str| {
            let request = http_client().post(server.url(path)).form(&[CREDENTIALS]);
            answer(request.basic_auth("chosen", Some(secret)))
        };
        assert_unauthorized(&ask(WEB_SECRET).await, path);
        assert_ne!(ask(CHOSEN_SECRET).await.status, 401, "{path}");
    }
}

/// T58: what is wrong is nobody's business.
#[tokio::test]
async fn an_unknown_client_and_a_wrong_secret_get_the_same_answer() {
    let server = with_chosen().await;
    let telling = |headers: &HeaderMap| {
        let mut headers = headers.clone();
        headers.remove("date");
        headers.remove("x-request-id");
        headers
    };
    let mut answers = Vec::new();
    for (client, secret) in [
        ("nobody", "wrong"),
        ("nobody", SERVICE_SECRET),
        ("service", "wrong"),
        ("service", &SERVICE_SECRET[1..]),
        ("service", ""),
        ("service", WEB_SECRET),
        ("web", "wrong"),
        ("web", ""),
        ("chosen", "wrong"),
        ("chosen", ""),
        ("spa", "wrong"),
        ("post", POST_SECRET),
    ] {
        let by_header = server
            .service_by(&basic(&format!("{client}:{secret}")))
            .await;
        assert_unauthorized(&by_header, client);
        answers.push((by_header.body.clone(), telling(&by_header.headers)));
    }
    for body in [
        [("client_id", "nobody"), ("client_secret", "wrong")],
        [("client_id", "post"), ("client_secret", "wrong")],
        [("client_id", "service"), ("client_secret", SERVICE_SECRET)],
        // Nothing after the equals sign: no secret at all.
        [("client_id", "web"), ("client_secret", "")],
        [("client_id", "nobody"), ("client_secret", "")],
    ] {
        let form: Vec<_> = body.into_iter().chain([CREDENTIALS]).collect();
        let by_body = answer(server.token_request().form(&form)).await;
        assert_unauthorized(&by_body, body[0].1);
        answers.push((by_body.body.clone(), telling(&by_body.headers)));
    }
    let first = answers[0].clone();
    assert!(
        answers.iter().all(|answer| *answer == first),
        "{answers:#?}"
    );
}

/// T48, T49: strict Basic, both halves decoded as RFC 6749 section 2.3.1 has it.
#[tokio::test]
async fn basic_is_read_strictly() {
    let server = TestServer::start().await;
    let escaped = format!("%73ervice:{}", SERVICE_SECRET.replace('_', "%5F"));
    for good in [
        basic(&format!("service:{SERVICE_SECRET}")),
        basic(&escaped),
        basic(&format!("service:{SERVICE_SECRET}")).replacen("Basic", "bASIC", 1),
    ] {
        assert_eq!(server.service_by(&good).await.status, 200, "{good}");
    }
    let plain = STANDARD.encode(format!("service:{SERVICE_SECRET}"));
    for bad in [
        "Basic".to_owned(),
        "Basic ".to_owned(),
        format!("Basic  {plain}"),
        format!("Basic\t{plain}"),
        format!("Basic {plain}="),
        format!(
            "Basic {}",
            plain.trim_end_matches('=').replacen('c', "-", 1)
        ),
        format!("Basic {plain}, Basic {plain}"),
        format!("Bearer {plain}"),
        format!("Digest {plain}"),
        basic(&format!("service{SERVICE_SECRET}")),
        basic(&format!(":{SERVICE_SECRET}")),
        basic(&format!("service:{SERVICE_SECRET}:")),
        basic(&format!("service:{SERVICE_SECRET}%00")),
        basic(&format!("service:{SERVICE_SECRET}\0")),
        basic(&format!("service:{SERVICE_SECRET}%ff")),
        basic(&format!("service: {SERVICE_SECRET}")),
        basic(&format!("SERVICE:{SERVICE_SECRET}")),
        basic(&format!("service:{}", "x".repeat(4096))),
    ] {
        assert_unauthorized(&server.service_by(&bad).await, &bad);
    }
}

/// RFC 6749 section 2.3: one method in a request.
#[tokio::test]
async fn two_proofs_at_once_are_refused() {
    let server = TestServer::start().await;
    let good = basic(&format!("service:{SERVICE_SECRET}"));
    for (extra, status, error) in [
        (("client_secret", SERVICE_SECRET), 400, "invalid_request"),
        (("client_id", "web"), 400, "invalid_request"),
        (("client_assertion", "e30.e30.AA"), 400, "invalid_request"),
    ] {
        let request = server.token_request().header(AUTHORIZATION, &good);
        let refused = answer(request.form(&[CREDENTIALS, extra])).await;
        refused.assert_error(status, error);
    }
    let twice = server
        .token_request()
        .header(AUTHORIZATION, &good)
        .header(AUTHORIZATION, &good);
    answer(twice.form(&[CREDENTIALS]))
        .await
        .assert_error(400, "invalid_request");
    // The same name twice over is one opinion; many libraries send it.
    let request = server.token_request().header(AUTHORIZATION, &good);
    let same = answer(request.form(&[CREDENTIALS, ("client_id", "service")])).await;
    assert_eq!(same.status, 200);
}

/// RFC 6749 section 2.3.1: never in the request URI.
#[tokio::test]
async fn the_query_is_not_read() {
    let server = TestServer::start().await;
    let query = format!("client_id=post&client_secret={POST_SECRET}&grant_type=client_credentials");
    let url = format!("{}?{query}", server.url("/token"));
    let refused = answer(http_client().post(url).form(&[CREDENTIALS])).await;
    assert_unauthorized(&refused, "credentials in the query");
}

/// Two secrets live at once, so that they can be changed without downtime (design, section 4).
#[tokio::test]
async fn a_client_may_have_two_secrets_while_one_replaces_the_other() {
    let server = TestServer::start_with(|setup| {
        setup.clients = r#"
[[clients]]
client_id = "changing"
client_secret = [{ env = "CHOSEN_SECRET" }, { env = "POST_SECRET" }]
grant_types = ["client_credentials"]
"#
        .to_owned();
    })
    .await;
    for (secret, status) in [
        (CHOSEN_SECRET, 200),
        (POST_SECRET, 200),
        (SERVICE_SECRET, 401),
    ] {
        let answer = server
            .service_by(&basic(&format!("changing:{secret}")))
            .await;
        assert_eq!(answer.status, status);
    }
}

/// RFC 6749 section 5.2; T8, T49.
#[tokio::test]
async fn each_fault_of_a_token_request_has_its_error() {
    let server = TestServer::start().await;
    let form = "application/x-www-form-urlencoded";
    let json = r#"{"grant_type":"client_credentials"}"#;
    for (content_type, body, error) in [
        (form, "", "invalid_request"),
        (form, "grant_type=", "invalid_request"),
        (form, "scope=reports:read", "invalid_request"),
        (
            form,
            "grant_type=password&username=a&password=b",
            "unauthorized_client",
        ),
        (
            form,
            "grant_type=CLIENT_CREDENTIALS",
            "unsupported_grant_type",
        ),
        (
            form,
            "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer",
            "unsupported_grant_type",
        ),
        (
            form,
            "grant_type=authorization_code&code=x",
            "unauthorized_client",
        ),
        (
            form,
            "grant_type=refresh_token&refresh_token=x",
            "unauthorized_client",
        ),
        (
            form,
            "grant_type=client_credentials&grant_type=client_credentials",
            "invalid_request",
        ),
        (
            form,
            "grant_type=client_credentials&scope=reports:read&scope=reports:read",
            "invalid_request",
        ),
        (
            form,
            "grant_type=client_credentials&x=1&x=2",
            "invalid_request",
        ),
        (
            form,
            "grant_type=client_credentials&x=%00",
            "invalid_request",
        ),
        (
            form,
            "grant_type=client_credentials&x=%ff",
            "invalid_request",
        ),
        (form, "grant_type[]=client_credentials", "invalid_request"),
        (form, json, "invalid_request"),
        ("application/json", json, "invalid_request"),
        (
            "application/json",
            r#"{"grant_type":"client_credentials","grant_type":"x"}"#,
            "invalid_request",
        ),
        ("application/json", "[]", "invalid_request"),
        (
            "text/plain",
            "grant_type=client_credentials",
            "invalid_request",
        ),
        (
            "multipart/form-data; boundary=x",
            "grant_type=client_credentials",
            "invalid_request",
        ),
        ("", "grant_type=client_credentials", "invalid_request"),
    ] {
        let mut request = server
            .token_request()
            .basic_auth("service", Some(SERVICE_SECRET));
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let refused = answer(request.body(body)).await;
        assert_eq!(
            refused.body["error"], error,
            "{content_type} {body} {refused:?}"
        );
        refused.assert_error(400, error);
        assert_eq!(refused.headers["content-type"], "application/json");
        assert!(refused.headers.get("www-authenticate").is_none());
    }
    let parameters = "Application/X-WWW-Form-Urlencoded ; charset=UTF-8";
    let request = server.token_request().header(CONTENT_TYPE, parameters);
    let request = request.basic_auth("service", Some(SERVICE_SECRET));
    let good = answer(request.body("grant_type=client_credentials&unknown=x&&")).await;
    assert_eq!(good.status, 200, "{good:?}");
}

/// RFC 6749 section 4.1.3, 6: each grant says what it misses.
#[tokio::test]
async fn a_grant_without_its_parameters_is_an_invalid_request() {
    let server = TestServer::start().await;
    let long = "x".repeat(2000);
    for (grant, parameter) in [
        ("authorization_code", ("code", "")),
        ("authorization_code", ("code", long.as_str())),
        ("refresh_token", ("refresh_token", "")),
        ("refresh_token", ("refresh_token", long.as_str())),
    ] {
        let refused = server
            .token("spa", &[("grant_type", grant), parameter])
            .await;
        refused.assert_error(400, "invalid_request");
    }
    let forms = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "x"),
        ("scope", "\""),
    ];
    server
        .token("spa", &forms)
        .await
        .assert_error(400, "invalid_scope");
}

/// RFC 6749 section 3.2: POST alone.
#[tokio::test]
async fn tokens_are_posted_for() {
    let server = TestServer::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        let request = http_client().request(method.clone(), server.url("/token"));
        let request = request
            .query(&[CREDENTIALS])
            .basic_auth("service", Some(SERVICE_SECRET));
        let refused = answer(request).await;
        assert_eq!(refused.status, 405, "{method}");
        assert_eq!(refused.headers[ALLOW], "POST");
        assert_eq!(refused.headers["cache-control"], "no-store");
    }
}

/// RFC 6749 section 2.3.1: a secret that a human chose cannot be guessed at for ever, nor occupy the processors.
#[tokio::test]
async fn only_so_many_wrong_secrets_of_one_address_are_tried() {
    let server = TestServer::start_with(|setup| {
        setup.sections =
            "[login]\nrefusal_floor = \"0s\"\nmax_attempts_per_address = 4\n".to_owned();
        setup.server = "trusted_proxies = [\"127.0.0.1\"]".to_owned();
        setup.clients = CHOSEN_CLIENT.to_owned();
    })
    .await;
    let ask = |from: &str, secret: String| {
        let request = http_client()
            .post(server.url("/token"))
            .header("x-forwarded-for", from)
            .basic_auth("chosen", Some(secret))
            .form(&[("grant_type", "authorization_code"), ("code", "x")]);
        answer(request)
    };
    let (guesser, app) = ("192.0.2.1", "192.0.2.2");
    // Whoever knows the secret uses up nothing.
    for _ in 0..6 {
        let answer = ask(app, CHOSEN_SECRET.to_owned()).await;
        answer.assert_error(400, "invalid_grant");
    }
    for number in 0..4 {
        let answer = ask(guesser, format!("guess-{number}")).await;
        answer.assert_error(401, "invalid_client");
    }
    let answer = ask(guesser, CHOSEN_SECRET.to_owned()).await;
    answer.assert_error(503, "temporarily_unavailable");
    let answer = ask(app, CHOSEN_SECRET.to_owned()).await;
    answer.assert_error(400, "invalid_grant");
    server.clock.advance(15 * 60);
    let answer = ask(guesser, CHOSEN_SECRET.to_owned()).await;
    answer.assert_error(400, "invalid_grant");
}

/// An app that knows its secret and comes again as it is told is not locked out: what was not judged is not counted.
#[tokio::test]
async fn a_secret_that_was_not_judged_is_not_counted() {
    let server = TestServer::start_with(|setup| {
        setup.sections =
            "[login]\nrefusal_floor = \"0s\"\nmax_attempts_per_address = 1000000\n".to_owned();
        setup.clients = CHOSEN_CLIENT.to_owned();
    })
    .await;
    let ask = || {
        let request = http_client()
            .post(server.url("/token"))
            .basic_auth("chosen", Some(CHOSEN_SECRET))
            .form(&[("grant_type", "authorization_code"), ("code", "x")]);
        answer(request)
    };
    let pool = server.database.pool().await;
    let counted = async || -> i64 {
        sqlx::query_scalar("SELECT CAST(COALESCE(SUM(attempts), 0) AS BIGINT) FROM throttle")
            .fetch_one(&pool)
            .await
            .unwrap()
    };
    // More than run and wait (`passwords`).
    let cores = std::thread::available_parallelism().unwrap().get();
    let answers = join_all((0..cores * 33 + 100).map(|_| ask())).await;
    let busy = answers.iter().filter(|answer| answer.status == 503);
    assert!(busy.count() > 0, "the queue was never full");
    for answer in &answers {
        let code = answer.text("error");
        let expected = if answer.status == 503 {
            "temporarily_unavailable"
        } else {
            "invalid_grant"
        };
        assert_eq!(code, expected, "{answer:?}");
    }
    assert_eq!(counted().await, 0);
    ask().await.assert_error(400, "invalid_grant");
}

/// A hash that cannot be read is our fault, and no guess.
#[tokio::test]
async fn a_secret_whose_hash_is_damaged_is_not_counted() {
    let server = with_chosen().await;
    let pool = server.database.pool().await;
    let damage = "UPDATE client SET secrets = REPLACE(secrets, 'argon2id$v', 'argon2x$v')
         WHERE id = 'chosen'";
    let damaged = sqlx::query(damage).execute(&pool).await.unwrap();
    assert_eq!(damaged.rows_affected(), 1);
    let request = http_client()
        .post(server.url("/token"))
        .basic_auth("chosen", Some(CHOSEN_SECRET))
        .form(&[("grant_type", "authorization_code"), ("code", "x")]);
    answer(request).await.assert_error(500, "server_error");
    let sum = "SELECT CAST(COALESCE(SUM(attempts), 0) AS BIGINT) FROM throttle";
    let counted: i64 = sqlx::query_scalar(sum).fetch_one(&pool).await.unwrap();
    assert_eq!(counted, 0);
}
