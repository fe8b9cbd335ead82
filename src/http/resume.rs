//! `/authorize/resume`: the one address that every page returns to. It asks `flow` what comes next and does it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use cookie::Cookie;

use crate::clock::{SKEW, is_ordered_id};
use crate::flow::pick::Picked;
use crate::flow::{self, Flow, LoggedIn, Situation, Step};
use crate::model::acr::WantedAcr;
use crate::model::authorization::{Errand, PendingAuthorization};
use crate::model::client::{Client, OWN_CLIENT_ID};
use crate::model::pushed_request::Spent;
use crate::protocol::discovery::path;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{ClientId, UpstreamId};
use crate::protocol::issuer::Issuer;
use crate::protocol::params::Params;
use crate::protocol::pushed;
use crate::store::Store;
use crate::telemetry::{note_client, note_flow};
use crate::tokens::subject;
use crate::upstream::Identity;

use super::account;
use super::context;
use super::cookies;
use super::device;
use super::error::{Link, PageError, Trouble};
use super::flow_cookie::{FlowCookies, Found};
use super::page::Page;
use super::return_to::{self, see_other};
use super::signed_in::SignedIn;
use super::state::{HttpState, Settings};

pub(super) fn router() -> Router<HttpState> {
    Router::new().route("/authorize/resume", get(resume))
}

/// The resume URL of a flow.
pub(super) fn url(handle: &str) -> String {
    format!("/authorize/resume?flow={handle}")
}

/// A flow in this browser, and everything a page about it needs.
pub(super) struct OpenFlow {
    pub(super) handle: String,
    pub(super) pending: PendingAuthorization,
    pub(super) client: Arc<Client>,
    pub(super) flow: Flow,
    pub(super) cookies: FlowCookies,
    /// Everybody whom this browser is signed in as.
    pub(super) signed_in: SignedIn,
    /// Whom the flow is about.
    pub(super) logged_in: Option<LoggedIn>,
    /// Whom it may be about.
    pub(super) choice: Vec<LoggedIn>,
    /// The page was open longer than a flow is good for; it has begun anew.
    pub(super) restarted: bool,
}

impl OpenFlow {
    /// Finds the flow that `handle` names in this browser.
    pub(super) async fn find(
        state: &HttpState,
        cookies: FlowCookies,
        signed_in: SignedIn,
        handle: &str,
    ) -> Result<Self, PageError> {
        let flow = Flow::from_ref(state);
        let store = Store::from_ref(state);
        let now = flow.clock.now();
        // What was never a handle of ours is anything.
        if is_ordered_id(handle) {
            note_flow(handle);
        }
        let mut pending = match cookies.find(handle, now).await? {
            Found::Pending(pending) => *pending,
            Found::Done(client_id) => {
                return Err(done(&store, &client_id, signed_in.current()).await);
            }
            Found::Nothing => return Err(PageError::new(Trouble::Expired)),
        };
        context::prefer(pending.request.locale);
        let client = client_of(state, &store, &pending).await?;
        note_client(&client.client_id);
        pending.request.scope = pending.request.scope.narrowed_to(&client.scope);
        let lifetime = <std::sync::Arc<Settings>>::from_ref(state).flow_lifetime;
        let restarted = !(-SKEW..lifetime).contains(&(now - pending.started_at));
        if restarted {
            if is_for_the_account(&pending) {
                // Whoever comes back after so long does not know any more which login the page asked for.
                return Err(PageError::new(Trouble::Expired).with_link(Some(to_account())));
            }
            // An old flow starts itself again: the request still stands, what was done in it does not.
            pending.started_at = now;
            pending.logged_in = None;
            pending.selected = None;
            pending.consented = None;
            pending.unconfirmed = None;
        }
        let picked = signed_in.pick(&flow, &client, &pending).await?;
        Ok(Self {
            handle: handle.to_owned(),
            pending,
            client,
            flow,
            cookies,
            signed_in,
            logged_in: picked.who,
            choice: picked.choice,
            restarted,
        })
    }

    /// Whether the flow asks for a login that is to be linked, which must not become this browser's session.
    pub(super) fn asks_for_other(&self) -> bool {
        let errand = self.pending.errand.as_ref();
        errand.is_some_and(Errand::asks_for_other)
    }

    /// Whether the flow is one of the account page's, for somebody who came from there.
    pub(super) fn errand_for_the_account(&self) -> bool {
        is_for_the_account(&self.pending)
    }

    /// Whether a login leads to the person whom the errand is for.
    pub(super) async fn is_for(
        &self,
        upstream: &UpstreamId,
        identity: &Identity,
    ) -> Result<bool, OAuthError> {
        let Some(id) = self.flow.account_behind(upstream, identity).await? else {
            return Ok(false);
        };
        let account = self.flow.store.find_account(&id).await?;
        let expected = self.pending.expected_subject.as_ref();
        Ok(expected
            .zip(account)
            .is_some_and(|(expected, account)| expected.as_str() == account.subject.as_str()))
    }

    /// Whether the answer may be about somebody.
    pub(super) fn may_answer(&self, who: &LoggedIn) -> bool {
        let mut choice = self.choice.iter();
        choice.any(|each| each.session.id == who.session.id)
    }

    /// Whether the answer cannot be about somebody who is signed in here, however often they log in.
    pub(super) fn is_for_others_than(&self, who: &LoggedIn) -> bool {
        self.pending.unconfirmed.as_ref() != Some(&who.session.id) && !self.may_answer(who)
    }

    /// Whether somebody has logged in whom the errand is not for.
    pub(super) fn is_somebody_else(&self) -> bool {
        let expected = self.pending.expected_subject.as_ref();
        let here = self.logged_in.as_ref();
        self.errand_for_the_account()
            && expected
                .zip(here)
                .is_some_and(|(expected, here)| expected.as_str() != here.account.subject.as_str())
    }

    /// Whether a login at `upstream` may prove what the request cannot do without.
    pub(super) fn may_satisfy(&self, upstream: &UpstreamId) -> bool {
        let wanted = WantedAcr::of(&self.pending.request).filter(|wanted| wanted.essential);
        wanted.is_none_or(|wanted| self.flow.acr.may_satisfy(upstream, &wanted))
    }

    /// What its end works with.
    pub(super) fn request(&self) -> FlowRequest<'_> {
        FlowRequest {
            flow: &self.flow,
            cookies: &self.cookies,
            handle: Some(&self.handle),
        }
    }

    /// What comes next.
    pub(super) async fn next_step(&self) -> Result<Step, OAuthError> {
        decide(
            &self.flow,
            &self.client,
            &self.pending,
            self.logged_in.as_ref(),
            self.choice.len(),
        )
        .await
    }

    /// Keeps the flow as it is now, for the answer's cookies.
    pub(super) async fn save(&self) -> Result<Cookie<'static>, PageError> {
        let now = self.flow.clock.now();
        self.cookies.save(&self.handle, &self.pending, now).await
    }

    /// Back to the resume URL, with the flow as it is now.
    pub(super) async fn resume(&self) -> Result<Response, PageError> {
        let mut response = see_other(&url(&self.handle));
        cookies::set(response.headers_mut(), [self.save().await?]);
        Ok(response)
    }
}

/// Whether the flow changes something of the person's account, for whom it was begun.
fn is_for_the_account(pending: &PendingAuthorization) -> bool {
    matches!(
        pending.errand,
        Some(Errand::Link { .. } | Errand::Unlink { .. })
    )
}

/// The client of a flow, as registered now: that may have changed while a page was open.
async fn client_of(
    state: &HttpState,
    store: &Store,
    pending: &PendingAuthorization,
) -> Result<Arc<Client>, PageError> {
    let user_code = match &pending.errand {
        None => None,
        Some(Errand::Device {
            user_code: Some(user_code),
        }) => Some(user_code),
        Some(_) => return Ok(Arc::new(Client::account_page(&Issuer::from_ref(state))?)),
    };
    let found = store.find_client(&pending.client_id).await;
    let client = found.map_err(OAuthError::from)?;
    let client = client.map(|stored| stored.client);
    if user_code.is_some() {
        let client = client.ok_or_else(|| PageError::new(Trouble::Device))?;
        let issuer = Issuer::from_ref(state);
        let client = Client::clone(&client).at_device_page(&issuer);
        return client.map(Arc::new).map_err(PageError::request);
    }
    client
        .filter(|client| {
            let uri = pending.return_to.redirect_uri();
            client
                .redirect_uris
                .iter()
                .any(|registered| registered.matches(uri))
        })
        .ok_or_else(|| {
            PageError::request(OAuthError::invalid_request(
                "this client, or its redirect_uri, is no longer registered",
            ))
        })
}

/// The way to the account page.
pub(super) fn to_account() -> Link {
    Link {
        href: account::PATH.to_owned(),
        text: Page::current().texts.your_account.to_owned(),
    }
}

/// The page for a flow that has ended: the back button, or a second click.
async fn done(store: &Store, client_id: &ClientId, logged_in: Option<&LoggedIn>) -> PageError {
    let client = store.find_client(client_id).await.ok().flatten();
    let link = if client_id.as_str() == OWN_CLIENT_ID {
        Some(to_account())
    } else {
        client.and_then(|stored| {
            let text =
                (Page::current().texts.back_to)(stored.client.display_name_in(context::locale()));
            let href = stored.client.client_uri.clone();
            href.map(|href| Link { href, text })
        })
    };
    let trouble = if logged_in.is_some() {
        Trouble::Done
    } else {
        Trouble::Expired
    };
    PageError::new(trouble).with_link(link)
}

async fn resume(
    State(state): State<HttpState>,
    cookies: FlowCookies,
    signed_in: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let handle = handle_of(query.as_deref())?;
    let open = OpenFlow::find(&state, cookies, signed_in, &handle).await?;
    let request = FlowRequest {
        flow: &open.flow,
        cookies: &open.cookies,
        handle: Some(&open.handle),
    };
    let picked = Picked {
        who: open.logged_in,
        choice: open.choice,
    };
    advance(request, &open.client, open.pending, picked).await
}

/// The `flow` parameter of a page's URL.
pub(super) fn handle_of(query: Option<&str>) -> Result<String, PageError> {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let handle = params.and_then(|params| params.require("flow").map(ToOwned::to_owned));
    handle.map_err(|_| PageError::new(Trouble::Expired))
}

/// What [`advance`] works with.
pub(super) struct FlowRequest<'a> {
    pub(super) flow: &'a Flow,
    pub(super) cookies: &'a FlowCookies,
    /// The flow's handle, once it has one. A request that can be answered at once never gets one.
    pub(super) handle: Option<&'a str>,
}

async fn decide(
    flow: &Flow,
    client: &Client,
    pending: &PendingAuthorization,
    logged_in: Option<&LoggedIn>,
    choice: usize,
) -> Result<Step, OAuthError> {
    let consent = flow.find_consent(client, logged_in).await?;
    let subject = logged_in
        .map(|who| subject::for_client(&flow.secrets, client, &who.account))
        .transpose()?;
    Ok(flow::next_step(Situation {
        pending,
        client,
        logged_in,
        choice,
        subject: subject.as_ref(),
        consent: consent.as_ref(),
        scopes: &flow.scopes,
        acr: &flow.acr,
        now: flow.clock.now(),
    }))
}

/// Does what comes next: a page, an answer for the client, or an error for it.
pub(super) async fn advance(
    request: FlowRequest<'_>,
    client: &Client,
    mut pending: PendingAuthorization,
    mut picked: Picked,
) -> Result<Response, PageError> {
    let flow = request.flow;
    let (who, choice) = (picked.who.as_ref(), picked.choice.len());
    let mut step = decide(flow, client, &pending, who, choice).await?;
    let for_device = pending.errand.as_ref().is_some_and(Errand::is_for_device);
    let serves = matches!(step, Step::Issue) || (for_device && matches!(step, Step::Confirm));
    if let (true, Some(who)) = (serves, &picked.who) {
        // What was known may be old: ask, and decide again with what is known now (T15).
        match request.flow.confirm(client, &mut pending, who).await {
            Ok(Some(current)) => picked.who = Some(current),
            Ok(None) => picked = picked.without(&who.session.id),
            Err(error) if error.code == ErrorCode::TemporarilyUnavailable => {
                return request.refuse(&pending, &error).await;
            }
            Err(error) => return Err(error.into()),
        }
        let (who, choice) = (picked.who.as_ref(), picked.choice.len());
        step = decide(flow, client, &pending, who, choice).await?;
    }
    if let Some(Errand::Link { asked, .. }) = &mut pending.errand {
        *asked = matches!(step, Step::OtherLogin);
    }
    let page = match (step, &picked.who) {
        (Step::Issue, Some(who)) => return request.issue(client, &pending, who).await,
        (Step::Refuse(refusal), _) => return request.refuse(&pending, &refusal).await,
        (Step::AccountPage, _) => {
            return request.finish(&pending, see_other(account::PATH)).await;
        }
        (Step::Consent, _) => "/consent",
        (Step::Confirm, _) if for_device => device::CONFIRM_PATH,
        (Step::Confirm, _) => account::CONFIRM_PATH,
        (Step::EnterCode, _) => path::DEVICE,
        (
            Step::Login | Step::OtherLogin | Step::SelectAccount | Step::OtherAccount | Step::Issue,
            _,
        ) => "/login",
    };
    let now = request.flow.clock.now();
    let (handle, cookies) = match request.handle {
        Some(handle) => {
            let cookie = request.cookies.save(handle, &pending, now).await?;
            let mut cookies = request.cookies.drop_oldest(handle);
            cookies.push(cookie);
            (handle.to_owned(), cookies)
        }
        None => request.cookies.begin(&pending, now).await?,
    };
    let mut response = see_other(&format!("{page}?flow={handle}"));
    cookies::set(response.headers_mut(), cookies);
    Ok(response)
}

impl FlowRequest<'_> {
    async fn issue(
        &self,
        client: &Client,
        pending: &PendingAuthorization,
        who: &LoggedIn,
    ) -> Result<Response, PageError> {
        if self.spend_pushed(pending).await? == Some(Spent::Elsewhere) {
            return Err(PageError::request(pushed::unknown()));
        }
        match self.flow.issue(client, pending, who).await {
            Ok(outcome) => {
                let answer = return_to::send(&pending.return_to, outcome);
                self.finish(pending, answer).await
            }
            // Nothing was given and nothing is lost: the flow stays open, so that the person can try again.
            Err(error) if error.code == ErrorCode::ServerError => Err(error.into()),
            Err(error) => self.refuse(pending, &error).await,
        }
    }

    pub(super) async fn refuse(
        &self,
        pending: &PendingAuthorization,
        refusal: &OAuthError,
    ) -> Result<Response, PageError> {
        // Whoever was first: an error opens nothing.
        self.spend_pushed(pending).await?;
        let answer = return_to::refuse(&pending.return_to, refusal);
        self.finish(pending, answer).await
    }

    /// Spends the pushed request that the flow began with. Only now: a browser or a mail filter may have looked at the
    /// address before the person did (FAPI 2.0 Security Profile section 5.3.2.2).
    async fn spend_pushed(
        &self,
        pending: &PendingAuthorization,
    ) -> Result<Option<Spent>, OAuthError> {
        let Some(taken_up) = &pending.pushed else {
            return Ok(None);
        };
        let spent = self.flow.store.spend_pushed_request(taken_up).await?;
        Ok(Some(spent))
    }

    /// Closes the flow with the answer that ends it.
    pub(super) async fn finish(
        &self,
        pending: &PendingAuthorization,
        mut response: Response,
    ) -> Result<Response, PageError> {
        if let Some(handle) = self.handle {
            let now = self.flow.clock.now();
            let cookie = self.cookies.finish(handle, &pending.client_id, now).await?;
            let dropped = self.cookies.drop_oldest(handle);
            cookies::set(response.headers_mut(), dropped.into_iter().chain([cookie]));
        }
        Ok(response)
    }
}
