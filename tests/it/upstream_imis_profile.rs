//! What the iMIS adapter tells of a person, through every switch of the simulator that touches it.

use std::io::Write;
use std::sync::{Arc, Mutex};

use portico::protocol::claims::Profile;
use portico::simulator::Fault;
use portico::simulator::imis::{
    Edition, Execute, Groups, MEMBERS_QUERY, MemberRights, PROFILE_QUERY, QueryEmpty,
    QueryServices, QuerySubject, Switches,
};
use portico::simulator::people;
use portico::upstream::imis::Settings;
use portico::upstream::{Identity, Known, LoginError, NoVerdict};
use serde_json::{Value, json};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::upstream::{kind, told};
use crate::upstream_imis::{Site, service_account, settings};

/// The settings of a site with these keys beside the usual ones, and a service account.
fn set(more: &Value) -> impl FnOnce(&mut Settings) {
    let more = more.clone();
    move |own: &mut Settings| {
        *own = settings(own.base_url.as_str(), &more);
        own.service_account = Some(service_account());
    }
}

async fn site(turn: impl FnOnce(&mut Switches), more: &Value) -> Site {
    Site::start_with(turn, set(more)).await
}

fn query(more: &Value) -> Value {
    let mut query = json!({
        "path": PROFILE_QUERY,
        "subject_column": "id",
        "columns": { "email": "email", "membership_type": "member_type", "groups": "committees" },
    });
    query
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({ "profile_query": query })
}

fn claims(profile: &Profile) -> Value {
    serde_json::to_value(profile).unwrap()
}

fn verdict(answer: &Result<Identity, LoginError>) -> &'static str {
    kind(answer)
}

#[tokio::test]
async fn a_record_tells_of_the_membership_however_it_is_written() {
    let turns: [fn(&mut Switches); 7] = [
        |_| {},
        |s| s.edition = Edition::Imis2017,
        |s| s.bare_items = true,
        |s| s.wrapped_values = false,
        |s| s.wrapped_dates = true,
        |s| s.combo_party = true,
        |s| s.base_path = "/Asi.Scheduler_Demo".to_owned(),
    ];
    let more = json!({ "attributes": { "paid_through": "paidthroughdate", "renews_early": "AllowAdvanceRenewal" } });
    for (number, turn) in turns.into_iter().enumerate() {
        for rights in [MemberRights::OwnRecord, MemberRights::Forbidden] {
            let both = |switches: &mut Switches| {
                turn(switches);
                switches.member_rights = rights;
            };
            let site = site(both, &more).await;
            let told = site.log_in(&people::CHAIR).await.unwrap().profile;
            assert_eq!(
                claims(&told),
                json!({
                    "name": "Cam Chair",
                    "given_name": "Cam",
                    "family_name": "Chair",
                    "preferred_username": people::CHAIR.username,
                    "email": "c.chair@example.org",
                    "is_member": true,
                    "membership_type": "Fellow",
                    "membership_status": "Active",
                    "member_id": "20466",
                    "member_since": "2008-02-29",
                    "paid_through": "2027-12-31",
                    "renews_early": false,
                }),
                "{number} {rights:?}"
            );
            let told = site.log_in(&people::MONO).await.unwrap().profile;
            assert_eq!(told.more["is_member"], json!(false));
            assert!(!told.more.contains_key("member_since"));
            assert!(!told.more.contains_key("paid_through"));
        }
    }
}

#[tokio::test]
async fn an_attribute_that_is_mapped_and_missing_gives_no_claim() {
    let more = json!({ "attributes": { "email": "NoSuch", "is_member": "IsInactiveMember" } });
    let site = site(|s| s.paid_through_name = None, &more).await;
    let told = site.log_in(&people::JO_SMITH).await.unwrap().profile;
    assert_eq!(told.email, None);
    assert_eq!(told.more["is_member"], json!(false));
    assert!(!told.more.contains_key("paid_through"));
}

#[tokio::test]
async fn a_record_in_short_serves_where_the_long_one_may_not_be_read() {
    for service in [true, false] {
        let site = Site::start_with(
            |_| {},
            |settings| settings.service_account = service.then(service_account),
        )
        .await;
        site.imis.fail("/api/party/", Fault::Status(403));
        let identity = site.log_in(&people::JO_SMITH).await.unwrap();
        assert_eq!(identity.subject, people::JO_SMITH.uniform_id);
        let told = identity.profile;
        assert_eq!(told.name.as_deref(), Some("Jo Smith"));
        assert_eq!(told.email.as_deref(), Some("j.smith@example.org"));
        assert_eq!(told.more["membership_status"], json!("Active"));
        assert!(!told.more.contains_key("is_member"));
        site.imis.fail("/api/partysummary/", Fault::Status(403));
        assert_eq!(verdict(&site.log_in(&people::JO_SMITH).await), "protocol");
    }
    // The service account, which may read the long one, is asked before that.
    let site = Site::with_service(|_| {}).await;
    site.imis.fail_once("/api/party/", Fault::Status(403));
    let told = site.log_in(&people::JO_SMITH).await.unwrap().profile;
    assert_eq!(told.more["is_member"], json!(true));
}

#[tokio::test]
async fn roles_and_committees_are_groups() {
    let groups = |told: &Identity| told.profile.groups.clone();
    let roles = ["Everyone", "BoardMember", "Content Editor"];
    let committees = ["Education Committee", "Northern Section"];
    for (more, expected) in [
        (json!({}), Vec::new()),
        (json!({ "roles": true }), roles.to_vec()),
        (json!({ "committees": true }), committees.to_vec()),
        (
            json!({ "roles": true, "committees": true }),
            [roles.as_slice(), &committees].concat(),
        ),
    ] {
        for members in [Groups::Readable, Groups::ServiceAccount] {
            let site = site(|s| s.groups = members, &more).await;
            let cam = site.log_in(&people::CHAIR).await.unwrap();
            // The term on the finance committee has ended, whatever its record says.
            assert_eq!(groups(&cam), expected, "{more}");
            let jo = site.log_in(&people::JO_SMITH).await.unwrap();
            assert_eq!(groups(&jo), Vec::<String>::new());
        }
    }
    let more = json!({ "committees": true });
    let site = site(|_| {}, &more).await;
    // Two years before its time, the term on the finance committee has not; the other one has not begun.
    site.clock.advance(-1_500 * 86_400);
    let cam = site.log_in(&people::CHAIR).await.unwrap();
    assert_eq!(
        groups(&cam),
        ["Northern Section", "Finance & Audit Committee"]
    );
}

/// A list that does not fit on a page is read on; one that does not end tells nothing, and takes nothing away.
#[tokio::test]
async fn committees_beyond_the_first_page_count() {
    let more = json!({ "committees": true });
    let site = site(
        |switches| {
            switches.group_filter = false;
            switches.page_rows = Some(1);
        },
        &more,
    )
    .await;
    site.imis.change(people::JO_SMITH.username, |person| {
        person.groups = people::CHAIR.groups;
    });
    let cam = site.log_in(&people::CHAIR).await.unwrap();
    assert_eq!(
        cam.profile.groups,
        ["Education Committee", "Northern Section"]
    );

    let [first, ..] = people::CHAIR.groups else {
        panic!("the chair is in no group");
    };
    site.imis.change(people::JO_SMITH.username, |person| {
        person.groups = people::keep_groups(&[*first; 30]);
    });
    let known = Known {
        subject: &cam.subject,
        profile: &cam.profile,
        tokens: None,
    };
    let recheck = site.upstream.recheck.as_ref().unwrap();
    site.imis.clear_log();
    let answer = recheck.recheck(&known).await;
    assert!(told(&answer.unwrap_err()).contains("cannot be learned now"));
    let asked = site.imis.log();
    let asked = asked
        .iter()
        .filter(|call| call.path.contains("GroupMember"));
    assert_eq!(asked.count(), 20);
    let cam = site.log_in(&people::CHAIR).await.unwrap();
    assert_eq!(cam.profile.groups, Vec::<String>::new());
}

#[tokio::test]
async fn without_a_service_account_a_persons_own_token_asks() {
    let site = Site::start_with(
        |s| s.execute = Execute::OwnRolesToo,
        |settings| {
            settings.roles = true;
            settings.committees = true;
        },
    )
    .await;
    let cam = site.log_in(&people::CHAIR).await.unwrap();
    assert_eq!(cam.profile.groups.len(), 5);
}

/// A log of its own.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is missing costs the claim and not the login, and is told once; a policy that wants a group then finds none.
#[tokio::test]
async fn a_missing_right_costs_the_groups_and_is_told_once() {
    let executes = [
        (Execute::Unauthorized, "401"),
        (Execute::NotImplemented, "501"),
        (Execute::Unsuccessful, "not carried out"),
    ];
    for (execute, reason) in executes {
        let log = Log::default();
        let writer = log.clone();
        let guard = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .set_default();
        let more = json!({ "roles": true, "committees": true });
        let site = site(|s| s.execute = execute, &more).await;
        for _ in 0..3 {
            let cam = site.log_in(&people::CHAIR).await.unwrap();
            let committees = ["Education Committee", "Northern Section"];
            assert_eq!(cam.profile.groups, committees, "{execute:?}");
        }
        drop(guard);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("does not tell this part").count(), 1, "{text}");
        assert!(
            text.contains(reason) && text.contains("GetUserRoles"),
            "{text}"
        );
        // A right that is missing is not mended by new tokens.
        assert!(site.tokens_asked(people::SERVICE.username) <= 2);
    }
    let more = json!({ "committees": true });
    let site = site(|s| s.groups = Groups::Missing, &more).await;
    let cam = site.log_in(&people::CHAIR).await.unwrap();
    assert_eq!(cam.profile.groups, Vec::<String>::new());
}

#[tokio::test]
async fn an_imis_that_is_away_meanwhile_fails_the_login() {
    let mut all = query(&json!({}));
    let more = all.as_object_mut().unwrap();
    more.insert("roles".to_owned(), json!(true));
    more.insert("committees".to_owned(), json!(true));
    for place in ["/api/usersecurity", "/api/groupmember", "/api/query"] {
        for fault in [
            Fault::Status(500),
            Fault::Throttled(None),
            Fault::CloseAfter(0),
        ] {
            let site = site(|_| {}, &all).await;
            site.imis.fail(place, fault.clone());
            let answer = site.log_in(&people::JO_SMITH).await;
            assert_eq!(verdict(&answer), "unavailable", "{place} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_saved_query_tells_what_the_columns_say() {
    let columns = json!({ "columns": {
        "email": "EMAIL", "name": "name", "groups": "committees", "membership_type": "member_type",
        "paid_through": "paid_thru", "member_since": "join_date", "chapter": "no_such", "kind": "customer_type",
    } });
    let shapes: [fn(&mut Switches); 5] = [
        |_| {},
        |s| s.bare_items = true,
        |s| s.query_empty = QueryEmpty::Null,
        |s| s.query_empty = QueryEmpty::Omitted,
        |s| s.edition = Edition::Imis2017,
    ];
    for (number, shape) in shapes.into_iter().enumerate() {
        for service in ["query", "iqa"] {
            for by in ["token", "username"] {
                if number == 4 && service == "query" {
                    continue;
                }
                let mut more = query(&columns);
                more["profile_query"]["service"] = json!(service);
                more["profile_query"]["by"] = json!(by);
                let site = site(shape, &more).await;
                let told = site.log_in(&people::CHAIR).await.unwrap().profile;
                assert_eq!(
                    claims(&told),
                    json!({
                        "name": "Cam Chair",
                        "given_name": "Cam",
                        "family_name": "Chair",
                        "preferred_username": people::CHAIR.username,
                        "email": "c.chair@example.org",
                        "groups": ["Education Committee", "Northern Section", "Finance & Audit Committee"],
                        "is_member": true,
                        "membership_type": "Fellow",
                        "membership_status": "Active",
                        "member_id": "20466",
                        "member_since": "2008-02-29",
                        "paid_through": "2027-12-31",
                        "kind": "FEL",
                    }),
                    "{number} {service} {by}"
                );
                // An empty column is no claim, though the record has one.
                let mono = site.log_in(&people::MONO).await.unwrap().profile;
                assert_eq!(mono.email, None);
            }
        }
    }
}

/// Either service may be the only one.
#[tokio::test]
async fn a_saved_query_runs_by_the_service_that_there_is() {
    for (services, service, runs) in [
        (QueryServices::QueryOnly, "query", true),
        (QueryServices::QueryOnly, "iqa", false),
        (QueryServices::IqaOnly, "iqa", true),
        (QueryServices::IqaOnly, "query", false),
    ] {
        let more = query(&json!({ "service": service }));
        let site = site(|switches| switches.query_services = services, &more).await;
        let groups = site.log_in(&people::CHAIR).await.unwrap().profile.groups;
        assert_eq!(!groups.is_empty(), runs, "{services:?} {service}");
    }
}

#[tokio::test]
async fn a_query_may_be_all_that_is_told() {
    let more = query(&json!({ "alone": true, "columns": { "name": "name", "email": "email" } }));
    let mut more = more;
    more["email_verified"] = json!(true);
    let site = site(|_| {}, &more).await;
    let told = site.log_in(&people::CHAIR).await.unwrap();
    assert_eq!(told.subject, people::CHAIR.uniform_id);
    assert_eq!(
        claims(&told.profile),
        json!({ "name": "Cam Chair", "email": "c.chair@example.org", "email_verified": true })
    );
    assert_eq!(site.upstream.claims, Vec::<String>::new());
}

/// T26: no row is what a Guest has; somebody else's row is somebody else.
#[tokio::test]
async fn a_row_counts_only_when_it_is_the_persons_own() {
    let columns = [
        ("id", "id"),
        ("username", "username"),
        ("sub", "uniform_id"),
    ];
    for (column, kind) in columns {
        let more = query(&json!({ "subject_column": column, "subject_is": kind }));
        let site = site(|_| {}, &more).await;
        assert_eq!(
            verdict(&site.log_in(&people::JO_SMITH).await),
            "in",
            "{kind}"
        );
    }
    for (more, turn) in [
        // No such column; the wrong kind of thing in it.
        (json!({ "subject_column": "nothing" }), QuerySubject::Either),
        (
            json!({ "subject_column": "username" }),
            QuerySubject::Either,
        ),
        // It filters on the user that runs it, which is the service account.
        (json!({ "by": "username" }), QuerySubject::LoggedInUser),
    ] {
        let site = site(|s| s.query_subject = turn, &query(&more)).await;
        let answer = site.log_in(&people::JO_SMITH).await;
        assert_eq!(verdict(&answer), "protocol", "{more}");
        assert!(told(&answer.unwrap_err()).contains("subject_column"));
    }
    // None: a query that means another thing by its parameter.
    let more = query(&json!({ "path": MEMBERS_QUERY, "by": "username" }));
    let site_of_none = site(|_| {}, &more).await;
    let answer = site_of_none.log_in(&people::JO_SMITH).await;
    assert_eq!(verdict(&answer), "not allowed");

    // Several: all whose last name it is.
    let site_of_many = site(|_| {}, &more).await;
    site_of_many
        .imis
        .change("JSMITH", |person| person.username = "SMITH");
    site_of_many
        .imis
        .change(people::ZOE.username, |person| person.family_name = "Smith");
    let answer =
        crate::upstream::log_in(&site_of_many.upstream, "SMITH", people::JO_SMITH.password);
    let answer = answer.await;
    assert_eq!(verdict(&answer), "protocol");
    assert!(told(&answer.unwrap_err()).contains("several rows"));
}

#[tokio::test]
async fn a_query_that_cannot_be_run_costs_its_claims_alone() {
    let not_flagged: fn(&mut Switches) = |s| s.queries_for_rest = false;
    let not_there: fn(&mut Switches) = |s| s.edition = Edition::Imis2017;
    for turn in [not_flagged, not_there] {
        let site = site(turn, &query(&json!({}))).await;
        let told = site.log_in(&people::JO_SMITH).await.unwrap().profile;
        assert_eq!(told.name.as_deref(), Some("Jo Smith"));
        // Mapped, so from there or not at all.
        assert_eq!(told.email, None);
        assert!(!told.more.contains_key("membership_type"));
        assert!(told.more.contains_key("member_id"));
    }
    let site = site(|_| {}, &query(&json!({}))).await;
    site.imis.fail("/api/query", Fault::Status(403));
    let told = site.log_in(&people::JO_SMITH).await.unwrap().profile;
    assert_eq!(told.email, None);
}

/// What is told again at a refresh is what would be told at a login.
#[tokio::test]
async fn a_second_look_tells_what_has_changed() {
    let mut more = query(&json!({ "by": "username" }));
    more["roles"] = json!(true);
    let site = site(|_| {}, &more).await;
    let cam = site.log_in(&people::CHAIR).await.unwrap();
    site.imis.change(people::CHAIR.username, |person| {
        person.roles = &["Everyone"];
        person.groups = &[];
        person.is_member = false;
    });
    let known = Known {
        subject: &cam.subject,
        profile: &cam.profile,
        tokens: None,
    };
    let now = site
        .upstream
        .recheck
        .as_ref()
        .unwrap()
        .recheck(&known)
        .await;
    let now = now.unwrap();
    assert_eq!(now.groups, ["Everyone"]);
    assert_eq!(now.more["is_member"], json!(false));

    // With the person's own token alone, and none left, nobody knows.
    let site = self::site(|_| {}, &query(&json!({}))).await;
    let cam = site.log_in(&people::CHAIR).await.unwrap();
    let known = Known {
        subject: &cam.subject,
        profile: &cam.profile,
        tokens: None,
    };
    let answer = site
        .upstream
        .recheck
        .as_ref()
        .unwrap()
        .recheck(&known)
        .await;
    let reason = told(&answer.unwrap_err());
    assert!(reason.contains("by = \"username\""), "{reason}");
}

/// At a second look, what was told before and cannot be learned now is no answer; what was never told is no matter.
#[tokio::test]
async fn a_second_look_takes_nothing_away_for_a_fault() {
    for (place, before) in [("/api/query", false), ("/api/query", true)] {
        let site = site(|_| {}, &query(&json!({ "by": "username" }))).await;
        if before {
            site.imis.fail(place, Fault::Status(403));
        }
        let cam = site.log_in(&people::CHAIR).await.unwrap();
        site.imis.fail(place, Fault::Status(403));
        let known = Known {
            subject: &cam.subject,
            profile: &cam.profile,
            tokens: None,
        };
        let recheck = site.upstream.recheck.as_ref().unwrap();
        let now = recheck.recheck(&known).await;
        if before {
            assert_eq!(now.unwrap(), cam.profile);
        } else {
            assert!(told(&now.unwrap_err()).contains("cannot be learned now"));
        }
    }
}

/// A living token is refused now and then (research, section 1): claims do not come and go with that.
#[tokio::test]
async fn a_query_whose_token_is_refused_once_tells_all() {
    let site = site(|_| {}, &query(&json!({}))).await;
    site.imis.fail_once("/api/query", Fault::Status(401));
    let cam = site.log_in(&people::CHAIR).await.unwrap();
    assert_eq!(cam.profile.more["membership_type"], json!("Fellow"));
}

/// At a second look, a member's token that the query takes no more says that it is to be renewed; nothing of the person.
#[tokio::test]
async fn a_second_look_says_that_the_querys_token_is_refused() {
    let site = site(|_| {}, &query(&json!({}))).await;
    let cam = site.log_in(&people::CHAIR).await.unwrap();
    site.imis.change(people::CHAIR.username, |person| {
        person.is_member = false;
    });
    site.imis.fail("/api/query", Fault::Status(401));
    let recheck = site.upstream.recheck.as_ref().unwrap();
    let known = Known {
        subject: &cam.subject,
        profile: &cam.profile,
        tokens: cam.tokens.as_ref(),
    };
    let answer = recheck.recheck(&known).await.unwrap_err();
    let verdict = answer.no_verdict();
    assert!(
        matches!(verdict, Some(NoVerdict::TokenRefused(_))),
        "{answer:?}"
    );
    // Whoever is told nothing by the query, as at a login since, is not kept out by it.
    let cam = site.log_in(&people::CHAIR).await.unwrap();
    assert_eq!(cam.profile.more.get("membership_type"), None);
    let known = Known {
        subject: &cam.subject,
        profile: &cam.profile,
        tokens: cam.tokens.as_ref(),
    };
    assert!(recheck.recheck(&known).await.is_ok());
}

#[tokio::test]
async fn what_may_be_told_is_listed() {
    let listed = |more: &Value| {
        let settings = settings("https://members.example.org", more);
        crate::upstream_imis::opened(settings, portico::clock::Clock::manual(0)).claims
    };
    let built_in = [
        "address",
        "is_member",
        "member_id",
        "member_since",
        "membership_status",
        "membership_type",
        "phone_number",
    ];
    assert_eq!(listed(&json!({})), built_in);
    let more = json!({ "roles": true, "attributes": { "paid_through": "X", "chapter": "Y", "name": "Z" } });
    let mut expected = vec!["chapter", "groups", "paid_through"];
    expected.extend(built_in);
    expected.sort_unstable();
    assert_eq!(listed(&more), expected);
    assert_eq!(
        listed(&query(&json!({ "alone": true }))),
        ["groups", "membership_type"]
    );
}

#[test]
fn what_cannot_be_a_claim_or_a_query_is_told() {
    let more = json!({
        "attributes": { "sub": "X", "a b": "X", "address": "X", "fine": "", "chapter": "Chapter" },
        "renew_with": "Nobody",
        "profile_query": {
            "path": "Portico/Profile", "by": "username", "subject_column": " id",
            "columns": { "acr": "x" },
        },
    });
    let problems = settings("https://members.example.org", &more).problems();
    let keys: Vec<&str> = problems.iter().map(|each| each.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "renew_with",
            "attributes.a b",
            "attributes.address",
            "attributes.fine",
            "attributes.sub",
            "profile_query.path",
            "profile_query.subject_column",
            "profile_query.columns.acr",
            "profile_query.by",
        ]
    );
    let none = query(&json!({ "columns": {} }));
    let problems = settings("https://members.example.org", &none).problems();
    assert_eq!(problems[0].key, "profile_query.columns");
}
