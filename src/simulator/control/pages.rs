//! The control as pages, for a browser without script.

use std::fmt::Write as _;

use super::log::shown;
use super::{Controlled, PATH, Person};
use crate::simulator::fault::FAULTS;
use crate::simulator::page::{escape, hidden, wide_page};
use crate::simulator::switch::Described;

/// The index: people, switches, faults, applications.
pub(super) fn index(site: &impl Controlled) -> String {
    let main = format!(
        "<p class=\"note\">What is changed here lasts until the simulator stops. Nothing is written to disk. \
         The same is there <a href=\"{PATH}#json\">as JSON</a>.</p>\n\
         <nav aria-label=\"Parts\"><a href=\"#people\">People</a> <a href=\"#switches\">Switches</a> \
         <a href=\"#faults\">Faults</a> <a href=\"#applications\">Applications</a> \
         <a href=\"{PATH}log\">Last requests</a></nav>\n\
         {buttons}\n<h2 id=\"people\">People</h2>\n{people}\n<h2 id=\"switches\">Switches</h2>\n{switches}\n\
         <h2 id=\"faults\">Faults</h2>\n{faults}\n<h2 id=\"applications\">Applications</h2>\n{applications}\n\
         <h2 id=\"json\">JSON</h2>\n<p>Ask for <code>{PATH}</code>, <code>{PATH}switches</code>, <code>{PATH}people</code>, \
         <code>{PATH}faults</code> or <code>{PATH}log</code> without <code>Accept: text/html</code>. Change by POST of a JSON object: \
         <code>{{\"NAME\": \"VALUE\"}}</code> to <code>{PATH}switches</code>, <code>{{\"person\": \"ID or user name\", \"PROPERTY\": \"VALUE\"}}</code> to \
         <code>{PATH}people</code>.</p>",
        buttons = buttons(),
        people = people(site),
        switches = switches(&site.switches()),
        faults = faults(site),
        applications = applications(site),
    );
    wide_page(&format!("Control of {} (simulated)", site.system()), &main)
}

fn form(action: &str, inner: &str) -> String {
    format!("<form method=\"post\" action=\"{PATH}{action}\">{inner}</form>")
}

fn buttons() -> String {
    let button = |action: &str, text: &str| form(action, &format!("<button>{text}</button>"));
    format!(
        "<div class=\"row\">{}{}{}{}</div>",
        button("purge", "End all tokens"),
        button("mend", "Mend all faults"),
        button("reset", "Set everything back"),
        button("forget", "Forget the requests"),
    )
}

fn people(site: &impl Controlled) -> String {
    let actions = site.actions();
    let options = actions
        .iter()
        .map(|action| {
            format!(
                "<option value=\"{0}\" title=\"{1}\">{0}</option>",
                escape(action.name),
                escape(action.meaning)
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let rows = site
        .people()
        .iter()
        .map(|person| {
            let act = form(
                "people",
                &format!(
                    "{}<select name=\"do\" aria-label=\"What to do with {}\">{options}</select> <button>Do</button>",
                    hidden("person", &person.id),
                    escape(&person.username),
                ),
            );
            format!(
                "<tr><th scope=\"row\"><a href=\"{PATH}people/{}\">{}</a></th><td><code>{}</code></td><td>{}</td><td>{}</td><td>{act}</td></tr>\n",
                percent_encoding::utf8_percent_encode(&person.id, percent_encoding::NON_ALPHANUMERIC),
                escape(&person.username),
                escape(&person.password),
                escape(&person.state),
                escape(person.about),
            )
        })
        .collect::<Vec<_>>()
            .concat();
    format!(
        "<table>\n<thead><tr><th scope=\"col\">User name</th><th scope=\"col\">Password</th><th scope=\"col\">State</th>\
         <th scope=\"col\">About</th><th scope=\"col\">Change</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>"
    )
}

/// The field for a value: a choice of words, or a text.
fn field(of: &Described) -> String {
    let name = escape(of.name);
    if of.accepts.form.is_none() {
        let options = of
            .accepts
            .words
            .iter()
            .map(|(word, meaning)| {
                let chosen = if *word == of.value { " selected" } else { "" };
                let word = escape(word);
                let more = if meaning.is_empty() {
                    String::new()
                } else {
                    format!(": {}", escape(meaning))
                };
                format!("<option value=\"{word}\"{chosen}>{word}{more}</option>")
            })
            .collect::<Vec<_>>()
            .concat();
        return format!("<select name=\"{name}\" aria-label=\"{name}\">{options}</select>");
    }
    let words = of
        .accepts
        .words
        .iter()
        .map(|(word, _)| format!("{word}, or "))
        .collect::<Vec<_>>()
        .concat();
    let takes = format!("{words}{}", of.accepts.form.unwrap_or_default());
    format!(
        "<input name=\"{name}\" aria-label=\"{name}: {takes}\" title=\"{takes}\" value=\"{}\" autocomplete=\"off\" spellcheck=\"false\">",
        escape(&of.value),
        takes = escape(&takes),
    )
}

fn switches(switches: &[Described]) -> String {
    let rows = switches
        .iter()
        .map(|switch| {
            let set = form(
                "switches",
                &format!("{} <button>Set</button>", field(switch)),
            );
            format!(
                "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{set}</td></tr>\n",
                escape(switch.name),
                escape(switch.meaning),
            )
        })
        .collect::<Vec<_>>()
        .concat();
    format!(
        "<table>\n<thead><tr><th scope=\"col\">Switch</th><th scope=\"col\">Meaning</th><th scope=\"col\">Value</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>"
    )
}

fn faults(site: &impl Controlled) -> String {
    let planned = site
        .faults()
        .iter()
        .map(|fault| format!("<li><code>{}</code></li>\n", escape(&fault.to_string())))
        .collect::<Vec<_>>()
        .concat();
    let planned = if planned.is_empty() {
        "<p>None is planned.</p>".to_owned()
    } else {
        format!("<ul>\n{planned}</ul>")
    };
    let known = FAULTS
        .iter()
        .map(|(word, meaning)| {
            format!(
                "<dt><code>{}</code></dt><dd>{}</dd>\n",
                escape(word),
                escape(meaning)
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let plan = form(
        "faults",
        "<label>Part of the path <input name=\"place\" placeholder=\"/token\"></label>\
         <label>Fault <input name=\"fault\" required placeholder=\"status-503\"></label>\
         <label>How many times (empty: always) <input name=\"times\" inputmode=\"numeric\"></label>\
         <label>Every which request (empty: every one) <input name=\"every\" inputmode=\"numeric\"></label>\
         <button>Plan</button>",
    );
    format!("{planned}\n{plan}\n<dl>\n{known}</dl>")
}

fn applications(site: &impl Controlled) -> String {
    let known = site
        .applications()
        .iter()
        .map(|one| {
            format!(
                "<li><code>{}</code>: {}</li>\n",
                escape(&one.client_id),
                escape(&one.url)
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let register = form(
        "applications",
        "<label>Client id <input name=\"client_id\" required></label>\
         <label>Client secret <input name=\"client_secret\" type=\"password\" autocomplete=\"off\" required></label>\
         <label>Login redirect URL or callback URL <input name=\"url\" type=\"url\" required></label>\
         <button>Register</button>",
    );
    format!("<ul>\n{known}</ul>\n{register}")
}

/// Everything about one person.
pub(super) fn person(site: &impl Controlled, person: &Person) -> String {
    let rows = person
        .properties
        .iter()
        .map(|property| {
            format!(
                "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{}</td></tr>\n",
                escape(property.name),
                escape(property.meaning),
                field(property),
            )
        })
        .collect::<Vec<_>>()
        .concat();
    let table = format!(
        "{}<table>\n<thead><tr><th scope=\"col\">Property</th><th scope=\"col\">Meaning</th><th scope=\"col\">Value</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n<button>Save</button>",
        hidden("person", &person.id)
    );
    wide_page(
        &format!("{} in {} (simulated)", person.username, site.system()),
        &format!(
            "<p>{}</p>\n{}\n<p><a href=\"{PATH}\">Back</a></p>",
            escape(person.about),
            form("people", &table)
        ),
    )
}

/// The last requests, latest first.
pub(super) fn log(site: &impl Controlled) -> String {
    let requests = shown(site)
        .into_iter()
        .map(|one| {
            let mut headers = String::new();
            for (name, value) in &one.headers {
                // Writing to a text cannot fail.
                let _ = writeln!(headers, "{name}: {value}");
            }
            let question = if one.query.is_empty() { "" } else { "?" };
            let status = one.status.map_or_else(
                || "no answer".to_owned(),
                |status| status.to_string(),
            );
            format!(
                "<details><summary><code>{} {}{question}{}</code> {status}</summary><pre>{}\n{}</pre></details>\n",
                escape(&one.method),
                escape(&one.path),
                escape(&one.query),
                escape(&headers),
                escape(&one.body),
            )
        })
        .collect::<Vec<_>>()
            .concat();
    let requests = if requests.is_empty() {
        "<p>None yet.</p>".to_owned()
    } else {
        requests
    };
    wide_page(
        &format!("Last requests to {} (simulated)", site.system()),
        &format!("<p>Secrets are masked.</p>\n{requests}\n<p><a href=\"{PATH}\">Back</a></p>"),
    )
}

/// What was wrong with a form.
pub(super) fn wrong(reason: &str) -> String {
    wide_page(
        "That cannot be set",
        &format!(
            "<p class=\"error\" role=\"alert\">{}</p>\n<p><a href=\"{PATH}\">Back</a></p>",
            escape(reason)
        ),
    )
}
