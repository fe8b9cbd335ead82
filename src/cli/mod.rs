//! The command line: one file a command.

mod account;
mod audit;
mod check;
mod client;
mod database;
mod demo;
mod explain;
mod health;
mod key;
mod migrate;
mod output;
mod serve;
mod session;
mod shutdown;
mod simulate;
mod user;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config};

/// OpenID Connect in front of ASI iMIS and Multiable aiM18.
#[derive(Debug, Parser)]
#[command(name = "portico", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(ConfigFile),
    /// Run everything on this machine: server, simulated iMIS and aiM18, a sample app. Nothing is left behind.
    Demo(demo::Options),
    /// Try the configuration for real: every key, the database, the keys, each upstream. Says what to do.
    Check(check::Options),
    /// Bring the database's schema up to date, which `serve` does by itself; move from SQLite to PostgreSQL.
    Migrate(migrate::Options),
    /// Look at clients, make client secrets, let clients register themselves.
    #[command(subcommand)]
    Client(client::Command),
    /// Look at people's accounts, link logins, close accounts.
    #[command(subcommand)]
    Account(account::Command),
    /// Look at sessions, end them, see what apps were told of it.
    #[command(subcommand)]
    Session(session::Command),
    /// Search what happened: logins, tokens, consents, logouts, and what administrators did.
    Audit(audit::Options),
    /// Tell the story behind the number of an error page, and what can be done.
    Explain(explain::Options),
    /// Look at signing keys, rotate them.
    #[command(subcommand)]
    Key(key::Command),
    /// Hash passwords for people in the config file.
    #[command(subcommand)]
    User(user::Command),
    /// Run a simulated iMIS or aiM18.
    #[command(subcommand)]
    Simulate(simulate::Command),
    /// Ask a running server whether it is ready; for container health checks.
    Health(health::Options),
}

/// Where the configuration is.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file; `clients.d/*.toml` beside it belongs to it.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "config/portico.toml",
        env = "PORTICO_CONFIG"
    )]
    config: PathBuf,
}

impl ConfigFile {
    /// Reads it, and `clients.d`; an error lists every problem.
    fn load(&self) -> anyhow::Result<Config> {
        load(&self.config)
    }
}

/// A list: of which configuration, and for whom.
#[derive(Debug, Args)]
struct Listing {
    #[command(flatten)]
    file: ConfigFile,
    /// One JSON object a line, for machines; times as Unix seconds.
    #[arg(long)]
    json: bool,
}

fn load(path: &Path) -> anyhow::Result<Config> {
    config::load(path).map_err(|problems| anyhow!("{problems}"))
}

/// Parses the command line and runs it.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the asynchronous runtime could not be started");
    let outcome = runtime.and_then(|runtime| {
        let outcome = runtime.block_on(execute(cli.command));
        // A hash or a lookup that nobody waits for any more must not hold up the end.
        runtime.shutdown_background();
        outcome
    });
    match outcome.and_then(|code| output::written().map(|()| code)) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(file) => serve::run(file.load()?).await?,
        Command::Demo(options) => demo::run(options).await?,
        Command::Check(options) => return check::run(options).await,
        Command::Migrate(options) => migrate::run(options).await?,
        Command::Client(command) => client::run(command).await?,
        Command::Account(command) => account::run(command).await?,
        Command::Session(command) => session::run(command).await?,
        Command::Audit(options) => audit::run(options).await?,
        Command::Explain(options) => explain::run(options).await?,
        Command::Key(command) => key::run(command).await?,
        Command::User(command) => user::run(command)?,
        Command::Simulate(command) => simulate::run(command).await?,
        Command::Health(options) => return health::run(options).await,
    }
    Ok(ExitCode::SUCCESS)
}
