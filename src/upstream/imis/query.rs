//! A saved query (IQA) that tells about a person: what most integrators of iMIS use, since its columns are the
//! administrator's choice.
//!
//! A row counts only when it is the person's own by its `subject_column`: a query whose filter was taken out gives
//! everybody, and one that filters on the wrong user gives the same person to all. No row is what a Guest gets (T26).

use serde_json::{Map, Value};

use super::Imis;
use super::api::{ApiError, By, list, nonsense, plain, text};
use super::claim;
use super::gaps::{self, Miss};
use super::person::Records;
use super::settings::{ProfileQuery, QueryBy, QueryService};
use crate::protocol::claims::Profile;
use crate::protocol::secret::Secret;
use crate::upstream::outbound::{encoded, query as encode};
use crate::upstream::{LoginError, NoVerdict};

/// The part of profiles that the query is.
const QUERY: &str = "profile_query";

impl Imis {
    /// Puts what the query tells into the profile. A claim that is mapped comes from its column or not at all.
    pub(super) async fn add_query(
        &self,
        profile: &mut Profile,
        query: &ProfileQuery,
        records: &Records,
        own: Option<&Secret>,
        before: Option<&Profile>,
    ) -> Result<(), LoginError> {
        let told_before = before.is_some_and(|before| gaps::told_any(before, &query.columns));
        let row = match self.row(query, records, own).await {
            // It was taken before: whether it has ended, its renewal tells.
            Err(Miss::Token(why)) if told_before => {
                return Err(NoVerdict::TokenRefused(why).into());
            }
            row => self.gaps.bridge(QUERY, row)?,
        };
        if row.is_none() && told_before {
            return Err(gaps::unknown(QUERY));
        }
        let row = row.unwrap_or_default();
        for (claim, column) in &query.columns {
            let value = cell(&row, column).unwrap_or(&Value::Null);
            claim::put(profile, claim, value);
        }
        if !query.columns.contains_key("email_verified") {
            let verified = self.settings().email_verified;
            profile.email_verified = profile.email.as_ref().and(verified);
        }
        Ok(())
    }

    async fn row(
        &self,
        query: &ProfileQuery,
        records: &Records,
        own: Option<&Secret>,
    ) -> Result<Map<String, Value>, Miss> {
        let name = records.user_name().unwrap_or_default();
        let (by, name) = match (query.by, own, self.service.as_ref()) {
            (QueryBy::Token, Some(own), _) => (By::Own(own), None),
            (QueryBy::Username, _, Some(service)) => (By::Service(service), Some(name.as_str())),
            (QueryBy::Token, None, _) => {
                let advice =
                    "a profile_query with by = \"username\" and a service_account needs none";
                return Err(Miss::Failure(NoVerdict::NoToken(advice).into()));
            }
            (QueryBy::Username, _, None) => {
                return Err(Miss::Gap("there is no service_account".to_owned()));
            }
        };
        let rows = self.rows(query, by, name).await?;
        let row = match rows.as_slice() {
            [row] => row,
            [] => {
                return Err(Miss::Failure(LoginError::NotAllowed(
                    "the profile query has no row for the person: a Guest, or somebody whom it leaves out"
                        .to_owned(),
                )));
            }
            _ => {
                return Err(Miss::Failure(nonsense(
                    "the profile query has several rows; it must have one a person, whom it filters by",
                )));
            }
        };
        let subject = cell(row, &query.subject_column).and_then(plain);
        match subject {
            Some(subject) if records.are_of(&subject, query.subject_is) => Ok(row.clone()),
            Some(_) => Err(Miss::Failure(nonsense(
                "the profile query's row is somebody else's; look at its filter, at subject_column and at subject_is",
            ))),
            None => Err(Miss::Failure(nonsense(
                "the profile query's row does not say whose it is; look at subject_column",
            ))),
        }
    }

    /// The rows that the query has, the first two at most.
    pub(super) async fn rows(
        &self,
        query: &ProfileQuery,
        by: By<'_>,
        parameter: Option<&str>,
    ) -> Result<Vec<Map<String, Value>>, Miss> {
        const ADVICE: &str = "look at profile_query.path, and in iMIS whether the query is flagged \
                              \"Available via the REST API\" and whether its access settings let this user run it";
        let service = match query.service {
            QueryService::Query => "query",
            QueryService::Iqa => "iqa",
        };
        let mut text = encode(&[("QueryName", &query.path), ("limit", "2")]);
        if let Some(name) = parameter {
            // Where the name holds a colon, what stands before it would be taken for an operator.
            let operator = if name.contains(':') { "eq:" } else { "" };
            text.extend(["&Parameter=", operator, &encoded(name)]);
        }
        let url = self.api.at(["api", service], &text);
        let renews = !self.gaps.is_open(QUERY);
        let is_refused = |page: &Result<_, ApiError>| {
            matches!((page, by), (Err(ApiError::Unauthorized), By::Own(_)))
        };
        let mut page = self.api.read(url.clone(), by, renews).await;
        // A token that lives is refused now and then (research, section 1), and claims must not come and go with that.
        if renews && is_refused(&page) {
            page = self.api.read(url, by, false).await;
        }
        if is_refused(&page) {
            let why = format!("the API answers 401 to the person's own token; {ADVICE}");
            return Err(Miss::Token(why));
        }
        let page = page
            .map_err(|error| Miss::of(error, ADVICE))?
            .ok_or_else(|| Miss::Gap(format!("the API answers 404; {ADVICE}")))?;
        Ok(list(&page, "Items").iter().map(columns).collect())
    }
}

/// A row's columns: flat, or as a list of names and values.
fn columns(row: &Value) -> Map<String, Value> {
    if row.get("Properties").is_none() {
        return row.as_object().cloned().unwrap_or_default();
    }
    let property = |property: &Value| {
        let value = property.get("Value").cloned().unwrap_or_default();
        Some((text(property, "Name")?, value))
    };
    list(row, "Properties")
        .iter()
        .filter_map(property)
        .collect()
}

/// The value of a column; iMIS does not mind the letter case of its name.
pub(super) fn cell<'a>(row: &'a Map<String, Value>, column: &str) -> Option<&'a Value> {
    row.get(column).or_else(|| {
        let mut cells = row.iter();
        let found = cells.find(|(name, _)| name.eq_ignore_ascii_case(column));
        found.map(|(_, value)| value)
    })
}
