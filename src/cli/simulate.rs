//! `portico simulate imis` and `portico simulate aim18`.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use tokio::net::TcpListener;
use url::Url;

use crate::clock::Clock;
use crate::simulator::aim18::{self, Aim18, Application};
use crate::simulator::control::{self, Person};
use crate::simulator::fault::FAULTS;
use crate::simulator::imis::{self, ClientApplication, Imis};
use crate::simulator::{Described, Planned, Running, Switch};

use super::{output, shutdown};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// A simulated iMIS, with a web site at its address to sign in to.
    Imis {
        #[command(flatten)]
        options: Options,
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
        options: Options,
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
pub(super) struct Options {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Turns a switch; may be given several times. `--list-switches` tells them all.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Changes a person; may be given several times. `--list-people` tells them all, and what can be done.
    #[arg(long = "person", value_name = "USERNAME=ACTION", value_parser = person)]
    people: Vec<(String, String)>,
    /// Plans a fault for requests whose path contains `PLACE`; may be given several times. `--list-faults` tells them all.
    ///
    /// `/token=status-503` meets all of them, `/token=status-503,times=2` the next two, `/api=status-401,every=3` every third.
    #[arg(long = "fault", value_name = "PLACE=FAULT", value_parser = Planned::read)]
    faults: Vec<Planned>,
    /// Lets the live control be reached under this host name or address, and from other machines; may be given several times.
    ///
    /// Without it the control answers this machine only, whatever `--listen` says.
    #[arg(long = "control-host", value_name = "HOST")]
    control_hosts: Vec<String>,
    /// Lists the switches, what they mean and take, and ends.
    #[arg(long)]
    list_switches: bool,
    /// Lists the people, their passwords and what is special about them, and ends.
    #[arg(long)]
    list_people: bool,
    /// Lists the faults, and ends.
    #[arg(long)]
    list_faults: bool,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    let shutdown = shutdown::signal();
    let running = match command {
        Command::Imis {
            options,
            applications,
        } => {
            let imis = Imis::new(Clock::system());
            if options.list(imis::Switches::ALL, &imis::seeded(), &imis.known_actions()) {
                return Ok(());
            }
            for application in applications {
                imis.register(application);
            }
            for (name, value) in &options.set {
                imis.set(name, value).map_err(not_set)?;
            }
            for (who, action) in &options.people {
                imis.act_on(who, action).map_err(not_set)?;
            }
            for host in &options.control_hosts {
                imis.allow_control_from(host);
            }
            for fault in options.faults {
                imis.plan_fault(fault);
            }
            imis.serve(bind(options.listen).await?).await?
        }
        Command::Aim18 {
            options,
            client_id,
            client_secret,
            callback,
        } => {
            let aim18 = Aim18::new(Clock::system());
            if options.list(
                aim18::Switches::ALL,
                &aim18::seeded(),
                &aim18.known_actions(),
            ) {
                return Ok(());
            }
            aim18.register(Application {
                client_id,
                client_secret,
                callback,
            });
            for (name, value) in &options.set {
                aim18.set(name, value).map_err(not_set)?;
            }
            for (who, action) in &options.people {
                aim18.act_on(who, action).map_err(not_set)?;
            }
            for host in &options.control_hosts {
                aim18.allow_control_from(host);
            }
            for fault in options.faults {
                aim18.plan_fault(fault);
            }
            aim18.serve(bind(options.listen).await?).await?
        }
    };
    tell(&running)?;
    shutdown.await;
    running.stop().await;
    Ok(())
}

fn tell(running: &Running) -> anyhow::Result<()> {
    output::line(format!("listening on {}", running.url()));
    let control = Url::parse(running.url())?.join(control::PATH)?;
    output::line(format!("live control at {control}"));
    Ok(())
}

fn not_set(reason: String) -> anyhow::Error {
    anyhow::anyhow!(reason)
}

impl Options {
    /// Prints the lists that were asked for, if any.
    fn list<S: Default>(
        &self,
        switches: &[Switch<S>],
        people: &[Person],
        actions: &[control::Action],
    ) -> bool {
        if self.list_switches {
            let defaults = S::default();
            for switch in switches {
                output::line(switch_text(&switch.describe(&defaults)));
            }
        }
        if self.list_people {
            let rows: Vec<[String; 4]> = people
                .iter()
                .map(|person| {
                    [
                        person.username.clone(),
                        person.password.clone(),
                        person.state.clone(),
                        person.about.to_owned(),
                    ]
                })
                .collect();
            output::table(["USER NAME", "PASSWORD", "STATE", "ABOUT"], &rows);
            output::line("what can be done with them (--person USERNAME=ACTION)");
            for action in actions {
                output::line(format!("    {:<18} {}", action.name, action.meaning));
            }
        }
        if self.list_faults {
            for (fault, meaning) in FAULTS {
                output::line(format!("{fault:<14} {meaning}"));
            }
        }
        self.list_switches || self.list_people || self.list_faults
    }
}

fn switch_text(switch: &Described) -> String {
    let mut lines = vec![
        format!("{}={}", switch.name, switch.value),
        format!("    {}", switch.meaning),
    ];
    let words = &switch.accepts.words;
    if words.iter().all(|(_, meaning)| meaning.is_empty()) {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        lines.extend((!words.is_empty()).then(|| format!("      {}", words.join(" or "))));
    } else {
        let words = words.iter();
        lines.extend(words.map(|(word, meaning)| format!("      {word:<24} {meaning}")));
    }
    lines.extend(switch.accepts.form.map(|form| format!("      or {form}")));
    lines.join("\n")
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// Reads `NAME=VALUE`; the value may hold further equals signs.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Reads `USERNAME=ACTION`; the name may hold equals signs.
fn person(text: &str) -> Result<(String, String), String> {
    let (who, action) = text.rsplit_once('=').ok_or("write USERNAME=ACTION")?;
    Ok((who.to_owned(), action.to_owned()))
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
