//! Accounts, found by what an upstream calls a person and by nothing else (T31).

use sqlx::any::AnyRow;

use super::record::{Record, to_json};
use super::{Store, StoreError};
use crate::clock::UnixTime;
use crate::model::account::{Account, UpstreamSubject};
use crate::protocol::claims::Profile;
use crate::protocol::ids::AccountId;

/// The names that an account gets if the login turns out to be the first one.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its key.
    pub id: AccountId,
    /// Its `sub` claim.
    pub subject: String,
}

impl Store {
    /// The account that `login` leads to, made now if there is none; its profile becomes `profile`. However many
    /// first logins of one person come at once, one account is made.
    pub async fn find_or_insert_account(
        &self,
        login: &UpstreamSubject,
        profile: &Profile,
        new: NewAccount,
        now: UnixTime,
    ) -> Result<Account, StoreError> {
        let profile_json = to_json(profile)?;
        let id = match self.find_login(login).await? {
            Some(id) => id,
            None => self.insert_account(login, &profile_json, new, now).await?,
        };
        sqlx::query("UPDATE account SET profile = $2 WHERE id = $1 AND profile <> $2")
            .bind(id.as_str())
            .bind(&profile_json)
            .execute(&self.writes)
            .await?;
        self.find_account(&id)
            .await?
            .ok_or_else(|| sqlx::Error::RowNotFound.into())
    }

    /// The account of that key.
    pub async fn find_account(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query(
            "SELECT id, subject, profile, created_at, disabled_at FROM account WHERE id = $1",
        )
        .bind(id.as_str())
        .fetch_optional(&self.reads)
        .await?;
        row.as_ref().map(account).transpose()
    }

    /// The key of the account that a login leads to, if the person has been here before.
    pub async fn find_login(
        &self,
        login: &UpstreamSubject,
    ) -> Result<Option<AccountId>, StoreError> {
        let id: Option<String> = sqlx::query_scalar(
            "SELECT account_id FROM upstream_login WHERE upstream = $1 AND subject = $2",
        )
        .bind(login.upstream.as_str())
        .bind(&login.subject)
        .fetch_optional(&self.reads)
        .await?;
        Ok(id.map(AccountId::new))
    }

    async fn insert_account(
        &self,
        login: &UpstreamSubject,
        profile_json: &str,
        new: NewAccount,
        now: UnixTime,
    ) -> Result<AccountId, StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO account (id, subject, profile, created_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(new.id.as_str())
        .bind(&new.subject)
        .bind(profile_json)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        let inserted = sqlx::query(
            "INSERT INTO upstream_login (upstream, subject, account_id) VALUES ($1, $2, $3)
             ON CONFLICT (upstream, subject) DO NOTHING",
        )
        .bind(login.upstream.as_str())
        .bind(&login.subject)
        .bind(new.id.as_str())
        .execute(&mut *transaction)
        .await?;
        if inserted.rows_affected() == 1 {
            transaction.commit().await?;
            return Ok(new.id);
        }
        // Another login of the same person won, and is there to be read, for the insertion waited for it. Our
        // account goes with the rollback.
        transaction.rollback().await?;
        self.find_login(login)
            .await?
            .ok_or_else(|| sqlx::Error::RowNotFound.into())
    }
}

fn account(row: &AnyRow) -> Result<Account, StoreError> {
    let record = Record::new("account", "id", row);
    Ok(Account {
        id: AccountId::new(record.text("id")?),
        subject: record.text("subject")?,
        profile: record.json("profile")?,
        created_at: record.int("created_at")?,
        disabled_at: record.optional_int("disabled_at")?,
    })
}
