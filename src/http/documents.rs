//! Documents that are the same for everybody, answered without the layers that other requests need: their bytes and headers are made
//! once. What comes in another way than relying parties' plain `GET` takes the long way, through all layers.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use tower_service::Service;

use super::context;
use super::front::{self, Front};
use super::state::HttpState;

/// A document at its address.
#[derive(Clone)]
pub(super) struct Document(Arc<Inside>);

struct Inside {
    state: HttpState,
    /// What it holds at the moment.
    bytes: fn(&HttpState) -> Bytes,
    /// The long way.
    layered: Front,
    /// The headers of the first answer, which the long way has made.
    headers: OnceLock<HeaderMap>,
}

impl Document {
    pub(super) fn new(state: HttpState, bytes: fn(&HttpState) -> Bytes, layered: Front) -> Self {
        Self(Arc::new(Inside {
            state,
            bytes,
            layered,
            headers: OnceLock::new(),
        }))
    }
}

/// Whether no layer would look at the request, and nothing is sent.
fn is_plain(request: &Request) -> bool {
    let headers = request.headers();
    let sent = [CONTENT_LENGTH, TRANSFER_ENCODING];
    request.method() == Method::GET
        && front::is_plain(request)
        && !sent.iter().any(|name| headers.contains_key(name))
}

impl Service<Request> for Document {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Answering {
        let plain = is_plain(&request);
        if plain && let Some(headers) = self.0.headers.get() {
            let mut response = Response::new(Body::from((self.0.bytes)(&self.0.state)));
            headers.clone_into(response.headers_mut());
            context::answered_at_once(&request, &mut response);
            return Answering::AtOnce(ready(Ok(response)));
        }
        let document = self.clone();
        Answering::Layered(Box::pin(async move {
            let mut layered = document.0.layered.clone();
            let response = layered.call(request).await?;
            if plain && response.status().is_success() {
                let mut headers = response.headers().clone();
                headers.remove(CONTENT_LENGTH);
                let _ = document.0.headers.set(headers);
            }
            Ok(response)
        }))
    }
}

type Answer = Result<Response, Infallible>;

/// The answer, now or later.
pub(super) enum Answering {
    AtOnce(Ready<Answer>),
    Layered(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl Future for Answering {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        match self.get_mut() {
            Self::AtOnce(answer) => Pin::new(answer).poll(cx),
            Self::Layered(answer) => answer.as_mut().poll(cx),
        }
    }
}
