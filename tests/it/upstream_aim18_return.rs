//! The ways in which aiM18 may send a browser back, none of which is documented (research, section 1): each ends in the flow that it
//! belongs to, and nothing but the answer stands in an address of ours.

use portico::simulator::aim18::{AnswerIn, ReturnBy, StateParameter};
use portico::simulator::people::ANN_LEE;

use crate::harness::browser::{Browser, PASSWORD_FORM, Page};
use crate::harness::server::TestServer;
use crate::harness::steps::TO_AIM18;

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

/// A fragment never reaches a server; the person is told to begin again instead of being left on a blank page.
#[tokio::test]
async fn a_code_in_the_fragment_is_told_as_an_answer_without_one() {
    let server = TestServer::start().await;
    server
        .aim18
        .switch(|switches| switches.code_in = AnswerIn::Fragment);
    let mut browser = Browser::new();
    let page = away(&server, &mut browser).await;
    let back = browser.submit_only(&page, PASSWORD_FORM, &fields()).await;
    let mut location = back.location().unwrap();
    assert!(location.fragment().unwrap().contains("code="));
    location.set_fragment(None);
    let page = browser.get(location.as_str()).await;
    let notice = page.text("p.alert").unwrap_or_default();
    assert!(notice.contains("Staff login"), "{}", page.body);
    // The choice is there again.
    assert!(page.attribute(TO_AIM18, "method").is_some());
}
