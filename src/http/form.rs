//! Form bodies and form tokens.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use subtle::ConstantTimeEq as _;

use crate::keys::{Purpose, Secrets};
use crate::protocol::error::OAuthError;
use crate::protocol::params::Params;

use super::error::{PageError, Trouble};

/// The parameters of a form body; `None` when the body is something else.
pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Option<Result<Params, OAuthError>> {
    is_form(headers)?.then(|| Params::parse(body))
}

/// The parameters of a body that must be a form.
pub(super) fn require(headers: &HeaderMap, body: &[u8]) -> Result<Params, OAuthError> {
    parse(headers, body).ok_or_else(no_form)?
}

/// The same where `id_token_hint` may be among them.
pub(super) fn require_hinted(headers: &HeaderMap, body: &[u8]) -> Result<Params, OAuthError> {
    match is_form(headers) {
        Some(true) => Params::parse_hinted(body),
        _ => Err(no_form()),
    }
}

fn is_form(headers: &HeaderMap) -> Option<bool> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = content_type.split(';').next()?.trim();
    Some(essence.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

fn no_form() -> OAuthError {
    OAuthError::invalid_request("the body must be application/x-www-form-urlencoded")
}

/// A form of one of our pages.
pub struct PageForm(pub(super) Params);

impl<S: Send + Sync> FromRequest<S> for PageForm {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|_| PageError::new(Trouble::Form))?;
        require(&headers, &body)
            .map(Self)
            .map_err(|_| PageError::new(Trouble::Form))
    }
}

impl PageForm {
    /// A field; absent or sent twice is not what our pages send.
    pub(super) fn field(&self, name: &str) -> Result<&str, PageError> {
        self.0
            .require(name)
            .map_err(|_| PageError::new(Trouble::Form))
    }

    /// A field that may be left empty.
    pub(super) fn optional(&self, name: &str) -> Result<Option<&str>, PageError> {
        self.0.get(name).map_err(|_| PageError::new(Trouble::Form))
    }

    /// Refuses a form that our page did not make for this browser: the token is a MAC over what the page was about
    /// (T14, T25), compared in constant time (T58).
    pub(super) fn require_token(&self, secrets: &Secrets, about: &[&str]) -> Result<(), PageError> {
        let expected = token(secrets, about)?;
        let sent = self.field("form_token")?;
        if bool::from(expected.as_bytes().ct_eq(sent.as_bytes())) {
            Ok(())
        } else {
            Err(PageError::new(Trouble::Form))
        }
    }
}

/// What a page shows that may be another thing when its form comes back, as a field of that form: the token covers it. Whoever says
/// yes says it to no more, and is asked again.
pub(super) fn shown(secrets: &Secrets, what: &[&str]) -> Result<String, OAuthError> {
    token(secrets, &[&["shown"], what].concat())
}

/// The token of a form about `about`: the page's name, then the flow or session that it belongs to.
pub(super) fn token(secrets: &Secrets, about: &[&str]) -> Result<String, OAuthError> {
    let parts: Vec<&[u8]> = about.iter().map(|part| part.as_bytes()).collect();
    Ok(secrets.mac(Purpose::FormToken, &parts)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A body is a form where its type says so, and nowhere else.
        #[test]
        fn only_a_form_is_read_as_one(
            essence in "(application/x-www-form-urlencoded|Application/X-WWW-Form-Urlencoded|application/json|text/plain|[ -~]{0,20})",
            rest in "(;charset=[ -~]{0,8}| ; a=b|)", body in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, format!("{essence}{rest}").parse().unwrap());
            let is_form = essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded");
            let read = parse(&headers, &body);
            prop_assert!(!is_form || read.is_some());
            prop_assert!(is_form || read.is_none() || essence.contains(';'));
            prop_assert!(parse(&HeaderMap::new(), &body).is_none());
        }
    }
}
