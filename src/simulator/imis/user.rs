//! `/api/User`: from a username to the iMIS id.

use serde_json::{Value, json};

use super::api::Call;
use super::envelope::{page, type_of};
use super::filter::filter;
use super::{Switches, UserLookup, party};
use crate::simulator::people::ImisPerson;
use crate::simulator::wire::Reply;

/// `GET /api/User?username=eq:...`
pub(super) fn list(call: &Call<'_>) -> Reply {
    let readable = call.readable();
    let found = filter(call.request, readable.clone(), |person, name| {
        Some(match name {
            "username" => person.username.to_owned(),
            "userid" | "partyid" => person.id.to_owned(),
            "email" => person.email.to_owned(),
            _ => return None,
        })
    });
    let found = match found {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    let found = match call.switches.user_lookup {
        UserLookup::Right => found,
        UserLookup::Empty => Vec::new(),
        UserLookup::SomebodyElse => call
            .people
            .iter()
            .find(|person| !found.contains(person))
            .into_iter()
            .copied()
            .collect(),
        UserLookup::Everybody => call.people.clone(),
    };
    let rows: Vec<Value> = found
        .iter()
        .map(|person| user(call.switches, person))
        .collect();
    page(call.switches, call.request, "UserData", &rows)
}

/// `GET /api/User/{id}`
pub(super) fn read(call: &Call<'_>, id: &str) -> Reply {
    match call.one(id) {
        Ok(person) => Reply::json(200, &user(call.switches, &person)),
        Err(reply) => reply,
    }
}

fn user(switches: &Switches, person: &ImisPerson) -> Value {
    json!({
        "$type": type_of(switches, "UserData"),
        "UserId": person.id,
        "UserName": person.username,
        "Party": party::summary(switches, person),
        // Null even for those who have roles; they are asked for at UserSecurity.
        "Roles": null,
    })
}
