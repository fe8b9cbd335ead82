//! An upstream that is away, slow or talks nonsense: the person sees a calm page with a number, the flow is kept, and
//! those who are logged in notice nothing (design, section 4, "When the upstream is down").

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use portico::simulator::Fault;
use portico::simulator::people::{ANN_LEE, JO_SMITH};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::harness::browser::{Browser, Page};
use crate::harness::server::TestServer;
use crate::harness::steps::{CONTINUE, TO_AIM18};

/// Every way of not answering that is an outage, and how it is told.
fn outages() -> Vec<(Fault, u16)> {
    vec![
        (Fault::Status(503), 503),
        (Fault::Status(500), 503),
        (Fault::Throttled(Some(30)), 503),
        (Fault::ErrorPage, 503),
        (Fault::CloseAfter(0), 503),
        (Fault::CloseAfter(20), 503),
        (Fault::Hang, 503),
        (Fault::Page, 502),
        (Fault::Nonsense, 502),
        (Fault::Redirect("https://evil.example/".to_owned()), 502),
        (Fault::Oversized, 502),
    ]
}

/// A server whose upstreams are given up on soon.
async fn impatient() -> TestServer {
    let mut server = TestServer::start().await;
    server.edit_config("base_url = ", "timeout = \"1s\"\nbase_url = ");
    server.restart().await;
    server
}

fn assert_calm(page: &Page, status: u16, label: &str, fault: &Fault) {
    assert_eq!(page.status, status, "{fault:?}: {}", page.body);
    let alert = page.text("[role=alert]").unwrap();
    assert!(
        alert.contains(&format!("{label} does not answer at the moment")),
        "{fault:?}: {alert}"
    );
    let id = page.header("x-request-id");
    assert!(
        id.len() >= 22 && alert.contains(id),
        "the number of the log: {alert}"
    );
    for foreign in ["Exception", "evil.example", "simulated", "access_token"] {
        assert!(
            !page.body.contains(foreign),
            "{fault:?} shows {foreign}: {}",
            page.body
        );
    }
}

#[tokio::test]
async fn an_imis_that_does_not_answer_gives_a_calm_page_and_loses_nothing() {
    let server = impatient().await;
    for place in ["/token", "/api/"] {
        for (fault, status) in outages() {
            let mut browser = Browser::new();
            let page = browser.open(server.authorize_url("spa", &[])).await;
            server.imis.fail(place, fault.clone());
            let failed = browser.sign_in_as(&page, JO_SMITH).await;
            assert_calm(&failed, status, "Member login", &fault);
            assert_eq!(browser.session(&server), None);
            let typed = failed.attribute("input[name=username]", "value");
            assert_eq!(typed.as_deref(), Some(JO_SMITH.username));
            server.imis.mend();
            // The same page, once it is back.
            let done = browser.sign_in_as(&failed, JO_SMITH).await;
            assert!(done.answer().contains_key("code"), "{place} {fault:?}");
            assert_eq!(done.answer()["state"], "the-state");
        }
    }
}

#[tokio::test]
async fn an_aim18_that_does_not_answer_gives_a_calm_page_and_loses_nothing() {
    let server = impatient().await;
    for (fault, status) in outages() {
        let mut browser = Browser::new();
        let page = browser.open(server.authorize_url("spa", &[])).await;
        let entry = browser.submit(&page, TO_AIM18, &[]).await;
        server.aim18.fail("/oauth/token", fault.clone());
        let back = browser.at_aim18(&entry, ANN_LEE).await;
        let failed = browser.follow(back).await;
        assert_calm(&failed, status, "Staff login", &fault);
        let failed = browser
            .sign_in(&failed, "staff", (ANN_LEE.code, ANN_LEE.password))
            .await;
        assert_calm(&failed, status, "Staff login", &fault);
        server.aim18.mend();
        server.clock.advance(15 * 60);
        // aiM18 remembers the person, and nothing proves that it is this one.
        let asked = browser.submit(&failed, TO_AIM18, &[]).await;
        let done = browser.submit(&asked, CONTINUE, &[]).await;
        assert!(done.answer().contains_key("code"), "{fault:?}: {done:?}");
    }
}

/// Those who are logged in go on; only new logins wait.
#[tokio::test]
async fn sessions_and_refreshes_go_on_while_the_upstreams_are_away() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[("scope", "openid profile offline_access")]);
    let page = browser.log_in_as(url, JO_SMITH).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    server.imis.fail("", Fault::CloseAfter(0));
    server.aim18.fail("", Fault::CloseAfter(0));
    let refreshed = server.refresh("spa", tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200);
    let userinfo = server.userinfo(refreshed.text("access_token")).await;
    assert_eq!(userinfo.body["name"], "Jo Smith");
    let page = browser.get(server.authorize_url("web", &[])).await;
    assert!(page.answer().contains_key("code"));
}

/// A slow answer is an answer.
#[tokio::test]
async fn a_slow_upstream_is_waited_for() {
    let server = TestServer::start().await;
    server
        .imis
        .fail("/token", Fault::Slow(Duration::from_millis(300)));
    let page = Browser::new()
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    assert!(page.answer().contains_key("code"));
}

/// Many people behind one address who try during an outage have used up nothing of its limit when it ends.
#[tokio::test]
async fn an_outage_does_not_use_up_what_an_address_may_try() {
    let server = TestServer::start_with(|setup| {
        setup.sections =
            "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 1\nmax_attempts_per_address = 2\n"
                .to_owned();
    })
    .await;
    server.imis.fail("/token", Fault::Status(503));
    for name in ["one", "two", "three"] {
        let mut browser = Browser::new();
        let page = browser.open(server.authorize_url("spa", &[])).await;
        let page = browser.sign_in(&page, "members", (name, "word")).await;
        assert_eq!(page.status, 503);
    }
    server.imis.mend();
    let url = server.authorize_url("spa", &[]);
    let page = Browser::new().log_in_as(url, JO_SMITH).await;
    assert!(page.answer().contains_key("code"), "{page:?}");
}

/// A port that answers no attempt to connect, as a firewall or a machine that is off: its queue is full, and Linux drops
/// what comes then.
pub(crate) struct BlackHole {
    listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    pub(crate) async fn dig() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        let connect =
            || tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address));
        while let Ok(taken) = connect().await {
            queue.push(taken.unwrap());
            assert!(queue.len() < 64, "the queue does not become full");
        }
        Self {
            listener,
            _queue: queue,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }
}

/// Where no connection was, nothing was sent, however short the patience: no attempt is counted (T34).
#[tokio::test]
async fn a_host_that_takes_no_connection_uses_up_nothing() {
    let mut server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 1\n".to_owned();
    })
    .await;
    let hole = BlackHole::dig().await;
    let there = format!("base_url = \"{}\"", server.imis_url());
    let nowhere = format!("timeout = \"1s\"\nbase_url = \"{}\"", hole.url());
    server.edit_config(&there, &nowhere);
    server.restart().await;
    for _ in 0..3 {
        let url = server.authorize_url("spa", &[]);
        let page = Browser::new().log_in_as(url, JO_SMITH).await;
        assert_eq!(page.status, 503, "{}", page.body);
    }
    server.edit_config(&nowhere, &there);
    server.restart().await;
    let url = server.authorize_url("spa", &[]);
    let page = Browser::new().log_in_as(url, JO_SMITH).await;
    assert!(page.answer().contains_key("code"), "{page:?}");
}

/// A server that asks iMIS about its people every five minutes, with an app for each opinion on outages and two for
/// members alone.
async fn asking() -> TestServer {
    let mut server = TestServer::start_with(|setup| {
        for (id, rule) in [
            ("strict", "upstream_outage = \"refuse\""),
            ("patient", "upstream_outage = \"30m\""),
            ("current", "require_claims = { is_member = true }"),
            ("board", "require_groups = [\"event managers\"]"),
        ] {
            let client = format!(
                "[[clients]]\nclient_id = \"{id}\"\ntoken_endpoint_auth_method = \"none\"\n\
                 redirect_uris = [\"https://{id}.example.org/callback\"]\n\
                 grant_types = [\"authorization_code\", \"refresh_token\"]\n\
                 scope = \"openid profile email offline_access\"\n{rule}\n"
            );
            setup.clients += &client;
        }
    })
    .await;
    server.edit_config(
        "kind = \"imis\"\n",
        "kind = \"imis\"\nrecheck_timeout = \"1s\"\ntimeout = \"30s\"\nroles = true\n",
    );
    server.restart().await;
    server
}

async fn silently(browser: &mut Browser, server: &TestServer, client: &str) -> String {
    let url = server.authorize_url(client, &[("prompt", "none")]);
    let answer = browser.get(url).await.answer();
    answer.get("error").cloned().unwrap_or_default()
}

/// T11: a code that comes a second time ends what it gave, also while nobody can say whether its person is still known.
#[tokio::test]
async fn a_replayed_code_is_acted_on_during_an_outage() {
    let server = asking().await;
    let scope = [("scope", "openid offline_access")];
    let code = server.code("strict", &scope).await;
    let tokens = server.redeem("strict", &code, &[]).await;
    assert_eq!(tokens.status, 200);
    server.imis.fail("", Fault::Status(503));
    server.clock.advance(5 * 60);
    let replayed = server.redeem("strict", &code, &[]).await;
    replayed.assert_error(400, "invalid_grant");
    server.imis.mend();
    let refused = server.refresh("strict", tokens.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
}

/// Each app says how long what was known is good enough. An outage never costs a refresh token.
#[tokio::test]
async fn how_long_people_go_on_without_their_upstream_is_each_apps_to_say() {
    let server = asking().await;
    let mut browser = Browser::new();
    let page = browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    assert!(page.answer().contains_key("code"));
    let scope = "openid offline_access";
    let strict = server.tokens("strict", scope).await;
    let patient = server.tokens("patient", scope).await;
    let usual = server.tokens("spa", scope).await;
    server.imis.fail("", Fault::Status(503));

    server.clock.advance(5 * 60);
    let refused = server.refresh("strict", strict.text("refresh_token")).await;
    refused.assert_error(503, "temporarily_unavailable");
    assert_eq!(
        silently(&mut browser, &server, "strict").await,
        "temporarily_unavailable"
    );
    let page = browser.open(server.authorize_url("strict", &[])).await;
    assert_calm(&page, 503, "Member login", &Fault::Status(503));
    assert_eq!(silently(&mut browser, &server, "patient").await, "");
    let patient = server
        .refresh("patient", patient.text("refresh_token"))
        .await;
    assert_eq!(patient.status, 200, "{patient:?}");

    server.clock.advance(25 * 60 + 1);
    let late = server
        .refresh("patient", patient.text("refresh_token"))
        .await;
    late.assert_error(503, "temporarily_unavailable");
    let usual = server.refresh("spa", usual.text("refresh_token")).await;
    assert_eq!(usual.status, 200, "half a day is the rule");

    server.imis.mend();
    server.clock.advance(60);
    for (client, token) in [("strict", &strict), ("patient", &patient)] {
        let again = server.refresh(client, token.text("refresh_token")).await;
        assert_eq!(again.status, 200, "the token was not spent: {again:?}");
    }
    let done = browser.sign_in_as(&page, JO_SMITH).await;
    assert!(done.answer().contains_key("code"), "{done:?}");
    assert_eq!(silently(&mut browser, &server, "strict").await, "");
}

/// A refresh waits for so long and no longer; what is asked goes on, and its answer counts.
#[tokio::test]
async fn a_refresh_does_not_wait_for_an_upstream_that_hangs() {
    let server = asking().await;
    server.imis.change(JO_SMITH.username, |person| {
        person.roles = &["Event Managers"];
    });
    let scope = "openid profile offline_access";
    let tokens = server.tokens("board", scope).await;
    server.clock.advance(5 * 60);
    server
        .imis
        .change(JO_SMITH.username, |person| person.roles = &[]);
    let answers_after = Duration::from_secs(6);
    server.imis.fail_once("", Fault::Slow(answers_after));
    let asked = Instant::now();
    let mut last = server.refresh("board", tokens.text("refresh_token")).await;
    assert_eq!(last.status, 200, "{last:?}");
    assert!(asked.elapsed() < answers_after, "it waited for the answer");
    while last.status == 200 && asked.elapsed() < 4 * answers_after {
        tokio::time::sleep(Duration::from_millis(200)).await;
        last = server.refresh("board", last.text("refresh_token")).await;
    }
    last.assert_error(400, "invalid_grant");
}

/// T15, T17: who lapses or loses a role is out of the apps that ask for it, and stays in the others.
#[tokio::test]
async fn a_lapsed_member_is_out_where_membership_is_asked_for() {
    let server = asking().await;
    server.imis.change(JO_SMITH.username, |person| {
        person.is_member = true;
        person.roles = &["Event Managers"];
    });
    let scope = "openid profile offline_access";
    let current = server.tokens("current", scope).await;
    let board = server.tokens("board", scope).await;
    let spa = server.tokens("spa", scope).await;
    server.imis.change(JO_SMITH.username, |person| {
        person.is_member = false;
        person.roles = &[];
    });
    server.clock.advance(5 * 60);
    for (client, tokens) in [("current", &current), ("board", &board)] {
        let refused = server.refresh(client, tokens.text("refresh_token")).await;
        refused.assert_error(400, "invalid_grant");
    }
    let open = server.refresh("spa", spa.text("refresh_token")).await;
    assert_eq!(open.status, 200, "{open:?}");
    // And back again.
    server.imis.change(JO_SMITH.username, |person| {
        person.is_member = true;
        person.roles = &["Event Managers"];
    });
    server.clock.advance(5 * 60);
    for (client, tokens) in [("current", &current), ("board", &board)] {
        let again = server.refresh(client, tokens.text("refresh_token")).await;
        assert_eq!(again.status, 200, "{again:?}");
    }
}

/// Roles that cannot be learned now are not roles that are gone.
#[tokio::test]
async fn a_fault_takes_nobodys_groups() {
    let server = asking().await;
    server.imis.change(JO_SMITH.username, |person| {
        person.roles = &["Event Managers"];
    });
    let tokens = server
        .tokens("board", "openid profile offline_access")
        .await;
    let mut token = tokens.text("refresh_token").to_owned();
    for fault in [Fault::Page, Fault::Status(403), Fault::Status(404)] {
        server.imis.fail("UserSecurity", fault.clone());
        server.clock.advance(5 * 60);
        let refreshed = server.refresh("board", &token).await;
        assert_eq!(refreshed.status, 200, "{fault:?}: {refreshed:?}");
        refreshed.text("refresh_token").clone_into(&mut token);
        server.imis.mend();
    }
    server
        .imis
        .change(JO_SMITH.username, |person| person.roles = &[]);
    server.clock.advance(5 * 60);
    let refused = server.refresh("board", &token).await;
    refused.assert_error(400, "invalid_grant");
}
