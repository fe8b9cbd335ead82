//! `/introspect` (RFC 7662): what a token is worth, as JSON, or as a JWT for those who ask for that (RFC 9701).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRef, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};

use crate::grants::{Grants, PresentedToken};
use crate::model::client::Client;
use crate::protocol::discovery::path;
use crate::protocol::error::OAuthError;
use crate::protocol::introspection::{Introspection, JWT_MEDIA_TYPE, prefers_jwt};
use crate::tokens::Mint;

use super::client_address::ClientAddress;
use super::error::TokenError;
use super::state::HttpState;
use super::token::authenticated;
use super::{NO_STORE, form};

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(path::INTROSPECT, post(introspect))
}

async fn introspect(
    State(state): State<HttpState>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, TokenError> {
    let grants = Grants::from_ref(&state);
    let found = look(&grants, &address, &headers, &body).await;
    grants.metrics.introspection_answered(match &found {
        Ok((_, answer)) if answer.is_active() => "active",
        Ok(_) => "inactive",
        Err(error) => error.code.as_str(),
    });
    let (client, answer) = found?;
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let uncached = [(CACHE_CONTROL, NO_STORE)];
    let vary = [(VARY, "accept")];
    if !accept.is_some_and(prefers_jwt) {
        return Ok((uncached, vary, Json(answer)).into_response());
    }
    let signed = Mint::from_ref(&state).introspection(&client, &answer).await;
    let signed = signed.map_err(OAuthError::from)?;
    Ok((uncached, vary, [(CONTENT_TYPE, JWT_MEDIA_TYPE)], signed).into_response())
}

/// Who asks, and what they may know.
async fn look(
    grants: &Grants,
    address: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Arc<Client>, Introspection), OAuthError> {
    let params = form::require(headers, body)?;
    let client = authenticated(grants, address, headers, &params).await?;
    let token = PresentedToken::parse(&params)?;
    let answer = grants.introspect(&client, &token).await?;
    Ok((client, answer))
}
