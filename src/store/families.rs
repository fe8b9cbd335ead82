//! Families of refresh tokens: a row each, updated in place. Who may advance is decided by the statement.

use super::accounts::read_account;
use super::chain::Chain;
use super::checks::{Standing, read_standing};
use super::record::{Record, to_json, to_json_unless};
use super::statement::{Columns, Statement, query, query_as, query_scalar};
use super::writes::Writing;
use super::{Store, StoreError, retrying};
use crate::clock::{SKEW, UnixTime};
use crate::model::account::Account;
use crate::model::family::{FamilyCaps, FamilyGrant, FamilySpan, Recipient, TokenFamily};
use crate::model::session::{Authentication, SessionSpan};
use crate::protocol::dpop::Thumbprint;
use crate::protocol::ids::{AccountId, ClientId, FamilyId, SessionId, UpstreamId};

/// What a token of a family stands on.
#[derive(Clone, Debug)]
pub struct Behind {
    /// The family.
    pub family: FamilyGrant,
    /// The session that it began in.
    pub session: Option<SessionSpan>,
    /// Whose session that is.
    pub account: Option<Account>,
    /// Whether the token itself was revoked.
    pub is_revoked: bool,
}

/// A family that is to be refreshed, and what it stands on.
#[derive(Clone, Debug)]
pub struct Refreshable {
    /// Itself.
    pub family: TokenFamily,
    /// The session that it began in.
    pub session: Option<SessionSpan>,
    /// What stands behind that, as [`Store::find_standing`] says.
    pub standing: Option<Standing>,
}

impl Store {
    /// The family of that id, ended ones too.
    pub async fn find_family(&self, id: &FamilyId) -> Result<Option<TokenFamily>, StoreError> {
        let row = self
            .look_up(
                "SELECT id, client_id, account_id, session_id, upstream, auth_time, amr, acr, scope, claims, offline,
                    generation, created_at, rotated_at, expires_at, revoked_at, jkt, bound_generation, bound_at,
                    resources, last_address, last_user_agent
             FROM token_family WHERE id = $1",
                &[id.as_str().into()],
            )
            .await?;
        row.as_ref().map(family).transpose()
    }

    /// The family of that id, its session, and the account that this leads to, as the login tells about them that the session
    /// began with; ended ones too. And whether its access token of the id `jti` was revoked.
    pub async fn find_behind(
        &self,
        id: &FamilyId,
        jti: Option<&str>,
    ) -> Result<Option<Behind>, StoreError> {
        // As in `find_account_of_session`. Each column costs as much as a small statement does: none that nobody asks for.
        let row = self
            .look_up(
                "SELECT family.client_id AS client_id, family.session_id AS session_id, family.account_id AS account_id,
                    family.upstream AS upstream, family.auth_time AS auth_time, family.amr AS amr, family.acr AS acr,
                    family.scope AS scope, family.claims AS claims, family.offline AS offline,
                    family.generation AS generation, family.rotated_at AS rotated_at,
                    family.expires_at AS expires_at, family.revoked_at AS revoked_at,
                    session.last_seen_at AS s_last_seen_at, session.expires_at AS s_expires_at,
                    session.ended_at AS s_ended_at, session.persistent_since AS s_persistent_since,
                    account.id AS a_id, account.subject AS a_subject, account.created_at AS a_created_at,
                    account.disabled_at AS a_disabled_at, account.merged_into AS a_merged_into,
                    COALESCE((SELECT login.profile FROM upstream_login AS login
                              WHERE login.account_id = account.id AND login.upstream = session.upstream
                                AND (session.upstream_subject IS NULL OR login.subject = session.upstream_subject)
                              ORDER BY login.subject LIMIT 1), account.profile) AS a_profile,
                    (SELECT COUNT(*) FROM revoked_token WHERE revoked_token.jti = $2) AS revocations
             FROM token_family AS family
             LEFT JOIN session ON session.id = family.session_id
             LEFT JOIN account ON account.id = session.account_id
             WHERE family.id = $1",
                &[id.as_str().into(), jti.into()],
            )
            .await?;
        row.map(|row| behind(id, &row)).transpose()
    }

    /// The family of that id, ended ones too, and all that a refresh asks about what it stands on.
    pub async fn find_refreshable(&self, id: &FamilyId) -> Result<Option<Refreshable>, StoreError> {
        let row = self
            .look_up(
                "SELECT family.id AS id, family.client_id AS client_id, family.account_id AS account_id,
                    family.session_id AS session_id, family.upstream AS upstream, family.auth_time AS auth_time,
                    family.amr AS amr, family.acr AS acr, family.scope AS scope, family.claims AS claims,
                    family.offline AS offline, family.generation AS generation, family.created_at AS created_at,
                    family.rotated_at AS rotated_at, family.expires_at AS expires_at, family.revoked_at AS revoked_at,
                    family.jkt AS jkt, family.bound_generation AS bound_generation, family.bound_at AS bound_at, family.resources AS resources,
                    family.last_address AS last_address, family.last_user_agent AS last_user_agent,
                    session.last_seen_at AS s_last_seen_at, session.expires_at AS s_expires_at,
                    session.ended_at AS s_ended_at, session.persistent_since AS s_persistent_since,
                    account.id AS a_id, account.subject AS a_subject, account.created_at AS a_created_at,
                    account.disabled_at AS a_disabled_at, account.merged_into AS a_merged_into,
                    COALESCE(login.profile, account.profile) AS a_profile,
                    login.upstream AS l_upstream, login.subject AS l_subject, login.checked_at AS l_checked_at,
                    login.checking_since AS l_checking_since, login.check_after AS l_check_after,
                    login.refused_at AS l_refused_at
             FROM token_family AS family
             LEFT JOIN session ON session.id = family.session_id
             LEFT JOIN account ON account.id = session.account_id
             LEFT JOIN upstream_login AS login
                 ON login.account_id = session.account_id AND login.upstream = session.upstream
                AND (session.upstream_subject IS NULL OR session.upstream_subject = login.subject)
             WHERE family.id = $1 ORDER BY login.subject LIMIT 1",
                &[id.as_str().into()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let family = family(&row)?;
        Ok(Some(Refreshable {
            session: read_session_span(&family.authentication.session_id, &row)?,
            standing: read_standing(&row)?,
            family,
        }))
    }

    /// Begins a family at the authorization endpoint, for an access token that the browser carries: without refresh tokens,
    /// until a code of the same answer is redeemed and takes it over. `false` when the session, the account or the client is gone.
    pub async fn begin_family(&self, family: &TokenFamily) -> Result<bool, StoreError> {
        retrying(|| self.try_begin_family(family)).await
    }

    /// The same with refresh tokens; such families of the same person end that are beyond `caps` (T22): those, and of which
    /// client, or `None` when the session, the account or the client is gone.
    pub async fn begin_capped_family(
        &self,
        family: &TokenFamily,
        caps: FamilyCaps,
        now: UnixTime,
    ) -> Result<Option<Vec<(FamilyId, ClientId)>>, StoreError> {
        if !self.begin_family(family).await? {
            return Ok(None);
        }
        Ok(Some(self.end_families_beyond(family, caps, now).await))
    }

    async fn try_begin_family(&self, family: &TokenFamily) -> Result<bool, StoreError> {
        // A redemption holds its code, which goes with the client; here nothing does but the client.
        let client = query("SELECT id FROM client WHERE id = $1")
            .at_once()
            .bind(family.client_id.as_str());
        let chain = begin_within(hold_login(family).then_keep(client), family)?;
        Ok(self.writes.run_chain(chain).await?.to_the_end())
    }

    /// Leaves at most as many live families with refresh tokens to the person of `newest`, which has just begun, as `caps` say (T22): at
    /// its client the oldest end, with all clients those that were used the longest ago; never `newest`, however its clock stands to
    /// that of the others. What ended, and of which client.
    pub(super) async fn end_families_beyond(
        &self,
        newest: &TokenFamily,
        caps: FamilyCaps,
        now: UnixTime,
    ) -> Vec<(FamilyId, ClientId)> {
        if newest.generation.is_none() {
            return Vec::new();
        }
        match self.look_beyond(newest, caps, now).await {
            Ok(ended) => ended,
            // The code is spent: whoever heard of an error and came again with it would be taken for a thief.
            Err(error) => {
                tracing::warn!(
                    error = %error,
                    "a person may have more logins than lifetimes.families_per_client and families_per_person say, until the next one there"
                );
                Vec::new()
            }
        }
    }

    async fn look_beyond(
        &self,
        newest: &TokenFamily,
        caps: FamilyCaps,
        now: UnixTime,
    ) -> Result<Vec<(FamilyId, ClientId)>, StoreError> {
        // Whoever has no more than that at all, as nearly everybody, is spared the rest.
        let fewest = caps.per_client.min(caps.per_person);
        let one_beyond = self
            .look_up(
                "SELECT id FROM token_family
                 WHERE account_id = $1 AND generation IS NOT NULL AND revoked_at IS NULL AND expires_at > $2
                 LIMIT 1 OFFSET $3",
                &[newest.account_id.as_str().into(), now.into(), fewest.max(0).into()],
            )
            .await?;
        if one_beyond.is_none() {
            return Ok(Vec::new());
        }
        // Nor has whoever uses many apps or devices anything to end; who begins another one meanwhile looks after that.
        let (at_client, at_all): (i64, i64) = query_as(
            "SELECT COUNT(CASE WHEN client_id = $3 THEN 1 END), COUNT(*) FROM token_family
             WHERE account_id = $1 AND generation IS NOT NULL AND revoked_at IS NULL AND expires_at > $2",
        )
        .bind(newest.account_id.as_str())
        .bind(now)
        .bind(newest.client_id.as_str())
        .fetch_one(&self.reads)
        .await?;
        if at_client <= caps.per_client && at_all <= caps.per_person {
            return Ok(Vec::new());
        }
        retrying(|| self.try_end_families_beyond(newest, caps, now)).await
    }

    async fn try_end_families_beyond(
        &self,
        newest: &TokenFamily,
        caps: FamilyCaps,
        now: UnixTime,
    ) -> Result<Vec<(FamilyId, ClientId)>, StoreError> {
        let mut transaction = self.writes.begin().await?;
        // One after the other, or two that have just begun would end each other.
        let holds = Chain::new().then_hold(open_account(&newest.account_id));
        let held = transaction.run_chain(holds).await?;
        let revoked: Option<Option<i64>> =
            query_scalar("SELECT revoked_at FROM token_family WHERE id = $1")
                .at_once()
                .bind(newest.id.as_str())
                .fetch_optional(&mut transaction)
                .await?;
        let mut ended = Vec::new();
        if held.to_the_end() && revoked == Some(None) {
            ended = end_beyond(&mut transaction, newest, caps, now).await?;
        }
        transaction.commit().await?;
        Ok(ended)
    }

    /// Moves a live family from generation `from` to `to`, and its scope to that of `family`; `false` when another was faster, it
    /// was bound to a key since `family` was read, or it has ended (T19). `rotated_at` is when that stood in the database, and not when
    /// it was begun: whoever gave up waiting for the answer has the whole window after that (T20).
    pub async fn advance_family(
        &self,
        family: &TokenFamily,
        from: i64,
        to: i64,
        recipient: &Recipient,
        now: impl Fn() -> UnixTime + Send + Sync,
    ) -> Result<bool, StoreError> {
        let advance = |now| {
            query(
                "UPDATE token_family SET generation = $3, scope = $4, rotated_at = $5, last_address = $6, last_user_agent = $7
                 WHERE id = $1 AND generation = $2 AND COALESCE(jkt, '') = $8 AND revoked_at IS NULL AND expires_at > $5",
            ).at_once()
            .bind(family.id.as_str())
            .bind(from)
            .bind(to)
            .bind(family.scope.to_string())
            .bind(now)
            .bind(recipient.address.as_deref())
            .bind(recipient.user_agent.as_deref())
            .bind(family.jkt.as_ref().map_or("", Thumbprint::as_str))
        };
        self.write_dated(&family.id, advance, rotated_later, now)
            .await
    }

    /// Runs a statement that says when something happened to a family, and says it anew, by `later`, where that took long: a lock
    /// that somebody holds, or a disk that does not answer. Whether the statement found the family.
    async fn write_dated<'q>(
        &self,
        id: &'q FamilyId,
        statement: impl FnOnce(UnixTime) -> Statement<'q> + Send,
        later: fn(&FamilyId, UnixTime, UnixTime) -> Statement<'_>,
        now: impl Fn() -> UnixTime + Send + Sync,
    ) -> Result<bool, StoreError> {
        let is_late = |since: UnixTime| Some(now()).filter(|now| now - since > SKEW);
        // Read once it is our turn to write, and set anew by the same connection: whoever asks again must not come in between.
        let written = self.writes.run(async |connection| {
            let began = now();
            let found = statement(began).execute(&mut *connection).await?;
            if found.rows_affected() == 0 {
                return Ok(None);
            }
            let Some(late) = is_late(began) else {
                return Ok(Some(began));
            };
            later(id, began, late).execute(connection).await?;
            Ok(Some(late))
        });
        let Some(at) = written.await? else {
            return Ok(false);
        };
        // On SQLite the commit may have come after that.
        if let Some(late) = is_late(at) {
            self.writes.execute(later(id, at, late)).await?;
        }
        Ok(true)
    }

    /// Binds the refresh tokens of a live family to a key, if they are to none, by one of `generation`; `false` when they are, or it
    /// has ended. What was given of it before, also by a refresh that was quicker, is remembered as older than the key.
    pub async fn bind_family(
        &self,
        id: &FamilyId,
        key: &Thumbprint,
        generation: i64,
        now: impl Fn() -> UnixTime + Send + Sync,
    ) -> Result<bool, StoreError> {
        let bind = |now| {
            query(
                "UPDATE token_family SET jkt = $2, bound_at = $4,
                     bound_generation = CASE WHEN generation > $3 THEN generation ELSE $3 END
                 WHERE id = $1 AND jkt IS NULL AND revoked_at IS NULL",
            )
            .at_once()
            .bind(id.as_str())
            .bind(key.as_str())
            .bind(generation)
            .bind(now)
        };
        self.write_dated(id, bind, bound_later, now).await
    }

    /// Ends a family for good. Whether it was live.
    pub async fn revoke_family(&self, id: &FamilyId, now: UnixTime) -> Result<bool, StoreError> {
        let expires_at: Option<i64> = self
            .writes
            .fetch_scalar(
                query_scalar(
                    "UPDATE token_family SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL
             RETURNING expires_at",
                )
                .at_once()
                .bind(id.as_str())
                .bind(now),
            )
            .await?;
        Ok(expires_at.is_some_and(|end| now < end))
    }
}

/// Nobody has moved it on since it was written.
fn rotated_later(id: &FamilyId, written: UnixTime, rotated_at: UnixTime) -> Statement<'_> {
    query("UPDATE token_family SET rotated_at = $3 WHERE id = $1 AND rotated_at = $2")
        .at_once()
        .bind(id.as_str())
        .bind(written)
        .bind(rotated_at)
}

/// The same of when it was bound, which happens once.
fn bound_later(id: &FamilyId, written: UnixTime, bound_at: UnixTime) -> Statement<'_> {
    query("UPDATE token_family SET bound_at = $3 WHERE id = $1 AND bound_at = $2")
        .at_once()
        .bind(id.as_str())
        .bind(written)
        .bind(bound_at)
}

/// Locks the session and, where it stands, the account, in this order wherever both are: the chain goes on where both stand.
///
/// Without the locks a logout or a second redemption on PostgreSQL would not see a family that is about to be
/// committed: it would outlive its session, or the cap.
pub(super) fn hold_login(family: &TokenFamily) -> Chain<'_> {
    let session = query(
        "UPDATE session SET kept_until = CASE WHEN kept_until < $2 THEN $2 ELSE kept_until END
         WHERE id = $1 AND ended_at IS NULL",
    )
    .at_once()
    .bind(family.authentication.session_id.as_str())
    .bind(family.expires_at);
    Chain::new()
        .then(session)
        .then_hold(open_account(&family.account_id))
}

/// The look at an account that stands.
pub(super) fn open_account(id: &AccountId) -> Statement<'_> {
    query("SELECT id FROM account WHERE id = $1 AND disabled_at IS NULL")
        .at_once()
        .bind(id.as_str())
}

/// Begins a family, or takes over the one that an access token of the same answer has begun already; not one that was
/// revoked meanwhile.
pub(super) fn begin_within<'q>(
    chain: Chain<'q>,
    family: &'q TokenFamily,
) -> Result<Chain<'q>, StoreError> {
    let begun = query(
        "INSERT INTO token_family (id, client_id, account_id, session_id, upstream, auth_time, amr, scope, offline,
                                   generation, created_at, rotated_at, expires_at, revoked_at, acr, claims, jkt, resources,
                                   last_address, last_user_agent)
         SELECT $1, $2, $3, $4, $5, CAST($6 AS BIGINT), $7, $8, CAST($9 AS BIGINT), CAST($10 AS BIGINT), CAST($11 AS BIGINT),
                CAST($12 AS BIGINT), CAST($13 AS BIGINT), CAST($14 AS BIGINT), $15, $16, $17, $18, $19, $20
         WHERE TRUE
         ON CONFLICT (id) DO UPDATE SET scope = excluded.scope, offline = excluded.offline,
             generation = excluded.generation, rotated_at = excluded.rotated_at, expires_at = excluded.expires_at,
             jkt = excluded.jkt, resources = excluded.resources,
             last_address = excluded.last_address, last_user_agent = excluded.last_user_agent
         WHERE token_family.revoked_at IS NULL AND token_family.generation IS NULL
           AND token_family.session_id = excluded.session_id AND token_family.client_id = excluded.client_id",
    )
    .at_once()
    .bind(family.id.as_str())
    .bind(family.client_id.as_str())
    .bind(family.account_id.as_str())
    .bind(family.authentication.session_id.as_str())
    .bind(family.authentication.upstream.as_str())
    .bind(family.authentication.auth_time)
    .bind(to_json(&family.authentication.amr)?)
    .bind(family.scope.to_string())
    .bind(i64::from(family.offline))
    .bind(family.generation)
    .bind(family.created_at)
    .bind(family.rotated_at)
    .bind(family.expires_at)
    .bind(family.revoked_at)
    .bind(family.authentication.acr.as_deref())
    .bind(to_json_unless(family.claims.is_empty(), &family.claims)?)
    .bind(family.jkt.as_ref().map(Thumbprint::as_str))
    .bind(to_json_unless(family.resources.is_empty(), &family.resources)?)
    .bind(family.recipient.address.as_deref())
    .bind(family.recipient.user_agent.as_deref());
    Ok(chain.then(begun))
}

/// As [`Store::end_families_beyond`] says, of somebody whose account is held.
async fn end_beyond(
    transaction: &mut Writing,
    newest: &TokenFamily,
    caps: FamilyCaps,
    now: UnixTime,
) -> Result<Vec<(FamilyId, ClientId)>, StoreError> {
    // OFFSET without LIMIT is not SQL to SQLite.
    const AT_CLIENT: &str = "UPDATE token_family SET revoked_at = $3 WHERE id IN (
             SELECT id FROM token_family
             WHERE account_id = $1 AND client_id = $6 AND id <> $2
               AND generation IS NOT NULL AND revoked_at IS NULL AND expires_at > $3
             ORDER BY created_at DESC, id DESC
             LIMIT $4 OFFSET $5)
         RETURNING id, client_id";
    const AT_ALL: &str = "UPDATE token_family SET revoked_at = $3 WHERE id IN (
             SELECT id FROM token_family
             WHERE account_id = $1 AND id <> $2
               AND generation IS NOT NULL AND revoked_at IS NULL AND expires_at > $3
             ORDER BY rotated_at DESC, created_at DESC, id DESC
             LIMIT $4 OFFSET $5)
         RETURNING id, client_id";
    let mut live: i64 = query_scalar(
        "SELECT COUNT(*) FROM token_family
         WHERE account_id = $1 AND generation IS NOT NULL AND revoked_at IS NULL AND expires_at > $2",
    )
    .bind(newest.account_id.as_str())
    .bind(now)
    .fetch_one(&mut *transaction)
    .await?;
    let mut ended = Vec::new();
    let client = Some(newest.client_id.as_str());
    for (cap, text, client) in [
        (caps.per_client, AT_CLIENT, client),
        (caps.per_person, AT_ALL, None),
    ] {
        if live <= cap {
            continue;
        }
        let mut statement = query_as(text)
            .bind(newest.account_id.as_str())
            .bind(newest.id.as_str())
            .bind(now)
            .bind(i64::MAX)
            .bind(cap.saturating_sub(1).max(0));
        if let Some(client) = client {
            statement = statement.bind(client);
        }
        let rows: Vec<(String, String)> = statement.fetch_all(&mut *transaction).await?;
        live -= i64::try_from(rows.len()).unwrap_or(live);
        let named = |(id, client)| (FamilyId::new(id), ClientId::new(client));
        ended.extend(rows.into_iter().map(named));
    }
    Ok(ended)
}

/// A family without what only a refresh asks for, and what it stands on.
pub(super) fn behind(id: &FamilyId, row: &impl Columns) -> Result<Behind, StoreError> {
    let record = Record::keyed("token_family", id.as_str(), "", row);
    let family = FamilyGrant {
        id: id.clone(),
        client_id: ClientId::new(record.text("client_id")?),
        account_id: AccountId::new(record.text("account_id")?),
        authentication: read_authentication(&record)?,
        scope: record.scope("scope")?,
        claims: record.optional_json("claims")?.unwrap_or_default(),
        offline: record.int("offline")? != 0,
        span: read_span(&record)?,
    };
    let account = Record::of("account", "id", "a_", row);
    let account = Some(account).filter(|record| !record.is_absent());
    Ok(Behind {
        session: read_session_span(&family.authentication.session_id, row)?,
        account: account.map(|record| read_account(&record)).transpose()?,
        is_revoked: record.int("revocations")? > 0,
        family,
    })
}

pub(super) fn family(row: &impl Columns) -> Result<TokenFamily, StoreError> {
    let record = Record::new("token_family", "id", row);
    let span = read_span(&record)?;
    Ok(TokenFamily {
        id: FamilyId::new(record.text("id")?),
        client_id: ClientId::new(record.text("client_id")?),
        account_id: AccountId::new(record.text("account_id")?),
        authentication: read_authentication(&record)?,
        scope: record.scope("scope")?,
        resources: record.optional_json("resources")?.unwrap_or_default(),
        claims: record.optional_json("claims")?.unwrap_or_default(),
        offline: record.int("offline")? != 0,
        generation: span.generation,
        created_at: record.int("created_at")?,
        rotated_at: span.rotated_at,
        expires_at: span.expires_at,
        revoked_at: span.revoked_at,
        jkt: match record.optional_text("jkt")? {
            None => None,
            Some(text) => Some(Thumbprint::parse(&text).ok_or_else(|| record.inconsistent("jkt"))?),
        },
        bound_generation: record.optional_int("bound_generation")?,
        bound_at: record.optional_int("bound_at")?,
        recipient: Recipient {
            address: record.optional_text("last_address")?,
            user_agent: record.optional_text("last_user_agent")?,
        },
    })
}

fn read_authentication(record: &Record<'_>) -> Result<Authentication, StoreError> {
    Ok(Authentication {
        session_id: SessionId::new(record.text("session_id")?),
        upstream: UpstreamId::new(record.text("upstream")?),
        auth_time: record.int("auth_time")?,
        amr: record.json("amr")?,
        acr: record.optional_text("acr")?,
    })
}

fn read_span(record: &Record<'_>) -> Result<FamilySpan, StoreError> {
    Ok(FamilySpan {
        generation: record.optional_int("generation")?,
        rotated_at: record.int("rotated_at")?,
        expires_at: record.int("expires_at")?,
        revoked_at: record.optional_int("revoked_at")?,
    })
}

/// What a row says of the family's session, in columns whose names begin with `s_`; `None` when that is gone.
fn read_session_span(
    id: &SessionId,
    row: &impl Columns,
) -> Result<Option<SessionSpan>, StoreError> {
    let record = Record::keyed("session", id.as_str(), "s_", row);
    let Some(expires_at) = record.optional_int("expires_at")? else {
        return Ok(None);
    };
    Ok(Some(SessionSpan {
        last_seen_at: record.int("last_seen_at")?,
        expires_at,
        ended_at: record.optional_int("ended_at")?,
        persistent: record.optional_int("persistent_since")?.is_some(),
    }))
}
