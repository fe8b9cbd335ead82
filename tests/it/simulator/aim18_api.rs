//! The simulated aiM18: how grants tell who it is, records that may be written, rights.

use portico::simulator::aim18::{
    AnswerIn, ApiErrors, CLIENT_ID, ChecksRight, ErrorInfo, ReturnBy, UidShape, check_right,
};
use portico::simulator::people::{
    AIM18_LOCKED, AIM18_SERVICE, ANN_LEE, Aim18Person, BIG, CHAN_TAI_MAN,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::aim18::{location, query_value};
use super::{Aim18Site, CALLBACK, answer};

impl Aim18Site {
    async fn call(&self, token: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self.client.request(method, self.url(path));
        let request = request.bearer_auth(token).header("client_id", CLIENT_ID);
        answer(request.json(&body)).await
    }

    async fn refresh(&self, token: &Value) -> (u16, Value) {
        self.token(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str().unwrap()),
            ("redirect_uri", CALLBACK),
        ])
        .await
    }
}

#[tokio::test]
async fn each_grant_tells_the_uid_as_switched() {
    let site = Aim18Site::start().await;
    for (shape, told) in [
        (UidShape::Number, Some(json!(1042))),
        (UidShape::Text, Some(json!("1042"))),
        (UidShape::Absent, None),
    ] {
        site.aim18.switch(|s| {
            s.uid = UidShape::Number;
            s.uid_by_code = Some(shape);
            s.uid_by_refresh = None;
        });
        let (_, by_code) = site.redeem(&site.code().await).await;
        assert_eq!(by_code.get("uid").cloned(), told);
        let (_, by_refresh) = site.refresh(&by_code["refresh_token"]).await;
        assert_eq!(by_refresh["uid"], 1042);
        site.aim18.switch(|s| s.uid_by_refresh = Some(shape));
        let (_, by_refresh) = site.refresh(&by_refresh["refresh_token"]).await;
        assert_eq!(by_refresh.get("uid").cloned(), told);
        assert_eq!(site.password(&ANN_LEE).await.1["uid"], 1042);
    }
    site.aim18.switch(|s| {
        s.tells_expires_in = true;
        s.expires_in_as_text = true;
        s.token_path = "oauth2/token".to_owned();
    });
    assert_eq!(site.password(&ANN_LEE).await.0, 401);
    let url = site.url("/oauth2/token");
    let hash = super::aim18::sha1_hex(ANN_LEE.password);
    let form = [
        ("grant_type", "password"),
        ("client_id", CLIENT_ID),
        ("client_secret", portico::simulator::aim18::CLIENT_SECRET),
        ("username", ANN_LEE.code),
        ("password", &hash.to_uppercase()),
    ];
    assert_eq!(answer(site.client.post(&url).form(&form)).await.0, 400);
    site.aim18.switch(|s| s.accepts_upper_hash = true);
    let (_, body) = answer(site.client.post(&url).form(&form)).await;
    assert_eq!(body["expires_in"], "3600");
}

#[tokio::test]
async fn the_code_comes_back_where_and_under_the_name_switched() {
    let site = Aim18Site::start().await;
    let back = async || site.log_in(site.entry(&[]), &ANN_LEE, "login").await;
    site.aim18.switch(|s| {
        s.code_in = AnswerIn::Fragment;
        s.code_name = "auth_code".to_owned();
    });
    let url = location(&back().await);
    assert!(url.as_str().starts_with(&format!("{CALLBACK}#auth_code=")));
    site.aim18.switch(|s| {
        s.code_in = AnswerIn::Query;
        s.joins_by_question_mark = true;
    });
    let url = location(&back().await);
    assert!(url.as_str().starts_with(&format!("{CALLBACK}?auth_code=")));
    site.aim18.switch(|s| s.return_by = ReturnBy::PostForm);
    let page = back().await.text().await.unwrap();
    assert!(page.contains("method=\"post\"") && page.contains("name=\"auth_code\""));

    site.aim18.switch(|s| {
        s.return_by = ReturnBy::Redirect(302);
        s.joins_by_question_mark = false;
        s.callback_by_prefix = true;
        s.token_in = AnswerIn::Query;
    });
    let longer = format!("{CALLBACK}&more=1");
    let entry = site.entry(&[("redirect_uri", &longer), ("response_type", "token")]);
    let url = location(&site.log_in(entry, &ANN_LEE, "login").await);
    assert!(url.as_str().starts_with(&format!("{longer}&access_token=")));
    assert!(query_value(&url, "access_token").is_some());
}

#[tokio::test]
async fn codes_and_tokens_live_and_die_as_switched() {
    let site = Aim18Site::start().await;
    site.aim18.switch(|s| s.codes_work_twice = true);
    let code = site.code().await;
    assert_eq!(site.redeem(&code).await.0, 200);
    let (_, first) = site.redeem(&code).await;
    let alive = async |token: &Value| {
        let path = "/bpm/wfs/tracking?sortBy=&startRow=1&fetchSize=1";
        site.api(token.as_str().unwrap(), path).await.0
    };
    let elsewhere = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "https://login.example.org/elsewhere"),
    ];
    assert_eq!(site.token(&elsewhere).await.0, 400);
    site.aim18.switch(|s| s.codes_are_bound = false);
    assert_eq!(site.token(&elsewhere).await.0, 200);

    assert_eq!(alive(&first["access_token"]).await, 200);
    site.aim18.switch(|s| s.refresh_ends_access = true);
    let (_, second) = site.refresh(&first["refresh_token"]).await;
    assert_eq!(alive(&first["access_token"]).await, 401);
    assert_eq!(alive(&second["access_token"]).await, 200);
    site.aim18.switch(|s| s.login_ends_access = true);
    let (_, third) = site.password(&ANN_LEE).await;
    assert_eq!(alive(&second["access_token"]).await, 401);

    site.aim18
        .change(ANN_LEE.code, |person| person.enabled = false);
    assert_eq!(alive(&third["access_token"]).await, 200);
    site.aim18.switch(|s| s.disable_ends_access = true);
    assert_eq!(alive(&third["access_token"]).await, 401);
    assert_eq!(site.refresh(&third["refresh_token"]).await.0, 400);
    site.aim18.switch(|s| s.refresh_checks_user = false);
    let (_, fourth) = site.password(&CHAN_TAI_MAN).await;
    site.aim18
        .change(CHAN_TAI_MAN.code, |person| person.enabled = false);
    let (status, fifth) = site.refresh(&fourth["refresh_token"]).await;
    assert_eq!(status, 200);

    site.aim18.switch(|s| s.password_change_ends_tokens = true);
    site.aim18
        .change(CHAN_TAI_MAN.code, |person| person.enabled = true);
    assert_eq!(alive(&fifth["access_token"]).await, 200);
    site.aim18
        .change(CHAN_TAI_MAN.code, |person| person.password = "changed");
    assert_eq!(alive(&fifth["access_token"]).await, 401);
    assert_eq!(site.refresh(&fifth["refresh_token"]).await.0, 400);
}

#[tokio::test]
async fn too_many_wrong_passwords_lock_a_user_where_that_is_switched_on() {
    let site = Aim18Site::start().await;
    assert_eq!(site.password(&AIM18_LOCKED).await.0, 400);
    let wrong = Aim18Person {
        password: "wrong",
        ..ANN_LEE
    };
    for _ in 0..9 {
        assert_eq!(site.password(&wrong).await.0, 400);
    }
    assert_eq!(site.password(&ANN_LEE).await.0, 200);
    site.aim18.switch(|s| s.lock_after = Some(2));
    for _ in 0..2 {
        site.log_in(site.entry(&[]), &wrong, "login").await;
    }
    assert_eq!(site.password(&ANN_LEE).await.0, 400);
    site.aim18
        .change(ANN_LEE.code, |person| person.locked = false);
    assert_eq!(site.password(&ANN_LEE).await.0, 200);
    let upper = Aim18Person {
        code: "ANN.LEE",
        ..ANN_LEE
    };
    assert_eq!(site.password(&upper).await.0, 400);
    site.aim18.switch(|s| s.any_letter_case = true);
    assert_eq!(site.password(&upper).await.0, 200);
}

#[tokio::test]
async fn users_tell_their_business_entities_and_languages() {
    let site = Aim18Site::start().await;
    let token = site.access_token(&AIM18_SERVICE).await;
    let path = "/root/api/read/user?menuCode=user&id=1043";
    let (_, body) = site.api(&token, path).await;
    let row = &body["data"]["user"][0];
    assert_eq!(row["beId"], 15);
    assert_eq!(
        (&row["lang"], &row["desc"]),
        (&json!("zh-TW"), &json!("陳大文"))
    );
    assert_eq!(
        (&row["desc_en"], &row["desc_zh-CN"]),
        (&json!(""), &json!("陈大文"))
    );
    // A name in the language of the caller.
    let own = site.access_token(&CHAN_TAI_MAN).await;
    let path = "/search/search?stSearch=staff&quickSearchStr=E013";
    let (_, found) = site.api(&own, path).await;
    assert_eq!(found["values"][0]["desc__lang"], "陳大文");
}

#[tokio::test]
async fn records_are_made_read_saved_and_deleted_both_ways() {
    let site = Aim18Site::start().await;
    let token = site.access_token(&ANN_LEE).await;
    let (_, empty) = site
        .call(
            &token,
            Method::POST,
            "/entity/create/cus?menuCode=cus",
            json!({}),
        )
        .await;
    assert_eq!(empty["mainTableName"], "cus");
    let mut entity = empty.clone();
    entity["cus"]["values"][0]["code"] = json!("C0009");
    let save = "/entity/save/cus";
    let (_, saved) = site.call(&token, Method::PUT, save, entity.clone()).await;
    assert_eq!(
        (&saved["status"], &saved["recordId"]),
        (&json!(true), &json!(504))
    );
    entity["cus"]["values"][0]["code"] = json!("");
    assert_eq!(site.call(&token, Method::PUT, save, entity).await.0, 400);

    let newer = json!({ "cus": [{ "id": 504, "desc_en": "New name" }] });
    let path = "/root/api/save/cus?menuCode=cus";
    assert_eq!(site.call(&token, Method::PUT, path, newer).await.0, 200);
    let read = "/root/api/read/cus?menuCode=cus&id=504";
    let (_, body) = site.api(&token, read).await;
    let row = &body["data"]["cus"][0];
    assert_eq!(
        (&row["code"], &row["desc_en"]),
        (&json!("C0009"), &json!("New name"))
    );
    assert_eq!((&row["iRev"], &row["beId"]), (&json!(2), &json!(12)));
    let (_, row) = site.api(&token, "/erp/search/code/cus/C0009").await;
    assert_eq!(row["id"], 504);

    // Another business entity's user neither sees nor changes it.
    let other = site.access_token(&CHAN_TAI_MAN).await;
    assert_eq!(site.api(&other, read).await.0, 400);
    let path = "/root/api/delete/cus?id=504";
    assert_eq!(
        site.call(&other, Method::DELETE, path, json!({})).await.0,
        400
    );
    let search = "/search/search?stSearch=cus&beId=12";
    assert_eq!(site.api(&other, search).await.0, 400);
    assert_eq!(site.api(&token, search).await.1["size"], 3);

    let (_, gone) = site.call(&token, Method::DELETE, path, json!({})).await;
    assert_eq!(gone["status"], true);
    let (status, body) = site.api(&token, read).await;
    assert_eq!((status, &body["status"]), (200, &json!(false)));
    site.aim18.switch(|s| s.search_needs_be_id = true);
    assert_eq!(site.api(&token, "/search/search?stSearch=cus").await.0, 400);
}

#[tokio::test]
async fn rights_are_looked_at_when_the_call_says_so_and_the_log_tells_it() {
    let site = Aim18Site::start().await;
    let token = site.access_token(&BIG).await;
    let read = "/entity/read/cus?menuCode=cus&id=501";
    let checked = format!("{read}&check_right=true");
    let empty = format!("{read}&check_right=");
    let ask = async |path: &str| site.api(&token, path).await.0;
    assert_eq!(
        (ask(read).await, ask(&empty).await, ask(&checked).await),
        (200, 200, 400)
    );
    let sent: Vec<Option<String>> = site.aim18.log().iter().skip(1).map(check_right).collect();
    assert_eq!(sent, [None, Some(String::new()), Some("true".to_owned())]);
    site.aim18.switch(|s| s.checks_right = ChecksRight::Always);
    assert_eq!(ask(read).await, 400);
    site.aim18.switch(|s| s.checks_right = ChecksRight::Never);
    assert_eq!(ask(&checked).await, 200);
    let header = site.client.get(site.url(read)).bearer_auth(&token);
    let header = header
        .header("client_id", CLIENT_ID)
        .header("check_right", "1");
    site.aim18
        .switch(|s| s.checks_right = ChecksRight::ByParameter);
    assert_eq!(answer(header).await.0, 400);
}

#[tokio::test]
async fn an_application_reaches_only_what_its_settings_allow() {
    let site = Aim18Site::start().await;
    let token = site.access_token(&ANN_LEE).await;
    let read = "/entity/read/cus?menuCode=cus&id=501";
    let newer = "/root/api/read/cus?menuCode=cus&id=501";
    let search = "/search/search?stSearch=cus";
    for (off, statuses) in [
        ("cus.save", [200, 200, 200]),
        ("cus.read", [400, 400, 200]),
        ("entity", [400, 200, 200]),
        ("cus", [400, 400, 400]),
        ("search", [200, 200, 400]),
    ] {
        site.aim18.switch(|s| s.apis_off = vec![off.to_owned()]);
        for (path, status) in [read, newer, search].into_iter().zip(statuses) {
            assert_eq!(site.api(&token, path).await.0, status, "{off} {path}");
        }
    }
    let body = json!({ "cus": [{ "id": 501, "code": "X" }] });
    site.aim18
        .switch(|s| s.apis_off = vec!["cus.save".to_owned()]);
    let save = site.call(&token, Method::PUT, "/root/api/save/cus?menuCode=cus", body);
    assert_eq!(save.await.0, 400);
    site.aim18.switch(|s| s.apis_off = vec!["bpm".to_owned()]);
    assert_eq!(site.api(&token, "/bpm/wfs/tracking").await.0, 400);
}

#[tokio::test]
async fn a_token_works_only_with_its_own_client_id_unless_switched() {
    let site = Aim18Site::start().await;
    let token = site.access_token(&ANN_LEE).await;
    let ask = async |client_id: Option<&str>| {
        let request = site.client.get(site.url("/bpm/wfs/tracking"));
        let request = request.bearer_auth(&token);
        answer(match client_id {
            Some(client_id) => request.header("client_id", client_id),
            None => request,
        })
        .await
        .0
    };
    assert_eq!(ask(Some(CLIENT_ID)).await, 200);
    assert_eq!((ask(None).await, ask(Some("C-other=")).await), (401, 401));
    site.aim18.switch(|s| s.denied_status = 403);
    assert_eq!(ask(None).await, 403);
    site.aim18.switch(|s| s.needs_client_id = false);
    assert_eq!((ask(None).await, ask(Some("C-other=")).await), (200, 200));
}

#[tokio::test]
async fn messages_in_the_header_are_utf8_or_escaped_or_in_another_encoding() {
    let site = Aim18Site::start().await;
    let token = site.access_token(&ANN_LEE).await;
    site.aim18.switch(|s| s.api_errors = ApiErrors::Header);
    let info = async || {
        let request = site.client.get(site.url("/search/search?stSearch=nothing"));
        let request = request.bearer_auth(&token).header("client_id", CLIENT_ID);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 400);
        response.headers()["error_info"].as_bytes().to_vec()
    };
    let plain = info().await;
    assert!(!plain.is_ascii());
    site.aim18.switch(|s| s.error_info_in = ErrorInfo::Escapes);
    let escaped = info().await;
    assert!(escaped.is_ascii());
    let [plain, escaped] =
        [plain, escaped].map(|text| serde_json::from_slice::<Value>(&text).unwrap());
    assert_eq!(plain, escaped);
    assert!(
        plain[0]["info_desc"]
            .as_str()
            .unwrap()
            .contains("操作未成功")
    );
    site.aim18.switch(|s| s.error_info_in = ErrorInfo::Latin1);
    assert!(String::from_utf8(info().await).is_err());
    site.aim18.switch(|s| s.error_info_in = ErrorInfo::Big5);
    let big5 = info().await;
    let spelt = b" \xbe\xde\xa7@\xa5\xbc\xa6\xa8\xa5\\\"";
    assert!(big5.windows(spelt.len()).any(|part| part == spelt));
}
