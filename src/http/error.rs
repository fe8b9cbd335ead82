//! One vocabulary of errors, three renderers: a page, JSON, and a `WWW-Authenticate` header. The type that a handler
//! returns says which, so that a wrong one cannot compile. Each error is recorded here, once.

use std::any::Any;
use std::borrow::Cow;

use askama::Template;
use axum::Json;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, PRAGMA, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::task::JoinError;

use crate::model::audit::Event;
use crate::protocol::discovery::path;
use crate::protocol::error::{ErrorCode, OAuthError, chain};

use crate::protocol::locale::Locale;
use crate::telemetry::Entry;

use super::page::{FormTargets, Page};
use super::texts::Texts;
use super::{NO_STORE, context, page};

/// An error of the token endpoint: JSON (RFC 6749 section 5.2).
pub struct TokenError(pub OAuthError);

/// An error of an endpoint that takes access tokens: a challenge (RFC 6750 section 3).
pub struct BearerError(pub Option<OAuthError>);

/// An error that a person sees.
pub struct PageError {
    kind: Trouble,
    cause: Option<OAuthError>,
    link: Option<Link>,
}

/// Somewhere to go from an error page.
pub struct Link {
    /// The address: our own path, or a registered `client_uri`.
    pub href: String,
    /// What it says.
    pub text: String,
}

/// What went wrong, as far as the person is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The client's request is wrong, and nothing proves where an answer could go (RFC 6749 section 3.1.2.4).
    Request,
    /// The flow's cookie is not there.
    Expired,
    /// The flow has ended already.
    Done,
    /// The form's token does not fit.
    Form,
    /// Nobody was sent away to the upstream that they come back from.
    Away,
    /// An upstream's page sent somebody who is not signed in there.
    Anonymous,
    /// An upstream's page sent somebody with a credential that it did not honor.
    Arrival(StatusCode),
    /// The account is closed.
    Closed,
    /// Logins cannot be linked or unlinked.
    Link,
    /// A device's code has ended, or was answered already.
    Device,
    /// A request to sign out is too old.
    SignOut,
    /// Something of ours failed.
    Server,
    /// No such page.
    NotFound,
}

#[derive(Template)]
#[template(path = "pages/error.html")]
struct ErrorPage<'a> {
    page: Page,
    title: &'static str,
    happened: Option<&'static str>,
    what_to_do: &'static str,
    link: Option<Link>,
    detail: Option<Cow<'a, str>>,
}

impl Trouble {
    /// All of them, as they are recorded.
    pub const ALL: [Self; 13] = [
        Self::Request,
        Self::Expired,
        Self::Done,
        Self::Form,
        Self::Away,
        Self::Anonymous,
        Self::Arrival(StatusCode::FORBIDDEN),
        Self::Closed,
        Self::Link,
        Self::Device,
        Self::SignOut,
        Self::Server,
        Self::NotFound,
    ];

    /// The word for it in the audit.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Expired => "expired",
            Self::Done => "done",
            Self::Form => "form",
            Self::Away => "away",
            Self::Anonymous => "anonymous",
            Self::Arrival(_) => "arrival",
            Self::Closed => "closed",
            Self::Link => "link",
            Self::Device => "device",
            Self::SignOut => "sign_out",
            Self::Server => "server",
            Self::NotFound => "not_found",
        }
    }

    /// The trouble of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|trouble| trouble.as_str() == word)
    }

    /// What the person read, in English: what happened, and what to do.
    pub fn told(self) -> (&'static str, &'static str) {
        self.texts(Texts::of(Locale::default()))
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Request | Self::Expired | Self::Form | Self::Away | Self::SignOut => {
                StatusCode::BAD_REQUEST
            }
            Self::Anonymous | Self::Closed => StatusCode::FORBIDDEN,
            Self::Link | Self::Device => StatusCode::CONFLICT,
            Self::Arrival(status) => status,
            Self::Done => StatusCode::OK,
            Self::Server => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }

    /// What happened, and what to do. A flow that has ended is no failure: its page has what happened for a title.
    const fn texts(self, texts: &Texts) -> (&'static str, &'static str) {
        match self {
            Self::Request => (texts.error_request, texts.error_request_what),
            Self::Expired => (texts.error_expired, texts.error_expired_what),
            Self::Done => (texts.error_done, texts.error_done_what),
            Self::Form => (texts.error_form, texts.error_form_what),
            Self::Away => (texts.error_away, texts.error_away_what),
            Self::Anonymous => (texts.error_anonymous, texts.error_anonymous_what),
            Self::Arrival(_) => (texts.error_arrival, texts.error_arrival_what),
            Self::Closed => (texts.error_closed, texts.error_closed_what),
            Self::Link => (texts.error_link, texts.error_link_what),
            Self::Device => (texts.error_device, texts.error_device_what),
            Self::SignOut => (texts.error_sign_out, texts.error_sign_out_what),
            Self::Server => (texts.error_server, texts.error_server_what),
            Self::NotFound => (texts.error_not_found, texts.error_not_found_what),
        }
    }
}

impl PageError {
    /// Trouble whose cause needs no telling.
    pub fn new(kind: Trouble) -> Self {
        Self {
            kind,
            cause: None,
            link: None,
        }
    }

    /// The client's mistake; the developer reads what it is.
    pub fn request(cause: OAuthError) -> Self {
        if cause.code == ErrorCode::ServerError {
            return Self::from(cause);
        }
        Self {
            cause: Some(cause),
            ..Self::new(Trouble::Request)
        }
    }

    /// Adds a way on.
    #[must_use]
    pub fn with_link(mut self, link: Option<Link>) -> Self {
        self.link = link;
        self
    }
}

/// What cannot be said better: our own failure, unless it is a limit that the request has met.
impl From<OAuthError> for PageError {
    fn from(cause: OAuthError) -> Self {
        let kind = match cause.code {
            ErrorCode::TemporarilyUnavailable => Trouble::Request,
            _ => Trouble::Server,
        };
        Self {
            cause: Some(cause),
            ..Self::new(kind)
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        record_page(self.kind, self.cause.as_ref());
        let page = Page::current();
        let (happened, what_to_do) = self.kind.texts(page.texts);
        let (title, happened) = match self.kind {
            Trouble::Done => (happened, None),
            _ => (page.texts.error_title, Some(happened)),
        };
        // Our own failures are explained in the log alone.
        let detail = self
            .cause
            .as_ref()
            .filter(|_| self.kind == Trouble::Request);
        let template = ErrorPage {
            page,
            title,
            happened,
            what_to_do,
            link: self.link,
            detail: detail.map(|cause| Cow::Owned(cause.to_string())),
        };
        page::render(self.kind.status(), &template, &FormTargets::default())
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        record(Seen::Json, &self.0);
        let status = match self.0.code {
            ErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
            ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let body = json!({
            "error": self.0.code.as_str(),
            "error_description": self.0.description,
        });
        let mut response = (status, Json(body)).into_response();
        response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
        let no_cache = HeaderValue::from_static("no-cache");
        response.headers_mut().insert(PRAGMA, no_cache);
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2 wants a challenge with every 401.
            let challenge = HeaderValue::from_static("Basic realm=\"token\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<OAuthError> for TokenError {
    fn from(error: OAuthError) -> Self {
        Self(error)
    }
}

impl IntoResponse for BearerError {
    fn into_response(self) -> Response {
        let Some(error) = self.0 else {
            // Without a token there is nothing to explain (RFC 6750 section 3.1), and a challenge is never bare (section 3).
            let challenge = [(WWW_AUTHENTICATE, "Bearer realm=\"portico\"")];
            return (StatusCode::UNAUTHORIZED, challenge).into_response();
        };
        record(Seen::Json, &error);
        let status = match error.code {
            ErrorCode::InvalidRequest => StatusCode::BAD_REQUEST,
            ErrorCode::InsufficientScope | ErrorCode::AccessDenied => StatusCode::FORBIDDEN,
            ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        };
        // `OAuthError::new` keeps quotes and backslashes out of the description.
        let challenge = format!(
            "Bearer error=\"{}\", error_description=\"{}\"",
            error.code, error.description
        );
        let body = Json(json!({
            "error": error.code.as_str(),
            "error_description": error.description,
        }));
        (status, [(WWW_AUTHENTICATE, challenge)], body).into_response()
    }
}

impl From<OAuthError> for BearerError {
    fn from(error: OAuthError) -> Self {
        Self(Some(error))
    }
}

/// How an error is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// To a person.
    Page,
    /// To a client, directly.
    Json,
    /// To a client, by way of the browser.
    Redirect,
}

impl Seen {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Json => "json",
            Self::Redirect => "redirect",
        }
    }
}

/// Records an error that a client is told.
pub(super) fn record(seen: Seen, error: &OAuthError) {
    if matches!(
        error.code,
        ErrorCode::AuthorizationPending | ErrorCode::SlowDown | ErrorCode::UseDpopNonce
    ) {
        // No error at all, but how those protocols go on.
        tracing::info!(code = %error.code, description = %error.description, "refused");
        return;
    }
    context::record(entry(seen, Event::RequestRefused, error));
}

fn record_page(trouble: Trouble, cause: Option<&OAuthError>) {
    let shown = Event::ErrorPageShown;
    let entry = match cause {
        Some(cause) => entry(Seen::Page, shown, cause),
        None => Entry::new(shown).with("seen", Seen::Page.as_str()),
    };
    context::record(entry.with("trouble", trouble.as_str()));
}

/// Refusals are expected; what is ours to mend is not.
fn entry(seen: Seen, refused: Event, error: &OAuthError) -> Entry {
    let event = match error.code {
        ErrorCode::ServerError | ErrorCode::TemporarilyUnavailable => Event::RequestFailed,
        _ => refused,
    };
    let source = error.source.as_ref().map(|source| chain(source.as_ref()));
    Entry::new(event)
        .with("seen", seen.as_str())
        .with("code", error.code.as_str())
        .with("description", error.description.as_ref())
        .with("source", source)
}

/// Any path that is none of ours.
pub(super) async fn not_found() -> PageError {
    PageError::new(Trouble::NotFound)
}

/// A path of ours, another method.
pub(super) async fn method_not_allowed() -> Response {
    // axum adds the `Allow` header, which RFC 9110 section 15.5.6 asks for.
    let mut response = PageError::new(Trouble::NotFound).into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

/// Whether a body announces itself as larger than that. One that does not is cut off later.
pub(super) fn is_oversize(headers: &HeaderMap, max: usize) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    length.is_some_and(|length| length > max)
}

/// Refuses one on a page.
pub(super) fn oversize_page() -> Response {
    let refusal = OAuthError::invalid_request("the request is too large");
    let mut response = PageError::request(refusal).into_response();
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    response
}

/// Refuses such a one, in the words of the endpoint.
pub(super) fn refuse_oversize(request: &Request) -> Response {
    let refusal = OAuthError::invalid_request("the request is too large");
    let mut response = match request.uri().path() {
        registration if registration.starts_with(path::REGISTER) => {
            TokenError(refusal).into_response()
        }
        path::DEVICE_AUTHORIZATION
        | path::PAR
        | path::TOKEN
        | path::USERINFO
        | path::REVOKE
        | path::INTROSPECT => TokenError(refusal).into_response(),
        _ => PageError::request(refusal).into_response(),
    };
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    response
}

/// A request that took too long.
pub(super) fn timed_out() -> Response {
    let cause = OAuthError::server_error("the request took too long and was given up");
    let mut response = PageError::from(cause).into_response();
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// Nobody is left who answers.
pub(super) fn abandoned(why: JoinError) -> Response {
    PageError::from(OAuthError::server_error(why)).into_response()
}

/// A panic ends one request and not the server; what it said goes to the log.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Response {
    let said = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    PageError::from(OAuthError::server_error(format!(
        "the request panicked: {said}"
    )))
    .into_response()
}
