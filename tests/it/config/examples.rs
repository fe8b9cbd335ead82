//! The files in `config/` load, and the reference manual holds every key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use portico::config::{OVERRIDES, known_keys, load_with};
use toml::{Table, Value};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name)
}

#[test]
fn every_shipped_config_loads_without_a_warning() {
    for name in [
        "portico.toml",
        "portico.minimal.toml",
        "portico.example.toml",
    ] {
        let config = load_with(&shipped(name), &|variable| match variable {
            "PORTICO_MASTER_KEY" => Some("A".repeat(43)),
            _ if OVERRIDES.iter().any(|(known, _)| *known == variable) => None,
            _ => Some(format!("example-value-of-{variable}")),
        });
        match config {
            Ok(config) => assert!(config.warnings.is_empty(), "{name}: {:?}", config.warnings),
            Err(problems) => panic!("{problems}"),
        }
    }
}

/// What `portico check` shows: what was written, and the defaults.
#[test]
fn the_effective_config_holds_what_was_written() {
    let config = load_with(&shipped("portico.minimal.toml"), &|_| None).unwrap();
    let shown: Table = config.effective().parse().unwrap();
    assert_eq!(shown["issuer"].as_str(), Some("https://login.example.org"));
    assert_eq!(shown["lifetimes"]["refresh_idle"].as_str(), Some("30d"));
    assert_eq!(
        shown["upstreams"][0]["base_url"].as_str(),
        Some("https://members.example.org")
    );
    assert_eq!(
        shown["clients"][0]["client_id"].as_str(),
        Some("events-app")
    );
}

/// Neither a key without explanation nor an explanation without key.
#[test]
fn the_example_holds_every_key_and_no_other() {
    let text = std::fs::read_to_string(shipped("portico.example.toml")).unwrap();
    let uncommented: Vec<&str> = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => key,
            _ => line,
        })
        .collect();
    let table: Table = uncommented.join("\n").parse().unwrap();
    let mut written = BTreeSet::new();
    record(&table, "", &mut written);
    let known = known_keys();
    assert!(known.len() > 80, "{known:?}");
    let missing: Vec<&String> = known.difference(&written).collect();
    let unknown: Vec<&String> = written.difference(&known).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing: {missing:#?}\nunknown: {unknown:#?}"
    );
}

/// Tables whose keys the administrator chooses.
const FREE: [&str; 1] = ["upstreams.api.query"];

fn record(table: &Table, path: &str, keys: &mut BTreeSet<String>) {
    // Keys of one kind of upstream are told apart by the kind; those that all kinds have stand above.
    let kind = (path == "upstreams").then(|| table["kind"].as_str().unwrap());
    let common = ["id", "kind", "label", "login", "api"];
    for (key, value) in table {
        let key = match kind {
            Some(kind) if !common.contains(&key.as_str()) => format!("{kind}.{key}"),
            _ => key.clone(),
        };
        let gap = if path.is_empty() { "" } else { "." };
        let key = format!("{path}{gap}{key}");
        let elements = value
            .as_array()
            .map_or(std::slice::from_ref(value), Vec::as_slice);
        for inner in elements.iter().filter_map(Value::as_table) {
            let secret = inner.contains_key("env") || inner.contains_key("file");
            if !secret && !FREE.contains(&key.as_str()) {
                record(inner, &key, keys);
            }
        }
        keys.insert(key);
    }
}
