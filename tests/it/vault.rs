//! The vault from outside: sealed rows, renewal by one node at a time, lost answers, and the shelf that nodes share (T63, T64).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portico::keys::{MasterKey, Secrets};
use portico::protocol::ids::UpstreamId;
use portico::protocol::locale::Label;
use portico::simulator::Fault;
use portico::simulator::imis::RefreshTokens;
use portico::simulator::people::{ANN_LEE, SERVICE};
use portico::upstream::imis::open;
use portico::upstream::{LoginError, LoginMethod, Surroundings};
use portico::vault::ServiceShelf;
use serde_json::json;

use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, answer};
use crate::harness::server::{CHOSEN_SECRET, SERVICE_SECRET, TestServer};
use crate::harness::steps::CONTINUE;
use crate::landing::{at_imis, from_imis};
use crate::refresh::join_all;
use crate::token_exchange::{
    GRANT, SCOPE, by_page, callers, employee, exchange, exchange_with, of_service,
};
use crate::upstream::surroundings;
use crate::upstream_imis::{service_account, settings};

const OFFLINE: &str = "openid offline_access upstream:members upstream:staff";

/// A token of ours that is current, and one of iMIS's that has so many seconds left.
async fn member_with(server: &TestServer, left: i64) -> Answer {
    let tokens = by_page(server, &mut Browser::new(), OFFLINE).await;
    let first = exchange(server, &tokens, "members").await;
    assert_eq!(first.body["expires_in"], 1199, "{first:?}");
    server.clock.advance(1199 - left);
    server.imis.clear_log();
    refreshed(server, &tokens).await
}

async fn refreshed(server: &TestServer, tokens: &Answer) -> Answer {
    let tokens = server
        .refresh("calling-app", tokens.text("refresh_token"))
        .await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    tokens
}

/// How often iMIS was asked for a token by this grant.
fn asked(server: &TestServer, grant: &str) -> usize {
    let log = server.imis.log();
    log.iter()
        .filter(|request| request.path == "/token")
        .filter(|request| request.parameter("grant_type").as_deref() == Some(grant))
        .count()
}

fn renewals(server: &TestServer) -> usize {
    asked(server, "refresh_token")
}

/// The service account's.
fn logins(server: &TestServer) -> usize {
    asked(server, "password")
}

async fn exchange_at(node: SocketAddr, tokens: &Answer) -> Answer {
    let form = [
        ("grant_type", GRANT),
        ("subject_token", tokens.text("access_token")),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("audience", "members"),
        ("client_id", "calling-app"),
    ];
    let request = http_client().post(format!("http://{node}/token"));
    answer(request.form(&form)).await
}

fn copied(tokens: &Answer) -> Answer {
    Answer {
        status: tokens.status,
        headers: tokens.headers.clone(),
        body: tokens.body.clone(),
    }
}

/// From now on the database refuses whatever ends a lease.
async fn no_lease_ends(server: &TestServer) {
    if server.database.folder().is_some() {
        let trigger = "CREATE TRIGGER full_disk BEFORE UPDATE ON vault_entry
             WHEN NEW.lease_holder IS NULL AND OLD.lease_holder IS NOT NULL
             BEGIN SELECT RAISE(ABORT, 'full disk'); END";
        return execute(server, trigger).await;
    }
    for statement in [
        "CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN RAISE EXCEPTION ''full disk''; END'",
        "CREATE TRIGGER full_disk BEFORE UPDATE ON vault_entry FOR EACH ROW
             WHEN (NEW.lease_holder IS NULL AND OLD.lease_holder IS NOT NULL) EXECUTE FUNCTION full_disk()",
    ] {
        execute(server, statement).await;
    }
}

async fn leases_end(server: &TestServer) {
    let sqlite = server.database.folder().is_some();
    let on_table = "DROP TRIGGER full_disk ON vault_entry";
    let statement = if sqlite {
        "DROP TRIGGER full_disk"
    } else {
        on_table
    };
    execute(server, statement).await;
}

async fn execute(server: &TestServer, statement: &'static str) {
    let pool = server.database.pool().await;
    sqlx::query(statement).execute(&pool).await.unwrap();
}

#[tokio::test]
async fn a_token_that_ends_soon_is_renewed_first() {
    for refresh_tokens in [RefreshTokens::Rotating, RefreshTokens::Reusable] {
        let server = TestServer::start_with(callers).await;
        server.imis.switch(|s| s.refresh_tokens = refresh_tokens);
        let tokens = member_with(&server, 61).await;
        assert_eq!(
            exchange(&server, &tokens, "members").await.body["expires_in"],
            61
        );
        assert_eq!(renewals(&server), 0);
        server.clock.advance(2);
        let renewed = exchange(&server, &tokens, "members").await;
        assert_eq!(renewed.body["expires_in"], 1199, "{renewed:?}");
        assert_eq!(renewals(&server), 1);
        if refresh_tokens == RefreshTokens::Reusable {
            continue;
        }
        // And once more, with what the renewal gave.
        server.clock.advance(1150);
        let tokens = refreshed(&server, &tokens).await;
        let again = exchange(&server, &tokens, "members").await;
        assert_eq!(again.body["expires_in"], 1199, "{again:?}");
        assert_ne!(again.text("access_token"), renewed.text("access_token"));
        assert_eq!(renewals(&server), 2);
    }
}

#[tokio::test]
async fn an_employees_token_is_renewed_too() {
    let server = TestServer::start_with(callers).await;
    let tokens = employee(&server, &mut Browser::new(), ANN_LEE).await;
    let first = exchange(&server, &tokens, "staff").await;
    server.clock.advance(3590);
    let tokens = refreshed(&server, &tokens).await;
    let renewed = exchange(&server, &tokens, "staff").await;
    assert_eq!(renewed.body["expires_in"], 3600, "{renewed:?}");
    assert_ne!(renewed.text("access_token"), first.text("access_token"));
}

/// T64: two nodes and many requests at once; iMIS takes its refresh token once, and is asked once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_renew_once_and_all_get_the_same_token() {
    let mut server = TestServer::start_with(callers).await;
    let nodes = [server.address, server.add_node().await];
    let tokens = member_with(&server, 5).await;
    // Slow enough that all of them come while the first is away.
    let slow = Fault::Slow(Duration::from_millis(300));
    server.imis.fail("/token", slow);
    let answers = join_all((0..12).map(|racer| exchange_at(nodes[racer % 2], &tokens))).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.text("access_token"), answers[0].text("access_token"));
        assert_eq!(answer.body["expires_in"], 1199);
    }
    assert_eq!(renewals(&server), 1);
}

/// T64: nobody knows whether the refresh token was spent; the person is sent to log in, and iMIS is not asked again. A new
/// login mends it.
#[tokio::test]
async fn a_lost_answer_needs_a_new_login_and_never_loops() {
    let server = TestServer::start_with(callers).await;
    for fault in [
        Fault::CloseAfter(0),
        Fault::CloseAfter(40),
        Fault::Oversized,
    ] {
        let tokens = member_with(&server, 5).await;
        server.imis.fail_once("/token", fault.clone());
        for _ in 0..3 {
            let refused = exchange(&server, &tokens, "members").await;
            refused.assert_error(400, "invalid_grant");
            assert!(refused.text("error_description").contains("log in again"));
        }
        assert_eq!(renewals(&server), 1, "{fault:?}");
        let tokens = by_page(&server, &mut Browser::new(), SCOPE).await;
        assert_eq!(exchange(&server, &tokens, "members").await.status, 200);
    }
}

/// T64: what was held back was never sent; an outage costs nobody what the upstream gave.
#[tokio::test]
async fn an_upstream_that_is_held_back_leaves_the_refresh_token_as_it_was() {
    let server = TestServer::start_with(callers).await;
    let tokens = member_with(&server, 5).await;
    server.clock.advance(6);
    server.imis.fail("/token", Fault::Status(503));
    // The fifth opens the breaker; the rest are not sent.
    for _ in 0..8 {
        let away = exchange(&server, &tokens, "members").await;
        away.assert_error(503, "temporarily_unavailable");
    }
    assert_eq!(asked(&server, "refresh_token"), 5);
    server.imis.mend();
    server.clock.advance(11);
    let renewed = exchange(&server, &tokens, "members").await;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    assert_eq!(renewed.body["expires_in"], 1199);
}

/// T64: a node that was killed with the lease in hand may have spent the refresh token.
#[tokio::test]
async fn a_node_that_died_while_renewing_needs_a_new_login() {
    let server = TestServer::start_with(callers).await;
    let tokens = member_with(&server, 5).await;
    execute(
        &server,
        "UPDATE vault_entry SET lease_holder = 'the dead', lease_until = 1 WHERE kind = 'person'",
    )
    .await;
    for _ in 0..2 {
        let refused = exchange(&server, &tokens, "members").await;
        refused.assert_error(400, "invalid_grant");
    }
    assert_eq!(renewals(&server), 0);
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_needs_a_new_login() {
    let server = TestServer::start_with(callers).await;
    let tokens = member_with(&server, 5).await;
    server.imis.purge_system_cache();
    for _ in 0..3 {
        let refused = exchange(&server, &tokens, "members").await;
        refused.assert_error(400, "invalid_grant");
        assert!(refused.text("error_description").contains("log in again"));
    }
    assert_eq!(renewals(&server), 1);
    let sealed: Option<String> =
        sqlx::query_scalar("SELECT sealed FROM vault_entry WHERE kind = 'person'")
            .fetch_one(&server.database.pool().await)
            .await
            .unwrap();
    assert_eq!(sealed, None, "what is good for nothing is not kept");
}

/// What is left of a token is served while the upstream is away; then it is said that it is away, and when it is back all
/// is well: nothing was spent.
#[tokio::test]
async fn an_outage_takes_nothing_away() {
    let server = TestServer::start_with(callers).await;
    let tokens = member_with(&server, 30).await;
    server.imis.fail("/token", Fault::Status(503));
    assert_eq!(
        exchange(&server, &tokens, "members").await.body["expires_in"],
        30
    );
    server.clock.advance(30);
    let away = exchange(&server, &tokens, "members").await;
    away.assert_error(503, "temporarily_unavailable");
    server.imis.mend();
    let renewed = exchange(&server, &tokens, "members").await;
    assert_eq!(renewed.body["expires_in"], 1199, "{renewed:?}");
}

/// T64: the answer belongs to the row, and not to the request that happened to wait for it.
#[tokio::test]
async fn a_caller_who_goes_away_loses_nobody() {
    let server = TestServer::start_with(callers).await;
    let tokens = member_with(&server, 5).await;
    server
        .imis
        .fail_once("/token", Fault::Slow(Duration::from_millis(300)));
    let (node, copy) = (server.address, copied(&tokens));
    let caller = tokio::spawn(async move { exchange_at(node, &copy).await });
    while renewals(&server) == 0 {
        tokio::task::yield_now().await;
    }
    caller.abort();
    let renewed = exchange(&server, &tokens, "members").await;
    assert_eq!(renewed.body["expires_in"], 1199, "{renewed:?}");
    assert_eq!(renewals(&server), 1);
}

/// T64: what the upstream gives once only outlasts a database that is away for a moment, and so does what was not sent.
#[tokio::test]
async fn a_database_that_fails_for_a_moment_loses_nobodys_tokens() {
    let server = TestServer::start_with(callers).await;
    for fault in [None, Some(Fault::Status(503))] {
        let tokens = member_with(&server, 5).await;
        server.clock.advance(6);
        if let Some(fault) = fault.clone() {
            server.imis.fail_once("/token", fault);
        }
        let (node, copy) = (server.address, copied(&tokens));
        no_lease_ends(&server).await;
        let caller = tokio::spawn(async move { exchange_at(node, &copy).await });
        while renewals(&server) == 0 {
            tokio::task::yield_now().await;
        }
        // The answer has come to a database that takes nothing.
        tokio::time::sleep(Duration::from_millis(500)).await;
        leases_end(&server).await;
        let answer = caller.await.unwrap();
        match fault {
            None => assert_eq!(answer.body["expires_in"], 1199, "{answer:?}"),
            Some(_) => answer.assert_error(503, "temporarily_unavailable"),
        }
        let next = exchange(&server, &tokens, "members").await;
        assert_eq!(next.status, 200, "{next:?}");
    }
}

/// T63: a sealed text opens in its own row and in no other: not another person's, not another session's of the same
/// person, not another upstream's, not changed.
#[tokio::test]
async fn a_row_that_was_moved_or_changed_does_not_open() {
    let server = TestServer::start_with(callers).await;
    let jo = by_page(&server, &mut Browser::new(), SCOPE).await;
    let again = by_page(&server, &mut Browser::new(), SCOPE).await;
    let ann = employee(&server, &mut Browser::new(), ANN_LEE).await;
    let pool = server.database.pool().await;
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT id, sealed FROM vault_entry WHERE kind = 'person' ORDER BY id")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(rows.len(), 3);
    let write = async |id: &str, sealed: &str| {
        sqlx::query("UPDATE vault_entry SET sealed = $2 WHERE id = $1")
            .bind(id.to_owned())
            .bind(sealed.to_owned())
            .execute(&pool)
            .await
            .unwrap();
    };
    let refused = async || {
        for (tokens, upstream) in [(&jo, "members"), (&again, "members"), (&ann, "staff")] {
            let refused = exchange(&server, tokens, upstream).await;
            refused.assert_error(500, "server_error");
        }
    };
    for turn in 1..3 {
        for (index, (id, _)) in rows.iter().enumerate() {
            write(id, &rows[(index + turn) % 3].1).await;
        }
        refused().await;
    }
    for (id, sealed) in &rows {
        let middle = sealed.len() / 2;
        let other = if &sealed[middle..=middle] == "A" {
            "B"
        } else {
            "A"
        };
        let changed = format!("{}{other}{}", &sealed[..middle], &sealed[middle + 1..]);
        write(id, &changed).await;
    }
    refused().await;
    for (id, sealed) in &rows {
        write(id, sealed).await;
    }
    for (tokens, upstream) in [(&jo, "members"), (&again, "members"), (&ann, "staff")] {
        assert_eq!(exchange(&server, tokens, upstream).await.status, 200);
    }
    // The row as a whole, given to somebody else.
    execute(
        &server,
        "UPDATE vault_entry SET account_id = (SELECT MIN(account_id) FROM session),
             id = 'person:' || (SELECT MIN(session_id) FROM vault_entry) || ':elsewhere'
         WHERE upstream = 'staff'",
    )
    .await;
    let gone = exchange(&server, &ann, "staff").await;
    gone.assert_error(400, "invalid_grant");
}

/// T63: nothing of a token is readable in the database.
#[tokio::test]
async fn the_database_holds_no_token() {
    let server = TestServer::start_with(callers).await;
    let tokens = by_page(&server, &mut Browser::new(), SCOPE).await;
    let token = exchange(&server, &tokens, "members").await;
    let service = of_service(&server).await;
    let services = exchange_with(&server, "both", service.text("access_token"), &[]).await;
    let sealed: Vec<String> = sqlx::query_scalar("SELECT sealed FROM vault_entry")
        .fetch_all(&server.database.pool().await)
        .await
        .unwrap();
    assert_eq!(sealed.len(), 2);
    for sealed in sealed {
        for token in [&token, &services] {
            assert!(!sealed.contains(token.text("access_token")));
        }
    }
}

/// One request at a time across nodes: whoever asks, and wherever, iMIS sees one request for the service
/// account's token.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_share_the_service_accounts_token() {
    let mut server = TestServer::start_with(callers).await;
    let nodes = [server.address, server.add_node().await];
    let tokens = of_service(&server).await;
    server.imis.clear_log();
    let slow = Fault::Slow(Duration::from_millis(300));
    server.imis.fail("/token", slow);
    let answers = join_all((0..12).map(|racer| service_at(nodes[racer % 2], &tokens))).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.text("access_token"), answers[0].text("access_token"));
    }
    assert_eq!(logins(&server), 1);
}

async fn service_at(node: SocketAddr, tokens: &Answer) -> Answer {
    let form = [
        ("grant_type", GRANT),
        ("subject_token", tokens.text("access_token")),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("audience", "members"),
    ];
    let request = http_client()
        .post(format!("http://{node}/token"))
        .basic_auth("both", Some(SERVICE_SECRET));
    answer(request.form(&form)).await
}

/// T34: with a wrong password, however many nodes try, they do not lock the account.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refused_password_is_not_tried_again_by_any_node() {
    let mut server = TestServer::start_with(callers).await;
    let nodes = [server.address, server.add_node().await];
    let tokens = of_service(&server).await;
    let right = SERVICE.password;
    server
        .imis
        .change(SERVICE.username, |person| person.password = "changed-there");
    server.imis.clear_log();
    let answers = join_all((0..12).map(|racer| service_at(nodes[racer % 2], &tokens))).await;
    for answer in &answers {
        answer.assert_error(500, "server_error");
    }
    assert_eq!(logins(&server), 1);
    server
        .imis
        .change(SERVICE.username, |person| person.password = right);
    server.clock.advance(61);
    for node in nodes {
        assert_eq!(service_at(node, &tokens).await.status, 200);
    }
    assert_eq!(logins(&server), 2);
}

/// T34: nor do they in the hours after: iMIS locks at the fifth wrong password. One that is configured anew is tried at once.
#[tokio::test]
async fn a_refused_password_is_tried_ever_more_rarely() {
    let mut server = TestServer::start_with(callers).await;
    server
        .imis
        .change(SERVICE.username, |person| person.password = CHOSEN_SECRET);
    server.imis.clear_log();
    let began = server.clock.now();
    let mut asked = Vec::new();
    for _ in 0..4 * 19 {
        let before = logins(&server);
        let answer = service_at(server.address, &of_service(&server).await).await;
        answer.assert_error(500, "server_error");
        if logins(&server) > before {
            asked.push(server.clock.now() - began);
        }
        server.clock.advance(15);
    }
    assert_eq!(asked, [0, 60, 180, 1080]);
    server.edit_config(
        "password = { env = \"IMIS_SERVICE_PASSWORD\" }",
        "password = { env = \"CHOSEN_SECRET\" }",
    );
    server.restart().await;
    let answer = service_at(server.address, &of_service(&server).await).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// T34: whoever does not wait for the answer does not have the next one send the same wrong password again; and the refusal
/// is known, though the database was away when it came.
#[tokio::test]
async fn a_refusal_that_nobody_waits_for_is_kept() {
    let server = TestServer::start_with(callers).await;
    let clock = &server.clock;
    let secrets = Secrets::derive(&MasterKey::new([1; 32])).unwrap();
    let shelf = ServiceShelf::new(server.database.store().await, clock.clone(), secrets);
    let shelf = Arc::new(shelf);
    let mut settings = settings(server.imis_url(), &json!({}));
    settings.service_account = Some(service_account());
    let upstream = open(
        UpstreamId::new("elsewhere"),
        Label::plain("Elsewhere".to_owned()),
        vec![LoginMethod::Password],
        settings,
        &Surroundings {
            shelf: Arc::clone(&shelf) as _,
            ..surroundings(clock.clone())
        },
    )
    .unwrap();
    let service = upstream.service.as_ref().unwrap();
    server
        .imis
        .change(SERVICE.username, |person| person.password = "changed-there");
    for database_is_away in [false, true] {
        clock.advance(61);
        server.imis.clear_log();
        let slow = Fault::Slow(Duration::from_secs(2));
        server.imis.fail_once("/token", slow);
        if database_is_away {
            no_lease_ends(&server).await;
        }
        let asked = async {
            while logins(&server) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            biased;
            () = asked => {}
            answer = service.token(None) => panic!("{answer:?}"),
        }
        if database_is_away {
            tokio::time::sleep(Duration::from_millis(2300)).await;
            leases_end(&server).await;
        }
        // As at the end of a server: no lease stays, which would stand in everybody's way.
        shelf.settle().await;
        let leased: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM vault_entry WHERE lease_holder IS NOT NULL")
                .fetch_one(&server.database.pool().await)
                .await
                .unwrap();
        assert_eq!(leased, 0, "{database_is_away}");
        for _ in 0..2 {
            let refused = service.token(None).await;
            assert!(
                matches!(refused, Err(LoginError::Protocol(_))),
                "{refused:?}"
            );
        }
        assert_eq!(logins(&server), 1, "{database_is_away}");
    }
}

/// A service account's row that cannot be opened costs nothing but a request for a new token.
#[tokio::test]
async fn a_service_row_that_does_not_open_is_replaced() {
    let server = TestServer::start_with(callers).await;
    let tokens = of_service(&server).await;
    let token = tokens.text("access_token");
    let first = exchange_with(&server, "both", token, &[]).await;
    assert_eq!(first.status, 200, "{first:?}");
    by_page(&server, &mut Browser::new(), SCOPE).await;
    execute(
        &server,
        "UPDATE vault_entry SET sealed = (SELECT sealed FROM vault_entry WHERE kind = 'person') WHERE kind = 'service'",
    )
    .await;
    let next = exchange_with(&server, "both", token, &[]).await;
    assert_eq!(next.status, 200, "{next:?}");
    assert_ne!(next.text("access_token"), first.text("access_token"));
}

/// An arrival with tokens is too large for a cookie beside all the others: it waits in a row, until it is used.
#[tokio::test]
async fn an_arrival_with_tokens_waits_in_a_row_that_expires() {
    let server = TestServer::start_with(callers).await;
    let mut browser = Browser::new();
    at_imis(&server, &mut browser, portico::simulator::people::JO_SMITH).await;
    let page = from_imis(&server, &mut browser, "Portico").await;
    let names = browser.cookie_names();
    let name = names.iter().find(|name| name.contains("-arrival-"));
    let name = (*name.unwrap()).to_owned();
    let cookie = browser.cookie(&server, &name).unwrap().value.clone();
    assert!(cookie.len() < 100, "{cookie}");
    let rows = async || {
        sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM pending_request")
            .fetch_one(&server.database.pool().await)
            .await
            .unwrap()
    };
    assert_eq!(rows().await, 1);
    // Another browser that has the handle and not the cookie has nothing (T25).
    let (action, fields) = page.form(CONTINUE);
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let stranger = Browser::new().post(action.as_str(), &fields).await;
    assert_eq!(stranger.status, 400);
    // Of two clicks the first one's answer may never get there: the second one does as much.
    let mut twice = browser.clone();
    for clicked in [&mut twice, &mut browser] {
        let page = clicked.submit(&page, CONTINUE, &[]).await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert_eq!(page.url.path(), "/account");
        assert!(clicked.cookie(&server, &name).is_none(), "it is used");
    }
    assert_eq!(rows().await, 1);
    let later = server.clock.now() + 10 * 60;
    assert_eq!(
        server
            .store
            .sweep(later, 10)
            .await
            .unwrap()
            .pending_requests,
        1
    );
    // And what came with it is there for the app.
    let url = server.authorize_url("calling-app", &[("scope", SCOPE), ("prompt", "none")]);
    let page = browser.get(url).await;
    let tokens = server
        .redeem("calling-app", &page.answer()["code"], &[])
        .await;
    assert_eq!(exchange(&server, &tokens, "members").await.status, 200);
}

/// What strangers can make us keep: only what iMIS has honored.
#[tokio::test]
async fn an_arrival_that_is_refused_makes_no_row() {
    let server = TestServer::start_with(callers).await;
    let mut browser = Browser::new();
    let url = server.url("/upstream/members/landing/Portico");
    let long = "x".repeat(4000);
    for token in ["no-such-token", long.as_str()] {
        browser
            .post_cross_site(&url, &[("refresh_token", token)])
            .await;
    }
    let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM pending_request")
        .fetch_one(&server.database.pool().await)
        .await
        .unwrap();
    assert_eq!(rows, 0);
}

/// T24: the same person logging in again replaces what was kept; a login that gives nothing leaves nothing.
#[tokio::test]
async fn a_new_login_in_the_same_session_replaces_the_tokens() {
    let server = TestServer::start_with(callers).await;
    let mut browser = Browser::new();
    let first = by_page(&server, &mut browser, SCOPE).await;
    let before = exchange(&server, &first, "members").await;
    let url = server.authorize_url("calling-app", &[("scope", SCOPE), ("prompt", "login")]);
    let page = browser
        .log_in_as(url, portico::simulator::people::JO_SMITH)
        .await;
    let second = server
        .redeem("calling-app", &page.answer()["code"], &[])
        .await;
    let after = exchange(&server, &second, "members").await;
    assert_ne!(before.text("access_token"), after.text("access_token"));
    // The session is the same, and so is what both apps get.
    let old = exchange(&server, &first, "members").await;
    assert_eq!(old.text("access_token"), after.text("access_token"));
}

/// T64: an answer that makes no sense is a lost one, at either system: no loop, and nothing that is spent is kept.
#[tokio::test]
async fn an_answer_without_sense_needs_a_new_login_and_never_loops() {
    let server = TestServer::start_with(callers).await;
    for fault in [Fault::Page, Fault::Nonsense] {
        let tokens = member_with(&server, 5).await;
        server.imis.fail_once("/token", fault.clone());
        for _ in 0..3 {
            let refused = exchange(&server, &tokens, "members").await;
            refused.assert_error(400, "invalid_grant");
        }
        assert_eq!(renewals(&server), 1, "{fault:?}");

        let url = server.authorize_url("calling-app", &[("scope", OFFLINE)]);
        let page = Browser::new().log_in_at_aim18(url, ANN_LEE).await;
        let code = &page.answer()["code"];
        let tokens = server.redeem("calling-app", code, &[]).await;
        let lives = exchange(&server, &tokens, "staff").await.body["expires_in"].as_i64();
        server.clock.advance(lives.unwrap() - 5);
        let refreshed = refreshed(&server, &tokens).await;
        server.aim18.clear_log();
        server.aim18.fail_once("/token", fault.clone());
        for _ in 0..3 {
            let refused = exchange(&server, &refreshed, "staff").await;
            refused.assert_error(400, "invalid_grant");
        }
        let asked = server.aim18.log();
        let asked = asked.iter().filter(|call| call.path.ends_with("/token"));
        assert_eq!(asked.count(), 1, "{fault:?}");
    }
}
