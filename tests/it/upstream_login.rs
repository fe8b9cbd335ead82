//! Logins at the upstreams' own pages and through their adapters, as far as the whole flow is concerned: who comes back
//! where (T25, T27), who is refused (T26), and who is who (T31).

use portico::simulator::aim18::{Application, StateParameter};
use portico::simulator::imis::TokenShape;
use portico::simulator::people::{self, ANN_LEE, BIG, JO_SMITH};
use url::Url;

use crate::harness::browser::{Browser, Page};
use crate::harness::relying_party::claims;
use crate::harness::server::TestServer;
use crate::harness::steps::{AWAY, CONTINUE, TO_AIM18};

/// A second aiM18 in the config, so that two upstreams can be mixed up.
async fn with_second_aim18() -> (
    TestServer,
    portico::simulator::aim18::Aim18,
    portico::simulator::Running,
) {
    let clock = portico::clock::Clock::manual(crate::harness::server::START);
    let second = portico::simulator::aim18::Aim18::new(clock);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = second.serve(listener).await.unwrap();
    let url = running.url().to_owned();
    let server = TestServer::start_with(|setup| {
        setup.upstreams = format!(
            "[[upstreams]]\nid = \"branch\"\nkind = \"aim18\"\nlabel = \"Branch login\"\n\
             login = [\"redirect\"]\nbase_url = \"{url}\"\nclient_id = \"{}\"\n\
             client_secret = {{ env = \"AIM18_CLIENT_SECRET\" }}\n",
            portico::simulator::aim18::CLIENT_ID
        );
    })
    .await;
    second.set_callback(&server.url("/upstream/branch/callback"));
    (server, second, running)
}

/// To aiM18's login page, from an authorization URL.
async fn away(server: &TestServer, browser: &mut Browser, client_id: &str, state: &str) -> Page {
    let url = server.authorize_url(client_id, &[("state", state)]);
    let page = browser.open(url).await;
    browser.submit(&page, TO_AIM18, &[]).await
}

/// The redirect with which aiM18 sends the browser back; not followed.
async fn callback(browser: &mut Browser, page: &Page) -> Url {
    let back = browser.at_aim18(page, ANN_LEE).await;
    let location = back.location().expect("a redirect back");
    assert_eq!(location.path(), "/upstream/staff/callback");
    location
}

/// Back from aiM18's page to ours, as its redirect has it.
async fn come_back(server: &TestServer, browser: &mut Browser, url: &Url) -> Page {
    browser.is_lured_to(server.aim18_url());
    let page = browser.click(url).await;
    browser.follow(page).await
}

fn is_away_page(page: &Page) -> bool {
    page.status == 400 && page.body.contains("cannot tell which sign-in")
}

/// T34: a made-up code costs a request with our secret, and an address has only so many.
#[tokio::test]
async fn made_up_codes_reach_the_upstream_only_so_often() {
    let server = TestServer::start_with(|setup| {
        setup.sections =
            "[login]\nrefusal_floor = \"0s\"\nmax_attempts_per_address = 4\n".to_owned();
    })
    .await;
    for _ in 0..6 {
        let mut browser = Browser::new();
        let page = browser.open(server.authorize_url("spa", &[])).await;
        browser.submit(&page, TO_AIM18, &[]).await;
        let made_up = server.url("/upstream/staff/callback?code=made-up");
        let page = browser.click(made_up).await;
        assert_eq!(page.status, 422, "{}", page.body);
    }
    let log = server.aim18.log();
    let asked = log
        .iter()
        .filter(|request| request.path.ends_with("/oauth/token"));
    assert_eq!(asked.count(), 4);
}

#[tokio::test]
async fn an_employee_logs_in_at_aim18_and_comes_back() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[("scope", "openid profile email")]);
    let page = browser.log_in_at_aim18(url, ANN_LEE).await;
    assert_eq!(page.answer()["state"], "the-state");
    assert!(
        browser.cookie(&server, AWAY).is_none(),
        "it has done its work"
    );
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.body["name"], ANN_LEE.desc_en);
    assert_eq!(userinfo.body["email"], ANN_LEE.email);
    let silent = server.authorize_url("web", &[("prompt", "none")]);
    assert!(browser.get(silent).await.answer().contains_key("code"));
}

/// T25: leaving takes a click on our page in this browser.
#[tokio::test]
async fn nobody_is_sent_away_by_somebody_elses_form() {
    let server = TestServer::start().await;
    let mut attacker = Browser::new();
    let page = attacker.open(server.authorize_url("spa", &[])).await;
    let mut victim = Browser::new();
    let refused = victim.submit_only(&page, TO_AIM18, &[]).await;
    assert_eq!(refused.status, 400);
    let own = victim.open(server.authorize_url("spa", &[])).await;
    let foreign = page.attribute("input[name=form_token]", "value").unwrap();
    for token in ["", "nonsense", foreign.as_str()] {
        let refused = victim
            .submit_only(&own, TO_AIM18, &[("form_token", token)])
            .await;
        assert_eq!(refused.status, 400, "{token}");
        assert_eq!(refused.location(), None);
    }
    assert!(victim.cookie(&server, AWAY).is_none());
    let start = format!("/upstream/staff/start?flow={}", own.flow());
    assert_eq!(
        victim.get(server.url(&start)).await.status,
        405,
        "not by a link"
    );
}

/// T25: a browser that we did not send away is not signed in by a code that somebody hands it.
#[tokio::test]
async fn a_callback_without_the_away_cookie_signs_nobody_in() {
    let server = TestServer::start().await;
    for state in [StateParameter::Dropped, StateParameter::Echoed] {
        server.aim18.switch(|switches| switches.state = state);
        let mut attacker = Browser::new();
        let page = away(&server, &mut attacker, "spa", "s").await;
        let stolen = callback(&mut attacker, &page).await;
        let mut victim = Browser::new();
        let refused = victim.open(&stolen).await;
        assert!(is_away_page(&refused), "{}", refused.body);
        assert_eq!(victim.session(&server), None);
        // In a flow of its own, but never away.
        victim.open(server.authorize_url("spa", &[])).await;
        assert!(is_away_page(&victim.open(&stolen).await));
        assert_eq!(victim.session(&server), None);
        // The attacker's away cookie without the attacker's flow.
        let value = attacker.cookie(&server, AWAY).unwrap().value.clone();
        victim.set_cookie("127.0.0.1", AWAY, &value);
        assert_eq!(victim.open(&stolen).await.status, 400);
        assert_eq!(victim.session(&server), None);
        // A changed cookie is no cookie.
        attacker.set_cookie("127.0.0.1", AWAY, &format!("{value}A"));
        assert!(is_away_page(&attacker.open(&stolen).await));
    }
    let asked = server.aim18.log();
    assert!(
        asked
            .iter()
            .all(|request| !request.path.ends_with("/token")),
        "and no code was redeemed"
    );
}

/// T27: where `state` comes back, each tab goes on with its own; of one app, too.
#[tokio::test]
async fn tabs_at_aim18_each_finish_their_own_flow() {
    let server = TestServer::start().await;
    server
        .aim18
        .switch(|switches| switches.state = StateParameter::Echoed);
    for clients in [["spa", "web"], ["spa", "spa"]] {
        let mut browser = Browser::new();
        let one = away(&server, &mut browser, clients[0], "one").await;
        let two = away(&server, &mut browser, clients[1], "two").await;
        let first = callback(&mut browser, &one).await;
        let second = callback(&mut browser, &two).await;
        for (url, client_id, state) in [(second, clients[1], "two"), (first, clients[0], "one")] {
            let page = browser.open(url).await;
            let location = page.location().unwrap_or_else(|| panic!("{}", page.body));
            let host = format!("{client_id}.example.org");
            assert_eq!(location.host_str(), Some(host.as_str()));
            assert_eq!(page.answer()["state"], state);
        }
    }
}

/// T27: where it does not, no tab goes on with another's; the person is asked to sign in once more.
#[tokio::test]
async fn tabs_that_cannot_be_told_apart_finish_no_wrong_flow() {
    let server = TestServer::start().await;
    for clients in [["spa", "web"], ["spa", "spa"]] {
        let mut browser = Browser::new();
        let one = away(&server, &mut browser, clients[0], "one").await;
        away(&server, &mut browser, clients[1], "two").await;
        let first = callback(&mut browser, &one).await;
        let page = browser.open(first).await;
        assert_eq!(page.status, 400, "{clients:?}: {page:?}");
        assert!(page.body.contains("Several sign-ins"), "{}", page.body);
        assert_eq!(browser.session(&server), None);
        // One more click: now only one is away, and aiM18 remembers the person, whom nothing proves to be this one.
        let page = browser.submit(&page, TO_AIM18, &[]).await;
        let page = browser.submit(&page, CONTINUE, &[]).await;
        assert_eq!(page.answer()["state"], "two");
    }
}

/// A flow that was given up at aiM18, and ended by another way, is no second one either; and what comes for it alone is told what has
/// become of it, and opens nothing.
#[tokio::test]
async fn a_flow_that_is_over_is_no_ambiguity() {
    let server = TestServer::start().await;
    server
        .aim18
        .switch(|switches| switches.remembers_login = false);
    for by_password in [false, true] {
        let mut browser = Browser::new();
        let page = browser.open(server.authorize_url("spa", &[])).await;
        let entry = browser.submit(&page, TO_AIM18, &[]).await;
        let over = callback(&mut browser, &entry).await;
        let page = if by_password {
            browser.sign_in_as(&page, JO_SMITH).await
        } else {
            let cancel = "form:has(button[value=cancel])";
            let fields = [("action", "cancel")];
            browser.submit_only(&page, cancel, &fields).await
        };
        assert_eq!(page.answer().contains_key("code"), by_password);
        let session = browser.session(&server);
        let mut other = browser.clone();
        let told = come_back(&server, &mut other, &over).await;
        let what = format!("{by_password}: {} {}", told.status, told.body);
        assert!(told.status != 303 && !is_away_page(&told), "{what}");
        assert_eq!(other.session(&server), session, "{what}");

        let again = [("prompt", "login"), ("state", "two")];
        let page = browser.open(server.authorize_url("web", &again)).await;
        let entry = browser.submit(&page, TO_AIM18, &[]).await;
        let url = callback(&mut browser, &entry).await;
        let page = come_back(&server, &mut browser, &url).await;
        assert_eq!(page.answer()["state"], "two", "{by_password}");
        assert!(page.answer().contains_key("code"), "{by_password}");
    }
}

/// Going back from aiM18's page and leaving again is the same flow, and not a second one.
#[tokio::test]
async fn leaving_twice_in_one_flow_is_no_ambiguity() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    browser.submit(&page, TO_AIM18, &[]).await;
    let entry = browser.submit(&page, TO_AIM18, &[]).await;
    let url = callback(&mut browser, &entry).await;
    let page = come_back(&server, &mut browser, &url).await;
    assert!(page.answer().contains_key("code"));
}

/// T27, RFC 9207's class: the answer of one upstream completes nothing at another.
#[tokio::test]
async fn an_answer_of_one_upstream_cannot_complete_a_flow_at_another() {
    let (server, second, _running) = with_second_aim18().await;
    for state in [StateParameter::Dropped, StateParameter::Echoed] {
        for aim18 in [&server.aim18, &second] {
            aim18.switch(|switches| switches.state = state);
        }
        let mut browser = Browser::new();
        let entry = away(&server, &mut browser, "spa", "s").await;
        let staff = callback(&mut browser, &entry).await;
        let mut mixed = staff.clone();
        mixed.set_path("/upstream/branch/callback");
        assert!(is_away_page(&browser.open(&mixed).await));
        assert_eq!(browser.session(&server), None);
        let page = come_back(&server, &mut browser, &staff).await;
        assert!(page.answer().contains_key("code"), "its own still can");
    }
    assert!(second.log().is_empty(), "the other was never asked");
    for path in ["/upstream/members/callback", "/upstream/nowhere/callback"] {
        assert_eq!(Browser::new().get(server.url(path)).await.status, 404);
    }
}

/// T12, T27: the callback's address is good once.
#[tokio::test]
async fn a_callback_that_is_opened_again_does_nothing() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let entry = away(&server, &mut browser, "spa", "s").await;
    let url = callback(&mut browser, &entry).await;
    let page = come_back(&server, &mut browser, &url).await;
    assert!(page.answer().contains_key("code"));
    let session = browser.session(&server);
    assert!(is_away_page(&browser.open(&url).await));
    assert_eq!(browser.session(&server), session);
    let asked = server.aim18.log();
    let redeemed = asked.iter().filter(|r| r.path.ends_with("/oauth/token"));
    assert_eq!(redeemed.count(), 1);
}

/// T25: while somebody is away by their own click, another site can send the browser back with a code of its own. Nothing
/// proves whose it is, so the person is asked; whoever says no finds the login page, and the code has made nobody known.
#[tokio::test]
async fn an_answer_that_the_upstreams_site_did_not_send_is_asked_about() {
    let server = TestServer::start().await;
    let mut attacker = Browser::new();
    let entry = away(&server, &mut attacker, "spa", "s").await;
    for lured_from in [Some("https://evil.example"), Some(""), None] {
        let planted = callback(&mut attacker, &entry).await;
        let mut victim = Browser::new();
        away(&server, &mut victim, "spa", "victim").await;
        let page = match lured_from {
            Some(site) => {
                victim.is_lured_to(site);
                victim.click(&planted).await
            }
            None => victim.get(&planted).await,
        };
        assert_eq!(page.status, 200, "{}", page.body);
        assert_eq!(page.text("h1").unwrap(), "Continue as Ann Lee?");
        assert_eq!(victim.session(&server), None);
        let back = page.attribute("main a", "href").unwrap();
        let other = victim.open(page.url.join(&back).unwrap()).await;
        assert!(other.is_login(), "{}", other.body);
        // The yes needs this browser's cookie, and this page's token.
        let (action, fields) = page.form(CONTINUE);
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let nobody = Browser::new().post(action.as_str(), &fields).await;
        assert_eq!(nobody.status, 400);
        let across = victim.post_cross_site(action.as_str(), &fields).await;
        assert_eq!(across.status, 400);
        let forged = victim.submit(&page, CONTINUE, &[("form_token", "x")]).await;
        assert_eq!(forged.status, 400);
        let elsewhere = server.url("/upstream/members/landing/Portico");
        assert_eq!(victim.post(&elsewhere, &fields).await.status, 400);
        assert_eq!(victim.session(&server), None);
        let done = victim.submit(&page, CONTINUE, &[]).await;
        assert_eq!(done.answer()["state"], "victim");
        assert!(done.answer().contains_key("code"));
        let again = victim.submit(&page, CONTINUE, &[]).await;
        assert_eq!(again.status, 200, "{}", again.body);
        let finished = "This sign-in is finished already";
        assert_eq!(again.text("h1").unwrap(), finished);
    }
}

/// A `state` that came back proves it, whatever the browser says; and whoever is signed in here as the same person need
/// not be asked.
#[tokio::test]
async fn a_returned_state_or_the_same_person_is_not_asked_about() {
    let server = TestServer::start().await;
    server
        .aim18
        .switch(|switches| switches.state = StateParameter::Echoed);
    let mut browser = Browser::new();
    let entry = away(&server, &mut browser, "spa", "s").await;
    let url = callback(&mut browser, &entry).await;
    assert!(browser.open(&url).await.answer().contains_key("code"));
    server.aim18.switch(|switches| {
        switches.state = StateParameter::Dropped;
        switches.remembers_login = false;
    });
    let again = server.authorize_url("spa", &[("prompt", "login")]);
    let page = browser.open(again).await;
    let entry = browser.submit(&page, TO_AIM18, &[]).await;
    let url = callback(&mut browser, &entry).await;
    assert!(browser.open(&url).await.answer().contains_key("code"));
}

/// T7: nothing that an upstream sends along leads anywhere but back to the flow.
#[tokio::test]
async fn a_callback_never_becomes_a_foreign_redirect() {
    let server = TestServer::start().await;
    for more in [
        "&redirect_uri=https%3A%2F%2Fevil.example&return_to=https%3A%2F%2Fevil.example&flow=x",
        "&error=%22%3E%3Cscript%3E",
        "&error=access_denied&error_uri=https%3A%2F%2Fevil.example",
        "&code=%22%3E%3Cscript%3E",
        "&state=%22%3E%3Cscript%3E",
    ] {
        let mut browser = Browser::new();
        let entry = away(&server, &mut browser, "spa", "s").await;
        let url = callback(&mut browser, &entry).await;
        let page = browser.get(format!("{url}{more}")).await;
        assert!(!page.body.contains("<script>"), "{more}: {}", page.body);
        if let Some(location) = page.location() {
            assert_eq!(location.path(), "/authorize/resume", "{more}");
            assert_eq!(location.origin().ascii_serialization(), server.issuer);
        }
    }
}

/// Whoever turns back at aiM18 finds the ways to log in again.
#[tokio::test]
async fn a_cancelled_login_comes_back_to_the_choice() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let entry = away(&server, &mut browser, "spa", "s").await;
    let cancel = [("action", "cancel")];
    let page = browser
        .submit(&entry, crate::harness::browser::PASSWORD_FORM, &cancel)
        .await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains("You turned back"), "{}", page.body);
    let entry = browser.submit(&page, TO_AIM18, &[]).await;
    let url = callback(&mut browser, &entry).await;
    let page = come_back(&server, &mut browser, &url).await;
    assert!(page.answer().contains_key("code"));
}

/// Away longer than a code or a flow is good for.
#[tokio::test]
async fn coming_back_too_late_is_told_and_can_be_done_again() {
    let server = TestServer::start().await;
    server
        .aim18
        .switch(|switches| switches.remembers_login = false);
    let mut browser = Browser::new();
    let entry = away(&server, &mut browser, "spa", "s").await;
    let url = callback(&mut browser, &entry).await;
    server.clock.advance(61);
    let page = browser.open(url).await;
    assert_eq!(page.status, 422, "aiM18 no longer knows the code");
    let entry = browser.submit(&page, TO_AIM18, &[]).await;
    let url = callback(&mut browser, &entry).await;
    server.clock.advance(15 * 60);
    assert!(is_away_page(&browser.open(url).await));
}

/// T26: iMIS gives tokens to its anonymous visitor, and we give none.
#[tokio::test]
async fn an_anonymous_visitor_of_imis_is_not_signed_in() {
    let server = TestServer::start().await;
    let names = ["Guest", "GUEST", "guest", "Anonymous", ""];
    for name in names {
        server.imis.switch(|switches| {
            switches.token_shape = TokenShape::Full;
            switches.guest_user_name = Some(name.to_owned());
        });
        let mut browser = Browser::new();
        let url = server.authorize_url("spa", &[]);
        let page = browser.log_in_as(url, people::GUEST).await;
        assert_eq!(page.status, 403, "{name}: {}", page.body);
        assert!(page.is_login());
        assert!(page.body.contains("cannot be used to sign in here"));
        assert!(page.body.contains(page.header("x-request-id")));
        assert_eq!(browser.session(&server), None);
        server.clock.advance(15 * 60);
    }
    let accounts: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM account")
        .fetch_one(&server.database.pool().await)
        .await
        .unwrap();
    assert_eq!(accounts, 0);
}

/// T31: the same address at both upstreams is two people; only the upstream's own id makes one.
#[tokio::test]
async fn people_are_told_apart_by_upstream_and_id_alone() {
    let server = TestServer::start().await;
    let subject = |page: Page| {
        let server = &server;
        async move {
            let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
            claims(tokens.text("id_token"))["sub"].clone()
        }
    };
    server
        .aim18
        .change(ANN_LEE.code, |person| person.email = JO_SMITH.email);
    let url = server.authorize_url("spa", &[]);
    let member = subject(Browser::new().log_in_as(&url, JO_SMITH).await).await;
    let employee = subject(Browser::new().log_in_at_aim18(&url, ANN_LEE).await).await;
    assert_ne!(member, employee);
    let other = subject(Browser::new().log_in_at_aim18(&url, BIG).await).await;
    assert_ne!(other, employee);
    // Renamed, with another address: still the same person.
    server.imis.change(JO_SMITH.username, |person| {
        person.username = "JMILLER";
        person.email = "jo.miller@example.org";
    });
    let renamed = people::ImisPerson {
        username: "JMILLER",
        ..JO_SMITH
    };
    let again = subject(Browser::new().log_in_as(&url, renamed).await).await;
    assert_eq!(again, member);
    // By redirect or with our form: one person of one upstream.
    let mut browser = Browser::new();
    let page = browser.open(&url).await;
    let page = browser
        .sign_in(&page, "staff", (ANN_LEE.code, ANN_LEE.password))
        .await;
    assert_eq!(subject(page).await, employee);
}

/// aiM18 compares the callback character by character; ours comes from the issuer and from nothing in the request.
#[tokio::test]
async fn a_callback_that_aim18_does_not_know_is_refused_there() {
    let server = TestServer::start().await;
    server.aim18.register(Application {
        callback: "https://elsewhere.example.org/".to_owned(),
        ..Application::demo()
    });
    let mut browser = Browser::new();
    browser
        .headers
        .push(("x-forwarded-host".into(), "elsewhere.example.org".into()));
    let page = away(&server, &mut browser, "spa", "s").await;
    assert_eq!(page.status, 400);
    let sent = page
        .url
        .query_pairs()
        .find(|(name, _)| name == "redirect_uri");
    assert_eq!(sent.unwrap().1, server.url("/upstream/staff/callback"));
}

/// Behind a proxy, aiM18 may live below a path.
#[tokio::test]
async fn an_aim18_below_a_path_logs_employees_in() {
    let mut server = TestServer::start().await;
    server
        .aim18
        .switch(|switches| switches.base_path = "/erp".to_owned());
    let key = format!("base_url = \"{}", server.aim18_url());
    server.edit_config(&key, &format!("{key}/erp"));
    server.restart().await;
    let url = server.authorize_url("spa", &[("scope", "openid profile")]);
    let page = Browser::new().log_in_at_aim18(url, ANN_LEE).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.body["name"], ANN_LEE.desc());
    let calls = server.aim18.log();
    assert!(calls.iter().all(|call| call.path.starts_with("/erp/jsf/")));
}
