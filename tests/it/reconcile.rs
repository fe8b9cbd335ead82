//! The clients of the files, taken over at each start: what is added, changed and removed, what becomes of tokens, and
//! that a start with the same files changes nothing (design: "owned by the files").

use std::fs;

use portico::app::App;
use portico::clock::Clock;
use portico::config::load_with;
use portico::model::client::ClientSecretHash;
use portico::protocol::ids::ClientId;
use portico::simulator::people::JO_SMITH;
use reqwest::StatusCode;
use sqlx::Row as _;
use tempfile::TempDir;

use crate::harness::browser::{Browser, http_client};
use crate::harness::database::TestDatabase;
use crate::harness::relying_party::{Answer, answer};
use crate::harness::server::{CHOSEN_CLIENT, TestServer};

/// A client that the usual configuration does not have.
const NEWCOMER: &str = r#"
[[clients]]
client_id = "newcomer"
client_name = "Newcomer"
token_endpoint_auth_method = "none"
redirect_uris = ["https://newcomer.example.org/callback"]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid offline_access"
"#;

async fn with_newcomer() -> TestServer {
    TestServer::start_with(|setup| setup.clients = NEWCOMER.to_owned()).await
}

/// Whether `/authorize` lets the client's people log in.
async fn is_served(server: &TestServer, client_id: &str) -> bool {
    let url = server.authorize_url(client_id, &[]);
    let page = Browser::new().open(url).await;
    match page.status {
        StatusCode::OK => true,
        StatusCode::BAD_REQUEST => false,
        other => panic!("{other}: {}", page.body),
    }
}

/// A token request with a secret of its own.
async fn token(server: &TestServer, client_id: &str, secret: &str) -> Answer {
    let request = http_client()
        .post(server.url("/token"))
        .basic_auth(client_id, Some(secret))
        .form(&[("grant_type", "client_credentials")]);
    answer(request).await
}

#[tokio::test]
async fn clients_are_added_changed_and_removed_by_their_files() {
    let mut server = TestServer::start().await;
    assert!(!is_served(&server, "newcomer").await);
    server.edit_config(
        "\n[[clients]]\nclient_id = \"asking\"",
        &format!("{NEWCOMER}\n[[clients]]\nclient_id = \"asked\""),
    );
    server.edit_config("Browser app", "The new name");
    server.restart().await;
    assert!(is_served(&server, "newcomer").await);
    assert!(!is_served(&server, "asking").await);
    let page = Browser::new().open(server.authorize_url("spa", &[])).await;
    assert!(page.body.contains("The new name"), "{}", page.body);
    let stored = server.store.list_clients().await.unwrap();
    let ids: Vec<&str> = stored
        .iter()
        .map(|stored| stored.client.client_id.as_str())
        .collect();
    let expected = [
        "asked",
        "newcomer",
        "post",
        "service",
        "shared",
        "signed",
        "spa",
        "staff-app",
        "web",
    ];
    assert_eq!(ids, expected);
}

/// A folder that is not mounted looks like one without clients; nobody may be signed out for that.
#[tokio::test]
async fn a_configuration_without_any_client_is_refused_where_there_were_some() {
    let database = TestDatabase::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portico.toml");
    let open = async |clients: &str| {
        let text = format!(
            "issuer = \"http://localhost\"\n[database]\nurl = {{ env = \"URL\" }}\n[keys]\nmaster_key = {{ env = \"KEY\" }}\n\
             [[upstreams]]\nid = \"members\"\nkind = \"imis\"\nbase_url = \"https://members.example.org\"\n{clients}"
        );
        fs::write(&file, text).unwrap();
        let env = |name: &str| match name {
            "URL" => Some(database.url().expose().to_owned()),
            "KEY" => Some("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".to_owned()),
            _ => None,
        };
        let config = load_with(&file, &env).unwrap_or_else(|problems| panic!("{problems}"));
        App::open(config, Clock::manual(0)).await.map(drop)
    };
    open("").await.expect("a first start may have none");
    open(NEWCOMER).await.unwrap();
    let refused = open("").await.unwrap_err().to_string();
    assert!(refused.contains("clients.d"), "{refused}");
    let store = database.store().await;
    assert_eq!(store.list_clients().await.unwrap().len(), 1);
}

/// Nor do they live again when a client of the same name comes back.
#[tokio::test]
async fn the_tokens_of_a_removed_client_die() {
    let mut server = with_newcomer().await;
    let tokens = server.tokens("newcomer", "openid offline_access").await;
    let (access, refresh) = (tokens.text("access_token"), tokens.text("refresh_token"));
    assert_eq!(server.userinfo(access).await.status, 200);

    server.edit_config(NEWCOMER, "");
    server.restart().await;
    let refused = server.refresh("newcomer", refresh).await;
    refused.assert_error(401, "invalid_client");
    assert_eq!(server.userinfo(access).await.status, 401);

    server.edit_config(
        "\n[[clients]]\nclient_id = \"spa\"",
        &format!("{NEWCOMER}\n[[clients]]\nclient_id = \"spa\""),
    );
    server.restart().await;
    assert!(is_served(&server, "newcomer").await);
    let refused = server.refresh("newcomer", refresh).await;
    refused.assert_error(400, "invalid_grant");
    assert_eq!(server.userinfo(access).await.status, 401);
}

#[tokio::test]
async fn what_a_client_loses_in_its_file_it_loses_at_the_next_refresh() {
    let mut server = with_newcomer().await;
    let tokens = server.tokens("newcomer", "openid offline_access").await;
    server.edit_config("scope = \"openid offline_access\"", "scope = \"openid\"");
    server.restart().await;
    let refused = server
        .refresh("newcomer", tokens.text("refresh_token"))
        .await;
    refused.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_secret_changes_without_downtime() {
    const ONE: &str = "chosen-by-a-person-1";
    const TWO: &str = "portico_secret_DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD";
    const THREE: &str = "chosen-by-a-person-3";
    let folder = TempDir::new().unwrap();
    let secret = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        format!("{{ file = \"{}\" }}", path.display())
    };
    let (one, two, three) = (secret("1", ONE), secret("2", TWO), secret("3", THREE));
    let first = format!("client_secret = {one}");
    let mut server = TestServer::start_with(|setup| {
        setup.clients = format!(
            "[[clients]]\nclient_id = \"rotating\"\n{first}\ngrant_types = [\"client_credentials\"]\n\
             scope = \"reports:read\"\n"
        );
    })
    .await;
    let mut written = first;
    for (secrets, live) in [
        (one.clone(), vec![ONE]),
        (format!("[{one}, {two}]"), vec![ONE, TWO]),
        (two.clone(), vec![TWO]),
        (format!("[{two}, {three}]"), vec![TWO, THREE]),
        (three.clone(), vec![THREE]),
    ] {
        let next = format!("client_secret = {secrets}");
        server.edit_config(&written, &next);
        written = next;
        server.restart().await;
        for secret in [ONE, TWO, THREE] {
            let answer = token(&server, "rotating", secret).await;
            if live.contains(&secret) {
                assert_eq!(answer.status, 200, "{secret} with {secrets}");
            } else {
                answer.assert_error(401, "invalid_client");
            }
        }
    }
}

/// Secrets that people chose have a salt: hashing them anew at each start would change rows for nothing, and let nodes
/// that start at once undo each other's work.
#[tokio::test]
async fn a_restart_changes_nothing() {
    let clients = [NEWCOMER, CHOSEN_CLIENT].concat();
    let mut server = TestServer::start_with(|setup| setup.clients = clients).await;
    let changed_at = async |server: &TestServer| {
        let pool = server.database.pool().await;
        let rows = sqlx::query("SELECT id, changed_at FROM client ORDER BY id")
            .fetch_all(&pool)
            .await
            .unwrap();
        rows.iter()
            .map(|row| (row.get::<String, _>("id"), row.get::<i64, _>("changed_at")))
            .collect::<Vec<_>>()
    };
    let before = (
        server.store.list_clients().await.unwrap(),
        changed_at(&server).await,
    );
    let salted = before.0.iter().flat_map(|stored| &stored.secrets);
    let salted = salted.filter(|hash| matches!(hash, ClientSecretHash::Argon2id { .. }));
    assert!(salted.count() > 0, "one of them has a salted secret");
    server.clock.advance(100);
    server.restart().await;
    server.add_node().await;
    let after = (
        server.store.list_clients().await.unwrap(),
        changed_at(&server).await,
    );
    assert!(before == after, "{before:?}\n{after:?}");
}

#[tokio::test]
async fn a_public_client_that_got_a_secret_must_use_it() {
    const SECRET: &str = "portico_secret_EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE";
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, SECRET).unwrap();
    let mut server = with_newcomer().await;
    let tokens = server.tokens("newcomer", "openid offline_access").await;
    let code = server.code("newcomer", &[]).await;
    let public = "client_name = \"Newcomer\"\ntoken_endpoint_auth_method = \"none\"";
    let secret = format!("client_secret = {{ file = \"{}\" }}", file.display());
    server.edit_config(public, &secret);
    server.restart().await;
    let stored = server.store.find_client(&ClientId::new("newcomer")).await;
    let stored = stored.unwrap().unwrap();
    assert!(matches!(
        stored.secrets[..],
        [ClientSecretHash::Keyed { .. }]
    ));

    let without = server
        .refresh("newcomer", tokens.text("refresh_token"))
        .await;
    without.assert_error(401, "invalid_client");
    let without = server.redeem("newcomer", &code, &[]).await;
    without.assert_error(401, "invalid_client");
    let request = http_client()
        .post(server.url("/token"))
        .basic_auth("newcomer", Some(SECRET))
        .form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", tokens.text("refresh_token")),
        ]);
    assert_eq!(answer(request).await.status, 200, "what it holds goes on");
}

/// T15: people of an upstream that is gone from the config come in nowhere, though the client serves "all": neither by
/// their session nor by a refresh token.
#[tokio::test]
async fn an_upstream_that_is_removed_lets_nobody_in_any_more() {
    let more = |base: &str| {
        format!(
            "[[upstreams]]\nid = \"more\"\nkind = \"imis\"\nlabel = \"More\"\nlogin = [\"password\"]\nbase_url = \"{base}\"\n"
        )
    };
    let nowhere = more("http://127.0.0.1:9");
    let mut server = TestServer::start_with(|setup| setup.upstreams.clone_from(&nowhere)).await;
    let here = more(server.imis_url());
    server.edit_config(&nowhere, &here);
    server.restart().await;
    let mut browser = Browser::new();
    let offline = [("scope", "openid offline_access")];
    let page = browser.open(server.authorize_url("spa", &offline)).await;
    let jo = (JO_SMITH.username, JO_SMITH.password);
    let page = browser.sign_in(&page, "more", jo).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    let code = {
        let page = browser.open(server.authorize_url("spa", &[])).await;
        page.answer()["code"].clone()
    };
    server.edit_config(&here, "");
    server.restart().await;
    let silent = server.authorize_url("spa", &[("prompt", "none")]);
    let answer = browser.open(silent).await.answer();
    assert_eq!(answer["error"], "login_required");
    let refreshed = server.refresh("spa", tokens.text("refresh_token")).await;
    refreshed.assert_error(400, "invalid_grant");
    let redeemed = server.redeem("spa", &code, &[]).await;
    redeemed.assert_error(400, "invalid_grant");
}
