//! `/upstream/{id}/landing/{application}`: where an upstream's own page sends people, whether an app of ours sent them
//! there first or not.
//!
//! They come by a POST across sites, and so without our cookies (SameSite=Lax). What they bring is redeemed at once, for
//! it may be good for one use and for minutes only; who it is waits, sealed, in a cookie for the GET of our own that
//! follows, where the cookies are. With somebody away from this browser that flow goes on. Without, the person is asked:
//! any site could have sent this browser here with a credential of somebody else's, so nobody is signed in silently
//! (T25).

use askama::Template;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::clock::{UnixTime, random_id};
use crate::flow::{Flow, LoggedIn};
use crate::keys::Secrets;
use crate::model::client::Client;
use crate::protocol::error::OAuthError;
use crate::protocol::issuer::Issuer;
use crate::protocol::params::Params;
use crate::store::Store;
use crate::upstream::{LandingApplication, LoginError, Upstream};

use super::arrival::{ANSWER_SECONDS, ARRIVAL_SECONDS, Arrival, Arrivals, Refusal, Who};
use super::away::{Away, AwayList, Match};
use super::client_address::ClientAddress;
use super::cookies::{self, CookieNames, RequestCookies};
use super::error::{Link, PageError, Trouble};
use super::flow_cookie::FlowCookies;
use super::form::{self, PageForm};
use super::login::{self, Notice, Show, display_name};
use super::page::{self, FormTargets, Page};
use super::resume::{CurrentLogin, OpenFlow};
use super::return_to::see_other;
use super::state::{HttpState, Upstreams};
use super::upstream::find;

pub(super) fn router() -> Router<HttpState> {
    Router::new().route(
        "/upstream/{id}/landing/{application}",
        get(arrived).post(receive),
    )
}

#[derive(Template)]
#[template(path = "pages/landing.html")]
struct LandingPage {
    page: Page,
    go_on_as: String,
    arrived_as: String,
    action: String,
    arrival: String,
    form_token: String,
}

#[derive(Template)]
#[template(path = "pages/signed_in.html")]
struct SignedInPage {
    page: Page,
    signed_in_as: String,
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
    ) -> Result<Response, PageError> {
        let (upstream, landing) = find(&self.upstreams, &self.id, |upstream| {
            upstream.landing.as_deref()
        })?;
        if landing.application(&self.application).is_none() {
            return Err(PageError::new(Trouble::NotFound));
        }
        let redeemed = Flow::from_ref(&self.state)
            .redeem_arrival(&upstream.id, landing, &self.application, params, address)
            .await;
        let who = match redeemed {
            Ok(identity) => Who::Person(Box::new(identity)),
            Err(LoginError::Anonymous) => Who::Anonymous,
            Err(error) => {
                login::log_failure(&upstream.label, &error);
                Who::Refused(Refusal::from(&error))
            }
        };
        let arrival = Arrival {
            upstream: upstream.id.clone(),
            application: self.application.clone(),
            until: self.now + ARRIVAL_SECONDS,
            who,
        };
        let handle = random_id();
        let mut response = see_other(&format!("{}?arrival={handle}", self.path()));
        let arrivals = self.arrivals(cookies);
        let cookie = arrivals.keep(&handle, &arrival, self.now).await?;
        cookies::set(response.headers_mut(), [cookie]);
        Ok(response)
    }

    fn arrivals<'a>(&self, cookies: &'a RequestCookies) -> Arrivals<'a> {
        Arrivals {
            names: CookieNames::from_ref(&self.state),
            secrets: Secrets::from_ref(&self.state),
            store: Store::from_ref(&self.state),
            cookies,
        }
    }

    /// The arrival that `handle` names in this browser, for this landing.
    async fn arrival(&self, cookies: &RequestCookies, handle: &str) -> Result<Arrival, PageError> {
        let found = self.arrivals(cookies).find(handle, self.now).await?;
        found
            .filter(|arrival| {
                arrival.upstream.as_str() == self.id && arrival.application == self.application
            })
            .ok_or_else(|| PageError::new(Trouble::Away))
    }

    /// The client to go on to, if it serves this upstream (T15).
    async fn client(&self) -> Result<Option<Client>, PageError> {
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

    /// On to the app, or to a page that says that the person is signed in.
    async fn go_on(&self, who: &LoggedIn) -> Result<Response, PageError> {
        let issuer = Issuer::from_ref(&self.state);
        let client = self.client().await?;
        if let Some(url) = client.and_then(|client| client.go_on_url(&issuer)) {
            return Ok(see_other(&url));
        }
        let page = Page::current();
        let template = SignedInPage {
            signed_in_as: (page.texts.signed_in_as)(display_name(who)),
            page,
        };
        let targets = FormTargets::default();
        Ok(page::render(StatusCode::OK, &template, &targets))
    }
}

async fn receive(
    State(state): State<HttpState>,
    path: Result<Path<(String, String)>, PathRejection>,
    CurrentLogin(logged_in): CurrentLogin,
    request_cookies: RequestCookies,
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
        return answered(&place, &form, &request_cookies, logged_in).await;
    }
    place.redeem(&form.0, &address, &request_cookies).await
}

async fn arrived(
    State(state): State<HttpState>,
    path: Result<Path<(String, String)>, PathRejection>,
    flow_cookies: FlowCookies,
    request_cookies: RequestCookies,
    CurrentLogin(logged_in): CurrentLogin,
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
        return place.redeem(&params, &address, &request_cookies).await;
    };
    let came = come(&place, handle, flow_cookies, &request_cookies, logged_in).await;
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
    cookies::set(response.headers_mut(), others);
    Ok(response)
}

/// The arrival that `handle` names, and what follows from it.
async fn come(
    place: &Place,
    handle: &str,
    flow_cookies: FlowCookies,
    request_cookies: &RequestCookies,
    logged_in: Option<LoggedIn>,
) -> Result<Response, PageError> {
    let arrival = place.arrival(request_cookies, handle).await?;
    let (upstream, application) = place.upstream()?;
    let mut away = AwayList::read(&place.state, request_cookies, place.now);
    let mut response = match away.take(&upstream.id, None, false) {
        Match::None => return unasked(place, handle, arrival, request_cookies, logged_in).await,
        Match::Ambiguous(entry) => {
            let open = OpenFlow::find(&place.state, flow_cookies, logged_in, &entry.flow).await?;
            let show = Show {
                notice: Some(Notice::Ambiguous),
                ..Show::default()
            };
            login::page(&place.state, &open, show).await?
        }
        Match::One(entry) => {
            // Where nobody is signed in there, the sign-in page comes first; once, for it may lead back here.
            if let (Who::Anonymous, false, Some(sign_in)) =
                (&arrival.who, entry.sent_to_sign_in, &application.sign_in)
            {
                away.add(Away {
                    sent_to_sign_in: true,
                    ..entry
                });
                see_other(sign_in.as_str())
            } else {
                let open =
                    OpenFlow::find(&place.state, flow_cookies, logged_in, &entry.flow).await?;
                expected(place, open, upstream, arrival.who).await?
            }
        }
    };
    let used = place.arrivals(request_cookies).forget(handle).await?;
    cookies::set(response.headers_mut(), [away.cookie()?, used]);
    Ok(response)
}

/// Somebody whom a flow of this browser waits for.
async fn expected(
    place: &Place,
    open: OpenFlow,
    upstream: &Upstream,
    who: Who,
) -> Result<Response, PageError> {
    if !open.client.allows_upstream(&upstream.id) {
        return Err(PageError::new(Trouble::Away));
    }
    let error = match who {
        Who::Person(identity) => {
            return login::finish(&place.state, open, upstream, *identity).await;
        }
        Who::Anonymous => LoginError::Anonymous,
        Who::Refused(refusal) => refusal.into_error(),
    };
    let show = Show {
        notice: Some(Notice::Returned(upstream.label.clone(), error)),
        ..Show::default()
    };
    login::page(&place.state, &open, show).await
}

/// Somebody who comes from the upstream's site, without an app of ours having sent them.
async fn unasked(
    place: &Place,
    handle: &str,
    mut arrival: Arrival,
    request_cookies: &RequestCookies,
    logged_in: Option<LoggedIn>,
) -> Result<Response, PageError> {
    let (upstream, application) = place.upstream()?;
    let page = Page::current();
    let identity = match &arrival.who {
        Who::Person(identity) => identity,
        Who::Anonymous => {
            let text = (page.texts.sign_in_at)(&upstream.label);
            let link = application.sign_in.map(|url| Link {
                href: url.into(),
                text,
            });
            return Err(PageError::new(Trouble::Anonymous).with_link(link));
        }
        Who::Refused(_) => return Err(PageError::new(Trouble::Arrival)),
    };
    let flow = Flow::from_ref(&place.state);
    if let Some(who) = &logged_in
        && flow.is_same_person(who, &upstream.id, identity).await?
    {
        return place.go_on(who).await;
    }
    let name = identity.profile.display_name().unwrap_or(&identity.subject);
    let secrets = Secrets::from_ref(&place.state);
    let template = LandingPage {
        go_on_as: (page.texts.go_on_as)(name),
        arrived_as: (page.texts.arrived_as)(&upstream.label, name),
        action: place.path(),
        arrival: handle.to_owned(),
        form_token: form::token(&secrets, &["landing", handle])?,
        page,
    };
    let client = place.client().await?;
    let target = client.and_then(|client| client.go_on_url(&Issuer::from_ref(&place.state)));
    let targets = FormTargets::ending_at(target.as_deref());
    let mut response = page::render(StatusCode::OK, &template, &targets);
    arrival.until = place.now + ANSWER_SECONDS;
    let arrivals = place.arrivals(request_cookies);
    let kept = arrivals.keep(handle, &arrival, place.now).await?;
    cookies::set(response.headers_mut(), [kept]);
    Ok(response)
}

/// "Continue as …?" was answered with yes.
async fn answered(
    place: &Place,
    form: &PageForm,
    request_cookies: &RequestCookies,
    logged_in: Option<LoggedIn>,
) -> Result<Response, PageError> {
    let handle = form.field("arrival")?;
    form.require_token(&Secrets::from_ref(&place.state), &["landing", handle])?;
    let arrival = place.arrival(request_cookies, handle).await?;
    let Who::Person(identity) = arrival.who else {
        return Err(PageError::new(Trouble::Form));
    };
    let (upstream, _) = place.upstream()?;
    let previous = logged_in.as_ref().map(|who| &who.session);
    let new = Flow::from_ref(&place.state)
        .log_in(&upstream.id, *identity, previous)
        .await?;
    let mut response = place.go_on(&new.logged_in).await?;
    let names = CookieNames::from_ref(&place.state);
    let session = names.make(names.session(), new.secret.expose().to_owned(), None);
    let used = place.arrivals(request_cookies).forget(handle).await?;
    cookies::set(response.headers_mut(), [session, used]);
    Ok(response)
}
