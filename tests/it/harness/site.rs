//! A client's web site on loopback, whose answers the test chooses and counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// What a path answers.
#[derive(Clone)]
pub(crate) enum Page {
    /// A body of a content type.
    Body(&'static str, String),
    /// A body that is no text.
    Bytes(&'static str, Vec<u8>),
    /// A status alone, with where to go.
    Redirect(String),
    /// A status alone.
    Status(StatusCode),
    /// A status for each request, by its body.
    Judged(Arc<dyn Fn(&str) -> StatusCode + Send + Sync>),
    /// Nothing for longer than anybody waits.
    Silence,
    /// JSON, as soon as the test lets it go.
    Held(Arc<Semaphore>, String),
}

/// A running site. Dropped: stopped.
pub(crate) struct Site {
    /// Where it is, without a slash at the end.
    pub(crate) url: String,
    state: Shared,
    task: JoinHandle<()>,
}

type Shared = Arc<(Mutex<BTreeMap<String, Place>>, Notify)>;

/// A path: what it answers, and the body of each request that came.
#[derive(Default)]
struct Place {
    page: Option<Page>,
    requests: Vec<String>,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Shared::default();
        let app = Router::new().fallback(serve).with_state(state.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, state, task }
    }

    /// From now on `path` answers so.
    pub(crate) fn set(&self, path: &str, page: Page) {
        let mut state = self.state.0.lock().unwrap();
        state.entry(path.to_owned()).or_default().page = Some(page);
    }

    /// From now on `path` answers with this JSON.
    pub(crate) fn set_json(&self, path: &str, value: &serde_json::Value) {
        self.set(path, Page::Body("application/json", value.to_string()));
    }

    /// From now on `path` is not there.
    pub(crate) fn remove(&self, path: &str) {
        let mut state = self.state.0.lock().unwrap();
        state.entry(path.to_owned()).or_default().page = None;
    }

    /// How often `path` was asked for.
    pub(crate) fn hits(&self, path: &str) -> usize {
        let state = self.state.0.lock().unwrap();
        state.get(path).map_or(0, |place| place.requests.len())
    }

    /// The bodies of the requests for `path`, once there are `count` of them.
    pub(crate) async fn requests(&self, path: &str, count: usize) -> Vec<String> {
        let arrived = async {
            loop {
                let next = self.state.1.notified();
                let requests = {
                    let state = self.state.0.lock().unwrap();
                    state.get(path).map(|place| place.requests.clone())
                };
                match requests {
                    Some(requests) if requests.len() >= count => return requests,
                    _ => next.await,
                }
            }
        };
        let arrived = tokio::time::timeout(Duration::from_secs(20), arrived).await;
        arrived.unwrap_or_else(|_| panic!("{path} had {} requests, not {count}", self.hits(path)))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(State(state): State<Shared>, uri: Uri, body: Bytes) -> Response {
    let page = {
        let mut places = state.0.lock().unwrap();
        let place = places.entry(uri.path().to_owned()).or_default();
        let request = String::from_utf8_lossy(&body).into_owned();
        place.requests.push(request);
        place.page.clone()
    };
    state.1.notify_waiters();
    match page {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Page::Body(kind, body)) => ([("content-type", kind)], body).into_response(),
        Some(Page::Bytes(kind, body)) => ([("content-type", kind)], body).into_response(),
        Some(Page::Redirect(to)) => (StatusCode::FOUND, [("location", to)]).into_response(),
        Some(Page::Status(status)) => status.into_response(),
        Some(Page::Judged(judge)) => judge(&String::from_utf8_lossy(&body)).into_response(),
        Some(Page::Held(gate, body)) => {
            let _let_go = gate.acquire().await.unwrap();
            ([("content-type", "application/json")], body).into_response()
        }
        Some(Page::Silence) => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            StatusCode::OK.into_response()
        }
    }
}
