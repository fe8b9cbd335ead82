//! `portico audit`: searches what happened.

use std::net::IpAddr;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::{Value, json};

use crate::app;
use crate::clock::{Clock, UnixTime};
use crate::config::Config;
use crate::keys::Purpose;
use crate::model::account::Account;
use crate::model::audit::{AuditFilter, AuditRecord, Event};
use crate::model::throttle;
use crate::protocol::ids::{AccountId, AccountSubject, ClientId, FamilyId, SessionId, UpstreamId};
use crate::store::Store;

use super::{ConfigFile, database, output};

/// So many people of one user name are searched for, at the most: one an upstream is usual.
const MAX_OF_A_NAME: i64 = 100;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// Not before: a time ("2026-07-01T08:00:00Z", "2026-07-01"), or how long ago ("24h", "7d").
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before: written alike.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// What happened: the name of an event, such as `logged_in`.
    #[arg(long, value_name = "EVENT", value_parser = event)]
    event: Option<Event>,
    /// About the people with this user name, at any upstream, in any letter case; also where it was typed in vain.
    #[arg(long, value_name = "USERNAME", conflicts_with = "account")]
    user: Option<String>,
    /// About the account of this subject, as `portico account` tells it, or of this id, as the records do.
    #[arg(long, value_name = "SUBJECT", allow_hyphen_values = true)]
    account: Option<String>,
    /// With this client.
    #[arg(long, value_name = "CLIENT_ID", allow_hyphen_values = true)]
    client: Option<String>,
    /// At this upstream.
    #[arg(long, value_name = "UPSTREAM")]
    upstream: Option<String>,
    /// In this session.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    session: Option<String>,
    /// Of this token family.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    family: Option<String>,
    /// From this address; of a replay also where the tokens had been given to before.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    address: Option<IpAddr>,
    /// In the request of this number: that of an error page, of `x-request-id`, of the log's lines.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    request: Option<String>,
    /// How many at the most: the newest.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
    /// One JSON object a line, for machines.
    #[arg(long)]
    json: bool,
}

fn event(text: &str) -> Result<Event, String> {
    Event::parse(text).ok_or_else(|| {
        let known = Event::ALL.iter().map(|event| event.as_str());
        format!("the events are {}", known.collect::<Vec<_>>().join(", "))
    })
}

fn address(text: &str) -> Result<IpAddr, String> {
    let parsed: IpAddr = text
        .trim()
        .parse()
        .map_err(|_| "write one address, such as 192.0.2.7 or 2001:db8::7".to_owned())?;
    // As it is recorded.
    Ok(parsed.to_canonical())
}

/// A time, or how long before `now`.
fn time(text: &str, now: UnixTime) -> anyhow::Result<UnixTime> {
    if let Ok(ago) = humantime::parse_duration(text) {
        let ago = i64::try_from(ago.as_secs()).unwrap_or(i64::MAX);
        return Ok(now.saturating_sub(ago));
    }
    let midnight = format!("{text} 00:00:00");
    let parsed =
        humantime::parse_rfc3339_weak(text).or_else(|_| humantime::parse_rfc3339_weak(&midnight));
    let since_epoch = parsed
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let seconds = since_epoch.and_then(|time| i64::try_from(time.as_secs()).ok());
    seconds.ok_or_else(|| {
        anyhow!("{text} is no time; write 2026-07-01T08:00:00Z, 2026-07-01, 24h or 7d")
    })
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let config = options.file.load()?;
    let now = Clock::system().now();
    let moment = |text: &Option<String>| text.as_deref().map(|text| time(text, now)).transpose();
    let filter = AuditFilter {
        since: moment(&options.since)?,
        until: moment(&options.until)?,
        event: options.event.map(|event| event.as_str().to_owned()),
        account: None,
        client_id: options.client.as_deref().map(ClientId::new),
        upstream: options.upstream.as_deref().map(UpstreamId::new),
        session: options.session.as_deref().map(SessionId::new),
        family: options.family.as_deref().map(FamilyId::new),
        request: options.request.clone(),
        address: options.address.map(|address| address.to_string()),
        ..AuditFilter::default()
    };
    if !config.audit.database {
        output::note("audit.database is false: what happens now is kept in the log alone");
    }
    let store = database::open(&config).await?;
    let found = search(&config, &store, &options, &filter).await;
    store.close().await;
    for record in found? {
        output::line(if options.json {
            as_json(&record)
        } else {
            as_text(&record)
        });
    }
    Ok(())
}

/// The newest records that fit, the oldest of them first.
async fn search(
    config: &Config,
    store: &Store,
    options: &Options,
    filter: &AuditFilter,
) -> anyhow::Result<Vec<AuditRecord>> {
    let mut found = Vec::new();
    for who in people(config, store, options, filter).await? {
        found.extend(store.search_audit(&who, options.limit).await?);
    }
    found.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
    let limit = usize::try_from(options.limit).unwrap_or(usize::MAX);
    let more = found.len().saturating_sub(limit);
    Ok(found.split_off(more))
}

/// The filter for each that is asked about: the accounts that have the user name, and those who typed it in vain.
async fn people(
    config: &Config,
    store: &Store,
    options: &Options,
    filter: &AuditFilter,
) -> anyhow::Result<Vec<AuditFilter>> {
    let of_account = |account: Account| AuditFilter {
        account: Some(account.id),
        ..filter.clone()
    };
    if let Some(name) = &options.user {
        let known = store.find_accounts_by_username(name, MAX_OF_A_NAME).await?;
        let mut filters: Vec<AuditFilter> = known.into_iter().map(of_account).collect();
        let secrets = app::open_secrets(config)?;
        for upstream in &config.upstreams {
            let bucket = throttle::bucket(&upstream.id, name);
            filters.push(AuditFilter {
                name_hash: Some(secrets.hash(Purpose::TypedName, &bucket)?),
                ..filter.clone()
            });
        }
        return Ok(filters);
    }
    let Some(text) = &options.account else {
        return Ok(vec![filter.clone()]);
    };
    let found = match store
        .find_account_by_subject(&AccountSubject::new(text))
        .await?
    {
        Some(account) => Some(account),
        None => store.find_account(&AccountId::new(text)).await?,
    };
    let account = found.context("there is no such account")?;
    Ok(vec![of_account(account)])
}

/// A record as a line for machines.
fn as_json(record: &AuditRecord) -> String {
    let mut object = json!(record);
    if let Value::Object(object) = &mut object {
        object.insert("time".to_owned(), output::date(record.at).into());
    }
    object.to_string()
}

/// A record as a line for people.
pub(super) fn as_text(record: &AuditRecord) -> String {
    let mut words = vec![output::date(record.at), record.event.clone()];
    let mut tell = |name: &str, value: Option<&str>| {
        words.extend(value.map(|value| format!("{name}={}", output::printable(value))));
    };
    tell("account", record.account.as_ref().map(AccountId::as_str));
    tell("client", record.client_id.as_ref().map(ClientId::as_str));
    tell("upstream", record.upstream.as_ref().map(UpstreamId::as_str));
    tell("session", record.session.as_ref().map(SessionId::as_str));
    tell("family", record.family.as_ref().map(FamilyId::as_str));
    tell("address", record.address.as_deref());
    for (name, value) in &record.details {
        match value.as_str() {
            Some(text) => tell(name, Some(&format!("{text:?}"))),
            None => tell(name, Some(&value.to_string())),
        }
    }
    tell("request", record.request.as_deref());
    words.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_write_them() {
        let now = 1_782_900_000;
        assert_eq!(time("24h", now).unwrap(), now - 86_400);
        assert_eq!(time("2026-07-01", now).unwrap(), 1_782_864_000);
        assert_eq!(time("2026-07-01T08:00:00Z", now).unwrap(), 1_782_892_800);
        assert_eq!(time("2026-07-01 08:00:00", now).unwrap(), 1_782_892_800);
        for wrong in ["", "yesterday", "2026", "1969-01-01"] {
            assert!(time(wrong, now).is_err(), "{wrong}");
        }
    }
}
