//! Whether people are still who they were, asked anew at a refresh and when a session serves one more client (T15).

use portico::passwords::hash_password;
use portico::protocol::secret::Secret;
use portico::simulator::people::{ANN_LEE, JO_SMITH, SERVICE};

use crate::harness::browser::{Browser, Page, http_client};
use crate::harness::relying_party::Answer;
use crate::harness::server::TestServer;
use crate::harness::steps::at_node;
use crate::refresh::{join_all, live_families};

pub(crate) const PASSWORD: &str = "kims-password";
const OFFLINE: &str = "openid email offline_access";
/// Kim, as the config has them.
const KIM: &str =
    "id = \"1\"\nusername = \"kim\"\nemail = \"kim@example.org\"\nemail_verified = true\n";

/// An upstream `local` of people in the config, with these keys.
pub(crate) fn people_of_the_config(upstream: &str) -> String {
    let hash = hash_password(&Secret::new(PASSWORD)).unwrap();
    format!(
        "[[upstreams]]\nid = \"local\"\nkind = \"users\"\n{upstream}\n\
         [[upstreams.people]]\npassword_hash = \"{hash}\"\n{KIM}\n\
         [[upstreams.people]]\npassword_hash = \"{hash}\"\nid = \"2\"\nusername = \"lee\"\n"
    )
}

/// A server with people in its config, and an app for those whose address is verified.
async fn server_with(upstream: &str) -> TestServer {
    TestServer::start_with(|setup| {
        setup.upstreams = people_of_the_config(upstream);
        setup.clients = "[[clients]]\nclient_id = \"vip\"\nclient_name = \"Vip app\"\n\
             token_endpoint_auth_method = \"none\"\n\
             redirect_uris = [\"https://vip.example.org/callback\"]\n\
             grant_types = [\"authorization_code\", \"refresh_token\"]\n\
             scope = \"openid email offline_access\"\n\
             require_claims = { email_verified = true }\n"
            .to_owned();
    })
    .await
}

async fn server() -> TestServer {
    server_with("").await
}

impl TestServer {
    /// Changes what is known of Kim.
    async fn change_kim(&mut self, from: &str, to: &str) {
        self.edit_config(from, to);
        self.restart().await;
    }
}

async fn log_in(server: &TestServer, browser: &mut Browser, client: &str, who: &str) -> Page {
    let url = server.authorize_url(client, &[("scope", OFFLINE)]);
    let page = browser.open(url).await;
    browser.sign_in(&page, "local", (who, PASSWORD)).await
}

async fn kim(server: &TestServer, client: &str) -> (Browser, Answer) {
    let mut browser = Browser::new();
    let page = log_in(server, &mut browser, client, "kim").await;
    let tokens = server.redeem(client, &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    (browser, tokens)
}

/// What a node has counted.
pub(crate) async fn asked(server: &TestServer) -> i64 {
    let url = format!("http://{}/metrics", server.internal);
    let text = http_client().get(url).send().await.unwrap();
    let text = text.text().await.unwrap();
    let lines = text.lines();
    lines
        .filter(|line| line.starts_with("portico_rechecks_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap())
        .sum()
}

/// T15, T17: the person is gone where they come from.
#[tokio::test]
async fn somebody_whom_the_upstream_no_longer_knows_is_out_at_the_next_refresh() {
    let mut server = server().await;
    let (mut browser, tokens) = kim(&server, "spa").await;
    let (_, elsewhere) = kim(&server, "web").await;
    server.change_kim("id = \"1\"", "id = \"3\"").await;
    server.clock.advance(299);
    let early = server.refresh("spa", tokens.text("refresh_token")).await;
    assert_eq!(early.status, 200, "what is known is good for five minutes");
    server.clock.advance(1);
    let late = server.refresh("spa", early.text("refresh_token")).await;
    late.assert_error(400, "invalid_grant");

    assert_eq!(live_families(&server).await, 0, "everywhere, offline too");
    let other = server.refresh("web", elsewhere.text("refresh_token")).await;
    other.assert_error(400, "invalid_grant");
    let userinfo = server.userinfo(early.text("access_token")).await;
    assert_eq!(userinfo.status, 401);
    let silent = server.authorize_url("web", &[("prompt", "none")]);
    let page = browser.get(silent).await;
    assert_eq!(page.answer()["error"], "login_required");

    // Known again: by a login of theirs, and not by what they had.
    server.change_kim("id = \"3\"", "id = \"1\"").await;
    let old = server.refresh("spa", early.text("refresh_token")).await;
    old.assert_error(400, "invalid_grant");
    let (_, again) = kim(&server, "spa").await;
    server.clock.advance(300);
    let refreshed = server.refresh("spa", again.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
}

/// T15: on session reuse too.
#[tokio::test]
async fn a_session_does_not_serve_one_more_client_for_somebody_who_is_gone() {
    let mut server = server().await;
    for silent in [true, false] {
        let (mut browser, _) = kim(&server, "spa").await;
        server.change_kim("id = \"1\"", "id = \"3\"").await;
        let web = server.authorize_url("web", &[]);
        let page = browser.get(&web).await;
        assert!(page.answer().contains_key("code"), "within five minutes");
        server.clock.advance(300);
        if silent {
            let page = browser
                .get(server.authorize_url("web", &[("prompt", "none")]))
                .await;
            assert_eq!(page.answer()["error"], "login_required");
        } else {
            let page = browser.open(&web).await;
            assert!(page.is_login(), "{page:?}");
        }
        assert_eq!(live_families(&server).await, 0);
        server.change_kim("id = \"3\"", "id = \"1\"").await;
    }
}

#[tokio::test]
async fn what_the_upstream_tells_now_is_what_apps_hear_after_a_refresh() {
    let mut server = server().await;
    let (_, tokens) = kim(&server, "spa").await;
    server
        .change_kim("kim@example.org", "kim.roe@example.org")
        .await;
    server.clock.advance(300);
    let refreshed = server.refresh("spa", tokens.text("refresh_token")).await;
    let userinfo = server.userinfo(refreshed.text("access_token")).await;
    assert_eq!(userinfo.body["email"], "kim.roe@example.org");
}

/// Once an interval, whichever client and node asks; and "0s" is every time, "never" never.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_interval_has_one_question_for_all_clients_and_nodes() {
    let mut server = server().await;
    let other = server.add_node().await;
    let mut tokens = Vec::new();
    for client in ["spa", "spa", "spa", "vip", "vip"] {
        let (_, answer) = kim(&server, client).await;
        tokens.push((client, answer.text("refresh_token").to_owned()));
    }
    server.clock.advance(300);
    let tabs = tokens
        .iter()
        .map(|(client, token)| server.refresh(client, token));
    for answer in join_all(tabs).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(asked(&server).await, 1);
    // The other node asks; this one knows what it heard.
    server.clock.advance(300);
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", "spa"),
        ("refresh_token", "x"),
    ];
    let (_, fresh) = kim(&server, "spa").await;
    server.clock.advance(300);
    let mut form = form.to_vec();
    form[2].1 = fresh.text("refresh_token");
    let request = http_client().post(at_node(other, &server.url("/token")));
    let there = request.form(&form).send().await.unwrap();
    assert_eq!(there.status(), 200);
    let here = server.refresh("spa", fresh.text("refresh_token")).await;
    assert_eq!(here.status, 200);
    assert_eq!(asked(&server).await, 1);
}

#[tokio::test]
async fn every_time_and_never_are_what_they_say() {
    for (recheck, times) in [("0s", 4), ("never", 0)] {
        let server = server_with(&format!("recheck = \"{recheck}\"\n")).await;
        // Once for the code, and at each refresh.
        let (_, tokens) = kim(&server, "spa").await;
        let mut token = tokens.text("refresh_token").to_owned();
        for _ in 0..3 {
            let next = server.refresh("spa", &token).await;
            next.text("refresh_token").clone_into(&mut token);
            server.clock.advance(86_400 / 4);
        }
        assert_eq!(asked(&server).await, times, "{recheck}");
    }
}

/// T15: what the app asks of its people holds at the login, the code, the refresh and the use of a session; and a refused
/// refresh has spent nothing.
#[tokio::test]
async fn an_app_that_requires_a_claim_is_closed_to_those_who_lose_it() {
    let mut server = server_with("recheck = \"0s\"\n").await;
    let (mut browser, vip) = kim(&server, "vip").await;
    let (_, spa) = kim(&server, "spa").await;
    let code = log_in(&server, &mut Browser::new(), "vip", "kim").await;
    let code = code.answer()["code"].clone();
    let (had, lost) = ("email_verified = true\n", "email_verified = false\n");
    server.change_kim(had, lost).await;

    let refused = server.redeem("vip", &code, &[]).await;
    refused.assert_error(400, "invalid_grant");
    let refused = server.refresh("vip", vip.text("refresh_token")).await;
    refused.assert_error(400, "invalid_grant");
    let open = server.refresh("spa", spa.text("refresh_token")).await;
    assert_eq!(open.status, 200, "{open:?}");
    let userinfo = server.userinfo(open.text("access_token")).await;
    assert_eq!(userinfo.body["email_verified"], false);

    // What it got before is worth nothing here either, as soon as somebody has told us.
    let token = vip.text("access_token");
    assert_eq!(server.userinfo(token).await.status, 401);
    let request = http_client().post(server.url("/introspect"));
    let told = server.send_as(request, "vip", &[("token", token)]).await;
    assert_ne!(told.body["active"], true, "{told:?}");

    let silent = server.authorize_url("vip", &[("prompt", "none")]);
    let page = browser.get(silent).await;
    assert_eq!(page.answer()["error"], "access_denied");
    assert_eq!(page.answer()["state"], "the-state");

    server.change_kim(lost, had).await;
    let again = server.refresh("vip", vip.text("refresh_token")).await;
    assert_eq!(again.status, 200, "the token was not spent: {again:?}");
}

/// T15: the person hears why, and how to go on.
#[tokio::test]
async fn somebody_whom_an_app_is_not_for_is_shown_the_way_to_another_account() {
    let server = server().await;
    let mut browser = Browser::new();
    let page = log_in(&server, &mut browser, "vip", "lee").await;
    assert_eq!(page.status, 403, "{}", page.body);
    let alert = page.text("[role=alert]").unwrap();
    assert!(
        alert.contains("signed in as lee") && alert.contains("Vip app"),
        "{alert}"
    );
    // Other apps are open to them.
    let spa = browser.get(server.authorize_url("spa", &[])).await;
    assert!(spa.answer().contains_key("code"));
    let done = browser.sign_in(&page, "local", ("kim", PASSWORD)).await;
    assert!(done.answer().contains_key("code"), "{done:?}");
}

/// T20: whoever uses a spent token again ends its family, whether or not its person can be asked about.
#[tokio::test]
async fn a_spent_token_ends_its_family_before_anybody_is_asked() {
    let server = server_with("recheck = \"0s\"\n").await;
    let (_, tokens) = kim(&server, "spa").await;
    let next = server.refresh("spa", tokens.text("refresh_token")).await;
    assert_eq!(next.status, 200);
    server.clock.advance(31);
    let before = asked(&server).await;
    let replay = server.refresh("spa", tokens.text("refresh_token")).await;
    replay.assert_error(400, "invalid_grant");
    assert_eq!(asked(&server).await, before);
    assert_eq!(live_families(&server).await, 0);
}

async fn ann(server: &TestServer, scope: &str) -> (Browser, Answer) {
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[("scope", scope)]);
    let page = browser.log_in_at_aim18(url, ANN_LEE).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    (browser, tokens)
}

/// aiM18 does not say how long its tokens live, and may end them at the next login.
#[tokio::test]
async fn a_token_that_ended_early_is_renewed_before_anybody_is_judged_by_it() {
    for short in [false, true] {
        let server = TestServer::start().await;
        server.aim18.switch(|switches| {
            if short {
                switches.access_token_seconds = 60;
            } else {
                switches.login_ends_access = true;
            }
        });
        let (mut browser, first) = ann(&server, OFFLINE).await;
        let (_, second) = ann(&server, OFFLINE).await;
        server.clock.advance(300);
        let before = asked(&server).await;
        for tokens in [first, second] {
            let refreshed = server.refresh("spa", tokens.text("refresh_token")).await;
            assert_eq!(refreshed.status, 200, "{short}: {refreshed:?}");
        }
        assert_eq!(asked(&server).await, before + 1);
        let silent = server.authorize_url("web", &[("prompt", "none")]);
        assert!(browser.get(silent).await.answer().contains_key("code"));
        assert_eq!(live_families(&server).await, 2);
    }
}

/// T15: neither the token nor a renewal is taken. That may be their end, so nothing of other logins ends by it.
#[tokio::test]
async fn somebody_whose_tokens_are_refused_for_good_has_to_log_in_again() {
    let server = TestServer::start().await;
    let (mut browser, tokens) = ann(&server, OFFLINE).await;
    server
        .aim18
        .switch(|switches| switches.disable_ends_access = true);
    server.aim18.change(ANN_LEE.code, |ann| ann.enabled = false);
    server.clock.advance(300);
    for _ in 0..2 {
        let refused = server.refresh("spa", tokens.text("refresh_token")).await;
        refused.assert_error(400, "invalid_grant");
        let silent = server.authorize_url("web", &[("prompt", "none")]);
        let page = browser.get(silent).await;
        assert_eq!(page.answer()["error"], "login_required");
    }
    assert_eq!(live_families(&server).await, 1);
    server.aim18.change(ANN_LEE.code, |ann| ann.enabled = true);
    let (_, again) = ann(&server, OFFLINE).await;
    server.clock.advance(300);
    let refreshed = server.refresh("spa", again.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
}

/// A login by password leaves a token for twenty minutes and none after it: without a service account nobody can ask.
#[tokio::test]
async fn a_login_that_cannot_be_asked_about_counts_until_it_ends() {
    let mut server = TestServer::start().await;
    let account = format!(
        "service_account = {{ username = \"{}\", password = {{ env = \"IMIS_SERVICE_PASSWORD\" }} }}",
        SERVICE.username
    );
    server.edit_config(&account, "");
    server.restart().await;
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[("scope", OFFLINE)]);
    let page = browser.log_in_as(url, JO_SMITH).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    server.clock.advance(13 * 3600);
    let refreshed = server.refresh("spa", tokens.text("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
}
