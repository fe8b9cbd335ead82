//! `[clients.claims]`, and the types of answer that a client may ask for.

use std::collections::BTreeSet;

use portico::config::Config;
use portico::model::client_claims::{ClaimSource, ClaimValue};
use portico::protocol::claims::RESERVED;
use portico::protocol::ids::UpstreamId;
use portico::protocol::response::ResponseType;
use toml::Table;

use super::{MINIMAL, assert_problem, load, problems};

const CLIENT: &str = r#"
[[clients]]
client_id = "imis"
client_secret = { env = "SECRET" }
redirect_uris = ["https://members.example.org/"]
"#;

fn loaded(lines: &str) -> Config {
    load(&format!("{MINIMAL}{CLIENT}{lines}\n")).unwrap()
}

#[test]
fn a_claim_is_a_copy_or_a_mark() {
    let config = loaded(
        r#"
        [clients.claims]
        external_id = { claim = "sub" }
        member_number = { claim = "member_id" }
        email_verified = { claim = "email_verified" }
        staff = { group = "Staff", value = "1" }
        "https://example.org/level" = { group = "Staff", upstream = "members", value = 3 }
        "#,
    );
    let claims = &config.clients[0].client.claims.0;
    let copy = |claim: &str| ClaimSource::Copy {
        claim: claim.to_owned(),
    };
    assert_eq!(claims["external_id"], copy("sub"));
    assert_eq!(claims["member_number"], copy("member_id"));
    assert_eq!(claims["email_verified"], copy("email_verified"));
    assert_eq!(
        claims["staff"],
        ClaimSource::Mark {
            group: Some("Staff".to_owned()),
            upstream: None,
            value: ClaimValue::Text("1".to_owned()),
        }
    );
    assert_eq!(
        claims["https://example.org/level"],
        ClaimSource::Mark {
            group: Some("Staff".to_owned()),
            upstream: Some(UpstreamId::new("members")),
            value: ClaimValue::Number(3),
        }
    );
    // What `portico check --show` prints can be written back.
    let shown: Table = config.effective().parse().unwrap();
    let shown = shown["clients"][0]["claims"].as_table().unwrap().clone();
    let again = Table::from_iter([(
        "clients".to_owned(),
        toml::Value::Table(Table::from_iter([(
            "claims".to_owned(),
            toml::Value::Table(shown),
        )])),
    )]);
    let again = loaded(&again.to_string());
    assert_eq!(again.clients[0].client.claims.0, *claims);
}

/// The names whose meaning every client relies on are not for a configuration to give.
#[test]
fn no_claim_takes_the_name_of_one_that_says_what_a_token_is() {
    let mut names: BTreeSet<&str> = RESERVED.into();
    names.extend([
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "nonce",
        "at_hash",
        "c_hash",
        "auth_time",
        "sid",
        "amr",
        "acr",
        "azp",
        "events",
        "jti",
        "client_id",
        "scope",
    ]);
    for name in names {
        let line = format!("claims.{name} = {{ claim = \"email\" }}\n");
        let key = format!("clients[0].claims.{name}");
        assert_problem(
            &format!("{MINIMAL}{CLIENT}{line}"),
            &key,
            "choose another name",
        );
    }
}

#[test]
fn what_a_claim_must_not_be() {
    for (claim, key, text) in [
        ("x = {}", "x", "{ claim = \"sub\" }"),
        ("x = { value = \"1\" }", "x", "does not say for whom"),
        ("x = { group = \"Staff\" }", "x.value", "is missing"),
        ("x = { upstream = \"members\" }", "x.value", "is missing"),
        (
            "x = { upstream = \"member\", value = 1 }",
            "x.upstream",
            "did you mean members?",
        ),
        (
            "x = { claim = \"sub\", value = \"1\" }",
            "x",
            "remove them, or claim",
        ),
        (
            "x = { claim = \"sub\", group = \"Staff\" }",
            "x",
            "remove them, or claim",
        ),
        ("x = { claim = \"\" }", "x.claim", "1 to 256"),
        ("x = { claim = \"iss\" }", "x.claim", "about a person"),
        ("x = { claim = \"groups\" }", "x.claim", "is a list"),
        ("x = { group = \" \", value = 1 }", "x.group", "1 to 256"),
        ("x = { group = \"a\", value = \"\" }", "x.value", "1 to 256"),
        // Never a list (what asks for such a claim cannot read one), and no other type.
        (
            "x = { group = \"a\", value = [\"1\"] }",
            "x.value",
            "must be a string or a whole number, not an array",
        ),
        (
            "x = { group = \"a\", value = true }",
            "x.value",
            "must be a string or a whole number",
        ),
        (
            "x = { group = [\"a\"], value = 1 }",
            "x.group",
            "must be a string",
        ),
        (
            "x = { grup = \"a\", value = 1 }",
            "x.grup",
            "did you mean group?",
        ),
        ("x = \"sub\"", "x", "must be"),
        ("\"a b\" = { claim = \"sub\" }", "\"a b\"", "visible ASCII"),
        ("\"\" = { claim = \"sub\" }", "\"\"", "visible ASCII"),
        // Whoever asks believes it; only the upstream can know.
        (
            "email_verified = { group = \"a\", value = 1 }",
            "email_verified",
            "for the upstream to say",
        ),
        (
            "email_verified = { claim = \"is_member\" }",
            "email_verified",
            "for the upstream to say",
        ),
    ] {
        let main = format!("{MINIMAL}{CLIENT}[clients.claims]\n{claim}\n");
        let found = problems(&main);
        let wanted = format!("clients[0].claims.{key}: ");
        assert!(
            found
                .iter()
                .any(|line| line.starts_with(&wanted) && line.contains(text)),
            "wanted {wanted}{text}\nfound {found:#?}"
        );
    }
}

/// OpenID Connect Dynamic Registration section 2: `code` when nothing is said.
#[test]
fn a_client_is_answered_as_it_is_registered() {
    use ResponseType::{Code, CodeIdToken, CodeToken, IdToken, None};
    let implicit = "grant_types = [\"implicit\"]\nresponse_types = [\"id_token\", \"none\"]";
    let hybrid =
        "grant_types = [\"authorization_code\", \"implicit\"]\nresponse_types = [\"token code\"]";
    for (line, types) in [
        ("", vec![Code]),
        ("response_types = [\"code\"]", vec![Code]),
        ("response_types = [\"code id_token\"]", vec![CodeIdToken]),
        ("response_types = [\"id_token code\"]", vec![CodeIdToken]),
        (
            "response_types = [\"code id_token\", \"code\"]",
            vec![Code, CodeIdToken],
        ),
        (implicit, vec![IdToken, None]),
        (hybrid, vec![CodeToken]),
        // What Dynamic Registration pairs with it, which we do not ask for.
        (
            "grant_types = [\"authorization_code\", \"implicit\"]\nresponse_types = [\"code id_token\"]",
            vec![CodeIdToken],
        ),
        // Nobody logs in to it.
        (
            "grant_types = [\"client_credentials\"]\nscope = \"reports\"",
            vec![],
        ),
    ] {
        let config = loaded(line);
        let registered = &config.clients[0].client.response_types;
        assert_eq!(*registered, BTreeSet::from_iter(types), "{line}");
    }
    for (line, key, text) in [
        (
            "response_types = [\"token\"]",
            "response_types[0]",
            "did you mean id_token?",
        ),
        (
            "response_types = [\"id_token\"]",
            "response_types",
            "\"id_token\" needs \"implicit\"",
        ),
        (
            "response_types = [\"code token\"]",
            "response_types",
            "\"code token\" needs \"implicit\"",
        ),
        (
            "response_types = [\"code token\"]\ngrant_types = [\"implicit\"]",
            "response_types",
            "\"code token\" needs \"authorization_code\"",
        ),
        (
            "response_types = [\"none\"]\ngrant_types = [\"implicit\"]",
            "grant_types",
            "implicit has no use",
        ),
        (
            "grant_types = [\"implicit\"]",
            "grant_types",
            "implicit has no use",
        ),
        (
            "grant_types = [\"authorization_code\", \"implicit\"]",
            "grant_types",
            "implicit has no use",
        ),
        (
            "response_types = [\"code\"]\ngrant_types = [\"client_credentials\"]",
            "response_types",
            "authorization_code",
        ),
        (
            "response_types = [\"code id_token\"]\nscope = \"email\"",
            "scope",
            "has no openid",
        ),
    ] {
        assert_problem(
            &format!("{MINIMAL}{CLIENT}{line}\n"),
            &format!("clients[0].{key}"),
            text,
        );
    }
}
