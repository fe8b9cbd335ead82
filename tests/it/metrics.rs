//! `/metrics`: what an operator watches, and nothing about anybody (T60).

use std::collections::{BTreeMap, BTreeSet};

use portico::simulator::Fault;
use portico::simulator::people::JO_SMITH;

use crate::backchannel_logout::{failed, log_out, told_at};
use crate::gateway::{apis, get, member};
use crate::harness::browser::{Browser, http_client};
use crate::harness::server::TestServer;
use crate::harness::steps::TO_AIM18;

async fn scrape(server: &TestServer) -> String {
    let url = format!("http://{}/metrics", server.internal);
    let response = http_client().get(url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let kind = response.headers()["content-type"].to_str().unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    response.text().await.unwrap()
}

/// Name and labels of every series, as the table of the documentation has them.
fn series(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once(['{', ' ']).unwrap();
        let labels = match rest.rsplit_once("} ") {
            Some((labels, _)) => labels
                .split("\",")
                .map(|label| label.split_once('=').unwrap().0.to_owned())
                .filter(|label| label != "le")
                .collect(),
            None => BTreeSet::new(),
        };
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        found.insert(name.to_owned(), labels);
    }
    found
}

/// Everything that is counted happens once.
async fn busy() -> TestServer {
    let hash = portico::passwords::hash_password(&portico::protocol::secret::Secret::new("word"));
    let server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 1\n".to_owned();
        apis(setup);
        let local = format!(
            "[[upstreams]]\nid = \"local\"\nkind = \"users\"\nrecheck = \"0s\"\n[[upstreams.people]]\n\
             id = \"4711\"\nusername = \"kim.unmistakable\"\npassword_hash = \"{}\"\n",
            hash.unwrap()
        );
        setup.upstreams.push_str(&local);
        // Behind the firewall, so that the first attempt fails.
        let uri = "backchannel_logout_uri = \"https://127.0.0.1:1/out\"";
        setup.clients.push_str(&told_at("told", uri));
    })
    .await;
    let mut browser = Browser::new();
    let url = server.authorize_url("told", &[]);
    let page = browser.log_in_as(url, JO_SMITH).await;
    let tokens = server.redeem("told", &page.answer()["code"], &[]).await;
    log_out(&server, &mut browser, &tokens).await;
    failed(&server, "told").await;
    let code = server.code("spa", &[]).await;
    assert_eq!(server.redeem("spa", &code, &[]).await.status, 200);
    server
        .redeem("spa", &code, &[])
        .await
        .assert_error(400, "invalid_grant");
    let evil = [("grant_type", "evil-grant")];
    server.token("evil-client", &evil).await;
    server.token("spa", &evil).await;
    for _ in 0..2 {
        let mut browser = Browser::new();
        let page = browser.open(server.authorize_url("spa", &[])).await;
        let page = browser
            .sign_in(&page, "members", ("evil-name", "evil-password"))
            .await;
        assert_eq!(page.status, 422);
    }
    let called = member(&server, &mut Browser::new(), "openid members:read").await;
    server.imis.fail_once("/api/event", Fault::Status(401));
    let answer = get(&server, "/api/members/Event/evil-id", &called).await;
    assert_eq!(answer.status, 404, "{answer:?}");
    let answer = get(&server, "/api/members/evil-path", &called).await;
    assert_eq!(answer.status, 403);
    get(&server, "/api/evil-upstream/x", &called).await;
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let page = browser
        .sign_in(&page, "local", ("kim.unmistakable", "word"))
        .await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    server
}

/// A metric that is not told does not help, and one that is gone misleads.
#[tokio::test]
async fn the_table_of_the_documentation_holds_every_metric_and_no_other() {
    let server = busy().await;
    let doc = include_str!("../../docs/operating.md");
    let mut told = BTreeMap::new();
    for line in doc.lines().filter(|line| line.starts_with("| `portico_")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let names = |cell: &str| -> BTreeSet<String> {
            let parts = cell.split('`').skip(1).step_by(2);
            parts.map(ToOwned::to_owned).collect()
        };
        let name = names(cells[1]).into_iter().next().unwrap();
        told.insert(name, names(cells[2]));
    }
    assert_eq!(series(&scrape(&server).await), told);
}

/// T60: no name, id, or text that a stranger chose; and so no more series than the configuration makes.
#[tokio::test]
async fn no_label_holds_what_somebody_sent_or_who_they_are() {
    let server = busy().await;
    let text = scrape(&server).await;
    for personal in [
        "evil",
        JO_SMITH.username,
        "kim",
        "4711",
        "127.0.0.1",
        "example.org",
    ] {
        assert!(!text.contains(personal), "{personal}: {text}");
    }
    for counted in [
        "portico_token_requests_total{grant=\"authorization_code\",outcome=\"issued\"} 4\n",
        "portico_token_requests_total{grant=\"authorization_code\",outcome=\"invalid_grant\"} 1\n",
        "portico_token_requests_total{grant=\"unknown\",outcome=\"invalid_client\"} 1\n",
        "portico_token_requests_total{grant=\"unknown\",outcome=\"unsupported_grant_type\"} 1\n",
        "portico_logins_total{upstream=\"members\",method=\"password\",outcome=\"accepted\"} 2\n",
        "portico_logins_total{upstream=\"members\",method=\"password\",outcome=\"refused\"} 1\n",
        "portico_logins_total{upstream=\"members\",method=\"password\",outcome=\"throttled\"} 1\n",
        "portico_throttled_total{what=\"password\"} 1\n",
        "portico_replays_total{what=\"authorization_code\"} 1\n",
        "portico_rechecks_total{upstream=\"local\",outcome=\"confirmed\"} 1\n",
        "portico_upstream_requests_total{upstream=\"members\",outcome=\"refused\"} 3\n",
        "portico_upstream_breaker_open{upstream=\"staff\"} 0\n",
        "portico_gateway_calls_total{upstream=\"members\",outcome=\"refused\"} 1\n",
        "portico_gateway_calls_total{upstream=\"members\",outcome=\"denied\"} 1\n",
        "portico_vault_renewals_total{upstream=\"members\",outcome=\"renewed\"} 1\n",
        "portico_logout_notices_total{outcome=\"failed\"} 1\n",
        "portico_clients 12\n",
        "portico_database_up 1\n",
    ] {
        assert!(text.contains(counted), "{counted}: {text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

/// T50: for operators alone. And two servers in one process count apart.
#[tokio::test]
async fn metrics_are_on_the_internal_listener_and_each_servers_own() {
    let (busy, idle) = (busy().await, TestServer::start().await);
    let public = http_client().get(busy.url("/metrics")).send().await;
    assert_eq!(public.unwrap().status(), 404);
    assert!(!scrape(&idle).await.contains("portico_logins_total"));
}

/// A login at the upstream's own page is counted too.
#[tokio::test]
async fn a_login_that_fails_at_the_upstreams_page_is_counted() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let entry = browser.submit(&page, TO_AIM18, &[]).await;
    server.aim18.fail("/oauth/token", Fault::Status(503));
    let back = browser
        .at_aim18(&entry, portico::simulator::people::ANN_LEE)
        .await;
    browser.follow(back).await;
    let counted =
        "portico_logins_total{upstream=\"staff\",method=\"redirect\",outcome=\"unavailable\"} 1\n";
    assert!(scrape(&server).await.contains(counted));
}
