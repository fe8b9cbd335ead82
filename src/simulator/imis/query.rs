//! The saved queries, as the query service and as the older `/api/iqa` answer them. `$/Portico/Profile`: its one optional
//! parameter is a username; without it the query is about the caller. `$/Portico/Members`: two parameters, by position.

use serde_json::{Map, Value, json};

use super::api::{Call, forbidden};
use super::envelope::page;
use super::{Edition, QueryEmpty, QueryServices, QuerySubject, Switches, same_name};
use crate::simulator::people::ImisPerson;
use crate::simulator::wire::Reply;

/// The name under which the query is saved.
pub const PROFILE_QUERY: &str = "$/Portico/Profile";

/// Another: members by last name and, optionally, customer type; for staff and service accounts.
pub const MEMBERS_QUERY: &str = "$/Portico/Members";

/// Whether a service that runs saved queries is there.
pub(super) fn is_there(switches: &Switches, service: &str) -> bool {
    match switches.query_services {
        QueryServices::ByEdition => service == "iqa" || switches.edition == Edition::Ems,
        QueryServices::QueryOnly => service == "query",
        QueryServices::IqaOnly => service == "iqa",
    }
}

/// `GET /api/query`: rows are flat objects.
pub(super) fn flat(call: &Call<'_>) -> Reply {
    answer(call, |columns| {
        let mut row = Map::new();
        row.insert(
            "$type".to_owned(),
            json!("System.Dynamic.ExpandoObject, System.Core"),
        );
        for (name, value) in columns {
            row.insert((*name).to_owned(), value.clone());
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
                .map(|(name, value)| property(name, value.clone())),
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

/// Columns and their values, in the order of the query's definition.
type Columns = [(&'static str, String)];

fn answer(call: &Call<'_>, row: impl Fn(&[(&'static str, Value)]) -> Value) -> Reply {
    let name = call
        .request
        .query_parameter("queryname")
        .unwrap_or_default();
    let found = match name.to_lowercase() {
        _ if !call.switches.queries_for_rest => None,
        name if name == PROFILE_QUERY.to_lowercase() => Some(profile(call)),
        name if name == MEMBERS_QUERY.to_lowercase() => Some(members(call)),
        _ => None,
    };
    let found = match found {
        None => return Reply::text(404, "Query not found."),
        Some(Err(refused)) => return refused,
        Some(Ok(found)) => found,
    };
    let empty = call.switches.query_empty;
    let rows: Vec<Value> = found
        .iter()
        .map(|person| row(&cells(empty, &columns(person))))
        .collect();
    page(call.switches, call.request, "GenericEntityData", &rows)
}

/// The prompted parameters, by their position; an operator before the value is taken off.
fn parameters(call: &Call<'_>) -> impl Iterator<Item = String> + use<> {
    let pairs = call.request.query_pairs();
    pairs
        .into_iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("parameter"))
        .map(|(_, value)| value.strip_prefix("eq:").unwrap_or(&value).to_owned())
}

fn profile(call: &Call<'_>) -> Result<Vec<ImisPerson>, Reply> {
    let parameter = parameters(call).next().unwrap_or_default();
    let caller = call.caller.username.to_owned();
    let wanted = match call.switches.query_subject {
        QuerySubject::Either if parameter.is_empty() => caller,
        QuerySubject::LoggedInUser => caller,
        QuerySubject::Either | QuerySubject::Parameter => parameter,
    };
    if !call.caller.reads_everybody() && !same_name(&wanted, call.caller.username) {
        return Err(forbidden());
    }
    Ok(call
        .people
        .iter()
        .filter(|person| same_name(person.username, &wanted))
        .copied()
        .collect())
}

/// By last name, and by customer type if a second parameter names one.
fn members(call: &Call<'_>) -> Result<Vec<ImisPerson>, Reply> {
    if !call.caller.reads_everybody() {
        return Err(forbidden());
    }
    let mut parameters = parameters(call);
    let mut fits = |of: fn(&ImisPerson) -> &'static str| {
        let wanted = parameters.next().unwrap_or_default();
        move |person: &ImisPerson| wanted.is_empty() || same_name(of(person), &wanted)
    };
    let family_name = fits(|person| person.family_name);
    let customer_type = fits(|person| person.customer_type.0);
    Ok(call
        .people
        .iter()
        .filter(|person| family_name(person) && customer_type(person))
        .copied()
        .collect())
}

fn cells(empty: QueryEmpty, columns: &Columns) -> Vec<(&'static str, Value)> {
    columns
        .iter()
        .filter_map(|(name, value)| match empty {
            QueryEmpty::Null if value.is_empty() => Some((*name, Value::Null)),
            QueryEmpty::Omitted if value.is_empty() => None,
            _ => Some((*name, json!(value))),
        })
        .collect()
}

/// The aliases are whatever the author of a query likes; these are the names that OpenID Connect has, and a few more. What the
/// records of the simulator do not hold is made of what they do, so that somebody who wants every claim there is has a query for it.
fn columns(person: &ImisPerson) -> [(&'static str, String); 25] {
    let page = format!("https://members.example.org/people/{}", person.id);
    [
        ("sub", person.uniform_id.to_owned()),
        ("id", person.id.to_owned()),
        // Queries show the username as iMIS keeps it: in upper case, whatever was typed.
        ("username", person.username.to_uppercase()),
        ("name", person.full_name()),
        ("given_name", person.given_name.to_owned()),
        ("family_name", person.family_name.to_owned()),
        ("middle_name", "Robin".to_owned()),
        ("nickname", person.given_name.to_lowercase()),
        ("profile", page.clone()),
        ("picture", format!("{page}/picture.png")),
        ("website", format!("https://{}.example.org/", person.id)),
        ("gender", "unknown".to_owned()),
        ("birthdate", "1980-02-29T00:00:00".to_owned()),
        ("zoneinfo", "Europe/Paris".to_owned()),
        ("locale", "fr-FR".to_owned()),
        ("updated_at", "2023-06-01T08:30:00".to_owned()),
        ("email", person.email.to_owned()),
        ("phone_verified", "Y".to_owned()),
        ("customer_type", person.customer_type.0.to_owned()),
        ("member_type", person.customer_type.1.to_owned()),
        ("status", person.status.to_owned()),
        ("join_date", person.join_date.to_owned()),
        ("paid_thru", person.paid_through.to_owned()),
        // A column holds one value, so a list is joined.
        ("roles", person.roles.join(",")),
        ("committees", committees(person)),
    ]
}

fn committees(person: &ImisPerson) -> String {
    let names: Vec<&str> = person.groups.iter().map(|group| group.name).collect();
    names.join(",")
}
