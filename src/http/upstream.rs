//! `/upstream/{id}/start` and `/upstream/{id}/callback`: away to an upstream's own login page, and back.
//!
//! aiM18 knows no `state`. What ties an answer to this browser is a sealed cookie of its own, good for one return; a
//! `state` that does come back has to be the one that was sent. Leaving takes a click on our page (a POST with its form
//! token): otherwise any site could send a browser away and back with a code of somebody else's. While somebody is away
//! by their own click, another site can still send such a code; so without `state`, the browser has to say that the
//! answer comes from the upstream's site, or the person is asked.
//!
//! Not documented either is how a browser comes back. A POST, by a form that submits itself or by a 307 that repeats the login
//! form, comes across sites and so without our cookies: it is sent on to the GET, with what that reads and nothing else.
//! An answer in the fragment is posted there by a page of ours (`http::fragment`).

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, Path, RawQuery, State};
use axum::http::header::REFERRER_POLICY;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::{get, post};
use url::Url;

use crate::clock::random_id;
use crate::flow::{Flow, Step};
use crate::keys::Secrets;
use crate::model::acr::WantedAcr;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::UpstreamId;
use crate::protocol::issuer::Issuer;
use crate::protocol::params::Params;
use crate::telemetry::note_upstream;
use crate::upstream::{CallbackLogin, Return, Trip, Upstream};

use super::arrival::{Arrival, Who};
use super::away::{Away, AwayList, Match};
use super::client_address::ClientAddress;
use super::context;
use super::cookies::{self, RequestCookies};
use super::error::{PageError, Trouble};
use super::flow_cookie::FlowCookies;
use super::form::{self, PageForm};
use super::fragment;
use super::login::{self, Notice, Show};
use super::question::{self, Question};
use super::resume::OpenFlow;
use super::return_to::see_other;
use super::sender;
use super::sign_off;
use super::signed_in::SignedIn;
use super::state::{HttpState, Upstreams};

pub(super) fn router() -> Router<HttpState> {
    Router::new()
        .route("/upstream/{id}/start", post(start))
        .route("/upstream/{id}/callback", get(callback).post(posted))
}

/// More than any code or state has (T48).
const MAX_FORWARDED_BYTES: usize = 4096;

/// The one address that an upstream may send people back to.
pub(super) fn callback_url(issuer: &Issuer, upstream: &UpstreamId) -> Result<Url, OAuthError> {
    Url::parse(&issuer.callback(upstream)).map_err(OAuthError::server_error)
}

/// The upstream of this name, and what it can do of what `ability` asks.
pub(super) fn find<'a, T: ?Sized>(
    upstreams: &'a Upstreams,
    id: &str,
    ability: impl Fn(&'a Upstream) -> Option<&'a T>,
) -> Result<(&'a Upstream, &'a T), PageError> {
    let found = upstreams
        .find(id)
        .and_then(|upstream| Some((upstream, ability(upstream)?)))
        .ok_or_else(|| PageError::new(Trouble::NotFound))?;
    note_upstream(&found.0.id);
    Ok(found)
}

async fn start(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
    flow_cookies: FlowCookies,
    request_cookies: RequestCookies,
    signed_in: SignedIn,
    form: PageForm,
) -> Result<Response, PageError> {
    let upstreams = Upstreams::from_ref(&state);
    let Path(id) = id.map_err(|_| PageError::new(Trouble::NotFound))?;
    let (upstream, login) = find(&upstreams, &id, |upstream| upstream.redirect.as_deref())?;
    let handle = form.field("flow")?.to_owned();
    let mut open = OpenFlow::find(&state, flow_cookies, signed_in, &handle).await?;
    form.require_token(&Secrets::from_ref(&state), &["login", &handle])?;
    // It waits in the flow's cookie, and not at the upstream.
    login::note_choice(&mut open, &form)?;
    if !open.client.allows_upstream(&upstream.id) {
        return Err(PageError::new(Trouble::Form));
    }
    let now = open.flow.clock.now();
    let mut away = AwayList::read(&state, &request_cookies, &open.cookies, now).await?;
    let sent = random_id();
    let callback = callback_url(&Issuer::from_ref(&state), &upstream.id)?;
    let request = &open.pending.request;
    let wanted = WantedAcr::of(request);
    let trip = Trip {
        callback: &callback,
        state: &sent,
        // How long ago they logged in there, we do not learn.
        reauthenticate: request.prompt.login
            || request.max_age.is_some()
            || wants_another(&open).await?,
        acr_values: wanted.as_ref().map_or(&[], WantedAcr::values),
    };
    let departure = match login.start(&trip).await {
        Ok(departure) => departure,
        Err(error) => {
            open.flow
                .logins
                .note_refused(&upstream.id, "redirect", &error);
            let show = Show {
                notice: Some(Notice::Failed(
                    context::text(&upstream.label).to_owned(),
                    error,
                )),
                ..Show::default()
            };
            return login::page(&state, &open, show).await;
        }
    };
    away.add(Away {
        upstream: upstream.id.clone(),
        flow: handle,
        state: sent,
        since: now,
        sent_to_sign_in: false,
        kept: departure.kept,
    });
    let mut response = see_other(departure.url.as_str());
    cookies::set(response.headers_mut(), [away.cookie()?, open.save().await?]);
    if let Some(page) = &departure.after_sign_off {
        let locale = open.pending.request.locale;
        let by_sign_off = sign_off::of_login(&state, &upstream.id, page, locale)?;
        cookies::set(response.headers_mut(), [by_sign_off]);
    }
    Ok(response)
}

/// Whether the account that is here does not do: the upstream, which may have the browser signed in as the same person, would send
/// them back at once, and nobody would get any further.
async fn wants_another(open: &OpenFlow) -> Result<bool, PageError> {
    let current = open.signed_in.current();
    Ok(match open.next_step().await? {
        Step::SelectAccount | Step::OtherAccount => true,
        // Where the app does not serve the upstream that they came by, nothing says that they are not meant.
        Step::Login => current.is_some_and(|who| {
            open.client.allows_upstream(&who.session.upstream) && open.is_for_others_than(who)
        }),
        _ => false,
    })
}

async fn callback(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
    (flow_cookies, request_cookies): (FlowCookies, RequestCookies),
    signed_in: SignedIn,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let upstreams = Upstreams::from_ref(&state);
    let Path(id) = id.map_err(|_| PageError::new(Trouble::NotFound))?;
    let (upstream, login) = find(&upstreams, &id, |upstream| upstream.callback.as_deref())?;
    let answer = Params::parse(query.unwrap_or_default().as_bytes());
    let answer = answer.map_err(|_| PageError::new(Trouble::Away))?;
    let returned_state = answer
        .get("state")
        .map_err(|_| PageError::new(Trouble::Away))?;
    let now = Flow::from_ref(&state).clock.now();
    let mut away = AwayList::read(&state, &request_cookies, &flow_cookies, now).await?;
    if login.may_answer_in_fragment() && !is_answer(login, &answer) {
        let flow = away.newest(&upstream.id);
        let flow = flow.ok_or_else(|| PageError::new(Trouble::Away))?;
        let open = OpenFlow::find(&state, flow_cookies, signed_in, flow).await?;
        return Ok(fragment::ask(&open, upstream, login));
    }
    let (entry, ambiguous) =
        match away.take(&upstream.id, returned_state, login.always_returns_state()) {
            // Of one that is over, the flow itself says what has become of it.
            Match::One(entry) | Match::Over(entry) => (entry, false),
            Match::Ambiguous(newest) => (newest, true),
            Match::None => return Err(PageError::new(Trouble::Away)),
        };
    let open = OpenFlow::find(&state, flow_cookies, signed_in, &entry.flow).await?;
    let callback = callback_url(&Issuer::from_ref(&state), &upstream.id)?;
    let notice = if !open.client.allows_upstream(&upstream.id) {
        return Err(PageError::new(Trouble::Away));
    } else if ambiguous {
        Some(Notice::Ambiguous)
    } else {
        None
    };
    let outcome = if let Some(notice) = notice {
        Err(notice)
    } else {
        let back = Return {
            callback: &callback,
            answer: &answer,
            kept: entry.kept.as_deref(),
        };
        let outcome = open
            .flow
            .logins
            .finish_return(&upstream.id, login, &back, &address)
            .await;
        outcome.map_err(|error| Notice::Returned(context::text(&upstream.label).to_owned(), error))
    };
    let proven = returned_state.is_some() || sender::is_site(&headers, upstream.site.as_ref());
    let mut response = match outcome {
        Ok(identity) if !proven && question::is_needed(&open, upstream, &identity).await? => {
            let arrival = Arrival {
                upstream: upstream.id.clone(),
                application: String::new(),
                until: now,
                who: Who::Person(Box::new(identity)),
                from_site: false,
                flow: Some(open.handle.clone()),
            };
            let question = Question {
                upstream,
                handle: &random_id(),
                arrival,
                action: callback.path().to_owned(),
                ends_at: Some(open.pending.return_to.redirect_uri()),
            };
            question::ask(&state, &request_cookies, question).await?
        }
        Ok(identity) => Box::pin(login::finish(&state, open, upstream, identity)).await?,
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

/// Either our own question's answer, or the upstream's, by a form that submits itself.
async fn posted(
    State(state): State<HttpState>,
    id: Result<Path<String>, PathRejection>,
    (flow_cookies, request_cookies): (FlowCookies, RequestCookies),
    signed_in: SignedIn,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PageError> {
    let Path(id) = id.map_err(|_| PageError::new(Trouble::NotFound))?;
    let body = form::parse(&headers, &body).and_then(Result::ok);
    match body.map(PageForm) {
        Some(form) if form.optional("form_token")?.is_some() => {
            let browser = (flow_cookies, request_cookies, signed_in);
            Box::pin(answered(&state, &id, browser, &form)).await
        }
        form => forward(&state, &id, query, form.map(|form| form.0)),
    }
}

/// Whether there is an answer at all in what came back, be it a good one.
fn is_answer(login: &dyn CallbackLogin, params: &Params) -> bool {
    [login.code_parameter(), "error"]
        .iter()
        .any(|name| !matches!(params.get(name), Ok(None)))
}

/// On to the GET, where the cookies are.
fn forward(
    state: &HttpState,
    id: &str,
    query: Option<String>,
    body: Option<Params>,
) -> Result<Response, PageError> {
    let upstreams = Upstreams::from_ref(state);
    let (upstream, login) = find(&upstreams, id, |upstream| upstream.callback.as_deref())?;
    let lost = |_| PageError::new(Trouble::Away);
    let query = Params::parse(query.unwrap_or_default().as_bytes()).map_err(lost)?;
    let answer = if is_answer(login, &query) {
        query
    } else {
        body.filter(|body| is_answer(login, body))
            .ok_or_else(|| PageError::new(Trouble::Away))?
    };
    let mut location = callback_url(&Issuer::from_ref(state), &upstream.id)?;
    for name in [login.code_parameter(), "error", "state", "iss"] {
        // Anything else may be what the person typed there.
        if let Some(value) = answer.get_capped(name, MAX_FORWARDED_BYTES).map_err(lost)? {
            location.query_pairs_mut().append_pair(name, value);
        }
    }
    let mut response = see_other(location.as_str());
    // The GET is to be told which page began this, as the POST was: the upstream's, and nothing of ours (Fetch, "set
    // request's referrer policy on redirect").
    let policy = HeaderValue::from_static("origin");
    response.headers_mut().insert(REFERRER_POLICY, policy);
    Ok(response)
}

/// "Continue as …?" was answered with yes.
async fn answered(
    state: &HttpState,
    id: &str,
    (flow_cookies, request_cookies, signed_in): (FlowCookies, RequestCookies, SignedIn),
    form: &PageForm,
) -> Result<Response, PageError> {
    let upstreams = Upstreams::from_ref(state);
    let (upstream, _) = find(&upstreams, id, |upstream| upstream.callback.as_deref())?;
    let belongs_here =
        |arrival: &Arrival| arrival.upstream == upstream.id && arrival.application.is_empty();
    let answered = question::answered(state, form, &request_cookies, belongs_here).await?;
    let Some((handle, arrival, identity)) = answered else {
        return question::again(state, form, flow_cookies, signed_in).await;
    };
    let Some(flow) = &arrival.flow else {
        return Err(PageError::new(Trouble::Form));
    };
    let open = OpenFlow::find(state, flow_cookies, signed_in, flow).await?;
    Box::pin(question::go_on(
        state,
        upstream,
        (handle, identity),
        open,
        &request_cookies,
    ))
    .await
}
