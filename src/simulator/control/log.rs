//! The last requests, to be shown: what stands for a secret is masked, wherever it stands.

use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{Controlled, SHOWN};
use crate::simulator::wire::Recorded;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// Names of parameters and JSON properties whose values are secret: these, and whatever contains `password`, `secret` or `token`.
const SECRET: [&str; 3] = ["code", "assertion", "refresh"];

/// Headers that hold secrets.
const SECRET_HEADERS: [&str; 4] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "requestverificationtoken",
];

/// Operations of `UserSecurity` whose parameters are no secrets: names of users.
const HARMLESS: [&str; 4] = ["GetUserRoles", "GetUserClaims", "FindByName", "UnlockUser"];

/// One request, with what is secret masked.
pub(super) struct Shown {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) status: Option<u16>,
}

/// The last requests, latest first.
pub(super) fn shown(site: &impl Controlled) -> Vec<Shown> {
    let more = site.secret_parameters();
    site.last_requests(SHOWN)
        .iter()
        .map(|(request, status)| Shown {
            method: request.method.clone(),
            path: request.path.clone(),
            query: pairs(&request.query_pairs(), &more),
            headers: headers(request),
            body: body(request, &more),
            status: *status,
        })
        .collect()
}

/// The same as JSON.
pub(super) fn json(site: &impl Controlled) -> Value {
    let requests = shown(site).into_iter().map(|shown| {
        let headers: Map<String, Value> = shown
            .headers
            .into_iter()
            .map(|(name, value)| (name, Value::String(value)))
            .collect();
        json!({
            "method": shown.method,
            "path": shown.path,
            "query": shown.query,
            "headers": headers,
            "body": shown.body,
            "status": shown.status,
        })
    });
    requests.collect()
}

fn is_secret(name: &str, more: &[String]) -> bool {
    let name = name.to_lowercase();
    SECRET.contains(&name.as_str())
        || ["password", "secret", "token"]
            .iter()
            .any(|part| name.contains(part))
        || more.iter().any(|secret| secret.eq_ignore_ascii_case(&name))
}

fn pairs(pairs: &[(String, String)], more: &[String]) -> String {
    let masked = pairs.iter().map(|(name, value)| {
        let secret =
            is_secret(name, more) && !value.is_empty() && !name.eq_ignore_ascii_case("token_type");
        // A return address may bring along what was meant for somebody else.
        let is_address = value.contains("://") || value.starts_with('/');
        match value.split_once(['?', '#']) {
            _ if secret => (name.as_str(), MASK.to_owned()),
            Some((address, _)) if is_address => (name.as_str(), format!("{address}?{MASK}")),
            _ => (name.as_str(), value.clone()),
        }
    });
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(masked)
        .finish()
}

fn headers(request: &Recorded) -> Vec<(String, String)> {
    let headers = request.headers.iter();
    headers
        .map(|(name, value)| {
            let value = match (name.as_str(), value.split_once(['?', '#'])) {
                (name, _) if SECRET_HEADERS.contains(&name) => MASK.to_owned(),
                ("referer", Some((address, _))) => format!("{address}?{MASK}"),
                _ => value.clone(),
            };
            (name.clone(), value)
        })
        .collect()
}

/// A form or JSON with its secrets masked; of anything else, its length.
fn body(request: &Recorded, more: &[String]) -> String {
    let form = request.form();
    if !form.is_empty() {
        return pairs(&form, more);
    }
    match serde_json::from_str::<Value>(&request.body) {
        Ok(mut body) => {
            let operation = body.get("OperationName").and_then(Value::as_str);
            let harmless = operation.is_none_or(|operation| HARMLESS.contains(&operation));
            if !harmless && let Some(body) = body.as_object_mut() {
                body.insert("Parameters".to_owned(), json!(MASK));
            }
            mask(&mut body, more);
            body.to_string()
        }
        Err(_) if request.body.is_empty() => String::new(),
        Err(_) => format!("({} bytes)", request.body.len()),
    }
}

fn mask(value: &mut Value, more: &[String]) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| mask(value, more)),
        Value::Object(object) => {
            for (name, value) in object {
                // `code` is the name of a record here, not a secret.
                if is_secret(name, more) && name != "code" {
                    *value = json!(MASK);
                } else {
                    mask(value, more);
                }
            }
        }
        _ => {}
    }
}
