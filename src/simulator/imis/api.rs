//! `/api`: who calls, what that caller may, and which entity answers.

use super::switches::MemberRights;
use super::{Edition, Inside, Switches, party, query, security, user};
use crate::clock::UnixTime;
use crate::simulator::people::ImisPerson;
use crate::simulator::wire::{Recorded, Reply};

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

/// Answers a request below `/api`; `path` is in lower case.
pub(super) fn answer(
    inside: &mut Inside,
    request: &Recorded,
    path: &[&str],
    now: UnixTime,
) -> Reply {
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
    if !caller.reads_everybody() {
        match inside.switches.member_rights {
            MemberRights::Unauthorized => return unauthorized(),
            MemberRights::Forbidden => return forbidden(),
            MemberRights::OwnRecord | MemberRights::NoToken => {}
        }
    }
    if let ("POST", ["usersecurity", "_execute"]) = (request.method.as_str(), path) {
        return security::execute(inside, request, &caller);
    }
    let call = Call {
        switches: &inside.switches,
        request,
        caller,
        people: inside
            .people()
            .filter(|person| !person.is_guest())
            .collect(),
    };
    if request.method != "GET" {
        return Reply::text(501, "Operation not implemented");
    }
    match path {
        ["user"] => user::list(&call),
        ["user", id] => user::read(&call, id),
        ["party"] => party::list(&call),
        ["party", id] => party::read(&call, id),
        ["partysummary"] => party::list_summaries(&call),
        ["partysummary", id] => party::read_summary(&call, id),
        ["query"] if call.switches.edition == Edition::Ems => query::flat(&call),
        ["iqa"] => query::properties(&call),
        ["usersecurity", ..] => Reply::text(501, "Service not implemented"),
        _ => Reply::text(404, "Service not found."),
    }
}

pub(super) fn unauthorized() -> Reply {
    Reply::text(401, "Authorization has been denied for this request.")
        .with("www-authenticate", "Bearer")
}

pub(super) fn forbidden() -> Reply {
    Reply::text(403, "You are not authorized to access this resource.")
}
