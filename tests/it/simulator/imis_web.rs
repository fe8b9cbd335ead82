//! The web site of the simulated iMIS, as a browser without script sees it; what it delivers is redeemed at the token
//! endpoint by a bare client.

use portico::simulator::imis::{AnonymousSso, ClientApplication, Delivery};
use portico::simulator::people::{self, GUEST, ImisPerson, JO_SMITH, ZOE};
use serde_json::{Value, json};

use super::ImisSite;
use crate::harness::browser::{Browser, PASSWORD_FORM, Page};

const LANDING: &str = "https://login.example.org/upstream/members/landing/Portico";
const LOGOUT: &str = "/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx";

/// A site whose demo application leads to [`LANDING`], and a browser.
async fn visit(turn: impl FnOnce(&mut portico::simulator::imis::Switches)) -> (ImisSite, Browser) {
    let site = ImisSite::start_with(turn).await;
    site.imis.set_login_redirect_url(LANDING);
    (site, Browser::new())
}

/// Signs in at the sign-in page that `page` is.
async fn sign_in(browser: &mut Browser, page: &Page, person: &ImisPerson) -> Page {
    let fields = [("username", person.username), ("password", person.password)];
    browser.submit(page, PASSWORD_FORM, &fields).await
}

/// Signs in from the home page.
async fn sign_in_at(site: &ImisSite, browser: &mut Browser, person: &ImisPerson) -> Page {
    let page = browser.get(site.url("/Sign-in.aspx")).await;
    sign_in(browser, &page, person).await
}

/// Redeems a refresh token at `/token`.
async fn redeem(site: &ImisSite, client: (&str, &str), token: &str) -> (u16, Value) {
    site.grant(&[
        ("grant_type", "refresh_token"),
        ("client_id", client.0),
        ("client_secret", client.1),
        ("refresh_token", token),
    ])
    .await
}

const DEMO: (&str, &str) = ("Portico", "sso-demo-secret");

/// The one field of the form that the single sign-on page is.
fn delivered(page: &Page) -> String {
    assert_eq!(page.status, 200, "{}", page.body);
    let (action, fields) = page.form("form[method=post]");
    assert_eq!(action.as_str(), LANDING);
    assert_eq!(fields.len(), 1, "{fields:?}");
    fields["refresh_token"].clone()
}

#[tokio::test]
async fn a_person_starts_at_the_home_page_and_goes_on_to_a_client_application() {
    let (site, mut browser) = visit(|_| {}).await;
    let home = browser.get(site.url("/")).await;
    assert_eq!(home.text("title").unwrap(), "iMIS (simulated)");
    assert_eq!(home.text("#who").unwrap(), "You are not signed in.");
    let sign_in_link = home.attribute("a[href*=Sign-in]", "href").unwrap();

    let page = browser.get(site.url(&sign_in_link)).await;
    assert_eq!(page.text("title").unwrap(), "iMIS (simulated)");
    for field in ["username", "password"] {
        assert!(page.text(&format!("label[for={field}]")).is_some());
        let name = page.attribute(&format!("#{field}"), "name");
        assert_eq!(name.as_deref(), Some(field));
    }
    let home = sign_in(&mut browser, &page, &JO_SMITH).await;
    assert_eq!(
        home.text("#who").unwrap(),
        "You are signed in as Jo Smith (JSMITH)."
    );

    let go = home.attribute("a[href*=SSO]", "href").unwrap();
    assert_eq!(go, "/SSO/Portico.aspx");
    assert_eq!(home.text("a[href*=SSO]").unwrap(), "Go to Portico");
    let page = browser.get(site.url(&go)).await;
    assert_eq!(page.text("form button").unwrap(), "Continue to Portico");
    assert_eq!(page.header("cache-control"), "no-store");
    let (status, body) = redeem(&site, DEMO, &delivered(&page)).await;
    assert_eq!((status, &body["userName"]), (200, &json!("JSMITH")));

    let out = home.attribute("a[href*=logout]", "href").unwrap();
    browser.get(site.url(&out)).await;
    let home = browser.get(site.url("/")).await;
    assert_eq!(home.text("#who").unwrap(), "You are not signed in.");
}

#[tokio::test]
async fn each_visit_delivers_a_token_of_its_own_for_its_application_alone() {
    let (site, mut browser) = visit(|_| {}).await;
    site.imis.register(ClientApplication {
        client_id: "My Shop/2".to_owned(),
        client_secret: "shop-demo-secret".to_owned(),
        refresh_token_minutes: 1,
        login_redirect_url: LANDING.to_owned(),
    });
    let home = sign_in_at(&site, &mut browser, &ZOE).await;
    let go = home.attribute("a[href*=Shop]", "href").unwrap();
    let shop = ("My Shop/2", "shop-demo-secret");
    let first = delivered(&browser.get(site.url(&go)).await);
    let second = delivered(&browser.get(site.url(&go)).await);
    assert_ne!(first, second);
    assert_eq!(redeem(&site, DEMO, &first).await.0, 400);
    let (status, body) = redeem(&site, shop, &first).await;
    assert_eq!((status, &body["userName"]), (200, &json!(ZOE.username)));
    site.clock.advance(60);
    assert_eq!(redeem(&site, shop, &second).await.0, 400);
}

#[tokio::test]
async fn an_anonymous_browser_delivers_a_token_of_the_guest() {
    let (site, mut browser) = visit(|_| {}).await;
    for name in [Some("Guest"), Some("anonymous"), Some(""), None] {
        site.imis
            .switch(|s| s.guest_user_name = name.map(ToOwned::to_owned));
        // What an application adds to the address does not come back.
        let url = site.url("/sso/PORTICO.aspx?state=1&redirect_uri=https%3A%2F%2Fevil.example");
        let token = delivered(&browser.get(url).await);
        let (status, body) = redeem(&site, DEMO, &token).await;
        assert_eq!(status, 200);
        assert_eq!(body.get("userName"), name.map(|name| json!(name)).as_ref());
        let access = body["access_token"].as_str().unwrap();
        let (_, users) = site.get(access, "/api/User?username=eq:Guest").await;
        assert_eq!(users["Count"], 0);
    }
}

#[tokio::test]
async fn an_anonymous_browser_signs_in_first_when_the_page_is_not_public() {
    let (site, mut browser) = visit(|s| {
        s.anonymous_sso = AnonymousSso::SignIn;
        s.sso_path = "/iMIS/Single Sign On".to_owned();
        s.web_path = "/Site".to_owned();
    })
    .await;
    let sso = site.url("/Site/iMIS/Single%20Sign%20On/Portico.aspx?from=app");
    let page = browser.open(&sso).await;
    assert_eq!(page.url.path(), "/Site/Sign-in.aspx");
    let wrong = browser
        .submit(&page, PASSWORD_FORM, &[("password", "wrong")])
        .await;
    let page = sign_in(&mut browser, &wrong, &JO_SMITH).await;
    assert_eq!(page.url.as_str(), sso);
    let (_, body) = redeem(&site, DEMO, &delivered(&page)).await;
    assert_eq!(body["userName"], "JSMITH");
    // Signed in, nobody is asked again.
    delivered(&browser.open(&sso).await);
}

#[tokio::test]
async fn the_token_goes_by_query_and_beside_other_fields_as_switched() {
    let (site, mut browser) = visit(|s| {
        s.sso_delivery = Delivery::Get;
        s.sso_extra_fields = vec![("site<1>".to_owned(), "a&b\"".to_owned())];
    })
    .await;
    sign_in_at(&site, &mut browser, &JO_SMITH).await;
    for (url, mark) in [
        (LANDING, "?"),
        ("https://login.example.org/landing?a=1", "&"),
    ] {
        site.imis.set_login_redirect_url(url);
        let page = browser.get(site.url("/SSO/Portico.aspx")).await;
        assert_eq!(page.status, 302);
        let start = format!("{url}{mark}refresh_token=");
        assert!(page.header("location").starts_with(&start));
        let answer = page.answer();
        assert_eq!(answer["site<1>"], "a&b\"");
        assert_eq!(redeem(&site, DEMO, &answer["refresh_token"]).await.0, 200);
    }

    site.imis.switch(|s| s.sso_delivery = Delivery::Post);
    let page = browser.get(site.url("/SSO/Portico.aspx")).await;
    let (_, fields) = page.form("form[method=post]");
    assert_eq!(fields.len(), 2);
    assert_eq!(fields["site<1>"], "a&b\"");
}

#[tokio::test]
async fn a_page_of_an_application_that_is_not_registered_says_so() {
    let (site, mut browser) = visit(|_| {}).await;
    let page = browser.get(site.url("/SSO/%3Cb%3E.aspx")).await;
    assert_eq!(page.status, 404);
    assert_eq!(
        page.text("[role=alert]").unwrap(),
        "No client application is named <b>."
    );
    site.imis.set_login_redirect_url("");
    let page = browser.get(site.url("/SSO/Portico.aspx")).await;
    assert_eq!(
        page.text("[role=alert]").unwrap(),
        "Portico has no Login redirect URL."
    );
}

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
