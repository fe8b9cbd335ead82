//! Which scripts may read our answers (T55): those of origins that a client has registered, without credentials.

use std::time::Duration;

use axum::http::header::{
    ACCESS_CONTROL_EXPOSE_HEADERS, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG,
    IF_MATCH, IF_NONE_MATCH, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::dpop;
use super::state::HttpState;

/// The layer for the endpoints that browser apps call.
pub(super) fn layer(state: &HttpState) -> CorsLayer {
    for_registered_origins(state)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, dpop::PROOF])
        .expose_headers([WWW_AUTHENTICATE, dpop::NONCE])
}

/// The layer for the gateway, which passes on more of each request and answer.
pub(super) fn api_layer(state: &HttpState) -> CorsLayer {
    for_registered_origins(state)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            dpop::PROOF,
            IF_MATCH,
            IF_NONE_MATCH,
            HeaderName::from_static("prefer"),
        ])
        .expose_headers([
            WWW_AUTHENTICATE,
            dpop::NONCE,
            RETRY_AFTER,
            ETAG,
            CONTENT_DISPOSITION,
            HeaderName::from_static("error_info"),
            HeaderName::from_static("error_id"),
        ])
}

/// What [`layer`] tells in an answer to a request that is no script's of another origin: that it would be another one for those.
pub(super) fn tell_nobody(headers: &mut HeaderMap) {
    const EXPOSED: HeaderValue = HeaderValue::from_static("www-authenticate,dpop-nonce");
    headers.append(VARY, HeaderValue::from_static("origin"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

fn for_registered_origins(state: &HttpState) -> CorsLayer {
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
        .max_age(Duration::from_mins(10))
}
