//! `portico simulate imis` and `portico simulate aim18`.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::simulator::aim18::{self, Aim18, Application};
use crate::simulator::imis::Imis;

use super::{output, shutdown};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// A simulated iMIS.
    Imis(Listen),
    /// A simulated aiM18.
    Aim18 {
        #[command(flatten)]
        listen: Listen,
        /// The Client ID of the registered application.
        #[arg(long, default_value = aim18::CLIENT_ID)]
        client_id: String,
        /// The Client Secret of the registered application.
        #[arg(long, default_value = aim18::CLIENT_SECRET)]
        client_secret: String,
        /// The callback URL of the registered application: `{issuer}/upstream/{id}/callback`.
        #[arg(long, default_value = "http://localhost:8080/upstream/staff/callback")]
        callback: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Listen {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let shutdown = shutdown::signal();
    let running = match command {
        Command::Imis(Listen { listen }) => {
            let listener = bind(listen).await?;
            Imis::new(Clock::system()).serve(listener).await?
        }
        Command::Aim18 {
            listen: Listen { listen },
            client_id,
            client_secret,
            callback,
        } => {
            let aim18 = Aim18::new(Clock::system());
            aim18.register(Application {
                client_id,
                client_secret,
                callback,
            });
            aim18.serve(bind(listen).await?).await?
        }
    };
    let shutdown = shutdown::signal();
    output::line(format!("listening on {}", running.url()));
    shutdown.await;
    running.stop().await;
    Ok(())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}
