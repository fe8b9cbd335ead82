//! Accounts, found by what an upstream calls a person and by nothing else (T31), and the logins that lead to them.

use super::record::{Record, to_json};
use super::statement::{Columns, query, query_scalar};
use super::writes::Writing;
use super::{Store, StoreError};
use crate::clock::UnixTime;
use crate::model::account::{Account, Login, UpstreamSubject};
use crate::protocol::claims::Profile;
use crate::protocol::ids::{AccountId, AccountSubject, SessionId, UpstreamId};

/// The names that an account gets if the login turns out to be the first one.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its key.
    pub id: AccountId,
    /// What its `sub` claims are made of.
    pub subject: AccountSubject,
}

impl Store {
    /// The account that `login` leads to, made now if there is none; the login's profile becomes `profile`, and the
    /// answer has it. However many first logins of one person come at once, one account is made.
    pub async fn find_or_insert_account(
        &self,
        login: &UpstreamSubject,
        profile: &Profile,
        new: NewAccount,
        now: UnixTime,
    ) -> Result<Account, StoreError> {
        let profile_json = to_json(profile)?;
        let known = if let Some(known) = self.look_at_login(login).await? {
            known
        } else {
            let made = self.insert_account(login, profile, &profile_json, new, now);
            if let Some(account) = made.await? {
                return Ok(account);
            }
            // Another login of the same person won, and is there to be read, for the insertion waited for it.
            let known = self.look_at_login(login).await?;
            known.ok_or(sqlx::Error::RowNotFound)?
        };
        let id = &known.account.id;
        if known.profile.as_ref() != Some(&profile_json) {
            self.writes.execute(query(
                "UPDATE upstream_login SET profile = $4
                 WHERE upstream = $1 AND subject = $2 AND account_id = $3 AND (profile IS NULL OR profile <> $4)",
            )
            .bind(login.upstream.as_str())
            .bind(&login.subject)
            .bind(id.as_str())
            .bind(&profile_json)
            )
            .await?;
        }
        // An older node reads the profile here.
        if known.profile_of_account != profile_json {
            self.writes
                .execute(
                    query("UPDATE account SET profile = $2 WHERE id = $1 AND profile <> $2")
                        .bind(id.as_str())
                        .bind(&profile_json),
                )
                .await?;
        }
        Ok(Account {
            profile: profile.clone(),
            ..known.account
        })
    }

    /// The account that a login leads to, and the profiles of both as they are written.
    async fn look_at_login(&self, login: &UpstreamSubject) -> Result<Option<Known>, StoreError> {
        let row = self
            .look_up(
                "SELECT account.id AS id, account.subject AS subject, account.profile AS profile,
                    account.created_at AS created_at, account.disabled_at AS disabled_at,
                    account.merged_into AS merged_into, login.profile AS login_profile
             FROM upstream_login AS login JOIN account ON account.id = login.account_id
             WHERE login.upstream = $1 AND login.subject = $2",
                &[
                    login.upstream.as_str().into(),
                    login.subject.as_str().into(),
                ],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let record = Record::new("account", "id", &row);
        Ok(Some(Known {
            account: read_account(&record)?,
            profile: record.optional_text("login_profile")?,
            profile_of_account: record.text("profile")?,
        }))
    }

    /// The account of that key, with the profile of its last login.
    pub async fn find_account(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        let row = self
            .look_up(
                "SELECT id, subject, profile, created_at, disabled_at, merged_into FROM account WHERE id = $1",
                &[id.as_str().into()],
            )
            .await?;
        row.as_ref().map(account).transpose()
    }

    /// The account of a session, with the profile of the login that the session began with: claims must not change
    /// because the person has logged in elsewhere by another way.
    pub async fn find_account_of_session(
        &self,
        id: &SessionId,
    ) -> Result<Option<Account>, StoreError> {
        // A session that an older node began names the upstream alone.
        let row = self
            .look_up(
                "SELECT account.id AS id, account.subject AS subject, account.created_at AS created_at,
                    account.disabled_at AS disabled_at, account.merged_into AS merged_into,
                    COALESCE((SELECT login.profile FROM upstream_login AS login
                              WHERE login.account_id = account.id AND login.upstream = session.upstream
                                AND (session.upstream_subject IS NULL OR login.subject = session.upstream_subject)
                              ORDER BY login.subject LIMIT 1), account.profile) AS profile
             FROM session JOIN account ON account.id = session.account_id WHERE session.id = $1",
                &[id.as_str().into()],
            )
            .await?;
        row.as_ref().map(account).transpose()
    }

    /// The account with that subject, with the profile of its last login.
    pub async fn find_account_by_subject(
        &self,
        subject: &AccountSubject,
    ) -> Result<Option<Account>, StoreError> {
        let row = self
            .look_up(
                "SELECT id, subject, profile, created_at, disabled_at, merged_into FROM account WHERE subject = $1",
                &[subject.as_str().into()],
            )
            .await?;
        row.as_ref().map(account).transpose()
    }

    /// The newest accounts, `most` at the most.
    pub async fn list_accounts(&self, most: i64) -> Result<Vec<Account>, StoreError> {
        let rows = query(
            "SELECT id, subject, profile, created_at, disabled_at, merged_into FROM account
             ORDER BY created_at DESC, id DESC LIMIT $1",
        )
        .bind(most)
        .fetch_all(&self.reads)
        .await?;
        rows.iter().map(account).collect()
    }

    /// The accounts one of whose logins has this user name (`preferred_username`), in any letter case. Names lead
    /// nobody in (T31): this is for an administrator, who sees whom it found, `most` at the most. It reads every row.
    pub async fn find_accounts_by_username(
        &self,
        username: &str,
        most: i64,
    ) -> Result<Vec<Account>, StoreError> {
        // SQLite and PostgreSQL agree about the letter case of ASCII alone; other letters have to be as they are.
        let (lower, exact) = (username.to_ascii_lowercase(), username.to_owned());
        let rows = query(
            "SELECT DISTINCT account.id AS id, account.subject AS subject, account.profile AS profile,
                    account.created_at AS created_at, account.disabled_at AS disabled_at,
                    account.merged_into AS merged_into
             FROM account JOIN upstream_login AS login ON login.account_id = account.id
             WHERE LOWER(COALESCE(login.profile, account.profile)) LIKE $1 ESCAPE '!'
                OR COALESCE(login.profile, account.profile) LIKE $2 ESCAPE '!'
             ORDER BY account.created_at, account.id LIMIT $3",
        )
        .bind(username_pattern(lower)?)
        .bind(username_pattern(exact)?)
        .bind(most)
        .fetch_all(&self.reads)
        .await?;
        rows.iter().map(account).collect()
    }

    /// The key of the account that a login leads to, if the person has been here before.
    pub async fn find_login(
        &self,
        login: &UpstreamSubject,
    ) -> Result<Option<AccountId>, StoreError> {
        let id: Option<String> = query_scalar(
            "SELECT account_id FROM upstream_login WHERE upstream = $1 AND subject = $2",
        )
        .bind(login.upstream.as_str())
        .bind(&login.subject)
        .fetch_optional(&self.reads)
        .await?;
        Ok(id.map(AccountId::new))
    }

    /// The logins that lead to an account.
    pub async fn list_logins(&self, account: &AccountId) -> Result<Vec<Login>, StoreError> {
        let rows = query(
            "SELECT login.upstream AS upstream, login.subject AS subject, login.linked_at AS linked_at,
                    login.last_login_at AS last_login_at, COALESCE(login.profile, account.profile) AS profile
             FROM upstream_login AS login JOIN account ON account.id = login.account_id
             WHERE login.account_id = $1",
        )
        .bind(account.as_str())
        .fetch_all(&self.reads)
        .await?;
        let mut logins = rows.iter().map(login).collect::<Result<Vec<_>, _>>()?;
        // PostgreSQL sorts text by the database's locale; the answer must not depend on it.
        logins.sort_by(|a, b| {
            let key = |login: &Login| (login.name.upstream.clone(), login.name.subject.clone());
            key(a).cmp(&key(b))
        });
        Ok(logins)
    }

    /// `None` when the login leads to an account already.
    async fn insert_account(
        &self,
        login: &UpstreamSubject,
        profile: &Profile,
        profile_json: &str,
        new: NewAccount,
        now: UnixTime,
    ) -> Result<Option<Account>, StoreError> {
        let mut transaction = self.writes.begin().await?;
        insert_account(&mut transaction, &new, profile_json, now).await?;
        let inserted = query(
            "INSERT INTO upstream_login (upstream, subject, account_id, profile) VALUES ($1, $2, $3, $4)
             ON CONFLICT (upstream, subject) DO NOTHING",
        ).at_once()
        .bind(login.upstream.as_str())
        .bind(&login.subject)
        .bind(new.id.as_str())
        .bind(profile_json)
        .execute(&mut transaction)
        .await?;
        if inserted.rows_affected() == 0 {
            // Our account goes with the rollback.
            transaction.rollback().await?;
            return Ok(None);
        }
        transaction.commit().await?;
        Ok(Some(Account {
            id: new.id,
            subject: new.subject,
            profile: profile.clone(),
            created_at: now,
            disabled_at: None,
            merged_into: None,
        }))
    }
}

/// What a login leads to.
struct Known {
    account: Account,
    /// The login's profile; an older node kept none.
    profile: Option<String>,
    profile_of_account: String,
}

/// What a profile with this user name is like: the member as serde writes it, whatever stands around it.
fn username_pattern(username: String) -> Result<String, StoreError> {
    let profile = to_json(&Profile {
        preferred_username: Some(username),
        ..Profile::default()
    })?;
    let member = profile.trim_matches(['{', '}']);
    let escaped = member
        .replace('!', "!!")
        .replace('%', "!%")
        .replace('_', "!_");
    Ok(format!("%{escaped}%"))
}

pub(super) async fn insert_account(
    transaction: &mut Writing,
    new: &NewAccount,
    profile_json: &str,
    now: UnixTime,
) -> Result<(), StoreError> {
    query("INSERT INTO account (id, subject, profile, created_at) VALUES ($1, $2, $3, $4)")
        .at_once()
        .bind(new.id.as_str())
        .bind(new.subject.as_str())
        .bind(profile_json)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    Ok(())
}

fn account(row: &impl Columns) -> Result<Account, StoreError> {
    read_account(&Record::new("account", "id", row))
}

pub(super) fn read_account(record: &Record<'_>) -> Result<Account, StoreError> {
    Ok(Account {
        id: AccountId::new(record.text("id")?),
        subject: AccountSubject::new(record.text("subject")?),
        profile: record.json("profile")?,
        created_at: record.int("created_at")?,
        disabled_at: record.optional_int("disabled_at")?,
        merged_into: record.optional_text("merged_into")?.map(AccountId::new),
    })
}

fn login(row: &impl Columns) -> Result<Login, StoreError> {
    let record = Record::new("upstream_login", "subject", row);
    Ok(Login {
        name: UpstreamSubject {
            upstream: UpstreamId::new(record.text("upstream")?),
            subject: record.text("subject")?,
        },
        profile: record.json("profile")?,
        linked_at: record.optional_int("linked_at")?,
        last_login_at: record.optional_int("last_login_at")?,
    })
}
