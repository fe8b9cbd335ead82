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
    let params = form::require(&headers, &body)?;
    let client = authenticated(&grants, &address, &headers, &params).await?;
    let token = PresentedToken::parse(&params)?;
    grants.revoke(&client, &token).await?;
    // Section 2.2: the status alone says it.
    Ok((StatusCode::OK, [(CACHE_CONTROL, NO_STORE)]))
}
