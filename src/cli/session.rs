//! `portico session`: looks at the sessions of browsers, ends them, and shows what clients were told of it.

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::clock::Clock;
use crate::config::Config;
use crate::flow::accounts::{Accounts, By};
use crate::model::account::Account;
use crate::model::logout_notice::NoticeState;
use crate::model::session::Session;
use crate::protocol::ids::{AccountSubject, ClientId, SessionId};
use crate::store::{Store, Whose};
use crate::telemetry::Audit;

use super::account::{find_by_username, known_upstream};
use super::{ConfigFile, database, output};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The live sessions, the last used first.
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// Those of one person: a subject, or a user name that only one has.
        #[arg(
            long,
            value_name = "WHO",
            allow_hyphen_values = true,
            conflicts_with = "upstream"
        )]
        user: Option<String>,
        /// Those that began with a login at this upstream.
        #[arg(long)]
        upstream: Option<String>,
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
        /// How many at the most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
    },
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
            user,
            upstream,
            limit,
            json,
            ..
        } => {
            let now = clock.now();
            let found = match (user, upstream) {
                (Some(user), _) => {
                    let account = find_account(store, user).await?;
                    store.list_sessions(&account.id, now).await?
                }
                (None, Some(upstream)) => {
                    let upstream = known_upstream(config, upstream)?;
                    let whose = Whose::Upstream(&upstream);
                    store.list_all_sessions(whose, now, *limit).await?
                }
                (None, None) => store.list_all_sessions(Whose::All, now, *limit).await?,
            };
            let live = |session: &&Session| session.is_live(now, config.session_lifetimes());
            let live: Vec<&Session> = found.iter().filter(live).collect();
            list(store, &live, *json).await
        }
        Command::End { which, .. } => {
            let accounts = Accounts {
                store: store.clone(),
                clock,
                by: By::Administrator,
                audit: audit.clone(),
            };
            end(config, &accounts, which).await
        }
        Command::Notices { client, limit, .. } => {
            let client = client.as_deref().map(ClientId::new);
            notices(store, client.as_ref(), *limit).await
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

async fn list(store: &Store, sessions: &[&Session], json: bool) -> anyhow::Result<()> {
    let mut rows = Vec::with_capacity(sessions.len());
    for session in sessions {
        let account = store.find_account(&session.account_id).await?;
        let account = account.context("a session names an account that is not there")?;
        if json {
            output::line(as_json(session, &account));
            continue;
        }
        rows.push([
            session.id.to_string(),
            account.subject.to_string(),
            account
                .profile
                .display_name()
                .unwrap_or_default()
                .to_owned(),
            session.upstream.to_string(),
            session
                .device
                .in_words(|browser, system| format!("{browser} on {system}"))
                .unwrap_or_default(),
            session.device.address.clone().unwrap_or_default(),
            output::date(session.auth_time),
            output::date(session.last_seen_at),
            output::date(session.expires_at),
        ]);
    }
    if json {
        return Ok(());
    }
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
    output::table(heads, &rows);
    Ok(())
}

/// A session as a line for machines; times as Unix seconds.
fn as_json(session: &Session, account: &Account) -> String {
    json!({
        "session": session.id.as_str(),
        "subject": account.subject.as_str(),
        "name": account.profile.display_name(),
        "upstream": session.upstream.as_str(),
        "browser": session.device.browser,
        "system": session.device.system,
        "address": session.device.address,
        "persistent": session.persistent,
        "auth_time": session.auth_time,
        "last_seen_at": session.last_seen_at,
        "expires_at": session.expires_at,
    })
    .to_string()
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
        let client = ClientId::new(client);
        let known = accounts.store.read_client(&client).await?;
        ensure!(known.is_some(), "there is no client {client}");
        let ended = accounts.end_everything_of_client(&client).await?.families;
        output::line(format!("{client} has lost the tokens of {ended} logins"));
    } else if let Some(id) = upstream {
        let id = known_upstream(config, id)?;
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

async fn notices(store: &Store, client: Option<&ClientId>, limit: i64) -> anyhow::Result<()> {
    let found = store.list_logout_notices(client, limit).await?;
    let outages = store.list_logout_outages().await?;
    let rows: Vec<_> = found
        .iter()
        .map(|notice| {
            let session = notice.session_id.as_ref().map(ToString::to_string);
            // What waits for an app that does not answer says so, tried or not.
            let outage = outages.get(&notice.client_id);
            let outage = outage.filter(|_| notice.state() == NoticeState::Waiting);
            let turn = outage.map(|outage| outage.next_at);
            let waits = outage.map(|outage| {
                let since = output::date(outage.since);
                format!("the app has not answered since {since}; one notice at a time is tried")
            });
            [
                notice.client_id.to_string(),
                notice.state().as_str().to_owned(),
                output::date(notice.created_at),
                notice.attempts.to_string(),
                notice
                    .told_at
                    .or(notice.next_at.max(turn))
                    .map(output::date)
                    .unwrap_or_default(),
                session.unwrap_or_else(|| "every one of the person".to_owned()),
                notice.trouble.clone().or(waits).unwrap_or_default(),
            ]
        })
        .collect();
    let heads = [
        "CLIENT",
        "STATE",
        "SINCE",
        "ATTEMPTS",
        "TOLD OR NEXT",
        "SESSION",
        "TROUBLE",
    ];
    output::table(heads, &rows);
    Ok(())
}
