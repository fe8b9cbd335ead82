//! The single sign-on pages of the simulated iMIS, as a browser without script sees them; what they deliver is redeemed
//! at the token endpoint by a bare client.

use portico::simulator::imis::{AnonymousSso, ClientApplication, Delivery};
use portico::simulator::people::{ImisPerson, JO_SMITH, ZOE};
use serde_json::{Value, json};

use super::ImisSite;
use crate::harness::browser::{Browser, PASSWORD_FORM, Page};

const LANDING: &str = "https://login.example.org/upstream/members/landing/Portico";

/// A site whose demo application leads to [`LANDING`], and a browser.
pub(super) async fn visit(
    turn: impl FnOnce(&mut portico::simulator::imis::Switches),
) -> (ImisSite, Browser) {
    let site = ImisSite::start_with(turn).await;
    site.imis.set_login_redirect_url(LANDING);
    (site, Browser::new())
}

/// Signs in at the sign-in page that `page` is.
pub(super) async fn sign_in(browser: &mut Browser, page: &Page, person: &ImisPerson) -> Page {
    let fields = [("username", person.username), ("password", person.password)];
    browser.submit(page, PASSWORD_FORM, &fields).await
}

/// Opens the sign-in page and signs in.
pub(super) async fn sign_in_at(
    site: &ImisSite,
    browser: &mut Browser,
    person: &ImisPerson,
) -> Page {
    let page = browser.get(site.url("/Sign-in.aspx")).await;
    sign_in(browser, &page, person).await
}

/// Redeems a refresh token at `/token`.
pub(super) async fn redeem(site: &ImisSite, client: (&str, &str), token: &str) -> (u16, Value) {
    site.grant(&[
        ("grant_type", "refresh_token"),
        ("client_id", client.0),
        ("client_secret", client.1),
        ("refresh_token", token),
    ])
    .await
}

/// The demo application: client id and secret.
pub(super) const DEMO: (&str, &str) = ("Portico", "sso-demo-secret");

/// The one field of the form that the single sign-on page is.
pub(super) fn delivered(page: &Page) -> String {
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
