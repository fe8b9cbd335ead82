//! What is kept of somebody who has not logged in: nothing, or one row where no cookie would hold it (design, section
//! 4).

use std::collections::BTreeMap;
use std::time::Duration;

use portico::model::audit::AuditFilter;
use portico::simulator::fault::Fault;
use portico::simulator::people;
use sqlx::AssertSqlSafe;

use crate::harness::browser::{Browser, PASSWORD_FORM};
use crate::harness::relying_party::CHALLENGE;
use crate::harness::server::{START, TestServer};
use crate::refresh::join_all;

/// How many rows each table of the schema has.
async fn rows(server: &TestServer) -> BTreeMap<String, i64> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let pool = server.database.pool().await;
    let mut rows = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for table in text.split("CREATE TABLE ").skip(1) {
            let table = table.split(' ').next().unwrap().to_owned();
            let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            let count: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.unwrap();
            rows.insert(table, count);
        }
    }
    pool.close().await;
    assert!(rows.contains_key("pending_request"), "{rows:?}");
    // What strangers have recorded is counted elsewhere, and written a moment after it happened.
    rows.remove("audit");
    rows
}

/// What is recorded of the strangers below, after the start of the server that they meet.
const RECORDED: [&str; 9] = [
    "server_started",
    // Without a page, and in words that mean nothing.
    "request_refused",
    "request_refused",
    // By nobody's app.
    "error_page_shown",
    // Without a password, and from where nobody was sent.
    "login_refused",
    "login_refused",
    // Tokens that are none.
    "request_refused",
    "request_refused",
    "request_refused",
];

/// The events that are recorded, the first one first.
async fn recorded_since(server: &TestServer, since: i64) -> Vec<String> {
    let filter = AuditFilter {
        since: Some(since),
        ..AuditFilter::default()
    };
    let found = server.store.search_audit(&filter, 1000).await.unwrap();
    let events = found.into_iter().rev().map(|record| record.event);
    events.collect()
}

/// Design, section 4: before a login nothing is stored, so that strangers cannot fill the database.
#[tokio::test]
async fn nothing_is_stored_before_somebody_has_logged_in() {
    let mut server = TestServer::start().await;
    let mut browser = Browser::new();
    // What is recorded is written a moment later, and by an orderly stop at the latest.
    server.stop().await;
    let before = rows(&server).await;
    assert_eq!(before["client"], 8);
    server.clock.advance(1);
    server.restart().await;
    for changes in [
        [("state", "x")],
        [("prompt", "none")],
        [("prompt", "nonsense")],
        [("client_id", "nobody")],
        [("state", &"x".repeat(500))],
    ] {
        browser.open(server.authorize_url("spa", &changes)).await;
    }
    let fields = [
        ("client_id", "spa"),
        ("redirect_uri", "https://spa.example.org/callback"),
        ("response_type", "code"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let page = browser
        .post_cross_site(server.url("/authorize"), &fields)
        .await;
    let page = browser.follow(page).await;
    let form = browser.choose(&page, "members").await;
    browser
        .submit(
            &form,
            PASSWORD_FORM,
            &[("username", "JSMITH"), ("password", "")],
        )
        .await;
    browser
        .submit_only(&page, "form[action='/upstream/staff/start']", &[])
        .await;
    browser
        .get(server.url("/upstream/staff/callback?code=x"))
        .await;
    browser.get(server.url("/end_session")).await;
    server.redeem("spa", "x", &[]).await;
    server.refresh("spa", "x.0.x").await;
    server.userinfo("x").await;
    server.stop().await;
    let mut after = rows(&server).await;
    // What strangers do is recorded, so often in a minute; of these requests each error once, and nothing else.
    assert_eq!(recorded_since(&server, START + 1).await, RECORDED);
    server.restart().await;
    // Attempts are counted, or passwords could be guessed without end: two hashes, and no name.
    assert_eq!(after.insert("throttle".to_owned(), 0), Some(2));
    assert_eq!(after, before);

    browser
        .submit(
            &form,
            PASSWORD_FORM,
            &[
                ("username", "JSMITH"),
                ("password", people::JO_SMITH.password),
            ],
        )
        .await;
    let after = rows(&server).await;
    for table in ["account", "session", "authorization_code"] {
        assert_eq!(after[table], 1, "{table}");
    }
    assert_eq!(after["pending_request"], 0);
}

/// Design, section 4: what no cookie can hold gets a row, one for each flow, until it is answered.
#[tokio::test]
async fn a_request_too_large_for_a_cookie_is_kept_in_a_row() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let state = "\u{1f980}".repeat(512);
    let nonce = "n".repeat(512);
    let hint = "h".repeat(256);
    let changes = [
        ("state", state.as_str()),
        ("nonce", &nonce),
        ("login_hint", &hint),
    ];
    let url = server.authorize_url("asking", &changes);
    let page = browser.open(&url).await;
    assert_eq!(rows(&server).await["pending_request"], 1);
    let flow = browser.flows().pop().unwrap();
    let value = &browser.cookie(&server, &flow).unwrap().value;
    assert!(value.len() < 100 && value.contains(".row."), "{value}");

    // The handle and the row are worth nothing without the cookie of this browser.
    let mut stranger = Browser::new();
    assert_eq!(stranger.get(&page.url).await.status, 400);
    let forged = value.replace(".row.", ".row.A");
    stranger.set_cookie("127.0.0.1", &flow, &forged);
    assert_eq!(stranger.get(&page.url).await.status, 400);

    let form = browser.choose(&page, "members").await;
    let jo = people::JO_SMITH;
    let credentials = [("username", jo.username), ("password", jo.password)];
    let consent = browser.submit(&form, PASSWORD_FORM, &credentials).await;
    assert_eq!(consent.url.path(), "/consent");
    assert_eq!(rows(&server).await["pending_request"], 1, "one row a flow");
    let page = browser
        .submit(&consent, "form", &[("decision", "allow")])
        .await;
    assert_eq!(page.answer()["state"], state);
    assert_eq!(rows(&server).await["pending_request"], 0, "answered");
    // The back button explains.
    assert_eq!(browser.get(&consent.url).await.status, 200);
    let tokens = server.redeem("asking", &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200);
}

/// Strangers make such rows without a login; of one address there are only so many, and whoever finishes gives theirs back.
#[tokio::test]
async fn large_requests_of_one_address_do_not_fill_the_database() {
    let server = TestServer::start_with(|setup| {
        setup.sections =
            "[login]\nrefusal_floor = \"0s\"\nmax_attempts_per_address = 5\n".to_owned();
    })
    .await;
    let state = "s".repeat(2000);
    let nonce = "n".repeat(500);
    let changes = [("state", state.as_str()), ("nonce", &nonce)];
    let url = server.authorize_url("spa", &changes);
    for _ in 0..4 {
        assert_eq!(Browser::new().open(&url).await.status, 200);
    }
    for _ in 0..3 {
        let page = Browser::new().log_in_as(&url, people::JO_SMITH).await;
        assert_eq!(page.answer()["state"], state);
    }
    assert_eq!(Browser::new().open(&url).await.status, 200);
    for _ in 0..5 {
        let refused = Browser::new().open(&url).await;
        assert_eq!(refused.status, 400);
        assert!(refused.body.contains("shorter state"), "{}", refused.body);
    }
    assert_eq!(rows(&server).await["pending_request"], 5);
    let short = server.authorize_url("spa", &[]);
    assert_eq!(Browser::new().open(short).await.status, 200);
}

/// A request that is kept in a row.
fn large(server: &TestServer) -> String {
    let (state, nonce) = ("s".repeat(2000), "n".repeat(500));
    server.authorize_url("spa", &[("state", &state), ("nonce", &nonce)])
}

const CANCEL: &str = "form:has(button[value=cancel])";

/// Of one flow that is canceled many times at once one attempt is given back, or an address would never reach its limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flow_that_is_canceled_many_times_gives_one_row_back() {
    let server = TestServer::start_with(|setup| {
        setup.sections =
            "[login]\nrefusal_floor = \"0s\"\nmax_attempts_per_address = 4\n".to_owned();
    })
    .await;
    let url = large(&server);
    let mut browser = Browser::new();
    let page = browser.open(&url).await;
    for _ in 0..3 {
        assert_eq!(Browser::new().open(&url).await.status, 200);
    }
    assert_eq!(Browser::new().open(&url).await.status, 400);
    let canceled = (0..12).map(|_| {
        let (mut browser, page) = (browser.clone(), &page);
        async move {
            let fields = [("action", "cancel")];
            browser.submit_only(page, CANCEL, &fields).await.status
        }
    });
    assert!(join_all(canceled).await.iter().any(|status| *status == 303));
    assert_eq!(rows(&server).await["pending_request"], 3);
    assert_eq!(Browser::new().open(&url).await.status, 200);
    for _ in 0..3 {
        assert_eq!(Browser::new().open(&url).await.status, 400);
    }
    assert_eq!(rows(&server).await["pending_request"], 4);
}

/// A login that was under way when its flow was canceled makes no row of it again, and the person is signed in all the same.
#[tokio::test]
async fn a_login_that_ends_after_its_flow_leaves_no_row() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser.open(large(&server)).await;
    let mut other = browser.clone();
    let form = browser.choose(&page, "members").await;
    let slow = Fault::Slow(Duration::from_secs(5));
    server.imis.fail("/token", slow);
    let jo = people::JO_SMITH;
    let credentials = [("username", jo.username), ("password", jo.password)];
    let login = browser.submit_only(&form, PASSWORD_FORM, &credentials);
    let cancel = async {
        while server.imis.log().iter().all(|asked| asked.path != "/token") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let fields = [("action", "cancel")];
        let canceled = other.submit_only(&page, CANCEL, &fields).await;
        server.imis.mend();
        canceled
    };
    let (late, canceled) = tokio::join!(login, cancel);
    assert_eq!(canceled.answer()["error"], "access_denied");
    assert_eq!(rows(&server).await["pending_request"], 0);
    let expired = Browser::new().get(&page.url).await;
    assert_eq!(late.status, 400, "{}", late.body);
    assert_eq!(late.text("h1"), expired.text("h1"));
    let silent = server.authorize_url("spa", &[("prompt", "none")]);
    assert!(browser.get(silent).await.answer().contains_key("code"));
}
