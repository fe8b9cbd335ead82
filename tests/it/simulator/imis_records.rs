//! The simulated iMIS: membership, groups, saved queries, and entities that may be written.

use portico::simulator::imis::{Edition, Execute, Groups, QueryEmpty, QueryServices, QuerySubject};
use portico::simulator::people::{
    ADMIN, CHAIR, GUEST, ImisPerson, JO_SMITH, LAPSED, LOCKED, MERGED, MONO, OIDC_ONLY, SERVICE,
    ZOE,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ImisSite, answer};

impl ImisSite {
    async fn write(&self, method: Method, token: &str, path: &str, body: &str) -> (u16, Value) {
        let request = self.client.request(method, self.url(path));
        let request = request.bearer_auth(token).body(body.to_owned());
        answer(request.header("content-type", "application/json")).await
    }

    async fn execute(&self, token: &str, operation: &str, parameters: Value) -> (u16, Value) {
        let body = json!({
            "$type": "Asi.Soa.Core.DataContracts.GenericExecuteRequest, Asi.Contracts",
            "EntityTypeName": "UserSecurity",
            "OperationName": operation,
            "Parameters": parameters,
        });
        let path = "/api/UserSecurity/_execute";
        self.write(Method::POST, token, path, &body.to_string())
            .await
    }
}

fn attribute(party: &Value, name: &str) -> Option<Value> {
    let attributes = party["AdditionalAttributes"]["$values"].as_array().unwrap();
    let found = attributes.iter().find(|one| one["Name"] == name)?;
    Some(found["Value"].clone())
}

fn names(party: &Value) -> Vec<String> {
    let attributes = party["AdditionalAttributes"]["$values"].as_array().unwrap();
    let names = attributes.iter().map(|one| one["Name"].as_str().unwrap());
    names.map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn membership_is_told_by_attributes_in_no_fixed_order() {
    let site = ImisSite::start().await;
    let token = site.token(&SERVICE).await;
    let party = async |person: &ImisPerson| {
        let (status, party) = site.get(&token, &format!("/api/Party/{}", person.id)).await;
        assert_eq!(status, 200);
        party
    };
    let (jo, lapsed, mono) = (
        party(&JO_SMITH).await,
        party(&LAPSED).await,
        party(&MONO).await,
    );
    assert_ne!(names(&jo), names(&party(&ZOE).await));
    assert_eq!(jo["Status"]["PartyStatusId"], "A");
    assert_eq!(attribute(&jo, "IsMember").unwrap()["$value"], true);
    assert_eq!(attribute(&jo, "CustomerTypeCode").unwrap(), "M");
    assert_eq!(attribute(&jo, "JoinDate").unwrap(), JO_SMITH.join_date);
    assert_eq!(
        attribute(&jo, "PaidThroughDate").unwrap(),
        JO_SMITH.paid_through
    );

    assert_eq!(lapsed["Status"]["PartyStatusId"], "I");
    assert_eq!(attribute(&lapsed, "IsMember").unwrap()["$value"], false);
    assert_eq!(
        attribute(&lapsed, "IsInactiveMember").unwrap()["$value"],
        true
    );
    assert_eq!(
        attribute(&lapsed, "PaidThroughDate").unwrap(),
        LAPSED.paid_through
    );
    assert_eq!(attribute(&mono, "JoinDate"), None);

    site.imis.switch(|s| {
        s.paid_through_name = Some("PAID_THRU".to_owned());
        s.wrapped_dates = true;
        s.wrapped_values = false;
        s.combo_party = true;
        s.tells_uniform_id = false;
    });
    let jo = party(&JO_SMITH).await;
    assert!(jo["$type"].as_str().unwrap().contains("ComboPartyData"));
    assert_eq!(jo.get("UniformId"), None);
    assert_eq!(attribute(&jo, "IsMember").unwrap(), true);
    let paid = attribute(&jo, "PAID_THRU").unwrap();
    assert_eq!(
        paid,
        json!({ "$type": "System.DateTime", "$value": JO_SMITH.paid_through })
    );
    site.imis.switch(|s| s.paid_through_name = None);
    assert_eq!(attribute(&party(&JO_SMITH).await, "PAID_THRU"), None);

    let (_, code) = site.get(&token, "/api/LegacyCustomerType/fel").await;
    assert_eq!(code["Description"], "Fellow");
}

#[tokio::test]
async fn a_person_is_found_by_guid_and_a_merged_record_says_so() {
    let site = ImisSite::start().await;
    let token = site.token(&SERVICE).await;
    for condition in ["", "eq:"] {
        let path = format!("/api/Party?UniformId={condition}{}", MERGED.uniform_id);
        let (_, found) = site.get(&token, &path).await;
        assert_eq!(found["Count"], 1);
        assert_eq!(found["Items"]["$values"][0]["PartyId"], MERGED.id);
        assert_eq!(found["Items"]["$values"][0]["IsMarkedForDelete"], true);
    }
    let (_, summary) = site.get(&token, "/api/PartySummary/20467").await;
    assert_eq!(summary["IsMarkedForDelete"], true);
    assert_eq!(summary["Status"]["ActiveStatus"], true);
    let (_, summary) = site.get(&token, "/api/PartySummary?EntityId=20460").await;
    assert_eq!(summary["Status"]["ActiveStatus"], false);
    let (_, found) = site
        .get(&token, "/api/Party?PartyId=between:20457,20459")
        .await;
    assert_eq!(found["Count"], 3);
    // A member finds nobody but the member.
    let token = site.token(&JO_SMITH).await;
    let path = format!("/api/Party?UniformId=eq:{}", MERGED.uniform_id);
    assert_eq!(site.get(&token, &path).await.1["Count"], 0);
}

#[tokio::test]
async fn groups_and_committees_are_those_of_the_person_asked_for() {
    let site = ImisSite::start().await;
    let service = site.token(&SERVICE).await;
    let own = site.token(&CHAIR).await;
    let path = "/api/GroupMember?PartyId=20466";
    for token in [&service, &own] {
        let (_, found) = site.get(token, path).await;
        assert_eq!(found["Count"], 3);
        let first = &found["Items"]["$values"][0];
        assert_eq!(first["Group"]["Name"], "Education Committee");
        assert_eq!(first["Party"]["PartyId"], CHAIR.id);
        let detail = &first["MembershipDetails"]["$values"][0];
        assert_eq!(detail["Role"]["Name"], "Chair");
        assert_eq!(detail["ExpirationDate"], Value::Null);
    }
    let summary = "/api/GroupMemberSummary?GroupId=eq:com-fin";
    let (_, found) = site.get(&service, summary).await;
    assert_eq!(found["Items"]["$values"][0]["RoleName"], "Treasurer");
    let jo = site.token(&JO_SMITH).await;
    assert_eq!(site.get(&jo, path).await.1["Count"], 0);

    site.imis.switch(|s| s.groups = Groups::ServiceAccount);
    assert_eq!(site.get(&own, path).await.0, 403);
    assert_eq!(site.get(&service, path).await.0, 200);
    site.imis.switch(|s| s.groups = Groups::Missing);
    assert_eq!(site.get(&service, path).await.0, 404);
}

const PROFILE: &str = "/api/query?QueryName=$/Portico/Profile";

#[tokio::test]
async fn the_profile_query_is_about_the_caller_or_whom_the_parameter_names() {
    let site = ImisSite::start().await;
    let (service, own) = (site.token(&SERVICE).await, site.token(&CHAIR).await);
    let named = format!("{PROFILE}&Parameter=cchair");
    for (token, path) in [(&own, PROFILE), (&own, &named), (&service, &named)] {
        let (_, found) = site.get(token, path).await;
        let row = &found["Items"]["$values"][0];
        assert_eq!(row["sub"], CHAIR.uniform_id);
        assert_eq!(row["member_type"], "Fellow");
        assert_eq!(row["paid_thru"], CHAIR.paid_through);
        assert_eq!(row["roles"], "Everyone,BoardMember,Content Editor");
    }
    let other = format!("{PROFILE}&Parameter=eq:jsmith");
    assert_eq!(site.get(&own, &other).await.0, 403);
    let guest = site.token(&GUEST).await;
    assert_eq!(site.get(&guest, PROFILE).await.1["Count"], 0);

    site.imis
        .switch(|s| s.query_subject = QuerySubject::Parameter);
    assert_eq!(site.get(&service, PROFILE).await.1["Count"], 0);
    site.imis
        .switch(|s| s.query_subject = QuerySubject::LoggedInUser);
    let (_, found) = site.get(&service, &named).await;
    assert_eq!(found["Items"]["$values"][0]["sub"], SERVICE.uniform_id);
    let (_, found) = site.get(&own, &other).await;
    assert_eq!(found["Items"]["$values"][0]["sub"], CHAIR.uniform_id);
}

#[tokio::test]
async fn a_query_that_is_unknown_or_not_for_rest_is_404_for_everyone() {
    let site = ImisSite::start().await;
    let token = site.token(&ADMIN).await;
    assert_eq!(site.get(&token, PROFILE).await.0, 200);
    let unknown = "/api/query?QueryName=$/Portico/Nothing";
    assert_eq!(site.get(&token, unknown).await.0, 404);
    site.imis.switch(|s| s.queries_for_rest = false);
    for path in [PROFILE, "/api/iqa?QueryName=$/Portico/Profile"] {
        assert_eq!(site.get(&token, path).await.0, 404);
    }
    let member = site.token(&JO_SMITH).await;
    assert_eq!(site.get(&member, "/api/QueryDefinition").await.0, 403);
}

#[tokio::test]
async fn empty_columns_are_empty_null_or_left_out() {
    let site = ImisSite::start().await;
    let token = site.token(&MONO).await;
    for (empty, told) in [
        (QueryEmpty::Empty, Some(json!(""))),
        (QueryEmpty::Null, Some(Value::Null)),
        (QueryEmpty::Omitted, None),
    ] {
        site.imis.switch(|s| s.query_empty = empty);
        let (_, found) = site.get(&token, PROFILE).await;
        let row = found["Items"]["$values"][0].as_object().unwrap();
        assert_eq!(row.get("email").cloned(), told);
        let (_, found) = site.get(&token, &PROFILE.replace("query?", "iqa?")).await;
        let values = &found["Items"]["$values"][0]["Properties"]["$values"];
        let cell = values.as_array().unwrap().iter();
        let cell = cell.clone().find(|cell| cell["Name"] == "email");
        assert_eq!(cell.map(|cell| cell["Value"].clone()), told);
        assert_eq!(values[0]["Name"], "ResultRow");
    }
}

#[tokio::test]
async fn prompted_parameters_are_told_apart_by_their_position() {
    let site = ImisSite::start().await;
    let token = site.token(&SERVICE).await;
    let members = "/api/query?QueryName=$/Portico/Members";
    for (parameters, count) in [
        ("&Parameter=chair", 1),
        ("&Parameter=chair&Parameter=", 1),
        ("&Parameter=&parameter=eq:fel", 1),
        ("&Parameter=fel", 0),
        ("&Parameter=chair&Parameter=M", 0),
    ] {
        let (_, found) = site.get(&token, &format!("{members}{parameters}")).await;
        assert_eq!(found["Count"], count, "{parameters}");
    }
    let member = site.token(&JO_SMITH).await;
    assert_eq!(site.get(&member, members).await.0, 403);
}

fn typed(values: &[&str]) -> Value {
    let values: Vec<Value> = values
        .iter()
        .map(|value| json!({ "$type": "System.String", "$value": value }))
        .collect();
    json!({ "$type": "System.Collections.ObjectModel.Collection`1", "$values": values })
}

#[tokio::test]
async fn roles_are_asked_for_in_either_shape_of_the_request() {
    let site = ImisSite::start().await;
    let token = site.token(&SERVICE).await;
    for parameters in [
        typed(&["cchair"]),
        json!({ "$values": ["CCHAIR"] }),
        json!(["CCHAIR"]),
    ] {
        let (status, body) = site.execute(&token, "GetUserRoles", parameters).await;
        assert_eq!((status, &body["IsSuccessStatusCode"]), (200, &json!(true)));
        let roles = body["Result"]["$values"].as_array().unwrap();
        let names: Vec<_> = roles.iter().map(|role| &role["RoleName"]).collect();
        assert_eq!(names, ["Everyone", "BoardMember", "Content Editor"]);
        assert_ne!(roles[0]["RoleKey"], roles[1]["RoleKey"]);
    }
    let (_, none) = site
        .execute(&token, "GetUserRoles", typed(&["JSMITH"]))
        .await;
    assert_eq!(none["Result"]["$values"], json!([]));
    let (_, unknown) = site
        .execute(&token, "GetUserRoles", typed(&["nobody"]))
        .await;
    assert_eq!(unknown["IsSuccessStatusCode"], false);
    assert_eq!(unknown["Result"], Value::Null);
    let (_, user) = site.get(&token, "/api/User/20466").await;
    assert_eq!(user["Roles"], Value::Null);
    let (_, roles) = site.get(&token, "/api/Role").await;
    assert!(roles["Count"].as_i64().unwrap() >= 5);

    let member = site.token(&CHAIR).await;
    let own = async || {
        site.execute(&member, "GetUserRoles", typed(&["cchair"]))
            .await
            .0
    };
    assert_eq!(own().await, 403);
    for (execute, status) in [
        (Execute::OwnRolesToo, 200),
        (Execute::Unauthorized, 401),
        (Execute::NotImplemented, 501),
    ] {
        site.imis.switch(|s| s.execute = execute);
        assert_eq!(own().await, status);
    }
    site.imis.switch(|s| s.execute = Execute::OwnRolesToo);
    let others = site.execute(&member, "GetUserRoles", typed(&["jsmith"]));
    assert_eq!(others.await.0, 403);
    site.imis.switch(|s| s.execute = Execute::Unsuccessful);
    let (status, body) = site
        .execute(&token, "GetUserRoles", typed(&["cchair"]))
        .await;
    assert_eq!((status, &body["IsSuccessStatusCode"]), (200, &json!(false)));
    site.imis.switch(|s| s.edition = Edition::Imis2017);
    assert_eq!(
        site.execute(&token, "GetUserRoles", typed(&["cchair"]))
            .await
            .0,
        501
    );
}

#[tokio::test]
async fn a_service_account_validates_unlocks_renames_and_changes_roles() {
    let site = ImisSite::start().await;
    let token = site.token(&SERVICE).await;
    let valid = async |username: &str, password: &str| {
        let (_, body) = site
            .execute(&token, "ValidateUser", typed(&[username, password]))
            .await;
        body["Result"]["$value"].as_bool().unwrap()
    };
    assert!(valid("jsmith", JO_SMITH.password).await);
    assert!(!valid("jsmith", "wrong").await);
    assert!(!valid("nobody", "wrong").await);
    assert!(!valid(LOCKED.username, LOCKED.password).await);
    site.execute(&token, "UnlockUser", typed(&[LOCKED.username]))
        .await;
    assert!(valid(LOCKED.username, LOCKED.password).await);

    site.execute(
        &token,
        "AddUserRoles",
        json!([JO_SMITH.username, ["Editor", "editor", "Author"]]),
    )
    .await;
    site.execute(
        &token,
        "RemoveUserRoles",
        json!([JO_SMITH.username, "AUTHOR"]),
    )
    .await;
    assert_eq!(
        site.imis.person("jsmith").unwrap().roles,
        ["Editor", "editor"]
    );
    site.execute(
        &token,
        "UpdatePassword",
        typed(&["jsmith", "member-demo-new"]),
    )
    .await;
    site.execute(
        &token,
        "UpdateUserName",
        typed(&["jsmith", "j.smith@example.org"]),
    )
    .await;
    assert!(valid("J.Smith@example.org", "member-demo-new").await);
    let (_, body) = site
        .execute(&token, "FindByName", typed(&["j.smith@example.org"]))
        .await;
    assert_eq!(body["Result"]["UserId"], JO_SMITH.id);
    assert_eq!(body["Result"]["Password"], Value::Null);
}

#[tokio::test]
async fn a_member_writes_the_own_record_only_and_the_type_comes_first() {
    let site = ImisSite::start().await;
    let token = site.token(&JO_SMITH).await;
    let (_, mut party) = site.get(&token, "/api/Party/20457").await;
    let emails = party["Emails"]["$values"].as_array_mut().unwrap();
    emails.last_mut().unwrap()["Address"] = json!("new@example.org");
    let body = party.to_string();
    let put = async |path: &str, body: &str| site.write(Method::PUT, &token, path, body).await;
    let (status, answer) = put("/api/Party/20457", &body).await;
    assert_eq!((status, &answer["PartyId"]), (200, &json!("20457")));
    assert_eq!(site.imis.person("JSMITH").unwrap().email, "new@example.org");
    assert_eq!(put("/api/Party/20458", &body).await.0, 403);
    assert_eq!(put("/api/Party/1", &body).await.0, 404);
    let late = format!(r#"{{"PartyId":"20457",{}"#, &body[1..]);
    let (status, answer) = put("/api/Party/20457", &late).await;
    assert_eq!(status, 400);
    assert!(answer["Errors"]["$values"][0]["Message"].is_string());
    assert_eq!(put("/api/Party/20457", "[]").await.0, 400);

    site.imis.switch(|s| {
        s.members_write_others = true;
        s.type_first = false;
    });
    assert_eq!(put("/api/Party/20458", &late).await.0, 200);
    assert_eq!(
        site.imis.person(ZOE.username).unwrap().email,
        "new@example.org"
    );
    // The other directory owns this one's name and email.
    let service = site.token(&SERVICE).await;
    let path = format!("/api/Party/{}", OIDC_ONLY.id);
    assert_eq!(site.write(Method::PUT, &service, &path, &body).await.0, 400);
}

#[tokio::test]
async fn events_are_read_by_members_and_written_by_service_accounts() {
    let site = ImisSite::start().await;
    let (service, member) = (site.token(&SERVICE).await, site.token(&JO_SMITH).await);
    let event = r#"{ "$type": "EventData", "EventId": "walk", "Name": "Walk" }"#;
    let post = async |token: &str| site.write(Method::POST, token, "/api/Event", event).await;
    assert_eq!(post(&member).await.0, 403);
    let (status, body) = post(&service).await;
    assert_eq!((status, &body["EventId"]), (201, &json!("WALK")));
    assert_eq!(post(&service).await.0, 409);
    let (_, found) = site.get(&member, "/api/Event?name=contains:al").await;
    assert_eq!(found["Count"], 3);
    let renamed = event.replace("Walk", "Long walk");
    let put = site.write(Method::PUT, &service, "/api/Event/walk", &renamed);
    assert_eq!(put.await.0, 200);
    let (_, body) = site.get(&member, "/api/event/WALK").await;
    assert_eq!(body["Name"], "Long walk");
    let delete = async || {
        site.write(Method::DELETE, &service, "/api/Event/WALK", "")
            .await
            .0
    };
    assert_eq!(delete().await, 204);
    assert_eq!(delete().await, 404);
}

#[tokio::test]
async fn answers_of_the_api_bring_a_cookie_that_no_client_needs() {
    let site = ImisSite::start().await;
    let token = site.token(&JO_SMITH).await;
    let get = async || {
        let request = site.client.get(site.url("/api/Party/20457"));
        request.bearer_auth(&token).send().await.unwrap()
    };
    let cookie = get().await.headers()["set-cookie"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(cookie.starts_with("__RequestVerificationToken_"));
    site.imis.switch(|s| s.sets_cookies = false);
    assert!(!get().await.headers().contains_key("set-cookie"));
}

#[tokio::test]
async fn saved_queries_run_at_the_services_that_are_switched_on() {
    let site = ImisSite::start().await;
    let token = site.token(&JO_SMITH).await;
    let iqa = PROFILE.replace("query?", "iqa?");
    for (services, edition, statuses) in [
        (QueryServices::ByEdition, Edition::Ems, (200, 200)),
        (QueryServices::ByEdition, Edition::Imis2017, (404, 200)),
        (QueryServices::QueryOnly, Edition::Ems, (200, 404)),
        (QueryServices::IqaOnly, Edition::Ems, (404, 200)),
    ] {
        site.imis.switch(|s| {
            s.query_services = services;
            s.edition = edition;
        });
        let met = (
            site.get(&token, PROFILE).await.0,
            site.get(&token, &iqa).await.0,
        );
        assert_eq!(met, statuses, "{services:?} {edition:?}");
    }
}
