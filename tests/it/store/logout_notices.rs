//! What clients are to be told of logouts: written with the end of a session, taken once (T35).

use portico::clock::SKEW;
use portico::model::account::Account;
use portico::model::logout_notice::{LogoutNotice, LogoutOutage};
use portico::model::session::{Session, SessionLifetime, SessionLifetimes};
use portico::protocol::ids::{ClientId, SessionId};
use portico::store::{ClientToTell, NoticeFilter, Whose};

use super::{NOW, World, client, count, race, stored};

impl World {
    /// One more session of somebody, in which `app` was used.
    async fn session_at(&self, account: &Account, app: &ClientId) -> Session {
        let session = super::session(account);
        let secret = format!("secret of {}", session.id);
        let begun = self
            .store
            .replace_session(&secret, &session, None, &[], None);
        assert!(begun.await.unwrap());
        let noted = self.store.note_session_client(&session.id, app).await;
        assert!(noted.unwrap());
        session
    }

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

    /// What a node finds that looks at the queue: those that it is not the turn of after all are put back.
    async fn due(&self, now: i64) -> Vec<LogoutNotice> {
        self.queue(now).await;
        let mut due = Vec::new();
        for client in self.turns(now).await {
            let id = &client.client_id;
            let is_paused = client.outage.is_some_and(|outage| outage.is_paused(now));
            let found = if is_paused {
                Vec::new()
            } else {
                self.due_to(id, now).await
            };
            if found.is_empty() {
                let put_back = self.store.put_back_client_to_tell(id, now);
                put_back.await.unwrap();
            }
            due.extend(found);
        }
        due
    }

    async fn queue(&self, now: i64) {
        let more = self.store.queue_logout_notices(now, 1000).await.unwrap();
        assert!(!more);
    }

    /// Whose turn it is, the first one first.
    async fn turns(&self, now: i64) -> Vec<ClientToTell> {
        let of = |registered| self.store.list_clients_to_tell(now, registered, 100);
        let mut clients = of(false).await.unwrap();
        clients.extend(of(true).await.unwrap());
        clients.sort_by_key(|client| client.place);
        clients
    }

    async fn due_to(&self, client: &ClientId, now: i64) -> Vec<LogoutNotice> {
        let due = self.store.list_due_logout_notices(client, now, 100);
        due.await.unwrap()
    }

    /// The client has failed at its first notice.
    async fn down(&self, client: &ClientId) -> LogoutOutage {
        let outage = LogoutOutage {
            since: NOW,
            failures: 1,
            next_at: NOW + 10,
        };
        let begun = self.store.begin_logout_outage(client, &outage);
        begun.await.unwrap();
        outage
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
        async move {
            store
                .take_logout_notice(&notice, NOW, NOW + 10)
                .await
                .unwrap()
        }
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

/// One that is down holds up its own notices, and nobody else's: one of them is tried, by one node.
#[tokio::test]
async fn of_a_client_that_is_down_one_notice_is_tried_by_one_node() {
    let world = World::new().await;
    let due = world.two_notices().await;
    let app = &world.client.client_id;
    let of_app = due.iter().find(|notice| notice.client_id == *app).unwrap();
    let outage = world.down(app).await;
    let left = world.due(NOW + 9).await;
    assert_eq!(left.len(), 1);
    assert_ne!(left[0].client_id, *app);
    // What was read before the client was found to be down is not sent any more.
    let taken = world.store.take_logout_notice(of_app, NOW, NOW + 10).await;
    assert!(!taken.unwrap());
    let clients = world.turns(NOW + 10).await;
    let found = clients.iter().find(|client| client.client_id == *app);
    assert_eq!(found.unwrap().outage, Some(outage));
    let other = world.other_node().await;
    let taken = race((0..20).map(|racer| {
        let store = [&world.store, &other][racer % 2].clone();
        let notice = of_app.clone();
        async move {
            let taken = store.take_logout_probe(&notice, NOW + 10, NOW + 20, (&outage, NOW + 20));
            taken.await.unwrap()
        }
    }))
    .await;
    assert_eq!(count(&taken, &true), 1);
    assert_eq!(world.due(NOW + 19).await.len(), 1);
    assert_eq!(world.due(NOW + 20).await.len(), 2, "should that node end");
}

/// Once it is heard, or refused, everything is due that had failed meanwhile; what had failed before waits on.
#[tokio::test]
async fn when_a_client_answers_again_what_failed_meanwhile_is_due() {
    let world = World::new().await;
    let app = world.client.client_id.clone();
    for answered in [true, false] {
        let mut waiting = Vec::new();
        for failed_at in [NOW - 1, NOW, NOW] {
            let session = world.session_at(&world.account, &app).await;
            world.store.end_session(&session.id, NOW).await.unwrap();
            let due = world.due_to(&app, NOW).await;
            let due = due
                .into_iter()
                .find(|notice| notice.session_id.as_ref() == Some(&session.id));
            let notice = due.unwrap();
            let taken = world
                .store
                .take_logout_notice(&notice, NOW, NOW + 600)
                .await;
            assert!(taken.unwrap());
            let noted = world.store.note_logout_trouble(&notice, "none", failed_at);
            noted.await.unwrap();
            waiting.push(notice);
        }
        world.down(&app).await;
        assert_eq!(world.due_to(&app, NOW + 30).await, []);
        let last = &waiting[2];
        if answered {
            world.store.finish_logout_notice(last, NOW + 30).await
        } else {
            world.store.note_logout_refusal(last, "no", NOW + 30).await
        }
        .unwrap();
        let due = world.due_to(&app, NOW + 30).await;
        let ids: Vec<_> = due.iter().map(|notice| notice.id.as_str()).collect();
        assert_eq!(ids, [waiting[1].id.as_str()], "answered: {answered}");
        assert!(world.store.list_logout_outages().await.unwrap().is_empty());
        world
            .store
            .drop_logout_notice(&waiting[1].id)
            .await
            .unwrap();
    }
}

/// A clock that stepped back: what waits for longer than anything does is due.
#[tokio::test]
async fn what_waits_for_a_time_that_is_far_away_is_due() {
    let world = World::new().await;
    let due = world.two_notices().await;
    let taken = world
        .store
        .take_logout_notice(&due[0], NOW, NOW + 600)
        .await;
    assert!(taken.unwrap());
    assert_eq!(world.due(NOW).await.len(), 1);
    assert_eq!(
        world.due(NOW - 5).await.len(),
        0,
        "no more than another node's clock"
    );
    assert_eq!(world.due(NOW - 3600).await.len(), 2);
}

/// An app that has had ID tokens alone has no families, and is told all the same; nobody is told of twice.
#[tokio::test]
async fn the_end_of_a_client_is_told_for_everybody_who_is_logged_in_there() {
    let world = World::new().await;
    let app = world.client.client_id.clone();
    world.begin(super::family(&world.code())).await;
    let mut expected = vec![world.account.id.clone()];
    for number in 0..3 {
        let account = super::log_in(&world.store, &format!("other-{number}")).await;
        let session = world.session_at(&account, &app).await;
        if number == 2 {
            // Told already, by the end of the session.
            world.store.end_session(&session.id, NOW).await.unwrap();
        } else {
            expected.push(account.id);
        }
    }
    let noted = world.store.note_session_client(&world.session.id, &app);
    assert!(noted.await.unwrap());
    let ended = world.store.end_everything_of_client(&app, NOW + 1).await;
    assert_eq!(ended.unwrap().families, 1);
    let mut told: Vec<_> = world
        .due(NOW + 1)
        .await
        .into_iter()
        .filter(|notice| notice.session_id.is_none())
        .map(|notice| notice.account_id)
        .collect();
    told.sort_by_key(ToString::to_string);
    expected.sort_by_key(ToString::to_string);
    assert_eq!(told, expected);
}

/// The end of a session and of what would have outlived it, by one step, is told once; that of what outlived it long ago a
/// second time.
#[tokio::test]
async fn what_outlived_its_session_is_told_by_that_session() {
    let world = World::new().await;
    let mut outlives = super::family(&world.code());
    outlives.offline = true;
    world.begin(outlives).await;
    let app = &world.client.client_id;
    let noted = world.store.note_session_client(&world.session.id, app);
    assert!(noted.await.unwrap());
    let end = |now| world.store.end_everything_of(Whose::All, now);
    end(NOW + 1).await.unwrap();
    let due = world.due(NOW + 1).await;
    assert_eq!(due.len(), 1, "{due:?}");

    let world = World::new().await;
    let mut outlives = super::family(&world.code());
    outlives.offline = true;
    world.begin(outlives).await;
    let app = &world.client.client_id;
    let noted = world.store.note_session_client(&world.session.id, app);
    assert!(noted.await.unwrap());
    world
        .store
        .end_session(&world.session.id, NOW)
        .await
        .unwrap();
    let due = world.due(NOW).await.remove(0);
    world.store.finish_logout_notice(&due, NOW).await.unwrap();
    let end = |now| world.store.end_everything_of(Whose::All, now);
    end(NOW + 1).await.unwrap();
    let due = world.due(NOW + 1).await;
    assert_eq!(due.len(), 1, "{due:?}");
    assert_eq!(due[0].session_id.as_ref(), Some(&world.session.id));
}

/// The end of what outlived its session is told whatever another node's clock said of that session's end, and in the same second.
#[tokio::test]
async fn what_outlived_its_session_is_told_though_that_ended_later_by_another_clock() {
    for (ended_at, by_person) in [(NOW + 3, false), (NOW + 3, true), (NOW + 1, true)] {
        let world = World::new().await;
        let mut outlives = super::family(&world.code());
        outlives.offline = true;
        world.begin(outlives).await;
        let (app, session) = (&world.client.client_id, &world.session.id);
        let noted = world.store.note_session_client(session, app);
        assert!(noted.await.unwrap());
        world.store.end_session(session, ended_at).await.unwrap();
        let due = world.due(ended_at).await.remove(0);
        let finished = world.store.finish_logout_notice(&due, ended_at);
        finished.await.unwrap();
        if by_person {
            let ended = world.store.end_all_of(&world.account.id, NOW + 1);
            assert_eq!(ended.await.unwrap(), []);
        } else {
            let ended = world.store.end_everything_of(Whose::All, NOW + 1);
            assert_eq!(ended.await.unwrap().families, 1);
        }
        let due = world.due(NOW + 1).await;
        assert_eq!(due.len(), 1, "{ended_at} {by_person} {due:?}");
        assert_eq!(due[0].session_id.as_ref(), Some(session));
    }
}

/// What a clock wrote that was ahead is as old as its first attempt by one that is right, so that there is a last one, too; another
/// node's clock may differ a little.
#[tokio::test]
async fn what_a_clock_wrote_that_was_ahead_is_as_old_as_its_first_attempt() {
    const YEAR: i64 = 365 * 24 * 3600;
    for (ended_at, is_probe, expected) in [
        (NOW + YEAR, false, NOW),
        (NOW + YEAR, true, NOW),
        (NOW + SKEW, false, NOW + SKEW),
        (NOW - YEAR, false, NOW - YEAR),
        (NOW - YEAR, true, NOW - YEAR),
    ] {
        let world = World::new().await;
        let app = &world.client.client_id;
        let session = world.session_at(&world.account, app).await;
        world
            .store
            .end_session(&session.id, ended_at)
            .await
            .unwrap();
        let written = world.due_to(app, NOW + SKEW).await.remove(0);
        assert_eq!(written.created_at, ended_at);
        let taken = if is_probe {
            let outage = LogoutOutage {
                since: NOW - 20,
                failures: 1,
                next_at: NOW,
            };
            let begun = world.store.begin_logout_outage(app, &outage);
            begun.await.unwrap();
            let next = (&outage, NOW + 10);
            let probe = world.store.take_logout_probe(&written, NOW, NOW + 10, next);
            probe.await
        } else {
            let taken = world.store.take_logout_notice(&written, NOW, NOW + 10);
            taken.await
        };
        assert!(taken.unwrap());
        let all = NoticeFilter::default();
        let found = world.store.search_logout_notices(all, 10).await.unwrap();
        assert_eq!(found[0].created_at, expected, "{ended_at} {is_probe}");
    }
}

/// The rounds look at sessions that stand: those that are over take no places from them.
#[tokio::test]
async fn the_sessions_that_are_gone_through_are_those_that_stand() {
    const HOUR: i64 = 3600;
    let world = World::new().await;
    let clients = [stored(&world.client), stored(&client("other"))];
    world.store.reconcile_clients(&clients, NOW).await.unwrap();
    let [app, other] = clients.map(|known| known.client.client_id.clone());
    let lifetimes = SessionLifetimes {
        usual: SessionLifetime {
            idle: HOUR,
            absolute: 12 * HOUR,
        },
        persistent: Some(SessionLifetime {
            idle: 24 * HOUR,
            absolute: 240 * HOUR,
        }),
    };
    let changes: [fn(&mut Session); 5] = [
        |_| (),
        |session| {
            session.last_seen_at = NOW - HOUR;
            session.persistent = true;
        },
        |session| session.last_seen_at = NOW - HOUR,
        |session| session.expires_at = NOW,
        // It ends below.
        |_| (),
    ];
    let mut standing = Vec::new();
    for round in 0..30 {
        let mut session = super::session(&world.account);
        let change = round % changes.len();
        changes[change](&mut session);
        let secret = format!("secret of {}", session.id);
        let begun = world
            .store
            .replace_session(&secret, &session, None, &[], None);
        assert!(begun.await.unwrap());
        // A session that was used at two apps is one.
        for app in [&app, &other] {
            let noted = world.store.note_session_client(&session.id, app);
            assert!(noted.await.unwrap());
        }
        match change {
            0 | 1 => standing.push(session.id),
            4 => assert!(world.store.end_session(&session.id, NOW).await.unwrap()),
            _ => {}
        }
    }
    standing.sort_by_key(ToString::to_string);
    let mut found: Vec<(SessionId, bool)> = Vec::new();
    loop {
        let after = found.last().map(|(id, _)| id.clone());
        let after = after.unwrap_or_else(|| SessionId::new(""));
        let some = world.store.list_told_sessions(&after, lifetimes, NOW, 7);
        let some = some.await.unwrap();
        if some.is_empty() {
            break;
        }
        // Each part is full, but for the last.
        assert_eq!(some.len(), 7.min(30 - found.len()));
        found.extend(some);
    }
    found.retain(|(_, stands)| *stands);
    let found: Vec<SessionId> = found.into_iter().map(|(id, _)| id).collect();
    assert_eq!(found, standing);
}

/// What is over goes after a week; what waits never does.
#[tokio::test]
async fn only_notices_that_are_over_are_swept() {
    const WEEK: i64 = 7 * 24 * 60 * 60;
    let world = World::new().await;
    let due = world.two_notices().await;
    world
        .store
        .finish_logout_notice(&due[0], NOW + 5)
        .await
        .unwrap();
    let swept = world.store.sweep(NOW + WEEK - 1, 10).await.unwrap();
    assert_eq!(swept.logout_notices, 0);
    let swept = world.store.sweep(NOW + WEEK, 10).await.unwrap();
    assert_eq!(swept.logout_notices, 1);
    let all = NoticeFilter::default();
    let left = world.store.search_logout_notices(all, 10).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, due[1].id);
}

/// One of each client, and then the next one of each: whoever was told something stands behind all whose turn it is, in the
/// same second, too.
#[tokio::test]
async fn whoever_was_told_something_stands_behind_the_others() {
    let world = World::new().await;
    let apps = ["app", "other", "third"].map(|id| stored(&client(id)));
    world.store.reconcile_clients(&apps, NOW).await.unwrap();
    let [app, other, third] = apps.map(|app| app.client.client_id.clone());
    for _ in 0..3 {
        for app in [&app, &other] {
            let session = world.session_at(&world.account, app).await;
            world.store.end_session(&session.id, NOW).await.unwrap();
        }
    }
    let mut told = Vec::new();
    for round in 0..9 {
        if round == 2 {
            // It comes late, in the same second, and waits for nobody's second notice.
            let session = world.session_at(&world.account, &third).await;
            world.store.end_session(&session.id, NOW).await.unwrap();
        }
        world.queue(NOW).await;
        let Some(first) = world.turns(NOW).await.into_iter().next() else {
            break;
        };
        let notice = world.due_to(&first.client_id, NOW).await.remove(0);
        let taken = world.store.take_logout_notice(&notice, NOW, NOW + 10).await;
        assert!(taken.unwrap());
        told.push(first.client_id);
    }
    assert_eq!(
        told,
        [&app, &other, &third, &app, &other, &app, &other].map(Clone::clone)
    );
    assert_eq!(world.turns(NOW + 9).await, []);
    assert_eq!(world.due(NOW + 10).await.len(), 7, "each is due again");
}

/// A client that failed at one waits until that is due; something new does not wait with it, and it leaves the queue when
/// everything is over.
#[tokio::test]
async fn the_turn_of_a_client_comes_when_something_is_due_and_goes_when_all_is_over() {
    let world = World::new().await;
    let app = world.client.client_id.clone();
    let end = async || {
        let session = world.session_at(&world.account, &app).await;
        world.store.end_session(&session.id, NOW).await.unwrap();
    };
    end().await;
    let first = world.due(NOW).await.remove(0);
    let taken = world.store.take_logout_notice(&first, NOW, NOW + 600).await;
    assert!(taken.unwrap());
    assert_eq!(world.turns(NOW + 599).await, []);
    end().await;
    let due = world.due(NOW).await;
    assert_eq!(due.len(), 1, "{due:?}");
    for notice in [&first, &due[0]] {
        world.store.finish_logout_notice(notice, NOW).await.unwrap();
    }
    assert_eq!(world.due(NOW).await, []);
    assert_eq!(world.turns(NOW + 600).await, [], "nothing is left of it");
}

/// A node puts a client back while another one has read of something new for it: the notice is found all the same.
#[tokio::test]
async fn no_notice_is_forgotten_by_those_who_race_for_its_clients_turn() {
    let world = World::new().await;
    let other = world.other_node().await;
    let app = world.client.client_id.clone();
    for round in 0..40 {
        let session = world.session_at(&world.account, &app).await;
        let (ended, put_back, queued) = tokio::join!(
            async {
                world.store.end_session(&session.id, NOW).await.unwrap();
                world.store.queue_logout_notices(NOW, 100).await
            },
            other.put_back_client_to_tell(&app, NOW),
            other.queue_logout_notices(NOW, 100),
        );
        ended.unwrap();
        put_back.unwrap();
        queued.unwrap();
        assert_eq!(world.turns(NOW).await.len(), 1, "round {round}");
        let due = world.due_to(&app, NOW).await;
        assert_eq!(due.len(), 1, "round {round}");
        world
            .store
            .finish_logout_notice(&due[0], NOW)
            .await
            .unwrap();
        // Sometimes it leaves the queue in between, and sometimes it stands there with nothing to tell.
        if round % 2 == 0 {
            let put_back = world.store.put_back_client_to_tell(&app, NOW);
            put_back.await.unwrap();
        }
    }
}
