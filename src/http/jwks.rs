//! `/jwks`: the public keys (RFC 7517 section 5).

use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRef as _, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::protocol::discovery::{JWKS_MAX_AGE, path};
use crate::tokens::Mint;

use super::NO_STORE;
use super::state::HttpState;

static CACHED: LazyLock<HeaderValue> = LazyLock::new(|| {
    HeaderValue::from_str(&format!("public, max-age={JWKS_MAX_AGE}")).unwrap_or(NO_STORE)
});

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(path::JWKS, get(jwks))
}

pub(super) fn bytes(state: &HttpState) -> Bytes {
    Bytes::copy_from_slice(Mint::from_ref(state).jwks().as_bytes())
}

async fn jwks(State(state): State<HttpState>) -> impl IntoResponse {
    let headers = [
        // `application/jwk-set+json` is registered, but some clients accept nothing else than this.
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        // Shorter than a key is announced before it signs: a relying party that caches is never caught out (T47).
        (CACHE_CONTROL, CACHED.clone()),
    ];
    (headers, bytes(&state))
}
