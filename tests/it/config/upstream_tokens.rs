//! `upstream_tokens` and `service_tokens`: what is missing is told before anybody exchanges anything (T62).

use super::{MINIMAL, assert_problem, load, problems};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

fn upstreams() -> String {
    format!(
        r#"{MINIMAL}
service_account = {{ username = "svc", password = {{ env = "SECRET" }} }}

[[upstreams]]
id = "plain"
kind = "imis"
base_url = "https://plain.example.org"

[[upstreams]]
id = "emergency"
kind = "users"

[[upstreams.people]]
id = "1"
username = "admin"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$ZXhhbXBsZS1leGFtcGxl$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"#
    )
}

fn app(lines: &str) -> String {
    format!(
        r#"{}
[[clients]]
client_id = "app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://app.example.org/cb"]
{lines}
"#,
        upstreams()
    )
}

fn server(lines: &str) -> String {
    format!(
        r#"{}
[[clients]]
client_id = "server"
client_secret = {{ env = "SECRET" }}
{lines}
"#,
        upstreams()
    )
}

#[test]
fn a_client_with_all_that_it_needs() {
    let config = load(&app(&format!(
        "grant_types = [\"authorization_code\", \"{GRANT}\"]\n\
         scope = \"openid upstream:members\"\nupstream_tokens = [\"members\"]"
    )))
    .unwrap();
    let client = &config.clients[0].client;
    assert_eq!(client.upstream_tokens.len(), 1);
    assert!(client.service_tokens.is_empty());
    let config = load(&server(&format!(
        "grant_types = [\"client_credentials\", \"{GRANT}\"]\n\
         scope = \"upstream:members\"\nservice_tokens = [\"members\"]"
    )))
    .unwrap();
    assert_eq!(config.clients[0].client.service_tokens.len(), 1);
}

#[test]
fn each_thing_that_is_missing_is_one_problem() {
    let people = format!("grant_types = [\"authorization_code\", \"{GRANT}\"]\n");
    for (lines, key, text) in [
        (people.clone(), "grant_types", "upstream_tokens"),
        (
            "scope = \"openid upstream:members\"\nupstream_tokens = [\"members\"]".to_owned(),
            "grant_types",
            GRANT,
        ),
        (
            format!("{people}upstream_tokens = [\"members\"]"),
            "scope",
            "upstream:members",
        ),
        (
            format!("{people}scope = \"openid upstream:memers\"\nupstream_tokens = [\"memers\"]"),
            "upstream_tokens[0]",
            "did you mean members?",
        ),
        (
            format!(
                "{people}scope = \"openid upstream:members\"\nupstreams = [\"plain\"]\nupstream_tokens = [\"members\"]"
            ),
            "upstream_tokens[0]",
            "add it to upstreams",
        ),
        (
            format!(
                "{people}scope = \"openid upstream:emergency\"\nupstream_tokens = [\"emergency\"]"
            ),
            "upstream_tokens[0]",
            "no tokens",
        ),
        (
            format!("{people}scope = \"openid upstream:members\"\nservice_tokens = [\"members\"]"),
            "service_tokens",
            "can keep a secret",
        ),
    ] {
        assert_problem(&app(&lines), &format!("clients[0].{key}"), text);
    }
    let own = format!("grant_types = [\"client_credentials\", \"{GRANT}\"]\n");
    for (lines, key, text) in [
        (
            format!("{own}scope = \"upstream:plain\"\nservice_tokens = [\"plain\"]"),
            "service_tokens[0]",
            "no service account",
        ),
        (
            format!("{own}scope = \"upstream:emergency\"\nservice_tokens = [\"emergency\"]"),
            "service_tokens[0]",
            "no service account",
        ),
        (
            format!("{own}scope = \"upstream:members\"\nupstream_tokens = [\"members\"]"),
            "upstream_tokens",
            "authorization_code",
        ),
        (
            format!(
                "redirect_uris = [\"https://app.example.org/cb\"]\n{people}scope = \"upstream:members\"\nservice_tokens = [\"members\"]"
            ),
            "service_tokens",
            "client_credentials",
        ),
    ] {
        assert_problem(&server(&lines), &format!("clients[0].{key}"), text);
    }
}

#[test]
fn everything_is_told_at_once() {
    let found = problems(&app("upstream_tokens = [\"members\", \"nowhere\"]"));
    assert_eq!(found.len(), 4, "{found:#?}");
}
