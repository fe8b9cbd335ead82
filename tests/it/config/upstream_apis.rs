//! `[[upstreams.api]]` and `upstream_apis`: what is missing, or opens nothing, is told before anybody calls anything (T62).

use super::{Folder, load};

/// An iMIS with rules, an aiM18 without, and a client with these lines.
fn with(rules: &str, client: &str) -> String {
    format!(
        r#"
issuer = "https://login.example.org"

[[upstreams]]
id = "members"
kind = "imis"
base_url = "https://members.example.org"
{rules}

[[upstreams]]
id = "staff"
kind = "aim18"
base_url = "https://erp.example.org"
client_id = "C-example"
client_secret = {{ env = "SECRET" }}

[[clients]]
client_id = "app"
client_secret = {{ env = "SECRET" }}
redirect_uris = ["https://app.example.org/callback"]
{client}
"#
    )
}

const RULE: &str = "[[upstreams.api]]\nscope = \"members:read\"\npaths = [\"Party/*\"]\n";
const CLIENT: &str = "scope = \"openid members:read\"\nupstream_apis = [\"members\"]\n";

#[test]
fn a_rule_and_a_client_that_fit_load_without_a_warning() {
    let config = load(&with(RULE, CLIENT)).unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.upstreams[0].api.len(), 1);
    assert_eq!(config.clients[0].client.upstream_apis.len(), 1);
    assert!(config.effective().contains("members:read"));
}

#[test]
fn each_mistake_is_told_with_its_key() {
    let service = format!("{RULE}acts_as = \"service\"\n");
    for (rules, client, key, text) in [
        (
            RULE,
            "upstream_apis = [\"memers\"]",
            "upstream_apis[0]",
            "did you mean members?",
        ),
        (
            RULE,
            "upstream_apis = [\"staff\"]",
            "upstream_apis[0]",
            "has no [[upstreams.api]]",
        ),
        (
            RULE,
            "upstream_apis = [\"members\"]",
            "scope",
            "members:read",
        ),
        (
            RULE,
            "upstreams = [\"staff\"]\nscope = \"openid members:read\"\nupstream_apis = [\"members\"]",
            "upstream_apis[0]",
            "add it to upstreams",
        ),
        (
            RULE,
            "grant_types = [\"client_credentials\"]\nscope = \"members:read\"\nupstream_apis = [\"members\"]",
            "upstream_apis[0]",
            "authorization_code",
        ),
        (service.as_str(), "", "upstreams[0].api", "service_account"),
        (
            "[[upstreams.api]]\npaths = [\"Party\"]",
            "",
            "api[0].scope",
            "is missing",
        ),
        (
            "[[upstreams.api]]\nscope = \"a b\"\npaths = [\"Party\"]",
            "",
            "api[0].scope",
            "one scope",
        ),
        (
            "[[upstreams.api]]\nscope = \"openid\"\npaths = [\"Party\"]",
            "",
            "api[0].scope",
            "meaning of its own",
        ),
        // The consent page would tell of a phone number alone.
        (
            "[[upstreams.api]]\nscope = \"phone\"\npaths = [\"Party\"]",
            "",
            "api[0].scope",
            "meaning of its own",
        ),
        (
            "[[upstreams.api]]\nscope = \"upstream:members\"\npaths = [\"Party\"]",
            "",
            "api[0].scope",
            "meaning of its own",
        ),
        (
            "[[upstreams.api]]\nscope = \"a\"",
            "",
            "api[0].paths",
            "is missing",
        ),
        (
            "[[upstreams.api]]\nscope = \"a\"\npaths = [\"Party/../User\"]",
            "",
            "api[0].paths[0]",
            "below the API",
        ),
        (
            "[[upstreams.api]]\nscope = \"a\"\npaths = [\"Party\"]\nmethods = [\"get\"]",
            "",
            "api[0].methods[0]",
            "must be one of",
        ),
        (
            "[[upstreams.api]]\nscope = \"a\"\npaths = [\"Party\"]\nmethods = []",
            "",
            "api[0].methods",
            "is empty",
        ),
        (
            "[[upstreams.api]]\nscope = \"a\"\npaths = [\"Party\"]\nquery = { x = [] }",
            "",
            "api[0].query.x",
            "no value",
        ),
    ] {
        let problems = load(&with(rules, client)).unwrap_err().to_string();
        assert!(problems.contains(key), "{key}: {problems}");
        assert!(problems.contains(text), "{text}: {problems}");
    }
}

#[test]
fn only_imis_and_aim18_have_an_api_to_call() {
    let oidc = "\n[[upstreams]]\nid = \"partner\"\nkind = \"oidc\"\nissuer = \"https://accounts.example.org\"\n\
                client_id = \"portico\"\n[[upstreams.api]]\nscope = \"a\"\npaths = [\"x\"]\n";
    let problems = load(&format!("{}{oidc}", with(RULE, CLIENT))).unwrap_err();
    let told = problems.to_string();
    assert!(told.contains("no API that Portico can call"), "{told}");
}

#[test]
fn a_rule_that_opens_nothing_to_anybody_is_told() {
    let config = load(&with(RULE, "")).unwrap();
    let [warning] = &config.warnings[..] else {
        panic!("{:?}", config.warnings);
    };
    assert!(warning.contains("members:read") && warning.contains("upstream_apis"));
}

/// What the documentation writes loads, and opens what it says.
#[test]
fn the_example_of_the_documentation_loads() {
    let page = include_str!("../../../docs/gateway.md");
    let example = page.split("```toml\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let folder = Folder::new(&format!(
        "issuer = \"https://login.example.org\"\n{example}"
    ));
    let config = folder
        .load(&[
            ("IMIS_SERVICE_PASSWORD", "example-secret-of-length"),
            ("REPORTS_SECRET", "example-secret-of-length"),
        ])
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let [people, service] = &config.upstreams[0].api[..] else {
        panic!("{:?}", config.upstreams[0].api);
    };
    assert!(people.names("GET", &["Party", "20457"], &[]));
    let query = [("QueryName".to_owned(), "$/Portico/Members".to_owned())];
    assert!(service.names("GET", &["query"], &query));
    assert!(!service.names("GET", &["query"], &[]));
}
