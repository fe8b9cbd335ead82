//! What goes with every request: its number, the language, the headers that every answer has, one line in the log.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef as _, Request};
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, USER_AGENT,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;
use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, Span};

use crate::clock::{ANSWERED_WITHIN, ordered_id};
use crate::protocol::locale::{Label, Locale};
use crate::telemetry::{Audit, AuditedRequest, Entry};

use super::brand::BrandPages;
use super::client_address::ClientAddress;
use super::own_path::OwnPath;
use super::state::{HttpState, Settings};
use super::{NO_STORE, error, language};

/// Whoever has waited so long gets a page that says so.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(ANSWERED_WITHIN.unsigned_abs());

/// The request under way.
struct Context {
    id: String,
    brand: Arc<BrandPages>,
    audit: Audit,
    locale: Cell<Locale>,
    /// Whether the person has chosen it, so that nobody else does.
    chosen: bool,
    method: Method,
    uri: Uri,
}

tokio::task_local! {
    static CONTEXT: Context;
}

/// The number of the request: on error pages, in the log, and in the header `x-request-id`.
pub(super) fn request_id() -> String {
    CONTEXT
        .try_with(|context| context.id.clone())
        .unwrap_or_default()
}

/// What the organization looks like.
pub(super) fn brand() -> Arc<BrandPages> {
    CONTEXT
        .try_with(|context| Arc::clone(&context.brand))
        .unwrap_or_default()
}

/// Records what happened in the request under way, where nobody has a handle.
pub(super) fn record(entry: Entry) {
    // Every request has a context.
    let _ = CONTEXT.try_with(|context| context.audit.record(entry));
}

/// The language of the answer.
pub(super) fn locale() -> Locale {
    CONTEXT
        .try_with(|context| context.locale.get())
        .unwrap_or_default()
}

/// What people see of a name, in the language of the answer.
pub(super) fn text(label: &Label) -> &str {
    label.text(locale())
}

/// The address that shows the page again, if there is one.
pub(super) fn address() -> Option<OwnPath> {
    CONTEXT
        .try_with(|context| language::address(&context.method, &context.uri))
        .unwrap_or_default()
}

/// Takes the language that the client asked for (`ui_locales`) before the browser's, and after the person's own choice.
pub(super) fn prefer(locale: Option<Locale>) {
    if let Some(locale) = locale {
        let _ = CONTEXT.try_with(|context| {
            if !context.chosen {
                context.locale.set(locale);
            }
        });
    }
}

/// Gives the request its context and its answer the headers that every answer has.
pub(super) async fn provide<Answering>(
    state: HttpState,
    request: Request,
    answer: impl FnOnce(Request) -> Answering + Send + 'static,
) -> Response
where
    Answering: Future<Output = Response> + Send,
{
    let chosen = language::chosen(state.cookie_names(), request.headers());
    let context = Context {
        id: ordered_id(),
        brand: state.brand(),
        audit: state.audit().clone(),
        locale: Cell::new(chosen.unwrap_or_else(|| accepted_language(request.headers()))),
        chosen: chosen.is_some(),
        method: request.method().clone(),
        uri: request.uri().clone(),
    };
    let id = context.id.clone();
    let audited = audited(&state, &id, &request);
    let span = span(&id, &request);
    let start = Instant::now();
    let answering = async move {
        // Inside the context, so that even a panic is answered with a page that carries its number.
        let response = always(async move { answer(request).await }).await;
        let took = start.elapsed().as_millis();
        tracing::info!(status = response.status().as_u16(), took, "answered");
        response
    };
    // In one place: each future around it would have room for two copies of it, and be moved with them.
    let answering = Box::pin(CONTEXT.scope(context, answering.instrument(span)));
    let audit = state.audit().clone();
    let answering = async move { audited.answer(&audit, answering).await };
    // Whoever hangs up in the middle does not undo half of it: what is done is recorded, and what belongs to it is done as well.
    let mut response = match state.under_way().begin() {
        Some(place) => {
            let task = tokio::spawn(async move {
                let _place = place;
                answering.await
            });
            // A panic has been answered already.
            task.await.unwrap_or_else(error::abandoned)
        }
        None => answering.await,
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(REFERRER_POLICY)
        .or_insert(HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // What may be cached says so itself; everything else must not be (T53).
    headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
    number(headers, &id);
    if state.is_https() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
    response
}

/// The answer, or the page that says why there is none.
async fn always(answering: impl Future<Output = Response>) -> Response {
    let answering = AssertUnwindSafe(answering).catch_unwind();
    match timeout(REQUEST_TIMEOUT, answering).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => error::panicked(panic.as_ref()),
        Err(_) => error::timed_out(),
    }
}

/// Numbers an answer that has all other headers already, and writes the line in the log.
pub(super) fn answered_at_once(request: &Request, response: &mut Response) {
    let id = ordered_id();
    let status = response.status().as_u16();
    span(&id, request).in_scope(|| tracing::info!(status, took = 0_u128, "answered"));
    number(response.headers_mut(), &id);
}

fn span(id: &str, request: &Request) -> Span {
    // The path and never the query: codes and hints travel there.
    tracing::info_span!(
        "request", id, method = %request.method(), path = logged(request.uri().path())
    )
}

fn number(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}

/// The request, as whatever is recorded tells it.
fn audited(state: &HttpState, id: &str, request: &Request) -> AuditedRequest {
    let settings = <Arc<Settings>>::from_ref(state);
    let (extensions, headers) = (request.extensions(), request.headers());
    let ClientAddress(address) = ClientAddress::of(extensions, headers, &settings);
    let user_agent = headers.get(USER_AGENT);
    let user_agent = user_agent.and_then(|value| value.to_str().ok());
    let endpoint = format!("{} {}", request.method(), logged(request.uri().path()));
    AuditedRequest::new(id.to_owned(), endpoint, address, user_agent)
}

/// Below the gateway the path says of whom an app asks, which is no more the log's than a query is (T60).
fn logged(path: &str) -> &str {
    let below = path
        .strip_prefix("/api/")
        .and_then(|rest| rest.split_once('/'));
    below.map_or(path, |(_, below)| path.strip_suffix(below).unwrap_or(path))
}

fn accepted_language(headers: &HeaderMap) -> Locale {
    headers
        .get(ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .and_then(Locale::from_accept_language)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered() {
        let answered = always(async { Response::default() }).await;
        assert_eq!(answered.status(), StatusCode::OK);
        let panicked = always(async { panic!("a fault") }).await;
        assert_eq!(panicked.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
