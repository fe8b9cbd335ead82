//! `/register` (RFC 7591, OpenID Connect Dynamic Registration 1.0) and `/register/{client_id}` (RFC 7592). Not readable by
//! scripts: a stranger's page would spend the quotas of its visitors.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::protocol::discovery::path;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::json;
use crate::registrar::{Information, QUOTA_WINDOW, Refusal, Registrar, Sent};

use super::NO_STORE;
use super::client_address::ClientAddress;
use super::error::{BearerError, TokenError};
use super::state::HttpState;

pub(super) fn router() -> Router<HttpState> {
    let managed = format!("{}/{{client_id}}", path::REGISTER);
    Router::new()
        .route(path::REGISTER, post(register))
        .route(&managed, get(read).put(update).delete(remove))
}

async fn register(
    State(registrar): State<Registrar>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let token = bearer(&headers)?;
    let sent = sent(&headers, &body);
    let told = registrar.register(&address, token, sent).await?;
    Ok(answer(StatusCode::CREATED, told))
}

async fn read(
    State(registrar): State<Registrar>,
    client_id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let told = registrar.read(&named(client_id), bearer(&headers)?).await?;
    Ok(answer(StatusCode::OK, told))
}

async fn update(
    State(registrar): State<Registrar>,
    ClientAddress(address): ClientAddress,
    client_id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let token = bearer(&headers)?;
    let sent = sent(&headers, &body);
    let told = registrar
        .update(&address, &named(client_id), token, sent)
        .await?;
    Ok(answer(StatusCode::OK, told))
}

async fn remove(
    State(registrar): State<Registrar>,
    client_id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    registrar
        .delete(&named(client_id), bearer(&headers)?)
        .await?;
    Ok(unkept(StatusCode::NO_CONTENT.into_response()))
}

/// Who an address is of. What is no text names nobody, which is for the registrar to say: with a token or without, the answer is
/// that of any client that is not there.
fn named(client_id: Result<Path<String>, PathRejection>) -> String {
    client_id.map_or_else(|_| String::new(), |Path(client_id)| client_id)
}

fn answer(status: StatusCode, told: Information) -> Response {
    unkept((status, axum::Json(told)).into_response())
}

/// RFC 7591 section 3.2.1 has both in its examples.
fn unkept(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// The body, which must be a JSON object (T49).
fn sent(headers: &HeaderMap, body: &[u8]) -> Sent {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    if !essence.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err(unreadable("the body must be application/json"));
    }
    json::object(body).map_err(|error| {
        unreadable("the body must be one JSON object, without names that stand twice")
            .because(error)
    })
}

fn unreadable(text: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidClientMetadata, text)
}

/// The token, in the header alone (RFC 7592 section 2: RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let header = match (all.next(), all.next()) {
        (None, _) => return Ok(None),
        (Some(header), None) => header,
        (Some(_), Some(_)) => {
            return Err(Refusal::Other(OAuthError::invalid_request(
                "the request has two Authorization headers",
            )));
        }
    };
    let text = header.to_str().map_err(|_| Refusal::NoToken)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => Ok(Some(token)),
        _ => Err(Refusal::NoToken),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        unkept(match self {
            Self::NoToken => BearerError(None).into_response(),
            Self::Token(error) => BearerError(Some(error)).into_response(),
            Self::TooMany => too_many(),
            Self::Other(error) => TokenError(error).into_response(),
        })
    }
}

fn too_many() -> Response {
    let text = "too many registrations from this address; try again later";
    let error = OAuthError::new(ErrorCode::TemporarilyUnavailable, text);
    let mut response = TokenError(error).into_response();
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(QUOTA_WINDOW));
    response
}
