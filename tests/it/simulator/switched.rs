//! The simulated iMIS with its switches turned.

use portico::simulator::imis::{
    Edition, Execute, ExpiresIn, MemberRights, RefreshTokens, TokenErrors, TokenShape, UserLookup,
    UserNameAs,
};
use portico::simulator::people::{GUEST, JO_SMITH, MULTI_FACTOR, SERVICE};
use serde_json::{Value, json};

use super::{ImisSite, answer};

#[tokio::test]
async fn a_full_token_answer_tells_dates_and_the_username() {
    let site = ImisSite::start_with(|s| {
        s.token_shape = TokenShape::Full;
        s.user_name_as = UserNameAs::Typed;
        s.expires_in = ExpiresIn::Text;
        s.password_grant_gives_refresh_token = true;
    })
    .await;
    let (_, body) = site.password("jSmith", "member-demo-1").await;
    assert_eq!(body["userName"], "jSmith");
    assert_eq!(body["expires_in"], "1199");
    assert_eq!(body[".issued"], "Tue, 03 Feb 2026 10:00:00 GMT");
    assert_eq!(body[".expires"], "Tue, 03 Feb 2026 10:19:59 GMT");
    assert!(body["refresh_token"].is_string());
}

#[tokio::test]
async fn a_refused_login_looks_as_switched() {
    let site = ImisSite::start().await;
    for (style, status, body) in [
        (
            TokenErrors::JsonWithoutDescription,
            400,
            json!({ "error": "invalid_grant" }),
        ),
        (TokenErrors::Bare, 400, Value::Null),
        // Text, which is no JSON.
        (TokenErrors::Text, 400, Value::Null),
        (TokenErrors::ErrorPage, 500, Value::Null),
    ] {
        site.imis.switch(|s| s.token_errors = style);
        assert_eq!(site.password("JSMITH", "wrong").await, (status, body));
    }
    site.imis
        .switch(|s| s.token_errors = TokenErrors::OtherCode);
    let (status, body) = site.password("JSMITH", "wrong").await;
    assert_eq!((status, &body["error"]), (400, &json!("login_refused")));
    site.imis
        .switch(|s| s.token_errors = TokenErrors::OkWithError);
    let (status, body) = site.password("NOBODY", "wrong").await;
    assert_eq!((status, &body["error"]), (200, &json!("invalid_grant")));
    site.imis.switch(|s| {
        s.token_errors = TokenErrors::Json;
        s.tells_account_state = false;
    });
    let locked = site.password("LLOCKE", "member-demo-locked").await;
    assert_eq!(locked, site.password("NOBODY", "wrong").await);
}

#[tokio::test]
async fn refresh_tokens_rotate_repeat_or_end_as_switched() {
    let site = ImisSite::start().await;
    let refresh = |token: String| {
        let site = &site;
        async move {
            site.grant(&[
                ("grant_type", "refresh_token"),
                ("client_id", "Portico"),
                ("client_secret", "sso-demo-secret"),
                ("refresh_token", &token),
            ])
            .await
        }
    };
    let hand_out = || site.imis.hand_out_refresh_token("Portico", Some("jsmith"));

    let first = hand_out().unwrap();
    let (status, body) = refresh(first.clone()).await;
    assert_eq!((status, &body["userName"]), (200, &json!("JSMITH")));
    let second = body["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(refresh(first).await.0, 400);
    assert_eq!(refresh(second).await.0, 200);

    site.imis
        .switch(|s| s.refresh_tokens = RefreshTokens::Reusable);
    let first = hand_out().unwrap();
    assert_eq!(
        refresh(first.clone()).await.1["refresh_token"],
        json!(first)
    );
    assert_eq!(refresh(first).await.0, 200);

    site.imis
        .switch(|s| s.refresh_tokens = RefreshTokens::ReusableUntold);
    let first = hand_out().unwrap();
    for _ in 0..2 {
        let (status, body) = refresh(first.clone()).await;
        assert_eq!((status, body.get("refresh_token")), (200, None));
    }

    site.imis
        .switch(|s| s.refresh_tokens = RefreshTokens::SingleUse);
    let first = hand_out().unwrap();
    assert_eq!(refresh(first.clone()).await.1.get("refresh_token"), None);
    assert_eq!(refresh(first).await.0, 400);

    let purged = hand_out().unwrap();
    site.imis.purge_system_cache();
    assert_eq!(refresh(purged).await.0, 400);
    let late = hand_out().unwrap();
    site.clock.advance(30 * 60);
    assert_eq!(refresh(late).await.0, 400);

    let wrong_client = [
        ("grant_type", "refresh_token"),
        ("client_id", "Portico"),
        ("client_secret", "wrong"),
    ];
    let (status, body) = site.grant(&wrong_client).await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_client")));
}

#[tokio::test]
async fn a_guest_has_a_token_and_no_record() {
    let site = ImisSite::start().await;
    let token = site.imis.hand_out_refresh_token("Portico", None).unwrap();
    let (status, body) = site
        .grant(&[
            ("grant_type", "refresh_token"),
            ("client_id", "Portico"),
            ("client_secret", "sso-demo-secret"),
            ("refresh_token", &token),
        ])
        .await;
    assert_eq!((status, &body["userName"]), (200, &json!("Guest")));
    let token = site.token(&GUEST).await;
    let (_, users) = site.get(&token, "/api/User?username=eq:Guest").await;
    assert_eq!(users["Count"], 0);
    let (_, rows) = site
        .get(&token, "/api/query?QueryName=$/Portico/Profile")
        .await;
    assert_eq!(rows["Count"], 0);
}

#[tokio::test]
async fn a_self_hosted_edition_lives_under_a_path_and_lacks_the_query_service() {
    let site = ImisSite::start_with(|s| {
        s.base_path = "/Asi.Scheduler_Demo".to_owned();
        s.web_path = "/iMIS".to_owned();
        s.edition = Edition::Imis2017;
        s.wrapped_values = false;
        s.bare_items = true;
    })
    .await;
    assert!(site.running.url().ends_with("/Asi.Scheduler_Demo"));
    let token = site.token(&SERVICE).await;
    let query = "QueryName=$/Portico/Profile";
    assert_eq!(
        site.get(&token, &format!("/api/query?{query}")).await.0,
        404
    );
    assert_eq!(site.get(&token, &format!("/api/iqa?{query}")).await.0, 200);
    let (_, users) = site.get(&token, "/api/User?username=eq:jsmith").await;
    assert_eq!(users["Items"][0]["UserName"], "JSMITH");
    let kind = users["Items"][0]["$type"].as_str().unwrap();
    assert!(kind.ends_with("Asi.Soa.Membership.Contracts"));
    let (_, party) = site.get(&token, "/api/Party/20457").await;
    let attributes = party["AdditionalAttributes"]["$values"].as_array().unwrap();
    let named = |name: &str| attributes.iter().find(|one| one["Name"] == name);
    assert_eq!(named("IsInactiveMember").unwrap()["Value"], false);
    let execute = site.client.post(site.url("/api/UserSecurity/_execute"));
    assert_eq!(answer(execute.bearer_auth(&token)).await.0, 501);
    let origin = site.running.url().replace("/Asi.Scheduler_Demo", "");
    assert_eq!(
        answer(site.client.post(format!("{origin}/token"))).await.0,
        404
    );
}

#[tokio::test]
async fn rights_and_lookups_fail_as_switched() {
    let site = ImisSite::start().await;
    let token = site.token(&JO_SMITH).await;
    for (rights, status) in [
        (MemberRights::Unauthorized, 401),
        (MemberRights::Forbidden, 403),
    ] {
        site.imis.switch(|s| s.member_rights = rights);
        assert_eq!(site.get(&token, "/api/Party/20457").await.0, status);
    }
    site.imis
        .switch(|s| s.member_rights = MemberRights::NoToken);
    assert_eq!(site.password("JSMITH", "member-demo-1").await.0, 400);
    let service = site.token(&SERVICE).await;

    for (lookup, count) in [
        (UserLookup::Empty, 0),
        (UserLookup::SomebodyElse, 1),
        (UserLookup::Everybody, 16),
    ] {
        site.imis.switch(|s| s.user_lookup = lookup);
        let (_, users) = site.get(&service, "/api/User?username=eq:JSMITH").await;
        assert_eq!(users["Count"], count);
        assert_ne!(users["Items"]["$values"][0]["UserName"], "JSMITH");
    }
    for (execute, status) in [(Execute::Unauthorized, 401), (Execute::NotImplemented, 501)] {
        site.imis.switch(|s| s.execute = execute);
        let request = site.client.post(site.url("/api/UserSecurity/_execute"));
        assert_eq!(answer(request.bearer_auth(&service)).await.0, status);
    }
    site.imis
        .switch(|s| s.password_grant_ignores_multi_factor = true);
    site.token(&MULTI_FACTOR).await;
}
