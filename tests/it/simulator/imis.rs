//! The simulated iMIS as it is by default.

use portico::simulator::imis::PROFILE_QUERY;
use portico::simulator::people::{self, ADMIN, JO_SMITH, MONO, SERVICE, ZOE};
use serde_json::{Value, json};

use super::{ImisSite, answer};

#[tokio::test]
async fn the_password_grant_answers_with_an_opaque_token_of_twenty_minutes() {
    let site = ImisSite::start().await;
    let (status, body) = site.password("jsmith", "member-demo-1").await;
    assert_eq!(status, 200);
    assert_eq!(body["token_type"], "bearer");
    assert_eq!(body["expires_in"], 1199);
    let token = body["access_token"].as_str().unwrap();
    assert!(token.len() > 500 && !token.contains('.'));
    assert_eq!(body.as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn paths_and_parameter_names_are_the_same_in_any_letter_case() {
    let site = ImisSite::start().await;
    for path in ["/token", "/Token", "/TOKEN/"] {
        let form = [
            ("Grant_type", "password"),
            ("Username", JO_SMITH.username),
            ("PASSWORD", JO_SMITH.password),
        ];
        let (status, _) = answer(site.client.post(site.url(path)).form(&form)).await;
        assert_eq!(status, 200, "{path}");
    }
    let token = site.token(&JO_SMITH).await;
    let (status, _) = site.get(&token, "/API/party/20457").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_the_same_400() {
    let site = ImisSite::start().await;
    let expected = json!({
        "error": "invalid_grant",
        "error_description": "The user name or password is incorrect."
    });
    for (username, password) in [("JSMITH", "wrong"), ("NOBODY", "wrong"), ("", "")] {
        let answer = site.password(username, password).await;
        assert_eq!(answer, (400, expected.clone()));
    }
}

#[tokio::test]
async fn a_username_with_every_awkward_character_is_found() {
    let site = ImisSite::start().await;
    let token = site.token(&ZOE).await;
    let request = site
        .client
        .get(site.url("/api/User"))
        .query(&[("username", format!("eq:{}", ZOE.username))])
        .bearer_auth(&token);
    let (status, body) = answer(request).await;
    assert_eq!(status, 200);
    assert_eq!(body["Items"]["$values"][0]["UserName"], ZOE.username);
}

#[tokio::test]
async fn no_state_but_active_gets_a_token() {
    let site = ImisSite::start().await;
    for person in [
        people::LOCKED,
        people::DISABLED,
        people::LOGIN_EXPIRED,
        people::PASSWORD_EXPIRED,
        people::OIDC_ONLY,
        people::MULTI_FACTOR,
    ] {
        let (status, body) = site.password(person.username, person.password).await;
        assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
    }
}

#[tokio::test]
async fn five_wrong_passwords_lock_and_the_log_counts_them() {
    let site = ImisSite::start().await;
    for _ in 0..5 {
        site.password(JO_SMITH.username, "wrong").await;
    }
    let (status, body) = site.password(JO_SMITH.username, JO_SMITH.password).await;
    assert_eq!(status, 400);
    assert!(
        body["error_description"]
            .as_str()
            .unwrap()
            .contains("locked")
    );
    let log = site.imis.log();
    assert_eq!(log.len(), 6);
    assert_eq!(log[0].parameter("password").unwrap(), "wrong");
}

#[tokio::test]
async fn a_token_dies_on_time_and_without_one_there_is_nothing() {
    let site = ImisSite::start().await;
    let token = site.token(&JO_SMITH).await;
    assert_eq!(site.get(&token, "/api/Party/20457").await.0, 200);
    site.clock.advance(1199);
    assert_eq!(site.get(&token, "/api/Party/20457").await.0, 401);
    assert_eq!(site.get("made-up", "/api/Party/20457").await.0, 401);
    let (status, _) = answer(site.client.get(site.url("/api/Party/20457"))).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn a_user_leads_to_the_party_with_the_primary_email() {
    let site = ImisSite::start().await;
    let token = site.token(&JO_SMITH).await;
    let (_, users) = site.get(&token, "/api/User?username=eq:jsmith").await;
    assert_eq!(users["Count"], 1);
    let user = &users["Items"]["$values"][0];
    assert_eq!(user["UserId"], "20457");
    assert_eq!(user["Party"]["Email"], "j.smith@example.org");
    assert_eq!(user["Roles"], Value::Null);

    let (_, party) = site.get(&token, "/api/Party/20457").await;
    assert_eq!(party["UniformId"], JO_SMITH.uniform_id);
    assert_eq!(party["PersonName"]["FirstName"], "Jo");
    let emails = party["Emails"]["$values"].as_array().unwrap();
    let primary = emails.iter().find(|email| email["IsPrimary"] == true);
    assert_eq!(primary.unwrap()["Address"], "j.smith@example.org");
    let attributes = party["AdditionalAttributes"]["$values"].as_array().unwrap();
    let is_member = attributes.iter().find(|one| one["Name"] == "IsMember");
    assert_eq!(is_member.unwrap()["Value"]["$value"], true);

    let (_, summary) = site.get(&token, "/api/PartySummary/20457").await;
    assert_eq!(summary["Name"], "Jo Smith");
    let token = site.token(&MONO).await;
    let (_, summary) = site.get(&token, "/api/PartySummary/20459").await;
    assert_eq!(summary.get("Email"), None);
}

#[tokio::test]
async fn a_member_reads_the_own_record_only_and_staff_everybody() {
    let site = ImisSite::start().await;
    let member = site.token(&JO_SMITH).await;
    assert_eq!(site.get(&member, "/api/Party/20458").await.0, 403);
    assert_eq!(site.get(&member, "/api/User/20458").await.0, 403);
    let (_, users) = site.get(&member, "/api/User?username=eq:MGARCIA").await;
    assert_eq!(users["Count"], 0);
    let (_, parties) = site.get(&member, "/api/Party").await;
    assert_eq!(parties["TotalCount"], 1);

    for person in [ADMIN, SERVICE] {
        let token = site.token(&person).await;
        let (_, parties) = site.get(&token, "/api/Party?limit=3&offset=3").await;
        assert_eq!(parties["TotalCount"], 16);
        assert_eq!(parties["Count"], 3);
        assert_eq!(
            (&parties["HasNext"], &parties["NextOffset"]),
            (&json!(true), &json!(6))
        );
        assert_eq!(site.get(&token, "/api/Party/20458").await.0, 200);
        assert_eq!(site.get(&token, "/api/Party/1").await.0, 404);
        let (_, one) = site
            .get(
                &token,
                "/api/party?UniformId=8d0f3a52-1111-4222-8333-9c0000000002",
            )
            .await;
        assert_eq!(one["Items"]["$values"][0]["PartyId"], "20458");
    }
}

#[tokio::test]
async fn roles_are_told_by_user_security_to_staff() {
    let site = ImisSite::start().await;
    let request = |parameter: Value| {
        json!({
            "$type": "Asi.Soa.Core.DataContracts.GenericExecuteRequest, Asi.Contracts",
            "EntityTypeName": "UserSecurity",
            "OperationName": "GetUserRoles",
            "Parameters": { "$values": [parameter] },
        })
    };
    let execute = |token: String, body: Value| {
        let url = site.url("/api/UserSecurity/_execute");
        answer(site.client.post(url).bearer_auth(token).json(&body))
    };
    let token = site.token(&SERVICE).await;
    let wrapped = json!({ "$type": "System.String", "$value": "mgarcia" });
    for parameter in [wrapped, json!("MGARCIA")] {
        let (status, body) = execute(token.clone(), request(parameter)).await;
        assert_eq!((status, &body["IsSuccessStatusCode"]), (200, &json!(true)));
        assert_eq!(body["Result"]["$values"][0]["RoleName"], "SysAdmin");
    }
    let member = site.token(&JO_SMITH).await;
    let (status, _) = execute(member, request(json!("MGARCIA"))).await;
    assert_eq!(status, 403);
    assert_eq!(site.get(&token, "/api/UserSecurity").await.0, 501);
}

#[tokio::test]
async fn the_profile_query_is_about_the_caller_or_the_user_named() {
    let site = ImisSite::start().await;
    let member = site.token(&JO_SMITH).await;
    let path = format!("/api/query?QueryName={PROFILE_QUERY}");
    let (_, body) = site.get(&member, &path).await;
    let row = &body["Items"]["$values"][0];
    assert_eq!(row["$type"], "System.Dynamic.ExpandoObject, System.Core");
    assert_eq!(row["email"], "j.smith@example.org");

    let service = site.token(&SERVICE).await;
    let path = format!("/api/iqa?QueryName={PROFILE_QUERY}&Parameter=eq:jsmith");
    let (_, body) = site.get(&service, &path).await;
    let properties = body["Items"]["$values"][0]["Properties"]["$values"].clone();
    let find = |name: &str| {
        let properties = properties.as_array().unwrap();
        properties.iter().find(|p| p["Name"] == name).unwrap()["Value"].clone()
    };
    assert_eq!(find("ResultRow")["$value"], 1);
    assert_eq!(find("given_name"), "Jo");
    let other = site.get(&service, "/api/query?QueryName=$/Other").await;
    assert_eq!(other.0, 404);
}

#[tokio::test]
async fn preflights_are_refused_and_logout_returns() {
    let site = ImisSite::start().await;
    let url = site.url("/api/Party");
    let preflight = site.client.request(reqwest::Method::OPTIONS, url);
    assert_eq!(answer(preflight).await.0, 405);

    let path = "/AsiCommon/Controls/Shared/FormsAuthentication/logout.aspx";
    let home = "https://app.example.org/bye?x=1";
    let url = site.url(path);
    let logout = || site.client.get(&url).query(&[("returnurl", home)]).send();
    let response = logout().await.unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(response.headers()["location"], home);
    site.imis.switch(|s| s.logout_honors_return_url = false);
    assert_eq!(logout().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_renamed_user_keeps_id_and_tokens() {
    let site = ImisSite::start().await;
    let token = site.token(&JO_SMITH).await;
    site.imis
        .change("JSMITH", |person| person.username = "JO.SMITH");
    let (_, users) = site.get(&token, "/api/User?username=eq:jo.smith").await;
    assert_eq!(users["Items"]["$values"][0]["UserId"], "20457");
    assert_eq!(site.password("JSMITH", JO_SMITH.password).await.0, 400);
}
