//! `/api/{upstream}/…`: the upstream's API for apps that hold an access token of ours (docs/gateway.md).

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRef, Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use url::form_urlencoded;

use crate::flow::Flow;
use crate::gateway::path::segments;
use crate::gateway::{Caller, Gateway, GatewayError};
use crate::model::client::Client;
use crate::protocol::claims::AccessTokenClaims;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::AccountId;
use crate::store::Store;
use crate::tokens::Mint;
use crate::upstream::{ApiAnswer, ApiCall, LoginError};

use super::NO_STORE;
use super::error::{BearerError, log};
use super::state::HttpState;
use super::userinfo::{bearer_token, invalid_token};

/// The most bytes of a call's body (T48).
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The headers of a call that go on; credentials, cookies and what is between two neighbors do not (T62).
const PASSED_ON: [&str; 8] = [
    "accept",
    "accept-language",
    "content-type",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "prefer",
];

/// The headers of an answer that come back; `error_info` and `error_id` are how aiM18 says what is wrong.
const PASSED_BACK: [&str; 9] = [
    "content-type",
    "content-language",
    "content-disposition",
    "etag",
    "last-modified",
    "preference-applied",
    "retry-after",
    "error_info",
    "error_id",
];

pub(super) fn router() -> Router<HttpState> {
    Router::new().route("/api/{upstream}/{*path}", any(call))
}

/// What a call works with.
#[derive(Clone)]
struct Endpoint {
    flow: Flow,
    mint: Mint,
    store: Store,
    gateway: Gateway,
}

impl FromRef<HttpState> for Endpoint {
    fn from_ref(state: &HttpState) -> Self {
        Self {
            flow: Flow::from_ref(state),
            mint: Mint::from_ref(state),
            store: Store::from_ref(state),
            gateway: Gateway::from_ref(state),
        }
    }
}

async fn call(
    State(endpoint): State<Endpoint>,
    Path((id, _)): Path<(String, String)>,
    uri: Uri,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, CallError> {
    // In the header alone: the body is the upstream's.
    let token = bearer_token(&headers, &[])?;
    let claims = endpoint
        .mint
        .read_access_token(&token)
        .map_err(invalid_token)?;
    let client = endpoint.client(&claims).await?;
    let account_id = endpoint.person(&claims).await?;
    let scope = claims.scope.clone().unwrap_or_default();
    let scope = scope.narrowed_to(&client.scope);
    let raw = uri.path().splitn(4, '/').nth(3).unwrap_or_default();
    let Some(path) = segments(raw) else {
        let text = "the path holds an empty or dot segment, or an encoded slash, semicolon or percent sign";
        return Err(OAuthError::invalid_request(text).into());
    };
    let call = ApiCall {
        method: method.as_str().to_owned(),
        path,
        query: form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect(),
        headers: passed(&headers, &PASSED_ON),
        body: body.to_vec(),
    };
    let caller = Caller {
        client: &client,
        scope: &scope,
        person: account_id.as_ref().zip(claims.sid.as_ref()),
    };
    let answer = endpoint.gateway.call(&id, caller, &call).await?;
    Ok(pass_back(answer))
}

impl Endpoint {
    /// The client that the token was given to, as registered now.
    async fn client(&self, claims: &AccessTokenClaims) -> Result<Client, CallError> {
        let stored = self.store.find_client(&claims.client_id).await;
        let stored = stored.map_err(OAuthError::from)?;
        let stored = stored.ok_or_else(|| invalid_token("the client is no longer registered"))?;
        Ok(stored.client)
    }

    /// The person behind the token, if it was given for one.
    async fn person(&self, claims: &AccessTokenClaims) -> Result<Option<AccountId>, CallError> {
        if claims.family.is_none() {
            return Ok(None);
        }
        let account = self.flow.person_behind(claims).await?;
        let account =
            account.ok_or_else(|| invalid_token("its family, session or account has ended"))?;
        Ok(Some(account.0.id))
    }
}

fn passed(headers: &HeaderMap, names: &[&str]) -> Vec<(String, String)> {
    let value = |name: &&str| {
        let value = headers.get(*name)?.to_str().ok()?;
        Some(((*name).to_owned(), value.to_owned()))
    };
    names.iter().filter_map(value).collect()
}

fn pass_back(answer: ApiAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = (status, answer.body).into_response();
    let headers = response.headers_mut();
    headers.clear();
    for (name, value) in answer.headers {
        let name = PASSED_BACK.iter().find(|known| **known == name);
        if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers.insert(CACHE_CONTROL, NO_STORE);
    // It came from somebody else's server and stands under our origin, where our cookies are: nothing in it may run.
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// An error of a call, before or instead of the upstream's own.
struct CallError(GatewayError);

impl From<GatewayError> for CallError {
    fn from(error: GatewayError) -> Self {
        Self(error)
    }
}

impl From<OAuthError> for CallError {
    fn from(error: OAuthError) -> Self {
        Self(GatewayError::Refused(error))
    }
}

/// A missing token is told without an error.
impl From<BearerError> for CallError {
    fn from(error: BearerError) -> Self {
        match error.0 {
            Some(error) => Self(GatewayError::Refused(error)),
            None => Self(GatewayError::NoToken),
        }
    }
}

impl IntoResponse for CallError {
    fn into_response(self) -> Response {
        match self.0 {
            GatewayError::NoToken => BearerError(None).into_response(),
            GatewayError::Refused(error) => BearerError::from(error).into_response(),
            GatewayError::NotFound => {
                let error = OAuthError::invalid_request("there is no API of this name here");
                let mut response = BearerError::from(error).into_response();
                *response.status_mut() = StatusCode::NOT_FOUND;
                response.headers_mut().remove(WWW_AUTHENTICATE);
                response
            }
            GatewayError::Scope(scopes) => insufficient_scope(&scopes),
            GatewayError::Upstream(error) => upstream_failed(error),
        }
    }
}

/// RFC 6750 section 3: which scope would do.
fn insufficient_scope(scopes: &[String]) -> Response {
    let wanted = scopes.join(" ");
    let error = OAuthError::new(
        ErrorCode::InsufficientScope,
        format!("the access token was given without the scope: {wanted}"),
    );
    let mut response = BearerError::from(error).into_response();
    let challenge = response.headers().get(WWW_AUTHENTICATE);
    let challenge = challenge.and_then(|challenge| challenge.to_str().ok());
    let challenge = challenge.map(|challenge| format!("{challenge}, scope=\"{wanted}\""));
    if let Some(Ok(challenge)) = challenge.map(|text| HeaderValue::from_str(&text)) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The upstream is away, or made no sense: neither is the client's fault, nor a reason to ask for another token.
fn upstream_failed(error: LoginError) -> Response {
    let (status, text) = match &error {
        LoginError::Unavailable(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the upstream does not answer; try again later",
        ),
        _ => (
            StatusCode::BAD_GATEWAY,
            "the upstream's answer cannot be passed on; the operator's log says why",
        ),
    };
    let error = OAuthError::new(ErrorCode::TemporarilyUnavailable, text).because(error);
    log(&error);
    let body = axum::Json(serde_json::json!({
        "error": error.code.as_str(),
        "error_description": error.description,
    }));
    let mut response = (status, body).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = HeaderValue::from_static("10");
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}
