//! The refresh token grant (RFC 6749 section 6, OpenID Connect Core section 12), with rotation that loses nobody: a
//! lost answer or a second tab gets the same successor for a moment; a thief ends the family.

use crate::clock::UnixTime;
use crate::model::audit::Event;
use crate::model::authorization::{Authorization, Person};
use crate::model::client::Client;
use crate::model::disclosure::Disclosure;
use crate::model::family::{self, Spend, TokenFamily};
use crate::model::resource::Aim;
use crate::model::session::SessionSpan;
use crate::protocol::authorize::invalid_scope;
use crate::protocol::dpop::{self, Thumbprint};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::params::Params;
use crate::protocol::resource;
use crate::protocol::scope::{self, Scope};
use crate::protocol::secret::Secret;
use crate::store::Refreshable;
use crate::telemetry;
use crate::tokens::{refresh_token, subject};

use super::Grants;

/// What the token request says.
#[derive(Debug)]
pub struct RefreshTokenRequest {
    refresh_token: Secret,
    scope: Scope,
    resources: Vec<String>,
}

impl RefreshTokenRequest {
    pub(super) fn parse(params: &Params) -> Result<Self, OAuthError> {
        let refresh_token = params
            .get_capped("refresh_token", 1024)?
            .ok_or_else(|| OAuthError::invalid_request("refresh_token is missing"))?;
        let scope = params.get("scope")?.unwrap_or_default();
        Ok(Self {
            refresh_token: Secret::new(refresh_token),
            scope: Scope::parse(scope).map_err(invalid_scope)?,
            resources: resource::read(params)?,
        })
    }

    pub(super) async fn redeem(
        self,
        client: &Client,
        key: Option<&Thumbprint>,
        grants: &Grants,
    ) -> Result<Authorization, OAuthError> {
        let (family_id, generation) =
            refresh_token::read(&grants.secrets, self.refresh_token.expose())?
                .ok_or_else(unknown)?;
        // Whether it comes in time is settled now, however long what follows may take.
        let shown_at = grants.clock.now();
        // Somebody else's token is unknown here, and nothing happens to its family: who holds it, and not who
        // guesses at it, may end it.
        let found = grants.store.find_refreshable(&family_id).await?;
        let Refreshable {
            mut family,
            session,
            standing,
        } = found
            .filter(|found| found.family.client_id == client.client_id)
            .ok_or_else(unknown)?;
        telemetry::note_tokens(&family.account_id, &family.authentication, &family.id);
        let read_at = grants.clock.now();
        // Before a replay is looked for: who has a token and not its key can do nothing with it, nor end it.
        grants
            .require_key(&family, generation, key, shown_at)
            .await?;
        // Whether its person is still known is no question any more, and a replay is acted on whatever is down.
        let beside_rotation = family::shown_beside(shown_at, family.rotated_at, read_at);
        match family.spend(generation, beside_rotation, grants.family_lifetime) {
            Spend::Advance | Spend::Repeat => {}
            Spend::Replay => {
                grants.end_replayed(&family).await?;
                return Err(unknown());
            }
            Spend::Ended => return Err(unknown()),
        }
        let granted = self.granted(client, &family)?;
        let issuer = grants.mint.issuer();
        let aim = Aim::narrow(client, issuer, &family.resources, self.resources)?;
        grants.mint.target(client, &granted, &aim)?;
        grants.require_session(&family, session).await?;
        let (account_id, login) = (&family.account_id, &family.authentication);
        let account = grants
            .account_of(client, account_id, login, standing)
            .await?;
        if let (None, Some(key), true) = (&family.jkt, key, client.binds_refresh_tokens()) {
            grants.bind(&mut family, generation, key, shown_at).await?;
        }
        let generation = grants
            .spend(client, &family, generation, key, shown_at)
            .await?;
        let subject = subject::for_client(&grants.secrets, client, &account)?;
        let claims = Disclosure {
            client,
            scopes: &grants.scopes,
            subject: &subject,
            account: &account,
            authentication: &family.authentication,
            asked: &family.claims,
        }
        .in_id_token();
        Ok(Authorization {
            within_session: false,
            client_id: client.client_id.clone(),
            scope: granted,
            aim,
            exchanged: None,
            person: Some(Person {
                claims,
                subject,
                account_id: account.id,
                authentication: family.authentication,
                nonce: None,
                family_id: family.id,
                refresh_generation: Some(generation),
            }),
        })
    }

    /// What this refresh gives: what the family was granted and the client may still have (T17), narrowed to what
    /// the request asks for (RFC 6749 section 6).
    fn granted(&self, client: &Client, family: &TokenFamily) -> Result<Scope, OAuthError> {
        let held = family.scope.narrowed_to(&client.scope);
        if family.offline && !held.contains(scope::OFFLINE_ACCESS) {
            return Err(OAuthError::invalid_grant(
                "offline_access was withdrawn from this client",
            ));
        }
        if !self.scope.is_within(&family.scope) {
            return Err(OAuthError::new(
                ErrorCode::InvalidScope,
                "a refresh cannot ask for more than was granted",
            ));
        }
        let asked = if self.scope.is_empty() {
            &family.scope
        } else {
            &self.scope
        };
        let granted = asked.narrowed_to(&held);
        // An answer without `scope` would tell the client that it got what it asked for (RFC 6749 section 5.1).
        if granted.is_empty() && !asked.is_empty() {
            return Err(OAuthError::new(
                ErrorCode::InvalidScope,
                "all of this was withdrawn from this client",
            ));
        }
        Ok(granted)
    }
}

impl Grants {
    /// A family without `offline_access` lives as long as its session; refreshing keeps that session in use.
    async fn require_session(
        &self,
        family: &TokenFamily,
        session: Option<SessionSpan>,
    ) -> Result<(), OAuthError> {
        if family.offline {
            return Ok(());
        }
        let now = self.clock.now();
        let session_id = &family.authentication.session_id;
        match session {
            Some(session) if session.is_live(now, self.session_lifetimes) => {
                let touched = self
                    .store
                    .touch_session(session_id, session.last_seen_at, now);
                Ok(touched.await?)
            }
            _ => Err(OAuthError::invalid_grant(
                "the session has ended; log in again",
            )),
        }
    }

    /// Binds a public client's refresh tokens to the key that it proves from now on (RFC 9449 section 5).
    async fn bind(
        &self,
        family: &mut TokenFamily,
        generation: i64,
        key: &Thumbprint,
        shown_at: UnixTime,
    ) -> Result<(), OAuthError> {
        let bound = self
            .store
            .bind_family(&family.id, key, generation, || self.clock.now());
        if !bound.await? {
            // Another tab was quicker, however long it is that this one waited for the database.
            let current = self.current(family).await?;
            self.require_key(&current, generation, Some(key), shown_at)
                .await?;
        }
        family.jkt = Some(key.clone());
        Ok(())
    }

    /// Refuses who does not prove the family's key. If the token is older than that key, it was shown by whoever bound the family,
    /// too: a thief may bind what they have stolen, so nobody keeps it (T19), unless that was a moment before `shown_at`.
    async fn require_key(
        &self,
        family: &TokenFamily,
        generation: i64,
        key: Option<&Thumbprint>,
        shown_at: UnixTime,
    ) -> Result<(), OAuthError> {
        let Err(refused) = dpop::require_key(family.jkt.as_ref(), key) else {
            return Ok(());
        };
        let shown_at = family::shown_beside(shown_at, family.key_since(), self.clock.now());
        if family.is_live(shown_at) && family.is_betrayed_without_key(generation, shown_at) {
            self.end_replayed(family).await?;
            return Err(unknown());
        }
        Err(refused)
    }

    async fn end_replayed(&self, family: &TokenFamily) -> Result<(), OAuthError> {
        self.store
            .revoke_family(&family.id, self.clock.now())
            .await?;
        self.metrics.replayed("refresh_token");
        self.record_replay(Event::RefreshTokenReplayed, family)
            .await;
        Ok(())
    }

    /// The family as it stands now.
    async fn current(&self, family: &TokenFamily) -> Result<TokenFamily, OAuthError> {
        let current = self.store.find_family(&family.id).await?;
        current.ok_or_else(unknown)
    }

    /// Spends `generation` of the family, which was good when it was shown: the generation of the token to hand out.
    async fn spend(
        &self,
        client: &Client,
        family: &TokenFamily,
        generation: i64,
        key: Option<&Thumbprint>,
        shown_at: UnixTime,
    ) -> Result<i64, OAuthError> {
        let newest = family.generation.unwrap_or(generation);
        if newest <= generation {
            let successor = generation + i64::from(client.rotates_refresh_tokens());
            let (recipient, now) = (telemetry::recipient(), || self.clock.now());
            let won = self
                .store
                .advance_family(family, newest, successor, &recipient, now)
                .await?;
            if won {
                return Ok(successor);
            }
        }
        // Another tab was quicker, or an answer was lost: the row as it stands now, whatever has become of it since it was read, says
        // what that makes us. Not how much later that is: whoever came in time may have waited for the database longer than the window.
        let current = self.current(family).await?;
        self.require_key(&current, generation, key, shown_at)
            .await?;
        match current.spend(generation, current.rotated_at, self.family_lifetime) {
            Spend::Repeat => Ok(generation + 1),
            // Its successor was spent as well. Two have had this token, and this one is told to log in again: whichever of them is the
            // thief, nobody goes on alone.
            Spend::Replay => {
                self.end_replayed(&current).await?;
                Err(unknown())
            }
            Spend::Advance | Spend::Ended => Err(unknown()),
        }
    }
}

/// The answer to every refresh token that cannot be redeemed.
fn unknown() -> OAuthError {
    OAuthError::invalid_grant("the refresh token is unknown, expired, revoked or was used already")
}
