//! From a token to a person: user name, user, party; and who is refused on the way (T26).

use serde_json::Value;

use super::api::{Api, ApiError, flag, list, nonsense, text};
use super::profile;
use super::settings::SubjectFrom;
use crate::protocol::secret::Secret;
use crate::upstream::{Identity, LoginError};

/// What the anonymous visitor is called where it has a name at all.
const GUESTS: [&str; 2] = ["guest", "anonymous"];
/// What .NET writes for a GUID that nobody set; it is everybody's.
const EMPTY_GUID: &str = "00000000-0000-0000-0000-000000000000";

/// Refuses the anonymous visitor by name.
pub(super) fn refuse_guest(name: &str) -> Result<(), LoginError> {
    if name.is_empty() || GUESTS.contains(&name.to_lowercase().as_str()) {
        return Err(not_allowed("the token is an anonymous visitor's (Guest)"));
    }
    Ok(())
}

fn not_allowed(why: &str) -> LoginError {
    LoginError::NotAllowed(why.to_owned())
}

impl Api {
    /// The person of this user name, asked with a token that may read them.
    pub(super) async fn identify(&self, name: &str, token: &Secret) -> Result<Identity, ApiError> {
        let user = the_user(&self.users(name, token).await?, name)?;
        let id = party_id(&user)?;
        let party = self
            .party(&id, token)
            .await?
            .ok_or_else(|| not_allowed("the user's party does not exist"))?;
        refuse_impersonal(&user, &party, &id)?;
        Ok(Identity {
            subject: self.subject(&user, &party, &id)?,
            profile: profile::of(&user, &party, self.settings.email_verified),
            amr: vec!["pwd".to_owned()],
            tokens: None,
        })
    }

    fn subject(&self, user: &Value, party: &Value, id: &str) -> Result<String, LoginError> {
        if self.settings.subject == SubjectFrom::PartyId {
            return Ok(format!("party:{}", id.to_lowercase()));
        }
        let of_party = guid(party)?;
        let of_user = user.get("Party").map(guid).transpose()?.flatten();
        match (of_party, of_user) {
            (Some(one), Some(other)) if one != other => Err(nonsense(
                "User and Party give the person different UniformIds",
            )),
            (Some(one), _) | (None, Some(one)) => Ok(one),
            (None, None) => Err(nonsense(
                "the person's record has no UniformId; if no record here has one, \
                 set subject = \"party_id\"",
            )),
        }
    }
}

/// The one user whose name is the one asked for. The first row is not good enough: with a token that reads everybody,
/// a filter that iMIS did not understand gives everybody.
fn the_user(page: &Value, name: &str) -> Result<Value, LoginError> {
    let rows = list(page, "Items");
    if rows.is_empty() {
        return Err(not_allowed(
            "iMIS has no user record for the token's user name",
        ));
    }
    let mut matching = rows
        .iter()
        .filter(|row| text(row, "UserName").is_some_and(|own| same(&own, name)));
    match (matching.next(), matching.next()) {
        (Some(user), None) => Ok(user.clone()),
        (None, _) => Err(nonsense(
            "User: nobody in the answer has the name asked for",
        )),
        (Some(_), Some(_)) => Err(nonsense("User: several have the name asked for")),
    }
}

/// The iMIS id of a user's party. (A user's own id is the same id, says the vendor's client.)
fn party_id(user: &Value) -> Result<String, LoginError> {
    let party = user.get("Party");
    let id = party
        .and_then(|party| text(party, "PartyId").or_else(|| text(party, "Id")))
        .or_else(|| text(user, "UserId"));
    // As a part of an address, `.` and `..` would ask for something else.
    id.filter(|id| !matches!(id.as_str(), "0" | "." | ".."))
        .ok_or_else(|| {
            not_allowed("the user has no party: a Guest, or an account without a person")
        })
}

fn refuse_impersonal(user: &Value, party: &Value, id: &str) -> Result<(), LoginError> {
    let own = text(party, "PartyId").or_else(|| text(party, "Id"));
    if !own.is_some_and(|own| same(&own, id)) {
        return Err(nonsense(
            "Party: the answer is about another party than the one asked for",
        ));
    }
    for record in [Some(party), user.get("Party")].into_iter().flatten() {
        let kind = text(record, "$type").unwrap_or_default();
        if flag(record, "IsOrganization") || kind.contains(".OrganizationData") {
            return Err(not_allowed(
                "the record is an organization's, not a person's",
            ));
        }
        if flag(record, "IsMarkedForDelete") || flag(record, "MarkedForDelete") {
            return Err(not_allowed("the record is marked for deletion"));
        }
    }
    Ok(())
}

/// The `UniformId` of a record in its one spelling: lower case, hyphens, no braces.
fn guid(record: &Value) -> Result<Option<String>, LoginError> {
    let Some(written) = text(record, "UniformId") else {
        return Ok(None);
    };
    let guid = written.trim_matches(['{', '}']).to_lowercase();
    let well_formed = guid.len() == EMPTY_GUID.len()
        && guid.bytes().zip(EMPTY_GUID.bytes()).all(|(c, like)| {
            if like == b'-' {
                c == b'-'
            } else {
                c.is_ascii_hexdigit()
            }
        });
    if !well_formed {
        return Err(nonsense("the person's UniformId is not a GUID"));
    }
    Ok((guid != EMPTY_GUID).then_some(guid))
}

/// iMIS does not mind letter case in names and ids.
fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_guid_has_one_spelling() {
        let read = |text: &str| guid(&json!({ "UniformId": text }));
        let plain = Some("8d0f3a52-1111-4222-8333-9c000000000a".to_owned());
        assert_eq!(
            read("{8D0F3A52-1111-4222-8333-9C000000000A}").unwrap(),
            plain
        );
        assert_eq!(read("00000000-0000-0000-0000-000000000000").unwrap(), None);
        assert_eq!(read("").unwrap(), None);
        assert!(read("8d0f3a5211114222-8333-9c00-00000000000a").is_err());
    }
}
