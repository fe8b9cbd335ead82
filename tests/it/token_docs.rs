//! What docs/tokens.md shows to owners of APIs is what they get.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::relying_party::claims;
use crate::harness::server::TestServer;

const PAGE: &str = include_str!("../../docs/tokens.md");

/// The examples in one language.
pub(crate) fn examples(language: &str) -> Vec<&'static str> {
    PAGE.split(&format!("```{language}\n"))
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// The names of an object, and what kind of value each has.
fn shape(value: &Value) -> BTreeMap<String, &'static str> {
    let kind = |value: &Value| match value {
        Value::String(_) => "text",
        Value::Number(_) => "number",
        Value::Bool(_) => "boolean",
        Value::Array(_) => "list",
        _ => "other",
    };
    let members = value.as_object().unwrap().iter();
    members
        .map(|(name, value)| (name.clone(), kind(value)))
        .collect()
}

#[tokio::test]
async fn the_page_shows_what_is_sent() {
    let server = TestServer::start_with(|setup| {
        setup.clients = r#"
[[clients]]
client_id = "members-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://members.example.org/callback"]
scope = "openid reports.read"
audience = ["https://api.example.org"]
"#
        .to_owned();
    })
    .await;
    let shown: Vec<Value> = examples("json")
        .into_iter()
        .map(|example| serde_json::from_str(example).unwrap())
        .collect();
    let [jwt, introspection, inactive] = shown.as_slice() else {
        panic!("{shown:?}");
    };
    let tokens = server.tokens("members-app", "openid reports.read").await;
    let mut sent = claims(tokens.text("access_token"));
    sent.as_object_mut().unwrap().remove("family").unwrap();
    assert_eq!(shape(&sent), shape(jwt));
    let tokens = server.tokens("web", "openid profile").await;
    let told = server.introspect("web", tokens.text("access_token")).await;
    assert_eq!(shape(&told.body), shape(introspection));
    assert_eq!(server.introspect("web", "unknown").await.body, *inactive);
}
