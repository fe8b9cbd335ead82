//! `portico demo`: the server, a simulated iMIS and aiM18, seeded people and a sample app, in one process. The
//! configuration is written to a folder and read like any other; the folder goes away at the end, unless it was named.

mod config_file;
mod sample_app;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;

use crate::app::{App, Listeners};
use crate::clock::Clock;
use crate::simulator::aim18::{self, Aim18, Application};
use crate::simulator::imis::{ClientApplication, Imis};
use crate::simulator::{control, people};

use super::{load, output, serve, shutdown};
use config_file::Addresses;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The port of the server on localhost.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The port of the sample app on localhost.
    #[arg(long, default_value_t = 8081)]
    app_port: u16,
    /// Keep the configuration and the database in this folder, instead of leaving nothing behind.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Show the whole log, not only what goes wrong.
    #[arg(long)]
    verbose: bool,
}

pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    // Before there is anything to leave behind.
    let mut shutdown = Box::pin(shutdown::signal());
    let folder = Folder::open(options.keep.as_deref())?;
    let sample_app = listen(options.app_port)
        .await
        .with_context(|| taken("--app-port", options.app_port))?;
    let imis = Imis::new(Clock::system());
    imis.set_login_redirect_url(&format!(
        "http://localhost:{}/upstream/members/landing/{}",
        options.port,
        ClientApplication::demo().client_id
    ));
    let imis = imis.serve(listen(0).await?).await?;
    let aim18 = Aim18::new(Clock::system());
    let addresses = Addresses {
        issuer: format!("http://localhost:{}", options.port),
        port: options.port,
        sample_app: format!("http://localhost:{}", options.app_port),
        imis: imis.url().to_owned(),
        aim18: String::new(),
    };
    aim18.register(Application {
        client_id: aim18::CLIENT_ID.to_owned(),
        client_secret: aim18::CLIENT_SECRET.to_owned(),
        callback: format!("{}/upstream/staff/callback", addresses.issuer),
    });
    let aim18 = aim18.serve(listen(0).await?).await?;
    let addresses = Addresses {
        aim18: aim18.url().to_owned(),
        ..addresses
    };
    let file = config_file::write(folder.path(), &addresses, options.verbose)?;
    let config = load(&file)?;
    serve::start_log(&config);
    let listeners = Listeners::bind(&config).with_context(|| taken("--port", options.port))?;
    let Some(app) = App::open_unless(config, Clock::system(), &mut shutdown).await? else {
        return Ok(());
    };
    let sample = sample_app::serve(sample_app, &addresses);
    let internal = listeners.internal_address()?;
    tell(&addresses, internal, options.keep.as_deref());
    tokio::select! {
        served = Box::pin(app.serve(listeners, shutdown)) => served?,
        served = sample => served?,
    }
    imis.stop().await;
    aim18.stop().await;
    Ok(())
}

/// On 127.0.0.1 alone: the simulators and the sample app are nobody else's business.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), port)).await
}

fn taken(option: &str, port: u16) -> String {
    format!("port {port} cannot be used; choose a free one with {option}")
}

fn tell(addresses: &Addresses, internal: SocketAddr, kept: Option<&Path>) {
    let member = people::JO_SMITH;
    let staff = people::ANN_LEE;
    output::line(format!("Portico runs on {}", addresses.issuer));
    output::line("");
    output::line(format!(
        "  Open this in a browser:   {}/",
        addresses.sample_app
    ));
    output::line("");
    output::line("  Sign in there as          user name      password");
    output::line(format!(
        "    a member (iMIS)         {:<14} {}",
        member.username, member.password
    ));
    output::line(format!(
        "    an employee (aiM18)     {:<14} {}",
        staff.code, staff.password
    ));
    output::line(format!(
        "    the break-glass account {:<14} {}",
        config_file::BREAK_GLASS.0,
        config_file::BREAK_GLASS.1
    ));
    output::line("");
    output::line(format!(
        "  Or start at iMIS:         {}/SSO/{}.aspx",
        addresses.imis,
        ClientApplication::demo().client_id
    ));
    output::line("");
    output::line(format!(
        "  Your account:             {}/account",
        addresses.issuer
    ));
    output::line("    Sign in with one, add the other there: apps then see one person.");
    output::line("");
    output::line("  Change people, errors and versions while everything runs:");
    for (name, simulator) in [("iMIS", &addresses.imis), ("aiM18", &addresses.aim18)] {
        output::line(format!(
            "    simulated {name:<14}  {simulator}{}",
            control::PATH
        ));
    }
    output::line("");
    output::line(format!(
        "  Discovery                 {}/.well-known/openid-configuration",
        addresses.issuer
    ));
    output::line(format!(
        "  Metrics                   http://{internal}/metrics"
    ));
    if let Some(folder) = kept {
        output::line(format!("  Configuration and data    {}", folder.display()));
    }
    output::line("");
    output::line("Ctrl-C ends it.");
}

/// Where the demo keeps its files.
enum Folder {
    Named(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn open(named: Option<&Path>) -> anyhow::Result<Self> {
        match named {
            Some(path) => {
                fs::create_dir_all(path)
                    .with_context(|| format!("cannot make {}", path.display()))?;
                Ok(Self::Named(path.to_owned()))
            }
            None => Ok(Self::Temporary(tempfile::tempdir()?)),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Named(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}
