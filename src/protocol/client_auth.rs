//! How a client proves who it is at the token endpoint (RFC 6749 section 2.3, OpenID Connect Core section 9).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::client_assertion;
use super::error::{BoxError, ErrorCode, OAuthError};
use super::foreign_jwt::{ForeignJwt, ForeignKind, JwtProblem};
use super::ids::ClientId;
use super::jws;
use super::params::{self, Params};
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
    /// A JWT signed with the secret (HS256).
    ClientSecretJwt,
    /// A JWT signed with a key of the client's own.
    PrivateKeyJwt,
}

impl ClientAuthMethod {
    /// Every method that is on.
    pub const ALL: [Self; 5] = [
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::ClientSecretJwt,
        Self::PrivateKeyJwt,
        Self::None,
    ];

    /// Whether the client and we share a secret.
    pub const fn has_secret(self) -> bool {
        !matches!(self, Self::None | Self::PrivateKeyJwt)
    }

    /// The method as it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::ClientSecretJwt => "client_secret_jwt",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }
}

/// What a request brought; not proven yet.
#[derive(Debug)]
pub struct ClientCredentials {
    /// Who the client says it is.
    pub client_id: ClientId,
    /// How it tries to prove it.
    pub proof: Proof,
}

/// What a client proves itself by.
#[derive(Debug)]
pub enum Proof {
    /// Nothing: it says that it is public.
    Nothing,
    /// A secret in the `Authorization` header.
    Basic(Secret),
    /// A secret in the body.
    Post(Secret),
    /// A JWT that it signed (RFC 7523); which method that is, its algorithm says.
    Assertion(Box<ForeignJwt>),
}

impl ClientCredentials {
    /// Reads the credentials from the `Authorization` header and the body. Two ways in one request are
    /// refused (RFC 6749 section 2.3): the weaker must not vouch for the stronger.
    pub fn read(authorization: Option<&[u8]>, params: &Params) -> Result<Self, OAuthError> {
        let posted_id = params.get_capped("client_id", 256)?;
        let posted_secret = params.get_capped("client_secret", 1024)?;
        let assertion = params.get("client_assertion")?;
        if let Some(assertion) = assertion {
            if authorization.is_some() || posted_secret.is_some() {
                return Err(OAuthError::invalid_request(
                    "the client authenticated twice: by client_assertion and otherwise",
                ));
            }
            return Self::asserted(posted_id, assertion, params);
        }
        let Some(header) = authorization else {
            let Some(client_id) = posted_id else {
                return Err(invalid_client("no client authentication was sent"));
            };
            return Ok(Self {
                client_id: ClientId::new(client_id),
                proof: posted_secret
                    .map_or(Proof::Nothing, |secret| Proof::Post(Secret::new(secret))),
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
            proof: Proof::Basic(Secret::new(secret)),
        })
    }

    /// RFC 7521 section 4.2: the subject says which client it is; `client_id` may say so too.
    fn asserted(
        posted_id: Option<&str>,
        assertion: &str,
        params: &Params,
    ) -> Result<Self, OAuthError> {
        if params.get("client_assertion_type")? != Some(client_assertion::TYPE) {
            return Err(OAuthError::invalid_request(format!(
                "client_assertion_type must be {}",
                client_assertion::TYPE
            )));
        }
        params.get_capped("client_assertion", jws::MAX_BYTES)?;
        let assertion =
            ForeignJwt::read(assertion, ForeignKind::ClientAssertion).map_err(refused)?;
        let subject = assertion.unverified().text("sub").map_err(refused)?;
        match (subject, posted_id) {
            (Some(subject), None) => Ok(ClientId::new(subject)),
            (Some(subject), Some(posted)) if subject == posted => Ok(ClientId::new(subject)),
            _ => Err(refused(JwtProblem::Claim("sub"))),
        }
        .map(|client_id| Self {
            client_id,
            proof: Proof::Assertion(Box::new(assertion)),
        })
    }
}

/// `invalid_client` for what did not prove a client: one answer for every reason, which is for the log alone (T58).
pub fn refused(reason: impl Into<BoxError>) -> OAuthError {
    invalid_client(
        "client authentication failed: check client_id, the secret or assertion, and the method",
    )
    .because(reason)
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
    // As a form's values, with the same refusals.
    let client_id = params::decode(client_id).ok()?;
    (!client_id.is_empty()).then_some((client_id, params::decode(secret).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn basic(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    #[test]
    fn both_halves_are_form_decoded() {
        let header = basic("app%3Aone:s%26+%2B:x&y");
        let credentials = ClientCredentials::read(Some(&header), &Params::default()).unwrap();
        assert_eq!(credentials.client_id.as_str(), "app:one");
        assert!(matches!(credentials.proof, Proof::Basic(secret) if secret.equals("s& +:x&y")));
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
        let assertion = [("client_assertion", "e30.e30.AA")];
        let params = assertion.into_iter().collect();
        assert!(ClientCredentials::read(Some(&basic("a:b")), &params).is_err());
        let params = assertion.into_iter().chain([("client_secret", "s")]);
        assert!(ClientCredentials::read(None, &params.collect()).is_err());
    }

    proptest! {
        /// RFC 6749 section 2.3.1: whatever stands in name and secret comes through.
        #[test]
        fn every_name_and_secret_survives_basic(id in "[^\0]{1,40}", secret in "[^\0]{0,40}") {
            let half = |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
            let header = basic(&format!("{}:{}", half(&id), half(&secret)));
            prop_assert_eq!(decode_basic(&header), Some((id, secret)));
        }

        #[test]
        fn no_header_panics(bytes in prop::collection::vec(any::<u8>(), 0..64), text in "[A-Za-z0-9+/=: ]{0,40}") {
            let _ = decode_basic(&bytes);
            if let Some((id, _)) = decode_basic(format!("Basic {text}").as_bytes()) {
                prop_assert!(!id.is_empty() && !id.contains('\0'));
            }
        }
    }
}
