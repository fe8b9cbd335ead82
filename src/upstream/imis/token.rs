//! iMIS's token endpoint: the password and the refresh grant, and what its answers mean (research, section 1).

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::settings::{Settings, SsoPage};
use crate::clock::UnixTime;
use crate::protocol::secret::{self, Secret};
use crate::upstream::lifetime::seconds;
use crate::upstream::outbound::{Answer, Http, excerpt, spent};
use crate::upstream::settings::below;
use crate::upstream::{LoginError, UpstreamTokens};

/// Seconds a token is taken for good when iMIS does not say how long it lives.
const UNTOLD_LIFE: i64 = 300;
/// Errors that are about Portico or the request and not about a person (RFC 6749 section 5.2). Every other one is a refusal of the
/// person, as the vendor's own client takes it: which codes stand for locked, expired or without a role is not public.
const ABOUT_US: [&str; 4] = [
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_request",
];

/// Where tokens come from.
#[derive(Clone)]
pub(super) struct TokenEndpoint {
    url: Url,
    http: Http,
    timeout: Duration,
}

/// An access token; opaque, some 600 characters.
pub(super) struct Token {
    pub(super) access: Secret,
    /// What a new one is to be had for, if iMIS gave that.
    refresh: Option<Secret>,
    /// Seconds that it lives, if iMIS says.
    expires_in: Option<i64>,
    /// Whose it is, if iMIS says; empty for an anonymous visitor's.
    pub(super) user_name: Option<String>,
}

impl Token {
    /// The tokens as they are kept, asked for at `asked`. `application` is the client application that can renew them.
    pub(super) fn into_tokens(
        self,
        asked: UnixTime,
        application: Option<String>,
    ) -> UpstreamTokens {
        let name = self.user_name.as_deref().map(str::trim);
        let name = name.map(str::to_owned);
        UpstreamTokens {
            access: self.access,
            refresh: self.refresh,
            expires_at: asked + self.expires_in.unwrap_or(UNTOLD_LIFE),
            application,
            subject: name.filter(|name| !name.is_empty()),
            sign_off_hint: None,
        }
    }
}

/// Everything in it may be missing, and more may be there.
#[derive(Deserialize)]
struct Wire {
    #[serde(default, deserialize_with = "secret::from_answer")]
    access_token: Option<Secret>,
    #[serde(default, deserialize_with = "secret::from_answer")]
    refresh_token: Option<Secret>,
    token_type: Option<String>,
    expires_in: Option<Value>,
    #[serde(rename = "userName")]
    user_name: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

impl TokenEndpoint {
    pub(super) fn new(settings: &Settings, http: Http) -> Self {
        Self {
            url: below(&settings.base_url, ["token"]),
            http,
            timeout: settings.timeout,
        }
    }

    /// The password grant. Never repeated by itself: each try counts at iMIS.
    pub(super) async fn password(
        &self,
        username: &str,
        password: &Secret,
    ) -> Result<Token, LoginError> {
        self.password_heeding(username, password, |_| ()).await
    }

    /// The same, for somebody who heeds what else an answer says.
    pub(super) async fn password_heeding(
        &self,
        username: &str,
        password: &Secret,
        heed: impl FnOnce(&Answer),
    ) -> Result<Token, LoginError> {
        let form = [
            ("grant_type", "password"),
            ("username", username),
            ("password", password.expose()),
        ];
        let answer = self
            .http
            .post_form(self.url.clone(), &form, self.timeout)
            .await?;
        heed(&answer);
        token(&answer, &[password.expose()])
    }

    /// The refresh grant, with the credentials of the client application in the body. Never repeated: some versions
    /// take a refresh token once only. An answer without a refresh token leaves the one that was sent, as RFC 6749
    /// section 6 has it; whether it is still good, iMIS knows.
    pub(super) async fn refresh(
        &self,
        application: &SsoPage,
        refresh_token: &Secret,
    ) -> Result<Token, LoginError> {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &application.client_id),
            ("client_secret", application.client_secret.expose()),
            ("refresh_token", refresh_token.expose()),
        ];
        let answer = self
            .http
            .post_form(self.url.clone(), &form, self.timeout)
            .await?;
        let sent = [application.client_secret.expose(), refresh_token.expose()];
        let mut token = token(&answer, &sent).map_err(|error| {
            let complains = || {
                answer
                    .json::<Wire>()
                    .is_some_and(|wire| wire.error.is_some())
            };
            match error {
                // A success that is none: the new tokens are lost with it.
                LoginError::Protocol(_) if answer.status.is_success() && !complains() => {
                    spent(error)
                }
                error => error,
            }
        })?;
        token.refresh.get_or_insert_with(|| refresh_token.clone());
        Ok(token)
    }
}

/// Reads an answer; `sent` are the secrets of the request that it may repeat.
fn token(answer: &Answer, sent: &[&str]) -> Result<Token, LoginError> {
    if answer.is_outage() {
        return Err(LoginError::Unavailable(
            format!("the token endpoint: {}", answer.describe()).into(),
        ));
    }
    let status = answer.status.as_u16();
    match (status, answer.json::<Wire>()) {
        // Some versions put an error under the status of success.
        (200 | 400 | 401, Some(wire)) if wire.error.is_some() => Err(refusal(&wire, sent)),
        (200, Some(wire)) => accepted(wire),
        // Some say no more than the status, or say it in words.
        (400 | 401, _) => {
            let text = excerpt(&String::from_utf8_lossy(&answer.body), sent);
            Err(LoginError::BadCredentials(Some(
                format!("the token endpoint: {}: {text}", answer.describe()).into(),
            )))
        }
        _ => Err(LoginError::Protocol(
            format!(
                "the token endpoint: {}; is base_url right?",
                answer.describe()
            )
            .into(),
        )),
    }
}

fn refusal(wire: &Wire, sent: &[&str]) -> LoginError {
    let told = |text: &Option<String>| excerpt(text.as_deref().unwrap_or_default(), sent);
    let (error, description) = (told(&wire.error), told(&wire.error_description));
    let code = wire.error.as_deref().unwrap_or_default();
    if ABOUT_US.iter().any(|ours| ours.eq_ignore_ascii_case(code)) {
        LoginError::Protocol(
            format!(
                "the token endpoint: {error}: {description}; this concerns Portico, not the person: \
                 look at base_url and at the client applications in iMIS"
            )
            .into(),
        )
    } else {
        // Locked, disabled, expired and a wrong password may be one error; the text, where there is one, tells them apart.
        LoginError::BadCredentials(Some(format!("{error}: {description}").into()))
    }
}

fn accepted(wire: Wire) -> Result<Token, LoginError> {
    let nonsense = |what: &str| LoginError::Protocol(format!("the token endpoint: {what}").into());
    let access = wire
        .access_token
        .filter(|token| !token.expose().is_empty())
        .ok_or_else(|| nonsense("no access_token in a successful answer"))?;
    if let Some(kind) = &wire.token_type
        && !kind.eq_ignore_ascii_case("bearer")
    {
        return Err(nonsense("the token is not a bearer token"));
    }
    Ok(Token {
        access,
        refresh: wire
            .refresh_token
            .filter(|token| !token.expose().is_empty()),
        expires_in: wire.expires_in.as_ref().and_then(seconds),
        user_name: wire.user_name,
    })
}
