//! The authorization response: to the client, in the mode it asked for (RFC 6749 section 4.1.2, Multiple Response Types,
//! Form Post Response Mode, RFC 9207).

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use crate::model::client::ReturnTo;
use crate::protocol::error::OAuthError;
use crate::protocol::response::ResponseMode;

use super::error::Seen;
use super::page::{FormTargets, Page};
use super::{error, page};

/// A redirect that a browser follows with GET, whatever it came with (T9).
pub(super) fn see_other(location: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, location.to_owned())]).into_response()
}

#[derive(Template)]
#[template(path = "pages/form_post.html")]
struct FormPostPage {
    page: Page,
    action: String,
    parameters: Vec<(&'static str, String)>,
}

/// Sends an error (RFC 6749 section 4.1.2.1).
pub(super) fn refuse(return_to: &ReturnTo, refusal: &OAuthError) -> Response {
    error::record(Seen::Redirect, refusal);
    send(
        return_to,
        vec![
            ("error", refusal.code.as_str().to_owned()),
            ("error_description", refusal.description.to_string()),
        ],
    )
}

/// Sends what the flow ended with, besides `state` and `iss`.
pub(super) fn send(return_to: &ReturnTo, outcome: Vec<(&'static str, String)>) -> Response {
    let uri = return_to.redirect_uri();
    let parameters = return_to.parameters(outcome);
    let encoded = || {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&parameters)
            .finish()
    };
    match return_to.response_mode() {
        ResponseMode::Query => {
            // The registered query is kept (RFC 6749 section 3.1.2).
            let joint = if uri.contains('?') { '&' } else { '?' };
            see_other(&format!("{uri}{joint}{}", encoded()))
        }
        ResponseMode::Fragment => see_other(&format!("{uri}#{}", encoded())),
        ResponseMode::FormPost => {
            let targets = FormTargets::ending_at([uri]);
            let template = FormPostPage {
                page: Page::current().shown_once(),
                action: uri.to_owned(),
                parameters,
            };
            page::render_form_post(&template, &targets)
        }
    }
}
