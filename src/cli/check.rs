//! `portico check`: every part of the configuration, tried for real, in a table that says what to do.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::keys::{KeyRing, Secrets};
use crate::model::signing_key::KeyState;
use crate::passwords::Passwords;
use crate::store::Store;

use super::{load, output};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The configuration file; `clients.d/*.toml` beside it belongs to it.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "config/portico.toml",
        env = "PORTICO_CONFIG"
    )]
    config: PathBuf,
    /// Read the files only: ask no database and no upstream.
    #[arg(long)]
    offline: bool,
    /// Print the effective configuration, with every default, secrets masked.
    #[arg(long)]
    show: bool,
}

/// The findings, as they come.
#[derive(Default)]
struct Report {
    rows: Vec<[String; 3]>,
    failed: bool,
}

impl Report {
    fn add(&mut self, what: impl Into<String>, outcome: Result<String, String>) {
        self.failed |= outcome.is_err();
        let (verdict, text) = match outcome {
            Ok(text) => ("ok", text),
            Err(text) => ("WRONG", text),
        };
        self.rows.push([verdict.to_owned(), what.into(), text]);
    }

    fn warn(&mut self, text: &str) {
        self.rows
            .push(["warning".to_owned(), "config".to_owned(), text.to_owned()]);
    }
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let config = load(&options.config)?;
    if options.show {
        output::line(config.effective());
    }
    let mut report = Report::default();
    report.add(
        "config",
        Ok(format!(
            "{} clients, {} upstreams",
            config.clients.len(),
            config.upstreams.len()
        )),
    );
    for warning in &config.warnings {
        report.warn(warning);
    }
    if !options.offline {
        check_database(&config, &mut report).await;
        check_upstreams(&config, &mut report).await;
    }
    output::table(["", "WHAT", ""], &report.rows);
    Ok(if report.failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Reads only: a check must not make a database, a key or a schema.
async fn check_database(config: &Config, report: &mut Report) {
    if let Some(file) = config.database.sqlite_file()
        && !file.exists()
    {
        let folder = file
            .parent()
            .is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir());
        let outcome = if folder {
            Ok(format!(
                "{} will be made at the first start",
                file.display()
            ))
        } else {
            Err(format!(
                "the folder of {} is not there; make it",
                file.display()
            ))
        };
        return report.add("database", outcome);
    }
    let store = match Store::open(&config.database.url).await {
        Ok(store) => store,
        Err(error) => {
            return report.add(
                "database",
                Err(format!("{error}; check database.url, and that it runs")),
            );
        }
    };
    match store.ping().await {
        Ok(()) => {
            report.add(
                "database",
                Ok(format!(
                    "{}: reachable, schema in place",
                    store.backend().as_str()
                )),
            );
            check_keys(config, &store, report).await;
        }
        Err(error) => report.add(
            "database",
            Err(format!(
                "{error}; run `portico migrate`, or start the server"
            )),
        ),
    }
    store.close().await;
}

async fn check_keys(config: &Config, store: &Store, report: &mut Report) {
    let now = Clock::system().now();
    let opened = async {
        let secrets: Secrets = app::open_secrets(config).map_err(|error| error.to_string())?;
        let keys = store
            .list_signing_keys()
            .await
            .map_err(|error| error.to_string())?;
        let missing = config.keys.algorithms.iter().filter(|algorithm| {
            !keys
                .iter()
                .any(|key| key.algorithm == **algorithm && key.state(now) == KeyState::Active)
        });
        let missing: Vec<&str> = missing.map(|algorithm| algorithm.as_str()).collect();
        let count = keys.len();
        KeyRing::load(keys, &secrets).map_err(|error| error.to_string())?;
        Ok(if missing.is_empty() {
            format!("{count} signing keys, opened with the master key")
        } else {
            format!(
                "keys for {} will be made at the next start",
                missing.join(", ")
            )
        })
    };
    report.add("keys", opened.await);
}

async fn check_upstreams(config: &Config, report: &mut Report) {
    let upstreams = app::open_upstreams(config, &Passwords::default(), &Clock::system());
    match upstreams {
        Err(error) => report.add("upstreams", Err(error.to_string())),
        Ok(upstreams) => {
            for upstream in upstreams {
                for finding in upstream.probe.probe().await {
                    report.add(
                        format!("{}: {}", upstream.id, finding.what),
                        finding.outcome,
                    );
                }
            }
        }
    }
}
