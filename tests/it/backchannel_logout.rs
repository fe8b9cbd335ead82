//! Back-channel logout (OpenID Connect Back-Channel Logout 1.0; T35, T36, T41): who is told what, how often, and by which node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use jsonwebtoken::Algorithm;
use portico::model::logout_notice::{LogoutNotice, NoticeState};
use portico::model::session::Session;
use portico::protocol::ids::{ClientId, SessionId, UpstreamId};
use portico::simulator::people::{JO_SMITH, ZOE};
use portico::store::{NoticeFilter, Whose};
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::clock_steps::sid;
use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, answer, claims, header};
use crate::harness::server::TestServer;
use crate::harness::site::{Page, Site};
use crate::tokens::verified;
use crate::{device, password_grant};

const OPEN: &str = "[outbound]\nallow_hosts = [\"127.0.0.1\"]\n";

/// A client that somebody can log in to, with `more` keys.
pub(crate) fn told_at(client_id: &str, more: &str) -> String {
    format!(
        r#"
[[clients]]
client_id = "{client_id}"
token_endpoint_auth_method = "none"
redirect_uris = ["https://{client_id}.example.org/callback"]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid offline_access"
{more}
"#
    )
}

/// A server with the clients `first`, `second` and `third`, told at the path of their name.
async fn start() -> (TestServer, Site) {
    let site = Site::start().await;
    let at = |name: &str, more: &str| {
        told_at(
            name,
            &format!("backchannel_logout_uri = \"{}/{name}\"\n{more}", site.url),
        )
    };
    let server = TestServer::start_with(|setup| {
        setup.sections += OPEN;
        let pairwise = "subject_type = \"pairwise\"\nid_token_signed_response_alg = \"ES256\"";
        setup.clients = at("first", "") + &at("second", pairwise) + &at("third", "");
    })
    .await;
    for path in ["/first", "/second", "/third"] {
        site.set(path, Page::Body("text/plain", String::new()));
    }
    (server, site)
}

/// Logs the browser in to `client_id`; its tokens.
pub(crate) async fn sign_in(
    server: &TestServer,
    browser: &mut Browser,
    client_id: &str,
    scope: &str,
) -> Answer {
    let url = server.authorize_url(client_id, &[("scope", scope), ("prompt", "")]);
    let mut page = browser.open(url).await;
    if page.is_login() {
        page = browser.sign_in_as(&page, JO_SMITH).await;
    }
    let tokens = server.redeem(client_id, &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    tokens
}

pub(crate) async fn log_out(server: &TestServer, browser: &mut Browser, tokens: &Answer) {
    let url = format!(
        "{}?id_token_hint={}",
        server.url("/end_session"),
        tokens.text("id_token")
    );
    let page = browser.get(url).await;
    assert!(page.body.contains("You are signed out"), "{}", page.body);
}

/// The logout token of a request, its signature verified by the published keys as a client would.
async fn logout_token(server: &TestServer, body: &str, algorithm: Algorithm) -> (String, Value) {
    let form: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    assert_eq!(form.len(), 1, "{body}");
    let token = form["logout_token"].clone();
    let claims = verified(server, &token, algorithm).await;
    (token, claims)
}

/// What a client was told, and is still to be told.
pub(crate) async fn notices(server: &TestServer, client: &str) -> Vec<LogoutNotice> {
    let client = ClientId::new(client);
    let filter = NoticeFilter {
        client: Some(&client),
        ..NoticeFilter::default()
    };
    let found = server.store.search_logout_notices(filter, 1000).await;
    found.unwrap()
}

/// Once every notice to `client` has an end.
pub(crate) async fn settled(server: &TestServer, client: &str) -> Vec<LogoutNotice> {
    for _ in 0..200 {
        let found = notices(server, client).await;
        if found
            .iter()
            .all(|notice| notice.state() != NoticeState::Waiting)
        {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{:?}", notices(server, client).await);
}

/// Section 2.4: exactly these claims, for each client in its own terms; clients that nobody logged in to in this browser hear
/// nothing. T35.
#[tokio::test]
async fn a_logout_is_told_to_the_clients_of_the_session_and_to_no_other() {
    let (server, site) = start().await;
    let mut browser = Browser::new();
    let first = sign_in(&server, &mut browser, "first", "openid").await;
    let second = sign_in(&server, &mut browser, "second", "openid").await;
    // Again: it is told once all the same.
    sign_in(&server, &mut browser, "first", "openid").await;
    // Somebody else, and the same person elsewhere.
    let mut other = Browser::new();
    let url = server.authorize_url("third", &[]);
    other.log_in_as(url, ZOE).await;
    sign_in(&server, &mut Browser::new(), "third", "openid").await;
    log_out(&server, &mut browser, &first).await;
    for (name, tokens, algorithm) in [
        ("first", &first, Algorithm::RS256),
        ("second", &second, Algorithm::ES256),
    ] {
        let requests = site.requests(&format!("/{name}"), 1).await;
        let (token, told) = logout_token(&server, &requests[0], algorithm).await;
        assert_eq!(header(&token)["typ"], "logout+jwt");
        let id_token = claims(tokens.text("id_token"));
        let now = server.clock.now();
        let jti = told["jti"].clone();
        assert!(jti.as_str().unwrap().len() >= 20, "{told}");
        let expected = json!({
            "iss": server.issuer,
            "sub": id_token["sub"],
            "aud": name,
            "iat": now,
            "exp": now + 120,
            "jti": jti,
            "sid": id_token["sid"],
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        });
        assert_eq!(told, expected);
        let settled = settled(&server, name).await;
        assert_eq!(settled.len(), 1);
        assert_eq!(settled[0].state(), NoticeState::Told);
        assert_eq!(
            (settled[0].attempts, site.hits(&format!("/{name}"))),
            (1, 1)
        );
    }
    assert_ne!(
        claims(first.text("id_token"))["sub"],
        claims(second.text("id_token"))["sub"]
    );
    assert!(notices(&server, "third").await.is_empty());
    assert_eq!(site.hits("/third"), 0);
}

/// The client was away for an hour: it hears of it when it is back, by a token that is good then; and in between it was
/// left alone longer and longer.
#[tokio::test]
async fn a_client_that_comes_back_after_an_hour_is_told_then() {
    let (mut server, site) = start().await;
    site.remove("/first");
    let mut browser = Browser::new();
    let tokens = sign_in(&server, &mut browser, "first", "openid").await;
    log_out(&server, &mut browser, &tokens).await;
    let mut attempts = 1;
    site.requests("/first", attempts).await;
    for wait in [10, 30, 90, 270, 600, 600, 600, 600, 600, 600] {
        waiting(&server, attempts).await;
        server.clock.advance(wait - 1);
        // The server asks the database every second; what is due now was due before.
        server.clock.advance(1);
        attempts += 1;
        site.requests("/first", attempts).await;
    }
    waiting(&server, attempts).await;
    let trouble = notices(&server, "first").await[0].trouble.clone().unwrap();
    assert!(trouble.contains("HTTP 404"), "{trouble}");
    site.set("/first", Page::Body("text/plain", String::new()));
    // A restart forgets nothing.
    server.restart().await;
    server.clock.advance(600);
    let requests = site.requests("/first", attempts + 1).await;
    let (_, told) = logout_token(&server, requests.last().unwrap(), Algorithm::RS256).await;
    assert_eq!(told["iat"], server.clock.now());
    let (_, before) = logout_token(&server, &requests[0], Algorithm::RS256).await;
    assert_ne!(told["jti"], before["jti"]);
    let settled = settled(&server, "first").await;
    assert_eq!(settled[0].state(), NoticeState::Told);
    assert_eq!(settled[0].trouble, None);
}

/// Until the outcome of attempt `attempts` is written down.
async fn waiting(server: &TestServer, attempts: usize) {
    attempted(server, "first", i64::try_from(attempts).unwrap()).await;
}

/// Until the first attempt to tell `client` has failed.
pub(crate) async fn failed(server: &TestServer, client: &str) {
    attempted(server, client, 1).await;
}

pub(crate) async fn attempted(server: &TestServer, client: &str, attempts: i64) {
    for _ in 0..200 {
        let found = notices(server, client).await;
        let [notice] = found.as_slice() else {
            panic!("{found:?}")
        };
        if notice.attempts == attempts && notice.trouble.is_some() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{:?}", notices(server, client).await);
}

/// `lifetimes.logout_notice`: at last it is given up, and that is seen.
#[tokio::test]
async fn a_client_that_never_answers_is_given_up_in_the_end() {
    let site = Site::start().await;
    let uri = format!("backchannel_logout_uri = \"{}/first\"", site.url);
    let server = TestServer::start_with(|setup| {
        setup.sections += OPEN;
        setup.sections += "[lifetimes]\nlogout_notice = \"1m\"\n";
        setup.clients = told_at("first", &uri);
    })
    .await;
    // Until its clock is believed.
    server.clock.pass(15 * 60);
    let mut browser = Browser::new();
    let tokens = sign_in(&server, &mut browser, "first", "openid").await;
    log_out(&server, &mut browser, &tokens).await;
    for (attempts, wait) in [(1, 10), (2, 30), (3, 90)] {
        site.requests("/first", attempts).await;
        if attempts < 3 {
            waiting(&server, attempts).await;
        }
        server.clock.pass(wait);
    }
    let settled = settled(&server, "first").await;
    assert_eq!(settled[0].state(), NoticeState::GivenUp);
    assert_eq!(settled[0].attempts, 3);
    assert!(settled[0].trouble.as_deref().unwrap().contains("404"));
}

/// Many nodes: each client hears each logout once.
#[tokio::test]
async fn of_several_nodes_one_tells_each_client() {
    let (mut server, site) = start().await;
    server.add_node().await;
    server.add_node().await;
    let mut ended = Vec::new();
    for _ in 0..6 {
        let mut browser = Browser::new();
        let tokens = sign_in(&server, &mut browser, "first", "openid").await;
        sign_in(&server, &mut browser, "second", "openid").await;
        ended.push((browser, tokens));
    }
    for (browser, tokens) in &mut ended {
        log_out(&server, browser, tokens).await;
    }
    for name in ["first", "second"] {
        site.requests(&format!("/{name}"), 6).await;
        let settled = settled(&server, name).await;
        assert_eq!(settled.len(), 6);
        assert!(
            settled
                .iter()
                .all(|notice| notice.attempts == 1 && notice.state() == NoticeState::Told)
        );
        assert_eq!(site.hits(&format!("/{name}")), 6);
    }
}

/// One that is down holds up nobody else, however much it is to be told.
#[tokio::test]
async fn a_client_that_is_down_holds_up_no_other() {
    let (server, site) = start().await;
    site.set("/first", Page::Silence);
    let mut ended = Vec::new();
    for _ in 0..20 {
        let mut browser = Browser::new();
        let tokens = sign_in(&server, &mut browser, "first", "openid").await;
        ended.push((browser, tokens));
    }
    for (browser, tokens) in &mut ended {
        log_out(&server, browser, tokens).await;
    }
    let mut browser = Browser::new();
    let tokens = sign_in(&server, &mut browser, "second", "openid").await;
    log_out(&server, &mut browser, &tokens).await;
    site.requests("/second", 1).await;
    assert!(site.hits("/first") <= 4, "{}", site.hits("/first"));
}

/// Signs in to `client` by `count` browsers, whose sessions all end at once.
async fn end_many(server: &TestServer, client: &str, count: usize) {
    for _ in 0..count {
        sign_in(server, &mut Browser::new(), client, "openid").await;
    }
    let account = server.store.list_accounts(1).await.unwrap().remove(0).id;
    let now = server.clock.now();
    server.store.end_all_of(&account, now).await.unwrap();
}

/// Once `enough` says so of the notices to `client`.
async fn once(
    server: &TestServer,
    client: &str,
    enough: impl Fn(&[LogoutNotice]) -> bool,
) -> Vec<LogoutNotice> {
    for _ in 0..400 {
        let found = notices(server, client).await;
        if enough(&found) {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{:?}", notices(server, client).await);
}

/// How many were tried.
fn tried(notices: &[LogoutNotice]) -> usize {
    notices.iter().filter(|notice| notice.attempts > 0).count()
}

/// Of how many it is written down that they have failed.
fn in_trouble(notices: &[LogoutNotice]) -> usize {
    let troubled = |notice: &&LogoutNotice| notice.trouble.is_some();
    notices.iter().filter(troubled).count()
}

/// While one hangs, another one's notice goes out: nobody waits for a batch.
#[tokio::test]
async fn a_client_that_hangs_delays_no_other() {
    let (server, site) = start().await;
    site.set("/first", Page::Silence);
    end_many(&server, "first", 12).await;
    let mut heard = 0;
    // A call hangs for seconds, and a busy machine may sleep through one of them.
    for _ in 0..5 {
        let before = notices(&server, "first").await;
        once(&server, "first", |found| tried(found) > in_trouble(&before)).await;
        end_many(&server, "second", 1).await;
        heard += 1;
        site.requests("/second", heard).await;
        let hanging = notices(&server, "first").await;
        if tried(&hanging) > in_trouble(&hanging) {
            return;
        }
        server.clock.advance(60);
    }
    panic!("the other one was always told after the call that hung");
}

/// One that is down is tried by one notice at a time, and not always the same; once it is back it hears all of them.
#[tokio::test]
async fn a_client_that_was_down_hears_everything_once_it_is_back() {
    let (server, site) = start().await;
    site.set("/first", Page::Status(StatusCode::SERVICE_UNAVAILABLE));
    let down = 30;
    end_many(&server, "first", down).await;
    let found = once(&server, "first", |found| in_trouble(found) > 0).await;
    // As many as were on their way when the first one failed.
    let mut before = in_trouble(&found);
    assert!(before <= 4, "{found:?}");
    for wait in [10, 30, 60, 60] {
        server.clock.advance(wait);
        let more = |found: &[LogoutNotice]| in_trouble(found) > before;
        let found = once(&server, "first", more).await;
        before = in_trouble(&found);
        // Each of them is another one: whoever was tried is tried again after the others.
        assert!(found.iter().all(|notice| notice.attempts <= 1), "{found:?}");
    }
    let tried = site.hits("/first");
    assert!(tried <= 4 + 4, "{tried}");
    site.set("/first", Page::Body("text/plain", String::new()));
    server.clock.advance(60);
    // Without the clock moving again.
    site.requests("/first", tried + down).await;
    let settled = settled(&server, "first").await;
    assert_eq!(settled.len(), down);
    assert!(settled.iter().all(|n| n.state() == NoticeState::Told));
    assert_eq!(site.hits("/first"), tried + down);
}

/// What has failed again and again while the client was down is due at once when it is back, however long it would wait.
#[tokio::test]
async fn what_failed_while_a_client_was_down_does_not_wait_when_it_is_back() {
    let (server, site) = start().await;
    site.set("/first", Page::Status(StatusCode::BAD_GATEWAY));
    end_many(&server, "first", 3).await;
    let mut found = once(&server, "first", |found| in_trouble(found) > 0).await;
    // However long they have waited, one at a time is tried.
    for status in 510.. {
        if found.iter().all(|notice| notice.attempts >= 4) {
            break;
        }
        let status = StatusCode::from_u16(status).unwrap();
        site.set("/first", Page::Status(status));
        server.clock.advance(600);
        let is_new = |notice: &LogoutNotice| {
            let trouble = notice.trouble.as_deref().unwrap_or_default();
            trouble.contains(&format!("HTTP {}", status.as_u16()))
        };
        found = once(&server, "first", |found| found.iter().any(is_new)).await;
    }
    site.set("/first", Page::Body("text/plain", String::new()));
    // One of them is due; the last one to be tried would wait for minutes.
    server.clock.advance(60);
    let settled = settled(&server, "first").await;
    assert!(settled.iter().all(|n| n.state() == NoticeState::Told));
}

/// One notice that always fails, of a person whom the client cannot sign out, delays the others for seconds, and once.
#[tokio::test]
async fn a_notice_that_always_fails_holds_up_no_other_of_its_client() {
    let (server, site) = start().await;
    let mut browser = Browser::new();
    let tokens = sign_in(&server, &mut browser, "first", "openid").await;
    let poison = claims(tokens.text("id_token"))["sid"].clone();
    // Another status for each attempt, so that it can be told what came of which.
    let status = Arc::new(AtomicU16::new(501));
    let answered = Arc::clone(&status);
    let judge = move |body: &str| {
        let (_, token) = form_urlencoded::parse(body.as_bytes()).next().unwrap();
        if claims(&token)["sid"] == poison {
            StatusCode::from_u16(answered.load(Ordering::SeqCst)).unwrap()
        } else {
            StatusCode::OK
        }
    };
    site.set("/first", Page::Judged(Arc::new(judge)));
    log_out(&server, &mut browser, &tokens).await;
    for wait in [10, 30, 90, 10] {
        let code = format!("HTTP {}", status.load(Ordering::SeqCst));
        once(&server, "first", |found| {
            let trouble = found[0].trouble.as_deref();
            trouble.is_some_and(|trouble| trouble.contains(&code))
        })
        .await;
        status.fetch_add(1, Ordering::SeqCst);
        server.clock.advance(wait);
    }
    assert_eq!(notices(&server, "first").await[0].attempts, 4);
    // It waits for minutes now; the others waited for ten seconds.
    end_many(&server, "first", 5).await;
    let found = once(&server, "first", |found| told(found) == 5).await;
    let others = found.iter().filter(|notice| notice.told_at.is_some());
    assert!(others.clone().all(|notice| notice.attempts == 1));
    // Whether it was tried again beside them, or is later: by then the client is known to answer, and nobody waits at all.
    server.clock.advance(600);
    once(&server, "first", |found| {
        let poison = found.iter().find(|notice| notice.told_at.is_none());
        poison.is_some_and(|notice| notice.attempts >= 5)
    })
    .await;
    end_many(&server, "first", 5).await;
    once(&server, "first", |found| told(found) == 10).await;
}

/// What a client that is down was to be told for too long is given up, though it never had its turn.
#[tokio::test]
async fn what_never_had_its_turn_is_given_up_in_the_end() {
    let (server, site) = start().await;
    site.set("/first", Page::Status(StatusCode::SERVICE_UNAVAILABLE));
    end_many(&server, "first", 20).await;
    once(&server, "first", |found| in_trouble(found) > 0).await;
    server.clock.pass(24 * 60 * 60 + 1);
    let settled = settled(&server, "first").await;
    let given_up = |n: &LogoutNotice| n.state() == NoticeState::GivenUp && n.trouble.is_some();
    assert!(settled.iter().all(given_up), "{settled:?}");
    assert!(site.hits("/first") <= 5, "{}", site.hits("/first"));
}

/// A clock that stood ahead for a while gives nothing up: neither what was tried then, nor what never had its turn.
#[tokio::test]
async fn a_clock_that_stands_ahead_for_a_while_gives_nothing_up() {
    const AHEAD: i64 = 24 * 60 * 60 + 1;
    let (server, site) = start().await;
    server.clock.pass(60 * 60);
    site.set("/first", Page::Status(StatusCode::SERVICE_UNAVAILABLE));
    end_many(&server, "first", 12).await;
    once(&server, "first", |found| in_trouble(found) > 0).await;
    for (status, told) in [
        (StatusCode::BAD_GATEWAY, "502"),
        (StatusCode::GATEWAY_TIMEOUT, "504"),
    ] {
        site.set("/first", Page::Status(status));
        server.clock.advance(if told == "502" { AHEAD } else { 60 });
        let found = once(&server, "first", |found| {
            let trouble = |notice: &LogoutNotice| notice.trouble.clone().unwrap_or_default();
            found.iter().any(|notice| trouble(notice).contains(told))
        });
        found.await;
    }
    let found = notices(&server, "first").await;
    let waits = |notice: &LogoutNotice| notice.state() == NoticeState::Waiting;
    assert!(found.iter().all(waits), "{found:?}");
    server.clock.advance(-AHEAD);
    site.set("/first", Page::Body("text/plain", String::new()));
    server.clock.advance(60);
    let settled = settled(&server, "first").await;
    assert_eq!(told(&settled), 12, "{settled:?}");
}

/// A server where anybody registers an app that is told of logouts, beside the app `first` of its files.
async fn open_to_all(site: &Site) -> TestServer {
    site.set("/first", Page::Body("text/plain", String::new()));
    let uri = format!("backchannel_logout_uri = \"{}/first\"", site.url);
    TestServer::start_with(|setup| {
        setup.clients = told_at("first", &uri);
        setup.sections += OPEN;
        setup.sections += "[registration]\nmode = \"open\"\nfetch_allowed_hosts = true\n";
    })
    .await
}

/// Registers an app that is told of logouts at `path`.
async fn registered(server: &TestServer, site: &Site, path: &str) -> ClientId {
    site.set(path, Page::Body("text/plain", String::new()));
    let metadata = json!({
        "redirect_uris": ["https://app.example.org/callback"],
        "backchannel_logout_uri": format!("{}{path}", site.url),
    });
    let request = http_client().post(server.url("/register")).json(&metadata);
    let client = answer(request).await;
    assert_eq!(client.status, 201, "{client:?}");
    ClientId::new(client.text("client_id"))
}

/// Somebody was logged in to each of `clients` by `count` sessions, and all of them end now.
async fn end_at_all(server: &TestServer, clients: &[ClientId], count: usize) {
    server.tokens("spa", "openid").await;
    let account = server.store.list_accounts(1).await.unwrap().remove(0);
    let (store, now) = (&server.store, server.clock.now());
    let like = store.list_sessions(&account.id, now).await.unwrap();
    for _ in 0..count {
        let id = portico::clock::random_id();
        let session = Session {
            id: SessionId::new(id.clone()),
            ..like[0].clone()
        };
        let secret = format!("secret of {id}");
        let begun = store.replace_session(&secret, &session, None, &[], None);
        assert!(begun.await.unwrap());
        for client in clients {
            assert!(
                store
                    .note_session_client(&session.id, client)
                    .await
                    .unwrap()
            );
        }
    }
    server.store.end_all_of(&account.id, now).await.unwrap();
}

/// How many were told.
fn told(notices: &[LogoutNotice]) -> usize {
    let told = |notice: &&LogoutNotice| notice.told_at.is_some();
    notices.iter().filter(told).count()
}

/// Whatever this server may send now, it has sent: two notices that came later were heard, each in a look of its own.
async fn nothing_else_goes_out(server: &TestServer, site: &Site) {
    for _ in 0..2 {
        let heard = site.hits("/first");
        end_many(server, "first", 1).await;
        site.requests("/first", heard + 1).await;
    }
}

/// T38: a client that registered itself has us post so often in a minute; what is too much is not lost.
#[tokio::test]
async fn a_registered_client_is_told_so_much_in_a_minute() {
    let site = Site::start().await;
    let server = open_to_all(&site).await;
    let id = registered(&server, &site, "/told").await;
    end_at_all(&server, std::slice::from_ref(&id), 70).await;
    site.requests("/told", 60).await;
    nothing_else_goes_out(&server, &site).await;
    let waiting = |found: &[LogoutNotice]| found.iter().filter(|n| n.attempts == 0).count();
    assert_eq!(waiting(&notices(&server, id.as_str()).await), 10);
    server.clock.advance(60);
    site.requests("/told", 70).await;
    let settled = settled(&server, id.as_str()).await;
    assert!(settled.iter().all(|n| n.state() == NoticeState::Told));
}

/// T38: all that registered themselves have a budget together. Those with many notices leave it to the others as well: one
/// of each is told, and then the next one of each.
#[tokio::test]
async fn registered_clients_share_their_budget_round_by_round() {
    let site = Site::start().await;
    let server = open_to_all(&site).await;
    let mut greedy = Vec::new();
    for number in 0..6 {
        greedy.push(registered(&server, &site, &format!("/greedy-{number}")).await);
    }
    let modest = registered(&server, &site, "/modest").await;
    end_at_all(&server, &greedy, 52).await;
    // The last of all.
    end_at_all(&server, std::slice::from_ref(&modest), 3).await;
    once(&server, modest.as_str(), |found| told(found) == 3).await;
    let mut sent = 0;
    for _ in 0..1_600 {
        sent = (0..6).map(|n| site.hits(&format!("/greedy-{n}"))).sum();
        if sent >= 297 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    nothing_else_goes_out(&server, &site).await;
    assert!(sent >= 297, "{sent}");
    let hits: Vec<usize> = (0..6).map(|n| site.hits(&format!("/greedy-{n}"))).collect();
    assert_eq!(hits.iter().sum::<usize>(), 297, "{hits:?}");
    assert!(hits.iter().all(|hits| (45..=52).contains(hits)), "{hits:?}");
    server.clock.advance(60);
    for client in &greedy {
        let settled = settled(&server, client.as_str()).await;
        assert!(settled.iter().all(|n| n.state() == NoticeState::Told));
    }
}

/// A budget is a node's own, and what another node was quicker to take is not counted in it: two have twice as much.
#[tokio::test]
async fn a_node_counts_what_it_has_taken_itself() {
    let site = Site::start().await;
    let mut server = open_to_all(&site).await;
    server.add_node().await;
    let id = registered(&server, &site, "/told").await;
    end_at_all(&server, std::slice::from_ref(&id), 120).await;
    once(&server, id.as_str(), |found| told(found) == 120).await;
    assert_eq!(site.hits("/told"), 120);
}

/// Notices that nobody wants any more do not wait for the client to answer, which it never will: they go at once, though it
/// was down when it still wanted them.
#[tokio::test]
async fn what_a_client_does_not_want_any_more_goes_at_once_though_it_was_down() {
    let (mut server, site) = start().await;
    site.set("/first", Page::Status(StatusCode::SERVICE_UNAVAILABLE));
    end_many(&server, "first", 12).await;
    once(&server, "first", |found| in_trouble(found) > 0).await;
    assert_eq!(server.store.list_logout_outages().await.unwrap().len(), 1);
    let line = format!("backchannel_logout_uri = \"{}/first\"", site.url);
    server.edit_config(&line, "");
    server.restart().await;
    assert!(
        notices(&server, "first").await.len() == 12,
        "none has its turn yet"
    );
    let hits = site.hits("/first");
    // The turn of one, and no other second passes by the clock.
    server.clock.advance(60);
    once(&server, "first", <[LogoutNotice]>::is_empty).await;
    assert!(server.store.list_logout_outages().await.unwrap().is_empty());
    assert_eq!(site.hits("/first"), hits);
}

/// A node that was killed between taking a notice and saying what came of it: another one sends it, after the wait.
#[tokio::test]
async fn what_a_killed_node_had_taken_is_sent_by_another() {
    let (mut server, site) = start().await;
    let mut browser = Browser::new();
    let tokens = sign_in(&server, &mut browser, "first", "openid").await;
    server.stop().await;
    let sid = claims(tokens.text("id_token"))["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    let now = server.clock.now();
    let ended = server.store.end_session(&SessionId::new(sid), now).await;
    assert!(ended.unwrap());
    let taken = notices(&server, "first").await.remove(0);
    let is_taken = server.store.take_logout_notice(&taken, now, now + 10).await;
    assert!(is_taken.unwrap());
    // The server of before runs again, and another one beside it.
    server.restart().await;
    server.add_node().await;
    // Something that comes later is told, so that they have looked.
    sign_in(&server, &mut browser, "second", "openid").await;
    end_many(&server, "second", 1).await;
    site.requests("/second", 1).await;
    assert_eq!(site.hits("/first"), 0);
    server.clock.advance(10);
    site.requests("/first", 1).await;
    let settled = settled(&server, "first").await;
    assert_eq!(settled[0].state(), NoticeState::Told);
    assert_eq!((settled[0].attempts, site.hits("/first")), (2, 1));
}

/// A clock that stepped forward while notices waited, and back: nothing waits for a time that is days away.
#[tokio::test]
async fn a_clock_that_steps_back_or_forward_loses_no_notice() {
    const DAY: i64 = 24 * 60 * 60;
    let (server, site) = start().await;
    site.set("/first", Page::Status(StatusCode::SERVICE_UNAVAILABLE));
    end_many(&server, "first", 1).await;
    once(&server, "first", |found| in_trouble(found) == 1).await;
    // Forward by less than what a notice is tried for: it is due.
    site.set("/first", Page::Status(StatusCode::BAD_GATEWAY));
    server.clock.advance(DAY / 2);
    once(&server, "first", |found| {
        let trouble = found[0].trouble.as_deref();
        trouble.is_some_and(|trouble| trouble.contains("502"))
    })
    .await;
    // And back: what was to be tried in half a minute is half a day away, by the clock; so is the client's next turn.
    server.clock.advance(-DAY / 2);
    site.set("/first", Page::Body("text/plain", String::new()));
    site.requests("/first", 3).await;
    let settled = settled(&server, "first").await;
    assert_eq!(settled[0].state(), NoticeState::Told);
}

/// What a client was still to be told goes with it, and its removal is no outage of ours.
#[tokio::test]
async fn a_client_that_is_removed_is_told_nothing_more() {
    let (mut server, site) = start().await;
    site.set("/first", Page::Status(StatusCode::SERVICE_UNAVAILABLE));
    end_many(&server, "first", 3).await;
    once(&server, "first", |found| in_trouble(found) > 0).await;
    let outages = server.store.list_logout_outages().await.unwrap();
    assert_eq!(outages.len(), 1);
    let section = told_at(
        "first",
        &format!("backchannel_logout_uri = \"{}/first\"\n", site.url),
    );
    server.edit_config(&section, "");
    server.restart().await;
    assert!(notices(&server, "first").await.is_empty());
    assert!(server.store.list_logout_outages().await.unwrap().is_empty());
    let hits = site.hits("/first");
    server.clock.advance(600);
    end_many(&server, "second", 1).await;
    site.requests("/second", 1).await;
    assert_eq!(site.hits("/first"), hits);
}

/// Back-Channel Logout 1.0 section 2.4: an offline app is told which login is over; the person's other one there goes on.
#[tokio::test]
async fn the_end_of_what_outlived_its_session_names_that_session() {
    let (server, site) = start().await;
    let mut before = Browser::new();
    let offline = sign_in(&server, &mut before, "first", "openid offline_access").await;
    log_out(&server, &mut before, &offline).await;
    site.requests("/first", 1).await;
    let over = claims(offline.text("id_token"))["sid"].clone();
    // A week of other sessions later.
    settled(&server, "first").await;
    server.clock.advance(60);
    let mut other = Browser::new();
    let url = server.authorize_url("first", &[("scope", "openid"), ("prompt", "")]);
    let page = other.open(url).await;
    let page = other.sign_in_as(&page, JO_SMITH).await;
    assert!(page.answer().contains_key("code"));
    let members = UpstreamId::new("members");
    let now = server.clock.now();
    let ended = server
        .store
        .end_everything_of(Whose::Upstream(&members), now)
        .await
        .unwrap();
    assert_eq!((ended.sessions, ended.families), (1, 1));
    let requests = site.requests("/first", 3).await;
    let mut told = Vec::new();
    for request in &requests[1..] {
        let (_, claims) = logout_token(&server, request, Algorithm::RS256).await;
        told.push(claims["sid"].clone());
    }
    assert!(told.contains(&over), "{told:?}");
    assert!(told.iter().all(Value::is_string), "{told:?}");
    settled(&server, "first").await;
    assert_eq!(site.hits("/first"), 3);
}

/// One that refuses a logout, as of a session that it does not know, hears of the others all the same, each at once.
#[tokio::test]
async fn a_client_that_refuses_one_hears_of_the_others() {
    let (server, site) = start().await;
    site.set("/first", Page::Redirect(format!("{}/login", site.url)));
    // More than are sent at once.
    for _ in 0..20 {
        sign_in(&server, &mut Browser::new(), "first", "openid").await;
    }
    let account = server.store.list_accounts(1).await.unwrap().remove(0).id;
    let now = server.clock.now();
    server.store.end_all_of(&account, now).await.unwrap();
    site.requests("/first", 20).await;
}

/// T11: what hears of logouts is no less watched: its code, used again after the logout, ends what has outlived it.
#[tokio::test]
async fn a_device_code_that_comes_again_after_the_logout_is_a_replay() {
    let (server, _site) = tv().await;
    let codes = device::begin(&server, "tv", "openid offline_access").await;
    let mut browser = Browser::new();
    let page = device::at_question(&server, &mut browser, codes.text("user_code")).await;
    device::decide(&mut browser, &page, "allow").await;
    let tokens = device::ask(&server, "tv", codes.text("device_code")).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    log_out(&server, &mut browser, &tokens).await;
    let again = device::ask(&server, "tv", codes.text("device_code")).await;
    again.assert_error(400, "invalid_grant");
    let refreshed = server.refresh("tv", tokens.text("refresh_token")).await;
    refreshed.assert_error(400, "invalid_grant");
}

/// A server with a device and software that takes passwords, both told of logouts.
async fn tv() -> (TestServer, Site) {
    let site = Site::start().await;
    let server = TestServer::start_with(|setup| {
        device::devices(setup);
        password_grant::legacy(setup);
        setup.sections += OPEN;
        for client in ["tv", "both"] {
            let line = format!("client_id = \"{client}\"\n");
            let told = format!("{line}backchannel_logout_uri = \"{}/{client}\"\n", site.url);
            setup.clients = setup.clients.replace(&line, &told);
        }
    })
    .await;
    for path in ["/tv", "/both"] {
        site.set(path, Page::Body("text/plain", String::new()));
    }
    (server, site)
}

/// Those that no browser was sent to, a device and software that takes passwords, hear of the end as well.
#[tokio::test]
async fn apps_without_a_browser_are_told_too() {
    let (server, site) = tv().await;
    let scope = "openid offline_access";
    let tv = device::approved(&server, "tv", scope).await;
    let legacy = password_grant::ask(&server, "both", &[("scope", scope)]).await;
    assert!(
        tv.status == 200 && legacy.status == 200,
        "{tv:?} {legacy:?}"
    );
    let account = server.store.list_accounts(1).await.unwrap().remove(0).id;
    let now = server.clock.now();
    server.store.end_all_of(&account, now).await.unwrap();
    for (path, tokens) in [("/tv", &tv), ("/both", &legacy)] {
        let requests = site.requests(path, 1).await;
        let (_, told) = logout_token(&server, &requests[0], Algorithm::RS256).await;
        let own = claims(tokens.text("id_token"));
        assert_eq!(
            (&told["sid"], &told["sub"]),
            (&own["sid"], &own["sub"]),
            "{path}"
        );
    }
}

/// T36: where a client has us post is guarded as what it has us fetch; the administrator reads what to do.
#[tokio::test]
async fn a_logout_token_goes_to_no_address_behind_our_firewall_and_follows_no_redirect() {
    let site = Site::start().await;
    let uri = format!("backchannel_logout_uri = \"{}/first\"", site.url);
    let server = TestServer::start_with(|setup| setup.clients = told_at("first", &uri)).await;
    let mut browser = Browser::new();
    let tokens = sign_in(&server, &mut browser, "first", "openid").await;
    log_out(&server, &mut browser, &tokens).await;
    waiting(&server, 1).await;
    let trouble = notices(&server, "first").await[0].trouble.clone().unwrap();
    assert!(trouble.contains("only https addresses"), "{trouble}");
    assert_eq!(site.hits("/first"), 0);

    let (server, site) = start().await;
    site.set("/first", Page::Redirect(format!("{}/elsewhere", site.url)));
    let mut browser = Browser::new();
    let tokens = sign_in(&server, &mut browser, "first", "openid").await;
    log_out(&server, &mut browser, &tokens).await;
    waiting(&server, 1).await;
    let trouble = notices(&server, "first").await[0].trouble.clone().unwrap();
    assert!(trouble.contains("redirects are not followed"), "{trouble}");
    assert_eq!(site.hits("/elsewhere"), 0);
}

/// T41: a logout token is nothing else.
#[tokio::test]
async fn a_logout_token_opens_nothing() {
    let (server, site) = start().await;
    let mut browser = Browser::new();
    let tokens = sign_in(&server, &mut browser, "first", "openid").await;
    log_out(&server, &mut browser, &tokens).await;
    let requests = site.requests("/first", 1).await;
    let (token, _) = logout_token(&server, &requests[0], Algorithm::RS256).await;
    assert_eq!(server.userinfo(&token).await.status, 401);
    let hint = format!("{}?id_token_hint={token}", server.url("/end_session"));
    let page = Browser::new().get(hint).await;
    assert_eq!(page.status, 400);
    let request = http_client().post(server.url("/introspect"));
    let told = server.send_as(request, "web", &[("token", &token)]).await;
    assert_eq!(told.body, json!({ "active": false }));
    server
        .refresh("first", &token)
        .await
        .assert_error(400, "invalid_grant");
}

/// However a session ends.
#[tokio::test]
async fn every_end_of_a_session_is_told() {
    let (server, site) = start().await;
    let mut told = 0;
    let now = || server.clock.now();
    // By somebody else's login in the same browser.
    let mut browser = Browser::new();
    sign_in(&server, &mut browser, "first", "openid").await;
    let page = browser
        .open(server.authorize_url("web", &[("prompt", "login")]))
        .await;
    browser.sign_in_as(&page, ZOE).await;
    told += 1;
    site.requests("/first", told).await;
    // By an administrator, who closes the account; another one's end is told too.
    let mut browser = Browser::new();
    let tokens = sign_in(&server, &mut browser, "first", "openid").await;
    let sub = claims(tokens.text("id_token"))["sub"]
        .as_str()
        .unwrap()
        .to_owned();
    let subject = portico::protocol::ids::AccountSubject::new(sub);
    let account = server
        .store
        .find_account_by_subject(&subject)
        .await
        .unwrap()
        .unwrap();
    server
        .store
        .disable_account(&account.id, now())
        .await
        .unwrap();
    told += 1;
    site.requests("/first", told).await;
    server.store.enable_account(&account.id).await.unwrap();
    // By the person, everywhere: this browser by its sid; an app whose session is over, and that acts on, by the sid of that session.
    let mut before = Browser::new();
    let offline = sign_in(&server, &mut before, "second", "openid offline_access").await;
    log_out(&server, &mut before, &offline).await;
    let requests = site.requests("/second", 1).await;
    let (_, one) = logout_token(&server, &requests[0], Algorithm::ES256).await;
    assert_eq!(one["sid"], claims(offline.text("id_token"))["sid"]);
    let answer = server
        .refresh("second", offline.text("refresh_token"))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut browser = Browser::new();
    sign_in(&server, &mut browser, "first", "openid").await;
    server.clock.advance(1);
    server.store.end_all_of(&account.id, now()).await.unwrap();
    told += 1;
    site.requests("/first", told).await;
    let requests = site.requests("/second", 2).await;
    let (_, all) = logout_token(&server, &requests[1], Algorithm::ES256).await;
    assert_eq!((&all["sid"], &all["sub"]), (&one["sid"], &one["sub"]));
    // By the person, one app alone.
    let mut browser = Browser::new();
    sign_in(&server, &mut browser, "first", "openid").await;
    let first = ClientId::new("first");
    server
        .store
        .end_client_of(&account.id, &first, now())
        .await
        .unwrap();
    // By the session, and by the person.
    told += 2;
    let requests = site.requests("/first", told).await;
    let mut sids = Vec::new();
    for request in &requests[told - 2..] {
        let (_, one) = logout_token(&server, request, Algorithm::RS256).await;
        sids.push(one.get("sid").cloned());
    }
    sids.sort_by_key(Option::is_some);
    assert_eq!(sids[0], None);
    assert!(sids[1].is_some());
    settled(&server, "first").await;
    assert_eq!(site.hits("/first"), told);
}

/// Sections 2.2 and 2.4: an app that is taken away hears of each session that it was used in, by its `sid`, for it may find nobody by
/// `sub`; and without `sid` unless it refuses that.
#[tokio::test]
async fn an_app_that_is_taken_away_hears_of_each_session_that_it_was_used_in() {
    let site = Site::start().await;
    let at = |name: &str, more: &str| {
        let uri = format!("backchannel_logout_uri = \"{}/{name}\"\n{more}", site.url);
        told_at(name, &uri)
    };
    let server = TestServer::start_with(|setup| {
        setup.sections += OPEN;
        let required = "backchannel_logout_session_required = true";
        setup.clients = at("first", required) + &at("second", "");
    })
    .await;
    for (name, takes_all) in [("first", false), ("second", true)] {
        let path = format!("/{name}");
        site.set(&path, Page::Body("text/plain", String::new()));
        let client = ClientId::new(name);
        let mut gone = Browser::new();
        let offline = sign_in(&server, &mut gone, name, "openid offline_access").await;
        log_out(&server, &mut gone, &offline).await;
        let mut heard = 1;
        site.requests(&path, heard).await;
        settled(&server, name).await;
        let account = server.store.list_accounts(1).await.unwrap().remove(0).id;
        let mut browser = Browser::new();
        let mut tokens = sign_in(&server, &mut browser, name, "openid").await;
        for everybody in [false, true] {
            server.clock.advance(1);
            let (store, now) = (&server.store, server.clock.now());
            if everybody {
                let ended = store.end_everything_of_client(&client, now).await;
                assert_eq!(ended.unwrap().families, 1);
            } else {
                let ended = store.end_client_of(&account, &client, now).await;
                assert_eq!(ended.unwrap(), Some(2));
            }
            let session = sid(&tokens);
            let mut expected = vec![json!(session)];
            // The first time: what has outlived its session.
            expected.extend((!everybody).then(|| json!(sid(&offline))));
            expected.extend(takes_all.then_some(Value::Null));
            let requests = site.requests(&path, heard + expected.len()).await;
            let mut told = Vec::new();
            for request in &requests[heard..] {
                let (_, claims) = logout_token(&server, request, Algorithm::RS256).await;
                told.push(claims["sid"].clone());
            }
            expected.sort_by_key(Value::to_string);
            told.sort_by_key(Value::to_string);
            assert_eq!(told, expected, "{name}, of everybody: {everybody}");
            heard += expected.len();
            settled(&server, name).await;
            assert_eq!(site.hits(&path), heard);
            // The session itself goes on.
            tokens = sign_in(&server, &mut browser, name, "openid").await;
            assert_eq!(sid(&tokens), session);
        }
        log_out(&server, &mut browser, &tokens).await;
        let requests = site.requests(&path, heard + 1).await;
        let (_, last) = logout_token(&server, &requests[heard], Algorithm::RS256).await;
        assert_eq!(last["sid"], sid(&tokens));
    }
}

/// An app was taken away from a person while they were being sent back to it: the note of it had gone before its code was there. It is
/// told of the logout all the same.
#[tokio::test]
async fn a_login_that_races_the_taking_away_of_its_app_is_told_of_in_the_end() {
    let (server, site) = start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("first", &[("scope", "openid")]);
    let page = browser.log_in_as(url, JO_SMITH).await;
    let pool = server.database.pool().await;
    let gone = sqlx::query("DELETE FROM session_client");
    assert_eq!(gone.execute(&pool).await.unwrap().rows_affected(), 1);
    let tokens = server.redeem("first", &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    log_out(&server, &mut browser, &tokens).await;
    let requests = site.requests("/first", 1).await;
    let (_, told) = logout_token(&server, &requests[0], Algorithm::RS256).await;
    assert_eq!(told["sid"], sid(&tokens));
}

/// A login in place of a session that was over by the clock ends it, and nobody is told: an app that keeps the person, and not the
/// session, would end the login that has just begun. Whoever signs out is told of it, as ever.
#[tokio::test]
async fn a_login_in_place_of_a_lapsed_one_is_told_nobody() {
    for (person, comes_back) in [(JO_SMITH, true), (ZOE, false)] {
        let (server, site) = start().await;
        let mut browser = Browser::new();
        let lapsed = sign_in(&server, &mut browser, "first", "openid").await;
        sign_in(&server, &mut browser, "second", "openid").await;
        server.clock.advance(24 * 3600);
        let page = browser.open(server.authorize_url("first", &[])).await;
        let page = browser.sign_in_as(&page, person).await;
        let again = server.redeem("first", &page.answer()["code"], &[]).await;
        assert_eq!(again.status, 200, "{again:?}");
        assert_ne!(sid(&lapsed), sid(&again));
        let subjects =
            [&lapsed, &again].map(|tokens| claims(tokens.text("id_token"))["sub"].clone());
        assert_eq!(subjects[0] == subjects[1], comes_back);
        for client in ["first", "second"] {
            assert_eq!(notices(&server, client).await, [], "{client}");
        }
        server.clock.advance(-24 * 3600);
        assert!(!goes_on_at(&server, "first", &lapsed).await);
        assert!(goes_on_at(&server, "first", &again).await);
        log_out(&server, &mut browser, &again).await;
        let requests = site.requests("/first", 1).await;
        let (_, told) = logout_token(&server, &requests[0], Algorithm::RS256).await;
        assert_eq!(told["sid"], sid(&again));
        settled(&server, "first").await;
        assert_eq!((site.hits("/first"), site.hits("/second")), (1, 0));
    }
}

async fn goes_on_at(server: &TestServer, client: &str, tokens: &Answer) -> bool {
    let answer = server.refresh(client, tokens.text("refresh_token")).await;
    answer.status == 200
}

/// A client that wants to hear nothing more is not told what was still to be told.
#[tokio::test]
async fn a_client_without_an_address_any_more_is_told_nothing() {
    let (mut server, site) = start().await;
    site.remove("/first");
    let mut browser = Browser::new();
    let tokens = sign_in(&server, &mut browser, "first", "openid").await;
    log_out(&server, &mut browser, &tokens).await;
    site.requests("/first", 1).await;
    waiting(&server, 1).await;
    let line = format!("backchannel_logout_uri = \"{}/first\"", site.url);
    server.edit_config(&line, "");
    server.restart().await;
    server.clock.advance(10);
    for _ in 0..200 {
        if notices(&server, "first").await.is_empty() {
            assert_eq!(site.hits("/first"), 1);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{:?}", notices(&server, "first").await);
}
