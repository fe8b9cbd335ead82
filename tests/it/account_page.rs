//! The account page: what a person sees of their logins, sessions and apps, and ends; logins that no client asked for.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use portico::model::account::UpstreamSubject;
use portico::model::device::Device;
use portico::passwords::hash_password;
use portico::protocol::ids::UpstreamId;
use portico::protocol::secret::Secret;
use portico::simulator::people;
use portico::store::{LeadsTo, NewLink};

use crate::harness::browser::{Browser, Page};
use crate::harness::server::{START, TestServer};
use crate::harness::steps::SESSION;

const JO: (&str, &str) = (people::JO_SMITH.username, people::JO_SMITH.password);

/// A form of the account page, by its button.
fn form(action: &str) -> String {
    format!("form:has(button[value={action}])")
}

/// Presses the button of the first such form.
async fn press(browser: &mut Browser, page: &Page, action: &str) -> Page {
    browser
        .submit(page, &form(action), &[("action", action)])
        .await
}

/// Signs in on the account page.
async fn sign_in(server: &TestServer, browser: &mut Browser) -> Page {
    let page = browser.open(server.url("/account")).await;
    let page = browser.sign_in(&page, "members", JO).await;
    assert_eq!(page.url.path(), "/account", "{}", page.body);
    assert_eq!(page.status, 200);
    page
}

async fn offline_tokens(server: &TestServer, browser: &mut Browser) -> String {
    let scope = ("scope", "openid profile offline_access");
    let page = browser.open(server.authorize_url("spa", &[scope])).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    tokens.text("refresh_token").to_owned()
}

/// The same pages as for an app, ending here.
#[tokio::test]
async fn who_is_not_signed_in_signs_in_first() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser.open(server.url("/account")).await;
    assert!(page.is_login());
    assert_eq!(page.text("h1").unwrap(), "Sign in to your account");
    let wrong = browser.sign_in(&page, "members", (JO.0, "wrong")).await;
    assert_eq!(wrong.status, 422);
    let page = browser.sign_in(&wrong, "members", JO).await;
    assert_eq!(page.url.path(), "/account");
    assert_eq!(page.text("h1").unwrap(), "Your account");
    assert!(page.body.contains("You are signed in as Jo Smith."));
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(
        page.header("content-security-policy")
            .contains("script-src 'none'")
    );
    // By aiM18's own page, too.
    let mut browser = Browser::new();
    let page = browser
        .log_in_at_aim18(server.url("/account"), people::ANN_LEE)
        .await;
    assert!(
        page.body.contains("You are signed in as Ann Lee."),
        "{}",
        page.body
    );
}

/// T30: a flow of our own gives no code, and none of its values is an address (T7).
#[tokio::test]
async fn a_login_for_the_account_page_leads_there_and_nowhere_else() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    let page = browser
        .open(server.url("/account?return_to=https://evil.example/&next=//evil.example"))
        .await;
    let fields = [
        ("username", JO.0),
        ("password", JO.1),
        ("return_to", "https://evil.example/"),
    ];
    let page = browser.choose(&page, "members").await;
    let answer = browser
        .submit_only(&page, crate::harness::browser::PASSWORD_FORM, &fields)
        .await;
    let resume = answer.location().unwrap();
    assert_eq!(resume.path(), "/authorize/resume");
    let answer = browser.get(resume.as_str()).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), "/account");
    // The flow has ended: the back button finds a way on.
    let done = browser.get(resume.as_str()).await;
    assert_eq!(done.attribute("main a", "href").unwrap(), "/account");
}

/// T25: the login page of the account needs this browser's flow cookie, like every other.
#[tokio::test]
async fn the_login_of_the_account_page_needs_its_cookie() {
    let server = TestServer::start().await;
    let mut attacker = Browser::new();
    let page = attacker.open(server.url("/account")).await;
    let page = attacker.choose(&page, "members").await;
    let (action, fields) = page.form(crate::harness::browser::PASSWORD_FORM);
    let mut fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    fields.retain(|(name, _)| !matches!(*name, "username" | "password"));
    fields.extend([("username", JO.0), ("password", JO.1)]);
    let mut victim = Browser::new();
    let refused = victim.post(action.as_str(), &fields).await;
    assert_eq!(refused.status, 400);
    assert!(victim.cookie(&server, SESSION).is_none());
}

#[tokio::test]
async fn the_page_shows_logins_sessions_and_apps() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    sign_in(&server, &mut browser).await;
    offline_tokens(&server, &mut browser).await;
    server.clock.advance(7200);
    let mut other = Browser::new();
    sign_in(&server, &mut other).await;
    let page = other.open(server.url("/account")).await;
    for text in [
        "Member login",
        "Jo Smith",
        "(this browser)",
        "signed in: 2023-11-14 22:13 UTC",
        "signed in: 2023-11-15 00:13 UTC",
        "Browser app",
        "keep this access when you are not there",
    ] {
        assert!(
            page.text("main").unwrap().contains(text),
            "{text}: {}",
            page.body
        );
    }
    assert_eq!(START, 1_700_000_000, "the times above are this one's");
    assert_eq!(page.values("input[name=session]").len(), 2);
    // The only login is not offered to be removed.
    assert!(page.attribute("button[value=unlink]", "name").is_none());
    assert!(
        !page
            .body
            .contains(browser.session(&server).unwrap().as_str())
    );
}

/// The buttons of the page, by what each says to do.
fn buttons(page: &Page) -> BTreeSet<String> {
    page.attributes("form[action='/account'] button[name=action]", "value")
        .into_iter()
        .collect()
}

/// Those that the page can have.
fn all_buttons() -> BTreeSet<String> {
    let template = include_str!("../../templates/pages/account.html");
    template
        .split("name=\"action\" value=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect()
}

/// Posts the form of a button with another form token, or without.
async fn press_with(
    browser: &mut Browser,
    page: &Page,
    action: &str,
    form_token: Option<&str>,
) -> Page {
    let (url, mut fields) = page.form(&form(action));
    assert!(fields.remove("form_token").is_some(), "{action}");
    fields.extend(form_token.map(|token| ("form_token".to_owned(), token.to_owned())));
    fields.insert("action".to_owned(), action.to_owned());
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    browser.post(url.as_str(), &fields).await
}

/// A login within a session makes it another login, and no other session: first and last use are those of the session.
#[tokio::test]
async fn the_first_use_of_a_session_is_where_it_began() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    sign_in(&server, &mut browser).await;
    server.clock.advance(3600);
    let login = ("prompt", "login");
    let page = browser.open(server.authorize_url("spa", &[login])).await;
    assert!(page.is_login());
    let page = browser.sign_in(&page, "members", JO).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    let id_token = crate::harness::relying_party::claims(tokens.text("id_token"));
    assert_eq!(id_token["auth_time"], START + 3600);
    let page = browser.open(server.url("/account")).await;
    assert_eq!(
        page.values("input[name=session]"),
        [id_token["sid"].as_str().unwrap()]
    );
    let shown = page.text("main").unwrap();
    for text in [
        "signed in: 2023-11-14 22:13 UTC",
        "last used: 2023-11-14 23:13 UTC",
    ] {
        assert!(shown.contains(text), "{text}: {}", page.body);
    }
}

/// T14: every button of the page is bound to the session by its token; and a session of somebody else is not theirs to end
/// (T59).
#[tokio::test]
async fn a_form_that_the_page_did_not_make_for_this_session_is_refused() {
    let server = TestServer::start_with(|setup| {
        // Somewhere to have a login of that is not linked.
        let hash = hash_password(&Secret::new("admin-demo-1")).unwrap();
        setup.upstreams = format!(
            "[[upstreams]]\nid = \"local\"\nkind = \"users\"\n[[upstreams.people]]\nid = \"1\"\nusername = \"admin\"\n\
             password_hash = \"{hash}\"\n"
        );
    })
    .await;
    let mut jo = Browser::new();
    sign_in(&server, &mut jo).await;
    offline_tokens(&server, &mut jo).await;
    let account = server.store.list_accounts(10).await.unwrap().remove(0);
    let link = NewLink {
        tokens: None,
        into: &account.id,
        login: &UpstreamSubject {
            upstream: UpstreamId::new("staff"),
            subject: "uid:1".to_owned(),
        },
        leads_to: LeadsTo::Any,
        profile: None,
        same_upstream: false,
    };
    server.store.link_login(&link, START).await.unwrap();
    // Somebody else beside, and Jo in front.
    let select = [("prompt", "select_account")];
    let page = jo.open(server.authorize_url("spa", &select)).await;
    let page = jo.sign_in_as(&page, people::CHAIR).await;
    assert!(page.answer().contains_key("code"), "{}", page.body);
    let page = jo.open(server.url("/account")).await;
    let page = press(&mut jo, &page, "switch").await;
    assert!(page.body.contains("You are signed in as Jo Smith."));
    let shown = buttons(&page);
    assert_eq!(shown, all_buttons());
    assert!(
        shown.contains("add") && shown.contains("switch"),
        "{shown:?}"
    );

    let mut zoe = Browser::new();
    let hers = zoe.open(server.url("/account")).await;
    let hers = zoe.sign_in_as(&hers, people::ZOE).await;
    let token = page.attribute("input[name=form_token]", "value").unwrap();
    let her_token = hers.attribute("input[name=form_token]", "value").unwrap();
    let mut forged = token.clone();
    let last = forged.pop().unwrap();
    forged.insert(0, last);
    for action in &shown {
        for (what, form_token) in [
            ("without a token", None),
            ("with an empty token", Some("")),
            ("with a forged token", Some(forged.as_str())),
            ("with another session's token", Some(her_token.as_str())),
        ] {
            let refused = press_with(&mut jo, &page, action, form_token).await;
            assert_eq!(refused.status, 400, "{action} {what}");
        }
        let (url, mut fields) = page.form(&form(action));
        fields.insert("action".to_owned(), action.clone());
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let refused = jo.post_cross_site(url.as_str(), &fields).await;
        assert_eq!(refused.status, 400, "{action} across sites");
    }
    let url = server.url("/account");
    let unknown = [("action", "toString"), ("form_token", token.as_str())];
    assert_eq!(jo.post(&url, &unknown).await.status, 400);
    // Zoe's token is good for what is Zoe's.
    let session = page.values("section[aria-labelledby=sessions] input[name=session]");
    let fields = [
        ("action", "end_session"),
        ("session", session[0].as_str()),
        ("form_token", her_token.as_str()),
    ];
    assert_eq!(zoe.post(&url, &fields).await.status, 303);
    // Nothing has happened to Jo.
    let still = jo.open(&url).await;
    assert_eq!(still.comparable(), page.comparable());
}

#[tokio::test]
async fn another_session_is_ended_and_this_one() {
    let server = TestServer::start().await;
    let mut here = Browser::new();
    let mut there = Browser::new();
    sign_in(&server, &mut there).await;
    let refresh_token = offline_tokens(&server, &mut there).await;
    server.clock.advance(60);
    let page = sign_in(&server, &mut here).await;
    // The last used comes first: that is this browser's.
    let sessions = page.values("input[name=session]");
    assert_eq!(sessions.len(), 2);
    let fields = [("action", "end_session"), ("session", sessions[1].as_str())];
    let page = here.submit(&page, &form("end_session"), &fields).await;
    assert_eq!(page.values("input[name=session]"), sessions[..1]);
    assert!(there.open(server.url("/account")).await.is_login());
    // As after every logout: what has offline_access lives on, until it is ended by itself.
    assert_eq!(server.refresh("spa", &refresh_token).await.status, 200);

    let page = press(&mut here, &page, "end_session").await;
    assert_eq!(page.text("h1").unwrap(), "You are signed out");
    assert!(here.cookie(&server, SESSION).is_none());
    assert!(here.open(server.url("/account")).await.is_login());
}

#[tokio::test]
async fn signing_out_everywhere_ends_all_sessions_and_all_tokens() {
    let server = TestServer::start().await;
    let (mut here, mut there) = (Browser::new(), Browser::new());
    sign_in(&server, &mut there).await;
    let refresh_token = offline_tokens(&server, &mut there).await;
    let page = sign_in(&server, &mut here).await;
    let page = press(&mut here, &page, "end_all").await;
    assert_eq!(page.text("h1").unwrap(), "You are signed out");
    assert!(here.cookie(&server, SESSION).is_none());
    assert!(there.open(server.url("/account")).await.is_login());
    let refused = server.refresh("spa", &refresh_token).await;
    refused.assert_error(400, "invalid_grant");
}

#[tokio::test]
async fn the_access_of_an_app_is_ended_and_asked_for_anew() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    sign_in(&server, &mut browser).await;
    let refresh_token = offline_tokens(&server, &mut browser).await;
    let consent = browser.open(server.authorize_url("asking", &[])).await;
    let allow = [("decision", "allow")];
    let agreed = browser
        .submit(&consent, "form[action='/consent']", &allow)
        .await;
    assert!(agreed.answer().contains_key("code"));
    let page = browser.open(server.url("/account")).await;
    assert_eq!(page.values("input[name=client_id]"), ["asking", "spa"]);
    let fields = [("action", "end_app"), ("client_id", "asking")];
    let page = browser.submit(&page, &form("end_app"), &fields).await;
    assert_eq!(page.values("input[name=client_id]"), ["spa"]);
    let consent = browser.open(server.authorize_url("asking", &[])).await;
    assert_eq!(consent.url.path(), "/consent");
    let page = press(&mut browser, &page, "end_app").await;
    assert!(page.values("input[name=client_id]").is_empty());
    let refused = server.refresh("spa", &refresh_token).await;
    refused.assert_error(400, "invalid_grant");
    assert_eq!(page.text("h1").unwrap(), "Your account");
}

/// What a person sees there can act for them, and what cannot stands there no longer: not with a session that is over by the clock, nor
/// with refresh tokens that nobody has used for too long.
#[tokio::test]
async fn only_what_may_still_refresh_is_an_app_that_acts() {
    const DAY: i64 = 24 * 3600;
    let server = TestServer::start_with(|setup| {
        setup.sections += "[lifetimes]\nsession_idle = \"2h\"\n\
            persistent_session_idle = \"20d\"\nrefresh_idle = \"10d\"\n";
    })
    .await;
    let apps = async || {
        let mut browser = Browser::new();
        let page = sign_in(&server, &mut browser).await;
        page.values("input[name=client_id]")
    };
    let refresh_token = async |browser: &mut Browser, client: &str, scope: &str| {
        let url = server.authorize_url(client, &[("scope", scope)]);
        let page = browser.open(url).await;
        let tokens = server.redeem(client, &page.answer()["code"], &[]).await;
        tokens.text("refresh_token").to_owned()
    };
    let refused = async |client: &str, token: &str| {
        let answer = server.refresh(client, token).await;
        answer.assert_error(400, "invalid_grant");
    };
    let mut usual = Browser::new();
    sign_in(&server, &mut usual).await;
    let within = refresh_token(&mut usual, "web", "openid").await;
    let mut kept = Browser::new();
    let page = kept.open(server.url("/account")).await;
    let page = kept.choose(&page, "members").await;
    let fields = [
        ("username", JO.0),
        ("password", JO.1),
        ("keep_signed_in", "yes"),
    ];
    let form = crate::harness::browser::PASSWORD_FORM;
    let page = kept.submit(&page, form, &fields).await;
    assert_eq!(page.url.path(), "/account", "{}", page.body);
    let persistent = refresh_token(&mut kept, "spa", "openid").await;
    assert_eq!(apps().await, ["spa", "web"]);

    server.clock.advance(2 * 3600);
    assert_eq!(apps().await, ["spa"], "the other session is over");
    refused("web", &within).await;
    let offline = refresh_token(&mut kept, "web", "openid offline_access").await;
    let refreshed = server.refresh("spa", &persistent).await;
    let persistent = refreshed.text("refresh_token").to_owned();
    server.clock.advance(9 * DAY);
    assert_eq!(apps().await, ["spa", "web"]);
    let refreshed = server.refresh("web", &offline).await;
    let offline = refreshed.text("refresh_token").to_owned();
    server.clock.advance(DAY);
    assert_eq!(
        apps().await,
        ["web"],
        "the session stands, and nobody refreshed"
    );
    refused("spa", &persistent).await;
    server.clock.advance(9 * DAY);
    assert_eq!(apps().await, [""; 0]);
    refused("web", &offline).await;
}

/// An app that registered itself under names in several languages is called by the person's, as on every other page.
#[tokio::test]
async fn an_app_is_called_by_its_name_in_the_language_of_the_person() {
    let callback = "https://new.example.org/callback";
    let server = TestServer::start_with(|setup| {
        setup.sections.push_str("[registration]\nmode = \"open\"\n");
    })
    .await;
    let sent = serde_json::json!({
        "redirect_uris": [callback], "client_name": "Reading room", "client_name#fr": "Salle de lecture",
    });
    let request = crate::harness::browser::http_client().post(server.url("/register"));
    let registered = crate::harness::relying_party::answer(request.json(&sent)).await;
    let url = server.authorize_url(registered.text("client_id"), &[("redirect_uri", callback)]);
    let mut browser = Browser::new();
    let consent = browser.log_in_as(url, people::JO_SMITH).await;
    browser
        .submit(&consent, "form", &[("decision", "allow")])
        .await;
    for (language, name, other) in [
        ("fr", "Salle de lecture", "Reading room"),
        ("zh-TW", "Reading room", "Salle de lecture"),
        ("en", "Reading room", "Salle de lecture"),
    ] {
        browser.language = Some(language.to_owned());
        let page = browser.open(server.url("/account")).await;
        let apps = page.text("section[aria-labelledby=apps]").unwrap();
        assert!(!apps.contains(other), "{language}: {apps}");
        // As a name, and on the button.
        assert_eq!(apps.matches(name).count(), 2, "{language}: {apps}");
    }
}

/// The page speaks the four languages.
#[tokio::test]
async fn the_page_speaks_the_language_of_the_browser() {
    let server = TestServer::start().await;
    for (language, title) in [
        ("fr", "Votre compte"),
        ("zh-TW", "您的帳戶"),
        ("zh-CN", "您的账户"),
    ] {
        let mut browser = Browser::new();
        browser.language = Some(language.to_owned());
        let page = sign_in(&server, &mut browser).await;
        assert_eq!(page.text("h1").unwrap(), title);
    }
}

/// T31: closed by an administrator: the sessions are gone, and the right password does not help.
#[tokio::test]
async fn a_closed_account_is_told_so_and_stays_outside() {
    let server = TestServer::start().await;
    let mut browser = Browser::new();
    sign_in(&server, &mut browser).await;
    let accounts = server.store.list_accounts(10).await.unwrap();
    let closed = server.store.disable_account(&accounts[0].id, START).await;
    assert!(closed.unwrap().is_some());
    let page = browser.open(server.url("/account")).await;
    assert!(page.is_login());
    let page = browser.sign_in(&page, "members", JO).await;
    assert_eq!(page.status, 403);
    assert!(
        page.text("[role=alert]")
            .unwrap()
            .contains("You are known, but")
    );
    let app = browser.open(server.authorize_url("spa", &[])).await;
    assert!(app.is_login());
    let page = browser.sign_in(&app, "members", JO).await;
    assert_eq!(page.status, 403);
}

const LINKS: &str = "section[aria-labelledby=open] a";

/// OpenID Connect Core section 4: the apps that the person can use begin a login, which the session answers. T15: those
/// that would refuse them are not there, nor is what a stranger has registered.
#[tokio::test]
async fn the_apps_that_somebody_can_use_are_opened_from_there() {
    let callback = "https://new.example.org/callback";
    let server = TestServer::start_with(|setup| {
        setup.sections.push_str("[registration]\nmode = \"open\"\n");
        for (id, more) in [
            ("zebra", "client_name = \"Zebra\""),
            ("for-staff", "upstreams = [\"staff\"]"),
            ("for-nobody", "require_groups = [\"Nobody\"]"),
        ] {
            write!(
                setup.clients,
                "[[clients]]\nclient_id = \"{id}\"\ntoken_endpoint_auth_method = \"none\"\n\
                 initiate_login_uri = \"https://{id}.example.org/login?from=here\"\n\
                 redirect_uris = [\"https://{id}.example.org/callback\"]\n{more}\n"
            )
            .unwrap();
        }
    })
    .await;
    let iss: String = url::form_urlencoded::byte_serialize(server.issuer.as_bytes()).collect();
    let at = |host: &str| format!("https://{host}.example.org/login?from=here&iss={iss}");
    let sent = serde_json::json!({
        "redirect_uris": [callback], "client_name": "A new app",
        "initiate_login_uri": "https://new.example.org/login?from=here",
    });
    let request = crate::harness::browser::http_client().post(server.url("/register"));
    let registered = crate::harness::relying_party::answer(request.json(&sent)).await;
    assert_eq!(registered.status, 201, "{registered:?}");

    let mut browser = Browser::new();
    let page = sign_in(&server, &mut browser).await;
    assert_eq!(page.attributes(LINKS, "href"), [at("zebra")]);
    assert_eq!(page.text(LINKS).unwrap(), "Open Zebra");
    let answer = browser.get(server.authorize_url("zebra", &[])).await;
    assert!(answer.answer().contains_key("code"), "{}", answer.body);

    // One that registered itself is there as long as the person agrees to it, and says where it leads.
    let url = server.authorize_url(registered.text("client_id"), &[("redirect_uri", callback)]);
    let consent = browser.open(url).await;
    browser
        .submit(&consent, "form", &[("decision", "allow")])
        .await;
    let page = browser.open(server.url("/account")).await;
    assert_eq!(page.attributes(LINKS, "href"), [at("new"), at("zebra")]);
    assert_eq!(
        page.text("section[aria-labelledby=open] small").unwrap(),
        "new.example.org"
    );
    let page = press(&mut browser, &page, "end_app").await;
    assert_eq!(page.attributes(LINKS, "href"), [at("zebra")]);

    let mut staff = Browser::new();
    let page = staff
        .log_in_at_aim18(server.url("/account"), people::ANN_LEE)
        .await;
    assert_eq!(
        page.attributes(LINKS, "href"),
        [at("for-staff"), at("zebra")]
    );
}

/// A person knows their sessions by the browser and the address; what the browser calls itself is never shown (T52), and
/// only a named proxy says what the address is (T56).
#[tokio::test]
async fn a_session_is_shown_with_its_browser_and_address_until_it_ends() {
    let server = TestServer::start_with(|setup| {
        setup.server.push_str("trusted_proxies = [\"127.0.0.1\"]\n");
    })
    .await;
    let mut browser = Browser::new();
    let firefox = "Mozilla/5.0 (Windows NT 10.0; rv:143.0) <b>evil</b> Firefox/143.0";
    browser.headers = vec![
        ("user-agent".to_owned(), firefox.to_owned()),
        ("x-forwarded-for".to_owned(), "192.0.2.7".to_owned()),
    ];
    let page = sign_in(&server, &mut browser).await;
    let shown = page.text("section[aria-labelledby=sessions] li").unwrap();
    assert!(shown.contains("Firefox on Windows"), "{shown}");
    assert!(shown.contains("address: 192.0.2.7"), "{shown}");
    assert!(!page.body.contains("evil"), "{}", page.body);
    // Where the session is used later does not matter, where its person logs in again does.
    browser.headers[1].1 = "192.0.2.8".to_owned();
    let page = browser.open(server.url("/account")).await;
    assert!(page.body.contains("192.0.2.7"), "{}", page.body);
    let again = server.authorize_url("spa", &[("prompt", "login")]);
    let page = browser.open(again).await;
    browser.sign_in(&page, "members", JO).await;
    let page = browser.open(server.url("/account")).await;
    assert!(page.body.contains("192.0.2.8") && !page.body.contains("192.0.2.7"));
    let account = &server.store.list_accounts(10).await.unwrap()[0].id;
    let sessions = server.store.list_sessions(account, START).await.unwrap();
    press(&mut browser, &page, "end_session").await;
    let ended = server.store.find_session(&sessions[0].id).await.unwrap();
    assert_eq!(ended.unwrap().device, Device::default());
}
