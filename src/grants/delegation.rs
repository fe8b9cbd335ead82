//! Token exchange (RFC 8693) for our own audiences: an API that was called with somebody's access token calls the next one for
//! them. The new token is never worth more than the old one: it opens no more, lives no longer, and ends with its family.

use std::collections::BTreeMap;

use crate::model::audit::Event;
use crate::model::authorization::{Authorization, Exchanged, Person};
use crate::model::client::Client;
use crate::model::resource::Aim;
use crate::protocol::authorize::invalid_scope;
use crate::protocol::claims::{AccessTokenClaims, Actor};
use crate::protocol::dpop::{self, Thumbprint};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::scope::{OFFLINE_ACCESS, OPENID, Scope};
use crate::protocol::secret::Secret;
use crate::tokens::presented::IssuedToken;
use crate::tokens::standing::Ended;
use crate::tokens::subject;

use super::Grants;
use super::family::grant_entry;
use super::token_exchange::{no_longer, not_ours};

/// How many may have acted one for the other (RFC 8693 section 4.1); more is a circle.
const MAX_ACTORS: usize = 5;

/// What is asked for, once it is known to be ours.
pub(super) struct Delegation<'a> {
    pub(super) subject_token: &'a Secret,
    pub(super) actor_token: Option<&'a Secret>,
    pub(super) audience: String,
    pub(super) scope: Option<&'a str>,
    /// What the client has proven possession of.
    pub(super) key: Option<&'a Thumbprint>,
}

impl Grants {
    /// Proves that `client` may act at `audience` for the person behind the subject token.
    pub(super) async fn delegate(
        &self,
        client: &Client,
        wanted: Delegation<'_>,
    ) -> Result<Authorization, OAuthError> {
        // The config refuses the combination; so does this.
        if client.is_public() {
            return Err(OAuthError::new(
                ErrorCode::UnauthorizedClient,
                "a client without a secret cannot exchange tokens for other APIs",
            ));
        }
        let IssuedToken { claims, seen } = self
            .mint
            .read_issued_token(wanted.subject_token.expose())
            .await?
            .ok_or_else(|| not_ours().because("it is expired, revoked or not one of ours"))?;
        if !client.exchange.from_clients.contains(&claims.client_id) {
            return Err(not_ours().because("its client is not in exchange.from_clients"));
        }
        let own = &client.exchange.own_audiences;
        let is_own = claims.client_id == client.client_id;
        if !is_own && !own.iter().any(|each| claims.aud.contains(each)) {
            // Whoever found a token that was for somebody else, a bound one too, would have one here that needs no key.
            return Err(not_ours().because("it is for none of exchange.own_audiences"));
        }
        if is_own {
            // The keys of others are theirs: an API cannot prove them, and was proven them itself (RFC 9449 section 7).
            dpop::require_key(claims.key(), wanted.key)?;
        }
        // Without a person there is nobody to act for: a server asks for a token of its own.
        let behind = self.access_tokens.behind(&claims, seen).await;
        let behind = behind.map_err(no_longer)?;
        // The limits as they are now of whoever sends it, and of the app that it comes from (T15, T17).
        if !behind.is_allowed() {
            return Err(not_ours().because("its client is not for this person any more"));
        }
        let left = behind.scope_left(&claims.scope.clone().unwrap_or_default());
        let person = behind.person.ok_or_else(not_ours)?;
        let family = person.family;
        let account = self
            .require_standing(client, person.account, &family.authentication)
            .await?;
        let (actor, actor_ends) = self.actor(client, &claims, &wanted).await?;
        let scope = narrowed(client, &left, wanted.scope)?;
        let subject = subject::for_client(&self.secrets, client, &account)?;
        let entry = grant_entry(Event::TokenExchanged, &family)
            .client(&client.client_id)
            .with("from", claims.client_id.as_str())
            .with("audience", wanted.audience.as_str())
            .with("delegated", actor.is_some());
        self.audit.record(entry);
        Ok(Authorization {
            within_session: claims.within_session,
            client_id: client.client_id.clone(),
            scope,
            aim: Aim::Exactly(vec![wanted.audience]),
            exchanged: Some(Exchanged {
                ends: claims.exp.min(actor_ends),
                actor,
                family_client: claims.family_client().clone(),
            }),
            person: Some(Person {
                account_id: account.id,
                subject,
                authentication: family.authentication,
                nonce: None,
                claims: BTreeMap::new(),
                family_id: family.id,
                refresh_generation: None,
            }),
        })
    }

    /// Who acts, and until when at the most. Whoever acted before stays on record, also where the client may hide itself.
    async fn actor(
        &self,
        client: &Client,
        subject: &AccessTokenClaims,
        wanted: &Delegation<'_>,
    ) -> Result<(Option<Actor>, i64), OAuthError> {
        let Some(token) = wanted.actor_token else {
            if client.exchange.impersonation {
                return Ok((subject.act.clone(), i64::MAX));
            }
            return Err(OAuthError::invalid_request(
                "actor_token is missing: send an access token of the client itself, which the new token will name as the actor",
            ));
        };
        let refused = || {
            OAuthError::invalid_request(
                "actor_token is expired, revoked, or no access token that was given to this client",
            )
        };
        let IssuedToken { claims, seen } = self
            .mint
            .read_issued_token(token.expose())
            .await?
            .ok_or_else(|| refused().because("it is expired, revoked or not one of ours"))?;
        if claims.client_id != client.client_id || claims.act.is_some() {
            return Err(refused().because("it was given to another client, or to act for somebody"));
        }
        dpop::require_key(claims.key(), wanted.key)?;
        match self.access_tokens.person(client, &claims, seen).await {
            Ok(_) => {}
            Err(Ended::Store(error)) => return Err(error.into()),
            Err(ended) => return Err(refused().because(ended)),
        }
        let actor = Actor {
            sub: claims.sub,
            act: subject.act.clone().map(Box::new),
        };
        if actor.depth() > MAX_ACTORS {
            return Err(OAuthError::invalid_request(
                "too many act for each other; begin with a token of the person's app",
            ));
        }
        Ok((Some(actor), claims.exp))
    }
}

/// What the new token opens: of what is `left` of the old one's scope what this client may have too, or less. What opens our own
/// endpoints is not for other APIs.
fn narrowed(client: &Client, left: &Scope, asked: Option<&str>) -> Result<Scope, OAuthError> {
    let held = left.narrowed_to(&client.scope);
    let held = [OPENID, OFFLINE_ACCESS]
        .into_iter()
        .fold(held, Scope::without);
    let asked = match asked {
        None => return Ok(held),
        Some(text) => Scope::parse(text).map_err(invalid_scope)?,
    };
    if asked.is_within(&held) {
        return Ok(asked);
    }
    Err(OAuthError::new(
        ErrorCode::InvalidScope,
        "the new token cannot open more than subject_token does and this client may",
    ))
}
