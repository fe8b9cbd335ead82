//! A person's name and email, from the record that the administrator points at: aiM18 has no "who am I".
//! It is read with the person's own token, and only the row with the person's own number counts.

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::Aim18;
use super::check_message::complaint;
use super::settings::{LookupBy, ProfileLookup};
use super::token::Token;
use crate::protocol::claims::Profile;
use crate::protocol::error::chain;
use crate::upstream::LoginError;
use crate::upstream::outbound::{bearer, query};
use crate::upstream::settings::below;

/// More than any real name or address has; a longer one is left out rather than cut.
const MAX_CLAIM_BYTES: usize = 512;

/// Looks the profile up. A look-up that is set up wrongly costs the claims and not the login, and the log says why;
/// when aiM18 is away the login fails, since claims that come and go are worse for the apps than a second try.
pub(super) async fn look_up(
    aim18: &Aim18,
    lookup: &ProfileLookup,
    token: &Token,
    typed: Option<&str>,
) -> Result<Profile, LoginError> {
    match record(aim18, lookup, token, typed).await {
        Ok(record) => Ok(profile(aim18, lookup, &record)),
        Err(LoginError::Unavailable(source)) => Err(LoginError::Unavailable(source)),
        Err(error) => {
            let reason = chain(&error);
            tracing::warn!(module = lookup.module, reason, "no profile from aiM18");
            Ok(Profile::default())
        }
    }
}

/// The person's own record.
pub(super) async fn record(
    aim18: &Aim18,
    lookup: &ProfileLookup,
    token: &Token,
    typed: Option<&str>,
) -> Result<Value, LoginError> {
    let uid = token.uid.to_string();
    let entity = lookup.business_entity.map(|id| id.to_string());
    let module = lookup.module.as_str();
    let (path, mut pairs) = match lookup.by {
        LookupBy::Read => (
            vec!["entity", "read", module],
            vec![("menuCode", module), ("id", &uid)],
        ),
        LookupBy::RootRead => (
            vec!["root", "api", "read", module],
            vec![("menuCode", module), ("id", &uid)],
        ),
        LookupBy::Search => (vec!["search", "search"], vec![("stSearch", module)]),
    };
    if lookup.by == LookupBy::Search {
        pairs.extend(entity.as_deref().map(|id| ("beId", id)));
        // Where the login name is not known the search gives all it will, and the number picks the row.
        pairs.extend(typed.map(|name| ("quickSearchStr", name)));
    }
    let mut url = below(
        &aim18.settings.base_url,
        ["jsf", "rfws"].into_iter().chain(path),
    );
    url.set_query(Some(&query(&pairs)));
    let answer = aim18
        .http
        .get_again(url, headers(aim18, token)?, aim18.settings.timeout)
        .await?;
    let secrets = [token.access.expose()];
    if answer.is_outage() && complaint(&answer, &secrets).is_none() {
        return Err(LoginError::Unavailable(answer.describe().into()));
    }
    let found = answer
        .status
        .is_success()
        .then(|| answer.json::<Value>())
        .flatten()
        .and_then(|body| find(&body, token.uid, 0).cloned());
    found.ok_or_else(|| {
        let why = complaint(&answer, &secrets);
        let why = why.as_deref().unwrap_or("no row with the user's number");
        LoginError::Protocol(format!("{why} ({})", answer.describe()).into())
    })
}

/// Both are asked for by every service; the second has an underscore, which some proxies drop unless told not to.
fn headers(aim18: &Aim18, token: &Token) -> Result<HeaderMap, LoginError> {
    let mut headers = bearer(token.access.expose()).map_err(LoginError::Protocol)?;
    let client_id = HeaderValue::from_str(&aim18.settings.client_id)
        .map_err(|error| LoginError::Protocol(error.into()))?;
    headers.insert("client_id", client_id);
    Ok(headers)
}

/// The row whose id is `uid`, in whichever of the shapes: `data.<table>[]`, `<table>.values[]`, `values[]`.
fn find(value: &Value, uid: u64, depth: u8) -> Option<&Value> {
    match value {
        Value::Array(rows) => rows
            .iter()
            .find(|row| is_row_of(row, uid))
            .or_else(|| rows.iter().find_map(|row| find(row, uid, depth + 1))),
        // The rows are never deeper, and a record may hold other people's numbers further down.
        Value::Object(object) if depth < 3 => object
            .values()
            .find_map(|inner| find(inner, uid, depth + 1)),
        _ => None,
    }
}

fn is_row_of(row: &Value, uid: u64) -> bool {
    let id = row.get("id").or_else(|| row.get("st_id"));
    id.is_some_and(|id| id.as_u64() == Some(uid) || id.as_str() == Some(&uid.to_string()))
}

fn profile(aim18: &Aim18, lookup: &ProfileLookup, record: &Value) -> Profile {
    let fields = &lookup.fields;
    let claim = |field: &Option<String>| {
        let text = record.get(field.as_ref()?)?.as_str()?.trim();
        let fine = !text.is_empty()
            && text.len() <= MAX_CLAIM_BYTES
            && !text.chars().any(char::is_control);
        fine.then(|| text.to_owned())
    };
    let email = claim(&fields.email).filter(|email| email.contains('@'));
    Profile {
        name: claim(&fields.name),
        given_name: claim(&fields.given_name),
        family_name: claim(&fields.family_name),
        preferred_username: claim(&fields.preferred_username),
        email_verified: email.as_ref().and(aim18.settings.email_verified),
        email,
        ..Profile::default()
    }
}
