//! "Continue as …?": somebody has come from an upstream, and nothing proves that this browser's person wanted that. Any
//! site could have sent the browser with a credential of somebody else's, and the person would then work in a stranger's
//! account (T25).

use askama::Template;
use axum::extract::FromRef as _;
use axum::http::StatusCode;
use axum::response::Response;

use crate::flow::Flow;
use crate::keys::Secrets;
use crate::upstream::{Identity, Upstream};

use super::arrival::{ANSWER_SECONDS, Arrival, Arrivals, Who};
use super::context;
use super::cookies::{self, RequestCookies};
use super::error::{PageError, Trouble};
use super::flow_cookie::FlowCookies;
use super::form::{self, PageForm};
use super::login;
use super::page::{self, FormTargets, Page};
use super::resume::{self, OpenFlow};
use super::return_to::see_other;
use super::signed_in::SignedIn;
use super::state::HttpState;

#[derive(Template)]
#[template(path = "pages/landing.html")]
struct QuestionPage {
    page: Page,
    question: String,
    go_on_as: String,
    arrived_as: String,
    action: String,
    arrival: String,
    form_token: String,
    /// The flow that waits, where one does.
    flow: Option<String>,
}

/// What is asked, and where the answer goes.
pub(super) struct Question<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) handle: &'a str,
    pub(super) arrival: Arrival,
    /// Our own address that takes the answer.
    pub(super) action: String,
    /// Where the redirects after the answer may end.
    pub(super) ends_at: Option<&'a str>,
}

/// What the form's token covers.
fn about<'a>(handle: &'a str, flow: Option<&'a str>) -> [&'a str; 3] {
    ["arrival", handle, flow.unwrap_or_default()]
}

/// Shows the page; who it is waits in the arrival's cookie.
pub(super) async fn ask(
    state: &HttpState,
    request_cookies: &RequestCookies,
    mut question: Question<'_>,
) -> Result<Response, PageError> {
    let page = Page::current();
    let secrets = Secrets::from_ref(state);
    let Who::Person(identity) = &question.arrival.who else {
        return Err(PageError::new(Trouble::Form));
    };
    let name = identity.profile.display_name().unwrap_or(&identity.subject);
    let (handle, flow) = (question.handle, question.arrival.flow.clone());
    let template = QuestionPage {
        question: (page.texts.go_on_as_question)(name),
        go_on_as: (page.texts.go_on_as)(name),
        arrived_as: (page.texts.arrived_as)(context::text(&question.upstream.label), name),
        action: question.action,
        arrival: handle.to_owned(),
        form_token: form::token(&secrets, &about(handle, flow.as_deref()))?,
        flow,
        page,
    };
    let targets = FormTargets::ending_at(question.ends_at);
    let mut response = page::render(StatusCode::OK, &template, &targets);
    let now = Flow::from_ref(state).clock.now();
    question.arrival.until = now + ANSWER_SECONDS;
    let arrivals = Arrivals::of(state, request_cookies);
    let kept = arrivals.keep(handle, &question.arrival, now).await?;
    cookies::set(response.headers_mut(), [kept]);
    Ok(response)
}

/// Asks for a flow of this browser, unless the person is signed in here as the very one who has come.
pub(super) async fn is_needed(
    open: &OpenFlow,
    upstream: &Upstream,
    identity: &Identity,
) -> Result<bool, PageError> {
    match &open.logged_in {
        Some(who) => Ok(!open
            .flow
            .is_same_person(who, &upstream.id, identity)
            .await?),
        None => Ok(true),
    }
}

/// The arrival that a form of ours says yes to: its handle, and who it is. `None` where it is gone: most likely, a yes before
/// this one has used it.
pub(super) async fn answered<'a>(
    state: &HttpState,
    form: &'a PageForm,
    request_cookies: &RequestCookies,
    belongs_here: impl Fn(&Arrival) -> bool,
) -> Result<Option<(&'a str, Arrival, Identity)>, PageError> {
    let secrets = Secrets::from_ref(state);
    let handle = form.field("arrival")?;
    form.require_token(&secrets, &about(handle, form.optional("flow")?))?;
    let now = Flow::from_ref(state).clock.now();
    let arrivals = Arrivals::of(state, request_cookies);
    let Some(mut arrival) = arrivals.find(handle, now).await? else {
        return Ok(None);
    };
    if !belongs_here(&arrival) {
        return Err(PageError::new(Trouble::Away));
    }
    match std::mem::replace(&mut arrival.who, Who::Anonymous) {
        Who::Person(identity) => Ok(Some((handle, arrival, *identity))),
        Who::Anonymous | Who::Refused(_) => Err(PageError::new(Trouble::Form)),
    }
}

/// A yes to an arrival that is gone goes on as the flow does by now, or says that it has ended, as every page's second click
/// does. It signs nobody in, and the flow is this browser's or none.
pub(super) async fn again(
    state: &HttpState,
    form: &PageForm,
    flow_cookies: FlowCookies,
    signed_in: SignedIn,
) -> Result<Response, PageError> {
    let flow = form.optional("flow")?;
    let flow = flow.ok_or_else(|| PageError::new(Trouble::Away))?;
    let open = OpenFlow::find(state, flow_cookies, signed_in, flow).await?;
    Ok(see_other(&resume::url(&open.handle)))
}

/// The yes finishes the flow that waits in this browser.
pub(super) async fn go_on(
    state: &HttpState,
    upstream: &Upstream,
    (handle, identity): (&str, Identity),
    open: OpenFlow,
    request_cookies: &RequestCookies,
) -> Result<Response, PageError> {
    if !open.client.allows_upstream(&upstream.id) {
        return Err(PageError::new(Trouble::Away));
    }
    let mut response = Box::pin(login::finish(state, open, upstream, identity)).await?;
    let used = Arrivals::of(state, request_cookies).forget(handle);
    cookies::set(response.headers_mut(), [used]);
    Ok(response)
}
