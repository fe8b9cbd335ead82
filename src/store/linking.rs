//! Moving logins from one account to another, and closing accounts. Each is one transaction.
//!
//! The logins of an account are its lock: whoever moves one, closes the account or begins a session holds their rows
//! first (`sessions::hold_login`), then sessions, then accounts, and what is read after that is final.

use std::collections::BTreeSet;

use super::accounts::insert_account;
use super::logout_notices::{ToldBySid, of_client};
use super::record::to_json;
use super::sessions::end;
use super::statement::{query, query_as, query_scalar};
use super::writes::Writing;
use super::{NewAccount, Store, StoreError, logout_notices, retrying, vault_entries};
use crate::clock::UnixTime;
use crate::model::account::UpstreamSubject;
use crate::model::vault_entry::NewVaultEntry;
use crate::protocol::claims::Profile;
use crate::protocol::ids::{AccountId, ClientId, SessionId, UpstreamId};

/// A login that is to lead to an account.
#[derive(Clone, Debug)]
pub struct NewLink<'a> {
    /// The account that is kept.
    pub into: &'a AccountId,
    /// The login.
    pub login: &'a UpstreamSubject,
    /// The account that it may lead to before.
    pub leads_to: LeadsTo<'a>,
    /// What its upstream said about the person, if they have just logged in.
    pub profile: Option<&'a Profile>,
    /// What it gave to act for the person, sealed for a session of the account, which has it as long as it lives.
    pub tokens: Option<&'a NewVaultEntry>,
    /// Whether the account may have several logins of one upstream.
    pub same_upstream: bool,
}

/// Where a login that is to be linked leads until then, as far as whoever says yes was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeadsTo<'a> {
    /// To any account, or none.
    Any,
    /// To this account, which is closed, or to none.
    Told(Option<&'a AccountId>),
}

/// What came of linking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linked {
    /// The login leads to the account now.
    Done {
        /// The account that it led to before, closed now, if it had one; all its logins came along.
        closed: Option<AccountId>,
        /// The sessions of that account, which have ended.
        ended: Vec<SessionId>,
    },
    /// It led there already.
    Already,
    /// It leads to another account than was told: that is closed only with a yes of its own.
    Otherwise,
    /// The account has a login of the same upstream.
    SameUpstream,
    /// The account that is to be kept, or the one that the login leads to, is closed.
    Closed,
}

/// What came of unlinking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlinked {
    /// The login leads to an account of its own; the sessions that began with it have ended.
    Done {
        /// Those sessions.
        ended: Vec<SessionId>,
    },
    /// It does not lead to that account.
    NotThere,
    /// It is the last one: without it nobody would get into the account.
    Last,
}

impl Store {
    /// Makes a login lead to an account. If it leads to another one, all logins of that come along, and that account is
    /// closed for good: its sessions and families end, its consents go, and its subject is never given to anybody.
    pub async fn link_login(
        &self,
        link: &NewLink<'_>,
        now: UnixTime,
    ) -> Result<Linked, StoreError> {
        retrying(|| self.try_link_login(link, now)).await
    }

    async fn try_link_login(
        &self,
        link: &NewLink<'_>,
        now: UnixTime,
    ) -> Result<Linked, StoreError> {
        const ATTEMPTS: u32 = 5;
        for _ in 0..ATTEMPTS {
            let mut transaction = self.writes.begin().await?;
            match move_login(&mut transaction, link, now).await? {
                Some(outcome @ Linked::Done { .. }) => {
                    transaction.commit().await?;
                    return Ok(outcome);
                }
                Some(outcome) => {
                    transaction.rollback().await?;
                    return Ok(outcome);
                }
                None => transaction.rollback().await?,
            }
        }
        Err(sqlx::Error::RowNotFound.into())
    }

    /// Makes a login lead to `new`, an account of its own, instead of `account`. The subject stays where it is.
    pub async fn unlink_login(
        &self,
        account: &AccountId,
        login: &UpstreamSubject,
        new: &NewAccount,
        now: UnixTime,
    ) -> Result<Unlinked, StoreError> {
        retrying(|| self.try_unlink_login(account, login, new, now)).await
    }

    async fn try_unlink_login(
        &self,
        account: &AccountId,
        login: &UpstreamSubject,
        new: &NewAccount,
        now: UnixTime,
    ) -> Result<Unlinked, StoreError> {
        let mut transaction = self.writes.begin().await?;
        let held = hold_logins(&mut transaction, account).await?;
        if !held.contains(login) {
            transaction.rollback().await?;
            return Ok(Unlinked::NotThere);
        }
        if held.len() == 1 {
            transaction.rollback().await?;
            return Ok(Unlinked::Last);
        }
        let profile: Option<String> =
            query_scalar("SELECT profile FROM upstream_login WHERE upstream = $1 AND subject = $2")
                .bind(login.upstream.as_str())
                .bind(&login.subject)
                .fetch_one(&mut transaction)
                .await?;
        // Without a profile of its own nothing is known: what the account holds may be another login's.
        let profile = match profile {
            Some(profile) => profile,
            None => to_json(&Profile::default())?,
        };
        insert_account(&mut transaction, new, &profile, now).await?;
        query(
            "UPDATE upstream_login SET account_id = $3, profile = $4, linked_at = NULL
             WHERE upstream = $1 AND subject = $2",
        )
        .bind(login.upstream.as_str())
        .bind(&login.subject)
        .bind(new.id.as_str())
        .bind(&profile)
        .execute(&mut transaction)
        .await?;
        // A session of an older node names the upstream alone: better one end too many.
        let began_with_it: Vec<String> = query_scalar(
            "SELECT id FROM session WHERE account_id = $1 AND upstream = $2
                AND (upstream_subject IS NULL OR upstream_subject = $3)
             ORDER BY id",
        )
        .bind(account.as_str())
        .bind(login.upstream.as_str())
        .bind(&login.subject)
        .fetch_all(&mut transaction)
        .await?;
        logout_notices::of_login(&mut transaction, account, login, now).await?;
        let mut ended = Vec::new();
        for id in began_with_it.into_iter().map(SessionId::new) {
            if end(&mut transaction, &id, now).await? {
                ended.push(id.clone());
            }
            // Those with offline_access too, which may have outlived their session.
            query(
                "UPDATE token_family SET revoked_at = $2 WHERE session_id = $1 AND revoked_at IS NULL",
            )
            .bind(id.as_str())
            .bind(now)
            .execute(&mut transaction)
            .await?;
        }
        vault_entries::delete_of_linked(&mut transaction, account, &login.upstream).await?;
        transaction.commit().await?;
        Ok(Unlinked::Done { ended })
    }

    /// Closes an account at once: its sessions and families end. The sessions that were live; `None` when it was
    /// closed already, or is not there.
    pub async fn disable_account(
        &self,
        account: &AccountId,
        now: UnixTime,
    ) -> Result<Option<Vec<SessionId>>, StoreError> {
        retrying(|| self.try_disable_account(account, now)).await
    }

    async fn try_disable_account(
        &self,
        account: &AccountId,
        now: UnixTime,
    ) -> Result<Option<Vec<SessionId>>, StoreError> {
        let mut transaction = self.writes.begin().await?;
        hold_logins(&mut transaction, account).await?;
        let ended = end_everything(&mut transaction, account, now).await?;
        let closed = close(&mut transaction, account, None, now).await?;
        // Even where it was closed already: nothing may be left of it.
        transaction.commit().await?;
        Ok(closed.then_some(ended))
    }

    /// Opens an account that an administrator closed; `false` for one that is open, or was linked into another.
    pub async fn enable_account(&self, account: &AccountId) -> Result<bool, StoreError> {
        let opened = self
            .writes
            .execute(
                query(
                    "UPDATE account SET disabled_at = NULL
             WHERE id = $1 AND disabled_at IS NOT NULL AND merged_into IS NULL",
                )
                .bind(account.as_str()),
            )
            .await?;
        Ok(opened.rows_affected() == 1)
    }

    /// Ends one session of an account, as [`Store::end_session`] does; `false` when it is not a live one of that
    /// account.
    pub async fn end_session_of(
        &self,
        account: &AccountId,
        session: &SessionId,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let theirs: i64 =
            query_scalar("SELECT COUNT(*) FROM session WHERE id = $1 AND account_id = $2")
                .bind(session.as_str())
                .bind(account.as_str())
                .fetch_one(&self.reads)
                .await?;
        // Whose session it is never changes.
        Ok(theirs == 1 && self.end_session(session, now).await?)
    }

    /// Ends every session and every family of an account, those with `offline_access` too: the sessions that were live.
    pub async fn end_all_of(
        &self,
        account: &AccountId,
        now: UnixTime,
    ) -> Result<Vec<SessionId>, StoreError> {
        retrying(|| self.try_end_all_of(account, now)).await
    }

    async fn try_end_all_of(
        &self,
        account: &AccountId,
        now: UnixTime,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut transaction = self.writes.begin().await?;
        hold_logins(&mut transaction, account).await?;
        let ended = end_everything(&mut transaction, account, now).await?;
        transaction.commit().await?;
        Ok(ended)
    }

    /// Takes a client away from a person: its families end, its codes and the consent go. How many families there
    /// were; `None` where there was nothing at all.
    pub async fn end_client_of(
        &self,
        account: &AccountId,
        client: &ClientId,
        now: UnixTime,
    ) -> Result<Option<u64>, StoreError> {
        let told = self.told_by_sid(client).await?;
        retrying(|| self.try_end_client_of(account, told, now)).await
    }

    async fn try_end_client_of(
        &self,
        account: &AccountId,
        told: ToldBySid<'_>,
        now: UnixTime,
    ) -> Result<Option<u64>, StoreError> {
        let client = told.client;
        let mut transaction = self.writes.begin().await?;
        // The lock of a redemption in flight (`families::hold_login`): its family is there to be revoked below, or it finds no
        // code.
        query("UPDATE account SET subject = subject WHERE id = $1")
            .bind(account.as_str())
            .execute(&mut transaction)
            .await?;
        let codes = query(
            "DELETE FROM authorization_code
             WHERE account_id = $1 AND client_id = $2 AND redeemed_at IS NULL",
        )
        .bind(account.as_str())
        .bind(client.as_str())
        .execute(&mut transaction)
        .await?;
        let device_codes = query(
            "DELETE FROM device_code
             WHERE account_id = $1 AND client_id = $2 AND redeemed_at IS NULL",
        )
        .bind(account.as_str())
        .bind(client.as_str())
        .execute(&mut transaction)
        .await?;
        let revoked: Vec<String> = query_scalar(
            "UPDATE token_family SET revoked_at = $3
             WHERE account_id = $1 AND client_id = $2 AND revoked_at IS NULL
             RETURNING session_id",
        )
        .bind(account.as_str())
        .bind(client.as_str())
        .bind(now)
        .fetch_all(&mut transaction)
        .await?;
        let consents = query("DELETE FROM consent WHERE account_id = $1 AND client_id = $2")
            .bind(account.as_str())
            .bind(client.as_str())
            .execute(&mut transaction)
            .await?;
        // It may have nothing but ID tokens. It is noted again at the next login there.
        let noted: Vec<String> = query_scalar(
            "DELETE FROM session_client WHERE client_id = $2 AND session_id IN
                 (SELECT id FROM session WHERE account_id = $1 AND ended_at IS NULL)
             RETURNING session_id",
        )
        .bind(account.as_str())
        .bind(client.as_str())
        .fetch_all(&mut transaction)
        .await?;
        // Where nothing was live there is nothing to tell, however often the button is pressed.
        let sessions: BTreeSet<&String> = revoked.iter().chain(&noted).collect();
        for session in &sessions {
            let session = SessionId::new(session.as_str());
            of_client(&mut transaction, told, account, &session, now).await?;
        }
        transaction.commit().await?;
        let others = [codes, device_codes, consents];
        let any = !sessions.is_empty() || others.iter().any(|gone| gone.rows_affected() > 0);
        let families = u64::try_from(revoked.len()).unwrap_or(u64::MAX);
        Ok(any.then_some(families))
    }
}

/// `None` when a first login by this way came in between: it has an account now.
async fn move_login(
    transaction: &mut Writing,
    link: &NewLink<'_>,
    now: UnixTime,
) -> Result<Option<Linked>, StoreError> {
    let own = hold_logins(transaction, link.into).await?;
    let from: Option<String> = query_scalar(
        "UPDATE upstream_login SET account_id = account_id WHERE upstream = $1 AND subject = $2
         RETURNING account_id",
    )
    .bind(link.login.upstream.as_str())
    .bind(&link.login.subject)
    .fetch_optional(&mut *transaction)
    .await?;
    let from = from.map(AccountId::new);
    if !is_open(transaction, link.into).await? {
        return Ok(Some(Linked::Closed));
    }
    if from.as_ref() == Some(link.into) {
        return Ok(Some(Linked::Already));
    }
    if let LeadsTo::Told(told) = link.leads_to
        && told != from.as_ref()
    {
        return Ok(Some(Linked::Otherwise));
    }
    let coming = match &from {
        Some(from) => hold_logins(transaction, from).await?,
        None => vec![link.login.clone()],
    };
    let twice = coming
        .iter()
        .any(|coming| own.iter().any(|own| own.upstream == coming.upstream));
    if twice && !link.same_upstream {
        return Ok(Some(Linked::SameUpstream));
    }
    if let Some(from) = &from
        && !is_open(transaction, from).await?
    {
        return Ok(Some(Linked::Closed));
    }
    if let Some(tokens) = link.tokens {
        keep_tokens(transaction, link.into, tokens, now).await?;
    }
    let mut ended = Vec::new();
    if let Some(from) = &from {
        keep_profiles(transaction, from).await?;
        ended = end_everything(transaction, from, now).await?;
        query("DELETE FROM consent WHERE account_id = $1")
            .bind(from.as_str())
            .execute(&mut *transaction)
            .await?;
        query("UPDATE upstream_login SET account_id = $2, linked_at = $3 WHERE account_id = $1")
            .bind(from.as_str())
            .bind(link.into.as_str())
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        close(transaction, from, Some(link.into), now).await?;
    }
    // From now on the account's own profile may be any login's.
    keep_profiles(transaction, link.into).await?;
    let profile = link.profile.map(to_json).transpose()?;
    let unknown = to_json(&Profile::default())?;
    let written = query(
        "INSERT INTO upstream_login (upstream, subject, account_id, profile, linked_at, last_login_at)
         VALUES ($1, $2, $3, $4, $5, $7)
         ON CONFLICT (upstream, subject) DO UPDATE SET profile = COALESCE($6, upstream_login.profile),
             last_login_at = COALESCE($7, upstream_login.last_login_at)
         WHERE upstream_login.account_id = $3",
    )
    .bind(link.login.upstream.as_str())
    .bind(&link.login.subject)
    .bind(link.into.as_str())
    .bind(profile.as_deref().unwrap_or(&unknown))
    .bind(now)
    .bind(profile.as_deref())
    .bind(profile.is_some().then_some(now))
    .execute(&mut *transaction)
    .await?;
    let leads_there = written.rows_affected() == 1;
    Ok(leads_there.then_some(Linked::Done {
        closed: from,
        ended,
    }))
}

/// Locks the logins of an account, and names them.
async fn hold_logins(
    transaction: &mut Writing,
    account: &AccountId,
) -> Result<Vec<UpstreamSubject>, StoreError> {
    const HOLD: &str = "UPDATE upstream_login SET account_id = account_id WHERE account_id = $1
                        RETURNING upstream, subject";
    // Twice: the first may have waited for another link, whose login the second alone sees.
    query(HOLD)
        .bind(account.as_str())
        .execute(&mut *transaction)
        .await?;
    let rows: Vec<(String, String)> = query_as(HOLD)
        .bind(account.as_str())
        .fetch_all(&mut *transaction)
        .await?;
    let logins = rows.into_iter().map(|(upstream, subject)| UpstreamSubject {
        upstream: UpstreamId::new(upstream),
        subject,
    });
    Ok(logins.collect())
}

async fn is_open(transaction: &mut Writing, account: &AccountId) -> Result<bool, StoreError> {
    let open: i64 =
        query_scalar("SELECT COUNT(*) FROM account WHERE id = $1 AND disabled_at IS NULL")
            .bind(account.as_str())
            .fetch_one(&mut *transaction)
            .await?;
    Ok(open == 1)
}

/// Gives each login of an account that has no profile of its own (an older node made it) that of the account.
async fn keep_profiles(transaction: &mut Writing, account: &AccountId) -> Result<(), StoreError> {
    query(
        "UPDATE upstream_login SET profile = (SELECT profile FROM account WHERE id = $1)
         WHERE account_id = $1 AND profile IS NULL",
    )
    .bind(account.as_str())
    .execute(&mut *transaction)
    .await?;
    Ok(())
}

/// Keeps what a login gave for a session of the account, if that lives.
async fn keep_tokens(
    transaction: &mut Writing,
    account: &AccountId,
    tokens: &NewVaultEntry,
    now: UnixTime,
) -> Result<(), StoreError> {
    let Some((_, session)) = tokens.place.person() else {
        return Ok(());
    };
    // Held until the end: a logout that comes in between finds the entry, or is found here.
    let expires_at: Option<i64> = query_scalar(
        "UPDATE session SET ended_at = ended_at WHERE id = $1 AND account_id = $2 AND ended_at IS NULL
         RETURNING expires_at",
    )
    .bind(session.as_str())
    .bind(account.as_str())
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(expires_at) = expires_at {
        let kept = vault_entries::kept(tokens, expires_at, now);
        kept.execute(&mut *transaction).await?;
    }
    Ok(())
}

/// Ends the sessions and the families of an account whose logins are held: the sessions that were live.
async fn end_everything(
    transaction: &mut Writing,
    account: &AccountId,
    now: UnixTime,
) -> Result<Vec<SessionId>, StoreError> {
    let sessions: Vec<String> = query_scalar(
        "SELECT id FROM session WHERE account_id = $1 AND ended_at IS NULL ORDER BY id",
    )
    .bind(account.as_str())
    .fetch_all(&mut *transaction)
    .await?;
    logout_notices::of_account(transaction, account, now).await?;
    let mut ended = Vec::new();
    for id in sessions.into_iter().map(SessionId::new) {
        if end(transaction, &id, now).await? {
            ended.push(id);
        }
    }
    query("UPDATE token_family SET revoked_at = $2 WHERE account_id = $1 AND revoked_at IS NULL")
        .bind(account.as_str())
        .bind(now)
        .execute(&mut *transaction)
        .await?;
    Ok(ended)
}

/// `false` when it was closed already.
async fn close(
    transaction: &mut Writing,
    account: &AccountId,
    merged_into: Option<&AccountId>,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let closed = query(
        "UPDATE account SET disabled_at = $2, merged_into = $3 WHERE id = $1 AND disabled_at IS NULL",
    )
    .bind(account.as_str())
    .bind(now)
    .bind(merged_into.map(AccountId::as_str))
    .execute(&mut *transaction)
    .await?;
    Ok(closed.rows_affected() == 1)
}
