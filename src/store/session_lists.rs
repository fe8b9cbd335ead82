//! What is looked at before it is ended: live sessions, apps that act in somebody's name, and what clients were told.

use super::families::family;
use super::logout_notices::notice;
use super::sessions::session;
use super::statement::{Statement, query, query_scalar};
use super::{Store, StoreError};
use crate::clock::UnixTime;
use crate::model::family::TokenFamily;
use crate::model::logout_notice::{LogoutNotice, NoticeState};
use crate::model::session::{Session, SessionLifetimes};
use crate::protocol::ids::{AccountId, ClientId, UpstreamId};

/// Whose sessions, and whose apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOf<'a> {
    /// One person's.
    Account(&'a AccountId),
    /// Those that this client was used in.
    Client(&'a ClientId),
    /// Those that began with a login there.
    Upstream(&'a UpstreamId),
    /// Everybody's.
    All,
}

/// Which notices are looked for: those that fit all that is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoticeFilter<'a> {
    /// To whom.
    pub client: Option<&'a ClientId>,
    /// About whom.
    pub account: Option<&'a AccountId>,
    /// Where they stand.
    pub state: Option<NoticeState>,
}

impl Store {
    /// The sessions that still stand, the last used first. Of a client those that it wants to hear the end of, or that are
    /// remembered with tokens of it.
    pub async fn list_live_sessions(
        &self,
        of: ListOf<'_>,
        lifetimes: SessionLifetimes,
        now: UnixTime,
        limit: i64,
    ) -> Result<Vec<Session>, StoreError> {
        let statement = match of {
            ListOf::All => {
                "SELECT id, account_id, upstream, upstream_subject, auth_time, amr, acr, last_seen_at, expires_at, ended_at,
                    browser, system, address, persistent_since, began_at
                 FROM session
                 WHERE ended_at IS NULL AND expires_at > $1
                   AND last_seen_at > CASE WHEN persistent_since IS NULL THEN CAST($2 AS BIGINT) ELSE CAST($3 AS BIGINT) END
                 ORDER BY last_seen_at DESC, id LIMIT $4"
            }
            ListOf::Upstream(_) => {
                "SELECT id, account_id, upstream, upstream_subject, auth_time, amr, acr, last_seen_at, expires_at, ended_at,
                    browser, system, address, persistent_since, began_at
                 FROM session
                 WHERE upstream = $5 AND ended_at IS NULL AND expires_at > $1
                   AND last_seen_at > CASE WHEN persistent_since IS NULL THEN CAST($2 AS BIGINT) ELSE CAST($3 AS BIGINT) END
                 ORDER BY last_seen_at DESC, id LIMIT $4"
            }
            ListOf::Account(_) => {
                "SELECT id, account_id, upstream, upstream_subject, auth_time, amr, acr, last_seen_at, expires_at, ended_at,
                    browser, system, address, persistent_since, began_at
                 FROM session
                 WHERE account_id = $5 AND ended_at IS NULL AND expires_at > $1
                   AND last_seen_at > CASE WHEN persistent_since IS NULL THEN CAST($2 AS BIGINT) ELSE CAST($3 AS BIGINT) END
                 ORDER BY last_seen_at DESC, id LIMIT $4"
            }
            ListOf::Client(_) => {
                "SELECT id, account_id, upstream, upstream_subject, auth_time, amr, acr, last_seen_at, expires_at, ended_at,
                    browser, system, address, persistent_since, began_at
                 FROM session
                 WHERE id IN (SELECT session_id FROM session_client WHERE client_id = $5
                              UNION SELECT session_id FROM token_family WHERE client_id = $5)
                   AND ended_at IS NULL AND expires_at > $1
                   AND last_seen_at > CASE WHEN persistent_since IS NULL THEN CAST($2 AS BIGINT) ELSE CAST($3 AS BIGINT) END
                 ORDER BY last_seen_at DESC, id LIMIT $4"
            }
        };
        let query = standing_since(query(statement), lifetimes, now).bind(limit);
        let rows = of.bind(query).fetch_all(&self.reads).await?;
        rows.iter().map(session).collect()
    }

    /// The families that may still refresh for a person, the newest first: with `offline_access`, or while their session stands.
    /// `idle` is how long one lasts without use.
    pub async fn list_families(
        &self,
        account: &AccountId,
        idle: i64,
        lifetimes: SessionLifetimes,
        now: UnixTime,
    ) -> Result<Vec<TokenFamily>, StoreError> {
        let query = query(
            "SELECT id, client_id, account_id, session_id, upstream, auth_time, amr, acr, scope, claims, offline,
                    generation, created_at, rotated_at, expires_at, revoked_at, jkt, bound_generation, bound_at,
                    resources, last_address, last_user_agent
             FROM token_family
             WHERE account_id = $5
               AND generation IS NOT NULL AND revoked_at IS NULL AND expires_at > $1 AND rotated_at > $4
               AND (offline = 1 OR session_id IN
                   (SELECT id FROM session
                    WHERE account_id = $5 AND ended_at IS NULL AND expires_at > $1
                      AND last_seen_at > CASE WHEN persistent_since IS NULL THEN CAST($2 AS BIGINT) ELSE CAST($3 AS BIGINT) END))
             ORDER BY created_at DESC, id",
        );
        let rows = standing_since(query, lifetimes, now)
            .bind(now.saturating_sub(idle))
            .bind(account.as_str())
            .fetch_all(&self.reads)
            .await?;
        rows.iter().map(family).collect()
    }

    /// The live families that outlive their sessions (`offline_access`), the last used first. `idle` is how long one lasts
    /// without use.
    pub async fn list_offline_families(
        &self,
        of: ListOf<'_>,
        idle: i64,
        now: UnixTime,
        limit: i64,
    ) -> Result<Vec<TokenFamily>, StoreError> {
        let statement = match of {
            ListOf::All => {
                "SELECT id, client_id, account_id, session_id, upstream, auth_time, amr, acr, scope, claims, offline,
                    generation, created_at, rotated_at, expires_at, revoked_at, jkt, bound_generation, bound_at,
                    resources, last_address, last_user_agent
                 FROM token_family
                 WHERE offline = 1 AND generation IS NOT NULL AND revoked_at IS NULL AND expires_at > $1 AND rotated_at > $2
                 ORDER BY rotated_at DESC, id LIMIT $3"
            }
            ListOf::Upstream(_) => {
                "SELECT id, client_id, account_id, session_id, upstream, auth_time, amr, acr, scope, claims, offline,
                    generation, created_at, rotated_at, expires_at, revoked_at, jkt, bound_generation, bound_at,
                    resources, last_address, last_user_agent
                 FROM token_family
                 WHERE upstream = $4 AND offline = 1
                   AND generation IS NOT NULL AND revoked_at IS NULL AND expires_at > $1 AND rotated_at > $2
                 ORDER BY rotated_at DESC, id LIMIT $3"
            }
            ListOf::Account(_) => {
                "SELECT id, client_id, account_id, session_id, upstream, auth_time, amr, acr, scope, claims, offline,
                    generation, created_at, rotated_at, expires_at, revoked_at, jkt, bound_generation, bound_at,
                    resources, last_address, last_user_agent
                 FROM token_family
                 WHERE account_id = $4 AND offline = 1
                   AND generation IS NOT NULL AND revoked_at IS NULL AND expires_at > $1 AND rotated_at > $2
                 ORDER BY rotated_at DESC, id LIMIT $3"
            }
            ListOf::Client(_) => {
                "SELECT id, client_id, account_id, session_id, upstream, auth_time, amr, acr, scope, claims, offline,
                    generation, created_at, rotated_at, expires_at, revoked_at, jkt, bound_generation, bound_at,
                    resources, last_address, last_user_agent
                 FROM token_family
                 WHERE client_id = $4 AND offline = 1
                   AND generation IS NOT NULL AND revoked_at IS NULL AND expires_at > $1 AND rotated_at > $2
                 ORDER BY rotated_at DESC, id LIMIT $3"
            }
        };
        let query = query(statement)
            .bind(now)
            .bind(now.saturating_sub(idle))
            .bind(limit);
        let rows = of.bind(query).fetch_all(&self.reads).await?;
        rows.iter().map(family).collect()
    }

    /// The upstreams that logins and live sessions name, whether the configuration has them or not.
    pub async fn list_named_upstreams(&self) -> Result<Vec<UpstreamId>, StoreError> {
        let names: Vec<String> = query_scalar(
            "SELECT upstream FROM upstream_login
             UNION SELECT upstream FROM session WHERE ended_at IS NULL ORDER BY upstream",
        )
        .fetch_all(&self.reads)
        .await?;
        Ok(names.into_iter().map(UpstreamId::new).collect())
    }

    /// The notices that fit, the newest first.
    pub async fn search_logout_notices(
        &self,
        filter: NoticeFilter<'_>,
        limit: i64,
    ) -> Result<Vec<LogoutNotice>, StoreError> {
        let client = filter.client.map(ClientId::as_str);
        let account = filter.account.map(AccountId::as_str);
        // As `LogoutNotice::state` reads it.
        let statement = if account.is_some() {
            "SELECT id, client_id, account_id, session_id, created_at, attempts, next_at, told_at, trouble
             FROM logout_notice
             WHERE account_id = $2 AND (CAST($1 AS TEXT) IS NULL OR client_id = $1)
               AND (CAST($3 AS TEXT) IS NULL OR $3 = CASE WHEN told_at IS NOT NULL THEN 'told'
                                                          WHEN next_at IS NOT NULL THEN 'waiting' ELSE 'given up' END)
             ORDER BY created_at DESC, id LIMIT $4"
        } else if client.is_some() {
            "SELECT id, client_id, account_id, session_id, created_at, attempts, next_at, told_at, trouble
             FROM logout_notice
             WHERE client_id = $1 AND (CAST($2 AS TEXT) IS NULL OR account_id = $2)
               AND (CAST($3 AS TEXT) IS NULL OR $3 = CASE WHEN told_at IS NOT NULL THEN 'told'
                                                          WHEN next_at IS NOT NULL THEN 'waiting' ELSE 'given up' END)
             ORDER BY created_at DESC, id LIMIT $4"
        } else {
            "SELECT id, client_id, account_id, session_id, created_at, attempts, next_at, told_at, trouble
             FROM logout_notice
             WHERE (CAST($1 AS TEXT) IS NULL OR client_id = $1) AND (CAST($2 AS TEXT) IS NULL OR account_id = $2)
               AND (CAST($3 AS TEXT) IS NULL OR $3 = CASE WHEN told_at IS NOT NULL THEN 'told'
                                                          WHEN next_at IS NOT NULL THEN 'waiting' ELSE 'given up' END)
             ORDER BY created_at DESC, id LIMIT $4"
        };
        let rows = query(statement)
            .bind(client)
            .bind(account)
            .bind(filter.state.map(NoticeState::as_str))
            .bind(limit)
            .fetch_all(&self.reads)
            .await?;
        rows.iter().map(notice).collect()
    }
}

/// Binds what a session that stands at `now` is known by: it ends later, and was used since then, or since then where its person is
/// kept signed in.
pub(super) fn standing_since(
    query: Statement<'_>,
    lifetimes: SessionLifetimes,
    now: UnixTime,
) -> Statement<'_> {
    let since = |persistent| now.saturating_sub(lifetimes.of(persistent).idle);
    query.bind(now).bind(since(false)).bind(since(true))
}

impl<'a> ListOf<'a> {
    /// Binds what the statement asks for by name, which comes last.
    fn bind(self, query: Statement<'a>) -> Statement<'a> {
        match self {
            Self::Account(id) => query.bind(id.as_str()),
            Self::Client(id) => query.bind(id.as_str()),
            Self::Upstream(id) => query.bind(id.as_str()),
            Self::All => query,
        }
    }
}
