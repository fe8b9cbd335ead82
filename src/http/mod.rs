//! The web: one file an endpoint or page. The only room that names axum and askama.

pub mod access_token;
pub mod account;
pub mod app_links;
pub mod app_logo;
pub mod app_pages;
pub mod arrival;
pub mod assets;
pub mod authorize;
pub mod away;
pub mod brand;
pub mod client_address;
pub mod consent;
pub mod context;
pub mod cookies;
pub mod cors;
pub mod device;
pub mod device_authorization;
pub mod discovery;
mod documents;
pub mod dpop;
pub mod end_session;
pub mod error;
pub mod flow_cookie;
pub mod form;
pub mod fragment;
mod front;
pub mod frontchannel;
pub mod gateway;
pub mod health;
pub mod introspection;
pub mod jwks;
pub mod landing;
pub mod language;
pub mod login;
pub mod metrics;
pub mod own_path;
pub mod page;
pub mod par;
pub mod question;
pub mod register;
pub mod resume;
pub mod return_to;
pub mod revocation;
pub mod sender;
pub mod sign_off;
pub mod signed_in;
pub mod state;
pub mod texts;
pub mod token;
pub mod upstream;
pub mod userinfo;

use axum::Router;
use axum::http::HeaderValue;

use crate::protocol::discovery::path;

use documents::Document;
use front::Front;

pub use state::{HttpParts, HttpState};

/// Everything that browsers and clients reach.
pub fn router(state: &HttpState) -> Router {
    let called_by_scripts = Router::new()
        .merge(par::router())
        .merge(token::router())
        .merge(userinfo::router())
        .merge(revocation::router());
    let called_by_scripts = Front::for_scripts(state, called_by_scripts);
    // What is off is not there.
    let registration = if state.registration_is_on() {
        register::router()
    } else {
        Router::new()
    };
    let pages = Router::new()
        .merge(registration)
        .merge(introspection::router())
        .merge(authorize::router())
        .merge(resume::router())
        .merge(login::router())
        .merge(consent::router())
        .merge(device_authorization::router())
        .merge(device::router())
        .merge(account::router())
        .merge(upstream::router())
        .merge(landing::router())
        .merge(end_session::router())
        .merge(sign_off::router())
        .merge(assets::router())
        .merge(brand::router())
        .merge(app_logo::router())
        .merge(language::router());
    let documents = discovery::router().merge(jwks::router());
    let documents = Front::for_scripts(state, documents);
    let document = |bytes| Document::new(state.clone(), bytes, documents.clone());
    let mut router = Router::new()
        .route_service(path::OPENID_CONFIGURATION, document(discovery::bytes))
        .route_service(path::OAUTH_AUTHORIZATION_SERVER, document(discovery::bytes))
        .route_service(path::JWKS, document(jwks::bytes))
        .route_service(gateway::PATH, Front::of_apis(state, gateway::router()))
        .fallback_service(Front::of_pages(state, pages));
    for path in [path::PAR, path::TOKEN, path::USERINFO, path::REVOKE] {
        router = router.route_service(path, called_by_scripts.clone());
    }
    router
}

/// What an operator's tools reach, on a listener of its own (T50).
pub fn internal_router(state: HttpState) -> Router {
    health::router().merge(metrics::router()).with_state(state)
}

/// `no-store`, for everything that is about somebody (T53).
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
