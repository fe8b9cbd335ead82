//! `/api`: who calls, what that caller may, and which entity answers.

use serde_json::{Value, json};

use super::login::shut_out;
use super::switches::MemberRights;
use super::{Inside, Switches, catalogue, event, group, party, query, security, user};
use crate::clock::UnixTime;
use crate::simulator::people::{AccountState, ImisPerson};
use crate::simulator::wire::{Recorded, Reply};

/// The longest entity that may be written: what was written is kept.
const LONGEST_ENTITY: usize = 8 * 1024;

/// A request of a known caller, and what the entities need to answer it.
pub(super) struct Call<'a> {
    pub(super) switches: &'a Switches,
    pub(super) request: &'a Recorded,
    pub(super) caller: ImisPerson,
    /// Everybody with a record; the guest has none.
    pub(super) people: Vec<ImisPerson>,
}

impl Call<'_> {
    /// Those whom the caller may read: all, or the own record only.
    pub(super) fn readable(&self) -> Vec<ImisPerson> {
        let everybody = self.caller.reads_everybody();
        self.people
            .iter()
            .filter(|person| everybody || person.uniform_id == self.caller.uniform_id)
            .copied()
            .collect()
    }

    /// One person by iMIS id: the person, or the refusal.
    pub(super) fn one(&self, id: &str) -> Result<ImisPerson, Reply> {
        let person = self
            .people
            .iter()
            .find(|person| person.id.eq_ignore_ascii_case(id))
            .ok_or_else(|| Reply::text(404, "Entity not found."))?;
        if self.caller.reads_everybody() || person.uniform_id == self.caller.uniform_id {
            Ok(*person)
        } else {
            Err(forbidden())
        }
    }
}

/// Answers a request below `/api`; `path` is in lower case. With each answer comes an anti-forgery cookie, which is of use to iMIS's
/// own pages only.
pub(super) fn answer(
    inside: &mut Inside,
    request: &Recorded,
    path: &[&str],
    now: UnixTime,
) -> Reply {
    let reply = entity(inside, request, path, now);
    if inside.switches.sets_cookies {
        reply.with(
            "set-cookie",
            "__RequestVerificationToken_Simulated=not-a-secret; path=/; HttpOnly",
        )
    } else {
        reply
    }
}

fn entity(inside: &mut Inside, request: &Recorded, path: &[&str], now: UnixTime) -> Reply {
    // iMIS answers no preflight: browsers cannot call it from another origin.
    if request.method == "OPTIONS" {
        return Reply::empty(405).with("allow", "GET, POST, PUT, DELETE");
    }
    let owner = request
        .bearer()
        .and_then(|token| inside.tokens.owner(token, now));
    let Some(caller) = owner.and_then(|owner| inside.owner(owner)) else {
        return unauthorized();
    };
    if inside.switches.disable_ends_access && shut_out(caller.state).is_some() {
        return unauthorized();
    }
    inside.valid_calls = inside.valid_calls.wrapping_add(1);
    let denies_every = inside.switches.denies_valid_token_every;
    if denies_every.is_some_and(|every| inside.valid_calls.is_multiple_of(every)) {
        return unauthorized();
    }
    if !caller.reads_everybody() {
        match inside.switches.member_rights {
            MemberRights::Unauthorized => return unauthorized(),
            MemberRights::Forbidden => return forbidden(),
            MemberRights::OwnRecord | MemberRights::NoToken => {}
        }
    }
    // An id with odd characters is given as a parameter, and stands for the one in the path.
    let by_parameter = request
        .query_parameter("entityid")
        .map(|id| id.to_lowercase());
    let path: Vec<&str> = path
        .iter()
        .copied()
        .chain(by_parameter.as_deref())
        .collect();
    match (request.method.as_str(), path.as_slice()) {
        ("POST", ["usersecurity", "_execute"]) => security::execute(inside, request, &caller),
        ("PUT", ["party", id]) => write_party(inside, request, &caller, id),
        (_, ["event", id @ ..]) => event::answer(inside, request, &caller, id),
        ("GET", path) => {
            let people = inside
                .people()
                .filter(|person| !person.is_guest())
                .collect();
            read(
                &Call {
                    switches: &inside.switches,
                    request,
                    caller,
                    people,
                },
                path,
            )
        }
        _ => Reply::text(501, "Operation not implemented"),
    }
}

fn read(call: &Call<'_>, path: &[&str]) -> Reply {
    match path {
        ["user"] => user::list(call),
        ["user", id] => user::read(call, id),
        ["party", ..] if !call.switches.reads_whole_records => forbidden(),
        ["party"] => party::list(call),
        ["party", id] => party::read(call, id),
        ["partysummary"] => party::list_summaries(call),
        ["partysummary", id] => party::read_summary(call, id),
        ["groupmember"] => group::list(call),
        ["groupmembersummary"] => group::list_summaries(call),
        ["query"] if query::is_there(call.switches, "query") => query::flat(call),
        ["iqa"] if query::is_there(call.switches, "iqa") => query::properties(call),
        ["usersecurity", ..] => Reply::text(501, "Service not implemented"),
        path => catalogue::read(call, path),
    }
}

/// Members write their own record, staff and service accounts all. Of users of the OpenID Connect module, name and email are
/// the other directory's.
fn write_party(inside: &mut Inside, request: &Recorded, caller: &ImisPerson, id: &str) -> Reply {
    let Some(person) = inside
        .people()
        .find(|person| !person.is_guest() && person.id.eq_ignore_ascii_case(id))
    else {
        return Reply::text(404, "Entity not found.");
    };
    let may_write = caller.reads_everybody()
        || caller.uniform_id == person.uniform_id
        || inside.switches.members_write_others;
    if !may_write {
        return forbidden();
    }
    let body = match written(&inside.switches, request) {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let changed = party::changed(&person, &body);
    if person.state == AccountState::OidcOnly && changed != person {
        return validation_error("Name and email are maintained by the identity provider.");
    }
    inside.change(person.username, |person| *person = changed);
    Reply::json(200, &party::person(&inside.switches, &changed))
}

/// The entity that a request writes: JSON, of a bearable size, with `$type` before all else.
pub(super) fn written(switches: &Switches, request: &Recorded) -> Result<Value, Reply> {
    let body = serde_json::from_str(&request.body)
        .ok()
        .filter(Value::is_object);
    let Some(body) = body.filter(|_| request.body.len() <= LONGEST_ENTITY) else {
        return Err(validation_error("The entity cannot be read."));
    };
    // The order is lost with the parsing, so the text is asked.
    let start = request.body.trim_start().trim_start_matches('{');
    if switches.type_first && !start.trim_start().starts_with("\"$type\"") {
        return Err(validation_error("$type must be the first property."));
    }
    Ok(body)
}

/// 400, with results of the validation in the body.
pub(super) fn validation_error(message: &str) -> Reply {
    let result = json!({
        "$type": "Asi.Soa.Core.DataContracts.ValidationResultData, Asi.Contracts",
        "Message": message,
    });
    Reply::json(
        400,
        &json!({
            "$type": "Asi.Soa.Core.DataContracts.ValidationResultsData, Asi.Contracts",
            "Errors": { "$type": "Asi.Soa.Core.DataContracts.ValidationResultDataCollection, Asi.Contracts", "$values": [result] },
        }),
    )
}

pub(super) fn unauthorized() -> Reply {
    Reply::text(401, "Authorization has been denied for this request.")
        .with("www-authenticate", "Bearer")
}

pub(super) fn forbidden() -> Reply {
    Reply::text(403, "You are not authorized to access this resource.")
}
