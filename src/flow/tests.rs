//! The table of decisions, without a server.

use std::collections::{BTreeMap, BTreeSet};

use super::logout;
use super::pick::{Candidate, pick};
use super::*;
use crate::model::account::{Account, UpstreamSubject};
use crate::model::acr::AcrPolicy;
use crate::model::authorization::{Errand, ProvenLogin};
use crate::protocol::authorize::{AuthorizationRequest, ReturnRequest};
use crate::protocol::claims::Profile;
use crate::protocol::ids::{AccountId, AccountSubject, ClientId, SessionId, UpstreamId};
use crate::protocol::issuer::Issuer;
use crate::protocol::params::Params;
use crate::protocol::redirect_uri::RedirectUri;
use crate::protocol::response::ResponseType;
use crate::protocol::scope::Scope;
use crate::protocol::token::GrantType;

const NOW: UnixTime = 1_000_000;

fn client() -> Client {
    Client {
        redirect_uris: vec![RedirectUri::register("https://app.example.org/cb").unwrap()],
        grant_types: BTreeSet::from([GrantType::AuthorizationCode]),
        scope: Scope::parse("openid email").unwrap(),
        upstreams: Some(BTreeSet::from([UpstreamId::new("members")])),
        response_types: BTreeSet::from(ResponseType::ALL),
        ..Client::new(ClientId::new("app"))
    }
}

fn pending(extra: &[(&str, &str)]) -> PendingAuthorization {
    let base = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("scope", "openid"),
    ];
    let kept = base
        .iter()
        .filter(|(name, _)| extra.iter().all(|(other, _)| other != name));
    let params: Params = kept.chain(extra).copied().collect();
    let issuer = Issuer::parse("https://login.example.org").unwrap();
    let return_to = client()
        .return_to(&ReturnRequest::read(&params).unwrap(), &issuer)
        .unwrap();
    let request = AuthorizationRequest::read(&params).unwrap();
    PendingAuthorization::new(&client(), return_to, false, request, NOW).unwrap()
}

fn logged_in(age: i64) -> LoggedIn {
    LoggedIn {
        session: Session {
            id: SessionId::new("sid"),
            account_id: AccountId::new("account"),
            upstream: UpstreamId::new("members"),
            upstream_subject: None,
            auth_time: NOW - age,
            began_at: NOW - age,
            amr: vec![],
            acr: None,
            last_seen_at: NOW,
            expires_at: NOW + 1000,
            ended_at: None,
            persistent: false,
            device: crate::model::device::Device::default(),
        },
        account: Account {
            id: AccountId::new("account"),
            subject: AccountSubject::new("subject"),
            profile: Profile::default(),
            created_at: 0,
            disabled_at: None,
            merged_into: None,
        },
        known: None,
    }
}

fn decide(
    pending: &PendingAuthorization,
    client: &Client,
    logged_in: Option<&LoggedIn>,
    consent: Option<&Consent>,
) -> String {
    decide_among(0, pending, client, logged_in, consent)
}

/// The same where `choice` accounts of the browser may be the answer.
fn decide_among(
    choice: usize,
    pending: &PendingAuthorization,
    client: &Client,
    logged_in: Option<&LoggedIn>,
    consent: Option<&Consent>,
) -> String {
    let subject = logged_in.map(|who| Subject::new(who.account.subject.as_str()));
    let acr = |every: &str, believed: &[&str]| AcrPolicy {
        every: Some(every.to_owned()),
        believed: believed.iter().map(ToString::to_string).collect(),
    };
    let policies = AcrPolicies::new(BTreeMap::from([
        (UpstreamId::new("members"), acr("one", &["two"])),
        (UpstreamId::new("staff"), acr("three", &[])),
    ]));
    let step = next_step(Situation {
        scopes: &Scopes::default(),
        acr: &policies,
        pending,
        client,
        logged_in,
        choice,
        subject: subject.as_ref(),
        consent,
        now: NOW,
    });
    match step {
        Step::Refuse(error) => error.code.to_string(),
        other => format!("{other:?}"),
    }
}

/// Parameters beside the usual, the age of the login, the step.
type Row = (&'static [(&'static str, &'static str)], i64, &'static str);

/// OpenID Connect Core section 3.1.2.3; T28.
#[test]
fn who_has_to_log_in() {
    let nobody = decide(&pending(&[]), &client(), None, None);
    assert_eq!(nobody, "Login");
    let table: [Row; 10] = [
        (&[], 500, "Issue"),
        (&[("prompt", "login")], 0, "Login"),
        (&[("prompt", "select_account")], 0, "SelectAccount"),
        (&[("prompt", "consent")], 0, "Consent"),
        (&[("max_age", "500")], 500, "Issue"),
        (&[("max_age", "499")], 500, "Login"),
        (&[("max_age", "0")], 0, "Login"),
        (
            &[("prompt", "none"), ("max_age", "499")],
            500,
            "login_required",
        ),
        // Another node's clock may be a little ahead; a clock that stepped back makes no login recent.
        (&[("max_age", "500")], -5, "Issue"),
        (&[("max_age", "500")], -6, "Login"),
    ];
    for (extra, age, expected) in table {
        let who = logged_in(age);
        let step = decide(&pending(extra), &client(), Some(&who), None);
        assert_eq!(step, expected, "{extra:?} after {age} s");
    }
}

/// Core sections 3.1.2.1 and 5.5.1.1, Unmet Authentication Requirements section 2, RFC 9470 section 5: what is wished for is tried once,
/// what is essential is met or refused. Nobody is sent to a login that cannot prove it.
#[test]
fn a_login_proves_what_the_request_asks_for() {
    let wish = |acr: &str| vec![("acr_values", acr.to_owned())];
    let must = |acr: &str| {
        let claims = format!("{{\"id_token\":{{\"acr\":{{\"essential\":true,{acr}}}}}}}");
        vec![("claims", claims.replace(",}", "}"))]
    };
    let unmet = "unmet_authentication_requirements";
    for (asked, has, anew, silently, just_now) in [
        (wish("one"), Some("one"), "Issue", "Issue", "Issue"),
        (wish("two one"), Some("one"), "Issue", "Issue", "Issue"),
        (wish("two"), Some("one"), "Login", "Issue", "Issue"),
        (wish("two"), None, "Login", "Issue", "Issue"),
        // Another upstream's, which this client does not serve; and nobody's.
        (wish("three"), Some("one"), "Issue", "Issue", "Issue"),
        (wish("nine"), Some("one"), "Issue", "Issue", "Issue"),
        (must(""), Some("one"), "Issue", "Issue", "Issue"),
        (must(""), None, "Login", "login_required", unmet),
        (
            must("\"value\":\"two\""),
            Some("two"),
            "Issue",
            "Issue",
            "Issue",
        ),
        (
            must("\"value\":\"two\""),
            Some("one"),
            "Login",
            "login_required",
            unmet,
        ),
        (
            must("\"values\":[\"nine\",\"two\"]"),
            Some("one"),
            "Login",
            "login_required",
            unmet,
        ),
        (
            must("\"value\":\"three\""),
            Some("one"),
            unmet,
            unmet,
            unmet,
        ),
        (must("\"value\":1"), Some("one"), unmet, unmet, unmet),
    ] {
        let mut who = logged_in(0);
        who.session.acr = has.map(str::to_owned);
        let extra: Vec<(&str, &str)> = asked
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let step = |extra: &[(&str, &str)], just_now: bool| {
            let mut pending = pending(extra);
            pending.logged_in = just_now.then(|| who.session.id.clone());
            decide(&pending, &client(), Some(&who), None)
        };
        assert_eq!(step(&extra, false), anew, "{asked:?} {has:?}");
        assert_eq!(step(&extra, true), just_now, "{asked:?} {has:?}");
        let silent = [extra.as_slice(), &[("prompt", "none")]].concat();
        assert_eq!(step(&silent, false), silently, "{asked:?} {has:?}");
        let nobody = decide(&pending(&extra), &client(), None, None);
        let expected = if anew == unmet { unmet } else { "Login" };
        assert_eq!(nobody, expected, "{asked:?}");
    }
}

/// Core section 5.5.1: the answer is about the person whom the request names, or none.
#[test]
fn the_claim_sub_names_the_person() {
    let who = logged_in(0);
    let asking = |member: &str, wanted: &str| {
        let claims = format!("{{\"{member}\":{{\"sub\":{wanted}}}}}");
        let mut pending = pending(&[("claims", claims.as_str())]);
        let anew = decide(&pending, &client(), Some(&who), None);
        pending.logged_in = Some(who.session.id.clone());
        (anew, decide(&pending, &client(), Some(&who), None))
    };
    let pair = |anew: &str, just_now: &str| (anew.to_owned(), just_now.to_owned());
    for member in ["id_token", "userinfo"] {
        for good in [
            "null",
            "{\"value\":\"subject\"}",
            "{\"values\":[\"x\",\"subject\"]}",
        ] {
            assert_eq!(asking(member, good), pair("Issue", "Issue"), "{good}");
        }
        for bad in ["{\"value\":\"other\"}", "{\"value\":7,\"essential\":false}"] {
            assert_eq!(
                asking(member, bad),
                pair("Login", "login_required"),
                "{bad}"
            );
        }
    }
}

/// T28: `prompt=none` shows nothing, whatever is missing.
#[test]
fn silence_is_an_error_where_something_would_be_shown() {
    let silent = pending(&[("prompt", "none")]);
    assert_eq!(decide(&silent, &client(), None, None), "login_required");
    let asking = Client {
        consent: ConsentPolicy::Once,
        ..client()
    };
    let who = logged_in(0);
    assert_eq!(
        decide(&silent, &asking, Some(&who), None),
        "consent_required"
    );
}

/// A login in this flow satisfies `prompt=login` and `max_age=0`; one from before, however recent, does not.
#[test]
fn a_login_in_this_flow_counts() {
    let who = logged_in(0);
    for extra in [
        ("prompt", "login"),
        ("max_age", "0"),
        ("prompt", "select_account"),
    ] {
        let mut pending = pending(&[extra]);
        assert_ne!(decide(&pending, &client(), Some(&who), None), "Issue");
        pending.logged_in = Some(SessionId::new("another"));
        assert_ne!(decide(&pending, &client(), Some(&who), None), "Issue");
        pending.logged_in = Some(who.session.id.clone());
        assert_eq!(decide(&pending, &client(), Some(&who), None), "Issue");
    }
}

/// T15: a session from an upstream that the client does not serve is as good as none.
#[test]
fn a_session_of_another_upstream_does_not_count() {
    let mut who = logged_in(0);
    who.session.upstream = UpstreamId::new("staff");
    assert_eq!(decide(&pending(&[]), &client(), Some(&who), None), "Login");
    let mut closed = logged_in(0);
    closed.account.disabled_at = Some(1);
    assert_eq!(
        decide(&pending(&[]), &client(), Some(&closed), None),
        "Login"
    );
}

/// T29.
#[test]
fn the_hinted_person_must_be_the_one() {
    let who = logged_in(0);
    let mut expecting = pending(&[]);
    expecting.expected_subject = Some(Subject::new("somebody else"));
    assert_eq!(decide(&expecting, &client(), Some(&who), None), "Login");
    expecting.logged_in = Some(who.session.id.clone());
    assert_eq!(
        decide(&expecting, &client(), Some(&who), None),
        "login_required"
    );
    expecting.expected_subject = Some(Subject::new("subject"));
    assert_eq!(decide(&expecting, &client(), Some(&who), None), "Issue");
    let mut silent = pending(&[("prompt", "none")]);
    silent.expected_subject = Some(Subject::new("somebody else"));
    assert_eq!(
        decide(&silent, &client(), Some(&who), None),
        "login_required"
    );
}

/// T30: a registration that was narrowed while the person was at a page. Asked before anything is shown.
#[test]
fn an_answer_that_the_client_may_no_longer_have_is_refused() {
    let who = logged_in(0);
    let hybrid = pending(&[("response_type", "code id_token"), ("nonce", "n")]);
    assert_eq!(decide(&hybrid, &client(), Some(&who), None), "Issue");
    let narrowed = Client {
        response_types: BTreeSet::from([ResponseType::Code]),
        ..client()
    };
    for person in [Some(&who), None] {
        assert_eq!(
            decide(&hybrid, &narrowed, person, None),
            "unauthorized_client"
        );
    }
    let mut without_openid = hybrid;
    without_openid.request.scope = Scope::parse("email").unwrap();
    assert_eq!(
        decide(&without_openid, &client(), Some(&who), None),
        "invalid_scope"
    );
    // And the other way round: one that is registered for the hybrid type alone.
    let hybrid_alone = Client {
        response_types: BTreeSet::from([ResponseType::CodeIdToken]),
        ..client()
    };
    assert_eq!(
        decide(&pending(&[]), &hybrid_alone, Some(&who), None),
        "unauthorized_client"
    );
}

/// A login of the account page's own never ends in a code, and linking wants a fresh login of each of the two, however
/// long the pages in between were open.
#[test]
fn an_errand_wants_fresh_logins_and_gives_no_code() {
    let issuer = Issuer::parse("https://login.example.org").unwrap();
    let step = |errand: Errand, age: i64, logged_in_here: bool| {
        let who = logged_in(age);
        let (client, mut pending) =
            errand::begin(&issuer, errand, Some(&who.account), NOW).unwrap();
        pending.logged_in = logged_in_here.then(|| who.session.id.clone());
        decide(&pending, &client, Some(&who), None)
    };
    let login = UpstreamSubject {
        upstream: UpstreamId::new("staff"),
        subject: "7".to_owned(),
    };
    let link = |age: Option<i64>| Errand::Link {
        asked: true,
        proven: age.map(|age| {
            Box::new(ProvenLogin {
                login: login.clone(),
                profile: Profile::default(),
                at: NOW - age,
                tokens: None,
            })
        }),
    };
    let unlink = || Errand::Unlink {
        login: login.clone(),
    };
    let (fresh, old) = (errand::FRESH_SECONDS, errand::FRESH_SECONDS + 1);
    for here in [false, true] {
        assert_eq!(step(Errand::Account, 5000, here), "AccountPage");
        assert_eq!(step(link(None), fresh, here), "OtherLogin");
        assert_eq!(step(link(None), old, here), "Login");
        assert_eq!(step(link(Some(fresh)), fresh, here), "Confirm");
        assert_eq!(step(link(Some(old)), 0, here), "OtherLogin");
        assert_eq!(step(link(Some(0)), old, here), "Login");
        assert_eq!(step(link(Some(-60)), 0, here), "OtherLogin");
        assert_eq!(step(unlink(), fresh, here), "Confirm");
        assert_eq!(step(unlink(), old, here), "Login");
    }
    // For nobody else than the person who began it, who may try again.
    let who = logged_in(0);
    let mut other = logged_in(0);
    other.account.subject = AccountSubject::new("another");
    for errand in [link(Some(0)), unlink()] {
        let (client, mut pending) =
            errand::begin(&issuer, errand, Some(&who.account), NOW).unwrap();
        pending.logged_in = Some(other.session.id.clone());
        assert_eq!(decide(&pending, &client, Some(&other), None), "Login");
    }
}

#[test]
fn consent_is_asked_by_policy() {
    let who = logged_in(0);
    let given_at = |scope: &str, resources: &[&str]| {
        let resources: Vec<String> = resources.iter().map(ToString::to_string).collect();
        let scope = Scope::parse(scope).unwrap();
        Consent::to(
            AccountId::new("account"),
            ClientId::new("app"),
            scope,
            &resources,
            0,
        )
    };
    let given = |scope: &str| given_at(scope, &[]);
    let policy = |consent| Client {
        consent,
        ..client()
    };
    let once = policy(ConsentPolicy::Once);
    let always = policy(ConsentPolicy::Always);
    let plain = pending(&[]);
    assert_eq!(decide(&plain, &once, Some(&who), None), "Consent");
    assert_eq!(
        decide(&plain, &once, Some(&who), Some(&given("email"))),
        "Consent"
    );
    assert_eq!(
        decide(&plain, &once, Some(&who), Some(&given("openid"))),
        "Issue"
    );
    assert_eq!(
        decide(&plain, &always, Some(&who), Some(&given("openid"))),
        "Consent"
    );
    let mut agreed = plain;
    agreed.consented = Some(who.session.id.clone());
    assert_eq!(decide(&agreed, &always, Some(&who), None), "Issue");
    // Another session's yes is not this one's (T14).
    agreed.consented = Some(SessionId::new("another"));
    assert_eq!(decide(&agreed, &always, Some(&who), None), "Consent");
    let mut at_api = pending(&[]);
    at_api.request.resources = vec!["https://api.example.org".to_owned()];
    let api = Client {
        audience: vec!["https://api.example.org".to_owned()],
        ..once.clone()
    };
    for (given, step) in [
        (given("openid"), "Consent"),
        (
            given_at("openid", &["https://other.example.org"]),
            "Consent",
        ),
        (given_at("openid", &["https://api.example.org"]), "Issue"),
    ] {
        assert_eq!(decide(&at_api, &api, Some(&who), Some(&given)), step);
    }
}

/// Core section 5.5: a claim asked for by name is agreed to like a scope, unless a scope that was agreed to opens it, or the client
/// may not ask for it anyway.
#[test]
fn consent_covers_claims_asked_for_by_name() {
    let who = logged_in(0);
    let given = |scope: &str, claims: &[&str]| Consent {
        account_id: AccountId::new("account"),
        client_id: ClientId::new("app"),
        scope: Scope::parse(scope).unwrap(),
        claims: claims.iter().map(ToString::to_string).collect(),
        granted_at: 0,
        resources: std::collections::BTreeMap::new(),
    };
    let once = Client {
        consent: ConsentPolicy::Once,
        ..client()
    };
    for (claims, given, expected) in [
        (
            "{\"userinfo\":{\"email\":null}}",
            given("openid", &[]),
            "Consent",
        ),
        (
            "{\"id_token\":{\"email\":null}}",
            given("openid", &[]),
            "Consent",
        ),
        (
            "{\"userinfo\":{\"email\":null}}",
            given("openid", &["email"]),
            "Issue",
        ),
        (
            "{\"userinfo\":{\"email\":null}}",
            given("openid email", &[]),
            "Issue",
        ),
        // The client is not registered for the scope that opens it.
        (
            "{\"userinfo\":{\"address\":null}}",
            given("openid", &[]),
            "Issue",
        ),
        (
            "{\"id_token\":{\"auth_time\":null}}",
            given("openid", &[]),
            "Issue",
        ),
    ] {
        let pending = pending(&[("claims", claims)]);
        let step = decide(&pending, &once, Some(&who), Some(&given));
        assert_eq!(step, expected, "{claims}");
    }
}

/// Core sections 3.1.2.1 and 3.1.2.6: where nobody is current, and others are signed in, the person says who.
#[test]
fn where_several_are_signed_in_the_person_chooses() {
    let step = |choice: usize, extra: &[(&str, &str)], who: Option<&LoggedIn>| {
        decide_among(choice, &pending(extra), &client(), who, None)
    };
    let silent = [("prompt", "none")];
    assert_eq!(step(1, &[], None), "SelectAccount");
    assert_eq!(step(1, &silent, None), "account_selection_required");
    assert_eq!(step(0, &silent, None), "login_required");
    let mut elsewhere = logged_in(0);
    elsewhere.session.upstream = UpstreamId::new("staff");
    assert_eq!(step(1, &[], Some(&elsewhere)), "SelectAccount");
    // Whoever is current is the answer, however many there are.
    let who = logged_in(500);
    assert_eq!(step(5, &[], Some(&who)), "Issue");
    assert_eq!(step(5, &silent, Some(&who)), "Issue");
    // Whose new login it is to be is asked first.
    let stale = [("prompt", "select_account"), ("max_age", "10")];
    assert_eq!(step(1, &stale, Some(&who)), "Login");
    assert_eq!(step(2, &stale, Some(&who)), "SelectAccount");
    let mut chosen = pending(&stale);
    chosen.selected = Some(who.session.id.clone());
    let again = decide_among(2, &chosen, &client(), Some(&who), None);
    assert_eq!(again, "Login");
    // A hint that is not about the current one, and fits several.
    let mut hinted = pending(&[]);
    hinted.expected_subject = Some(Subject::new("somebody else"));
    let step = |choice| decide_among(choice, &hinted, &client(), Some(&who), None);
    assert_eq!(step(0), "Login");
    assert_eq!(step(2), "SelectAccount");
}

fn candidate(id: &str) -> Candidate {
    let mut who = logged_in(0);
    who.session.id = SessionId::new(id);
    who.account.id = AccountId::new(id);
    who.account.profile.preferred_username = Some(format!("{id}-NAME"));
    who.account.profile.email = Some(format!("{id}@example.org"));
    Candidate {
        subject: Subject::new(format!("sub-{id}")),
        who,
    }
}

/// RP-Initiated Logout section 2, `logout_hint`: of two who have the same name, neither.
#[test]
fn a_logout_hint_means_one_person_or_nobody() {
    let (a, mut b) = (candidate("a").who, candidate("b").who);
    let meant = |b: &LoggedIn, hint: &str| logout::meant(&[&a, b], hint);
    let id = |id: &str| Some(SessionId::new(id));
    assert_eq!(meant(&b, "b"), id("b"));
    assert_eq!(meant(&b, " a-Name"), id("a"));
    assert_eq!(meant(&b, "b@example.org"), id("b"));
    assert_eq!(meant(&b, "c"), None);
    assert_eq!(meant(&b, ""), None);
    b.account.profile.email = Some("a@example.org".to_owned());
    assert_eq!(meant(&b, "a@example.org"), None);
}

/// Who was picked among a current one and two others, and whom the answer may be about.
fn picked(pending: &PendingAuthorization, current: Option<&Candidate>) -> (String, String) {
    picked_among(pending, current, &[candidate("b"), candidate("c")])
}

fn picked_among(
    pending: &PendingAuthorization,
    current: Option<&Candidate>,
    others: &[Candidate],
) -> (String, String) {
    let picked = pick(pending, &client(), current, others);
    let id = |who: &LoggedIn| who.session.id.as_str().to_owned();
    let who = picked.who.as_ref().map_or_else(|| "-".to_owned(), id);
    (who, picked.choice.iter().map(id).collect())
}

fn both(who: &str, choice: &str) -> (String, String) {
    (who.to_owned(), choice.to_owned())
}

/// Where nothing says who, the current one; without one nobody, however few the others are.
#[test]
fn the_current_account_is_the_answer_and_no_other_comes_by_itself() {
    let a = candidate("a");
    let request = pending(&[]);
    assert_eq!(picked(&request, Some(&a)), both("a", "abc"));
    assert_eq!(picked(&request, None), both("-", "bc"));
    assert_eq!(
        picked_among(&request, None, &[candidate("b")]),
        both("-", "b")
    );
    // T15: one that does not do here stays the one that the next step speaks of, and is no choice.
    let mut elsewhere = candidate("a");
    elsewhere.who.session.upstream = UpstreamId::new("staff");
    assert_eq!(picked(&request, Some(&elsewhere)), both("a", "bc"));
    let mut closed = candidate("b");
    closed.who.account.disabled_at = Some(1);
    let hinted = pending(&[("login_hint", "b-name")]);
    assert_eq!(picked_among(&hinted, Some(&a), &[closed]), both("a", "a"));
    let mut unconfirmed = pending(&[]);
    unconfirmed.unconfirmed = Some(SessionId::new("a"));
    assert_eq!(picked(&unconfirmed, Some(&a)), both("a", "bc"));
}

/// Core sections 3.1.2.1, 3.1.2.2 and 5.5.1; T29.
#[test]
fn who_is_named_is_picked_wherever_they_are() {
    let a = candidate("a");
    let sub = |values: &str| {
        let claims = format!("{{\"userinfo\":{{\"sub\":{{{values}}}}}}}");
        pending(&[("claims", claims.as_str())])
    };
    let one = sub("\"value\":\"sub-c\"");
    assert_eq!(picked(&one, Some(&a)), both("c", "c"));
    assert_eq!(picked(&one, None), both("c", "c"));
    let two = "\"values\":[\"sub-c\",\"sub-b\"]";
    assert_eq!(picked(&sub(two), Some(&a)), both("a", "bc"));
    assert_eq!(picked(&sub(two), None), both("-", "bc"));
    let with_current = "\"values\":[\"sub-c\",\"sub-a\"]";
    assert_eq!(picked(&sub(with_current), Some(&a)), both("a", "ac"));
    assert_eq!(picked(&sub("\"essential\":true"), None), both("-", "bc"));
    let mut hinted = pending(&[("login_hint", "b-name")]);
    hinted.expected_subject = Some(Subject::new("sub-c"));
    assert_eq!(picked(&hinted, Some(&a)), both("c", "c"));
    hinted.expected_subject = Some(Subject::new("nobody"));
    assert_eq!(picked(&hinted, Some(&a)), both("a", ""));
}

/// Core section 3.1.2.1: a wish, that counts where it says one of them.
#[test]
fn a_login_hint_picks_where_it_is_the_name_of_one() {
    let a = candidate("a");
    for (hint, who) in [
        ("b-NAME", "b"),
        (" B-name ", "b"),
        ("c@example.org", "c"),
        ("a-name", "a"),
        ("nobody", "a"),
        ("sub-b", "a"),
    ] {
        let request = pending(&[("login_hint", hint)]);
        assert_eq!(picked(&request, Some(&a)), both(who, "abc"), "{hint}");
    }
    // Where nothing is shown it would tell an app who else is signed in here.
    let silent = pending(&[("login_hint", "b-name"), ("prompt", "none")]);
    assert_eq!(picked(&silent, Some(&a)), both("a", "abc"));
    assert_eq!(picked(&silent, None), both("-", "bc"));
    let mut like_b = candidate("c");
    like_b.who.account.profile.email = Some("b@example.org".to_owned());
    let request = pending(&[("login_hint", "b@example.org")]);
    let others = [candidate("b"), like_b];
    assert_eq!(picked_among(&request, Some(&a), &others), both("a", "abc"));
    assert_eq!(picked_among(&request, None, &others), both("-", "bc"));
}

/// What the person did in this flow comes before what was asked for, so that the next step can say that it does not fit; and
/// before what another tab made of it since.
#[test]
fn what_was_chosen_in_the_flow_comes_first() {
    let a = candidate("a");
    let mut request = pending(&[("login_hint", "a-name")]);
    request.logged_in = Some(SessionId::new("c"));
    assert_eq!(picked(&request, Some(&a)), both("c", "abc"));
    request.selected = Some(SessionId::new("b"));
    assert_eq!(picked(&request, Some(&a)), both("b", "abc"));
    request.expected_subject = Some(Subject::new("sub-a"));
    assert_eq!(picked(&request, Some(&a)), both("b", "a"));
    // Of one that is not here any more nobody else takes the place: another tab signed somebody in since.
    for request in [&mut request, &mut pending(&[])] {
        request.selected = None;
        request.logged_in = Some(SessionId::new("gone"));
        assert_eq!(picked(request, Some(&a)).0, "-");
        request.selected = Some(SessionId::new("gone"));
        request.logged_in = None;
        assert_eq!(picked(request, Some(&a)).0, "-");
    }
    let again = pick(&pending(&[]), &client(), Some(&a), &[]).without(&SessionId::new("a"));
    assert!(again.who.is_none() && again.choice.is_empty());
}
