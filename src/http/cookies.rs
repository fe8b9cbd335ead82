//! Cookies (T54): `__Host-`, `Secure`, `HttpOnly`, `SameSite=Lax`. On a loopback http issuer, which only developers have,
//! the prefix and `Secure` are left away, because not every browser keeps such cookies there.

use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use cookie::time::Duration;
use cookie::{Cookie, SameSite};

use crate::protocol::ids::SessionId;
use crate::protocol::secret::Secret;

/// The names of our cookies.
#[derive(Clone, Copy, Debug)]
pub struct CookieNames {
    secure: bool,
}

/// The most cookies of a request that are looked at (T48).
const MAX_COOKIES: usize = 64;

impl CookieNames {
    /// The names for an https issuer, or for a loopback one.
    pub const fn new(secure: bool) -> Self {
        Self { secure }
    }

    pub(super) const fn are_secure(self) -> bool {
        self.secure
    }

    fn prefix(self) -> &'static str {
        if self.secure {
            "__Host-portico"
        } else {
            "portico"
        }
    }

    /// The session.
    pub(super) fn session(self) -> String {
        format!("{}-session", self.prefix())
    }

    /// The session of an account that is signed in beside the current one.
    pub(super) fn session_beside(self, id: &SessionId) -> String {
        format!("{}-session-{id}", self.prefix())
    }

    /// The session that such a cookie is for.
    pub(super) fn session_beside_id(self, name: &str) -> Option<&str> {
        name.strip_prefix(self.prefix())?.strip_prefix("-session-")
    }

    /// Those who are away at an upstream.
    pub(super) fn away(self) -> String {
        format!("{}-away", self.prefix())
    }

    /// Where to go on when the browser comes back from an upstream's sign-off.
    pub(super) fn sign_off(self) -> String {
        format!("{}-sign-off", self.prefix())
    }

    /// The language that the person has chosen.
    pub(super) fn language(self) -> String {
        format!("{}-language", self.prefix())
    }

    /// Somebody whom an upstream's page has sent.
    pub(super) fn arrival(self, handle: &str) -> String {
        format!("{}-arrival-{handle}", self.prefix())
    }

    /// The handle of an arrival's cookie.
    pub(super) fn arrival_handle(self, name: &str) -> Option<&str> {
        name.strip_prefix(self.prefix())?.strip_prefix("-arrival-")
    }

    /// A flow.
    pub(super) fn flow(self, handle: &str) -> String {
        format!("{}-flow-{handle}", self.prefix())
    }

    /// The handle of a flow's cookie.
    pub(super) fn flow_handle(self, name: &str) -> Option<&str> {
        name.strip_prefix(self.prefix())?.strip_prefix("-flow-")
    }

    /// A cookie that lasts `seconds`, or as long as the browser runs.
    pub(super) fn make(self, name: String, value: String, seconds: Option<i64>) -> Cookie<'static> {
        let mut cookie = Cookie::build((name, value))
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Lax);
        if let Some(seconds) = seconds {
            cookie = cookie.max_age(Duration::seconds(seconds));
        }
        cookie.build()
    }

    /// Takes a cookie away that came along. A POST across sites leaves them at home, and browsers heed what its answer removes: that is
    /// nothing that it did not show.
    pub(super) fn remove_of(
        self,
        cookies: &RequestCookies,
        name: String,
    ) -> Option<Cookie<'static>> {
        cookies.get(&name).is_some().then(|| self.remove(name))
    }

    /// Takes a cookie away.
    pub(super) fn remove(self, name: String) -> Cookie<'static> {
        self.make(name, String::new(), Some(0))
    }
}

/// The cookies that came with a request.
#[derive(Debug, Default)]
pub struct RequestCookies(Vec<(String, Secret)>);

impl RequestCookies {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let pairs = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'))
            .take(MAX_COOKIES)
            .filter_map(|pair| pair.trim().split_once('='))
            .map(|(name, value)| (name.to_owned(), Secret::new(value)));
        Self(pairs.collect())
    }

    /// The value of a cookie.
    pub(super) fn get(&self, name: &str) -> Option<&Secret> {
        self.iter()
            .find(|(each, _)| *each == name)
            .map(|(_, value)| value)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestCookies {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::read(&parts.headers))
    }
}

/// Adds cookies to an answer.
pub(super) fn set(headers: &mut HeaderMap, cookies: impl IntoIterator<Item = Cookie<'static>>) {
    for cookie in cookies {
        match HeaderValue::from_str(&cookie.to_string()) {
            Ok(value) => {
                headers.append(SET_COOKIE, value);
            }
            // Values are base64url, names are ours: this cannot happen, and must not go unseen if it does.
            Err(error) => tracing::error!(error = %error, "a cookie could not be written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(headers: &[Vec<u8>]) -> RequestCookies {
        let mut map = HeaderMap::new();
        for header in headers {
            if let Ok(value) = HeaderValue::from_bytes(header) {
                map.append(COOKIE, value);
            }
        }
        RequestCookies::read(&map)
    }

    proptest! {
        /// What we set comes back, whatever other cookies are there.
        #[test]
        fn a_cookie_of_ours_is_read_among_others(
            value in "[A-Za-z0-9_-]{0,40}", others in prop::collection::vec("[a-z]{1,5}(=[ -:<-~]{0,10})?", 0..9),
            bytes in prop::collection::vec(any::<u8>(), 0..40), secure in any::<bool>(),
        ) {
            let names = CookieNames::new(secure);
            let set = names.make(names.session(), value.clone(), None).to_string();
            let ours = set.split(';').next().unwrap();
            let header = others.iter().map(String::as_str).chain([ours]).collect::<Vec<_>>().join("; ");
            let cookies = read(&[bytes, header.into_bytes()]);
            prop_assert!(cookies.get(&names.session()).is_some_and(|read| read.equals(&value)));
            prop_assert!(cookies.iter().count() <= MAX_COOKIES);
        }
    }
}
