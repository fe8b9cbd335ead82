//! An OpenID Provider as upstream, against one that forges (T44): each answer that could be somebody else's is refused. And a whole
//! login through two real Porticos, one behind the other.

use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portico::clock::Clock;
use portico::protocol::ids::UpstreamId;
use portico::protocol::jws::{SigningAlgorithm, half_hash};
use portico::protocol::locale::Label;
use portico::protocol::params::Params;
use portico::protocol::secret::RESOLVED;
use portico::simulator::{Fault, Recorded, people};
use portico::upstream::oidc::{Settings, open};
use portico::upstream::{
    ApiCall, Departure, Identity, Known, LoginError, LoginMethod, Return, Trip, Upstream,
};
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;
use url::Url;

use crate::harness::browser::{Browser, PASSWORD_FORM};
use crate::harness::relying_party::claims;
use crate::harness::server::TestServer;
use crate::upstream::{kind, surroundings, told};
use crate::upstream_contract::{Arrival, Stand};

const NOW: i64 = 1_770_112_800;
const CALLBACK: &str = "https://login.example.org/upstream/partner/callback";
const ACCESS: &str = "access-token-of-the-provider";
const SECRET: &str = "s+e/c=r e:t";

/// How an ID token is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Rightly,
    None,
    /// HS256, with the public key as secret.
    WithPublicKey,
    WithAnotherKey,
    UnderAnotherName,
}

struct Plan {
    issuer: String,
    claims: Map<String, Value>,
    sign: Sign,
    typ: &'static str,
    userinfo: Value,
    advertises_iss: bool,
    refresh: Value,
    requests: Vec<(String, String, String)>,
    fault: Option<Fault>,
    /// One that is met at this path alone.
    fault_at: Option<(&'static str, Fault)>,
    disabled: bool,
}

type Shared = Arc<Mutex<Plan>>;

struct Keys {
    right: EncodingKey,
    wrong: EncodingKey,
    jwk: Value,
}

pub(crate) struct Provider {
    plan: Shared,
    upstream: Upstream,
    clock: Clock,
    server: JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn key() -> EncodingKey {
    let random = aws_lc_rs::rand::SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EncodingKey::from_ec_der(pkcs8.as_ref())
}

fn sign(plan: &Plan, keys: &Keys) -> String {
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some(plan.typ.to_owned());
    header.kid = Some("one".to_owned());
    let key = match plan.sign {
        Sign::None => {
            let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let claims = part(Value::Object(plan.claims.clone()));
            return format!(
                "{}.{claims}.AA",
                part(json!({ "alg": "none", "kid": "one" }))
            );
        }
        Sign::WithPublicKey => {
            header.alg = Algorithm::HS256;
            let public = keys.jwk.to_string();
            return jsonwebtoken::encode(
                &header,
                &plan.claims,
                &EncodingKey::from_secret(public.as_bytes()),
            )
            .unwrap();
        }
        Sign::WithAnotherKey => &keys.wrong,
        Sign::UnderAnotherName => {
            header.kid = Some("two".to_owned());
            &keys.right
        }
        Sign::Rightly => &keys.right,
    };
    jsonwebtoken::encode(&header, &plan.claims, key).unwrap()
}

/// A fault as far as a handler can play it.
async fn broken(fault: Fault) -> Response {
    match fault {
        Fault::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Fault::ErrorPage => (StatusCode::INTERNAL_SERVER_ERROR, "<html>").into_response(),
        Fault::Page => axum::response::Html("<html>").into_response(),
        Fault::Oversized => " ".repeat(9 * 1024 * 1024).into_response(),
        Fault::Redirect(to) => (StatusCode::FOUND, [("location", to)]).into_response(),
        Fault::Hang => std::future::pending().await,
        Fault::CloseAfter(_) => {
            // A length that the body does not keep.
            ([("content-length", "1000")], "cut").into_response()
        }
        _ => "{ nonsense".into_response(),
    }
}

async fn answer(State((plan, keys)): State<(Shared, Arc<Keys>)>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let authorization = request.headers().get("authorization");
    let authorization =
        authorization.map_or(String::new(), |value| value.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(request.into_body(), 100_000)
        .await
        .unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let fault = {
        let mut plan = plan.lock().unwrap();
        let request = (path.clone(), authorization, body.clone());
        plan.requests.push(request);
        let there = plan.fault_at.as_ref().filter(|(at, _)| *at == path);
        let there = there.map(|(_, fault)| fault.clone());
        plan.fault.clone().or(there)
    };
    if let Some(fault) = fault {
        return broken(fault).await;
    }
    let plan = plan.lock().unwrap();
    let issuer = plan.issuer.clone();
    let answer = match path.as_str() {
        "/.well-known/openid-configuration" => json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "end_session_endpoint": format!("{issuer}/logout"),
            "authorization_response_iss_parameter_supported": plan.advertises_iss,
        }),
        "/jwks" => json!({ "keys": [{ "kty": "of tomorrow" }, keys.jwk] }),
        "/userinfo" if plan.disabled => return StatusCode::UNAUTHORIZED.into_response(),
        "/userinfo" => plan.userinfo.clone(),
        "/token" if body.contains("refresh_token=refresh-token-of-the-provider") => {
            let mut refresh = plan.refresh.clone();
            if refresh["id_token"] == json!(true) {
                refresh["id_token"] = json!(sign(&plan, &keys));
            }
            refresh
        }
        "/token" if body.contains("code=right") => json!({
            "access_token": ACCESS,
            "token_type": "Bearer",
            "expires_in": 600,
            "refresh_token": "refresh-token-of-the-provider",
            "id_token": sign(&plan, &keys),
        }),
        _ => {
            let error = json!({ "error": "invalid_grant" }).to_string();
            return (StatusCode::BAD_REQUEST, error).into_response();
        }
    };
    answer.to_string().into_response()
}

impl Provider {
    pub(crate) async fn start(more: Value) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let right = key();
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&right, Algorithm::ES256).unwrap())
                .unwrap();
        jwk["kid"] = json!("one");
        let keys = Arc::new(Keys {
            right,
            wrong: key(),
            jwk,
        });
        let claims = json!({
            "iss": issuer, "sub": "s-1", "aud": "portico", "exp": NOW + 300, "iat": NOW,
            "at_hash": half_hash(SigningAlgorithm::ES256, ACCESS),
            "amr": ["pwd", "otp"], "name": "Sam Doe", "roles": ["admin", "staff"], "dept": "sales",
        });
        let plan = Arc::new(Mutex::new(Plan {
            issuer: issuer.clone(),
            claims: claims.as_object().unwrap().clone(),
            sign: Sign::Rightly,
            typ: "JWT",
            userinfo: json!({ "sub": "s-1", "email": "sam@example.org", "email_verified": true }),
            advertises_iss: false,
            refresh: json!({ "access_token": "renewed", "token_type": "bearer" }),
            requests: Vec::new(),
            fault: None,
            fault_at: None,
            disabled: false,
        }));
        let app = axum::Router::new()
            .fallback(answer)
            .with_state((Arc::clone(&plan), keys));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let clock = Clock::manual(NOW);
        let mut settings = json!({
            "issuer": issuer,
            "client_id": "portico",
            "client_secret": { RESOLVED: SECRET },
            "groups_claim": "roles",
            "claims": { "department": "dept" },
        });
        let object = settings.as_object_mut().unwrap();
        object.extend(more.as_object().unwrap().clone());
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let upstream = open(
            UpstreamId::new("partner"),
            Label::plain("Partner".to_owned()),
            vec![LoginMethod::Redirect],
            settings,
            &surroundings(clock.clone()),
        );
        Self {
            plan,
            upstream: upstream.unwrap(),
            clock,
            server,
        }
    }

    async fn depart(&self) -> Departure {
        self.depart_for(&[]).await
    }

    async fn depart_for(&self, acr_values: &[String]) -> Departure {
        let callback = Url::parse(CALLBACK).unwrap();
        let trip = Trip {
            callback: &callback,
            state: "the-state",
            reauthenticate: true,
            acr_values,
        };
        let redirect = self.upstream.redirect.as_ref().unwrap();
        redirect.start(&trip).await.unwrap()
    }

    async fn finish(&self, departure: &Departure, answer: &str) -> Result<Identity, LoginError> {
        let callback = Url::parse(CALLBACK).unwrap();
        let back = Return {
            callback: &callback,
            answer: &Params::parse(answer.as_bytes()).unwrap(),
            kept: departure.kept.as_deref(),
        };
        self.upstream.callback.as_ref().unwrap().finish(&back).await
    }

    /// A login whose answer is changed after the right nonce was put in.
    async fn log_in(&self, change: impl FnOnce(&mut Plan)) -> Result<Identity, LoginError> {
        let departure = self.depart().await;
        {
            let mut plan = self.plan.lock().unwrap();
            plan.claims.insert(
                "nonce".to_owned(),
                json!(parameter(&departure.url, "nonce")),
            );
            change(&mut plan);
        }
        self.finish(&departure, "code=right&state=the-state").await
    }

    fn asked(&self, path: &str) -> usize {
        let plan = self.plan.lock().unwrap();
        plan.requests
            .iter()
            .filter(|(asked, ..)| asked == path)
            .count()
    }
}

#[async_trait::async_trait]
impl Stand for Provider {
    fn name(&self) -> &'static str {
        "oidc"
    }
    fn upstream(&self) -> &Upstream {
        &self.upstream
    }
    // It has no form of ours to type them into.
    fn good(&self) -> (&'static str, &'static str) {
        ("sam", "password-at-the-provider")
    }
    fn disabled(&self) -> (&'static str, &'static str) {
        ("left", "password-at-the-provider")
    }
    async fn arrivals(&self) -> Vec<Arrival> {
        let departure = self.depart().await;
        let nonce = json!(parameter(&departure.url, "nonce"));
        let mut plan = self.plan.lock().unwrap();
        plan.claims.insert("nonce".to_owned(), nonce);
        plan.claims.insert("exp".to_owned(), json!(NOW + 100_000));
        let params = [("code", "right")].into_iter().collect();
        vec![Arrival::Back(params, departure.kept)]
    }
    fn fail(&self, fault: Fault) -> bool {
        self.plan.lock().unwrap().fault = Some(fault);
        true
    }
    fn mend(&self) {
        self.plan.lock().unwrap().fault = None;
        // What failed is not asked again at once (T38).
        self.clock.advance(31);
    }
    fn log(&self) -> Vec<Recorded> {
        let plan = self.plan.lock().unwrap();
        let recorded = |(path, authorization, body): &(String, String, String)| Recorded {
            method: String::new(),
            path: path.clone(),
            query: String::new(),
            headers: vec![
                ("authorization".to_owned(), authorization.clone()),
                (
                    "content-type".to_owned(),
                    "application/x-www-form-urlencoded".to_owned(),
                ),
            ],
            body: body.clone(),
        };
        plan.requests.iter().map(recorded).collect()
    }
    fn disable(&self) {
        self.plan.lock().unwrap().disabled = true;
    }
    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned(), ACCESS.to_owned()]
    }
    fn api_call(&self) -> Option<ApiCall> {
        None
    }
}

fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(known, _)| known == name);
    found
        .unwrap_or_else(|| panic!("{name} in {url}"))
        .1
        .into_owned()
}

#[tokio::test]
async fn a_person_comes_in_with_everything_that_the_provider_tells() {
    let provider = Provider::start(json!({})).await;
    let departure = provider.depart().await;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "portico"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid profile email"),
        ("state", "the-state"),
        ("code_challenge_method", "S256"),
        ("prompt", "login"),
    ] {
        assert_eq!(parameter(&departure.url, name), value);
    }
    let identity = provider.log_in(|_| {}).await.unwrap();
    assert_eq!(identity.subject, "s-1");
    assert_eq!(identity.amr, ["pwd", "otp"]);
    let profile = &identity.profile;
    assert_eq!(profile.name.as_deref(), Some("Sam Doe"));
    assert_eq!(profile.email.as_deref(), Some("sam@example.org"));
    assert_eq!(profile.groups, ["admin", "staff"]);
    assert_eq!(profile.more["department"], "sales");
    let tokens = identity.tokens.as_ref().unwrap();
    assert_eq!(tokens.expires_at, NOW + 600);
    // The secret went by the header, both halves encoded (RFC 6749 section 2.3.1); and the verifier with the code.
    let plan = provider.plan.lock().unwrap();
    let (_, authorization, body) = plan
        .requests
        .iter()
        .find(|(path, ..)| path == "/token")
        .unwrap();
    let expected = base64::engine::general_purpose::STANDARD.encode("portico:s%2Be%2Fc%3Dr+e%3At");
    assert_eq!(*authorization, format!("Basic {expected}"));
    assert!(body.contains("code_verifier=") && !body.contains("client_secret"));
}

/// T44, Core section 3.1.3.7.
#[tokio::test]
async fn every_forged_answer_is_refused() {
    type Change = Box<dyn Fn(&mut Plan) + Send>;
    fn claim(name: &'static str, value: Value) -> (String, Change) {
        let what = format!("{name} = {value}");
        (
            what,
            Box::new(move |plan| drop(plan.claims.insert(name.to_owned(), value.clone()))),
        )
    }
    fn without(name: &'static str) -> (String, Change) {
        (
            format!("no {name}"),
            Box::new(move |plan| drop(plan.claims.remove(name))),
        )
    }
    let mut changes: Vec<(String, Change)> = vec![
        claim("nonce", json!("another")),
        without("nonce"),
        claim("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        claim("at_hash", json!(7)),
        claim("aud", json!("another")),
        claim("aud", json!(["another"])),
        claim("aud", json!(["portico", "another"])),
        without("aud"),
        claim("azp", json!("another")),
        claim("exp", json!(NOW - 61)),
        claim("exp", json!((NOW + 300).to_string())),
        without("exp"),
        claim("iat", json!(NOW + 61)),
        without("iat"),
        claim("nbf", json!(NOW + 61)),
        claim("iss", json!("https://elsewhere.example")),
        without("iss"),
        without("sub"),
        claim("sub", json!("")),
        claim("sub", json!(1)),
    ];
    for (what, sign) in [
        ("alg none", Sign::None),
        ("HS256 with the public key", Sign::WithPublicKey),
        ("another key", Sign::WithAnotherKey),
        ("an unknown kid", Sign::UnderAnotherName),
    ] {
        changes.push((what.to_owned(), Box::new(move |plan| plan.sign = sign)));
    }
    changes.push(("typ".to_owned(), Box::new(|plan| plan.typ = "at+jwt")));
    changes.push((
        "userinfo of somebody else".to_owned(),
        Box::new(|plan| plan.userinfo = json!({ "sub": "s-2" })),
    ));
    for (what, change) in changes {
        let provider = Provider::start(json!({})).await;
        let answer = provider.log_in(change).await;
        assert_eq!(kind(&answer), "protocol", "{what}");
        let told = told(&answer.unwrap_err());
        assert!(!told.contains(ACCESS) && !told.contains(SECRET), "{told}");
    }
    // What is not forged, to the letter: several audiences with our azp; no at_hash, unless it is required.
    let provider = Provider::start(json!({})).await;
    let answer = provider.log_in(|plan| {
        plan.claims
            .insert("aud".to_owned(), json!(["portico", "another"]));
        plan.claims.insert("azp".to_owned(), json!("portico"));
        plan.claims.remove("at_hash");
    });
    assert_eq!(kind(&answer.await), "in");
    let provider = Provider::start(json!({ "require_at_hash": true })).await;
    let answer = provider
        .log_in(|plan| drop(plan.claims.remove("at_hash")))
        .await;
    assert_eq!(kind(&answer), "protocol");
    let provider = Provider::start(json!({ "id_token_signed_response_alg": ["RS256"] })).await;
    assert_eq!(kind(&provider.log_in(|_| {}).await), "protocol");
}

/// RFC 9207, T27: an answer of another provider is refused before its code is sent anywhere.
#[tokio::test]
async fn an_answer_of_another_provider_is_not_redeemed() {
    for (advertises, answer, expected) in [
        (
            false,
            "code=right&iss=https://elsewhere.example",
            "protocol",
        ),
        (true, "code=right", "protocol"),
        (true, "code=right&iss=https://elsewhere.example", "protocol"),
        (false, "error=access_denied", "cancelled"),
        (false, "error=server_error", "protocol"),
        (false, "code=right&code=right", "protocol"),
        (false, "", "protocol"),
    ] {
        let provider = Provider::start(json!({})).await;
        provider.plan.lock().unwrap().advertises_iss = advertises;
        let departure = provider.depart().await;
        let answer = provider.finish(&departure, answer).await;
        assert_eq!(kind(&answer), expected);
        assert_eq!(provider.asked("/token"), 0);
    }
    let provider = Provider::start(json!({})).await;
    let departure = provider.depart().await;
    assert_eq!(
        kind(&provider.finish(&departure, "code=stolen").await),
        "bad credentials"
    );
    let lost = Departure::to(departure.url);
    assert_eq!(
        kind(&provider.finish(&lost, "code=right").await),
        "protocol"
    );
}

/// T38, T47.
#[tokio::test]
async fn the_providers_documents_are_not_fetched_more_often_than_needed() {
    let provider = Provider::start(json!({})).await;
    for _ in 0..3 {
        provider
            .log_in(|plan| plan.sign = Sign::UnderAnotherName)
            .await
            .unwrap_err();
    }
    assert_eq!(
        (
            provider.asked("/.well-known/openid-configuration"),
            provider.asked("/jwks")
        ),
        (1, 1)
    );
    provider.clock.advance(31);
    provider.log_in(|_| {}).await.unwrap_err();
    assert_eq!(provider.asked("/jwks"), 2);
    // Somebody else's document is refused, and the refusal is remembered.
    let provider = Provider::start(json!({})).await;
    provider.plan.lock().unwrap().issuer = "https://elsewhere.example".to_owned();
    let callback = Url::parse(CALLBACK).unwrap();
    for _ in 0..3 {
        let trip = Trip {
            callback: &callback,
            state: "s",
            reauthenticate: false,
            acr_values: &[],
        };
        let redirect = provider.upstream.redirect.as_ref().unwrap();
        let error = redirect.start(&trip).await.unwrap_err();
        assert!(told(&error).contains("elsewhere.example"));
    }
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 1);
}

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// T38, T64: what was good an hour ago goes on serving, and an outage of one document is none of the other's.
#[tokio::test]
async fn a_document_that_cannot_be_fetched_again_keeps_nobody_out() {
    let provider = Provider::start(json!({})).await;
    let later = |plan: &mut Plan| {
        plan.claims.insert("exp".to_owned(), json!(NOW + 100_000));
    };
    // Discovery alone is away, before any key was ever fetched.
    provider.depart().await;
    provider.clock.advance(3601);
    provider.plan.lock().unwrap().fault_at = Some((DISCOVERY, Fault::Status(503)));
    let identity = provider.log_in(later).await.unwrap();
    assert_eq!(provider.asked("/jwks"), 1);

    for fault in [Fault::Status(503), Fault::CloseAfter(0), Fault::Page] {
        provider.clock.advance(3601);
        provider.plan.lock().unwrap().fault_at = Some(("/jwks", fault.clone()));
        let asked = provider.asked("/jwks");
        // The second comes within the pause.
        for _ in 0..2 {
            let again = provider.log_in(|_| {}).await;
            assert_eq!(kind(&again), "in", "{fault:?}");
        }
        let tokens = {
            let mut plan = provider.plan.lock().unwrap();
            plan.claims.remove("at_hash");
            plan.refresh =
                json!({ "access_token": "renewed", "token_type": "bearer", "id_token": true });
            identity.tokens.clone().unwrap()
        };
        let renewal = provider.upstream.renewal.as_ref().unwrap();
        let renewed = renewal.renew(&tokens).await.unwrap();
        assert!(renewed.access.equals("renewed"), "{fault:?}");
        assert_eq!(provider.asked("/jwks"), asked + 1, "{fault:?}");
    }

    // A key that nobody has seen is still none, nor are old ones taken for it.
    let unknown = provider.log_in(|plan| plan.sign = Sign::UnderAnotherName);
    assert_eq!(kind(&unknown.await), "protocol");
}

#[tokio::test]
async fn a_lifetime_may_be_told_as_text() {
    let provider = Provider::start(json!({})).await;
    let tokens = provider.log_in(|_| {}).await.unwrap().tokens.unwrap();
    let renewal = provider.upstream.renewal.as_ref().unwrap();
    for (told, life) in [
        (json!("1200"), 1200),
        (json!(1200), 1200),
        (json!("soon"), 300),
        (Value::Null, 300),
    ] {
        provider.plan.lock().unwrap().refresh =
            json!({ "access_token": "renewed", "token_type": "bearer", "expires_in": told });
        let renewed = renewal.renew(&tokens).await.unwrap();
        assert_eq!(renewed.expires_at, NOW + life, "{told}");
    }
}

/// T64: without the provider's documents nothing is sent, and nothing is lost; what was sent and not answered is.
#[tokio::test]
async fn a_refresh_token_is_sent_once_all_that_its_answer_needs_is_there() {
    let tokens = {
        let provider = Provider::start(json!({})).await;
        provider.log_in(|_| {}).await.unwrap().tokens.unwrap()
    };
    let faults = [
        Fault::Hang,
        Fault::CloseAfter(0),
        Fault::Oversized,
        Fault::Status(503),
        Fault::Page,
    ];
    for (at, lost) in [(DISCOVERY, false), ("/jwks", false), ("/token", true)] {
        for fault in faults.clone() {
            let timeout = if fault == Fault::Hang { "1s" } else { "10s" };
            let provider = Provider::start(json!({ "timeout": timeout })).await;
            provider.plan.lock().unwrap().fault_at = Some((at, fault.clone()));
            let renewal = provider.upstream.renewal.as_ref().unwrap();
            // A 503 says itself that nothing was taken.
            let lost = lost && fault != Fault::Status(503);
            // The second comes within the pause.
            for _ in 0..2 {
                let error = renewal.renew(&tokens).await.unwrap_err();
                assert_eq!(error.lost_the_answer(), lost, "{at} {fault:?}: {error:?}");
            }
            let sent = if at == "/token" { 2 } else { 0 };
            assert_eq!(provider.asked("/token"), sent, "{at} {fault:?}");
            provider.mend();
            provider.plan.lock().unwrap().fault_at = None;
            assert!(renewal.renew(&tokens).await.is_ok(), "{at} {fault:?}");
        }
    }
}

/// A clock that is put right: what failed meanwhile is tried again, and what was fetched meanwhile is not current until it stands there anew.
#[tokio::test]
async fn what_a_clock_noted_that_was_ahead_is_fetched_anew() {
    const STEP: i64 = 1_000_000;
    let provider = Provider::start(json!({})).await;
    let identity = provider.log_in(|_| {}).await.unwrap();
    let tokens = identity.tokens.unwrap();
    let renewal = provider.upstream.renewal.as_ref().unwrap();
    provider.clock.advance(STEP);
    renewal.renew(&tokens).await.unwrap();
    let asked = [provider.asked(DISCOVERY), provider.asked("/jwks")];
    provider.clock.advance(-STEP);
    renewal.renew(&tokens).await.unwrap();
    let anew = [provider.asked(DISCOVERY), provider.asked("/jwks")];
    assert_eq!(anew, asked.map(|times| times + 1));

    let provider = Provider::start(json!({})).await;
    let renewal = provider.upstream.renewal.as_ref().unwrap();
    provider.clock.advance(STEP);
    provider.plan.lock().unwrap().fault_at = Some((DISCOVERY, Fault::Status(503)));
    renewal.renew(&tokens).await.unwrap_err();
    provider.plan.lock().unwrap().fault_at = None;
    provider.clock.advance(-STEP);
    renewal.renew(&tokens).await.unwrap();
}

#[tokio::test]
async fn a_login_can_be_renewed_looked_at_again_and_signed_off() {
    let provider = Provider::start(json!({})).await;
    let identity = provider.log_in(|_| {}).await.unwrap();
    let tokens = identity.tokens.as_ref().unwrap();
    let renewal = provider.upstream.renewal.as_ref().unwrap();
    let renewed = renewal.renew(tokens).await.unwrap();
    assert!(renewed.access.equals("renewed"));
    assert!(
        renewed
            .refresh
            .unwrap()
            .equals("refresh-token-of-the-provider")
    );
    let recheck = provider.upstream.recheck.as_ref().unwrap();
    let known = Known {
        subject: &identity.subject,
        profile: &identity.profile,
        tokens: Some(tokens),
    };
    assert_eq!(recheck.recheck(&known).await.unwrap(), identity.profile);
    provider.plan.lock().unwrap().userinfo = json!({ "sub": "s-2" });
    assert!(matches!(
        recheck.recheck(&known).await,
        Err(LoginError::Protocol(_))
    ));
    let back = Url::parse("https://login.example.org/back").unwrap();
    let sign_off = provider.upstream.sign_off.as_ref().unwrap();
    let trip = sign_off.start(&back, Some(tokens)).await.unwrap();
    assert!(trip.comes_back && trip.url.path() == "/logout");
    assert_eq!(
        parameter(&trip.url, "post_logout_redirect_uri"),
        back.as_str()
    );
    assert!(
        tokens
            .sign_off_hint
            .as_ref()
            .unwrap()
            .equals(&parameter(&trip.url, "id_token_hint"))
    );
    for finding in provider.upstream.probe.probe().await {
        assert!(finding.outcome.is_ok(), "{finding:?}");
    }
}

/// T17: a provider that leaves out an empty claim has not kept anybody in their last group.
#[tokio::test]
async fn what_userinfo_does_not_tell_any_more_is_gone() {
    let provider = Provider::start(json!({})).await;
    let userinfo =
        json!({ "sub": "s-1", "email": "sam@example.org", "roles": ["staff"], "dept": "sales" });
    let by_userinfo = |plan: &mut Plan| {
        plan.claims.remove("roles");
        plan.claims.remove("dept");
        plan.userinfo = userinfo.clone();
    };
    let identity = provider.log_in(by_userinfo).await.unwrap();
    assert_eq!(identity.profile.groups, ["staff"]);
    provider.plan.lock().unwrap().userinfo = json!({ "sub": "s-1", "email": "sam@example.org" });
    let recheck = provider.upstream.recheck.as_ref().unwrap();
    let known = Known {
        subject: &identity.subject,
        profile: &identity.profile,
        tokens: identity.tokens.as_ref(),
    };
    let now = recheck.recheck(&known).await.unwrap();
    assert_eq!(now.groups, Vec::<String>::new());
    assert!(!now.more.contains_key("department"));
    // What the ID token told stays.
    assert_eq!(now.name.as_deref(), Some("Sam Doe"));
}

/// A Portico, and another that is its provider, with its own people.
async fn two_porticos() -> (TestServer, TestServer) {
    // The inner one's client has the outer one's address in it, which a listener decides: register any port (RFC 8252
    // section 7.3).
    let inner = TestServer::start_with(|setup| {
        setup.own_key = true;
        setup.clients = "[[clients]]\nclient_id = \"outer\"\nclient_secret = { env = \"WEB_SECRET\" }\n\
             redirect_uris = [\"http://127.0.0.1/upstream/partner/callback\"]\n\
             grant_types = [\"authorization_code\", \"refresh_token\"]\nscope = \"openid profile email offline_access\"\n"
            .to_owned();
    })
    .await;
    let issuer = inner.issuer.clone();
    let outer = TestServer::start_with(|setup| {
        setup.upstreams = format!(
            "[[upstreams]]\nid = \"partner\"\nkind = \"oidc\"\nlabel = \"Partner login\"\n\
             issuer = \"{issuer}\"\nclient_id = \"outer\"\nclient_secret = {{ env = \"WEB_SECRET\" }}\n"
        );
    })
    .await;
    (outer, inner)
}

/// Core section 3.1, from end to end: the provider is a Portico of its own.
#[tokio::test]
async fn a_whole_login_goes_through_two_porticos() {
    let (outer, inner) = two_porticos().await;
    let issuer = inner.issuer.clone();
    let mut browser = Browser::new();
    let page = browser
        .open(outer.authorize_url("spa", &[("state", "outer-state")]))
        .await;
    let page = browser.choose(&page, "partner").await;
    assert_eq!(page.url.port(), Url::parse(&issuer).unwrap().port());
    let page = browser.choose(&page, "members").await;
    let fields = [
        ("username", people::JO_SMITH.username),
        ("password", people::JO_SMITH.password),
    ];
    let done = browser.submit(&page, PASSWORD_FORM, &fields).await;
    let answer = done.answer();
    assert_eq!(answer["state"], "outer-state");
    let tokens = outer.redeem("spa", &answer["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);

    // Out again, by the provider's own logout, which is shown the ID token that it gave for the login.
    let hint = tokens.text("id_token");
    let end_session = outer.url(&format!("/end_session?id_token_hint={hint}"));
    let away = browser.get(end_session).await.location().unwrap();
    assert!(
        away.as_str().starts_with(&format!("{issuer}/end_session?")),
        "{away}"
    );
    let shown = claims(&parameter(&away, "id_token_hint"));
    assert_eq!(
        (&shown["iss"], &shown["aud"]),
        (&json!(issuer), &json!("outer"))
    );
    assert_eq!(
        parameter(&away, "post_logout_redirect_uri"),
        outer.url("/end_session/returned")
    );
}

/// Whoever wants another account, and whom the app does not mean, is not sent back by the provider's own session (Core section
/// 3.1.2.1).
#[tokio::test]
async fn the_provider_is_asked_for_a_login_anew_where_another_account_is_wanted() {
    let (outer, _inner) = two_porticos().await;
    let start = "form[action='/upstream/partner/start']";
    let asked = async |browser: &mut Browser, changes: &[(&str, &str)]| {
        let page = browser.open(outer.authorize_url("spa", changes)).await;
        let trip = browser.submit_only(&page, start, &[]).await;
        let trip = trip.location().unwrap();
        let mut parameters = trip.query_pairs();
        let prompt = parameters.find(|(name, _)| name == "prompt");
        prompt.map(|(_, value)| value.into_owned())
    };
    let mut browser = Browser::new();
    assert_eq!(asked(&mut browser, &[]).await, None);
    let page = browser.open(outer.authorize_url("spa", &[])).await;
    let page = browser.choose(&page, "partner").await;
    let page = browser.sign_in_as(&page, people::JO_SMITH).await;
    assert!(page.answer().contains_key("code"), "{}", page.body);
    for changes in [
        ("prompt", "select_account"),
        (
            "claims",
            r#"{"id_token":{"sub":{"value":"somebody-else"}}}"#,
        ),
    ] {
        let prompt = asked(&mut browser, &[changes]).await;
        assert_eq!(prompt.as_deref(), Some("login"), "{changes:?}");
    }
}

/// Core section 3.1.2.1: the provider is asked for what it is believed about, and nothing else.
#[tokio::test]
async fn what_a_login_is_to_prove_is_asked_of_the_provider() {
    let provider = Provider::start(json!({ "acr_values": ["phr", "phrh"] })).await;
    let wanted = ["urn:ours", "phrh", "phr"].map(str::to_owned);
    let departure = provider.depart_for(&wanted).await;
    assert_eq!(parameter(&departure.url, "acr_values"), "phrh phr");
    for nothing in [&[][..], &wanted[..1]] {
        let departure = provider.depart_for(nothing).await;
        assert!(!departure.url.query().unwrap().contains("acr_values"));
    }
    for (told, read) in [
        (json!("phr"), Some("phr")),
        // Whether it is believed is for the configuration to say.
        (json!("other"), Some("other")),
        (json!(["phr"]), None),
        (json!(""), None),
        (Value::Null, None),
    ] {
        let who = provider.log_in(|plan| {
            plan.claims.insert("acr".to_owned(), told.clone());
        });
        assert_eq!(who.await.unwrap().acr.as_deref(), read, "{told}");
    }
}

#[test]
fn every_name_that_a_claim_cannot_have_is_told() {
    let names = ["", "a b", "grün", "groups", "iss", "name"];
    let mut claims: Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!("theirs")))
        .collect();
    claims.insert("https://example.org/unit".to_owned(), json!("unit"));
    let settings = json!({
        "issuer": "https://partner.example.org",
        "client_id": "portico",
        "client_secret": { RESOLVED: SECRET },
        "claims": claims,
    });
    let settings: Settings = serde_json::from_value(settings).unwrap();
    let problems = settings.problems();
    let mut keys: Vec<&str> = problems.iter().map(|each| each.key.as_str()).collect();
    keys.sort_unstable();
    let mut expected = names.map(|name| format!("claims.{name}"));
    expected.sort_unstable();
    assert_eq!(keys, expected);
}
