//! `/revoke` (RFC 7009): clients give tokens back, browser apps included.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;

use crate::grants::{Grants, PresentedToken};
use crate::protocol::discovery::path;
use crate::protocol::error::OAuthError;

use super::client_address::ClientAddress;
use super::error::TokenError;
use super::state::HttpState;
use super::token::authenticated;
use super::{NO_STORE, form};

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(path::REVOKE, post(revoke))
}

async fn revoke(
    State(grants): State<Grants>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse, TokenError> {
    let revoked = answer(&grants, &address, &headers, &body).await;
    grants.metrics.revocation_answered(match &revoked {
        Ok(true) => "revoked",
        Ok(false) => "unknown",
        Err(error) => error.code.as_str(),
    });
    revoked?;
    // Section 2.2: the status alone says it.
    Ok((StatusCode::OK, [(CACHE_CONTROL, NO_STORE)]))
}

/// Whether there was something to end.
async fn answer(
    grants: &Grants,
    address: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<bool, OAuthError> {
    let params = form::require(headers, body)?;
    let client = authenticated(grants, address, headers, &params).await?;
    let token = PresentedToken::parse(&params)?;
    grants.revoke(&client, &token).await
}
