//! The page with the Single Sign On content item: it hands the browser a refresh token of whoever is signed in, made for
//! one client application, to carry to that application's Login redirect URL. No state, no return address, no user id.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;

use super::sign_in::SIGN_IN;
use super::web::{TITLE, address};
use super::{AnonymousSso, ClientApplication, Delivery, Inside, Switches, same_name};
use crate::clock::UnixTime;
use crate::simulator::page::{escape, hidden, page};
use crate::simulator::people::GUEST;
use crate::simulator::wire::{Recorded, Reply, tidy};

/// What need not be encoded in a segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// The page of a client application, which by convention bears the application's name.
pub(super) fn page_of(switches: &Switches, client_id: &str) -> String {
    let client_id = utf8_percent_encode(client_id, SEGMENT);
    address(
        switches,
        &format!("{}/{client_id}.aspx", tidy(&switches.sso_path)),
    )
}

/// The client application that a path (in lower case) names, registered or not.
pub(super) fn named(switches: &Switches, path: &[&str]) -> Option<String> {
    let folder = switches.sso_path.to_lowercase();
    let folder: Vec<&str> = folder.split('/').filter(|s| !s.is_empty()).collect();
    match path.strip_prefix(folder.as_slice())? {
        [page] => page.strip_suffix(".aspx").map(ToOwned::to_owned),
        _ => None,
    }
}

/// Answers the page of the client application `name`, in any letter case.
pub(super) fn answer(inside: &mut Inside, request: &Recorded, name: &str, now: UnixTime) -> Reply {
    let switches = &inside.switches;
    let Some(application) = switches
        .client_applications
        .iter()
        .find(|application| same_name(&application.client_id, name))
        .cloned()
    else {
        return complain(404, &format!("No client application is named {name}."));
    };
    if application.login_redirect_url.is_empty() {
        let complaint = format!("{} has no Login redirect URL.", application.client_id);
        return complain(500, &complaint);
    }
    let person = match (inside.signed_in(request), switches.anonymous_sso) {
        (Some(person), _) => person,
        (None, AnonymousSso::Guest) => GUEST,
        (None, AnonymousSso::SignIn) => return sign_in_first(switches, request),
    };
    let seconds = switches.refresh_token_seconds;
    let tokens = &mut inside.tokens;
    let token = tokens.issue_refresh(&person, &application, seconds, now);
    let mut fields = vec![("refresh_token".to_owned(), token)];
    fields.extend(inside.switches.sso_extra_fields.iter().cloned());
    let reply = match inside.switches.sso_delivery {
        Delivery::Post => Reply::html(200, post(&application, &fields)),
        Delivery::Get => Reply::redirect(302, get(&application, &fields)),
    };
    reply.with("cache-control", "no-store")
}

fn complain(status: u16, complaint: &str) -> Reply {
    let complaint = escape(complaint);
    Reply::html(
        status,
        page(
            TITLE,
            &format!("<p class=\"error\" role=\"alert\">{complaint}</p>"),
        ),
    )
}

/// As a page setting for visitors who are not signed in: to the sign-in page, and back here with all that was asked.
fn sign_in_first(switches: &Switches, request: &Recorded) -> Reply {
    let mut here = request.path.clone();
    if !request.query.is_empty() {
        here.push('?');
        here.push_str(&request.query);
    }
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("ReturnUrl", &here)
        .finish();
    Reply::redirect(302, format!("{}?{query}", address(switches, SIGN_IN)))
}

/// A form that submits itself; the button is for browsers without script. `submit` is taken from the prototype, because an extra
/// field of that name would hide the form's own.
fn post(application: &ClientApplication, fields: &[(String, String)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(name, value)| hidden(name, value))
        .collect();
    let client_id = escape(&application.client_id);
    page(
        TITLE,
        &format!(
            "<p>You are on your way to {client_id}.</p>\n\
             <form id=\"sso\" method=\"post\" action=\"{}\">{fields}<button>Continue to {client_id}</button></form>\n\
             <script>HTMLFormElement.prototype.submit.call(document.getElementById('sso'));</script>",
            escape(&application.login_redirect_url)
        ),
    )
}

fn get(application: &ClientApplication, fields: &[(String, String)]) -> String {
    let address = &application.login_redirect_url;
    let separator = if address.contains('?') { '&' } else { '?' };
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    format!("{address}{separator}{query}")
}
