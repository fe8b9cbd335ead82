//! How a client proves who it is at the token endpoint (RFC 6749 section 2.3, OpenID Connect Core section 9).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::error::{ErrorCode, OAuthError};
use super::ids::ClientId;
use super::params::Params;
use super::secret::Secret;

/// The most bytes an `Authorization` header may have (T48).
pub const MAX_HEADER_BYTES: usize = 4096;

/// The registered method (`token_endpoint_auth_method`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthMethod {
    /// A public client: nothing to prove.
    None,
    /// The secret in the `Authorization` header; the default (Dynamic Registration section 2).
    #[default]
    ClientSecretBasic,
    /// The secret in the body.
    ClientSecretPost,
}

impl ClientAuthMethod {
    /// Every method that is on.
    pub const ALL: [Self; 3] = [Self::ClientSecretBasic, Self::ClientSecretPost, Self::None];

    /// The method as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
        }
    }
}

/// What a request brought; not proven yet.
#[derive(Debug)]
pub struct ClientCredentials {
    /// Who the client says it is.
    pub client_id: ClientId,
    /// The way it tried to prove it.
    pub method: ClientAuthMethod,
    /// The secret, unless the method is `none`.
    pub secret: Option<Secret>,
}

impl ClientCredentials {
    /// Reads the credentials from the `Authorization` header and the body. Two ways in one request are
    /// refused (RFC 6749 section 2.3): the weaker must not vouch for the stronger.
    pub fn read(authorization: Option<&[u8]>, params: &Params) -> Result<Self, OAuthError> {
        let posted_id = params.get_capped("client_id", 256)?;
        let posted_secret = params.get_capped("client_secret", 1024)?;
        if params.get("client_assertion")?.is_some() {
            return Err(invalid_client("client_assertion is not supported"));
        }
        let Some(header) = authorization else {
            let Some(client_id) = posted_id else {
                return Err(invalid_client("no client authentication was sent"));
            };
            return Ok(Self {
                client_id: ClientId::new(client_id),
                method: match posted_secret {
                    Some(_) => ClientAuthMethod::ClientSecretPost,
                    None => ClientAuthMethod::None,
                },
                secret: posted_secret.map(Secret::new),
            });
        };
        if posted_secret.is_some() {
            return Err(OAuthError::invalid_request(
                "the client authenticated twice: by header and by client_secret",
            ));
        }
        let (client_id, secret) = decode_basic(header)
            .ok_or_else(|| invalid_client("the Authorization header is not valid Basic"))?;
        if posted_id.is_some_and(|posted| posted != client_id) {
            return Err(OAuthError::invalid_request(
                "client_id differs from the one in the Authorization header",
            ));
        }
        Ok(Self {
            client_id: ClientId::new(client_id),
            method: ClientAuthMethod::ClientSecretBasic,
            secret: Some(Secret::new(secret)),
        })
    }
}

/// `invalid_client` with its explanation.
pub fn invalid_client(description: impl Into<std::borrow::Cow<'static, str>>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidClient, description)
}

/// Strict Basic (T49): one space, base64 with padding, one split at the first `:`, both halves
/// form-decoded (RFC 6749 section 2.3.1), no NUL.
fn decode_basic(header: &[u8]) -> Option<(String, String)> {
    if header.len() > MAX_HEADER_BYTES {
        return None;
    }
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let decoded = zeroize::Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (client_id, rest) = decoded.split_at_checked(colon)?;
    let secret = rest.split_first()?.1;
    let client_id = form_decode(client_id)?;
    (!client_id.is_empty()).then_some((client_id, form_decode(secret)?))
}

fn form_decode(half: &[u8]) -> Option<String> {
    // `Params` decodes one half as a form would, with the same refusals.
    let mut pair = b"v=".to_vec();
    for byte in half {
        match byte {
            b'&' => pair.extend(b"%26"),
            other => pair.push(*other),
        }
    }
    let params = Params::parse(&pair).ok()?;
    params
        .get("v")
        .ok()
        .map(|value| value.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    #[test]
    fn both_halves_are_form_decoded() {
        let header = basic("app%3Aone:s%26+%2B:x&y");
        let credentials = ClientCredentials::read(Some(&header), &Params::default()).unwrap();
        assert_eq!(credentials.client_id.as_str(), "app:one");
        assert!(credentials.secret.unwrap().equals("s& +:x&y"));
    }

    /// T49.
    #[test]
    fn malformed_basic_is_refused() {
        for header in [
            b"Basic".to_vec(),
            b"Basic !!!".to_vec(),
            b"Bearer abc".to_vec(),
            b"Basic  YTpi".to_vec(),
            basic("no-colon"),
            basic(":secret"),
            basic("a%00:b"),
            basic("a:%ff"),
            basic(&format!("a:{}", "x".repeat(MAX_HEADER_BYTES))),
        ] {
            assert!(ClientCredentials::read(Some(&header), &Params::default()).is_err());
        }
    }

    /// RFC 6749 section 2.3: not more than one method in a request.
    #[test]
    fn two_methods_at_once_are_refused() {
        let params = [("client_secret", "s")].into_iter().collect();
        assert!(ClientCredentials::read(Some(&basic("a:b")), &params).is_err());
        let params = [("client_id", "other")].into_iter().collect();
        assert!(ClientCredentials::read(Some(&basic("a:b")), &params).is_err());
    }
}
