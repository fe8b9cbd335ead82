//! What happened: rows are added, and deleted by the sweep, and never changed.

use std::sync::LazyLock;

use super::record::{Record, to_json};
use super::statement::{Columns, Statement, query};
use super::{Backend, Store, StoreError};
use crate::clock::UnixTime;
use crate::model::audit::{AuditFilter, AuditRecord};
use crate::protocol::ids::{AccountId, ClientId, FamilyId, SessionId, UpstreamId};

/// The newest records that fit. Each statement begins with the condition that finds the fewest, which has an index. A
/// macro, because the text of a statement has to be known when it is compiled.
macro_rules! search {
    ($first:literal) => {
        concat!(
            "SELECT id, recorded_at, event, account_id, client_id, upstream, session_id, family_id, request_id, flow_id,
                    address, user_agent, name_hash, details
             FROM audit WHERE ",
            $first,
            " AND recorded_at >= $2 AND recorded_at < $3
              AND (CAST($4 AS TEXT) IS NULL OR event = $4)
              AND (CAST($5 AS TEXT) IS NULL OR account_id = $5)
              AND (CAST($6 AS TEXT) IS NULL OR client_id = $6)
              AND (CAST($7 AS TEXT) IS NULL OR upstream = $7)
              AND (CAST($8 AS TEXT) IS NULL OR session_id = $8)
              AND (CAST($9 AS TEXT) IS NULL OR family_id = $9)
              AND (CAST($10 AS TEXT) IS NULL OR request_id = $10)
              AND (CAST($11 AS TEXT) IS NULL OR flow_id = $11)
              AND (CAST($12 AS TEXT) IS NULL OR name_hash = $12)
              AND (CAST($14 AS TEXT) IS NULL OR address = $14 OR last_address = $14)
             ORDER BY recorded_at DESC, id DESC LIMIT $13"
        )
    };
}

/// Rows of one statement: on PostgreSQL each is a round trip, and on SQLite each opens all indexes.
const AT_ONCE: usize = 25;

/// The statements that add one row, and many.
struct Inserts {
    one: String,
    many: String,
}

// SQLite keeps aside what many rows of one statement change until it has ended, a copy of each page, if a row could
// still make it fail. To `OR IGNORE` none does: what is no record is left out, and there is none.
static SQLITE: LazyLock<Inserts> = LazyLock::new(|| Inserts::new("OR IGNORE", ""));
static POSTGRES: LazyLock<Inserts> =
    LazyLock::new(|| Inserts::new("", "ON CONFLICT (id) DO NOTHING"));

impl Inserts {
    /// One that is there already is left alone, as each database has it.
    fn new(before: &str, after: &str) -> Self {
        Self {
            one: insert_rows(before, 1, after),
            many: insert_rows(before, AT_ONCE, after),
        }
    }
}

fn insert_rows(before: &str, count: usize, after: &str) -> String {
    const COLUMNS: [&str; 15] = [
        "id",
        "recorded_at",
        "event",
        "account_id",
        "client_id",
        "upstream",
        "session_id",
        "family_id",
        "request_id",
        "flow_id",
        "address",
        "user_agent",
        "name_hash",
        "details",
        LAST_ADDRESS,
    ];
    let row = |row: usize| {
        let first = row * COLUMNS.len() + 1;
        let places: Vec<String> = (first..first + COLUMNS.len())
            .map(|place| format!("${place}"))
            .collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..count).map(row).collect();
    format!(
        "INSERT {before} INTO audit ({}) VALUES {} {after}",
        COLUMNS.join(", "),
        rows.join(", ")
    )
}

/// The statement for so many records as it has rows.
fn insert<'r>(
    statement: &'static str,
    records: &'r [AuditRecord],
) -> Result<Statement<'r>, StoreError> {
    let mut query = query(statement);
    for record in records {
        query = query
            .bind(&record.id)
            .bind(record.at)
            .bind(&record.event)
            .bind(record.account.as_ref().map(AccountId::as_str))
            .bind(record.client_id.as_ref().map(ClientId::as_str))
            .bind(record.upstream.as_ref().map(UpstreamId::as_str))
            .bind(record.session.as_ref().map(SessionId::as_str))
            .bind(record.family.as_ref().map(FamilyId::as_str))
            .bind(&record.request)
            .bind(&record.flow)
            .bind(&record.address)
            .bind(&record.user_agent)
            .bind(&record.name_hash)
            .bind(to_json(&record.details)?)
            .bind(last_address(record));
    }
    Ok(query)
}

/// Of a replay, who was given the tokens before: a detail that has a column, for it is searched for.
const LAST_ADDRESS: &str = "last_address";

fn last_address(record: &AuditRecord) -> Option<&str> {
    record.details.get(LAST_ADDRESS)?.as_str()
}

impl Store {
    /// Adds records. One that is there already stays as it is: whoever has not heard what came of a batch may send it again.
    pub async fn insert_audit(&self, records: &[AuditRecord]) -> Result<(), StoreError> {
        let inserts = match self.backend {
            Backend::Sqlite => &*SQLITE,
            Backend::Postgres => &*POSTGRES,
        };
        let many = records.chunks_exact(AT_ONCE);
        let rest = many.remainder().chunks(1);
        let statements = many.chain(rest).map(|records| {
            let is_one = records.len() == 1;
            let statement = if is_one { &inserts.one } else { &inserts.many };
            insert(statement, records)
        });
        let statements: Vec<_> = statements.collect::<Result<_, _>>()?;
        let added = self.writes.execute_each(statements).await?;
        let left_out = (records.len() as u64).saturating_sub(added);
        if left_out > 0 {
            tracing::warn!(
                left_out,
                "records of the audit were in the database already, or it does not take them; all stand in the log"
            );
        }
        Ok(())
    }

    /// The newest records that fit, `limit` at the most; the newest first.
    pub async fn search_audit(
        &self,
        filter: &AuditFilter,
        limit: i64,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let account = filter.account.as_ref().map(AccountId::as_str);
        let client_id = filter.client_id.as_ref().map(ClientId::as_str);
        let upstream = filter.upstream.as_ref().map(UpstreamId::as_str);
        let session = filter.session.as_ref().map(SessionId::as_str);
        let family = filter.family.as_ref().map(FamilyId::as_str);
        let (event, request) = (filter.event.as_deref(), filter.request.as_deref());
        let (flow, name_hash) = (filter.flow.as_deref(), filter.name_hash.as_deref());
        let address = filter.address.as_deref();
        let conditions = [
            (request, search!("request_id = $1")),
            (flow, search!("flow_id = $1")),
            (session, search!("session_id = $1")),
            (name_hash, search!("name_hash = $1")),
            (family, search!("family_id = $1")),
            (account, search!("account_id = $1")),
            (address, search!("address = $1")),
            (client_id, search!("client_id = $1")),
            (event, search!("event = $1")),
            (upstream, search!("upstream = $1")),
        ];
        let (first, statement) = conditions
            .into_iter()
            .find(|(value, _)| value.is_some())
            .unwrap_or((None, search!("CAST($1 AS TEXT) IS NULL")));
        let mut found = Vec::new();
        // Who came, and who had come before: an index each, and a record may be both.
        let before = search!("last_address = $1");
        let by_address = statement == search!("address = $1");
        for statement in [statement].into_iter().chain(by_address.then_some(before)) {
            let rows = query(statement)
                .bind(first)
                .bind(filter.since.unwrap_or(UnixTime::MIN))
                .bind(filter.until.unwrap_or(UnixTime::MAX))
                .bind(event)
                .bind(account)
                .bind(client_id)
                .bind(upstream)
                .bind(session)
                .bind(family)
                .bind(request)
                .bind(flow)
                .bind(name_hash)
                .bind(limit)
                .bind(address)
                .fetch_all(&self.reads)
                .await?;
            for row in &rows {
                found.push(record(row)?);
            }
        }
        if by_address {
            found.sort_by(|one, other| (other.at, &other.id).cmp(&(one.at, &one.id)));
            found.dedup_by(|one, other| one.id == other.id);
            found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        Ok(found)
    }
}

fn record(row: &impl Columns) -> Result<AuditRecord, StoreError> {
    let record = Record::new("audit", "id", row);
    Ok(AuditRecord {
        id: record.key().to_owned(),
        at: record.int("recorded_at")?,
        event: record.text("event")?,
        account: record.optional_text("account_id")?.map(AccountId::new),
        client_id: record.optional_text("client_id")?.map(ClientId::new),
        upstream: record.optional_text("upstream")?.map(UpstreamId::new),
        session: record.optional_text("session_id")?.map(SessionId::new),
        family: record.optional_text("family_id")?.map(FamilyId::new),
        request: record.optional_text("request_id")?,
        flow: record.optional_text("flow_id")?,
        address: record.optional_text("address")?,
        user_agent: record.optional_text("user_agent")?,
        name_hash: record.optional_text("name_hash")?,
        details: record.json("details")?,
    })
}
