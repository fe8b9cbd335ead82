//! `/consent`: what the app asks for, yes or no.

use askama::Template;
use axum::Router;
use axum::extract::{FromRef, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;

use crate::flow::Step;
use crate::keys::Secrets;
use crate::model::authorization;
use crate::model::scopes::Scopes;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::SessionId;
use crate::protocol::scope::{self, Scope};
use crate::tokens::Mint;

use super::app_logo::AppLogo;
use super::app_pages::AppPages;
use super::context;
use super::error::{PageError, Trouble};
use super::flow_cookie::FlowCookies;
use super::form::{self, PageForm};
use super::login::display_name;
use super::page::{self, FormTargets, Page};
use super::resume::{self, OpenFlow};
use super::return_to::see_other;
use super::signed_in::SignedIn;
use super::state::{HttpState, Upstreams};
use super::texts::Texts;

pub(super) fn router() -> Router<HttpState> {
    Router::new().route("/consent", get(show).post(decide))
}

#[derive(Template)]
#[template(path = "pages/consent.html")]
struct ConsentPage {
    page: Page,
    title: String,
    signed_in_as: String,
    intro: String,
    scopes: Vec<String>,
    resources: Vec<String>,
    app_logo: Option<AppLogo>,
    app: AppPages,
    flow: String,
    session: SessionId,
    shown: String,
    form_token: String,
}

async fn show(
    State(state): State<HttpState>,
    cookies: FlowCookies,
    signed_in: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let handle = resume::handle_of(query.as_deref())?;
    let open = OpenFlow::find(&state, cookies, signed_in, &handle).await?;
    let (Step::Consent, Some(who)) = (open.next_step().await?, &open.logged_in) else {
        return Ok(see_other(&resume::url(&handle)));
    };
    let page = Page::current().shown_at(&resume::url(&handle));
    let texts = page.texts;
    let app = open.client.display_name_in(context::locale());
    let redirect_uri = open.pending.return_to.redirect_uri();
    let upstreams = Upstreams::from_ref(&state);
    let secrets = Secrets::from_ref(&state);
    let request = &open.pending.request;
    let beyond = open.flow.claims_beyond(&open.client, &open.pending);
    let mut scopes = describe_all(texts, &upstreams, &open.flow.scopes, &request.scope);
    scopes.extend(beyond.iter().map(|claim| describe_claim(texts, claim)));
    let shown = shown(&open)?;
    let template = ConsentPage {
        title: (texts.consent_title)(app),
        signed_in_as: (texts.signed_in_as)(display_name(who)),
        intro: (texts.consent_intro)(app),
        scopes,
        resources: resource_names(&Mint::from_ref(&state), &request.resources),
        // Bound to the session, for nobody can agree in another's name (T14), and to what they agree to (T17).
        form_token: form::token(
            &secrets,
            &["consent", &handle, who.session.id.as_str(), &shown],
        )?,
        shown,
        app_logo: AppLogo::of(&state, &open.client, texts),
        app: AppPages::of_flow(&open, texts),
        session: who.session.id.clone(),
        flow: handle,
        page,
    };
    let targets = FormTargets::ending_at([redirect_uri]);
    Ok(page::render(StatusCode::OK, &template, &targets))
}

/// What the page asks for: a client may change its registration while somebody reads.
pub(super) fn shown(open: &OpenFlow) -> Result<String, OAuthError> {
    let request = &open.pending.request;
    let (scope, resources) = (request.scope.to_string(), request.resources.join(" "));
    let beyond = open.flow.claims_beyond(&open.client, &open.pending);
    let mut what = vec![scope.as_str(), resources.as_str()];
    what.extend(beyond.iter().map(String::as_str));
    form::shown(&open.flow.secrets, &what)
}

/// What people call these APIs.
pub(super) fn resource_names(mint: &Mint, identifiers: &[String]) -> Vec<String> {
    let name = |identifier: &String| {
        let described = mint.resources().find(identifier);
        let name = described.and_then(|resource| resource.name.as_ref());
        name.map_or(identifier.as_str(), context::text).to_owned()
    };
    identifiers.iter().map(name).collect()
}

/// What an app asks for, a line each.
pub(super) fn describe_all(
    texts: &Texts,
    upstreams: &Upstreams,
    own: &Scopes,
    scope: &Scope,
) -> Vec<String> {
    let mut scopes: Vec<&str> = scope.iter().collect();
    // Who the person is comes first; a scope has no order of its own.
    scopes.sort_by_key(|scope| *scope != scope::OPENID);
    scopes
        .into_iter()
        .map(|scope| describe(texts, upstreams, own, scope))
        .collect()
}

/// What a scope lets the app do: in the administrator's words, or in ours.
pub(super) fn describe(texts: &Texts, upstreams: &Upstreams, own: &Scopes, scope: &str) -> String {
    if let Some(description) = own.describe(scope, context::locale()) {
        return description.to_owned();
    }
    let upstream = scope
        .strip_prefix(scope::UPSTREAM_PREFIX)
        .and_then(|id| upstreams.find(id));
    if let Some(upstream) = upstream {
        return (texts.scope_upstream)(context::text(&upstream.label));
    }
    match scope {
        scope::OPENID => texts.scope_openid.to_owned(),
        scope::PROFILE => texts.scope_profile.to_owned(),
        scope::EMAIL => texts.scope_email.to_owned(),
        scope::ADDRESS => texts.scope_address.to_owned(),
        scope::PHONE => texts.scope_phone.to_owned(),
        scope::GROUPS => texts.scope_groups.to_owned(),
        scope::MEMBERSHIP => texts.scope_membership.to_owned(),
        scope::OFFLINE_ACCESS => texts.scope_offline_access.to_owned(),
        other => (texts.scope_other)(other),
    }
}

/// What a single claim lets the app see.
pub(super) fn describe_claim(texts: &Texts, claim: &str) -> String {
    match claim {
        "name" | "given_name" | "family_name" | "middle_name" => texts.claim_name.to_owned(),
        "email" | "email_verified" => texts.scope_email.to_owned(),
        "address" => texts.scope_address.to_owned(),
        "phone_number" | "phone_number_verified" => texts.scope_phone.to_owned(),
        "groups" => texts.scope_groups.to_owned(),
        other => (texts.claim_other)(other),
    }
}

async fn decide(
    State(state): State<HttpState>,
    cookies: FlowCookies,
    signed_in: SignedIn,
    form: PageForm,
) -> Result<Response, PageError> {
    let handle = form.field("flow")?.to_owned();
    let mut open = OpenFlow::find(&state, cookies, signed_in, &handle).await?;
    // Whom the page showed, whoever the flow would be about by now: another tab may have changed that.
    let whom = SessionId::new(form.field("session")?);
    let what = form.field("shown")?;
    let about = ["consent", handle.as_str(), whom.as_str(), what];
    form.require_token(&Secrets::from_ref(&state), &about)?;
    match form.field("decision")? {
        "allow" => {
            let who = open.logged_in.clone();
            let who = who.filter(|who| who.session.id == whom);
            let (Step::Consent, Some(who)) = (open.next_step().await?, who) else {
                // It goes on with them, if they are still here; what they said yes to is asked again if it must be.
                open.pending.selected = Some(whom);
                return open.resume().await;
            };
            if shown(&open)? != what {
                // The client may have something else than when the page was made: that is asked.
                return Ok(see_other(&resume::url(&handle)));
            }
            let (client, pending) = (&open.client, &open.pending);
            open.flow.agreed(client, pending, &who).await?;
            // The answer is made at the next step, and the client may have more by then.
            open.flow.keep_to_admitted(client, &mut open.pending);
            open.pending.consented = Some(who.session.id);
            open.resume().await
        }
        "deny" => {
            // Whoever has signed out meanwhile is recorded as an error that the app was told.
            if let Some(who) = open.signed_in.find(&whom) {
                open.flow.declined(&open.client, &open.pending, who);
            }
            open.request()
                .refuse(&open.pending, &authorization::denied())
                .await
        }
        _ => Err(PageError::new(Trouble::Form)),
    }
}
