//! A client that very many people have used: what is left of them goes a few rows at a time, and the client after it.

use std::ops::RangeInclusive;

use portico::model::client::{Client, SubjectType};
use portico::model::registration::Registration;
use portico::protocol::ids::ClientId;
use portico::store::{Backend, Registered, Replaced, Store, StoredClient};
use sqlx::{AnyPool, AssertSqlSafe, Row as _};

use super::registrations::{HELD, registration};
use super::{NOW, World, client, family, stored};

/// How many rows of each table one client has.
const MANY: i64 = 700;

/// How a client goes, or begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The files have it no more.
    LeftOut,
    /// It ends its registration.
    Unregistered,
    /// Nobody has used it for long.
    Unused,
    /// The files tell it other subjects.
    Renamed,
    /// It registers for other subjects.
    Registered,
}

impl Way {
    const ALL: [Self; 5] = [
        Self::LeftOut,
        Self::Unregistered,
        Self::Unused,
        Self::Renamed,
        Self::Registered,
    ];

    const fn removes(self) -> bool {
        matches!(self, Self::LeftOut | Self::Unregistered | Self::Unused)
    }

    /// One that goes by it.
    async fn client(self, store: &Store) -> ClientId {
        let id = ClientId::new("crowded");
        if matches!(self, Self::LeftOut | Self::Renamed) {
            let both = [stored(&client("app")), stored(&client("crowded"))];
            store.reconcile_clients(&both, NOW).await.unwrap();
            return id;
        }
        let registration = Registration {
            expires_at: Some(NOW + 5),
            ..registration("crowded")
        };
        let own = of_own(&client("crowded"));
        let registered = store.register_client(&own, &registration, HELD, 10).await;
        assert_eq!(registered.unwrap(), Registered::Done);
        id
    }

    /// Whether the database has let it.
    async fn goes(self, store: &Store, id: &ClientId) -> bool {
        let sector = "sector.example".to_owned();
        let renamed = Client {
            subject_type: SubjectType::Pairwise { sector },
            ..client(id.as_str())
        };
        let app = stored(&client("app"));
        match self {
            Self::LeftOut => store.reconcile_clients(&[app], NOW + 5).await.is_ok(),
            Self::Renamed => {
                let both = [app, stored(&renamed)];
                store.reconcile_clients(&both, NOW + 5).await.is_ok()
            }
            Self::Unregistered => {
                let removed = store.remove_registered_client(id, NOW + 5).await;
                removed.unwrap_or_default()
            }
            Self::Unused => store.sweep(NOW + 5, 10).await.is_ok(),
            Self::Registered => {
                let own = of_own(&renamed);
                let replaced = store
                    .replace_registered_client(&own, 0, HELD, NOW + 5)
                    .await;
                replaced.is_ok_and(|replaced| replaced == Replaced::Done)
            }
        }
    }
}

fn of_own(client: &Client) -> StoredClient {
    stored(&Client {
        registered: true,
        ..client.clone()
    })
}

/// Gives `client` what so many people leave at one: rows of every table that has some for each of them.
async fn crowd(world: &World, pool: &AnyPool, client: &ClientId, people: RangeInclusive<i64>) {
    let (account, session) = (&world.account.id, &world.session.id);
    let begun = world
        .begin(family(&super::code(client, &world.session)))
        .await;
    let numbers = format!(
        "WITH RECURSIVE number(i) AS (SELECT {} UNION ALL SELECT i + 1 FROM number WHERE i < {})",
        people.start(),
        people.end()
    );
    for (table, columns, values, from) in [
        (
            "account",
            "id, subject, profile, created_at",
            "'person-' || i, 'subject-' || i, profile, created_at",
            format!("account WHERE id = '{account}'"),
        ),
        (
            "session",
            "id, secret_hash, account_id, upstream, auth_time, amr, last_seen_at, expires_at, kept_until",
            "'session-' || i, 'hash-' || i, account_id, upstream, auth_time, amr, last_seen_at, expires_at, kept_until",
            format!("session WHERE id = '{session}'"),
        ),
        (
            "token_family",
            "id, client_id, account_id, session_id, upstream, auth_time, amr, scope, offline, generation, created_at,
             rotated_at, expires_at",
            "'family-' || i, client_id, account_id, session_id, upstream, auth_time, amr, scope, offline, generation,
             created_at, rotated_at, expires_at",
            format!("token_family WHERE id = '{}'", begun.id),
        ),
        (
            "authorization_code",
            "code_hash, family_id, client_id, account_id, session_id, code_grant, expires_at",
            "'code-' || i, 'of-code-' || i, client_id, account_id, session_id, code_grant, expires_at",
            format!("authorization_code WHERE family_id = '{}'", begun.id),
        ),
        (
            "device_code",
            "device_code_hash, user_code_hash, family_id, client_id, scope, created_at, expires_at, poll_interval, next_poll_at",
            "'device-' || i, 'user-' || i, 'of-device-' || i, id, 'openid', created_at, created_at + 600, 5, created_at",
            format!("client WHERE id = '{client}'"),
        ),
        (
            "consent",
            "account_id, client_id, scope, granted_at",
            "'person-' || i, id, 'openid', created_at",
            format!("client WHERE id = '{client}'"),
        ),
        (
            "session_client",
            "session_id, client_id",
            "'session-' || i, id",
            format!("client WHERE id = '{client}'"),
        ),
        (
            "logout_notice",
            "id, client_id, account_id, created_at, attempts, next_at",
            "'notice-' || i, id, 'person-' || i, created_at, 0, created_at",
            format!("client WHERE id = '{client}'"),
        ),
    ] {
        let (source, condition) = from.split_once(" WHERE ").unwrap();
        let rows = format!(
            "INSERT INTO {table} ({columns}) {numbers}
             SELECT {values} FROM {source}, number WHERE {condition}"
        );
        run(pool, &rows).await;
    }
}

async fn run(pool: &AnyPool, statement: &str) {
    let run = sqlx::query(AssertSqlSafe(statement.to_owned()));
    run.execute(pool).await.unwrap();
}

async fn count(pool: &AnyPool, rows: &str) -> i64 {
    let counted = format!("SELECT COUNT(*) FROM {rows}");
    let row = sqlx::query(AssertSqlSafe(counted)).fetch_one(pool).await;
    row.unwrap().get(0)
}

/// From now on the database refuses to leave fewer `rows` than so many by that change of a row.
pub(super) async fn refuse(
    pool: &AnyPool,
    backend: Backend,
    change: &str,
    rows: &str,
    fewest: i64,
) {
    let fewer = format!("(SELECT COUNT(*) FROM {rows}) <= {fewest}");
    let statements = match backend {
        Backend::Postgres => vec![
            format!(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql
                 AS $$ BEGIN IF {fewer} THEN RAISE 'the disk is full'; END IF;
                       IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$"
            ),
            format!(
                "CREATE TRIGGER full_disk BEFORE {change} FOR EACH ROW EXECUTE FUNCTION full_disk()"
            ),
        ],
        Backend::Sqlite => vec![format!(
            "CREATE TRIGGER full_disk BEFORE {change} WHEN {fewer}
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )],
    };
    for statement in &statements {
        run(pool, statement).await;
    }
}

pub(super) async fn refuse_no_more(pool: &AnyPool, backend: Backend, table: &str) {
    match backend {
        Backend::Postgres => {
            run(pool, &format!("DROP TRIGGER full_disk ON {table}")).await;
            run(pool, "DROP FUNCTION full_disk").await;
        }
        Backend::Sqlite => run(pool, "DROP TRIGGER full_disk").await,
    }
}

/// Cut off in the middle of its families, a client is still there, the rest of them is found again, and nobody else waited for them all.
#[tokio::test]
async fn the_families_of_a_crowded_client_go_a_few_at_a_time() {
    for way in Way::ALL {
        let world = World::new().await;
        let (store, backend) = (&world.store, world.store.backend());
        let pool = world.database.pool().await;
        let id = way.client(store).await;
        let of_app = world.begin(family(&world.code())).await;
        crowd(&world, &pool, &id, 1..=MANY).await;
        let before = store.read_client(&id).await.unwrap().unwrap();

        let live = format!("token_family WHERE client_id = '{id}' AND revoked_at IS NULL");
        let revoked = "UPDATE OF revoked_at ON token_family";
        refuse(&pool, backend, revoked, &live, 250).await;
        assert!(!way.goes(store, &id).await, "{way:?}");
        let left = count(&pool, &live).await;
        assert!((250..MANY).contains(&left), "{way:?} {left}");
        let found = store.read_client(&id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&before), "{way:?}");

        refuse_no_more(&pool, backend, "token_family").await;
        assert!(way.goes(store, &id).await, "{way:?}");
        assert_eq!(count(&pool, &live).await, 0, "{way:?}");
        let found = store.read_client(&id).await.unwrap();
        assert_eq!(found.is_none(), way.removes(), "{way:?}");
        if let Some(found) = found {
            assert_ne!(found.client.subject_type, before.client.subject_type);
            // What people have agreed to there goes on.
            let consents = format!("consent WHERE client_id = '{id}'");
            assert_eq!(count(&pool, &consents).await, MANY, "{way:?}");
        }
        let spared = store.find_family(&of_app.id).await.unwrap().unwrap();
        assert_eq!(spared.revoked_at, None, "{way:?}");
    }
}

/// The same for what else each person leaves there.
#[tokio::test]
async fn whatever_goes_with_a_crowded_client_goes_a_few_rows_at_a_time() {
    for table in [
        "authorization_code",
        "device_code",
        "consent",
        "session_client",
        "logout_notice",
    ] {
        let world = World::new().await;
        let (store, backend) = (&world.store, world.store.backend());
        let pool = world.database.pool().await;
        let id = Way::LeftOut.client(store).await;
        let app = &world.client.client_id;
        crowd(&world, &pool, app, MANY + 1..=MANY + 1).await;
        crowd(&world, &pool, &id, 1..=MANY).await;
        let of_app = format!("{table} WHERE client_id = '{app}'");
        let spared = count(&pool, &of_app).await;
        assert!(spared > 0, "{table}");
        let of_it = format!("{table} WHERE client_id = '{id}'");
        let (gone, before) = (format!("DELETE ON {table}"), count(&pool, &of_it).await);
        assert!(before >= MANY, "{table} {before}");
        refuse(&pool, backend, &gone, &of_it, 250).await;
        assert!(!Way::LeftOut.goes(store, &id).await, "{table}");
        let left = count(&pool, &of_it).await;
        assert!((250..before).contains(&left), "{table} {left}");
        assert!(store.read_client(&id).await.unwrap().is_some(), "{table}");

        refuse_no_more(&pool, backend, table).await;
        assert!(Way::LeftOut.goes(store, &id).await, "{table}");
        assert_eq!(count(&pool, &of_it).await, 0, "{table}");
        assert!(store.read_client(&id).await.unwrap().is_none(), "{table}");
        assert_eq!(count(&pool, &of_app).await, spared, "{table}");
    }
}

/// One with few is removed with all that it has, or not at all.
#[tokio::test]
async fn a_client_with_few_people_loses_nothing_when_it_cannot_go() {
    let world = World::new().await;
    let (store, backend) = (&world.store, world.store.backend());
    let pool = world.database.pool().await;
    let id = Way::LeftOut.client(store).await;
    let begun = world.begin(family(&super::code(&id, &world.session))).await;
    refuse(&pool, backend, "DELETE ON client", "client", 100).await;
    assert!(!Way::LeftOut.goes(store, &id).await);
    let found = store.find_family(&begun.id).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, None);
}

/// Whoever is not to go after all loses nothing.
#[tokio::test]
async fn a_crowded_client_that_does_not_go_keeps_everything() {
    for way in [
        Way::LeftOut,
        Way::Unregistered,
        Way::Unused,
        Way::Registered,
    ] {
        let world = World::new().await;
        let store = &world.store;
        let pool = world.database.pool().await;
        let id = way.client(store).await;
        crowd(&world, &pool, &id, 1..=MANY).await;
        let all = [
            format!("token_family WHERE client_id = '{id}' AND revoked_at IS NULL"),
            format!("consent WHERE client_id = '{id}'"),
            format!("session_client WHERE client_id = '{id}'"),
        ];
        let mut before = Vec::new();
        for rows in &all {
            before.push(count(&pool, rows).await);
        }
        match way {
            // A file has it, and no registration.
            Way::LeftOut => assert!(!Way::Unregistered.goes(store, &id).await),
            // A file has taken it over.
            Way::Unregistered => {
                let both = [stored(&client("app")), stored(&client(id.as_str()))];
                store.reconcile_clients(&both, NOW + 1).await.unwrap();
                assert!(!way.goes(store, &id).await);
            }
            Way::Unused => {
                let swept = store.sweep(NOW + 4, 10).await.unwrap();
                assert_eq!(swept.unused_clients, 0);
            }
            // It has been replaced since it was read.
            _ => {
                let own = of_own(&client(id.as_str()));
                let replaced = store
                    .replace_registered_client(&own, 0, HELD, NOW + 1)
                    .await;
                assert_eq!(replaced.unwrap(), Replaced::Done);
                assert!(!way.goes(store, &id).await);
            }
        }
        assert!(store.read_client(&id).await.unwrap().is_some(), "{way:?}");
        for (rows, before) in all.iter().zip(before) {
            assert_eq!(count(&pool, rows).await, before, "{way:?} {rows}");
        }
    }
}
