//! `portico session`: looks at the sessions of browsers, ends them, and shows what clients were told of it.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::config::Config;
use crate::flow::accounts::{Accounts, By};
use crate::model::account::Account;
use crate::model::family::TokenFamily;
use crate::model::logout_notice::{LogoutNotice, LogoutOutage, NoticeState};
use crate::model::session::Session;
use crate::protocol::ids::{AccountId, AccountSubject, ClientId, SessionId, UpstreamId};
use crate::store::{ListOf, NoticeFilter, Store, Whose};
use crate::telemetry::Audit;

use super::account::find_by_username;
use super::{ConfigFile, database, output};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The live sessions, the last used first; or, with `--offline`, the apps that act without one.
    List {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        of: Of,
        /// Instead of sessions the apps that may go on without one, for they have `offline_access`.
        #[arg(long)]
        offline: bool,
        /// How many at the most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
        /// A line of JSON for each.
        #[arg(long)]
        json: bool,
    },
    /// End sessions and their tokens, and tell the apps that want to hear of it; with `--user`, `--client`, `--upstream` and `--all`
    /// tokens with `offline_access`, too.
    End {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        which: Which,
    },
    /// What apps were told of logouts by their `backchannel_logout_uri`, and could not be told; the newest first.
    Notices {
        #[command(flatten)]
        file: ConfigFile,
        /// Those to one client.
        #[arg(long, value_name = "CLIENT_ID", allow_hyphen_values = true)]
        client: Option<String>,
        /// Those about one person: a subject, or a user name that only one has.
        #[arg(long, value_name = "WHO", allow_hyphen_values = true)]
        user: Option<String>,
        /// Those that stand there.
        #[arg(long)]
        state: Option<State>,
        /// How many at the most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
        /// A line of JSON for each.
        #[arg(long)]
        json: bool,
    },
}

/// Whose sessions are listed; without any of these everybody's.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Of {
    /// Those of one person: a subject, or a user name that only one has.
    #[arg(long, value_name = "WHO", allow_hyphen_values = true)]
    user: Option<String>,
    /// Those that this client was used in, as far as tokens of it are left, or it wants to hear of logouts.
    #[arg(long, value_name = "CLIENT_ID", allow_hyphen_values = true)]
    client: Option<String>,
    /// Those that began with a login at this upstream.
    #[arg(long)]
    upstream: Option<String>,
}

/// Where a notice stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum State {
    /// It is tried again.
    Waiting,
    /// The app has heard it.
    Told,
    /// It was given up.
    GivenUp,
}

impl From<State> for NoticeState {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Told => Self::Told,
            State::GivenUp => Self::GivenUp,
        }
    }
}

/// What is to end.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// One session, as `list` names it; what has `offline_access` goes on.
    #[arg(long, value_name = "SESSION", allow_hyphen_values = true)]
    session: Option<String>,
    /// Everything of one person, everywhere: a subject, or a user name that only one has.
    #[arg(long, value_name = "WHO", allow_hyphen_values = true)]
    user: Option<String>,
    /// Every token of one client; the sessions of browsers go on.
    #[arg(long, value_name = "CLIENT_ID", allow_hyphen_values = true)]
    client: Option<String>,
    /// Everything that began with a login at this upstream.
    #[arg(long)]
    upstream: Option<String>,
    /// Everything of everybody.
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let (Command::List { file, .. } | Command::End { file, .. } | Command::Notices { file, .. }) =
        &command;
    let config = file.load()?;
    database::recorded(&config, async |store, audit| {
        execute(&command, &config, store, audit).await
    })
    .await
}

async fn execute(
    command: &Command,
    config: &Config,
    store: &Store,
    audit: &Audit,
) -> anyhow::Result<()> {
    let clock = Clock::system();
    match command {
        Command::List {
            of,
            offline,
            limit,
            json,
            ..
        } => list(config, store, of, *offline, *limit, *json).await,
        Command::End { which, .. } => {
            let accounts = Accounts {
                store: store.clone(),
                clock,
                by: By::Administrator,
                audit: audit.clone(),
            };
            end(config, &accounts, which).await
        }
        Command::Notices {
            client,
            user,
            state,
            limit,
            json,
            ..
        } => {
            let client = client.as_deref().map(ClientId::new);
            let account = match user {
                Some(user) => Some(find_account(store, user).await?),
                None => None,
            };
            let filter = NoticeFilter {
                client: client.as_ref(),
                account: account.as_ref().map(|account| &account.id),
                state: state.map(NoticeState::from),
            };
            notices(store, filter, *limit, *json).await
        }
    }
}

async fn find_account(store: &Store, who: &str) -> anyhow::Result<Account> {
    let subject = AccountSubject::new(who);
    if let Some(account) = store.find_account_by_subject(&subject).await? {
        return Ok(account);
    }
    let instead = "`portico account list --name` shows their subjects";
    find_by_username(store, who, instead)
        .await?
        .with_context(|| format!("there is no account with the subject or the user name {who}"))
}

/// The upstream of that name, though it may be gone from the configuration: then somebody wants its people out.
async fn find_upstream(config: &Config, store: &Store, name: &str) -> anyhow::Result<UpstreamId> {
    let configured: BTreeSet<UpstreamId> = config
        .upstreams
        .iter()
        .map(|each| each.id.clone())
        .collect();
    let wanted = UpstreamId::new(name);
    if configured.contains(&wanted) {
        return Ok(wanted);
    }
    let mut others = store.list_named_upstreams().await?;
    others.retain(|other| !configured.contains(other));
    if others.contains(&wanted) {
        return Ok(wanted);
    }
    let names = |ids: Vec<String>| ids.join(", ");
    let configured = names(configured.iter().map(ToString::to_string).collect());
    if others.is_empty() {
        bail!("there is no upstream {name}; the config has {configured}");
    }
    let others = names(others.iter().map(ToString::to_string).collect());
    bail!(
        "there is no upstream {name}; the config has {configured}, and people have logged in at {others}"
    )
}

async fn find_client(store: &Store, id: &str) -> anyhow::Result<ClientId> {
    let id = ClientId::new(id);
    let known = store.read_client(&id).await?;
    ensure!(known.is_some(), "there is no client {id}");
    Ok(id)
}

async fn list(
    config: &Config,
    store: &Store,
    of: &Of,
    offline: bool,
    limit: i64,
    json: bool,
) -> anyhow::Result<()> {
    let now = Clock::system().now();
    let (account, client, upstream);
    let of = match of {
        Of {
            user: Some(user), ..
        } => {
            account = find_account(store, user).await?;
            ListOf::Account(&account.id)
        }
        Of {
            client: Some(id), ..
        } => {
            client = find_client(store, id).await?;
            ListOf::Client(&client)
        }
        Of {
            upstream: Some(id), ..
        } => {
            upstream = find_upstream(config, store, id).await?;
            ListOf::Upstream(&upstream)
        }
        _ => ListOf::All,
    };
    let lifetimes = config.session_lifetimes();
    let idle = config.lifetimes.refresh_idle;
    if offline {
        let found = store.list_offline_families(of, idle, now, limit).await?;
        let is_live = |session: &Session| session.is_live(now, lifetimes);
        return list_offline(store, &found, is_live, json).await;
    }
    let found = store.list_live_sessions(of, lifetimes, now, limit).await?;
    list_sessions(store, &found, json).await?;
    let others = store.list_offline_families(of, idle, now, 1).await?;
    if !others.is_empty() {
        output::note("apps with offline_access go on without a session, too: --offline lists them");
    }
    Ok(())
}

async fn owner(store: &Store, id: &AccountId) -> anyhow::Result<Account> {
    let account = store.find_account(id).await?;
    account.with_context(|| format!("the account {id} is named and not there"))
}

/// The apps that act for people whether these are there or not.
async fn list_offline(
    store: &Store,
    families: &[TokenFamily],
    is_live: impl Fn(&Session) -> bool,
    json: bool,
) -> anyhow::Result<()> {
    let heads = [
        "CLIENT",
        "SUBJECT",
        "NAME",
        "UPSTREAM",
        "SESSION",
        "BEGUN",
        "LAST USED",
        "ENDS",
    ];
    let mut list = output::List::new(heads, json);
    for family in families {
        let account = owner(store, &family.account_id).await?;
        let session = store
            .find_session(&family.authentication.session_id)
            .await?;
        let session = session.filter(&is_live).map(|session| session.id);
        let told = || {
            json!({
                "client_id": family.client_id.as_str(),
                "family": family.id.as_str(),
                "subject": account.subject.as_str(),
                "name": account.profile.display_name(),
                "upstream": family.authentication.upstream.as_str(),
                "session": session.as_ref().map(SessionId::as_str),
                "scope": family.scope.to_string(),
                "address": family.recipient.address,
                "created_at": family.created_at,
                "rotated_at": family.rotated_at,
                "expires_at": family.expires_at,
            })
        };
        let row = || {
            let name = account.profile.display_name().unwrap_or_default();
            let session = session.as_ref().map(ToString::to_string);
            [
                family.client_id.to_string(),
                account.subject.to_string(),
                name.to_owned(),
                family.authentication.upstream.to_string(),
                session.unwrap_or_else(|| "has ended".to_owned()),
                output::date(family.created_at),
                output::date(family.rotated_at),
                output::date(family.expires_at),
            ]
        };
        list.add(told, row);
    }
    list.end();
    Ok(())
}

async fn list_sessions(store: &Store, sessions: &[Session], json: bool) -> anyhow::Result<()> {
    let heads = [
        "SESSION",
        "SUBJECT",
        "NAME",
        "UPSTREAM",
        "DEVICE",
        "ADDRESS",
        "BEGUN",
        "LAST USED",
        "ENDS",
    ];
    let mut list = output::List::new(heads, json);
    for session in sessions {
        let account = owner(store, &session.account_id).await?;
        let row = || {
            let name = account.profile.display_name().unwrap_or_default();
            let device = session
                .device
                .in_words(|browser, system| format!("{browser} on {system}"));
            [
                session.id.to_string(),
                account.subject.to_string(),
                name.to_owned(),
                session.upstream.to_string(),
                device.unwrap_or_default(),
                session.device.address.clone().unwrap_or_default(),
                output::date(session.began_at),
                output::date(session.last_seen_at),
                output::date(session.expires_at),
            ]
        };
        list.add(|| as_json(session, &account), row);
    }
    list.end();
    Ok(())
}

/// A session for machines; times as Unix seconds.
fn as_json(session: &Session, account: &Account) -> Value {
    json!({
        "session": session.id.as_str(),
        "subject": account.subject.as_str(),
        "name": account.profile.display_name(),
        "upstream": session.upstream.as_str(),
        "browser": session.device.browser,
        "system": session.device.system,
        "address": session.device.address,
        "persistent": session.persistent,
        "began_at": session.began_at,
        "auth_time": session.auth_time,
        "last_seen_at": session.last_seen_at,
        "expires_at": session.expires_at,
    })
}

async fn end(config: &Config, accounts: &Accounts, which: &Which) -> anyhow::Result<()> {
    let Which {
        session,
        user,
        client,
        upstream,
        all,
    } = which;
    if let Some(id) = session {
        let id = SessionId::new(id);
        let found = accounts.store.find_session(&id).await?;
        let found = found.with_context(|| format!("there is no session {id}"))?;
        let ended = accounts.end_session(&found.account_id, &id).await?;
        ensure!(ended, "the session {id} has ended already");
        output::line(format!("{id} has ended"));
    } else if let Some(who) = user {
        let account = find_account(&accounts.store, who).await?;
        let ended = accounts.end_all(&account.id).await?.len();
        output::line(format!(
            "{} is signed out everywhere: {ended} sessions, and all tokens",
            account.subject
        ));
    } else if let Some(client) = client {
        let client = find_client(&accounts.store, client).await?;
        let ended = accounts.end_everything_of_client(&client).await?.families;
        output::line(format!("{client} has lost the tokens of {ended} logins"));
    } else if let Some(id) = upstream {
        let id = find_upstream(config, &accounts.store, id).await?;
        let ended = accounts.end_everything_of(Whose::Upstream(&id)).await?;
        let (sessions, families) = (ended.sessions, ended.families);
        output::line(format!(
            "{id}: {sessions} sessions and {families} other logins have ended"
        ));
    } else if *all {
        let ended = accounts.end_everything_of(Whose::All).await?;
        let (sessions, families) = (ended.sessions, ended.families);
        output::line(format!(
            "{sessions} sessions and {families} other logins have ended"
        ));
    } else {
        bail!("say which: --session, --user, --client, --upstream or --all");
    }
    Ok(())
}

async fn notices(
    store: &Store,
    filter: NoticeFilter<'_>,
    limit: i64,
    json: bool,
) -> anyhow::Result<()> {
    let found = store.search_logout_notices(filter, limit).await?;
    let outages = store.list_logout_outages().await?;
    let heads = [
        "CLIENT",
        "STATE",
        "SINCE",
        "ATTEMPTS",
        "TOLD OR NEXT",
        "SUBJECT",
        "SESSION",
        "TROUBLE",
    ];
    let mut list = output::List::new(heads, json);
    for notice in &found {
        let account = owner(store, &notice.account_id).await?;
        // What waits for an app that does not answer says so, tried or not.
        let outage = outages.get(&notice.client_id);
        let outage = outage.filter(|_| notice.state() == NoticeState::Waiting);
        let row = || {
            let waits = outage.map(|outage| {
                let since = output::date(outage.since);
                format!("the app has not answered since {since}; one notice at a time is tried")
            });
            let at = notice.told_at.or_else(|| next_at(notice, outage));
            let session = notice.session_id.as_ref().map(ToString::to_string);
            [
                notice.client_id.to_string(),
                notice.state().as_str().to_owned(),
                output::date(notice.created_at),
                notice.attempts.to_string(),
                at.map(output::date).unwrap_or_default(),
                account.subject.to_string(),
                session.unwrap_or_else(|| "every one of the person".to_owned()),
                notice.trouble.clone().or(waits).unwrap_or_default(),
            ]
        };
        list.add(|| notice_as_json(notice, &account, outage), row);
    }
    list.end();
    Ok(())
}

/// When it is tried next: not before its app is.
fn next_at(notice: &LogoutNotice, outage: Option<&LogoutOutage>) -> Option<i64> {
    notice.next_at.max(outage.map(|outage| outage.next_at))
}

/// A notice for machines; times as Unix seconds, the state as `--state` takes it.
fn notice_as_json(
    notice: &LogoutNotice,
    account: &Account,
    outage: Option<&LogoutOutage>,
) -> Value {
    json!({
        "client_id": notice.client_id.as_str(),
        "state": notice.state().as_str().replace(' ', "-"),
        "subject": account.subject.as_str(),
        "session": notice.session_id.as_ref().map(SessionId::as_str),
        "created_at": notice.created_at,
        "attempts": notice.attempts,
        "next_at": next_at(notice, outage),
        "told_at": notice.told_at,
        "trouble": notice.trouble,
        "unanswered_since": outage.map(|outage| outage.since),
    })
}
