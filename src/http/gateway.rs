//! `/api/{upstream}/…`: the upstream's API for apps that hold an access token of ours (docs/gateway.md).

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRef, FromRequest as _, Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use serde_json::json;
use url::form_urlencoded;

use crate::gateway::path::segments;
use crate::gateway::{Caller, Gateway, GatewayError, holds};
use crate::model::api_rule::METHODS;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::token::GrantType;
use crate::tokens::presented::IssuedToken;
use crate::tokens::standing::AccessTokens;
use crate::upstream::{ApiAnswer, ApiCall, LoginError};

use super::NO_STORE;
use super::access_token::{AccessTokenReader, Sent, invalid_token};
use super::dpop;
use super::error::{BearerError, Seen, record};
use super::state::HttpState;

/// The most bytes of a call's body (T48).
const MAX_BODY_BYTES: usize = 1024 * 1024;

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

/// Below the id of an upstream.
pub(super) const PATH: &str = "/api/{*call}";

pub(super) fn router() -> Router<HttpState> {
    Router::new()
        .route(PATH, any(call))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

/// What a call works with.
#[derive(Clone)]
struct Endpoint {
    access_tokens: AccessTokens,
    reader: AccessTokenReader,
    gateway: Gateway,
}

impl FromRef<HttpState> for Endpoint {
    fn from_ref(state: &HttpState) -> Self {
        Self {
            access_tokens: AccessTokens::from_ref(state),
            reader: AccessTokenReader::from_ref(state),
            gateway: Gateway::from_ref(state),
        }
    }
}

async fn call(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let headers = request.headers().clone();
    let response = answer(endpoint, &headers, request).await;
    dpop::challenge(&headers, response.into_response())
}

async fn answer(
    endpoint: Endpoint,
    headers: &HeaderMap,
    request: Request,
) -> Result<Response, CallError> {
    let (method, uri) = (request.method().as_str().to_owned(), request.uri().clone());
    if !METHODS.contains(&method.as_str()) {
        return Err(GatewayError::Method.into());
    }
    // In the header alone: the body is the upstream's.
    let sent = Sent {
        method: &method,
        path: uri.path(),
        headers,
        form: &[],
    };
    let (token, IssuedToken { claims, seen }) = endpoint.reader.read(sent).await?;
    let behind = endpoint.access_tokens.behind(&claims, seen).await;
    let behind = behind.map_err(BearerError::from)?;
    if behind.person.is_none() {
        let grant = behind.client.require_grant(GrantType::ClientCredentials);
        grant.map_err(invalid_token)?;
    }
    let scope = claims.scope.clone().unwrap_or_default();
    let scope = scope.narrowed_to(&behind.client.scope);
    // What stands after `/api/`, as it was sent: whoever decodes first and splits then lets `%2F` make segments (T50).
    let raw = uri.path().splitn(3, '/').nth(2).unwrap_or_default();
    let (id, raw) = raw.split_once('/').unwrap_or((raw, ""));
    let Some(path) = segments(raw) else {
        let text = "the path is empty, or holds an empty or dot segment, or an encoded slash, semicolon or percent sign";
        return Err(OAuthError::invalid_request(text).into());
    };
    let body = Bytes::from_request(request, &()).await.map_err(|error| {
        if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return GatewayError::TooLarge;
        }
        let error = OAuthError::invalid_request("the body cannot be read").because(error);
        GatewayError::Refused(error)
    })?;
    let call = ApiCall {
        method,
        path,
        query: form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect(),
        headers: passed(headers, &PASSED_ON),
        body: body.to_vec(),
    };
    refuse_own_token(&call, &token)?;
    let caller = Caller {
        client: &behind.client,
        scope: &scope,
        person: behind.person.as_ref(),
    };
    let answer = endpoint.gateway.call(id, caller, &call).await?;
    Ok(pass_back(answer))
}

/// Our token goes to nobody (T62), wherever a careless app has written it; its place is the header alone (RFC 6750
/// section 2.1).
fn refuse_own_token(call: &ApiCall, token: &str) -> Result<(), OAuthError> {
    let named = |(name, value): &(String, String)| {
        name.eq_ignore_ascii_case("access_token") || value.contains(token)
    };
    if call.query.iter().any(named)
        || call.headers.iter().any(named)
        || call.path.iter().any(|segment| segment.contains(token))
        || holds(&call.body, token)
    {
        return Err(OAuthError::invalid_request(
            "the access token belongs into the header Authorization, and nowhere else",
        ));
    }
    Ok(())
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
        if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(&value)) {
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
        let mut response = match self.0 {
            GatewayError::NoToken => BearerError(None).into_response(),
            GatewayError::Refused(error) => BearerError::from(error).into_response(),
            GatewayError::NotFound => told(
                StatusCode::NOT_FOUND,
                &OAuthError::invalid_request("there is no API of this name here"),
            ),
            GatewayError::Method => {
                let text = "no API is asked by this method";
                let mut response = told(
                    StatusCode::METHOD_NOT_ALLOWED,
                    &OAuthError::invalid_request(text),
                );
                // RFC 9110 section 15.5.6.
                if let Ok(methods) = HeaderValue::from_str(&METHODS.join(", ")) {
                    response.headers_mut().insert(ALLOW, methods);
                }
                response
            }
            GatewayError::TooLarge => told(
                StatusCode::PAYLOAD_TOO_LARGE,
                &OAuthError::invalid_request("the body is larger than 1 MiB"),
            ),
            GatewayError::Scope(scopes) => insufficient_scope(&scopes),
            GatewayError::Upstream(error) => upstream_failed(error),
        };
        let status = response.status();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, NO_STORE);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("10"));
        }
        if status.is_server_error() {
            // Another token would change nothing.
            headers.remove(WWW_AUTHENTICATE);
        }
        response
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
    let (status, text) = match (&error, error.missing_right()) {
        (LoginError::Unavailable(_), _) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the upstream does not answer; try again later".to_owned(),
        ),
        (_, Some(missing)) => (
            StatusCode::BAD_GATEWAY,
            format!("the upstream's service account lacks {}", missing.right),
        ),
        _ => (
            StatusCode::BAD_GATEWAY,
            "the upstream's answer cannot be passed on; the operator's log says why".to_owned(),
        ),
    };
    let error = OAuthError::new(ErrorCode::TemporarilyUnavailable, text).because(error);
    told(status, &error)
}

/// An error that is not about the access token.
fn told(status: StatusCode, error: &OAuthError) -> Response {
    record(Seen::Json, error);
    let body = json!({ "error": error.code.as_str(), "error_description": error.description });
    (status, Json(body)).into_response()
}
