//! DPoP (RFC 9449): tokens, codes and refresh tokens that belong to a key (T20, T43, T53, T56).

use portico::protocol::dpop::ath;
use portico::protocol::jws::SigningAlgorithm;
use portico::simulator::people;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};

use crate::harness::browser::{Browser, http_client};
use crate::harness::dpop::ProofKey;
use crate::harness::relying_party::{Answer, VERIFIER, answer, claims, redirect_uri};
use crate::harness::server::{Setup, TestServer};
use crate::harness::signing::ClientKey;
use crate::refresh::{Stall, live_families};
use crate::revocation::opaque_clients;
use crate::{gateway, token_exchange};

const USERINFO: (&str, &str) = ("GET", "/userinfo");

/// A token request with this proof.
async fn token(server: &TestServer, client_id: &str, form: &[(&str, &str)], proof: &str) -> Answer {
    let request = http_client()
        .post(server.url("/token"))
        .header("DPoP", proof);
    server.send_as(request, client_id, form).await
}

async fn redeem(server: &TestServer, client_id: &str, code: &str, proof: &str) -> Answer {
    let redirect_uri = redirect_uri(client_id);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    token(server, client_id, &form, proof).await
}

async fn refresh(server: &TestServer, client_id: &str, refresh_token: &str, proof: &str) -> Answer {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
    ];
    token(server, client_id, &form, proof).await
}

/// Tokens of Jo Smith's, bound to `key`.
async fn bound(server: &TestServer, client_id: &str, scope: &str, key: &ProofKey) -> Answer {
    let code = server.code(client_id, &[("scope", scope)]).await;
    let tokens = redeem(server, client_id, &code, &key.for_token(server)).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.body["token_type"], "DPoP");
    let access_token = claims(tokens.text("access_token"));
    assert_eq!(access_token["cnf"], json!({ "jkt": key.jkt() }));
    tokens
}

async fn call(server: &TestServer, path: &str, authorization: &str, proof: Option<&str>) -> Answer {
    let mut request = http_client()
        .get(server.url(path))
        .header(AUTHORIZATION, authorization);
    if let Some(proof) = proof {
        request = request.header("DPoP", proof);
    }
    answer(request).await
}

async fn userinfo(server: &TestServer, access_token: &str, proof: &str) -> Answer {
    call(
        server,
        "/userinfo",
        &format!("DPoP {access_token}"),
        Some(proof),
    )
    .await
}

fn challenges(answer: &Answer) -> Vec<&str> {
    let all = answer.headers.get_all("www-authenticate").iter();
    all.map(|each| each.to_str().unwrap()).collect()
}

const ALGORITHMS: &str = "algs=\"ES256 EdDSA Ed25519 PS256\"";

/// RFC 9449 section 7.1: refused, in a challenge of the scheme that was used.
fn assert_refused(answer: &Answer, error: &str) {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.body["error"], error, "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let [challenge] = challenges(answer)[..] else {
        panic!("not one challenge: {answer:?}")
    };
    let begin = format!("DPoP error=\"{error}\", error_description=\"");
    assert!(challenge.starts_with(&begin), "{challenge}");
    assert!(
        challenge.ends_with(&format!(", {ALGORITHMS}")),
        "{challenge}"
    );
}

/// RFC 9449 sections 5, 6.1 and 7.1.
#[tokio::test]
async fn a_token_for_a_key_opens_userinfo_to_whoever_proves_the_key() {
    let server = TestServer::start().await;
    for algorithm in [
        SigningAlgorithm::ES256,
        SigningAlgorithm::EdDSA,
        SigningAlgorithm::PS256,
    ] {
        let key = ProofKey::of(algorithm);
        let tokens = bound(&server, "spa", "openid email", &key).await;
        let token = tokens.text("access_token");
        for scheme in ["DPoP", "dpop", "DPOP"] {
            let proof = key.with_token(&server, USERINFO, token);
            let answer = call(
                &server,
                "/userinfo",
                &format!("{scheme} {token}"),
                Some(&proof),
            )
            .await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.body["email"], people::JO_SMITH.email);
        }
        let proof = key.with_token(&server, ("POST", "/userinfo"), token);
        let by_post = http_client()
            .post(server.url("/userinfo"))
            .header(AUTHORIZATION, format!("DPoP {token}"))
            .header("DPoP", proof);
        assert_eq!(answer(by_post).await.status, 200);
    }
    let metadata = http_client().get(server.url("/.well-known/openid-configuration"));
    let metadata = answer(metadata).await;
    assert_eq!(
        metadata.body["dpop_signing_alg_values_supported"],
        json!(["ES256", "EdDSA", "Ed25519", "PS256"])
    );
}

/// FAPI 2.0 Security Profile section 5.4.1: what an RSA key may sign with PS256 it may not sign with RS256.
#[tokio::test]
async fn a_proof_is_never_signed_with_rs256() {
    let server = TestServer::start().await;
    let code = server.code("spa", &[]).await;
    let key = ProofKey::of(SigningAlgorithm::RS256);
    let refused = redeem(&server, "spa", &code, &key.for_token(&server)).await;
    refused.assert_error(400, "invalid_dpop_proof");
    let key = ProofKey::of(SigningAlgorithm::PS256);
    let tokens = redeem(&server, "spa", &code, &key.for_token(&server)).await;
    assert_eq!(tokens.status, 200, "and nothing is spent by it: {tokens:?}");
}

/// RFC 9449 section 7.2, T43: without its key a stolen token is worth nothing.
#[tokio::test]
async fn a_bound_token_is_nothing_without_its_key() {
    let server = TestServer::start().await;
    let key = ProofKey::new();
    let tokens = bound(&server, "spa", "openid", &key).await;
    let token = tokens.text("access_token");
    let dpop = format!("DPoP {token}");
    let proof = || key.with_token(&server, USERINFO, token);

    let as_bearer = call(
        &server,
        "/userinfo",
        &format!("Bearer {token}"),
        Some(&proof()),
    )
    .await;
    assert_eq!(as_bearer.status, 401);
    assert_eq!(as_bearer.body["error"], "invalid_token");
    let [bearer, other] = challenges(&as_bearer)[..] else {
        panic!("{as_bearer:?}")
    };
    assert!(
        bearer.starts_with("Bearer error=\"invalid_token\""),
        "{bearer}"
    );
    assert_eq!(other, format!("DPoP {ALGORITHMS}"));
    let form = http_client()
        .post(server.url("/userinfo"))
        .form(&[("access_token", token)]);
    assert_eq!(answer(form).await.body["error"], "invalid_token");

    assert_refused(
        &call(&server, "/userinfo", &dpop, None).await,
        "invalid_dpop_proof",
    );
    let thief = ProofKey::new();
    let theirs = thief.with_token(&server, USERINFO, token);
    assert_refused(&userinfo(&server, token, &theirs).await, "invalid_token");
    let once = proof();
    assert_eq!(userinfo(&server, token, &once).await.status, 200);
    assert_refused(&userinfo(&server, token, &once).await, "invalid_dpop_proof");
    for changes in [
        vec![("ath", ath("another").into())],
        vec![("ath", Value::Null)],
        vec![("htm", "POST".into())],
        vec![("htu", server.url("/token").into())],
        vec![("iat", (server.clock.now() + 60).into())],
        vec![("iat", (server.clock.now() - 61).into())],
    ] {
        let good = ("ath", Value::from(ath(token)));
        let changes: Vec<_> = [good].into_iter().chain(changes).collect();
        let proof = key.proof(&server, USERINFO, &changes);
        assert_refused(
            &userinfo(&server, token, &proof).await,
            "invalid_dpop_proof",
        );
    }
    let twice = http_client()
        .get(server.url("/userinfo"))
        .header(AUTHORIZATION, &dpop)
        .header("DPoP", proof())
        .header("DPoP", proof());
    assert_refused(&answer(twice).await, "invalid_dpop_proof");
    // RFC 9449 section 7.1, RFC 6750 section 2: one scheme in a request.
    let both = http_client()
        .get(server.url("/userinfo"))
        .header(AUTHORIZATION, &dpop)
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header("DPoP", proof());
    assert_eq!(answer(both).await.status, 400);
    // T56: what the request says of its host counts for nothing.
    let elsewhere = [
        ("ath", ath(token).into()),
        ("htu", "http://evil.example/userinfo".into()),
    ];
    let misled = http_client()
        .get(server.url("/userinfo"))
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header(AUTHORIZATION, &dpop)
        .header("DPoP", key.proof(&server, USERINFO, &elsewhere));
    assert_refused(&answer(misled).await, "invalid_dpop_proof");
    // What is bound to nothing is no DPoP token.
    let plain = server.tokens("spa", "openid").await;
    let plain = plain.text("access_token");
    let proof = key.with_token(&server, USERINFO, plain);
    assert_refused(&userinfo(&server, plain, &proof).await, "invalid_token");
    // Who sends no token reads of both schemes.
    let nothing = answer(http_client().get(server.url("/userinfo"))).await;
    assert_eq!(
        challenges(&nothing),
        ["Bearer realm=\"portico\"", &format!("DPoP {ALGORITHMS}")]
    );
}

/// T43, line by line, at the token endpoint; and nothing is spent by it.
#[tokio::test]
async fn a_proof_that_does_not_hold_gives_no_token() {
    let mut server = TestServer::start().await;
    let node = server.add_node().await;
    let key = ProofKey::new();
    let code = server.code("spa", &[]).await;
    let now = server.clock.now();
    let request = ("POST", "/token");
    let mut bad = vec!["x".to_owned(), "e30.e30.AA".to_owned(), "x".repeat(5000)];
    for changes in [
        ("htm", json!("GET")),
        ("htm", json!("post")),
        ("htm", json!(["POST"])),
        ("htu", json!(server.url("/par"))),
        ("htu", json!(server.url("/token/"))),
        ("htu", json!(format!("http://{node}/token"))),
        ("htu", json!([server.url("/token")])),
        ("iat", json!(now + 60)),
        ("iat", json!(now - 61)),
        ("iat", json!("now")),
        ("iat", Value::Null),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!("j".repeat(257))),
    ] {
        bad.push(key.proof(&server, request, &[changes]));
    }
    let good = json!({ "jti": "j", "htm": "POST", "htu": server.url("/token"), "iat": now });
    let mut private = key.jwk();
    private["d"] = "AQAB".into();
    for header in [
        json!({ "typ": "JWT", "alg": "ES256", "jwk": key.jwk() }),
        json!({ "alg": "ES256", "jwk": key.jwk() }),
        json!({ "typ": "dpop+jwt", "alg": "none", "jwk": key.jwk() }),
        json!({ "typ": "dpop+jwt", "alg": "HS256", "jwk": { "kty": "oct", "k": "AQAB" } }),
        json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": key.jwk() }),
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": ProofKey::new().jwk() }),
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": private }),
        json!({ "typ": "dpop+jwt", "alg": "ES256" }),
        // T39, T41: a key from elsewhere beside the one that came along, extensions, and what is signed for other places.
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk(), "jku": "https://evil.example/jwks" }),
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk(), "x5u": "https://evil.example/cert" }),
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk(), "x5c": ["AAAA"] }),
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk(), "crit": ["exp"] }),
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk(), "b64": false }),
        json!({ "typ": "client-authentication+jwt", "alg": "ES256", "jwk": key.jwk() }),
        json!({ "typ": "at+jwt", "alg": "ES256", "jwk": key.jwk() }),
    ] {
        bad.push(key.sign(&header, &good));
    }
    // The public key as if it were a secret.
    let x = key.jwk()["x"].as_str().unwrap().to_owned();
    let symmetric = json!({ "typ": "dpop+jwt", "alg": "HS256", "jwk": key.jwk() });
    bad.push(ClientKey::shared(x).sign(&symmetric, &good));
    for proof in &bad {
        redeem(&server, "spa", &code, proof)
            .await
            .assert_error(400, "invalid_dpop_proof");
    }
    // What has led to tokens leads to no others, at whatever node.
    let once = key.for_token(&server);
    let other = [("grant_type", "authorization_code"), ("code", "x")];
    let first = server.code("spa", &[]).await;
    let tokens = redeem(&server, "spa", &first, &once).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    redeem(&server, "spa", &code, &once)
        .await
        .assert_error(400, "invalid_dpop_proof");
    let at_node = http_client()
        .post(format!("http://{node}/token"))
        .header("DPoP", &once);
    let replayed = server.send_as(at_node, "spa", &other).await;
    replayed.assert_error(400, "invalid_dpop_proof");
    let two = http_client()
        .post(server.url("/token"))
        .header("DPoP", key.for_token(&server))
        .header("DPoP", key.for_token(&server));
    server
        .send_as(two, "spa", &other)
        .await
        .assert_error(400, "invalid_dpop_proof");
    // 10 seconds ahead, and a query and letter case that mean nothing.
    let changes = [
        ("iat", json!(now + 10)),
        (
            "htu",
            json!(format!("{}?a=b#c", server.url("/token")).replace("http:", "HTTP:")),
        ),
    ];
    let proof = key.proof(&server, request, &changes);
    assert_eq!(redeem(&server, "spa", &code, &proof).await.status, 200);
}

/// RFC 9449 section 10: from the query, from a push, and from the proof of a push.
#[tokio::test]
async fn a_code_for_a_key_is_redeemed_with_that_key_alone() {
    let server = TestServer::start().await;
    let (key, thief) = (ProofKey::new(), ProofKey::new());
    let jkt = key.jkt();
    let named = [("dpop_jkt", jkt.as_str())];
    let by_query = server.code("spa", &named).await;
    let mut codes = vec![by_query];
    let plain = server.push("spa", &named).await;
    let url = server.url("/par");
    let form = url::Url::parse(&server.authorize_url("spa", &[])).unwrap();
    let form: Vec<(String, String)> = form.query_pairs().into_owned().collect();
    let push = |proof: String, form: &[(String, String)]| {
        answer(http_client().post(&url).header("DPoP", proof).form(form))
    };
    let for_par = || key.proof(&server, ("POST", "/par"), &[]);
    let by_proof = push(for_par(), &form).await;
    for pushed in [plain, by_proof] {
        assert_eq!(pushed.status, 201, "{pushed:?}");
        let url = format!(
            "{}?client_id=spa&request_uri={}",
            server.url("/authorize"),
            pushed.text("request_uri")
        );
        let page = Browser::new().log_in_as(url, people::JO_SMITH).await;
        codes.push(page.answer()["code"].clone());
    }
    for code in codes {
        server
            .redeem("spa", &code, &[])
            .await
            .assert_error(400, "invalid_grant");
        let theirs = redeem(&server, "spa", &code, &thief.for_token(&server)).await;
        theirs.assert_error(400, "invalid_grant");
        let ours = redeem(&server, "spa", &code, &key.for_token(&server)).await;
        assert_eq!(ours.status, 200, "{ours:?}");
    }
    // Section 10.1: the two must not contradict each other.
    let mut both = form.clone();
    both.push(("dpop_jkt".to_owned(), thief.jkt()));
    push(for_par(), &both)
        .await
        .assert_error(400, "invalid_request");
    let wrong = key.proof(&server, ("POST", "/token"), &[]);
    push(wrong, &form)
        .await
        .assert_error(400, "invalid_dpop_proof");
    let page = Browser::new()
        .open(server.authorize_url("spa", &[("dpop_jkt", "x")]))
        .await;
    assert_eq!(page.answer()["error"], "invalid_request");
}

/// RFC 9449 section 5, T43: of a public client. And who has no key cannot end the family either.
#[tokio::test]
async fn a_public_clients_refresh_token_belongs_to_its_key() {
    let server = TestServer::start().await;
    let (key, thief) = (ProofKey::new(), ProofKey::new());
    let scope = "openid offline_access";
    let tokens = bound(&server, "spa", scope, &key).await;
    let first = tokens.text("refresh_token");
    let attempts = async |token: &str| {
        server
            .refresh("spa", token)
            .await
            .assert_error(400, "invalid_grant");
        let theirs = refresh(&server, "spa", token, &thief.for_token(&server)).await;
        theirs.assert_error(400, "invalid_grant");
    };
    attempts(first).await;
    let next = refresh(&server, "spa", first, &key.for_token(&server)).await;
    assert_eq!(next.status, 200, "{next:?}");
    assert_eq!(next.body["token_type"], "DPoP");
    // T20: the answer was lost.
    let again = refresh(&server, "spa", first, &key.for_token(&server)).await;
    assert_eq!(again.body["refresh_token"], next.body["refresh_token"]);
    server.clock.advance(60);
    // A spent one, without the key.
    attempts(first).await;
    let second = next.text("refresh_token");
    let next = refresh(&server, "spa", second, &key.for_token(&server)).await;
    assert_eq!(next.status, 200, "the family lives: {next:?}");
    let token = next.text("access_token");
    let proof = key.with_token(&server, USERINFO, token);
    assert_eq!(userinfo(&server, token, &proof).await.status, 200);

    // One that began without a key belongs to the first that is proven.
    let plain = server.tokens("spa", scope).await;
    let plain = plain.text("refresh_token");
    let next = refresh(&server, "spa", plain, &key.for_token(&server)).await;
    assert_eq!(next.body["token_type"], "DPoP", "{next:?}");
    attempts(next.text("refresh_token")).await;
    let next = refresh(
        &server,
        "spa",
        next.text("refresh_token"),
        &key.for_token(&server),
    )
    .await;
    assert_eq!(next.status, 200);
}

/// T19, T43: a thief may bind what they have stolen to a key of their own. The token is older than that key, so whoever shows it
/// without the key ends the family, unless that was a moment ago: the person logs in again, and the thief has nothing.
#[tokio::test]
async fn a_stolen_token_is_not_kept_by_binding_it() {
    let server = TestServer::start().await;
    let thief = ProofKey::new();
    for (goes_on, apps_key) in [
        (false, None),
        (false, Some(ProofKey::new())),
        (true, None),
        (true, Some(ProofKey::new())),
    ] {
        let tokens = server.tokens("spa", "openid offline_access").await;
        let stolen = tokens.text("refresh_token");
        let own = async || match &apps_key {
            None => server.refresh("spa", stolen).await,
            Some(key) => refresh(&server, "spa", stolen, &key.for_token(&server)).await,
        };
        let mut theirs = refresh(&server, "spa", stolen, &thief.for_token(&server)).await;
        assert_eq!(theirs.status, 200, "{theirs:?}");
        server.clock.advance(30);
        own().await.assert_error(400, "invalid_grant");
        assert_eq!(live_families(&server).await, 1);
        if goes_on {
            // Two steps back is no second tab, however soon.
            let next = theirs.text("refresh_token");
            theirs = refresh(&server, "spa", next, &thief.for_token(&server)).await;
            assert_eq!(theirs.status, 200, "{theirs:?}");
        } else {
            server.clock.advance(1);
        }
        own().await.assert_error(400, "invalid_grant");
        let next = theirs.text("refresh_token");
        let over = refresh(&server, "spa", next, &thief.for_token(&server)).await;
        over.assert_error(400, "invalid_grant");
        let token = theirs.text("access_token");
        let proof = thief.with_token(&server, USERINFO, token);
        assert_eq!(userinfo(&server, token, &proof).await.status, 401);
        assert_eq!(live_families(&server).await, 0);
    }
    // The app itself began to prove a key, and goes on with it; its own lost answer is a lost answer.
    let key = ProofKey::new();
    let tokens = server.tokens("spa", "openid offline_access").await;
    let plain = tokens.text("refresh_token");
    let bound = refresh(&server, "spa", plain, &key.for_token(&server)).await;
    let again = refresh(&server, "spa", plain, &key.for_token(&server)).await;
    assert_eq!(again.body["refresh_token"], bound.body["refresh_token"]);
    server.clock.advance(40);
    let next = bound.text("refresh_token");
    server
        .refresh("spa", next)
        .await
        .assert_error(400, "invalid_grant");
    let next = refresh(&server, "spa", next, &key.for_token(&server)).await;
    assert_eq!(next.status, 200, "{next:?}");
}

/// The moment after a binding comes once: a thief who goes on opens it no second time for the token that the app still has.
#[tokio::test]
async fn the_moment_after_a_binding_comes_once() {
    let server = TestServer::start().await;
    let thief = ProofKey::new();
    let tokens = server.tokens("spa", "openid offline_access").await;
    let stolen = tokens.text("refresh_token");
    let own = server.refresh("spa", stolen).await;
    assert_eq!(own.status, 200, "{own:?}");
    server.clock.advance(2);
    let theirs = refresh(&server, "spa", stolen, &thief.for_token(&server)).await;
    assert_eq!(theirs.status, 200, "{theirs:?}");
    server.clock.advance(36);
    let next = theirs.text("refresh_token");
    let theirs = refresh(&server, "spa", next, &thief.for_token(&server)).await;
    assert_eq!(theirs.status, 200, "{theirs:?}");
    server.clock.advance(20);
    let refused = server.refresh("spa", own.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
    assert_eq!(live_families(&server).await, 0);
}

/// T20: an app that begins to prove a key may have a tab of before. That one is refused, and the new one stays signed in, whichever
/// of the two comes first.
#[tokio::test]
async fn an_app_that_begins_to_prove_a_key_is_not_signed_out_by_an_older_tab() {
    let server = TestServer::start().await;
    let key = ProofKey::new();
    let goes_on = async |tab: &Answer| {
        assert_eq!(tab.status, 200, "{tab:?}");
        let token = tab.text("refresh_token");
        let next = refresh(&server, "spa", token, &key.for_token(&server)).await;
        assert_eq!(next.status, 200, "{next:?}");
    };
    let tokens = server.tokens("spa", "openid offline_access").await;
    let plain = tokens.text("refresh_token");
    let new = refresh(&server, "spa", plain, &key.for_token(&server)).await;
    let old = server.refresh("spa", plain).await;
    old.assert_error(400, "invalid_grant");
    goes_on(&new).await;
    for _ in 0..20 {
        let tokens = server.tokens("spa", "openid offline_access").await;
        let plain = tokens.text("refresh_token");
        let proof = key.for_token(&server);
        let (new, _old) = tokio::join!(
            refresh(&server, "spa", plain, &proof),
            server.refresh("spa", plain)
        );
        goes_on(&new).await;
    }
}

/// As an older version leaves a family that it binds.
async fn binds_like_an_older_node(server: &TestServer) {
    let pool = server.database.pool().await;
    let is_postgres = server.database.url().expose().starts_with("postgres");
    let statements: &[&str] = if is_postgres {
        &[
            "CREATE FUNCTION older() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN NEW.bound_at := NULL; RETURN NEW; END $$",
            "CREATE TRIGGER older BEFORE UPDATE ON token_family FOR EACH ROW EXECUTE FUNCTION older()",
        ]
    } else {
        &[
            "CREATE TRIGGER older AFTER UPDATE OF bound_at ON token_family WHEN NEW.bound_at IS NOT NULL
           BEGIN UPDATE token_family SET bound_at = NULL WHERE id = NEW.id; END",
        ]
    };
    for statement in statements {
        sqlx::query(*statement).execute(&pool).await.unwrap();
    }
}

/// T20, and the same where a node of an older version, which notes no such moment, has bound the family beside a new one.
#[tokio::test]
async fn an_older_tab_ends_nothing_that_an_older_node_has_bound() {
    let server = TestServer::start().await;
    binds_like_an_older_node(&server).await;
    let key = ProofKey::new();
    for late in [false, true] {
        let tokens = server.tokens("spa", "openid offline_access").await;
        let plain = tokens.text("refresh_token");
        let new = refresh(&server, "spa", plain, &key.for_token(&server)).await;
        assert_eq!(new.status, 200, "{new:?}");
        server.clock.advance(if late { 31 } else { 30 });
        let old = server.refresh("spa", plain).await;
        old.assert_error(400, "invalid_grant");
        let token = new.text("refresh_token");
        let next = refresh(&server, "spa", token, &key.for_token(&server)).await;
        assert_eq!(next.status, if late { 400 } else { 200 }, "{next:?}");
    }
}

/// The same where the database stalls for longer than a moment, and all have to wait.
#[tokio::test]
async fn a_stall_makes_no_thief_of_an_older_tab() {
    for by_an_older_node in [false, true] {
        let server = TestServer::start().await;
        if by_an_older_node {
            binds_like_an_older_node(&server).await;
        }
        let key = ProofKey::new();
        let tokens = server.tokens("spa", "openid offline_access").await;
        let plain = tokens.text("refresh_token");
        let mut stall = Stall::begin(&server).await;
        let proof = key.for_token(&server);
        let older = async {
            stall.is_waited_for(1).await;
            let later = async {
                stall.is_waited_for(2).await;
                server.clock.advance(40);
                stall.end().await;
            };
            tokio::join!(server.refresh("spa", plain), later).0
        };
        let (new, old) = tokio::join!(refresh(&server, "spa", plain, &proof), older);
        assert_eq!(new.status, 200, "{new:?}");
        // Of those who wait for a lock any may be the first.
        if old.status != 200 {
            old.assert_error(400, "invalid_grant");
        }
        let again = server.refresh("spa", plain).await;
        again.assert_error(400, "invalid_grant");
        let token = new.text("refresh_token");
        let next = refresh(&server, "spa", token, &key.for_token(&server)).await;
        assert_eq!(next.status, 200, "{next:?}");
    }
}

/// What docs/dpop-and-par.md advises: older tabs are refused before any family is touched, at any time.
#[tokio::test]
async fn older_tabs_of_an_app_that_is_held_to_proofs_end_nothing() {
    let mut server = TestServer::start().await;
    let key = ProofKey::new();
    let tokens = server.tokens("spa", "openid offline_access").await;
    let plain = tokens.text("refresh_token");
    server.edit_config(
        "client_id = \"spa\"\n",
        "client_id = \"spa\"\ndpop_bound_access_tokens = true\n",
    );
    server.restart().await;
    let old = async || {
        let old = server.refresh("spa", plain).await;
        old.assert_error(400, "invalid_request");
    };
    old().await;
    let mut new = refresh(&server, "spa", plain, &key.for_token(&server)).await;
    for _ in 0..3 {
        assert_eq!(new.status, 200, "{new:?}");
        old().await;
        server.clock.advance(60);
        let token = new.text("refresh_token").to_owned();
        new = refresh(&server, "spa", &token, &key.for_token(&server)).await;
    }
    assert_eq!(new.status, 200, "{new:?}");
}

/// T19: at once, with the thief's key and without one: whoever wins, nobody goes on with it.
#[tokio::test]
async fn of_a_thief_who_binds_and_an_app_that_refreshes_at_once_neither_goes_on_alone() {
    let server = TestServer::start().await;
    for _ in 0..20 {
        let thief = ProofKey::new();
        let tokens = server.tokens("spa", "openid offline_access").await;
        let stolen = tokens.text("refresh_token");
        let proof = thief.for_token(&server);
        let (theirs, own) = tokio::join!(
            refresh(&server, "spa", stolen, &proof),
            server.refresh("spa", stolen)
        );
        server.clock.advance(40);
        let held = own.body["refresh_token"].as_str().unwrap_or(stolen);
        let app_goes_on = server.refresh("spa", held).await.status == 200;
        let thief_goes_on = match theirs.body["refresh_token"].as_str() {
            None => false,
            Some(token) => {
                let proof = thief.for_token(&server);
                refresh(&server, "spa", token, &proof).await.status == 200
            }
        };
        assert!(!thief_goes_on, "app: {app_goes_on}, {own:?}, {theirs:?}");
    }
}

/// RFC 9449 section 5: a confidential client's belongs to its secret, so that its key can change.
#[tokio::test]
async fn a_confidential_clients_refresh_token_belongs_to_its_secret() {
    let server = TestServer::start().await;
    let (key, other) = (ProofKey::new(), ProofKey::new());
    let tokens = bound(&server, "web", "openid offline_access", &key).await;
    let next = refresh(
        &server,
        "web",
        tokens.text("refresh_token"),
        &other.for_token(&server),
    )
    .await;
    assert_eq!(next.status, 200, "{next:?}");
    let access_token = claims(next.text("access_token"));
    assert_eq!(access_token["cnf"]["jkt"], other.jkt());
}

fn bound_clients(setup: &mut Setup) {
    setup.clients += r#"
[[clients]]
client_id = "bound-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://bound.example.org/callback"]
scope = "openid"
dpop_bound_access_tokens = true
"#;
}

/// RFC 9449 section 5.2.
#[tokio::test]
async fn a_client_may_be_held_to_proofs() {
    let server = TestServer::start_with(bound_clients).await;
    let code = server.code("bound-app", &[]).await;
    let without = server.redeem("bound-app", &code, &[]).await;
    without.assert_error(400, "invalid_request");
    let key = ProofKey::new();
    let tokens = redeem(&server, "bound-app", &code, &key.for_token(&server)).await;
    assert_eq!(tokens.body["token_type"], "DPoP", "{tokens:?}");
    // A server without a user, by its own choice.
    let form = [("grant_type", "client_credentials")];
    let tokens = token(&server, "service", &form, &key.for_token(&server)).await;
    assert_eq!(claims(tokens.text("access_token"))["cnf"]["jkt"], key.jkt());
}

/// RFC 9449 sections 6.2 and 7.2: an API that asks about a token learns its key, and one that only we can read is bound as well.
#[tokio::test]
async fn a_bound_token_is_told_with_its_key_and_an_opaque_one_is_bound_too() {
    let server = TestServer::start_with(opaque_clients).await;
    let key = ProofKey::new();
    let tokens = bound(&server, "web", "openid", &key).await;
    let seen = server.introspect("web", tokens.text("access_token")).await;
    assert_eq!(seen.body["token_type"], "DPoP");
    assert_eq!(seen.body["cnf"], json!({ "jkt": key.jkt() }));

    let code = server.code("opaque-app", &[("scope", "openid")]).await;
    let tokens = redeem(&server, "opaque-app", &code, &key.for_token(&server)).await;
    assert_eq!(tokens.body["token_type"], "DPoP", "{tokens:?}");
    let token = tokens.text("access_token");
    let proof = key.with_token(&server, USERINFO, token);
    assert_eq!(userinfo(&server, token, &proof).await.status, 200);
    let other = ProofKey::new().with_token(&server, USERINFO, token);
    assert_refused(&userinfo(&server, token, &other).await, "invalid_token");
    let stolen = call(&server, "/userinfo", &format!("Bearer {token}"), None).await;
    assert_eq!(stolen.status, 401, "{stolen:?}");
    let secret = [("grant_type", "client_credentials")];
    let tokens = self::token(&server, "plain", &secret, &key.for_token(&server)).await;
    let seen = server
        .introspect("plain", tokens.text("access_token"))
        .await;
    assert_eq!(seen.body["cnf"]["jkt"], key.jkt(), "{seen:?}");
}

/// To note that a proof is spent may take long: what has ended by then has ended for that request, too.
#[tokio::test]
async fn what_ends_while_a_proof_is_noted_ends_the_request() {
    let server = TestServer::start_with(opaque_clients).await;
    let key = ProofKey::new();
    let code = server.code("opaque-app", &[("scope", "openid")]).await;
    let tokens = redeem(&server, "opaque-app", &code, &key.for_token(&server)).await;
    let token = tokens.text("access_token");
    let proof = key.with_token(&server, USERINFO, token);
    let pool = server.database.pool().await;
    let mut held = pool.acquire().await.unwrap();
    let is_postgres = server.database.url().expose().starts_with("postgres");
    let locks: &[&str] = if is_postgres {
        &["BEGIN", "LOCK TABLE spent_id IN SHARE MODE"]
    } else {
        &["BEGIN IMMEDIATE"]
    };
    for statement in locks {
        sqlx::query(*statement).execute(&mut *held).await.unwrap();
    }
    let ends = "UPDATE token_family SET revoked_at = 1";
    sqlx::query(ends).execute(&mut *held).await.unwrap();
    let end = async {
        // By then the request has looked at the token, and waits.
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        sqlx::query("COMMIT").execute(&mut *held).await.unwrap();
    };
    let (refused, ()) = tokio::join!(userinfo(&server, token, &proof), end);
    assert_refused(&refused, "invalid_token");
}

/// RFC 9449 sections 8 and 9: nodes agree on nonces without telling each other.
#[tokio::test]
async fn proofs_answer_a_nonce_where_it_is_asked_for() {
    let mut server = TestServer::start_with(|setup| {
        setup.sections += "\n[dpop]\nrequire_nonce = true\nwindow = \"10s\"\n";
    })
    .await;
    let node = server.add_node().await;
    let key = ProofKey::new();
    let code = server.code("spa", &[]).await;
    let asked = redeem(&server, "spa", &code, &key.for_token(&server)).await;
    asked.assert_error(400, "use_dpop_nonce");
    let nonce = asked.headers["dpop-nonce"].to_str().unwrap().to_owned();
    let answering = |nonce: &str, request: (&str, &str), token: &str| {
        let changes = [("nonce", nonce.into()), ("ath", ath(token).into())];
        key.proof(&server, request, &changes)
    };
    for wrong in ["", "x", &nonce[1..]] {
        let proof = answering(wrong, ("POST", "/token"), "");
        redeem(&server, "spa", &code, &proof)
            .await
            .assert_error(400, "use_dpop_nonce");
    }
    let proof = answering(&nonce, ("POST", "/token"), "");
    let tokens = redeem(&server, "spa", &code, &proof).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.headers["dpop-nonce"], nonce.as_str(), "the next one");
    let token = tokens.text("access_token");
    let asked = userinfo(&server, token, &key.with_token(&server, USERINFO, token)).await;
    assert_refused(&asked, "use_dpop_nonce");
    assert_eq!(asked.headers["dpop-nonce"], nonce.as_str());
    // Good for one more period than it is given in, at every node; too old a proof is no better for it.
    server.clock.advance(119);
    let at_node = http_client()
        .get(format!("http://{node}/userinfo"))
        .header(AUTHORIZATION, format!("DPoP {token}"))
        .header("DPoP", answering(&nonce, USERINFO, token));
    let told = answer(at_node).await;
    assert_eq!(told.status, 200, "{told:?}");
    let fresh = told.headers["dpop-nonce"].to_str().unwrap().to_owned();
    let old = [
        ("nonce", Value::from(fresh.as_str())),
        ("ath", ath(token).into()),
        ("iat", (server.clock.now() - 11).into()),
    ];
    let old = key.proof(&server, USERINFO, &old);
    assert_refused(&userinfo(&server, token, &old).await, "invalid_dpop_proof");
    server.clock.advance(240);
    let late = userinfo(&server, token, &answering(&nonce, USERINFO, token)).await;
    assert_refused(&late, "use_dpop_nonce");
    assert_ne!(late.headers["dpop-nonce"], nonce.as_str());
    // Who sends no proof is given none.
    let plain = server.tokens("spa", "openid").await;
    assert!(!plain.headers.contains_key("dpop-nonce"));
}

/// RFC 9449 section 7, at the gateway: the proof is for this very path.
#[tokio::test]
async fn the_gateway_takes_a_bound_token_with_its_proof() {
    let server = TestServer::start_with(gateway::apis).await;
    let key = ProofKey::new();
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "members:read events:manage"),
    ];
    let tokens = token(&server, "plain", &form, &key.for_token(&server)).await;
    let token = tokens.text("access_token");
    let path = "/api/members/Party/20457";
    let authorization = format!("DPoP {token}");
    let proof = key.with_token(&server, ("GET", path), token);
    let with_query = format!("{path}?a=b");
    let called = call(&server, &with_query, &authorization, Some(&proof)).await;
    assert_eq!(called.status, 200, "{called:?}");
    let elsewhere = key.with_token(&server, ("GET", "/api/members/Party/1"), token);
    let refused = call(&server, path, &authorization, Some(&elsewhere)).await;
    assert_refused(&refused, "invalid_dpop_proof");
    assert_refused(
        &call(&server, path, &authorization, None).await,
        "invalid_dpop_proof",
    );
    let bearer = call(&server, path, &format!("Bearer {token}"), None).await;
    assert_eq!(bearer.body["error"], "invalid_token");
    assert_eq!(bearer.status, 401);
}

/// Without its key a stolen token is not exchanged for an upstream's, which is bound to nothing.
#[tokio::test]
async fn a_bound_token_is_exchanged_with_its_key_alone() {
    let server = TestServer::start_with(token_exchange::callers).await;
    let key = ProofKey::new();
    let tokens = bound(&server, "calling-app", token_exchange::SCOPE, &key).await;
    let subject = tokens.text("access_token");
    let form = [
        ("grant_type", token_exchange::GRANT),
        ("subject_token", subject),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("audience", "members"),
    ];
    let without = server.token("calling-app", &form).await;
    without.assert_error(400, "invalid_grant");
    let thief = ProofKey::new().for_token(&server);
    token(&server, "calling-app", &form, &thief)
        .await
        .assert_error(400, "invalid_grant");
    let released = token(&server, "calling-app", &form, &key.for_token(&server)).await;
    assert_eq!(released.status, 200, "{released:?}");
    assert_eq!(released.body["token_type"], "Bearer");
}

/// How many ids are remembered as spent.
async fn spent_ids(server: &TestServer) -> i64 {
    let pool = server.database.pool().await;
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM spent_id");
    count.fetch_one(&pool).await.unwrap()
}

/// T48: anybody knows the id of a public client and can sign with a key of their own. Only what has led to something is
/// remembered.
#[tokio::test]
async fn proofs_that_lead_to_nothing_leave_no_rows() {
    let server = TestServer::start().await;
    let key = ProofKey::new();
    for form in [
        vec![("grant_type", "x")],
        vec![("grant_type", "authorization_code"), ("code", "made-up")],
        vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", "made-up"),
        ],
    ] {
        let refused = token(&server, "spa", &form, &key.for_token(&server)).await;
        assert_eq!(refused.status, 400, "{refused:?}");
    }
    let push = |redirect_uri: &'static str| {
        let url = server.authorize_url("spa", &[("redirect_uri", redirect_uri)]);
        let form = url::Url::parse(&url).unwrap();
        let form: Vec<(String, String)> = form.query_pairs().into_owned().collect();
        let request = http_client().post(server.url("/par")).form(&form);
        answer(request.header("DPoP", key.proof(&server, ("POST", "/par"), &[])))
    };
    assert_eq!(push("https://evil.example/").await.status, 400);
    let tokens = bound(&server, "spa", "openid", &key).await;
    assert_eq!(spent_ids(&server).await, 1, "the proof for the tokens");
    // Whoever has the token and not its key.
    let token = tokens.text("access_token");
    let theirs = ProofKey::new().with_token(&server, USERINFO, token);
    assert_refused(&userinfo(&server, token, &theirs).await, "invalid_token");
    assert_eq!(spent_ids(&server).await, 1);
    let good = "https://spa.example.org/callback";
    assert_eq!(push(good).await.status, 201);
    assert_eq!(spent_ids(&server).await, 2);
}

/// T48: what a stranger pushes in the name of a public client is counted, and so are the proofs that come with it.
#[tokio::test]
async fn an_address_leaves_no_more_proofs_than_pushes() {
    let server = TestServer::start_with(|setup| {
        setup.sections += "max_attempts_per_address = 4\n";
    })
    .await;
    let key = ProofKey::new();
    let form = url::Url::parse(&server.authorize_url("spa", &[])).unwrap();
    let form: Vec<(String, String)> = form.query_pairs().into_owned().collect();
    for number in 0..6 {
        let proof = key.proof(&server, ("POST", "/par"), &[]);
        let request = http_client().post(server.url("/par")).form(&form);
        let pushed = answer(request.header("DPoP", proof)).await;
        assert_eq!(pushed.status, if number < 4 { 201 } else { 429 });
    }
    assert_eq!(spent_ids(&server).await, 4);
}

/// T43: of requests that race with one proof, one is answered.
#[tokio::test]
async fn of_requests_that_race_with_one_proof_one_gets_tokens() {
    let server = TestServer::start().await;
    let key = ProofKey::new();
    let proof = key.for_token(&server);
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(server.code("spa", &[]).await);
    }
    let [one, two, three] = &codes[..] else {
        panic!("{codes:?}")
    };
    let send = |code| redeem(&server, "spa", code, &proof);
    let answers = tokio::join!(send(one), send(two), send(three));
    let answers = [answers.0, answers.1, answers.2];
    let issued = answers.iter().filter(|answer| answer.status == 200);
    assert_eq!(issued.count(), 1, "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        refused.assert_error(400, "invalid_dpop_proof");
    }
}

/// RFC 9449 section 11.1: once, though a restart lets older proofs count than the one before did.
#[tokio::test]
async fn a_window_that_grows_lets_no_proof_count_again() {
    let mut server = TestServer::start().await;
    let key = ProofKey::new();
    let tokens = bound(&server, "spa", "openid", &key).await;
    let token = tokens.text("access_token");
    let proof = key.with_token(&server, USERINFO, token);
    let unused = key.with_token(&server, USERINFO, token);
    assert_eq!(userinfo(&server, token, &proof).await.status, 200);
    // Longer than a row is kept that counts by the window of then, and whatever has ended is swept.
    server.clock.advance(120);
    assert_refused(
        &userinfo(&server, token, &unused).await,
        "invalid_dpop_proof",
    );
    server.edit_config("[login]", "[dpop]\nwindow = \"5m\"\n[login]");
    server.restart().await;
    assert_refused(
        &userinfo(&server, token, &proof).await,
        "invalid_dpop_proof",
    );
    // It is the window that has grown.
    assert_eq!(userinfo(&server, token, &unused).await.status, 200);
}
