//! Authorization requests that come as request objects (RFC 9101, OpenID Connect Core section 6), by value and by reference.

use crate::model::client::Client;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::foreign_jwt::{Claims, ForeignJwt, ForeignKind};
use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::params::Params;
use crate::protocol::request_object::{self, Around, RequestObjectAlgorithm, invalid};

use super::Flow;

impl Flow {
    /// The parameters that count: those of the request object, if the request has one. Whoever pushes a request and whoever
    /// sends one with a browser is asked the same.
    pub async fn unpack(&self, client: &Client, outside: &Params) -> Result<Params, OAuthError> {
        outside.refuse_repeated()?;
        let (by_value, by_reference) = (outside.get("request")?, outside.get("request_uri")?);
        let object = match (by_value, by_reference) {
            (None, None) if client.require_signed_request_object => {
                return Err(OAuthError::invalid_request(
                    "this client must send its requests as signed request objects (RFC 9101)",
                ));
            }
            (None, None) => return Ok(outside.clone()),
            // RFC 9101 section 5.
            (Some(_), Some(_)) => {
                return Err(OAuthError::invalid_request(
                    "request and request_uri stand beside each other; send one of them",
                ));
            }
            (Some(object), None) => object.to_owned(),
            (None, Some(uri)) => {
                require_some_way(client, ErrorCode::RequestUriNotSupported)?;
                if !client.has_request_uri(uri) {
                    return Err(OAuthError::new(
                        ErrorCode::InvalidRequestUri,
                        "request_uri is not registered for this client",
                    ));
                }
                let fetched = self.request_uris.fetch(uri, &client.client_id).await;
                fetched.map_err(|error| {
                    let text = "request_uri could not be fetched, or is no request object";
                    OAuthError::new(ErrorCode::InvalidRequestUri, text).because(error)
                })?
            }
        };
        let jwt = ForeignJwt::read(&object, ForeignKind::RequestObject)
            .map_err(|problem| invalid(format!("the request object {problem}")))?;
        // One that nobody signed needs no keys: it is worth what the same parameters are.
        if by_reference.is_none() && jwt.algorithm() != "none" {
            require_some_way(client, ErrorCode::RequestNotSupported)?;
        }
        let (claims, signed) = self.proven(client, &jwt).await?;
        let around = Around {
            client_id: &client.client_id,
            outside,
            signed,
            issuer: self.mint.issuer(),
            now: self.clock.now(),
        };
        request_object::parameters(&claims, around)
    }

    /// The claims, and whether somebody signed them.
    async fn proven(
        &self,
        client: &Client,
        jwt: &ForeignJwt,
    ) -> Result<(Claims, bool), OAuthError> {
        let registered = client.request_object_signing_alg;
        // Who registered no algorithm may use any (Dynamic Registration section 2): an object that nobody signed is worth
        // what the same parameters are without one.
        let unsigned = match registered {
            Some(only) => only == RequestObjectAlgorithm::Unsigned,
            None => jwt.algorithm() == "none",
        };
        if unsigned && !client.require_signed_request_object {
            let claims = jwt.unsigned();
            return claims.map(|claims| (claims, false)).map_err(|problem| {
                invalid(format!(
                    "the request object {problem}: this client registered none"
                ))
            });
        }
        let allowed = match registered.and_then(RequestObjectAlgorithm::of_key) {
            None => SigningAlgorithm::ALL.to_vec(),
            Some(only) => vec![only],
        };
        // What exactly is wrong with the client's keys is for the log: it may tell what stands behind our firewall.
        let verified = self.client_keys.verify(client, jwt, &allowed).await;
        let claims = verified.map_err(|error| {
            invalid(
                "the request object is not signed with a key of this client, as it is registered",
            )
            .because(error)
        })?;
        Ok((claims, true))
    }
}

/// A client that registered neither keys nor `none` cannot send signed objects, and we fetch none for it: told aloud, never
/// ignored (Core section 6.1).
fn require_some_way(client: &Client, code: ErrorCode) -> Result<(), OAuthError> {
    let has_keys = client.jwks.is_some() || client.jwks_uri.is_some();
    let unsigned = client.request_object_signing_alg == Some(RequestObjectAlgorithm::Unsigned);
    if has_keys || unsigned {
        return Ok(());
    }
    Err(OAuthError::new(
        code,
        "this client has registered no keys that its request objects could be signed with",
    ))
}
