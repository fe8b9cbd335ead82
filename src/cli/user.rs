//! `portico user hash-password`.

use std::io::{IsTerminal as _, Read as _};

use anyhow::{anyhow, ensure};
use clap::Subcommand;

use crate::passwords::hash_password;
use crate::protocol::secret::Secret;

use super::output;

#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum Command {
    /// Read a password from standard input and print its Argon2id hash, for `password_hash` of a person in the config.
    HashPassword,
}

pub(super) fn run(Command::HashPassword: Command) -> anyhow::Result<()> {
    if std::io::stdin().is_terminal() {
        output::note("type the password, then Enter and Ctrl-D. It is shown on the screen.");
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    std::io::stdin().take(4096).read_to_string(&mut text)?;
    let password = Secret::new(text.trim_end_matches(['\r', '\n']));
    let length = password.expose().chars().count();
    ensure!(length >= 8, "a password has 8 characters or more");
    let hash = hash_password(&password).map_err(|error| anyhow!("{error}"))?;
    output::line(hash);
    Ok(())
}
