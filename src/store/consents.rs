//! Remembered consents: a row for a person and a client, whose scope only grows.

use super::record::{Record, to_json_unless};
use super::statement::{Columns, query};
use super::{Store, StoreError, retrying};
use crate::model::consent::Consent;
use crate::protocol::ids::{AccountId, ClientId};
use crate::protocol::scope::MAX_BYTES;

/// More single claims than any request names; a client whose registration changed over and over comes here.
const MAX_CLAIMS: usize = 256;

impl Store {
    /// What the person agreed to for that client so far.
    pub async fn find_consent(
        &self,
        account: &AccountId,
        client: &ClientId,
    ) -> Result<Option<Consent>, StoreError> {
        let row = self
            .look_up(
                "SELECT account_id, client_id, scope, resources, claims, granted_at
             FROM consent WHERE account_id = $1 AND client_id = $2",
                &[account.as_str().into(), client.as_str().into()],
            )
            .await?;
        row.as_ref().map(stored_consent).transpose()
    }

    /// Everything that the person agreed to.
    pub async fn list_consents(&self, account: &AccountId) -> Result<Vec<Consent>, StoreError> {
        let rows = query(
            "SELECT account_id, client_id, scope, resources, claims, granted_at FROM consent WHERE account_id = $1",
        )
        .bind(account.as_str())
        .fetch_all(&self.reads)
        .await?;
        rows.iter().map(stored_consent).collect()
    }

    /// Adds the scope of `consent` to what the person agreed to before; two at once both count.
    pub async fn widen_consent(&self, consent: &Consent) -> Result<(), StoreError> {
        retrying(|| self.try_widen_consent(consent)).await
    }

    async fn try_widen_consent(&self, consent: &Consent) -> Result<(), StoreError> {
        let mut transaction = self.writes.begin().await?;
        // Whether it makes the row or finds it, this locks it and tells what is agreed to now.
        let row = query(
            "INSERT INTO consent (account_id, client_id, scope, resources, claims, granted_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (account_id, client_id) DO UPDATE SET granted_at = consent.granted_at
             RETURNING account_id, client_id, scope, resources, claims, granted_at",
        )
        .bind(consent.account_id.as_str())
        .bind(consent.client_id.as_str())
        .bind(consent.scope.to_string())
        .bind(to_json_unless(
            consent.resources.is_empty(),
            &consent.resources,
        )?)
        .bind(to_json_unless(consent.claims.is_empty(), &consent.claims)?)
        .bind(consent.granted_at)
        .fetch_one(&mut transaction)
        .await?;
        let mut agreed = stored_consent(&row)?;
        if agreed.widen(consent) {
            // Only a client whose registration changed over and over comes near these: forget the oldest words.
            if agreed.scope.to_string().len() > MAX_BYTES {
                agreed.scope = consent.scope.clone();
            }
            if agreed.claims.len() > MAX_CLAIMS {
                agreed.claims.clone_from(&consent.claims);
            }
            query(
                "UPDATE consent SET scope = $3, resources = $4, claims = $5, granted_at = $6
                 WHERE account_id = $1 AND client_id = $2",
            )
            .bind(consent.account_id.as_str())
            .bind(consent.client_id.as_str())
            .bind(agreed.scope.to_string())
            .bind(to_json_unless(
                agreed.resources.is_empty(),
                &agreed.resources,
            )?)
            .bind(to_json_unless(agreed.claims.is_empty(), &agreed.claims)?)
            .bind(consent.granted_at)
            .execute(&mut transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

fn stored_consent(row: &impl Columns) -> Result<Consent, StoreError> {
    let record = Record::new("consent", "account_id", row);
    Ok(Consent {
        account_id: AccountId::new(record.text("account_id")?),
        client_id: ClientId::new(record.text("client_id")?),
        scope: record.scope("scope")?,
        resources: record.optional_json("resources")?.unwrap_or_default(),
        claims: record.optional_json("claims")?.unwrap_or_default(),
        granted_at: record.int("granted_at")?,
    })
}
