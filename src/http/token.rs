//! `/token` (RFC 6749 section 3.2): authenticate the client, check its proof of possession, parse, redeem, spend the proof,
//! mint, write; always in this order.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRef, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, PRAGMA};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};

use crate::grants::{Grants, Proven, TokenRequest};
use crate::model::audit::Event;
use crate::model::client::Client;
use crate::protocol::client_auth::ClientCredentials;
use crate::protocol::discovery::path;
use crate::protocol::error::OAuthError;
use crate::protocol::params::Params;
use crate::protocol::token::GrantType;
use crate::telemetry::Entry;
use crate::tokens::Mint;
use crate::tokens::possession::Possession;

use super::client_address::ClientAddress;
use super::dpop;
use super::error::TokenError;
use super::state::HttpState;
use super::{NO_STORE, form};

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(path::TOKEN, post(token))
}

async fn token(
    State(endpoint): State<Endpoint>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse, TokenError> {
    let mut grant = "unknown";
    let answer = endpoint.answer(&address, &headers, &body, &mut grant).await;
    let outcome = match &answer {
        Ok(_) => "issued",
        Err(error) => error.code.as_str(),
    };
    endpoint.grants.metrics.token_answered(grant, outcome);
    // RFC 6749 section 5.1 wants both.
    let headers = [
        (CACHE_CONTROL, NO_STORE),
        (PRAGMA, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, answer?))
}

#[derive(Clone)]
struct Endpoint {
    grants: Grants,
    mint: Mint,
    possession: Possession,
}

impl FromRef<HttpState> for Endpoint {
    fn from_ref(state: &HttpState) -> Self {
        Self {
            grants: Grants::from_ref(state),
            mint: Mint::from_ref(state),
            possession: Possession::from_ref(state),
        }
    }
}

impl Endpoint {
    /// `grant` becomes the one that an authenticated client asks for, if it is one of ours.
    async fn answer(
        &self,
        address: &str,
        headers: &HeaderMap,
        body: &[u8],
        grant: &mut &'static str,
    ) -> Result<Response, OAuthError> {
        let params = form::require(headers, body)?;
        let client = authenticated(&self.grants, address, headers, &params).await?;
        let named = params.get("grant_type").ok().flatten();
        if let Some(named) = named.and_then(GrantType::parse) {
            *grant = named.as_str();
        }
        let proof = dpop::checked(&self.possession, headers, path::TOKEN).await?;
        dpop::require_proof(&client, proof.as_ref())?;
        let request = TokenRequest::parse(&params, &client)?;
        let key = proof.as_ref().map(|proof| &proof.key);
        let proven = request.redeem(&client, key, &self.grants).await?;
        // Only now: strangers, who have the id of a public client and keys of their own, redeem nothing and leave no row.
        let key = match proof {
            Some(proof) => Some(self.possession.spend(proof).await?),
            None => None,
        };
        match proven {
            Proven::Authorization(proven) => {
                let token_set = self.mint.mint(&client, &proven, key.as_ref()).await?;
                // A client that acts for itself alone has logged nobody in.
                if client.registered && proven.person.is_some() {
                    self.grants.note_use(&client).await?;
                }
                let person = proven.person.as_ref();
                let login = person.map(|person| &person.authentication);
                let entry = Entry::new(Event::TokensIssued)
                    .client(&client.client_id)
                    .account(person.map(|person| &person.account_id))
                    .upstream(login.map(|login| &login.upstream))
                    .session(login.map(|login| &login.session_id))
                    .family(person.map(|person| &person.family_id))
                    .with("grant", *grant)
                    .with("scope", proven.scope.to_string())
                    .with("with_refresh_token", token_set.refresh_token.is_some());
                self.grants.audit.record(entry);
                Ok(Json(token_set).into_response())
            }
            Proven::Release(token) => Ok(Json(token).into_response()),
        }
    }
}

/// The client that sent a request, at every endpoint where it has to say who it is (RFC 6749 section 2.3).
pub(super) async fn authenticated(
    grants: &Grants,
    address: &str,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Arc<Client>, OAuthError> {
    let credentials = ClientCredentials::read(authorization(headers)?, params)?;
    grants.authenticate_client(&credentials, address).await
}

/// The one `Authorization` header; two of them are two opinions.
pub(super) fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, OAuthError> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    match (all.next(), all.next()) {
        (first, None) => Ok(first.map(HeaderValue::as_bytes)),
        _ => Err(OAuthError::invalid_request(
            "the request has two Authorization headers",
        )),
    }
}
