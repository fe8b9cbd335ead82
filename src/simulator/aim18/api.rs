//! The generic services below `/jsf/rfws/`: read an entity (two ways), search. All need the token and, in a header
//! with an underscore in its name, the client id that the token was issued to.

use serde_json::{Value, json};

use super::check_message::{api_refusal, missing};
use super::switches::UserRights;
use super::{Aim18Person, Inside, people};
use crate::clock::UnixTime;
use crate::simulator::wire::{Recorded, Reply};

/// Answers a service; `service` is the path below `/jsf/rfws/`.
pub(super) fn answer(
    inside: &mut Inside,
    request: &Recorded,
    service: &str,
    now: UnixTime,
) -> Reply {
    let Some(caller) = caller(inside, request, now) else {
        return Reply::json(
            inside.switches.denied_status,
            &json!({ "error": "invalid_token" }),
        );
    };
    if request.method != "GET" {
        return api_refusal(
            inside.switches.api_errors,
            "core_405",
            "The service is not simulated.",
        );
    }
    let module = inside.switches.user_module.as_str();
    if let Some(asked) = service.strip_prefix("entity/read/") {
        read(inside, request, &caller, asked == module, sql_entity)
    } else if let Some(asked) = service.strip_prefix("root/api/read/") {
        read(
            inside,
            request,
            &caller,
            asked == module,
            |module, person| json!({ "status": true, "data": { module: [row(person)] }, "messages": [] }),
        )
    } else if service == "search/search" {
        search(inside, request, &caller)
    } else {
        super::not_found()
    }
}

/// The user of a live token that is presented with its own client id.
fn caller(inside: &Inside, request: &Recorded, now: UnixTime) -> Option<Aim18Person> {
    let token = match request.bearer() {
        Some(token) => token,
        None if inside.switches.accepts_bare_token => request.header("authorization")?,
        None => return None,
    };
    let bound = inside.grants.access(token, now)?;
    let client_id = request.header("client_id")?;
    (client_id == bound.client_id)
        .then(|| inside.person(bound.uid))
        .flatten()
}

fn may_read(inside: &Inside, caller: &Aim18Person, person: &Aim18Person) -> bool {
    let is_service = caller.uid == people::AIM18_SERVICE.uid;
    match inside.switches.user_rights {
        UserRights::Everybody => true,
        UserRights::Own => is_service || caller.uid == person.uid,
        UserRights::ServiceAccount => is_service,
        UserRights::Nobody => false,
    }
}

fn read(
    inside: &Inside,
    request: &Recorded,
    caller: &Aim18Person,
    is_user_module: bool,
    show: impl Fn(&str, &Aim18Person) -> Value,
) -> Reply {
    let style = inside.switches.api_errors;
    let menu_code = request.query_parameter("menuCode").unwrap_or_default();
    if !is_user_module || menu_code != inside.switches.user_module {
        return api_refusal(style, "core_module_404", "The module does not exist.");
    }
    let id = request.query_parameter("id").unwrap_or_default();
    let Some(person) = id.parse().ok().and_then(|uid| inside.person(uid)) else {
        return missing("The record does not exist.");
    };
    if may_read(inside, caller, &person) {
        Reply::json(200, &show(&inside.switches.user_module, &person))
    } else {
        api_refusal(style, "core_right_403", "No right to read the record.")
    }
}

fn search(inside: &Inside, request: &Recorded, caller: &Aim18Person) -> Reply {
    let parameter = |name: &str| request.query_parameter(name).unwrap_or_default();
    let module = &inside.switches.user_module;
    if parameter("stSearch") != *module {
        let style = inside.switches.api_errors;
        return api_refusal(style, "core_search_404", "The search does not exist.");
    }
    let wanted = parameter("quickSearchStr").to_lowercase();
    let number = |name: &str| parameter(name).parse::<usize>().ok();
    let start = number("startRow").unwrap_or(0);
    let end = number("endRow").unwrap_or(usize::MAX);
    let found: Vec<Value> = inside
        .people
        .iter()
        .filter(|person| may_read(inside, caller, person))
        .filter(|person| {
            [person.code, person.desc_en, person.desc_zh_tw]
                .iter()
                .any(|text| text.to_lowercase().contains(&wanted))
        })
        .map(found_row)
        .collect();
    let size = found.len();
    let values: Vec<Value> = found
        .into_iter()
        .skip(start)
        .take(end.saturating_sub(start))
        .collect();
    Reply::json(
        200,
        &json!({ "stSearch": module, "stSearchDisplay": "User", "size": size, "values": values }),
    )
}

/// The name in the caller's language, which here is the first that there is.
fn desc(person: &Aim18Person) -> &'static str {
    if person.desc_en.is_empty() {
        person.desc_zh_tw
    } else {
        person.desc_en
    }
}

/// A row of the user table.
fn row(person: &Aim18Person) -> Value {
    json!({
        "id": person.uid,
        "code": person.code,
        "desc": desc(person),
        "desc_en": person.desc_en,
        "desc_zh-TW": person.desc_zh_tw,
        "desc_zh-CN": person.desc_zh_cn,
        "email": person.email,
        // This date stands for "none".
        "expiredDate": "1900-01-01 00:00:00",
    })
}

fn found_row(person: &Aim18Person) -> Value {
    json!({
        "id": person.uid,
        "st_id": person.uid,
        "code": person.code,
        "st_code": person.code,
        "st_desc": format!("{} ({})", desc(person), person.code),
        "desc__lang": desc(person),
        "email": person.email,
    })
}

/// The documented form of a record: tables, each with its fields and rows.
fn sql_entity(module: &str, person: &Aim18Person) -> Value {
    let row = row(person);
    let fields: Vec<Value> = row
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| {
            let (class, kind) = match (name.as_str(), value) {
                ("expiredDate", _) => ("java.util.Date", 21),
                (_, Value::Number(_)) => ("java.lang.Long", 10),
                _ => ("java.lang.String", 0),
            };
            json!({ "name": name, "fieldClassName": class, "fieldClass": class, "classType": kind })
        })
        .collect();
    json!({
        "moduleType": module,
        "mainTableName": module,
        "subTableNames": "",
        module: { "name": module, "size": 1, "fields": fields, "values": [row] },
    })
}
