//! What the configuration says otherwise than at the last start, for the audit: by key, and never by value, for a value may be a
//! person's name.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::clock::UnixTime;
use crate::config::Config;
use crate::model::audit::Event;
use crate::store::{Store, StoreError};
use crate::telemetry::{Audit, Entry};

/// Keys of a node's own, whose values differ between nodes without any change; that they come or go is one.
const OF_A_NODE: [&str; 4] = [
    "server.listen",
    "server.internal_listen",
    "server.tls.certificate",
    "server.tls.private_key",
];
/// By what the members of a list are told apart.
const NAMES: [&str; 4] = ["client_id", "id", "identifier", "name"];

/// Records which keys have changed since a server started last.
pub(super) async fn note_changes(
    store: &Store,
    config: &Config,
    audit: &Audit,
    now: UnixTime,
) -> Result<(), StoreError> {
    let effective = config.effective();
    if let Some(before) = store.replace_configuration(&effective, now).await? {
        let changed = changed_keys(&before, &effective);
        if !changed.is_empty() {
            let entry = Entry::new(Event::ConfigurationChanged);
            audit.record(entry.with("keys", changed.join(" ")));
        }
    }
    Ok(())
}

fn changed_keys(before: &str, after: &str) -> Vec<String> {
    let (before, after) = (keys(before), keys(after));
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut changed: Vec<String> = Vec::new();
    for key in all {
        // What came or went as a whole is told as a whole.
        let told = changed.last().is_some_and(|last| {
            let rest = key.strip_prefix(last.as_str());
            last.ends_with(']') && rest.is_some_and(|rest| rest.starts_with('.'))
        });
        if !told && before.get(key) != after.get(key) {
            changed.push(key.clone());
        }
    }
    changed
}

/// Each key with its value: `lifetimes.session`, `clients[events-app].scope`.
fn keys(text: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let table: Table = toml::from_str(text).unwrap_or_default();
    for (name, value) in table {
        collect(name, value, &mut found);
    }
    for key in OF_A_NODE {
        if let Some(value) = found.get_mut(key) {
            *value = Value::Boolean(true);
        }
    }
    found
}

fn collect(path: String, value: Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                collect(format!("{path}.{name}"), value, found);
            }
        }
        Value::Array(members) if members.iter().any(Value::is_table) => {
            for (number, member) in members.into_iter().enumerate() {
                let mut named = NAMES.iter().filter_map(|name| member.get(*name)?.as_str());
                let name = named
                    .next()
                    .map_or_else(|| number.to_string(), ToOwned::to_owned);
                let path = format!("{path}[{name}]");
                found.insert(path.clone(), Value::Boolean(true));
                collect(path, member, found);
            }
        }
        value => {
            found.insert(path, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_and_not_their_values() {
        let before = r#"
            issuer = "https://a.example.org"
            [server]
            listen = "127.0.0.1:1"
            internal_listen = "127.0.0.1:2"
            trusted_proxies = ["192.0.2.1"]
            [server.tls]
            certificate = "/one/certificate.pem"
            private_key = "/one/key.pem"
            [log]
            filter = "info"
            [lifetimes]
            session = "8h"
            [[clients]]
            client_id = "one"
            scope = "openid"
            [[clients]]
            client_id = "two"
            redirect_uris = ["https://two.example.org/"]
        "#;
        let after = r#"
            issuer = "https://a.example.org"
            [server]
            listen = "127.0.0.1:3"
            internal_listen = "127.0.0.1:4"
            trusted_proxies = ["192.0.2.1", "0.0.0.0/0"]
            [server.tls]
            certificate = "/two/certificate.pem"
            private_key = "/two/key.pem"
            [log]
            filter = "off"
            [lifetimes]
            session = "9h"
            [[clients]]
            client_id = "two"
            redirect_uris = ["https://two.example.org/", "https://two.example.com/"]
            [brand]
            name = "Society"
        "#;
        let expected = [
            "brand.name",
            "clients[one]",
            "clients[two].redirect_uris",
            "lifetimes.session",
            "log.filter",
            "server.trusted_proxies",
        ];
        assert_eq!(changed_keys(before, after), expected);
        assert_eq!(changed_keys(before, before), Vec::<String>::new());
        // Where a node listens is its own; that it speaks TLS no more is not.
        let plain = "issuer = \"https://a.example.org\"\n[server]\nlisten = \"127.0.0.1:9\"";
        let with_tls = format!("{plain}\n[server.tls]\ncertificate = \"c\"\nprivate_key = \"k\"");
        let expected = ["server.tls.certificate", "server.tls.private_key"];
        assert_eq!(changed_keys(&with_tls, plain), expected);
    }
}
