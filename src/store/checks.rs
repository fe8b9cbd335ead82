//! What an upstream said of a person since they logged in, a row a login. Who may ask is decided by the statement, so that
//! ten tabs on two nodes are one question.

use super::accounts::read_account;
use super::record::{Record, to_json};
use super::sessions::end;
use super::statement::{Columns, query, query_scalar};
use super::{Store, StoreError, logout_notices, retrying, vault_entries};
use crate::clock::UnixTime;
use crate::model::account::{Account, LoginCheck, UpstreamSubject};
use crate::protocol::claims::Profile;
use crate::protocol::ids::{AccountId, SessionId, UpstreamId};

/// A session's account, and what is known of the login that the session began with.
pub type Standing = (Account, Option<LoginCheck>);

impl Store {
    /// What is known of the login that a session began with; `None` when that leads to its account no more.
    pub async fn find_check(&self, session: &SessionId) -> Result<Option<LoginCheck>, StoreError> {
        // An older node's session does not say which login of its upstream it began with.
        let row = self
            .look_up(
                "SELECT login.upstream, login.subject, login.checked_at, login.checking_since, login.check_after,
                    login.refused_at
             FROM session
             JOIN upstream_login AS login ON login.upstream = session.upstream AND login.account_id = session.account_id
             WHERE session.id = $1 AND (session.upstream_subject IS NULL OR session.upstream_subject = login.subject)
             ORDER BY login.subject LIMIT 1",
                &[session.as_str().into()],
            )
            .await?;
        row.as_ref().map(check).transpose()
    }

    /// The account of a session, with the profile of the login that it began with, and what is known of that; without the
    /// latter when it leads to this account no more.
    pub async fn find_standing(&self, session: &SessionId) -> Result<Option<Standing>, StoreError> {
        // As in `find_account_of_session` and `find_check`.
        let row = self
            .look_up(
                "SELECT account.id AS a_id, account.subject AS a_subject, account.created_at AS a_created_at,
                    account.disabled_at AS a_disabled_at, account.merged_into AS a_merged_into,
                    COALESCE(login.profile, account.profile) AS a_profile,
                    login.upstream AS l_upstream, login.subject AS l_subject, login.checked_at AS l_checked_at,
                    login.checking_since AS l_checking_since, login.check_after AS l_check_after,
                    login.refused_at AS l_refused_at
             FROM session JOIN account ON account.id = session.account_id
             LEFT JOIN upstream_login AS login
                 ON login.account_id = session.account_id AND login.upstream = session.upstream
                AND (session.upstream_subject IS NULL OR session.upstream_subject = login.subject)
             WHERE session.id = $1 ORDER BY login.subject LIMIT 1",
                &[session.as_str().into()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        read_standing(&row)
    }

    /// Takes it upon the caller to ask: `false` when another does, or has done so since `known` was read. The others keep
    /// away until `until`.
    pub async fn claim_check(
        &self,
        login: &UpstreamSubject,
        known: &LoginCheck,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<bool, StoreError> {
        let claimed = self
            .writes
            .execute(
                query(
                    "UPDATE upstream_login SET checking_since = $3, check_after = $4
             WHERE upstream = $1 AND subject = $2 AND refused_at IS NULL
               AND COALESCE(checked_at, -1) = $5 AND COALESCE(check_after, -1) = $6",
                )
                .at_once()
                .bind(login.upstream.as_str())
                .bind(&login.subject)
                .bind(now)
                .bind(until)
                .bind(known.checked_at.unwrap_or(-1))
                .bind(known.check_after.unwrap_or(-1)),
            )
            .await?;
        Ok(claimed.rows_affected() == 1)
    }

    /// The upstream has answered what was asked at `asked_at`: the person is who they are, and this is their profile now.
    /// Nothing happens if they have logged in since: what that login told is newer.
    pub async fn confirm_check(
        &self,
        login: &UpstreamSubject,
        account: &AccountId,
        profile: &Profile,
        asked_at: UnixTime,
    ) -> Result<(), StoreError> {
        let profile = to_json(profile)?;
        let mut transaction = self.writes.begin().await?;
        let confirmed = query(
            "UPDATE upstream_login SET profile = $4, checked_at = $3, checking_since = NULL, check_after = NULL
             WHERE upstream = $1 AND subject = $2 AND checking_since = $3",
        ).at_once()
        .bind(login.upstream.as_str())
        .bind(&login.subject)
        .bind(asked_at)
        .bind(&profile)
        .execute(&mut transaction)
        .await?;
        if confirmed.rows_affected() == 1 {
            query("UPDATE account SET profile = $2 WHERE id = $1 AND profile <> $2")
                .at_once()
                .bind(account.as_str())
                .bind(&profile)
                .execute(&mut transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The upstream has not answered what was asked at `asked_at`; nobody asks again before `until`.
    pub async fn postpone_check(
        &self,
        login: &UpstreamSubject,
        asked_at: UnixTime,
        until: UnixTime,
    ) -> Result<(), StoreError> {
        self.writes
            .execute(
                query(
                    "UPDATE upstream_login SET checking_since = NULL, check_after = $4
             WHERE upstream = $1 AND subject = $2 AND checking_since = $3",
                )
                .at_once()
                .bind(login.upstream.as_str())
                .bind(&login.subject)
                .bind(asked_at)
                .bind(until),
            )
            .await?;
        Ok(())
    }

    /// The upstream says that the person may not come in any more: every session that began with this login ends, and
    /// every family of it, those with `offline_access` too. Nothing happens if they have logged in since `asked_at`: that
    /// is newer. The sessions that were ended; `None` when nothing was done.
    pub async fn refuse_login(
        &self,
        login: &UpstreamSubject,
        account: &AccountId,
        asked_at: UnixTime,
        now: UnixTime,
    ) -> Result<Option<Vec<SessionId>>, StoreError> {
        retrying(|| self.try_refuse_login(login, account, asked_at, now)).await
    }

    async fn try_refuse_login(
        &self,
        login: &UpstreamSubject,
        account: &AccountId,
        asked_at: UnixTime,
        now: UnixTime,
    ) -> Result<Option<Vec<SessionId>>, StoreError> {
        let mut transaction = self.writes.begin().await?;
        let refused = query(
            "UPDATE upstream_login SET refused_at = $3, checking_since = NULL, check_after = NULL
             WHERE upstream = $1 AND subject = $2 AND checking_since = $4",
        )
        .bind(login.upstream.as_str())
        .bind(&login.subject)
        .bind(now)
        .bind(asked_at)
        .execute(&mut transaction)
        .await?;
        if refused.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(None);
        }
        let ids: Vec<String> = query_scalar(
            "SELECT id FROM session
             WHERE account_id = $1 AND upstream = $2 AND (upstream_subject IS NULL OR upstream_subject = $3)
               AND ended_at IS NULL
             ORDER BY id",
        )
        .bind(account.as_str())
        .bind(login.upstream.as_str())
        .bind(&login.subject)
        .fetch_all(&mut transaction)
        .await?;
        let ids: Vec<SessionId> = ids.into_iter().map(SessionId::new).collect();
        logout_notices::of_login(&mut transaction, account, login, now).await?;
        for id in &ids {
            end(&mut transaction, id, now).await?;
        }
        vault_entries::delete_of_linked(&mut transaction, account, &login.upstream).await?;
        query(
            "UPDATE token_family SET revoked_at = $3
             WHERE revoked_at IS NULL AND session_id IN
                 (SELECT id FROM session
                  WHERE account_id = $1 AND upstream = $2 AND (upstream_subject IS NULL OR upstream_subject = $4))",
        )
        .bind(account.as_str())
        .bind(login.upstream.as_str())
        .bind(now)
        .bind(&login.subject)
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(Some(ids))
    }
}

/// What a row says of an account and a login, in columns whose names begin with `a_` and `l_`.
pub(super) fn read_standing(row: &impl Columns) -> Result<Option<Standing>, StoreError> {
    let account = Record::of("account", "id", "a_", row);
    if account.is_absent() {
        return Ok(None);
    }
    let login = Record::of("upstream_login", "subject", "l_", row);
    let known = Some(login).filter(|login| !login.is_absent());
    let known = known.map(|login| read_check(&login)).transpose()?;
    Ok(Some((read_account(&account)?, known)))
}

fn check(row: &impl Columns) -> Result<LoginCheck, StoreError> {
    read_check(&Record::new("upstream_login", "subject", row))
}

fn read_check(record: &Record<'_>) -> Result<LoginCheck, StoreError> {
    Ok(LoginCheck {
        login: UpstreamSubject {
            upstream: UpstreamId::new(record.text("upstream")?),
            subject: record.text("subject")?,
        },
        checked_at: record.optional_int("checked_at")?,
        checking_since: record.optional_int("checking_since")?,
        check_after: record.optional_int("check_after")?,
        refused_at: record.optional_int("refused_at")?,
    })
}
