//! Several logins of one account: T31, and what ends when they are linked, unlinked or closed.

use std::collections::BTreeSet;

use portico::clock::random_id;
use portico::model::account::{Account, UpstreamSubject};
use portico::model::consent::Consent;
use portico::model::family::TokenFamily;
use portico::model::session::{Authentication, Session};
use portico::protocol::claims::Profile;
use portico::protocol::ids::{FamilyId, UpstreamId};
use portico::protocol::scope::Scope;
use portico::store::{LeadsTo, Linked, NewLink, Redemption, Store, Unlinked};

use super::{CAP, NOW, World, code, count, family, member, new_account, race};

fn staff(subject: &str) -> UpstreamSubject {
    UpstreamSubject {
        upstream: UpstreamId::new("staff"),
        subject: subject.to_owned(),
    }
}

fn profile(name: &str) -> Profile {
    Profile {
        name: Some(name.to_owned()),
        preferred_username: Some(name.to_uppercase()),
        ..Profile::default()
    }
}

async fn first_login(store: &Store, login: &UpstreamSubject, name: &str) -> Account {
    let profile = profile(name);
    let made = store.find_or_insert_account(login, &profile, new_account(), NOW);
    made.await.unwrap()
}

fn new_session(account: &Account, login: &UpstreamSubject) -> Session {
    Session {
        upstream: login.upstream.clone(),
        upstream_subject: Some(login.subject.clone()),
        ..super::session(account)
    }
}

async fn session(store: &Store, account: &Account, login: &UpstreamSubject) -> Session {
    let session = new_session(account, login);
    let began = store
        .replace_session(&random_id(), &session, None, &[], None)
        .await;
    assert!(began.unwrap());
    session
}

async fn family_of(world: &World, session: &Session, offline: bool) -> TokenFamily {
    let family = TokenFamily {
        authentication: Authentication::from(session),
        offline,
        ..family(&code(&world.client.client_id, session))
    };
    world.begin(family).await
}

async fn link(store: &Store, into: &Account, login: &UpstreamSubject) -> Linked {
    link_with(store, into, login, false).await
}

async fn link_with(store: &Store, into: &Account, login: &UpstreamSubject, same: bool) -> Linked {
    let link = NewLink {
        tokens: None,
        into: &into.id,
        login,
        leads_to: LeadsTo::Any,
        profile: None,
        same_upstream: same,
    };
    store.link_login(&link, NOW + 5).await.unwrap()
}

async fn is_live(store: &Store, session: &Session) -> bool {
    let session = store.find_session(&session.id).await.unwrap().unwrap();
    session.ended_at.is_none()
}

async fn stands(store: &Store, family: &TokenFamily) -> bool {
    let family = store.find_family(&family.id).await.unwrap().unwrap();
    family.is_live(NOW + 6)
}

/// Those that were not revoked, whether their session stands or not.
async fn live_families(world: &World, account: &Account) -> Vec<TokenFamily> {
    let ids: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM token_family
         WHERE account_id = $1 AND generation IS NOT NULL AND revoked_at IS NULL AND expires_at > $2",
    )
    .bind(account.id.as_str())
    .bind(NOW)
    .fetch_all(&world.database.pool().await)
    .await
    .unwrap();
    let mut found = Vec::new();
    for id in ids.into_iter().map(FamilyId::new) {
        found.extend(world.store.find_family(&id).await.unwrap());
    }
    found
}

async fn consent(world: &World, account: &Account) {
    let consent = Consent {
        account_id: account.id.clone(),
        client_id: world.client.client_id.clone(),
        scope: Scope::parse("openid").unwrap(),
        resources: std::collections::BTreeMap::new(),
        granted_at: NOW,
        claims: BTreeSet::new(),
    };
    world.store.widen_consent(&consent).await.unwrap();
}

/// What apps knew by the closed account's subject must ask for a new login: no subject changes silently.
#[tokio::test]
async fn linking_keeps_one_account_and_ends_everything_of_the_other() {
    let world = World::new().await;
    let store = &world.store;
    let kept = first_login(store, &member("1"), "Jo").await;
    let other = first_login(store, &staff("7"), "Ann").await;
    let kept_session = session(store, &kept, &member("1")).await;
    let kept_family = family_of(&world, &kept_session, true).await;
    let ended = session(store, &other, &staff("7")).await;
    let offline = family_of(&world, &ended, true).await;
    let bound = family_of(&world, &ended, false).await;
    store
        .insert_code("code", &code(&world.client.client_id, &ended))
        .await
        .unwrap();
    consent(&world, &other).await;
    consent(&world, &kept).await;

    let outcome = link(store, &kept, &staff("7")).await;
    let closed = Some(other.id.clone());
    let sessions = vec![ended.id.clone()];
    assert_eq!(
        outcome,
        Linked::Done {
            closed,
            ended: sessions
        }
    );

    let found = first_login(store, &staff("7"), "Ann").await;
    assert_eq!((&found.id, &found.subject), (&kept.id, &kept.subject));
    let closed = store.find_account(&other.id).await.unwrap().unwrap();
    assert!(!closed.is_open());
    assert_eq!(closed.merged_into.as_ref(), Some(&kept.id));
    assert!(is_live(store, &kept_session).await && stands(store, &kept_family).await);
    assert!(!is_live(store, &ended).await);
    assert!(!stands(store, &offline).await && !stands(store, &bound).await);
    let late = family(&code(&world.client.client_id, &ended));
    let redeemed = store
        .redeem_code("code", &late, CAP, NOW + 6)
        .await
        .unwrap();
    assert_eq!(redeemed, Redemption::Gone);
    assert_eq!(store.list_consents(&other.id).await.unwrap(), []);
    assert_eq!(store.list_consents(&kept.id).await.unwrap().len(), 1);
    assert!(!store.enable_account(&other.id).await.unwrap());
    assert_eq!(link(store, &kept, &staff("7")).await, Linked::Already);
}

#[tokio::test]
async fn a_login_that_nobody_used_yet_can_be_linked() {
    let world = World::new().await;
    let store = &world.store;
    let kept = first_login(store, &member("1"), "Jo").await;
    let done = Linked::Done {
        closed: None,
        ended: vec![],
    };
    assert_eq!(link(store, &kept, &staff("8")).await, done);
    let logins = store.list_logins(&kept.id).await.unwrap();
    assert_eq!(logins.len(), 2);
    // Nothing of the other login's profile is taken for its own.
    assert_eq!(logins[1].profile, Profile::default());
    assert_eq!(logins[1].linked_at, Some(NOW + 5));
    assert_eq!(first_login(store, &staff("8"), "Ann").await.id, kept.id);
}

/// T31: only an account is closed that the page spoke of, whatever has happened since.
#[tokio::test]
async fn a_login_that_leads_elsewhere_than_was_told_is_not_linked() {
    let world = World::new().await;
    let store = &world.store;
    let kept = first_login(store, &member("1"), "Jo").await;
    let other = first_login(store, &staff("7"), "Ann").await;
    let session = session(store, &other, &staff("7")).await;
    let link = async |told: Option<&Account>| {
        let login = staff("7");
        let link = NewLink {
            tokens: None,
            into: &kept.id,
            login: &login,
            leads_to: LeadsTo::Told(told.map(|account| &account.id)),
            profile: None,
            same_upstream: false,
        };
        store.link_login(&link, NOW + 5).await.unwrap()
    };
    let third = first_login(store, &staff("8"), "Kim").await;
    for told in [None, Some(&third)] {
        assert_eq!(link(told).await, Linked::Otherwise, "{told:?}");
        let leads_to = store.find_login(&staff("7")).await.unwrap();
        assert_eq!(leads_to.as_ref(), Some(&other.id));
        assert!(is_live(store, &session).await);
    }
    let closed = Some(other.id.clone());
    let ended = vec![session.id.clone()];
    assert_eq!(link(Some(&other)).await, Linked::Done { closed, ended });
    assert!(!is_live(store, &session).await);
    // What is done already stays so, whatever was told.
    assert_eq!(link(None).await, Linked::Already);
}

/// All logins of the other account come along, and those it would have twice are counted too.
#[tokio::test]
async fn two_logins_of_one_upstream_are_refused_unless_they_are_wanted() {
    let world = World::new().await;
    let store = &world.store;
    let kept = first_login(store, &member("1"), "Jo").await;
    let second = first_login(store, &member("2"), "Jo").await;
    assert_eq!(link(store, &kept, &member("2")).await, Linked::SameUpstream);
    assert_eq!(link(store, &kept, &member("3")).await, Linked::SameUpstream);
    // A login of another upstream brings one of the same along.
    link(store, &second, &staff("7")).await;
    assert_eq!(link(store, &kept, &staff("7")).await, Linked::SameUpstream);
    assert_eq!(
        store.find_login(&staff("7")).await.unwrap(),
        Some(second.id)
    );
    assert!(store.find_login(&member("3")).await.unwrap().is_none());

    let outcome = link_with(store, &kept, &staff("7"), true).await;
    assert!(matches!(outcome, Linked::Done { .. }));
    assert_eq!(store.list_logins(&kept.id).await.unwrap().len(), 3);
}

/// Linking must open no door that an administrator has closed.
#[tokio::test]
async fn a_closed_account_is_linked_neither_way() {
    let world = World::new().await;
    let store = &world.store;
    let open = first_login(store, &member("1"), "Jo").await;
    let closed = first_login(store, &staff("7"), "Ann").await;
    store
        .disable_account(&closed.id, NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(link(store, &open, &staff("7")).await, Linked::Closed);
    assert_eq!(link(store, &closed, &member("1")).await, Linked::Closed);
    assert_eq!(
        store.find_login(&staff("7")).await.unwrap(),
        Some(closed.id)
    );
    assert_eq!(store.find_login(&member("1")).await.unwrap(), Some(open.id));
}

/// The subject stays where it is; the login gets a new one, and what it had begun ends.
#[tokio::test]
async fn unlinking_gives_the_login_an_account_of_its_own() {
    let world = World::new().await;
    let store = &world.store;
    let kept = first_login(store, &member("1"), "Jo").await;
    let before = first_login(store, &staff("7"), "Ann").await;
    link(store, &kept, &staff("7")).await;
    let by_staff = session(store, &kept, &staff("7")).await;
    let offline = family_of(&world, &by_staff, true).await;
    let left = session(store, &kept, &staff("7")).await;
    let outlived = family_of(&world, &left, true).await;
    store.end_session(&left.id, NOW).await.unwrap();
    let by_member = session(store, &kept, &member("1")).await;
    let others = family_of(&world, &by_member, true).await;
    // An older node knows the upstream alone.
    let unknown = Session {
        upstream_subject: None,
        ..new_session(&kept, &staff("7"))
    };
    store
        .replace_session("old", &unknown, None, &[], None)
        .await
        .unwrap();

    let new = new_account();
    let login = staff("7");
    let unlink = store.unlink_login(&kept.id, &login, &new, NOW + 5);
    let Unlinked::Done { ended } = unlink.await.unwrap() else {
        panic!("not unlinked");
    };
    assert_eq!(ended.len(), 2);
    let own = first_login(store, &staff("7"), "Ann").await;
    assert_eq!((&own.id, &own.subject), (&new.id, &new.subject));
    assert!(own.subject != before.subject && own.subject != kept.subject);
    assert!(!is_live(store, &by_staff).await && !is_live(store, &unknown).await);
    assert!(!stands(store, &offline).await && !stands(store, &outlived).await);
    assert!(is_live(store, &by_member).await && stands(store, &others).await);

    let unlink = |login| {
        let (store, kept) = (store.clone(), kept.id.clone());
        async move {
            let new = new_account();
            store
                .unlink_login(&kept, &login, &new, NOW + 5)
                .await
                .unwrap()
        }
    };
    assert_eq!(unlink(member("1")).await, Unlinked::Last);
    assert_eq!(unlink(staff("7")).await, Unlinked::NotThere);
    assert_eq!(store.find_login(&member("1")).await.unwrap(), Some(kept.id));
}

/// Claims come from the login that the session began with, whoever logs in by another way meanwhile.
#[tokio::test]
async fn each_session_has_the_profile_of_its_own_login() {
    let world = World::new().await;
    let store = &world.store;
    let kept = first_login(store, &member("1"), "Jo").await;
    first_login(store, &staff("7"), "Ann").await;
    link(store, &kept, &staff("7")).await;
    link_with(store, &kept, &member("2"), true).await;
    let name = async |session: &Session| {
        let found = store.find_account_of_session(&session.id).await;
        found.unwrap().unwrap().profile.name
    };
    let by_member = session(store, &kept, &member("1")).await;
    let by_staff = session(store, &kept, &staff("7")).await;
    assert_eq!(name(&by_member).await.as_deref(), Some("Jo"));
    assert_eq!(name(&by_staff).await.as_deref(), Some("Ann"));
    assert_eq!(first_login(store, &staff("7"), "Ann Lee").await.id, kept.id);
    assert_eq!(first_login(store, &member("2"), "J.").await.id, kept.id);
    assert_eq!(name(&by_member).await.as_deref(), Some("Jo"));
    assert_eq!(name(&by_staff).await.as_deref(), Some("Ann Lee"));
    let second = session(store, &kept, &member("2")).await;
    assert_eq!(name(&second).await.as_deref(), Some("J."));
    assert!(
        !store
            .renew_session(
                "hash",
                &Session {
                    upstream_subject: Some("2".to_owned()),
                    ..by_member.clone()
                },
                None
            )
            .await
            .unwrap(),
        "a session is of one login"
    );
}

/// Expand, then contract: an older node writes the account's profile alone.
#[tokio::test]
async fn what_an_older_node_wrote_is_read() {
    let world = World::new().await;
    let store = &world.store;
    let account = first_login(store, &member("1"), "Jo").await;
    let pool = world.database.pool().await;
    for statement in [
        "UPDATE upstream_login SET profile = NULL WHERE upstream = 'members' AND subject = '1'",
        "UPDATE account SET profile = '{\"name\":\"Jo Smith\",\"preferred_username\":\"JSMITH\"}' WHERE id <> ''",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let old = super::session(&account);
    store
        .replace_session("old", &old, None, &[], None)
        .await
        .unwrap();
    let found = store.find_account_of_session(&old.id).await.unwrap();
    assert_eq!(found.unwrap().profile.name.as_deref(), Some("Jo Smith"));
    let found = store
        .find_accounts_by_username("jsmith", 100)
        .await
        .unwrap();
    assert!(found.iter().any(|found| found.id == account.id));
    // Linked now, it keeps that profile, whatever the other login says later.
    link(store, &account, &staff("7")).await;
    first_login(store, &staff("7"), "Ann").await;
    let logins = store.list_logins(&account.id).await.unwrap();
    assert_eq!(logins[0].profile.name.as_deref(), Some("Jo Smith"));
}

#[tokio::test]
async fn a_closed_account_is_closed_at_once_and_for_every_login() {
    let world = World::new().await;
    let store = &world.store;
    let account = first_login(store, &member("1"), "Jo").await;
    let live = session(store, &account, &member("1")).await;
    let offline = family_of(&world, &live, true).await;
    let ended = store.disable_account(&account.id, NOW + 5).await.unwrap();
    assert_eq!(ended, Some(vec![live.id.clone()]));
    assert!(!is_live(store, &live).await && !stands(store, &offline).await);
    let again = store.disable_account(&account.id, NOW + 9).await.unwrap();
    assert_eq!(again, None);
    let late = new_session(&account, &member("1"));
    assert!(
        !store
            .replace_session("late", &late, None, &[], None)
            .await
            .unwrap()
    );
    assert!(!store.renew_session("late", &live, None).await.unwrap());

    assert!(store.enable_account(&account.id).await.unwrap());
    assert!(!store.enable_account(&account.id).await.unwrap());
    assert!(
        store
            .replace_session("late", &late, None, &[], None)
            .await
            .unwrap()
    );
    assert!(!is_live(store, &live).await && !stands(store, &offline).await);
}

#[tokio::test]
async fn what_a_person_ends_is_theirs_alone() {
    let world = World::new().await;
    let store = &world.store;
    let jo = first_login(store, &member("1"), "Jo").await;
    let zoe = first_login(store, &member("2"), "Zoe").await;
    let (here, there) = (
        session(store, &jo, &member("1")).await,
        session(store, &jo, &member("1")).await,
    );
    let foreign = session(store, &zoe, &member("2")).await;
    let offline = family_of(&world, &there, true).await;
    let kept = family_of(&world, &foreign, true).await;
    consent(&world, &jo).await;
    consent(&world, &zoe).await;

    assert!(
        !store
            .end_session_of(&jo.id, &foreign.id, NOW)
            .await
            .unwrap()
    );
    assert!(is_live(store, &foreign).await);
    assert!(store.end_session_of(&jo.id, &there.id, NOW).await.unwrap());
    assert!(!is_live(store, &there).await && stands(store, &offline).await);

    let client = &world.client.client_id;
    store
        .insert_code("code", &code(client, &here))
        .await
        .unwrap();
    assert_eq!(
        store.end_client_of(&jo.id, client, NOW).await.unwrap(),
        Some(1)
    );
    assert!(!stands(store, &offline).await && stands(store, &kept).await);
    assert!(store.find_code("code").await.unwrap().is_none());
    assert_eq!(store.list_consents(&jo.id).await.unwrap(), []);
    assert_eq!(store.list_consents(&zoe.id).await.unwrap().len(), 1);

    let offline = family_of(&world, &here, true).await;
    let ended = store.end_all_of(&jo.id, NOW).await.unwrap();
    assert_eq!(ended, std::slice::from_ref(&here.id));
    assert!(!stands(store, &offline).await && stands(store, &kept).await);
    assert!(is_live(store, &foreign).await);
    assert_eq!(live_families(&world, &jo).await, []);
    assert_eq!(live_families(&world, &zoe).await, [kept]);
    assert_eq!(store.list_sessions(&jo.id, NOW).await.unwrap(), []);
}

/// No name leads anybody in (T31); an administrator finds by it.
#[tokio::test]
async fn an_administrator_finds_accounts() {
    let world = World::new().await;
    let store = &world.store;
    let jo = first_login(store, &member("1"), "jo_s%").await;
    first_login(store, &member("2"), "joxsy").await;
    let emile = first_login(store, &staff("7"), "Émile \"E\"").await;
    let found = async |name: &str| {
        let found = store.find_accounts_by_username(name, 100).await.unwrap();
        found.into_iter().map(|found| found.id).collect::<Vec<_>>()
    };
    assert_eq!(found("Jo_S%").await, std::slice::from_ref(&jo.id));
    assert_eq!(found("ÉMILE \"E\"").await, std::slice::from_ref(&emile.id));
    assert_eq!(found("jo").await, []);
    assert_eq!(found("%").await, []);
    let by_subject = store.find_account_by_subject(&jo.subject).await.unwrap();
    assert_eq!(by_subject.unwrap().id, jo.id);
    assert_eq!(store.list_accounts(2).await.unwrap().len(), 2);
}

/// Whatever raced: a login leads to one open account, and a closed one has nothing that lives.
async fn assert_sound(world: &World) {
    let pool = world.database.pool().await;
    for (what, statement) in [
        (
            "a login leads to a closed account",
            "SELECT COUNT(*) FROM upstream_login AS l JOIN account AS a ON a.id = l.account_id
             WHERE a.disabled_at IS NOT NULL",
        ),
        (
            "a session of a closed account lives",
            "SELECT COUNT(*) FROM session AS s JOIN account AS a ON a.id = s.account_id
             WHERE a.disabled_at IS NOT NULL AND s.ended_at IS NULL",
        ),
        (
            "a family of a closed account lives",
            "SELECT COUNT(*) FROM token_family AS f JOIN account AS a ON a.id = f.account_id
             WHERE a.disabled_at IS NOT NULL AND f.revoked_at IS NULL",
        ),
        (
            "a session lives whose login leads elsewhere",
            "SELECT COUNT(*) FROM session AS s JOIN upstream_login AS l
                ON l.upstream = s.upstream AND l.subject = s.upstream_subject
             WHERE s.ended_at IS NULL AND l.account_id <> s.account_id",
        ),
        (
            "a family lives whose login leads elsewhere",
            "SELECT COUNT(*) FROM token_family AS f JOIN session AS s ON s.id = f.session_id
                JOIN upstream_login AS l ON l.upstream = s.upstream AND l.subject = s.upstream_subject
             WHERE f.revoked_at IS NULL AND l.account_id <> s.account_id",
        ),
    ] {
        let found: i64 = sqlx::query_scalar(statement).fetch_one(&pool).await.unwrap();
        assert_eq!(found, 0, "{what}");
    }
}

/// Two persons link each other, by two nodes: one account is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_links_that_cross_leave_one_account() {
    let world = World::new().await;
    for round in 0..10 {
        let logins = [member(&format!("m{round}")), staff(&format!("s{round}"))];
        let accounts = [
            first_login(&world.store, &logins[0], "Jo").await,
            first_login(&world.store, &logins[1], "Ann").await,
        ];
        let mut racers = Vec::new();
        for (into, login) in [(0, 1), (1, 0)] {
            let (store, into, login) = (
                world.other_node().await,
                accounts[into].clone(),
                logins[login].clone(),
            );
            racers.push(async move { link(&store, &into, &login).await });
        }
        let outcomes = race(racers).await;
        let done = |outcome: &&Linked| matches!(outcome, Linked::Done { .. });
        assert_eq!(outcomes.iter().filter(done).count(), 1, "{outcomes:?}");
        assert_eq!(count(&outcomes, &Linked::Closed), 1, "{outcomes:?}");
        let leads = [
            world.store.find_login(&logins[0]).await.unwrap(),
            world.store.find_login(&logins[1]).await.unwrap(),
        ];
        assert_eq!(leads[0], leads[1]);
    }
    assert_sound(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_logins_of_one_upstream_that_come_at_once_one_is_linked() {
    let world = World::new().await;
    let other = world.other_node().await;
    for round in 0..10 {
        let kept = first_login(&world.store, &member(&format!("m{round}")), "Jo").await;
        let racers = ["a", "b"].map(|which| {
            let store = if which == "a" {
                world.store.clone()
            } else {
                other.clone()
            };
            let (kept, login) = (kept.clone(), staff(&format!("{which}{round}")));
            async move { link(&store, &kept, &login).await }
        });
        let outcomes = race(racers).await;
        assert_eq!(count(&outcomes, &Linked::SameUpstream), 1, "{outcomes:?}");
        let logins = world.store.list_logins(&kept.id).await.unwrap();
        assert_eq!(logins.len(), 2);
    }
}

/// First logins, renewals, redemptions, a link, an unlink and a closing, all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_slips_in_behind_a_link_an_unlink_or_a_closing() {
    let world = World::new().await;
    let nodes = [world.store.clone(), world.other_node().await];
    for round in 0..12 {
        let kept = first_login(&world.store, &member(&format!("m{round}")), "Jo").await;
        let moved = staff(&format!("s{round}"));
        let other = first_login(&world.store, &moved, "Ann").await;
        let linked = round % 3 == 1;
        if linked {
            link(&world.store, &kept, &moved).await;
        }
        let mut racers = Vec::new();
        for racer in 0..9 {
            let store = nodes[racer % 2].clone();
            let (kept, other, moved) = (kept.clone(), other.clone(), moved.clone());
            let client = world.client.client_id.clone();
            racers.push(async move {
                if racer == 4 {
                    match round % 3 {
                        0 => {
                            link(&store, &kept, &moved).await;
                        }
                        1 => {
                            let new = new_account();
                            let unlink = store.unlink_login(&kept.id, &moved, &new, NOW + 5);
                            assert!(matches!(unlink.await.unwrap(), Unlinked::Done { .. }));
                        }
                        _ => {
                            store.disable_account(&other.id, NOW + 5).await.unwrap();
                        }
                    }
                    return;
                }
                // As a login that looked the account up a moment ago goes on.
                let account = if linked { &kept } else { &other };
                let session = new_session(account, &moved);
                if !store
                    .replace_session(&random_id(), &session, None, &[], None)
                    .await
                    .unwrap()
                {
                    return;
                }
                let code = code(&client, &session);
                let hash = random_id();
                store.insert_code(&hash, &code).await.unwrap();
                let family = TokenFamily {
                    offline: true,
                    ..family(&code)
                };
                store
                    .redeem_code(&hash, &family, CAP, NOW + 1)
                    .await
                    .unwrap();
                store
                    .renew_session(&random_id(), &session, None)
                    .await
                    .unwrap();
            });
        }
        race(racers).await;
        if round % 3 == 2 {
            // The login itself stays with a closed account; so that only what lives is asked about, it opens again.
            let pool = world.database.pool().await;
            let live: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM session WHERE account_id = $1 AND ended_at IS NULL",
            )
            .bind(other.id.as_str())
            .fetch_one(&pool)
            .await
            .unwrap();
            assert_eq!(live, 0);
            assert_eq!(live_families(&world, &other).await, []);
            assert!(world.store.enable_account(&other.id).await.unwrap());
        }
        assert_sound(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_logins_that_are_unlinked_at_once_one_stays() {
    let world = World::new().await;
    let other = world.other_node().await;
    for round in 0..10 {
        let logins = [member(&format!("m{round}")), staff(&format!("s{round}"))];
        let kept = first_login(&world.store, &logins[0], "Jo").await;
        link(&world.store, &kept, &logins[1]).await;
        let racers = logins.clone().map(|login| {
            let store = if login == logins[0] {
                world.store.clone()
            } else {
                other.clone()
            };
            let kept = kept.clone();
            async move {
                let new = new_account();
                let unlinked = store.unlink_login(&kept.id, &login, &new, NOW + 5);
                unlinked.await.unwrap()
            }
        });
        let outcomes = race(racers).await;
        assert_eq!(count(&outcomes, &Unlinked::Last), 1, "{outcomes:?}");
        assert_eq!(world.store.list_logins(&kept.id).await.unwrap().len(), 1);
    }
}

/// A link against a first login by the very same way: the account that the login made comes along.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_link_and_a_first_login_at_once_lead_to_one_account() {
    let world = World::new().await;
    let other = world.other_node().await;
    for round in 0..20 {
        let kept = first_login(&world.store, &member(&format!("m{round}")), "Jo").await;
        let moved = staff(&format!("s{round}"));
        let mut racers = Vec::new();
        for racer in 0..4 {
            let store = if racer % 2 == 0 {
                world.store.clone()
            } else {
                other.clone()
            };
            let (kept, moved) = (kept.clone(), moved.clone());
            racers.push(async move {
                if racer == 3 {
                    let linked = link(&store, &kept, &moved).await;
                    assert!(matches!(linked, Linked::Done { .. }), "{linked:?}");
                } else {
                    first_login(&store, &moved, "Ann").await;
                }
            });
        }
        race(racers).await;
        let leads = world.store.find_login(&moved).await.unwrap();
        assert_eq!(leads, Some(kept.id));
    }
    assert_sound(&world).await;
}
