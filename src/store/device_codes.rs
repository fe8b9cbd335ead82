//! Device codes (RFC 8628), under the hashes of both codes: answered once, redeemed once, and remembered for a day after.

use super::codes::Redemption;
use super::record::{Record, to_json, to_json_unless};
use super::statement::{Columns, Statement, query, query_scalar};
use super::{Store, StoreError};
use crate::clock::{SKEW, UnixTime};
use crate::model::device_code::{Approval, DeviceCode};
use crate::model::family::{FamilyCaps, TokenFamily};
use crate::protocol::device::{INTERVAL, MAX_INTERVAL};
use crate::protocol::ids::{AccountId, ClientId, FamilyId};

impl Store {
    /// Keeps a new device code under its hash and that of its user code. `false` when somebody has that user code.
    pub async fn insert_device_code(
        &self,
        code_hash: &str,
        user_code_hash: &str,
        code: &DeviceCode,
    ) -> Result<bool, StoreError> {
        // The first question may come at once.
        let inserted = self.writes.execute(query(
            "INSERT INTO device_code (device_code_hash, user_code_hash, family_id, client_id, scope, created_at,
                                      expires_at, poll_interval, next_poll_at, resources)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $6, $9)
             ON CONFLICT (user_code_hash) DO NOTHING",
        )
        .bind(code_hash)
        .bind(user_code_hash)
        .bind(code.family_id.as_str())
        .bind(code.client_id.as_str())
        .bind(code.scope.to_string())
        .bind(code.created_at)
        .bind(code.expires_at)
        .bind(INTERVAL)
        .bind(to_json_unless(code.resources.is_empty(), &code.resources)?)
        )
        .await?;
        Ok(inserted.rows_affected() == 1)
    }

    /// The device code of that hash, ended ones too.
    pub async fn find_device_code(
        &self,
        code_hash: &str,
    ) -> Result<Option<DeviceCode>, StoreError> {
        let row = query(
            "SELECT device_code_hash, family_id, client_id, scope, created_at, expires_at, account_id, authentication,
                    denied_at, redeemed_at, resources
             FROM device_code WHERE device_code_hash = $1",
        )
        .bind(code_hash)
        .fetch_optional(&self.reads)
        .await?;
        row.as_ref().map(device_code).transpose()
    }

    /// The same by what the person types.
    pub async fn find_device_code_by_user_code(
        &self,
        user_code_hash: &str,
    ) -> Result<Option<DeviceCode>, StoreError> {
        let row = query(
            "SELECT device_code_hash, family_id, client_id, scope, created_at, expires_at, account_id, authentication,
                    denied_at, redeemed_at, resources
             FROM device_code WHERE user_code_hash = $1",
        )
        .bind(user_code_hash)
        .fetch_optional(&self.reads)
        .await?;
        row.as_ref().map(device_code).transpose()
    }

    /// Writes down who says yes (`Some`), and to what, or that somebody says no. `false` when the code was answered before or has
    /// ended.
    pub async fn answer_device_code(
        &self,
        user_code_hash: &str,
        approval: Option<&Approval>,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let authentication = approval.map(|approval| &approval.authentication);
        let resources = approval.map(|approval| &approval.resources);
        let resources = resources.filter(|resources| !resources.is_empty());
        let answered = self.writes.execute(query(
            "UPDATE device_code SET account_id = $4, session_id = $5, authentication = $6, denied_at = $7,
                 scope = COALESCE($8, scope),
                 resources = CASE WHEN CAST($8 AS TEXT) IS NULL THEN resources ELSE $9 END
             WHERE user_code_hash = $1 AND account_id IS NULL AND denied_at IS NULL
               AND expires_at > $2 AND created_at <= $3",
        )
        .bind(user_code_hash)
        .bind(now)
        .bind(now.saturating_add(SKEW))
        .bind(approval.map(|approval| approval.account_id.as_str()))
        .bind(authentication.map(|authentication| authentication.session_id.as_str()))
        .bind(authentication.map(to_json).transpose()?)
        .bind(approval.is_none().then_some(now))
        .bind(approval.map(|approval| approval.scope.to_string()))
        .bind(resources.map(to_json).transpose()?)
        )
        .await?;
        Ok(answered.rows_affected() == 1)
    }

    /// Whether a device asks no sooner than it may. The guarded statement says so, whatever races; a question too early makes
    /// the interval longer (RFC 8628 section 3.5), up to [`MAX_INTERVAL`]: where an answer was lost, the device catches up.
    pub async fn poll_device_code(
        &self,
        code_hash: &str,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        // A second less than said: clocks count whole ones, and the network is not even.
        let in_time = self
            .writes
            .execute(
                query(
                    "UPDATE device_code SET next_poll_at = $2 + poll_interval - 1
             WHERE device_code_hash = $1 AND next_poll_at <= $2",
                )
                .bind(code_hash)
                .bind(now),
            )
            .await?;
        if in_time.rows_affected() == 1 {
            return Ok(true);
        }
        self.writes.execute(query(
            "UPDATE device_code SET
                 poll_interval = CASE WHEN poll_interval + $3 < $4 THEN poll_interval + $3 ELSE $4 END,
                 next_poll_at = $2 - 1 + CASE WHEN poll_interval + $3 < $4 THEN poll_interval + $3 ELSE $4 END
             WHERE device_code_hash = $1",
        )
        .bind(code_hash)
        .bind(now)
        .bind(INTERVAL)
        .bind(MAX_INTERVAL)
        )
        .await?;
        Ok(false)
    }

    /// Spends a device code and begins its `family`, as [`Store::redeem_code`] does.
    pub async fn redeem_device_code(
        &self,
        code_hash: &str,
        family: &TokenFamily,
        caps: FamilyCaps,
        now: UnixTime,
    ) -> Result<Redemption, StoreError> {
        let replayed = query_scalar(
            "SELECT family_id FROM device_code WHERE device_code_hash = $1 AND redeemed_at IS NOT NULL",
        );
        let replayed = replayed.bind(code_hash);
        let spend = || spend(code_hash, family, now);
        self.redeem(spend, replayed, family, caps, now).await
    }
}

/// The guarded statement that decides who wins; it ties the family to the yes (T10), within the code's life (T21).
fn spend<'q>(code_hash: &'q str, family: &'q TokenFamily, now: UnixTime) -> Statement<'q> {
    query(
        "UPDATE device_code SET redeemed_at = $2
         WHERE device_code_hash = $1 AND redeemed_at IS NULL AND denied_at IS NULL AND expires_at > $2 AND created_at <= $3
           AND family_id = $4 AND client_id = $5 AND account_id = $6 AND session_id = $7",
    )
    .bind(code_hash)
    .bind(now)
    .bind(now.saturating_add(SKEW))
    .bind(family.id.as_str())
    .bind(family.client_id.as_str())
    .bind(family.account_id.as_str())
    .bind(family.authentication.session_id.as_str())
}

fn device_code(row: &impl Columns) -> Result<DeviceCode, StoreError> {
    let record = Record::new("device_code", "device_code_hash", row);
    let scope = record.scope("scope")?;
    let resources: Vec<String> = record.optional_json("resources")?.unwrap_or_default();
    let approval = match record.optional_text("account_id")? {
        Some(account_id) => Some(Approval {
            account_id: AccountId::new(account_id),
            authentication: record.json("authentication")?,
            scope: scope.clone(),
            resources: resources.clone(),
        }),
        None => None,
    };
    Ok(DeviceCode {
        family_id: FamilyId::new(record.text("family_id")?),
        client_id: ClientId::new(record.text("client_id")?),
        scope,
        resources,
        created_at: record.int("created_at")?,
        expires_at: record.int("expires_at")?,
        approval,
        denied_at: record.optional_int("denied_at")?,
        redeemed_at: record.optional_int("redeemed_at")?,
    })
}
