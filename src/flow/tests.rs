//! The table of decisions, without a server.

use std::collections::BTreeSet;

use super::*;
use crate::protocol::authorize::{AuthorizationRequest, ReturnRequest};
use crate::protocol::claims::Profile;
use crate::protocol::client_auth::ClientAuthMethod;
use crate::protocol::ids::{AccountId, ClientId, SessionId, UpstreamId};
use crate::protocol::issuer::Issuer;
use crate::protocol::jws::SigningAlgorithm;
use crate::protocol::params::Params;
use crate::protocol::redirect_uri::RedirectUri;
use crate::protocol::response::ResponseType;
use crate::protocol::scope::Scope;
use crate::protocol::token::GrantType;

const NOW: UnixTime = 1_000_000;

fn client() -> Client {
    Client {
        client_id: ClientId::new("app"),
        client_name: None,
        client_uri: None,
        initiate_login_uri: None,
        token_endpoint_auth_method: ClientAuthMethod::ClientSecretBasic,
        redirect_uris: vec![RedirectUri::register("https://app.example.org/cb").unwrap()],
        post_logout_redirect_uris: vec![],
        grant_types: BTreeSet::from([GrantType::AuthorizationCode]),
        scope: Scope::parse("openid email").unwrap(),
        default_max_age: None,
        id_token_signed_response_alg: SigningAlgorithm::RS256,
        audience: vec![],
        upstreams: Some(BTreeSet::from([UpstreamId::new("members")])),
        consent: ConsentPolicy::None,
        require_pkce: false,
        upstream_apis: BTreeSet::new(),
        upstream_tokens: [].into(),
        service_tokens: [].into(),
    }
}

fn pending(extra: &[(&str, &str)]) -> PendingAuthorization {
    let base = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("scope", "openid"),
    ];
    let params: Params = base.iter().chain(extra).copied().collect();
    let issuer = Issuer::parse("https://login.example.org").unwrap();
    let return_to = client()
        .return_to(
            &ReturnRequest::read(&params).unwrap(),
            ResponseType::Code,
            &issuer,
        )
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
            auth_time: NOW - age,
            amr: vec![],
            last_seen_at: NOW,
            expires_at: NOW + 1000,
            ended_at: None,
        },
        account: Account {
            id: AccountId::new("account"),
            subject: "subject".into(),
            profile: Profile::default(),
            created_at: 0,
            disabled_at: None,
        },
    }
}

fn decide(
    pending: &PendingAuthorization,
    client: &Client,
    logged_in: Option<&LoggedIn>,
    consent: Option<&Consent>,
) -> String {
    let step = next_step(Situation {
        pending,
        client,
        logged_in,
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
    expecting.expected_subject = Some("somebody else".into());
    assert_eq!(decide(&expecting, &client(), Some(&who), None), "Login");
    expecting.logged_in = Some(who.session.id.clone());
    assert_eq!(
        decide(&expecting, &client(), Some(&who), None),
        "login_required"
    );
    expecting.expected_subject = Some("subject".into());
    assert_eq!(decide(&expecting, &client(), Some(&who), None), "Issue");
    let mut silent = pending(&[("prompt", "none")]);
    silent.expected_subject = Some("somebody else".into());
    assert_eq!(
        decide(&silent, &client(), Some(&who), None),
        "login_required"
    );
}

#[test]
fn consent_is_asked_by_policy() {
    let who = logged_in(0);
    let given = |scope: &str| Consent {
        account_id: AccountId::new("account"),
        client_id: ClientId::new("app"),
        scope: Scope::parse(scope).unwrap(),
        granted_at: 0,
    };
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
}
