//! `portico explain`: the story behind the number of an error page, in sentences.

mod advice;

use std::collections::BTreeSet;

use anyhow::bail;
use clap::Args;

use crate::config::Config;
use crate::http::error::Trouble;
use crate::model::audit::{AuditFilter, AuditRecord, Event};
use crate::store::Store;

use super::{ConfigFile, audit, database, output};

/// The most records of one story.
const MOST: i64 = 200;
/// How long before and after it what happened in the session is part of the story.
const AROUND: i64 = 60 * 60;
const INDENT: &str = "  ";

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// The number: at the foot of the error page, and the header `x-request-id` of every answer.
    #[arg(value_name = "ERROR-ID", allow_hyphen_values = true)]
    id: String,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let config = options.file.load()?;
    let store = database::open(&config).await?;
    let told = explain(&config, &store, options.id.trim()).await;
    store.close().await;
    told
}

async fn explain(config: &Config, store: &Store, id: &str) -> anyhow::Result<()> {
    let mut of_request = search(store, of_request(id)).await?;
    let Some(main) = main_record(&of_request).cloned() else {
        bail!("{}", unknown(config, id));
    };
    tell_title(id, &main);
    tell_who(store, &main).await?;
    tell_seen(&main);
    tell_cause(&main);
    section("What to do", &advice::about(&main));
    let past = what_ends_tokens(store, &main, &of_request).await?;
    let known = of_request.iter().chain(&past);
    for replay in known.filter(|record| is_replay(record)) {
        section("Beware", &replayed(replay));
    }
    let others = around(store, &main, &of_request).await?;
    let others = in_order([past, others].concat());
    let known = [of_request.as_slice(), &others].concat();
    let outages = outages(store, &main, &known).await?;
    of_request.retain(|record| record.id != main.id);
    tell_records("Also in this request", &of_request);
    tell_records("Before and after, in the same browser or session", &others);
    if others.len() >= usize::try_from(MOST)? {
        output::line(format!(
            "{INDENT}There may be more: `portico audit` finds all of it."
        ));
    }
    tell_records("At the upstream, about that time", &outages);
    Ok(())
}

fn of_request(id: &str) -> AuditFilter {
    AuditFilter {
        request: Some(id.to_owned()),
        ..AuditFilter::default()
    }
}

/// The records that fit, the oldest first.
async fn search(store: &Store, filter: AuditFilter) -> anyhow::Result<Vec<AuditRecord>> {
    let mut found = store.search_audit(&filter, MOST).await?;
    found.reverse();
    Ok(found)
}

/// What the person was told; where they were told no error, what happened last.
fn main_record(records: &[AuditRecord]) -> Option<&AuditRecord> {
    let is_error = |record: &&AuditRecord| Event::parse(&record.event).is_some_and(Event::is_error);
    let errors = records.iter().rfind(is_error);
    errors.or_else(|| records.last())
}

/// What else happened in the flow, to the tokens, and in the session about that time.
async fn around(
    store: &Store,
    main: &AuditRecord,
    known: &[AuditRecord],
) -> anyhow::Result<Vec<AuditRecord>> {
    let near = AuditFilter {
        since: Some(main.at - AROUND),
        until: Some(main.at + AROUND),
        ..AuditFilter::default()
    };
    let mut filters = Vec::new();
    if let Some(flow) = &main.flow {
        filters.push(AuditFilter {
            flow: Some(flow.clone()),
            ..AuditFilter::default()
        });
    }
    let sessions: BTreeSet<_> = known
        .iter()
        .filter_map(|record| record.session.clone())
        .collect();
    for session in sessions {
        filters.push(AuditFilter {
            session: Some(session),
            ..near.clone()
        });
    }
    // However long ago it was, as far as there is room.
    if let Some(family) = &main.family {
        filters.push(AuditFilter {
            family: Some(family.clone()),
            ..AuditFilter::default()
        });
    }
    all_of(store, filters, known).await
}

/// What has ended the tokens that it is about, however long ago and however often their app has tried since.
async fn what_ends_tokens(
    store: &Store,
    main: &AuditRecord,
    known: &[AuditRecord],
) -> anyhow::Result<Vec<AuditRecord>> {
    let Some(family) = &main.family else {
        return Ok(Vec::new());
    };
    let ends = [
        Event::CodeReplayed,
        Event::RefreshTokenReplayed,
        Event::DeviceCodeReplayed,
        Event::FamilyCapped,
        Event::TokenRevoked,
    ];
    let filters = ends.map(|event| AuditFilter {
        family: Some(family.clone()),
        event: Some(event.as_str().to_owned()),
        ..AuditFilter::default()
    });
    all_of(store, filters, known).await
}

/// In the order in which it happened, each once.
fn in_order(mut all: Vec<AuditRecord>) -> Vec<AuditRecord> {
    all.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
    all.dedup_by(|one, other| one.id == other.id);
    all
}

/// Whether the upstream was away about that time.
async fn outages(
    store: &Store,
    main: &AuditRecord,
    known: &[AuditRecord],
) -> anyhow::Result<Vec<AuditRecord>> {
    let Some(upstream) = &main.upstream else {
        return Ok(Vec::new());
    };
    let filters = [Event::UpstreamDown, Event::UpstreamUp].map(|event| AuditFilter {
        since: Some(main.at - AROUND),
        until: Some(main.at + AROUND),
        upstream: Some(upstream.clone()),
        event: Some(event.as_str().to_owned()),
        ..AuditFilter::default()
    });
    all_of(store, filters, known).await
}

/// What any of the filters finds, but for what is known, in the order in which it happened.
async fn all_of(
    store: &Store,
    filters: impl IntoIterator<Item = AuditFilter> + Send,
    known: &[AuditRecord],
) -> anyhow::Result<Vec<AuditRecord>> {
    let mut seen: BTreeSet<String> = known.iter().map(|record| record.id.clone()).collect();
    let mut found = Vec::new();
    for filter in filters.into_iter().collect::<Vec<_>>() {
        let more = search(store, filter).await?.into_iter();
        found.extend(more.filter(|record| seen.insert(record.id.clone())));
    }
    Ok(in_order(found))
}

fn tell_title(id: &str, main: &AuditRecord) {
    let text = match Event::parse(&main.event) {
        Some(event) => event.text(),
        None => &main.event,
    };
    let endpoint = match detail(main, "endpoint") {
        Some(endpoint) => format!(", by {endpoint}"),
        None => String::new(),
    };
    output::line(format!(
        "{id}: {text} ({}){endpoint}",
        output::date(main.at)
    ));
}

async fn tell_who(store: &Store, main: &AuditRecord) -> anyhow::Result<()> {
    let mut who = Vec::new();
    if let Some(client) = &main.client_id {
        who.push(format!("the client {client}"));
    }
    if let Some(upstream) = &main.upstream {
        who.push(format!("the upstream {upstream}"));
    }
    if let Some(id) = &main.account {
        let account = store.find_account(id).await?;
        who.push(account.map_or_else(
            || format!("the account {id}"),
            |account| {
                let name = account.profile.display_name().unwrap_or("no name");
                format!("the account {} ({name})", account.subject)
            },
        ));
    }
    if let Some(session) = &main.session {
        who.push(format!("the session {session}"));
    }
    if let Some(family) = &main.family {
        who.push(format!("the tokens {family}"));
    }
    let whom = match who.as_slice() {
        [] => "Neither client nor person was known yet.".to_owned(),
        known => format!("It concerns {}.", known.join(", ")),
    };
    let from = match (&main.address, &main.user_agent) {
        (Some(address), Some(browser)) => {
            format!(" The request came from {address}, with {browser}.")
        }
        (Some(address), None) => format!(" The request came from {address}."),
        _ => String::new(),
    };
    section("Who", &format!("{whom}{from}"));
    Ok(())
}

fn tell_seen(main: &AuditRecord) {
    let trouble = detail(main, "trouble").and_then(Trouble::parse);
    let code = detail(main, "code").unwrap_or_default();
    let seen = match (detail(main, "seen"), trouble) {
        (Some("page"), Some(trouble)) => {
            let (happened, what_to_do) = trouble.told();
            format!("The person read: \"{happened} {what_to_do}\"")
        }
        (Some("redirect"), _) => {
            format!("The browser went back to the app, which was told the error {code}.")
        }
        (Some("json"), _) => format!("The app was told the error {code}."),
        _ => return,
    };
    section("Seen", &seen);
}

fn tell_cause(main: &AuditRecord) {
    let told = ["description", "reason", "lacking", "source"];
    let causes: Vec<&str> = told.iter().filter_map(|name| detail(main, name)).collect();
    if !causes.is_empty() {
        section("Cause", &causes.join(": "));
    }
}

fn is_replay(record: &AuditRecord) -> bool {
    let replays = [
        Event::CodeReplayed,
        Event::RefreshTokenReplayed,
        Event::DeviceCodeReplayed,
    ];
    replays.iter().any(|event| record.event == event.as_str())
}

fn replayed(record: &AuditRecord) -> String {
    let (last, now) = (
        detail(record, "last_address").unwrap_or("an address that is not known any more"),
        record.address.as_deref().unwrap_or("an unknown address"),
    );
    format!(
        "Something that is good once was used again. Tokens of that login were given to {last} before; now it came from {now}. \
         One of the two may be a thief, so all tokens of that login at this client were revoked; the person logs in anew. If both \
         are the app's own servers, or a browser with two tabs, the app does not keep what it is given."
    )
}

fn tell_records(title: &str, records: &[AuditRecord]) {
    if records.is_empty() {
        return;
    }
    output::line("");
    output::line(title);
    for record in records {
        output::line(format!("{INDENT}{}", audit::as_text(record)));
    }
}

fn section(title: &str, text: &str) {
    output::line("");
    output::line(title);
    output::line(format!("{INDENT}{}", output::printable(text)));
}

fn detail<'a>(record: &'a AuditRecord, name: &str) -> Option<&'a str> {
    record.details.get(name)?.as_str()
}

/// What to say of a number that nothing is recorded of.
fn unknown(config: &Config, id: &str) -> String {
    let why = if config.audit.database {
        "It may be mistyped (letters, digits, - and _; capitals count), older than audit.keep, one of more errors than are recorded in a \
         minute, or of a request in which nothing went wrong"
    } else {
        "audit.database is false, so that what happens stands in the log alone"
    };
    format!(
        "nothing is recorded of {id}. {why}. The log has each request under this number: search it for {id}, on every node"
    )
}
