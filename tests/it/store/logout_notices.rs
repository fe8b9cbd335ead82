//! What clients are to be told of logouts: written with the end of a session, taken once (T35).

use portico::model::logout_notice::LogoutNotice;

use super::{NOW, World, client, count, race, stored};

impl World {
    /// The clients `app` and `other` are noted for the session, which then ends.
    async fn two_notices(&self) -> Vec<LogoutNotice> {
        let clients = [stored(&self.client), stored(&client("other"))];
        self.store.reconcile_clients(&clients, NOW).await.unwrap();
        for known in &clients {
            let noted = self
                .store
                .note_session_client(&self.session.id, &known.client.client_id)
                .await;
            assert!(noted.unwrap());
        }
        self.store.end_session(&self.session.id, NOW).await.unwrap();
        self.due(NOW).await
    }

    async fn due(&self, now: i64) -> Vec<LogoutNotice> {
        self.store.list_due_logout_notices(now, 100).await.unwrap()
    }
}

#[tokio::test]
async fn the_end_of_a_session_leaves_a_notice_for_each_of_its_clients() {
    let world = World::new().await;
    let due = world.two_notices().await;
    assert_eq!(due.len(), 2);
    for notice in &due {
        assert_eq!(notice.session_id.as_ref(), Some(&world.session.id));
        assert_eq!(notice.account_id, world.account.id);
        assert_eq!((notice.attempts, notice.next_at), (0, Some(NOW)));
    }
    // It ended once, whoever says so again.
    world
        .store
        .end_session(&world.session.id, NOW + 1)
        .await
        .unwrap();
    assert_eq!(world.due(NOW + 1).await.len(), 2);
}

/// A login at a client that comes too late is not made, so that nobody is signed in who was told nothing.
#[tokio::test]
async fn no_client_is_noted_for_a_session_that_has_ended() {
    let world = World::new().await;
    world
        .store
        .end_session(&world.session.id, NOW)
        .await
        .unwrap();
    let app = &world.client.client_id;
    assert!(
        !world
            .store
            .note_session_client(&world.session.id, app)
            .await
            .unwrap()
    );
    assert!(world.due(NOW + 1).await.is_empty());
}

/// Each round, a login and a logout at once: the client was noted and is told, or it was not and is not.
#[tokio::test]
async fn a_login_at_a_client_that_races_the_logout_is_told_or_not_made() {
    let world = World::new().await;
    let other = world.other_node().await;
    let app = world.client.client_id.clone();
    for round in 0..30 {
        let session = super::session(&world.account);
        let secret = format!("secret-{round}");
        world
            .store
            .replace_session(&secret, &session, None, &[], None)
            .await
            .unwrap();
        let (noted, ended) = tokio::join!(
            world.store.note_session_client(&session.id, &app),
            other.end_session(&session.id, NOW)
        );
        ended.unwrap();
        let told = world.due(NOW).await;
        let told = told
            .iter()
            .any(|notice| notice.session_id.as_ref() == Some(&session.id));
        assert_eq!(told, noted.unwrap(), "round {round}");
    }
}

#[tokio::test]
async fn of_many_that_take_a_notice_one_has_it() {
    let world = World::new().await;
    let due = world.two_notices().await;
    let other = world.other_node().await;
    let taken = race((0..20).map(|racer| {
        let nodes = [&world.store, &other];
        let (store, notice) = (nodes[racer % 2].clone(), due[0].clone());
        async move { store.take_logout_notice(&notice, NOW + 10).await.unwrap() }
    }))
    .await;
    assert_eq!(count(&taken, &true), 1);
    let left = world.due(NOW + 9).await;
    assert_eq!(left.len(), 1, "the other one is due still");
    let again = world.due(NOW + 10).await;
    assert_eq!(
        again.len(),
        2,
        "and it is due again when nothing was heard of it"
    );
    let notice = again.iter().find(|notice| notice.id == due[0].id).unwrap();
    assert_eq!(notice.attempts, 1);
}

/// One that is down holds up its own notices, and nobody else's.
#[tokio::test]
async fn a_failure_makes_the_other_notices_of_that_client_wait() {
    let world = World::new().await;
    let mut outlives = super::family(&world.code());
    outlives.offline = true;
    world.begin(outlives).await;
    world.two_notices().await;
    let app = world.client.client_id.clone();
    world
        .store
        .end_client_of(&world.account.id, &app, NOW)
        .await
        .unwrap();
    let due = world.due(NOW).await;
    let of_app: Vec<_> = due
        .iter()
        .filter(|notice| notice.client_id == app)
        .collect();
    assert_eq!((due.len(), of_app.len()), (3, 2));
    assert!(
        world
            .store
            .take_logout_notice(of_app[0], NOW + 30)
            .await
            .unwrap()
    );
    let noted = world.store.note_logout_trouble(of_app[0], "no answer");
    noted.await.unwrap();
    let others = world.due(NOW + 29).await.len();
    assert_eq!(others, 2, "the others are due as before");
    let postponed = world.store.postpone_logout_notices(of_app[0], NOW + 30);
    postponed.await.unwrap();
    let left = world.due(NOW + 29).await;
    assert_eq!(left.len(), 1);
    assert_ne!(left[0].client_id, app);
    let again = world.due(NOW + 30).await;
    let troubles: Vec<_> = again
        .iter()
        .filter_map(|notice| notice.trouble.as_deref())
        .collect();
    assert_eq!((again.len(), troubles), (3, vec!["no answer"]));
}

/// What is over goes after a week; what waits never does.
#[tokio::test]
async fn only_notices_that_are_over_are_swept() {
    const WEEK: i64 = 7 * 24 * 60 * 60;
    let world = World::new().await;
    let due = world.two_notices().await;
    world
        .store
        .finish_logout_notice(&due[0].id, NOW + 5)
        .await
        .unwrap();
    let swept = world.store.sweep(NOW + WEEK - 1, 10).await.unwrap();
    assert_eq!(swept.logout_notices, 0);
    let swept = world.store.sweep(NOW + WEEK, 10).await.unwrap();
    assert_eq!(swept.logout_notices, 1);
    let left = world.store.list_logout_notices(None, 10).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, due[1].id);
}
