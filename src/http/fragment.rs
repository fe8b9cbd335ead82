//! An upstream may hand its answer over behind a `#`, which never reaches a server. A page of ours reads it there and
//! posts it to the callback, as a form of the upstream's would: nothing is believed that a POST is not believed.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::upstream::{CallbackLogin, Upstream};

use super::context;
use super::page::{self, FormTargets, Page};
use super::resume::{self, OpenFlow};

/// The script of the page, by hash.
const SCRIPT_HASH: &str = "sha256-0RiP13Akp59G4uBeK678MqORJpIn+sIonjrqP4Om3Mk=";

#[derive(Template)]
#[template(path = "pages/fragment.html")]
struct FragmentPage {
    page: Page,
    no_answer: String,
    code: String,
    back: String,
}

/// The page, for an answer whose query holds none. Who is away stays away until there is one.
pub(super) fn ask(open: &OpenFlow, upstream: &Upstream, login: &dyn CallbackLogin) -> Response {
    tracing::info!(upstream = %upstream.id, "somebody came back without an answer in the query");
    let page = Page::current();
    let template = FragmentPage {
        no_answer: (page.texts.no_answer)(context::text(&upstream.label)),
        code: login.code_parameter().to_owned(),
        back: resume::url(&open.handle),
        page,
    };
    let targets = FormTargets::ending_at([open.pending.return_to.redirect_uri()]);
    page::render_with_script(StatusCode::OK, &template, &targets, SCRIPT_HASH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::page::script_hash;

    #[test]
    fn the_script_has_the_hash_that_the_policy_allows() {
        let template = include_str!("../../templates/pages/fragment.html");
        assert_eq!(script_hash(template), SCRIPT_HASH);
    }
}
