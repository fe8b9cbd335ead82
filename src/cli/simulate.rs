//! `portico simulate imis` and `portico simulate aim18`.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use tokio::net::TcpListener;
use url::Url;

use crate::clock::Clock;
use crate::simulator::aim18::{self, Aim18, Application};
use crate::simulator::imis::{ClientApplication, Imis};

use super::{output, shutdown};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// A simulated iMIS, with a web site at its address to sign in to.
    Imis {
        #[command(flatten)]
        listen: Listen,
        /// Registers a client application; may be given several times.
        ///
        /// The site gets a page `/SSO/CLIENT_ID.aspx` that posts a refresh token of whoever is signed in to `REDIRECT_URL`:
        /// `{issuer}/upstream/{id}/landing/CLIENT_ID`. One is registered from the start, and replaced by one of the same id:
        /// `Portico=sso-demo-secret=http://localhost:8080/upstream/members/landing/Portico`.
        #[arg(
            long = "application",
            value_name = "CLIENT_ID=SECRET=REDIRECT_URL",
            value_parser = client_application
        )]
        applications: Vec<ClientApplication>,
    },
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
        Command::Imis {
            listen: Listen { listen },
            applications,
        } => {
            let imis = Imis::new(Clock::system());
            for application in applications {
                imis.register(application);
            }
            imis.serve(bind(listen).await?).await?
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

/// Reads `CLIENT_ID=SECRET=REDIRECT_URL`; the URL may hold further equals signs.
fn client_application(text: &str) -> Result<ClientApplication, String> {
    let mut parts = text.splitn(3, '=').filter(|part| !part.is_empty());
    let (Some(client_id), Some(client_secret), Some(url)) =
        (parts.next(), parts.next(), parts.next())
    else {
        return Err("write CLIENT_ID=SECRET=REDIRECT_URL, with none of the three empty".to_owned());
    };
    match Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(ClientApplication {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            login_redirect_url: url.to_owned(),
            ..ClientApplication::demo()
        }),
        Ok(_) => Err(format!("{url}: write an http:// or https:// address")),
        Err(error) => Err(format!("{url}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::client_application;

    #[test]
    fn a_client_application_is_read_up_to_the_equals_signs_of_its_url() {
        let application = client_application("My App=s-1=https://a.example/landing?x=1").unwrap();
        assert_eq!(application.client_id, "My App");
        assert_eq!(application.client_secret, "s-1");
        assert_eq!(
            application.login_redirect_url,
            "https://a.example/landing?x=1"
        );
    }

    #[test]
    fn a_client_application_that_lacks_a_part_is_refused() {
        for text in [
            "",
            "App",
            "App=secret",
            "App==https://a.example/",
            "=secret=https://a.example/",
            "App=secret=",
            "App=secret=/landing",
            "App=secret=javascript:alert(1)",
        ] {
            assert!(client_application(text).is_err(), "{text}");
        }
    }
}
