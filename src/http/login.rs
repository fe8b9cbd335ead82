//! `/login`: the ways to log in, the password form, and the account that is logged in already.

use std::collections::BTreeSet;

use askama::Template;
use axum::Router;
use axum::extract::{FromRef, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use url::form_urlencoded;

use crate::flow::{Accepted, LoggedIn, Origin, Step};
use crate::keys::Secrets;
use crate::model::audit::Event;
use crate::model::authorization::{self, Errand};
use crate::protocol::error::OAuthError;
use crate::protocol::ids::SessionId;
use crate::protocol::params::Params;
use crate::protocol::secret::Secret;
use crate::telemetry::{Entry, note_upstream};
use crate::upstream::{
    Credentials, Identity, LoginError, LoginMethod, MAX_PASSWORD_BYTES, MAX_USERNAME_BYTES,
    Upstream,
};

use super::account;
use super::app_logo::AppLogo;
use super::app_pages::AppPages;
use super::client_address::ClientAddress;
use super::context;
use super::cookies;
use super::error::{Link, PageError, Trouble};
use super::flow_cookie::FlowCookies;
use super::form::{self, PageForm};
use super::page::{self, FormTargets, Page};
use super::resume::{self, OpenFlow};
use super::return_to::see_other;
use super::signed_in::SignedIn;
use super::state::{HttpState, Upstreams};
use super::texts::Texts;

/// The box "Keep me signed in".
const KEEP_SIGNED_IN: &str = "keep_signed_in";

pub(super) fn router() -> Router<HttpState> {
    Router::new().route("/login", get(show).post(submit))
}

#[derive(Template)]
#[template(path = "pages/login.html")]
struct LoginPage {
    page: Page,
    heading: String,
    flow: String,
    form_token: String,
    notice: Option<String>,
    /// Whether the notice carries the request's number.
    notice_id: bool,
    people: People,
    password_form: Option<PasswordForm>,
    /// Whether the password form has to say whose it is.
    several: bool,
    ways: Vec<Way>,
    app_logo: Option<AppLogo>,
    app: AppPages,
    /// Where to go who has thought better of it.
    turn_back: Option<Link>,
    /// Whether an app waits that can be told so.
    can_cancel: bool,
    /// The box "Keep me signed in", and whether it is ticked.
    keep: Option<bool>,
}

/// What the page says of those who are signed in here.
struct People {
    /// The accounts that are signed in here, where one is to be chosen.
    accounts: Vec<AccountChoice>,
    /// Said where the one account is the current one.
    signed_in_as: Option<String>,
    /// Whose login is wanted, where several are signed in.
    sign_in_again_as: Option<String>,
    /// Whom a logout has left signed in, where the page does not offer them: whoever logs in is beside them.
    left: Vec<String>,
}

impl People {
    async fn of(open: &OpenFlow, texts: &Texts, upstreams: &Upstreams) -> Result<Self, OAuthError> {
        let step = open.next_step().await?;
        let here = open.logged_in.as_ref();
        let is_here = |who: &LoggedIn| here.is_some_and(|here| here.session.id == who.session.id);
        let accounts: Vec<&LoggedIn> = match step {
            Step::SelectAccount => open.choice.iter().collect(),
            Step::OtherAccount => open.choice.iter().filter(|who| !is_here(who)).collect(),
            _ => Vec::new(),
        };
        let signed_in_as = match accounts.as_slice() {
            [only] if is_here(only) => Some((texts.signed_in_as)(display_name(only))),
            _ => None,
        };
        let again = here.filter(|who| {
            matches!(step, Step::Login)
                && (open.signed_in.all().count() > 1 || open.errand_for_the_account())
                && open.may_answer(who)
        });
        let is_offered = |who: &LoggedIn| {
            let mut offered = accounts.iter();
            offered.any(|each| each.session.id == who.session.id)
        };
        let has_left_some = match open.signed_in.current() {
            None => true,
            Some(current) => matches!(step, Step::Login) && open.is_for_others_than(current),
        };
        let left = open
            .signed_in
            .all()
            .filter(|who| has_left_some && !open.asks_for_other() && !is_offered(who));
        Ok(Self {
            left: left.map(|who| in_full(upstreams, who)).collect(),
            accounts: accounts
                .into_iter()
                .map(|who| account_choice(texts, upstreams, who))
                .collect(),
            signed_in_as,
            sign_in_again_as: again.map(|who| (texts.sign_in_again_as)(display_name(who))),
        })
    }
}

struct AccountChoice {
    session: SessionId,
    go_on_as: String,
    /// What tells it from another of that name.
    in_full: String,
}

struct PasswordForm {
    upstream: String,
    label: String,
    username: String,
    away: Option<String>,
}

struct Way {
    upstream: String,
    text: String,
    redirect: bool,
    /// That it does not answer at the moment.
    away: Option<String>,
}

/// Something to tell above the form.
pub(super) enum Notice {
    /// The flow started itself again.
    TooOld,
    /// A field was empty.
    Missing,
    /// A field was too long.
    TooLong,
    /// The account of this name may not use this app.
    OtherAccount(String, String),
    /// This upstream could not be asked whether its person is still who they were.
    Unconfirmed(String),
    /// Several flows were away at one upstream, and it did not say which came back.
    Ambiguous,
    /// Whoever logged in is not the person that the page is for.
    SomebodyElse,
    /// The login that is to be linked is one of the account's own.
    LinkedAlready,
    /// The account has a login of that upstream.
    SameUpstream(String),
    /// The login with our form failed at this upstream.
    Failed(String, LoginError),
    /// The person came back from this upstream's own page, without success.
    Returned(String, LoginError),
}

impl Notice {
    const fn status(&self) -> StatusCode {
        match self {
            Self::TooOld => StatusCode::OK,
            Self::OtherAccount(..) => StatusCode::FORBIDDEN,
            Self::Unconfirmed(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Missing | Self::TooLong | Self::Ambiguous => StatusCode::BAD_REQUEST,
            Self::SomebodyElse | Self::LinkedAlready | Self::SameUpstream(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Failed(_, error) | Self::Returned(_, error) => match error {
                // Not 401: that would need a challenge. Password managers take any 4xx for a failed login.
                LoginError::BadCredentials(_) | LoginError::Cancelled => {
                    StatusCode::UNPROCESSABLE_ENTITY
                }
                LoginError::NotAllowed(_) | LoginError::NoPerson(_) | LoginError::Anonymous => {
                    StatusCode::FORBIDDEN
                }
                LoginError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
                LoginError::Protocol(_) => StatusCode::BAD_GATEWAY,
            },
        }
    }

    fn text(&self, texts: &Texts) -> String {
        match self {
            Self::TooOld => texts.page_too_old.to_owned(),
            Self::Missing => texts.username_missing.to_owned(),
            Self::TooLong => texts.password_too_long.to_owned(),
            Self::Ambiguous => texts.several_sign_ins.to_owned(),
            Self::SomebodyElse => texts.somebody_else.to_owned(),
            Self::LinkedAlready => texts.linked_already.to_owned(),
            Self::SameUpstream(label) => (texts.same_upstream)(label),
            Self::OtherAccount(app, name) => (texts.other_account_needed)(app, name),
            Self::Unconfirmed(label) => (texts.upstream_unavailable)(label),
            // Nobody typed anything here: what was refused is the code they came back with.
            Self::Returned(label, LoginError::BadCredentials(_)) => (texts.not_accepted)(label),
            Self::Failed(label, error) | Self::Returned(label, error) => match error {
                LoginError::BadCredentials(_) => texts.bad_credentials.to_owned(),
                LoginError::NotAllowed(_) | LoginError::NoPerson(_) => texts.not_allowed.to_owned(),
                LoginError::Anonymous => (texts.not_signed_in)(label),
                LoginError::Cancelled => texts.cancelled.to_owned(),
                LoginError::Unavailable(_) | LoginError::Protocol(_) => {
                    (texts.upstream_unavailable)(label)
                }
            },
        }
    }

    /// Where there is something for an administrator to look up.
    const fn has_id(&self) -> bool {
        matches!(
            self,
            Self::Failed(
                _,
                LoginError::NotAllowed(_)
                    | LoginError::NoPerson(_)
                    | LoginError::Unavailable(_)
                    | LoginError::Protocol(_)
            ) | Self::Returned(..)
                | Self::Unconfirmed(_)
        )
    }
}

/// What the page is to show besides the ways to log in.
#[derive(Default)]
pub(super) struct Show {
    pub(super) notice: Option<Notice>,
    /// The upstream whose password form to open, as the URL or the last form said.
    pub(super) upstream: Option<String>,
    /// What was typed.
    pub(super) username: Option<String>,
}

async fn show(
    State(state): State<HttpState>,
    cookies: FlowCookies,
    signed_in: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let handle = resume::handle_of(query.as_deref())?;
    let open = OpenFlow::find(&state, cookies, signed_in, &handle).await?;
    let asked = open.asks_for_other();
    let notice = match open.next_step().await? {
        Step::Login | Step::SelectAccount if !asked => unconfirmed(&state, &open),
        Step::OtherLogin if asked => None,
        Step::OtherAccount if !asked => open.logged_in.as_ref().map(|who| {
            let lacking = open.client.lacking(&who.account.profile);
            let entry = Entry::new(Event::NotAdmitted)
                .client(&open.client.client_id)
                .account(&who.account.id)
                .session(&who.session.id)
                .with("lacking", lacking);
            open.flow.audit.record(entry);
            let app = open.client.display_name_in(context::locale()).to_owned();
            Notice::OtherAccount(app, display_name(who).to_owned())
        }),
        // The back button, or another tab was quicker: nothing to ask here any more, or something else.
        _ => return Ok(see_other(&resume::url(&handle))),
    };
    let params = Params::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let somebody_else = || open.is_somebody_else().then_some(Notice::SomebodyElse);
    let show = Show {
        notice: if open.restarted {
            Some(Notice::TooOld)
        } else {
            notice.or_else(somebody_else)
        },
        upstream: params.get("upstream").ok().flatten().map(ToOwned::to_owned),
        username: None,
    };
    page(&state, &open, show).await
}

/// That the session there is could not be confirmed, if that is why the person sees this page.
fn unconfirmed(state: &HttpState, open: &OpenFlow) -> Option<Notice> {
    let session = &open.logged_in.as_ref()?.session;
    let upstreams = Upstreams::from_ref(state);
    let upstream = upstreams.find(session.upstream.as_str())?;
    if open.pending.unconfirmed.as_ref() != Some(&session.id) {
        return None;
    }
    let entry = Entry::new(Event::LoginUnconfirmed)
        .upstream(&upstream.id)
        .account(&session.account_id)
        .session(&session.id);
    open.flow.audit.record(entry);
    Some(Notice::Unconfirmed(
        context::text(&upstream.label).to_owned(),
    ))
}

/// Where the page is shown again, without what was typed.
fn address(handle: &str, asked: Option<&Upstream>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("flow", handle);
    if let Some(upstream) = asked {
        query.append_pair("upstream", upstream.id.as_str());
    }
    format!("/login?{}", query.finish())
}

/// Renders the login page of a flow.
pub(super) async fn page(
    state: &HttpState,
    open: &OpenFlow,
    show: Show,
) -> Result<Response, PageError> {
    let upstreams = Upstreams::from_ref(state);
    let asked = show.upstream.as_deref();
    let asked = asked.and_then(|id| upstreams.find(id));
    let page = Page::current().shown_at(&address(&open.handle, asked));
    let texts = page.texts;
    let own = account::own_upstreams(open).await?;
    let allowed: Vec<&Upstream> = upstreams
        .allowed(|id| {
            let is_wanted = |own: &BTreeSet<_>| own.contains(id) != open.asks_for_other();
            open.client.allows_upstream(id)
                && open.may_satisfy(id)
                && own.as_ref().is_none_or(is_wanted)
        })
        .collect();
    let offered: Vec<(&Upstream, LoginMethod)> = allowed
        .iter()
        .flat_map(|upstream| upstream.login.iter().map(|method| (*upstream, *method)))
        .collect();
    // A form opens by itself where it is the only way, or where it was asked for.
    let opened = offered.iter().position(|(upstream, method)| {
        *method == LoginMethod::Password
            && (offered.len() == 1 || show.upstream.as_deref() == Some(upstream.id.as_str()))
    });
    let ways = offered
        .iter()
        .enumerate()
        .filter(|(index, _)| Some(*index) != opened);
    let ways = ways.map(|(_, (upstream, method))| {
        // Two ways to the same people must not look the same.
        let text = match method {
            LoginMethod::Password if upstream.login.len() > 1 => texts.continue_to_by_password,
            _ => texts.continue_to,
        };
        Way {
            upstream: upstream.id.to_string(),
            text: text(context::text(&upstream.label)),
            redirect: *method == LoginMethod::Redirect,
            away: away(texts, upstream),
        }
    });
    let ways = ways.collect();
    let hint = open.pending.request.login_hint.clone();
    let password_form = opened
        .and_then(|index| offered.get(index))
        .map(|(upstream, _)| PasswordForm {
            upstream: upstream.id.to_string(),
            label: context::text(&upstream.label).to_owned(),
            username: show.username.or(hint).unwrap_or_default(),
            // The notice says it already.
            away: away(texts, upstream).filter(|_| show.notice.is_none()),
        });
    let people = People::of(open, texts, &upstreams).await?;
    let status = show.notice.as_ref().map_or(StatusCode::OK, Notice::status);
    let secrets = Secrets::from_ref(state);
    let template = LoginPage {
        heading: match &open.pending.errand {
            None | Some(Errand::Device { .. }) => {
                (texts.sign_in_to)(open.client.display_name_in(context::locale()))
            }
            Some(Errand::Account) => texts.sign_in_to_account.to_owned(),
            Some(errand) if errand.asks_for_other() => texts.sign_in_other.to_owned(),
            Some(_) => texts.sign_in_again.to_owned(),
        },
        turn_back: open.errand_for_the_account().then(resume::to_account),
        can_cancel: open.pending.errand.is_none(),
        keep: keep_box(open),
        flow: open.handle.clone(),
        form_token: form::token(&secrets, &["login", &open.handle])?,
        notice_id: show.notice.as_ref().is_some_and(Notice::has_id),
        notice: show.notice.map(|notice| notice.text(texts)),
        people,
        password_form,
        several: offered.len() > 1,
        ways,
        app_logo: AppLogo::of(state, &open.client, texts),
        app: AppPages::of_flow(open, texts),
        page,
    };
    let sites = allowed
        .iter()
        .filter_map(|upstream| Some(upstream.redirect.as_ref()?.site().as_str()));
    let ends = sites.chain([open.pending.return_to.redirect_uri()]);
    let targets = FormTargets::ending_at(ends);
    let mut response = page::render(status, &template, &targets);
    if open.restarted {
        cookies::set(response.headers_mut(), [open.save().await?]);
    }
    cookies::set(response.headers_mut(), open.signed_in.dropped());
    Ok(response)
}

/// What to say beside a way that does not lead in at the moment. It may be tried all the same: that is how its return is
/// noticed.
fn away(texts: &Texts, upstream: &Upstream) -> Option<String> {
    upstream
        .is_away()
        .then(|| (texts.away_now)(context::text(&upstream.label)))
}

fn account_choice(texts: &Texts, upstreams: &Upstreams, who: &LoggedIn) -> AccountChoice {
    AccountChoice {
        session: who.session.id.clone(),
        go_on_as: (texts.go_on_as)(display_name(who)),
        in_full: in_full(upstreams, who),
    }
}

/// Who somebody is among the accounts of a browser: their name, what they log in with, and where.
pub(super) fn in_full(upstreams: &Upstreams, who: &LoggedIn) -> String {
    let name = display_name(who);
    let username = who.account.profile.preferred_username.as_deref();
    let username = username.filter(|username| *username != name);
    let label = account::label(upstreams, &who.session.upstream);
    let parts = [Some(name), username, Some(label.as_str())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// Why nobody gets into a closed account.
pub(super) fn closed() -> LoginError {
    LoginError::NotAllowed("the account is closed".to_owned())
}

/// What to call somebody on a page.
pub(super) fn display_name(who: &LoggedIn) -> &str {
    let profile = &who.account.profile;
    profile
        .display_name()
        .unwrap_or(who.account.subject.as_str())
}

async fn submit(
    State(state): State<HttpState>,
    cookies: FlowCookies,
    signed_in: SignedIn,
    ClientAddress(address): ClientAddress,
    form: PageForm,
) -> Result<Response, PageError> {
    let handle = form.field("flow")?.to_owned();
    let mut open = OpenFlow::find(&state, cookies, signed_in, &handle).await?;
    form.require_token(&Secrets::from_ref(&state), &["login", &handle])?;
    match form.optional("action")? {
        Some("continue") => return choose_account(open, form.optional("session")?).await,
        Some("cancel") => return cancel(open).await,
        _ => {}
    }
    note_choice(&mut open, &form)?;
    let upstreams = Upstreams::from_ref(&state);
    // The upstream is held against the client here, and not only on the page (T15).
    let found = upstreams
        .find(form.field("upstream")?)
        .filter(|upstream| open.client.allows_upstream(&upstream.id))
        .and_then(|upstream| Some((upstream, upstream.password.as_deref()?)));
    let Some((upstream, login)) = found else {
        return Err(PageError::new(Trouble::Form));
    };
    note_upstream(&upstream.id);
    let username = form
        .optional("username")?
        .unwrap_or_default()
        .trim()
        .to_owned();
    let password = form.optional("password")?.unwrap_or_default();
    let again = |notice| Show {
        notice: Some(notice),
        upstream: Some(upstream.id.to_string()),
        username: Some(username.clone()),
    };
    if username.is_empty() {
        return page(&state, &open, again(Notice::Missing)).await;
    }
    if username.len() > MAX_USERNAME_BYTES || password.len() > MAX_PASSWORD_BYTES {
        return page(
            &state,
            &open,
            Show {
                username: None,
                ..again(Notice::TooLong)
            },
        )
        .await;
    }
    let credentials = Credentials {
        username: username.clone(),
        password: Secret::new(password),
    };
    let logins = open.flow.logins.clone();
    let origin = Origin::Address(&address);
    let outcome = logins.try_password(&upstream.id, login, &credentials, origin);
    match outcome.await {
        // Whom the upstream takes has proven who they are, wherever they may go from here. Both are written at the same time: on
        // SQLite a disk that fails the one may fail the other with it.
        Ok(Accepted { identity, attempt }) => {
            let finished = Box::pin(finish(&state, open, upstream, identity));
            let (response, ()) = tokio::join!(finished, logins.admit(attempt));
            response
        }
        Err(error) => {
            let notice = Notice::Failed(context::text(&upstream.label).to_owned(), error);
            page(&state, &open, again(notice)).await
        }
    }
}

/// The person chooses one of the accounts that are signed in here, which is the current one from now on. One that has gone
/// meanwhile chooses nothing: the page says anew what there is.
async fn choose_account(mut open: OpenFlow, session: Option<&str>) -> Result<Response, PageError> {
    let mut ids = open.choice.iter().map(|who| &who.session.id);
    let chosen = ids.find(|id| Some(id.as_str()) == session);
    let Some(chosen) = chosen.cloned() else {
        return open.resume().await;
    };
    open.pending.selected = Some(chosen.clone());
    let mut response = open.resume().await?;
    cookies::set(response.headers_mut(), open.signed_in.switched_to(&chosen));
    Ok(response)
}

/// The person does not log in: the app is told, and a session that there is stays (OpenID Connect Core section 3.1.2.6).
async fn cancel(open: OpenFlow) -> Result<Response, PageError> {
    if open.pending.errand.is_some() {
        return Err(PageError::new(Trouble::Form));
    }
    open.request()
        .refuse(&open.pending, &authorization::denied())
        .await
}

/// A login succeeded: the browser gets a fresh cookie in place of whatever it had (T24), and the flow goes on. A login that
/// is to be linked leaves the browser's session as it is.
pub(super) async fn finish(
    state: &HttpState,
    mut open: OpenFlow,
    upstream: &Upstream,
    identity: Identity,
) -> Result<Response, PageError> {
    if open.asks_for_other() {
        return account::other_login(state, open, upstream, identity).await;
    }
    if open.errand_for_the_account() && !open.is_for(&upstream.id, &identity).await? {
        // A page of the account's: whoever else logs in there changes nothing for those who are signed in.
        let entry = Entry::new(Event::LoginRefused)
            .upstream(&upstream.id)
            .with("reason", "the page is for another person");
        open.flow.audit.record(entry);
        let show = Show {
            notice: Some(Notice::SomebodyElse),
            ..Show::default()
        };
        return page(state, &open, show).await;
    }
    let persistent = open.pending.keep_signed_in == Some(true);
    // "Use another account" takes nothing from the one that is there, nor does a page that cannot be for it.
    let step = open.next_step().await?;
    let current = open.signed_in.current();
    let adds = match step {
        Step::SelectAccount | Step::OtherAccount => true,
        _ => current.is_some_and(|current| open.is_for_others_than(current)),
    };
    let before = open.signed_in.before(adds);
    let logins = &open.flow.logins;
    let Some(new) = logins
        .log_in(&upstream.id, identity, before, persistent)
        .await?
    else {
        let show = Show {
            notice: Some(Notice::Failed(
                context::text(&upstream.label).to_owned(),
                closed(),
            )),
            ..Show::default()
        };
        return page(state, &open, show).await;
    };
    open.pending.logged_in = Some(new.logged_in.session.id.clone());
    open.pending.selected = None;
    // The session stands, also where the flow has ended meanwhile: nobody else would have its cookie.
    let mut response = open
        .resume()
        .await
        .unwrap_or_else(IntoResponse::into_response);
    cookies::set(response.headers_mut(), open.signed_in.with(&new));
    Ok(response)
}

/// Notes whether the person wants to be kept signed in, as a form that leads to a login says. A box that is not ticked is
/// not sent.
pub(super) fn note_choice(open: &mut OpenFlow, form: &PageForm) -> Result<(), PageError> {
    open.pending.keep_signed_in = Some(form.optional(KEEP_SIGNED_IN)?.is_some());
    Ok(())
}

/// The box of the login page, and whether it is ticked: as the person left it in this flow, or at the login before. `None`:
/// it is not shown, where the administrator does not want it, and where the login does not begin this browser's session.
fn keep_box(open: &OpenFlow) -> Option<bool> {
    let before = open.logged_in.as_ref();
    let before = before.is_some_and(|who| who.session.persistent);
    let offered = open.flow.session_lifetimes.persistent.is_some() && !open.asks_for_other();
    offered.then(|| open.pending.keep_signed_in.unwrap_or(before))
}
