//! `portico client list` and `portico client secret`.

use clap::Subcommand;

use crate::model::client::{Client, made_secret};

use super::{ConfigFile, database, output};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The clients that the server knows.
    List(ConfigFile),
    /// Make a client secret of full entropy and print it.
    Secret,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(file) => {
            let store = database::open(&file.load()?).await?;
            let clients = store.list_clients().await?;
            let rows: Vec<_> = clients.iter().map(|stored| row(&stored.client)).collect();
            output::table(
                [
                    "CLIENT",
                    "NAME",
                    "AUTHENTICATION",
                    "GRANTS",
                    "SCOPE",
                    "UPSTREAMS",
                ],
                &rows,
            );
            store.close().await;
        }
        Command::Secret => output::line(made_secret().expose()),
    }
    Ok(())
}

fn row(client: &Client) -> [String; 6] {
    let grants = client.grant_types.iter().map(|grant| grant.as_str());
    let upstreams = client.upstreams.as_ref().map_or_else(
        || "all".to_owned(),
        |allowed| {
            allowed
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        },
    );
    [
        client.client_id.to_string(),
        client.client_name.clone().unwrap_or_default(),
        client.token_endpoint_auth_method.as_str().to_owned(),
        grants.collect::<Vec<_>>().join(" "),
        client.scope.to_string(),
        upstreams,
    ]
}
