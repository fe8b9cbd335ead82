//! `/account`: what a person can see and end by themselves: their logins, sessions and apps. Nobody signed in: the login
//! page, in a flow that no client asked for (`flow::errand`).
//!
//! Linking and unlinking want a fresh login, and an answer on a page that names everybody concerned: neither somebody at
//! a browser that was left open, nor a site that makes a browser come here, can tie a stranger's login to an account.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::{FromRef, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::clock::UnixTime;
use crate::flow::errand;
use crate::flow::logout::LogoutWay;
use crate::flow::{Flow, LoggedIn, Step};
use crate::keys::Secrets;
use crate::model::account::{Login, UpstreamSubject};
use crate::model::authorization::{Errand, ProvenLogin, ProvenTokens};
use crate::model::session::Session;
use crate::model::vault_entry::NewVaultEntry;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::{AccountId, ClientId, SessionId, UpstreamId};
use crate::protocol::issuer::Issuer;
use crate::protocol::scope::{self, Scope};
use crate::store::{LeadsTo, Linked, NewLink, Store, Unlinked};
use crate::upstream::{Identity, Upstream};
use crate::vault::place_of;

use super::app_links::AppLink;
use super::app_logo::AppLogo;
use super::consent;
use super::context;
use super::cookies;
use super::end_session::{self, Ends, Logout};
use super::error::{PageError, Trouble};
use super::flow_cookie::FlowCookies;
use super::form::{self, PageForm};
use super::login::{self, Notice, Show, display_name};
use super::page::{self, FormTargets, Page};
use super::resume::{self, FlowRequest, OpenFlow, to_account};
use super::return_to::see_other;
use super::sign_off::{self, Departure};
use super::signed_in::SignedIn;
use super::state::{HttpState, Upstreams};
use super::texts::Texts;

/// The account page.
pub(super) const PATH: &str = "/account";
/// Where linking and unlinking are asked about.
pub(super) const CONFIRM_PATH: &str = "/account/confirm";

pub(super) fn router() -> Router<HttpState> {
    Router::new()
        .route(PATH, get(show).post(act))
        .route(CONFIRM_PATH, get(ask).post(confirmed))
}

#[derive(Template)]
#[template(path = "pages/account.html")]
struct AccountPage {
    page: Page,
    signed_in_as: String,
    form_token: String,
    others: Vec<ShownAccount>,
    logins: Vec<ShownLogin>,
    /// Whether there is an upstream without a login of theirs.
    can_link: bool,
    sessions: Vec<ShownSession>,
    links: Vec<AppLink>,
    apps: Vec<ShownApp>,
}

/// Another account that this browser is signed in with.
struct ShownAccount {
    session: SessionId,
    in_full: String,
    switch_to: String,
}

struct ShownLogin {
    label: String,
    name: String,
    last_used: Option<Moment>,
    unlink: Option<UpstreamSubject>,
    unlink_text: String,
}

struct ShownSession {
    id: SessionId,
    label: String,
    device: String,
    address: Option<String>,
    begun: Moment,
    used: Moment,
    here: bool,
}

struct ShownApp {
    client_id: ClientId,
    logo: Option<AppLogo>,
    name: String,
    since: Moment,
    may: Vec<String>,
    end_text: String,
}

/// A moment, for people and for machines; in UTC, for we do not know where the person is.
struct Moment {
    machine: String,
    text: String,
}

impl Moment {
    fn new(time: UnixTime) -> Self {
        let since = Duration::from_secs(u64::try_from(time).unwrap_or_default());
        let machine = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string();
        // `2026-11-25T17:14:22Z`: the day and the minute.
        let day = machine.get(..10).unwrap_or_default();
        let minute = machine.get(11..16).unwrap_or_default();
        Self {
            text: format!("{day} {minute} UTC"),
            machine,
        }
    }
}

#[derive(Template)]
#[template(path = "pages/account_confirm.html")]
struct ConfirmPage {
    page: Page,
    title: String,
    paragraphs: Vec<String>,
    flow: String,
    shown: String,
    form_token: String,
    yes: &'static str,
}

/// Whoever is signed in, unless the account was closed.
fn open_account(signed_in: &SignedIn) -> Option<&LoggedIn> {
    signed_in.current().filter(|who| who.account.is_open())
}

async fn show(
    State(state): State<HttpState>,
    cookies: FlowCookies,
    signed_in: SignedIn,
) -> Result<Response, PageError> {
    match open_account(&signed_in) {
        Some(who) => account_page(&state, &signed_in, who).await,
        None => begin(&state, &cookies, &signed_in, Errand::Account).await,
    }
}

/// Begins a flow of our own, for the current account if there is one, and takes its first step. The way to the account page is for
/// any account: where one is current, for another.
async fn begin(
    state: &HttpState,
    cookies: &FlowCookies,
    signed_in: &SignedIn,
    errand: Errand,
) -> Result<Response, PageError> {
    let flow = Flow::from_ref(state);
    let issuer = Issuer::from_ref(state);
    let who = open_account(signed_in).filter(|_| errand != Errand::Account);
    let chooses = errand == Errand::Account;
    let account = who.map(|who| &who.account);
    let (client, mut pending) = errand::begin(&issuer, errand, account, flow.clock.now())?;
    pending.request.prompt.select_account = chooses;
    let request = FlowRequest {
        flow: &flow,
        cookies,
        handle: None,
    };
    let picked = signed_in.pick(&flow, &client, &pending).await?;
    resume::advance(request, &client, pending, picked).await
}

async fn account_page(
    state: &HttpState,
    signed_in: &SignedIn,
    who: &LoggedIn,
) -> Result<Response, PageError> {
    let page = Page::current();
    let store = Store::from_ref(state);
    let flow = Flow::from_ref(state);
    let upstreams = Upstreams::from_ref(state);
    let account = &who.account.id;
    let now = flow.clock.now();
    let logins = store.list_logins(account).await.map_err(OAuthError::from)?;
    let sessions = store
        .list_sessions(account, now)
        .await
        .map_err(OAuthError::from)?;
    let taken: BTreeSet<&UpstreamId> = logins.iter().map(|login| &login.name.upstream).collect();
    let can_link = upstreams.allowed(|id| !taken.contains(id)).next().is_some();
    let template = AccountPage {
        signed_in_as: (page.texts.signed_in_as)(display_name(who)),
        form_token: token(state, who)?,
        can_link,
        others: signed_in
            .others()
            .filter(|other| other.account.is_open())
            .map(|other| ShownAccount {
                session: other.session.id.clone(),
                in_full: login::in_full(&upstreams, other),
                switch_to: (page.texts.switch_to)(display_name(other)),
            })
            .collect(),
        sessions: sessions
            .iter()
            .filter(|session| session.is_live(now, flow.session_lifetimes))
            .map(|session| shown_session(&upstreams, page.texts, session, who))
            .collect(),
        links: AppLink::all(state, page.texts, who).await?,
        apps: apps(state, &flow, page.texts, who).await?,
        logins: logins
            .iter()
            .map(|login| shown_login(&upstreams, page.texts, login, logins.len() > 1))
            .collect(),
        page,
    };
    // Two of the forms end the session here, and go on to the upstream's sign-off.
    let departure = sign_off::departure(state, &who.session, None, None).await;
    let ends = departure.iter().map(Departure::address);
    let targets = FormTargets::ending_at(ends);
    let mut response = page::render(StatusCode::OK, &template, &targets);
    cookies::set(response.headers_mut(), signed_in.dropped());
    Ok(response)
}

/// The token of the account page's forms: bound to the session (T14).
fn token(state: &HttpState, who: &LoggedIn) -> Result<String, OAuthError> {
    form::token(
        &Secrets::from_ref(state),
        &["account", who.session.id.as_str()],
    )
}

/// What an upstream is called, though it may be gone from the config.
pub(super) fn label(upstreams: &Upstreams, id: &UpstreamId) -> String {
    upstreams.find(id.as_str()).map_or_else(
        || id.to_string(),
        |upstream| context::text(&upstream.label).to_owned(),
    )
}

fn shown_login(upstreams: &Upstreams, texts: &Texts, login: &Login, several: bool) -> ShownLogin {
    let label = label(upstreams, &login.name.upstream);
    ShownLogin {
        unlink_text: (texts.unlink)(&label),
        label,
        name: login.display_name().to_owned(),
        last_used: login.last_login_at.map(Moment::new),
        unlink: several.then(|| login.name.clone()),
    }
}

fn shown_session(
    upstreams: &Upstreams,
    texts: &Texts,
    session: &Session,
    who: &LoggedIn,
) -> ShownSession {
    let device = &session.device;
    ShownSession {
        device: device
            .in_words(texts.browser_on)
            .unwrap_or_else(|| texts.unknown_device.to_owned()),
        address: device.address.clone(),
        id: session.id.clone(),
        label: label(upstreams, &session.upstream),
        begun: Moment::new(session.began_at),
        used: Moment::new(session.last_seen_at),
        here: session.id == who.session.id,
    }
}

/// The apps that may act for the person: by a refresh token, or by a consent that they would not be asked for again.
async fn apps(
    state: &HttpState,
    flow: &Flow,
    texts: &Texts,
    who: &LoggedIn,
) -> Result<Vec<ShownApp>, OAuthError> {
    let upstreams = &Upstreams::from_ref(state);
    let (store, own, now) = (&flow.store, &flow.scopes, flow.clock.now());
    let account = &who.account.id;
    let mut given: BTreeMap<ClientId, (UnixTime, Scope, BTreeSet<String>)> = BTreeMap::new();
    let mut add = |client_id: &ClientId, since: UnixTime, scope: &Scope, claims: BTreeSet<&str>| {
        let entry = given.entry(client_id.clone());
        let entry = entry.or_insert((since, Scope::default(), BTreeSet::new()));
        entry.0 = entry.0.min(since);
        entry.1 = entry.1.joined_with(scope);
        entry.2.extend(claims.into_iter().map(ToOwned::to_owned));
    };
    let (idle, sessions) = (flow.family_lifetime.idle, flow.session_lifetimes);
    let families = store.list_families(account, idle, sessions, now);
    for family in families.await? {
        let claims = family.claims.names();
        add(&family.client_id, family.created_at, &family.scope, claims);
    }
    for consent in store.list_consents(account).await? {
        let claims = consent.claims.iter().map(String::as_str).collect();
        add(
            &consent.client_id,
            consent.granted_at,
            &consent.everything(),
            claims,
        );
    }
    let mut apps = Vec::new();
    for (client_id, (since, scope, mut claims)) in given {
        claims.retain(|claim| !own.open(&scope, claim));
        let client = store.find_client(&client_id).await?;
        let client = client.map(|stored| stored.client);
        let name = client.as_ref().map_or(client_id.as_str(), |client| {
            client.display_name_in(context::locale())
        });
        let mut scope: Vec<&str> = scope.iter().collect();
        scope.sort_by_key(|scope| *scope != scope::OPENID);
        let scope = scope.into_iter();
        let may = scope.map(|scope| consent::describe(texts, upstreams, own, scope));
        let seen = claims.iter();
        let may = may.chain(seen.map(|claim| consent::describe_claim(texts, claim)));
        apps.push(ShownApp {
            logo: client
                .as_ref()
                .and_then(|client| AppLogo::of(state, client, texts)),
            name: name.to_owned(),
            end_text: (texts.end_app)(name),
            since: Moment::new(since),
            may: may.collect(),
            client_id,
        });
    }
    Ok(apps)
}

async fn act(
    State(state): State<HttpState>,
    cookies: FlowCookies,
    signed_in: SignedIn,
    form: PageForm,
) -> Result<Response, PageError> {
    let Some(who) = open_account(&signed_in) else {
        return Err(PageError::new(Trouble::Expired).with_link(Some(to_account())));
    };
    let secrets = Secrets::from_ref(&state);
    form.require_token(&secrets, &["account", who.session.id.as_str()])?;
    let accounts = Flow::from_ref(&state).accounts();
    let account = &who.account.id;
    match form.field("action")? {
        "switch" => {
            let session = SessionId::new(form.field("session")?);
            let mut response = see_other(PATH);
            // One that has ended meanwhile is not there any more.
            if signed_in.find(&session).is_some() {
                cookies::set(response.headers_mut(), signed_in.switched_to(&session));
            }
            Ok(response)
        }
        "add" => begin(&state, &cookies, &signed_in, Errand::Account).await,
        "link" => {
            let errand = Errand::Link {
                asked: false,
                proven: None,
            };
            begin(&state, &cookies, &signed_in, errand).await
        }
        "unlink" => {
            let login = UpstreamSubject {
                upstream: UpstreamId::new(form.field("upstream")?),
                subject: form.field("subject")?.to_owned(),
            };
            begin(&state, &cookies, &signed_in, Errand::Unlink { login }).await
        }
        "end_session" => {
            let session = SessionId::new(form.field("session")?);
            if session == who.session.id {
                let logout = Logout::default();
                let ends = Ends::Here(LogoutWay::Here);
                return end_session::end(&state, &logout, &signed_in, &[who], ends).await;
            }
            let ended = accounts.end_session(account, &session).await;
            ended.map_err(OAuthError::from)?;
            Ok(see_other(PATH))
        }
        "end_all" => {
            let logout = Logout::default();
            end_session::end(&state, &logout, &signed_in, &[who], Ends::Everywhere).await
        }
        "end_app" => {
            let client = ClientId::new(form.field("client_id")?);
            let ended = accounts.end_client(account, &client).await;
            ended.map_err(OAuthError::from)?;
            Ok(see_other(PATH))
        }
        _ => Err(PageError::new(Trouble::Form)),
    }
}

/// Where the account that an errand is for has a login: the page offers these to prove who one is, and the others for another
/// login.
pub(super) async fn own_upstreams(
    open: &OpenFlow,
) -> Result<Option<BTreeSet<UpstreamId>>, OAuthError> {
    let Some(who) = open
        .logged_in
        .as_ref()
        .filter(|_| open.errand_for_the_account() && !open.is_somebody_else())
    else {
        return Ok(None);
    };
    let logins = open.flow.store.list_logins(&who.account.id).await?;
    let upstreams = logins.into_iter().map(|login| login.name.upstream);
    Ok(Some(upstreams.collect()))
}

/// Somebody has logged in whose login is to be linked: they are asked about, and the session stays as it is.
pub(super) async fn other_login(
    state: &HttpState,
    mut open: OpenFlow,
    upstream: &Upstream,
    identity: Identity,
) -> Result<Response, PageError> {
    // Without the person whom the flow is for there is nobody to link to: back to the beginning.
    let (Step::OtherLogin, Some(who)) = (open.next_step().await?, open.logged_in.as_ref()) else {
        return open.resume().await;
    };
    let login = UpstreamSubject {
        upstream: upstream.id.clone(),
        subject: identity.subject,
    };
    let given = identity.tokens.as_ref();
    let tokens = open.flow.logins.keep(&who.session, &upstream.id, given)?;
    let tokens = tokens.map(|kept| ProvenTokens {
        session: who.session.id.clone(),
        sealed: kept.sealed,
    });
    let notice = match open.flow.may_link(&who.account.id, &login).await? {
        None => None,
        Some(Linked::SameUpstream) => Some(Notice::SameUpstream(
            context::text(&upstream.label).to_owned(),
        )),
        Some(Linked::Closed) => Some(Notice::Failed(
            context::text(&upstream.label).to_owned(),
            login::closed(),
        )),
        Some(_) => Some(Notice::LinkedAlready),
    };
    if notice.is_some() {
        let show = Show {
            notice,
            ..Show::default()
        };
        return login::page(state, &open, show).await;
    }
    open.pending.errand = Some(Errand::Link {
        asked: true,
        proven: Some(Box::new(ProvenLogin {
            login,
            profile: identity.profile,
            at: open.flow.clock.now(),
            tokens,
        })),
    });
    open.resume().await
}

/// A flow that waits for a yes, and who has to give it.
struct Question<'a> {
    open: &'a OpenFlow,
    who: &'a LoggedIn,
    about: About<'a>,
    /// The account that a yes closes: where the login leads that is to be linked.
    closes: Option<AccountId>,
}

#[derive(Clone, Copy)]
enum About<'a> {
    Link(&'a ProvenLogin),
    Unlink(&'a UpstreamSubject),
}

impl<'a> Question<'a> {
    /// `None` when something else comes first: then the resume URL says what.
    async fn of(open: &'a OpenFlow) -> Result<Option<Self>, OAuthError> {
        let (Step::Confirm, Some(who)) = (open.next_step().await?, &open.logged_in) else {
            return Ok(None);
        };
        let about = match &open.pending.errand {
            Some(Errand::Link {
                proven: Some(proven),
                ..
            }) => About::Link(proven),
            Some(Errand::Unlink { login }) => About::Unlink(login),
            _ => return Ok(None),
        };
        let leads_to = match about {
            About::Link(proven) => open.flow.store.find_login(&proven.login).await?,
            About::Unlink(_) => None,
        };
        Ok(Some(Self {
            open,
            who,
            about,
            closes: leads_to.filter(|account| *account != who.account.id),
        }))
    }

    /// What the page says beside that: whoever logs in elsewhere makes the login lead to another account.
    fn shown(&self) -> Result<String, OAuthError> {
        let closes = self.closes.as_ref().map_or("", AccountId::as_str);
        form::shown(&self.open.flow.secrets, &[closes])
    }

    /// What the form's token is about: the session, the very login that the page names, for another tab may have
    /// changed that since (T14, T27), and what else it says.
    fn token_about<'b>(&'b self, shown: &'b str) -> [&'b str; 7] {
        let (word, login) = match self.about {
            About::Link(proven) => ("link", &proven.login),
            About::Unlink(login) => ("unlink", login),
        };
        [
            "confirm",
            word,
            &self.open.handle,
            self.who.session.id.as_str(),
            login.upstream.as_str(),
            &login.subject,
            shown,
        ]
    }
}

async fn ask(
    State(state): State<HttpState>,
    cookies: FlowCookies,
    signed_in: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let handle = resume::handle_of(query.as_deref())?;
    let open = OpenFlow::find(&state, cookies, signed_in, &handle).await?;
    let Some(question) = Question::of(&open).await? else {
        return Ok(see_other(&resume::url(&handle)));
    };
    let page = Page::current().shown_at(&resume::url(&handle));
    let texts = page.texts;
    let upstreams = Upstreams::from_ref(&state);
    let shown = question.shown()?;
    let about = question.token_about(&shown);
    let form_token = form::token(&Secrets::from_ref(&state), &about)?;
    let who = question.who;
    let (title, paragraphs, yes) = match question.about {
        About::Link(proven) => {
            let other = proven.profile.display_name();
            let other = other.unwrap_or(&proven.login.subject);
            let label = label(&upstreams, &proven.login.upstream);
            let mut paragraphs = vec![
                (texts.signed_in_as)(display_name(who)),
                (texts.arrived_as)(&label, other),
                texts.link_means.to_owned(),
            ];
            if question.closes.is_some() {
                paragraphs.push((texts.link_closes)(other));
            }
            let title = (texts.link_title)(&label);
            (title, paragraphs, texts.link_yes)
        }
        About::Unlink(login) => {
            let label = label(&upstreams, &login.upstream);
            let title = (texts.unlink)(&label);
            let paragraphs = vec![
                (texts.signed_in_as)(display_name(who)),
                (texts.unlink_means)(&label),
            ];
            (title, paragraphs, texts.unlink_yes)
        }
    };
    let template = ConfirmPage {
        page,
        title,
        paragraphs,
        flow: handle,
        shown,
        form_token,
        yes,
    };
    Ok(page::render(
        StatusCode::OK,
        &template,
        &FormTargets::default(),
    ))
}

async fn confirmed(
    State(state): State<HttpState>,
    cookies: FlowCookies,
    signed_in: SignedIn,
    form: PageForm,
) -> Result<Response, PageError> {
    let handle = form.field("flow")?.to_owned();
    let open = OpenFlow::find(&state, cookies, signed_in, &handle).await?;
    let Some(question) = Question::of(&open).await? else {
        return Ok(see_other(&resume::url(&handle)));
    };
    let shown = form.field("shown")?;
    let about = question.token_about(shown);
    form.require_token(&Secrets::from_ref(&state), &about)?;
    if question.shown()? != shown {
        // Another account would be closed than the page said, or one though it said none: that is asked.
        return Ok(see_other(&resume::url(&handle)));
    }
    let account = &question.who.account.id;
    let accounts = open.flow.accounts();
    let done = match question.about {
        About::Link(proven) => {
            // The person may have begun another session meanwhile, where the sealed text does not open.
            let session = &question.who.session;
            let tokens = proven.tokens.as_ref();
            let tokens = tokens.filter(|tokens| tokens.session == session.id);
            let tokens = tokens.map(|tokens| NewVaultEntry {
                place: place_of(session, &proven.login.upstream),
                sealed: tokens.sealed.clone(),
            });
            let link = NewLink {
                into: account,
                tokens: tokens.as_ref(),
                login: &proven.login,
                leads_to: LeadsTo::Told(question.closes.as_ref()),
                profile: Some(&proven.profile),
                same_upstream: false,
            };
            match accounts.link(&link).await.map_err(OAuthError::from)? {
                Linked::Done { .. } | Linked::Already => true,
                // In this very moment.
                Linked::Otherwise => return Ok(see_other(&resume::url(&handle))),
                Linked::SameUpstream | Linked::Closed => false,
            }
        }
        About::Unlink(login) => {
            let unlinked = accounts.unlink(account, login).await;
            matches!(unlinked.map_err(OAuthError::from)?, Unlinked::Done { .. })
        }
    };
    let answer = if done {
        see_other(PATH)
    } else {
        PageError::new(Trouble::Link)
            .with_link(Some(to_account()))
            .into_response()
    };
    open.request().finish(&open.pending, answer).await
}
