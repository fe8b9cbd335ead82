//! A client's web site on loopback, whose answers the test chooses and counts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::task::JoinHandle;

/// What a path answers.
#[derive(Clone)]
pub(crate) enum Page {
    /// A body of a content type.
    Body(&'static str, String),
    /// A status alone, with where to go.
    Redirect(String),
    /// Nothing for longer than anybody waits.
    Silence,
}

/// A running site. Dropped: stopped.
pub(crate) struct Site {
    /// Where it is, without a slash at the end.
    pub(crate) url: String,
    state: Shared,
    task: JoinHandle<()>,
}

type Shared = Arc<Mutex<BTreeMap<String, (Option<Page>, usize)>>>;

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
        let mut state = self.state.lock().unwrap();
        state.entry(path.to_owned()).or_default().0 = Some(page);
    }

    /// From now on `path` answers with this JSON.
    pub(crate) fn set_json(&self, path: &str, value: &serde_json::Value) {
        self.set(path, Page::Body("application/json", value.to_string()));
    }

    /// From now on `path` is not there.
    pub(crate) fn remove(&self, path: &str) {
        let mut state = self.state.lock().unwrap();
        state.entry(path.to_owned()).or_default().0 = None;
    }

    /// How often `path` was asked for.
    pub(crate) fn hits(&self, path: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.get(path).map_or(0, |(_, hits)| *hits)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(State(state): State<Shared>, uri: Uri) -> Response {
    let page = {
        let mut state = state.lock().unwrap();
        let (page, hits) = state.entry(uri.path().to_owned()).or_default();
        *hits += 1;
        page.clone()
    };
    match page {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Page::Body(kind, body)) => ([("content-type", kind)], body).into_response(),
        Some(Page::Redirect(to)) => (StatusCode::FOUND, [("location", to)]).into_response(),
        Some(Page::Silence) => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            StatusCode::OK.into_response()
        }
    }
}
