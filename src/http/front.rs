//! What stands between a request and the endpoints that answer it: its context, how large it may be, and which scripts may read the answer.
//! Layers around each route would do the same, and copy everything below them for each request; what they make is asked for where they have
//! something to do.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::ORIGIN;
use axum::http::{self, Method};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::{BoxError, Router};
use tower_http::limit::RequestBodyLimit;
use tower_service::Service;

use crate::protocol::discovery::path;
use crate::protocol::params::{MAX_ENCODED_BYTES, MAX_HINTED_BYTES};

use super::state::HttpState;
use super::{context, cors, dpop, error};

/// Endpoints and what stands before them. Cheap to clone, as every request does it.
#[derive(Clone)]
pub(super) struct Front {
    state: HttpState,
    behind: Behind,
}

#[derive(Clone)]
enum Behind {
    /// Pages, and what servers ask for.
    Pages {
        plain: RequestBodyLimit<Router>,
        /// For those that an ID token of ours may come along to.
        hinted: RequestBodyLimit<Router>,
        /// For bodies that announce themselves as too large. What is not there is not there for them, either.
        refusing: Router,
    },
    /// What apps that run in a browser ask for, too.
    ForScripts {
        /// Those that no script of another origin asks, and that prove nothing: for all that the layers would do.
        plain: RequestBodyLimit<Router>,
        layered: RequestBodyLimit<Router>,
    },
    /// The upstreams' APIs, which say themselves how much they take.
    Apis(Router),
}

impl Front {
    pub(super) fn of_pages(state: &HttpState, endpoints: Router<HttpState>) -> Self {
        let endpoints = endpoints.method_not_allowed_fallback(error::method_not_allowed);
        let refusing = endpoints
            .clone()
            .layer(from_fn(async |request: Request, _: Next| {
                error::refuse_oversize(&request)
            }))
            .fallback(error::not_found);
        let plain = endpoints.fallback(error::not_found);
        let plain = plain.with_state(state.clone());
        Self {
            behind: Behind::Pages {
                hinted: RequestBodyLimit::new(plain.clone(), MAX_HINTED_BYTES),
                plain: limited(plain),
                refusing: refusing.with_state(state.clone()),
            },
            state: state.clone(),
        }
    }

    pub(super) fn for_scripts(state: &HttpState, endpoints: Router<HttpState>) -> Self {
        // Before the layers: a fallback that is set later is outside of them, and would answer the preflight requests.
        let plain = endpoints.method_not_allowed_fallback(error::method_not_allowed);
        let layered = plain
            .clone()
            .layer(from_fn_with_state(state.clone(), dpop::give_nonce))
            .layer(cors::layer(state));
        Self {
            behind: Behind::ForScripts {
                plain: limited(plain.with_state(state.clone())),
                layered: limited(layered.with_state(state.clone())),
            },
            state: state.clone(),
        }
    }

    pub(super) fn of_apis(state: &HttpState, endpoints: Router<HttpState>) -> Self {
        let endpoints = endpoints
            .layer(from_fn_with_state(state.clone(), dpop::give_nonce))
            .layer(cors::api_layer(state))
            .fallback(error::not_found);
        Self {
            behind: Behind::Apis(endpoints.with_state(state.clone())),
            state: state.clone(),
        }
    }
}

/// A body that announces itself as too large is refused before; another is cut off there.
fn limited(endpoints: Router) -> RequestBodyLimit<Router> {
    RequestBodyLimit::new(endpoints, MAX_ENCODED_BYTES)
}

/// Whether no layer for scripts would look at the request: no script of another origin asks, and nothing is proven.
pub(super) fn is_plain(request: &Request) -> bool {
    let headers = request.headers();
    matches!(*request.method(), Method::GET | Method::POST)
        && !headers.contains_key(ORIGIN)
        && !headers.contains_key(dpop::PROOF)
}

impl Behind {
    async fn answer(self, request: Request) -> Response {
        let may_be_hinted = matches!(request.uri().path(), path::AUTHORIZE | path::END_SESSION);
        let may_be_hinted = may_be_hinted && matches!(self, Self::Pages { .. });
        let max = if may_be_hinted {
            MAX_HINTED_BYTES
        } else {
            MAX_ENCODED_BYTES
        };
        let is_oversize = error::is_oversize(request.headers(), max);
        match self {
            Self::Pages { refusing, .. } if is_oversize => ask(refusing, request).await,
            Self::Pages { hinted, .. } if may_be_hinted => ask(hinted, request).await,
            Self::Pages { plain, .. } => ask(plain, request).await,
            Self::ForScripts { .. } if is_oversize => error::refuse_oversize(&request),
            Self::ForScripts { plain, .. } if is_plain(&request) => {
                let mut response = ask(plain, request).await;
                cors::tell_nobody(response.headers_mut());
                response
            }
            Self::ForScripts { layered, .. } => ask(layered, request).await,
            Self::Apis(endpoints) => ask(endpoints, request).await,
        }
    }
}

async fn ask<S, B>(mut endpoints: S, request: Request) -> Response
where
    S: Service<Request, Response = http::Response<B>, Error = Infallible>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Ok(response) = endpoints.call(request).await;
    response.map(Body::new)
}

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self { state, behind } = self.clone();
        Box::pin(async move {
            let answered = context::provide(state, request, |request| behind.answer(request));
            Ok(answered.await)
        })
    }
}
