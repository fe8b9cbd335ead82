//! Who is in the way of a migration, on PostgreSQL. Not beside the other statements: this one is about the database itself.

use sqlx::{AnyConnection, Row as _};

/// Sessions of the database that hold locks on our tables for longer than we have waited, the oldest first: a backup, somebody's
/// open transaction. The process, what it calls itself, and for how many seconds.
const HOLDERS: &str = "SELECT CAST(activity.pid AS BIGINT) AS pid,
        COALESCE(NULLIF(activity.application_name, ''), activity.backend_type, '') AS program,
        CAST(EXTRACT(EPOCH FROM clock_timestamp() - activity.xact_start) AS BIGINT) AS seconds
     FROM pg_stat_activity AS activity
     WHERE activity.datname = current_database() AND activity.pid <> pg_backend_pid()
       AND activity.xact_start < clock_timestamp() - make_interval(secs => $1)
       AND EXISTS (SELECT 1 FROM pg_locks JOIN pg_class ON pg_class.oid = pg_locks.relation
                   WHERE pg_locks.pid = activity.pid AND pg_locks.granted AND pg_locks.locktype = 'relation'
                     AND pg_class.relnamespace = CAST(current_schema() AS regnamespace))
     ORDER BY activity.xact_start LIMIT 5";

/// Those who hold what we have waited for, for people.
pub(super) async fn told(
    connection: &mut AnyConnection,
    waited: f64,
) -> Result<String, sqlx::Error> {
    let rows = sqlx::query(HOLDERS)
        .bind(waited)
        .fetch_all(connection)
        .await?;
    let mut holders = Vec::new();
    for row in rows {
        let (pid, seconds): (i64, i64) = (row.try_get("pid")?, row.try_get("seconds")?);
        let program: String = row.try_get("program")?;
        holders.push(format!("{program}, pid {pid}, for {seconds} s"));
    }
    if holders.is_empty() {
        // Whoever it was has just ended, or the database shows it to its administrator alone.
        return Ok("somebody whom pg_stat_activity does not show".to_owned());
    }
    Ok(holders.join("; "))
}
