//! Whom the rounds ask about: who is signed in to an app that is told of logouts, and was not asked about for too long. Nobody
//! else is asked about without having come (T15).

use std::time::Duration;

use portico::passwords::hash_password;
use portico::protocol::ids::SessionId;
use portico::protocol::secret::Secret;

use crate::command_line::session::told;
use crate::harness::browser::Browser;
use crate::harness::relying_party::claims;
use crate::harness::server::TestServer;
use crate::recheck::{PASSWORD, asked};

/// The ones who are not asked about; each has one reason.
const OTHERS: [&str; 7] = [
    "early", "untold", "ended", "idle", "closed", "refused", "taken",
];
const DUE: &str = "due";

fn people() -> String {
    let hash = hash_password(&Secret::new(PASSWORD)).unwrap();
    let person = |name: &str| {
        format!(
            "[[upstreams.people]]\npassword_hash = \"{hash}\"\nid = \"{name}\"\nusername = \"{name}\"\n"
        )
    };
    let all: String = OTHERS.into_iter().chain([DUE]).map(person).collect();
    format!("[[upstreams]]\nid = \"local\"\nkind = \"users\"\n{all}")
}

/// The session of somebody who logs in at `client`.
async fn log_in(server: &TestServer, client: &str, who: &str) -> SessionId {
    let mut browser = Browser::new();
    let url = server.authorize_url(client, &[("scope", "openid")]);
    let page = browser.open(url).await;
    let page = browser.sign_in(&page, "local", (who, PASSWORD)).await;
    let tokens = server.redeem(client, &page.answer()["code"], &[]).await;
    let sid = claims(tokens.text("id_token"))["sid"].clone();
    SessionId::new(sid.as_str().unwrap())
}

#[tokio::test]
async fn who_is_signed_in_to_an_app_that_is_told_is_asked_about_and_nobody_else() {
    let (mut server, _site) = told(|setup, _| setup.upstreams = people()).await;
    let pool = server.database.pool().await;
    for who in OTHERS {
        let client = if who == "untold" { "spa" } else { "first" };
        let session = log_in(&server, client, who).await;
        match who {
            "ended" => {
                let now = server.clock.now();
                assert!(server.store.end_session(&session, now).await.unwrap());
            }
            "idle" => {
                sqlx::query("UPDATE session SET last_seen_at = 0 WHERE id = $1")
                    .bind(session.as_str())
                    .execute(&pool)
                    .await
                    .unwrap();
            }
            "closed" => {
                // Its sessions have not ended yet.
                sqlx::query(
                    "UPDATE account SET disabled_at = 1
                     WHERE id = (SELECT account_id FROM session WHERE id = $1)",
                )
                .bind(session.as_str())
                .execute(&pool)
                .await
                .unwrap();
            }
            _ => {}
        }
    }
    // The round comes to them last, so that it has passed all others then.
    loop {
        let session = log_in(&server, "first", DUE).await;
        let last: String = sqlx::query_scalar("SELECT MAX(id) FROM session")
            .fetch_one(&pool)
            .await
            .unwrap();
        if last == session.as_str() {
            break;
        }
        let now = server.clock.now();
        assert!(server.store.end_session(&session, now).await.unwrap());
    }
    server.stop().await;
    server.clock.advance(3600);
    let now = server.clock.now();
    for (who, change, value) in [
        ("early", "checked_at", now - 3599),
        ("refused", "refused_at", now - 3600),
        ("taken", "check_after", now + 30),
    ] {
        let text = format!("UPDATE upstream_login SET {change} = $1 WHERE subject = $2");
        sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(value)
            .bind(who)
            .execute(&pool)
            .await
            .unwrap();
    }
    let checked = async |who: &str| -> i64 {
        sqlx::query_scalar("SELECT checked_at FROM upstream_login WHERE subject = $1")
            .bind(who)
            .fetch_one(&pool)
            .await
            .unwrap()
    };
    let mut before = Vec::new();
    for who in OTHERS {
        before.push((who, checked(who).await));
    }
    server.restart().await;
    for _ in 0..200 {
        if checked(DUE).await == now {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(checked(DUE).await, now, "who is due is asked about");
    let mut wrongly = Vec::new();
    for (who, then) in before {
        if checked(who).await != then {
            wrongly.push(who);
        }
    }
    assert!(wrongly.is_empty(), "{wrongly:?}");
    assert_eq!(asked(&server).await, 1);
}
