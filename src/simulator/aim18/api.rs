//! The generic services below `/jsf/rfws/`: entities (two ways), search, and the list of a user's tasks. All need the token and, in a
//! header with an underscore in its name, the client id that the token was issued to.

use serde_json::{Map, Value, json};

use super::check_message::{api_refusal, missing};
use super::record::{self, saved, sql_entity};
use super::switches::ChecksRight;
use super::{Aim18Person, Inside, user};
use crate::clock::UnixTime;
use crate::simulator::wire::{Recorded, Reply};

/// What a call sent as `check_right`, in the query or in a header: neither place nor values are documented. A test asks this of the log.
pub fn check_right(request: &Recorded) -> Option<String> {
    request
        .query_parameter("check_right")
        .or_else(|| request.header("check_right").map(ToOwned::to_owned))
}

/// One operation on one module.
struct Call<'a> {
    request: &'a Recorded,
    caller: Aim18Person,
    /// `create`, `read`, `save`, `delete`.
    operation: &'a str,
    module: &'a str,
    /// Whether the answer has the newer form.
    newer: bool,
}

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
    let path: Vec<&str> = service.split('/').collect();
    let call = |operation, module, newer| Call {
        request,
        caller,
        operation,
        module,
        newer,
    };
    match (request.method.as_str(), path.as_slice()) {
        ("POST", ["entity", "create", module]) => entity(inside, &call("create", module, false)),
        ("GET", ["entity", "read", module]) => entity(inside, &call("read", module, false)),
        ("PUT", ["entity", "save", module]) => entity(inside, &call("save", module, false)),
        ("DELETE", ["entity", "delete", module]) => entity(inside, &call("delete", module, false)),
        ("GET", ["root", "api", "read", module]) => entity(inside, &call("read", module, true)),
        ("PUT", ["root", "api", "save", module]) => entity(inside, &call("save", module, true)),
        ("DELETE", ["root", "api", "delete", module]) => {
            entity(inside, &call("delete", module, true))
        }
        ("GET", ["search", "search"]) => search(inside, request, &caller),
        ("GET", ["erp", "search", by, module, value]) => {
            erp_search(inside, &call("read", module, true), by, value)
        }
        ("GET", ["bpm", "wfs", "tracking"]) => tracking(inside),
        ("GET", ["ebiWidget", "reportList"]) => Reply::json(200, &json!([])),
        ("GET", _) => super::not_found(),
        _ => refuse(inside, "core_405", "The service is not simulated."),
    }
}

/// The user of a live token that is presented with its own client id.
fn caller(inside: &Inside, request: &Recorded, now: UnixTime) -> Option<Aim18Person> {
    let switches = &inside.switches;
    let token = match request.bearer() {
        Some(token) => token,
        None if switches.accepts_bare_token => request.header("authorization")?,
        None => return None,
    };
    let bound = inside.grants.access(token, now)?;
    let client_id_fits =
        !switches.needs_client_id || request.header("client_id")? == bound.client_id;
    inside
        .person(bound.uid)
        .filter(|person| client_id_fits && (person.enabled || !switches.disable_ends_access))
}

fn is_off(inside: &Inside, family: &str, module: &str, operation: &str) -> bool {
    inside
        .switches
        .apis_off
        .iter()
        .any(|off| off == family || off == module || *off == format!("{module}.{operation}"))
}

fn refuse(inside: &Inside, key: &str, info: &str) -> Reply {
    api_refusal(&inside.switches, key, info)
}

fn off(inside: &Inside) -> Reply {
    refuse(
        inside,
        "core_api_403",
        "The API is not allowed for the application.",
    )
}

/// Whether the call may go on: by the application's settings, and by the user's rights if they are looked at.
fn allowed(inside: &Inside, call: &Call<'_>) -> Result<(), Reply> {
    let family = if call.newer { "root" } else { "entity" };
    if is_off(inside, family, call.module, call.operation) {
        return Err(off(inside));
    }
    let looks = match inside.switches.checks_right {
        ChecksRight::ByParameter => check_right(call.request).is_some_and(|sent| !sent.is_empty()),
        ChecksRight::Always => true,
        ChecksRight::Never => false,
    };
    // The module of the users has rules of its own.
    let is_users = call.module == inside.switches.user_module;
    if looks && !is_users && !call.caller.modules.contains(&call.module) {
        return Err(no_right(inside));
    }
    Ok(())
}

fn no_right(inside: &Inside) -> Reply {
    refuse(inside, "core_right_403", "No right on the record.")
}

fn entity(inside: &mut Inside, call: &Call<'_>) -> Reply {
    if let Err(reply) = allowed(inside, call) {
        return reply;
    }
    let menu_code = call.request.query_parameter("menuCode");
    // The older save, and both deletes, are seen without it.
    let needs_menu_code = call.operation == "create" || call.operation == "read";
    let fits = match menu_code.as_deref() {
        Some(menu_code) => menu_code == call.module,
        None => !needs_menu_code,
    };
    let is_users = call.module == inside.switches.user_module;
    if !fits || !(is_users || inside.records.module(call.module).is_some()) {
        return refuse(inside, "core_module_404", "The module does not exist.");
    }
    let id = call.request.query_parameter("id");
    let id = id.and_then(|id| id.parse().ok()).unwrap_or_default();
    match call.operation {
        "read" if is_users => match inside.person(id) {
            Some(person) if user::may_read(inside, &call.caller, &person) => {
                let row = user::row(&person);
                show(call, row.as_object().unwrap_or(&Map::new()))
            }
            Some(_) => no_right(inside),
            None => missing("The record does not exist."),
        },
        _ if is_users => no_right(inside),
        "read" => match inside.records.find(call.module, id) {
            Some(row) if record::is_of(row, &call.caller) => show(call, row),
            Some(_) => no_right(inside),
            None => missing("The record does not exist."),
        },
        "create" => show(call, &empty_row(&call.caller)),
        "save" => save(inside, call),
        _ => delete(inside, call, id),
    }
}

fn show(call: &Call<'_>, row: &Map<String, Value>) -> Reply {
    let module = call.module;
    let shown = if call.newer {
        json!({ "status": true, "data": { module: [row] }, "messages": [] })
    } else {
        sql_entity(module, row)
    };
    Reply::json(200, &shown)
}

fn empty_row(caller: &Aim18Person) -> Map<String, Value> {
    let row = json!({
        "id": 0, "code": "", "desc": "", "desc_en": "", "desc_zh-TW": "", "desc_zh-CN": "",
        "beId": caller.be_ids.first(), "iRev": 0,
    });
    row.as_object().cloned().unwrap_or_default()
}

fn save(inside: &mut Inside, call: &Call<'_>) -> Reply {
    let Some(mut row) = saved(call.module, &call.request.body) else {
        return refuse(inside, "core_101", "The entity cannot be read.");
    };
    if !row.contains_key("beId") {
        row.insert("beId".to_owned(), json!(call.caller.be_ids.first()));
    }
    let id = row.get("id").and_then(Value::as_i64).unwrap_or_default();
    let others = inside
        .records
        .find(call.module, id)
        .is_some_and(|before| !record::is_of(before, &call.caller));
    if others || !record::is_of(&row, &call.caller) {
        return no_right(inside);
    }
    match inside.records.save(call.module, row) {
        Ok(id) => Reply::json(
            200,
            &json!({ "status": true, "recordId": id, "messages": [] }),
        ),
        Err(reason) => refuse(inside, "core_102", reason),
    }
}

fn delete(inside: &mut Inside, call: &Call<'_>, id: i64) -> Reply {
    match inside.records.find(call.module, id) {
        Some(row) if !record::is_of(row, &call.caller) => return no_right(inside),
        _ => {}
    }
    if inside.records.delete(call.module, id) {
        Reply::json(200, &json!({ "status": true, "messages": [] }))
    } else {
        missing("The record does not exist.")
    }
}

fn search(inside: &Inside, request: &Recorded, caller: &Aim18Person) -> Reply {
    let parameter = |name: &str| request.query_parameter(name).unwrap_or_default();
    let module = parameter("stSearch");
    if is_off(inside, "search", &module, "search") {
        return off(inside);
    }
    let be_id = parameter("beId").parse::<i64>().ok();
    if be_id.is_none() && inside.switches.search_needs_be_id {
        return refuse(inside, "core_103", "beId is required.");
    }
    let wanted = parameter("quickSearchStr").to_lowercase();
    let found = if module == inside.switches.user_module {
        user::search(inside, caller, &wanted)
    } else if be_id.is_some_and(|be_id| !caller.be_ids.contains(&be_id)) {
        return no_right(inside);
    } else if inside.records.module(&module).is_some() {
        inside.records.search(&module, caller, be_id, &wanted)
    } else {
        return refuse(inside, "core_search_404", "The search does not exist.");
    };
    let number = |name: &str| parameter(name).parse::<usize>().ok();
    let start = number("startRow").unwrap_or(0);
    let end = number("endRow").unwrap_or(usize::MAX);
    let page = inside.switches.search_page;
    let page = page.and_then(|rows| usize::try_from(rows).ok());
    let size = found.len();
    let values: Vec<Value> = found
        .into_iter()
        .skip(start)
        .take(end.saturating_sub(start).min(page.unwrap_or(usize::MAX)))
        .collect();
    Reply::json(
        200,
        &json!({ "stSearch": module, "stSearchDisplay": module, "size": size, "values": values }),
    )
}

/// `erp/search/code/{table}/{code}` and `erp/search/id/{table}/{id}`.
fn erp_search(inside: &Inside, call: &Call<'_>, by: &str, value: &str) -> Reply {
    if is_off(inside, "erp", call.module, "read") {
        return off(inside);
    }
    if let Err(reply) = allowed(inside, call) {
        return reply;
    }
    let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
    let row = match by {
        "code" => inside.records.find_code(call.module, &value),
        "id" => value
            .parse()
            .ok()
            .and_then(|id| inside.records.find(call.module, id)),
        _ => None,
    };
    match row {
        Some(row) if record::is_of(row, &call.caller) => Reply::json(200, &json!(row)),
        Some(_) => no_right(inside),
        None => missing("The record does not exist."),
    }
}

/// The tasks of the token's user: the one service that answers every user, and therefore a cheap way to ask whether a token lives.
fn tracking(inside: &Inside) -> Reply {
    if is_off(inside, "bpm", "wfs", "tracking") {
        return off(inside);
    }
    Reply::json(200, &json!({ "size": 0, "values": [] }))
}
