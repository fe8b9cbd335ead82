//! `/authorize` (RFC 6749 section 3.1, OpenID Connect Core section 3.1.2), by GET and by POST.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRef, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;

use crate::clock::ordered_id;
use crate::flow::Flow;
use crate::keys::Purpose;
use crate::model::authorization::PendingAuthorization;
use crate::model::client::{Client, ReturnTo};
use crate::model::pushed_request::TakenUp;
use crate::protocol::authorize::{AuthorizationRequest, ReturnRequest};
use crate::protocol::discovery::path;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::{ClientId, Subject};
use crate::protocol::issuer::Issuer;
use crate::protocol::locale::Locale;
use crate::protocol::params::{self, Params};
use crate::protocol::pushed::{self, PushedReference};
use crate::store::Store;
use crate::telemetry::note_client;
use crate::tokens::Mint;

use super::client_address::ClientAddress;
use super::context;
use super::error::{self, PageError};
use super::flow_cookie::FlowCookies;
use super::form;
use super::resume::{self, FlowRequest};
use super::return_to::{self, see_other};
use super::signed_in::SignedIn;
use super::state::{HttpState, ParPolicy, Settings};

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(path::AUTHORIZE, get(by_get).post(by_post))
}

/// Seconds that a pushed request is remembered for the flows that began with it: longer than their cookies last.
const PUSHED_KEPT: i64 = 2 * 24 * 60 * 60;

/// The handles of this endpoint, and of the one that takes the same requests ahead (`http::par`).
#[derive(Clone)]
pub(super) struct Endpoint {
    store: Store,
    flow: Flow,
    mint: Mint,
    issuer: Issuer,
    par: ParPolicy,
}

impl FromRef<HttpState> for Endpoint {
    fn from_ref(state: &HttpState) -> Self {
        Self {
            store: Store::from_ref(state),
            flow: Flow::from_ref(state),
            mint: Mint::from_ref(state),
            issuer: Issuer::from_ref(state),
            par: <Arc<Settings>>::from_ref(state).par,
        }
    }
}

/// Where an error of this endpoint goes. Only a proven [`ReturnTo`] lets it go to the client (T5).
pub(super) enum AuthorizeError {
    Page(OAuthError),
    Return(Box<ReturnTo>, OAuthError),
}

impl AuthorizeError {
    /// The error, for whoever is told it directly.
    pub(super) fn into_inner(self) -> OAuthError {
        match self {
            Self::Page(error) | Self::Return(_, error) => error,
        }
    }
}

async fn by_get(
    State(endpoint): State<Endpoint>,
    ClientAddress(address): ClientAddress,
    flow_cookies: FlowCookies,
    signed_in: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let query = query.unwrap_or_default();
    let params = Params::parse_hinted(query.as_bytes()).map_err(PageError::request)?;
    if let Some(handle) = endpoint.begun_before(&params, &flow_cookies).await? {
        return Ok(see_other(&resume::url(&handle)));
    }
    match endpoint.read(&params, &address).await {
        Ok((client, pending)) => {
            let request = FlowRequest {
                flow: &endpoint.flow,
                cookies: &flow_cookies,
                handle: None,
            };
            let picked = signed_in.pick(&endpoint.flow, &client, &pending).await?;
            resume::advance(request, &client, pending, picked).await
        }
        Err(error) => answer(error),
    }
}

/// A POST comes from the client's page, across sites, and so without our cookies (SameSite=Lax): whether somebody is
/// logged in can only be seen after a redirect to a GET of ours.
async fn by_post(
    State(endpoint): State<Endpoint>,
    ClientAddress(address): ClientAddress,
    flow_cookies: FlowCookies,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PageError> {
    if params::is_too_large_beside_hint(&body) {
        return Ok(error::oversize_page());
    }
    let params = form::require_hinted(&headers, &body).map_err(PageError::request)?;
    match endpoint.read(&params, &address).await {
        Ok((_, pending)) => {
            let now = endpoint.flow.clock.now();
            let (handle, cookies) = flow_cookies.begin(&pending, now).await?;
            let mut response = see_other(&resume::url(&handle));
            super::cookies::set(response.headers_mut(), cookies);
            Ok(response)
        }
        Err(error) => answer(error),
    }
}

fn answer(error: AuthorizeError) -> Result<Response, PageError> {
    match error {
        AuthorizeError::Page(error) => Err(PageError::request(error)),
        AuthorizeError::Return(return_to, error) => Ok(return_to::refuse(&return_to, &error)),
    }
}

impl Endpoint {
    /// The flow of this browser that a pushed request has led to already: a reload must not meet a request that has ended
    /// since (RFC 9126 section 4).
    async fn begun_before(
        &self,
        params: &Params,
        flow_cookies: &FlowCookies,
    ) -> Result<Option<String>, PageError> {
        let reference = PushedReference::read(params).map_err(PageError::request)?;
        let Some(reference) = reference else {
            return Ok(None);
        };
        let uri_hash = self.uri_hash(reference.random)?;
        let now = self.flow.clock.now();
        Ok(flow_cookies
            .find_pushed(&uri_hash, &reference.client_id, now)
            .await?)
    }

    /// From parameters to a pending authorization: first who asks and where the answer goes, then the rest.
    async fn read(
        &self,
        params: &Params,
        address: &str,
    ) -> Result<(Arc<Client>, PendingAuthorization), AuthorizeError> {
        if let Some(reference) = PushedReference::read(params).map_err(AuthorizeError::Page)? {
            return self.read_pushed(&reference).await;
        }
        // Also for the page that says that the client is unknown.
        prefer_language(params);
        let asked = ReturnRequest::read(params).map_err(AuthorizeError::Page)?;
        let client = self.client(&asked.client_id).await?;
        if self.par.required || client.require_pushed_authorization_requests {
            let return_to = client
                .return_to(&asked, &self.issuer)
                .map_err(AuthorizeError::Page)?;
            let text = "this client must push its authorization requests (RFC 9126)";
            return Err(AuthorizeError::Return(
                Box::new(return_to),
                OAuthError::invalid_request(text),
            ));
        }
        let params = match self.unpack(&client, params, address).await {
            Ok(params) => params,
            // Nothing of the object counts yet: the error goes where a plain request would have it go (T5).
            Err(error) => {
                let return_to = client.return_to(&asked, &self.issuer);
                let return_to = return_to.map_err(AuthorizeError::Page)?;
                return Err(AuthorizeError::Return(Box::new(return_to), error));
            }
        };
        let pending = self.hold(&params, &client)?;
        Ok((client, pending))
    }

    /// The same from a request that was pushed. It was held against the client then, and is again: the registration may have
    /// changed.
    async fn read_pushed(
        &self,
        reference: &PushedReference<'_>,
    ) -> Result<(Arc<Client>, PendingAuthorization), AuthorizeError> {
        let client = self.client(&reference.client_id).await?;
        let uri_hash = self
            .uri_hash(reference.random)
            .map_err(AuthorizeError::Page)?;
        let now = self.flow.clock.now();
        let sealed = self
            .store
            .take_up_pushed_request(&uri_hash, &client.client_id, now, now + PUSHED_KEPT)
            .await
            .map_err(|error| AuthorizeError::Page(error.into()))?
            .ok_or_else(|| AuthorizeError::Page(pushed::unknown()))?;
        let opened = self
            .flow
            .secrets
            .open(Purpose::PushedRequest, &uri_hash, &sealed)
            .ok_or_else(|| {
                let text = "a pushed request cannot be opened with this master key";
                AuthorizeError::Page(OAuthError::server_error(text))
            })?;
        let params = Params::parse(&opened).map_err(AuthorizeError::Page)?;
        let mut pending = self.hold(&params, &client)?;
        pending.pushed = Some(TakenUp {
            uri_hash,
            flow: ordered_id(),
        });
        Ok((client, pending))
    }

    fn uri_hash(&self, random: &str) -> Result<String, OAuthError> {
        Ok(self.flow.secrets.hash(Purpose::PushedRequest, random)?)
    }

    async fn client(&self, client_id: &ClientId) -> Result<Arc<Client>, AuthorizeError> {
        let stored = self
            .store
            .find_client(client_id)
            .await
            .map_err(|error| AuthorizeError::Page(error.into()))?;
        let stored = stored.ok_or_else(|| {
            AuthorizeError::Page(OAuthError::invalid_request(
                "client_id is not registered here",
            ))
        })?;
        note_client(&stored.client.client_id);
        Ok(stored.client)
    }

    /// The parameters that count: those of the request object, if the request has one.
    pub(super) async fn unpack(
        &self,
        client: &Client,
        params: &Params,
        address: &str,
    ) -> Result<Params, OAuthError> {
        self.flow.unpack(client, params, address).await
    }

    /// Holds a whole request against its client.
    pub(super) fn hold(
        &self,
        params: &Params,
        client: &Client,
    ) -> Result<PendingAuthorization, AuthorizeError> {
        prefer_language(params);
        let asked = ReturnRequest::read(params).map_err(AuthorizeError::Page)?;
        let return_to = client
            .return_to(&asked, &self.issuer)
            .map_err(AuthorizeError::Page)?;
        let result = AuthorizationRequest::read(params).and_then(|request| {
            let named = asked.redirect_uri.is_some();
            let hint = request.id_token_hint.clone();
            let now = self.flow.clock.now();
            let mut pending =
                PendingAuthorization::new(client, return_to.clone(), named, request, now)?;
            if let Some(hint) = hint {
                pending.expected_subject = Some(self.hinted_subject(client, &hint)?);
            }
            Ok(pending)
        });
        result.map_err(|error| AuthorizeError::Return(Box::new(return_to), error))
    }

    /// The person that a verified hint names (T29). A hint that is none of ours is an error: ignoring it would log in
    /// somebody whom the client did not expect.
    fn hinted_subject(&self, client: &Client, hint: &str) -> Result<Subject, OAuthError> {
        let claims = self.mint.read_id_token_hint(hint).map_err(|error| {
            OAuthError::invalid_request("id_token_hint is not an ID token of this issuer")
                .because(error)
        })?;
        if claims.aud != client.client_id {
            return Err(OAuthError::invalid_request(
                "id_token_hint was issued to another client",
            ));
        }
        Ok(Subject::new(claims.sub))
    }
}

/// From here on pages speak the language that the request asks for.
fn prefer_language(params: &Params) {
    let locale = params.get("ui_locales").ok().flatten();
    context::prefer(locale.and_then(Locale::from_ui_locales));
}
