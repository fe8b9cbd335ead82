//! `/language`: the person's own choice of a language, remembered by the browser.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use axum::routing::post;

use crate::protocol::locale::Locale;

use super::cookies::{self, CookieNames, RequestCookies};
use super::error::{PageError, Trouble};
use super::form::PageForm;
use super::own_path::OwnPath;
use super::return_to::see_other;
use super::state::HttpState;

/// How long the choice is remembered: a year.
const SECONDS: i64 = 365 * 24 * 60 * 60;

pub(super) fn router() -> Router<HttpState> {
    Router::new().route("/language", post(choose))
}

/// Remembers the language, and goes back to the page that asked. There is nothing here that another site could gain: it can
/// make a browser read another language, and lead it to a page of ours.
async fn choose(State(names): State<CookieNames>, form: PageForm) -> Result<Response, PageError> {
    let wrong = || PageError::new(Trouble::Form);
    let locale = Locale::of_tag(form.field("locale")?).ok_or_else(wrong)?;
    let back = OwnPath::parse(form.field("back")?).ok_or_else(wrong)?;
    let mut response = see_other(back.as_str());
    let cookie = names.make(names.language(), locale.tag().to_owned(), Some(SECONDS));
    cookies::set(response.headers_mut(), [cookie]);
    Ok(response)
}

/// The language that the person has chosen in this browser.
pub(super) fn chosen(names: CookieNames, headers: &HeaderMap) -> Option<Locale> {
    let cookies = RequestCookies::read(headers);
    Locale::of_tag(cookies.get(&names.language())?.expose())
}

/// The address that shows the page under way again, if there is one. What came by POST has none; neither have the ways back
/// from an upstream, which lead on once. A query is never repeated: somebody else may have written it, and the pages that
/// have one of their own say so (`Page::shown_at`).
pub(super) fn address(method: &Method, uri: &Uri) -> Option<OwnPath> {
    let path = uri.path();
    let again = method == Method::GET && uri.query().is_none() && !path.starts_with("/upstream/");
    again.then(|| OwnPath::parse(path)).flatten()
}
