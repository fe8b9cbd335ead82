//! `portico check`: every part of the configuration, tried for real, in a table that says what to do. It makes nothing:
//! no database, no schema, no key.

mod clock;
mod database;
mod issuer;
mod tls;
mod upstreams;

use std::process::ExitCode;

use clap::Args;

use crate::app;
use crate::clock::Clock;
use crate::upstream::outbound::system_problems;

use super::{ConfigFile, output};

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    file: ConfigFile,
    /// Read the files only: ask no database, no upstream and no server.
    #[arg(long)]
    offline: bool,
    /// Print the effective configuration, with every default, secrets masked.
    #[arg(long)]
    show: bool,
}

/// What came of one check.
#[derive(Clone, Copy)]
enum Verdict {
    Ok,
    /// Logins work, but somebody should look.
    Warning,
    /// Logins will fail.
    Wrong,
}

/// The findings, in the order in which they came.
#[derive(Default)]
struct Report {
    rows: Vec<[String; 3]>,
    warnings: usize,
    wrong: usize,
}

impl Report {
    fn add(&mut self, verdict: Verdict, what: impl Into<String>, finding: impl Into<String>) {
        let word = match verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => {
                self.warnings += 1;
                "warning"
            }
            Verdict::Wrong => {
                self.wrong += 1;
                "WRONG"
            }
        };
        self.rows
            .push([word.to_owned(), what.into(), finding.into()]);
    }

    fn ok(&mut self, what: impl Into<String>, finding: impl Into<String>) {
        self.add(Verdict::Ok, what, finding);
    }

    fn warn(&mut self, what: impl Into<String>, finding: impl Into<String>) {
        self.add(Verdict::Warning, what, finding);
    }

    fn wrong(&mut self, what: impl Into<String>, finding: impl Into<String>) {
        self.add(Verdict::Wrong, what, finding);
    }

    fn outcome(&mut self, what: impl Into<String>, outcome: Result<String, String>) {
        match outcome {
            Ok(finding) => self.ok(what, finding),
            Err(finding) => self.wrong(what, finding),
        }
    }

    fn print(&self) -> ExitCode {
        output::table(["", "WHAT", "FINDING"], &self.rows);
        output::line("");
        output::line(format!(
            "wrong: {}, warnings: {}",
            self.wrong, self.warnings
        ));
        if self.wrong == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let config = options.file.load()?;
    if options.show {
        output::line(config.effective());
    }
    let now = Clock::system().now();
    let mut report = Report::default();
    let (clients, upstreams) = (config.clients.len(), config.upstreams.len());
    report.ok(
        "config",
        format!("clients: {clients}, upstreams: {upstreams}"),
    );
    for warning in &config.warnings {
        report.warn("config", warning);
    }
    if let Some(files) = &config.server.tls {
        tls::check(files, &config.issuer, now, &mut report).await;
    }
    if !options.offline {
        database::check(&config, now, &mut report).await;
        let http = app::outbound(&config)?;
        for problem in system_problems() {
            report.warn("certificates", problem);
        }
        clock::check(&config, &http, &mut report).await;
        upstreams::check(&config, &mut report).await;
        issuer::check(&config, &http, &mut report).await;
    }
    Ok(report.print())
}
