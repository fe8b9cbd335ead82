//! What the aiM18 adapter does beside logging people in: their tokens, renewed; the people, looked at again; the service account; and
//! what a record tells.

use portico::protocol::claims::Profile;
use portico::simulator::Fault;
use portico::simulator::aim18::{
    ApiErrors, CLIENT_ID, Switches, TokenErrors, TokenMethods, UidShape, UserRights,
};
use portico::simulator::people::{AIM18_SERVICE, ANN_LEE, CHAN_TAI_MAN};
use portico::upstream::{Known, LoginError, NoVerdict, UpstreamTokens};
use serde_json::{Value, json};

use crate::upstream::told;
use crate::upstream_aim18::{CALLBACK, NOW, Site, settings};

/// The configuration of the service account.
pub(crate) fn service_account() -> Value {
    json!({ "username": AIM18_SERVICE.code, "password": AIM18_SERVICE.password })
}

fn lookup(by: &str, with: &str) -> Value {
    let name = if by == "search" { "desc__lang" } else { "desc" };
    let profile = json!({
        "module": "user", "by": by, "with": with, "fields": { "name": name, "email": "email" },
    });
    json!({ "profile": profile, "service_account": service_account() })
}

fn kind<T>(answer: &Result<T, LoginError>) -> &'static str {
    match answer {
        Ok(_) => "fine",
        Err(error) if matches!(error.no_verdict(), Some(NoVerdict::TokenRefused(_))) => {
            "token refused"
        }
        Err(error) if error.no_verdict().is_some() => "no token",
        Err(LoginError::BadCredentials(_)) => "bad credentials",
        Err(LoginError::NotAllowed(_)) => "not allowed",
        Err(LoginError::Unavailable(_)) => "unavailable",
        Err(LoginError::Protocol(_)) => "protocol",
        Err(_) => "another",
    }
}

impl Site {
    async fn tokens(&self) -> UpstreamTokens {
        self.ann_by_password().await.unwrap().tokens.unwrap()
    }

    async fn renew(&self, tokens: &UpstreamTokens) -> Result<UpstreamTokens, LoginError> {
        self.upstream.renewal.as_ref().unwrap().renew(tokens).await
    }

    async fn recheck(
        &self,
        subject: &str,
        profile: &Profile,
        tokens: Option<&UpstreamTokens>,
    ) -> Result<Profile, LoginError> {
        let person = Known {
            subject,
            profile,
            tokens,
        };
        self.upstream
            .recheck
            .as_ref()
            .unwrap()
            .recheck(&person)
            .await
    }
}

#[tokio::test]
async fn a_login_gives_tokens_with_their_end_and_their_application() {
    let hour = 3600;
    for (tells, as_text, seconds, more, life) in [
        (false, false, 7, json!({}), hour),
        (false, false, 7, json!({ "token_lifetime": "20m" }), 1200),
        (true, false, 900, json!({}), 900),
        (true, true, 900, json!({ "token_lifetime": "20m" }), 900),
        // A lifetime of nothing is none.
        (true, false, 0, json!({}), hour),
        (true, true, -5, json!({}), hour),
    ] {
        let turn = |switches: &mut Switches| {
            switches.tells_expires_in = tells;
            switches.expires_in_as_text = as_text;
            switches.access_token_seconds = seconds;
        };
        let site = Site::start_with(turn, &more).await;
        for identity in [
            site.ann_by_password().await.unwrap(),
            site.by_redirect(&ANN_LEE).await.unwrap(),
        ] {
            let tokens = identity.tokens.unwrap();
            assert_eq!(tokens.expires_at, NOW + life, "{tells} {as_text} {seconds}");
            assert_eq!(tokens.application.as_deref(), Some(CLIENT_ID));
            assert_eq!(tokens.subject, Some(identity.subject));
            assert!(tokens.refresh.is_some());
            assert!(!tokens.access.expose().is_empty());
        }
    }
}

/// Research, section 2: the documentation marks `redirect_uri` as required for this grant, too.
#[tokio::test]
async fn a_renewal_asks_as_documented_by_the_configured_method() {
    for (method, offered) in [
        ("get", TokenMethods::GetOnly),
        ("post", TokenMethods::PostOnly),
        ("auto", TokenMethods::GetOnly),
        ("auto", TokenMethods::PostOnly),
    ] {
        let turn = |switches: &mut Switches| switches.token_methods = offered;
        let site = Site::start_with(turn, &json!({ "token_method": method })).await;
        let tokens = site.tokens().await;
        site.aim18.clear_log();
        let renewed = site.renew(&tokens).await.unwrap();
        assert!(!renewed.access.equals(tokens.access.expose()));
        assert_eq!(renewed.expires_at, NOW + 3600);
        assert_eq!(renewed.application.as_deref(), Some(CLIENT_ID));
        let requests = site.token_requests();
        assert_eq!(requests.len(), 1, "{method} {offered:?}");
        let sent = |name: &str| requests[0].parameter(name);
        assert_eq!(sent("grant_type").as_deref(), Some("refresh_token"));
        assert_eq!(sent("redirect_uri").as_deref(), Some(CALLBACK));
        assert_eq!(sent("client_id").as_deref(), Some(CLIENT_ID));
        assert!(
            tokens
                .refresh
                .unwrap()
                .equals(&sent("refresh_token").unwrap())
        );
    }
}

/// Research, section 4: whether refresh tokens rotate is unknown.
#[tokio::test]
async fn the_newest_refresh_token_is_kept() {
    for rotates in [true, false] {
        let site = Site::start(|switches| switches.rotates_refresh_tokens = rotates).await;
        let mut tokens = site.tokens().await;
        for _ in 0..3 {
            let renewed = site.renew(&tokens).await.unwrap();
            let old = tokens.refresh.unwrap();
            let new = renewed.refresh.as_ref().unwrap();
            assert_eq!(new.equals(old.expose()), !rotates);
            tokens = renewed;
        }
    }
}

#[tokio::test]
async fn a_renewal_may_name_the_person_again_or_not_at_all_but_nobody_else() {
    for (shape, expected) in [
        (UidShape::Number, "fine"),
        (UidShape::Text, "fine"),
        (UidShape::Absent, "fine"),
    ] {
        let site = Site::start(|switches| switches.uid_by_refresh = Some(shape)).await;
        let tokens = site.tokens().await;
        let renewed = site.renew(&tokens).await;
        assert_eq!(kind(&renewed), expected, "{shape:?}");
        assert_eq!(renewed.unwrap().subject.as_deref(), Some("uid:1042"));
    }
    // Somebody else's number, and nobody's.
    for other in ["uid:1043", "uid:0"] {
        let site = Site::start(|_| {}).await;
        let mut tokens = site.tokens().await;
        tokens.subject = Some(other.to_owned());
        let answer = site.renew(&tokens).await;
        assert_eq!(kind(&answer), "protocol");
        assert!(told(&answer.unwrap_err()).contains("somebody else"));
    }
}

#[tokio::test]
async fn tokens_that_are_good_for_nothing_ask_for_a_new_login() {
    let styles = [
        TokenErrors::Json,
        TokenErrors::Status(401),
        TokenErrors::Status(403),
        TokenErrors::OkWithoutToken,
        TokenErrors::OkEmpty,
        TokenErrors::CheckMessage,
        TokenErrors::Header,
    ];
    for style in styles {
        let site = Site::start(|switches| switches.token_errors = style).await;
        let tokens = site.tokens().await;
        site.aim18.forget_tokens();
        let answer = site.renew(&tokens).await;
        assert_eq!(kind(&answer), "bad credentials", "{style:?}");
        let told = told(&answer.unwrap_err());
        assert!(!told.contains(tokens.refresh.unwrap().expose()), "{told}");
    }
    let site = Site::start(|_| {}).await;
    let tokens = site.tokens().await;
    site.aim18.clear_log();
    // Neither is worth a request.
    let mut without = tokens.clone();
    without.refresh = None;
    assert_eq!(kind(&site.renew(&without).await), "bad credentials");
    let mut foreign = tokens.clone();
    foreign.application = Some("another-application".to_owned());
    assert_eq!(kind(&site.renew(&foreign).await), "bad credentials");
    assert!(site.aim18.log().is_empty());
    // An outage is no verdict.
    for fault in [Fault::Status(503), Fault::Throttled(None)] {
        site.aim18.fail_once("/oauth/token", fault);
        assert_eq!(kind(&site.renew(&tokens).await), "unavailable");
    }
    assert_eq!(kind(&site.renew(&tokens).await), "fine");
}

#[tokio::test]
async fn a_record_is_read_with_whose_token_is_configured() {
    for by in ["read", "root_read", "search"] {
        for (with, rights, name) in [
            ("user", UserRights::Own, Some("Ann Lee")),
            ("user", UserRights::ServiceAccount, None),
            (
                "service_account",
                UserRights::ServiceAccount,
                Some("Ann Lee"),
            ),
            ("service_account", UserRights::Nobody, None),
        ] {
            let turn = |switches: &mut Switches| switches.user_rights = rights;
            let site = Site::start_with(turn, &lookup(by, with)).await;
            for identity in [
                site.ann_by_password().await.unwrap(),
                site.by_redirect(&ANN_LEE).await.unwrap(),
            ] {
                let profile = &identity.profile;
                assert_eq!(profile.name.as_deref(), name, "{by} {with} {rights:?}");
                // The tokens are the person's, whoever read the record (T61).
                let tokens = identity.tokens.unwrap();
                assert_eq!(tokens.subject.as_deref(), Some("uid:1042"));
            }
        }
    }
}

#[tokio::test]
async fn the_service_accounts_token_is_asked_for_once() {
    let site = Site::start_with(|_| {}, &lookup("read", "service_account")).await;
    let service = site.upstream.service.as_ref().unwrap();
    let first = service.token(None).await.unwrap();
    let second = service.token(None).await.unwrap();
    assert!(first.access.equals(second.access.expose()));
    assert_eq!(first.application.as_deref(), Some(CLIENT_ID));
    assert_eq!(first.subject.as_deref(), Some("uid:9001"));
    site.ann_by_password().await.unwrap();
    let logins = |site: &Site| {
        let requests = site.token_requests();
        let logins = requests
            .iter()
            .filter(|each| each.parameter("username").as_deref() == Some(AIM18_SERVICE.code));
        logins.count()
    };
    assert_eq!(logins(&site), 1);
    // The password went out as its hash, as everybody's does.
    assert!(!format!("{:?}", site.aim18.log()).contains(AIM18_SERVICE.password));
    // One that aiM18 has forgotten is replaced, once, in the middle of a login.
    site.aim18.forget_tokens();
    let profile = site.ann_by_password().await.unwrap().profile;
    assert_eq!(profile.name.as_deref(), Some("Ann Lee"));
    assert_eq!(logins(&site), 2);
    let stale = service.token(Some(&first.access)).await.unwrap();
    assert!(!stale.access.equals(first.access.expose()));
    assert_eq!(logins(&site), 2);
}

#[tokio::test]
async fn a_service_account_that_cannot_log_in_is_told_to_the_operator() {
    let mut more = lookup("read", "service_account");
    more["service_account"]["password"] = json!("wrong-password");
    let site = Site::start_with(|_| {}, &more).await;
    let service = site.upstream.service.as_ref().unwrap();
    let answer = service.token(None).await;
    assert_eq!(kind(&answer), "protocol");
    let told = told(&answer.unwrap_err());
    assert!(told.contains("service_account"), "{told}");
    assert!(!told.contains("wrong-password"), "{told}");
    // It is not tried again at every login: aiM18 may lock it.
    site.aim18.clear_log();
    assert_eq!(site.ann_by_password().await.unwrap().profile.name, None);
    assert_eq!(site.token_requests().len(), 1);
    // And without one there is none.
    assert!(Site::start(|_| {}).await.upstream.service.is_none());
}

#[tokio::test]
async fn a_person_is_looked_at_again() {
    for by in ["read", "root_read", "search"] {
        for with in ["user", "service_account"] {
            let site = Site::start_with(|_| {}, &lookup(by, with)).await;
            let identity = site.ann_by_password().await.unwrap();
            let (subject, profile) = (&identity.subject, &identity.profile);
            let tokens = identity.tokens.as_ref();
            site.aim18
                .change(ANN_LEE.code, |ann| ann.email = "ann@example.com");
            let now = site.recheck(subject, profile, tokens).await.unwrap();
            assert_eq!(now.email.as_deref(), Some("ann@example.com"), "{by} {with}");
            assert_eq!(now.preferred_username.as_deref(), Some(ANN_LEE.code));
            // A login name that has changed hides nobody.
            site.aim18.change(ANN_LEE.code, |ann| ann.code = "ann.chan");
            let now = site.recheck(subject, profile, tokens).await.unwrap();
            assert_eq!(now.name.as_deref(), Some("Ann Lee"), "{by} {with}");
            // Without tokens the own record cannot be read; the service account needs none.
            let answer = site.recheck(subject, profile, None).await;
            let expected = if with == "user" { "no token" } else { "fine" };
            assert_eq!(kind(&answer), expected, "{by} {with}");
        }
    }
}

#[tokio::test]
async fn who_has_gone_may_not_come_in_any_more() {
    for by in ["read", "root_read", "search"] {
        let paged = |switches: &mut Switches| switches.search_page = Some(2);
        let site = Site::start_with(paged, &lookup(by, "service_account")).await;
        let ann = site.ann_by_password().await.unwrap();
        site.aim18.change(ANN_LEE.code, |person| person.uid = 4711);
        let answer = site.recheck(&ann.subject, &ann.profile, None).await;
        assert_eq!(kind(&answer), "not allowed", "{by}");
        // Of whom nothing could ever be read nothing is known now, either.
        let answer = site.recheck(&ann.subject, &Profile::default(), None).await;
        assert_eq!(kind(&answer), "protocol", "{by}");
    }
    // Tokens that aiM18 has ended are no answer about the person: a renewed one may be taken.
    for (status, by) in [(401, "read"), (403, "root_read"), (400, "search")] {
        let turn = |switches: &mut Switches| {
            switches.disable_ends_access = true;
            switches.denied_status = status;
        };
        let site = Site::start_with(turn, &lookup(by, "user")).await;
        let ann = site.ann_by_password().await.unwrap();
        site.aim18
            .change(ANN_LEE.code, |person| person.enabled = false);
        let tokens = ann.tokens.as_ref();
        let answer = site.recheck(&ann.subject, &ann.profile, tokens).await;
        assert_eq!(kind(&answer), "token refused", "{status} {by}");
    }
}

/// A right that somebody does not have is refused like this, too.
#[tokio::test]
async fn a_403_without_a_reason_is_no_refused_token() {
    let site = Site::start_with(|_| {}, &lookup("read", "user")).await;
    let ann = site.ann_by_password().await.unwrap();
    site.aim18.fail("/read/", Fault::Status(403));
    let answer = site
        .recheck(&ann.subject, &ann.profile, ann.tokens.as_ref())
        .await;
    assert_eq!(kind(&answer), "protocol");
}

#[tokio::test]
async fn a_look_that_tells_nothing_is_no_verdict() {
    for with in ["user", "service_account"] {
        let site = Site::start_with(|_| {}, &lookup("read", with)).await;
        let ann = site.ann_by_password().await.unwrap();
        let tokens = ann.tokens.as_ref();
        for (fault, expected) in [
            (Fault::Status(503), "unavailable"),
            (Fault::CloseAfter(0), "unavailable"),
            (Fault::Page, "protocol"),
            (Fault::Nonsense, "protocol"),
            (Fault::EmptyBody, "protocol"),
            (Fault::Oversized, "protocol"),
            (Fault::Status(404), "protocol"),
        ] {
            site.aim18.fail("/read/", fault.clone());
            let answer = site.recheck(&ann.subject, &ann.profile, tokens).await;
            site.aim18.mend();
            assert_eq!(kind(&answer), expected, "{with} {fault:?}");
            site.aim18.mend();
        }
        site.aim18
            .switch(|switches| switches.user_rights = UserRights::Nobody);
        let answer = site.recheck(&ann.subject, &ann.profile, tokens).await;
        assert_eq!(kind(&answer), "protocol");
        let answer = site.recheck("party:1", &ann.profile, tokens).await;
        assert_eq!(kind(&answer), "protocol");
    }
    // A service account that is refused is no fault of the person's.
    let site = Site::start_with(|_| {}, &lookup("read", "service_account")).await;
    let ann = site.ann_by_password().await.unwrap();
    site.aim18.fail("/read/", Fault::Status(401));
    let answer = site.recheck(&ann.subject, &ann.profile, None).await;
    assert_eq!(kind(&answer), "protocol");
    assert!(told(&answer.unwrap_err()).contains("underscores_in_headers"));
}

/// A right that was lost, a proxy that answers in aiM18's place, and what one's own token does not show: all of it looks like a record that
/// is gone, and the service account's own record is gone with it.
#[tokio::test]
async fn a_record_is_gone_only_where_the_service_account_finds_its_own() {
    for with in ["service_account", "user"] {
        for by in ["read", "root_read"] {
            let turn = |switches: &mut Switches| switches.api_errors = ApiErrors::OkFalse;
            let site = Site::start_with(turn, &lookup(by, with)).await;
            let ann = site.ann_by_password().await.unwrap();
            let tokens = ann.tokens.as_ref();
            site.aim18
                .switch(|switches| switches.user_rights = UserRights::Nobody);
            let answer = site.recheck(&ann.subject, &ann.profile, tokens).await;
            assert_eq!(kind(&answer), "protocol", "{by} {with}");
            site.aim18
                .switch(|switches| switches.user_rights = UserRights::Everybody);
            let answer = site.recheck(&ann.subject, &ann.profile, tokens).await;
            assert_eq!(kind(&answer), "fine", "{by} {with}");
            site.aim18.change(ANN_LEE.code, |person| person.uid = 4711);
            let answer = site.recheck(&ann.subject, &ann.profile, tokens).await;
            let expected = if with == "user" {
                "token refused"
            } else {
                "not allowed"
            };
            assert_eq!(kind(&answer), expected, "{by} {with}");
        }
    }
}

#[tokio::test]
async fn without_a_record_a_persons_token_may_be_tried() {
    assert!(Site::start(|_| {}).await.upstream.recheck.is_none());
    let turn = |switches: &mut Switches| switches.disable_ends_access = true;
    let site = Site::start_with(turn, &json!({ "try_tokens": true })).await;
    let ann = site.ann_by_password().await.unwrap();
    let tokens = ann.tokens.as_ref();
    let now = site
        .recheck(&ann.subject, &ann.profile, tokens)
        .await
        .unwrap();
    assert_eq!(now, ann.profile);
    let asked = site.aim18.log();
    let asked = asked.last().unwrap();
    assert!(asked.path.ends_with("/jsf/rfws/bpm/wfs/tracking"));
    assert_eq!(asked.header("client_id"), Some(CLIENT_ID));
    let answer = site.recheck(&ann.subject, &ann.profile, None).await;
    assert_eq!(kind(&answer), "no token");
    site.aim18.fail_once("/tracking", Fault::Status(503));
    let answer = site.recheck(&ann.subject, &ann.profile, tokens).await;
    assert_eq!(kind(&answer), "unavailable");
    site.aim18
        .change(ANN_LEE.code, |person| person.enabled = false);
    let answer = site.recheck(&ann.subject, &ann.profile, tokens).await;
    assert_eq!(kind(&answer), "token refused");
}

#[tokio::test]
async fn a_record_gives_claims_of_every_kind() {
    let more = json!({
        "service_account": service_account(),
        "profile": {
            "module": "user",
            "by": "root_read",
            "with": "service_account",
            "fields": { "name": "desc_zh-TW", "locale": "lang", "business_entity": "beId" },
            "claims": { "login_locked": "locked", "expires": "expiredDate", "erp_code": "code" },
            "groups": { "field": "beIds" },
        },
    });
    let site = Site::start_with(|_| {}, &more).await;
    let identity = site.by_redirect(&CHAN_TAI_MAN).await.unwrap();
    let profile = identity.profile;
    assert_eq!(profile.name.as_deref(), Some(CHAN_TAI_MAN.desc_zh_tw));
    let told: Value = json!(profile.more);
    assert_eq!(
        told,
        json!({
            "locale": CHAN_TAI_MAN.language,
            "business_entity": CHAN_TAI_MAN.be_ids[0],
            "login_locked": false,
            "erp_code": CHAN_TAI_MAN.code,
            // 1900-01-01 stands for no date, and so is not told.
        })
    );
    let groups = CHAN_TAI_MAN.be_ids.iter().map(ToString::to_string);
    assert_eq!(profile.groups, groups.collect::<Vec<_>>());
    let names = [
        "locale",
        "business_entity",
        "groups",
        "erp_code",
        "expires",
        "login_locked",
    ];
    assert_eq!(site.upstream.claims, names);
    assert!(Site::start(|_| {}).await.upstream.claims.is_empty());
}

#[tokio::test]
async fn a_record_decides_who_comes_in_where_it_is_to() {
    let with = |values: &[&str]| {
        let mut more = lookup("read", "service_account");
        more["profile"]["active"] = json!({ "field": "locked", "values": values });
        more
    };
    let site = Site::start_with(|_| {}, &with(&["false", "0"])).await;
    let ann = site.by_redirect(&ANN_LEE).await.unwrap();
    let look = || site.recheck(&ann.subject, &ann.profile, None);
    assert_eq!(kind(&look().await), "fine");
    site.aim18
        .change(ANN_LEE.code, |person| person.locked = true);
    assert_eq!(kind(&look().await), "not allowed");
    // A record that cannot be read lets nobody in.
    site.aim18
        .change(ANN_LEE.code, |person| person.locked = false);
    site.aim18.fail("/read/", Fault::Page);
    let answer = site.ann_by_password().await;
    assert_eq!(kind(&answer), "protocol");
    assert!(told(&answer.unwrap_err()).contains("may come in"));
    let site = Site::start_with(|_| {}, &with(&["true"])).await;
    assert_eq!(kind(&site.ann_by_password().await), "not allowed");
}

#[test]
fn every_problem_of_the_later_keys_is_told() {
    let broken = settings(
        "https://erp.example.org",
        &json!({
            "token_path": "/oauth//token",
            "code_parameter": "state",
            "service_account": { "username": "", "password": "" },
            "check_right": "",
            "try_tokens": true,
            "profile": {
                "module": "user",
                "by": "search",
                "claims": { "sub": "id", "locale": "lang", "groups": "roles", "a b": "x", "fine": "" },
                "groups": { "field": "", "table": "roles" },
                "active": { "field": "x", "values": [] },
            },
        }),
    );
    let problems = broken.problems();
    let mut keys: Vec<&str> = problems.iter().map(|each| each.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "check_right",
            "code_parameter",
            "profile.active.values",
            "profile.claims.a b",
            "profile.claims.fine",
            "profile.claims.groups",
            "profile.claims.locale",
            "profile.claims.sub",
            "profile.groups.field",
            "profile.groups.table",
            "service_account.password",
            "service_account.username",
            "token_path",
            "try_tokens",
        ]
    );
    let lacking = json!({ "profile": { "module": "user", "with": "service_account", "fields": { "name": "desc" } } });
    let problems = settings("https://erp.example.org", &lacking).problems();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].key, "profile.with");
}

#[tokio::test]
async fn another_token_path_and_another_name_for_the_code_are_configuration() {
    let turn = |switches: &mut Switches| {
        switches.token_path = "oauth2/token".to_owned();
        switches.code_name = "authCode".to_owned();
    };
    let more = json!({ "token_path": "oauth2/token", "code_parameter": "authCode" });
    let site = Site::start_with(turn, &more).await;
    assert_eq!(kind(&site.by_redirect(&ANN_LEE).await), "fine");
}
