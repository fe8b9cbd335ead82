//! `/userinfo` (OpenID Connect Core section 5.3): who the access token stands for, as far as its scope goes.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{FromRef, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::Value;

use crate::protocol::discovery::path;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::Subject;
use crate::protocol::scope;
use crate::tokens::Mint;
use crate::tokens::standing::{AccessTokens, Ended};

use super::error::BearerError;
use super::state::HttpState;
use super::{NO_STORE, form};

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(path::USERINFO, get(userinfo).post(userinfo))
}

#[derive(Serialize)]
struct Userinfo {
    sub: Subject,
    #[serde(flatten)]
    claims: BTreeMap<String, Value>,
}

#[derive(Clone)]
struct Endpoint {
    access_tokens: AccessTokens,
    mint: Mint,
}

impl FromRef<HttpState> for Endpoint {
    fn from_ref(state: &HttpState) -> Self {
        Self {
            access_tokens: AccessTokens::from_ref(state),
            mint: Mint::from_ref(state),
        }
    }
}

async fn userinfo(
    State(endpoint): State<Endpoint>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, BearerError> {
    // RFC 6750 section 2.2: never a form with GET, whose body has no meaning and may be lost or kept on the way.
    let form: &[u8] = if method == Method::POST { &body } else { &[] };
    let token = bearer_token(&headers, form)?;
    let claims = endpoint
        .mint
        .read_access_token(&token)
        .await?
        .ok_or_else(|| invalid_token("it is expired, revoked or not one of ours"))?;
    let granted = claims.scope.clone().unwrap_or_default();
    if !granted.contains(scope::OPENID) {
        return Err(BearerError::from(OAuthError::new(
            ErrorCode::InsufficientScope,
            "the access token was given without the scope openid",
        )));
    }
    let behind = endpoint.access_tokens.behind(&claims).await?;
    let Some(person) = behind.person else {
        return Err(invalid_token("there is no person behind it"));
    };
    let authentication = &person.family.authentication;
    let subject = Subject::new(claims.sub);
    let answer = Userinfo {
        claims: behind
            .client
            .claims_within(&granted, &subject, &person.account, authentication),
        sub: subject,
    };
    let uncached = [(CACHE_CONTROL, NO_STORE)];
    let Some(algorithm) = behind.client.userinfo_signed_response_alg else {
        return Ok((uncached, Json(answer)).into_response());
    };
    let signed = endpoint.mint.userinfo(&behind.client, algorithm, &answer);
    let signed = signed.map_err(OAuthError::from)?;
    Ok((uncached, [(CONTENT_TYPE, "application/jwt")], signed).into_response())
}

pub(super) fn invalid_token(reason: impl Into<crate::protocol::error::BoxError>) -> BearerError {
    let text = "the access token is expired, revoked or not one of ours";
    BearerError::from(OAuthError::new(ErrorCode::InvalidToken, text).because(reason))
}

impl From<Ended> for BearerError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Store(error) => Self::from(OAuthError::from(error)),
            Ended::Key(error) => Self::from(OAuthError::from(error)),
            ended => invalid_token(ended),
        }
    }
}

/// The token, from the header or the form body (RFC 6750 sections 2.1 and 2.2); from the query never (section 5.3), and
/// from both places at once neither (section 2).
pub(super) fn bearer_token(headers: &HeaderMap, body: &[u8]) -> Result<String, BearerError> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let in_header = match (all.next(), all.next()) {
        (None, _) => None,
        (Some(header), None) => Some(
            header
                .to_str()
                .ok()
                .and_then(after_bearer)
                .ok_or(BearerError(None))?,
        ),
        (Some(_), Some(_)) => return Err(twice()),
    };
    let params = form::parse(headers, body).transpose()?.unwrap_or_default();
    let in_body = params.get("access_token")?;
    match (in_header, in_body) {
        (Some(_), Some(_)) => Err(twice()),
        (Some(token), None) | (None, Some(token)) => Ok(token.to_owned()),
        (None, None) => Err(BearerError(None)),
    }
}

fn twice() -> BearerError {
    BearerError::from(OAuthError::invalid_request(
        "the access token was sent in two ways",
    ))
}

/// `Bearer`, in any letter case (RFC 9110 section 11.1), one space, the token.
fn after_bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}
