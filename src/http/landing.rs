//! `/upstream/{id}/landing/{application}`: where an upstream's own page sends people, whether an app of ours sent them
//! there first or not.
//!
//! They come by a POST across sites, and so without our cookies (SameSite=Lax). What they bring is redeemed at once, for
//! it may be good for one use and for minutes only; who it is waits, sealed, in a cookie for the GET of our own that
//! follows, where the cookies are. With somebody away from this browser, by the page of this application, and a delivery that
//! the browser says is from the upstream's site, that flow goes on. Otherwise the person is asked: any site could have sent this browser here with a
//! credential of somebody else's, so nobody is signed in silently (T25).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::clock::{UnixTime, random_id};
use crate::flow::Flow;
use crate::model::client::Client;
use crate::protocol::error::OAuthError;
use crate::protocol::issuer::Issuer;
use crate::protocol::params::Params;
use crate::store::Store;
use crate::upstream::{LandingApplication, LoginError, Upstream};

use super::account;
use super::arrival::{ARRIVAL_SECONDS, Arrival, Arrivals, Refusal, Who};
use super::away::{Away, AwayList, Match};
use super::client_address::ClientAddress;
use super::context;
use super::cookies::{self, CookieNames, RequestCookies};
use super::error::{Link, PageError, Trouble};
use super::flow_cookie::FlowCookies;
use super::form::{self, PageForm};
use super::login::{self, Notice, Show};
use super::page::Page;
use super::question::{self, Question};
use super::resume::OpenFlow;
use super::return_to::see_other;
use super::sender;
use super::sign_off;
use super::signed_in::SignedIn;
use super::state::{HttpState, Upstreams};
use super::upstream::find;

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(
        "/upstream/{id}/landing/{application}",
        get(arrived).post(receive),
    )
}

/// One landing, and everything its steps need.
struct Place {
    state: HttpState,
    upstreams: Upstreams,
    id: String,
    application: String,
    now: UnixTime,
}

impl Place {
    fn new(state: HttpState, id: String, application: String) -> Self {
        Self {
            upstreams: Upstreams::from_ref(&state),
            now: Flow::from_ref(&state).clock.now(),
            state,
            id,
            application,
        }
    }

    fn path(&self) -> String {
        format!("/upstream/{}/landing/{}", self.id, self.application)
    }

    fn upstream(&self) -> Result<(&Upstream, LandingApplication), PageError> {
        let (upstream, landing) = find(&self.upstreams, &self.id, |upstream| {
            upstream.landing.as_deref()
        })?;
        let application = landing
            .application(&self.application)
            .ok_or_else(|| PageError::new(Trouble::NotFound))?;
        Ok((upstream, application))
    }

    /// Redeems what came, and sends the browser on to a GET of our own.
    async fn redeem(
        &self,
        params: &Params,
        address: &str,
        cookies: &RequestCookies,
        from_site: impl Fn(&Upstream) -> bool,
    ) -> Result<Response, PageError> {
        let (upstream, landing) = find(&self.upstreams, &self.id, |upstream| {
            upstream.landing.as_deref()
        })?;
        if landing.application(&self.application).is_none() {
            return Err(PageError::new(Trouble::NotFound));
        }
        let redeemed = Flow::from_ref(&self.state)
            .logins
            .redeem_arrival(&upstream.id, landing, &self.application, params, address)
            .await;
        let who = match redeemed {
            Ok(identity) => Who::Person(Box::new(identity)),
            Err(LoginError::Anonymous) => Who::Anonymous,
            Err(error) => Who::Refused(Refusal::from(&error)),
        };
        let arrival = Arrival {
            upstream: upstream.id.clone(),
            application: self.application.clone(),
            until: self.now + ARRIVAL_SECONDS,
            who,
            from_site: from_site(upstream),
            flow: None,
        };
        let handle = random_id();
        let mut response = see_other(&format!("{}?arrival={handle}", self.path()));
        let arrivals = Arrivals::of(&self.state, cookies);
        let cookie = arrivals.keep(&handle, &arrival, self.now).await?;
        cookies::set(response.headers_mut(), [cookie]);
        Ok(response)
    }

    /// The arrival that `handle` names in this browser, for this landing.
    async fn arrival(&self, cookies: &RequestCookies, handle: &str) -> Result<Arrival, PageError> {
        let arrivals = Arrivals::of(&self.state, cookies);
        let found = arrivals.find(handle, self.now).await?;
        found
            .filter(|arrival| self.is_of(arrival))
            .ok_or_else(|| PageError::new(Trouble::Away))
    }

    fn is_of(&self, arrival: &Arrival) -> bool {
        arrival.upstream.as_str() == self.id && arrival.application == self.application
    }

    /// The arrival is used.
    fn forget(&self, response: &mut Response, cookies: &RequestCookies, handle: &str) {
        let used = Arrivals::of(&self.state, cookies).forget(handle);
        cookies::set(response.headers_mut(), [used]);
    }

    /// The client to go on to, if it serves this upstream (T15).
    async fn client(&self) -> Result<Option<Arc<Client>>, PageError> {
        let (upstream, application) = self.upstream()?;
        let Some(client_id) = application.client else {
            return Ok(None);
        };
        let store = Store::from_ref(&self.state);
        let stored = store
            .find_client(&client_id)
            .await
            .map_err(OAuthError::from)?;
        Ok(stored
            .map(|stored| stored.client)
            .filter(|client| client.allows_upstream(&upstream.id)))
    }

    /// On to the app, or to the account page.
    async fn go_on(&self) -> Result<Response, PageError> {
        let issuer = Issuer::from_ref(&self.state);
        let client = self.client().await?;
        let url = client.and_then(|client| client.go_on_url(&issuer));
        Ok(see_other(url.as_deref().unwrap_or(account::PATH)))
    }
}

async fn receive(
    State(state): State<HttpState>,
    path: Result<Path<(String, String)>, PathRejection>,
    (flow_cookies, request_cookies): (FlowCookies, RequestCookies),
    signed_in: SignedIn,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PageError> {
    let Path((id, application)) = path.map_err(|_| PageError::new(Trouble::NotFound))?;
    let place = Place::new(state, id, application);
    let Some(Ok(params)) = form::parse(&headers, &body) else {
        return Err(PageError::new(Trouble::Away));
    };
    let form = PageForm(params);
    if form.optional("form_token")?.is_some() {
        let answered = answered(&place, &form, &request_cookies, flow_cookies, signed_in);
        return Box::pin(answered).await;
    }
    let from_site = |upstream: &Upstream| sender::is_site(&headers, upstream.site.as_ref());
    place
        .redeem(&form.0, &address, &request_cookies, from_site)
        .await
}

async fn arrived(
    State(state): State<HttpState>,
    path: Result<Path<(String, String)>, PathRejection>,
    flow_cookies: FlowCookies,
    request_cookies: RequestCookies,
    signed_in: SignedIn,
    ClientAddress(address): ClientAddress,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let Path((id, application)) = path.map_err(|_| PageError::new(Trouble::NotFound))?;
    let place = Place::new(state, id, application);
    let params = Params::parse(query.unwrap_or_default().as_bytes())
        .map_err(|_| PageError::new(Trouble::Away))?;
    let Ok(Some(handle)) = params.get("arrival") else {
        // No version is known to send the token in the address, where logs and histories keep it; but none is known
        // not to (research, section 2).
        tracing::warn!(upstream = place.id, "a landing was asked by GET");
        // What brought an address about is not to be told: a redirect says no origin of its own.
        return place
            .redeem(&params, &address, &request_cookies, |_| false)
            .await;
    };
    // Whatever is none of this browser's leaves those alone that are: any site can send it here with a made-up handle.
    let arrival = place.arrival(&request_cookies, handle).await?;
    let signed_off = sign_off::end_of_login(&place.state, &request_cookies, &arrival.upstream);
    let mut away = AwayList::read(&place.state, &request_cookies, &flow_cookies, place.now).await?;
    let came = (handle, arrival);
    let browser = (flow_cookies, &request_cookies, signed_in);
    let came = Box::pin(come(&place, came, browser, &mut away)).await;
    // One arrival at a time: any site can post one after the other here, and must not fill the browser's cookies.
    let (mut response, kept) = match came {
        Ok(response) => (response, Some(handle)),
        Err(error) => (error.into_response(), None),
    };
    let names = CookieNames::from_ref(&place.state);
    let others = request_cookies
        .iter()
        .filter_map(|(name, _)| names.arrival_handle(name))
        .filter(|other| Some(*other) != kept)
        .map(|other| names.remove(names.arrival(other)));
    cookies::set(response.headers_mut(), others.chain(signed_off));
    // Whoever it belongs to is not away any more, whatever came of it.
    if request_cookies.get(&names.away()).is_some() {
        cookies::set(response.headers_mut(), [away.cookie()?]);
    }
    Ok(response)
}

/// What follows from an arrival.
async fn come(
    place: &Place,
    (handle, arrival): (&str, Arrival),
    (flow_cookies, request_cookies, signed_in): (FlowCookies, &RequestCookies, SignedIn),
    away: &mut AwayList,
) -> Result<Response, PageError> {
    let (upstream, application) = place.upstream()?;
    if let Some(flow) = &arrival.flow {
        // The question is looked at again: it is about the flow that it was asked for, whoever else is away by now (T27).
        let open = OpenFlow::find(&place.state, flow_cookies, signed_in, flow).await?;
        return Box::pin(expected(place, (handle, arrival), open, request_cookies)).await;
    }
    let awaited = if application.ends_trips {
        away.take(&upstream.id, None, false)
    } else {
        // Who is away is so by another page, and may come back by that one still.
        Match::None
    };
    let mut response = match awaited {
        Match::None | Match::Over(_) => {
            return unasked(place, handle, arrival, request_cookies, signed_in).await;
        }
        Match::Ambiguous(entry) => {
            let open = OpenFlow::find(&place.state, flow_cookies, signed_in, &entry.flow).await?;
            let show = Show {
                notice: Some(Notice::Ambiguous),
                ..Show::default()
            };
            login::page(&place.state, &open, show).await?
        }
        Match::One(entry) => {
            // Where nobody is signed in there, the sign-in page comes first; once, for it may lead back here.
            if let (true, false, Some(sign_in)) = (
                arrival.who.may_be_nobody(),
                entry.sent_to_sign_in,
                &application.sign_in,
            ) {
                away.add(Away {
                    sent_to_sign_in: true,
                    ..entry
                });
                see_other(sign_in.as_str())
            } else {
                let open =
                    OpenFlow::find(&place.state, flow_cookies, signed_in, &entry.flow).await?;
                let came = (handle, arrival);
                return Box::pin(expected(place, came, open, request_cookies)).await;
            }
        }
    };
    place.forget(&mut response, request_cookies, handle);
    Ok(response)
}

/// Somebody whom a flow of this browser waits for.
async fn expected(
    place: &Place,
    (handle, arrival): (&str, Arrival),
    open: OpenFlow,
    request_cookies: &RequestCookies,
) -> Result<Response, PageError> {
    let (upstream, _) = place.upstream()?;
    if !open.client.allows_upstream(&upstream.id) {
        return Err(PageError::new(Trouble::Away));
    }
    let error = match arrival.who {
        Who::Person(identity) => {
            if !arrival.from_site && question::is_needed(&open, upstream, &identity).await? {
                let question = Question {
                    upstream,
                    handle,
                    arrival: Arrival {
                        flow: Some(open.handle.clone()),
                        who: Who::Person(identity),
                        ..arrival
                    },
                    action: place.path(),
                    ends_at: Some(open.pending.return_to.redirect_uri()),
                };
                return question::ask(&place.state, request_cookies, question).await;
            }
            let mut response =
                Box::pin(login::finish(&place.state, open, upstream, *identity)).await?;
            place.forget(&mut response, request_cookies, handle);
            return Ok(response);
        }
        Who::Anonymous => {
            let error = LoginError::Anonymous;
            open.flow
                .logins
                .note_refused(&upstream.id, "landing", &error);
            error
        }
        Who::Refused(refusal) => refusal.into_error(),
    };
    let show = Show {
        notice: Some(Notice::Returned(
            context::text(&upstream.label).to_owned(),
            error,
        )),
        ..Show::default()
    };
    let mut response = login::page(&place.state, &open, show).await?;
    place.forget(&mut response, request_cookies, handle);
    Ok(response)
}

/// Somebody who comes from the upstream's site, without an app of ours having sent them.
async fn unasked(
    place: &Place,
    handle: &str,
    arrival: Arrival,
    request_cookies: &RequestCookies,
    signed_in: SignedIn,
) -> Result<Response, PageError> {
    let (upstream, application) = place.upstream()?;
    let identity = match &arrival.who {
        Who::Person(identity) => identity,
        who @ (Who::Anonymous | Who::Refused(_)) => {
            let text = (Page::current().texts.sign_in_at)(context::text(&upstream.label));
            let sign_in = application.sign_in.filter(|_| who.may_be_nobody());
            let link = sign_in.map(|url| Link {
                href: url.into(),
                text,
            });
            let trouble = match who {
                Who::Refused(refusal) => refusal.trouble(),
                _ => Trouble::Anonymous,
            };
            return Err(PageError::new(trouble).with_link(link));
        }
    };
    let flow = Flow::from_ref(&place.state);
    if let Some(who) = signed_in.current()
        && flow.is_same_person(who, &upstream.id, identity).await?
    {
        return place.go_on().await;
    }
    let client = place.client().await?;
    let target = client.and_then(|client| client.go_on_url(&Issuer::from_ref(&place.state)));
    let question = Question {
        upstream,
        handle,
        arrival,
        action: place.path(),
        ends_at: target.as_deref(),
    };
    question::ask(&place.state, request_cookies, question).await
}

/// "Continue as …?" was answered with yes.
async fn answered(
    place: &Place,
    form: &PageForm,
    request_cookies: &RequestCookies,
    flow_cookies: FlowCookies,
    signed_in: SignedIn,
) -> Result<Response, PageError> {
    let (upstream, _) = place.upstream()?;
    let is_of = |arrival: &Arrival| place.is_of(arrival);
    let answered = question::answered(&place.state, form, request_cookies, is_of).await?;
    let Some((handle, arrival, identity)) = answered else {
        let came_by = signed_in.current().map(|who| &who.session.upstream);
        if form.optional("flow")?.is_none() && came_by == Some(&upstream.id) {
            // The yes before this one has led to the same place.
            return place.go_on().await;
        }
        return question::again(&place.state, form, flow_cookies, signed_in).await;
    };
    if let Some(flow) = &arrival.flow {
        let open = OpenFlow::find(&place.state, flow_cookies, signed_in, flow).await?;
        let answer = (handle, identity);
        return Box::pin(question::go_on(
            &place.state,
            upstream,
            answer,
            open,
            request_cookies,
        ))
        .await;
    }
    let before = signed_in.before(false);
    let new = Flow::from_ref(&place.state)
        .logins
        .log_in(&upstream.id, identity, before, false)
        .await?;
    let Some(new) = new else {
        return Err(PageError::new(Trouble::Closed));
    };
    let mut response = place.go_on().await?;
    cookies::set(response.headers_mut(), signed_in.with(&new));
    place.forget(&mut response, request_cookies, handle);
    Ok(response)
}
