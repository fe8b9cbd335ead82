//! `portico serve`: what it refuses to start with, and what it does until it is told to end.

use std::collections::BTreeSet;
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{Process, Site};
use crate::harness::browser::http_client;
use crate::harness::relying_party::{Answer, answer};

async fn get(server: &Process, path: &str) -> Answer {
    answer(http_client().get(server.url(path))).await
}

async fn kids(server: &Process) -> BTreeSet<String> {
    let jwks = get(server, "/jwks").await;
    let keys = jwks.body["keys"].as_array().unwrap().clone();
    let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    keys.iter().map(kid).collect()
}

/// The `kid` of a fresh token.
async fn signs_with(server: &Process) -> String {
    let request = http_client()
        .post(server.url("/token"))
        .basic_auth("reports", Some(super::SECRETS[3].1))
        .form(&[("grant_type", "client_credentials")]);
    let tokens = answer(request).await;
    let header = tokens.text("access_token").split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_server_starts_answers_and_ends_in_good_order() {
    let site = Site::new().await;
    let server = site.serve().await;
    let discovery = get(&server, "/.well-known/openid-configuration").await;
    assert_eq!(discovery.status, 200);
    assert_eq!(kids(&server).await.len(), 1);
    assert_eq!(
        server.terminate(),
        Some(0),
        "SIGTERM is how supervisors end a server"
    );
}

#[tokio::test]
async fn a_broken_configuration_is_not_served() {
    let site = Site::new().await;
    site.edit("kind = \"imis\"", "kind = \"imsi\"");
    site.edit("[log]\n", "[log]\nlevel = \"info\"\n");
    let said = site.run(&["serve"]).await;
    said.assert(1, &["did you mean imis?", "log.level", "2 problems"]);
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let mut site = Site::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    site.set("PORTICO_LISTEN", &address);
    let said = site.run(&["serve"]).await;
    said.assert(1, &[&format!("cannot listen on {address}"), "in use"]);
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_named_without_its_password() {
    let mut site = Site::new().await;
    let file = site.path("no/portico.db").display().to_string();
    site.set("DATABASE", &format!("sqlite:{file}"));
    let said = site.run(&["serve"]).await;
    said.assert(1, &[&file, "its folder must be there"]);
    let at = super::NOWHERE;
    site.set(
        "DATABASE",
        &format!("postgres://portico:db-password@{at}/portico"),
    );
    let said = site.run(&["serve"]).await;
    said.assert(1, &[&format!("the database postgres://{at}/portico: ")]);
    assert!(!said.err.contains("db-password"), "{}", said.err);
}

#[tokio::test]
async fn a_wrong_master_key_is_refused() {
    let mut site = Site::started().await;
    site.set("MASTER_KEY", "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=");
    let said = site.run(&["serve"]).await;
    said.assert(1, &["cannot be opened with this master key"]);
}

/// T47: the announced key is published and signs nothing; one rotated for a leak signs at once.
#[tokio::test]
async fn a_server_takes_rotated_keys_over() {
    let site = Site::new().await;
    let server = site.serve().await;
    let first = signs_with(&server).await;
    assert_eq!(server.terminate(), Some(0));

    site.run(&["key", "rotate"])
        .await
        .assert(0, &["is announced"]);
    let server = site.serve().await;
    let published = kids(&server).await;
    assert_eq!(published.len(), 2);
    assert_eq!(signs_with(&server).await, first);
    assert_eq!(server.terminate(), Some(0));

    site.run(&["key", "rotate", "--now"])
        .await
        .assert(0, &["is active"]);
    let server = site.serve().await;
    let emergency = signs_with(&server).await;
    assert!(!published.contains(&emergency));
    assert_eq!(
        kids(&server).await,
        BTreeSet::from([emergency]),
        "the leaked one is gone"
    );
}
