//! `/userinfo` (OpenID Connect Core section 5.3): who the access token stands for, as far as its scope goes.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{FromRef, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::Value;

use crate::flow::Flow;
use crate::model::disclosure::Disclosure;
use crate::protocol::discovery::path;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::Subject;
use crate::protocol::scope;
use crate::tokens::presented::IssuedToken;
use crate::tokens::standing::AccessTokens;

use super::NO_STORE;
use super::access_token::{AccessTokenReader, Sent, invalid_token};
use super::dpop;
use super::error::BearerError;
use super::state::HttpState;

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(path::USERINFO, get(userinfo).post(userinfo))
}

#[derive(Serialize)]
struct Userinfo {
    sub: Subject,
    #[serde(flatten)]
    claims: BTreeMap<String, Value>,
}

#[derive(Clone)]
struct Endpoint {
    access_tokens: AccessTokens,
    flow: Flow,
    reader: AccessTokenReader,
}

impl FromRef<HttpState> for Endpoint {
    fn from_ref(state: &HttpState) -> Self {
        Self {
            access_tokens: AccessTokens::from_ref(state),
            flow: Flow::from_ref(state),
            reader: AccessTokenReader::from_ref(state),
        }
    }
}

async fn userinfo(
    State(endpoint): State<Endpoint>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let response = answer(&endpoint, &method, &headers, &body).await;
    dpop::challenge(&headers, response.into_response())
}

async fn answer(
    endpoint: &Endpoint,
    method: &Method,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, BearerError> {
    // RFC 6750 section 2.2: never a form with GET, whose body has no meaning and may be lost or kept on the way.
    let form: &[u8] = if method == Method::POST { body } else { &[] };
    let sent = Sent {
        method: method.as_str(),
        path: path::USERINFO,
        headers,
        form,
    };
    let (_, IssuedToken { claims, seen }) = endpoint.reader.read(sent).await?;
    // Before anything is said of its scope: a token that has ended is no good with any.
    let behind = endpoint.access_tokens.behind(&claims, seen).await?;
    let granted = claims.scope.clone().unwrap_or_default();
    if !granted.contains(scope::OPENID) {
        return Err(BearerError::from(OAuthError::new(
            ErrorCode::InsufficientScope,
            "the access token was given without the scope openid",
        )));
    }
    let Some(person) = behind.person else {
        return Err(invalid_token("there is no person behind it"));
    };
    // As on every grant (T15); and what was withdrawn from the client opens nothing any more (T17).
    if !person.may_use(&behind.client) {
        return Err(invalid_token("the person may not use this client any more"));
    }
    let granted = granted.narrowed_to(&behind.client.scope);
    let subject = Subject::new(claims.sub);
    let disclosure = Disclosure {
        client: &behind.client,
        scopes: &endpoint.flow.scopes,
        subject: &subject,
        account: &person.account,
        authentication: &person.family.authentication,
        asked: &person.family.claims,
    };
    let answer = Userinfo {
        claims: disclosure.at_userinfo(&granted),
        sub: subject,
    };
    let uncached = [(CACHE_CONTROL, NO_STORE)];
    let Some(algorithm) = behind.client.userinfo_signed_response_alg else {
        return Ok((uncached, Json(answer)).into_response());
    };
    let signed = endpoint
        .flow
        .mint
        .userinfo(&behind.client, algorithm, &answer)
        .await;
    let signed = signed.map_err(OAuthError::from)?;
    Ok((uncached, [(CONTENT_TYPE, "application/jwt")], signed).into_response())
}
