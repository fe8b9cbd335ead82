//! The password form: whom it signs in, what it tells (T32), how often it may be tried (T33, T34), and what stands
//! between it and another browser (T24, T25, T30).

use portico::passwords::hash_password;
use portico::protocol::secret::Secret;
use portico::simulator::people::{self, AccountState, JO_SMITH, ZOE};

use crate::harness::browser::{Browser, PASSWORD_FORM, Page};
use crate::harness::relying_party::claims;
use crate::harness::server::TestServer;
use crate::harness::steps::{FLOW, SESSION};
use crate::refresh::join_all;

/// One try of a person at the iMIS form, in a fresh browser.
async fn attempt(server: &TestServer, username: &str, password: &str) -> Page {
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    browser
        .sign_in(&page, "members", (username, password))
        .await
}

/// How many passwords iMIS was asked about.
fn forwarded(server: &TestServer) -> usize {
    let log = server.imis.log();
    log.iter()
        .filter(|request| request.path == "/token")
        .count()
}

/// The password form of a flow in `browser`.
async fn form_in(server: &TestServer, browser: &mut Browser) -> Page {
    let page = browser.open(server.authorize_url("spa", &[])).await;
    browser.choose(&page, "members").await
}

const RIGHT: [(&str, &str); 2] = [
    ("username", JO_SMITH.username),
    ("password", JO_SMITH.password),
];

/// T32: the page does not tell who exists, nor what state an account is in.
#[tokio::test]
async fn every_refusal_is_the_same_page() {
    let server = TestServer::start().await;
    let unknown = attempt(&server, "nobody", "some password").await;
    assert_eq!(unknown.status, 422);
    assert!(unknown.is_login());
    let text = unknown.text("[role=alert]").unwrap();
    assert!(
        text.contains("The user name or password is not right"),
        "{text}"
    );
    let typed = unknown.attribute("input[name=username]", "value");
    assert_eq!(typed.as_deref(), Some("nobody"), "nobody types it again");
    assert_eq!(unknown.attribute("input[name=password]", "value"), None);
    let multi_factor = people::MULTI_FACTOR;
    for (username, password) in [
        (JO_SMITH.username, "wrong"),
        (JO_SMITH.username, ""),
        ("nobody", ""),
        (people::LOCKED.username, people::LOCKED.password),
        (people::DISABLED.username, people::DISABLED.password),
        (
            people::LOGIN_EXPIRED.username,
            people::LOGIN_EXPIRED.password,
        ),
        (
            people::PASSWORD_EXPIRED.username,
            people::PASSWORD_EXPIRED.password,
        ),
        (people::OIDC_ONLY.username, people::OIDC_ONLY.password),
        (multi_factor.username, multi_factor.password),
    ] {
        let page = attempt(&server, username, password).await;
        assert_eq!(page.status, unknown.status, "{username}");
        assert_eq!(page.comparable(), unknown.comparable(), "{username}");
        assert_eq!(page.headers.len(), unknown.headers.len(), "{username}");
    }
    // Throttled: the right password gets the same page, too.
    for _ in 0..10 {
        attempt(&server, JO_SMITH.username, "wrong").await;
    }
    let page = attempt(&server, JO_SMITH.username, JO_SMITH.password).await;
    assert_eq!(page.status, unknown.status);
    assert_eq!(page.comparable(), unknown.comparable());
}

/// T34, with the defaults of both: nobody can lock a member out of iMIS from here.
#[tokio::test]
async fn a_guesser_does_not_lock_the_account_at_the_upstream() {
    let server = TestServer::start().await;
    for _ in 0..30 {
        attempt(&server, JO_SMITH.username, "wrong").await;
    }
    let jo = server.imis.person(JO_SMITH.username).unwrap();
    assert_eq!(jo.state, AccountState::Active);
    server.clock.advance(15 * 60);
    let page = attempt(&server, JO_SMITH.username, JO_SMITH.password).await;
    assert!(page.answer().contains_key("code"));
}

/// T33: every spelling that iMIS may take for the same person counts for the same person.
#[tokio::test]
async fn every_spelling_of_a_name_is_counted_together() {
    let server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 3\n".to_owned();
    })
    .await;
    for spelling in [
        "jsmith",
        "JSMITH",
        " JSmith ",
        "ＪＳＭＩＴＨ",
        "jsmith\u{a0}",
        "jſmith",
        "\tjsmith",
    ] {
        assert_eq!(attempt(&server, spelling, "wrong").await.status, 422);
    }
    assert_eq!(forwarded(&server), 3);
    let other = attempt(&server, ZOE.username, ZOE.password).await;
    assert!(
        other.answer().contains_key("code"),
        "others are not held up"
    );
}

/// T33: spellings that only a database takes for one name, and a success at one of which clears nothing of another's.
#[tokio::test]
async fn spellings_that_a_collation_holds_equal_are_counted_together() {
    let server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 3\n".to_owned();
    })
    .await;
    for spelling in [
        "jessmith",
        "jeßmith",
        "jessmith😀",
        "jessmith\u{e000}",
        "jessmit𝐡",
        "jessmith𝐚",
    ] {
        assert_eq!(attempt(&server, spelling, "wrong").await.status, 422);
    }
    assert_eq!(forwarded(&server), 3);
}

/// T34: the attempt is counted before it is forwarded.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_attempts_at_once_no_more_than_the_limit_reach_imis() {
    let server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 3\n".to_owned();
    })
    .await;
    let pages = join_all((0..50).map(|_| attempt(&server, "jsmith", "wrong"))).await;
    assert!(pages.iter().all(|page| page.status == 422));
    assert_eq!(forwarded(&server), 3);
}

/// T34: two bursts at the seam of two windows are still one burst to iMIS.
#[tokio::test]
async fn the_window_has_no_seam_to_guess_at() {
    let server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 3\n".to_owned();
    })
    .await;
    attempt(&server, "jsmith", "wrong").await;
    server.clock.advance(15 * 60 - 1);
    for _ in 0..5 {
        attempt(&server, "jsmith", "wrong").await;
    }
    server.clock.advance(1);
    for _ in 0..5 {
        attempt(&server, "jsmith", "wrong").await;
    }
    assert_eq!(forwarded(&server), 3);
    server.clock.advance(15 * 60 - 1);
    attempt(&server, "jsmith", "wrong").await;
    assert_eq!(forwarded(&server), 4, "a quiet quarter of an hour opens it");
}

#[tokio::test]
async fn success_forgets_the_failures() {
    let server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 3\n".to_owned();
    })
    .await;
    for _ in 0..3 {
        for _ in 0..2 {
            attempt(&server, "jsmith", "wrong").await;
        }
        let page = attempt(&server, "jsmith", JO_SMITH.password).await;
        assert!(page.answer().contains_key("code"));
    }
}

/// One address cannot try one password on everybody; and a good account among them opens nothing.
#[tokio::test]
async fn an_address_has_a_limit_over_all_names() {
    let server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 1\n\
                          max_attempts_per_address = 4\n"
            .to_owned();
    })
    .await;
    for name in 0..6 {
        attempt(&server, &format!("name{name}"), "wrong").await;
        if name == 1 {
            let page = attempt(&server, ZOE.username, ZOE.password).await;
            assert!(page.answer().contains_key("code"));
        }
    }
    assert_eq!(forwarded(&server), 4 + 1);
}

/// T48: what no user name or password can be is not asked about.
#[tokio::test]
async fn what_is_empty_or_too_long_is_told_and_not_forwarded() {
    let server = TestServer::start().await;
    let missing = attempt(&server, "  ", "password").await;
    assert_eq!(missing.status, 400);
    assert!(missing.is_login());
    for (username, password) in [("jo", "p".repeat(1025)), ("jo", String::new())] {
        let page = attempt(&server, username, &password).await;
        assert!(page.is_login());
        assert!(!page.body.contains("pppp"));
    }
    let page = attempt(&server, &"j".repeat(257), "password").await;
    assert_eq!(page.status, 400);
    assert_eq!(forwarded(&server), 0);
}

/// T24: the cookie that was there before means nothing afterwards, whoever put it there.
#[tokio::test]
async fn the_session_cookie_is_new_at_each_login() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    browser.set_cookie("127.0.0.1", SESSION, "planted-by-somebody-else");
    let page = browser
        .log_in_as(server.authorize_url("spa", &[]), JO_SMITH)
        .await;
    assert!(page.answer().contains_key("code"));
    let mut cookies = vec![
        "planted-by-somebody-else".to_owned(),
        browser.session(&server).unwrap(),
    ];
    for person in [JO_SMITH, ZOE] {
        let page = browser
            .open(server.authorize_url("spa", &[("prompt", "login")]))
            .await;
        browser.sign_in_as(&page, person).await;
        let current = browser.session(&server).unwrap();
        assert!(!cookies.contains(&current));
        let silent = server.authorize_url("spa", &[("prompt", "none")]);
        for dead in &cookies {
            let mut stale = Browser::new();
            stale.set_cookie("127.0.0.1", SESSION, dead);
            let answer = stale.get(&silent).await.answer();
            assert_eq!(answer["error"], "login_required");
        }
        assert!(browser.get(&silent).await.answer().contains_key("code"));
        cookies.push(current);
    }
}

/// T25: a login that this browser did not begin signs it in to nothing.
#[tokio::test]
async fn a_login_form_needs_the_browsers_own_flow() {
    let server = TestServer::start().await;
    let mut attacker = Browser::new();
    let form = form_in(&server, &mut attacker).await;
    let mut victim = Browser::new();
    let page = victim.submit_only(&form, PASSWORD_FORM, &RIGHT).await;
    assert_eq!(page.status, 400, "{}", page.body);
    assert_eq!(victim.session(&server), None);
    // With a flow of its own, but the attacker's form.
    let own = form_in(&server, &mut victim).await;
    let foreign = form.attribute("input[name=form_token]", "value").unwrap();
    for token in [foreign.as_str(), "", "nonsense"] {
        let mut fields = RIGHT.to_vec();
        fields.push(("form_token", token));
        let page = victim.submit_only(&own, PASSWORD_FORM, &fields).await;
        assert_eq!(page.status, 400, "{token:?}: {}", page.body);
        assert_eq!(page.location(), None);
        assert_eq!(victim.session(&server), None);
    }
    assert_eq!(forwarded(&server), 0, "the password went nowhere");
    let (_, fields) = own.form(PASSWORD_FORM);
    let flow = fields["flow"].as_str();
    let bare = [("flow", flow), RIGHT[0], RIGHT[1], ("upstream", "members")];
    let page = victim.post(server.url("/login"), &bare).await;
    assert_eq!(page.status, 400, "no form_token at all");
    let page = victim.post_cross_site(server.url("/login"), &bare).await;
    assert_eq!(page.status, 400, "no cookie at all");
}

/// T15: the client's upstreams hold against the form, and not only on the page.
#[tokio::test]
async fn an_upstream_that_the_client_does_not_serve_is_refused() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("staff-app", &[])).await;
    let form = browser.choose(&page, "staff").await;
    for upstream in ["members", "nowhere", ""] {
        let mut fields = RIGHT.to_vec();
        fields.push(("upstream", upstream));
        let page = browser.submit(&form, PASSWORD_FORM, &fields).await;
        assert_eq!(page.status, 400, "{upstream}");
        assert_eq!(browser.session(&server), None);
    }
    assert_eq!(forwarded(&server), 0);
}

/// T30: what the client asked for travels sealed.
#[tokio::test]
async fn a_flow_cookie_that_was_changed_or_moved_is_no_flow() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let one = form_in(&server, &mut browser).await;
    let two = form_in(&server, &mut browser).await;
    let name = |page: &Page| format!("{FLOW}{}", page.flow());
    let value = |page: &Page| browser.cookie(&server, &name(page)).unwrap().value.clone();
    let (good, other) = (value(&one), value(&two));
    let (time, sealed) = good.split_once('.').unwrap();
    let elsewhere = TestServer::start_with(|setup| {
        setup.master_key = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=".to_owned();
    })
    .await;
    let mut changed = vec![
        other,
        format!("{time}.{}", &sealed[1..]),
        format!("{time}.{sealed}A"),
        format!("{time}."),
        sealed.to_owned(),
        String::new(),
        format!("{time}.row.nonsense"),
    ];
    for position in [0, 6, 10, 30, sealed.len() / 2, sealed.len() - 2] {
        let mut bytes = sealed.to_owned().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        changed.push(format!("{time}.{}", String::from_utf8(bytes).unwrap()));
    }
    for value in changed {
        let mut tampered = Browser::new();
        tampered.set_cookie("127.0.0.1", &name(&one), &value);
        let page = tampered.submit_only(&one, PASSWORD_FORM, &RIGHT).await;
        assert_eq!(page.status, 400, "{value}");
        assert!(
            page.body.contains("no longer open in this browser"),
            "{value}"
        );
        assert_eq!(tampered.session(&server), None);
    }
    // The cookie of a server with another master key: same client, same shape.
    let mut stranger = Browser::new();
    let form = form_in(&elsewhere, &mut stranger).await;
    let page = stranger
        .get(server.url(&format!("/login?flow={}", form.flow())))
        .await;
    assert_eq!(page.status, 400);
    assert!(
        browser
            .submit(&one, PASSWORD_FORM, &RIGHT)
            .await
            .answer()
            .contains_key("code")
    );
}

/// T30: parameters beside a running flow change nothing of it.
#[tokio::test]
async fn nothing_of_the_request_can_be_changed_on_the_way() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser.open(server.authorize_url("spa", &[])).await;
    let more = "response_type=token&redirect_uri=https%3A%2F%2Fevil.example&scope=openid+email\
                &state=other&client_id=web&response_mode=fragment&nonce=other";
    let resume = format!("/authorize/resume?flow={}&{more}", page.flow());
    let page = browser.open(server.url(&resume)).await;
    assert!(page.is_login());
    let mut form = browser.choose(&page, "members").await;
    form.url
        .set_query(Some(&format!("{}&{more}", form.url.query().unwrap())));
    let mut fields = RIGHT.to_vec();
    fields.extend([
        ("redirect_uri", "https://evil.example"),
        ("response_type", "token"),
        ("scope", "openid email"),
        ("return_to", "https://evil.example"),
        ("next", "https://evil.example"),
    ]);
    let page = browser.submit(&form, PASSWORD_FORM, &fields).await;
    let location = page.location().unwrap();
    assert!(
        location
            .as_str()
            .starts_with("https://spa.example.org/callback?")
    );
    assert_eq!(page.answer()["state"], "the-state");
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    assert_eq!(tokens.body["scope"], "openid");
    assert_eq!(claims(tokens.text("id_token"))["nonce"], "the-nonce");
}

/// Breaking the glass: the people of the config file log in while iMIS and aiM18 are away.
#[tokio::test]
async fn people_of_the_config_file_log_in_when_the_upstreams_are_away() {
    let hash = hash_password(&Secret::new("break the glass")).unwrap();
    let server = TestServer::start_with(|setup| {
        setup.upstreams = format!(
            "[[upstreams]]\nid = \"local\"\nkind = \"users\"\nlabel = \"Emergency\"\n\
             [[upstreams.people]]\nid = \"1\"\nusername = \"Admin\"\npassword_hash = \"{hash}\"\n\
             name = \"Ada Admin\"\n"
        );
    })
    .await;
    server.imis.fail("", portico::simulator::Fault::Status(503));
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[("scope", "openid profile")]);
    let page = browser.open(&url).await;
    let refused = browser.sign_in(&page, "local", ("admin", "wrong")).await;
    assert_eq!(refused.status, 422);
    let page = browser
        .sign_in(&refused, "local", ("ADMIN", "break the glass"))
        .await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    assert_eq!(userinfo.body["name"], "Ada Admin");
    assert_eq!(
        claims(tokens.text("id_token"))["amr"],
        serde_json::json!(["pwd"])
    );
}

/// T33, T34: one person's user name and email address have one count between them, once the person has logged in.
#[tokio::test]
async fn all_names_of_one_person_are_counted_together() {
    let server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 3\n".to_owned();
    })
    .await;
    let guess = async || {
        for _ in 0..3 {
            for name in ["jsmith", JO_SMITH.email] {
                assert_eq!(attempt(&server, name, "wrong").await.status, 422);
            }
        }
    };
    // Nobody knows yet that the two are one person's.
    guess().await;
    assert_eq!(forwarded(&server), 6);
    server.clock.advance(15 * 60);
    let jo = attempt(&server, "jsmith", JO_SMITH.password).await;
    assert!(jo.answer().contains_key("code"));
    server.imis.clear_log();
    guess().await;
    assert_eq!(forwarded(&server), 3);
    // Who logs in opens the way again.
    server.clock.advance(15 * 60);
    let jo = attempt(&server, "jsmith", JO_SMITH.password).await;
    assert!(jo.answer().contains_key("code"));
}

/// T34: whoever has somebody else's address written into their own record wins nothing: it counts for itself, too, and their
/// own login forgets nothing of it.
#[tokio::test]
async fn a_borrowed_address_gives_no_more_attempts() {
    let server = TestServer::start_with(|setup| {
        setup.sections = "[login]\nrefusal_floor = \"0s\"\nmax_attempts = 3\n".to_owned();
    })
    .await;
    server
        .imis
        .change(ZOE.username, |person| person.email = JO_SMITH.email);
    for round in 0..3 {
        let zoe = attempt(&server, ZOE.username, ZOE.password).await;
        // Later she meets the count that she has spoilt herself.
        assert_eq!(zoe.status, if round == 0 { 303 } else { 422 });
        for _ in 0..3 {
            attempt(&server, JO_SMITH.email, "wrong").await;
        }
    }
    // Of Jo's address no more was tried than ever.
    let log = server.imis.log();
    let tried = log.iter().filter(|request| {
        request.path == "/token" && request.parameter("username").as_deref() == Some(JO_SMITH.email)
    });
    assert_eq!(tried.count(), 3);
}

/// OpenID Connect Core section 3.1.2.6: whoever turns back is no dead end for the app; a session that there is goes on.
#[tokio::test]
async fn the_app_is_told_that_the_person_turned_back() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    browser
        .log_in_as(server.authorize_url("web", &[]), JO_SMITH)
        .await;
    let url = server.authorize_url("spa", &[("prompt", "login")]);
    let page = browser.open(url).await;
    let cancel = "form:has(button[value=cancel])";
    let fields = [("action", "cancel")];
    let foreign = browser
        .submit_only(&page, cancel, &[("action", "cancel"), ("form_token", "x")])
        .await;
    assert_eq!(foreign.status, 400);
    let answered = browser.submit_only(&page, cancel, &fields).await;
    assert_eq!(answered.status, 303);
    let answer = answered.answer();
    assert_eq!(answer["error"], "access_denied");
    assert_eq!(answer["state"], "the-state");
    assert_eq!(answer["iss"], server.issuer);
    assert!(!answer.contains_key("code"));
    let again = browser.submit_only(&page, cancel, &fields).await;
    assert_ne!(again.status, 303, "it is answered once");
    let silent = browser
        .get(server.authorize_url("web", &[("prompt", "none")]))
        .await;
    assert!(silent.answer().contains_key("code"));
    // Nobody waits for a login at the account page.
    let page = Browser::new().open(server.url("/account")).await;
    assert!(page.attribute("button[value=cancel]", "value").is_none());
}
