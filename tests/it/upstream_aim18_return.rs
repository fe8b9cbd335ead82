//! The ways in which aiM18 may send a browser back, none of which is documented (research, section 1): each ends in the flow that it
//! belongs to, and nothing but the answer stands in an address of ours.

use portico::simulator::aim18::{AnswerIn, ReturnBy, StateParameter};
use portico::simulator::people::ANN_LEE;

use crate::harness::browser::{Browser, PASSWORD_FORM, Page};
use crate::harness::server::TestServer;
use crate::harness::steps::{CONTINUE, TO_AIM18};

/// At aiM18's login page, on behalf of the client.
async fn away(server: &TestServer, browser: &mut Browser) -> Page {
    let url = server.authorize_url("spa", &[("state", "the-state")]);
    let page = browser.open(url).await;
    browser.submit(&page, TO_AIM18, &[]).await
}

fn fields<'a>() -> [(&'a str, &'a str); 3] {
    [
        ("username", ANN_LEE.code),
        ("password", ANN_LEE.password),
        ("action", "login"),
    ]
}

/// RFC 9110 section 15.4.8: a 307 repeats the POST, the login form in it.
#[tokio::test]
async fn a_307_that_repeats_the_login_form_ends_in_the_flow_and_keeps_the_password_out_of_addresses()
 {
    let server = TestServer::start().await;
    for state in [StateParameter::Dropped, StateParameter::Echoed] {
        server.aim18.switch(|switches| {
            switches.return_by = ReturnBy::Redirect(307);
            switches.state = state;
            switches.remembers_login = false;
        });
        let mut browser = Browser::new();
        let page = away(&server, &mut browser).await;
        let back = browser.submit_only(&page, PASSWORD_FORM, &fields()).await;
        assert_eq!(back.status, 307);
        let callback = back.location().unwrap();
        // As a browser does it: across sites, so without Lax cookies.
        let sent_on = browser.post_cross_site(callback.as_str(), &fields()).await;
        assert_eq!(sent_on.status, 303);
        let location = sent_on.location().unwrap();
        assert_eq!(location.path(), "/upstream/staff/callback");
        assert!(!location.as_str().contains(ANN_LEE.password));
        assert!(!location.as_str().contains(ANN_LEE.code));
        assert_eq!(sent_on.header("cache-control"), "no-store");
        let done = browser.follow(sent_on).await;
        let answer = done.answer();
        assert_eq!(answer["state"], "the-state");
        assert!(answer.contains_key("code"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_form_that_posts_the_answer_ends_in_the_flow() {
    let server = TestServer::start().await;
    server.aim18.switch(|switches| {
        switches.return_by = ReturnBy::PostForm;
        switches.awkward_tokens = true;
        switches.state = StateParameter::Echoed;
    });
    let mut browser = Browser::new();
    let page = away(&server, &mut browser).await;
    let page = browser.submit_only(&page, PASSWORD_FORM, &fields()).await;
    let (action, values) = page.form("form");
    let mut values: Vec<(&str, &str)> = values
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    values.push(("password", "not-ours-to-repeat"));
    let sent_on = browser.post_cross_site(action.as_str(), &values).await;
    assert_eq!(sent_on.status, 303);
    assert!(!sent_on.location().unwrap().as_str().contains("not-ours"));
    let done = browser.follow(sent_on).await;
    assert!(done.answer().contains_key("code"));
}

#[tokio::test]
async fn a_page_with_a_form_ends_in_the_flow() {
    let server = TestServer::start().await;
    for return_by in [ReturnBy::Form, ReturnBy::Redirect(303)] {
        server.aim18.switch(|switches| {
            switches.return_by = return_by;
            switches.remembers_login = false;
        });
        let mut browser = Browser::new();
        let page = away(&server, &mut browser).await;
        let mut page = browser.submit_only(&page, PASSWORD_FORM, &fields()).await;
        if return_by == ReturnBy::Form {
            let (action, values) = page.form("form");
            let mut url = action.clone();
            url.query_pairs_mut().clear().extend_pairs(values);
            page = browser.click(url.as_str()).await;
        }
        let done = browser.follow(page).await;
        assert!(done.answer().contains_key("code"), "{return_by:?}");
    }
}

/// T25: a POST is no way around the cookie that says who was sent away.
#[tokio::test]
async fn a_post_without_the_away_cookie_signs_nobody_in() {
    let server = TestServer::start().await;
    let callback = server.url("/upstream/staff/callback");
    let mut browser = Browser::new();
    let sent_on = browser
        .post_cross_site(&callback, &[("code", "stolen")])
        .await;
    assert_eq!(sent_on.status, 303);
    let page = browser.follow(sent_on).await;
    assert_eq!(page.status, 400);
    assert!(
        page.body.contains("cannot tell which sign-in"),
        "{}",
        page.body
    );
    server.aim18.clear_log();
    // What is no answer, or more than one, is not sent on.
    for body in [
        vec![],
        vec![("username", "ann.lee"), ("password", "typed-password")],
        vec![("code", "a"), ("code", "b")],
    ] {
        let page = browser.post_cross_site(&callback, &body).await;
        assert_eq!(page.status, 400, "{body:?}");
        assert!(!page.body.contains("typed-password"));
    }
    let long = "x".repeat(5000);
    let page = browser.post_cross_site(&callback, &[("code", &long)]).await;
    assert_eq!(page.status, 400);
    let other = server.url("/upstream/members/callback");
    let page = browser.post_cross_site(&other, &[("code", "x")]).await;
    assert_eq!(page.status, 404);
    assert!(server.aim18.log().is_empty());
}

/// Signs in at an aiM18 that answers in the fragment; the page of ours that the browser is sent to.
async fn back_with_a_fragment(server: &TestServer, browser: &mut Browser) -> Page {
    server
        .aim18
        .switch(|switches| switches.code_in = AnswerIn::Fragment);
    let page = away(server, browser).await;
    let back = browser.submit_only(&page, PASSWORD_FORM, &fields()).await;
    assert!(
        back.location()
            .unwrap()
            .fragment()
            .unwrap()
            .contains("code=")
    );
    browser.follow(back).await
}

/// A fragment never reaches a server: our page hands it over as a form would.
#[tokio::test]
async fn a_code_in_the_fragment_ends_in_the_flow() {
    let server = TestServer::start().await;
    for (state, awkward) in [
        (StateParameter::Dropped, false),
        (StateParameter::Echoed, true),
    ] {
        server.aim18.switch(|switches| {
            switches.state = state;
            switches.awkward_tokens = awkward;
            switches.remembers_login = false;
        });
        let mut browser = Browser::new();
        let page = back_with_a_fragment(&server, &mut browser).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        // One script, by its hash, and nothing else may run (T52).
        let policy = page.header("content-security-policy");
        let (_, script) = policy.split_once("script-src ").unwrap();
        let (script, _) = script.split_once(';').unwrap();
        assert!(
            script.starts_with("'sha256-") && !script.contains(' '),
            "{policy}"
        );
        assert_eq!(page.body.matches("<script").count(), 1);
        let mut done = browser.read_fragment(&page).await;
        // Who sent the fragment, no header tells: without `state` the person is asked, as after any POST (T25).
        if state == StateParameter::Dropped {
            assert!(
                done.attribute(CONTINUE, "method").is_some(),
                "{}",
                done.body
            );
            done = browser.submit(&done, CONTINUE, &[]).await;
        }
        let answer = done.answer();
        assert_eq!(answer["state"], "the-state");
        assert!(answer.contains_key("code"), "{answer:?}");
    }
}

/// T25, T27: the page is for whom we sent away, an answer without one spends nothing, and a code that comes behind the
/// number sign is held against state and cookie as any other.
#[tokio::test]
async fn the_page_that_reads_a_fragment_opens_nothing_new() {
    let server = TestServer::start().await;
    let callback = server.url("/upstream/staff/callback");
    let mut stranger = Browser::new();
    let page = stranger.get(format!("{callback}#code=stolen")).await;
    assert_eq!(page.status, 400);
    assert!(!page.body.contains("<script"));

    server
        .aim18
        .switch(|switches| switches.state = StateParameter::Echoed);
    let mut browser = Browser::new();
    let page = back_with_a_fragment(&server, &mut browser).await;
    server.aim18.clear_log();
    // Nobody asked aiM18 anything, and whoever was away still is.
    for _ in 0..3 {
        let empty = browser.get(&callback).await;
        assert_eq!(empty.status, 200);
        let told = empty.text("#none [role=alert]").unwrap_or_default();
        assert!(told.contains("Staff login"), "{}", empty.body);
        assert!(empty.body.contains("<noscript>"));
        // The choice is a click away.
        let link = empty.attribute("#none a", "href").unwrap();
        let choice = browser.open(server.url(&link)).await;
        assert!(choice.attribute(TO_AIM18, "method").is_some());
    }
    let mut forged = browser
        .get(format!("{callback}#code=stolen&state=made-up"))
        .await;
    forged = browser.read_fragment(&forged).await;
    assert_eq!(forged.status, 400, "{}", forged.body);
    assert!(server.aim18.log().is_empty());
    let done = browser.read_fragment(&page).await;
    assert!(done.answer().contains_key("code"));
    // Once: the answer has used up the trip.
    let again = browser.get(&callback).await;
    assert_eq!(again.status, 400);
}

/// An error behind the number sign is one as well.
#[tokio::test]
async fn somebody_who_cancels_is_told_so_whatever_stands_before_the_answer() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    away(&server, &mut browser).await;
    let callback = server.url("/upstream/staff/callback");
    let page = browser.get(format!("{callback}#error=access_denied")).await;
    let page = browser.read_fragment(&page).await;
    let notice = page.text("p.alert").unwrap_or_default();
    assert!(notice.contains("turned back"), "{}", page.body);
}
