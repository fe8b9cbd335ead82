//! `/token` (RFC 6749 section 3.2): authenticate the client, parse, redeem, mint, write; always in this order.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, PRAGMA};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};

use crate::grants::{Grants, Proven, TokenRequest};
use crate::protocol::client_auth::ClientCredentials;
use crate::protocol::discovery::path;
use crate::protocol::error::OAuthError;
use crate::tokens::Mint;

use super::client_address::ClientAddress;
use super::error::TokenError;
use super::state::HttpState;
use super::{NO_STORE, form};

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(path::TOKEN, post(token))
}

async fn token(
    State(grants): State<Grants>,
    State(mint): State<Mint>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse, TokenError> {
    let params = form::require(&headers, &body)?;
    let credentials = ClientCredentials::read(authorization(&headers)?, &params)?;
    let client = grants.authenticate_client(&credentials, &address).await?;
    let request = TokenRequest::parse(&params, &client)?;
    let answer = match request.redeem(&client, &grants).await? {
        Proven::Authorization(proven) => {
            let token_set = mint.mint(&client, &proven).map_err(OAuthError::from)?;
            tracing::info!(
                target: "portico::audit", event = "tokens_issued", client_id = %client.client_id,
                scope = %proven.scope, "tokens issued"
            );
            Json(token_set).into_response()
        }
        Proven::Release(token) => Json(token).into_response(),
    };
    // RFC 6749 section 5.1 wants both.
    let headers = [
        (CACHE_CONTROL, NO_STORE),
        (PRAGMA, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, answer))
}

/// The one `Authorization` header; two of them are two opinions.
fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, OAuthError> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    match (all.next(), all.next()) {
        (first, None) => Ok(first.map(HeaderValue::as_bytes)),
        _ => Err(OAuthError::invalid_request(
            "the request has two Authorization headers",
        )),
    }
}
