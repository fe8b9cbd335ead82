//! Signing off both ways: a logout here ends iMIS's web session, and iMIS's sign-out page ends ours (design, section 4
//! "Logout"; the research on iMIS, section 2; T6, T7, T35).

use portico::protocol::ids::SessionId;
use portico::simulator::people::{ANN_LEE, CHAIR, ImisPerson, JO_SMITH};

use crate::clock_steps::{add, goes_on, log_in, sid, silently, was_used};
use crate::harness::browser::{Browser, Page};
use crate::harness::relying_party::Answer;
use crate::harness::server::{Setup, TestServer};
use crate::harness::steps::SESSION;

const HOME: &str = "https://spa.example.org/";
const COMES_BACK: &str = "logout_url = \"{imis}/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx?returnurl={return_url}\"\n";
const STAYS: &str =
    "logout_url = \"{imis}/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx\"\n";
const RETURN: &str = "portico-sign-off";

async fn server_with(members: &str) -> TestServer {
    let members = members.to_owned();
    TestServer::start_with(|setup: &mut Setup| setup.members = members).await
}

/// A browser that is signed in at iMIS's web site and here, and what the client `spa` got.
async fn signed_in(server: &TestServer, person: ImisPerson) -> (Browser, Answer) {
    let mut browser = Browser::new();
    let url = format!("{}/Sign-in.aspx", server.imis_url());
    let page = browser.open(url).await;
    let fields = [("username", person.username), ("password", person.password)];
    let form = "form:has(input[name=password])";
    browser.submit(&page, form, &fields).await;
    let page = browser
        .log_in_as(server.authorize_url("spa", &[]), person)
        .await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200);
    (browser, tokens)
}

async fn is_signed_in_at_imis(server: &TestServer, browser: &mut Browser) -> bool {
    let home = browser.get(format!("{}/", server.imis_url())).await;
    home.text("#who").unwrap().starts_with("You are signed in")
}

async fn is_signed_in(server: &TestServer, browser: &mut Browser) -> bool {
    let silent = server.authorize_url("web", &[("prompt", "none")]);
    browser.get(silent).await.answer().contains_key("code")
}

fn logout_url(server: &TestServer, parameters: &[(&str, &str)]) -> String {
    let mut url = url::Url::parse(&server.url("/end_session")).unwrap();
    url.query_pairs_mut().extend_pairs(parameters);
    url.into()
}

fn signed_out_page(page: &Page) -> bool {
    page.status == 200 && page.text("h1").as_deref() == Some("You are signed out")
}

fn asks(page: &Page) -> bool {
    page.status == 200 && page.body.contains("Do you want to sign out here?")
}

/// T35: the session here ends first; then iMIS's; then the app has the browser, with its `state`. Nothing of it stands in
/// an address.
#[tokio::test]
async fn a_logout_goes_by_imis_and_back_to_the_app() {
    let server = server_with(COMES_BACK).await;
    let (mut browser, tokens) = signed_in(&server, JO_SMITH).await;
    assert!(is_signed_in_at_imis(&server, &mut browser).await);
    let stale = browser.session(&server).unwrap();
    let parameters = [
        ("id_token_hint", tokens.text("id_token")),
        ("post_logout_redirect_uri", HOME),
        ("state", "a b"),
    ];
    let page = browser.get(logout_url(&server, &parameters)).await;
    assert_eq!(page.status, 303);
    let trip = page.location().unwrap();
    let logout = format!(
        "{}/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx?returnurl={}%2Fend_session%2Freturned",
        server.imis_url(),
        server.issuer.replace(':', "%3A").replace('/', "%2F")
    );
    assert_eq!(trip.as_str(), logout);
    assert_eq!(browser.session(&server), None);
    let mut thief = Browser::new();
    thief.set_cookie("127.0.0.1", SESSION, &stale);
    assert!(
        !is_signed_in(&server, &mut thief).await,
        "over before the trip"
    );
    let page = browser.follow(page).await;
    assert_eq!(page.status, 303);
    assert_eq!(
        page.location().unwrap().as_str(),
        "https://spa.example.org/?state=a+b"
    );
    assert!(browser.cookie(&server, RETURN).is_none());
    assert!(!is_signed_in_at_imis(&server, &mut browser).await);
    // Once: the address that it came back to leads nowhere now.
    let again = browser.get(server.url("/end_session/returned")).await;
    assert!(signed_out_page(&again), "{}", again.body);
}

/// Without an app's address, the trip ends at a page of ours, in the language that was asked for.
#[tokio::test]
async fn a_confirmed_logout_goes_by_imis_and_back_to_our_page() {
    let server = server_with(COMES_BACK).await;
    let (mut browser, _) = signed_in(&server, JO_SMITH).await;
    let page = browser
        .get(logout_url(&server, &[("ui_locales", "fr")]))
        .await;
    let policy = page.header("content-security-policy").to_owned();
    // The redirects after the form lead to the simulated iMIS, which has no https.
    assert!(
        policy.contains("form-action 'self' http: https:"),
        "{policy}"
    );
    let page = browser.submit(&page, "main form", &[]).await;
    assert_eq!(page.url.path(), "/end_session/returned");
    assert_eq!(page.text("h1").unwrap(), "Vous êtes déconnecté");
    // What it says of other upstreams would be gone in another language.
    assert_eq!(page.attribute(".foot nav", "aria-label"), None);
    assert!(!is_signed_in_at_imis(&server, &mut browser).await);
    assert!(!is_signed_in(&server, &mut browser).await);
}

/// iMIS ignores the address to come back to (the research, section 2): signed out everywhere, and the browser stays there.
#[tokio::test]
async fn an_imis_that_keeps_the_browser_has_signed_it_out() {
    let server = server_with(COMES_BACK).await;
    server.imis.switch(|s| s.logout_honors_return_url = false);
    let (mut browser, tokens) = signed_in(&server, JO_SMITH).await;
    let parameters = [
        ("id_token_hint", tokens.text("id_token")),
        ("post_logout_redirect_uri", HOME),
    ];
    let page = browser.open(logout_url(&server, &parameters)).await;
    assert!(page.url.as_str().starts_with(server.imis_url()));
    assert!(!is_signed_in_at_imis(&server, &mut browser).await);
    assert!(!is_signed_in(&server, &mut browser).await);
}

/// Where nobody comes back from, an app that waits is not forgotten: the person has both on a page of ours.
#[tokio::test]
async fn without_a_way_back_the_page_offers_both() {
    let server = server_with(STAYS).await;
    let (mut browser, tokens) = signed_in(&server, JO_SMITH).await;
    let parameters = [
        ("id_token_hint", tokens.text("id_token")),
        ("post_logout_redirect_uri", HOME),
        ("state", "s"),
    ];
    let page = browser.get(logout_url(&server, &parameters)).await;
    assert!(signed_out_page(&page), "{}", page.body);
    assert!(
        page.body
            .contains("You may still be signed in at Member login.")
    );
    let onward = page.attribute("main a.button:not(.way)", "href").unwrap();
    assert_eq!(onward, "https://spa.example.org/?state=s");
    assert_eq!(browser.session(&server), None);
    let sign_off = page.attribute("main a.way", "href").unwrap();
    assert_eq!(
        page.attribute("main a.way", "rel").unwrap(),
        "noopener noreferrer"
    );
    assert!(is_signed_in_at_imis(&server, &mut browser).await);
    browser.get(sign_off).await;
    assert!(!is_signed_in_at_imis(&server, &mut browser).await);
    // Nobody waits: the trip is the last thing.
    let (mut browser, tokens) = signed_in(&server, JO_SMITH).await;
    let hint = [("id_token_hint", tokens.text("id_token"))];
    let page = browser.open(logout_url(&server, &hint)).await;
    assert!(page.url.path().ends_with("/logout.aspx"), "{}", page.url);
    assert!(!is_signed_in_at_imis(&server, &mut browser).await);
    assert!(!is_signed_in(&server, &mut browser).await);
}

/// A session that began elsewhere has nothing to end at iMIS; nor has nobody's.
#[tokio::test]
async fn only_sessions_of_the_upstream_go_there() {
    let server = server_with(COMES_BACK).await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[]);
    let page = browser.log_in_at_aim18(url, ANN_LEE).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    let parameters = [
        ("id_token_hint", tokens.text("id_token")),
        ("post_logout_redirect_uri", HOME),
    ];
    for _ in 0..2 {
        let page = browser.get(logout_url(&server, &parameters)).await;
        assert_eq!(page.location().unwrap().as_str(), HOME);
    }
    assert!(browser.cookie(&server, RETURN).is_none());
}

/// T7: what we did not seal, for this purpose and lately, leads nowhere.
#[tokio::test]
async fn the_address_to_come_back_to_is_no_open_redirect() {
    let server = server_with(COMES_BACK).await;
    let elsewhere = TestServer::start_with(|setup| {
        setup.members = COMES_BACK.to_owned();
        setup.master_key = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=".to_owned();
    })
    .await;
    let waiting = async |server: &TestServer| {
        let (mut browser, tokens) = signed_in(server, JO_SMITH).await;
        let parameters = [
            ("id_token_hint", tokens.text("id_token")),
            ("post_logout_redirect_uri", HOME),
        ];
        browser.get(logout_url(server, &parameters)).await;
        browser.cookie(server, RETURN).unwrap().value.clone()
    };
    let (ours, foreign) = (waiting(&server).await, waiting(&elsewhere).await);
    // A logout request that travels in an address is sealed with the same key (T12).
    let request = Browser::new()
        .post_cross_site(
            server.url("/end_session"),
            &[("client_id", "spa"), ("post_logout_redirect_uri", HOME)],
        )
        .await;
    let request = request.location().unwrap();
    let (_, request) = request.query_pairs().next().unwrap();
    for cookie in [foreign.as_str(), &request, "https://evil.example/", ""] {
        let mut browser = Browser::new();
        browser.set_cookie("127.0.0.1", RETURN, cookie);
        for query in ["", "?destination=https://evil.example/", "?state=x"] {
            let page = browser
                .get(server.url(&format!("/end_session/returned{query}")))
                .await;
            assert!(signed_out_page(&page), "{cookie} {query}: {}", page.body);
            assert_eq!(page.location(), None);
        }
    }
    let page = Browser::new()
        .get(server.url(&format!("/end_session?logout={ours}")))
        .await;
    assert_eq!(page.status, 400);
    server.clock.advance(5 * 60 + 6);
    let mut late = Browser::new();
    late.set_cookie("127.0.0.1", RETURN, &ours);
    let page = late.get(server.url("/end_session/returned")).await;
    assert!(signed_out_page(&page), "{}", page.body);
}

/// Anybody can make a browser come to it.
#[tokio::test]
async fn coming_back_ends_nothing() {
    let server = server_with(COMES_BACK).await;
    let (mut browser, _) = signed_in(&server, JO_SMITH).await;
    let page = browser.open(server.url("/end_session/returned")).await;
    assert!(asks(&page), "{}", page.body);
    assert!(is_signed_in(&server, &mut browser).await);
}

/// "Stay out": iMIS's page would sign the person in again without a word, so the next click shows the login page and
/// goes nowhere by itself, even where that page is the only way.
#[tokio::test]
async fn after_a_logout_the_login_page_is_shown_though_imis_would_sign_in() {
    let mut server = TestServer::start_with(|setup| {
        setup.clients = "[[clients]]\nclient_id = \"members-only\"\ntoken_endpoint_auth_method = \"none\"\n\
             redirect_uris = [\"https://members-only.example.org/callback\"]\nupstreams = [\"members\"]\n"
            .to_owned();
    })
    .await;
    let (ways, one_way) = (
        "login = [\"password\", \"redirect\"]",
        "login = [\"redirect\"]",
    );
    server.edit_config(ways, one_way);
    server.restart().await;
    let mut browser = Browser::new();
    let sign_in = browser
        .open(format!("{}/Sign-in.aspx", server.imis_url()))
        .await;
    let fields = [
        ("username", JO_SMITH.username),
        ("password", JO_SMITH.password),
    ];
    let form = "form:has(input[name=password])";
    browser.submit(&sign_in, form, &fields).await;
    let enter = server.authorize_url(
        "members-only",
        &[("redirect_uri", "https://members-only.example.org/callback")],
    );
    for _ in 0..2 {
        let page = browser.open(&enter).await;
        assert!(page.is_login(), "{} {}", page.url, page.body);
        let start = "form[action='/upstream/members/start']";
        let page = browser.submit(&page, start, &[]).await;
        let delivery = "form:has(input[name=refresh_token])";
        let (action, fields) = page.form(delivery);
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let answer = browser.post_cross_site(action.as_str(), &fields).await;
        let page = browser.follow(answer).await;
        assert!(page.answer().contains_key("code"), "{}", page.body);
        let page = browser.get(server.url("/end_session")).await;
        let page = browser.submit(&page, "main form", &[]).await;
        assert!(signed_out_page(&page));
        assert!(is_signed_in_at_imis(&server, &mut browser).await);
    }
    let silent = browser.get(format!("{enter}&prompt=none")).await;
    assert_eq!(silent.answer()["error"], "login_required");
}

/// How a page fetches, or shows in a frame, what is on another origin.
fn fetching(browser: &mut Browser, destination: &str, site: &str) {
    browser.headers = vec![
        ("sec-fetch-dest".to_owned(), destination.to_owned()),
        ("sec-fetch-site".to_owned(), site.to_owned()),
    ];
}

/// iMIS's sign-out page fetches ours, or has it in a frame: the session ends, and whoever fetches learns nothing: an
/// attacker's page gets the same answer, and ends nothing.
#[tokio::test]
async fn a_sign_out_page_of_the_upstreams_site_ends_the_session_by_a_fetch() {
    let server = server_with(COMES_BACK).await;
    let fetched = server.url("/upstream/members/signed_out");
    for destination in ["iframe", "image", "empty"] {
        let (mut browser, tokens) = signed_in(&server, JO_SMITH).await;
        fetching(&mut browser, destination, "cross-site");
        browser.is_lured_to("https://evil.example");
        let refused = browser.click(&fetched).await;
        assert_eq!(refused.status, 204);
        assert_eq!((refused.header("set-cookie"), &*refused.body), ("", ""));
        browser.headers.clear();
        assert!(is_signed_in(&server, &mut browser).await, "{destination}");

        fetching(&mut browser, destination, "same-site");
        browser.is_lured_to(server.imis_url());
        let page = browser.click(&fetched).await;
        assert_eq!(page.status, 204, "{destination}");
        assert_eq!(page.body, "");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(browser.session(&server), None);
        browser.headers.clear();
        assert!(!is_signed_in(&server, &mut browser).await);
        let refused = server.refresh("spa", tokens.text("refresh_token")).await;
        refused.assert_error(400, "invalid_grant");
        // Nobody is signed in any more: the same answer.
        fetching(&mut browser, destination, "same-site");
        browser.is_lured_to(server.imis_url());
        assert_eq!(browser.click(&fetched).await.status, 204);
    }
}

/// What a browser fetches ahead of a click nobody has asked for; and a neighbor that names itself is not the site.
#[tokio::test]
async fn a_prefetch_and_a_neighbor_end_nothing() {
    let server = server_with("").await;
    let fetched = server.url("/upstream/members/signed_out");
    let (mut browser, _) = signed_in(&server, JO_SMITH).await;
    fetching(&mut browser, "document", "same-site");
    let prefetch = ("sec-purpose".to_owned(), "prefetch".to_owned());
    browser.headers.push(prefetch);
    browser.is_lured_to(server.imis_url());
    let page = browser.click(&fetched).await;
    assert!(asks(&page), "{}", page.body);
    fetching(&mut browser, "empty", "same-site");
    browser.is_lured_to("https://blog.example.org");
    browser.click(&fetched).await;
    browser.headers.clear();
    assert!(is_signed_in(&server, &mut browser).await);
    // One that keeps its name to itself is taken for the site: both are the organization's.
    fetching(&mut browser, "empty", "same-site");
    browser.get(&fetched).await;
    browser.headers.clear();
    assert!(!is_signed_in(&server, &mut browser).await);
}

/// A sign-out page of iMIS's that sends the browser on to us.
#[tokio::test]
async fn a_sign_out_page_that_sends_the_browser_here_ends_the_session() {
    let server = server_with(COMES_BACK).await;
    let address = server.url("/upstream/members/signed_out");
    let (mut browser, _) = signed_in(&server, JO_SMITH).await;
    browser.is_lured_to(server.imis_url());
    let page = browser.click(&address).await;
    assert!(signed_out_page(&page), "{}", page.body);
    assert_eq!(browser.session(&server), None);
    assert!(!is_signed_in(&server, &mut browser).await);

    let server = server_with("signed_out_url = \"{imis}/Bye.aspx\"\n").await;
    let address = server.url("/upstream/members/signed_out");
    let (mut browser, _) = signed_in(&server, JO_SMITH).await;
    browser.is_lured_to(server.imis_url());
    for _ in 0..2 {
        let page = browser.click(&address).await;
        assert_eq!(page.status, 303);
        let onward = page.location().unwrap();
        assert_eq!(onward.as_str(), format!("{}/Bye.aspx", server.imis_url()));
    }
    assert!(!is_signed_in(&server, &mut browser).await);
}

/// Any site can send a browser there: then the person is asked, and a yes does not go by iMIS again.
#[tokio::test]
async fn another_site_that_sends_the_browser_here_has_the_person_asked() {
    let server = server_with(&format!(
        "{COMES_BACK}signed_out_url = \"{{imis}}/Bye.aspx\"\n"
    ))
    .await;
    let address = server.url("/upstream/members/signed_out");
    let (mut browser, _) = signed_in(&server, JO_SMITH).await;
    for lured_from in [Some("https://evil.example"), None] {
        let page = match lured_from {
            Some(site) => {
                browser.is_lured_to(site);
                browser.click(&address).await
            }
            None => browser.get(&address).await,
        };
        assert!(asks(&page), "{}", page.body);
        assert!(is_signed_in(&server, &mut browser).await);
    }
    let page = browser.get(&address).await;
    let page = browser.submit_only(&page, "main form", &[]).await;
    assert_eq!(page.status, 303);
    let onward = page.location().unwrap();
    assert_eq!(onward.as_str(), format!("{}/Bye.aspx", server.imis_url()));
    assert!(!is_signed_in(&server, &mut browser).await);
}

/// A session that began at another upstream is none of this one's business.
#[tokio::test]
async fn an_upstream_ends_its_own_sessions_only() {
    let server = server_with(COMES_BACK).await;
    let mut browser = Browser::new();
    let url = server.authorize_url("web", &[]);
    browser.log_in_at_aim18(url, ANN_LEE).await;
    let address = server.url("/upstream/members/signed_out");
    fetching(&mut browser, "empty", "same-site");
    browser.is_lured_to(server.imis_url());
    assert_eq!(browser.click(&address).await.status, 204);
    browser.headers.clear();
    assert!(is_signed_in(&server, &mut browser).await);
    browser.is_lured_to(server.imis_url());
    let page = browser.click(&address).await;
    assert_eq!(page.location().unwrap().path(), "/end_session");
    assert!(is_signed_in(&server, &mut browser).await);
    for nowhere in ["/upstream/none/signed_out", "/upstream//signed_out"] {
        assert_eq!(browser.get(server.url(nowhere)).await.status, 404);
    }
}

/// `/end_session` as the sign-out link of iMIS's web site: one click ends both, unasked. From another page it asks.
#[tokio::test]
async fn the_sign_out_link_of_the_web_site_may_lead_to_end_session() {
    let server = server_with(COMES_BACK).await;
    let (mut browser, _) = signed_in(&server, JO_SMITH).await;
    browser.is_lured_to("https://evil.example");
    let page = browser.click(server.url("/end_session")).await;
    assert!(asks(&page), "{}", page.body);
    assert!(is_signed_in(&server, &mut browser).await);
    browser.is_lured_to(server.imis_url());
    // An image in a page there may be anybody's, and is nothing that its readers have clicked.
    for (name, value) in [
        ("sec-fetch-dest", "image"),
        ("sec-purpose", "prefetch;prerender"),
    ] {
        browser.is_lured_to(server.imis_url());
        browser.headers = vec![(name.to_owned(), value.to_owned())];
        browser.click(server.url("/end_session")).await;
        assert!(is_signed_in(&server, &mut browser).await, "{name}");
    }
    browser.headers = vec![("sec-fetch-dest".to_owned(), "document".to_owned())];
    browser.is_lured_to(server.imis_url());
    let page = browser.click(server.url("/end_session")).await;
    assert_eq!(page.status, 303);
    let page = browser.follow(page).await;
    assert!(signed_out_page(&page), "{}", page.body);
    assert!(!is_signed_in(&server, &mut browser).await);
    assert!(!is_signed_in_at_imis(&server, &mut browser).await);
}

/// T35: both ways to sign out on the account page go by iMIS, as the app's own does.
#[tokio::test]
async fn signing_out_on_the_account_page_goes_by_imis() {
    let server = server_with(COMES_BACK).await;
    for action in ["end_session", "end_all"] {
        let (mut browser, _) = signed_in(&server, JO_SMITH).await;
        assert!(is_signed_in_at_imis(&server, &mut browser).await);
        let page = browser.open(server.url("/account")).await;
        // A browser that knows `form-action` follows the form's redirects to no other place.
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("form-action 'self' http: https:"),
            "{policy}"
        );
        let form = format!("form:has(button[value={action}])");
        let page = browser
            .submit_only(&page, &form, &[("action", action)])
            .await;
        assert_eq!(page.status, 303, "{action}");
        assert_eq!(browser.session(&server), None);
        let page = browser.follow(page).await;
        assert_eq!(page.url.path(), "/end_session/returned");
        assert!(signed_out_page(&page), "{}", page.body);
        assert!(!is_signed_in_at_imis(&server, &mut browser).await);
        assert!(!is_signed_in(&server, &mut browser).await);
    }
}

/// Whoever came in by aiM18 with an account that has an iMIS login too may be signed in at the web site: the page says
/// so, and offers its sign-off. An app that waits comes first.
#[tokio::test]
async fn the_page_offers_the_sign_off_of_a_linked_login() {
    let server = server_with(COMES_BACK).await;
    let (mut browser, _) = signed_in(&server, JO_SMITH).await;
    let page = browser.open(server.url("/account")).await;
    let form = "form:has(button[value=link])";
    let page = browser.submit(&page, form, &[("action", "link")]).await;
    let staff = (ANN_LEE.code, ANN_LEE.password);
    let page = browser.sign_in(&page, "staff", staff).await;
    let confirm = "form[action='/account/confirm']";
    let page = browser.submit(&page, confirm, &[]).await;
    assert_eq!(page.url.path(), "/account", "{}", page.body);

    let mut elsewhere = Browser::new();
    let url = format!("{}/Sign-in.aspx", server.imis_url());
    let page = elsewhere.open(url).await;
    let fields = [
        ("username", JO_SMITH.username),
        ("password", JO_SMITH.password),
    ];
    let form = "form:has(input[name=password])";
    elsewhere.submit(&page, form, &fields).await;
    let url = server.authorize_url("spa", &[]);
    elsewhere.log_in_at_aim18(url, ANN_LEE).await;
    let page = elsewhere.get(server.url("/end_session")).await;
    let page = elsewhere.submit(&page, "main form", &[]).await;
    assert!(signed_out_page(&page), "{}", page.body);
    assert!(
        page.body
            .contains("You may still be signed in at Member login.")
    );
    // aiM18 has no way out that could be offered.
    let main = page.text("main").unwrap();
    assert!(main.contains(STILL_AT_AIM18), "{main}");
    assert!(is_signed_in_at_imis(&server, &mut elsewhere).await);
    let sign_off = page.attribute("main a.way", "href").unwrap();
    elsewhere.open(sign_off).await;
    assert!(!is_signed_in_at_imis(&server, &mut elsewhere).await);
}

const STILL_AT_AIM18: &str = "You may still be signed in at Staff login. Sign out there as well";

/// aiM18 can be told of no logout: who signs out at a page of ours reads that they may be signed in there. Whoever gave a password to
/// our own form is signed in nowhere else.
#[tokio::test]
async fn the_page_says_where_nobody_but_the_person_can_sign_out() {
    let server = TestServer::start().await;
    let mut staff = Browser::new();
    let url = server.authorize_url("spa", &[]);
    staff.log_in_at_aim18(url, ANN_LEE).await;
    let mut member = Browser::new();
    let page = member.open(server.authorize_url("spa", &[])).await;
    let jo = (JO_SMITH.username, JO_SMITH.password);
    member.sign_in(&page, "members", jo).await;
    for (browser, stays) in [(&mut staff, true), (&mut member, false)] {
        let page = browser.get(server.url("/end_session")).await;
        let page = browser.submit(&page, "main form", &[]).await;
        assert!(signed_out_page(&page), "{}", page.body);
        let main = page.text("main").unwrap();
        assert_eq!(main.contains(STILL_AT_AIM18), stays, "{main}");
        assert_eq!(main.contains("still be signed in"), stays, "{main}");
    }
}

/// One of two accounts of iMIS signs out, and the browser goes by iMIS, whose sign-out page tells us: that ends nothing more. What it
/// tells after that is another sign-out, and so is what it tells of somebody who came since.
#[tokio::test]
async fn the_echo_of_our_own_trip_ends_nobody_else() {
    for way in [COMES_BACK, STAYS] {
        for navigates in [false, true] {
            let server = server_with(way).await;
            let (mut browser, jo) = signed_in(&server, JO_SMITH).await;
            let select = ("prompt", "select_account");
            let page = browser.open(server.authorize_url("spa", &[select])).await;
            let page = browser.sign_in_as(&page, CHAIR).await;
            let cam = server.redeem("spa", &page.answer()["code"], &[]).await;
            let hint = [("id_token_hint", cam.text("id_token"))];
            let gone = browser.get(logout_url(&server, &hint)).await;
            assert_eq!(gone.status, 303, "{}", gone.body);
            let told = server.url("/upstream/members/signed_out");
            let tell = async |browser: &mut Browser| {
                if !navigates {
                    fetching(browser, "empty", "same-site");
                }
                browser.is_lured_to(server.imis_url());
                let page = browser.click(&told).await;
                browser.headers.clear();
                page
            };
            let page = tell(&mut browser).await;
            let jo_is_in = async || {
                let answer = server.userinfo(jo.text("access_token")).await;
                answer.status == 200
            };
            assert!(jo_is_in().await, "{way} {navigates}");
            if navigates {
                assert!(signed_out_page(&page), "{}", page.body);
                assert!(page.body.contains("Jo Smith"), "{}", page.body);
            } else {
                assert_eq!(page.status, 204);
            }
            let page = tell(&mut browser).await;
            assert!(!jo_is_in().await, "{way} {navigates}: {}", page.body);
        }
    }
}

#[tokio::test]
async fn who_came_since_the_trip_is_signed_out_by_what_imis_tells() {
    let server = server_with(COMES_BACK).await;
    let (mut browser, jo) = signed_in(&server, JO_SMITH).await;
    let hint = [("id_token_hint", jo.text("id_token"))];
    browser.get(logout_url(&server, &hint)).await;
    server.clock.advance(1);
    let page = browser
        .log_in_as(server.authorize_url("spa", &[]), CHAIR)
        .await;
    let cam = server.redeem("spa", &page.answer()["code"], &[]).await;
    fetching(&mut browser, "empty", "same-site");
    browser.is_lured_to(server.imis_url());
    let told = server.url("/upstream/members/signed_out");
    assert_eq!(browser.click(&told).await.status, 204);
    let refused = server.refresh("spa", cam.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
}

/// Where nobody was sent to iMIS, and where that was long ago, what it tells is no echo: everybody who came in there is out.
#[tokio::test]
async fn a_sign_out_that_is_no_echo_of_ours_counts() {
    for was_sent in [false, true] {
        let server = server_with(if was_sent { COMES_BACK } else { STAYS }).await;
        let (mut browser, jo) = signed_in(&server, JO_SMITH).await;
        let select = ("prompt", "select_account");
        let page = browser.open(server.authorize_url("spa", &[select])).await;
        let page = browser.sign_in_as(&page, CHAIR).await;
        let cam = server.redeem("spa", &page.answer()["code"], &[]).await;
        let parameters = [
            ("id_token_hint", jo.text("id_token")),
            ("post_logout_redirect_uri", HOME),
        ];
        let page = browser.get(logout_url(&server, &parameters)).await;
        assert_eq!(page.status, if was_sent { 303 } else { 200 });
        server.clock.advance(if was_sent { 61 } else { 3 });
        fetching(&mut browser, "empty", "same-site");
        browser.is_lured_to(server.imis_url());
        let told = server.url("/upstream/members/signed_out");
        assert_eq!(browser.click(&told).await.status, 204);
        let refused = server.refresh("spa", cam.text("refresh_token")).await;
        refused.assert_error(400, "invalid_grant");
    }
}

/// RP-Initiated Logout section 3: an app that waits has the browser back, also where iMIS took its time. What ends others by then ends
/// them, and no more.
#[tokio::test]
async fn a_browser_that_is_long_on_its_way_goes_back_to_the_app() {
    let staff = |browser: &mut Browser, url: String| {
        let mut browser = browser.clone();
        async move {
            let page = browser.open(url).await;
            let ann = (ANN_LEE.code, ANN_LEE.password);
            let page = browser.sign_in(&page, "staff", ann).await;
            assert!(page.answer().contains_key("code"), "{}", page.body);
            browser
        }
    };
    for (beside, lured_from) in [
        (None, "imis"),
        (Some("staff"), "imis"),
        (Some("members"), "imis"),
        (Some("members"), "https://elsewhere.example"),
    ] {
        let server = server_with(COMES_BACK).await;
        let (mut browser, jo) = signed_in(&server, JO_SMITH).await;
        let select = server.authorize_url("web", &[("prompt", "select_account")]);
        match beside {
            Some("staff") => browser = staff(&mut browser, select).await,
            Some(_) => {
                let page = browser.open(select).await;
                browser.sign_in_as(&page, CHAIR).await;
            }
            None => {}
        }
        let parameters = [
            ("id_token_hint", jo.text("id_token")),
            ("post_logout_redirect_uri", HOME),
            ("state", "s"),
        ];
        let page = browser.get(logout_url(&server, &parameters)).await;
        assert_eq!(page.status, 303, "{}", page.body);
        server.clock.advance(62);
        browser.is_lured_to(if lured_from == "imis" {
            server.imis_url()
        } else {
            lured_from
        });
        let told = server.url("/upstream/members/signed_out");
        let mut page = browser.click(&told).await;
        let what = format!("{beside:?} {lured_from}: {}", page.body);
        if lured_from != "imis" {
            assert!(asks(&page), "{what}");
            page = browser.submit_only(&page, "main form", &[]).await;
        }
        let onward = page.location().map(String::from);
        assert_eq!(
            onward.as_deref(),
            Some("https://spa.example.org/?state=s"),
            "{what}"
        );
        assert!(browser.cookie(&server, RETURN).is_none(), "{what}");
        let page = browser.open(server.url("/end_session")).await;
        assert_eq!(asks(&page), beside == Some("staff"), "{what}");
    }
}

/// What was over by the clock ends without a click: it takes no live login at iMIS along.
#[tokio::test]
async fn the_end_of_a_lapsed_session_goes_by_imis_for_nobody_else() {
    let server = server_with(COMES_BACK).await;
    let lure = [("post_logout_redirect_uri", HOME), ("state", "s")];
    let (mut browser, jo) = signed_in(&server, JO_SMITH).await;
    let cam = add(&server, &mut browser, CHAIR).await;
    was_used(&server, &jo, -24 * 3600).await;
    let hint = ("id_token_hint", jo.text("id_token"));
    let mut second = browser.clone();
    for browser in [&mut browser, &mut second] {
        browser.is_lured_to("https://evil.example");
        let page = browser
            .click(logout_url(&server, &[hint, lure[0], lure[1]]))
            .await;
        assert_eq!(
            page.location().unwrap().as_str(),
            "https://spa.example.org/?state=s"
        );
        assert!(is_signed_in_at_imis(&server, browser).await);
        assert_eq!(silently(&server, browser).await, sid(&cam));
    }
    was_used(&server, &jo, 24 * 3600).await;
    assert!(!goes_on(&server, &jo).await);
    // Nobody else is there of iMIS.
    let (mut browser, jo) = signed_in(&server, JO_SMITH).await;
    let select = server.authorize_url("web", &[("prompt", "select_account")]);
    let page = browser.open(select).await;
    let ann = (ANN_LEE.code, ANN_LEE.password);
    browser.sign_in(&page, "staff", ann).await;
    was_used(&server, &jo, -24 * 3600).await;
    let hint = ("id_token_hint", jo.text("id_token"));
    let trip = browser.get(logout_url(&server, &[hint])).await;
    let trip = trip.location().unwrap();
    assert!(trip.path().ends_with("/logout.aspx"), "{trip}");
}

/// A second click, which left before the first was answered, goes by iMIS, too: the browser heeds the last answer alone.
#[tokio::test]
async fn a_second_click_goes_by_imis_too() {
    let server = server_with(COMES_BACK).await;
    for by_form in [false, true] {
        let (mut first, tokens) = signed_in(&server, JO_SMITH).await;
        let link = logout_url(
            &server,
            &[
                ("id_token_hint", tokens.text("id_token")),
                ("post_logout_redirect_uri", HOME),
                ("state", "s"),
            ],
        );
        let ask = [
            ("client_id", "spa"),
            ("post_logout_redirect_uri", HOME),
            ("state", "s"),
        ];
        let question = first.get(logout_url(&server, &ask)).await;
        let (mut second, mut ahead, mut late) = (first.clone(), first.clone(), first.clone());
        let click = async |browser: &mut Browser| {
            if by_form {
                browser.submit_only(&question, "main form", &[]).await
            } else {
                browser.get(&link).await
            }
        };
        let trips = [click(&mut first).await, click(&mut second).await];
        for trip in &trips {
            let trip = trip.location().unwrap();
            assert!(trip.path().ends_with("/logout.aspx"), "{trip}");
        }
        if by_form {
            let forged = [("form_token", "forged")];
            let refused = late.submit_only(&question, "main form", &forged).await;
            assert_eq!(refused.status, 400);
        } else {
            ahead.headers = vec![("sec-purpose".to_owned(), "prefetch".to_owned())];
            assert_eq!(ahead.get(&link).await.status, 503);
        }
        let [_, trip] = trips;
        let back = second.follow(trip).await;
        let home = "https://spa.example.org/?state=s";
        assert_eq!(back.location().unwrap().as_str(), home);
        assert!(!is_signed_in_at_imis(&server, &mut second).await);
        // Who comes later finds nobody whom it was about.
        server.clock.advance(60);
        assert_eq!(click(&mut late).await.location().unwrap().as_str(), home);
    }
}

/// Of several accounts, too, it is as if the first answer had been heeded: whoever is left is asked who they are.
#[tokio::test]
async fn a_second_click_leaves_nobody_current() {
    let server = server_with(COMES_BACK).await;
    for is_current in [false, true] {
        let (mut browser, jo) = signed_in(&server, JO_SMITH).await;
        let cam = add(&server, &mut browser, CHAIR).await;
        let out = if is_current { &cam } else { &jo };
        let hint = [("id_token_hint", out.text("id_token"))];
        let mut second = browser.clone();
        for browser in [&mut browser, &mut second] {
            let trip = browser.get(logout_url(&server, &hint)).await;
            assert_eq!(trip.status, 303, "{}", trip.body);
            let left = silently(&server, browser).await;
            assert_eq!(left, "account_selection_required", "{is_current}");
        }
    }
}

/// Of a lapsed session the same holds: within a minute of a trip only who has come since is meant, and after it everybody.
#[tokio::test]
async fn the_echo_of_a_trip_ends_no_lapsed_session_of_before() {
    for seconds in [2, 62] {
        for came_since in [false, true] {
            let server = server_with(COMES_BACK).await;
            let (mut browser, jo) = signed_in(&server, JO_SMITH).await;
            let cam = add(&server, &mut browser, CHAIR).await;
            was_used(&server, &jo, -24 * 3600).await;
            let parameters = [
                ("id_token_hint", cam.text("id_token")),
                ("post_logout_redirect_uri", HOME),
            ];
            browser.get(logout_url(&server, &parameters)).await;
            server.clock.advance(seconds);
            if came_since {
                log_in(&server, &mut browser, CHAIR).await;
            }
            let told = server.url("/upstream/members/signed_out");
            // Another site ends nobody.
            let mut lured = browser.clone();
            lured.is_lured_to("https://evil.example");
            lured.click(&told).await;
            let ended = async || {
                let id = SessionId::new(sid(&jo));
                let session = server.store.find_session(&id).await.unwrap();
                session.unwrap().ended_at.is_some()
            };
            assert!(!ended().await);
            browser.is_lured_to(server.imis_url());
            let page = browser.click(&told).await;
            assert_eq!(page.location().unwrap().as_str(), HOME);
            assert_eq!(ended().await, seconds > 60, "{seconds} {came_since}");
        }
    }
    // Nor is anybody asked about the others where nobody may end it: the trip is over.
    let server = server_with(COMES_BACK).await;
    let (mut browser, jo) = signed_in(&server, JO_SMITH).await;
    let cam = add(&server, &mut browser, CHAIR).await;
    let select = server.authorize_url("web", &[("prompt", "select_account")]);
    let page = browser.open(select).await;
    let ann = (ANN_LEE.code, ANN_LEE.password);
    browser.sign_in(&page, "staff", ann).await;
    was_used(&server, &jo, -24 * 3600).await;
    let hint = [("id_token_hint", cam.text("id_token"))];
    browser.get(logout_url(&server, &hint)).await;
    server.clock.advance(62);
    browser.is_lured_to("https://evil.example");
    let told = server.url("/upstream/members/signed_out");
    let page = browser.click(told).await;
    assert!(signed_out_page(&page), "{}", page.body);
}

/// The sign-out link of iMIS's web site ends what began there, as what iMIS tells does.
#[tokio::test]
async fn the_sign_out_link_of_the_web_site_ends_lapsed_sessions_too() {
    let server = server_with(COMES_BACK).await;
    for alone in [false, true] {
        let (mut browser, jo) = signed_in(&server, JO_SMITH).await;
        if !alone {
            add(&server, &mut browser, CHAIR).await;
        }
        was_used(&server, &jo, -24 * 3600).await;
        let end = server.url("/end_session");
        for (destination, sender) in [
            ("image", server.imis_url()),
            ("document", "https://evil.example"),
        ] {
            browser.headers = vec![("sec-fetch-dest".to_owned(), destination.to_owned())];
            browser.is_lured_to(sender);
            let page = browser.click(&end).await;
            assert_eq!(page.status, 200, "{}", page.body);
        }
        browser.headers.clear();
        browser.is_lured_to(server.imis_url());
        let trip = browser.click(&end).await;
        assert_eq!(trip.status, 303, "{}", trip.body);
        was_used(&server, &jo, 24 * 3600).await;
        assert!(!goes_on(&server, &jo).await, "{alone}");
        assert_eq!(silently(&server, &mut browser).await, "login_required");
    }
}
