//! "Keep me signed in": a session that outlives the browser's run, for who ticks the box and for nobody else (T24, T54).

use portico::simulator::people::{ANN_LEE, JO_SMITH};

use crate::harness::browser::{Browser, PASSWORD_FORM, Page};
use crate::harness::relying_party::claims;
use crate::harness::server::TestServer;
use crate::harness::steps::{SESSION, TO_AIM18};
use crate::landing::{at_imis, deliver};

const BOX: &str = "input[type=checkbox][name=keep_signed_in]";
const TICKED: (&str, &str) = ("keep_signed_in", "yes");
const DAY: i64 = 24 * 3600;

/// The password form of iMIS, open.
async fn password_form(server: &TestServer, browser: &mut Browser, more: &[(&str, &str)]) -> Page {
    let page = browser.open(server.authorize_url("spa", more)).await;
    browser.choose(&page, "members").await
}

/// Sends it, with the box ticked or not.
async fn sign_in(browser: &mut Browser, page: &Page, more: &[(&str, &str)]) -> Page {
    let mut fields = vec![
        ("username", JO_SMITH.username),
        ("password", JO_SMITH.password),
    ];
    fields.extend(more);
    browser.submit(page, PASSWORD_FORM, &fields).await
}

/// The `Max-Age` of the session cookie.
fn max_age(server: &TestServer, browser: &Browser) -> Option<i64> {
    let attributes = &browser.cookie(server, SESSION).unwrap().attributes;
    let mut attributes = attributes.split(';').map(str::trim);
    attributes.find_map(|attribute| Some(attribute.strip_prefix("Max-Age=")?.parse().unwrap()))
}

async fn is_signed_in(server: &TestServer, browser: &mut Browser) -> bool {
    let silent = server.authorize_url("spa", &[("prompt", "none")]);
    browser.get(silent).await.answer().contains_key("code")
}

/// T22, for both: a session without use, and in all.
#[tokio::test]
async fn who_ticks_the_box_stays_signed_in_and_nobody_else() {
    let server = TestServer::start().await;
    let (mut kept, mut usual) = (Browser::new(), Browser::new());
    let page = password_form(&server, &mut usual, &[]).await;
    assert!(page.attribute(BOX, "name").is_some());
    assert!(page.attribute(BOX, "checked").is_none(), "off by default");
    sign_in(&mut usual, &page, &[]).await;
    assert_eq!(max_age(&server, &usual), None);
    let page = password_form(&server, &mut kept, &[]).await;
    sign_in(&mut kept, &page, &[TICKED]).await;
    assert_eq!(max_age(&server, &kept), Some(90 * DAY));
    server.clock.advance(12 * 3600);
    assert!(!is_signed_in(&server, &mut usual).await);
    for _ in 0..3 {
        server.clock.advance(29 * DAY);
        assert!(is_signed_in(&server, &mut kept).await);
    }
    server.clock.advance(3 * DAY);
    assert!(!is_signed_in(&server, &mut kept).await, "90 days in all");
    let page = password_form(&server, &mut kept, &[]).await;
    sign_in(&mut kept, &page, &[TICKED]).await;
    server.clock.advance(30 * DAY);
    assert!(
        !is_signed_in(&server, &mut kept).await,
        "30 days without use"
    );
}

/// A wrong password does not lose the choice.
#[tokio::test]
async fn the_box_stays_as_the_person_left_it() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = password_form(&server, &mut browser, &[]).await;
    let page = sign_in(&mut browser, &page, &[TICKED, ("password", "wrong")]).await;
    assert_eq!(page.status, 422);
    assert!(page.attribute(BOX, "checked").is_some());
    let page = sign_in(&mut browser, &page, &[]).await;
    assert!(page.answer().contains_key("code"));
    assert_eq!(max_age(&server, &browser), Some(90 * DAY));
}

/// The choice waits in this browser's flow, and is there when the person is back.
#[tokio::test]
async fn the_choice_comes_along_through_the_pages_of_upstreams() {
    let server = TestServer::start().await;
    for ticked in [true, false] {
        let fields = if ticked { &[TICKED][..] } else { &[] };
        let expected = ticked.then_some(90 * DAY);
        let mut browser = Browser::new();
        let page = browser.open(server.authorize_url("spa", &[])).await;
        let page = browser.submit(&page, TO_AIM18, fields).await;
        let back = browser.at_aim18(&page, ANN_LEE).await;
        let page = browser.follow(back).await;
        assert!(page.answer().contains_key("code"), "{}", page.body);
        assert_eq!(max_age(&server, &browser), expected);

        let mut browser = Browser::new();
        at_imis(&server, &mut browser, JO_SMITH).await;
        let page = browser.open(server.authorize_url("spa", &[])).await;
        let start = "form[action='/upstream/members/start']";
        let page = browser.submit(&page, start, fields).await;
        let page = deliver(&mut browser, &page).await;
        assert!(page.answer().contains_key("code"), "{}", page.body);
        assert_eq!(max_age(&server, &browser), expected);
    }
}

/// For computers that many people use.
#[tokio::test]
async fn where_the_box_is_not_shown_nobody_is_kept() {
    let server = TestServer::start_with(|setup| {
        setup.sections += "keep_signed_in = false\n";
    })
    .await;
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    assert!(page.attribute(BOX, "name").is_none());
    let page = browser.choose(&page, "members").await;
    assert!(page.attribute(BOX, "name").is_none());
    let page = sign_in(&mut browser, &page, &[TICKED]).await;
    assert!(page.answer().contains_key("code"));
    assert_eq!(max_age(&server, &browser), None);
    server.clock.advance(12 * 3600);
    assert!(!is_signed_in(&server, &mut browser).await);
}

/// Those who were kept are forgotten as soon as the others once the administrator takes the box away.
#[tokio::test]
async fn taking_the_box_away_shortens_what_there_is() {
    let mut server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = password_form(&server, &mut browser, &[]).await;
    sign_in(&mut browser, &page, &[TICKED]).await;
    server.clock.advance(DAY);
    assert!(is_signed_in(&server, &mut browser).await);
    server.edit_config("[login]\n", "[login]\nkeep_signed_in = false\n");
    server.restart().await;
    server.clock.advance(DAY);
    assert!(!is_signed_in(&server, &mut browser).await);
}

/// T24: a new login gives a new cookie whatever the box says, and the same `sid`. What was ticked before is ticked again, and
/// who takes the tick away is not kept any more. T28: `max_age` asks of a kept session what it asks of every other.
#[tokio::test]
async fn a_new_login_asks_again_and_changes_the_cookie() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = password_form(&server, &mut browser, &[]).await;
    let answer = sign_in(&mut browser, &page, &[TICKED]).await;
    let tokens = server.redeem("spa", &answer.answer()["code"], &[]).await;
    let first = browser.session(&server).unwrap();
    server.clock.advance(DAY);
    let again = [("max_age", "3600")];
    let page = password_form(&server, &mut browser, &again).await;
    assert!(page.is_login());
    assert!(page.attribute(BOX, "checked").is_some());
    let answer = sign_in(&mut browser, &page, &[TICKED]).await;
    let second = browser.session(&server).unwrap();
    assert_ne!(first, second);
    assert_eq!(max_age(&server, &browser), Some(90 * DAY));
    let later = server.redeem("spa", &answer.answer()["code"], &[]).await;
    let sid = |tokens: &str| claims(tokens)["sid"].clone();
    let kept = sid(tokens.text("id_token"));
    assert_eq!(kept, sid(later.text("id_token")));

    let page = password_form(&server, &mut browser, &[("prompt", "login")]).await;
    let (action, mut fields) = page.form(PASSWORD_FORM);
    fields.remove("keep_signed_in");
    fields.insert("username".to_owned(), JO_SMITH.username.to_owned());
    fields.insert("password".to_owned(), JO_SMITH.password.to_owned());
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let answer = browser.post(action.as_str(), &fields).await;
    let answer = browser.follow(answer).await;
    assert!(answer.answer().contains_key("code"));
    assert_eq!(max_age(&server, &browser), None);
    assert_ne!(second, browser.session(&server).unwrap());
    server.clock.advance(12 * 3600);
    assert!(!is_signed_in(&server, &mut browser).await);
}

/// T54, behind a proxy that ends TLS: the cookie has everything that the other has.
#[tokio::test]
async fn the_lasting_cookie_is_bound_to_the_host_like_every_other() {
    let server = TestServer::start_with(|setup| {
        setup.issuer = "https://login.example.org".to_owned();
    })
    .await;
    let mut browser = Browser::new();
    let here = format!("http://{}", server.address);
    let url = server
        .authorize_url("spa", &[])
        .replace(&server.issuer, &here);
    let page = browser.open(&url).await;
    let page = browser.choose(&page, "members").await;
    sign_in(&mut browser, &page, &[TICKED]).await;
    let cookie = browser.cookie_at("127.0.0.1", "__Host-portico-session");
    let attributes = cookie.unwrap().attributes.to_ascii_lowercase();
    let mut attributes: Vec<&str> = attributes.split(';').map(str::trim).collect();
    attributes.sort_unstable();
    let expected = [
        "httponly",
        "max-age=7776000",
        "path=/",
        "samesite=lax",
        "secure",
    ];
    assert_eq!(attributes, expected);
}
