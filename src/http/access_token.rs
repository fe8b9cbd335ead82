//! Reads the access token that a request to an endpoint of ours came with, and holds it against the key that it is bound to.

use axum::extract::FromRef;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::protocol::dpop::{self, SCHEME};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::tokens::Mint;
use crate::tokens::possession::Possession;
use crate::tokens::presented::IssuedToken;
use crate::tokens::standing::Ended;

use super::error::BearerError;
use super::form;
use super::state::HttpState;

/// Reads access tokens.
#[derive(Clone)]
pub(super) struct AccessTokenReader {
    mint: Mint,
    possession: Possession,
}

impl FromRef<HttpState> for AccessTokenReader {
    fn from_ref(state: &HttpState) -> Self {
        Self {
            mint: Mint::from_ref(state),
            possession: Possession::from_ref(state),
        }
    }
}

/// What of a request is looked at.
#[derive(Clone, Copy)]
pub(super) struct Sent<'a> {
    /// Its method.
    pub(super) method: &'a str,
    /// Its path, as it was sent.
    pub(super) path: &'a str,
    /// Its headers.
    pub(super) headers: &'a HeaderMap,
    /// The body, where a form may carry the token.
    pub(super) form: &'a [u8],
}

impl AccessTokenReader {
    /// The token and what it says: current, for us, and sent by whoever has its key (RFC 9449 section 7). Whether what
    /// is behind it still stands, and whether it was revoked itself, is for the caller to ask ([`crate::tokens::standing::AccessTokens::behind`]).
    pub(super) async fn read(&self, sent: Sent<'_>) -> Result<(String, IssuedToken), BearerError> {
        let (scheme, token) = presented(sent.headers, sent.form)?;
        let issued = self.mint.read_access_token(&token).await?;
        let mut issued =
            issued.ok_or_else(|| invalid_token("it is expired, revoked or not one of ours"))?;
        match (scheme, issued.claims.key()) {
            (Scheme::Bearer, None) => {}
            // Section 7.2: whoever has stolen it has no key.
            (Scheme::Bearer, Some(_)) => {
                return Err(refused(
                    "the access token is bound to a key; send it as DPoP, with a proof",
                ));
            }
            (Scheme::Dpop, None) => {
                return Err(refused(
                    "the access token is bound to no key; send it as Bearer",
                ));
            }
            (Scheme::Dpop, Some(key)) => {
                let proof = super::dpop::proof(sent.headers)?.ok_or_else(|| {
                    dpop::invalid("a token sent as DPoP needs a proof in the header DPoP")
                })?;
                let request = (sent.method, sent.path);
                let proof = self.possession.check(proof, request, Some(&token)).await?;
                if proof.key != *key {
                    return Err(refused(
                        "the access token is bound to another key than the proof's",
                    ));
                }
                self.possession.spend(proof).await?;
                // To write that may have taken long, and what stands behind the token may have ended meanwhile.
                issued.seen = None;
            }
        }
        Ok((token, issued))
    }
}

fn refused(text: &'static str) -> BearerError {
    BearerError::from(OAuthError::new(ErrorCode::InvalidToken, text))
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

/// The schemes in which a token may be sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 9449 section 7.1.
    Dpop,
}

/// The token, from the header or the form body (RFC 6750 sections 2.1 and 2.2); from the query never (section 5.3), and
/// from both places at once neither (section 2).
fn presented(headers: &HeaderMap, body: &[u8]) -> Result<(Scheme, String), BearerError> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let in_header = match (all.next(), all.next()) {
        (None, _) => None,
        (Some(header), None) => Some(
            header
                .to_str()
                .ok()
                .and_then(after_scheme)
                .ok_or(BearerError(None))?,
        ),
        (Some(_), Some(_)) => return Err(twice()),
    };
    let params = form::parse(headers, body).transpose()?.unwrap_or_default();
    let in_body = params.get("access_token")?;
    match (in_header, in_body) {
        (Some(_), Some(_)) => Err(twice()),
        (Some((scheme, token)), None) => Ok((scheme, token.to_owned())),
        (None, Some(token)) => Ok((Scheme::Bearer, token.to_owned())),
        (None, None) => Err(BearerError(None)),
    }
}

fn twice() -> BearerError {
    BearerError::from(OAuthError::invalid_request(
        "the access token was sent in two ways",
    ))
}

/// The scheme, in any letter case (RFC 9110 section 11.1), one space, the token.
fn after_scheme(header: &str) -> Option<(Scheme, &str)> {
    let (name, token) = header.split_once(' ')?;
    if name.eq_ignore_ascii_case("Bearer") {
        Some((Scheme::Bearer, token))
    } else if name.eq_ignore_ascii_case(SCHEME) {
        Some((Scheme::Dpop, token))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    use axum::http::header::CONTENT_TYPE;

    proptest! {
        /// RFC 6750 section 2: a token is read where it was sent in one way, and never where it was sent in two.
        #[test]
        fn a_token_is_sent_in_one_way(
            headers in prop::collection::vec("(Bearer|bearer|DPOP|DPoP|Basic|Bearer |) ?[A-Za-z0-9._~+/ -]{0,12}", 0..3),
            body in "(access_token=[a-z]{0,5}&?){0,2}", form in any::<bool>(),
        ) {
            let mut map = HeaderMap::new();
            for header in &headers {
                map.append(AUTHORIZATION, header.parse().unwrap());
            }
            if form {
                map.insert(CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
            }
            if let Ok((scheme, token)) = presented(&map, body.as_bytes()) {
                let by_form = form && body.split('&').any(|pair| pair == format!("access_token={token}"));
                match headers.as_slice() {
                    [] => prop_assert!(by_form && scheme == Scheme::Bearer),
                    [one] => {
                        let (name, rest) = one.split_once(' ').unwrap();
                    let wanted = if scheme == Scheme::Dpop { "DPoP" } else { "Bearer" };
                    prop_assert!(name.eq_ignore_ascii_case(wanted) && rest == token);
                    let by_form_too = form && body.split('&').any(|pair| pair.len() > "access_token=".len());
                    prop_assert!(!by_form_too);
                }
                _ => prop_assert!(false, "two headers"),
                }
            }
        }
    }
}
