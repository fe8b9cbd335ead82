//! The live control of a running simulator, at a path that no real system has: `/_simulator/`, as pages and as JSON. Switches, people,
//! faults and applications are read and changed by name; the last requests are shown with their secrets masked.
//!
//! A simulator often listens beside a browser that has other sites open. So nothing is changed by GET; a change comes from the control's own
//! pages or as JSON, which no other origin can send; and names that merely resolve to this machine (DNS rebinding) are not answered.

mod guard;
mod log;
mod pages;

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::fault::{FAULTS, Planned};
use super::switch::{Accepts, Described};
use super::wire::{Recorded, Reply};

/// Where the control is.
pub const PATH: &str = "/_simulator/";

/// How many of the last requests are shown.
const SHOWN: usize = 100;

/// A person as the control tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The id that stays when the name changes; the login name where there is none.
    pub id: String,
    /// The login name.
    pub username: String,
    /// The password: a demo's, so it may be shown.
    pub password: String,
    /// What is special.
    pub about: &'static str,
    /// Whether and how the account may log in, in a word.
    pub state: String,
    /// Everything that can be changed.
    pub properties: Vec<Described>,
}

/// A short name for a change that is often wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// The word.
    pub name: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// A client application as the control tells it: its id, and where it has its users sent. Never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The client id.
    pub client_id: String,
    /// The Login redirect URL or callback URL.
    pub url: String,
}

/// What a simulator lets the control do.
pub(super) trait Controlled {
    /// The system that is simulated.
    fn system(&self) -> &'static str;
    /// Names under which the control may be reached from elsewhere.
    fn control_hosts(&self) -> Vec<String>;

    fn switches(&self) -> Vec<Described>;
    fn turn(&self, changes: &[(String, String)]) -> Result<(), String>;

    fn people(&self) -> Vec<Person>;
    fn change_person(&self, who: &str, changes: &[(String, String)]) -> Result<(), String>;
    fn actions(&self) -> Vec<Action>;
    fn act(&self, who: &str, action: &str) -> Result<(), String>;

    fn applications(&self) -> Vec<Registered>;
    fn register_application(&self, client_id: &str, client_secret: &str, url: &str);

    fn faults(&self) -> Vec<Planned>;
    fn plan(&self, planned: Planned);
    fn mend_all(&self);

    /// Ends tokens, as the system's own means do.
    fn purge(&self);
    /// Everything as it was at the start, save the applications.
    fn reset(&self);

    fn last_requests(&self, count: usize) -> Vec<(Recorded, Option<u16>)>;
    fn forget_requests(&self);
    /// Names of parameters whose values are secret, beyond the usual.
    fn secret_parameters(&self) -> Vec<String>;
}

/// The most faults that may be planned at once.
const MOST_FAULTS: usize = 50;

/// Whether a request is for the control.
pub(super) fn is_control(request: &Recorded) -> bool {
    let rest = request.path.strip_prefix("/_simulator");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a request for the control.
pub(super) fn answer(site: &impl Controlled, request: &Recorded, peer: SocketAddr) -> Reply {
    let reply = guard::check(request, peer, &site.control_hosts()).map_or_else(
        |refused| refused,
        |()| {
            let path = request.segments();
            let path: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
            match request.method.as_str() {
                "GET" => show(site, request, &path),
                "POST" => change(site, request, &path),
                _ => Reply::empty(405).with("allow", "GET, POST"),
            }
        },
    );
    reply
        .with("cache-control", "no-store")
        .with("x-content-type-options", "nosniff")
        .with("cross-origin-resource-policy", "same-origin")
        // Not `no-referrer`: it would take the Origin off the forms.
        .with("referrer-policy", "same-origin")
        .with(
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'",
        )
}

fn wants_page(request: &Recorded) -> bool {
    let accept = request.header("accept").unwrap_or_default();
    accept.contains("text/html")
}

fn show(site: &impl Controlled, request: &Recorded, path: &[&str]) -> Reply {
    let page = wants_page(request);
    match path {
        [] if request.path == "/_simulator" => Reply::redirect(308, PATH),
        [] if page => Reply::html(200, pages::index(site)),
        [] => Reply::json(200, &whole(site)),
        ["log"] if page => Reply::html(200, pages::log(site)),
        ["people", id] if page => match find(site, id) {
            Some(person) => Reply::html(200, pages::person(site, &person)),
            None => not_found(),
        },
        ["people", id] => match find(site, id) {
            Some(person) => Reply::json(200, &person_json(&person)),
            None => not_found(),
        },
        [part] => match whole(site).get(part) {
            Some(part) => Reply::json(200, part),
            None if *part == "log" => Reply::json(200, &log::json(site)),
            None => not_found(),
        },
        _ => not_found(),
    }
}

fn not_found() -> Reply {
    Reply::text(404, "There is no such part of the control.")
}

fn find(site: &impl Controlled, who: &str) -> Option<Person> {
    let mut people = site.people().into_iter();
    people.find(|person| person.id == who || person.username == who)
}

/// What is to be changed, as names and values.
type Changes = Vec<(String, String)>;

/// Reads a form of our pages, or a JSON object of plain values.
fn read(request: &Recorded) -> Result<Changes, String> {
    if !guard::is_json(request) {
        return Ok(request.form());
    }
    let body: Value = serde_json::from_str(&request.body)
        .map_err(|error| format!("the body is no JSON: {error}"))?;
    let object = body.as_object().ok_or("the body must be a JSON object")?;
    object
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Bool(true) => "yes".to_owned(),
                Value::Bool(false) => "no".to_owned(),
                Value::Null => "none".to_owned(),
                Value::Number(number) => number.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    return Err(format!("{name}: write a text, a number, true or false"));
                }
            };
            Ok((name.clone(), value))
        })
        .collect()
}

fn change(site: &impl Controlled, request: &Recorded, path: &[&str]) -> Reply {
    let outcome = match (read(request), path) {
        (Err(reason), _) => Err(reason),
        (Ok(changes), ["switches"]) => site.turn(&changes),
        (Ok(changes), ["people"]) => change_person(site, changes),
        (Ok(changes), ["faults"]) => plan(site, &changes),
        (Ok(changes), ["applications"]) => register(site, &changes),
        (Ok(_), ["mend"]) => {
            site.mend_all();
            Ok(())
        }
        (Ok(_), ["purge"]) => {
            site.purge();
            Ok(())
        }
        (Ok(_), ["reset"]) => {
            site.reset();
            Ok(())
        }
        (Ok(_), ["forget"]) => {
            site.forget_requests();
            Ok(())
        }
        (Ok(_), _) => return not_found(),
    };
    match (outcome, guard::is_json(request)) {
        (Ok(()), true) => {
            let whole = whole(site);
            let part = path.first().and_then(|part| whole.get(part));
            Reply::json(200, part.unwrap_or(&json!({})))
        }
        (Ok(()), false) => Reply::redirect(303, PATH),
        (Err(reason), true) => Reply::json(400, &json!({ "error": reason })),
        (Err(reason), false) => Reply::html(400, pages::wrong(&reason)),
    }
}

fn take(changes: &mut Changes, name: &str) -> Option<String> {
    let position = changes.iter().position(|(known, _)| known == name)?;
    Some(changes.swap_remove(position).1)
}

/// `person` says who; `do` is an action, all else are properties.
fn change_person(site: &impl Controlled, mut changes: Changes) -> Result<(), String> {
    let who = take(&mut changes, "person").ok_or("person: say who")?;
    let action = take(&mut changes, "do");
    site.change_person(&who, &changes)?;
    match action {
        Some(action) => site.act(&who, &action),
        None => Ok(()),
    }
}

fn plan(site: &impl Controlled, changes: &Changes) -> Result<(), String> {
    let value = |name: &str| {
        let found = changes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    let limit = |name: &str| match value(name) {
        None | Some("") => String::new(),
        Some(number) => format!(",{name}={number}"),
    };
    if site.faults().len() >= MOST_FAULTS {
        return Err("no more faults can be planned; mend some first".to_owned());
    }
    let (place, fault) = (value("place").unwrap_or_default(), value("fault"));
    if place.contains('=') {
        return Err("place: write a part of a path".to_owned());
    }
    let fault = fault.ok_or("fault: say which")?;
    let text = format!("{place}={fault}{}{}", limit("times"), limit("every"));
    site.plan(Planned::read(&text)?);
    Ok(())
}

/// The most applications that may be registered.
const MOST_APPLICATIONS: usize = 50;

fn register(site: &impl Controlled, changes: &Changes) -> Result<(), String> {
    let value = |name: &str| {
        let found = changes.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty() && value.len() <= 1024)
            .ok_or_else(|| format!("{name}: write it"))
    };
    let (client_id, url) = (value("client_id")?, value("url")?);
    let known = site.applications();
    let is_new = !known.iter().any(|one| one.client_id == client_id);
    if is_new && known.len() >= MOST_APPLICATIONS {
        return Err("no more applications can be registered".to_owned());
    }
    let is_web = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_web {
        return Err("url: write an http:// or https:// address".to_owned());
    }
    site.register_application(client_id, value("client_secret")?, url);
    Ok(())
}

/// Everything that can be read, save the requests.
fn whole(site: &impl Controlled) -> Value {
    let named = |(name, meaning): (&str, &str)| json!({ "name": name, "meaning": meaning });
    let actions = site.actions().into_iter();
    let faults: Vec<String> = site.faults().iter().map(ToString::to_string).collect();
    let applications = site.applications().into_iter();
    json!({
        "system": site.system(),
        "switches": described(&site.switches()),
        "people": site.people().iter().map(person_json).collect::<Vec<_>>(),
        "actions": actions.map(|action| named((action.name, action.meaning))).collect::<Vec<_>>(),
        "faults": faults,
        "known_faults": FAULTS.map(named),
        "applications": applications
            .map(|one| json!({ "client_id": one.client_id, "url": one.url }))
            .collect::<Vec<_>>(),
    })
}

fn person_json(person: &Person) -> Value {
    let properties = person.properties.iter();
    let properties: Map<String, Value> = properties
        .map(|property| (property.name.to_owned(), json!(property.value)))
        .collect();
    json!({
        "id": person.id,
        "username": person.username,
        "password": person.password,
        "about": person.about,
        "state": person.state,
        "properties": properties,
    })
}

fn described(switches: &[Described]) -> Value {
    let told = switches.iter().map(|switch| {
        let Accepts {
            words,
            form,
            examples,
        } = &switch.accepts;
        let words: Vec<Value> = words
            .iter()
            .map(|(word, meaning)| json!({ "value": word, "meaning": meaning }))
            .collect();
        json!({
            "name": switch.name,
            "meaning": switch.meaning,
            "value": switch.value,
            "values": words,
            "or": form,
            "examples": examples,
        })
    });
    told.collect()
}
