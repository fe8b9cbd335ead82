//! A policy that becomes stricter, held against the clients that are registered; and one that is looser again.

use std::sync::Arc;
use std::task::Poll;

use portico::app::App;
use portico::model::audit::AuditFilter;
use portico::model::client::{Client, ConsentPolicy};
use portico::model::registration::Registration;
use portico::protocol::ids::ClientId;
use portico::store::{Registered, Store, StoredClient};
use reqwest::Method;
use serde_json::{Value, json};

use super::{CALLBACK, authorize_url, log_in, open, redeem, register};
use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, answer};
use crate::harness::server::TestServer;

/// A key of `[registration]` that changes nothing, in the place of one that does.
const LOOSE: &str = "max_clients = 1000";
/// A redirect URI that no host of `STRICT_HOSTS` is above.
const ELSEWHERE: &str = "https://app.elsewhere.example/callback";
const STRICT_HOSTS: &str = "redirect_hosts = [\"example.org\"]";

async fn become_policy(server: &mut TestServer, from: &str, to: &str) {
    server.edit_config(from, to);
    server.restart().await;
}

/// What RFC 7592 section 2.1 tells, without the token.
async fn read(client: &Answer) -> Value {
    let request = http_client()
        .get(client.text("registration_client_uri"))
        .bearer_auth(client.text("registration_access_token"));
    let read = answer(request).await;
    assert_eq!(read.status, 200, "{read:?}");
    read.body
}

async fn ask(server: &TestServer, client: &Answer, path: &str, form: &[(&str, &str)]) -> Answer {
    let request = http_client().post(server.url(path)).form(form);
    let secret = client.text("client_secret");
    answer(request.basic_auth(client.text("client_id"), Some(secret))).await
}

async fn refresh(server: &TestServer, client: &Answer, token: &str) -> Answer {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    ask(server, client, "/token", &form).await
}

/// A grant or a response type that is no longer allowed is not served.
#[tokio::test]
async fn what_a_stricter_policy_lacks_is_not_served() {
    let loose = "grant_types = [\"authorization_code\", \"refresh_token\", \"implicit\"]";
    let strict = "grant_types = [\"authorization_code\"]";
    let mut server = open(loose).await;
    let sent = json!({
        "redirect_uris": [CALLBACK], "scope": "openid offline_access",
        "grant_types": ["authorization_code", "refresh_token", "implicit"],
        "response_types": ["code", "id_token"],
    });
    let client = register(&server, sent).await;
    let before = read(&client).await;
    let mut browser = Browser::new();
    let scope = [("scope", "openid offline_access"), ("prompt", "consent")];
    let page = log_in(&mut browser, authorize_url(&server, &client, &scope)).await;
    let tokens = redeem(&server, &client, &page).await;
    let tokens = refresh(&server, &client, tokens.text("refresh_token")).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let lone = [("response_type", "id_token"), ("prompt", "none")];
    let lone = authorize_url(&server, &client, &lone);
    assert!(browser.get(&lone).await.answer().contains_key("id_token"));

    become_policy(&mut server, loose, strict).await;
    let told = read(&client).await;
    assert_eq!(told["grant_types"], json!(["authorization_code"]));
    assert_eq!(told["response_types"], json!(["code"]));
    let token = tokens.text("refresh_token");
    let refused = refresh(&server, &client, token).await;
    refused.assert_error(400, "unauthorized_client");
    let refused = browser.get(&lone).await;
    assert_eq!(refused.answer()["error"], "unauthorized_client");
    let code = browser.get(authorize_url(&server, &client, &[])).await;
    let tokens = redeem(&server, &client, &code).await;
    assert!(tokens.body.get("refresh_token").is_none(), "{tokens:?}");

    become_policy(&mut server, strict, loose).await;
    assert_eq!(read(&client).await, before);
    let answer = refresh(&server, &client, token).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(browser.get(&lone).await.answer().contains_key("id_token"));
}

/// T5, T6, T55: nothing goes to a host that is no longer allowed, neither an answer nor an error, and a page says so.
#[tokio::test]
async fn nobody_is_redirected_to_a_host_that_is_no_longer_allowed() {
    let mut server = open(LOOSE).await;
    let bye = "https://app.elsewhere.example/bye";
    let sent = json!({
        "redirect_uris": [CALLBACK, ELSEWHERE], "post_logout_redirect_uris": [bye],
    });
    let client = register(&server, sent).await;
    let before = read(&client).await;
    let elsewhere = [("redirect_uri", ELSEWHERE)];
    let url = authorize_url(&server, &client, &elsewhere);
    let mut browser = Browser::new();
    let page = log_in(&mut browser, url.clone()).await;
    assert_eq!(
        page.location().unwrap().domain(),
        Some("app.elsewhere.example")
    );
    // One is on the way while the policy changes.
    let mut late = Browser::new();
    let login = late.open(&url).await;
    assert!(login.is_login(), "{}", login.body);

    become_policy(&mut server, LOOSE, STRICT_HOSTS).await;
    assert_eq!(read(&client).await["redirect_uris"], json!([CALLBACK]));
    assert!(
        read(&client)
            .await
            .get("post_logout_redirect_uris")
            .is_none()
    );
    let late = late.get(login.url.as_str()).await;
    assert_eq!((late.status.as_u16(), late.location()), (400, None));
    for changes in [&[][..], &[("prompt", "none")], &[("scope", "nothing")]] {
        let changes: Vec<_> = elsewhere.iter().chain(changes).copied().collect();
        let page = browser.get(authorize_url(&server, &client, &changes)).await;
        assert_eq!((page.status.as_u16(), page.location()), (400, None));
        let text = "no longer allows for apps that register themselves";
        assert!(page.body.contains(text), "{}", page.body);
    }
    let id = client.text("client_id");
    let out = format!("/end_session?client_id={id}&post_logout_redirect_uri={bye}");
    let page = browser.get(server.url(&out)).await;
    assert_eq!(page.location(), None, "{page:?}");
    assert!(
        !page.body.contains("app.elsewhere.example"),
        "{}",
        page.body
    );
    assert!(!is_readable(&server).await);
    // Its other address is as it was.
    let page = browser.get(authorize_url(&server, &client, &[])).await;
    assert!(page.answer().contains_key("code"));

    become_policy(&mut server, STRICT_HOSTS, LOOSE).await;
    assert_eq!(read(&client).await, before);
    let page = browser.get(&url).await;
    assert!(page.answer().contains_key("code"), "{}", page.body);
    assert!(is_readable(&server).await);
}

/// Whether scripts of the host may read our answers.
async fn is_readable(server: &TestServer) -> bool {
    let request = http_client().get(server.url("/jwks"));
    let request = request.header("origin", "https://app.elsewhere.example");
    let headers = request.send().await.unwrap().headers().clone();
    headers.contains_key("access-control-allow-origin")
}

/// A way to prove who it is that is no longer allowed proves nothing, wherever it is shown.
#[tokio::test]
async fn a_method_that_is_no_longer_allowed_proves_nobody() {
    let strict = "token_endpoint_auth_methods = [\"client_secret_post\", \"private_key_jwt\"]";
    let mut server = open(LOOSE).await;
    let client = register(&server, json!({"redirect_uris": [CALLBACK]})).await;
    let before = read(&client).await;
    let mut browser = Browser::new();
    let page = log_in(&mut browser, authorize_url(&server, &client, &[])).await;

    become_policy(&mut server, LOOSE, strict).await;
    let refused = redeem(&server, &client, &page).await;
    refused.assert_error(401, "invalid_client");
    for path in ["/introspect", "/revoke", "/par"] {
        let refused = ask(&server, &client, path, &[("token", "x")]).await;
        refused.assert_error(401, "invalid_client");
    }
    // Nobody logs in for what could not be redeemed.
    let page = browser.get(authorize_url(&server, &client, &[])).await;
    assert_eq!(page.answer()["error"], "unauthorized_client");
    // It is told what it has registered, and may register another (RFC 7592 section 2.2).
    assert_eq!(read(&client).await, before);
    let put = async |method: &str| {
        let id = client.text("client_id");
        let body = json!({
            "client_id": id, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": method,
        });
        let request = http_client().request(Method::PUT, client.text("registration_client_uri"));
        let token = client.text("registration_access_token");
        answer(request.bearer_auth(token).json(&body)).await
    };
    let refused = put("client_secret_basic").await;
    refused.assert_error(400, "invalid_client_metadata");

    become_policy(&mut server, strict, LOOSE).await;
    let page = browser.get(authorize_url(&server, &client, &[])).await;
    assert_eq!(redeem(&server, &client, &page).await.status, 200);

    become_policy(&mut server, LOOSE, strict).await;
    assert_eq!(put("client_secret_post").await.status, 200);
    let page = browser.get(authorize_url(&server, &client, &[])).await;
    assert!(page.answer().contains_key("code"), "{}", page.body);
}

/// Runs SQL behind the server's back, which changes one row.
async fn tamper(server: &TestServer, statement: &'static str, id: &str) {
    let pool = server.database.pool().await;
    let done = sqlx::query(statement).bind(id).execute(&pool).await;
    assert_eq!(done.unwrap().rows_affected(), 1, "{statement}");
    pool.close().await;
}

/// What nobody can read: a start that looks at it fails.
const BREAK: &str = "UPDATE client SET registration = '?' || registration WHERE id = $1";
const MEND: &str = "UPDATE client SET registration = SUBSTR(registration, 2) WHERE id = $1";
/// As no policy here lets it, though it says that it was held.
const SET_FREE: &str =
    "UPDATE client SET registration = REPLACE(registration, '\"once\"', '\"none\"') WHERE id = $1";

const ASKED_ALWAYS: &str = "consent = \"always\"";

async fn consent(server: &TestServer, id: &str) -> ConsentPolicy {
    let client = server.store.read_client(&ClientId::new(id)).await;
    client.unwrap().unwrap().client.consent
}

/// A start costs what has to be done: under the policy of before nothing, whoever registered or changed meanwhile.
#[tokio::test]
async fn a_start_under_the_same_policy_reads_no_registered_client() {
    let mut server = open(LOOSE).await;
    let client = register(&server, json!({"redirect_uris": [CALLBACK]})).await;
    let changed = register(&server, json!({"redirect_uris": [CALLBACK]})).await;
    let body =
        json!({"client_id": changed.text("client_id"), "redirect_uris": [CALLBACK, ELSEWHERE]});
    let request = http_client().request(Method::PUT, changed.text("registration_client_uri"));
    let token = changed.text("registration_access_token");
    let put = answer(request.bearer_auth(token).json(&body)).await;
    assert_eq!(put.status, 200, "{put:?}");
    let ids = [client.text("client_id"), changed.text("client_id")];

    for id in ids {
        tamper(&server, BREAK, id).await;
    }
    server.restart().await;
    // What the policy says of others is no matter.
    become_policy(&mut server, LOOSE, "max_clients = 900").await;
    for id in ids {
        tamper(&server, MEND, id).await;
        tamper(&server, SET_FREE, id).await;
    }
    server.restart().await;
    for id in ids {
        assert_eq!(consent(&server, id).await, ConsentPolicy::None);
    }
    become_policy(&mut server, "max_clients = 900", ASKED_ALWAYS).await;
    for id in ids {
        assert_eq!(consent(&server, id).await, ConsentPolicy::Always);
        tamper(&server, BREAK, id).await;
    }
    server.restart().await;
}

/// Registers more than a start holds at a time, in the order of their ids.
async fn register_many(server: &TestServer) -> Vec<String> {
    let policy = server.load_config().registration;
    let before = policy.fingerprint();
    let ids: Vec<String> = (100..350)
        .map(|number| format!("registered-{number}"))
        .collect();
    for id in &ids {
        let client = policy.hold(&Client {
            registered: true,
            ..Client::new(ClientId::new(id.as_str()))
        });
        let registration = Registration {
            client_id: client.client_id.clone(),
            access_token_hash: "hash".to_owned(),
            initial_access_token: None,
            issued_at: server.clock.now(),
            used_at: None,
            expires_at: None,
            version: 0,
        };
        let secrets = Vec::new();
        let stored = StoredClient {
            client: Arc::new(client),
            secrets,
        };
        let registered = server
            .store
            .register_client(&stored, &registration, &before, 1000);
        assert_eq!(registered.await.unwrap(), Registered::Done);
    }
    ids
}

/// Several transactions' worth, of which one start has done a part.
#[tokio::test]
async fn another_policy_holds_every_client_and_a_start_goes_on_where_the_last_one_ended() {
    let mut server = open(LOOSE).await;
    let ids = register_many(&server).await;
    let before = server.load_config().registration.fingerprint();
    server.stop().await;
    server.edit_config(LOOSE, ASKED_ALWAYS);
    let always = server.load_config().registration;
    let first = ClientId::new("");
    let page = server.store.list_held_clients(&before, &first, 100);
    let page = page.await.unwrap();
    let held = server
        .store
        .hold_clients(&always, &page, server.clock.now());
    assert_eq!(held.await.unwrap().len(), 100);
    // The start that ended there has committed that page: no other looks at it again.
    tamper(&server, BREAK, &ids[99]).await;
    server.restart().await;
    tamper(&server, MEND, &ids[99]).await;
    for id in &ids {
        assert_eq!(consent(&server, id).await, ConsentPolicy::Always, "{id}");
    }
    become_policy(&mut server, ASKED_ALWAYS, LOOSE).await;
    for id in &ids {
        assert_eq!(consent(&server, id).await, ConsentPolicy::Once, "{id}");
    }
}

/// What a start has changed is on record before it changes more: there may be more of it than the audit keeps in memory.
#[tokio::test]
async fn what_a_start_changes_is_recorded_as_it_goes() {
    let mut server = open(LOOSE).await;
    let ids = register_many(&server).await;
    tamper(&server, BREAK, &ids[150]).await;
    server.stop().await;
    server.edit_config(LOOSE, ASKED_ALWAYS);
    let config = server.load_config();
    assert!(App::open(config, server.clock.clone()).await.is_err());
    let changed = AuditFilter {
        event: Some("client_registration_changed".to_owned()),
        ..AuditFilter::default()
    };
    let found = server.store.search_audit(&changed, 1000).await.unwrap();
    let mut recorded: Vec<&str> = found
        .iter()
        .map(|record| record.client_id.as_ref().unwrap().as_str())
        .collect();
    recorded.sort_unstable();
    assert_eq!(recorded, ids[..100]);
}

/// Told at each of its steps, one after the other: what it has done by then is recorded, for the next start finds it done.
#[tokio::test]
async fn a_start_that_is_told_to_end_records_what_it_has_done() {
    let mut server = open(LOOSE).await;
    server.stop().await;
    let names = ["client_name = \"One\"\n", "client_name = \"Another\"\n"];
    server.edit_config("client_name = \"Web app\"\n", names[1]);
    let of_clients = AuditFilter {
        event: Some("client_changed".to_owned()),
        ..AuditFilter::default()
    };
    // By a store of its own each time: it keeps clients for a second.
    let name = async |store: &Store| {
        let web = store.find_client(&ClientId::new("web")).await;
        web.unwrap().unwrap().client.client_name.clone()
    };
    let (mut polls, mut changes) = (0, 0);
    loop {
        server.edit_config(names[(polls + 1) % 2], names[polls % 2]);
        let before = name(&server.database.store().await).await;
        let mut left = polls;
        let told = std::future::poll_fn(|_| {
            let is_told = left == 0;
            left = left.saturating_sub(1);
            if is_told {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let config = server.load_config();
        let opened = App::open_unless(config, server.clock.clone(), told).await;
        let store = server.database.store().await;
        changes += usize::from(name(&store).await != before);
        let recorded = store.search_audit(&of_clients, 1000).await.unwrap();
        assert_eq!(recorded.len(), changes, "told at step {polls}");
        if opened.unwrap().is_some() {
            break;
        }
        polls += 1;
    }
    assert!(polls > 0 && changes == 1, "{changes} of {polls}");
}

/// An older node knows nothing of what is written down about policies.
#[tokio::test]
async fn what_an_older_node_has_written_is_held_at_the_next_start() {
    let mut server = open(LOOSE).await;
    let client = register(&server, json!({"redirect_uris": [CALLBACK]})).await;
    let untouched = register(&server, json!({"redirect_uris": [CALLBACK]})).await;
    let (id, untouched) = (client.text("client_id"), untouched.text("client_id"));
    tamper(&server, SET_FREE, id).await;
    let replaced = "UPDATE client_registration SET version = version + 1 WHERE client_id = $1";
    tamper(&server, replaced, id).await;
    tamper(&server, BREAK, untouched).await;
    server.restart().await;
    assert_eq!(consent(&server, id).await, ConsentPolicy::Once);
    // It is held now, and looked at no more.
    tamper(&server, BREAK, id).await;
    server.restart().await;
    tamper(&server, MEND, id).await;

    tamper(&server, SET_FREE, id).await;
    let registered =
        "UPDATE client_registration SET held_policy = '', held_version = 0 WHERE client_id = $1";
    tamper(&server, registered, id).await;
    server.restart().await;
    assert_eq!(consent(&server, id).await, ConsentPolicy::Once);
}

/// A node of the policy of before serves on for a while: what is registered and changed there says so.
#[tokio::test]
async fn what_a_node_of_another_policy_has_written_is_held_at_the_next_start() {
    let mut server = open(LOOSE).await;
    let changed = register(&server, json!({"redirect_uris": [CALLBACK]})).await;
    server.edit_config(LOOSE, ASKED_ALWAYS);
    server.add_node().await;
    assert_eq!(
        consent(&server, changed.text("client_id")).await,
        ConsentPolicy::Always
    );
    let late = register(&server, json!({"redirect_uris": [CALLBACK]})).await;
    let body = json!({"client_id": changed.text("client_id"), "redirect_uris": [CALLBACK]});
    let request = http_client().request(Method::PUT, changed.text("registration_client_uri"));
    let token = changed.text("registration_access_token");
    let put = answer(request.bearer_auth(token).json(&body)).await;
    assert_eq!(put.status, 200, "{put:?}");
    let ids = [late.text("client_id"), changed.text("client_id")];
    for id in ids {
        assert_eq!(consent(&server, id).await, ConsentPolicy::Once);
    }
    server.restart().await;
    for id in ids {
        assert_eq!(consent(&server, id).await, ConsentPolicy::Always);
    }
}
