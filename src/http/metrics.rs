//! `/metrics`, on the internal listener: for Prometheus and those who read its format.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::store::Store;
use crate::telemetry::{self, Metrics};

use super::state::HttpState;

pub(super) fn router() -> Router<HttpState> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(store): State<Store>, State(metrics): State<Metrics>) -> Response {
    metrics.database(store.ping().await.is_ok());
    match metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, telemetry::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
