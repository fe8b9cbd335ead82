//! The pending authorization, sealed into a cookie of this tab and found by a short handle in the URL. The handle alone
//! is worth nothing, and nothing is stored (design, section 4), unless the request is too large for a cookie: then the
//! cookie holds the secret that finds its row.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use cookie::Cookie;
use serde::{Deserialize, Serialize};

use crate::clock::{UnixTime, ordered_id, random_token};
use crate::flow::Flow;
use crate::keys::{Purpose, Secrets};
use crate::model::authorization::PendingAuthorization;
use crate::model::throttle::{self, ThrottlePolicy};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::ClientId;
use crate::protocol::secret::Secret;
use crate::store::Store;
use crate::telemetry::note_flow;

use super::client_address::ClientAddress;
use super::cookies::{CookieNames, RequestCookies};
use super::error::{PageError, Trouble};
use super::state::HttpState;

/// How many tabs can be in a flow at once; the oldest is dropped.
const MAX_FLOWS: usize = 4;
/// Browsers keep 4,096 bytes of name, value and attributes.
const MAX_SEALED_BYTES: usize = 3500;
/// The most bytes of all flows of a browser: with its other cookies they must fit into the 8 kB that proxies take for a
/// header line. Otherwise any site could fill them, and every request of that person would be refused on the way to us.
const MAX_SEALED_BYTES_OF_ALL: usize = 6400;
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
    /// The bucket that counts the rows of this address.
    rows: String,
    throttle: ThrottlePolicy,
}

/// The bucket that counts what strangers at an address have had stored before any login.
pub(super) fn rows_bucket(address: &str) -> String {
    format!("rows\n{}", throttle::place(address))
}

impl FlowCookies {
    /// The flow of this browser that began with the pushed request of this hash, under way.
    pub(super) async fn find_pushed(
        &self,
        uri_hash: &str,
        client_id: &ClientId,
        now: UnixTime,
    ) -> Result<Option<String>, OAuthError> {
        for (name, _) in self.cookies.iter() {
            let Some(handle) = self.names.flow_handle(name) else {
                continue;
            };
            if let Found::Pending(pending) = self.find(handle, now).await?
                && let Some(pushed) = pending.pushed
                && pushed.uri_hash == uri_hash
                && pending.client_id == *client_id
            {
                return Ok(Some(handle.to_owned()));
            }
        }
        Ok(None)
    }

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
    ) -> Result<(String, Vec<Cookie<'static>>), PageError> {
        let handle = ordered_id();
        note_flow(&handle);
        let mut cookies = self.drop_oldest(&handle);
        cookies.push(self.save(&handle, pending, now).await?);
        Ok((handle, cookies))
    }

    /// Keeps the flow as it is now, unless it has ended meanwhile.
    pub(super) async fn save(
        &self,
        handle: &str,
        pending: &PendingAuthorization,
        now: UnixTime,
    ) -> Result<Cookie<'static>, PageError> {
        let sealed = self.seal(handle, &Sealed::Pending(Box::new(pending.clone())))?;
        let of_all = sealed.len() + self.others(handle).1;
        let fits = sealed.len() <= MAX_SEALED_BYTES && of_all <= MAX_SEALED_BYTES_OF_ALL;
        let text = match self.row_secret(handle) {
            // One row a flow, however many pages it has.
            Some(secret) if self.update_row(secret, &sealed, now).await? => format!("row.{secret}"),
            // Its end has given the row back: another one would be counted nowhere.
            Some(_) => return Err(PageError::new(Trouble::Expired)),
            None if fits => sealed,
            None => format!("row.{}", self.new_row(&sealed, now).await?),
        };
        Ok(self.cookie(handle, &text, now))
    }

    /// Whether the row that `secret` finds is still there, and holds the flow as it is now.
    async fn update_row(
        &self,
        secret: &str,
        sealed: &str,
        now: UnixTime,
    ) -> Result<bool, OAuthError> {
        let hash = self.secrets.hash(Purpose::PendingRequest, secret)?;
        let expires_at = now + COOKIE_SECONDS;
        let updated = self.store.update_pending_request(&hash, sealed, expires_at);
        Ok(updated.await?)
    }

    /// The secret of one more row, if this browser's address may have it: strangers make rows before any login, and
    /// must not fill the database with them.
    async fn new_row(&self, sealed: &str, now: UnixTime) -> Result<String, OAuthError> {
        let free = self.store.reserve_attempt(&self.rows, self.throttle, now);
        if !free.await? {
            return Err(OAuthError::new(
                ErrorCode::TemporarilyUnavailable,
                "too many large requests from this address; send a shorter state, or try again later",
            ));
        }
        let secret = random_token();
        let hash = self.secrets.hash(Purpose::PendingRequest, &secret)?;
        self.store
            .keep_pending_request(&hash, sealed, now + COOKIE_SECONDS)
            .await?;
        Ok(secret)
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
            self.store.finish_pending_request(&hash, &self.rows).await?;
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

    /// Makes room for the flow `kept`. Again at each step of it: where a flow begins with a POST across sites, the cookies
    /// of the others have stayed at home.
    pub(super) fn drop_oldest(&self, kept: &str) -> Vec<Cookie<'static>> {
        let (dropped, _) = self.others(kept);
        dropped
            .into_iter()
            .map(|handle| self.names.remove(self.names.flow(handle)))
            .collect()
    }

    /// Of the flows besides `kept`: those that are too many, and how many bytes the rest takes.
    fn others(&self, kept: &str) -> (Vec<&str>, usize) {
        let mut flows: Vec<(UnixTime, &str, usize)> = self
            .cookies
            .iter()
            .filter_map(|(name, value)| {
                let handle = self
                    .names
                    .flow_handle(name)
                    .filter(|handle| *handle != kept)?;
                let (time, text) = value.expose().split_once('.')?;
                Some((time.parse().unwrap_or(0), handle, text.len()))
            })
            .collect();
        flows.sort_unstable();
        let too_many = (flows.len() + 1).saturating_sub(MAX_FLOWS);
        let rest = flows.split_off(too_many);
        let bytes = rest.into_iter().map(|(_, _, bytes)| bytes).sum();
        let dropped = flows.into_iter().map(|(_, handle, _)| handle).collect();
        (dropped, bytes)
    }
}

impl<S> FromRequestParts<S> for FlowCookies
where
    S: Send + Sync,
    HttpState: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let ClientAddress(address) = ClientAddress::from_request_parts(parts, state).await?;
        let state = HttpState::from_ref(state);
        Ok(Self {
            rows: rows_bucket(&address),
            throttle: Flow::from_ref(&state).address_throttle,
            names: CookieNames::from_ref(&state),
            secrets: Secrets::from_ref(&state),
            store: Store::from_ref(&state),
            cookies: RequestCookies::from_request_parts(parts, &state).await?,
        })
    }
}
