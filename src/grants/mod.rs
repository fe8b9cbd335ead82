//! The grants of the token endpoint: each proves an [`Authorization`]; none mints.

pub mod authorization_code;
pub mod client_assertion;
pub mod client_authentication;
pub mod client_credentials;
mod delegation;
pub mod device_code;
mod family;
pub mod introspection;
pub mod password;
pub mod presented_token;
pub mod refresh_token;
pub mod revocation;
pub mod token_exchange;

use std::ops::Deref;
use std::sync::Arc;

use crate::clock::Clock;
use crate::fetch::ClientKeys;
use crate::keys::Secrets;
use crate::logins::Logins;
use crate::model::account::Account;
use crate::model::authorization::Authorization;
use crate::model::client::Client;
use crate::model::family::{FamilyCaps, FamilyLifetime};
use crate::model::scopes::Scopes;
use crate::model::session::{Authentication, SessionLifetimes};
use crate::model::throttle::ThrottlePolicy;
use crate::passwords::{PasswordHash, Passwords};
use crate::protocol::dpop::Thumbprint;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::AccountId;
use crate::protocol::params::Params;
use crate::protocol::token::{ExchangedToken, GrantType};
use crate::recheck::Rechecks;
use crate::store::{Standing, Store};
use crate::telemetry::{Audit, Metrics};
use crate::tokens::Mint;
use crate::tokens::standing::AccessTokens;
use crate::upstream::Upstreams;
use crate::vault::Vault;

pub use presented_token::PresentedToken;

use authorization_code::AuthorizationCodeRequest;
use client_credentials::ClientCredentialsRequest;
use device_code::DeviceCodeRequest;
use password::PasswordRequest;
use refresh_token::RefreshTokenRequest;
use token_exchange::TokenExchangeRequest;

/// What every grant works with. Cheap to clone.
#[derive(Clone)]
pub struct Grants(Arc<GrantsParts>);

/// What [`Grants`] are made of.
pub struct GrantsParts {
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
    pub session_lifetimes: SessionLifetimes,
    /// How many families with refresh tokens one person may have (T22).
    pub family_caps: FamilyCaps,
    /// How long device codes live, in seconds.
    pub device_code_lifetime: i64,
    /// Reads the tokens that it made; no grant mints.
    pub mint: Mint,
    /// What stands behind access tokens.
    pub access_tokens: AccessTokens,
    /// Where tokens may be had for.
    pub upstreams: Upstreams,
    /// Where those of people are.
    pub vault: Vault,
    /// What logs people in.
    pub logins: Logins,
    /// Whether people are still who they were.
    pub rechecks: Rechecks,
    /// The keys of clients that sign.
    pub client_keys: ClientKeys,
    /// Which scope opens which claims.
    pub scopes: Scopes,
    /// For how many seconds a client that registered itself stays unless it is used.
    pub registered_unused: Option<i64>,
    /// What is counted.
    pub metrics: Metrics,
    /// What is recorded.
    pub audit: Audit,
}

impl Grants {
    /// Puts them together.
    pub fn new(parts: GrantsParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Grants {
    type Target = GrantsParts;

    fn deref(&self) -> &GrantsParts {
        &self.0
    }
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
    /// RFC 6749 section 4.3.2.
    Password(PasswordRequest),
    /// RFC 8693 section 2.1.
    TokenExchange(TokenExchangeRequest),
    /// RFC 8628 section 3.4.
    DeviceCode(DeviceCodeRequest),
}

/// What a grant proved.
pub enum Proven {
    /// That tokens are to be minted.
    Authorization(Box<Authorization>),
    /// That a token of an upstream's is to be handed out, as it is.
    Release(ExchangedToken),
}

impl TokenRequest {
    /// Reads the grant that `grant_type` names, which `client` must be registered for.
    pub fn parse(params: &Params, client: &Client) -> Result<Self, OAuthError> {
        params.refuse_repeated()?;
        let unsupported = || {
            OAuthError::new(
                ErrorCode::UnsupportedGrantType,
                "grant_type must be one of those in grant_types_supported that the token endpoint knows",
            )
        };
        let grant = GrantType::parse(params.require("grant_type")?).ok_or_else(unsupported)?;
        client.require_grant(grant)?;
        match grant {
            GrantType::AuthorizationCode => {
                AuthorizationCodeRequest::parse(params).map(Self::AuthorizationCode)
            }
            GrantType::Implicit => Err(unsupported()),
            GrantType::RefreshToken => RefreshTokenRequest::parse(params).map(Self::RefreshToken),
            GrantType::ClientCredentials => {
                ClientCredentialsRequest::parse(params).map(Self::ClientCredentials)
            }
            GrantType::Password => PasswordRequest::parse(params).map(Self::Password),
            GrantType::TokenExchange => {
                TokenExchangeRequest::parse(params).map(Self::TokenExchange)
            }
            GrantType::DeviceCode => DeviceCodeRequest::parse(params).map(Self::DeviceCode),
        }
    }

    /// Proves what the request is entitled to, which has proven possession of `key`.
    pub async fn redeem(
        self,
        client: &Client,
        key: Option<&Thumbprint>,
        grants: &Grants,
    ) -> Result<Proven, OAuthError> {
        let authorization = match self {
            Self::AuthorizationCode(request) => request.redeem(client, key, grants).await,
            Self::RefreshToken(request) => request.redeem(client, key, grants).await,
            Self::ClientCredentials(request) => request.redeem(client, grants),
            Self::DeviceCode(request) => request.redeem(client, key, grants).await,
            Self::Password(request) => request.redeem(client, key, grants).await,
            Self::TokenExchange(request) => {
                return request.redeem(client, key, grants).await;
            }
        };
        authorization.map(|proven| Proven::Authorization(Box::new(proven)))
    }
}

impl Grants {
    /// Writes down that a client that registered itself is in use, so that it stays.
    pub async fn note_use(&self, client: &Client) -> Result<(), OAuthError> {
        let (unused, now) = (self.registered_unused, self.clock.now());
        let noted = self.store.note_client_used(&client.client_id, unused, now);
        Ok(noted.await?)
    }

    /// The account behind a grant, unless the person may no longer use the client: closed by an administrator, of an
    /// upstream that the client does not serve (any more) or that does not let them in any more, or not of those whom
    /// the client is for. Asked on every grant that has a person, before anything is spent (T15).
    async fn account_for(
        &self,
        client: &Client,
        account_id: &AccountId,
        authentication: &Authentication,
    ) -> Result<Account, OAuthError> {
        let standing = self.store.find_standing(&authentication.session_id);
        self.account_of(client, account_id, authentication, standing.await?)
            .await
    }

    /// The same where it was read a moment ago what stands behind the session.
    async fn account_of(
        &self,
        client: &Client,
        account_id: &AccountId,
        authentication: &Authentication,
        standing: Option<Standing>,
    ) -> Result<Account, OAuthError> {
        let (account, known) = match standing {
            Some((account, known)) if account.is_open() && account.id == *account_id => {
                (account, known)
            }
            _ => return Err(closed()),
        };
        serves(client, authentication)?;
        let session = &authentication.session_id;
        let standing = self.rechecks.standing_as(client, session, account, known);
        admitted(client, standing.await?)
    }

    /// The same where the account was read already.
    async fn require_standing(
        &self,
        client: &Client,
        account: Account,
        authentication: &Authentication,
    ) -> Result<Account, OAuthError> {
        serves(client, authentication)?;
        let session = &authentication.session_id;
        admitted(
            client,
            self.rechecks.standing(client, session, account).await?,
        )
    }
}

fn serves(client: &Client, authentication: &Authentication) -> Result<(), OAuthError> {
    if client.allows_upstream(&authentication.upstream) {
        return Ok(());
    }
    Err(OAuthError::invalid_grant(
        "this client does not serve people of that upstream",
    ))
}

fn admitted(client: &Client, account: Account) -> Result<Account, OAuthError> {
    match client.lacking(&account.profile) {
        None => Ok(account),
        Some(lacking) => {
            Err(OAuthError::invalid_grant("this person may not use this client").because(lacking))
        }
    }
}

fn closed() -> OAuthError {
    OAuthError::invalid_grant("the account was closed")
}
