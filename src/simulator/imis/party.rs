//! `/api/Party` and `/api/PartySummary`: the person behind a user.

use serde_json::{Map, Value, json};

use super::api::Call;
use super::envelope::{bag_date, bag_value, collection, page, type_of};
use super::filter::filter;
use super::security::LONGEST_TEXT;
use super::{Edition, Switches};
use crate::simulator::people::{ImisPerson, PostalAddress, keep};
use crate::simulator::wire::Reply;

/// `GET /api/Party`: with a staff token and no filter this is everybody.
pub(super) fn list(call: &Call<'_>) -> Reply {
    rows(call, "PersonData", person)
}

/// `GET /api/PartySummary`
pub(super) fn list_summaries(call: &Call<'_>) -> Reply {
    rows(call, "PartySummaryData", summary)
}

/// `GET /api/Party/{id}`
pub(super) fn read(call: &Call<'_>, id: &str) -> Reply {
    match call.one(id) {
        Ok(found) => Reply::json(200, &person(call.switches, &found)),
        Err(reply) => reply,
    }
}

/// `GET /api/PartySummary/{id}`
pub(super) fn read_summary(call: &Call<'_>, id: &str) -> Reply {
    match call.one(id) {
        Ok(found) => Reply::json(200, &summary(call.switches, &found)),
        Err(reply) => reply,
    }
}

fn rows(call: &Call<'_>, of: &str, row: fn(&Switches, &ImisPerson) -> Value) -> Reply {
    let found = filter(call.request, call.readable(), |person, name| {
        Some(match name {
            "partyid" | "id" => person.id.to_owned(),
            "uniformid" => person.uniform_id.to_owned(),
            "firstname" => person.given_name.to_owned(),
            "lastname" => person.family_name.to_owned(),
            "name" => person.full_name(),
            "email" => person.email.to_owned(),
            "ismarkedfordelete" => person.marked_for_delete.to_string(),
            _ => return None,
        })
    });
    match found {
        Ok(found) => {
            let rows: Vec<Value> = found.iter().map(|one| row(call.switches, one)).collect();
            page(call.switches, call.request, of, &rows)
        }
        Err(reply) => reply,
    }
}

/// A person in short. What is unknown is left out here, and null or empty in the long form: both happen.
pub(super) fn summary(switches: &Switches, person: &ImisPerson) -> Value {
    let mut summary = Map::new();
    let mut put = |name: &str, value: Value| summary.insert(name.to_owned(), value);
    put("$type", json!(type_of(switches, "PartySummaryData")));
    put("PartyId", json!(person.id));
    put("Id", json!(person.id));
    if switches.tells_uniform_id {
        put("UniformId", json!(person.uniform_id));
    }
    put("Name", json!(person.full_name()));
    put("Sort", json!(sort_name(person)));
    if !person.email.is_empty() {
        put("Email", json!(person.email));
    }
    put("IsOrganization", json!(person.is_organization));
    put("IsMarkedForDelete", json!(person.marked_for_delete));
    put("Status", status(switches, person));
    Value::Object(summary)
}

/// A person in full.
pub(super) fn person(switches: &Switches, person: &ImisPerson) -> Value {
    let nested = |name: &str| type_of(switches, name);
    // Gender was a number and became an object.
    let gender = match switches.edition {
        Edition::Ems => json!({ "$type": nested("GenderData"), "Code": "", "Description": "" }),
        Edition::Imis2017 => json!(0),
    };
    let kind = if person.is_organization {
        "OrganizationData"
    } else if switches.combo_party {
        "ComboPartyData"
    } else {
        "PersonData"
    };
    // The name of this one was misspelt for years.
    let sort_is_overridden = match switches.edition {
        Edition::Ems => "SortIsOverridden",
        Edition::Imis2017 => "SortIsOverriden",
    };
    let mut told = json!({
        "$type": nested(kind),
        "PartyId": person.id,
        "Id": person.id,
        sort_is_overridden: false,
        "Name": person.full_name(),
        "Sort": sort_name(person),
        "BirthDate": null,
        "Gender": gender,
        "IsOrganization": person.is_organization,
        "PersonName": {
            "$type": nested("PersonNameData"),
            "FirstName": person.given_name,
            "InformalName": person.given_name,
            "MiddleName": "",
            "LastName": person.family_name,
            "NamePrefix": "",
            "NameSuffix": "",
            "Designation": "",
            "FullName": person.full_name(),
        },
        "PrimaryOrganization": organization(switches, person),
        "Emails": collection(switches, "EmailData", &emails(switches, person)),
        "Phones": collection(switches, "PhoneData", &phones(switches, person)),
        "Addresses": collection(switches, "FullAddressData", &addresses(switches, person)),
        "AlternateIds": collection(switches, "AlternateIdData", &[json!({
            "$type": nested("AlternateIdData"), "Id": person.id, "IdType": "Id",
        })]),
        "CommunicationTypePreferences":
            collection(switches, "PartyCommunicationTypePreferenceData", &[]),
        "Status": status(switches, person),
        "AdditionalAttributes": collection(switches, "GenericProperty", &attributes(switches, person)),
        "UpdateInformation": {
            "$type": nested("UpdateInformationData"),
            "CreatedBy": "ADMIN",
            "CreatedOn": "2019-05-01T09:00:00",
            "UpdatedBy": person.username,
            "UpdatedOn": "2026-01-10T08:00:00",
        },
    });
    if switches.tells_uniform_id && switches.party_tells_uniform_id {
        put(&mut told, "UniformId", json!(person.uniform_id));
    }
    if person.marked_for_delete {
        put(&mut told, "IsMarkedForDelete", json!(true));
    }
    told
}

fn put(told: &mut Value, name: &str, value: Value) {
    if let Some(told) = told.as_object_mut() {
        told.insert(name.to_owned(), value);
    }
}

/// Members work somewhere; the others have no organization.
fn organization(switches: &Switches, person: &ImisPerson) -> Value {
    if !person.is_member {
        return Value::Null;
    }
    json!({
        "$type": type_of(switches, "PrimaryOrganizationInformationData"),
        "OrganizationPartyId": "30011",
        "Name": "Example Clinic",
        "Title": "Nurse",
    })
}

fn phones(switches: &Switches, person: &ImisPerson) -> Vec<Value> {
    let phone = |(number, kind, primary): &(&str, &str, bool)| {
        json!({
            "$type": type_of(switches, "PhoneData"),
            "Number": number,
            "PhoneType": kind,
            "IsPrimary": bag_value(switches, json!(primary)),
        })
    };
    person.contact.phones.iter().map(phone).collect()
}

fn addresses(switches: &Switches, person: &ImisPerson) -> Vec<Value> {
    let full = |place: &PostalAddress| {
        let preferences: Vec<Value> = place.preferred_for.iter().map(|reason| {
            json!({ "$type": type_of(switches, "CommunicationPreferenceData"), "Reason": reason })
        }).collect();
        json!({
            "$type": type_of(switches, "FullAddressData"),
            "Address": {
                "$type": type_of(switches, "AddressData"),
                "AddressLines": collection(switches, "AddressLine", &place.lines.iter().map(|line| json!(line)).collect::<Vec<_>>()),
                "CityName": place.city,
                "CountrySubEntityCode": place.region.0,
                "CountrySubEntityName": place.region.1,
                "PostalCode": place.postal_code,
                "CountryCode": place.country.0,
                "CountryName": place.country.1,
                "FullAddress": format!(
                    "{}\r\n{}, {} {}", place.lines.join("\r\n"), place.city, place.region.0, place.postal_code
                ),
            },
            "AddressPurpose": place.purpose,
            "CommunicationPreferences": collection(switches, "CommunicationPreferenceData", &preferences),
        })
    };
    person.contact.addresses.iter().map(full).collect()
}

/// The primary email comes last, so that nobody takes the first one for it.
fn emails(switches: &Switches, person: &ImisPerson) -> Vec<Value> {
    if person.email.is_empty() {
        return Vec::new();
    }
    let email = |address: &str, kind: &str, is_primary: bool| {
        json!({
            "$type": type_of(switches, "EmailData"),
            "Address": address,
            "EmailType": kind,
            "IsPrimary": is_primary,
        })
    };
    let old = format!("old.{}", person.email);
    vec![
        email(&old, "Personal", false),
        email(person.email, "Address", true),
    ]
}

/// The property bag. Its order says nothing, so it differs from one person to the next.
fn attributes(switches: &Switches, person: &ImisPerson) -> Vec<Value> {
    let mut told = Vec::new();
    let mut attribute = |name: &str, value: Value| {
        told.push(json!({
            "$type": "Asi.Soa.Core.DataContracts.GenericPropertyData, Asi.Contracts",
            "Name": name,
            "Value": value,
        }));
    };
    attribute(
        "IsInactiveMember",
        bag_value(switches, json!(!person.is_member)),
    );
    attribute("CustomerTypeDescription", json!(person.customer_type.1));
    attribute("IsMember", bag_value(switches, json!(person.is_member)));
    attribute(
        "IsMemberRecord",
        bag_value(
            switches,
            json!(person.customer_type.0.starts_with(['M', 'F'])),
        ),
    );
    attribute("CustomerTypeCode", json!(person.customer_type.0));
    attribute("AllowAdvanceRenewal", bag_value(switches, json!(false)));
    if !person.join_date.is_empty() {
        attribute("JoinDate", bag_date(switches, person.join_date));
    }
    if let Some(name) = &switches.paid_through_name
        && !person.paid_through.is_empty()
    {
        attribute(name, bag_date(switches, person.paid_through));
    }
    let first = usize::from(person.id.bytes().last().unwrap_or_default()) % told.len();
    told.rotate_left(first);
    told
}

fn status(switches: &Switches, person: &ImisPerson) -> Value {
    let name = match person.status {
        "A" => "Active",
        "I" => "Inactive",
        "D" => "Deceased",
        other => other,
    };
    json!({
        "$type": type_of(switches, "PartyStatusData"),
        "PartyStatusId": person.status,
        "Name": name,
        "Description": name,
        "ActiveStatus": person.status == "A",
    })
}

fn sort_name(person: &ImisPerson) -> String {
    format!("{}, {}", person.family_name, person.given_name).to_uppercase()
}

/// `PUT /api/Party/{id}`: the person as changed, of whom names and primary email are taken over. What the body leaves out stays.
pub(super) fn changed(person: &ImisPerson, body: &Value) -> ImisPerson {
    let text = |pointer: &str, old: &'static str| match body.pointer(pointer) {
        Some(Value::String(new)) if new.len() <= LONGEST_TEXT => keep(new),
        _ => old,
    };
    let emails = body
        .pointer("/Emails/$values")
        .or_else(|| body.get("Emails"))
        .and_then(Value::as_array);
    let primary = emails
        .into_iter()
        .flatten()
        .find(|email| email.get("IsPrimary") == Some(&json!(true)))
        .and_then(|email| email.get("Address"))
        .and_then(Value::as_str)
        .filter(|address| address.len() <= LONGEST_TEXT);
    ImisPerson {
        given_name: text("/PersonName/FirstName", person.given_name),
        family_name: text("/PersonName/LastName", person.family_name),
        email: primary.map_or(person.email, keep),
        ..*person
    }
}
