//! Who may import whom (docs/architecture.md, "The rooms"): arrows lead downward only. Rust does not check this inside
//! one crate; this does, on the text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and the rooms it may use. `app` and `cli` may use all.
const ROOMS: [(&str, &str); 22] = [
    ("protocol", ""),
    ("clock", ""),
    ("beside", ""),
    ("model", "protocol clock"),
    ("passwords", "protocol clock"),
    ("keys", "protocol clock beside model passwords"),
    ("store", "protocol clock beside model"),
    ("upstream", "protocol clock model passwords telemetry"),
    (
        "vault",
        "protocol clock beside model keys store upstream fetch telemetry",
    ),
    ("fetch", "protocol clock model upstream"),
    ("config", "protocol model upstream"),
    ("tokens", "protocol clock model keys store telemetry"),
    ("telemetry", "protocol clock model"),
    (
        "recheck",
        "protocol clock model store upstream telemetry vault",
    ),
    (
        "logins",
        "protocol clock model keys store upstream telemetry vault",
    ),
    (
        "grants",
        "protocol clock model passwords keys store upstream fetch recheck tokens telemetry vault logins",
    ),
    (
        "flow",
        "protocol clock model passwords keys store upstream fetch recheck tokens telemetry vault logins",
    ),
    (
        "gateway",
        "protocol clock model passwords keys store upstream fetch recheck tokens telemetry vault",
    ),
    (
        "backchannel",
        "protocol clock model keys store fetch tokens telemetry",
    ),
    (
        "registrar",
        "protocol clock model keys store upstream fetch telemetry",
    ),
    (
        "http",
        "protocol clock beside model passwords keys store upstream fetch recheck registrar tokens telemetry vault grants flow gateway",
    ),
    ("simulator", "clock"),
];

/// Each of these texts, and where alone it may stand.
const NAMES: [(&str, &[&str]); 8] = [
    ("sqlx", &["store"]),
    ("askama", &["http"]),
    // `simulator` answers over HTTP like the systems that it plays, `app` hands the router to the listener, and the
    // demo's sample app is a site of its own.
    ("axum", &["http", "simulator", "app", "cli/demo"]),
    ("tower_http", &["http"]),
    ("axum_server", &["app"]),
    ("reqwest", &["upstream", "fetch"]),
    ("SystemTime", &["clock.rs"]),
    // The signer must hand the library's own source to the library.
    ("aws_lc_rs::rand", &["clock.rs", "keys/signer.rs"]),
];

/// The files of `src`, their paths from there, and their code without comments and unit tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs")
            {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                found.push((name.to_owned(), code(&fs::read_to_string(&path).unwrap())));
            }
        }
    }
    assert!(found.len() > 100, "only {} files", found.len());
    found
}

/// Unit tests stand at a file's end, and may use more than the code that they test.
fn code(text: &str) -> String {
    let end = text.find("\n#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let lines = text[..end].lines();
    lines
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What follows each whole word `word` in `text`.
fn after<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).filter_map(move |(start, _)| {
        let rest = &text[start + word.len()..];
        let whole = !text[..start].ends_with(part_of_name) && !rest.starts_with(part_of_name);
        whole.then_some(rest)
    })
}

fn room(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

#[test]
fn imports_lead_downward_only() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (file, code) in sources() {
        seen.insert(room(&file).to_owned());
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room(&file)) else {
            continue;
        };
        let mut allowed: BTreeSet<&str> = allowed.split(' ').collect();
        allowed.insert(room(&file));
        for rest in after(&code, "crate") {
            let Some(rest) = rest.strip_prefix("::") else {
                continue;
            };
            let used = rest
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next();
            // `use crate::{..}` would hide what is used; name the rooms one by one.
            if !used.is_some_and(|used| allowed.contains(used)) {
                wrong.push(format!("{file}: crate::{}", used.unwrap_or("{")));
            }
        }
        // From the files of a room, this many steps up lead out of it.
        let steps =
            "super::".repeat(file.matches('/').count() + usize::from(!file.ends_with("mod.rs")));
        if code.contains(&steps) && !steps.is_empty() {
            wrong.push(format!("{file}: {steps}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let known = ROOMS.map(|(name, _)| name.to_owned());
    let others = ["app", "cli", "lib", "main"].map(str::to_owned);
    assert_eq!(
        seen,
        known.into_iter().chain(others).collect(),
        "every room has its line"
    );
}

#[test]
fn each_outside_thing_is_named_in_its_room_alone() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        for (name, places) in NAMES {
            let here = places.iter().any(|place| file.starts_with(place));
            if !here && after(&code, name).next().is_some() {
                wrong.push(format!("{file}: {name}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
