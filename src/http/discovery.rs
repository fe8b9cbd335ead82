//! `/.well-known/openid-configuration` (OpenID Connect Discovery section 4) and `/.well-known/oauth-authorization-server`
//! (RFC 8414 section 3): one document at both.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRef as _, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::protocol::discovery::{Metadata, path};

use super::state::HttpState;

/// The document, written once.
#[derive(Clone)]
pub struct Discovery(Bytes);

impl Discovery {
    /// Writes the document.
    pub fn new(metadata: &Metadata) -> Result<Self, serde_json::Error> {
        Ok(Self(serde_json::to_vec_pretty(metadata)?.into()))
    }
}

pub(super) fn router() -> Router<HttpState> {
    Router::new()
        .route(path::OPENID_CONFIGURATION, get(discovery))
        .route(path::OAUTH_AUTHORIZATION_SERVER, get(discovery))
}

pub(super) fn bytes(state: &HttpState) -> Bytes {
    let Discovery(document) = Discovery::from_ref(state);
    document
}

async fn discovery(State(state): State<HttpState>) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, bytes(&state))
}
