//! `Sign-in.aspx`, and the browser sessions that it starts. The fields and the second address are those of a site as
//! delivered; sites rename them, which is why clients have the address configured.

use std::collections::HashMap;

use super::login::shut_out;
use super::web::{HOME, TITLE, address};
use super::{Inside, Switches};
use crate::clock::random_token;
use crate::simulator::page::{escape, hidden, page};
use crate::simulator::people::ImisPerson;
use crate::simulator::wire::{Recorded, Reply};

/// The page, below the web base.
pub(super) const SIGN_IN: &str = "/Sign-in.aspx";

/// The cookie of the site's own session.
const COOKIE: &str = "Login";

/// So many browsers stay signed in; one more, and all are signed out, as by a restart.
const MANY: usize = 10_000;

/// The browsers that are signed in: session id to `UniformId`, so that a renamed user stays signed in.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<String, &'static str>);

impl Inside {
    /// Who is signed in at the browser that asks.
    pub(super) fn signed_in(&self, request: &Recorded) -> Option<ImisPerson> {
        let owner = self.sessions.0.get(request.cookie(COOKIE)?)?;
        self.owner(owner)
            .filter(|person| shut_out(person.state).is_none())
    }

    /// Ends the session of the browser that asks; the answer's cookie tells it so.
    pub(super) fn sign_out(&mut self, request: &Recorded, reply: Reply) -> Reply {
        if let Some(id) = request.cookie(COOKIE) {
            self.sessions.0.remove(id);
        }
        reply.with(
            "set-cookie",
            format!("{COOKIE}=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly"),
        )
    }

    /// Signs a browser in, under an id that it did not have before.
    fn sign_in(&mut self, request: &Recorded, person: &ImisPerson, reply: Reply) -> Reply {
        if let Some(before) = request.cookie(COOKIE) {
            self.sessions.0.remove(before);
        }
        if self.sessions.0.len() > MANY {
            self.sessions.0.clear();
        }
        let id = random_token();
        let cookie = format!("{COOKIE}={id}; path=/; HttpOnly; SameSite=Lax");
        self.sessions.0.insert(id, person.uniform_id);
        reply.with("set-cookie", cookie)
    }
}

/// Answers the sign-in page and its form.
pub(super) fn answer(inside: &mut Inside, request: &Recorded) -> Reply {
    let return_url = request
        .parameter("ReturnUrl")
        .filter(|url| inside.switches.sign_in_honors_return_url && is_own_path(url));
    let home = address(&inside.switches, HOME);
    let onward = || Reply::redirect(302, return_url.clone().unwrap_or_else(|| home.clone()));
    match request.method.as_str() {
        "GET" if inside.signed_in(request).is_some() => onward(),
        "GET" => form(&inside.switches, return_url.as_deref(), "", None),
        "POST" => {
            let (username, password) = (field(request, "username"), field(request, "password"));
            match check(inside, &username, &password) {
                Ok(person) => inside.sign_in(request, &person, onward()),
                Err(reason) => {
                    let reason = Some(inside.tell(reason));
                    form(&inside.switches, return_url.as_deref(), &username, reason)
                }
            }
        }
        _ => Reply::empty(405).with("allow", "GET, POST"),
    }
}

/// The site asks for a second factor, which this one cannot check: staff who have one are refused.
fn check(inside: &mut Inside, username: &str, password: &str) -> Result<ImisPerson, &'static str> {
    let person = inside.check_password(username, password, &[])?;
    if person.is_guest() {
        // The Guest is whoever has not signed in.
        return Err(super::login::WRONG);
    }
    Ok(person)
}

fn field(request: &Recorded, name: &str) -> String {
    request
        .form()
        .into_iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .unwrap_or_default()
}

/// Whether an address is a path of this site: browsers read `//host` and `/\host` as another one, and leave out tabs and
/// line breaks before they look.
fn is_own_path(url: &str) -> bool {
    url.strip_prefix('/').is_some_and(|rest| {
        !rest.starts_with(['/', '\\']) && !url.contains(|c: char| c.is_control())
    })
}

fn form(
    switches: &Switches,
    return_url: Option<&str>,
    username: &str,
    error: Option<&str>,
) -> Reply {
    let (error, described) = match error {
        Some(error) => (
            format!(
                "<p class=\"error\" id=\"error\" role=\"alert\">{}</p>\n",
                escape(error)
            ),
            " aria-describedby=\"error\"",
        ),
        None => (String::new(), ""),
    };
    let return_url = return_url.map_or_else(String::new, |url| hidden("ReturnUrl", url));
    let body = page(
        TITLE,
        &format!(
            "<p class=\"note\">This page stands in for the sign-in page of a web site with iMIS.</p>\n\
             <h2>Sign in</h2>\n{error}\
             <form method=\"post\" action=\"{}\">{return_url}\n\
             <label for=\"username\">User name</label>\n\
             <input id=\"username\" name=\"username\" value=\"{}\" required autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\"{described}>\n\
             <label for=\"password\">Password</label>\n\
             <input id=\"password\" name=\"password\" type=\"password\" required autocomplete=\"current-password\"{described}>\n\
             <button>Sign in</button>\n</form>",
            escape(&address(switches, SIGN_IN)),
            escape(username),
        ),
    );
    Reply::html(200, body).with("cache-control", "no-store")
}
