//! Any OpenID Provider as an upstream (OpenID Connect Core and Discovery 1.0): authorization code with PKCE, nonce and state.
//! Everything that could be somebody else's is refused where it does not fit, and where it cannot be told (T44).

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

use super::lifetime;
use super::outbound::{Answer, Http, bearer, excerpt, may_lead_to, spent};
use super::settings::{self, OpenError, Problems, SettingProblem, check_open};
use super::{
    CallbackLogin, Departure, Finding, Identity, Known, LoginError, LoginMethod, NoVerdict, Probe,
    Recheck, RedirectLogin, Renewal, Return, SignOff, SignOffTrip, Surroundings, Trip, Upstream,
    UpstreamTokens,
};
use crate::clock::{Clock, UnixTime, is_recent, random_bytes, random_id};
use crate::protocol::claims::{self, Profile, TEXTS};
use crate::protocol::error::chain;
use crate::protocol::foreign_jwt::{ForeignJwt, ForeignKind};
use crate::protocol::ids::UpstreamId;
use crate::protocol::issuer::Issuer;
use crate::protocol::jwk::JwkSet;
use crate::protocol::jws::{SigningAlgorithm, half_hash};
use crate::protocol::locale::Label;
use crate::protocol::secret::{self, Secret};

/// The ways to log in that this adapter has.
pub const METHODS: &[LoginMethod] = &[LoginMethod::Redirect];

/// Seconds for which the provider's documents are taken for current.
const FRESH: i64 = 3600;
/// Seconds after a failure in which they are not fetched again (T38), nor the keys for one more unknown `kid` (T47).
const PAUSE: i64 = 30;
/// The longest that one document is waited for, so that what a renewal needs beforehand leaves time for the renewal itself.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(15);
/// Seconds by which the provider's clock may be off.
const LEEWAY: i64 = 60;
/// Seconds that an access token is good for when the provider does not say.
const UNTOLD_LIFE: i64 = 300;
/// Codes are some hundred characters; nothing that much longer is one.
const MAX_CODE_BYTES: usize = 4096;
/// More than any real name or address has; a longer one is left out rather than cut.
const MAX_CLAIM_BYTES: usize = 512;

/// One entry of `[[upstreams]]` with `kind = "oidc"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The provider's issuer, letter by letter as its discovery document says. No default.
    pub issuer: String,
    /// Our client there. No default.
    pub client_id: String,
    /// Its secret. Default: none, a public client.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// How the secret is sent. Default: `"client_secret_basic"`.
    #[serde(default)]
    pub token_endpoint_auth_method: AuthMethod,
    /// What is asked for, with spaces between; `openid` always is. Default: `"openid profile email"`.
    #[serde(default = "default_scope")]
    pub scope: String,
    /// The algorithms with which ID tokens may be signed. Default: all that this adapter knows.
    #[serde(default = "default_algorithms")]
    pub id_token_signed_response_alg: Vec<SigningAlgorithm>,
    /// Whether an ID token without `at_hash` is refused; a wrong one always is. Default: false, since the code flow
    /// need not have it (Core section 3.1.3.6).
    #[serde(default)]
    pub require_at_hash: bool,
    /// The claim with the groups. Default: none.
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// Further claims, each with the provider's name for it. Default: none.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    /// The values of `acr` that the provider is believed, and asked for when an app asks for them. Default: none.
    #[serde(default)]
    pub acr_values: Vec<String>,
    /// Whether the provider's userinfo endpoint is asked, at the login and when it has to be known whether a person may
    /// still come in. Default: true.
    #[serde(default = "yes")]
    pub userinfo: bool,
    /// How long to wait for an answer. Default: `"10s"`.
    #[serde(
        default = "settings::default_timeout",
        deserialize_with = "settings::duration"
    )]
    pub timeout: Duration,
}

/// How a client proves itself at the token endpoint (Core section 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// In the header.
    #[default]
    ClientSecretBasic,
    /// In the body.
    ClientSecretPost,
}

fn default_scope() -> String {
    "openid profile email".to_owned()
}

fn default_algorithms() -> Vec<SigningAlgorithm> {
    vec![
        SigningAlgorithm::RS256,
        SigningAlgorithm::PS256,
        SigningAlgorithm::ES256,
        SigningAlgorithm::EdDSA,
    ]
}

const fn yes() -> bool {
    true
}

impl Settings {
    /// What an administrator has to change.
    pub fn problems(&self) -> Vec<SettingProblem> {
        let mut problems = Problems::default();
        match Url::parse(&self.issuer) {
            Ok(url) => problems.base_url("issuer", &url, false),
            Err(_) => problems.add("issuer", "is not an address; write https://.."),
        }
        problems.text("client_id", &self.client_id);
        if let Some(secret) = &self.client_secret {
            problems.secret("client_secret", secret);
        }
        if self.id_token_signed_response_alg.is_empty() {
            problems.add(
                "id_token_signed_response_alg",
                "is empty, so no ID token could be taken; leave it out for all that are safe",
            );
        }
        if let Some(claim) = &self.groups_claim {
            problems.text("groups_claim", claim);
        }
        for (claim, theirs) in &self.claims {
            let key = format!("claims.{claim}");
            problems.text(key.clone(), theirs);
            if problems.claim_name(&key, claim)
                && (Profile::NAMES.contains(&claim.as_str()) || claim == "groups")
            {
                problems.add(
                    key,
                    "is told anyway; groups_claim names the claim with the groups",
                );
            }
        }
        problems.timeout("timeout", self.timeout);
        problems.into_vec()
    }

    fn scope(&self) -> String {
        let others = self
            .scope
            .split_whitespace()
            .filter(|each| *each != "openid");
        ["openid"]
            .into_iter()
            .chain(others)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Opens an OpenID Provider. `login` is what the administrator offers.
pub fn open(
    id: UpstreamId,
    label: Label,
    login: Vec<LoginMethod>,
    settings: Settings,
    surroundings: &Surroundings,
) -> Result<Upstream, OpenError> {
    check_open("oidc", METHODS, &login, settings.problems())?;
    let site = Url::parse(&settings.issuer).map_err(|_| {
        OpenError::Setting(SettingProblem {
            key: "issuer".to_owned(),
            problem: "is not an address".to_owned(),
        })
    })?;
    let groups = settings.groups_claim.iter().map(|_| "groups".to_owned());
    let standard = TEXTS.into_iter().chain(OTHERS).map(ToOwned::to_owned);
    let mut claims: BTreeSet<String> = groups.chain(settings.claims.keys().cloned()).collect();
    claims.extend(standard);
    let userinfo = settings.userinfo;
    let oidc = Arc::new(Oidc {
        callback: surroundings.issuer.callback(&id),
        settings,
        site,
        http: surroundings.http.clone(),
        clock: surroundings.clock.clone(),
        metadata: Mutex::default(),
        keys: Mutex::default(),
    });
    let own = || Adapter(Arc::clone(&oidc));
    Ok(Upstream {
        redirect: Some(Box::new(own())),
        callback: Some(Box::new(own())),
        renewal: Some(Box::new(own())),
        recheck: userinfo.then(|| Box::new(own()) as Box<dyn Recheck>),
        sign_off: Some(Box::new(own())),
        claims: claims.into_iter().collect(),
        ..Upstream::new(id, label, login, Box::new(own()))
    })
}

/// One provider.
struct Oidc {
    settings: Settings,
    site: Url,
    /// Our address that is registered there.
    callback: String,
    http: Http,
    clock: Clock,
    metadata: Mutex<Document<Metadata>>,
    keys: Mutex<Document<JwkSet>>,
}

struct Adapter(Arc<Oidc>);

/// One of the provider's documents. Held while fetching, so that one request serves all who wait.
struct Document<T> {
    /// What was fetched last, and when.
    kept: Option<(Arc<T>, UnixTime)>,
    failure: Option<Failure>,
}

/// Why the last fetch failed.
struct Failure {
    told: String,
    /// Whether by an outage.
    outage: bool,
    at: UnixTime,
}

/// The discovery document (Discovery section 3), as far as it is of use here.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    userinfo_endpoint: Option<Url>,
    end_session_endpoint: Option<Url>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What a trip remembers, sealed in the browser's cookie.
#[derive(Serialize, Deserialize)]
struct Kept {
    nonce: String,
    verifier: String,
}

/// An answer of the token endpoint (Core section 3.1.3.3).
#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(deserialize_with = "secret::from_answer", default)]
    access_token: Option<Secret>,
    token_type: Option<String>,
    #[serde(deserialize_with = "secret::from_answer", default)]
    refresh_token: Option<Secret>,
    #[serde(deserialize_with = "secret::from_answer", default)]
    id_token: Option<Secret>,
    /// A number; some providers tell it as a text.
    expires_in: Option<Value>,
}

fn nonsense(what: impl Into<String>) -> LoginError {
    LoginError::Protocol(what.into().into())
}

impl Oidc {
    /// The discovery document, fetched at the first use and once an hour.
    async fn metadata(&self) -> Result<Arc<Metadata>, LoginError> {
        let document = &mut *self.metadata.lock().await;
        let is_current = |_: &Metadata, age| age < FRESH;
        document
            .get(&self.clock, is_current, |_| true, self.fetch_metadata())
            .await
    }

    async fn fetch_metadata(&self) -> Result<Metadata, LoginError> {
        let issuer = self.settings.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let url = Url::parse(&url).map_err(|_| nonsense("the issuer is no address"))?;
        let metadata: Metadata = self.fetch(url, "the discovery document").await?;
        // Discovery section 4.3: otherwise whoever answers there could speak for another.
        if metadata.issuer != self.settings.issuer {
            return Err(nonsense(format!(
                "the discovery document is that of {}; write issuer exactly as it says",
                excerpt(&metadata.issuer, &[])
            )));
        }
        let asked_by_us = [&metadata.token_endpoint, &metadata.jwks_uri];
        for endpoint in asked_by_us.into_iter().chain(&metadata.userinfo_endpoint) {
            if !may_lead_to(&self.site, endpoint) {
                return Err(nonsense(
                    "the discovery document of a public provider names an endpoint in a private network",
                ));
            }
        }
        let mut endpoints = vec![
            &metadata.authorization_endpoint,
            &metadata.token_endpoint,
            &metadata.jwks_uri,
        ];
        endpoints.extend(&metadata.userinfo_endpoint);
        endpoints.extend(&metadata.end_session_endpoint);
        for endpoint in endpoints {
            let mut problems = Problems::default();
            let bare = {
                let mut bare = endpoint.clone();
                bare.set_query(None);
                bare
            };
            problems.base_url(
                "",
                &bare,
                self.site.scheme() == "http" && is_local(endpoint),
            );
            if !problems.into_vec().is_empty() {
                return Err(nonsense(
                    "the discovery document names an endpoint without https",
                ));
            }
        }
        Ok(metadata)
    }

    /// The keys; fetched anew, though not more often than every half a minute, when none is called `kid`.
    async fn keys(&self, kid: Option<&str>) -> Result<Arc<JwkSet>, LoginError> {
        let metadata = self.metadata().await?;
        let document = &mut *self.keys.lock().await;
        let names = |keys: &JwkSet| kid.is_none_or(|kid| keys.names(kid));
        let is_current = |keys: &JwkSet, age| age < PAUSE || names(keys) && age < FRESH;
        let fetched = self.fetch_keys(&metadata);
        document.get(&self.clock, is_current, names, fetched).await
    }

    async fn fetch_keys(&self, metadata: &Metadata) -> Result<JwkSet, LoginError> {
        let document: Value = self.fetch(metadata.jwks_uri.clone(), "the keys").await?;
        // A key of a kind that is not known here must not hide the others (RFC 7517 section 5).
        JwkSet::fetched(&document)
            .map_err(|problem| nonsense(format!("the provider's jwks_uri {problem}")))
    }

    async fn fetch<T: serde::de::DeserializeOwned>(
        &self,
        url: Url,
        what: &str,
    ) -> Result<T, LoginError> {
        let answer = self
            .http
            .get(
                url,
                HeaderMap::new(),
                self.settings.timeout.min(DOCUMENT_TIMEOUT),
            )
            .await?;
        let told = || format!("{what}: {}", answer.describe());
        if answer.is_outage() {
            return Err(LoginError::Unavailable(told().into()));
        }
        let document = answer.status.is_success().then(|| answer.json()).flatten();
        document.ok_or_else(|| nonsense(told()))
    }

    /// Asks the token endpoint, once.
    async fn ask(&self, form: &[(&str, &str)]) -> Result<TokenAnswer, LoginError> {
        let metadata = self.metadata().await?;
        let Settings {
            client_id,
            client_secret,
            token_endpoint_auth_method: method,
            ..
        } = &self.settings;
        let mut headers = HeaderMap::new();
        let mut form = form.to_vec();
        match (client_secret, method) {
            (Some(secret), AuthMethod::ClientSecretBasic) => {
                headers.insert(AUTHORIZATION, basic(client_id, secret)?);
            }
            (Some(secret), AuthMethod::ClientSecretPost) => form.extend([
                ("client_id", client_id.as_str()),
                ("client_secret", secret.expose()),
            ]),
            (None, _) => form.push(("client_id", client_id)),
        }
        let url = metadata.token_endpoint.clone();
        let timeout = self.settings.timeout;
        let answer = self
            .http
            .post_form_with(url, headers, &form, timeout)
            .await?;
        if answer.status.is_success()
            && let Some(tokens) = answer.json::<TokenAnswer>()
        {
            return Ok(tokens);
        }
        Err(refusal(&answer, "the token endpoint"))
    }

    /// Verifies an ID token (Core section 3.1.3.7). `nonce` is that of the trip; a renewal has none.
    async fn verify(
        &self,
        token: &Secret,
        access: &Secret,
        nonce: Option<&str>,
    ) -> Result<Map<String, Value>, LoginError> {
        let token = token.expose();
        let refused = |problem| nonsense(format!("the ID token {problem}"));
        let read = ForeignJwt::read(token, ForeignKind::IdToken).map_err(refused)?;
        let allowed = &self.settings.id_token_signed_response_alg;
        let algorithm = SigningAlgorithm::parse_foreign(read.algorithm());
        let algorithm = algorithm.filter(|algorithm| allowed.contains(algorithm));
        let algorithm =
            algorithm.ok_or_else(|| nonsense("the ID token is signed with none of the algorithms of id_token_signed_response_alg"))?;
        let keys = self.keys(read.kid()).await?;
        // Times are held against our own clock, and every claim's type is looked at (T40).
        let claims = read.verified_by(&keys, &[algorithm]).map_err(refused)?;
        let claims = claims.into_map();
        self.check(&claims, nonce)?;
        let expected = half_hash(algorithm, access.expose());
        match claims.get("at_hash") {
            None if !self.settings.require_at_hash => {}
            Some(Value::String(hash)) if *hash == expected => {}
            _ => return Err(nonsense("at_hash does not fit the access token")),
        }
        Ok(claims)
    }

    fn check(&self, claims: &Map<String, Value>, nonce: Option<&str>) -> Result<(), LoginError> {
        let refuse = |what: &str| Err(nonsense(format!("the ID token: {what}")));
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let time = |name: &str| claims.get(name).and_then(Value::as_i64);
        let ours = self.settings.client_id.as_str();
        if text("iss") != Some(self.settings.issuer.as_str()) {
            return refuse("iss is another's");
        }
        let (is_ours, several) = match claims.get("aud") {
            Some(Value::String(one)) => (one == ours, false),
            Some(Value::Array(all)) => (
                all.iter().all(Value::is_string) && all.iter().any(|each| each == ours),
                all.len() > 1,
            ),
            _ => (false, false),
        };
        if !is_ours {
            return refuse("aud is not our client");
        }
        match claims.get("azp") {
            None if several => return refuse("it has several audiences and no azp"),
            Some(azp) if azp != ours => return refuse("azp is not our client"),
            _ => {}
        }
        let now = self.clock.now();
        if time("exp").is_none_or(|exp| exp.saturating_add(LEEWAY) <= now) {
            return refuse("it has expired, or exp is no time");
        }
        if time("iat").is_none_or(|iat| iat.saturating_sub(LEEWAY) > now) {
            return refuse("iat is in the future, or no time");
        }
        if claims.contains_key("nbf")
            && time("nbf").is_none_or(|nbf| nbf.saturating_sub(LEEWAY) > now)
        {
            return refuse("nbf is in the future, or no time");
        }
        if subject_of(claims).is_none() {
            return refuse("sub is missing or no subject");
        }
        if let Some(nonce) = nonce
            && text("nonce") != Some(nonce)
        {
            return refuse("nonce is not that of the request");
        }
        Ok(())
    }

    /// What userinfo tells of the person `subject` (Core section 5.3), if there is such an endpoint.
    async fn userinfo(
        &self,
        access: &Secret,
        subject: &str,
    ) -> Result<Option<Map<String, Value>>, LoginError> {
        let metadata = self.metadata().await?;
        let (Some(url), true) = (&metadata.userinfo_endpoint, self.settings.userinfo) else {
            return Ok(None);
        };
        let headers = bearer(access.expose()).map_err(LoginError::Protocol)?;
        let answer = self
            .http
            .get(url.clone(), headers, self.settings.timeout)
            .await?;
        let told = || format!("userinfo: {}", answer.describe());
        if answer.status == 401 {
            return Err(LoginError::BadCredentials(Some(told().into())));
        }
        if answer.is_outage() {
            return Err(LoginError::Unavailable(told().into()));
        }
        let claims = answer.status.is_success().then(|| answer.json()).flatten();
        let claims: Map<String, Value> = claims.ok_or_else(|| nonsense(told()))?;
        // Core section 5.3.2: or it could be anybody's.
        if subject_of(&claims) != Some(subject) {
            return Err(nonsense("userinfo is about somebody else"));
        }
        Ok(Some(claims))
    }

    /// Lays what `claims` tell over `profile`.
    fn fill(&self, profile: &mut Profile, claims: &Map<String, Value>) {
        let text = |name: &str| claims.get(name).and_then(text);
        for (name, field) in [
            ("name", &mut profile.name),
            ("given_name", &mut profile.given_name),
            ("family_name", &mut profile.family_name),
            ("preferred_username", &mut profile.preferred_username),
        ] {
            if let Some(told) = text(name) {
                *field = Some(told);
            }
        }
        if let Some(email) = text("email") {
            profile.email = Some(email);
            profile.email_verified = match claims.get("email_verified") {
                Some(Value::Bool(verified)) => Some(*verified),
                Some(Value::String(verified)) => verified.parse().ok(),
                _ => None,
            };
        }
        for name in TEXTS {
            let told = text(name).map(|told| (name.to_owned(), told.into()));
            profile.more.extend(told);
        }
        let others = OTHERS.into_iter();
        let told = others.filter_map(|name| Some((name.to_owned(), standard(claims, name)?)));
        profile.more.extend(told);
        let groups = self.settings.groups_claim.as_ref();
        match groups.and_then(|claim| claims.get(claim)) {
            Some(Value::Array(all)) => profile.groups = all.iter().filter_map(self::text).collect(),
            Some(one) => profile.groups = self::text(one).into_iter().collect(),
            None => {}
        }
        for (ours, theirs) in &self.settings.claims {
            let value = match claims.get(theirs) {
                Some(value @ (Value::Bool(_) | Value::Number(_))) => Some(value.clone()),
                Some(value) => self::text(value).map(Value::String),
                None => None,
            };
            profile
                .more
                .extend(value.map(|value| (ours.clone(), value)));
        }
    }

    fn expires_at(&self, answer: &TokenAnswer) -> UnixTime {
        let told = answer.expires_in.as_ref().and_then(lifetime::seconds);
        self.clock.now() + told.unwrap_or(UNTOLD_LIFE)
    }
}

impl<T> Default for Document<T> {
    fn default() -> Self {
        Self {
            kept: None,
            failure: None,
        }
    }
}

impl<T: Send + Sync> Document<T> {
    /// What is kept, while it `is_current` at its age; else what `fetch` gives. Where that fails, what was good an hour ago
    /// is better than nobody logging in, if it still `serves`.
    async fn get(
        &mut self,
        clock: &Clock,
        is_current: impl Fn(&T, i64) -> bool + Send,
        serves: impl Fn(&T) -> bool + Send,
        fetch: impl Future<Output = Result<T, LoginError>> + Send,
    ) -> Result<Arc<T>, LoginError> {
        let now = clock.now();
        if let Some((kept, since)) = &self.kept
            && is_current(kept, age(*since, now))
        {
            return Ok(Arc::clone(kept));
        }
        let paused = self.failure.take_if(|failure| age(failure.at, now) < PAUSE);
        let failure = match paused {
            Some(failure) => failure,
            None => match fetch.await {
                Ok(fetched) => {
                    let fetched = Arc::new(fetched);
                    self.kept = Some((Arc::clone(&fetched), now));
                    self.failure = None;
                    return Ok(fetched);
                }
                // It may have taken longer than the pause.
                Err(error) => Failure::new(&error, clock.now()),
            },
        };
        let error = failure.error();
        self.failure = Some(failure);
        match &self.kept {
            Some((kept, _)) if serves(kept) => Ok(Arc::clone(kept)),
            _ => Err(error),
        }
    }
}

/// How many seconds ago it was. Of what a clock noted that was ahead and has been put right nobody knows: it is old.
fn age(since: UnixTime, now: UnixTime) -> i64 {
    if is_recent(since, i64::MAX, now) {
        now - since
    } else {
        i64::MAX
    }
}

impl Failure {
    fn new(error: &LoginError, at: UnixTime) -> Self {
        let told = error.source().map_or_else(|| chain(error), chain);
        Self {
            told,
            outage: matches!(error, LoginError::Unavailable(_)),
            at,
        }
    }

    /// Told by its text: that a document lacks has spent nothing of what was to be sent afterwards (T64).
    fn error(&self) -> LoginError {
        if self.outage {
            LoginError::Unavailable(self.told.clone().into())
        } else {
            nonsense(self.told.clone())
        }
    }
}

/// The claims of Core section 5.1 that are no text.
const OTHERS: [&str; 3] = ["address", "phone_number_verified", "updated_at"];

/// One of [`OTHERS`], if it is what it should be.
fn standard(claims: &Map<String, Value>, name: &str) -> Option<Value> {
    let told = claims.get(name)?;
    match name {
        "address" => claims::address(|part| claims::lines(told.get(part)?.as_str()?)),
        "updated_at" => told.as_i64().map(Value::from),
        // A verdict without its number says nothing.
        _ => claims
            .get("phone_number")
            .and_then(text)
            .and_then(|_| told.as_bool())
            .map(Value::from),
    }
}

/// Whether nothing sent there leaves the machine.
fn is_local(url: &Url) -> bool {
    Issuer::parse(&url.origin().ascii_serialization()).is_ok() && url.scheme() == "http"
}

/// RFC 6749 section 2.3.1: both halves are form-encoded first.
fn basic(client_id: &str, secret: &Secret) -> Result<HeaderValue, LoginError> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(client_id), encode(secret.expose()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|error| LoginError::Protocol(error.into()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What an answer without tokens means (RFC 6749 section 5.2). Its description may repeat what we sent, and stays unread.
fn refusal(answer: &Answer, what: &str) -> LoginError {
    let body = answer.value();
    let error = body.as_ref().and_then(|body| body.get("error")?.as_str());
    let told = format!(
        "{what}: {} ({})",
        excerpt(error.unwrap_or("no reason given"), &[]),
        answer.describe()
    );
    match error {
        Some("invalid_grant") => LoginError::BadCredentials(Some(told.into())),
        Some("invalid_client" | "unauthorized_client") => nonsense(format!(
            "{told}; look at client_id, client_secret and token_endpoint_auth_method"
        )),
        _ if answer.is_outage() => LoginError::Unavailable(told.into()),
        // A success that is none: what was to be had once is lost with it.
        None if answer.status.is_success() => spent(nonsense(told)),
        _ => nonsense(told),
    }
}

/// Core section 2: at most 255 ASCII characters.
fn subject_of(claims: &Map<String, Value>) -> Option<&str> {
    let subject = claims.get("sub")?.as_str()?;
    let fine = !subject.is_empty() && subject.len() <= 255;
    fine.then_some(subject)
}

/// Text fit for a claim.
fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    let fine =
        !text.is_empty() && text.len() <= MAX_CLAIM_BYTES && !text.chars().any(char::is_control);
    fine.then(|| text.to_owned())
}

#[async_trait]
impl RedirectLogin for Adapter {
    fn site(&self) -> &Url {
        &self.0.site
    }

    async fn start(&self, trip: &Trip<'_>) -> Result<Departure, LoginError> {
        let metadata = self.0.metadata().await?;
        let kept = Kept {
            nonce: random_id(),
            verifier: URL_SAFE_NO_PAD.encode(random_bytes::<32>()),
        };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(kept.verifier.as_bytes()));
        let mut url = metadata.authorization_endpoint.clone();
        {
            let mut query = url.query_pairs_mut();
            for (name, value) in [
                ("response_type", "code"),
                ("client_id", &self.0.settings.client_id),
                ("redirect_uri", trip.callback.as_str()),
                ("scope", &self.0.settings.scope()),
                ("state", trip.state),
                ("nonce", &kept.nonce),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ] {
                query.append_pair(name, value);
            }
            if trip.reauthenticate {
                query.append_pair("prompt", "login");
            }
            let known = &self.0.settings.acr_values;
            let wanted = trip.acr_values.iter().filter(|each| known.contains(each));
            let wanted: Vec<&str> = wanted.map(String::as_str).collect();
            if !wanted.is_empty() {
                query.append_pair("acr_values", &wanted.join(" "));
            }
        }
        let kept = serde_json::to_string(&kept).map_err(|error| nonsense(error.to_string()))?;
        Ok(Departure {
            kept: Some(kept),
            ..Departure::to(url)
        })
    }
}

#[async_trait]
impl CallbackLogin for Adapter {
    fn always_returns_state(&self) -> bool {
        true
    }

    fn code_parameter(&self) -> &str {
        CODE
    }

    async fn finish(&self, back: &Return<'_>) -> Result<Identity, LoginError> {
        let oidc = &self.0;
        let unreadable = |error| LoginError::Protocol(Box::new(error));
        let metadata = oidc.metadata().await?;
        // RFC 9207 section 2.4: before anything else in the answer counts (T27).
        match back.answer.get("iss").map_err(unreadable)? {
            Some(iss) if iss == oidc.settings.issuer => {}
            None if !metadata.authorization_response_iss_parameter_supported => {}
            _ => return Err(nonsense("the answer's iss is not this provider")),
        }
        match back.answer.get("error").map_err(unreadable)? {
            None => {}
            Some("access_denied") => return Err(LoginError::Cancelled),
            Some(error) => {
                let told = format!("the provider answers error={}", excerpt(error, &[]));
                return Err(nonsense(told));
            }
        }
        let code = back
            .answer
            .get_capped(CODE, MAX_CODE_BYTES)
            .map_err(unreadable)?
            .ok_or_else(|| nonsense("the provider sent no code"))?;
        let kept = back
            .kept
            .and_then(|kept| serde_json::from_str::<Kept>(kept).ok());
        let kept = kept.ok_or_else(|| nonsense("nothing is known of the trip"))?;
        let answer = oidc
            .ask(&[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", back.callback.as_str()),
                ("code_verifier", &kept.verifier),
            ])
            .await?;
        let expires_at = oidc.expires_at(&answer);
        let (access, id_token) = match (answer.access_token, answer.id_token) {
            (Some(access), Some(id_token)) if is_bearer(answer.token_type.as_deref()) => {
                (access, id_token)
            }
            _ => {
                return Err(nonsense(
                    "the answer lacks a Bearer access token or an ID token",
                ));
            }
        };
        let claims = oidc.verify(&id_token, &access, Some(&kept.nonce)).await?;
        let subject = subject_of(&claims).unwrap_or_default().to_owned();
        let mut profile = Profile::default();
        oidc.fill(&mut profile, &claims);
        // A token that was just given and is not taken there is the provider's fault, not the person's.
        let told = oidc
            .userinfo(&access, &subject)
            .await
            .map_err(|error| match error {
                LoginError::BadCredentials(Some(source)) => LoginError::Protocol(source),
                other => other,
            })?;
        if let Some(claims) = told {
            oidc.fill(&mut profile, &claims);
        }
        let amr = claims.get("amr").and_then(Value::as_array);
        let amr = amr.into_iter().flatten().filter_map(text).collect();
        Ok(Identity {
            profile,
            amr,
            acr: claims.get("acr").and_then(text),
            tokens: Some(UpstreamTokens {
                access,
                refresh: answer.refresh_token,
                expires_at,
                application: None,
                subject: Some(subject.clone()),
                sign_off_hint: Some(id_token),
            }),
            subject,
        })
    }
}

const CODE: &str = "code";

/// The claims of a token that was verified before.
fn payload(token: &str) -> Option<Map<String, Value>> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn is_bearer(token_type: Option<&str>) -> bool {
    token_type.is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer"))
}

#[async_trait]
impl Renewal for Adapter {
    async fn renew(&self, tokens: &UpstreamTokens) -> Result<UpstreamTokens, LoginError> {
        let none = || LoginError::BadCredentials(Some("the provider gave no refresh token".into()));
        let refresh = tokens.refresh.as_ref().ok_or_else(none)?;
        // What an ID token in the answer is verified with is at hand before anything is spent.
        self.0.keys(None).await?;
        let answer = self
            .0
            .ask(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", refresh.expose()),
            ])
            .await?;
        let expires_at = self.0.expires_at(&answer);
        let access = answer
            .access_token
            .filter(|_| is_bearer(answer.token_type.as_deref()))
            .ok_or_else(|| spent(nonsense("the answer lacks a Bearer access token")))?;
        // Core section 12.2: an ID token there is about the same person.
        if let Some(id_token) = &answer.id_token {
            let claims = self.0.verify(id_token, &access, None).await;
            let claims = claims.map_err(spent)?;
            let told = subject_of(&claims);
            if tokens
                .subject
                .as_deref()
                .is_some_and(|known| told != Some(known))
            {
                return Err(spent(nonsense("the renewed ID token is somebody else's")));
            }
        }
        Ok(UpstreamTokens {
            access,
            refresh: answer.refresh_token.or_else(|| tokens.refresh.clone()),
            expires_at,
            application: None,
            subject: tokens.subject.clone(),
            sign_off_hint: answer.id_token.or_else(|| tokens.sign_off_hint.clone()),
        })
    }
}

#[async_trait]
impl Recheck for Adapter {
    /// As at the login: what userinfo tells over what the ID token told. What neither tells any more is gone, such as the
    /// claim that holds no group once the last one is lost.
    async fn recheck(&self, person: &Known<'_>) -> Result<Profile, LoginError> {
        let advice = "a login with the scope offline_access keeps one that can be renewed";
        let tokens = person.tokens.ok_or(NoVerdict::NoToken(advice))?;
        let told = self.0.userinfo(&tokens.access, person.subject).await;
        let told = told.map_err(|error| match error {
            // RFC 6750 section 3.1: about the token, and nothing about the person.
            LoginError::BadCredentials(_) => NoVerdict::TokenRefused(error.to_string()).into(),
            other => other,
        })?;
        let told = told.ok_or_else(|| nonsense("the provider has no userinfo endpoint"))?;
        let mut profile = Profile::default();
        // It was verified when it came.
        let id_token = tokens.sign_off_hint.as_ref();
        if let Some(claims) = id_token.and_then(|token| payload(token.expose())) {
            self.0.fill(&mut profile, &claims);
        }
        self.0.fill(&mut profile, &told);
        Ok(profile)
    }
}

#[async_trait]
impl SignOff for Adapter {
    async fn start(&self, back: &Url, tokens: Option<&UpstreamTokens>) -> Option<SignOffTrip> {
        let metadata = self.0.metadata().await.ok()?;
        let mut url = metadata.end_session_endpoint.clone()?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(hint) = tokens.and_then(|tokens| tokens.sign_off_hint.as_ref()) {
                query.append_pair("id_token_hint", hint.expose());
            }
            query.append_pair("client_id", &self.0.settings.client_id);
            query.append_pair("post_logout_redirect_uri", back.as_str());
        }
        Some(SignOffTrip {
            url,
            comes_back: true,
        })
    }
}

#[async_trait]
impl Probe for Adapter {
    async fn probe(&self) -> Vec<Finding> {
        let finding = |what: &str, outcome: Result<String, LoginError>| {
            Finding::new(what, outcome.map_err(|error| Finding::failure(&error)))
        };
        let metadata = match self.0.fetch_metadata().await {
            Ok(metadata) => metadata,
            Err(error) => return vec![finding("discovery", Err(error))],
        };
        let keys = self.0.fetch_keys(&metadata).await;
        let keys = keys.map(|keys| format!("{} of kinds that are known here", keys.len()));
        // A code that nobody gave is refused once the client is known.
        let made_up = random_id();
        let asked = self
            .0
            .ask(&[
                ("grant_type", "authorization_code"),
                ("code", &made_up),
                ("redirect_uri", &self.0.callback),
                (
                    "code_verifier",
                    &URL_SAFE_NO_PAD.encode(random_bytes::<32>()),
                ),
            ])
            .await;
        let token = match asked {
            Err(LoginError::BadCredentials(_)) => {
                Ok("knows our client, and refuses a code that nobody gave".to_owned())
            }
            Ok(_) => Err(nonsense("gave tokens for a code that nobody gave")),
            Err(error) => Err(error),
        };
        let told = format!(
            "found; the callback to register there is {}",
            self.0.callback
        );
        vec![
            finding("discovery", Ok(told)),
            finding("keys", keys),
            finding("token endpoint", token),
        ]
    }
}
