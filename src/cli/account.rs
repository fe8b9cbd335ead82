//! `portico account`: looks at people's accounts, links logins, closes accounts.

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::clock::{Clock, UnixTime};
use crate::config::Config;
use crate::flow::accounts::{Accounts, By};
use crate::model::account::{Account, Login, UpstreamSubject};
use crate::model::consent::Consent;
use crate::model::family::TokenFamily;
use crate::model::session::Session;
use crate::protocol::ids::{AccountSubject, UpstreamId};
use crate::store::{LeadsTo, Linked, NewLink, Store, Unlinked};
use crate::telemetry::Audit;

use super::{ConfigFile, database, output};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The accounts, the newest first.
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// Those with this user name alone, at any upstream, in any letter case.
        #[arg(long, value_name = "USERNAME")]
        name: Option<String>,
        /// How many at the most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
        /// One JSON object a line, for machines; times as Unix seconds.
        #[arg(long)]
        json: bool,
    },
    /// One account: its logins, its sessions, the apps that may act for it.
    Show {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        which: Which,
        /// A JSON object, for machines; times as Unix seconds.
        #[arg(long)]
        json: bool,
    },
    /// Make a login lead to an account. If the person has logged in with it before, the account that it led to is closed
    /// for good, and its other logins come along.
    Link {
        #[command(flatten)]
        file: ConfigFile,
        /// The subject of the account that is kept.
        #[arg(long, value_name = "SUBJECT", value_parser = subject, allow_hyphen_values = true)]
        into: AccountSubject,
        #[command(flatten)]
        login: LoginName,
        /// Allow two logins of one upstream: where iMIS has merged two records, say.
        #[arg(long)]
        same_upstream: bool,
    },
    /// Make a login lead to a new account of its own. What was signed in with it is signed out.
    Unlink {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        login: LoginName,
    },
    /// Close an account: its sessions end, its tokens are revoked, and nobody logs in to it.
    Disable {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        which: Which,
    },
    /// Open an account that was closed.
    Enable {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        which: Which,
    },
}

/// A login, as the upstream names the person.
#[derive(Debug, Args)]
pub(super) struct LoginName {
    /// The upstream's id in the config.
    #[arg(long, value_name = "UPSTREAM")]
    upstream: String,
    /// The upstream's stable id for the person: as `portico account show` tells it, never a user name.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    id: String,
}

/// An account, by its subject, by a login, or by a user name that only one has.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Which {
    /// The account's subject: the `sub` that apps with public subjects know.
    // Random text may begin with a hyphen.
    #[arg(long, value_parser = subject, allow_hyphen_values = true, conflicts_with_all = ["upstream", "id", "name"])]
    subject: Option<AccountSubject>,
    /// The upstream of one of its logins.
    #[arg(long, requires = "id", conflicts_with = "name")]
    upstream: Option<String>,
    /// The upstream's stable id for the person.
    #[arg(
        long,
        allow_hyphen_values = true,
        requires = "upstream",
        conflicts_with = "name"
    )]
    id: Option<String>,
    /// The user name, as it is shown.
    #[arg(long, value_name = "USERNAME")]
    name: Option<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that clap wants")]
fn subject(text: &str) -> Result<AccountSubject, std::convert::Infallible> {
    Ok(AccountSubject::new(text))
}

impl LoginName {
    fn of(&self, config: &Config) -> anyhow::Result<UpstreamSubject> {
        Ok(UpstreamSubject {
            upstream: known_upstream(config, &self.upstream)?,
            subject: self.id.clone(),
        })
    }
}

/// The upstream of that name, which the config must have.
fn known_upstream(config: &Config, name: &str) -> anyhow::Result<UpstreamId> {
    let known = config.upstreams.iter().map(|upstream| upstream.id.as_str());
    let known: Vec<&str> = known.collect();
    ensure!(
        known.contains(&name),
        "there is no upstream {name}; the config has {}",
        known.join(", ")
    );
    Ok(UpstreamId::new(name))
}

/// The account that alone has that user name, if any has. `instead` says how to name one of several.
pub(super) async fn find_by_username(
    store: &Store,
    name: &str,
    instead: &str,
) -> anyhow::Result<Option<Account>> {
    let mut found = store.find_accounts_by_username(name, 2).await?;
    ensure!(
        found.len() < 2,
        "several accounts have the user name {name}; {instead}"
    );
    Ok(found.pop())
}

impl Which {
    async fn find(&self, store: &Store) -> anyhow::Result<Account> {
        let found = match (&self.subject, &self.upstream, &self.id, &self.name) {
            (Some(subject), ..) => store.find_account_by_subject(subject).await?,
            (None, Some(upstream), Some(id), _) => {
                let login = UpstreamSubject {
                    upstream: UpstreamId::new(upstream.as_str()),
                    subject: id.clone(),
                };
                match store.find_login(&login).await? {
                    Some(id) => store.find_account(&id).await?,
                    None => None,
                }
            }
            (.., Some(name)) => {
                let instead = "`portico account list --name` shows them, and --subject chooses one";
                find_by_username(store, name, instead).await?
            }
            _ => bail!("say which account: --subject, --upstream with --id, or --name"),
        };
        found.context("there is no such account")
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let (Command::List { file, .. }
    | Command::Show { file, .. }
    | Command::Link { file, .. }
    | Command::Unlink { file, .. }
    | Command::Disable { file, .. }
    | Command::Enable { file, .. }) = &command;
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
    let accounts = Accounts {
        store: store.clone(),
        clock: Clock::system(),
        by: By::Administrator,
        audit: audit.clone(),
    };
    match command {
        Command::List {
            name, limit, json, ..
        } => {
            let found = match name {
                Some(name) => store.find_accounts_by_username(name, *limit).await?,
                None => store.list_accounts(*limit).await?,
            };
            list(store, &found, *json).await
        }
        Command::Show { which, json, .. } => {
            let account = which.find(store).await?;
            let seen = Seen::of(config, store, &account, accounts.clock.now()).await?;
            if *json {
                output::line(seen.as_json().to_string());
            } else {
                seen.show();
            }
            Ok(())
        }
        Command::Link {
            into,
            login,
            same_upstream,
            ..
        } => link(&accounts, into, &login.of(config)?, *same_upstream).await,
        Command::Unlink { login, .. } => unlink(&accounts, &login.of(config)?).await,
        Command::Disable { which, .. } => {
            let account = which.find(store).await?;
            let subject = &account.subject;
            ensure!(
                accounts.disable(&account.id).await?,
                "the account {subject} is closed already"
            );
            output::line(format!(
                "{subject} is closed; its sessions and tokens have ended"
            ));
            Ok(())
        }
        Command::Enable { which, .. } => {
            let account = which.find(store).await?;
            let subject = &account.subject;
            if let Some(kept) = &account.merged_into {
                let kept = store.find_account(kept).await?;
                let kept = kept.map(|kept| kept.subject.to_string());
                bail!(
                    "{subject} was linked into {} and never opens again",
                    kept.unwrap_or_default()
                );
            }
            ensure!(
                accounts.enable(&account.id).await?,
                "the account {subject} is open"
            );
            output::line(format!("{subject} is open again"));
            Ok(())
        }
    }
}

async fn list(store: &Store, found: &[Account], as_json: bool) -> anyhow::Result<()> {
    let heads = ["SUBJECT", "STATE", "NAME", "SINCE", "LOGINS"];
    let mut list = output::List::new(heads, as_json);
    for account in found {
        let logins = store.list_logins(&account.id).await?;
        let told = || Value::Object(outline(account, &logins));
        let row = || {
            let name = account.profile.display_name().unwrap_or_default();
            let logins = logins
                .iter()
                .map(|login| format!("{}:{}", login.name.upstream, login.name.subject));
            [
                account.subject.to_string(),
                state(account).to_owned(),
                name.to_owned(),
                output::date(account.created_at),
                logins.collect::<Vec<_>>().join(" "),
            ]
        };
        list.add(told, row);
    }
    list.end();
    Ok(())
}

const fn state(account: &Account) -> &'static str {
    match (account.is_open(), &account.merged_into) {
        (true, _) => "open",
        (false, None) => "closed",
        (false, Some(_)) => "linked",
    }
}

/// An account and its logins, for machines.
fn outline(account: &Account, logins: &[Login]) -> Map<String, Value> {
    let logins = logins.iter().map(|login| {
        json!({
            "upstream": login.name.upstream.as_str(),
            "id": login.name.subject,
            "preferred_username": login.profile.preferred_username,
            "name": login.profile.name,
            "linked_at": login.linked_at,
            "last_login_at": login.last_login_at,
        })
    });
    let told = [
        ("subject", json!(account.subject.as_str())),
        ("state", json!(state(account))),
        ("name", json!(account.profile.display_name())),
        ("created_at", json!(account.created_at)),
        ("logins", logins.collect()),
    ];
    told.map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

/// All that there is to see of an account.
struct Seen<'a> {
    account: &'a Account,
    /// The account that it was linked into.
    kept: Option<AccountSubject>,
    logins: Vec<Login>,
    sessions: Vec<Session>,
    families: Vec<TokenFamily>,
    consents: Vec<Consent>,
}

impl<'a> Seen<'a> {
    async fn of(
        config: &Config,
        store: &Store,
        account: &'a Account,
        now: UnixTime,
    ) -> anyhow::Result<Self> {
        let kept = match &account.merged_into {
            Some(kept) => store.find_account(kept).await?,
            None => None,
        };
        let lifetimes = config.session_lifetimes();
        let mut sessions = store.list_sessions(&account.id, now).await?;
        sessions.retain(|session| session.is_live(now, lifetimes));
        let idle = config.lifetimes.refresh_idle;
        Ok(Self {
            account,
            kept: kept.map(|kept| kept.subject),
            logins: store.list_logins(&account.id).await?,
            sessions,
            families: store
                .list_families(&account.id, idle, lifetimes, now)
                .await?,
            consents: store.list_consents(&account.id).await?,
        })
    }

    fn as_json(&self) -> Value {
        let sessions = self.sessions.iter().map(|session| {
            json!({
                "session": session.id.as_str(),
                "upstream": session.upstream.as_str(),
                "auth_time": session.auth_time,
                "last_seen_at": session.last_seen_at,
                "expires_at": session.expires_at,
            })
        });
        let families = self.families.iter().map(|family| {
            json!({
                "client": family.client_id.as_str(),
                "access": access(family),
                "created_at": family.created_at,
                "scope": family.scope.to_string(),
                "claims": family.claims.names(),
            })
        });
        let consents = self.consents.iter().map(|consent| {
            json!({
                "client": consent.client_id.as_str(),
                "granted_at": consent.granted_at,
                "scope": consent.everything().to_string(),
                "claims": consent.claims,
            })
        });
        let mut told = outline(self.account, &self.logins);
        if let Some(kept) = &self.kept {
            told.insert("linked_into".to_owned(), json!(kept.as_str()));
        }
        told.insert("sessions".to_owned(), sessions.collect());
        told.insert("apps".to_owned(), families.collect());
        told.insert("consents".to_owned(), consents.collect());
        Value::Object(told)
    }

    fn show(&self) {
        let account = self.account;
        let (subject, state) = (&account.subject, state(account));
        output::line(format!("subject  {subject}"));
        output::line(format!("state    {state}"));
        if let Some(kept) = &self.kept {
            output::line(format!("into     {kept}"));
        }
        output::line(format!("since    {}", output::date(account.created_at)));
        output::line("");
        let date = |time: Option<i64>| time.map(output::date).unwrap_or_default();
        let rows: Vec<_> = self
            .logins
            .iter()
            .map(|login| {
                let username = login.profile.preferred_username.clone();
                [
                    login.name.upstream.to_string(),
                    login.name.subject.clone(),
                    username.unwrap_or_default(),
                    login.profile.name.clone().unwrap_or_default(),
                    date(login.linked_at),
                    date(login.last_login_at),
                ]
            })
            .collect();
        output::table(
            ["LOGIN", "ID", "USER NAME", "NAME", "LINKED", "LAST LOGIN"],
            &rows,
        );
        output::line("");
        let rows: Vec<_> = self
            .sessions
            .iter()
            .map(|session| {
                [
                    session.id.to_string(),
                    session.upstream.to_string(),
                    output::date(session.auth_time),
                    output::date(session.last_seen_at),
                    output::date(session.expires_at),
                ]
            })
            .collect();
        output::table(["SESSION", "UPSTREAM", "BEGUN", "LAST USED", "ENDS"], &rows);
        output::line("");
        let families = self.families.iter().map(|family| {
            [
                family.client_id.to_string(),
                access(family).to_owned(),
                output::date(family.created_at),
                family.scope.to_string(),
                words(family.claims.names()),
            ]
        });
        let consents = self.consents.iter().map(|consent| {
            [
                consent.client_id.to_string(),
                "consent".to_owned(),
                output::date(consent.granted_at),
                consent.everything().to_string(),
                words(consent.claims.iter().map(String::as_str)),
            ]
        });
        let rows: Vec<_> = families.chain(consents).collect();
        output::table(["APP", "ACCESS", "SINCE", "SCOPE", "CLAIMS"], &rows);
    }
}

const fn access(family: &TokenFamily) -> &'static str {
    if family.offline { "offline" } else { "session" }
}

/// Names of claims, as a scope is written.
fn words<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(" ")
}

async fn link(
    accounts: &Accounts,
    into: &AccountSubject,
    login: &UpstreamSubject,
    same_upstream: bool,
) -> anyhow::Result<()> {
    let kept = accounts.store.find_account_by_subject(into).await?;
    let kept = kept.ok_or_else(|| anyhow!("there is no account {into}"))?;
    let link = NewLink {
        tokens: None,
        into: &kept.id,
        login,
        leads_to: LeadsTo::Any,
        profile: None,
        same_upstream,
    };
    let (upstream, id) = (&login.upstream, &login.subject);
    match accounts.link(&link).await? {
        Linked::Done { closed, .. } => {
            output::line(format!("{upstream} {id} leads to {into} now"));
            if let Some(closed) = closed
                && let Some(closed) = accounts.store.find_account(&closed).await?
            {
                output::line(format!(
                    "{} is closed for good; its sessions and tokens have ended",
                    closed.subject
                ));
            }
            Ok(())
        }
        Linked::Already => {
            output::line(format!("{upstream} {id} leads to {into} already"));
            Ok(())
        }
        Linked::Otherwise => bail!("{upstream} {id} was moved in this moment; try again"),
        Linked::SameUpstream => bail!(
            "{into} has a login of that upstream already; if both are the same person, add --same-upstream"
        ),
        Linked::Closed => bail!(
            "{into}, or the account that the login leads to, is closed; `portico account enable` opens it, if that is meant"
        ),
    }
}

async fn unlink(accounts: &Accounts, login: &UpstreamSubject) -> anyhow::Result<()> {
    let (upstream, id) = (&login.upstream, &login.subject);
    let found = accounts.store.find_login(login).await?;
    let account = found.with_context(|| format!("nobody has logged in as {upstream} {id}"))?;
    match accounts.unlink(&account, login).await? {
        Unlinked::Done { .. } => {
            let new = accounts.store.find_login(login).await?;
            let new = match new {
                Some(new) => accounts.store.find_account(&new).await?,
                None => None,
            };
            let new = new.map(|new| new.subject.to_string()).unwrap_or_default();
            output::line(format!("{upstream} {id} leads to the new account {new}"));
            Ok(())
        }
        Unlinked::NotThere => bail!("{upstream} {id} was moved in this moment; try again"),
        Unlinked::Last => bail!(
            "{upstream} {id} is the only login of its account; without it nobody would get in"
        ),
    }
}
