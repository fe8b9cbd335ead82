//! The pending authorization, sealed into a cookie of this tab and found by a short handle in the URL. The handle alone
//! is worth nothing, and nothing is stored (design, section 4), unless the request is too large for a cookie: then the
//! cookie holds the secret that finds its row.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use cookie::Cookie;
use serde::{Deserialize, Serialize};

use crate::clock::{UnixTime, random_id, random_token};
use crate::keys::{Purpose, Secrets};
use crate::model::authorization::PendingAuthorization;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::ClientId;
use crate::protocol::secret::Secret;
use crate::store::Store;

use super::cookies::{CookieNames, RequestCookies};
use super::state::HttpState;

/// How many tabs can be in a flow at once; the oldest is dropped.
const MAX_FLOWS: usize = 4;
/// Browsers keep 4,096 bytes of a cookie, but proxies pass on fewer: nginx takes 8 kB for the whole `Cookie` line, and
/// four flows, the session and whoever is away have to fit. An ordinary request seals to some 900 bytes.
const MAX_SEALED_BYTES: usize = 1500;
/// How long the cookie stays, in seconds: much longer than the flow is good for, so that a page left open over lunch
/// can start itself again instead of failing.
const COOKIE_SECONDS: i64 = 24 * 60 * 60;

/// What a flow's cookie says.
#[derive(Serialize, Deserialize)]
enum Sealed {
    /// Under way.
    Pending(Box<PendingAuthorization>),
    /// Ended: so that the back button meets a page that explains.
    Done(ClientId),
}

/// What became of a handle.
pub(super) enum Found {
    /// Under way.
    Pending(Box<PendingAuthorization>),
    /// Ended, for this client.
    Done(ClientId),
    /// Nothing in this browser.
    Nothing,
}

/// Reads and writes flow cookies, for one request.
pub struct FlowCookies {
    names: CookieNames,
    secrets: Secrets,
    store: Store,
    cookies: RequestCookies,
}

impl FlowCookies {
    /// The flow with this handle.
    pub(super) async fn find(&self, handle: &str, now: UnixTime) -> Result<Found, OAuthError> {
        let Some(sealed) = self.sealed(handle, now).await? else {
            return Ok(Found::Nothing);
        };
        let opened = self.secrets.open(Purpose::FlowCookie, handle, &sealed);
        let parsed = opened.and_then(|plain| serde_json::from_slice(&plain).ok());
        Ok(match parsed {
            Some(Sealed::Pending(pending)) => Found::Pending(pending),
            Some(Sealed::Done(client_id)) => Found::Done(client_id),
            None => Found::Nothing,
        })
    }

    async fn sealed(&self, handle: &str, now: UnixTime) -> Result<Option<String>, OAuthError> {
        let name = self.names.flow(handle);
        let value = self.cookies.get(&name).map(Secret::expose);
        let Some((_, text)) = value.and_then(|value| value.split_once('.')) else {
            return Ok(None);
        };
        match self.row_secret(handle) {
            Some(secret) => {
                let hash = self.secrets.hash(Purpose::PendingRequest, secret)?;
                Ok(self.store.find_pending_request(&hash, now).await?)
            }
            None => Ok(Some(text.to_owned())),
        }
    }

    /// What finds the flow's row, if it has one.
    fn row_secret(&self, handle: &str) -> Option<&str> {
        let value = self.cookies.get(&self.names.flow(handle))?.expose();
        value.split_once('.')?.1.strip_prefix("row.")
    }

    /// Begins a flow: its handle, and the cookies to set.
    pub(super) async fn begin(
        &self,
        pending: &PendingAuthorization,
        now: UnixTime,
    ) -> Result<(String, Vec<Cookie<'static>>), OAuthError> {
        let handle = random_id();
        let mut cookies = self.drop_oldest();
        cookies.push(self.save(&handle, pending, now).await?);
        Ok((handle, cookies))
    }

    /// Keeps the flow as it is now.
    pub(super) async fn save(
        &self,
        handle: &str,
        pending: &PendingAuthorization,
        now: UnixTime,
    ) -> Result<Cookie<'static>, OAuthError> {
        let sealed = self.seal(handle, &Sealed::Pending(Box::new(pending.clone())))?;
        let text = if sealed.len() <= MAX_SEALED_BYTES {
            sealed
        } else {
            // One row a flow, however many pages it has.
            let known = self.row_secret(handle).map(ToOwned::to_owned);
            let secret = known.unwrap_or_else(random_token);
            let hash = self.secrets.hash(Purpose::PendingRequest, &secret)?;
            self.store
                .keep_pending_request(&hash, &sealed, now + COOKIE_SECONDS)
                .await?;
            format!("row.{secret}")
        };
        Ok(self.cookie(handle, &text, now))
    }

    /// Ends the flow.
    pub(super) async fn finish(
        &self,
        handle: &str,
        client_id: &ClientId,
        now: UnixTime,
    ) -> Result<Cookie<'static>, OAuthError> {
        if let Some(secret) = self.row_secret(handle) {
            let hash = self.secrets.hash(Purpose::PendingRequest, secret)?;
            self.store.delete_pending_request(&hash).await?;
        }
        let sealed = self.seal(handle, &Sealed::Done(client_id.clone()))?;
        Ok(self.cookie(handle, &sealed, now))
    }

    fn seal(&self, handle: &str, content: &Sealed) -> Result<String, OAuthError> {
        let plain = serde_json::to_vec(content).map_err(OAuthError::server_error)?;
        Ok(self.secrets.seal(Purpose::FlowCookie, handle, &plain)?)
    }

    /// The time in front is for [`FlowCookies::drop_oldest`] alone: whoever changes it drops a flow of their own.
    fn cookie(&self, handle: &str, text: &str, now: UnixTime) -> Cookie<'static> {
        let name = self.names.flow(handle);
        self.names
            .make(name, format!("{now}.{text}"), Some(COOKIE_SECONDS))
    }

    fn drop_oldest(&self) -> Vec<Cookie<'static>> {
        let mut flows: Vec<(UnixTime, &str)> = self
            .cookies
            .iter()
            .filter_map(|(name, value)| {
                let handle = self.names.flow_handle(name)?;
                let (time, _) = value.expose().split_once('.')?;
                Some((time.parse().unwrap_or(0), handle))
            })
            .collect();
        flows.sort_unstable();
        let too_many = (flows.len() + 1).saturating_sub(MAX_FLOWS);
        flows
            .into_iter()
            .take(too_many)
            .map(|(_, handle)| self.names.remove(self.names.flow(handle)))
            .collect()
    }
}

impl<S> FromRequestParts<S> for FlowCookies
where
    S: Send + Sync,
    HttpState: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let state = HttpState::from_ref(state);
        Ok(Self {
            names: CookieNames::from_ref(&state),
            secrets: Secrets::from_ref(&state),
            store: Store::from_ref(&state),
            cookies: RequestCookies::from_request_parts(parts, &state).await?,
        })
    }
}
