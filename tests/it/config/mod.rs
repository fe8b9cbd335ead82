//! What an administrator writes, and what they are told about it.

mod brand;
mod client_claims;
mod client_keys;
mod clients;
mod examples;
mod exchange;
mod names;
mod resources;
mod robustness;
mod rules;
mod scopes;
mod secrets;
mod sections;
mod upstream_apis;
mod upstream_tokens;

use std::path::{Path, PathBuf};

use portico::config::{Config, Problems, load_with};
use tempfile::TempDir;

/// The least that loads.
const MINIMAL: &str = r#"
issuer = "https://login.example.org"

[[upstreams]]
id = "members"
kind = "imis"
base_url = "https://members.example.org"
"#;

/// A folder with a `portico.toml`.
struct Folder(TempDir);

impl Folder {
    fn new(main: &str) -> Self {
        let folder = Self(TempDir::new().unwrap());
        folder.write("portico.toml", main);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file that its owner alone may read.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
        path
    }

    fn load(&self, env: &[(&str, &str)]) -> Result<Config, Problems> {
        load_with(&self.path("portico.toml"), &|name| {
            let found = env.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Loads a file of its own with the variables that the tests use.
fn load(main: &str) -> Result<Config, Problems> {
    Folder::new(main).load(&[
        ("SECRET", "example-secret-of-length"),
        ("OTHER_SECRET", "another-secret-of-length"),
        ("SHORT", "too-short"),
        ("MASTER_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        (
            "DATABASE",
            "postgres://portico:db-password@db.example.org/portico",
        ),
    ])
}

/// The problems of a file as `key: text`.
fn problems(main: &str) -> Vec<String> {
    match load(main) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .iter()
            .map(|problem| format!("{}: {}", problem.key, problem.text))
            .collect(),
    }
}

/// Asserts that `main` has exactly one problem, at `key`, whose text holds `text`.
fn assert_problem(main: &str, key: &str, text: &str) {
    let found = problems(main);
    let fits = |line: &String| line.starts_with(&format!("{key}: ")) && line.contains(text);
    assert!(
        found.len() == 1 && found.iter().all(fits),
        "wanted {key}: {text}\nfound {found:#?}\nin {main}"
    );
}
