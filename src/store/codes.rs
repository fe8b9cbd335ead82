//! Authorization codes, under their hashes: redeemed once, and remembered for a day after, so that a replay is
//! known for what it is (RFC 6749 section 4.1.2).

use super::checks::{Standing, read_standing};
use super::families::{begin_within, hold_login};
use super::record::{Record, to_json};
use super::statement::{Columns, Statement, Values, query, query_scalar};
use super::{Store, StoreError, retrying};
use crate::clock::{SKEW, UnixTime};
use crate::model::code::{AuthorizationCode, CodeGrant, LIFETIME};
use crate::model::family::{FamilyCaps, TokenFamily};
use crate::protocol::ids::{ClientId, FamilyId};

/// What came of redeeming a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redemption {
    /// The family begins, and those end that it makes too many, each of this client.
    Redeemed(Vec<(FamilyId, ClientId)>),
    /// The code was redeemed before; the family that it gave is revoked now.
    Replayed,
    /// There is no such code, it has expired, or what it belongs to has ended: session, account, or the family that an
    /// access token beside it began.
    Gone,
}

/// A code, and what there is to know before it is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemable {
    /// Itself; redeemed or expired ones too.
    pub code: AuthorizationCode,
    /// What stands behind its session, as [`Store::find_standing`] says.
    pub standing: Option<Standing>,
    /// Whether its client is noted as one that the session has logged somebody in to.
    pub noted: bool,
}

impl Store {
    /// Keeps a new code under its hash.
    pub async fn insert_code(
        &self,
        code_hash: &str,
        code: &AuthorizationCode,
    ) -> Result<(), StoreError> {
        let grant = &code.grant;
        self.writes.execute(query(
            "INSERT INTO authorization_code (code_hash, family_id, client_id, account_id, session_id, code_grant,
                                             expires_at, redeemed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        ).at_once()
        .bind(code_hash)
        .bind(code.family_id.as_str())
        .bind(grant.client_id.as_str())
        .bind(grant.account_id.as_str())
        .bind(grant.authentication.session_id.as_str())
        .bind(to_json(grant)?)
        .bind(code.expires_at)
        .bind(code.redeemed_at)
        )
        .await?;
        Ok(())
    }

    /// The code of that hash, redeemed or expired ones too.
    pub async fn find_code(&self, code_hash: &str) -> Result<Option<Redeemable>, StoreError> {
        let row = self
            .look_up(
                "SELECT code.code_hash AS code_hash, code.family_id AS family_id, code.code_grant AS code_grant,
                    code.expires_at AS expires_at, code.redeemed_at AS redeemed_at,
                    account.id AS a_id, account.subject AS a_subject, account.created_at AS a_created_at,
                    account.disabled_at AS a_disabled_at, account.merged_into AS a_merged_into,
                    COALESCE(login.profile, account.profile) AS a_profile,
                    login.upstream AS l_upstream, login.subject AS l_subject, login.checked_at AS l_checked_at,
                    login.checking_since AS l_checking_since, login.check_after AS l_check_after,
                    login.refused_at AS l_refused_at,
                    (SELECT COUNT(*) FROM session_client
                     WHERE session_client.session_id = code.session_id
                       AND session_client.client_id = code.client_id) AS noted
             FROM authorization_code AS code
             LEFT JOIN session ON session.id = code.session_id
             LEFT JOIN account ON account.id = session.account_id
             LEFT JOIN upstream_login AS login
                 ON login.account_id = session.account_id AND login.upstream = session.upstream
                AND (session.upstream_subject IS NULL OR session.upstream_subject = login.subject)
             WHERE code.code_hash = $1 ORDER BY login.subject LIMIT 1",
                &[code_hash.into()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let noted = Record::new("authorization_code", "code_hash", &row).int("noted")?;
        Ok(Some(Redeemable {
            code: code(&row)?,
            standing: read_standing(&row)?,
            noted: noted > 0,
        }))
    }

    /// Spends a code and begins its `family`; families with refresh tokens of the same person end that are beyond `caps` (T22).
    /// However many redemptions race, one wins, and the others revoke what it gave (T11).
    pub async fn redeem_code(
        &self,
        code_hash: &str,
        family: &TokenFamily,
        caps: FamilyCaps,
        now: UnixTime,
    ) -> Result<Redemption, StoreError> {
        let replayed = query_scalar(
            "SELECT family_id FROM authorization_code WHERE code_hash = $1 AND redeemed_at IS NOT NULL",
        );
        let replayed = replayed.bind(code_hash);
        let spend = || spend(code_hash, family, now);
        self.redeem(spend, replayed, family, caps, now).await
    }

    /// What comes of a code that `spend` spends, if it is the one to do so: `family` begins. If it is not, the code may have been spent
    /// before, and the family that it gave then, which `replayed` finds, ends.
    pub(super) async fn redeem<'q>(
        &self,
        spend: impl Fn() -> Statement<'q> + Send + Sync,
        replayed: Values<'_>,
        family: &'q TokenFamily,
        caps: FamilyCaps,
        now: UnixTime,
    ) -> Result<Redemption, StoreError> {
        let went = retrying(|| async {
            let spending = hold_login(family).then(spend());
            self.writes.run_chain(begin_within(spending, family)?).await
        })
        .await?;
        if went.to_the_end() {
            let ended = self.end_families_beyond(family, caps, now).await;
            return Ok(Redemption::Redeemed(ended));
        }
        if went.to_the_last() {
            // It is spent, and the family that it was to go on with has ended.
            return Ok(Redemption::Gone);
        }
        // The code was not ours to spend: if it was spent before, somebody has stolen it, from us or before us.
        let given: Option<String> = replayed.fetch_optional(&self.reads).await?;
        let Some(given) = given else {
            return Ok(Redemption::Gone);
        };
        let revoked =
            query("UPDATE token_family SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL");
        self.writes.execute(revoked.bind(given).bind(now)).await?;
        Ok(Redemption::Replayed)
    }
}

/// The guarded statement that decides who wins.
fn spend<'q>(code_hash: &'q str, family: &'q TokenFamily, now: UnixTime) -> Statement<'q> {
    // Both ends of the code's life: a clock that stepped back must not lengthen it (T21). The rest ties the family to
    // what the code is bound to (T10).
    query(
        "UPDATE authorization_code SET redeemed_at = $2
         WHERE code_hash = $1 AND redeemed_at IS NULL AND expires_at > $2 AND expires_at <= $3
           AND family_id = $4 AND client_id = $5 AND account_id = $6 AND session_id = $7",
    )
    .at_once()
    .bind(code_hash)
    .bind(now)
    .bind(now.saturating_add(LIFETIME + SKEW))
    .bind(family.id.as_str())
    .bind(family.client_id.as_str())
    .bind(family.account_id.as_str())
    .bind(family.authentication.session_id.as_str())
}

fn code(row: &impl Columns) -> Result<AuthorizationCode, StoreError> {
    let record = Record::new("authorization_code", "code_hash", row);
    let grant: CodeGrant = record.json("code_grant")?;
    Ok(AuthorizationCode {
        family_id: FamilyId::new(record.text("family_id")?),
        grant,
        expires_at: record.int("expires_at")?,
        redeemed_at: record.optional_int("redeemed_at")?,
    })
}
