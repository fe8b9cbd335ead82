//! The saved query `$/Portico/Profile`, as the query service and as the older `/api/iqa` answer it.
//! Its one optional parameter is a username; without it the query is about the caller.

use serde_json::{Map, Value, json};

use super::api::{Call, forbidden};
use super::envelope::page;
use super::same_name;
use crate::simulator::people::ImisPerson;
use crate::simulator::wire::Reply;

/// The name under which the query is saved.
pub const PROFILE_QUERY: &str = "$/Portico/Profile";

/// `GET /api/query`: rows are flat objects.
pub(super) fn flat(call: &Call<'_>) -> Reply {
    answer(call, |columns| {
        let mut row = Map::new();
        row.insert(
            "$type".to_owned(),
            json!("System.Dynamic.ExpandoObject, System.Core"),
        );
        for (name, value) in columns {
            row.insert((*name).to_owned(), json!(value));
        }
        Value::Object(row)
    })
}

/// `GET /api/iqa`: rows are lists of names and values.
pub(super) fn properties(call: &Call<'_>) -> Reply {
    answer(call, |columns| {
        let property = |name: &str, value: Value| {
            json!({
                "$type": "Asi.Soa.Core.DataContracts.GenericPropertyData, Asi.Contracts",
                "Name": name,
                "Value": value,
            })
        };
        let number = json!({ "$type": "System.Int32", "$value": 1 });
        let mut values = vec![property("ResultRow", number)];
        values.extend(
            columns
                .iter()
                .map(|(name, value)| property(name, json!(value))),
        );
        json!({
            "$type": "Asi.Soa.Core.DataContracts.GenericEntityData, Asi.Contracts",
            "EntityTypeName": "",
            "Properties": {
                "$type": "Asi.Soa.Core.DataContracts.GenericPropertyDataCollection, Asi.Contracts",
                "$values": values,
            },
        })
    })
}

fn answer(call: &Call<'_>, row: impl Fn(&[(&'static str, String)]) -> Value) -> Reply {
    let name = call
        .request
        .query_parameter("queryname")
        .unwrap_or_default();
    if !name.eq_ignore_ascii_case(PROFILE_QUERY) {
        return Reply::text(404, "Query not found.");
    }
    let parameter = call
        .request
        .query_parameter("parameter")
        .unwrap_or_default();
    let parameter = parameter.strip_prefix("eq:").unwrap_or(&parameter);
    let wanted = if parameter.is_empty() {
        call.caller.username
    } else {
        parameter
    };
    if !call.caller.reads_everybody() && !same_name(wanted, call.caller.username) {
        return forbidden();
    }
    let rows: Vec<Value> = call
        .people
        .iter()
        .filter(|person| same_name(person.username, wanted))
        .map(|person| row(&columns(person)))
        .collect();
    page(call.switches, call.request, "GenericEntityData", &rows)
}

fn columns(person: &ImisPerson) -> [(&'static str, String); 8] {
    [
        ("sub", person.uniform_id.to_owned()),
        ("id", person.id.to_owned()),
        // Queries show the username as iMIS keeps it: in upper case, whatever was typed.
        ("username", person.username.to_uppercase()),
        ("name", person.full_name()),
        ("given_name", person.given_name.to_owned()),
        ("family_name", person.family_name.to_owned()),
        ("email", person.email.to_owned()),
        ("customer_type", person.customer_type.0.to_owned()),
    ]
}
