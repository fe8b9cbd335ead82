//! The sample browser app: static files on an origin of its own, so that CORS is real. All OpenID Connect in it is
//! `oidc-client-ts`.

use std::io;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;

use crate::simulator::people;

use super::config_file::{Addresses, BREAK_GLASS};

const FILES: [(&str, &str, &str); 6] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("app/index.html"),
    ),
    (
        "/app.js",
        "text/javascript; charset=utf-8",
        include_str!("app/app.js"),
    ),
    (
        "/app.css",
        "text/css; charset=utf-8",
        include_str!("app/app.css"),
    ),
    ("/icon.svg", "image/svg+xml", include_str!("app/icon.svg")),
    (
        "/oidc-client-ts.min.js",
        "text/javascript; charset=utf-8",
        include_str!("app/oidc-client-ts.min.js"),
    ),
    (
        "/oidc-client-ts.LICENSE.txt",
        "text/plain; charset=utf-8",
        include_str!("app/oidc-client-ts.LICENSE.txt"),
    ),
];

/// Serves the app until it is dropped.
pub(super) fn serve(
    listener: TcpListener,
    addresses: &Addresses,
) -> impl Future<Output = io::Result<()>> + use<> {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' {}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        addresses.issuer
    );
    let account = |login: &str, username: &str, password: &str| json!({ "login": login, "username": username, "password": password });
    let (member, staff) = (people::JO_SMITH, people::ANN_LEE);
    let settings = json!({
        "authority": addresses.issuer,
        "client_id": "demo-app",
        "scope": "openid profile email offline_access",
        "accounts": [
            account("Member login", member.username, member.password),
            account("Staff login", staff.code, staff.password),
            account("Break-glass account", BREAK_GLASS.0, BREAK_GLASS.1),
        ],
    })
    .to_string();
    let mut router = Router::new();
    for (path, content_type, body) in FILES {
        router = router.route(path, file(policy.clone(), content_type, body.to_owned()));
    }
    router = router.route("/settings.json", file(policy, "application/json", settings));
    async move { axum::serve(listener, router).await }
}

fn file(policy: String, content_type: &'static str, body: String) -> axum::routing::MethodRouter {
    get(move || {
        let headers = [
            (CONTENT_SECURITY_POLICY, policy.clone()),
            (CONTENT_TYPE, content_type.to_owned()),
            (CACHE_CONTROL, "no-store".to_owned()),
        ];
        async move { (headers, body).into_response() }
    })
}
