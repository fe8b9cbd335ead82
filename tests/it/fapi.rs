//! The FAPI 2.0 Security Profile, played from end to end by a client with the configuration of `docs/fapi.md`: what sections
//! 5.3.2.1 and 5.3.2.2 of the profile ask of the server, one after the other.

use std::collections::BTreeMap;

use portico::clock::random_id;
use portico::simulator::people;
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};

use crate::harness::browser::{Browser, Page, http_client};
use crate::harness::dpop::ProofKey;
use crate::harness::relying_party::{
    Answer, CHALLENGE, VERIFIER, answer, claims, header, redirect_uri,
};
use crate::harness::server::TestServer;

/// As long as section 5.3.2.3 wants one to be taken.
const NONCE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const ID: &str = "fapi-app";

/// The client: the key that it authenticates with, and the one that its tokens are bound to.
struct Party {
    server: TestServer,
    identity: ProofKey,
    proofs: ProofKey,
    _folder: tempfile::TempDir,
}

impl Party {
    /// With the very blocks of the documentation.
    async fn new() -> Self {
        let document = include_str!("../../docs/fapi.md");
        let blocks: Vec<&str> = document
            .split("```toml\n")
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap())
            .collect();
        let [keys, client] = blocks[..] else {
            panic!("not two blocks: {blocks:?}")
        };
        assert_eq!(keys, "[keys]\nalgorithms = [\"ES256\"]\n");
        let identity = ProofKey::new();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fapi-app.jwks.json");
        std::fs::write(&file, json!({ "keys": [identity.jwk()] }).to_string()).unwrap();
        let client = client.replace("fapi-app.jwks.json", file.to_str().unwrap());
        let mut server = TestServer::start_with(|setup| setup.clients = client).await;
        server.edit_config("\"RS256\", \"ES256\"", "\"ES256\", \"RS256\"");
        server.restart().await;
        Self {
            server,
            identity,
            proofs: ProofKey::new(),
            _folder: folder,
        }
    }

    fn assertion(&self, changes: &[(&str, Value)]) -> String {
        let now = self.server.clock.now();
        let mut claims = json!({
            "iss": ID, "sub": ID, "aud": self.server.issuer, "jti": random_id(), "iat": now, "exp": now + 60,
        });
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        self.identity.sign(&json!({ "alg": "ES256" }), &claims)
    }

    /// A form, with the client's authentication; `changes` replace parameters, an empty value removes one.
    async fn send(
        &self,
        path: &str,
        form: &[(&str, &str)],
        assertion: &str,
        proof: Option<String>,
    ) -> Answer {
        let mut form: BTreeMap<&str, &str> = form.iter().copied().collect();
        if !assertion.is_empty() {
            form.insert(
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            );
            form.insert("client_assertion", assertion);
        }
        form.retain(|_, value| !value.is_empty());
        let mut request = http_client().post(self.server.url(path)).form(&form);
        if let Some(proof) = proof {
            request = request.header("DPoP", proof);
        }
        answer(request).await
    }

    async fn push(&self, changes: &[(&str, &str)], assertion: &str) -> Answer {
        let redirect_uri = redirect_uri(ID);
        let mut form = BTreeMap::from([
            ("client_id", ID),
            ("response_type", "code"),
            ("scope", "openid email offline_access"),
            ("redirect_uri", redirect_uri.as_str()),
            ("state", "the-state"),
            ("nonce", NONCE),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        form.extend(changes.iter().copied());
        let form: Vec<_> = form.into_iter().collect();
        self.send("/par", &form, assertion, None).await
    }

    /// A push that is good, and its person logged in.
    async fn authorize(&self, browser: &mut Browser, changes: &[(&str, &str)]) -> Page {
        let pushed = self.push(changes, &self.assertion(&[])).await;
        assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
        assert!(pushed.body["expires_in"].as_i64().unwrap() < 600);
        let url = format!(
            "{}?client_id={ID}&request_uri={}",
            self.server.url("/authorize"),
            pushed.text("request_uri")
        );
        browser.log_in_as(url, people::JO_SMITH).await
    }

    fn proof(&self) -> String {
        self.proofs.for_token(&self.server)
    }

    async fn redeem(&self, code: &str, verifier: &str, proof: Option<String>) -> Answer {
        let redirect_uri = redirect_uri(ID);
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri.as_str()),
            ("code_verifier", verifier),
        ];
        self.send("/token", &form, &self.assertion(&[]), proof)
            .await
    }

    async fn refresh(&self, refresh_token: &str) -> Answer {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ];
        self.send("/token", &form, &self.assertion(&[]), Some(self.proof()))
            .await
    }
}

/// Section 5.3.2.1 and 5.3.2.2: the way that works, with everything that it has to have.
#[tokio::test]
async fn a_client_of_the_profile_logs_a_person_in_and_calls_with_its_key() {
    let party = Party::new().await;
    let server = &party.server;
    let mut browser = Browser::new();
    let jkt = party.proofs.jkt();
    let page = party.authorize(&mut browser, &[("dpop_jkt", &jkt)]).await;
    assert!(page.header("location").starts_with(&redirect_uri(ID)));
    let given = page.answer();
    assert_eq!(given["iss"], server.issuer);
    assert_eq!(given["state"], "the-state");
    // Nothing but a 303 leads on from a form that held a password.
    let redirects: Vec<u16> = browser
        .trail
        .iter()
        .map(|seen| seen.status)
        .filter(|status| (300..400).contains(status))
        .collect();
    assert!(!redirects.is_empty());
    assert!(
        redirects.iter().all(|status| *status == 303),
        "{redirects:?}"
    );
    let tokens = party
        .redeem(&given["code"], VERIFIER, Some(party.proof()))
        .await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.body["token_type"], "DPoP");
    let access_token = tokens.text("access_token");
    assert_eq!(claims(access_token)["cnf"]["jkt"], jkt);
    for token in [access_token, tokens.text("id_token")] {
        assert_eq!(header(token)["alg"], "ES256", "section 5.4.1");
    }
    assert_eq!(claims(tokens.text("id_token"))["nonce"], NONCE);
    let proof = |token: &str| party.proofs.with_token(server, ("GET", "/userinfo"), token);
    let userinfo = |token: &str| {
        http_client()
            .get(server.url("/userinfo"))
            .header(AUTHORIZATION, format!("DPoP {token}"))
            .header("DPoP", proof(token))
    };
    let told = answer(userinfo(access_token)).await;
    assert_eq!(told.body["email"], people::JO_SMITH.email, "{told:?}");
    // Section 5.3.3: never in the query, and never without its key.
    let in_query = http_client()
        .get(server.url("/userinfo"))
        .query(&[("access_token", access_token)])
        .header("DPoP", proof(access_token));
    assert_eq!(answer(in_query).await.status, 401);
    assert_eq!(server.userinfo(access_token).await.status, 401);
    // Section 5.3.2.1: no rotation, however often and late.
    let refresh_token = tokens.text("refresh_token");
    for _ in 0..3 {
        let again = party.refresh(refresh_token).await;
        assert_eq!(again.status, 200, "{again:?}");
        assert_eq!(again.body["refresh_token"], refresh_token);
        assert_eq!(again.body["token_type"], "DPoP");
        assert_eq!(
            answer(userinfo(again.text("access_token"))).await.status,
            200
        );
        server.clock.advance(120);
    }
    // A code works once.
    let replayed = party
        .redeem(&given["code"], VERIFIER, Some(party.proof()))
        .await;
    replayed.assert_error(400, "invalid_grant");
    party
        .refresh(refresh_token)
        .await
        .assert_error(400, "invalid_grant");
}

/// Section 5.3.2.2: what must be refused, where it is pushed and where the browser comes.
#[tokio::test]
async fn what_the_profile_forbids_is_refused() {
    let party = Party::new().await;
    let server = &party.server;
    let plain = Browser::new().open(server.authorize_url(ID, &[])).await;
    assert_eq!(plain.answer()["error"], "invalid_request", "not pushed");
    for (changes, code) in [
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("redirect_uri", ""), "invalid_request"),
        (("redirect_uri", "https://evil.example/"), "invalid_request"),
        (
            ("request_uri", "urn:ietf:params:oauth:request_uri:x"),
            "invalid_request",
        ),
    ] {
        let refused = party.push(&[changes], &party.assertion(&[])).await;
        refused.assert_error(400, code);
    }
    for response_type in ["token", "id_token", "code id_token", "code token", "none"] {
        let changes = [("response_type", response_type)];
        let refused = party.push(&changes, &party.assertion(&[])).await;
        assert_eq!(refused.status, 400, "{response_type}: {refused:?}");
    }
    let mut browser = Browser::new();
    let page = party.authorize(&mut browser, &[]).await;
    let code = &page.answer()["code"];
    party
        .redeem(code, VERIFIER, None)
        .await
        .assert_error(400, "invalid_request");
    let other = party
        .redeem(code, &"x".repeat(43), Some(party.proof()))
        .await;
    other.assert_error(400, "invalid_grant");
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", ID),
        ("code", code),
        ("code_verifier", VERIFIER),
    ];
    let nobody = party.send("/token", &form, "", Some(party.proof())).await;
    nobody.assert_error(401, "invalid_client");
    server.clock.advance(60);
    let late = party.redeem(code, VERIFIER, Some(party.proof())).await;
    late.assert_error(400, "invalid_grant");
    let password = [
        ("grant_type", "password"),
        ("username", "a"),
        ("password", "b"),
    ];
    let refused = party
        .send(
            "/token",
            &password,
            &party.assertion(&[]),
            Some(party.proof()),
        )
        .await;
    refused.assert_error(400, "unauthorized_client");
}

/// Section 5.3.2.1: who the client is.
#[tokio::test]
async fn the_client_proves_itself_to_this_server_alone_and_once() {
    let party = Party::new().await;
    let server = &party.server;
    let now = server.clock.now();
    let once = party.assertion(&[]);
    assert_eq!(party.push(&[], &once).await.status, 201);
    for bad in [
        String::new(),
        once,
        party.assertion(&[("aud", server.url("/token").into())]),
        party.assertion(&[("aud", server.url("/par").into())]),
        party.assertion(&[("aud", json!([server.issuer]))]),
        party.assertion(&[("iat", (now + 60).into())]),
        party.assertion(&[("nbf", (now + 60).into())]),
        party.assertion(&[("exp", now.into())]),
        ProofKey::new().sign(&json!({ "alg": "ES256" }), &claims(&party.assertion(&[]))),
    ] {
        party
            .push(&[], &bad)
            .await
            .assert_error(401, "invalid_client");
    }
    let ahead = party.assertion(&[("iat", (now + 10).into()), ("nbf", (now + 10).into())]);
    assert_eq!(party.push(&[], &ahead).await.status, 201);
    let metadata = answer(http_client().get(server.url("/.well-known/openid-configuration"))).await;
    let has = |name: &str, value: &str| {
        let values = metadata.body[name].as_array().unwrap();
        assert!(
            values.iter().any(|each| each == value),
            "{name}: {values:?}"
        );
    };
    has("token_endpoint_auth_methods_supported", "private_key_jwt");
    has("token_endpoint_auth_signing_alg_values_supported", "ES256");
    has("dpop_signing_alg_values_supported", "ES256");
    has("code_challenge_methods_supported", "S256");
    assert_eq!(
        metadata.body["authorization_response_iss_parameter_supported"],
        true
    );
    assert_eq!(
        metadata.text("pushed_authorization_request_endpoint"),
        server.url("/par")
    );
}
