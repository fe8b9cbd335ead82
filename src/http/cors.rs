//! Which scripts may read our answers (T55): those of origins that a client has registered, without credentials.

use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::state::HttpState;

/// The layer for the endpoints that browser apps call.
pub(super) fn layer(state: &HttpState) -> CorsLayer {
    let store = state.store().clone();
    let registered = AllowOrigin::async_predicate(move |origin: HeaderValue, _| {
        let store = store.clone();
        async move {
            // `null` is the origin of sandboxes and files: everybody's, and so nobody's.
            let origin = match origin.to_str() {
                Ok(origin) if origin != "null" => origin,
                _ => return false,
            };
            store
                .is_registered_origin(origin)
                .await
                .unwrap_or_else(|error| {
                    tracing::error!(error = %error, "could not look up an origin");
                    false
                })
        }
    });
    CorsLayer::new()
        .allow_origin(registered)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
        .expose_headers([WWW_AUTHENTICATE])
        .max_age(Duration::from_mins(10))
}
