//! The simulated iMIS: every state of an account on every path, spellings of addresses and usernames, and signing out.

use base64::Engine as _;
use portico::simulator::imis::SignedOutBy;
use portico::simulator::people::{AccountState, ImisPerson, JO_SMITH, OIDC_ONLY, SERVICE, ZOE};
use reqwest::Method;
use url::Url;

use super::imis_sso::{DEMO, delivered, redeem, sign_in_at, visit};
use super::{ImisSite, answer};
use crate::harness::browser::Browser;

const LOGOUT: &str = "/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx";

#[tokio::test]
async fn each_state_is_met_on_every_path() {
    // Password grant, sign-in page, refresh of somebody who came in before, web session of the same.
    for (state, expected) in [
        (AccountState::Active, [true, true, true, true]),
        (AccountState::Locked, [false, false, false, false]),
        (AccountState::Disabled, [false, false, false, false]),
        (AccountState::LoginExpired, [false, false, false, false]),
        (AccountState::PasswordExpired, [false, false, false, false]),
        (AccountState::MultiFactor, [false, false, true, true]),
        (AccountState::OidcOnly, [false, false, true, true]),
    ] {
        let (site, mut browser) = visit(|_| {}).await;
        sign_in_at(&site, &mut browser, &JO_SMITH).await;
        let handed_out = site.imis.hand_out_refresh_token("Portico", Some("JSMITH"));
        let access = site.token(&JO_SMITH).await;
        site.imis.change("JSMITH", |person| person.state = state);

        let by_password = site.password("JSMITH", JO_SMITH.password).await.0 == 200;
        let page = sign_in_at(&site, &mut Browser::new(), &JO_SMITH).await;
        let by_page = page.text("#who").is_some();
        let by_refresh = redeem(&site, DEMO, &handed_out.unwrap()).await.0 == 200;
        let home = browser.get(site.url("/")).await;
        let session = home.text("#who").unwrap().contains("JSMITH");
        assert_eq!(
            [by_password, by_page, by_refresh, session],
            expected,
            "{state:?}"
        );

        // Access tokens live on, until they end or the switch says otherwise.
        let alive = async || site.get(&access, "/api/Party/20457").await.0;
        assert_eq!(alive().await, 200, "{state:?}");
        site.imis.switch(|s| s.disable_ends_access = true);
        let status = if expected[3] { 200 } else { 401 };
        assert_eq!(alive().await, status, "{state:?}");
    }
}

#[tokio::test]
async fn a_purge_or_a_changed_password_ends_tokens() {
    let (site, mut browser) = visit(|_| {}).await;
    sign_in_at(&site, &mut browser, &JO_SMITH).await;
    let access = site.token(&JO_SMITH).await;
    let refresh = delivered(&browser.get(site.url("/SSO/Portico.aspx")).await);
    site.imis
        .change("JSMITH", |person| person.password = "member-demo-changed");
    assert_eq!(site.get(&access, "/api/Party/20457").await.0, 200);
    site.imis.switch(|s| s.password_change_ends_tokens = true);
    site.imis
        .change("JSMITH", |person| person.password = "member-demo-again");
    assert_eq!(site.get(&access, "/api/Party/20457").await.0, 401);
    assert_eq!(redeem(&site, DEMO, &refresh).await.0, 400);

    let (_, body) = site.password("JSMITH", "member-demo-again").await;
    let access = body["access_token"].as_str().unwrap();
    let refresh = delivered(&browser.get(site.url("/SSO/Portico.aspx")).await);
    site.imis.purge_system_cache();
    assert_eq!(site.get(access, "/api/Party/20457").await.0, 401);
    assert_eq!(redeem(&site, DEMO, &refresh).await.0, 400);
}

#[tokio::test]
async fn the_token_endpoint_answers_however_its_address_is_spelt() {
    for base in ["", "/Asi.Scheduler_Demo", "Asi.Scheduler_Demo/"] {
        let site = ImisSite::start_with(|s| s.base_path = base.to_owned()).await;
        for path in ["/token", "/token/", "/Token", "/TOKEN/", "//token"] {
            let form = [
                ("Grant_Type", "password"),
                ("UserName", JO_SMITH.username),
                ("PASSWORD", JO_SMITH.password),
            ];
            let request = site.client.post(site.url(path)).form(&form);
            assert_eq!(answer(request).await.0, 200, "{base} {path}");
        }
        let lower = site.url("/token").to_lowercase();
        assert_eq!(answer(site.client.post(lower)).await.0, 400);
        let access = site.token(&JO_SMITH).await;
        assert_eq!(site.get(&access, "/API/pARTY/20457/").await.0, 200);
    }
}

#[tokio::test]
async fn client_credentials_by_basic_and_parameters_by_get_work_where_switched_on() {
    let site = ImisSite::start().await;
    let token = || {
        site.imis
            .hand_out_refresh_token("Portico", Some("JSMITH"))
            .unwrap()
    };
    let credentials = base64::engine::general_purpose::STANDARD.encode("Portico:sso-demo-secret");
    let by_basic = async || {
        let form = [("grant_type", "refresh_token"), ("refresh_token", &token())];
        let request = site.client.post(site.url("/token")).form(&form);
        answer(request.header("authorization", format!("Basic {credentials}")))
            .await
            .0
    };
    assert_eq!(by_basic().await, 400);
    site.imis.switch(|s| s.accepts_basic = true);
    assert_eq!(by_basic().await, 200);

    let form = [
        ("grant_type", "password"),
        ("username", JO_SMITH.username),
        ("password", JO_SMITH.password),
    ];
    let by_get = async || {
        let body = site
            .client
            .request(Method::GET, site.url("/token"))
            .form(&form);
        let url = Url::parse_with_params(&site.url("/token"), form).unwrap();
        (answer(body).await.0, answer(site.client.get(url)).await.0)
    };
    assert_eq!(by_get().await, (400, 400));
    site.imis.switch(|s| s.token_by_get = true);
    assert_eq!(by_get().await, (200, 200));
}

#[tokio::test]
async fn awkward_usernames_log_in_and_are_found_when_they_are_encoded() {
    let site = ImisSite::start().await;
    let service = site.token(&SERVICE).await;
    let mut present = JO_SMITH.username;
    for name in [
        "jo smith",
        "jo+smith@example.org",
        "a&b=c",
        "O'Brien",
        "100%",
        "Zoë Søn",
        "李安",
        "eq:jo",
        "50;DROP",
        "a/b\\c?d#e",
    ] {
        site.imis.change(present, |person| person.username = name);
        present = name;
        let (status, body) = site.password(name, JO_SMITH.password).await;
        assert_eq!(status, 200, "{name} {body}");
        let find = async |condition: &str| {
            let url = Url::parse_with_params(&site.url("/api/User"), [("username", condition)]);
            let request = site.client.get(url.unwrap()).bearer_auth(&service);
            answer(request).await
        };
        let (_, found) = find(&format!("eq:{}", name.to_uppercase())).await;
        assert_eq!(found["Count"], 1, "{name}");
        assert_eq!(found["Items"]["$values"][0]["UserName"], name);
        // The trap: a colon in a bare value is taken for an operator.
        let bare = find(name).await;
        assert_eq!(bare.1["Count"] == 1, !name.contains(':'), "{name}");
    }
}

#[tokio::test]
async fn usernames_that_differ_only_by_case_are_one_user_or_two() {
    let site = ImisSite::start().await;
    site.imis.switch(|s| s.usernames_case_sensitive = true);
    site.imis
        .change(ZOE.username, |person| person.username = "jsmith");
    assert_eq!(site.password("jsmith", JO_SMITH.password).await.0, 400);
    assert_eq!(site.password("JSMITH", ZOE.password).await.0, 400);
    for (name, person) in [("JSMITH", JO_SMITH), ("jsmith", ZOE)] {
        let person = ImisPerson {
            username: name,
            ..person
        };
        let token = site.token(&person).await;
        let (_, own) = site.get(&token, "/api/Party").await;
        assert_eq!(own["Items"]["$values"][0]["PartyId"], person.id);
    }
    // A look-up by name finds both, whatever the letters.
    let service = site.token(&SERVICE).await;
    let (_, found) = site.get(&service, "/api/User?username=eq:JSmith").await;
    assert_eq!(found["Count"], 2);
    // Where letters do not matter, the first of them is the one who logs in.
    site.imis.switch(|s| s.usernames_case_sensitive = false);
    assert_eq!(site.password("jsmith", JO_SMITH.password).await.0, 200);
    assert_eq!(site.password("jsmith", ZOE.password).await.0, 400);
}

#[tokio::test]
async fn the_sign_out_page_sends_the_browser_on_or_loads_an_address_in_a_frame() {
    const ELSEWHERE: &str = "https://login.example.org/end_session?client_id=imis&x=\"";
    let (site, mut browser) = visit(|_| {}).await;
    let own = browser.get(site.url(LOGOUT)).await;
    assert_eq!((own.status.as_u16(), own.location()), (200, None));
    assert_eq!(own.attribute("iframe", "src"), None);

    site.imis
        .switch(|s| s.signed_out_url = Some(ELSEWHERE.to_owned()));
    sign_in_at(&site, &mut browser, &JO_SMITH).await;
    let page = browser.get(site.url(LOGOUT)).await;
    assert_eq!(
        (page.status.as_u16(), page.header("location")),
        (302, ELSEWHERE)
    );
    let home = browser.get(site.url("/")).await;
    assert_eq!(home.text("#who").unwrap(), "You are not signed in.");
    // An address given with the request comes first, where it is honored.
    let with_return = site.url(&format!("{LOGOUT}?returnurl=https%3A%2F%2Fapp.example%2F"));
    let page = browser.get(&with_return).await;
    assert_eq!(page.header("location"), "https://app.example/");
    site.imis.switch(|s| s.logout_honors_return_url = false);
    assert_eq!(
        browser.get(&with_return).await.header("location"),
        ELSEWHERE
    );

    site.imis.switch(|s| s.signed_out_by = SignedOutBy::Iframe);
    let page = browser.get(site.url(LOGOUT)).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.attribute("iframe", "src").unwrap(), ELSEWHERE);
}

#[tokio::test]
async fn the_single_logout_page_signs_out_first_and_then_sends_on() {
    let (site, mut browser) = visit(|s| {
        s.web_path = "/iMIS".to_owned();
        s.signed_out_url = Some("https://login.example.org/end_session".to_owned());
    })
    .await;
    let page = browser.get(site.url("/iMIS/Sign-in.aspx")).await;
    super::imis_sso::sign_in(&mut browser, &page, &JO_SMITH).await;
    let address = site.url("/iMIS/SingleLogout.aspx");
    let page = browser.get(&address).await;
    assert_eq!((page.status.as_u16(), page.location()), (200, None));
    let out = page.attribute("a", "href").unwrap();
    assert_eq!(out, format!("/iMIS{LOGOUT}"));
    assert!(page.body.contains(&format!("fetch('{out}'")));
    browser.get(site.url(&out)).await;
    let page = browser.get(&address).await;
    assert_eq!(
        page.header("location"),
        "https://login.example.org/end_session"
    );
}

#[tokio::test]
async fn refresh_tokens_live_as_long_as_switched_and_a_password_may_be_enough() {
    let site = ImisSite::start().await;
    assert_eq!(
        site.password(OIDC_ONLY.username, OIDC_ONLY.password)
            .await
            .0,
        400
    );
    site.imis.switch(|s| {
        s.password_grant_ignores_oidc_only = true;
        s.refresh_token_seconds = Some(120);
    });
    assert_eq!(
        site.password(OIDC_ONLY.username, OIDC_ONLY.password)
            .await
            .0,
        200
    );
    let token = || {
        site.imis
            .hand_out_refresh_token("Portico", Some("JSMITH"))
            .unwrap()
    };
    let (in_time, late) = (token(), token());
    site.clock.advance(119);
    assert_eq!(redeem(&site, DEMO, &in_time).await.0, 200);
    site.clock.advance(1);
    assert_eq!(redeem(&site, DEMO, &late).await.0, 400);
}
