//! Two equal nodes on one database: what only one of many may do, and what holds everywhere at once (design, section 5). That every
//! flow goes on at any node is in `any_node`.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use portico::simulator::people::JO_SMITH;

use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, VERIFIER, answer, redirect_uri};
use crate::harness::server::TestServer;
use crate::harness::steps::at_node;
use crate::refresh::{join_all, live_families};

async fn refresh_at(node: SocketAddr, refresh_token: &str) -> Answer {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
        ("client_id", "spa"),
    ];
    let request = http_client().post(format!("http://{node}/token"));
    answer(request.form(&form)).await
}

async fn redeem_at(node: SocketAddr, code: &str) -> Answer {
    let redirect_uri = redirect_uri("spa");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri.as_str()),
        ("code_verifier", VERIFIER),
        ("client_id", "spa"),
    ];
    let request = http_client().post(format!("http://{node}/token"));
    answer(request.form(&form)).await
}

/// T19 with nodes for tabs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_that_refresh_at_once_end_with_one_live_successor() {
    let mut server = TestServer::start().await;
    let nodes = [server.address, server.add_node().await];
    let mut current = server
        .tokens("spa", "openid offline_access")
        .await
        .text("refresh_token")
        .to_owned();
    for _ in 0..5 {
        let answers = join_all((0..12).map(|tab| refresh_at(nodes[tab % 2], &current))).await;
        let successors: BTreeSet<&str> = answers
            .iter()
            .map(|answer| {
                assert_eq!(answer.status, 200, "{answer:?}");
                answer.text("refresh_token")
            })
            .collect();
        assert_eq!(successors.len(), 1);
        current = (*successors.first().unwrap()).to_owned();
    }
    assert_eq!(live_families(&server).await, 1);
}

/// T11 with nodes for racers.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_code_is_redeemed_at_one_node_alone() {
    let mut server = TestServer::start().await;
    let nodes = [server.address, server.add_node().await];
    let code = server.code("spa", &[]).await;
    let answers = join_all((0..12).map(|racer| redeem_at(nodes[racer % 2], &code))).await;
    let winners = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(winners, 1);
    for loser in answers.iter().filter(|answer| answer.status != 200) {
        loser.assert_error(400, "invalid_grant");
    }
    assert_eq!(
        live_families(&server).await,
        0,
        "a replay ends what was given"
    );
}

/// T34: the limit is the organization's and not a node's.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attempts_are_counted_over_all_nodes() {
    let mut server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 3\n".to_owned();
    })
    .await;
    let nodes = [server.address, server.add_node().await];
    let server = &server;
    let attempts = (0..20).map(|attempt| async move {
        let mut browser = Browser::new();
        let url = at_node(nodes[attempt % 2], &server.authorize_url("spa", &[]));
        let page = browser.open(url).await;
        browser.sign_in(&page, "members", ("jsmith", "wrong")).await
    });
    for page in join_all(attempts).await {
        assert_eq!(page.status, 422);
    }
    let forwarded = server.imis.log();
    let forwarded = forwarded.iter().filter(|request| request.path == "/token");
    assert_eq!(forwarded.count(), 3);
}

/// T35: what one node ends is ended at the other at once.
#[tokio::test]
async fn a_logout_at_one_node_holds_at_the_other() {
    let mut server = TestServer::start().await;
    let two = server.add_node().await;
    let mut browser = Browser::new();
    let page = browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    let tokens = redeem_at(two, &page.answer()["code"]).await;
    let hint = tokens.text("id_token");
    let stale = browser.session(&server).unwrap();
    let page = browser
        .get(server.url(&format!("/end_session?id_token_hint={hint}")))
        .await;
    assert_eq!(page.status, 200);
    browser.set_cookie("127.0.0.1", crate::harness::steps::SESSION, &stale);
    let silent = server.authorize_url("spa", &[("prompt", "none")]);
    let page = browser.get(at_node(two, &silent)).await;
    assert_eq!(page.answer()["error"], "login_required");
    let refused = refresh_at(two, tokens.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
}

/// Clocks of nodes differ by a little; what one has just made is good at the next.
#[tokio::test]
async fn a_node_that_is_a_second_behind_takes_what_another_has_just_made() {
    let server = TestServer::start().await;
    let code = server.code("spa", &[("max_age", "60")]).await;
    server.clock.advance(-2);
    let tokens = server.redeem("spa", &code, &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    server.clock.advance(-2);
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.status, 200, "{userinfo:?}");
}
