//! What stands before several nodes: one address, and each request goes to the node that the test chooses.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use tokio::task::JoinHandle;

use super::browser::http_client;

/// Says where the next request goes, by its number.
type Route = Box<dyn FnMut(usize) -> SocketAddr + Send>;

#[derive(Default)]
struct Routing {
    route: Option<Route>,
    requests: usize,
}

/// Dropped: stopped.
pub(crate) struct Balancer {
    /// Where it is, without a slash at the end: the issuer of the nodes behind it.
    pub(crate) url: String,
    routing: Arc<Mutex<Routing>>,
    task: JoinHandle<()>,
}

impl Balancer {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routing = Arc::<Mutex<Routing>>::default();
        let state = (Arc::clone(&routing), http_client());
        let app = Router::new().fallback(forward).with_state(state);
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, routing, task }
    }

    /// From now on requests go where `route` says, and are counted anew.
    pub(crate) fn route(&self, route: impl FnMut(usize) -> SocketAddr + Send + 'static) {
        *self.routing.lock().unwrap() = Routing {
            route: Some(Box::new(route)),
            requests: 0,
        };
    }

    /// How many requests came since.
    pub(crate) fn requests(&self) -> usize {
        self.routing.lock().unwrap().requests
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(
    State((routing, http)): State<(Arc<Mutex<Routing>>, reqwest::Client)>,
    request: Request,
) -> Response {
    let node = {
        let mut routing = routing.lock().unwrap();
        let number = routing.requests;
        routing.requests += 1;
        routing.route.as_mut().unwrap()(number)
    };
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let answer = http
        .request(parts.method, format!("http://{node}{}", parts.uri))
        .headers(parts.headers)
        .body(body)
        .send()
        .await
        .unwrap();
    let mut response = Response::builder().status(answer.status());
    *response.headers_mut().unwrap() = answer.headers().clone();
    response
        .body(Body::from(answer.bytes().await.unwrap()))
        .unwrap()
}
