//! The vault's rows: what happens to them with the session, and who may renew them (T63, T64).

use portico::clock::CLOCKS_APART;
use portico::model::account::UpstreamSubject;
use portico::model::session::Session;
use portico::model::vault_entry::{Lease, MovedVaultEntry, NewVaultEntry, VaultEntry, VaultPlace};
use portico::protocol::ids::{AccountId, AccountSubject, UpstreamId};
use portico::store::{LeadsTo, Linked, NewAccount, NewLink, Store, Unlinked};

use super::{NOW, World, count, log_in, race, session};

fn place(session: &Session) -> VaultPlace {
    place_at(session, "members")
}

fn place_at(session: &Session, upstream: &str) -> VaultPlace {
    VaultPlace::Person {
        account_id: session.account_id.clone(),
        session_id: session.id.clone(),
        upstream: UpstreamId::new(upstream),
    }
}

fn tokens(place: VaultPlace, sealed: &str) -> NewVaultEntry {
    NewVaultEntry {
        place,
        sealed: sealed.to_owned(),
    }
}

fn lease(holder: &str, until: i64) -> Lease {
    Lease {
        holder: holder.to_owned(),
        until,
    }
}

async fn find(store: &Store, place: &VaultPlace) -> Option<VaultEntry> {
    store.find_vault_entry(place).await.unwrap()
}

async fn begin(world: &World, secret: &str) -> Session {
    let session = session(&world.account);
    let new = tokens(place(&session), "sealed");
    let begun = world
        .store
        .replace_session(secret, &session, None, &[], Some(&new));
    begun.await.unwrap();
    session
}

#[tokio::test]
async fn what_a_login_gave_comes_with_its_session_and_goes_with_it() {
    let world = World::new().await;
    let store = &world.store;
    let session = begin(&world, "a").await;
    let here = place(&session);
    let expected = VaultEntry {
        sealed: Some("sealed".to_owned()),
        version: 0,
        lease: None,
        needs_login: None,
    };
    assert_eq!(find(store, &here).await, Some(expected));
    // T35.
    store.end_session(&session.id, NOW + 1).await.unwrap();
    assert_eq!(find(store, &here).await, None);
}

/// T24: whoever logs in next in this browser finds nothing of the person before.
#[tokio::test]
async fn the_entries_of_a_replaced_session_go() {
    let world = World::new().await;
    let first = begin(&world, "a").await;
    let next = session(&log_in(&world.store, "4712").await);
    let replaced = world
        .store
        .replace_session("b", &next, Some(&first.id), &[], None);
    replaced.await.unwrap();
    assert_eq!(find(&world.store, &place(&first)).await, None);
}

#[tokio::test]
async fn a_new_login_takes_the_place_of_what_the_last_one_gave() {
    let world = World::new().await;
    let store = &world.store;
    let session = begin(&world, "a").await;
    let here = place(&session);
    assert!(
        store
            .lease_person_entry(&here, 0, &lease("slow", NOW + 60))
            .await
            .unwrap()
    );
    let renewed = Session {
        expires_at: session.expires_at + 100,
        ..session.clone()
    };
    let new = tokens(here.clone(), "newer");
    assert!(
        store
            .renew_session("b", &renewed, Some(&new))
            .await
            .unwrap()
    );
    let entry = find(store, &here).await.unwrap();
    assert_eq!((entry.sealed.as_deref(), entry.version), (Some("newer"), 1));
    assert_eq!(entry.lease, None);
    // Who was still renewing the old ones has nothing to say any more.
    assert!(
        !store
            .save_vault_entry(&here, "slow", "old", None)
            .await
            .unwrap()
    );
    assert!(!store.require_new_login(&here, "slow", NOW).await.unwrap());
    // It lasts as long as the session does now.
    store.sweep(session.expires_at, 10).await.unwrap();
    assert!(find(store, &here).await.is_some());
    // And a login that gives nothing leaves nothing.
    assert!(store.renew_session("c", &renewed, None).await.unwrap());
    assert_eq!(find(store, &here).await, None);
}

#[tokio::test]
async fn entries_go_when_the_session_is_over_or_the_account_is_closed() {
    let world = World::new().await;
    let store = &world.store;
    let over = begin(&world, "a").await;
    assert_eq!(
        store
            .sweep(over.expires_at - 1, 10)
            .await
            .unwrap()
            .vault_entries,
        0
    );
    assert_eq!(
        store
            .sweep(over.expires_at, 10)
            .await
            .unwrap()
            .vault_entries,
        1
    );
    assert_eq!(find(store, &place(&over)).await, None);

    let (one, two) = (begin(&world, "b").await, begin(&world, "c").await);
    let somebody = log_in(store, "4712").await;
    let other = session(&somebody);
    let new = tokens(place(&other), "theirs");
    store
        .replace_session("d", &other, None, &[], Some(&new))
        .await
        .unwrap();
    let ended = store.disable_account(&world.account.id, NOW + 1).await;
    assert!(ended.unwrap().is_some());
    assert_eq!(find(store, &place(&one)).await, None);
    assert_eq!(find(store, &place(&two)).await, None);
    assert!(find(store, &place(&other)).await.is_some());
}

/// T64: one of all nodes renews, and only what it has read.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_gets_the_lease() {
    let world = World::new().await;
    let session = begin(&world, "a").await;
    let nodes = [world.store.clone(), world.other_node().await];
    for version in 0..10 {
        let racers = (0..16).map(|racer| {
            let (store, here) = (nodes[racer % 2].clone(), place(&session));
            async move {
                let lease = lease(&racer.to_string(), NOW + 60);
                let leased = store.lease_person_entry(&here, version, &lease).await;
                let leased = leased.unwrap();
                if leased {
                    // By then the others have lost, or come too late for this version.
                    let saved = store.save_vault_entry(&here, &lease.holder, "newer", None);
                    assert!(saved.await.unwrap());
                }
                leased
            }
        });
        assert_eq!(count(&race(racers).await, &true), 1);
    }
}

/// T64: nobody knows what a holder who never came back has spent.
#[tokio::test]
async fn a_persons_lease_is_not_taken_over_and_a_new_login_is_the_way_out() {
    let world = World::new().await;
    let store = &world.store;
    let session = begin(&world, "a").await;
    let here = place(&session);
    let dead = lease("dead", NOW - 1);
    assert!(store.lease_person_entry(&here, 0, &dead).await.unwrap());
    let next = lease("next", NOW + 60);
    assert!(!store.lease_person_entry(&here, 0, &next).await.unwrap());
    assert!(!store.require_new_login(&here, "next", NOW).await.unwrap());
    assert!(store.require_new_login(&here, "dead", NOW).await.unwrap());
    let entry = find(store, &here).await.unwrap();
    assert_eq!((entry.sealed, entry.needs_login), (None, Some(NOW)));
    assert!(!store.lease_person_entry(&here, 1, &next).await.unwrap());
    // One that was given back can be had.
    let new = tokens(here.clone(), "newer");
    assert!(
        store
            .renew_session("b", &session, Some(&new))
            .await
            .unwrap()
    );
    assert!(store.lease_person_entry(&here, 2, &next).await.unwrap());
    store.release_vault_lease(&here, "dead").await.unwrap();
    assert!(!store.lease_person_entry(&here, 2, &dead).await.unwrap());
    store.release_vault_lease(&here, "next").await.unwrap();
    assert!(store.lease_person_entry(&here, 2, &dead).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_asks_for_the_service_account_and_a_dead_ones_lease_ends() {
    let world = World::new().await;
    let nodes = [world.store.clone(), world.other_node().await];
    let upstream = UpstreamId::new("members");
    let here = VaultPlace::Service {
        upstream: upstream.clone(),
    };
    let store = &world.store;
    // At first there is no row; later the lease of one who died has ended.
    for now in [NOW, NOW + 60] {
        let racers = (0..16).map(|racer| {
            let (store, upstream) = (nodes[racer % 2].clone(), upstream.clone());
            async move {
                let lease = lease(&format!("{racer} at {now}"), now + 60);
                let leased = store.lease_service_entry(&upstream, 0, &lease, now);
                leased.await.unwrap()
            }
        });
        assert_eq!(count(&race(racers).await, &true), 1);
    }
    let holder = find(store, &here).await.unwrap().lease.unwrap().holder;
    let saved = store.save_vault_entry(&here, &holder, "sealed", Some(NOW + 500));
    assert!(saved.await.unwrap());
    let late = lease("late", NOW + 200);
    let leased = store.lease_service_entry(&upstream, 0, &late, NOW + 130);
    assert!(!leased.await.unwrap(), "there is news to be read first");
    let leased = store.lease_service_entry(&upstream, 1, &late, NOW + 130);
    assert!(leased.await.unwrap());
    assert_eq!(store.sweep(NOW + 499, 10).await.unwrap().vault_entries, 0);
    assert_eq!(store.sweep(NOW + 500, 10).await.unwrap().vault_entries, 1);
}

/// A node that takes a lease by a clock that is ahead, and dies, does not keep it until that time has come.
#[tokio::test]
async fn a_lease_of_a_clock_that_was_ahead_has_ended() {
    let world = World::new().await;
    let store = &world.store;
    let upstream = UpstreamId::new("members");
    let lease_by = async |now, until| {
        let lease = lease("holder", until);
        let leased = store.lease_service_entry(&upstream, 0, &lease, now).await;
        leased.unwrap()
    };
    assert!(lease_by(NOW + 100_000, NOW + 100_065).await);
    assert!(!lease("holder", NOW + 100_065).is_live(NOW));
    assert!(lease_by(NOW, NOW + CLOCKS_APART).await);
    // What two nodes' clocks may differ by is none.
    assert!(lease("holder", NOW + CLOCKS_APART).is_live(NOW));
    assert!(!lease_by(NOW, NOW + 65).await);
}

fn moved(from: &Session, to: &Session, version: i64) -> MovedVaultEntry {
    MovedVaultEntry {
        from: place(from),
        version,
        to: tokens(place(to), "sealed anew"),
    }
}

/// T64: what is being renewed, or was renewed since it was read, stays behind: the refresh token that was read is spent.
#[tokio::test]
async fn what_changes_meanwhile_does_not_come_along_into_the_next_session() {
    let world = World::new().await;
    let store = &world.store;
    for (number, comes) in [(0, true), (1, false), (2, false), (3, false)] {
        let first = begin(&world, &format!("a{number}")).await;
        let next = Session {
            upstream: UpstreamId::new("staff"),
            ..session(&world.account)
        };
        let mut read = moved(&first, &next, 0);
        match number {
            1 => {
                let lease = lease("busy", NOW + 60);
                let leased = store.lease_person_entry(&place(&first), 0, &lease).await;
                assert!(leased.unwrap());
            }
            2 => read.version = 7,
            3 => {
                store.end_session(&first.id, NOW + 1).await.unwrap();
            }
            _ => {}
        }
        let (secret, replaced) = (format!("b{number}"), Some(&first.id));
        let coming = [read];
        let began = store.replace_session(&secret, &next, replaced, &coming, None);
        assert!(began.await.unwrap());
        let found = find(store, &place(&next)).await;
        assert_eq!(found.is_some(), comes, "{number}");
        assert_eq!(find(store, &place(&first)).await, None);
        if let Some(entry) = found {
            assert_eq!(entry.sealed.as_deref(), Some("sealed anew"));
            store.end_session(&next.id, NOW + 2).await.unwrap();
            assert_eq!(find(store, &place(&next)).await, None);
        }
    }
}

/// T35: tokens that come with a link are for a session that lives, and of the account that is kept.
#[tokio::test]
async fn a_link_gives_tokens_to_a_live_session_of_its_own_account_alone() {
    let world = World::new().await;
    let store = &world.store;
    let ended = begin(&world, "a").await;
    store.end_session(&ended.id, NOW + 1).await.unwrap();
    let others = session(&log_in(store, "4712").await);
    let began = store.replace_session("b", &others, None, &[], None);
    assert!(began.await.unwrap());
    let live = begin(&world, "c").await;
    for (number, (session, kept)) in [(&ended, false), (&others, false), (&live, true)]
        .into_iter()
        .enumerate()
    {
        let here = place_at(session, "staff");
        let given = tokens(here.clone(), "of staff");
        let login = UpstreamSubject {
            upstream: UpstreamId::new("staff"),
            subject: format!("uid:{number}"),
        };
        let link = NewLink {
            into: &world.account.id,
            login: &login,
            leads_to: LeadsTo::Any,
            profile: None,
            tokens: Some(&given),
            same_upstream: true,
        };
        let linked = store.link_login(&link, NOW + 2).await.unwrap();
        assert!(matches!(linked, Linked::Done { .. }), "{linked:?}");
        assert_eq!(find(store, &here).await.is_some(), kept, "{number}");
    }
    // Refused or unlinked, it takes them along, and leaves those of the login that the session began with.
    let login = UpstreamSubject {
        upstream: UpstreamId::new("staff"),
        subject: "uid:2".to_owned(),
    };
    let new = NewAccount {
        id: AccountId::new("of-its-own"),
        subject: AccountSubject::new("of-its-own"),
    };
    let unlinked = store.unlink_login(&world.account.id, &login, &new, NOW + 3);
    assert!(matches!(unlinked.await.unwrap(), Unlinked::Done { .. }));
    assert_eq!(find(store, &place_at(&live, "staff")).await, None);
    assert!(find(store, &place(&live)).await.is_some());
}
