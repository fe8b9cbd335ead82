//! Signing in to the web site of the simulated iMIS, and out again.

use portico::simulator::people::{self, GUEST, ImisPerson, JO_SMITH};

use super::ImisSite;
use super::imis_sso::{DEMO, delivered, redeem, sign_in, sign_in_at, visit};
use crate::harness::browser::PASSWORD_FORM;

const LOGOUT: &str = "/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx";

#[tokio::test]
async fn accounts_that_may_not_sign_in_are_refused_with_the_reason() {
    let (site, mut browser) = visit(|_| {}).await;
    for (person, reason) in [
        (people::LOCKED, "locked"),
        (people::DISABLED, "disabled"),
        (people::LOGIN_EXPIRED, "expired"),
        (people::PASSWORD_EXPIRED, "must be changed"),
        (people::MULTI_FACTOR, "Multi-factor"),
        (people::OIDC_ONLY, "organization's account"),
        (GUEST, "incorrect"),
    ] {
        let page = sign_in_at(&site, &mut browser, &person).await;
        let alert = page.text("[role=alert]").unwrap();
        assert!(alert.contains(reason), "{}: {alert}", person.username);
        let (_, fields) = page.form(PASSWORD_FORM);
        assert_eq!(fields["username"], person.username);
        assert_eq!(fields["password"], "");
    }
    assert!(browser.cookie_names().is_empty());
    site.imis.switch(|s| s.tells_account_state = false);
    let page = sign_in_at(&site, &mut browser, &people::LOCKED).await;
    assert!(page.text("[role=alert]").unwrap().contains("incorrect"));
}

#[tokio::test]
async fn wrong_passwords_count_on_the_web_as_at_the_token_endpoint() {
    let (site, mut browser) = visit(|_| {}).await;
    let wrong = ImisPerson {
        password: "wrong",
        ..JO_SMITH
    };
    for _ in 0..4 {
        sign_in_at(&site, &mut browser, &wrong).await;
    }
    site.password(JO_SMITH.username, "wrong").await;
    let page = sign_in_at(&site, &mut browser, &JO_SMITH).await;
    assert!(page.text("[role=alert]").unwrap().contains("locked"));
}

#[tokio::test]
async fn the_return_address_is_a_path_of_the_site_or_home() {
    let (site, mut browser) = visit(|_| {}).await;
    for (return_url, expected) in [
        ("/SSO/Portico.aspx?x=1&y=%26", "/SSO/Portico.aspx?x=1&y=%26"),
        ("/", "/"),
        ("", "/"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("/\t/evil.example/", "/"),
        ("javascript:alert(1)", "/"),
    ] {
        let mut url = url::Url::parse(&site.url("/web/sign-in.ASPX")).unwrap();
        url.query_pairs_mut().append_pair("ReturnUrl", return_url);
        let page = browser.get(&url).await;
        let fields = [
            ("username", JO_SMITH.username),
            ("password", JO_SMITH.password),
        ];
        let answer = browser.submit_only(&page, PASSWORD_FORM, &fields).await;
        assert_eq!(answer.header("location"), expected, "{return_url}");
        // Who is signed in already goes on at once.
        let again = browser.get(&url).await;
        assert_eq!(again.header("location"), expected, "{return_url}");
        browser.get(site.url(LOGOUT)).await;
    }
    site.imis.switch(|s| s.sign_in_honors_return_url = false);
    let page = browser
        .get(site.url("/Sign-in.aspx?returnurl=/SSO/Portico.aspx"))
        .await;
    let home = sign_in(&mut browser, &page, &JO_SMITH).await;
    assert_eq!(home.url.path(), "/");
}

#[tokio::test]
async fn logout_ends_the_session_itself_and_a_new_login_has_another_id() {
    let (site, mut browser) = visit(|_| {}).await;
    sign_in_at(&site, &mut browser, &JO_SMITH).await;
    let session = |site: &ImisSite| {
        let log = site.imis.log();
        log.last().unwrap().cookie("Login").unwrap().to_owned()
    };
    let first = session(&site);
    browser.get(site.url(LOGOUT)).await;
    browser.set_cookie("127.0.0.1", "Login", &first);
    let page = sign_in_at(&site, &mut browser, &JO_SMITH).await;
    assert!(page.text("#who").unwrap().contains("JSMITH"));
    assert_ne!(session(&site), first);
    browser.set_cookie("127.0.0.1", "Login", &first);
    let home = browser.get(site.url("/")).await;
    assert_eq!(home.text("#who").unwrap(), "You are not signed in.");
}

#[tokio::test]
async fn a_session_follows_the_account_through_a_rename_and_ends_with_it() {
    let (site, mut browser) = visit(|_| {}).await;
    sign_in_at(&site, &mut browser, &JO_SMITH).await;
    site.imis
        .change("JSMITH", |person| person.username = "JO.SMITH");
    let home = browser.get(site.url("/")).await;
    assert!(home.text("#who").unwrap().contains("JO.SMITH"));
    site.imis.purge_system_cache();
    let token = delivered(&browser.get(site.url("/SSO/Portico.aspx")).await);
    site.imis.change("JO.SMITH", |person| {
        person.state = people::AccountState::Disabled;
    });
    assert_eq!(redeem(&site, DEMO, &token).await.0, 400);
    let home = browser.get(site.url("/")).await;
    assert_eq!(home.text("#who").unwrap(), "You are not signed in.");
}
