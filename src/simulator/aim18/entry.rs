//! `/jsf/rfws/oauth/entry`: the login page that an application sends its users to, and the way back.
//! Three request parameters are documented; the answer is that of RFC 6749 sections 4.1.2 and 4.2.2.

use url::form_urlencoded;

use super::grants::Bound;
use super::switches::{
    AnswerIn, Application, Cancel, EntryErrors, ReturnBy, StateParameter, Switches,
};
use super::{Aim18Person, Inside};
use crate::clock::UnixTime;
use crate::simulator::fault;
use crate::simulator::page::{escape, hidden, page};
use crate::simulator::wire::{Recorded, Reply};

/// The cookie of aiM18's own browser session.
const SESSION: &str = "JSESSIONID";

/// What the application asks for.
struct Wish {
    application: Application,
    redirect_uri: String,
    implicit: bool,
    state: Option<String>,
}

/// Answers the login page and its form.
pub(super) fn answer(inside: &mut Inside, request: &Recorded, now: UnixTime) -> Reply {
    let wish = match read(&inside.switches, request) {
        Ok(wish) => wish,
        Err(reason) => return refuse(&inside.switches, request, reason),
    };
    let known = request
        .cookie(SESSION)
        .and_then(|id| inside.grants.session(id))
        .and_then(|uid| inside.person(uid))
        .filter(|person| inside.switches.remembers_login && person.may_log_in());
    match request.method.as_str() {
        "GET" => match known {
            Some(person) => logged_in(inside, &wish, &person, now),
            None => Reply::html(200, login_page(&wish, "", None)),
        },
        "POST" => submitted(inside, request, &wish, known, now),
        _ => Reply::empty(405).with("allow", "GET, POST"),
    }
}

fn read(switches: &Switches, request: &Recorded) -> Result<Wish, &'static str> {
    let parameter = |name: &str| request.parameter(name).filter(|value| !value.is_empty());
    let client_id = parameter("client_id").ok_or("client_id is missing")?;
    let redirect_uri = parameter("redirect_uri").ok_or("redirect_uri is missing")?;
    let application = switches
        .applications
        .iter()
        .find(|application| application.client_id == client_id)
        .ok_or("The application is not registered")?;
    let callback_fits = application.callback == redirect_uri
        || (switches.callback_by_prefix && redirect_uri.starts_with(&application.callback));
    if !callback_fits {
        return Err("redirect_uri is not the registered callback URL");
    }
    let implicit = match parameter("response_type").as_deref() {
        Some("code") => false,
        Some("token") => true,
        _ => return Err("response_type must be code or token"),
    };
    let state = parameter("state");
    if state.is_some() && switches.state == StateParameter::Rejected {
        return Err("Unknown parameter: state");
    }
    Ok(Wish {
        application: application.clone(),
        redirect_uri,
        implicit,
        state,
    })
}

fn refuse(switches: &Switches, request: &Recorded, reason: &str) -> Reply {
    let say = |status: u16| {
        let reason = escape(reason);
        let main = format!("<p class=\"error\" role=\"alert\">{reason}</p>");
        Reply::html(status, page("aiM18 (simulated)", &main))
    };
    match switches.entry_errors {
        EntryErrors::Page => say(400),
        EntryErrors::Unauthorized => say(401),
        EntryErrors::Json => Reply::json(
            400,
            &serde_json::json!({ "error": "invalid_request", "error_description": reason }),
        ),
        EntryErrors::ErrorPage => fault::error_page(request),
        EntryErrors::Redirect => {
            let redirect_uri = request.parameter("redirect_uri").unwrap_or_default();
            let mut known = switches.applications.iter();
            if known.any(|application| application.callback == redirect_uri) {
                let mark = if redirect_uri.contains('?') { '&' } else { '?' };
                Reply::redirect(302, format!("{redirect_uri}{mark}error=invalid_request"))
            } else {
                say(400)
            }
        }
    }
}

fn submitted(
    inside: &mut Inside,
    request: &Recorded,
    wish: &Wish,
    known: Option<Aim18Person>,
    now: UnixTime,
) -> Reply {
    let field = |name: &str| request.parameter(name).unwrap_or_default();
    match (field("action").as_str(), known) {
        ("cancel", _) => match inside.switches.cancel {
            Cancel::AccessDenied => send_back(
                &inside.switches,
                wish,
                &[("error".to_owned(), "access_denied".to_owned())],
            ),
            Cancel::Nothing => Reply::html(200, login_page(wish, "", None)),
        },
        ("allow", Some(person)) => approved(inside, wish, &person, now),
        _ => {
            let username = field("username");
            let password = field("password");
            match inside.log_in(&username, |right| right == password) {
                Some(person) => {
                    let session = inside.grants.start_session(person.uid);
                    logged_in(inside, wish, &person, now).with(
                        "set-cookie",
                        format!("{SESSION}={session}; Path=/; HttpOnly; SameSite=Lax"),
                    )
                }
                None => Reply::html(
                    200,
                    login_page(wish, &username, Some("The user or the password is wrong.")),
                ),
            }
        }
    }
}

fn logged_in(inside: &mut Inside, wish: &Wish, person: &Aim18Person, now: UnixTime) -> Reply {
    if inside.switches.consent_page {
        return Reply::html(200, consent_page(wish));
    }
    approved(inside, wish, person, now)
}

/// The user is known and lets the application in: the code or token goes back.
fn approved(inside: &mut Inside, wish: &Wish, person: &Aim18Person, now: UnixTime) -> Reply {
    let switches = &inside.switches;
    let life = if wish.implicit {
        switches.access_token_seconds
    } else {
        switches.code_seconds
    };
    let bound = Bound {
        uid: person.uid,
        client_id: wish.application.client_id.clone(),
        redirect_uri: wish.redirect_uri.clone(),
        expires_at: now + life,
    };
    let awkward = switches.awkward_tokens;
    let mut answer = if wish.implicit {
        let token = inside.grants.issue_access(bound, awkward, now);
        vec![
            ("access_token".to_owned(), token),
            ("token_type".to_owned(), switches.token_type.clone()),
            ("uid".to_owned(), person.uid.to_string()),
        ]
    } else {
        let code = inside.grants.issue_code(bound, awkward, now);
        vec![(switches.code_name.clone(), code)]
    };
    if let Some(state) = &wish.state
        && inside.switches.state == StateParameter::Echoed
    {
        answer.push(("state".to_owned(), state.clone()));
    }
    send_back(&inside.switches, wish, &answer)
}

fn send_back(switches: &Switches, wish: &Wish, answer: &[(String, String)]) -> Reply {
    let callback = &wish.redirect_uri;
    let encoded = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(answer)
        .finish();
    let place = if wish.implicit {
        switches.token_in
    } else {
        switches.code_in
    };
    let separator = match place {
        AnswerIn::Fragment => '#',
        AnswerIn::Query if callback.contains('?') && !switches.joins_by_question_mark => '&',
        AnswerIn::Query => '?',
    };
    let location = format!("{callback}{separator}{encoded}");
    match (switches.return_by, place) {
        (ReturnBy::Redirect(status), _) => Reply::redirect(status, location),
        (ReturnBy::PostForm, _) => Reply::html(200, form_back("post", callback, answer)),
        // A form by GET puts its fields in the place of the query, so that those of the address must be among them.
        (ReturnBy::Form, AnswerIn::Query) => {
            let (action, query) = location.split_once('?').unwrap_or((&location, ""));
            let fields: Vec<_> = form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect();
            Reply::html(200, form_back("get", action, &fields))
        }
        // And it cannot carry a fragment.
        (ReturnBy::Script | ReturnBy::Form, _) => Reply::html(200, script_back(&location)),
    }
}

fn script_back(location: &str) -> String {
    // `<` must not end the script element from inside a string.
    let text = serde_json::Value::from(location)
        .to_string()
        .replace('<', "\\u003c");
    let link = escape(location);
    page(
        "Logged in to aiM18 (simulated)",
        &format!(
            "<p><a href=\"{link}\">Continue</a></p>\n<script>location.replace({text});</script>"
        ),
    )
}

fn form_back(method: &str, action: &str, fields: &[(String, String)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(name, value)| hidden(name, value))
        .collect();
    page(
        "Logged in to aiM18 (simulated)",
        &format!(
            "<form id=\"back\" method=\"{method}\" action=\"{}\">{fields}<button>Continue</button></form>\n\
             <script>document.getElementById('back').submit();</script>",
            escape(action)
        ),
    )
}

/// The request's parameters, to be posted again with the form.
fn wish_fields(wish: &Wish) -> String {
    let response_type = if wish.implicit { "token" } else { "code" };
    let mut fields = hidden("response_type", response_type)
        + &hidden("client_id", &wish.application.client_id)
        + &hidden("redirect_uri", &wish.redirect_uri);
    if let Some(state) = &wish.state {
        fields += &hidden("state", state);
    }
    fields
}

fn login_page(wish: &Wish, username: &str, error: Option<&str>) -> String {
    let error = error.map_or_else(String::new, |error| {
        format!(
            "<p class=\"error\" id=\"error\" role=\"alert\">{}</p>\n",
            escape(error)
        )
    });
    page(
        "aiM18 (simulated)",
        &format!(
            "<p class=\"note\">This page stands in for the login page of an aiM18 server.</p>\n{error}\
             <form method=\"post\" action=\"entry\">{}\n\
             <label for=\"username\">User</label>\n\
             <input id=\"username\" name=\"username\" value=\"{}\" autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\">\n\
             <label for=\"password\">Password</label>\n\
             <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\">\n\
             <button name=\"action\" value=\"login\">Log in</button>\n\
             <button name=\"action\" value=\"cancel\">Cancel</button>\n</form>",
            wish_fields(wish),
            escape(username),
        ),
    )
}

fn consent_page(wish: &Wish) -> String {
    page(
        "aiM18 (simulated)",
        &format!(
            "<p>Let the application use aiM18 in your name?</p>\n\
             <form method=\"post\" action=\"entry\">{}\n\
             <button name=\"action\" value=\"allow\">Allow</button>\n\
             <button name=\"action\" value=\"cancel\">Cancel</button>\n</form>",
            wish_fields(wish),
        ),
    )
}
