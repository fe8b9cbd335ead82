//! What `groups` tells: the roles that iMIS's security knows, and the groups and committees that a person is in.

use serde_json::{Value, json};

use super::Imis;
use super::api::{By, flag, list, told};
use super::claim::{self, MAX_GROUPS, day};
use super::gaps::{self, Miss};
use super::person::{Records, is_of};
use crate::protocol::claims::Profile;
use crate::protocol::secret::Secret;
use crate::upstream::LoginError;
use crate::upstream::outbound::encoded;

/// The part of profiles that roles are.
const ROLES: &str = "roles";
/// The part of profiles that groups and committees are.
const COMMITTEES: &str = "committees";
/// How many pages of rows are read for one person.
const MOST_PAGES: usize = 20;

impl Imis {
    /// Adds to `groups` what the configuration asks for.
    pub(super) async fn add_groups(
        &self,
        profile: &mut Profile,
        records: &Records,
        own: Option<&Secret>,
        before: Option<&Profile>,
    ) -> Result<(), LoginError> {
        let Some(by) = self.privileged(own) else {
            return Ok(());
        };
        let (mut found, mut missing) = (Vec::new(), None);
        if self.settings().roles {
            let roles = self.roles(records, by).await;
            match self.gaps.bridge(ROLES, roles)? {
                Some(names) => found.extend(names),
                None => missing = Some(ROLES),
            }
        }
        if self.settings().committees {
            let committees = self.committees(records, by).await;
            match self.gaps.bridge(COMMITTEES, committees)? {
                Some(names) => found.extend(names),
                None => missing = Some(COMMITTEES),
            }
        }
        for name in found {
            if !profile.groups.contains(&name) && profile.groups.len() < MAX_GROUPS {
                profile.groups.push(name);
            }
        }
        // Whether a group is gone, or stands in the part that is missing now, nobody knows.
        let lost = |before: &Profile| {
            before
                .groups
                .iter()
                .any(|name| !profile.groups.contains(name))
        };
        match missing {
            Some(part) if before.is_some_and(lost) => Err(gaps::unknown(part)),
            _ => Ok(()),
        }
    }

    /// With whose token things are asked that members may rarely ask.
    fn privileged<'a>(&'a self, own: Option<&'a Secret>) -> Option<By<'a>> {
        let service = self.service.as_ref().map(By::Service);
        service.or_else(|| own.map(By::Own))
    }

    /// The names of the person's roles. A user's own `Roles` are null whatever they are (research, section 3).
    pub(super) async fn roles(&self, records: &Records, by: By<'_>) -> Result<Vec<String>, Miss> {
        let name = records.user_name().unwrap_or_default();
        self.roles_of(&name, by).await
    }

    /// The names of a user's roles.
    pub(super) async fn roles_of(&self, name: &str, by: By<'_>) -> Result<Vec<String>, Miss> {
        const ADVICE: &str = "for `roles`, the service account must be allowed to ask UserSecurity for GetUserRoles, \
                              which takes the role SysAdmin on some versions; iMIS 2017 does not have it: set roles = false";
        let gap = |what: &str| Miss::Gap(format!("{what}; {ADVICE}"));
        let url = self.api.at(["api", "UserSecurity", "_execute"], "");
        let renews = !self.gaps.is_open(ROLES);
        let answer = self.api.post(url, &get_user_roles(name), by, renews).await;
        let answer = answer
            .map_err(|error| Miss::of(error, ADVICE))?
            .ok_or_else(|| gap("the API answers 404"))?;
        if told(&answer, "IsSuccessStatusCode") == Some(false)
            || answer.get("Result").is_none_or(Value::is_null)
        {
            return Err(gap("GetUserRoles was not carried out"));
        }
        let roles = list(&answer, "Result").iter();
        let name = |role: &Value| claim::text(role.get("RoleName").unwrap_or(role));
        Ok(roles.filter_map(name).collect())
    }

    /// The names of the groups and committees in which the person is now. A list that is longer than what is read of it tells nothing:
    /// who is not on its first pages would seem to have left.
    pub(super) async fn committees(
        &self,
        records: &Records,
        by: By<'_>,
    ) -> Result<Vec<String>, Miss> {
        const ADVICE: &str = "for `committees`, whoever asks must be allowed to read GroupMember";
        let id = &records.id;
        let today = claim::today(self.clock.now());
        let (mut names, mut offset) = (Vec::new(), 0);
        for _ in 0..MOST_PAGES {
            let query = format!("PartyId=eq:{}&limit=500&offset={offset}", encoded(id));
            let url = self.api.at(["api", "GroupMember"], &query);
            let renews = !self.gaps.is_open(COMMITTEES);
            let page = self.api.read(url, by, renews).await;
            let page = page
                .map_err(|error| Miss::of(error, ADVICE))?
                .ok_or_else(|| Miss::Gap(format!("the API answers 404; {ADVICE}")))?;
            let rows = list(&page, "Items");
            let own = rows.iter().filter(|row| {
                // A filter that iMIS did not understand gives everybody's.
                row.get("Party").is_some_and(|party| is_of(party, id)) && is_current(row, &today)
            });
            names.extend(own.filter_map(|row| claim::text(row.get("Group")?.get("Name")?)));
            if !flag(&page, "HasNext") {
                return Ok(names);
            }
            offset += rows.len();
        }
        Err(Miss::Gap(format!(
            "GroupMember has not ended after {offset} rows, so that it seems not to heed PartyId; tell \
             committees by a profile_query in place of `committees`"
        )))
    }
}

/// `$type` comes first by its first character, as some endpoints want it.
fn get_user_roles(name: &str) -> Value {
    let list = |of: &str| {
        format!("System.Collections.ObjectModel.Collection`1[[System.{of}, mscorlib]], mscorlib")
    };
    json!({
        "$type": "Asi.Soa.Core.DataContracts.GenericExecuteRequest, Asi.Contracts",
        "EntityTypeName": "UserSecurity",
        "OperationName": "GetUserRoles",
        "Parameters": {
            "$type": list("Object"),
            "$values": [{ "$type": "System.String", "$value": name }],
        },
        "ParameterTypeName": { "$type": list("String"), "$values": ["System.String"] },
        "UseJson": false,
    })
}

/// Whether somebody is in a group today: what iMIS says of it may be older than the end of the term.
fn is_current(member: &Value, today: &str) -> bool {
    let details = list(member, "MembershipDetails");
    let holds = |detail: &Value| {
        let date = |name: &str| detail.get(name).and_then(day);
        told(detail, "IsActive") != Some(false)
            && date("EffectiveDate").is_none_or(|from| from.as_str() <= today)
            && date("ExpirationDate").is_none_or(|until| today <= until.as_str())
    };
    details.is_empty() || details.iter().any(holds)
}
