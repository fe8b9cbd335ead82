//! The grants of the token endpoint: each proves an [`Authorization`]; none mints.

pub mod authorization_code;
pub mod client_authentication;
pub mod client_credentials;
pub mod refresh_token;

use crate::clock::Clock;
use crate::keys::Secrets;
use crate::model::account::Account;
use crate::model::authorization::Authorization;
use crate::model::client::Client;
use crate::model::family::FamilyLifetime;
use crate::model::session::SessionLifetime;
use crate::model::throttle::ThrottlePolicy;
use crate::passwords::{PasswordHash, Passwords};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{AccountId, UpstreamId};
use crate::protocol::params::Params;
use crate::protocol::token::GrantType;
use crate::recheck::Rechecks;
use crate::store::Store;
use crate::telemetry::Metrics;

use authorization_code::AuthorizationCodeRequest;
use client_credentials::ClientCredentialsRequest;
use refresh_token::RefreshTokenRequest;

/// What every grant works with. Cheap to clone.
#[derive(Clone)]
pub struct Grants {
    /// The database.
    pub store: Store,
    /// For the hashes of codes, client secrets and refresh tokens.
    pub secrets: Secrets,
    /// The present.
    pub clock: Clock,
    /// For client secrets that humans chose.
    pub passwords: Passwords,
    /// A hash that is nobody's, to spend as much on an unknown client as on a known one (T58).
    pub stand_in: PasswordHash,
    /// How many wrong client secrets an address may send.
    pub address_throttle: ThrottlePolicy,
    /// How long families last.
    pub family_lifetime: FamilyLifetime,
    /// How long sessions last; families without `offline_access` end with them.
    pub session_lifetime: SessionLifetime,
    /// The most families with refresh tokens that one person may have at one client (T22).
    pub families_per_client: i64,
    /// Whether people are still who they were.
    pub rechecks: Rechecks,
    /// What is counted.
    pub metrics: Metrics,
}

/// A token request, parsed by its grant.
#[derive(Debug)]
pub enum TokenRequest {
    /// RFC 6749 section 4.1.3.
    AuthorizationCode(AuthorizationCodeRequest),
    /// RFC 6749 section 6.
    RefreshToken(RefreshTokenRequest),
    /// RFC 6749 section 4.4.2.
    ClientCredentials(ClientCredentialsRequest),
}

impl TokenRequest {
    /// Reads the grant that `grant_type` names, which `client` must be registered for.
    pub fn parse(params: &Params, client: &Client) -> Result<Self, OAuthError> {
        params.refuse_repeated()?;
        let grant = GrantType::parse(params.require("grant_type")?).ok_or_else(|| {
            OAuthError::new(
                ErrorCode::UnsupportedGrantType,
                "grant_type must be one of those in grant_types_supported",
            )
        })?;
        client.require_grant(grant)?;
        match grant {
            GrantType::AuthorizationCode => {
                AuthorizationCodeRequest::parse(params).map(Self::AuthorizationCode)
            }
            GrantType::RefreshToken => RefreshTokenRequest::parse(params).map(Self::RefreshToken),
            GrantType::ClientCredentials => {
                ClientCredentialsRequest::parse(params).map(Self::ClientCredentials)
            }
        }
    }

    /// Proves the authorization.
    pub async fn redeem(
        self,
        client: &Client,
        grants: &Grants,
    ) -> Result<Authorization, OAuthError> {
        match self {
            Self::AuthorizationCode(request) => request.redeem(client, grants).await,
            Self::RefreshToken(request) => request.redeem(client, grants).await,
            Self::ClientCredentials(request) => request.redeem(client),
        }
    }
}

impl Grants {
    /// The account behind a grant, unless the person may no longer use the client: closed by an administrator, of an
    /// upstream that the client does not serve (any more) or that does not let them in any more, or not of those whom
    /// the client is for. Asked on every grant that has a person, before anything is spent (T15).
    async fn account_for(
        &self,
        client: &Client,
        account_id: &AccountId,
        upstream: &UpstreamId,
    ) -> Result<Account, OAuthError> {
        if !client.allows_upstream(upstream) {
            return Err(OAuthError::invalid_grant(
                "this client does not serve people of that upstream",
            ));
        }
        let account = match self.store.find_account(account_id).await? {
            Some(account) if account.disabled_at.is_none() => account,
            _ => return Err(OAuthError::invalid_grant("the account was closed")),
        };
        let account = self.rechecks.standing(client, upstream, account).await?;
        match client.lacking(&account.profile) {
            None => Ok(account),
            Some(lacking) => Err(
                OAuthError::invalid_grant("this person may not use this client").because(lacking),
            ),
        }
    }
}
