//! `/end_session`: RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0), by GET and by POST.

use askama::Template;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRef, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::clock::{SKEW, UnixTime};
use crate::flow::logout::{self, LogoutStep, LogoutWay};
use crate::flow::{Flow, LoggedIn};
use crate::keys::{Purpose, Secrets};
use crate::protocol::authorize::MAX_STATE_BYTES;
use crate::protocol::claims::IdTokenClaims;
use crate::protocol::discovery::path;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::{ClientId, SessionId, UpstreamId};
use crate::protocol::locale::Locale;
use crate::protocol::params::{self, Params};
use crate::protocol::{jws, redirect_uri};
use crate::store::Store;
use crate::telemetry::note_client;
use crate::tokens::{Mint, subject};
use crate::upstream::UpstreamTokens;

use super::app_logo::AppLogo;
use super::cookies;
use super::error::{self, Link, PageError, Trouble};
use super::form::{self, PageForm};
use super::frontchannel::Frames;
use super::login::{display_name, in_full};
use super::page::{self, FormTargets, Page};
use super::return_to::see_other;
use super::sign_off::{self, Next};
use super::signed_in::SignedIn;
use super::state::{HttpState, Upstreams};
use super::texts::Texts;
use super::{context, sender};

/// How long a request waits in an address or a form, in seconds: whoever finds one in a history is asked about nothing.
const WAIT_SECONDS: i64 = 60 * 60;

/// What a logout ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// Sessions of this browser.
    Here(LogoutWay),
    /// Every session and every family of their account.
    Everywhere,
}

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(path::END_SESSION, get(by_get).post(by_post))
}

#[derive(Template)]
#[template(path = "pages/end_session.html")]
struct ConfirmPage {
    page: Page,
    app: Option<AppName>,
    question: String,
    /// Who else is signed in here.
    others: Vec<String>,
    session: SessionId,
    logout: String,
    form_token: String,
}

/// The app that a logout is for, above the question.
struct AppName {
    name: String,
    logo: Option<AppLogo>,
}

impl AppName {
    async fn of(
        state: &HttpState,
        logout: &Logout,
        texts: &Texts,
    ) -> Result<Option<Self>, OAuthError> {
        let Some(client_id) = &logout.client_id else {
            return Ok(None);
        };
        let stored = Store::from_ref(state).find_client(client_id).await?;
        Ok(stored.map(|stored| Self {
            name: stored.client.display_name_in(context::locale()).to_owned(),
            logo: AppLogo::of(state, &stored.client, texts),
        }))
    }
}

/// A logout request, checked; sealed, it waits in a URL or a form of ours.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Logout {
    /// Where the browser goes afterwards, `state` included.
    pub(super) destination: Option<String>,
    /// What the verified hint says, which may end its own session unasked.
    pub(super) hint: Option<IdTokenClaims>,
    /// Who signs out, in the words of `logout_hint`: which account is asked about, and nothing more.
    #[serde(default, rename = "logout_hint")]
    pub(super) meant: Option<String>,
    pub(super) locale: Option<Locale>,
    /// The app that asks for it.
    #[serde(default)]
    pub(super) client_id: Option<ClientId>,
    /// The upstream that says that the person has signed out there.
    #[serde(default)]
    pub(super) signed_off: Option<UpstreamId>,
}

/// A logout request, and until when it is honored.
#[derive(Serialize, Deserialize)]
struct Sealed<L> {
    #[serde(flatten)]
    logout: L,
    /// One of an older version, which had none, is over.
    #[serde(default)]
    until: UnixTime,
    /// The sessions of the browser that was shown the question.
    #[serde(default)]
    here: Vec<SessionId>,
}

impl Logout {
    /// Reads and checks a request. What is wrong with it is told on a page: nothing here proves where else it could go.
    async fn read(state: &HttpState, params: &Params) -> Result<Self, OAuthError> {
        params.refuse_repeated()?;
        let hint = params.get_capped("id_token_hint", jws::MAX_ID_TOKEN_BYTES)?;
        let mint = Mint::from_ref(state);
        let outlived = hint.is_some_and(|hint| mint.has_lost_the_key_of(hint));
        let hint = hint
            // Nothing that it says is known, so it ends nothing and leads nowhere; and whoever wants to sign out can.
            .filter(|_| !outlived)
            .map(|hint| {
                mint.read_id_token_hint(hint).map_err(|error| {
                    OAuthError::invalid_request("id_token_hint is not an ID token of this issuer")
                        .because(error)
                })
            })
            .transpose()?;
        let named = params.get_capped("client_id", 256)?.map(ClientId::new);
        let is_named = named.is_some();
        let client_id = match (named, hint.as_ref().map(|hint| hint.aud.clone())) {
            (Some(named), Some(hinted)) if named != hinted => {
                return Err(OAuthError::invalid_request(
                    "client_id differs from the client that id_token_hint was issued to",
                ));
            }
            (named, hinted) => named.or(hinted),
        };
        let client = match client_id {
            Some(client_id) => Store::from_ref(state).find_client(&client_id).await?,
            None => None,
        };
        if let Some(stored) = &client {
            note_client(&stored.client.client_id);
        }
        let requested = params.get_capped("post_logout_redirect_uri", redirect_uri::MAX_BYTES)?;
        let requested = requested.filter(|_| is_named || !outlived);
        let registered = client.as_ref().map(|stored| &*stored.client);
        let destination = logout::destination(registered, requested)?;
        let sent_state = params.get_capped("state", MAX_STATE_BYTES)?;
        let meant = params.get_capped("logout_hint", 256)?;
        let locale = params.get_capped("ui_locales", 256)?;
        let locale = locale.and_then(Locale::from_ui_locales);
        context::prefer(locale);
        Ok(Self {
            destination: destination.map(|uri| with_state(uri.as_str(), sent_state)),
            // It may wait in an address, and all that is asked of it is whose session it is of.
            hint: hint.map(IdTokenClaims::bare),
            meant: meant.map(str::to_owned),
            locale,
            client_id: client.map(|stored| stored.client.client_id.clone()),
            signed_off: None,
        })
    }

    /// The session that the person is asked about, if the request names one: that of whom the ID token is about, though it is of an
    /// earlier login of theirs; or the one that `logout_hint` means.
    async fn named(
        &self,
        state: &HttpState,
        people: &[&LoggedIn],
    ) -> Result<Option<SessionId>, OAuthError> {
        if let Some(id) = self.hinted(state, people).await? {
            return Ok(Some(id));
        }
        let hint = self.meant.as_deref();
        Ok(hint.and_then(|hint| logout::meant(people, hint)))
    }

    /// The session of whom the ID token is about.
    async fn hinted(
        &self,
        state: &HttpState,
        people: &[&LoggedIn],
    ) -> Result<Option<SessionId>, OAuthError> {
        let Some(hint) = &self.hint else {
            return Ok(None);
        };
        let Some(stored) = Store::from_ref(state).find_client(&hint.aud).await? else {
            return Ok(None);
        };
        let secrets = Secrets::from_ref(state);
        for who in people {
            let subject = subject::for_client(&secrets, &stored.client, &who.account)?;
            if subject.as_str() == hint.sub {
                return Ok(Some(who.session.id.clone()));
            }
        }
        Ok(None)
    }

    /// Whose session the ID token is of, where that was ended a moment ago.
    fn just_ended<'a>(&self, signed_in: &'a SignedIn) -> Option<&'a LoggedIn> {
        let sid = self.hint.as_ref()?.sid.as_ref()?;
        let mut just_ended = signed_in.just_ended();
        just_ended.find(|who| who.session.id == *sid)
    }

    /// Whether the session that the hint tells of has ended.
    async fn is_over(&self, state: &HttpState) -> Result<bool, OAuthError> {
        match &self.hint {
            Some(hint) => Flow::from_ref(state).has_ended(hint).await,
            None => Ok(false),
        }
    }

    fn seal(&self, state: &HttpState, here: Vec<SessionId>) -> Result<String, OAuthError> {
        let sealed = Sealed {
            logout: self,
            until: Flow::from_ref(state).clock.now() + WAIT_SECONDS,
            here,
        };
        let plain = serde_json::to_vec(&sealed).map_err(OAuthError::server_error)?;
        Ok(Secrets::from_ref(state).seal(Purpose::LogoutRequest, "", &plain)?)
    }

    /// To the question, by a GET of ours.
    fn asked_about(&self, state: &HttpState) -> Result<Response, OAuthError> {
        Ok(see_other(&address_of(&self.seal(state, Vec::new())?)))
    }

    /// What was sealed, and the sessions that were here when the question was shown.
    fn open(state: &HttpState, sealed: &str) -> Result<(Self, Vec<SessionId>), PageError> {
        let plain = Secrets::from_ref(state).open(Purpose::LogoutRequest, "", sealed);
        let sealed = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
        let Sealed::<Self> {
            logout,
            until,
            here,
        } = sealed.ok_or_else(|| PageError::new(Trouble::Form))?;
        // Also where it is too old.
        context::prefer(logout.locale);
        let left = until - Flow::from_ref(state).clock.now();
        if (0..=WAIT_SECONDS + SKEW).contains(&left) {
            return Ok((logout, here));
        }
        Err(PageError::new(Trouble::SignOut).with_link(Some(Link {
            href: path::END_SESSION.to_owned(),
            text: Page::current().texts.sign_out.to_owned(),
        })))
    }
}

/// Where the question of a sealed request is.
fn address_of(sealed: &str) -> String {
    format!("{}?logout={sealed}", path::END_SESSION)
}

fn with_state(uri: &str, state: Option<&str>) -> String {
    let Some(state) = state else {
        return uri.to_owned();
    };
    let joint = if uri.contains('?') { '&' } else { '?' };
    let mut query = form_urlencoded::Serializer::new(String::new());
    format!("{uri}{joint}{}", query.append_pair("state", state).finish())
}

async fn by_get(
    State(state): State<HttpState>,
    signed_in: SignedIn,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let query = query.unwrap_or_default();
    let params = Params::parse_hinted(query.as_bytes()).map_err(PageError::request)?;
    let logout = match params.get("logout") {
        Ok(Some(sealed)) => Logout::open(&state, sealed)?.0,
        _ => Logout::read(&state, &params)
            .await
            .map_err(PageError::request)?,
    };
    // The sign-out link of the upstream's own web site, that somebody followed: an image there may be anybody's.
    let from_site: Vec<&LoggedIn> = signed_in
        .all()
        .chain(signed_in.lapsed())
        .filter(|who| sender::is_seen(&headers) && is_from_site(&state, who, &headers))
        .collect();
    let mut people: Vec<_> = signed_in.all().collect();
    let named = logout.named(&state, &people).await?;
    if let Some(named) = &named {
        people.sort_by_key(|who| who.session.id != *named);
    }
    let sessions: Vec<_> = people.into_iter().map(|who| &who.session).collect();
    let lapsed: Vec<_> = signed_in.lapsed().collect();
    // Nobody is asked about a session that is over by the clock: the person's own ID token ends it, though it is of an earlier login.
    let hinted = match &named {
        None => logout.hinted(&state, &lapsed).await?,
        Some(_) => None,
    };
    let lapsed: Vec<_> = lapsed.into_iter().map(|who| &who.session).collect();
    let step = logout::next_step(&sessions, &lapsed, logout.hint.as_ref(), hinted.as_ref());
    let again = logout.just_ended(&signed_in);
    let (asks, session) = match step {
        LogoutStep::End(session) => (false, session),
        _ if !from_site.is_empty() => {
            let ends = Ends::Here(LogoutWay::AtTheUpstream);
            return end(&state, &logout, &signed_in, &from_site, ends).await;
        }
        _ if again.is_some() && sender::is_ahead(&headers) => {
            return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
        // A second click, which left before the first was answered.
        _ if again.is_some() => {
            let ended: Vec<_> = again.into_iter().collect();
            return go_on(&state, &logout, &signed_in, &ended, None).await;
        }
        LogoutStep::Done => return Ok(leave(&state, &signed_in, &logout)),
        // A second click on the app's link: whoever was meant has left, and no other is asked about.
        LogoutStep::Confirm(_)
            if named.is_none()
                && signed_in.current().is_none()
                && logout.is_over(&state).await? =>
        {
            return Ok(leave(&state, &signed_in, &logout));
        }
        LogoutStep::Confirm(session) => (true, session),
    };
    match signed_in.find_to_end(&session.id) {
        Some(who) if asks => confirm(&state, &logout, &signed_in, who).await,
        // Nobody has clicked yet: a page has its links fetched ahead.
        Some(_) if sender::is_ahead(&headers) => {
            Ok(StatusCode::SERVICE_UNAVAILABLE.into_response())
        }
        Some(who) => {
            let ends = Ends::Here(LogoutWay::AtTheApp);
            end(&state, &logout, &signed_in, &[who], ends).await
        }
        None => Ok(leave(&state, &signed_in, &logout)),
    }
}

/// Either our own confirm page, or a client's page across sites: then our cookies did not come along (SameSite=Lax), and
/// the request goes on as a GET of ours, sealed.
async fn by_post(
    State(state): State<HttpState>,
    signed_in: SignedIn,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PageError> {
    if params::is_too_large_beside_hint(&body) {
        return Ok(error::oversize_page());
    }
    let params = form::require_hinted(&headers, &body).map_err(PageError::request)?;
    let secrets = Secrets::from_ref(&state);
    let form = PageForm(params);
    if form.optional("form_token")?.is_none() {
        let logout = Logout::read(&state, &form.0)
            .await
            .map_err(PageError::request)?;
        return Ok(logout.asked_about(&state)?);
    }
    let (logout, shown) = Logout::open(&state, form.field("logout")?)?;
    let wants_all = form.optional("action")? == Some("all");
    let session = SessionId::new(form.field("session")?);
    let about = ["logout", session.as_str()];
    let ends = Ends::Here(match &logout.signed_off {
        Some(_) => LogoutWay::AtTheUpstream,
        None => LogoutWay::Here,
    });
    let Some(who) = signed_in.find_to_end(&session) else {
        // Signed in anew while the page stood open, others who were meant, too, or a page of another site that left our cookies at
        // home: nobody is told that they are out.
        let is_anew = |who: &LoggedIn| !shown.contains(&who.session.id);
        if signed_in.is_unseen()
            || signed_in.current().is_some_and(is_anew)
            || (wants_all && signed_in.all().next().is_some())
        {
            return Ok(logout.asked_about(&state)?);
        }
        // Nobody is asked about those whose sessions are over by the clock, and a clock put right would bring them back (T35).
        let lapsed: Vec<&LoggedIn> = signed_in.lapsed().collect();
        if wants_all && lapsed.iter().any(|who| shown.contains(&who.session.id)) {
            form.require_token(&secrets, &about)?;
            return end(&state, &logout, &signed_in, &lapsed, ends).await;
        }
        // A second click, which left before the first was answered, or after it: whoever was asked has left.
        let mut just_ended: Vec<&LoggedIn> = signed_in.just_ended().collect();
        just_ended.sort_by_key(|who| who.session.id != session);
        if just_ended
            .first()
            .is_some_and(|who| who.session.id == session)
        {
            form.require_token(&secrets, &about)?;
            just_ended.truncate(if wants_all { just_ended.len() } else { 1 });
            return go_on(&state, &logout, &signed_in, &just_ended, None).await;
        }
        return Ok(leave(&state, &signed_in, &logout));
    };
    form.require_token(&secrets, &about)?;
    let others = signed_in
        .all()
        .chain(signed_in.lapsed())
        .filter(|other| wants_all && other.session.id != who.session.id);
    let ended: Vec<&LoggedIn> = [who].into_iter().chain(others).collect();
    end(&state, &logout, &signed_in, &ended, ends).await
}

fn is_from_site(state: &HttpState, who: &LoggedIn, headers: &HeaderMap) -> bool {
    let upstreams = Upstreams::from_ref(state);
    let upstream = upstreams.find(who.session.upstream.as_str());
    sender::is_site(
        headers,
        upstream.and_then(|upstream| upstream.site.as_ref()),
    )
}

/// Asks whether `who` is to be signed out, or everybody here.
pub(super) async fn confirm(
    state: &HttpState,
    logout: &Logout,
    signed_in: &SignedIn,
    who: &LoggedIn,
) -> Result<Response, PageError> {
    let secrets = Secrets::from_ref(state);
    let here = signed_in.all().chain(signed_in.lapsed());
    let here = here.map(|who| who.session.id.clone()).collect();
    let sealed = logout.seal(state, here)?;
    let address = address_of(&sealed);
    let page = Page::current().shown_at(&address);
    let upstreams = Upstreams::from_ref(state);
    let others = signed_in
        .all()
        .filter(|other| other.session.id != who.session.id);
    let template = ConfirmPage {
        app: AppName::of(state, logout, page.texts).await?,
        question: (page.texts.sign_out_question)(display_name(who)),
        others: others.map(|other| in_full(&upstreams, other)).collect(),
        session: who.session.id.clone(),
        logout: sealed,
        form_token: form::token(&secrets, &["logout", who.session.id.as_str()])?,
        page,
    };
    let done = logout.signed_off.as_ref();
    let departure = sign_off::departure(state, &who.session, done, None).await;
    let trip = departure.as_ref().map(sign_off::Departure::address);
    let ends = logout.destination.as_deref().into_iter().chain(trip);
    let targets = FormTargets::ending_at(ends);
    let mut response = page::render(StatusCode::OK, &template, &targets);
    cookies::set(response.headers_mut(), signed_in.dropped());
    Ok(response)
}

/// The sessions of `ended` end before the browser goes anywhere: whatever happens on the way, it is over here. The way is that of
/// the first.
pub(super) async fn end(
    state: &HttpState,
    logout: &Logout,
    signed_in: &SignedIn,
    ended: &[&LoggedIn],
    ends: Ends,
) -> Result<Response, PageError> {
    let Some(first) = ended.first() else {
        return Ok(leave(state, signed_in, logout));
    };
    // Whoever signs out leaves nothing behind that a clock put right would bring back (T35).
    let theirs = signed_in.lapsed().filter(|lapsed| {
        let is_there = ended.iter().any(|who| who.session.id == lapsed.session.id);
        let signs_out = ended.iter().any(|who| who.account.id == lapsed.account.id);
        signs_out && !is_there
    });
    let ended: Vec<&LoggedIn> = ended.iter().copied().chain(theirs).collect();
    let ended = ended.as_slice();
    // What the upstream wants to see of the login goes with the session.
    let tokens = sign_off::tokens(state, &first.session).await;
    let flow = Flow::from_ref(state);
    match ends {
        Ends::Here(way) => {
            for who in ended {
                flow.log_out(&who.session, way).await?;
            }
        }
        Ends::Everywhere => {
            let ended = flow.accounts().end_all(&first.account.id).await;
            ended.map_err(OAuthError::from)?;
        }
    }
    go_on(state, logout, signed_in, ended, tokens.as_ref()).await
}

/// The browser of those whose sessions have ended goes on, by way of the first of them.
async fn go_on(
    state: &HttpState,
    logout: &Logout,
    signed_in: &SignedIn,
    ended: &[&LoggedIn],
    tokens: Option<&UpstreamTokens>,
) -> Result<Response, PageError> {
    let Some(first) = ended.first() else {
        return Ok(leave(state, signed_in, logout));
    };
    let ids: Vec<SessionId> = ended.iter().map(|who| who.session.id.clone()).collect();
    let done = logout.signed_off.as_ref();
    // What was over by the clock is ended without a click: it takes nobody else's login at the upstream along.
    let is_anothers = !signed_in.stood(first)
        && signed_in.all().any(|who| {
            who.session.upstream == first.session.upstream && !ids.contains(&who.session.id)
        });
    let departure = if is_anothers {
        None
    } else {
        sign_off::departure(state, &first.session, done, tokens).await
    };
    let others = sign_off::others(state, ended, done).await;
    let next = match departure {
        Some(departure) => sign_off::depart(state, logout, departure, others).await?,
        None if logout.destination.is_none() => {
            let here = sign_off::came_by_its_pages(&Upstreams::from_ref(state), &first.session);
            let here = here.filter(|here| done != Some(*here));
            let upstreams: Vec<_> = here.into_iter().chain(&others).cloned().collect();
            sign_off::done(state, &upstreams).await
        }
        None => arrive(logout),
    };
    let frames = Frames::of(state, ended).await;
    let mut response = next
        .beside(still_here(state, signed_in, &ids))
        .after(&frames);
    cookies::set(response.headers_mut(), signed_in.without(ended));
    Ok(response)
}

/// Who is signed in here still, when those sessions have ended.
pub(super) fn still_here(
    state: &HttpState,
    signed_in: &SignedIn,
    ended: &[SessionId],
) -> Vec<String> {
    let upstreams = Upstreams::from_ref(state);
    let still = signed_in
        .all()
        .filter(|who| !ended.contains(&who.session.id));
    still.map(|who| in_full(&upstreams, who)).collect()
}

/// On to where the client wanted the browser, or to a page that says it is done. Whoever is signed in stays so.
fn leave(state: &HttpState, signed_in: &SignedIn, logout: &Logout) -> Response {
    let still_here = still_here(state, signed_in, &[]);
    let mut response = arrive(logout).beside(still_here).after(&Frames::default());
    cookies::set(response.headers_mut(), signed_in.dropped());
    response
}

fn arrive(logout: &Logout) -> Next {
    match &logout.destination {
        Some(destination) => Next::to(destination),
        None => Next::nothing_left(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that an older version has sealed opens, and is over: a new one is a click away.
    #[test]
    fn a_request_that_says_no_end_is_over() {
        let sealed = r#"{"destination":null,"hint":null,"locale":"fr"}"#;
        let Sealed::<Logout> { logout, until, .. } = serde_json::from_str(sealed).unwrap();
        assert_eq!((logout.locale, until), (Some(Locale::French), 0));
    }
}
