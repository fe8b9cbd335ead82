//! A person's name, email and what else is wanted, from the record that the administrator points at: aiM18 has no "who am I". Only
//! the row with the person's own number counts, whoever's token it is read with.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Number, Value};

use super::Aim18;
use super::call::Refused;
use super::settings::{BUSINESS_ENTITY, Groups, LOCALE, LookupBy, ProfileLookup, ReadWith};
use crate::protocol::claims::Profile;
use crate::protocol::error::chain;
use crate::protocol::secret::Secret;
use crate::upstream::LoginError;

/// More than any real name or address has; a longer one is left out rather than cut.
const MAX_CLAIM_BYTES: usize = 512;
/// More groups than that are a table of something else.
const MAX_GROUPS: usize = 256;
/// How many rows a page of a search is asked for, and how many pages.
const PAGE: usize = 500;
const MOST_PAGES: usize = 20;
/// How aiM18 writes that there is no date (research, section 3).
const NO_DATE: &str = "1900-01-01 00:00:00";

/// Whose record, and with what it may be read.
pub(super) struct Asked<'a> {
    pub(super) uid: u64,
    /// The login name, where it is known.
    pub(super) name: Option<&'a str>,
    /// The person's own token.
    pub(super) own: Option<&'a Secret>,
}

/// A record, and the answer that it stood in.
pub(super) struct Found {
    row: Value,
    answer: Value,
}

/// Looks the profile up for a login. A look-up that is set up wrongly costs the claims and not the login, and the log says why;
/// unless the record decides who may come in. When aiM18 is away the login fails, since claims that come and go are worse for the
/// apps than a second try.
pub(super) async fn look_up(
    aim18: &Arc<Aim18>,
    lookup: &ProfileLookup,
    asked: &Asked<'_>,
) -> Result<Profile, LoginError> {
    let error = match record(aim18, lookup, asked).await {
        Ok(found) => {
            check_active(lookup, &found)?;
            return Ok(profile(aim18, lookup, &found));
        }
        Err(Refused::Login(LoginError::Unavailable(source))) => {
            return Err(LoginError::Unavailable(source));
        }
        Err(error) => error,
    };
    let reason = chain(&error);
    if lookup.active.is_some() {
        let told = format!("the record that says who may come in cannot be read: {reason}");
        return Err(LoginError::Protocol(told.into()));
    }
    tracing::warn!(module = lookup.module, reason, "no profile from aiM18");
    Ok(Profile::default())
}

/// The person's own record.
pub(super) async fn record(
    aim18: &Arc<Aim18>,
    lookup: &ProfileLookup,
    asked: &Asked<'_>,
) -> Result<Found, Refused> {
    match lookup.with {
        ReadWith::User => {
            let own = asked.own.ok_or_else(|| {
                Refused::Other("there is no token of the person's to read with".to_owned())
            })?;
            read(aim18, lookup, asked, own).await
        }
        ReadWith::ServiceAccount => {
            let ask = |access| async move { read(aim18, lookup, asked, &access).await };
            aim18.ask_as_service(ask).await
        }
    }
}

/// The record, read with one token.
pub(super) async fn read(
    aim18: &Aim18,
    lookup: &ProfileLookup,
    asked: &Asked<'_>,
    access: &Secret,
) -> Result<Found, Refused> {
    let module = lookup.module.as_str();
    if lookup.by == LookupBy::Search {
        return search(aim18, lookup, asked, access).await;
    }
    let path = match lookup.by {
        LookupBy::RootRead => vec!["root", "api", "read", module],
        _ => vec!["entity", "read", module],
    };
    let uid = asked.uid.to_string();
    let answer = aim18
        .ask(path, &[("menuCode", module), ("id", &uid)], access)
        .await?;
    match find(&answer, &lookup.module, asked.uid).cloned() {
        Some(row) => Ok(Found { row, answer }),
        None if is_empty(&answer, module) => {
            Err(Refused::Missing("the answer holds no row".to_owned()))
        }
        None => Err(no_row()),
    }
}

fn no_row() -> Refused {
    Refused::Other("the answer holds no row with the user's number".to_owned())
}

/// Searches by the login name first; a name that has changed since must not hide the person.
async fn search(
    aim18: &Aim18,
    lookup: &ProfileLookup,
    asked: &Asked<'_>,
    access: &Secret,
) -> Result<Found, Refused> {
    let entity = lookup.business_entity.map(|id| id.to_string());
    let mut pairs = vec![("stSearch", lookup.module.as_str())];
    pairs.extend(entity.as_deref().map(|id| ("beId", id)));
    if let Some(name) = asked.name {
        let mut pairs = pairs.clone();
        pairs.push(("quickSearchStr", name));
        let searched = search_pages(aim18, &lookup.module, &pairs, asked.uid, access).await?;
        if let Searched::Found(found) = searched {
            return Ok(found);
        }
    }
    // Where the login name is not known the search gives all it will, and the number picks the row.
    match search_pages(aim18, &lookup.module, &pairs, asked.uid, access).await? {
        Searched::Found(found) => Ok(found),
        // A search leaves out what its caller may not read, without a word: only where others are seen, and all of
        // them, is somebody who is not among them gone.
        Searched::SawAll if lookup.with == ReadWith::ServiceAccount => {
            Err(Refused::Missing("nobody has the user's number".to_owned()))
        }
        Searched::SawAll | Searched::Unknown => Err(no_row()),
    }
}

/// What a search came to.
enum Searched {
    /// The person's row.
    Found(Found),
    /// Other rows, and all that the answer says there are.
    SawAll,
    /// Nothing that says anything about the person.
    Unknown,
}

/// Searches page by page until the person is found. How long a page is that nobody asked for, whether rows are counted from 0 or 1,
/// and whether the last one belongs to the page, is not documented: rows are known by their number, and may come twice.
async fn search_pages(
    aim18: &Aim18,
    module: &str,
    pairs: &[(&str, &str)],
    uid: u64,
    access: &Secret,
) -> Result<Searched, Refused> {
    let (mut seen, mut start) = (BTreeSet::new(), 0);
    for _ in 0..MOST_PAGES {
        let (first, last) = (start.to_string(), (start + PAGE).to_string());
        let mut pairs = pairs.to_vec();
        if start > 0 {
            pairs.extend([("startRow", first.as_str()), ("endRow", last.as_str())]);
        }
        let answer = aim18.ask(["search", "search"], &pairs, access).await?;
        if let Some(row) = find(&answer, module, uid).cloned() {
            return Ok(Searched::Found(Found { row, answer }));
        }
        let rows = answer.get("values").and_then(Value::as_array);
        let rows = rows.map_or(&[][..], Vec::as_slice);
        let before = seen.len();
        seen.extend(rows.iter().filter_map(row_id));
        start += rows.len();
        let size = answer.get("size").and_then(Value::as_u64);
        match size.and_then(|size| usize::try_from(size).ok()) {
            Some(size) if seen.len() >= size && !seen.is_empty() => return Ok(Searched::SawAll),
            Some(_) if seen.len() > before => {}
            _ => break,
        }
    }
    Ok(Searched::Unknown)
}

/// Whether an answer is a table without a row.
fn is_empty(answer: &Value, module: &str) -> bool {
    let table = answer.get("data").unwrap_or(answer).get(module);
    let rows = table.and_then(|table| table.get("values").unwrap_or(table).as_array());
    rows.is_some_and(Vec::is_empty)
}

/// The row whose id is `uid` in the table of the module, or in the result of a search, in whichever of the shapes:
/// `data.<table>[]`, `<table>.values[]`, `values[]`. A sub-table has numbers of its own.
fn find<'a>(answer: &'a Value, module: &str, uid: u64) -> Option<&'a Value> {
    let main = answer.get("mainTableName").and_then(Value::as_str);
    let data = answer.get("data").unwrap_or(answer);
    let only = || match data.as_object()?.values().collect::<Vec<_>>().as_slice() {
        [one] => Some(*one),
        _ => None,
    };
    let table = data
        .get(module)
        .or_else(|| data.get(main?))
        .or_else(|| data.get("values"))
        .or_else(only)?;
    let rows = table.get("values").unwrap_or(table).as_array()?;
    rows.iter().find(|row| is_row_of(row, uid))
}

fn is_row_of(row: &Value, uid: u64) -> bool {
    row_id(row).is_some_and(|id| id == uid.to_string())
}

/// The number of a row, which may be written as a text.
fn row_id(row: &Value) -> Option<String> {
    match row.get("id").or_else(|| row.get("st_id"))? {
        Value::Number(id) => Some(id.to_string()),
        Value::String(id) => Some(id.clone()),
        _ => None,
    }
}

/// Refuses somebody whose record does not say that they may come in.
pub(super) fn check_active(lookup: &ProfileLookup, found: &Found) -> Result<(), LoginError> {
    let Some(active) = &lookup.active else {
        return Ok(());
    };
    let told = match found.row.get(&active.field) {
        Some(Value::String(text)) => Some(text.trim().to_owned()),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => Some(value.to_string()),
        _ => None,
    };
    match told {
        Some(told) if active.values.contains(&told) => Ok(()),
        _ => Err(LoginError::NotAllowed(format!(
            "the record's {} is none of profile.active.values",
            active.field
        ))),
    }
}

/// The fields that the configuration names and the record does not have.
pub(super) fn absent_fields(lookup: &ProfileLookup, found: &Found) -> Vec<String> {
    let mut absent = Vec::new();
    let mut look = |key: String, field: &str| {
        // An empty field may be left out of a row, but not out of the list of fields, where there is one.
        let listed = found
            .answer
            .get(&lookup.module)
            .and_then(|table| table.get("fields")?.as_array())
            .is_some_and(|fields| {
                fields
                    .iter()
                    .any(|each| each.get("name").and_then(Value::as_str) == Some(field))
            });
        if found.row.get(field).is_none() && !listed {
            absent.push(format!("{key} = \"{field}\""));
        }
    };
    for (claim, field) in lookup.fields.by_claim() {
        if let Some(field) = field {
            look(format!("profile.fields.{claim}"), field);
        }
    }
    for (claim, field) in &lookup.claims {
        look(format!("profile.claims.{claim}"), field);
    }
    match &lookup.groups {
        Some(groups) if groups.table.is_none() => {
            look("profile.groups.field".to_owned(), &groups.field);
        }
        _ => {}
    }
    if let Some(active) = &lookup.active {
        look("profile.active.field".to_owned(), &active.field);
    }
    if let Some(table) = lookup
        .groups
        .as_ref()
        .and_then(|groups| groups.table.as_ref())
        && table_rows(&found.answer, table).is_none()
    {
        absent.push(format!("profile.groups.table = \"{table}\""));
    }
    absent
}

/// The names of the record's fields.
pub(super) fn field_names(found: &Found) -> Vec<&str> {
    let row = found.row.as_object();
    row.into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect()
}

/// What a record tells.
pub(super) fn profile(aim18: &Aim18, lookup: &ProfileLookup, found: &Found) -> Profile {
    let fields = &lookup.fields;
    let row = &found.row;
    let claim = |field: &Option<String>| text(row.get(field.as_ref()?)?);
    let email = claim(&fields.email).filter(|email| email.contains('@'));
    let mut profile = Profile {
        name: claim(&fields.name),
        given_name: claim(&fields.given_name),
        family_name: claim(&fields.family_name),
        preferred_username: claim(&fields.preferred_username),
        email_verified: email.as_ref().and(aim18.settings.email_verified),
        email,
        ..Profile::default()
    };
    if let Some(groups) = &lookup.groups {
        profile.groups = read_groups(groups, found);
    }
    if let Some(locale) = claim(&fields.locale).as_deref().and_then(language_tag) {
        profile.more.insert(LOCALE.to_owned(), locale.into());
    }
    let entity = fields
        .business_entity
        .as_ref()
        .and_then(|field| row.get(field));
    if let Some(entity) = entity.and_then(entity_number) {
        profile
            .more
            .insert(BUSINESS_ENTITY.to_owned(), entity.into());
    }
    for (name, field) in &lookup.claims {
        let value = match row.get(field) {
            Some(value @ (Value::Bool(_) | Value::Number(_))) => Some(value.clone()),
            Some(value) => text(value).map(Value::String),
            None => None,
        };
        profile
            .more
            .extend(value.map(|value| (name.clone(), value)));
    }
    profile
}

/// Whether a profile holds something that a login name alone does not give.
pub(super) fn tells_more_than_a_name(profile: &Profile) -> bool {
    let bare = Profile {
        preferred_username: profile.preferred_username.clone(),
        ..Profile::default()
    };
    *profile != bare
}

/// Text fit for a claim.
fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    let fine = !text.is_empty()
        && text != NO_DATE
        && text.len() <= MAX_CLAIM_BYTES
        && !text.chars().any(char::is_control);
    fine.then(|| text.to_owned())
}

fn read_groups(groups: &Groups, found: &Found) -> Vec<String> {
    let rows: Vec<&Value> = match &groups.table {
        None => vec![&found.row],
        Some(table) => table_rows(&found.answer, table)
            .into_iter()
            .flatten()
            .collect(),
    };
    let mut all: Vec<String> = Vec::new();
    let mut add = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        let parts = text.split([';', ',']);
        for part in parts.filter_map(|part| self::text(&Value::from(part))) {
            if !all.contains(&part) && all.len() < MAX_GROUPS {
                all.push(part);
            }
        }
    };
    for value in rows.into_iter().filter_map(|row| row.get(&groups.field)) {
        match value {
            Value::Array(list) => list.iter().for_each(&mut add),
            one => add(one),
        }
    }
    all
}

/// The rows of a table of an answer about one record.
fn table_rows<'a>(answer: &'a Value, table: &str) -> Option<&'a Vec<Value>> {
    let table = answer.get("data").unwrap_or(answer).get(table)?;
    table.get("values").unwrap_or(table).as_array()
}

/// A language tag (BCP 47) from what aiM18 writes: `en`, `zh-TW`, `zh-CN`, perhaps with an underscore or in one case.
fn language_tag(written: &str) -> Option<String> {
    let mut parts = written.split(['-', '_']);
    let language = parts.next()?.to_ascii_lowercase();
    let is_letters = |text: &str, lengths: &[usize]| {
        lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    if !is_letters(&language, &[2, 3]) {
        return None;
    }
    let mut tag = language;
    for part in parts {
        if is_letters(part, &[2]) {
            tag = format!("{tag}-{}", part.to_ascii_uppercase());
        } else if is_letters(part, &[4]) {
            let (first, rest) = part.split_at(1);
            tag = format!(
                "{tag}-{}{}",
                first.to_ascii_uppercase(),
                rest.to_ascii_lowercase()
            );
        } else {
            return None;
        }
    }
    Some(tag)
}

/// A business entity's number, which may stand in quotes. Zero is how aiM18 writes "none".
fn entity_number(value: &Value) -> Option<Number> {
    let number = match value {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (number != 0).then(|| number.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn languages_are_told_as_language_tags() {
        for (written, tag) in [
            ("en", Some("en")),
            ("zh-TW", Some("zh-TW")),
            ("zh_CN", Some("zh-CN")),
            ("ZH_tw", Some("zh-TW")),
            ("zh-hant-tw", Some("zh-Hant-TW")),
            ("English", None),
            ("1", None),
            ("", None),
            ("en-", None),
        ] {
            assert_eq!(language_tag(written).as_deref(), tag, "{written}");
        }
    }

    #[test]
    fn a_business_entity_is_a_number_or_nothing() {
        for (written, read) in [
            (json!(12), Some(12)),
            (json!("12"), Some(12)),
            (json!(0), None),
            (json!("HK"), None),
            (json!(null), None),
        ] {
            let number = entity_number(&written).and_then(|number| number.as_u64());
            assert_eq!(number, read, "{written}");
        }
    }

    #[test]
    fn groups_stand_in_a_field_or_in_a_table() {
        let found = |row: Value, answer: Value| Found { row, answer };
        let groups = |field: &str, table: Option<&str>| Groups {
            field: field.to_owned(),
            table: table.map(ToOwned::to_owned),
        };
        let in_field = found(
            json!({ "roles": "Sales; Finance,Sales;;", "list": ["A", "B", 3] }),
            json!({}),
        );
        assert_eq!(
            read_groups(&groups("roles", None), &in_field),
            ["Sales", "Finance"]
        );
        assert_eq!(read_groups(&groups("list", None), &in_field), ["A", "B"]);
        assert!(read_groups(&groups("none", None), &in_field).is_empty());
        let rows = json!([{ "code": "Sales" }, { "code": "Finance" }, { "id": 3 }]);
        for answer in [
            json!({ "data": { "user": [], "userrole": rows } }),
            json!({ "user": { "values": [] }, "userrole": { "values": rows } }),
        ] {
            let in_table = found(json!({}), answer);
            let read = read_groups(&groups("code", Some("userrole")), &in_table);
            assert_eq!(read, ["Sales", "Finance"]);
            assert!(read_groups(&groups("code", Some("other")), &in_table).is_empty());
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_a_tag_or_nothing(text in "[A-Za-z0-9é_-]{0,12}", number in any::<u64>()) {
            if let Some(tag) = language_tag(&text) {
                prop_assert_eq!(tag.to_ascii_lowercase(), text.to_ascii_lowercase().replace('_', "-"));
                prop_assert_eq!(language_tag(&tag), Some(tag.clone()));
            }
            for value in [json!(number), json!(number.to_string())] {
                prop_assert_eq!(entity_number(&value), (number != 0).then(|| number.into()));
            }
            prop_assert!(entity_number(&json!(text)).is_none_or(|number| number.as_u64() != Some(0)));
        }

        /// Whatever an answer holds, a row is that of the record that was asked for.
        #[test]
        fn a_row_is_of_the_record_that_was_asked_for(uids in prop::collection::vec(0u64..4, 0..4), uid in 1u64..4, quoted in any::<bool>()) {
            let rows: Vec<Value> = uids.iter().map(|uid| if quoted { json!({ "id": uid.to_string() }) } else { json!({ "id": uid }) }).collect();
            for answer in [json!({ "values": rows }), json!({ "data": { "m": rows } }), json!(rows), json!({ "m": { "values": rows } })] {
                prop_assert!(find(&answer, "m", uid).is_none_or(|row| is_row_of(row, uid)));
            }
        }
    }
}
