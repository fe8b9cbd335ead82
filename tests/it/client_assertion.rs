//! `private_key_jwt` and `client_secret_jwt` (RFC 7523, OpenID Connect Core section 9): T39, T40, T41, T42, T47.

use futures_like::join_all;
use portico::clock::random_id;
use serde_json::{Value, json};

use crate::harness::browser::http_client;
use crate::harness::relying_party::{Answer, answer};
use crate::harness::server::{SERVICE_SECRET, SHARED_SECRET, TestServer};
use crate::harness::signing::{ASSERTION_TYPE, ClientKey, assertion_claims, jwks, jwks_line};
use crate::harness::site::{Page, Site};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// Runs what is given side by side.
mod futures_like {
    use std::future::Future;

    pub(super) async fn join_all<T: Send + 'static>(
        all: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
    ) -> Vec<T> {
        let running: Vec<_> = all.into_iter().map(tokio::spawn).collect();
        let mut outcomes = Vec::new();
        for each in running {
            outcomes.push(each.await.unwrap());
        }
        outcomes
    }
}

async fn ask(server: &TestServer, assertion: &str, more: &[(&str, &str)]) -> Answer {
    let mut form = vec![
        GRANT,
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ];
    form.extend(more);
    answer(http_client().post(server.url("/token")).form(&form)).await
}

/// A client that signs, of its own keys; `more` are lines of its registration.
fn client(client_id: &str, keys: &[&ClientKey], more: &str) -> String {
    format!(
        "[[clients]]\nclient_id = \"{client_id}\"\ntoken_endpoint_auth_method = \"private_key_jwt\"\n\
         grant_types = [\"client_credentials\"]\nscope = \"reports:read\"\n{}{more}\n",
        jwks_line(keys)
    )
}

fn refused(answer: &Answer, what: impl std::fmt::Display) {
    assert_eq!(answer.status, 401, "{what}: {answer:?}");
    answer.assert_error(401, "invalid_client");
    let calm =
        "client authentication failed: check client_id, the secret or assertion, and the method";
    assert_eq!(answer.text("error_description"), calm, "{what}");
}

/// RFC 7518 section 3.1, RFC 8037, RFC 9864 section 2.2.
#[tokio::test]
async fn every_algorithm_proves_a_client() {
    let keys = [
        ClientKey::new("RS256", "rsa"),
        ClientKey::new("PS256", "pss"),
        ClientKey::new("ES256", "ec"),
        ClientKey::new("EdDSA", "ed"),
    ];
    let all: Vec<&ClientKey> = keys.iter().collect();
    let server = TestServer::start_with(|setup| setup.clients = client("many", &all, "")).await;
    for key in &keys {
        let answered = ask(&server, &key.assertion(&server, "many"), &[]).await;
        assert_eq!(answered.status, 200, "{answered:?}");
        let assertion = key.assertion(&server, "many");
        let with_id = ask(&server, &assertion, &[("client_id", "many")]).await;
        assert_eq!(with_id.status, 200);
    }
    let mut header = keys[3].header();
    header["alg"] = "Ed25519".into();
    for typ in [
        json!(null),
        json!("JWT"),
        json!("client-authentication+jwt"),
    ] {
        header["typ"] = typ;
        if header["typ"].is_null() {
            header.as_object_mut().unwrap().remove("typ");
        }
        let assertion = keys[3].sign(&header, &assertion_claims(&server, "many"));
        assert_eq!(ask(&server, &assertion, &[]).await.status, 200, "{header}");
    }
}

/// T42: whoever sees an assertion go by can do nothing with it.
#[tokio::test]
async fn an_assertion_is_good_for_one_use_at_any_node() {
    let mut server = TestServer::start().await;
    let other = server.add_node().await;
    let assertion = ClientKey::of_signed().assertion(&server, "signed");
    let nodes = [server.url("/token"), format!("http://{other}/token")];
    let racers = (0..20).map(|racer| {
        let (node, assertion) = (nodes[racer % 2].clone(), assertion.clone());
        async move {
            let form = [
                GRANT,
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &assertion),
            ];
            answer(http_client().post(node).form(&form)).await
        }
    });
    let answers = join_all(racers).await;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(good, 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        refused(answer, "a second use");
    }
    // Until it has ended, and a little longer.
    server.clock.advance(59);
    refused(&ask(&server, &assertion, &[]).await, "later");
    // Two clients may think of the same id.
    let claims = assertion_claims(&server, "signed");
    let mut others = assertion_claims(&server, "shared");
    others["jti"] = claims["jti"].clone();
    let first = ClientKey::of_signed().jwt(&claims);
    assert_eq!(ask(&server, &first, &[]).await.status, 200);
    let second = ClientKey::shared(SHARED_SECRET).jwt(&others);
    let answer = ask(&server, &second, &[]).await;
    // Proven, and not registered for this grant.
    answer.assert_error(400, "unauthorized_client");
}

/// T39, T40, T41, T42: one calm answer whatever is wrong, and what was wrong is not spent.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a list of what can be wrong")]
async fn a_wrong_assertion_proves_nothing() {
    let server = TestServer::start().await;
    let key = ClientKey::of_signed();
    let now = server.clock.now();
    let good = assertion_claims(&server, "signed");
    for (name, wrong) in [
        ("iss", json!("web")),
        ("iss", json!(null)),
        ("sub", json!("web")),
        ("sub", json!(["signed"])),
        ("aud", json!([server.issuer])),
        ("aud", json!([server.issuer, "https://other.example.org"])),
        ("aud", json!(server.url("/token"))),
        ("aud", json!(format!("{}/", server.issuer))),
        ("aud", json!("https://other.example.org")),
        ("exp", json!(now)),
        ("exp", json!(now + 3600)),
        ("exp", json!((now + 60).to_string())),
        ("iat", json!(now + 60)),
        ("nbf", json!(now + 60)),
        ("jti", json!("")),
        ("jti", json!(7)),
        ("jti", json!("j".repeat(300))),
    ] {
        let mut claims = good.clone();
        claims[name] = wrong.clone();
        refused(
            &ask(&server, &key.jwt(&claims), &[]).await,
            format!("{name}: {wrong}"),
        );
    }
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        refused(
            &ask(&server, &key.jwt(&claims), &[]).await,
            format!("without {name}"),
        );
    }
    let attacker = ClientKey::new("EdDSA", "signed-1");
    for (name, value) in [
        ("typ", json!("at+jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("oauth-authz-req+jwt")),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("jwk", attacker.jwk()),
        ("jku", json!("https://attacker.example.org/keys")),
        ("x5u", json!("https://attacker.example.org/cert")),
        ("x5c", json!(["AAAA"])),
        ("kid", json!("signed-2")),
        ("kid", json!(1)),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("RS256")),
        ("alg", json!("ES256")),
        ("alg", json!(null)),
    ] {
        let mut header = key.header();
        header[name] = value.clone();
        if name == "jwk" {
            refused(
                &ask(&server, &key.sign(&header, &good), &[]).await,
                "a key comes along, though the true one signed",
            );
        }
        let signed = if name == "jwk" { &attacker } else { &key };
        refused(
            &ask(&server, &signed.sign(&header, &good), &[]).await,
            format!("{name}: {value}"),
        );
    }
    // T39: the public key as if it were a secret, in the spellings that somebody could try.
    let jwk = key.jwk();
    for secret in [jwk["x"].as_str().unwrap().to_owned(), jwk.to_string()] {
        let forged = ClientKey::shared(secret).jwt(&good);
        refused(&ask(&server, &forged, &[]).await, "HS256");
    }
    let token = key.jwt(&good);
    let (input, signature) = token.rsplit_once('.').unwrap();
    for mangled in [
        format!("{input}."),
        input.to_owned(),
        format!("{input}.{}", &signature[1..]),
        format!("{token}="),
        format!("{token}.e30"),
        attacker.jwt(&good),
        "e30.e30.e30".to_owned(),
        "x".to_owned(),
    ] {
        refused(&ask(&server, &mangled, &[]).await, mangled);
    }
    refused(
        &ask(&server, &token, &[("client_id", "web")]).await,
        "another's client_id",
    );
    // T48.
    let mut large = good.clone();
    large["padding"] = "p".repeat(8000).into();
    let answered = ask(&server, &key.jwt(&large), &[]).await;
    answered.assert_error(400, "invalid_request");
    assert_eq!(
        ask(&server, &token, &[]).await.status,
        200,
        "it was not spent"
    );
}

/// FAPI 2.0 Security Profile section 5.3.2.1.
#[tokio::test]
async fn a_clock_ten_seconds_ahead_is_taken_and_one_of_sixty_refused() {
    let server = TestServer::start().await;
    let key = ClientKey::of_signed();
    for (ahead, status) in [(10, 200), (60, 401)] {
        for name in ["iat", "nbf"] {
            let mut claims = assertion_claims(&server, "signed");
            claims[name] = json!(server.clock.now() + ahead);
            let answered = ask(&server, &key.jwt(&claims), &[]).await;
            assert_eq!(answered.status, status, "{name} {ahead} s ahead");
        }
    }
}

/// Core section 9: each client by the method it is registered for, and by no other; RFC 6749 section 2.3: one a request.
#[tokio::test]
async fn a_client_signs_if_it_is_registered_so_and_only_then() {
    let server = TestServer::start().await;
    let key = ClientKey::of_signed();
    // By another method than its own.
    let secret = ClientKey::shared(SERVICE_SECRET);
    refused(
        &ask(&server, &secret.assertion(&server, "service"), &[]).await,
        "service",
    );
    refused(
        &ask(&server, &key.assertion(&server, "service"), &[]).await,
        "service",
    );
    refused(
        &ask(&server, &key.assertion(&server, "spa"), &[]).await,
        "spa",
    );
    refused(
        &ask(&server, &key.assertion(&server, "nobody"), &[]).await,
        "nobody",
    );
    refused(
        &ask(&server, &key.assertion(&server, "shared"), &[]).await,
        "shared",
    );
    let shared = ClientKey::shared(SHARED_SECRET);
    refused(
        &ask(&server, &shared.assertion(&server, "signed"), &[]).await,
        "signed",
    );
    for id in ["signed", "shared"] {
        let by_id = http_client()
            .post(server.url("/token"))
            .form(&[GRANT, ("client_id", id)]);
        refused(&answer(by_id).await, id);
        let form = [GRANT, ("client_id", id), ("client_secret", SHARED_SECRET)];
        refused(
            &answer(http_client().post(server.url("/token")).form(&form)).await,
            id,
        );
        let basic = http_client().post(server.url("/token"));
        let basic = basic.basic_auth(id, Some(SHARED_SECRET)).form(&[GRANT]);
        refused(&answer(basic).await, id);
    }
    // Two at once.
    let assertion = key.assertion(&server, "signed");
    let twice = ask(&server, &assertion, &[("client_secret", "s")]).await;
    twice.assert_error(400, "invalid_request");
    let form = [
        GRANT,
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &assertion),
    ];
    let twice = http_client().post(server.url("/token"));
    let twice = twice
        .basic_auth("service", Some(SERVICE_SECRET))
        .form(&form);
    answer(twice).await.assert_error(400, "invalid_request");
    for kind in [
        "",
        "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
    ] {
        let form = [
            GRANT,
            ("client_assertion_type", kind),
            ("client_assertion", &assertion),
        ];
        let other = answer(http_client().post(server.url("/token")).form(&form)).await;
        other.assert_error(400, "invalid_request");
    }
    assert_eq!(ask(&server, &assertion, &[]).await.status, 200);
}

/// T39: the algorithm is what the registration says, or what the key says, and no other that the key could do.
#[tokio::test]
async fn the_registration_and_the_key_pin_the_algorithm() {
    let (pkcs1, pss) = (
        ClientKey::new("RS256", "one"),
        ClientKey::new("PS256", "two"),
    );
    let mut told = pss.jwk();
    told["alg"] = "RS256".into();
    let told = toml::Value::try_from(json!({ "keys": [told] })).unwrap();
    let server = TestServer::start_with(|setup| {
        setup.clients = client(
            "pinned",
            &[&pkcs1, &pss],
            "token_endpoint_auth_signing_alg = \"PS256\"",
        ) + &client("told", &[&pss], "")
            .replace(&jwks_line(&[&pss]), &format!("jwks = {told}\n"));
    })
    .await;
    let pinned = |key: &ClientKey| key.assertion(&server, "pinned");
    refused(&ask(&server, &pinned(&pkcs1), &[]).await, "RS256");
    assert_eq!(ask(&server, &pinned(&pss), &[]).await.status, 200);
    refused(
        &ask(&server, &pss.assertion(&server, "told"), &[]).await,
        "PS256",
    );
}

/// For libraries that know no better; said aloud at the start.
#[tokio::test]
async fn the_token_endpoint_is_an_audience_where_the_registration_says_so() {
    let key = ClientKey::new("ES256", "one");
    let server = TestServer::start_with(|setup| {
        setup.clients = client("old", &[&key], "allow_token_endpoint_audience = true");
    })
    .await;
    for (aud, status) in [
        (json!(server.url("/token")), 200),
        (json!(server.issuer), 200),
        (json!([server.url("/token")]), 401),
        (json!(server.url("/authorize")), 401),
    ] {
        let mut claims = assertion_claims(&server, "old");
        claims["aud"] = aud.clone();
        let answered = ask(&server, &key.jwt(&claims), &[]).await;
        assert_eq!(answered.status, status, "{aud}");
    }
}

/// Two secrets live while one replaces the other; at rest neither can be read.
#[tokio::test]
async fn a_secret_that_is_signed_with_is_sealed_and_can_be_replaced() {
    let mut server = TestServer::start().await;
    let redeem = |server: &TestServer, secret: &str| {
        let assertion = ClientKey::shared(secret).assertion(server, "shared");
        let form = [
            ("grant_type".to_owned(), "authorization_code".to_owned()),
            ("code".to_owned(), "none".to_owned()),
            (
                "client_assertion_type".to_owned(),
                ASSERTION_TYPE.to_owned(),
            ),
            ("client_assertion".to_owned(), assertion),
        ];
        answer(http_client().post(server.url("/token")).form(&form))
    };
    // Known, and then told that the code is none.
    redeem(&server, SHARED_SECRET)
        .await
        .assert_error(400, "invalid_grant");
    refused(&redeem(&server, SERVICE_SECRET).await, "before");
    let stored = || async {
        let pool = server.database.pool().await;
        let stored: String = sqlx::query_scalar("SELECT secrets FROM client WHERE id = 'shared'")
            .fetch_one(&pool)
            .await
            .unwrap();
        stored
    };
    let before = stored().await;
    assert!(
        !before.contains(SHARED_SECRET) && before.contains("sealed"),
        "{before}"
    );
    server.restart().await;
    let stored = || async {
        let pool = server.database.pool().await;
        let stored: String = sqlx::query_scalar("SELECT secrets FROM client WHERE id = 'shared'")
            .fetch_one(&pool)
            .await
            .unwrap();
        stored
    };
    assert_eq!(stored().await, before, "a start changes nothing");
    server.edit_config(
        "client_secret = { env = \"SHARED_SECRET\" }",
        "client_secret = [{ env = \"SHARED_SECRET\" }, { env = \"SERVICE_SECRET\" }]",
    );
    server.restart().await;
    for secret in [SHARED_SECRET, SERVICE_SECRET] {
        redeem(&server, secret)
            .await
            .assert_error(400, "invalid_grant");
    }
}

/// A server with a client whose keys are on its web site.
async fn with_site() -> (TestServer, Site) {
    let site = Site::start().await;
    let uri = format!("jwks_uri = \"{}/jwks\"", site.url);
    let server = TestServer::start_with(|setup| {
        setup.sections += "[outbound]\nallow_hosts = [\"127.0.0.1\"]\n";
        let key = ClientKey::of_signed();
        setup.clients =
            client("rotating", &[&key], "").replace(&jwks_line(&[&key]), &format!("{uri}\n"));
    })
    .await;
    (server, site)
}

/// T47: a client that changes its keys is followed, and nobody can make us ask it without end.
#[tokio::test]
async fn keys_are_fetched_again_when_they_change_and_without_a_storm() {
    let (server, site) = with_site().await;
    let (old, new) = (
        ClientKey::new("ES256", "old"),
        ClientKey::new("EdDSA", "new"),
    );
    site.set_json("/jwks", &jwks(&[&old]));
    let by = |key: &ClientKey| key.assertion(&server, "rotating");
    for _ in 0..5 {
        assert_eq!(ask(&server, &by(&old), &[]).await.status, 200);
    }
    assert_eq!(site.hits("/jwks"), 1);
    // An unknown name, at once and many times.
    for _ in 0..5 {
        refused(&ask(&server, &by(&new), &[]).await, "not published yet");
    }
    assert_eq!(site.hits("/jwks"), 1, "it was fetched a moment ago");
    site.set_json("/jwks", &jwks(&[&new]));
    server.clock.advance(5);
    assert_eq!(ask(&server, &by(&new), &[]).await.status, 200);
    assert_eq!(site.hits("/jwks"), 2);
    refused(&ask(&server, &by(&old), &[]).await, "withdrawn");
    // The same name for another key.
    let same_name = ClientKey::new("EdDSA", "new");
    site.set_json("/jwks", &jwks(&[&same_name]));
    server.clock.advance(5);
    assert_eq!(ask(&server, &by(&same_name), &[]).await.status, 200);
    // However many forged ones come.
    let forged = ClientKey::new("ES256", "forged");
    let before = site.hits("/jwks");
    for _ in 0..60 {
        refused(&ask(&server, &by(&forged), &[]).await, "forged");
        server.clock.advance(1);
    }
    assert!(site.hits("/jwks") - before <= 12, "{}", site.hits("/jwks"));
}

/// A client's outage is not ours, for a while; and what was withdrawn does not live for ever.
#[tokio::test]
async fn old_keys_are_used_while_none_can_be_had_for_a_limited_time() {
    let (server, site) = with_site().await;
    let key = ClientKey::new("ES256", "one");
    refused(
        &ask(&server, &key.assertion(&server, "rotating"), &[]).await,
        "nothing there",
    );
    site.set_json("/jwks", &jwks(&[&key]));
    refused(
        &ask(&server, &key.assertion(&server, "rotating"), &[]).await,
        "left alone",
    );
    server.clock.advance(30);
    let first = ask(&server, &key.assertion(&server, "rotating"), &[]).await;
    assert_eq!(first.status, 200);
    site.remove("/jwks");
    server.clock.advance(3600);
    for _ in 0..3 {
        let later = ask(&server, &key.assertion(&server, "rotating"), &[]).await;
        assert_eq!(later.status, 200, "while it is away");
    }
    assert_eq!(site.hits("/jwks"), 3);
    for (page, what) in [
        (Page::Body("text/html", jwks(&[&key]).to_string()), "html"),
        (Page::Body("application/json", "{}".to_owned()), "no keys"),
        (
            Page::Body("application/json", "nonsense".to_owned()),
            "no JSON",
        ),
    ] {
        site.set("/jwks", page);
        server.clock.advance(3600);
        let later = ask(&server, &key.assertion(&server, "rotating"), &[]).await;
        assert_eq!(later.status, 200, "{what}");
    }
    server.clock.advance(9 * 3600);
    refused(
        &ask(&server, &key.assertion(&server, "rotating"), &[]).await,
        "too old",
    );
}

/// Keys that were fetched while the clock stood ahead are not current until it is reached again, nor good while others cannot be had.
#[tokio::test]
async fn keys_of_a_clock_that_was_ahead_are_fetched_again() {
    let (server, site) = with_site().await;
    let (old, new) = (
        ClientKey::new("ES256", "old"),
        ClientKey::new("EdDSA", "new"),
    );
    let ask = async |key: &ClientKey| ask(&server, &key.assertion(&server, "rotating"), &[]).await;
    site.set_json("/jwks", &jwks(&[&old]));
    server.clock.advance(24 * 3600);
    assert_eq!(ask(&old).await.status, 200);
    server.clock.advance(-24 * 3600);
    site.set_json("/jwks", &jwks(&[&new]));
    refused(&ask(&old).await, "withdrawn");
    assert_eq!(ask(&new).await.status, 200);
    server.clock.advance(24 * 3600);
    assert_eq!(ask(&new).await.status, 200);
    server.clock.advance(-24 * 3600);
    site.remove("/jwks");
    refused(&ask(&new).await, "of no known age");
}

/// T36: not even if it says so itself.
#[tokio::test]
async fn keys_are_fetched_from_nowhere_but_the_public_internet() {
    let site = Site::start().await;
    let uri = site
        .url
        .replace("127.0.0.1", "localhost")
        .replace("http://", "https://");
    let key = ClientKey::of_signed();
    let server = TestServer::start_with(|setup| {
        setup.clients = client("inside", &[&key], "")
            .replace(&jwks_line(&[&key]), &format!("jwks_uri = \"{uri}/jwks\"\n"));
    })
    .await;
    refused(
        &ask(&server, &key.assertion(&server, "inside"), &[]).await,
        "loopback",
    );
    assert_eq!(site.hits("/jwks"), 0);
}

/// T60: neither an assertion nor its id comes back.
#[tokio::test]
async fn a_refusal_repeats_nothing() {
    let server = TestServer::start().await;
    let mut claims = assertion_claims(&server, "signed");
    let jti = random_id();
    claims["jti"] = Value::from(jti.clone());
    claims["aud"] = json!("https://other.example.org");
    let assertion = ClientKey::of_signed().jwt(&claims);
    let answered = ask(&server, &assertion, &[]).await;
    let told = format!("{answered:?}");
    assert!(!told.contains(&jti) && !told.contains(&assertion));
}
