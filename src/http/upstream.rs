//! `/upstream/{id}/start` and `/upstream/{id}/callback`: away to an upstream's own login page, and back.
//!
//! aiM18 knows no `state`. What ties an answer to this browser is a sealed cookie of its own, good for one return; a
//! `state` that does come back has to be the one that was sent. Leaving takes a click on our page (a POST with its form
//! token): otherwise any site could send a browser away and back with a code of somebody else's.

use axum::Router;
use axum::extract::{FromRef, Path, RawQuery, State};
use axum::response::Response;
use axum::routing::{get, post};
use cookie::Cookie;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::clock::{UnixTime, random_id};
use crate::keys::{Purpose, Secrets};
use crate::protocol::error::OAuthError;
use crate::protocol::ids::{ClientId, UpstreamId};
use crate::protocol::issuer::Issuer;
use crate::protocol::params::Params;
use crate::upstream::{RedirectLogin, Upstream};

use super::cookies::{self, CookieNames, RequestCookies};
use super::error::{PageError, Trouble};
use super::flow_cookie::FlowCookies;
use super::form::PageForm;
use super::login::{self, Notice, Show};
use super::resume::{CurrentLogin, OpenFlow};
use super::return_to::see_other;
use super::state::{HttpState, Upstreams};

/// How long somebody may be away, in seconds.
const AWAY_SECONDS: i64 = 15 * 60;
/// How many may be away from one browser; the oldest is forgotten.
const MAX_AWAY: usize = 4;

pub(super) fn router() -> Router<HttpState> {
    Router::new()
        .route("/upstream/{id}/start", post(start))
        .route("/upstream/{id}/callback", get(callback))
}

/// A flow whose browser is at an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Away {
    upstream: UpstreamId,
    flow: String,
    client_id: ClientId,
    state: String,
    since: UnixTime,
}

/// Those who are away from this browser.
struct AwayList {
    list: Vec<Away>,
    names: CookieNames,
    secrets: Secrets,
}

/// What an answer says about where it belongs.
enum Match {
    /// To this flow.
    One(Away),
    /// To one of several flows, and it does not say which.
    Ambiguous(Away),
    /// To none.
    None,
}

impl AwayList {
    fn read(state: &HttpState, cookies: &RequestCookies, now: UnixTime) -> Self {
        let names = CookieNames::from_ref(state);
        let secrets = Secrets::from_ref(state);
        let list: Vec<Away> = cookies
            .get(&names.away())
            .and_then(|sealed| secrets.open(Purpose::AwayCookie, "", sealed.expose()))
            .and_then(|plain| serde_json::from_slice(&plain).ok())
            .unwrap_or_default();
        let current = |away: &Away| (0..AWAY_SECONDS).contains(&(now - away.since));
        Self {
            list: list.into_iter().filter(current).collect(),
            names,
            secrets,
        }
    }

    /// Adds somebody who leaves. Who leaves again for the same client at the same upstream has given up the first
    /// try.
    fn add(&mut self, away: Away) {
        self.list
            .retain(|other| other.upstream != away.upstream || other.client_id != away.client_id);
        let too_many = (self.list.len() + 1).saturating_sub(MAX_AWAY);
        self.list.drain(..too_many);
        self.list.push(away);
    }

    /// Takes out whom an answer belongs to (T27): the one with its `state`; without one, the only one who is away at
    /// that upstream.
    fn take(
        &mut self,
        upstream: &Upstream,
        login: &dyn RedirectLogin,
        state: Option<&str>,
    ) -> Match {
        let mut here = self
            .list
            .iter()
            .enumerate()
            .filter(|(_, away)| away.upstream == upstream.id);
        let position = match state {
            Some(state) => here
                .find(|(_, away)| away.state == state)
                .map(|(index, _)| index),
            None if login.always_returns_state() => None,
            None => match (here.next(), here.next()) {
                (None, _) => None,
                (Some((index, _)), None) => Some(index),
                (Some(_), Some(_)) => {
                    let newest = self
                        .list
                        .iter()
                        .rposition(|away| away.upstream == upstream.id);
                    let newest = newest.map(|index| self.list.remove(index));
                    self.list.retain(|away| away.upstream != upstream.id);
                    return newest.map_or(Match::None, Match::Ambiguous);
                }
            },
        };
        match position {
            Some(index) => Match::One(self.list.remove(index)),
            None => Match::None,
        }
    }

    fn cookie(&self) -> Result<Cookie<'static>, OAuthError> {
        if self.list.is_empty() {
            return Ok(self.names.remove(self.names.away()));
        }
        let plain = serde_json::to_vec(&self.list).map_err(OAuthError::server_error)?;
        let sealed = self.secrets.seal(Purpose::AwayCookie, "", &plain)?;
        Ok(self
            .names
            .make(self.names.away(), sealed, Some(AWAY_SECONDS)))
    }
}

/// The one address that an upstream may send people back to.
pub(super) fn callback_url(issuer: &Issuer, upstream: &UpstreamId) -> Result<Url, OAuthError> {
    Url::parse(&issuer.at(&format!("/upstream/{upstream}/callback")))
        .map_err(OAuthError::server_error)
}

fn find<'a>(
    upstreams: &'a Upstreams,
    id: &str,
) -> Result<(&'a Upstream, &'a dyn RedirectLogin), PageError> {
    upstreams
        .find(id)
        .and_then(|upstream| Some((upstream, upstream.redirect.as_deref()?)))
        .ok_or_else(|| PageError::new(Trouble::NotFound))
}

async fn start(
    State(state): State<HttpState>,
    Path(id): Path<String>,
    flow_cookies: FlowCookies,
    request_cookies: RequestCookies,
    CurrentLogin(logged_in): CurrentLogin,
    form: PageForm,
) -> Result<Response, PageError> {
    let upstreams = Upstreams::from_ref(&state);
    let (upstream, login) = find(&upstreams, &id)?;
    let handle = form.field("flow")?.to_owned();
    let open = OpenFlow::find(&state, flow_cookies, logged_in, &handle).await?;
    form.require_token(&Secrets::from_ref(&state), &["login", &handle])?;
    if !open.client.allows_upstream(&upstream.id) {
        return Err(PageError::new(Trouble::Form));
    }
    let now = open.flow.clock.now();
    let mut away = AwayList::read(&state, &request_cookies, now);
    let sent = random_id();
    away.add(Away {
        upstream: upstream.id.clone(),
        flow: handle,
        client_id: open.client.client_id.clone(),
        state: sent.clone(),
        since: now,
    });
    let callback = callback_url(&Issuer::from_ref(&state), &upstream.id)?;
    let mut response = see_other(login.start(&callback, &sent).as_str());
    cookies::set(response.headers_mut(), [away.cookie()?, open.save().await?]);
    Ok(response)
}

async fn callback(
    State(state): State<HttpState>,
    Path(id): Path<String>,
    flow_cookies: FlowCookies,
    request_cookies: RequestCookies,
    CurrentLogin(logged_in): CurrentLogin,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let upstreams = Upstreams::from_ref(&state);
    let (upstream, login) = find(&upstreams, &id)?;
    let answer = Params::parse(query.unwrap_or_default().as_bytes());
    let answer = answer.map_err(|_| PageError::new(Trouble::Away))?;
    let returned_state = answer
        .get("state")
        .map_err(|_| PageError::new(Trouble::Away))?;
    let now = crate::flow::Flow::from_ref(&state).clock.now();
    let mut away = AwayList::read(&state, &request_cookies, now);
    let (entry, ambiguous) = match away.take(upstream, login, returned_state) {
        Match::One(entry) => (entry, false),
        Match::Ambiguous(newest) => (newest, true),
        Match::None => return Err(PageError::new(Trouble::Away)),
    };
    let open = OpenFlow::find(&state, flow_cookies, logged_in, &entry.flow).await?;
    let callback = callback_url(&Issuer::from_ref(&state), &upstream.id)?;
    let notice = if !open.client.allows_upstream(&upstream.id) {
        return Err(PageError::new(Trouble::Away));
    } else if ambiguous {
        Some(Notice::Ambiguous)
    } else {
        None
    };
    let outcome = match notice {
        Some(notice) => Err(notice),
        None => login
            .finish(&callback, &answer)
            .await
            .map_err(|error| Notice::Returned(upstream.label.clone(), error)),
    };
    let mut response = match outcome {
        Ok(identity) => login::finish(&state, open, upstream, identity).await?,
        Err(notice) => {
            let show = Show {
                notice: Some(notice),
                ..Show::default()
            };
            login::page(&state, &open, show).await?
        }
    };
    // One answer, one use: whatever came of it.
    cookies::set(response.headers_mut(), [away.cookie()?]);
    Ok(response)
}
