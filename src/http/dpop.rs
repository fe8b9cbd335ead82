//! DPoP (RFC 9449) on the wire: the one header with a proof, the nonce for the next, and the challenge that names the scheme.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::model::client::Client;
use crate::protocol::dpop::{ALGORITHM_NAMES, HEADER, NONCE_HEADER, Proof, SCHEME, invalid};
use crate::protocol::error::OAuthError;
use crate::tokens::possession::Possession;

/// The header of requests, for CORS.
pub(super) const PROOF: HeaderName = HeaderName::from_static(HEADER);
/// The header of answers.
pub(super) const NONCE: HeaderName = HeaderName::from_static(NONCE_HEADER);

/// The proof of a request: one header, one proof (RFC 9449 section 4.3).
pub(super) fn proof(headers: &HeaderMap) -> Result<Option<&str>, OAuthError> {
    let mut all = headers.get_all(PROOF).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(proof), None) => proof
            .to_str()
            .map(Some)
            .map_err(|_| invalid("the header DPoP holds no proof")),
        (Some(_), Some(_)) => Err(invalid("the request has two headers DPoP")),
    }
}

/// The proof that came with a request of a client to an endpoint for clients, by POST to `path`; checked, and to be spent
/// when the request has been found good.
pub(super) async fn checked(
    possession: &Possession,
    headers: &HeaderMap,
    path: &str,
) -> Result<Option<Proof>, OAuthError> {
    match proof(headers)? {
        None => Ok(None),
        Some(proof) => {
            let checked = possession.check(proof, ("POST", path), None).await?;
            Ok(Some(checked))
        }
    }
}

/// Refuses a token request without a proof where the client's registration asks for one (RFC 9449 section 5.2). That is no
/// proof that is wrong: the plans for FAPI 2 take no `invalid_dpop_proof` for it.
pub(super) fn require_proof(client: &Client, proof: Option<&Proof>) -> Result<(), OAuthError> {
    if client.dpop_bound_access_tokens && proof.is_none() {
        return Err(OAuthError::invalid_request(
            "this client gets access tokens for a key alone; send a proof of it in the header DPoP",
        ));
    }
    Ok(())
}

/// Gives every answer to a proof the nonce for the next, where nonces are asked for (RFC 9449 section 8.2).
pub(super) async fn give_nonce(
    State(possession): State<Possession>,
    request: Request,
    next: Next,
) -> Response {
    let asked = possession.policy.require_nonce && request.headers().contains_key(PROOF);
    let mut response = next.run(request).await;
    if asked
        && let Ok(nonce) = possession.nonce()
        && let Ok(nonce) = HeaderValue::from_str(&nonce)
    {
        response.headers_mut().insert(NONCE, nonce);
    }
    response
}

/// Makes the challenge of an endpoint that takes access tokens one of the scheme that was used in the `request`; whoever sent none, or one
/// that was no good as it came, reads of both (RFC 9449 section 7.1).
pub(super) fn challenge(request: &HeaderMap, mut response: Response) -> Response {
    let status = response.status();
    let headers = response.headers_mut();
    let Some(bearer) = headers.get(WWW_AUTHENTICATE) else {
        return response;
    };
    let by_dpop = scheme(request).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME));
    let algorithms = ALGORITHM_NAMES.join(" ");
    let parameters = bearer
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix("Bearer"));
    let challenge = match parameters {
        Some(parameters) if by_dpop => {
            let gap = if parameters.is_empty() { "" } else { "," };
            format!("{SCHEME}{parameters}{gap} algs=\"{algorithms}\"")
        }
        _ => format!("{SCHEME} algs=\"{algorithms}\""),
    };
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        if by_dpop {
            headers.insert(WWW_AUTHENTICATE, challenge);
        } else if status == StatusCode::UNAUTHORIZED {
            headers.append(WWW_AUTHENTICATE, challenge);
        }
    }
    response
}

/// The scheme in `Authorization`.
fn scheme(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    Some(header.split(' ').next().unwrap_or_default())
}
