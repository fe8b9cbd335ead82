//! The web site's pages that a browser is sent to: so far the one that logs out, and a front page to land on.

use super::{Switches, not_found};
use crate::simulator::page::page;
use crate::simulator::wire::{Recorded, Reply};

/// The page that ends the iMIS session, below the web base, in lower case.
const LOGOUT: [&str; 5] = [
    "asicommon",
    "controls",
    "shared",
    "formsauthentication",
    "logout.aspx",
];

/// Answers a request for a page; `path` is in lower case.
pub(super) fn answer(switches: &Switches, request: &Recorded, path: &[String]) -> Reply {
    if request.method != "GET" {
        return not_found();
    }
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        [] => Reply::html(
            200,
            page(
                "iMIS (simulated)",
                "<p class=\"note\">This stands in for the web site of an organization that uses iMIS.</p>",
            ),
        ),
        path if path == LOGOUT => logout(switches, request),
        _ => not_found(),
    }
}

fn logout(switches: &Switches, request: &Recorded) -> Reply {
    let return_url = request
        .query_parameter("returnurl")
        .filter(|_| switches.logout_honors_return_url);
    let reply = match return_url {
        Some(return_url) => Reply::redirect(302, return_url),
        None => Reply::html(
            200,
            page(
                "Signed out of iMIS (simulated)",
                "<p>Your iMIS session has ended.</p>",
            ),
        ),
    };
    reply.with(
        "set-cookie",
        "Login=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly",
    )
}
