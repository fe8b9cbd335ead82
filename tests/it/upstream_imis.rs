//! The iMIS adapter against the simulated iMIS, through every switch and fault; and against canned records, for
//! what the simulator's people never are.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use portico::clock::Clock;
use portico::protocol::ids::UpstreamId;
use portico::protocol::locale::Label;
use portico::protocol::secret::{RESOLVED, Secret};
use portico::simulator::imis::{
    Edition, ExpiresIn, Imis, MemberRights, Switches, TokenErrors, TokenShape, UserLookup,
    UserNameAs,
};
use portico::simulator::people::{self, ImisPerson};
use portico::simulator::{Fault, Running};
use portico::upstream::imis::{ServiceAccount, Settings, open};
use portico::upstream::{Identity, LoginError, LoginMethod, Upstream};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::upstream::{kind, log_in, surroundings, told};

/// 3 February 2026, 10:00 UTC.
pub(crate) const NOW: i64 = 1_770_112_800;

pub(crate) fn settings(base_url: &str, more: &Value) -> Settings {
    let mut settings = json!({ "base_url": base_url, "timeout": "5s" });
    let object = settings.as_object_mut().unwrap();
    object.extend(more.as_object().unwrap().clone());
    serde_json::from_value(settings).unwrap()
}

pub(crate) fn service_account() -> ServiceAccount {
    ServiceAccount {
        username: people::SERVICE.username.to_owned(),
        password: Secret::new(people::SERVICE.password),
    }
}

pub(crate) fn opened(settings: Settings, clock: Clock) -> Upstream {
    open(
        UpstreamId::new("members"),
        Label::plain("Member login".to_owned()),
        vec![LoginMethod::Password],
        settings,
        &surroundings(clock),
    )
    .unwrap()
}

pub(crate) struct Site {
    pub(crate) imis: Imis,
    pub(crate) clock: Clock,
    pub(crate) running: Running,
    pub(crate) upstream: Upstream,
}

impl Site {
    /// A simulator, and an adapter without a service account.
    pub(crate) async fn start(turn: impl FnOnce(&mut Switches)) -> Self {
        Self::start_with(turn, |_| {}).await
    }

    /// The same with a service account.
    pub(crate) async fn with_service(turn: impl FnOnce(&mut Switches)) -> Self {
        Self::start_with(turn, |settings| {
            settings.service_account = Some(service_account());
        })
        .await
    }

    pub(crate) async fn start_with(
        turn: impl FnOnce(&mut Switches),
        set: impl FnOnce(&mut Settings),
    ) -> Self {
        let clock = Clock::manual(NOW);
        let imis = Imis::new(clock.clone());
        imis.switch(turn);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let running = imis.serve(listener).await.unwrap();
        let mut settings = settings(running.url(), &json!({}));
        set(&mut settings);
        let upstream = opened(settings, clock.clone());
        Self {
            imis,
            clock,
            running,
            upstream,
        }
    }

    pub(crate) async fn log_in(&self, person: &ImisPerson) -> Result<Identity, LoginError> {
        log_in(&self.upstream, person.username, person.password).await
    }

    /// How often a token was asked for by this user name.
    pub(crate) fn tokens_asked(&self, username: &str) -> usize {
        let asked = |request: &&portico::simulator::Recorded| {
            request.path.ends_with("/token")
                && request.parameter("username").as_deref() == Some(username)
        };
        self.imis.log().iter().filter(asked).count()
    }
}

#[tokio::test]
async fn a_member_logs_in_and_is_known() {
    let site = Site::start(|_| {}).await;
    let identity = site.log_in(&people::JO_SMITH).await.unwrap();
    assert_eq!(identity.subject, people::JO_SMITH.uniform_id);
    assert_eq!(identity.amr, ["pwd"]);
    let profile = identity.profile;
    assert_eq!(profile.name.as_deref(), Some("Jo Smith"));
    assert_eq!(profile.given_name.as_deref(), Some("Jo"));
    assert_eq!(profile.family_name.as_deref(), Some("Smith"));
    assert_eq!(profile.preferred_username.as_deref(), Some("JSMITH"));
    assert_eq!(profile.email.as_deref(), Some("j.smith@example.org"));
    assert_eq!(profile.email_verified, None);
}

#[tokio::test]
async fn an_address_is_vouched_for_only_where_configured() {
    let site = Site::start_with(|_| {}, |settings| settings.email_verified = Some(true)).await;
    let jo = site.log_in(&people::JO_SMITH).await.unwrap().profile;
    assert_eq!(jo.email_verified, Some(true));
    let mono = site.log_in(&people::MONO).await.unwrap().profile;
    assert_eq!((mono.email, mono.email_verified), (None, None));
    assert_eq!(mono.name.as_deref(), Some("Mono"));
    assert_eq!(mono.given_name, None);
}

#[tokio::test]
async fn names_and_passwords_survive_every_character() {
    for rights in [MemberRights::OwnRecord, MemberRights::Forbidden] {
        let site = Site::with_service(|switches| switches.member_rights = rights).await;
        let identity = site.log_in(&people::ZOE).await.unwrap();
        assert_eq!(identity.subject, people::ZOE.uniform_id);
    }
}

#[tokio::test]
async fn the_subject_is_the_same_however_editions_and_spellings_vary() {
    let turns: [fn(&mut Switches); 12] = [
        |s| s.edition = Edition::Imis2017,
        |s| s.token_shape = TokenShape::Full,
        |s| s.expires_in = ExpiresIn::Text,
        |s| s.expires_in = ExpiresIn::Absent,
        |s| s.user_name_as = UserNameAs::Typed,
        |s| s.user_name_as = UserNameAs::Upper,
        |s| s.user_name_as = UserNameAs::Lower,
        |s| s.password_grant_gives_refresh_token = true,
        |s| s.bare_items = true,
        |s| s.wrapped_values = false,
        |s| s.base_path = "/Asi.Scheduler_Demo".to_owned(),
        |s| s.user_lookup = UserLookup::Everybody,
    ];
    for (number, turn) in turns.into_iter().enumerate() {
        for shape in [TokenShape::Minimal, TokenShape::Full] {
            let site = Site::with_service(|switches| {
                switches.token_shape = shape;
                turn(switches);
            })
            .await;
            let password = people::JO_SMITH.password;
            for typed in ["JSMITH", "jsmith", "JSmith"] {
                let identity = log_in(&site.upstream, typed, password).await.unwrap();
                assert_eq!(identity.subject, people::JO_SMITH.uniform_id, "{number}");
                let name = identity.profile.preferred_username;
                assert_eq!(name.as_deref(), Some("JSMITH"));
            }
        }
    }
}

#[tokio::test]
async fn whoever_may_not_log_in_is_refused_alike_in_every_style() {
    let styles = [
        (TokenErrors::Json, "bad credentials"),
        (TokenErrors::JsonWithoutDescription, "bad credentials"),
        (TokenErrors::Bare, "bad credentials"),
        // Which codes and words stand for which state is not public.
        (TokenErrors::OtherCode, "bad credentials"),
        (TokenErrors::Text, "bad credentials"),
        (TokenErrors::OkWithError, "bad credentials"),
        // Nothing tells it from an iMIS that is broken.
        (TokenErrors::ErrorPage, "unavailable"),
    ];
    let refused = [
        people::LOCKED,
        people::DISABLED,
        people::LOGIN_EXPIRED,
        people::PASSWORD_EXPIRED,
        people::OIDC_ONLY,
        people::MULTI_FACTOR,
    ];
    for (style, expected) in styles {
        let site = Site::with_service(|switches| switches.token_errors = style).await;
        for person in &refused {
            let answer = site.log_in(person).await;
            assert_eq!(kind(&answer), expected, "{style:?} {}", person.username);
        }
        for (username, password) in [("JSMITH", "wrong-one"), ("NOBODY", "wrong-one")] {
            let answer = log_in(&site.upstream, username, password).await;
            assert_eq!(kind(&answer), expected, "{style:?}");
            assert!(!told(&answer.unwrap_err()).contains("wrong-one"));
        }
    }
}

#[tokio::test]
async fn the_operator_learns_which_state_an_account_is_in() {
    let site = Site::start(|_| {}).await;
    let error = site.log_in(&people::LOCKED).await.unwrap_err();
    assert!(told(&error).contains("locked"), "{}", told(&error));
    assert!(!error.to_string().contains("locked"));
}

#[tokio::test]
async fn the_operator_reads_what_was_refused_in_another_code_or_in_words() {
    for (style, words) in [
        (TokenErrors::OtherCode, &["login_refused", "locked"][..]),
        (TokenErrors::Text, &["HTTP 400", "locked"]),
    ] {
        let site = Site::start(|switches| switches.token_errors = style).await;
        let error = site.log_in(&people::LOCKED).await.unwrap_err();
        for word in words {
            assert!(told(&error).contains(word), "{word}: {}", told(&error));
        }
    }
}

/// RFC 6749 section 5.2: these are about Portico or the request, so nobody is told that their password is wrong.
#[tokio::test]
async fn a_refusal_of_portico_itself_is_no_wrong_password() {
    for (body, expected) in [
        (r#"{"error":"invalid_client"}"#, "protocol"),
        (r#"{"error":"unauthorized_client"}"#, "protocol"),
        (r#"{"error":"Unsupported_Grant_Type"}"#, "protocol"),
        (r#"{"error":"invalid_request"}"#, "protocol"),
        (r#"{"error":"invalid_grant"}"#, "bad credentials"),
        (r#"{"error":"user_locked"}"#, "bad credentials"),
        (r#"{"Message":"no"}"#, "bad credentials"),
        (
            "<html><p>the password member-demo-1 is wrong",
            "bad credentials",
        ),
    ] {
        for status in [400_u16, 401] {
            let answer = move || async move {
                let status = axum::http::StatusCode::from_u16(status).unwrap();
                (status, body)
            };
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let app = axum::Router::new().fallback(answer);
            let server = tokio::spawn(async move { axum::serve(listener, app).await });
            let upstream = opened(settings(&url, &json!({})), Clock::manual(NOW));
            let answer = log_in(&upstream, "JSMITH", people::JO_SMITH.password).await;
            server.abort();
            assert_eq!(kind(&answer), expected, "{status} {body}");
            let told = told(&answer.unwrap_err());
            assert!(!told.contains(people::JO_SMITH.password), "{told}");
        }
    }
}

/// T48, and no empty password ever reaches a directory.
#[tokio::test]
async fn what_cannot_be_right_is_not_sent() {
    let site = Site::start(|_| {}).await;
    let long = "x".repeat(1025);
    for (username, password) in [("JSMITH", ""), ("JSMITH", &long), ("", "x"), (&long, "x")] {
        let answer = log_in(&site.upstream, username, password).await;
        assert_eq!(kind(&answer), "bad credentials");
    }
    assert!(site.imis.log().is_empty());
}

#[tokio::test]
async fn where_members_may_not_read_the_service_account_does() {
    for rights in [MemberRights::Unauthorized, MemberRights::Forbidden] {
        for lookup in [UserLookup::Right, UserLookup::Everybody] {
            let turn = |switches: &mut Switches| {
                switches.member_rights = rights;
                switches.user_lookup = lookup;
            };
            let site = Site::with_service(turn).await;
            let identity = site.log_in(&people::JO_SMITH).await.unwrap();
            assert_eq!(identity.subject, people::JO_SMITH.uniform_id, "{rights:?}");
        }
        let site = Site::start(|switches| switches.member_rights = rights).await;
        let answer = site.log_in(&people::JO_SMITH).await;
        assert_eq!(kind(&answer), "protocol", "{rights:?}");
        assert!(told(&answer.unwrap_err()).contains("RemoteService"));
    }
    let site = Site::with_service(|s| s.member_rights = MemberRights::NoToken).await;
    let answer = site.log_in(&people::JO_SMITH).await;
    assert_eq!(kind(&answer), "bad credentials");
}

/// T31: where iMIS takes an email address for a name and does not say whose token it gave, the address may be somebody
/// else's user name.
#[tokio::test]
async fn an_address_is_not_looked_up_as_a_name_for_somebody_who_is_not_named() {
    for (shape, expected) in [(TokenShape::Minimal, "protocol"), (TokenShape::Full, "in")] {
        let turn = |switches: &mut Switches| {
            switches.member_rights = MemberRights::Forbidden;
            switches.token_shape = shape;
        };
        let site = Site::with_service(turn).await;
        let named = |person: &mut people::ImisPerson| person.username = "j.smith@example.org";
        site.imis.change(people::JO_SMITH.username, named);
        let password = people::JO_SMITH.password;
        let answer = log_in(&site.upstream, "j.smith@example.org", password).await;
        assert_eq!(kind(&answer), expected);
    }
}

/// Research, section 1: a fresh token is refused now and then.
#[tokio::test]
async fn a_token_refused_once_is_replaced_once() {
    let site = Site::start(|_| {}).await;
    for place in ["/api/user", "/api/party"] {
        site.imis.clear_log();
        site.imis.fail_once(place, Fault::Status(401));
        let identity = site.log_in(&people::JO_SMITH).await.unwrap();
        assert_eq!(identity.subject, people::JO_SMITH.uniform_id);
        assert_eq!(site.tokens_asked("JSMITH"), 2, "{place}");
    }
    site.imis.clear_log();
    site.imis.fail("/api/user", Fault::Status(401));
    assert_eq!(kind(&site.log_in(&people::JO_SMITH).await), "protocol");
    assert_eq!(site.tokens_asked("JSMITH"), 2);
}

/// T26.
#[tokio::test]
async fn a_guest_never_comes_in() {
    for name in ["Guest", "GUEST", "anonymous", "", " ", "web visitor"] {
        for shape in [TokenShape::Minimal, TokenShape::Full] {
            for rights in [MemberRights::OwnRecord, MemberRights::Forbidden] {
                let site = Site::with_service(|switches| {
                    switches.guest_user_name = Some(name.to_owned());
                    switches.token_shape = shape;
                    switches.member_rights = rights;
                })
                .await;
                let answer = site.log_in(&people::GUEST).await;
                assert_eq!(kind(&answer), "not allowed", "{name:?} {shape:?}");
            }
        }
    }
}

/// Some versions take a password at the token endpoint that the web site would not be content with.
#[tokio::test]
async fn a_password_that_imis_takes_is_enough() {
    type Turn = fn(&mut Switches);
    let turns: [(ImisPerson, Turn); 2] = [
        (people::MULTI_FACTOR, |switches| {
            switches.password_grant_ignores_multi_factor = true;
        }),
        (people::OIDC_ONLY, |switches| {
            switches.password_grant_ignores_oidc_only = true;
        }),
    ];
    for (person, turn) in turns {
        let identity = Site::start(turn).await.log_in(&person).await.unwrap();
        assert_eq!(identity.subject, person.uniform_id);
        let refused = Site::start(|_| {}).await.log_in(&person).await;
        assert_eq!(kind(&refused), "bad credentials", "{}", person.username);
    }
}

/// Web servers refuse some characters in a path, so such an id goes into the query.
#[tokio::test]
async fn an_id_with_odd_characters_is_that_of_a_person_as_any_other() {
    for rights in [MemberRights::OwnRecord, MemberRights::Forbidden] {
        let site = Site::with_service(|switches| switches.member_rights = rights).await;
        site.imis
            .change(people::JO_SMITH.username, |person| person.id = "A 7/1");
        let jo = site.log_in(&people::JO_SMITH).await.unwrap();
        assert_eq!(jo.subject, people::JO_SMITH.uniform_id);
        assert_eq!(jo.profile.more["member_id"], json!("A 7/1"));
        let asked = site.imis.log();
        let parties = asked.iter().filter(|call| call.path.contains("/Party"));
        for call in parties {
            assert!(call.path.ends_with("/api/Party"), "{call:?}");
            assert_eq!(call.query_parameter("entityid").as_deref(), Some("A 7/1"));
        }
    }
}

/// T26: no row, or somebody else's, is nobody.
#[tokio::test]
async fn nobody_comes_in_as_somebody_else() {
    for (lookup, expected) in [
        (UserLookup::Empty, "not allowed"),
        (UserLookup::SomebodyElse, "protocol"),
    ] {
        for rights in [MemberRights::OwnRecord, MemberRights::Forbidden] {
            let site = Site::with_service(|switches| {
                switches.user_lookup = lookup;
                switches.member_rights = rights;
            })
            .await;
            let answer = site.log_in(&people::JO_SMITH).await;
            assert_eq!(kind(&answer), expected, "{lookup:?} {rights:?}");
        }
    }
}

#[tokio::test]
async fn every_fault_is_told_as_what_it_is_and_without_secrets() {
    let faults = [
        (Fault::Status(500), "unavailable"),
        (Fault::Status(503), "unavailable"),
        (Fault::Throttled(Some(30)), "unavailable"),
        (Fault::ErrorPage, "unavailable"),
        (Fault::CloseAfter(0), "unavailable"),
        (Fault::CloseAfter(40), "unavailable"),
        (Fault::Page, "protocol"),
        (Fault::Nonsense, "protocol"),
        (Fault::EmptyBody, "protocol"),
        (Fault::Oversized, "protocol"),
        (
            Fault::Redirect("https://elsewhere.example/?secret".to_owned()),
            "protocol",
        ),
        (Fault::Status(404), "protocol"),
        (Fault::Status(418), "protocol"),
    ];
    for place in ["/token", "/api/user", "/api/party"] {
        let site = Site::with_service(|_| {}).await;
        for (fault, expected) in &faults {
            // A party that is not there is a person that is not there.
            let expected = match (place, fault) {
                ("/api/party", Fault::Status(404)) => "not allowed",
                _ => expected,
            };
            site.imis.mend();
            site.imis.fail(place, fault.clone());
            let answer = site.log_in(&people::JO_SMITH).await;
            assert_eq!(kind(&answer), expected, "{place} {fault:?}");
            let told = told(&answer.unwrap_err());
            assert!(!told.contains(people::JO_SMITH.password), "{told}");
            assert!(!told.contains("?secret"), "{told}");
        }
    }
}

#[tokio::test]
async fn an_imis_that_is_silent_or_gone_is_unavailable() {
    for place in ["/token", "/api/user", "/api/party"] {
        let timeout = std::time::Duration::from_millis(800);
        let site = Site::start_with(|_| {}, |settings| settings.timeout = timeout).await;
        site.imis.fail(place, Fault::Hang);
        let answer = site.log_in(&people::JO_SMITH).await;
        assert_eq!(kind(&answer), "unavailable", "{place}");
        assert!(told(&answer.unwrap_err()).contains("within"));
    }
    let Site {
        running, upstream, ..
    } = Site::start(|_| {}).await;
    running.stop().await;
    let answer = log_in(&upstream, "JSMITH", "x").await;
    assert_eq!(kind(&answer), "unavailable");
}

#[tokio::test]
async fn one_service_token_serves_many_logins_and_is_renewed_in_time() {
    let site = Site::with_service(|s| s.member_rights = MemberRights::Forbidden).await;
    let service = people::SERVICE.username;
    let site = Arc::new(site);
    let logins: Vec<_> = (0..8)
        .map(|_| {
            let site = Arc::clone(&site);
            tokio::spawn(async move { site.log_in(&people::JO_SMITH).await })
        })
        .collect();
    for login in logins {
        assert_eq!(kind(&login.await.unwrap()), "in");
    }
    assert_eq!(site.tokens_asked(service), 1);

    site.clock.advance(1100);
    assert_eq!(kind(&site.log_in(&people::JO_SMITH).await), "in");
    assert_eq!(site.tokens_asked(service), 1);
    // 1199 seconds it lives; a minute before that it is replaced.
    site.clock.advance(40);
    assert_eq!(kind(&site.log_in(&people::JO_SMITH).await), "in");
    assert_eq!(site.tokens_asked(service), 2);

    // Gone before its time: the refusal tells, and a new one is got.
    site.imis.purge_system_cache();
    assert_eq!(kind(&site.log_in(&people::JO_SMITH).await), "in");
    assert_eq!(site.tokens_asked(service), 3);
}

#[tokio::test]
async fn a_refused_service_account_is_not_locked_by_asking_again() {
    let site = Site::with_service(|s| s.member_rights = MemberRights::Forbidden).await;
    let service = people::SERVICE.username;
    site.imis
        .change(service, |person| person.password = "changed");
    for _ in 0..5 {
        let answer = site.log_in(&people::JO_SMITH).await;
        // Not the member's fault, so not a wrong password to them.
        assert_eq!(kind(&answer), "protocol");
        let told = told(&answer.unwrap_err());
        assert!(told.contains("service account"), "{told}");
        assert!(!told.contains(people::SERVICE.password), "{told}");
    }
    assert_eq!(site.tokens_asked(service), 1);
    site.clock.advance(61);
    site.imis
        .change(service, |person| person.password = people::SERVICE.password);
    assert_eq!(kind(&site.log_in(&people::JO_SMITH).await), "in");
}

#[tokio::test]
async fn a_service_account_without_rights_is_explained() {
    let site = Site::with_service(|s| s.member_rights = MemberRights::Forbidden).await;
    site.imis
        .change(people::SERVICE.username, |person| person.roles = &[]);
    let answer = site.log_in(&people::JO_SMITH).await;
    assert_eq!(kind(&answer), "protocol");
    assert!(told(&answer.unwrap_err()).contains("RemoteService"));
}

/// An iMIS that answers every login with these two records.
async fn canned(user: Value, party: Value, set: impl FnOnce(&mut Settings)) -> String {
    let token = json!({ "access_token": "t", "token_type": "bearer", "expires_in": 1199 });
    let answer = move |path: axum::http::Uri| {
        let body = match path.path() {
            "/token" => token.to_string(),
            "/api/User" => user.to_string(),
            _ => party.to_string(),
        };
        async move { (StatusCode::OK, body) }
    };
    let app = Router::new().fallback(answer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut settings = settings(&url, &json!({}));
    set(&mut settings);
    let answer = log_in(&opened(settings, Clock::manual(NOW)), "jsmith", "x").await;
    server.abort();
    match &answer {
        Ok(identity) => identity.subject.clone(),
        Err(_) => kind(&answer).to_owned(),
    }
}

fn user() -> Value {
    json!({ "Items": { "$values": [
        { "UserId": "7", "UserName": "JSMITH", "Party": { "PartyId": "7" } },
    ] } })
}

fn party() -> Value {
    json!({ "PartyId": "7", "Name": "Jo Smith", "UniformId": GUID.to_uppercase(), "IsOrganization": false })
}

const GUID: &str = "8d0f3a52-1111-4222-8333-9c000000000a";

fn with(mut record: Value, changes: &Value) -> Value {
    let changes = changes.as_object().unwrap().clone();
    record.as_object_mut().unwrap().extend(changes);
    record
}

#[tokio::test]
async fn a_record_that_is_no_person_is_refused() {
    assert_eq!(canned(user(), party(), |_| {}).await, GUID);
    let wrapped = json!({ "$type": "System.Boolean", "$value": true });
    let parties = [
        (json!({ "IsOrganization": true }), "not allowed"),
        (json!({ "IsOrganization": wrapped }), "not allowed"),
        (
            json!({ "$type": "Asi.Soa.Membership.DataContracts.OrganizationData, Asi.Contracts" }),
            "not allowed",
        ),
        (json!({ "IsMarkedForDelete": true }), "not allowed"),
        (json!({ "MarkedForDelete": "True" }), "not allowed"),
        (json!({ "PartyId": "8" }), "protocol"),
        (json!({ "PartyId": null }), "protocol"),
        (json!({ "UniformId": "7" }), "protocol"),
        (json!({ "Name": "" }), "not allowed"),
        (
            json!({ "Name": null, "PersonName": { "FullName": " " } }),
            "not allowed",
        ),
    ];
    for (changes, expected) in parties {
        let answer = canned(user(), with(party(), &changes), |_| {}).await;
        assert_eq!(answer, expected, "{changes}");
    }
    let row = |row: Value| json!({ "Items": { "$values": [row] } });
    let users = [
        (
            json!({ "Items": { "$values": [] }, "Count": 0 }),
            "not allowed",
        ),
        (json!({ "Count": 0 }), "not allowed"),
        (row(json!({ "UserName": "JSMITH" })), "not allowed"),
        (
            row(json!({ "UserName": "JSMITH", "UserId": "" })),
            "not allowed",
        ),
        (
            row(json!({ "UserName": "JSMITH", "UserId": 0 })),
            "not allowed",
        ),
        (
            row(json!({ "UserName": "JSMITH", "UserId": ".." })),
            "not allowed",
        ),
        (row(json!({ "UserId": "7" })), "protocol"),
        (
            row(
                json!({ "UserName": "JSMITH", "UserId": "7", "Party": { "IsMarkedForDelete": true } }),
            ),
            "not allowed",
        ),
        (
            row(json!({ "UserName": "JSMITH", "UserId": "7", "IsDisabled": true })),
            "not allowed",
        ),
        (
            row(json!({ "UserName": "JSMITH", "UserId": "7", "IsApproved": "False" })),
            "not allowed",
        ),
        (
            json!({ "Items": [{ "UserName": "JSMITH", "UserId": "7" }, { "UserName": "jsmith", "UserId": "8" }] }),
            "protocol",
        ),
    ];
    for (user, expected) in users {
        let answer = canned(user.clone(), party(), |_| {}).await;
        assert_eq!(answer, expected, "{user}");
    }
}

/// A person is never known by one thing today and by another tomorrow.
#[tokio::test]
async fn the_subject_is_of_one_kind() {
    let party_id = |settings: &mut Settings| {
        settings.subject = portico::upstream::imis::SubjectFrom::PartyId;
    };
    let nobodys = "00000000-0000-0000-0000-000000000000";
    for missing in [json!(null), json!(""), json!(nobodys)] {
        let party = with(party(), &json!({ "UniformId": missing }));
        assert_eq!(canned(user(), party.clone(), |_| {}).await, "protocol");
        assert_eq!(canned(user(), party, party_id).await, "party:7");
    }
    assert_eq!(canned(user(), party(), party_id).await, "party:7");

    // The user's own summary has it, too; the two must not differ.
    let summary = |guid: &str| json!({ "Items": [{ "UserName": "JSMITH", "Party": { "PartyId": 7, "UniformId": guid } }] });
    let bare = with(party(), &json!({ "UniformId": null }));
    assert_eq!(canned(summary(GUID), bare, |_| {}).await, GUID);
    let other = GUID.replace('a', "b");
    assert_eq!(canned(summary(&other), party(), |_| {}).await, "protocol");
}

#[test]
fn every_problem_is_told_with_its_key() {
    let page =
        |client_id: &str| json!({ "client_id": client_id, "client_secret": { RESOLVED: "x" } });
    let broken: Settings = serde_json::from_value(json!({
        "base_url": "http://members.example.org/api/?x",
        "web_base_url": "ftp://members.example.org",
        "sign_in_url": "https://members.example.org/Sign-in.aspx?ReturnUrl={page}",
        "logout_url": "https://me:pw@members.example.org/logout.aspx?returnurl={returnurl}",
        "signed_out_url": "mailto:a@example.org",
        "service_account": { "username": " svc", "password": { RESOLVED: "" } },
        "sso_pages": [page("Portico"), page("PORTICO"), page("a/b")],
        "timeout": "1h",
        "max_concurrent": 0,
    }))
    .unwrap();
    let problems = broken.problems();
    let keys: Vec<&str> = problems.iter().map(|each| each.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "base_url",
            "base_url",
            "base_url",
            "web_base_url",
            "logout_url",
            "signed_out_url",
            "sign_in_url",
            "logout_url",
            "service_account.username",
            "service_account.password",
            "sso_pages[1].client_id",
            "sso_pages[2].client_id",
            "timeout",
            "max_concurrent",
        ]
    );
    let fine = settings("https://members.example.org/Asi.Scheduler_X", &json!({}));
    assert_eq!(fine.problems(), []);
    let misspelt = json!({ "base_url": "https://a.example", "timeot": "10s" });
    assert!(serde_json::from_value::<Settings>(misspelt).is_err());
}

/// Staff with a second factor, where the password grant takes the code behind the password: whatever is typed goes to iMIS as it
/// is, and `amr` claims no factor that Portico did not see.
#[tokio::test]
async fn a_code_behind_the_password_is_imiss_to_judge() {
    let site = Site::with_service(|s| s.appended_code = Some("123456".to_owned())).await;
    let staff = &people::MULTI_FACTOR;
    for (typed, expected) in [
        (staff.password.to_owned(), "bad credentials"),
        (format!("{}654321", staff.password), "bad credentials"),
        ("123456".to_owned(), "bad credentials"),
    ] {
        let answer = log_in(&site.upstream, staff.username, &typed).await;
        assert_eq!(kind(&answer), expected, "{typed}");
    }
    let typed = format!("{}123456", staff.password);
    let identity = log_in(&site.upstream, staff.username, &typed).await;
    let identity = identity.unwrap();
    assert_eq!(identity.subject, staff.uniform_id);
    assert_eq!(identity.amr, ["pwd"]);
    // Nobody else has a factor to append.
    let member = &people::JO_SMITH;
    let typed = format!("{}123456", member.password);
    let answer = log_in(&site.upstream, member.username, &typed).await;
    assert_eq!(kind(&answer), "bad credentials");
}

/// An organization may have a login, and is no person.
#[tokio::test]
async fn an_organization_is_refused() {
    for edition in [Edition::Ems, Edition::Imis2017] {
        let site = Site::with_service(|switches| switches.edition = edition).await;
        let answer = site.log_in(&people::ORGANIZATION).await;
        assert_eq!(kind(&answer), "not allowed");
        assert!(told(&answer.unwrap_err()).contains("organization"));
        // The word in the record is enough, without the name of its type.
        let jo = people::JO_SMITH;
        site.imis
            .change(jo.username, |person| person.is_organization = true);
        assert_eq!(kind(&site.log_in(&jo).await), "not allowed");
    }
}
