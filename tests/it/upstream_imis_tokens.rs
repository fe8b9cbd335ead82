//! What a login at the simulated iMIS leaves to act with: tokens and their renewal, the service account's token, the look at
//! a person who came in earlier, and calls of the API.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use portico::clock::Clock;
use portico::protocol::claims::Profile;
use portico::protocol::params::Params;
use portico::protocol::secret::{RESOLVED, Secret};
use portico::simulator::Fault;
use portico::simulator::imis::{ExpiresIn, MemberRights, RefreshTokens, Switches, UserLookup};
use portico::simulator::people::{self, AccountState, ImisPerson};
use portico::upstream::imis::{ServiceAccount, Settings, SsoPage, SubjectFrom};
use portico::upstream::{ApiAnswer, ApiCall, Identity, Known, LoginError, UpstreamTokens};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::upstream::{kind, log_in, told};
use crate::upstream_imis::{NOW, Site, opened, service_account, settings};

fn page(secret: &str) -> SsoPage {
    let page = json!({ "client_id": "Portico", "client_secret": { RESOLVED: secret } });
    serde_json::from_value(page).unwrap()
}

fn with_page(settings: &mut Settings) {
    settings.sso_pages.push(page("sso-demo-secret"));
}

impl Site {
    async fn land(&self, username: Option<&str>) -> Result<Identity, LoginError> {
        let token = self.imis.hand_out_refresh_token("Portico", username);
        let form = format!("refresh_token={}", token.unwrap());
        let landing = self.upstream.landing.as_ref().unwrap();
        landing
            .redeem("Portico", &Params::parse(form.as_bytes()).unwrap())
            .await
    }

    async fn renew(&self, tokens: &UpstreamTokens) -> Result<UpstreamTokens, LoginError> {
        self.upstream.renewal.as_ref().unwrap().renew(tokens).await
    }

    async fn recheck(
        &self,
        identity: &Identity,
        tokens: Option<&UpstreamTokens>,
    ) -> Result<Profile, LoginError> {
        let known = Known {
            subject: &identity.subject,
            profile: &identity.profile,
            tokens,
        };
        self.upstream
            .recheck
            .as_ref()
            .unwrap()
            .recheck(&known)
            .await
    }

    async fn call(&self, call: &ApiCall, access: &str) -> Result<ApiAnswer, LoginError> {
        let tokens = tokens(access);
        self.upstream
            .api
            .as_ref()
            .unwrap()
            .call(call, &tokens)
            .await
    }

    /// Whether the API takes this token.
    async fn takes(&self, tokens: &UpstreamTokens) -> bool {
        let answer = self.call(&get("User"), tokens.access.expose()).await;
        !answer.unwrap().token_refused
    }
}

fn tokens(access: &str) -> UpstreamTokens {
    UpstreamTokens {
        access: Secret::new(access),
        refresh: None,
        expires_at: NOW,
        application: None,
        subject: None,
        sign_off_hint: None,
    }
}

fn get(entity: &str) -> ApiCall {
    ApiCall {
        method: "GET".to_owned(),
        path: vec![entity.to_owned()],
        query: Vec::new(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

/// The variant of an error; of anything.
fn verdict<T>(answer: Result<T, LoginError>) -> &'static str {
    let nobody = |_| Identity {
        subject: String::new(),
        profile: Profile::default(),
        amr: Vec::new(),
        acr: None,
        tokens: None,
    };
    kind(&answer.map(nobody))
}

#[tokio::test]
async fn a_login_leaves_the_tokens_that_it_gave() {
    for (told, expires_at) in [
        (ExpiresIn::Number, NOW + 1199),
        (ExpiresIn::Text, NOW + 1199),
        (ExpiresIn::Absent, NOW + 300),
        // A token that is told to be dead is not thrown away unused.
        (ExpiresIn::Zero, NOW + 300),
    ] {
        let site = Site::start_with(|switches| switches.expires_in = told, with_page).await;
        let by_password = site
            .log_in(&people::JO_SMITH)
            .await
            .unwrap()
            .tokens
            .unwrap();
        assert!(site.takes(&by_password).await);
        assert_eq!(by_password.expires_at, expires_at);
        assert!(by_password.refresh.is_none());
        assert_eq!(by_password.application, None);

        let landed = site.land(Some("JSMITH")).await.unwrap().tokens.unwrap();
        assert!(site.takes(&landed).await);
        assert_eq!(landed.expires_at, expires_at);
        assert!(landed.refresh.is_some());
        assert_eq!(landed.application.as_deref(), Some("Portico"));
    }
}

/// A token that is replaced before the login is through is not the one that is kept.
#[tokio::test]
async fn the_token_that_is_kept_is_the_one_that_works() {
    let site = Site::start(|_| {}).await;
    site.imis.fail_once("/api/user", Fault::Status(401));
    let kept = site
        .log_in(&people::JO_SMITH)
        .await
        .unwrap()
        .tokens
        .unwrap();
    let used = site.imis.log().last().unwrap().bearer().unwrap().to_owned();
    assert_eq!(kept.access.expose(), used);
}

#[tokio::test]
async fn tokens_are_renewed_as_often_as_the_refresh_token_allows() {
    for (switch, again, repeats) in [
        (RefreshTokens::Rotating, true, false),
        (RefreshTokens::Reusable, true, true),
        // RFC 6749 section 6: without another one, the old one stays.
        (RefreshTokens::ReusableUntold, true, true),
        (RefreshTokens::SingleUse, false, false),
    ] {
        let site = Site::start_with(|switches| switches.refresh_tokens = switch, with_page).await;
        let landed = site.land(Some("JSMITH")).await.unwrap().tokens.unwrap();
        site.clock.advance(1000);
        let renewed = site.renew(&landed).await;
        if !again {
            assert_eq!(verdict(renewed), "bad credentials", "{switch:?}");
            continue;
        }
        let renewed = renewed.unwrap();
        assert_eq!(renewed.expires_at, NOW + 1000 + 1199);
        assert_eq!(renewed.application.as_deref(), Some("Portico"));
        assert!(site.takes(&renewed).await);
        let same = renewed.refresh.as_ref().unwrap().expose() == landed.refresh.unwrap().expose();
        assert_eq!(same, repeats, "{switch:?}");
        // Thirty minutes later the refresh token has ended, too.
        site.clock.advance(1801);
        assert_eq!(verdict(site.renew(&renewed).await), "bad credentials");
    }
}

/// T64: a lost answer may have spent the token, so nothing is asked twice.
#[tokio::test]
async fn a_renewal_is_asked_once_whatever_comes_of_it() {
    let site = Site::start_with(|_| {}, with_page).await;
    let landed = site.land(Some("JSMITH")).await.unwrap().tokens.unwrap();
    for (fault, expected) in [
        (Fault::Status(500), "unavailable"),
        (Fault::CloseAfter(0), "unavailable"),
        (Fault::Throttled(None), "unavailable"),
        (Fault::Page, "protocol"),
    ] {
        site.imis.mend();
        site.imis.clear_log();
        site.imis.fail("/token", fault.clone());
        let answer = site.renew(&landed).await;
        let secret = landed.refresh.as_ref().unwrap().expose();
        assert!(!told(answer.as_ref().unwrap_err()).contains(secret));
        assert_eq!(verdict(answer), expected, "{fault:?}");
        assert_eq!(site.imis.log().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_disabled_person_gets_no_new_tokens() {
    let site = Site::start_with(|_| {}, with_page).await;
    let landed = site.land(Some("JSMITH")).await.unwrap().tokens.unwrap();
    site.imis
        .change("JSMITH", |person| person.state = AccountState::Disabled);
    assert_eq!(verdict(site.renew(&landed).await), "bad credentials");
}

#[tokio::test]
async fn a_wrong_client_secret_is_our_fault_and_not_the_persons() {
    let site = Site::start_with(|_| {}, with_page).await;
    let landed = site.land(Some("JSMITH")).await.unwrap().tokens.unwrap();
    let wrong = |settings: &mut Settings| settings.sso_pages.push(page("wrong"));
    let mut settings = settings(site.running.url(), &json!({}));
    wrong(&mut settings);
    let other = opened(settings, site.clock.clone());
    let answer = other.renewal.unwrap().renew(&landed).await;
    let reason = told(answer.as_ref().unwrap_err());
    assert!(reason.contains("invalid_client"), "{reason}");
    assert_eq!(verdict(answer), "protocol");
}

/// Whether such a token can be renewed at all is not public, so it is tried only where an administrator says how.
#[tokio::test]
async fn a_password_logins_refresh_token_is_renewed_only_where_configured() {
    let turn = |switches: &mut Switches| switches.password_grant_gives_refresh_token = true;
    let site = Site::start_with(turn, with_page).await;
    let given = site
        .log_in(&people::JO_SMITH)
        .await
        .unwrap()
        .tokens
        .unwrap();
    assert!(given.refresh.is_some());
    site.imis.clear_log();
    let answer = site.renew(&given).await;
    assert!(told(answer.as_ref().unwrap_err()).contains("renew_with"));
    assert_eq!(verdict(answer), "bad credentials");
    assert!(site.imis.log().is_empty());

    let site = Site::start_with(turn, |settings| {
        with_page(settings);
        settings.renew_with = Some("Portico".to_owned());
    })
    .await;
    let given = site
        .log_in(&people::JO_SMITH)
        .await
        .unwrap()
        .tokens
        .unwrap();
    assert!(site.takes(&site.renew(&given).await.unwrap()).await);
}

/// T26.
#[tokio::test]
async fn a_guests_token_is_good_for_nothing() {
    for name in [Some("Guest"), Some("anonymous"), Some(""), None] {
        let turn = |switches: &mut Switches| {
            switches.guest_user_name = name.map(str::to_owned);
        };
        let site = Site::start_with(turn, |settings| {
            with_page(settings);
            settings.service_account = Some(service_account());
        })
        .await;
        assert_eq!(verdict(site.land(None).await), "anonymous", "{name:?}");
        if name.is_none() {
            continue;
        }
        let refresh = site.imis.hand_out_refresh_token("Portico", None).unwrap();
        let kept = UpstreamTokens {
            refresh: Some(Secret::new(refresh)),
            application: Some("Portico".to_owned()),
            ..tokens("x")
        };
        assert_eq!(verdict(site.renew(&kept).await), "not allowed", "{name:?}");
    }
}

#[tokio::test]
async fn the_service_accounts_token_is_given_out_and_replaced_when_refused() {
    let site = Site::with_service(|_| {}).await;
    let service = site.upstream.service.as_ref().unwrap();
    let one = service.token(None).await.unwrap();
    assert_eq!(one.expires_at, NOW + 1199);
    assert!(one.refresh.is_none());
    let same = service.token(None).await.unwrap();
    assert_eq!(one.access.expose(), same.access.expose());
    site.imis.purge_system_cache();
    assert!(!site.takes(&one).await);
    let two = service.token(Some(&one.access)).await.unwrap();
    assert!(site.takes(&two).await);
    assert_eq!(site.tokens_asked(people::SERVICE.username), 2);

    assert!(Site::start(|_| {}).await.upstream.service.is_none());
}

/// The vendor asks to be left alone after a 429.
#[tokio::test]
async fn a_throttled_service_account_rests_as_long_as_it_is_told() {
    for (told_seconds, rest) in [(Some(30), 30), (None, 5), (Some(86_400), 600)] {
        let site = Site::with_service(|s| s.member_rights = MemberRights::Forbidden).await;
        site.log_in(&people::JO_SMITH).await.unwrap();
        let asked_by_service = || {
            let service = |request: &&portico::simulator::Recorded| request.path.contains("/api/");
            site.imis.log().iter().filter(service).count()
        };
        // The person's own call is refused first.
        site.imis.fail_once("/api/user", Fault::Status(403));
        site.imis
            .fail_once("/api/user", Fault::Throttled(told_seconds));
        assert_eq!(verdict(site.log_in(&people::JO_SMITH).await), "unavailable");
        for _ in 0..2 {
            site.imis.clear_log();
            let answer = site.log_in(&people::JO_SMITH).await;
            assert!(told(answer.as_ref().unwrap_err()).contains("throttles"));
            assert_eq!(verdict(answer), "unavailable");
            assert_eq!(asked_by_service(), 1, "the person's own");
        }
        site.clock.advance(rest - 1);
        assert_eq!(verdict(site.log_in(&people::JO_SMITH).await), "unavailable");
        site.clock.advance(1);
        assert_eq!(verdict(site.log_in(&people::JO_SMITH).await), "in");
    }
}

/// A clock that was ahead when iMIS asked for a rest, and is put right, shuts nobody up until then.
#[tokio::test]
async fn a_rest_that_a_wrong_clock_noted_is_over_once_it_is_right() {
    const DAY: i64 = 24 * 60 * 60;
    let site = Site::with_service(|s| s.member_rights = MemberRights::Forbidden).await;
    site.log_in(&people::JO_SMITH).await.unwrap();
    let throttled = async |rest: u32| {
        site.imis.fail_once("/api/user", Fault::Status(403));
        site.imis
            .fail_once("/api/user", Fault::Throttled(Some(rest)));
        assert_eq!(verdict(site.log_in(&people::JO_SMITH).await), "unavailable");
    };
    site.clock.advance(DAY);
    throttled(600).await;
    site.clock.advance(-DAY);
    assert_eq!(verdict(site.log_in(&people::JO_SMITH).await), "in");
    // Nor does it keep a rest from being heeded.
    throttled(30).await;
    assert_eq!(verdict(site.log_in(&people::JO_SMITH).await), "unavailable");
    site.clock.advance(30);
    assert_eq!(verdict(site.log_in(&people::JO_SMITH).await), "in");
}

/// Nobody can tell it from one that stays good without being told again; iMIS says so, once.
#[tokio::test]
async fn a_spent_refresh_token_is_refused_as_one_that_has_ended() {
    let turn = |switches: &mut Switches| switches.refresh_tokens = RefreshTokens::SingleUse;
    let site = Site::start_with(turn, with_page).await;
    let landed = site.land(Some("JSMITH")).await.unwrap().tokens.unwrap();
    site.imis.clear_log();
    assert_eq!(verdict(site.renew(&landed).await), "bad credentials");
    assert_eq!(site.imis.log().len(), 1);
}

#[tokio::test]
async fn a_throttled_token_endpoint_gives_the_service_account_a_rest_too() {
    let site = Site::with_service(|_| {}).await;
    let service = site.upstream.service.as_ref().unwrap();
    site.imis.fail_once("/token", Fault::Throttled(Some(30)));
    assert_eq!(verdict(service.token(None).await), "unavailable");
    site.imis.clear_log();
    site.clock.advance(29);
    let answer = service.token(None).await;
    assert!(told(answer.as_ref().unwrap_err()).contains("throttles"));
    assert_eq!(verdict(answer), "unavailable");
    assert!(site.imis.log().is_empty());
    // The shelf keeps that answer for five seconds.
    site.clock.advance(5);
    assert!(service.token(None).await.is_ok());
}

/// A call that was under way when a rest began may come back with a shorter one.
#[tokio::test]
async fn a_shorter_rest_does_not_end_a_longer_one() {
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&asked);
    let both = Arc::new(tokio::sync::Barrier::new(2));
    let answer = move |uri: Uri| {
        let (seen, both) = (Arc::clone(&seen), Arc::clone(&both));
        async move {
            if uri.path().ends_with("/token") {
                let token = r#"{"access_token":"t","token_type":"bearer","expires_in":1199}"#;
                return (StatusCode::OK, HeaderMap::new(), token);
            }
            let count = seen.fetch_add(1, SeqCst);
            if count < 2 {
                both.wait().await;
            }
            let mut headers = HeaderMap::new();
            let seconds = if count == 0 { "60" } else { "2" };
            headers.insert("retry-after", seconds.parse().unwrap());
            (StatusCode::TOO_MANY_REQUESTS, headers, "")
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(answer);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let clock = Clock::manual(NOW);
    let mut settings = settings(&url, &json!({}));
    settings.service_account = Some(service_account());
    let upstream = opened(settings, clock.clone());
    let profile = Profile::default();
    let known = Known {
        subject: "8d0f3a52-1111-4222-8333-9c0000000001",
        profile: &profile,
        tokens: None,
    };
    let recheck = upstream.recheck.as_ref().unwrap();
    let (one, two) = tokio::join!(recheck.recheck(&known), recheck.recheck(&known));
    assert_eq!((verdict(one), verdict(two)), ("unavailable", "unavailable"));
    assert_eq!(asked.load(SeqCst), 2);
    clock.advance(59);
    assert_eq!(verdict(recheck.recheck(&known).await), "unavailable");
    assert_eq!(asked.load(SeqCst), 2, "left alone");
    clock.advance(1);
    assert_eq!(verdict(recheck.recheck(&known).await), "unavailable");
    assert_eq!(asked.load(SeqCst), 3);
    server.abort();
}

/// T17: what the person's own token does not show is no verdict about them, whatever is known to ask by; and a claim that
/// comes from elsewhere is not taken for the id.
#[tokio::test]
async fn what_ones_own_token_does_not_show_withdraws_nothing() {
    let site = Site::start_with(|_| {}, |_| {}).await;
    let mut jo = site.log_in(&people::JO_SMITH).await.unwrap();
    let tokens = jo.tokens.clone();
    jo.profile.more.remove("member_id");
    assert!(site.recheck(&jo, tokens.as_ref()).await.is_ok());
    for name in [Some("NOBODY"), None] {
        jo.profile.preferred_username = name.map(str::to_owned);
        let answer = site.recheck(&jo, tokens.as_ref()).await;
        assert_eq!(verdict(answer), "protocol", "{name:?}");
    }

    let mapped = |settings: &mut Settings| {
        let attribute = ("member_id".to_owned(), "paidthroughdate".to_owned());
        settings.attributes.extend([attribute]);
    };
    let site = Site::start_with(|_| {}, mapped).await;
    let cam = site.log_in(&people::CHAIR).await.unwrap();
    assert_ne!(cam.profile.more["member_id"], "20466");
    let now = site.recheck(&cam, cam.tokens.as_ref()).await.unwrap();
    assert_eq!(now, cam.profile);
}

/// Where the search that goes by `UniformId` shows nothing to go by, the way of the login is left: by the iMIS id. It ends at the same
/// person or at nobody.
#[tokio::test]
async fn whom_the_search_does_not_show_is_looked_up_by_their_id() {
    type Turn = fn(&mut Switches);
    let turns: [Turn; 2] = [
        |switches| switches.party_tells_uniform_id = false,
        |switches| switches.reads_whole_records = false,
    ];
    for turn in turns {
        let site = Site::with_service(turn).await;
        let jo = site.log_in(&people::JO_SMITH).await.unwrap();
        assert_eq!(jo.subject, people::JO_SMITH.uniform_id);
        let now = site.recheck(&jo, None).await.unwrap();
        assert_eq!(now, jo.profile);
        // Somebody else's record under that id is another person's.
        let mut other = site.log_in(&people::JO_SMITH).await.unwrap();
        other
            .profile
            .more
            .insert("member_id".to_owned(), people::CHAIR.id.into());
        let answer = site.recheck(&other, None).await;
        assert_eq!(verdict(answer), "not allowed");
        // Whoever is gone is gone by this way, too.
        site.imis.change("JSMITH", |person| {
            person.id = "99999";
            person.username = "SOMEBODY";
        });
        assert_eq!(verdict(site.recheck(&jo, None).await), "not allowed");
        // Without an id there is nothing to go by.
        other.profile.more.remove("member_id");
        let answer = site.recheck(&other, None).await;
        assert_ne!(verdict(answer), "not allowed");
    }
}

#[tokio::test]
async fn somebody_who_came_in_earlier_is_looked_up_by_the_service_account() {
    for subject in [SubjectFrom::UniformId, SubjectFrom::PartyId] {
        let site = Site::start_with(
            |_| {},
            |settings| {
                settings.subject = subject;
                settings.service_account = Some(service_account());
            },
        )
        .await;
        let jo = site.log_in(&people::JO_SMITH).await.unwrap();
        assert_eq!(site.recheck(&jo, None).await.unwrap(), jo.profile);
        // Whatever they are called now.
        site.imis.change("JSMITH", |person| {
            person.username = "JO.NEW";
            person.email = "jo.new@example.org";
        });
        let now = site.recheck(&jo, None).await.unwrap();
        assert_eq!(now.preferred_username.as_deref(), Some("JO.NEW"));
        assert_eq!(now.email.as_deref(), Some("jo.new@example.org"));
    }
}

#[tokio::test]
async fn without_a_service_account_a_persons_own_token_serves() {
    for subject in [SubjectFrom::UniformId, SubjectFrom::PartyId] {
        let site = Site::start_with(|_| {}, |settings| settings.subject = subject).await;
        let jo = site.log_in(&people::JO_SMITH).await.unwrap();
        let own = jo.tokens.clone().unwrap();
        assert_eq!(site.recheck(&jo, Some(&own)).await.unwrap(), jo.profile);
        site.imis
            .change("JSMITH", |person| person.username = "JO.NEW");
        let now = site.recheck(&jo, Some(&own)).await.unwrap();
        assert_eq!(now.preferred_username.as_deref(), Some("JO.NEW"));

        // Somebody else's token is not theirs.
        let zoe = site.log_in(&people::ZOE).await.unwrap().tokens.unwrap();
        assert_eq!(verdict(site.recheck(&jo, Some(&zoe)).await), "protocol");
        let nothing_known = Identity {
            profile: Profile {
                preferred_username: Some(people::ZOE.username.to_owned()),
                ..Profile::default()
            },
            ..jo.clone()
        };
        let answer = verdict(site.recheck(&nothing_known, Some(&zoe)).await);
        let expected = match subject {
            SubjectFrom::UniformId => "not allowed",
            SubjectFrom::PartyId => "protocol",
        };
        assert_eq!(answer, expected);

        // And one that is not taken any more says nothing about the person.
        site.imis.purge_system_cache();
        assert_eq!(verdict(site.recheck(&jo, Some(&own)).await), "protocol");
        let answer = site.recheck(&jo, None).await;
        assert!(told(answer.as_ref().unwrap_err()).contains("service_account"));
        assert_eq!(verdict(answer), "protocol");
    }
}

#[tokio::test]
async fn whoever_may_not_come_in_any_more_is_told_so() {
    let changes: [fn(&mut ImisPerson); 3] = [
        |person| person.marked_for_delete = true,
        |person| person.status = "I",
        |person| person.status = "D",
    ];
    for (what, change) in changes.into_iter().enumerate() {
        for service in [true, false] {
            let site = Site::start_with(
                |_| {},
                |settings| settings.service_account = service.then(service_account),
            )
            .await;
            let jo = site.log_in(&people::JO_SMITH).await.unwrap();
            site.imis.change("JSMITH", change);
            let answer = site.recheck(&jo, jo.tokens.as_ref()).await;
            assert_eq!(verdict(answer), "not allowed", "{what}");
        }
    }
}

/// iMIS lets them in to renew; what ended is told by the claims.
#[tokio::test]
async fn a_member_who_had_lapsed_before_the_login_stays() {
    let site = Site::with_service(|_| {}).await;
    let lara = site.log_in(&people::LAPSED).await.unwrap();
    let now = site.recheck(&lara, None).await.unwrap();
    assert_eq!(now.more["is_member"], json!(false));
    assert_eq!(now.more["membership_status"], json!("Inactive"));
}

async fn looked_up_by(subject: SubjectFrom) -> Site {
    Site::start_with(
        |_| {},
        |settings| {
            settings.subject = subject;
            settings.service_account = Some(service_account());
        },
    )
    .await
}

#[tokio::test]
async fn a_record_or_a_user_that_is_gone_is_told_so() {
    for (subject, nobody) in [
        (
            SubjectFrom::UniformId,
            "8d0f3a52-1111-4222-8333-9cffffffffff",
        ),
        (SubjectFrom::PartyId, "party:99999"),
    ] {
        let site = looked_up_by(subject).await;
        let jo = site.log_in(&people::JO_SMITH).await.unwrap();
        let gone = Identity {
            subject: nobody.to_owned(),
            ..jo
        };
        assert_eq!(verdict(site.recheck(&gone, None).await), "not allowed");
    }

    let site = Site::with_service(|_| {}).await;
    let mut jo = site.log_in(&people::JO_SMITH).await.unwrap();
    let theirs = format!("/api/user/{}", people::JO_SMITH.id);
    site.imis.fail(&theirs, Fault::Status(404));
    // A user whose id is another than the party's is found by name.
    assert_eq!(verdict(site.recheck(&jo, None).await), "in");
    jo.profile.preferred_username = Some("NOBODY.NOW".to_owned());
    assert_eq!(verdict(site.recheck(&jo, None).await), "not allowed");
}

/// A proxy in maintenance answers 404 to everything, and an account that lost a right sees nobody: neither ends everybody's
/// sessions.
#[tokio::test]
async fn nobody_is_gone_while_the_service_account_does_not_find_itself() {
    type Turn = fn(&mut Switches);
    let lookups: [Turn; 2] = [
        |switches| switches.user_lookup = UserLookup::Empty,
        |switches| switches.user_lookup = UserLookup::SomebodyElse,
    ];
    for (place, subject) in [
        ("/api/user", SubjectFrom::UniformId),
        ("/api/party", SubjectFrom::UniformId),
        ("/api/party/", SubjectFrom::PartyId),
        ("/api/", SubjectFrom::PartyId),
    ] {
        let site = looked_up_by(subject).await;
        let jo = site.log_in(&people::JO_SMITH).await.unwrap();
        site.imis.fail(place, Fault::Status(404));
        let answer = site.recheck(&jo, None).await;
        assert_eq!(verdict(answer), "protocol", "{place}");
    }
    for turn in lookups {
        let site = Site::with_service(|_| {}).await;
        let jo = site.log_in(&people::JO_SMITH).await.unwrap();
        site.imis.fail("/api/user/", Fault::Status(404));
        site.imis.switch(turn);
        assert_eq!(verdict(site.recheck(&jo, None).await), "protocol");
    }
}

/// A service account that sees nobody would otherwise end everybody's sessions.
#[tokio::test]
async fn a_service_account_without_rights_ends_nobodys_session() {
    for rights in [
        MemberRights::OwnRecord,
        MemberRights::Forbidden,
        MemberRights::Unauthorized,
    ] {
        for subject in [SubjectFrom::UniformId, SubjectFrom::PartyId] {
            let site = Site::start_with(
                |_| {},
                |settings| {
                    settings.subject = subject;
                    settings.service_account = Some(service_account());
                },
            )
            .await;
            let jo = site.log_in(&people::JO_SMITH).await.unwrap();
            site.imis.switch(|s| s.member_rights = rights);
            site.imis
                .change(people::SERVICE.username, |person| person.roles = &[]);
            let answer = site.recheck(&jo, None).await;
            let reason = told(answer.as_ref().unwrap_err());
            assert!(reason.contains("RemoteService"), "{reason}");
            assert_eq!(verdict(answer), "protocol", "{rights:?} {subject:?}");
        }
    }
}

#[tokio::test]
async fn an_imis_that_is_away_says_nothing_about_anybody() {
    let site = Site::with_service(|_| {}).await;
    let jo = site.log_in(&people::JO_SMITH).await.unwrap();
    for place in ["/api/party", "/api/user", "/token"] {
        site.imis.mend();
        site.imis.purge_system_cache();
        site.imis.fail(place, Fault::Status(503));
        let answer = site.recheck(&jo, jo.tokens.as_ref()).await;
        assert_eq!(verdict(answer), "unavailable", "{place}");
        // A refusal of the token endpoint is kept for a few seconds.
        site.clock.advance(60);
    }
}

#[tokio::test]
async fn calls_reach_the_api_as_they_were_meant() {
    for base in ["", "/Asi.Scheduler_Demo"] {
        let site = Site::with_service(|switches| switches.base_path = base.to_owned()).await;
        let service = site.upstream.service.as_ref().unwrap();
        let access = service.token(None).await.unwrap().access;
        site.imis.clear_log();
        let call = ApiCall {
            query: vec![("FirstName".to_owned(), "eq:Zoë & +1".to_owned())],
            headers: vec![
                ("accept-language".to_owned(), "fr".to_owned()),
                ("cookie".to_owned(), "a=b".to_owned()),
                ("authorization".to_owned(), "Bearer ours".to_owned()),
                ("host".to_owned(), "elsewhere.example".to_owned()),
                ("content-length".to_owned(), "7".to_owned()),
            ],
            ..get("Party")
        };
        let answer = site.call(&call, access.expose()).await.unwrap();
        assert_eq!(answer.status, 200);
        assert!(!answer.token_refused);
        let sent = site.imis.log().pop().unwrap();
        assert_eq!(sent.path, format!("{base}/api/Party"));
        assert_eq!(
            sent.query_pairs(),
            [("FirstName".to_owned(), "eq:Zoë & +1".to_owned())]
        );
        assert_eq!(sent.bearer(), Some(access.expose()));
        assert_eq!(sent.header("accept-language"), Some("fr"));
        assert_eq!(sent.header("cookie"), None);
        assert_ne!(sent.header("host"), Some("elsewhere.example"));
        // What is between iMIS and its own pages stays there (T62).
        let names: Vec<&str> = answer
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert!(names.contains(&"content-type"), "{names:?}");
        for name in [
            "set-cookie",
            "connection",
            "transfer-encoding",
            "content-length",
        ] {
            assert!(!names.contains(&name), "{name}");
        }
    }
}

#[tokio::test]
async fn a_call_may_write() {
    let site = Site::with_service(|_| {}).await;
    let service = site.upstream.service.as_ref().unwrap();
    let access = service.token(None).await.unwrap().access;
    let event = |more: Value| {
        let kind = "Asi.Soa.Events.DataContracts.EventData, Asi.Contracts";
        let mut event = json!({ "$type": kind, "EventId": "PICNIC", "Name": "Picnic" });
        event
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        event.to_string().into_bytes()
    };
    let json = vec![("content-type".to_owned(), "application/json".to_owned())];
    let made = ApiCall {
        method: "POST".to_owned(),
        headers: json.clone(),
        body: event(json!({})),
        ..get("Event")
    };
    let answer = site.call(&made, access.expose()).await.unwrap();
    assert!((200..300).contains(&answer.status), "{}", answer.status);
    let one = |method: &str, body: Vec<u8>| ApiCall {
        method: method.to_owned(),
        path: ["Event", "PICNIC"].map(str::to_owned).to_vec(),
        headers: json.clone(),
        body,
        ..get("Event")
    };
    let put = one("PUT", event(json!({ "Description": "Bring a hat" })));
    assert_eq!(site.call(&put, access.expose()).await.unwrap().status, 200);
    let read = site
        .call(&one("GET", Vec::new()), access.expose())
        .await
        .unwrap();
    let read: Value = serde_json::from_slice(&read.body).unwrap();
    assert_eq!(read["Description"], json!("Bring a hat"));
    let delete = one("DELETE", Vec::new());
    assert_eq!(
        site.call(&delete, access.expose()).await.unwrap().status,
        204
    );
    let gone = site.call(&one("GET", Vec::new()), access.expose()).await;
    assert_eq!(gone.unwrap().status, 404);
}

/// T62: a call that leads elsewhere would take the token, or our own secrets, with it.
#[tokio::test]
async fn a_call_goes_nowhere_but_below_the_api() {
    let site = Site::with_service(|_| {}).await;
    let paths: [&[&str]; 7] = [
        &[],
        &["..", "token"],
        &["."],
        &["Party", ""],
        &["..\\token"],
        &["Party", "a/../../token?x#y"],
        &["Party;x=1", "..;", "token"],
    ];
    for path in paths {
        let call = ApiCall {
            path: path.iter().map(|&segment| segment.to_owned()).collect(),
            ..get("Party")
        };
        assert_eq!(verdict(site.call(&call, "x").await), "protocol", "{path:?}");
    }
    assert_eq!(site.imis.log().len(), 0);
    let odd = ApiCall {
        path: ["Sign-in.aspx", "a?x#y"].map(str::to_owned).to_vec(),
        ..get("Party")
    };
    assert!(site.call(&odd, "x").await.unwrap().token_refused);
    let odd = site.imis.log().pop().unwrap();
    assert_eq!(odd.path.to_lowercase(), "/api/sign-in.aspx/a%3fx%23y");
}

#[tokio::test]
async fn what_goes_wrong_with_a_call_is_told() {
    let site = Site::with_service(|_| {}).await;
    let service = site.upstream.service.as_ref().unwrap();
    let access = service.token(None).await.unwrap().access;
    assert!(
        site.call(&get("User"), "not-a-token")
            .await
            .unwrap()
            .token_refused
    );
    for (fault, expected) in [
        (Fault::Status(403), 403),
        (Fault::Status(500), 500),
        (Fault::Throttled(Some(7)), 429),
        (
            Fault::Redirect("https://elsewhere.example/".to_owned()),
            302,
        ),
    ] {
        site.imis.mend();
        site.imis.fail("/api/user", fault);
        let answer = site.call(&get("User"), access.expose()).await.unwrap();
        assert_eq!(answer.status, expected);
        assert!(!answer.token_refused);
        if expected == 429 {
            let wait = ("retry-after".to_owned(), b"7".to_vec());
            assert!(answer.headers.contains(&wait));
        }
    }
    site.imis.mend();
    site.imis.fail("/api/user", Fault::Oversized);
    let answer = site.call(&get("User"), access.expose()).await;
    assert!(told(answer.as_ref().unwrap_err()).contains("longer than 8388608 bytes"));
    assert_eq!(verdict(answer), "protocol");
    site.imis.mend();
    site.imis.fail("/api/user", Fault::CloseAfter(0));
    assert_eq!(
        verdict(site.call(&get("User"), access.expose()).await),
        "unavailable"
    );
}

/// An iMIS that reads records for the service account alone, and remembers how many of its calls there were at once.
async fn crowded(most: Arc<AtomicUsize>) -> String {
    let now = Arc::new(AtomicUsize::new(0));
    let answer = move |uri: Uri, headers: HeaderMap, body: String| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            let whose = if body.contains("username=PORTICO.SVC") {
                "svc"
            } else {
                "own"
            };
            if uri.path() == "/token" {
                let token = json!({ "access_token": whose, "expires_in": 1199 });
                return (StatusCode::OK, token.to_string());
            }
            if headers["authorization"] != "Bearer svc" {
                return (StatusCode::FORBIDDEN, String::new());
            }
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            for _ in 0..500 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, SeqCst);
            let guid = people::JO_SMITH.uniform_id;
            let party = json!({ "PartyId": "7", "Name": "Jo Smith", "UniformId": guid });
            let user = json!({ "UserName": "JSMITH", "UserId": "7", "Party": party });
            let record = match uri.path() {
                "/api/User" => json!({ "Items": [user] }),
                _ => party,
            };
            (StatusCode::OK, record.to_string())
        }
    };
    let app = Router::new().fallback(answer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// The vendor asks clients for few calls at once.
#[tokio::test]
async fn the_service_account_makes_few_calls_at_once() {
    for allowed in [1, 2] {
        let most = Arc::new(AtomicUsize::new(0));
        let url = crowded(Arc::clone(&most)).await;
        let mut settings = settings(
            &url,
            &json!({ "max_concurrent": allowed, "timeout": "30s" }),
        );
        settings.service_account = Some(ServiceAccount {
            username: "PORTICO.SVC".to_owned(),
            password: Secret::new("x"),
        });
        let upstream = Arc::new(opened(settings, Clock::manual(NOW)));
        let logins: Vec<_> = (0..8)
            .map(|_| {
                let upstream = Arc::clone(&upstream);
                tokio::spawn(async move { log_in(&upstream, "jsmith", "x").await })
            })
            .collect();
        for login in logins {
            assert_eq!(kind(&login.await.unwrap()), "in");
        }
        assert_eq!(most.load(SeqCst), allowed);
    }
}

/// T64: a renewed token that is somebody else's is nobody's, and what it was asked for with is spent.
#[tokio::test]
async fn a_renewal_is_the_same_persons_or_none() {
    let reusable = |s: &mut Switches| s.refresh_tokens = RefreshTokens::Reusable;
    let site = Site::start_with(reusable, with_page).await;
    let landed = site.land(Some("jsmith")).await.unwrap().tokens.unwrap();
    assert_eq!(landed.subject.as_deref(), Some("JSMITH"));
    let somebody = |name: Option<&str>| UpstreamTokens {
        subject: name.map(str::to_owned),
        ..landed.clone()
    };
    let answer = site.renew(&somebody(Some("zoe"))).await;
    let error = answer.unwrap_err();
    assert!(told(&error).contains("somebody else's"), "{error:?}");
    assert!(error.lost_the_answer());
    // iMIS takes a name in any letter case; a login that told none is told now.
    for name in [Some("JSmith"), None] {
        let renewed = site.renew(&somebody(name)).await.unwrap();
        assert_eq!(renewed.subject.as_deref(), Some("JSMITH"));
    }
}

/// T64: a success that cannot be used may have spent the refresh token; a complaint about Portico has not.
#[tokio::test]
async fn nonsense_in_answer_to_a_renewal_spends_the_refresh_token() {
    let site = Site::start_with(|_| {}, with_page).await;
    let landed = site.land(Some("JSMITH")).await.unwrap().tokens.unwrap();
    for (fault, spent) in [
        (Fault::Page, true),
        (Fault::Nonsense, true),
        (Fault::EmptyBody, true),
        (Fault::Status(404), false),
        (Fault::Status(503), false),
    ] {
        site.imis.mend();
        site.imis.fail("/token", fault.clone());
        let error = site.renew(&landed).await.unwrap_err();
        assert_eq!(error.lost_the_answer(), spent, "{fault:?}: {error:?}");
    }
}
