//! Fills a database as years of use would: with copies of what the server itself has just written for one registration and one login,
//! each under keys and at a time of its own. What a later migration adds is copied with the rest.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use portico::clock::{ORDERED_ID_LENGTH, ORDERED_ID_TIME};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _};

use super::figures::{Form, TEMPLATE};

/// Rows of one statement.
const AT_ONCE: u64 = 100_000;
/// Rows that are copied at the most: in a filled table any few are as good as all of them.
const TEMPLATES: u64 = 8;
const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;
/// Over how long the logins are spread: every refresh token may still be used (`refresh_idle`), few sessions may.
const SPREAD: i64 = 20 * DAY;

/// How much there is of everything. The rest follows from the families: a session for every fourth, as many records of the audit
/// as sessions, a code of the last day for every hundredth.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) families: u64,
    pub(crate) accounts: u64,
    pub(crate) clients: u64,
}

impl Sizes {
    /// The small database beside this one.
    pub(crate) fn small(self) -> Self {
        Self {
            families: (self.families / 1000).clamp(800, 10_000),
            accounts: (self.accounts / 1000).clamp(200, 1000),
            clients: (self.clients / 1000).clamp(10, 100),
        }
    }

    pub(crate) const fn sessions(self) -> u64 {
        self.families.div_ceil(4)
    }
}

/// By how much the age of one session differs from that of the next.
const AGE_STEP: i64 = 7919;

/// Whose key it is.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    Account = 1,
    Subject,
    Session,
    Secret,
    Family,
    Client,
    Token,
    Code,
    CodeFamily,
    Audit,
    Request,
    Flow,
    Name,
    Person,
}

/// Odd, so that a number times one of them, modulo 2^32, is another for each number: keys come in no order and meet nowhere.
const MULTIPLIERS: [u64; 6] = [
    2_654_435_761,
    2_246_822_519,
    3_266_489_917,
    668_265_263,
    374_761_393,
    2_869_860_233,
];
/// Apart from those of the families that live: what is filled in to be swept away.
const EXPIRED: u64 = 1_000_000_000;

/// The key of that number: what [`Dialect::key`] has the database make.
pub(crate) fn key(of: Of, number: u64, length: usize) -> String {
    let mut key = String::new();
    for multiplier in MULTIPLIERS.iter().take(length.div_ceil(8)) {
        let block = (number * multiplier + of as u64 * 97_531) % (1 << 32);
        let _ = write!(key, "{block:08x}");
    }
    key.truncate(length);
    key
}

/// When the first of what is filled in was made, in its ordered ids: before everything that a server makes.
const MADE: i64 = 1_700_000_000;

/// The ordered id of that number, made with that session: what [`Dialect::ordered_key`] has the database make.
pub(crate) fn ordered_key(of: Of, number: u64, session: u64) -> anyhow::Result<String> {
    let made = MADE - i64::try_from(session)? * AGE_STEP % SPREAD;
    let random = key(of, number, ORDERED_ID_LENGTH - ORDERED_ID_TIME);
    let made = made * 1000;
    Ok(format!("{made:0ORDERED_ID_TIME$x}{random}"))
}

#[derive(Clone, Copy)]
enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    fn hex(self, number: &str) -> String {
        match self {
            Self::Sqlite => format!("printf('%08x', {number})"),
            Self::Postgres => format!("lpad(to_hex({number}), 8, '0')"),
        }
    }

    /// What stands in place of the template's number, as many digits.
    fn digits(self, number: &str) -> String {
        match self {
            Self::Sqlite => format!("printf('%09d', {number})"),
            Self::Postgres => format!("lpad(CAST({number} AS TEXT), 9, '0')"),
        }
    }

    /// As long as the server's own, and spread as they are.
    fn key(self, of: Of, number: &str, length: usize) -> String {
        let blocks = MULTIPLIERS.iter().take(length.div_ceil(8));
        let seed = of as u64 * 97_531;
        let blocks: Vec<String> = blocks
            .map(|multiplier| {
                self.hex(&format!(
                    "(({number}) * {multiplier} + {seed}) % 4294967296"
                ))
            })
            .collect();
        format!("substr({}, 1, {length})", blocks.join(" || "))
    }

    /// As the server's own ordered ids, of that session's time less `more` seconds; so long in all.
    fn ordered_key(self, of: Of, number: &str, session: &str, more: i64, length: usize) -> String {
        let made = format!("(({MADE} - ({session}) * {AGE_STEP} % {SPREAD} - {more}) * 1000)");
        let made = match self {
            Self::Sqlite => format!("printf('%0{ORDERED_ID_TIME}x', {made})"),
            Self::Postgres => format!("lpad(to_hex({made}), {ORDERED_ID_TIME}, '0')"),
        };
        format!(
            "{made} || {}",
            self.key(of, number, length - ORDERED_ID_TIME)
        )
    }

    fn session_key(self, number: &str, more: i64) -> String {
        self.ordered_key(Of::Session, number, number, more, ORDERED_ID_LENGTH)
    }
}

/// What becomes of a column of the template, whose name is `t.NAME`; any other is copied.
struct Table {
    name: &'static str,
    /// Which rows of the table are the templates; they are taken in turns.
    templates: &'static str,
    rows: u64,
    columns: Vec<(&'static str, String)>,
}

struct Fill {
    connection: AnyConnection,
    dialect: Dialect,
    sizes: Sizes,
}

impl Fill {
    async fn new(url: &str, sizes: Sizes) -> anyhow::Result<Self> {
        let dialect = if url.starts_with("postgres") {
            Dialect::Postgres
        } else {
            Dialect::Sqlite
        };
        let mut connection = AnyConnection::connect(url).await?;
        // What is filled in is right by itself. Indexes are there, as they always are.
        let beginning: &[&str] = match dialect {
            Dialect::Sqlite => &[
                "PRAGMA journal_mode = DELETE",
                "PRAGMA journal_mode = OFF",
                "PRAGMA synchronous = OFF",
                "PRAGMA foreign_keys = OFF",
                "PRAGMA cache_size = -4000000",
            ],
            Dialect::Postgres => &["SET session_replication_role = replica"],
        };
        for statement in beginning {
            connection.execute(*statement).await?;
        }
        Ok(Self {
            connection,
            dialect,
            sizes,
        })
    }

    /// A time of the template, moved by what a session's number makes of it.
    fn earlier(column: &str, session: &str, more: i64) -> String {
        format!("t.{column} - ({session}) * {AGE_STEP} % {SPREAD} - {more}")
    }

    async fn table(&mut self, table: Table) -> anyhow::Result<()> {
        let name = table.name;
        let templates = table.templates;
        let make = format!(
            "CREATE TEMPORARY TABLE filled_{name} AS
             SELECT ROW_NUMBER() OVER () - 1 AS place, picked.*
             FROM (SELECT * FROM {name} WHERE {templates} LIMIT {TEMPLATES}) AS picked"
        );
        self.connection.execute(AssertSqlSafe(make)).await?;
        let columns = format!("SELECT * FROM filled_{name}");
        let rows = self.connection.fetch_all(AssertSqlSafe(columns)).await?;
        let first = rows.first();
        let first = first.with_context(|| format!("the server has written no {name}"))?;
        let columns: Vec<&str> = first
            .columns()
            .iter()
            .map(sqlx::Column::name)
            .skip(1)
            .collect();
        let values: Vec<String> = columns
            .iter()
            .map(|column| {
                let own = table.columns.iter().find(|(name, _)| name == column);
                own.map_or_else(|| format!("t.{column}"), |(_, value)| value.clone())
            })
            .collect();
        let (columns, values, places) = (columns.join(", "), values.join(", "), rows.len());
        let mut from = 0;
        while from < table.rows {
            let last = (from + AT_ONCE).min(table.rows) - 1;
            let statement = format!(
                "WITH RECURSIVE numbers (n) AS
                     (SELECT CAST({from} AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
                 INSERT INTO {name} ({columns})
                 SELECT {values} FROM numbers JOIN filled_{name} AS t ON t.place = numbers.n % {places}"
            );
            self.connection.execute(AssertSqlSafe(statement)).await?;
            from = last + 1;
        }
        let drop = format!("DROP TABLE filled_{name}");
        self.connection.execute(AssertSqlSafe(drop)).await?;
        Ok(())
    }

    /// Sessions, from number `first` on, `more` seconds older than they would be.
    async fn sessions(&mut self, first: u64, rows: u64, more: i64) -> anyhow::Result<()> {
        let (dialect, accounts) = (self.dialect, self.sizes.accounts);
        let number = format!("n + {first}");
        let ends = Self::earlier("expires_at", &number, more);
        // Those that have passed their last moment are without them.
        let while_it_lasts =
            |column: &str| format!("CASE WHEN {ends} > t.auth_time THEN t.{column} END");
        let columns = vec![
            ("id", dialect.session_key(&number, more)),
            ("secret_hash", dialect.key(Of::Secret, &number, 43)),
            (
                "account_id",
                dialect.key(Of::Account, &format!("({number}) % {accounts}"), 22),
            ),
            (
                "upstream_subject",
                self.replaced("upstream_subject", &format!("({number}) % {accounts}")),
            ),
            ("auth_time", Self::earlier("auth_time", &number, more)),
            ("last_seen_at", Self::earlier("last_seen_at", &number, more)),
            ("expires_at", ends.clone()),
            ("kept_until", Self::earlier("kept_until", &number, more)),
            ("browser", while_it_lasts("browser")),
            ("system", while_it_lasts("system")),
            ("address", while_it_lasts("address")),
        ];
        let table = Table {
            name: "session",
            templates: "ended_at IS NULL",
            rows,
            columns,
        };
        self.table(table).await
    }

    /// Families of `sessions` from number `first` on.
    async fn families(
        &mut self,
        first: u64,
        rows: u64,
        sessions: u64,
        more: i64,
    ) -> anyhow::Result<()> {
        let (dialect, sizes) = (self.dialect, self.sizes);
        let session = format!("(n % {sessions} + {first})");
        let of_forms: Vec<String> = Form::ALL
            .iter()
            .enumerate()
            .map(|(place, form)| format!("WHEN {place} THEN '{}'", form.client()))
            .collect();
        // Half of them are those of a few large apps.
        let client = format!(
            "CASE n % 8 {} ELSE {} END",
            of_forms.join(" "),
            dialect.key(Of::Client, &format!("(n / 8) % {}", sizes.clients), 22)
        );
        let columns = vec![
            (
                "id",
                dialect.ordered_key(
                    Of::Family,
                    &format!("n + {first}"),
                    &session,
                    more,
                    ORDERED_ID_LENGTH,
                ),
            ),
            ("client_id", client),
            (
                "account_id",
                dialect.key(Of::Account, &format!("{session} % {}", sizes.accounts), 22),
            ),
            ("session_id", dialect.session_key(&session, more)),
            ("auth_time", Self::earlier("auth_time", &session, more)),
            ("created_at", Self::earlier("created_at", &session, more)),
            ("rotated_at", Self::earlier("rotated_at", &session, more)),
            ("expires_at", Self::earlier("expires_at", &session, more)),
        ];
        let table = Table {
            name: "token_family",
            templates: "offline = 1",
            rows,
            columns,
        };
        self.table(table).await
    }

    /// Codes of `sessions` from number `first` on.
    async fn codes(
        &mut self,
        first: u64,
        rows: u64,
        sessions: u64,
        more: i64,
    ) -> anyhow::Result<()> {
        let dialect = self.dialect;
        let session = format!("(n % {sessions} + {first})");
        // They stay for a day; all of this fill are of its first half.
        let when = |column: &str| format!("t.{column} - n % {} - {more}", 12 * HOUR);
        let columns = vec![
            (
                "code_hash",
                dialect.key(Of::Code, &format!("n + {first}"), 43),
            ),
            (
                "family_id",
                dialect.ordered_key(
                    Of::CodeFamily,
                    &format!("n + {first}"),
                    &session,
                    more,
                    ORDERED_ID_LENGTH,
                ),
            ),
            (
                "account_id",
                dialect.key(
                    Of::Account,
                    &format!("{session} % {}", self.sizes.accounts),
                    22,
                ),
            ),
            ("session_id", dialect.session_key(&session, more)),
            ("expires_at", when("expires_at")),
            ("redeemed_at", when("redeemed_at")),
        ];
        let table = Table {
            name: "authorization_code",
            templates: "redeemed_at IS NOT NULL",
            rows,
            columns,
        };
        self.table(table).await
    }

    /// A text that tells of the template's person, told of another.
    fn replaced(&self, column: &str, number: &str) -> String {
        format!(
            "REPLACE(t.{column}, '{TEMPLATE:09}', {})",
            self.dialect.digits(number)
        )
    }

    async fn people(&mut self) -> anyhow::Result<()> {
        let (dialect, rows) = (self.dialect, self.sizes.accounts);
        let account = dialect.key(Of::Account, "n", 22);
        let columns = vec![
            ("id", account.clone()),
            ("subject", dialect.key(Of::Subject, "n", 22)),
            ("profile", self.replaced("profile", "n")),
            ("created_at", Self::earlier("created_at", "n", 0)),
        ];
        let table = Table {
            name: "account",
            templates: "disabled_at IS NULL",
            rows,
            columns,
        };
        self.table(table).await?;
        let columns = vec![
            ("account_id", account),
            ("subject", self.replaced("subject", "n")),
            ("profile", self.replaced("profile", "n")),
        ];
        let table = Table {
            name: "upstream_login",
            templates: "account_id IS NOT NULL",
            rows,
            columns,
        };
        self.table(table).await?;
        let columns = vec![
            ("bucket_hash", dialect.key(Of::Name, "n", 43)),
            ("person_hash", dialect.key(Of::Person, "n", 43)),
        ];
        let table = Table {
            name: "throttle_alias",
            templates: "person_hash IS NOT NULL",
            rows,
            columns,
        };
        self.table(table).await
    }

    async fn clients(&mut self) -> anyhow::Result<()> {
        let (dialect, rows) = (self.dialect, self.sizes.clients);
        let id = dialect.key(Of::Client, "n", 22);
        let columns = vec![
            ("id", id.clone()),
            (
                "registration",
                format!("REPLACE(t.registration, t.id, {id})"),
            ),
        ];
        let table = Table {
            name: "client",
            templates: "id IN (SELECT client_id FROM client_registration)",
            rows,
            columns,
        };
        self.table(table).await?;
        let columns = vec![
            ("client_id", id.clone()),
            ("access_token_hash", dialect.key(Of::Token, "n", 43)),
            ("issued_at", Self::earlier("issued_at", "n", 0)),
            ("expires_at", Self::earlier("expires_at", "n", 0)),
        ];
        let table = Table {
            name: "client_registration",
            templates: "client_id IS NOT NULL",
            rows,
            columns,
        };
        self.table(table).await?;
        // A tenth of them are at one address: that of the machine that they are made on.
        let origin = format!(
            "CASE WHEN n % 10 = 0 THEN 'http://localhost' ELSE 'https://' || {} || '.example.org' END",
            dialect.digits("n")
        );
        let table = Table {
            name: "client_origin",
            templates: "client_id IN (SELECT client_id FROM client_registration)",
            rows,
            columns: vec![("origin", origin), ("client_id", id)],
        };
        self.table(table).await
    }

    async fn audit(&mut self) -> anyhow::Result<()> {
        let (dialect, rows) = (self.dialect, self.sizes.sessions());
        // As many for a session as the server has written for one login.
        let each: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE account_id IS NOT NULL")
                .fetch_one(&mut self.connection)
                .await?;
        let session = format!("(n / {each})");
        let unless_empty = |column: &str, value: String| {
            format!("CASE WHEN t.{column} IS NOT NULL THEN {value} END")
        };
        let account = format!("{session} % {}", self.sizes.accounts);
        let of_session =
            |of, number| dialect.ordered_key(of, number, &session, 0, ORDERED_ID_LENGTH);
        let columns = vec![
            (
                "id",
                format!(
                    "substr({}, 1, LENGTH(t.id))",
                    dialect.ordered_key(Of::Audit, "n", &session, 0, 43)
                ),
            ),
            ("recorded_at", Self::earlier("recorded_at", &session, 0)),
            (
                "account_id",
                unless_empty("account_id", dialect.key(Of::Account, &account, 22)),
            ),
            (
                "session_id",
                unless_empty("session_id", dialect.session_key(&session, 0)),
            ),
            (
                "family_id",
                unless_empty("family_id", of_session(Of::Family, &session)),
            ),
            (
                "request_id",
                unless_empty("request_id", of_session(Of::Request, "n")),
            ),
            (
                "flow_id",
                unless_empty("flow_id", of_session(Of::Flow, &session)),
            ),
            ("details", self.replaced("details", &account)),
        ];
        let table = Table {
            name: "audit",
            templates: "account_id IS NOT NULL",
            rows,
            columns,
        };
        self.table(table).await
    }

    async fn finish(mut self) -> anyhow::Result<()> {
        let end: &[&str] = match self.dialect {
            Dialect::Sqlite => &["PRAGMA journal_mode = WAL"],
            // What autovacuum would do a little later.
            Dialect::Postgres => &["VACUUM ANALYZE", "CHECKPOINT"],
        };
        for statement in end {
            self.connection.execute(*statement).await?;
        }
        Ok(self.connection.close().await?)
    }

    async fn all_in_one(
        &mut self,
        fill: impl AsyncFnOnce(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.connection.execute("BEGIN").await?;
        fill(self).await?;
        self.connection.execute("COMMIT").await?;
        Ok(())
    }
}

/// Fills the database that a server has written one registration and one login to, and tells how long it took. No server may run.
pub(crate) async fn fill(url: &str, sizes: Sizes) -> anyhow::Result<Duration> {
    let since = Instant::now();
    let mut fill = Fill::new(url, sizes).await?;
    fill.all_in_one(async |fill| {
        let sessions = sizes.sessions();
        fill.clients().await?;
        fill.audit().await?;
        fill.codes(0, sizes.families.div_ceil(100), sessions, 0)
            .await?;
        fill.families(0, sizes.families, sessions, 0).await?;
        fill.sessions(0, sessions, 0).await?;
        fill.people().await
    })
    .await?;
    fill.finish().await?;
    Ok(since.elapsed())
}

/// Fills in rows that have ended long enough ago to be swept away: four tenths families, the rest sessions, codes and opaque access
/// tokens.
pub(crate) async fn fill_expired(url: &str, sizes: Sizes, rows: u64) -> anyhow::Result<()> {
    let mut fill = Fill::new(url, sizes).await?;
    fill.all_in_one(async |fill| {
        let (families, each) = (rows * 4 / 10, rows * 2 / 10);
        let more = 400 * DAY;
        fill.codes(EXPIRED, each, each, more).await?;
        fill.families(EXPIRED, families, each, more).await?;
        fill.sessions(EXPIRED, each, more).await?;
        let columns = vec![
            (
                "token_hash",
                fill.dialect.key(Of::Token, &format!("n + {EXPIRED}"), 43),
            ),
            ("expires_at", format!("t.expires_at - n % {DAY} - {more}")),
        ];
        let table = Table {
            name: "access_token",
            templates: "expires_at = (SELECT MIN(expires_at) FROM access_token)",
            rows: each,
            columns,
        };
        fill.table(table).await
    })
    .await?;
    fill.finish().await
}

/// How many of those are left: all have ended 35 days ago at the least, for a family may live for a year.
pub(crate) async fn count_expired(url: &str) -> anyhow::Result<i64> {
    let mut connection = AnyConnection::connect(url).await?;
    let mut left = 0;
    for (table, column) in [
        ("token_family", "expires_at"),
        ("authorization_code", "expires_at"),
        ("access_token", "expires_at"),
        ("session", "kept_until"),
    ] {
        let now = portico::clock::Clock::system().now();
        let statement = format!(
            "SELECT COUNT(*) FROM {table} WHERE {column} <= {}",
            now - 30 * DAY
        );
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(statement))
            .fetch_one(&mut connection)
            .await?;
        left += count;
    }
    connection.close().await?;
    Ok(left)
}

/// What a table takes.
pub(crate) struct Size {
    pub(crate) table: String,
    pub(crate) rows: i64,
    /// Bytes of a row, with what pages leave empty.
    pub(crate) row: i64,
    /// Bytes of its entries in all indexes.
    pub(crate) indexes: i64,
}

/// The tables that grow, and the bytes of the whole database.
pub(crate) async fn sizes(url: &str) -> anyhow::Result<(Vec<Size>, i64)> {
    let mut connection = AnyConnection::connect(url).await?;
    let postgres = url.starts_with("postgres");
    let mut sizes = Vec::new();
    for table in [
        "token_family",
        "session",
        "account",
        "upstream_login",
        "throttle_alias",
        "client",
        "client_registration",
        "client_origin",
        "audit",
        "authorization_code",
    ] {
        let count = format!("SELECT COUNT(*) FROM {table}");
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(count))
            .fetch_one(&mut connection)
            .await?;
        let size = if postgres {
            format!("SELECT pg_table_size('{table}') AS own, pg_indexes_size('{table}') AS indexes")
        } else {
            format!(
                "SELECT COALESCE(SUM(CASE WHEN name = '{table}' THEN pgsize END), 0) AS own,
                        COALESCE(SUM(CASE WHEN name <> '{table}' THEN pgsize END), 0) AS indexes
                 FROM dbstat WHERE aggregate = TRUE
                   AND name IN (SELECT name FROM sqlite_schema WHERE tbl_name = '{table}')"
            )
        };
        let size = connection.fetch_one(AssertSqlSafe(size)).await?;
        let of = |name: &str| anyhow::Ok(size.try_get::<i64, _>(name)? / rows.max(1));
        sizes.push(Size {
            table: table.to_owned(),
            rows,
            row: of("own")?,
            indexes: of("indexes")?,
        });
    }
    let whole = if postgres {
        "SELECT pg_database_size(current_database())"
    } else {
        "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    };
    let whole: i64 = sqlx::query_scalar(whole).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok((sizes, whole))
}
