//! `/par` (RFC 9126): an authorization request, sent ahead by the client itself, for a `request_uri` that stands for it.

use axum::body::Bytes;
use axum::extract::{FromRef, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;

use crate::clock::random_token;
use crate::grants::Grants;
use crate::keys::Purpose;
use crate::model::client::Client;
use crate::model::pushed_request::PushedRequest;
use crate::protocol::client_auth::ClientCredentials;
use crate::protocol::discovery::path;
use crate::protocol::dpop::Thumbprint;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::params::Params;
use crate::protocol::pushed::{self, URI_PREFIX};
use crate::tokens::possession::Possession;

use super::authorize::{self, AuthorizeError};
use super::client_address::ClientAddress;
use super::dpop;
use super::error::TokenError;
use super::flow_cookie::rows_bucket;
use super::state::{HttpState, Settings};
use super::token::authorization;
use super::{NO_STORE, form};

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(path::PAR, post(push))
}

/// RFC 9126 section 2.2.
#[derive(Serialize)]
struct Pushed {
    request_uri: String,
    expires_in: i64,
}

#[derive(Clone)]
struct Endpoint {
    grants: Grants,
    authorize: authorize::Endpoint,
    possession: Possession,
    lifetime: i64,
}

impl FromRef<HttpState> for Endpoint {
    fn from_ref(state: &HttpState) -> Self {
        Self {
            grants: Grants::from_ref(state),
            authorize: authorize::Endpoint::from_ref(state),
            possession: Possession::from_ref(state),
            lifetime: <std::sync::Arc<Settings>>::from_ref(state).par.lifetime,
        }
    }
}

async fn push(
    State(endpoint): State<Endpoint>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ParError> {
    let pushed = endpoint.push(&address, &headers, &body).await?;
    let headers = [(CACHE_CONTROL, NO_STORE)];
    Ok((StatusCode::CREATED, headers, Json(pushed)).into_response())
}

impl Endpoint {
    async fn push(
        &self,
        address: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Pushed, ParError> {
        let sent = form::require(headers, body)?;
        let credentials = ClientCredentials::read(authorization(headers)?, &sent)?;
        let client = self
            .grants
            .authenticate_client(&credentials, address)
            .await?;
        let params = pushed::pushed_params(&sent, &client.client_id)?;
        let proof = dpop::checked(&self.possession, headers, path::PAR).await?;
        // RFC 9126 section 3: what is kept is what the object holds; it is proven now.
        let mut params = self.authorize.unpack(&client, &params, address).await?;
        // FAPI 2.0 Security Profile section 5.3.2.2: those who must push leave nothing to be guessed.
        if client.require_pushed_authorization_requests {
            params.require("redirect_uri")?;
        }
        if let Some(proof) = &proof {
            bind(&mut params, &proof.key)?;
        }
        self.authorize
            .hold(&params, &client)
            .map_err(AuthorizeError::into_inner)?;
        let plain = pushed::kept(&params)?;
        let bucket = bucket(&client, address);
        if let Some(bucket) = &bucket {
            self.reserve_row(bucket).await?;
        }
        // Only now: it is a row, too.
        if let Some(proof) = proof {
            self.possession.spend(proof).await?;
        }
        let random = random_token();
        let (uri_hash, request) = self.seal(&client, &plain, &random, bucket)?;
        self.grants
            .store
            .insert_pushed_request(&uri_hash, &request)
            .await
            .map_err(OAuthError::from)?;
        Ok(Pushed {
            request_uri: format!("{URI_PREFIX}{random}"),
            expires_in: self.lifetime,
        })
    }

    /// What the store keeps, and the hash that finds it.
    fn seal(
        &self,
        client: &Client,
        plain: &str,
        random: &str,
        bucket: Option<String>,
    ) -> Result<(String, PushedRequest), OAuthError> {
        let secrets = &self.grants.secrets;
        let uri_hash = secrets.hash(Purpose::PushedRequest, random)?;
        let request = PushedRequest {
            sealed: secrets.seal(Purpose::PushedRequest, &uri_hash, plain.as_bytes())?,
            client_id: client.client_id.clone(),
            expires_at: self.grants.clock.now() + self.lifetime,
            bucket,
        };
        Ok((uri_hash, request))
    }

    async fn reserve_row(&self, bucket: &str) -> Result<(), ParError> {
        let now = self.grants.clock.now();
        let policy = self.grants.address_throttle;
        let free = self.grants.store.reserve_attempt(bucket, policy, now);
        if free.await.map_err(OAuthError::from)? {
            return Ok(());
        }
        self.grants.metrics.throttled("pushed_request");
        Err(ParError::TooMany)
    }
}

/// What counts a push until it has led to an answer, where strangers could fill the database with them. Anybody can push in
/// the name of a public client, so that the address counts. Anybody can register a client with a secret, too, but only its
/// own server pushes for it, from an address that others may share: there the client counts.
fn bucket(client: &Client, address: &str) -> Option<String> {
    if client.is_public() {
        Some(rows_bucket(address))
    } else if client.is_anybodys() {
        Some(format!("pushes\n{}", client.client_id))
    } else {
        None
    }
}

/// RFC 9449 section 10.1: a proof says what `dpop_jkt` would, and must not contradict it.
fn bind(params: &mut Params, key: &Thumbprint) -> Result<(), OAuthError> {
    if params
        .get("dpop_jkt")?
        .is_some_and(|named| named != key.as_str())
    {
        return Err(OAuthError::invalid_request(
            "dpop_jkt names another key than the one of the DPoP proof",
        ));
    }
    params.set("dpop_jkt", key.as_str())
}

/// An error of this endpoint: that of the token endpoint, or a limit that was met (RFC 9126 section 2.3).
enum ParError {
    Refused(OAuthError),
    TooMany,
}

impl From<OAuthError> for ParError {
    fn from(error: OAuthError) -> Self {
        Self::Refused(error)
    }
}

impl IntoResponse for ParError {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(error) => TokenError(error).into_response(),
            Self::TooMany => {
                let text = "too many pushed requests that led to no login; try again later";
                let error = OAuthError::new(ErrorCode::TemporarilyUnavailable, text);
                let mut response = TokenError(error).into_response();
                *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                response
            }
        }
    }
}
