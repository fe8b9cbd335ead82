//! The small lists that a client may look things up in: roles, customer types, kinds of communication.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::api::{Call, forbidden};
use super::envelope::{page, type_of};
use super::security::role;
use crate::simulator::wire::Reply;

/// Kinds of communication that a person may want or not, with invented ids.
const COMMUNICATION_TYPES: [(&str, &str); 2] = [
    ("3f0c0000-0000-4000-8000-000000000001", "News"),
    ("3f0c0000-0000-4000-8000-000000000002", "Events"),
];

/// Answers a read of one of the lists.
pub(super) fn read(call: &Call<'_>, path: &[&str]) -> Reply {
    match path {
        ["role"] => {
            let names = call.people.iter().flat_map(|person| person.roles);
            let roles: BTreeMap<&str, Value> = names.map(|name| (*name, role(name))).collect();
            let roles: Vec<Value> = roles.into_values().collect();
            page(call.switches, call.request, "RoleData", &roles)
        }
        ["legacycustomertype", code] => customer_type(call, code),
        ["communicationtype"] => {
            let rows = COMMUNICATION_TYPES.map(|(id, name)| {
                json!({
                    "$type": type_of(call.switches, "CommunicationTypeData"),
                    "CommunicationTypeId": id,
                    "ReasonCode": name,
                })
            });
            page(call.switches, call.request, "CommunicationTypeData", &rows)
        }
        // The definition of a query is for staff.
        ["querydefinition", ..] if !call.caller.reads_everybody() => forbidden(),
        ["querydefinition", ..] | ["metadata", _] => Reply::text(501, "Service not implemented"),
        _ => Reply::text(404, "Service not found."),
    }
}

fn customer_type(call: &Call<'_>, code: &str) -> Reply {
    let known = call
        .people
        .iter()
        .map(|person| person.customer_type)
        .find(|known| known.0.eq_ignore_ascii_case(code));
    match known {
        Some((code, description)) => Reply::json(
            200,
            &json!({
                "$type": type_of(call.switches, "LegacyCustomerTypeData"),
                "CustomerTypeId": code,
                "Description": description,
            }),
        ),
        None => Reply::text(404, "Entity not found."),
    }
}
