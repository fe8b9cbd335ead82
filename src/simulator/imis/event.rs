//! `/api/Event`: an entity that does no harm, so that a program which stands between an app and iMIS can be tried with reads
//! and writes. Events live in memory; all but the names of the entity and its id are a guess.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Inside;
use super::api::{forbidden, validation_error, written};
use super::envelope::page;
use super::filter::filter;
use crate::simulator::people::ImisPerson;
use crate::simulator::wire::{Recorded, Reply};

/// The most events that are kept.
const MOST: usize = 200;

/// The events, by their id in upper case.
#[derive(Debug)]
pub(super) struct Events(BTreeMap<String, Value>);

impl Default for Events {
    fn default() -> Self {
        let event = |id: &str, name: &str, start: &str| {
            let event = json!({
                "$type": KIND,
                "EventId": id,
                "Name": name,
                "Description": "",
                "StartDateTime": start,
                "Status": "A",
            });
            (id.to_owned(), event)
        };
        Self(BTreeMap::from([
            event("ANNCONF", "Annual Conference", "2027-06-10T09:00:00"),
            event("GALA", "Winter Gala", "2027-12-04T19:00:00"),
        ]))
    }
}

const KIND: &str = "Asi.Soa.Events.DataContracts.EventData, Asi.Contracts";

/// Everybody who has a record reads events; staff and service accounts write them.
pub(super) fn answer(
    inside: &mut Inside,
    request: &Recorded,
    caller: &ImisPerson,
    id: &[&str],
) -> Reply {
    let method = request.method.as_str();
    if method != "GET" && !caller.reads_everybody() {
        return forbidden();
    }
    match (method, id) {
        ("GET", []) => list(inside, request),
        ("GET", [id]) => match inside.events.0.get(&id.to_uppercase()) {
            Some(event) => Reply::json(200, event),
            None => missing(),
        },
        ("POST", []) => save(inside, request, None),
        ("PUT", [id]) => save(inside, request, Some(id)),
        ("DELETE", [id]) => match inside.events.0.remove(&id.to_uppercase()) {
            Some(_) => Reply::empty(204),
            None => missing(),
        },
        _ => Reply::text(501, "Operation not implemented"),
    }
}

fn missing() -> Reply {
    Reply::text(404, "Entity not found.")
}

fn list(inside: &Inside, request: &Recorded) -> Reply {
    let events = inside.events.0.values().cloned().collect();
    let text = |event: &Value, name: &str| {
        let property = event.get(name).and_then(Value::as_str);
        property.unwrap_or_default().to_owned()
    };
    let found = filter(request, events, |event, name| {
        Some(match name {
            "eventid" => text(event, "EventId"),
            "name" => text(event, "Name"),
            "startdatetime" => text(event, "StartDateTime"),
            _ => return None,
        })
    });
    match found {
        Ok(found) => page(&inside.switches, request, "EventData", &found),
        Err(reply) => reply,
    }
}

/// A new event (409 when there is one of its id), or one in place of another.
fn save(inside: &mut Inside, request: &Recorded, replaces: Option<&str>) -> Reply {
    let mut event = match written(&inside.switches, request) {
        Ok(event) => event,
        Err(reply) => return reply,
    };
    let own = event.get("EventId").and_then(Value::as_str);
    let Some(id) = replaces.or(own).map(str::to_uppercase) else {
        return validation_error("EventId is required.");
    };
    let known = inside.events.0.contains_key(&id);
    match replaces {
        None if known => return Reply::text(409, "The entity exists already."),
        Some(_) if !known => return missing(),
        None if inside.events.0.len() >= MOST => {
            return validation_error("The simulator keeps no more events.");
        }
        _ => {}
    }
    if let Some(event) = event.as_object_mut() {
        event.insert("EventId".to_owned(), json!(id));
        event.insert("$type".to_owned(), json!(KIND));
    }
    let reply = Reply::json(if replaces.is_some() { 200 } else { 201 }, &event);
    inside.events.0.insert(id, event);
    reply
}
