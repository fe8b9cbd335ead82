//! Token exchange (RFC 8693): an access token of ours for another of ours (`delegation`), where the client's policy names the
//! target; else for the upstream's own, so that an app can call the upstream's API. The person's, where there is one behind the token; else the service account's. Only to a client that the administrator has
//! named for it, only with a token whose scope says so, and only while the login stands (T15, T62).

use std::collections::BTreeSet;

use url::Url;

use crate::model::audit::Event;
use crate::model::client::Client;
use crate::model::vault_entry::VaultPlace;
use crate::protocol::claims::AccessTokenClaims;
use crate::protocol::dpop::{self, Thumbprint};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::UpstreamId;
use crate::protocol::params::Params;
use crate::protocol::scope;
use crate::protocol::secret::Secret;
use crate::protocol::token::{ACCESS_TOKEN_TYPE, ExchangedToken};
use crate::telemetry::Entry;
use crate::tokens::presented::IssuedToken;
use crate::tokens::standing::{Ended, Person};
use crate::upstream::{LoginError, Upstream, UpstreamTokens};

use super::delegation::Delegation;
use super::family::grant_entry;
use super::{Grants, Proven, closed};

/// Seconds of life that an app may count on, where the upstream's tokens live that long.
const MIN_LIFE: i64 = 60;
/// Access tokens of ours are some 1,000 characters; nothing that much longer is one (T48).
const MAX_SUBJECT_TOKEN_BYTES: usize = 8 * 1024;
/// The most bytes of the target's name or address (T48).
const MAX_TARGET_BYTES: usize = 512;

/// What the token request says.
#[derive(Debug)]
pub struct TokenExchangeRequest {
    subject_token: Secret,
    actor_token: Option<Secret>,
    scope: Option<String>,
    target: Target,
}

/// Where the token that is wanted is for.
#[derive(Debug)]
enum Target {
    /// `audience`: its name; of an upstream, its id.
    Id(String),
    /// `resource`: its address, as written and as read.
    Address(String, Url),
}

impl TokenExchangeRequest {
    pub(super) fn parse(params: &Params) -> Result<Self, OAuthError> {
        let subject_token = params
            .get_capped("subject_token", MAX_SUBJECT_TOKEN_BYTES)?
            .ok_or_else(|| OAuthError::invalid_request("subject_token is missing"))?;
        if params.require("subject_token_type")? != ACCESS_TOKEN_TYPE {
            return Err(OAuthError::invalid_request(format!(
                "subject_token_type must be {ACCESS_TOKEN_TYPE}"
            )));
        }
        if !matches!(
            params.get("requested_token_type")?,
            None | Some(ACCESS_TOKEN_TYPE)
        ) {
            return Err(OAuthError::invalid_request(format!(
                "requested_token_type must be {ACCESS_TOKEN_TYPE}, or left out"
            )));
        }
        let actor_token = params.get_capped("actor_token", MAX_SUBJECT_TOKEN_BYTES)?;
        // RFC 8693 section 2.1: the one with the other.
        match (actor_token, params.get("actor_token_type")?) {
            (None, None) | (Some(_), Some(ACCESS_TOKEN_TYPE)) => {}
            _ => {
                return Err(OAuthError::invalid_request(format!(
                    "actor_token_type must be {ACCESS_TOKEN_TYPE}, and stands with actor_token alone"
                )));
            }
        }
        Ok(Self {
            subject_token: Secret::new(subject_token),
            actor_token: actor_token.map(Secret::new),
            scope: params.get("scope")?.map(ToOwned::to_owned),
            target: Target::read(params)?,
        })
    }

    pub(super) async fn redeem(
        self,
        client: &Client,
        key: Option<&Thumbprint>,
        grants: &Grants,
    ) -> Result<Proven, OAuthError> {
        let target = self.target.text();
        if client.exchange.audiences.contains(target) {
            let wanted = Delegation {
                subject_token: &self.subject_token,
                actor_token: self.actor_token.as_ref(),
                audience: target.to_owned(),
                scope: self.scope.as_deref(),
                key,
            };
            let delegated = grants.delegate(client, wanted).await?;
            return Ok(Proven::Authorization(Box::new(delegated)));
        }
        self.release(client, key, grants).await.map(Proven::Release)
    }

    /// Hands out the upstream's own token.
    async fn release(
        self,
        client: &Client,
        key: Option<&Thumbprint>,
        grants: &Grants,
    ) -> Result<ExchangedToken, OAuthError> {
        let upstream = self.target.find(grants)?;
        if self.actor_token.is_some() {
            return Err(OAuthError::invalid_request(
                "actor_token has no meaning at an upstream; leave it out",
            ));
        }
        // To take it and give the same token anyway would promise a narrower one.
        if self.scope.is_some() {
            return Err(OAuthError::new(
                ErrorCode::InvalidScope,
                "the upstream's tokens know no scopes of ours; leave scope out",
            ));
        }
        let IssuedToken { claims, seen } = grants
            .mint
            .read_issued_token(self.subject_token.expose())
            .await?
            .ok_or_else(|| not_ours().because("it is expired, revoked or not one of ours"))?;
        // Not even an API that the token was made for may exchange what was given to somebody else.
        if claims.client_id != client.client_id || claims.family_client.is_some() {
            return Err(not_ours().because("it was given to another client, or exchanged"));
        }
        // Without its key a stolen token is worth nothing here either.
        dpop::require_key(claims.key(), key)?;
        let now = grants.clock.now();
        let (tokens, person) = if claims.family.is_some() {
            require_listed(&client.upstream_tokens, "upstream_tokens", upstream)?;
            require_scope(client, &claims, upstream)?;
            let person = grants.access_tokens.person(client, &claims, seen).await;
            let person = person.map_err(no_longer)?.ok_or_else(not_ours)?;
            let tokens = grants.tokens_of(client, &person, upstream).await?;
            (tokens, Some(person))
        } else {
            require_listed(&client.service_tokens, "service_tokens", upstream)?;
            require_scope(client, &claims, upstream)?;
            (service_token(client, upstream).await?, None)
        };
        let expires_in = (tokens.expires_at - now).max(0);
        let released = Event::UpstreamTokenReleased;
        let (entry, kind) = match &person {
            Some(person) => (grant_entry(released, &person.family), "person"),
            None => (Entry::new(released), "service"),
        };
        let entry = entry
            .client(&client.client_id)
            .upstream(&upstream.id)
            .with("kind", kind)
            .with("lifetime", expires_in);
        grants.audit.record(entry);
        Ok(ExchangedToken {
            access_token: tokens.access.expose().to_owned(),
            issued_token_type: ACCESS_TOKEN_TYPE,
            token_type: "Bearer",
            expires_in,
            upstream_client_id: tokens.application,
        })
    }
}

impl Target {
    fn read(params: &Params) -> Result<Self, OAuthError> {
        let audience = params.get_capped("audience", MAX_TARGET_BYTES)?;
        match (audience, params.get_capped("resource", MAX_TARGET_BYTES)?) {
            (Some(id), None) => Ok(Self::Id(id.to_owned())),
            (None, Some(url)) => Url::parse(url)
                .map(|parsed| Self::Address(url.to_owned(), parsed))
                .map_err(|_| OAuthError::invalid_request("resource must be an absolute address")),
            _ => Err(OAuthError::invalid_request(
                "send audience, the id of an upstream or the name of an API, or resource, its address: exactly one of the two",
            )),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Id(text) | Self::Address(text, _) => text,
        }
    }

    fn find<'a>(&self, grants: &'a Grants) -> Result<&'a Upstream, OAuthError> {
        let found = match self {
            Self::Id(id) => grants.upstreams.find(id),
            Self::Address(_, url) => grants.upstreams.find_by_base_url(url),
        };
        found.ok_or_else(|| {
            OAuthError::new(
                ErrorCode::InvalidTarget,
                "audience must be the id of an upstream, or resource its base_url, or either an API of this client's exchange policy",
            )
        })
    }
}

impl Grants {
    /// The current token of the person's login. A family with `offline_access` may outlive its session; the upstream's
    /// tokens do not.
    async fn tokens_of(
        &self,
        client: &Client,
        person: &Person,
        upstream: &Upstream,
    ) -> Result<UpstreamTokens, OAuthError> {
        let login = &person.family.authentication;
        let account = person.account.clone();
        let account = self.require_standing(client, account, login).await?;
        let session = person.session.as_ref().ok_or_else(session_ended)?;
        if !person.family.offline {
            let now = self.clock.now();
            let touched = self
                .store
                .touch_session(&login.session_id, session.last_seen_at, now);
            touched.await?;
        }
        let place = VaultPlace::Person {
            account_id: account.id,
            session_id: login.session_id.clone(),
            upstream: upstream.id.clone(),
        };
        Ok(self.vault.person_tokens(&place, MIN_LIFE, None).await?)
    }
}

/// The token of the service account, which never serves a person's call (T61).
async fn service_token(client: &Client, upstream: &Upstream) -> Result<UpstreamTokens, OAuthError> {
    // The config refuses the combination; so does this.
    if client.is_public() {
        return Err(OAuthError::new(
            ErrorCode::UnauthorizedClient,
            "a client without a secret cannot have the service account's token",
        ));
    }
    let service = upstream.service.as_deref().ok_or_else(|| {
        OAuthError::new(
            ErrorCode::InvalidTarget,
            format!("the upstream {} has no service account", upstream.id),
        )
    })?;
    service.token(None).await.map_err(|error| {
        let refusal = match (&error, error.missing_right()) {
            (LoginError::Unavailable(_), _) => OAuthError::new(
                ErrorCode::TemporarilyUnavailable,
                "the upstream does not answer; try again later",
            ),
            // RFC 8693 section 2.2.2: no token for this target.
            (_, Some(missing)) => OAuthError::new(
                ErrorCode::InvalidTarget,
                format!(
                    "the service account of {} lacks {}, so that its token opens nothing there; an administrator of \
                     that system has to give it",
                    upstream.id, missing.right
                ),
            ),
            _ => OAuthError::new(
                ErrorCode::ServerError,
                "the upstream gives its service account no token: its password or its rights (the role RemoteService \
                 in iMIS) are not what they must be; portico check says more",
            ),
        };
        refusal.because(error)
    })
}

fn require_listed(
    listed: &BTreeSet<UpstreamId>,
    key: &str,
    upstream: &Upstream,
) -> Result<(), OAuthError> {
    if listed.contains(&upstream.id) {
        return Ok(());
    }
    Err(OAuthError::new(
        ErrorCode::UnauthorizedClient,
        format!(
            "this client may not have that token; an administrator has to write {} into its {key}",
            upstream.id
        ),
    ))
}

/// The scope was granted, and the client may still have it (T17).
fn require_scope(
    client: &Client,
    claims: &AccessTokenClaims,
    upstream: &Upstream,
) -> Result<(), OAuthError> {
    let needed = scope::upstream(&upstream.id);
    let granted = claims.scope.as_ref();
    if granted.is_some_and(|granted| granted.contains(&needed)) && client.scope.contains(&needed) {
        return Ok(());
    }
    Err(OAuthError::new(
        ErrorCode::InvalidScope,
        format!("subject_token lacks the scope {needed}; ask for it when you ask for that token"),
    ))
}

/// RFC 8693 section 2.2.2 wants `invalid_request` for a subject token that is no good.
pub(super) fn not_ours() -> OAuthError {
    OAuthError::invalid_request(
        "subject_token is expired, revoked, or no access token that this client may exchange",
    )
}

/// An app tells by the code whether a refresh helps (`invalid_request`) or a login alone.
pub(super) fn no_longer(ended: Ended) -> OAuthError {
    match ended {
        Ended::Session => session_ended(),
        Ended::Account => closed(),
        Ended::Store(error) => error.into(),
        Ended::Key(error) => error.into(),
        ended => not_ours().because(ended),
    }
}

fn session_ended() -> OAuthError {
    OAuthError::invalid_grant("the session has ended; log in again")
}
