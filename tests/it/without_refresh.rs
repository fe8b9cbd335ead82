//! What a login leaves that no refresh token comes with: a row that ends with its one access token, by whatever grant it came.

use portico::protocol::ids::{FamilyId, SessionId};
use portico::simulator::people::JO_SMITH;

use crate::harness::browser::Browser;
use crate::harness::relying_party::{Answer, claims};
use crate::harness::server::{START, TestServer};
use crate::{device, password_grant};

const CLIENTS: &str = r#"
[[clients]]
client_id = "hybrid"
token_endpoint_auth_method = "none"
redirect_uris = ["https://hybrid.example.org/callback"]
grant_types = ["authorization_code", "implicit"]
response_types = ["code", "code id_token token"]
scope = "openid profile"

[[clients]]
client_id = "box"
token_endpoint_auth_method = "client_secret_post"
client_secret = { env = "POST_SECRET" }
grant_types = ["urn:ietf:params:oauth:grant-type:device_code"]
scope = "openid"

[[clients]]
client_id = "plain"
client_secret = { env = "SERVICE_SECRET" }
grant_types = ["password"]
scope = "openid"
upstreams = ["members"]
"#;
/// Of an access token.
const LIFETIME: i64 = 600;
/// The longest that a request takes until it makes one, and by how much two clocks differ.
const MARGIN: i64 = 65;
const DAY: i64 = 24 * 60 * 60;
/// Of a session.
const WEEK: i64 = 7 * DAY;

async fn start() -> TestServer {
    TestServer::start_with(|setup| setup.clients = CLIENTS.to_owned()).await
}

fn of(token: &str, claim: &str) -> String {
    claims(token)[claim].as_str().unwrap().to_owned()
}

async fn redeemed(server: &TestServer, client: &str, code: &str) -> Answer {
    let tokens = server.redeem(client, code, &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    tokens
}

/// Nothing caps such rows: an app that comes anew at each call, or every ten minutes without a question, would fill the database with
/// what is dead, and the sessions with it.
#[tokio::test]
async fn a_login_without_refresh_tokens_ends_with_its_access_token() {
    let server = start().await;
    let mut browser = Browser::new();
    let page = browser
        .log_in_as(server.authorize_url("post", &[]), JO_SMITH)
        .await;
    let mut all = vec![redeemed(&server, "post", &page.answer()["code"]).await];
    let silent = server.authorize_url("post", &[("prompt", "none")]);
    let page = browser.get(silent).await;
    all.push(redeemed(&server, "post", &page.answer()["code"]).await);
    all.push(device::approved(&server, "box", "openid").await);
    all.push(password_grant::ask(&server, "plain", &[]).await);
    let both = [
        ("response_type", "code id_token token"),
        ("scope", "openid"),
    ];
    let page = browser.get(server.authorize_url("hybrid", &both)).await;
    let in_the_browser = page.answer()["access_token"].clone();
    all.push(redeemed(&server, "hybrid", &page.answer()["code"]).await);

    let mut tokens: Vec<&str> = all.iter().map(|all| all.text("access_token")).collect();
    for (token, answer) in tokens.iter().zip(&all) {
        assert!(answer.body.get("refresh_token").is_none(), "{answer:?}");
        let id = FamilyId::new(of(token, "family"));
        let family = server.store.find_family(&id).await.unwrap().unwrap();
        assert_eq!(family.expires_at, START + LIFETIME + MARGIN, "{answer:?}");
    }
    assert_eq!(of(&in_the_browser, "family"), of(tokens[4], "family"));
    tokens.push(&in_the_browser);
    // Each is good until its very end.
    server.clock.advance(LIFETIME - 1);
    for token in &tokens {
        assert_eq!(server.userinfo(token).await.status, 200);
    }
    server.clock.advance(1);
    for token in &tokens {
        assert_eq!(server.userinfo(token).await.status, 401);
    }
    // A day later the rows are gone, and so are those of the sessions, a day after theirs.
    let gone = START + LIFETIME + MARGIN + DAY;
    let swept = server.store.sweep(gone - 1, 10).await.unwrap();
    assert_eq!((swept.families, swept.sessions), (0, 0));
    let swept = server.store.sweep(gone, 10).await.unwrap();
    assert_eq!((swept.families, swept.sessions), (5, 0));
    let sessions = all.iter().map(|all| of(all.text("access_token"), "sid"));
    let swept = server.store.sweep(START + WEEK + DAY - 1, 10).await;
    assert_eq!(swept.unwrap().sessions, 0);
    let swept = server.store.sweep(START + WEEK + DAY, 10).await;
    assert_eq!(swept.unwrap().sessions, 3);
    for session in sessions {
        let session = SessionId::new(session);
        assert_eq!(server.store.find_session(&session).await.unwrap(), None);
    }
}

/// T11, as long as there is something to end: the token of a code that is used twice is dead, however late that is.
#[tokio::test]
async fn a_replay_ends_the_access_token_that_lives() {
    let server = start().await;
    let code = server.code("post", &[]).await;
    let tokens = redeemed(&server, "post", &code).await;
    server.clock.advance(LIFETIME - 1);
    let token = tokens.text("access_token");
    assert_eq!(server.userinfo(token).await.status, 200);
    let again = server.redeem("post", &code, &[]).await;
    again.assert_error(400, "invalid_grant");
    assert_eq!(server.userinfo(token).await.status, 401);
}
