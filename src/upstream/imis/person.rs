//! From a token to a person: user name, user, party; and who is refused on the way (T26).

use std::sync::Arc;

use serde_json::Value;

use super::api::{Api, ApiError, By, flag, list, nonsense, text, told};
use super::profile::MEMBER_ID;
use super::service::Service;
use super::settings::{QuerySubject, SubjectFrom};
use crate::upstream::{Known, LoginError};

/// What the anonymous visitor is called where it has a name at all.
const GUESTS: [&str; 2] = ["guest", "anonymous"];
/// What stands before the iMIS id where that is the subject.
const PARTY: &str = "party:";
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

/// Of an account that is nobody's: what a site calls its anonymous visitor is up to the site, and such a one has no records.
const fn no_person(why: &'static str) -> LoginError {
    LoginError::NoPerson(why)
}

/// A person's records, which belong together.
pub(super) struct Records {
    pub(super) user: Value,
    pub(super) party: Value,
    /// The iMIS id.
    pub(super) id: String,
    /// [`crate::upstream::Identity::subject`].
    pub(super) subject: String,
}

/// What a search by `UniformId` came to.
enum Search {
    Found(Value),
    Nobody,
    /// There are rows, and none of them has it: the filter was not understood, or records do not tell it.
    NoneHasIt,
}

impl Records {
    /// What iMIS calls the user.
    pub(super) fn user_name(&self) -> Option<String> {
        text(&self.user, "UserName")
    }

    /// Whether a saved query means this person.
    pub(super) fn are_of(&self, told: &str, what: QuerySubject) -> bool {
        match what {
            QuerySubject::Id => same(told, &self.id),
            QuerySubject::Username => self.user_name().is_some_and(|name| same(told, &name)),
            QuerySubject::UniformId => {
                let guid = guid(&self.party).ok().flatten();
                guid.is_some_and(|guid| same(told.trim_matches(['{', '}']), &guid))
            }
        }
    }
}

impl Api {
    /// The person of this user name, asked with a token that may read them. `last`: nobody else can be asked, so that
    /// the record in short is better than none.
    pub(super) async fn identify(
        &self,
        name: &str,
        by: By<'_>,
        last: bool,
    ) -> Result<Records, ApiError> {
        let user = the_user(&self.users(name, by).await?, name)?;
        let id = party_id(&user)?;
        let party = self.a_party(&id, by, last).await?;
        let party = party.ok_or_else(|| not_allowed("the user's party does not exist"))?;
        Ok(self.records(user, party, id)?)
    }

    /// The person who was known by `subject` at an earlier login, with whatever user name they have now.
    pub(super) async fn identify_again(
        &self,
        person: &Known<'_>,
        by: By<'_>,
    ) -> Result<Records, ApiError> {
        let party = match (person.subject.strip_prefix(PARTY), by) {
            (Some(id), _) => self.a_party(id, by, true).await?,
            (None, By::Service(service)) => {
                match (
                    self.by_uniform_id(person.subject, service).await,
                    self.known_id(person),
                ) {
                    // Records are searched by what they need not tell, or may be read in short alone: the way of the login
                    // is left, and it is certain in the end whose record it leads to.
                    (Ok(Search::NoneHasIt) | Err(ApiError::Forbidden), Some(id)) => {
                        self.a_party(id, by, true).await?
                    }
                    (Ok(Search::Found(party)), _) => Some(party),
                    (Ok(Search::Nobody), _) => None,
                    (Ok(Search::NoneHasIt), None) => {
                        let told = "Party: nobody in the answer has the UniformId asked for";
                        return Err(nonsense(told).into());
                    }
                    (Err(error), _) => return Err(error),
                }
            }
            // With a token of their own people may not search, but read what is theirs.
            (None, By::Own(_)) => match self.known_id(person) {
                Some(id) => self.a_party(id, by, true).await?,
                None => return self.identify_by_name_again(person, by).await,
            },
        };
        let Some(party) = party else {
            return Err(self.gone("the person's record is gone", by).await);
        };
        let id = text(&party, "PartyId").or_else(|| text(&party, "Id"));
        let id = id
            .filter(|id| !is_trick(id))
            .ok_or_else(|| nonsense("Party: the answer has no id"))?;
        let user = self.user_of(&id, person, by).await?;
        Ok(same_person(self.records(user, party, id)?, person)?)
    }

    /// The iMIS id that was told of a person. Where the claim comes from elsewhere, it is no id of a party's.
    fn known_id<'a>(&self, person: &Known<'a>) -> Option<&'a str> {
        let told = person.profile.more.get(MEMBER_ID)?.as_str()?;
        (!self.settings.maps(MEMBER_ID) && !is_trick(told)).then_some(told)
    }

    /// The person who was known, by the user name they had.
    async fn identify_by_name_again(
        &self,
        person: &Known<'_>,
        by: By<'_>,
    ) -> Result<Records, ApiError> {
        let name = person.profile.preferred_username.as_deref();
        let name = name.ok_or_else(|| {
            nonsense("nothing is known by which the person could be asked for with their own token")
        })?;
        let page = self.users(name, by).await?;
        if list(&page, "Items").is_empty() {
            return Err(self.gone("the person's user record is gone", by).await);
        }
        let user = the_user(&page, name)?;
        let id = party_id(&user)?;
        let Some(party) = self.a_party(&id, by, true).await? else {
            return Err(self.gone("the person's record is gone", by).await);
        };
        Ok(same_person(self.records(user, party, id)?, person)?)
    }

    /// The party, or the party in short.
    async fn a_party(&self, id: &str, by: By<'_>, last: bool) -> Result<Option<Value>, ApiError> {
        match self.party(id, by).await {
            Err(ApiError::Forbidden) if last => self.party_summary(id, by).await,
            other => other,
        }
    }

    async fn by_uniform_id(&self, guid: &str, service: &Arc<Service>) -> Result<Search, ApiError> {
        let by = By::Service(service);
        let page = self.parties(guid, by).await?;
        let rows = list(&page, "Items");
        let mut matching = rows
            .iter()
            .filter(|row| self::guid(row).ok().flatten().as_deref() == Some(guid));
        match (matching.next(), matching.next()) {
            (Some(party), None) => Ok(Search::Found(party.clone())),
            (Some(_), Some(_)) => {
                Err(nonsense("Party: several have the UniformId asked for").into())
            }
            (None, _) if !rows.is_empty() => Ok(Search::NoneHasIt),
            (None, _) => Ok(Search::Nobody),
        }
    }

    /// The user of a party. Its id is the party's, says the vendor's client; where it is not, the name leads there.
    async fn user_of(&self, id: &str, person: &Known<'_>, by: By<'_>) -> Result<Value, ApiError> {
        if let Some(user) = self.user(id, by).await? {
            return Ok(user);
        }
        if let Some(name) = &person.profile.preferred_username {
            let page = self.users(name, by).await?;
            let mut users = list(&page, "Items").iter();
            let user = users.find(|user| party_id(user).is_ok_and(|own| same(&own, id)));
            if let Some(user) = user {
                return Ok(user.clone());
            }
        }
        Err(self.gone("the person's user record is gone", by).await)
    }

    /// What it means that a record is not there. A proxy in maintenance, or an account that lost a right, shows nobody's:
    /// that somebody is gone is believed of an account alone that reads itself by the same way, and others too.
    async fn gone(&self, what: &str, by: By<'_>) -> ApiError {
        let By::Service(service) = by else {
            return nonsense(&format!("{what}, or not shown to the person's own token")).into();
        };
        match self.identify(service.username(), by, true).await {
            Ok(_) => {}
            Err(ApiError::Login(LoginError::NotAllowed(_) | LoginError::NoPerson(_))) => {
                return ApiError::Forbidden;
            }
            Err(error) => return error,
        }
        match self.visible_users(service).await {
            Ok(Some(0 | 1)) => ApiError::Forbidden,
            Ok(_) => not_allowed(what).into(),
            Err(error) => error,
        }
    }

    /// Puts records together once it is sure whose they are and that it is a person's.
    fn records(&self, user: Value, party: Value, id: String) -> Result<Records, LoginError> {
        if !same(&party_id(&user)?, &id) {
            return Err(nonsense("User: the answer is about another user"));
        }
        refuse_guest(&text(&user, "UserName").unwrap_or_default())?;
        refuse_impersonal(&user, &party, &id)?;
        refuse_disabled(&user)?;
        let subject = self.subject(&user, &party, &id)?;
        Ok(Records {
            user,
            party,
            id,
            subject,
        })
    }

    fn subject(&self, user: &Value, party: &Value, id: &str) -> Result<String, LoginError> {
        if self.settings.subject == SubjectFrom::PartyId {
            return Ok(format!("{PARTY}{}", id.to_lowercase()));
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

fn same_person(records: Records, person: &Known<'_>) -> Result<Records, LoginError> {
    if records.subject == person.subject {
        Ok(records)
    } else {
        Err(not_allowed("the record is another person's now"))
    }
}

/// The one user whose name is the one asked for. The first row is not good enough: with a token that reads everybody,
/// a filter that iMIS did not understand gives everybody.
fn the_user(page: &Value, name: &str) -> Result<Value, LoginError> {
    let rows = list(page, "Items");
    if rows.is_empty() {
        return Err(no_person(
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
    id.filter(|id| id != "0" && !is_trick(id))
        .ok_or_else(|| no_person("the user has no party: a Guest, or an account without a person"))
}

/// Whether an id would, as a part of an address, ask for something else.
fn is_trick(id: &str) -> bool {
    matches!(id, "" | "." | "..")
}

/// Refuses an account that may not log in, where iMIS says so. One that is locked by wrong passwords is not refused here:
/// whoever typed them may be anybody.
fn refuse_disabled(user: &Value) -> Result<(), LoginError> {
    let disabled = flag(user, "IsDisabled")
        || flag(user, "Disabled")
        || told(user, "IsApproved") == Some(false);
    if disabled {
        return Err(not_allowed("the login is disabled"));
    }
    Ok(())
}

/// Whether a record is the party's of this id.
pub(super) fn is_of(party: &Value, id: &str) -> bool {
    let own = text(party, "PartyId").or_else(|| text(party, "Id"));
    own.is_some_and(|own| same(&own, id))
}

fn refuse_impersonal(user: &Value, party: &Value, id: &str) -> Result<(), LoginError> {
    if !is_of(party, id) {
        return Err(nonsense(
            "Party: the answer is about another party than the one asked for",
        ));
    }
    let name = text(party, "Name").or_else(|| {
        let names = party.get("PersonName")?;
        ["FullName", "LastName", "FirstName"]
            .iter()
            .find_map(|field| text(names, field))
    });
    if name.is_none() {
        return Err(no_person(
            "the record is empty, without so much as a name: a Guest's",
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
    use proptest::prelude::*;
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

    proptest! {
        #[test]
        fn a_guid_is_one_or_none_whatever_is_written(
            written in "[{]?[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-fg]{11,12}[}]?", any in any::<String>(), number in any::<i64>(),
        ) {
            for value in [json!(written), json!(any), json!(number), json!({ "$value": written }), json!([written])] {
                if let Ok(Some(read)) = guid(&json!({ "UniformId": value })) {
                    prop_assert_eq!(read.len(), EMPTY_GUID.len());
                    prop_assert_eq!(guid(&json!({ "UniformId": read })).unwrap(), Some(read.clone()));
                    prop_assert!(written.to_lowercase().contains(&read) || any.to_lowercase().contains(&read));
                }
            }
        }
    }
}
