//! The exchange of our tokens for those of upstreams (RFC 8693; T15, T61, T62). `docs/upstream-tokens.md` shows the same
//! requests and answers.

use std::collections::BTreeMap;

use portico::model::audit::Event;
use portico::passwords::hash_password;
use portico::protocol::secret::Secret;
use portico::protocol::token::GrantType;
use portico::simulator::imis::MemberRights;
use portico::simulator::people::{ANN_LEE, Aim18Person, JO_SMITH, SERVICE};
use portico::simulator::{Fault, aim18};
use serde_json::json;

use crate::command_line::audit::audit;
use crate::gateway;
use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, claims};
use crate::harness::server::{Setup, TestServer};
use crate::landing::{at_imis, deliver, leave_from};

pub(crate) const GRANT: &str = GrantType::TokenExchange.as_str();
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What the app of these tests asks for.
pub(crate) const SCOPE: &str = "openid upstream:members upstream:staff";

/// An app that may have people's tokens, a server that may have the service account's, and two that may have neither.
pub(crate) fn callers(setup: &mut Setup) {
    setup.clients = format!(
        r#"
[[clients]]
client_id = "calling-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://calling.example.org/callback"]
grant_types = ["authorization_code", "refresh_token", "{GRANT}"]
scope = "openid offline_access upstream:members upstream:staff"
upstream_tokens = ["members", "staff"]

[[clients]]
client_id = "staff-only-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://staff-only.example.org/callback"]
grant_types = ["authorization_code", "{GRANT}"]
scope = "openid upstream:members upstream:staff"
upstream_tokens = ["staff"]

[[clients]]
client_id = "both"
client_secret = {{ env = "SERVICE_SECRET" }}
redirect_uris = ["https://both.example.org/callback"]
grant_types = ["authorization_code", "client_credentials", "{GRANT}"]
scope = "openid reports:read upstream:members"
audience = ["https://api.example.org"]
service_tokens = ["members"]
"#
    );
}

/// Exchanges; `changes` replace parameters, an empty value removes one.
pub(crate) async fn exchange_with(
    server: &TestServer,
    client_id: &str,
    subject_token: &str,
    changes: &[(&str, &str)],
) -> Answer {
    let mut parameters = BTreeMap::from([
        ("grant_type", GRANT),
        ("subject_token", subject_token),
        ("subject_token_type", ACCESS_TOKEN),
        ("audience", "members"),
    ]);
    parameters.extend(changes.iter().copied());
    parameters.retain(|_, value| !value.is_empty());
    server
        .token(client_id, &parameters.into_iter().collect::<Vec<_>>())
        .await
}

pub(crate) async fn exchange(server: &TestServer, tokens: &Answer, audience: &str) -> Answer {
    let token = tokens.text("access_token");
    exchange_with(server, "calling-app", token, &[("audience", audience)]).await
}

/// Logs Jo Smith in by iMIS's own page, whose logins can be renewed.
pub(crate) async fn by_page(server: &TestServer, browser: &mut Browser, scope: &str) -> Answer {
    at_imis(server, browser, JO_SMITH).await;
    let url = server.authorize_url("calling-app", &[("scope", scope)]);
    let page = leave_from(browser, &url).await;
    let page = deliver(browser, &page).await;
    redeem(server, &page.answer()["code"]).await
}

/// Logs an employee in by aiM18's page.
pub(crate) async fn employee(
    server: &TestServer,
    browser: &mut Browser,
    who: Aim18Person,
) -> Answer {
    let url = server.authorize_url("calling-app", &[("scope", SCOPE)]);
    let page = browser.log_in_at_aim18(url, who).await;
    redeem(server, &page.answer()["code"]).await
}

async fn redeem(server: &TestServer, code: &str) -> Answer {
    let tokens = server.redeem("calling-app", code, &[]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    tokens
}

/// The tokens of the server that acts for itself.
pub(crate) async fn of_service(server: &TestServer) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "upstream:members"),
    ];
    let tokens = server.token("both", &form).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    tokens
}

/// The status with which the simulated iMIS answers to a look at a member's record.
async fn status_at_imis(server: &TestServer, token: &str, party: &str) -> u16 {
    let url = format!("{}/api/Party/{party}", server.imis_url());
    let request = http_client().get(url).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

/// RFC 8693 section 2.2.1. The token is the member's own, it lives no longer than is said, and nothing that renews it is
/// told.
#[tokio::test]
async fn an_app_gets_the_members_own_token() {
    let server = TestServer::start_with(callers).await;
    let tokens = server.tokens("calling-app", SCOPE).await;
    server.clock.advance(100);
    let answer = exchange(&server, &tokens, "members").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.text("access_token");
    let expected = json!({
        "access_token": token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": 1099,
    });
    assert_eq!(answer.body, expected);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["pragma"], "no-cache");
    assert_eq!(status_at_imis(&server, token, JO_SMITH.id).await, 200);
    assert_eq!(status_at_imis(&server, token, SERVICE.id).await, 403);
}

#[tokio::test]
async fn the_upstream_can_be_named_by_its_address() {
    let server = TestServer::start_with(callers).await;
    let tokens = server.tokens("calling-app", SCOPE).await;
    let token = tokens.text("access_token");
    for address in [
        server.imis_url().trim_end_matches('/').to_owned(),
        format!("{}/", server.imis_url().trim_end_matches('/')),
    ] {
        let changes = [("audience", ""), ("resource", address.as_str())];
        let answer = exchange_with(&server, "calling-app", token, &changes).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// The API of aiM18 wants the client id beside the token.
#[tokio::test]
async fn an_employees_token_comes_with_the_client_id_that_its_api_wants() {
    let server = TestServer::start_with(callers).await;
    let tokens = employee(&server, &mut Browser::new(), ANN_LEE).await;
    let answer = exchange(&server, &tokens, "staff").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["expires_in"], 3600);
    assert_eq!(answer.text("upstream_client_id"), aim18::CLIENT_ID);
    let calls = server.aim18.log();
    let known = calls.iter().filter_map(|call| call.bearer());
    assert!(
        known
            .into_iter()
            .any(|token| token == answer.text("access_token"))
    );
}

/// A server without a user gets the service account's token, as often as it asks one of its own.
#[tokio::test]
async fn a_server_gets_the_service_accounts_token() {
    let server = TestServer::start_with(callers).await;
    let tokens = of_service(&server).await;
    let token = tokens.text("access_token");
    let answer = exchange_with(&server, "both", token, &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let theirs = answer.text("access_token");
    assert_eq!(status_at_imis(&server, theirs, JO_SMITH.id).await, 200);
    assert_eq!(status_at_imis(&server, theirs, SERVICE.id).await, 200);
    assert_eq!(answer.body["expires_in"], 1199);
    server.clock.advance(500);
    let tokens = of_service(&server).await;
    let again = exchange_with(&server, "both", tokens.text("access_token"), &[]).await;
    assert_eq!(again.text("access_token"), theirs);
    assert_eq!(again.body["expires_in"], 699);
}

/// The service account of aiM18, with the client id that its API wants.
#[tokio::test]
async fn a_server_gets_the_token_of_aim18s_service_account() {
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), ANN_LEE.password).unwrap();
    let mut server = TestServer::start_with(callers).await;
    server.edit_config(
        "label = \"Staff login\"\n",
        &format!(
            "label = \"Staff login\"\nservice_account = {{ username = \"{}\", password = {{ file = \"{}\" }} }}\n",
            ANN_LEE.code,
            password.path().display()
        ),
    );
    server.edit_config(
        "scope = \"openid reports:read upstream:members\"",
        "scope = \"openid reports:read upstream:members upstream:staff\"",
    );
    server.edit_config(
        "service_tokens = [\"members\"]",
        "service_tokens = [\"members\", \"staff\"]",
    );
    server.restart().await;
    let form = [("grant_type", "client_credentials")];
    let tokens = server.token("both", &form).await;
    let token = tokens.text("access_token");
    for _ in 0..2 {
        let answer = exchange_with(&server, "both", token, &[("audience", "staff")]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.text("upstream_client_id"), aim18::CLIENT_ID);
    }
    let asked = server.aim18.log();
    let asked = asked.iter().filter(|call| call.path.ends_with("/token"));
    assert_eq!(asked.count(), 1);
}

/// Each release is recorded, with whose token it was; a refusal is none.
#[tokio::test]
async fn every_release_is_audited() {
    let mut server = TestServer::start_with(callers).await;
    let person = server.tokens("calling-app", SCOPE).await;
    let service = of_service(&server).await;
    for (client_id, tokens, times) in [("calling-app", &person, 2), ("both", &service, 3)] {
        for _ in 0..times {
            let answer = exchange_with(&server, client_id, tokens.text("access_token"), &[]).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
    let refused = exchange(&server, &person, "staff").await;
    assert_ne!(refused.status, 200, "{refused:?}");
    server.stop().await;
    let found = audit(&server, &[]).await;
    let released: Vec<_> = found
        .iter()
        .filter(|record| record["event"] == Event::UpstreamTokenReleased.as_str())
        .collect();
    assert_eq!(released.len(), 5, "{found:#?}");
    for (kind, client_id, times) in [("person", "calling-app", 2), ("service", "both", 3)] {
        let mut of_kind = released.clone();
        of_kind.retain(|record| record["details"]["kind"] == kind);
        assert_eq!(of_kind.len(), times, "{released:#?}");
        for record in of_kind {
            assert_eq!(record["client_id"], client_id);
            assert_eq!(record["upstream"], "members");
            assert_eq!(record["details"]["lifetime"], 1199);
            assert_eq!(record["account"].is_string(), kind == "person");
        }
    }
}

/// T61: the service account may do more than any person, so its token serves nobody's call but a server's own.
#[tokio::test]
async fn a_person_never_gets_the_service_accounts_token() {
    let server = TestServer::start_with(callers).await;
    let code = server
        .code("both", &[("scope", "openid upstream:members")])
        .await;
    let tokens = server.redeem("both", &code, &[]).await;
    let refused = exchange_with(&server, "both", tokens.text("access_token"), &[]).await;
    refused.assert_error(400, "unauthorized_client");
    assert!(
        refused
            .text("error_description")
            .contains("upstream_tokens")
    );
}

/// T62: allow-listed client, upstream and scope, each for itself; and RFC 8693 section 2.1.
#[tokio::test]
async fn whatever_is_missing_is_told() {
    let server = TestServer::start_with(callers).await;
    let tokens = server.tokens("calling-app", SCOPE).await;
    let good = tokens.text("access_token");
    let plain = server.tokens("calling-app", "openid").await;
    let narrow = plain.text("access_token");
    for (subject_token, changes, error, told) in [
        (narrow, &[][..], "invalid_scope", "upstream:members"),
        (
            good,
            &[("audience", "nowhere")],
            "invalid_target",
            "audience",
        ),
        (
            good,
            &[
                ("audience", ""),
                ("resource", "https://nowhere.example.org"),
            ],
            "invalid_target",
            "base_url",
        ),
        (good, &[("audience", "")], "invalid_request", "audience"),
        (
            good,
            &[("resource", server.imis_url())],
            "invalid_request",
            "exactly one",
        ),
        (
            good,
            &[("audience", ""), ("resource", "members")],
            "invalid_request",
            "absolute",
        ),
        (
            good,
            &[("subject_token_type", "")],
            "invalid_request",
            "subject_token_type",
        ),
        (
            good,
            &[(
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:id_token",
            )],
            "invalid_request",
            "subject_token_type",
        ),
        (
            good,
            &[(
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:refresh_token",
            )],
            "invalid_request",
            "requested_token_type",
        ),
        (
            good,
            &[("actor_token", good), ("actor_token_type", ACCESS_TOKEN)],
            "invalid_request",
            "actor_token",
        ),
        (
            good,
            &[("scope", "upstream:members")],
            "invalid_scope",
            "scope",
        ),
        ("", &[], "invalid_request", "subject_token"),
        (
            tokens.text("id_token"),
            &[],
            "invalid_request",
            "subject_token",
        ),
        ("no.token.atall", &[], "invalid_request", "subject_token"),
    ] {
        let refused = exchange_with(&server, "calling-app", subject_token, changes).await;
        refused.assert_error(400, error);
        let description = refused.text("error_description");
        assert!(description.contains(told), "{description}");
    }
    // The upstream is not on this client's list, though the scope is granted.
    let code = server.code("staff-only-app", &[("scope", SCOPE)]).await;
    let others = server.redeem("staff-only-app", &code, &[]).await;
    let token = others.text("access_token");
    let refused = exchange_with(&server, "staff-only-app", token, &[]).await;
    refused.assert_error(400, "unauthorized_client");
    // What was given to another client is nobody else's to exchange, and a client that is not registered for the grant
    // has none (T10).
    let refused = exchange_with(&server, "calling-app", token, &[]).await;
    refused.assert_error(400, "invalid_request");
    let refused = exchange_with(&server, "spa", good, &[]).await;
    refused.assert_error(400, "unauthorized_client");
    let requested = [("requested_token_type", ACCESS_TOKEN)];
    let answer = exchange_with(&server, "calling-app", good, &requested).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // One of ours that has ended.
    server.clock.advance(600);
    let refused = exchange_with(&server, "calling-app", good, &[]).await;
    refused.assert_error(400, "invalid_request");
}

/// T17, T18: what an administrator takes away is gone, whatever tokens still say.
#[tokio::test]
async fn what_was_withdrawn_is_given_no_more() {
    for (from, to, error) in [
        (
            "upstream_tokens = [\"members\", \"staff\"]",
            "upstream_tokens = [\"staff\"]",
            "unauthorized_client",
        ),
        (
            "scope = \"openid offline_access upstream:members upstream:staff\"\nupstream_tokens = [\"members\", \"staff\"]",
            "scope = \"openid offline_access upstream:staff\"\nupstream_tokens = [\"staff\"]",
            "unauthorized_client",
        ),
        (
            "upstream_tokens = [\"members\", \"staff\"]",
            "upstream_tokens = [\"staff\"]\nupstreams = [\"staff\"]",
            "unauthorized_client",
        ),
    ] {
        let mut server = TestServer::start_with(callers).await;
        let tokens = server.tokens("calling-app", SCOPE).await;
        assert_eq!(exchange(&server, &tokens, "members").await.status, 200);
        server.edit_config(from, to);
        server.restart().await;
        let refused = exchange(&server, &tokens, "members").await;
        refused.assert_error(400, error);
    }
}

/// T15: a client that no longer serves the upstream at which the person logged in, and an account that was closed.
#[tokio::test]
async fn a_person_who_may_not_come_in_gets_nothing() {
    let mut server = TestServer::start_with(callers).await;
    let tokens = employee(&server, &mut Browser::new(), ANN_LEE).await;
    assert_eq!(exchange(&server, &tokens, "staff").await.status, 200);
    let line = "upstream_tokens = [\"members\", \"staff\"]";
    server.edit_config(
        line,
        "upstream_tokens = [\"members\"]\nupstreams = [\"members\"]",
    );
    server.restart().await;
    let refused = exchange(&server, &tokens, "members").await;
    refused.assert_error(400, "invalid_grant");

    let server = TestServer::start_with(callers).await;
    let tokens = server.tokens("calling-app", SCOPE).await;
    let pool = server.database.pool().await;
    sqlx::query("UPDATE account SET disabled_at = 1")
        .execute(&pool)
        .await
        .unwrap();
    let refused = exchange(&server, &tokens, "members").await;
    refused.assert_error(400, "invalid_grant");
}

/// T35: with the session everything goes; a family that outlives it can have tokens of ours, and none of the upstream's.
#[tokio::test]
async fn a_logout_ends_it() {
    let server = TestServer::start_with(callers).await;
    for (scope, error) in [
        (SCOPE, "invalid_request"),
        ("openid offline_access upstream:members", "invalid_grant"),
    ] {
        let mut browser = Browser::new();
        let tokens = by_page(&server, &mut browser, scope).await;
        assert_eq!(exchange(&server, &tokens, "members").await.status, 200);
        let hint = tokens.text("id_token");
        let bye = server.url(&format!("/end_session?id_token_hint={hint}"));
        assert_eq!(browser.get(bye).await.status, 200);
        let refused = exchange(&server, &tokens, "members").await;
        refused.assert_error(400, error);
        let left: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM vault_entry WHERE kind = 'person'")
                .fetch_one(&server.database.pool().await)
                .await
                .unwrap();
        assert_eq!(left, 0);
    }
}

/// An idle session has ended for the upstream's tokens as for everything else, however well they could be renewed; the
/// offline family goes on without them.
#[tokio::test]
async fn an_idle_session_ends_it() {
    let server = TestServer::start_with(callers).await;
    let scope = "openid offline_access upstream:staff";
    let url = server.authorize_url("calling-app", &[("scope", scope)]);
    let page = Browser::new().log_in_at_aim18(url, ANN_LEE).await;
    let mut tokens = redeem(&server, &page.answer()["code"]).await;
    for (hours, status) in [(11, 200), (12, 400)] {
        server.clock.advance(hours * 3600);
        tokens = server
            .refresh("calling-app", tokens.text("refresh_token"))
            .await;
        let answer = exchange(&server, &tokens, "staff").await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let refused = exchange(&server, &tokens, "staff").await;
    refused.assert_error(400, "invalid_grant");
    assert!(
        refused
            .text("error_description")
            .contains("session has ended")
    );
}

/// An app that goes on exchanging keeps the session in use, as one that refreshes does.
#[tokio::test]
async fn exchanging_keeps_the_session_in_use() {
    let server = TestServer::start_with(|setup| {
        callers(setup);
        setup.sections += "[lifetimes]\naccess_token = \"1d\"\nsession_idle = \"30m\"\n";
    })
    .await;
    let mut browser = Browser::new();
    let tokens = employee(&server, &mut browser, ANN_LEE).await;
    for _ in 0..4 {
        server.clock.advance(25 * 60);
        let exchanged = exchange(&server, &tokens, "staff").await;
        assert_eq!(exchanged.status, 200, "{exchanged:?}");
    }
    let silent = server.authorize_url("calling-app", &[("prompt", "none")]);
    let page = browser.get(silent).await;
    assert!(page.answer().contains_key("code"), "{page:?}");
}

/// Who did not log in at that upstream has no token there.
#[tokio::test]
async fn there_are_tokens_of_the_upstream_of_the_login_alone() {
    let server = TestServer::start_with(callers).await;
    let tokens = server.tokens("calling-app", SCOPE).await;
    let refused = exchange(&server, &tokens, "staff").await;
    refused.assert_error(400, "invalid_grant");
    assert!(refused.text("error_description").contains("log in again"));
}

/// People of the config have no tokens anywhere.
#[tokio::test]
async fn a_login_that_gives_no_token_leaves_nothing_to_exchange() {
    let password = "admin-demo-1";
    let server = TestServer::start_with(|setup| {
        callers(setup);
        let hash = hash_password(&Secret::new(password)).unwrap();
        setup.upstreams = format!(
            r#"
[[upstreams]]
id = "emergency"
kind = "users"
label = "Emergency login"

[[upstreams.people]]
id = "1"
username = "admin"
password_hash = "{hash}"
"#
        );
    })
    .await;
    let mut browser = Browser::new();
    let url = server.authorize_url("calling-app", &[("scope", SCOPE)]);
    let page = browser.open(url).await;
    let page = browser
        .sign_in(&page, "emergency", ("admin", password))
        .await;
    let tokens = redeem(&server, &page.answer()["code"]).await;
    for upstream in ["members", "emergency"] {
        let refused = exchange(&server, &tokens, upstream).await;
        let error = if upstream == "members" {
            "invalid_grant"
        } else {
            "unauthorized_client"
        };
        refused.assert_error(400, error);
    }
}

/// iMIS gives members who type their password no refresh token: when the access token ends, they have to come again.
#[tokio::test]
async fn a_token_that_cannot_be_renewed_serves_to_its_end() {
    let server = TestServer::start_with(callers).await;
    let scope = "openid offline_access upstream:members";
    let mut tokens = server.tokens("calling-app", scope).await;
    server.clock.advance(590);
    tokens = server
        .refresh("calling-app", tokens.text("refresh_token"))
        .await;
    server.clock.advance(590);
    let last = exchange(&server, &tokens, "members").await;
    assert_eq!(last.body["expires_in"], 19, "{last:?}");
    server.clock.advance(9);
    tokens = server
        .refresh("calling-app", tokens.text("refresh_token"))
        .await;
    server.clock.advance(10);
    let refused = exchange(&server, &tokens, "members").await;
    refused.assert_error(400, "invalid_grant");
    assert!(refused.text("error_description").contains("log in again"));
}

/// The service account is refused, or away: told apart, without the reason that is the operator's to know.
#[tokio::test]
async fn trouble_with_the_service_account_is_told_plainly() {
    let server = TestServer::start_with(callers).await;
    let tokens = of_service(&server).await;
    let token = tokens.text("access_token");
    server.imis.fail("/token", Fault::Status(503));
    let away = exchange_with(&server, "both", token, &[]).await;
    away.assert_error(503, "temporarily_unavailable");
    server.imis.mend();
    server.clock.advance(10);
    server
        .imis
        .change(SERVICE.username, |person| person.password = "changed-there");
    let refused = exchange_with(&server, "both", token, &[]).await;
    refused.assert_error(500, "server_error");
    assert!(refused.text("error_description").contains("RemoteService"));
}

/// A refusal, or an outage, that was kept while the clock stood ahead does not keep the account from its token once it is right.
#[tokio::test]
async fn trouble_of_a_clock_that_was_ahead_is_forgotten_when_it_is_right() {
    for refused in [true, false] {
        let server = TestServer::start_with(callers).await;
        server.clock.advance(24 * 3600);
        let ahead = of_service(&server).await;
        if refused {
            let change = |password| {
                server
                    .imis
                    .change(SERVICE.username, |person| person.password = password);
            };
            change("changed-there");
            let exchanged = exchange_with(&server, "both", ahead.text("access_token"), &[]);
            exchanged.await.assert_error(500, "server_error");
            change(SERVICE.password);
        } else {
            server.imis.fail("/token", Fault::Status(503));
            let exchanged = exchange_with(&server, "both", ahead.text("access_token"), &[]);
            exchanged.await.assert_error(503, "temporarily_unavailable");
            server.imis.mend();
        }
        server.clock.advance(-24 * 3600);
        let tokens = of_service(&server).await;
        let exchanged = exchange_with(&server, "both", tokens.text("access_token"), &[]).await;
        assert_eq!(exchanged.status, 200, "{refused}: {exchanged:?}");
    }
}

/// T15: the account behind a token of ours is that of the token's own subject.
#[tokio::test]
async fn two_people_get_a_token_each() {
    let server = TestServer::start_with(callers).await;
    let one = by_page(&server, &mut Browser::new(), SCOPE).await;
    let two = employee(&server, &mut Browser::new(), ANN_LEE).await;
    assert_ne!(
        claims(one.text("access_token"))["sub"],
        claims(two.text("access_token"))["sub"]
    );
    exchange(&server, &one, "staff")
        .await
        .assert_error(400, "invalid_grant");
    exchange(&server, &two, "members")
        .await
        .assert_error(400, "invalid_grant");
}

/// A token that opens nothing is none: the exchange names what the account lacks, asks iMIS once a minute at the most, and
/// serves as soon as the role is there. So does the gateway.
#[tokio::test]
async fn a_service_account_without_its_role_is_told_as_that() {
    for rights in [
        MemberRights::OwnRecord,
        MemberRights::Unauthorized,
        MemberRights::Forbidden,
    ] {
        let server = TestServer::start_with(|setup| {
            callers(setup);
            gateway::apis(setup);
        })
        .await;
        server
            .imis
            .switch(|switches| switches.member_rights = rights);
        server
            .imis
            .change(SERVICE.username, |person| person.roles = &[]);
        let tokens = of_service(&server).await;
        let token = tokens.text("access_token");
        let mut asked = 0;
        for round in 0..4 {
            let refused = exchange_with(&server, "both", token, &[]).await;
            refused.assert_error(400, "invalid_target");
            let told = refused.text("error_description");
            assert!(told.contains("the role RemoteService"), "{told}");
            assert!(told.contains("members"), "{told}");
            if round == 0 {
                asked = server.imis.log().len();
            }
        }
        assert_eq!(server.imis.log().len(), asked, "{rights:?}");
        let calling = gateway::of_server(&server).await;
        let called = gateway::get(&server, "/api/members/Event", &calling).await;
        assert_eq!(called.status, 502);
        assert!(
            called.json()["error_description"]
                .as_str()
                .unwrap()
                .contains("RemoteService")
        );
        assert_eq!(server.imis.log().len(), asked, "{rights:?}");

        server
            .imis
            .change(SERVICE.username, |person| person.roles = &["RemoteService"]);
        let still = exchange_with(&server, "both", token, &[]).await;
        still.assert_error(400, "invalid_target");
        server.clock.advance(60);
        let given = exchange_with(&server, "both", token, &[]).await;
        assert_eq!(given.status, 200, "{rights:?}: {given:?}");
        let theirs = given.text("access_token");
        assert_eq!(status_at_imis(&server, theirs, JO_SMITH.id).await, 200);
        // Seen once, it is not asked about again.
        let asked = server.imis.log().len();
        for _ in 0..3 {
            assert_eq!(exchange_with(&server, "both", token, &[]).await.status, 200);
        }
        assert_eq!(server.imis.log().len(), asked);
    }
}

/// An API that is away says nothing about the role: the token is given as before.
#[tokio::test]
async fn an_outage_is_no_missing_role() {
    let server = TestServer::start_with(callers).await;
    server.imis.fail("/api/User", Fault::Status(503));
    let tokens = of_service(&server).await;
    let given = exchange_with(&server, "both", tokens.text("access_token"), &[]).await;
    assert_eq!(given.status, 200, "{given:?}");
}
