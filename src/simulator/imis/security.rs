//! `POST /api/UserSecurity/_execute`: roles, and the second way to check a password.

use serde_json::{Value, json};

use super::api::{forbidden, unauthorized};
use super::login::refusal;
use super::{Edition, Execute, Inside, same_name};
use crate::simulator::people::{AccountState, ImisPerson, keep, keep_list};
use crate::simulator::wire::{Recorded, Reply};

/// The longest name, email or password that may be set.
pub(super) const LONGEST_TEXT: usize = 256;

/// Carries out one operation for a staff or service account.
pub(super) fn execute(inside: &mut Inside, request: &Recorded, caller: &ImisPerson) -> Reply {
    match inside.switches.execute {
        Execute::Unauthorized => return unauthorized(),
        Execute::NotImplemented => return not_implemented(),
        Execute::Works | Execute::OwnRolesToo | Execute::Unsuccessful => {}
    }
    if inside.switches.edition == Edition::Imis2017 {
        return not_implemented();
    }
    let body = serde_json::from_str::<Value>(&request.body).unwrap_or_default();
    let operation = body.get("OperationName").and_then(Value::as_str);
    let operation = operation.unwrap_or_default();
    let parameters = parameters(&body);
    let parameter = |position: usize| parameters.get(position).map_or("", String::as_str);
    let username = parameter(0);
    let own_roles = inside.switches.execute == Execute::OwnRolesToo
        && operation == "GetUserRoles"
        && same_name(username, caller.username);
    if !caller.reads_everybody() && !own_roles {
        return forbidden();
    }
    if inside.switches.execute == Execute::Unsuccessful {
        return answer(false, &Value::Null);
    }
    if body.is_null() {
        return Reply::text(400, "Validation error");
    }
    let person = inside.person(username);
    match (operation, person) {
        ("GetUserRoles", Some(person)) => answer(true, &roles(&person)),
        ("GetUserClaims", Some(_)) => answer(true, &list(&[])),
        ("FindByName", Some(person)) => answer(true, &user(&person)),
        ("ValidateUser", person) => {
            let right = person.is_some_and(|person| {
                person.password == parameter(1) && refusal(person.state, true).is_none()
            });
            answer(true, &json!({ "$type": "System.Boolean", "$value": right }))
        }
        (
            "UnlockUser" | "UpdateUserName" | "UpdatePassword" | "AddUserRoles" | "RemoveUserRoles",
            Some(person),
        ) => {
            let more: Vec<&str> = parameters.iter().skip(1).map(String::as_str).collect();
            let changed = changed(&person, operation, &more);
            inside.change(username, |person| *person = changed);
            answer(true, &Value::Null)
        }
        (
            "GetUserRoles" | "GetUserClaims" | "FindByName" | "UnlockUser" | "UpdateUserName"
            | "UpdatePassword" | "AddUserRoles" | "RemoveUserRoles",
            None,
        ) => answer(false, &Value::Null),
        _ => not_implemented(),
    }
}

/// The person after one of the operations that change somebody.
fn changed(person: &ImisPerson, operation: &str, parameters: &[&str]) -> ImisPerson {
    let first = parameters
        .first()
        .copied()
        .filter(|text| text.len() <= LONGEST_TEXT);
    let mut changed = *person;
    match (operation, first) {
        ("UnlockUser", _) if person.state == AccountState::Locked => {
            changed.state = AccountState::Active;
        }
        ("UpdateUserName", Some(name)) => changed.username = keep(name),
        ("UpdatePassword", Some(password)) => changed.password = keep(password),
        ("AddUserRoles", _) => {
            let mut roles = person.roles.to_vec();
            let new = parameters.iter().filter(|role| !person.has_role(role));
            roles.extend(
                new.filter(|role| role.len() <= LONGEST_TEXT)
                    .map(|role| keep(role)),
            );
            changed.roles = keep_list(&roles);
        }
        ("RemoveUserRoles", _) => {
            let gone = |role: &str| {
                parameters
                    .iter()
                    .any(|gone| gone.eq_ignore_ascii_case(role))
            };
            let mut roles = person.roles.to_vec();
            roles.retain(|role| !gone(role));
            changed.roles = keep_list(&roles);
        }
        _ => {}
    }
    changed
}

/// `UserSecurityData`; the password is never told.
fn user(person: &ImisPerson) -> Value {
    json!({
        "$type": "Asi.Soa.Membership.DataContracts.UserSecurityData, Asi.Contracts",
        "UserId": person.id,
        "UserName": person.username,
        "Email": person.email,
        "FirstName": person.given_name,
        "LastName": person.family_name,
        "ExternalId": null,
        "Password": null,
        "Roles": null,
        "Claims": null,
    })
}

/// The parameters; each is `{"$type", "$value"}`, or a bare string as in older documentation. A list among them is taken as its members.
fn parameters(body: &Value) -> Vec<String> {
    let values = body
        .pointer("/Parameters/$values")
        .or_else(|| body.get("Parameters"));
    let mut found = Vec::new();
    flatten(values.unwrap_or(&Value::Null), &mut found);
    found
}

fn flatten(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| flatten(value, found)),
        Value::Object(object) => {
            let inner = object.get("$value").or_else(|| object.get("$values"));
            flatten(inner.unwrap_or(&Value::Null), found);
        }
        _ => {}
    }
}

fn roles(person: &ImisPerson) -> Value {
    let roles: Vec<Value> = person.roles.iter().map(|name| role(name)).collect();
    list(&roles)
}

/// A role, with a key that is always the same for its name.
pub(super) fn role(name: &str) -> Value {
    let key = name.bytes().fold(0_u32, |key, byte| {
        key.wrapping_mul(31).wrapping_add(byte.into())
    });
    json!({
        "$type": "Asi.Soa.Membership.DataContracts.User.RoleData, Asi.Contracts",
        "RoleKey": format!("0b1c0000-0000-4000-8000-{key:012x}"),
        "RoleName": name,
        "Description": format!("{name} (simulated)"),
    })
}

fn list(values: &[Value]) -> Value {
    json!({
        "$type": "System.Collections.ObjectModel.Collection`1[[System.Object, mscorlib]], mscorlib",
        "$values": values,
    })
}

fn answer(success: bool, result: &Value) -> Reply {
    Reply::json(
        200,
        &json!({
            "$type": "Asi.Soa.Core.DataContracts.GenericExecuteResponse, Asi.Contracts",
            "IsSuccessStatusCode": success,
            "Message": if success { Value::Null } else { json!("The operation failed.") },
            "Result": result,
        }),
    )
}

fn not_implemented() -> Reply {
    Reply::text(501, "Operation not implemented")
}
