//! The stylesheet and the icon, from the binary.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

use super::state::HttpState;

const STYLESHEET: &str = include_str!("../../templates/assets/portico.css");
const ICON: &str = include_str!("../../templates/assets/portico.svg");

pub(super) fn router() -> Router<HttpState> {
    Router::new()
        .route(
            "/assets/portico.css",
            get(async || asset("text/css; charset=utf-8", STYLESHEET)),
        )
        .route(
            "/assets/portico.svg",
            get(async || asset("image/svg+xml", ICON)),
        )
}

fn asset(content_type: &'static str, body: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, body)
}
