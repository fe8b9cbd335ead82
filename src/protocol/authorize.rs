//! The authorization request (RFC 6749 section 4.1.1, OpenID Connect Core section 3.1.2.1), read in two steps:
//! first who asks and where the answer would go, then everything else, whose errors go there.

use serde::{Deserialize, Serialize};

use super::claims_request::{self, ClaimsRequest};
use super::dpop::Thumbprint;
use super::error::{ErrorCode, OAuthError};
use super::ids::ClientId;
use super::locale::Locale;
use super::params::Params;
use super::pkce::CodeChallenge;
use super::prompt::Prompt;
use super::redirect_uri;
use super::resource;
use super::response::{ResponseMode, ResponseType};
use super::scope::{self, Scope, ScopeError};

/// The most bytes of `state` (T48): room for what libraries put there, and a cookie still holds it.
pub const MAX_STATE_BYTES: usize = 2048;
/// The most bytes of `nonce` (T48).
pub const MAX_NONCE_BYTES: usize = 512;
/// The most bytes of `login_hint` and `ui_locales` (T48).
const MAX_LOGIN_HINT_BYTES: usize = 256;
const MAX_UI_LOCALES_BYTES: usize = 256;
/// The most bytes of `acr_values` (T48).
const MAX_ACR_VALUES_BYTES: usize = 1024;

/// Who asks, and where the answer would go. Until the client has proven both, an error is a page.
#[derive(Debug)]
pub struct ReturnRequest<'a> {
    /// The client, as it calls itself.
    pub client_id: ClientId,
    /// The address it asks for; may be left out when one alone is registered.
    pub redirect_uri: Option<&'a str>,
    /// The `state`, sent back unchanged. One that cannot be sent back (too long, twice) is `None` here and an
    /// error in [`AuthorizationRequest::read`].
    pub state: Option<&'a str>,
    /// Where in the answer the parameters go.
    pub response_mode: ResponseMode,
}

impl<'a> ReturnRequest<'a> {
    /// Reads the part that decides where errors go. Its own errors are shown as a page, never redirected (T5).
    pub fn read(params: &'a Params) -> Result<Self, OAuthError> {
        let client_id = params
            .get_capped("client_id", 256)?
            .ok_or_else(|| OAuthError::invalid_request("client_id is missing"))?;
        Ok(Self {
            client_id: ClientId::new(client_id),
            redirect_uri: params.get_capped("redirect_uri", redirect_uri::MAX_BYTES)?,
            state: params.get_capped("state", MAX_STATE_BYTES).unwrap_or(None),
            // A mode we cannot honour must not send the error somewhere odd: the default mode tells of it.
            response_mode: ResponseMode::settle(
                params
                    .get("response_mode")
                    .ok()
                    .flatten()
                    .and_then(|mode| ResponseMode::parse(mode).ok()),
                params
                    .get("response_type")
                    .ok()
                    .flatten()
                    .unwrap_or_default(),
            ),
        })
    }
}

/// Everything else of the request, typed; not yet held against the client's registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// What to return.
    pub response_type: ResponseType,
    /// What is asked for.
    pub scope: Scope,
    /// Echoed in the ID token.
    pub nonce: Option<String>,
    /// What the token request must prove.
    pub code_challenge: Option<CodeChallenge>,
    /// The key that the token request must prove (RFC 9449 section 10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop_jkt: Option<Thumbprint>,
    /// What to show the person.
    pub prompt: Prompt,
    /// The oldest login that will do, in seconds.
    pub max_age: Option<i64>,
    /// The APIs that tokens are to be for (RFC 8707 section 2.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// What the person may want to type as user name.
    pub login_hint: Option<String>,
    /// The first language asked for that we speak.
    pub locale: Option<Locale>,
    /// Single claims, besides those of the scope.
    #[serde(default, skip_serializing_if = "ClaimsRequest::is_empty")]
    pub claims: ClaimsRequest,
    /// What the login is to prove, the best first; none of it has to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acr_values: Vec<String>,
    /// An ID token of ours that names the person expected. Verified by whoever has the keys.
    #[serde(skip)]
    pub id_token_hint: Option<String>,
}

impl AuthorizationRequest {
    /// Reads and checks each parameter by itself.
    pub fn read(params: &Params) -> Result<Self, OAuthError> {
        params.refuse_repeated()?;
        for (name, code) in [
            ("request", ErrorCode::RequestNotSupported),
            ("request_uri", ErrorCode::RequestUriNotSupported),
            ("registration", ErrorCode::RegistrationNotSupported),
        ] {
            if params.get(name)?.is_some() {
                return Err(OAuthError::new(code, format!("{name} is not supported")));
            }
        }
        params.get_capped("state", MAX_STATE_BYTES)?;
        let scope =
            Scope::parse(params.get("scope")?.unwrap_or_default()).map_err(invalid_scope)?;
        let max_age = match params.get("max_age")? {
            None => None,
            Some(text) => Some(parse_max_age(text)?),
        };
        let response_type = ResponseType::parse(params.require("response_type")?)?;
        if let Some(mode) = params.get("response_mode")? {
            let mode = ResponseMode::parse(mode)?;
            if !mode.may_carry(response_type.as_str()) {
                return Err(OAuthError::invalid_request(
                    "response_mode must be form_post or fragment for this response_type",
                ));
            }
        }
        let nonce = params.get_capped("nonce", MAX_NONCE_BYTES)?;
        // Core section 3.3.2.11: what ties the ID token to this request, since anybody can post one to the client.
        if nonce.is_none() && response_type.returns_id_token() {
            return Err(OAuthError::invalid_request(
                "nonce is missing: this response_type needs one",
            ));
        }
        Ok(Self {
            response_type,
            scope,
            nonce: nonce.map(ToOwned::to_owned),
            code_challenge: CodeChallenge::from_params(params)?,
            dpop_jkt: Thumbprint::from_params(params)?,
            prompt: Prompt::parse(params.get("prompt")?.unwrap_or_default())?,
            max_age,
            resources: resource::read(params)?,
            login_hint: params
                .get_capped("login_hint", MAX_LOGIN_HINT_BYTES)?
                .map(ToOwned::to_owned),
            locale: params
                .get_capped("ui_locales", MAX_UI_LOCALES_BYTES)?
                .and_then(Locale::from_ui_locales),
            claims: params
                .get_capped("claims", claims_request::MAX_BYTES)?
                .map_or_else(|| Ok(ClaimsRequest::default()), ClaimsRequest::parse)?,
            acr_values: params
                .get_capped("acr_values", MAX_ACR_VALUES_BYTES)?
                .map(|values| words(values).collect())
                .unwrap_or_default(),
            id_token_hint: params
                .get_capped("id_token_hint", super::jws::MAX_ID_TOKEN_BYTES)?
                .map(ToOwned::to_owned),
        })
    }

    /// Whether this is an OpenID Connect request, not plain OAuth (Core section 3.1.2.1).
    pub fn is_openid(&self) -> bool {
        self.scope.contains(scope::OPENID)
    }
}

/// The words of a list with spaces between.
fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(' ').filter(|word| !word.is_empty());
    words.map(ToOwned::to_owned)
}

/// `invalid_scope` with its explanation.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
pub fn invalid_scope(error: ScopeError) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidScope, format!("scope {error}"))
}

/// A non-negative number of seconds. Digits alone: `+1` and ` 1` are not what any client means.
fn parse_max_age(text: &str) -> Result<i64, OAuthError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    // Larger than a century is as good as no limit; the cap keeps the arithmetic safe.
    match text.parse::<i64>() {
        Ok(seconds) if digits => Ok(seconds.min(3_153_600_000)),
        _ => Err(OAuthError::invalid_request(
            "max_age must be a number of seconds, 0 or more",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<AuthorizationRequest, OAuthError> {
        AuthorizationRequest::read(&pairs.iter().copied().collect())
    }

    #[test]
    fn a_plain_request_is_read() {
        let request = read(&[
            ("response_type", "code"),
            ("scope", "openid email"),
            ("max_age", "0"),
            ("ui_locales", "de zh-TW"),
        ])
        .unwrap();
        assert!(request.is_openid());
        assert_eq!(request.max_age, Some(0));
        assert_eq!(request.locale, Some(Locale::TraditionalChinese));
    }

    #[test]
    fn each_fault_has_its_code() {
        for (pairs, code) in [
            (vec![("scope", "openid")], ErrorCode::InvalidRequest),
            (
                vec![("response_type", "token")],
                ErrorCode::UnsupportedResponseType,
            ),
            (
                vec![("response_type", "code"), ("scope", "a\"b")],
                ErrorCode::InvalidScope,
            ),
            (
                vec![("response_type", "code"), ("max_age", "-1")],
                ErrorCode::InvalidRequest,
            ),
            (
                vec![("response_type", "code"), ("max_age", "+1")],
                ErrorCode::InvalidRequest,
            ),
            (
                vec![("response_type", "code"), ("request", "x")],
                ErrorCode::RequestNotSupported,
            ),
            (
                vec![("response_type", "code"), ("request_uri", "x")],
                ErrorCode::RequestUriNotSupported,
            ),
            (
                vec![("response_type", "code"), ("registration", "x")],
                ErrorCode::RegistrationNotSupported,
            ),
            (
                vec![("response_type", "code"), ("response_mode", "query.jwt")],
                ErrorCode::InvalidRequest,
            ),
            (
                vec![("response_type", "code id_token")],
                ErrorCode::InvalidRequest,
            ),
            (
                vec![
                    ("response_type", "code id_token"),
                    ("nonce", "a"),
                    ("response_mode", "query"),
                ],
                ErrorCode::InvalidRequest,
            ),
            (
                vec![("response_type", "code"), ("nonce", "a"), ("nonce", "b")],
                ErrorCode::InvalidRequest,
            ),
        ] {
            assert_eq!(read(&pairs).unwrap_err().code, code, "{pairs:?}");
        }
        let long = "x".repeat(MAX_STATE_BYTES + 1);
        assert!(read(&[("response_type", "code"), ("state", &long)]).is_err());
    }
}
