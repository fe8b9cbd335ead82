//! The commands beside `serve` and `check`.

use portico::passwords::{PasswordHash, Passwords};
use portico::protocol::secret::Secret;
use serde_json::json;

use super::{NOWHERE, Process, Site, Stream, portico, run};
use crate::harness::browser::http_client;

#[tokio::test]
async fn the_clients_are_listed() {
    let site = Site::started().await;
    let said = site.run(&["client", "list"]).await;
    said.assert(
        0,
        &[
            "CLIENT",
            "members-app  files  Members' App  none",
            "client_credentials  reports:read    members staff",
        ],
    );
    assert_eq!(said.out.lines().count(), 3, "{}", said.out);
    let told = site.run(&["client", "list", "--json"]).await.objects();
    let [app, reports] = told.try_into().unwrap();
    assert_eq!(app["client_id"], "members-app");
    assert_eq!(app["owner"], "files");
    assert_eq!(app["token_endpoint_auth_method"], "none");
    assert_eq!(app["upstreams"], json!(["members", "staff"]));
    assert_eq!(reports["grant_types"], json!(["client_credentials"]));
    assert_eq!(reports["scope"], "reports:read");
}

#[tokio::test]
async fn a_client_secret_is_made_anew_each_time() {
    let mut made = Vec::new();
    for _ in 0..2 {
        let said = run(portico(&["client", "secret"]), "").await;
        said.assert(0, &["portico_secret_"]);
        assert_eq!(said.out.trim().len(), "portico_secret_".len() + 43);
        made.push(said.out);
    }
    assert_ne!(made[0], made[1]);
}

#[tokio::test]
async fn what_looks_at_a_database_makes_none() {
    let mut site = Site::new().await;
    let file = site.path("portico.db");
    site.set("DATABASE", &format!("sqlite:{}", file.display()));
    for command in [
        ["client", "list"],
        ["key", "list"],
        ["key", "rotate"],
        ["account", "list"],
    ] {
        let said = site.run(&command).await;
        said.assert(1, &["there is no database", "portico migrate"]);
        assert!(!file.exists());
    }
    let said = site.run(&["migrate"]).await;
    said.assert(0, &["the schema is up to date"]);
    let said = site.run(&["client", "list"]).await;
    said.assert(0, &["CLIENT"]);
    assert_eq!(said.out.lines().count(), 1);
}

#[tokio::test]
async fn migrating_twice_is_as_good_as_once() {
    let site = Site::new().await;
    for _ in 0..2 {
        let said = site.run(&["migrate"]).await;
        said.assert(0, &["the schema is up to date"]);
    }
}

/// T47: announced before it signs, and one at a time.
#[tokio::test]
async fn a_rotated_key_is_announced_first() {
    let site = Site::started().await;
    let said = site.run(&["key", "list"]).await;
    said.assert(0, &["RS256      active"]);
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);

    site.run(&["key", "rotate"])
        .await
        .assert(0, &["RS256: ", "is announced and signs from"]);
    let said = site.run(&["key", "list"]).await;
    said.assert(0, &["RS256      active", "RS256      announced"]);
    let told = site.run(&["key", "list", "--json"]).await.objects();
    assert_eq!(told.len(), 2, "{told:?}");
    for state in ["active", "announced"] {
        let key = told.iter().find(|key| key["state"] == state).unwrap();
        assert!(said.out.contains(key["kid"].as_str().unwrap()), "{key}");
        assert_eq!(key["alg"], "RS256");
        assert!(key["active_at"].is_i64(), "{key}");
    }

    let said = site.run(&["key", "rotate"]).await;
    said.assert(1, &["RS256: a successor is announced already"]);
    let said = site.run(&["key", "rotate", "--algorithm", "ES256"]).await;
    said.assert(1, &["ES256 is not among keys.algorithms"]);
    let said = site.run(&["key", "rotate", "--algorithm", "none"]).await;
    said.assert(2, &["use RS256, PS256, ES256 or EdDSA"]);
    let said = site.run(&["key", "list"]).await;
    assert_eq!(said.out.lines().count(), 3, "{}", said.out);
}

/// What a command has done is recorded, and is done whole, though its answer goes nowhere.
#[tokio::test]
async fn a_command_whose_answer_cannot_be_written_does_all_of_its_work() {
    let site = Site::new().await;
    site.edit("[keys]\n", "[keys]\nalgorithms = [\"RS256\", \"ES256\"]\n");
    assert_eq!(site.serve().await.terminate(), Some(0));
    let announced = async || {
        let list = ["audit", "--json", "--event", "signing_key_announced"];
        site.run(&list).await.objects().len()
    };
    let rotate = ["key", "rotate", "--now"];

    // Whoever read the answer has heard enough.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let said = site.run_into(writer, &rotate).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(!said.err.contains("panicked"), "{said:?}");
    assert!(!said.err.contains("could not be written"), "{said:?}");
    assert_eq!(announced().await, 2);

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let said = site.run_into(full.unwrap(), &rotate).await;
    said.assert(1, &["the answer could not be written: No space left"]);
    assert_eq!(announced().await, 4);
}

#[tokio::test]
async fn a_hashed_password_is_one_that_verifies() {
    let said = run(portico(&["user", "hash-password"]), "correct horse\n").await;
    said.assert(0, &["$argon2id$"]);
    let hash = PasswordHash::parse(said.out.trim()).unwrap();
    let fits = async |password: &str| {
        let passwords = Passwords::default();
        passwords
            .verify(&Secret::new(password), &hash)
            .await
            .unwrap()
    };
    assert!(fits("correct horse").await);
    assert!(!fits("correct horse\n").await);

    let said = run(portico(&["user", "hash-password"]), "short\n").await;
    said.assert(1, &["8 characters or more"]);
    assert!(said.out.is_empty());
}

#[tokio::test]
async fn health_tells_by_its_exit_code() {
    let site = Site::new().await;
    let said = site.run(&["health", "--address", NOWHERE]).await;
    said.assert(1, &["not ready"]);
    let server = site.serve().await;
    let said = site.run(&["health", "--address", &server.internal]).await;
    said.assert(0, &["ready"]);
    // Something answers there, but not health.
    let said = site.run(&["health", "--address", &server.listen]).await;
    said.assert(1, &["not ready: HTTP/1.1 404"]);
}

#[tokio::test]
async fn thesimulators_run_by_themselves() {
    for (which, path) in [("imis", "/token"), ("aim18", "/jsf/rfws/oauth/token")] {
        let command = portico(&["simulate", which]);
        let mut simulator = Process::start(command, Stream::Answers);
        let line = simulator.line_with("listening on").await;
        let url = line.strip_prefix("listening on ").unwrap();
        let answer = http_client()
            .post(format!("{url}{path}"))
            .form(&[("grant_type", "password"), ("username", "nobody")])
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_client_error() || answer.status().is_success());
        assert_eq!(simulator.terminate(), Some(0), "{which}");
    }
}

#[tokio::test]
async fn help_names_every_command() {
    let said = run(portico(&["--help"]), "").await;
    said.assert(
        0,
        &[
            "serve", "demo", "check", "migrate", "client", "key", "user", "simulate", "health",
        ],
    );
}
