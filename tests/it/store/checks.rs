//! Questions about people: asked by one, answered for all; and what a refusal ends.

use portico::clock::UnixTime;
use portico::model::account::LoginCheck;
use portico::model::session::Session;
use portico::protocol::claims::Profile;
use portico::protocol::ids::SessionId;

use super::{NOW, World, code, family, log_in, member};
use crate::store::session;

async fn known(world: &World) -> LoginCheck {
    let found = world.store.find_check(&world.session.id).await;
    found.unwrap().unwrap()
}

fn named(name: &str) -> Profile {
    Profile {
        name: Some(name.to_owned()),
        ..Profile::default()
    }
}

/// Another session of the person begins, by the same login.
async fn enter(world: &World, now: UnixTime) {
    let another = Session {
        upstream_subject: Some("4711".to_owned()),
        auth_time: now,
        last_seen_at: now,
        ..session(&world.account)
    };
    let secret = another.id.as_str();
    let began = world
        .store
        .replace_session(secret, &another, None, &[], None);
    assert!(began.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_on_two_nodes_one_asks() {
    let world = World::new().await;
    let login = member("4711");
    enter(&world, NOW).await;
    let other = world.other_node().await;
    for round in 1..=10 {
        let now = NOW + round * 300;
        let known = known(&world).await;
        let claims = (0..8).map(|number| {
            let store = if number % 2 == 0 {
                &world.store
            } else {
                &other
            };
            store.claim_check(&login, &known, now, now + 35)
        });
        let won = crate::refresh::join_all(claims).await;
        let won = won.into_iter().filter(|claim| *claim.as_ref().unwrap());
        assert_eq!(won.count(), 1);
        let asks = world.store.find_check(&world.session.id);
        let asks = asks.await.unwrap().unwrap();
        assert!(asks.is_taken(now + 34, 35) && !asks.is_taken(now + 35, 35));
        world
            .store
            .confirm_check(&login, &world.account.id, &named("New"), now)
            .await
            .unwrap();
        let asks = world.store.find_check(&world.session.id);
        assert_eq!(asks.await.unwrap().unwrap().age(now), 0);
    }
    // Of the login, and of the account, where older nodes look.
    let account = world.store.find_account(&world.account.id).await.unwrap();
    assert_eq!(account.unwrap().profile, named("New"));
    let account = world.store.find_account_of_session(&world.session.id).await;
    assert_eq!(account.unwrap().unwrap().profile, named("New"));
}

/// Whoever logs in while somebody asks about them is known better than by the answer.
#[tokio::test]
async fn an_answer_that_a_login_has_overtaken_changes_nothing() {
    let world = World::new().await;
    let (store, login, account) = (&world.store, member("4711"), &world.account.id);
    let before = known(&world).await;
    assert!(
        store
            .claim_check(&login, &before, NOW + 1, NOW + 36)
            .await
            .unwrap()
    );
    enter(&world, NOW + 2).await;
    store
        .confirm_check(&login, account, &named("Old"), NOW + 1)
        .await
        .unwrap();
    store
        .postpone_check(&login, NOW + 1, NOW + 99)
        .await
        .unwrap();
    let refused = store.refuse_login(&login, account, NOW + 1, NOW + 3).await;
    assert_eq!(refused.unwrap(), None);
    let after = known(&world).await;
    assert_eq!(
        (after.checked_at, after.check_after, after.refused_at),
        (Some(NOW + 2), None, None)
    );
    let account = store.find_account(account).await.unwrap().unwrap();
    assert_eq!(account.profile, Profile::default());
    let session = store.find_session(&world.session.id).await.unwrap();
    assert_eq!(session.unwrap().ended_at, None);
}

/// Who acts on after the logout has to be told of this end as well; nothing else will tell it.
#[tokio::test]
async fn a_refusal_is_told_to_those_that_have_outlived_their_session() {
    let world = World::new().await;
    let (store, login, account) = (&world.store, member("4711"), &world.account.id);
    world.begin(offline(&world.code())).await;
    store.end_session(&world.session.id, NOW).await.unwrap();
    let before = known(&world).await;
    let claimed = store.claim_check(&login, &before, NOW, NOW + 35).await;
    assert!(claimed.unwrap());
    let refused = store.refuse_login(&login, account, NOW, NOW + 1).await;
    assert_eq!(refused.unwrap(), Some(vec![]));
    let app = &world.client.client_id;
    let due = store.list_due_logout_notices(app, NOW + 1, 10).await;
    let due = due.unwrap();
    let told: Vec<_> = due
        .iter()
        .map(|notice| (&notice.client_id, &notice.account_id, &notice.session_id))
        .collect();
    // By the login that is over: another one of theirs may go on.
    let session = Some(world.session.id.clone());
    assert_eq!(told, [(app, account, &session)]);
}

/// T15: sessions and families of that login, offline ones too; nobody else's, and no other login's.
#[tokio::test]
async fn a_refusal_ends_what_the_login_gave_and_nothing_else() {
    let world = World::new().await;
    let (store, login) = (&world.store, member("4711"));
    let mine = world.begin(offline(&world.code())).await;
    let stranger = log_in(store, "0815").await;
    let their_session = session(&stranger);
    store
        .replace_session("their-hash", &their_session, None, &[], None)
        .await
        .unwrap();
    let theirs = world
        .begin(offline(&code(&world.client.client_id, &their_session)))
        .await;
    let mut elsewhere = session(&world.account);
    elsewhere.id = SessionId::new("elsewhere");
    elsewhere.upstream = portico::protocol::ids::UpstreamId::new("staff");
    store
        .replace_session("elsewhere-hash", &elsewhere, None, &[], None)
        .await
        .unwrap();
    let other_login = world
        .begin(offline(&code(&world.client.client_id, &elsewhere)))
        .await;

    let before = known(&world).await;
    assert!(
        store
            .claim_check(&login, &before, NOW, NOW + 35)
            .await
            .unwrap()
    );
    let ended = store
        .refuse_login(&login, &world.account.id, NOW, NOW + 1)
        .await
        .unwrap();
    assert_eq!(ended, Some(vec![world.session.id.clone()]));
    for (family, revoked) in [(&mine, true), (&theirs, false), (&other_login, false)] {
        let found = store.find_family(&family.id).await.unwrap().unwrap();
        assert_eq!(found.revoked_at.is_some(), revoked);
    }
    let after = known(&world).await;
    assert_eq!(after.refused_at, Some(NOW + 1));
    let again = store
        .claim_check(&login, &after, NOW + 999, NOW + 1099)
        .await;
    assert!(!again.unwrap(), "it has been said");
    enter(&world, NOW + 2).await;
    assert_eq!(known(&world).await.refused_at, None);
}

fn offline(code: &portico::model::code::AuthorizationCode) -> portico::model::family::TokenFamily {
    let mut family = family(code);
    family.offline = true;
    family
}
