//! The logos of apps on our pages, from our own origin (T52). The address of one is made by whoever has shown it on a page, so
//! that nobody has anything fetched by naming an app.

use axum::Router;
use axum::extract::{FromRef as _, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

use crate::fetch::Logos;
use crate::keys::{KeyError, Purpose, Secrets};
use crate::model::client::Client;
use crate::protocol::ids::ClientId;
use crate::protocol::params::Params;
use crate::store::Store;

use super::context;
use super::error;
use super::state::HttpState;
use super::texts::Texts;

/// Where it is.
const PATH: &str = "/assets/app-logo";

/// Opened by itself it runs nothing and loads nothing, whatever a browser takes it for.
const POLICY: &str = "default-src 'none'; sandbox";

/// For `components/app_logo.html`.
pub struct AppLogo {
    /// Its address.
    pub(super) src: String,
    /// What it is, in words.
    pub(super) alt: String,
}

impl AppLogo {
    /// The logo of an app whose page is shown now, if it is there already.
    pub(super) fn of(state: &HttpState, client: &Client, texts: &Texts) -> Option<Self> {
        let uri = client.logo_uri(context::locale())?;
        if !Logos::from_ref(state).has(client, uri) {
            return None;
        }
        let named = name(&Secrets::from_ref(state), &client.client_id, uri);
        let named = named
            .inspect_err(|error| tracing::error!(error = %error, "a logo could not be named"))
            .ok()?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", client.client_id.as_str());
        query.append_pair("logo", &named);
        Some(Self {
            src: format!("{PATH}?{}", query.finish()),
            alt: (texts.app_logo)(client.display_name_in(context::locale())),
        })
    }
}

/// What nobody else can say.
fn name(secrets: &Secrets, client_id: &ClientId, uri: &str) -> Result<String, KeyError> {
    secrets.hash(Purpose::AppLogo, &format!("{client_id}\n{uri}"))
}

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(PATH, get(show))
}

async fn show(State(state): State<HttpState>, RawQuery(query): RawQuery) -> Response {
    match find(&state, &query.unwrap_or_default()).await {
        Some(response) => response,
        None => error::not_found().await.into_response(),
    }
}

async fn find(state: &HttpState, query: &str) -> Option<Response> {
    let params = Params::parse(query.as_bytes()).ok()?;
    let client_id = ClientId::new(params.require("client_id").ok()?);
    let asked = params.require("logo").ok()?;
    let stored = Store::from_ref(state).find_client(&client_id).await;
    let client = stored
        .inspect_err(|error| tracing::error!(error = %error, "a client could not be read"))
        .ok()??
        .client;
    let secrets = Secrets::from_ref(state);
    let is_asked = |uri: &&str| {
        name(&secrets, &client_id, uri)
            .is_ok_and(|name| bool::from(name.as_bytes().ct_eq(asked.as_bytes())))
    };
    let uri = client.logo_uris().find(is_asked)?;
    let picture = Logos::from_ref(state).find(&client, uri).await?;
    let headers = [
        (CONTENT_TYPE, picture.media_type),
        (CACHE_CONTROL, "public, max-age=3600"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    Some((headers, picture.bytes.clone()).into_response())
}
