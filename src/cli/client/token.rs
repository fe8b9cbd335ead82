//! `portico client token create`, `list` and `revoke`: initial access tokens (RFC 7591 section 1.2).

use std::time::Duration;

use anyhow::{bail, ensure};
use clap::Subcommand;
use serde_json::json;

use crate::app;
use crate::clock::{Clock, UnixTime, random_id, random_token};
use crate::keys::Purpose;
use crate::model::audit::Event;
use crate::model::registration::{INITIAL_TOKEN_PREFIX, InitialAccessToken, RegistrationMode};
use crate::telemetry::Entry;

use super::super::{ConfigFile, Listing, database, output};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Make a token with which clients register themselves, and print it. It is shown this once: only a hash is kept.
    Create {
        #[command(flatten)]
        file: ConfigFile,
        /// How many clients it may register.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
        uses: i64,
        /// How long it is good, such as "12h" or "30d".
        #[arg(long, default_value = "7d", value_parser = humantime::parse_duration)]
        lifetime: Duration,
        /// What it is for, so that others know.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// The tokens there are.
    List(Listing),
    /// Revoke a token. What was registered with it stays.
    Revoke {
        #[command(flatten)]
        file: ConfigFile,
        /// The token's id, as `list` tells it.
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
}

/// Ten years: longer than anybody remembers what it was for.
const LONGEST: Duration = Duration::from_hours(3650 * 24);

pub(in crate::cli) async fn run(command: Command) -> anyhow::Result<()> {
    let now = Clock::system().now();
    match command {
        Command::Create {
            file,
            uses,
            lifetime,
            label,
        } => {
            let config = file.load()?;
            ensure!(
                lifetime >= Duration::from_mins(1) && lifetime <= LONGEST,
                "the lifetime must be between 1m and 3650d"
            );
            ensure!(
                label.chars().count() <= 80 && !label.chars().any(char::is_control),
                "the label must have 80 characters at the most, and be one line"
            );
            let secrets = app::open_secrets(&config)?;
            let value = format!("{INITIAL_TOKEN_PREFIX}{}", random_token());
            let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
            let token = InitialAccessToken {
                // An id that begins with a hyphen would be an option.
                id: format!("token-{}", random_id()),
                label,
                created_at: now,
                expires_at: now.saturating_add(seconds),
                uses_left: uses,
                revoked_at: None,
            };
            let hash = secrets.hash(Purpose::InitialAccessToken, &value)?;
            database::recorded(&config, async |store, audit| {
                store.insert_initial_access_token(&token, &hash).await?;
                let entry = entry(Event::InitialAccessTokenCreated, &token.id)
                    .with("label", token.label.as_str())
                    .with("uses", token.uses_left)
                    .with("expires_at", token.expires_at);
                audit.record(entry);
                Ok(())
            })
            .await?;
            output::line(value);
            if config.registration.mode != RegistrationMode::InitialAccessToken {
                output::note(
                    "registration.mode is not \"initial_access_token\": no server asks for it",
                );
            }
            Ok(())
        }
        Command::List(Listing { file, json }) => {
            let store = database::open(&file.load()?).await?;
            let tokens = store.list_initial_access_tokens().await;
            store.close().await;
            list(&tokens?, now, json);
            Ok(())
        }
        Command::Revoke { file, id } => {
            let config = file.load()?;
            database::recorded(&config, async |store, audit| {
                if !store.revoke_initial_access_token(&id, now).await? {
                    bail!("there is no token {id} that is not revoked already");
                }
                audit.record(entry(Event::InitialAccessTokenRevoked, &id));
                Ok(())
            })
            .await?;
            output::line(format!("{id} is revoked"));
            Ok(())
        }
    }
}

fn entry(event: Event, id: &str) -> Entry {
    Entry::new(event)
        .with("by", "administrator")
        .with("initial_access_token", id)
}

fn list(tokens: &[InitialAccessToken], now: UnixTime, as_json: bool) {
    let heads = ["TOKEN", "STATE", "USES LEFT", "MADE", "UNTIL", "LABEL"];
    let mut list = output::List::new(heads, as_json);
    for token in tokens {
        let state = match token {
            token if token.revoked_at.is_some() => "revoked",
            token if token.uses_left <= 0 => "used up",
            token if token.expires_at <= now => "expired",
            _ => "good",
        };
        let told = || {
            json!({
                "token": token.id,
                "state": state,
                "uses_left": token.uses_left,
                "created_at": token.created_at,
                "expires_at": token.expires_at,
                "label": token.label,
            })
        };
        let row = || {
            [
                token.id.clone(),
                state.to_owned(),
                token.uses_left.to_string(),
                output::date(token.created_at),
                output::date(token.expires_at),
                token.label.clone(),
            ]
        };
        list.add(told, row);
    }
    list.end();
}
