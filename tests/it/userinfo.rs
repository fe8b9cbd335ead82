//! `/userinfo`: how a token may be sent, which token is good, and what it opens (OpenID Connect Core section 5.3,
//! RFC 6750; T41, T53).

use std::collections::BTreeSet;

use portico::protocol::claims::MEMBERSHIP;
use portico::simulator::people::{self, Contact, JO_SMITH, PostalAddress};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::browser::{Browser, http_client};
use crate::harness::relying_party::{Answer, answer, claims};
use crate::harness::server::TestServer;

fn post(server: &TestServer) -> RequestBuilder {
    http_client().post(server.url("/userinfo"))
}

fn get(server: &TestServer) -> RequestBuilder {
    http_client().get(server.url("/userinfo"))
}

fn assert_refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.body["error"], error, "{answer:?}");
    let challenge = answer.headers["www-authenticate"].to_str().unwrap();
    let expected = format!("Bearer error=\"{error}\", error_description=\"");
    assert!(challenge.starts_with(&expected), "{challenge}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(answer.body.get("sub").is_none());
}

/// RFC 6750 section 3.1: who sends no token is only told what to send; section 3: with one parameter at the least.
fn assert_challenged(answer: &Answer) {
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.headers["www-authenticate"],
        "Bearer realm=\"portico\""
    );
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(answer.body.is_null());
}

/// RFC 6750 sections 2.1 and 2.2, Core section 5.3.1.
/// RFC 6750 section 2.2: a body of a GET has no meaning.
#[tokio::test]
async fn a_token_in_the_body_of_a_get_is_not_read() {
    let server = TestServer::start().await;
    let code = server.code("spa", &[]).await;
    let tokens = server.redeem("spa", &code, &[]).await;
    let form = [("access_token", tokens.text("access_token"))];
    let url = server.url("/userinfo");
    let by_get = http_client().get(&url).form(&form).send().await.unwrap();
    assert_eq!(by_get.status(), 401);
    let by_post = http_client().post(&url).form(&form).send().await.unwrap();
    assert_eq!(by_post.status(), 200);
}

#[tokio::test]
async fn a_token_comes_by_header_or_by_form() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid email").await;
    let token = tokens.text("access_token");
    let form = [("access_token", token)];
    for good in [
        get(&server).bearer_auth(token),
        post(&server).bearer_auth(token),
        post(&server).form(&form),
        get(&server).header(AUTHORIZATION, format!("bearer {token}")),
        get(&server).header(AUTHORIZATION, format!("BEARER {token}")),
        post(&server).bearer_auth(token).form(&[("other", "x")]),
    ] {
        let userinfo = answer(good).await;
        assert_eq!(userinfo.status, 200, "{userinfo:?}");
        assert_eq!(userinfo.body["email"], people::JO_SMITH.email);
        assert_eq!(userinfo.headers["content-type"], "application/json");
        assert_eq!(userinfo.headers["cache-control"], "no-store");
    }
}

/// RFC 6750 section 2: one way in a request; section 2.3: in the query never.
#[tokio::test]
async fn every_other_way_to_send_a_token_is_refused() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid email").await;
    let token = tokens.text("access_token");
    let form = [("access_token", token)];
    let bearer = format!("Bearer {token}");
    for twice in [
        post(&server).bearer_auth(token).form(&form),
        get(&server)
            .header(AUTHORIZATION, &bearer)
            .header(AUTHORIZATION, &bearer),
        post(&server).form(&[form[0], form[0]]),
    ] {
        assert_refused(&answer(twice).await, 400, "invalid_request");
    }
    let json = format!("{{\"access_token\":\"{token}\"}}");
    for nothing in [
        get(&server),
        post(&server),
        get(&server).query(&form),
        post(&server).query(&form),
        post(&server)
            .body(json.clone())
            .header(CONTENT_TYPE, "application/json"),
        post(&server).form(&[("access_token", "")]),
        get(&server).header(AUTHORIZATION, token),
        get(&server).header(AUTHORIZATION, "Bearer"),
        get(&server).header(AUTHORIZATION, format!("Bearer\t{token}")),
        get(&server).header(AUTHORIZATION, format!("Basic {token}")),
    ] {
        assert_challenged(&answer(nothing).await);
    }
    for wrong in [
        format!("Bearer  {token}"),
        format!("Bearer {token}, Bearer {token}"),
    ] {
        let refused = answer(get(&server).header(AUTHORIZATION, wrong)).await;
        assert_refused(&refused, 401, "invalid_token");
    }
    let refused = answer(http_client().request(Method::PUT, server.url("/userinfo"))).await;
    assert_eq!(refused.status, 405);
}

/// T41: only an access token is one; and only while it lasts.
#[tokio::test]
async fn only_a_current_access_token_is_good() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "openid offline_access").await;
    for other in [
        tokens.text("id_token"),
        tokens.text("refresh_token"),
        "x",
        "e30.e30.AA",
        &"x".repeat(9000),
    ] {
        assert_refused(&server.userinfo(other).await, 401, "invalid_token");
    }
    let token = tokens.text("access_token");
    server.clock.advance(599);
    assert_eq!(server.userinfo(token).await.status, 200);
    server.clock.advance(1);
    assert_refused(&server.userinfo(token).await, 401, "invalid_token");
}

/// RFC 6750 section 3.1: a good token that opens something else.
#[tokio::test]
async fn a_token_without_openid_is_not_enough() {
    let server = TestServer::start().await;
    let tokens = server.tokens("spa", "email profile").await;
    assert!(tokens.body.get("id_token").is_none());
    let refused = server.userinfo(tokens.text("access_token")).await;
    assert_refused(&refused, 403, "insufficient_scope");
}

/// Core section 5.4: each scope opens its claims, and what is not known is absent rather than empty (section 5.3.2).
#[tokio::test]
async fn each_scope_opens_its_claims() {
    let server = TestServer::start().await;
    let profile = ["name", "given_name", "family_name", "preferred_username"];
    for (scope, opened) in [
        ("openid", [].as_slice()),
        ("openid email", &["email"]),
        ("openid profile", &profile),
    ] {
        let tokens = server.tokens("spa", scope).await;
        let userinfo = server.userinfo(tokens.text("access_token")).await;
        let names: BTreeSet<&str> = userinfo
            .body
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let expected = opened.iter().copied().chain(["sub"]).collect();
        assert_eq!(names, expected, "{scope}");
    }
    let mut browser = Browser::new();
    let url = server.authorize_url("spa", &[("scope", "openid profile email")]);
    let page = browser.log_in_as(url, people::MONO).await;
    let tokens = server.redeem("spa", &page.answer()["code"], &[]).await;
    let userinfo = server.userinfo(tokens.text("access_token")).await;
    let members = userinfo.body.as_object().unwrap();
    assert!(
        !members.contains_key("email") && !members.contains_key("given_name"),
        "{members:?}"
    );
    assert!(
        members
            .values()
            .all(|value| !value.is_null() && value != "")
    );
}

/// Core section 5.4, for the scopes of ours: what the upstream tells of groups and of a membership is told to those alone who
/// asked for it and may have it.
#[tokio::test]
async fn groups_and_a_membership_are_opened_by_scopes_of_their_own() {
    let server = TestServer::start_with(|setup| {
        setup.members = "roles = true\n".to_owned();
        setup.clients =
            "[[clients]]\nclient_id = \"club\"\ntoken_endpoint_auth_method = \"none\"\n\
             redirect_uris = [\"https://club.example.org/callback\"]\n\
             scope = \"openid groups membership\"\n"
                .to_owned();
    })
    .await;
    let membership: BTreeSet<&str> = MEMBERSHIP.into();
    let mut seen = BTreeSet::new();
    for scope in ["openid", "openid groups", "openid membership"] {
        let url = server.authorize_url("club", &[("scope", scope)]);
        let page = Browser::new().log_in_as(url, people::CHAIR).await;
        let tokens = server.redeem("club", &page.answer()["code"], &[]).await;
        let userinfo = server.userinfo(tokens.text("access_token")).await;
        for (name, value) in userinfo.body.as_object().unwrap() {
            let opened_by = match name.as_str() {
                "sub" => "openid",
                "groups" => "openid groups",
                name if membership.contains(name) => "openid membership",
                other => panic!("{scope} opened {other}"),
            };
            assert!(name == "sub" || opened_by == scope, "{scope} opened {name}");
            assert!(!value.is_null() && *value != json!([]), "{name}");
            seen.insert(opened_by);
        }
        let id_token = claims(tokens.text("id_token"));
        let told = id_token.as_object().unwrap().keys();
        let about_people =
            told.filter(|name| *name == "groups" || membership.contains(name.as_str()));
        assert_eq!(about_people.count(), 0, "{id_token}");
    }
    assert_eq!(seen.len(), 3, "each of them opened something: {seen:?}");
}

/// Where letters go to.
const PLACE: PostalAddress = PostalAddress {
    purpose: "Home",
    lines: &["1 Main Street", "Suite 2"],
    city: "Ottawa",
    region: ("ON", "Ontario"),
    postal_code: "K1A 0A1",
    country: ("CA", "Canada"),
    preferred_for: &["Mail"],
};
/// Where the person can be found.
const PLACES: &[PostalAddress] = &[
    PostalAddress {
        purpose: "Work",
        city: "Toronto",
        preferred_for: &["Bill"],
        ..PLACE
    },
    PLACE,
];

/// All that iMIS knows of it.
const CONTACT: &Contact = &Contact {
    phones: &[
        ("555-0100", "Home", false),
        ("+1 613 555 0199", "Mobile", true),
    ],
    addresses: PLACES,
};

/// Core sections 5.1 and 5.1.1: what iMIS has on record of a person's phones and address, from the login to the app: of several
/// the primary number, and the address that letters go to.
#[tokio::test]
async fn the_phone_and_the_address_on_record_at_imis_are_told() {
    let server = TestServer::start_with(|setup| {
        setup.clients = r#"
[[clients]]
client_id = "post-app"
token_endpoint_auth_method = "none"
redirect_uris = ["https://post.example.org/callback"]
scope = "openid address phone"
"#
        .to_owned();
    })
    .await;
    server.imis.change(JO_SMITH.username, |person| {
        person.contact = CONTACT;
    });
    let address = json!({
        "street_address": "1 Main Street\nSuite 2", "locality": "Ottawa", "region": "Ontario", "postal_code": "K1A 0A1",
        "country": "Canada", "formatted": "1 Main Street\nSuite 2\nOttawa, ON K1A 0A1",
    });
    for (scope, expected) in [
        ("openid address", json!({ "address": address })),
        ("openid phone", json!({ "phone_number": "+1 613 555 0199" })),
        (
            "openid address phone",
            json!({ "address": address, "phone_number": "+1 613 555 0199" }),
        ),
        ("openid", json!({})),
    ] {
        let tokens = server.tokens("post-app", scope).await;
        let told = server.userinfo(tokens.text("access_token")).await;
        let mut told = told.body.as_object().unwrap().clone();
        told.remove("sub").unwrap();
        assert_eq!(Value::Object(told), expected, "{scope}");
    }
}
