//! The web site, as a browser sees it: a home page, the sign-in page, a single sign-on page for each client application, and the
//! page that logs out.

use super::{Inside, SignedOutBy, Switches, not_found, sign_in, sso};
use crate::clock::UnixTime;
use crate::simulator::page::{escape, page};
use crate::simulator::wire::{Recorded, Reply, tidy};

/// The title of every page: nobody shall take this for the real thing.
pub(super) const TITLE: &str = "iMIS (simulated)";

/// The home page, below the web base.
pub(super) const HOME: &str = "/";

/// The page that ends the iMIS session, below the web base.
const LOGOUT: &str = "/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx";

/// A page of this site, as a path of its host.
pub(super) fn address(switches: &Switches, page: &str) -> String {
    format!("{}{page}", tidy(&switches.web_path))
}

/// Answers a request for a page; `path` is in lower case.
pub(super) fn answer(
    inside: &mut Inside,
    request: &Recorded,
    path: &[String],
    now: UnixTime,
) -> Reply {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (request.method.as_str(), path.as_slice()) {
        // Sites as delivered have the page at both.
        (_, ["sign-in.aspx"] | ["web", "sign-in.aspx"]) => sign_in::answer(inside, request),
        ("GET", []) => Reply::html(200, home(inside, request)),
        ("GET", path) if is_logout(path) => logout(inside, request),
        ("GET", ["singlelogout.aspx"]) => single_logout(inside, request),
        ("GET", path) => match sso::named(&inside.switches, path) {
            Some(name) => sso::answer(inside, request, &name, now),
            None => not_found(),
        },
        _ => not_found(),
    }
}

fn home(inside: &Inside, request: &Recorded) -> String {
    let switches = &inside.switches;
    let link = |address: &str, text: &str| {
        format!(
            "<li><a href=\"{}\">{}</a></li>\n",
            escape(address),
            escape(text)
        )
    };
    let (who, in_or_out) = match inside.signed_in(request) {
        Some(person) => (
            format!(
                "You are signed in as <strong>{}</strong> ({}).",
                escape(&person.full_name()),
                escape(person.username)
            ),
            link(&address(switches, LOGOUT), "Sign out"),
        ),
        None => (
            "You are not signed in.".to_owned(),
            link(&address(switches, sign_in::SIGN_IN), "Sign in"),
        ),
    };
    let applications: String = switches
        .client_applications
        .iter()
        .map(|application| {
            let client_id = &application.client_id;
            link(
                &sso::page_of(switches, client_id),
                &format!("Go to {client_id}"),
            )
        })
        .collect();
    page(
        TITLE,
        &format!(
            "<p class=\"note\">This stands in for the web site of an organization that uses iMIS.</p>\n\
             <p id=\"who\">{who}</p>\n<nav aria-label=\"Site\"><ul>\n{applications}{in_or_out}</ul></nav>"
        ),
    )
}

fn is_logout(path: &[&str]) -> bool {
    LOGOUT
        .to_lowercase()
        .split('/')
        .skip(1)
        .eq(path.iter().copied())
}

fn logout(inside: &mut Inside, request: &Recorded) -> Reply {
    let switches = &inside.switches;
    let return_url = request
        .query_parameter("returnurl")
        .filter(|url| switches.logout_honors_return_url && !url.is_empty());
    let reply = match return_url {
        Some(return_url) => Reply::redirect(302, return_url),
        None => signed_out(switches),
    };
    inside.sign_out(request, reply)
}

/// What somebody sees who has signed out: where the site sends them, or a page of its own.
fn signed_out(switches: &Switches) -> Reply {
    let iframe = match (&switches.signed_out_url, switches.signed_out_by) {
        (Some(url), SignedOutBy::Redirect) => return Reply::redirect(302, url),
        (Some(url), SignedOutBy::Iframe) => format!(
            "<iframe title=\"Signing out elsewhere\" src=\"{}\" hidden></iframe>\n",
            escape(url)
        ),
        (None, _) => String::new(),
    };
    Reply::html(
        200,
        page(
            "Signed out of iMIS (simulated)",
            &format!(
                "<p>Your iMIS session has ended.</p>\n{iframe}<p><a href=\"{}\">Home</a></p>",
                escape(&address(switches, HOME))
            ),
        ),
    )
}

/// The page of the vendor's pattern for single logout: its script fetches the logout page, then the page is opened again; and whoever
/// is not signed in is sent on by a redirect rule.
fn single_logout(inside: &Inside, request: &Recorded) -> Reply {
    let switches = &inside.switches;
    if inside.signed_in(request).is_none() {
        return signed_out(switches);
    }
    let logout = address(switches, LOGOUT);
    Reply::html(
        200,
        page(
            "Signing out of iMIS (simulated)",
            &format!(
                "<p><a href=\"{}\">Sign out</a></p>\n\
                 <script>fetch('{}',{{credentials:'same-origin',redirect:'manual'}}).then(function(){{location.reload();}});</script>",
                escape(&logout),
                logout,
            ),
        ),
    )
    .with("cache-control", "no-store")
}
