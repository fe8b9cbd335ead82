//! `portico client list`, `show`, `delete`, `secret` and `token`.

mod token;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::model::audit::Event;
use crate::model::client::{Client, made_secret};
use crate::model::registration::{Registration, metadata_of};
use crate::protocol::ids::ClientId;
use crate::store::Store;
use crate::telemetry::{Audit, Entry};

use super::{ConfigFile, Listing, database, output};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// The clients that the server knows, and who owns each: the files, or itself (it registered).
    List(Listing),
    /// All that is known of one client. Secrets are not shown: only hashes are kept.
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// The client's id.
        #[arg(allow_hyphen_values = true)]
        client_id: String,
        /// A JSON object, for machines; times as Unix seconds.
        #[arg(long)]
        json: bool,
    },
    /// Remove a client that registered itself; its tokens end at once. A client of the files is removed there.
    Delete {
        #[command(flatten)]
        file: ConfigFile,
        /// The client's id.
        #[arg(allow_hyphen_values = true)]
        client_id: String,
    },
    /// Make a client secret of full entropy and print it.
    Secret,
    /// Make, list and revoke the tokens with which clients register themselves.
    #[command(subcommand)]
    Token(token::Command),
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(Listing { file, json }) => {
            let store = database::open(&file.load()?).await?;
            let outcome = list(&store, json).await;
            store.close().await;
            outcome
        }
        Command::Show {
            file,
            client_id,
            json,
        } => {
            let store = database::open(&file.load()?).await?;
            let outcome = show(&store, &ClientId::new(client_id), json).await;
            store.close().await;
            outcome
        }
        Command::Delete { file, client_id } => {
            let config = file.load()?;
            let id = ClientId::new(client_id);
            database::recorded(&config, async |store, audit| {
                delete(store, audit, &id).await
            })
            .await
        }
        Command::Secret => {
            output::line(made_secret().expose());
            Ok(())
        }
        Command::Token(command) => token::run(command).await,
    }
}

async fn list(store: &Store, as_json: bool) -> anyhow::Result<()> {
    let registrations = store.list_registrations().await?;
    let registrations: BTreeMap<&ClientId, &Registration> = registrations
        .iter()
        .map(|registration| (&registration.client_id, registration))
        .collect();
    let clients = store.list_clients().await?;
    let heads = [
        "CLIENT",
        "OWNER",
        "NAME",
        "AUTHENTICATION",
        "GRANTS",
        "SCOPE",
        "UPSTREAMS",
    ];
    let mut list = output::List::new(heads, as_json);
    for stored in &clients {
        let client = &stored.client;
        let registration = registrations.get(&client.client_id).copied();
        let told = || describe(client, registration);
        list.add(told, || row(client, registration));
    }
    list.end();
    Ok(())
}

fn row(client: &Client, registration: Option<&Registration>) -> [String; 7] {
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
    let owner = match registration {
        None => "files",
        Some(registration) if registration.used_at.is_none() => "registered, unused",
        Some(_) => "registered",
    };
    [
        client.client_id.to_string(),
        owner.to_owned(),
        client
            .client_name
            .as_deref()
            .map(output::printable)
            .unwrap_or_default(),
        client.token_endpoint_auth_method.as_str().to_owned(),
        grants.collect::<Vec<_>>().join(" "),
        client.scope.to_string(),
        upstreams,
    ]
}

async fn show(store: &Store, id: &ClientId, as_json: bool) -> anyhow::Result<()> {
    let stored = store.read_client(id).await?;
    let stored = stored.with_context(|| format!("there is no client {id}"))?;
    let registration = store.find_registration(id).await?;
    if as_json {
        let told = describe(&stored.client, registration.as_ref());
        output::line(told.to_string());
        return Ok(());
    }
    let tell =
        |name: &str, value: &str| output::line(format!("{name}: {}", output::printable(value)));
    tell("client_id", id.as_str());
    match &registration {
        None => tell("owner", "the configuration files"),
        Some(registration) => {
            tell("owner", "the client itself, which registered");
            tell("registered", &output::date(registration.issued_at));
            if let Some(token) = &registration.initial_access_token {
                tell("initial access token", token);
            }
            let never = || "never".to_owned();
            let used = registration.used_at.map_or_else(never, output::date);
            tell("last used", &used);
            if let Some(end) = registration.expires_at {
                tell("removed if not used until", &output::date(end));
            }
        }
    }
    let upstreams = stored.client.upstreams.iter().flatten();
    let upstreams = upstreams.map(ToString::to_string).collect::<Vec<_>>();
    tell("upstreams", &upstreams.join(" "));
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned)
    };
    let told = metadata_of(&stored.client);
    for (name, value) in &told {
        tell(name, &text(value));
    }
    if let Some(withheld) = &stored.client.withheld {
        // What the policy of [registration] takes, each as it was registered.
        for (name, value) in metadata_of(&withheld.registered) {
            if told.get(&name) != Some(&value) {
                tell(&format!("{name}, as registered"), &text(&value));
            }
        }
        if withheld.auth_method {
            tell("token_endpoint_auth_method", "no longer allowed");
        }
    }
    Ok(())
}

/// A client for machines: its metadata by the names of RFC 7591 section 2, and what is known of it beside.
fn describe(client: &Client, registration: Option<&Registration>) -> Value {
    let mut told = Map::new();
    told.insert("client_id".to_owned(), json!(client.client_id.as_str()));
    let owner = registration.map_or("files", |_| "registered");
    told.insert("owner".to_owned(), json!(owner));
    if let Some(registration) = registration {
        told.insert("registered_at".to_owned(), json!(registration.issued_at));
        let token = json!(registration.initial_access_token);
        told.insert("initial_access_token".to_owned(), token);
        told.insert("used_at".to_owned(), json!(registration.used_at));
        told.insert("expires_at".to_owned(), json!(registration.expires_at));
    }
    // Null: all of them.
    told.insert("upstreams".to_owned(), json!(client.upstreams));
    told.extend(metadata_of(client));
    if let Some(withheld) = &client.withheld {
        let registered = Value::Object(metadata_of(&withheld.registered));
        told.insert("as_registered".to_owned(), registered);
        let refused = json!(withheld.auth_method);
        told.insert("auth_method_refused".to_owned(), refused);
    }
    Value::Object(told)
}

async fn delete(store: &Store, audit: &Audit, id: &ClientId) -> anyhow::Result<()> {
    let now = Clock::system().now();
    if store.remove_registered_client(id, now).await? {
        let entry = Entry::new(Event::ClientDeregistered).client(id);
        audit.record(entry.with("by", "administrator"));
        output::line(format!("{id} is removed"));
        return Ok(());
    }
    match store.read_client(id).await? {
        Some(_) => bail!("{id} is a client of the configuration files; remove it there"),
        None => bail!("there is no client {id}"),
    }
}
