//! What iMIS tells about a person, under the names of OpenID Connect Core section 5.1.

use serde_json::Value;

use super::api::{flag, list, text};
use crate::protocol::claims::Profile;

/// More than any real name or address has; a longer one is left out rather than cut.
const MAX_CLAIM_BYTES: usize = 512;

/// The profile in a user's and a party's record.
pub(super) fn of(user: &Value, party: &Value, email_verified: Option<bool>) -> Profile {
    let name = |field: &str| claim(party.get("PersonName")?, field);
    let (given_name, family_name) = (name("FirstName"), name("LastName"));
    let full = || {
        let both: Vec<&str> = [&given_name, &family_name]
            .into_iter()
            .filter_map(Option::as_deref)
            .collect();
        (!both.is_empty()).then(|| both.join(" "))
    };
    let email = email(user, party);
    Profile {
        name: name("FullName")
            .or_else(|| claim(party, "Name"))
            .or_else(full),
        preferred_username: claim(user, "UserName"),
        // A verdict without its address says nothing.
        email_verified: email.as_ref().and(email_verified),
        email,
        given_name,
        family_name,
        ..Profile::default()
    }
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
        .or_else(summary)
        .or_else(postal)
}

fn address(record: &Value, field: &str) -> Option<String> {
    claim(record, field).filter(|address| {
        let at = address.find('@');
        at.is_some_and(|at| at > 0 && at + 1 < address.len())
            && !address.contains(char::is_whitespace)
    })
}

fn claim(record: &Value, field: &str) -> Option<String> {
    text(record, field)
        .filter(|text| text.len() <= MAX_CLAIM_BYTES && !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
