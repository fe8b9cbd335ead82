//! `POST /api/UserSecurity/_execute`: roles, and the second way to check a password.

use serde_json::{Value, json};

use super::api::{forbidden, unauthorized};
use super::login::refusal;
use super::{Edition, Execute, Inside};
use crate::simulator::people::{AccountState, ImisPerson};
use crate::simulator::wire::{Recorded, Reply};

/// Carries out one operation for a staff or service account.
pub(super) fn execute(inside: &mut Inside, request: &Recorded, caller: &ImisPerson) -> Reply {
    match inside.switches.execute {
        Execute::Unauthorized => return unauthorized(),
        Execute::NotImplemented => return not_implemented(),
        Execute::Works | Execute::Unsuccessful => {}
    }
    if inside.switches.edition == Edition::Imis2017 {
        return not_implemented();
    }
    if !caller.reads_everybody() {
        return forbidden();
    }
    if inside.switches.execute == Execute::Unsuccessful {
        return answer(false, &Value::Null);
    }
    let Ok(body) = serde_json::from_str::<Value>(&request.body) else {
        return Reply::text(400, "Validation error");
    };
    let parameters = parameters(&body);
    let mut parameters = parameters.iter().map(String::as_str);
    let username = parameters.next().unwrap_or_default();
    let operation = body.get("OperationName").and_then(Value::as_str);
    match operation.unwrap_or_default() {
        "GetUserRoles" => match inside.person(username) {
            Some(person) => answer(true, &roles(&person)),
            None => answer(false, &Value::Null),
        },
        "ValidateUser" => {
            let password = parameters.next().unwrap_or_default();
            let valid = inside.person(username).is_some_and(|person| {
                person.password == password && refusal(person.state, true).is_none()
            });
            answer(true, &json!({ "$type": "System.Boolean", "$value": valid }))
        }
        "UnlockUser" => {
            if let Some(account) = inside.account_mut(username)
                && account.person.state == AccountState::Locked
            {
                account.person.state = AccountState::Active;
                account.wrong_passwords = 0;
            }
            answer(true, &Value::Null)
        }
        _ => not_implemented(),
    }
}

/// The parameters; each is `{"$type", "$value"}`, or a bare string as in older documentation.
fn parameters(body: &Value) -> Vec<String> {
    let values = body
        .pointer("/Parameters/$values")
        .and_then(Value::as_array);
    values
        .into_iter()
        .flatten()
        .map(|value| value.get("$value").unwrap_or(value))
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

fn roles(person: &ImisPerson) -> Value {
    let values: Vec<Value> = person
        .roles
        .iter()
        .map(|role| {
            json!({
                "$type": "Asi.Soa.Membership.DataContracts.User.RoleData, Asi.Contracts",
                "RoleKey": format!("0b1c0000-0000-4000-8000-{:012x}", role.len()),
                "RoleName": role,
                "Description": format!("{role} (simulated)"),
            })
        })
        .collect();
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
