//! Refresh tokens over HTTP (RFC 6749 section 6, RFC 9700 section 4.14; T19 to T23).

use std::collections::BTreeSet;
use std::time::Duration;

use portico::model::audit::AuditFilter;
use portico::model::family::Recipient;
use portico::protocol::ids::FamilyId;
use portico::simulator::{Fault, people};
use sqlx::{Connection as _, Executor as _};
use tokio::io::AsyncWriteExt as _;

use crate::command_line::audit::audit;
use crate::harness::browser::Browser;
use crate::harness::relying_party::claims;
use crate::harness::server::{START, TestServer};

const OFFLINE: &str = "openid offline_access";
const DAY: i64 = 24 * 60 * 60;

/// How many families with refresh tokens stand.
pub(crate) async fn live_families(server: &TestServer) -> i64 {
    sqlx::query_scalar(
        "SELECT COUNT(*) FROM token_family WHERE generation IS NOT NULL AND revoked_at IS NULL",
    )
    .fetch_one(&server.database.pool().await)
    .await
    .unwrap()
}

async fn with_lifetimes(lifetimes: &str) -> TestServer {
    TestServer::start_with(|setup| {
        setup.sections += "[lifetimes]\n";
        setup.sections += lifetimes;
    })
    .await
}

async fn assert_refused(server: &TestServer, refresh_token: &str) {
    let refused = server.refresh("spa", refresh_token).await;
    refused.assert_error(400, "invalid_grant");
    assert!(refused.body.get("refresh_token").is_none(), "{refused:?}");
}

/// OpenID Connect Core section 12.2.
#[tokio::test]
async fn a_refresh_gives_new_tokens_about_the_same_login() {
    let server = TestServer::start().await;
    let first = server.tokens("spa", "openid profile offline_access").await;
    server.clock.advance(100);
    let second = server.refresh("spa", first.text("refresh_token")).await;
    assert_eq!(second.status, 200, "{second:?}");
    assert_ne!(second.text("refresh_token"), first.text("refresh_token"));
    assert_ne!(second.text("access_token"), first.text("access_token"));
    let (before, after) = (
        claims(first.text("id_token")),
        claims(second.text("id_token")),
    );
    for same in ["iss", "sub", "aud", "auth_time", "sid", "amr"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!(after["auth_time"], START);
    assert_eq!(after["iat"], START + 100);
    assert!(after.get("nonce").is_none(), "the request had none");
    let userinfo = server.userinfo(second.text("access_token")).await;
    assert_eq!(userinfo.body["name"], "Jo Smith");
}

/// T20: the answer was lost on its way.
#[tokio::test]
async fn a_retry_within_thirty_seconds_gives_the_same_refresh_token() {
    let server = TestServer::start().await;
    let first = server.tokens("spa", OFFLINE).await;
    let spent = first.text("refresh_token");
    let successor = server.refresh("spa", spent).await;
    server.clock.advance(30);
    let again = server.refresh("spa", spent).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.text("refresh_token"), successor.text("refresh_token"));
    let next = server.refresh("spa", again.text("refresh_token")).await;
    assert_eq!(next.status, 200, "{next:?}");
    assert_eq!(live_families(&server).await, 1);
}

/// T19: tabs that wake up together share one successor, and nobody is signed out.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tabs_that_refresh_at_once_end_with_one_live_successor() {
    let server = TestServer::start().await;
    let first = server.tokens("spa", OFFLINE).await;
    let spent = first.text("refresh_token");
    let tabs = (0..16).map(|_| server.refresh("spa", spent));
    let answers = join_all(tabs).await;
    let successors: BTreeSet<&str> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.text("refresh_token")
        })
        .collect();
    assert_eq!(successors.len(), 1, "one family, one successor");
    assert_eq!(live_families(&server).await, 1);
    let successor = successors.first().unwrap();
    assert_eq!(server.refresh("spa", successor).await.status, 200);
    assert_eq!(
        server
            .userinfo(answers[0].text("access_token"))
            .await
            .status,
        200
    );
}

/// A request under way, and what came of it.
type Racer<F> = (std::pin::Pin<Box<F>>, Option<<F as Future>::Output>);

/// Runs requests side by side.
pub(crate) async fn join_all<F: Future>(requests: impl Iterator<Item = F>) -> Vec<F::Output> {
    use std::task::Poll;
    let mut running: Vec<Racer<F>> = requests.map(|request| (Box::pin(request), None)).collect();
    std::future::poll_fn(|context| {
        let mut all_done = true;
        for (request, done) in &mut running {
            if done.is_none() {
                match request.as_mut().poll(context) {
                    Poll::Ready(output) => *done = Some(output),
                    Poll::Pending => all_done = false,
                }
            }
        }
        if all_done {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    running.into_iter().filter_map(|(_, done)| done).collect()
}

/// T20: the window has passed, so somebody else has the token. The person's other devices are none of that.
#[tokio::test]
async fn a_spent_token_after_the_window_ends_its_family_and_no_other() {
    let server = TestServer::start().await;
    let stolen = server.tokens("spa", OFFLINE).await;
    let other = server.tokens("spa", OFFLINE).await;
    let elsewhere = server.tokens("web", OFFLINE).await;
    let successor = server.refresh("spa", stolen.text("refresh_token")).await;
    server.clock.advance(31);
    assert_refused(&server, stolen.text("refresh_token")).await;
    assert_refused(&server, successor.text("refresh_token")).await;
    let userinfo = server.userinfo(successor.text("access_token")).await;
    assert_eq!(userinfo.status, 401, "its access tokens end with it");
    assert_eq!(
        server
            .refresh("spa", other.text("refresh_token"))
            .await
            .status,
        200
    );
    assert_eq!(
        server
            .refresh("web", elsewhere.text("refresh_token"))
            .await
            .status,
        200
    );
}

/// T20: two steps back is no retry, however soon.
#[tokio::test]
async fn a_spent_token_whose_successor_was_spent_ends_its_family() {
    let server = TestServer::start().await;
    let first = server.tokens("spa", OFFLINE).await;
    let second = server.refresh("spa", first.text("refresh_token")).await;
    let third = server.refresh("spa", second.text("refresh_token")).await;
    assert_eq!(third.status, 200);
    assert_refused(&server, first.text("refresh_token")).await;
    assert_refused(&server, third.text("refresh_token")).await;
    assert_eq!(live_families(&server).await, 0);
}

/// Holds up whatever is to be written about a family, until it is let go.
pub(crate) struct Stall {
    connection: sqlx::AnyConnection,
    is_postgres: bool,
}

impl Stall {
    pub(crate) async fn begin(server: &TestServer) -> Self {
        Self::of(server, "token_family", "SHARE").await
    }

    /// On PostgreSQL, whatever such a lock of that table is in the way of.
    async fn of(server: &TestServer, table: &str, mode: &str) -> Self {
        let lock = format!("BEGIN; LOCK TABLE {table} IN {mode} MODE");
        let url = server.database.url().expose();
        let is_postgres = url.starts_with("postgres");
        let mut connection = sqlx::AnyConnection::connect(url).await.unwrap();
        let begin = if is_postgres {
            lock.as_str()
        } else {
            "PRAGMA busy_timeout = 10000; BEGIN IMMEDIATE"
        };
        // What was recorded of the login is written by then, and not in the way.
        tokio::time::sleep(Duration::from_millis(500)).await;
        connection
            .execute(sqlx::AssertSqlSafe(begin.to_owned()))
            .await
            .unwrap();
        Self {
            connection,
            is_postgres,
        }
    }

    /// Once so many wait for it. SQLite does not tell.
    pub(crate) async fn is_waited_for(&mut self, by: i64) {
        if !self.is_postgres {
            tokio::time::sleep(Duration::from_secs(1)).await;
            return;
        }
        let waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        for _ in 0..400 {
            let found = sqlx::query_scalar::<_, i64>(waiting);
            if found.fetch_one(&mut self.connection).await.unwrap() >= by {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("nobody waits");
    }

    pub(crate) async fn end(mut self) {
        self.connection.execute("ROLLBACK").await.unwrap();
    }
}

/// T20: a write may wait longer than the window, for a lock or a disk. The window counts from when it is over: whoever had given up
/// and asks again is no thief.
#[tokio::test]
async fn a_refresh_that_a_stall_holds_up_may_be_repeated_after_it() {
    let server = TestServer::start().await;
    let first = server.tokens("spa", OFFLINE).await;
    let spent = first.text("refresh_token");
    let mut stall = Stall::begin(&server).await;
    let ending = async {
        stall.is_waited_for(1).await;
        server.clock.advance(40);
        stall.end().await;
    };
    let (successor, ()) = tokio::join!(server.refresh("spa", spent), ending);
    assert_eq!(successor.status, 200, "{successor:?}");
    server.clock.advance(25);
    let again = server.refresh("spa", spent).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.text("refresh_token"), successor.text("refresh_token"));
    // The window closes as ever.
    server.clock.advance(6);
    assert_refused(&server, spent).await;
    assert_eq!(live_families(&server).await, 0);
}

/// T20: nor is one whose own question hangs, on PostgreSQL, while the same token is good elsewhere. (SQLite's readers wait for nobody.)
#[tokio::test]
async fn whoever_waits_for_a_row_that_moves_on_meanwhile_is_no_thief() {
    let server = TestServer::start().await;
    let first = server.tokens("spa", OFFLINE).await;
    let spent = first.text("refresh_token");
    let id: String = sqlx::query_scalar("SELECT id FROM token_family")
        .fetch_one(&server.database.pool().await)
        .await
        .unwrap();
    let family = server.store.find_family(&FamilyId::new(id)).await.unwrap();
    let family = family.unwrap();
    if !server.database.url().expose().starts_with("postgres") {
        return;
    }
    let mut stall = Stall::of(&server, "upstream_login", "ACCESS EXCLUSIVE").await;
    let elsewhere = async {
        stall.is_waited_for(1).await;
        server.clock.advance(33);
        let (nobody, now) = (Recipient::default(), || server.clock.now());
        let newest = family.generation.unwrap();
        let moved = server
            .store
            .advance_family(&family, newest, newest + 1, &nobody, now);
        assert!(moved.await.unwrap());
        server.clock.advance(1);
        stall.end().await;
    };
    let (late, ()) = tokio::join!(server.refresh("spa", spent), elsewhere);
    assert_eq!(late.status, 200, "{late:?}");
    let next = server.refresh("spa", late.text("refresh_token")).await;
    assert_eq!(next.status, 200, "{next:?}");
    assert_eq!(live_families(&server).await, 1);
}

/// T20: nor is one who comes in between, however late, and whichever of them is the first when it is over.
#[tokio::test]
async fn a_database_that_stalls_longer_than_the_window_signs_nobody_out() {
    let server = TestServer::start().await;
    let first = server.tokens("spa", OFFLINE).await;
    let spent = first.text("refresh_token");
    let mut stall = Stall::begin(&server).await;
    let tabs = async { tokio::join!(server.refresh("spa", spent), server.refresh("spa", spent)) };
    let later = async {
        stall.is_waited_for(2).await;
        server.clock.advance(40);
        let ending = async {
            stall.is_waited_for(3).await;
            stall.end().await;
        };
        tokio::join!(server.refresh("spa", spent), ending).0
    };
    let ((one, other), late) = tokio::join!(tabs, later);
    for answer in [&one, &other, &late] {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.text("refresh_token"), one.text("refresh_token"));
    }
    let next = server.refresh("spa", one.text("refresh_token")).await;
    assert_eq!(next.status, 200, "{next:?}");
    assert_eq!(live_families(&server).await, 1);
}

/// T21: what was spent or revoked stays so through a restart, and the window neither closes nor opens by it.
#[tokio::test]
async fn a_restart_neither_revives_nor_ends_a_family() {
    let mut server = TestServer::start().await;
    let first = server.tokens("spa", OFFLINE).await;
    let spent = first.text("refresh_token");
    let successor = server.refresh("spa", spent).await;
    server.restart().await;
    let again = server.refresh("spa", spent).await;
    assert_eq!(again.text("refresh_token"), successor.text("refresh_token"));
    server.clock.advance(31);
    assert_refused(&server, spent).await;
    server.restart().await;
    assert_refused(&server, spent).await;
    assert_refused(&server, successor.text("refresh_token")).await;
}

/// A database that was restored from a backup knows fewer refreshes than the apps: the newest token goes on, a second tab gets the
/// same, and a stale one is caught as ever.
#[tokio::test]
async fn a_restored_backup_signs_nobody_out_and_lets_no_thief_in() {
    let mut server = TestServer::start().await;
    let first = server.tokens("spa", OFFLINE).await;
    let second = server.refresh("spa", first.text("refresh_token")).await;
    let pool = server.database.pool().await;
    let row: (String, i64, i64) =
        sqlx::query_as("SELECT id, generation, rotated_at FROM token_family")
            .fetch_one(&pool)
            .await
            .unwrap();
    let mut tokens = vec![second.text("refresh_token").to_owned()];
    for _ in 0..3 {
        server.clock.advance(600);
        let next = server.refresh("spa", tokens.last().unwrap()).await;
        tokens.push(next.text("refresh_token").to_owned());
    }
    server.stop().await;
    sqlx::query("UPDATE token_family SET generation = $2, rotated_at = $3 WHERE id = $1")
        .bind(row.0)
        .bind(row.1)
        .bind(row.2)
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    server.restart().await;
    let newest = tokens.last().unwrap();
    let next = server.refresh("spa", newest).await;
    assert_eq!(next.status, 200, "{next:?}");
    let other_tab = server.refresh("spa", newest).await;
    assert_eq!(other_tab.text("refresh_token"), next.text("refresh_token"));
    let last = server.refresh("spa", next.text("refresh_token")).await;
    assert_eq!(last.status, 200);
    assert_refused(&server, &tokens[2]).await;
    assert_refused(&server, last.text("refresh_token")).await;
}

/// T20: whoever came while theirs was the newest, and was kept waiting until its successor had been spent, is one of two: nobody goes
/// on alone, as where they had come later, and it is recorded.
#[tokio::test]
async fn a_token_whose_successor_is_spent_while_it_waits_ends_its_family() {
    let mut server = TestServer::start().await;
    server.edit_config(
        "kind = \"imis\"\n",
        "kind = \"imis\"\nrecheck_timeout = \"5s\"\ntimeout = \"30s\"\n",
    );
    server.restart().await;
    let first = server.tokens("spa", OFFLINE).await;
    let spent = first.text("refresh_token");
    server.clock.advance(5 * 60);
    server.imis.fail("", Fault::Hang);
    let pool = server.database.pool().await;
    let quicker = async {
        let asking = "SELECT COUNT(*) FROM upstream_login WHERE checking_since IS NOT NULL";
        while sqlx::query_scalar::<_, i64>(asking)
            .fetch_one(&pool)
            .await
            .unwrap()
            == 0
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Somebody else has asked meanwhile.
        sqlx::query("UPDATE upstream_login SET checked_at = $1, checking_since = NULL")
            .bind(server.clock.now())
            .execute(&pool)
            .await
            .unwrap();
        let next = server.refresh("spa", spent).await;
        server.refresh("spa", next.text("refresh_token")).await
    };
    let (slow, quick) = tokio::join!(server.refresh("spa", spent), quicker);
    assert_eq!(quick.status, 200, "{quick:?}");
    slow.assert_error(400, "invalid_grant");
    assert_refused(&server, quick.text("refresh_token")).await;
    assert_eq!(live_families(&server).await, 0);
    drop(pool);
    server.stop().await;
    let found = audit(&server, &["--event", "refresh_token_replayed"]).await;
    assert_eq!(found.len(), 1, "{found:?}");
}

/// Whoever hangs up as soon as they have asked has the whole answer happen: a replay is ended and recorded, with both addresses.
#[tokio::test]
async fn a_replay_whose_sender_hangs_up_is_recorded() {
    let mut server = TestServer::start().await;
    let mut replays = 0;
    for wait in [0, 1, 2, 3, 4, 6, 8, 10, 12, 15] {
        let first = server.tokens("spa", OFFLINE).await;
        let spent = first.text("refresh_token");
        server.refresh("spa", spent).await;
        server.clock.advance(31);
        let form = format!("grant_type=refresh_token&client_id=spa&refresh_token={spent}");
        let request = format!(
            "POST /token HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n{form}",
            server.address,
            form.len()
        );
        let mut connection = tokio::net::TcpStream::connect(server.address)
            .await
            .unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(wait)).await;
        drop(connection);
        replays += 1;
    }
    for _ in 0..200 {
        if live_families(&server).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(live_families(&server).await, 0);
    server.stop().await;
    let found = audit(&server, &["--event", "refresh_token_replayed"]).await;
    assert_eq!(found.len(), replays);
    for record in found {
        assert_eq!(record["address"], "127.0.0.1");
        assert_eq!(record["details"]["last_address"], "127.0.0.1");
    }
}

/// T21: a clock that steps back opens no longer window, and lengthens no life.
#[tokio::test]
async fn a_clock_step_back_extends_nothing() {
    let server = with_lifetimes("refresh_idle = \"1h\"\nrefresh_absolute = \"2h\"\n").await;
    let first = server.tokens("spa", OFFLINE).await;
    let other = server.tokens("spa", OFFLINE).await;
    let spent = first.text("refresh_token");
    let successor = server.refresh("spa", spent).await;
    server.clock.advance(-1800);
    assert_refused(&server, spent).await;
    assert_refused(&server, successor.text("refresh_token")).await;
    // A family that goes on through the step ends when it would have ended.
    let mut current = other.text("refresh_token").to_owned();
    for _ in 0..5 {
        let next = server.refresh("spa", &current).await;
        next.text("refresh_token").clone_into(&mut current);
        server.clock.advance(1700);
    }
    assert_eq!(server.clock.now(), START - 1800 + 5 * 1700);
    assert_eq!(server.refresh("spa", &current).await.status, 200);
    server.clock.advance(2 * 3600 - (5 * 1700 - 1800));
    assert_refused(&server, &current).await;
    server.clock.advance(-DAY);
    assert_refused(&server, spent).await;
}

/// T22.
#[tokio::test]
async fn both_lifetimes_hold_through_rotation() {
    let server = with_lifetimes("refresh_idle = \"1h\"\nrefresh_absolute = \"3h\"\n").await;
    let idle = server.tokens("spa", OFFLINE).await;
    let used = server.tokens("spa", OFFLINE).await;
    server.clock.advance(3599);
    let mut current = server.refresh("spa", used.text("refresh_token")).await;
    server.clock.advance(1);
    assert_refused(&server, idle.text("refresh_token")).await;
    for _ in 0..2 {
        server.clock.advance(3598);
        current = server.refresh("spa", current.text("refresh_token")).await;
        assert_eq!(current.status, 200, "{current:?}");
    }
    assert_eq!(server.clock.now(), START + 10_796);
    server.clock.advance(4);
    assert_refused(&server, current.text("refresh_token")).await;
}

/// T22.
#[tokio::test]
async fn the_oldest_family_beyond_the_cap_ends() {
    let server = with_lifetimes("families_per_client = 2\n").await;
    let mut families = Vec::new();
    for _ in 0..3 {
        families.push(server.tokens("spa", OFFLINE).await);
        server.clock.advance(1);
    }
    let elsewhere = server.tokens("web", OFFLINE).await;
    assert_refused(&server, families[0].text("refresh_token")).await;
    for living in &families[1..] {
        let answer = server.refresh("spa", living.text("refresh_token")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let answer = server.refresh("web", elsewhere.text("refresh_token")).await;
    assert_eq!(answer.status, 200, "another client has a cap of its own");
}

/// T22: over all clients, and what was used the longest ago ends, not what began first. Recorded.
#[tokio::test]
async fn a_person_has_so_many_families_over_all_clients() {
    let mut server = with_lifetimes("families_per_person = 2\n").await;
    let first = server.tokens("spa", OFFLINE).await;
    server.clock.advance(1);
    let second = server.tokens("web", OFFLINE).await;
    server.clock.advance(1);
    let used = server.refresh("spa", first.text("refresh_token")).await;
    assert_eq!(used.status, 200, "{used:?}");
    server.clock.advance(1);
    let third = server.tokens("spa", OFFLINE).await;
    let refused = server.refresh("web", second.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
    for living in [&used, &third] {
        let answer = server.refresh("spa", living.text("refresh_token")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let capped = AuditFilter {
        event: Some("family_capped".to_owned()),
        ..AuditFilter::default()
    };
    server.stop().await;
    let recorded = server.store.search_audit(&capped, 10).await.unwrap();
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0].client_id.as_ref().unwrap().as_str(), "web");
}

/// Design, section 4: without `offline_access` the family belongs to the session, and using it keeps the session in use.
#[tokio::test]
async fn a_family_without_offline_access_lives_as_long_as_its_session() {
    let server = with_lifetimes("session_idle = \"1h\"\nsession_absolute = \"3h\"\n").await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    let page = browser.log_in_as(&url, people::JO_SMITH).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    let offline = server.tokens("spa", OFFLINE).await;
    let mut current = tokens.text("refresh_token").to_owned();
    for _ in 0..3 {
        server.clock.advance(3000);
        let next = server.refresh("spa", &current).await;
        assert_eq!(next.status, 200, "{next:?}");
        next.text("refresh_token").clone_into(&mut current);
    }
    let silent = server.authorize_url("spa", &[("prompt", "none")]);
    assert!(browser.get(&silent).await.answer().contains_key("code"));
    server.clock.advance(3 * 3600 - 9000);
    assert_refused(&server, &current).await;
    assert_eq!(
        browser.get(&silent).await.answer()["error"],
        "login_required"
    );
    let answer = server.refresh("spa", offline.text("refresh_token")).await;
    assert_eq!(answer.status, 200, "an offline family outlives the session");
}

/// RFC 6749 section 10.4: the token is bound to its client, and who guesses at it ends nothing.
#[tokio::test]
async fn another_client_can_neither_use_nor_end_a_family() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", OFFLINE).await;
    let refresh_token = tokens.text("refresh_token");
    let foreign = server.refresh("web", refresh_token).await;
    foreign.assert_error(400, "invalid_grant");
    assert_eq!(server.refresh("spa", refresh_token).await.status, 200);
}

/// T23.
#[tokio::test]
async fn no_other_spelling_of_a_refresh_token_is_taken() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", OFFLINE).await;
    let token = tokens.text("refresh_token");
    let mut parts = token.split('.');
    let (family, mac) = (parts.next().unwrap(), parts.next_back().unwrap());
    for spelling in [
        token[..token.len() - 1].to_owned(),
        format!("{token}="),
        format!("{token} "),
        format!(" {token}"),
        format!("{family}.1.{mac}"),
        format!("{family}.00.{mac}"),
        format!("{family}.-0.{mac}"),
        format!("{family}.9223372036854775807.{mac}"),
        token.to_uppercase(),
        tokens.text("access_token").to_owned(),
    ] {
        let refused = server.refresh("spa", &spelling).await;
        assert_eq!(refused.status, 400, "{spelling}");
    }
    assert_eq!(
        server.refresh("spa", token).await.status,
        200,
        "nothing was ended"
    );
}

/// RFC 6749 section 6.
#[tokio::test]
async fn a_refresh_may_ask_for_less_and_never_for_more() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid profile offline_access").await;
    let ask = |token: String, scope: &'static str| {
        let server = &server;
        async move {
            let parameters = [
                ("grant_type", "refresh_token"),
                ("refresh_token", token.as_str()),
                ("scope", scope),
            ];
            server.token("spa", &parameters).await
        }
    };
    let token = tokens.text("refresh_token").to_owned();
    let more = ask(token.clone(), "openid email").await;
    more.assert_error(400, "invalid_scope");
    let less = ask(token, "openid").await;
    assert_eq!(less.body["scope"], "openid", "{less:?}");
    let next = server.refresh("spa", less.text("refresh_token")).await;
    assert_eq!(next.body["scope"], "offline_access openid profile");
}

/// T15, T17: an account that was closed, and a client that lost `offline_access`.
#[tokio::test]
async fn what_was_withdrawn_is_gone_at_the_next_refresh() {
    let mut server = TestServer::start().await;
    let tokens = server.tokens("spa", OFFLINE).await;
    let token = tokens.text("refresh_token").to_owned();
    let pool = server.database.pool().await;
    sqlx::query("UPDATE account SET disabled_at = 1")
        .execute(&pool)
        .await
        .unwrap();
    assert_refused(&server, &token).await;
    assert_eq!(
        server.userinfo(tokens.text("access_token")).await.status,
        401
    );
    sqlx::query("UPDATE account SET disabled_at = NULL")
        .execute(&pool)
        .await
        .unwrap();
    drop(pool);
    server.edit_config(
        "http://127.0.0.1/callback\"]\npost_logout_redirect_uris = [\"https://spa.example.org/\"]\n\
         grant_types = [\"authorization_code\", \"refresh_token\"]\nscope = \"openid profile email offline_access\"",
        "http://127.0.0.1/callback\"]\npost_logout_redirect_uris = [\"https://spa.example.org/\"]\n\
         grant_types = [\"authorization_code\", \"refresh_token\"]\nscope = \"openid profile email\"",
    );
    server.restart().await;
    assert_refused(&server, &token).await;
}
