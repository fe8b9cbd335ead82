//! Removing what has ended, in small batches, so that the database does not grow without end and no writer waits long.

use std::time::{Duration, Instant};

use super::statement::query;
use super::{Backend, Store, StoreError, retrying};
use crate::clock::{SKEW, UnixTime};

const DAY: i64 = 24 * 60 * 60;
/// What has ended stays so long: for replays to be known, and for an administrator to see.
const KEPT: i64 = DAY;
/// A key that left the JWKS stays so long, and an initial access token that ended, for an administrator to see.
const KEYS_KEPT: i64 = 90 * DAY;
/// What clients were told, and could not be told, stays so long for an administrator to see.
const NOTICES_KEPT: i64 = 7 * DAY;
/// A name that nobody logs in with is forgotten after so long.
const NAMES_KEPT: i64 = 400 * DAY;

/// Between two batches nothing is removed for so many times as long as the last one took: whoever comes then finds disk and writer
/// free, and however slow they are, sweeping has its share of them and no more.
const REST: u32 = 2;
/// The same on SQLite, which shares the processor with the requests, too.
const REST_BESIDE_REQUESTS: u32 = 4;
/// There a batch is to take about as long: whoever wants the one writer waits for it.
const BRIEF: Duration = Duration::from_micros(500);
/// But it is of the tenth of the rows that it may have at the least, and of twice that after each so long time in one table: what has ended
/// must not come faster than it goes.
const SMALLEST: i64 = 10;
const BEHIND: Duration = Duration::from_mins(10);

/// How many rows a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Authorization codes.
    pub codes: u64,
    /// Device codes.
    pub device_codes: u64,
    /// Token families.
    pub families: u64,
    /// Sessions.
    pub sessions: u64,
    /// Pending requests.
    pub pending_requests: u64,
    /// Pushed requests.
    pub pushed_requests: u64,
    /// Throttle windows.
    pub throttles: u64,
    /// Names that led to a person.
    pub throttle_aliases: u64,
    /// Signing keys.
    pub signing_keys: u64,
    /// Upstream tokens.
    pub vault_entries: u64,
    /// Opaque access tokens.
    pub access_tokens: u64,
    /// Ids of revoked access tokens.
    pub revoked_tokens: u64,
    /// Logouts that clients were told of.
    pub logout_notices: u64,
    /// Ids that were used.
    pub spent_ids: u64,
    /// Clients that registered themselves and were never used.
    pub unused_clients: u64,
    /// Initial access tokens.
    pub initial_access_tokens: u64,
}

impl Swept {
    /// The rows of all tables.
    pub const fn total(&self) -> u64 {
        self.codes
            + self.device_codes
            + self.families
            + self.sessions
            + self.pending_requests
            + self.pushed_requests
            + self.throttles
            + self.throttle_aliases
            + self.signing_keys
            + self.vault_entries
            + self.access_tokens
            + self.revoked_tokens
            + self.logout_notices
            + self.spent_ids
            + self.unused_clients
            + self.initial_access_tokens
    }
}

impl Store {
    /// Removes everything that ended long enough before `now`, at most `batch` rows at a time, each batch by itself. Several
    /// nodes may sweep at once.
    #[expect(
        clippy::too_many_lines,
        reason = "a statement for each table, and no more"
    )]
    pub async fn sweep(&self, now: UnixTime, batch: i64) -> Result<Swept, StoreError> {
        let ended = now.saturating_sub(KEPT);
        // Codes and families before the sessions that they refer to.
        let codes = self
            .delete_in_batches(
                "DELETE FROM authorization_code WHERE code_hash IN
                     (SELECT code_hash FROM authorization_code WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
                ended,
                batch,
            )
            .await?;
        let device_codes = self
            .delete_in_batches(
                "DELETE FROM device_code WHERE device_code_hash IN
                     (SELECT device_code_hash FROM device_code WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
                ended,
                batch,
            )
            .await?;
        let expired_families = self
            .delete_in_batches(
                "DELETE FROM token_family WHERE id IN
                     (SELECT id FROM token_family WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
                ended,
                batch,
            )
            .await?;
        let revoked_families = self
            .delete_in_batches(
                "DELETE FROM token_family WHERE id IN
                     (SELECT id FROM token_family WHERE revoked_at <= $1 ORDER BY revoked_at LIMIT $2)",
                ended,
                batch,
            )
            .await?;
        // `kept_until` covers what refers to a session; the rest is for a row that came in between.
        let sessions = self
            .delete_in_batches(
                "DELETE FROM session WHERE id IN
                     (SELECT id FROM session WHERE kept_until <= $1
                        AND NOT EXISTS (SELECT 1 FROM token_family WHERE session_id = session.id)
                        AND NOT EXISTS (SELECT 1 FROM authorization_code WHERE session_id = session.id)
                        AND NOT EXISTS (SELECT 1 FROM device_code WHERE session_id = session.id)
                      ORDER BY kept_until LIMIT $2)",
                ended,
                batch,
            )
            .await?;
        // At once: where somebody was is nobody's business any more. The row may stay for an offline family.
        self.delete_in_batches(
            "UPDATE session SET browser = NULL, system = NULL, address = NULL WHERE id IN
                 (SELECT id FROM session
                  WHERE expires_at <= $1 AND (address IS NOT NULL OR browser IS NOT NULL OR system IS NOT NULL)
                  ORDER BY expires_at LIMIT $2)",
            now,
            batch,
        )
        .await?;
        let pending_requests = self
            .delete_in_batches(
                "DELETE FROM pending_request WHERE handle_hash IN
                     (SELECT handle_hash FROM pending_request WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
                now,
                batch,
            )
            .await?;
        let pushed_requests = self
            .delete_in_batches(
                "DELETE FROM pushed_request WHERE uri_hash IN
                     (SELECT uri_hash FROM pushed_request WHERE kept_until <= $1 ORDER BY kept_until LIMIT $2)
                   AND kept_until <= $1",
                now,
                batch,
            )
            .await?;
        let throttles = self
            .delete_in_batches(
                "DELETE FROM throttle WHERE bucket_hash IN
                     (SELECT bucket_hash FROM throttle WHERE window_ends_at <= $1 ORDER BY window_ends_at LIMIT $2)
                   AND window_ends_at <= $1",
                now,
                batch,
            )
            .await?;
        let throttle_aliases = self
            .delete_in_batches(
                "DELETE FROM throttle_alias WHERE bucket_hash IN
                     (SELECT bucket_hash FROM throttle_alias WHERE seen_at <= $1 ORDER BY seen_at LIMIT $2)
                   AND seen_at <= $1",
                now.saturating_sub(NAMES_KEPT),
                batch,
            )
            .await?;
        // At once: nobody can ask for them any more.
        let vault_entries = self
            .delete_in_batches(
                "DELETE FROM vault_entry WHERE id IN
                     (SELECT id FROM vault_entry WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
                   AND expires_at <= $1",
                now,
                batch,
            )
            .await?;
        let unused_clients = self.sweep_unused_clients(now, batch).await?;
        let initial_access_tokens = self
            .delete_in_batches(
                "DELETE FROM initial_access_token WHERE id IN
                     (SELECT id FROM initial_access_token WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
                now.saturating_sub(KEYS_KEPT),
                batch,
            )
            .await?;
        // A clock that stepped back must not bring a revoked token to life again (T21), so its id stays a day longer.
        let revoked_tokens = self
            .delete_in_batches(
                "DELETE FROM revoked_token WHERE jti IN
                     (SELECT jti FROM revoked_token WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
                ended,
                batch,
            )
            .await?;
        let access_tokens = self
            .delete_in_batches(
                "DELETE FROM access_token WHERE token_hash IN
                     (SELECT token_hash FROM access_token WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
                now,
                batch,
            )
            .await?;
        // Nothing is deleted that is still to be told, however old it is.
        let logout_notices = self
            .delete_in_batches(
                "DELETE FROM logout_notice WHERE id IN
                     (SELECT id FROM logout_notice WHERE created_at <= $1 AND next_at IS NULL
                      ORDER BY created_at LIMIT $2)",
                now.saturating_sub(NOTICES_KEPT),
                batch,
            )
            .await?;
        let spent_ids = self
            .delete_in_batches(
                "DELETE FROM spent_id WHERE id_hash IN
                     (SELECT id_hash FROM spent_id WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)
                   AND expires_at <= $1",
                now.saturating_sub(SKEW),
                batch,
            )
            .await?;
        let signing_keys = self
            .delete_in_batches(
                "DELETE FROM signing_key WHERE kid IN
                     (SELECT kid FROM signing_key WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
                now.saturating_sub(KEYS_KEPT),
                batch,
            )
            .await?;
        Ok(Swept {
            codes,
            device_codes,
            families: expired_families + revoked_families,
            sessions,
            pending_requests,
            pushed_requests,
            throttles,
            throttle_aliases,
            signing_keys,
            vault_entries,
            access_tokens,
            revoked_tokens,
            logout_notices,
            spent_ids,
            unused_clients,
            initial_access_tokens,
        })
    }

    /// Removes what is recorded of the time before `before`, in the same way.
    pub async fn sweep_audit(&self, before: UnixTime, batch: i64) -> Result<u64, StoreError> {
        self.delete_in_batches(
            "DELETE FROM audit WHERE id IN
                 (SELECT id FROM audit WHERE recorded_at < $1 ORDER BY recorded_at LIMIT $2)",
            before,
            batch,
        )
        .await
    }

    async fn delete_in_batches(
        &self,
        statement: &'static str,
        ended: UnixTime,
        batch: i64,
    ) -> Result<u64, StoreError> {
        let most = batch.max(1);
        let shares_the_writer = self.backend == Backend::Sqlite;
        let began = Instant::now();
        let mut batch = if shares_the_writer {
            smallest(Duration::ZERO, most)
        } else {
            most
        };
        let mut deleted = 0;
        loop {
            let since = Instant::now();
            let (step, took) = retrying(|| self.delete_batch(statement, ended, batch)).await?;
            deleted += step;
            if step < batch.unsigned_abs() {
                return Ok(deleted);
            }
            let rest = if shares_the_writer {
                batch = next_batch(batch, took).clamp(smallest(began.elapsed(), most), most);
                REST_BESIDE_REQUESTS
            } else {
                REST
            };
            tokio::time::sleep(since.elapsed() * rest).await;
        }
    }

    /// How many rows are gone, and how long the statement took; on SQLite without the wait for its turn and for the disk.
    async fn delete_batch(
        &self,
        statement: &'static str,
        ended: UnixTime,
        batch: i64,
    ) -> Result<(u64, Duration), StoreError> {
        let delete = query(statement).bind(ended).bind(batch);
        self.writes
            .run(async |writing| {
                let since = Instant::now();
                let ran = delete.execute(writing).await?;
                Ok((ran.rows_affected(), since.elapsed()))
            })
            .await
    }
}

/// How many rows the batch after one of `rows` should have, whose statement took so long.
const fn next_batch(rows: i64, took: Duration) -> i64 {
    if took.as_nanos() > BRIEF.as_nanos() {
        rows / 2
    } else {
        rows.saturating_mul(2)
    }
}

/// How many it has at the least, when a table has been swept for so long.
fn smallest(swept_for: Duration, most: i64) -> i64 {
    let doubled = u32::try_from(swept_for.as_secs() / BEHIND.as_secs()).unwrap_or(u32::MAX);
    let tenth = (most / SMALLEST).max(1);
    tenth
        .saturating_mul(2_i64.saturating_pow(doubled))
        .min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_large_as_is_brief() {
        assert_eq!(next_batch(10, BRIEF), 20);
        assert_eq!(next_batch(80, BRIEF * 2), 40);
        assert_eq!(next_batch(1, BRIEF * 2), 0, "for which there is a smallest");
    }

    #[test]
    fn who_is_behind_for_long_takes_more() {
        let after = |minutes, most| smallest(Duration::from_mins(minutes), most);
        assert_eq!(
            [0, 9, 10, 20, 30, 40].map(|at| after(at, 100)),
            [10, 10, 20, 40, 80, 100]
        );
        assert_eq!(after(0, 1), 1);
        assert_eq!(after(u64::MAX / 60, 100), 100);
    }
}
