//! Signing off both ways. Ours to theirs: after a logout the browser goes on to the upstream's sign-off, and from there
//! back to `/end_session/returned`. Theirs to ours: `/upstream/{id}/signed_out`, which the upstream's sign-out page
//! sends browsers to, or fetches.

use askama::Template;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use cookie::Cookie;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::clock::{SKEW, UnixTime};
use crate::flow::logout::LogoutWay;
use crate::flow::{Flow, LoggedIn};
use crate::keys::{Purpose, Secrets};
use crate::model::session::Session;
use crate::protocol::discovery::path;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::{SessionId, UpstreamId};
use crate::protocol::issuer::Issuer;
use crate::protocol::locale::Locale;
use crate::store::Store;
use crate::upstream::{SignOffTrip, Site, UpstreamTokens};
use crate::vault::place_of;

use super::cookies::{self, CookieNames, RequestCookies};
use super::end_session::{self, Logout};
use super::error::{Link, PageError, Trouble};
use super::frontchannel::Frames;
use super::page::{self, FormTargets, Page};
use super::return_to::see_other;
use super::signed_in::SignedIn;
use super::state::{HttpState, Upstreams};
use super::upstream::find;
use super::{context, sender};

/// How long a browser may take to come back, in seconds.
const RETURN_SECONDS: i64 = 5 * 60;
/// For how long what the upstream's sign-out page tells is taken for the echo of our own trip, in seconds.
const ECHO_SECONDS: i64 = 60;
/// What the cookie of such a browser is sealed for: a logout request in an address is something else (T12).
const RETURN: &str = "return";

pub(super) fn router() -> Router<HttpState> {
    Router::new()
        .route(path::END_SESSION_RETURNED, get(returned))
        .route(
            "/upstream/{id}/signed_out",
            get(signed_out).post(signed_out),
        )
}

/// The script of the page, by hash: it goes on when every frame has answered, or none has for three seconds.
const SCRIPT_HASH: &str = "sha256-4IifNCuSm2AAUQeHT7lXNU2AwBfdJF9rifPA+Cg2fWQ=";

/// Says that it is done, and what is left to do.
#[derive(Template)]
#[template(path = "pages/signed_out.html")]
struct SignedOutPage {
    page: Page,
    said: Said,
    /// What the browser loads for the apps that are told by it.
    frames: Vec<String>,
    /// Whether the page goes on by itself.
    goes_on: bool,
}

/// Where a browser goes whose session has ended.
pub(super) enum Next {
    /// To a page that says so.
    Page(Said),
    /// On, at once.
    To {
        address: String,
        cookie: Option<Cookie<'static>>,
    },
}

/// What the page says.
#[derive(Default)]
pub(super) struct Said {
    left: Vec<Left>,
    /// Where the client wanted the browser.
    onward: Option<String>,
    /// Who is signed in here still.
    still_here: Vec<String>,
}

impl Next {
    pub(super) fn to(address: impl Into<String>) -> Self {
        Self::To {
            address: address.into(),
            cookie: None,
        }
    }

    /// The page that says that it is done.
    pub(super) fn nothing_left() -> Self {
        Self::Page(Said::default())
    }

    /// The page names those who are signed in here still.
    pub(super) fn beside(self, still_here: Vec<String>) -> Self {
        match self {
            Self::Page(said) => Self::Page(Said { still_here, ..said }),
            to @ Self::To { .. } => to,
        }
    }

    /// Goes there, once the apps of `frames` have heard it.
    pub(super) fn after(self, frames: &Frames) -> Response {
        let (said, goes_on, cookie) = match self {
            Self::To { address, cookie } if frames.is_empty() => {
                let mut response = see_other(&address);
                cookies::set(response.headers_mut(), cookie);
                return response;
            }
            Self::To { address, cookie } => {
                let said = Said {
                    onward: Some(address),
                    ..Said::default()
                };
                (said, true, cookie)
            }
            Self::Page(said) => (said, false, None),
        };
        let template = SignedOutPage {
            // What it says of other upstreams is known this once: the cookie of the trip is used up.
            page: Page::current().shown_once(),
            said,
            frames: frames.addresses(),
            goes_on,
        };
        let mut response = if frames.is_empty() {
            page::render(StatusCode::OK, &template, &FormTargets::default())
        } else {
            page::render_with_frames(&template, &frames.origins(), SCRIPT_HASH)
        };
        cookies::set(response.headers_mut(), cookie);
        response
    }
}

/// An upstream that a person may still be signed in at.
pub(super) struct Left {
    text: String,
    /// Where they can sign out there, if that is known.
    link: Option<Link>,
}

/// A trip to an upstream's sign-off.
pub(super) struct Departure {
    upstream: UpstreamId,
    label: String,
    trip: SignOffTrip,
}

impl Departure {
    /// Where it leads.
    pub(super) fn address(&self) -> &str {
        self.trip.url.as_str()
    }
}

impl From<Departure> for Left {
    fn from(Departure { label, trip, .. }: Departure) -> Self {
        let texts = Page::current().texts;
        Self {
            text: (texts.still_signed_in_at)(&label),
            link: Some(Link {
                text: (texts.sign_out_at)(&label),
                href: trip.url.into(),
            }),
        }
    }
}

/// A trip to an upstream's sign-off, and where the browser goes on when it comes back. It waits in a cookie, so that the address it
/// comes back to is a fixed one and holds nothing; only we can make it (T7).
#[derive(Clone, Serialize, Deserialize)]
struct Waiting {
    destination: Option<String>,
    locale: Option<Locale>,
    until: UnixTime,
    /// Where the trip leads. Its sign-out page tells us what we know: that ends nobody else's session.
    #[serde(default)]
    upstream: Option<UpstreamId>,
    /// Where else the person may be signed in, by a linked login.
    #[serde(default)]
    others: Vec<UpstreamId>,
    /// A login leads there, by the sign-off, and no logout: it is over when somebody arrives.
    #[serde(default)]
    login: bool,
}

/// The trip that a logout from `session` makes, if its upstream has a sign-off, and it is not `done` there already.
pub(super) async fn departure(
    state: &HttpState,
    session: &Session,
    done: Option<&UpstreamId>,
    tokens: Option<&UpstreamTokens>,
) -> Option<Departure> {
    if done == Some(&session.upstream) {
        return None;
    }
    trip_to(state, &session.upstream, tokens).await
}

async fn trip_to(
    state: &HttpState,
    upstream: &UpstreamId,
    tokens: Option<&UpstreamTokens>,
) -> Option<Departure> {
    let upstreams = Upstreams::from_ref(state);
    let upstream = upstreams.find(upstream.as_str())?;
    let back = Url::parse(&Issuer::from_ref(state).at(path::END_SESSION_RETURNED)).ok()?;
    let trip = upstream.sign_off.as_ref()?.start(&back, tokens).await?;
    Some(Departure {
        upstream: upstream.id.clone(),
        label: context::text(&upstream.label).to_owned(),
        trip,
    })
}

/// The upstreams where the people of these sessions may be signed in besides that of the first: by the others' logins, and by
/// another login of an account. Signing out must not fail for it.
pub(super) async fn others(
    state: &HttpState,
    ended: &[&LoggedIn],
    done: Option<&UpstreamId>,
) -> Vec<UpstreamId> {
    let upstreams = Upstreams::from_ref(state);
    let mut others: Vec<UpstreamId> = Vec::new();
    for who in ended {
        let logins = Store::from_ref(state).list_logins(&who.account.id).await;
        let logins = logins.unwrap_or_default().into_iter();
        let logins = logins.map(|login| login.name.upstream);
        others.extend(logins.chain([who.session.upstream.clone()]).filter(|id| {
            let upstream = upstreams.find(id.as_str());
            upstream.is_some_and(|upstream| upstream.sign_off.is_some())
        }));
        others.extend(came_by_its_pages(&upstreams, &who.session).cloned());
    }
    let first = ended.first().map(|who| &who.session.upstream);
    others.retain(|id| Some(id) != first && Some(id) != done);
    others.sort_unstable();
    others.dedup();
    others
}

/// The upstream of a session that began on its own pages, and not with a form of ours: it may have kept the browser signed in.
pub(super) fn came_by_its_pages<'a>(
    upstreams: &Upstreams,
    session: &'a Session,
) -> Option<&'a UpstreamId> {
    let upstream = upstreams.find(session.upstream.as_str())?;
    let by_form = upstream.password.is_some() && session.amr.iter().any(|how| how == "pwd");
    let has_pages = upstream.redirect.is_some() || upstream.landing.is_some();
    (has_pages && !by_form).then_some(&session.upstream)
}

/// What the login of a session gave, for a sign-off that shows something of it.
pub(super) async fn tokens(state: &HttpState, session: &Session) -> Option<UpstreamTokens> {
    let flow = Flow::from_ref(state);
    flow.vault.kept(&place_of(session, &session.upstream)).await
}

/// Sends a browser, whose session here has ended, on to the upstream's sign-off. Where nobody comes back from there, an
/// app that waits for the browser comes first: the sign-off is then a click on our page.
pub(super) async fn depart(
    state: &HttpState,
    logout: &Logout,
    departure: Departure,
    others: Vec<UpstreamId>,
) -> Result<Next, OAuthError> {
    let address = departure.address().to_owned();
    if !departure.trip.comes_back {
        let mut left = left_at(state, &others).await;
        // Who clicks there tells of themselves what the upstream then tells us.
        if logout.destination.is_some() || !left.is_empty() {
            left.insert(0, departure.into());
            return Ok(Next::Page(Said {
                left,
                onward: logout.destination.clone(),
                ..Said::default()
            }));
        }
    }
    let waiting = Waiting {
        destination: logout.destination.clone(),
        locale: logout.locale,
        until: Flow::from_ref(state).clock.now() + RETURN_SECONDS,
        upstream: Some(departure.upstream.clone()),
        others,
        login: false,
    };
    let cookie = Some(waiting.cookie(state)?);
    Ok(Next::To { address, cookie })
}

/// The cookie of a login that goes by the upstream's sign-off, and from there to `page`: what its sign-out page tells us then ends
/// nobody here, who may be signed in at other apps.
pub(super) fn of_login(
    state: &HttpState,
    upstream: &UpstreamId,
    page: &Url,
    locale: Option<Locale>,
) -> Result<Cookie<'static>, OAuthError> {
    let waiting = Waiting {
        destination: Some(page.to_string()),
        locale,
        until: Flow::from_ref(state).clock.now() + RETURN_SECONDS,
        upstream: Some(upstream.clone()),
        others: Vec::new(),
        login: true,
    };
    waiting.cookie(state)
}

/// Takes that cookie away: somebody has arrived, and what the sign-out page tells from now on is news.
pub(super) fn end_of_login(
    state: &HttpState,
    cookies: &RequestCookies,
    upstream: &UpstreamId,
) -> Option<Cookie<'static>> {
    let names = CookieNames::from_ref(state);
    Waiting::read(state, cookies)
        .filter(|trip| trip.login && trip.upstream.as_ref().is_none_or(|id| id == upstream))
        .map(|_| names.remove(names.sign_off()))
}

/// The page that says that it is done here, and where the person may still be signed in.
pub(super) async fn done(state: &HttpState, upstreams: &[UpstreamId]) -> Next {
    Next::Page(Said {
        left: left_at(state, upstreams).await,
        ..Said::default()
    })
}

async fn left_at(state: &HttpState, upstreams: &[UpstreamId]) -> Vec<Left> {
    let mut left = Vec::new();
    for upstream in upstreams {
        left.extend(match trip_to(state, upstream, None).await {
            Some(departure) => Some(departure.into()),
            None => nobody_but_they_can(state, upstream),
        });
    }
    left
}

/// The upstream offers no way to sign anybody out there.
fn nobody_but_they_can(state: &HttpState, upstream: &UpstreamId) -> Option<Left> {
    let upstreams = Upstreams::from_ref(state);
    let label = &upstreams.find(upstream.as_str())?.label;
    Some(Left {
        text: (Page::current().texts.still_signed_in_at)(context::text(label)),
        link: None,
    })
}

impl Waiting {
    const fn began_at(&self) -> UnixTime {
        self.until - RETURN_SECONDS
    }

    fn cookie(&self, state: &HttpState) -> Result<Cookie<'static>, OAuthError> {
        let plain = serde_json::to_vec(self).map_err(OAuthError::server_error)?;
        let sealed = Secrets::from_ref(state).seal(Purpose::LogoutRequest, RETURN, &plain)?;
        let names = CookieNames::from_ref(state);
        Ok(names.make(names.sign_off(), sealed, Some(RETURN_SECONDS)))
    }

    fn read(state: &HttpState, cookies: &RequestCookies) -> Option<Self> {
        let sealed = cookies.get(&CookieNames::from_ref(state).sign_off())?;
        let secrets = Secrets::from_ref(state);
        let plain = secrets.open(Purpose::LogoutRequest, RETURN, sealed.expose())?;
        let waiting: Self = serde_json::from_slice(&plain).ok()?;
        let left = waiting.until - Flow::from_ref(state).clock.now();
        (0..=RETURN_SECONDS + SKEW)
            .contains(&left)
            .then_some(waiting)
    }
}

/// Back from an upstream's sign-off. Anybody can make a browser come here, so nothing ends here.
async fn returned(
    State(state): State<HttpState>,
    request_cookies: RequestCookies,
    signed_in: SignedIn,
) -> Response {
    let waiting = Waiting::read(&state, &request_cookies);
    let mut response = back(&state, waiting, &signed_in).await;
    let names = CookieNames::from_ref(&state);
    let used = names.remove_of(&request_cookies, names.sign_off());
    cookies::set(response.headers_mut(), used);
    response
}

/// To where the browser was to go on, or to a page that says that it is done. The cookie that told so is used up.
async fn back(state: &HttpState, waiting: Option<Waiting>, signed_in: &SignedIn) -> Response {
    context::prefer(waiting.as_ref().and_then(|waiting| waiting.locale));
    match (waiting, signed_in.current()) {
        (
            Some(Waiting {
                destination: Some(destination),
                ..
            }),
            _,
        ) => see_other(&destination),
        (waiting, None) => {
            let others = waiting.map(|waiting| waiting.others).unwrap_or_default();
            let still_here = end_session::still_here(state, signed_in, &[]);
            let next = done(state, &others).await.beside(still_here);
            next.after(&Frames::default())
        }
        (_, Some(_)) => see_other(path::END_SESSION),
    }
}

/// The upstream's sign-out page says that this browser has signed out there. Any site can send a browser here: the
/// session ends at once only when the upstream's site did, and the person is asked otherwise. Whoever fetches it learns
/// nothing.
async fn signed_out(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
    request_cookies: RequestCookies,
    signed_in: SignedIn,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let Path(id) = id.map_err(|_| PageError::new(Trouble::NotFound))?;
    let upstreams = Upstreams::from_ref(&state);
    let (upstream, site) = find(&upstreams, &id, |upstream| upstream.site.as_ref())?;
    let (mut here, elsewhere): (Vec<&LoggedIn>, Vec<&LoggedIn>) = signed_in
        .all()
        .partition(|who| who.session.upstream == upstream.id);
    let lapsed = signed_in.lapsed();
    let mut lapsed: Vec<&LoggedIn> = lapsed
        .filter(|who| who.session.upstream == upstream.id)
        .collect();
    let may_end = sender::is_site_or_neighbor(&headers, site);
    let trip = Waiting::read(&state, &request_cookies);
    let trip = trip.filter(|trip| trip.upstream.as_ref() == Some(&upstream.id));
    let flow = Flow::from_ref(&state);
    let now = flow.clock.now();
    // A login that has not come back by then was given up: what is told now is news.
    let is_echo = |trip: &Waiting| now - trip.began_at() <= ECHO_SECONDS;
    let trip = trip.filter(|trip| !trip.login || is_echo(trip));
    if let Some(trip) = &trip {
        if is_echo(trip) {
            // What was to end has ended. Another account of that upstream is not meant, unless it came since.
            let came_since = |who: &&LoggedIn| who.session.auth_time > trip.began_at();
            here.retain(came_since);
            lapsed.retain(came_since);
        }
        // However long the browser was on its way: somebody waits for it.
        if here.is_empty() && (lapsed.is_empty() || !may_end) {
            return Ok(heard_of_trip(&state, trip, site, &signed_in, &headers).await?);
        }
    }
    let ended: Vec<&LoggedIn> = if may_end {
        here.iter().copied().chain(lapsed).collect()
    } else {
        Vec::new()
    };
    for who in &ended {
        flow.log_out(&who.session, LogoutWay::AtTheUpstream).await?;
    }
    let ids: Vec<SessionId> = ended.iter().map(|who| who.session.id.clone()).collect();
    let frames = if sender::is_navigation(&headers) {
        Frames::of(&state, &ended).await
    } else {
        Frames::default()
    };
    // Whoever has signed out does not go on to a login that they had begun before.
    let waits = trip.as_ref().filter(|trip| !trip.login || ended.is_empty());
    let waits = waits.and_then(|trip| trip.destination.clone());
    let onward = waits.or_else(|| site.signed_out.as_ref().map(ToString::to_string));
    let mut response = match (here.first(), onward) {
        _ if !sender::is_navigation(&headers) => StatusCode::NO_CONTENT.into_response(),
        (Some(who), destination) if ended.is_empty() => {
            let logout = Logout {
                destination,
                signed_off: Some(upstream.id.clone()),
                ..Logout::default()
            };
            end_session::confirm(&state, &logout, &signed_in, who).await?
        }
        (_, Some(onward)) => Next::to(onward).after(&frames),
        (None, None) if !elsewhere.is_empty() => see_other(path::END_SESSION),
        (_, None) => {
            let still_here = end_session::still_here(&state, &signed_in, &ids);
            Next::nothing_left().beside(still_here).after(&frames)
        }
    };
    if !ids.is_empty() {
        cookies::set(response.headers_mut(), signed_in.without(&ended));
    }
    if trip.is_some() && sender::is_navigation(&headers) {
        let names = CookieNames::from_ref(&state);
        cookies::set(response.headers_mut(), [names.remove(names.sign_off())]);
    }
    Ok(response)
}

/// The upstream's sign-out page tells of the trip that we have sent the browser on. Whatever it tells after that is news.
async fn heard_of_trip(
    state: &HttpState,
    trip: &Waiting,
    site: &Site,
    signed_in: &SignedIn,
    headers: &HeaderMap,
) -> Result<Response, OAuthError> {
    if !sender::is_navigation(headers) {
        let heard = Waiting {
            upstream: None,
            ..trip.clone()
        };
        let mut response = StatusCode::NO_CONTENT.into_response();
        cookies::set(response.headers_mut(), [heard.cookie(state)?]);
        return Ok(response);
    }
    let mut trip = trip.clone();
    let onward = site.signed_out.as_ref().map(ToString::to_string);
    trip.destination = trip.destination.or(onward);
    let mut response = back(state, Some(trip), signed_in).await;
    let names = CookieNames::from_ref(state);
    cookies::set(response.headers_mut(), [names.remove(names.sign_off())]);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::page::script_hash;

    #[test]
    fn the_script_has_the_hash_that_the_policy_allows() {
        let template = include_str!("../../templates/pages/signed_out.html");
        assert_eq!(script_hash(template), SCRIPT_HASH);
    }
}
