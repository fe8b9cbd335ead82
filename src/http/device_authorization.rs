//! `/device_authorization` (RFC 8628 section 3.1): a device asks for its two codes, as its client authenticates at `/token`.

use axum::body::Bytes;
use axum::extract::{FromRef, State};
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};

use crate::grants::Grants;
use crate::model::audit::Event;
use crate::protocol::client_auth::ClientCredentials;
use crate::protocol::device::{DeviceAuthorization, INTERVAL};
use crate::protocol::discovery::path;
use crate::protocol::issuer::Issuer;
use crate::telemetry::Entry;

use super::client_address::ClientAddress;
use super::error::TokenError;
use super::form;
use super::state::HttpState;
use super::token::authorization;

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(path::DEVICE_AUTHORIZATION, post(authorize))
}

async fn authorize(
    State(state): State<HttpState>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<DeviceAuthorization>, TokenError> {
    let params = form::require(&headers, &body)?;
    let credentials = ClientCredentials::read(authorization(&headers)?, &params)?;
    let grants = Grants::from_ref(&state);
    let client = grants.authenticate_client(&credentials, &address).await?;
    let new = grants.authorize_device(&client, &params, &address).await?;
    let entry = Entry::new(Event::DeviceCodeIssued).client(&client.client_id);
    grants.audit.record(entry);
    let issuer = Issuer::from_ref(&state);
    let verification_uri = issuer.at(path::DEVICE);
    Ok(Json(DeviceAuthorization {
        device_code: new.device_code,
        verification_uri_complete: format!("{verification_uri}?user_code={}", new.user_code),
        verification_uri,
        user_code: new.user_code.to_string(),
        expires_in: new.expires_in,
        interval: INTERVAL,
    }))
}
