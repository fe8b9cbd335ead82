//! `/api/GroupMember`: who is in which group or committee, in what role and how long. Names of fields are those of public clients; the
//! short form's are a guess.

use serde_json::{Value, json};

use super::api::{Call, forbidden};
use super::envelope::{collection, page, type_of};
use super::filter::filter;
use super::{Groups, Switches, party};
use crate::simulator::people::{Group, ImisPerson};
use crate::simulator::wire::Reply;

type Row = fn(&Switches, &ImisPerson, &Group) -> Value;

/// `GET /api/GroupMember?PartyId=...`
pub(super) fn list(call: &Call<'_>) -> Reply {
    rows(call, "GroupMemberData", member)
}

/// `GET /api/GroupMemberSummary?PartyId=...`
pub(super) fn list_summaries(call: &Call<'_>) -> Reply {
    rows(call, "GroupMemberSummaryData", summary)
}

fn rows(call: &Call<'_>, of: &str, row: Row) -> Reply {
    match call.switches.groups {
        Groups::Readable => {}
        Groups::ServiceAccount if call.caller.reads_everybody() => {}
        Groups::ServiceAccount => return forbidden(),
        Groups::Missing => return Reply::text(404, "Service not found."),
    }
    let all: Vec<(ImisPerson, Group)> = call
        .readable()
        .into_iter()
        .flat_map(|person| person.groups.iter().map(move |group| (person, *group)))
        .collect();
    let found = filter(call.request, all.clone(), |(person, group), name| {
        Some(match name {
            "partyid" => person.id.to_owned(),
            "groupid" => group.id.to_owned(),
            "groupmemberid" => group_member_id(person, group),
            _ => return None,
        })
    });
    match found {
        Ok(found) => {
            let found = if call.switches.group_filter {
                found
            } else {
                all
            };
            let rows: Vec<Value> = found
                .iter()
                .map(|(person, group)| row(call.switches, person, group))
                .collect();
            page(call.switches, call.request, of, &rows)
        }
        Err(reply) => reply,
    }
}

fn group_member_id(person: &ImisPerson, group: &Group) -> String {
    format!("{}:{}", group.id, person.id)
}

fn member(switches: &Switches, person: &ImisPerson, group: &Group) -> Value {
    let nested = |name: &str| type_of(switches, name);
    let expiration = Some(group.expiration).filter(|day| !day.is_empty());
    let detail = json!({
        "$type": nested("GroupMemberDetailData"),
        "GroupMemberDetailId": format!("{}:1", group_member_id(person, group)),
        "EffectiveDate": group.effective,
        "ExpirationDate": expiration,
        // As the administrator left it: a term that is over may well be told as active.
        "IsActive": true,
        "Role": {
            "$type": nested("GroupRoleData"),
            "RoleId": group.role,
            "Name": group.role,
            "Description": group.role,
        },
    });
    json!({
        "$type": nested("GroupMemberData"),
        "GroupMemberId": group_member_id(person, group),
        "Group": { "$type": nested("GroupSummaryData"), "GroupId": group.id, "Name": group.name },
        "Party": party::summary(switches, person),
        "MembershipDetails": collection(switches, "GroupMemberDetailData", &[detail]),
    })
}

fn summary(switches: &Switches, person: &ImisPerson, group: &Group) -> Value {
    json!({
        "$type": type_of(switches, "GroupMemberSummaryData"),
        "GroupMemberId": group_member_id(person, group),
        "Group": {
            "$type": type_of(switches, "GroupSummaryData"),
            "GroupId": group.id,
            "Name": group.name,
        },
        "Party": party::summary(switches, person),
        "RoleName": group.role,
    })
}
