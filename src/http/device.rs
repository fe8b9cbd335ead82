//! `/device`: where a person takes the code that a device shows (RFC 8628 section 3.3): the code, a login, and a question
//! that is asked whatever was agreed to before, for the code may be somebody else's who sent it to them (section 5.4).

use askama::Template;
use axum::Router;
use axum::extract::{FromRef, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::flow::device::Entered;
use crate::flow::{Flow, LoggedIn, Step, errand};
use crate::keys::Secrets;
use crate::model::authorization::Errand;
use crate::model::client::ConsentPolicy;
use crate::protocol::device::UserCode;
use crate::protocol::discovery::path;
use crate::protocol::error::OAuthError;
use crate::protocol::issuer::Issuer;
use crate::protocol::params::Params;
use crate::store::Store;
use crate::tokens::Mint;

use super::app_logo::AppLogo;
use super::app_pages::AppPages;
use super::client_address::ClientAddress;
use super::consent;
use super::context;
use super::cookies;
use super::error::{Link, PageError, Trouble};
use super::flow_cookie::FlowCookies;
use super::form::{self, PageForm};
use super::login::display_name;
use super::page::{self, FormTargets, Page};
use super::resume::{self, FlowRequest, OpenFlow};
use super::return_to::see_other;
use super::signed_in::SignedIn;
use super::state::{HttpState, Upstreams};

/// Where the person is asked.
pub(super) const CONFIRM_PATH: &str = "/device/confirm";
const DONE_PATH: &str = "/device/done";
const DENIED_PATH: &str = "/device/denied";

pub(super) fn router() -> Router<HttpState> {
    Router::new()
        .route(path::DEVICE, get(show).post(entered))
        .route(CONFIRM_PATH, get(ask).post(answered))
        .route(DONE_PATH, get(done))
        .route(DENIED_PATH, get(denied))
}

#[derive(Template)]
#[template(path = "pages/device.html")]
struct EnterPage {
    page: Page,
    notice: Option<&'static str>,
    typed: String,
    flow: String,
    form_token: String,
}

#[derive(Template)]
#[template(path = "pages/device_confirm.html")]
struct ConfirmPage {
    page: Page,
    title: String,
    user_code: String,
    signed_in_as: String,
    intro: String,
    scopes: Vec<String>,
    resources: Vec<String>,
    flow: String,
    shown: String,
    form_token: String,
    app_logo: Option<AppLogo>,
    app: AppPages,
}

#[derive(Template)]
#[template(path = "pages/device_done.html")]
struct DonePage {
    page: Page,
    title: &'static str,
    text: &'static str,
}

/// The way to try another code.
fn to_start() -> Link {
    Link {
        href: path::DEVICE.to_owned(),
        text: Page::current().texts.device_title.to_owned(),
    }
}

/// The form; with the code in it, where the link brought one (section 3.3.1). Nothing is looked up before it is sent.
async fn show(
    State(state): State<HttpState>,
    cookies: FlowCookies,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let flow = Flow::from_ref(&state);
    let now = flow.clock.now();
    let errand = Errand::Device { user_code: None };
    let (_, pending) = errand::begin(&Issuer::from_ref(&state), errand, None, now)?;
    let (handle, set) = cookies.begin(&pending, now).await?;
    let params = Params::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let linked = params.get("user_code").unwrap_or_default();
    let typed = linked.and_then(UserCode::parse);
    let typed = typed.map(|code| code.to_string()).unwrap_or_default();
    let mut response = enter_page(&state, handle, typed, None)?;
    cookies::set(response.headers_mut(), set);
    Ok(response)
}

fn enter_page(
    state: &HttpState,
    handle: String,
    typed: String,
    notice: Option<&'static str>,
) -> Result<Response, PageError> {
    let status = match notice {
        None => StatusCode::OK,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let template = EnterPage {
        notice,
        typed,
        form_token: form::token(&Secrets::from_ref(state), &["device", &handle])?,
        flow: handle,
        page: Page::current().shown_at(path::DEVICE),
    };
    Ok(page::render(status, &template, &FormTargets::default()))
}

async fn entered(
    State(state): State<HttpState>,
    cookies: FlowCookies,
    signed_in: SignedIn,
    ClientAddress(address): ClientAddress,
    form: PageForm,
) -> Result<Response, PageError> {
    let handle = form.field("flow")?.to_owned();
    let open = OpenFlow::find(&state, cookies, signed_in, &handle).await?;
    // Another site must not use up the tries of this browser's address.
    form.require_token(&Secrets::from_ref(&state), &["device", &handle])?;
    let typed = form.optional("user_code")?.unwrap_or_default();
    let (flow, logged_in) = (&open.flow, open.logged_in.as_ref());
    let texts = Page::current().texts;
    let outcome = flow.enter_user_code(typed, &address, logged_in).await?;
    let (code, user_code) = match outcome {
        Entered::Waiting(code, user_code) => (code, user_code),
        Entered::Unknown => {
            let typed = typed.chars().take(64).collect();
            return enter_page(&state, handle, typed, Some(texts.device_unknown));
        }
        Entered::TooMany => {
            return enter_page(&state, handle, String::new(), Some(texts.device_too_many));
        }
    };
    let stored = Store::from_ref(&state).find_client(&code.client_id).await;
    let client = stored.map_err(OAuthError::from)?;
    let client = client
        .ok_or_else(|| PageError::new(Trouble::Device))?
        .client;
    let issuer = Issuer::from_ref(&state);
    let now = flow.clock.now();
    let (client, pending) = errand::begin_for_device(&issuer, &client, &code, user_code, now)
        .map_err(PageError::request)?;
    let request = FlowRequest {
        flow,
        cookies: &open.cookies,
        handle: Some(&handle),
    };
    let picked = open.signed_in.pick(flow, &client, &pending).await?;
    resume::advance(request, &client, pending, picked).await
}

/// The code that the flow is about and who is to answer; `None` when something else comes first.
async fn question(open: &OpenFlow) -> Result<Option<(&UserCode, &LoggedIn)>, OAuthError> {
    let (Step::Confirm, Some(who)) = (open.next_step().await?, &open.logged_in) else {
        return Ok(None);
    };
    Ok(match &open.pending.errand {
        Some(Errand::Device {
            user_code: Some(user_code),
        }) => Some((user_code, who)),
        _ => None,
    })
}

/// What the form's token is about: the session, the code on the page, and what else that shows (T14, T16, T17).
fn token_about<'a>(
    handle: &'a str,
    user_code: &'a UserCode,
    who: &'a LoggedIn,
    shown: &'a str,
) -> [&'a str; 5] {
    let session = who.session.id.as_str();
    ["device answer", handle, session, user_code.as_str(), shown]
}

async fn ask(
    State(state): State<HttpState>,
    cookies: FlowCookies,
    signed_in: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let handle = resume::handle_of(query.as_deref())?;
    let open = OpenFlow::find(&state, cookies, signed_in, &handle).await?;
    let Some((user_code, who)) = question(&open).await? else {
        return Ok(see_other(&resume::url(&handle)));
    };
    let page = Page::current().shown_at(&resume::url(&handle));
    let texts = page.texts;
    let app = open.client.display_name_in(context::locale());
    let shown = consent::shown(&open)?;
    let about = token_about(&handle, user_code, who, &shown);
    let template = ConfirmPage {
        title: (texts.device_confirm_title)(app),
        user_code: user_code.to_string(),
        signed_in_as: (texts.signed_in_as)(display_name(who)),
        intro: (texts.consent_intro)(app),
        scopes: consent::describe_all(
            texts,
            &Upstreams::from_ref(&state),
            &open.flow.scopes,
            &open.pending.request.scope,
        ),
        resources: consent::resource_names(
            &Mint::from_ref(&state),
            &open.pending.request.resources,
        ),
        form_token: form::token(&Secrets::from_ref(&state), &about)?,
        shown,
        flow: handle.clone(),
        app_logo: AppLogo::of(&state, &open.client, texts),
        app: AppPages::of_flow(&open, texts),
        page,
    };
    Ok(page::render(
        StatusCode::OK,
        &template,
        &FormTargets::default(),
    ))
}

async fn answered(
    State(state): State<HttpState>,
    cookies: FlowCookies,
    signed_in: SignedIn,
    form: PageForm,
) -> Result<Response, PageError> {
    let handle = form.field("flow")?.to_owned();
    let open = OpenFlow::find(&state, cookies, signed_in, &handle).await?;
    let Some((user_code, who)) = question(&open).await? else {
        return Ok(see_other(&resume::url(&handle)));
    };
    let shown = form.field("shown")?;
    let about = token_about(&handle, user_code, who, shown);
    form.require_token(&Secrets::from_ref(&state), &about)?;
    let yes = match form.field("decision")? {
        "allow" => true,
        "deny" => false,
        _ => return Err(PageError::new(Trouble::Form)),
    };
    if yes && consent::shown(&open)? != shown {
        // The client may have something else than when the page was made: that is asked.
        return Ok(see_other(&resume::url(&handle)));
    }
    let in_time = open
        .flow
        .answer_device(&open.client, &open.pending, user_code, who, yes)
        .await?;
    if yes && in_time && open.client.consent == ConsentPolicy::Once {
        let (client, pending) = (&open.client, &open.pending);
        open.flow.agreed(client, pending, who).await?;
    }
    let answer = match (yes, in_time) {
        (true, true) => see_other(DONE_PATH),
        // A code that has ended gives nothing either.
        (false, _) => see_other(DENIED_PATH),
        (true, false) => PageError::new(Trouble::Device)
            .with_link(Some(to_start()))
            .into_response(),
    };
    open.request().finish(&open.pending, answer).await
}

async fn done() -> Response {
    let texts = Page::current().texts;
    last_page(texts.device_done, texts.device_done_text)
}

async fn denied() -> Response {
    let texts = Page::current().texts;
    last_page(texts.device_denied, texts.device_denied_text)
}

fn last_page(title: &'static str, text: &'static str) -> Response {
    let page = Page::current();
    let template = DonePage { page, title, text };
    page::render(StatusCode::OK, &template, &FormTargets::default())
}
