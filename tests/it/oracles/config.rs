//! A configuration: the bytes are `portico.toml`.

use std::collections::BTreeSet;
use std::fs;

use portico::config::{Config, load_with};
use portico::protocol::redirect_uri::RedirectUri;
use tempfile::TempDir;

/// The value of the environment's `SECRET`.
pub(crate) const SECRET: &str = "example-secret-of-length";

/// Loads `text`, and holds what came of it against it.
pub(crate) fn holds(text: &[u8]) {
    thread_local! {
        static FOLDER: TempDir = TempDir::new().expect("a folder");
    }
    FOLDER.with(|folder| {
        let path = folder.path().join("portico.toml");
        fs::write(&path, text).expect("a file");
        let lines = text.split(|byte| *byte == b'\n').count();
        match load_with(&path, &|name| (name == "SECRET").then(|| SECRET.to_owned())) {
            Ok(config) => what_is_loaded_keeps_the_rules(&config),
            Err(problems) => {
                assert!(!problems.is_empty(), "refused without a reason");
                for problem in problems.iter() {
                    assert!(!problem.text.is_empty() && !problem.text.contains(SECRET));
                    assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)));
                }
                assert!(!problems.to_string().contains(SECRET));
            }
        }
    });
}

fn what_is_loaded_keeps_the_rules(config: &Config) {
    assert!(!config.effective().contains(SECRET), "a secret is shown");
    assert!(!format!("{config:?}").contains(SECRET), "a secret is shown");
    let names: BTreeSet<_> = config
        .upstreams
        .iter()
        .map(|each| each.id.as_str())
        .collect();
    assert_eq!(names.len(), config.upstreams.len());
    assert!(!names.is_empty());
    let ids = config
        .clients
        .iter()
        .map(|each| each.client.client_id.as_str());
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), config.clients.len());
    for each in &config.clients {
        let client = &each.client;
        assert_eq!(
            client.token_endpoint_auth_method.has_secret(),
            !each.secrets.is_empty()
        );
        for uri in client
            .redirect_uris
            .iter()
            .chain(&client.post_logout_redirect_uris)
        {
            assert_eq!(RedirectUri::register(uri.as_str()).as_ref(), Ok(uri));
        }
        for upstream in client.upstreams.iter().flatten() {
            assert!(names.contains(upstream.as_str()), "{upstream} is nowhere");
        }
    }
}
