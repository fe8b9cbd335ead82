//! `[[clients]]`.

use portico::model::client::{ConsentPolicy, SubjectType};
use portico::protocol::client_auth::ClientAuthMethod;
use portico::protocol::token::GrantType;

use super::{Folder, MINIMAL, assert_problem, load, problems};

const PUBLIC: &str = r#"
[[clients]]
client_id = "app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://app.example.org/cb"]
"#;

const CONFIDENTIAL: &str = r#"
[[clients]]
client_id = "app"
client_secret = { env = "SECRET" }
redirect_uris = ["https://app.example.org/cb"]
"#;

#[test]
fn a_client_has_the_defaults_of_dynamic_registration() {
    let config = load(&format!("{MINIMAL}{CONFIDENTIAL}")).unwrap();
    let client = &config.clients[0].client;
    assert_eq!(
        client.token_endpoint_auth_method,
        ClientAuthMethod::ClientSecretBasic
    );
    assert!(
        client
            .grant_types
            .iter()
            .eq([&GrantType::AuthorizationCode])
    );
    assert_eq!(client.scope.to_string(), "openid");
    assert_eq!(client.consent, ConsentPolicy::None);
    assert!(client.upstreams.is_none() && !client.require_pkce);
    assert!(config.clients[0].secrets[0].equals("example-secret-of-length"));

    let public = load(&format!("{MINIMAL}{PUBLIC}")).unwrap();
    assert!(public.clients[0].client.require_pkce);
    assert!(public.clients[0].secrets.is_empty());
}

#[test]
fn a_client_with_client_credentials_alone_asks_for_nothing_by_default() {
    let service = r#"
        [[clients]]
        client_id = "service"
        client_secret = { env = "SECRET" }
        grant_types = ["client_credentials"]
    "#;
    let config = load(&format!("{MINIMAL}{service}")).unwrap();
    assert!(config.clients[0].client.scope.is_empty());
}

#[test]
fn two_secrets_live_while_one_replaces_the_other() {
    let client = CONFIDENTIAL.replace(
        "{ env = \"SECRET\" }",
        "[{ env = \"SECRET\" }, { env = \"OTHER_SECRET\" }]",
    );
    let config = load(&format!("{MINIMAL}{client}")).unwrap();
    assert!(config.clients[0].secrets[1].equals("another-secret-of-length"));
}

/// OpenID Connect Core section 8.1.
#[test]
fn a_pairwise_client_has_one_sector() {
    let pairwise = |uris: &str, more: &str| {
        let uris = format!("redirect_uris = [{uris}]");
        let client = PUBLIC.replace("redirect_uris = [\"https://app.example.org/cb\"]", &uris);
        format!("{MINIMAL}{client}subject_type = \"pairwise\"\n{more}\n")
    };
    let sector = |uris: &str, more: &str| {
        let config = load(&pairwise(uris, more)).unwrap();
        config.clients[0].client.subject_type.clone()
    };
    let own = "\"https://app.example.org/cb\", \"https://app.example.org:8443/x\"";
    let named = SubjectType::Pairwise {
        sector: "app.example.org".to_owned(),
    };
    assert_eq!(sector(own, ""), named);
    let several = "\"https://app.example.org/cb\", \"https://app.example.net/cb\"";
    let named_by_hand = "sector_identifier = \"app.example.org\"";
    assert_eq!(sector(several, named_by_hand), named);
    for uris in [
        several,
        "\"http://127.0.0.1/cb\"",
        "\"https://localhost/cb\"",
        "\"https://localhost:8443/cb\"",
        "\"https://app.localhost/cb\"",
        "\"https://127.0.0.2/cb\"",
        "\"https://[::1]/cb\"",
        "\"com.example.app:/cb\"",
        "\"https://app.example.org/cb\", \"com.example.app:/cb\"",
    ] {
        let main = pairwise(uris, "");
        assert_problem(&main, "clients[0].sector_identifier", "is missing");
        assert_problem(&main, "clients[0].sector_identifier", "write the host");
    }
    // Of an older version, where the administrator would rather keep what its people are called.
    let here = SubjectType::Pairwise {
        sector: "localhost".to_owned(),
    };
    let by_hand = "sector_identifier = \"localhost\"";
    assert_eq!(sector("\"https://localhost/cb\"", by_hand), here);
    for sector in [
        "https://app.example.org",
        "App.example.org",
        "a/b",
        "a:443",
        "",
    ] {
        let line = format!("sector_identifier = \"{sector}\"");
        let main = pairwise(own, &line);
        assert_problem(&main, "clients[0].sector_identifier", "must be a host");
    }
}

/// Each line added to a good public client makes one problem.
#[test]
fn what_a_public_client_must_not_have() {
    for (line, key, text) in [
        (
            "client_secret = { env = \"SECRET\" }",
            "client_secret",
            "remove it",
        ),
        ("require_pkce = false", "require_pkce", "must use PKCE"),
        ("subject_type = \"private\"", "subject_type", "pairwise"),
        (
            "sector_identifier = \"app.example.org\"",
            "sector_identifier",
            "subject_type = \"pairwise\"",
        ),
        (
            "grant_types = [\"authorization_code\", \"client_credentials\"]",
            "grant_types",
            "keep a secret",
        ),
        ("grant_types = []", "grant_types", "is empty"),
        (
            "grant_types = [\"magic\"]",
            "grant_types[0]",
            "write one of: authorization_code",
        ),
        (
            "response_types = [\"token\"]",
            "response_types[0]",
            "not known",
        ),
        ("response_types = []", "response_types", "[\"code\"]"),
        (
            "scope = \"openid offline_access\"",
            "scope",
            "\"refresh_token\"",
        ),
        ("scope = \"öpenid\"", "scope", "RFC 6749 section 3.3"),
        ("default_max_age = -1", "default_max_age", "0 or more"),
        (
            "id_token_signed_response_alg = \"ES256\"",
            "id_token_signed_response_alg",
            "keys.algorithms",
        ),
        (
            "id_token_signed_response_alg = \"none\"",
            "id_token_signed_response_alg",
            "RS256",
        ),
        ("audience = [\"api\"]", "audience[0]", "absolute URI"),
        (
            "upstreams = [\"member\"]",
            "upstreams[0]",
            "did you mean members?",
        ),
        ("upstreams = []", "upstreams", "is empty"),
        ("consent = \"alway\"", "consent", "did you mean always?"),
        (
            "client_uri = \"javascript:alert(1)\"",
            "client_uri",
            "javascript",
        ),
        (
            "client_uri = \"com.example.app:/x\"",
            "client_uri",
            "https://",
        ),
        ("client_name = \" \"", "client_name", "is empty"),
        ("client_name = \"a\\u202eb\"", "client_name", "control"),
        (
            "post_logout_redirect_uris = [\"http://app.example.org/\"]",
            "post_logout_redirect_uris[0]",
            "https://",
        ),
        // T18: what only an administrator of the server may say is unknown here.
        ("skip_consent = true", "skip_consent", "is not a known key"),
    ] {
        let key = format!("clients[0].{key}");
        assert_problem(&format!("{MINIMAL}{PUBLIC}{line}\n"), &key, text);
    }
}

/// The same of what a client requires of its people.
#[test]
fn what_a_client_must_not_require_of_its_people() {
    for (line, key, text) in [
        (
            "upstream_outage = \"soon\"",
            "upstream_outage",
            "\"refuse\"",
        ),
        (
            "upstream_outage = \"60d\"",
            "upstream_outage",
            "between 1s and 30d",
        ),
        (
            "require_groups = [\" Board\"]",
            "require_groups[0]",
            "as the upstream names it",
        ),
        (
            "require_claims = { groups = \"Board\" }",
            "require_claims.groups",
            "require_groups",
        ),
        (
            "require_claims = { sub = \"x\" }",
            "require_claims.sub",
            "not a claim that an upstream tells",
        ),
        (
            "require_claims = { is_member = [true] }",
            "require_claims.is_member",
            "true or false",
        ),
    ] {
        let key = format!("clients[0].{key}");
        assert_problem(&format!("{MINIMAL}{PUBLIC}{line}\n"), &key, text);
    }
}

/// T2, T3, T4.
#[test]
fn what_a_redirect_uri_must_not_be() {
    for (uri, text) in [
        ("https://app.example.org/cb#x", "must not have a fragment"),
        ("https://app.example.org/*", "wildcard"),
        ("https://good@evil.example/cb", "user name"),
        ("https://app.example.org/a/../cb", "dot segment"),
        ("JavaScript:alert(1)", "not allowed"),
        ("myapp:/cb", "reversed domain"),
        ("http://app.example.org/cb", "must be https://"),
        ("/cb", "not an absolute URI"),
        ("https://app.example.org/cb", "twice"),
    ] {
        let client = PUBLIC.replace("/cb\"]", &format!("/cb\", \"{uri}\"]"));
        assert_problem(
            &format!("{MINIMAL}{client}"),
            "clients[0].redirect_uris[1]",
            text,
        );
    }
}

#[test]
fn what_a_confidential_client_must_have() {
    for (from, to, key, text) in [
        (
            "client_secret = { env = \"SECRET\" }",
            "",
            "client_secret",
            "\"none\"",
        ),
        ("SECRET", "SHORT", "client_secret", "16 characters"),
        (
            "{ env = \"SECRET\" }",
            "[]",
            "client_secret",
            "an array of two",
        ),
        ("client_id = \"app\"", "", "client_id", "is missing"),
        ("\"app\"", "\"a b\"", "client_id", "visible ASCII"),
        (
            "redirect_uris = [\"https://app.example.org/cb\"]",
            "",
            "redirect_uris",
            "is missing",
        ),
    ] {
        let client = CONFIDENTIAL.replace(from, to);
        assert_problem(
            &format!("{MINIMAL}{client}"),
            &format!("clients[0].{key}"),
            text,
        );
    }
    let refresh_alone = CONFIDENTIAL.to_owned() + "grant_types = [\"refresh_token\"]";
    assert_problem(
        &format!("{MINIMAL}{refresh_alone}"),
        "clients[0].grant_types",
        "authorization_code",
    );
}

/// RFC 9449 section 5.2: what travels through the browser is bound to nothing.
#[test]
fn a_bound_client_takes_no_token_from_the_browser() {
    let bound = CONFIDENTIAL.to_owned()
        + "grant_types = [\"authorization_code\", \"implicit\"]\nscope = \"openid\"\ndpop_bound_access_tokens = true\n";
    for types in ["\"code token\"", "\"code\", \"id_token token\""] {
        assert_problem(
            &format!("{MINIMAL}{bound}response_types = [{types}]\n"),
            "clients[0].dpop_bound_access_tokens",
            "through the browser",
        );
    }
    let types = "response_types = [\"code id_token\"]\n";
    load(&format!("{MINIMAL}{bound}{types}")).unwrap();
}

#[test]
fn the_place_in_an_array_is_told_after_a_neighbor_of_the_wrong_type() {
    let client = PUBLIC.replace(
        "\"https://app.example.org/cb\"",
        "1, 2, \"http://a.example/\"",
    );
    assert_eq!(
        problems(&format!("{MINIMAL}{client}")),
        [
            "clients[0].redirect_uris[0]: must be a string, not a whole number",
            "clients[0].redirect_uris[1]: must be a string, not a whole number",
            "clients[0].redirect_uris[2]: must be https:// (http:// is allowed on loopback only)",
        ]
    );
}

#[test]
fn files_in_clients_d_hold_clients_and_nothing_else() {
    let folder = Folder::new(MINIMAL);
    folder.write("clients.d/b.toml", PUBLIC.replace("\"app\"", "\"b\""));
    folder.write("clients.d/a.toml", PUBLIC);
    folder.write("clients.d/notes.txt", "not TOML");
    folder.write("clients.d/.#a.toml", "an editor's");
    let config = folder.load(&[]).unwrap();
    let ids: Vec<&str> = config
        .clients
        .iter()
        .map(|client| client.client.client_id.as_str())
        .collect();
    assert_eq!(ids, ["app", "b"]);

    folder.write("clients.d/c.toml", "issuer = \"https://login.example.org\"");
    let problems = folder.load(&[]).unwrap_err();
    let problem = problems.iter().next().unwrap();
    assert_eq!(problem.file, folder.path("clients.d/c.toml"));
    assert_eq!((problem.key.as_str(), problem.line), ("issuer", Some(1)));
}

#[test]
fn a_client_id_in_two_files_names_both() {
    let folder = Folder::new(&format!("{MINIMAL}{PUBLIC}"));
    folder.write("clients.d/again.toml", PUBLIC);
    let problems = folder.load(&[]).unwrap_err();
    let problem = problems.iter().next().unwrap();
    assert_eq!(problem.file, folder.path("clients.d/again.toml"));
    assert_eq!(problem.key, "clients[0].client_id");
    assert!(
        problem
            .text
            .contains(&folder.path("portico.toml").display().to_string())
    );
}

/// RFC 9700 section 2.4: a client that keeps a secret, nobody to ask, and a warning at each start.
#[test]
fn a_password_is_for_clients_that_can_keep_a_secret_and_ask_nobody() {
    let password = |lines: &str, client: &str| {
        format!("{MINIMAL}{client}grant_types = [\"password\"]\n{lines}")
    };
    let config = load(&password("", CONFIDENTIAL)).unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("the app sees people's passwords"));
    let at = "clients[0].grant_types";
    assert_problem(&password("", PUBLIC), at, "keep a secret");
    for consent in ["once", "always"] {
        let lines = format!("consent = \"{consent}\"\n");
        let at = "clients[0].consent";
        assert_problem(&password(&lines, CONFIDENTIAL), at, "nobody can be asked");
    }
    // Never for those who register themselves (T18).
    let lines =
        "[registration]\nmode = \"open\"\ngrant_types = [\"authorization_code\", \"password\"]\n";
    let at = "registration.grant_types[1]";
    assert_problem(&format!("{MINIMAL}{lines}"), at, "takes people's passwords");
}
