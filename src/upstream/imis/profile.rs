//! What a person's record tells, under the names of OpenID Connect Core section 5.1 and those of a membership.

use serde_json::Value;

use super::api::{flag, list, text, told};
use super::claim;
use super::person::Records;
use super::settings::Settings;
use crate::protocol::claims::{self, Profile};

/// The iMIS id.
pub(super) const MEMBER_ID: &str = "member_id";
/// The status of the record.
pub(super) const MEMBERSHIP_STATUS: &str = "membership_status";

/// The profile in a person's records.
pub(super) fn of(records: &Records, settings: &Settings) -> Profile {
    let Records {
        user, party, id, ..
    } = records;
    let name = |field: &str| claim::text(party.get("PersonName")?.get(field)?);
    let (given_name, family_name) = (name("FirstName"), name("LastName"));
    let full = || {
        let both: Vec<&str> = [&given_name, &family_name]
            .into_iter()
            .filter_map(Option::as_deref)
            .collect();
        (!both.is_empty()).then(|| both.join(" "))
    };
    let email = email(user, party);
    let mut profile = Profile {
        name: name("FullName")
            .or_else(|| claim::text(party.get("Name")?))
            .or_else(full),
        preferred_username: user.get("UserName").and_then(claim::text),
        // A verdict without its address says nothing.
        email_verified: email.as_ref().and(settings.email_verified),
        email,
        given_name,
        family_name,
        ..Profile::default()
    };
    claim::put(&mut profile, MEMBER_ID, &id.as_str().into());
    let status = status(party).map(|status| status.name.into());
    let built_in = [
        (MEMBERSHIP_STATUS, status.as_ref()),
        ("is_member", attribute(party, "IsMember")),
        (
            "membership_type",
            attribute(party, "CustomerTypeDescription")
                .filter(|value| claim::text(value).is_some()),
        ),
        ("member_since", attribute(party, "JoinDate")),
    ];
    for (name, value) in built_in {
        claim::put(&mut profile, name, value.unwrap_or(&Value::Null));
    }
    if !profile.more.contains_key("membership_type")
        && let Some(code) = attribute(party, "CustomerTypeCode")
    {
        claim::put(&mut profile, "membership_type", code);
    }
    let phone = phone(user, party).map(Value::from);
    claim::put(&mut profile, "phone_number", &phone.unwrap_or_default());
    let address = postal(party);
    profile
        .more
        .extend(address.map(|address| (ADDRESS.to_owned(), address)));
    for (name, source) in &settings.attributes {
        // What the configuration maps comes from there alone: two sources would tell two things.
        claim::put(
            &mut profile,
            name,
            attribute(party, source).unwrap_or(&Value::Null),
        );
    }
    profile
}

/// An additional attribute of a party, by its name: their order says nothing.
fn attribute<'a>(party: &'a Value, name: &str) -> Option<&'a Value> {
    let mut attributes = list(party, "AdditionalAttributes").iter();
    let is_it = |attribute: &&Value| {
        text(attribute, "Name").is_some_and(|own| own.eq_ignore_ascii_case(name))
    };
    attributes.find(is_it)?.get("Value")
}

/// The status of a record.
pub(super) struct Status {
    /// Its name.
    pub(super) name: String,
    /// Whether it is that of a record in use.
    pub(super) active: bool,
}

/// The status of a party, if it tells one.
pub(super) fn status(party: &Value) -> Option<Status> {
    let status = party.get("Status")?;
    let field = |name: &str| claim::text(status.get(name)?);
    let code = field("PartyStatusId");
    let name = field("Name")
        .or_else(|| field("Description"))
        .or_else(|| code.clone())?;
    let is = |text: &str, word: &str| text.eq_ignore_ascii_case(word);
    let active = told(status, "ActiveStatus")
        .unwrap_or_else(|| is(&name, "Active") || code.is_some_and(|code| is(&code, "A")));
    Some(Status { name, active })
}

/// The primary address; else the only one; else that of the user's summary, or of a postal address.
fn email(user: &Value, party: &Value) -> Option<String> {
    let emails = list(party, "Emails");
    let primary = emails.iter().find(|email| flag(email, "IsPrimary"));
    let only = || match emails {
        [only] => Some(only),
        _ => None,
    };
    let summary = || user.get("Party").and_then(|party| address(party, "Email"));
    let postal = || {
        let addresses = list(party, "Addresses");
        addresses.iter().find_map(|each| address(each, "Email"))
    };
    primary
        .or_else(only)
        .and_then(|email| address(email, "Address"))
        // In the short form there is but one.
        .or_else(|| address(party, "Email"))
        .or_else(summary)
        .or_else(postal)
}

/// The number that is marked as the primary one; else the only one; else that of the record in short, or of the user's summary.
fn phone(user: &Value, party: &Value) -> Option<String> {
    let phones = list(party, "Phones");
    let primary = phones.iter().find(|phone| flag(phone, "IsPrimary"));
    let only = || match phones {
        [only] => Some(only),
        _ => None,
    };
    let told = |record: &Value, field: &str| claim::text(record.get(field)?);
    primary
        .or_else(only)
        .and_then(|phone| told(phone, "Number"))
        .or_else(|| told(party, "Phone"))
        .or_else(|| told(user.get("Party")?, "Phone"))
}

/// The claim.
pub(super) const ADDRESS: &str = "address";

/// The only address, or the one that letters go to; else what the record in short tells of one.
fn postal(party: &Value) -> Option<Value> {
    let addresses = list(party, "Addresses");
    let for_letters = |each: &&Value| {
        let mut reasons = list(each, "CommunicationPreferences").iter();
        reasons.any(|reason| {
            text(reason, "Reason").is_some_and(|reason| reason.eq_ignore_ascii_case("mail"))
        })
    };
    let chosen = match addresses {
        [only] => Some(only),
        several => several.iter().find(for_letters),
    };
    // The parts stand in a record of their own, or in the record in short beside everything else.
    let place = chosen.map_or(party, |chosen| chosen.get("Address").unwrap_or(chosen));
    let lines = || {
        let lines = list(place, "AddressLines").iter().filter_map(claim::text);
        let lines: Vec<String> = lines.collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    };
    let told = |field: &str| claim::text(place.get(field)?);
    claims::address(|part| match part {
        "formatted" => claims::lines(place.get("FullAddress")?.as_str()?),
        "street_address" => lines(),
        "locality" => told("CityName"),
        "region" => told("CountrySubEntityName").or_else(|| told("CountrySubEntityCode")),
        "postal_code" => told("PostalCode"),
        "country" => told("CountryName").or_else(|| told("CountryCode")),
        _ => None,
    })
}

fn address(record: &Value, field: &str) -> Option<String> {
    claim::address(record.get(field)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(user: &Value, party: &Value, verified: Option<bool>) -> Profile {
        let settings = json!({ "base_url": "https://m.example.org", "email_verified": verified });
        let records = Records {
            user: user.clone(),
            party: party.clone(),
            id: "7".to_owned(),
            subject: String::new(),
        };
        super::of(&records, &serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn the_primary_address_wins_wherever_it_stands() {
        let party = json!({ "Emails": { "$values": [
            { "Address": "old@example.org", "IsPrimary": false },
            { "Address": "new@example.org", "IsPrimary": { "$type": "System.Boolean", "$value": true } },
        ] } });
        let profile = of(&json!({}), &party, Some(true));
        assert_eq!(profile.email.as_deref(), Some("new@example.org"));
        assert_eq!(profile.email_verified, Some(true));
    }

    /// OpenID Connect Core section 5.1.1; of several nobody knows which is meant, unless the record says so.
    #[test]
    fn phone_and_address_are_told_where_they_are_clear() {
        let here = json!({ "AddressLines": { "$values": ["1 Main St", "Suite 2"] }, "CityName": "Ottawa",
            "CountrySubEntityName": "Ontario", "PostalCode": "K1A 0A1", "CountryName": "Canada",
            "FullAddress": "1 Main St\r\nOttawa" });
        let expected = json!({ "street_address": "1 Main St\nSuite 2", "locality": "Ottawa", "region": "Ontario",
            "postal_code": "K1A 0A1", "country": "Canada", "formatted": "1 Main St\nOttawa" });
        let mail = json!({ "$values": [{ "Reason": "Mail" }] });
        let one = json!({ "Addresses": { "$values": [{ "Address": here }] },
            "Phones": { "$values": [{ "Number": "555-0100", "PhoneType": "Mobile" }] } });
        let marked = json!({ "Addresses": [{ "Address": { "CityName": "Elsewhere" } },
            { "Address": here, "CommunicationPreferences": mail }],
            "Phones": [{ "Number": "1" }, { "Number": "555-0100", "IsPrimary": true }] });
        for party in [one, marked] {
            let profile = of(&json!({}), &party, None);
            assert_eq!(profile.more["phone_number"], "555-0100");
            assert_eq!(profile.more["address"], expected);
        }
        let short = json!({ "CityName": "Ottawa", "CountryName": "Canada", "Phone": "555-0100" });
        let profile = of(&json!({}), &short, None);
        assert_eq!(profile.more["phone_number"], "555-0100");
        assert_eq!(
            profile.more["address"],
            json!({ "locality": "Ottawa", "country": "Canada" })
        );
        let several = json!({ "Addresses": [{ "Address": here }, { "Address": here }],
            "Phones": [{ "Number": "1" }, { "Number": "2" }] });
        let profile = of(&json!({}), &several, None);
        assert!(!profile.more.contains_key("phone_number"));
        assert!(!profile.more.contains_key("address"));
    }

    #[test]
    fn what_is_not_told_is_absent() {
        let party = json!({ "PersonName": { "FirstName": " ", "LastName": "Mono" }, "Emails": [
            { "Address": "a@example.org" }, { "Address": "b@example.org" }] });
        let profile = of(
            &json!({ "Party": { "Email": "nonsense" } }),
            &party,
            Some(true),
        );
        assert_eq!(profile.name.as_deref(), Some("Mono"));
        assert_eq!(profile.given_name, None);
        assert_eq!((profile.email, profile.email_verified), (None, None));
    }
}
