//! `portico key list` and `portico key rotate`.

use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;
use serde_json::json;

use crate::app;
use crate::clock::{Clock, UnixTime};
use crate::config::Config;
use crate::model::audit::Event;
use crate::model::signing_key::SigningKeyRecord;
use crate::protocol::jws::SigningAlgorithm;
use crate::store::Store;
use crate::telemetry::{Audit, Entry};

use super::{ConfigFile, Listing, database, output};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The signing keys and where each stands in its life.
    List(Listing),
    /// Announce a new signing key. It signs after `keys.announce`, when every cache knows it; the old one goes on
    /// verifying what it signed. Running servers take it over by themselves.
    Rotate {
        #[command(flatten)]
        file: ConfigFile,
        /// The algorithm; left out: every one of `keys.algorithms`.
        #[arg(long, value_parser = algorithm)]
        algorithm: Option<SigningAlgorithm>,
        /// Sign with the new key at once and trust the old ones no more, because one has leaked; nor those of algorithms that
        /// `keys.algorithms` names no more, which have no successor. Every token they signed is void, and clients with a cached
        /// JWKS refuse the new ones until they fetch it again.
        #[arg(long)]
        now: bool,
    },
}

fn algorithm(text: &str) -> Result<SigningAlgorithm, String> {
    SigningAlgorithm::parse(text).ok_or_else(|| "use RS256, PS256, ES256 or EdDSA".to_owned())
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let now = Clock::system().now();
    match command {
        Command::List(Listing { file, json }) => {
            let store = database::open(&file.load()?).await?;
            let keys = store.list_signing_keys().await;
            store.close().await;
            list(&keys?, now, json);
        }
        Command::Rotate {
            file,
            algorithm,
            now: at_once,
        } => {
            let config = file.load()?;
            let named = |one: &SigningAlgorithm| config.keys.algorithms.contains(one);
            let left = algorithm.filter(|one| !named(one));
            if let Some(one) = left
                && !at_once
            {
                bail!(
                    "{} is not among keys.algorithms, so that no key follows; --now ends those that it has left",
                    one.as_str()
                );
            }
            let algorithms = match algorithm {
                Some(one) if named(&one) => vec![one],
                Some(_) => Vec::new(),
                None => config.keys.algorithms.clone(),
            };
            let how = (algorithms.as_slice(), at_once);
            database::recorded(&config, async |store, audit| {
                let rotated = rotate(&config, store, audit, how, now).await;
                if at_once && (algorithm.is_none() || left.is_some()) {
                    end_unnamed(&config, store, audit, left, now).await?;
                }
                rotated
            })
            .await?;
        }
    }
    Ok(())
}

fn list(keys: &[SigningKeyRecord], now: UnixTime, as_json: bool) {
    let heads = ["KID", "ALGORITHM", "STATE", "SIGNS FROM", "SIGNS UNTIL"];
    let mut list = output::List::new(heads, as_json);
    for key in keys {
        let (algorithm, state) = (key.algorithm.as_str(), key.state(now).as_str());
        let told = || {
            json!({
                "kid": key.kid.as_str(),
                "alg": algorithm,
                "state": state,
                "active_at": key.active_at,
                "retired_at": key.retired_at,
            })
        };
        let row = || {
            [
                key.kid.to_string(),
                algorithm.to_owned(),
                state.to_owned(),
                output::date(key.active_at),
                key.retired_at.map(output::date).unwrap_or_default(),
            ]
        };
        list.add(told, row);
    }
    list.end();
}

/// Rotates each algorithm's key, whatever becomes of the others.
async fn rotate(
    config: &Config,
    store: &Store,
    audit: &Audit,
    (algorithms, at_once): (&[SigningAlgorithm], bool),
    now: UnixTime,
) -> anyhow::Result<()> {
    let mut refused = Vec::new();
    for algorithm in algorithms {
        let name = algorithm.as_str();
        match app::rotate(config, store, *algorithm, at_once, now).await? {
            Some((kid, active_at)) => {
                let entry = Entry::new(Event::SigningKeyAnnounced)
                    .with("by", "administrator")
                    .with("kid", kid.as_str())
                    .with("algorithm", name)
                    .with("active_at", active_at)
                    .with("at_once", at_once);
                audit.record(entry);
                let word = if at_once { "active" } else { "announced" };
                let from = output::date(active_at);
                output::line(format!("{name}: {kid} is {word} and signs from {from}"));
            }
            None => refused.push(name),
        }
    }
    ensure!(
        refused.is_empty(),
        "{}: a successor is announced already; `portico key list` says when it begins to sign, \
         and --now is for a key that has leaked",
        refused.join(", ")
    );
    Ok(())
}

/// Ends the keys that have leaked and get no successor: those of `algorithm`, which the config does not name, or of every such one.
async fn end_unnamed(
    config: &Config,
    store: &Store,
    audit: &Audit,
    algorithm: Option<SigningAlgorithm>,
    now: UnixTime,
) -> anyhow::Result<()> {
    let ended = app::end_unnamed_at_once(config, store, algorithm, now).await?;
    let ended = ended.context(
        "nothing is ended, for no key of keys.algorithms signs yet; `portico key rotate --now` makes one that does, and ends the others",
    )?;
    for key in &ended {
        let name = key.algorithm.as_str();
        let entry = Entry::new(Event::SigningKeyRetired)
            .with("by", "administrator")
            .with("kid", key.kid.as_str())
            .with("algorithm", name)
            .with("retired_at", now)
            .with("at_once", true);
        audit.record(entry);
        output::line(format!("{name}: {} is trusted no more", key.kid));
    }
    if let Some(name) = algorithm.map(SigningAlgorithm::as_str) {
        ensure!(
            !ended.is_empty(),
            "{name} is not among keys.algorithms, and none of its keys is left"
        );
    }
    Ok(())
}
