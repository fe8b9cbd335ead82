//! People in the config file, and the hashing of what they chose.

use std::time::Duration;

use portico::clock::Clock;
use portico::keys::{MasterKey, Secrets};
use portico::logins::{Logins, Origin, RefusalFloor};
use portico::model::acr::AcrPolicies;
use portico::model::session::{SessionLifetime, SessionLifetimes};
use portico::model::throttle::{ThrottlePolicy, WindowStart};
use portico::passwords::{PasswordHash, Passwords, hash_password};
use portico::protocol::ids::UpstreamId;
use portico::protocol::locale::Label;
use portico::protocol::secret::Secret;
use portico::store::Store;
use portico::telemetry::{Audit, Metrics};
use portico::upstream::users::{Person, Settings, open};
use portico::upstream::{Credentials, LoginError, LoginMethod, Upstream, Upstreams};
use portico::vault::Vault;
use serde_json::json;

use crate::harness::database::TestDatabase;
use crate::upstream::log_in;

fn hash_of(password: &str) -> String {
    hash_password(&Secret::new(password)).unwrap()
}

fn person(id: &str, username: &str, password_hash: &str) -> Person {
    Person {
        id: id.to_owned(),
        username: username.to_owned(),
        password_hash: password_hash.to_owned(),
        name: Some("Kim Roe".to_owned()),
        given_name: None,
        family_name: None,
        email: Some("kim@example.org".to_owned()),
        email_verified: Some(true),
        address: None,
        claims: std::collections::BTreeMap::new(),
    }
}

fn opened(people: Vec<Person>, passwords: &Passwords) -> Upstream {
    open(
        UpstreamId::new("local"),
        Label::plain("Local".to_owned()),
        vec![LoginMethod::Password],
        Settings { people },
        passwords.clone(),
    )
    .unwrap()
}

#[tokio::test]
async fn a_person_logs_in_with_any_spelling_of_the_name() {
    let passwords = Passwords::default();
    let upstream = opened(vec![person("1", "Kim", &hash_of("word-1"))], &passwords);
    for username in ["kim", "KIM", "ｋｉｍ", " kim "] {
        let identity = log_in(&upstream, username, "word-1").await.unwrap();
        assert_eq!(identity.subject, "1");
        assert_eq!(identity.amr, ["pwd"]);
        assert_eq!(identity.profile.name.as_deref(), Some("Kim Roe"));
        assert_eq!(identity.profile.preferred_username.as_deref(), Some("Kim"));
        assert_eq!(identity.profile.email_verified, Some(true));
    }
}

/// T32: counted in hashes, since time cannot be asserted.
#[tokio::test]
async fn a_name_that_does_not_exist_costs_as_much_as_a_wrong_password() {
    let passwords = Passwords::default();
    let people = vec![
        person("1", "kim", &hash_of("word-1")),
        person("2", "lee", &hash_of("word-2")),
    ];
    let upstream = opened(people, &passwords);
    for (username, password) in [
        ("kim", "wrong"),
        ("nobody", "wrong"),
        ("nobody", "word-1"),
        ("kim", "word-2"),
    ] {
        let before = passwords.runs();
        let refused = log_in(&upstream, username, password).await;
        assert!(
            matches!(refused, Err(LoginError::BadCredentials(None))),
            "{username}"
        );
        assert_eq!(passwords.runs() - before, 1, "{username}");
    }
}

/// T48.
#[tokio::test]
async fn what_cannot_be_right_costs_nothing() {
    let passwords = Passwords::default();
    let upstream = opened(vec![person("1", "kim", &hash_of("word-1"))], &passwords);
    let long = "x".repeat(1025);
    for (username, password) in [("kim", ""), ("kim", &long), ("", "word-1"), ("k\0im", "x")] {
        let refused = log_in(&upstream, username, password).await;
        assert!(matches!(refused, Err(LoginError::BadCredentials(None))));
    }
    assert_eq!(passwords.runs(), 0);
}

#[tokio::test]
async fn beyond_the_queue_the_answer_is_busy() {
    let passwords = Passwords::bounded(1, 2);
    let upstream = opened(vec![person("1", "kim", &hash_of("word-1"))], &passwords);
    let tries = (0..8).map(|_| log_in(&upstream, "kim", "word-1"));
    // On one thread all eight ask before the first hash is through.
    let answers = join_all(tries.collect()).await;
    let busy = |answer: &&Result<_, _>| matches!(answer, Err(LoginError::Unavailable(_)));
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    assert_eq!(answers.iter().filter(busy).count(), 5);
    // And then there is room again.
    assert!(log_in(&upstream, "kim", "word-1").await.is_ok());
}

/// Logins of which two may fail, at a name and from an address.
fn logins(store: &Store) -> Logins {
    let (clock, metrics) = (Clock::manual(1000), Metrics::new());
    let secrets = Secrets::derive(&MasterKey::new([1; 32])).unwrap();
    let throttle = ThrottlePolicy {
        attempts: 2,
        window: 900,
        starts_at: WindowStart::LastAttempt,
    };
    Logins {
        store: store.clone(),
        secrets: secrets.clone(),
        clock: clock.clone(),
        session_lifetimes: SessionLifetimes {
            usual: SessionLifetime {
                idle: 1,
                absolute: 1,
            },
            persistent: None,
        },
        sessions_per_person: 1,
        throttle,
        address_throttle: throttle,
        client_throttle: throttle,
        refusal_floor: RefusalFloor::new(Duration::ZERO),
        vault: Vault::new(
            store.clone(),
            clock.clone(),
            secrets,
            Upstreams::new(vec![]),
            metrics.clone(),
        ),
        acr: AcrPolicies::default(),
        metrics,
        audit: Audit::log_alone(clock),
    }
}

/// Nothing was judged: whoever presses again and again while there is a rush comes in when it is over.
#[tokio::test]
async fn a_login_that_finds_no_room_uses_up_no_attempt() {
    let database = TestDatabase::migrated().await;
    let logins = logins(&database.store().await);
    let people = vec![person("1", "kim", &hash_of("word-1"))];
    let full = opened(people.clone(), &Passwords::bounded(0, 0));
    let passwords = Passwords::default();
    let free = opened(people, &passwords);
    let attempt = async |upstream: &Upstream, username: &str| {
        let credentials = Credentials {
            username: username.to_owned(),
            password: Secret::new("word-1"),
        };
        let login = upstream.password.as_deref().unwrap();
        let origin = Origin::Address("192.0.2.1");
        let tried = logins.try_password(&upstream.id, login, &credentials, origin);
        tried.await
    };
    // Whether the name exists or not.
    for username in ["kim", "nobody"] {
        for _ in 0..5 {
            let busy = attempt(&full, username).await;
            let busy = busy.err().unwrap();
            assert!(matches!(busy, LoginError::Unavailable(_)), "{busy}");
        }
    }
    let accepted = attempt(&free, "kim").await.ok().unwrap();
    logins.admit(accepted.attempt).await;
    for runs in [2, 3, 3] {
        let wrong = attempt(&free, "nobody").await;
        assert!(matches!(wrong, Err(LoginError::BadCredentials(None))));
        assert_eq!(passwords.runs(), runs, "two are judged, as ever");
    }
}

/// Polls all until each is through, in order, on this task.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) {
            std::task::Poll::Ready(outputs.drain(..).flatten().collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

/// A vector of the reference implementation (its `src/test.c`).
#[tokio::test]
async fn a_hash_made_elsewhere_is_understood() {
    let hash = PasswordHash::parse(
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    )
    .unwrap();
    let passwords = Passwords::default();
    for (password, fits) in [("password", true), ("differentpassword", false)] {
        let answer = passwords.verify(&Secret::new(password), &hash).await;
        assert_eq!(answer.unwrap(), fits);
    }
}

#[test]
fn every_problem_is_told_with_its_key() {
    let weak = "$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b8dWRWJTmaaJObG";
    let other = "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b8dWRWJTmaaJObG";
    let greedy = "$argon2id$v=19$m=1048576,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b8dWRWJTmaaJObG";
    let mut nowhere = person("5", "five", &hash_of("x"));
    nowhere.email = None;
    let settings = Settings {
        people: vec![
            person("", "kim", weak),
            person("2", "KIM", other),
            person("2", "lee ", greedy),
            person("4", "four", "plain-text"),
            nowhere,
        ],
    };
    let problems = settings.problems();
    let keys: Vec<&str> = problems.iter().map(|each| each.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "people[0].id",
            "people[0].password_hash",
            "people[1].username",
            "people[1].password_hash",
            "people[2].username",
            "people[2].id",
            "people[2].password_hash",
            "people[3].password_hash",
            "people[4].email_verified",
        ]
    );
    assert_eq!(Settings { people: vec![] }.problems()[0].key, "people");
    let mut odd = person("6", "six", &hash_of("x"));
    let names = ["", "a b", "groups", "grün", "iss", "shoe_size"];
    odd.claims = names.map(|name| (name.to_owned(), json!("x"))).into();
    let problems = Settings { people: vec![odd] }.problems();
    let keys: Vec<&str> = problems.iter().map(|each| each.key.as_str()).collect();
    let refused = names[..5].iter();
    let refused: Vec<_> = refused
        .map(|name| format!("people[0].claims.{name}"))
        .collect();
    assert_eq!(keys, refused);
}

#[test]
fn nobody_sees_a_hash_in_debug_output() {
    let hash = hash_of("word-1");
    let shown = format!(
        "{:?} {:?}",
        person("1", "kim", &hash),
        PasswordHash::parse(&hash)
    );
    assert!(!shown.contains("argon2"), "{shown}");
}

#[test]
fn a_way_to_log_in_that_the_kind_lacks_is_refused() {
    let opened = open(
        UpstreamId::new("local"),
        Label::plain("Local".to_owned()),
        vec![LoginMethod::Redirect],
        Settings {
            people: vec![person("1", "kim", &hash_of("x"))],
        },
        Passwords::default(),
    );
    assert!(opened.is_err());
}
