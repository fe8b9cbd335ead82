//! `exchange` of a client: each thing that is missing or cannot be is told by name before anybody exchanges anything (RFC 8693, T15,
//! T18).

use super::{MINIMAL, assert_problem, load, problems};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const GOOD: &str = r#"audiences = ["https://stock.example.org"], own_audiences = ["https://orders.example.org"], from_clients = ["app"]"#;

fn app() -> String {
    format!(
        "{MINIMAL}\n[[clients]]\nclient_id = \"app\"\ntoken_endpoint_auth_method = \"none\"\n\
         redirect_uris = [\"https://app.example.org/cb\"]\n"
    )
}

/// An API's client with this policy.
fn api(exchange: &str) -> String {
    format!(
        "{}\n[[clients]]\nclient_id = \"api\"\nclient_secret = {{ env = \"SECRET\" }}\n\
         grant_types = [\"{GRANT}\"]\nexchange = {{ {exchange} }}\n",
        app()
    )
}

#[test]
fn a_policy_is_what_was_written() {
    let config = load(&api(GOOD)).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let policy = &config.clients[1].client.exchange;
    assert_eq!(
        policy.audiences.iter().collect::<Vec<_>>(),
        ["https://stock.example.org"]
    );
    assert_eq!(
        policy.own_audiences.iter().collect::<Vec<_>>(),
        ["https://orders.example.org"]
    );
    assert!(!policy.impersonation);
    // Its own tokens are for it, whatever they name.
    let own = "audiences = [\"https://stock.example.org\"], from_clients = [\"api\"]";
    assert!(load(&api(own)).unwrap().warnings.is_empty());
}

#[test]
fn every_problem_is_told_by_name() {
    let stock = "audiences = [\"https://stock.example.org\"]";
    let orders = "own_audiences = [\"https://orders.example.org\"]";
    let from = "from_clients = [\"app\"]";
    for (exchange, key, text) in [
        (
            format!("{orders}, {from}"),
            "audiences",
            "is missing; write the APIs",
        ),
        (
            format!("audiences = [], {orders}, {from}"),
            "audiences",
            "is missing",
        ),
        (
            format!("{stock}, {orders}"),
            "from_clients",
            "is missing; write the client_id",
        ),
        (
            format!("{stock}, {orders}, from_clients = []"),
            "from_clients",
            "is missing",
        ),
        (
            format!("{stock}, {from}"),
            "own_audiences",
            "is missing; write what stands for this client's own API",
        ),
        (
            format!("{stock}, own_audiences = [], {from}"),
            "own_audiences",
            "is missing",
        ),
        (
            format!("audiences = [\"stock\"], {orders}, {from}"),
            "audiences[0]",
            "",
        ),
        (
            format!("audiences = [\"https://x.example/#a\"], {orders}, {from}"),
            "audiences[0]",
            "",
        ),
        (
            format!("{stock}, own_audiences = [\"https://a.example\", \"orders\"], {from}"),
            "own_audiences[1]",
            "",
        ),
        (
            format!("audiences = [\"https://login.example.org\"], {orders}, {from}"),
            "audiences[0]",
            "is this server itself",
        ),
        (
            format!("audiences = [\"https://login.example.org/\"], {orders}, {from}"),
            "audiences[0]",
            "is this server itself",
        ),
        (
            format!(
                "audiences = [\"https://stock.example.org\", \"https://members.example.org/\"], {orders}, {from}"
            ),
            "audiences[1]",
            "is an upstream",
        ),
        (format!("{GOOD}, actors = true"), "actors", ""),
        (
            format!("{GOOD}, impersonation = \"yes\""),
            "impersonation",
            "",
        ),
    ] {
        assert_problem(&api(&exchange), &format!("clients[1].exchange.{key}"), text);
    }
}

/// What stands around the policy.
#[test]
fn a_client_that_cannot_exchange_has_no_policy() {
    let without_grant = api(GOOD).replace(GRANT, "client_credentials");
    assert_problem(&without_grant, "clients[1].exchange", "to grant_types");
    let public = api(GOOD)
        .replace("client_secret = { env = \"SECRET\" }", "token_endpoint_auth_method = \"none\"")
        .replace("grant_types = [", "redirect_uris = [\"https://api.example.org/cb\"]\ngrant_types = [\"authorization_code\", ");
    assert_problem(
        &public,
        "clients[1].exchange",
        "needs a client that can keep a secret",
    );
    // All of it at once.
    let nothing = problems(&without_grant.replace(GOOD, ""));
    for key in [
        "exchange: needs the grant",
        "exchange.audiences: is missing",
        "exchange.from_clients: is missing",
    ] {
        let named = format!("clients[1].{key}");
        assert!(
            nothing.iter().any(|problem| problem.starts_with(&named)),
            "{key}: {nothing:?}"
        );
    }
}

/// A client that no file has is a warning: it may have registered itself.
#[test]
fn a_stranger_is_warned_of() {
    let config = load(&api(&GOOD.replace("\"app\"", "\"nobody\""))).unwrap();
    let warned = config
        .warnings
        .iter()
        .any(|warning| warning.contains("exchange.from_clients of api names nobody"));
    assert!(warned, "{:?}", config.warnings);
}
