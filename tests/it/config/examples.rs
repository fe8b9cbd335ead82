//! The files in `config/` load, and the reference manual holds every key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use portico::config::{OVERRIDES, known_keys, load_with};
use toml::{Table, Value};

use super::{Folder, MINIMAL};

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

/// The registration in the documentation loads beside the least config, and says what the tables around it say.
#[test]
fn the_registration_of_imis_in_the_documentation_loads() {
    let page = include_str!("../../../docs/imis-as-client.md");
    let examples: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let [registration] = examples.as_slice() else {
        panic!("{} examples", examples.len());
    };
    let upstream = "[[upstreams]]\nid = \"staff\"\nkind = \"aim18\"\nlabel = \"Staff login\"\n\
                    base_url = \"https://erp.example.org\"\nclient_id = \"C-example\"\n\
                    client_secret = { env = \"AIM18_CLIENT_SECRET\" }\n";
    let folder = Folder::new(&format!("{MINIMAL}{upstream}"));
    folder.write("clients.d/imis.toml", registration);
    let config = folder
        .load(&[
            ("AIM18_CLIENT_SECRET", "example-secret-of-length"),
            ("IMIS_OIDC_SECRET", "example-secret-of-length"),
        ])
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let client = &config.clients[0].client;
    // Each is a row of the table about iMIS's side.
    for text in [
        format!("| Client ID | `{}`", client.client_id),
        format!("`{}`, with the slash", client.redirect_uris[0].as_str()),
        "| External ID claim type | `external_id` |".to_owned(),
        "Claim type | `staff` |".to_owned(),
        "Claim value | `1` |".to_owned(),
    ] {
        assert!(page.contains(&text), "{text}");
    }
    for claim in ["external_id", "staff", "email", "given_name", "family_name"] {
        assert!(client.claims.names().any(|name| name == claim), "{claim}");
    }
}

/// So do the resources.
#[test]
fn the_resources_in_the_documentation_load() {
    let examples = crate::token_docs::examples("toml");
    let [example] = examples.as_slice() else {
        panic!("{} examples", examples.len());
    };
    let folder = Folder::new(&format!("{MINIMAL}{example}"));
    let config = folder
        .load(&[
            ("REPORTS_API_SECRET", "example-secret-of-length"),
            ("ARCHIVE_API_SECRET", "example-secret-of-length"),
        ])
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.resources.len(), 2);
    assert_eq!(config.clients[0].client.resources.len(), 2);
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

/// The audit tells which keys have changed by what is shown: a key that is not would change unseen.
#[test]
fn the_effective_config_shows_every_key_of_its_sections() {
    let config = load_with(&shipped("portico.minimal.toml"), &|_| None).unwrap();
    let shown: Table = config.effective().parse().unwrap();
    for section in [
        "lifetimes",
        "login",
        "par",
        "dpop",
        "registration",
        "log",
        "audit",
        "outbound",
    ] {
        let prefix = format!("{section}.");
        let known = known_keys();
        let known = known.iter().filter_map(|key| key.strip_prefix(&prefix));
        let known: BTreeSet<&str> = known.filter(|key| !key.contains('.')).collect();
        assert!(known.len() > 1, "{section}");
        let shown = shown[section].as_table().unwrap();
        let shown: BTreeSet<&str> = shown.keys().map(String::as_str).collect();
        assert_eq!(shown, known, "{section}");
    }
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
    let known = known_keys();
    let mut written = BTreeSet::new();
    record(&table, "", &known, &mut written);
    assert!(known.len() > 80, "{known:?}");
    let missing: Vec<&String> = known.difference(&written).collect();
    let unknown: Vec<&String> = written.difference(&known).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing: {missing:#?}\nunknown: {unknown:#?}"
    );
}

fn record(table: &Table, path: &str, known: &BTreeSet<String>, keys: &mut BTreeSet<String>) {
    // Keys of one kind of upstream are told apart by the kind; those that all kinds have stand above.
    let kind = (path == "upstreams").then(|| table["kind"].as_str().unwrap());
    let common = [
        "id",
        "kind",
        "label",
        "login",
        "acr",
        "recheck",
        "recheck_timeout",
        "recheck_sessions",
        "api",
    ];
    for (key, value) in table {
        let key = match kind {
            Some(kind) if !common.contains(&key.as_str()) => format!("{kind}.{key}"),
            _ => key.clone(),
        };
        let gap = if path.is_empty() { "" } else { "." };
        // Where the administrator chooses the names, any will do.
        let any = format!("{path}{gap}*");
        let key = if known.contains(&any) {
            any
        } else {
            format!("{path}{gap}{key}")
        };
        let elements = value
            .as_array()
            .map_or(std::slice::from_ref(value), Vec::as_slice);
        for inner in elements.iter().filter_map(Value::as_table) {
            // A table whose keys are the administrator's choice has none that are known.
            let below = format!("{key}.");
            let closed = known.iter().any(|known| known.starts_with(&below));
            if closed {
                record(inner, &key, known, keys);
            }
        }
        keys.insert(key);
    }
}

/// What the pages about the upstreams tell people to write is taken as it stands.
#[test]
fn the_upstreams_of_the_documentation_load() {
    for page in ["aim18.md", "oidc.md"] {
        let page = shipped("../docs").join(page);
        let text = std::fs::read_to_string(page).unwrap();
        let blocks = text.split("```toml\n").skip(1);
        let blocks: Vec<&str> = blocks
            .map(|rest| rest.split("```").next().unwrap())
            .filter(|block| block.contains("[[upstreams]]"))
            .collect();
        assert!(!blocks.is_empty());
        for block in blocks {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("portico.toml");
            let config = format!(
                "issuer = \"https://login.example.org\"\n[database]\nurl = \"sqlite:portico.db\"\n{block}\n\
                 [[clients]]\nclient_id = \"app\"\ntoken_endpoint_auth_method = \"none\"\n\
                 redirect_uris = [\"https://app.example.org/callback\"]\n"
            );
            std::fs::write(&file, config).unwrap();
            let loaded = load_with(&file, &|variable| match variable {
                _ if OVERRIDES.iter().any(|(known, _)| *known == variable) => None,
                _ => Some(format!("example-value-of-{variable}")),
            });
            if let Err(problems) = loaded {
                panic!("{problems}\n{block}");
            }
        }
    }
}
